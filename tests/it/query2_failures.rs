//! How Query 2 fails: what it says, its exit code, and that it leaves nothing behind: no answer on stdout, no part
//! file, no process.
//!
//! These tests would catch a smaller answer in place of an error, a process that waits for ever for one that is gone,
//! an orphan, a cause lost among its consequences, and a half-written output.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::{Home, Ran, Running, rows};

/// A job that was stopped ends within this.
const AT_ONCE: Duration = Duration::from_secs(2);
const BAD: &[u8] = b"1.2.3.4,http://page/1,1990-01-01,a lot,agent,DEU,DEU-DE,word,1\n";

/// Two files of 500 rows; the second has a bad record behind its first 100 rows.
fn bad_home(bad: &[u8]) -> (Home, usize) {
    let mut rows = rows(5, 1_000);
    let first = rows[..500].concat();
    let byte = rows[500..600].concat().len();
    rows.insert(600, bad.to_vec());
    (Home::with(&[("a".into(), first), ("b".into(), rows[500..].concat())]), byte)
}

/// Nothing but the data is left in the home, and no process.
#[track_caller]
fn nothing_left(home: &Home, ran: &Ran) {
    ran.check(home.listing("out") == ["absent"], "the output is left behind");
    ran.leaves_no_process(home);
}

#[test]
fn a_bad_record_is_named_exactly() {
    let (home, byte) = bad_home(BAD);
    let expected = format!(
        "error: bad record in data/csv/t/uservisits/b, byte {byte}, line 101, column adRevenue: cannot read `a lot` as f32\n  \
         record: 1.2.3.4,http://page/1,1990-01-01,a lot,agent,DEU,DEU-DE,word,1\n"
    );
    // The second is in the middle of cuts, where lines must be counted from the file's start.
    for words in ["-w 1", "-w 2 --split-size 2K", "-w 2 --json --top 0"] {
        let ran = home.query(&format!("{words} --output out --report report.json")).run();
        ran.failed_saying(&expected).check(ran.stderr == expected, "nothing else on stderr");
        ran.check(home.listing(".").len() == 1, "there is a report of a run that failed");
        nothing_left(&home, &ran);
    }
}

#[test]
fn a_long_bad_record_is_shortened() {
    let long = [b"1.2.3.4,\x1b[31m", &[b'x'; 5_000][..], b"\n"].concat();
    let (home, byte) = bad_home(&long);
    let ran = home.query("-w 2").run();
    let expected = format!(
        "error: bad record in data/csv/t/uservisits/b, byte {byte}, line 101: expected 9 fields, found 2\n  \
         record: 1.2.3.4,\\x1b[31m{}… (4933 bytes more)\n",
        "x".repeat(67)
    );
    ran.failed_saying(&expected);
}

#[test]
fn a_bad_last_record_without_a_newline_is_where_it_is() {
    // The offset was one too low there, and the line too: what the reader adds at the end was counted as read.
    let good = rows(5, 3).concat();
    let text = [&good[..], &BAD[..BAD.len() - 1]].concat();
    let home = Home::with(&[("a".into(), text)]);
    for split_size in ["1G", "100"] {
        let ran = home.query(&format!("-w 1 --split-size {split_size}")).run();
        ran.failed_saying(&format!("uservisits/a, byte {}, line 4, column adRevenue: ", good.len()));
    }
}

#[test]
fn a_bad_record_of_another_process_ends_both() {
    let (home, byte) = bad_home(BAD);
    let cause = format!("bad record in data/csv/t/uservisits/b, byte {byte}, line 101, column adRevenue: ");
    let ran = home.query("-w 1 -n 2 --output out").run();
    ran.failed_saying("[p1] error: worker 1 on 127.0.0.1:").failed_saying("\nerror: worker 1 on 127.0.0.1:");
    ran.failed_saying(&format!(" failed: {cause}"));
    ran.check(ran.stderr.matches(&cause).count() == 2, "the cause on both processes");
    nothing_left(&home, &ran);
}

#[test]
fn skipped_records_are_counted() {
    let told = "3 bad records were skipped: the answer is without them\n";
    let (home, _) = bad_home(&[BAD, b"short\n", BAD].concat());
    let mut hashes = Vec::new();
    for words in ["-w 1", "-w 2 -n 2 --split-size 2K"] {
        let ran =
            home.query(&format!("{words} --bad-records skip --json --report r.json --output out")).run();
        let answer = ran.json();
        ran.check(answer["rows"] == 1_000, "the good rows");
        let report: serde_json::Value =
            serde_json::from_slice(&fs::read(home.path().join("r.json")).unwrap()).unwrap();
        ran.check(report["input"]["bad_records"] == 3, "the skipped rows");
        ran.check(ran.stderr.ends_with(&format!("\n{told}")), "who reads stderr is told");
        hashes.push(answer["hash"].clone());
        fs::remove_dir_all(home.path().join("out")).unwrap();
    }
    assert_eq!(hashes[0], hashes[1]);
    let ran = home.query("-w 1 --bad-records skip").run();
    ran.ended_with(0);
    ran.check(ran.stderr.ends_with(&format!("\n{told}")), "a user is told");
}

#[test]
fn data_that_is_not_there_is_said_to_be_missing() {
    let home = Home::with(&[("a".into(), rows(1, 5).concat())]);
    let ran = home.query("--output out --set nowhere").run();
    ran.failed_saying(
        "error: there is no table uservisits in set nowhere: no directory data/packed/nowhere/uservisits or data/parquet/nowhere/uservisits or data/csv/nowhere/uservisits\n  \
         there is: csv/t/uservisits\n  to make one: cargo run --release --bin generate -- --data data --rows 10M --name nowhere\n",
    );
    nothing_left(&home, &ran);
    let ran = home.query("--set 5nodes").run();
    ran.failed_saying("\n  to make one: cargo run --release --bin generate -- --data data --set 5nodes\n");
    let ran = home.query("--set nowhere --format packed").run();
    ran.failed_saying("generate -- --data data --rows 10M --name nowhere --format packed\n");
    fs::remove_file(home.table().join("a")).unwrap();
    home.query("").run().failed_saying("error: data/csv/t/uservisits holds no files\n");
}

#[test]
fn what_is_no_file_is_not_passed_over() {
    // Passing over it would give a smaller answer.
    let home = Home::with(&[("a".into(), rows(1, 5).concat())]);
    fs::create_dir(home.table().join("b")).unwrap();
    let ran = home.query("--output out").run();
    ran.failed_saying("error: data/csv/t/uservisits/b is not a regular file: ");
    nothing_left(&home, &ran);
    fs::remove_dir(home.table().join("b")).unwrap();
    std::os::unix::fs::symlink("gone", home.table().join("b")).unwrap();
    let expected = "error: cannot look at data/csv/t/uservisits/b: No such file or directory (os error 2)\n";
    home.query("--output out").run().failed_saying(expected);
}

#[test]
fn an_unreadable_file_is_named() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::with(&[("a".into(), rows(1, 500).concat()), ("b".into(), rows(1, 50).concat())]);
    fs::set_permissions(home.table().join("b"), fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read it all the same, but not without the capabilities that say so.
    let script = if fs::File::open(home.table().join("b")).is_ok() {
        "exec setpriv --bounding-set -dac_override,-dac_read_search \"$@\""
    } else {
        "exec \"$@\""
    };
    for words in ["-w 2", "-w 1 -n 2"] {
        let ran = home.query_in_shell(script, &format!("{words} --output out")).run();
        ran.failed_saying("cannot open data/csv/t/uservisits/b: Permission denied (os error 13)\n");
        nothing_left(&home, &ran);
    }
}

#[test]
fn no_room_for_the_output() {
    let home = Home::with(&[("a".into(), rows(1, 9_000).concat())]);
    // A limit on the size of files works everywhere.
    let limited = "trap '' XFSZ; ulimit -f 8; exec \"$@\"";
    for words in ["-w 1", "-w 2 --split-size 64K", "-w 1 -n 2 --split-size 64K"] {
        let ran = home.query_in_shell(limited, &format!("{words} -k 12 --output out")).run();
        ran.failed_saying(" cannot write out/.part-0000").failed_saying("File too large (os error 27)\n");
        nothing_left(&home, &ran);
    }
    // A full disk of our own where the system lets us have one: root, or a user with namespaces.
    let full =
        "mkdir disk && mount -t tmpfs -o size=64k none disk && \"$@\"; code=$?; ls -A disk; exit $code";
    let mut command = std::process::Command::new("unshare");
    command.args(["-rm", "true"]);
    if home.runner(command).run().code == Some(0) {
        let script = format!("exec unshare -rm sh -c '{full}' sh \"$@\"");
        let ran = home.query_in_shell(&script, "-w 2 -k 12 --split-size 64K --output disk/out").run();
        // Stdout has the files left on the disk: none.
        ran.failed_saying("error: cannot write disk/out/.part-0000")
            .failed_saying("No space left on device (os error 28)\n");
    }
}

#[test]
fn no_room_for_the_answer() {
    let home = Home::with(&[("a".into(), rows(1, 5).concat())]);
    let ran = home.query_in_shell("exec \"$@\" > /dev/full", "-w 1").run();
    ran.failed_saying("error: cannot write to standard output: No space left on device (os error 28)\n");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let home = Home::with(&[("a".into(), rows(1, 9_000).concat())]);
    // More than a pipe holds, so that the answer meets the closed pipe. The code of the query, not of `head`.
    let script = "{ \"$@\"; echo code $? >&2; } | head -c 1";
    let ran = home.query_in_shell(script, "-w 1 -k 15 --top 100000").run();
    ran.ended_with(0).check(ran.stdout == "p", "the first byte");
    ran.check(ran.stderr.ends_with("code 0\n") && !ran.stderr.contains("error"), "no message");
    let ran = home.query_in_shell("exec \"$@\" >&- 2>&- <&-", "-w 1 -n 2").run();
    ran.ended_with(0);
}

/// Starts a job that would take long, and waits until its workers write.
fn started(home: &Home, words: &str, parts: usize) -> Running {
    home.query(&format!("{words} --output out --report report.json"))
        .start()
        .until(|| home.listing("out").iter().filter(|name| name.starts_with(".part-")).count() == parts)
}

#[test]
fn a_signal_stops_the_job_and_leaves_nothing() {
    let home = Home::with_endless_table();
    for (words, parts, signal, name) in [
        ("-w 2", 2, Signal::INT, "Ctrl-C"),
        ("-w 1", 1, Signal::TERM, "SIGTERM"),
        ("-w 1 -n 2", 2, Signal::INT, "Ctrl-C"),
        ("-w 1 -n 3", 3, Signal::HUP, "SIGHUP"),
    ] {
        let mut running = started(&home, words, parts);
        running.signal(running.pid(), signal);
        let ran = running.end();
        // Alone there is nobody to tell apart.
        let who = if words.contains("-n") { "error: process 0 on 127.0.0.1:" } else { "error: " };
        ran.failed_saying(who);
        ran.failed_saying(&format!("stopped by {name}; no answer was given and no output was written\n"));
        ran.check(ran.taken < AT_ONCE, "it took long to stop");
        nothing_left(&home, &ran);
        ran.check(!home.path().join("report.json").exists(), "a report of a run that failed");
    }
}

#[test]
fn a_second_signal_hid_the_cause() {
    let home = Home::with_endless_table();
    for words in ["-w 2", "-w 1 -n 2"] {
        let mut running = started(&home, words, 2);
        running.signal(running.pid(), Signal::TERM);
        std::thread::sleep(Duration::from_millis(2));
        // It may have ended.
        let _ = rustix::process::kill_process(running.pid(), Signal::TERM);
        let ran = running.end();
        ran.failed_saying("stopped by SIGTERM; no answer was given and no output was written\n");
        ran.leaves_no_process(&home);
        fs::remove_dir_all(home.path().join("out")).ok();
    }
}

#[test]
fn a_signal_was_swallowed_while_nobody_read_the_answer() {
    let home = Home::with(&[("a".into(), rows(1, 20_000).concat())]);
    for words in ["-w 1", "-w 1 -n 2"] {
        let (unread, pipe) = std::io::pipe().unwrap();
        let mut query = home.query(&format!("{words} -k 12 --top 20000 --output out"));
        query.command.stdout(pipe);
        let mut running = query.start();
        while rustix::io::ioctl_fionread(&unread).unwrap() < 60_000 {
            std::thread::sleep(Duration::from_millis(5));
        }
        running.signal(running.pid(), Signal::TERM);
        let ran = running.end();
        let line = "error: stopped by SIGTERM when the run was over; its output is complete, ";
        ran.ended_with(1).check(ran.stderr.contains(line), line);
        ran.check(ran.taken < AT_ONCE, "it took long to stop");
        assert!(home.listing("out").contains(&"_SUCCESS".to_owned()), "{ran}");
        fs::remove_dir_all(home.path().join("out")).unwrap();
    }
}

#[test]
fn a_limit_of_file_sizes_ended_the_process_without_a_word() {
    let home = Home::with(&[("a".into(), rows(1, 20_000).concat())]);
    let too_large = "File too large (os error 27)";
    // Blocks of 512 bytes.
    let limited = |blocks: usize, words: &str| {
        home.query_in_shell(&format!("ulimit -f {blocks}; exec \"$@\""), words).run()
    };
    for words in ["-w 1 --output out", "-w 2 -n 2 --output out", "-w 1 --output out --single-file"] {
        let ran = limited(10, &format!("-k 12 {words}"));
        ran.failed_saying(too_large);
        nothing_left(&home, &ran);
    }
    // Not even the marker, of which nothing stayed but an empty file in a new directory.
    let ran = limited(0, "-w 1 --output out");
    ran.failed_saying(&format!("cannot write out/.millrace-run: {too_large}"));
    nothing_left(&home, &ran);
    fs::create_dir(home.path().join("there")).unwrap();
    limited(0, "-w 1 --output there").failed_saying(too_large);
    assert_eq!(home.listing("there"), [""; 0]);
}

#[test]
fn a_child_that_is_stopped_or_killed_ends_the_job_and_is_named() {
    let home = Home::with_endless_table();
    for (signal, what) in [(Signal::KILL, " was lost: "), (Signal::TERM, " failed: stopped by SIGTERM")] {
        let mut running = started(&home, "-w 1 -n 2", 2);
        let child = home.processes().into_iter().find(|pid| *pid != running.pid()).expect("a child");
        running.signal(child, signal);
        let ran = running.end();
        ran.failed_saying("error: process 1 on 127.0.0.1:").failed_saying(what);
        ran.check(ran.taken < Duration::from_secs(5), "it took long to notice");
        nothing_left(&home, &ran);
    }
}

#[test]
fn a_killed_parent_leaves_no_orphan() {
    let home = Home::with_endless_table();
    let mut running = started(&home, "-w 1 -n 3", 3);
    running.signal(running.pid(), Signal::KILL);
    let ran = running.end();
    ran.check(ran.code.is_none() && ran.stdout.is_empty(), "killed");
    let asked = std::time::Instant::now();
    while !home.processes().is_empty() {
        ran.check(asked.elapsed() < AT_ONCE, "an orphan is left behind");
        std::thread::sleep(Duration::from_millis(5));
    }
    // What it could not clean up hides from readers, and is in nobody's way.
    ran.check(home.listing("out").iter().all(|name| name.starts_with('.')), "something that looks like data");
    fs::remove_dir_all(home.table()).unwrap();
    fs::create_dir(home.table()).unwrap();
    fs::write(home.table().join("a"), rows(1, 50).concat()).unwrap();
    home.query("-w 1 -n 3 --output out").run().ended_with(0);
    assert_eq!(home.listing("out"), ["_SUCCESS", "part-00000.csv", "part-00001.csv", "part-00002.csv"]);
}

#[test]
fn a_signal_stops_a_process_that_waits_for_others() {
    // It waited for the others until its time was over.
    let home = Home::with(&[("a".into(), rows(1, 5).concat())]);
    home.write_hosts(2);
    let listens = home.path().join("out");
    let mut running = home.query("-h hosts -p 0 --output out").start().until(|| listens.exists());
    // Until it watches for signals.
    std::thread::sleep(Duration::from_millis(500));
    running.signal(running.pid(), Signal::INT);
    let ran = running.end();
    ran.failed_saying(" failed: stopped by Ctrl-C");
    ran.check(ran.taken < Duration::from_secs(4), "it went on waiting");
    nothing_left(&home, &ran);
}

#[test]
fn nohup_means_that_a_hangup_is_no_end() {
    let home = Home::with(&[("a".into(), rows(1, 20_000).concat())]);
    let script = "trap '' HUP; \"$@\" & query=$!; for i in 1 2 3 4 5 6 7 8 9; do sleep 0.02; \
                  kill -HUP $query 2> /dev/null; done; wait $query";
    home.query_in_shell(script, "-w 1").run().ended_with(0);
}

#[test]
fn a_process_lost_behind_a_host_file_ends_the_other() {
    let home = Home::with_endless_table();
    home.write_hosts(2);
    let mut other = home.query("-w 1 -h hosts -p 1 --output out").start();
    let running = started(&home, "-w 1 -h hosts -p 0", 2);
    other.signal(other.pid(), Signal::KILL);
    let ran = running.end();
    ran.failed_saying("error: process 1 on 127.0.0.1:").failed_saying(" was lost: ");
    drop(other);
    ran.check(
        home.listing("out").is_empty() || home.listing("out") == ["absent"],
        "what the lost process wrote is left behind",
    );
}

#[test]
fn an_output_that_holds_something_is_never_touched() {
    let home = Home::with(&[("a".into(), rows(1, 5).concat())]);
    home.query("-w 1 --output out").run().ended_with(0);
    for words in ["-w 1", "-w 1 -n 2"] {
        let ran = home.query(&format!("{words} --output out")).run();
        ran.failed_saying("error: the output directory out is not empty: it holds ")
            .failed_saying("\n  try: another --output, or remove it first\n");
        ran.check(home.listing("out") == ["_SUCCESS", "part-00000.csv"], "the older result");
    }
    let ran = home.query("-w 1 --output data/csv/t/uservisits/a").run();
    ran.failed_saying("error: cannot create data/csv/t/uservisits/a: File exists");
    // A directory that was there stays, whatever happens.
    fs::create_dir(home.path().join("mine")).unwrap();
    fs::write(home.table().join("b"), "bad\n").unwrap();
    home.query("-w 1 -n 2 --output mine").run().failed_saying("bad record");
    assert!(home.listing("mine").is_empty());
}

#[test]
fn two_runs_do_not_share_an_output() {
    // They overwrote each other's parts, and the one that then failed removed the result of the other.
    let home = Home::with_endless_table();
    let mut running = started(&home, "-w 1", 1);
    let ran = home.query("-w 1 -n 2 --output out").run();
    ran.failed_saying("error: the output directory out is being written by another run\n");
    ran.check(home.listing("out") == [".millrace-run", ".part-00000.csv.tmp"], "the other run's part");
    running.signal(running.pid(), Signal::INT);
    nothing_left(&home, running.end().failed_saying("stopped by Ctrl-C"));
}

/// What [`window`] holds.
struct Window {
    home: Home,
    /// By process; a job without a host file has only its parent here.
    running: Vec<Running>,
    temporary: std::path::PathBuf,
}

/// A job in the window of its commit: all parts have their names, and process 0 is held up writing `_SUCCESS`, to a
/// pipe that nobody reads yet.
fn window(processes: usize, listed: bool) -> Window {
    let home = Home::with(&[("a".into(), rows(1, 200_000).concat())]);
    let mut words = format!("-w 1 -n {processes} --split-size 64K --output out");
    let mut rest = Vec::new();
    if listed {
        home.write_hosts(processes);
        words += " -h hosts";
        rest = (1..processes).map(|index| home.query(&format!("{words} -p {index}")).start()).collect();
        words += " -p 0";
    }
    let begun = || home.listing("out").contains(&".part-00000.csv.tmp".to_owned());
    let running = home.query(&words).start().until(begun);
    let temporary = home.path().join("out/._SUCCESS.tmp");
    rustix::fs::mkfifoat(rustix::fs::CWD, &temporary, rustix::fs::Mode::RWXU).unwrap();
    let named = || (0..processes).all(|i| home.listing("out").contains(&format!("part-{i:05}.csv")));
    let running = running.until(named);
    // Until process 0 has every confirmation.
    std::thread::sleep(Duration::from_millis(500));
    rest.insert(0, running);
    Window { home, running: rest, temporary }
}

/// The output of a run that has succeeded.
fn whole(processes: usize) -> Vec<String> {
    let parts = (0..processes).map(|index| format!("part-{index:05}.csv"));
    std::iter::once("_SUCCESS".to_owned()).chain(parts).collect()
}

#[test]
fn parts_of_a_run_that_was_killed_before_its_manifest_are_removed_by_the_next() {
    // They were taken for somebody's data, and every later run was refused.
    for processes in [1, 3] {
        let Window { home, mut running, .. } = window(processes, false);
        let pid = running[0].pid();
        running[0].signal(pid, Signal::KILL);
        let ran = running.remove(0).end();
        ran.check(ran.code.is_none() && ran.stdout.is_empty(), "killed");
        let asked = std::time::Instant::now();
        while !home.processes().is_empty() {
            ran.check(asked.elapsed() < AT_ONCE, "an orphan is left behind");
            std::thread::sleep(Duration::from_millis(5));
        }
        let left = home.listing("out");
        ran.check(left.contains(&".millrace-run".to_owned()), "the marker");
        ran.check(left.contains(&"part-00000.csv".to_owned()), "a named part");
        ran.check(!left.contains(&"_SUCCESS".to_owned()), "no result");
        // Something of somebody else's is in the way, and is not touched.
        fs::write(home.path().join("out/notes"), "mine").unwrap();
        home.query("-w 1 --output out").run().failed_saying("is not empty: it holds notes\n");
        assert_eq!(home.listing("out").len(), left.len() + 1);
        fs::remove_file(home.path().join("out/notes")).unwrap();
        home.query("-w 2 --output out").run().ended_with(0);
        assert_eq!(home.listing("out"), whole(2));
    }
}

#[test]
fn processes_that_cannot_know_the_end_leave_their_parts_to_the_next_run() {
    let Window { home, mut running, .. } = window(3, true);
    let pid = running[0].pid();
    running[0].signal(pid, Signal::KILL);
    running.remove(0).end();
    for running in running {
        running.end().failed_saying("error: process 0 on 127.0.0.1:").failed_saying(" was lost: ");
    }
    // Where process 0 wrote elsewhere, there might be a manifest that lists them.
    assert!(home.listing("out").contains(&"part-00001.csv".to_owned()));
    home.query("-w 1 --output out").run().ended_with(0);
    assert_eq!(home.listing("out"), whole(1));
}

#[test]
fn a_manifest_that_cannot_be_written_fails_every_process() {
    let Window { home, running, temporary } = window(3, true);
    // To a pipe, what is written goes; but a pipe cannot be synced.
    fs::read(temporary).unwrap();
    for running in running {
        let ran = running.end();
        ran.failed_saying("error: process 0 on 127.0.0.1:")
            .failed_saying(" failed: cannot write out/_SUCCESS: ");
        nothing_left(&home, &ran);
    }
}

#[test]
fn what_one_process_cannot_plan_ends_all_that_wait_for_it() {
    // They waited until their time was over, and then only knew that it had not come.
    let home = Home::with(&[("a".into(), rows(1, 5).concat())]);
    home.write_hosts(3);
    for failing in [0, 2] {
        let running: Vec<_> = (0..3)
            .map(|index| {
                let set = if index == failing { "--set nowhere" } else { "" };
                home.query(&format!("-w 1 -h hosts -p {index} --output out {set}")).start()
            })
            .collect();
        let ended: Vec<_> = running.into_iter().map(Running::end).collect();
        for (index, ran) in ended.iter().enumerate() {
            ran.failed_saying("there is no table uservisits in set nowhere: ");
            ran.check(ran.taken < Duration::from_secs(5), "it took long to notice");
            let told = ran.stderr.starts_with(&format!("error: process {failing} on 127.0.0.1:"));
            ran.check(told || index == failing, "who is to blame");
            nothing_left(&home, ran);
        }
    }
}

#[test]
fn what_was_typed_wrong_for_one_process_ends_all_that_wait_for_it() {
    let home = Home::with(&[("a".into(), rows(1, 5).concat())]);
    home.write_hosts(3);
    let words = |index| if index == 1 { "-w 0" } else { "-w 1" };
    let running: Vec<_> = (0..3)
        .map(|index| home.query(&format!("{} -h hosts -p {index} --output out", words(index))).start())
        .collect();
    for (index, ran) in running.into_iter().map(Running::end).enumerate() {
        ran.ended_with(if index == 1 { 2 } else { 1 });
        let who = if index == 1 { "error: -w 0 gives" } else { "error: process 1 on 127.0.0.1:" };
        ran.check(ran.stderr.starts_with(who), "who is to blame");
        ran.check(ran.stderr.contains("-w 0 gives the job no thread\n  try: -w 1"), "the cause");
        ran.check(ran.taken < Duration::from_secs(5), "it took long to notice");
        nothing_left(&home, &ran);
    }
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_the_run() {
    let home = Home::with(&[("a".into(), rows(1, 5).concat())]);
    let ran = home.query("-w 1 --report missing/r.json --output out").run();
    ran.failed_saying("error: cannot write a report in missing: No such file or directory (os error 2)\n");
    nothing_left(&home, &ran);
    home.query("-w 1 --report data")
        .run()
        .failed_saying("error: cannot write the report data: is a directory\n");
}

#[test]
fn impossible_words_are_usage_errors() {
    let home = Home::with(&[("a".into(), rows(1, 5).concat())]);
    for (words, said) in [
        ("-k 0", "error: invalid value '0' for '--prefix <X>': 0 is not in 1..=15\n"),
        ("-k 16", "error: invalid value '16' for '--prefix <X>': 16 is not in 1..=15\n"),
        ("-w 0", "error: -w 0 gives the job no thread\n  try: -w 1, "),
        ("-n 0", "error: -n 0 leaves nobody to do the job\n"),
        ("-n 50000", "error: -n 50000 is more processes than one machine has work for\n  try: -n "),
        ("-w 2000", "error: -w 2000 is more threads than any machine has cores for\n  try: -w "),
        (
            "-p 18446744073709551615",
            "error: -p 18446744073709551615 names a line of a host file, but there is no -h\n",
        ),
        ("-p 1", "error: -p 1 names a line of a host file, but there is no -h\n"),
        ("--top many", "error: invalid value 'many' for '--top <N>'"),
        ("--colour", "error: unexpected argument '--colour' found\n"),
        ("-h missing", "error: cannot read the host file missing: No such file or directory (os error 2)\n"),
    ] {
        let ran = home.query(&format!("{words} --output out")).run();
        let code = if words == "-h missing" { 1 } else { 2 };
        ran.ended_with(code).check(ran.stderr.starts_with(said), said);
        ran.check(ran.stdout.is_empty(), "nothing on stdout");
        nothing_left(&home, &ran);
    }
    let ran = home.query("--set ../x").run();
    ran.ended_with(2).check(ran.stderr.starts_with("error: --set \"../x\" is no name of a set\n"), "the set");
    use std::os::unix::ffi::OsStrExt;
    let mut runner = home.query("");
    runner.command.arg("--output").arg(std::ffi::OsStr::from_bytes(b"out\xff"));
    runner.run().ended_with(2);
}

#[test]
fn help_lists_every_flag() {
    let home = Home::new();
    let ran = home.query("--help").run();
    ran.ended_with(0).check(ran.stderr.is_empty(), "help is no error");
    for flag in [
        "-k, --prefix <X>",
        "--top <N>",
        "--output <PATH>",
        "--output-format <FORMAT>",
        "--single-file",
        "--no-sync",
        "-w, --workers <N>",
        "-n, --processes <N>",
        "-p, --process <I>",
        "-h, --hosts <FILE>",
        "--secret-file <FILE>",
        "--connect-timeout <SECONDS>",
        "--peer-timeout <SECONDS>",
        "--data <DIR|URL|PATTERN>",
        "--set <NAME>",
        "--format <FORMAT>",
        "--bad-records <WHAT>",
        "--split-size <BYTES>",
        "--report <FILE>",
        "--json",
        "--no-progress",
        "-v, --verbose",
        "--help",
        "--version",
    ] {
        ran.check(ran.stdout.contains(flag), flag);
    }
    home.query("--version").run().ended_with(0);
}
