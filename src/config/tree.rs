//! The text of a configuration as a tree in which every value knows where it was written.

use std::ops::Range;
use std::sync::Arc;

use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem};

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub place: Place,
    pub value: Value,
}

/// What a configuration can hold.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    /// The text of an environment variable: whatever the key wants it to be.
    Raw(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Node>),
    Table(Table),
    /// Something no key takes; the text says what.
    Other(&'static str),
}

impl Value {
    /// The kind of value, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) | Self::Raw(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Boolean(_) => "a boolean",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(kind) => kind,
        }
    }
}

/// Keys and values; each key at most once.
#[derive(Clone, Debug, Default)]
pub(super) struct Table(Vec<Entry>);

/// One key of a table. Its own place is where the key stands.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub key: String,
    pub place: Place,
    pub node: Node,
}

impl Table {
    pub fn get(&self, key: &str) -> Option<&Entry> {
        self.0.iter().find(|e| e.key == key)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.0.iter()
    }

    /// Sets `key`, in place of what it held.
    pub fn set(&mut self, key: &str, node: Node) {
        let place = node.place.clone();
        self.0.retain(|e| e.key != key);
        self.0.push(Entry { key: key.to_owned(), place, node });
    }

    /// The table under `key`, made if there is none; `None` if the key holds something else.
    pub fn table_mut(&mut self, key: &str, place: &Place) -> Option<&mut Table> {
        if self.get(key).is_none() {
            self.set(key, Node { place: place.clone(), value: Value::Table(Table::default()) });
        }
        self.0.iter_mut().find(|e| e.key == key).and_then(|e| match &mut e.node.value {
            Value::Table(table) => Some(table),
            _ => None,
        })
    }
}

/// Reads TOML text whole, going on after an error where that is possible.
///
/// The tree holds what could be read; it is only good for finding further problems when there are
/// errors already.
pub(super) fn parse(text: &str, file: &Arc<str>) -> (Table, Vec<Problem>) {
    let lines = Lines { file, text };
    let (table, errors) = DeTable::parse_recoverable(text);
    let problems = errors.iter().map(|e| lines.problem(e.message(), e.span())).collect();
    (table_from(table.get_ref(), &|span| lines.place(span)), problems)
}

/// Reads one TOML value that a variable holds, a list or a table; `Err` says what is wrong.
pub(super) fn parse_value(text: &str, place: &Place) -> Result<Value, String> {
    let document = format!("value = {text}");
    let table = DeTable::parse(&document).map_err(|e| e.message().to_owned())?;
    let entries = table_from(table.get_ref(), &|_| place.clone());
    match entries.0.into_iter().next() {
        Some(entry) if table.get_ref().len() == 1 => Ok(entry.node.value),
        _ => Err("not one TOML value".to_owned()),
    }
}

/// Nesting is bounded by the TOML parser itself.
fn table_from(table: &DeTable<'_>, place: &dyn Fn(Range<usize>) -> Place) -> Table {
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key: &toml::Spanned<std::borrow::Cow<'_, str>> = key;
        Entry {
            key: key.get_ref().to_string(),
            place: place(key.span()),
            node: node_from(value.get_ref(), value.span(), place),
        }
    };
    Table(table.iter().map(entry).collect())
}

fn node_from(value: &DeValue<'_>, span: Range<usize>, place: &dyn Fn(Range<usize>) -> Place) -> Node {
    let value = match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other("an integer that is far too large"),
        },
        DeValue::Float(_) => Value::Other("a fractional number"),
        DeValue::Boolean(yes) => Value::Boolean(*yes),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(items) => {
            Value::List(items.iter().map(|i| node_from(i.get_ref(), i.span(), place)).collect())
        }
        DeValue::Table(table) => Value::Table(table_from(table, place)),
    };
    Node { place: place(span), value }
}

/// Byte offsets to lines and columns.
struct Lines<'a> {
    file: &'a Arc<str>,
    text: &'a str,
}

impl Lines<'_> {
    fn place(&self, span: Range<usize>) -> Place {
        let before = self.text.as_bytes().get(..span.start).unwrap_or(self.text.as_bytes());
        let line_start = before.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let line = 1 + before.iter().filter(|&&b| b == b'\n').count();
        // Characters, not bytes: continuation bytes of UTF-8 do not count.
        let column = 1 + before.iter().skip(line_start).filter(|&&b| b & 0xc0 != 0x80).count();
        Place::Position { file: Arc::clone(self.file), line, column }
    }

    fn problem(&self, message: &str, span: Option<Range<usize>>) -> Problem {
        let place = span.map_or_else(|| Place::File(Arc::clone(self.file)), |span| self.place(span));
        Problem { place, key: String::new(), what: message.replace('\n', ", "), fix: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<String> {
        parse(text, &"c".into()).1.iter().map(|p| p.to_string()).collect()
    }

    #[test]
    fn values_know_their_line_and_column_in_characters() {
        let (table, problems) = parse("# é\n[server]\n\"ü\" = [ 'a',\n  5 ]\n", &"c".into());
        assert!(problems.is_empty());
        let Some(Value::Table(server)) = table.get("server").map(|e| &e.node.value) else {
            panic!("no table");
        };
        let entry = server.get("ü").unwrap();
        let Value::List(items) = &entry.node.value else { panic!("no list") };
        assert_eq!(entry.place.to_string(), "c:3:1");
        assert_eq!(items[0].place.to_string(), "c:3:9");
        assert_eq!(items[1].place.to_string(), "c:4:3");
    }

    #[test]
    fn several_errors_of_syntax_are_found_in_one_go() {
        let found = places("a = \nb = 1\nb = 2\nc = tru\n");
        assert!(found.len() >= 3, "{found:?}");
        assert!(found.iter().any(|p| p.starts_with("c:1:")), "{found:?}");
        assert!(found.iter().any(|p| p.starts_with("c:3:1: duplicate key")), "{found:?}");
        assert!(found.iter().any(|p| p.starts_with("c:4:")), "{found:?}");
    }

    #[test]
    fn a_variable_holds_one_value_and_nothing_behind_it() {
        let place = Place::Variable("V".into());
        assert!(matches!(parse_value("[{ a = 1 }]", &place), Ok(Value::List(_))));
        assert!(parse_value("[]\nother = 1", &place).is_err());
        assert!(parse_value("[::1]:53", &place).is_err());
    }

    #[test]
    fn deep_nesting_and_huge_numbers_are_no_danger() {
        let deep = format!("a = {}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(!places(&deep).is_empty());
        let (table, problems) = parse("a = 99999999999999999999", &"c".into());
        assert!(problems.is_empty());
        assert!(matches!(table.get("a").unwrap().node.value, Value::Other(_)));
    }
}
