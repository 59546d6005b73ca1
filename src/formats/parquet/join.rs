//! One Parquet file of several of ours: their row groups one behind the other, as they are, under one footer.

use std::fs::File;
use std::io::{self, Write};

use super::footer::{MAGIC, TAIL_BYTES, footer_bytes};
use super::index_writer::{COLUMN_INDEX, ChunkIndex, OFFSET_INDEX};
use super::reason::damaged;
use super::thrift::{self, Value};
use super::write::{Groups, write_footer};
use crate::Error;
use crate::formats::file::{Stopped, append};
use crate::input::InputFile;
use crate::tables::Column;

/// The file that is being made.
pub(crate) struct Joined<'a> {
    to: &'a mut File,
    stopped: Stopped<'a>,
    at: u64,
    groups: Groups,
}

impl<'a> Joined<'a> {
    pub(crate) fn start(to: &'a mut File, stopped: Stopped<'a>) -> io::Result<Self> {
        to.write_all(MAGIC)?;
        Ok(Joined { to, stopped, at: MAGIC.len() as u64, groups: Groups::default() })
    }

    /// Appends the rows of a file that our writer made of the same columns.
    pub(crate) fn add(&mut self, part: &InputFile) -> Result<(), Error> {
        let file = part.open()?;
        let bytes = footer_bytes(&file, &part.path)?;
        let footer_at = part.bytes - TAIL_BYTES - bytes.len() as u64;
        let fault = || damaged(&part.path, footer_at, "its footer cannot be read");
        let (footer, _) = thrift::read_struct(&bytes).map_err(|_| fault())?;
        self.groups.rows += footer.size(3).ok_or_else(fault)?;
        let start = MAGIC.len() as u64;
        let by = self.at as i64 - start as i64;
        // The page index is made again, as it tells places in the file.
        let starts = footer.list(4).iter().flat_map(|group| group.list(1)).flat_map(index_starts);
        let body = start..starts.min().unwrap_or(footer_at);
        for group in footer.list(4) {
            let mut group = group.clone().into_owned();
            shift_group(&mut group, by);
            let index = ChunkIndex::take_all(&mut group, by, footer_at, &file, &part.path)?;
            self.groups.indexes.push(index.ok_or_else(fault)?);
            self.groups.metas.push(group);
        }
        self.at += body.end - body.start;
        append(part, body, self.to, self.stopped)
    }

    pub(crate) fn finish(self, columns: &[Column]) -> io::Result<()> {
        write_footer(self.to, self.at, columns, self.groups)
    }
}

/// Where the parts of a column chunk's page index start.
fn index_starts(chunk: &Value<'_>) -> impl Iterator<Item = u64> {
    [OFFSET_INDEX, COLUMN_INDEX].into_iter().filter_map(move |field| chunk.size(field))
}

/// Moves a row group by so many bytes: wherever its footer says where something is.
fn shift_group(group: &mut Value<'_>, by: i64) {
    group.shift(5, by);
    let Some(Value::List(chunks)) = group.get_mut(1) else { return };
    for chunk in chunks {
        chunk.shift(2, by);
        if let Some(meta) = chunk.get_mut(3) {
            [9, 11].into_iter().for_each(|field| meta.shift(field, by));
        }
    }
}
