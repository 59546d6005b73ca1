//! `write`: every worker writes what passes by to its own part file.

use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;

use super::context::{END, Round, WorkerContext};
use super::notify::UnaryNotify;
use crate::Error;
use crate::formats::parts::{Output, PartWriter};
use crate::formats::row_writer::FieldWriter;
use crate::memory::Seat;

/// Writing records to part files.
pub trait WriteParts<'scope, D> {
    /// Writes every record to this worker's part of `output`, by `encode`, which gives its fields in the order of the
    /// output's columns; records pass on unchanged. Without an output they only pass. The part is whole, and synced
    /// if its [`Form`](crate::formats::parts::Form) says so, when all input has been seen; the job commits it. A full disk fails the job, as does a value that the format cannot hold.
    ///
    /// Nothing is exchanged. In memory there are a quarter of a MiB of text, or one block of a column format: of
    /// Parquet up to 131,072 rows with at most 32 MiB of texts, of packed files half of both. They count as what a reducer holds.
    ///
    /// ```
    /// use millrace::formats::parts::{Form, Output};
    /// use millrace::formats::row_writer::RowFormat;
    /// use millrace::operators::WriteParts;
    /// use millrace::tables::{Column, ColumnType};
    /// use timely::dataflow::operators::vec::ToStream;
    ///
    /// # let home = tempfile::tempdir()?;
    /// let columns = const { &[Column::new("n", ColumnType::Int), Column::new("square", ColumnType::Long)] };
    /// let form = Form { format: RowFormat::Csv, columns, single_file: false, synced: true };
    /// let output = Output::create(&home.path().join("squares"), form)?;
    /// let written = output.clone();
    /// timely::example(move |scope| {
    ///     (1..4u64).to_stream(scope).write_parts(Some(&written), |n, row| _ = row.integer(*n).integer(n * n));
    /// });
    /// let parts = output.commit_parts()?;
    /// assert_eq!((parts[0].rows, parts[0].bytes), (3, 12));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn write_parts(
        self,
        output: Option<&Output>,
        encode: impl FnMut(&D, &mut FieldWriter) + 'static,
    ) -> StreamVec<'scope, Round, D>;
}

impl<'scope, D: 'static> WriteParts<'scope, D> for StreamVec<'scope, Round, D> {
    fn write_parts(
        self,
        output: Option<&Output>,
        mut encode: impl FnMut(&D, &mut FieldWriter) + 'static,
    ) -> StreamVec<'scope, Round, D> {
        let Some(output) = output else { return self };
        let process = &WorkerContext::current().process;
        let failure = process.failure.clone();
        let mut seat = process.memory.seat();
        let mut part = output.part(self.scope().index()).map_err(|error| failure.set(error)).ok();
        self.unary_notify::<CapacityContainerBuilder<Vec<D>>, _, _>(
            Pipeline,
            "Write",
            [END],
            move |input, output, notificator| {
                input.for_each(|capability, records| {
                    let written = part.as_mut().map(|part| write_all(part, records, &mut seat, &mut encode));
                    if let Some(Err(error)) = written {
                        failure.set(error);
                        part = None;
                        seat.hold(0);
                    }
                    output.session(&capability).give_container(records);
                });
                while notificator.next().is_some() {
                    if let Some(Err(error)) = part.take().map(PartWriter::finish) {
                        failure.set(error);
                    }
                    seat.hold(0);
                }
            },
        )
    }
}

fn write_all<D>(
    part: &mut PartWriter,
    records: &[D],
    seat: &mut Seat,
    encode: &mut impl FnMut(&D, &mut FieldWriter),
) -> Result<(), Error> {
    for record in records {
        part.row(|row| encode(record, row))?;
    }
    seat.hold(part.held_bytes());
    Ok(())
}
