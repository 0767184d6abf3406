//! Zones of two accounts, and what remains when the role in one of them is taken back.

use serde_json::{Value, json};

use super::imports::{DB1, route53, set, simulated};
use crate::harness::program::{Home, forward, outside, until, upstream};

const ROLE: &str = "arn:aws:iam::222233334444:role/zonelet";
const SECRET: &str = "agreed-between-us";
const THEIRS: &str = "NOERROR aa; db.theirs.internal. 60 A 10.0.0.2";

#[test]
fn zones_of_a_lost_account_stay_over_a_restart_while_the_others_are_refreshed() {
    let (sim, ours) = simulated();
    let role = |fields: serde_json::Value| outside().block_on(sim.control("POST", "role", fields));
    role(json!({ "arn": ROLE, "external_id": SECRET }));
    let records = [set("db.theirs.internal.", "A", &["10.0.0.2"])];
    let fields = json!({ "owner_account": "222233334444", "vpcs": [], "records": records });
    outside().block_on(sim.zone("theirs.internal.", fields));

    let server = upstream(|q| q.address(300, 1));
    let keys = format!(
        "zones = {{ names = ['*.internal'] }}\nregion = 'eu-west-1'\nendpoint = '{}'\non_unloaded = 'fail'\n\
         roles = [{{ arn = '{ROLE}', external_id = '{SECRET}' }}]",
        sim.url()
    );
    let mut home = Home::new(&format!("{}{}[state]\ndir = 'state'\n", route53(&keys), forward(server.addr)));
    home.variable("AWS_ENDPOINT_URL_STS", sim.url()).variable("ZONELET_LOG__LEVEL", "trace");
    let program = home.start();
    program.answers("db.corp.internal. A", DB1);
    program.answers("db.theirs.internal. A", THEIRS);
    let files = || std::fs::read_dir(home.path("state/zones")).map_or(0, Iterator::count);
    until("both state files", || (files() == 2).then_some(()));
    let (code, before) = program.terminate();
    assert_eq!(code, Some(0));

    let rehearsed = || {
        let output = home.run(&["import", "--json"]);
        serde_json::from_slice::<Value>(&output.stdout).expect("a report")
    };
    let told = rehearsed();
    let zones = told["zones"].as_array().unwrap();
    assert!(zones.len() == 2 && zones.iter().all(|zone| zone["changes"].is_object()), "{told:#}");
    role(json!({ "arn": ROLE, "allowed": false }));
    assert_eq!(rehearsed()["vanished"], json!([]), "an account that cannot be listed has lost nothing");
    let program = home.start();
    assert_eq!(program.ask("db.theirs.internal. A"), THEIRS, "from disk");
    let said = program.logged("zones of an account cannot be listed");
    assert!(said.contains(ROLE) && said.contains("sts:AssumeRole") && said.contains("external id"), "{said}");
    for last in [7, 8, 9, 10, 11] {
        let records = json!({ "records": [set("db.corp.internal.", "A", &[&format!("10.0.0.{last}")])] });
        outside().block_on(sim.control("POST", &format!("zone/{ours}/records"), records));
        program.answers("db.corp.internal. A", &format!("NOERROR aa; db.corp.internal. 60 A 10.0.0.{last}"));
    }
    assert_eq!(program.ask("db.theirs.internal. A"), THEIRS, "no listing says that it is gone");
    assert_eq!(program.get("/readyz").0, 200, "and nobody waits for it");
    let (_, after) = program.terminate();
    assert_eq!(after.iter().filter(|line| line.contains("zones of an account cannot be listed")).count(), 1);
    let told = before.iter().chain(&after).find(|line| line.contains(SECRET));
    assert_eq!(told, None, "not even at the finest level");
}
