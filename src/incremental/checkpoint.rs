//! What survives the process: the totals, and which files they are of.
//!
//! A directory with `manifest.json`, which lists the files taken and the segments, and with the segments: `groups-NNNNNN`, the new
//! totals of the groups that one file or several have changed; of those in several segments, the last is right. A file is taken in two steps:
//! its segment is written and synced, then the manifest is replaced by rename. So the directory always holds the state after some file, whenever
//! the process is killed, and what it writes follows the file's groups and not all. When segments hold as many
//! groups as the first one, or are many, all are merged into one.
//!
//! A new state has a manifest before it has anything else, so that files which merely have the names of segments are told from segments.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::hash::Hash;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Total;
use crate::Error;
use crate::formats::parts::sync_names;
use crate::keys::PlaceHasher;

const MANIFEST: &str = "manifest.json";
const NEW_MANIFEST: &str = "manifest.json.tmp";
const SEGMENT: &str = "groups-";
/// The layout described above. Version 1 had no digest of the manifest.
const VERSION: u32 = 2;
/// More segments than this are merged, however small.
const MOST_SEGMENTS: usize = 256;

/// A file whose rows are in the totals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenFile {
    /// Its name in its directory; of a file in a store, its address.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// What tells that it is still the same.
    #[serde(flatten)]
    pub mark: Mark,
}

/// What tells that a file is still the one whose rows were added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Mark {
    /// Of a file of this machine: its bytes, and without reading them, its time of change.
    Digest {
        /// When it was last changed, in nanoseconds since 1970.
        modified: i64,
        /// BLAKE3 of its bytes, in hexadecimal.
        digest: String,
    },
    /// Of a file in a store: what the list says of it.
    Version {
        /// Its `ETag`, or its time of change where the list has none; empty where it has neither.
        etag: String,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Manifest {
    version: u32,
    /// What the totals are.
    query: String,
    files: Vec<TakenFile>,
    segments: Vec<Segment>,
    /// Number of the next segment.
    next: u64,
    /// BLAKE3 of all that, written as JSON without blanks and with an empty digest.
    digest: String,
}

/// What a manifest of any version has.
#[derive(Deserialize)]
struct Kind {
    version: u32,
    query: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Segment {
    name: String,
    groups: usize,
    /// BLAKE3 of its bytes.
    digest: String,
}

/// The state directory of one process at a time.
#[derive(Debug)]
pub struct Checkpoint {
    directory: PathBuf,
    /// The directory, locked until the process ends. File systems without locks do not refuse.
    _claim: File,
    manifest: Manifest,
}

impl Checkpoint {
    /// Opens the state of `query` in a directory, or begins one there. That of another query is refused, and so is a directory that another process uses, or that
    /// holds anything else.
    pub fn open(directory: &Path, query: &str) -> Result<Self, Error> {
        fs::create_dir_all(directory).map_err(Error::file("create", directory))?;
        let claim = File::open(directory).map_err(Error::file("open", directory))?;
        if matches!(claim.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(not_ours(directory, "is in use by another process"));
        }
        let names = names_in(directory)?;
        if let Some(other) = names.iter().find(|name| !is_part_of_a_state(name)) {
            return Err(not_ours(directory, &format!("holds {other}, which is no part of a state")));
        }
        let path = directory.join(MANIFEST);
        let manifest = match fs::read(&path) {
            Ok(text) => read_manifest(directory, query, &text)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if let Some(segment) = names.iter().find(|name| name.starts_with(SEGMENT)) {
                    return Err(not_ours(directory, &format!("holds {segment}, but no {MANIFEST}")));
                }
                Manifest {
                    version: VERSION,
                    query: query.to_owned(),
                    files: Vec::new(),
                    segments: Vec::new(),
                    next: 0,
                    digest: String::new(),
                }
            }
            Err(error) => return Err(Error::file("read", &path)(error)),
        };
        let is_new = manifest.digest.is_empty();
        let mut checkpoint =
            Checkpoint { directory: directory.to_path_buf(), _claim: claim, manifest: manifest.clone() };
        if is_new {
            checkpoint.replace(manifest)?;
        }
        checkpoint.remove_leftovers()?;
        Ok(checkpoint)
    }

    /// The files taken so far.
    pub fn files(&self) -> &[TakenFile] {
        &self.manifest.files
    }

    /// The total of every group, in no order.
    pub fn totals<K: Eq + Hash + DeserializeOwned>(&self) -> Result<Vec<(K, Total)>, Error> {
        let mut totals = HashMap::<K, Total, PlaceHasher>::default();
        for segment in &self.manifest.segments {
            let path = self.directory.join(&segment.name);
            let bytes = fs::read(&path).map_err(Error::file("read", &path))?;
            let whole = blake3::hash(&bytes).to_hex().as_str() == segment.digest;
            let read = whole.then(|| postcard::from_bytes::<Vec<(K, Total)>>(&bytes).ok()).flatten();
            let read =
                read.ok_or_else(|| refused(&self.directory, &format!("has a damaged {}", segment.name)))?;
            totals.extend(read);
        }
        Ok(totals.into_iter().collect())
    }

    /// Takes a file, with the new totals of the groups that it has changed. Afterwards the state is on disk.
    pub fn commit<K>(&mut self, file: TakenFile, changed: &[(K, Total)]) -> Result<(), Error>
    where
        K: Eq + Hash + Serialize + DeserializeOwned,
    {
        let mut manifest = self.manifest.clone();
        manifest.files.push(file);
        manifest.segments.push(self.write(&mut manifest.next, changed)?);
        self.replace(manifest)?;
        let groups = |segments: &[Segment]| segments.iter().map(|segment| segment.groups).sum::<usize>();
        if let Some((first, later)) = self.manifest.segments.split_first()
            && !later.is_empty()
            && (groups(later) >= first.groups || later.len() >= MOST_SEGMENTS)
        {
            let totals = self.totals::<K>()?;
            let mut manifest = self.manifest.clone();
            manifest.segments = vec![self.write(&mut manifest.next, &totals)?];
            self.replace(manifest)?;
            self.remove_leftovers()?;
        }
        Ok(())
    }

    /// Writes a segment, which counts once it is in the manifest.
    fn write<K: Serialize>(&self, next: &mut u64, totals: &[(K, Total)]) -> Result<Segment, Error> {
        let name = segment_name(*next);
        *next += 1;
        let path = self.directory.join(&name);
        let bytes = postcard::to_stdvec(totals)
            .map_err(|error| Error::Data(format!("cannot write {name}: {error}")))?;
        write_synced(&path, &bytes)?;
        Ok(Segment { name, groups: totals.len(), digest: blake3::hash(&bytes).to_hex().to_string() })
    }

    fn replace(&mut self, mut manifest: Manifest) -> Result<(), Error> {
        let path = self.directory.join(MANIFEST);
        let written = self.directory.join(NEW_MANIFEST);
        let text = manifest.digest_of_rest().and_then(|digest| {
            manifest.digest = digest;
            serde_json::to_vec_pretty(&manifest)
        });
        write_synced(&written, &text.map_err(io::Error::from).map_err(Error::file("write", &written))?)?;
        fs::rename(&written, &path).map_err(Error::file("rename", &path))?;
        sync_names(&self.directory).map_err(Error::file("sync", &self.directory))?;
        self.manifest = manifest;
        Ok(())
    }

    /// Removes segments that the manifest does not name, and no other file.
    fn remove_leftovers(&self) -> Result<(), Error> {
        for name in names_in(&self.directory)? {
            let counts =
                name == MANIFEST || self.manifest.segments.iter().any(|segment| segment.name == name);
            if !counts && is_part_of_a_state(&name) {
                let path = self.directory.join(name);
                fs::remove_file(&path).map_err(Error::file("remove", &path))?;
            }
        }
        Ok(())
    }
}

impl Manifest {
    fn digest_of_rest(&self) -> serde_json::Result<String> {
        let rest = Manifest { digest: String::new(), ..self.clone() };
        Ok(blake3::hash(&serde_json::to_vec(&rest)?).to_hex().to_string())
    }
}

/// The manifest of the state of `query`, as it was written.
fn read_manifest(directory: &Path, query: &str, text: &[u8]) -> Result<Manifest, Error> {
    let damaged = |why: &dyn fmt::Display| refused(directory, &format!("has a damaged {MANIFEST}: {why}"));
    let kind: Kind = serde_json::from_slice(text).map_err(|error| damaged(&error))?;
    if (kind.version, &kind.query[..]) != (VERSION, query) {
        let holds = format!(
            "holds the state of {}, version {}, and not of {query}, version {VERSION}",
            kind.query, kind.version
        );
        return Err(refused(directory, &holds));
    }
    let manifest: Manifest = serde_json::from_slice(text).map_err(|error| damaged(&error))?;
    if manifest.digest_of_rest().map_err(|error| damaged(&error))? != manifest.digest {
        return Err(damaged(&"its digest is another one"));
    }
    Ok(manifest)
}

/// What is in a directory.
fn names_in(directory: &Path) -> Result<Vec<String>, Error> {
    let listed = |source| Error::file("list", directory)(source);
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    fs::read_dir(directory).map_err(listed)?.map(name).collect::<io::Result<_>>().map_err(listed)
}

/// Whether a state has a file of this name, spelled just so.
fn is_part_of_a_state(name: &str) -> bool {
    let number = name.strip_prefix(SEGMENT).and_then(|digits| digits.parse().ok());
    name == MANIFEST || name == NEW_MANIFEST || number.is_some_and(|number| name == segment_name(number))
}

fn segment_name(number: u64) -> String {
    format!("{SEGMENT}{number:06}")
}

fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let written = File::create(path).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(Error::file("write", path))
}

/// Refuses a state that is of no use.
fn refused(directory: &Path, why: &str) -> Error {
    Error::Data(format!(
        "the state directory {} {why}\n  try: another --state, or remove it to read all files again",
        directory.display()
    ))
}

/// Refuses a directory that somebody else needs.
fn not_ours(directory: &Path, why: &str) -> Error {
    Error::Data(format!("the state directory {} {why}\n  try: another --state", directory.display()))
}
