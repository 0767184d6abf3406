//! The fault matrix: what clients get, how soon, and what it costs upstreams, for each way in which an
//! upstream can fail. `docs/faults.md` is its table.
//!
//! `ZONELET_WRITE_DOCS=1 cargo test --test integration -- fault_matrix` measures it anew. Times are measured and
//! never asserted; answers and numbers of packets are.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use crate::harness::client::UdpClient;
use crate::harness::dns::{asked, line};
use crate::harness::message::{Question, soa};
use crate::harness::program::{HEAD, Home, Program, outside, upstream};
use crate::harness::upstream::{Out, Relay, RelayServer, Scripted, is_probe};

/// One way to fail.
struct Fault {
    name: &'static str,
    /// What clients get with this upstream alone, and with a good one beside it: for a name that is in the
    /// cache, one that has expired there, and one that was never asked for.
    alone: [Expected; 3],
    beside: [Expected; 3],
    /// Further settings of the domain.
    settings: &'static str,
    start: fn(SocketAddr) -> Faulty,
}

/// The start of the answer, and how many queries the faulty upstream may be sent for it.
type Expected = (&'static str, usize);

/// A faulty upstream at work.
struct Faulty {
    /// As the configuration names it.
    spec: String,
    /// The queries it was sent for a name.
    count: Box<dyn Fn(&str) -> usize>,
}

const HIT: Expected = ("NOERROR; hit.test. ", 0);
const KEPT: &str = "NOERROR; stale.test. 1 A 192.0.2.1 EDE 3 ";
const LOOPED: Expected = ("SERVFAIL EDE 0 forwarding loop", 3);
const FRESH: &str = "NOERROR; stale.test. 300 A 192.0.2.2";
const NEW: &str = "NOERROR; miss.test. 300 A 192.0.2.2";

/// A server of DNS over UDP and TCP that does something about each query.
fn scripted(script: impl Fn(&Question, bool) -> Vec<Out> + Send + Sync + 'static) -> Faulty {
    let server = outside().block_on(Scripted::start(move |asked| script(&asked.question, asked.tcp)));
    Faulty { spec: server.addr.to_string(), count: Box::new(move |name| asked_for(&server, name)) }
}

/// The queries that a server was sent for a name. Those over TCP are counted like any other.
fn asked_for(server: &Scripted, name: &str) -> usize {
    let is_it = |question: &Question| question.qname.to_string() == name && !is_probe(question);
    server.log().iter().filter(|asked| is_it(&asked.question)).count()
}

/// A server that takes connections and answers with these bytes, if any.
fn stream(scheme: &str, says: &'static [u8]) -> Faulty {
    let listener = outside().block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    outside().spawn(async move {
        let mut kept = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.try_write(says);
            kept.push(stream);
        }
    });
    // What comes to it is not read as DNS: nothing is counted.
    Faulty { spec: format!("{scheme}{address}"), count: Box::new(|_| 0) }
}

fn with_other_id(mut reply: Vec<u8>) -> Vec<u8> {
    reply[0] ^= 0x55;
    reply
}

fn cut(mut reply: Vec<u8>) -> Vec<u8> {
    reply[2] |= 2;
    reply
}

/// A reply to another question.
fn to_another(question: &Question) -> Vec<u8> {
    let mut reply = question.address(300, 9);
    reply[13] ^= 1;
    reply
}

/// What is right over TCP and wrong over UDP.
fn right_over_tcp(wrong: impl Fn(&Question) -> Vec<u8> + Send + Sync + 'static) -> Faulty {
    scripted(move |question, tcp| {
        vec![Out::Reply(if tcp { question.address(300, 2) } else { wrong(question) })]
    })
}

fn faults() -> Vec<Fault> {
    // A query that is answered late is asked a second time, which on a busy machine may be any.
    let lost = [HIT, (KEPT, 3), ("SERVFAIL EDE 22", 3)];
    let failed = [HIT, (KEPT, 2), ("SERVFAIL EDE 0", 2)];
    let saved = [HIT, (FRESH, 2), (NEW, 2)];
    let denied = [HIT, ("NXDOMAIN", 2), ("NXDOMAIN", 2)];
    let twice = [HIT, (FRESH, 4), (NEW, 4)];
    let fault = |name, alone, beside, start| Fault { name, alone, beside, settings: "", start };
    vec![
        fault("timeout", lost, saved, |_| scripted(|_, _| Vec::new())),
        fault("refused", failed, saved, |_| scripted(|q, _| vec![Out::Reply(q.reply(5, &[], &[]))])),
        fault("SERVFAIL", failed, saved, |_| scripted(|q, _| vec![Out::Reply(q.reply(2, &[], &[]))])),
        fault("NXDOMAIN flap", denied, denied, |_| {
            scripted(|q, _| vec![Out::Reply(q.reply(3, &[], &[soa("test", 900, 60)]))])
        }),
        Fault {
            settings: "keep_positive = '10m'\n",
            ..fault(
                "NXDOMAIN flap, `keep_positive`",
                [HIT, (KEPT, 2), ("NXDOMAIN", 2)],
                [HIT, (KEPT, 2), ("NXDOMAIN", 2)],
                |_| scripted(|q, _| vec![Out::Reply(q.reply(3, &[], &[soa("test", 900, 60)]))]),
            )
        },
        fault("truncated", twice, twice, |_| right_over_tcp(|q| cut(q.reply(0, &[], &[])))),
        fault("wrong id", twice, twice, |_| right_over_tcp(|q| with_other_id(q.address(300, 9)))),
        fault("wrong question", twice, twice, |_| right_over_tcp(to_another)),
        fault("slow, 1 s", [HIT, (FRESH, 3), (NEW, 3)], saved, |_| {
            scripted(|q, _| vec![Out::After(Duration::from_secs(1), q.address(300, 2))])
        }),
        fault("half-dead TCP", [HIT, (KEPT, 0), ("SERVFAIL EDE 22", 0)], saved, |_| stream("tcp://", b"")),
        #[cfg(feature = "tls")]
        fault("TLS failure", [HIT, (KEPT, 0), ("SERVFAIL EDE 23", 0)], saved, |_| {
            stream("tls://", b"HTTP/1.1 400 Bad Request\r\n\r\n")
        }),
        fault("loop", [HIT, (KEPT, 3), LOOPED], saved, back_to),
    ]
}

/// A forwarder that asks zonelet itself.
fn back_to(program: SocketAddr) -> Faulty {
    let relay =
        move || Relay { domain: zonelet::wire::Name::root(), to: program, strip_edns: false, set_cd: false };
    let server = outside().block_on(RelayServer::start(77, relay));
    Faulty { spec: server.addr.to_string(), count: Box::new(move |name| server.asked_for(name)) }
}

/// One cell of the table.
struct Cell {
    fault: &'static str,
    upstreams: &'static str,
    question: &'static str,
    expected: &'static str,
    got: String,
    after: Duration,
    packets: usize,
    most: usize,
}

fn configure(home: &Home, upstreams: &[&str], settings: &str) {
    let upstreams = upstreams.iter().map(|u| format!("'{u}'")).collect::<Vec<_>>().join(", ");
    let text = format!(
        "{HEAD}[[forward]]\ndomain = '.'\nupstreams = [{upstreams}]\npolicy = 'sequential'\n{settings}[limits]\nupstream_sockets = 8\n"
    );
    home.put("config.toml", &text);
}

fn ask(program: SocketAddr, name: &str) -> (String, Duration) {
    let query = asked(&format!("{name} A")).edns(1232, false).bytes();
    let began = Instant::now();
    let response = UdpClient::near(program).ask(&query, program);
    (line(&query, &response), began.elapsed())
}

/// Learns two names of a good upstream, waits until one has expired, and asks when only the faulty one is left,
/// or a good one beside it.
fn cells(fault: &Fault, is_alone: bool) -> Vec<Cell> {
    let good = upstream(|q| q.address(if q.qname.to_string().starts_with("stale") { 1 } else { 300 }, 1));
    let other = upstream(|q| q.address(300, 2));
    let home = Home::new("");
    configure(&home, &[&good.addr.to_string()], fault.settings);
    let program = home.start();
    for name in ["hit.test.", "stale.test."] {
        assert!(ask(program.addr(), name).0.contains("192.0.2.1"));
    }
    let faulty = (fault.start)(program.addr());
    let both = [faulty.spec.clone(), other.addr.to_string()];
    let upstreams: Vec<&str> = both.iter().take(if is_alone { 1 } else { 2 }).map(|u| &**u).collect();
    configure(&home, &upstreams, fault.settings);
    program.signal("HUP");
    program.logged("configuration reloaded");
    // Until a TTL of one second is over, which only time can bring about.
    thread::sleep(Duration::from_millis(1100));
    let expected = if is_alone { fault.alone } else { fault.beside };
    let questions = ["hit", "stale", "miss"];
    let asked: Vec<_> = questions.iter().map(|question| spawn(&program, question)).collect();
    let answers: Vec<_> = asked.into_iter().map(|answer| answer.join().expect("an answer")).collect();
    let cell = |((question, (got, after)), (expected, most))| Cell {
        fault: fault.name,
        upstreams: if is_alone { "one" } else { "two" },
        question,
        expected,
        got,
        after,
        packets: (faulty.count)(&format!("{question}.test.")),
        most,
    };
    questions.into_iter().zip(answers).zip(expected).map(cell).collect()
}

fn spawn(program: &Program, question: &str) -> thread::JoinHandle<(String, Duration)> {
    let (addr, name) = (program.addr(), format!("{question}.test."));
    thread::spawn(move || ask(addr, &name))
}

fn table(cells: &[Cell]) -> String {
    let mut table = String::from(
        "# Fault matrix\n\n\
         What a client gets when an upstream fails, alone or with a good one behind it (`policy = \"sequential\"`, the\n\
         faulty one first): for a name in the cache, one that has expired there, and one never asked for. Default settings,\n\
         except where named. `ZONELET_WRITE_DOCS=1 cargo test --test integration -- fault_matrix` asks each anew; answers and\n\
         packets are asserted by `cargo test`, times are what was measured on a busy machine with 2 virtual CPUs.\n\n\
         | fault | upstreams | name | expected | measured | after | packets to the faulty one (at most) |\n\
         |---|---|---|---|---|---:|---:|\n",
    );
    for cell in cells {
        let Cell { fault, upstreams, question, expected, got, after, packets, most } = cell;
        let got: String = masked(got).replace('|', "/");
        let expected = expected.trim_end_matches(';');
        let after = after.as_millis();
        let _ = writeln!(
            table,
            "| {fault} | {upstreams} | {question} | {expected} | {got} | {after} ms | {packets} ({most}) |"
        );
    }
    table
}

/// An answer without the ports that tests happen to use.
fn masked(text: &str) -> String {
    let mut words = Vec::new();
    for word in text.split(' ') {
        let host = word.find("127.0.").and_then(|at| word[at..].find(':').map(|colon| at + colon));
        words.push(host.map_or(word, |end| &word[..end]));
    }
    words.join(" ")
}

#[test]
fn fault_matrix() {
    let runs: Vec<_> = [true, false]
        .into_iter()
        .map(|is_alone| {
            faults()
                .into_iter()
                .map(|fault| thread::spawn(move || cells(&fault, is_alone)))
                .collect::<Vec<_>>()
        })
        .collect();
    let runs: Vec<Vec<Vec<Cell>>> = runs
        .into_iter()
        .map(|run| run.into_iter().map(|cells| cells.join().expect("three answers")).collect())
        .collect();
    let [alone, beside] = runs.try_into().ok().expect("two runs");
    let all: Vec<Cell> = alone.into_iter().zip(beside).flat_map(|(a, b)| a.into_iter().chain(b)).collect();
    let wrong: Vec<String> = all
        .iter()
        .filter(|cell| !cell.got.starts_with(cell.expected) || cell.packets > cell.most)
        .map(|c| {
            let (got, after) = (&c.got, c.after.as_millis());
            format!(
                "{}, {}, {}: {got} after {after} ms, {} packets",
                c.fault, c.upstreams, c.question, c.packets
            )
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md");
    if std::env::var_os("ZONELET_WRITE_DOCS").is_some() {
        std::fs::write(&path, table(&all)).expect("the table is written");
    }
    let documented = std::fs::read_to_string(path).expect("docs/faults.md");
    for Cell { fault, upstreams, question, expected, .. } in &all {
        let row = format!("| {fault} | {upstreams} | {question} | {} |", expected.trim_end_matches(';'));
        assert!(documented.contains(&row), "docs/faults.md lacks {row}");
    }
}
