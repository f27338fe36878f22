//! The log: lines on standard error, written by a thread of their own.

mod json;

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::JsonFields;

use crate::ServeError;
use crate::config::{LogConfig, LogFormat};
use json::JsonLines;

/// Sends what is logged from now on to standard error. A second call in a process changes
/// nothing.
///
/// # Errors
/// [`ServeError::Setting`] when the level cannot be read.
pub(crate) fn start(config: &LogConfig) -> Result<LogFlush, ServeError> {
    static WRITER: OnceLock<LogWriter> = OnceLock::new();
    let filter = EnvFilter::try_new(&config.level)
        .map_err(|error| ServeError::Setting(format!("[log] level {:?}: {error}", config.level)))?;
    let writer = WRITER
        .get_or_init(|| LogWriter::start(io::stderr(), config.format))
        .clone();
    let flush = LogFlush(writer.clone());
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer);
    // An error says that the process has a log already: a test, or a second service in it.
    let _ = match config.format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder
            .fmt_fields(JsonFields::new())
            .event_format(JsonLines)
            .try_init(),
    };
    Ok(flush)
}

/// Writes out what is still in memory when dropped.
pub(crate) struct LogFlush(LogWriter);

impl Drop for LogFlush {
    fn drop(&mut self) {
        self.0.flush();
    }
}

/// Collects lines; a thread writes them. Calls never wait for a slow reader of the log: once
/// [`CAPACITY`] is full, lines are dropped and counted. The first line after a pause is written
/// at once, a busy log in pieces: waking the thread for every line would cost more than the
/// line.
#[derive(Clone)]
struct LogWriter(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Wakes the thread when it is idle.
    lines: Condvar,
    /// Wakes those who wait for everything to be written.
    written: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    dropped: u64,
    /// The thread waits for a line, and so must be woken by it.
    idle: bool,
    /// Somebody waits until everything is written.
    flushing: bool,
}

const CAPACITY: usize = 8 << 20;
/// How long the thread lets lines gather after it has written some.
const GATHER: Duration = Duration::from_millis(5);

impl LogWriter {
    fn start(out: impl Write + Send + 'static, format: LogFormat) -> Self {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            lines: Condvar::new(),
            written: Condvar::new(),
        });
        let its = Arc::clone(&shared);
        let run = move || its.write_lines(out, format);
        thread::Builder::new()
            .name("log".into())
            .spawn(run)
            .expect("a thread for the log");
        Self(shared)
    }

    /// Waits until all lines are out.
    fn flush(&self) {
        let mut state = self.0.lock();
        while !(state.waiting.is_empty() && state.idle) {
            state.flushing = true;
            self.0.lines.notify_one();
            state = wait(&self.0.written, state);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what comes in, for ever.
    fn write_lines(&self, mut out: impl Write, format: LogFormat) {
        let mut lines = Vec::new();
        loop {
            let mut state = self.lock();
            while state.waiting.is_empty() {
                state.idle = true;
                state.flushing = false;
                self.written.notify_all();
                state = wait(&self.lines, state);
            }
            state.idle = false;
            lines.clear();
            std::mem::swap(&mut lines, &mut state.waiting);
            let dropped = std::mem::take(&mut state.dropped);
            drop(state);
            // Nobody is left to tell when standard error is closed.
            let _ = out.write_all(&lines);
            if dropped > 0 {
                let _ = out.write_all(drop_notice(dropped, format).as_bytes());
            }
            let _ = out.flush();
            let state = self.lock();
            let gathered = self
                .lines
                .wait_timeout_while(state, GATHER, |state| !state.flushing);
            drop(gathered);
        }
    }
}

/// Tells of lines that were dropped, in the form of all lines.
fn drop_notice(dropped: u64, format: LogFormat) -> String {
    let message = "log lines were dropped: standard error is slow";
    match format {
        LogFormat::Text => format!("{dropped} {message}\n"),
        LogFormat::Json => {
            let at = Timestamp::now();
            format!(
                "{{\"timestamp\":\"{at}\",\"level\":\"WARN\",\"target\":\"openpeta_server::logging\",\
                 \"message\":\"{message}\",\"dropped\":{dropped}}}\n"
            )
        }
    }
}

/// Has panics logged as other lines are, in the place of the several lines of plain text that they
/// would be.
pub(crate) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let place = panic.location().map(tracing::field::display);
        let thread = thread::current();
        tracing::error!(
            place,
            thread = thread.name(),
            panic = text.unwrap_or_default(),
            "panicked"
        );
    }));
}

fn wait<'a>(condition: &Condvar, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
    condition
        .wait(state)
        .unwrap_or_else(PoisonError::into_inner)
}

impl Write for &LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if state.waiting.len() + line.len() > CAPACITY {
            state.dropped += 1;
            return Ok(line.len());
        }
        state.waiting.extend_from_slice(line);
        let wake = std::mem::take(&mut state.idle);
        drop(state);
        if wake {
            self.0.lines.notify_one();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = &'a LogWriter;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn flush_waits_for_every_line() {
        let sink = Sink::default();
        let writer = LogWriter::start(sink.clone(), LogFormat::Text);
        for round in 0..100 {
            for line in 0..10 {
                writeln!(&writer, "{round} {line}").expect("write");
            }
            writer.flush();
            let written = sink.0.lock().expect("lock").clone();
            let lines = written.iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(lines, (round + 1) * 10);
        }
    }

    #[test]
    fn dropped_lines_are_told_in_the_form_of_all_lines() {
        assert!(drop_notice(3, LogFormat::Text).starts_with("3 log lines"));
        let json = drop_notice(3, LogFormat::Json);
        let line: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(line["dropped"], 3);
    }

    #[test]
    fn a_bad_level_is_refused() {
        let config = LogConfig {
            level: "openpeta=loud".into(),
            ..LogConfig::default()
        };
        assert_eq!(start(&config).err().map(|error| error.exit_code()), Some(2));
    }
}
