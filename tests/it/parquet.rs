//! Parquet: files of pyarrow, DuckDB and Polars, in every codec, page version and encoding they have, read as the same rows as CSV;
//! and damaged ones.
//!
//! They would catch values of a wrong row, lost at the edge of a page or a row group, rounded otherwise than from text, and
//! a panic or an endless allocation made of damaged bytes.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use millrace::Error;
use millrace::input::{FormatChoice, Input, InputOptions, Row};
use millrace::tables::{Date, USERVISITS};
use serde::Deserialize;

use crate::support::{Home, rows};

#[derive(Debug, PartialEq, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Visit {
    #[serde(rename = "sourceIP")]
    source_ip: String,
    #[serde(rename = "destURL")]
    dest_url: String,
    visit_date: Date,
    ad_revenue: f32,
    user_agent: String,
    country_code: String,
    language_code: String,
    search_word: Option<String>,
    duration: Option<i32>,
}

impl Row for Visit {
    type Of<'a> = Visit;
}

/// Dates as text, and of the columns only these.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Day {
    visit_date: String,
    #[serde(rename = "sourceIP")]
    source_ip: String,
}

impl Row for Day {
    type Of<'a> = Day;
}

fn open<R: Row>(data: &Path, format: FormatChoice) -> Result<Input<R>, Error> {
    let data = data.to_path_buf();
    Input::open(&USERVISITS, &InputOptions { data, set: "t".into(), format, ..InputOptions::default() })
}

/// All rows, in the order of the file, in splits of one row group each.
fn read<R: Row>(data: &Path, format: FormatChoice) -> Result<Vec<R>, Error>
where
    R: for<'a> Row<Of<'a> = R>,
{
    let input = open::<R>(data, format)?.with_sizes(1, 64 << 10);
    let mut found = Vec::new();
    for split in input.splits() {
        let mut split = input.open_split(split)?;
        while split.next_block(|row| found.push(row))?.is_some() {}
    }
    Ok(found)
}

/// Runs a script with the interpreter that has the writers, and gives what it prints.
pub(crate) fn pyarrow(script: &str, words: &[&OsStr]) -> String {
    let ran = python(script, words);
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    String::from_utf8(ran.stdout).unwrap()
}

/// The same, however it ends.
pub(crate) fn python(script: &str, words: &[&OsStr]) -> Output {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/parquet_writers");
    let installed = Command::new(here.join("install")).output().expect("the script starts");
    assert!(installed.status.success(), "{}", String::from_utf8_lossy(&installed.stderr));
    let python = String::from_utf8(installed.stdout).unwrap();
    Command::new(python.trim()).arg(here.join(script)).args(words).output().expect("Python starts")
}

/// A home with so many rows as CSV, and the directory of those that others wrote of them.
fn written(count: usize) -> (Home, PathBuf) {
    let home = Home::with(&[("part-0".to_owned(), rows(7, count).concat())]);
    let theirs = home.path().join("theirs");
    pyarrow("write.py", &[home.table().join("part-0").as_os_str(), theirs.as_os_str()]);
    (home, theirs)
}

#[test]
fn files_of_other_programs_have_the_rows_of_csv() {
    let (home, theirs) = written(3_000);
    let expected: Vec<Visit> = read(&home.path().join("data"), FormatChoice::Csv).unwrap();
    let days: Vec<Day> = read(&home.path().join("data"), FormatChoice::Csv).unwrap();
    let mut holes = expected.clone();
    for visit in holes.iter_mut().step_by(3) {
        (visit.search_word, visit.duration) = (None, None);
    }
    let (mut ways, mut wrong) = (0, Vec::new());
    for way in fs::read_dir(&theirs).unwrap().flatten() {
        let name = way.file_name().into_string().unwrap();
        let expected = if name.starts_with("nulls") { &holes } else { &expected };
        match read::<Visit>(&way.path(), FormatChoice::Auto) {
            Ok(found) if found == *expected => {}
            Ok(found) => {
                let row = found.iter().zip(expected).position(|(found, expected)| found != expected);
                wrong.push(format!(
                    "{name}: {} rows, row {row:?} {:?} {:?}",
                    found.len(),
                    row.map(|row| &found[row]),
                    row.map(|row| &expected[row])
                ));
            }
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
        match read::<Day>(&way.path(), FormatChoice::Parquet) {
            Ok(found) if found == days => {}
            other => wrong.push(format!("{name}, days: {:?}", other.err())),
        }
        ways += 1;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(ways > 80, "{ways} ways");
}

/// One byte after the other changed: there is no panic. What has no checksum may read as something else.
#[test]
fn damaged_files_are_errors_not_panics() {
    let (home, theirs) = written(30);
    let expected: Vec<Visit> = read(&home.path().join("data"), FormatChoice::Csv).unwrap();
    let damaged = home.path().join("damaged");
    let place = damaged.join("parquet/t/uservisits");
    fs::create_dir_all(&place).unwrap();
    for way in ["pyarrow-snappy-1.0", "pyarrow-DELTA_BYTE_ARRAY-zstd-2.0", "duckdb-snappy-V1"] {
        let bytes = fs::read(theirs.join(way).join("parquet/t/uservisits/part-0.parquet")).unwrap();
        let mut told = 0;
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= [0xff, 0x01, 0x80][at % 3];
            fs::write(place.join("part-0.parquet"), &changed).unwrap();
            told += usize::from(read::<Visit>(&damaged, FormatChoice::Auto).is_err());
        }
        assert!(told > bytes.len() / 4, "{way}: {told} of {}", bytes.len());
        for end in (0..bytes.len()).step_by(11) {
            fs::write(place.join("part-0.parquet"), &bytes[..end]).unwrap();
            let found = read::<Visit>(&damaged, FormatChoice::Auto);
            assert!(found.is_err(), "{way}, cut at {end}: {:?}", found.map(|found| found == expected));
        }
    }
}
