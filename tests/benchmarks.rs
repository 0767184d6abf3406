//! The pure parts of `benches/peers`, tested here since a benchmark without the harness runs no tests.

#[path = "../benches/peers"]
mod peers {
    #![allow(dead_code, reason = "the benchmark uses all of it, the tests only parts")]

    mod batch;
    mod dns;
    mod flight;
    mod histogram;
    mod limit;
    mod load;
    mod proc;
    mod process;
    mod ready;
}
