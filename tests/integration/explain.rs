//! `zonelet explain`: what is said of the way to an answer, and that it is the way.

mod agreement;
mod program;

/// A zone with everything that can decide an answer.
pub const CORP: &str = include_str!("explain/corp.json");

/// Names whose answers are decided in all ways there are.
const NAMES: [&str; 29] = [
    "corp.test",
    "db.corp.test",
    "ent.corp.test",
    "x.ent.corp.test",
    "y.ent.corp.test",
    "a.apps.corp.test",
    "apps.corp.test",
    "www.corp.test",
    "away.corp.test",
    "to-gone.corp.test",
    "ring.corp.test",
    "one.corp.test",
    "loop.corp.test",
    "lb.corp.test",
    "bare.corp.test",
    "w.corp.test",
    "to-w.corp.test",
    "f.corp.test",
    "m.corp.test",
    "l.corp.test",
    "g.corp.test",
    "cidr.corp.test",
    "sub.corp.test",
    "a.sub.corp.test",
    "t.corp.test",
    "gone.corp.test",
    "localhost",
    "denied.example.org",
    "www.example.org",
];
