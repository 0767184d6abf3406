//! Tests of whole.
