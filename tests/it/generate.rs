//! Runs `generate` and reads what it wrote.
//!
//! Would catch tables that drift from the published rows, bytes that depend on the number of threads, a committed set
//! that the program no longer makes, and half-made tables after a failure.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

fn generate(data: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_generate"))
        .arg("--data")
        .arg(data)
        .args(arguments)
        .output()
        .expect("the program starts")
}

/// Runs `generate`, which has to succeed, and returns all files by their path under `data`.
fn made(arguments: &[&str]) -> BTreeMap<PathBuf, Vec<u8>> {
    let data = TempDir::new().expect("a temporary directory");
    let output = generate(data.path(), arguments);
    assert!(output.status.success(), "generate {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty(), "no progress bar without a terminal");
    files_below(data.path())
}

fn files_below(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut directories = vec![root.to_path_buf()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("a readable directory") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                directories.push(path);
            } else {
                let bytes = fs::read(&path).expect("a readable file");
                files.insert(path.strip_prefix(root).expect("below the root").to_path_buf(), bytes);
            }
        }
    }
    files
}

fn committed_tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/csv/tiny")
}

/// All lines of one table, file after file.
fn lines<'a>(files: &'a BTreeMap<PathBuf, Vec<u8>>, table: &str) -> Vec<&'a str> {
    files
        .iter()
        .filter(|(path, _)| path.parent().and_then(Path::file_name).is_some_and(|name| name == table))
        .flat_map(|(_, bytes)| str::from_utf8(bytes).expect("ASCII").lines())
        .collect()
}

fn assert_near(what: &str, value: f64, expected: f64, tolerance: f64) {
    assert!((value - expected).abs() <= tolerance, "{what} is {value}, expected {expected} +- {tolerance}");
}

#[test]
fn the_committed_tiny_set_is_what_the_program_makes() {
    let made = made(&["--set", "tiny", "-w", "2"]);
    let mut committed = files_below(&committed_tiny());
    assert!(committed.remove(Path::new("SHA256SUMS")).is_some());
    assert_eq!(made.len(), 30);
    for (path, bytes) in made {
        let path = path.strip_prefix("csv/tiny").expect("the set's directory");
        assert!(
            committed.remove(path).is_some_and(|committed| committed == bytes),
            "{} differs",
            path.display()
        );
    }
    assert!(committed.is_empty(), "files that are not made: {:?}", committed.keys());
}

#[test]
fn the_committed_tiny_set_has_its_checksums_and_stays_small() {
    let mut committed = files_below(&committed_tiny());
    let sums = committed.remove(Path::new("SHA256SUMS")).expect("checksums");
    let sums = String::from_utf8(sums).expect("text");
    assert_eq!(sums.lines().count(), committed.len());
    for line in sums.lines() {
        let (sum, path) = line.split_once("  ").expect("a sum and a path");
        let bytes = &committed[Path::new(path)];
        let found =
            Sha256::digest(bytes).iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        assert_eq!(sum, found, "{path}");
    }
    assert!(committed.values().map(Vec::len).sum::<usize>() < 3_000_000);
}

#[test]
fn all_data_that_is_committed_is_small() {
    // Other sets lie beside it where somebody has made them.
    let data = committed_tiny().parent().and_then(Path::parent).expect("data").to_path_buf();
    let readme = fs::metadata(data.join("README.md")).expect("a file").len() as usize;
    let sets = ["csv/tiny", "csv/examples"].map(|set| files_below(&data.join(set)));
    let bytes = readme + sets.iter().flat_map(BTreeMap::values).map(Vec::len).sum::<usize>();
    assert!(bytes < 3_000_000, "{bytes} bytes");
}

#[test]
fn tiny_begins_with_the_published_rows() {
    let files = files_below(&committed_tiny());
    let rows = str::from_utf8(&files[Path::new("rankings/part-00000")]).expect("ASCII").lines();
    let published = [
        ("nbizrgdziebsaecsecujfjcqtvnpcnxxwiopmddorcxnlijdizgoi", 53, 665, 16),
        ("jakofwkgdcx", 97, 187, 29),
        ("kvhuvcjzcud", 82, 120, 20),
        ("rcajacqehf", 76, 111, 97),
        ("brailztgjg", 51, 107, 54),
        ("oiavraahce", 64, 96, 14),
        ("asesbkwwyb", 34, 89, 51),
        ("sshlgtsaol", 64, 90, 92),
        ("quklyshfdv", 41, 86, 2),
        ("fkxmjzufvk", 62, 64, 38),
    ];
    for (row, (start, length, rank, duration)) in rows.zip(published) {
        let (url, rest) = row.split_once(',').expect("three columns");
        assert_eq!((url.starts_with(start), url.len(), rest), (true, length, &*format!("{rank},{duration}")));
    }
}

#[test]
fn bytes_depend_on_seed_and_files_but_not_on_threads() {
    let arguments =
        ["--rows", "30k", "--rankings", "40k", "--documents", "300", "--name", "set", "--files", "7"];
    let with = |more: &[&str]| made(&[&arguments, more].concat());
    let one = with(&["-w", "1"]);
    assert_eq!(one.len(), 21);
    assert_eq!(lines(&one, "uservisits").len(), 30_000);
    assert_eq!(lines(&one, "rankings").len(), 40_000);
    for workers in ["2", "3"] {
        assert!(one == with(&["-w", workers]), "{workers} threads make other bytes");
    }
    let other = with(&["--seed", "1"]);
    assert!(one.iter().all(|(path, bytes)| other[path] != *bytes));
    assert_eq!(lines(&other, "uservisits").len(), 30_000);
}

#[test]
fn one_table_is_the_same_alone() {
    let all = made(&["--rows", "2k"]);
    let alone = made(&["--rows", "2k", "--table", "uservisits"]);
    assert_eq!(alone.len(), 10);
    assert!(alone.iter().all(|(path, bytes)| all[path] == *bytes));
}

#[test]
fn rankings_hold_every_page_once_by_falling_rank() {
    let files = made(&["--rows", "1", "--rankings", "20k", "--table", "rankings", "--name", "set"]);
    let rows = lines(&files, "rankings");
    let (mut urls, mut lengths, mut durations, mut links) =
        (HashSet::new(), HashMap::new(), HashSet::new(), 0);
    for row in &rows {
        let fields: Vec<&str> = row.split(',').collect();
        let [url, rank, duration] = fields[..] else { panic!("{row} has not three columns") };
        assert!(url.bytes().all(|letter| letter.is_ascii_lowercase()));
        urls.insert(url);
        *lengths.entry(url.len()).or_insert(0) += 1;
        links += rank.parse::<u64>().expect("a rank");
        durations.insert(duration.parse::<u32>().expect("a duration"));
    }
    assert_eq!(urls.len(), 20_000);
    assert_eq!((lengths.keys().min(), lengths.keys().max(), lengths.len()), (Some(&10), Some(&100), 91));
    assert!(lengths.values().all(|count| (140..=300).contains(count)), "lengths are uniform: {lengths:?}");
    assert_eq!((durations.iter().min(), durations.iter().max()), (Some(&1), Some(&99)));
    assert_near("links a page", links as f64 / 20_000.0, 39.52, 0.1);
    for (path, bytes) in files {
        let ranks: Vec<u32> = str::from_utf8(&bytes)
            .expect("ASCII")
            .lines()
            .filter_map(|row| row.split(',').nth(1)?.parse().ok())
            .collect();
        let half = ranks.len() / 2;
        assert!(ranks[..half].iter().sum::<u32>() > ranks[half..].iter().sum::<u32>(), "{}", path.display());
        assert!(ranks[0] > 4 * ranks[half], "{} starts with its highest rank", path.display());
    }
}

#[test]
fn uservisits_have_the_published_shape() {
    const ROWS: usize = 100_000;
    let files = made(&["--rows", "100k", "--seed", "5"]);
    let pages: HashSet<&str> =
        lines(&files, "rankings").into_iter().filter_map(|row| row.split(',').next()).collect();
    let rows = lines(&files, "uservisits");
    assert_eq!((pages.len(), rows.len()), (12_000, ROWS));

    let mut distinct: [HashSet<&str>; 9] = Default::default();
    let mut lengths = [0; 9];
    let (mut revenue_sum, mut exponents, mut duration_sum, mut runs) = (0.0, 0, 0, 0);
    let mut last_url = "";
    for row in &rows {
        let fields: Vec<&str> = row.split(',').collect();
        assert_eq!(fields.len(), 9, "{row}");
        for (column, field) in fields.iter().enumerate() {
            distinct[column].insert(field);
            lengths[column] += field.len();
        }
        let [ip, url, _, revenue, _, country, language, _, duration] = fields[..] else { unreachable!() };
        let octets: Vec<u8> = ip.split('.').map(|octet| octet.parse().expect("a byte")).collect();
        assert_eq!(octets.len(), 4);
        assert!((1..=254).contains(&octets[0]) && octets[1] < 255 && octets[2] < 255, "{ip}");
        assert!((1..=254).contains(&octets[3]), "{ip}");
        assert!(pages.contains(url), "{url} is no page");
        runs += usize::from(url != last_url);
        last_url = url;
        let value: f32 = revenue.parse().expect("a float");
        assert!((0.0..1.0).contains(&value) && (value * 16_777_216.0).fract() == 0.0, "{revenue}");
        assert!(revenue.as_bytes()[1] == b'.' && revenue.contains('E') == (value < 1e-3 && value > 0.0));
        exponents += usize::from(revenue.contains('E'));
        revenue_sum += f64::from(value);
        assert_eq!((country.len(), language.len()), (3, 6));
        assert!(language.starts_with(country), "{language}");
        duration_sum += duration.parse::<usize>().expect("a duration");
    }
    let rows = ROWS as f64;
    let [_, urls, dates, _, agents, _, _, words, durations] = distinct;
    assert_eq!(runs, urls.len(), "the visits to a page stand together");
    // 8.33 visits a page: e^-8.33 of the pages have none.
    assert_near("visited pages", urls.len() as f64, 12_000.0 * (1.0 - (-rows / 12_000.0).exp()), 9.0);
    assert_eq!((agents.len(), words.len(), durations.len()), (2_000, 1_000, 10));
    assert_eq!((dates.iter().min(), dates.iter().max()), (Some(&"1970-01-01"), Some(&"2012-04-30")));
    assert_near("distinct dates", dates.len() as f64, 15_461.0 * (1.0 - (-rows / 15_461.0).exp()), 25.0);
    assert_near("mean revenue", revenue_sum / rows, 0.5, 0.005);
    assert_near("revenues below a thousandth", exponents as f64, rows / 1_000.0, 45.0);
    assert_near("mean duration", duration_sum as f64 / rows, 5.5, 0.05);
    for (column, mean) in [(0, 13.29), (1, 55.0), (3, 9.63), (4, 53.5), (7, 8.5)] {
        assert_near("mean length", lengths[column] as f64 / rows, mean, if column == 1 { 0.8 } else { 0.06 });
    }
    let row_bytes = lengths.iter().sum::<usize>() as f64 / rows + 9.0;
    assert_near("mean row", row_bytes, 168.96, 0.9);
}

#[test]
fn documents_have_headers_of_five_fields_and_links_to_pages() {
    let files = files_below(&committed_tiny());
    let text = lines(&files, "documents");
    let is_header = |line: &&&str| line.starts_with("http") && line.split(' ').count() == 5;
    let pages: HashSet<&str> =
        text.iter().filter(is_header).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(pages.len(), 120);
    let links: Vec<&str> = text
        .iter()
        .filter(|line| !is_header(line))
        .flat_map(|line| line.split(' '))
        .filter_map(|word| word.find("http").map(|start| &word[start..]))
        .collect();
    assert_near("links a page", links.len() as f64 / 120.0, 40.0, 2.0);
    let known = links.iter().filter(|link| pages.contains(**link)).count();
    assert!(known * 2 > links.len(), "most links are plain addresses of pages: {known} of {}", links.len());
    assert!(links.iter().any(|link| link.starts_with("https://")));
    assert!(links.iter().any(|link| link.ends_with("</a>")));
}

#[test]
fn empty_sizes_make_empty_files() {
    let files = made(&["--rows", "0", "--files", "3"]);
    assert_eq!(files.len(), 9);
    assert!(files.values().all(Vec::is_empty));
}

#[test]
fn the_summary_says_what_was_made() {
    let data = TempDir::new().expect("a temporary directory");
    let output = generate(data.path(), &["--rows", "1k", "--table", "uservisits", "--files", "2"]);
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.starts_with("uservisits: 1,000 rows, 174 kB in 2 files, "), "{text}");
    assert!(text.ends_with("B/s\n"), "{text}");
}

#[test]
fn wrong_arguments_are_usage_errors() {
    let data = TempDir::new().expect("a temporary directory");
    for (arguments, said) in [
        (&[][..], "<--set <SET>|--rows <N>>"),
        (&["--set", "2nodes"], "[possible values: tiny, 1node, 5nodes]"),
        (&["--set", "tiny", "--rows", "10"], "cannot be used with"),
        (&["--set", "tiny", "--rankings", "10"], "cannot be used with"),
        (&["--rows", "ten"], "a whole number of rows is wanted, such as 2500, 40k, 10M or 1G"),
        (&["--rows", "10", "--files", "0"], "0 is not in 1..=100000"),
        (&["--rows", "10", "-w", "0"], "number would be zero"),
        (&["--rows", "10", "--table", "visits"], "[possible values: rankings, uservisits, documents]"),
        (&["--rows", "10", "--format", "tsv"], "[possible values: csv, parquet, packed]"),
        (&["--rows", "10", "--rankings", "0"], "visits need pages to go to\n  try: --rankings 1 or more"),
        (&["--rows", "10", "--name", "a/b"], "`a/b` is no name for a set"),
        (&["--rows", "10", "--name", ".."], "`..` is no name for a set"),
        (&["--rows", "10", "--rankings", "5G"], "page numbers have 32 bits here"),
    ] {
        let output = generate(data.path(), arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
    assert!(files_below(data.path()).is_empty());
}

#[test]
fn tables_that_exist_are_replaced_only_on_demand() {
    let data = TempDir::new().expect("a temporary directory");
    let arguments = ["--rows", "100", "--name", "set", "--table", "rankings"];
    assert!(generate(data.path(), &arguments).status.success());
    let before = files_below(data.path());

    let output = generate(data.path(), &[&arguments[..], &["--seed", "1"]].concat());
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("csv/set/rankings already holds data\n  try: --overwrite"), "{text}");
    assert!(files_below(data.path()) == before);

    let replace = ["--seed", "1", "--files", "4", "--overwrite"];
    let own = data.path().join("csv/set/rankings/notes.txt");
    std::fs::write(&own, "").unwrap();
    let output = generate(data.path(), &[&arguments[..], &replace].concat());
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("csv/set/rankings holds notes.txt, which is no part of a table"), "{text}");
    std::fs::remove_file(own).unwrap();
    assert!(generate(data.path(), &[&arguments[..], &replace].concat()).status.success());
    let after = files_below(data.path());
    assert_eq!(after.len(), 4, "only the new files: {:?}", after.keys());
    assert!(after.iter().all(|(path, bytes)| before[path] != *bytes));
}

#[test]
fn a_directory_that_cannot_be_made_is_an_error_with_its_name() {
    let data = TempDir::new().expect("a temporary directory");
    let file = data.path().join("file");
    fs::write(&file, "no directory").expect("a writable directory");
    let output = generate(&file, &["--rows", "10"]);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.starts_with("error: cannot ") && text.contains("file/csv/10"), "{text}");
}

#[cfg(unix)]
#[test]
fn an_interrupt_leaves_nothing() {
    let data = TempDir::new().expect("a temporary directory");
    let arguments =
        ["--rows", "1G", "--rankings", "50k", "--table", "uservisits", "--files", "10", "-w", "2"];
    let process = Command::new(env!("CARGO_BIN_EXE_generate"))
        .arg("--data")
        .arg(data.path())
        .args(arguments)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let deadline = Instant::now() + Duration::from_mins(1);
    while !data.path().join("csv/1G").exists() {
        assert!(Instant::now() < deadline, "nothing was begun");
        std::thread::sleep(Duration::from_millis(5));
    }
    let id = rustix::process::Pid::from_child(&process);
    rustix::process::kill_process(id, rustix::process::Signal::INT).expect("a running process");
    let output = process.wait_with_output().expect("the program ends");
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text, "error: stopped by Ctrl-C; no answer was given and no output was written\n");
    assert!(!data.path().join("csv/1G").exists());
}
