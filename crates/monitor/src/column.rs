//! A column of a block: integers as differences, in as few bits as the frame that they are in needs.
//!
//! Either the values' differences to the first one or their differences to each other are kept,
//! whichever takes less: the first for what goes up and down around a level, the second for what
//! grows. What divides all of them (sizes come in pages of a file system) is kept once. Frames of
//! [`FRAME`] values have a least value and a width in bits of their own, so that a spike is not
//! paid for by its neighbours.

use crate::error::Corrupt;
use crate::varint::{Reader, put_i64, put_u64};

const FRAME: usize = 64;

const SAME: u8 = 0;
const LEVELS: u8 = 1;
const STEPS: u8 = 2;

/// Appends the values, at least one.
pub(crate) fn encode(out: &mut Vec<u8>, values: &[i64]) {
    let first = values[0];
    let mut levels: Vec<i64> = values.iter().map(|v| v.wrapping_sub(first)).collect();
    let divisor = greatest_divisor(&levels);
    if divisor == 0 {
        out.push(SAME);
        put_i64(out, first);
        return;
    }
    // The least integer alone has no magnitude that an i64 holds; it is then left as it is.
    let unit = i64::try_from(divisor).unwrap_or(1);
    levels.iter_mut().for_each(|level| *level /= unit);
    let mut steps = levels.clone();
    for index in (1..steps.len()).rev() {
        steps[index] = levels[index].wrapping_sub(levels[index - 1]);
    }
    let (kind, kept) = if bits(&steps) < bits(&levels) {
        (STEPS, steps)
    } else {
        (LEVELS, levels)
    };
    out.push(kind);
    put_i64(out, first);
    put_u64(out, unit as u64);
    for frame in kept.chunks(FRAME) {
        let least = frame.iter().copied().min().unwrap_or(0);
        let width = width(frame, least);
        put_i64(out, least);
        out.push(width as u8);
        pack(out, frame, least, width);
    }
}

/// What divides all; zero if all are zero.
fn greatest_divisor(values: &[i64]) -> u64 {
    let mut divisor = 0_u64;
    for value in values {
        let mut rest = value.unsigned_abs();
        while rest != 0 {
            (divisor, rest) = (rest, divisor % rest);
        }
        if divisor == 1 {
            break;
        }
    }
    divisor
}

fn bits(values: &[i64]) -> usize {
    let bits_of = |frame: &[i64]| {
        let least = frame.iter().copied().min().unwrap_or(0);
        width(frame, least) * frame.len()
    };
    values.chunks(FRAME).map(bits_of).sum()
}

/// Bits that the largest difference to the least value takes.
fn width(frame: &[i64], least: i64) -> usize {
    let most = frame.iter().copied().max().unwrap_or(least);
    let range = most.wrapping_sub(least) as u64;
    (u64::BITS - range.leading_zeros()) as usize
}

fn pack(out: &mut Vec<u8>, frame: &[i64], least: i64, width: usize) {
    let (mut held, mut count) = (0_u128, 0);
    for value in frame {
        held |= u128::from(value.wrapping_sub(least) as u64) << count;
        count += width;
        while count >= 8 {
            out.push(held as u8);
            held >>= 8;
            count -= 8;
        }
    }
    if count > 0 {
        out.push(held as u8);
    }
}

/// Reads `count` values into `values`, which is emptied before.
pub(crate) fn decode(
    reader: &mut Reader<'_>,
    count: usize,
    values: &mut Vec<i64>,
) -> Result<(), Corrupt> {
    values.clear();
    let kind = reader.u8()?;
    let first = reader.i64()?;
    if kind == SAME {
        values.resize(count, first);
        return Ok(());
    }
    let unit = reader.u64()? as i64;
    while values.len() < count {
        let in_frame = FRAME.min(count - values.len());
        let least = reader.i64()?;
        let width = usize::from(reader.u8()?);
        if width > 64 {
            return Err(Corrupt);
        }
        let packed = reader.bytes((in_frame * width).div_ceil(8))?;
        unpack(packed, in_frame, width, |bits| {
            values.push(least.wrapping_add(bits as i64));
        });
    }
    match kind {
        LEVELS => {
            for value in values.iter_mut() {
                *value = first.wrapping_add(value.wrapping_mul(unit));
            }
        }
        STEPS => {
            let mut level = first;
            for value in values.iter_mut() {
                level = level.wrapping_add(value.wrapping_mul(unit));
                *value = level;
            }
        }
        _ => return Err(Corrupt),
    }
    Ok(())
}

#[inline]
fn unpack(packed: &[u8], count: usize, width: usize, mut visit: impl FnMut(u64)) {
    if width == 0 {
        (0..count).for_each(|_| visit(0));
        return;
    }
    let mask = u64::MAX >> (64 - width);
    let mut at = 0;
    for _ in 0..count {
        let (byte, shift) = (at / 8, at % 8);
        let word = match packed.get(byte..byte + 8) {
            // Up to 57 bits are in one word wherever they begin.
            Some(eight) if width <= 57 => {
                let eight: [u8; 8] = eight.try_into().unwrap_or_default();
                u64::from_le_bytes(eight) >> shift
            }
            _ => {
                let mut wide = [0; 16];
                let rest = &packed[byte..packed.len().min(byte + 16)];
                wide[..rest.len()].copy_from_slice(rest);
                (u128::from_le_bytes(wide) >> shift) as u64
            }
        };
        visit(word & mask);
        at += width;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn back(values: &[i64]) -> (usize, Vec<i64>) {
        let mut bytes = Vec::new();
        encode(&mut bytes, values);
        let (mut reader, mut read) = (Reader(&bytes), Vec::new());
        decode(&mut reader, values.len(), &mut read).expect("what was encoded");
        assert!(reader.is_empty());
        (bytes.len(), read)
    }

    proptest! {
        #[test]
        fn values_come_back(values in vec(any::<i64>(), 1..300)) {
            prop_assert_eq!(back(&values).1, values);
        }

        #[test]
        fn values_of_any_magnitude_come_back(
            bits in 0_u32..64,
            unit in 1_i64..5000,
            raw in vec(any::<i64>(), 1..300),
        ) {
            let values: Vec<_> = raw.iter().map(|v| (v >> bits).wrapping_mul(unit)).collect();
            prop_assert_eq!(back(&values).1, values);
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>, count in 1_usize..500) {
            let mut read = Vec::new();
            if decode(&mut Reader(&bytes), count, &mut read).is_ok() {
                prop_assert_eq!(read.len(), count);
            }
        }
    }

    #[test]
    fn what_changes_little_takes_little() {
        assert!(back(&[7; 240]).0 <= 2);
        let pages: Vec<_> = (0..240).map(|i| (1 << 40) + i / 7 * 16384).collect();
        assert!(back(&pages).0 < 60, "a bit a value: {}", back(&pages).0);
        let mut spike = vec![3; 240];
        spike[100] = 1 << 50;
        assert!(back(&spike).0 < 32, "{}", back(&spike).0);
        assert_eq!(back(&[i64::MIN, i64::MAX, 0]).1, [i64::MIN, i64::MAX, 0]);
        assert_eq!(back(&[0, i64::MIN]).1, [0, i64::MIN]);
    }
}
