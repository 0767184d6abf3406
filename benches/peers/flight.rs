//! Queries in flight on one socket, and the judgement of what comes back.

use super::dns::{HEADER, OPT, question_end};
use super::load::Question;
use super::ready::{address_of, unique_number};

/// What a response is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What was expected.
    Right,
    /// Anything else: another question, response code or answer, or nothing that was asked.
    Wrong,
    /// To a query that had been given up, or twice to one: not counted twice.
    Late,
}

#[derive(Clone, Copy, Debug)]
struct Flight {
    /// When it was sent, or due, in nanoseconds.
    at: u64,
    /// Its question's index.
    question: usize,
    unique: Option<u64>,
    is_aloft: bool,
    /// How often this place was used: the id's upper bits, so that a late response is known as such.
    uses: u16,
}

/// The queries in flight on one socket, by id.
#[derive(Debug)]
pub struct Flights {
    flights: Vec<Flight>,
    free: Vec<u16>,
    /// Bits of an id that name the place.
    bits: u32,
}

impl Flights {
    /// Room for `window` queries, 4096 at most.
    pub fn new(window: usize) -> Self {
        let window = window.clamp(1, 4096);
        let none = Flight { at: 0, question: 0, unique: None, is_aloft: false, uses: 0 };
        Self {
            flights: vec![none; window],
            free: (0..window as u16).rev().collect(),
            bits: window.next_power_of_two().trailing_zeros(),
        }
    }

    /// How many more queries there is room for.
    pub fn room(&self) -> usize {
        self.free.len()
    }

    /// Whether none is in flight.
    pub fn is_empty(&self) -> bool {
        self.free.len() == self.flights.len()
    }

    /// Notes a query and returns its id. There must be room.
    pub fn take_off(&mut self, at: u64, question: usize, unique: Option<u64>) -> u16 {
        let Some(place) = self.free.pop() else { return 0 };
        let Some(flight) = self.flights.get_mut(usize::from(place)) else { return 0 };
        let uses = flight.uses.wrapping_add(1);
        *flight = Flight { at, question, unique, is_aloft: true, uses };
        self.id(place, uses)
    }

    fn id(&self, place: u16, uses: u16) -> u16 {
        place | uses.checked_shl(self.bits).unwrap_or(0)
    }

    /// Judges a response; with when its query was sent, if that one was still waiting.
    pub fn land(
        &mut self,
        response: &[u8],
        questions: &[Question<'_>],
        is_checked: bool,
    ) -> (Verdict, Option<u64>) {
        let Some((id, _)) = response.split_first_chunk::<2>() else { return (Verdict::Wrong, None) };
        let id = u16::from_be_bytes(*id);
        let place = id & (1u16.checked_shl(self.bits).unwrap_or(0).wrapping_sub(1));
        let Some(flight) = self.flights.get(usize::from(place)).copied() else {
            return (Verdict::Wrong, None);
        };
        if !flight.is_aloft || self.id(place, flight.uses) != id {
            return (Verdict::Late, None);
        }
        if let Some(flight) = self.flights.get_mut(usize::from(place)) {
            flight.is_aloft = false;
            self.free.push(place);
        }
        let is_right = questions.get(flight.question).is_some_and(|question| {
            if is_checked { is_right(response, question, flight.unique) } else { is_response(response) }
        });
        (if is_right { Verdict::Right } else { Verdict::Wrong }, Some(flight.at))
    }

    /// Gives up what was sent before `oldest`; how many that were.
    pub fn give_up(&mut self, oldest: u64) -> u64 {
        let before = self.free.len();
        for (place, flight) in self.flights.iter_mut().enumerate() {
            if flight.is_aloft && flight.at < oldest {
                flight.is_aloft = false;
                self.free.push(place as u16);
            }
        }
        (self.free.len() - before) as u64
    }
}

fn is_response(message: &[u8]) -> bool {
    message.get(2).is_some_and(|flags| flags & 0x80 != 0)
}

/// Whether a response has the question, the response code and as many answers as it must; for a unique
/// name also whether the address is that name's own.
fn is_right(response: &[u8], question: &Question<'_>, unique: Option<u64>) -> bool {
    let Some([_, _, _, flags, _, _, high, low, ..]) = response.get(..HEADER) else { return false };
    let with_edns = question.query.get(11) == Some(&1);
    let asked_end = question.query.len() - if with_edns { OPT.len() } else { 0 };
    let is_same_question = match unique {
        None => {
            let asked = question.query.get(HEADER..asked_end).unwrap_or_default();
            response.get(HEADER..asked_end).is_some_and(|came| came.eq_ignore_ascii_case(asked))
        }
        Some(number) => {
            question_end(response) == Some(asked_end)
                && response.get(HEADER..).and_then(unique_number) == Some(number)
                && response.get(asked_end + 12..asked_end + 16) == Some(&address_of(number))
        }
    };
    is_response(response)
        && is_same_question
        && flags & 15 == question.rcode
        && ((*high, *low) != (0, 0)) == question.has_answer
}

#[cfg(test)]
#[allow(dead_code, unused_imports, reason = "a bench without harness has cfg(test) and no tests")]
mod tests {
    use super::*;

    const QUERY: &[u8] = &[0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1];
    const QUESTIONS: &[Question<'static>] = &[Question { query: QUERY, rcode: 3, has_answer: false }];

    fn response(id: u16, rcode: u8) -> Vec<u8> {
        let mut message = [&id.to_be_bytes()[..], &QUERY[2..]].concat();
        message[2] |= 0x80;
        message[3] |= rcode;
        message
    }

    #[test]
    fn a_response_counts_once() {
        let mut flights = Flights::new(2);
        let id = flights.take_off(5, 0, None);
        assert_eq!(flights.land(&response(id, 3), QUESTIONS, true), (Verdict::Right, Some(5)));
        assert_eq!(flights.land(&response(id, 3), QUESTIONS, true), (Verdict::Late, None));
        assert!(flights.is_empty());
        let again = flights.take_off(6, 0, None);
        assert_ne!(id, again, "a place that is used again has another id");
    }

    #[test]
    fn another_code_or_question_is_wrong() {
        let mut flights = Flights::new(4);
        let id = flights.take_off(5, 0, None);
        assert_eq!(flights.land(&response(id, 0), QUESTIONS, true), (Verdict::Wrong, Some(5)));
        let id = flights.take_off(5, 0, None);
        let mut other = response(id, 3);
        other[13] = b'b';
        assert_eq!(flights.land(&other, QUESTIONS, true), (Verdict::Wrong, Some(5)));
        let id = flights.take_off(5, 0, None);
        assert_eq!(flights.land(&response(id, 0), QUESTIONS, false), (Verdict::Right, Some(5)));
    }

    #[test]
    fn what_is_given_up_makes_room() {
        let mut flights = Flights::new(3);
        let (old, _) = (flights.take_off(5, 0, None), flights.take_off(50, 0, None));
        assert_eq!((flights.give_up(10), flights.room()), (1, 2));
        assert_eq!(flights.land(&response(old, 3), QUESTIONS, true), (Verdict::Late, None));
    }
}
