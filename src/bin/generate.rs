//! Makes the benchmark's tables: `cargo run --release --bin generate -- --rows 10M` writes `data/csv/10M/`.
//!
//! Only the words on the command line live here; the tables are made in `millrace::generate`.

use std::fs;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::{ArgGroup, Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use millrace::formats::compression::Compression;
use millrace::formats::writer::OutputFormat;
use millrace::generate::{self, Job, PublishedSet, RowCount, Sizes, Stop, TableName, run};
use millrace::input::InputOptions;
use millrace::{Error, cli, pack};

/// About how large packed files get, as `pack` makes them.
const FILE_BYTES: u64 = 256_000_000;

/// Makes the tables of the Big Data Benchmark as part files under DIR/FORMAT/NAME/TABLE/.
///
/// The same sizes, seed, number of files and compression give the same bytes, whatever the number of threads. Each table appears
/// whole at the end or, after an error or Ctrl-C, not at all.
#[derive(Parser)]
#[command(name = "generate", group = ArgGroup::new("size").required(true))]
struct Arguments {
    /// Make a set of published size
    #[arg(long, value_enum, group = "size")]
    set: Option<PublishedSet>,

    /// Make N rows of uservisits (2500, 40k, 10M, 1G); a row has 169 bytes on average
    #[arg(long, value_name = "N", group = "size")]
    rows: Option<RowCount>,

    /// Rows of rankings, which are the pages that visits go to; 71 bytes each [default: 12 for 100 visits]
    #[arg(long, value_name = "N", conflicts_with = "set")]
    rankings: Option<RowCount>,

    /// Pages of documents, about 9.3 kB each [default: 2 for 100 visits]
    #[arg(long, value_name = "N", conflicts_with = "set")]
    documents: Option<RowCount>,

    /// Table to make; may be given several times [default: all three]
    #[arg(long, value_enum, value_name = "NAME")]
    table: Vec<TableName>,

    /// Part files of each table; one thread at a time works on a file, so a few more than threads
    /// [default: as published, or one for 64 MB and at least 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    files: Option<u64>,

    /// Where all random streams start; 0 gives the published pages
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,

    /// Threads [default: all cores]
    #[arg(short, long, value_name = "N")]
    workers: Option<NonZeroUsize>,

    /// Directory of all data
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,

    /// Name of the set that is made [default: the published set's, or the rows as in `10M`]
    #[arg(long)]
    name: Option<String>,

    /// Format of the files
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,

    /// How each file is compressed; the name then ends in .deflate, .gz, .zst, .sz, .lz4 or .bz2 [default: not]
    ///
    /// A compressed file is read by one worker: make a few times as many as there will be workers. Memory is up to 1 MB for each
    /// file, with zstd and bzip2 several MB.
    #[arg(long, value_enum, value_name = "HOW")]
    compression: Option<Compression>,

    /// Replace tables that exist already; a directory with anything else in it is refused
    #[arg(long)]
    overwrite: bool,

    /// Show no progress bar; there is none either when stderr is no terminal
    #[arg(long)]
    no_progress: bool,
}

/// A format this program can write.
#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Comma-separated text without header or quotes
    Csv,
    /// Apache Parquet; the text is made first, in a hidden directory beside the set
    Parquet,
    /// The packed format; the text is made first, in a hidden directory beside the set
    Packed,
}

impl Format {
    /// What the text becomes, if it does not stay text.
    fn packed_to(self) -> Option<OutputFormat> {
        match self {
            Format::Csv => None,
            Format::Parquet => Some(OutputFormat::Parquet),
            Format::Packed => Some(OutputFormat::Packed),
        }
    }
}

impl Arguments {
    fn into_job(self) -> Result<Job, Error> {
        let (mut sizes, default_name) = match (self.set, self.rows) {
            (Some(set), _) => (Sizes::published(set), value_name(&set)),
            (None, Some(rows)) => (Sizes::of_visits(rows.0), rows.to_string()),
            (None, None) => return Err(Error::usage("no size was given", "--set tiny, or --rows 10M")),
        };
        sizes.rankings = self.rankings.map_or(sizes.rankings, |rows| rows.0);
        sizes.documents = self.documents.map_or(sizes.documents, |rows| rows.0);
        let name = self.name.unwrap_or(default_name);
        if name.is_empty() || name.starts_with('.') || name.contains('/') {
            return Err(Error::usage(
                format!("`{name}` is no name for a set"),
                "--name with a plain name, like 10M",
            ));
        }
        let mut tables = TableName::ALL.to_vec();
        tables.retain(|table| self.table.is_empty() || self.table.contains(table));
        Ok(Job {
            tables,
            sizes,
            files: self.files,
            compression: self.compression,
            seed: self.seed,
            threads: self.workers.or_else(|| available_parallelism().ok()).map_or(1, NonZeroUsize::get),
            directory: self.data.join(value_name(&self.format)).join(name),
            overwrite: self.overwrite,
        })
    }
}

/// A choice as it is typed.
fn value_name(choice: &impl ValueEnum) -> String {
    choice.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

fn generate(arguments: Arguments) -> Result<(), Error> {
    let packed_to = arguments.format.packed_to();
    if packed_to.is_some() && (arguments.compression.is_some() || arguments.files.is_some()) {
        return Err(Error::usage(
            format!("--compression and --files are for text, not for {}", value_name(&arguments.format)),
            "--format csv, and `pack --file-size` for files of another size",
        ));
    }
    let progress = if arguments.no_progress { ProgressBar::hidden() } else { ProgressBar::new(0) };
    progress.set_style(
        ProgressStyle::with_template("{msg:10} {wide_bar} {human_pos} of {human_len} rows, {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let job = arguments.into_job()?;
    let stop = Stop::on_signals()?;
    match packed_to {
        None => {
            let made = run(&job, &progress, &stop)?;
            made.iter().try_for_each(|table| cli::print(format_args!("{table}\n")))
        }
        Some(to) => generate_packed(&job, to, &progress, &stop),
    }
}

/// Makes the tables as text and packs them, one after the other; each appears whole or not at all.
fn generate_packed(job: &Job, to: OutputFormat, progress: &ProgressBar, stop: &Stop) -> Result<(), Error> {
    generate::check(job)?;
    let parent = job.directory.parent().unwrap_or(&job.directory);
    fs::create_dir_all(parent).map_err(Error::file("create", parent))?;
    let text = tempfile::Builder::new()
        .prefix(".text-")
        .tempdir_in(parent)
        .map_err(Error::file("create", parent))?;
    for table in &job.tables {
        let text = text.path().join(table.table().name);
        let of_table = Job { tables: vec![*table], directory: text.clone(), ..job.clone() };
        run(&of_table, progress, stop)?;
        let packing = pack::Job {
            table: table.table().in_columns(),
            input: InputOptions { data: text.join(table.table().name), ..InputOptions::default() },
            to,
            target: job.directory.join(table.table().name),
            file_bytes: FILE_BYTES,
            threads: job.threads,
            verify: false,
            overwrite: job.overwrite,
        };
        let converted = pack::run(&packing, progress, stop)?;
        fs::remove_dir_all(&text).map_err(Error::file("remove", &text))?;
        cli::print(format_args!("{converted}\n"))?;
    }
    Ok(())
}

fn main() -> ExitCode {
    cli::main(generate)
}
