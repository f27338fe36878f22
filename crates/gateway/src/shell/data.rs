//! The way of bytes through the shell: from one side over the session, compression and TLS, to the
//! other.

use std::mem;
use std::ops::Range;

use openpeta_relay_io::{Disposition, Io, StreamId};

use super::Worker;
use super::connections::{Connection, Side};
use super::tls::Tls;
use crate::session::{CloseReason, Outbox};

/// Room that a buffer keeps between two uses.
const KEPT_BUFFER: usize = 256 * 1024;

impl Worker {
    /// Bytes from the node: as a rule they go on as they are.
    pub(super) fn node_bytes(
        &mut self,
        io: &mut dyn Io,
        place: usize,
        bytes: &[u8],
    ) -> Disposition {
        let now = self.time(io);
        let Some(connection) = self.connections.get_mut(place) else {
            return Disposition::Consumed;
        };
        connection.last_activity = io.now();
        connection.session.meter().bytes_out(bytes.len());
        let mut out = mem::take(&mut self.out);
        let range = connection.session.node_data(now, bytes, &mut out);
        let done = self.pass_on(io, place, &out, Side::Client, bytes, range);
        out.clear();
        self.out = out;
        done
    }

    /// Bytes from a client without TLS, or its TLS bytes.
    pub(super) fn client_bytes(
        &mut self,
        io: &mut dyn Io,
        place: usize,
        bytes: &[u8],
    ) -> Disposition {
        let Some(connection) = self.connections.get_mut(place) else {
            return Disposition::Consumed;
        };
        connection.last_activity = io.now();
        connection.session.meter().bytes_in(bytes.len());
        if connection.tls.is_some() {
            self.decrypt(io, place, bytes);
            return Disposition::Consumed;
        }
        self.decrypted_client_bytes(io, place, bytes)
    }

    /// Bytes from a client without TLS around them, which may be compressed.
    fn decrypted_client_bytes(
        &mut self,
        io: &mut dyn Io,
        place: usize,
        bytes: &[u8],
    ) -> Disposition {
        let Some(connection) = self.connections.get_mut(place) else {
            return Disposition::Consumed;
        };
        let Some(stream) = &mut connection.compressed else {
            return self.plain_client_bytes(io, place, bytes);
        };
        let mut unpacked = mem::take(&mut self.unpacked);
        let received = stream.receive(&mut self.codecs, bytes, &mut unpacked);
        if !unpacked.is_empty() {
            connection.session.correct_numbers(&mut unpacked);
            self.plain_client_bytes(io, place, &unpacked);
        }
        unpacked.clear();
        unpacked.shrink_to(KEPT_BUFFER);
        self.unpacked = unpacked;
        if received.is_err() {
            self.end_with(io, place, CloseReason::Malformed, |connection, now, out| {
                connection.session.client_closed(now, out);
            });
        }
        Disposition::Consumed
    }

    fn plain_client_bytes(&mut self, io: &mut dyn Io, place: usize, bytes: &[u8]) -> Disposition {
        let now = self.time(io);
        let Some(connection) = self.connections.get_mut(place) else {
            return Disposition::Consumed;
        };
        let mut out = mem::take(&mut self.out);
        let range = connection.session.client_data(now, bytes, &mut out);
        let done = self.pass_on(io, place, &out, Side::Node, bytes, range);
        let start_tls = out.start_tls;
        out.clear();
        self.out = out;
        if let Some(from) = start_tls {
            self.start_tls(io, place, bytes.get(from..).unwrap_or_default());
        }
        done
    }

    /// Does what the session asked for after bytes came in, and has `bytes[range]` go to `side`:
    /// straight from the receive buffer when nothing stands against it.
    fn pass_on(
        &mut self,
        io: &mut dyn Io,
        place: usize,
        out: &Outbox,
        side: Side,
        bytes: &[u8],
        range: Range<usize>,
    ) -> Disposition {
        let Some(connection) = self.connections.get_mut(place) else {
            return Disposition::Consumed;
        };
        // What was, or is to be, changed on the way cannot go from buffer to socket.
        if connection.tls.is_some() || connection.compressed.is_some() || out.close.is_some() {
            let more = bytes.get(range).map(|bytes| (side, bytes));
            self.carry_out(io, place, out, more);
            return Disposition::Consumed;
        }
        let to = match side {
            Side::Client => connection.client,
            Side::Node => connection.node,
        };
        let steady =
            connection.logged_in && connection.held == connection.session.client_read_paused();
        if !steady || !out.is_empty() {
            self.carry_out(io, place, out, None);
        }
        forward(to, range)
    }

    fn start_tls(&mut self, io: &mut dyn Io, place: usize, bytes: &[u8]) {
        let config = self.registry.tls();
        let tls = config.and_then(|config| Tls::new(config).ok());
        let Some(tls) = tls else {
            // Offered, but taken back before the client answered.
            return self.client_gone(io, place);
        };
        if let Some(connection) = self.connections.get_mut(place) {
            connection.tls = Some(tls);
            self.decrypt(io, place, bytes);
        }
    }

    fn decrypt(&mut self, io: &mut dyn Io, place: usize, bytes: &[u8]) {
        let now = self.time(io);
        let mut plain = mem::take(&mut self.plain);
        plain.clear();
        if let Some(connection) = self.connections.get_mut(place)
            && let Some(tls) = &mut connection.tls
        {
            let progress = tls.receive(bytes, &mut plain);
            if progress.established {
                connection.session.tls_established(now);
            }
            flush_tls(io, connection, &mut self.cipher);
            if !plain.is_empty() {
                self.decrypted_client_bytes(io, place, &plain);
            }
            if progress.failed {
                self.client_gone(io, place);
            } else if progress.ended {
                self.client_ended(io, place);
            }
        }
        self.plain = plain;
    }
}

fn forward(to: StreamId, range: Range<usize>) -> Disposition {
    if range.is_empty() {
        return Disposition::Consumed;
    }
    Disposition::Forward { to, range }
}

/// Hands the stream what TLS has to send.
pub(super) fn flush_tls(io: &mut dyn Io, connection: &mut Connection, cipher: &mut Vec<u8>) {
    if let Some(tls) = &mut connection.tls {
        tls.take_output(cipher);
        io.send(connection.client, cipher);
        cipher.clear();
    }
}
