//! Hints from a queue: what they push, what is done with messages, and what ends the reading.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::mpsc;
use zonelet::metrics::source::SourceMetrics;
use zonelet::source::route53::Route53Source;
use zonelet::source::settings::{HintQueue, Route53Settings, VpcSelector, ZoneSelector};
use zonelet::source::{Push, ZoneId, ZoneSource};

use super::fixture::*;
use crate::harness::moto;
use crate::harness::r53sim::Sim;

const QUEUE: &str = "zonelet-changes";

fn queue_url(endpoint: &str) -> String {
    format!("{endpoint}/111122223333/{QUEUE}")
}

fn hinted(endpoint: &str, url: String) -> Route53Settings {
    Route53Settings { hints: Some(HintQueue { url, region: None }), ..settings(endpoint) }
}

/// A simulator with a queue and a source that has seen the zones there are.
async fn listening(sim: &Sim) -> Route53Source {
    sim.control("POST", &format!("queue/{QUEUE}"), json!({})).await;
    let source = source_with(sim, hinted(sim.url(), queue_url(sim.url())));
    source.discover().await.unwrap();
    source
}

/// An event as EventBridge sends it.
fn event(name: &str, zone: &str) -> String {
    let detail = json!({ "eventSource": "route53.amazonaws.com", "eventName": name,
        "requestParameters": { "hostedZoneId": zone, "changeBatch": { "changes": [] } } });
    let event = json!({ "version": "0", "source": "aws.route53", "region": "us-east-1",
        "detail-type": "AWS API Call via CloudTrail", "detail": detail });
    event.to_string()
}

fn changed(zone: &str) -> String {
    event("ChangeResourceRecordSets", zone)
}

async fn put(sim: &Sim, bodies: &[String]) {
    sim.control("POST", &format!("queue/{QUEUE}/messages"), json!({ "bodies": bodies })).await;
}

/// The next push in words.
async fn next(pushes: &mut mpsc::Receiver<Push>) -> String {
    match pushes.recv().await.expect("the reading goes on") {
        Push::Changed(ZoneId(id)) => id.to_string(),
        Push::Rediscover => "rediscover".into(),
        other => panic!("{other:?}"),
    }
}

/// Waits until so many messages have been deleted and none is left.
async fn deleted(sim: &Sim, count: usize) {
    loop {
        let queue = sim.control("GET", &format!("queue/{QUEUE}"), json!({})).await;
        if queue["deleted"] == count {
            assert_eq!(queue["messages"], json!([]));
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn events_are_pushed_and_their_messages_deleted() {
    let sim = Sim::start();
    sim.control("POST", "signing", json!({ "require": true, "region": "us-east-1" })).await;
    let zone = sim.zone("corp.internal.", json!({})).await;
    let source = listening(&sim).await;
    let mut pushes = source.pushes().expect("a queue is set");
    assert!(source.pushes().is_none(), "it is handed out once");
    put(&sim, &[changed(&zone)]).await;
    assert_eq!(next(&mut pushes).await, zone);
    deleted(&sim, 1).await;
    let envelope = json!({ "Type": "Notification", "Message": changed(&format!("/hostedzone/{zone}")) });
    put(&sim, &[envelope.to_string()]).await;
    assert_eq!(next(&mut pushes).await, zone);
    put(&sim, &[event("AssociateVPCWithHostedZone", &zone)]).await;
    assert_eq!(next(&mut pushes).await, "rediscover");
    deleted(&sim, 3).await;
}

#[tokio::test]
async fn a_burst_of_events_for_one_zone_is_one_push() {
    let sim = Sim::start();
    let (one, two) = (sim.zone("one.internal.", json!({})).await, sim.zone("two.internal.", json!({})).await);
    let source = listening(&sim).await;
    let mut burst = vec![changed(&one); 98];
    burst.push(changed(&two));
    burst.push(event("CreateHostedZone", ""));
    put(&sim, &burst).await;
    let mut pushes = source.pushes().unwrap();
    let mut got = Vec::new();
    for _ in 0..3 {
        got.push(next(&mut pushes).await);
    }
    assert_eq!(got, ["rediscover", one.as_str(), two.as_str()]);
    deleted(&sim, 100).await;
    assert!(pushes.try_recv().is_err());
}

#[tokio::test]
async fn garbage_and_zones_of_others_are_deleted_and_counted() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let metrics = metrics::with_local_recorder(&recorder, || SourceMetrics::register("hints"));
    let sim = Sim::start();
    let zone = sim.zone("corp.internal.", json!({})).await;
    sim.control("POST", &format!("queue/{QUEUE}"), json!({})).await;
    let source = counted_source(&sim, hinted(sim.url(), queue_url(sim.url())), metrics);
    source.discover().await.unwrap();
    let garbage = ["", "no json", "{}", "[[[", "\u{0}\u{1F4A9}"].map(str::to_owned);
    put(&sim, &garbage).await;
    put(&sim, &["[".repeat(200_000), changed("ZNOTOURS"), event("TestDNSAnswer", &zone)]).await;
    let mut pushes = source.pushes().unwrap();
    deleted(&sim, 8).await;
    put(&sim, &[changed(&zone)]).await;
    assert_eq!(next(&mut pushes).await, zone);
    let text = recorder.handle().render();
    for (hint, count) in [("garbage", 6), ("other", 2), ("changed", 1), ("rediscover", 0)] {
        let series = format!("hint=\"{hint}\"}} {count}");
        assert!(text.contains(&series), "{series} in {text}");
    }
}

#[tokio::test]
async fn failures_are_waited_out_and_a_failed_deletion_does_no_harm() {
    let sim = Sim::start();
    let zone = sim.zone("corp.internal.", json!({})).await;
    let source = listening(&sim).await;
    sim.fault(json!({ "kind": "throttle", "op": "ReceiveMessage", "times": 1 })).await;
    sim.fault(json!({ "kind": "error", "op": "DeleteMessageBatch", "status": 500, "times": 1 })).await;
    put(&sim, &[changed(&zone)]).await;
    let mut pushes = source.pushes().unwrap();
    assert_eq!(next(&mut pushes).await, zone);
    // It was not deleted: it comes again, and goes then.
    loop {
        sim.control("POST", &format!("queue/{QUEUE}/show"), json!({})).await;
        if let Ok(push) = pushes.try_recv() {
            assert!(matches!(push, Push::Changed(id) if *id.0 == *zone));
            break;
        }
        tokio::task::yield_now().await;
    }
    deleted(&sim, 1).await;
}

#[tokio::test]
async fn the_reading_ends_with_its_receiver() {
    let sim = Sim::start();
    sim.control("POST", &format!("queue/{QUEUE}"), json!({})).await;
    let resolver = Arc::new(Asked::default());
    let source = Route53Source::with_connection(
        hinted(sim.url(), queue_url(sim.url())),
        resolver.clone(),
        SourceMetrics::register("ends"),
        connection(&sim, Some("eu-west-1"), PATIENT),
    );
    let pushes = source.pushes().unwrap();
    while sim.calls().await.is_empty() {
        tokio::task::yield_now().await;
    }
    drop((source, pushes));
    // The reader was waiting for messages, and holds the resolver no longer.
    while Arc::strong_count(&resolver) > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_boto3_puts_into_a_queue_of_moto_is_read() {
    let zone = moto::zone(moto::endpoint(), "hinted.internal.", "vpc-0hinted", None, &[]);
    let made = moto::write(
        moto::endpoint(),
        &json!([
            { "service": "sqs", "call": "create_queue", "args": { "QueueName": "zonelet-changes" } },
            { "service": "sqs", "call": "send_message",
              "args": { "QueueUrl": "$0.QueueUrl", "MessageBody": changed(&zone) } },
        ]),
    );
    let url = made[0]["QueueUrl"].as_str().expect("a queue has a URL").to_owned();
    let zones = ZoneSelector { vpc: Some(VpcSelector::Id("vpc-0hinted".into())), ..ZoneSelector::default() };
    let settings = Route53Settings { zones, ..hinted(moto::endpoint(), url.clone()) };
    let source = source_at(moto::endpoint(), settings);
    source.discover().await.unwrap();
    let mut pushes = source.pushes().unwrap();
    let bare = zone.trim_start_matches("/hostedzone/");
    assert_eq!(next(&mut pushes).await, bare);
    let wanted = json!(["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]);
    loop {
        let asked = json!([{ "service": "sqs", "call": "get_queue_attributes",
            "args": { "QueueUrl": &url, "AttributeNames": wanted.clone() } }]);
        let counts = moto::write(moto::endpoint(), &asked)[0]["Attributes"].clone();
        let is_empty = |counts: &Value| counts.as_object().unwrap().values().all(|count| count == "0");
        if is_empty(&counts) {
            break;
        }
    }
}
