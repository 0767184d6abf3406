//! The pure parts of `benches/peers`, tested here since a benchmark without the harness runs no tests.

#[path = "../benches/peers"]
mod peers {
    #![allow(dead_code, unused_imports, reason = "the benchmark uses all of it, the tests only parts")]

    mod ask;
    mod batch;
    mod bench;
    mod cli;
    mod dns;
    mod flight;
    mod histogram;
    mod limit;
    mod load;
    mod memory;
    mod plot;
    pub mod proc;
    mod process;
    mod random;
    mod ready;
    mod rounds;
    mod servers;
    mod statistics;
    mod targets;
    mod workload;
    mod zonefile;
}
