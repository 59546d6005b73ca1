//! Files with something that is not supported: an error that names it, its column, and what to do, and that calls no file damaged.

use super::footer::{MAGIC, TAIL_BYTES, stored_columns};
use super::tests::{TABLE, input_of, joined, mixed, read_table, written};
use super::thrift::{self, Value};
use crate::Error;
use crate::formats::columns::testing::shown;
use crate::formats::columns::{Batch, Column, Values};
use crate::tables::Table;

const LONG: Table = Table { columns: &[TABLE.columns[2]], ..TABLE };

/// A field of a struct, or of the first struct of a list.
fn field<'v, 'a>(value: &'v mut Value<'a>, number: i16) -> &'v mut Value<'a> {
    let value = if let Value::List(values) = value { &mut values[0] } else { value };
    value.get_mut(number).unwrap()
}

/// The footer of a file, and where it starts.
fn footer_of(bytes: &[u8]) -> (Value<'_>, usize) {
    let end = bytes.len() - TAIL_BYTES as usize;
    let length = u32::from_le_bytes(*bytes[end..].first_chunk().unwrap()) as usize;
    (thrift::read_struct(&bytes[end - length..end]).unwrap().0, end - length)
}

/// A file as another program would write it, without checksums, whose first page header and whose footer were changed.
fn foreign(
    bytes: &[u8],
    change_header: impl Fn(&mut Value<'_>),
    change_footer: impl Fn(&mut Value<'_>),
) -> Vec<u8> {
    let (mut footer, footer_at) = footer_of(bytes);
    *field(&mut footer, 6) = Value::Bytes(b"another program".into());
    let (mut header, length) = thrift::read_struct(&bytes[MAGIC.len()..]).unwrap();
    change_header(&mut header);
    let mut changed = MAGIC.to_vec();
    thrift::write(&header, &mut changed);
    let longer = changed.len() - MAGIC.len() - length;
    changed.extend_from_slice(&bytes[MAGIC.len() + length..footer_at]);
    let meta = field(field(field(&mut footer, 4), 1), 3);
    meta.shift(7, longer as i64);
    *field(meta, 8) = Value::List(Vec::new());
    change_footer(&mut footer);
    let footer_at = changed.len();
    thrift::write(&footer, &mut changed);
    let length = (changed.len() - footer_at) as u32;
    changed.extend_from_slice(&length.to_le_bytes());
    changed.extend_from_slice(MAGIC);
    changed
}

fn numbers(values: impl Iterator<Item = i64>) -> Batch {
    let values: Vec<_> = values.collect();
    Batch { rows: values.len(), columns: vec![Column { values: Values::Int(values), present: Vec::new() }] }
}

/// What is said of a file that is not supported.
#[track_caller]
fn said(bytes: &[u8]) -> (Option<String>, String) {
    match read_table(&LONG, bytes) {
        Err(Error::Unsupported { column, what, remedy, .. }) => {
            assert!(remedy.starts_with("write it") || remedy.starts_with("read these"), "{remedy}");
            (column, what)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn pages_of_another_kind_or_encoding_are_named() {
    let batch = numbers((0..500).map(|row: i64| row.wrapping_mul(0x5851_f42d_4c95_7f2d)));
    let bytes = written(&LONG, &batch);
    let same = foreign(&bytes, |_| {}, |_| {});
    assert_eq!(read_table(&LONG, &same).unwrap().0, shown(&batch), "what is not changed is read");
    let of_column = |what: &str| (Some("long".to_owned()), what.to_owned());
    let set = |header: &mut Value<'_>, number, value| *field(field(header, 5), number) = Value::I32(value);
    for (encoding, what) in [
        (1, "the encoding number 1 of its values"),
        (6, "the encoding DELTA_LENGTH_BYTE_ARRAY of its values"),
        (77, "the encoding number 77 of its values"),
    ] {
        let bytes = foreign(&bytes, |header| set(header, 2, encoding), |_| {});
        assert_eq!(said(&bytes), of_column(what));
    }
    let bit_packed = foreign(&bytes, |header| set(header, 3, 4), |_| {});
    assert_eq!(said(&bit_packed), of_column("the encoding BIT_PACKED of its levels"));
    let other_page = foreign(&bytes, |header| *field(header, 1) = Value::I32(7), |_| {});
    assert_eq!(said(&other_page), of_column("a page of type 7"));
    let large = foreign(&bytes, |header| *field(header, 2) = Value::I32(i32::MAX), |_| {});
    assert_eq!(said(&large), of_column("a page of more than 512 MiB or 16 million values"));

    let bytes = written(&LONG, &numbers((0..500).map(|row| row % 3)));
    let dictionary = |header: &mut Value<'_>| *field(field(header, 7), 2) = Value::I32(5);
    let bytes = foreign(&bytes, dictionary, |_| {});
    assert_eq!(said(&bytes), of_column("a dictionary in the encoding DELTA_BINARY_PACKED"));
}

#[test]
fn footers_that_are_not_supported_are_named() {
    let bytes = written(&LONG, &numbers(0..500));
    let chunk = |footer: &mut Value<'_>, change: fn(&mut Vec<(i16, Value<'_>)>)| {
        let Value::List(chunks) = field(field(footer, 4), 1) else { panic!("no list") };
        let Value::Struct(fields) = &mut chunks[0] else { panic!("no struct") };
        change(fields);
    };
    let changed = |change: &dyn Fn(&mut Value<'_>)| said(&foreign(&bytes, |_| {}, |footer| change(footer)));
    let column = Some("long".to_owned());
    for (codec, what) in [(3, "the codec LZO"), (8, "the codec of number 8")] {
        let of = |footer: &mut Value<'_>| {
            *field(field(field(field(footer, 4), 1), 3), 4) = Value::I32(codec);
        };
        assert_eq!(changed(&of), (column.clone(), what.to_owned()));
    }
    let elsewhere = |footer: &mut Value<'_>| {
        chunk(footer, |fields| fields.insert(0, (1, Value::Bytes(b"part-1.parquet".into()))));
    };
    assert_eq!(changed(&elsewhere), (None, "a footer whose columns are in other files".to_owned()));
    let encrypted = |footer: &mut Value<'_>| chunk(footer, |fields| fields.push((8, Value::Struct(vec![]))));
    assert_eq!(changed(&encrypted), (column, "encryption".to_owned()));

    let mut footer_too = bytes.clone();
    let end = bytes.len();
    footer_too[end - 4..].copy_from_slice(b"PARE");
    assert_eq!(said(&footer_too), (None, "encryption".to_owned()));

    let bytes = joined(&TABLE, &[mixed(24, 0), mixed(24, 1)]);
    let turned = |footer: &mut Value<'_>| {
        let Value::List(groups) = field(footer, 4) else { panic!("no list") };
        groups.reverse();
    };
    let error = read_table(&TABLE, &foreign(&bytes, |_| {}, turned)).unwrap_err();
    let what = ": the order of its row groups, which do not follow one another, which is not supported\n  try: write it again";
    assert!(error.to_string().contains(what), "{error}");
}

#[test]
fn sizes_that_cannot_be_are_told_as_damage_and_their_sum_is_no_panic() {
    let bytes = written(&LONG, &numbers(0..500));
    let sizes = |footer: &mut Value<'_>| {
        *field(field(field(field(footer, 4), 1), 3), 7) = Value::I64(i64::MAX);
        let Value::List(groups) = field(footer, 4) else { panic!("no list") };
        *groups = vec![groups[0].clone(); 3];
    };
    let bytes = foreign(&bytes, |_| {}, sizes);
    let (_file, input) = input_of(&bytes);
    let stored = stored_columns(&input).unwrap();
    assert_eq!((stored.len(), stored[0].bytes), (1, u64::MAX));
    let error = read_table(&LONG, &bytes).unwrap_err().to_string();
    assert!(error.contains("its footer has a row group that cannot be"), "{error}");
}
