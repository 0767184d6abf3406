//! A network of our own, and a clean end.

use std::process::{Command, exit};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, Result, bail};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal};

use super::process::end_all;

/// Exit code of a run that was stopped, as shells have it for Ctrl-C.
const STOPPED: i32 = 130;

/// Whether the run is being stopped.
static IS_STOPPING: AtomicBool = AtomicBool::new(false);

/// The network namespace that this process and all that it starts live in: a loopback device and
/// nothing else, neither packet filters nor connection tracking nor anybody's ports.
///
/// It has no name. The kernel removes it with its last process, however that ends.
#[derive(Debug)]
pub struct Namespace(());

impl Namespace {
    /// Moves the calling thread, and all that it starts from now on, into a new namespace.
    ///
    /// # Errors
    /// Without the right to make one (root), or without `ip` to bring the device up.
    pub fn enter() -> Result<Self> {
        unshare(CloneFlags::CLONE_NEWNET)
            .context("cannot make a network namespace: run this as root (for the comparison only)")?;
        let up = Command::new("ip").args(["link", "set", "lo", "up"]).status().context("ip (iproute2)")?;
        if !up.success() {
            bail!("the loopback device of the new namespace did not come up: {up}");
        }
        Ok(Self(()))
    }
}

/// From here on Ctrl-C, SIGTERM and SIGHUP end what was started, and then this process.
///
/// To be called before the first thread is started, since a thread takes its signal mask along.
///
/// # Errors
/// The signal mask cannot be set.
pub fn end_on_signals() -> Result<()> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        signals.add(signal);
    }
    signals.thread_block().context("the signal mask")?;
    thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            if signals.wait().is_ok() {
                IS_STOPPING.store(true, Ordering::SeqCst);
                eprintln!("\nstopped: ending what was started");
                end_all();
                exit(STOPPED);
            }
        })
        .context("a thread that waits for signals")?;
    Ok(())
}

/// Passes a result on, unless the run is being stopped: what fails then fails since everything is being
/// ended, and the end is near.
pub fn unless_stopped<T>(result: Result<T>) -> Result<T> {
    while result.is_err() && IS_STOPPING.load(Ordering::SeqCst) {
        thread::park();
    }
    result
}
