//! `-n 3` on one machine, with real processes: this test program starts itself, as a query does.
//!
//! These tests would catch an orphan, a child that writes to stdout, and a parent that does not notice a child's end.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use millrace::Error;
use millrace::cluster::{self, Fingerprint, Log, Membership, Timeouts};
use rustix::process::{Pid, Signal, getpid, kill_process};

/// Names what the processes of the test should do; set for them only.
const SCENARIO: &str = "MILLRACE_TEST_SCENARIO";
const PATIENCE: Duration = Duration::from_secs(20);

/// The program of these tests: three processes, one of which may misbehave.
#[test]
#[ignore = "a process that the other tests start, no test of its own"]
fn member() {
    let Ok(scenario) = std::env::var(SCENARIO) else { return };
    cluster::end_with_parent();
    if let Err(error) = play(&scenario) {
        eprintln!("error: {error}");
        std::process::exit(1);
    }
}

fn play(scenario: &str) -> Result<(), Error> {
    let started = Instant::now();
    let membership = Membership::local(3)?;
    let index = membership.index();
    if scenario == "child ends before it connects" && index == 1 {
        std::process::exit(3);
    }
    let answer = if scenario == "one differs" && index == 2 { 10 } else { 8 };
    let fingerprint = Fingerprint::new("member").with("-k", answer);
    let silence = if scenario == "one freezes" { Duration::from_millis(500) } else { PATIENCE };
    let timeouts = Timeouts { connect: PATIENCE, peer: silence };
    let connections = cluster::connect(&membership, &fingerprint, timeouts, &Log::stderr(false), || None)?;
    println!("answer of process {index}");
    eprintln!("pid {} connected after {} µs", getpid().as_raw_nonzero(), started.elapsed().as_micros());
    let fate = connections.fate;
    match scenario {
        "parent fails" if index == 0 => return Err(Error::Data("the parent's own failure".to_owned())),
        "child fails" if index == 1 => {
            let error = Error::Data("the child's own failure".to_owned());
            return Err(Error::Cluster(fate.fail(None, &error.to_string())));
        }
        "one freezes" if index == 2 => {
            kill_process(getpid(), Signal::STOP).unwrap();
            // Other threads than this one may be the first to stop.
            std::thread::sleep(PATIENCE);
        }
        "one is killed" if index == 2 => kill_process(getpid(), Signal::KILL).unwrap(),
        "all hang" => std::thread::sleep(PATIENCE * 10),
        _ => {}
    }
    fate.confirm_and_wait(None)?;
    fate.finish();
    connections.children.wait(PATIENCE)
}

/// The parent process of a scenario; killed with the test if that fails.
struct Parent {
    child: Child,
    started: Instant,
}

struct Outcome {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    taken: Duration,
}

impl Parent {
    fn start(scenario: &str) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            // On its main thread, because the children end with the thread that started them.
            .args(["local_processes::member", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env(SCENARIO, scenario)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Parent { child, started: Instant::now() }
    }

    fn outcome(mut self) -> Outcome {
        let (mut stdout, mut stderr) = (String::new(), String::new());
        // Both are shorter than a pipe holds, so one after the other is no trap. They end when no process is left.
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let code = self.child.wait().unwrap().code();
        Outcome { code, stdout, stderr, taken: self.started.elapsed() }
    }

    /// Reads stderr until all three processes have told their pid.
    fn pids(&mut self) -> BTreeMap<String, Pid> {
        let mut lines = BufReader::new(self.child.stderr.as_mut().unwrap()).lines();
        let mut pids = BTreeMap::new();
        while pids.len() < 3 {
            let line = lines.next().expect("a process did not tell its pid").unwrap();
            if let Some((mark, pid)) = told_pid(&line) {
                pids.insert(mark, pid);
            }
        }
        pids
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Outcome {
    fn pids(&self) -> BTreeMap<String, Pid> {
        self.stderr.lines().filter_map(told_pid).collect()
    }

    fn says(&self, line: &str) {
        assert!(
            self.stderr.lines().any(|found| found.starts_with(line)),
            "no line {line:?} in\n{}",
            self.stderr
        );
    }

    fn failed_within(&self, limit: Duration) {
        assert_eq!(self.code, Some(1), "{}", self.stderr);
        assert!(self.taken < limit, "{:?}\n{}", self.taken, self.stderr);
        for (mark, pid) in self.pids() {
            assert!(!lives(pid), "{mark} is left behind");
        }
    }
}

/// From `[p1] pid 4711 connected …`, the mark and the pid.
fn told_pid(line: &str) -> Option<(String, Pid)> {
    let (mark, rest) = line.split_once("pid ")?;
    let pid = rest.split(' ').next()?.parse().ok()?;
    Some((mark.trim().to_owned(), Pid::from_raw(pid)?))
}

/// A zombie has ended; that nobody has asked for its status yet does not matter.
fn lives(pid: Pid) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).is_ok_and(|stat| {
        !stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']))
    })
}

#[test]
fn three_processes_start_speak_with_their_mark_and_end() {
    let outcome = Parent::start("all is well").outcome();
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    assert_eq!(outcome.pids().keys().map(String::as_str).collect::<Vec<_>>(), ["", "[p1]", "[p2]"]);
    let answers: Vec<_> = outcome.stdout.lines().filter(|line| line.contains("answer of")).collect();
    assert_eq!(answers.len(), 1, "children print nothing to stdout: {}", outcome.stdout);
    assert!(answers[0].ends_with("answer of process 0"));
    for (mark, pid) in outcome.pids() {
        assert!(!lives(pid), "{mark} is left behind");
    }
}

#[test]
fn killing_the_parent_leaves_no_orphan_even_a_frozen_one() {
    let mut parent = Parent::start("all hang");
    let pids = parent.pids();
    kill_process(pids["[p2]"], Signal::STOP).unwrap();
    kill_process(pids[""], Signal::KILL).unwrap();
    let killed = Instant::now();
    while pids.values().any(|&pid| lives(pid)) {
        assert!(killed.elapsed() < Duration::from_secs(5), "an orphan is left");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_failing_parent_ends_and_reaps_its_children() {
    let outcome = Parent::start("parent fails").outcome();
    outcome.failed_within(Duration::from_secs(5));
    outcome.says("error: the parent's own failure");
}

#[test]
fn a_failing_child_is_the_cause_everywhere() {
    let outcome = Parent::start("child fails").outcome();
    outcome.failed_within(Duration::from_secs(5));
    for mark in ["", "[p1] ", "[p2] "] {
        outcome.says(&format!("{mark}error: process 1 on 127.0.0.1:"));
    }
    let cause = outcome.stderr.lines().filter(|line| line.ends_with(" failed: the child's own failure"));
    assert_eq!(cause.count(), 3, "on every process:\n{}", outcome.stderr);
}

#[test]
fn a_child_that_ends_too_early_is_noticed() {
    let outcome = Parent::start("child ends before it connects").outcome();
    outcome.failed_within(Duration::from_secs(5));
    outcome.says("error: process 1 on this machine did not start: exit status: 3");
}

#[test]
fn a_differing_child_is_told_on_all_three() {
    let outcome = Parent::start("one differs").outcome();
    outcome.failed_within(Duration::from_secs(5));
    for mark in ["", "[p1] ", "[p2] "] {
        outcome.says(&format!("{mark}error: the processes do not agree: process "));
    }
}

#[test]
fn a_killed_and_a_frozen_child_are_lost() {
    let outcome = Parent::start("one is killed").outcome();
    outcome.failed_within(Duration::from_secs(5));
    assert!(
        outcome.stderr.contains("was lost: its connection broke before its work was done"),
        "{}",
        outcome.stderr
    );
    let outcome = Parent::start("one freezes").outcome();
    outcome.failed_within(Duration::from_secs(8));
    outcome.says("error: process 2 on 127.0.0.1:");
    assert!(outcome.stderr.contains("was lost: silent for 0.5 s"), "{}", outcome.stderr);
}
