//! The command line over real files: what is printed, and the exit codes.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use zonelet::admin::protocol::ZoneReport;
use zonelet::admin::{Commands, Listing, SocketListener, TopReport};
use zonelet::answer::explain::{Explanation, Question};
use zonelet::cli::{FAILED, MISUSED, OK, Start, execute};
use zonelet::config::Config;
use zonelet::source::BoxFuture;
use zonelet::wire::Name;

struct Output {
    code: u8,
    out: String,
    err: String,
}

/// Runs `zonelet ARGS`, where `run` ends at once.
fn zonelet(args: &[&str]) -> Output {
    zonelet_with(args, |_: Start| async { Ok(()) })
}

fn zonelet_with<F>(args: &[&str], serve: impl FnOnce(Start) -> F) -> Output
where
    F: Future<Output = anyhow::Result<()>>,
{
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let args = std::iter::once("zonelet").chain(args.iter().copied()).map(OsString::from);
    let code = execute(args, &mut out, &mut err, serve);
    Output { code, out: String::from_utf8(out).unwrap(), err: String::from_utf8(err).unwrap() }
}

fn file(dir: &Path, text: &str) -> String {
    let path = dir.join("zonelet.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn check_lists_every_problem_and_exits_with_2() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "[server]\nlisen = []\n[cache]\nmax_ttl = 5\n");
    let output = zonelet(&["check", "--config", &path]);
    assert_eq!((output.code, output.out.as_str()), (MISUSED, ""));
    let want = format!(
        "{path}:2:1: server.lisen: unknown key; did you mean `listen`?\n\
         {path}:4:11: cache.max_ttl: expected a time with a unit, found an integer; write \"5s\"\n\
         zonelet: 2 problems in the configuration\n"
    );
    assert_eq!(output.err, want);
}

#[test]
fn run_refuses_what_check_refuses() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "[server]\nworkers = 0\n");
    for args in [&["--config", &path][..], &["run", "--config", &path]] {
        let output = zonelet(args);
        assert_eq!(output.code, MISUSED);
        assert!(output.err.contains("server.workers: must be above zero"), "{}", output.err);
    }
    let missing = zonelet(&["run", "--config", "/nonexistent/zonelet.toml"]);
    assert_eq!(missing.code, MISUSED);
    assert!(missing.err.starts_with("/nonexistent/zonelet.toml: cannot be read: "), "{}", missing.err);
}

#[test]
fn check_sums_up_what_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[server]\nlisten = ['0.0.0.0:53']\n[[source]]\nkind = 'route53'\nzones = { ids = ['Z1'] }\n\
                [[forward]]\ndomain = '.'\nupstreams = ['system', 'tcp://10.0.0.2']\n";
    let path = file(dir.path(), text);
    let output = zonelet(&["check", "-c", &path]);
    assert_eq!(output.code, OK, "{}", output.err);
    assert!(output.err.starts_with("warning: "), "{}", output.err);
    for line in [
        format!("config    {path}: no problems"),
        "listen    0.0.0.0:53 (UDP and TCP)".to_owned(),
        "source    route53 ids Z1, every 60s within 1 calls/s".to_owned(),
        "forward   . to the system's resolvers, tcp://10.0.0.2:53".to_owned(),
        "cache     64 MiB".to_owned(),
        "state     off".to_owned(),
    ] {
        assert!(output.out.lines().any(|l| l == line), "{line}\nis not in\n{}", output.out);
    }
}

#[test]
fn check_has_a_line_for_whatever_is_configured_and_none_for_what_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let text = "[limits]\nclient_rate = 50\nclient_in_flight = 9\nclient_exempt = ['10.0.0.2/32']\n\
                upstream_packets = 700\n\
                [[access]]\naction = 'drop'\nclients = ['10.1.0.0/16']\n\
                [[access]]\naction = 'refuse'\nclients = ['10.0.0.0/8']\ndomains = ['corp.internal']\n\
                [[override]]\nnames = ['a.test', '*.b.test']\naddress = ['10.0.0.1']\n\
                [[override]]\nnames = ['ads.test']\nanswer = 'nxdomain'\n\
                [[relief]]\ndomain = 'cluster.local'\nkind = 'kubernetes'\n\
                [rebinding]\ndomains = ['.']\nexcept = ['corp.internal']\n\
                [[source]]\nkind = 'hosts'\npath = '/etc/hosts'\n\
                [[forward]]\ndomain = '.'\nupstreams = ['10.0.0.2', '10.0.0.3']\npolicy = 'sequential'\n\
                stale = '0s'\nrenew = false\n\
                [dnstap]\nto = 'tcp:127.0.0.1:6000'\nmessages = ['client', 'forwarder']\nsample = 8\n\
                [query_log]\nclasses = ['errors', 'slow']\n";
    let path = file(dir.path(), text);
    let output = zonelet(&["check", "-c", &path]);
    assert_eq!(output.code, OK, "{}", output.err);
    for line in [
        "rule      1: drop 10.1.0.0/16 for every name",
        "rule      2: refuse 10.0.0.0/8 for corp.internal.",
        "limits    for each client 50 queries/s (at once 200) and 9 waiting questions, but not for 10.0.0.2/32",
        "packets   at most 700/s to each upstream",
        "rebinding no private addresses for ., but not corp.internal.",
        "source    hosts /etc/hosts",
        "override  a.test., *.b.test.: 10.0.0.1",
        "override  ads.test.: NXDOMAIN",
        "relief    cluster.local. (names of kubernetes alone)",
        "forward   . to 10.0.0.2:53, 10.0.0.3:53; policy sequential; never stale; not prefetched",
        "dnstap    tcp:127.0.0.1:6000, messages of client and forwarder, one query in 8",
        "query log errors, slow (from 500ms), at most 100 lines/s",
    ] {
        assert!(output.out.lines().any(|l| l == line), "{line}\nis not in\n{}", output.out);
    }
    let plain = zonelet(&["check", "-c", &file(dir.path(), "")]);
    let names: Vec<&str> = plain.out.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["config", "listen", "access", "metrics", "socket", "forward", "cache", "state"]);
}

#[cfg(feature = "tls")]
#[test]
fn check_shows_encrypted_listeners_with_their_certificate() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), crate::harness::encrypted::Authority::new());
    authority.issue();
    let files = authority.files();
    let (chain, key) = (files.chain.display(), files.key.display());
    let text = format!(
        "[server]\ntls = ['127.0.0.1:8853']\nhttps = ['127.0.0.1:8443', '[::1]:8443']\n\
         certificate = '{chain}'\nkey = '{key}'\n"
    );
    let output = zonelet(&["check", "-c", &file(dir.path(), &text)]);
    assert_eq!(output.code, OK, "{}", output.err);
    for line in [
        format!("tls       127.0.0.1:8853, certificate {chain}"),
        format!("https     127.0.0.1:8443, [::1]:8443, path /dns-query, certificate {chain}"),
    ] {
        assert!(output.out.lines().any(|l| l == line), "{line}\nis not in\n{}", output.out);
    }
}

#[test]
fn the_checked_in_file_has_no_problem_and_no_warning() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config.toml");
    let output = zonelet(&["check", "--config", path]);
    assert_eq!((output.code, output.err.as_str()), (OK, ""));
    assert!(output.out.contains("nick.test.json"), "{}", output.out);
}

#[test]
fn run_hands_over_the_configuration_and_its_outcome() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "[cache]\nmax_bytes = '1MiB'\n[log]\nlevel = 'off'\n");
    let output = zonelet_with(&["--config", &path], |start| async move {
        assert_eq!(start.config.cache.max_bytes, 1 << 20);
        let again = Config::load(start.config_path.as_deref(), &start.environment).unwrap();
        assert_eq!(again, start.config);
        (start.set_level)(&again.log);
        tokio::spawn(async {}).await?;
        Ok(())
    });
    assert_eq!(output.code, OK);
    let output = zonelet_with(&["--config", &path], |_| async { anyhow::bail!("port taken") });
    assert_eq!(output.code, FAILED);
}

#[test]
fn help_and_version_are_no_errors_and_a_wrong_word_is_one() {
    let version = zonelet(&["--version"]);
    assert_eq!((version.code, version.out), (OK, format!("zonelet {}\n", env!("CARGO_PKG_VERSION"))));
    let help = zonelet(&["--help"]);
    assert!(help.code == OK && help.out.contains("Exit codes:"), "{}", help.out);
    let wrong = zonelet(&["chekc"]);
    assert!(wrong.code == MISUSED && wrong.err.contains("check"), "{}", wrong.err);
}

struct Desk;

impl Commands for Desk {
    fn zones(&self, _: bool) -> Listing {
        let zone = ZoneReport { zone: "corp.".into(), state: "loaded".into(), ..ZoneReport::default() };
        Listing { sources: Vec::new(), zones: vec![zone] }
    }

    fn refresh(&self, zone: Option<Name>) -> BoxFuture<'_, Result<u64, String>> {
        Box::pin(
            async move { if zone.is_some() { Err("no source has this zone".to_owned()) } else { Ok(2) } },
        )
    }

    fn flush(&self) -> u64 {
        7
    }

    fn explain(&self, question: Question) -> BoxFuture<'_, Explanation> {
        let Question { qname, qtype, client } = question;
        let (qname, qtype, client) = (qname.to_string(), qtype.to_string(), client.to_string());
        Box::pin(async { Explanation { qname, qtype, client, ..Explanation::default() } })
    }

    fn export(&self, zone: Name) -> BoxFuture<'_, Result<String, String>> {
        Box::pin(async move { Ok(format!("$ORIGIN {zone}\n")) })
    }

    fn top(&self) -> TopReport {
        TopReport::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn commands_ask_the_running_zonelet_over_the_socket_of_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("admin.sock");
    let shutdown = CancellationToken::new();
    let listener = SocketListener::bind(&socket).unwrap();
    let task = tokio::spawn(listener.run(Arc::new(Desk), shutdown.clone()));
    let path = file(dir.path(), "[admin]\nsocket = 'admin.sock'\n");
    let asked = move |args: &'static [&'static str]| {
        let path = path.clone();
        tokio::task::spawn_blocking(move || zonelet(&[args, &["--config", &path]].concat()))
    };

    let table = asked(&["zones"]).await.unwrap();
    assert_eq!(table.code, OK, "{}", table.err);
    assert!(table.out.contains("\ncorp. "), "{}", table.out);
    let json = asked(&["zones", "--json", "--skipped"]).await.unwrap();
    assert_eq!(serde_json::from_str::<Listing>(&json.out).unwrap(), Desk.zones(true));
    assert_eq!(asked(&["flush"]).await.unwrap().out, "dropped 7 responses\n");
    assert_eq!(asked(&["refresh"]).await.unwrap().out, "importing 2 zones now\n");
    let unknown = asked(&["refresh", "corp.internal"]).await.unwrap();
    assert_eq!((unknown.code, unknown.err.as_str()), (FAILED, "zonelet: no source has this zone\n"));

    let words = asked(&["explain", "a.corp", "TXT", "--client", "fd00::7"]).await.unwrap();
    let silent = "a.corp. TXT for fd00::7\naccess: dropped, by a rule of [[access]]\n";
    assert_eq!((words.code, words.out.as_str()), (OK, silent));
    let json = asked(&["explain", "a.corp", "--json"]).await.unwrap();
    assert_eq!(serde_json::from_str::<Explanation>(&json.out).unwrap().client, "127.0.0.1");
    let bad = asked(&["explain", "a.corp", "NONSENSE"]).await.unwrap();
    assert_eq!((bad.code, bad.err.as_str()), (FAILED, "zonelet: \"NONSENSE\" is no type of data\n"));
    assert_eq!(asked(&["export", "corp"]).await.unwrap().out, "$ORIGIN corp.\n");

    shutdown.cancel();
    task.await.unwrap();
    let gone = asked(&["zones"]).await.unwrap();
    assert_eq!(gone.code, FAILED);
    assert!(gone.err.starts_with("zonelet: no zonelet answers on "), "{}", gone.err);
    assert!(gone.err.ends_with("or name a socket with --socket\n"), "{}", gone.err);
}

/// The fenced blocks of README.md in this language.
fn readme_blocks(language: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let opening = format!("```{language}\n");
    readme.split(&opening).skip(1).filter_map(|rest| Some(rest.split("```").next()?.to_owned())).collect()
}

#[cfg(feature = "route53")]
#[test]
fn the_readmes_configuration_and_policy_are_valid() {
    use zonelet::config::{Config, Environment};
    let configs = readme_blocks("toml");
    assert_eq!(configs.len(), 5);
    for text in configs {
        let whole = text.contains("[[source]]");
        let text = if whole {
            text
        } else {
            format!("[[source]]\nkind = 'route53'\nzones = {{ ids = ['Z1'] }}\n{text}")
        };
        let config = Config::from_text(&text, "README.md", &Environment::default()).unwrap();
        assert_eq!((config.sources.len(), config.warnings.len()), (1, 0), "{text}");
    }
    let json = readme_blocks("json");
    assert_eq!(json.len(), 2);
    let policy: serde_json::Value = serde_json::from_str(&json[0]).unwrap();
    assert_eq!(policy["Statement"].as_array().map(Vec::len), Some(2));
    let pattern: serde_json::Value = serde_json::from_str(&json[1]).unwrap();
    let events = pattern["detail"]["eventName"].as_array().unwrap();
    let events = events.iter().map(|event| event.as_str().unwrap().to_owned());
    assert_eq!(events.collect::<Vec<_>>(), zonelet::source::route53::HINT_EVENTS);
}

#[test]
fn the_readmes_first_commands_are_the_ones_ci_runs() {
    let shell = readme_blocks("sh").concat();
    assert!(shell.starts_with("cargo run --release"), "{shell}");
    let ci = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/run")).unwrap();
    let first = ci.lines().find(|line| line.starts_with("cargo ")).unwrap();
    assert!(shell.lines().any(|line| line.split('#').next().unwrap().trim() == first), "{first}");
}
