//! The queries a lane has sent, each in the order of its deadline.

use std::time::Instant;

use super::Errand;

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
    pub(super) sent: Instant,
    /// When its stage ends.
    pub(super) until: Instant,
    /// When nothing is waited for any more.
    pub(super) gives_up: Instant,
    /// What the exchange was told: each once, so that no flood fills its channel.
    pub(super) told_mismatch: bool,
    pub(super) told_error: bool,
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
    /// One for each stage, the earliest deadline first.
    lines: [Line; 2],
}

impl Queries {
    pub(super) fn new() -> Self {
        let line = || Line { first: NONE, last: NONE };
        Self { cells: Vec::new(), free: Vec::new(), lines: [line(), line()] }
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

    /// The query of this stage whose deadline is the earliest.
    pub(super) fn first(&self, stage: Stage) -> Option<(usize, Instant)> {
        let number = self.lines[stage as usize].first;
        Some((number, self.get(number)?.until))
    }

    /// When the next stage ends.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let first = |stage| self.first(stage).map(|(_, until)| until);
        first(Stage::Quick).into_iter().chain(first(Stage::Handed)).min()
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
        let Some((stage, until)) = self.get(number).map(|q| (q.stage as usize, q.until)) else { return };
        let mut before = self.lines[stage].last;
        while let Some(earlier) = self.get(before).filter(|q| q.until > until).and(self.cells.get(before)) {
            before = earlier.before;
        }
        let after = match self.cells.get_mut(before) {
            Some(cell) => std::mem::replace(&mut cell.after, number),
            None => std::mem::replace(&mut self.lines[stage].first, number),
        };
        match self.cells.get_mut(after) {
            Some(cell) => cell.before = number,
            None => self.lines[stage].last = number,
        }
        if let Some(cell) = self.cells.get_mut(number) {
            (cell.before, cell.after) = (before, after);
        }
    }

    fn unlink(&mut self, number: usize) {
        let Some(stage) = self.get(number).map(|q| q.stage as usize) else { return };
        let Some((before, after)) = self.cells.get(number).map(|cell| (cell.before, cell.after)) else {
            return;
        };
        match self.cells.get_mut(before) {
            Some(cell) => cell.after = after,
            None => self.lines[stage].first = after,
        }
        match self.cells.get_mut(after) {
            Some(cell) => cell.before = before,
            None => self.lines[stage].last = before,
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
            let (number, _) = queries.first(stage)?;
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
    fn one_handed_over_waits_in_the_other_line_until_it_is_given_up() {
        let (mut queries, start) = (Queries::new(), Instant::now());
        let numbers: Vec<_> = [1, 2, 3].map(|until| queries.insert(query(start, until))).into();
        for number in [numbers[2], numbers[0], numbers[0]] {
            queries.hand_over(number);
        }
        assert_eq!(queries.first(Stage::Handed), Some((numbers[0], start + Duration::from_millis(10))));
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
        assert!(queries.first(Stage::Quick).is_none() && queries.get(0).is_none());
    }
}
