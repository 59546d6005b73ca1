//! Which compression a file has: what its name says, unless its first bytes say otherwise.

use std::path::Path;

use flate2::{Decompress, FlushDecompress, Status};

use super::Compression;
use crate::Error;

/// How much of a file's start is looked at.
pub(crate) const HEAD_BYTES: usize = 4 << 10;

const GZIP: &[u8] = b"\x1f\x8b\x08";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
const LZ4: &[u8] = b"\x04\x22\x4d\x18";
/// Behind its first byte, whose lower half is anything: a frame of zstd or lz4 without text.
const SKIPPABLE: &[u8] = b"\x2a\x4d\x18";
pub(super) const SNAPPY: &[u8] = b"\xff\x06\x00\x00sNaPpY";
/// Behind `BZh` and a digit: a first block, or none.
const BZIP2: [&[u8]; 2] = [b"\x31\x41\x59\x26\x53\x59", b"\x17\x72\x45\x38\x50\x90"];

/// The first byte of a zlib stream with the usual window of 32 KiB: the letter x.
const USUAL_ZLIB: u8 = 0x78;

/// Ends of names whose files would be read as if their bytes were text.
const UNREADABLE: &[&str] = &["xz", "lzma", "z", "zip", "7z", "br", "lzo", "snappy"];
/// First bytes of the same, where they cannot be text.
const UNREADABLE_HEADS: &[(&[u8], &str)] = &[
    (b"\xfd7zXZ\0", "xz"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"\x02\x21\x4c\x18", "lz4's legacy format, which has no end mark and no checksum"),
];

pub(super) fn is_gzip(head: &[u8]) -> bool {
    head.starts_with(GZIP)
}

/// Whether these may be a zlib stream's first bytes: there are only two, and text may look alike.
pub(super) fn is_zlib(head: &[u8]) -> bool {
    let &[method, flags, ..] = head else { return false };
    method & 15 == 8 && method >> 4 <= 7 && u16::from_be_bytes([method, flags]).is_multiple_of(31)
}

pub(super) fn is_zstd(head: &[u8]) -> bool {
    head.starts_with(ZSTD) || is_skippable(head)
}

pub(super) fn is_lz4(head: &[u8]) -> bool {
    head.starts_with(LZ4)
}

pub(super) fn is_bzip2(head: &[u8]) -> bool {
    matches!(head, [b'B', b'Z', b'h', b'1'..=b'9', ..])
}

fn is_skippable(head: &[u8]) -> bool {
    matches!(head, [0x50..=0x5f, rest @ ..] if rest.starts_with(SKIPPABLE))
}

/// The length of a frame that has no text, header included.
pub(super) fn skippable_bytes(head: &[u8]) -> Option<u64> {
    let length = head.get(4..8)?.try_into().ok()?;
    is_skippable(head).then(|| 8 + u64::from(u32::from_le_bytes(length)))
}

/// What the first bytes of a file of `bytes` bytes say.
fn of_head(head: &[u8], bytes: u64, name: Option<Compression>) -> Option<Compression> {
    if is_gzip(head) {
        Some(Compression::Gzip)
    } else if is_skippable(head) && name == Some(Compression::Lz4) || is_lz4(head) {
        Some(Compression::Lz4)
    } else if is_zstd(head) {
        Some(Compression::Zstd)
    } else if head.starts_with(SNAPPY) {
        Some(Compression::Snappy)
    } else if is_bzip2(head) && BZIP2.iter().any(|mark| head[4..].starts_with(mark)) {
        Some(Compression::Bzip2)
    } else if is_zlib(head)
        && (name == Some(Compression::Deflate) || head[0] == USUAL_ZLIB && inflates(head, bytes))
    {
        Some(Compression::Deflate)
    } else {
        None
    }
}

/// Whether the start of a file that is not named so, of `bytes` bytes, decodes as zlib.
fn inflates(head: &[u8], bytes: u64) -> bool {
    let mut decoder = Decompress::new(true);
    let mut text = vec![0; 64 << 10];
    loop {
        let (taken, written) = (decoder.total_in(), decoder.total_out());
        match decoder.decompress(&head[taken as usize..], &mut text, FlushDecompress::None) {
            Ok(Status::StreamEnd) => return true,
            Ok(_) if (decoder.total_in(), decoder.total_out()) == (taken, written) => {
                return head.len() as u64 != bytes;
            }
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

fn extension(path: &Path) -> String {
    path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase()
}

impl Compression {
    /// What a file's name says.
    pub(crate) fn of_name(path: &Path) -> Option<Self> {
        let extension = extension(path);
        Self::ALL.into_iter().find(|known| known.extensions().contains(&&*extension))
    }
}

/// The compression of a file of `bytes` bytes that starts with `head`, if it has one; and a warning where its name says
/// something else.
pub(crate) fn identify(
    path: &Path,
    bytes: u64,
    head: &[u8],
) -> Result<(Option<Compression>, Option<String>), Error> {
    let (extension, named) = (extension(path), Compression::of_name(path));
    let found = of_head(head, bytes, named);
    let shown = path.display();
    match (named, found) {
        (Some(named), Some(found)) if named == found => Ok((Some(found), None)),
        (Some(named), Some(found)) => {
            let warning = format!(
                "{shown} is read as {}, which its first bytes are; its name says {}",
                found.name(),
                named.name()
            );
            Ok((Some(found), Some(warning)))
        }
        (None, Some(found)) => {
            let warning = format!(
                "{shown} is read as {}, which its first bytes are; its name does not end in .{}",
                found.name(),
                found.extensions()[0]
            );
            Ok((Some(found), Some(warning)))
        }
        (Some(named), None) if bytes == 0 => Err(Error::Data(format!(
            "{shown} is empty, which no {} file is: it was cut off\n  try: make it again, or remove it",
            named.name()
        ))),
        (Some(named), None) => Err(Error::Data(format!(
            "{shown} does not start as {name} data does: it is damaged, or no {name} file\n  try: make it again, or give \
             it a name that does not end in .{extension}",
            name = named.name()
        ))),
        (None, None) if let Some(format) = of_columns(head) => Err(Error::Data(format!(
            "{shown} is a {format} file, and is not read as text\n  try: --format {format}, with all of the table's files in \
             its directory for that format"
        ))),
        (None, None) => match unreadable(&extension, head) {
            Some(what) => Err(Error::Data(format!(
                "{shown} is compressed in a way that cannot be read: {what}\n  try: decompress it, or compress it with {}",
                Compression::ALL.map(Compression::name).join(", ")
            ))),
            None => Ok((None, None)),
        },
    }
}

/// What a file of columns is, as `--format` calls it: its first bytes, with the start of a page's header behind the four
/// letters of Parquet, which text may have, too.
fn of_columns(head: &[u8]) -> Option<&'static str> {
    let known = [(&b"PAR1\x15"[..], "parquet"), (b"MRP1\r\n\x1a\n", "packed")];
    known.into_iter().find(|(start, _)| head.starts_with(start)).map(|(_, format)| format)
}

fn unreadable(extension: &str, head: &[u8]) -> Option<String> {
    let of_head = UNREADABLE_HEADS.iter().find(|(start, _)| head.starts_with(start));
    match of_head {
        Some((_, what)) => Some((*what).to_owned()),
        None if extension == "snappy" => Some("Hadoop's format of snappy blocks".to_owned()),
        None => UNREADABLE.contains(&extension).then(|| format!(".{extension}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identified(name: &str, head: &[u8]) -> Result<(Option<Compression>, Option<String>), String> {
        identify(Path::new(name), head.len() as u64, head).map_err(|error| error.to_string())
    }

    #[test]
    fn names_with_or_without_capitals() {
        for (name, head, expected) in [
            ("000000_0.deflate", &b"\x78\x9c\x03\x00"[..], Compression::Deflate),
            ("part-0.gz", b"\x1f\x8b\x08\x00", Compression::Gzip),
            ("part-0.GZ", b"\x1f\x8b\x08\x00", Compression::Gzip),
            ("part-0.csv.zst", b"\x28\xb5\x2f\xfd", Compression::Zstd),
            ("part-0.zst", b"\x57\x2a\x4d\x18\x00\x00\x00\x00", Compression::Zstd),
            ("part-0.lz4", b"\x57\x2a\x4d\x18\x00\x00\x00\x00", Compression::Lz4),
            ("part-0.snz", b"\xff\x06\x00\x00sNaPpY", Compression::Snappy),
            ("part-0.sz", b"\xff\x06\x00\x00sNaPpY", Compression::Snappy),
            ("part-0.bz2", b"BZh9\x31\x41\x59\x26\x53\x59", Compression::Bzip2),
        ] {
            assert_eq!(identified(name, head), Ok((Some(expected), None)), "{name}");
        }
    }

    #[test]
    fn first_bytes_win_with_a_warning() {
        let said =
            |name, head| identified(name, head).map(|(found, warning)| (found, warning.unwrap_or_default()));
        assert_eq!(
            said("part-0.gz", b"\x28\xb5\x2f\xfd"),
            Ok((
                Some(Compression::Zstd),
                "part-0.gz is read as zstd, which its first bytes are; its name says gzip".to_owned()
            ))
        );
        assert_eq!(
            said("part-0", b"\x1f\x8b\x08\x00"),
            Ok((
                Some(Compression::Gzip),
                "part-0 is read as gzip, which its first bytes are; its name does not end in .gz".to_owned()
            ))
        );
        let empty = b"\x78\x9c\x03\x00\x00\x00\x00\x01";
        assert_eq!(identified("part-0", empty).map(|(found, _)| found), Ok(Some(Compression::Deflate)));
    }

    /// Catches text that is taken for zlib because it starts with an x.
    #[test]
    fn text_is_no_zlib() {
        for text in
            [&b"PAR1,1,2\n"[..], b"x^abc,1,2\n", b"x^", b"x", b"", b"x\x01\n", b"BZh9,1,2\n", b"h\x81,1,2"]
        {
            assert_eq!(identified("part-0", text), Ok((None, None)), "{}", text.escape_ascii());
        }
        let long: Vec<u8> = [&b"x^"[..], &b"some row of text,1,2\n".repeat(300)].concat();
        assert_eq!(identify(Path::new("part-0"), 1 << 20, &long[..HEAD_BYTES]).ok(), Some((None, None)));
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_not_taken_for_text() {
        for (name, head, expected) in [
            ("part-0.gz", &b""[..], "part-0.gz is empty, which no gzip file is: it was cut off"),
            (
                "part-0.gz",
                b"a,1,2\n",
                "part-0.gz does not start as gzip data does: it is damaged, or no gzip file",
            ),
            ("part-0.xz", b"\xfd7zXZ\0", "part-0.xz is compressed in a way that cannot be read: xz"),
            ("part-0", b"PK\x03\x04", "part-0 is compressed in a way that cannot be read: zip"),
            (
                "part-0",
                b"PAR1\x15\0\x15\xc2",
                "part-0 is a parquet file, and is not read as text\n  try: --format parquet",
            ),
            ("part-0.csv", b"MRP1\r\n\x1a\n", "part-0.csv is a packed file, and is not read as text"),
            ("part-0.br", b"?", "part-0.br is compressed in a way that cannot be read: .br"),
            (
                "a.snappy",
                b"\0\0\0\x07",
                "a.snappy is compressed in a way that cannot be read: Hadoop's format of snappy",
            ),
        ] {
            let said = identified(name, head).expect_err(name);
            assert!(said.starts_with(expected), "{said}");
        }
    }
}
