//! Forwarded answers against a model: an upstream changes, fails and heals while time passes, and each response must be
//! what it said last, as old as it is.

mod checks;
mod world;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proptest::prelude::*;
use zonelet::answer::settings::Keeping;
use zonelet::answer::{Asker, Settings, Transport};
use zonelet::wire::Name;

use crate::harness::house::{Begun, House};
use crate::harness::upstream::{Out, Scripted};
use checks::{Kinds, check};
use world::{Key, NAMES, Shared, State, TYPES, World, owner_text, state};

/// How many stories are told; `ZONELET_MODEL` says another number.
const STORIES: u32 = 150;

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// So many clients ask the same at once.
    Ask { key: Key, edns: bool, tcp: bool, case: u64, clients: usize },
    /// A name becomes something else.
    Change(usize, State),
    /// Milliseconds pass.
    Wait(u64),
}

/// A query of the story, as a client sends it.
pub struct Query {
    pub key: Key,
    pub edns: bool,
    pub tcp: bool,
    pub bytes: Vec<u8>,
}

fn step() -> impl Strategy<Value = Step> {
    let flag = || proptest::bool::weighted(0.06);
    let key =
        (0..NAMES, 0..TYPES.len(), flag(), flag()).prop_map(|(name, rtype, dnssec_ok, checking_disabled)| {
            Key { name, rtype, dnssec_ok, checking_disabled }
        });
    let ask = (key, proptest::bool::weighted(0.7), flag(), any::<u64>(), 1usize..4).prop_map(
        |(key, edns, tcp, case, clients)| {
            let edns = edns || key.dnssec_ok;
            Step::Ask { key, edns, tcp, case, clients }
        },
    );
    let change = (0..NAMES).prop_flat_map(|n| state(n).prop_map(move |state| Step::Change(n, state)));
    let wait =
        prop_oneof![5 => 0u64..4000, 3 => 4000u64..40_000, 1 => 60_000u64..400_000, 1 => Just(90_000_000u64)];
    prop_oneof![6 => ask, 2 => change, 2 => wait.prop_map(Step::Wait)]
}

fn story() -> impl Strategy<Value = (Vec<State>, Vec<Step>)> {
    let states = (state(0), state(1), state(2)).prop_map(|(a, b, c)| vec![a, b, c]);
    (states, proptest::collection::vec(step(), 1..60))
}

/// The name with some of its letters in upper case.
fn cased(text: &str, case: u64) -> String {
    let letter = |(at, c): (usize, char)| if case >> (at % 64) & 1 == 1 { c.to_ascii_uppercase() } else { c };
    text.chars().enumerate().map(letter).collect()
}

fn query(key: Key, edns: bool, tcp: bool, case: u64) -> Query {
    let mut bytes = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
    bytes[3] |= u8::from(key.checking_disabled) << 4;
    for label in cased(&owner_text(key.name), case).split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes.extend(TYPES[key.rtype].0.to_be_bytes());
    bytes.extend([0, 1]);
    if edns {
        bytes[11] = 1;
        bytes.extend([0, 0, 41, 4, 208, 0, 0, u8::from(key.dnssec_ok) << 7, 0, 0, 0]);
    }
    Query { key, edns, tcp, bytes }
}

async fn tell(states: Vec<State>, steps: Vec<Step>, kinds: &Mutex<Kinds>) {
    // Whose clock it is is known when the house stands.
    let world: Arc<Mutex<Option<Shared>>> = Arc::default();
    let seen = Arc::clone(&world);
    let upstream = Scripted::start(move |asked| {
        let world = seen.lock().unwrap().clone().expect("nobody asks before the house stands");
        let reply = world.lock().unwrap().reply(&asked.question, asked.tcp);
        vec![Out::Reply(reply)]
    })
    .await;
    // What is asked for by nobody would be asked for at no certain time.
    let keeping = vec![(Name::root(), Keeping { renews: false, ..Keeping::default() })];
    let house = House::under(Settings { keeping, ..Settings::default() }, Vec::new(), upstream.addr, true);
    let shared: Shared = Arc::new(Mutex::new(World { states, clock: house.clock.clone(), said: Vec::new() }));
    *world.lock().unwrap() = Some(Arc::clone(&shared));
    for step in steps {
        match step {
            Step::Change(number, state) => shared.lock().unwrap().states[number] = state,
            Step::Wait(millis) => house.clock.advance(Duration::from_millis(millis)),
            Step::Ask { key, edns, tcp, case, clients } => {
                let query = query(key, edns, tcp, case);
                let before = shared.lock().unwrap().said.len();
                let responses = ask_all(&house, &query, clients).await;
                let world = shared.lock().unwrap();
                assert!(world.said.len() <= before + 1, "asked twice: {:?}", &world.said[before..]);
                for response in responses {
                    check(
                        &world,
                        before,
                        &query,
                        &response,
                        &mut kinds.lock().unwrap_or_else(PoisonError::into_inner),
                    );
                }
            }
        }
    }
}

/// The responses to clients who all ask before anybody is answered by an upstream.
async fn ask_all(house: &House, query: &Query, clients: usize) -> Vec<Vec<u8>> {
    let transport = if query.tcp { Transport::Tcp } else { Transport::Udp };
    let ask = |n: usize| {
        let asker = Asker::new(([127, 0, 0, 99], 4711 + n as u16).into(), transport);
        house.begin(&query.bytes, asker)
    };
    let begun: Vec<Begun> = (0..clients).map(ask).collect();
    let mut responses = Vec::new();
    for one in begun {
        responses.push(match one {
            Begun::Answered(response) => response.expect("nothing is dropped"),
            Begun::Waiting(response) => response.await.expect("exactly one response"),
        });
    }
    responses
}

#[test]
fn every_response_is_what_the_upstream_said_last_and_as_old_as_that_is() {
    let cases = std::env::var("ZONELET_MODEL").map_or(STORIES, |n| n.parse().unwrap());
    let config = ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_time: 20_000,
        ..ProptestConfig::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let kinds = Mutex::new(Kinds::default());
    proptest!(config, |((states, steps) in story())| {
        runtime.block_on(tell(states, steps, &kinds));
    });
    // The stories have had something of everything.
    println!("{:?}", kinds.lock().unwrap());
    assert!(kinds.lock().unwrap().all_above(STORIES as usize / 10), "{kinds:?}");
}
