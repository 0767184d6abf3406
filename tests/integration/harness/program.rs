//! The real program: started with a configuration in a directory of its own, watched through its
//! output, asked, and ended by its process id.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::client::{Ask, PATIENCE, TcpClient, UdpClient};
use super::dns::{Via, asked, line};
use super::message::Question;
use super::upstream::{Out, Scripted};

/// What every configuration of a test begins with: free ports, and an admin socket.
pub const HEAD: &str = "\
[server]
listen = ['127.0.0.1:0']
workers = 1
[admin]
listen = '127.0.0.1:0'
socket = 'admin.sock'
";

/// Variables that would reach the program from whoever runs the tests.
const FOREIGN: [&str; 9] = [
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "STATE_DIRECTORY",
    "RUNTIME_DIRECTORY",
];

/// What surrounds programs under test: scripted servers, calls to simulators.
pub fn outside() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    })
}

/// An upstream that cuts over UDP what it answers, so that it is asked over TCP.
pub fn cutting_upstream(answer: impl Fn(&Question) -> Vec<u8> + Send + Sync + 'static) -> Scripted {
    outside().block_on(Scripted::start(move |asked| {
        let mut message = answer(&asked.question);
        message[2] |= if asked.tcp { 0 } else { 2 };
        vec![Out::Reply(message)]
    }))
}

/// An upstream that answers what `answer` says.
pub fn upstream(answer: impl Fn(&Question) -> Vec<u8> + Send + Sync + 'static) -> Scripted {
    outside().block_on(Scripted::start(move |asked| vec![Out::Reply(answer(&asked.question))]))
}

/// Asks `state` again and again until it says something, or fails the test.
pub fn until<T>(what: &str, mut state: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = state() {
            return seen;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// A directory with a configuration.
pub struct Home {
    dir: TempDir,
    variables: Vec<(String, String)>,
}

impl Home {
    /// A directory with `config.toml`: [`HEAD`] and `config`.
    pub fn new(config: &str) -> Self {
        let home = Self { dir: TempDir::new().unwrap(), variables: Vec::new() };
        home.configure(config);
        home
    }

    /// Another configuration, swapped in whole.
    pub fn configure(&self, config: &str) {
        self.put("config.toml", &format!("{HEAD}{config}"));
    }

    /// A file, swapped in whole.
    pub fn put(&self, name: &str, content: &str) {
        let temporary = self.path("swap.tmp");
        fs::write(&temporary, content).unwrap();
        fs::rename(temporary, self.path(name)).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A variable for everything that is run here.
    pub fn variable(&mut self, name: &str, value: impl Into<String>) -> &mut Self {
        self.variables.push((name.to_owned(), value.into()));
        self
    }

    /// `zonelet` with these arguments and the configuration of this directory.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_zonelet"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ZONELET_")) {
            command.env_remove(name);
        }
        for name in FOREIGN {
            command.env_remove(name);
        }
        command
            .args(arguments)
            .arg("--config")
            .arg(self.path("config.toml"))
            .current_dir(self.dir.path())
            .env("AWS_ACCESS_KEY_ID", "AKIDTEST")
            .env("AWS_SECRET_ACCESS_KEY", "not a secret")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs `zonelet` to its end.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("the program runs")
    }

    /// Starts `zonelet` and waits until it says where it listens.
    pub fn start(&self) -> Program {
        Program::start(&mut self.command(&["run"]))
    }
}

/// The running program. Dropping it kills it.
pub struct Program {
    child: Child,
    output: Lines,
    log: Lines,
    addr: SocketAddr,
}

/// The lines a stream has brought so far.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn read(stream: impl Read + Send + 'static) -> Self {
        let lines = Self::default();
        let kept = lines.clone();
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                kept.0.lock().unwrap().push(line);
            }
        });
        lines
    }

    fn find(&self, word: &str) -> Option<String> {
        self.0.lock().unwrap().iter().find(|line| line.contains(word)).cloned()
    }
}

/// The first loopback address in `text`.
fn address(text: &str) -> Option<SocketAddr> {
    let start = text.find("127.0.0.1:")?;
    let port: String = text[start + 10..].chars().take_while(char::is_ascii_digit).collect();
    Some(([127, 0, 0, 1], port.parse::<u16>().ok()?).into())
}

impl Program {
    /// Starts `command`, which runs `zonelet`.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = Lines::read(child.stdout.take().unwrap());
        let log = Lines::read(child.stderr.take().unwrap());
        let mut program = Self { child, output, log, addr: ([127, 0, 0, 1], 0).into() };
        program.addr = until("the banner", || {
            if let Ok(Some(status)) = program.child.try_wait() {
                panic!("ended with {status}: {:#?}", program.log());
            }
            address(&program.output.find("listens on")?)
        });
        // The banner is written at once, but read line by line.
        until("the banner's end", || program.output.find("try: "));
        program
    }

    /// Where it answers.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Standard output so far.
    pub fn banner(&self) -> Vec<String> {
        self.output.0.lock().unwrap().clone()
    }

    /// The log so far.
    pub fn log(&self) -> Vec<String> {
        self.log.0.lock().unwrap().clone()
    }

    /// Waits for a line of the log with `word`.
    pub fn logged(&self, word: &str) -> String {
        until(&format!("{word:?} in {:#?}", self.log()), || self.log.find(word))
    }

    /// Waits until `count` lines of the log have `word`.
    pub fn logged_times(&self, word: &str, count: usize) {
        until(word, || (self.log().iter().filter(|line| line.contains(word)).count() >= count).then_some(()));
    }

    /// What it answers to `name TYPE`, with EDNS over UDP, on one line.
    pub fn ask(&self, question: &str) -> String {
        self.ask_via(Via::Udp, &asked(question).edns(1232, false))
    }

    /// What it answers to any query.
    pub fn ask_via(&self, via: Via, query: &Ask) -> String {
        let query = query.bytes();
        let response = match via {
            Via::Udp => UdpClient::near(self.addr).ask(&query, self.addr),
            Via::Tcp => TcpClient::connect(self.addr).ask(&query),
        };
        line(&query, &response)
    }

    /// Waits until `question` is answered with `want`.
    pub fn answers(&self, question: &str, want: &str) {
        until(&format!("{question}: {want}"), || (self.ask(question) == want).then_some(()));
    }

    /// `GET path` of the admin listener: status and body.
    pub fn get(&self, path: &str) -> (u16, String) {
        let admin = address(&self.logged("metrics and health")).expect("an address");
        let mut stream = TcpStream::connect(admin).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        (status, body.to_owned())
    }

    /// The sum of a metric over the lines that have all of `labels`.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let (status, text) = self.get("/metrics");
        assert_eq!(status, 200);
        let of_it = |line: &&str| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        };
        let value =
            |line: &str| line.rsplit(' ').next().and_then(|v| v.parse::<f64>().ok()).expect("a value");
        text.lines().filter(of_it).map(value).sum()
    }

    /// Sends it a signal by name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("sh")
            .args(["-c", &format!("kill -{name} {}", self.child.id())])
            .status()
            .expect("a shell");
        assert!(status.success(), "kill -{name}");
    }

    /// Whether it is still there.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for its end: exit code and log.
    pub fn ended(mut self) -> (Option<i32>, Vec<String>) {
        let status = until("the end of the program", || self.child.try_wait().unwrap());
        (status.code(), self.log())
    }

    /// Ends it as a service manager does: exit code and log.
    pub fn terminate(self) -> (Option<i32>, Vec<String>) {
        self.signal("TERM");
        self.ended()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Both may fail only because it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A `[[forward]]` of everything to `upstream`.
pub fn forward(upstream: SocketAddr) -> String {
    format!("[[forward]]\ndomain = '.'\nupstreams = ['{upstream}']\n[limits]\nupstream_sockets = 8\n")
}

/// A `[[source]]` of one file.
pub fn file(path: impl AsRef<Path>) -> String {
    format!("[[source]]\nkind = 'file'\npath = '{}'\n", path.as_ref().display())
}
