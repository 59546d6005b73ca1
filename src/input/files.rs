//! A table's files: `<data>/<format>/<set>/<table>/`, every regular file in it, sorted by name, compressed or not.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{FormatChoice, InputOptions};
use crate::Error;
use crate::formats::compression::{Compression, HEAD_BYTES, identify};
use crate::tables::{Layout, Table};

/// A file with a quote in this many bytes at its start is not cut.
///
/// Looking costs one small read for each file larger than a split, by every process. Not cutting costs all parallelism
/// inside the file; but without it, a file with newlines in quotes is read twice.
pub const QUOTES_LOOKED_FOR_BYTES: u64 = 64 << 10;

/// A file of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Where it is.
    pub path: Arc<Path>,
    /// Its size when the job was planned.
    pub bytes: u64,
    /// How it is compressed, if it is; such a file is one split.
    pub compression: Option<Compression>,
}

/// A format that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
}

impl Format {
    /// Directory of this format's sets.
    fn directory(self) -> &'static str {
        match self {
            Format::Csv => "csv",
        }
    }
}

impl FormatChoice {
    /// The formats meant, fastest first.
    fn formats(self) -> &'static [Format] {
        match self {
            FormatChoice::Auto | FormatChoice::Csv => &[Format::Csv],
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

/// Finds a table and lists its files.
pub(super) fn list(table: &Table, options: &InputOptions) -> Result<Listed, Error> {
    let at = |format: &Format| options.data.join(format.directory()).join(&options.set).join(table.name);
    let formats = options.format.formats();
    let Some(format) = formats.iter().find(|format| at(format).is_dir()) else {
        let looked_for: Vec<PathBuf> = formats.iter().map(at).collect();
        return Err(not_there(table, options, &looked_for));
    };
    let directory = at(format);
    let mut files = list_directory(&directory)?;
    if files.is_empty() {
        return Err(Error::Data(format!("{} holds no files", directory.display())));
    }
    let mut warnings = Vec::new();
    let mut head = Vec::new();
    for file in &mut files {
        read_head(file, HEAD_BYTES as u64, &mut head)?;
        let (compression, warning) = identify(&file.path, file.bytes, &head)?;
        file.compression = compression;
        warnings.extend(warning);
    }
    Ok(Listed { format: *format, files, warnings })
}

/// The first bytes of a file.
fn read_head(file: &InputFile, bytes: u64, head: &mut Vec<u8>) -> Result<(), Error> {
    head.clear();
    if file.bytes == 0 {
        return Ok(());
    }
    let opened = File::open(&file.path).map_err(Error::file("open", &file.path))?;
    opened.take(bytes).read_to_end(head).map(drop).map_err(Error::file("read", &file.path))
}

fn list_directory(directory: &Path) -> Result<Vec<InputFile>, Error> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(Error::file("list", directory))? {
        let entry = entry.map_err(Error::file("list", directory))?;
        // Other programs keep markers and checksums next to the data under such names.
        if matches!(entry.file_name().as_encoded_bytes().first(), Some(b'.' | b'_')) {
            continue;
        }
        let path = entry.path();
        let metadata = fs::metadata(&path).map_err(Error::file("look at", &path))?;
        if !metadata.is_file() {
            // To pass over it could mean to pass over rows.
            return Err(Error::Data(format!(
                "{} is not a regular file: a table's files lie in its directory, without folders between",
                path.display()
            )));
        }
        files.push(InputFile { path: path.into(), bytes: metadata.len(), compression: None });
    }
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

#[cold]
fn not_there(table: &Table, options: &InputOptions, looked_for: &[PathBuf]) -> Error {
    let looked_for: Vec<String> = looked_for.iter().map(|path| path.display().to_string()).collect();
    let tables = tables_of(&options.data);
    let there = if tables.is_empty() {
        format!("no tables (a table is at {}/<format>/<set>/<table>/)", options.data.display())
    } else {
        tables.join(", ")
    };
    Error::Data(format!(
        "there is no table {} in set {}: no directory {}\n  there is: {there}\n  to make data: cargo run --release --bin \
         generate -- --set tiny",
        table.name,
        options.set,
        looked_for.join(" or ")
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
    files: &[InputFile],
    split_bytes: u64,
) -> Result<BTreeSet<usize>, Error> {
    let mut found = BTreeSet::new();
    if !matches!(table.layout, Layout::Delimited(_)) {
        return Ok(found);
    }
    let mut head = Vec::new();
    // What is compressed is not cut, and a quote in it would be none.
    let cut = |file: &InputFile| file.compression.is_none() && file.bytes > split_bytes;
    for (index, file) in files.iter().enumerate().filter(|(_, file)| cut(file)) {
        read_head(file, QUOTES_LOOKED_FOR_BYTES, &mut head)?;
        if head.contains(&b'"') {
            found.insert(index);
        }
    }
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
             try: {peers} files or more (`generate --files`), or decompressed ones, which are cut"
        )
    })
}

/// FNV-1a over names, sizes and compressions: the same in every process, whatever the data's directory is called there.
pub(super) fn digest(files: &[InputFile]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for file in files {
        let name = file.path.file_name().unwrap_or_default().as_encoded_bytes();
        // Behind its name, which has no zero byte, a file's entry has a fixed length: lists cannot run together.
        let compression = file.compression.map_or(0, |compression| 1 + compression as u8);
        for byte in name.iter().chain(&[0]).chain(&file.bytes.to_le_bytes()).chain(&[compression]) {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    hash
}
