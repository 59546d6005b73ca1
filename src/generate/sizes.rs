//! How large a set is: the published ones, and any other.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use clap::ValueEnum;

use crate::tables::{DOCUMENTS, RANKINGS, Table, USERVISITS};

/// A table the generator makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableName {
    /// Pages and their rank.
    Rankings,
    /// Visits to those pages.
    Uservisits,
    /// Pages of a crawl.
    Documents,
}

impl TableName {
    /// Every table, in the order they are made.
    pub const ALL: [TableName; 3] = [TableName::Rankings, TableName::Uservisits, TableName::Documents];

    /// Name, directory and columns.
    pub fn table(self) -> Table {
        match self {
            TableName::Rankings => RANKINGS,
            TableName::Uservisits => USERVISITS,
            TableName::Documents => DOCUMENTS,
        }
    }

    /// Mean bytes of a row; of a page where the table is `documents`.
    fn mean_row_bytes(self) -> u64 {
        match self {
            TableName::Rankings => 71,
            TableName::Uservisits => 169,
            TableName::Documents => 9_300,
        }
    }
}

/// A set of the Big Data Benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PublishedSet {
    /// 1,200 rankings, 10,000 uservisits, 120 document pages: 2.9 MB
    Tiny,
    /// 18 M rankings, 155 M uservisits, 3.11 M document pages: 57 GB
    #[value(name = "1node")]
    OneNode,
    /// 90 M rankings, 752.4 M uservisits, 14.7 M document pages: 271 GB
    #[value(name = "5nodes")]
    FiveNodes,
}

/// What to type for a set of this name and format in a directory of data; none where `table` is not among those that are made.
pub(crate) fn command(table: &Table, data: &Path, set: &str, format: &str) -> Option<String> {
    TableName::ALL.iter().find(|made| made.table().name == table.name)?;
    let size = match PublishedSet::from_str(set, false) {
        Ok(_) => format!("--set {set}"),
        Err(_) => format!("--rows 10M --name {set}"),
    };
    let format = if format == "csv" { String::new() } else { format!(" --format {format}") };
    Some(format!("cargo run --release --bin generate -- --data {} {size}{format}", data.display()))
}

/// Rows of each table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizes {
    /// Rows of `rankings`, which are also the pages that visits go to.
    pub rankings: u64,
    /// Rows of `uservisits`.
    pub uservisits: u64,
    /// Pages of `documents`.
    pub documents: u64,
    /// Part files of each table in that order, where a published set says how many.
    published_files: Option<[u64; 3]>,
}

impl Sizes {
    /// The rows of a published set. `documents` has as many pages as fill the published bytes, but for `tiny`, whose
    /// bytes are bounded by what belongs into a repository.
    pub fn published(set: PublishedSet) -> Self {
        match set {
            PublishedSet::Tiny => Sizes {
                rankings: 1_200,
                uservisits: 10_000,
                documents: 120,
                published_files: Some([10, 10, 10]),
            },
            PublishedSet::OneNode => Sizes {
                rankings: 18_000_000,
                uservisits: 155_000_000,
                documents: 3_110_000,
                published_files: None,
            },
            // 775 M visits were announced; AMPLab's files and its answers hold about 752.4 M.
            PublishedSet::FiveNodes => Sizes {
                rankings: 90_000_000,
                uservisits: 752_400_000,
                documents: 14_700_000,
                published_files: Some([100, 2_037, 2_037]),
            },
        }
    }

    /// As many visits, and pages and documents in the proportions of the published sets: 12 pages for 100 visits.
    pub fn of_visits(visits: u64) -> Self {
        let share =
            |of: u64, whole: u64| (u128::from(visits) * u128::from(of)).div_ceil(u128::from(whole)) as u64;
        Sizes {
            rankings: share(12, 100),
            uservisits: visits,
            documents: share(14_700_000, 752_400_000),
            published_files: None,
        }
    }

    /// Rows of one table.
    pub fn rows(&self, table: TableName) -> u64 {
        match table {
            TableName::Rankings => self.rankings,
            TableName::Uservisits => self.uservisits,
            TableName::Documents => self.documents,
        }
    }

    /// Part files of one table unless asked otherwise: as published, or one for 64 MB and at least ten.
    pub fn files(&self, table: TableName) -> u64 {
        const FILE_BYTES: u64 = 64_000_000;
        match self.published_files {
            Some(files) => files[table as usize],
            None => (self.rows(table).saturating_mul(table.mean_row_bytes()) / FILE_BYTES).max(10),
        }
    }
}

/// A number of rows as people type it: `2500`, `40k`, `10M`, `1G`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowCount(pub u64);

/// Suffixes of a row count and what they stand for, largest first.
const SUFFIXES: [(char, u64); 3] = [('G', 1_000_000_000), ('M', 1_000_000), ('k', 1_000)];

/// Links to pages are counted in 32 bits, and a slot walks all visits in steps: far above any set, far below overflow.
const MOST_ROWS: u64 = 1_000 * SUFFIXES[0].1;

impl FromStr for RowCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (digits, unit) = SUFFIXES
            .iter()
            .find_map(|(suffix, unit)| text.strip_suffix(*suffix).map(|digits| (digits, *unit)))
            .unwrap_or((text, 1));
        let rows = digits
            .parse::<u64>()
            .ok()
            .and_then(|number| number.checked_mul(unit))
            .filter(|_| !digits.starts_with('+'))
            .ok_or("a whole number of rows is wanted, such as 2500, 40k, 10M or 1G")?;
        if rows > MOST_ROWS { Err("at most 1000G rows can be made".into()) } else { Ok(RowCount(rows)) }
    }
}

impl fmt::Display for RowCount {
    /// The shortest way to type it, which is also the set's default name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = SUFFIXES.iter().find(|(_, unit)| self.0 >= *unit && self.0.is_multiple_of(*unit));
        match unit {
            Some((suffix, unit)) => write!(f, "{}{suffix}", self.0 / unit),
            None => self.0.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    //! Would catch a suffix off by a thousand, and a set whose proportions drifted.

    use super::{RowCount, Sizes, TableName};

    #[test]
    fn row_counts_read_and_print() {
        for (text, rows) in
            [("0", 0), ("2500", 2_500), ("40k", 40_000), ("10M", 10_000_000), ("1G", 1_000_000_000)]
        {
            assert_eq!(text.parse(), Ok(RowCount(rows)));
        }
        assert_eq!(RowCount(40_000).to_string(), "40k");
        assert_eq!(RowCount(10_000_000).to_string(), "10M");
        assert_eq!(RowCount(1_234_500).to_string(), "1234500");
        for wrong in ["", "M", "-1", "+1", "1.5M", "10m", "99999999999G", "1001G"] {
            assert!(wrong.parse::<RowCount>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn other_sizes_keep_the_proportions() {
        let sizes = Sizes::of_visits(10_000_000);
        assert_eq!((sizes.rankings, sizes.uservisits), (1_200_000, 10_000_000));
        assert_eq!(sizes.files(TableName::Uservisits), 26);
        assert_eq!(Sizes::of_visits(1).rankings, 1);
        assert_eq!(Sizes::of_visits(0).rankings, 0);
    }
}
