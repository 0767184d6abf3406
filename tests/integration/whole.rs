//! The whole program, and what changes in it while it serves.

#[cfg(feature = "route53")]
mod accounts;
mod broken;
mod continuity;
mod drain;
mod example;
mod faults;
mod handover;
#[cfg(feature = "tls")]
mod handover_encrypted;
#[cfg(feature = "route53")]
mod hints;
#[cfg(feature = "route53")]
mod imports;
mod limits;
mod live;
mod loops;
mod outage;
#[cfg(feature = "route53")]
mod rehearsal;
mod reload;
mod soak;
#[cfg(feature = "route53")]
mod state;

/// A small zone file whose host `db` has the address 10.0.0.`last`, and whose serial is `last`.
fn zone(apex: &str, last: u8) -> String {
    format!(
        "$ORIGIN {apex}.\n$TTL 60\n@ SOA ns.test. admin.test. {last} 7200 900 1209600 86400\n@ NS ns.test.\n\
         db A 10.0.0.{last}\n"
    )
}
