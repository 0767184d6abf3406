//! The whole surface: defaults, every kind of refusal, overrides.

mod answers;
mod choosing;
mod encrypted;
mod environment;
mod forwards;
mod health;
mod secure;
mod shipped;
mod sources;

use super::*;

fn read(text: &str) -> Result<Config, Problems> {
    Config::from_text(text, "c", &Environment::default())
}

fn with(text: &str, variables: &[(&str, &str)]) -> Result<Config, Problems> {
    Config::from_text(text, "c", &variables.iter().copied().collect())
}

fn lines(result: Result<Config, Problems>) -> Vec<String> {
    match result {
        Ok(config) => panic!("no problem found: {config:?}"),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

/// The only problem of `text`.
fn problem(text: &str) -> String {
    let found = lines(read(text));
    assert_eq!(found.len(), 1, "{found:#?}");
    found.concat()
}

fn warnings(text: &str) -> Vec<String> {
    read(text).unwrap().warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_given_is_the_defaults() {
    assert_eq!(read("").unwrap(), Config::default());
    assert_eq!(Config::load(None, &Environment::default()).unwrap(), Config::default());
    assert_eq!(Config::default().needs_restart(&Config::default()), Vec::<&str>::new());
}

#[test]
fn all_problems_of_a_file_come_at_once_in_its_order() {
    let text = "\
[server]
lisen = ['127.0.0.1:53']
workers = 0
access = ['10.0.0.1/8', 'privat']
[cache]
max_bytes = 64
max_ttl = '1w'
[[source]]
kind = 'files'
[[forward]]
domain = '.'
upstreams = ['udp://1.1.1.1:530', 'dns.example']
[sever]
";
    let found = lines(read(text));
    let want = [
        "c:2:1: server.lisen: unknown key; did you mean `listen`?",
        "c:3:11: server.workers: must be above zero",
        "c:4:11: server.access[0]: \"10.0.0.1/8\" has bits set behind its prefix; write \"10.0.0.0/8\"",
        "c:4:25: server.access[1]: \"privat\" is not a network; write",
        "c:6:13: cache.max_bytes: expected a size with a unit, found an integer; write \"64B\"",
        "c:7:11: cache.max_ttl: \"1w\" is not a time; write a whole number and a unit out of ms, s, m, h, d",
        "c:9:8: source[0].kind: unknown value \"files\"; did you mean \"file\"?",
        "c:12:14: forward[0].upstreams[0]: not a scheme here; write \"1.1.1.1:530\"",
        "c:12:35: forward[0].upstreams[1]: \"dns.example\" is a host name, and zonelet is what would",
        "c:13:2: sever: unknown key; did you mean `server`?",
    ];
    assert_eq!(found.len(), want.len(), "{found:#?}");
    for (found, want) in found.iter().zip(want) {
        assert!(found.starts_with(want), "{found}\nis not\n{want}");
    }
}

#[test]
fn errors_of_syntax_do_not_hide_other_problems() {
    let found = lines(read("[server]\nlisten = 127.0.0.1:53\n[cache]\nmax_ttl = '0s'\nmax_ttl = '1s'\n"));
    assert!(found[0].starts_with("c:2:15: "), "{found:#?}");
    assert!(found.iter().any(|p| p == "c:4:11: cache.max_ttl: must be above zero"), "{found:#?}");
    assert!(found.iter().any(|p| p.starts_with("c:5:1: duplicate key")), "{found:#?}");
}

#[test]
fn a_key_of_another_section_is_sent_home() {
    assert_eq!(
        problem("[limits]\nmax_bytes = '1MiB'"),
        "c:2:1: limits.max_bytes: unknown key; it belongs in [cache]"
    );
}

#[test]
fn listeners_are_whole_addresses() {
    for (text, fix) in [
        ("127.0.0.1", "has no port; write \"127.0.0.1:5300\""),
        ("::1", "has no port; write \"[::1]:5300\""),
        ("[::1]", "has no port; write \"[::1]:5300\""),
        (":53", "has no address; write \"127.0.0.1:53\""),
        ("53", "has no address; write \"127.0.0.1:53\""),
        ("localhost:53", "\"localhost\" is a host name, an address is needed; write"),
        ("127.0.0.1:99999", "is not an address and port; write"),
        ("224.0.0.1:53", "is a multicast address"),
        ("", "is not an address and port; write"),
    ] {
        let found = problem(&format!("[server]\nlisten = ['{text}']"));
        assert!(found.contains(fix), "{found}");
    }
    assert!(problem("[server]\nlisten = []").contains("the list is empty; write [\"127.0.0.1:5300\"]"));
    assert!(problem("[server]\nlisten = '127.0.0.1:53'").contains("expected a list, found a string"));
    let twice = problem("[server]\nlisten = ['[::1]:53', '[0::1]:53']");
    assert!(twice.contains("server.listen[1]: is in the list twice; remove one"), "{twice}");
}

#[test]
fn times_and_sizes_carry_units_that_exist() {
    for (value, fix) in [
        ("30", "found an integer; write \"30s\""),
        ("'30'", "write a whole number and a unit"),
        ("'30 sec'", "write \"30s\""),
        ("'5min'", "write \"5m\""),
        ("'1.5h'", "is not a time; write"),
        ("'-1s'", "is not a time; write"),
        ("'99999999999999999999s'", "is not a time; write"),
        ("'18446744073709551615d'", "must be between 100ms and 1h"),
        ("'0s'", "must be above zero"),
        ("'50ms'", "must be between 100ms and 1h"),
        ("true", "expected a string, found a boolean"),
        ("1979-05-27", "expected a string, found a date"),
    ] {
        let found = problem(&format!("[limits]\ntcp_idle = {value}"));
        assert!(found.contains(fix), "{found}");
    }
    for (value, fix) in [
        ("'64MB'", "write \"64MiB\""),
        ("'64Mi'", "write \"64MiB\""),
        ("'64mib'", "write \"64MiB\""),
        ("'64 bananas'", "out of B, KiB, MiB, GiB"),
        ("'0'", "must be above zero"),
        ("'1KiB'", "must be between 64KiB and 1024GiB"),
    ] {
        let found = problem(&format!("[cache]\nmax_bytes = {value}"));
        assert!(found.contains(fix), "{found}");
    }
    let config = read("[cache]\nmax_bytes = '1 GiB'\nmax_negative_ttl = '0s'").unwrap();
    assert_eq!(config.cache.max_bytes, 1 << 30);
    assert_eq!(config.cache.max_negative_ttl, Duration::ZERO);
}

#[test]
fn paths_start_at_the_directory_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::write(dir.path().join("zone.json"), "{}").unwrap();
    std::fs::write(&file, "[[source]]\nkind='file'\npath='zone.json'\nzone='A.test'\n[state]\ndir='state'\n")
        .unwrap();
    let config = Config::load(Some(&file), &Environment::default()).unwrap();
    assert_eq!(config.warnings, []);
    assert_eq!(config.import.state_dir, Some(dir.path().join("state")));
    let settings = FileSettings {
        path: dir.path().join("zone.json"),
        zone: Some("a.test".parse().unwrap()),
        region: None,
    };
    assert_eq!(config.sources[0].kind, SourceKind::File(settings));
    assert_eq!(config.sources[0].policy.expected, ["a.test".parse().unwrap()]);
    assert!(
        warnings("[[source]]\nkind = 'file'\npath = 'missing'")[0]
            .contains("source[0].path: missing does not exist")
    );
}

#[test]
fn unreadable_files_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let none = Environment::default();
    let file = dir.path().join("config.toml");
    let missing = lines(Config::load(Some(&file), &none)).concat();
    assert!(missing.contains("config.toml: cannot be read: "), "{missing}");
    assert!(lines(Config::load(Some(dir.path()), &none)).concat().contains("cannot be read: "));
    std::fs::write(&file, b"# ok\n\xff\n").unwrap();
    assert!(lines(Config::load(Some(&file), &none)).concat().contains("is not UTF-8 at line 2"));
    std::fs::write(&file, vec![b'#'; (1 << 20) + 1]).unwrap();
    assert!(lines(Config::load(Some(&file), &none)).concat().contains("is larger than 1MiB"));
}

#[test]
fn open_doors_are_warned_about_unless_they_were_opened_on_purpose() {
    let open = warnings("[server]\nlisten = ['0.0.0.0:53']\n[admin]\nlisten = '0.0.0.0:9253'");
    assert_eq!(open.len(), 2, "{open:?}");
    assert!(open[0].starts_with("c:2:10: server.listen: 0.0.0.0:53 may be reached"), "{open:?}");
    assert!(open[1].starts_with("c:4:10: admin.listen: "), "{open:?}");
    for quiet in [
        "[server]\nlisten = ['0.0.0.0:53']\naccess = ['any']",
        "[server]\nlisten = ['169.254.20.10:53', '10.1.2.3:53', '[fd00::1]:53', '100.64.0.1:53']",
    ] {
        assert_eq!(warnings(quiet), Vec::<String>::new(), "{quiet}");
    }
    assert!(problem("[admin]\nlisten = '127.0.0.1:5300'").contains("is in server.listen as well"));
}

#[test]
fn the_drain_waits_only_where_others_are_sent_here() {
    let drain = |text: &str| read(text).unwrap().drain;
    assert_eq!(drain("").delay, Duration::ZERO);
    assert_eq!(drain("[server]\nlisten = ['10.0.0.1:53', '127.0.0.1:53']").delay, Duration::from_secs(5));
    assert_eq!(drain("[drain]\ndelay = '7s'\ngrace = '0s'").delay, Duration::from_secs(7));
    assert!(problem("[drain]\ndelay = '10m'").contains("must be between 0ms and 5m"));
}

#[test]
fn log_levels_that_mean_nothing_are_refused() {
    let level = |text: &str| read(&format!("[log]\nlevel = '{text}'"));
    assert_eq!(lines(level("inof")), ["c:2:9: log.level: \"inof\" is not a level; did you mean \"info\"?"]);
    assert!(lines(level("zonelet=loud")).concat().contains("\"zonelet=loud\" is not a filter"));
    assert!(lines(level("")).concat().contains("\"\" is not a level; write"));
    for good in ["off", "WARN", "info,zonelet::import=debug"] {
        assert_eq!(level(good).unwrap().log.level, good);
    }
    assert_eq!(read("[log]\nformat = 'json'").unwrap().log.format, LogFormat::Json);
}

#[test]
fn what_needs_a_restart_is_told_from_what_does_not() {
    let old = Config::default();
    let text = "\
[server]
listen = ['127.0.0.1:1']
access = ['loopback']
[admin]
listen = ''
[cache]
max_ttl = '1h'
[state]
dir = 's'
[limits]
tcp_idle = '1s'
waiters = 1
receive_buffer = '1MiB'
";
    let new = read(text).unwrap();
    assert_eq!(
        old.needs_restart(&new),
        ["server.listen", "limits.receive_buffer", "admin.listen", "state.dir"]
    );
}
