//! The operator `pipe`: with well-behaved programs in process, and with all others through `query4 --script`.
//!
//! These tests would catch a deadlock between pipes that are full, a line torn between two reads, an answer that stands though its
//! program failed or read only a part, a failure without its reason, and a program that outlives its job.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use millrace::operators::{Gather, Pipe};
use rustix::process::Signal;

use crate::support::{Home, Runner, share};

const QUICK: Duration = Duration::from_secs(5);

/// What goes in: more than all pipes and channels hold together.
fn numbers() -> Vec<u64> {
    (0..100_000).collect()
}

#[test]
fn programs_read_and_write_in_any_order() {
    let programs = [
        ("cat", "reads and writes by turns"),
        ("sort -r", "reads all before it writes"),
        ("sleep 0.3; cat", "starts late"),
        ("head -c 3000000 /dev/zero | tr '\\0' '\\n'; cat", "floods its output before it reads"),
        ("head -c 3000000 /dev/zero >&2; cat", "floods stderr"),
        ("cat; head -c 3000000 /dev/zero >&2", "floods stderr in the end"),
        ("cat; sleep 60 &", "leaves something running"),
        // Once it was waited for.
        ("setsid sleep 13 & cat", "leaves something running that has left its group"),
    ];
    for (index, (program, behaviour)) in programs.into_iter().enumerate() {
        let begun = Instant::now();
        let workers = index % 3 + 1;
        let guards = timely::execute(timely::Config::process(workers), move |worker| {
            let gathered = worker.dataflow(|scope| {
                share(scope, &numbers())
                    .pipe(
                        program,
                        |number, text| text.extend_from_slice(format!("{number}\n").as_bytes()),
                        |line| match std::str::from_utf8(line).map(str::parse::<u64>) {
                            _ if line.is_empty() => Ok(None),
                            Ok(Ok(number)) => Ok(Some(number)),
                            _ => Err("no number".into()),
                        },
                    )
                    .gather()
            });
            while worker.has_dataflows() {
                worker.step_or_park(None);
            }
            gathered.take()
        });
        let mut brought = guards.unwrap().join().into_iter().filter_map(Result::unwrap);
        let mut found = brought.next().expect("worker 0 has what was gathered");
        found.sort_unstable();
        assert!(found == numbers(), "{behaviour}, {workers} workers");
        assert!(begun.elapsed() < Duration::from_secs(10), "{behaviour}, {workers} workers: waited for");
    }
}

/// A crawl of so many pages in two files, and `query4` over it with a script.
fn crawl(pages: usize) -> Home {
    let home = Home::new();
    let table = home.path().join("data/csv/t/documents");
    fs::create_dir_all(&table).unwrap();
    let page = |index| {
        let filling = "words and words http://b/ and words\n".repeat(200);
        format!("http://a/{index} 1.2.3.4 19990101000000 text/html 7\n{filling}")
    };
    for file in 0..2 {
        let text: String = (0..pages / 2).map(|index| page(2 * index + file)).collect();
        fs::write(table.join(format!("part-{file}")), text).unwrap();
    }
    home
}

fn query4(home: &Home, script: &str, words: &str) -> Runner {
    let mut command = Command::new(env!("CARGO_BIN_EXE_query4"));
    command
        .args(["--data", "data", "--set", "t", "--json", "--script", script])
        .args(words.split_whitespace());
    home.runner(command)
}

/// A script that goes on as it should; `$0` is none of its own.
fn counts() -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/url_count.py");
    format!("python3 '{}'", script.display())
}

#[track_caller]
fn nothing_is_left(home: &Home) {
    let begun = Instant::now();
    while !home.processes().is_empty() {
        assert!(begun.elapsed() < QUICK, "still running: {:?}", home.processes());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(home.listing("out"), ["absent"]);
}

#[test]
fn a_program_that_does_not_do_its_part_fails_the_job() {
    let home = crawl(400);
    let failures = [
        ("kill -9 $$", "failed with signal: 9 (SIGKILL); it wrote nothing to stderr"),
        (
            "cat >/dev/null; echo 'out of cheese' >&2; exit 3",
            "failed with exit status: 3; its stderr ends with\n",
        ),
        ("exec >&-; sed -n 100q; exit 4", "failed with exit status: 4"),
        (
            "yes alas | head -n 900000 >&2; exit 5",
            "failed with exit status: 5; its stderr ends with\n  alas\n",
        ),
        ("printf 'http://a/\\thttp://b/'; cat >/dev/null; exit 6", "failed with exit status: 6"),
        ("true", "ended with exit code 0, but has not read all of its input"),
        ("head -c 100 >/dev/null", "ended with exit code 0, but has not read all of its input"),
        ("exec <&-; sleep 0.2", "ended with exit code 0, but has not read all of its input"),
        (
            "cat >/dev/null; echo no links",
            "printed a line that cannot be read: expected an address, a target and a count",
        ),
        ("cat >/dev/null; printf 'a\\tb\\tmany'", "`many` is no count below 2^32\n  line: a\\tb\\tmany"),
        ("cat >/dev/null; printf 'a\\tb\\t4294967296'", "`4294967296` is no count below 2^32\n"),
        ("head -c 70000000 /dev/zero; cat >/dev/null", "printed a line of more than 64 MiB"),
        // Once its half line was the last one, with another count.
        (
            "setsid sh -c 'printf \"a\\tb\\t1\\na\\tb\\t2\"; touch left; sleep 2; echo 2' & cat >/dev/null; \
             until [ -e left ]; do sleep 0.01; done",
            "cannot be read to its end: it left a process outside its group that still writes to its output",
        ),
        ("no-such-program", "failed with exit status: 127; its stderr ends with\n"),
    ];
    for (index, (script, failure)) in failures.into_iter().enumerate() {
        let words = ["-w 1", "-w 2", "-n 2 -w 1"][index % 3];
        let ran = query4(&home, script, &format!("--output out {words}")).run();
        ran.failed_saying(failure).failed_saying(&format!("the program `{script}` "));
        nothing_is_left(&home);
    }
    // A program that reads nothing where there is nothing to read is right.
    fs::write(home.path().join("data/csv/t/documents/part-0"), "no page\n").unwrap();
    fs::write(home.path().join("data/csv/t/documents/part-1"), "").unwrap();
    let ran =
        query4(&home, &format!("read -r line || exit 0; (echo \"$line\"; cat) | {}", counts()), "-w 2").run();
    assert_eq!(ran.json()["pages"], 0);
}

#[test]
fn each_worker_has_one_program() {
    let home = crawl(40);
    for (workers, processes) in [(1, 1), (3, 1), (2, 2)] {
        let started = format!("started-{workers}-{processes}");
        let script = format!("echo up >>{started}; {}", counts());
        query4(&home, &script, &format!("-w {workers} -n {processes}")).run().ended_with(0);
        let lines = fs::read_to_string(home.path().join(started)).unwrap().lines().count();
        assert_eq!(lines, workers * processes, "-w {workers} -n {processes}");
    }
}

/// Waits until the script has said that it runs, in a file.
fn hanging(home: &Home, script: &str, words: &str) -> crate::support::Running {
    let _ = fs::remove_file(home.path().join("up"));
    let running = query4(home, script, &format!("--output out {words}")).start();
    running.until(|| home.path().join("up").exists())
}

#[test]
fn a_program_that_hangs_ends_with_its_job() {
    let home = crawl(400);
    // It reads nothing; it has read all, in a child of a child.
    for (script, words) in [
        ("touch up; sleep 1000", "-w 2"),
        ("cat >/dev/null; touch up; (sleep 1000; true) | cat; true", "-n 2 -w 1"),
    ] {
        let mut running = hanging(&home, script, words);
        running.signal(running.pid(), Signal::INT);
        let ran = running.end();
        ran.failed_saying("stopped by Ctrl-C");
        ran.check(ran.taken < QUICK, "takes too long to end");
        nothing_is_left(&home);
    }
}

/// Once `--explain` started the program.
#[test]
fn a_plan_starts_no_program() {
    let home = crawl(40);
    for words in ["--explain -w 2", "--explain -n 2 -w 1"] {
        let ran = query4(&home, "touch up; cat >/dev/null", words).run();
        ran.ended_with(0).check(ran.stdout.contains("Pipe"), "a plan");
        assert!(!home.path().join("up").exists(), "{words}");
    }
}

#[test]
fn a_program_does_not_outlive_a_job_that_is_killed() {
    // Once this was so only of what the shell had become, and not of what it had started; nor where a second signal came at once.
    let home = crawl(400);
    for (script, words, signals) in [
        ("touch up; sleep 1000", "-w 2", &[Signal::KILL][..]),
        ("touch up; exec sleep 1000", "-n 2 -w 1", &[Signal::KILL]),
        ("trap '' HUP INT QUIT TERM; touch up; sleep 1000 | cat; true", "-w 1", &[Signal::KILL]),
        (
            "signals='USR1 USR2 ALRM PIPE TSTP TTIN TTOU'; trap '' $signals; for each in $signals; do kill -$each 0; done; \
             touch up; sleep 1000; true",
            "-w 1",
            &[Signal::KILL],
        ),
        ("touch up; sleep 1000; true", "-w 2", &[Signal::TERM, Signal::TERM]),
    ] {
        let mut running = hanging(&home, script, words);
        for signal in signals {
            running.signal(running.pid(), *signal);
        }
        assert_ne!(running.end().code, Some(0));
        let begun = Instant::now();
        while !home.processes().is_empty() {
            assert!(begun.elapsed() < QUICK, "still running: {:?}", home.processes());
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = fs::remove_dir_all(home.path().join("out"));
    }
}

#[test]
fn when_one_program_dies_all_processes_end() {
    let home = crawl(400);
    let script = "if mkdir first 2>/dev/null; then echo gone >&2; exit 7; fi; sleep 1000";
    let ran = query4(&home, script, "--output out -n 3 -w 1").run();
    ran.failed_saying("failed with exit status: 7; its stderr ends with\n");
    ran.check(ran.taken < QUICK, "takes too long to end");
    nothing_is_left(&home);
}

#[test]
fn a_slow_program_holds_the_scan_back() {
    // Catches a scan that reads the whole table while its program sleeps.
    let home = crawl(8_000);
    let ran = query4(&home, "sleep 1; cat >/dev/null", "-w 1 --report report.json").run();
    assert_eq!(ran.json()["links"], 0);
    let report: serde_json::Value =
        serde_json::from_slice(&fs::read(home.path().join("report.json")).unwrap()).unwrap();
    let (read, peak) = (&report["input"]["bytes"], &report["peak_rss_bytes"]);
    ran.check(read.as_u64().unwrap() > 55_000_000, "bytes read");
    ran.check(peak.as_u64().unwrap() < 80_000_000, &format!("{peak} bytes of memory"));
}
