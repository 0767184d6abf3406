//! When each zone of a source is due.

use std::collections::{BTreeMap, HashMap};

use tokio::time::Instant;

use crate::source::ZoneId;

/// Zones by the moment they are due; of those due together, first set is first out.
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

    /// Takes the zone that has been due the longest, `None` while none is.
    pub fn pop_due(&mut self, now: Instant) -> Option<ZoneId> {
        let place = *self.queue.keys().next().filter(|&&(at, _)| at <= now)?;
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
        schedule.set(&ids[0], now + Duration::from_secs(5));
        schedule.set(&ids[2], now);
        schedule.set(&ids[1], now);
        schedule.set(&ids[3], now);
        schedule.remove(&ids[3]);
        assert_eq!((schedule.due(&ids[2]), schedule.due(&ids[3])), (Some(now), None));
        assert_eq!(schedule.pop_due(now).as_ref(), Some(&ids[2]));
        assert_eq!(schedule.pop_due(now).as_ref(), Some(&ids[1]));
        assert_eq!(schedule.pop_due(now), None);
        assert_eq!(schedule.next(), Some(now + Duration::from_secs(5)));
        schedule.set(&ids[0], now);
        assert_eq!(schedule.pop_due(now).as_ref(), Some(&ids[0]));
        assert_eq!(schedule.next(), None);
    }
}
