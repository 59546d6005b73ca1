//! Values as a file has them, and as its table has them.

use std::ops::Range;
use std::str::FromStr;
use std::sync::Arc;

use super::encodings;
use super::memory::PageBytes;
use super::thrift::Value;
use crate::BadRecord;
use crate::formats::columns::{Texts, Values, push_day};
use crate::formats::field_error::{beyond_int, narrowed};
use crate::tables::Date;

/// A type as pages have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Physical {
    I32,
    I64,
    I96,
    F32,
    F64,
    Bytes,
    /// Of so many bytes each.
    Fixed(usize),
}

/// How a value becomes one of the table's column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Conversion {
    Int {
        signed: bool,
        /// Whether the column has 64 bits.
        long: bool,
    },
    /// Rounded to 32 bits, as a float column has no others in any format.
    Float,
    Double,
    Decimal {
        scale: u32,
        /// Whether it becomes a double.
        double: bool,
    },
    Date,
    /// In units of which a day has so many; only midnights are days.
    Timestamp {
        a_day: i64,
    },
    /// Nanoseconds of a day, and the Julian day.
    Timestamp96,
    DateText,
    Text,
}

/// Values of a page, nulls left out.
pub(super) enum Raw {
    I32(Vec<i32>),
    I64(Vec<i64>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    Texts(Texts),
}

impl Physical {
    /// By its schema element.
    pub(super) fn of(schema: &Value<'_>) -> Option<Self> {
        Some(match schema.int(1)? {
            1 => Physical::I32,
            2 => Physical::I64,
            3 => Physical::I96,
            4 => Physical::F32,
            5 => Physical::F64,
            6 => Physical::Bytes,
            7 => Physical::Fixed(usize::try_from(schema.int(2)?).ok().filter(|width| *width > 0)?),
            _ => return None,
        })
    }

    /// Bytes of one value, where all have as many.
    pub(super) fn width(self) -> Option<usize> {
        Some(match self {
            Physical::I32 | Physical::F32 => 4,
            Physical::I64 | Physical::F64 => 8,
            Physical::I96 => 12,
            Physical::Bytes => return None,
            Physical::Fixed(width) => width,
        })
    }

    /// Whether its values are read in an encoding, indices into a dictionary aside.
    pub(super) fn is_read_in(self, encoding: i64) -> bool {
        match encoding {
            encodings::PLAIN => true,
            encodings::DELTA_BINARY_PACKED => matches!(self, Physical::I32 | Physical::I64),
            encodings::DELTA_LENGTH_BYTE_ARRAY => self == Physical::Bytes,
            encodings::DELTA_BYTE_ARRAY => matches!(self, Physical::Bytes | Physical::Fixed(_)),
            encodings::BYTE_STREAM_SPLIT => self.width().is_some(),
            _ => false,
        }
    }

    /// Decodes `count` values of a page from `from` on; `None` where they are not there or in an encoding that it cannot have.
    pub(super) fn decode(
        self,
        encoding: i64,
        page: &PageBytes,
        from: usize,
        count: usize,
        most: usize,
    ) -> Option<Raw> {
        let rest = page.get(from..)?;
        match (encoding, self) {
            (encodings::PLAIN, Physical::Bytes) => {
                let (mut at, mut spans) = (from, Vec::new());
                encodings::plain_texts(page, &mut at, count, &mut spans)?;
                Some(texts(page, spans))
            }
            (encodings::PLAIN, _) => {
                let length = self.width()?.checked_mul(count).filter(|length| *length <= rest.len())?;
                Some(self.fixed(page, from..from + length))
            }
            (encodings::DELTA_BINARY_PACKED, Physical::I32 | Physical::I64) => {
                let mut rest = rest;
                let values = encodings::deltas(&mut rest, count)?;
                Some(if self == Physical::I64 {
                    Raw::I64(values)
                } else {
                    Raw::I32(values.into_iter().map(|value| value as i32).collect())
                })
            }
            (encodings::DELTA_LENGTH_BYTE_ARRAY, Physical::Bytes) => {
                Some(texts(page, encodings::delta_length_texts(page, from, count)?))
            }
            (encodings::DELTA_BYTE_ARRAY, Physical::Bytes | Physical::Fixed(_)) => {
                let texts = encodings::delta_texts(page, from, count, most)?;
                let fits =
                    |span: &(u32, u32)| self.width().is_none_or(|width| (span.1 - span.0) as usize == width);
                texts.spans.iter().all(fits).then_some(Raw::Texts(texts))
            }
            (encodings::BYTE_STREAM_SPLIT, _) => {
                let bytes = encodings::byte_streams(rest, self.width()?, count)?;
                let all = 0..bytes.len();
                Some(self.fixed(&PageBytes::whole(Arc::new(bytes)), all))
            }
            _ => None,
        }
    }

    /// Values of one width, of which there are whole ones in `range`.
    pub(super) fn fixed(self, page: &PageBytes, range: Range<usize>) -> Raw {
        fn each<const WIDTH: usize, T>(bytes: &[u8], value: fn([u8; WIDTH]) -> T) -> Vec<T> {
            bytes.as_chunks().0.iter().map(|chunk| value(*chunk)).collect()
        }
        let bytes = &page[range.clone()];
        match self {
            Physical::I32 => Raw::I32(each(bytes, i32::from_le_bytes)),
            Physical::I64 => Raw::I64(each(bytes, i64::from_le_bytes)),
            Physical::F32 => Raw::F32(each(bytes, f32::from_le_bytes)),
            Physical::F64 => Raw::F64(each(bytes, f64::from_le_bytes)),
            Physical::I96 | Physical::Bytes | Physical::Fixed(_) => {
                let width = self.width().unwrap_or(1);
                let spans = range.step_by(width);
                texts(page, spans.map(|at| (at as u32, (at + width) as u32)).collect())
            }
        }
    }
}

pub(super) fn texts(bytes: &PageBytes, spans: Vec<(u32, u32)>) -> Raw {
    Raw::Texts(Texts { bytes: Arc::clone(&bytes.memory), spans })
}

/// A page's values as the table has them. One that cannot be such has any value here, and is a misfit.
pub(super) struct Converted {
    pub(super) values: Values,
    pub(super) misfits: Misfits,
}

/// Which values are none of their column, ascending, and why.
pub(super) type Misfits = Vec<(usize, String)>;

/// Converts all values at once. Only where that fails it is asked of each value whether it can be, and why not.
fn each<V, T: Default>(
    values: impl Iterator<Item = V> + Clone,
    convert: impl Fn(V) -> Result<T, String>,
) -> (Vec<T>, Misfits) {
    if let Ok(converted) = values.clone().map(&convert).collect::<Result<Vec<_>, _>>() {
        return (converted, Misfits::new());
    }
    let mut misfits = Misfits::new();
    let converted = values.enumerate().map(|(index, value)| {
        convert(value).unwrap_or_else(|reason| {
            misfits.push((index, reason));
            T::default()
        })
    });
    (converted.collect(), misfits)
}

impl Conversion {
    /// Makes a column's values of a page's; `None` where those are of a type that the column's schema does not have.
    pub(super) fn convert(self, raw: Raw, as_text: bool) -> Option<Converted> {
        let all = |values| (values, Misfits::new());
        let days = |(days, misfits)| (Values::Date(days), misfits);
        let (values, misfits) = match (self, raw) {
            (Conversion::Int { signed: true, .. }, Raw::I32(values)) => {
                all(Values::Int(values.into_iter().map(i64::from).collect()))
            }
            (Conversion::Int { signed: false, long }, Raw::I32(values)) => {
                ints(values.into_iter().map(|value| i64::from(value as u32)).collect(), long)
            }
            (Conversion::Int { signed: true, long }, Raw::I64(values)) => ints(values, long),
            (Conversion::Int { signed: false, long }, Raw::I64(values)) => {
                let beyond = |value: u64| {
                    if long { format!("{value} is beyond {}", i64::MAX) } else { beyond_int(value) }
                };
                let most = if long { i64::MAX } else { i32::MAX.into() };
                let fits = |value: &i64| {
                    if (0..=most).contains(value) { Ok(()) } else { Err(beyond(*value as u64)) }
                };
                let (_, misfits) = each(values.iter(), fits);
                (Values::Int(values), misfits)
            }
            (Conversion::Float, Raw::F32(values)) => all(Values::Float(values)),
            (Conversion::Float, Raw::F64(values)) => {
                let (floats, misfits) = each(values.into_iter(), narrowed);
                (Values::Float(floats), misfits)
            }
            (Conversion::Double, Raw::F64(values)) => all(Values::Double(values)),
            (Conversion::Double, Raw::F32(values)) => {
                all(Values::Double(values.into_iter().map(f64::from).collect()))
            }
            (Conversion::Decimal { scale, double: false }, raw) => {
                let (decimals, misfits) = decimals(raw, |unscaled| decimal_f32(unscaled, scale))?;
                (Values::Float(decimals), misfits)
            }
            (Conversion::Decimal { scale, double: true }, raw) => {
                let (decimals, misfits) = decimals(raw, |unscaled| decimal_f64(unscaled, scale))?;
                (Values::Double(decimals), misfits)
            }
            (Conversion::Date, Raw::I32(values)) => all(Values::Date(values)),
            (Conversion::Timestamp { a_day }, Raw::I64(values)) => {
                let day = |value: &i64| {
                    let day =
                        i32::try_from(value.div_euclid(a_day)).ok().filter(|_| value.rem_euclid(a_day) == 0);
                    day.ok_or_else(|| format!("the timestamp {value} is no midnight, so it is no day"))
                };
                days(each(values.iter(), day))
            }
            (Conversion::Timestamp96, Raw::Texts(texts)) => days(each_text(&texts, day_of_96)),
            (Conversion::DateText, Raw::Texts(texts)) => days(each_text(&texts, |text| {
                let day = Date::parse(text).map(Date::days);
                day.ok_or_else(|| format!("`{}` is not a day written yyyy-MM-dd", BadRecord::shorten(text)))
            })),
            (Conversion::Text, Raw::Texts(texts)) => all(Values::Text(texts)),
            _ => return None,
        };
        let values = match values {
            Values::Date(days) if as_text => Values::Text(date_texts(&days)),
            values => values,
        };
        Some(Converted { values, misfits })
    }
}

/// Integers of a column that has 64 bits, or 32.
fn ints(values: Vec<i64>, long: bool) -> (Values, Misfits) {
    let fits = |value: &i64| i32::try_from(*value).map_err(|_| beyond_int(value));
    let misfits = if long { Misfits::new() } else { each(values.iter(), fits).1 };
    (Values::Int(values), misfits)
}

fn each_text<T: Default>(texts: &Texts, convert: impl Fn(&[u8]) -> Result<T, String>) -> (Vec<T>, Misfits) {
    each(0..texts.spans.len(), |index| convert(texts.get(index)))
}

fn day_of_96(value: &[u8]) -> Result<i32, String> {
    /// Julian day of 1970-01-01.
    const EPOCH: i32 = 2_440_588;
    match value.split_first_chunk() {
        Some((&nanoseconds, day)) if i64::from_le_bytes(nanoseconds) == 0 && day.len() == 4 => {
            let day = day.iter().rev().fold(0, |day, byte| day << 8 | i32::from(*byte));
            day.checked_sub(EPOCH).ok_or_else(|| "a timestamp lies too far back".to_owned())
        }
        _ => Err("a timestamp is no midnight, so it is no day".to_owned()),
    }
}

/// Days as text, one behind the other.
fn date_texts(days: &[i32]) -> Texts {
    let mut bytes = Vec::with_capacity(10 * days.len());
    let spans = days.iter().map(|day| push_day(&mut bytes, *day)).collect();
    Texts { bytes: Arc::new(bytes), spans }
}

/// Decimals by their digits.
fn decimals<T: Default>(raw: Raw, float: impl Fn(i128) -> T) -> Option<(Vec<T>, Misfits)> {
    let all = |values| (values, Misfits::new());
    Some(match raw {
        Raw::I32(values) => all(values.into_iter().map(|value| float(value.into())).collect()),
        Raw::I64(values) => all(values.into_iter().map(|value| float(value.into())).collect()),
        Raw::Texts(texts) => each_text(&texts, |bytes| {
            let sign = if bytes.first().is_some_and(|first| *first >= 0x80) { -1 } else { 0 };
            // A wide type repeats the sign of a number that needs fewer bytes.
            let extends = |pair: &[u8]| pair[0] == sign as u8 && (pair[1] ^ pair[0]) < 0x80;
            let beyond = bytes.len().saturating_sub(16);
            let repeated = bytes.windows(2).take(beyond).take_while(|pair| extends(pair)).count();
            let bytes = &bytes[repeated..];
            if bytes.len() > 16 {
                return Err("a decimal has more than 38 digits".to_owned());
            }
            let value = bytes.iter().fold(sign, |value: i128, byte| value << 8 | i128::from(*byte));
            Ok(float(value))
        }),
        Raw::F32(_) | Raw::F64(_) => return None,
    })
}

/// The float nearest to a decimal, as its text would be read.
fn decimal_f32(unscaled: i128, scale: u32) -> f32 {
    // Rounding the quotient again is safe but where it lies halfway between two floats.
    let safe = quotient(unscaled, scale).filter(|quotient| quotient.to_bits() & 0x1fff_ffff != 0x1000_0000);
    safe.map_or_else(|| parsed(unscaled, scale), |quotient| quotient as f32)
}

/// The same of a double.
fn decimal_f64(unscaled: i128, scale: u32) -> f64 {
    quotient(unscaled, scale).unwrap_or_else(|| parsed(unscaled, scale))
}

/// A decimal rounded once; none where its two parts are not exact.
fn quotient(unscaled: i128, scale: u32) -> Option<f64> {
    const EXACT: i128 = 1 << 53;
    let is_exact = (-EXACT..=EXACT).contains(&unscaled) && scale <= 22;
    is_exact.then(|| unscaled as f64 / 10_f64.powi(scale as i32))
}

/// The slow way. Of at most 39 digits each float is finite.
fn parsed<T: FromStr + Default>(unscaled: i128, scale: u32) -> T {
    format!("{unscaled}e-{scale}").parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of as many bytes as they need, which no writer among the tests' has.
    #[test]
    fn decimals_of_any_bytes_are_floats() {
        let numbers: [(&[u8], f64); 8] = [
            (&[], 0.0),
            (&[0x7f], 1.27),
            (&[0x80], -1.28),
            (&[0xff, 0xff, 0xff], -0.01),
            (&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80], 1.28),
            (&[0xff; 32], -0.01),
            (&[0x20, 0, 0, 0, 0, 0, 1], 90_071_992_547_409.93),
            (&[0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], 23_611_832_414_348_226_068.47),
        ];
        let bytes: Vec<u8> = numbers.iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect();
        let mut at = 0;
        let spans = numbers.iter().map(|(bytes, _)| {
            at += bytes.len() as u32;
            (at - bytes.len() as u32, at)
        });
        let spans = spans.collect();
        let raw = texts(&PageBytes::whole(Arc::new(bytes)), spans);
        let converted = Conversion::Decimal { scale: 2, double: true }.convert(raw, false).unwrap();
        assert!(converted.misfits.is_empty());
        let Values::Double(found) = converted.values else { panic!("no doubles") };
        assert_eq!(found, numbers.map(|(_, number)| number));
    }
}
