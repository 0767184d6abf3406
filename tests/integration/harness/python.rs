//! Python programs that tests run: started on a free port, ended with the test.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A file of the checked-out sources.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A server that prints the line `listening URL` and ends when its stdin does: with this value, or
/// with the test process however that dies.
pub struct PythonServer {
    child: Child,
    /// Where it listens, `http://127.0.0.1:PORT`.
    pub url: String,
}

impl PythonServer {
    /// Starts `script` with `python` and waits until it listens.
    pub fn start(python: impl AsRef<OsStr>, script: &Path) -> Self {
        Self::start_with(python, script, &[])
    }

    /// The same with arguments.
    pub fn start_with(python: impl AsRef<OsStr>, script: &Path, arguments: &[String]) -> Self {
        let mut child = Command::new(python.as_ref())
            .arg(script)
            .args(arguments)
            // No compiled files beside the sources.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot run {:?}: {e}; install the package python3", python.as_ref()));
        let mut line = String::new();
        let stdout = child.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line of text");
        let url = line.trim().strip_prefix("listening ").map(str::to_owned);
        let url = url.unwrap_or_else(|| panic!("{} did not start: {line:?}", script.display()));
        Self { child, url }
    }
}

/// Makes a control call of the server at `url` and returns its answer; a refused one is the test's
/// mistake.
pub async fn json_call(url: &str, method: &str, path: &str, body: Value) -> Value {
    let authority = url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(authority).await.expect("the server listens");
    let body = body.to_string();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.expect("the request is sent");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.expect("the reply is text");
    let (head, body) = reply.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.contains(" 200 "), "control call {method} {path}: {body}");
    serde_json::from_str(body).expect("the reply is JSON")
}

impl Drop for PythonServer {
    fn drop(&mut self) {
        // Both may fail only because it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
