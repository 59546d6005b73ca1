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

/// Defines row structs: what is written, with `serde::Deserialize` derived and [`Row`](crate::input::Row) implemented.
///
/// ```
/// millrace::row! {
///     /// One column by its own name, and one by another.
///     struct Visit<'a> {
///         #[serde(rename = "sourceIP")]
///         source_ip: &'a [u8],
///         duration: u32,
///     }
///     struct Duration { duration: u32 }
/// }
///
/// # use millrace::{input::{Input, InputOptions}, tables::USERVISITS};
/// let visits = Input::<Visit>::open(&USERVISITS, &InputOptions::default())?;
/// let mut rows = visits.open_split(&visits.splits()[0])?;
/// let mut least = u32::MAX;
/// while rows.next_block(|visit| least = least.min(visit.duration + visit.source_ip.len() as u32))?.is_some() {}
/// assert!(least > 7);
/// # let _ = Input::<Duration>::open(&USERVISITS, &InputOptions::default())?;
/// # Ok::<(), millrace::Error>(())
/// ```
#[macro_export]
macro_rules! row {
    () => {};
    ($(#[$attribute:meta])* $visible:vis struct $name:ident<$life:lifetime> { $($fields:tt)* } $($more:tt)*) => {
        $(#[$attribute])*
        #[derive(serde::Deserialize)]
        $visible struct $name<$life> {
            $($fields)*
        }
        impl $crate::input::Row for $name<'_> {
            type Of<$life> = $name<$life>;
        }
        $crate::row! { $($more)* }
    };
    ($(#[$attribute:meta])* $visible:vis struct $name:ident { $($fields:tt)* } $($more:tt)*) => {
        $(#[$attribute])*
        #[derive(serde::Deserialize)]
        $visible struct $name {
            $($fields)*
        }
        impl $crate::input::Row for $name {
            type Of<'a> = $name;
        }
        $crate::row! { $($more)* }
    };
}
