//! What a UDP worker asks itself, and what it leaves to an exchange: through a whole server.
//!
//! The first patience is 15 % of the time-out; nothing here depends on how long that really takes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use arc_swap::ArcSwap;
use hickory_proto::rr::RecordType;
use tokio::runtime::{Builder, Runtime};
use zonelet::answer::miss::MissPath;
use zonelet::answer::{self, Answerer};
use zonelet::cache::Cache;
use zonelet::clock::Clock;
use zonelet::metrics::{Board, CacheMetrics};
use zonelet::server::{self, Leftover, Running, Server};
use zonelet::upstream::{Forwarder, Settings};
use zonelet::zone::ZoneTable;

use crate::harness::agent::forward_all;
use crate::harness::client::{PATIENCE, TcpClient, UdpClient, ask, id_of};
use crate::harness::dns::line;
use crate::harness::upstream::{Asked, Out, Scripted, is_probe};

struct Bench {
    addr: SocketAddr,
    /// All of them, the first among them.
    addrs: Vec<SocketAddr>,
    forwarder: Arc<Forwarder>,
    miss: MissPath,
    running: Option<Running>,
    /// Where exchanges run, if anything drives it.
    _exchanges: Runtime,
}

/// Whether exchanges can run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exchanges {
    Run,
    /// Whoever needs one waits for ever: the workers must do without.
    Stall,
}

/// The runtime of the servers of a test.
fn live() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn settings(upstreams: &[&Scripted]) -> Settings {
    let upstreams: Vec<_> = upstreams.iter().map(|u| u.addr).collect();
    forward_all(&upstreams)
}

fn serve(live: &Runtime, settings: Settings, exchanges: Exchanges, caps: answer::Settings) -> Bench {
    serve_at(&["127.0.0.1:0"], live, settings, exchanges, caps)
}

fn serve_at(
    listen: &[&str],
    live: &Runtime,
    settings: Settings,
    exchanges: Exchanges,
    caps: answer::Settings,
) -> Bench {
    let _context = live.enter();
    let spare = Builder::new_current_thread().enable_all().build().unwrap();
    let handle = if exchanges == Exchanges::Run { live.handle() } else { spare.handle() }.clone();
    let (clock, board) = (Clock::manual(), Board::default());
    let cache = Arc::new(Cache::new(&zonelet::cache::Settings::default(), CacheMetrics::register()));
    let forwarder = Forwarder::new(settings, clock.clone(), handle.clone());
    let miss = MissPath::new(&caps, Arc::clone(&cache), Arc::clone(&forwarder), clock.clone(), handle);
    let table = Arc::new(ArcSwap::from_pointee(ZoneTable::default()));
    let answerer = Answerer::new(table, cache, miss.clone(), caps, clock, &board);
    let listen = listen.iter().map(|at| at.parse().unwrap()).collect();
    let bound = Server::bind(server::Settings { listen, workers: 2, ..Default::default() }).unwrap();
    let addrs = bound.local_addrs();
    let running = Some(bound.start(Arc::new(answerer), &board).unwrap());
    Bench { addr: addrs[0], addrs, forwarder, miss, running, _exchanges: spare }
}

/// Nobody waits for the first patience: what happens must happen at once.
fn patient(settings: Settings) -> Settings {
    Settings { timeout: Duration::from_secs(600), silence: Duration::from_secs(600), ..settings }
}

fn caps() -> answer::Settings {
    answer::Settings::default()
}

fn plain(live: &Runtime, upstreams: &[&Scripted]) -> Bench {
    serve(live, settings(upstreams), Exchanges::Run, caps())
}

/// Answers with an address whose last byte is `last`.
fn address(asked: &Asked, last: u8) -> Out {
    Out::Reply(asked.question.address(60, last))
}

/// An upstream that answers these questions late: once the sender is dropped nothing is held up any
/// more, probes of a loop included.
fn held_up(live: &Runtime, is_late: fn(&Asked) -> bool) -> (Scripted, mpsc::Sender<()>) {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let upstream = Scripted::start(move |asked| {
        if is_late(asked) {
            let _ = released.lock().unwrap().recv_timeout(PATIENCE);
        }
        vec![address(asked, 1)]
    });
    (live.block_on(upstream), release)
}

fn query(qname: &str, id: u16) -> Vec<u8> {
    ask(qname, RecordType::A).id(id).edns(1232, false).bytes()
}

fn asked(bench: &Bench, qname: &str) -> String {
    let query = query(qname, 1);
    line(&query, &UdpClient::near(bench.addr).ask(&query, bench.addr))
}

#[test]
fn a_worker_asks_and_answers_by_itself() {
    let live = live();
    let upstream = live.block_on(Scripted::answering(60));
    let bench = serve(&live, patient(settings(&[&upstream])), Exchanges::Stall, caps());
    for qname in ["a.test.", "b.test."] {
        assert_eq!(asked(&bench, qname), format!("NOERROR; {qname} 60 A 192.0.2.1"));
    }
    assert_eq!(asked(&bench, "a.test."), "NOERROR; a.test. 60 A 192.0.2.1");
    assert_eq!((upstream.count(), bench.miss.waiting()), (2, 0));
}

#[test]
fn workers_of_every_address_ask_by_themselves_and_answer_from_where_they_were_asked() {
    let live = live();
    let upstream = live.block_on(Scripted::answering(60));
    let listen = ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"];
    let bench = serve_at(&listen, &live, patient(settings(&[&upstream])), Exchanges::Stall, caps());
    for (number, &addr) in bench.addrs.iter().enumerate() {
        let at: Vec<SocketAddr> = match addr.ip().is_unspecified() {
            false => vec![addr],
            true => [1, 2].map(|last| ([127, 0, 0, last], addr.port()).into()).into(),
        };
        for (way, at) in at.into_iter().enumerate() {
            let query = query(&format!("n{number}-{way}.test."), 7);
            let response = UdpClient::near(at).ask(&query, at);
            let expected = format!("NOERROR; n{number}-{way}.test. 60 A 192.0.2.1");
            assert_eq!(line(&query, &response), expected, "{at}");
        }
    }
    assert_eq!((upstream.count(), bench.miss.waiting()), (4, 0));
}

#[test]
fn a_hundred_equal_questions_to_all_workers_and_over_tcp_cost_one_query() {
    let live = live();
    let (upstream, release) = held_up(&live, |_| true);
    let bench = serve(&live, patient(settings(&[&upstream])), Exchanges::Run, caps());
    let clients: Vec<_> = (0..100).map(|_| UdpClient::near(bench.addr)).collect();
    clients.iter().zip(0..).for_each(|(client, id)| client.send(&query("a.test.", id), bench.addr));
    let mut stream = TcpClient::connect(bench.addr);
    stream.send(&query("a.test.", 100));
    while bench.miss.waiting() < 101 {
        std::thread::yield_now();
    }
    drop(release);
    for (client, id) in clients.iter().zip(0..) {
        assert_eq!(id_of(&client.recv().0), id);
    }
    assert_eq!(id_of(&stream.recv().unwrap()), 100);
    assert_eq!((upstream.count(), bench.miss.waiting()), (1, 0));
}

#[test]
fn a_worker_hears_clients_while_it_waits_for_an_upstream_however_long_it_had_nothing_to_wait_for() {
    let live = live();
    let (upstream, release) = held_up(&live, |asked| asked.question.qname.to_string().starts_with('b'));
    let bench = serve(&live, patient(settings(&[&upstream])), Exchanges::Run, caps());
    // One client is one worker's.
    let client = UdpClient::near(bench.addr);
    let ask = |qname: &str, id| client.send(&query(qname, id), bench.addr);
    for id in 0..40 {
        ask("a.test.", id);
        assert_eq!(id_of(&client.recv().0), id);
    }
    ask("b.test.", 100);
    while bench.miss.waiting() < 1 {
        std::thread::yield_now();
    }
    ask("a.test.", 101);
    assert_eq!(id_of(&client.recv().0), 101);
    drop(release);
    assert_eq!(id_of(&client.recv().0), 100);
}

#[test]
fn a_silent_upstream_is_left_for_the_next_and_asked_again_last() {
    let live = live();
    let (silent, good) = (live.block_on(Scripted::silent()), live.block_on(Scripted::answering(60)));
    let bench = plain(&live, &[&silent, &good]);
    assert_eq!(asked(&bench, "a.test."), "NOERROR; a.test. 60 A 192.0.2.1");
    assert_eq!((silent.count(), good.count()), (1, 1));
    let alone = plain(&live, &[&silent]);
    let before = silent.count();
    assert_eq!(asked(&alone, "b.test."), format!("SERVFAIL EDE 22 no reply from {}", silent.addr));
    assert_eq!(silent.count() - before, 3, "what the worker sent is counted");
}

#[test]
fn a_late_reply_to_what_the_worker_sent_is_as_good_as_any() {
    let live = live();
    let first: Arc<Mutex<Option<Asked>>> = Arc::default();
    let upstream = live.block_on(Scripted::start(move |asked| {
        let mut first = first.lock().unwrap();
        match first.take() {
            Some(earlier) => vec![Out::To(earlier.from, earlier.question.address(60, 9))],
            None => {
                *first = Some(asked.clone());
                Vec::new()
            }
        }
    }));
    let bench = plain(&live, &[&upstream]);
    assert_eq!(asked(&bench, "a.test."), "NOERROR; a.test. 60 A 192.0.2.9");
    assert_eq!(upstream.count(), 2);
}

#[test]
fn what_a_worker_sends_is_followed_by_a_second_query_from_another_port() {
    let live = live();
    let upstream = live.block_on(Scripted::start(|asked| match asked.number {
        0 => Vec::new(),
        _ => vec![address(asked, 1)],
    }));
    let hedging = Settings { hedge: true, ..patient(settings(&[&upstream])) };
    let bench = serve(&live, hedging, Exchanges::Run, caps());
    assert_eq!(asked(&bench, "a.test."), "NOERROR; a.test. 60 A 192.0.2.1");
    let ports: Vec<u16> = upstream.log().iter().map(|asked| asked.from.port()).collect();
    assert!(ports.len() == 2 && ports[0] != ports[1], "{ports:?}");
}

#[test]
fn what_looks_like_a_forgery_is_asked_for_again_over_tcp() {
    type Forge = fn(&mut Vec<u8>);
    let forgeries: [Forge; 3] = [|m| m[0] ^= 1, |m| m[13] ^= 1, |m| m[2] &= 0x7f];
    for forge in forgeries {
        let live = live();
        let upstream = live.block_on(Scripted::start(move |asked| {
            if asked.tcp {
                return vec![address(asked, 1)];
            }
            let mut forged = asked.question.address(60, 66);
            forge(&mut forged);
            vec![Out::Reply(forged), address(asked, 2)]
        }));
        let bench = serve(&live, patient(settings(&[&upstream])), Exchanges::Run, caps());
        assert_eq!(asked(&bench, "a.test."), "NOERROR; a.test. 60 A 192.0.2.1");
        assert_eq!(upstream.log().iter().filter(|a| a.tcp).count(), 1);
    }
}

#[test]
fn a_truncated_reply_and_an_old_server_are_asked_again_in_the_way_that_helps() {
    let live = live();
    let upstream = live.block_on(Scripted::start(|asked| {
        let mut cut = asked.question.address(60, 66);
        cut[2] |= 0x02;
        vec![if asked.tcp { address(asked, 1) } else { Out::Reply(cut) }]
    }));
    let bench = |upstream| serve(&live, patient(settings(&[upstream])), Exchanges::Run, caps());
    assert_eq!(asked(&bench(&upstream), "a.test."), "NOERROR; a.test. 60 A 192.0.2.1");
    let old = live.block_on(Scripted::start(|asked| match asked.question.opt() {
        Some(_) => vec![Out::Reply(asked.question.reply(1, &[], &[]))],
        None => vec![address(asked, 3)],
    }));
    assert_eq!(asked(&bench(&old), "a.test."), "NOERROR; a.test. 60 A 192.0.2.3");
    assert_eq!(old.count(), 2);
}

#[test]
fn an_error_code_or_a_dead_port_leads_to_the_next_upstream_at_once() {
    let live = live();
    let refusing =
        live.block_on(Scripted::start(|asked| vec![Out::Reply(asked.question.reply(5, &[], &[]))]));
    let good = live.block_on(Scripted::answering(60));
    let dead = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for bad in [refusing.addr, dead] {
        let bench = serve(&live, patient(forward_all(&[bad, good.addr])), Exchanges::Run, caps());
        assert_eq!(asked(&bench, "a.test."), "NOERROR; a.test. 60 A 192.0.2.1");
    }
}

#[test]
fn a_question_that_proves_to_have_come_back_fails_at_once() {
    let live = live();
    let server: Arc<Mutex<Option<SocketAddr>>> = Arc::default();
    let known = Arc::clone(&server);
    let upstream = live.block_on(Scripted::start(move |asked| {
        let back = known.lock().unwrap().unwrap();
        let sends_back = Out::To(back, asked.question.message.clone());
        if is_query(asked) { vec![sends_back] } else { Vec::new() }
    }));
    let bench = serve(&live, patient(settings(&[&upstream])), Exchanges::Run, caps());
    *server.lock().unwrap() = Some(bench.addr);
    let answer = asked(&bench, "a.test.");
    assert_eq!(answer, format!("SERVFAIL EDE 0 forwarding loop via {}", upstream.addr));
    assert_eq!(upstream.log().iter().filter(|a| is_query(a) && !is_probe(&a.question)).count(), 1);
}

/// Our refusal of what comes back goes to the upstream, too.
fn is_query(asked: &Asked) -> bool {
    asked.question.message[2] & 0x80 == 0
}

#[test]
fn questions_under_way_survive_a_reload_and_new_ones_go_the_new_way() {
    let (live, free) = (live(), live());
    let (old, release) = held_up(&live, |_| true);
    // On a runtime of its own: the old one blocks a thread, which may be the one that listens.
    let new = free.block_on(Scripted::start(|asked| vec![address(asked, 2)]));
    let bench = serve(&live, patient(settings(&[&old])), Exchanges::Stall, caps());
    let client = UdpClient::near(bench.addr);
    client.send(&query("a.test.", 7), bench.addr);
    while old.count() == 0 {
        std::thread::yield_now();
    }
    bench.forwarder.reload(settings(&[&new]));
    assert_eq!(asked(&bench, "b.test."), "NOERROR; b.test. 60 A 192.0.2.2");
    drop(release);
    assert_eq!(line(&query("a.test.", 7), &client.recv().0), "NOERROR; a.test. 60 A 192.0.2.1");
}

#[test]
fn a_drain_waits_for_what_the_workers_have_asked() {
    let live = live();
    let (upstream, release) = held_up(&live, |asked| asked.number == 0);
    let mut bench = serve(&live, patient(settings(&[&upstream])), Exchanges::Stall, caps());
    let clients: Vec<_> = (0..50).map(|_| UdpClient::near(bench.addr)).collect();
    for (client, id) in clients.iter().zip(0..) {
        client.send(&query(&format!("n{id}.test."), id), bench.addr);
    }
    while bench.miss.waiting() < 50 {
        std::thread::yield_now();
    }
    let drained = live.spawn(bench.running.take().unwrap().drain(PATIENCE));
    while std::net::TcpStream::connect(bench.addr).is_ok() {
        std::thread::yield_now();
    }
    drop(release);
    for (client, id) in clients.iter().zip(0..) {
        assert_eq!(id_of(&client.recv().0), id);
    }
    assert_eq!(live.block_on(drained).unwrap(), Leftover::default());
}

#[test]
fn a_flood_of_questions_is_bounded_and_each_is_told() {
    let live = live();
    let silent = live.block_on(Scripted::silent());
    let caps = answer::Settings { max_in_flight: 20, ..caps() };
    let bench = serve(&live, settings(&[&silent]), Exchanges::Run, caps);
    // None of them is told more than its socket holds.
    let clients: Vec<_> = (0..10).map(|_| UdpClient::near(bench.addr)).collect();
    let client = |id: u16| &clients[usize::from(id) % clients.len()];
    for id in 0..300 {
        client(id).send(&query(&format!("n{id}.test."), id), bench.addr);
    }
    let mut ids: Vec<u16> = (0..300)
        .map(|id| {
            let (response, _) = client(id).recv();
            assert_eq!(response[3] & 15, 2, "SERVFAIL");
            id_of(&response)
        })
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..300).collect::<Vec<_>>());
    assert!(silent.count() <= 60, "{} sends", silent.count());
    assert_eq!(bench.miss.waiting(), 0);
}
