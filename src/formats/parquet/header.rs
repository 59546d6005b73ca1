//! What stands before a page.

use super::encodings::{PLAIN, RLE};
use super::thrift::Value;

/// Which kind of page it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    DataV2,
    Dictionary,
    /// Of no use here: an index that no writer has.
    Index,
    /// Of a kind that came later.
    Unknown(i64),
}

/// The header of a page.
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) compressed: usize,
    pub(super) decompressed: usize,
    pub(super) checksum: Option<u32>,
    pub(super) values: usize,
    pub(super) encoding: i64,
    /// Of the first version.
    pub(super) level_encoding: i64,
    /// Bytes of levels before the values, in the second version.
    pub(super) levels: usize,
    pub(super) is_compressed: bool,
}

impl Header {
    /// Out of what was read; `None` where it lacks something.
    pub(super) fn of(header: &Value<'_>) -> Option<Self> {
        let size = |value: &Value<'_>, field| usize::try_from(value.size(field)?).ok();
        let (kind, detail) = match header.int(1)? {
            0 => (Kind::Data, header.get(5)?),
            2 => (Kind::Dictionary, header.get(7)?),
            3 => (Kind::DataV2, header.get(8)?),
            1 => (Kind::Index, header),
            other => (Kind::Unknown(other), header),
        };
        let is_second = kind == Kind::DataV2;
        let other = matches!(kind, Kind::Index | Kind::Unknown(_));
        Some(Header {
            kind,
            decompressed: size(header, 2)?,
            compressed: size(header, 3)?,
            checksum: header.int(4).map(|checksum| checksum as u32),
            values: if other { 0 } else { size(detail, 1)? },
            encoding: if other { PLAIN } else { detail.int(if is_second { 4 } else { 2 })? },
            level_encoding: if kind == Kind::Data { detail.int(3)? } else { RLE },
            // Repeated columns are not read, so there are no other levels.
            levels: if is_second { size(detail, 5)?.checked_add(size(detail, 6)?)? } else { 0 },
            is_compressed: !is_second || detail.bool(7).unwrap_or(true),
        })
    }
}
