//! What a transport reads in a finished response of ours, and adds to it.

use std::borrow::Cow;

use super::read::{HEADER, Record, u16_at, u32_at};
use super::response::MAX_MESSAGE;
use super::{Query, Rcode, Rtype, Suffixes};

/// The padding option (RFC 7830 §3).
const PADDING: u16 = 12;
/// The option that only TCP may carry (RFC 7828), and its length in a response.
const KEEPALIVE: u16 = 11;
const KEEPALIVE_LEN: usize = 6;
/// Padded responses are a multiple of this long (RFC 8467 §4.1).
pub const RESPONSE_BLOCK: usize = 468;

/// What a query asks of its transport.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// It has a padding option, so that its response must have one (RFC 7830 §4).
    pub padding: bool,
    /// It has the option by which clients ask how long a TCP connection may be idle (RFC 7828 §3.2.1). It means nothing
    /// over UDP and HTTPS, and breaks the rules of QUIC (RFC 9250 §5.5.2).
    pub keepalive: bool,
}

impl Asked {
    /// What `query` asks; nothing where it cannot be read. Cost: a comparison where it has no options, else a second
    /// reading of the query.
    pub fn of(query: &[u8]) -> Self {
        match u16_at(query, 10) {
            None | Some(0) => return Self::default(),
            // An OPT record without options is the whole of what most clients send behind the question.
            Some(1) if query.last_chunk().is_some_and(is_bare_opt) => return Self::default(),
            Some(_) => {}
        }
        let mut qname = Suffixes::default();
        let edns = Query::parse(query, &mut qname).ok().and_then(|query| query.edns);
        let has = |code| edns.is_some_and(|edns| edns.option(code).is_some());
        Self { padding: has(PADDING), keepalive: has(KEEPALIVE) }
    }
}

/// Whether a message that ends so has no options: the root as owner, OPT, size, flags, no data (RFC 6891 §6.1.2).
fn is_bare_opt(end: &[u8; 11]) -> bool {
    end.starts_with(&[0, 0, 41]) && end.ends_with(&[0, 0])
}

/// What a transport adds to a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// It is padded.
    pub pads: bool,
    /// It says how long the connection may be idle, in units of 100 ms; 0 asks the client to close it (RFC 7828 §3.3.2).
    pub keepalive: Option<u16>,
}

impl Extras {
    const NONE: Self = Self { pads: false, keepalive: None };

    /// Adds them to the response in the first `len` bytes of `out`, and returns its length then. One without an OPT
    /// record, or without room, stays as it is.
    pub fn add(self, out: &mut [u8], len: usize) -> usize {
        let len = self.keepalive.map_or(len, |idle| keepalive(out, len, idle));
        if self.pads { pad(out, len) } else { len }
    }

    /// A copy of `response` with them.
    pub fn added(self, response: &[u8]) -> Cow<'_, [u8]> {
        if self == Self::NONE {
            return Cow::Borrowed(response);
        }
        let mut out = Vec::with_capacity(response.len() + KEEPALIVE_LEN + 4 + RESPONSE_BLOCK);
        out.extend_from_slice(response);
        out.resize(out.capacity(), 0);
        let len = self.add(&mut out, response.len());
        out.truncate(len);
        Cow::Owned(out)
    }
}

/// Puts the idle time-out behind the options of the response in the first `len` bytes of `out` (RFC 7828 §3.1).
fn keepalive(out: &mut [u8], len: usize, idle: u16) -> usize {
    let end = len + KEEPALIVE_LEN;
    let rdlength =
        opt_length_at(out.get(..len).unwrap_or_default()).and_then(|at| Some((at, u16_at(out, at)?)));
    let Some((at, before)) = rdlength.filter(|_| end <= MAX_MESSAGE) else { return len };
    let (Some(rdlength), Some(option)) = (before.checked_add(KEEPALIVE_LEN as u16), out.get_mut(len..end))
    else {
        return len;
    };
    for (place, number) in option.chunks_exact_mut(2).zip([KEEPALIVE, 2, idle]) {
        place.copy_from_slice(&number.to_be_bytes());
    }
    if let Some(place) = out.get_mut(at..at + 2) {
        place.copy_from_slice(&rdlength.to_be_bytes());
    }
    end
}

/// Pads the response in the first `len` bytes of `out` to whole blocks (RFC 8467 §4.1), and returns its
/// length then. One without an OPT record, or without room for the option, stays as it is.
fn pad(out: &mut [u8], len: usize) -> usize {
    let Some(rdlength_at) = out.get(..len).and_then(opt_length_at) else { return len };
    let whole = (len + 4).next_multiple_of(RESPONSE_BLOCK).min(out.len()).min(MAX_MESSAGE);
    let (Some(zeros), Some(before)) = (whole.checked_sub(len + 4), u16_at(out, rdlength_at)) else {
        return len;
    };
    let added = u16::try_from(zeros + 4).ok().and_then(|added| before.checked_add(added));
    let (Some(rdlength), Some(option)) = (added, out.get_mut(len..whole)) else { return len };
    option.fill(0);
    // Blocks are short, and so is what is missing to one.
    for (at, number) in [(0, PADDING), (2, zeros as u16)] {
        if let Some(place) = option.get_mut(at..at + 2) {
            place.copy_from_slice(&number.to_be_bytes());
        }
    }
    if let Some(place) = out.get_mut(rdlength_at..rdlength_at + 2) {
        place.copy_from_slice(&rdlength.to_be_bytes());
    }
    whole
}

/// Where the length of the OPT record's data stands, if that record is the last one, as ours are.
fn opt_length_at(response: &[u8]) -> Option<usize> {
    let (last, end) = records(response)?.last()?;
    (last.rtype == Rtype::OPT && end == response.len()).then(|| last.rdata.start - 2)
}

/// How long a response may be kept, in seconds: its least TTL (RFC 8484 §5.1), for a denial at most what
/// the SOA says of denials (RFC 2308 §5). A failure may not be kept at all.
pub fn freshness(response: &[u8]) -> u32 {
    let rcode = response.get(3).map(|flags| Rcode(u16::from(flags & 0x0f)));
    if !matches!(rcode, Some(Rcode::NOERROR | Rcode::NXDOMAIN)) {
        return 0;
    }
    let Some(records) = records(response) else { return 0 };
    let of_record = |(record, end): (Record, usize)| match record.rtype {
        // The version and the upper bits of the code stand where other records have their TTL.
        Rtype::OPT => (record.ttl >> 24 != 0).then_some(0),
        Rtype::SOA => Some(record.ttl.min(u32_at(response, end - 4).unwrap_or(0))),
        _ => Some(record.ttl),
    };
    records.filter_map(of_record).min().unwrap_or(0)
}

/// All records, each with the offset behind it; `None` without a question that can be read.
fn records(response: &[u8]) -> Option<impl Iterator<Item = (Record, usize)> + '_> {
    let count = |at| u16_at(response, at).map(u32::from);
    let left = count(6)? + count(8)? + count(10)?;
    let mut at = HEADER;
    if count(4)? > 0 {
        at += super::name::wire_len(response.get(HEADER..)?).ok()? + 4;
    }
    let mut left = (0..left).fuse();
    Some(std::iter::from_fn(move || {
        left.next()?;
        let (record, end) = Record::read(response, at).ok()?;
        at = end;
        Some((record, end))
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::query::tests::{opt, packet};
    use super::super::sample::{a, add_opt, soa};
    use super::*;

    fn response(
        rcode: u8,
        answers: &[super::super::sample::Rec],
        soas: &[super::super::sample::Rec],
    ) -> Vec<u8> {
        let mut out = packet("www.example.com", 1, None);
        out[2] |= 0x80;
        out[3] = 0x80 | rcode;
        (out[7], out[9]) = (answers.len() as u8, soas.len() as u8);
        answers.iter().chain(soas).for_each(|rec| super::super::sample::push(&mut out, rec));
        out
    }

    fn with_opt(mut response: Vec<u8>, data: &[u8]) -> Vec<u8> {
        add_opt(&mut response, 0, data);
        response
    }

    fn padded(response: &[u8], room: usize) -> Vec<u8> {
        let mut out = response.to_vec();
        out.resize(room.max(response.len()), 0xee);
        let len = pad(&mut out, response.len());
        out.truncate(len);
        out
    }

    #[test]
    fn options_ask_for_padding_and_for_the_idle_time_out() {
        let padding_option = opt(0, false, &[0, 10, 0, 1, 7, 0, 12, 0, 3, 0, 0, 0]);
        let asked = |options: &[u8]| Asked::of(&packet("a", 1, Some(&opt(0, false, options))));
        let (padding, keepalive) = (true, true);
        let only_padding = Asked { padding, keepalive: false };
        assert_eq!(Asked::of(&packet("a", 1, Some(&padding_option))), only_padding);
        assert_eq!(asked(&[0, 12, 0, 0]), only_padding);
        assert_eq!(asked(&[0, 11, 0, 0]), Asked { padding: false, keepalive });
        assert_eq!(asked(&[0, 11, 0, 0, 0, 12, 0, 1, 0]), Asked { padding, keepalive });
        assert_eq!(asked(&[0, 10, 0, 0]), Asked::default());
        assert_eq!(Asked::of(&packet("a", 1, None)), Asked::default());
        assert_eq!(Asked::of(&[0; 5]), Asked::default());
    }

    #[test]
    fn the_idle_time_out_stands_behind_the_other_options_and_before_the_padding() {
        let plain = with_opt(response(0, &[a("www.example.com", 60, 1)], &[]), &[0, 15, 0, 2, 0, 3]);
        let told = Extras { pads: false, keepalive: Some(100) };
        let out = told.added(&plain);
        assert_eq!(out[..].strip_prefix(&plain[..opt_length_at(&plain).unwrap()]).unwrap()[..2], [0, 12]);
        assert_eq!(out[plain.len()..], [0, 11, 0, 2, 0, 100]);
        assert_eq!(opt_length_at(&out), opt_length_at(&plain), "the OPT record is still whole");
        let both = Extras { pads: true, ..told }.added(&plain).into_owned();
        assert_eq!(both.len(), RESPONSE_BLOCK);
        assert_eq!(both[plain.len()..plain.len() + 8], [0, 11, 0, 2, 0, 100, 0, 12]);
        let unedited = response(0, &[a("www.example.com", 60, 1)], &[]);
        assert_eq!(told.added(&unedited), unedited, "without EDNS nothing is added");
        let mut tight = plain.clone();
        tight.resize(plain.len() + 5, 0);
        assert_eq!(told.add(&mut tight, plain.len()), plain.len(), "nor without room");
    }

    #[test]
    fn a_padded_response_is_whole_blocks_and_says_the_same() {
        let plain = with_opt(response(0, &[a("www.example.com", 60, 1)], &[]), &[0, 15, 0, 2, 0, 3]);
        let out = padded(&plain, 65_535);
        assert_eq!(out.len(), RESPONSE_BLOCK);
        let at = opt_length_at(&plain).unwrap();
        assert_eq!(out[..at], plain[..at]);
        assert_eq!(out[at + 2..plain.len()], plain[at + 2..], "other options stay");
        assert_eq!(opt_length_at(&out), Some(at), "the OPT record is still whole");
        let zeros = (RESPONSE_BLOCK - plain.len() - 4) as u16;
        assert_eq!(out[plain.len()..plain.len() + 4], [[0, 12], zeros.to_be_bytes()].concat());
    }

    #[test]
    fn what_needs_one_byte_more_than_a_block_gets_two_blocks() {
        let base = with_opt(response(0, &[], &[]), &[]).len();
        for (filler, blocks) in [(RESPONSE_BLOCK - base - 8, 1), (RESPONSE_BLOCK - base - 7, 2)] {
            let mut option = vec![0xfd, 0xe9];
            option.extend((filler as u16).to_be_bytes());
            option.resize(4 + filler, 1);
            let plain = with_opt(response(0, &[], &[]), &option);
            assert_eq!(padded(&plain, 65_535).len(), blocks * RESPONSE_BLOCK);
        }
    }

    #[test]
    fn without_opt_or_room_nothing_is_padded() {
        let plain = response(0, &[a("www.example.com", 60, 1)], &[]);
        assert_eq!(padded(&plain, 65_535), plain);
        let plain = with_opt(plain, &[]);
        for room in 0..4 {
            assert_eq!(padded(&plain, plain.len() + room), plain);
        }
        assert_eq!(padded(&plain, plain.len() + 4).len(), plain.len() + 4, "as far as the room goes");
        assert_eq!(padded(&[], 100), [0; 0]);
    }

    #[test]
    fn a_response_is_fresh_for_its_least_ttl() {
        let answers = [a("www.example.com", 300, 1), a("www.example.com", 60, 2)];
        assert_eq!(freshness(&response(0, &answers, &[])), 60);
        assert_eq!(freshness(&with_opt(response(0, &answers, &[]), &[])), 60, "OPT has no TTL");
        assert_eq!(freshness(&response(3, &[], &[soa("example.com", 900, 30)])), 30);
        assert_eq!(freshness(&response(0, &[], &[soa("example.com", 20, 30)])), 20);
        assert_eq!(freshness(&response(2, &answers, &[])), 0, "a failure");
        assert_eq!(freshness(&response(0, &[], &[])), 0, "nothing to be sure of");
        assert_eq!(freshness(&[0; 7]), 0);
    }

    #[test]
    fn an_extended_code_is_a_failure_too() {
        let mut badvers = response(0, &[a("www.example.com", 300, 1)], &[]);
        add_opt(&mut badvers, 1, &[]);
        assert_eq!(freshness(&badvers), 0);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), len in 0usize..250) {
            freshness(&bytes);
            Asked::of(&bytes);
            let len = len.min(bytes.len());
            let added = Extras { pads: true, keepalive: Some(7) }.add(&mut bytes, len);
            prop_assert!(added >= len && added <= bytes.len());
        }
    }
}
