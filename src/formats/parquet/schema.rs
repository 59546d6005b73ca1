//! The columns of a file as its footer's schema has them, and as a table's.

use std::ops::Range;
use std::path::Path;

use super::footer::Leaf;
use super::thrift::Value;
use super::values::{Conversion, Physical};
use crate::Error;
use crate::formats::columns::{has_twice, no_such_column};
use crate::tables::{Column, ColumnType, Table};

/// The columns of a file.
pub(super) struct Schema<'a> {
    /// In the file's order.
    pub(super) columns: Vec<SchemaColumn<'a>>,
    /// How many there are where one with parts counts as these.
    pub(super) leaves: usize,
}

/// One of them.
pub(super) struct SchemaColumn<'a> {
    name: &'a [u8],
    /// Which it is among all, or which its parts are.
    pub(super) leaves: Range<usize>,
    /// `None` of one that has parts, or many values in a row.
    plain: Option<&'a Value<'a>>,
}

impl<'a> Schema<'a> {
    /// That of a footer; `None` where it makes no tree.
    pub(super) fn of(footer: &'a Value<'a>) -> Option<Self> {
        let (root, elements) = footer.list(2).split_first()?;
        let mut schema = Schema { columns: Vec::new(), leaves: 0 };
        // How many elements are still to come of each group that is open.
        let mut open = vec![root.size(5)?];
        for element in elements {
            while open.last() == Some(&0) {
                open.pop();
            }
            *open.last_mut()? -= 1;
            let name = element.bytes(4)?;
            let children = element.size(5).unwrap_or(0);
            let is_leaf = children == 0 && element.get(1).is_some();
            if open.len() == 1 {
                let plain = (is_leaf && element.int(3) != Some(2)).then_some(element);
                schema.columns.push(SchemaColumn { name, leaves: schema.leaves..schema.leaves, plain });
            }
            if is_leaf {
                schema.leaves += 1;
                schema.columns.last_mut()?.leaves.end = schema.leaves;
            } else {
                open.push(children);
            }
        }
        open.iter().all(|left| *left == 0).then_some(schema)
    }

    /// Where a column of the table is among all, and how it is read.
    pub(super) fn resolve(&self, path: &Path, table: &Table, column: Column) -> Result<(usize, Leaf), Error> {
        if self.columns.iter().filter(|found| found.name == column.name.as_bytes()).count() > 1 {
            return Err(has_twice(path, column.name));
        }
        let plain = self.columns.iter().filter_map(|found| Some((found, found.plain?)));
        let Some((found, schema)) = plain.clone().find(|(found, _)| found.name == column.name.as_bytes())
        else {
            if self.columns.iter().any(|found| found.name == column.name.as_bytes()) {
                return Err(Error::Data(format!(
                    "{}: column {} has values with parts; a column of a table has plain ones",
                    path.display(),
                    column.name
                )));
            }
            let names: Vec<_> = plain.map(|(found, _)| found.shown_name()).collect();
            return Err(no_such_column(path, &column, table, &names));
        };
        let (physical, conversion) = Physical::of(schema)
            .and_then(|physical| Some((physical, conversion(column.kind, physical, schema)?)))
            .ok_or_else(|| {
                let wanted = match column.kind {
                    ColumnType::Int | ColumnType::Long => "integers",
                    ColumnType::Float | ColumnType::Double => "floats or decimals",
                    ColumnType::Date => "dates, timestamps or texts",
                    ColumnType::Text => "texts or bytes",
                };
                Error::Data(format!(
                    "{}: column {} has values of type {}, and not {wanted}, as table {} has them\n  try: write it with a cast",
                    path.display(),
                    column.name,
                    type_name(schema),
                    table.name
                ))
            })?;
        let optional = schema.int(3) == Some(1);
        Ok((found.leaves.start, Leaf { name: column.name, physical, conversion, optional, encrypted: false }))
    }
}

impl SchemaColumn<'_> {
    /// Its name, to be shown.
    pub(super) fn shown_name(&self) -> String {
        String::from_utf8_lossy(self.name).into_owned()
    }

    /// The type of a table's column that has all its values as they are; else what Parquet calls its type.
    pub(super) fn kind(&self) -> Result<ColumnType, String> {
        let Some(schema) = self.plain else { return Err("values with parts".to_owned()) };
        if str::from_utf8(self.name).is_err() {
            return Err("a name that is not UTF-8".to_owned());
        }
        let kind = || {
            let physical = Physical::of(schema)?;
            let kinds: &[_] = match physical {
                Physical::I32 => &[ColumnType::Date, ColumnType::Int, ColumnType::Double],
                Physical::I64 => &[ColumnType::Long, ColumnType::Double],
                // Only midnights are days.
                Physical::I96 => &[],
                Physical::F32 => &[ColumnType::Float],
                Physical::F64 => &[ColumnType::Double],
                Physical::Bytes | Physical::Fixed(_) => &[ColumnType::Text, ColumnType::Double],
            };
            kinds.iter().find_map(|kind| match conversion(*kind, physical, schema)? {
                // Of 32 bits without a sign, an `int` has half.
                Conversion::Int { signed: false, .. } => Some(ColumnType::Long),
                _ => Some(*kind),
            })
        };
        kind().ok_or_else(|| type_name(schema))
    }
}

/// What Parquet calls the type of a column, the logical one behind that of its pages.
fn type_name(schema: &Value<'_>) -> String {
    const PHYSICAL: [&str; 8] =
        ["BOOLEAN", "INT32", "INT64", "INT96", "FLOAT", "DOUBLE", "BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"];
    const LOGICAL: [(i16, &str); 17] = [
        (1, "STRING"),
        (2, "MAP"),
        (3, "LIST"),
        (4, "ENUM"),
        (5, "DECIMAL"),
        (6, "DATE"),
        (7, "TIME"),
        (8, "TIMESTAMP"),
        (10, "INTEGER"),
        (11, "UNKNOWN"),
        (12, "JSON"),
        (13, "BSON"),
        (14, "UUID"),
        (15, "FLOAT16"),
        (16, "VARIANT"),
        (17, "GEOMETRY"),
        (18, "GEOGRAPHY"),
    ];
    let number = schema.int(1).unwrap_or(-1);
    let physical = usize::try_from(number).ok().and_then(|number| PHYSICAL.get(number).copied());
    let physical = physical.map_or_else(|| format!("number {number}"), str::to_owned);
    let is_logical =
        |(field, _): &&(i16, &str)| schema.get(10).is_some_and(|kind| kind.get(*field).is_some());
    match LOGICAL.iter().find(is_logical) {
        Some((_, logical)) => format!("{physical} ({logical})"),
        None => physical,
    }
}

/// How values of the file's type become the table's, if they can.
fn conversion(kind: ColumnType, physical: Physical, schema: &Value<'_>) -> Option<Conversion> {
    let converted = schema.int(6);
    let logical = |field| schema.get(10).and_then(|logical| logical.get(field));
    let decimal = logical(5).is_some() || converted == Some(5);
    let plain_bytes =
        matches!(physical, Physical::Bytes | Physical::Fixed(_)) && !decimal && logical(15).is_none();
    // What an integer is that is not said to be anything but an integer.
    let integer = match logical(10) {
        Some(integer) => Some(integer.bool(2).unwrap_or(true)),
        None if schema.get(10).is_some() => None,
        None => match converted {
            None | Some(15..=18) => Some(true),
            Some(11..=14) => Some(false),
            _ => None,
        },
    };
    Some(match (kind, physical) {
        (ColumnType::Int | ColumnType::Long, Physical::I32 | Physical::I64) => {
            Conversion::Int { signed: integer?, long: kind == ColumnType::Long }
        }
        (ColumnType::Double, Physical::F32 | Physical::F64) => Conversion::Double,
        (ColumnType::Float, Physical::F32 | Physical::F64) => Conversion::Float,
        (
            ColumnType::Float | ColumnType::Double,
            Physical::I32 | Physical::I64 | Physical::Bytes | Physical::Fixed(_),
        ) if decimal => {
            let scale = logical(5).and_then(|decimal| decimal.int(1)).or(schema.int(7)).unwrap_or(0);
            let scale = u32::try_from(scale).ok().filter(|scale| *scale <= 38)?;
            Conversion::Decimal { scale, double: kind == ColumnType::Double }
        }
        (ColumnType::Date, Physical::I32) if logical(6).is_some() || converted == Some(6) => Conversion::Date,
        (ColumnType::Date, Physical::I64) => {
            let unit = logical(8).and_then(|timestamp| timestamp.get(2));
            let has = |field| unit.is_some_and(|unit| unit.get(field).is_some());
            let second = match converted {
                _ if has(1) => 1_000,
                _ if has(2) => 1_000_000,
                _ if has(3) => 1_000_000_000,
                Some(9) => 1_000,
                Some(10) => 1_000_000,
                _ => return None,
            };
            Conversion::Timestamp { a_day: 86_400 * second }
        }
        (ColumnType::Date, Physical::I96) => Conversion::Timestamp96,
        (ColumnType::Date, Physical::Bytes) if plain_bytes => Conversion::DateText,
        (ColumnType::Text, _) if plain_bytes => Conversion::Text,
        _ => return None,
    })
}
