//! The repository's own configuration, started as the README does.

use crate::harness::dns::{Via, asked};
use crate::harness::program::Home;

#[test]
fn the_repositorys_configuration_starts_and_answers_as_the_readme_says() {
    let root = env!("CARGO_MANIFEST_DIR");
    let mut home = Home::new("");
    let text = std::fs::read_to_string(format!("{root}/config.toml")).unwrap();
    // Its relative paths start at its own directory.
    std::fs::create_dir(home.path("examples")).unwrap();
    std::fs::copy(format!("{root}/examples/nick.test.json"), home.path("examples/nick.test.json")).unwrap();
    home.put("config.toml", &text);
    home.variable("ZONELET_SERVER__LISTEN", "127.0.0.1:0").variable("ZONELET_ADMIN__LISTEN", "127.0.0.1:0");
    let program = home.start();
    let banner = program.banner().join("\n");
    assert!(banner.contains("serves nick.test. ("), "{banner}");
    let line = format!("try: dig @127.0.0.1 -p {} ", program.addr().port());
    assert!(banner.contains(&line), "{banner}");
    assert!(banner.contains(".nick.test."), "an example that exists: {banner}");
    let nginx = "NOERROR aa; nginx.nick.test. 3600 A 172.31.52.184";
    for via in [Via::Udp, Via::Tcp] {
        let ask = |question: &str| asked(question).edns(1232, false);
        assert_eq!(program.ask_via(via, &ask("nginx.nick.test. A")), nginx);
        let missing = program.ask_via(via, &ask("no-such-name.nick.test. A"));
        assert_eq!(missing, "NXDOMAIN aa | nick.test. 30 SOA");
    }
    assert_eq!(program.ask("localhost. A"), "NOERROR aa; localhost. 10800 A 127.0.0.1");
    assert_eq!(program.get("/livez").0, 200);
    let (code, log) = program.terminate();
    assert_eq!(code, Some(0), "{log:#?}");
}
