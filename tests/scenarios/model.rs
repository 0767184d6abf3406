//! What a scenario consists of.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use zonelet::wire::{Name, Rtype};

/// Why a scenario cannot be played, or did not go as told.
#[derive(Debug)]
pub struct Failure {
    /// File and line.
    pub place: String,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// One file.
#[derive(Debug)]
pub struct Scenario {
    pub file: String,
    /// The configuration, its lines where they stand in the file.
    pub config: String,
    pub zones: Vec<ZoneText>,
    /// Apexes of zones that exist but cannot be read.
    pub carved_out: Vec<Name>,
    pub ranges: Vec<Range>,
    pub steps: Vec<Step>,
}

impl Scenario {
    pub fn failure(&self, line: usize, what: impl Into<String>) -> Failure {
        Failure { place: format!("{}:{line}", self.file), what: what.into() }
    }
}

/// The content of a zone file that the configuration names.
#[derive(Debug)]
pub struct ZoneText {
    pub file: String,
    pub text: String,
}

/// What an upstream answers by itself during some steps.
#[derive(Debug)]
pub struct Range {
    pub first: u32,
    pub last: u32,
    pub address: IpAddr,
    pub entries: Vec<Entry>,
}

/// A message, and how others are compared with it.
#[derive(Debug)]
pub struct Entry {
    /// Of its `REPLY`.
    pub line: usize,
    pub matches: Matches,
    pub copy_id: bool,
    pub copy_query: bool,
    pub packet: Packet,
    used: AtomicBool,
}

impl Entry {
    pub fn new(line: usize) -> Self {
        Self {
            line,
            matches: Matches::default(),
            copy_id: false,
            copy_query: false,
            packet: Packet::default(),
            used: AtomicBool::new(false),
        }
    }

    /// Notes that it has been sent.
    pub fn note_use(&self) {
        self.used.store(true, Ordering::Relaxed);
    }

    pub fn is_used(&self) -> bool {
        self.used.load(Ordering::Relaxed)
    }
}

/// What is compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matches {
    pub opcode: bool,
    pub qname: bool,
    pub qtype: bool,
    pub flags: bool,
    pub rcode: bool,
    pub answer: bool,
    pub authority: bool,
    pub ttl: bool,
    pub ede: Option<WantedEde>,
    /// `Some(true)` for TCP, `Some(false)` for UDP.
    pub tcp: Option<bool>,
}

/// An extended error that is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WantedEde {
    Any,
    None,
    Code(u16),
}

/// A record: owner, type, TTL, RDATA.
pub type Rec = (Name, Rtype, u32, Vec<u8>);

/// A message as it is written down.
#[derive(Clone, Debug, Default)]
pub struct Packet {
    /// The header's second word without the code.
    pub flags: u16,
    pub rcode: u16,
    /// The size that an OPT states, if there is one.
    pub edns: Option<u16>,
    pub dnssec_ok: bool,
    pub ede: Option<u16>,
    /// The name as it is spelled, and the type.
    pub question: Option<(Vec<u8>, Rtype)>,
    /// Answer, authority, additional.
    pub sections: [Vec<Rec>; 3],
}

impl Packet {
    /// The message on the wire, with this id.
    pub fn to_bytes(&self, id: u16) -> Vec<u8> {
        let counts = self.sections.each_ref().map(|records| records.len() as u16);
        let opt = u16::from(self.edns.is_some());
        let header = [
            id,
            self.flags | self.rcode & 15,
            u16::from(self.question.is_some()),
            counts[0],
            counts[1],
            counts[2] + opt,
        ];
        let mut out: Vec<u8> = header.iter().flat_map(|word| word.to_be_bytes()).collect();
        if let Some((qname, qtype)) = &self.question {
            out.extend(qname);
            out.extend([qtype.0.to_be_bytes(), [0, 1]].concat());
        }
        for (owner, rtype, ttl, rdata) in self.sections.iter().flatten() {
            out.extend(owner.as_bytes());
            out.extend([rtype.0.to_be_bytes(), [0, 1]].concat());
            out.extend(ttl.to_be_bytes());
            out.extend((rdata.len() as u16).to_be_bytes());
            out.extend(rdata);
        }
        if let Some(size) = self.edns {
            let option =
                self.ede.map(|code| [[0, 15], [0, 2], code.to_be_bytes()].concat()).unwrap_or_default();
            out.extend([0, 0, 41]);
            out.extend(size.to_be_bytes());
            out.extend([(self.rcode >> 4) as u8, 0, u8::from(self.dnssec_ok) << 7, 0]);
            out.extend((option.len() as u16).to_be_bytes());
            out.extend(option);
        }
        out
    }
}

/// One step.
#[derive(Debug)]
pub struct Step {
    pub line: usize,
    pub number: u32,
    pub action: Action,
}

/// What is done in a step.
#[derive(Debug)]
pub enum Action {
    /// A client asks.
    Query(SocketAddr, Entry),
    /// The oldest answer that a client got is this one.
    CheckAnswer(Entry),
    /// An upstream has this query, and has not answered.
    CheckOutQuery(Entry),
    /// The upstream that has this query answers it.
    Reply(Entry),
    /// Time goes on.
    TimePasses(Duration),
    /// Time goes on until no client waits any more.
    Timeout,
    Nothing,
    /// A zone file becomes this one, and all are imported anew.
    Import(ZoneText),
}
