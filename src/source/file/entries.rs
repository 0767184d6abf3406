//! A zone file cut into entries, so that a bad one does not take the rest with it.

use std::borrow::Cow;

/// How many times a parenthesis may be left open before the file is given up: each costs a look
/// at everything behind it.
const MAX_UNCLOSED: u32 = 16;

/// One entry: a directive or a record, on one line or on several within parentheses.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Where it begins, counted from 1.
    pub line: usize,
    /// Its text without comments, parentheses and line ends; borrowed where it had none within.
    pub text: Cow<'a, str>,
    /// Whether it begins with white space: the owner is the one before.
    pub is_indented: bool,
}

/// An entry that cannot be read; the next one can, unless `is_fatal`.
#[derive(Debug, PartialEq, Eq)]
pub struct BadEntry {
    /// Where it begins, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: &'static str,
    /// Whether nothing behind it can be believed.
    pub is_fatal: bool,
}

/// The entries of a zone file, empty ones left out.
#[derive(Debug)]
pub struct Entries<'a> {
    rest: &'a [u8],
    line: usize,
    unclosed: u32,
}

impl<'a> Entries<'a> {
    /// Begins at the first line of `content`.
    pub fn new(content: &'a [u8]) -> Self {
        Self { rest: content, line: 1, unclosed: 0 }
    }

    /// Takes the next line if nothing in it needs a closer look.
    fn plain_line(&mut self) -> Option<&'a str> {
        let is_special = |b: u8| matches!(b, b'\n' | b'\r' | b';' | b'(' | b')' | b'"' | b'\\');
        let end = self.rest.iter().position(|&b| is_special(b)).unwrap_or(self.rest.len());
        let text = match self.rest.get(end) {
            Some(b'\n') | None => std::str::from_utf8(self.rest.get(..end)?).ok()?,
            Some(_) => return None,
        };
        self.line += usize::from(end < self.rest.len());
        self.rest = self.rest.get(end + 1..).unwrap_or_default();
        Some(text)
    }

    /// Moves behind `len` bytes.
    fn advance(&mut self, len: usize) {
        let (gone, rest) = self.rest.split_at(len.min(self.rest.len()));
        self.line += gone.iter().filter(|&&b| b == b'\n').count();
        self.rest = rest;
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, BadEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let first = *self.rest.first()?;
            let line = self.line;
            let is_indented = first == b' ' || first == b'\t';
            if let Some(text) = self.plain_line() {
                if !text.trim().is_empty() {
                    return Some(Ok(Entry { line, text: Cow::Borrowed(text), is_indented }));
                }
                continue;
            }
            let cut = cut(self.rest);
            if cut.is_open {
                self.unclosed += 1;
                let to_line_end = self.rest.iter().position(|&b| b == b'\n');
                self.advance(to_line_end.map_or(self.rest.len(), |at| at + 1));
                let is_fatal = self.unclosed > MAX_UNCLOSED;
                return Some(Err(BadEntry { line, problem: "a parenthesis is not closed", is_fatal }));
            }
            self.advance(cut.len);
            if let Some(problem) = cut.problem {
                return Some(Err(BadEntry { line, problem, is_fatal: false }));
            }
            let Ok(text) = String::from_utf8(cut.text) else {
                return Some(Err(BadEntry { line, problem: "not UTF-8 text", is_fatal: false }));
            };
            if !text.trim().is_empty() {
                return Some(Ok(Entry { line, text: Cow::Owned(text), is_indented }));
            }
        }
    }
}

/// The first entry of some bytes.
#[derive(Default)]
struct Cut {
    /// How many bytes it takes, its line end included.
    len: usize,
    text: Vec<u8>,
    problem: Option<&'static str>,
    /// Whether the bytes ended within parentheses.
    is_open: bool,
}

fn cut(bytes: &[u8]) -> Cut {
    let mut cut = Cut::default();
    let mut depth = 0u32;
    let mut is_quoted = false;
    while let Some(&byte) = bytes.get(cut.len) {
        cut.len += 1;
        match byte {
            b'\n' if is_quoted => {
                // A string over several lines is far more often a forgotten quote.
                cut.problem = Some("a quoted string is not closed at the end of its line");
                return cut;
            }
            b'\n' if depth == 0 => return cut,
            b'\\' => {
                cut.text.push(byte);
                if let Some(&escaped) = bytes.get(cut.len).filter(|&&b| b != b'\n' && b != b'\r') {
                    cut.text.push(escaped);
                    cut.len += 1;
                }
            }
            b'"' => {
                is_quoted = !is_quoted;
                cut.text.push(byte);
            }
            _ if is_quoted => cut.text.push(byte),
            b';' => {
                let rest = bytes.get(cut.len..).unwrap_or_default();
                cut.len += rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
            }
            b'(' | b')' | b'\n' | b'\r' => {
                cut.text.push(b' ');
                match byte {
                    b'(' => depth = depth.saturating_add(1),
                    b')' if depth == 0 => cut.problem = Some("a parenthesis closes nothing"),
                    b')' => depth -= 1,
                    _ => {}
                }
            }
            other => cut.text.push(other),
        }
    }
    if is_quoted {
        cut.problem = Some("a quoted string is not closed at the end of its line");
    }
    cut.is_open = depth > 0;
    cut
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(content: &str) -> Vec<(usize, String)> {
        Entries::new(content.as_bytes())
            .map(|e| e.map_or_else(|b| (b.line, b.problem.to_owned()), |e| (e.line, e.text.into_owned())))
            .map(|(line, text)| (line, text.split_whitespace().collect::<Vec<_>>().join(" ")))
            .collect()
    }

    #[test]
    fn comments_and_parentheses_are_taken_out_and_lines_are_counted() {
        let content =
            "; head\n\n@ SOA a. b. ( 1 ; serial (\n 2 3\n4 5 )\r\n\tNS x ; end\ntxt TXT \"a;(b\" c\\;d";
        assert_eq!(
            texts(content),
            [
                (3, "@ SOA a. b. 1 2 3 4 5".to_owned()),
                (6, "NS x".to_owned()),
                (7, "txt TXT \"a;(b\" c\\;d".to_owned())
            ]
        );
        let indented: Vec<bool> = Entries::new(content.as_bytes()).map(|e| e.unwrap().is_indented).collect();
        assert_eq!(indented, [false, true, false]);
    }

    #[test]
    fn a_forgotten_quote_or_parenthesis_costs_one_line() {
        assert_eq!(
            texts("a TXT \"x\nb A 1\nc MX ( 10\nd A 2\ne A 3 )\nf A 4"),
            [
                (1, "a quoted string is not closed at the end of its line".to_owned()),
                (2, "b A 1".to_owned()),
                (3, "c MX 10 d A 2 e A 3".to_owned()),
                (6, "f A 4".to_owned())
            ]
        );
        assert_eq!(
            texts("a MX ( 10\nb A 1\nc A 2 ))\nd ( A"),
            [(1, "a parenthesis closes nothing".to_owned()), (4, "a parenthesis is not closed".to_owned()),]
        );
        assert_eq!(texts("a ( 1\nb A 1\n")[1], (2, "b A 1".to_owned()));
    }

    #[test]
    fn a_file_of_open_parentheses_is_given_up() {
        let content = "a (\n".repeat(100);
        let bad: Vec<_> = Entries::new(content.as_bytes()).take(17).collect();
        assert!(bad.iter().take(16).all(|b| matches!(b, Err(b) if !b.is_fatal)));
        assert!(matches!(bad.last(), Some(Err(b)) if b.is_fatal && b.line == 17));
    }

    proptest! {
        #[test]
        fn any_bytes_are_used_up(bytes in proptest::collection::vec(prop_oneof![
            any::<u8>(), Just(b'\n'), Just(b'"'), Just(b'('), Just(b')'), Just(b'\\'), Just(b';')], 0..200)) {
            let lines = bytes.iter().filter(|&&b| b == b'\n').count() + 1;
            prop_assert!(Entries::new(&bytes).count() <= lines);
        }
    }
}
