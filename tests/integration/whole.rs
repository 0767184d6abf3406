//! The whole program, and what changes in it while it serves.

mod limits;
