//! What the cache says it takes is what it takes from the allocator.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use zonelet::cache::{Cache, CacheKey, Settings};
use zonelet::clock::Moment;
use zonelet::metrics::CacheMetrics;
use zonelet::wire::{Learned, Name, Rtype, learn};

mod scene;

/// The system's allocator, counting the bytes that are out.
struct Counting;

static OUT: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came; the count is an atomic.
#[allow(unsafe_code)] // There is no other way to watch the heap.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        OUT.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        OUT.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `pointer` came from `System` through `alloc`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

const MAX_BYTES: u64 = 8 << 20;

fn answer(qname: &Name, rdata_len: usize) -> Learned {
    let record = (qname.clone(), Rtype::TXT, 60, vec![7; rdata_len]);
    let response = scene::positive(Rtype::TXT, vec![record]);
    learn(&response.to_bytes(), qname.as_ref(), Rtype::TXT, false).expect("a sound response")
}

fn put(cache: &Cache, n: usize, rdata_len: usize) {
    let qname = scene::name(&format!("name-{n}.example.net"));
    let key =
        CacheKey { qname: qname.as_ref(), qtype: Rtype::TXT, dnssec_ok: false, checking_disabled: false };
    cache.insert(&key, answer(&qname, rdata_len), Moment::default());
}

/// Fills a cache from four threads, several times over, and compares.
#[track_caller]
fn is_true(what: &str, entries: usize, length: fn(usize) -> usize) {
    let settings = Settings { max_bytes: MAX_BYTES, ..Settings::default() };
    let cache = Cache::new(&settings, CacheMetrics::register());
    let before = OUT.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let cache = &cache;
            scope.spawn(move || (thread..entries).step_by(4).for_each(|n| put(cache, n, length(n))));
        }
    });
    let taken = (OUT.load(Ordering::Relaxed) - before) as f64;
    let (held, weight) = cache.size();
    let ratio = taken / weight as f64;
    assert!((0.9..1.1).contains(&ratio), "{what}: {taken} taken, {weight} weighed for {held} entries");
    assert!(taken < MAX_BYTES as f64 * 1.1, "{what}: {taken} taken");
}

/// One test, since the count is everybody's.
#[test]
fn the_weight_is_what_the_allocator_gave() {
    is_true("an address each, half full", 40_000, |_| 4);
    is_true("an address each, full", 300_000, |_| 4);
    is_true("a thousand bytes each", 60_000, |_| 1000);
    is_true("of all lengths", 60_000, |n| n * 7919 % 3000);
    is_true("with some of the longest", 20_000, |n| if n % 50 == 0 { 40_000 } else { n * 7919 % 1200 });
}
