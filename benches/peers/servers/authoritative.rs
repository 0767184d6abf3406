//! Servers of zones: NSD and Knot DNS.

use anyhow::Result;

use super::super::process::Invocation;
use super::super::zonefile::ORIGIN;
use super::{Setup, Task};

/// NSD, without its remote control.
pub fn nsd(setup: &Setup<'_>) -> Result<Invocation> {
    let (ip, port, dir) = (setup.listen.ip(), setup.listen.port(), setup.dir.display());
    let workers = setup.workers;
    let mut text = format!(
        "server:\n server-count: {workers}\n ip-address: {ip}@{port}\n reuseport: yes\n username: \"\"\n \
         zonesdir: \"{dir}\"\n database: \"\"\n pidfile: \"{dir}/pid\"\n logfile: \"{dir}/log\"\n \
         xfrdfile: \"{dir}/xfrd\"\n xfrdir: \"{dir}\"\n zonelistfile: \"{dir}/zones\"\n \
         rrl-ratelimit: 0\n rrl-whitelist-ratelimit: 0\n minimal-responses: yes\n\
         remote-control:\n control-enable: no\n"
    );
    if let Task::Zone { file, .. } = setup.task {
        text += &format!("zone:\n name: \"{ORIGIN}\"\n zonefile: \"{}\"\n", file.display());
    }
    Ok(Invocation::new("nsd", ["-d".into(), "-c".into(), setup.write("nsd.conf", &text)?.into_os_string()]))
}

/// Knot DNS, the zone in memory alone.
pub fn knot(setup: &Setup<'_>) -> Result<Invocation> {
    let (ip, port, dir) = (setup.listen.ip(), setup.listen.port(), setup.dir.display());
    let workers = setup.workers;
    let mut text = format!(
        "server:\n  rundir: \"{dir}\"\n  listen: {ip}@{port}\n  udp-workers: {workers}\n  tcp-workers: 1\n  \
         background-workers: 1\ndatabase:\n  storage: \"{dir}\"\nlog:\n  - target: stderr\n    any: warning\n"
    );
    if let Task::Zone { file, .. } = setup.task {
        text += &format!(
            "zone:\n  - domain: {ORIGIN}\n    file: \"{}\"\n    zonefile-sync: -1\n    \
             zonefile-load: whole\n    journal-content: none\n",
            file.display()
        );
    }
    Ok(Invocation::new("knotd", ["-c".into(), setup.write("knot.conf", &text)?.into_os_string()]))
}
