//! Numbers for people, and series of them in a line of text. Pure.

/// Blocks of one to eight eighths.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A number in at most six characters.
pub fn number(value: f64) -> String {
    let size = value.abs();
    for (from, unit) in [(1e12, 'T'), (1e9, 'G'), (1e6, 'M'), (1e4, 'k')] {
        if size >= from {
            let shown = if unit == 'k' {
                value / 1e3
            } else {
                value / from
            };
            return format!("{}{unit}", digits(shown));
        }
    }
    digits(value)
}

/// A number of bytes.
pub fn bytes(value: f64) -> String {
    let mut value = value;
    for unit in ["", "K", "M", "G"] {
        if value.abs() < 1000.0 {
            return format!("{}{unit}", digits(value));
        }
        value /= 1024.0;
    }
    format!("{}T", digits(value))
}

/// Two digits that count, and all before the point.
fn digits(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 {
        "0".to_owned()
    } else if size >= 9.95 {
        format!("{value:.0}")
    } else if size >= 0.995 {
        let text = format!("{value:.1}");
        text.trim_end_matches(".0").to_owned()
    } else if size >= 0.0995 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}

/// The last values, a block each, as high as the largest of them allows.
pub fn spark(values: &[f64], width: usize) -> String {
    let values = &values[values.len().saturating_sub(width)..];
    let largest = values.iter().copied().fold(0.0, f64::max);
    let block = |value: &f64| match largest > 0.0 && *value > 0.0 {
        true => BLOCKS[eighths(*value / largest, 8).saturating_sub(1).min(7)],
        false => BLOCKS[0],
    };
    values.iter().map(block).collect()
}

/// A share of so many eighths; what is more than nothing is one at least.
fn eighths(share: f64, of: usize) -> usize {
    let eighths = (share.clamp(0.0, 1.0) * of as f64).round() as usize;
    eighths.max(usize::from(share > 0.0))
}

/// A series as bars, lines from above to below, a column for each value; a gap is empty.
pub fn bars(values: &[Option<f64>], largest: f64, height: usize) -> Vec<String> {
    let filled: Vec<_> = values
        .iter()
        .map(|value| value.map(|value| eighths(value / largest.max(f64::MIN_POSITIVE), height * 8)))
        .collect();
    let line = |row: usize| {
        let below = (height - 1 - row) * 8;
        let cell = |filled: &Option<usize>| match filled.map(|filled| filled.saturating_sub(below))
        {
            None => ' ',
            // A value of nothing is told from a gap.
            Some(0) if below == 0 => '_',
            Some(0) => ' ',
            Some(eighths) => BLOCKS[eighths.min(8) - 1],
        };
        let line: String = filled.iter().map(cell).collect();
        line.trim_end().to_owned()
    };
    (0..height).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, shown) in [
            (0.0, "0"),
            (0.007, "0.0070"),
            (0.5, "0.50"),
            (1.0, "1"),
            (9.96, "10"),
            (2.5, "2.5"),
            (700.0, "700"),
            (9_999.0, "9999"),
            (12_345.0, "12k"),
            (1_500_000.0, "1.5M"),
            (7e9, "7G"),
            (-3.25, "-3.2"),
        ] {
            assert_eq!(number(value), shown);
        }
        for (value, shown) in [
            (0.0, "0"),
            (999.0, "999"),
            (1024.0, "1K"),
            ((64 << 20) as f64, "64M"),
            (1.5 * (1_u64 << 30) as f64, "1.5G"),
            (3e15, "2728T"),
        ] {
            assert_eq!(bytes(value), shown);
        }
    }

    #[test]
    fn a_sparkline_has_the_last_values() {
        assert_eq!(spark(&[100.0, 1.0, 4.0, 8.0, 0.0], 4), "▁▄█▁");
        assert_eq!(spark(&[0.0, 0.0], 4), "▁▁");
        assert_eq!(spark(&[], 4), "");
    }

    #[test]
    fn bars_have_a_column_for_each_value() {
        let values = [Some(0.0), None, Some(1.0), Some(2.0), Some(4.0)];
        assert_eq!(bars(&values, 4.0, 2), ["    █", "_ ▄██"]);
        assert_eq!(bars(&values, 4.0, 1), ["_ ▂▄█"]);
        assert_eq!(bars(&[None, None], 0.0, 1), [""]);
        assert_eq!(bars(&[Some(0.0)], 0.0, 1), ["_"]);
    }
}
