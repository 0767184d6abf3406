//! dnstap as others read it: taken by fstrm_capture, printed by dnstap-read.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::home;
use crate::harness::dns::{Via, asked};
use crate::harness::message::a;
use crate::harness::packages;
use crate::harness::program::{Home, Program, cutting_upstream, until, upstream};

/// Takes frames into a file until it is told to end.
struct Capture(Child);

impl Capture {
    fn start(listen: &[&str], file: &Path) -> Self {
        let mut command = packages::command("fstrm_capture", "fstrm-bin");
        command.args(["-t", "protobuf:dnstap.Dnstap"]).args(listen).arg("-w").arg(file);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        Self(child.unwrap())
    }

    /// Ends it; it closes its file in order.
    fn end(mut self) {
        let told = Command::new("sh").args(["-c", &format!("kill -INT {}", self.0.id())]).status();
        assert!(told.expect("a shell").success());
        assert!(self.0.wait().unwrap().success());
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        // Both may fail only because it is gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn dnstap_read() -> Command {
    packages::command("dnstap-read", "bind9-dnsutils")
}

/// What dnstap-read prints of a file, without times.
fn printed(file: &Path) -> Vec<String> {
    let output = dnstap_read().arg(file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let timeless = |line: &str| line.split(' ').skip(2).collect::<Vec<_>>().join(" ");
    text.lines().map(timeless).collect()
}

/// What a capture has of what a program has sent it, which has been asked what `ask` says.
fn captured(
    home: &Home,
    listen: &[&str],
    is_there: impl Fn() -> bool,
    (ask, frames): (impl Fn(&Program), f64),
) -> PathBuf {
    let file = home.path("taken.dnstap");
    let capture = Capture::start(listen, &file);
    until("the receiver", || is_there().then_some(()));
    let program = home.start();
    program.logged("dnstap receiver is ready");
    ask(&program);
    until("all frames", || {
        (program.metric("zonelet_dnstap_frames_total", &["sent"]) == frames).then_some(())
    });
    assert_eq!(program.metric("zonelet_dnstap_connected", &[]), 1.0);
    let (code, log) = program.terminate();
    assert_eq!(code, Some(0), "{log:#?}");
    capture.end();
    file
}

/// Queries over UDP and TCP, to a zone, the cache and an upstream; what the capture has of them.
fn taken(to: &str, listen: &[&str], is_there: impl Fn() -> bool) -> Vec<String> {
    let upstream = upstream(|question| question.reply(0, &[a("www.test", 60, 7)], &[]));
    let home = home(upstream.addr, &format!("[dnstap]\nto = '{to}'\nidentity = 'node-7'\n"));
    let ask = |program: &Program| {
        assert_eq!(program.ask("db.corp.internal A"), "NOERROR aa; db.corp.internal. 60 A 10.0.0.1");
        assert!(program.ask_via(Via::Tcp, &asked("nothing.corp.internal AAAA")).starts_with("NXDOMAIN"));
        assert!(program.ask("www.test A").starts_with("NOERROR"));
        assert!(program.ask("www.test A").starts_with("NOERROR"));
    };
    let file = captured(&home, listen, is_there, (ask, 8.0));
    let identity = dnstap_read().args(["-y"]).arg(&file).output().unwrap();
    let yaml = String::from_utf8(identity.stdout).unwrap();
    assert!(yaml.contains("identity: node-7") && yaml.contains("version: zonelet "), "{yaml}");
    assert!(yaml.contains("10.0.0.1") && yaml.contains("NXDOMAIN"), "the messages are whole: {yaml}");
    printed(&file)
}

fn check(lines: &[String]) {
    println!("{lines:#?}");
    assert_eq!(lines.len(), 8, "{lines:#?}");
    let wanted = [
        ("CQ", "UDP", "db.corp.internal/IN/A"),
        ("CR", "UDP", "db.corp.internal/IN/A"),
        ("CQ", "TCP", "nothing.corp.internal/IN/AAAA"),
        ("CR", "TCP", "nothing.corp.internal/IN/AAAA"),
        ("CQ", "UDP", "www.test/IN/A"),
        ("CR", "UDP", "www.test/IN/A"),
    ];
    for (kind, protocol, question) in wanted {
        let times = if question.starts_with("www") { 2 } else { 1 };
        let fits = |line: &&String| {
            line.starts_with(kind)
                && line.contains("127.0.0.1:")
                && line.contains(&format!(" {protocol} "))
                && line.ends_with(question)
        };
        assert_eq!(lines.iter().filter(fits).count(), times, "{kind} {protocol} {question} in {lines:#?}");
    }
}

#[test]
fn every_query_and_response_reaches_a_receiver_on_a_unix_socket() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("tap.sock");
    let path = socket.to_str().unwrap();
    // Nothing may connect to it beforehand, or it has one connection more.
    check(&taken(&format!("unix:{path}"), &["-u", path], || socket.exists()));
    assert!(UnixStream::connect(&socket).is_err(), "the receiver is gone");
}

#[test]
fn what_upstreams_are_asked_and_answer_is_sent_where_it_is_wanted() {
    let upstream = cutting_upstream(|question| question.address(60, 7));
    let home = home(upstream.addr, "[dnstap]\nto = 'unix:tap.sock'\nmessages = ['forwarder']\n");
    let socket = home.path("tap.sock");
    let listen = ["-u", socket.to_str().unwrap()];
    let ask = |program: &Program| {
        assert!(program.ask("db.corp.internal A").starts_with("NOERROR aa;"));
        assert!(program.ask("www.test A").starts_with("NOERROR; www.test. 60 A 192.0.2.7"));
    };
    let file = captured(&home, &listen, || socket.exists(), (ask, 4.0));
    let lines = printed(&file);
    let place = upstream.addr.to_string();
    for (line, (kind, protocol)) in
        lines.iter().zip([("FQ", "UDP"), ("FR", "UDP"), ("FQ", "TCP"), ("FR", "TCP")])
    {
        assert!(line.starts_with(kind) && line.contains(&format!(" {protocol} ")), "{lines:#?}");
        assert!(line.contains(&place) && line.ends_with("www.test/IN/A"), "{lines:#?}");
    }
    assert_eq!(lines.len(), 4, "nothing of clients, or of the zone: {lines:#?}");
    // A reply has the id of its query, on the connection, too.
    let yaml = dnstap_read().args(["-y"]).arg(&file).output().unwrap();
    let yaml = String::from_utf8(yaml.stdout).unwrap();
    let ids: Vec<&str> = yaml.lines().filter(|line| line.trim_start().starts_with("id:")).collect();
    assert!(ids.len() == 4 && ids[0] == ids[1] && ids[2] == ids[3], "{yaml}");
    assert!(yaml.contains("192.0.2.7") && yaml.contains("query_time: ") && yaml.contains("response_time: "));
}

#[test]
fn every_query_and_response_reaches_a_receiver_over_tcp() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let listens = || {
        let listening = std::fs::read_to_string("/proc/net/tcp").unwrap();
        let wanted = format!(":{port:04X} 00000000:0000 0A");
        listening.lines().any(|line| line.contains(&wanted))
    };
    check(&taken(&format!("tcp:{address}"), &["-a", "127.0.0.1", "-p", &port.to_string()], listens));
}
