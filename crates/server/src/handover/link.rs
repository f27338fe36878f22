//! The connection between two processes of the service: messages, and sockets beside them.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg, sockopt,
};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;
use tokio::net::UnixStream;

/// Bytes that a message may have; a route with all its accounts is the longest.
const LONGEST: usize = 16 << 20;
/// Descriptors that go with one send; the kernel takes up to 253.
pub(super) const BATCH: usize = 64;

/// One end of the connection.
pub(crate) struct Link {
    stream: UnixStream,
    inbox: Vec<u8>,
    sockets: VecDeque<OwnedFd>,
    peer: Option<Peer>,
}

/// The process at the other end. Its number may come to mean another one, the descriptor never.
struct Peer {
    pid: Pid,
    process: OwnedFd,
}

impl Peer {
    fn of(stream: impl AsFd) -> Option<Self> {
        let pid = sockopt::socket_peercred(stream).ok()?.pid;
        let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        Some(Self { pid, process })
    }

    /// Ends it and waits for that.
    fn end(&self) {
        let _ = pidfd_send_signal(&self.process, Signal::KILL);
        let mut ended = [PollFd::new(&self.process, PollFlags::IN)];
        let _ = poll(&mut ended, None);
    }
}

impl Link {
    pub(crate) fn new(stream: UnixStream) -> Self {
        Self {
            peer: Peer::of(&stream),
            stream,
            inbox: Vec::new(),
            sockets: VecDeque::new(),
        }
    }

    /// Sends a message, and at most [`BATCH`] descriptors with it.
    ///
    /// # Errors
    /// When the other end is gone.
    pub(super) async fn send(
        &mut self,
        message: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let frame = encode(message)?;
        let mut rest = &frame[..];
        let mut descriptors = descriptors;
        while !rest.is_empty() {
            let send = || send_some(self.stream.as_fd(), rest, descriptors);
            let sent = self.stream.async_io(Interest::WRITABLE, send).await?;
            rest = &rest[sent..];
            // They went with the first byte.
            descriptors = &[];
        }
        Ok(())
    }

    /// Waits for the next message. May be dropped while it waits: nothing is lost then.
    ///
    /// # Errors
    /// When the other end is gone, or speaks another language.
    pub(super) async fn receive<T: DeserializeOwned>(&mut self) -> io::Result<T> {
        loop {
            if let Some(message) = decode(&mut self.inbox)? {
                return Ok(message);
            }
            let mut bytes = [0; 8192];
            let receive = || receive_some(self.stream.as_fd(), &mut bytes);
            let (count, sockets) = self.stream.async_io(Interest::READABLE, receive).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.inbox.extend_from_slice(&bytes[..count]);
            self.sockets.extend(sockets);
        }
    }

    /// As [`receive`](Self::receive), but not for ever.
    ///
    /// # Errors
    /// The same, and `TimedOut`.
    pub(super) async fn receive_within<T: DeserializeOwned>(
        &mut self,
        patience: Duration,
    ) -> io::Result<T> {
        let late = |_| io::Error::from(io::ErrorKind::TimedOut);
        tokio::time::timeout(patience, self.receive())
            .await
            .map_err(late)?
    }

    /// The next descriptor that came with the messages so far.
    pub(super) fn socket(&mut self) -> Option<OwnedFd> {
        self.sockets.pop_front()
    }

    /// The process at the other end.
    pub(crate) fn peer(&self) -> Option<Pid> {
        self.peer.as_ref().map(|peer| peer.pid)
    }

    /// Ends the process at the other end for sure, and waits for that: what it may do is to be done
    /// by another.
    pub(super) async fn end_peer(&mut self) {
        if let Some(peer) = self.peer.take() {
            let _ = tokio::task::spawn_blocking(move || peer.end()).await;
        }
    }

    /// For calls that wait for each answer.
    ///
    /// # Errors
    /// What the operating system reports.
    pub(super) fn into_blocking(self, patience: Duration) -> io::Result<BlockingLink> {
        let stream = self.stream.into_std()?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        Ok(BlockingLink {
            stream,
            inbox: self.inbox,
            peer: self.peer,
        })
    }
}

/// One end, for whoever asks and waits for the answer.
pub(super) struct BlockingLink {
    stream: StdUnixStream,
    inbox: Vec<u8>,
    peer: Option<Peer>,
}

impl BlockingLink {
    /// Sends a message and waits for the answer.
    ///
    /// # Errors
    /// When the other end is gone, or does not answer in time.
    pub(super) fn ask<T: DeserializeOwned>(&mut self, message: &impl Serialize) -> io::Result<T> {
        self.stream.write_all(&encode(message)?)?;
        loop {
            if let Some(answer) = decode(&mut self.inbox)? {
                return Ok(answer);
            }
            let mut bytes = [0; 8192];
            let count = self.stream.read(&mut bytes)?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.inbox.extend_from_slice(&bytes[..count]);
        }
    }

    /// Ends the process at the other end, which has to do what it is told and does not.
    pub(super) fn end_peer(&mut self) {
        if let Some(peer) = self.peer.take() {
            peer.end();
        }
    }
}

fn encode(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length = u32::try_from(frame.len() - 4).map_err(io::Error::other)?;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    Ok(frame)
}

/// Takes the first message out of the bytes that came, if it is complete.
fn decode<T: DeserializeOwned>(inbox: &mut Vec<u8>) -> io::Result<Option<T>> {
    let Some((length, rest)) = inbox.split_first_chunk::<4>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*length) as usize;
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let Some(payload) = rest.get(..length) else {
        return Ok(None);
    };
    let message = serde_json::from_slice(payload)?;
    inbox.drain(..4 + length);
    Ok(Some(message))
}

fn send_some(
    stream: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    Ok(sendmsg(
        stream,
        &[IoSlice::new(bytes)],
        &mut ancillary,
        flags,
    )?)
}

fn receive_some(stream: BorrowedFd<'_>, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(BATCH))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = recvmsg(stream, &mut [IoSliceMut::new(bytes)], &mut ancillary, flags)?;
    let mut sockets = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            sockets.extend(received);
        }
    }
    Ok((received.bytes, sockets))
}

#[cfg(test)]
mod tests {
    use std::io::Seek;

    use super::*;

    fn pair() -> (Link, Link) {
        let (one, other) = UnixStream::pair().expect("a pair");
        (Link::new(one), Link::new(other))
    }

    #[tokio::test]
    async fn messages_and_descriptors_arrive_in_order() {
        let (mut one, mut other) = pair();
        let files: Vec<_> = (0..BATCH)
            .map(|_| tempfile::tempfile().expect("a file"))
            .collect();
        let sending = async {
            let descriptors: Vec<_> = files.iter().map(AsFd::as_fd).collect();
            one.send(&"first", &descriptors).await.expect("sent");
            // More than a socket takes at once.
            one.send(&"x".repeat(1 << 20), &[]).await.expect("sent");
            one.send(&"last", &descriptors[..1]).await.expect("sent");
        };
        let receiving = async {
            let mut texts: Vec<String> = Vec::new();
            for _ in 0..3 {
                texts.push(other.receive().await.expect("received"));
            }
            texts
        };
        let (texts, ()) = tokio::join!(receiving, sending);
        assert_eq!(
            (&*texts[0], texts[1].len(), &*texts[2]),
            ("first", 1 << 20, "last")
        );
        assert_eq!(other.sockets.len(), BATCH + 1);
        for file in &files {
            let mut copy = std::fs::File::from(other.socket().expect("a descriptor"));
            copy.write_all(b"the same file").expect("written");
            let mut file = file;
            assert_eq!(file.stream_position().expect("a position"), 13);
        }
    }

    #[tokio::test]
    async fn the_end_and_silence_are_told() {
        let (mut one, mut other) = pair();
        let late = one.receive_within::<String>(Duration::from_millis(5)).await;
        assert_eq!(late.unwrap_err().kind(), io::ErrorKind::TimedOut);
        other.send(&"half", &[]).await.expect("sent");
        drop(other);
        assert_eq!(one.receive::<String>().await.expect("received"), "half");
        let gone = one.receive::<String>().await;
        assert_eq!(gone.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn nonsense_is_an_error() {
        for bytes in [&[255; 8][..], b"\x02\0\0\0{]"] {
            let (one, mut other) = pair();
            let mut one = one.stream.into_std().expect("a stream");
            one.write_all(bytes).expect("written");
            assert!(other.receive::<String>().await.is_err());
        }
    }
}
