//! One packed file of several: their blocks one behind the other, as they are, under one footer.

use std::fs::File;
use std::io::{self, Write};

use super::file::read_footer;
use super::footer::{BlockEntry, Footer, MAGIC};
use crate::Error;
use crate::formats::file::{Stopped, append};
use crate::input::InputFile;
use crate::tables::Column;

/// The file that is being made.
pub(crate) struct Joined<'a> {
    to: &'a mut File,
    stopped: Stopped<'a>,
    blocks: Vec<BlockEntry>,
}

impl<'a> Joined<'a> {
    pub(crate) fn start(to: &'a mut File, stopped: Stopped<'a>) -> io::Result<Self> {
        to.write_all(&MAGIC)?;
        Ok(Joined { to, stopped, blocks: Vec::new() })
    }

    /// Appends the rows of a file that has the same columns.
    pub(crate) fn add(&mut self, part: &InputFile) -> Result<(), Error> {
        let (footer, end) = read_footer(part)?;
        self.blocks.extend(footer.blocks);
        append(part, MAGIC.len() as u64..end, self.to, self.stopped)
    }

    pub(crate) fn finish(self, columns: &[Column]) -> io::Result<()> {
        let columns = columns.iter().map(|column| (column.name.to_owned(), column.kind)).collect();
        Footer { columns, blocks: self.blocks }.end(self.to)
    }
}
