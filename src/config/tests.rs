//! The whole surface: defaults, every kind of refusal, overrides.

mod answers;
mod choosing;
mod encrypted;
mod health;
mod secure;

use super::*;
use crate::import::settings::OnUnloaded;
use crate::source::settings::{HintQueue, Role, VpcSelector, ZoneSelector};
use crate::upstream::settings::UpstreamSpec;
use crate::zone::OnMissing;

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

/// The checked-in file with its commented block switched on.
fn uncommented() -> String {
    let switch_on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => rest.to_owned(),
        _ => line.to_owned(),
    };
    include_str!("../../config.toml").lines().map(switch_on).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_checked_in_file_is_the_defaults_and_the_example_zone() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config.toml");
    let config = Config::load(Some(&file), &Environment::default()).unwrap();
    let [Source { kind: SourceKind::File(example), policy }] = config.sources.as_slice() else {
        panic!("one file source, not {:?}", config.sources);
    };
    assert_eq!(example.path, file.with_file_name("examples").join("nick.test.json"));
    assert_eq!(*policy, SourcePolicy::default());
    let others = Config { sources: Vec::new(), warnings: Vec::new(), ..config };
    assert_eq!(others, Config::default());
}

#[test]
fn the_commented_block_is_the_route53_import_at_its_defaults() {
    let config = read(&uncommented()).unwrap();
    let [
        _,
        Source { kind: SourceKind::Route53(settings), policy },
        Source { kind: SourceKind::Hosts(_), .. },
    ] = config.sources.as_slice()
    else {
        panic!("a route53 source, not {:?}", config.sources);
    };
    assert_eq!(*settings, Route53Settings::default());
    let [probe] = policy.probes.as_slice() else { panic!("one probe, not {:?}", policy.probes) };
    assert_eq!((probe.every, probe.rise, probe.fall), (Duration::from_secs(10), 2, 3));
    let others = SourcePolicy { probes: Vec::new(), ..policy.clone() };
    assert_eq!(others, SourcePolicy { calls_per_second: Some(1.0), ..SourcePolicy::default() });
}

#[test]
fn the_checked_in_file_shows_every_key_there_is() {
    let (table, problems) = tree::parse(&uncommented(), &"c".into());
    assert!(problems.is_empty(), "{problems:?}");
    let sink = Sink::default();
    Config::from_sections(
        &Section::root(&table, Place::Defaults, &sink),
        Path::new(""),
        &Environment::default(),
    );
    let shown = uncommented();
    for key in sink.known() {
        let last = key.rsplit('.').next().unwrap();
        let found = shown.lines().any(|line| {
            line.starts_with(&format!("{last} ="))
                || line.trim_matches(['[', ']']).rsplit('.').next() == Some(last)
                || line.contains(&format!("{last} = "))
        });
        assert!(found, "config.toml does not show {key}");
    }
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
fn upstreams_are_addresses_with_brackets_around_ipv6() {
    let forward = |upstream: &str| format!("[[forward]]\ndomain = '.'\nupstreams = ['{upstream}']");
    let plain = |text: &str| UpstreamSpec::Plain(text.parse().unwrap());
    let tcp = |text: &str| UpstreamSpec::Tcp(text.parse().unwrap());
    for (text, spec) in [
        ("system", UpstreamSpec::System),
        ("10.0.0.2", plain("10.0.0.2:53")),
        ("10.0.0.2:5353", plain("10.0.0.2:5353")),
        ("[fd00::2]", plain("[fd00::2]:53")),
        ("[fe80::2%3]:53", plain("[fe80::2%3]:53")),
        ("tcp://10.0.0.2", tcp("10.0.0.2:53")),
        ("tcp://[fd00::2]:54", tcp("[fd00::2]:54")),
    ] {
        let config = read(&forward(text)).unwrap();
        assert_eq!(config.upstream.domains[0].upstreams, [spec], "{text}");
    }
    for (text, fix) in [
        ("fd00::2", "must stand in brackets; write \"[fd00::2]\""),
        ("10.0.0.2:0", "has port 0"),
        ("0.0.0.0", "is no host's address"),
        ("255.255.255.255", "is not a single host's address"),
        ("gopher://10.0.0.2", "unknown scheme \"gopher\""),
        ("udp://10.0.0.2", "not a scheme here; write \"10.0.0.2\""),
        ("", "is not the address of an upstream"),
        ("127.0.0.1:5300", "is where zonelet itself listens"),
    ] {
        let found = problem(&forward(text));
        assert!(found.contains(fix), "{found}");
        assert!(found.starts_with("c:3:14: forward[0].upstreams[0]: "), "{found}");
    }
    let own = "[server]\nlisten = ['0.0.0.0:53']\naccess = ['any']\n[[forward]]\ndomain = '.'\nupstreams = ['127.0.0.1']";
    assert!(problem(own).contains("127.0.0.1:53 is where zonelet itself listens"));
}

#[test]
fn forwards_name_each_domain_once_and_miss_no_key() {
    let found = lines(read("[[forward]]\n[[forward]]\ndomain = 'a..b'\nupstreams = []"));
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found[0].contains("forward[0].domain: is missing; write domain = \".\""), "{found:#?}");
    assert!(found[2].contains("\"a..b\" is not a domain name: empty label"), "{found:#?}");
    let each = |domain: &str| format!("[[forward]]\ndomain = '{domain}'\nupstreams = ['system']\n");
    let twice = problem(&(each("Corp.test.") + &each("corp.test")));
    assert!(twice.contains("forward[1].domain: corp.test. is forwarded twice"), "{twice}");
    assert!(problem(&each("*.corp.test")).contains("a character no domain has"));
    assert!(problem("forward = 5").contains("expected [[forward]] tables, found an integer"));
    let warned = warnings(&each("corp.test"));
    assert!(warned[0].contains("no [[forward]] has domain = \".\""), "{warned:?}");
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
fn a_route53_source_is_read_whole() {
    let text = "\
[[source]]
kind = 'route53'
zones = { vpc = 'vpc-0a1b2c3d', ids = ['/hostedzone/Z0123', 'Z4'], names = ['Corp.Internal.', '*.internal'],
    tags = { team = 'core', env = '*' } }
roles = ['arn:aws:iam::222233334444:role/zonelet', { arn = 'arn:aws:iam::333344445555:role/dns/reader',
    external_id = 'between/us', session_name = 'dns' }]
profiles = true
resolver_rules = true
region = 'eu-central-1'
partition = 'aws'
endpoint = 'http://127.0.0.1:5000'
refresh = '5m'
budget = '30/m'
burst = 3
hints = 'https://sqs.eu-central-1.amazonaws.com/111122223333/zonelet'
negative_ttl_max = '5s'
on_missing = 'forward-nxdomain'
registry_txt = 'drop'
on_missing_zones = { 'CORP.internal' = 'forward-nodata' }
on_unloaded = 'fail'
";
    let config = read(text).unwrap();
    let settings = Route53Settings {
        zones: ZoneSelector {
            vpc: Some(VpcSelector::Id("vpc-0a1b2c3d".into())),
            ids: vec!["Z0123".into(), "Z4".into()],
            names: vec!["corp.internal".into(), "*.internal".into()],
            tags: [("team".into(), "core".into()), ("env".into(), "*".into())].into(),
        },
        public: false,
        region: Some("eu-central-1".into()),
        partition: Some("aws".into()),
        endpoint: Some("http://127.0.0.1:5000".into()),
        health: false,
        calls_per_second: 0.5,
        burst: 3,
        roles: vec![
            Role::new("arn:aws:iam::222233334444:role/zonelet"),
            Role {
                external_id: Some("between/us".into()),
                session_name: "dns".into(),
                ..Role::new("arn:aws:iam::333344445555:role/dns/reader")
            },
        ],
        profiles: true,
        resolver_rules: true,
        hints: Some(HintQueue {
            url: "https://sqs.eu-central-1.amazonaws.com/111122223333/zonelet".into(),
            region: Some("eu-central-1".into()),
        }),
    };
    let policy = SourcePolicy {
        refresh: Duration::from_secs(300),
        calls_per_second: Some(0.5),
        negative_ttl_max: 5,
        on_missing: OnMissing::ForwardNxDomain,
        on_missing_zones: [("corp.internal.".to_owned(), OnMissing::ForwardNoData)].into(),
        drops_registry: true,
        on_unloaded: OnUnloaded::Fail,
        health: None,
        probes: Vec::new(),
        expected: vec!["corp.internal".parse().unwrap()],
    };
    assert_eq!(config.sources, [Source { kind: SourceKind::Route53(settings), policy }]);
}

#[test]
fn two_sources_that_select_alike_are_warned_of() {
    let role = "roles = ['arn:aws:iam::222233334444:role/x']";
    let two = |zones: &str| {
        let text = format!("[[source]]\nkind = 'route53'\n[[source]]\nkind = 'route53'\n{zones}\n{role}\n");
        read(&text).unwrap().warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let warnings = two("");
    assert!(warnings.iter().any(|w| w.contains("source[1].zones: selects zones just as")), "{warnings:?}");
    assert!(!two("zones = { ids = ['Z1'] }").iter().any(|w| w.contains("just as")));
}

#[test]
fn sources_refuse_what_cannot_work() {
    let route53 = |rest: &str| problem(&format!("[[source]]\nkind = 'route53'\n{rest}"));
    for (rest, want) in [
        ("zones = {}", "source[0].zones: selects no zone"),
        ("zones = { tags = {} }", "source[0].zones.tags: names no tag"),
        ("zones = { tags = { team = 1 } }", "source[0].zones.tags.team: expected a string"),
        ("zones = { tags = { '' = 'x' } }", "a tag has a key of 1 to 128 characters"),
        ("zones = { vcp = 'auto', ids = ['Z1'] }", "source[0].zones.vcp: unknown key; did you mean `vpc`?"),
        ("zones = { ids = ['z1'] }", "\"z1\" is not a hosted zone id"),
        ("zones = { vpc = 'prod' }", "\"prod\" is not a VPC; write \"auto\" or"),
        ("zones = { names = ['*'] }", "\"*\" is not a domain name"),
        ("public = true", "public zones belong to no VPC"),
        ("region = 'Frankfurt'", "unknown value \"Frankfurt\"; write \"auto\" or a region"),
        ("region = 'cn-north-1'\npartition = 'aws'", "region cn-north-1 is in partition aws-cn"),
        ("endpoint = '127.0.0.1:5000'", "is not an http:// or https:// URL"),
        ("budget = '0/s'", "must be above zero"),
        ("budget = '1'", "\"1\" is not a rate"),
        ("budget = 'NaN/s'", "\"NaN/s\" is not a rate"),
        ("budget = 1", "found an integer; write \"1/s\""),
        ("burst = 0", "must be above zero"),
        ("hints = 'zonelet-changes'", "\"zonelet-changes\" is not the URL of a queue"),
        ("refresh = '0s'", "must be above zero"),
        ("on_missing = 'forward'", "write one of \"nxdomain\""),
        ("on_missing_zones = { 'a..b' = 'nxdomain' }", "\"a..b\" is not a domain name"),
        ("on_missing_zones = { a = 'nxdomain', 'A.' = 'nxdomain' }", "a. is listed twice"),
        ("path = 'x'", "source[0].path: has no meaning for kind = \"route53\""),
        (
            "roles = ['zonelet']",
            "source[0].roles[0]: \"zonelet\" is not the ARN of a role; write \"arn:aws:iam:",
        ),
        ("roles = ['arn:aws:iam::1:role/x']", "is not the ARN of a role"),
        ("roles = [{ external_id = 'ab' }]", "source[0].roles[0].arn: is missing"),
        ("roles = [{ arn = 'arn:aws:iam::222233334444:role/x', name = 'y' }]", "roles[0].name: unknown key"),
        (
            "roles = [{ arn = 'arn:aws:iam::222233334444:role/x', session_name = 'a b' }]",
            "is not a session name",
        ),
        (
            "roles = ['arn:aws:iam::222233334444:role/x', 'arn:aws:iam::222233334444:role/y']",
            "two roles belong to account 222233334444",
        ),
        ("partition = 'aws-cn'\nroles = ['arn:aws:iam::222233334444:role/x']", "is not in partition aws-cn"),
        ("profiles = true\nzones = { ids = ['Z1'] }", "source[0].profiles: belongs to a VPC"),
        ("resolver_rules = true\nzones = { names = ['a'] }", "source[0].resolver_rules: belongs to a VPC"),
    ] {
        let found = route53(rest);
        assert!(found.contains(want), "{found}\nlacks\n{want}");
    }
    let secret = route53("roles = [{ arn = 'arn:aws:iam::222233334444:role/x', external_id = 'spa ce' }]");
    assert!(secret.contains("external_id: is not an external id") && !secret.contains("spa ce"), "{secret}");
    assert!(problem("[[source]]\npath = 'x'").contains("source[0].kind: is missing"));
    assert!(problem("[[source]]\nkind = 'file'").contains("source[0].path: is missing"));
    assert!(problem("[[source]]\nkind = 'file'\npath = ''").contains("source[0].path: is empty"));
    let burst = problem("[[source]]\nkind = 'file'\npath = 'x'\nburst = 3");
    assert!(burst.contains("source[0].burst: has no meaning for kind = \"file\""), "{burst}");
    let queue = "hints = 'https://sqs.us-east-1.amazonaws.com/111122223333/q'\n";
    let hinted = |id: &str| format!("[[source]]\nkind = 'route53'\nzones = {{ ids = ['{id}'] }}\n{queue}");
    let shared = problem(&(hinted("Z1") + &hinted("Z2")));
    assert!(shared.contains("source[1].hints: another source reads the same queue"), "{shared}");
    let twice = "[[source]]\nkind = 'file'\npath = 'x'\n";
    assert!(problem(&twice.repeat(2)).contains("source[1]: the same source is listed twice"));
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
fn variables_override_the_file_under_the_same_checks() {
    let file = "[server]\nlisten = ['127.0.0.1:1']\n[cache]\nmax_ttl = '1h'\n";
    let config = with(
        file,
        &[
            ("ZONELET_SERVER__LISTEN", "127.0.0.1:53, [::1]:53"),
            ("ZONELET_SERVER__WORKERS", "3"),
            ("ZONELET_SPECIAL__ONION", "false"),
            ("ZONELET_ADMIN__LISTEN", ""),
            ("ZONELET_LIMITS__IN_FLIGHT", "7"),
            ("ZONELET_FORWARD", "[{ domain = '.', upstreams = ['10.0.0.2'] }]"),
            ("ZONELET_SERVER__ACCESS", "['loopback']"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.listen, ["127.0.0.1:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
    assert_eq!((config.server.workers, config.answer.max_in_flight), (3, 7));
    assert!(!config.answer.special.onion);
    assert_eq!(config.admin.listen, None);
    assert_eq!(config.answer.access.len(), 2);
    assert_eq!(config.cache.max_ttl, Duration::from_secs(3600));
    assert_eq!(config.upstream.domains[0].upstreams, [UpstreamSpec::Plain("10.0.0.2:53".parse().unwrap())]);
}

#[test]
fn problems_of_variables_name_the_variable() {
    let found = lines(with(
        "[limits]\nin_flight = 0",
        &[
            ("ZONELET_SERVER__LISEN", "127.0.0.1:53"),
            ("ZONELET_SERVER__WORKERS", "many"),
            ("ZONELET_LIMITS__WAITERS", "few"),
            ("ZONELET_SPECIAL__ONION", "no"),
            ("ZONELET_SOURCE", "zone.json"),
            ("ZONELET_FORWARD__0__DOMAIN", "."),
        ],
    ));
    let want = [
        "c:2:13: limits.in_flight: must be above zero",
        "ZONELET_FORWARD__0__DOMAIN: forward.0.domain: a list of tables is set whole; write ZONELET_FORWARD=",
        "ZONELET_LIMITS__WAITERS: limits.waiters: expected an integer, found a string",
        "ZONELET_SERVER__LISEN: server.lisen: unknown key; did you mean `listen`?",
        "ZONELET_SERVER__WORKERS: server.workers: \"many\" is not a number of threads; write \"auto\" or 2",
        "ZONELET_SOURCE: source: not a TOML list of tables: ",
        "ZONELET_SPECIAL__ONION: special.onion: expected true or false, found a string",
    ];
    assert_eq!(found.len(), want.len(), "{found:#?}");
    for (found, want) in found.iter().zip(want) {
        assert!(found.starts_with(want), "{found}\nis not\n{want}");
    }
}

#[test]
fn variables_that_kubernetes_sets_for_a_service_named_zonelet_are_left_alone() {
    let service = [
        ("ZONELET_SERVICE_HOST", "10.100.0.53"),
        ("ZONELET_SERVICE_PORT", "53"),
        ("ZONELET_PORT", "udp://10.100.0.53:53"),
        ("ZONELET_PORT_53_UDP_ADDR", "10.100.0.53"),
        ("ZONELET_CONFIG", "/etc/zonelet/config.toml"),
    ];
    assert_eq!(with("", &service).unwrap(), Config::default());
}

#[test]
fn a_variable_short_of_an_underscore_is_warned_about() {
    let config = with("", &[("ZONELET_SERVER_LISTEN", "127.0.0.1:53")]).unwrap();
    assert_eq!(config.server, Config::default().server);
    let [warning] = config.warnings.as_slice() else { panic!("{:?}", config.warnings) };
    assert!(warning.to_string().contains("did you mean ZONELET_SERVER__LISTEN?"));
}

#[test]
fn directories_of_the_service_manager_are_taken_where_none_is_set() {
    let systemd = [("STATE_DIRECTORY", "/var/lib/zonelet:/other"), ("RUNTIME_DIRECTORY", "/run/zonelet")];
    let config = with("", &systemd).unwrap();
    assert_eq!(config.import.state_dir.as_deref(), Some(Path::new("/var/lib/zonelet")));
    assert_eq!(config.admin.socket.as_deref(), Some(Path::new("/run/zonelet/admin.sock")));
    let config = with("[admin]\nsocket = 'own.sock'\n[state]\ndir = '/srv'", &systemd).unwrap();
    assert_eq!(config.import.state_dir.as_deref(), Some(Path::new("/srv")));
    assert_eq!(config.admin.socket.as_deref(), Some(Path::new("own.sock")));
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
fn failures_are_remembered_within_rfc_9520() {
    assert!(problem("[cache]\nfailure_ttl = '500ms'").contains("must be between 1s and 5m"));
    assert!(problem("[cache]\nmax_failure_ttl = '6m'").contains("must be between 1s and 5m"));
    assert!(problem("[cache]\nfailure_ttl = '1m'").contains("failure_ttl is above max_failure_ttl"));
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
