//! How fast one thread reads uservisits from CSV, Parquet and packed files, in nanoseconds a row, page cache warm.
//!
//! `cargo bench --bench scan` makes a gigabyte of text in a temporary directory, both column formats of it, and a gigabyte in
//! which every text is quoted. It checks every answer against the generator, and prints the best of five runs for: reading
//! only, finding rows and fields, and what Query 2 needs of them. `-- BYTES` changes the size.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use millrace::formats::writer::OutputFormat;
use millrace::generate::Stop;
use millrace::input::{FormatChoice, Input, InputOptions, Row};
use millrace::pack;
use millrace::tables::USERVISITS;

#[derive(serde::Deserialize)]
struct Nothing {}

impl Row for Nothing {
    type Of<'a> = Nothing;
}

#[derive(serde::Deserialize)]
struct Fields<'a> {
    #[serde(rename = "sourceIP")]
    source_ip: &'a [u8],
    #[serde(rename = "countryCode")]
    country_code: &'a [u8],
}

impl Row for Fields<'_> {
    type Of<'a> = Fields<'a>;
}

#[derive(serde::Deserialize)]
struct Visit<'a> {
    #[serde(rename = "sourceIP")]
    source_ip: &'a [u8],
    #[serde(rename = "adRevenue")]
    ad_revenue: f32,
}

impl Row for Visit<'_> {
    type Of<'a> = Visit<'a>;
}

/// What the generator wrote.
#[derive(Default)]
struct Truth {
    rows: u64,
    address_bytes: u64,
    revenue: f64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let bytes = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(1 << 30);
    let data = tempfile::tempdir()?;
    let path_of = |set: &str| data.path().join("csv").join(set).join("uservisits/part-00000");
    let path = path_of("plain");
    let truth = generate(&path, bytes, "")?;
    let quoted = generate(&path_of("quoted"), bytes, "\"")?;

    let options = |set: &str, format| InputOptions {
        data: data.path().to_path_buf(),
        set: set.to_owned(),
        format,
        peers: 2,
        ..InputOptions::default()
    };
    for to in [OutputFormat::Parquet, OutputFormat::Packed] {
        let input = options("plain", FormatChoice::Csv);
        let job = pack::Job {
            table: USERVISITS,
            target: pack::default_target(&input, &USERVISITS, to)?,
            input,
            to,
            file_bytes: 256_000_000,
            threads: std::thread::available_parallelism()?.get(),
            verify: false,
            overwrite: false,
        };
        pack::run(&job, &ProgressBar::hidden(), &Stop::default())?;
    }
    let file = File::open(&path)?;
    let size = file.metadata()?.len();
    println!("{} rows of {:.1} bytes; ns a row, best of five", truth.rows, size as f64 / truth.rows as f64);
    let mut buffer = vec![0; 256 << 10];
    best("read only, blocks of 256 KiB", &truth, || {
        let mut offset = 0;
        while offset < size {
            offset += file.read_at(&mut buffer, offset)? as u64;
        }
        Ok(())
    })?;
    for (name, format) in
        [("csv", FormatChoice::Csv), ("parquet", FormatChoice::Parquet), ("packed", FormatChoice::Packed)]
    {
        measure(name, &options("plain", format), &truth)?;
    }
    measure("quoted csv", &options("quoted", FormatChoice::Csv), &quoted)
}

/// One thread over all splits of a format.
fn measure(name: &str, options: &InputOptions, truth: &Truth) -> Outcome<()> {
    let rows = truth.rows;
    best(&format!("{name}: rows"), truth, || {
        scan::<Nothing>(options, |_| 1).map(|found| assert_eq!(found, rows))
    })?;
    best(&format!("{name}: two fields found"), truth, || {
        let found =
            scan::<Fields>(options, |visit| (visit.source_ip.len() + visit.country_code.len()) as u64)?;
        assert_eq!(found, truth.address_bytes + 3 * rows);
        Ok(())
    })?;
    best(&format!("{name}: &[u8] and f32"), truth, || {
        let mut revenue = 0.0;
        let found = scan::<Visit>(options, |visit| {
            revenue += f64::from(visit.ad_revenue);
            visit.source_ip.len() as u64
        })?;
        // Exact, and so the same in any order of rows.
        assert_eq!((found, revenue.to_bits()), (truth.address_bytes, truth.revenue.to_bits()));
        Ok(())
    })
}

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn scan<R: Row>(options: &InputOptions, mut weigh: impl FnMut(R::Of<'_>) -> u64) -> Outcome<u64> {
    let input = Input::<R>::open(&USERVISITS, options)?;
    let mut total = 0;
    for split in input.splits() {
        let mut reader = input.open_split(split)?;
        while reader.next_block(|row| total += weigh(row))?.is_some() {}
    }
    Ok(total)
}

fn best(what: &str, truth: &Truth, mut run: impl FnMut() -> Outcome<()>) -> Outcome<()> {
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let start = Instant::now();
        run()?;
        best = best.min(start.elapsed());
    }
    println!("{what:>30}  {:6.1}", best.as_secs_f64() * 1e9 / truth.rows as f64);
    Ok(())
}

/// Writes rows whose texts stand between `quote`s, or between nothing.
fn generate(path: &std::path::Path, bytes: u64, quote: &str) -> Outcome<Truth> {
    std::fs::create_dir_all(path.parent().ok_or("a file in no directory")?)?;
    // A text needs its quotes where there is a comma in it.
    let comma = if quote.is_empty() { "" } else { ", " };
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut state = 1_u64;
    let mut below = |limit: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % limit
    };
    let mut truth = Truth::default();
    let mut written = 0;
    let letters: String = (0..200).map(|_| char::from(b'a' + below(26) as u8)).collect();
    while written < bytes {
        let address = format!("{}.{}.{}.{}", 1 + below(254), below(255), below(255), 1 + below(254));
        let revenue = below(1 << 24) as f32 / 16_777_216.0;
        let line = format!(
            "{quote}{address}{quote},{quote}{}{quote},{}-{:02}-{:02},{revenue},{quote}{}{comma}{}{quote},\
             {quote}USA{quote},{quote}USA-EN{quote},{quote}{}{quote},{}\n",
            &letters[..10 + below(91) as usize],
            1970 + below(42),
            1 + below(12),
            1 + below(28),
            &letters[..20 + below(33) as usize],
            &letters[..20 + below(34) as usize],
            &letters[..4 + below(10) as usize],
            1 + below(10)
        );
        out.write_all(line.as_bytes())?;
        written += line.len() as u64;
        truth.rows += 1;
        truth.address_bytes += address.len() as u64;
        truth.revenue += f64::from(revenue);
    }
    out.flush()?;
    Ok(truth)
}
