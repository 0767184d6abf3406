//! Hints from a queue, end to end: a change is answered as soon as its event comes in.

use serde_json::{Value, json};

use super::imports::{DB1, set, simulated};
use crate::harness::program::{Home, forward, outside, until, upstream};
use crate::harness::r53sim::{Sim, VPC, VPC_REGION};

const QUEUE: &str = "zonelet-changes";

fn control(sim: &Sim, path: &str, body: Value) {
    outside().block_on(sim.control("POST", path, body));
}

/// A `[[source]]` at `sim` that hears of changes.
fn source(sim: &Sim, refresh: &str) -> String {
    let url = sim.url();
    format!(
        "[[source]]\nkind = 'route53'\nrefresh = '{refresh}'\nbudget = '50/s'\nzones = {{ vpc = '{VPC}' }}\n\
         region = '{VPC_REGION}'\nendpoint = '{url}'\nhints = '{url}/111122223333/{QUEUE}'\n"
    )
}

/// Changes `db` in the zone, and puts the event of that into the queue.
fn change(sim: &Sim, zone: &str, address: &str) {
    let records = json!({ "records": [set("db.corp.internal.", "A", &[address])] });
    control(sim, &format!("zone/{zone}/records"), records);
    let event = json!({ "detail": { "eventSource": "route53.amazonaws.com",
        "eventName": "ChangeResourceRecordSets", "requestParameters": { "hostedZoneId": zone } } });
    control(sim, &format!("queue/{QUEUE}/messages"), json!({ "bodies": [event.to_string()] }));
}

#[test]
fn a_change_is_answered_as_soon_as_its_event_comes_in() {
    let (sim, zone) = simulated();
    control(&sim, &format!("queue/{QUEUE}"), json!({}));
    let server = upstream(|q| q.address(300, 1));
    let home = Home::new(&format!("{}{}", source(&sim, "1d"), forward(server.addr)));
    let program = home.start();
    program.answers("db.corp.internal. A", DB1);
    change(&sim, &zone, "10.0.0.2");
    program.answers("db.corp.internal. A", &DB1.replace("10.0.0.1", "10.0.0.2"));
    assert_eq!(program.metric("zonelet_source_hints_total", &["hint=\"changed\""]), 1.0);

    // Another configuration ends the reading and begins it anew.
    home.configure(&format!("{}{}", source(&sim, "20h"), forward(server.addr)));
    program.signal("HUP");
    program.logged("configuration reloaded");
    program.logged_times("zone loaded", 1);
    change(&sim, &zone, "10.0.0.3");
    until("the change", || {
        // The reading that ended may have been given the message: it shows itself again.
        control(&sim, &format!("queue/{QUEUE}/show"), json!({}));
        (program.ask("db.corp.internal. A") == DB1.replace("10.0.0.1", "10.0.0.3")).then_some(())
    });
    assert_eq!(program.terminate().0, Some(0));
}

#[test]
fn a_missing_queue_and_a_missing_permission_are_told_once() {
    let (sim, zone) = simulated();
    let server = upstream(|q| q.address(300, 1));
    let home = Home::new(&format!("{}{}", source(&sim, "1d"), forward(server.addr)));
    let program = home.start();
    let line = program.logged("hints are not read");
    assert!(line.contains("there is no such queue") && line.contains("`hints`"), "{line}");
    program.answers("db.corp.internal. A", DB1);
    assert_eq!(program.terminate().0, Some(0));

    control(&sim, &format!("queue/{QUEUE}"), json!({}));
    let denied =
        |op: &str| json!({ "kind": "error", "op": op, "status": 403, "code": "AccessDeniedException" });
    control(&sim, "faults", denied("ReceiveMessage"));
    let program = home.start();
    let line = program.logged("hints are not read");
    assert!(line.contains("sqs:ReceiveMessage") && line.contains("sqs:DeleteMessage"), "{line}");
    program.answers("db.corp.internal. A", DB1);
    let (code, log) = program.terminate();
    assert_eq!(code, Some(0));
    assert_eq!(log.iter().filter(|line| line.contains("hints are not read")).count(), 1);

    outside().block_on(sim.heal());
    control(&sim, "faults", denied("DeleteMessageBatch"));
    let program = home.start();
    program.answers("db.corp.internal. A", DB1);
    change(&sim, &zone, "10.0.0.2");
    program.answers("db.corp.internal. A", &DB1.replace("10.0.0.1", "10.0.0.2"));
    let line = program.logged("hints cannot be deleted");
    assert!(line.contains("sqs:DeleteMessage"), "{line}");
    change(&sim, &zone, "10.0.0.3");
    program.answers("db.corp.internal. A", &DB1.replace("10.0.0.1", "10.0.0.3"));
    let told = program.terminate().1.iter().filter(|line| line.contains("cannot be deleted")).count();
    assert_eq!(told, 1);
}
