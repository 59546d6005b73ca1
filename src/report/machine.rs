//! What the machine is and what a process used of it.

use std::fs;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// The machine of process 0, as the report names it.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// Model name of the processor.
    pub cpu: String,
    /// Cores this process may use.
    pub cores: usize,
    /// Main memory.
    pub memory_bytes: u64,
    /// Operating system, release without its suffix, and architecture.
    pub os: String,
}

impl Machine {
    /// Looks at this machine; what cannot be found out is `unknown` or 0.
    pub fn here() -> Self {
        let uname = rustix::system::uname();
        let name = |text: &std::ffi::CStr| text.to_string_lossy().into_owned();
        Machine {
            cpu: proc_field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".into()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: kilobytes("/proc/meminfo", "MemTotal").unwrap_or(0),
            os: [name(uname.sysname()), without_suffix(&name(uname.release())), name(uname.machine())]
                .join(" "),
        }
    }
}

/// The release of a kernel without its suffix, which names who built it, often for whom.
fn without_suffix(release: &str) -> String {
    release.split('-').next().unwrap_or_default().to_owned()
}

/// The most memory this process ever had resident, where the system tells (Linux).
pub fn peak_rss_bytes() -> Option<u64> {
    kilobytes("/proc/self/status", "VmHWM")
}

/// The memory this process has resident now, where the system tells (Linux).
pub fn resident_bytes() -> Option<u64> {
    kilobytes("/proc/self/status", "VmRSS")
}

/// Processor time the calling thread has used, in seconds.
pub fn thread_cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The value of the first `name: value` line of a file under /proc.
pub(crate) fn proc_field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

fn kilobytes(path: &str, name: &str) -> Option<u64> {
    let value = proc_field(path, name)?;
    Some(value.strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Once, reports told what the kernel's builder had named it, and stood so in the repository.
    #[test]
    fn a_kernel_is_told_without_who_built_it() {
        assert_eq!(["6.1.0-18-cloud-amd64", "6.12.9"].map(without_suffix), ["6.1.0", "6.12.9"]);
        assert!(!Machine::here().os.contains('-'), "{}", Machine::here().os);
    }

    #[test]
    fn figures_are_plausible() {
        let machine = Machine::here();
        assert!(machine.cores >= 1 && machine.os.split(' ').count() >= 3, "{machine:?}");
        if cfg!(target_os = "linux") {
            assert!(machine.memory_bytes > 1 << 26, "{machine:?}");
            assert!(peak_rss_bytes().is_some_and(|bytes| bytes > 1 << 20));
        }
        let before = thread_cpu_seconds();
        let sum = (0..3_000_000u64).fold(0, |sum, number| std::hint::black_box(sum ^ number));
        assert!(thread_cpu_seconds() > before, "{sum}");
    }
}
