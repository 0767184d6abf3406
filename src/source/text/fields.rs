//! Record text split into fields.

/// One field of a record's text, its escapes not yet read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The text; of a quoted field what stands between the quotes.
    pub text: &'a str,
    /// Whether it was quoted.
    pub quoted: bool,
}

/// Splits `text` at white space outside quotes.
///
/// A field that begins with a quote ends at the closing one; a quote inside a bare field (as in
/// `alpn="h2,h3"`, RFC 9460 §2.1) belongs to it together with the white space it protects.
///
/// # Errors
/// A text that says what is wrong: a quote that is not closed, a backslash at the end.
pub fn split(text: &str) -> Result<Vec<Field<'_>>, String> {
    let bytes = text.as_bytes();
    // Most records have four to eight fields.
    let mut fields = Vec::with_capacity(8);
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        if byte.is_ascii_whitespace() {
            at += 1;
            continue;
        }
        let quoted = byte == b'"';
        let start = if quoted { at + 1 } else { at };
        let end = if quoted { closing_quote(bytes, start)? } else { bare_end(bytes, start)? };
        // Both ends stand beside ASCII bytes, so they are character boundaries.
        fields.push(Field { text: text.get(start..end).unwrap_or_default(), quoted });
        at = if quoted { end + 1 } else { end };
    }
    Ok(fields)
}

/// Where the quoted string that begins at `at` ends.
fn closing_quote(bytes: &[u8], mut at: usize) -> Result<usize, String> {
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return Ok(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    Err("a quoted string is not closed".into())
}

/// Where the bare field that begins at `at` ends.
fn bare_end(bytes: &[u8], mut at: usize) -> Result<usize, String> {
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => at = closing_quote(bytes, at + 1)? + 1,
            b'\\' if bytes.get(at + 1).is_none() => return Err("a backslash ends the text".into()),
            // An escaped multi-byte character is passed byte by byte: only its first is skipped.
            b'\\' => at += 2,
            _ if byte.is_ascii_whitespace() => break,
            _ => at += 1,
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<(&str, bool)> {
        split(text).unwrap().into_iter().map(|f| (f.text, f.quoted)).collect()
    }

    #[test]
    fn quotes_protect_white_space_and_escapes_protect_quotes() {
        assert_eq!(texts(r#" 0 issue "a b" "#), [("0", false), ("issue", false), ("a b", true)]);
        assert_eq!(texts(r#""a\"b""c" """#), [(r#"a\"b"#, true), ("c", true), ("", true)]);
        assert_eq!(
            texts(r#"1 . alpn="h2, h3" port=1"#),
            [("1", false), (".", false), (r#"alpn="h2, h3""#, false), ("port=1", false)]
        );
        assert_eq!(texts(r"a\ b c"), [(r"a\ b", false), ("c", false)]);
        assert_eq!(texts("  "), []);
    }

    #[test]
    fn open_quotes_and_lonely_backslashes_are_errors() {
        for bad in [r#"""#, r#""a"#, r#""a\""#, r#"a="b"#, r"a\", r#"" \"#] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }
}
