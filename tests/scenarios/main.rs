//! Replay scenarios: whole conversations with clients and upstreams, told in `.rpl` files.
//!
//! Every file of the folder is played against the real answerer, cache, miss path and forwarder;
//! time stands still unless a step moves it. README.md describes the format.

mod compare;
mod entry;
mod model;
mod parse;
mod play;
mod stage;
mod upstream;

#[allow(dead_code)] // The integration tests use the rest.
#[path = "../integration/harness/time.rs"]
mod time;

use std::fs;
use std::path::{Path, PathBuf};

use model::Failure;

/// Plays the scenario in `text`.
fn replay(file: &str, text: &str) -> Result<(), Failure> {
    let scenario = parse::scenario(file, text)?;
    play::play(scenario)
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "rpl")).collect();
    files.sort();
    files
}

#[test]
fn every_scenario_goes_as_it_is_told() {
    let files = files();
    assert!(files.len() >= 12, "only {} scenarios were found", files.len());
    let failures: Vec<String> = files
        .iter()
        .filter_map(|path| {
            let name = format!("tests/scenarios/{}", path.file_name()?.to_str()?);
            let text = fs::read_to_string(path).unwrap();
            replay(&name, &text).err().map(|failure| failure.to_string())
        })
        .collect();
    assert!(failures.is_empty(), "{} of {} failed\n\n{}", failures.len(), files.len(), failures.join("\n"));
}

/// What is wrong with a scenario of these lines.
fn failure_of(text: &str) -> String {
    replay("t.rpl", text).expect_err("it goes well").to_string()
}

const ASK: &str = "CONFIG_END\nSCENARIO_BEGIN t\n\
    RANGE_BEGIN 0 9\nADDRESS 10.0.0.2\nENTRY_BEGIN\nMATCH qname qtype\nADJUST copy_id\nREPLY QR RD RA\n\
    SECTION QUESTION\na.test. IN A\nSECTION ANSWER\na.test. 60 IN A 192.0.2.1\nENTRY_END\nRANGE_END\n\
    STEP 1 QUERY\nENTRY_BEGIN\nREPLY RD\nSECTION QUESTION\na.test. IN A\nENTRY_END\n";
const FORWARD: &str = "[[forward]]\ndomain = '.'\nupstreams = ['10.0.0.2']\n";

#[test]
fn words_that_are_not_known_are_errors_that_name_file_and_line() {
    for (text, want) in [
        ("CONFIG_END\nSCENARIO_BEGIN t\nSTEP 1 DANCE\n", "t.rpl:3: step DANCE is not known"),
        ("CONFIG_END\nSCENARIO_BEGIN t\n\nHUM\n", "t.rpl:4: HUM is not known here"),
        (&ASK.replace("MATCH qname", "MATCH qname hue"), "t.rpl:6: MATCH hue is not known"),
        (&ASK.replace("ADJUST copy_id", "ADJUST colour"), "t.rpl:7: ADJUST colour is not known"),
        (&ASK.replace("REPLY RD", "REPLY RD XX"), "t.rpl:17: REPLY XX is not known"),
        (&ASK.replace("a.test. 60 IN A 192", "a.test. 60 IN A x192"), "t.rpl:12: not a record"),
        ("[caches]\nCONFIG_END\nSCENARIO_BEGIN t\nSCENARIO_END\n", "caches"),
        ("CONFIG_END\n", "t.rpl:2: the file ends too early"),
        (ASK, "t.rpl:21: the file ends too early"),
        (&format!("{ASK}STEP 1 NOTHING\n"), "t.rpl:21: step 1 does not come after step 1"),
    ] {
        let failure = failure_of(text);
        assert!(failure.contains(want), "{failure:?} does not say {want:?}");
    }
}

#[test]
fn an_answer_that_differs_is_shown_beside_the_expected_one() {
    let check = "STEP 2 CHECK_ANSWER\nENTRY_BEGIN\nMATCH all ttl\nREPLY QR RD RA\nSECTION QUESTION\n\
        a.test. IN A\nSECTION ANSWER\na.test. 60 IN A 192.0.2.9\nENTRY_END\nSCENARIO_END\n";
    let failure = failure_of(&format!("{FORWARD}{ASK}{check}"));
    for want in ["t.rpl:27: answer differs", "a.test. 60 IN A 192.0.2.9", "a.test. 60 IN A 192.0.2.1"] {
        assert!(failure.contains(want), "{failure:?} does not say {want:?}");
    }
}

#[test]
fn nothing_may_be_left_over_at_the_end() {
    let unchecked = failure_of(&format!("{FORWARD}{ASK}SCENARIO_END\n"));
    assert!(unchecked.contains("an answer was not checked"), "{unchecked}");
    let unasked =
        ASK.replace("STEP 1 QUERY\nENTRY_BEGIN\nREPLY RD\nSECTION QUESTION\na.test. IN A\nENTRY_END\n", "");
    let unasked = failure_of(&format!("{FORWARD}{unasked}SCENARIO_END\n"));
    assert!(unasked.contains("t.rpl:11: this entry was never used"), "{unasked}");
    let mute =
        FORWARD.to_owned() + &ASK.replace("a.test. IN A\nSECTION ANSWER", "b.test. IN A\nSECTION ANSWER");
    let mute = failure_of(&format!("{mute}SCENARIO_END\n"));
    assert!(mute.contains("a query still waits"), "{mute}");
}
