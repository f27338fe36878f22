//! Metrics as text, in the format of Prometheus (0.0.4) or OpenMetrics 1.0, or as numbers. Pure.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;

use super::points::{FamilyPoints, Point};

/// What the numbers of a family are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only grows, and begins at zero when what it is of begins anew.
    Counter,
    /// Observations by size.
    Histogram,
    /// A text in labels; its value is 1.
    Info,
}

/// All metrics of one name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Family {
    /// Without the suffix that samples of its kind have.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Empty for a mere number; else the end of the name.
    pub(crate) unit: &'static str,
    pub(crate) labels: &'static [&'static str],
    pub(crate) help: &'static str,
}

impl Family {
    /// The name that samples have, and that queries use; a histogram's is that of its parts.
    pub(crate) fn sample_name(&self) -> String {
        format!("{}{}", self.name, self.suffix())
    }

    const fn suffix(&self) -> &'static str {
        match self.kind {
            Kind::Gauge | Kind::Histogram => "",
            Kind::Counter => "_total",
            Kind::Info => "_info",
        }
    }
}

/// The form that a client asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus' own text format.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// The better of the two by an `Accept` header; OpenMetrics only for those who ask for it.
    pub(crate) fn accepted(accept: &str) -> Self {
        let mut best = (Self::Prometheus, 0.0);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next() {
                Some("application/openmetrics-text") => Self::OpenMetrics,
                Some("text/plain" | "text/*" | "*/*") => Self::Prometheus,
                _ => continue,
            };
            let (mut quality, mut is_known) = (1.0, true);
            for part in parts {
                match part.split_once('=') {
                    Some(("q", value)) => quality = value.parse().unwrap_or(0.0),
                    Some(("version", version)) if format == Self::OpenMetrics => {
                        is_known = matches!(version, "1.0.0" | "0.0.1");
                    }
                    _ => {}
                }
            }
            // Where both are as welcome, the one named first is taken.
            if is_known && quality > best.1 {
                best = (format, quality);
            }
        }
        best.0
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A number as it is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Whole(u64),
    Real(f64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<bool> for Number {
    fn from(value: bool) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

/// Observations by size.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Histogram<'a> {
    /// Where ranges end, in microseconds.
    pub(crate) bounds_micros: &'a [u64],
    /// Observations of each range, and, last, of those above.
    pub(crate) counts: &'a [u64],
    /// All of them together, in seconds.
    pub(crate) sum_seconds: f64,
}

/// Metrics of some families, to be written in the order of a list of all families.
pub(crate) struct Exposition {
    families: &'static [Family],
    places: HashMap<&'static str, usize>,
    form: Form,
}

/// What is gathered of each family.
enum Form {
    /// Its lines.
    Text(Format, Vec<String>),
    /// Its series.
    Points(Vec<Vec<Point>>),
}

impl Exposition {
    /// To be written as text.
    pub(crate) fn new(families: &'static [Family], format: Format) -> Self {
        let lines = families.iter().map(|_| String::new()).collect();
        Self::of(families, Form::Text(format, lines))
    }

    /// To be taken as numbers.
    pub(crate) fn of_points(families: &'static [Family]) -> Self {
        let points = families.iter().map(|_| Vec::new()).collect();
        Self::of(families, Form::Points(points))
    }

    fn of(families: &'static [Family], form: Form) -> Self {
        Self {
            families,
            form,
            places: families
                .iter()
                .enumerate()
                .map(|(place, family)| (family.name, place))
                .collect(),
        }
    }

    /// Adds a sample, with a value for each of the family's labels.
    pub(crate) fn add(&mut self, name: &str, labels: &[&str], value: impl Into<Number>) {
        let family = self.place(name);
        let value = value.into();
        match &mut self.form {
            Form::Points(points) => points[family].push(Point::number(labels, value)),
            Form::Text(_, lines) => {
                let its = &self.families[family];
                line(&mut lines[family], its, its.suffix(), labels, None, value);
            }
        }
    }

    /// Adds a histogram.
    pub(crate) fn add_histogram(&mut self, name: &str, labels: &[&str], its: Histogram<'_>) {
        let family = self.place(name);
        let lines = match &mut self.form {
            Form::Points(points) => return points[family].push(Point::histogram(labels, its)),
            Form::Text(_, lines) => &mut lines[family],
        };
        let family = &self.families[family];
        let mut sum = 0;
        for (place, count) in its.counts.iter().enumerate() {
            sum += count;
            // Shown so by both formats, so that they give the same series.
            let bound = match its.bounds_micros.get(place) {
                Some(micros) => format!("{:?}", *micros as f64 / 1e6),
                None => "+Inf".to_owned(),
            };
            line(lines, family, "_bucket", labels, Some(&bound), sum.into());
        }
        line(lines, family, "_sum", labels, None, its.sum_seconds.into());
        line(lines, family, "_count", labels, None, sum.into());
    }

    /// All series, families without any left out; nothing of what is written as text.
    pub(crate) fn points(self) -> Vec<FamilyPoints> {
        let points = match self.form {
            Form::Points(points) => points,
            Form::Text(..) => Vec::new(),
        };
        let families = self.families.iter().zip(points);
        families.filter(|(_, its)| !its.is_empty()).collect()
    }

    pub(crate) fn text(self) -> String {
        let Form::Text(format, all_lines) = self.form else {
            return String::new();
        };
        let mut text = String::new();
        for (family, lines) in self.families.iter().zip(&all_lines) {
            // Prometheus describes samples by their name, OpenMetrics families.
            let (name, kind) = match (format, family.kind) {
                (_, Kind::Gauge) => (family.name.to_owned(), "gauge"),
                (_, Kind::Histogram) => (family.name.to_owned(), "histogram"),
                (Format::Prometheus, Kind::Counter) => (family.sample_name(), "counter"),
                (Format::Prometheus, Kind::Info) => (family.sample_name(), "gauge"),
                (Format::OpenMetrics, Kind::Counter) => (family.name.to_owned(), "counter"),
                (Format::OpenMetrics, Kind::Info) => (family.name.to_owned(), "info"),
            };
            let help = escaped(family.help, format == Format::OpenMetrics);
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            if format == Format::OpenMetrics && !family.unit.is_empty() {
                let _ = writeln!(text, "# UNIT {name} {}", family.unit);
            }
            text.push_str(lines);
        }
        if format == Format::OpenMetrics {
            text.push_str("# EOF\n");
        }
        text
    }

    fn place(&self, name: &str) -> usize {
        let place = self.places.get(name);
        *place.unwrap_or_else(|| unreachable!("{name} is in the list of families"))
    }
}

/// Writes the line of a sample.
fn line(
    lines: &mut String,
    family: &Family,
    suffix: &str,
    labels: &[&str],
    bound: Option<&str>,
    value: Number,
) {
    let Family {
        name,
        labels: names,
        ..
    } = family;
    debug_assert_eq!(names.len(), labels.len(), "labels of {name}");
    let _ = write!(lines, "{name}{suffix}");
    let pairs = names.iter().copied().zip(labels.iter().copied());
    let mut open = '{';
    for (label, text) in pairs.chain(bound.map(|bound| ("le", bound))) {
        let _ = write!(lines, "{open}{label}=\"{}\"", escaped(text, true));
        open = ',';
    }
    if open == ',' {
        lines.push('}');
    }
    let _ = match value {
        Number::Whole(value) => writeln!(lines, " {value}"),
        Number::Real(value) => writeln!(lines, " {value}"),
    };
}

/// A text for a label, or for HELP, where Prometheus wants quotes as they are.
fn escaped(text: &str, quotes: bool) -> Cow<'_, str> {
    if !text.contains(['\\', '\n', '"']) {
        return text.into();
    }
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    match quotes {
        true => text.replace('"', "\\\"").into(),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static FAMILIES: &[Family] = &[
        Family {
            name: "a_calls",
            kind: Kind::Counter,
            unit: "",
            labels: &["code"],
            help: "Calls, \"all\" of them.",
        },
        Family {
            name: "a_wait_seconds",
            kind: Kind::Histogram,
            unit: "seconds",
            labels: &[],
            help: "Waiting.",
        },
        Family {
            name: "a_build",
            kind: Kind::Info,
            unit: "",
            labels: &["version"],
            help: "Which.",
        },
        Family {
            name: "a_size_bytes",
            kind: Kind::Gauge,
            unit: "bytes",
            labels: &[],
            help: "Size.",
        },
    ];

    fn example(format: Format) -> String {
        let mut out = Exposition::new(FAMILIES, format);
        out.add("a_size_bytes", &[], 2.5);
        out.add("a_calls", &["O\"K\\\n"], 7);
        let histogram = Histogram {
            bounds_micros: &[250, 1_000_000],
            counts: &[1, 0, 2],
            sum_seconds: 9.75,
        };
        out.add_histogram("a_wait_seconds", &[], histogram);
        out.add("a_build", &["1.0"], 1);
        out.text()
    }

    #[test]
    fn prometheus_text() {
        let expected = r#"# HELP a_calls_total Calls, "all" of them.
# TYPE a_calls_total counter
a_calls_total{code="O\"K\\\n"} 7
# HELP a_wait_seconds Waiting.
# TYPE a_wait_seconds histogram
a_wait_seconds_bucket{le="0.00025"} 1
a_wait_seconds_bucket{le="1.0"} 1
a_wait_seconds_bucket{le="+Inf"} 3
a_wait_seconds_sum 9.75
a_wait_seconds_count 3
# HELP a_build_info Which.
# TYPE a_build_info gauge
a_build_info{version="1.0"} 1
# HELP a_size_bytes Size.
# TYPE a_size_bytes gauge
a_size_bytes 2.5
"#;
        assert_eq!(example(Format::Prometheus), expected);
    }

    #[test]
    fn open_metrics() {
        let text = example(Format::OpenMetrics);
        for lines in [
            "# HELP a_calls Calls, \\\"all\\\" of them.\n# TYPE a_calls counter\na_calls_total{",
            "# TYPE a_wait_seconds histogram\n# UNIT a_wait_seconds seconds\na_wait_seconds_bucket{",
            "# TYPE a_build info\na_build_info{",
        ] {
            assert!(text.contains(lines), "{lines} in\n{text}");
        }
        assert!(text.ends_with("\n# EOF\n"));
    }

    #[test]
    fn a_client_gets_what_it_likes_best() {
        let of_prometheus = "application/openmetrics-text;version=1.0.0,\
             application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        for (accept, format) in [
            ("", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("text/html", Format::Prometheus),
            (of_prometheus, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            (
                "application/openmetrics-text; version=2.0.0",
                Format::Prometheus,
            ),
            (
                "application/openmetrics-text;q=0.2, text/plain;q=0.9",
                Format::Prometheus,
            ),
            ("application/openmetrics-text;q=0", Format::Prometheus),
        ] {
            assert_eq!(Format::accepted(accept), format, "{accept}");
        }
    }
}
