//! What a scenario is played on: a workload's files, its upstream, and servers that are up.

use anyhow::{Context as _, Result};

use super::super::bench::{Bench, ENTRIES, Files, LeftOut, Up};
use super::super::process::Process;
use super::super::servers::{Server, Skill, Task};
use super::super::workload::Workload;

/// A workload that servers can be started for.
pub struct Stage<'a> {
    bench: &'a Bench,
    workload: Workload,
    /// What the workload's servers and clients read.
    pub files: Files,
    /// Who took no part, and why.
    pub absent: Vec<LeftOut>,
    _upstream: Option<Process>,
}

impl<'a> Stage<'a> {
    /// Writes the files into the directory `name`, and starts the upstream where the servers forward.
    ///
    /// # Errors
    /// A file cannot be written, or the upstream does not come up.
    pub fn new(bench: &'a Bench, name: &str, workload: Workload, with_edns: bool) -> Result<Self> {
        let files = Files::write(&bench.room(name)?, &workload, with_edns)?;
        let upstream = match &workload.zone {
            Some(_) => None,
            None => {
                let known = files.sample.iter().find(|case| !case.records.is_empty());
                Some(bench.start_upstream(&files, known.context("a case with an answer")?)?)
            }
        };
        Ok(Self { bench, workload, files, absent: Vec::new(), _upstream: upstream })
    }

    /// Starts a server on `cpus`, checks its answers and fills its cache.
    ///
    /// # Errors
    /// It does not come up, or an answer is wrong.
    pub fn start(&self, server: &'a Server, turn: usize, cpus: &[usize]) -> Result<Up<'a>> {
        let task = match &self.workload.zone {
            Some(zone) => Task::Zone { zone, file: &self.files.zone },
            None => Task::Forward { upstream: self.bench.upstream(), entries: ENTRIES },
        };
        let up = self.bench.start(server, turn, (&self.files, task), &self.files.sample, cpus)?;
        self.files.warm(&self.workload, &up)?;
        Ok(up)
    }

    /// Starts everybody with one of the `skills`; who does not come up is left out.
    pub fn start_all(&mut self, skills: &[Skill], cpus: &[usize]) -> Vec<Up<'a>> {
        let mut up = Vec::new();
        for (turn, server) in self.bench.participants(skills).into_iter().enumerate() {
            match self.start(server, turn, cpus) {
                Ok(server) => up.push(server),
                Err(error) => self.absent.push(LeftOut::new(&server.name, error)),
            }
        }
        up
    }
}
