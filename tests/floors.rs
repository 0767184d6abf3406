//! Imports go down only: each `use crate::` line is held against the floors of ARCHITECTURE.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Rooms by floor, from the ground up.
const FLOORS: [&[&str]; 9] = [
    &["wire", "clock", "sys"],
    // On the ground, too, but its labels are made of wire's numbers.
    &["metrics"],
    // What is seen of queries: below `answer`, which reports to it, and in need of no other room.
    &["zone", "cache", "watch"],
    &["source", "upstream"],
    &["answer", "import"],
    &["server", "admin"],
    &["config"],
    &["app"],
    &["main", "cli", "lib"],
];

fn floors() -> BTreeMap<&'static str, usize> {
    FLOORS
        .iter()
        .enumerate()
        .flat_map(|(floor, rooms)| rooms.iter().map(move |room| (*room, floor)))
        .collect()
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// The rooms that a line of code names behind `crate::`.
fn rooms_named(line: &str) -> Vec<String> {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices("crate::")
        .flat_map(|(at, found)| {
            let rest = &code[at + found.len()..];
            let group = rest.strip_prefix('{').and_then(|g| g.split('}').next());
            group.map_or_else(|| vec![rest], |g| g.split(',').map(str::trim).collect())
        })
        .map(|path| path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect())
        .collect()
}

#[test]
fn imports_go_down_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let floors = floors();
    let mut files = Vec::new();
    sources(&root, &mut files);
    let (mut upward, mut edges) = (Vec::new(), 0);
    for file in files {
        let path = file.strip_prefix(&root).unwrap();
        let first = path.components().next().unwrap().as_os_str().to_str().unwrap();
        let room = first.trim_end_matches(".rs");
        let here = *floors.get(room).unwrap_or_else(|| panic!("{room} has no floor in this test"));
        // Test code may look wherever it needs to.
        let text = fs::read_to_string(&file).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        if path.file_name().is_some_and(|f| f.to_str().is_some_and(|f| f.ends_with("tests.rs"))) {
            continue;
        }
        for (number, line) in code.lines().enumerate() {
            for named in rooms_named(line) {
                let Some(&there) = floors.get(named.as_str()) else { continue };
                edges += usize::from(named != room);
                if named != room && there >= here {
                    upward.push(format!("src/{}:{} names {named}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(edges > 10, "only {edges} edges were read: the reader is broken");
    assert!(upward.is_empty(), "upward or sideways edges:\n{}", upward.join("\n"));
}

#[test]
fn the_reader_of_import_lines_sees_groups_and_ignores_comments() {
    assert_eq!(rooms_named("use crate::wire::{Name, Rtype};"), ["wire"]);
    assert_eq!(rooms_named("use crate::{cache, zone::Zone};"), ["cache", "zone"]);
    assert_eq!(rooms_named("// use crate::app"), [""; 0]);
}
