//! A time window with a step, as metrics are asked for.

use jiff::{SignedDuration, Timestamp};

use crate::params::decimal;
use crate::{ApiError, Params};

/// Points that a window may have.
const MAX_POINTS: i32 = 400;

/// A time window and the time between two points in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Its start.
    pub start: Timestamp,
    /// Its end, not before its start.
    pub end: Timestamp,
    /// The step in minutes.
    pub interval_minutes: u32,
}

impl Window {
    /// Reads StartTime, EndTime and Interval.
    pub(super) fn from_params(params: &Params) -> Result<Self, ApiError> {
        let window = Self {
            start: params.time("StartTime")?,
            end: params.time("EndTime")?,
            interval_minutes: interval(params.required("Interval")?)?,
        };
        if window.end < window.start {
            return Err(ApiError::end_before_start());
        }
        let step = SignedDuration::from_mins(window.interval_minutes.into());
        if window.end.duration_since(window.start) > step * MAX_POINTS {
            let detail = format!("The window has more than {MAX_POINTS} points.");
            return Err(ApiError::invalid_parameter("Interval").with_detail(&detail));
        }
        Ok(window)
    }

    /// As above, where the three are given together or not at all.
    pub(super) fn optional(params: &Params) -> Result<Option<Self>, ApiError> {
        let names = ["StartTime", "EndTime", "Interval"];
        match names.iter().any(|name| params.get(name).is_some()) {
            true => Self::from_params(params).map(Some),
            false => Ok(None),
        }
    }
}

fn interval(text: &str) -> Result<u32, ApiError> {
    decimal(text)
        .filter(|minutes| (1..=i32::MAX as u32).contains(minutes))
        .ok_or_else(|| ApiError::malformed("Interval"))
}
