//! Packed files of a writer that follows the document alone: queries over them, with real processes, and any bytes as one.

use std::fs;
use std::process::Command;

use millrace::tables::{ColumnType, Date, RANKINGS, Table, USERVISITS};
use proptest::prelude::*;

use crate::support::{Home, Random, parse, rows};

#[path = "../../fuzz/packed.rs"]
mod plain;

/// Rows of CSV as a packed file with blocks of so many.
fn pack(table: &Table, rows: &[Vec<Vec<u8>>], block_rows: usize) -> Vec<u8> {
    let ints = |values: Vec<i64>| {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        0_i64.to_le_bytes().into_iter().chain([64]).chain(bytes).collect::<Vec<u8>>()
    };
    let text = |field: &Vec<u8>| String::from_utf8(field.clone()).unwrap();
    let region = |kind: ColumnType, fields: Vec<&Vec<u8>>| match kind {
        ColumnType::Text => {
            let lengths = fields.iter().map(|field| field.len() as i64).collect();
            [ints(lengths), fields.into_iter().flatten().copied().collect()].concat()
        }
        ColumnType::Int => ints(fields.into_iter().map(|field| text(field).parse().unwrap()).collect()),
        ColumnType::Date => {
            ints(fields.into_iter().map(|field| Date::parse(field).unwrap().days().into()).collect())
        }
        ColumnType::Float => {
            fields.into_iter().flat_map(|field| text(field).parse::<f32>().unwrap().to_le_bytes()).collect()
        }
    };
    let block = |rows: &[Vec<Vec<u8>>]| {
        let regions = table.columns.iter().enumerate().map(|(index, column)| {
            plain::Region(0, 0, region(column.kind, rows.iter().map(|row| &row[index]).collect()))
        });
        (rows.len() as u32, regions.collect())
    };
    plain::file(table.columns, &rows.chunks(block_rows).map(block).collect::<Vec<_>>())
}

fn write(home: &Home, table: &Table, files: &[Vec<u8>]) {
    let (csv, packed) = (home.path().join("data/csv/t"), home.path().join("data/packed/t"));
    for (format, directory) in [("csv", csv), ("packed", packed)] {
        let directory = directory.join(table.name);
        fs::create_dir_all(&directory).unwrap();
        for (index, text) in files.iter().enumerate() {
            if format == "csv" {
                fs::write(directory.join(format!("part-{index}")), text).unwrap();
            } else {
                let bytes = pack(table, &parse(text), 1 + 700 * index);
                fs::write(directory.join(format!("part-{index}.mrp")), bytes).unwrap();
            }
        }
    }
}

/// A block lost or read twice, columns that are mixed up, a batch that shows another's bytes.
#[test]
fn queries_answer_the_same_over_packed_files() {
    let home = Home::new();
    write(
        &home,
        &USERVISITS,
        &[rows(1, 20).concat(), Vec::new(), rows(2, 9_000).concat(), rows(3, 6_000).concat()],
    );
    let pages = |count: u64| {
        let mut random = Random(count);
        let row =
            |page| format!("http://page/{page},{},{}\n", random.below(2_000), random.below(99)).into_bytes();
        (0..count).flat_map(row).collect::<Vec<u8>>()
    };
    write(&home, &RANKINGS, &[pages(9), pages(5_000)]);
    let hash = |program: &str, words: &str| {
        let mut command = Command::new(program);
        command.args(["--data", "data", "--set", "t", "--json"]).args(words.split_whitespace());
        let ran = home.runner(command).run();
        let answer = ran.ended_with(0).json();
        (answer["hash"].clone(), answer["rows"].clone())
    };
    for (program, words) in [(env!("CARGO_BIN_EXE_query2"), "-k 8"), (env!("CARGO_BIN_EXE_query1"), "")] {
        let expected = hash(program, &format!("{words} --format csv"));
        for workers in 1..=3 {
            for processes in 1..=2 {
                let words = format!("{words} --format packed -w {workers} -n {processes} --split-size 64KB");
                assert_eq!(hash(program, &words), expected, "{program} {words}");
            }
        }
    }
}

/// The error of a damaged file reaches the user, with the file and what to do.
#[test]
fn a_damaged_file_fails_the_query() {
    let home = Home::new();
    write(&home, &USERVISITS, &[rows(1, 500).concat()]);
    let path = home.path().join("data/packed/t/uservisits/part-0.mrp");
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, &bytes).unwrap();
    home.query("--format packed")
        .run()
        .failed_saying("in column sourceIP, what is there is not what was written");
    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    home.query("--format packed").run().failed_saying("it may be cut off");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// The body of the fuzz target.
    #[test]
    fn any_bytes_are_rows_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        plain::judge_bytes(&bytes);
    }
}
