//! The command lines of deploy/ are such that zonelet takes them.

use std::ffi::OsString;

use zonelet::cli;

use super::kubernetes::{container, workloads};
use super::read;

/// Whether zonelet takes these arguments; with `--help` behind them nothing is carried out.
fn is_taken(arguments: &[&str]) -> bool {
    let all = ["zonelet"].iter().chain(arguments).chain(&["--help"]).map(OsString::from);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = cli::execute(all, &mut out, &mut err, |_| async { Ok(()) });
    code == cli::OK && err.is_empty()
}

/// The arguments of every `zonelet ...` in backquotes, and of every line of code with that in it.
fn quoted(text: &str) -> Vec<Vec<String>> {
    let code = text.lines().filter(|line| line.starts_with("    ")).map(str::trim);
    let inline = text.split('`').skip(1).step_by(2);
    let lines = code.chain(inline).filter_map(|line| {
        let line = line.split(" # ").next()?;
        let start = ["/zonelet ", "zonelet "].iter().find_map(|name| {
            line.strip_prefix(name).or_else(|| line.split_once(&format!(" -- {name}")).map(|(_, rest)| rest))
        })?;
        Some(start.split_whitespace().map(str::to_owned).collect())
    });
    lines.collect()
}

#[test]
fn made_up_flags_are_not_taken() {
    assert!(!is_taken(&["run", "--no-such-flag"]));
    assert!(!is_taken(&["no-such-command"]));
}

#[test]
fn manifests_image_and_unit_start_zonelet_with_arguments_that_it_takes() {
    for (dir, workload) in workloads() {
        let arguments: Vec<_> = container(&workload)["args"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|a| a.as_str())
            .collect();
        assert!(is_taken(&arguments), "{dir}: {arguments:?}");
    }
    let unit = read("deploy/systemd/zonelet.service");
    let commands = unit.lines().filter_map(|line| line.split_once("=/usr/bin/zonelet ")).collect::<Vec<_>>();
    assert_eq!(commands.len(), 2, "start and reload");
    for (key, arguments) in commands {
        assert!(is_taken(&arguments.split(' ').collect::<Vec<_>>()), "{key}: {arguments}");
    }
    let script = read("deploy/image/build.sh");
    let mut count = 0;
    for rest in script.split("\"${inside[@]}\" ").skip(1) {
        let arguments: Vec<_> = rest.split_whitespace().take_while(|w| !w.starts_with(['|', '>'])).collect();
        let arguments: Vec<_> = arguments.into_iter().take(3).filter(|a| *a != "--version").collect();
        assert!(is_taken(&arguments), "build.sh: {arguments:?}");
        count += 1;
    }
    assert_eq!(count, 3);
}

#[test]
fn commands_that_readme_and_alerts_tell_people_to_run_exist() {
    for file in ["deploy/README.md", "deploy/prometheus/alerts.yaml"] {
        let commands = quoted(&read(file));
        assert!(!commands.is_empty(), "{file} shows some command");
        for command in commands {
            let words: Vec<_> = command.iter().map(String::as_str).collect();
            assert!(is_taken(&words), "{file}: zonelet {}", words.join(" "));
        }
    }
}

#[test]
fn unit_does_not_restart_what_a_restart_cannot_mend() {
    let line = format!("RestartPreventExitStatus={}\n", cli::MISUSED);
    assert!(read("deploy/systemd/zonelet.service").contains(&line));
}
