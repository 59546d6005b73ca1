//! `sweep`, with real queries and with programs that answer wrongly or fail.
//!
//! These tests would catch a time told for a wrong answer, a case that is left out, and a plain loop that answers another question.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use serde_json::Value;

use crate::support::{Home, Judged, Runner, rows};

fn sweep(home: &Home, words: &str) -> Runner {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sweep"));
    command.args(words.split_whitespace());
    home.runner(command)
}

/// A program that leaves a report whose hash is what `hash` prints, in a shell where $workers is what -w says.
fn pretender(home: &Home, hash: &str) -> String {
    let script = format!(
        "#!/bin/sh\nfor word; do case $word in -w*) workers=${{word#-w}};; esac; report=$word; done\nhash=$({hash})\n\
         echo '{{\"answer\":{{\"rows\":1,\"hash\":\"'$hash'\"}},\"input\":{{\"rows\":1}},\"peak_rss_bytes\":null,\"commit\":\"c\"}}' > \"$report\"\n"
    );
    fs::write(home.path().join("pretender"), script).unwrap();
    fs::set_permissions(home.path().join("pretender"), fs::Permissions::from_mode(0o755)).unwrap();
    "./pretender".into()
}

#[test]
fn every_case_and_the_plain_loop_agree_with_the_judge() {
    let rows = rows(11, 4_000);
    let mut files: Vec<_> = rows.chunks(1_500).map(<[_]>::concat).collect();
    // No newline at the end of a file.
    files[0].pop();
    let named = files.iter().enumerate().map(|(index, bytes)| (format!("part-{index}"), bytes.clone()));
    let home = Home::with(&named.collect::<Vec<_>>());
    let judged = Judged::of(files.iter().map(|bytes| &bytes[..]), 10);
    let ran = sweep(
        &home,
        "--query query2 --workers 2,1 --processes 1,2 --split-size 16K,1M --format csv --rounds 2 --baseline \
         --json sweep.json --svg sweep.svg -- -k 10 --data data --set t",
    )
    .run();
    ran.ended_with(0);
    let found: Value = serde_json::from_slice(&fs::read(home.path().join("sweep.json")).unwrap()).unwrap();
    assert_eq!(
        (&found["answer"]["rows"], &found["input_rows"]),
        (&judged.groups.len().into(), &4_000.into())
    );
    let cases = found["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 8);
    assert!(cases.iter().all(|case| case["seconds"].as_array().unwrap().len() == 2));
    let base = cases.iter().filter(|case| case["workers"] == 1 && case["processes"] == 1);
    assert!(base.clone().count() == 2 && base.clone().all(|case| case["speed_up"] == 1.0));
    assert_eq!(found["plain_loop"]["seconds"].as_array().unwrap().len(), 2);
    ran.check(ran.stdout.contains("; 18 runs agree\n") && ran.stdout.contains("\nCOST "), "the table");
    let lines = ran.stdout.lines().filter(|line| line.contains(" csv ")).count();
    ran.check(lines == 9, "a line for each case and the plain loop");
    let drawn = fs::read_to_string(home.path().join("sweep.svg")).unwrap();
    assert_eq!(drawn.matches("<polyline ").count(), 4, "{drawn}");
    assert!(drawn.contains("plain loop") && drawn.ends_with("</svg>\n"));
}

/// A home with files of other tables, too.
fn with_tables(tables: &[(&str, &[&[u8]])]) -> Home {
    let home = Home::new();
    for (table, files) in tables {
        let directory = home.table().with_file_name(table);
        fs::create_dir_all(&directory).unwrap();
        for (index, bytes) in files.iter().enumerate() {
            fs::write(directory.join(format!("part-{index}")), bytes).unwrap();
        }
    }
    home
}

/// The plain loop and the query with 1 and 2 workers, which end in an error where they differ; gives the rows of the answer.
fn agreed(home: &Home, query: &str, words: &str) -> u64 {
    let ran =
        sweep(home, &format!("--query {query} --workers 1,2 --rounds 1 --baseline --json j -- {words}"))
            .run();
    ran.ended_with(0).check(ran.stdout.contains("; 3 runs agree\n"), "the plain loop is one of them");
    let found: Value = serde_json::from_slice(&fs::read(home.path().join("j")).unwrap()).unwrap();
    found["answer"]["rows"].as_u64().unwrap()
}

#[test]
fn the_plain_loops_agree_with_their_queries_on_the_benchmarks_tables() {
    let home = Home::new();
    std::os::unix::fs::symlink(concat!(env!("CARGO_MANIFEST_DIR"), "/data"), home.path().join("bundled"))
        .unwrap();
    for (query, some, more) in [
        ("query1", "-x 100", "-x 10"),
        ("query3", "--to 1983-01-01 --join hash --build rankings", "--to 2010-01-01"),
        ("query4", "--top 1", "--top 2"),
    ] {
        let few = agreed(&home, query, &format!("{some} --data bundled --set tiny"));
        let many = agreed(&home, query, &format!("{more} --data bundled --set tiny"));
        assert!(few > 0 && (many > few || query == "query4"), "{query}: {few} and {many} rows");
    }
}

#[test]
fn the_plain_loop_of_query_1_reads_every_row() {
    // The last file lacks its newline; a rank is not above itself.
    let files: [&[u8]; 3] = [b"a,10,1\nbb,11,1\nbb,11,1\n,12,1\n", b"", b"c,-3,1\nd,2147483647,2"];
    let home = with_tables(&[("rankings", &files)]);
    for (threshold, rows) in [(10, 4), (-4, 6), (-3, 5), (12, 1)] {
        assert_eq!(agreed(&home, "query1", &format!("-x {threshold} --data data --set t")), rows);
    }
}

#[test]
fn the_plain_loop_of_query_3_joins_what_the_query_joins() {
    // The page p is named twice, q not at all; days on the bounds; a visit of a file without a last newline.
    let rankings: [&[u8]; 2] = [b"p,10,1\nr,20,1\n", b"p,5,1"];
    let visit = |address: &str, page: &str, day: &str, revenue: &str| {
        format!("{address},{page},{day},{revenue},agent,USA,en,word,1\n")
    };
    let visits = [
        visit("1.1.1.1", "p", "1980-01-01", "0.5"),
        visit("1.1.1.1", "p", "1980-01-02", "0.1"),
        visit("123.123.123.123", "q", "1980-01-02", "0.25"),
        visit("123.123.123.123", "r", "1980-02-02", "1.5E-3"),
        visit("1.1.1.2", "r", "1980-04-01", "0.75"),
        visit("1.1.1.3", "r", "1980-03-31", "0.75").trim_end().to_owned(),
    ];
    let visits = visits.concat();
    let home = with_tables(&[("rankings", &rankings), ("uservisits", &[visits.as_bytes(), b""])]);
    for (words, rows) in [
        ("", 3),
        ("--inclusive --join hash", 4),
        ("--from 1980-01-02 --top 3", 2),
        ("--to 1980-01-03", 1),
        ("--from 1990-01-01 --to 1991-01-01", 0),
    ] {
        assert_eq!(agreed(&home, "query3", &format!("{words} --data data --set t")), rows, "{words}");
    }
    // Addresses of 16 bytes are the longest that lie in the loop's own table.
    let long = [
        "2001:db8::ffff:1",
        "2001:db8::ffff:12",
        "2001:0db8:0000:0000:0000:0000:0000:0001",
        "2001:db8::ffff:12",
        "",
    ];
    let more: Vec<_> = long.iter().map(|address| visit(address, "p", "1980-01-03", "0.3")).collect();
    fs::write(home.table().join("part-1"), more.concat()).unwrap();
    assert_eq!(agreed(&home, "query3", "--data data --set t"), 3 + 4);
}

#[test]
fn the_plain_loop_of_query_4_finds_pages_and_links() {
    // Blocks are of 1 MiB: the first file has several, with pages and links at their bounds.
    let mut long = Vec::new();
    for page in 0..40_000 {
        long.extend_from_slice(format!("http://page/{} 1.2.3.4 1999 text/html 9\n", page % 50).as_bytes());
        long.extend_from_slice(format!("see https://b/{}> httphttp://x/\x0by\n\n", page % 700).as_bytes());
    }
    let files: [&[u8]; 5] = [
        &long,
        b"\nno header http://a\nhttp a b c d\nhttps://c https:// http:// x\rhttp://d",
        b"",
        b"http://a  1 2 3 4\nhttp://a 1 2 3 http://in-header",
        b"text alone\n",
    ];
    let home = with_tables(&[("documents", &files)]);
    assert_eq!(agreed(&home, "query4", "--data data --set t"), 50 + 700 + 1 + 4);
}

/// Once the loops took it for a part of the first row, and differed from the queries.
#[test]
fn the_plain_loops_pass_over_a_byte_order_mark() {
    let marked = |text: &str| format!("\u{feff}{text}").into_bytes();
    let visits = marked("1.1.1.1,p,1980-01-02,0.5,agent,USA,en,word,1\n");
    let (rankings, documents) = (marked("p,10,1\nr,20,1\n"), marked("http://a/ 1 2 3 4\nhttp://b/\n"));
    let home = with_tables(&[
        ("rankings", &[&rankings, "\u{feff}".as_bytes()]),
        ("uservisits", &[&visits]),
        ("documents", &[&documents]),
    ]);
    for (query, rows) in [("query1 -- -x 1", 2), ("query2 --", 1), ("query3 --", 1), ("query4 --", 2)] {
        let (query, words) = query.split_once(" --").unwrap();
        assert_eq!(agreed(&home, query, &format!("{words} --data data --set t")), rows, "{query}");
    }
}

#[test]
fn a_wrong_answer_is_an_error_and_no_time_is_told() {
    let home = Home::new();
    let query = pretender(&home, "[ $workers = 3 ] && echo wrong || echo right");
    let ran = sweep(&home, &format!("--query {query} --workers 1,2 --rounds 2 --json j --svg s")).run();
    ran.ended_with(0).check(ran.stdout.contains("; 4 runs agree"), "both agree");
    let ran = sweep(&home, &format!("--query {query} --workers 1,3 --json wrong.json")).run();
    ran.failed_saying("error: answers differ, so times mean nothing\n  ./pretender -w1 -n1: 1 rows read, 1 rows of answer with hash right\n  ./pretender -w3 -n1: ");
    assert!(!home.path().join("wrong.json").exists());
}

/// Once, a sweep looked at where its files were to go when all was measured, and then told nothing of it.
#[test]
fn files_that_cannot_be_written_are_refused_before_the_first_run() {
    let home = Home::new();
    fs::create_dir(home.path().join("folder")).unwrap();
    let query = pretender(&home, "touch ran; echo right");
    let refused = |words: &str, code: i32, line: &str| {
        let ran = sweep(&home, &format!("--query {query} --workers 1 --rounds 1 {words}")).run();
        ran.ended_with(code).check(ran.stderr.contains(line) && ran.stdout.is_empty(), line);
        assert!(!home.path().join("ran").exists(), "{words}");
    };
    refused("--json absent/j", 1, "error: cannot write a report in absent: ");
    refused("--svg folder", 1, "error: cannot write the report folder: ");
    // Once, the drawing took the place of the times.
    for svg in ["out", "./out", "folder/../out"] {
        refused(&format!("--json out --svg {svg}"), 2, "--json and --svg are the same file, ");
    }
    let ran =
        sweep(&home, &format!("--query {query} --workers 1 --rounds 1 --json out --svg folder/out")).run();
    ran.ended_with(0);
    assert!(home.path().join("out").exists() && home.path().join("folder/out").exists());
}

#[test]
fn a_table_that_could_not_be_printed_took_the_files_with_it() {
    let home = Home::new();
    let query = pretender(&home, "echo 1");
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" >/dev/full", "sh", env!("CARGO_BIN_EXE_sweep"), "--query", &query]);
    command.args("--workers 1 --rounds 1 --json t.json --svg t.svg".split_whitespace());
    home.runner(command)
        .run()
        .failed_saying("error: cannot write to standard output: No space left on device");
    assert!(home.path().join("t.json").exists() && home.path().join("t.svg").exists());
}

#[test]
fn a_query_that_fails_says_so_in_its_own_words() {
    let home = Home::new();
    let ran = sweep(&home, "--query query2 --workers 1 -- --data data --set t").run();
    ran.failed_saying("ended with exit status: 1\nerror: ");
    let ran = sweep(&home, "--query nonesuch --workers 1").run();
    ran.ended_with(2)
        .check(ran.stderr.contains("there is no program ") && ran.stderr.contains("--query query2"), "help");
    let ran = sweep(&home, "--query query2_incremental --baseline").run();
    ran.ended_with(2).check(
        ran.stderr.contains("there is no plain loop for query2_incremental")
            && ran.stderr.contains("--query query1, query2, query3, query4, or leave --baseline out"),
        "help",
    );
    let ran = sweep(&home, "--query query2 --plain-loop -- --colour red").run();
    ran.ended_with(2).check(ran.stderr.contains("unexpected argument '--colour'"), "the query's flags");
}

#[test]
fn the_plain_loop_refuses_what_it_cannot_read() {
    let home = Home::with(&[("part-0".into(), b"1.1.1.1,p,1990-01-01,1,\"a\",D,D,w,1\n".to_vec())]);
    let words = "--query query2 --plain-loop -- --data data --set t";
    sweep(&home, words).run().failed_saying("error: the plain loop cannot read ");
    fs::write(home.table().join("part-0"), b"1.1.1.1,p\n").unwrap();
    sweep(&home, words).run().failed_saying("error: the plain loop cannot read ");
    for rankings in [&b"p\n"[..], b"p,1\n", b"p,many,1\n", b"\"p\",1,1\n"] {
        let home = with_tables(&[("rankings", &[rankings]), ("uservisits", &[b""])]);
        for query in ["query1", "query3"] {
            let ran = sweep(&home, &format!("--query {query} --plain-loop -- --data data --set t")).run();
            ran.failed_saying("error: the plain loop cannot read ");
        }
    }
    let home = with_tables(&[]);
    // The gzip file of nothing.
    fs::write(home.table().join("part-0.gz"), b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0").unwrap();
    sweep(&home, words)
        .run()
        .failed_saying("error: the plain loop reads plain files of this machine only, not ");
}
