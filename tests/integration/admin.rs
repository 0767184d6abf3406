//! The admin listeners over real sockets: pages, limits, commands, the socket's file.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio_util::sync::CancellationToken;
use zonelet::admin::client::{AskError, ask};
use zonelet::admin::protocol::{SkippedReport, ZoneReport};
use zonelet::admin::{
    BindError, Commands, Health, HttpListener, Listing, Pages, Request, Response, SocketListener, TopReport,
};
use zonelet::answer::explain::{Explanation, Question};
use zonelet::source::BoxFuture;
use zonelet::wire::Name;

#[derive(Default)]
struct Switch(AtomicBool);

impl Health for Switch {
    fn live(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        if self.0.load(Ordering::Relaxed) { Ok(()) } else { Err("waiting for zones".to_owned()) }
    }
}

struct Http {
    listener: Option<std::net::SocketAddr>,
    health: Arc<Switch>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Http {
    async fn start() -> Self {
        let listener = HttpListener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let (address, health, shutdown) = (listener.local_addr(), Arc::default(), CancellationToken::new());
        let render = Arc::new(|| "zonelet_up 1\n".to_owned());
        let pages = Pages { health: Arc::clone(&health) as Arc<dyn Health>, render };
        let task = tokio::spawn(listener.run(pages, shutdown.clone()));
        Self { listener: Some(address), health, shutdown, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.listener.unwrap()).await.unwrap()
    }

    /// Sends `head` and reads until the server closes.
    async fn raw(&self, head: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        read_all(&mut stream).await
    }

    async fn get(&self, path: &str) -> String {
        self.raw(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")).await
    }
}

async fn read_all(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut bytes = Vec::new();
    // A reset after the response is no concern of these tests.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn the_three_pages_are_served_and_each_connection_closed() {
    let http = Http::start().await;
    let metrics = http.get("/metrics").await;
    assert!(metrics.starts_with("HTTP/1.1 200 OK\r\n"), "{metrics}");
    assert!(metrics.contains("content-type: text/plain; version=0.0.4; charset=utf-8\r\n"), "{metrics}");
    assert!(metrics.contains("connection: close\r\n"), "{metrics}");
    assert!(metrics.ends_with("\r\n\r\nzonelet_up 1\n"), "{metrics}");
    assert!(http.get("/livez").await.ends_with("\r\n\r\nok\n"));
    let waiting = http.get("/readyz?verbose").await;
    assert!(waiting.starts_with("HTTP/1.1 503 "), "{waiting}");
    assert!(waiting.ends_with("\r\n\r\nwaiting for zones\n"), "{waiting}");
    http.health.0.store(true, Ordering::Relaxed);
    assert!(http.get("/readyz").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let http = Http::start().await;
    for path in ["/", "/metrics/", "/livez/../metrics", "/debug", "//metrics"] {
        assert!(http.get(path).await.starts_with("HTTP/1.1 404 "), "{path}");
    }
    for method in ["POST", "HEAD", "DELETE", "OPTIONS"] {
        let refused = http.raw(&format!("{method} /metrics HTTP/1.1\r\nHost: x\r\n\r\n")).await;
        assert!(refused.starts_with("HTTP/1.1 405 "), "{method}: {refused}");
        assert!(refused.contains("allow: GET\r\n"), "{refused}");
    }
    let body = http.raw("POST /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nstop").await;
    assert!(body.starts_with("HTTP/1.1 405 "), "{body}");
}

#[tokio::test]
async fn requests_that_are_no_http_or_too_long_harm_nothing() {
    let http = Http::start().await;
    for bad in
        ["\0\0\0\u{1}garbage\r\n\r\n".to_owned(), format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(100_000))]
    {
        let answer = http.raw(&bad).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    }
    assert!(http.get("/livez").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test(start_paused = true)]
async fn silent_clients_are_cut_off_and_their_places_given_to_those_who_wait() {
    let http = Http::start().await;
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(http.connect().await);
    }
    // All places are taken: this one is served once the silent ones have run out of time.
    assert!(http.get("/livez").await.starts_with("HTTP/1.1 200 "));
    for mut stream in silent {
        let said = read_all(&mut stream).await;
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
    }
}

#[tokio::test]
async fn shutdown_ends_the_listener_and_open_connections() {
    let http = Http::start().await;
    let mut open = http.connect().await;
    http.shutdown.cancel();
    http.task.await.unwrap();
    assert_eq!(read_all(&mut open).await, "");
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let http = Http::start().await;
    let address = http.listener.unwrap();
    let Err(error) = HttpListener::bind(address).await else { panic!("bound twice") };
    assert_eq!(error.to_string(), format!("admin.listen: cannot listen on {address}"));
}

struct Desk;

impl Commands for Desk {
    fn zones(&self, skipped: bool) -> Listing {
        let lost = SkippedReport { owner: "a.corp.".into(), ..SkippedReport::default() };
        let zone = ZoneReport {
            zone: "corp.".into(),
            skipped: if skipped { vec![lost] } else { Vec::new() },
            ..ZoneReport::default()
        };
        Listing { sources: Vec::new(), zones: vec![zone] }
    }

    fn refresh(&self, zone: Option<Name>) -> BoxFuture<'_, Result<u64, String>> {
        Box::pin(async move {
            match zone {
                None => Ok(3),
                Some(zone) if zone.to_string() == "corp." => Ok(1),
                Some(zone) => Err(format!("no source has {zone}")),
            }
        })
    }

    fn flush(&self) -> u64 {
        42
    }

    fn explain(&self, question: Question) -> BoxFuture<'_, Explanation> {
        let Question { qname, qtype, client } = question;
        let (qname, qtype, client) = (qname.to_string(), qtype.to_string(), client.to_string());
        Box::pin(async { Explanation { qname, qtype, client, ..Explanation::default() } })
    }

    fn export(&self, zone: Name) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async move {
            if zone.to_string() == "corp." {
                Ok(format!("$ORIGIN {zone}\n"))
            } else {
                Err(format!("no {zone}"))
            }
        })
    }

    fn top(&self) -> TopReport {
        TopReport { version: "7".to_owned(), ..TopReport::default() }
    }
}

struct Admin {
    path: PathBuf,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

impl Admin {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.sock");
        let listener = SocketListener::bind(&path).unwrap();
        assert_eq!(listener.path(), path);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(listener.run(Arc::new(Desk), shutdown.clone()));
        Self { path, shutdown, task, _dir: dir }
    }

    async fn ask(&self, request: Request) -> Result<Response, AskError> {
        let path = self.path.clone();
        spawn_blocking(move || ask(&path, &request)).await.unwrap()
    }

    async fn raw(&self, request: &[u8]) -> String {
        let mut stream = UnixStream::connect(&self.path).await.unwrap();
        // The server may stop reading before all is written.
        let _ = stream.write_all(request).await;
        read_all(&mut stream).await
    }
}

#[tokio::test]
async fn every_command_is_answered() {
    let admin = Admin::start();
    let Ok(Response::Zones(plain)) = admin.ask(Request::Zones { skipped: false }).await else { panic!() };
    assert_eq!((plain.zones.len(), plain.zones[0].skipped.len()), (1, 0));
    let Ok(Response::Zones(full)) = admin.ask(Request::Zones { skipped: true }).await else { panic!() };
    assert_eq!(full.zones[0].skipped[0].owner, "a.corp.");
    let refresh = |zone: Option<&str>| admin.ask(Request::Refresh { zone: zone.map(str::to_owned) });
    assert_eq!(refresh(None).await.unwrap(), Response::Refreshing(3));
    assert_eq!(refresh(Some("Corp")).await.unwrap(), Response::Refreshing(1));
    assert_eq!(refresh(Some("b")).await.unwrap_err().to_string(), "no source has b.");
    assert_eq!(refresh(Some("b..")).await.unwrap_err().to_string(), "not a zone name: empty label");
    assert_eq!(admin.ask(Request::Flush {}).await.unwrap(), Response::Flushed(42));
    let explain = |name: &str, qtype: Option<&str>| {
        let (name, qtype) = (name.to_owned(), qtype.map(str::to_owned));
        admin.ask(Request::Explain { name, qtype, client: None })
    };
    let Ok(Response::Explained(told)) = explain("DB.Corp", None).await else { panic!() };
    assert_eq!((&*told.qname, &*told.qtype, &*told.client), ("db.corp.", "A", "127.0.0.1"));
    let bad =
        [("a..b", None, "empty label"), ("a", Some("AXFR"), "no type of data"), ("a", Some("X"), "no type")];
    for (name, qtype, why) in bad {
        let error = explain(name, qtype).await.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
    let export = |zone: &str| admin.ask(Request::Export { zone: zone.to_owned() });
    assert_eq!(export("corp").await.unwrap(), Response::Exported("$ORIGIN corp.\n".to_owned()));
    assert_eq!(export("b").await.unwrap_err().to_string(), "no b.");
}

#[tokio::test]
async fn requests_of_any_bytes_get_an_error_and_no_more() {
    let admin = Admin::start();
    for bad in [&b"\n"[..], b"\xff\xfe\n", b"{\"command\":\"stop\"}\n", b"{}{}\n", b"[[[[[[[[\n"] {
        let answer = admin.raw(bad).await;
        assert!(answer.starts_with("{\"error\":\"not a request: "), "{answer}");
        assert!(answer.ends_with("}\n"), "{answer}");
    }
    let long = admin.raw(&vec![b' '; 100_000]).await;
    assert_eq!(long, "{\"error\":\"a request has at most 4096 bytes\"}\n");
    assert_eq!(admin.raw(b"{\"command\":\"flush\"}\nand more\n").await, "{\"flushed\":42}\n");
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_does_not_keep_the_socket_for_itself() {
    let admin = Admin::start();
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(UnixStream::connect(&admin.path).await.unwrap());
    }
    assert_eq!(admin.raw(b"{\"command\":\"flush\"}\n").await, "{\"flushed\":42}\n");
    for mut stream in silent {
        assert_eq!(read_all(&mut stream).await, "");
    }
}

#[tokio::test]
async fn the_socket_is_its_owners_alone_and_goes_with_the_process() {
    let admin = Admin::start();
    let mode = std::fs::metadata(&admin.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    admin.shutdown.cancel();
    admin.task.await.unwrap();
    assert!(!admin.path.exists());
    let missing = spawn_blocking({
        let path = admin.path.clone();
        move || ask(&path, &Request::Flush {})
    });
    let error = missing.await.unwrap().unwrap_err();
    assert_eq!(error.to_string(), format!("no zonelet answers on {}", admin.path.display()));
}

fn bind_error(path: &Path) -> BindError {
    match SocketListener::bind(path) {
        Ok(_) => panic!("bound {}", path.display()),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_living_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    // Dropped without removing its file, as after a crash.
    drop(UnixListener::bind(&path).unwrap());
    let listener = SocketListener::bind(&path).unwrap();
    assert!(matches!(bind_error(&path), BindError::InUse(named) if named == path));
    assert!(path.exists());
    drop(listener);
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    std::fs::write(&path, "precious").unwrap();
    assert!(matches!(bind_error(&path), BindError::NotASocket(named) if named == path));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
    std::fs::remove_file(&path).unwrap();
    let target = dir.path().join("target");
    std::fs::write(&target, "precious").unwrap();
    std::os::unix::fs::symlink(&target, &path).unwrap();
    assert!(matches!(bind_error(&path), BindError::NotASocket(_)));
}

#[tokio::test]
async fn paths_that_cannot_be_are_named() {
    for path in ["/nonexistent/admin.sock".to_owned(), format!("/tmp/{}", "a".repeat(200))] {
        let error = bind_error(Path::new(&path));
        assert_eq!(error.to_string(), format!("admin.socket: cannot listen on {path}"));
    }
}

#[tokio::test]
async fn the_socket_of_a_successor_is_not_removed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("admin.sock");
    let first = SocketListener::bind(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let second = SocketListener::bind(&path).unwrap();
    drop(first);
    assert!(path.exists());
    drop(second);
    assert!(!path.exists());
}
