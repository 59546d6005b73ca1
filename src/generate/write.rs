//! Writes a table as part files, slot by slot, with several threads and always the same bytes.
//!
//! Row `i` of a table, a page with all its visits, belongs to file `i % files`, and every file draws from one random
//! stream in row order, as the reducers that wrote the published data did. So the work cannot be cut inside a file;
//! it is cut into slots of rows instead, and each file passes from slot to slot in order. A thread prepares its slot on
//! its own (the URLs), then walks all files one step behind the thread with the slot before. With more files than
//! threads nobody waits for long.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use indicatif::ProgressBar;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::parallel::{Stop, for_each_slot};
use crate::Error;
use crate::formats::compression::{Compression, Encoder};

/// Bytes gathered for a file before they are written; 2,037 files of `uservisits` then hold 130 MB.
const WRITE_BYTES: usize = 64 << 10;
/// Files a process has open besides the parts: standard streams, libraries, directories.
const OTHER_OPEN_FILES: u64 = 32;

/// What the rows of a table are made from.
pub(super) trait Source: Sync {
    /// What all files need of one slot, made once.
    type Slot: Default;
    /// What a file carries from row to row.
    type Stream: Send;

    /// Number of slots.
    fn slots(&self) -> u64;
    /// The stream of a file at its first row.
    fn open(&self, file: u64) -> Self::Stream;
    /// Makes what all files need of `slot`, in the room of an earlier slot.
    fn prepare(&self, slot: u64, room: &mut Self::Slot);
    /// Writes the rows of `slot` that belong to file `.0` of `.1`.
    fn write_rows(
        &self,
        slot: &Self::Slot,
        file: (u64, u64),
        stream: &mut Self::Stream,
        rows: &mut RowWriter<'_>,
    ) -> Result<(), Error>;
}

/// What was written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Rows of the table; lines of `documents` count as rows of their page, so here it is pages.
    pub(super) rows: u64,
    /// Bytes of all files, as they are.
    pub(super) bytes: u64,
}

/// Where a table goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    /// An empty directory.
    pub(super) directory: &'a Path,
    pub(super) files: u64,
    pub(super) compression: Option<Compression>,
}

/// Writes `source` into files named `part-NNNNN`, or `part-NNNNN.gz` and so on.
pub(super) fn write_table<T: Source>(
    source: &T,
    target: Target<'_>,
    threads: usize,
    progress: &ProgressBar,
    stop: &Stop,
) -> Result<Written, Error> {
    let files = target.files;
    allow_open_files(files)?;
    let create = |file| Part::create(target, file, source.open(file), stop);
    let parts: Vec<Part<'_, T::Stream>> = (0..files).map(create).collect::<Result<_, _>>()?;
    for_each_slot(threads, source.slots(), stop, T::Slot::default, |room, slot| {
        source.prepare(slot, room);
        let mut walk = Walk { parts: &parts, slot, done: 0 };
        while let Some(mut part) = walk.wait() {
            let before = part.rows.written.rows;
            let OpenPart { stream, rows, .. } = &mut *part;
            source.write_rows(room, (walk.done as u64, files), stream, rows)?;
            progress.inc(rows.written.rows - before);
            drop(part);
            walk.pass_on();
        }
        Ok(())
    })?;
    let mut total = Written::default();
    for part in parts {
        let written = part.open.into_inner().unwrap_or_else(PoisonError::into_inner).rows.finish()?;
        total.rows += written.rows;
        total.bytes += written.bytes;
    }
    Ok(total)
}

/// Gathers the rows of one file and writes them in blocks.
pub(super) struct RowWriter<'a> {
    /// Where a row's bytes are appended.
    pub(super) out: Vec<u8>,
    file: Sink,
    path: PathBuf,
    written: Written,
    stop: &'a Stop,
}

impl RowWriter<'_> {
    /// To be called after each row.
    #[inline]
    pub(super) fn row_done(&mut self) -> Result<(), Error> {
        self.written.rows += 1;
        if self.out.len() >= WRITE_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.stop.check()?;
        self.file.write_all(&self.out).map_err(Error::file("write", &self.path))?;
        self.out.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<Written, Error> {
        self.flush()?;
        let file = self.file.finish().map_err(Error::file("write", &self.path))?;
        // A cut file would be a smaller answer: a crash must not leave one under the table's final name.
        file.sync_data().map_err(Error::file("sync", &self.path))?;
        self.written.bytes = file.metadata().map_err(Error::file("look at", &self.path))?.len();
        Ok(self.written)
    }
}

/// A file, or what writes its text there compressed.
enum Sink {
    Plain(File),
    Compressed(Box<Encoder<BufWriter<File>>>),
}

impl Sink {
    fn create(path: &Path, compression: Option<Compression>) -> io::Result<Self> {
        let file = File::create_new(path)?;
        Ok(match compression {
            None => Sink::Plain(file),
            Some(compression) => Sink::Compressed(Box::new(Encoder::new(compression, BufWriter::new(file))?)),
        })
    }

    fn write_all(&mut self, text: &[u8]) -> io::Result<()> {
        match self {
            Sink::Plain(file) => file.write_all(text),
            Sink::Compressed(encoder) => encoder.write_all(text),
        }
    }

    fn finish(self) -> io::Result<File> {
        match self {
            Sink::Plain(file) => Ok(file),
            Sink::Compressed(encoder) => {
                encoder.finish()?.into_inner().map_err(io::IntoInnerError::into_error)
            }
        }
    }
}

/// A part file and whose turn it is.
struct Part<'a, S> {
    open: Mutex<OpenPart<'a, S>>,
    turn_passed: Condvar,
}

struct OpenPart<'a, S> {
    /// The slot whose rows come next.
    turn: u64,
    stream: S,
    rows: RowWriter<'a>,
}

impl<'a, S> Part<'a, S> {
    fn create(target: Target<'_>, file: u64, stream: S, stop: &'a Stop) -> Result<Self, Error> {
        let mut path = target.directory.join(format!("part-{file:05}"));
        if let Some(compression) = target.compression {
            path.set_extension(compression.extensions()[0]);
        }
        let file = Sink::create(&path, target.compression).map_err(Error::file("create", &path))?;
        let rows = RowWriter { out: Vec::new(), file, path, written: Written::default(), stop };
        Ok(Part { open: Mutex::new(OpenPart { turn: 0, stream, rows }), turn_passed: Condvar::new() })
    }

    fn wait_for(&self, slot: u64) -> MutexGuard<'_, OpenPart<'a, S>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        self.turn_passed.wait_while(open, |part| part.turn != slot).unwrap_or_else(PoisonError::into_inner)
    }
}

/// A slot's way through all files, in order. Dropped early, by an error or a panic, it still passes on the turns it
/// had, or the slots behind it would wait for ever.
struct Walk<'p, 'a, S> {
    parts: &'p [Part<'a, S>],
    slot: u64,
    done: usize,
}

impl<'p, 'a, S> Walk<'p, 'a, S> {
    /// Waits for this slot's turn at the next file; `None` after the last.
    fn wait(&self) -> Option<MutexGuard<'p, OpenPart<'a, S>>> {
        self.parts.get(self.done).map(|part| part.wait_for(self.slot))
    }

    fn pass_on(&mut self) {
        let part = &self.parts[self.done];
        part.wait_for(self.slot).turn += 1;
        part.turn_passed.notify_all();
        self.done += 1;
    }
}

impl<S> Drop for Walk<'_, '_, S> {
    fn drop(&mut self) {
        while self.done < self.parts.len() {
            self.pass_on();
        }
    }
}

/// Raises the process's limit of open files to what the parts need.
fn allow_open_files(files: u64) -> Result<(), Error> {
    let needed = files + OTHER_OPEN_FILES;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(needed), maximum: limit.maximum }).map_err(|_| {
        let allowed = limit.maximum.unwrap_or(needed).saturating_sub(OTHER_OPEN_FILES);
        Error::usage(
            format!("{files} files cannot be open at once here"),
            format!("--files {allowed} or fewer, or raise the limit with `ulimit -n {needed}`"),
        )
    })
}
