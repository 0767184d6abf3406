//! How the queries of one client, or for one name, ended.

use super::seen::Seen;
use crate::metrics::AnswerSource;
use crate::wire::{NameRef, Rcode, Rtype, present};

/// Bytes of a name that are kept; the end of a longer one, which says where it belongs, is kept and marked.
const KEPT: usize = 96;

/// How a query ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With records.
    Answer,
    /// The type does not exist.
    NoData,
    /// The name does not exist.
    NxDomain,
    /// It was not let in: refused, or above a bound of its client.
    TurnedAway,
    /// Any other code.
    Failure,
}

impl Outcome {
    /// That of a query. What has no answer section and is not cut is NODATA (RFC 2308 §2.2).
    pub fn of(seen: &Seen<'_>) -> Self {
        let is_cut = seen.response.get(2).is_some_and(|flags| flags & 2 != 0);
        match seen.rcode {
            _ if seen.stop.is_some() => Self::TurnedAway,
            // Upstreams that refuse fail us, not the client.
            Rcode::REFUSED if seen.source == AnswerSource::Local => Self::TurnedAway,
            Rcode::NXDOMAIN => Self::NxDomain,
            Rcode::NOERROR if !is_cut && seen.response.get(6..8) == Some(&[0, 0]) => Self::NoData,
            Rcode::NOERROR => Self::Answer,
            _ => Self::Failure,
        }
    }
}

/// A name in a place of fixed size.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    bytes: [u8; KEPT],
    len: u8,
    is_cut: bool,
}

impl Default for Name {
    fn default() -> Self {
        Self { bytes: [0; KEPT], len: 1, is_cut: false }
    }
}

impl Name {
    /// A copy: as many whole labels from the end as there is room for.
    pub fn of(name: NameRef<'_>) -> Self {
        let (mut kept, mut rest) = (Self::default(), name.as_bytes());
        while rest.len() > KEPT {
            kept.is_cut = true;
            rest = rest.get(1 + usize::from(rest[0])..).unwrap_or_default();
        }
        if let Some(room) = kept.bytes.get_mut(..rest.len()) {
            room.copy_from_slice(rest);
        }
        kept.len = rest.len() as u8;
        kept
    }

    fn wire(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// For people.
    pub fn text(&self) -> String {
        let text = present::name(self.wire());
        if self.is_cut { format!("...{text}") } else { text }
    }
}

/// Counts of a sample.
#[derive(Clone, Debug, Default)]
pub(super) struct Stats {
    pub answers: u32,
    pub nodata: u32,
    /// Of those, for AAAA.
    pub nodata_aaaa: u32,
    pub nxdomain: u32,
    pub turned_away: u32,
    pub failures: u32,
    /// A domain that most of the missing names may be below, by majority vote (Boyer and Moore).
    suffix: Name,
    /// At least so many of them are.
    votes: u32,
}

impl Stats {
    /// Counts one.
    pub fn note(&mut self, qname: NameRef<'_>, qtype: Rtype, outcome: Outcome) {
        let count = match outcome {
            Outcome::Answer => &mut self.answers,
            Outcome::NoData => &mut self.nodata,
            Outcome::NxDomain => &mut self.nxdomain,
            Outcome::TurnedAway => &mut self.turned_away,
            Outcome::Failure => &mut self.failures,
        };
        *count = count.saturating_add(1);
        if outcome == Outcome::NoData && qtype == Rtype::AAAA {
            self.nodata_aaaa = self.nodata_aaaa.saturating_add(1);
        } else if outcome == Outcome::NxDomain {
            self.vote(qname);
        }
    }

    fn vote(&mut self, qname: NameRef<'_>) {
        let Some(suffix) = last_two_labels(qname.as_bytes()) else { return };
        if self.votes > 0 && self.suffix.wire() == suffix {
            self.votes = self.votes.saturating_add(1);
        } else if self.votes > 0 {
            self.votes -= 1;
        } else if let Some(room) = self.suffix.bytes.get_mut(..suffix.len()) {
            room.copy_from_slice(suffix);
            (self.suffix.len, self.votes) = (suffix.len() as u8, 1);
        }
    }

    /// All that were counted.
    pub fn total(&self) -> u64 {
        let all = [self.answers, self.nodata, self.nxdomain, self.turned_away, self.failures];
        all.map(u64::from).iter().sum()
    }

    /// Adds what was counted elsewhere.
    pub fn add(&mut self, other: &Self) {
        for (sum, one) in [
            (&mut self.answers, other.answers),
            (&mut self.nodata, other.nodata),
            (&mut self.nodata_aaaa, other.nodata_aaaa),
            (&mut self.nxdomain, other.nxdomain),
            (&mut self.turned_away, other.turned_away),
            (&mut self.failures, other.failures),
        ] {
            *sum = sum.saturating_add(one);
        }
        if self.suffix.wire() == other.suffix.wire() {
            self.votes = self.votes.saturating_add(other.votes);
        } else if other.votes > self.votes {
            (self.suffix, self.votes) = (other.suffix, other.votes - self.votes);
        } else {
            self.votes -= other.votes;
        }
    }

    /// The domain that more than half of the missing names are below, if there is one and it was seen.
    pub fn missing_below(&self) -> Option<String> {
        (self.votes > self.nxdomain / 2).then(|| self.suffix.text())
    }
}

/// The domain of two labels that a name lies below.
fn last_two_labels(mut rest: &[u8]) -> Option<&[u8]> {
    let behind = |name: &[u8]| name.first().filter(|&&len| len > 0).map(|&len| 1 + usize::from(len));
    let first = rest;
    loop {
        let second = rest.get(behind(rest)?..)?;
        let third = second.get(behind(second)?..)?;
        if third == [0] {
            return (rest.len() < first.len() && rest.len() <= KEPT).then_some(rest);
        }
        rest = second;
    }
}

#[cfg(test)]
mod tests {
    use super::super::seen::Stop;
    use super::*;
    use crate::metrics::Bound;
    use crate::wire;

    fn name(text: &str) -> wire::Name {
        text.parse().unwrap()
    }

    #[test]
    fn names_that_are_too_long_keep_the_labels_at_their_end() {
        let long = format!("{}.{}.svc.cluster.local", "a".repeat(63), "b".repeat(60));
        let cut = format!("...{}.svc.cluster.local.", "b".repeat(60));
        assert_eq!(Name::of(name(&long).as_ref()).text(), cut);
        assert_eq!(Name::of(name("www.test").as_ref()).text(), "www.test.");
        assert_eq!(Name::of(name(".").as_ref()).text(), ".");
        let longest = format!("{0}.{0}.{0}.{1}", "c".repeat(63), "d".repeat(61));
        assert_eq!(Name::of(name(&longest).as_ref()).text(), format!("...{}.", "d".repeat(61)));
    }

    #[test]
    fn the_search_suffix_is_named_only_when_most_missing_names_have_it() {
        let missing = |names: &[&str]| {
            let mut stats = Stats::default();
            names.iter().for_each(|n| stats.note(name(n).as_ref(), Rtype::A, Outcome::NxDomain));
            stats.missing_below()
        };
        let searched = ["api.example.com.default.svc.cluster.local", "api.example.com.svc.cluster.local"];
        assert_eq!(missing(&searched), Some("cluster.local.".to_owned()));
        assert_eq!(
            missing(&[searched[0], "a.b.ec2.internal", searched[1]]),
            None,
            "two of three are not proved"
        );
        assert_eq!(missing(&["a.b.x.y", "a.b.z.y"]), None);
        assert_eq!(missing(&["cluster.local", "local", "."]), None, "nothing stands before these");
    }

    #[test]
    fn sums_claim_no_more_of_a_suffix_than_their_parts() {
        let part = |suffix: &str, times: usize| {
            let mut stats = Stats::default();
            (0..times).for_each(|_| {
                stats.note(name(&format!("a.{suffix}")).as_ref(), Rtype::AAAA, Outcome::NxDomain);
            });
            stats
        };
        let mut sum = part("cluster.local", 3);
        sum.add(&part("ec2.internal", 9));
        assert_eq!((sum.total(), sum.missing_below()), (12, None));
        sum.add(&part("ec2.internal", 4));
        assert_eq!(sum.missing_below(), Some("ec2.internal.".to_owned()));
    }

    #[test]
    fn outcomes_are_read_from_code_and_header() {
        let header = |flags: u8, answers: u8| [0, 0, flags, 0, 0, 1, 0, answers, 0, 0, 0, 0];
        let of_all = |rcode, flags, answers, source, stop| {
            let query = crate::watch::tests::seen(b"", b"");
            Outcome::of(&Seen { rcode, response: &header(flags, answers), source, stop, ..query })
        };
        let of = |rcode, flags, answers| of_all(rcode, flags, answers, AnswerSource::Cache, None);
        assert_eq!(of(Rcode::NOERROR, 0x80, 1), Outcome::Answer);
        assert_eq!(of(Rcode::NOERROR, 0x80, 0), Outcome::NoData);
        assert_eq!(of(Rcode::NOERROR, 0x82, 0), Outcome::Answer, "cut, it says nothing of what there is");
        assert_eq!(of(Rcode::NXDOMAIN, 0x80, 1), Outcome::NxDomain);
        assert_eq!(of(Rcode::SERVFAIL, 0x80, 0), Outcome::Failure);
        assert_eq!(of(Rcode::REFUSED, 0x80, 0), Outcome::Failure);
        let here = |rcode, stop| of_all(rcode, 0x80, 0, AnswerSource::Local, stop);
        assert_eq!(here(Rcode::REFUSED, None), Outcome::TurnedAway);
        assert_eq!(here(Rcode::NOERROR, Some(Stop::Bound(Bound::Slipped))), Outcome::TurnedAway);
        assert_eq!(here(Rcode::FORMERR, None), Outcome::Failure);
    }
}
