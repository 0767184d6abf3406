use std::cell::RefCell;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::clock::Clock;
use crate::metrics::UpstreamFault;
use crate::upstream::Question;
use crate::upstream::breaker::Weight;
use crate::upstream::pending::What;
use crate::upstream::{ForwardDomain, Packets, Settings, UpstreamSpec};
use crate::wire::Learned;
use crate::wire::sample::response;
use crate::wire::{Name, Rcode, Rtype};

pub(in crate::upstream) fn errand(qname: &str, number: u64) -> Errand {
    let qname: Name = qname.parse().unwrap();
    let question = Question::new(qname.as_ref(), Rtype::A);
    Errand { question, dnssec_ok: false, checking_disabled: false, number }
}

/// Writes down what it is told, as `number what`.
#[derive(Default)]
struct Notes {
    told: RefCell<Vec<String>>,
    /// Nobody waits for anything.
    is_deserted: bool,
}

impl Desk for Notes {
    fn answered(&self, errand: &Errand, learned: Learned, _: &[u8], _: Moment) {
        self.told.borrow_mut().push(format!("{} {:?}", errand.number, learned.rcode));
    }

    fn unusual(&self, errand: &Errand, what: Option<What>) -> bool {
        let what = match what {
            Some(What::Reply(_)) => "reply".to_owned(),
            Some(What::Mismatch) => "mismatch".to_owned(),
            Some(What::Io(kind)) => kind.to_string(),
            None => "silence".to_owned(),
        };
        self.told.borrow_mut().push(format!("{} {what}", errand.number));
        !self.is_deserted
    }
}

/// A lane and the upstream it asks.
struct Bench {
    lane: Lane,
    upstream: UdpSocket,
    forwarder: Arc<Forwarder>,
    notes: Notes,
    _runtime: Runtime,
}

fn settings(upstreams: &[SocketAddr], sockets: usize) -> Settings {
    let upstreams = upstreams.iter().map(|&u| UpstreamSpec::Plain(u)).collect();
    let domains = vec![ForwardDomain::new(Name::root(), upstreams)];
    Settings { domains, sockets, hedge: false, ..Settings::default() }
}

fn bench(sockets: usize) -> Bench {
    bench_with(|upstream| settings(&[upstream], sockets))
}

fn bench_with(settings: impl Fn(SocketAddr) -> Settings) -> Bench {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let upstream = UdpSocket::bind("127.0.0.1:0").unwrap();
    upstream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let settings = settings(upstream.local_addr().unwrap());
    let forwarder = Forwarder::new(settings, Clock::manual(), runtime.handle().clone());
    let lane = Lane::new(Arc::clone(&forwarder)).unwrap();
    Bench { lane, upstream, forwarder, notes: Notes::default(), _runtime: runtime }
}

/// What the upstream received: the id, the whole message, and where from.
struct Received {
    id: u16,
    from: SocketAddr,
}

impl Bench {
    fn try_send(&mut self, qname: &str, number: u64) -> Result<(), NotSent> {
        let errand = errand(qname, number);
        let client = [192, 0, 2, 1].into();
        let look = self.forwarder.look(errand.question.qname(), client, self.lane.now(), self.lane.moment());
        self.lane.send(&look.head.unwrap(), errand).map_err(|(why, _)| why)
    }

    fn send(&mut self, qname: &str, number: u64) -> Received {
        self.try_send(qname, number).unwrap();
        let mut buffer = [0; 512];
        let (_, from) = self.upstream.recv_from(&mut buffer).unwrap();
        Received { id: u16::from_be_bytes([buffer[0], buffer[1]]), from }
    }

    /// Answers with this question, id and code.
    fn reply(&self, to: &Received, qname: &str, id: u16, rcode: Rcode) {
        let mut message = response(qname, Rtype::A, rcode, &[], &[]);
        message[..2].copy_from_slice(&id.to_be_bytes());
        self.upstream.send_to(&message, to.from).unwrap();
    }

    /// What the desk is told in as many waits as it takes.
    fn told(&mut self, count: usize) -> Vec<String> {
        while self.notes.told.borrow().len() < count {
            self.lane.wait(&self.notes).unwrap();
        }
        self.notes.told.take()
    }

    /// Lets so much time pass without a datagram.
    fn pass(&mut self, span: Duration) -> Vec<String> {
        self.lane.expire(self.lane.now + span, &self.notes);
        self.notes.told.take()
    }

    fn open(&self) -> usize {
        (0..100).filter(|&i| self.lane.sockets.get(i).is_some()).count()
    }
}

#[test]
fn a_reply_is_the_answer_and_nothing_is_left() {
    let mut bench = bench(4);
    let asked = bench.send("a.test", 7);
    assert!(!bench.lane.is_idle());
    bench.reply(&asked, "a.test", asked.id, Rcode::NXDOMAIN);
    assert_eq!(bench.told(1), ["7 NXDOMAIN"]);
    assert!(bench.lane.is_idle());
    assert!(bench.pass(Duration::from_secs(60)).is_empty());
}

#[test]
fn a_stray_datagram_in_front_of_the_reply_does_not_hide_it() {
    let mut bench = bench(1);
    let first = bench.send("a.test", 1);
    bench.reply(&first, "a.test", first.id, Rcode::NOERROR);
    assert_eq!(bench.told(1), ["1 NOERROR"]);
    // One that is read with nothing waiting, and two that lie in front of the next reply.
    bench.reply(&first, "a.test", first.id ^ 1, Rcode::NOERROR);
    bench.lane.wait(&bench.notes).unwrap();
    let second = bench.send("b.test", 2);
    let other = (0..).find(|id| ![first.id, second.id].contains(id)).unwrap();
    bench.reply(&second, "b.test", first.id, Rcode::NOERROR);
    bench.reply(&second, "b.test", other, Rcode::NOERROR);
    bench.reply(&second, "b.test", second.id, Rcode::NOERROR);
    let told = bench.told(2);
    assert_eq!(told, ["2 mismatch", "2 reply"], "somebody guesses: the exchange decides what to believe");
}

#[test]
fn a_late_reply_to_a_finished_query_is_no_forgery() {
    let mut bench = bench(1);
    let first = bench.send("a.test", 1);
    bench.reply(&first, "a.test", first.id, Rcode::NOERROR);
    bench.told(1);
    let second = bench.send("b.test", 2);
    bench.reply(&first, "a.test", first.id, Rcode::NOERROR);
    bench.reply(&second, "b.test", second.id, Rcode::NOERROR);
    assert!(first.id == second.id || bench.told(1) == ["2 NOERROR"]);
}

#[test]
fn the_wrong_question_under_the_right_id_warns_its_query_alone_and_once() {
    let mut bench = bench(1);
    let (one, _two) = (bench.send("a.test", 1), bench.send("b.test", 2));
    for _ in 0..3 {
        bench.reply(&one, "c.test", one.id, Rcode::NOERROR);
    }
    bench.reply(&one, "a.test", one.id, Rcode::NOERROR);
    assert_eq!(bench.told(2), ["1 mismatch", "1 reply"]);
}

#[test]
fn a_guessed_id_warns_all_who_wait_on_the_socket() {
    let mut bench = bench(1);
    let (one, two) = (bench.send("a.test", 1), bench.send("b.test", 2));
    let guess = (0..).find(|id| ![one.id, two.id].contains(id)).unwrap();
    bench.reply(&one, "a.test", guess, Rcode::NOERROR);
    bench.upstream.send_to(b"x", one.from).unwrap();
    assert_eq!(bench.told(2), ["1 mismatch", "2 mismatch"]);
}

#[test]
fn what_is_no_plain_answer_is_left_to_an_exchange() {
    let mut bench = bench(4);
    for rcode in [Rcode::SERVFAIL, Rcode::REFUSED, Rcode::FORMERR] {
        let asked = bench.send("a.test", 1);
        bench.reply(&asked, "a.test", asked.id, rcode);
        assert_eq!(bench.told(1), ["1 reply"]);
    }
    let asked = bench.send("a.test", 1);
    let mut cut = response("a.test", Rtype::A, Rcode::NOERROR, &[], &[]);
    cut[..2].copy_from_slice(&asked.id.to_be_bytes());
    cut[2] |= 0x02;
    bench.upstream.send_to(&cut, asked.from).unwrap();
    assert_eq!(bench.told(1), ["1 reply"]);
    let asked = bench.send("a.test", 1);
    let mut damaged = response("a.test", Rtype::A, Rcode::NOERROR, &[], &[]);
    damaged[..2].copy_from_slice(&asked.id.to_be_bytes());
    damaged[7] = 9;
    bench.upstream.send_to(&damaged, asked.from).unwrap();
    assert_eq!(bench.told(1), ["1 reply"]);
    assert!(bench.lane.is_idle());
}

#[test]
fn silence_is_told_after_the_first_patience_and_a_late_reply_until_the_timeout() {
    let mut bench = bench(4);
    let (one, _two) = (bench.send("a.test", 1), bench.send("b.test", 2));
    assert!(bench.pass(Duration::from_millis(500)).is_empty());
    assert_eq!(bench.pass(Duration::from_millis(700)), ["1 silence", "2 silence"]);
    bench.reply(&one, "a.test", one.id, Rcode::NOERROR);
    assert_eq!(bench.told(1), ["1 reply"]);
    assert!(bench.pass(Duration::from_millis(3900)).is_empty());
    assert!(!bench.lane.is_idle());
    assert!(bench.pass(Duration::from_millis(4100)).is_empty());
    assert!(bench.lane.is_idle());
}

#[test]
fn what_nobody_waits_for_is_forgotten_at_once() {
    let mut bench = bench(4);
    bench.notes.is_deserted = true;
    bench.send("a.test", 1);
    assert_eq!(bench.pass(Duration::from_secs(1)), ["1 silence"]);
    assert!(bench.lane.is_idle());
}

#[test]
fn an_upstream_where_nobody_listens_is_told_to_all_who_wait() {
    let mut bench = bench(1);
    let gone = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bench.forwarder.reload(settings(&[gone], 1));
    bench.try_send("a.test", 1).unwrap();
    // The second send may be the one that hears of the first.
    let second = bench.try_send("b.test", 2);
    let told = bench.told(1);
    assert!(told.iter().any(|t| t == "1 connection refused"), "{told:?} {second:?}");
}

#[test]
fn ids_are_never_shared_on_a_socket_and_its_queries_are_bounded() {
    let mut bench = bench(1);
    let mut sent = 0;
    let refused = loop {
        match bench.try_send("a.test", sent) {
            Ok(()) => sent += 1,
            Err(refused) => break refused,
        }
    };
    assert_eq!((sent, refused), (64, NotSent::NoRoom));
    let mut ids: Vec<u16> = (0..64).map(|i| bench.lane.queries.get(i).unwrap().id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 64);
}

#[test]
fn sockets_are_drawn_at_random_and_the_lanes_share_them() {
    let mut bench = bench(64);
    let others: Vec<_> = (0..3).map(|_| Lane::new(Arc::clone(&bench.forwarder)).unwrap()).collect();
    for number in 0..400 {
        let asked = bench.send("a.test", number);
        bench.reply(&asked, "a.test", asked.id, Rcode::NOERROR);
        bench.told(1);
    }
    assert_eq!(bench.open(), 16);
    drop(others);
    for number in 0..1000 {
        let asked = bench.send("a.test", number);
        bench.reply(&asked, "a.test", asked.id, Rcode::NOERROR);
        bench.told(1);
    }
    assert!(bench.open() > 50, "{}", bench.open());
}

#[test]
fn a_socket_is_replaced_after_its_lifetime_and_closed_once_nothing_waits_on_it() {
    let mut bench = bench(1);
    let old = bench.send("a.test", 1);
    bench.lane.now += Duration::from_secs(61);
    let new = bench.send("b.test", 2);
    assert_ne!(old.from, new.from);
    assert_eq!(bench.open(), 2);
    bench.reply(&old, "a.test", old.id, Rcode::NOERROR);
    assert_eq!(bench.told(1), ["1 NOERROR"]);
    assert_eq!(bench.open(), 1);
    UdpSocket::bind(("0.0.0.0", old.from.port())).expect("the port is free again");
}

#[test]
fn the_sockets_of_an_upstream_that_is_gone_are_closed_once_nothing_waits_on_them() {
    let mut bench = bench(4);
    let asked = bench.send("a.test", 1);
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    bench.forwarder.reload(settings(&[other.local_addr().unwrap()], 4));
    bench.lane.refresh();
    assert_eq!(bench.open(), 1);
    bench.reply(&asked, "a.test", asked.id, Rcode::NOERROR);
    assert_eq!(bench.told(1), ["1 NOERROR"]);
    assert_eq!(bench.open(), 0);
    bench.try_send("b.test", 2).unwrap();
    other.recv(&mut [0; 512]).unwrap();
}

#[test]
fn a_watched_socket_ends_the_wait() {
    let mut bench = bench(1);
    let watched = UdpSocket::bind("127.0.0.1:0").unwrap();
    bench.lane.watch(&watched).unwrap();
    bench.upstream.send_to(b"x", watched.local_addr().unwrap()).unwrap();
    assert!(bench.lane.wait(&bench.notes).unwrap());
    bench.lane.unwatch(&watched).unwrap();
    let asked = bench.send("a.test", 1);
    bench.reply(&asked, "a.test", asked.id, Rcode::NOERROR);
    assert!(!bench.lane.wait(&bench.notes).unwrap());
    assert_eq!(bench.told(1), ["1 NOERROR"]);
}

#[test]
fn a_late_answer_is_told_sooner_as_long_as_second_queries_can_be_paid() {
    let mut bench = bench_with(|upstream| Settings { hedge: true, ..settings(&[upstream], 4) });
    bench.send("a.test", 1);
    assert!(bench.pass(Duration::from_millis(40)).is_empty());
    assert_eq!(bench.pass(Duration::from_millis(60)), ["1 silence"]);
    let route = bench.forwarder.route(Name::root().as_ref()).unwrap();
    while route.upstreams[0].hedges.pay() {}
    bench.send("b.test", 2);
    assert!(bench.pass(Duration::from_millis(500)).is_empty());
    assert_eq!(bench.pass(Duration::from_millis(700)), ["2 silence"]);
}

#[test]
fn a_port_by_which_nothing_comes_is_not_used_again() {
    let mut bench = bench(1);
    let silent = bench.send("a.test", 1);
    assert_eq!(bench.pass(Duration::from_millis(700)), ["1 silence"]);
    bench.lane.now += Duration::from_millis(700);
    let next = bench.send("b.test", 2);
    assert_ne!(silent.from, next.from);
    bench.reply(&silent, "a.test", silent.id, Rcode::NOERROR);
    assert_eq!(bench.told(1), ["1 reply"], "it is still listened to");
}

#[test]
fn an_upstream_that_refuses_edns_is_asked_without() {
    let mut bench = bench(1);
    let route = bench.forwarder.route(Name::root().as_ref()).unwrap();
    let mut buffer = [0; 512];
    for (edns, refuses) in [(1, true), (0, false)] {
        bench.try_send("a.test", 1).unwrap();
        bench.upstream.recv(&mut buffer).unwrap();
        assert_eq!(buffer[11], edns, "additional records");
        if refuses {
            route.upstreams[0].note_refuses_edns(bench.lane.moment());
        }
    }
}

#[test]
fn past_the_packet_budget_no_query_leaves() {
    let packets = Packets::PerSecond(100);
    let mut bench = bench_with(|upstream| Settings { packets, ..settings(&[upstream], 4) });
    let sent = (0..50).filter(|&n| bench.try_send("a.test", n).is_ok()).count();
    assert_eq!(sent, 10);
    assert_eq!(bench.try_send("a.test", 50), Err(NotSent::NoRoom), "an exchange waits for its turn");
    let late = bench.forwarder.route(Name::root().as_ref()).unwrap();
    assert_eq!(late.upstreams[0].budget.counts().0, 10);
}

fn kill(upstream: &Upstream, now: Moment) {
    for _ in 0..3 {
        let silence = Weight::Silence(upstream.breaker.mark());
        upstream.note_failure(UpstreamFault::Timeout, silence, now);
    }
}

#[test]
fn who_is_open_is_not_asked_and_one_whose_trial_is_due_takes_an_exchange() {
    let bench = bench_with(|upstream| settings(&[upstream, "127.0.0.1:9".parse().unwrap()], 4));
    let route = bench.forwarder.route(Name::root().as_ref()).unwrap();
    let chosen = || {
        let (qname, client) = (Name::root(), [192, 0, 2, 1].into());
        let now = bench.forwarder.clock.now();
        let look = bench.forwarder.look(qname.as_ref(), client, bench.lane.now(), now);
        look.head.map(|head| head.index)
    };
    let now = bench.forwarder.clock.now();
    route.upstreams[1].pace.penalise(Duration::from_millis(5), now);
    // By chance the other, one time in 64.
    assert!((0..20).filter(|_| chosen() == Some(0)).count() > 10, "the faster");
    kill(&route.upstreams[0], now);
    assert_eq!(chosen(), Some(1));
    bench.forwarder.clock.advance(Duration::from_secs(1));
    assert_eq!(chosen(), None);
    assert!(route.upstreams[0].claim_trial(false, bench.forwarder.clock.now()));
    assert_eq!(chosen(), Some(1));
    kill(&route.upstreams[1], now);
    assert_eq!(chosen(), None);
}

#[test]
fn an_answer_that_comes_too_late_for_its_question_still_closes_the_breaker() {
    let mut bench = bench(1);
    let asked = bench.send("a.test", 1);
    assert_eq!(bench.pass(Duration::from_secs(1)), ["1 silence"]);
    let route = bench.forwarder.route(Name::root().as_ref()).unwrap();
    kill(&route.upstreams[0], Moment::default());
    bench.notes.is_deserted = true;
    bench.reply(&asked, "a.test", asked.id, Rcode::NOERROR);
    assert_eq!(bench.told(1), ["1 reply"]);
    assert!(route.upstreams[0].breaker.is_closed());
}

#[test]
fn a_late_error_code_shows_a_lone_upstream_to_be_alive_and_neither_opens_nor_closes_its_breaker() {
    let mut bench = bench(1);
    let route = bench.forwarder.route(Name::root().as_ref()).unwrap();
    let breaker = &route.upstreams[0].breaker;
    let now = Moment::default();
    let mut states = Vec::new();
    for number in 0..3 {
        bench.notes.is_deserted = false;
        let asked = bench.send("a.test", number);
        assert_eq!(bench.pass(Duration::from_secs(1)).len(), 1);
        // What the exchange makes of it that has taken over.
        let silence = Weight::Silence(breaker.mark());
        route.upstreams[0].note_failure(UpstreamFault::Timeout, silence, now);
        bench.notes.is_deserted = true;
        let rcode = if number == 1 { Rcode::REFUSED } else { Rcode::SERVFAIL };
        bench.reply(&asked, "a.test", asked.id, rcode);
        assert_eq!(bench.told(1), [format!("{number} reply")]);
        states.push((breaker.failures(), breaker.is_closed(), breaker.is_last_resort()));
    }
    assert_eq!(states, [(1, true, false), (2, true, false), (3, false, true)]);
}

#[test]
fn who_is_in_a_hurry_is_told_of_silence_in_time_and_who_is_in_a_greater_one_takes_an_exchange() {
    let mut bench = bench(4);
    let head = |bench: &Bench, most| {
        let (qname, client) = (Name::root(), [192, 0, 2, 1].into());
        let look =
            bench.forwarder.look(qname.as_ref(), client, bench.lane.now(), bench.forwarder.clock.now());
        look.head.unwrap().hurried(Duration::from_millis(most))
    };
    assert!(head(&bench, 9).is_none());
    for (most, waits) in [(10, 10), (130, 100), (450, 450)] {
        let head = head(&bench, most).unwrap();
        bench.lane.send(&head, errand("a.test", most)).unwrap();
        assert!(bench.pass(Duration::from_millis(waits - 1)).is_empty());
        assert_eq!(bench.pass(Duration::from_millis(waits)), [format!("{most} silence")]);
    }
}
