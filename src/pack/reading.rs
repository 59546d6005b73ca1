//! Groups of splits over threads, batch by batch, and the proof that files were cut between rows.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;

use crate::Error;
use crate::formats::columns::Batch;
use crate::generate::Stop;
use crate::generate::parallel::for_each_slot;
use crate::input::{Block, Input, Split, WholeRows, miscut_files};

/// Reads every group in the order of its splits, by one thread each; `open` starts what takes its batches, and `close` ends
/// it. Returns the files that were not cut between rows: what was read of them is void.
pub(super) fn read_groups<S>(
    input: &Input<WholeRows>,
    groups: &[Vec<Split>],
    threads: usize,
    (progress, stop): (&ProgressBar, &Stop),
    open: impl Fn(usize) -> Result<S, Error> + Sync,
    take: impl Fn(&mut S, &Batch, Block) -> Result<(), Error> + Sync,
    close: impl Fn(S) -> Result<(), Error> + Sync,
) -> Result<BTreeSet<usize>, Error> {
    let extents = Mutex::new(Vec::new());
    for_each_slot(threads, groups.len() as u64, stop, Batch::default, |batch, group| {
        let mut taker = open(group as usize)?;
        for split in &groups[group as usize] {
            let mut reader = input.open_batches(split)?;
            while let Some(block) = reader.next_batch(batch)? {
                stop.check()?;
                take(&mut taker, batch, block)?;
                progress.inc(block.bytes);
            }
            extents.lock().unwrap_or_else(PoisonError::into_inner).push((split.file, reader.extent()));
        }
        close(taker)
    })?;
    let mut extents = extents.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(miscut_files(&mut extents, input.files()))
}
