//! Restarts while the API is down, and state files that are not what they were.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::imports::{DB1, route53, simulated};
use crate::harness::program::{Home, forward, until, upstream};
use crate::harness::r53sim::{VPC, VPC_REGION};

/// A directory in which a program has imported and kept `corp.internal`, from an API that is gone.
fn left_behind(name: &str) -> Home {
    let (sim, _) = simulated();
    let server = upstream(|q| q.address(300, 1));
    let keys = format!(
        "zones = {{ vpc = '{VPC}', names = ['corp.internal'] }}\nregion = '{VPC_REGION}'\nendpoint = '{}'\non_unloaded = 'fail'",
        sim.url()
    );
    let home = Home::new(&format!("{}{}[state]\ndir = '{name}'\n", route53(&keys), forward(server.addr)));
    let program = home.start();
    program.answers("db.corp.internal. A", DB1);
    until("a state file", || (!files(&home, name).is_empty()).then_some(()));
    assert_eq!(program.terminate().0, Some(0));
    home
}

fn files(home: &Home, name: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(home.path(name).join("zones")) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_none_or(|extension| extension != "tmp")).collect()
}

#[test]
fn the_last_good_state_is_served_at_once_after_a_restart_and_its_age_is_shown() {
    let home = left_behind("state");
    let program = home.start();
    assert_eq!(program.ask("db.corp.internal. A"), DB1);
    assert_eq!(program.ask("lb.corp.internal. A"), "NOERROR aa; lb.corp.internal. 300 A 192.0.2.1");
    assert_eq!(program.ask("nope.corp.internal. A"), "NXDOMAIN aa | corp.internal. 30 SOA");
    let table = String::from_utf8(home.run(&["zones"]).stdout).unwrap();
    assert!(table.contains("(from disk)"), "{table}");
    let json: Value = serde_json::from_slice(&home.run(&["zones", "--json"]).stdout).unwrap();
    let zone = &json["zones"][0];
    assert_eq!((&zone["zone"], &zone["from_state_file"]), (&"corp.internal.".into(), &true.into()));
    assert!(zone["age_seconds"].is_u64(), "{zone}");
    let age = program.get("/metrics").1;
    let age =
        age.lines().find(|line| line.starts_with("zonelet_import_success_age_seconds{")).expect("an age");
    assert!(age.contains("corp.internal."), "{age}");
    // The failure is told, and the zone stays.
    until("an error in the listing", || {
        let listing: Value = serde_json::from_slice(&home.run(&["zones", "--json"]).stdout).unwrap();
        (listing["sources"][0]["error"].is_string() || listing["zones"][0]["error"].is_string()).then_some(())
    });
    assert_eq!(program.ask("db.corp.internal. A"), DB1);
    assert_eq!(program.terminate().0, Some(0));
    assert_eq!(files(&home, "state").len(), 1, "still there for the next start");
}

#[test]
fn what_was_served_from_disk_is_imported_anew_once_the_api_is_back() {
    let home = left_behind("state");
    let (sim, _) = simulated();
    let text = fs::read_to_string(home.path("config.toml")).unwrap();
    let endpoint = text.lines().find(|line| line.starts_with("endpoint")).expect("an endpoint").to_owned();
    let program = home.start();
    assert_eq!(program.ask("db.corp.internal. A"), DB1);
    let text = text.replace(&endpoint, &format!("endpoint = '{}'", sim.url()));
    home.put("config.toml", &text);
    program.signal("HUP");
    until("an import", || {
        let listing: Value = serde_json::from_slice(&home.run(&["zones", "--json"]).stdout).unwrap();
        assert_eq!(program.ask("db.corp.internal. A"), DB1, "served all the time");
        (listing["zones"][0]["state"] == "loaded" && listing["zones"][0]["from_state_file"] == false)
            .then_some(())
    });
    assert_eq!(program.terminate().0, Some(0));
}

#[test]
fn a_damaged_state_file_is_named_and_not_served_and_the_start_goes_on() {
    let home = left_behind("state");
    let path = files(&home, "state").remove(0);
    let whole = fs::read(&path).unwrap();
    let cuts = [0, 1, whole.len() / 3, whole.len() - 1].map(|at| whole[..at].to_vec());
    let flips = [0, 9, whole.len() / 2, whole.len() - 1].map(|at| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x20;
        bytes
    });
    let longer = [&whole[..], b"x"].concat();
    for damaged in cuts.into_iter().chain(flips).chain([longer]) {
        fs::write(&path, &damaged).unwrap();
        let program = home.start();
        let line = program.logged("last good zone is not served");
        assert!(line.contains(path.file_name().unwrap().to_str().unwrap()), "{line}");
        assert_eq!(program.ask("db.corp.internal. A"), "SERVFAIL EDE 14 the zone has not been loaded yet");
        assert_eq!(program.ask("example.test. A"), "NOERROR; example.test. 300 A 192.0.2.1");
        assert_eq!(program.metric("zonelet_import_state_errors_total", &["damaged"]), 1.0);
    }
    fs::write(&path, &whole).unwrap();
    let program = home.start();
    assert_eq!(program.ask("db.corp.internal. A"), DB1, "the same bytes again are the zone again");
}
