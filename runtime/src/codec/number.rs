//! Avro's numbers of variable length (Avro 1.12, Binary Encoding): zigzag, in groups of seven bits, the lowest first.

/// How many bytes the longest takes.
pub(super) const LONGEST: usize = 10;

/// Reads a number whose bytes come from `byte`; one of more than 64 bits is the error that `too_long` makes.
#[inline]
pub(super) fn read<E>(mut byte: impl FnMut() -> Result<u8, E>, too_long: impl FnOnce() -> E) -> Result<i64, E> {
    let first = byte()?;
    let number = if first < 0x80 { u64::from(first) } else { rest(first, byte, too_long)? };
    Ok((number >> 1) as i64 ^ -((number & 1) as i64))
}

fn rest<E>(first: u8, mut byte: impl FnMut() -> Result<u8, E>, too_long: impl FnOnce() -> E) -> Result<u64, E> {
    let mut number = u64::from(first & 0x7f);
    for group in 1..LONGEST {
        let byte = byte()?;
        if group == LONGEST - 1 && byte > 1 {
            break;
        }
        number |= u64::from(byte & 0x7f) << (7 * group);
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(too_long())
}

/// Appends a number.
pub(super) fn write(number: i64, bytes: &mut Vec<u8>) {
    let mut zigzag = ((number << 1) ^ (number >> 63)) as u64;
    while zigzag >= 0x80 {
        bytes.push(zigzag as u8 | 0x80);
        zigzag >>= 7;
    }
    bytes.push(zigzag as u8);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(bytes: &[u8]) -> Result<i64, &'static str> {
        let mut bytes = bytes.iter();
        read(|| bytes.next().copied().ok_or("too short"), || "too long")
    }

    #[test]
    fn a_number_is_read_as_the_specification_writes_it() {
        for (number, bytes) in [(0, &[0][..]), (-1, &[1]), (1, &[2]), (-64, &[0x7f]), (64, &[0x80, 1])] {
            assert_eq!(of(bytes), Ok(number));
        }
    }

    #[test]
    fn a_number_has_at_most_64_bits_and_an_end() {
        assert_eq!(of(&[&[0xff; 9][..], &[1]].concat()), Ok(i64::MIN));
        assert_eq!(of(&[&[0xff; 9][..], &[3]].concat()), Err("too long"));
        assert_eq!(of(&[0xff; 11]), Err("too long"));
        assert_eq!(of(&[0x80]), Err("too short"));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(number: i64) {
            let mut bytes = Vec::new();
            write(number, &mut bytes);
            prop_assert_eq!(of(&bytes), Ok(number));
        }
    }
}
