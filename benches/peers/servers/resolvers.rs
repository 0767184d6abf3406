//! Servers that forward and cache; all but dnsdist serve a zone, too.

use std::fmt::Write as _;

use anyhow::Result;

use super::super::process::Invocation;
use super::super::zonefile::ORIGIN;
use super::{Setup, Task};

/// Entries that caches are made for where the workload needs fewer.
const ENTRIES: u64 = 100_000;

/// Unbound, forwarding everything or with the zone as an auth-zone; without DNSSEC validation.
pub fn unbound(setup: &Setup<'_>) -> Result<Invocation> {
    let (ip, port, dir) = (setup.listen.ip(), setup.listen.port(), setup.dir.display());
    let entries = if let Task::Forward { entries, .. } = setup.task { entries } else { ENTRIES };
    let cache = (entries >> 10).max(64);
    let mut text = format!(
        "server:\n interface: {ip}@{port}\n port: {port}\n num-threads: {}\n do-daemonize: no\n \
         chroot: \"\"\n username: \"\"\n directory: \"{dir}\"\n pidfile: \"\"\n use-syslog: no\n \
         access-control: 127.0.0.0/8 allow\n access-control: ::1/128 allow\n do-not-query-localhost: no\n \
         module-config: \"iterator\"\n so-reuseport: yes\n so-rcvbuf: 1m\n outgoing-range: 8192\n \
         num-queries-per-thread: 4096\n msg-cache-slabs: 1\n rrset-cache-slabs: 1\n infra-cache-slabs: 1\n \
         key-cache-slabs: 1\n msg-cache-size: {cache}m\n rrset-cache-size: {}m\n minimal-responses: yes\n\
         remote-control:\n control-enable: no\n",
        setup.workers,
        2 * cache
    );
    match setup.task {
        Task::Zone { file, .. } => writeln!(
            text,
            "auth-zone:\n name: \"{ORIGIN}\"\n zonefile: \"{}\"\n for-downstream: yes\n for-upstream: no\n \
             fallback-enabled: no",
            file.display()
        )?,
        Task::Forward { upstream, .. } => {
            let (ip, port) = (upstream.ip(), upstream.port());
            writeln!(text, "forward-zone:\n name: \".\"\n forward-addr: {ip}@{port}")?;
        }
    }
    let config = setup.write("unbound.conf", &text)?;
    Ok(Invocation::new("unbound", ["-d".into(), "-c".into(), config.into_os_string()]))
}

/// dnsdist with a packet cache in front of one upstream, reached by one socket a thread.
pub fn dnsdist(setup: &Setup<'_>) -> Result<Invocation> {
    let Task::Forward { upstream, entries } = setup.task else { anyhow::bail!("dnsdist serves no zones") };
    let text = format!(
        "setLocal(\"{}\")\nsetACL({{\"127.0.0.0/8\", \"::1/128\"}})\n\
         newServer({{address=\"{upstream}\", checkInterval=5, sockets={}}})\nsetMaxUDPOutstanding(65535)\n\
         setRingBuffersSize(1000, 1)\nsetSecurityPollSuffix(\"\")\n\
         getPool(\"\"):setCache(newPacketCache({}, {{maxTTL=86400, maxNegativeTTL=3600, numberOfShards=16}}))\n",
        setup.listen,
        setup.workers,
        (2 * entries).max(ENTRIES)
    );
    let config = setup.write("dnsdist.conf", &text)?.into_os_string();
    Ok(Invocation::new("dnsdist", ["--supervised".into(), "--disable-syslog".into(), "-C".into(), config]))
}

/// BIND, forwarding only or with the zone as a primary; without DNSSEC validation.
pub fn bind(setup: &Setup<'_>) -> Result<Invocation> {
    let (ip, port, dir) = (setup.listen.ip(), setup.listen.port(), setup.dir.display());
    let (own, other) =
        if ip.is_ipv4() { ("listen-on", "listen-on-v6") } else { ("listen-on-v6", "listen-on") };
    let mut text = format!(
        "options {{ directory \"{dir}\"; pid-file \"{dir}/pid\"; session-keyfile \"{dir}/key\"; \
         {own} port {port} {{ {ip}; }}; {other} {{ none; }}; allow-query {{ any; }}; \
         dnssec-validation no; minimal-responses yes; empty-zones-enable no; querylog no;\n"
    );
    match setup.task {
        Task::Zone { file, .. } => writeln!(
            text,
            "recursion no; }};\nzone \"{ORIGIN}\" {{ type primary; file \"{}\"; notify no; }};",
            file.display()
        )?,
        Task::Forward { upstream, .. } => writeln!(
            text,
            "recursion yes; forward only; forwarders {{ {} port {}; }}; recursive-clients 100000; \
             max-cache-size 4g; }};",
            upstream.ip(),
            upstream.port()
        )?,
    }
    text += "controls { };\n";
    let config = setup.write("named.conf", &text)?.into_os_string();
    Ok(Invocation::new(
        "named",
        ["-g".into(), "-n".into(), setup.workers.to_string().into(), "-c".into(), config],
    ))
}

/// Beyond this dnsmasq searches longer and longer on each insert.
const MOST: u64 = 30_000;

/// dnsmasq, forwarding with its largest sensible table or with the zone as a hosts file.
pub fn dnsmasq(setup: &Setup<'_>) -> Result<Invocation> {
    let (ip, port, dir) = (setup.listen.ip(), setup.listen.port(), setup.dir.display());
    let mut text = format!(
        "port={port}\nlisten-address={ip}\nbind-interfaces\nno-resolv\nno-hosts\nuser=root\n\
         pid-file={dir}/pid\nlog-facility={dir}/log\n"
    );
    match setup.task {
        Task::Zone { zone, .. } => {
            let lines = zone.hosts.iter().map(|(owner, address)| format!("{address} {owner}\n"));
            let hosts = setup.write("hosts", &lines.collect::<String>())?;
            writeln!(text, "addn-hosts={}\nlocal=/{ORIGIN}/\nlocal-ttl=300", hosts.display())?;
            for (owner, (target, _)) in &zone.aliases {
                writeln!(text, "cname={owner},{target}")?;
            }
            for (parent, address) in &zone.wildcards {
                writeln!(text, "address=/{parent}/{address}")?;
            }
        }
        Task::Forward { upstream, entries } => {
            let (ip, port, size) = (upstream.ip(), upstream.port(), entries.min(MOST));
            writeln!(text, "server={ip}#{port}\ncache-size={size}\ndns-forward-max=1000\nport-limit=8")?;
        }
    }
    let config = setup.write("dnsmasq.conf", &text)?.into_os_string();
    Ok(Invocation::new("dnsmasq", ["-k".into(), "-C".into(), config]))
}
