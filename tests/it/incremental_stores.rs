//! `query2_incremental` on a prefix of an S3 server, and on an HTTP server's manifest.
//!
//! These tests would catch an object counted twice or not at all, one that is read again after a restart, a total that stands though
//! its object changed, and a run that ends, or hangs, because a server was away for a while.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::Signal;
use serde_json::Value;

use crate::servers::{Fate, files, proxy, s3, with_credentials};
use crate::support::{Home, Ran, Runner, Running, rows};

/// The prefix of the tests, as the directory that the server shows.
fn prefix(home: &Home) -> PathBuf {
    home.path().join("buckets/visits/data/csv/t/uservisits")
}

const PREFIX: &str = "s3://visits/data/csv/t/uservisits";

fn home_with(parts: usize) -> Home {
    let home = Home::new();
    fs::create_dir_all(prefix(&home)).unwrap();
    (0..parts).for_each(|index| put(&home, index));
    home
}

/// Writes an object, and the same file for a full run.
fn put(home: &Home, index: usize) {
    let bytes = rows(index as u64 + 1, 600 + 11 * index).concat();
    let name = format!("part-{index:05}");
    fs::write(home.table().join(&name), &bytes).unwrap();
    // As S3 does it: an object is there whole.
    let staged = home.path().join("staged");
    fs::write(&staged, &bytes).unwrap();
    fs::rename(staged, prefix(home).join(name)).unwrap();
}

fn query(home: &Home, words: &str, data: &str) -> Runner {
    let mut command = Command::new(env!("CARGO_BIN_EXE_query2_incremental"));
    command.args(words.split_whitespace()).args(["--json", "--top", "3", "--set", "t", "--data", data]);
    with_credentials(&mut command, home.path());
    home.runner(command)
}

fn of_bucket(home: &Home, words: &str, server: SocketAddr) -> Runner {
    query(home, &format!("{words} --s3-endpoint http://{server}"), "s3://visits/data")
}

/// What a run printed: an object for each file, and the answer of a single pass.
fn objects(ran: &Ran) -> Vec<Value> {
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The objects of a single pass whose answer is that of a full run over the same files.
#[track_caller]
fn judged(home: &Home, ran: &Ran) -> Vec<Value> {
    ran.ended_with(0);
    let objects = objects(ran);
    let full = home.query("--json --top 3 -w 2").run().json();
    let answer = objects.last().unwrap();
    for key in ["hash", "groups", "revenue", "top"] {
        ran.check(answer[key] == full[key], &format!("{key} is not {}", full[key]));
    }
    objects
}

/// Goes on until the state has this object.
fn until_taken(home: &Home, running: Running, index: usize) -> Running {
    let manifest = home.path().join("state/manifest.json");
    let name = format!("{PREFIX}/part-{index:05}");
    running.until(|| fs::read_to_string(&manifest).unwrap_or_default().contains(&name))
}

/// A server that counts the requests for contents of each object.
fn counting(server: SocketAddr) -> (SocketAddr, Arc<[AtomicUsize; 8]>) {
    let counts: Arc<[AtomicUsize; 8]> = Arc::default();
    let counted = Arc::clone(&counts);
    let between = proxy(server, move |line, _| {
        for (index, count) in counted.iter().enumerate() {
            if line.contains(&format!("part-{index:05}")) {
                count.fetch_add(1, Ordering::SeqCst);
            }
        }
        Fate::Pass
    });
    (between, counts)
}

#[test]
fn objects_that_come_are_added_and_old_ones_are_not_read_again() {
    let home = home_with(1);
    let (server, reads) = counting(s3(&home.path().join("buckets"), false));
    let words = "-w 2 --state state";
    let mut running = of_bucket(&home, &format!("{words} --poll 0.05"), server).start();
    for index in 1..4 {
        running = until_taken(&home, running, index - 1);
        put(&home, index);
        fs::write(prefix(&home).join("part-9.tmp"), "no rows at all").unwrap();
        fs::write(prefix(&home).join("_SUCCESS"), "nor here").unwrap();
    }
    let mut running = until_taken(&home, running, 3);
    running.signal(running.pid(), Signal::INT);
    let ran = running.end();
    ran.check(ran.code.is_none_or(|code| code != 0), "Ctrl-C is no success");
    let told = objects(&ran);
    ran.check(told.len() >= 3 && told[2]["file"] == format!("{PREFIX}/part-00002"), "an object for each");
    let before: Vec<_> = reads.iter().map(|count| count.load(Ordering::SeqCst)).collect();
    ran.check(before[..4].iter().all(|count| *count > 0), "each was read");
    // From the state: the old ones are in the list, and nothing more is asked of them.
    put(&home, 4);
    let ran = of_bucket(&home, words, server).run();
    let told = judged(&home, &ran);
    ran.check(told.len() == 2 && told[0]["rows"] == 600 + 44, "the new one alone");
    let after: Vec<_> = reads.iter().map(|count| count.load(Ordering::SeqCst)).collect();
    ran.check(after[..4] == before[..4] && after[4] > 0, "what was read");
    ran.check(ran.stderr.contains("of 4 files from before"), "what is known from before");
}

#[test]
fn a_table_named_outright_by_any_number_of_threads() {
    let home = home_with(3);
    let server = s3(&home.path().join("buckets"), false);
    let endpoint = format!("--s3-endpoint http://{server}");
    for (workers, data) in
        [(1, &format!("{PREFIX}/")[..]), (3, "s3://visits/data/csv/{set}/uservisits/part-*")]
    {
        let ran = query(&home, &format!("-w {workers} {endpoint}"), data).run();
        assert_eq!(judged(&home, &ran).len(), 4);
    }
    let ran = query(&home, &endpoint, "s3://visits/nothing").run();
    ran.failed_saying(
        "there is no table uservisits in set t: no files in s3://visits/nothing/csv/t/uservisits",
    );
    query(&home, "", "gs://visits").run().ended_with(2);
    query(&home, "--s3-endpoint localhost", "s3://visits").run().ended_with(2);
}

#[test]
fn a_prefix_may_be_empty_at_first() {
    let home = home_with(0);
    let server = s3(&home.path().join("buckets"), false);
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let between = proxy(server, move |line, _| {
        counted.fetch_add(1, Ordering::SeqCst);
        // This server answers 500 where the prefix is asked for as an object; S3 says that there is none.
        if line.starts_with("HEAD ") { Fate::Answer(404, "") } else { Fate::Pass }
    });
    let running = of_bucket(&home, "--state state --poll 0.05", between).start();
    let running = running.until(|| asked.load(Ordering::SeqCst) > 3);
    put(&home, 0);
    let mut running = until_taken(&home, running, 0);
    running.signal(running.pid(), Signal::TERM);
    running.end();
}

#[test]
fn what_was_added_must_stay() {
    let home = home_with(2);
    let server = s3(&home.path().join("buckets"), false);
    let run = || of_bucket(&home, "-w 2 --state state", server).run();
    judged(&home, &run());
    let path = prefix(&home).join("part-00001");
    let bytes = fs::read(&path).unwrap();
    let said = "part-00001 has changed since its rows were added: the totals are not those of the files any more\n  try: ";
    // The same size, and a digit is another.
    let mut other = bytes.clone();
    let digit = other.iter().rposition(u8::is_ascii_digit).unwrap();
    other[digit] = if other[digit] == b'1' { b'2' } else { b'1' };
    fs::write(&path, &other).unwrap();
    run().failed_saying(said);
    fs::write(&path, [&bytes[..], b"\n"].concat()).unwrap();
    run().failed_saying(said);
    fs::remove_file(&path).unwrap();
    run().failed_saying("part-00001 is gone since its rows were added");
    // A state of a directory is none of a prefix, nor the other way round.
    let mut local = Command::new(env!("CARGO_BIN_EXE_query2_incremental"));
    local.args(["--set", "t", "--data", "data", "--state", "state"]);
    home.runner(local).run().failed_saying("is gone since its rows were added");
}

#[test]
fn one_that_changes_while_it_waits_ends_the_run() {
    let home = home_with(2);
    let server = s3(&home.path().join("buckets"), false);
    let running = of_bucket(&home, "-w 1 --state state --poll 0.05", server).start();
    let running = until_taken(&home, running, 1);
    fs::write(prefix(&home).join("part-00000"), rows(77, 600).concat()).unwrap();
    let ran = running.end();
    ran.ended_with(1).check(ran.stderr.contains("part-00000 has changed since its rows were added"), "why");
}

#[test]
fn a_server_that_fails_for_a_while_is_waited_for() {
    let home = home_with(1);
    let server = s3(&home.path().join("buckets"), false);
    let (away, refused) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (fate, counted) = (Arc::clone(&away), Arc::clone(&refused));
    let between = proxy(server, move |_, _| {
        if !fate.load(Ordering::SeqCst) {
            return Fate::Pass;
        }
        // By turns, as a server that is restarted.
        match counted.fetch_add(1, Ordering::SeqCst) % 3 {
            0 => Fate::Answer(503, "<Error><Code>SlowDown</Code></Error>"),
            1 => Fate::Cut(0),
            _ => Fate::Answer(500, ""),
        }
    });
    let running = of_bucket(&home, "-w 2 --state state --poll 0.05", between).start();
    let running = until_taken(&home, running, 0);
    away.store(true, Ordering::SeqCst);
    put(&home, 1);
    let running = running.until(|| refused.load(Ordering::SeqCst) > 3);
    away.store(false, Ordering::SeqCst);
    let mut running = until_taken(&home, running, 1);
    running.signal(running.pid(), Signal::INT);
    running.end();
    // One that stays away ends the run, and the state is what it was.
    away.store(true, Ordering::SeqCst);
    let ran = of_bucket(&home, "-w 2 --state state --poll 0.05 --store-timeout 0.5", between).run();
    ran.failed_saying("cannot list s3://visits/data/csv/t/uservisits");
    assert_eq!(judged(&home, &of_bucket(&home, "--state state", server).run()).len(), 1);
}

#[test]
fn a_signal_ends_a_run_that_waits_for_a_server() {
    let home = home_with(2);
    let server = s3(&home.path().join("buckets"), false);
    // The second object is never given.
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let between = proxy(server, move |line, _| {
        if line.contains("part-00001") {
            counted.fetch_add(1, Ordering::SeqCst);
            return Fate::Hang;
        }
        Fate::Pass
    });
    let running = of_bucket(&home, "-w 2 --state state --poll 0.05", between).start();
    let mut running = running.until(|| asked.load(Ordering::SeqCst) > 0);
    running.signal(running.pid(), Signal::INT);
    let ran = running.end();
    ran.check(ran.code.is_none_or(|code| code != 0), "Ctrl-C is no success");
    let told = judged(&home, &of_bucket(&home, "-w 1 --state state", server).run());
    assert!(told.len() == 2 && told[0]["file"] == format!("{PREFIX}/part-00001"), "{told:?}");
}

/// Writes the manifest of a directory that an HTTP server shows.
fn write_manifest(directory: &Path, parts: usize) {
    let line = |index: usize| {
        let name = format!("part-{index:05}");
        format!("{} {name}\n", fs::metadata(directory.join(&name)).unwrap().len())
    };
    let staged = directory.join("_staged");
    fs::write(&staged, (0..parts).map(line).collect::<String>()).unwrap();
    fs::rename(staged, directory.join("_manifest.txt")).unwrap();
}

#[test]
fn a_manifest_that_grows() {
    let home = home_with(1);
    let server = files(home.path().to_path_buf(), true);
    let data = format!("http://{server}/data");
    for parts in 1..=3 {
        put(&home, parts - 1);
        write_manifest(&home.table(), parts);
        let ran = query(&home, "-w 2 --state state", &data).run();
        assert_eq!(judged(&home, &ran).len(), 2);
    }
    fs::write(home.table().join("_manifest.txt"), "17 part-00000\n").unwrap();
    query(&home, "--state state", &data)
        .run()
        .failed_saying("part-00000 has changed since its rows were added");
}
