//! Domain names: lower-case, uncompressed wire form.

use std::fmt;

/// Longest name on the wire, root label included (RFC 1035 §2.3.4).
pub const MAX_NAME: usize = 255;
/// Longest label (RFC 1035 §2.3.4).
pub const MAX_LABEL: usize = 63;

/// Why bytes or text are not a domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A label of zero length before the end, or no label at all.
    #[error("empty label")]
    EmptyLabel,
    /// A label over 63 bytes.
    #[error("label longer than 63 bytes")]
    LabelTooLong,
    /// A name over 255 bytes on the wire.
    #[error("name longer than 255 bytes")]
    NameTooLong,
    /// A backslash that is not followed by an escape.
    #[error("bad escape")]
    BadEscape,
    /// The wire form ends early, has bytes left over, or holds a compression pointer where none may stand.
    #[error("bad wire form")]
    BadWire,
}

/// How `\ddd` is read in text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escapes {
    /// Three decimal digits, as in zone files (RFC 1035 §5.1).
    Decimal,
    /// Three octal digits, as the Route 53 API writes them.
    Octal,
}

/// A fully qualified domain name in lower case: the form owners, apexes and cache keys are compared in.
///
/// ASCII case carries no meaning (RFC 4343 §3), so it is dropped here once and never looked at again.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Box<[u8]>);

impl Name {
    /// The root name.
    pub fn root() -> Self {
        Self(Box::new([0]))
    }

    /// Checks and copies an uncompressed wire name, all of `wire`.
    ///
    /// # Errors
    /// [`NameError`] when `wire` is not exactly one uncompressed name.
    pub fn from_wire(wire: &[u8]) -> Result<Self, NameError> {
        let len = wire_len(wire)?;
        if len != wire.len() {
            return Err(NameError::BadWire);
        }
        Ok(Self(wire.iter().map(u8::to_ascii_lowercase).collect()))
    }

    /// Reads presentation text; a trailing dot is optional, the name is always absolute.
    ///
    /// # Errors
    /// [`NameError`] names what is wrong with the text.
    pub fn from_text(text: &str, escapes: Escapes) -> Result<Self, NameError> {
        Ok(Self(wire_from_text(text, escapes)?.iter().map(u8::to_ascii_lowercase).collect()))
    }

    /// The name below `parent` with the one further `label` in front.
    ///
    /// # Errors
    /// When the label is empty or longer than 63 bytes, or the whole longer than 255.
    pub fn child(label: &[u8], parent: NameRef<'_>) -> Result<Self, NameError> {
        match label.len() {
            0 => return Err(NameError::EmptyLabel),
            1..=MAX_LABEL => {}
            _ => return Err(NameError::LabelTooLong),
        }
        let mut wire = Vec::with_capacity(1 + label.len() + parent.0.len());
        wire.push(label.len() as u8);
        wire.extend(label.iter().map(u8::to_ascii_lowercase));
        wire.extend_from_slice(parent.0);
        if wire.len() > MAX_NAME {
            return Err(NameError::NameTooLong);
        }
        Ok(Self(wire.into()))
    }

    /// Borrows the name.
    pub fn as_ref(&self) -> NameRef<'_> {
        NameRef(&self.0)
    }

    /// The lower-case wire bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Turns presentation text into uncompressed wire bytes with the case kept, for names inside RDATA.
///
/// # Errors
/// [`NameError`] names what is wrong with the text.
pub fn wire_from_text(text: &str, escapes: Escapes) -> Result<Vec<u8>, NameError> {
    if text == "." {
        return Ok(vec![0]);
    }
    let mut wire = Vec::with_capacity(text.len().min(MAX_NAME) + 2);
    wire.push(0u8);
    let mut label_at = 0;
    let mut bytes = text.bytes();
    let mut end_seen = false;
    while let Some(byte) = bytes.next() {
        if end_seen {
            wire.push(0);
            end_seen = false;
        }
        let byte = match byte {
            b'.' => {
                close_label(&mut wire, label_at)?;
                label_at = wire.len();
                end_seen = true;
                continue;
            }
            b'\\' => unescape(&mut bytes, escapes)?,
            other => other,
        };
        wire.push(byte);
    }
    if !end_seen {
        close_label(&mut wire, label_at)?;
    }
    wire.push(0);
    if wire.len() > MAX_NAME { Err(NameError::NameTooLong) } else { Ok(wire) }
}

fn close_label(wire: &mut [u8], at: usize) -> Result<(), NameError> {
    match wire.len().checked_sub(at + 1) {
        None | Some(0) => Err(NameError::EmptyLabel),
        Some(len) if len <= MAX_LABEL => {
            wire[at] = len as u8;
            Ok(())
        }
        Some(_) => Err(NameError::LabelTooLong),
    }
}

/// Reads what follows a backslash: three digits, or one byte taken as it is.
///
/// # Errors
/// [`NameError::BadEscape`] when the text ends, or the number is cut or above 255.
pub fn unescape(bytes: &mut std::str::Bytes<'_>, escapes: Escapes) -> Result<u8, NameError> {
    let first = bytes.next().ok_or(NameError::BadEscape)?;
    if !first.is_ascii_digit() {
        return Ok(first);
    }
    let radix = if escapes == Escapes::Octal { 8 } else { 10 };
    let mut number = 0;
    for digit in [Some(first), bytes.next(), bytes.next()] {
        let digit = digit.and_then(|d| char::from(d).to_digit(radix)).ok_or(NameError::BadEscape)?;
        number = number * radix + digit;
    }
    u8::try_from(number).map_err(|_| NameError::BadEscape)
}

/// The length of the uncompressed name at the start of `wire`, its root label included.
///
/// # Errors
/// [`NameError`] when no whole uncompressed name stands there.
pub fn wire_len(wire: &[u8]) -> Result<usize, NameError> {
    let mut at = 0;
    loop {
        match wire.get(at) {
            Some(0) => return Ok(at + 1),
            Some(&len) if usize::from(len) <= MAX_LABEL => at += 1 + usize::from(len),
            _ => return Err(NameError::BadWire),
        }
        if at >= MAX_NAME {
            return Err(NameError::NameTooLong);
        }
    }
}

/// A borrowed lower-case wire name.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NameRef<'a>(&'a [u8]);

impl<'a> NameRef<'a> {
    /// Wraps bytes that are known to be one valid lower-case uncompressed name.
    ///
    /// Only for bytes checked before (a parsed query, a stored name): nothing is looked at here.
    pub fn from_checked(wire: &'a [u8]) -> Self {
        debug_assert_eq!(wire_len(wire), Ok(wire.len()));
        debug_assert!(!wire.iter().any(u8::is_ascii_uppercase));
        Self(wire)
    }

    /// The wire bytes.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Copies the name.
    pub fn to_owned(self) -> Name {
        Name(self.0.into())
    }

    /// Whether this is the root.
    pub fn is_root(self) -> bool {
        self.0.len() == 1
    }

    /// The labels from the left, the root label left out.
    pub fn labels(self) -> impl Iterator<Item = &'a [u8]> {
        self.suffixes().filter(|s| !s.is_root()).map(|s| &s.0[1..1 + usize::from(s.0[0])])
    }

    /// How many labels there are, the root label not counted.
    pub fn label_count(self) -> usize {
        self.labels().count()
    }

    /// The name itself, its parent, and so on to the root.
    pub fn suffixes(self) -> impl Iterator<Item = NameRef<'a>> {
        std::iter::successors(Some(self), |name| name.parent())
    }

    /// The name without its leftmost label, `None` for the root.
    pub fn parent(self) -> Option<NameRef<'a>> {
        if self.is_root() { None } else { Some(NameRef(&self.0[1 + usize::from(self.0[0])..])) }
    }

    /// Whether this name is `ancestor` or below it.
    pub fn is_at_or_below(self, ancestor: NameRef<'_>) -> bool {
        let Some(front) = self.0.len().checked_sub(ancestor.0.len()) else {
            return false;
        };
        // The tail alone may begin inside a label: only a cut at a label boundary counts.
        self.0[front..] == *ancestor.0 && {
            let mut at = 0;
            while at < front {
                at += 1 + usize::from(self.0[at]);
            }
            at == front
        }
    }

    /// Whether the leftmost label is `*` (RFC 4592 §2.1.1).
    pub fn is_wildcard(self) -> bool {
        self.0.starts_with(b"\x01*")
    }
}

impl fmt::Display for NameRef<'_> {
    /// Presentation text with a trailing dot and decimal escapes (RFC 1035 §5.1, RFC 4343 §2.1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str(".");
        }
        for label in self.labels() {
            for &byte in label {
                match byte {
                    b'.' | b'\\' | b'"' | b';' | b'(' | b')' | b'@' | b'$' => {
                        write!(f, "\\{}", char::from(byte))?
                    }
                    0x21..=0x7e => write!(f, "{}", char::from(byte))?,
                    _ => write!(f, "\\{byte:03}")?,
                }
            }
            f.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for NameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.as_ref(), f)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Zone-file text: decimal escapes.
impl std::str::FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::from_text(text, Escapes::Decimal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn octal_and_decimal_escapes_are_not_the_same_number() {
        let octal = Name::from_text("\\052.apps.corp.internal.", Escapes::Octal).unwrap();
        assert!(octal.as_ref().is_wildcard());
        let decimal = Name::from_text("\\052.apps.corp.internal.", Escapes::Decimal).unwrap();
        assert_eq!(decimal.to_string(), "4.apps.corp.internal.");
        assert_eq!(Name::from_text("\\400.a", Escapes::Octal), Err(NameError::BadEscape));
        assert_eq!(Name::from_text("\\256.a", Escapes::Decimal), Err(NameError::BadEscape));
        assert_eq!(Name::from_text("a\\05", Escapes::Octal), Err(NameError::BadEscape));
    }

    #[test]
    fn an_escaped_dot_stays_inside_its_label() {
        let dotted = Name::from_text("a\\056b.test", Escapes::Octal).unwrap();
        assert_eq!(dotted.as_bytes(), b"\x03a.b\x04test\x00");
        assert_eq!(dotted.to_string(), "a\\.b.test.");
        assert_eq!(name("a\\.b.test"), dotted);
    }

    #[test]
    fn labels_and_names_keep_their_limits() {
        let label = "a".repeat(63);
        assert!(name(&format!("{label}.test")).as_ref().label_count() == 2);
        assert_eq!(format!("{label}a.test").parse::<Name>(), Err(NameError::LabelTooLong));
        let longest = format!("{label}.{label}.{label}.{}", "b".repeat(61));
        assert_eq!(name(&longest).as_bytes().len(), 255);
        assert_eq!(format!("{longest}b").parse::<Name>(), Err(NameError::NameTooLong));
        for bad in ["", "..", ".a", "a..b", "a.."] {
            assert_eq!(bad.parse::<Name>(), Err(NameError::EmptyLabel), "{bad:?}");
        }
        assert_eq!(name("."), Name::root());
        assert_eq!(name("Test."), name("tEST"));
    }

    #[test]
    fn ancestry_is_decided_at_label_boundaries() {
        let inner = Name::from_wire(b"\x09xx\x04testxx\x04test\x00").unwrap();
        assert!(inner.as_ref().is_at_or_below(name("test").as_ref()));
        assert!(!name("contest").as_ref().is_at_or_below(name("test").as_ref()));
        // The bytes of `test.` end this name, but inside its only label.
        let trick = Name::from_wire(b"\x06x\x04test\x00").unwrap();
        assert!(!trick.as_ref().is_at_or_below(name("test").as_ref()));
        assert!(name("a.b").as_ref().is_at_or_below(Name::root().as_ref()));
    }

    #[test]
    fn wire_names_with_pointers_or_rests_are_refused() {
        assert_eq!(Name::from_wire(b"\xc0\x0c"), Err(NameError::BadWire));
        assert_eq!(Name::from_wire(b"\x01a\x00\x00"), Err(NameError::BadWire));
        assert_eq!(Name::from_wire(b"\x01a"), Err(NameError::BadWire));
        assert_eq!(Name::from_wire(&[63; 300]), Err(NameError::NameTooLong));
    }
}
