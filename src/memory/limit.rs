//! What `--memory` can say, and how much memory there is to take a share of.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::report::Machine;
use crate::units::parse_positive_bytes;

/// A limit as it was typed: `512MB`, or `70%` of what this process can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryLimit {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of the machine's memory or its cgroup's limit, whichever is less.
    Percent(u8),
}

impl fmt::Display for MemoryLimit {
    /// As it can be typed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemoryLimit::Bytes(bytes) => write!(f, "{bytes}"),
            MemoryLimit::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl FromStr for MemoryLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(percent) = text.trim().strip_suffix('%') else {
            return parse_positive_bytes(text)
                .map(MemoryLimit::Bytes)
                .map_err(|error| format!("{error}, or 50%"));
        };
        match percent.trim_end().parse() {
            Ok(percent @ 1..=100) => Ok(MemoryLimit::Percent(percent)),
            _ => Err(format!(
                "`{text}` is no share of the memory; type a whole number from 1% to 100%, or bytes, as 512MB"
            )),
        }
    }
}

impl MemoryLimit {
    /// What a process may use unless it is told: the rest is left to others and to the page cache.
    pub const DEFAULT: MemoryLimit = MemoryLimit::Percent(70);

    /// The limit in bytes, given how many there are; `None` for a share of an unknown amount.
    pub fn bytes(self, available: Option<u64>) -> Option<u64> {
        match self {
            MemoryLimit::Bytes(bytes) => Some(bytes),
            MemoryLimit::Percent(percent) => available.map(|bytes| bytes / 100 * u64::from(percent)),
        }
    }
}

/// The machine's memory or the limit of a cgroup this process is in, whichever is less; `None` where the system does
/// not tell.
pub fn available_bytes() -> Option<u64> {
    let machine = Some(Machine::here().memory_bytes).filter(|&bytes| bytes > 0);
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    machine.into_iter().chain(cgroup_limit(&groups, Path::new("/sys/fs/cgroup"))).min()
}

/// The least limit of the groups in `memberships`, which is `/proc/self/cgroup`, and of those above them.
///
/// Version 2 has one hierarchy, mounted at `mount` or, beside version 1, at `unified`; version 1 has one for each
/// controller. Inside a container the names may be those outside, and only the top of the mount be there: it is the
/// container's own.
fn cgroup_limit(memberships: &str, mount: &Path) -> Option<u64> {
    let files = memberships.lines().flat_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let (places, file): (&[&str], _) = match controllers {
            "" => (&["", "unified"], "memory.max"),
            _ if controllers.split(',').any(|name| name == "memory") => {
                (&["memory"], "memory.limit_in_bytes")
            }
            _ => (&[], ""),
        };
        let group = Path::new(group.trim_start_matches('/'));
        let above = group.ancestors().map(move |group| group.join(file));
        above.flat_map(move |file| places.iter().map(move |place| Path::new(place).join(&file)))
    });
    // A group without a limit says `max`, or in version 1 a number that no machine has, which no minimum keeps.
    files.filter_map(|file: PathBuf| fs::read_to_string(mount.join(file)).ok()?.trim().parse().ok()).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_typed() {
        for (text, limit) in [
            ("256MB", MemoryLimit::Bytes(256_000_000)),
            ("2GiB", MemoryLimit::Bytes(2 << 30)),
            ("70%", MemoryLimit::Percent(70)),
            (" 100 % ", MemoryLimit::Percent(100)),
        ] {
            assert_eq!(text.parse(), Ok(limit), "{text}");
        }
        for text in ["0%", "101%", "-1%", "7.5%", "%", "0", "much", ""] {
            let message = text.parse::<MemoryLimit>().expect_err(text);
            assert!(message.contains('%'), "{text}: {message}");
        }
        assert_eq!(MemoryLimit::Percent(70).bytes(Some(1_000)), Some(700));
        assert_eq!(MemoryLimit::Percent(70).bytes(None), None);
        assert_eq!(MemoryLimit::Bytes(5).bytes(None), Some(5));
    }

    #[test]
    fn the_least_limit_of_all_groups_above_counts() {
        let mount = tempfile::tempdir().expect("a directory");
        let write = |file: &str, text: &str| {
            let path = mount.path().join(file);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        };
        let limit = |memberships: &str| cgroup_limit(memberships, mount.path());
        assert_eq!(limit("0::/a/b\n"), None);
        // Version 2: the group's own limit is none, the one above it has one.
        write("a/b/memory.max", "max\n");
        write("a/memory.max", "4096\n");
        assert_eq!(limit("0::/a/b\n"), Some(4096));
        assert_eq!(limit("0::/elsewhere\n"), None);
        // Version 1, as seen in a container that knows its name outside only.
        write("memory/memory.limit_in_bytes", "1024\n");
        assert_eq!(limit("9:cpu:/x\n4:cpuacct,memory:/docker/0123\n0::/a/b\n"), Some(1024));
        assert_eq!(limit("9:cpu:/x\n"), None);
        // Version 2 beside version 1.
        write("unified/c/memory.max", "512\n");
        assert_eq!(limit("4:memory:/\n0::/c\n"), Some(512));
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(available_bytes().is_none_or(|bytes| bytes > 1 << 26));
    }
}
