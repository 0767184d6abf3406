//! Holds docs/metrics.md against the names in this room.
//!
//! Each row of the table there is a `pub const NAME: &str` here and its doc comment. After a change
//! `ZONELET_WRITE_DOCS=1 cargo test --lib metrics::catalogue` writes the table anew.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const HEAD: [&str; 2] = ["| name | type | unit | what it says |", "|---|---|---|---|"];

/// Name to row, for every metric of one source file.
fn rows(source: &str) -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    let mut doc: Vec<&str> = Vec::new();
    let mut lines = source.lines();
    while let Some(line) = lines.next() {
        if let Some(text) = line.strip_prefix("///") {
            doc.push(text.trim());
            continue;
        }
        let comment = std::mem::take(&mut doc).join(" ");
        let Some((constant, rest)) =
            line.strip_prefix("pub const ").and_then(|rest| rest.split_once(": &str ="))
        else {
            continue;
        };
        let value = if rest.trim().is_empty() { lines.next().unwrap_or_default() } else { rest };
        let name = value.trim().trim_end_matches(';').trim_matches('"');
        if !name.starts_with("zonelet_") && !name.starts_with("process_") {
            continue;
        }
        assert!(!comment.is_empty(), "{name} has no doc comment");
        let comment = comment.replace(['[', ']'], "").replace('|', "\\|");
        let kind = kind(source, constant, name);
        rows.insert(name.to_owned(), format!("| `{name}` | {kind} | {} | {comment} |", unit(name)));
    }
    rows
}

fn kind(source: &str, constant: &str, name: &str) -> &'static str {
    if name.ends_with("_total") {
        return "counter";
    }
    let makers = ["histogram!(", "Latency::register("];
    let histogram = makers.iter().any(|maker| source.contains(&format!("{maker}{constant}")));
    if histogram { "histogram" } else { "gauge" }
}

fn unit(name: &str) -> &'static str {
    let name = name.trim_end_matches("_total");
    let unit = ["seconds", "bytes"].into_iter().find(|unit| name.ends_with(&format!("_{unit}")));
    unit.unwrap_or("")
}

fn all_rows() -> BTreeMap<String, String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/metrics");
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let sources = files.filter(|path| path.extension().is_some_and(|ext| ext == "rs"));
    sources.flat_map(|path| rows(&fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn the_documented_metrics_are_exactly_the_ones_there_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
    let text = fs::read_to_string(&path).unwrap();
    let mut table: Vec<String> = HEAD.map(str::to_owned).to_vec();
    table.extend(all_rows().into_values());
    let written: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).collect();
    if written == table {
        return;
    }
    if std::env::var_os("ZONELET_WRITE_DOCS").is_some() {
        let prose: Vec<&str> = text.lines().take_while(|line| !line.starts_with('|')).collect();
        fs::write(&path, format!("{}\n{}\n", prose.join("\n"), table.join("\n"))).unwrap();
        return;
    }
    let missing: Vec<&String> = table.iter().filter(|row| !written.contains(&row.as_str())).collect();
    let stale: Vec<&&str> = written.iter().filter(|row| !table.iter().any(|t| t == **row)).collect();
    panic!(
        "docs/metrics.md is not up to date, missing {missing:#?}, stale {stale:#?}\n\
         write it with: ZONELET_WRITE_DOCS=1 cargo test --lib metrics::catalogue"
    );
}

#[test]
fn names_say_room_thing_and_unit() {
    for name in all_rows().keys() {
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
        assert!(name.split('_').count() >= 3, "{name} lacks its room or thing");
    }
}

#[test]
fn a_row_is_made_of_the_constant_and_its_comment() {
    let source = "/// Time [`X`] takes.\n/// `a|b`.\npub const WAIT: &str =\n    \"zonelet_room_wait_seconds\";\n\
                  pub const OTHER: &str = \"text\";\nfn f() { histogram!(WAIT); }\n";
    let rows: Vec<String> = rows(source).into_values().collect();
    assert_eq!(rows, ["| `zonelet_room_wait_seconds` | histogram | seconds | Time `X` takes. `a\\|b`. |"]);
}
