//! The pool against servers whose every move a test makes, and time that moves by itself only when
//! nothing else can happen.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::wire::Rcode;
use crate::wire::ask::Query;
use crate::wire::sample::{name, response};

/// A bound on what must happen; nobody waits for it.
const SOON: Duration = Duration::from_secs(20);

struct Bench {
    listener: TcpListener,
    streams: Arc<Streams>,
}

/// One query as the server has read it.
struct Heard(u16, String);

async fn bench() -> Bench {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    Bench { streams: streams(address), listener }
}

fn streams(address: SocketAddr) -> Arc<Streams> {
    Arc::new(Streams::new(address, &Transport::Tcp, "test", Arc::default()))
}

type Asking = JoinHandle<io::Result<Vec<u8>>>;

impl Bench {
    fn ask(&self, qname: &str) -> Asking {
        let (streams, asked) = (Arc::clone(&self.streams), Arc::new((name(qname), Rtype::A)));
        tokio::spawn(async move {
            let query = Query {
                qname: asked.0.as_ref(),
                qtype: Rtype::A,
                dnssec_ok: false,
                checking_disabled: false,
                edns: true,
                option: None,
            };
            let message = query.to_bytes();
            streams.ask(&message, &asked).await
        })
    }

    async fn accept(&self) -> TcpStream {
        timeout(SOON, self.listener.accept()).await.expect("a connection").unwrap().0
    }

    /// Nobody has connected, or will before `span` is over.
    async fn stays_alone(&self, span: Duration) -> bool {
        timeout(span, self.listener.accept()).await.is_err()
    }
}

async fn hear(stream: &mut TcpStream) -> Heard {
    let len = timeout(SOON, stream.read_u16()).await.expect("a query").unwrap();
    let mut message = vec![0; usize::from(len)];
    stream.read_exact(&mut message).await.unwrap();
    let label = message[13..13 + usize::from(message[12])].to_vec();
    Heard(u16::from_be_bytes([message[0], message[1]]), String::from_utf8(label).unwrap())
}

fn reply_to(id: u16, label: &str) -> Vec<u8> {
    let mut message = response(&format!("{label}.test"), Rtype::A, Rcode::NOERROR, &[], &[]);
    message[..2].copy_from_slice(&id.to_be_bytes());
    message
}

async fn say(stream: &mut TcpStream, message: &[u8]) {
    stream.write_all(&[&(message.len() as u16).to_be_bytes()[..], message].concat()).await.unwrap();
}

async fn answer(stream: &mut TcpStream, heard: &Heard) {
    say(stream, &reply_to(heard.0, &heard.1)).await;
}

async fn hear_and_answer(stream: &mut TcpStream) {
    let heard = hear(stream).await;
    answer(stream, &heard).await;
}

async fn outcome(asking: Asking) -> io::Result<Vec<u8>> {
    timeout(SOON, asking).await.expect("an outcome").unwrap()
}

#[tokio::test]
async fn answers_are_taken_in_any_order_over_one_connection() {
    let bench = bench().await;
    let asking: Vec<_> = ["a", "b", "c"].map(|l| bench.ask(&format!("{l}.test"))).into();
    let mut server = bench.accept().await;
    let mut heard = Vec::new();
    for _ in 0..3 {
        heard.push(hear(&mut server).await);
    }
    for heard in heard.iter().rev() {
        answer(&mut server, heard).await;
    }
    for (asking, label) in asking.into_iter().zip(["a", "b", "c"]) {
        let message = outcome(asking).await.unwrap();
        assert_eq!(message[13..14], *label.as_bytes());
    }
    assert_eq!(bench.streams.pool.len(), 1);
}

#[tokio::test]
async fn a_connection_closed_between_two_queries_costs_nothing() {
    let bench = bench().await;
    let first = bench.ask("a.test");
    let mut server = bench.accept().await;
    hear_and_answer(&mut server).await;
    outcome(first).await.unwrap();
    drop(server);
    let second = bench.ask("b.test");
    hear_and_answer(&mut bench.accept().await).await;
    outcome(second).await.unwrap();
}

#[tokio::test]
async fn queries_of_a_connection_that_ends_go_to_a_new_one_if_it_had_answered() {
    let bench = bench().await;
    let first = bench.ask("a.test");
    let mut server = bench.accept().await;
    hear_and_answer(&mut server).await;
    outcome(first).await.unwrap();
    let (second, third) = (bench.ask("b.test"), bench.ask("c.test"));
    hear(&mut server).await;
    hear(&mut server).await;
    drop(server);
    let mut server = bench.accept().await;
    hear_and_answer(&mut server).await;
    hear_and_answer(&mut server).await;
    outcome(second).await.unwrap();
    outcome(third).await.unwrap();
}

#[tokio::test]
async fn a_new_connection_that_ends_without_an_answer_is_a_failure() {
    let bench = bench().await;
    let asking = bench.ask("a.test");
    let mut server = bench.accept().await;
    hear(&mut server).await;
    drop(server);
    assert_eq!(outcome(asking).await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn a_server_that_closes_after_each_answer_is_asked_one_by_one() {
    let bench = bench().await;
    let asking: Vec<_> = (0..20).map(|n| bench.ask(&format!("n{n}.test"))).collect();
    let serving = tokio::spawn(async move {
        loop {
            let (mut server, _) = bench.listener.accept().await.unwrap();
            tokio::spawn(async move { hear_and_answer(&mut server).await });
        }
    });
    for asking in asking {
        outcome(asking).await.unwrap();
    }
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_falls_silent_is_replaced_and_never_used_again() {
    let bench = bench().await;
    let first = bench.ask("a.test");
    let mut half_dead = bench.accept().await;
    hear_and_answer(&mut half_dead).await;
    outcome(first).await.unwrap();
    let second = bench.ask("b.test");
    hear(&mut half_dead).await;
    let mut server = bench.accept().await;
    hear_and_answer(&mut server).await;
    outcome(second).await.unwrap();
    let third = bench.ask("c.test");
    hear_and_answer(&mut server).await;
    outcome(third).await.unwrap();
    let mut rest = Vec::new();
    timeout(SOON, half_dead.read_to_end(&mut rest)).await.expect("closed").unwrap();
    assert!(rest.is_empty(), "nothing more was asked there");
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_is_taken_from_the_connection_that_seemed_dead() {
    let bench = bench().await;
    let first = bench.ask("a.test");
    let mut slow = bench.accept().await;
    hear_and_answer(&mut slow).await;
    outcome(first).await.unwrap();
    let second = bench.ask("b.test");
    let heard = hear(&mut slow).await;
    let mut other = bench.accept().await;
    hear(&mut other).await;
    answer(&mut slow, &heard).await;
    outcome(second).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_slow_first_answer_is_waited_for() {
    let bench = bench().await;
    let asking = bench.ask("a.test");
    let mut server = bench.accept().await;
    let heard = hear(&mut server).await;
    assert!(bench.stays_alone(Duration::from_secs(3)).await);
    answer(&mut server, &heard).await;
    outcome(asking).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed() {
    let bench = bench().await;
    let asking = bench.ask("a.test");
    let mut server = bench.accept().await;
    hear_and_answer(&mut server).await;
    outcome(asking).await.unwrap();
    let started = tokio::time::Instant::now();
    assert_eq!(server.read(&mut [0; 1]).await.unwrap(), 0);
    assert!(started.elapsed() >= Duration::from_secs(9), "{:?}", started.elapsed());
    assert_eq!(bench.streams.pool.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_connection_in_use_is_replaced_after_its_lifetime() {
    let bench = bench().await;
    let asking = bench.ask("n.test");
    let mut first = bench.accept().await;
    hear_and_answer(&mut first).await;
    outcome(asking).await.unwrap();
    let mut second = None;
    for _ in 0..20 {
        tokio::time::advance(Duration::from_secs(5)).await;
        let asking = bench.ask("n.test");
        tokio::select! {
            heard = first.read_u16() => match heard {
                Ok(len) => {
                    let mut message = vec![0; usize::from(len)];
                    first.read_exact(&mut message).await.unwrap();
                    say(&mut first, &reply_to(u16::from_be_bytes([message[0], message[1]]), "n")).await;
                }
                Err(_) => {
                    let mut server = bench.accept().await;
                    hear_and_answer(&mut server).await;
                    second = Some(server);
                }
            },
            mut server = bench.accept() => {
                hear_and_answer(&mut server).await;
                second = Some(server);
            }
        }
        outcome(asking).await.unwrap();
        if second.is_some() {
            break;
        }
    }
    assert!(second.is_some());
}

#[tokio::test]
async fn what_answers_nothing_that_was_asked_ends_the_connection() {
    for wrong_question in [false, true] {
        let bench = bench().await;
        let asking = bench.ask("a.test");
        let mut server = bench.accept().await;
        let heard = hear(&mut server).await;
        let message = match wrong_question {
            true => reply_to(heard.0, "b"),
            false => reply_to(heard.0 ^ 1, "a"),
        };
        say(&mut server, &message).await;
        assert_eq!(outcome(asking).await.unwrap_err().kind(), io::ErrorKind::InvalidData);
    }
}

#[tokio::test]
async fn a_late_answer_to_a_query_given_up_disturbs_nobody() {
    let bench = bench().await;
    let gone = bench.ask("a.test");
    let mut server = bench.accept().await;
    let late = hear(&mut server).await;
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    let asking = bench.ask("b.test");
    let heard = hear(&mut server).await;
    answer(&mut server, &late).await;
    answer(&mut server, &heard).await;
    outcome(asking).await.unwrap();
}

#[tokio::test]
async fn connections_and_queries_on_them_are_bounded_and_the_rest_waits() {
    let bench = bench().await;
    let asking: Vec<_> = (0..4 * 64 + 50).map(|n| bench.ask(&format!("n{n}.test"))).collect();
    let mut servers = Vec::new();
    for _ in 0..4 {
        servers.push(bench.accept().await);
    }
    let mut heard = Vec::new();
    for (index, server) in servers.iter_mut().enumerate() {
        for _ in 0..64 {
            heard.push((index, hear(server).await));
        }
    }
    assert_eq!(bench.streams.pool.len(), 4);
    for (index, heard) in heard {
        answer(&mut servers[index], &heard).await;
    }
    let serving = servers.into_iter().map(|mut server| {
        tokio::spawn(async move {
            loop {
                hear_and_answer(&mut server).await;
            }
        })
    });
    let serving: Vec<_> = serving.collect();
    for asking in asking {
        outcome(asking).await.unwrap();
    }
    serving.iter().for_each(JoinHandle::abort);
    assert_eq!(bench.streams.waiting.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn too_many_that_wait_are_refused_at_once() {
    let bench = bench().await;
    let asking: Vec<_> = (0..4 * 64 + MAX_WAITING).map(|n| bench.ask(&format!("n{n}.test"))).collect();
    while bench.streams.waiting.load(Ordering::Relaxed) < MAX_WAITING {
        tokio::task::yield_now().await;
    }
    let refused = outcome(bench.ask("one.too.many.test")).await.unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::QuotaExceeded);
    asking.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn nobody_there_is_told_to_all_who_wait() {
    let bench = bench().await;
    let address = bench.listener.local_addr().unwrap();
    drop(bench.listener);
    let bench =
        Bench { streams: streams(address), listener: TcpListener::bind("127.0.0.1:0").await.unwrap() };
    for asking in [bench.ask("a.test"), bench.ask("b.test")] {
        assert_eq!(outcome(asking).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }
}

#[tokio::test]
async fn a_thousand_connections_leave_nothing_behind() {
    let bench = bench().await;
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let metrics = tokio::runtime::Handle::current().metrics();
    let (files, tasks) = (open(), metrics.num_alive_tasks());
    for _ in 0..1000 {
        let asking = bench.ask("a.test");
        let mut server = bench.accept().await;
        hear_and_answer(&mut server).await;
        outcome(asking).await.unwrap();
        drop(server);
        while bench.streams.pool.len() > 0 {
            tokio::task::yield_now().await;
        }
    }
    while metrics.num_alive_tasks() > tasks {
        tokio::task::yield_now().await;
    }
    // Other tests of this process open files, too, but not a thousand.
    assert!(open() < files + 500, "{} files, {files} before", open());
}
