//! git's delta format: copies from a base and literal bytes.

/// Returns the size of what a delta makes, as it says.
pub(super) fn result_size(delta: &[u8]) -> Option<u64> {
    let (_, rest) = size(delta)?;
    Some(size(rest)?.0)
}

/// Applies a delta; `None` when it is not one of this base or makes more or less than it says.
pub(in crate::git) fn apply(base: &[u8], delta: &[u8]) -> Option<Vec<u8>> {
    let (base_size, rest) = size(delta)?;
    let (result_size, mut rest) = size(rest)?;
    if base_size != base.len() as u64 {
        return None;
    }
    let result_size = usize::try_from(result_size).ok()?;
    let mut result = Vec::with_capacity(result_size.min(1 << 20));
    while let Some((&instruction, after)) = rest.split_first() {
        rest = after;
        let piece = if instruction & 0x80 == 0 {
            if instruction == 0 {
                return None;
            }
            let (literal, after) = rest.split_at_checked(usize::from(instruction))?;
            rest = after;
            literal
        } else {
            let mut numbers = [0_usize; 7];
            for (bit, number) in numbers.iter_mut().enumerate() {
                if instruction & 1 << bit != 0 {
                    let (byte, after) = rest.split_first()?;
                    *number = usize::from(*byte);
                    rest = after;
                }
            }
            let number = |bytes: &[usize]| bytes.iter().rev().fold(0, |number, byte| number << 8 | byte);
            let offset = number(&numbers[..4]);
            let length = match number(&numbers[4..]) {
                0 => 0x10000,
                length => length,
            };
            base.get(offset..offset.checked_add(length)?)?
        };
        if result.len() + piece.len() > result_size {
            return None;
        }
        result.extend_from_slice(piece);
    }
    (result.len() == result_size).then_some(result)
}

fn size(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut size = 0;
    for (number, byte) in bytes.iter().enumerate().take(9) {
        size |= u64::from(byte & 0x7f) << (7 * number);
        if byte & 0x80 == 0 {
            return Some((size, &bytes[number + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_and_literals_make_the_result() {
        let delta = [6, 8, 0b1001_0001, 2, 3, 2, b'x', b'y', 0b1001_0000, 3];
        assert_eq!(apply(b"abcdef", &delta).as_deref(), Some(&b"cdexyabc"[..]));
        assert_eq!(result_size(&delta), Some(8));
    }

    #[test]
    fn a_delta_that_leaves_its_base_is_refused() {
        assert_eq!(apply(b"abcdef", &[6, 8, 0b1001_0001, 2, 9]), None);
        assert_eq!(apply(b"abcdef", &[6, 1, 0b1001_0000, 6]), None);
        assert_eq!(apply(b"abcdef", &[5, 1, 1, b'x']), None);
        assert_eq!(apply(b"abcdef", &[6, 1, 0]), None);
    }
}
