//! Stores: where files lie, on a local disk, in S3 or on an HTTP server, and how those that are far away are read.
//!
//! | module | what it is |
//! | --- | --- |
//! | `place` | from `--data`, set and table to a directory, a file or a pattern of names |
//! | `local` | files of this machine |
//! | `remote` | stores that are far away: their buckets, and waiting for what they say |
//! | `remote::connect` | connections to S3 and HTTP servers |
//! | `remote::list` | lists, and first bytes of files |
//! | `object` | a file of a store, and requests with retries for parts of it |
//! | `manifest` | the list of files that an HTTP server has for a table |
//! | `credentials` | the keys in `~/.aws` |
//! | `trouble` | what went wrong at a server, in words |
//! | `plan` | which requests bring the bytes that a reader wants |
//! | `window` | requests that run ahead of a reader |
//! | `absent` | takes the place of all that where the feature `object-store` is left out |

mod local;
mod place;

#[cfg(not(feature = "object-store"))]
mod absent;
#[cfg(feature = "object-store")]
mod credentials;
#[cfg(feature = "object-store")]
mod manifest;
#[cfg(feature = "object-store")]
mod object;
#[cfg(feature = "object-store")]
mod plan;
#[cfg(feature = "object-store")]
mod remote;
#[cfg(feature = "object-store")]
mod trouble;
#[cfg(feature = "object-store")]
mod window;

use std::path::Path;
use std::time::Duration;

#[cfg(not(feature = "object-store"))]
use absent as far;
#[cfg(feature = "object-store")]
use remote as far;

pub use far::Stores;
pub(crate) use far::{Object, ObjectReader};
pub(super) use local::has_files;
pub(super) use place::{Place, outright};
pub(crate) use place::{check, is_remote};

use super::InputFile;
use crate::Error;
use crate::error::FirstFailure;

/// Requests under way or waiting to be read, for each worker: sixteen of a usual size. With half of it, Query 2 took a third
/// longer where answers come after 20 ms; with twice as much, no less (docs/decisions/0017).
const READ_AHEAD_BYTES_A_WORKER: u64 = 64 << 20;

/// How files that are far away are read.
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// Address of an S3 server other than Amazon's, as `http://127.0.0.1:9000`.
    pub endpoint: Option<String>,
    /// Whether requests to S3 go unsigned, as public buckets allow.
    pub anonymous: bool,
    /// How long a server may give nothing, retries included.
    pub timeout: Duration,
    /// Bytes that may be on their way or in memory before somebody reads them.
    pub read_ahead_bytes: u64,
    /// Whoever waits for a server gives up when this is set.
    pub failure: FirstFailure,
}

impl Default for StoreOptions {
    /// Amazon's S3 with the usual credentials, for one worker.
    fn default() -> Self {
        StoreOptions {
            endpoint: None,
            anonymous: false,
            timeout: Duration::from_mins(1),
            read_ahead_bytes: READ_AHEAD_BYTES_A_WORKER,
            failure: FirstFailure::default(),
        }
    }
}

/// What came from stores.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fetched {
    /// Requests for parts of files, those that were made again included.
    pub requests: u64,
    /// Bytes that came, read or not.
    pub bytes: u64,
}

/// What reading ahead may take in a process of so many workers; an eighth of its memory at most.
pub(crate) fn read_ahead_bytes(workers: usize, memory_bytes: Option<u64>) -> u64 {
    let most = memory_bytes.map_or(u64::MAX, |bytes| bytes / 8);
    (READ_AHEAD_BYTES_A_WORKER * workers as u64).min(most)
}

/// What was found at a place.
type Found = Result<Option<Vec<InputFile>>, Error>;

/// The files at a place; `None` where there is no such place, or none of its kind.
pub(super) fn list(place: &Place, stores: &Stores) -> Found {
    let mut files = match place {
        Place::Directory(path) if is_remote(path) => stores.list_directory(path),
        Place::Directory(path) => local::list_directory(path),
        Place::Matching(pattern) if is_remote(Path::new(pattern)) => stores.list_matching(pattern),
        Place::Matching(pattern) => local::list_matching(pattern),
    }?;
    if let Some(files) = &mut files {
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    }
    Ok(files)
}

/// Gives the first bytes of those files that `wanted` wants to `take`, with the file's index, in any order.
pub(super) fn heads(
    files: &mut [InputFile],
    bytes: u64,
    wanted: impl Fn(&InputFile) -> bool,
    mut take: impl FnMut(usize, &mut InputFile, &[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut far = Vec::new();
    let mut head = Vec::new();
    for (index, file) in files.iter_mut().enumerate().filter(|(_, file)| wanted(file)) {
        if file.object.is_some() && file.bytes > 0 {
            far.push(index);
            continue;
        }
        local::read_head(file, bytes, &mut head)?;
        take(index, file, &head)?;
    }
    far::heads(files, &far, bytes, &mut take)
}

/// Names under which programs keep markers and checksums next to the data.
fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_']) || name.ends_with("_$folder$")
}

/// Whether a wildcard of a pattern stands for a hidden name in what it matched, be it that of a directory on the way: what is spelled out is
/// meant.
fn is_hidden_from(pattern: &str, matched: &str) -> bool {
    let is_spelled = |name: &str| pattern.split('/').any(|part| part == name);
    matched.split('/').any(|name| is_hidden(name) && !is_spelled(name))
}

#[cold]
fn no_file(path: &str) -> Error {
    // To pass over it could mean to pass over rows.
    Error::Data(format!(
        "{path} is not a regular file: a table's files lie in its directory, without folders between\n  try: a pattern \
         that ends in /*/ to read the files of all folders"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Catches the files of a run that has not ended, counted beside those of the table.
    #[test]
    fn wildcards_match_no_hidden_directories() {
        for (pattern, path, is_meant) in [
            ("data/*/part-*", "data/visits/part-0", true),
            ("data/*/part-*", "data/_temporary/part-0", false),
            ("data/**/part-*", "data/visits/.hidden/0/part-0", false),
            ("data/**/part-*", "data/visits/_temporary/0/part-0", false),
            ("data/_*/part-*", "data/_temporary/part-0", false),
            ("data/visits/*", "data/visits/_SUCCESS", false),
            ("data/_old/*/part-*", "data/_old/visits/part-0", true),
            ("/home/.cache/*", "/home/.cache/part-0", true),
            ("../*/part-0", "../visits/part-0", true),
        ] {
            assert_eq!(!is_hidden_from(pattern, path), is_meant, "{pattern} {path}");
        }
    }
}
