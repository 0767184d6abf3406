//! What is remembered of a file, so that content that has not changed is not parsed again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::wire::Name;
use crate::zone::ZoneData;

use super::{LoadError, parse, watch};

/// Shared with the watch and with the threads that read.
pub(super) type SharedMemory = Arc<Mutex<Memory>>;

/// The content that was read last.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Its hash, `None` before the first.
    pub hash: Option<u128>,
    /// The zone it holds, `None` where it holds none.
    apex: Option<Name>,
    /// Data that was parsed only to see which zone it is: kept for the fetch that follows.
    data: Option<Unfetched>,
}

#[derive(Debug)]
struct Unfetched {
    data: ZoneData,
    is_old: bool,
}

impl Memory {
    /// The zone that content of this hash holds, if it is known. From now on this is the content
    /// that was read last.
    fn turn_to(&mut self, hash: u128) -> Option<Name> {
        if self.hash != Some(hash) {
            *self = Self { hash: Some(hash), apex: None, data: None };
        }
        self.apex.clone()
    }

    /// Lets go of data that nobody has come for since the last call.
    pub fn age(&mut self) {
        let young = self.data.take().filter(|data| !data.is_old);
        self.data = young.map(|data| Unfetched { is_old: true, ..data });
    }
}

/// Exclusive access; a reader that panicked leaves nothing half done.
pub(super) fn locked(memory: &Mutex<Memory>) -> MutexGuard<'_, Memory> {
    memory.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes of a file's content, and the zone it is said to hold, what is wanted of it.
pub(super) type Load<T> = fn(&Mutex<Memory>, &[u8], Option<Name>) -> Result<T, LoadError>;

/// Which zone it is. Data that had to be parsed for it waits for [`data_of`].
pub(super) fn apex_of(memory: &Mutex<Memory>, content: &[u8], zone: Option<Name>) -> Result<Name, LoadError> {
    let hash = watch::hash_bytes(content);
    let known = locked(memory).turn_to(hash);
    if let Some(apex) = known {
        return Ok(apex);
    }
    let data = parse(content, zone)?;
    let apex = data.apex.clone();
    let mut memory = locked(memory);
    if memory.hash == Some(hash) {
        memory.apex = Some(apex.clone());
        memory.data = Some(Unfetched { data, is_old: false });
    }
    Ok(apex)
}

/// The zone's data.
pub(super) fn data_of(
    memory: &Mutex<Memory>,
    content: &[u8],
    zone: Option<Name>,
) -> Result<ZoneData, LoadError> {
    let hash = watch::hash_bytes(content);
    let waiting = {
        let mut memory = locked(memory);
        // Turning to other content drops what waits of this.
        memory.turn_to(hash);
        memory.data.take()
    };
    if let Some(waiting) = waiting {
        return Ok(waiting.data);
    }
    let data = parse(content, zone)?;
    let mut memory = locked(memory);
    if memory.hash == Some(hash) {
        memory.apex = Some(data.apex.clone());
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &[u8] = b"$ORIGIN one.test.\n@ 60 SOA a b 1 2 3 4 5\nx 60 A 10.0.0.1\n";
    const TWO: &[u8] = b"$ORIGIN two.test.\n@ 60 SOA a b 1 2 3 4 5\nx 60 A 10.0.0.2\n";

    fn waits(memory: &Mutex<Memory>) -> bool {
        locked(memory).data.is_some()
    }

    #[test]
    fn a_fetch_takes_what_the_listing_before_it_parsed_and_leaves_nothing() {
        let memory = Mutex::default();
        assert_eq!(apex_of(&memory, ONE, None).unwrap().to_string(), "one.test.");
        assert!(waits(&memory));
        assert_eq!(data_of(&memory, ONE, None).unwrap().sets.len(), 2);
        assert!(!waits(&memory));
        apex_of(&memory, ONE, None).unwrap();
        assert!(!waits(&memory), "which zone it is was known");
        assert_eq!(data_of(&memory, ONE, None).unwrap().sets.len(), 2);
    }

    #[test]
    fn what_was_parsed_of_other_content_is_never_taken() {
        let memory = Mutex::default();
        apex_of(&memory, ONE, None).unwrap();
        assert_eq!(data_of(&memory, TWO, None).unwrap().apex.to_string(), "two.test.");
        assert_eq!(apex_of(&memory, ONE, None).unwrap().to_string(), "one.test.");
        assert!(apex_of(&memory, b"nothing", None).is_err());
        assert!(!waits(&memory) && data_of(&memory, b"nothing", None).is_err());
    }

    #[test]
    fn data_that_nobody_comes_for_is_let_go() {
        let memory = Mutex::default();
        apex_of(&memory, ONE, None).unwrap();
        locked(&memory).age();
        assert!(waits(&memory));
        locked(&memory).age();
        assert!(!waits(&memory));
    }
}
