//! Decoding of hexadecimal digits. Not constant-time: for public data only.

/// Returns the bytes that exactly `2 * N` digits of either case stand for.
pub(crate) fn decode<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let (pairs, []) = digits.as_chunks::<2>() else {
        return None;
    };
    if pairs.len() != N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = decode_byte(*high, *low)?;
    }
    Some(bytes)
}

/// Returns the byte that two digits of either case stand for.
pub(crate) fn decode_byte(high: u8, low: u8) -> Option<u8> {
    Some(16 * decode_digit(high)? + decode_digit(low)?)
}

fn decode_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_bytes_decodes_as_the_standard_library_parses_it() {
        for (high, low) in (0..=u8::MAX).flat_map(|high| (0..=u8::MAX).map(move |low| (high, low)))
        {
            let is_hex = high.is_ascii_hexdigit() && low.is_ascii_hexdigit();
            let expected = is_hex.then(|| {
                let text = String::from_utf8(vec![high, low]).unwrap();
                u8::from_str_radix(&text, 16).unwrap()
            });
            assert_eq!(decode_byte(high, low), expected, "{high} {low}");
        }
    }

    #[test]
    fn decodes_an_exact_number_of_digits() {
        assert_eq!(decode(b"00fF7a"), Some([0, 255, 0x7a]));
        assert_eq!(decode(b""), Some([]));
        for digits in ["00fF7", "00fF7a0", "00fF7a00", "00fF7g", ""] {
            assert_eq!(decode::<3>(digits.as_bytes()), None, "{digits}");
        }
    }
}
