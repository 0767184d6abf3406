//! zonelet and NSD with the same zone files, each a process of its own on a port of loopback.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::zones::Zone;

/// A server's process. Dropping it ends the process.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

impl Drop for Server {
    fn drop(&mut self) {
        // Asked, not killed: NSD's parent ends its own children. The pid is ours until it is waited for.
        let asked = Command::new("sh").args(["-c", "kill $0"]).arg(self.child.id().to_string()).status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Writes a zone file for each zone into `dir`.
pub fn write_zones(dir: &Path, zones: &[Zone]) {
    for zone in zones {
        fs::write(dir.join(file_of(zone)), &zone.text).expect("a zone file can be written");
    }
}

fn file_of(zone: &Zone) -> String {
    format!("{}zone", zone.apex)
}

/// The real program, with everything that is not in the zones forwarded to `upstream`.
pub fn zonelet(dir: &Path, zones: &[Zone], upstream: SocketAddr) -> Server {
    let mut config = format!(
        "server.listen = [\"127.0.0.1:0\"]\nadmin.listen = \"\"\nlog.level = \"warn\"\n\
         [[forward]]\ndomain = \".\"\nupstreams = [\"{upstream}\"]\n"
    );
    for zone in zones {
        let path = dir.join(file_of(zone));
        let _ = writeln!(config, "[[source]]\nkind = \"file\"\npath = {path:?}\nzone = {:?}", zone.apex);
    }
    let file = dir.join("zonelet.toml");
    fs::write(&file, config).expect("a configuration can be written");
    let mut child = Command::new(env!("CARGO_BIN_EXE_zonelet"))
        .arg("--config")
        .arg(&file)
        .env_clear()
        .stdout(Stdio::piped())
        .spawn()
        .expect("zonelet starts");
    let banner = wait_for_line(child.stdout.take().expect("piped"), "try: dig");
    let listens = banner.iter().find_map(|line| line.trim().strip_prefix("listens on ")).expect("an address");
    let address = listens.split(' ').next().and_then(|a| a.parse().ok()).expect("an address");
    for zone in zones {
        assert!(banner.iter().any(|l| l.contains(&format!("serves {}", zone.apex))), "{banner:#?}");
    }
    Server { child, address }
}

/// NSD in the foreground, unprivileged, all its files in `dir`.
pub fn nsd(dir: &Path, zones: &[Zone]) -> Server {
    let port = free_port();
    let dir_text = dir.display();
    let mut config = format!(
        "server:\n ip-address: 127.0.0.1@{port}\n server-count: 1\n username: \"\"\n chroot: \"\"\n \
         zonesdir: \"{dir_text}\"\n database: \"\"\n pidfile: \"{dir_text}/nsd.pid\"\n \
         xfrdfile: \"{dir_text}/xfrd.state\"\n zonelistfile: \"{dir_text}/zone.list\"\n \
         xfrdir: \"{dir_text}\"\n minimal-responses: yes\n refuse-any: no\n round-robin: no\n \
         ipv4-edns-size: 1232\n tcp-query-count: 0\n rrl-ratelimit: 0\n\
         remote-control:\n control-enable: no\n"
    );
    for zone in zones {
        let _ = write!(config, "zone:\n name: \"{}\"\n zonefile: \"{}\"\n", zone.apex, file_of(zone));
    }
    let file = dir.join("nsd.conf");
    fs::write(&file, config).expect("a configuration can be written");
    let start = |program| Command::new(program).arg("-d").arg("-c").arg(&file).stderr(Stdio::piped()).spawn();
    // Debian keeps it where not every user's PATH leads.
    let mut child = start("nsd")
        .or_else(|_| start("/usr/sbin/nsd"))
        .unwrap_or_else(|error| panic!("nsd cannot be started ({error}): install the package nsd"));
    let log = wait_for_line(child.stderr.take().expect("piped"), "nsd started");
    let bad: Vec<&String> = log.iter().filter(|line| line.contains("error")).collect();
    assert!(bad.is_empty(), "NSD does not take the zones: {bad:#?}");
    Server { child, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)) }
}

/// A port that is free over UDP and TCP now.
fn free_port() -> u16 {
    loop {
        let udp = UdpSocket::bind("127.0.0.1:0").expect("a port");
        let address = udp.local_addr().expect("bound");
        if TcpListener::bind(address).is_ok() {
            return address.port();
        }
    }
}

/// Reads lines up to the one that contains `sign`; the rest is read and dropped.
fn wait_for_line(from: impl std::io::Read + Send + 'static, sign: &str) -> Vec<String> {
    let mut lines = BufReader::new(from).lines().map_while(Result::ok);
    let mut seen = Vec::new();
    for line in lines.by_ref() {
        let last = line.contains(sign);
        seen.push(line);
        if last {
            std::thread::spawn(move || lines.for_each(drop));
            return seen;
        }
    }
    panic!("it ended before {sign:?}: {seen:#?}");
}
