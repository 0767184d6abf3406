//! What a query costs here, beside the limit of this machine and other servers: see benches/README.md.
//!
//! One binary: without a hidden subcommand it is the benchmark; as `limit`, `forward`, `upstream`, `load` and
//! `launch` it is the parts that the benchmark starts.

#![allow(dead_code, reason = "until the scenarios are here")]

mod batch;
mod cli;
mod dns;
mod flight;
mod forward;
mod generator;
mod histogram;
mod limit;
mod load;
mod namespace;
mod proc;
mod process;
mod ready;

use anyhow::Result;
use clap::Parser as _;

use cli::{Cli, Part};
use ready::{Otherwise, Ready};

fn main() -> Result<()> {
    match Cli::parse().part {
        Some(part) => play(part),
        None => Ok(()),
    }
}

/// Is one of the benchmark's parts.
fn play(part: Part) -> Result<()> {
    match part {
        Part::Launch { cpus, program, args } => process::launch(&cpus, &program, &args),
        Part::Limit { listen, answers: None } => limit::echo(listen),
        Part::Limit { listen, answers: Some(path) } => {
            limit::table(listen, Ready::read(&path, Otherwise::Refuse)?)
        }
        Part::Forward { listen, upstream, sockets } => forward::forward(listen, upstream, sockets),
        Part::Upstream { listen, answers } => limit::table(listen, Ready::read(&answers, Otherwise::MakeUp)?),
        Part::Load { plan } => {
            let outcome = generator::generate(&serde_json::from_str(&plan)?)?;
            println!("{}", serde_json::to_string(&outcome)?);
            Ok(())
        }
    }
}
