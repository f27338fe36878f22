//! Metrics as numbers, for those who do not read text.

use super::exposition::{Family, Histogram, Number};

/// One series of a family at this moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    /// A value for each of the family's labels.
    pub(crate) labels: Vec<String>,
    pub(crate) value: PointValue,
}

/// What it says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PointValue {
    Number(Number),
    Histogram {
        /// Where ranges end.
        bounds_seconds: Vec<f64>,
        /// Observations of each range, and, last, of those above.
        counts: Vec<u64>,
        sum_seconds: f64,
    },
}

/// A family and its series.
pub(crate) type FamilyPoints = (&'static Family, Vec<Point>);

impl Point {
    pub(super) fn number(labels: &[&str], value: Number) -> Self {
        Self::new(labels, PointValue::Number(value))
    }

    pub(super) fn histogram(labels: &[&str], its: Histogram<'_>) -> Self {
        let bounds = its.bounds_micros.iter();
        let value = PointValue::Histogram {
            bounds_seconds: bounds.map(|micros| *micros as f64 / 1e6).collect(),
            counts: its.counts.to_vec(),
            sum_seconds: its.sum_seconds,
        };
        Self::new(labels, value)
    }

    fn new(labels: &[&str], value: PointValue) -> Self {
        Self {
            labels: labels.iter().map(|text| (*text).to_owned()).collect(),
            value,
        }
    }
}
