//! Lines of the log as JSON: one object a line, all fields at its top, those of the spans around
//! it too. So whoever looks for a `request_id` or a `task_id` finds every line of that call or task
//! in one place.

use std::fmt;

use jiff::Timestamp;
use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

/// Writes events so. Fields of spans must have been formatted as JSON.
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Line::default();
        line.add("timestamp", Timestamp::now().to_string());
        line.add("level", metadata.level().as_str());
        line.add("target", metadata.target());
        event.record(&mut line);
        // The innermost first: what it says holds for the line more than what those around say.
        for span in context.event_scope().into_iter().flatten() {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<N>>();
            let fields = fields.map_or("", |fields| &fields.fields);
            if let Ok(Value::Object(fields)) = serde_json::from_str(fields) {
                fields
                    .into_iter()
                    .for_each(|(name, value)| line.add(&name, value));
            }
        }
        line.write(&mut writer)
    }
}

/// Names and values in their order.
#[derive(Default)]
struct Line(Vec<(String, Value)>);

impl Line {
    /// The first value of a name stays.
    fn add(&mut self, name: &str, value: impl Into<Value>) {
        if self.0.iter().all(|(known, _)| known != name) {
            self.0.push((name.to_owned(), value.into()));
        }
    }

    fn write(&self, writer: &mut Writer<'_>) -> fmt::Result {
        for (place, (name, value)) in self.0.iter().enumerate() {
            let open = if place == 0 { '{' } else { ',' };
            write!(writer, "{open}{}:{value}", Value::from(name.as_str()))?;
        }
        writeln!(writer, "}}")
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field.name(), format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.add(field.name(), value);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::format::JsonFields;

    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("lock").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written while `work` runs.
    fn lines(work: impl FnOnce()) -> Vec<Value> {
        let sink = Sink::default();
        let writer = sink.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines)
            .finish();
        tracing::subscriber::with_default(subscriber, work);
        let written = sink.0.lock().expect("lock").clone();
        let text = String::from_utf8(written).expect("text");
        let line = |line| serde_json::from_str(line).expect("JSON");
        text.lines().map(line).collect()
    }

    #[test]
    fn fields_of_spans_stand_beside_those_of_the_line() {
        let lines = lines(|| {
            let call = tracing::error_span!("call", request_id = %"4F-7", step = "outer");
            let _call = call.enter();
            let step = tracing::error_span!("step", step = "inner");
            let _step = step.enter();
            tracing::info!(count = 3, is_new = true, text = "a \"b\"\n", "hello\nthere");
        });
        let line = &lines[0];
        for (name, value) in [
            ("level", Value::from("INFO")),
            ("message", Value::from("hello\nthere")),
            ("count", Value::from(3)),
            ("is_new", Value::from(true)),
            ("text", Value::from("a \"b\"\n")),
            ("request_id", Value::from("4F-7")),
            ("step", Value::from("inner")),
        ] {
            assert_eq!(line[name], value, "{name} of {line}");
        }
        let at = line["timestamp"].as_str().expect("text");
        at.parse::<Timestamp>().expect("a time");
        assert_eq!(lines.len(), 1);
    }

    #[test]
    fn a_line_cannot_pretend_another_level() {
        let lines = lines(|| tracing::warn!(level = "INFO", "hello"));
        assert_eq!(lines[0]["level"], "WARN");
    }
}
