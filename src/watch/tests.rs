//! What is taken in, and of whom.

use std::net::Ipv4Addr;

use super::settings::{Collector, QueryLog, Top};
use super::*;
use crate::metrics::{AnswerSource, Bound, Proto};
use crate::wire::Rcode;

const QUERY: [u8; 21] = *b"\0\x07\x01\0\0\x01\0\0\0\0\0\0\x03www\0\0\x01\0\x01";
const ANSWER: [u8; 21] = *b"\0\x07\x81\0\0\x01\0\x01\0\0\0\0\x03www\0\0\x01\0\x01";

/// What 10.0.0.1 has asked a zone.
pub(in crate::watch) fn seen<'a>(query: &'a [u8], response: &'a [u8]) -> Seen<'a> {
    Seen {
        client: ([10, 0, 0, 1], 1000).into(),
        local: None,
        proto: Proto::Udp,
        query,
        response,
        source: AnswerSource::Zone,
        rcode: Rcode::NOERROR,
        stop: None,
        by: None,
        asked: Duration::ZERO,
    }
}

fn takes(settings: &Settings) -> usize {
    let sampling = Sampling::of(settings);
    (1..=1024).filter(|&draw| sampling.takes(draw)).count()
}

#[test]
fn the_answering_threads_look_up_only_for_what_some_output_wants() {
    let to = Some(Collector::Tcp(([127, 0, 0, 1], 6000).into()));
    let off = Top { sample: 0, ..Top::default() };
    let logs =
        |classes: &[Class], sample| QueryLog { classes: classes.to_vec(), sample, ..QueryLog::default() };
    let nothing = Settings { top: off.clone(), ..Settings::default() };
    assert_eq!(takes(&nothing), 0);
    assert!(!Sampling::of(&nothing).is_on());
    assert_eq!(takes(&Settings::default()), 32, "one in 32 for the tables");
    assert!(Sampling::of(&Settings::default()).is_on() && !Sampling::of(&Settings::default()).is_exact());
    let slow = Settings { query_log: logs(&[Class::Slow], 1), ..nothing.clone() };
    assert_eq!(takes(&slow), 0);
    assert!(Sampling::of(&slow).is_on() && Sampling::of(&slow).is_exact());
    assert_eq!(takes(&Settings { query_log: logs(&[Class::All], 64), ..nothing.clone() }), 16);
    assert_eq!(takes(&Settings { query_log: logs(&[Class::All], 1000), ..nothing.clone() }), 1024);
    assert_eq!(
        takes(&Settings { query_log: logs(&[Class::Slow, Class::Errors], 1), ..nothing.clone() }),
        1024
    );
    let tapped = |sample| Dnstap { to: to.clone(), sample, ..Dnstap::default() };
    assert_eq!(takes(&Settings { dnstap: tapped(256), ..nothing.clone() }), 4);
    assert_eq!(takes(&Settings { dnstap: tapped(256), ..Settings::default() }), 32);
}

#[test]
fn what_is_seen_is_counted_by_client_and_name_in_any_case() {
    let watch = Watch::new(Settings::default(), Clock::manual());
    let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, b'W', b'w', b'w', 0, 0, 1, 0, 1];
    let response = [&query[..6], &[0, 1], &query[8..]].concat();
    for draw in 0..64 {
        query[13] ^= 0x20;
        let seen = Seen { client: ([10, 0, 0, 1], 1000 + draw as u16).into(), ..seen(&query, &response) };
        watch.saw(&seen, draw);
    }
    watch.saw(&Seen { client: ([10, 0, 0, 2], 53).into(), ..seen(b"no query", b"") }, 0);
    let told = watch.told();
    assert_eq!((told.sampled, told.clients.len(), told.names.len()), (2, 1, 1));
    assert_eq!((told.names[0].name.as_str(), told.names[0].answers), ("www.", 1.0));
}

#[test]
fn a_client_above_its_bounds_is_told_with_the_share_that_was_turned_away() {
    let top = Top { sample: 1, ..Top::default() };
    let watch = Watch::new(Settings { top, ..Settings::default() }, Clock::manual());
    for stop in [None, Some(Stop::Bound(Bound::Dropped)), Some(Stop::Bound(Bound::Slipped))] {
        let response = if stop == Some(Stop::Bound(Bound::Dropped)) { &b""[..] } else { &ANSWER };
        (0..8).for_each(|draw| watch.saw(&Seen { stop, ..seen(&QUERY, response) }, draw));
    }
    let told = watch.told();
    let [client] = told.clients.as_slice() else { panic!("{told:?}") };
    assert_eq!((client.answers * 3.0, client.turned_away * 3.0, client.failures), (1.0, 2.0, 0.0));
    assert!(client.hint.as_ref().is_some_and(|hint| hint.starts_with("66% of its queries are turned away")));
}

#[test]
fn what_the_process_asks_itself_is_not_seen_for_as_long_as_it_asks() {
    let top = Top { sample: 1, ..Top::default() };
    let watch = Watch::new(Settings { top, ..Settings::default() }, Clock::manual());
    let own = seen(&QUERY, &ANSWER);
    let unseen = watch.own().begin(own.client);
    watch.saw(&Seen { client: (Ipv4Addr::new(10, 0, 0, 1).to_ipv6_mapped(), 1000).into(), ..own }, 0);
    watch.saw(&own, 0);
    assert_eq!(watch.told().sampled, 0);
    // The same host by another port, and another host by this one, are clients.
    watch.saw(&Seen { client: ([10, 0, 0, 1], 1001).into(), ..own }, 0);
    watch.saw(&Seen { client: ([10, 0, 0, 2], 1000).into(), ..own }, 0);
    assert_eq!(watch.told().sampled, 2);
    drop(unseen);
    watch.saw(&own, 0);
    assert_eq!(watch.told().sampled, 3);
}

impl Watch {
    /// What has come into the feed since this was asked last.
    pub(crate) fn fed(&self) -> Vec<feed::Head> {
        let mut all = Vec::new();
        self.0
            .feed
            .drain(&mut feed::Batch::default(), |batch| all.extend(batch.iter().map(|(head, _)| *head)));
        all
    }
}

fn watching(classes: &[Class], to: Option<Collector>) -> Watch {
    let query_log = QueryLog { classes: classes.to_vec(), ..QueryLog::default() };
    let dnstap = Dnstap { to, ..Dnstap::default() };
    Watch::new(Settings { dnstap, query_log, top: Top { sample: 0, ..Top::default() } }, Clock::manual())
}

/// A query that came `at` so many seconds and is dropped.
fn dropped(at: u64) -> Seen<'static> {
    let stop = Some(Stop::Bound(Bound::Dropped));
    Seen { stop, rcode: Rcode::REFUSED, asked: Duration::from_secs(at), ..seen(&QUERY, b"") }
}

#[test]
fn a_flood_of_dropped_queries_leaves_room_for_the_rest() {
    let watch =
        watching(&[Class::Errors, Class::TurnedAway], Some(Collector::Tcp(([127, 0, 0, 1], 9).into())));
    for second in [0, 1] {
        (0..5000).for_each(|draw| watch.saw(&dropped(second), draw));
        watch.saw(&Seen { rcode: Rcode::SERVFAIL, ..seen(&QUERY, &ANSWER) }, 1);
        let fed = watch.fed();
        assert_eq!(fed.len(), 1001, "second {second}");
        assert!(fed[..1000].iter().all(|head| head.is_turned_away && head.is_tapped));
        assert!(fed[..1000].iter().all(|head| head.class == Some(Class::TurnedAway)));
        assert_eq!((fed[1000].class, fed[1000].is_turned_away), (Some(Class::Errors), false));
    }
    // A response is traffic, however many there are; lines are not.
    let refused = Seen { source: AnswerSource::Local, rcode: Rcode::REFUSED, ..seen(&QUERY, &ANSWER) };
    (0..2000).for_each(|draw| watch.saw(&Seen { asked: Duration::from_secs(2), ..refused }, draw));
    let fed = watch.fed();
    assert!(fed.len() == 2000 && fed.iter().all(|head| head.is_tapped));
    assert_eq!(fed.iter().filter(|head| head.class.is_some()).count(), 1000);
}

#[test]
fn what_is_turned_away_is_no_error_and_takes_nothing_where_it_is_not_asked_for() {
    let watch = watching(&[Class::Errors, Class::Denials, Class::Slow], None);
    (0..5000).for_each(|draw| watch.saw(&dropped(0), draw));
    assert!(watch.fed().is_empty());
    watch.saw(&Seen { rcode: Rcode::SERVFAIL, ..seen(&QUERY, &ANSWER) }, 1);
    assert!(matches!(watch.fed().as_slice(), [head] if head.class == Some(Class::Errors)));
}
