//! Values of Thrift's compact protocol, in which Parquet keeps its footer and page headers: read as a tree, and written from one.
//!
//! Nothing is allocated by what the bytes say of themselves, only by what was read: a value has a byte at least.

use std::borrow::Cow;

use super::varint;

/// Structs and lists may hold one another this deep; Parquet's are half as deep.
const DEEPEST: usize = 16;

/// A value. Integers are kept by the width in which they are written, as readers elsewhere pass over fields of another.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Bool(bool),
    I8(i8),
    I32(i32),
    I64(i64),
    Double,
    Bytes(Cow<'a, [u8]>),
    List(Vec<Value<'a>>),
    /// Fields by number, ascending.
    Struct(Vec<(i16, Value<'a>)>),
}

impl<'a> Value<'a> {
    /// A field of a struct.
    pub(super) fn get(&self, field: i16) -> Option<&Value<'a>> {
        let Value::Struct(fields) = self else { return None };
        fields.iter().find(|(id, _)| *id == field).map(|(_, value)| value)
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, field: i16) -> Option<&mut Value<'a>> {
        let Value::Struct(fields) = self else { return None };
        fields.iter_mut().find(|(id, _)| *id == field).map(|(_, value)| value)
    }

    /// Adds to a field that is an integer of 64 bits, if it is there.
    pub(super) fn shift(&mut self, field: i16, by: i64) {
        if let Some(Value::I64(at)) = self.get_mut(field) {
            *at = at.wrapping_add(by);
        }
    }

    /// With copies of bytes that are somebody else's.
    pub(super) fn into_owned(self) -> Value<'static> {
        match self {
            Value::Bool(value) => Value::Bool(value),
            Value::I8(value) => Value::I8(value),
            Value::I32(value) => Value::I32(value),
            Value::I64(value) => Value::I64(value),
            Value::Double => Value::Double,
            Value::Bytes(bytes) => Value::Bytes(bytes.into_owned().into()),
            Value::List(values) => Value::List(values.into_iter().map(Value::into_owned).collect()),
            Value::Struct(fields) => {
                Value::Struct(fields.into_iter().map(|(id, value)| (id, value.into_owned())).collect())
            }
        }
    }

    /// A field that is an integer.
    pub(super) fn int(&self, field: i16) -> Option<i64> {
        match self.get(field)? {
            Value::I8(value) => Some((*value).into()),
            Value::I32(value) => Some((*value).into()),
            Value::I64(value) => Some(*value),
            _ => None,
        }
    }

    /// A field that is a size or count: not negative.
    pub(super) fn size(&self, field: i16) -> Option<u64> {
        u64::try_from(self.int(field)?).ok()
    }

    pub(super) fn bool(&self, field: i16) -> Option<bool> {
        if let Value::Bool(value) = self.get(field)? { Some(*value) } else { None }
    }

    pub(super) fn bytes(&self, field: i16) -> Option<&[u8]> {
        if let Value::Bytes(bytes) = self.get(field)? { Some(bytes) } else { None }
    }

    /// A field that is a list; none where it is not there.
    pub(super) fn list(&self, field: i16) -> &[Value<'a>] {
        if let Some(Value::List(values)) = self.get(field) { values } else { &[] }
    }

    fn kind(&self) -> u8 {
        match self {
            Value::Bool(true) => 1,
            Value::Bool(false) => 2,
            Value::I8(_) => 3,
            Value::I32(_) => 5,
            Value::I64(_) => 6,
            Value::Double => 7,
            Value::Bytes(_) => 8,
            Value::List(_) => 9,
            Value::Struct(_) => 12,
        }
    }
}

/// Why bytes are no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// They end too early.
    Cut,
    /// They are none, whatever follows.
    Broken,
}

/// Reads the struct at the start of `bytes`, and says how long it is.
pub(super) fn read_struct(bytes: &[u8]) -> Result<(Value<'_>, usize), Fault> {
    let mut reader = Reader { bytes, at: 0 };
    let value = reader.read_struct(DEEPEST)?;
    Ok((value, reader.at))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: u64) -> Result<&'a [u8], Fault> {
        let rest = &self.bytes[self.at..];
        let count = usize::try_from(count).map_err(|_| Fault::Broken)?;
        let taken = rest.get(..count).ok_or(Fault::Cut)?;
        self.at += count;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.take(1)?[0])
    }

    fn varint(&mut self) -> Result<u64, Fault> {
        let (value, length) = varint::read(&self.bytes[self.at..])?;
        self.at += length;
        Ok(value)
    }

    fn zigzag(&mut self) -> Result<i64, Fault> {
        self.varint().map(varint::unzigzag)
    }

    fn read_struct(&mut self, depth: usize) -> Result<Value<'a>, Fault> {
        let depth = depth.checked_sub(1).ok_or(Fault::Broken)?;
        let mut fields = Vec::new();
        let mut last = 0_i16;
        loop {
            let head = self.byte()?;
            if head == 0 {
                return Ok(Value::Struct(fields));
            }
            let field = match i16::from(head >> 4) {
                0 => i16::try_from(self.zigzag()?).map_err(|_| Fault::Broken)?,
                step => last.checked_add(step).ok_or(Fault::Broken)?,
            };
            last = field;
            let value = match head & 15 {
                1 => Value::Bool(true),
                2 => Value::Bool(false),
                kind => self.value(kind, depth)?,
            };
            fields.push((field, value));
        }
    }

    fn value(&mut self, kind: u8, depth: usize) -> Result<Value<'a>, Fault> {
        Ok(match kind {
            // As elements of a list.
            1 | 2 => Value::Bool(self.byte()? == 1),
            3 => Value::I8(self.byte()? as i8),
            4 | 5 => Value::I32(i32::try_from(self.zigzag()?).map_err(|_| Fault::Broken)?),
            6 => Value::I64(self.zigzag()?),
            7 => {
                self.take(8)?;
                Value::Double
            }
            8 => {
                let length = self.varint()?;
                Value::Bytes(Cow::Borrowed(self.take(length)?))
            }
            9 | 10 => {
                let depth = depth.checked_sub(1).ok_or(Fault::Broken)?;
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(head & 15, depth)?);
                }
                Value::List(values)
            }
            12 => self.read_struct(depth)?,
            _ => return Err(Fault::Broken),
        })
    }
}

/// Appends a value.
pub(super) fn write(value: &Value<'_>, to: &mut Vec<u8>) {
    match value {
        Value::Bool(value) => to.push(if *value { 1 } else { 2 }),
        Value::I8(value) => to.push(*value as u8),
        Value::I32(value) => write_zigzag((*value).into(), to),
        Value::I64(value) => write_zigzag(*value, to),
        Value::Double => to.extend([0; 8]),
        Value::Bytes(bytes) => {
            varint::write(bytes.len() as u64, to);
            to.extend_from_slice(bytes);
        }
        Value::List(values) => {
            // Old readers know but one of the two kinds of a boolean in a list.
            let kind = match values.first() {
                Some(Value::Bool(_)) => 1,
                first => first.map_or(12, Value::kind),
            };
            if values.len() < 15 {
                to.push((values.len() as u8) << 4 | kind);
            } else {
                to.push(0xf0 | kind);
                varint::write(values.len() as u64, to);
            }
            values.iter().for_each(|value| write(value, to));
        }
        Value::Struct(fields) => {
            let mut last = 0;
            for (field, value) in fields {
                let step = field - last;
                if (1..=15).contains(&step) {
                    to.push((step as u8) << 4 | value.kind());
                } else {
                    to.push(value.kind());
                    write_zigzag((*field).into(), to);
                }
                last = *field;
                if !matches!(value, Value::Bool(_)) {
                    write(value, to);
                }
            }
            to.push(0);
        }
    }
}

fn write_zigzag(value: i64, to: &mut Vec<u8>) {
    varint::write(varint::zigzag(value), to);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_and_cut_ones_are_told() {
        let value = Value::Struct(vec![
            (1, Value::I32(-7)),
            (2, Value::Bool(true)),
            (20, Value::List((0..20).map(Value::I64).collect())),
            (21, Value::Bytes(b"text".into())),
            (22, Value::Struct(vec![(3, Value::I8(-1)), (4, Value::Bool(false))])),
            (23, Value::List(vec![Value::Bool(false), Value::Bool(true)])),
            (400, Value::I64(i64::MIN)),
        ]);
        let mut bytes = Vec::new();
        write(&value, &mut bytes);
        assert_eq!(read_struct(&bytes), Ok((value, bytes.len())));
        for end in 0..bytes.len() {
            assert_eq!(read_struct(&bytes[..end]), Err(Fault::Cut), "{end}");
        }
    }

    #[test]
    fn what_is_nested_without_end_or_claims_to_be_huge_is_refused() {
        assert_eq!(read_struct(&[0x1c; 100]), Err(Fault::Broken));
        assert_eq!(read_struct(&[0x19, 0xf5, 0xff, 0xff, 0xff, 0xff, 7]), Err(Fault::Cut));
    }
}
