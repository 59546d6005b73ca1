//! Converts tables: `cargo run --release --bin pack -- --table uservisits --to packed --output target/packed/uservisits`.
//!
//! Only the words on the command line live here; the work is done in `millrace::pack`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use millrace::Error;
use millrace::cli::{self, StoreArguments};
use millrace::error::FirstFailure;
use millrace::formats::writer::OutputFormat;
use millrace::generate::Stop;
use millrace::input::{BadRecords, FormatChoice, InputOptions, StoreOptions, Stores};
use millrace::pack::{self, Job};
use millrace::tables::Table;
use millrace::units::parse_positive_bytes;

/// Converts a table from any format to any other.
///
/// Rows keep their order, and the bytes written do not depend on the number of threads. The table appears whole at the end
/// or, after an error or Ctrl-C, not at all.
#[derive(Parser)]
#[command(name = "pack")]
struct Arguments {
    /// What the table becomes: packed, parquet, csv, or csv.deflate, csv.gz, csv.zst, csv.sz, csv.lz4, csv.bz2
    #[arg(long, value_name = "FORMAT", required_unless_present = "describe")]
    to: Option<OutputFormat>,

    /// Convert nothing, but say what is in a file, or in the files of a directory: columns, rows, blocks, how values are
    /// written
    #[arg(long, value_name = "PATH", conflicts_with_all = ["to", "data"])]
    describe: Option<PathBuf>,

    /// With --describe, show the first N rows as well
    #[arg(long, value_name = "N", default_value_t = 0, requires = "describe")]
    head: usize,

    /// Table to convert. With --describe, the one of which PATH has files [default: of column files what they say themselves, of text the one
    /// that PATH names]
    #[arg(long, value_name = "NAME", required_unless_present = "describe")]
    table: Option<String>,

    /// Columns of a table of your own, in the order of its files: 'name:text,age:int,height:float,born:date'; a type may
    /// also be long or double. Parquet and packed files say it themselves
    #[arg(long, value_name = "NAME:TYPE,…")]
    columns: Option<String>,

    /// What is between the fields of text, read and written, where --columns says what they are. Text with numbers or dates is not
    /// written with letters, digits, +, - or . there
    #[arg(long, value_name = "C", default_value = ",", value_parser = delimiter, requires = "columns")]
    delimiter: u8,

    /// Where the tables are, as DIR/FORMAT/SET/TABLE/, or a place that names the table outright, as for queries [default:
    /// ./data where that has a directory csv, parquet or packed, or else what comes with Millrace]
    #[arg(long, value_name = "DIR|URL|PATTERN")]
    data: Option<PathBuf>,

    /// Set of the table
    #[arg(long, value_name = "NAME", default_value = "tiny")]
    set: String,

    /// Format of the table as it is; auto takes what the data directory has, the fastest first
    #[arg(long, value_enum, default_value_t)]
    format: FormatChoice,

    /// What to do about a record that does not fit its table
    #[arg(long, value_enum, default_value_t, value_name = "WHAT")]
    bad_records: BadRecords,

    /// Directory that the table becomes, or a link to it [default: DIR/FORMAT/SET/TABLE/ beside the table as it is]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// About how large a file is to be; smaller where there would be fewer than 16
    #[arg(long, value_name = "BYTES", default_value = "256MB", value_parser = parse_positive_bytes)]
    file_size: u64,

    /// Threads [default: all cores]
    #[arg(short, long, value_name = "N")]
    workers: Option<usize>,

    /// Read everything back before the table gets its name, and compare all rows
    #[arg(long)]
    verify: bool,

    /// Replace the table if it exists already; a directory with anything else in it is refused
    #[arg(long)]
    overwrite: bool,

    #[command(flatten)]
    stores: StoreArguments,

    /// Show no progress bar; there is none either when stderr is no terminal
    #[arg(long)]
    no_progress: bool,
}

fn delimiter(typed: &str) -> Result<u8, String> {
    match (typed, typed.as_bytes()) {
        ("\\t" | "tab", _) => Ok(b'\t'),
        (_, [byte]) if !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        _ => Err("type one character that is no quote, or tab".to_owned()),
    }
}

impl Arguments {
    /// The table, by its columns where they are typed, or by its name where it is.
    fn table(&self, named: impl FnOnce(&str) -> Result<Table, Error>) -> Result<Option<Table>, Error> {
        match (&self.table, &self.columns) {
            (name, Some(columns)) => {
                let name = cli::set_name(name.as_deref().unwrap_or("table"))?;
                pack::table_of_columns(&name, columns, self.delimiter).map(Some)
            }
            (Some(name), None) => named(name).map(Some),
            (None, None) => Ok(None),
        }
    }

    fn input(&self, failure: FirstFailure) -> Result<InputOptions, Error> {
        let stores = StoreOptions { failure, ..self.stores.options(1, None)? };
        Ok(InputOptions {
            data: cli::data_directory(self.data.as_deref())?,
            set: cli::set_name(&self.set)?,
            format: self.format,
            split_bytes: None,
            bad_records: self.bad_records,
            peers: 1,
            may_be_empty: false,
            stores: Stores::new(stores),
        })
    }

    fn into_job(self, to: OutputFormat, stop: &Stop) -> Result<Job, Error> {
        let input = self.input(stop.failure())?;
        let table = self.table(|name| pack::table_of_files(&cli::set_name(name)?, &input, to))?;
        let table =
            table.ok_or_else(|| Error::usage("there is no table to convert", "--table uservisits"))?;
        let target = match self.output {
            Some(directory) => directory,
            None => pack::default_target(&input, &table, to)?,
        };
        Ok(Job {
            table,
            input,
            to,
            target,
            file_bytes: self.file_size,
            threads: cli::workers(self.workers, 1)?,
            verify: self.verify,
            overwrite: self.overwrite,
        })
    }
}

fn run(arguments: Arguments) -> Result<(), Error> {
    let Some(to) = arguments.to else { return describe(&arguments) };
    let progress = if arguments.no_progress { ProgressBar::hidden() } else { ProgressBar::new(0) };
    progress.set_style(
        ProgressStyle::with_template(
            "{msg:10} {wide_bar} {decimal_bytes} of {decimal_total_bytes}, {eta} left",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    let stop = Stop::on_signals()?;
    let job = arguments.into_job(to, &stop)?;
    let converted = pack::run(&job, &progress, &stop)?;
    tell(&converted.warnings);
    cli::print(format_args!("{converted}\n"))
}

fn tell(warnings: &[String]) {
    warnings.iter().for_each(|warning| cli::note(format_args!("warning: {warning}")));
}

fn describe(arguments: &Arguments) -> Result<(), Error> {
    let Some(path) = &arguments.describe else {
        return Err(Error::usage("there is nothing to do", "--to packed, or --describe PATH"));
    };
    // A signal ends the process at once: there is nothing to clean up.
    let input = arguments.input(FirstFailure::default())?;
    let described = pack::describe(path, arguments.table(pack::table_of_benchmark)?, &input, arguments.head)?;
    tell(&described.warnings);
    cli::print(described)
}

fn main() -> ExitCode {
    cli::main(run)
}
