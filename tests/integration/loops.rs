//! Tests of loops.
