//! Delimited text, plain lines and pages of lines, without a header.
//!
//! - A byte order mark of UTF-8 at the start of a text is no part of its first row.
//! - A row ends with `\n` or `\r\n`; the last one needs neither. An entirely empty line is skipped where a table has
//!   more than one column, and is an empty value where it has only one.
//! - A field that starts with `"` follows RFC 4180: it may hold delimiters, newlines and doubled quotes, and nothing
//!   may follow its closing quote. A quote anywhere else is a byte like any other. Plain lines know no quotes.
//! - A row with more or fewer fields than its table has columns is a bad record, the last one too: a file that was
//!   cut off in the middle of a row is an error and not a smaller answer.
//! - Only fields that are read are looked at: the others may hold any bytes.
//! - A row may be up to [`MAX_ROW_BYTES`] long.
//!
//! How a split becomes rows: [`window`] reads a block of the [`text`], which is the file or what it decompresses to; [`index`] finds every delimiter, newline and quote of
//! a chunk of it that fits the first cache; [`reader`] checks that the chunk is rows of the right number of fields
//! and no quotes, and then takes the wanted fields by their place in the index, of rows that [`filter`] does not leave out. A chunk that is anything
//! else goes through [`careful`], row by row. [`pages`] finds the headers of pages in a window instead. [`field`] and [`number`] make values of fields for [`super::row`]. [`fault`]
//! deals with bad records. [`write`] and [`writer`] go the other way.

mod careful;
mod fault;
mod field;
mod filter;
mod index;
mod number;
mod pages;
mod reader;
mod text;
mod window;
mod write;
mod writer;

pub(in crate::formats) use field::FieldDeserializer;
pub(crate) use filter::FieldFilter;
pub(in crate::formats) use number::{parse_f32, parse_f64, parse_i64};
pub use write::write_field;
pub(in crate::formats) use write::{push_cell, push_date, push_double, push_float, push_integer};
pub(crate) use writer::{CsvWriter, begins_file};

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

pub(crate) use pages::PageReader;
pub(crate) use reader::CsvReader;

use crate::formats::compression::Compression;
use crate::formats::file::PlannedFile;
use crate::input::BadRecords;
use crate::tables::{ColumnType, Layout, Table};
use index::Marks;

/// The longest row there may be: what a reader keeps in memory of one file is bounded by it.
pub(crate) const MAX_ROW_BYTES: usize = 64 << 20;

/// What to read: rows of a table that start in a range of a file, and of them some columns.
pub(crate) struct Source {
    pub(crate) path: Arc<Path>,
    pub(crate) file: PlannedFile,
    /// How the text is compressed, if it is: the range is then the whole file.
    pub(crate) compression: Option<Compression>,
    pub(crate) range: Range<u64>,
    pub(crate) table: Table,
    /// Columns of the table, in the order of the query's struct.
    pub(crate) wanted: Arc<[WantedField]>,
    /// Rows that are not given.
    pub(crate) filter: FieldFilter,
    pub(crate) bad_records: BadRecords,
    /// How much of the file to read at once.
    pub(crate) block_bytes: usize,
}

/// A column that is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WantedField {
    column: usize,
    /// Whether it holds numbers of 64 bits, which the text of a number does not say.
    is_wide: bool,
}

impl WantedField {
    /// This column of a table.
    pub(crate) fn of(table: &Table, column: usize) -> Self {
        let is_wide = matches!(table.columns[column].kind, ColumnType::Long | ColumnType::Double);
        WantedField { column, is_wide }
    }
}

/// How rows and fields are told apart.
#[derive(Debug, Clone, Copy)]
struct Dialect {
    marks: Marks,
    /// Whether a field may be quoted.
    quoted: bool,
    columns: usize,
}

impl Dialect {
    fn of(table: &Table) -> Self {
        let columns = table.columns.len();
        match table.layout {
            Layout::Delimited(delimiter) => {
                Dialect { marks: Marks { delimiter, quote: b'"' }, quoted: true, columns }
            }
            // With newlines in their places the index has no marks but newlines.
            Layout::Lines | Layout::Pages => {
                Dialect { marks: Marks { delimiter: b'\n', quote: b'\n' }, quoted: false, columns }
            }
        }
    }

    /// Whether an entirely empty line is no row.
    fn skips_blank_lines(self) -> bool {
        self.columns > 1
    }
}
