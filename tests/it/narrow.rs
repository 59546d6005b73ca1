//! Numbers for which their column, or the field of a query, is too narrow: bad values in every format.
//!
//! These tests would catch a double that becomes infinite, an integer that is cut, and a value that is good in one format and bad in
//! another.

use std::fs;
use std::process::Command;

use millrace::Error;
use millrace::input::{BadRecords, FormatChoice, Input, InputOptions};
use millrace::tables::{Column, ColumnType, Layout, Table};

use crate::csv::read_all;
use crate::parquet::pyarrow;
use crate::support::{Home, Ran};

const LINES: &str = "1,7,0.5\n2,2147483648,0.5\n3,-2147483649,0.25\n4,8,1e300\n5,,inf\n6,9,-3.5e38\n7,10,\n";

/// The columns as they are written, with numbers of 64 bits.
const WIDE: &str = "id:long,number:long,exact:double";

const fn table(number: ColumnType, exact: ColumnType) -> Table {
    Table {
        name: "numbers",
        columns: match (number, exact) {
            (ColumnType::Int, ColumnType::Float) => const { &columns(ColumnType::Int, ColumnType::Float) },
            (ColumnType::Int, _) => const { &columns(ColumnType::Int, ColumnType::Double) },
            _ => const { &columns(ColumnType::Long, ColumnType::Double) },
        },
        layout: Layout::Delimited(b','),
    }
}

const fn columns(number: ColumnType, exact: ColumnType) -> [Column; 3] {
    [Column::new("id", ColumnType::Long), Column::new("number", number), Column::new("exact", exact)]
}

millrace::row! { struct Number { id: i64, #[serde(rename = "number")] _number: Option<i64> } }
millrace::row! { struct Narrow { id: i64, exact: Option<f32> } }
millrace::row! { struct Exact { id: i64, exact: Option<f64> } }

/// The numbers as text, and as packed files and Parquet made of it with columns of 64 bits.
fn written() -> Home {
    let home = Home::new();
    fs::create_dir_all(home.path().join("data/csv/t/numbers")).unwrap();
    fs::write(home.path().join("data/csv/t/numbers/part-0"), LINES).unwrap();
    for to in ["packed", "parquet"] {
        pack(&home, &["--columns", WIDE, "--to", to]).ended_with(0);
    }
    home
}

fn pack(home: &Home, words: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
    command.args(["--data", "data", "--set", "t", "--table", "numbers"]).args(words);
    home.runner(command).run()
}

/// The ids of good rows, and of the first bad one its column and reason.
macro_rules! read {
    ($home:expr, $format:expr, $table:expr, $row:ty) => {{
        let open = |bad_records| {
            let options = InputOptions {
                data: $home.path().join("data"),
                set: "t".into(),
                format: $format,
                bad_records,
                ..InputOptions::default()
            };
            read_all(&Input::<$row>::open(&$table, &options).unwrap(), |row| row.id)
        };
        let (ids, block) = open(BadRecords::Skip).unwrap();
        assert_eq!(ids.len() as u64 + block.bad_records, 7);
        match open(BadRecords::Fail) {
            Ok(_) => (ids, None),
            Err(Error::BadRecord(bad)) => (ids, Some((bad.column.unwrap(), bad.reason))),
            Err(other) => panic!("{other}"),
        }
    }};
}

#[test]
fn what_is_too_wide_is_a_bad_value_in_every_format() {
    let home = written();
    let bad = |column: &str, reason: &str| Some((column.to_owned(), reason.to_owned()));
    for format in [FormatChoice::Csv, FormatChoice::Packed, FormatChoice::Parquet] {
        let wide = table(ColumnType::Long, ColumnType::Double);
        assert_eq!(read!(home, format, wide, Number), (vec![1, 2, 3, 4, 5, 6, 7], None));
        let int = table(ColumnType::Int, ColumnType::Double);
        let reason = "2147483648 is beyond the 32 bits of an int column; a long one has 64";
        assert_eq!(read!(home, format, int, Number), (vec![1, 4, 5, 6, 7], bad("number", reason)));
        assert_eq!(read!(home, format, wide, Exact), (vec![1, 2, 3, 4, 5, 6, 7], None));
        let reason = "1e300 is beyond the range of f32; f64 has it";
        assert_eq!(read!(home, format, wide, Narrow), (vec![1, 2, 3, 5, 7], bad("exact", reason)));
    }
    // A float column has floats, however wide the field of the query is; a packed file with doubles has none for it.
    let float = table(ColumnType::Int, ColumnType::Float);
    let reason = "cannot read `1e300` as f32, widened to f64";
    assert_eq!(read!(home, FormatChoice::Csv, float, Exact), (vec![1, 2, 3, 5, 7], bad("exact", reason)));
    let reason = "1e300 is beyond the range of f32; f64 has it";
    assert_eq!(read!(home, FormatChoice::Parquet, float, Exact), (vec![1, 2, 3, 5, 7], bad("exact", reason)));
}

#[test]
fn pack_writes_no_value_that_its_column_has_not() {
    let home = written();
    let narrow = "id:long,number:int,exact:float";
    for (format, row) in [("csv", "line 2"), ("parquet", "row 2")] {
        let words = ["--columns", narrow, "--format", format, "--to", "csv", "--output", format];
        let ran = pack(&home, &words);
        ran.check(ran.code == Some(1), "a failure");
        ran.check(ran.stderr.contains(&format!("{row}, column number: 2147483648 is beyond")), row);
        pack(&home, &[&words[..], &["--bad-records", "skip", "--verify"]].concat()).ended_with(0);
        let text = fs::read_to_string(home.path().join(format).join("part-00000")).unwrap();
        assert_eq!(text, "1,7,0.5\n5,,inf\n7,10,\n", "{format}");
    }
    let words = ["--columns", "id:long,number:int,exact:double", "--format", "packed", "--to", "csv"];
    let ran = pack(&home, &[&words[..], &["--output", "packed"]].concat());
    ran.check(
        ran.stderr.contains(", row 2, column number: 2147483648 is beyond"),
        "the row of a packed file",
    );
    let skipped = ["--output", "packed", "--bad-records", "skip", "--verify"];
    pack(&home, &[&words[..], &skipped].concat()).ended_with(0);
    let text = fs::read_to_string(home.path().join("packed/part-00000")).unwrap();
    assert_eq!(text, "1,7,0.5\n4,8,1e+300\n5,,inf\n6,9,-3.5e+38\n7,10,\n");
}

/// Decimals of every physical type that pyarrow and `DuckDB` have for them, as floats of both widths.
#[test]
fn decimals_are_the_floats_that_their_text_is() {
    let home = Home::new();
    let ways = pyarrow("decimals.py", &[home.path().join("data").as_os_str()]);
    let mut seen = 0;
    for line in ways.lines() {
        let (way, values) = line.split_once(' ').unwrap();
        let options = InputOptions {
            data: home.path().join("data").join(way),
            set: "t".into(),
            format: FormatChoice::Parquet,
            ..InputOptions::default()
        };
        let parsed = |text: &str| (text != "None").then(|| text.parse::<f64>().unwrap().to_bits());
        let expected: Vec<_> = values.split(',').map(parsed).collect();
        let doubles = table(ColumnType::Long, ColumnType::Double);
        let (found, _) =
            read_all(&Input::<Exact>::open(&doubles, &options).unwrap(), |row| row.exact.map(f64::to_bits))
                .unwrap();
        assert_eq!(found, expected, "{way} as double");
        let parsed = |text: &str| (text != "None").then(|| text.parse::<f32>().unwrap().to_bits());
        let expected: Vec<_> = values.split(',').map(parsed).collect();
        let floats = table(ColumnType::Int, ColumnType::Float);
        let (found, _) =
            read_all(&Input::<Narrow>::open(&floats, &options).unwrap(), |row| row.exact.map(f32::to_bits))
                .unwrap();
        assert_eq!(found, expected, "{way} as float");
        seen += 1;
    }
    assert_eq!(seen, 9, "{ways}");
}
