//! Parquet that `pack` and `generate` write, read by pyarrow, DuckDB and Polars, and compared with the text it was made of.
//!
//! These tests would catch a page, a level, a dictionary or a footer that only our own reader understands, a checksum that is not
//! the standard's, and statistics for which other programs pass over rows that are wanted.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::parquet::{pyarrow, python};
use crate::support::{Home, rows};

const VISITS: &str = "sourceIP:text,destURL:text,visitDate:date,adRevenue:float,userAgent:text,countryCode:text,languageCode:text,\
                      searchWord:text,duration:int";
const ALL_TYPES: &str = "name:text,number:int,share:float,day:date,wide:long,exact:double";

/// What the readers say of Parquet in `parquet`, which was made of `text`.
fn compare(text: &Path, parquet: &Path, columns: &str) -> Output {
    python("compare.py", &[text.as_os_str(), parquet.as_os_str(), columns.as_ref()])
}

#[track_caller]
fn are_the_same(text: &Path, parquet: &Path, columns: &str, rows: usize) {
    let ran = compare(text, parquet, columns);
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{}: {}", parquet.display(), String::from_utf8_lossy(&ran.stderr));
    assert!(said.starts_with(&format!("{rows} rows in ")), "{said}");
}

/// Writes text as a table of its own and packs it to Parquet, in files of about so many bytes; the names of both directories.
fn packed(home: &Home, name: &str, columns: &str, text: &[u8], file_size: &str) -> [PathBuf; 2] {
    let directory = home.path().join("data/csv/t").join(name);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("part-0"), text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
    command.args(["--data", "data", "--set", "t", "--table", name, "--columns", columns]);
    command.args(["--to", "parquet", "--file-size", file_size, "-w", "2"]);
    home.runner(command).run().ended_with(0);
    [directory, home.path().join("data/parquet/t").join(name)]
}

#[test]
fn other_programs_read_what_pack_writes() {
    let home = Home::new();
    let long = "x".repeat(400_000);
    let extremes = [
        "plain,0,0.0,1970-01-01,0,0.0",
        "\"with, comma\",-2147483648,3.4028235e+38,0001-01-01,-9223372036854775808,1.7976931348623157e+308",
        "\"with \"\"quotes\"\" and\nnewline\",2147483647,1e-45,9999-12-31,9223372036854775807,5e-324",
        ",,,,,",
        "größte 🦀,-1,-0.0,2000-02-29,-1,-0.0",
        "\"ends in return\r\",7,-3.4028235e+38,1969-12-31,7,-1.7976931348623157e+308",
        "a,1,inf,1970-01-01,1,inf",
        "b,2,-inf,1582-10-04,2,-inf",
        &format!("{long},3,0.1,1900-03-01,3,0.1"),
    ];
    let not_a_number = "c,3,NaN,1970-01-01,3,NaN";
    let one_value = "same,-7,-0.5,1969-07-20,-7,0.1";
    // Dictionaries and plain pages, nulls in runs and alone.
    let many = |count: i64| {
        let row = |row: i64| {
            let mixed = row.wrapping_mul(0x5851_f42d_4c95_7f2d) >> 20;
            let number =
                if row % 1000 < 300 || row % 7 == 3 { String::new() } else { (mixed % 900).to_string() };
            let exact = if row < 7_000 { String::new() } else { format!("{}", mixed as f64 / 1024.0) };
            let day = millrace::tables::Date::from_days((row / 40) as i32 - 2_000);
            format!("{},{number},{},{day},{mixed},{exact}", mixed % 77, (row % 256) as f32 / 16.0)
        };
        (0..count).map(row).collect::<Vec<_>>()
    };
    let many = many(20_000);
    let repeated = vec![one_value; 3_000];
    let with_nan: Vec<_> = extremes.into_iter().chain([not_a_number]).collect();
    let cases: [(&str, Vec<&str>); 7] = [
        ("extremes", extremes.into()),
        ("not_a_number", with_nan),
        ("no_rows", vec![]),
        ("one_row", vec![one_value]),
        ("nothing", vec![",,,,,"; 100]),
        ("one_value", repeated),
        ("many", many.iter().map(String::as_str).collect()),
    ];
    for (name, lines) in cases {
        let text: String = lines.iter().flat_map(|line| [*line, "\n"]).collect();
        let [text, parquet] = packed(&home, name, ALL_TYPES, text.as_bytes(), "100MB");
        are_the_same(&text, &parquet, ALL_TYPES, lines.len());
    }
    let [text, parquet] = packed(&home, "visits", VISITS, &rows(5, 4_000).concat(), "30KB");
    assert!(fs::read_dir(&parquet).unwrap().count() > 3, "files with statistics of their own");
    are_the_same(&text, &parquet, VISITS, 4_000);
}

#[test]
fn other_programs_read_several_row_groups() {
    let home = Home::new();
    let columns = "number:int,wide:long";
    // A dictionary in the first row group, and in the second another one or none.
    let row = |row: i64| format!("{},{}\n", if row < 131_072 { row % 5 } else { row }, -row / 16);
    let [text, parquet] =
        packed(&home, "numbers", columns, (0..150_000).map(row).collect::<String>().as_bytes(), "100MB");
    assert_eq!(home.listing("data/parquet/t/numbers"), ["part-00000.parquet"]);
    are_the_same(&text, &parquet, columns, 150_000);
}

#[test]
fn other_programs_read_what_generate_writes() {
    let home = Home::new();
    for format in ["csv", "parquet"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_generate"));
        command.args(["--rows", "2000", "--rankings", "700", "--table", "uservisits", "--table", "rankings"]);
        home.runner({
            command.args(["--data", "made", "--format", format]);
            command
        })
        .run()
        .ended_with(0);
    }
    let made = |format: &str, table: &str| home.path().join("made").join(format).join("2k").join(table);
    for (table, columns, rows) in
        [("uservisits", VISITS, 2_000), ("rankings", "pageURL:text,pageRank:int,avgDuration:int", 700)]
    {
        are_the_same(&made("csv", table), &made("parquet", table), columns, rows);
    }
}

/// Once such a file was refused: it had the checksum of our footer, which pyarrow had copied with all else it knew of it.
#[test]
fn a_file_that_pyarrow_made_of_ours_is_read() {
    let home = Home::new();
    let columns = "number:int,name:text";
    let [text, parquet] = packed(&home, "numbers", columns, b"1,one\n,\n3,three\n", "1MB");
    let again = home.path().join("again");
    fs::create_dir(&again).unwrap();
    let file = "part-00000.parquet";
    pyarrow("rewrite.py", &[parquet.join(file).as_os_str(), again.join(file).as_os_str()]);
    let rewritten = fs::read(again.join(file)).unwrap();
    let copied = rewritten.windows(14).any(|bytes| bytes == b"millrace.crc32");
    assert!(copied, "pyarrow copies no checksum any more: this test tests nothing");
    are_the_same(&text, &again, columns, 3);
    let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
    command.args(["--data", "again/part-*", "--table", "numbers", "--columns", columns]);
    command.args(["--to", "csv", "--output", "back"]);
    home.runner(command).run().ended_with(0);
    assert_eq!(fs::read_to_string(home.path().join("back/part-00000")).unwrap(), "1,one\n,\n3,three\n");
}

/// The readers do check what these tests believe them to check.
#[test]
fn other_programs_find_a_changed_byte_and_another_value() {
    let home = Home::new();
    let lines: Vec<_> = (0..200_i64).map(|row| format!("{},{}\n", row * row, row * 977 % 1000)).collect();
    let lines = lines.concat();
    let columns = "number:int,other:int";
    let [text, parquet] = packed(&home, "numbers", columns, lines.as_bytes(), "1MB");
    are_the_same(&text, &parquet, columns, 200);
    fs::write(text.join("part-0"), lines.replacen("100,770\n", "101,770\n", 1)).unwrap();
    let said = compare(&text, &parquet, columns).stderr;
    let said = String::from_utf8_lossy(&said);
    assert!(said.starts_with("pyarrow: row 11, column number: 100, not 101"), "{said}");
    fs::write(text.join("part-0"), lines).unwrap();
    let file = parquet.join("part-00000.parquet");
    let mut bytes = fs::read(&file).unwrap();
    // In the values of the first page, behind its header.
    bytes[300] ^= 1;
    fs::write(&file, bytes).unwrap();
    let said = compare(&text, &parquet, columns).stderr;
    let said = String::from_utf8_lossy(&said);
    assert!(said.starts_with("pyarrow: ") && said.contains("CRC checksum verification failed"), "{said}");
}
