//! One command, one reply: a JSON object a line each way over `DIR/admin.sock`.

use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openpeta_control::admin::protocol::{AdminCommand, AdminReply};
use rustix::fs::{Mode, OFlags};
use serde_json::Value;

use crate::failure::Failure;

/// The socket's name in the data directory.
const SOCKET: &str = "admin.sock";
/// A socket's path may be this long (`sun_path` without its end).
const LONGEST_PATH: usize = 107;

/// Sends the command to the service that runs on `data_dir`; waits for its reply as long as
/// `patience`.
///
/// # Errors
/// [`Failure::Unreachable`] when none runs there; [`Failure::Refused`] with the service's code
/// when it refuses.
pub fn ask(data_dir: &Path, command: &AdminCommand, patience: Duration) -> Result<Value, Failure> {
    let path = data_dir.join(SOCKET);
    let stream =
        connect(data_dir, &path).map_err(|error| no_connection(data_dir, &path, &error))?;
    let line = exchange(stream, command, patience)
        .map_err(|error| Failure::ConnectionLost(format!("{}: {error}", path.display())))?;
    let reply = serde_json::from_str(&line).map_err(|error| {
        Failure::local(
            "InvalidReply",
            format!(
                "the service's reply cannot be read ({error}): is it of the same version as this \
                 command?"
            ),
        )
    })?;
    match reply {
        AdminReply::Ok(value) => Ok(value),
        AdminReply::Error { code, message } => Err(Failure::Refused { code, message }),
    }
}

fn exchange(
    mut stream: UnixStream,
    command: &AdminCommand,
    patience: Duration,
) -> io::Result<String> {
    stream.set_read_timeout(Some(patience))?;
    let mut line = serde_json::to_vec(command)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply)?;
    if reply.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            "the service closed the connection without a reply",
        ));
    }
    Ok(reply)
}

/// Connects, by way of the directory's descriptor when the path is too long for a socket.
fn connect(data_dir: &Path, path: &Path) -> io::Result<UnixStream> {
    if path.as_os_str().len() <= LONGEST_PATH {
        return UnixStream::connect(path);
    }
    let folder = rustix::fs::open(data_dir, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    UnixStream::connect(short.join(SOCKET))
}

fn no_connection(data_dir: &Path, path: &Path, error: &io::Error) -> Failure {
    let shown = path.display();
    let start = format!("openpeta serve --data-dir {}", data_dir.display());
    match error.kind() {
        io::ErrorKind::NotFound => Failure::Unreachable(format!(
            "there is no {shown}: no service runs on this data directory. Start it with `{start}`, \
             or name another with --data-dir DIR"
        )),
        io::ErrorKind::ConnectionRefused => Failure::Unreachable(format!(
            "nobody listens at {shown}: the service has stopped. Start it with `{start}`"
        )),
        io::ErrorKind::PermissionDenied => Failure::local(
            "AdminSocketNotPermitted",
            format!(
                "{shown} may be used by the user who runs the service only: run this as that user"
            ),
        ),
        _ => Failure::Unreachable(format!("cannot connect to {shown}: {error}")),
    }
}
