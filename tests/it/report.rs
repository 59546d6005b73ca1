//! The pictures of a run: `--explain`, what `-v` tells of each operator, the profile in the report, and the page as a file.
//!
//! These tests would catch an operator, worker or byte that is left out or counted twice, a plan that touches anything, and half a page
//! left by a run that failed.

use std::fs;
use std::process::Command;

use serde_json::Value;

use crate::support::{Home, Ran, rows};

pub(crate) const OPENING: &str = "<script type=\"application/json\" id=\"report\">";

pub(crate) fn home(count: usize) -> Home {
    let rows = rows(3, count);
    let files: Vec<_> = rows.chunks(count / 4).map(<[_]>::concat).enumerate().collect();
    let files: Vec<_> = files.into_iter().map(|(index, bytes)| (format!("part-{index}"), bytes)).collect();
    Home::with(&files)
}

pub(crate) fn json(home: &Home, name: &str) -> Value {
    serde_json::from_slice(&fs::read(home.path().join(name)).unwrap()).unwrap()
}

fn unsigned(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn sum(list: &Value) -> u64 {
    list.as_array().unwrap().iter().map(unsigned).sum()
}

#[test]
fn a_plan_is_printed_and_nothing_is_run() {
    let home = home(2_000);
    let tree = "Gather ◄ exchange\n└─ Fold\n   └─ Write\n      └─ Reduce ◄ exchange\n         └─ Route\n            └─ Scan uservisits\n";
    for (workers, processes) in [(1, 1), (3, 1), (2, 2)] {
        let words = format!(
            "--explain -w {workers} -n {processes} --assignment modulo --split-size 8K --output out --report r.json"
        );
        let ran = home.query(&words).run();
        ran.ended_with(0).check(ran.stderr.is_empty(), "nothing to complain of");
        ran.check(ran.stdout.contains(tree), "the tree");
        let shares = ran.stdout.lines().filter_map(|line| line.trim().strip_prefix("worker "));
        let splits: Vec<u64> =
            shares.map(|share| share.split_whitespace().nth(1).unwrap().parse().unwrap()).collect();
        ran.check(splits.len() == workers * processes, "a share for each worker");
        let all = format!(" {} splits of up to ", splits.iter().sum::<u64>());
        ran.check(ran.stdout.contains(&all), "shares add up");
        ran.check(ran.stdout.contains("\nmemory: "), "memory");
        assert_eq!(home.listing("out"), ["absent"]);
        assert!(!home.path().join("r.json").exists());
    }
    let ran = home.query("--explain -w 2 -n 2 --memory 80MB").run();
    ran.ended_with(0).check(ran.stdout.contains("\n  process 1   "), "shares of processes");
    ran.check(ran.stdout.contains("\nmemory: 80.0 MB for each process\n"), "the limit");
    ran.check(!ran.stdout.contains("Write"), "no output was asked for");
}

#[test]
fn a_plan_needs_no_other_process_and_only_the_first_prints_it() {
    let home = home(2_000);
    home.write_hosts(3);
    let first = home.query("--explain -h hosts -p 0 -w 1").run();
    first
        .ended_with(0)
        .check(first.stdout.starts_with("query2: 3 processes with 1 worker each\n"), "the job");
    let second = home.query("--explain -h hosts -p 1 -w 1").run();
    second.ended_with(0).check(second.stdout.is_empty() && second.stderr.is_empty(), "nothing to say");
    // What cannot be planned is an error as it is without the flag.
    let ran = home.query("--explain --set nowhere").run();
    ran.failed_saying("error: there is no table uservisits in set nowhere");
}

/// The bundled tables.
const BUNDLED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data");

/// Query 3.
fn query3(home: &Home, data: &str, words: &str) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_query3"));
    command.args(["--data", data]).args(words.split(' '));
    let ran = home.runner(command).run();
    ran.ended_with(0);
    ran
}

/// The tree of operators in a plan.
fn planned_tree(ran: &Ran) -> Vec<String> {
    ran.stdout.split("\n\n").nth(1).unwrap().lines().map(String::from).collect()
}

/// The same in what `-v` prints, without the figures beside it.
fn told_tree(ran: &Ran) -> Vec<String> {
    let mut lines = ran.stderr.lines().skip_while(|line| !line.starts_with("operator "));
    // The first column of figures has 13 places, and 2 in front of it.
    let width = lines.next().unwrap().split_once("rows in").unwrap().0.len() + "rows in".len() - 15;
    lines.map(|line| line.chars().take(width).collect::<String>().trim_end().to_owned()).collect()
}

#[test]
fn a_plan_of_a_join_has_the_operators_that_run() {
    // Once it was that of one worker, which replicates nothing.
    let home = Home::new();
    for join in ["hash", "strict-hash", "broadcast"] {
        for job in ["-w 1", "-w 2", "-w 3", "-w 1 -n 2"] {
            let words = format!("--join {join} --to 2010-01-01 {job}");
            let planned = planned_tree(&query3(&home, BUNDLED, &format!("{words} --explain")));
            let ran = query3(&home, BUNDLED, &format!("{words} -v"));
            assert_eq!(planned, told_tree(&ran), "{words}");
            let replicates = planned.iter().any(|line| line.ends_with("Replicate ◄ exchange"));
            assert_eq!(replicates, join == "hash" && job != "-w 1", "{words}: {planned:#?}");
        }
    }
}

#[test]
fn a_plan_tells_what_was_decided_and_why() {
    let home = Home::new();
    for (words, operator, decided) in [
        (
            "-w 2",
            "BroadcastJoin",
            [
                "broadcast",
                "rankings",
                "it are wanted, and 1.69 MB of uservisits; a copy in each process takes",
            ],
        ),
        ("-w 2 --join hash", "HashJoin", ["hash", "rankings", "of uservisits; --join says so"]),
        (
            "-w 2 --join strict-hash --build uservisits",
            "StrictHashJoin",
            ["strict-hash", "uservisits", "--build says so; --join says so"],
        ),
    ] {
        let ran = query3(&home, BUNDLED, &format!("{words} --explain"));
        ran.check(planned_tree(&ran).iter().any(|line| line.contains(&format!(" {operator} ◄"))), operator);
        let (_, section) = ran.stdout.split_once("\njoin, as decided\n").unwrap();
        let lines: Vec<_> = section.lines().take_while(|line| !line.is_empty()).collect();
        for (key, value) in ["strategy", "build", "reason"].into_iter().zip(decided) {
            let told = lines.iter().find_map(|line| line.trim().strip_prefix(key));
            let holds =
                |told: &str| if key == "reason" { told.contains(value) } else { told.trim() == value };
            ran.check(told.is_some_and(holds), key);
        }
    }
}

#[test]
fn a_plan_counts_the_bytes_of_column_files_that_are_read() {
    let home = Home::new();
    for table in ["rankings", "uservisits"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
        command.args(["--data", BUNDLED, "--table", table, "--to", "packed"]);
        command.args(["--output", &format!("data/packed/tiny/{table}")]);
        home.runner(command).run().ended_with(0);
    }
    let read = |words: &str| {
        let ran = query3(&home, "data", &format!("{words} -w 2 --assignment modulo --explain"));
        let (_, section) = ran.stdout.split_once("\nuservisits: ").unwrap();
        let lines: Vec<_> = section.lines().take(3).map(String::from).collect();
        lines
    };
    // Columns of the visits that nobody asked for are not read, and no block of a time in which there are none.
    let all = read("--to 2012-01-01");
    assert!(all[0].contains(", at most ") && all[0].contains(" kB of them to read, "), "{all:?}");
    let none = read("--from 2050-01-01 --to 2051-01-01");
    assert!(none[0].contains(", at most 0 B of them to read, "), "{none:?}");
    assert!(none[1].ends_with(", 0 B") && none[2].ends_with(", 0 B"), "{none:?}");
}

#[test]
fn what_operators_did_adds_up_for_any_number_of_workers() {
    let home = home(6_000);
    for (workers, processes) in [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2)] {
        let output = format!("out-{workers}-{processes}");
        let words = format!(
            "-v -w {workers} -n {processes} --split-size 16K --output {output} --report r.json --report-html r.html"
        );
        let ran = home.query(&words).run();
        ran.ended_with(0);
        let report = json(&home, "r.json");
        check_profile(&ran, &report, workers * processes, processes);
        assert_eq!(embedded(&home, "r.html"), report);
    }
    // Nobody asked.
    home.query("-w 2 --report r.json").run().ended_with(0);
    assert_eq!(json(&home, "r.json").get("profile"), None);
}

fn check_profile(ran: &Ran, report: &Value, workers: usize, processes: usize) {
    let (profile, answer) = (&report["profile"], &report["answer"]["rows"]);
    let operators = profile["operators"].as_array().unwrap();
    let names: Vec<_> = operators.iter().map(|operator| operator["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Scan uservisits", "Route", "Reduce", "Write", "Fold", "Gather"]);
    let [scan, route, reduce, write, fold, gather] = &operators[..] else { unreachable!() };
    assert_eq!(scan["rows_out"], report["input"]["rows"]);
    assert_eq!(route["rows_in"], scan["rows_out"]);
    assert_eq!(reduce["rows_in"], route["rows_out"]);
    for (given, taken) in [(reduce, write), (write, fold)] {
        assert_eq!((&given["rows_out"], &taken["rows_in"]), (answer, answer), "{profile:#}");
    }
    assert_eq!((&fold["rows_out"], &gather["rows_in"]), (&workers.into(), &workers.into()));
    assert_eq!(route["exchanged_bytes"], report["exchanged_bytes"]);
    for operator in operators {
        let rows = if operator["inputs"] == serde_json::json!([]) { "rows_out" } else { "rows_in" };
        assert_eq!(sum(&operator["worker_rows"]), unsigned(&operator[rows]));
        assert!(operator["busy_seconds"].as_f64().unwrap() > 0.0, "{operator}");
        let skew = operator["skew"].as_f64().unwrap();
        assert!((1.0..=workers as f64).contains(&skew), "{operator}");
        let line = ran.stderr.lines().find(|line| line.contains(operator["name"].as_str().unwrap()));
        ran.check(line.is_some_and(|line| line.ends_with(&format!("{skew:.2}"))), "the tree");
    }
    let inputs: Vec<_> =
        operators.iter().flat_map(|operator| operator["inputs"].as_array().unwrap()).collect();
    let exchanges: Vec<_> = inputs.iter().map(|input| input["exchange"].as_bool().unwrap()).collect();
    assert_eq!(exchanges, [false, true, false, false, true], "the dataflow has probes, which are not shown");

    let matrix = profile["exchange_bytes"].as_array().unwrap();
    let row = |from: usize| matrix[from].as_array().unwrap();
    assert!(matrix.len() == workers && (0..workers).all(|from| row(from).len() == workers));
    let away = (0..workers)
        .flat_map(|from| (0..workers).filter(move |to| *to != from).map(move |to| &row(from)[to]));
    assert_eq!(report["exchanged_bytes"], away.map(unsigned).sum::<u64>());
    let process = |worker: usize| worker / (workers / processes);
    let left = (0..workers).flat_map(|from| {
        let others = (0..workers).filter(move |to| process(*to) != process(from));
        others.map(move |to| unsigned(&row(from)[to]))
    });
    assert_eq!(report["network_bytes"], left.sum::<u64>());

    let timeline = profile["timeline"].as_array().unwrap();
    assert_eq!(timeline.len(), workers);
    let length = timeline[0]["scan"].as_array().unwrap().len();
    assert!(length <= 120);
    let mut read = 0;
    for worker in timeline {
        for key in ["scan", "reduce", "write", "wait", "read", "received"] {
            assert_eq!(worker[key].as_array().unwrap().len(), length);
        }
        let spent = |key: &str| {
            worker[key].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).sum::<f64>()
        };
        assert!(spent("scan") > 0.0 && spent("write") > 0.0, "{worker}");
        let limit = report["seconds"]["run"].as_f64().unwrap();
        assert!(["scan", "reduce", "write", "wait"].map(spent).iter().sum::<f64>() <= limit, "{worker}");
        read += sum(&worker["read"]);
    }
    assert_eq!(report["input"]["rows"], read);
    let received: u64 = timeline.iter().map(|worker| sum(&worker["received"])).sum();
    assert_eq!(reduce["rows_in"], received);
    if cfg!(target_os = "linux") {
        let memory = profile["memory"].as_array().unwrap();
        assert_eq!(memory.len(), processes);
        assert!(memory.iter().all(|process| sum(&process["bytes"]) > 1 << 20));
    }
}

/// The report inside a page.
fn embedded(home: &Home, page: &str) -> Value {
    let page = fs::read_to_string(home.path().join(page)).unwrap();
    let (_, inside) = page.split_once(OPENING).unwrap();
    serde_json::from_str(inside.split_once("</script>").unwrap().0).unwrap()
}

#[test]
fn a_page_is_whole_or_absent() {
    let home = home(2_000);
    let ran = home.query("--report-html nowhere/page.html").run();
    ran.failed_saying("error: cannot write a report in nowhere");
    fs::write(home.path().join("page.html"), "what was there before").unwrap();
    fs::write(home.table().join("part-9"), "no row\n").unwrap();
    home.query("--report-html page.html").run().ended_with(1);
    assert_eq!(fs::read_to_string(home.path().join("page.html")).unwrap(), "what was there before");
    assert_eq!(home.listing("."), ["data", "page.html"]);
}

#[test]
fn a_name_with_markup_in_it_stays_a_name() {
    let home = home(2_000);
    let name = "</script><script>alert(1)</script>";
    let table = home.path().join("data/csv/t/uservisits");
    // No slash can be in a name, so the closing tag comes from the arguments.
    fs::rename(table.join("part-0"), table.join("<script>alert(2)<script>")).unwrap();
    let mut runner = home.query("--report-html page.html");
    runner.command.args(["--output", name]);
    runner.run().ended_with(0);
    let page = fs::read_to_string(home.path().join("page.html")).unwrap();
    assert!(!page.contains("alert(1)</script>") && !page.contains("<script>alert"));
    assert_eq!(embedded(&home, "page.html")["arguments"]["output"], name);
}

#[test]
fn a_report_took_the_place_of_what_was_written_or_read() {
    let home = home(2_000);
    fs::create_dir_all(home.path().join("dir")).unwrap();
    std::os::unix::fs::symlink("data/csv/t/uservisits/part-1", home.path().join("link")).unwrap();
    for flag in ["--report", "--report-html"] {
        for (made, words, report, what) in [
            ("", "--output a.csv --single-file", "./a.csv", "and --output a.csv would be in the same place"),
            (
                "",
                "--output a.csv --single-file",
                "dir/../a.csv",
                "and --output a.csv would be in the same place",
            ),
            ("op", "--output op", "op/part-00000.csv", "and --output op would be in the same place"),
            ("op", "--output ./op", "op/_SUCCESS", "and --output ./op would be in the same place"),
            ("", "--output new", "new", "and --output new would be in the same place"),
            ("", "--output new/out", "new", "and --output new/out would be in the same place"),
            (
                "",
                "",
                "data/csv/t/uservisits/part-0",
                "would take the place of data/csv/t/uservisits/part-0, which is read",
            ),
        ] {
            if !made.is_empty() {
                fs::create_dir_all(home.path().join(made)).unwrap();
            }
            let before = fs::read(home.table().join("part-0")).unwrap();
            let ran = home.query(&format!("--top 0 {words} {flag} {report}")).run();
            ran.ended_with(2).check(ran.stdout.is_empty(), "it ran");
            ran.check(
                ran.stderr.contains(&format!("error: {flag} {report} {what}\n  try: {flag} with ")),
                what,
            );
            assert_eq!(fs::read(home.table().join("part-0")).unwrap(), before);
            let _ = fs::remove_dir(home.path().join("new"));
            assert!(["a.csv", "new"].iter().all(|name| !home.path().join(name).exists()), "{ran}");
            assert!(made.is_empty() || home.listing(made).is_empty(), "{ran}");
        }
    }
    // A link to what is read goes, and what is read stays; what lies beside an output is no part of it.
    home.query("--report link --output op --report-html op.html").run().ended_with(0);
    assert_eq!(json(&home, "link")["input"]["rows"], 2_000);
    assert_eq!(home.query("").run().ended_with(0).code, Some(0));
    // What a link of the system leads to is written to and not replaced: that must not be read either.
    let ran = home.query_in_shell("exec \"$@\" <data/csv/t/uservisits/part-0", "--report /dev/fd/0").run();
    ran.ended_with(2).check(ran.stderr.contains("part-0, which is read"), "the input");
    // And one report that of the other.
    for (report, page) in [("r.json", "r.json"), ("r.json", "./r.json"), ("dir/../r.json", "r.json")] {
        let ran = home.query(&format!("--report {report} --report-html {page}")).run();
        let line = format!("error: --report and --report-html are the same file, {page}\n  try: --report ");
        ran.ended_with(2).check(ran.stderr.starts_with(&line), &line);
    }
}

#[test]
fn a_report_that_failed_took_the_answer_with_it() {
    let home = home(2_000);
    // A directory in which nothing can be made, whoever asks.
    let ran = home.query("--report /proc/r.json --output out").run();
    ran.failed_saying("error: cannot write a report in /proc: ");
    assert_eq!(home.listing("out"), ["absent"], "it ran");
    for slash in ["r.json/", "r.json/."] {
        let ran = home.query(&format!("--report {slash}")).run();
        let line = format!("error: --report {slash} is no name of a file\n  try: --report r.json\n");
        ran.ended_with(2).check(ran.stderr == line, &line);
    }
    // What shows only when it is written.
    let ran = home.query("--top 3 --report /dev/full --report-html r.html --output out").run();
    ran.ended_with(1).check(ran.stdout.contains(" groups, total revenue "), "the answer");
    let end = "error: cannot write the report /dev/full: No space left on device (os error 28)\n  \
               the run itself has ended well: its answer is printed, and its output is complete\n";
    ran.check(ran.stderr.ends_with(end), end);
    assert!(home.listing("out").contains(&"_SUCCESS".to_owned()));
    assert!(home.path().join("r.html").exists(), "the other report");
}

#[test]
fn an_answer_that_could_not_be_printed_took_the_report_with_it() {
    let home = home(2_000);
    for form in ["", "--json"] {
        let ran = home
            .query_in_shell("exec \"$@\" >/dev/full", &format!("{form} --report r.json --report-html r.html"))
            .run();
        ran.failed_saying("error: cannot write to standard output: No space left on device");
        assert_eq!(json(&home, "r.json")["input"]["rows"], 2_000);
        assert!(home.path().join("r.html").exists());
        fs::remove_file(home.path().join("r.json")).unwrap();
        fs::remove_file(home.path().join("r.html")).unwrap();
    }
}

#[test]
fn a_report_on_stderr_took_the_place_of_stderr() {
    let home = home(2_000);
    let ran = home.query_in_shell("exec 2>log; echo first >&2; exec \"$@\"", "--report /dev/fd/2").run();
    ran.ended_with(0);
    let log = fs::read_to_string(home.path().join("log")).unwrap();
    let (told, report) = log.split_once("\n{").expect("the report behind the last lines");
    assert!(told.starts_with("first\n") && told.contains(" rows, "), "{log}");
    let report: Value = serde_json::from_str(&format!("{{{report}")).unwrap();
    assert_eq!(report["input"]["rows"], 2_000);
}

#[test]
fn a_report_did_not_say_what_was_read() {
    let home = home(2_000);
    home.query("--report r.json --bad-records skip --split-size 4K").run().ended_with(0);
    let input = &json(&home, "r.json")["input"];
    let table =
        serde_json::json!([{ "name": "uservisits", "set": "t", "format": "csv", "split_bytes": 4096 }]);
    assert_eq!((&input["tables"], &input["bad_records_policy"]), (&table, &"skip".into()));
    // A place that names the table is of no set; where that place is, nobody is told.
    let mut command = Command::new(env!("CARGO_BIN_EXE_query2"));
    command.args(["--data", "data/csv/t/uservisits/part-*", "--report", "r.json"]);
    home.runner(command).run().ended_with(0);
    let input = &json(&home, "r.json")["input"];
    assert_eq!((&input["tables"][0]["set"], &input["bad_records_policy"]), (&Value::Null, &"fail".into()));
    assert!(unsigned(&input["tables"][0]["split_bytes"]) > 0);
    query3(&home, BUNDLED, "--to 2010-01-01 --report r.json");
    let input = &json(&home, "r.json")["input"];
    let of = |key: &str| {
        input["tables"].as_array().unwrap().iter().map(|table| table[key].clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        (of("name"), of("set")),
        (vec!["rankings".into(), "uservisits".into()], vec!["tiny".into(); 2])
    );
}
