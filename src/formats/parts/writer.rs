//! One part while it is written.

use std::fmt;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::PathBuf;

use super::{Output, Part};
use crate::Error;
use crate::formats::row_writer::{FieldWriter, RowWriter};

/// Writes one part: rows go to [`PartWriter::row`], [`PartWriter::finish`] makes it count.
pub struct PartWriter {
    pub(super) output: Output,
    pub(super) path: PathBuf,
    pub(super) rows: RowWriter<BufWriter<File>>,
    pub(super) name: String,
}

impl fmt::Debug for PartWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartWriter")
            .field("path", &self.path)
            .field("rows", &self.rows.rows())
            .finish_non_exhaustive()
    }
}

impl PartWriter {
    /// Writes the row whose fields `encode` gives, in the order of the output's columns.
    ///
    /// # Errors
    ///
    /// The disk is full, the format cannot hold a value, or the fields are not those of the columns.
    #[inline]
    pub fn row(&mut self, encode: impl FnOnce(&mut FieldWriter)) -> Result<(), Error> {
        self.rows.row(encode).map_err(|source| Error::file("write", &self.path)(source))
    }

    /// Bytes of rows that it keeps in memory, about: of column formats, up to a block.
    pub fn held_bytes(&self) -> usize {
        self.rows.held_bytes()
    }

    /// Brings everything to disk, if the output is [`synced`](super::Form::synced), or else to the operating system.
    pub fn finish(self) -> Result<(), Error> {
        let rows = self.rows.rows();
        let finish = || {
            let file = self.rows.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
            self.output.0.form.sync(&file)?;
            Ok(file.metadata()?.len())
        };
        let bytes = finish().map_err(Error::file("write", &self.path))?;
        self.output.0.lock().finished.push(Part { name: self.name, rows, bytes });
        Ok(())
    }
}
