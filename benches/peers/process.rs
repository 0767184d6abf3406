//! Processes that end when we do: pinned to their CPUs, stopped by id, never by name.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, setsid};

use super::proc::tree;

/// How long a server may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(4);
/// Descriptors that a process may open: a forwarder opens one for each query under way.
const DESCRIPTORS: u64 = 20_000;

/// What runs now, for [`end_all`].
static RUNNING: Mutex<Vec<i32>> = Mutex::new(Vec::new());

/// What is to be run, and where.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// A path, or a name that `$PATH` (with the sbin directories) finds.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
}

impl Invocation {
    /// A program with arguments.
    pub fn new<A: Into<OsString>>(program: impl Into<OsString>, args: impl IntoIterator<Item = A>) -> Self {
        Self { program: program.into(), args: args.into_iter().map(Into::into).collect() }
    }

    /// This program again, as one of its own parts.
    ///
    /// # Errors
    /// The running program's file is gone.
    pub fn ourselves<A: Into<OsString>>(args: impl IntoIterator<Item = A>) -> Result<Self> {
        Ok(Self::new(std::env::current_exe().context("the benchmark's own file")?, args))
    }
}

/// A running process. Dropping it ends it and its children.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts it on `cpus`, in a session of its own with the highest weight, without privileges
    /// dropped; what it prints goes to the file `log`.
    ///
    /// # Errors
    /// The log cannot be written or nothing can be started. That the *program* is missing shows only
    /// as a process that ends at once, with the reason in the log.
    pub fn start(what: &Invocation, cpus: &[usize], log: &Path) -> Result<Self> {
        let out = File::create(log).with_context(|| format!("log {}", log.display()))?;
        let err = out.try_clone().context("log")?;
        let child = launcher(what, cpus)?
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .with_context(|| format!("start {}", what.program.display()))?;
        Ok(Self::registered(child, log))
    }

    /// The same with its standard output piped to the caller.
    ///
    /// # Errors
    /// Nothing can be started.
    pub fn piped(what: &Invocation, cpus: &[usize]) -> Result<Self> {
        let child = launcher(what, cpus)?
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("start {}", what.program.display()))?;
        Ok(Self::registered(child, Path::new("")))
    }

    fn registered(child: Child, log: &Path) -> Self {
        let process = Self { child, log: log.to_path_buf() };
        if let Ok(mut running) = RUNNING.lock() {
            running.push(process.id());
        }
        process
    }

    /// The process id.
    pub fn id(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The end of what it printed, for a message about why it did not work.
    pub fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let from = text.len().saturating_sub(300);
        String::from_utf8_lossy(text.get(from..).unwrap_or_default()).replace('\n', " ")
    }

    /// Waits for its end and returns what it printed to a pipe.
    ///
    /// # Errors
    /// It failed, or was not started by [`Process::piped`].
    pub fn output(mut self) -> Result<String> {
        let mut text = String::new();
        let mut pipe = self.child.stdout.take().context("a pipe to read")?;
        std::io::Read::read_to_string(&mut pipe, &mut text).context("read what it printed")?;
        let status = self.child.wait().context("wait for its end")?;
        if !status.success() {
            bail!("a process of ours failed: {status}");
        }
        Ok(text)
    }

    fn stop(&mut self) {
        let pid = self.id();
        if self.is_running() {
            let family = tree(pid);
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
            let deadline = Instant::now() + PATIENCE;
            while self.is_running() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(5));
            }
            for member in family.into_iter().filter(|&member| member != pid || self.is_running()) {
                let _ = kill(Pid::from_raw(member), Signal::SIGKILL);
            }
            let _ = self.child.wait();
        }
        if let Ok(mut running) = RUNNING.lock() {
            running.retain(|&other| other != pid);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Ends everything that runs: the way out on a signal.
pub fn end_all() {
    let running = RUNNING.lock().map(|running| running.clone()).unwrap_or_default();
    let family: Vec<i32> = running.iter().flat_map(|&pid| tree(pid)).collect();
    for (signal, wait) in [(Signal::SIGTERM, 300), (Signal::SIGKILL, 0)] {
        for &pid in &family {
            let _ = kill(Pid::from_raw(pid), signal);
        }
        thread::sleep(Duration::from_millis(wait));
    }
}

/// This program as `launch`, which becomes the other one: what has to happen between fork and exec
/// happens there, in plain safe code.
fn launcher(what: &Invocation, cpus: &[usize]) -> Result<Command> {
    let cpus: Vec<String> = cpus.iter().map(usize::to_string).collect();
    let mut command = Command::new(std::env::current_exe().context("the benchmark's own file")?);
    command.args(["launch", "--cpus", &cpus.join(",")]).arg("--").arg(&what.program).args(&what.args);
    Ok(command)
}

/// Where programs are looked for: servers are where only root's shell looks.
pub fn path() -> String {
    format!("{}:/usr/local/sbin:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// Becomes `program`, on `cpus`; dies with whoever started us.
///
/// # Errors
/// Whatever keeps it from running there.
pub fn launch(cpus: &[usize], program: &OsString, args: &[OsString]) -> Result<()> {
    set_pdeathsig(Signal::SIGKILL).context("die with the benchmark")?;
    setsid().context("a session of its own")?;
    let mut set = CpuSet::new();
    for &cpu in cpus {
        set.set(cpu).context("a CPU's number")?;
    }
    sched_setaffinity(Pid::this(), &set).with_context(|| format!("run on CPUs {cpus:?}"))?;
    setrlimit(Resource::RLIMIT_NOFILE, DESCRIPTORS, DESCRIPTORS).context("enough descriptors")?;
    // The benchmark's own signals are blocked for its waiting thread; nobody else wants that.
    SigSet::all().thread_unblock().context("the signal mask")?;
    // Weight against other people's jobs; where either is refused, figures are only noisier.
    let _ = fs::write("/proc/self/autogroup", "-20");
    let failure = Command::new("nice").args(["-n", "-20"]).arg(program).args(args).env("PATH", path()).exec();
    Err(failure).context("become the program")
}
