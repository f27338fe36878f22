//! What packets go over: a socket of the runtime, or a stream of one of the gateway's loops.

use std::future::poll_fn;
use std::io;
use std::path::Path;

use openpeta_relay_io::{LocalSockets, LocalStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Bytes that are asked for at once.
pub(super) const READ: usize = 64 << 10;

/// Two directions of bytes.
#[derive(Debug)]
pub enum Link {
    /// A socket of the runtime.
    Socket(UnixStream),
    /// A stream of a loop.
    Local(LocalStream),
}

impl Link {
    /// Appends what comes next to `input`; tells how many bytes, 0 when no more will come.
    pub(super) async fn read(&mut self, input: &mut Vec<u8>) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => {
                input.reserve(READ);
                socket.read_buf(input).await
            }
            Self::Local(stream) => poll_fn(|context| stream.poll_read(context, input)).await,
        }
    }

    /// Takes some of the bytes over; tells how many.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Socket(socket) => socket.write(bytes).await,
            Self::Local(stream) => poll_fn(|context| stream.poll_write(context, bytes)).await,
        }
    }
}

/// Who connects to nodes, and serves what comes of it.
#[derive(Clone, Debug, Default)]
pub enum Connector {
    /// The runtime.
    #[default]
    Runtime,
    /// A loop.
    Loop(LocalSockets),
}

impl Connector {
    /// Connects to a unix socket.
    ///
    /// # Errors
    /// As connecting.
    pub async fn connect(&self, socket: &Path) -> io::Result<Link> {
        Ok(match self {
            Self::Runtime => Link::Socket(UnixStream::connect(socket).await?),
            Self::Loop(sockets) => Link::Local(sockets.connect(socket).await?),
        })
    }
}
