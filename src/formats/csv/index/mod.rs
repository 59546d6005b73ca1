//! Where the delimiters, newlines and quotes of a piece of text are: the one pass over every byte of the input.
//!
//! Sixty-four bytes at a time become one mask of the bytes that matter, and the masks become a list of positions.
//! What follows walks that list and touches only the fields a query reads.

#[cfg(target_arch = "x86_64")]
mod x86;

/// The bytes that end or open a field.
#[derive(Debug, Clone, Copy)]
pub(super) struct Marks {
    /// What parts the fields of a row.
    pub(super) delimiter: u8,
    /// What quotes a field. Lines know neither this nor a delimiter and put a newline in both places.
    pub(super) quote: u8,
}

impl Marks {
    /// A byte that is none of them.
    fn no_mark(self) -> u8 {
        if self.delimiter != 0 && self.quote != 0 {
            0
        } else if self.delimiter != 1 && self.quote != 1 {
            1
        } else {
            2
        }
    }
}

/// How many of them a piece of text had.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) newlines: usize,
    pub(super) any_quote: bool,
}

/// Room past the last position that a scan may write into and leave undefined values in.
pub(super) const SLACK: usize = 64;

/// The instructions this machine has, found out once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Instructions(Level);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    Portable,
}

impl Instructions {
    /// The best of what this machine has.
    pub(super) fn detect() -> Self {
        Self::available().next().unwrap_or(Instructions(Level::Portable))
    }

    /// Everything this machine can run, best first.
    fn available() -> impl Iterator<Item = Self> {
        #[cfg(target_arch = "x86_64")]
        let vector = [
            x86::has_avx512().then_some(Instructions(Level::Avx512)),
            x86::has_avx2().then_some(Instructions(Level::Avx2)),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let vector: [Option<Self>; 0] = [];
        vector.into_iter().flatten().chain([Instructions(Level::Portable)])
    }

    /// Appends to `positions[*filled..]` where the marks of `text` are, counted from `base`; `positions` has room for
    /// all of `text` and [`SLACK`] more.
    pub(super) fn scan(
        self,
        text: &[u8],
        base: u32,
        marks: Marks,
        positions: &mut [u32],
        filled: &mut usize,
    ) -> Tally {
        let (blocks, rest) = text.as_chunks::<64>();
        let tally = self.scan_blocks(Blocks { text: blocks, base, marks }, positions, filled);
        if rest.is_empty() {
            return tally;
        }
        let mut last = [marks.no_mark(); 64];
        last[..rest.len()].copy_from_slice(rest);
        let base = base + 64 * blocks.len() as u32;
        let last = self.scan_blocks(Blocks { text: &[last], base, marks }, positions, filled);
        Tally { newlines: tally.newlines + last.newlines, any_quote: tally.any_quote | last.any_quote }
    }

    fn scan_blocks(self, blocks: Blocks, positions: &mut [u32], filled: &mut usize) -> Tally {
        match self.0 {
            // SAFETY: this level exists only where `has_avx512` found the instructions (`available` is the only maker).
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            Level::Avx512 => unsafe { x86::scan_avx512(blocks, positions, filled) },
            // SAFETY: as above, for `has_avx2`.
            #[cfg(target_arch = "x86_64")]
            #[allow(unsafe_code)]
            Level::Avx2 => unsafe { x86::scan_avx2(blocks, positions, filled) },
            Level::Portable => scan_portable(blocks, positions, filled),
        }
    }
}

/// Text to look for marks in.
#[derive(Clone, Copy)]
struct Blocks<'a> {
    text: &'a [[u8; 64]],
    /// Position of the first byte.
    base: u32,
    marks: Marks,
}

/// Appends the positions of the set bits of one block's mask, counted from `base`.
#[inline(always)]
#[allow(clippy::inline_always, reason = "only inside a function that has them are its instructions used")]
fn append(positions: &mut [u32], filled: &mut usize, base: u32, marks: u64) {
    let mut left = marks;
    let mut at = *filled;
    *filled += left.count_ones() as usize;
    // Eight at a time, the first without asking whether there is one: a wrong guess costs more than a spare store.
    loop {
        for slot in &mut positions[at..at + 8] {
            *slot = base.wrapping_add(left.trailing_zeros());
            left &= left.wrapping_sub(1);
        }
        if left == 0 {
            break;
        }
        at += 8;
    }
}

/// Eight bytes to a register, each with its high bit set where it is a mark.
fn scan_portable(blocks: Blocks, positions: &mut [u32], filled: &mut usize) -> Tally {
    let Marks { delimiter, quote } = blocks.marks;
    let mut tally = Tally::default();
    let mut base = blocks.base;
    for block in blocks.text {
        let mut marks = 0;
        for (index, word) in block.as_chunks::<8>().0.iter().enumerate() {
            let word = u64::from_le_bytes(*word);
            let newlines = equal(word, b'\n');
            let quotes = equal(word, quote);
            let high_bits = equal(word, delimiter) | newlines | quotes;
            // The product moves the eight high bits next to each other.
            let bits = (high_bits >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56;
            marks |= bits << (8 * index);
            tally.newlines += newlines.count_ones() as usize;
            tally.any_quote |= quotes != 0;
        }
        append(positions, filled, base, marks);
        base = base.wrapping_add(64);
    }
    tally
}

/// The high bit of each byte that equals `wanted`.
#[inline]
fn equal(word: u64, wanted: u8) -> u64 {
    const LOW_SEVEN: u64 = u64::from_ne_bytes([0x7f; 8]);
    let difference = word ^ u64::from_ne_bytes([wanted; 8]);
    !(((difference & LOW_SEVEN) + LOW_SEVEN) | difference | LOW_SEVEN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Instructions, Marks, SLACK, Tally};

    /// Every set of instructions this machine has against a plain loop: a missed mark is a lost or joined field.
    fn all_agree(text: &[u8], marks: Marks) {
        let is_mark = |byte: u8| byte == b'\n' || byte == marks.delimiter || byte == marks.quote;
        let expected: Vec<u32> =
            (0..).zip(text).filter(|(_, byte)| is_mark(**byte)).map(|(at, _)| at + 7).collect();
        let tally = Tally {
            newlines: text.split(|byte| *byte == b'\n').count() - 1,
            any_quote: text.contains(&marks.quote),
        };
        for instructions in Instructions::available() {
            let mut positions = vec![9; 3 + text.len() + SLACK];
            let mut filled = 3;
            assert_eq!(
                instructions.scan(text, 7, marks, &mut positions, &mut filled),
                tally,
                "{instructions:?}"
            );
            assert_eq!(&positions[..3], [9; 3], "{instructions:?}");
            assert_eq!(&positions[3..filled], expected, "{instructions:?}");
        }
    }

    #[test]
    fn nothing_but_marks_and_no_mark_at_all() {
        let marks = Marks { delimiter: b',', quote: b'"' };
        for length in [0, 1, 7, 8, 9, 15, 16, 17, 63, 64, 65, 127, 128, 129, 1000, 20_000] {
            all_agree(&vec![b','; length], marks);
            all_agree(&vec![b'x'; length], marks);
            all_agree(&vec![b'\n'; length], Marks { delimiter: b'\n', quote: b'\n' });
            all_agree(&vec![0; length], Marks { delimiter: 0, quote: b'"' });
        }
    }

    proptest! {
        #[test]
        fn any_bytes(text: Vec<u8>, delimiter: u8) {
            all_agree(&text, Marks { delimiter, quote: b'"' });
        }

        #[test]
        fn many_marks(text in proptest::collection::vec(proptest::sample::select(b"a,\"\n\r\x8d\xac".as_slice()), 0..300)) {
            all_agree(&text, Marks { delimiter: b',', quote: b'"' });
        }
    }
}
