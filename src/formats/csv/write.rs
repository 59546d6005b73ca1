//! Writing fields of delimited text.

/// Appends a field to a row, quoted by RFC 4180 where it must be: with a comma, a quote or a line break inside.
pub fn write_field(row: &mut Vec<u8>, field: &[u8]) {
    write_field_between(b',', row, field);
}

/// The same where another byte is between fields.
#[inline]
pub(super) fn write_field_between(delimiter: u8, row: &mut Vec<u8>, field: &[u8]) {
    // Counted to the end, so that many bytes are compared at once.
    let special = |byte: &u8| *byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r');
    if field.iter().filter(|&byte| special(byte)).count() > 0 {
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
    }
}
