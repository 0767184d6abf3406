//! What a message says: an event of CloudTrail, as EventBridge puts it into a queue.

use serde::Deserialize;

use crate::source::ZoneId;
use crate::source::route53::select::bare_id;

/// The largest message that a queue can hold.
const MAX_BODY: usize = 1024 * 1024;
/// The longest id of a hosted zone.
const MAX_ID: usize = 32;

/// The calls that hints are made of: the first changes a zone's record sets, the others the set of
/// zones.
pub const EVENTS: [&str; 5] = [
    "ChangeResourceRecordSets",
    "AssociateVPCWithHostedZone",
    "DisassociateVPCFromHostedZone",
    "CreateHostedZone",
    "DeleteHostedZone",
];

/// What one message means for the zones here. Nothing in it is believed: it says where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The record sets of this zone were changed.
    Changed(ZoneId),
    /// Zones came, went, or were given to or taken from a VPC.
    Rediscover,
    /// An event that changes nothing here: another call, or one that failed.
    Other,
    /// No event at all.
    Garbage,
}

/// The event, or a notification of SNS with the event in it as text.
#[derive(Deserialize)]
struct Envelope {
    #[serde(rename = "Message")]
    message: Option<String>,
    detail: Option<Detail>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    event_source: Option<String>,
    event_name: Option<String>,
    error_code: Option<String>,
    request_parameters: Option<Parameters>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    hosted_zone_id: Option<String>,
}

/// Reads a message's body, which may be anything.
pub fn read(body: &str) -> Hint {
    let Some(envelope) = parse(body) else { return Hint::Garbage };
    let inner = match (envelope.detail, envelope.message) {
        (Some(detail), _) => Some(detail),
        // SNS wraps once.
        (None, Some(message)) => parse(&message).and_then(|inner| inner.detail),
        (None, None) => None,
    };
    inner.map_or(Hint::Garbage, meaning)
}

fn parse(text: &str) -> Option<Envelope> {
    if text.len() > MAX_BODY { None } else { serde_json::from_str(text).ok() }
}

fn meaning(detail: Detail) -> Hint {
    if detail.event_source.is_some_and(|source| source != "route53.amazonaws.com") {
        return Hint::Other;
    }
    let failed = detail.error_code.is_some_and(|code| !code.is_empty());
    match detail.event_name.as_deref() {
        None => Hint::Garbage,
        Some(_) if failed => Hint::Other,
        Some(name) if name == EVENTS[0] => {
            let id = detail.request_parameters.and_then(|parameters| parameters.hosted_zone_id);
            id.as_deref().and_then(zone_id).map_or(Hint::Garbage, Hint::Changed)
        }
        Some(name) if EVENTS.contains(&name) => Hint::Rediscover,
        Some(_) => Hint::Other,
    }
}

fn zone_id(text: &str) -> Option<ZoneId> {
    let id = bare_id(text);
    let is_plain = id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    ((1..=MAX_ID).contains(&id.len()) && is_plain).then(|| ZoneId(id.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event(name: &str, parameters: Value) -> Value {
        json!({
            "version": "0", "source": "aws.route53", "detail-type": "AWS API Call via CloudTrail",
            "detail": { "eventSource": "route53.amazonaws.com", "eventName": name,
                "requestParameters": parameters, "responseElements": null, "readOnly": false }
        })
    }

    fn change(id: &str) -> Value {
        event(
            "ChangeResourceRecordSets",
            json!({ "hostedZoneId": id, "changeBatch": { "changes": [1, "x"] } }),
        )
    }

    #[test]
    fn an_event_is_read_bare_and_in_a_notification() {
        let changed = Hint::Changed(ZoneId("Z1EXAMPLE".into()));
        for id in ["Z1EXAMPLE", "/hostedzone/Z1EXAMPLE"] {
            let event = change(id).to_string();
            assert_eq!(read(&event), changed);
            let wrapped = json!({ "Type": "Notification", "TopicArn": "arn:x", "Message": event });
            assert_eq!(read(&wrapped.to_string()), changed);
        }
        for name in ["AssociateVPCWithHostedZone", "DisassociateVPCFromHostedZone", "CreateHostedZone"] {
            assert_eq!(read(&event(name, json!(null)).to_string()), Hint::Rediscover, "{name}");
        }
        assert_eq!(read(&event("DeleteHostedZone", json!({ "id": "Z1" })).to_string()), Hint::Rediscover);
    }

    #[test]
    fn calls_that_changed_nothing_here_are_no_hints() {
        let mut failed = change("Z1EXAMPLE");
        failed["detail"]["errorCode"] = json!("AccessDenied");
        let mut elsewhere = change("Z1EXAMPLE");
        elsewhere["detail"]["eventSource"] = json!("ec2.amazonaws.com");
        let other = event("ChangeTagsForResource", json!({ "resourceId": "Z1" }));
        for event in [failed, elsewhere, other] {
            assert_eq!(read(&event.to_string()), Hint::Other, "{event}");
        }
    }

    #[test]
    fn an_event_that_is_cut_or_bent_anywhere_is_read_without_a_panic() {
        let whole = json!({ "Message": change("Z1EXAMPLE").to_string() }).to_string();
        for at in 0..whole.len() {
            assert_eq!(read(&whole[..at]), Hint::Garbage, "cut at {at}");
            for by in ["\"", "\\", "}", "[", "0", "\u{0}"] {
                let bent = format!("{}{by}{}", &whole[..at], &whole[at + 1..]);
                if let Hint::Changed(id) = read(&bent) {
                    assert!(id.0.len() <= MAX_ID && id.0.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
                }
            }
        }
    }

    #[test]
    fn whatever_else_comes_is_garbage_and_no_panic() {
        let twice = json!({ "Message": json!({ "Message": change("Z1").to_string() }).to_string() });
        let large = format!("{}{}", change("Z1EXAMPLE"), " ".repeat(MAX_BODY));
        let deep = "[".repeat(100_000);
        for body in [
            "",
            "{}",
            "null",
            "[]",
            "{\"detail\":{}}",
            "{\"detail\":7}",
            "{\"Message\":\"no event\"}",
            "\u{0}",
            &deep,
            &large,
            &twice.to_string(),
            &event("ChangeResourceRecordSets", json!({})).to_string(),
            &change("").to_string(),
            &change("../Z1").to_string(),
            &change(&"Z".repeat(33)).to_string(),
        ] {
            assert_eq!(read(body), Hint::Garbage, "{}", body.get(..60).unwrap_or(body));
        }
    }
}
