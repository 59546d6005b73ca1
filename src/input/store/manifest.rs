//! The list of files that an HTTP server has for a table, since HTTP itself lists nothing.
//!
//! It is the file [`LIST`](crate::formats::parts::LIST) in the table's directory: a line for each file, with its size in bytes, a space, and its name,
//! which may lead into folders below the directory. Empty lines and those that start with `#` are passed over.

/// A longer list is none: it would hold some ten million files.
pub(super) const MOST_BYTES: u64 = 1 << 30;

/// Sizes and names.
pub(super) fn parse(text: &[u8]) -> Result<Vec<(u64, &str)>, String> {
    let mut files: Vec<(u64, &str)> = Vec::new();
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let refused = |reason: &str| {
            let shown = crate::BadRecord::shorten(line);
            format!(
                "line {}: {reason}; a line is a size in bytes, a space, and a name\n  line: {shown}",
                index + 1
            )
        };
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let line = std::str::from_utf8(line).map_err(|_| refused("it is not UTF-8"))?;
        let (bytes, name) = line.split_once(' ').ok_or_else(|| refused("there is no space"))?;
        let bytes = bytes.parse().map_err(|_| refused("it does not start with a number"))?;
        let inside = |part: &str| !matches!(part, "" | "." | "..");
        if !name.split('/').all(inside) {
            return Err(refused("its name does not lead to a file in or below the directory"));
        }
        files.push((bytes, name));
    }
    let mut names: Vec<_> = files.iter().map(|(_, name)| *name).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("it names {} twice", pair[0])),
        None => Ok(files),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_names() {
        let text = b"# made by stat\n12 part-0\r\n\n0 a b/part 1.gz\n";
        assert_eq!(parse(text), Ok(vec![(12, "part-0"), (0, "a b/part 1.gz")]));
        assert_eq!(parse(b""), Ok(vec![]));
        for (text, reason) in [
            (&b"1 a\npart-0\n"[..], "line 2: there is no space"),
            (b"x part-0\n", "line 1: it does not start with a number"),
            (b"-1 part-0\n", "line 1: it does not start with a number"),
            (b"1 ../part-0\n", "line 1: its name does not lead to"),
            (b"1 /etc/passwd\n", "line 1: its name does not lead to"),
            (b"1 a\xff\n", "line 1: it is not UTF-8"),
            (b"1 a\n2 a\n", "it names a twice"),
        ] {
            let said = parse(text).expect_err(reason);
            assert!(said.starts_with(reason), "{said}");
        }
    }
}
