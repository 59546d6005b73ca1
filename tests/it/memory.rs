//! Query 2 in less memory than its groups need, with real processes and files.
//!
//! These tests would catch a group lost or doubled on its way through a file, a limit that is not kept, a full disk or a
//! lost directory that ends in a smaller answer, a file left behind, and a queue that grows while its reader is slow.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use millrace::input::{Input, InputOptions, Row};
use millrace::memory::Budget;
use millrace::operators::{Fold, Gather, ProcessShared, ReduceByKey, Round, Scan, WorkerContext};
use millrace::report::peak_rss_bytes;
use millrace::tables::USERVISITS;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::{Home, Ran};

/// Addresses that all differ: at 24 bytes each, nearly 6 MB of groups and more.
const DISTINCT: u32 = 240_000;
/// Of which a process may hold 2 MB.
const LITTLE: &str = "--memory 16MB --spill-dir spill";

/// One file of rows as short as they can be, each with an address of its own, and an empty directory to spill to.
fn home() -> Home {
    let mut text = String::new();
    for number in 0..DISTINCT {
        // In no order: neighbours fall into different partitions anyway, but prefixes should not come in groups.
        let [a, b, c, d] = number.wrapping_mul(2_654_435_761).to_be_bytes();
        let revenue = f64::from(number % 1024) / 1024.0;
        text += &format!("{a}.{b}.{c}.{d},u,1990-01-01,{revenue},a,DEU,DEU-DE,w,1\n");
    }
    let home = Home::with(&[("a".into(), text.into_bytes())]);
    fs::create_dir(home.path().join("spill")).unwrap();
    home
}

fn report(home: &Home) -> Value {
    serde_json::from_slice(&fs::read(home.path().join("report.json")).unwrap()).unwrap()
}

fn nothing_left(home: &Home, ran: &Ran) {
    ran.check(home.listing("spill").is_empty(), "a spill file is left behind");
    ran.leaves_no_process(home);
}

/// Where the files lie that a process has in the directory it spills to; they have no names.
fn spill_files(home: &Home, process: Pid) -> Vec<PathBuf> {
    let spill = fs::canonicalize(home.path().join("spill")).unwrap();
    let files =
        fs::read_dir(format!("/proc/{}/fd", process.as_raw_nonzero())).into_iter().flatten().flatten();
    let is_spill = |file: &PathBuf| fs::read_link(file).is_ok_and(|target| target.starts_with(&spill));
    files.map(|file| file.path()).filter(is_spill).collect()
}

fn has_spilled(home: &Home, process: Pid) -> bool {
    !spill_files(home, process).is_empty()
}

/// The same table under so many names more.
fn lengthen(home: &Home, times: usize) {
    for index in 0..times {
        symlink("a", home.table().join(format!("b-{index:04}"))).unwrap();
    }
}

/// Stops a query that has spilled, long before it reads that back, and lets it go on with the files as `damage` leaves them.
fn with_damaged_files(damage: impl Fn(&File)) -> Ran {
    let home = home();
    lengthen(&home, 3);
    let mut running = home.query(&format!("-k 15 -w 1 --output out {LITTLE}")).start();
    let pid = running.pid();
    let length = |file: &PathBuf| fs::metadata(file).map_or(0, |file| file.len());
    running = running.until(|| spill_files(&home, pid).iter().any(|file| length(file) > 0));
    running.signal(pid, Signal::STOP);
    let state = || fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap();
    running = running.until(|| state().contains(") T "));
    for file in spill_files(&home, pid) {
        damage(&OpenOptions::new().read(true).write(true).open(file).unwrap());
    }
    running.signal(pid, Signal::CONT);
    let ran = running.end();
    nothing_left(&home, &ran);
    ran.check(home.listing("out") == ["absent"], "an output");
    ran
}

#[test]
fn one_damaged_byte_of_a_spill_file_ends_the_job_and_is_placed() {
    let ran = with_damaged_files(|file| {
        let mut byte = [0];
        file.read_exact_at(&mut byte, 0).unwrap();
        file.write_all_at(&[byte[0] ^ 1], 0).unwrap();
    });
    ran.failed_saying("a spill file in spill was damaged: ")
        .failed_saying(" bytes at byte 0 are not what was written\n");
}

#[test]
fn a_spill_file_that_was_cut_ends_the_job() {
    // What is spilled later goes where it would have gone, so the file is as long again, and has a hole.
    with_damaged_files(|file| file.set_len(0).unwrap())
        .failed_saying("a spill file in spill was damaged: ")
        .failed_saying(" are not what was written\n");
}

/// Runs without a limit and then with one, on these numbers of workers and processes.
fn same_answer(little: &[&str]) {
    let home = home();
    let plain = home.query("-k 15 --json -w 2 --report report.json").run().json();
    assert_eq!(plain["groups"], DISTINCT);
    let unlimited = report(&home);
    assert_eq!((&unlimited["spilled_bytes"], &unlimited["spilled_partitions"]), (&0.into(), &0.into()));
    for words in little {
        let ran = home.query(&format!("-k 15 --json {words} {LITTLE} --report report.json")).run();
        ran.check(ran.json() == plain, "the answer");
        let report = report(&home);
        ran.check(report["memory_limit_bytes"] == 16_000_000, "the limit in the report");
        let [bytes, partitions] =
            ["spilled_bytes", "spilled_partitions"].map(|key| report[key].as_u64().unwrap());
        ran.check(bytes > 500_000 && partitions > 5, &format!("{bytes} bytes of {partitions} partitions"));
        nothing_left(&home, &ran);
    }
}

#[test]
fn threads_with_little_memory_give_the_same_answer() {
    same_answer(&["-w 1", "-w 2", "-w 3"]);
}

#[test]
fn processes_with_little_memory_give_the_same_answer() {
    same_answer(&["-n 2 -w 1"]);
}

#[test]
fn a_user_is_told_of_spilling() {
    let home = home();
    let ran = home.query(&format!("-k 15 -w 1 {LITTLE}")).run();
    ran.ended_with(0).check(ran.stderr.contains(" partitions spilled to disk"), "a user is told");
}

#[test]
fn parts_are_whole_in_little_memory() {
    let home = home();
    home.query(&format!("-k 15 -w 2 {LITTLE} --output out")).run().ended_with(0);
    let mut rows: Vec<_> = ["out/part-00000.csv", "out/part-00001.csv"]
        .map(|part| fs::read_to_string(home.path().join(part)).unwrap())
        .iter()
        .flat_map(|part| part.lines())
        .map(|line| line.split_once(',').unwrap().0.to_owned())
        .collect();
    rows.sort_unstable();
    rows.dedup();
    assert_eq!(rows.len(), DISTINCT as usize);
}

#[test]
fn a_killed_process_leaves_no_spill_file() {
    let home = home();
    lengthen(&home, 1_000);
    let mut running = home.query(&format!("-k 15 -w 2 {LITTLE}")).start();
    let pid = running.pid();
    running = running.until(|| has_spilled(&home, pid));
    running.signal(pid, Signal::KILL);
    let ran = running.end();
    ran.check(ran.code.is_none(), "it was killed");
    nothing_left(&home, &ran);
}

#[test]
fn a_full_disk_ends_all_processes_with_its_cause() {
    let home = home();
    // Half a megabyte a file; the signal that comes with it is ignored, so that writing is refused instead.
    let script = "trap '' XFSZ; ulimit -f 1000; exec \"$@\"";
    for words in ["-w 2", "-w 1 -n 2"] {
        let ran = home.query_in_shell(script, &format!("-k 15 {words} {LITTLE}")).run();
        ran.failed_saying("cannot write a spill file in spill: File too large");
        nothing_left(&home, &ran);
    }
}

#[test]
fn a_directory_that_vanishes_ends_the_job() {
    let home = home();
    home.write_hosts(2);
    // It looks for its directory at the start, and waits for the other.
    let first = home.query(&format!("-k 15 -w 1 -h hosts -p 0 {LITTLE}")).start();
    let listening = |pid: Pid| {
        let files =
            fs::read_dir(format!("/proc/{}/fd", pid.as_raw_nonzero())).into_iter().flatten().flatten();
        let socket = |target: PathBuf| target.to_string_lossy().starts_with("socket:");
        files.flat_map(|file| fs::read_link(file.path())).any(socket)
    };
    let pid = first.pid();
    let first = first.until(|| listening(pid));
    fs::remove_dir(home.path().join("spill")).unwrap();
    let second = home.query("-k 15 -w 1 -h hosts -p 1").start();
    let cause = "cannot write a spill file in spill: No such file";
    first.end().failed_saying(cause);
    second.end().failed_saying(cause);
}

/// The one column of uservisits that the slow receiver's scan reads.
#[derive(serde::Deserialize)]
struct Visit {
    duration: u32,
}

impl Row for Visit {
    type Of<'a> = Visit;
}

/// Makes a wide record of each row and sends half of them to a worker that takes its time; the count.
fn send_to_slow_worker(home: &Home, files: usize) -> u64 {
    for index in 0..files {
        let _ = symlink("a", home.table().join(format!("b-{index:04}")));
    }
    let options =
        InputOptions { data: home.path().join("data"), set: "t".into(), peers: 2, ..InputOptions::default() };
    let visits = Input::<Visit>::open(&USERVISITS, &options).unwrap();
    let memory = Budget::new(Some(64_000_000), home.path().join("spill"), 2);
    let process = ProcessShared::new(Default::default(), memory);
    let guards = timely::execute(timely::Config::process(2), move |worker| {
        WorkerContext::install(process.clone(), 2, 0, BTreeMap::new());
        let gathered = worker.dataflow::<Round, _, _>(|scope| {
            let mut key = 0;
            scope
                .scan(&visits, move |visit| {
                    key = (key + 1) % 1_000;
                    Some((key, [u64::from(visit.duration); 256]))
                })
                .reduce_by_key(|sums, more| sums[0] += more[0])
                .fold(0, |total, (_, sums)| *total += sums[0])
                .gather()
        });
        while worker.step() {
            if worker.index() == 1 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        assert_eq!(process.failure.message(), None);
        gathered.take()
    });
    guards.unwrap().join().into_iter().filter_map(|outcome| outcome.unwrap()).flatten().sum()
}

#[test]
fn memory_does_not_grow_while_another_process_is_slow() {
    // Pages that the only ranking does not have: every visit crosses over to its partition, and ends there.
    const ROWS: u64 = 20_000;
    let visits = (0..ROWS).map(|page| format!("1.2.3.4,http://page/{page},1980-02-01,1,a,b,c,d,1\n"));
    let home = Home::with(&[("a".into(), visits.collect::<Vec<_>>().concat().into_bytes())]);
    let rankings = home.path().join("data/csv/t/rankings");
    fs::create_dir(&rankings).unwrap();
    fs::write(rankings.join("a"), "elsewhere,1,1\n").unwrap();
    home.write_hosts(2);
    let start = |own: u32| {
        let mut query = Command::new(env!("CARGO_BIN_EXE_query3"));
        query.args("--set t --data data --join hash --build rankings -w 1 -h hosts".split(' '));
        query.args(["--json", "--report", "report.json", "-p", &own.to_string()]);
        home.runner(query).start()
    };
    let [few, many] = [0..15, 15..60].map(|names| {
        let files = names.end;
        for name in names.filter(|name| *name > 0) {
            symlink("a", home.table().join(format!("b-{name}"))).unwrap();
        }
        let [fast, slow] = [start(0), start(1)];
        let (over, other) = (AtomicBool::new(false), slow.pid());
        std::thread::scope(|scope| {
            // It runs a fifth of the time.
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    for (signal, milliseconds) in [(Signal::STOP, 20), (Signal::CONT, 5)] {
                        kill_process(other, signal).unwrap();
                        std::thread::sleep(Duration::from_millis(milliseconds));
                    }
                }
            });
            let ran = fast.end();
            over.store(true, Ordering::Relaxed);
            assert_eq!(ran.json()["rows"], ROWS * files + 1, "{ran}");
        });
        slow.end().ended_with(0);
        let report = report(&home);
        ["exchanged_bytes", "peak_rss_bytes"].map(|figure| report[figure].as_u64().unwrap())
    });
    let (sent, growth) = (many[0] - few[0], many[1].saturating_sub(few[1]));
    assert!(sent > 16_000_000 && growth < sent / 4, "{growth} bytes more memory for {sent} more in passing");
}

#[test]
fn memory_does_not_grow_while_a_receiver_is_slow() {
    // The most memory of this process: nextest gives each test one of its own.
    let home = home();
    let few = send_to_slow_worker(&home, 0);
    let peak = peak_rss_bytes().unwrap();
    let many = send_to_slow_worker(&home, 2);
    let growth = peak_rss_bytes().unwrap() - peak;
    assert_eq!((few, many), (DISTINCT.into(), 3 * u64::from(DISTINCT)));
    let more_sent = u64::from(DISTINCT) * 2 * 2_056;
    assert!(growth < more_sent / 10, "{growth} bytes more memory for {more_sent} bytes more in passing");
}
