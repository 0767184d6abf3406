//! Environment variables that override keys, and the directories a service manager hands over.
//!
//! `ZONELET_<SECTION>__<KEY>` sets `section.key`: `ZONELET_SERVER__LISTEN=127.0.0.1:53,[::1]:53`.
//! Lists stand between commas or as TOML; `ZONELET_SOURCE` and `ZONELET_FORWARD` replace all their
//! tables by a TOML list of tables. Anything else that begins with `ZONELET_` is left alone:
//! Kubernetes sets `ZONELET_PORT` and its like for a Service named zonelet.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::problem::{Place, Problem};
use super::sink::Sink;
use super::tree::{Node, Table, Value, parse_value};

const PREFIX: &str = "ZONELET_";
const LISTS: [(&str, &str); 2] = [
    ("source", r#"ZONELET_SOURCE='[{ kind = "file", path = "zone.json" }]'"#),
    ("forward", r#"ZONELET_FORWARD='[{ domain = ".", upstreams = ["10.0.0.2"] }]'"#),
];

/// The environment variables that a configuration depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of this process, as they are now. Bytes that are no UTF-8 are replaced, and then
    /// refused by the key they are for.
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        };
        std::env::vars_os().filter_map(text).collect()
    }

    /// systemd's `STATE_DIRECTORY=`, the first where there are several.
    pub(super) fn state_directory(&self) -> Option<PathBuf> {
        self.directory("STATE_DIRECTORY")
    }

    /// systemd's `RUNTIME_DIRECTORY=`, the first where there are several.
    pub(super) fn runtime_directory(&self) -> Option<PathBuf> {
        self.directory("RUNTIME_DIRECTORY")
    }

    fn directory(&self, name: &str) -> Option<PathBuf> {
        let first = self.0.get(name)?.split(':').next()?;
        if first.is_empty() { None } else { Some(first.into()) }
    }

    /// Puts the overrides into `table`, in place of what it held.
    pub(super) fn overlay(&self, table: &mut Table, sink: &Sink) {
        for (name, text) in &self.0 {
            let Some(rest) = name.strip_prefix(PREFIX) else { continue };
            let place = Place::Variable(Arc::from(name.as_str()));
            let rest = rest.to_ascii_lowercase();
            match rest.split("__").collect::<Vec<_>>().as_slice() {
                [list] => {
                    if let Some(&(list, example)) = LISTS.iter().find(|(name, _)| name == list) {
                        set_list(table, list, example, text, place, sink);
                    }
                }
                [section, key] if !LISTS.iter().any(|(name, _)| name == section) => {
                    if let Some(inner) = table.table_mut(section, &place) {
                        inner.set(key, Node { value: value_of(text, &place), place });
                    }
                }
                [section, ..] => {
                    let list = LISTS.iter().find(|(name, _)| name == section);
                    let (what, fix) = match list {
                        Some((_, example)) => ("a list of tables is set whole", format!("write {example}")),
                        None => ("no such key", "write ZONELET_<SECTION>__<KEY>".to_owned()),
                    };
                    refuse(place, &rest.replace("__", "."), what, fix, sink);
                }
                [] => {}
            }
        }
    }

    /// Warns of variables that miss a key's name by an underscore, which would go unnoticed.
    pub(super) fn near_misses(&self, sink: &Sink) {
        for path in sink.known() {
            let Some((section, key)) = path.split_once('.') else { continue };
            let (section, key) = (section.to_ascii_uppercase(), key.to_ascii_uppercase());
            let single = format!("{PREFIX}{section}_{key}");
            if self.0.contains_key(&single)
                && !LISTS.iter().any(|(name, _)| section.eq_ignore_ascii_case(name))
            {
                sink.warning(Problem {
                    place: Place::Variable(single.into()),
                    key: path,
                    what: "this variable sets nothing".to_owned(),
                    fix: Some(format!("did you mean {PREFIX}{section}__{key}?")),
                });
            }
        }
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

fn set_list(table: &mut Table, list: &str, example: &str, text: &str, place: Place, sink: &Sink) {
    match parse_value(text, &place) {
        Ok(value) => table.set(list, Node { place, value }),
        Err(why) => {
            refuse(
                place,
                list,
                &format!("not a TOML list of tables: {why}"),
                format!("write {example}"),
                sink,
            );
        }
    }
}

fn refuse(place: Place, key: &str, what: &str, fix: String, sink: &Sink) {
    sink.problem(Problem { place, key: key.to_owned(), what: what.to_owned(), fix: Some(fix) });
}

/// A TOML list or table where the text is one, else the text, for the key to make sense of.
/// `[::1]:53` is no TOML and stays text.
fn value_of(text: &str, place: &Place) -> Value {
    let structured = text.trim_start().starts_with(['[', '{']);
    structured.then(|| parse_value(text, place).ok()).flatten().unwrap_or_else(|| Value::Raw(text.to_owned()))
}
