//! Query 2 from files to answer, with real processes, against a plain single-thread judge.
//!
//! One set of rows in many layouts has one answer: these tests would catch a row lost, doubled or torn at a cut, a
//! worker or process left out or counted twice, groups merged wrongly, a hash that depends on who computed it, and
//! parts that are not the answer.

use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;

use millrace::report::AnswerHash;
use serde_json::Value;

use crate::support::{Home, Judged, Random, parse, rows};

const TOP: usize = 5;
/// From the shortest of the published queries, 8, 10 and 12, to the longest.
const EVERY_PREFIX: RangeInclusive<usize> = 8..=12;
/// Beside these, 1 makes groups of many rows, and 15 takes whole addresses.
const PREFIXES: [usize; 7] = [8, 9, 10, 11, 12, 1, 15];

type Files = Vec<(String, Vec<u8>)>;

fn file(index: usize, bytes: Vec<u8>) -> (String, Vec<u8>) {
    (format!("part-{index:05}"), bytes)
}

fn all_rows() -> Vec<Vec<u8>> {
    rows(7, 3_000)
}

/// Runs all numbers of workers and processes on `files`, each with every prefix length from 8 to 12. Returns the reports.
fn judge_every_prefix(files: &Files, split_size: &str) -> Vec<Value> {
    judge_runs(files, split_size, |_| EVERY_PREFIX.collect())
}

/// The same, each with another prefix length.
fn judge_all(files: &Files, split_size: &str, first_prefix: usize) -> Vec<Value> {
    judge_runs(files, split_size, |index| vec![PREFIXES[(first_prefix + index) % PREFIXES.len()]])
}

/// Runs all numbers of workers and processes, with both ways to assign splits where workers could share some, and with the prefix
/// lengths that `prefixes` has for each; judges everything a run says and leaves.
fn judge_runs(files: &Files, split_size: &str, prefixes: impl Fn(usize) -> Vec<usize>) -> Vec<Value> {
    let home = Home::with(files);
    let counts = (1..=3).flat_map(|workers| (1..=3).map(move |processes| (workers, processes)));
    let combinations = counts.flat_map(|(workers, processes)| {
        let assignments: &[_] = match (workers, processes) {
            (1, 2) | (3, 3) => &["modulo"],
            (2..=3, 1..=2) => &["modulo", "shared"],
            _ => &["shared"],
        };
        assignments.iter().map(move |assignment| ((workers, processes), *assignment))
    });
    let runs = combinations
        .enumerate()
        .flat_map(|(index, shape)| prefixes(index).into_iter().map(move |prefix| (prefix, shape)));
    let mut judges = BTreeMap::new();
    let mut reports = Vec::new();
    for (index, (prefix, ((workers, processes), assignment))) in runs.enumerate() {
        let output = format!("out-{index}");
        let ran = home
            .query(&format!(
                "-k {prefix} -w {workers} -n {processes} --split-size {split_size} --top {TOP} --json \
                 --output {output} --report report.json --assignment {assignment}"
            ))
            .run();
        let judged = judges
            .entry(prefix)
            .or_insert_with(|| Judged::of(files.iter().map(|(_, bytes)| &bytes[..]), prefix));
        let answer = ran.json();
        ran.check(answer["rows"] == judged.rows, "rows");
        ran.check(answer["groups"] == judged.groups.len(), "groups");
        ran.check(near(&answer["revenue"], judged.revenue()), "total revenue");
        let top = answer["top"].as_array().unwrap();
        ran.check(top.len() == TOP.min(judged.groups.len()), "groups in the top");
        for (given, (key, revenue)) in top.iter().zip(judged.top(TOP)) {
            ran.check(given["prefix"].as_str().unwrap().as_bytes() == key, "order of the top");
            ran.check(near(&given["revenue"], revenue), "revenue of the top");
        }
        ran.check(answer["hash"] == hash_of(&judged.groups), "hash");
        let parts: Vec<_> = (0..workers * processes).map(|worker| format!("part-{worker:05}.csv")).collect();
        ran.check(read_parts(&home, &output, &parts) == judged.groups, "groups in the parts");
        let report = report(&home);
        let bytes: usize = files.iter().map(|(_, bytes)| bytes.len()).sum();
        ran.check(report["input"]["bytes"] == bytes, "bytes read in the report");
        ran.check(report["input"]["rows"] == judged.rows, "rows read in the report");
        ran.check(report["answer"]["hash"] == answer["hash"], "hash in the report");
        ran.check(report["assignment"] == assignment, "assignment in the report");
        check_shares(&report);
        reports.push(report);
    }
    reports
}

/// What was printed and read back by `serde_json` may be off by one in the last place.
fn near(found: &Value, expected: f64) -> bool {
    (found.as_f64().unwrap() - expected).abs() <= expected.abs() * 1e-15
}

fn hash_of(groups: &BTreeMap<Vec<u8>, f64>) -> String {
    let mut hash = AnswerHash::default();
    groups.iter().for_each(|(key, revenue)| hash.add(&[key, &revenue.to_le_bytes()]));
    hash.to_string()
}

/// The groups in the parts of an output, which must be exactly what the manifest lists.
fn read_parts(home: &Home, output: &str, parts: &[String]) -> BTreeMap<Vec<u8>, f64> {
    let mut names = vec!["_SUCCESS".to_owned()];
    names.extend_from_slice(parts);
    assert_eq!(home.listing(output), names);
    let directory = home.path().join(output);
    let manifest: Value = serde_json::from_slice(&fs::read(directory.join("_SUCCESS")).unwrap()).unwrap();
    let listed = manifest["parts"].as_array().unwrap();
    assert_eq!(listed.len(), parts.len(), "{manifest}");
    let (mut groups, mut rows, mut bytes) = (BTreeMap::new(), 0, 0);
    for (part, name) in listed.iter().zip(parts) {
        let text = fs::read(directory.join(name)).unwrap();
        let found = parse(&text);
        assert_eq!((&part["name"], &part["rows"]), (&name.as_str().into(), &found.len().into()));
        assert_eq!(part["bytes"], text.len());
        rows += found.len();
        bytes += text.len();
        for row in found {
            let [prefix, revenue] = row.try_into().expect("two columns");
            let revenue = std::str::from_utf8(&revenue).unwrap().parse::<f64>().unwrap();
            assert!(groups.insert(prefix, revenue).is_none(), "a group stands twice in {output}");
        }
    }
    assert_eq!((&manifest["rows"], &manifest["bytes"]), (&rows.into(), &bytes.into()));
    groups
}

/// What the workers did adds up to the totals, and splits were dealt by the rule.
fn check_shares(report: &Value) {
    let workers = report["workers_detail"].as_array().unwrap();
    let sum = |key: &str| workers.iter().map(|worker| worker[key].as_u64().unwrap()).sum::<u64>();
    let peers = report["workers"].as_u64().unwrap() * report["processes"].as_u64().unwrap();
    assert_eq!(workers.len() as u64, peers);
    assert_eq!(report["input"]["bytes"], sum("bytes"), "{report:#}");
    assert_eq!(report["input"]["rows"], sum("rows"), "{report:#}");
    assert_eq!(report["answer"]["rows"], sum("groups"), "{report:#}");
    workers.iter().enumerate().for_each(|(index, worker)| assert_eq!(worker["index"], index));
    if report["input"]["rereads"] != 0 {
        return;
    }
    let splits = report["input"]["splits"].as_u64().unwrap();
    if report["assignment"] == "modulo" {
        for (index, worker) in workers.iter().enumerate() {
            let own = (0..splits).filter(|split| split % peers == index as u64).count();
            assert_eq!(worker["splits"], own, "{report:#}");
        }
    } else {
        assert_eq!(splits, sum("splits"), "{report:#}");
        let bytes = |worker: &Value| worker["bytes"].as_f64().unwrap();
        let mean = sum("bytes") as f64 / report["processes"].as_f64().unwrap();
        let largest = report["input"]["largest_split"]["bytes"].as_f64().unwrap_or(0.0);
        // Rows stand on either side of a cut, so that what is read is not quite what was dealt.
        let limit = (mean * 1.02).max(mean + largest) + splits as f64 * 300.0;
        for process in workers.chunks(report["workers"].as_u64().unwrap() as usize) {
            assert!(process.iter().map(bytes).sum::<f64>() <= limit, "{report:#}");
        }
    }
}

/// Reads a report that a run has left.
fn report(home: &Home) -> Value {
    serde_json::from_slice(&fs::read(home.path().join("report.json")).unwrap()).unwrap()
}

/// A file that cannot be cut, with many short rows, and small ones around it.
fn one_huge_file(rows: usize) -> (Files, u64) {
    let row = b"1.1.1.1,p,1990-01-01,1,a,D,D,w,1\n";
    let mut files: Files = (0..30).map(|index| file(index, row.repeat(100))).collect();
    files[7].1 = [b"1.1.1.1,p,1990-01-01,1,\"a\",D,D,w,1\n", &row.repeat(rows - 1)[..]].concat();
    let bytes = files[7].1.len() as u64;
    (files, bytes)
}

#[test]
fn one_huge_file_leaves_all_the_small_ones_to_the_other_worker() {
    // More rounds than may be under way before every worker has read its first one, which takes all the small files:
    // so this holds whichever worker starts first, and however late the other one comes.
    let (files, huge) = one_huge_file(800_000);
    let home = Home::with(&files);
    let ran = home.query("-w 2 --json --report report.json --assignment shared").run();
    ran.check(ran.json()["rows"] == 802_900 && ran.json()["revenue"] == 802_900.0, "the answer");
    let report = report(&home);
    assert_eq!(report["input"]["largest_split"]["bytes"], huge, "{report:#}");
    let workers = report["workers_detail"].as_array().unwrap();
    let reader = workers.iter().position(|worker| worker["bytes"] == huge);
    let reader = reader.unwrap_or_else(|| panic!("nobody read the huge file alone: {report:#}"));
    assert_eq!((&workers[reader]["splits"], &workers[1 - reader]["splits"]), (&1.into(), &29.into()));
}

#[test]
fn one_huge_file_leaves_all_the_small_ones_to_the_other_process() {
    let (files, huge) = one_huge_file(5_000);
    let home = Home::with(&files);
    for (assignment, splits) in [("shared", [1, 29]), ("modulo", [15, 15])] {
        let words = format!("-n 2 -w 1 --json --report report.json --assignment {assignment}");
        let ran = home.query(&words).run();
        ran.check(ran.json()["rows"] == 7_900, "the answer");
        let report = report(&home);
        let found = report["workers_detail"].as_array().unwrap().iter().map(|worker| &worker["splits"]);
        assert!(found.eq(&splits.map(Value::from)), "{report:#}");
        assert_eq!(report["workers_detail"][0]["bytes"] == huge, assignment == "shared", "{report:#}");
    }
}

#[test]
fn one_file() {
    judge_every_prefix(&vec![file(0, all_rows().concat())], "16K");
}

#[test]
fn many_files() {
    let files = all_rows().chunks(230).enumerate().map(|(index, rows)| file(index, rows.concat())).collect();
    judge_every_prefix(&files, "16K");
}

#[test]
fn files_of_very_different_size() {
    let rows = all_rows();
    let sizes = [0, 1, 2_700, 0, 10, 1, 288];
    let mut from = 0;
    let piece = |(index, size)| {
        from += size;
        file(index, rows[from - size..from].concat())
    };
    judge_every_prefix(&sizes.into_iter().enumerate().map(piece).collect(), "16K");
}

#[test]
fn fewer_splits_than_workers() {
    let reports = judge_every_prefix(&vec![file(0, all_rows()[..40].concat())], "1G");
    assert!(reports.iter().all(|report| report["input"]["splits"] == 1));
}

#[test]
fn nothing_but_empty_files() {
    let reports = judge_every_prefix(&(0..3).map(|index| file(index, Vec::new())).collect(), "16K");
    assert!(reports.iter().all(|report| report["input"]["splits"] == 0 && report["answer"]["rows"] == 0));
}

#[test]
fn carriage_returns_and_no_last_newline() {
    let mut text = all_rows().concat().into_iter().flat_map(|byte| match byte {
        b'\n' => vec![b'\r', b'\n'],
        _ => vec![byte],
    });
    let mut text: Vec<u8> = text.by_ref().collect();
    text.truncate(text.len() - 2);
    judge_all(&vec![file(0, text)], "10K", 5);
}

/// Puts quotes around fields: keys and numbers too, with quotes, commas and bytes that are no UTF-8 inside.
fn quoted(row: &[u8], random: &mut Random) -> Vec<u8> {
    let mut fields: Vec<Vec<u8>> =
        row[..row.len() - 1].split(|byte| *byte == b',').map(<[u8]>::to_vec).collect();
    fields[4] = match random.below(3) {
        0 => b"say \"\"x\"\", twice".to_vec(),
        1 => b"\xff\xfe,,".to_vec(),
        _ => Vec::new(),
    };
    for index in [0, 3, 4, 8] {
        if index == 4 || random.below(2) == 0 {
            fields[index] = [b"\"", &fields[index][..], b"\""].concat();
        }
    }
    [fields.join(&b','), b"\n".to_vec()].concat()
}

#[test]
fn quotes_from_the_start() {
    let mut random = Random(3);
    let text: Vec<u8> = all_rows().iter().flat_map(|row| quoted(row, &mut random)).collect();
    let reports = judge_all(&vec![file(0, text)], "16K", 6);
    assert!(reports.iter().all(|report| report["input"]["rereads"] == 0));
}

/// A file whose first quote comes late, so that it is cut, and whose quoted fields hold, longer than a split, lines
/// that look like rows, or like bad ones.
fn late_quotes(trap: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for (index, row) in all_rows().iter().enumerate() {
        if index < 1_500 || index % 500 != 0 {
            text.extend_from_slice(row);
            continue;
        }
        let agent = [b"\"", &trap.repeat(30_000 / trap.len())[..], b"\""].concat();
        let mut fields: Vec<&[u8]> = row.split(|byte| *byte == b',').collect();
        fields[4] = &agent;
        text.extend(fields.join(&b','));
    }
    assert!(text.iter().position(|byte| *byte == b'"').unwrap() > 64 << 10, "the first quote is not late");
    text
}

#[test]
fn line_breaks_in_quotes_that_cross_cuts() {
    let trap = b"9.9.9.9,page,1999-09-09,9.5,agent,DEU,DEU-DE,word,9\n";
    let files = vec![file(0, late_quotes(trap)), file(1, all_rows()[..100].concat())];
    let reports = judge_all(&files, "8K", 0);
    let read_again = |report: &&Value| report["input"]["rereads"] == 1;
    assert_eq!(
        reports.iter().filter(read_again).count(),
        reports.len(),
        "the cuts met no quote: {:#}",
        reports[0]
    );
}

#[test]
fn line_breaks_in_quotes_are_no_bad_records() {
    // Catches a miscut split that fails the job, or that counts as skipped what is inside a field.
    let home = Home::with(&[file(0, late_quotes(b"no row\n\n,,,\n"))]);
    for (words, prefix) in [("-w 2", 9), ("-w 1 -n 2 --bad-records skip", 12)] {
        let ran = home.query(&format!("{words} -k {prefix} --split-size 8K --json --report r.json")).run();
        let text = fs::read(home.table().join("part-00000")).unwrap();
        let judged = Judged::of([&text[..]], prefix);
        ran.check(ran.json()["hash"] == hash_of(&judged.groups), "hash");
        let report: Value = serde_json::from_slice(&fs::read(home.path().join("r.json")).unwrap()).unwrap();
        ran.check(report["input"]["bad_records"] == 0 && report["input"]["rereads"] == 1, "figures");
    }
}

#[test]
fn odd_keys_come_out_as_they_went_in() {
    // Catches a key that breaks the CSV it is written to. Zero bytes at a key's end are not significant.
    let addresses: [&[u8]; 7] =
        [b"", b"\"a,b\"", b"\"a\nb\"", b"\"say \"\"x\"\"\"", b"\xff\xfe", b"1", b"12345678901234567890"];
    let text: Vec<u8> = addresses
        .iter()
        .flat_map(|address| [address, &b",p,1990-01-01,0.5,a,DEU,DEU-DE,w,1\n"[..]].concat())
        .collect();
    judge_all_parts(&text, 15);
    judge_all_parts(&text, 3);
}

fn judge_all_parts(text: &[u8], prefix: usize) {
    let home = Home::with(&[file(0, text.to_vec())]);
    let ran = home.query(&format!("-w 1 -k {prefix} --output out --json")).run();
    let judged = Judged::of([text], prefix);
    ran.check(ran.json()["groups"] == judged.groups.len(), "groups");
    assert_eq!(read_parts(&home, "out", &["part-00000.csv".into()]), judged.groups);
}

#[test]
fn the_answer_for_people_has_units_and_ends_the_same() {
    let home = Home::with(&[file(0, all_rows().concat())]);
    let ran = home.query("-w 2 --top 2").run();
    ran.ended_with(0);
    let lines: Vec<_> = ran.stdout.lines().collect();
    ran.check(lines.len() == 4, "a head, two groups and the totals");
    ran.check(lines[0] == "prefix             revenue, USD", "the head");
    let judged = Judged::of([&all_rows().concat()[..]], 8);
    let (key, revenue) = judged.top(1)[0];
    let expected = format!("{:<15}  {revenue:>14.6}", String::from_utf8_lossy(key));
    ran.check(lines[1] == expected, &expected);
    ran.check(lines[3].ends_with(&format!("hash {}", hash_of(&judged.groups))), "the hash");
    ran.check(ran.stderr.starts_with("3,000 rows, ") && ran.stderr.ends_with(" 2 workers\n"), "what it took");
}

#[test]
fn the_bundled_data_needs_no_flag() {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_query2"));
    command.arg("--json");
    // From a directory that has no data of its own.
    let home = Home::new();
    fs::remove_dir_all(home.path().join("data")).unwrap();
    let ran = home.runner(command).run();
    let report = ran.json();
    ran.check(report["rows"] == 10_000 && report["groups"].as_u64() > Some(9_000), "the tiny set");
}

#[test]
fn a_directory_called_data_hid_the_bundled_data() {
    let home = Home::new();
    fs::remove_dir_all(home.path().join("data")).unwrap();
    let rows = |made: &str| {
        fs::create_dir_all(home.path().join(made)).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_query2"));
        command.args(["--json", "--top", "0"]);
        home.runner(command).run()
    };
    assert_eq!(rows("data/of/somebody/else").json()["rows"], 10_000);
    rows("data/packed")
        .failed_saying("error: there is no table uservisits in set tiny: no directory data/packed/");
}

#[test]
fn the_report_has_its_keys() {
    // Catches a renamed or mistyped key: other programs read them.
    let home = Home::with(&[file(0, all_rows().concat())]);
    // Where splits are shared, a worker may get none.
    let words = "-k 10 -w 2 -n 2 --top 3 --report r.json --output o --split-size 16K --assignment modulo";
    let ran = home.query(words).run();
    ran.ended_with(0);
    let report: Value = serde_json::from_slice(&fs::read(home.path().join("r.json")).unwrap()).unwrap();
    let numbers = [
        "/processes",
        "/workers",
        "/input/files",
        "/input/splits",
        "/input/bytes",
        "/input/rows",
        "/answer/rows",
        "/input/bad_records",
        "/input/rereads",
        "/seconds/connect",
        "/seconds/run",
        "/seconds/total",
        "/rows_per_second",
        "/bytes_per_second",
        "/peak_rss_bytes",
        "/base_rss_bytes",
        "/exchanged_bytes",
        "/network_bytes",
        "/machine/cores",
        "/machine/memory_bytes",
        "/workers_detail/3/index",
        "/workers_detail/3/splits",
        "/workers_detail/3/bytes",
        "/workers_detail/3/rows",
        "/workers_detail/3/groups",
        "/workers_detail/3/busy_seconds",
        "/workers_detail/3/elapsed_seconds",
        "/workers_detail/3/wait_seconds",
        "/imbalance",
        "/input/largest_split/bytes",
    ];
    for key in numbers {
        let found = report.pointer(key).and_then(Value::as_f64);
        let may_be_zero = ["records", "rereads", "wait_seconds"].iter().any(|end| key.ends_with(end));
        assert!(found.is_some_and(|number| number > 0.0 || may_be_zero), "{key} in {report:#}");
    }
    for key in ["/query", "/answer/hash", "/commit", "/version", "/machine/cpu", "/machine/os", "/assignment"]
    {
        let found = report.pointer(key).and_then(Value::as_str);
        assert!(found.is_some_and(|text| !text.is_empty()), "{key} in {report:#}");
    }
    assert_eq!(report["query"], "query2");
    let arguments = serde_json::json!({
        "prefix": 10, "top": 3, "output": "o", "output_format": null, "single_file": false, "no_sync": false
    });
    assert_eq!(report["arguments"], arguments);
    assert_eq!((&report["workers"], &report["processes"]), (&2.into(), &2.into()));
    assert_eq!(report["commit"], millrace::cli::COMMIT);
    assert_eq!(report["version"], env!("CARGO_PKG_VERSION"));
    let seconds = &report["seconds"];
    let parts = seconds["connect"].as_f64().unwrap() + seconds["run"].as_f64().unwrap();
    assert!(parts <= seconds["total"].as_f64().unwrap() + 0.01, "{seconds}");
    check_shares(&report);
}

#[test]
fn a_report_goes_where_it_is_told_and_replaces_no_device() {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt};
    let home = Home::with(&[file(0, all_rows()[..10].concat())]);
    // As `/dev/null`, which once was replaced by a file: a pipe.
    let pipe = home.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::thread::spawn({
        let pipe = pipe.clone();
        move || fs::read_to_string(pipe).unwrap()
    });
    home.query("-w 1 --report pipe").run().ended_with(0);
    assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo(), "the report replaced a pipe");
    assert!(serde_json::from_str::<Value>(&reader.join().unwrap()).is_ok());
    home.query_in_shell("umask 022; exec \"$@\"", "-w 1 --report r.json").run().ended_with(0);
    let mode = fs::metadata(home.path().join("r.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644, "others may read reports as any file");
}

#[test]
fn processes_with_different_files_did_not_tell_how_much_each_has() {
    let home = Home::with(&[file(0, all_rows()[..50].concat())]);
    home.write_hosts(2);
    let other = home.path().join("other/csv/t/uservisits");
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("part-0"), all_rows()[..49].concat()).unwrap();
    let bytes = [50, 49].map(|count| all_rows()[..count].concat().len());
    let start = |data: &str, index: usize| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_query2"));
        command.args(["-h", "hosts", "-p", &index.to_string(), "--data", data, "--set", "t"]);
        home.runner(command).start()
    };
    for ran in [start("data", 0), start("other", 1)].map(crate::support::Running::end) {
        for (index, bytes) in bytes.iter().enumerate() {
            let line = format!("process {index} has the table uservisits 1 file, {bytes} bytes, digest ");
            ran.failed_saying(&line);
        }
    }
}

#[test]
fn two_processes_of_a_host_file() {
    let home = Home::with(&[file(0, all_rows().concat())]);
    home.write_hosts(2);
    let words = "-h hosts -w 2 -k 12 --json --split-size 16K --output out";
    let other = home.query(&format!("{words} -p 1")).start();
    let ran = home.query(&format!("{words} -p 0")).run();
    let judged = Judged::of([&all_rows().concat()[..]], 12);
    ran.check(ran.json()["hash"] == hash_of(&judged.groups), "hash");
    let other = other.end();
    other.ended_with(0).check(other.stdout.is_empty(), "only process 0 answers");
    let parts: Vec<_> = (0..4).map(|worker| format!("part-{worker:05}.csv")).collect();
    assert_eq!(read_parts(&home, "out", &parts), judged.groups);
}

#[test]
fn processes_that_ask_for_different_things_give_no_answer() {
    // Stock timely gives a wrong answer and exit code 0 here.
    let home = Home::with(&[file(0, all_rows()[..50].concat())]);
    for (first, second) in [
        ("-k 8", "-k 10"),
        ("-w 1", "-w 2"),
        ("--top 1", "--top 2"),
        ("", "--assignment modulo"),
        ("", "--peer-timeout 1.5"),
    ] {
        home.write_hosts(2);
        let other = home.query(&format!("-h hosts -p 1 {second}")).start();
        let ran = home.query(&format!("-h hosts -p 0 {first}")).run();
        ran.failed_saying("error: the processes do not agree: ");
        other.end().failed_saying("error: the processes do not agree: ");
    }
}

#[test]
fn an_ambiguous_place_in_the_host_file_lists_the_candidates() {
    let home = Home::with(&[file(0, all_rows()[..50].concat())]);
    fs::write(home.path().join("hosts"), "127.0.0.1:2101\n127.0.0.1:2102\n").unwrap();
    let ran = home.query("-h hosts").run();
    ran.ended_with(2).check(
        ran.stderr
            == "error: several addresses in hosts belong to this machine\n  \
                try: say which process this is: -p 0 is 127.0.0.1:2101, -p 1 is 127.0.0.1:2102\n",
        "the candidates",
    );
}
