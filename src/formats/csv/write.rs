//! Writing fields of delimited text.

use std::io;

use super::text::BYTE_ORDER_MARK;
use crate::formats::columns::Cell;
use crate::tables::Date;

/// Appends a field to a row, quoted by RFC 4180 where it must be: with a comma, a quote or a line break inside, and where it begins with a
/// byte order mark, which at the start of a text would be no part of it.
pub fn write_field(row: &mut Vec<u8>, field: &[u8]) {
    write_field_between(b',', row, field);
}

/// The same where another byte is between fields.
#[inline]
fn write_field_between(delimiter: u8, row: &mut Vec<u8>, field: &[u8]) {
    if has_special(delimiter, field) || field.starts_with(BYTE_ORDER_MARK) {
        row.push(b'"');
        for &byte in field {
            if byte == b'"' {
                row.push(b'"');
            }
            row.push(byte);
        }
        row.push(b'"');
    } else {
        row.extend_from_slice(field);
    }
}

/// Whether a field holds a byte for which it must be quoted. Without a branch for each byte or a loop over the last few:
/// they are looked at again with those before them.
#[inline]
fn has_special(delimiter: u8, field: &[u8]) -> bool {
    let special = [delimiter, b'"', b'\n', b'\r'];
    let ones = |byte: u8| special.iter().fold(0, |ones, &special| ones | u8::from(byte == special));
    let any = |bytes: &[u8]| bytes.iter().fold(0, |any, &byte| any | ones(byte)) != 0;
    // Of a known length each, so that their bytes are compared at once.
    let any_of_16 = |bytes: &[u8; 16]| any(bytes);
    let any_of_8 = |bytes: &[u8; 8]| any(bytes);
    if let Some(last) = field.last_chunk() {
        any_of_16(last) || field.as_chunks().0.iter().any(any_of_16)
    } else if let (Some(first), Some(last)) = (field.first_chunk(), field.last_chunk()) {
        any_of_8(first) | any_of_8(last)
    } else {
        any(field)
    }
}

/// Appends a value as one field; nothing for a null.
///
/// # Errors
///
/// It is a day that text does not have.
#[inline]
pub(in crate::formats) fn push_cell(delimiter: u8, row: &mut Vec<u8>, cell: Cell<'_>) -> io::Result<()> {
    match cell {
        Cell::Null => {}
        Cell::Int(value) => push_integer(row, value),
        Cell::Float(value) => push_float(row, value),
        Cell::Double(value) => push_double(row, value),
        Cell::Date(days) => return push_date(row, days),
        Cell::Text(text) => write_field_between(delimiter, row, text),
    }
    Ok(())
}

/// Appends an integer.
#[inline]
pub(in crate::formats) fn push_integer(text: &mut Vec<u8>, value: i64) {
    text.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends a float with as few digits as read back as the same one; else `NaN`, `inf` or `-inf`.
#[inline]
pub(in crate::formats) fn push_float(text: &mut Vec<u8>, value: f32) {
    text.extend_from_slice(zmij::Buffer::new().format(value).as_bytes());
}

/// The same of 64 bits.
#[inline]
pub(in crate::formats) fn push_double(text: &mut Vec<u8>, value: f64) {
    text.extend_from_slice(zmij::Buffer::new().format(value).as_bytes());
}

/// Appends a day as `yyyy-MM-dd`.
///
/// # Errors
///
/// It is of no year from 0 to 9999.
pub(in crate::formats) fn push_date(text: &mut Vec<u8>, days: i32) -> io::Result<()> {
    let (year, month, day) = Date::from_days(days).calendar();
    let Ok(year @ 0..=9_999) = u16::try_from(year) else {
        let what = format!("text has dates of the years 0 to 9999 only, and here is {year}");
        return Err(io::Error::new(io::ErrorKind::InvalidData, what));
    };
    let digits = |number: u16, place: u16| b'0' + (number / place % 10) as u8;
    let (month, day) = (u16::from(month), u16::from(day));
    text.extend_from_slice(&[
        digits(year, 1_000),
        digits(year, 100),
        digits(year, 10),
        digits(year, 1),
        b'-',
        digits(month, 10),
        digits(month, 1),
        b'-',
        digits(day, 10),
        digits(day, 1),
    ]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_only_where_needed() {
        let written = |field: &[u8]| {
            let mut row = Vec::new();
            write_field(&mut row, field);
            String::from_utf8(row).expect("text")
        };
        assert_eq!(written(b"1.2.3.4"), "1.2.3.4");
        assert_eq!(written(b""), "");
        assert_eq!(written(b"a,b"), "\"a,b\"");
        assert_eq!(written(b"say \"hi\"\n"), "\"say \"\"hi\"\"\n\"");
        assert_eq!(written("\u{feff}a".as_bytes()), "\"\u{feff}a\"");
        assert_eq!(written("a\u{feff}".as_bytes()), "a\u{feff}");
    }

    #[test]
    fn a_special_byte_is_found_wherever_it_is() {
        for length in 0..70 {
            let plain = vec![b'x'; length];
            assert!(!has_special(b',', &plain));
            for (place, special) in (0..length).flat_map(|place| b",\"\n\r".map(|special| (place, special))) {
                let mut field = plain.clone();
                field[place] = special;
                assert!(has_special(b',', &field), "{special} at {place} of {length}");
                assert_eq!(has_special(b'\t', &field), special != b',');
            }
        }
    }
}
