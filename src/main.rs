//! zonelet.
fn main() {}
