//! Values as a file has them, and as its table has them.

use std::ops::Range;
use std::sync::Arc;

use super::encodings;
use super::thrift::Value;
use crate::BadRecord;
use crate::formats::columns::{Texts, Values, push_day};
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
    },
    /// Rounded to 32 bits, as a float column has no others in any format.
    Float,
    Double,
    Decimal {
        scale: u32,
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

    /// Decodes `count` values of a page from `from` on; `None` where they are not there or in an encoding that it cannot have.
    pub(super) fn decode(
        self,
        encoding: i64,
        page: &Arc<Vec<u8>>,
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
                Some(self.fixed(&Arc::new(bytes), all))
            }
            _ => None,
        }
    }

    /// Values of one width, of which there are whole ones in `range`.
    pub(super) fn fixed(self, page: &Arc<Vec<u8>>, range: Range<usize>) -> Raw {
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

pub(super) fn texts(bytes: &Arc<Vec<u8>>, spans: Vec<(u32, u32)>) -> Raw {
    Raw::Texts(Texts { bytes: Arc::clone(bytes), spans })
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
            (Conversion::Int { signed: true }, Raw::I32(values)) => {
                all(Values::Int(values.into_iter().map(i64::from).collect()))
            }
            (Conversion::Int { signed: false }, Raw::I32(values)) => {
                all(Values::Int(values.into_iter().map(|value| i64::from(value as u32)).collect()))
            }
            (Conversion::Int { signed: true }, Raw::I64(values)) => all(Values::Int(values)),
            (Conversion::Int { signed: false }, Raw::I64(values)) => {
                let beyond = |value: i64| format!("{} is beyond {}", value as u64, i64::MAX);
                let fits = |value: &i64| if *value < 0 { Err(beyond(*value)) } else { Ok(()) };
                let (_, misfits) = each(values.iter(), fits);
                (Values::Int(values), misfits)
            }
            (Conversion::Float, Raw::F32(values)) => all(Values::Float(values)),
            (Conversion::Float, Raw::F64(values)) => {
                all(Values::Float(values.into_iter().map(|value| value as f32).collect()))
            }
            (Conversion::Double, Raw::F64(values)) => all(Values::Double(values)),
            (Conversion::Double, Raw::F32(values)) => {
                all(Values::Double(values.into_iter().map(f64::from).collect()))
            }
            (Conversion::Decimal { scale }, raw) => {
                let (decimals, misfits) = decimals(raw, scale)?;
                (Values::Float(decimals), misfits)
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

fn decimals(raw: Raw, scale: u32) -> Option<(Vec<f32>, Misfits)> {
    let all = |values| (values, Misfits::new());
    Some(match raw {
        Raw::I32(values) => all(values.into_iter().map(|value| decimal(value.into(), scale)).collect()),
        Raw::I64(values) => all(values.into_iter().map(|value| decimal(value.into(), scale)).collect()),
        Raw::Texts(texts) => each_text(&texts, |bytes| {
            let sign = if bytes.first().is_some_and(|first| *first >= 0x80) { -1 } else { 0 };
            if bytes.len() > 16 {
                return Err("a decimal has more than 38 digits".to_owned());
            }
            let value = bytes.iter().fold(sign, |value: i128, byte| value << 8 | i128::from(*byte));
            Ok(decimal(value, scale))
        }),
        Raw::F32(_) | Raw::F64(_) => return None,
    })
}

/// The float nearest to a decimal, as its text would be read.
fn decimal(unscaled: i128, scale: u32) -> f32 {
    const EXACT: i128 = 1 << 53;
    // Both are exact, so the quotient is rounded once; rounding it again is safe but where it lies halfway between two floats.
    if (-EXACT..=EXACT).contains(&unscaled) && scale <= 22 {
        let quotient = unscaled as f64 / 10_f64.powi(scale as i32);
        if quotient.to_bits() & 0x1fff_ffff != 0x1000_0000 {
            return quotient as f32;
        }
    }
    format!("{unscaled}e-{scale}").parse().unwrap_or(f32::NAN)
}
