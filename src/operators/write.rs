//! `write`: every worker writes what passes by to its own part file.

use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;

use super::context::{END, Round, WorkerContext};
use super::notify::UnaryNotify;
use crate::Error;
use crate::formats::parts::{Output, PartWriter};

/// Writing records to part files.
pub trait WriteParts<'scope, D> {
    /// Encodes every record by `encode`, which appends one row to the buffer, and writes it to this worker's
    /// part of `output`; records pass on unchanged. Without an output they only pass. The part is synced when
    /// all input has been seen; the job commits it. A full disk fails the job.
    ///
    /// ```
    /// use millrace::formats::parts::Output;
    /// use millrace::operators::WriteParts;
    /// use timely::dataflow::operators::vec::ToStream;
    ///
    /// # let home = tempfile::tempdir()?;
    /// let output = Output::create(&home.path().join("squares"), "csv")?;
    /// let written = output.clone();
    /// timely::example(move |scope| {
    ///     let encode = |n: &u64, row: &mut Vec<u8>| row.extend_from_slice(format!("{n},{}\n", n * n).as_bytes());
    ///     (1..4u64).to_stream(scope).write_parts(Some(&written), encode);
    /// });
    /// let parts = output.commit_parts()?;
    /// assert_eq!((parts[0].rows, parts[0].bytes), (3, 12));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn write_parts(
        self,
        output: Option<&Output>,
        encode: impl FnMut(&D, &mut Vec<u8>) + 'static,
    ) -> StreamVec<'scope, Round, D>;
}

impl<'scope, D: 'static> WriteParts<'scope, D> for StreamVec<'scope, Round, D> {
    fn write_parts(
        self,
        output: Option<&Output>,
        mut encode: impl FnMut(&D, &mut Vec<u8>) + 'static,
    ) -> StreamVec<'scope, Round, D> {
        let Some(output) = output else { return self };
        let failure = WorkerContext::current().process.failure.clone();
        let mut part = output.part(self.scope().index()).map_err(|error| failure.set(error)).ok();
        let mut row = Vec::new();
        self.unary_notify::<CapacityContainerBuilder<Vec<D>>, _, _>(
            Pipeline,
            "Write",
            [END],
            move |input, output, notificator| {
                input.for_each(|capability, records| {
                    let written = part.as_mut().map(|part| write_all(part, records, &mut row, &mut encode));
                    if let Some(Err(error)) = written {
                        failure.set(error);
                        part = None;
                    }
                    output.session(&capability).give_container(records);
                });
                while notificator.next().is_some() {
                    if let Some(Err(error)) = part.take().map(PartWriter::finish) {
                        failure.set(error);
                    }
                }
            },
        )
    }
}

fn write_all<D>(
    part: &mut PartWriter,
    records: &[D],
    row: &mut Vec<u8>,
    encode: &mut impl FnMut(&D, &mut Vec<u8>),
) -> Result<(), Error> {
    for record in records {
        row.clear();
        encode(record, row);
        part.row(row)?;
    }
    Ok(())
}
