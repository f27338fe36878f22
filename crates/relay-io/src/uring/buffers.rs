//! The receive buffers of one ring: memory that the kernel fills, and the ring of descriptions
//! through which it is told which parts it may fill.

use std::ffi::c_void;
use std::io;
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::slice;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// The one group of buffers that a ring has.
pub(super) const GROUP: u16 = 0;

/// Pages of this process, unmapped when dropped.
struct Mapping {
    base: NonNull<c_void>,
    length: usize,
}

impl Mapping {
    fn new(length: usize) -> io::Result<Self> {
        // SAFETY: without an address given, the kernel picks one where nothing else lies.
        let base = unsafe {
            mmap_anonymous(
                ptr::null_mut(),
                length,
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::PRIVATE,
            )
        }?;
        let base = NonNull::new(base).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the pages were mapped by `new` with this length, and whoever could point into
        // them holds the mapping alive.
        let unmapped = unsafe { munmap(self.base.as_ptr(), self.length) };
        debug_assert!(unmapped.is_ok());
    }
}

/// The memory that received bytes lie in; shared by the loop, which reads it, and the ring.
pub(crate) struct Memory {
    pages: Rc<Mapping>,
    /// Bytes of each buffer.
    size: usize,
}

/// One filled buffer, owned by whoever holds this: the kernel does not touch it, and no other
/// `Lent` names it, until it is given back.
#[derive(Debug)]
pub(crate) struct Lent {
    index: u16,
    length: u32,
}

impl Lent {
    /// How many bytes it holds.
    pub(super) fn len(&self) -> usize {
        self.length as usize
    }

    /// Drops all bytes but the first `length`.
    pub(super) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length as u32);
    }
}

impl Memory {
    /// Where a buffer begins. Valid for its length, as long as the memory lives.
    pub(super) fn start(&self, lent: &Lent) -> *mut u8 {
        let base: *mut u8 = self.pages.base.as_ptr().cast();
        base.wrapping_add(usize::from(lent.index) * self.size)
    }

    /// The bytes of a buffer.
    pub(super) fn bytes<'a>(&'a mut self, lent: &'a mut Lent) -> &'a mut [u8] {
        // SAFETY: `Lent` is made only for a completed receive, whose length is within the buffer,
        // and is the only one that names it; both borrows last as long as the slice.
        unsafe { slice::from_raw_parts_mut(self.start(lent), lent.len()) }
    }

    fn share(&self) -> Self {
        Self {
            pages: Rc::clone(&self.pages),
            size: self.size,
        }
    }
}

/// The receive buffers of one ring.
pub(super) struct Buffers {
    descriptions: Mapping,
    memory: Memory,
    count: u16,
    tail: u16,
    /// Buffers that the kernel may not fill now.
    lent: u16,
}

impl Buffers {
    /// Makes `count` buffers (a power of two) of `size` bytes and offers them all to the kernel.
    ///
    /// # Errors
    ///
    /// When there is no memory, or the kernel knows no rings of buffers (before 5.19).
    pub(super) fn new(submitter: &Submitter<'_>, count: u16, size: usize) -> io::Result<Self> {
        debug_assert!(count.is_power_of_two());
        let descriptions = Mapping::new(usize::from(count) * size_of::<BufRingEntry>())?;
        let memory = Memory {
            pages: Rc::new(Mapping::new(usize::from(count) * size)?),
            size,
        };
        let address = descriptions.base.as_ptr() as u64;
        // SAFETY: the pages hold exactly `count` descriptions, are zero, and live as long as this
        // value, which the owner drops after the ring.
        unsafe { submitter.register_buf_ring_with_flags(address, count, GROUP, 0) }?;
        let mut buffers = Self {
            descriptions,
            memory,
            count,
            tail: 0,
            lent: count,
        };
        for index in 0..count {
            buffers.give_back(Lent { index, length: 0 });
        }
        Ok(buffers)
    }

    /// The memory, for reading what was received.
    pub(super) fn memory(&self) -> Memory {
        self.memory.share()
    }

    /// Takes over the buffer that a receive has filled.
    pub(super) fn take(&mut self, index: u16, length: u32) -> Lent {
        assert!(index < self.count && length as usize <= self.memory.size);
        self.lent += 1;
        Lent { index, length }
    }

    /// Whether so many buffers are lent that none should stay so for long.
    pub(super) fn is_scarce(&self) -> bool {
        self.lent > self.count / 2
    }

    /// Where the bytes of a buffer begin.
    pub(super) fn start(&self, lent: &Lent) -> *const u8 {
        self.memory.start(lent)
    }

    /// Lets the kernel fill a buffer again.
    pub(super) fn give_back(&mut self, lent: Lent) {
        let entries: *mut BufRingEntry = self.descriptions.base.as_ptr().cast();
        let slot = usize::from(self.tail & (self.count - 1));
        // SAFETY: the slot lies within the mapped descriptions, and the kernel does not read it
        // before the tail, stored below, has passed it.
        let entry = unsafe { &mut *entries.add(slot) };
        entry.set_addr(self.memory.start(&lent) as u64);
        entry.set_len(self.memory.size as u32);
        entry.set_bid(lent.index);
        self.tail = self.tail.wrapping_add(1);
        self.lent -= 1;
        // SAFETY: the first description is where the kernel looks for the tail; it is aligned, and
        // the kernel reads it as we write it, atomically.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(entries).cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}
