//! `hints` of a source: the queue that says when zones change.

use crate::config::read::{Item, Section};
use crate::config::{Source, SourceKind};
use crate::source::settings::HintQueue;

const FIX: &str = "write \"https://sqs.us-east-1.amazonaws.com/111122223333/zonelet-changes\"";
/// The longest name of a queue.
const MAX_NAME: usize = 80;

/// The queue that a URL names; `""` is none.
pub(super) fn queue(item: &Item<'_>) -> Option<Option<HintQueue>> {
    let text = item.text()?.trim();
    if text.is_empty() {
        return Some(None);
    }
    match parse(text) {
        Ok(queue) => Some(Some(queue)),
        Err(problem) => {
            item.reject(format!("{text:?} is not the URL of a queue: {problem}"), Some(FIX.to_owned()));
            None
        }
    }
}

/// A message reaches one reader only, so no two sources may read one queue.
pub(super) fn refuse_shared(section: &Section<'_>, source: &Source, others: &[Source]) {
    fn queue_of(source: &Source) -> Option<&str> {
        match &source.kind {
            SourceKind::Route53(settings) => settings.hints.as_ref().map(|queue| queue.url.as_str()),
            SourceKind::File(_) | SourceKind::Hosts(_) => None,
        }
    }
    let Some(url) = queue_of(source) else { return };
    if others.iter().any(|other| queue_of(other) == Some(url)) {
        let fix = "give each source a queue of its own: each message reaches one reader only";
        section.reject("hints", "another source reads the same queue", Some(fix));
    }
}

fn parse(text: &str) -> Result<HintQueue, &'static str> {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let rest = rest.ok_or("it does not begin with https://")?;
    let (authority, path) = rest.split_once('/').ok_or("it names no queue")?;
    let is_host = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    if authority.is_empty() || !authority.chars().all(is_host) {
        return Err("its host cannot be read");
    }
    let (account, name) = path.split_once('/').ok_or("its path is not ACCOUNT/NAME")?;
    if account.len() != 12 || !account.bytes().all(|b| b.is_ascii_digit()) {
        return Err("its account is not twelve digits");
    }
    let plain = name.strip_suffix(".fifo").unwrap_or(name);
    let is_plain = plain.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if plain.is_empty() || name.len() > MAX_NAME || !is_plain {
        return Err("its last part is not a queue's name");
    }
    Ok(HintQueue { url: text.to_owned(), region: region(authority) })
}

/// The region that a host of AWS names: `sqs.eu-west-1.amazonaws.com` and its kin, those of VPC
/// endpoints included.
fn region(authority: &str) -> Option<String> {
    let host = authority.split(':').next().unwrap_or_default();
    let is_aws = [".amazonaws.com", ".amazonaws.com.cn", ".amazonaws.eu", ".api.aws"];
    if !is_aws.iter().any(|end| host.ends_with(end)) {
        return None;
    }
    host.split('.').find(|label| super::region(label).is_none()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_in_the_host() {
        let path = "111122223333/zonelet-changes";
        for (host, region) in [
            ("sqs.us-east-1.amazonaws.com", Some("us-east-1")),
            ("sqs.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("sqs.us-gov-west-1.amazonaws.com", Some("us-gov-west-1")),
            ("eu-west-1.queue.amazonaws.com", Some("eu-west-1")),
            ("sqs.us-east-1.api.aws", Some("us-east-1")),
            ("vpce-0a1b-2c3d.sqs.eu-west-1.vpce.amazonaws.com", Some("eu-west-1")),
            ("queue.amazonaws.com", None),
            ("sqs.us-east-1.example.com", None),
            ("127.0.0.1:4566", None),
            ("[::1]:4566", None),
        ] {
            for scheme in ["https", "http"] {
                let url = format!("{scheme}://{host}/{path}");
                let queue = parse(&url).unwrap();
                assert_eq!(queue.region.as_deref(), region, "{url}");
                assert_eq!(queue.endpoint(), format!("{scheme}://{host}"));
                assert_eq!(queue.url, url);
            }
        }
    }

    #[test]
    fn what_is_no_url_of_a_queue_is_refused() {
        for (text, problem) in [
            ("zonelet-changes", "begin with https://"),
            ("arn:aws:sqs:us-east-1:111122223333:zonelet-changes", "begin with https://"),
            ("https://sqs.us-east-1.amazonaws.com", "names no queue"),
            ("https:///111122223333/q", "host"),
            ("https://user@sqs.us-east-1.amazonaws.com/111122223333/q", "host"),
            ("https://sqs.us-east-1.amazonaws.com/zonelet-changes", "ACCOUNT/NAME"),
            ("https://sqs.us-east-1.amazonaws.com/1111/q", "twelve digits"),
            ("https://sqs.us-east-1.amazonaws.com/111122223333/", "queue's name"),
            ("https://sqs.us-east-1.amazonaws.com/111122223333/a/b", "queue's name"),
            ("https://sqs.us-east-1.amazonaws.com/111122223333/q?x", "queue's name"),
        ] {
            let found = parse(text).unwrap_err();
            assert!(found.contains(problem), "{text}: {found}");
        }
        assert!(parse("https://sqs.us-east-1.amazonaws.com/111122223333/changes.fifo").is_ok());
    }
}
