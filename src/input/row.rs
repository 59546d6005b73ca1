//! What a row type is.

use serde::Deserialize;

/// A struct whose fields are the columns a query reads; a row borrows text from the reader's buffer.
///
/// The struct derives [`serde::Deserialize`], its field names (or their `#[serde(rename)]`) are columns of the
/// table, and one line says how its lifetime goes:
///
/// ```
/// use millrace::input::Row;
///
/// #[derive(serde::Deserialize)]
/// struct Visit<'a> {
///     #[serde(rename = "sourceIP")]
///     source_ip: &'a [u8],
///     #[serde(rename = "adRevenue")]
///     ad_revenue: f32,
/// }
/// impl Row for Visit<'_> {
///     type Of<'a> = Visit<'a>;
/// }
/// ```
pub trait Row {
    /// The row with its text borrowed for `'a`.
    type Of<'a>: Deserialize<'a>;
}
