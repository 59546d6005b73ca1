//! How often a job asks for memory: for splits, rounds and groups, but not for rows.
//!
//! A crate of its own with a single test, because its allocator counts whatever the process does. It would catch a String
//! for each row, and a record that is boxed on its way to its group.
#![expect(unsafe_code, reason = "an allocator is")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use indicatif::ProgressBar;
use millrace::formats::writer::OutputFormat;
use millrace::generate::Stop;
use millrace::input::{FormatChoice, Input, InputOptions, Row};
use millrace::keys::Prefix;
use millrace::operators::{Count, Gather, ProcessShared, ReduceByKey, Round, Scan, WorkerContext};
use millrace::pack;
use millrace::tables::USERVISITS;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, counted.
struct Counting;

// SAFETY: everything is passed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, bytes) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(serde::Deserialize)]
struct Visit<'a> {
    #[serde(rename = "sourceIP")]
    source_ip: &'a [u8],
    #[serde(rename = "adRevenue")]
    ad_revenue: f32,
}

impl Row for Visit<'_> {
    type Of<'a> = Visit<'a>;
}

/// Of the smaller table; the larger has ten times as many.
const ROWS: usize = 20_000;
/// The same groups in both, and so many that they meet again and again.
const GROUPS: usize = 1_000;
/// So many rows more may ask for memory once more: rounds and blocks do, some two to four times in a thousand rows.
const ROWS_AN_ALLOCATION: u64 = 100;

fn options(data: &Path, set: &str, format: FormatChoice, peers: usize) -> InputOptions {
    InputOptions { data: data.to_path_buf(), set: set.to_owned(), format, peers, ..InputOptions::default() }
}

/// The set `small` and, ten times as large, `large`, in every format.
fn make_tables(data: &Path) {
    for (set, rows) in [("small", ROWS), ("large", 10 * ROWS)] {
        let mut text = String::new();
        for row in 0..rows {
            let group = row * 7_919 % GROUPS;
            let (high, low) = (group / 100, group % 100);
            writeln!(text, "1{high}.{low}.2.3,u,1990-01-01,0.{row},an agent,DEU,DEU-DE,w,1").unwrap();
        }
        let table = data.join("csv").join(set).join("uservisits");
        fs::create_dir_all(&table).unwrap();
        fs::write(table.join("part-00000"), text).unwrap();
        for to in [OutputFormat::Parquet, OutputFormat::Packed] {
            let input = options(data, set, FormatChoice::Csv, 1);
            let job = pack::Job {
                table: USERVISITS,
                target: pack::default_target(&input, &USERVISITS, to).unwrap(),
                input,
                to,
                file_bytes: 256_000_000,
                threads: 1,
                verify: false,
                overwrite: false,
            };
            pack::run(&job, &ProgressBar::hidden(), &Stop::default()).unwrap();
        }
    }
}

/// How often the sums of a table's groups ask for memory, from the first row to the last answer.
fn allocations(options: &InputOptions) -> u64 {
    let visits = Input::<Visit>::open(&USERVISITS, options).unwrap();
    let workers = options.peers;
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let process = ProcessShared::default();
    let guards = timely::execute(timely::Config::process(workers), move |worker| {
        WorkerContext::install(process.clone(), workers, 0, BTreeMap::new());
        let groups = worker.dataflow::<Round, _, _>(|scope| {
            scope
                .scan(&visits, |visit| {
                    Some((Prefix::<16>::new(visit.source_ip, 12), f64::from(visit.ad_revenue)))
                })
                .reduce_by_key(|sum, more| *sum += more)
                .count()
                .gather()
        });
        while worker.has_dataflows() {
            worker.step();
        }
        assert_eq!(process.failure.message(), None);
        groups.take()
    });
    let groups: u64 = guards.unwrap().join().into_iter().filter_map(Result::unwrap).flatten().sum();
    assert_eq!(groups, GROUPS as u64);
    ALLOCATIONS.load(Ordering::Relaxed) - before
}

#[test]
fn rows_allocate_nothing() {
    let data = tempfile::tempdir().unwrap();
    make_tables(data.path());
    for format in [FormatChoice::Csv, FormatChoice::Parquet, FormatChoice::Packed] {
        for workers in 1..=2 {
            // What is made once, as tables of the standard library's threads.
            allocations(&options(data.path(), "small", format, workers));
            let [small, large] =
                ["small", "large"].map(|set| allocations(&options(data.path(), set, format, workers)));
            let more = 9 * ROWS as u64;
            assert!(
                large < small + more / ROWS_AN_ALLOCATION,
                "{format:?} on {workers} workers: {small} allocations, and {large} with {more} rows more"
            );
        }
    }
}
