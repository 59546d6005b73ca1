//! The bytes of one region or footer, read from their start to their end and never beyond.

/// What is left to read, and where that is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Body<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Body<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Body { bytes, at: 0 }
    }

    /// How many bytes were read.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// How many are left.
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or("it ends too early")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn u16(&mut self) -> Result<u16, &'static str> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, &'static str> {
        self.array().map(u32::from_le_bytes)
    }

    /// A number of values, which are no more than `most`.
    pub(super) fn count(&mut self, most: usize) -> Result<usize, &'static str> {
        let count = self.u32()? as usize;
        if count > most { Err("more values than rows") } else { Ok(count) }
    }

    /// Where the rest starts, which counts as read.
    pub(super) fn rest(&mut self) -> usize {
        std::mem::replace(&mut self.at, self.bytes.len())
    }

    /// That all was read.
    pub(super) fn ended(&self) -> Result<(), &'static str> {
        if self.left() == 0 { Ok(()) } else { Err("there is more than belongs to it") }
    }
}
