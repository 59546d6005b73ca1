//! What must be equal on every process of a job, and how a difference is told.
//!
//! Stock timely lets two processes with different arguments run together, and they give a wrong answer. Here each
//! process sends its fingerprint in the handshake, in words, so that both sides can say what differs.

use std::fs::File;
use std::io;

use super::frame::LONGEST_CAUSE_BYTES;
use crate::Error;

/// Entries and their sizes are bounded, because the far side is not trusted to be sensible.
const MOST_ENTRIES: usize = 64;
const LONGEST_NAME_BYTES: usize = 64;
const LONGEST_VALUE_BYTES: usize = 256;
/// No encoded fingerprint is longer.
pub(super) const LONGEST_BYTES: usize =
    MOST_ENTRIES * (LONGEST_NAME_BYTES + LONGEST_VALUE_BYTES + 4) + LONGEST_CAUSE_BYTES + 4;
/// The entry of a process that has failed; no other has it.
const FAILURE: &str = "failure";
/// One line stays readable with so many differences.
const MOST_SHOWN: usize = 3;

/// Names and values that every process of the job must have equal, in a fixed order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    entries: Vec<(String, String)>,
}

impl Fingerprint {
    /// Starts with the program's name and its build: version and commit.
    ///
    /// [`connect`](super::connect) adds the digest of the executable file where processes are started by hand; those
    /// that a process starts itself run the file it runs, and hashing it would be half of their start.
    pub fn new(program: &str) -> Self {
        let build = format!("{} {}", env!("CARGO_PKG_VERSION"), env!("MILLRACE_COMMIT"));
        Fingerprint { entries: Vec::new() }.with("program", program).with("build", build)
    }

    /// Adds the digest of the executable file: two builds of one commit may differ.
    pub(super) fn with_executable(self) -> Result<Self, Error> {
        Ok(self.with("executable", executable_digest()?))
    }

    /// The fingerprint of a process that cannot take part: it agrees with no other, for the reason `line`.
    pub(super) fn of_failure(line: &str) -> Self {
        let line = &line[..line.floor_char_boundary(LONGEST_CAUSE_BYTES)];
        Fingerprint { entries: vec![(FAILURE.to_owned(), line.to_owned())] }
    }

    /// Whether it is of [`Fingerprint::of_failure`].
    pub(super) fn is_failure(&self) -> bool {
        self.value(FAILURE).is_some()
    }

    /// Adds something all processes must have equal; `name` is how a person knows it, as `-k` or `input`.
    ///
    /// Values over 256 bytes are compared by a digest and shown shortened.
    ///
    /// # Panics
    /// With more than 60 entries: they are written by the program, not by its user.
    #[must_use]
    #[expect(clippy::needless_pass_by_value, reason = "numbers read better without a reference")]
    pub fn with(mut self, name: &str, value: impl ToString) -> Self {
        assert!(self.entries.len() < MOST_ENTRIES, "a fingerprint has {MOST_ENTRIES} entries at most");
        let value = value.to_string();
        let value = if value.len() > LONGEST_VALUE_BYTES {
            let digest = blake3::hash(value.as_bytes()).to_hex();
            let shown = value.floor_char_boundary(LONGEST_VALUE_BYTES - 40);
            format!("{}… (digest {})", &value[..shown], &digest[..16])
        } else {
            value
        };
        self.entries.push((name[..name.floor_char_boundary(LONGEST_NAME_BYTES)].to_owned(), value));
        self
    }

    /// What differs between two processes, as one line that is the same on both; `None` where nothing does.
    pub(super) fn difference(&self, own: usize, theirs: &Fingerprint, peer: usize) -> Option<String> {
        let (first, second) = if own < peer { (self, theirs) } else { (theirs, self) };
        let (low, high) = (own.min(peer), own.max(peer));
        if let Some(line) = first.value(FAILURE).or_else(|| second.value(FAILURE)) {
            return Some(printable_lines(line));
        }
        let mut names: Vec<&str> = first.entries.iter().map(|(name, _)| name.as_str()).collect();
        names.extend(
            second.entries.iter().map(|(name, _)| name.as_str()).filter(|name| first.value(name).is_none()),
        );
        let mut differences = Vec::new();
        for name in names {
            let (left, right) = (first.value(name), second.value(name));
            if left != right {
                let shown = |value: Option<&str>| value.map_or("nothing".to_owned(), printable);
                let name = printable(name);
                differences.push(format!(
                    "process {low} has {name} {}, process {high} has {name} {}",
                    shown(left),
                    shown(right)
                ));
                // Another program has other arguments throughout; naming those would only hide the reason.
                if ["program", "build", "executable"].contains(&name.as_str()) {
                    break;
                }
            }
        }
        let more = differences.len().saturating_sub(MOST_SHOWN);
        differences.truncate(MOST_SHOWN);
        let end = if more > 0 { format!("; {more} more") } else { String::new() };
        (!differences.is_empty())
            .then(|| format!("the processes do not agree: {}{end}", differences.join("; ")))
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.entries.iter().find(|(entry, _)| entry == name).map(|(_, value)| value.as_str())
    }

    /// The bytes that travel: a count, then lengths and texts, little-endian.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = (self.entries.len() as u32).to_le_bytes().to_vec();
        for text in self.entries.iter().flat_map(|(name, value)| [name, value]) {
            bytes.extend((text.len() as u16).to_le_bytes());
            bytes.extend(text.as_bytes());
        }
        bytes
    }

    /// Reads what [`Fingerprint::encode`] wrote; `None` for anything else.
    pub(super) fn decode(bytes: &[u8]) -> Option<Fingerprint> {
        let (count, mut rest) = bytes.split_first_chunk()?;
        let count = u32::from_le_bytes(*count) as usize;
        let mut text = |longest: usize| {
            let (length, after) = rest.split_first_chunk()?;
            let length = usize::from(u16::from_le_bytes(*length));
            let (text, after) = after.split_at_checked(length).filter(|_| length <= longest)?;
            rest = after;
            String::from_utf8(text.to_vec()).ok()
        };
        let mut entries = Vec::new();
        for _ in 0..Some(count).filter(|&count| count <= MOST_ENTRIES)? {
            entries.push((text(LONGEST_NAME_BYTES)?, text(LONGEST_CAUSE_BYTES)?));
        }
        rest.is_empty().then_some(Fingerprint { entries })
    }
}

/// Text from the network made safe for a terminal: no control characters, no line breaks.
pub(super) fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// The same for a text of several lines, as a bad record's message is.
pub(super) fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// Where the running program's own file is.
pub(super) fn executable() -> io::Result<std::path::PathBuf> {
    // On Linux this link still opens the file that runs after a rebuild has put another in its place.
    let link = std::path::Path::new("/proc/self/exe");
    if link.exists() { Ok(link.to_path_buf()) } else { std::env::current_exe() }
}

fn executable_digest() -> Result<String, Error> {
    let path = executable().map_err(Error::file("find", "the program's own file"))?;
    let mut hasher = blake3::Hasher::new();
    File::open(&path)
        .and_then(|file| hasher.update_reader(file).map(|_| ()))
        .map_err(Error::file("read", &path))?;
    Ok(hasher.finalize().to_hex()[..16].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(entries: &[(&str, &str)]) -> Fingerprint {
        entries.iter().fold(Fingerprint { entries: Vec::new() }, |all, (name, value)| all.with(name, value))
    }

    #[test]
    fn both_sides_tell_a_difference_in_the_same_words() {
        let (zero, one) = (of(&[("-k", "8"), ("--set", "tiny")]), of(&[("-k", "10"), ("--set", "tiny")]));
        let line = "the processes do not agree: process 0 has -k 8, process 1 has -k 10";
        assert_eq!(zero.difference(0, &one, 1).unwrap(), line);
        assert_eq!(one.difference(1, &zero, 0).unwrap(), line);
        assert_eq!(zero.difference(0, &zero.clone(), 1), None);
    }

    #[test]
    fn a_missing_entry_is_a_difference_on_either_side() {
        let (zero, one) = (of(&[]), of(&[("-x", "1")]));
        let line = "the processes do not agree: process 0 has -x nothing, process 1 has -x 1";
        assert_eq!(zero.difference(0, &one, 1).unwrap(), line);
        assert_eq!(one.difference(1, &zero, 0).unwrap(), line);
    }

    #[test]
    fn another_program_hides_no_reason_and_lists_stay_short() {
        let (zero, one) =
            (of(&[("program", "query1"), ("-k", "1")]), of(&[("program", "query2"), ("-k", "2")]));
        let line = zero.difference(0, &one, 1).unwrap();
        assert!(line.ends_with("process 0 has program query1, process 1 has program query2"), "{line}");
        let many = |value| of(&[("a", value), ("b", value), ("c", value), ("d", value), ("e", value)]);
        assert!(many("1").difference(0, &many("2"), 1).unwrap().ends_with("; 2 more"));
    }

    #[test]
    fn a_failure_is_all_there_is_to_say() {
        let line = "process 1 on b:2 failed: bad record\n  record: \u{1b}[2J";
        let (zero, one) = (of(&[("-k", "8")]), Fingerprint::of_failure(line));
        let one = Fingerprint::decode(&one.encode()).unwrap();
        let shown = "process 1 on b:2 failed: bad record\n  record: \\u{1b}[2J";
        assert_eq!(zero.difference(0, &one, 1).as_deref(), Some(shown));
        assert_eq!(one.difference(1, &zero, 0).as_deref(), Some(shown));
        assert_eq!(one.difference(1, &Fingerprint::of_failure("another"), 2).as_deref(), Some(shown));
    }

    #[test]
    fn long_values_compare_by_digest_and_hostile_text_is_escaped() {
        let long = "ü".repeat(500);
        let (zero, one) = (of(&[("input", &long)]), of(&[("input", &format!("{long}x"))]));
        assert!(zero.difference(0, &one, 1).is_some(), "a difference past the shown part counts");
        assert_eq!(Fingerprint::decode(&zero.encode()).unwrap(), zero);
        let line = of(&[("-k", "a\u{1b}[2J\nb")]).difference(0, &of(&[]), 1).unwrap();
        assert!(line.contains("a\\u{1b}[2J\\nb"), "{line}");
    }

    #[test]
    fn the_executable_is_the_same_each_time_it_is_asked_for() {
        let digest = || Fingerprint::new("p").with_executable().unwrap();
        assert_eq!(digest(), digest());
        assert_ne!(digest(), Fingerprint::new("p"));
    }

    proptest! {
        /// Bytes from a stranger decode to something bounded or to nothing, and never panic.
        #[test]
        fn any_bytes_decode_or_not(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(print) = Fingerprint::decode(&bytes) {
                prop_assert_eq!(print.encode(), bytes);
            }
        }

        #[test]
        fn a_cut_fingerprint_is_none(cut in 0_usize..20) {
            let bytes = of(&[("-k", "8"), ("input", "x")]).encode();
            prop_assert!(Fingerprint::decode(&bytes[..bytes.len().min(cut)]).is_none() || cut >= bytes.len());
        }
    }
}
