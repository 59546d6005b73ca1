//! A table's file being written, whatever its format.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use super::columns::{Batch, unfit};
use super::compression::{Compression, Encoder};
use super::csv::{CsvWriter, begins_file};
use super::packed::PackedWriter;
use super::parquet::ParquetWriter;
use crate::tables::{Column, Table, repeated};

/// A format that can be written: `packed`, `parquet`, `csv`, or `csv.gz` and the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputFormat {
    /// Delimited text, or plain lines where a table has those; compressed or not.
    Csv(Option<Compression>),
    /// The packed format.
    Packed,
    /// Apache Parquet.
    Parquet,
}

impl OutputFormat {
    /// Directory of this format's sets below a data directory.
    pub fn directory(self) -> &'static str {
        match self {
            OutputFormat::Csv(_) => "csv",
            OutputFormat::Packed => "packed",
            OutputFormat::Parquet => "parquet",
        }
    }

    /// The name of the file with this number.
    pub fn file_name(self, number: usize) -> String {
        match self {
            OutputFormat::Csv(None) => format!("part-{number:05}"),
            OutputFormat::Csv(Some(compression)) => {
                format!("part-{number:05}.{}", compression.extensions()[0])
            }
            OutputFormat::Packed => format!("part-{number:05}.mrp"),
            OutputFormat::Parquet => format!("part-{number:05}.parquet"),
        }
    }

    /// Whether a row can only be the first one of a file.
    pub(crate) fn begins_file(self, table: &Table, batch: &Batch, row: usize) -> bool {
        matches!(self, OutputFormat::Csv(_)) && begins_file(table, batch, row)
    }
}

impl FromStr for OutputFormat {
    type Err = String;

    fn from_str(typed: &str) -> Result<Self, String> {
        let compression = |extension: &str| {
            Compression::ALL.into_iter().find(|known| known.extensions().contains(&extension))
        };
        match typed.split_once('.') {
            None if typed == "packed" => Ok(OutputFormat::Packed),
            None if typed == "parquet" => Ok(OutputFormat::Parquet),
            None if typed == "csv" => Ok(OutputFormat::Csv(None)),
            Some(("csv", extension)) => compression(extension)
                .map(|compression| OutputFormat::Csv(Some(compression)))
                .ok_or_else(|| "csv can end in .deflate, .gz, .zst, .sz, .lz4 or .bz2".to_owned()),
            _ => Err("type packed, parquet, csv, or csv with a compression, as csv.gz".to_owned()),
        }
    }
}

impl fmt::Display for OutputFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.directory())?;
        match self {
            OutputFormat::Csv(Some(compression)) => write!(f, ".{}", compression.extensions()[0]),
            _ => Ok(()),
        }
    }
}

/// Refuses columns of which two have one name: a reader could not tell them apart.
pub(super) fn check_names(columns: &[Column]) -> io::Result<()> {
    match repeated(columns.iter().map(|column| column.name)) {
        Some(name) => Err(unfit(format!("more than one column is called {name}"))),
        None => Ok(()),
    }
}

/// Writes rows of a table to `W`; which format is chosen once a batch, never a row.
pub(crate) enum TableWriter<W: Write + Send> {
    Csv(CsvWriter<W>),
    Compressed(Box<CsvWriter<Encoder<W>>>),
    Packed(Box<PackedWriter<W>>),
    Parquet(Box<ParquetWriter<W>>),
}

impl<W: Write + Send> TableWriter<W> {
    /// Starts a file.
    pub(crate) fn create(format: OutputFormat, to: W, table: &Table) -> io::Result<Self> {
        check_names(table.columns)?;
        Ok(match format {
            OutputFormat::Csv(None) => TableWriter::Csv(CsvWriter::create(to, table)),
            OutputFormat::Csv(Some(compression)) => {
                let encoder = Encoder::new(compression, to)?;
                TableWriter::Compressed(Box::new(CsvWriter::create(encoder, table)))
            }
            OutputFormat::Packed => TableWriter::Packed(Box::new(PackedWriter::create(to, table)?)),
            OutputFormat::Parquet => TableWriter::Parquet(Box::new(ParquetWriter::create(to, table)?)),
        })
    }

    /// Writes all rows of a batch, which has all columns of the table.
    pub(crate) fn write(&mut self, batch: &Batch) -> io::Result<()> {
        match self {
            TableWriter::Csv(writer) => writer.write(batch),
            TableWriter::Compressed(writer) => writer.write(batch),
            TableWriter::Packed(writer) => writer.write(batch),
            TableWriter::Parquet(writer) => writer.write(batch),
        }
    }

    /// Bytes of rows that wait for their block to be full, about.
    pub(crate) fn held_bytes(&self) -> usize {
        match self {
            TableWriter::Csv(_) | TableWriter::Compressed(_) => 0,
            TableWriter::Packed(writer) => writer.held_bytes(),
            TableWriter::Parquet(writer) => writer.held_bytes(),
        }
    }

    /// Ends the file and gives back what it was written to.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            TableWriter::Csv(writer) => writer.finish(),
            TableWriter::Compressed(writer) => writer.finish()?.finish(),
            TableWriter::Packed(writer) => writer.finish(),
            TableWriter::Parquet(writer) => writer.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::row_writer::{RowFormat, RowWriter};

    /// Catches a file of which every reader takes another column for the one that is meant.
    #[test]
    fn columns_of_one_name_are_not_written() {
        const COLUMNS: &[Column] = &[Column::text("a"), Column::int("b"), Column::long("a")];
        let twice = Table::delimited("twice", b',', COLUMNS);
        let said = |written: Option<io::Error>| {
            assert_eq!(written.expect("refused").to_string(), "more than one column is called a");
        };
        for format in [OutputFormat::Packed, OutputFormat::Parquet, OutputFormat::Csv(None)] {
            said(TableWriter::create(format, Vec::new(), &twice).err());
        }
        for format in [RowFormat::Csv, RowFormat::Jsonl, RowFormat::Parquet, RowFormat::Packed] {
            said(RowWriter::create(format, COLUMNS, Vec::new()).err());
        }
    }
}
