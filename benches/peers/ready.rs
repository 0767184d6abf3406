//! Ready answers, found by the question's bytes: the limit with a look-up, and our upstream.

use std::collections::HashMap;
use std::fs;
use std::hash::{BuildHasherDefault, Hasher};
use std::path::Path;

use anyhow::{Context as _, Result};

use super::batch::{Packet, SIZE};
use super::dns::{A, Case, HEADER, OPT, name, question_end};

/// The zone of names that are unique: our upstream derives their address from the name.
pub const UNIQUE_ZONE: &str = "miss.bench";
/// Its A record is the number of queries that our upstream has answered.
pub const ASKED: &str = "asked.bench";
/// Bytes of a unique name's first label before its number, the length byte included.
pub const UNIQUE_PREFIX: usize = 2;
/// Hexadecimal digits of the number.
pub const UNIQUE_DIGITS: usize = 12;

/// Hashes a question's bytes, eight at a time; nobody attacks it here.
#[derive(Default)]
pub struct Fold(u64);

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            for (to, from) in word.iter_mut().zip(part) {
                *to = *from;
            }
            let product = u128::from(self.0 ^ u64::from_le_bytes(word)) * 0x9e37_79b9_7f4a_7c15;
            self.0 = (product as u64) ^ ((product >> 64) as u64);
        }
    }

    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

type Table = HashMap<Box<[u8]>, Box<[u8]>, BuildHasherDefault<Fold>>;

/// What is done with questions that are not in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// REFUSED: the limit, which is only asked what is in it.
    Refuse,
    /// Unique names have an address of their own, other names do not exist: the upstream.
    MakeUp,
}

/// A table of ready answers.
pub struct Ready {
    table: Table,
    otherwise: Otherwise,
    asked: u32,
    unique: Vec<u8>,
    counter: Vec<u8>,
}

impl Ready {
    /// Reads a table that [`Ready::write`] wrote.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(path: &Path, otherwise: Otherwise) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("answers {}", path.display()))?;
        let mut table = Table::default();
        let mut rest = &bytes[..];
        while let Some((key, after)) = take(rest) {
            let Some((answer, after)) = take(after) else { break };
            table.insert(key.into(), answer.into());
            rest = after;
        }
        let counter = [&name(ASKED)[..], &A.to_be_bytes(), &[0, 1]].concat();
        Ok(Self { table, otherwise, asked: 0, unique: name(UNIQUE_ZONE), counter })
    }

    /// Writes the answers of all cases as a table.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write<'a>(path: &Path, cases: impl IntoIterator<Item = &'a Case>) -> Result<()> {
        let mut out = Vec::new();
        for ready in cases.into_iter().map(Case::ready) {
            let counts = [0, ready.answers, 0, u8::from(ready.answers == 0)];
            let answer = [&[ready.rcode][..], &counts, &ready.sections].concat();
            for part in [&ready.question, &answer] {
                out.extend((part.len() as u16).to_be_bytes());
                out.extend(part);
            }
        }
        fs::write(path, out).with_context(|| format!("answers {}", path.display()))
    }

    /// Turns the query in `packet[..len]` into its response in place; the response's length, 0 for none.
    pub fn respond(&mut self, packet: &mut Packet, len: usize) -> usize {
        let Some(end) = packet.get(..len).and_then(question_end) else { return 0 };
        let mut key = [0; 260];
        let Some(question) = packet.get(HEADER..end) else { return 0 };
        let Some(key) = key.get_mut(..question.len()) else { return 0 };
        key.copy_from_slice(question);
        key.make_ascii_lowercase();
        let made_up;
        let answer = match self.table.get(&*key) {
            Some(answer) => answer,
            None => {
                made_up = self.make_up(key);
                &made_up[..]
            }
        };
        self.asked = self.asked.wrapping_add(1);
        lay_out(packet, end, answer).unwrap_or(0)
    }

    /// Response code, counts and sections for a question that is not in the table.
    fn make_up(&mut self, key: &[u8]) -> Vec<u8> {
        const SOA: &[u8] = &[0, 0, 6, 0, 1, 0, 0, 14, 16, 0, 22];
        if self.otherwise == Otherwise::Refuse {
            return vec![5, 0, 0, 0, 0];
        }
        let is_unique =
            key.get(..key.len().saturating_sub(4)).is_some_and(|qname| qname.ends_with(&self.unique));
        let address = match unique_number(key) {
            _ if key == self.counter => {
                let asked = self.asked;
                self.asked = asked.wrapping_sub(1);
                asked.to_be_bytes()
            }
            Some(number) if is_unique => address_of(number),
            _ => return [&[3, 0, 0, 0, 1], SOA, &[0; 22]].concat(),
        };
        [&[0, 0, 1, 0, 0, 0xc0, 12, 0, 1, 0, 1, 0, 1, 81, 128, 0, 4][..], &address].concat()
    }
}

/// The number in a unique name's first label.
pub fn unique_number(question: &[u8]) -> Option<u64> {
    let digits = question.get(UNIQUE_PREFIX..UNIQUE_PREFIX + UNIQUE_DIGITS)?;
    digits.iter().try_fold(0, |number, &digit| Some(number << 4 | u64::from(char::from(digit).to_digit(16)?)))
}

/// The address of a unique name.
pub fn address_of(number: u64) -> [u8; 4] {
    let [.., a, b, c] = number.to_be_bytes();
    [10, a, b, c]
}

/// Writes header, sections and, where the query had one, the OPT record; the response's length.
fn lay_out(packet: &mut Packet, end: usize, answer: &[u8]) -> Option<usize> {
    let [rcode, high, low, authority_high, authority, sections @ ..] = answer else { return None };
    let has_opt = packet[11] != 0;
    packet[2] = 0x84 | (packet[2] & 1);
    packet[3] = 0x80 | rcode;
    let counts = [0, 1, *high, *low, *authority_high, *authority, 0, u8::from(has_opt)];
    packet.get_mut(4..HEADER)?.copy_from_slice(&counts);
    packet.get_mut(end..end + sections.len())?.copy_from_slice(sections);
    let end = end + sections.len();
    if !has_opt {
        return Some(end);
    }
    packet.get_mut(end..end + OPT.len())?.copy_from_slice(&OPT);
    Some((end + OPT.len()).min(SIZE))
}

/// A length of two bytes and as many bytes, and what follows them.
fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
}
