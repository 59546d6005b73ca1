//! The index with the vector instructions of x86-64.

use std::arch::x86_64::{
    __m256i, __m512i, _mm256_cmpeq_epi8, _mm256_movemask_epi8, _mm256_or_si256, _mm256_sad_epu8,
    _mm256_set1_epi8, _mm256_setzero_si256, _mm256_sub_epi8, _mm256_testz_si256, _mm512_add_epi32,
    _mm512_castsi512_si128, _mm512_cmpeq_epi8_mask, _mm512_cvtepu8_epi32, _mm512_extracti32x4_epi32,
    _mm512_maskz_compress_epi8, _mm512_set1_epi8, _mm512_set1_epi32,
};

use bytemuck::cast;

use super::{Blocks, Tally, append};

/// Whether [`scan_avx512`] can run here.
pub(super) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vbmi2")
        && is_x86_feature_detected!("popcnt")
}

/// Whether [`scan_avx2`] can run here.
pub(super) fn has_avx2() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("popcnt")
}

/// Compares sixty-four bytes at once and packs the positions of the hits without a loop over bits.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,popcnt")]
pub(super) fn scan_avx512(blocks: Blocks, positions: &mut [u32], filled: &mut usize) -> Tally {
    let delimiter = _mm512_set1_epi8(blocks.marks.delimiter.cast_signed());
    let newline = _mm512_set1_epi8(b'\n'.cast_signed());
    let quote = _mm512_set1_epi8(blocks.marks.quote.cast_signed());
    let numbers: __m512i = cast::<[u8; 64], _>(std::array::from_fn(|index| index as u8));

    let mut newline_count = 0;
    let mut all_quotes = 0;
    let mut base = _mm512_set1_epi32(blocks.base.cast_signed());
    let mut at = *filled;
    for block in blocks.text {
        let bytes: __m512i = cast(*block);
        let newlines = _mm512_cmpeq_epi8_mask(bytes, newline);
        let quotes = _mm512_cmpeq_epi8_mask(bytes, quote);
        let hits = _mm512_cmpeq_epi8_mask(bytes, delimiter) | newlines | quotes;
        newline_count += newlines.count_ones() as usize;
        all_quotes |= quotes;

        let packed = _mm512_maskz_compress_epi8(hits, numbers);
        let store = |positions: &mut [u32], at: usize, sixteen| {
            let wide: [u32; 16] = cast(_mm512_add_epi32(_mm512_cvtepu8_epi32(sixteen), base));
            positions[at..at + 16].copy_from_slice(&wide);
        };
        store(positions, at, _mm512_castsi512_si128(packed));
        let count = hits.count_ones() as usize;
        if count > 16 {
            store(positions, at + 16, _mm512_extracti32x4_epi32::<1>(packed));
            store(positions, at + 32, _mm512_extracti32x4_epi32::<2>(packed));
            store(positions, at + 48, _mm512_extracti32x4_epi32::<3>(packed));
        }
        at += count;
        base = _mm512_add_epi32(base, _mm512_set1_epi32(64));
    }
    *filled = at;
    Tally { newlines: newline_count, any_quote: all_quotes != 0 }
}

/// Compares thirty-two bytes at once. What is only counted or asked for at the end stays in vector registers: to bring a
/// comparison into a general one costs as much as the comparison.
#[target_feature(enable = "avx2,bmi1,popcnt")]
pub(super) fn scan_avx2(blocks: Blocks, positions: &mut [u32], filled: &mut usize) -> Tally {
    let delimiter = _mm256_set1_epi8(blocks.marks.delimiter.cast_signed());
    let newline = _mm256_set1_epi8(b'\n'.cast_signed());
    let quote = _mm256_set1_epi8(blocks.marks.quote.cast_signed());
    let zero = _mm256_setzero_si256();

    let mut all_quotes = zero;
    let mut newline_count = 0;
    let mut base = blocks.base;
    // Each byte of the counter takes two more newlines a block, at most, and may not overflow.
    for group in blocks.text.chunks(usize::from(u8::MAX) / 2) {
        let mut newline_counts = zero;
        for block in group {
            let halves: [__m256i; 2] = cast(*block);
            let marks = halves.map(|bytes| {
                let newlines = _mm256_cmpeq_epi8(bytes, newline);
                let quotes = _mm256_cmpeq_epi8(bytes, quote);
                // What is equal is all ones: minus one.
                newline_counts = _mm256_sub_epi8(newline_counts, newlines);
                all_quotes = _mm256_or_si256(all_quotes, quotes);
                let hits =
                    _mm256_or_si256(_mm256_cmpeq_epi8(bytes, delimiter), _mm256_or_si256(newlines, quotes));
                u64::from(_mm256_movemask_epi8(hits).cast_unsigned())
            });
            append(positions, filled, base, marks[0] | marks[1] << 32);
            base = base.wrapping_add(64);
        }
        let sums: [u64; 4] = cast(_mm256_sad_epu8(newline_counts, zero));
        newline_count += sums.iter().sum::<u64>() as usize;
    }
    Tally { newlines: newline_count, any_quote: _mm256_testz_si256(all_quotes, all_quotes) == 0 }
}
