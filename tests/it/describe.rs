//! `pack --describe` and `--head`: the very lines, for every format.
//!
//! They would catch a column, a row or a size that is another's, a missing value that looks like a text, a text that breaks its line,
//! and rows that are shown twice or in another order where there are several files.

use std::fs;
use std::process::Command;

use millrace::units::Bytes;

use crate::parquet::pyarrow;
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
    fs::write(home.path().join("people.csv"), PEOPLE).unwrap();
    let ran = pack(&home, &["--describe", "people.csv"]);
    ran.ended_with(2).check(ran.stderr.contains("people.csv does not say which table it is"), "which table");
    let ran = pack(&home, &["--describe", "data/csv"]);
    ran.failed_saying("error: data/csv/t is not a regular file: a table's files lie in its directory");
    for nowhere in ["nowhere", "nowhere/uservisits", "nowhere/people.parquet"] {
        pack(&home, &["--describe", nowhere])
            .failed_saying(&format!("error: there are no files at {nowhere}"));
    }
}

#[test]
fn column_files_say_themselves_which_columns_they_have() {
    let home = Home::new();
    for (format, table) in [("parquet", PARQUET), ("packed", PACKED)] {
        let (path, bytes) = people(&home, format);
        let ran = pack(&home, &["--describe", &path, "--head", "3"]);
        let expected = format!("{path}: 1 file, {}, 4 rows, 1 block in 1 split\n{table}{HEAD}", Bytes(bytes));
        ran.ended_with(0).check(ran.stdout == expected, &expected);
        // And so they are converted, and read back as the same text.
        let words = ["--data", &path, "--table", "people", "--to", "csv", "--output"];
        let text = format!("from-{format}");
        pack(&home, &[&words[..], &[&text]].concat()).ended_with(0);
        assert_eq!(fs::read_to_string(home.path().join(text).join("part-00000")).unwrap(), PEOPLE);
    }
}

/// Every kind of column that Parquet has, as it is told.
const KINDS: &str = "truth BOOLEAN no
tiny int yes
int int yes
long long yes
small_unsigned long yes
unsigned long yes
list values with parts no
float float yes
half FIXED_LEN_BYTE_ARRAY (FLOAT16) no
double double yes
price double yes
day date yes
instant INT64 (TIMESTAMP) no
hour INT32 (TIME) no
text text yes
bytes text yes
code text yes
parts values with parts no
word text yes
";

#[test]
fn columns_that_no_table_can_have_are_described_and_left_out() {
    let home = Home::new();
    pyarrow("kinds.py", &[home.path().join("kinds.parquet").as_os_str()]);
    let ran = pack(&home, &["--describe", "kinds.parquet", "--head", "2"]);
    let (described, head) = ran.ended_with(0).stdout.split_once("\n\n").unwrap();
    let told = |line: &str| {
        let (name, rest) = line.split_once(' ').unwrap();
        let (before, _) = rest.rsplit_once("  ").unwrap();
        let (kind, bytes) = before.rsplit_once(' ').unwrap();
        assert!(bytes.parse::<u64>().unwrap() > 0, "{line}");
        let is_read = if line.ends_with("not read by queries") { "no" } else { "yes" };
        format!("{name} {} {is_read}\n", kind.trim())
    };
    let found: String = described.lines().skip(2).map(told).collect();
    assert_eq!(found, KINDS, "{described}");
    let names = "tiny int long small_unsigned unsigned float double price day text bytes code word";
    let values = r"-1 -2147483648 4611686018427387904 65535 4294967295 0.5 0.1 1.25 1980-01-01 Mühle \x00\xff BEL mill";
    let nulls = ["null"; 13].join(" ");
    let lines: Vec<_> =
        head.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines, [names, values, &nulls], "{head}");
    // Who converts it is told how to leave them out, and that works.
    let words = ["--data", "kinds.parquet", "--table", "kinds", "--to", "csv", "--output", "made"];
    let ran = pack(&home, &words);
    let why = "error: column truth of table kinds cannot be read: it is BOOLEAN\n  try: --columns '";
    let columns =
        ran.ended_with(2).stderr.strip_prefix(why).and_then(|rest| rest.split('\'').next()).unwrap();
    assert_eq!(home.listing("made"), ["absent"]);
    pack(&home, &[&words[..], &["--columns", columns]].concat()).ended_with(0);
}

/// Catches a file that is whole and is refused, or is read as something else: without rows, without a column that can be read, with two
/// columns of one name, with a name of two lines, with decimals of 256 bits.
#[test]
fn odd_files_of_other_programs_are_described_and_converted_or_refused_with_the_reason() {
    let home = Home::new();
    pyarrow("odd.py", &[home.path().join("odd").as_os_str()]);
    let described = |name: &str| pack(&home, &["--describe", &format!("odd/{name}.parquet"), "--head", "3"]);
    let converted = |name: &str, words: &[&str]| {
        let (data, output) = (format!("odd/{name}.parquet"), format!("made-{name}"));
        let fixed = ["--data", &data, "--table", "own", "--to", "csv", "--output", &output];
        let ran = pack(&home, &[&fixed[..], words].concat());
        (ran, fs::read_to_string(home.path().join(output).join("part-00000")).unwrap_or_default())
    };
    let ran = described("empty");
    ran.ended_with(0)
        .check(ran.stdout.contains(", 0 rows, ") && ran.stdout.ends_with("\nid  name\n"), "no rows");
    converted("empty", &[]).0.ended_with(0).check(true, "a table without rows");

    let said = "error: odd/twice.parquet has more than one column id\n  try: write it again with a name for each column\n";
    described("twice").failed_saying(said);
    converted("twice", &[]).0.failed_saying(said);
    converted("twice", &["--columns", "id:long"]).0.failed_saying(said);
    let (ran, text) = converted("twice", &["--columns", "name:text"]);
    ran.ended_with(0).check(text == "x\ny\n", "the column that is meant");

    let ran = described("unread");
    let unread = |line: &str| line.ends_with("not read by queries");
    ran.ended_with(0).check(ran.stdout.contains(", 2 rows, "), "rows");
    ran.check(ran.stdout.lines().filter(|line| unread(line)).count() == 2, "both columns");
    converted("unread", &[])
        .0
        .failed_saying("column truth of table own cannot be read: it is BOOLEAN, and there is none");

    let ran = described("lines");
    ran.ended_with(0).check(
        ran.stdout.contains("\ntwo\\nlines  long") && ran.stdout.ends_with("\ntwo\\nlines\n1\n2\n"),
        "a line each",
    );

    let (ran, text) = converted("wide", &[]);
    ran.ended_with(0).check(text == "1.25\n\n-3.5\n", "decimals of few digits");
}

/// Catches a column that nobody misses, as only files behind the first one have it.
#[test]
fn a_column_that_only_a_later_file_has_is_an_error() {
    let home = Home::new();
    pyarrow("odd.py", &[home.path().join("odd").as_os_str()]);
    fs::create_dir(home.path().join("more")).unwrap();
    for name in ["more-1.parquet", "more-2.parquet"] {
        fs::rename(home.path().join("odd").join(name), home.path().join("more").join(name)).unwrap();
    }
    let said =
        "error: more/more-2.parquet has a column later, which more/more-1.parquet has not\n  try: --columns ";
    pack(&home, &["--describe", "more"]).failed_saying(said);
    let words = ["--data", "more/*", "--table", "own", "--to", "csv", "--output", "made"];
    pack(&home, &words).failed_saying(said);
    pack(&home, &[&words[..], &["--columns", "id:long,name:text"]].concat()).ended_with(0);
    assert_eq!(fs::read_to_string(home.path().join("made/part-00000")).unwrap(), "1,x\n2,y\n");
}

/// Once `--describe` panicked where columns stand in front of those of the table, and a column that the table has not, of a later file,
/// was an error.
#[test]
fn columns_beside_those_of_a_crawl_are_no_obstacle() {
    let home = Home::new();
    pyarrow("odd.py", &[home.path().join("odd").as_os_str()]);
    fs::create_dir(home.path().join("crawl")).unwrap();
    for name in ["crawl-1.parquet", "crawl-2.parquet"] {
        fs::rename(home.path().join("odd").join(name), home.path().join("crawl").join(name)).unwrap();
    }
    for path in ["crawl/crawl-1.parquet", "crawl"] {
        let ran = pack(&home, &["--describe", path, "--table", "documents", "--head", "1"]);
        let names: Vec<_> =
            ran.ended_with(0).stdout.lines().filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(names[1..], ["column", "ok", "url", "text", "", "url", "http://a/"], "{}", ran.stdout);
        ran.check(ran.stdout.contains("not read by queries"), "it is told");
    }
    let words = ["--data", "crawl/*", "--table", "documents", "--to", "csv", "--output", "made", "--verify"];
    pack(&home, &words).ended_with(0);
    assert_eq!(
        fs::read_to_string(home.path().join("made/part-00000")).unwrap(),
        "http://a/ 1 2 3 4\n".repeat(2)
    );
    // Once everything without an address was said to be a crawl of before.
    let ran = pack(&home, &["--describe", "odd/more-1.parquet", "--table", "documents"]);
    ran.failed_saying("has no column url, which table documents has\n  its columns are: id, name\n");
    ran.check(!ran.stderr.contains("try: "), "no remedy");
}

#[test]
fn a_name_that_says_another_compression_is_told() {
    let home = Home::new();
    let (path, _) = people(&home, "csv.gz");
    fs::rename(home.path().join(&path).join("part-00000.gz"), home.path().join(&path).join("part-00000.zst"))
        .unwrap();
    let ran = pack(&home, &["--describe", &path, "--table", "people", "--columns", COLUMNS]);
    ran.ended_with(0).check(
        ran.stderr.contains("warning: csv.gz/people/part-00000.zst is read as gzip, which its first bytes are; its name says zstd"),
        "a warning",
    );
}
