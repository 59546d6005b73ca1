//! A table's files: those in `<data>/<format>/<set>/<table>/`, or those that `--data` names outright, sorted by name,
//! compressed or not.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::store::{self, Object, Place};
use super::{FormatChoice, InputOptions};
use crate::Error;
use crate::formats::compression::{Compression, HEAD_BYTES, identify};
use crate::formats::file::PlannedFile;
use crate::generate;
use crate::tables::{Layout, Table};

/// A file with a quote in this many bytes at its start is not cut.
///
/// Looking costs one small read for each file larger than a split, by every process. Not cutting costs all parallelism
/// inside the file; but without it, a file with newlines in quotes is read twice.
pub const QUOTES_LOOKED_FOR_BYTES: u64 = 64 << 10;

/// A file of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Where it is; of a file in a store, its address.
    pub path: Arc<Path>,
    /// Its size when the job was planned.
    pub bytes: u64,
    /// How it is compressed, if it is; such a file is one split.
    pub compression: Option<Compression>,
    /// Where its bytes come from, if it is in a store.
    pub(crate) object: Option<Object>,
}

impl InputFile {
    /// A file of this machine, not compressed.
    pub(crate) fn local(path: &Path, bytes: u64) -> Self {
        InputFile { path: path.into(), bytes, compression: None, object: None }
    }

    /// What a store's list tells of it that differs where its bytes do: its `ETag`, or when it was changed; empty where neither is known.
    pub(crate) fn listed_version(&self) -> &str {
        self.object.as_ref().map_or("", Object::listed_version)
    }

    /// Opens it.
    pub(crate) fn open(&self) -> Result<PlannedFile, Error> {
        match &self.object {
            Some(object) => Ok(PlannedFile::of_store(object, self.bytes)),
            None => PlannedFile::open(&self.path, self.bytes).map_err(Error::file("open", &self.path)),
        }
    }
}

/// A format that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    Parquet,
    Packed,
}

impl Format {
    /// Directory of this format's sets, which is also what `--format` calls it.
    pub(super) fn directory(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Parquet => "parquet",
            Format::Packed => "packed",
        }
    }
}

/// Whether a directory of this machine has one of a format in it.
pub(crate) fn has_formats(data: &Path) -> bool {
    [Format::Csv, Format::Parquet, Format::Packed].iter().any(|format| data.join(format.directory()).is_dir())
}

impl FormatChoice {
    /// The formats meant, fastest first.
    fn formats(self) -> &'static [Format] {
        match self {
            FormatChoice::Auto => &[Format::Packed, Format::Parquet, Format::Csv],
            FormatChoice::Csv => &[Format::Csv],
            FormatChoice::Parquet => &[Format::Parquet],
            FormatChoice::Packed => &[Format::Packed],
        }
    }
}

/// A table's files.
pub(super) struct Listed {
    pub(super) format: Format,
    pub(super) files: Vec<InputFile>,
    /// What is odd about them.
    pub(super) warnings: Vec<String>,
}

/// The set that a table is of, unless `data` names the table outright, and no set.
pub(crate) fn set_of<'a>(options: &'a InputOptions, table: &Table) -> Option<&'a str> {
    let named = options.data.to_str().is_some_and(|data| data.contains("{set}"));
    (named || !names_outright(options, table)).then_some(&*options.set)
}

/// Finds a table and lists its files.
pub(super) fn list(table: &Table, options: &InputOptions) -> Result<Listed, Error> {
    let (format, files) = find(table, options)?;
    recognized(format, files)
}

/// Whether `data` names the table outright, and is no directory of formats and sets.
pub(crate) fn names_outright(options: &InputOptions, table: &Table) -> bool {
    store::outright(&options.data, &options.set, table.name).is_some()
}

/// Lists the files at a place, whatever the directory is called.
pub(super) fn list_at(place: &Place, options: &InputOptions) -> Result<Listed, Error> {
    let files = store::list(place, &options.stores)?.unwrap_or_default();
    if files.is_empty() {
        return Err(Error::Data(format!("there are no files at {}", place.shown())));
    }
    recognized(format_of(&files, options.format.formats())?, files)
}

/// The text files of a table by name, as they are listed: none is opened.
pub(crate) fn list_text_files(table: &Table, options: &InputOptions) -> Result<Vec<InputFile>, Error> {
    let place = store::outright(&options.data, &options.set, table.name)
        .unwrap_or_else(|| Place::Directory(directory_of(options, Format::Csv, table)));
    let files = store::list(&place, &options.stores)?.unwrap_or_default();
    if files.is_empty() && !options.may_be_empty {
        return Err(not_there(table, options, &[place.shown().into()]));
    }
    Ok(files)
}

/// Where the files of a table are that is not named outright.
fn directory_of(options: &InputOptions, format: Format, table: &Table) -> PathBuf {
    options.data.join(format.directory()).join(&options.set).join(table.name)
}

/// Files with their compression.
pub(super) fn recognized(format: Format, mut files: Vec<InputFile>) -> Result<Listed, Error> {
    let mut warnings = Vec::new();
    if format != Format::Csv {
        return Ok(Listed { format, files, warnings });
    }
    store::heads(
        &mut files,
        HEAD_BYTES as u64,
        |_| true,
        |_, file, head| {
            let (compression, warning) = identify(&file.path, file.bytes, head)?;
            file.compression = compression;
            warnings.extend(warning);
            Ok(())
        },
    )?;
    Ok(Listed { format, files, warnings })
}

/// The files of a table, and their format.
fn find(table: &Table, options: &InputOptions) -> Result<(Format, Vec<InputFile>), Error> {
    let formats = options.format.formats();
    if let Some(place) = store::outright(&options.data, &options.set, table.name) {
        return match store::list(&place, &options.stores)? {
            Some(files) if options.may_be_empty || !files.is_empty() => {
                Ok((format_of(&files, formats)?, files))
            }
            _ => Err(Error::Data(format!("there are no files at {}, which --data names", place.shown()))),
        };
    }
    let at = |format| directory_of(options, format, table);
    let mut empty = None;
    for &format in formats {
        let directory = at(format);
        match store::list(&Place::Directory(directory.clone()), &options.stores)? {
            // The rows may be in another format.
            Some(files) if files.is_empty() && options.may_be_empty => {
                empty.get_or_insert(format);
            }
            Some(files) if files.is_empty() => {
                return Err(Error::Data(format!("{} holds no files", directory.display())));
            }
            Some(files) => return Ok((format, files)),
            None => {}
        }
    }
    if let Some(format) = empty {
        return Ok((format, Vec::new()));
    }
    let looked_for: Vec<PathBuf> = formats.iter().map(|&format| at(format)).collect();
    Err(not_there(table, options, &looked_for))
}

/// The format of files that were named outright, by their extensions.
fn format_of(files: &[InputFile], formats: &[Format]) -> Result<Format, Error> {
    let [first, .., _] = formats else { return Ok(formats[0]) };
    let by_name = |file: &InputFile| {
        let extension = file.path.extension().unwrap_or_default();
        if extension.eq_ignore_ascii_case("mrp") {
            Format::Packed
        } else if extension.eq_ignore_ascii_case("parquet") {
            Format::Parquet
        } else {
            Format::Csv
        }
    };
    let format = files.first().map_or(*first, by_name);
    if let Some(other) = files.iter().find(|file| by_name(file) != format) {
        return Err(Error::Data(format!(
            "{} and {} are of different formats: a table has one\n  try: a pattern for one of them, or --format",
            files[0].path.display(),
            other.path.display()
        )));
    }
    Ok(format)
}

#[cold]
fn not_there(table: &Table, options: &InputOptions, looked_for: &[PathBuf]) -> Error {
    let looked_for =
        looked_for.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" or ");
    if store::is_remote(&options.data) {
        return not_in_store(table, options, &looked_for);
    }
    let tables = tables_of(&options.data);
    let data = options.data.display();
    let there = if tables.is_empty() {
        format!("no tables (a table is at {data}/<format>/<set>/<table>/)")
    } else {
        tables.join(", ")
    };
    let format = match *options.format.formats() {
        [only] => only,
        _ => Format::Csv,
    };
    let command = generate::command(table, &options.data, &options.set, format.directory());
    let remedy = if tables.is_empty() && store::has_files(&options.data) {
        format!("to read the files of that directory: --data '{data}/*'")
    } else if let Some(command) = command {
        format!("to make one: {command}")
    } else {
        "to read files that lie elsewhere: --data FILE, or --data 'DIR/*'".to_owned()
    };
    Error::Data(format!(
        "there is no table {} in set {}: no directory {looked_for}\n  there is: {there}\n  {remedy}",
        table.name, options.set
    ))
}

#[cold]
fn not_in_store(table: &Table, options: &InputOptions, looked_for: &str) -> Error {
    let listing = if options.data.starts_with("s3:") { "no files in" } else { "no _manifest.txt in" };
    let data = options.data.display().to_string();
    Error::Data(format!(
        "there is no table {} in set {}: {listing} {looked_for}\n  try: --data {}/<set>/{}/ for files that lie elsewhere",
        table.name,
        options.set,
        data.trim_end_matches('/'),
        table.name
    ))
}

/// Every `<format>/<set>/<table>` there is, sorted.
fn tables_of(data: &Path) -> Vec<String> {
    let mut paths = vec![data.to_path_buf()];
    for _ in ["format", "set", "table"] {
        let entries = paths.iter().filter_map(|path| fs::read_dir(path).ok()).flatten().flatten();
        paths = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    }
    paths.sort();
    let names = paths.iter().filter_map(|path| path.strip_prefix(data).ok());
    names.map(|path| path.display().to_string()).collect()
}

/// The files that would be cut, but had better not be: those that show a quote early.
pub(super) fn with_quotes(
    table: &Table,
    files: &mut [InputFile],
    split_bytes: u64,
) -> Result<BTreeSet<usize>, Error> {
    let mut found = BTreeSet::new();
    if !matches!(table.layout, Layout::Delimited(_)) {
        return Ok(found);
    }
    // What is compressed is not cut, and a quote in it would be none.
    let cut = |file: &InputFile| file.compression.is_none() && file.bytes > split_bytes;
    store::heads(files, QUOTES_LOOKED_FOR_BYTES, cut, |index, _, head| {
        found.extend(head.contains(&b'"').then_some(index));
        Ok(())
    })?;
    Ok(found)
}

/// What is to be said when a table's compressed files, which cannot be cut, leave workers without work.
pub(super) fn too_few(files: &[InputFile], split_bytes: u64, peers: usize) -> Option<String> {
    let compressed = files.iter().filter(|file| file.compression.is_some());
    let (count, bytes, largest) = compressed.fold((0, 0, 0), |(count, bytes, largest), file| {
        (count + 1, bytes + file.bytes, file.bytes.max(largest))
    });
    let most = 2 * bytes >= files.iter().map(|file| file.bytes).sum();
    // Smaller ones would not be cut either.
    (count > 0 && count < peers && most && largest > split_bytes).then(|| {
        let files = if count == 1 { "file" } else { "files" };
        format!(
            "{count} compressed {files} for {peers} workers: each is read by one worker, so others have nothing to read\n  \
             try: `pack --to packed`, or to parquet or csv: those are cut, and every worker has its share"
        )
    })
}

/// FNV-1a over names, sizes, compressions and versions: the same in every process, whatever the data's directory is called
/// there.
pub(super) fn digest(files: &[InputFile]) -> u64 {
    let above = common_directory(files);
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for file in files {
        let name = file.path.strip_prefix(above).unwrap_or(&file.path).as_os_str().as_encoded_bytes();
        let version = file.object.as_ref().map_or("", Object::version).as_bytes();
        // Neither has a zero byte, and what follows has a fixed length: lists cannot run together.
        let compression = file.compression.map_or(0, |compression| 1 + compression as u8);
        let text = name.iter().chain(&[0]).chain(version).chain(&[0]);
        for byte in text.chain(&file.bytes.to_le_bytes()).chain(&[compression]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}

/// The deepest directory that all files are below.
fn common_directory(files: &[InputFile]) -> &Path {
    let mut above = files.first().and_then(|file| file.path.parent()).unwrap_or(Path::new(""));
    while let Some(higher) = above.parent()
        && !files.iter().all(|file| file.path.starts_with(above))
    {
        above = higher;
    }
    above
}
