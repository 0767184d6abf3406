//! Peers from Debian: installed where they are missing, their services never started.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::bench::LeftOut;
use super::process::path;
use super::servers::Server;

/// Asked by Debian's packages whether they may start what they installed; 101 says no.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Whether a program can be found.
pub fn is_there(program: &str) -> bool {
    path().split(':').any(|dir| Path::new(dir).join(program).is_file())
}

/// Installs what `servers` lack, if it may; who is left out then, and why.
pub fn install(servers: &[&Server], may_install: bool) -> Vec<LeftOut> {
    let missing = || servers.iter().filter(|server| server.package.is_some() && !is_there(&server.program));
    let packages: Vec<&str> = missing().filter_map(|server| server.package).collect();
    let reason = match packages.is_empty() {
        true => return Vec::new(),
        false if !may_install => "not installed, and not to be".to_owned(),
        false => {
            eprintln!("installing {}", packages.join(" "));
            apt_get(&packages).err().unwrap_or_else(|| "its package has no such program".into())
        }
    };
    let left_out = missing().map(|server| {
        let package = server.package.unwrap_or_default();
        LeftOut::new(&server.name, format!("{} of package {package}: {reason}", server.program))
    });
    left_out.collect()
}

/// The version of a package, as dpkg names it.
pub fn version(package: &str) -> Option<String> {
    let out = Command::new("dpkg-query").args(["-W", "-f=${Version}", package]).output().ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
}

fn apt_get(packages: &[&str]) -> Result<(), String> {
    let _forbidden = NoServices::new();
    let run = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command.arg("-q").args(args).env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        command.stdout(Stdio::null());
        match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("apt-get {}: {status}", args.first().unwrap_or(&""))),
            Err(error) => Err(format!("apt-get: {error}")),
        }
    };
    run(&["update"])?;
    // One by one: one that cannot be had is not to keep the others away.
    let mut failed = Ok(());
    for package in packages {
        let installed = run(&["install", "-y", "--no-install-recommends", package]);
        if installed.is_err() {
            failed = installed;
            continue;
        }
        for service in [package, package.trim_end_matches('9')] {
            let mut disable = Command::new("systemctl");
            let _ = disable.args(["disable", service]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
    failed
}

/// Keeps packages from starting services, as long as it lives.
struct NoServices(bool);

impl NoServices {
    /// Where the host has a policy already, that one stays.
    fn new() -> Self {
        if Path::new(POLICY).exists() || fs::write(POLICY, "#!/bin/sh\nexit 101\n").is_err() {
            return Self(false);
        }
        Self(fs::set_permissions(POLICY, fs::Permissions::from_mode(0o755)).is_ok())
    }
}

impl Drop for NoServices {
    fn drop(&mut self) {
        if self.0 {
            let _ = fs::remove_file(POLICY);
        }
    }
}
