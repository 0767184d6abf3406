//! The loop marker: an EDNS option in which each zonelet on the way leaves its stamp.
//!
//! The number of stamps is the number of zonelets a question has passed. Only who made a stamp can
//! tell that it is genuine; an own one that comes back proves a loop through the upstream it was
//! made for.

use std::hash::Hasher;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use siphasher::sip::SipHasher24;

use crate::clock::Moment;
use crate::wire::{NameRef, Rtype};

/// The option's code, out of the range for local use (RFC 6891 §9).
pub const MARKER_OPTION: u16 = 65313;
/// A question with more stamps than this is not passed on.
pub const MAX_HOPS: usize = 3;

/// An instance's nonce and its MAC over the question.
pub(super) type Stamp = [u8; 16];
/// Stamps read from one option; a longer option is no marker.
const MAX_READ: usize = 16;
/// A stamp is genuine for one to two of these.
const TIME_STEP_MS: u64 = 16_000;

/// The stamps of a question, in the order they were left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamps(Vec<Stamp>);

impl Stamps {
    /// Reads the content of a marker option. One that is malformed is as good as none.
    pub fn read(option: &[u8]) -> Self {
        let (stamps, rest) = option.as_chunks();
        if rest.is_empty() && stamps.len() <= MAX_READ { Self(stamps.to_vec()) } else { Self::default() }
    }

    /// How many zonelets the question has passed.
    pub fn hops(&self) -> usize {
        self.0.len()
    }

    /// The option's content with one stamp more.
    pub(super) fn with(&self, stamp: Stamp) -> Vec<u8> {
        self.0.iter().chain([&stamp]).flatten().copied().collect()
    }
}

/// Makes and knows the stamps of this process.
pub(super) struct Stamper {
    nonce: [u8; 8],
    key: (u64, u64),
}

impl std::fmt::Debug for Stamper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stamper")
    }
}

impl Stamper {
    /// With a random nonce and key of its own.
    pub(super) fn random() -> Self {
        Self { nonce: rand::random(), key: (rand::random(), rand::random()) }
    }

    /// The stamp for a question about to be sent to `upstream`.
    pub(super) fn stamp(&self, qname: NameRef<'_>, qtype: Rtype, upstream: SocketAddr, now: Moment) -> Stamp {
        self.stamp_at(qname, qtype, upstream, now.as_millis() / TIME_STEP_MS)
    }

    fn stamp_at(&self, qname: NameRef<'_>, qtype: Rtype, upstream: SocketAddr, step: u64) -> Stamp {
        let mut mac = SipHasher24::new_with_keys(self.key.0, self.key.1);
        // Whole words: what the hash takes in fastest.
        let mut fixed = [0; 32];
        fixed[..16].copy_from_slice(&mapped(upstream.ip()).octets());
        fixed[16..24].copy_from_slice(&step.to_be_bytes());
        fixed[24..26].copy_from_slice(&upstream.port().to_be_bytes());
        fixed[26..28].copy_from_slice(&qtype.0.to_be_bytes());
        mac.write(&fixed);
        mac.write(qname.as_bytes());
        let mut stamp = [0; 16];
        stamp[..8].copy_from_slice(&self.nonce);
        stamp[8..].copy_from_slice(&mac.finish().to_be_bytes());
        stamp
    }

    /// Whether `stamps` hold one of ours for this question and upstream, made a short while ago.
    pub(super) fn knows(
        &self,
        stamps: &Stamps,
        qname: NameRef<'_>,
        qtype: Rtype,
        upstream: SocketAddr,
        now: Moment,
    ) -> bool {
        if !stamps.0.iter().any(|s| s.starts_with(&self.nonce)) {
            return false;
        }
        let step = now.as_millis() / TIME_STEP_MS;
        [step, step.saturating_sub(1)]
            .into_iter()
            .any(|step| stamps.0.contains(&self.stamp_at(qname, qtype, upstream, step)))
    }
}

/// One form for an address however it is written.
fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Name;

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    #[test]
    fn an_own_stamp_is_known_for_its_question_upstream_and_time_only() {
        let stamper = Stamper::random();
        let (qname, other): (Name, Name) = ("a.test".parse().unwrap(), "b.test".parse().unwrap());
        let (one, two) = ("10.0.0.2:53".parse().unwrap(), "10.0.0.3:53".parse().unwrap());
        let foreign = Stamps::default().with([9; 16]);
        let stamp = stamper.stamp(qname.as_ref(), Rtype::A, one, at(1000));
        let stamps = Stamps::read(&Stamps::read(&foreign).with(stamp));
        assert_eq!(stamps.hops(), 2);
        let knows = |q: &Name, t, u, m| stamper.knows(&stamps, q.as_ref(), t, u, m);
        assert!(knows(&qname, Rtype::A, one, at(1000)) && knows(&qname, Rtype::A, one, at(17_000)));
        assert!(!knows(&other, Rtype::A, one, at(1000)) && !knows(&qname, Rtype::AAAA, one, at(1000)));
        assert!(!knows(&qname, Rtype::A, two, at(1000)) && !knows(&qname, Rtype::A, one, at(33_000)));
        let stranger = Stamper::random();
        assert!(!stranger.knows(&stamps, qname.as_ref(), Rtype::A, one, at(1000)));
    }

    #[test]
    fn a_malformed_marker_is_as_good_as_none() {
        for option in [&[][..], &[1; 15], &[1; 17], &[1; 16 * 17]] {
            assert_eq!(Stamps::read(option).hops(), 0);
        }
        assert_eq!(Stamps::read(&[1; 64]).hops(), 4);
    }
}
