//! The inputs kept of fuzzing, replayed on any compiler through the same entries.

#[path = "fuzz/entries/mod.rs"]
mod entries;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use entries::ENTRIES;

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// What is in a folder, as paths.
fn listed(folder: &Path) -> BTreeSet<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The names of what is in a folder, without extensions.
fn stems(folder: &str) -> BTreeSet<String> {
    listed(&fuzz().join(folder)).iter().map(|p| p.file_stem().unwrap().to_string_lossy().into()).collect()
}

#[test]
fn every_kept_input_leaves_all_that_must_hold_standing() {
    let mut broken = Vec::new();
    for (target, entry) in ENTRIES {
        let inputs = listed(&fuzz().join("corpus").join(target));
        assert!(inputs.len() >= 5, "{target} has hardly any seeds");
        for path in inputs {
            let bytes = fs::read(&path).unwrap();
            // The panic of an entry says what broke; this says with what.
            let held = std::panic::catch_unwind(|| entry(&bytes));
            broken.extend(held.is_err().then_some(path));
        }
    }
    assert!(broken.is_empty(), "broken by {broken:#?}");
}

#[test]
fn every_entry_has_its_target_and_its_corpus() {
    let names: BTreeSet<String> = ENTRIES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(stems("fuzz_targets"), names);
    assert_eq!(stems("corpus"), names);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in &names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name} is not in the manifest");
    }
}
