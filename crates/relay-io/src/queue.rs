//! Bytes that wait until their stream takes them.

use std::ops::Range;

/// Space kept by an empty queue for its next use; anything beyond is given back.
const KEPT_CAPACITY: usize = 64 * 1024;

/// A first-in first-out byte queue over one contiguous buffer.
#[derive(Default)]
pub(crate) struct SendQueue {
    buffer: Vec<u8>,
    /// Everything before this offset has gone out.
    head: usize,
}

impl SendQueue {
    pub(crate) fn len(&self) -> usize {
        self.buffer.len() - self.head
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) fn waiting(&self) -> &[u8] {
        &self.buffer[self.head..]
    }

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        // Moving the rest down costs less than growing once most of the buffer has gone out.
        if self.head > self.buffer.len() / 2 {
            self.buffer.drain(..self.head);
            self.head = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes out the buffer with what waits in it, leaving `empty` in its place.
    pub(crate) fn exchange(&mut self, empty: Vec<u8>) -> (Vec<u8>, Range<usize>) {
        debug_assert!(empty.is_empty());
        let buffer = std::mem::replace(&mut self.buffer, empty);
        let waiting = std::mem::take(&mut self.head)..buffer.len();
        (buffer, waiting)
    }

    pub(crate) fn consume(&mut self, count: usize) {
        self.head += count;
        debug_assert!(self.head <= self.buffer.len());
        if self.head == self.buffer.len() {
            self.buffer.clear();
            self.head = 0;
            if self.buffer.capacity() > KEPT_CAPACITY {
                self.buffer = Vec::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_over_partial_consumption() {
        let mut queue = SendQueue::default();
        let mut expected = Vec::new();
        let mut got = Vec::new();
        for round in 0..200_u32 {
            let bytes: Vec<u8> = (0..round % 17).map(|i| (i + round) as u8).collect();
            queue.push(&bytes);
            expected.extend_from_slice(&bytes);
            let take = queue.len().min((round % 11) as usize);
            got.extend_from_slice(&queue.waiting()[..take]);
            queue.consume(take);
        }
        got.extend_from_slice(queue.waiting());
        assert_eq!(got, expected);
    }

    #[test]
    fn gives_back_the_space_of_a_burst() {
        let mut queue = SendQueue::default();
        queue.push(&vec![0; 4 * KEPT_CAPACITY]);
        queue.consume(4 * KEPT_CAPACITY);
        assert!(queue.buffer.capacity() <= KEPT_CAPACITY);
    }
}
