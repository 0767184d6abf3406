//! The instruction gate: how many instructions the most important paths take, held against the
//! counts that are checked in. `benches/README.md` says how to run it and how to read it.
//!
//! Each path runs [`cases::ROUNDS`] times under callgrind in a process of its own; what comes before
//! (zones, cache, a first pass over every query) is not counted.

mod baseline;
mod cases;
mod gate;
#[path = "../../tests/scene/mod.rs"]
mod scene;

use std::process::ExitCode;

/// The part that gungraun runs: its own process by process, under callgrind.
mod counted {
    use std::hint::black_box;

    use gungraun::{Callgrind, LibraryBenchmarkConfig};
    use gungraun::{library_benchmark, library_benchmark_group, main};
    use zonelet::server::framing::Framing;
    use zonelet::wire::query::Query;
    use zonelet::wire::{Suffixes, learn};

    use crate::cases::{self, Answers, Bytes};

    /// glibc chooses its memcpy by what the processor has: without these, all choose the same one.
    const PLAIN_CPU: &str = "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW,-AVX2,-AVX,-ERMS,-FSRM";

    #[library_benchmark]
    #[bench::parse_plain(cases::plain())]
    #[bench::parse_edns(cases::edns())]
    fn parse(case: Bytes) -> Bytes {
        let mut qname = Suffixes::default();
        case.each(|bytes| Query::parse(black_box(bytes), &mut qname).is_ok());
        case
    }

    #[library_benchmark]
    #[bench::zone_hit(cases::zone_hit())]
    #[bench::wildcard(cases::wildcard())]
    #[bench::weighted(cases::weighted())]
    #[bench::alias(cases::alias())]
    #[bench::nxdomain(cases::nxdomain())]
    #[bench::empty_non_terminal(cases::empty_non_terminal())]
    #[bench::chain(cases::chain())]
    #[bench::cache_hit(cases::cache_hit())]
    #[bench::cache_chain(cases::cache_chain())]
    #[bench::cached_nxdomain(cases::cached_nxdomain())]
    #[bench::miss(cases::miss())]
    #[bench::special(cases::special())]
    #[bench::refused(cases::refused())]
    #[bench::truncated(cases::truncated())]
    fn answer(case: Answers) -> Answers {
        case.run()
    }

    #[library_benchmark]
    #[bench::learn(cases::response())]
    fn learned(case: Bytes) -> Bytes {
        case.each(|bytes| learn(black_box(bytes), case.qname.as_ref(), case.qtype, false).is_ok());
        case
    }

    #[library_benchmark]
    #[bench::tcp_framing(cases::stream())]
    fn framing(case: Bytes) -> Bytes {
        case.each(|bytes| {
            let (mut framing, mut rest) = (Framing::default(), black_box(bytes));
            framing.next(&mut rest).is_some()
        });
        case
    }

    library_benchmark_group!(name = paths, benchmarks = [parse, answer, learned, framing]);

    main!(
        config = LibraryBenchmarkConfig::default()
            .env("GLIBC_TUNABLES", PLAIN_CPU)
            .tool(Callgrind::default());
        library_benchmark_groups = paths
    );

    /// Hands over to gungraun, which reads the arguments itself.
    pub fn run() {
        main();
    }
}

fn main() -> ExitCode {
    if gate::is_counted_part() {
        counted::run();
        return ExitCode::SUCCESS;
    }
    gate::run(std::env::args().skip(1))
}
