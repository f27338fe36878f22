//! The byte stream below the HTTP parser.
//!
//! The parser answers a request that it cannot read with a bare status line. Clients of this
//! API read the code and the message out of the body, so such an answer is replaced here,
//! where its bytes pass by.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream that puts a body into the parser's bare error answers.
pub(crate) struct AnswerStream<S> {
    stream: S,
    /// Makes the whole answer to a request that the parser refused with this status.
    refusal: fn(status: u16) -> Vec<u8>,
    /// The answer being sent in place of the parser's.
    pending: Option<Pending>,
}

struct Pending {
    bytes: Vec<u8>,
    sent: usize,
    /// Length of the parser's own answer, reported as written once ours is out.
    replaced: usize,
}

impl<S> AnswerStream<S> {
    pub(crate) fn new(stream: S, refusal: fn(u16) -> Vec<u8>) -> Self {
        Self {
            stream,
            refusal,
            pending: None,
        }
    }

    /// Starts to replace `bytes` if they are one of the parser's bare refusals.
    fn intercept(&mut self, bytes: &[u8]) {
        if self.pending.is_none()
            && let Some(status) = bare_refusal(bytes)
        {
            self.pending = Some(Pending {
                bytes: (self.refusal)(status),
                sent: 0,
                replaced: bytes.len(),
            });
        }
    }
}

impl<S: AsyncWrite + Unpin> AnswerStream<S> {
    /// Sends the rest of the replacement; `None` when there is none.
    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Option<Poll<io::Result<usize>>> {
        let pending = self.pending.as_mut()?;
        while pending.sent < pending.bytes.len() {
            let rest = &pending.bytes[pending.sent..];
            match Pin::new(&mut self.stream).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => {
                    return Some(Poll::Ready(Err(io::ErrorKind::WriteZero.into())));
                }
                Poll::Ready(Ok(count)) => pending.sent += count,
                other => return Some(other),
            }
        }
        let replaced = pending.replaced;
        self.pending = None;
        Some(Poll::Ready(Ok(replaced)))
    }
}

/// The status, if these bytes are an answer without a body to a request that could not be
/// read. The API itself answers no error without a body.
fn bare_refusal(bytes: &[u8]) -> Option<u16> {
    let rest = bytes.strip_prefix(b"HTTP/1.1 4")?;
    let status = match rest.get(..2)? {
        b"00" => 400,
        b"14" => 414,
        b"31" => 431,
        _ => return None,
    };
    let empty = rest
        .windows(21)
        .any(|window| window == b"\r\ncontent-length: 0\r\n");
    empty.then_some(status)
}

impl<S: AsyncRead + Unpin> AsyncRead for AnswerStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for AnswerStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.intercept(buf);
        match self.poll_pending(cx) {
            Some(result) => result,
            None => Pin::new(&mut self.stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(first) = bufs.first() {
            self.intercept(first);
        }
        match self.poll_pending(cx) {
            Some(result) => result,
            None => Pin::new(&mut self.stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn refusal(status: u16) -> Vec<u8> {
        format!("refused {status}").into_bytes()
    }

    async fn through(bytes: &[u8]) -> Vec<u8> {
        // A pipe of 4 bytes makes every write partial.
        let (near, mut far) = tokio::io::duplex(4);
        let mut stream = AnswerStream::new(near, refusal);
        let write = async {
            stream.write_all(bytes).await.expect("write");
            stream.shutdown().await.expect("shutdown");
        };
        let mut received = Vec::new();
        let read = async { far.read_to_end(&mut received).await.expect("read") };
        tokio::join!(write, read);
        received
    }

    #[tokio::test]
    async fn bare_refusals_are_replaced() {
        for status in [400, 414, 431] {
            let bare = format!(
                "HTTP/1.1 {status} Whatever\r\nconnection: close\r\ncontent-length: 0\r\ndate: x\r\n\r\n"
            );
            assert_eq!(through(bare.as_bytes()).await, refusal(status));
        }
    }

    #[tokio::test]
    async fn other_answers_pass() {
        for text in [
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 12\r\n\r\n{\"Code\":\"X\"}",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "HT",
        ] {
            assert_eq!(through(text.as_bytes()).await, text.as_bytes());
        }
    }
}
