//! The Route 53 source against the simulator and against moto.
#![cfg(feature = "route53")]

mod accounts;
mod around;
mod calls;
mod credentials;
mod damage;
mod discovery;
mod environment;
pub mod fixture;
mod health;
mod hints;
mod moto;
mod online;
mod paging;
mod tls;
