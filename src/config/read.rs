//! Takes sections and keys out of the tree, noting what was asked for and what is wrong.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use super::problem::{Place, Problem, nearest};
use super::sink::{Sink, Unknown};
use super::tree::{Node, Table, Value};

/// A table being read. Keys that nobody asked for are problems once it is finished.
pub(super) struct Section<'a> {
    path: String,
    schema: String,
    place: Place,
    table: Option<&'a Table>,
    sink: &'a Sink,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    /// The whole configuration.
    pub fn root(table: &'a Table, place: Place, sink: &'a Sink) -> Self {
        Self::new((String::new(), String::new()), place, Some(table), sink)
    }

    fn new(names: (String, String), place: Place, table: Option<&'a Table>, sink: &'a Sink) -> Self {
        Self { path: names.0, schema: names.1, place, table, sink, asked: RefCell::default() }
    }

    /// The item under `key`, if it was written.
    pub fn get(&self, key: &'static str) -> Option<Item<'a>> {
        self.asked.borrow_mut().push(key);
        self.sink.know(join(&self.schema, key));
        let entry = self.table?.get(key)?;
        Some(Item {
            path: join(&self.path, key),
            schema: join(&self.schema, key),
            node: &entry.node,
            sink: self.sink,
        })
    }

    /// The value of `key` as `parse` reads it, `default` where it is missing or was refused.
    pub fn read<T>(&self, key: &'static str, default: T, parse: impl FnOnce(&Item<'a>) -> Option<T>) -> T {
        self.get(key).and_then(|item| parse(&item)).unwrap_or(default)
    }

    /// The table under `key`; an empty one where it is missing or something else.
    pub fn section(&self, key: &'static str) -> Section<'a> {
        self.get(key).and_then(|item| item.section()).unwrap_or_else(|| {
            let names = (join(&self.path, key), join(&self.schema, key));
            Section::new(names, self.place.clone(), None, self.sink)
        })
    }

    /// The tables of the list under `key`; `None` where the key is missing.
    pub fn tables(&self, key: &'static str) -> Option<Vec<Section<'a>>> {
        let item = self.get(key)?;
        let Value::List(nodes) = &item.node.value else {
            item.reject(format!("expected [[{key}]] tables, found {}", item.node.value.kind()), None);
            return Some(Vec::new());
        };
        Some((0..nodes.len()).filter_map(|n| item.element(nodes.get(n)?, n)?.section()).collect())
    }

    /// Refuses `key` if it was written: it exists, but not here or not yet.
    pub fn refuse(&self, key: &'static str, what: &str, fix: Option<&str>) {
        self.asked.borrow_mut().push(key);
        if let Some(entry) = self.table.and_then(|t| t.get(key)) {
            self.report(&entry.place, key, what, fix);
        }
    }

    /// Reports a problem with `key` where it was written, or with the section if it was not.
    pub fn reject(&self, key: &str, what: &str, fix: Option<&str>) {
        self.report(&self.place_of(key), key, what, fix);
    }

    /// Reports that what `key` names cannot be used as it is now. The rest of the configuration can.
    #[cfg(feature = "tls")]
    pub fn fault(&self, key: &str, what: &str, fix: Option<&str>) {
        self.sink.fault(self.problem(&self.place_of(key), key, what, fix));
    }

    /// Reports that `key` works but is unwise.
    pub fn warn(&self, key: &str, what: &str, fix: Option<&str>) {
        self.sink.warning(self.problem(&self.place_of(key), key, what, fix));
    }

    /// Whether `key` was written.
    pub fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|t| t.get(key).is_some())
    }

    /// Reports every key that nobody asked for.
    pub fn finish(&self) {
        let asked = self.asked.borrow();
        for entry in self.table.into_iter().flat_map(Table::iter) {
            if !asked.contains(&entry.key.as_str()) {
                self.sink.unknown(Unknown {
                    place: entry.place.clone(),
                    path: join(&self.path, &entry.key),
                    schema: self.schema.clone(),
                    key: entry.key.clone(),
                });
            }
        }
    }

    /// The keys and values of a table whose keys are not fixed.
    pub fn entries(&self) -> Vec<(&'a str, Item<'a>)> {
        let entry = |e: &'a super::tree::Entry| {
            let names = (join(&self.path, &e.key), self.schema.clone());
            (e.key.as_str(), Item { path: names.0, schema: names.1, node: &e.node, sink: self.sink })
        };
        self.table.into_iter().flat_map(Table::iter).map(entry).collect()
    }

    fn place_of(&self, key: &str) -> Place {
        self.table.and_then(|t| t.get(key)).map_or_else(|| self.place.clone(), |e| e.node.place.clone())
    }

    fn report(&self, place: &Place, key: &str, what: &str, fix: Option<&str>) {
        self.sink.problem(self.problem(place, key, what, fix));
    }

    fn problem(&self, place: &Place, key: &str, what: &str, fix: Option<&str>) -> Problem {
        let key = if key.is_empty() { self.path.clone() } else { join(&self.path, key) };
        Problem { place: place.clone(), key, what: what.to_owned(), fix: fix.map(str::to_owned) }
    }
}

/// A value being read. Every reader reports what is wrong and then gives `None`.
pub(super) struct Item<'a> {
    path: String,
    schema: String,
    node: &'a Node,
    sink: &'a Sink,
}

impl<'a> Item<'a> {
    /// Reports what is wrong with the value.
    pub fn reject(&self, what: impl Into<String>, fix: Option<String>) {
        let place = self.node.place.clone();
        self.sink.problem(Problem { place, key: self.path.clone(), what: what.into(), fix });
    }

    /// The value as it was written.
    pub fn value(&self) -> &'a Value {
        &self.node.value
    }

    /// Where it was written.
    pub fn place(&self) -> &'a Place {
        &self.node.place
    }

    /// A string.
    pub fn text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) | Value::Raw(text) => Some(text),
            _ => self.mistyped("a string"),
        }
    }

    /// A string, without the complaint if it is something else.
    pub fn as_text(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) | Value::Raw(text) => Some(text),
            _ => None,
        }
    }

    /// A whole number within `range`.
    pub fn integer(&self, range: RangeInclusive<u64>) -> Option<u64> {
        let number = match &self.node.value {
            Value::Integer(number) => u64::try_from(*number).ok(),
            Value::Raw(text) => match text.trim().parse::<i64>() {
                Ok(number) => u64::try_from(number).ok(),
                Err(_) => return self.mistyped("an integer"),
            },
            _ => return self.mistyped("an integer"),
        };
        match number {
            Some(number) if range.contains(&number) => Some(number),
            Some(0) => self.refused("must be above zero"),
            _ => self.refused(format!("must be between {} and {}", range.start(), range.end())),
        }
    }

    /// A count that memory is set aside for.
    pub fn count(&self, range: RangeInclusive<u64>) -> Option<usize> {
        usize::try_from(self.integer(range)?).ok()
    }

    /// `true` or `false`.
    pub fn boolean(&self) -> Option<bool> {
        match &self.node.value {
            Value::Boolean(yes) => Some(*yes),
            Value::Raw(text) => text.trim().parse().ok().or_else(|| self.mistyped("true or false")),
            _ => self.mistyped("true or false"),
        }
    }

    /// One of a few words.
    pub fn word<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let all: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
            let fix = match nearest(text, words.iter().map(|(word, _)| *word)) {
                Some(word) => format!("did you mean \"{word}\"?"),
                None => format!("write one of {}", all.join(", ")),
            };
            self.reject(format!("unknown value {text:?}"), Some(fix));
        }
        found.map(|&(_, value)| value)
    }

    /// A list of values that differ, each read by `parse`; `None` if any was refused.
    ///
    /// A variable gives its values between commas.
    pub fn list<T: PartialEq>(&self, parse: impl Fn(&Item<'_>) -> Option<T>) -> Option<Vec<T>> {
        let split;
        let nodes = match &self.node.value {
            Value::List(nodes) => nodes,
            Value::Raw(text) => {
                split = self.split(text);
                &split
            }
            _ => return self.mistyped("a list"),
        };
        let mut values: Vec<T> = Vec::with_capacity(nodes.len());
        let mut whole = true;
        for (n, node) in nodes.iter().enumerate() {
            let Some(item) = self.element(node, n) else { continue };
            match parse(&item) {
                Some(value) if values.contains(&value) => {
                    whole = false;
                    item.reject("is in the list twice", Some("remove one".to_owned()));
                }
                Some(value) => values.push(value),
                None => whole = false,
            }
        }
        whole.then_some(values)
    }

    /// As [`Item::list`], and there must be at least one value.
    pub fn filled_list<T: PartialEq>(
        &self,
        parse: impl Fn(&Item<'_>) -> Option<T>,
        example: &str,
    ) -> Option<Vec<T>> {
        let values = self.list(parse)?;
        if values.is_empty() {
            self.reject("the list is empty", Some(format!("write {example}")));
            return None;
        }
        Some(values)
    }

    /// A table.
    pub fn section(&self) -> Option<Section<'a>> {
        match &self.node.value {
            Value::Table(table) => {
                let names = (self.path.clone(), self.schema.clone());
                Some(Section::new(names, self.node.place.clone(), Some(table), self.sink))
            }
            _ => self.mistyped("a table"),
        }
    }

    fn element<'b>(&self, node: &'b Node, n: usize) -> Option<Item<'b>>
    where
        'a: 'b,
    {
        let path = format!("{}[{n}]", self.path);
        Some(Item { path, schema: self.schema.clone(), node, sink: self.sink })
    }

    fn split(&self, text: &str) -> Vec<Node> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let node = |part: &str| Node { place: self.node.place.clone(), value: Value::Raw(part.to_owned()) };
        parts.map(node).collect()
    }

    fn mistyped<T>(&self, wanted: &str) -> Option<T> {
        self.refused(format!("expected {wanted}, found {}", self.node.value.kind()))
    }

    fn refused<T>(&self, what: impl Into<String>) -> Option<T> {
        self.reject(what, None);
        None
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
