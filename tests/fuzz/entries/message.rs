//! A reader of messages that shares no code with zonelet and panics at whatever is not whole.

/// A record of a message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Record {
    /// Uncompressed, lower case.
    pub owner: Vec<u8>,
    pub rtype: u16,
    pub class: u16,
    pub ttl: u32,
    pub rdata: Vec<u8>,
}

/// A message with one question.
#[derive(Debug)]
pub struct Message {
    pub id: [u8; 2],
    pub flags: u16,
    /// The question as it stands, name, type and class.
    pub question: Vec<u8>,
    pub answers: Vec<Record>,
    pub authorities: Vec<Record>,
    pub additionals: Vec<Record>,
}

impl Message {
    /// Reads all of `bytes`.
    pub fn read(bytes: &[u8]) -> Self {
        let count = |at| usize::from(u16_at(bytes, at));
        assert_eq!(count(4), 1, "one question");
        let (_, end) = name(bytes, 12);
        let (answers, at) = records(bytes, end + 4, count(6));
        let (authorities, at) = records(bytes, at, count(8));
        let (additionals, at) = records(bytes, at, count(10));
        assert_eq!(at, bytes.len(), "nothing behind the last record");
        Self {
            id: [bytes[0], bytes[1]],
            flags: u16_at(bytes, 2),
            question: bytes[12..end + 4].to_vec(),
            answers,
            authorities,
            additionals,
        }
    }

    /// The options of the OPT record, which must be the only additional record; `None` without one.
    pub fn options(&self) -> Option<&[u8]> {
        let opt = self.additionals.first()?;
        assert_eq!((self.additionals.len(), opt.rtype, &opt.owner[..]), (1, 41, &[0][..]));
        let mut rest = &opt.rdata[..];
        while !rest.is_empty() {
            rest = &rest[4 + usize::from(u16_at(rest, 2))..];
        }
        Some(&opt.rdata)
    }
}

/// Reads `count` records at `at`; returns the offset behind them, too.
pub fn records(bytes: &[u8], mut at: usize, count: usize) -> (Vec<Record>, usize) {
    let mut found = Vec::new();
    for _ in 0..count {
        let (owner, fixed) = name(bytes, at);
        let rdata = fixed + 10;
        at = rdata + usize::from(u16_at(bytes, fixed + 8));
        found.push(Record {
            owner,
            rtype: u16_at(bytes, fixed),
            class: u16_at(bytes, fixed + 2),
            ttl: u32_at(bytes, fixed + 4),
            rdata: bytes[rdata..at].to_vec(),
        });
    }
    (found, at)
}

/// Reads the name at `at`, pointers followed backwards only; returns the offset behind it, too.
pub fn name(bytes: &[u8], at: usize) -> (Vec<u8>, usize) {
    let (mut wire, mut pos, mut end) = (Vec::new(), at, None);
    loop {
        let len = usize::from(bytes[pos]);
        if len >= 0xc0 {
            let target = usize::from(u16_at(bytes, pos) & 0x3fff);
            assert!((12..pos).contains(&target), "pointer at {pos} to {target}");
            end.get_or_insert(pos + 2);
            pos = target;
            continue;
        }
        assert!(len < 64, "label type");
        wire.extend(bytes[pos..=pos + len].iter().map(u8::to_ascii_lowercase));
        pos += 1 + len;
        assert!(wire.len() <= 255, "name too long");
        if len == 0 {
            return (wire, end.unwrap_or(pos));
        }
    }
}

/// The big-endian number at `at`.
pub fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) << 16 | u32::from(u16_at(bytes, at + 2))
}
