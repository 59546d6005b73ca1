//! What queries write, in every format, as parts and as one file: read back by our own readers and by pyarrow, and compared with CSV.
//!
//! These tests would catch a row lost or doubled at the edge of a block or where parts are joined, a block whose place is that of
//! its part, rows out of order, a value rounded or cut on its way, and a file that is there before it is whole.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use millrace::formats::parts::{Form, Output};
use millrace::formats::row_writer::RowFormat;
use millrace::input::{Input, InputOptions, Row};
use millrace::tables::{Column, ColumnType, Date, Layout, Table};
use serde::Deserialize;
use serde_json::Value;

use crate::parquet::pyarrow;
use crate::support::{Home, Ran, example, parse, rows};

/// A query, and the columns that it writes as `pack` is told of them.
struct Query {
    words: &'static str,
    columns: &'static str,
}

const QUERIES: [Query; 6] = [
    Query { words: "query1 --threshold 20", columns: "pageURL:text,pageRank:int" },
    Query { words: "query2 -k 12", columns: "prefix:text,revenue:double" },
    Query {
        words: "query3 --to 2010-01-01",
        columns: "sourceIP:text,totalRevenue:double,avgPageRank:double",
    },
    Query { words: "query4", columns: "destPage:text,totalCount:long" },
    Query { words: "query4 --phase1-output", columns: "sourcePage:text,destPage:text,count:long" },
    Query { words: "sort_visits", columns: "adRevenue:float,sourceIP:text,destURL:text" },
];
const FORMATS: [(&str, &str); 4] =
    [("csv", "csv"), ("jsonl", "jsonl"), ("parquet", "parquet"), ("packed", "mrp")];

impl Query {
    /// Runs it on the set that comes with Millrace.
    fn run(&self, home: &Home, output: &str, words: &str) -> Ran {
        let mut own = self.words.split(' ');
        let mut command = match own.next() {
            Some("query1") => Command::new(env!("CARGO_BIN_EXE_query1")),
            Some("query2") => Command::new(env!("CARGO_BIN_EXE_query2")),
            Some("query3") => Command::new(env!("CARGO_BIN_EXE_query3")),
            Some("query4") => Command::new(env!("CARGO_BIN_EXE_query4")),
            _ => Command::new(example("sort_visits")),
        };
        let own: Vec<_> = own.collect();
        command.args(&own);
        if !own.contains(&"--phase1-output") {
            command.arg("--output");
        }
        command.arg(output).args(words.split_whitespace());
        command.args(["--data", concat!(env!("CARGO_MANIFEST_DIR"), "/data")]);
        home.runner(command).run()
    }

    /// The lines of CSV that are in files of a format, in their order.
    fn read(&self, home: &Home, data: &str, format: &str) -> Vec<String> {
        let files = |directory: &Path| {
            let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
            let mut files: Vec<_> =
                entries.filter(|path| path.file_name().is_some_and(|name| name != "_SUCCESS")).collect();
            files.sort();
            files
        };
        let read = |path: &Path| {
            let paths = if path.is_dir() { files(path) } else { vec![path.to_path_buf()] };
            let text: String = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
            text.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        let path = home.path().join(data);
        match format {
            "csv" => read(&path),
            "jsonl" => read(&path).iter().map(|line| self.csv_of_json(line)).collect(),
            _ => {
                let back = home.path().join("back/rows");
                let _ = fs::remove_dir_all(back.parent().unwrap());
                let pattern = if path.is_dir() { format!("{data}/part-*") } else { format!("{data}*") };
                let mut command = Command::new(env!("CARGO_BIN_EXE_pack"));
                command.args(["--table", "rows", "--columns", self.columns, "--data", &pattern]);
                command.args(["--to", "csv", "--verify", "--output", "back/rows"]);
                home.runner(command).run().ended_with(0);
                read(&back)
            }
        }
    }

    /// The CSV of a line of JSON, which must be exactly what that row is to be: numbers are the same text in both.
    fn csv_of_json(&self, line: &str) -> String {
        let row: serde_json::Map<String, Value> = serde_json::from_str(line).expect(line);
        let names: Vec<_> = self.columns.split(',').map(|column| column.split_once(':').unwrap()).collect();
        assert_eq!(row.len(), names.len(), "{line}");
        let mut rest = line;
        let mut fields = Vec::new();
        for (index, (name, kind)) in names.iter().enumerate() {
            let key = format!("{}\"{name}\":", if index == 0 { '{' } else { ',' });
            rest = rest.strip_prefix(&key).expect(line);
            let length = match *kind {
                "text" => serde_json::to_string(&row[*name]).unwrap().len(),
                _ => rest.find([',', '}']).unwrap(),
            };
            let mut field = Vec::new();
            match row[*name].as_str() {
                Some(text) => millrace::formats::write_field(&mut field, text.as_bytes()),
                None => field.extend(rest[..length].bytes()),
            }
            fields.push(String::from_utf8(field).unwrap());
            rest = &rest[length..];
        }
        assert_eq!(rest, "}", "{line}");
        fields.join(",")
    }
}

#[test]
fn every_query_writes_the_same_rows_in_every_format() {
    let home = Home::new();
    for (number, query) in QUERIES.iter().enumerate() {
        query.run(&home, "judge", "-w 1 --output-format csv").ended_with(0);
        let judge = query.read(&home, "judge", "csv");
        assert!(judge.len() > 100, "{}: a judge of nothing", query.words);
        let sorts = query.words == "sort_visits";
        let mut sorted = judge.clone();
        sorted.sort();
        for (index, (format, extension)) in FORMATS.iter().enumerate() {
            // All numbers of workers and processes over all queries and formats.
            let shapes = [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2)];
            for (turn, single) in [false, true].into_iter().enumerate() {
                let (workers, processes) = shapes[(number + index + 2 * turn) % shapes.len()];
                let name = format!("out-{number}.{extension}");
                // By the path's end, or by the flag.
                let (output, flag) = match (index % 2 == turn, single) {
                    (true, _) => (name, String::new()),
                    (false, true) => (name, format!("--output-format {format}")),
                    (false, false) => (format!("out-{number}"), format!("--output-format {format}")),
                };
                let single_file = if single { "--single-file" } else { "" };
                let no_sync = if workers == 2 { "--no-sync" } else { "" };
                let words = format!("-w {workers} -n {processes} {flag} {single_file} {no_sync}");
                let ran = query.run(&home, &output, &words);
                ran.ended_with(0);
                let path = home.path().join(&output);
                ran.check(path.is_file() == single, "one file or a directory");
                if !single {
                    let mut names: Vec<_> = (0..workers * processes)
                        .map(|worker| format!("part-{worker:05}.{extension}"))
                        .collect();
                    names.insert(0, "_SUCCESS".to_owned());
                    assert_eq!(home.listing(&output), names);
                    check_manifest(&path, judge.len());
                }
                ran.check(home.listing(".").iter().all(|name| !name.ends_with(".parts")), "parts are left");
                let mut found = query.read(&home, &output, format);
                if sorts {
                    ran.check(found == judge, "rows in their order");
                } else {
                    found.sort();
                    ran.check(found == sorted, "rows");
                }
                if *format == "parquet" {
                    compare_with_pyarrow(query, &path, &found);
                }
                if single { fs::remove_file(path) } else { fs::remove_dir_all(path) }.unwrap();
            }
        }
        fs::remove_dir_all(home.path().join("judge")).unwrap();
    }
}

/// The manifest tells the rows and sizes of all parts.
fn check_manifest(directory: &Path, rows: usize) {
    let manifest: Value = serde_json::from_slice(&fs::read(directory.join("_SUCCESS")).unwrap()).unwrap();
    assert_eq!(manifest["rows"], rows);
    let mut total = 0;
    for part in manifest["parts"].as_array().unwrap() {
        let bytes = fs::metadata(directory.join(part["name"].as_str().unwrap())).unwrap().len();
        assert_eq!(part["bytes"], bytes);
        total += bytes;
    }
    assert_eq!(manifest["bytes"], total);
}

/// Another program sees the same columns, types and values, row by row.
fn compare_with_pyarrow(query: &Query, path: &Path, found: &[String]) {
    let told = pyarrow("read.py", &[path.as_os_str()]);
    let mut lines = told.lines().map(str::to_owned);
    let types = query.columns.replace("text", "string").replace("double", "float64").replace("long", "int64");
    let types = types.replace(":int,", ":int32,").replace("float,", "float32,");
    let types = types.strip_suffix(":int").map_or(types.clone(), |rest| format!("{rest}:int32"));
    assert_eq!(lines.next().unwrap(), types);
    // Floats by their bits: both programs write them in their own way.
    let bits = |line: &String| {
        let row = parse(format!("{line}\n").as_bytes()).remove(0);
        let field = |(field, column): (Vec<u8>, &str)| {
            let text = String::from_utf8(field).unwrap();
            match column.split_once(':').unwrap().1 {
                "double" => format!("{:016x}", text.parse::<f64>().unwrap().to_bits()),
                "float" => format!("{:016x}", f64::from(text.parse::<f32>().unwrap()).to_bits()),
                _ => text,
            }
        };
        row.into_iter().zip(query.columns.split(',')).map(field).collect::<Vec<_>>().join("\t")
    };
    let mut expected: Vec<_> = found.iter().map(bits).collect();
    let mut lines: Vec<_> = lines.collect();
    if query.words != "sort_visits" {
        expected.sort();
        lines.sort();
    }
    assert!(lines == expected, "pyarrow reads other rows of {}", path.display());
}

/// Every type there is.
const ALL: Table = Table {
    name: "all",
    columns: &[
        Column::new("text", ColumnType::Text),
        Column::new("int", ColumnType::Int),
        Column::new("long", ColumnType::Long),
        Column::new("float", ColumnType::Float),
        Column::new("double", ColumnType::Double),
        Column::new("day", ColumnType::Date),
    ],
    layout: Layout::Delimited(b','),
};

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct All {
    text: String,
    int: i32,
    long: i64,
    float: f32,
    double: f64,
    day: Date,
}

impl Row for All {
    type Of<'a> = All;
}

/// The floats of it, each as wide as the other one.
#[derive(Debug, Deserialize)]
struct Other {
    float: f64,
    double: f32,
}

impl Row for Other {
    type Of<'a> = Other;
}

/// The rows of a table, which has at least so many splits.
fn read_back<R: for<'a> Row<Of<'a> = R>>(data: &Path, splits: usize) -> Vec<R> {
    let options = InputOptions { data: data.to_path_buf(), ..InputOptions::default() };
    let input = Input::<R>::open(&ALL, &options).unwrap().with_sizes(1, 64 << 10);
    assert!(input.splits().len() >= splits, "{} splits", input.splits().len());
    let mut found = Vec::new();
    for split in input.splits() {
        let mut split = input.open_split(split).unwrap();
        while split.next_block(|row| found.push(row)).unwrap().is_some() {}
    }
    found
}

/// So many rows: values that repeat in some blocks and not in others, the ends of every type among them.
fn all(count: i64) -> Vec<All> {
    let row = |index: i64| {
        let mixed = index.wrapping_mul(0x5851_f42d_4c95_7f2d);
        let few = if index < 150_000 { index % 7 } else { mixed >> 24 };
        All {
            text: format!("\"{few},\u{e9}\n"),
            int: if index == 1 { i32::MIN } else { few as i32 },
            long: if index == 2 { i64::MAX } else { few.wrapping_mul(1 << 20) },
            float: if index == 3 { f32::INFINITY } else { few as f32 / 3.0 },
            double: if index == 4 { f64::NEG_INFINITY } else { few as f64 / 3.0 },
            day: Date::from_days((few % 20_000) as i32),
        }
    };
    (0..count).map(row).collect()
}

/// Writes the rows as if by `workers`, each a run of them, and gives the directory of the table.
fn write_all(home: &Path, records: &[All], workers: usize, format: RowFormat, single_file: bool) {
    let form = Form { format, columns: ALL.columns, single_file, synced: true };
    let path =
        if single_file { home.join(format!("all/whole.{}", format.extension())) } else { home.join("all") };
    fs::create_dir_all(home.join("all")).unwrap();
    let output = Output::create(&path, form).unwrap();
    output.begin().unwrap();
    for (worker, own) in records.chunks(records.len().div_ceil(workers)).enumerate() {
        let mut part = output.part(worker).unwrap();
        for All { text, int, long, float, double, day } in own {
            part.row(|row| {
                row.text(text).integer(*int).integer(*long).float(*float).double(*double).date(*day);
            })
            .unwrap();
        }
        assert!(part.held_bytes() < 16 << 20, "{} bytes", part.held_bytes());
        part.finish().unwrap();
    }
    // A worker without rows.
    output.part(workers).unwrap().finish().unwrap();
    let parts = output.commit_parts().unwrap();
    output.commit_manifest(parts, || false).unwrap();
    output.keep();
}

#[test]
fn every_type_and_many_blocks_come_back_from_parts_and_from_one_file() {
    let records = all(280_000);
    for format in [RowFormat::Parquet, RowFormat::Packed] {
        for (workers, single_file) in [(2, true), (2, false)] {
            let home = tempfile::tempdir().unwrap();
            write_all(home.path(), &records, workers, format, single_file);
            let data = home.path().join("all");
            assert_eq!(fs::read_dir(&data).unwrap().count(), if single_file { 1 } else { workers + 2 });
            let found = read_back::<All>(&data, 3);
            assert!(found == records, "{format:?}, {workers} workers, one file: {single_file}");
        }
    }
}

#[test]
fn text_has_every_type_too() {
    let home = tempfile::tempdir().unwrap();
    let records = &all(10)[..6];
    write_all(&home.path().join("json"), records, 2, RowFormat::Jsonl, true);
    let text = fs::read_to_string(home.path().join("json/all/whole.jsonl")).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(
        lines[1],
        "{\"text\":\"\\\"1,\u{e9}\\n\",\"int\":-2147483648,\"long\":1048576,\"float\":0.33333334,\
         \"double\":0.3333333333333333,\"day\":\"1970-01-02\"}"
    );
    assert!(lines[2].contains("\"long\":9223372036854775807,"), "{}", lines[2]);
    assert!(lines[3].contains("\"float\":null,\"double\":1.0,"), "{}", lines[3]);
    assert!(lines[4].contains("\"double\":null,"), "{}", lines[4]);
    write_all(&home.path().join("csv"), records, 3, RowFormat::Csv, true);
    let rows = parse(&fs::read(home.path().join("csv/all/whole.csv")).unwrap());
    let field = |row: usize, field: usize| String::from_utf8(rows[row][field].clone()).unwrap();
    assert_eq!([field(3, 3), field(4, 4)], ["inf", "-inf"]);
    for (row, record) in records.iter().enumerate() {
        assert_eq!(field(row, 0), record.text);
        assert_eq!(field(row, 4).parse::<f64>().unwrap().to_bits(), record.double.to_bits());
    }
    // And as a query reads it, every bit of them.
    fs::rename(home.path().join("csv/all/whole.csv"), home.path().join("csv/all/part-0")).unwrap();
    let data = home.path().join("csv/all");
    assert!(read_back::<All>(&data, 1) == *records);
    for (read, record) in read_back::<Other>(&data, 1).iter().zip(records) {
        assert_eq!((read.float, read.double), (f64::from(record.float), record.double as f32));
    }
    // Once a text that begins with what marks the start of a file lost it there.
    let marked = [All { text: "\u{feff}a".to_owned(), ..all(1).remove(0) }];
    let of_marked = home.path().join("marked");
    write_all(&of_marked, &marked, 1, RowFormat::Csv, true);
    assert!(read_back::<All>(&of_marked.join("all"), 1) == marked);
}

#[test]
fn what_a_format_cannot_hold_is_an_error_with_row_and_column() {
    let says = |format, columns, fields: fn(&mut millrace::formats::row_writer::FieldWriter)| {
        let home = tempfile::tempdir().unwrap();
        let form = Form { format, columns, single_file: false, synced: true };
        let output = Output::create(&home.path().join("out"), form).unwrap();
        let mut part = output.part(0).unwrap();
        let written = part.row(fields).and_then(|()| part.finish());
        written.expect_err("written").to_string()
    };
    let text = const { &[Column::new("t", ColumnType::Text)] };
    let number = const { &[Column::new("n", ColumnType::Int)] };
    let day = const { &[Column::new("d", ColumnType::Date)] };
    for (said, expected) in [
        (says(RowFormat::Jsonl, text, |row| _ = row.text(b"\xff")), "row 1, column t: the text is no UTF-8"),
        (
            says(RowFormat::Parquet, text, |row| _ = row.text(b"\xff")),
            "row 1, column t: the text is no UTF-8",
        ),
        (
            says(RowFormat::Parquet, number, |row| _ = row.integer(1i64 << 40)),
            "row 1, column n: 1099511627776",
        ),
        (
            says(RowFormat::Csv, number, |row| _ = row.integer(u64::MAX)),
            "row 1, column n: the integer does not",
        ),
        (says(RowFormat::Csv, number, |row| _ = row.double(0.5)), "row 1, column n: a field of another type"),
        (says(RowFormat::Csv, number, |_| ()), "row 1, 0 fields for 1 columns"),
        (
            says(RowFormat::Packed, number, |row| _ = row.integer(1).integer(2)),
            "row 1, 1 fields for 1 columns",
        ),
        (says(RowFormat::Jsonl, day, |row| _ = row.date(Date::from_days(i32::MAX))), "the years 0 to 9999"),
    ] {
        assert!(said.contains(expected), "{said}");
    }
}

/// One file is not there before it is whole, and nothing is left of it.
#[test]
fn one_file_appears_whole_or_not_at_all() {
    let home = Home::with(&[("a".into(), rows(1, 9_000).concat())]);
    let alone = |left: &[&str]| {
        let mut expected = vec!["data"];
        expected.extend(left);
        expected.sort_unstable();
        assert_eq!(home.listing("."), expected);
    };
    // Parts fit and the whole does not; or no part does.
    for (blocks, format, line) in [
        (120, "csv", "cannot copy .out.parts/part-0000"),
        (240, "jsonl", "cannot copy .out.parts/part-0000"),
        (8, "csv", "cannot write .out.parts/.part-0000"),
        (8, "parquet", "cannot write .out.parts/.part-0000"),
        (8, "packed", "cannot write .out.parts/.part-0000"),
    ] {
        for words in ["-w 6", "-w 3 -n 2"] {
            let limited = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
            let words =
                format!("{words} --split-size 64K -k 12 --output out --single-file --output-format {format}");
            home.query_in_shell(&limited, &words).run().failed_saying(line).failed_saying("File too large");
            alone(&[]);
        }
    }
    fs::write(home.table().join("b"), "1.2.3.4,http://page/1,1990-01-01,a lot,agent,DEU,DEU-DE,word,1\n")
        .unwrap();
    home.query("-w 1 -n 2 --output out --single-file").run().failed_saying("bad record");
    alone(&[]);
    fs::remove_file(home.table().join("b")).unwrap();

    fs::write(home.path().join("out"), "mine").unwrap();
    let ran = home.query("-w 1 -n 2 --output out --single-file").run();
    ran.failed_saying("the output file out is there already\n  try: another --output, or remove it first");
    assert_eq!(fs::read_to_string(home.path().join("out")).unwrap(), "mine");
    alone(&["out"]);
    fs::remove_file(home.path().join("out")).unwrap();
    home.query("-w 1 -n 2 --output out --single-file --explain").run().ended_with(0);
    alone(&[]);
}

#[test]
fn a_run_that_was_killed_before_its_one_file_leaves_what_the_next_removes() {
    use rustix::process::Signal;
    for processes in [1, 3] {
        let home = Home::with(&[("a".into(), rows(1, 200_000).concat())]);
        let words = format!("-w 1 -n {processes} --split-size 64K --output out --single-file");
        let begun = || home.listing(".out.parts").contains(&".part-00000.csv.tmp".to_owned());
        let running = home.query(&words).start().until(begun);
        // Where the whole is made, a pipe that nobody reads.
        let whole = home.path().join(".out.parts/._SUCCESS.tmp");
        rustix::fs::mkfifoat(rustix::fs::CWD, &whole, rustix::fs::Mode::RWXU).unwrap();
        let named =
            || (0..processes).all(|i| home.listing(".out.parts").contains(&format!("part-{i:05}.csv")));
        let mut running = running.until(named);
        std::thread::sleep(Duration::from_millis(300));
        let pid = running.pid();
        running.signal(pid, Signal::KILL);
        running.end();
        let asked = std::time::Instant::now();
        while !home.processes().is_empty() {
            assert!(asked.elapsed() < Duration::from_secs(10), "an orphan is left behind");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(home.listing("."), [".out.parts", "data"]);
        home.query("-w 2 --output out --single-file").run().ended_with(0);
        assert_eq!(home.listing("."), ["data", "out"]);
    }
}

#[test]
fn flags_that_cannot_be_meant_are_told() {
    let home = Home::with(&[("a".into(), rows(1, 5).concat())]);
    fs::write(home.path().join("hosts"), "10.0.0.1:2101\n10.0.0.2:2101\n").unwrap();
    let secret = home.path().join("secret");
    fs::write(&secret, "0123456789abcdef0123456789abcdef").unwrap();
    fs::set_permissions(secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    for (words, line) in [
        ("--single-file", "--single-file has no rows to write"),
        ("--no-sync", "--no-sync has no rows to write"),
        ("--output-format parquet", "--output-format has no rows to write"),
        ("--output .. --single-file", "--output .. is no name of a file"),
        // It failed when all was over: a file cannot be renamed to a directory.
        ("--output zz/ --single-file", "--output zz/ is no name of a file\n  try: --output zz\n"),
        (
            "--output out --single-file -h hosts -p 0 --secret-file secret",
            "--single-file cannot make one file of parts on several machines",
        ),
    ] {
        let ran = home.query(&format!("-w 1 --connect-timeout 1 {words}")).run();
        ran.ended_with(2).check(ran.stderr.contains(line), line);
    }
}
