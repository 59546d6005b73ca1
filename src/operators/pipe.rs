//! `pipe`: records go through an external program, one on each worker.
//!
//! The operator never waits for its program, and the program never for more than its turn: see [`program`](crate::program). Scans are
//! held back while a worker has more than 1 MiB for its program, and while the records of a round have not gone to it.

use std::collections::VecDeque;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::{Operator, Probe};
use timely::scheduling::SyncActivator;

use super::context::{Round, WorkerContext};
use crate::error::BadRecord;
use crate::program::{Output, PIECE_BYTES, Program, failed};

/// Pieces of output taken in one scheduling, so that who reads the records has its turn.
const PIECES_A_TURN: usize = 8;

/// Sending records through a program.
pub trait Pipe<'scope, D> {
    /// Starts `command`, by the shell, once on every worker when the job runs, feeds it the records of that worker, each as the bytes that
    /// `encode` appends, and gives what `decode` makes of every line it prints, without its newline: `Ok(Some(record))` for one record,
    /// an array or a vector for several, or why the line is none, which fails the job.
    ///
    /// The program must read all of its input and end with exit code 0 when that ends. Anything else fails the job, with
    /// the end of what it wrote to stderr. It may read and write in any order. It ends with the job, whatever ends that, `kill -9`
    /// too; what it starts itself and leaves running is killed. What has left its process group, as by `setsid`, is not, and is waited
    /// for no longer than a second; if it still writes to the program's output then, or has left a line unfinished there, the job fails. Input and output are streams of bytes: if records are to be lines, `encode` writes newlines.
    ///
    /// Cost: a copy of all bytes into and out of two pipes; nothing is exchanged. Memory for each worker, behind a scan: the records of the
    /// rounds that it gave before it was held back, some 10 MiB of input, whatever the program does. Behind a reducer or a
    /// sort, which nothing holds back while they give what they have: all of that, encoded, where the program is slower than they are; of a
    /// join, what it joins from disk. None of it is counted to `--memory` or spilled. A program that is to read a large answer should read
    /// what [`write_parts`](super::WriteParts::write_parts) wrote.
    ///
    /// ```
    /// use millrace::operators::{Gather, Pipe};
    /// use timely::dataflow::operators::vec::ToStream;
    ///
    /// let words = timely::execute_directly(|worker| {
    ///     let words = worker.dataflow(|scope| {
    ///         ["the mill", "and the race"].to_stream(scope).pipe(
    ///             "tr ' ' '\\n' | sort -u",
    ///             |line, text| text.extend_from_slice(format!("{line}\n").as_bytes()),
    ///             |word| Ok(Some(String::from_utf8_lossy(word).into_owned())),
    ///         ).gather()
    ///     });
    ///     while worker.has_dataflows() {
    ///         worker.step_or_park(None);
    ///     }
    ///     words.take()
    /// });
    /// assert_eq!(words.unwrap(), ["and", "mill", "race", "the"]);
    /// ```
    fn pipe<I: IntoIterator<Item: 'static>>(
        self,
        command: &str,
        encode: impl FnMut(&D, &mut Vec<u8>) + 'static,
        decode: impl FnMut(&[u8]) -> Result<I, String> + 'static,
    ) -> StreamVec<'scope, Round, I::Item>;
}

impl<'scope, D: 'static> Pipe<'scope, D> for StreamVec<'scope, Round, D> {
    fn pipe<I: IntoIterator<Item: 'static>>(
        self,
        command: &str,
        mut encode: impl FnMut(&D, &mut Vec<u8>) + 'static,
        mut decode: impl FnMut(&[u8]) -> Result<I, String> + 'static,
    ) -> StreamVec<'scope, Round, I::Item> {
        let context = WorkerContext::current();
        let probe = context.flow_probe();
        let scope = self.scope();
        let command = command.to_owned();
        self.unary_frontier::<CapacityContainerBuilder<Vec<I::Item>>, _, _, _>(
            Pipeline,
            "Pipe",
            |capability, info| {
                let woken = SyncActivator::new(info.address.to_vec(), scope.activations().borrow().sync());
                let activator = scope.activator_for(info.address);
                // A worker that has gone needs not be woken.
                let wake = move || {
                    let _ = woken.activate();
                };
                let failure = context.process.failure.clone();
                let mut unstarted = Some((wake, capability));
                let mut running = None;
                let mut waiting = VecDeque::new();
                move |(input, frontier), output| {
                    // Only where the dataflow runs: `--explain` builds one to look at it.
                    if let Some((wake, capability)) = unstarted.take() {
                        let started = Program::start(&command, wake).map_err(|error| failure.set(error));
                        running = started.ok().map(|program| (program, capability));
                    }
                    let before = bytes_of(&waiting);
                    input.for_each(|_, records| {
                        records.drain(..).for_each(|record| encode(&record, last_piece(&mut waiting)));
                    });
                    let Some((program, capability)) = &mut running else { return waiting.clear() };
                    program.try_write(&mut waiting);
                    context.piped(before, bytes_of(&waiting));
                    if waiting.is_empty() {
                        match frontier.frontier().first() {
                            // What the program prints later belongs to any later round as well: scans may go on.
                            Some(oldest) if *oldest > *capability.time() => capability.downgrade(oldest),
                            Some(_) => {}
                            None => program.close(),
                        }
                    }
                    let mut session = output.session(capability);
                    for _ in 0..PIECES_A_TURN {
                        let ended = match program.try_read() {
                            None => return,
                            Some(Output::Lines(lines)) => lines_of(&lines).try_for_each(|line| {
                                let records =
                                    decode(line).map_err(|reason| unreadable(&command, line, &reason));
                                records.map(|records| session.give_iterator(records.into_iter()))
                            }),
                            Some(Output::Ended(ended)) => {
                                drop(session);
                                running = None;
                                return ended.unwrap_or_else(|error| failure.set(error));
                            }
                        };
                        if let Err(error) = ended {
                            return failure.set(error);
                        }
                    }
                    activator.activate();
                }
            },
        )
        .probe_with(&probe)
    }
}

/// What waits for the program.
fn bytes_of(pieces: &VecDeque<Vec<u8>>) -> usize {
    pieces.iter().map(Vec::len).sum()
}

/// The last piece, or another one if that is full: many small ones, so that none must grow by copying.
#[inline]
fn last_piece(pieces: &mut VecDeque<Vec<u8>>) -> &mut Vec<u8> {
    if pieces.back().is_none_or(|piece| piece.len() >= PIECE_BYTES) {
        pieces.push_back(Vec::with_capacity(PIECE_BYTES + PIECE_BYTES / 4));
    }
    let last = pieces.len() - 1;
    &mut pieces[last]
}

/// The lines of a text, without their newlines.
fn lines_of(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}

#[cold]
fn unreadable(command: &str, line: &[u8], reason: &str) -> crate::Error {
    failed(
        command,
        format!("printed a line that cannot be read: {reason}\n  line: {}", BadRecord::shorten(line)),
    )
}
