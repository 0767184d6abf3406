//! What the kernel says of a process in /proc: CPU time, memory, wake-ups.

use std::fs;
use std::ops::{Add, Sub};
use std::time::Duration;

/// CPU time since a process began, its living threads and descendants included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    /// From the scheduler, to the nanosecond; what ended threads took is not in it.
    exact: Duration,
    /// Clock ticks in user space.
    user: u64,
    /// Clock ticks in the kernel.
    system: u64,
}

/// Clock ticks a second in /proc, on every architecture that Linux has kept.
const TICKS: f64 = 100.0;

impl Cpu {
    /// All of it.
    ///
    /// The scheduler's figure, or the ticks where threads that ended make those the larger.
    pub fn total(self) -> Duration {
        self.exact.max(Duration::from_secs_f64((self.user + self.system) as f64 / TICKS))
    }

    /// The part outside the kernel: the total, split as the ticks are.
    pub fn user(self) -> Duration {
        let ticks = (self.user + self.system).max(1) as f64;
        self.total().mul_f64(self.user as f64 / ticks)
    }
}

impl Add for Cpu {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            exact: self.exact + other.exact,
            user: self.user + other.user,
            system: self.system + other.system,
        }
    }
}

impl Sub for Cpu {
    type Output = Self;

    /// What was used since `earlier`, nothing where a process has gone in between.
    fn sub(self, earlier: Self) -> Self {
        Self {
            exact: self.exact.saturating_sub(earlier.exact),
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }
}

/// Memory of a process and its descendants, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Memory {
    /// Resident pages.
    pub rss: u64,
    /// The same with shared pages divided by their users.
    pub pss: u64,
}

/// A process and all its descendants.
pub fn tree(pid: i32) -> Vec<i32> {
    let mut family = vec![pid];
    let mut next = 0;
    while let Some(&member) = family.get(next) {
        next += 1;
        for task in tasks(member) {
            let children = read(&format!("/proc/{member}/task/{task}/children"));
            family.extend(children.split_whitespace().filter_map(|id| id.parse::<i32>().ok()));
        }
    }
    family
}

/// CPU time of a process and its descendants.
pub fn cpu(pid: i32) -> Cpu {
    tree(pid)
        .into_iter()
        .map(|member| {
            let (user, system) = ticks(&read(&format!("/proc/{member}/stat"))).unwrap_or_default();
            let exact = tasks(member)
                .into_iter()
                .map(|task| on_cpu(&read(&format!("/proc/{member}/task/{task}/schedstat"))))
                .sum();
            Cpu { exact, user, system }
        })
        .fold(Cpu::default(), Add::add)
}

/// Memory of a process and its descendants.
pub fn memory(pid: i32) -> Memory {
    tree(pid).into_iter().fold(Memory::default(), |sum, member| {
        let text = read(&format!("/proc/{member}/smaps_rollup"));
        Memory { rss: sum.rss + field(&text, "Rss:") * 1024, pss: sum.pss + field(&text, "Pss:") * 1024 }
    })
}

/// How often the threads of a process and its descendants have gone to sleep: each is a wake-up.
pub fn sleeps(pid: i32) -> u64 {
    let status = |member, task| read(&format!("/proc/{member}/task/{task}/status"));
    tree(pid)
        .into_iter()
        .flat_map(|member| tasks(member).into_iter().map(move |task| (member, task)))
        .map(|(member, task)| field(&status(member, task), "voluntary_ctxt_switches:"))
        .sum()
}

/// How long a CPU has been busy, with whatever.
pub fn busy(cpu: usize) -> Duration {
    Duration::from_secs_f64(busy_ticks(&read("/proc/stat"), cpu) as f64 / TICKS)
}

/// User, nice, system, irq and softirq of a CPU's line, without idle, iowait and what a host took.
fn busy_ticks(stat: &str, cpu: usize) -> u64 {
    let label = format!("cpu{cpu} ");
    let fields = stat.lines().find_map(|line| line.strip_prefix(&label)).unwrap_or_default();
    let fields = fields.split_whitespace().map(|field| field.parse::<u64>().unwrap_or(0)).enumerate();
    fields.filter(|(index, _)| [0, 1, 2, 5, 6].contains(index)).map(|(_, ticks)| ticks).sum()
}

/// The text of a file of /proc; nothing where the process has ended.
fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

fn tasks(pid: i32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// User and system ticks of a `stat` line. The command's name may hold spaces and parentheses.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// Time on a CPU of a `schedstat` line.
fn on_cpu(schedstat: &str) -> Duration {
    let nanos = schedstat.split_whitespace().next().and_then(|field| field.parse().ok());
    Duration::from_nanos(nanos.unwrap_or(0))
}

/// The number behind the label at the start of a line.
fn field(text: &str, label: &str) -> u64 {
    text.lines()
        .find_map(|line| line.strip_prefix(label)?.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
#[allow(dead_code, unused_imports, reason = "a bench without harness has cfg(test) and no tests")]
mod tests {
    use super::*;

    #[test]
    fn ticks_stand_behind_a_name_with_spaces_and_parentheses() {
        let stat = "7 (a (b) c) S 1 7 7 0 -1 4194560 10 0 0 0 123 45 0 0 20 0 1 0 99";
        assert_eq!(ticks(stat), Some((123, 45)));
        assert_eq!(ticks("7 (cut"), None);
    }

    #[test]
    fn fields_are_found_by_their_whole_label() {
        let text = "Rss:    2048 kB\nPss_Dirty:  7 kB\nPss:  1024 kB\n";
        assert_eq!((field(text, "Rss:"), field(text, "Pss:"), field(text, "Swap:")), (2048, 1024, 0));
        let status = "nonvoluntary_ctxt_switches:\t9\nvoluntary_ctxt_switches:\t12\n";
        assert_eq!(field(status, "voluntary_ctxt_switches:"), 12);
    }

    #[test]
    fn a_cpu_is_not_busy_while_it_waits() {
        let stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 4 800 900 8 16 700 0 0\ncpu1 5 5 5 5\n";
        assert_eq!((busy_ticks(stat, 0), busy_ticks(stat, 7)), (31, 0));
    }

    #[test]
    fn exact_time_is_kept_and_split_as_the_ticks_are() {
        let used = Cpu { exact: Duration::from_millis(400), user: 10, system: 30 };
        assert_eq!(used.total(), Duration::from_millis(400));
        assert_eq!(used.user(), Duration::from_millis(100));
        let ended = Cpu { exact: Duration::from_millis(100), ..used };
        assert_eq!(ended.total(), Duration::from_millis(400), "threads that ended count by their ticks");
        assert_eq!((used - ended).exact, Duration::from_millis(300));
        assert_eq!(on_cpu("1500 20 3"), Duration::from_nanos(1500));
    }

    #[test]
    fn we_use_cpu_time_and_memory_ourselves() {
        let pid = std::process::id().cast_signed();
        assert!(cpu(pid).total() > Duration::ZERO);
        assert!(memory(pid).rss > 0);
        assert_eq!(tree(pid).first(), Some(&pid));
    }
}
