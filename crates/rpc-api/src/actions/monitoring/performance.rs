//! What DescribeInstancePerformance and DescribeDatabasePerformance share.

use jiff::Timestamp;

use super::items::{MONITOR_GROUPS, group};
use crate::{ApiError, ApiResponse, FieldWriter, Params};

/// The form of the values, if all are whole; their units are in DescribeMonitorItems.
const WHOLE: &str = "integer";
/// If not.
const WITH_FRACTIONS: &str = "double";
/// Digits of a fraction.
const DIGITS: usize = 6;

/// A metric, as a call asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MonitorKey {
    /// The group that it is in.
    pub group: &'static str,
    /// Its key.
    pub key: &'static str,
}

/// Reads KeyList: keys of MonitorGroup, or of any group without one. A key that occurs twice is
/// meant once. One that several groups have is that of the first of them, `gas`, which is the new version's.
pub(super) fn keys(params: &Params) -> Result<Vec<MonitorKey>, ApiError> {
    let groups = match params.get("MonitorGroup") {
        Some(name) => std::slice::from_ref(
            group(name).ok_or_else(|| ApiError::value_not_supported("MonitorGroup"))?,
        ),
        None => &MONITOR_GROUPS,
    };
    let mut keys = Vec::new();
    for asked in params.required("KeyList")?.split(',') {
        let mut known = groups.iter().flat_map(|group| {
            group.items.iter().map(|item| MonitorKey {
                group: group.name,
                key: item.key,
            })
        });
        let key = known
            .find(|known| known.key == asked.trim())
            .ok_or_else(|| ApiError::value_not_supported("KeyList"))?;
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    Ok(keys)
}

/// The values of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The metric's key.
    pub key: &'static str,
    /// When each value's step began, and the value; oldest first. Where nothing was sampled there
    /// is none.
    pub values: Vec<(Timestamp, f64)>,
}

/// The answer to both.
#[derive(Clone, Debug, PartialEq)]
pub struct PerformanceResponse {
    /// A series for each key, in the order of the request.
    pub series: Vec<Series>,
}

impl ApiResponse for PerformanceResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.list(
            "MonitorDatas",
            "MonitorData",
            &self.series,
            |writer, series| {
                let values: Vec<_> = series
                    .values
                    .iter()
                    .map(|(_, value)| shown(*value))
                    .collect();
                let is_whole = values.iter().all(|value| !value.contains('.'));
                writer.text("Key", series.key);
                writer.text("Unit", if is_whole { WHOLE } else { WITH_FRACTIONS });
                let values = series.values.iter().zip(&values);
                writer.list(
                    "PerformanceValues",
                    "PerformanceValue",
                    values,
                    |writer, ((at, _), value)| {
                        writer.text("Value", value);
                        writer.display("Date", &at.as_millisecond());
                    },
                );
            },
        );
    }
}

/// A value without an exponent, and without zeros at the end of its fraction.
fn shown(value: f64) -> String {
    let text = format!("{value:.DIGITS$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Format, render_response};
    use openpeta_types::RequestId;

    fn rendered(format: Format, values: &[(i64, f64)]) -> String {
        let values = values.iter().map(|(second, value)| {
            let at = Timestamp::from_second(*second).expect("in range");
            (at, *value)
        });
        let series = Series {
            key: "sqps",
            values: values.collect(),
        };
        let response = PerformanceResponse {
            series: vec![series],
        };
        let id = RequestId::from_random([1; 16]);
        render_response(format, "DescribeInstancePerformance", id, &response)
    }

    #[test]
    fn whole_values_are_integers_and_others_are_not() {
        let whole = rendered(Format::Json, &[(0, 12.0), (60, 300.0), (120, 0.0)]);
        let expected = concat!(
            r#""MonitorData":[{"Key":"sqps","Unit":"integer","PerformanceValues":{"PerformanceValue":["#,
            r#"{"Value":"12","Date":"0"},{"Value":"300","Date":"60000"},{"Value":"0","Date":"120000"}]}}]"#,
        );
        assert!(whole.contains(expected), "{whole}");
        let fraction = rendered(Format::Json, &[(0, 12.0), (60, 0.05), (120, 1e15 / 3.0)]);
        assert!(fraction.contains(r#""Unit":"double""#), "{fraction}");
        assert!(fraction.contains(r#""Value":"0.05""#) && fraction.contains(r#""Value":"12""#));
        let empty = rendered(Format::Json, &[]);
        assert!(
            empty.contains(r#""Unit":"integer","PerformanceValues":{"PerformanceValue":[]}"#),
            "{empty}"
        );
    }

    #[test]
    fn xml_has_the_same_values() {
        let shown = rendered(Format::Xml, &[(60, 0.25)]);
        let expected = "<MonitorData><Key>sqps</Key><Unit>double</Unit><PerformanceValues>\
            <PerformanceValue><Value>0.25</Value><Date>60000</Date></PerformanceValue></PerformanceValues></MonitorData>";
        assert!(shown.contains(expected), "{shown}");
    }
}
