//! The binary form of `numeric`: digits to the base of 10,000, aligned at the decimal point
//! (`numeric_send` in PostgreSQL's `src/backend/utils/adt/numeric.c`).

use arrow::datatypes::i256;

const NEGATIVE: u16 = 0x4000;
/// Digits of 76 decimal places, aligned, and one more for each end.
const MOST: usize = 22;

/// Appends length and value of `unscaled` · 10^-`scale`.
pub(super) fn write(unscaled: i128, scale: i8, out: &mut Vec<u8>) {
    let mut rest = unscaled.unsigned_abs();
    write_digits(unscaled < 0, scale, out, |base| {
        // Most decimals fit 64 bits, where division is many times faster.
        if let Ok(small) = u64::try_from(rest) {
            let base = u64::from(base);
            rest = u128::from(small / base);
            return ((small % base) as u16, rest != 0);
        }
        let base = u128::from(base);
        let digit = rest % base;
        rest /= base;
        (digit as u16, rest != 0)
    });
}

/// As `write`, for up to 76 digits.
pub(super) fn write_wide(unscaled: i256, scale: i8, out: &mut Vec<u8>) {
    let mut rest = unscaled.wrapping_abs();
    write_digits(unscaled < i256::ZERO, scale, out, |base| {
        let base = i256::from_i128(i128::from(base));
        let digit = rest.wrapping_rem(base);
        rest = rest.wrapping_div(base);
        (digit.as_i128() as u16, rest != i256::ZERO)
    });
}

/// `next(n)` takes the last digit to the base of `n` off the number and says whether more are left.
fn write_digits(negative: bool, scale: i8, out: &mut Vec<u8>, mut next: impl FnMut(u16) -> (u16, bool)) {
    let scale = usize::from(scale.max(0).unsigned_abs());
    let mut digits = [0_u16; MOST];
    let mut count = 0;
    let mut more = true;
    if !scale.is_multiple_of(4) {
        let places = (scale % 4) as u32;
        let (digit, left) = next(10_u16.pow(places));
        digits[0] = digit * 10_u16.pow(4 - places);
        (count, more) = (1, left);
    }
    while more && count < MOST {
        (digits[count], more) = next(10_000);
        count += 1;
    }
    let trailing = digits[..count].iter().take_while(|&&digit| digit == 0).count();
    let leading = digits[trailing..count].iter().rev().take_while(|&&digit| digit == 0).count();
    let weight = (count - leading) as i16 - scale.div_ceil(4) as i16 - 1;
    write_parts(&digits[trailing..count - leading], weight, negative, scale, out);
}

fn write_parts(digits: &[u16], weight: i16, negative: bool, scale: usize, out: &mut Vec<u8>) {
    let (weight, sign) = if digits.is_empty() { (0, 0) } else { (weight, if negative { NEGATIVE } else { 0 }) };
    out.extend_from_slice(&(8 + 2 * digits.len() as i32).to_be_bytes());
    out.extend_from_slice(&(digits.len() as i16).to_be_bytes());
    out.extend_from_slice(&weight.to_be_bytes());
    out.extend_from_slice(&sign.to_be_bytes());
    out.extend_from_slice(&(scale as i16).to_be_bytes());
    for digit in digits.iter().rev() {
        out.extend_from_slice(&digit.to_be_bytes());
    }
}

/// The number in its decimal notation, or the word for what is none. Nothing when the bytes are no `numeric`.
pub(super) fn read(bytes: &[u8]) -> Option<Result<String, &'static str>> {
    let part = |at: usize| bytes.get(at..at + 2).map(|part| i16::from_be_bytes([part[0], part[1]]));
    let (count, weight, sign, scale) = (part(0)?, part(2)?, part(4)? as u16, part(6)?);
    match sign {
        0 | NEGATIVE => {}
        0xd000 => return Some(Err("infinity")),
        0xf000 => return Some(Err("-infinity")),
        _ => return Some(Err("NaN")),
    }
    let digits: Vec<i16> = (0..usize::try_from(count).ok()?).map(|digit| part(8 + 2 * digit)).collect::<Option<_>>()?;
    let digit = |power: i32| {
        let index = usize::try_from(i32::from(weight) - power).ok();
        index.and_then(|index| digits.get(index)).copied().unwrap_or_default()
    };
    let scale = usize::try_from(scale).ok()?;
    let whole: String = (0..=i32::from(weight).max(0)).rev().map(|power| format!("{:04}", digit(power))).collect();
    let fraction: String = (1..=scale.div_ceil(4) as i32).map(|power| format!("{:04}", digit(-power))).collect();
    let whole = whole.trim_start_matches('0');
    let (whole, minus) = (if whole.is_empty() { "0" } else { whole }, if sign == NEGATIVE { "-" } else { "" });
    Some(Ok(if scale == 0 { format!("{minus}{whole}") } else { format!("{minus}{whole}.{}", &fraction[..scale]) }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Unscaled digits and scale, as they read back.
    fn read(bytes: &[u8]) -> (String, i16) {
        assert_eq!(i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize, bytes.len() - 4);
        let text = super::read(&bytes[4..]).expect("is numeric").expect("is a number");
        let scale = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let (minus, digits) = text.strip_prefix('-').map_or(("", &*text), |digits| ("-", digits));
        let digits = digits.replace('.', "");
        let digits = digits.trim_start_matches('0');
        (format!("{minus}{}", if digits.is_empty() { "0" } else { digits }), scale as i16)
    }

    fn written(unscaled: i128, scale: i8) -> Vec<u8> {
        let mut out = Vec::new();
        write(unscaled, scale, &mut out);
        out
    }

    #[test]
    fn the_form_is_the_one_of_the_server() {
        // SELECT numeric_send(-12345.678): 3 digits (1, 2345, 6780), weight 1, negative, scale 3.
        assert_eq!(written(-12_345_678, 3), [0, 0, 0, 14, 0, 3, 0, 1, 0x40, 0, 0, 3, 0, 1, 9, 41, 26, 124]);
        assert_eq!(written(0, 2), [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 2]);
        assert_eq!(super::read(&written(-12_345_678, 3)[4..]), Some(Ok("-12345.678".into())));
        assert_eq!(super::read(&[0, 0, 0, 0, 0xc0, 0, 0, 0]), Some(Err("NaN")));
        assert_eq!(super::read(&[0, 1]), None);
    }

    proptest! {
        #[test]
        fn any_decimal_reads_back(unscaled in any::<i128>(), shift in 0_u32..127, scale in 0_i8..=38) {
            let unscaled = unscaled >> shift;
            prop_assert_eq!(read(&written(unscaled, scale)), (unscaled.to_string(), i16::from(scale)));
        }

        #[test]
        fn a_wide_decimal_reads_back(high in any::<i64>(), low in any::<u128>(), scale in 0_i8..=60) {
            let unscaled = i256::from_parts(low, i128::from(high));
            let mut out = Vec::new();
            write_wide(unscaled, scale, &mut out);
            prop_assert_eq!(read(&out), (unscaled.to_string(), i16::from(scale)));
        }

        #[test]
        fn both_widths_write_the_same(unscaled in any::<i128>(), scale in 0_i8..=38) {
            let mut out = Vec::new();
            write_wide(i256::from_i128(unscaled), scale, &mut out);
            prop_assert_eq!(out, written(unscaled, scale));
        }
    }
}
