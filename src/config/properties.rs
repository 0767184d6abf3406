//! Whatever stands in a file or a variable: problems with a place, never a panic.

use proptest::prelude::*;

use super::{Config, Environment, Place, Problems};

const EVERYTHING: &str = include_str!("../../config.toml");

fn holds(result: Result<Config, Problems>) {
    let Err(problems) = result else { return };
    assert!(problems.len() > 0);
    for problem in problems.iter() {
        assert!(!problem.what.is_empty() && problem.place != Place::Defaults, "{problem}");
        if let Place::Position { line, column, .. } = &problem.place {
            assert!(*line > 0 && *column > 0, "{problem}");
        }
    }
}

fn key() -> impl Strategy<Value = String> {
    let keys: Vec<String> = EVERYTHING
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once(" = "))
        .map(|(key, _)| key.to_owned())
        .filter(|key| key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
        .collect();
    prop::sample::select(keys)
}

fn value() -> impl Strategy<Value = String> {
    let plain =
        ["''", "0", "-1", "9223372036854775807", "nan", "true", "[]", "{}", "[[]]", "1979-05-27", "'auto'"];
    prop_oneof![
        prop::sample::select(plain.map(str::to_owned).to_vec()),
        "'[0-9]{0,20}[a-zA-Z/%]{0,4}'",
        "\\['[0-9.:/\\[\\]]{0,20}'\\]",
        "'[^'\\n\\r]{0,12}'",
    ]
}

proptest! {
    #[test]
    fn a_damaged_file_is_read_or_refused(at in 0..EVERYTHING.len(), cut in 0usize..40, put in ".{0,8}") {
        let start = (0..=at).rev().find(|&i| EVERYTHING.is_char_boundary(i)).unwrap();
        let end = (at + cut..).find(|&i| i >= EVERYTHING.len() || EVERYTHING.is_char_boundary(i)).unwrap();
        let text = [&EVERYTHING[..start], &put, EVERYTHING.get(end..).unwrap_or("")].concat();
        holds(Config::from_text(&text, "c", &Environment::default()));
    }

    #[test]
    fn any_value_of_any_key_is_read_or_refused(
        section in prop::sample::select(vec![
            "[server]", "[admin]", "[[source]]\nkind = 'file'", "[[source]]\nkind = 'route53'", "[[forward]]",
            "[cache]", "[limits]", "[special]", "[drain]", "[state]", "[log]", "[dnstap]", "[query_log]", "[top]",
        ]),
        lines in prop::collection::btree_map(key(), value(), 1..4),
    ) {
        let lines: Vec<String> = lines.iter().map(|(key, value)| format!("{key} = {value}")).collect();
        holds(Config::from_text(&format!("{section}\n{}", lines.join("\n")), "c", &Environment::default()));
    }

    #[test]
    fn any_variable_is_read_refused_or_left_alone(name in "[A-Z_]{0,20}", key in key(), text in ".{0,30}") {
        let variables = [
            (format!("ZONELET_{name}"), text.clone()),
            (format!("ZONELET_SERVER__{}", key.to_ascii_uppercase()), text.clone()),
            (format!("ZONELET_LIMITS__{}", key.to_ascii_uppercase()), text.clone()),
            ("ZONELET_SOURCE".to_owned(), text),
        ];
        holds(Config::from_text("", "c", &variables.into_iter().collect()));
    }
}
