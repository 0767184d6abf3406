//! The library's whole query path on a port of its own: importer, answerer, server, and a scripted
//! upstream behind them. Only the processes' surroundings are missing.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, Record, RecordType};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use zonelet::answer::miss::MissPath;
use zonelet::answer::{self, Answerer};
use zonelet::cache::Cache;
use zonelet::clock::Clock;
use zonelet::import::{self, Importer, SourcePolicy, Upstreams};
use zonelet::metrics::{Board, CacheMetrics, ImportMetrics};
use zonelet::server::{self, Running, Server};
use zonelet::source::ZoneSource;
use zonelet::source::file::FileSource;
use zonelet::source::settings::FileSettings;
use zonelet::upstream::Forwarder;
use zonelet::wire::{NameRef, Rtype};
use zonelet::zone::{SharedTable, ZoneTable};

use super::agent::forward_all;
use super::client::{Ask, PATIENCE, TcpClient, UdpClient, ask, message};
use super::message::{Question, name, soa};
use super::upstream::{Out, Scripted};

/// A stack before it is started.
pub struct Plan {
    dir: TempDir,
    sources: Vec<(Arc<dyn ZoneSource>, SourcePolicy)>,
    answer: answer::Settings,
    has_upstream: bool,
    server: server::Settings,
}

/// The stack at work. Its time stands still until a test moves [`Stack::clock`].
pub struct Stack {
    pub addr: SocketAddr,
    /// Those beside it, with what they speak.
    #[cfg_attr(not(feature = "tls"), allow(dead_code, reason = "there are none"))]
    pub encrypted: Vec<(zonelet::metrics::Proto, SocketAddr)>,
    pub clock: Clock,
    pub upstream: Scripted,
    runtime: Runtime,
    running: Option<Running>,
    stop: CancellationToken,
    _dir: TempDir,
}

/// How a query goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    Udp,
    Tcp,
}

struct NoVpc;

impl Upstreams for NoVpc {
    fn is_vpc_resolver(&self, _: NameRef<'_>) -> bool {
        false
    }

    fn forget(&self, _: &[(zonelet::wire::Name, Rtype)]) {}
}

/// What an upstream says of a name that it does not know.
pub fn unknown(question: &Question) -> Vec<u8> {
    question.reply(3, &[], &[soa(".", 900, 60)])
}

/// What a server answers that has more than fits.
fn cut(question: &Question) -> Vec<u8> {
    let mut reply = question.reply(0, &[], &[]);
    reply[2] |= 2;
    reply
}

impl Plan {
    /// No zones, and the default settings of answers.
    pub fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let listen = vec!["127.0.0.1:0".parse().unwrap()];
        let server = server::Settings { listen, workers: 1, ..server::Settings::default() };
        Self { dir, sources: Vec::new(), answer: answer::Settings::default(), has_upstream: true, server }
    }

    /// Adds a zone: the JSON of `list-resource-record-sets` if it begins with a brace, else a zone
    /// file.
    pub fn zone(self, text: &str) -> Self {
        self.zone_with(text, SourcePolicy::default())
    }

    /// The same with a policy of its own.
    pub fn zone_with(self, text: &str, policy: SourcePolicy) -> Self {
        let path = self.dir.path().join(format!("zone{}", self.sources.len()));
        fs::write(&path, text).unwrap();
        let source = FileSource::new(FileSettings { path, zone: None, region: None });
        self.source(Arc::new(source), policy)
    }

    /// Adds any source.
    pub fn source(mut self, source: Arc<dyn ZoneSource>, policy: SourcePolicy) -> Self {
        self.sources.push((source, policy));
        self
    }

    /// Other settings of answers.
    pub fn answers(mut self, change: impl FnOnce(&mut answer::Settings)) -> Self {
        change(&mut self.answer);
        self
    }

    /// Other settings of the server.
    #[cfg(feature = "tls")]
    pub fn served(mut self, change: impl FnOnce(&mut server::Settings)) -> Self {
        change(&mut self.server);
        self
    }

    /// Nothing is forwarded anywhere.
    pub fn without_upstream(mut self) -> Self {
        self.has_upstream = false;
        self
    }

    /// Starts it, and waits for the first imports. `upstream` says what the upstream answers.
    pub fn start(self, upstream: impl Fn(&Question) -> Vec<u8> + Send + Sync + 'static) -> Stack {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let context = runtime.enter();
        let upstream = runtime.block_on(Scripted::start(move |asked| {
            let reply = upstream(&asked.question);
            let fits = asked.tcp || reply.len() <= 1232;
            vec![Out::Reply(if fits { reply } else { cut(&asked.question) })]
        }));
        let clock = Clock::manual();
        let mut forwards = forward_all(&[upstream.addr]);
        if !self.has_upstream {
            forwards.domains.clear();
        }
        let forwarder = Forwarder::new(forwards, clock.clone(), runtime.handle().clone());
        let table: SharedTable = Arc::new(ArcSwap::from_pointee(ZoneTable::default()));
        let cache = Arc::new(Cache::new(&zonelet::cache::Settings::default(), CacheMetrics::register()));
        let miss = MissPath::new(
            &self.answer,
            Arc::clone(&cache),
            forwarder,
            clock.clone(),
            runtime.handle().clone(),
        );
        let board = Board::default();
        let answerer = Answerer::new(Arc::clone(&table), cache, miss, self.answer, clock.clone(), &board);

        let importer = Importer::new(
            import::Settings::default(),
            self.sources,
            table,
            clock.clone(),
            Arc::new(ImportMetrics::register()),
            Arc::new(NoVpc),
        );
        let (mut ready, stop) = (importer.board().watch_ready(), CancellationToken::new());
        runtime.spawn(importer.run(stop.clone()));
        let imported = async { tokio::time::timeout(PATIENCE, ready.wait_for(|ready| *ready)).await.is_ok() };
        assert!(runtime.block_on(imported), "the first imports did not finish");

        let bound = Server::bind(self.server).unwrap();
        let (addr, encrypted) = (bound.local_addrs()[0], bound.encrypted_addrs());
        let running = Some(bound.start(Arc::new(answerer), &board).unwrap());
        drop(context);
        Stack { addr, encrypted, clock, upstream, runtime, running, stop, _dir: self.dir }
    }
}

impl Stack {
    /// What the server counts.
    #[cfg(feature = "tls")]
    pub fn server_metrics(&self) -> Arc<zonelet::metrics::ServerMetrics> {
        self.running.as_ref().expect("a server").metrics()
    }

    /// Leaves all sockets to another process, which there is none of.
    #[cfg(feature = "tls")]
    pub fn hand_over(&mut self) {
        let running = self.running.as_mut().expect("a server");
        let names: Vec<_> =
            running.sockets().duplicate().unwrap().into_iter().map(|(name, _)| name).collect();
        self.runtime.block_on(running.hand_over(&names));
    }

    /// The response to `query`.
    pub fn raw(&self, via: Via, query: &[u8]) -> Vec<u8> {
        match via {
            Via::Udp => UdpClient::near(self.addr).ask(query, self.addr),
            Via::Tcp => TcpClient::connect(self.addr).ask(query),
        }
    }

    /// What both transports answer, which must be the same, on one line (see [`line`]).
    pub fn ask(&self, ask: Ask) -> String {
        let query = ask.bytes();
        let [udp, tcp] = [Via::Udp, Via::Tcp].map(|via| line(&query, &self.raw(via, &query)));
        assert_eq!(udp, tcp, "UDP and TCP differ");
        udp
    }

    /// The same for a question with EDNS, as `name TYPE`.
    pub fn line(&self, question: &str) -> String {
        self.ask(asked(question).edns(1232, false))
    }

    /// Compares answers line by line: `question => answer`.
    pub fn expect(&self, table: &[(&str, &str)]) {
        for (question, want) in table {
            assert_eq!(self.line(question), *want, "{question}");
        }
    }

    /// How often the upstream was asked for a name of any type.
    pub fn forwarded(&self, qname: &str) -> usize {
        let qname = name(qname);
        self.upstream.log().iter().filter(|asked| asked.question.qname == qname).count()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        self.stop.cancel();
        let _context = self.runtime.enter();
        drop(self.running.take());
    }
}

/// A query for `name TYPE`.
pub fn asked(question: &str) -> Ask {
    let (qname, qtype) = question.split_once(' ').expect("a name and a type");
    let qtype = qtype.parse::<RecordType>().unwrap_or_else(|e| panic!("{question}: {e}"));
    // Unlike other ways to a name, this one keeps the case and takes any label.
    let qname =
        Name::from_labels(qname.split('.').filter(|label| !label.is_empty()).map(str::as_bytes)).unwrap();
    ask(".", qtype).with(|m| {
        m.queries[0].set_name(qname);
    })
}

/// A response on one line: the code, `aa`, `tc` and `ad` where set, answers, `|` and authorities,
/// the extended error. SOA data is left out; records of one RRset stand in their order of data.
///
/// hickory-proto must be able to read it, and header and question must be as they always are.
pub fn line(query: &[u8], response: &[u8]) -> String {
    let message = message(response);
    let head = &message.metadata;
    assert!(head.recursion_available, "RA is missing");
    let asked = self::message(query);
    assert_eq!(message.queries.len(), 1, "the question is missing");
    let end = 12 + asked.queries[0].name().len() + 4;
    assert_eq!(query[12..end], response[12..end], "the question is not echoed byte for byte");
    let mut text = code(head.response_code);
    for (set, flag) in [(head.authoritative, " aa"), (head.truncation, " tc"), (head.authentic_data, " ad")] {
        text.push_str(if set { flag } else { "" });
    }
    for record in sorted(&message.answers) {
        text.push_str(&format!("; {record}"));
    }
    for record in sorted(&message.authorities) {
        text.push_str(&format!(" | {record}"));
    }
    if let Some((number, why)) = ede(&message) {
        text.push_str(&format!(" EDE {number} {why}"));
    }
    text
}

/// The extended error (RFC 8914).
pub fn ede(message: &Message) -> Option<(u16, String)> {
    let option = message.edns.as_ref()?.option(EdnsCode::Unknown(15))?;
    let EdnsOption::Unknown(_, data) = option else { panic!("hickory-proto reads extended errors by now") };
    let (code, text) = data.split_at(2);
    Some((u16::from_be_bytes([code[0], code[1]]), String::from_utf8(text.to_vec()).unwrap()))
}

fn code(code: ResponseCode) -> String {
    match code {
        ResponseCode::NoError => "NOERROR".into(),
        ResponseCode::FormErr => "FORMERR".into(),
        ResponseCode::ServFail => "SERVFAIL".into(),
        ResponseCode::NXDomain => "NXDOMAIN".into(),
        ResponseCode::NotImp => "NOTIMP".into(),
        ResponseCode::Refused => "REFUSED".into(),
        // The two share number 16; only a message with TSIG can mean the other.
        ResponseCode::BADVERS | ResponseCode::BADSIG => "BADVERS".into(),
        other => format!("{other:?}"),
    }
}

/// Each record as text; RRsets rotate, so their records are put in order.
fn sorted(records: &[Record]) -> Vec<String> {
    let same_set = |a: &Record, b: &Record| a.name == b.name && a.record_type() == b.record_type();
    let mut all = Vec::new();
    for set in records.chunk_by(same_set) {
        let mut texts: Vec<String> = set.iter().map(record).collect();
        texts.sort();
        all.extend(texts);
    }
    all
}

fn record(record: &Record) -> String {
    let start = format!("{} {} {}", record.name, record.ttl, record.record_type());
    if record.record_type() == RecordType::SOA { start } else { format!("{start} {}", record.data) }
}
