//! All integration tests, as one crate: one link instead of a dozen.

/// Each operator over several processes, against plain models.
mod across_processes;
/// Ready-made aggregates, at one, two and three workers, against plain models.
mod aggregates;
/// Faults at random moments, and what becomes of the run.
mod chaos;
/// The flags every query shares: what is accepted, and what is said about what is not.
mod cli;
/// Processes becoming one job, over real connections, among strangers.
mod cluster;
/// Compressed input: many streams, files of other programs, and damage of every kind.
mod compression;
/// What a run cost: the last line, the report, and the tables of `cost`.
mod cost;
/// The CSV reader against a plain one on any bytes, its exact messages, and the plan it reads by.
mod csv;
/// What `pack --describe` says of files, to the letter.
mod describe;
/// The examples that have tables of their own, with real processes, against plain judges.
mod examples;
/// The download script, against a small S3 of our own.
mod fetch_data;
/// Rows that are left out by the values of a filter's column, in files of every kind, and pages with them.
mod filtered;
/// Parquet that `pack` and `generate` write, read by other programs.
mod foreign_readers;
/// The generator: the published rows, the committed tiny set, distributions, and what it does when it fails.
mod generate;
/// A thousand connections that mean no good, while a job runs.
mod hostile;
/// Query 2 kept current: files that come, change, go and are half written, and runs that are killed.
mod incremental;
/// The same where the files are in S3 or on an HTTP server.
#[cfg(feature = "object-store")]
mod incremental_stores;
/// Joins against a nested loop; Queries 1 and 3 against a plain judge.
mod joins;
/// Several processes of one program on one machine, started by the first.
mod local_processes;
/// Query 2 in less memory than it needs: what is spilled, what fails, what is left, and a slow receiver.
mod memory;
/// Query 2 on machines in small: network namespaces with addresses of their own and links that can be cut.
mod namespaces;
/// Numbers that are too wide for their column or their field, in every format; and decimals as floats.
mod narrow;
/// Network namespaces, for the tests that want several machines.
mod network;
/// Each operator in process, at one, two and three workers, against a plain model.
mod operators;
/// The program `pack`: every format there and back, and what it does when it fails.
mod pack;
/// Packed files of another writer, queries over them, and damage.
mod packed;
/// The page of a run in a browser: its figures, on a phone, in the dark.
mod page;
/// Parquet of other programs against CSV of the same rows, and damaged files.
mod parquet;
/// Parquet that pyarrow encrypted, in part or as a whole.
mod parquet_encrypted;
/// Values of Parquet that are none of their column, skipped or named.
mod parquet_misfits;
/// Pages of Parquet that a query passes over by the page index, and damage to it.
mod parquet_pages;
/// The operator `pipe`: programs that do as they should, in any order, and those that do not.
mod pipe;
/// How many bytes a run is going to read, as the progress bar has it.
mod progress;
/// Query 2 from files to answer, with real processes, against a plain judge.
mod query2;
/// How Query 2 fails: what it says, its exit code, and that nothing is left behind.
mod query2_failures;
/// Query 4, by our scanner and by a program, against a plain judge, wherever its pages are cut.
mod query4;
/// The pictures of a run: the plan, what each operator did, and the page, as a browser draws it.
mod report;
/// Row structs: every type a field can have, and what is said about those that cannot be read.
mod rows;
/// The example of a query whose key is a text: real processes, against a plain judge.
mod search_words;
/// Servers for the tests of stores: S3, HTTP, and a proxy between them and a program that makes their faults.
#[cfg(feature = "object-store")]
mod servers;
/// Processes that have files of their own: the answer of all files, and what is refused.
mod shards;
/// `sort` and `sort_within_key`, against the standard library's sort.
mod sort;
/// Input from S3 and HTTP, and by patterns: the same answers as from a directory, faults that pass, and faults that do not.
#[cfg(feature = "object-store")]
mod stores;
/// A data directory, a judge, and a runner whose failure shows everything.
mod support;
/// The program that runs a query with many numbers of workers: its cases, its plain loop, and wrong answers.
mod sweep;
/// What queries write, in every format, as parts and as one file, read back by us and by pyarrow.
mod written;
