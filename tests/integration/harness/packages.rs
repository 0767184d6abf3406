//! Programs of Debian packages that the tests run, installed where they are missing.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A command for `program`, which is in the Debian package `package`. Where it is missing the package is
/// installed, by root or by who may become root without a password; anybody else is told to.
pub fn command(program: &str, package: &str) -> Command {
    let path = find(program).unwrap_or_else(|| {
        provide(package, || find(program).is_some());
        find(program).unwrap_or_else(|| panic!("the package {package} is installed without {program}"))
    });
    Command::new(path)
}

/// Has `package` installed unless `is_there` already.
pub fn provide(package: &str, is_there: impl Fn() -> bool) {
    // Other tests may want it at the same time.
    let lock = Path::new(env!("CARGO_TARGET_TMPDIR")).join("packages.lock");
    let lock = File::create(lock).expect("target/ can be written to");
    lock.lock().expect("files under target/ can be locked");
    if !is_there() {
        install(package);
    }
}

/// Looks where Debian installs programs, also those that not every user's PATH leads to.
fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    let dirs = path.split(':').chain(["/usr/bin", "/usr/sbin", "/bin", "/sbin"]);
    dirs.map(|dir| Path::new(dir).join(program)).find(|file| file.is_file())
}

fn install(package: &str) {
    let is_there = |output: &Output| output.status.success();
    let words = ["install", "--yes", "--quiet", "--no-install-recommends", package];
    // The lists of a fresh machine may be old, or not there.
    let output = Some(apt(&words)).filter(is_there).unwrap_or_else(|| {
        apt(&["update", "--quiet"]);
        apt(&words)
    });
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the tests need the Debian package {package}; install it\n{said}");
}

fn apt(words: &[&str]) -> Output {
    let is_root = fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0);
    let become_root: &[&str] = if is_root { &[] } else { &["sudo", "--non-interactive"] };
    let rest = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-o", "DPkg::Lock::Timeout=300"];
    let line = [become_root, &rest, words].concat();
    let output = Command::new(line[0]).args(&line[1..]).output();
    output.unwrap_or_else(|e| panic!("cannot run {line:?}: {e}; install packages as root"))
}
