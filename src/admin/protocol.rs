//! What the admin socket speaks: one JSON object on a line each way, then the end.
//!
//! Asked: `{"command":"zones"}`. Answered: `{"zones":{"sources":[...],"zones":[...]}}`, or
//! `{"error":"..."}` for anything that did not work.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::TopReport;
use crate::answer::explain::Explanation;

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Lists every source and zone.
    Zones {
        /// With the records that are not served.
        #[serde(default)]
        skipped: bool,
    },
    /// Has a zone, or everything, imported now as far as the budget allows.
    Refresh {
        /// The zone's name; all zones where it is missing.
        #[serde(default)]
        zone: Option<String>,
    },
    /// Empties the cache.
    Flush {},
    /// Says why a name gets its answer.
    Explain {
        /// The name.
        name: String,
        /// The type; A where it is missing.
        #[serde(default)]
        qtype: Option<String>,
        /// Who asks; 127.0.0.1 where it is missing.
        #[serde(default)]
        client: Option<IpAddr>,
    },
    /// Writes a zone as a zone file.
    Export {
        /// The zone's name.
        zone: String,
    },
    /// Says how everything does.
    Top {},
}

/// Its answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// What there is.
    Zones(Listing),
    /// How many zones are being imported now.
    Refreshing(u64),
    /// How many responses were dropped.
    Flushed(u64),
    /// Why a name gets its answer.
    Explained(Box<Explanation>),
    /// A zone file.
    Exported(String),
    /// How everything does.
    Top(Box<TopReport>),
    /// Why it did not work.
    Error(String),
}

/// Sources and zones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Listing {
    /// In the order of the configuration.
    pub sources: Vec<SourceReport>,
    /// By source.
    pub zones: Vec<ZoneReport>,
}

/// One source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceReport {
    /// `route53`, `file`.
    pub kind: String,
    /// What tells it from others of its kind.
    pub source: String,
    /// How many zones it has.
    pub zones: u64,
    /// Why its zones could not be listed last time.
    pub error: Option<String>,
}

/// One zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneReport {
    /// Its name.
    pub zone: String,
    /// The kind of its source.
    pub kind: String,
    /// The label of its source.
    pub source: String,
    /// Its id within the source; empty while it is only expected.
    pub id: String,
    /// `loaded`, `stale`, `held`, `carved_out`, `unloaded`, `shadowed`.
    pub state: String,
    /// Records served.
    pub records: u64,
    /// RRsets served, the deferred ones included.
    pub rrsets: u64,
    /// RRsets that stand for another name's.
    #[serde(default)]
    pub aliases: u64,
    /// RRsets that a routing policy chooses.
    #[serde(default)]
    pub choices: u64,
    /// RRsets whose answers are decided at the source.
    pub deferred: u64,
    /// The serial of its SOA.
    pub serial: Option<u32>,
    /// Seconds since its last successful import, over restarts.
    pub age_seconds: Option<u64>,
    /// Seconds between imports, after budget and throttling.
    pub refresh_seconds: u64,
    /// Seconds until the next attempt; `None` while one runs, or none is planned.
    pub next_attempt_seconds: Option<u64>,
    /// The last error, or why it is carved out.
    pub error: Option<String>,
    /// What is served comes from a state file that its source has not confirmed yet.
    pub from_state_file: bool,
    /// How many records are not served, by reason.
    pub skipped_by_reason: BTreeMap<String, u64>,
    /// Those records; empty unless asked for, and cut at what the importer keeps.
    pub skipped: Vec<SkippedReport>,
}

/// One record that is not served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedReport {
    /// The owner as the source wrote it.
    pub owner: String,
    /// The type as the source wrote it.
    pub rtype: String,
    /// The class of reason.
    pub reason: String,
    /// What exactly is wrong.
    pub detail: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_people_would_type_them() {
        let read = |text: &str| serde_json::from_str::<Request>(text);
        assert_eq!(read(r#"{"command":"zones"}"#).unwrap(), Request::Zones { skipped: false });
        assert_eq!(read(r#"{"command":"zones","skipped":true}"#).unwrap(), Request::Zones { skipped: true });
        let zone = Some("corp.internal".to_owned());
        assert_eq!(
            read(r#"{"command":"refresh","zone":"corp.internal"}"#).unwrap(),
            Request::Refresh { zone }
        );
        assert_eq!(read(r#"{"command":"flush"}"#).unwrap(), Request::Flush {});
        assert_eq!(read(r#"{"command":"top"}"#).unwrap(), Request::Top {});
        let explain = |qtype: Option<&str>, client: Option<&str>| Request::Explain {
            name: "a.corp".to_owned(),
            qtype: qtype.map(str::to_owned),
            client: client.map(|client| client.parse().unwrap()),
        };
        assert_eq!(read(r#"{"command":"explain","name":"a.corp"}"#).unwrap(), explain(None, None));
        let full = r#"{"command":"explain","name":"a.corp","qtype":"AAAA","client":"10.0.0.7"}"#;
        assert_eq!(read(full).unwrap(), explain(Some("AAAA"), Some("10.0.0.7")));
        for bad in [
            r#"{"command":"flush","x":1}"#,
            r#"{"command":"zones","skiped":true}"#,
            r#"{"command":"stop"}"#,
            r#"{"command":"explain"}"#,
            r#"{"command":"explain","name":"a","client":"here"}"#,
            "{}",
            "[]",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn responses_survive_the_way() {
        let zone = ZoneReport { zone: "a.".into(), serial: Some(7), ..ZoneReport::default() };
        let listing = Listing { sources: vec![SourceReport::default()], zones: vec![zone] };
        for response in [Response::Zones(listing), Response::Flushed(3), Response::Error("no\n".into())] {
            let text = serde_json::to_string(&response).unwrap();
            assert!(!text.contains('\n'));
            assert_eq!(serde_json::from_str::<Response>(&text).unwrap(), response);
        }
    }
}
