//! Hand-overs under clients over TLS, HTTPS and QUIC that stay connected: they are told, come back, and what had been
//! received before is answered.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use hickory_proto::rr::RecordType;
use zonelet::metrics::Proto;

#[cfg(feature = "doq")]
use super::handover::{HELLO, say};
use crate::harness::client::{ask, framed, id_of};
#[cfg(feature = "doq")]
use crate::harness::encrypted::QuicClient;
use crate::harness::encrypted::{Authority, HttpsClient, TlsClient, listener};
use crate::harness::program::{Home, Program, forward, outside, until, upstream};

/// What all clients of one kind have seen.
#[derive(Default)]
struct Count {
    answered: AtomicUsize,
    /// Connections that the server ended.
    ended: AtomicUsize,
    /// Names whose answers did not come, for the end of their connection.
    unanswered: Mutex<Vec<String>>,
}

/// A connection that questions are put to, until the server ends it.
trait Client {
    /// The response; `None` if the connection has ended. Fails the test where it ended in disorder.
    fn try_ask(&mut self, query: &[u8]) -> Option<Vec<u8>>;
}

impl Client for TlsClient {
    fn try_ask(&mut self, query: &[u8]) -> Option<Vec<u8>> {
        self.try_write(&framed(query)).ok()?;
        self.recv()
    }
}

impl Client for HttpsClient {
    fn try_ask(&mut self, query: &[u8]) -> Option<Vec<u8>> {
        let answered = outside().block_on(self.start(self.post(query))).ok()?;
        assert_eq!(answered.status, 200);
        Some(answered.body)
    }
}

#[cfg(feature = "doq")]
impl Client for QuicClient {
    fn try_ask(&mut self, query: &[u8]) -> Option<Vec<u8>> {
        let asked = async {
            let (mut send, mut receive) = self.connection.open_bi().await.ok()?;
            send.write_all(&framed(query)).await.ok()?;
            send.finish().ok()?;
            receive.read_to_end(4096).await.ok()
        };
        match outside().block_on(asked) {
            Some(bytes) => Some(bytes[2..].to_vec()),
            None => {
                assert_eq!(self.end(), Some(0), "ended without an error");
                None
            }
        }
    }
}

/// Asks new names, one after the other, until `is_over`; each of them once. When its connection ends it takes the next
/// at once.
fn load<C: Client>(name: &str, connect: impl Fn() -> C, count: &Count, is_over: &AtomicBool) {
    let mut asked = 0;
    while !is_over.load(Ordering::Relaxed) {
        let mut client = connect();
        while !is_over.load(Ordering::Relaxed) {
            asked += 1;
            let qname = format!("{name}-{asked}.test.");
            let query = ask(&qname, RecordType::A).bytes();
            match client.try_ask(&query) {
                Some(response) => {
                    assert_eq!((id_of(&response), response[3] & 15, response[7]), (0, 0, 1), "{qname}");
                    count.answered.fetch_add(1, Ordering::Relaxed);
                }
                None => {
                    count.unanswered.lock().unwrap().push(qname);
                    count.ended.fetch_add(1, Ordering::Relaxed);
                    break;
                }
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Clients at work, each kind with its count.
struct Clients {
    is_over: Arc<AtomicBool>,
    threads: Vec<thread::JoinHandle<()>>,
    counts: Vec<(&'static str, Arc<Count>)>,
}

impl Clients {
    fn add<C: Client>(&mut self, kind: &'static str, connect: impl Fn() -> C + Clone + Send + 'static) {
        let count = Arc::new(Count::default());
        self.counts.push((kind, Arc::clone(&count)));
        for n in 0..3 {
            let (count, is_over, connect) = (Arc::clone(&count), Arc::clone(&self.is_over), connect.clone());
            let work = move || load(&format!("{kind}{n}"), connect, &count, &is_over);
            self.threads.push(thread::spawn(work));
        }
    }

    fn answered(&self) -> Vec<usize> {
        self.counts.iter().map(|(_, count)| count.answered.load(Ordering::Relaxed)).collect()
    }

    /// Waits until clients of each kind have got some more answers.
    fn go_on(&self) {
        let before = self.answered();
        until("answers to all", || {
            assert!(self.threads.iter().all(|client| !client.is_finished()), "a client has failed");
            self.answered().iter().zip(&before).all(|(now, before)| *now > before + 20).then_some(())
        });
    }
}

fn succeed(home: &Home, old: Program) -> Program {
    let new = home.start();
    let (code, log) = old.ended();
    assert_eq!(code, Some(0), "{log:#?}");
    new
}

fn listeners() -> &'static str {
    if cfg!(feature = "doq") {
        "TLS=127.0.0.1:0 HTTPS=127.0.0.1:0 QUIC=127.0.0.1:0"
    } else {
        "TLS=127.0.0.1:0 HTTPS=127.0.0.1:0"
    }
}

/// Every name is asked once and is in no cache: what the upstream was asked, a zonelet had received.
#[test]
fn ten_hand_overs_under_load_lose_nothing_that_came_over_tls_https_or_quic() {
    let received: Arc<Mutex<HashSet<String>>> = Arc::default();
    let noted = Arc::clone(&received);
    let server = upstream(move |q| {
        noted.lock().unwrap().insert(q.qname.to_string());
        q.address(60, 1)
    });
    let authority = Arc::new(Authority::new());
    let home = authority.home(listeners());
    let rest = "[state]\ndir = 'state'\n[handover]\nlinger = '200ms'\n[drain]\ngrace = '5s'\n";
    home.configure(&format!("{rest}{}", forward(server.addr)));
    let mut program = home.start();
    let at = |program: &Program, proto| -> SocketAddr { listener(program, proto) };
    let (tls, https) = (at(&program, Proto::Tls), at(&program, Proto::Https));
    let mut clients = Clients { is_over: Arc::default(), threads: Vec::new(), counts: Vec::new() };
    let trusted = Arc::clone(&authority);
    clients.add("tls", move || TlsClient::connect(&trusted, tls));
    for (kind, protocol) in [("h2", &b"h2"[..]), ("h1", b"http/1.1")] {
        let trusted = Arc::clone(&authority);
        clients.add(kind, move || HttpsClient::connect(&trusted, https, protocol));
    }
    #[cfg(feature = "doq")]
    {
        let (trusted, quic) = (Arc::clone(&authority), at(&program, Proto::Quic));
        clients.add("quic", move || QuicClient::connect(&trusted, quic));
    }
    for _ in 0..10 {
        clients.go_on();
        program = succeed(&home, program);
        assert_eq!(at(&program, Proto::Tls), tls);
    }
    clients.go_on();
    clients.is_over.store(true, Ordering::Relaxed);
    clients.threads.into_iter().for_each(|client| client.join().unwrap());
    let received = received.lock().unwrap();
    for (kind, count) in clients.counts {
        let [answered, ended] = [&count.answered, &count.ended].map(|n| n.load(Ordering::Relaxed));
        println!("{kind}: {answered} answered, {ended} connections ended");
        assert!(ended >= 10, "{kind}: {ended} connections were ended over ten hand-overs");
        let unanswered = count.unanswered.lock().unwrap();
        let lost: Vec<_> = unanswered.iter().filter(|name| received.contains(*name)).collect();
        assert!(lost.is_empty(), "{kind}: received and not answered: {lost:?}");
    }
    let (code, log) = program.terminate();
    assert_eq!(code, Some(0), "{log:#?}");
}

/// The first one waits for the rest of a query over QUIC while the second serves: a third has to wait as well, or
/// neither would get the packets of its connections.
#[cfg(feature = "doq")]
#[test]
fn a_third_process_waits_until_the_first_has_ended_its_connections_over_quic() {
    let server = upstream(|q| q.address(60, 1));
    let authority = Arc::new(Authority::new());
    let mut home = authority.home(listeners());
    // The first must be able to wait for longer than all of this takes.
    home.variable("ZONELET_LIMITS__TCP_STALL", "20s");
    let rest = "[state]\ndir = 'state'\n[handover]\nlinger = '20s'\n";
    home.configure(&format!("{rest}{}", forward(server.addr)));
    let query = ask("a.test.", RecordType::A).bytes();
    let is_answered = |client: &QuicClient| assert_eq!(client.ask(&query)[7], 1);
    let first = home.start();
    let quic = listener(&first, Proto::Quic);
    let slow = QuicClient::connect(&authority, quic);
    is_answered(&slow);
    let (half, other) = (framed(&query)[..20].to_vec(), framed(&query)[20..].to_vec());
    let (mut send, mut receive) = outside().block_on(async {
        let (mut send, receive) = slow.connection.open_bi().await.unwrap();
        send.write_all(&half).await.unwrap();
        (send, receive)
    });
    // What is answered behind it shows that it has come.
    is_answered(&slow);
    let second = home.start();
    first.logged("a successor serves");
    let open: Vec<_> = (0..5).map(|_| QuicClient::connect(&authority, quic)).collect();
    let (_, answer) = say(&home, &[HELLO]);
    assert!(answer.contains(r#""say":"busy""#) && answer.contains("QUIC"), "{answer}");
    thread::scope(|scope| {
        let starting = scope.spawn(|| home.start());
        // While it asks again and again, all are served.
        for _ in 0..10 {
            is_answered(&QuicClient::connect(&authority, quic));
            open.iter().for_each(is_answered);
        }
        assert!(!starting.is_finished());
        let answered = outside().block_on(async {
            send.write_all(&other).await.unwrap();
            send.finish().unwrap();
            receive.read_to_end(4096).await.unwrap()
        });
        assert_eq!(answered[2 + 7], 1, "the first has answered it to the end");
        let (code, log) = first.ended();
        assert_eq!(code, Some(0), "{log:#?}");
        let third = starting.join().unwrap();
        second.logged("a successor serves");
        assert!(open.iter().all(|client| client.end() == Some(0)), "the second one ends them in order");
        is_answered(&QuicClient::connect(&authority, quic));
        assert_eq!(second.ended().0, Some(0));
        let (code, log) = third.terminate();
        assert_eq!(code, Some(0), "{log:#?}");
    });
}
