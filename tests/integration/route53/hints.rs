//! Hints from a queue: what they push, what they cost, and what ends them.
