//! One command, one reply: a JSON object a line each way over `DIR/admin.sock`.

use std::io::{self, BufRead, BufReader, Read, Write};
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
    read_reply(&line)
}

fn read_reply(line: &str) -> Result<Value, Failure> {
    let reply = serde_json::from_str(line).map_err(|error| {
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

/// Sends the command to export a database, and writes what comes to `output`; tells what it was.
///
/// # Errors
/// As [`ask`]; [`Failure::ConnectionLost`] when not all of it came.
pub(super) fn fetch(
    data_dir: &Path,
    command: &AdminCommand,
    output: &mut impl Write,
) -> Result<Value, Failure> {
    let path = data_dir.join(SOCKET);
    let lost = |error| Failure::ConnectionLost(format!("{}: {error}", path.display()));
    let stream =
        connect(data_dir, &path).map_err(|error| no_connection(data_dir, &path, &error))?;
    let mut source = BufReader::new(stream.try_clone().map_err(lost)?);
    send(&stream, command).map_err(lost)?;
    let line = receive(&mut source).map_err(lost)?;
    read_reply(&line)?;
    let mut piece = Vec::new();
    loop {
        let mut length = [0; 4];
        source.read_exact(&mut length).map_err(lost)?;
        piece.resize(u32::from_be_bytes(length) as usize, 0);
        source.read_exact(&mut piece).map_err(lost)?;
        if piece.is_empty() {
            break;
        }
        let written = output.write_all(&piece);
        written.map_err(|error| Failure::local("NotWritten", error.to_string()))?;
    }
    let written = output.flush();
    written.map_err(|error| Failure::local("NotWritten", error.to_string()))?;
    let line = receive(&mut source).map_err(lost)?;
    read_reply(&line)
}

fn exchange(stream: UnixStream, command: &AdminCommand, patience: Duration) -> io::Result<String> {
    stream.set_read_timeout(Some(patience))?;
    send(&stream, command)?;
    receive(&mut BufReader::new(stream))
}

fn send(mut stream: &UnixStream, command: &AdminCommand) -> io::Result<()> {
    let mut line = serde_json::to_vec(command)?;
    line.push(b'\n');
    stream.write_all(&line)
}

fn receive(source: &mut impl BufRead) -> io::Result<String> {
    let mut reply = String::new();
    source.read_line(&mut reply)?;
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
