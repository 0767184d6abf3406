//! deploy/systemd: the unit is accepted by systemd, hardened, and runs the program as it is.

use std::fs;

use super::{read, tool};
use crate::harness::packages;

const UNIT: &str = "deploy/systemd/zonelet.service";
const BINARY: &str = "/usr/bin/zonelet";

fn values(key: &str) -> Vec<String> {
    let start = format!("{key}=");
    read(UNIT).lines().filter_map(|line| line.strip_prefix(&start)).map(str::to_owned).collect()
}

/// The unit with the program of this build in place of the installed one, since systemd checks
/// that what a unit starts exists.
fn unit_of_this_build(dir: &tempfile::TempDir) -> std::path::PathBuf {
    let path = dir.path().join("zonelet.service");
    fs::write(&path, read(UNIT).replace(BINARY, env!("CARGO_BIN_EXE_zonelet"))).expect("a unit file");
    path
}

#[test]
fn systemd_accepts_the_unit() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut verify = packages::command("systemd-analyze", "systemd");
    verify.args(["verify", "--man=no"]).arg(unit_of_this_build(&dir));
    let output = tool(&mut verify, "systemd");
    let complaints = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<_> = complaints.lines().filter(|line| line.contains("zonelet.service")).collect();
    assert!(output.status.success() && ours.is_empty(), "{complaints}");
}

#[test]
fn systemd_rates_the_exposure_of_the_unit_as_low() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut rate = packages::command("systemd-analyze", "systemd");
    rate.args(["security", "--no-pager", "--offline=true", "--threshold=20"]).arg(unit_of_this_build(&dir));
    let output = tool(&mut rate, "systemd");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn unit_runs_unprivileged_with_one_capability_and_its_own_directories() {
    for (key, value) in [
        ("DynamicUser", "yes"),
        ("AmbientCapabilities", "CAP_NET_BIND_SERVICE"),
        ("CapabilityBoundingSet", "CAP_NET_BIND_SERVICE"),
        ("NoNewPrivileges", "yes"),
        ("ProtectSystem", "strict"),
        ("MemoryDenyWriteExecute", "yes"),
        ("StateDirectory", "zonelet"),
        ("RuntimeDirectory", "zonelet"),
        ("Restart", "on-failure"),
        ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX AF_NETLINK"),
    ] {
        assert_eq!(values(key), [value], "{key}");
    }
}

#[test]
fn reload_checks_the_same_file_that_start_reads() {
    let start = values("ExecStart").remove(0);
    let reload = values("ExecReload");
    let file = start.split(" --config ").nth(1).expect("a config file");
    assert_eq!(reload, [format!("{BINARY} check --config {file}"), "/bin/kill -HUP $MAINPID".to_owned()]);
}
