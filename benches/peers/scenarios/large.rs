//! Large answers: one that just fits into 1232 bytes, and one that does not and is asked for again over TCP.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::super::ask::{check, check_stream};
use super::super::bench::{Bench, CLIENT_CPU, LeftOut, SERVER_CPU, Up};
use super::super::dns::{A, Case, Data, Record};
use super::super::load::{Load, write_questions};
use super::super::servers::Skill;
use super::super::stream::{Streams, Way};
use super::super::workload::Workload;
use super::super::zonefile::ORIGIN;
use super::stage::Stage;
use super::{Came, measure, report};

/// RRsets of each size, asked in turn.
const NAMES: usize = 64;
/// Addresses of an RRset whose answer, with an OPT record, has 1230 bytes.
const FITTING: usize = 74;
/// Addresses of an RRset whose answer does not fit.
const OVERFULL: usize = 100;
/// Who asks over UDP and then over TCP, at once.
const CLIENTS: usize = 8;

/// Answers of a zone: fitting, truncated, and truncated with a retry.
///
/// # Errors
/// The load generator or the files fail.
pub fn large(bench: &Bench) -> Result<String> {
    // Servers are up when they answer for a host; a few hosts are enough.
    let workload = Workload::zone(bench.options.seed, 1000);
    let mut stage = Stage::new(bench, "large", workload, true)?;
    let (fitting, overfull) = (cases("fit", FITTING), cases("over", OVERFULL));
    append(&stage.files.zone, fitting.iter().chain(&overfull))?;
    let at = |name| stage.files.dir.join(name);
    let (small, big) = (at("questions-fitting"), at("questions-overfull"));
    write_questions(&small, &fitting, true)?;
    write_questions(&big, &overfull, true)?;
    let mut up = Vec::new();
    for server in stage.start_all(&[Skill::Both, Skill::Zones], &[SERVER_CPU]) {
        let right = check(server.address, &fitting, true);
        match right.and_then(|()| check_stream(server.address, &overfull, true)) {
            Ok(()) => up.push(server),
            Err(error) => stage.absent.push(LeftOut::new(&server.server.name, error)),
        }
    }
    let udp = |questions: &Path, is_checked, up: &Up<'_>, seconds| -> Result<Came> {
        let mut load = Load::closed(up.address, questions, seconds);
        load.is_checked = is_checked;
        Ok(load.run(CLIENT_CPU)?.into())
    };
    let mut figures = measure(bench, "1230 bytes", &up, |up, seconds| udp(&small, true, up, seconds))?;
    // Whether a truncated answer keeps some records is the server's choice.
    figures.extend(measure(bench, "truncated", &up, |up, seconds| udp(&big, false, up, seconds))?);
    figures.extend(measure(bench, "truncated, then TCP", &up, |up, seconds| {
        let (server, questions, way) = (up.address, big.clone(), Way::Retried);
        Ok(Streams { server, questions, seconds, clients: CLIENTS, way }.run(CLIENT_CPU)?.into())
    })?);
    report(bench, "large", &figures, &stage.absent)
}

fn cases(label: &str, addresses: usize) -> Vec<Case> {
    let case = |n| {
        let qname = format!("{label}-{n:02}.{ORIGIN}");
        let record =
            |last| Record { owner: qname.clone(), data: Data::A(Ipv4Addr::new(10, 9, n as u8, last as u8)) };
        let records = (1..=addresses).map(record).collect();
        Case::positive(qname.clone(), A, ORIGIN, records)
    };
    (0..NAMES).map(case).collect()
}

/// Adds the cases' records to a zone file.
fn append<'a>(zone: &Path, cases: impl Iterator<Item = &'a Case>) -> Result<()> {
    let mut text = fs::read_to_string(zone).context("the zone file")?;
    for record in cases.flat_map(|case| &case.records) {
        if let Data::A(address) = record.data {
            let _ = writeln!(text, "{}. A {address}", record.owner);
        }
    }
    fs::write(zone, text).with_context(|| format!("write {}", zone.display()))
}
