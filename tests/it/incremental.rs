//! `query2_incremental`, with real processes, against `query2` and the plain judge.
//!
//! These tests would catch a file counted twice or not at all, half a file taken for a whole one, a total that stands though its
//! file changed, a group whose rows are all worth nothing, and a state that a kill leaves torn or ahead of its totals.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{Home, Judged, Ran, Random, Runner, rows};

fn incremental(home: &Home, words: &str) -> Runner {
    let mut command = Command::new(env!("CARGO_BIN_EXE_query2_incremental"));
    command.args(words.split_whitespace()).args(["--data", "data", "--set", "t"]);
    home.runner(command)
}

/// The objects that a run prints with `--json`: one for each file, and the answer of a single pass.
fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
fn judged(home: &Home, ran: &Ran, words: &str) -> Vec<Value> {
    ran.ended_with(0);
    let objects = objects(&ran.stdout);
    let full = home.query(&format!("--json --top 3 -w 2 {words}")).run().json();
    let answer = objects.last().unwrap();
    for key in ["hash", "groups", "revenue", "top"] {
        ran.check(answer[key] == full[key], &format!("{key} is not {}", full[key]));
    }
    objects
}

fn put(home: &Home, name: &str, bytes: &[u8]) {
    fs::write(home.table().join(".new"), bytes).unwrap();
    fs::rename(home.table().join(".new"), home.table().join(name)).unwrap();
}

fn part(index: usize) -> (String, Vec<u8>) {
    (format!("part-{index:05}"), rows(index as u64 + 1, 700 + 13 * index).concat())
}

#[test]
fn each_file_is_an_epoch_and_the_answer_that_of_a_full_run() {
    let mut files: Vec<_> = (0..4).map(part).collect();
    // A group worth nothing, and a long field in quotes, beyond where quotes are looked for, that is cut as if it were rows.
    files[1].1.extend_from_slice(b"0.0.0.0,p,1990-01-01,0,a,D,D,w,1\n");
    let (more, quoted) = (rows(99, 900).concat(), rows(98, 1_600).concat());
    let row = [b"9.9.9.9,p,1990-01-01,0.5,\"", &quoted[..], b"\",D,D,w,1\n"].concat();
    files[2].1 = [&files[2].1, &more, &row[..]].concat();
    let home = Home::with(&files);
    for (workers, prefix) in [(1, 8), (2, 1), (3, 15)] {
        let words = format!("-k {prefix}");
        let ran = incremental(&home, &format!("{words} -w {workers} --json --top 3")).run();
        let objects = judged(&home, &ran, &words);
        ran.check(objects.len() == files.len() + 1, "an object for each file and one for the answer");
        let mut before = Judged::default();
        for index in 0..files.len() {
            let after = Judged::of(files[..=index].iter().map(|(_, bytes)| &bytes[..]), prefix);
            // Those of the file that were there before, one with rows worth nothing, too.
            let own = Judged::of([&files[index].1[..]], prefix);
            let changed = own.groups.keys().filter(|key| before.groups.contains_key(*key)).count();
            let added = after.groups.len() - before.groups.len();
            let epoch = &objects[index];
            ran.check(epoch["file"] == files[index].0, "which file");
            ran.check(epoch["rows"] == after.rows - before.rows, "rows of the file");
            ran.check(
                epoch["added"] == added && epoch["groups"] == after.groups.len(),
                "groups added and in all",
            );
            ran.check(epoch["changed"] == changed, "groups changed");
            let away = epoch["revenue"].as_f64().unwrap() - after.revenue();
            ran.check(away.abs() < 1e-9, "revenue of all groups");
            before = after;
        }
    }
}

#[test]
fn files_that_come_are_added_and_old_ones_are_not_read_again() {
    let home = Home::with(&[part(0)]);
    let words = "-w 2 --json --top 3 --state state --poll 0.05";
    let epochs =
        |home: &Home| fs::read_to_string(home.path().join("state/manifest.json")).unwrap_or_default();
    let mut running = incremental(&home, words).start();
    for index in 1..4 {
        let (name, bytes) = part(index);
        running = running.until(|| epochs(&home).contains(&format!("part-{:05}", index - 1)));
        if index == 2 {
            // Written in place, in two steps, the second of which comes late.
            let (half, rest) = bytes.split_at(bytes.len() / 2);
            fs::write(home.table().join(&name), half).unwrap();
            std::thread::sleep(Duration::from_millis(300));
            assert!(!epochs(&home).contains(&name), "half a file was taken");
            let mut file = fs::OpenOptions::new().append(true).open(home.table().join(&name)).unwrap();
            std::io::Write::write_all(&mut file, rest).unwrap();
        } else {
            put(&home, &name, &bytes);
        }
    }
    let mut running = running.until(|| epochs(&home).contains("part-00003"));
    fs::write(home.table().join("part-9.tmp"), "no rows at all").unwrap();
    running.signal(running.pid(), Signal::INT);
    let ran = running.end();
    let told = objects(&ran.stdout);
    // The last may be in the state and not yet told.
    ran.check(told.len() >= 3 && told[2]["file"] == "part-00002", "an object for each file");
    fs::remove_file(home.table().join("part-9.tmp")).unwrap();
    // Nothing is new; the rows of an old file are not looked at.
    let ran = incremental(&home, "-w 1 --json --top 3 --state state").run();
    assert_eq!(judged(&home, &ran, "").len(), 1);
    ran.check(ran.stderr.contains("of 4 files from before"), "what is known from before");
    for index in 4..8 {
        put(&home, &part(index).0, &part(index).1);
        let ran = incremental(&home, "-w 3 --json --top 3 --state state").run();
        let objects = judged(&home, &ran, "");
        ran.check(objects.len() == 2 && objects[0]["rows"] == 700 + 13 * index, "the new file");
    }
    // Segments were merged on the way: all eight files changed most of the groups.
    let segments = home.listing("state").into_iter().filter(|name| name.starts_with("groups-")).count();
    assert!((1..=3).contains(&segments), "{segments} segments");
}

#[test]
fn a_sum_that_leaves_its_range_names_the_file_that_brought_it() {
    // Each file is within the range of a sum, both together are not: it shows only where they are added up.
    let row = "1.1.1.1,p,1990-01-01,536870912,a,D,D,w,1\n";
    let home = Home::with(&[("part-00000".to_owned(), row.into()), ("part-00001".to_owned(), row.into())]);
    let ran = incremental(&home, "-w 2 --state state").run();
    ran.ended_with(1);
    let said = "part-00001 brings the sum of group \"1.1.1.1\" beyond 2^29";
    ran.check(ran.stderr.contains(said), "which file");
    ran.check(ran.stdout.starts_with("part-00000: 1 rows"), "the first was taken");
}

#[test]
fn follow_looks_once_a_second() {
    // Catches a pass that ends although it was told to follow, and a file that comes later and is not seen.
    let home = Home::with(&[part(0)]);
    let taken = |home: &Home| fs::read_to_string(home.path().join("state/manifest.json")).unwrap_or_default();
    let running = incremental(&home, "-w 2 --json --top 3 --state state --follow").start();
    let running = running.until(|| taken(&home).contains("part-00000"));
    put(&home, "part-00001", &part(1).1);
    let mut running = running.until(|| taken(&home).contains("part-00001"));
    running.signal(running.pid(), Signal::INT);
    running.end();
    let ran = incremental(&home, "-w 2 --json --top 3 --state state").run();
    assert_eq!(judged(&home, &ran, "").len(), 1, "both were taken before");
}

#[test]
fn what_was_added_must_stay() {
    let home = Home::with(&[part(0), part(1)]);
    let run = || incremental(&home, "-w 2 --json --top 3 --state state").run();
    judged(&home, &run(), "");
    let path = home.table().join("part-00001");
    let bytes = fs::read(&path).unwrap();
    // A copy with another time is the same file.
    put(&home, "part-00001", &bytes);
    fs::File::open(&path)
        .unwrap()
        .set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000))
        .unwrap();
    judged(&home, &run(), "");
    // The same size, and a digit is another.
    let mut other = bytes.clone();
    let digit = other.iter().rposition(u8::is_ascii_digit).unwrap();
    other[digit] = if other[digit] == b'1' { b'2' } else { b'1' };
    put(&home, "part-00001", &other);
    run().failed_saying("part-00001 has changed since its rows were added: the totals are not those of the files any more\n  try: ");
    put(&home, "part-00001", &[&bytes[..], b"\n"].concat());
    run().failed_saying("part-00001 has changed since its rows were added");
    fs::remove_file(&path).unwrap();
    run().failed_saying("part-00001 is gone since its rows were added");
    put(&home, "part-00001", &bytes);
    judged(&home, &run(), "");
}

#[test]
fn what_cannot_be_added_is_an_error() {
    let home = Home::with(&[part(0)]);
    let run = |words: &str| incremental(&home, &format!("-w 2 --json --top 3 --state state {words}")).run();
    judged(&home, &run(""), "");
    run("-n 2").ended_with(2);
    run("-w 0").ended_with(2);
    run("--poll 0").ended_with(2);
    run("-k 9").failed_saying("holds the state of query2 -k 8");
    for (bad, said) in [
        (
            "1.1.1.1,p,1990-01-01,0.1,a,D,D,w,1\n",
            "part-00001 has the value 0.1, which is no multiple of 2^-24",
        ),
        // 2^39 below zero, whose number of units is the least of 64 bits.
        (
            "1.1.1.1,p,1990-01-01,-549755813888,a,D,D,w,1\n",
            "part-00001 has the value -549755800000, which is beyond 2^29",
        ),
        (
            &"1.1.1.1,p,1990-01-01,536870912,a,D,D,w,1\n".repeat(1_024),
            "part-00001 brings the sum of group \"1.1.1.1\" beyond 2^29",
        ),
        ("1.1.1.1,p,1990-01-01,x,a,D,D,w,1\n", "part-00001, byte 0, line 1, column adRevenue"),
        (
            "1.1.1.1,p,1990-01-01,0.5,a,D,D,w,1",
            "part-00001 does not end with a newline: is it still being written?",
        ),
    ] {
        put(&home, "part-00001", bad.as_bytes());
        run("").failed_saying(said);
    }
    fs::remove_file(home.table().join("part-00001")).unwrap();
    // The failures have left nothing of the bad file.
    judged(&home, &run(""), "");
    let segment = home.listing("state").into_iter().find(|name| name.starts_with("groups-")).unwrap();
    let path = home.path().join("state").join(segment);
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    run("").failed_saying("has a damaged groups-");
    fs::write(home.path().join("state/manifest.json"), "{").unwrap();
    run("").failed_saying("has a damaged manifest.json");
    fs::write(home.path().join("diary"), "").unwrap();
    let ran = incremental(&home, "--state .").run();
    ran.failed_saying("which is no part of a state\n  try: another --state\n");
    assert!(home.path().join("diary").exists());
}

/// Once every file whose name begins as those of segments do was removed, and some before another one was refused.
#[test]
fn files_of_others_are_never_removed() {
    let home = Home::with(&[part(0)]);
    let others = home.path().join("others");
    fs::create_dir(&others).unwrap();
    let refused = |names: &[&str], said: &str| {
        names.iter().for_each(|name| fs::write(others.join(name), "kept").unwrap());
        let ran = incremental(&home, "--state others").run();
        ran.failed_saying(said).failed_saying("\n  try: another --state\n");
        let mut there: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        there.sort();
        ran.check(home.listing("others") == there, "what was there is there");
        names.iter().for_each(|name| fs::remove_file(others.join(name)).unwrap());
    };
    for name in ["groups-2026.csv", "groups-7", "groups-+00007", "groups-", "groups-0000007"] {
        refused(&[name, "groups-000003"], &format!("holds {name}, which is no part of a state"));
    }
    refused(&["groups-000003", "groups-1234567"], ", but no manifest.json");
    // With a manifest, what is exactly a segment's is left from a process that was killed.
    incremental(&home, "--state others").run().ended_with(0);
    fs::write(others.join("groups-000099"), "left over").unwrap();
    incremental(&home, "--state others").run().ended_with(0);
    assert_eq!(home.listing("others"), ["groups-000000", "manifest.json"]);
    fs::write(others.join("groups-000099"), "left over").unwrap();
    fs::write(others.join("groups-2026.csv"), "kept").unwrap();
    incremental(&home, "--state others").run().failed_saying("holds groups-2026.csv, which is no part");
    assert_eq!(home.listing("others").len(), 4);
}

/// Once a manifest of which a segment was taken out gave smaller totals.
#[test]
fn a_manifest_that_was_changed_is_refused() {
    let home = Home::with(&[part(0)]);
    let run = || incremental(&home, "--state state").run();
    run().ended_with(0);
    let path = home.path().join("state/manifest.json");
    let written = fs::read_to_string(&path).unwrap();
    let whole: Value = serde_json::from_str(&written).unwrap();
    let (mut fewer, mut renamed, mut older) = (whole.clone(), whole.clone(), whole.clone());
    fewer["segments"] = Value::Array(Vec::new());
    renamed["files"][0]["name"] = "part-00007".into();
    for changed in [fewer, renamed] {
        fs::write(&path, changed.to_string()).unwrap();
        run().failed_saying("has a damaged manifest.json: its digest is another one");
    }
    older["version"] = 1.into();
    older.as_object_mut().unwrap().remove("digest");
    fs::write(&path, older.to_string()).unwrap();
    run().failed_saying("version 1, and not of query2 -k 8, version 2\n  try: another --state, or remove it");
    fs::write(&path, written).unwrap();
    run().ended_with(0);
}

/// Once a folder was taken for a file, and ended who followed.
#[test]
fn a_folder_among_the_files_is_named_by_a_single_pass_and_passed_over_by_others() {
    let home = Home::with(&[part(0)]);
    fs::create_dir(home.table().join("part-more")).unwrap();
    incremental(&home, "").run().failed_saying("part-more is not a regular file");
    let running = incremental(&home, "-w 2 --state state --poll 0.05").start();
    let manifest = home.path().join("state/manifest.json");
    let taken = |name: &str| fs::read_to_string(&manifest).unwrap_or_default().contains(name);
    let running = running.until(|| taken("part-00000"));
    put(&home, "part-00001", &part(1).1);
    let mut running = running.until(|| taken("part-00001"));
    running.signal(running.pid(), Signal::INT);
    running.end();
}

/// Files and digest of everything in the state.
fn state_of(home: &Home) -> Vec<(String, Vec<u8>)> {
    let read =
        |name: String| (name.clone(), fs::read(home.path().join("state").join(name)).unwrap_or_default());
    home.listing("state").into_iter().map(read).collect()
}

#[test]
fn killed_at_any_moment_it_goes_on_where_it_was() {
    let files: Vec<_> = (0..40).map(part).collect();
    let home = Home::with(&files);
    let words = "-w 2 --json --top 3 --state state";
    let mut random = Random(4);
    let mut taken = 0;
    let mut kills = 0;
    while taken < files.len() && kills < 60 {
        let before = state_of(&home);
        let running = incremental(&home, words).start();
        // Some die at once, most while they write the state.
        let pause = Duration::from_micros(random.below(20_000));
        let wanted = random.below(3) > 0;
        let mut running = running.until(|| !wanted || state_of(&home) != before || taken == files.len());
        std::thread::sleep(pause);
        running.signal(running.pid(), Signal::KILL);
        running.end();
        kills += 1;
        let manifest = fs::read(home.path().join("state/manifest.json")).unwrap_or_default();
        let manifest: Value = serde_json::from_slice(&manifest).unwrap_or_default();
        taken = manifest["files"].as_array().map_or(0, Vec::len);
    }
    assert!(kills > 3, "nothing was killed");
    let ran = incremental(&home, words).run();
    let objects = judged(&home, &ran, "");
    ran.check(objects.len() == files.len() - taken + 1, "only files that are new are read");
}

#[test]
fn two_processes_do_not_share_a_state() {
    let home = Home::with(&[part(0)]);
    let running = incremental(&home, "--state state --follow --poll 0.05").start();
    let mut running = running.until(|| Path::new(&home.path().join("state/manifest.json")).exists());
    incremental(&home, "--state state").run().failed_saying("is in use by another process");
    running.signal(running.pid(), Signal::TERM);
    running.end();
}
