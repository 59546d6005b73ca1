//! The shared flags. These tests would catch a wrong combination that runs, and an error that does not say what to
//! type instead.

use std::path::{Path, PathBuf};
use std::time::Duration;

use millrace::cli::{self, JobArguments, JobSettings};
use millrace::input::{BadRecords, FormatChoice, SplitAssignment};
use millrace::{Error, cluster};

/// Answers a question.
#[derive(Debug, clap::Parser)]
#[command(name = "query")]
struct Query {
    #[command(flatten)]
    job: JobArguments,
}

fn resolve(words: &str) -> Result<JobSettings, Error> {
    let words = std::iter::once("query").chain(words.split_whitespace());
    cli::parse::<Query>(words).unwrap_or_else(|error| panic!("{error}")).job.resolve("query")
}

/// What the user reads; all of these end the program with 2.
fn usage(words: &str) -> String {
    let error = resolve(words).expect_err(words);
    assert_eq!(error.exit_code(), 2, "{words}: {error}");
    error.to_string()
}

fn refused(words: &str) -> String {
    let words = std::iter::once("query").chain(words.split_whitespace());
    let error = cli::parse::<Query>(words).expect_err("clap accepts it");
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

fn host_file(directory: &tempfile::TempDir, text: &str) -> String {
    let path = directory.path().join("hosts");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn defaults_are_one_process_and_every_core() {
    let settings = resolve("").unwrap();
    assert_eq!(settings.workers, std::thread::available_parallelism().unwrap().get());
    assert_eq!((settings.cluster.processes(), settings.cluster.index()), (1, 0));
    assert_eq!(settings.set, "tiny");
    assert_eq!((settings.format, settings.bad_records), (FormatChoice::Auto, BadRecords::Fail));
    assert_eq!((settings.report, settings.split_bytes), (None, None));
    assert!(!settings.json && !settings.verbose);
    let available = millrace::memory::available_bytes().unwrap();
    assert_eq!(settings.memory_bytes, Some(available / 100 * 70));
    assert_eq!(settings.spill_dir, std::env::temp_dir());
    assert_eq!(settings.timeouts, cluster::Timeouts::default());
    assert_eq!(settings.data.file_name(), Some("data".as_ref()));
    let crate_data = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    assert!(settings.data == Path::new("data") || settings.data == crate_data);
}

#[test]
fn every_flag_arrives_in_the_settings() {
    let settings = resolve(
        "-w 3 -n 2 --data /tables --set 1node --format csv --bad-records skip --split-size 4MiB --report out.json \
         --json --no-progress -v --connect-timeout 2.5 --peer-timeout 7 --assignment shared --instance c7g.xlarge",
    )
    .unwrap();
    assert_eq!((settings.workers, settings.cluster.processes(), settings.cluster.index()), (3, 2, 0));
    assert_eq!((settings.data, settings.set), (PathBuf::from("/tables"), "1node".to_owned()));
    assert_eq!((settings.format, settings.bad_records), (FormatChoice::Csv, BadRecords::Skip));
    assert_eq!((settings.report, settings.split_bytes), (Some("out.json".into()), Some(4 << 20)));
    assert_eq!(settings.assignment, SplitAssignment::Shared);
    assert_eq!(settings.instance.map(|price| price.instance), Some("c7g.xlarge"));
    assert!(settings.json && settings.verbose && !settings.progress);
    assert_eq!(settings.timeouts.connect, Duration::from_millis(2500));
    assert_eq!(settings.timeouts.peer, Duration::from_secs(7));
}

#[test]
fn numbers_that_make_no_job_are_usage_errors() {
    assert_eq!(usage("-w 0"), "-w 0 gives the job no thread\n  try: -w 1, or leave -w out to use every core");
    assert_eq!(usage("-n 0"), "-n 0 leaves nobody to do the job\n  try: -n 1, or leave -n out");
    assert_eq!(
        usage("-n 3 -p 1"),
        "-p 1 names a line of a host file, but there is no -h\n  \
         try: -h FILE -p 1, or -n 3 without -p to start 3 processes on this machine"
    );
    assert!(usage("-p 1").contains("-n 2 without -p to start 2 processes"));
    assert!(usage("--secret-file s").starts_with("--secret-file is for processes on several hosts"));
    assert!(
        usage("--set ../../etc").starts_with("--set \"../../etc\" is no name of a set\n  try: --set tiny")
    );
}

#[test]
fn values_are_refused_where_they_are_typed() {
    assert!(refused("-w many").contains("invalid value 'many' for '--workers <N>'"));
    assert!(refused("--split-size 0").contains("type at least 1"));
    assert!(refused("--split-size 1furlong").contains("as 65536, 64K, 16MiB or 1.5GB"));
    assert!(refused("--connect-timeout 0").contains("above 0"));
    assert!(refused("--connect-timeout nan").contains("above 0"));
    // Heartbeats are 0.01 s apart or more: whoever waits for less loses those that live.
    assert!(refused("--peer-timeout 0.05").contains("type 0.1 or more"));
    assert_eq!(resolve("--peer-timeout 0.1").unwrap().timeouts.peer, Duration::from_millis(100));
    assert!(
        refused("--instance pdp11")
            .contains("the prices of 2026-09 do not have it; type one of c5n.2xlarge, ")
    );
    assert!(refused("--format parchment").contains("possible values: auto, csv"));
    assert!(refused("--bad-records eat").contains("possible values: fail, skip"));
}

#[test]
fn the_host_file_says_how_many_and_who() {
    let directory = tempfile::tempdir().unwrap();
    // 203.0.113.0/24 is kept for documentation: no machine has it.
    let hosts = host_file(&directory, "203.0.113.1:2101\n127.0.0.1:2101\n203.0.113.3:2101\n");
    let found = resolve(&format!("-h {hosts}")).unwrap().cluster;
    assert_eq!((found.processes(), found.index()), (3, 1), "-n left out means every line");
    let fewer = resolve(&format!("-h {hosts} -n 2")).unwrap().cluster;
    assert_eq!((fewer.processes(), fewer.index()), (2, 1));
    let told = resolve(&format!("-h {hosts} -n 2 -p 0")).unwrap().cluster;
    assert_eq!((told.processes(), told.index()), (2, 0), "-p wins over the interfaces");
}

#[test]
fn processes_that_share_a_host_are_one_machine() {
    let directory = tempfile::tempdir().unwrap();
    let machines = |text: &str| {
        let hosts = host_file(&directory, text);
        resolve(&format!("-h {hosts} -p 0")).unwrap().cluster.machines()
    };
    assert_eq!(machines("203.0.113.1:2101\n203.0.113.1:2102\n203.0.113.3:2101\n"), 2);
    assert_eq!(
        machines("203.0.113.1:2101 10.0.0.1:2101\n203.0.113.2:2101\n"),
        2,
        "several addresses are one process"
    );
    assert_eq!(resolve("-n 4").unwrap().cluster.machines(), 1);
}

#[test]
fn hosts_and_numbers_must_fit() {
    let directory = tempfile::tempdir().unwrap();
    let hosts = host_file(&directory, "203.0.113.1:2101\n203.0.113.2:2101\n");
    assert_eq!(
        usage(&format!("-h {hosts} -n 3")),
        format!("-n 3 needs as many hosts, but {hosts} has 2\n  try: -n 2, or add 1 host to {hosts}")
    );
    assert_eq!(
        usage(&format!("-h {hosts} -p 2")),
        "-p 2 is not among 2 processes\n  try: -p 0 to -p 1".to_owned()
    );
    assert_eq!(usage(&format!("-h {hosts} -n 1 -p 1")), "-p 1 is not among 1 process\n  try: -p 0");
    let nowhere = usage(&format!("-h {hosts}"));
    assert!(
        nowhere.starts_with(&format!("no address in {hosts} belongs to this machine (it has ")),
        "{nowhere}"
    );
    assert!(nowhere.ends_with(&format!("\n  try: -p I with I from 0 to 1, or correct {hosts}")), "{nowhere}");
}

#[test]
fn a_machine_that_n_leaves_out_was_told_that_it_is_not_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let text = "203.0.113.1:2101\n203.0.113.2:2101\n203.0.113.3:2101\n127.0.0.1:2101\n";
    let hosts = host_file(&directory, text);
    assert_eq!(
        usage(&format!("-h {hosts} -n 2")),
        format!(
            "host 4 in {hosts} is this machine, and -n 2 leaves it out\n  try: -n 4, or start no process here"
        )
    );
}

#[test]
fn an_ambiguous_place_lists_the_candidates() {
    let directory = tempfile::tempdir().unwrap();
    let hosts = host_file(&directory, "127.0.0.1:2101\n127.0.0.1:2102\n");
    assert_eq!(
        usage(&format!("-h {hosts}")),
        format!(
            "several addresses in {hosts} belong to this machine\n  \
             try: say which process this is: -p 0 is 127.0.0.1:2101, -p 1 is 127.0.0.1:2102"
        )
    );
}

#[test]
fn a_bad_line_is_named_by_file_and_number() {
    let directory = tempfile::tempdir().unwrap();
    let hosts = host_file(&directory, "# two hosts\n127.0.0.1:2101\nnode2\n");
    assert_eq!(
        usage(&format!("-h {hosts}")),
        format!("{hosts}, line 3: `node2` has no port\n  try: write `node2:2101`")
    );
    let missing = resolve("-h no/such/file").unwrap_err();
    assert!(missing.to_string().starts_with("cannot read the host file no/such/file: "));
    assert_eq!(missing.exit_code(), 1, "a file that is not there is no wrong combination");
}

#[test]
fn help_is_long_only_and_tells_default_and_unit_of_every_flag() {
    let help = cli::parse::<Query>(["query", "--help"]).unwrap_err();
    assert_eq!((help.kind(), help.exit_code()), (clap::error::ErrorKind::DisplayHelp, 0));
    let text = help.to_string();
    for heading in ["Parallelism:", "Input:", "Output:"] {
        assert!(text.contains(heading), "{heading} is missing in\n{text}");
    }
    for (flag, default) in [
        ("-w, --workers <N>", "default: all cores"),
        ("-n, --processes <N>", "default: 1"),
        ("-p, --process <I>", "default: the one with an address of this machine"),
        ("-h, --hosts <FILE>", ""),
        ("--secret-file <FILE>", "MILLRACE_SECRET"),
        ("--connect-timeout <SECONDS>", "default: 30"),
        ("--peer-timeout <SECONDS>", "default: 20"),
        ("--data <DIR|URL|PATTERN>", "default: ./data where that has a directory csv"),
        ("--set <NAME>", "default: tiny"),
        ("--format <FORMAT>", "default: auto"),
        ("--bad-records <WHAT>", "default: fail"),
        ("--split-size <BYTES>", "default: chosen"),
        ("--assignment <HOW>", "default: shared"),
        ("--s3-endpoint <URL>", "default: the variable"),
        ("--s3-anonymous", ""),
        ("--store-timeout <SECONDS>", "default: 60"),
        ("--report <FILE>", ""),
        ("--json", ""),
        ("--no-progress", ""),
        ("-v, --verbose", ""),
    ] {
        let at = text.find(flag).unwrap_or_else(|| panic!("{flag} is missing in\n{text}"));
        // The entry ends where the next flag begins; flags stand further left than their descriptions.
        let mut lines = text[at..].lines();
        let first = lines.next().unwrap_or_default();
        let more = lines.take_while(|line| line.is_empty() || line.starts_with("          "));
        let entry =
            std::iter::once(first).chain(more).flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ");
        assert!(entry.contains(default), "{entry}");
        assert!(entry.len() > flag.len() + 10, "{flag} is not explained");
    }
    let version = cli::parse::<Query>(["query", "--version"]).unwrap_err();
    assert_eq!((version.to_string(), version.exit_code()), (format!("query {}\n", cli::VERSION), 0));
}

#[test]
fn the_fingerprint_holds_what_must_be_equal_and_nothing_else() {
    let print = |words| resolve(words).unwrap().fingerprint();
    let base = print("-w 1");
    for different in [
        "-w 2",
        "-w 1 --set 1node",
        "-w 1 --format csv",
        "-w 1 --bad-records skip",
        "-w 1 --split-size 9",
        "-w 1 --assignment modulo",
    ] {
        assert_ne!(base, print(different), "{different}");
    }
    assert_eq!(
        base,
        print("-w 1 --data elsewhere --report r.json --json -v"),
        "each process may differ in these"
    );
}

#[test]
fn memory_is_an_amount_or_a_share() {
    assert_eq!(resolve("--memory 512MB").unwrap().memory_bytes, Some(512_000_000));
    let whole = resolve("--memory 100%").unwrap().memory_bytes.unwrap();
    // Processes that are started here share what there is, and each may have the amount that is typed.
    let halves = resolve("--memory 100% -n 2").unwrap().memory_bytes.unwrap();
    assert!(halves.abs_diff(whole / 2) <= 100, "{halves} of {whole}");
    assert_eq!(resolve("--memory 512MB -n 2").unwrap().memory_bytes, Some(512_000_000));
    assert_eq!(
        usage("--memory 4MB"),
        "--memory 4000000 is less than any process needs\n  try: --memory 16MB, or more, or a share as 50%"
    );
    for words in ["--memory 0", "--memory 200%", "--memory much"] {
        assert!(refused(words).contains('%'), "{words}");
    }
}

#[test]
fn a_spill_directory_must_be_one() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().display();
    let settings = resolve(&format!("--spill-dir {path}")).unwrap();
    assert_eq!(settings.spill_dir, home.path());
    assert_eq!(home.path().read_dir().unwrap().count(), 0);
    std::fs::write(home.path().join("file"), "").unwrap();
    for name in ["absent", "file"] {
        let message = usage(&format!("--spill-dir {path}/{name}"));
        assert!(
            message.starts_with(&format!("cannot write to the directory of --spill-dir, {path}/{name}: ")),
            "{message}"
        );
        assert!(
            message.ends_with("\n  try: --spill-dir DIR with a directory that exists and may be written to"),
            "{message}"
        );
    }
}
