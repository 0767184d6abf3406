//! Tests of route53.
