//! The queries a lane has sent, each in the order of its deadline.

use std::time::{Duration, Instant};

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
    /// How long it is waited for after it was handed over.
    pub(super) timeout: Duration,
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

    /// Adds a query and returns its number. Queries come in the order they are sent.
    ///
    /// Cost: the same however many wait. A line mostly has one wait, so that its deadlines come in order. Who
    /// would have to stand in front of others, in a greater hurry than they or after a reload that shortens
    /// the patience, goes to a line with a shorter wait.
    pub(super) fn insert(&mut self, mut query: Query) -> usize {
        while self.is_out_of_order(&query)
            && let Some((wait, span)) = query.wait.shorter()
        {
            (query.wait, query.until) = (wait, query.until.min(query.sent + span));
        }
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

    fn is_out_of_order(&self, query: &Query) -> bool {
        self.get(self.lines[query.line()].last).is_some_and(|last| last.until > query.until)
    }

    /// Notes that an exchange waits for the query from `now` on.
    pub(super) fn hand_over(&mut self, number: usize, now: Instant) {
        if self.get(number).is_none_or(|query| query.stage == Stage::Handed) {
            return;
        }
        self.unlink(number);
        if let Some(query) = self.get_mut(number) {
            query.stage = Stage::Handed;
            // Not from when it was sent: so this line, too, is in order whoever comes when.
            query.until = now + query.timeout;
        }
        self.link(number);
    }

    /// Puts a query at the end of its line.
    fn link(&mut self, number: usize) {
        let Some(line) = self.get(number).map(Query::line) else { return };
        let before = std::mem::replace(&mut self.lines[line].last, number);
        match self.cells.get_mut(before) {
            Some(cell) => cell.after = number,
            None => self.lines[line].first = number,
        }
        if let Some(cell) = self.cells.get_mut(number) {
            (cell.before, cell.after) = (before, NONE);
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

    /// A query that was sent so many milliseconds after the start.
    fn query(start: Instant, sent: u64, (wait, span): (Wait, Duration)) -> Query {
        let at = start + millis(sent);
        Query {
            errand: errand("a.test", sent),
            socket: 0,
            id: 0,
            stage: Stage::Quick,
            wait,
            sent: at,
            until: at + span,
            timeout: millis(4000),
            told_mismatch: false,
            told_error: false,
        }
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    const WHOLE: (Wait, Duration) = (Wait::WHOLE, Duration::from_millis(600));

    /// When the errands of a stage were sent, first deadline first.
    fn drained(queries: &mut Queries, stage: Stage) -> Vec<u64> {
        std::iter::from_fn(|| {
            let of_stage = queries.firsts().filter(|(_, query)| query.stage == stage);
            let (number, _) = of_stage.min_by_key(|(_, query)| query.until)?;
            Some(queries.remove(number)?.errand.number)
        })
        .collect()
    }

    #[test]
    fn queries_that_are_waited_for_less_end_first_whenever_they_were_sent() {
        let (mut queries, start) = (Queries::new(), Instant::now());
        for sent in [0, 10, 20] {
            queries.insert(query(start, sent, WHOLE));
        }
        let soon = queries.insert(query(start, 20, Wait::of(Some(millis(50)), Duration::MAX, WHOLE.1)));
        assert_eq!(queries.next_deadline(), Some(start + millis(70)));
        assert_eq!(queries.expired(start + millis(70)), Some((soon, Stage::Quick)));
        assert_eq!(drained(&mut queries, Stage::Quick), [20, 0, 10, 20]);
        assert_eq!(queries.len(), 0);
    }

    #[test]
    fn lines_are_in_order_however_many_times_the_domains_have_and_settings_change() {
        let (mut queries, start) = (Queries::new(), Instant::now());
        for sent in 0..2000 {
            let most = millis(sent * 7919 % 650 + 10);
            let patience = if sent < 1000 { WHOLE.1 } else { WHOLE.1 / 4 };
            let (wait, span) = Wait::of(None, most, patience);
            assert!(span <= most.min(patience) && span >= most.min(patience) / 6, "{span:?} for {most:?}");
            queries.insert(query(start, sent, (wait, span)));
            let waits = queries.get(queries.len() - 1).map(|query| query.until - query.sent);
            assert!(waits.is_some_and(|waits| waits <= span), "{waits:?}");
        }
        for line in &queries.lines {
            let mut number = line.first;
            while let (Some(query), Some(cell)) = (queries.get(number), queries.cells.get(number)) {
                assert!(queries.get(cell.after).is_none_or(|next| query.until <= next.until));
                number = cell.after;
            }
        }
        let deadlines: Vec<_> = std::iter::from_fn(|| {
            let (number, until) = (queries.expired(start + millis(10_000))?.0, queries.next_deadline());
            queries.remove(number).and(until)
        })
        .collect();
        assert_eq!(deadlines.len(), 2000);
    }

    #[test]
    fn one_handed_over_waits_in_the_other_line_until_it_is_given_up() {
        let (mut queries, start) = (Queries::new(), Instant::now());
        let numbers: Vec<_> = [1, 2, 3].map(|sent| queries.insert(query(start, sent, WHOLE))).into();
        for (number, at) in [(numbers[2], 10), (numbers[0], 20), (numbers[0], 30)] {
            queries.hand_over(number, start + millis(at));
        }
        assert_eq!(queries.expired(start + millis(700)), Some((numbers[1], Stage::Quick)));
        assert_eq!(drained(&mut queries, Stage::Quick), [2]);
        assert_eq!(queries.expired(start + millis(4009)), None);
        assert_eq!(queries.expired(start + millis(4010)), Some((numbers[2], Stage::Handed)));
        assert_eq!(drained(&mut queries, Stage::Handed), [3, 1], "in the order they were handed over");
    }

    #[test]
    fn the_places_of_finished_queries_are_used_again() {
        let (mut queries, start) = (Queries::new(), Instant::now());
        for round in 0..100 {
            let numbers: Vec<_> = (1..4).map(|i| queries.insert(query(start, round + i, WHOLE))).collect();
            assert_eq!(queries.len(), 3);
            for number in [numbers[1], numbers[0], numbers[2]] {
                assert!(queries.remove(number).is_some() && queries.remove(number).is_none());
            }
        }
        assert_eq!(queries.cells.len(), 3);
        assert!(queries.next_deadline().is_none() && queries.get(0).is_none());
    }
}
