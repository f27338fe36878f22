//! `[telemetry]`: traces and metrics for an OTLP collector.

use std::collections::BTreeMap;
use std::path::PathBuf;

use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use openpeta_control::outgoing::Address;
use openpeta_types::{SamplingRatio, Secret};
use serde::{Deserialize, Deserializer};

/// Traces and metrics for an OTLP collector (`[telemetry]`).
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetryConfig {
    /// The collector, by OTLP over HTTP; `/v1/traces` and `/v1/metrics` are added to its path.
    /// Without, nothing is sent.
    pub otlp_endpoint: Option<String>,
    /// Headers of each request, such as `authorization`.
    pub headers: TelemetryHeaders,
    /// The CA whose certificate a collector over HTTPS has; without, those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// Whether traces are sent.
    pub traces: bool,
    /// Whether metrics are sent.
    pub metrics: bool,
    /// The share of traces that are kept, from 0 to 1, of those that begin here.
    pub sampling_ratio: f64,
    /// Seconds between two times that metrics are sent.
    pub metrics_interval_seconds: u64,
    /// Seconds that a request may take.
    pub timeout_seconds: u64,
    /// Spans that may wait; more are dropped.
    pub max_waiting_spans: usize,
    /// `service.name`.
    pub service_name: String,
    /// `service.instance.id`; without, host and data directory.
    pub instance_id: Option<String>,
    /// More attributes of the resource, such as `deployment.environment.name`.
    pub attributes: BTreeMap<String, String>,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            otlp_endpoint: None,
            headers: TelemetryHeaders::default(),
            ca_file: None,
            traces: true,
            metrics: true,
            sampling_ratio: 1.0,
            metrics_interval_seconds: 60,
            timeout_seconds: 10,
            max_waiting_spans: 8192,
            service_name: "openpeta".into(),
            instance_id: None,
            attributes: BTreeMap::new(),
        }
    }
}

impl TelemetryConfig {
    /// Checks what the form of a value does not tell.
    ///
    /// # Errors
    /// What is wrong, without what is secret.
    pub(crate) fn check(&self) -> Result<(), String> {
        let wrong = |what: &str| Err(format!("[telemetry] {what}"));
        self.headers.read()?;
        self.addresses()?;
        if SamplingRatio::new(self.sampling_ratio).is_none() {
            return wrong("sampling_ratio must be from 0 to 1");
        }
        if self.metrics_interval_seconds == 0 {
            return wrong("metrics_interval_seconds must not be 0");
        }
        if self.timeout_seconds == 0 {
            return wrong("timeout_seconds must not be 0");
        }
        if self.max_waiting_spans == 0 {
            return wrong("max_waiting_spans must not be 0");
        }
        Ok(())
    }

    /// Where traces and metrics go; `None` if nowhere.
    pub(super) fn addresses(&self) -> Result<Option<[Address; 2]>, String> {
        let Some(endpoint) = &self.otlp_endpoint else {
            return Ok(None);
        };
        if endpoint.contains('?') {
            return Err("[telemetry] otlp_endpoint must not have a query".to_owned());
        }
        let endpoint = endpoint.trim_end_matches('/');
        let address = |path: &str| {
            let address = Address::parse(&format!("{endpoint}/v1/{path}"));
            address.map_err(|error| format!("[telemetry] otlp_endpoint: {error}"))
        };
        Ok(Some([address("traces")?, address("metrics")?]))
    }
}

/// Headers whose values are secrets.
#[derive(Clone, Debug, Default)]
pub struct TelemetryHeaders(Vec<(String, Option<Secret>)>);

/// Takes any form, to find fault with it later: an error from here would show the line.
impl<'de> Deserialize<'de> for TelemetryHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let headers = match toml::Value::deserialize(deserializer)? {
            toml::Value::Table(headers) => headers,
            _ => return Ok(Self(vec![(String::new(), None)])),
        };
        let secret = |value| match value {
            toml::Value::String(text) => Some(Secret::new(text)),
            _ => None,
        };
        let headers = headers.into_iter();
        Ok(Self(
            headers.map(|(name, value)| (name, secret(value))).collect(),
        ))
    }
}

impl TelemetryHeaders {
    /// Headers as they are sent.
    pub(super) fn read(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.0 {
            if name.is_empty() {
                return Err("[telemetry] headers must be a table of texts".to_owned());
            }
            let wrong = |what: &str| format!("[telemetry] headers: {name:?} {what}");
            let key = HeaderName::try_from(name).map_err(|_| wrong("is no name of a header"))?;
            let value = value.as_ref().ok_or_else(|| wrong("must be a text"))?;
            let value = HeaderValue::from_str(value.expose());
            let mut value = value.map_err(|_| wrong("has a value that cannot be sent"))?;
            value.set_sensitive(true);
            headers.insert(key, value);
        }
        Ok(headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> TelemetryConfig {
        toml::from_str(text).expect("its form is right")
    }

    #[test]
    fn by_default_nothing_is_sent() {
        let config = TelemetryConfig::default();
        assert_eq!(config.check(), Ok(()));
        assert!(config.addresses().expect("right").is_none());
    }

    #[test]
    fn signals_have_paths_of_their_own() {
        let config = config("otlp_endpoint = \"https://collector.example.com:4318/base/\"");
        let [traces, metrics] = config.addresses().expect("right").expect("there");
        assert!(traces.is_https());
        assert_eq!(traces.path(), "/base/v1/traces");
        assert_eq!(metrics.path(), "/base/v1/metrics");
    }

    #[test]
    fn what_is_wrong_is_told_without_secrets() {
        for wrong in [
            "otlp_endpoint = \"collector:4318\"",
            "otlp_endpoint = \"http://user:hunter2@collector:4318\"",
            "otlp_endpoint = \"http://collector:4318/?token=hunter2\"",
            "sampling_ratio = 1.5",
            "metrics_interval_seconds = 0",
            "timeout_seconds = 0",
            "max_waiting_spans = 0",
            "headers = \"authorization=hunter2\"",
            "headers = { authorization = [\"hunter2\"] }",
            "headers = { authorization = \"hunter2\\n\" }",
            "headers = { \"a b\" = \"hunter2\" }",
        ] {
            let config = config(wrong);
            let error = config.check().expect_err(wrong);
            assert!(error.starts_with("[telemetry] "), "{error}");
            for text in [error, format!("{config:?}")] {
                let is_url = wrong.starts_with("otlp_endpoint") && text.contains("TelemetryConfig");
                assert!(is_url || !text.contains("hunter2"), "{text}");
            }
        }
    }

    #[test]
    fn headers_do_not_show() {
        let config = config("headers = { authorization = \"Bearer hunter2\" }");
        let headers = config.headers.read().expect("right");
        assert_eq!(headers["authorization"], "Bearer hunter2");
        let shown = format!("{config:?} {headers:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
