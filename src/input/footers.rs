//! The footers of column files, several of which are read at once.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::files::{Format, InputFile};
use crate::Error;
use crate::formats::columns::{ColumnFile, StoredColumn, Wanted, has_twice};
use crate::formats::packed::PackedFile;
use crate::formats::parquet::ParquetFile;
use crate::tables::{ColumnType, Table, repeated};

/// So many are read of a store at once: each takes two requests, one after the other, and nearly all of their time is waiting.
const FAR_AT_ONCE: usize = 32;

/// Reads the footers of all files, in their order, and sees that the wanted columns can be read; none where they are text.
pub(super) fn footers(
    table: &Table,
    wanted: &[Wanted],
    format: Format,
    files: &[InputFile],
) -> Result<Arc<[ColumnFile]>, Error> {
    let at_once = at_once(files);
    let footers = match format {
        Format::Csv => Ok(Vec::new()),
        Format::Parquet => in_order(files, at_once, |file| {
            let footer = ParquetFile::open(file, table)?;
            footer.check_readable(wanted)?;
            Ok(ColumnFile::Parquet(footer.into()))
        }),
        Format::Packed => {
            in_order(files, at_once, |file| Ok(ColumnFile::Packed(PackedFile::open(file, table)?.into())))
        }
    };
    footers.map(Into::into)
}

/// The columns of files by what their footers say.
pub(crate) struct StoredColumns {
    /// Those of the first file in its order, and then those that only others have; with their bytes in all files.
    pub(crate) columns: Vec<StoredColumn>,
    /// Why they are not the columns of a table.
    fault: Option<Error>,
}

impl StoredColumns {
    /// The columns, if they can be those of a table that the files themselves tell.
    ///
    /// # Errors
    ///
    /// A file has a name twice, or a column that the first one has not: nobody would miss it.
    pub(crate) fn of_all_files(self) -> Result<Vec<StoredColumn>, Error> {
        self.fault.map_or(Ok(self.columns), Err)
    }
}

/// The columns of these files; `None` of text, which has no footer.
///
/// # Errors
///
/// A footer cannot be read.
pub(super) fn stored_columns(format: Format, files: &[InputFile]) -> Result<Option<StoredColumns>, Error> {
    let read = match format {
        Format::Csv => return Ok(None),
        Format::Parquet => ParquetFile::stored_columns,
        Format::Packed => PackedFile::stored_columns,
    };
    let read = in_order(files, at_once(files), read)?;
    let (mut columns, mut fault) = (Vec::<StoredColumn>::new(), None);
    for (file, of_file) in files.iter().zip(read) {
        if let Some(name) = repeated(of_file.iter().map(|column| column.name.as_str())) {
            fault.get_or_insert_with(|| has_twice(&file.path, name));
        }
        for found in of_file {
            let Some(known) = columns.iter_mut().find(|known| known.name == found.name) else {
                if file.path != files[0].path {
                    fault.get_or_insert_with(|| not_in_all(file, &found.name, &files[0]));
                }
                columns.push(found);
                continue;
            };
            known.bytes = known.bytes.saturating_add(found.bytes);
            known.kind = wider(&known.kind, &found.kind);
        }
    }
    Ok(Some(StoredColumns { columns, fault }))
}

#[cold]
fn not_in_all(file: &InputFile, column: &str, first: &InputFile) -> Error {
    Error::Data(format!(
        "{} has a column {column}, which {} has not\n  try: --columns 'name:type,…' with columns that all files have",
        file.path.display(),
        first.path.display()
    ))
}

/// The type that a column has in both of two files.
fn wider(one: &Result<ColumnType, String>, other: &Result<ColumnType, String>) -> Result<ColumnType, String> {
    match (one, other) {
        (Ok(ColumnType::Int), Ok(ColumnType::Long)) => Ok(ColumnType::Long),
        (Ok(ColumnType::Float), Ok(ColumnType::Double)) => Ok(ColumnType::Double),
        (Ok(_), Err(reason)) => Err(reason.clone()),
        // Who reads it is told of the file that does not fit.
        (one, _) => one.clone(),
    }
}

pub(super) fn at_once(files: &[InputFile]) -> usize {
    let is_far = files.iter().any(|file| file.object.is_some());
    if is_far { FAR_AT_ONCE } else { thread::available_parallelism().map_or(1, NonZero::get) }
}

/// What `make` makes of each item, so many at once. Of several errors it gives the one of the first item, whichever came first.
pub(super) fn in_order<T: Sync, R: Send, E: Send>(
    items: &[T],
    at_once: usize,
    make: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let (next, has_failed) = (AtomicUsize::new(0), AtomicBool::new(false));
    let made: Mutex<Vec<_>> = Mutex::new(items.iter().map(|_| None).collect());
    let work = || {
        // Items are taken in order and each that is taken is finished, so that none in front of a failed one is left out.
        while !has_failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { return };
            let result = make(item);
            has_failed.fetch_or(result.is_err(), Ordering::Relaxed);
            made.lock().unwrap_or_else(PoisonError::into_inner)[index] = Some(result);
        }
    };
    thread::scope(|scope| {
        for _ in 1..at_once.min(items.len()) {
            // Where the machine gives no more threads, those that there are read the rest.
            if thread::Builder::new().name("footers".to_owned()).spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    made.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Catches results in the order of their end, and a window that is larger than it may be or is not used.
    #[test]
    fn results_are_in_order_and_only_so_many_are_made_at_once() {
        let items: Vec<u64> = (0..24).collect();
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let made = in_order(&items, 4, |item| {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::sleep(Duration::from_millis(3 + item * 7 % 5));
            now.fetch_sub(1, Ordering::SeqCst);
            Ok::<_, ()>(item * 10)
        });
        assert_eq!(made, Ok(items.iter().map(|item| item * 10).collect()));
        assert!((2..=4).contains(&most.into_inner()));
    }

    /// Catches an error that depends on which came first, and work that goes on behind it.
    #[test]
    fn the_first_item_that_fails_gives_the_error() {
        let items: Vec<u64> = (0..1000).collect();
        let count = AtomicUsize::new(0);
        let made = in_order(&items, 4, |&item| {
            count.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(if item == 2 { 50 } else { 1 }));
            if [2, 3].contains(&item) { Err(item) } else { Ok(()) }
        });
        assert_eq!(made, Err(2));
        assert!(count.into_inner() < 1000);
    }
}
