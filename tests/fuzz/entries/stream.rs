//! What comes in pieces or from an earlier run: TCP streams, state files.

use zonelet::import::state::{StateFile, encode_state, parse_state, parse_unsealed};
use zonelet::server::framing::Framing;
use zonelet::sys::QUERY_MAX;
use zonelet::zone::Body;

use super::Feed;
use super::zone::audit;

/// A byte for the size of the pieces, then a stream: however it is cut, the same queries come out,
/// each is bounded, and none of it is made up.
pub fn tcp_stream(bytes: &[u8]) {
    let mut feed = Feed(bytes);
    let step = 1 + usize::from(feed.byte()) * 17;
    let stream = feed.rest();
    let whole = queries(stream, stream.len().max(1));
    assert_eq!(queries(stream, step), whole);
    assert!(whole.iter().all(|query| query.len() <= QUERY_MAX));
    assert!(whole.iter().map(|query| 2 + query.len()).sum::<usize>() <= stream.len());
}

fn queries(stream: &[u8], step: usize) -> Vec<Vec<u8>> {
    let (mut framing, mut held, mut found) = (Framing::default(), Vec::new(), Vec::new());
    for piece in stream.chunks(step) {
        held.extend_from_slice(piece);
        let mut input = &held[..];
        while let Some(query) = framing.next(&mut input) {
            found.push(query.to_vec());
        }
        held = input.to_vec();
        assert!(held.len() < 2 + QUERY_MAX, "what is held is bounded");
        assert!(!framing.is_skipping() || held.is_empty(), "what is passed over is not held");
    }
    found
}

/// A state file, then the same bytes taken as what its seal would protect: refused, or read into a
/// zone that is written and read again without a change.
pub fn state_file(bytes: &[u8]) {
    for state in [parse_state(bytes), parse_unsealed(bytes)].into_iter().flatten() {
        rewritten(&state);
        audit(&state.data);
    }
}

fn rewritten(state: &StateFile) {
    let sealed = encode_state(state).expect("what was read from a file fits in one");
    let again = parse_state(&sealed).expect("what was written is read");
    // Long texts of skipped entries are cut on writing.
    let (mut cut, mut kept) = (again.clone(), state.clone());
    assert_eq!(cut.data.skipped.len(), kept.data.skipped.len());
    cut.data.skipped.clear();
    kept.data.skipped.clear();
    assert_eq!(cut, kept);
    assert_eq!(encode_state(&again).as_ref(), Ok(&sealed), "writing it again changes nothing");
    let records = state.data.sets.iter().map(|set| match &set.body {
        Body::Records { rdata, .. } => 1 + rdata.len(),
        Body::Alias(_) | Body::Member(_) | Body::Deferred(_) => 1,
    });
    assert!(records.sum::<usize>() <= sealed.len(), "no count in the file makes memory of nothing");
    for at in [0, 8, 10, sealed.len() / 2, sealed.len() - 17, sealed.len() - 1] {
        let mut altered = sealed.clone();
        altered[at] ^= 1;
        assert!(parse_state(&altered).is_err(), "a changed bit at {at} shows");
        assert!(parse_state(&sealed[..at]).is_err(), "a cut at {at} shows");
    }
}
