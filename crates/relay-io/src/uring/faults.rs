//! What tests put between the ring and the loop.

/// Makes receives and sends short and buffers few, so that tests reach what is rare.
pub trait Faults: Send + 'static {
    /// How many of `length` received bytes are told first; the others follow by themselves.
    fn received(&mut self, length: usize) -> usize;

    /// How many of `length` bytes are sent with the next request; the others follow.
    fn sent(&mut self, length: usize) -> usize;

    /// Another number of receive buffers, a power of two.
    fn buffers(&self) -> Option<u16>;
}

/// None.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoFaults;

impl Faults for NoFaults {
    fn received(&mut self, length: usize) -> usize {
        length
    }

    fn sent(&mut self, length: usize) -> usize {
        length
    }

    fn buffers(&self) -> Option<u16> {
        None
    }
}
