//! When each zone of a source is due.

use std::collections::{BTreeMap, HashMap};

use tokio::time::Instant;

use crate::source::ZoneId;

/// Zones by the moment they are due.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    queue: BTreeMap<(Instant, u64), ZoneId>,
    places: HashMap<ZoneId, (Instant, u64)>,
    set_so_far: u64,
}

impl Schedule {
    /// Makes `id` due at `at`, and at no other time.
    pub fn set(&mut self, id: &ZoneId, at: Instant) {
        self.remove(id);
        let place = (at, self.set_so_far);
        self.set_so_far += 1;
        self.queue.insert(place, id.clone());
        self.places.insert(id.clone(), place);
    }

    /// Takes `id` off the schedule.
    pub fn remove(&mut self, id: &ZoneId) {
        if let Some(place) = self.places.remove(id) {
            self.queue.remove(&place);
        }
    }

    /// When `id` is due, `None` when it is not scheduled.
    pub fn due(&self, id: &ZoneId) -> Option<Instant> {
        self.places.get(id).map(|&(at, _)| at)
    }

    /// When the next zone is due.
    pub fn next(&self) -> Option<Instant> {
        self.queue.keys().next().map(|&(at, _)| at)
    }

    /// Takes the due zone of the greatest weight, of equal ones the one that has been due the longest,
    /// of those due together the one set first; `None` while none is due. Cost: a look at each due one.
    pub fn pop_due(&mut self, now: Instant, weight: impl Fn(&ZoneId) -> u64) -> Option<ZoneId> {
        let due = self.queue.range(..=(now, u64::MAX));
        // Of equal ones `max` takes the last.
        let (&place, _) = due.rev().max_by_key(|(_, id)| weight(id))?;
        let id = self.queue.remove(&place)?;
        self.places.remove(&id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn zones_come_out_in_the_order_they_are_due_and_then_were_set() {
        let now = Instant::now();
        let ids: Vec<ZoneId> = (0..4).map(|n| ZoneId(format!("z{n}").into())).collect();
        let mut schedule = Schedule::default();
        let alike = |_: &ZoneId| 0;
        schedule.set(&ids[0], now + Duration::from_secs(5));
        schedule.set(&ids[2], now);
        schedule.set(&ids[1], now);
        schedule.set(&ids[3], now);
        schedule.remove(&ids[3]);
        assert_eq!((schedule.due(&ids[2]), schedule.due(&ids[3])), (Some(now), None));
        assert_eq!(schedule.pop_due(now, alike).as_ref(), Some(&ids[2]));
        assert_eq!(schedule.pop_due(now, alike).as_ref(), Some(&ids[1]));
        assert_eq!(schedule.pop_due(now, alike), None);
        assert_eq!(schedule.next(), Some(now + Duration::from_secs(5)));
        schedule.set(&ids[0], now);
        assert_eq!(schedule.pop_due(now, alike).as_ref(), Some(&ids[0]));
        assert_eq!(schedule.next(), None);
    }

    #[test]
    fn of_the_due_zones_the_weightiest_comes_first() {
        let now = Instant::now();
        let ids: Vec<ZoneId> = (0..5).map(|n| ZoneId(format!("z{n}").into())).collect();
        let mut schedule = Schedule::default();
        for id in &ids[..4] {
            schedule.set(id, now);
        }
        schedule.set(&ids[4], now + Duration::from_secs(1));
        let weight = |id: &ZoneId| match &*id.0 {
            "z2" => 7,
            "z1" | "z3" => 3,
            "z4" => 100,
            _ => 0,
        };
        let order: Vec<String> =
            std::iter::from_fn(|| schedule.pop_due(now, weight)).map(|id| id.to_string()).collect();
        assert_eq!(order, ["z2", "z1", "z3", "z0"], "what is not due yet waits, however much it weighs");
    }
}
