//! The operator's socket: one JSON object a line each way.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use crate::PATIENCE;

/// Sends a command and returns what it gives, or the reply that refuses it.
pub(crate) fn ask(data_dir: &Path, command: &Value) -> Result<Value, Value> {
    let mut stream = UnixStream::connect(data_dir.join("admin.sock")).expect("a service runs");
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("not a zero time");
    writeln!(stream, "{command}").expect("the service reads");
    let mut line = String::new();
    BufReader::new(stream)
        .read_line(&mut line)
        .expect("the service answers");
    let mut reply: Value = serde_json::from_str(&line).expect("JSON");
    match reply.get_mut("ok") {
        Some(value) => Ok(value.take()),
        None => Err(reply["error"].take()),
    }
}
