//! What was measured here: run reports, and the results that `scripts/bench` keeps.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::{InstancePrice, PriceList, Published, Query, Unit};
use crate::Error;
use crate::generate::Sizes;
use crate::units::median;

/// What a file tells of runs.
#[derive(Debug)]
pub struct Reading {
    /// The runs; at least one.
    pub runs: Vec<Measured>,
    /// What is missing of the file.
    pub warning: Option<String>,
}

/// A query that was run here, once or several times.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Name of the benchmark's query, or of the program.
    pub query: String,
    /// Engine and how it ran.
    pub system: String,
    /// Machines.
    pub nodes: usize,
    /// What one of them costs.
    pub price: InstancePrice,
    /// What `size` counts.
    pub unit: Unit,
    /// Input that was read.
    pub size: u64,
    /// The median of the timed runs; `None` where one of them failed.
    pub seconds: Option<f64>,
    /// What must be known to compare it.
    pub notes: Vec<String>,
}

/// The keys of a run report that matter here.
#[derive(Deserialize)]
struct Report {
    query: String,
    arguments: Value,
    processes: usize,
    workers: usize,
    input: Input,
    seconds: Seconds,
    cost: Option<Cost>,
}

#[derive(Deserialize)]
struct Input {
    rows: u64,
    bytes: u64,
    decompressed_bytes: Option<u64>,
    bad_records: u64,
}

#[derive(Deserialize)]
struct Seconds {
    total: f64,
}

#[derive(Deserialize)]
struct Cost {
    nodes: usize,
    instance: String,
    prices: String,
}

/// One line of results.jsonl.
#[derive(Deserialize)]
struct Round {
    query: String,
    /// Rows of uservisits, whatever tables the query reads.
    rows: u64,
    mode: String,
    /// Results before there were several do not name theirs.
    #[serde(default = "csv")]
    format: String,
    engine: String,
    setting: String,
    timed: bool,
    seconds: Option<f64>,
    failure: Option<String>,
    /// Why the engine cannot do it at all, in which case it was not run.
    #[serde(default)]
    cannot: Option<String>,
    /// Size of the tables that the query reads; results before Query 4 was among them do not say.
    #[serde(default)]
    read_bytes: Option<u64>,
    /// Rows of these tables; the same results do not say.
    #[serde(default)]
    read_rows: Option<u64>,
    memory_bytes: Option<u64>,
    /// Whether nothing of the input was in the page cache, which no result said before there was the choice.
    #[serde(default)]
    cold: bool,
}

fn csv() -> String {
    "csv".to_owned()
}

impl Measured {
    /// Reads a run report, or, where the name ends in `.jsonl`, results of `scripts/bench`. `instance` prices what does not
    /// say what it ran on.
    pub fn read(path: &Path, instance: Option<InstancePrice>) -> Result<Reading, Error> {
        let text = fs::read_to_string(path).map_err(Error::file("read", path))?;
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            return of_rounds(path, &text, instance);
        }
        let report = serde_json::from_str(&text)
            .map_err(|error| Error::Data(format!("{} is no report of a run: {error}", path.display())))?;
        Ok(Reading { runs: vec![of_report(path, report, instance)?], warning: None })
    }
}

fn unpriced(path: &Path) -> Error {
    Error::usage(
        format!("{} does not say what machine it was measured on", path.display()),
        "--instance TYPE, to price it as if it had been that one",
    )
}

fn as_if(instance: &InstancePrice) -> String {
    format!("the file names no type of machine: priced as {}, because --instance says so", instance.instance)
}

fn of_report(path: &Path, report: Report, instance: Option<InstancePrice>) -> Result<Measured, Error> {
    if !report.seconds.total.is_finite() || report.seconds.total <= 0.0 {
        return Err(Error::Data(format!(
            "{} tells a time that no run takes: {} s",
            path.display(),
            report.seconds.total
        )));
    }
    if report.cost.as_ref().is_some_and(|cost| cost.nodes == 0) {
        return Err(Error::Data(format!("{} tells the cost of no machine", path.display())));
    }
    let cached =
        "its report does not tell whether the input was in memory already, as the page cache keeps it";
    let mut notes = vec!["one run, where others give a median".to_owned(), clock(), cached.to_owned()];
    let (nodes, price) = match (&report.cost, instance) {
        (Some(cost), _) => {
            let list = PriceList::all().iter().find(|list| list.date == cost.prices);
            let price = list.and_then(|list| list.price(&cost.instance)).ok_or_else(|| {
                let Cost { instance, prices, .. } = cost;
                Error::Data(format!("{}: there is no price of {prices} for {instance}", path.display()))
            })?;
            (cost.nodes, price)
        }
        (None, _) if report.processes > 1 => {
            return Err(Error::usage(
                format!("{} is of several processes and does not say on how many machines", path.display()),
                "run the query again with --instance TYPE, which counts them",
            ));
        }
        (None, Some(price)) => {
            notes.push(as_if(&price));
            (1, price)
        }
        (None, None) => return Err(unpriced(path)),
    };
    if report.arguments.get("output").is_none_or(Value::is_null) {
        notes.push("held its result in memory, and did not write it to files".to_owned());
    }
    if report.input.bad_records > 0 {
        notes.push("left out records that could not be read".to_owned());
    }
    let query = Published::get().query.iter().find(|query| query.is(&report.query, &report.arguments));
    let unit = query.map_or(Unit::Rows, |query| query.unit);
    let processes = if report.processes > 1 { format!(" -n {}", report.processes) } else { String::new() };
    Ok(Measured {
        system: format!("millrace{processes} -w {}", report.workers),
        nodes,
        price,
        unit,
        size: match unit {
            Unit::Rows => report.input.rows,
            Unit::Bytes => report.input.decompressed_bytes.unwrap_or(report.input.bytes),
        },
        seconds: Some(report.seconds.total),
        query: query.map_or(report.query, |query| query.name.clone()),
        notes,
    })
}

/// What the seconds of Millrace's own runs are.
fn clock() -> String {
    "its clock runs from the start of the program to its answer, connecting included".to_owned()
}

fn of_rounds(path: &Path, text: &str, instance: Option<InstancePrice>) -> Result<Reading, Error> {
    let price = instance.ok_or_else(|| unpriced(path))?;
    let (text, warning) = whole_lines(path, text);
    // In the order of the file, which is that of the harness.
    let mut cases: Vec<(Round, Vec<Option<f64>>)> = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let round: Round = serde_json::from_str(line).map_err(|error| {
            let line = number + 1;
            Error::Data(format!("{}, line {line}, is no result of scripts/bench: {error}", path.display()))
        })?;
        if round.seconds.is_some_and(|seconds| !seconds.is_finite() || seconds <= 0.0) {
            return Err(Error::Data(format!(
                "{}, line {}: no run takes such a time",
                path.display(),
                number + 1
            )));
        }
        let same = |(case, _): &&mut (Round, _)| {
            let key = |round: &Round| {
                let Round { query, rows, mode, format, engine, setting, memory_bytes, cold, .. } = round;
                (*rows, *memory_bytes, *cold, [query, mode, format, engine, setting].map(String::clone))
            };
            key(case) == key(&round)
        };
        // An untimed round only checks the answer, but a wrong answer is a failure of the case.
        let failed = round.failure.is_some();
        let times = if failed {
            vec![None]
        } else if round.timed {
            vec![round.seconds]
        } else {
            Vec::new()
        };
        match cases.iter_mut().find(same) {
            Some((_, known)) => known.extend(times),
            None => cases.push((round, times)),
        }
    }
    // What an engine cannot do costs nothing that could be compared.
    cases.retain(|(case, _)| case.cannot.is_none());
    if cases.is_empty() {
        return Err(Error::Data(format!("{} has no results that could be compared", path.display())));
    }
    let measured = cases.into_iter().map(|(case, times)| of_case(path, case, times, price));
    Ok(Reading { runs: measured.collect::<Result<_, _>>()?, warning })
}

/// The lines of results without the last where a run was cut off in it: each is written whole, with its end, before the next case is run.
fn whole_lines<'a>(path: &Path, text: &'a str) -> (&'a str, Option<String>) {
    let (whole, last) = text.rsplit_once('\n').unwrap_or(("", text));
    if last.is_empty() || serde_json::from_str::<Value>(last).is_ok() {
        return (text, None);
    }
    let warning = format!(
        "{} ends within a line, which is left out: its run was cut off, and nothing vouches for what is missing",
        path.display()
    );
    (whole, Some(warning))
}

fn of_case(
    path: &Path,
    case: Round,
    times: Vec<Option<f64>>,
    price: InstancePrice,
) -> Result<Measured, Error> {
    let known = |query: &&Query| query.name == case.query;
    let cache = if case.cold {
        "its input came from the disk, as nothing of it was in the page cache"
    } else {
        "its input was in memory already, in the page cache"
    };
    let mut notes = vec![as_if(&price), cache.to_owned()];
    match case.engine.as_str() {
        "millrace" => notes.push(clock()),
        _ => notes.push(
            "its clock runs for the statement alone, in a session that has run it before; benchmarks/README.md".into(),
        ),
    }
    match case.mode.as_str() {
        "held" => notes.push("held its result in memory, and did not write it to files".to_owned()),
        "folded" => notes.push("only counted and added up its groups".to_owned()),
        _ => {}
    }
    // Beside packed files, others read what their setting says.
    let reads_own =
        case.format == "csv" || case.setting.ends_with(", parquet") || case.setting.ends_with(", native");
    let format = if reads_own { String::new() } else { format!(" on {}", case.format) };
    let memory = case.memory_bytes.map_or(String::new(), |bytes| format!(", {}", crate::units::Bytes(bytes)));
    let query = Published::get().query.iter().find(known);
    let unit = query.map_or(Unit::Rows, |query| query.unit);
    if query.is_none() && case.read_rows.is_none() {
        notes.push(
            "its rows are those that scripts/bench was told, of TPC-H orders alone, as its results do not say how many all its tables have".into(),
        );
    }
    let size = match unit {
        Unit::Rows => case.read_rows.unwrap_or_else(|| rows_read(&case.query, case.rows)),
        Unit::Bytes => case.read_bytes.ok_or_else(|| {
            Error::Data(format!(
                "{} does not tell how many bytes Query {} read, by which it is compared",
                path.display(),
                case.query
            ))
        })?,
    };
    Ok(Measured {
        system: format!("{} {}{format}, {}{memory}", case.engine, case.setting, case.mode),
        nodes: 1,
        price,
        unit,
        size,
        // A failure in any round is no time.
        seconds: times.into_iter().collect::<Option<Vec<_>>>().and_then(median),
        query: case.query,
        notes,
    })
}

/// Rows that a query of the harness reads, whose tables are those that `generate` makes together.
fn rows_read(query: &str, visits: u64) -> u64 {
    let rankings = Sizes::of_visits(visits).rankings;
    match query.as_bytes().first() {
        Some(b'1') => rankings,
        Some(b'3') => rankings + visits,
        _ => visits,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Once, Query 1 was divided by the rows of uservisits, of which it reads none.
    #[test]
    fn a_query_is_divided_by_the_rows_of_its_own_tables() {
        let rows = ["1A", "2B", "3C"].map(|query| rows_read(query, 10_000_000));
        assert_eq!(rows, [1_200_000, 10_000_000, 11_200_000]);
    }

    /// Once, a query of TPC-H was divided by its orders, though it reads four times as many lines of them.
    #[test]
    fn tables_of_any_query_are_counted_where_results_tell_their_rows() {
        let read = |read_rows: Option<u64>| {
            let round = json!({"query": "tpch_q3", "rows": 1_500_000, "mode": "held", "format": "csv", "engine": "duckdb", "setting": "2 threads",
                               "timed": true, "seconds": 2.0, "failure": null, "read_rows": read_rows, "memory_bytes": null});
            let found = of_rounds(
                Path::new("results.jsonl"),
                &round.to_string(),
                PriceList::newest().price("c7i.xlarge"),
            );
            let [run] = &found.unwrap().runs[..] else { panic!("one case") };
            (run.size, run.notes.iter().any(|note| note.contains("of TPC-H orders alone")))
        };
        assert_eq!(read(Some(7_651_215)), (7_651_215, false));
        assert_eq!(read(None), (1_500_000, true));
    }

    #[test]
    fn formats_are_cases_of_their_own() {
        let round = |format: &str, engine: &str, setting: &str, seconds: f64| {
            json!({"query": "1A", "rows": 10_000_000, "mode": "held", "format": format, "engine": engine, "setting": setting,
                   "timed": true, "seconds": seconds, "failure": null, "memory_bytes": null})
        };
        let rounds = [
            round("csv", "millrace", "-w 2", 3.0),
            round("packed", "millrace", "-w 2", 1.0),
            round("parquet", "millrace", "-w 2", 2.0),
            round("packed", "duckdb", "2 threads, native", 4.0),
        ];
        let mut cold = round("csv", "millrace", "-w 2", 9.0);
        cold["cold"] = json!(true);
        let lines: Vec<_> = rounds.into_iter().chain([cold]).map(|round| round.to_string()).collect();
        let text = lines.join("\n");
        let price = PriceList::newest().price("c7i.xlarge");
        let found = of_rounds(Path::new("results.jsonl"), &text, price).unwrap().runs;
        let from_disk = |run: &Measured| run.notes.iter().any(|note| note.contains("from the disk"));
        assert_eq!(found.iter().map(from_disk).collect::<Vec<_>>(), [false, false, false, false, true]);
        let found: Vec<_> = found.iter().map(|run| (&run.system[..], run.seconds, run.size)).collect();
        assert_eq!(
            found,
            [
                ("millrace -w 2, held", Some(3.0), 1_200_000),
                ("millrace -w 2 on packed, held", Some(1.0), 1_200_000),
                ("millrace -w 2 on parquet, held", Some(2.0), 1_200_000),
                ("duckdb 2 threads, native, held", Some(4.0), 1_200_000),
                ("millrace -w 2, held", Some(9.0), 1_200_000),
            ]
        );
    }

    /// Query 4 is compared by bytes of text, of which rows of visits tell nothing.
    #[test]
    fn the_crawl_is_divided_by_its_bytes_and_what_cannot_be_is_left_out() {
        let round = |engine: &str, cannot: Option<&str>, read_bytes: Option<u64>| {
            json!({"query": "4", "rows": 1_000_000, "mode": "held", "format": "csv", "engine": engine, "setting": "2 threads", "timed": cannot.is_none(),
                   "seconds": cannot.is_none().then_some(2.0), "failure": null, "cannot": cannot, "read_bytes": read_bytes, "memory_bytes": null})
        };
        let read = |rounds: &[Value]| {
            let lines: Vec<_> = rounds.iter().map(Value::to_string).collect();
            of_rounds(Path::new("results.jsonl"), &lines.join("\n"), PriceList::newest().price("c7i.xlarge"))
        };
        let found =
            read(&[round("polars", Some("no such function"), Some(7)), round("duckdb", None, Some(7))]);
        let found: Vec<_> =
            found.unwrap().runs.into_iter().map(|run| (run.system, run.unit, run.size)).collect();
        assert_eq!(found, [("duckdb 2 threads, held".to_owned(), Unit::Bytes, 7)]);
        let error = read(&[round("duckdb", None, None)]).unwrap_err();
        assert!(error.to_string().contains("does not tell how many bytes Query 4 read"), "{error}");
    }

    #[test]
    fn a_median_needs_every_run() {
        let seconds = |rounds: [Option<f64>; 3]| {
            let lines = rounds.map(|seconds| {
                let failure = if seconds.is_none() { Some("out of memory") } else { None };
                json!({"query": "2A", "rows": 10, "mode": "held", "engine": "duckdb", "setting": "2 threads", "timed": true, "seconds": seconds,
                       "failure": failure, "memory_bytes": null}).to_string()
            });
            let price = PriceList::newest().price("c7i.xlarge");
            of_rounds(Path::new("results.jsonl"), &lines.join("\n"), price).unwrap().runs[0].seconds
        };
        assert_eq!(seconds([Some(3.0), Some(1.0), Some(2.0)]), Some(2.0));
        assert_eq!(seconds([Some(3.0), None, Some(2.0)]), None, "a failure is no time");
    }
}
