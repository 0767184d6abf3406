//! Servers that are not ours, over TLS and HTTPS: unbound and dnsdist, as Debian packages them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};

use crate::harness::dns::{Via, asked};
use crate::harness::packages;
use crate::harness::program::{Home, until, upstream};
use crate::harness::speaker::{Authority, NAME};

/// A server's process, ended when dropped.
struct Peer(Child);

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn start(package: &str, arguments: &[&str], port: u16) -> Peer {
    let mut command = packages::command(package, package);
    let peer = Peer(command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
    until(package, || TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).ok());
    peer
}

fn home_with(config: &str) -> Home {
    let (authority, home) = (Authority::new(), Home::new(config));
    let (certificate, key) = authority.sign(NAME, 2090);
    home.put("ca.pem", &authority.pem);
    home.put("cert.pem", &certificate.pem());
    home.put("key.pem", &key.serialize_pem());
    home
}

fn forward(upstream: &str) -> String {
    format!("[[forward]]\ndomain = '.'\nupstreams = ['{upstream}']\nca = 'ca.pem'\n")
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

#[test]
fn unbound_is_asked_over_tls() {
    let port = free_port();
    let home = home_with(&forward(&format!("tls://127.0.0.1:{port}#{NAME}")));
    let dir = text(&home.path(""));
    let large: String = (0..200).map(|n| format!("local-data: 'big.test. 60 A 10.0.0.{n}'\n")).collect();
    home.put(
        "unbound.conf",
        &format!(
            "server:\ndirectory: '{dir}'\nchroot: ''\nusername: ''\npidfile: ''\nuse-syslog: no\n\
             do-daemonize: no\ninterface: 127.0.0.1@{port}\ntls-port: {port}\ntls-service-key: key.pem\n\
             tls-service-pem: cert.pem\nlocal-zone: 'test.' static\nlocal-data: 'a.test. 60 A 192.0.2.1'\n\
             local-data: 'test. 60 SOA ns.test. a.test. 1 2 3 4 60'\n{large}remote-control:\n\
             control-enable: no\n"
        ),
    );
    let _unbound = start("unbound", &["-c", &text(&home.path("unbound.conf"))], port);
    let program = home.start();
    assert_eq!(program.ask("a.test. A"), "NOERROR; a.test. 60 A 192.0.2.1");
    assert!(program.ask("nowhere.test. A").starts_with("NXDOMAIN"));
    assert!(program.ask("a.test. AAAA").starts_with("NOERROR"));
    let big = program.ask_via(Via::Tcp, &asked("big.test. A").edns(1232, false));
    assert_eq!(big.matches("A 10.0.0.").count(), 200, "{big}");
    assert_eq!(program.metric("zonelet_upstream_connections_total", &["protocol=\"tls\""]), 1.0);
}

#[test]
fn dnsdist_is_asked_over_tls_and_https() {
    let behind = upstream(|question| question.address(60, 1));
    for (scheme, path) in [("tls", ""), ("https", "/dns-query")] {
        let (plain, tls, https) = (free_port(), free_port(), free_port());
        let port = if scheme == "tls" { tls } else { https };
        let home = home_with(&forward(&format!("{scheme}://127.0.0.1:{port}{path}#{NAME}")));
        let (cert, key) = (text(&home.path("cert.pem")), text(&home.path("key.pem")));
        home.put(
            "dnsdist.conf",
            &format!(
                "setLocal('127.0.0.1:{plain}')\nsetSecurityPollSuffix('')\n\
                 addTLSLocal('127.0.0.1:{tls}', '{cert}', '{key}')\n\
                 addDOHLocal('127.0.0.1:{https}', '{cert}', '{key}', '/dns-query')\n\
                 newServer({{address='{}', name='behind'}}):setUp()\n",
                behind.addr
            ),
        );
        let conf = text(&home.path("dnsdist.conf"));
        let _dnsdist = start("dnsdist", &["--supervised", "--disable-syslog", "-C", &conf], port);
        let program = home.start();
        for n in 0..20 {
            let want = format!("NOERROR; n{n}.test. 60 A 192.0.2.1");
            assert_eq!(program.ask(&format!("n{n}.test. A")), want, "{scheme}");
        }
        let protocol = format!("protocol=\"{scheme}\"");
        assert_eq!(program.metric("zonelet_upstream_connections_total", &[&protocol]), 1.0, "{scheme}");
    }
}
