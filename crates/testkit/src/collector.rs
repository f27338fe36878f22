//! A collector of telemetry: OTLP over HTTP, decoded with the types that the OpenTelemetry project
//! generates.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, Metric};
use prost::Message;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What a collector does with requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Takes them.
    Take,
    /// Answers so, whatever they are.
    Answer(u16),
    /// Never answers.
    Hang,
}

/// A span as it was received; ids in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedSpan {
    /// Its trace.
    pub trace: String,
    /// Its own id.
    pub id: String,
    /// Its parent's, if it has one.
    pub parent: String,
    /// Its name.
    pub name: String,
    /// Server is 2, internal 1.
    pub kind: i32,
    /// When it began and ended, in nanoseconds.
    pub times: (u64, u64),
    /// Whether its status is an error.
    pub is_error: bool,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// Those of who sent it.
    pub resource: BTreeMap<String, String>,
}

#[derive(Default)]
struct State {
    behaviour: Option<Behaviour>,
    spans: Vec<ReceivedSpan>,
    metrics: BTreeMap<String, f64>,
    readings: u64,
    /// Heads and bodies.
    requests: Vec<Vec<u8>>,
    paths: BTreeSet<String>,
    /// Connections that get no answer.
    hanging: Vec<TcpStream>,
}

/// A collector on a port of its own, for as long as the test's process runs.
#[derive(Clone)]
pub struct Collector {
    address: SocketAddr,
    is_tls: bool,
    state: Arc<Mutex<State>>,
}

impl Collector {
    /// Over HTTP, or HTTPS.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn start(tls: Option<Arc<ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let its = Self {
            address: listener.local_addr().expect("it has one"),
            is_tls: tls.is_some(),
            state: Arc::default(),
        };
        let collector = its.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (collector, tls) = (collector.clone(), tls.clone());
                thread::spawn(move || match tls {
                    None => {
                        let held = stream.try_clone().expect("a descriptor");
                        collector.serve(stream, held);
                    }
                    Some(tls) => {
                        let held = stream.try_clone().expect("a descriptor");
                        let session = ServerConnection::new(tls).expect("a session");
                        collector.serve(StreamOwned::new(session, stream), held);
                    }
                });
            }
        });
        its
    }

    /// What `[telemetry] otlp_endpoint` is to be.
    #[must_use]
    pub fn endpoint(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// From now on; to begin with it takes what comes.
    pub fn behave(&self, behaviour: Behaviour) {
        let mut state = self.lock();
        state.behaviour = Some(behaviour);
        state.hanging.clear();
    }

    /// All spans that were taken.
    #[must_use]
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.lock().spans.clone()
    }

    /// The latest values that were taken, by name and labels as Prometheus writes them.
    #[must_use]
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        self.lock().metrics.clone()
    }

    /// How many requests with metrics were taken.
    #[must_use]
    pub fn readings(&self) -> u64 {
        self.lock().readings
    }

    /// The paths that were asked for.
    #[must_use]
    pub fn paths(&self) -> BTreeSet<String> {
        self.lock().paths.clone()
    }

    /// How many requests there were, taken or not.
    #[must_use]
    pub fn requests(&self) -> usize {
        self.lock().requests.len()
    }

    /// Whether a text was in any request, its head included.
    #[must_use]
    pub fn has_seen(&self, text: &str) -> bool {
        let requests = &self.lock().requests;
        let mut requests = requests.iter();
        requests.any(|request| memchr::memmem::find(request, text.as_bytes()).is_some())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one request.
    fn serve<S: Read + Write>(&self, stream: S, held: TcpStream) {
        let mut reader = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let begin = head.len();
            if reader.read_line(&mut head).unwrap_or(0) == 0 {
                return;
            }
            let line = head[begin..].to_ascii_lowercase();
            match line.trim_end().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().expect("a length"),
                _ if line == "\r\n" => break,
                _ => {}
            }
        }
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut state = self.lock();
        let mut request = head.into_bytes();
        request.extend_from_slice(&body);
        state.requests.push(request);
        state.paths.insert(path.clone());
        let status = match state.behaviour.unwrap_or(Behaviour::Take) {
            Behaviour::Hang => return state.hanging.push(held),
            Behaviour::Answer(status) => status,
            Behaviour::Take => {
                match path.ends_with("traces") {
                    true => state.take_spans(&body),
                    false => state.take_metrics(&body),
                }
                200
            }
        };
        drop(state);
        let answer =
            format!("HTTP/1.1 {status} -\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        // Whoever asked may be gone.
        let stream = reader.get_mut();
        let _ = stream.write_all(answer.as_bytes());
        let _ = stream.flush();
    }
}

impl State {
    fn take_spans(&mut self, body: &[u8]) {
        let request = ExportTraceServiceRequest::decode(body).expect("spans");
        for of_resource in request.resource_spans {
            let resource = of_resource.resource.unwrap_or_default().attributes;
            let spans = of_resource.scope_spans.into_iter();
            for span in spans.flat_map(|scope| scope.spans) {
                self.spans.push(ReceivedSpan {
                    trace: hex(&span.trace_id),
                    id: hex(&span.span_id),
                    parent: hex(&span.parent_span_id),
                    name: span.name,
                    kind: span.kind,
                    times: (span.start_time_unix_nano, span.end_time_unix_nano),
                    is_error: span.status.is_some_and(|status| status.code == 2),
                    attributes: texts(&span.attributes).into_iter().collect(),
                    resource: texts(&resource).into_iter().collect(),
                });
            }
        }
    }

    fn take_metrics(&mut self, body: &[u8]) {
        let request = ExportMetricsServiceRequest::decode(body).expect("metrics");
        let scopes = request.resource_metrics.into_iter();
        let scopes = scopes.flat_map(|of_resource| of_resource.scope_metrics);
        for metric in scopes.flat_map(|scope| scope.metrics) {
            take_metric(&mut self.metrics, metric);
        }
        self.readings += 1;
    }
}

fn take_metric(values: &mut BTreeMap<String, f64>, metric: Metric) {
    let (name, points) = match metric.data.expect("it has data") {
        Data::Gauge(gauge) => (metric.name, gauge.data_points),
        Data::Sum(sum) => {
            assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
            (format!("{}_total", metric.name), sum.data_points)
        }
        Data::Histogram(histogram) => {
            assert_eq!(histogram.aggregation_temporality, 2);
            for point in histogram.data_points {
                take_histogram(values, &metric.name, &point);
            }
            return;
        }
        other => panic!("{other:?} is not sent"),
    };
    for point in points {
        let value = match point.value.expect("it has a value") {
            Number::AsInt(value) => value as f64,
            Number::AsDouble(value) => value,
        };
        values.insert(series(&name, &point.attributes, None), value);
    }
}

fn take_histogram(values: &mut BTreeMap<String, f64>, name: &str, point: &HistogramDataPoint) {
    let bounds = point.explicit_bounds.iter();
    let bounds = bounds.map(|bound| format!("{bound:?}"));
    let mut sum = 0;
    for (bound, count) in bounds.chain(["+Inf".to_owned()]).zip(&point.bucket_counts) {
        sum += count;
        let bucket = series(&format!("{name}_bucket"), &point.attributes, Some(&bound));
        values.insert(bucket, sum as f64);
    }
    assert_eq!(point.count, sum);
    let whole = |suffix: &str| series(&format!("{name}_{suffix}"), &point.attributes, None);
    values.insert(whole("sum"), point.sum.expect("it has one"));
    values.insert(whole("count"), sum as f64);
}

/// As Prometheus writes it.
fn series(name: &str, attributes: &[KeyValue], bound: Option<&str>) -> String {
    let mut labels = texts(attributes);
    labels.extend(bound.map(|bound| ("le".to_owned(), bound.to_owned())));
    let labels = labels.iter();
    let labels: Vec<_> = labels
        .map(|(name, value)| format!("{name}=\"{value}\""))
        .collect();
    match labels.is_empty() {
        true => name.to_owned(),
        false => format!("{name}{{{}}}", labels.join(",")),
    }
}

fn texts(attributes: &[KeyValue]) -> Vec<(String, String)> {
    let text = |attribute: &KeyValue| {
        let value = attribute
            .value
            .as_ref()
            .and_then(|value| value.value.as_ref());
        let value = match value {
            Some(Value::StringValue(text)) => text.clone(),
            Some(Value::IntValue(number)) => number.to_string(),
            other => panic!("{other:?} is not sent"),
        };
        (attribute.key.clone(), value)
    };
    attributes.iter().map(text).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
