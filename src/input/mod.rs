//! Where rows come from: stores, splits and their assignment, row projection.

mod row;

pub use row::Row;

/// How the files are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum FormatChoice {
    /// By what lies under the data directory.
    #[default]
    Auto,
    /// Text, comma separated, one row per line.
    Csv,
}

/// What to do about a record that does not fit its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum BadRecords {
    /// End the job and show the record.
    #[default]
    Fail,
    /// Leave the record out, and count it.
    Skip,
}
