//! Query 3 as a loop: all of rankings as text in memory, a table that borrows its keys from it, and one pass over the visits.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs;

use clap::Parser;
use memchr::memchr_iter;
use millrace::Error;
use millrace::cli::JobArguments;
use millrace::keys::{PlaceHasher, Prefix};
use millrace::report::AnswerHash;
use millrace::tables::{Date, RANKINGS, USERVISITS};

use super::{files, lines, page, parse, read, unmarked, unreadable};

/// Bytes of an address that lies in the table itself, as every IPv4 address does.
const ADDRESS: usize = 16;

/// The flags of query3, of which those that shape the answer count.
#[derive(Parser)]
struct Query3 {
    #[arg(long, default_value = "1980-01-01", value_parser = day)]
    from: String,
    #[arg(long, default_value = "1980-04-01", value_parser = day)]
    to: String,
    #[arg(long)]
    inclusive: bool,
    #[arg(long)]
    top: Option<usize>,
    #[arg(long)]
    join: Option<String>,
    #[arg(long)]
    build: Option<String>,
    #[command(flatten)]
    job: JobArguments,
}

impl Query3 {
    /// Days are compared as they are written, which has the same order.
    fn is_within(&self, day: &[u8]) -> bool {
        let (from, to) = (self.from.as_bytes(), self.to.as_bytes());
        if self.inclusive { from <= day && day <= to } else { from < day && day < to }
    }
}

fn day(text: &str) -> Result<String, &'static str> {
    Date::parse(text.as_bytes())
        .map(|_| text.to_owned())
        .ok_or("not a day of the calendar, written as 1980-01-31")
}

/// The rows of rankings that name one page, which is one unless the data is odd.
#[derive(Default)]
struct Page {
    rows: u32,
    ranks: i64,
}

/// The visits of an address, each as often as rankings names its page.
#[derive(Default)]
struct Group {
    revenue: f64,
    ranks: i64,
    visits: u64,
}

type Pages<'a> = HashMap<&'a [u8], Page, PlaceHasher>;

/// The groups of addresses that lie in the table, and of longer ones.
#[derive(Default)]
struct Groups {
    short: HashMap<Prefix<ADDRESS>, Group, PlaceHasher>,
    long: HashMap<Vec<u8>, Group, PlaceHasher>,
}

impl Groups {
    #[inline]
    fn of(&mut self, address: &[u8]) -> &mut Group {
        match Prefix::whole(address) {
            Some(short) => self.short.entry(short).or_default(),
            None => self.of_long(address),
        }
    }

    #[cold]
    fn of_long(&mut self, address: &[u8]) -> &mut Group {
        self.long.entry(address.to_vec()).or_default()
    }

    fn iter(&self) -> impl Iterator<Item = (&[u8], &Group)> {
        let short = self.short.iter().map(|(address, group)| (address.as_bytes(), group));
        short.chain(self.long.iter().map(|(address, group)| (&address[..], group)))
    }
}

pub(super) fn run(arguments: &[OsString]) -> Result<(AnswerHash, u64), Error> {
    let options: Query3 = parse("query3", "--from, --to, --inclusive, --join, --build", arguments)?;
    let mut rankings = Vec::new();
    for path in files(&options.job, "query3", &RANKINGS)? {
        let text = fs::read(&path).map_err(Error::file("read", &path))?;
        rankings.push((path, text));
    }
    let (mut pages, mut rows) = (Pages::default(), 0);
    for (path, text) in &rankings {
        add_pages(unmarked(text), &mut pages, &mut rows).ok_or_else(|| unreadable(path))?;
    }
    let mut groups = Groups::default();
    for path in files(&options.job, "query3", &USERVISITS)? {
        read(&path, |text| add_visits(text, &options, &pages, &mut groups, &mut rows))?;
    }
    let mut hash = AnswerHash::default();
    for (address, Group { revenue, ranks, visits }) in groups.iter() {
        let rank = *ranks as f64 / *visits as f64;
        hash.add(&[address, &revenue.to_le_bytes(), &rank.to_le_bytes()]);
    }
    Ok((hash, rows))
}

/// Adds a file of rankings to the table of pages.
fn add_pages<'a>(text: &'a [u8], pages: &mut Pages<'a>, rows: &mut u64) -> Option<()> {
    lines(text, |line| {
        let (url, rank) = page(line)?;
        let page = pages.entry(url).or_default();
        page.rows += 1;
        page.ranks += i64::from(rank);
        *rows += 1;
        Some(())
    })
}

/// Adds the visits of `text` that are within the time to the groups. Fields, pages and groups are a loop each, so that the processor
/// waits for several rows at once where a table is not in its caches.
fn add_visits(
    text: &[u8],
    options: &Query3,
    pages: &Pages<'_>,
    groups: &mut Groups,
    rows: &mut u64,
) -> Option<()> {
    let mut visits = Vec::new();
    lines(text, |line| {
        let mut commas = memchr_iter(b',', line);
        let (first, second, third) = (commas.next()?, commas.next()?, commas.next()?);
        if options.is_within(&line[second + 1..third]) {
            let revenue: f32 = str::from_utf8(&line[third + 1..commas.next()?]).ok()?.parse().ok()?;
            visits.push((&line[first + 1..second], &line[..first], revenue));
        }
        *rows += 1;
        Some(())
    })?;
    let ranked: Vec<_> = (visits.into_iter())
        .filter_map(|(url, address, revenue)| pages.get(url).map(|page| (address, revenue, page)))
        .collect();
    for (address, revenue, page) in ranked {
        let group = groups.of(address);
        // f32 in f64: exact, as in the query.
        group.revenue += f64::from(revenue) * f64::from(page.rows);
        group.ranks += page.ranks;
        group.visits += u64::from(page.rows);
    }
    Some(())
}
