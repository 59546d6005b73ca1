//! Tables: their columns, types and units; the three of the Big Data Benchmark, and yours.
//!
//! A table says how its rows are laid out in text and which type each column has. Queries never see it row
//! by row: a query's struct names the columns it wants, and the input layer resolves them against the table once.

use std::collections::BTreeSet;

mod date;
pub mod pages;

pub use date::Date;

/// A table: its name is also its directory, `data/<format>/<set>/<name>/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// Name and directory of the table.
    pub name: &'static str,
    /// Columns in file order.
    pub columns: &'static [Column],
    /// How a text file of this table is laid out.
    pub layout: Layout,
}

/// One column of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Name, as a query's struct spells it (`#[serde(rename = "…")]`).
    pub name: &'static str,
    /// Type of every value.
    pub kind: ColumnType,
}

/// What a column's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Bytes, UTF-8 where a query reads them as `&str`.
    Text,
    /// A 32-bit signed integer; a wider one is a bad value.
    Int,
    /// A 32-bit float; a finite number beyond its range is a bad value.
    Float,
    /// A 64-bit signed integer.
    Long,
    /// A 64-bit float.
    Double,
    /// A day, written `yyyy-MM-dd`.
    Date,
}

/// How text files of a table are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Rows end with a newline, fields are parted by this byte; a field that starts with `"` follows RFC 4180.
    Delimited(u8),
    /// Every line is one value of the only column, whatever bytes it holds.
    Lines,
    /// A row is a page: a header line, as [`pages::page_url`] tells it, with all lines up to the next header. Its two columns are
    /// the page's address and its text, header included.
    Pages,
}

impl ColumnType {
    /// With an article, for messages.
    pub(crate) fn described(self) -> &'static str {
        match self {
            ColumnType::Text => "text",
            ColumnType::Int => "an integer",
            ColumnType::Float => "a float",
            ColumnType::Long => "a long integer",
            ColumnType::Double => "a double",
            ColumnType::Date => "a date",
        }
    }
}

impl Table {
    /// A table of rows whose fields are parted by `delimiter`.
    ///
    /// ```
    /// use millrace::tables::{Column, Table};
    ///
    /// const CLICKS: Table = Table::delimited(
    ///     "clicks",
    ///     b',',
    ///     &[Column::text("user"), Column::int("second"), Column::text("page")],
    /// );
    /// assert_eq!(CLICKS.columns.len(), 3);
    /// ```
    pub const fn delimited(name: &'static str, delimiter: u8, columns: &'static [Column]) -> Self {
        Table { name, columns, layout: Layout::Delimited(delimiter) }
    }

    /// A table of lines, each of which is one text whatever it holds: its only column is `line`.
    pub const fn lines(name: &'static str) -> Self {
        const LINE: &[Column] = &[Column::text("line")];
        Table { name, columns: LINE, layout: Layout::Lines }
    }

    /// The table as Parquet and packed files have it: [`DOCUMENTS`] as [`PAGES`], every other one as it is.
    #[must_use]
    pub fn in_columns(self) -> Self {
        if self == DOCUMENTS { PAGES } else { self }
    }
}

impl Column {
    /// A column of this name and type.
    pub const fn new(name: &'static str, kind: ColumnType) -> Self {
        Column { name, kind }
    }

    /// A column of [`ColumnType::Text`].
    pub const fn text(name: &'static str) -> Self {
        Column::new(name, ColumnType::Text)
    }

    /// A column of [`ColumnType::Int`].
    pub const fn int(name: &'static str) -> Self {
        Column::new(name, ColumnType::Int)
    }

    /// A column of [`ColumnType::Float`].
    pub const fn float(name: &'static str) -> Self {
        Column::new(name, ColumnType::Float)
    }

    /// A column of [`ColumnType::Long`].
    pub const fn long(name: &'static str) -> Self {
        Column::new(name, ColumnType::Long)
    }

    /// A column of [`ColumnType::Double`].
    pub const fn double(name: &'static str) -> Self {
        Column::new(name, ColumnType::Double)
    }

    /// A column of [`ColumnType::Date`].
    pub const fn date(name: &'static str) -> Self {
        Column::new(name, ColumnType::Date)
    }
}

/// The first of some names that was there before.
pub(crate) fn repeated<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let mut before = BTreeSet::new();
    names.into_iter().find(|name| !before.insert(*name))
}

/// Pages and their rank: one row a page, sorted by roughly decreasing rank in each file.
pub const RANKINGS: Table = Table::delimited(
    "rankings",
    b',',
    &[Column::text("pageURL"), Column::int("pageRank"), Column::int("avgDuration")],
);

/// Visits to pages: one row a visit; `adRevenue` in dollars, `duration` in seconds.
pub const USERVISITS: Table = Table::delimited(
    "uservisits",
    b',',
    &[
        Column::text("sourceIP"),
        Column::text("destURL"),
        Column::date("visitDate"),
        Column::float("adRevenue"),
        Column::text("userAgent"),
        Column::text("countryCode"),
        Column::text("languageCode"),
        Column::text("searchWord"),
        Column::int("duration"),
    ],
);

/// A crawl as raw lines: header lines of five fields open a page, the lines after it are its text.
pub const DOCUMENTS: Table = Table::lines("documents");

/// The same crawl page by page, which is what Parquet and packed files have of it: `text` has all lines of a page, header included, `url` is the address in its header. Lines before
/// the first header of a file are a page without one; its `url` is empty.
pub const PAGES: Table = Table {
    name: DOCUMENTS.name,
    columns: &[Column::text("url"), Column::text("text")],
    layout: Layout::Pages,
};

/// Every table of the benchmark.
pub const BENCHMARK: [Table; 3] = [RANKINGS, USERVISITS, DOCUMENTS];
