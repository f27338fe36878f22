//! What the ring keeps with each stream.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;

use super::buffers::Lent;

/// Space kept by a buffer of sent bytes for its next use.
const KEPT_CAPACITY: usize = 64 * 1024;

/// Received bytes.
pub(crate) enum Chunk {
    /// In a buffer of the ring.
    Lent(Lent),
    /// Copied out, since the stream did not want them when they came.
    Copied(Vec<u8>),
}

/// What has arrived and not been taken yet.
pub(super) enum Arrived {
    Bytes(Chunk),
    End,
    Failed(io::Error),
}

/// Whether the kernel receives for the stream.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Receiving {
    #[default]
    Idle,
    /// A receive is armed that brings bytes as long as they come.
    Armed,
    /// It was told to stop, and has not said that it has.
    Stopping,
}

/// Bytes that the kernel is sending. It reads them until it says that it has done so, so they
/// neither move nor change meanwhile.
#[derive(Default)]
pub(super) enum Sending {
    #[default]
    Nothing,
    /// Part of a receive buffer.
    Lent(Lent, Range<usize>),
    /// Part of a buffer of its own. The bytes lie on the heap: moving the vector does not move
    /// them, and nobody writes to it.
    Own(Vec<u8>, Range<usize>),
}

impl Sending {
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// The bytes that have not been sent.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Lent(_, range) | Self::Own(_, range) => range.len(),
        }
    }

    /// Notes that `count` more bytes are out.
    pub(super) fn advance(&mut self, count: usize) {
        match self {
            Self::Nothing => {}
            Self::Lent(_, range) | Self::Own(_, range) => {
                range.start = range.end.min(range.start + count);
            }
        }
    }
}

/// What the ring keeps with a stream.
#[derive(Default)]
pub(crate) struct Side {
    pub(super) receiving: Receiving,
    pub(super) arrived: VecDeque<Arrived>,
    pub(super) sending: Sending,
    /// The space of sent bytes, for the next ones.
    spare: Vec<u8>,
}

impl Side {
    /// An empty vector to queue into while another one is sent.
    pub(super) fn take_spare(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.spare)
    }

    /// Keeps the space of sent bytes.
    pub(super) fn keep_spare(&mut self, mut sent: Vec<u8>) {
        sent.clear();
        if sent.capacity() <= KEPT_CAPACITY {
            self.spare = sent;
        }
    }

    /// Whether the kernel still has something to do with the stream.
    pub(super) fn is_in_use(&self) -> bool {
        self.receiving != Receiving::Idle || !self.sending.is_nothing()
    }
}
