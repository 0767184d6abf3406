//! The queries a lane has sent, each in the order of its deadline.

use std::time::Instant;

use super::Errand;
use super::wait::{LINES, Wait};

const HANDED: usize = LINES - 1;

/// How far a query is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Only the lane waits for its reply, until the first patience is over.
    Quick,
    /// An exchange has taken over; what still comes is passed on to it, until it gives up.
    Handed,
}

/// A query that was sent and whose reply may still come.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) errand: Errand,
    /// The socket it left by, and its id there.
    pub(super) socket: usize,
    pub(super) id: u16,
    pub(super) stage: Stage,
    pub(super) wait: Wait,
    pub(super) sent: Instant,
    /// When its stage ends.
    pub(super) until: Instant,
    /// When nothing is waited for any more.
    pub(super) gives_up: Instant,
    /// What the exchange was told: each once, so that no flood fills its channel.
    pub(super) told_mismatch: bool,
    pub(super) told_error: bool,
}

impl Query {
    fn line(&self) -> usize {
        match self.stage {
            Stage::Quick => self.wait.line().min(HANDED - 1),
            Stage::Handed => HANDED,
        }
    }

    /// Whether its stage ends no sooner than the first patience.
    pub(super) fn is_waited_for_whole(&self) -> bool {
        self.stage == Stage::Handed || self.wait == Wait::WHOLE
    }
}

#[derive(Debug)]
struct Cell {
    query: Option<Query>,
    before: usize,
    after: usize,
}

/// No cell.
const NONE: usize = usize::MAX;

#[derive(Debug)]
struct Line {
    first: usize,
    last: usize,
}

/// All queries of a lane. Numbers of finished ones are used again.
#[derive(Debug)]
pub(super) struct Queries {
    cells: Vec<Cell>,
    free: Vec<usize>,
    /// One for each wait and one for those handed over, the earliest deadline first.
    lines: [Line; LINES],
}

impl Queries {
    pub(super) fn new() -> Self {
        let line = |_| Line { first: NONE, last: NONE };
        Self { cells: Vec::new(), free: Vec::new(), lines: std::array::from_fn(line) }
    }

    pub(super) fn len(&self) -> usize {
        self.cells.len() - self.free.len()
    }

    pub(super) fn get(&self, number: usize) -> Option<&Query> {
        self.cells.get(number)?.query.as_ref()
    }

    pub(super) fn get_mut(&mut self, number: usize) -> Option<&mut Query> {
        self.cells.get_mut(number)?.query.as_mut()
    }

    /// The first query of each line, and its deadline.
    fn firsts(&self) -> impl Iterator<Item = (usize, &Query)> {
        self.lines.iter().filter_map(|line| Some((line.first, self.get(line.first)?)))
    }

    /// A query whose stage has lasted long enough at `now`, and that stage.
    pub(super) fn expired(&self, now: Instant) -> Option<(usize, Stage)> {
        let mut firsts = self.firsts();
        firsts.find(|(_, query)| query.until <= now).map(|(number, query)| (number, query.stage))
    }

    /// When the next stage ends.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.firsts().map(|(_, query)| query.until).min()
    }

    /// Adds a query and returns its number.
    ///
    /// Deadlines mostly come in order; one that does not costs a step for each later one.
    pub(super) fn insert(&mut self, query: Query) -> usize {
        let cell = Cell { query: Some(query), before: NONE, after: NONE };
        let number = match self.free.pop() {
            Some(number) => {
                if let Some(slot) = self.cells.get_mut(number) {
                    *slot = cell;
                }
                number
            }
            None => {
                self.cells.push(cell);
                self.cells.len() - 1
            }
        };
        self.link(number);
        number
    }

    pub(super) fn remove(&mut self, number: usize) -> Option<Query> {
        self.unlink(number);
        let query = self.cells.get_mut(number)?.query.take()?;
        self.free.push(number);
        Some(query)
    }

    /// Notes that an exchange waits for the query from now on.
    pub(super) fn hand_over(&mut self, number: usize) {
        if self.get(number).is_none_or(|query| query.stage == Stage::Handed) {
            return;
        }
        self.unlink(number);
        if let Some(query) = self.get_mut(number) {
            query.stage = Stage::Handed;
            query.until = query.gives_up;
        }
        self.link(number);
    }

    fn link(&mut self, number: usize) {
        let Some((line, until)) = self.get(number).map(|q| (q.line(), q.until)) else { return };
        let mut before = self.lines[line].last;
        while let Some(earlier) = self.get(before).filter(|q| q.until > until).and(self.cells.get(before)) {
            before = earlier.before;
        }
        let after = match self.cells.get_mut(before) {
            Some(cell) => std::mem::replace(&mut cell.after, number),
            None => std::mem::replace(&mut self.lines[line].first, number),
        };
        match self.cells.get_mut(after) {
            Some(cell) => cell.before = number,
            None => self.lines[line].last = number,
        }
        if let Some(cell) = self.cells.get_mut(number) {
            (cell.before, cell.after) = (before, after);
        }
    }

    fn unlink(&mut self, number: usize) {
        let Some(line) = self.get(number).map(Query::line) else { return };
        let Some((before, after)) = self.cells.get(number).map(|cell| (cell.before, cell.after)) else {
            return;
        };
        match self.cells.get_mut(before) {
            Some(cell) => cell.after = after,
            None => self.lines[line].first = after,
        }
        match self.cells.get_mut(after) {
            Some(cell) => cell.before = before,
            None => self.lines[line].last = before,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::tests::errand;
    use super::*;

    fn query(start: Instant, until: u64) -> Query {
        let at = |millis| start + Duration::from_millis(millis);
        Query {
            errand: errand("a.test", until),
            socket: 0,
            id: 0,
            stage: Stage::Quick,
            wait: Wait::WHOLE,
            sent: start,
            until: at(until),
            gives_up: at(10 * until),
            told_mismatch: false,
            told_error: false,
        }
    }

    /// The numbers that the errands of a stage have, first deadline first.
    fn drained(queries: &mut Queries, stage: Stage) -> Vec<u64> {
        std::iter::from_fn(|| {
            let of_stage = queries.firsts().filter(|(_, query)| query.stage == stage);
            let (number, _) = of_stage.min_by_key(|(_, query)| query.until)?;
            Some(queries.remove(number)?.errand.number)
        })
        .collect()
    }

    #[test]
    fn queries_stand_in_the_order_of_their_deadlines_however_they_come() {
        let (mut queries, start) = (Queries::new(), Instant::now());
        for until in [30, 10, 20, 40, 10, 5] {
            queries.insert(query(start, until));
        }
        assert_eq!(drained(&mut queries, Stage::Quick), [5, 10, 10, 20, 30, 40]);
        assert_eq!(queries.len(), 0);
    }

    #[test]
    fn queries_that_are_waited_for_less_end_first_whenever_they_were_sent() {
        let (mut queries, start) = (Queries::new(), Instant::now());
        for until in [600, 610, 620] {
            queries.insert(query(start, until));
        }
        let soon = queries
            .insert(Query { wait: Wait::of(Some(Duration::ZERO), Duration::MAX).0, ..query(start, 70) });
        assert_eq!(queries.next_deadline(), Some(start + Duration::from_millis(70)));
        assert_eq!(queries.expired(start + Duration::from_millis(70)), Some((soon, Stage::Quick)));
        assert_eq!(drained(&mut queries, Stage::Quick), [70, 600, 610, 620]);
    }

    #[test]
    fn one_handed_over_waits_in_the_other_line_until_it_is_given_up() {
        let (mut queries, start) = (Queries::new(), Instant::now());
        let numbers: Vec<_> = [1, 2, 3].map(|until| queries.insert(query(start, until))).into();
        for number in [numbers[2], numbers[0], numbers[0]] {
            queries.hand_over(number);
        }
        assert_eq!(queries.expired(start + Duration::from_millis(10)), Some((numbers[1], Stage::Quick)));
        assert_eq!(drained(&mut queries, Stage::Quick), [2]);
        assert_eq!(drained(&mut queries, Stage::Handed), [1, 3]);
    }

    #[test]
    fn the_places_of_finished_queries_are_used_again() {
        let (mut queries, start) = (Queries::new(), Instant::now());
        for round in 0..100 {
            let numbers: Vec<_> = (1..4).map(|i| queries.insert(query(start, round + i))).collect();
            assert_eq!(queries.len(), 3);
            for number in [numbers[1], numbers[0], numbers[2]] {
                assert!(queries.remove(number).is_some() && queries.remove(number).is_none());
            }
        }
        assert_eq!(queries.cells.len(), 3);
        assert!(queries.next_deadline().is_none() && queries.get(0).is_none());
    }
}
