//! How long the reading rests after a failure, and what it says of one.

use std::io;
use std::net::IpAddr;

use super::*;
use crate::source::settings::Route53Settings;
use crate::source::{BoxFuture, HostResolver};

#[derive(Debug)]
struct Nobody;

impl HostResolver for Nobody {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async { Err(io::Error::other("nobody is asked here")) })
    }
}

fn watch() -> Watch {
    let url = "https://sqs.us-east-1.amazonaws.com/111122223333/zonelet-changes".to_owned();
    let (queue, metrics) = (HintQueue { url, region: None }, SourceMetrics::register("rest"));
    let door = Door {
        settings: Route53Settings::default(),
        connection: Default::default(),
        resolver: Arc::new(Nobody),
        session: Arc::default(),
    };
    Watch {
        queue: Queue::new(queue, door, metrics.clone()),
        zones: Arc::default(),
        metrics,
        failures: 0,
        warned: Vec::new(),
        told_of_deletion: false,
    }
}

fn denied() -> SourceError {
    SourceError::Denied { what: "receiving".into(), source: "AccessDenied".into() }
}

#[test]
fn what_an_operator_must_change_is_tried_again_slowly_and_told_once() {
    for error in [denied(), SourceError::Gone { what: "receiving".into() }] {
        let mut watch = watch();
        for _ in 0..20 {
            let wait = watch.failed(&error);
            assert!(wait >= MAX_BACKOFF.mul_f64(0.79) && wait <= MAX_BACKOFF.mul_f64(1.21), "{wait:?}");
        }
        assert_eq!(watch.warned, [error::kind_of(&error)]);
    }
}

#[test]
fn other_failures_are_tried_again_after_a_bounded_wait_that_grows() {
    let failed = || SourceError::Failed { what: "receiving".into(), source: "reset".into() };
    let mut watch = watch();
    assert!(watch.failed(&failed()) <= FIRST_BACKOFF);
    let mut longest = Duration::ZERO;
    for _ in 0..200 {
        let wait = watch.failed(&failed());
        assert!(wait >= FIRST_BACKOFF / 2 && wait <= MAX_BACKOFF, "{wait:?}");
        longest = longest.max(wait);
    }
    assert!(longest > MAX_BACKOFF / 2, "{longest:?}");
    watch.failed(&denied());
    assert_eq!(watch.warned, [CallResult::Failed, CallResult::Denied], "each kind is told");
    let retry_after = Duration::from_secs(200);
    let throttled = SourceError::Throttled { what: "receiving".into(), retry_after };
    watch.failures = 0;
    assert_eq!(watch.failed(&throttled), retry_after);
}

#[test]
fn hints_count_for_listed_zones_only_and_each_push_comes_once() {
    let watch = watch();
    let event = |name: &str, id: &str| {
        let body = format!(
            "{{\"detail\":{{\"eventName\":\"{name}\",\"requestParameters\":{{\"hostedZoneId\":\"{id}\"}}}}}}"
        );
        Message::of(body)
    };
    let messages = [
        event(HINT_EVENTS[0], "Z2"),
        event(HINT_EVENTS[0], "Z1"),
        event(HINT_EVENTS[0], "Z2"),
        event("", ""),
    ];
    assert!(watch.pushes(&messages).is_empty(), "no zone is known yet");
    let listed = ["Z1", "Z2", "Z3"].map(|id| ZoneId(id.into()));
    watch.zones.lock().unwrap().extend(listed);
    let pushed = |messages: &[Message]| -> Vec<String> {
        let word = |push| match push {
            Push::Changed(id) => id.to_string(),
            other => format!("{other:?}"),
        };
        watch.pushes(messages).into_iter().map(word).collect()
    };
    assert_eq!(pushed(&messages), ["Z1", "Z2"]);
    let created = [event(HINT_EVENTS[3], ""), event(HINT_EVENTS[0], "Z9"), event(HINT_EVENTS[4], "")];
    assert_eq!(pushed(&created), ["Rediscover"]);
}
