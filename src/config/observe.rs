//! `[dnstap]`, `[query_log]` and `[top]`: what is observed of queries.

use std::path::Path;
use std::time::Duration;

use super::read::{Item, Section};
use super::sections::path_behind;
use crate::watch::Settings;
use crate::watch::settings::{Class, Collector, Dnstap, Messages, QueryLog, Top};

/// The three sections.
pub(super) fn watch(root: &Section<'_>, base: &Path) -> Settings {
    let [tap, log, top] = ["dnstap", "query_log", "top"].map(|key| root.section(key));
    let settings = Settings { dnstap: dnstap(&tap, base), query_log: query_log(&log), top: self::top(&top) };
    for section in [&tap, &log, &top] {
        section.finish();
    }
    settings
}

fn dnstap(section: &Section<'_>, base: &Path) -> Dnstap {
    let default = Dnstap::default();
    let identity = |item: &Item<'_>| match item.text()? {
        long if long.len() > 255 => {
            item.reject("is longer than 255 bytes", None);
            None
        }
        text => Some(text.to_owned()),
    };
    Dnstap {
        to: section.read("to", default.to, |item| collector(item, base)),
        messages: section.read("messages", default.messages, messages),
        identity: section.read("identity", default.identity, identity),
        sample: section.read("sample", default.sample, |i| u32::try_from(i.integer(1..=1_000_000)?).ok()),
        buffer: section
            .read("buffer", default.buffer, |i| usize::try_from(i.bytes(256 << 10..=1 << 30)?).ok()),
    }
}

fn messages(item: &Item<'_>) -> Option<Vec<Messages>> {
    let messages = item.list(|item| item.word(&Messages::WORDS))?;
    if messages.is_empty() {
        item.reject("names no messages", Some("write [\"client\"], or to = \"\" for none".to_owned()));
        return None;
    }
    Some(messages)
}

/// `unix:` and a path, or `tcp:` and an address with a port.
fn collector(item: &Item<'_>, base: &Path) -> Option<Option<Collector>> {
    let text = item.text()?;
    if text.is_empty() {
        return Some(None);
    }
    let fix = || Some("write \"unix:/run/dnstap.sock\" or \"tcp:127.0.0.1:6000\"".to_owned());
    if text.starts_with("unix:") {
        let path = path_behind("unix:", item, base)?;
        if path.is_none() {
            item.reject(format!("{text:?} names no socket"), fix());
        }
        return Some(Some(Collector::Unix(path?)));
    }
    match text.strip_prefix("tcp:").map(str::parse) {
        Some(Ok(address)) => Some(Some(Collector::Tcp(address))),
        _ => {
            item.reject(format!("{text:?} is no receiver of dnstap"), fix());
            None
        }
    }
}

fn query_log(section: &Section<'_>) -> QueryLog {
    let default = QueryLog::default();
    QueryLog {
        classes: section.read("classes", default.classes, |item| item.list(|i| i.word(&Class::WORDS))),
        sample: section.read("sample", default.sample, |i| u32::try_from(i.integer(1..=1_000_000)?).ok()),
        slow: section
            .read("slow", default.slow, |i| i.duration(Duration::from_millis(1)..=Duration::from_secs(60))),
        lines: section.read("lines", default.lines, |i| i.rate(0.01..=100_000.0)),
    }
}

fn top(section: &Section<'_>) -> Top {
    let default = Top::default();
    let sample = |item: &Item<'_>| {
        let sample = u32::try_from(item.integer(0..=1 << 20)?).ok()?;
        if sample > 0 && !sample.is_power_of_two() {
            let fix = format!("write {}, or 0 for none", sample.next_power_of_two());
            item.reject("must be a power of two", Some(fix));
            return None;
        }
        Some(sample)
    };
    Top {
        sample: section.read("sample", default.sample, sample),
        window: section.read("window", default.window, |i| {
            i.duration(Duration::from_secs(1)..=Duration::from_secs(3600))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Environment};

    fn read(text: &str) -> Result<Settings, String> {
        let read = Config::from_text(text, "c", &Environment::default());
        read.map(|config| config.watch).map_err(|problems| problems.to_string())
    }

    #[test]
    fn receivers_are_sockets_or_addresses() {
        let to = |text: &str| read(&format!("[dnstap]\nto = '{text}'")).map(|watch| watch.dnstap.to);
        assert_eq!(to(""), Ok(None));
        assert_eq!(to("unix:/run/tap.sock"), Ok(Some(Collector::Unix("/run/tap.sock".into()))));
        assert_eq!(to("unix:tap.sock"), Ok(Some(Collector::Unix("tap.sock".into()))));
        assert_eq!(to("tcp:[::1]:6000"), Ok(Some(Collector::Tcp("[::1]:6000".parse().unwrap()))));
        for bad in ["unix:", "tcp:127.0.0.1", "tcp:collector:6000", "/run/tap.sock", "tls:1.1.1.1:1"] {
            let problem = to(bad).unwrap_err();
            assert!(problem.contains("c:2:6: dnstap.to: "), "{problem}");
            assert!(problem.contains("write \"unix:/run/dnstap.sock\" or"), "{problem}");
        }
    }

    #[test]
    fn every_key_is_read_within_its_bounds() {
        let text = "[dnstap]\nmessages = ['forwarder', 'client']\nidentity = 'n1'\nsample = 7\nbuffer = '1MiB'\n[query_log]\n\
                    classes = ['slow', 'errors']\nsample = 10\nslow = '1s'\nlines = '5/s'\n\
                    [top]\nsample = 1\nwindow = '10s'\n";
        let want = Settings {
            dnstap: Dnstap {
                to: None,
                messages: vec![Messages::Forwarder, Messages::Client],
                identity: "n1".into(),
                sample: 7,
                buffer: 1 << 20,
            },
            query_log: QueryLog {
                classes: vec![Class::Slow, Class::Errors],
                sample: 10,
                slow: Duration::from_secs(1),
                lines: 5.0,
            },
            top: Top { sample: 1, window: Duration::from_secs(10) },
        };
        assert_eq!(read(text), Ok(want));
        for (text, says) in [
            ("[top]\nsample = 33", "top.sample: must be a power of two; write 64, or 0 for none"),
            ("[top]\nsample = -1", "top.sample: "),
            ("[top]\nwindow = '0s'", "top.window: must be above zero"),
            ("[query_log]\nclasses = ['slwo']", "query_log.classes[0]: unknown value"),
            ("[query_log]\nslow = '2m'", "query_log.slow: must be between 1ms and 1m"),
            ("[query_log]\nsample = 0", "query_log.sample: must be above zero"),
            ("[dnstap]\nbuffer = '1KiB'", "dnstap.buffer: must be between 256KiB and 1GiB"),
            ("[dnstap]\nmessages = ['clients']", "dnstap.messages[0]: unknown value"),
            ("[dnstap]\nmessages = []", "dnstap.messages: names no messages; write [\"client\"], or to"),
            ("[dnstap]\ntoo = ''", "dnstap.too: unknown key; did you mean `to`?"),
        ] {
            let problem = read(text).unwrap_err();
            assert!(problem.contains(says), "{problem}");
        }
    }
}
