//! A moment by the machine's clocks, which outlives the process.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::sys;

/// A moment that another process, and a machine started anew, can tell the distance to.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(default)]
pub struct Stamp {
    /// Milliseconds since 1970 by the wall clock.
    pub wall_ms: u64,
    /// Milliseconds since the machine was started, where that is known.
    pub boot_ms: Option<u64>,
    /// Which start of the machine that was.
    pub boot_id: String,
}

impl Stamp {
    /// Now.
    pub fn now() -> Self {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            wall_ms: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis),
            boot_ms: sys::since_boot().map(millis),
            boot_id: sys::boot_id(),
        }
    }

    /// The time from this moment to `later`: by the clock that nobody sets, as long as the machine was not started
    /// anew, else by the wall clock. `None` where neither can say: the wall clock stands before this moment.
    pub fn until(&self, later: &Self) -> Option<Duration> {
        let is_same_start = !self.boot_id.is_empty() && self.boot_id == later.boot_id;
        let by_boot = match (self.boot_ms, later.boot_ms) {
            (Some(then), Some(now)) if is_same_start => now.checked_sub(then),
            _ => None,
        };
        by_boot.or_else(|| later.wall_ms.checked_sub(self.wall_ms)).map(Duration::from_millis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(wall_ms: u64, boot_ms: u64, boot_id: &str) -> Stamp {
        Stamp { wall_ms, boot_ms: Some(boot_ms), boot_id: boot_id.to_owned() }
    }

    #[test]
    fn steps_of_the_wall_clock_count_only_where_nothing_better_is_known() {
        let (then, ms) = (at(1_000_000, 5_000, "a"), |ms| Some(Duration::from_millis(ms)));
        assert_eq!(then.until(&at(9_000_000, 7_500, "a")), ms(2_500), "the wall clock was set forward");
        assert_eq!(then.until(&at(0, 7_500, "a")), ms(2_500), "and back");
        assert_eq!(then.until(&at(1_060_000, 100, "b")), ms(60_000), "started anew");
        assert_eq!(then.until(&at(999_999, 100, "b")), None, "started anew, and the wall clock went back");
        assert_eq!(then.until(&at(1_000_001, 4_999, "a")), ms(1), "another namespace of time");
        let unknown = Stamp { boot_id: String::new(), boot_ms: None, ..then.clone() };
        assert_eq!(unknown.until(&Stamp { wall_ms: 1_000_007, ..unknown.clone() }), ms(7));
    }

    #[test]
    fn no_time_passes_backwards_on_this_machine() {
        let then = Stamp::now();
        assert!(then.until(&Stamp::now()).is_some_and(|passed| passed < Duration::from_secs(60)));
    }
}
