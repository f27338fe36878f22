//! Spans and metrics as OTLP has them. Pure.

use jiff::Timestamp;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as PointNumber;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint,
    ResourceMetrics, ScopeMetrics, Sum,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use super::exporter::MetricsRequest;
use crate::metrics::{Family, FamilyPoints, Kind, Number, Point, PointValue};

/// Points of metrics of one request: some megabytes.
const MOST_POINTS: usize = 10_000;
/// All totals are since a beginning.
const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

/// An attribute with a text.
pub(super) fn text(key: &str, text: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(text.into()))
}

/// An attribute with a number.
pub(super) fn number(key: &str, number: i64) -> KeyValue {
    attribute(key, Value::IntValue(number))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// A time as OTLP has it.
pub(super) fn nanos(at: Timestamp) -> u64 {
    u64::try_from(at.as_nanosecond()).unwrap_or(0)
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "openpeta".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    }
}

/// Spans to be sent.
pub(super) fn spans(resource: Resource, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans {
        scope: Some(scope()),
        spans,
        ..ScopeSpans::default()
    }];
    let resource_spans = vec![ResourceSpans {
        resource: Some(resource),
        scope_spans,
        ..ResourceSpans::default()
    }];
    ExportTraceServiceRequest { resource_spans }
}

/// Metrics to be sent, in as many requests as they need. What the service counts itself began with
/// it; when what an instance or a node counts began is not known here.
pub(super) fn metrics(
    resource: &Resource,
    families: Vec<FamilyPoints>,
    began: Timestamp,
    now: Timestamp,
) -> Vec<MetricsRequest> {
    let mut requests: Vec<(usize, Vec<Metric>)> = vec![(0, Vec::new())];
    for (family, points) in families {
        let is_own = !family
            .labels
            .iter()
            .any(|label| matches!(*label, "instance_id" | "node_id"));
        let times = Times {
            began: if is_own { nanos(began) } else { 0 },
            now: nanos(now),
        };
        let mut points = points.into_iter().peekable();
        while points.peek().is_some() {
            let (taken, list) = requests.last_mut().expect("there is one");
            let room = MOST_POINTS - *taken;
            if room == 0 {
                requests.push((0, Vec::new()));
                continue;
            }
            let piece: Vec<_> = points.by_ref().take(room).collect();
            *taken += piece.len();
            list.push(metric(family, piece, times));
        }
    }
    let requests = requests.into_iter().filter(|(points, _)| *points > 0);
    requests
        .map(|(points, metrics)| MetricsRequest {
            request: request(resource.clone(), metrics),
            points: points as u64,
        })
        .collect()
}

fn request(resource: Resource, metrics: Vec<Metric>) -> ExportMetricsServiceRequest {
    let scope_metrics = vec![ScopeMetrics {
        scope: Some(scope()),
        metrics,
        ..ScopeMetrics::default()
    }];
    let resource_metrics = vec![ResourceMetrics {
        resource: Some(resource),
        scope_metrics,
        ..ResourceMetrics::default()
    }];
    ExportMetricsServiceRequest { resource_metrics }
}

#[derive(Clone, Copy)]
struct Times {
    /// 0 where it is not known.
    began: u64,
    now: u64,
}

fn metric(family: &Family, points: Vec<Point>, times: Times) -> Metric {
    let numbers = |points: Vec<Point>, began| {
        let points = points.into_iter();
        points
            .filter_map(|point| number_point(family, point, began, times.now))
            .collect()
    };
    let data = match family.kind {
        Kind::Gauge | Kind::Info => Data::Gauge(Gauge {
            data_points: numbers(points, 0),
        }),
        Kind::Counter => Data::Sum(Sum {
            data_points: numbers(points, times.began),
            aggregation_temporality: CUMULATIVE,
            is_monotonic: true,
        }),
        Kind::Histogram => Data::Histogram(Histogram {
            data_points: points
                .into_iter()
                .filter_map(|point| histogram_point(family, point, times))
                .collect(),
            aggregation_temporality: CUMULATIVE,
        }),
    };
    let name = match family.kind {
        Kind::Info => family.sample_name(),
        // Receivers for Prometheus add what its counters have at the end.
        _ => family.name.to_owned(),
    };
    let unit = match family.unit {
        "seconds" => "s",
        "bytes" => "By",
        other => other,
    };
    Metric {
        name,
        description: family.help.to_owned(),
        unit: unit.to_owned(),
        data: Some(data),
        ..Metric::default()
    }
}

fn number_point(family: &Family, point: Point, began: u64, now: u64) -> Option<NumberDataPoint> {
    let PointValue::Number(value) = point.value else {
        return None;
    };
    let value = match value {
        Number::Whole(value) => PointNumber::AsInt(i64::try_from(value).unwrap_or(i64::MAX)),
        Number::Real(value) => PointNumber::AsDouble(value),
    };
    Some(NumberDataPoint {
        attributes: attributes(family, point.labels),
        start_time_unix_nano: began,
        time_unix_nano: now,
        value: Some(value),
        ..NumberDataPoint::default()
    })
}

fn histogram_point(family: &Family, point: Point, times: Times) -> Option<HistogramDataPoint> {
    let PointValue::Histogram {
        bounds_seconds,
        counts,
        sum_seconds,
    } = point.value
    else {
        return None;
    };
    Some(HistogramDataPoint {
        attributes: attributes(family, point.labels),
        start_time_unix_nano: times.began,
        time_unix_nano: times.now,
        count: counts.iter().sum(),
        sum: Some(sum_seconds),
        bucket_counts: counts,
        explicit_bounds: bounds_seconds,
        ..HistogramDataPoint::default()
    })
}

fn attributes(family: &Family, values: Vec<String>) -> Vec<KeyValue> {
    let pairs = family.labels.iter().zip(values);
    pairs.map(|(name, value)| text(name, value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    static CALLS: Family = Family {
        name: "a_calls",
        kind: Kind::Counter,
        unit: "",
        labels: &["code"],
        help: "Calls.",
    };

    #[test]
    fn many_points_go_in_several_requests() {
        let points = |count: usize| -> Vec<_> {
            let point = |number: usize| Point {
                labels: vec![number.to_string()],
                value: PointValue::Number(Number::Whole(number as u64)),
            };
            (0..count).map(point).collect()
        };
        let families = vec![(&CALLS, points(3)), (&CALLS, points(2 * MOST_POINTS))];
        let at = |second| Timestamp::from_second(second).expect("in range");
        let requests = metrics(&Resource::default(), families, at(1), at(2));
        let counts: Vec<_> = requests.iter().map(|request| request.points).collect();
        assert_eq!(counts, [MOST_POINTS as u64, MOST_POINTS as u64, 3]);
        let sent: usize = requests
            .iter()
            .flat_map(|request| &request.request.resource_metrics[0].scope_metrics[0].metrics)
            .map(|metric| match &metric.data {
                Some(Data::Sum(sum)) => {
                    assert_eq!(sum.data_points[0].start_time_unix_nano, 1_000_000_000);
                    sum.data_points.len()
                }
                _ => 0,
            })
            .sum();
        assert_eq!(sent, 2 * MOST_POINTS + 3);
        assert!(metrics(&Resource::default(), Vec::new(), at(1), at(2)).is_empty());
    }
}
