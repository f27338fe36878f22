//! What streams have to do with futures: as peers, and as owners of sockets.

use std::path::Path;
use std::sync::Arc;

use super::stream::{Phase, Sending, Stream};
use super::streams::{Arrival, Streams, unsent};
use crate::api::{CloseReason, Io, StreamId};
use crate::backend::Backend;
use crate::local::Wire;

impl<B: Backend> Streams<B> {
    /// Receives once from a future.
    pub(super) fn receive_local(
        &mut self,
        stream: StreamId,
        buffers: &mut B::Buffers,
    ) -> Arrival<B::Chunk> {
        let most = self.config.receive_buffer.max(1);
        let Some(s) = self.slots.get_mut(stream) else {
            return Arrival::Nothing;
        };
        let Some(wire) = &s.wire else {
            return Arrival::Nothing;
        };
        let is_closing = matches!(s.phase, Phase::Closing);
        let (wire, counterpart) = (Arc::clone(wire), s.counterpart);
        // Where the bytes go, others went out before.
        let spare = || {
            let to = counterpart.and_then(|counterpart| self.slots.get_mut(counterpart));
            to.map_or_else(Vec::new, |to| B::spare(&mut to.side))
        };
        let taken = wire.take_output(most, spare);
        let Some(s) = self.slots.get_mut(stream) else {
            return Arrival::Nothing;
        };
        match taken {
            Ok(_) if is_closing => Arrival::Again,
            Ok(bytes) => Arrival::Bytes(B::lend(buffers, bytes), s.tag),
            Err(false) => Arrival::Nothing,
            Err(true) => {
                s.ended = true;
                if is_closing {
                    return Arrival::Nothing;
                }
                let tag = s.tag;
                self.mark_dirty(stream);
                Arrival::End(tag)
            }
        }
    }

    /// Does what is new of a wire; tells whether there may be something to receive for the handler.
    pub(super) fn look_at(&mut self, stream: StreamId) -> bool {
        let Some(s) = self.slots.get_mut(stream) else {
            return false;
        };
        let Some(wire) = s.wire.clone() else {
            return false;
        };
        let look = wire.look();
        if s.is_local() {
            if look.has_room && !s.queue.is_empty() {
                self.mark_dirty(stream);
            }
            return true;
        }
        if look.has_room && s.held {
            s.held = false;
            self.push_ready(stream);
        }
        if look.has_output {
            self.send_output(stream, &wire);
        }
        if look.is_dropped {
            self.close_after_flush(stream);
        }
        false
    }

    /// Sends what a future has written to its socket.
    fn send_output(&mut self, stream: StreamId, wire: &Wire) {
        let Some(s) = self.slots.get_mut(stream) else {
            return;
        };
        let Ok(bytes) = wire.take_output(usize::MAX, || B::spare(&mut s.side)) else {
            return;
        };
        let is_free = |s: &Stream<B::Side>| {
            unsent::<B>(s) == 0 && matches!(s.phase, Phase::Open) && s.sending == Sending::Open
        };
        match self.slots.get_mut(stream) {
            Some(s) if is_free(s) => {
                if let Err(error) = self.backend.send_own(stream, s, bytes) {
                    return self.fail(stream, CloseReason::Failed(error));
                }
                wire.set_unsent(unsent::<B>(s));
            }
            Some(s) => {
                s.queue.push(&bytes);
                wire.set_unsent(unsent::<B>(s));
                self.mark_dirty(stream);
            }
            None => {}
        }
    }

    /// Opens a socket for a future.
    pub(super) fn open_for(&mut self, path: &Path, wire: Arc<Wire>) {
        let stream = match self.socket_to(path) {
            Ok(stream) => stream,
            Err(error) => return wire.lose(Some(error)),
        };
        if let Some(s) = self.slots.get_mut(stream) {
            s.wire = Some(Arc::clone(&wire));
        }
        wire.begin(stream, false);
        self.try_connect(stream);
    }
}
