//! deploy/image: the two ways of building say the same, and fit the crate.

use std::process::Command;

use super::{VERSION, read, tool, top};

const DOCKERFILE: &str = "deploy/image/Dockerfile";
const SCRIPT: &str = "deploy/image/build.sh";

/// The value of `key = "value"` in Cargo.toml.
fn cargo_value(key: &str) -> String {
    let manifest = read("Cargo.toml");
    let start = format!("{key} = \"");
    let line = manifest.lines().find_map(|line| line.strip_prefix(&start)).expect(key);
    line.split('"').next().expect(key).to_owned()
}

/// The instructions of the Dockerfile, continued lines joined.
fn instructions() -> Vec<String> {
    let text = read(DOCKERFILE).replace("\\\n", " ");
    text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#')).map(str::to_owned).collect()
}

fn last(instruction: &str) -> String {
    let found = instructions().into_iter().rfind(|line| line.starts_with(&format!("{instruction} ")));
    found.unwrap_or_else(|| panic!("{DOCKERFILE} has no {instruction}"))[instruction.len() + 1..].to_owned()
}

#[test]
fn dockerfile_ends_from_scratch_as_a_numeric_user_without_a_shell() {
    assert_eq!(last("FROM"), "scratch");
    let user = last("USER");
    let ids: Vec<u32> = user.split(':').map(|id| id.parse().expect("a numeric user")).collect();
    assert!(ids.len() == 2 && ids.iter().all(|&id| id > 0), "USER {user}");
    assert_eq!(last("ENTRYPOINT"), r#"["/zonelet"]"#);
    assert_eq!(last("CMD"), r#"["run"]"#);
    let last_stage: Vec<_> =
        instructions().into_iter().rev().take_while(|l| !l.starts_with("FROM ")).collect();
    assert!(!last_stage.iter().any(|line| line.starts_with("RUN ")), "nothing runs in the last stage");
}

#[test]
fn dockerfile_pins_the_compiler_that_cargo_asks_for_and_labels_the_crate() {
    let text = read(DOCKERFILE);
    assert!(text.contains(&format!("ARG RUST_VERSION={}\n", cargo_value("rust-version"))));
    let labels = last("LABEL");
    for (label, value) in [
        ("title", cargo_value("name")),
        ("version", VERSION.to_owned()),
        ("description", cargo_value("description")),
        ("licenses", cargo_value("license")),
    ] {
        let label = format!("org.opencontainers.image.{label}=\"{value}\"");
        assert!(labels.contains(&label), "{DOCKERFILE} lacks {label}");
    }
    assert!(!text.contains(":latest"));
}

#[test]
fn script_and_dockerfile_make_the_same_image() {
    let (script, dockerfile) = (read(SCRIPT), read(DOCKERFILE));
    let user = last("USER");
    assert!(script.contains(&format!("UID_IN_IMAGE={}\n", user.split(':').next().expect("a user"))));
    assert!(script.contains(&format!("--workingdir {}", last("WORKDIR"))));
    assert!(script.contains(&format!("--entrypoint '{}' --cmd run", last("ENTRYPOINT"))));
    for port in last("EXPOSE").split_whitespace() {
        assert!(script.contains(&format!("--port {port}")), "{SCRIPT} lacks port {port}");
    }
    for both in [
        "RUSTFLAGS='-C target-feature=+crt-static --cfg getrandom_backend=\"linux_getrandom\"'",
        "--release --locked --bin zonelet --target \"$target\"",
        "setcap cap_net_bind_service=+ep",
        "/etc/ssl/certs/ca-certificates.crt",
    ] {
        assert!(script.contains(both) && dockerfile.contains(both), "only one of them has {both}");
    }
}

#[test]
fn script_is_valid_shell_and_asks_for_its_packages() {
    let output = tool(Command::new("bash").arg("-n").arg(top(SCRIPT)), "bash");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let script = read(SCRIPT);
    let packages = script.lines().find_map(|l| l.strip_prefix("# Debian packages: ")).expect("its packages");
    for package in ["buildah", "binutils", "ca-certificates", "libcap2-bin", "bind9-dnsutils"] {
        assert!(packages.split(' ').any(|p| p == package), "{SCRIPT} does not list {package}");
        assert!(
            script.lines().any(|l| l.contains("need ") && l.contains(package) || l.contains("fail \"$ROOTS"))
        );
    }
    use std::os::unix::fs::PermissionsExt as _;
    let mode = top(SCRIPT).metadata().expect(SCRIPT).permissions().mode();
    assert_eq!(mode & 0o111, 0o111, "{SCRIPT} can be run");
}
