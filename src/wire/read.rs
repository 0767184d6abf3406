//! Reading names and records out of a message that came from outside.

mod sections;

use std::ops::Range;

use super::name::{MAX_LABEL, MAX_NAME, NameRef};
use super::{CLASS_IN, Rtype};

pub(super) use sections::Sections;

/// Why an upstream's response cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Fewer than 12 bytes.
    #[error("shorter than a header")]
    ShortHeader,
    /// QR=0, or not a standard query's response.
    #[error("not a response")]
    NotAResponse,
    /// The question is not the one that was asked.
    #[error("another question")]
    OtherQuestion,
    /// A name that is cut, too long, or points forward.
    #[error("a bad name")]
    BadName,
    /// A record that is cut, or whose data does not have its type's form.
    #[error("a bad record")]
    BadRecord,
    /// More than one OPT record (RFC 6891 §6.1.1).
    #[error("more than one OPT record")]
    SecondOpt,
    /// Written out, the records fill more than a message can hold.
    #[error("too long once written out")]
    TooLong,
    /// The CNAME chain comes back to a name it has passed.
    #[error("a CNAME loop")]
    CnameLoop,
    /// NXDOMAIN together with records of the type that was asked for.
    #[error("NXDOMAIN with an answer")]
    Contradiction,
    /// The server does not recurse and refers to others.
    #[error("a referral")]
    Referral,
}

/// Most pointers followed for one name: as many as it can have labels. A sender that compresses
/// needs no more, and without a bound a chain of bare pointers makes each name cost thousands of
/// steps.
const MAX_POINTERS: usize = 127;

/// A name out of a message, decompressed, its case kept.
pub(super) struct NameBuf {
    bytes: [u8; MAX_NAME],
    len: usize,
}

impl NameBuf {
    /// Reads the name at `at`. Returns it with the offset behind it.
    ///
    /// Each pointer must lead in front of the piece it ends. The work is bounded by
    /// [`MAX_POINTERS`] and the result by 255 bytes.
    pub(super) fn read(message: &[u8], at: usize) -> Result<(Self, usize), Malformed> {
        let mut name = Self { bytes: [0; MAX_NAME], len: 0 };
        let end = walk_labels(message, at, |label| name.push(label))?;
        Ok((name, end))
    }

    fn push(&mut self, bytes: &[u8]) -> Result<(), Malformed> {
        let end = self.len + bytes.len();
        self.bytes.get_mut(self.len..end).ok_or(Malformed::BadName)?.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    /// The wire bytes, case as it came.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The name in lower case.
    pub(super) fn lower(mut self) -> LowerName {
        self.bytes[..self.len].make_ascii_lowercase();
        LowerName(self)
    }
}

/// A [`NameBuf`] in lower case, comparable.
pub(super) struct LowerName(NameBuf);

impl LowerName {
    /// Borrows it as the name the rest of the program works with.
    pub(super) fn as_ref(&self) -> NameRef<'_> {
        NameRef::from_checked(self.0.as_bytes())
    }
}

/// Length of a message header.
pub(super) const HEADER: usize = 12;

/// The target of the compression pointer at `at`, `None` if none stands there.
pub(super) fn pointer(message: &[u8], at: usize) -> Option<usize> {
    let bytes = message.get(at..at + 2)?;
    let value = u16::from_be_bytes([bytes[0], bytes[1]]);
    (value >= 0xc000).then_some(usize::from(value & 0x3fff))
}

/// The 16-bit number at `at`.
pub(super) fn u16_at(message: &[u8], at: usize) -> Option<u16> {
    message.get(at..at + 2).map(|b| u16::from_be_bytes([b[0], b[1]]))
}

/// The 32-bit number at `at`.
pub(super) fn u32_at(message: &[u8], at: usize) -> Option<u32> {
    message.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}

/// Checks the name at `at` as [`NameBuf::read`] does. Returns the offset behind it.
fn skip_name(message: &[u8], at: usize) -> Result<usize, Malformed> {
    let mut len = 0;
    walk_labels(message, at, |label| {
        len += label.len();
        if len > MAX_NAME { Err(Malformed::BadName) } else { Ok(()) }
    })
}

/// Hands each label of the name at `at`, the root's and length bytes included, to `take`, which
/// bounds them. Returns the offset behind the name.
#[inline]
fn walk_labels(
    message: &[u8],
    at: usize,
    mut take: impl FnMut(&[u8]) -> Result<(), Malformed>,
) -> Result<usize, Malformed> {
    let (mut pos, mut limit, mut end, mut pointers) = (at, at, None, 0);
    loop {
        let len = usize::from(*message.get(pos).ok_or(Malformed::BadName)?);
        if len <= MAX_LABEL {
            take(message.get(pos..pos + 1 + len).ok_or(Malformed::BadName)?)?;
            pos += 1 + len;
            if len == 0 {
                return Ok(end.unwrap_or(pos));
            }
        } else {
            let target = pointer(message, pos).ok_or(Malformed::BadName)?;
            pointers += 1;
            if target >= limit || target < HEADER || pointers > MAX_POINTERS {
                return Err(Malformed::BadName);
            }
            end.get_or_insert(pos + 2);
            (pos, limit) = (target, target);
        }
    }
}

/// One record of a message, not copied.
pub(super) struct Record {
    /// Where the owner name stands.
    owner_at: usize,
    pub(super) rtype: Rtype,
    pub(super) class: u16,
    pub(super) ttl: u32,
    /// Where the RDATA stands.
    pub(super) rdata: Range<usize>,
}

impl Record {
    /// Reads the record at `at` of a message whose question has been checked. Returns it with the
    /// offset behind it.
    pub(super) fn read(message: &[u8], at: usize) -> Result<(Self, usize), Malformed> {
        let is_question = pointer(message, at) == Some(HEADER);
        let fixed = if is_question { at + 2 } else { skip_name(message, at)? };
        Self::behind(message, at, fixed)
    }

    /// Reads the record at `at` again, whose owner has been checked by [`Record::read`].
    fn again(message: &[u8], at: usize) -> Option<(Self, usize)> {
        let mut fixed = at;
        loop {
            match usize::from(*message.get(fixed)?) {
                0 => break fixed += 1,
                len if len <= MAX_LABEL => fixed += 1 + len,
                _ => break fixed += 2,
            }
        }
        Self::behind(message, at, fixed).ok()
    }

    /// The record whose owner stands at `owner_at`, its fixed fields at `fixed`.
    fn behind(message: &[u8], owner_at: usize, fixed: usize) -> Result<(Self, usize), Malformed> {
        let header = message.get(fixed..fixed + 10).ok_or(Malformed::BadRecord)?;
        let end = fixed + 10 + usize::from(u16::from_be_bytes([header[8], header[9]]));
        message.get(fixed + 10..end).ok_or(Malformed::BadRecord)?;
        let record = Self {
            owner_at,
            rtype: Rtype(u16::from_be_bytes([header[0], header[1]])),
            class: u16::from_be_bytes([header[2], header[3]]),
            ttl: u32::from_be_bytes([header[4], header[5], header[6], header[7]]),
            rdata: fixed + 10..end,
        };
        Ok((record, end))
    }

    /// The owner in lower case.
    pub(super) fn owner(&self, message: &[u8]) -> Result<LowerName, Malformed> {
        NameBuf::read(message, self.owner_at).map(|(name, _)| name.lower())
    }

    /// Whether `name`, in lower case, owns this record. Copies nothing.
    pub(super) fn is_at(&self, message: &[u8], name: NameRef<'_>) -> bool {
        let (mut pos, mut rest) = (self.owner_at, name.as_bytes());
        // Each round either consumes a label of `name` or follows a pointer; pointers were checked
        // to lead backwards when the record was read.
        loop {
            if let Some(target) = pointer(message, pos) {
                pos = target;
                continue;
            }
            // The usual owner is a pointer to the question.
            if message.get(pos..pos + rest.len()) == Some(rest) {
                return true;
            }
            let Some(len) = message.get(pos).map(|&b| 1 + usize::from(b)) else { return false };
            match (message.get(pos..pos + len), rest.get(..len)) {
                (Some(ours), Some(theirs)) if is_same(ours, theirs) => {}
                _ => return false,
            }
            if len == 1 {
                return rest.len() == 1;
            }
            pos += len;
            rest = &rest[len..];
        }
    }
}

/// Compares the question with the one that was asked, ASCII case aside. Returns the offset behind it.
pub(super) fn check_question(message: &[u8], qname: NameRef<'_>, qtype: Rtype) -> Result<usize, Malformed> {
    // A pointer would have to lead in front of the question: the name stands written out, and one of
    // the same bytes has the same form.
    let at = HEADER + qname.as_bytes().len();
    let same = message.get(HEADER..at).is_some_and(|name| is_same(name, qname.as_bytes()))
        && message.get(at..at + 2) == Some(&qtype.0.to_be_bytes())
        && message.get(at + 2..at + 4) == Some(&CLASS_IN.to_be_bytes());
    if same { Ok(at + 4) } else { Err(Malformed::OtherQuestion) }
}

/// Whether names are the same, ASCII case aside. Servers send back what they were sent, so mostly
/// they are alike byte for byte.
fn is_same(ours: &[u8], theirs: &[u8]) -> bool {
    ours == theirs || ours.eq_ignore_ascii_case(theirs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_to_itself_or_forward_is_a_bad_name() {
        let mut message = vec![0; HEADER];
        message.extend(b"\xc0\x0c");
        assert!(NameBuf::read(&message, 12).is_err());
        message.extend(b"\x01a\xc0\x0e");
        assert!(NameBuf::read(&message, 14).is_err());
        message.extend(b"\xc0\x02");
        assert!(NameBuf::read(&message, message.len() - 2).is_err());
    }

    #[test]
    fn a_name_behind_more_pointers_than_labels_is_bad() {
        let mut message = vec![0; HEADER];
        message.extend(b"\x01a\x00\xc0\x0c");
        for _ in 1..=MAX_POINTERS {
            let previous = message.len() as u16 - 2;
            message.extend((0xc000 | previous).to_be_bytes());
        }
        assert!(NameBuf::read(&message, message.len() - 4).is_ok());
        assert!(NameBuf::read(&message, message.len() - 2).is_err());
    }

    #[test]
    fn a_name_is_read_through_pointers_and_ends_where_it_stands() {
        let mut message = vec![0; HEADER];
        message.extend(b"\x04test\x00\x01A\xc0\x0c");
        let (name, end) = NameBuf::read(&message, 18).unwrap();
        assert_eq!((name.as_bytes(), end), (&b"\x01A\x04test\x00"[..], message.len()));
        assert_eq!(name.lower().as_ref().as_bytes(), b"\x01a\x04test\x00");
    }

    #[test]
    fn a_name_is_checked_by_the_same_rules_as_it_is_read() {
        let mut message = vec![0; HEADER];
        message.extend(b"\x04test\x00\x01A\xc0\x0c\xc0\x12\x40\x3fcut");
        for at in 0..message.len() + 2 {
            let read = NameBuf::read(&message, at).map(|(_, end)| end);
            assert_eq!(skip_name(&message, at), read, "{at}");
        }
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_bytes_a_name_is_passed_over_as_it_is_read(
            bytes in proptest::collection::vec(proptest::sample::select(vec![0, 1, 2, 12, 14, 63, 64, 0xc0, 0xc1]), 0..90),
        ) {
            for at in 0..bytes.len() + 2 {
                let read = NameBuf::read(&bytes, at).map(|(_, end)| end);
                proptest::prop_assert_eq!(skip_name(&bytes, at), read, "{}", at);
            }
        }
    }

    #[test]
    fn a_name_longer_than_255_bytes_is_bad_even_through_pointers() {
        let mut message = vec![0; HEADER];
        let mut previous = None;
        for _ in 0..8 {
            let at = message.len();
            message.push(40);
            message.extend([b'x'; 40]);
            match previous {
                None => message.push(0),
                Some(p) => message.extend((0xc000u16 | p as u16).to_be_bytes()),
            }
            previous = Some(at);
        }
        assert!(NameBuf::read(&message, previous.unwrap()).is_err());
        assert!(skip_name(&message, previous.unwrap()).is_err());
    }
}
