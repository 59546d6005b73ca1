//! Packed files.

use std::sync::Arc;

use super::columns::{Batch, BlockPlan, Decode, Decoded, Wanted};
use crate::Error;
use crate::formats::file::PlannedFile;
use crate::input::InputFile;
use crate::tables::Table;

/// A file whose footer was read and fits its table.
#[derive(Debug)]
pub(crate) struct PackedFile {
    blocks: Vec<BlockPlan>,
}

impl PackedFile {
    /// Reads the footer and finds the columns of `table` in it.
    pub(crate) fn open(_file: &InputFile, _table: &Table) -> Result<Self, Error> {
        Err(Error::Data("not yet".to_owned()))
    }

    /// Its blocks, in the order of the file.
    pub(crate) fn blocks(&self) -> &[BlockPlan] {
        &self.blocks
    }
}

/// Decodes some of a file's blocks.
pub(crate) struct PackedDecoder {}

impl PackedDecoder {
    /// Says what will be read, and reads nothing yet. `blocks` are indices into [`PackedFile::blocks`], ascending.
    pub(crate) fn open(
        _footer: &Arc<PackedFile>,
        _file: PlannedFile,
        _wanted: Arc<[Wanted]>,
        _blocks: Vec<usize>,
    ) -> Result<Self, Error> {
        Ok(PackedDecoder {})
    }
}

impl Decode for PackedDecoder {
    fn next_batch(&mut self, _batch: &mut Batch) -> Result<Option<Decoded>, Error> {
        Ok(None)
    }
}
