//! Runs `pack` and reads what it wrote, with queries and with `pack` itself.
//!
//! Would catch a value that changes on its way through a format, rows lost or in another order, bytes that depend on the number of
//! threads, a bad record that passes, and a table that is half there after a failure.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use millrace::units::Bytes;
use proptest::prelude::*;
use rustix::process::Signal;

use crate::support::{Home, Ran, rows};

/// Every way to write a table.
const FORMATS: [&str; 9] =
    ["packed", "parquet", "csv", "csv.deflate", "csv.gz", "csv.zst", "csv.sz", "csv.lz4", "csv.bz2"];

/// `pack` on this home's data.
fn pack(home: &Home, words: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
    command.args(["--data", "data"]).args(words);
    home.runner(command).run()
}

fn packed(home: &Home, words: &[&str]) -> Ran {
    let ran = pack(home, words);
    ran.ended_with(0);
    ran
}

/// All bytes of a directory's files, in the order of their names.
fn text_of(directory: &Path) -> Vec<u8> {
    let mut paths: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().flat_map(|path| fs::read(path).unwrap()).collect()
}

const VISITS: [&str; 4] = ["--table", "uservisits", "--set", "t"];

#[test]
fn query_2_has_one_hash_in_every_format() {
    let home =
        Home::with(&[("part-0".into(), rows(1, 3_000).concat()), ("part-1".into(), rows(2, 500).concat())]);
    let hash = |words: &str| {
        let ran = home.query(&format!("--json --no-progress {words}")).run();
        ran.ended_with(0);
        serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap()["hash"].clone()
    };
    let expected = hash("");
    for format in FORMATS {
        let output = format!("{format}/uservisits");
        let ran = packed(
            &home,
            &[&VISITS[..], &["--to", format, "--output", &output, "--verify", "--file-size", "100KB"]]
                .concat(),
        );
        assert!(ran.stdout.contains("3,500 rows") && ran.stdout.contains("verified"), "{}", ran.stdout);
        let mut command = Command::new(env!("CARGO_BIN_EXE_query2"));
        command.args(["--json", "--no-progress", "-w", "2", "--data", &output]);
        let ran = home.runner(command).run();
        ran.ended_with(0);
        let answer: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(answer["hash"], expected, "{format}");
        // And back to text, the rows in their order.
        let back = format!("back-{format}/uservisits");
        let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
        command.args([
            "--data",
            &output,
            "--table",
            "uservisits",
            "--to",
            "csv",
            "--output",
            &back,
            "-w",
            "2",
        ]);
        home.runner(command).run().ended_with(0);
        let original = packed_text(&home);
        assert!(text_of(&home.path().join(back)) == original, "{format}: other rows, or in another order");
    }
}

/// The table as text that `pack` wrote of the original.
fn packed_text(home: &Home) -> Vec<u8> {
    if !home.path().join("plain/uservisits").exists() {
        packed(home, &[&VISITS[..], &["--to", "csv", "--output", "plain/uservisits"]].concat());
    }
    text_of(&home.path().join("plain/uservisits"))
}

/// The last line of `pack`, figure by figure, and files of about the size that was asked for.
#[test]
fn sizes_are_as_asked_and_told_with_ratio_and_speed() {
    let home = Home::with(&[("part-0".into(), rows(1, 9_000).concat())]);
    let input = fs::metadata(home.table().join("part-0")).unwrap().len();
    for format in ["csv", "packed"] {
        let ran = packed(
            &home,
            &[&VISITS[..], &["--to", format, "--output", format, "--file-size", "60KB"]].concat(),
        );
        let files = fs::read_dir(home.path().join(format)).unwrap();
        let sizes: Vec<_> = files.map(|file| file.unwrap().metadata().unwrap().len()).collect();
        let bytes: u64 = sizes.iter().sum();
        let fitting = sizes.iter().filter(|size| (30_000..=90_000).contains(*size)).count();
        ran.check(sizes.len() > 2 && fitting >= sizes.len() - 1, &format!("files of about 60 kB: {sizes:?}"));
        let said = format!(
            "uservisits: 9,000 rows, {} in 1 file to {} of {format} in {} files ({:.2} of the size), ",
            Bytes(input),
            Bytes(bytes),
            sizes.len(),
            bytes as f64 / input as f64
        );
        ran.check(ran.stdout.starts_with(&said), &said);
        let speed = ran.stdout.trim_end().rsplit(", ").next().unwrap();
        let (number, unit) = speed.split_once(' ').unwrap();
        ran.check(number.parse::<f64>().is_ok_and(|number| number > 0.0), "a speed");
        ran.check(["kB/s", "MB/s", "GB/s"].contains(&unit), "its unit");
    }
}

#[test]
fn bytes_are_the_same_for_any_number_of_threads() {
    let home =
        Home::with(&[("part-0".into(), rows(1, 5_000).concat()), ("part-1".into(), rows(2, 700).concat())]);
    let mut first = None;
    for threads in ["1", "2", "3"] {
        let output = format!("w{threads}");
        packed(
            &home,
            &[&VISITS[..], &["--to", "csv.zst", "--output", &output, "--file-size", "50KB", "-w", threads]]
                .concat(),
        );
        let files = home.listing(&output);
        assert!(files.len() > 2 && files[1] == "part-00001.zst", "{files:?}");
        let made = (files, text_of(&home.path().join(&output)));
        assert!(*first.get_or_insert_with(|| made.clone()) == made, "{threads} threads");
    }
}

/// Packs the text of a table of one's own to `format` and back to text.
fn there_and_back(columns: &str, text: &[u8], format: &str) -> Vec<u8> {
    let home = Home::new();
    fs::create_dir_all(home.path().join("data/csv/t/mine")).unwrap();
    fs::write(home.path().join("data/csv/t/mine/part-0"), text).unwrap();
    let mine = ["--table", "mine", "--columns", columns, "--set", "t"];
    packed(&home, &[&mine[..], &["--to", format, "--output", "there/mine", "--verify"]].concat());
    let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
    command.args(["--data", "there/mine", "--output", "back/mine", "--to", "csv", "--verify"]);
    command.args(["--table", "mine", "--columns", columns]);
    home.runner(command).run().ended_with(0);
    text_of(&home.path().join("back/mine"))
}

const ALL_TYPES: &str = "name:text,number:int,share:float,day:date,wide:long,exact:double";

#[test]
fn extreme_values_survive_every_format() {
    let long = "x".repeat(3_000_000);
    let rows = [
        "plain,0,0.0,1970-01-01,0,0.0",
        "\"with, comma\",-2147483648,3.4028235e+38,0000-01-01,-9223372036854775808,1.7976931348623157e+308",
        "\"with \"\"quotes\"\" and\nnewline\",2147483647,1e-45,9999-12-31,9223372036854775807,5e-324",
        ",,,,,",
        "größte 🦀,-1,-0.0,2000-02-29,-1,-0.0",
        "\"ends in return\r\",7,NaN,1969-12-31,7,NaN",
        "a,1,inf,1970-01-01,1,inf",
        "b,2,-inf,1970-01-01,2,-inf",
        &format!("{long},3,0.1,1970-01-01,3,0.1"),
    ];
    let text = rows.join("\n") + "\n";
    for format in FORMATS {
        let back = there_and_back(ALL_TYPES, text.as_bytes(), format);
        assert!(back == text.as_bytes(), "{format}: {}", String::from_utf8_lossy(&back[..400]));
    }
}

/// Once a text that begins with what marks the start of a file lost it there.
#[test]
fn byte_order_marks_of_texts_survive_every_format() {
    let text = "\"\u{feff}a\",\"\u{feff}b\"\n\"\u{feff}\",c\u{feff}\n";
    for format in FORMATS {
        let back = there_and_back("name:text,other:text", text.as_bytes(), format);
        assert_eq!(String::from_utf8_lossy(&back), text, "{format}");
    }
}

#[test]
fn a_table_without_rows_is_a_table() {
    for format in FORMATS {
        assert_eq!(there_and_back(ALL_TYPES, b"", format), b"");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]
    /// Catches a value that some format writes as another, or cannot read.
    #[test]
    fn rows_are_the_same_after_every_format(
        lines in proptest::collection::vec(any_line(), 0..60),
        repeated in 1_usize..9,
    ) {
        // The same line again and again: columns of few values, or of one.
        let lines: Vec<_> = lines.iter().flat_map(|line| std::iter::repeat_n(line.as_bytes(), repeated)).collect();
        let text = lines.concat();
        for format in FORMATS {
            prop_assert_eq!(&there_and_back(ALL_TYPES, &text, format), &text, "{}", format);
        }
    }
}

/// A row of all types as `pack` writes it: any text, quotes and line ends among them, numbers to the ends of their types, floats
/// that are none, days from the year 0 on; each but the text may be missing.
fn any_line() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        any::<String>(),
        "[\"',;\r\n\t ]{0,12}",
        Just(String::new()),
        Just("same".to_owned()),
        "[a-z]{300,9000}",
    ];
    let number = prop_oneof![any::<i32>(), Just(i32::MIN), Just(i32::MAX), -9..9_i32];
    let wide = prop_oneof![any::<i64>(), Just(i64::MIN), Just(i64::MAX), -9..9_i64];
    let share =
        prop_oneof![any::<u32>().prop_map(f32::from_bits), Just(f32::NAN), Just(f32::INFINITY), Just(-0.0)];
    let exact = prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        Just(f64::NAN),
        Just(f64::NEG_INFINITY),
        Just(-0.0)
    ];
    let day = (-719_528..2_932_897).prop_map(|days| millrace::tables::Date::from_days(days).to_string());
    let missing = || proptest::option::weighted(0.8, Just(()));
    let or_missing = |value: String, there: Option<()>| there.map(|()| value).unwrap_or_default();
    let missing = [missing(), missing(), missing(), missing(), missing()];
    (name, number, share, day, wide, exact, missing).prop_map(
        move |(name, number, share, day, wide, exact, there)| {
            let mut field = Vec::new();
            millrace::formats::write_field(&mut field, name.as_bytes());
            let share = match share {
                share if share.is_finite() => zmij::Buffer::new().format_finite(share).to_owned(),
                share => share.to_string(),
            };
            let exact = match exact {
                exact if exact.is_finite() => zmij::Buffer::new().format_finite(exact).to_owned(),
                exact => exact.to_string(),
            };
            let fields = [number.to_string(), share, day, wide.to_string(), exact];
            let fields = fields.into_iter().zip(there).map(|(value, there)| or_missing(value, there));
            let fields: Vec<_> = fields.collect();
            format!("{},{}\n", String::from_utf8(field).unwrap(), fields.join(","))
        },
    )
}

/// Catches a run or a dictionary of one value that goes wrong at the edge of a block, and a file of one row.
#[test]
fn blocks_of_one_value_and_files_of_one_row_survive_every_format() {
    let line = "\"the, same\",-7,NaN,1969-07-20,-9223372036854775808,-inf\n";
    for format in FORMATS {
        for rows in [1, 2_000] {
            let text = line.repeat(rows);
            assert!(
                there_and_back(ALL_TYPES, text.as_bytes(), format) == text.as_bytes(),
                "{format}, {rows}"
            );
        }
    }
    // More than a block of either.
    for format in ["packed", "parquet"] {
        let text = line.repeat(140_000) + "other,1,1.0,1970-01-01,1,1.0\n" + &",,,,,\n".repeat(70_000);
        assert!(there_and_back(ALL_TYPES, text.as_bytes(), format) == text.as_bytes(), "{format}");
    }
}

#[test]
fn a_table_that_is_there_is_kept_unless_it_may_go() {
    let home = Home::with(&[("part-0".into(), rows(1, 100).concat())]);
    let words = [&VISITS[..], &["--to", "csv.gz", "--output", "out"]].concat();
    packed(&home, &words);
    let before = text_of(&home.path().join("out"));
    let ran = pack(&home, &words);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("out already holds data\n  try: --overwrite"), "{}", ran.stderr);
    fs::write(home.path().join("out/other"), "old").unwrap();
    let again = [&words[..], &["--overwrite"]].concat();
    let ran = pack(&home, &again);
    ran.ended_with(2)
        .check(ran.stderr.contains("out holds other, which is no part of a table"), "it is named");
    assert_eq!(home.listing("out"), ["other", "part-00000.gz"], "nothing is lost");
    fs::rename(home.path().join("out/other"), home.path().join("out/part-00001.gz")).unwrap();
    packed(&home, &again);
    assert_eq!(home.listing("out"), ["part-00000.gz"]);
    assert!(text_of(&home.path().join("out")) == before);
    assert_eq!(home.listing("."), ["data", "out"], "nothing else is left");
}

#[test]
fn text_is_not_written_between_what_may_be_in_a_number() {
    let home = Home::new();
    fs::create_dir_all(home.path().join("data/csv/t/own")).unwrap();
    fs::write(home.path().join("data/csv/t/own/part-0"), "ann-1\n").unwrap();
    let columns = ["--table", "own", "--set", "t", "--columns", "name:text,age:int", "--delimiter"];
    for delimiter in ["-", "+", ".", "0", "e", "N"] {
        let ran = pack(&home, &[&columns[..], &[delimiter, "--to", "csv.gz", "--output", "text"]].concat());
        let said = format!("error: --delimiter {delimiter} may be a part of a number or a date");
        ran.ended_with(2).check(ran.stderr.starts_with(&said), &said);
        // The text that is there is read by the same one.
        let remedy = "try: --to packed, and of what that makes --to csv.gz with --delimiter ';'";
        ran.check(ran.stderr.contains(remedy), remedy);
    }
    packed(&home, &[&columns[..], &["-", "--to", "packed", "--output", "read/own"]].concat());
    assert_eq!(home.listing("."), ["data", "read"]);
    let of_packed = |delimiter: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
        command
            .args(["--data", "read/own", "--to", "csv.gz", "--output", "text"])
            .args(columns)
            .arg(delimiter);
        home.runner(command).run()
    };
    let ran = of_packed("-");
    ran.ended_with(2).check(ran.stderr.contains("try: --delimiter ';', or tab"), "what to type");
    of_packed(";").ended_with(0);
    // Texts are quoted where they have what is between them.
    fs::write(home.path().join("data/csv/t/own/part-0"), "anne\"b-e\"\n").unwrap();
    let texts = ["--table", "own", "--set", "t", "--columns", "a:text,b:text", "--delimiter", "e"];
    packed(&home, &[&texts[..], &["--to", "csv", "--output", "same", "--verify"]].concat());
    assert_eq!(fs::read_to_string(home.path().join("same/part-00000")).unwrap(), "anne\"b-e\"\n");
}

/// Once they stood in errors, and a part of a password with a slash in those of queries.
#[test]
fn credentials_are_never_shown() {
    let home = Home::new();
    for data in ["s3://key:se/cret@bucket/x", "http:/me:secret@host/x"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
        command.args(["--data", data, "--table", "uservisits", "--to", "csv", "--output", "out"]);
        let ran = home.runner(command).run();
        ran.ended_with(2).check(!ran.stderr.contains("cret@"), "no secret");
        ran.check(ran.stderr.contains(" has credentials in it, which are not sent"), "why");
    }
}

#[test]
fn a_bad_record_is_an_error_with_its_place_or_left_out() {
    let home = Home::new();
    let mut text = rows(1, 3).concat();
    let at = text.len();
    text.extend_from_slice(b"1.2.3.4,http://x,1980-01-01,much,a,b,c,d,9\n");
    text.extend_from_slice(&rows(2, 2).concat());
    fs::write(home.table().join("part-0"), text).unwrap();
    let words = [&VISITS[..], &["--to", "csv", "--output", "new/deep/out"]].concat();
    let ran = pack(&home, &words);
    assert_eq!(ran.code, Some(1));
    for said in ["part-0", &format!("byte {at}"), "line 4", "adRevenue", "cannot read `much` as f32"] {
        assert!(ran.stderr.contains(said), "{said} in {}", ran.stderr);
    }
    assert_eq!(home.listing("."), ["data"], "no directory stays");
    let ran = packed(&home, &[&words[..], &["--bad-records", "skip"]].concat());
    assert!(ran.stdout.contains("5 rows") && ran.stdout.contains("1 record left out"), "{}", ran.stdout);
}

#[test]
fn a_signal_leaves_nothing() {
    let home = Home::with_endless_table();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
    command.args(["--data", "data", "--to", "csv.bz2"]).args(VISITS).args([
        "--output",
        "out/uservisits",
        "-w",
        "2",
    ]);
    let begun = || home.listing("out").iter().any(|name| name.starts_with(".uservisits-"));
    let mut running = home.runner(command).start().until(begun);
    running.signal(running.pid(), Signal::INT);
    let ran = running.end();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("stopped by Ctrl-C"), "{}", ran.stderr);
    assert_eq!(home.listing("out"), ["absent"]);
    assert!(ran.taken < Duration::from_secs(40));
}

#[test]
fn what_was_typed_wrong_is_told_with_what_to_type() {
    let home = Home::with(&[("part-0".into(), rows(1, 1).concat())]);
    let own = home.path().join("data/csv/t/clicks");
    fs::create_dir(&own).unwrap();
    fs::write(own.join("part-0"), "ann,1,mill\n").unwrap();
    let ran = pack(&home, &["--table", "visits", "--set", "t", "--to", "csv"]);
    ran.failed_saying("error: there is no table visits in set t: ");
    ran.failed_saying(
        "\n  there is: csv/t/clicks, csv/t/uservisits\n  to read files that lie elsewhere: --data FILE, or --data 'DIR/*'\n",
    );
    for (words, said) in [
        (&["--table", "clicks", "--set", "t", "--to", "csv"][..], "clicks is none of the tables"),
        (&["--table", "x", "--columns", "a:number", "--to", "csv", "--set", "t"], "is no column"),
        (&["--table", "uservisits", "--set", "t", "--to", "csv.rar"], "csv can end in"),
        (&["--table", "uservisits", "--set", "t", "--to", "orc"], "type packed, parquet, csv"),
        (&["--table", "uservisits", "--set", "t", "--to", "csv"], "already holds data"),
    ] {
        let ran = pack(&home, words);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        assert!(ran.stderr.contains(said), "{said} in {}", ran.stderr);
    }
}

#[test]
fn generate_writes_the_same_rows_in_every_format() {
    let home = Home::new();
    let generate = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_generate"));
        command
            .args(["--rows", "2000", "--table", "uservisits", "--table", "rankings", "--data", "made"])
            .args(words);
        home.runner(command).run()
    };
    let hash = |program: &str, format: &str| {
        let mut command = Command::new(program);
        command.args(["--json", "--no-progress", "--data", "made", "--set", "2k", "--format", format]);
        let ran = home.runner(command).run();
        ran.ended_with(0);
        serde_json::from_str::<serde_json::Value>(&ran.stdout).unwrap()["hash"].clone()
    };
    for format in ["csv", "parquet", "packed"] {
        generate(&["--format", format]).ended_with(0);
        assert_eq!(home.listing(&format!("made/{format}")), ["2k"], "nothing else is left");
        for program in
            [env!("CARGO_BIN_EXE_query1"), env!("CARGO_BIN_EXE_query2"), env!("CARGO_BIN_EXE_query3")]
        {
            assert_eq!(hash(program, format), hash(program, "csv"), "{program} of {format}");
        }
    }
    let ran = generate(&["--format", "packed"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("already holds data\n  try: --overwrite"), "{}", ran.stderr);
    assert_eq!(generate(&["--format", "packed", "--compression", "gzip"]).code, Some(2));
}

/// Catches blocks that are read although no row of them is wanted, and rows lost with blocks that were passed over.
#[test]
fn queries_pass_over_blocks_that_cannot_have_rows_for_them() {
    let home = Home::new();
    let mut rankings = String::new();
    // Sorted, as the benchmark's are, so that every block has ranks of its own.
    for rank in (0..20_000).rev() {
        rankings += &format!("http://page-{rank}.example,{rank},1\n");
    }
    fs::create_dir_all(home.path().join("data/csv/t/rankings")).unwrap();
    fs::write(home.path().join("data/csv/t/rankings/part-0"), rankings).unwrap();
    let answered = |data: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_query1"));
        command.args(["--json", "--no-progress", "--threshold", "18999", "--set", "t", "--data", data]);
        let ran = {
            command.arg("--report").arg(home.path().join("report.json"));
            home.runner(command).run()
        };
        ran.ended_with(0);
        let report = fs::read(home.path().join("report.json")).unwrap();
        let [answer, report] = [ran.stdout.as_bytes(), &report]
            .map(|json| serde_json::from_slice::<serde_json::Value>(json).unwrap());
        assert_eq!(answer["pages"], 1_000, "{data}");
        (answer["hash"].clone(), report["input"]["rows"].as_u64().unwrap())
    };
    let (hash, rows) = answered("data");
    assert_eq!(rows, 20_000, "text has no statistics");
    for format in ["packed", "parquet"] {
        let output = format!("{format}/rankings");
        let words = ["--table", "rankings", "--set", "t", "--to", format, "--output", &output];
        packed(&home, &[&words[..], &["--file-size", "20KB"]].concat());
        let (same, rows) = answered(&output);
        assert_eq!(same, hash, "{format}");
        assert!((1_000..10_000).contains(&rows), "{rows} rows of {format} were read");
    }
}
