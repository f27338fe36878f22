//! What the service manager is told, if there is one that wants to know (`sd_notify`).

use std::env;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::process::Pid;
use rustix::time::{ClockId, clock_gettime};
use tracing::debug;

/// The service is ready.
pub(crate) fn ready() {
    notify("READY=1\nSTATUS=Serving");
}

/// The service stops.
pub(crate) fn stopping() {
    notify("STOPPING=1\nSTATUS=Stopping");
}

/// Another process is to take over.
pub(crate) fn reloading() {
    let now = clock_gettime(ClockId::Monotonic);
    let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1000;
    notify(&format!(
        "RELOADING=1\nMONOTONIC_USEC={micros}\nSTATUS=Handing over"
    ));
}

/// This process goes on after all.
pub(crate) fn not_replaced() {
    notify("READY=1\nSTATUS=Serving; the last hand-over failed");
}

/// Another process has taken over, and is the service from now on.
pub(crate) fn replaced_by(pid: Pid) {
    let pid = pid.as_raw_nonzero();
    notify(&format!("MAINPID={pid}\nREADY=1\nSTATUS=Serving"));
}

fn notify(state: &str) {
    let Some(path) = env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let bytes = path.as_bytes();
    let address = match bytes.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    let sent = address.and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        socket.send_to_addr(state.as_bytes(), &address)
    });
    if let Err(error) = sent {
        debug!(%error, "the service manager was not told");
    }
}
