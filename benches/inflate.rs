//! Reading zlib files on two threads: two inflate libraries side by side, and what Query 2 takes on top of the bare one.
//!
//! `cargo bench --bench inflate` makes 16 `.deflate` files of 10 million visits in a temporary directory (`-- ROWS` changes how many),
//! and prints medians of five rounds in which all take turns: wall-clock time, and processor time, which other work
//! on the machine disturbs less. The page cache is warm.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use flate2::{Decompress, FlushDecompress, Status};
use millrace::units::median;
use rustix::time::{ClockId, clock_gettime};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const FILES: usize = 16;
const THREADS: usize = 2;
const ROUNDS: usize = 5;
/// As Millrace has them: what is read at once, and what is decompressed at once.
const READ_BYTES: usize = 128 << 10;
const TEXT_BYTES: usize = 256 << 10;

/// Seconds on the wall and of the processor.
#[derive(Clone, Copy)]
struct Taken {
    wall: f64,
    processor: f64,
}

fn main() -> Outcome<()> {
    let rows = std::env::args().skip(1).find_map(|word| word.parse::<u64>().ok()).unwrap_or(10_000_000);
    let data = tempfile::tempdir()?;
    let made = Command::new(env!("CARGO_BIN_EXE_generate"))
        .args(["--rows", &rows.to_string(), "--files", &FILES.to_string(), "--name", "bench"])
        .args(["--table", "uservisits", "--compression", "deflate", "--data"])
        .arg(data.path())
        .status()?;
    assert!(made.success(), "generate failed");
    let directory = data.path().join("csv/bench/uservisits");
    let files: Vec<_> = (0..FILES).map(|file| directory.join(format!("part-{file:05}.deflate"))).collect();
    // Also brings the files into the page cache.
    let sizes = files.iter().map(|path| streamed(path)).collect::<Outcome<Vec<_>>>()?;
    let total: usize = sizes.iter().sum();

    let mut taken: [Vec<Taken>; 3] = Default::default();
    for _ in 0..ROUNDS {
        taken[0].push(on_threads(&files, &sizes, |path, _| streamed(path))?);
        taken[1].push(on_threads(&files, &sizes, whole)?);
        taken[2].push(query(data.path(), rows)?);
    }
    println!(
        "{rows} rows, {total} bytes of text in {FILES} files, {THREADS} threads; medians of {ROUNDS} rounds"
    );
    let names = ["zlib-rs, in blocks", "libdeflate, whole files", "query2 -k 8, in blocks"];
    let bare = medians(&taken[0]);
    for (name, taken) in names.iter().zip(&taken) {
        let Taken { wall, processor } = medians(taken);
        println!(
            "{name:>24}  {wall:6.3} s ({:4.2} of the first)  {processor:6.3} s of processor ({:4.2}), {:4.0} ns a row",
            wall / bare.wall,
            processor / bare.processor,
            processor * 1e9 / rows as f64
        );
    }
    Ok(())
}

fn medians(taken: &[Taken]) -> Taken {
    let middle = |figure: fn(&Taken) -> f64| median(taken.iter().map(figure)).unwrap_or(0.0);
    Taken { wall: middle(|taken| taken.wall), processor: middle(|taken| taken.processor) }
}

/// Every file once, file `i` on thread `i % THREADS`, as splits are dealt.
fn on_threads(
    files: &[PathBuf],
    sizes: &[usize],
    read: impl Fn(&Path, usize) -> Outcome<usize> + Sync,
) -> Outcome<Taken> {
    let (start, before) = (Instant::now(), processor_seconds());
    std::thread::scope(|scope| {
        let work = |thread: usize| {
            let own = files.iter().zip(sizes).skip(thread).step_by(THREADS);
            own.into_iter().try_for_each(|(path, bytes)| {
                assert_eq!(read(path, *bytes)?, *bytes, "{} has another text", path.display());
                Ok(())
            })
        };
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
    })
    .map(|()| Taken { wall: start.elapsed().as_secs_f64(), processor: processor_seconds() - before })
}

fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

/// The bare inflate: nothing is done with the text.
fn streamed(path: &Path) -> Outcome<usize> {
    let mut file = File::open(path)?;
    let mut decoder = Decompress::new(true);
    let (mut from, mut text) = (vec![0; READ_BYTES], vec![0; TEXT_BYTES]);
    let mut left = 0..0;
    loop {
        if left.is_empty() {
            left = 0..file.read(&mut from)?;
        }
        let taken = decoder.total_in();
        let status = decoder.decompress(&from[left.clone()], &mut text, FlushDecompress::None)?;
        left.start += (decoder.total_in() - taken) as usize;
        if status == Status::StreamEnd {
            return Ok(decoder.total_out() as usize);
        }
    }
}

/// libdeflate cannot stop in the middle of a stream: it is given room for all of the text, which Millrace could not.
fn whole(path: &Path, bytes: usize) -> Outcome<usize> {
    let mut text = vec![0; bytes];
    Ok(libdeflater::Decompressor::new().zlib_decompress(&std::fs::read(path)?, &mut text)?)
}

fn query(data: &Path, rows: u64) -> Outcome<Taken> {
    let report = data.join("report.json");
    let ran = Command::new(env!("CARGO_BIN_EXE_query2"))
        .args(["-k", "8", "-w", &THREADS.to_string(), "--json", "--set", "bench", "--data"])
        .arg(data)
        .arg("--report")
        .arg(&report)
        .output()?;
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let report: serde_json::Value = serde_json::from_slice(&std::fs::read(report)?)?;
    assert_eq!(report["input"]["rows"], rows);
    let workers = report["workers_detail"].as_array().expect("workers");
    let processor = workers.iter().filter_map(|worker| worker["busy_seconds"].as_f64()).sum();
    Ok(Taken { wall: report["seconds"]["total"].as_f64().expect("seconds"), processor })
}
