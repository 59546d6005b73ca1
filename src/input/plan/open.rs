//! Readers of splits.

use std::sync::Arc;

use super::Input;
use crate::Error;
use crate::formats::columns::{ColumnFile, ColumnReader, ColumnSource};
use crate::formats::csv::{CsvReader, FieldFilter, PageReader, Source, WantedField};
use crate::formats::packed::PackedDecoder;
use crate::formats::parquet::ParquetDecoder;
use crate::input::{Row, Split, SplitReader};
use crate::tables::Layout;

impl<R: Row> Input<R> {
    /// Starts to read one split.
    pub fn open_split(&self, split: &Split) -> Result<SplitReader<R>, Error> {
        let plan = &*self.plan;
        let file = &plan.files[split.file];
        let (blocks, unread_rows) = self.blocks_of(split);
        let column_source = || ColumnSource {
            unread_rows,
            path: Arc::clone(&file.path),
            table: plan.table,
            wanted: Arc::clone(&plan.wanted),
            bad_records: plan.bad_records,
            range: split.range.clone(),
        };
        match plan.columns.get(split.file) {
            Some(ColumnFile::Parquet(footer)) => {
                let decoder = ParquetDecoder::open(
                    footer,
                    file.open()?,
                    Arc::clone(&plan.wanted),
                    Arc::clone(&plan.ranges),
                    blocks,
                );
                Ok(SplitReader::parquet(ColumnReader::new(column_source(), decoder)))
            }
            Some(ColumnFile::Packed(footer)) => {
                let decoder =
                    PackedDecoder::open(footer, file.open()?, Arc::clone(&plan.wanted), &plan.ranges, blocks);
                Ok(SplitReader::packed(ColumnReader::new(column_source(), decoder)))
            }
            None => {
                let source = Source {
                    path: Arc::clone(&file.path),
                    file: file.open()?,
                    compression: file.compression,
                    range: split.range.clone(),
                    table: plan.table,
                    wanted: plan
                        .wanted
                        .iter()
                        .map(|wanted| WantedField::of(&plan.table, wanted.column))
                        .collect(),
                    filter: FieldFilter::new(&plan.table, &plan.wanted, &plan.ranges),
                    bad_records: plan.bad_records,
                    block_bytes: plan.block_bytes,
                };
                Ok(match plan.table.layout {
                    Layout::Pages => SplitReader::pages(PageReader::open(source)?),
                    Layout::Delimited(_) | Layout::Lines => SplitReader::csv(CsvReader::open(source)?),
                })
            }
        }
    }
}
