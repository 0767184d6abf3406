//! What a query costs here, beside the limit of this machine and other servers: see benches/README.md.
//!
//! One binary: without a hidden subcommand it is the benchmark; as `limit`, `forward`, `upstream`, `load` and
//! `launch` it is the parts that the benchmark starts.

mod ask;
mod batch;
mod bench;
mod cli;
mod dns;
mod flight;
mod forward;
mod generator;
mod histogram;
mod limit;
mod load;
mod memory;
mod namespace;
mod packages;
mod plot;
mod proc;
mod process;
mod random;
mod ready;
mod report;
mod rounds;
mod scenarios;
mod servers;
mod statistics;
mod stream;
mod targets;
mod workload;
mod zonefile;

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::Parser as _;

use bench::Bench;
use cli::{Cli, Options, Part, Scenario};
use namespace::Namespace;
use ready::{Otherwise, Ready};
use report::Report;
use servers::Server;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.part {
        Some(part) => play(part),
        None if cli.options.bench => namespace::unless_stopped(compare(cli.options)),
        None => {
            println!("this is a benchmark: cargo bench --bench peers");
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error:#}");
            ExitCode::FAILURE
        }
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
        Part::Stream { plan } => {
            let outcome = serde_json::from_str::<stream::Streams>(&plan)?.generate()?;
            println!("{}", serde_json::to_string(&outcome)?);
            Ok(())
        }
    }
}

/// Is the benchmark.
fn compare(options: Options) -> Result<()> {
    if std::thread::available_parallelism().context("count the CPUs")?.get() < 2 {
        bail!("the comparison takes two CPUs: one for the server, one for the load generator");
    }
    namespace::end_on_signals()?;
    let bench = prepare(options)?;
    let _namespace = Namespace::enter()?;
    let mut report = Report::new(&bench);
    for (name, value) in &report.about {
        println!("- {name}: {value}");
    }
    print!("{}", report::left_out(&report.left_out));
    for scenario in scenarios(&bench.options) {
        eprintln!("{scenario:?}");
        println!("{}", run(&bench, scenario, &mut report)?);
        // After each, so that what was measured outlives what goes wrong later.
        report.write(&bench.out)?;
    }
    println!("results: {}", bench.out.display());
    Ok(())
}

fn scenarios(options: &Options) -> Vec<Scenario> {
    use Scenario::{All, Bigcache, Bigzone, Hit, Idle, Miss, Mix, Zone};
    let four = [Zone, Hit, Miss, Mix];
    let whole = options.scenarios.contains(&All);
    match (whole, options.short || options.rate.is_some()) {
        (false, _) => options.scenarios.clone(),
        (true, true) => four.to_vec(),
        (true, false) => four.into_iter().chain([Bigzone, Bigcache, Idle]).collect(),
    }
}

fn run(bench: &Bench, scenario: Scenario, report: &mut Report) -> Result<String> {
    if let Some(dir) = &bench.options.profile {
        return scenarios::profile::profile(bench, scenario, dir);
    }
    Ok(match scenario {
        Scenario::Bigzone => {
            let (figures, absent) = memory::bigzone(bench)?;
            report.add_zones(figures, &absent)
        }
        Scenario::Bigcache => {
            let (figures, absent) = memory::bigcache(bench)?;
            report.add_caches(figures, &absent)
        }
        Scenario::Idle => report.add_idle(memory::idle(bench)?),
        Scenario::Workers => scenarios::workers::workers(bench)?,
        Scenario::Tcp => scenarios::tcp::tcp(bench)?,
        Scenario::Large => scenarios::large::large(bench)?,
        workload => report.add_workout(rounds::measure(bench, workload)?, bench.options.rate),
    })
}

/// Gathers who takes part; packages are installed here, while there is still a network.
fn prepare(options: Options) -> Result<Bench> {
    let out =
        options.out.clone().unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers"));
    fs::create_dir_all(&out).with_context(|| format!("make {}", out.display()))?;
    let out = out.canonicalize().with_context(|| format!("find {}", out.display()))?;
    let mut servers = servers::limits(&pairs(&options.echo)?);
    servers.push(servers::ours());
    servers.extend(pairs(&options.build)?.into_iter().map(|(name, path)| servers::another_build(name, path)));
    servers.extend(servers::peers());
    if let Some(unknown) =
        options.servers.iter().find(|name| !servers.iter().any(|server| server.name == **name))
    {
        let names: Vec<&str> = servers.iter().map(|server| server.name.as_str()).collect();
        bail!("no server {unknown}; there are {}", names.join(", "));
    }
    let mut bench = Bench { options, out, servers, left_out: Vec::new() };
    let wanted: Vec<&Server> = bench.everybody();
    bench.left_out = packages::install(&wanted, !bench.options.no_install);
    let absent = &bench.left_out;
    bench.servers.retain(|server| !absent.iter().any(|one| one.name == server.name));
    Ok(bench)
}

/// Reads `NAME=PATH`.
fn pairs(options: &[String]) -> Result<Vec<(String, String)>> {
    let read = |option: &String| {
        let (name, path) = option.split_once('=').with_context(|| format!("{option} is not NAME=PATH"))?;
        let path = fs::canonicalize(path).with_context(|| format!("find {path}"))?;
        Ok((name.to_owned(), path.display().to_string()))
    };
    options.iter().map(read).collect()
}
