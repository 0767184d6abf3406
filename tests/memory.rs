//! What a zone takes of the heap is what its accounting says.

mod scene;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Write as _;

use scene::name;
use zonelet::source::file::zonefile;
use zonelet::zone::{Built, Zone, ZoneData, ZoneOptions};

thread_local! {
    /// Bytes taken and not given back, and the most that there were.
    static HELD: Cell<(isize, isize)> = const { Cell::new((0, 0)) };
}

/// The system's allocator, counting for each thread the bytes that are out.
struct Counting;

fn count(bytes: isize) {
    let _ = HELD.try_with(|held| {
        let (now, most) = held.get();
        held.set((now + bytes, most.max(now + bytes)));
    });
}

// SAFETY: every call goes to the system's allocator as it came; the count is a plain cell of the
// thread, initialised without allocating.
#[allow(unsafe_code)] // There is no other way to watch the heap.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: `pointer` came from `System` through `alloc`, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

/// What `work` gives, the bytes that it left on the heap, and how many there were at its worst.
fn held_after<T>(work: impl FnOnce() -> T) -> (T, f64, f64) {
    let (before, _) = HELD.get();
    HELD.set((before, before));
    let done = work();
    let (now, most) = HELD.get();
    (done, (now - before) as f64, (most - before) as f64)
}

fn data(text: &str) -> ZoneData {
    let apex = name("corp.test");
    let file = zonefile::parse(text.as_bytes(), Some(apex.clone())).expect("a zone file");
    let sets = file.records.into_iter().map(|(_, set)| set).collect();
    ZoneData { apex, sets, skipped: file.skipped }
}

fn is_near(one: f64, other: f64) -> bool {
    (one - other).abs() <= other / 10.0
}

#[test]
fn hosts_aliases_and_wildcards_take_what_the_accounting_says() {
    const RECORDS: usize = 20_000;
    let mut text = String::from("$TTL 300\n@ SOA ns h 1 7200 900 1209600 60\n@ NS ns\n");
    for n in 0..RECORDS {
        let _ = match n % 20 {
            17 => writeln!(text, "*.apps-{n} A 10.0.0.1"),
            18 => writeln!(text, "pair-{n} A 10.0.0.1\npair-{n} A 10.0.0.2\npair-{n} TXT text"),
            19 => writeln!(text, "alias-{n}.rack-{} CNAME pair-{}", n % 64, n - 1),
            _ => writeln!(text, "host-{n}.rack-{} A 10.{}.{}.1", n % 64, n >> 8, n & 255),
        };
    }
    let data = data(&text);
    let (Built { zone, .. }, held, most) = held_after(|| Zone::build(&data, &ZoneOptions::default()));
    assert!(is_near(zone.memory() as f64, held), "{} said, {held} held", zone.memory());

    let counts = zone.counts();
    let mut names: Vec<_> = zone.rrsets().map(|view| view.owner.as_bytes()).collect();
    names.dedup();
    let nodes: usize = names.iter().map(|owner| 4 + owner.len()).sum();
    let rdata: usize = zone.rrsets().flat_map(|view| view.rrset.rdata()).map(<[u8]>::len).sum();
    let aliases = RECORDS / 20;
    let arena = nodes + 8 * counts.rrsets + 12 * counts.records + rdata + 4 * aliases;
    let expected = arena as f64 + counts.names as f64 * 8.0 * 5.0 / 3.0 + 8.0 * (RECORDS / 20) as f64;
    assert!(is_near(held, expected), "{held} held, {expected} by the sum of its parts");

    // Beside the zone, the sort keys and a row for each record set.
    let beside = (most - held) / counts.rrsets as f64;
    assert!(beside < 80.0, "{beside} bytes a record set while it is compiled");
}

#[test]
fn a_freed_zone_leaves_nothing() {
    let data = data("$TTL 300\n@ SOA ns h 1 7200 900 1209600 60\nwww A 10.0.0.1\none CNAME www\n");
    let build = || drop(Zone::build(&data, &ZoneOptions::default()));
    // The first of a process leaves what is set up once.
    build();
    let ((), held, _) = held_after(build);
    assert!(held.abs() < 1.0, "{held}");
}
