//! The process as the kernel sees it, under the names that all Prometheus clients use.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// CPU time spent, in user and kernel mode.
pub const CPU: &str = "process_cpu_seconds_total";
/// Resident memory.
pub const RESIDENT: &str = "process_resident_memory_bytes";
/// Open file descriptors.
pub const OPEN_FDS: &str = "process_open_fds";
/// When the process started, since the Unix epoch.
pub const START_TIME: &str = "process_start_time_seconds";

/// Ticks per second in /proc: the kernel's USER_HZ, which is 100 on every architecture of today.
const TICKS_PER_SECOND: f64 = 100.0;

/// Reads this process' figures. What /proc does not give is left out.
#[derive(Clone, Debug)]
pub struct Process {
    proc: PathBuf,
}

impl Default for Process {
    fn default() -> Self {
        Self { proc: "/proc".into() }
    }
}

impl Process {
    /// Appends the figures in the Prometheus text format.
    ///
    /// They are written here and not through the recorder, whose counters know whole numbers only.
    pub fn render_into(&self, text: &mut String) {
        let own = self.proc.join("self");
        let stat = fs::read_to_string(own.join("stat")).unwrap_or_default();
        let status = fs::read_to_string(own.join("status")).unwrap_or_default();
        let boot = boot_time(&self.proc.join("stat"));
        // Fields as proc(5) counts them, from 1.
        let cpu = field(&stat, 14).zip(field(&stat, 15)).map(|(user, system)| user + system);
        let started = field(&stat, 22).zip(boot).map(|(ticks, boot)| boot + ticks / TICKS_PER_SECOND);
        let samples = [
            (CPU, "counter", "CPU time spent.", cpu.map(|ticks| ticks / TICKS_PER_SECOND)),
            (RESIDENT, "gauge", "Resident memory.", resident(&status)),
            (OPEN_FDS, "gauge", "Open file descriptors.", open_fds(&own.join("fd"))),
            (START_TIME, "gauge", "When the process started, since the epoch.", started),
        ];
        for (name, kind, help, value) in samples {
            let Some(value) = value else { continue };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n");
        }
    }
}

/// Resident bytes and open descriptors of this process, as far as the kernel says.
pub fn size() -> (Option<u64>, Option<u64>) {
    let own = Process::default().proc.join("self");
    let status = fs::read_to_string(own.join("status")).unwrap_or_default();
    (resident(&status).map(|bytes| bytes as u64), open_fds(&own.join("fd")).map(|fds| fds as u64))
}

/// The `number`th field of /proc/self/stat; the second may itself hold blanks and parentheses.
fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, behind_name) = stat.rsplit_once(')')?;
    behind_name.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

/// From status and not statm, which counts pages of a size that differs between machines.
fn resident(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024.0)
}

fn open_fds(dir: &Path) -> Option<f64> {
    // One of them is the listing itself.
    Some(fs::read_dir(dir).ok()?.count().saturating_sub(1) as f64)
}

fn boot_time(stat: &Path) -> Option<f64> {
    let text = fs::read_to_string(stat).ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_past_a_hostile_process_name() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("self");
        fs::create_dir_all(own.join("fd")).unwrap();
        for fd in ["0", "1", "2", "3"] {
            fs::write(own.join("fd").join(fd), "").unwrap();
        }
        fs::write(own.join("stat"), "7 (a) b) 9 (c)) S 1 7 7 0 -1 0 0 0 0 0 150 75 0 0 20 0 3 0 4200 0 0\n")
            .unwrap();
        fs::write(own.join("status"), "Name:\tx\nVmRSS:\t    2048 kB\n").unwrap();
        fs::write(dir.path().join("stat"), "cpu 1 2\nbtime 1700000000\n").unwrap();
        let mut text = String::new();
        Process { proc: dir.path().into() }.render_into(&mut text);
        for line in [
            "process_cpu_seconds_total 2.25",
            "process_resident_memory_bytes 2097152",
            "process_open_fds 3",
            "process_start_time_seconds 1700000042",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\nis not in\n{text}");
        }
    }

    #[test]
    fn without_proc_there_are_no_figures() {
        let mut text = String::new();
        Process { proc: "/nowhere".into() }.render_into(&mut text);
        assert_eq!(text, "");
    }

    #[test]
    fn this_process_has_every_figure() {
        let mut text = String::new();
        Process::default().render_into(&mut text);
        for name in [CPU, RESIDENT, OPEN_FDS, START_TIME] {
            let value = text.lines().find_map(|l| l.strip_prefix(&format!("{name} "))).unwrap();
            assert!(value.parse::<f64>().unwrap() >= 0.0, "{text}");
        }
        assert!(matches!(size(), (Some(1..), Some(1..))));
    }
}
