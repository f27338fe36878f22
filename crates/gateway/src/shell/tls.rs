//! The server side of TLS for one client, over bytes instead of a socket.

use std::io::{self, Read, Write};
use std::sync::Arc;

use rustls::ServerConnection;

/// One client's TLS connection.
pub(super) struct Tls {
    connection: ServerConnection,
    established: bool,
}

/// What received bytes brought.
#[derive(Default)]
pub(super) struct Progress {
    /// The handshake has just been completed.
    pub(super) established: bool,
    /// The connection is broken; an alert may be waiting to be sent.
    pub(super) failed: bool,
}

impl Tls {
    pub(super) fn new(config: Arc<rustls::ServerConfig>) -> Result<Self, rustls::Error> {
        let mut connection = ServerConnection::new(config)?;
        // What is written is taken out again at once, so the limit would only cut it up.
        connection.set_buffer_limit(None);
        Ok(Self {
            connection,
            established: false,
        })
    }

    /// Takes bytes from the client. What they decrypt to is appended to `plain`.
    pub(super) fn receive(&mut self, mut bytes: &[u8], plain: &mut Vec<u8>) -> Progress {
        let mut progress = Progress::default();
        while !bytes.is_empty() {
            let taken = self.connection.read_tls(&mut bytes);
            if !matches!(taken, Ok(1..)) || self.connection.process_new_packets().is_err() {
                progress.failed = true;
                return progress;
            }
            // Its only error tells that nothing more is there.
            let _ = read_available(&mut self.connection.reader(), plain);
        }
        if !self.established && !self.connection.is_handshaking() {
            self.established = true;
            progress.established = true;
        }
        progress
    }

    /// Encrypts; [`Self::take_output`] gives the result.
    pub(super) fn send(&mut self, plain: &[u8]) {
        // Without a limit the writer takes everything.
        let _ = self.connection.writer().write_all(plain);
    }

    /// Tells the client that nothing more follows.
    pub(super) fn close(&mut self) {
        self.connection.send_close_notify();
    }

    /// Appends all that is to be sent to the client.
    pub(super) fn take_output(&mut self, out: &mut Vec<u8>) {
        while self.connection.wants_write() {
            // Writing to memory does not fail.
            if self.connection.write_tls(out).is_err() {
                return;
            }
        }
    }
}

fn read_available(reader: &mut impl Read, plain: &mut Vec<u8>) -> io::Result<()> {
    let mut chunk = [0; 4096];
    loop {
        match reader.read(&mut chunk)? {
            0 => return Ok(()),
            count => plain.extend_from_slice(&chunk[..count]),
        }
    }
}
