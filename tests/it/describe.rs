//! `pack --describe` and `--head`: the very lines, for every format.
//!
//! They would catch a column, a row or a size that is another's, a missing value that looks like a text, a text that breaks its line,
//! and rows that are shown twice or in another order where there are several files.

use std::fs;
use std::process::Command;

use millrace::units::Bytes;

use crate::support::{Home, Ran, rows};

const COLUMNS: &str = "name:text,age:int,born:date,share:float,wide:long,exact:double";
const PEOPLE: &str = "Ada,36,1815-12-10,0.5,9223372036854775807,0.1\n\
                      \"Grace \"\"Amazing\"\",\nHopper\",,1906-12-09,,,\n\
                      Émile,-1,0001-01-01,NaN,-9,-inf\n\
                      ,7,1970-01-01,-2.25,0,-7.75\n";
const HEAD: &str = "
name                      age   born        share  wide                 exact
Ada                       36    1815-12-10  0.5    9223372036854775807  0.1
Grace \"Amazing\",\\nHopper  null  1906-12-09  null   null                 null
Émile                     -1    0001-01-01  NaN    -9                   -inf
";
const TYPES: &str = "column  type
name    text
age     int
born    date
share   float
wide    long
exact   double
";
const PARQUET: &str = "column  type    bytes  written as (blocks)
name    text       77  plain 1
age     int        41  plain 1
born    date       45  plain 1
share   float      41  plain 1
wide    long       53  plain 1
exact   double     53  plain 1
";
const PACKED: &str = "column  type    bytes  written as (blocks)
name    text       44  plain 1
age     int        13  plain 1
born    date       19  plain 1
share   float      17  plain 1
wide    long       48  runs 1
exact   double     33  plain 1
";

fn pack(home: &Home, words: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
    command.args(words);
    home.runner(command).run()
}

/// The table in a format, and its bytes.
fn people(home: &Home, format: &str) -> (String, u64) {
    let source = home.path().join("data/csv/t/people");
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("part-0"), PEOPLE).unwrap();
    let output = format!("{format}/people");
    let words = ["--data", "data", "--set", "t", "--table", "people", "--columns", COLUMNS];
    pack(home, &[&words[..], &["--to", format, "--output", &output]].concat()).ended_with(0);
    let bytes = fs::read_dir(home.path().join(&output)).unwrap();
    let bytes = bytes.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    (output, bytes)
}

#[test]
fn every_format_is_described_to_the_letter() {
    let home = Home::new();
    let text = ["csv", "csv.deflate", "csv.gz", "csv.zst", "csv.sz", "csv.lz4", "csv.bz2"]
        .map(|to| (to, "1 split", TYPES));
    let columns = [("parquet", "1 block in 1 split", PARQUET), ("packed", "1 block in 1 split", PACKED)];
    for (format, splits, table) in text.into_iter().chain(columns) {
        let (path, bytes) = people(&home, format);
        let extension = match format {
            "packed" => ".mrp",
            "parquet" => ".parquet",
            text => &text[3..],
        };
        // A directory, and a file of it.
        for path in [path.clone(), format!("{path}/part-00000{extension}")] {
            let words = ["--describe", &path, "--table", "people", "--columns", COLUMNS];
            let ran = pack(&home, &words);
            let expected = format!("{path}: 1 file, {}, 4 rows, {splits}\n{table}", Bytes(bytes));
            ran.ended_with(0).check(ran.stdout == expected, &expected);
            let ran = pack(&home, &[&words[..], &["--head", "3"]].concat());
            ran.ended_with(0).check(ran.stdout == format!("{expected}{HEAD}"), HEAD);
            let ran = pack(&home, &[&words[..], &["--head", "99"]].concat());
            let last = "                          7     1970-01-01  -2.25  0                    -7.75\n";
            ran.ended_with(0).check(ran.stdout == format!("{expected}{HEAD}{last}"), last);
        }
    }
}

#[test]
fn of_several_files_the_first_rows_come_first() {
    let home =
        Home::with(&[("part-0".into(), rows(1, 900).concat()), ("part-1".into(), rows(2, 300).concat())]);
    let first = |path: &str, count: &str| {
        let ran = pack(&home, &["--describe", path, "--head", count]);
        ran.ended_with(0).check(ran.stdout.contains("1,200 rows"), "rows");
        let (described, head) = ran.stdout.split_once("\n\n").unwrap();
        (described.lines().next().unwrap().to_owned(), head.to_owned())
    };
    let (said, expected) = first("data/csv/t/uservisits", "1000");
    assert!(said.contains(": 2 files, "), "{said}");
    assert_eq!(expected.lines().count(), 1_001);
    for format in ["packed", "parquet", "csv.gz"] {
        let output = format!("{format}/uservisits");
        let words = ["--data", "data", "--set", "t", "--table", "uservisits", "--to", format];
        pack(&home, &[&words[..], &["--output", &output, "--file-size", "10KB"]].concat()).ended_with(0);
        let (said, found) = first(&output, "1000");
        assert!(!said.contains(" 1 file,"), "{said}");
        assert_eq!(found, expected, "{format}");
    }
}

#[test]
fn tables_without_rows_and_paths_of_no_table() {
    let home = Home::new();
    fs::write(home.table().join("part-0"), "").unwrap();
    for format in ["packed", "parquet", "csv.gz"] {
        let output = format!("{format}/uservisits");
        let words =
            ["--data", "data", "--set", "t", "--table", "uservisits", "--to", format, "--output", &output];
        pack(&home, &words).ended_with(0);
        let ran = pack(&home, &["--describe", &output, "--head", "5"]);
        ran.ended_with(0).check(ran.stdout.contains(", 0 rows, "), "no rows");
        ran.check(
            ran.stdout.lines().last().is_some_and(|line| line.starts_with("sourceIP  destURL")),
            "only names",
        );
    }
    let ran = pack(&home, &["--describe", "data/csv"]);
    ran.ended_with(2).check(ran.stderr.contains("does not say which table it is"), "which table");
    let ran = pack(&home, &["--describe", "nowhere/uservisits"]);
    ran.ended_with(1).check(ran.stderr.contains("nowhere/uservisits"), "no file");
}
