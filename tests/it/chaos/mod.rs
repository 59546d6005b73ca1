//! Chaos: seeded runs of three processes, each with one fault at a random moment, or with none.
//!
//! Whatever happens, every process must end in time with the right exit code and the true cause, the answer must be
//! whole and right or not there at all, and nothing may be left behind. `scripts/chaos` plays 200 runs and keeps the
//! table of outcomes; the test suite plays 40. The plan of a run follows from seed and number, its moment from a clock.

mod judge;
mod outcomes;
mod stage;

use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use self::judge::{Judge, error};
use self::stage::{Stage, World};
use crate::support::{Ran, Random, Running};

/// `--connect-timeout` and `--peer-timeout` of every run.
const CONNECT: Duration = Duration::from_secs(5);
const PEER: Duration = Duration::from_secs(4);
/// How long a process may take to end once the cause is there to be known.
const END: Duration = Duration::from_secs(5);
/// Runs under way at a time: most of the time of a run with a fault is waiting.
const LANES: usize = 4;
/// Files of the table; each is one split, so file `i` is read by process `i % 3`.
const FILES: usize = 48;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Kill,
    Stop,
    Terminate,
    CutLink,
    FullDisk,
    BadRecord,
    OtherSecret,
    OtherBinary,
    OtherArguments,
    MissingFile,
    TakenPort,
}

use Fault::{
    BadRecord, CutLink, FullDisk, Kill, MissingFile, None as NoFault, OtherArguments, OtherBinary,
    OtherSecret, Stop, TakenPort, Terminate,
};

/// In turn, so that every fault has its share in any number of runs.
const FAULTS: [Fault; 16] = [
    NoFault,
    Kill,
    CutLink,
    FullDisk,
    Stop,
    BadRecord,
    Terminate,
    OtherSecret,
    Kill,
    OtherBinary,
    NoFault,
    Stop,
    OtherArguments,
    MissingFile,
    Terminate,
    TakenPort,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// `-n 3` alone.
    Local,
    /// A host file, on loopback.
    Listed,
    /// A host file, in network namespaces.
    Machines,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    Nothing,
    /// Each process into a directory of its own, as on machines without a common disk.
    Own,
    Shared,
}

#[derive(Debug, Clone)]
struct Plan {
    run: usize,
    fault: Fault,
    victim: usize,
    layout: Layout,
    written: Written,
    /// When the fault happens, in thousandths of what a run without one takes.
    moment: u64,
    dice: u64,
}

impl Plan {
    fn of(seed: u64, run: usize) -> Self {
        let mut random = Random(seed.wrapping_mul(1_000_003).wrapping_add(run as u64 * 7_919));
        (0..4).for_each(|_| _ = random.below(2));
        let fault = FAULTS[run % FAULTS.len()];
        let victim = random.below(3) as usize;
        let layout = match fault {
            CutLink => Layout::Machines,
            NoFault | Kill | Stop | Terminate if random.below(2) == 0 => Layout::Local,
            _ => Layout::Listed,
        };
        let written = match (random.below(3), layout) {
            _ if fault == FullDisk => Written::Own,
            (0, _) => Written::Nothing,
            (1, _) | (_, Layout::Local) => Written::Own,
            _ => Written::Shared,
        };
        let moment = random.below(900);
        Plan { run, fault, victim, layout, written, moment, dice: random.below(1 << 20) }
    }

    fn output(&self) -> &'static [&'static str] {
        match self.written {
            Written::Nothing => &[],
            Written::Own => &["--output", "out"],
            Written::Shared => &["--output", "../out"],
        }
    }

    /// Where, below its home, the run writes.
    fn directories(&self) -> Vec<&'static str> {
        match (self.written, self.layout) {
            (Written::Nothing, _) => vec![],
            (Written::Own, Layout::Local) => vec!["p0/out"],
            (Written::Own, _) => vec!["p0/out", "p1/out", "p2/out"],
            (Written::Shared, _) => vec!["out"],
        }
    }
}

/// How a run went.
struct Outcome {
    plan: Plan,
    at: Duration,
    answered: bool,
    codes: Vec<Option<i32>>,
    /// From the moment the cause could be known to the end of the last process.
    ended_after: Duration,
    /// What process 0 said, or else the first that said something.
    cause: String,
    wrong: Vec<String>,
}

fn play(plan: &Plan, world: &World) -> Option<Outcome> {
    let stage = Stage::set(plan, world)?;
    let processes = if plan.layout == Layout::Local { 1 } else { 3 };
    let running: Vec<_> = (0..processes).map(|index| stage.start(index)).collect();
    let started = Instant::now();
    let pids: Vec<_> = running.iter().map(Running::pid).collect();
    let mut ends: Vec<_> = running
        .into_iter()
        .map(|running| Some(thread::spawn(move || (running.end(), Instant::now()))))
        .collect();

    let mut struck = None;
    let mut frozen = None;
    if matches!(plan.fault, Kill | Stop | Terminate | CutLink) {
        thread::sleep(world.usual * plan.moment as u32 / 1_000);
        if let Some(network) = &stage.network {
            network.cut(plan.victim);
        } else if let Some(pid) = stage.victim(&pids) {
            let signal = match plan.fault {
                Kill => Signal::KILL,
                Stop => Signal::STOP,
                _ => Signal::TERM,
            };
            // It may have ended already.
            let _ = kill_process(pid, signal);
            frozen = (plan.fault == Stop).then_some(pid);
        }
        struck = Some(Instant::now());
    }
    let mut ended: Vec<Option<(Ran, Instant)>> = (0..processes).map(|_| None).collect();
    for index in (0..processes).filter(|&index| frozen != Some(pids[index])) {
        ended[index] = ends[index].take().map(|end| end.join().unwrap());
    }
    let mut thawed = None;
    if let Some(pid) = frozen {
        // A frozen parent's children end while nobody can see it.
        if plan.layout == Layout::Local && plan.victim == 0 {
            thread::sleep(PEER + Duration::from_secs(1));
        }
        // One that was killed by its parent is gone.
        let _ = kill_process(pid, Signal::CONT);
        thawed = Some(Instant::now());
    }
    for (end, ended) in ends.iter_mut().zip(&mut ended) {
        if let Some(end) = end.take() {
            *ended = Some(end.join().unwrap());
        }
    }
    let (rans, times): (Vec<_>, Vec<_>) = ended.into_iter().flatten().unzip();
    let at = struck.map_or(Duration::ZERO, |struck| struck - started);
    let mut judge = Judge { stage: &stage, rans: &rans, wrong: Vec::new() };
    let ended_after = judge.in_time(&times, started, struck, thawed);
    let answered = judge.outcome();
    judge.nothing_runs();
    let wrong = judge.wrong;
    let codes = rans.iter().map(|ran| ran.code).collect();
    let cause = rans.iter().map(error).find(|line| !line.is_empty()).unwrap_or_default();
    let cause = cause.lines().next().unwrap_or_default().to_owned();
    Some(Outcome { plan: plan.clone(), at, answered, codes, ended_after, cause, wrong })
}

/// A number from the environment, for `scripts/chaos`.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[test]
fn every_run_ends_with_the_whole_answer_or_with_none_and_the_cause() {
    let (seed, runs) = (setting("MILLRACE_CHAOS_SEED", 1), setting("MILLRACE_CHAOS_RUNS", 40) as usize);
    let world = World::new();
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    let not_run = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                loop {
                    let run = next.fetch_add(1, Ordering::Relaxed);
                    if run >= runs {
                        return;
                    }
                    let plan = Plan::of(seed, run);
                    let played = std::panic::catch_unwind(AssertUnwindSafe(|| play(&plan, &world)));
                    match played {
                        Ok(Some(outcome)) => outcomes.lock().unwrap().push(outcome),
                        Ok(None) => drop(not_run.fetch_add(1, Ordering::Relaxed)),
                        Err(panic) => {
                            let said = panic.downcast_ref::<String>().cloned().unwrap_or_default();
                            outcomes.lock().unwrap().push(Outcome {
                                plan,
                                at: Duration::ZERO,
                                answered: false,
                                codes: vec![],
                                ended_after: Duration::ZERO,
                                cause: String::new(),
                                wrong: vec![said],
                            });
                        }
                    }
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap();
    outcomes.sort_by_key(|outcome| outcome.plan.run);
    let not_run = not_run.into_inner();
    if not_run > 0 {
        eprintln!("NOT RUN: {not_run} of {runs} runs, which need network namespaces");
    }
    if let Some(directory) = std::env::var_os("MILLRACE_CHAOS_OUT") {
        let directory = PathBuf::from(directory);
        fs::write(directory.join("outcomes.csv"), outcomes::csv(seed, &outcomes)).unwrap();
        fs::write(directory.join("table.md"), outcomes::table(&outcomes)).unwrap();
    }
    assert_eq!(outcomes.len() + not_run, runs);
    let wrong: Vec<_> = outcomes.iter().filter(|outcome| !outcome.wrong.is_empty()).collect();
    let tell = |outcome: &&Outcome| {
        let Outcome { plan, at, wrong, .. } = outcome;
        format!("\n{plan:?} at {at:?}:\n{}\n", wrong.join("\n"))
    };
    let told = wrong.iter().map(tell).collect::<Vec<_>>().concat();
    assert!(wrong.is_empty(), "{} of {runs} runs of seed {seed} went wrong:\n{told}", wrong.len());
}
