//! The listeners a loop accepts from.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{SocketFlags, acceptfrom_with};

use super::Timer;
use super::streams::Streams;
use crate::api::Accepted;
use crate::backend::Backend;
use crate::epoll::NOT_A_STREAM;
use crate::sys::{Listener, canonical, is_exhaustion, is_wildcard, local_address};

/// Connections accepted before the streams get their turn again; what is left is reported anew,
/// since listeners are level-triggered.
pub(super) const ACCEPT_BATCH: usize = 32;
/// How long a listener rests after descriptors ran out. Clients wait in its queue meanwhile.
const EXHAUSTION_REST: Duration = Duration::from_millis(50);

pub(super) struct Listeners {
    epoll: Arc<OwnedFd>,
    entries: Vec<Option<(Listener, u64)>>,
}

impl Listeners {
    pub(super) fn new(epoll: Arc<OwnedFd>) -> Self {
        Self {
            epoll,
            entries: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, listener: Listener, token: u64) {
        let free = self.entries.iter().position(Option::is_none);
        let index = free.unwrap_or(self.entries.len());
        let data = EventData::new_u64(NOT_A_STREAM | index as u64);
        if let Err(error) = epoll::add(&self.epoll, &*listener.fd, data, EventFlags::IN) {
            tracing::error!(%error, address = %listener.local, "cannot watch a listener; it is closed");
            return;
        }
        let entry = Some((listener, token));
        match free {
            Some(index) => self.entries[index] = entry,
            None => self.entries.push(entry),
        }
    }

    pub(super) fn remove(&mut self, token: u64) {
        for entry in &mut self.entries {
            if let Some((listener, _)) = entry.take_if(|(_, its)| *its == token) {
                // The socket may stay open, here or in another process, and would go on to tell.
                let _ = epoll::delete(&self.epoll, &*listener.fd);
            }
        }
    }

    /// Accepts one connection, or returns `None` when there is none to be had now.
    pub(super) fn accept<B: Backend>(
        &mut self,
        index: usize,
        streams: &mut Streams<B>,
    ) -> Option<(OwnedFd, Accepted)> {
        let (listener, token) = self.entries.get(index)?.as_ref()?;
        loop {
            let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
            let (fd, peer) = match acceptfrom_with(&*listener.fd, flags) {
                Ok(accepted) => accepted,
                Err(Errno::AGAIN) => return None,
                // The client went away while it waited, or a signal came in between.
                Err(Errno::CONNABORTED | Errno::INTR | Errno::PROTO) => continue,
                Err(error) => {
                    if is_exhaustion(error) {
                        tracing::warn!(%error, "out of descriptors; new connections must wait");
                    } else {
                        tracing::error!(%error, address = %listener.local, "accept failed");
                    }
                    self.rest(index, streams);
                    return None;
                }
            };
            let local = if is_wildcard(listener.local.ip()) {
                local_address(&fd).ok()
            } else {
                Some(listener.local)
            };
            let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
            // Without addresses the peer is gone already.
            let (Some(peer), Some(local)) = (peer, local) else {
                continue;
            };
            let from = Accepted {
                listener: *token,
                peer: canonical(peer),
                local: canonical(local),
            };
            return Some((fd, from));
        }
    }

    /// Accepts again after a rest.
    pub(super) fn take_up(&mut self, index: usize) {
        self.watch(index, EventFlags::IN);
    }

    fn rest<B: Backend>(&mut self, index: usize, streams: &mut Streams<B>) {
        self.watch(index, EventFlags::empty());
        let end = streams.now + EXHAUSTION_REST;
        streams.timers.set(end, Timer::Accept(index));
    }

    fn watch(&mut self, index: usize, flags: EventFlags) {
        if let Some(Some((listener, _))) = self.entries.get(index) {
            let data = EventData::new_u64(NOT_A_STREAM | index as u64);
            if let Err(error) = epoll::modify(&self.epoll, &*listener.fd, data, flags) {
                tracing::error!(%error, address = %listener.local, "cannot change a listener's watch");
            }
        }
    }
}
