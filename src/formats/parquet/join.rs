//! One Parquet file of several of ours: their row groups one behind the other, as they are, under one footer.

use std::fs::File;
use std::io::{self, Write};

use super::footer::{MAGIC, TAIL_BYTES, damaged, footer_bytes};
use super::thrift::{self, Value};
use super::write::write_footer;
use crate::Error;
use crate::formats::file::append;
use crate::input::InputFile;
use crate::tables::Column;

/// The file that is being made.
pub(crate) struct Joined<'a> {
    to: &'a mut File,
    at: u64,
    rows: u64,
    groups: Vec<Value<'static>>,
}

impl<'a> Joined<'a> {
    pub(crate) fn start(to: &'a mut File) -> io::Result<Self> {
        to.write_all(MAGIC)?;
        Ok(Joined { to, at: MAGIC.len() as u64, rows: 0, groups: Vec::new() })
    }

    /// Appends the rows of a file that our writer made of the same columns.
    pub(crate) fn add(&mut self, part: &InputFile) -> Result<(), Error> {
        let bytes = footer_bytes(&part.open()?, &part.path)?;
        let body = MAGIC.len() as u64..part.bytes - TAIL_BYTES - bytes.len() as u64;
        let fault = || damaged(&part.path, body.end, "its footer cannot be read");
        let (footer, _) = thrift::read_struct(&bytes).map_err(|_| fault())?;
        self.rows += footer.size(3).ok_or_else(fault)?;
        let by = self.at as i64 - body.start as i64;
        for group in footer.list(4) {
            let mut group = group.clone().into_owned();
            shift_group(&mut group, by);
            self.groups.push(group);
        }
        self.at += body.end - body.start;
        append(part, body, self.to)
    }

    pub(crate) fn finish(self, columns: &[Column]) -> io::Result<()> {
        write_footer(self.to, columns, self.rows, self.groups)
    }
}

/// Moves a row group by so many bytes: wherever its footer says where something is.
fn shift_group(group: &mut Value<'_>, by: i64) {
    shift(group, 5, by);
    let Some(Value::List(chunks)) = group.get_mut(1) else { return };
    for chunk in chunks {
        shift(chunk, 2, by);
        if let Some(meta) = chunk.get_mut(3) {
            [9, 11].into_iter().for_each(|field| shift(meta, field, by));
        }
    }
}

fn shift(of: &mut Value<'_>, field: i16, by: i64) {
    if let Some(Value::I64(at)) = of.get_mut(field) {
        *at += by;
    }
}
