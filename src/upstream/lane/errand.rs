//! What a lane is given to ask, and whom it tells.

use std::io;

use super::super::Question;
use super::super::marker::{MARKER_OPTION, Stamp};
use super::super::pending::What;
use crate::clock::Moment;
use crate::wire::{Learned, ask};

/// A question that is asked for somebody.
#[derive(Clone, Debug)]
pub struct Errand {
    /// The question.
    pub question: Question,
    /// DO: with signatures.
    pub dnssec_ok: bool,
    /// CD: the upstream need not validate.
    pub checking_disabled: bool,
    /// What it is known by to whoever wants the answer.
    pub number: u64,
}

impl Errand {
    /// Writes the query in place of what `message` holds. Signatures need an OPT even where the
    /// upstream is not known to take one.
    pub(super) fn write(&self, id: u16, edns: bool, stamp: Option<&Stamp>, message: &mut Vec<u8>) {
        let query = ask::Query {
            qname: self.question.qname(),
            qtype: self.question.qtype(),
            dnssec_ok: self.dnssec_ok,
            checking_disabled: self.checking_disabled,
            edns: edns || self.dnssec_ok,
            option: stamp.map(|stamp| (MARKER_OPTION, &stamp[..])),
        };
        query.write(id, message);
    }
}

/// Who wants the answers of a lane.
pub trait Desk {
    /// The upstream has answered; `message` is what `learned` was made of.
    fn answered(&self, errand: &Errand, learned: Learned, message: &[u8], now: Moment);

    /// Something else has happened, `None`: nothing has, in the usual time. Somebody else is to
    /// take over. Returns whether anybody still waits for the answer.
    fn unusual(&self, errand: &Errand, what: Option<What>) -> bool;
}

/// Why a query was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSent {
    /// No socket could be had, or too many queries wait: nothing has been tried.
    NoRoom,
    /// The network would not take it.
    Network(io::ErrorKind),
}
