//! Every file of deploy/ is parsed and held against the program that it deploys.

mod alerts;
mod cli;
mod config;
mod iam;
mod image;
mod kubernetes;
mod systemd;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// A path below the top of the repository.
fn top(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The text of a file below the top of the repository.
fn read(path: &str) -> String {
    fs::read_to_string(top(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The documents of a YAML file below the top of the repository. Duplicate keys are errors.
fn yaml(path: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(&read(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The one document of a YAML file.
fn yaml_one(path: &str) -> Value {
    let mut documents = yaml(path);
    assert_eq!(documents.len(), 1, "{path} holds one document");
    documents.remove(0)
}

/// The files below `dir`, relative to the top of the repository, in order.
fn files_below(dir: &str) -> Vec<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(top(dir)).expect(dir) {
        let entry = entry.expect(dir);
        let path = format!("{dir}/{}", entry.file_name().to_string_lossy());
        match entry.file_type().expect(dir).is_dir() {
            true => files.extend(files_below(&path)),
            false => files.push(path),
        }
    }
    files.sort();
    files
}

/// Runs a program, or fails with the name of the Debian package that has it.
fn tool(command: &mut Command, package: &str) -> Output {
    let name = command.get_program().to_string_lossy().into_owned();
    command.output().unwrap_or_else(|e| panic!("{name}: {e}: install Debian's package {package}"))
}

/// The version that cargo builds, which labels and image tags name.
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[test]
fn every_file_is_of_a_kind_that_a_test_reads() {
    let known = |path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        match path.split('/').nth(1).unwrap_or_default() {
            "iam" => name.ends_with(".json"),
            "image" => ["Dockerfile", "Dockerfile.dockerignore", "build.sh"].contains(&name),
            "kubernetes" => {
                [".yaml", ".toml", ".netdev", ".network", ".snippet"].iter().any(|end| name.ends_with(end))
            }
            "prometheus" => name == "alerts.yaml",
            "systemd" => name == "zonelet.service",
            "README.md" => true,
            _ => false,
        }
    };
    for path in files_below("deploy") {
        assert!(known(&path), "{path} is not read by any test");
    }
}

#[test]
fn readme_names_files_that_exist_and_every_directory() {
    let readme = read("deploy/README.md");
    let inside = |word: &&str| {
        ["image/", "iam/", "kubernetes/", "prometheus/", "systemd/"].iter().any(|dir| word.starts_with(dir))
    };
    let words = readme.split(|c: char| c.is_whitespace() || "`()[],;".contains(c));
    for word in words.map(|word| word.trim_start_matches("deploy/")).filter(inside) {
        let path = word.trim_end_matches(['.', ':', '*']);
        assert!(top("deploy").join(path).exists(), "README names deploy/{path}");
    }
    for dir in ["image/", "iam/", "kubernetes/", "prometheus/", "systemd/"] {
        assert!(readme.contains(dir), "README does not name {dir}");
    }
}
