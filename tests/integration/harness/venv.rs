//! A Python environment with moto and boto3, made once under target/ and kept.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::packages;
use super::python::repository;

/// The environment's interpreter. The first call on a machine installs from PyPI, which takes a
/// minute; every later one finds it there.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let wanted = fs::read_to_string(repository("tests/integration/harness/requirements.txt"))
            .expect("the requirements are in the repository");
        // Other test processes may want it at the same time.
        let lock = File::create(root.join("venv.lock")).expect("target/ can be written to");
        lock.lock().expect("files under target/ can be locked");
        let venv = root.join("venv");
        let done = venv.join("installed.txt");
        if fs::read_to_string(&done).ok().as_ref() != Some(&wanted) {
            install(&venv);
            fs::write(done, wanted).expect("target/ can be written to");
        }
        venv.join("bin/python")
    })
}

fn install(venv: &Path) {
    // One that was left half made is of no use.
    let _ = fs::remove_dir_all(venv);
    let can_make_one = || Command::new("python3").args(["-c", "import ensurepip"]).status();
    packages::provide("python3-venv", || can_make_one().is_ok_and(|status| status.success()));
    run(Command::new("python3").args(["-m", "venv"]).arg(venv), "is python3 whole?");
    run(
        Command::new(venv.join("bin/python"))
            .args(["-m", "pip", "install", "--disable-pip-version-check", "--quiet", "-r"])
            .arg(repository("tests/integration/harness/requirements.txt")),
        "the package index of Python must be reachable on the first run",
    );
}

fn run(command: &mut Command, hint: &str) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}; {hint}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{command:?} failed; {hint}\n{}{}",
        text(&output.stdout),
        text(&output.stderr)
    );
}
