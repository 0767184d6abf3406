//! Commands while the file on disk is broken and the last good configuration is at work.

use crate::harness::program::{Home, forward, until, upstream};

#[test]
fn commands_find_the_running_program_while_its_file_is_broken() {
    let upstream = upstream(|question| question.address(60, 7));
    let good = format!("[state]\ndir = 'state'\n{}", forward(upstream.addr));
    let home = Home::new(&good);
    let program = home.start();
    assert!(program.ask("www.test A").starts_with("NOERROR"));
    // It is kept a moment after the first query is answered.
    until("the good file to be kept", || home.path("state/config.last-good.toml").exists().then_some(()));
    // Neither where the socket is nor what is wrong can be read.
    home.put("config.toml", "[state]\ndir = 'state'\n[admin\nsocket = = 1\nnonsense\n");
    for command in [&["zones"][..], &["flush"], &["top", "--json"], &["explain", "www.test"]] {
        let output = home.run(command);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{command:?}: {said}");
        assert!(said.contains("in the configuration; asking ") && said.contains("admin.sock"), "{said}");
        assert!(said.contains("as the last good one says") && said.lines().count() == 1, "{said}");
    }
    // Who names the socket hears nothing of the file.
    let output = home.run(&["zones", "--socket", home.path("admin.sock").to_str().unwrap()]);
    assert!(output.status.success() && output.stderr.is_empty());
    assert_eq!(home.run(&["check"]).status.code(), Some(2));
}

#[test]
fn where_no_configuration_was_kept_the_problems_are_listed_with_what_helps() {
    let home = Home::new("");
    home.put("config.toml", "[cache]\nmax_tll = '1s'\n");
    let output = home.run(&["zones"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("cache.max_tll: unknown key") && said.contains("with --socket"), "{said}");
}
