//! The configuration that comes with the program, held against the defaults.

use super::*;

/// The checked-in file with its commented block switched on.
fn uncommented() -> String {
    let switch_on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => rest.to_owned(),
        _ => line.to_owned(),
    };
    include_str!("../../../config.toml").lines().map(switch_on).collect::<Vec<_>>().join("\n")
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
