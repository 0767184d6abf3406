//! What is written is read; what is damaged is not.

use proptest::prelude::*;

use super::*;
use crate::cache::Settings;
use crate::metrics::CacheMetrics;
use crate::wire::sample::{Rec, a, cname, name, response, rrsig, soa};
use crate::wire::{EdeCode, Name, Rcode, learn};

const DAY: u64 = 86_400;

fn cache() -> Cache {
    Cache::new(&Settings::default(), CacheMetrics::register())
}

/// A moment far from the clock's begin.
fn noon() -> Moment {
    Moment::from_millis(40 * DAY * 1000)
}

fn stamp(wall_s: u64) -> Stamp {
    Stamp { wall_ms: wall_s * 1000, ..Stamp::default() }
}

fn key(qname: &Name, qtype: Rtype) -> CacheKey<'_> {
    CacheKey { qname: qname.as_ref(), qtype, dnssec_ok: false, checking_disabled: false }
}

fn put(cache: &Cache, qname: &str, rcode: Rcode, answers: &[Rec], authorities: &[Rec], now: Moment) {
    let owner = name(qname);
    let message = response(qname, Rtype::A, rcode, answers, authorities);
    let learned = learn(&message, owner.as_ref(), Rtype::A, false).unwrap();
    cache.insert(&key(&owner, Rtype::A), learned, now);
}

fn written(cache: &Cache, at: Stamp, now: Moment) -> Vec<u8> {
    let mut bytes = Vec::new();
    write(cache, (at, now), 7, u64::MAX, &mut bytes).unwrap();
    bytes
}

/// A cache into which what was written at 1000 s is read `later` seconds after.
fn reread(bytes: &[u8], later: u64, now: Moment) -> Cache {
    let cache = cache();
    check(&mut &bytes[..], 7, &stamp(1000 + later)).unwrap();
    restore(&cache, (&stamp(1000 + later), now), 7, &mut &bytes[..]).unwrap();
    cache
}

#[test]
fn every_kind_of_answer_comes_back_as_it_was() {
    let (old, now) = (cache(), noon());
    put(&old, "a.test", Rcode::NOERROR, &[a("a.test", 300, 1), a("a.test", 300, 2)], &[], now);
    put(&old, "c.test", Rcode::NOERROR, &[cname("c.test", 60, "d.test"), a("d.test", 50, 1)], &[], now);
    put(&old, "o.test", Rcode::NOERROR, &[cname("o.test", 60, "far.example")], &[], now);
    put(&old, "n.test", Rcode::NXDOMAIN, &[], &[soa("test", 900, 20)], now);
    put(&old, "d.test", Rcode::NOERROR, &[], &[soa("test", 25, 900)], now);
    put(&old, "x.test", Rcode::NXDOMAIN, &[cname("x.test", 60, "gone.test")], &[soa("test", 9, 9)], now);
    let new = reread(&written(&old, stamp(1000), now), 0, now);
    assert_eq!(new.size().0, 6);
    for qname in ["a.test", "c.test", "o.test", "n.test", "d.test", "x.test"] {
        let qname = name(qname);
        let [before, after] = [&old, &new].map(|c| c.get(&key(&qname, Rtype::A), now).unwrap());
        assert_eq!(before.learned, after.learned, "{qname}");
        assert_eq!((before.stored, before.expires), (after.stored, after.expires), "{qname}");
    }
    // A denial of the name counts for other types, too.
    assert!(new.get(&key(&name("n.test"), Rtype::AAAA), now).is_some());
}

#[test]
fn flags_signatures_and_extended_errors_come_back() {
    let (old, now, qname) = (cache(), noon(), name("s.test"));
    let records = [a("s.test", 60, 1), rrsig("s.test", 60, Rtype::A, "test")];
    let message = response("s.test", Rtype::A, Rcode::NOERROR, &records, &[]);
    let mut learned = learn(&message, qname.as_ref(), Rtype::A, true).unwrap();
    learned.authentic = true;
    learned.ede = Some((EdeCode(4), "forged on purpose".into()));
    let signed = CacheKey { dnssec_ok: true, checking_disabled: true, ..key(&qname, Rtype::A) };
    old.insert(&signed, learned, now);
    let new = reread(&written(&old, stamp(1000), now), 0, now);
    assert_eq!(new.get(&signed, now).unwrap().learned, old.get(&signed, now).unwrap().learned);
    assert!(new.get(&key(&qname, Rtype::A), now).is_none());
}

#[test]
fn what_was_read_goes_on_ageing_and_ends_when_it_would_have() {
    let (old, now, qname) = (cache(), noon(), name("a.test"));
    put(&old, "a.test", Rcode::NOERROR, &[a("a.test", 300, 1)], &[], now.before(Duration::from_secs(100)));
    let bytes = written(&old, stamp(1000), now);
    // Another process: its clock stands elsewhere.
    let there = Moment::from_millis(50 * DAY * 1000);
    let after_150 = reread(&bytes, 150, there);
    let entry = after_150.get(&key(&qname, Rtype::A), there).unwrap();
    assert_eq!(entry.age(there), 250);
    assert!(after_150.get(&key(&qname, Rtype::A), there.after(Duration::from_secs(50))).is_none());
    // Ended since, and still of use in bad times: for a day.
    let after_400 = reread(&bytes, 400, there);
    assert!(after_400.get(&key(&qname, Rtype::A), there).is_none());
    assert!(after_400.stale(&key(&qname, Rtype::A), there, MAX_STALE, MAX_STALE).is_some());
    assert_eq!(reread(&bytes, 300 + DAY, there).size().0, 0);
    // A clock that does not reach back that far has no moment for it.
    assert_eq!(reread(&bytes, 0, Moment::from_millis(99_999)).size().0, 0);
    assert_eq!(reread(&bytes, 0, Moment::from_millis(100_000)).size().0, 1);
}

#[test]
fn other_upstreams_and_a_clock_that_went_back_make_it_useless() {
    let (old, now) = (cache(), noon());
    put(&old, "a.test", Rcode::NOERROR, &[a("a.test", 300, 1)], &[], now);
    let bytes = written(&old, stamp(1000), now);
    for (origin, wall) in [(8, 1000), (7, 999)] {
        let error = restore(&cache(), (&stamp(wall), now), origin, &mut &bytes[..]).unwrap_err();
        assert!(matches!(error, SnapshotError::Useless(_)), "{error}");
    }
}

#[test]
fn what_is_known_already_and_newer_stays_whichever_it_contradicts() {
    let (old, now) = (cache(), noon());
    put(&old, "a.test", Rcode::NOERROR, &[a("a.test", 300, 1)], &[], now);
    put(&old, "b.test", Rcode::NXDOMAIN, &[], &[soa("test", 30, 30)], now);
    let bytes = written(&old, stamp(1000), now);
    let (new, later) = (cache(), now.after(Duration::from_secs(1)));
    put(&new, "a.test", Rcode::NXDOMAIN, &[], &[soa("test", 30, 30)], later);
    put(&new, "b.test", Rcode::NOERROR, &[a("b.test", 300, 1)], &[], later);
    assert_eq!(restore(&new, (&stamp(1001), later), 7, &mut &bytes[..]).unwrap(), 0);
    let rcode = |qname| new.get(&key(&name(qname), Rtype::A), later).unwrap().learned.rcode;
    assert_eq!((rcode("a.test"), rcode("b.test")), (Rcode::NXDOMAIN, Rcode::NOERROR));
}

/// Reads that do something in the middle.
struct Between<'a, F: FnMut()>(&'a [u8], F);

impl<F: FnMut()> Read for Between<'_, F> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        (self.1)();
        self.0.read(out)
    }
}

#[test]
fn what_is_forgotten_meanwhile_does_not_come_back() {
    let (old, now) = (cache(), noon());
    put(&old, "a.test", Rcode::NOERROR, &[a("a.test", 300, 1)], &[], now);
    put(&old, "b.test", Rcode::NOERROR, &[a("b.test", 300, 1)], &[], now);
    let bytes = written(&old, stamp(1000), now);
    let new = cache();
    let mut forgetting = Between(&bytes, || new.forget(name("a.test").as_ref(), Rtype::A, now));
    assert_eq!(restore(&new, (&stamp(1000), now), 7, &mut forgetting).unwrap(), 1);
    assert!(new.get(&key(&name("a.test"), Rtype::A), now).is_none());
    new.flush();
    assert_eq!(restore(&new, (&stamp(1000), now), 7, &mut Between(&bytes, || new.flush())).unwrap(), 0);
    // Once it is over nothing is barred any more.
    assert_eq!(restore(&new, (&stamp(1000), now), 7, &mut &bytes[..]).unwrap(), 2);
}

#[test]
fn a_large_cache_comes_back_whole_and_a_bound_is_kept() {
    let (old, now) = (cache(), noon());
    for i in 0..20_000u32 {
        let qname = format!("host-{i}.some.example.test");
        put(&old, &qname, Rcode::NOERROR, &[a(&qname, 300, i as u8)], &[], now);
    }
    let bytes = written(&old, stamp(1000), now);
    assert_eq!(reread(&bytes, 0, now).size().0, 20_000);
    let mut short = Vec::new();
    let some = write(&old, (stamp(1000), now), 7, 500_000, &mut short).unwrap();
    assert!((1000..20_000).contains(&some) && short.len() < 600_000, "{some} in {}", short.len());
    assert_eq!(reread(&short, 0, now).size().0 as u64, some);
}

#[test]
fn the_format_is_that_of_version_1() {
    let (old, now) = (cache(), noon());
    put(&old, "a.test", Rcode::NOERROR, &[a("a.test", 300, 9)], &[], now.before(Duration::from_millis(258)));
    let bytes = written(&old, Stamp { wall_ms: 1, boot_ms: Some(2), boot_id: "b".into() }, now);
    let header = br#"H{"stamp":{"wall_ms":1,"boot_ms":2,"boot_id":"b"},"origin":7}"#;
    let entry = b"E\x35\0\0\0\x02\x01\0\0\0\0\0\0\0\0\0\0\0\
        \0\0\x81\x80\0\x01\0\x01\0\0\0\0\x01a\x04test\0\0\x01\0\x01\xc0\x0c\0\x01\0\x01\0\0\x01\x2c\0\x04\xc0\0\x02\x09";
    let end = b"Z\x01\0\0\0\0\0\0\0";
    let mut want = b"ZLCACHE1".to_vec();
    for block in [&header[..], entry, end] {
        want.extend((block.len() as u32).to_le_bytes());
        want.extend(checksum(block[0], &block[1..]).to_le_bytes());
        want.extend(block);
    }
    assert_eq!(bytes, want);
}

proptest! {
    #[test]
    fn damage_anywhere_is_noticed(at in 0usize..400, bit in 0u8..8, cut in 0usize..400) {
        let (old, now) = (cache(), noon());
        put(&old, "a.test", Rcode::NOERROR, &[a("a.test", 300, 1)], &[], now);
        put(&old, "b.test", Rcode::NXDOMAIN, &[], &[soa("test", 30, 30)], now);
        let whole = written(&old, stamp(1000), now);
        let mut damaged = whole.clone();
        let at = at % whole.len();
        damaged[at] ^= 1 << bit;
        prop_assert!(check(&mut &damaged[..], 7, &stamp(1000)).is_err());
        prop_assert!(check(&mut &whole[..cut % whole.len()], 7, &stamp(1000)).is_err());
    }

    #[test]
    fn no_bytes_under_a_right_checksum_make_it_panic_or_bring_in_a_longer_life(
        content in proptest::collection::vec(any::<u8>(), 0..300),
        splice in 0usize..200,
        byte in any::<u8>(),
    ) {
        let (old, now) = (cache(), noon());
        put(&old, "a.test", Rcode::NOERROR, &[cname("a.test", 300, "b.test"), a("b.test", 200, 1)], &[], now);
        let whole = written(&old, stamp(1000), now);
        let header = u32::from_le_bytes(whole[8..12].try_into().unwrap()) as usize;
        let entries = &whole[20 + header + 13..whole.len() - 21];
        let mut spliced = entries.to_vec();
        let at = splice % spliced.len();
        spliced[at] = byte;
        for content in [content, spliced] {
            let mut forged = whole[..20 + header].to_vec();
            put_block(&mut forged, b'E', &content).unwrap();
            put_block(&mut forged, b'Z', &1u64.to_le_bytes()).unwrap();
            let new = cache();
            let _ = restore(&new, (&stamp(1000), now), 7, &mut &forged[..]);
            let longest = Duration::from_secs(Settings::default().max_ttl.as_secs());
            let entry = new.get(&key(&name("a.test"), Rtype::A), now);
            prop_assert!(entry.is_none_or(|e| e.stored <= now && e.expires <= now.after(longest)));
        }
    }
}
