//! The positions of the bytes that matter inside strings, one bit for each byte of a text.

/// Number of bytes that one word covers.
const BLOCK: usize = u64::BITS as usize;

/// The positions of all quotes, backslashes and control characters of a text.
///
/// The end of a string is one bit scan away, however often the string is read. The bits take an
/// eighth of the memory of the text, whatever the text contains.
#[derive(Default)]
pub(super) struct SpecialBytes {
    /// Bit `i % 64` of word `i / 64` tells whether byte `i` is special.
    words: Vec<u64>,
}

impl SpecialBytes {
    /// Extends the marks to all bytes before `until`, or to the end of `bytes` if that is earlier.
    pub(super) fn extend(&mut self, bytes: &[u8], until: usize) {
        if self.words.is_empty() {
            self.words.reserve_exact(bytes.len().div_ceil(BLOCK));
        }
        let end = until.checked_next_multiple_of(BLOCK);
        let head = end.and_then(|end| bytes.get(..end)).unwrap_or(bytes);
        let new = head.get(self.words.len() * BLOCK..).unwrap_or_default();
        let (blocks, last) = new.as_chunks::<BLOCK>();
        self.words.extend(blocks.iter().map(marks));
        if !last.is_empty() {
            let mut block = [b' '; BLOCK];
            block
                .iter_mut()
                .zip(last)
                .for_each(|(to, from)| *to = *from);
            self.words.push(marks(&block));
        }
    }

    /// Heap memory in use, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.words.capacity() * size_of::<u64>()
    }

    /// Returns the position of the first special byte from `start` on. Returns `usize::MAX` if
    /// there is none among the marked bytes or in the next `limit` bytes.
    #[inline(always)]
    pub(super) fn find(&self, start: usize, limit: usize) -> usize {
        let index = start / BLOCK;
        let Some(word) = self.words.get(index) else {
            return usize::MAX;
        };
        let rest = word >> (start % BLOCK);
        if rest != 0 {
            return start + rest.trailing_zeros() as usize;
        }
        self.find_in_blocks(index + 1, limit.div_ceil(BLOCK))
    }

    #[inline]
    fn find_in_blocks(&self, first: usize, limit: usize) -> usize {
        let words = self.words.get(first..).unwrap_or_default();
        for (index, word) in (first..).zip(words).take(limit) {
            if *word != 0 {
                return index * BLOCK + word.trailing_zeros() as usize;
            }
        }
        usize::MAX
    }

    /// Returns the end of the string in `bytes` whose opening quote is at `start`, and whether it
    /// contains an escape. `None` if it is not closed within about `limit` bytes.
    pub(super) fn string_end(
        &self,
        bytes: &[u8],
        start: usize,
        limit: usize,
    ) -> Option<(usize, bool)> {
        let mut at = start + 1;
        let mut has_escape = false;
        while at - start <= limit {
            at = self.find(at, limit);
            match bytes.get(at)? {
                b'\\' => {
                    has_escape = true;
                    at += 2;
                }
                _ => return Some((at + 1, has_escape)),
            }
        }
        None
    }
}

/// Returns the marks of one block.
///
/// Without branches, so that the bytes are compared with SIMD instructions. The multiplication
/// gathers the highest bits of eight bytes.
fn marks(block: &[u8; BLOCK]) -> u64 {
    const GATHER: u64 = 0x0002_0408_1020_4081;
    let special = block.map(|byte| {
        if (byte == b'"') | (byte == b'\\') | (byte < 0x20) {
            0x80
        } else {
            0
        }
    });
    let (groups, _) = special.as_chunks::<8>();
    let bits = |group: &[u8; 8]| u64::from_le_bytes(*group).wrapping_mul(GATHER) >> 56;
    groups
        .iter()
        .rev()
        .fold(0, |marks, group| marks << 8 | bits(group))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn finds_every_special_byte_and_no_other(
            bytes in prop::collection::vec(prop_oneof![4 => Just(b'x'), 1 => any::<u8>()], 0..300),
            steps in prop::collection::vec(0..300usize, 0..4),
        ) {
            let mut special = SpecialBytes::default();
            for step in steps {
                special.extend(&bytes, step);
                prop_assert!(special.words.len() >= step.min(bytes.len()).div_ceil(BLOCK));
            }
            special.extend(&bytes, usize::MAX);
            prop_assert_eq!(special.words.len(), bytes.len().div_ceil(BLOCK));
            for start in 0..=bytes.len() + BLOCK {
                let rest = bytes.get(start..).unwrap_or_default();
                let expected = rest.iter().position(|byte| b"\"\\".contains(byte) || *byte < 0x20);
                let expected = expected.map_or(usize::MAX, |found| start + found);
                prop_assert_eq!(special.find(start, usize::MAX), expected);
                let near = special.find(start, BLOCK);
                prop_assert!(near == expected || near == usize::MAX && expected - start >= BLOCK);
            }
        }

        #[test]
        fn string_end_is_behind_the_closing_quote(
            parts in prop::collection::vec(
                prop::sample::select(vec!["x", "é", r#"\""#, r"\\", r"\u00e9", "0123456789abcdef"]), 0..30,
            ),
            after in ".{0,9}",
        ) {
            let inside = parts.concat();
            let text = format!("\"{inside}\"{after}");
            let mut special = SpecialBytes::default();
            special.extend(text.as_bytes(), usize::MAX);
            let end = special.string_end(text.as_bytes(), 0, usize::MAX);
            prop_assert_eq!(end, Some((inside.len() + 2, inside.contains('\\'))));
        }
    }
}
