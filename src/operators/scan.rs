//! `scan`: the source. It reads splits row by row, one after the other as this worker comes to them, and gives what a closure makes of them.
//!
//! Input is given in rounds of bounded size, one a scheduling, so that the reducers have their turn; a scan waits
//! while too many rounds are under way anywhere in the job.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use timely::container::CapacityContainerBuilder;
use timely::dataflow::operators::generic::operator::source;
use timely::dataflow::{Scope, StreamVec};

use super::context::{Round, WorkerContext, add};
use crate::Error;
use crate::input::{Input, Row, Split, SplitQueue, SplitReader};

/// A round ends once it has this many records: enough that the rounds themselves cost nothing.
const ROUND_RECORDS: usize = 32 << 10;
/// Or once these take so many bytes. A round is made before the next operator sees any of it, and so is what that makes of it: all is
/// to be in the second nearest cache still when it is read.
const ROUND_RECORD_BYTES: usize = 512 << 10;
/// A round also ends once this many bytes were read or parsed, for scans that keep few of their rows.
const ROUND_BYTES: u64 = 8 << 20;
/// Records of one container, and of a round at least.
const CONTAINER_RECORDS: usize = 1024;
/// Splits that are opened before it is their turn, where that starts to fetch them: as many as have these bytes.
const AHEAD_BYTES: u64 = 48 << 20;
/// And no more than these: of small ones, which are one request each.
const MOST_AHEAD: usize = 8;
/// How long to wait before looking again whether the others have caught up.
const WAIT: Duration = Duration::from_micros(200);

/// Reading a table into a dataflow.
pub trait Scan<'scope> {
    /// Reads `input`, each split on one of the workers; `logic` turns each row into any number of records: `Some(record)`
    /// to map, `condition.then(|| record)` to filter, an array or iterator to give several. A bad record or an
    /// unreadable file fails the job.
    ///
    /// Cost: the wanted columns are decoded, and of text all fields are gone through. Nothing is exchanged, and no row is allocated: it
    /// borrows its texts. Memory for each worker: of text a block of 256 KiB, or the longest row if that is more, of Parquet as much and a
    /// page of each wanted column, of packed files the wanted columns of a block, and what a decompressor needs; beside it one round of
    /// records, which are 32,768 of them or 512 KiB, and more where a block of rows gives more. Scans spill nothing: they wait while as
    /// much is in flight as may be, which is 8 rounds for each worker, or what an eighth of `--memory` holds if that is less.
    ///
    /// ```
    /// use millrace::input::{Input, InputOptions, Row};
    /// use millrace::operators::{Count, Scan};
    /// use millrace::tables::RANKINGS;
    /// use timely::dataflow::operators::Inspect;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Page<'a> {
    ///     #[serde(rename = "pageURL")]
    ///     url: &'a str,
    ///     #[serde(rename = "pageRank")]
    ///     rank: u32,
    /// }
    /// impl Row for Page<'_> {
    ///     type Of<'a> = Page<'a>;
    /// }
    ///
    /// let rankings: Input<Page> = Input::open(&RANKINGS, &InputOptions::default())?;
    /// timely::example(move |scope| {
    ///     scope
    ///         .scan(&rankings, |page| (page.rank > 0).then(|| page.url.len()))
    ///         .count()
    ///         .inspect(|pages| assert_eq!(*pages, 1_200));
    /// });
    /// # Ok::<(), millrace::Error>(())
    /// ```
    fn scan<R, I, F>(&self, input: &Input<R>, logic: F) -> StreamVec<'scope, Round, I::Item>
    where
        R: Row + 'static,
        I: IntoIterator<Item: 'static>,
        F: for<'a> FnMut(R::Of<'a>) -> I + 'static;
}

impl<'scope> Scan<'scope> for Scope<'scope, Round> {
    fn scan<R, I, F>(&self, input: &Input<R>, mut logic: F) -> StreamVec<'scope, Round, I::Item>
    where
        R: Row + 'static,
        I: IntoIterator<Item: 'static>,
        F: for<'a> FnMut(R::Of<'a>) -> I + 'static,
    {
        let context = WorkerContext::current();
        let (scan, uncut) = context.next_scan(input);
        let input = input.uncut(&uncut);
        let name = format!("Scan {}", input.table().name);
        let splits = context.splits(scan, &input, self.index(), self.peers());
        let mut reading = Reading { scan, input, splits, current: None, ahead: VecDeque::new() };
        let mut waits_since = None;
        source::<_, CapacityContainerBuilder<Vec<I::Item>>, _, _>(*self, &name, |capability, info| {
            let activator = self.activator_for(info.address);
            let first = WorkerContext::first_round(scan);
            let mut held = Some(capability.delayed(&first));
            drop(capability);
            let mut batch = Vec::with_capacity(CONTAINER_RECORDS);
            move |output| {
                let Some(capability) = &mut held else { return };
                let round = context.next_round(*capability.time());
                // Before any wait: the right to give an older round is what others would be waiting for.
                capability.downgrade(&round);
                if context.must_wait(first, round) {
                    waits_since.get_or_insert_with(Instant::now);
                    activator.activate_after(WAIT);
                    return;
                }
                if let Some(since) = waits_since.take() {
                    let waited = &context.counters.waited;
                    waited.set(waited.get() + since.elapsed());
                }
                let mut session = output.session(capability);
                let mut given = 0;
                // Always, here and below: there is one such closure for each format, and a call for each row.
                let outcome = reading.round(
                    &context,
                    round_records::<I::Item>(),
                    #[inline(always)]
                    |row| {
                        let before = batch.len();
                        batch.extend(logic(row));
                        let more = batch.len() - before;
                        if batch.len() >= CONTAINER_RECORDS {
                            session.give_container(&mut batch);
                            batch.reserve(CONTAINER_RECORDS);
                        }
                        given += more;
                        more as u64
                    },
                );
                session.give_container(&mut batch);
                drop(session);
                context.gave(round, (given * size_of::<I::Item>()) as u64);
                match outcome {
                    Ok(true) => {
                        capability.downgrade(&(round + 1));
                        activator.activate();
                    }
                    Ok(false) => held = None,
                    Err(error) => {
                        context.process.failure.set(error);
                        held = None;
                    }
                }
            }
        })
    }
}

/// Records of a round, of this kind.
fn round_records<T>() -> u64 {
    (ROUND_RECORD_BYTES / size_of::<T>().max(1)).clamp(CONTAINER_RECORDS, ROUND_RECORDS) as u64
}

/// Where a worker is in a table.
struct Reading<R: Row> {
    scan: usize,
    input: Input<R>,
    splits: Arc<SplitQueue>,
    current: Option<(usize, SplitReader<R>)>,
    /// Splits of files that are far away, which are being fetched.
    ahead: VecDeque<(Split, SplitReader<R>)>,
}

impl<R: Row> Reading<R> {
    /// Opens the next split; of files that are far away, some of those behind it too.
    fn next(&mut self) -> Result<Option<(Split, SplitReader<R>)>, Error> {
        let open = || -> Result<_, Error> {
            let Some(split) = self.splits.take() else { return Ok(None) };
            Ok(Some((split.clone(), self.input.open_split(split)?)))
        };
        let next = match self.ahead.pop_front() {
            Some(next) => Some(next),
            None => open()?,
        };
        let enough = |ahead: &VecDeque<(Split, _)>| {
            ahead.len() >= MOST_AHEAD
                || ahead.iter().map(|(split, _)| split.bytes()).sum::<u64>() >= AHEAD_BYTES
        };
        while self.input.is_remote() && !enough(&self.ahead) {
            let Some(opened) = open()? else { break };
            self.ahead.push_back(opened);
        }
        Ok(next)
    }

    /// Reads one round of about so many records; `take` is given every row and tells how many records it made. False when all is read.
    fn round(
        &mut self,
        context: &WorkerContext,
        most_records: u64,
        mut take: impl FnMut(R::Of<'_>) -> u64,
    ) -> Result<bool, Error> {
        let counters = &context.counters;
        let (mut records, mut bytes, mut parsed) = (0, 0, 0);
        let mut more = true;
        while records < most_records && parsed < ROUND_BYTES {
            let Some((file, reader)) = &mut self.current else {
                let Some((split, reader)) = self.next()? else {
                    more = false;
                    break;
                };
                self.current = Some((split.file, reader));
                continue;
            };
            if let Some(block) = reader.next_block(
                #[inline(always)]
                |row| records += take(row),
            )? {
                bytes += block.bytes;
                // Either may be far more than the other: much text of few bytes, or streams without text.
                parsed += block.text_bytes.max(block.bytes);
                add(&counters.bytes, block.bytes);
                add(&counters.text_bytes, block.text_bytes);
                add(&counters.rows, block.rows);
                add(&counters.bad_records, block.bad_records);
            } else {
                context.extents.borrow_mut().push((self.scan, *file, reader.extent()));
                let passed = reader.passed_over();
                add(&counters.unread_rows, passed.unread_rows);
                add(&counters.filtered_rows, passed.filtered_rows);
                add(&counters.passed_pages, passed.pages);
                add(&counters.splits, 1);
                self.current = None;
            }
        }
        context.process.bytes.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
        Ok(more)
    }
}
