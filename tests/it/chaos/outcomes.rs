//! The table of outcomes, run by run and fault by fault.

use std::fmt::Write as _;

use super::Fault::{
    BadRecord, CutLink, FullDisk, Kill, MissingFile, None as NoFault, OtherArguments, OtherBinary,
    OtherSecret, Stop, TakenPort, Terminate,
};
use super::{FAULTS, Fault, Outcome, Plan};

pub(super) fn csv(seed: u64, outcomes: &[Outcome]) -> String {
    let mut text =
        "seed,run,fault,victim,layout,output,at_ms,outcome,exit_codes,ended_after_ms,passed,cause\n"
            .to_owned();
    for Outcome { plan, at, answered, codes, ended_after, cause, wrong } in outcomes {
        let Plan { run, fault, victim, layout, written, .. } = plan;
        let codes: Vec<_> =
            codes.iter().map(|code| code.map_or("signal".to_owned(), |code| code.to_string())).collect();
        let _ = writeln!(
            text,
            "{seed},{run},{fault:?},{victim},{layout:?},{written:?},{},{},{},{},{},\"{}\"",
            at.as_millis(),
            if *answered { "answer" } else { "none" },
            codes.join(" "),
            ended_after.as_millis(),
            wrong.is_empty(),
            cause.replace('"', "\"\"")
        );
    }
    text
}

pub(super) fn table(outcomes: &[Outcome]) -> String {
    let mut text = "| fault | runs | whole answer | none | as it should be | slowest end |\n\
                    | --- | ---: | ---: | ---: | ---: | ---: |\n"
        .to_owned();
    let mut faults = FAULTS.to_vec();
    faults.dedup();
    let mut seen = Vec::new();
    for fault in faults {
        if seen.contains(&fault) {
            continue;
        }
        seen.push(fault);
        let of: Vec<_> = outcomes.iter().filter(|outcome| outcome.plan.fault == fault).collect();
        let answered = of.iter().filter(|outcome| outcome.answered).count();
        let passed = of.iter().filter(|outcome| outcome.wrong.is_empty()).count();
        let slowest = of.iter().map(|outcome| outcome.ended_after).max().unwrap_or_default();
        let _ = writeln!(
            text,
            "| {} | {} | {answered} | {} | {passed} | {:.1} s |",
            name(fault),
            of.len(),
            of.len() - answered,
            slowest.as_secs_f64()
        );
    }
    text
}

fn name(fault: Fault) -> &'static str {
    match fault {
        NoFault => "none",
        Kill => "kill -9 of one process",
        Stop => "kill -STOP of one, for good",
        Terminate => "SIGTERM to one",
        CutLink => "the link of one is cut",
        FullDisk => "the disk of one is full",
        BadRecord => "a bad record at one",
        OtherSecret => "one has another secret",
        OtherBinary => "one runs another binary",
        OtherArguments => "one has other arguments",
        MissingFile => "one misses a file or the table",
        TakenPort => "the port of one is taken",
    }
}
