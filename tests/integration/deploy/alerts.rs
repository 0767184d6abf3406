//! deploy/prometheus: alert rules name only metrics, labels and values that the program has.

use std::fs;

use serde_json::Value;

use super::{files_below, read, top, yaml_one};

const ALERTS: &str = "deploy/prometheus/alerts.yaml";

fn rules() -> Vec<Value> {
    let file = yaml_one(ALERTS);
    let groups = file["groups"].as_array().expect("groups").clone();
    groups.iter().flat_map(|group| group["rules"].as_array().expect("rules").clone()).collect()
}

fn text<'a>(rule: &'a Value, pointer: &str) -> &'a str {
    rule.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {rule}"))
}

/// The source of every file below `dir`, without its test modules.
fn source(dir: &str) -> String {
    let files = files_below(dir).into_iter().filter(|path| path.ends_with(".rs"));
    files.map(|path| read(&path).split("#[cfg(test)]").next().unwrap_or_default().to_owned()).collect()
}

/// The words of an expression that could be metric names.
fn metrics(expr: &str) -> Vec<&str> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    expr.split(word).filter(|w| w.starts_with("zonelet_") || w.starts_with("process_")).collect()
}

/// The matchers within the braces of an expression: label, and the values it may have.
fn matchers(expr: &str) -> Vec<(&str, Vec<&str>)> {
    let inside = expr.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let pairs = inside.flat_map(|list| list.split(',')).filter_map(|pair| pair.split_once('"'));
    pairs
        .map(|(label, values)| {
            (
                label.trim_end_matches(['=', '~', '!']).trim(),
                values.trim_end_matches('"').split('|').collect(),
            )
        })
        .collect()
}

/// A metric's name in the source; a histogram is described by the name without its suffix.
fn is_described(metric: &str, source: &str) -> bool {
    let stems = ["_bucket", "_sum", "_count"].iter().filter_map(|suffix| metric.strip_suffix(suffix));
    stems.chain([metric]).any(|name| source.contains(&format!("\"{name}\"")))
}

#[test]
fn alerts_name_metrics_that_exist() {
    let source = source("src/metrics");
    for rule in rules() {
        let expr = text(&rule, "/expr");
        for metric in metrics(expr) {
            assert!(is_described(metric, &source), "{}: no metric {metric}", text(&rule, "/alert"));
        }
    }
}

#[test]
fn alerts_select_labels_and_values_that_exist() {
    let source = source("src");
    let known = |word: &str| source.contains(&format!("\"{word}\""));
    for rule in rules() {
        for (label, values) in matchers(text(&rule, "/expr")) {
            // Prometheus' own label, and the one of kube-state-metrics.
            if label == "job" || label == "container" {
                assert_eq!(values, ["zonelet"]);
                continue;
            }
            assert!(known(label), "{}: no label {label}", text(&rule, "/alert"));
            for value in values {
                assert!(known(value), "{}: {label} is never {value}", text(&rule, "/alert"));
            }
        }
    }
}

#[test]
fn each_alert_says_what_happened_and_what_to_do() {
    let mut names = std::collections::BTreeSet::new();
    for rule in rules() {
        let name = text(&rule, "/alert").to_owned();
        assert!(name.starts_with("Zonelet"), "{name}");
        assert!(["critical", "warning"].contains(&text(&rule, "/labels/severity")), "{name}");
        for annotation in ["/annotations/summary", "/annotations/action"] {
            let text = text(&rule, annotation);
            assert!(text.len() > 20 && text.ends_with(['.', '`']), "{name}: {annotation}");
            assert_eq!(text.matches("{{").count(), text.matches("}}").count(), "{name}: {annotation}");
        }
        let expr = text(&rule, "/expr");
        for (open, close) in [('(', ')'), ('{', '}'), ('[', ']')] {
            assert_eq!(expr.matches(open).count(), expr.matches(close).count(), "{name}: {expr}");
        }
        assert!(names.insert(name), "an alert's name is used once");
    }
}

#[test]
fn alerts_name_config_keys_that_exist() {
    let example = fs::read_to_string(top("config.toml")).expect("config.toml");
    for rule in rules() {
        let action = text(&rule, "/annotations/action").to_owned();
        let words = action.split(|c: char| c.is_whitespace() || ",;:()`".contains(c));
        for word in words.map(|word| word.trim_end_matches('.')) {
            let Some((section, key)) = word.split_once('.') else { continue };
            let known = ["server", "admin", "source", "forward", "cache", "limits", "drain", "state", "log"];
            if !known.contains(&section) {
                continue;
            }
            let line = |line: &str| line.trim_start_matches(['#', ' ']).starts_with(&format!("{key} "));
            assert!(example.lines().any(line), "{}: config.toml has no {word}", text(&rule, "/alert"));
        }
    }
}
