//! What is seen of queries, at the whole program: dnstap, the query log, `zonelet top`.

mod bounds;
mod log;
mod receivers;
mod tap;
mod top;

use crate::harness::program::Home;

/// A directory with the zone corp.internal, and everything else forwarded to `upstream`.
fn home(upstream: std::net::SocketAddr, config: &str) -> Home {
    let home = Home::new("");
    home.put(
        "corp.zone",
        "$ORIGIN corp.internal.\n$TTL 60\n@ SOA ns.test. admin.test. 1 7200 900 1209600 86400\n@ NS ns.test.\n\
         db A 10.0.0.1\n",
    );
    let source = crate::harness::program::file(home.path("corp.zone"));
    let forward = crate::harness::program::forward(upstream);
    home.configure(&format!("{source}{forward}{config}"));
    home
}
