//! Bodies of answers: whole in memory, or as they come.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::BoxStream;
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::deadline::Deadline;

/// The body of an answer.
pub(crate) struct AnswerBody(Content);

enum Content {
    Whole(Full<Bytes>),
    Streamed(Streamed),
}

/// A body that is longer than what should be in memory.
struct Streamed {
    chunks: BoxStream<'static, io::Result<Bytes>>,
    /// Bytes that are yet to come.
    left: u64,
    /// Each chunk moves it.
    deadline: Option<(Arc<Deadline>, Duration)>,
}

impl From<Bytes> for AnswerBody {
    fn from(bytes: Bytes) -> Self {
        Self(Content::Whole(Full::new(bytes)))
    }
}

impl AnswerBody {
    /// So many bytes, which are asked for when the client has taken those before. If they are
    /// fewer or more, or an error comes, the connection is closed, and the client sees that not
    /// all has come.
    pub(crate) fn streamed(chunks: BoxStream<'static, io::Result<Bytes>>, bytes: u64) -> Self {
        Self(Content::Streamed(Streamed {
            chunks,
            left: bytes,
            deadline: None,
        }))
    }

    /// Has the connection wait for a client no longer than that between two chunks.
    pub(super) fn watch(&mut self, deadline: &Arc<Deadline>, patience: Duration) {
        if let Content::Streamed(streamed) = &mut self.0 {
            streamed.deadline = Some((Arc::clone(deadline), patience));
        }
    }
}

impl Streamed {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let chunk = match ready!(Pin::new(&mut self.chunks).poll_next(cx)) {
            Some(Ok(chunk)) => chunk,
            Some(Err(error)) => {
                tracing::warn!(%error, "what is being sent cannot be read; the connection is closed");
                return Poll::Ready(Some(Err(error)));
            }
            None => return Poll::Ready(Some(Err(ErrorKind::UnexpectedEof.into()))),
        };
        let Some(left) = self.left.checked_sub(chunk.len() as u64) else {
            return Poll::Ready(Some(Err(ErrorKind::InvalidData.into())));
        };
        self.left = left;
        if let Some((deadline, patience)) = &self.deadline {
            deadline.set(Instant::now(), *patience);
        }
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match &mut self.0 {
            Content::Whole(whole) => {
                let frame = ready!(Pin::new(whole).poll_frame(cx));
                Poll::Ready(frame.map(|frame| frame.map_err(|never| match never {})))
            }
            Content::Streamed(streamed) => streamed.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Content::Whole(whole) => whole.is_end_stream(),
            Content::Streamed(streamed) => streamed.left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Content::Whole(whole) => whole.size_hint(),
            Content::Streamed(streamed) => SizeHint::with_exact(streamed.left),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use http_body_util::BodyExt;

    use super::*;

    async fn read(chunks: Vec<io::Result<Bytes>>, bytes: u64) -> Result<Bytes, ErrorKind> {
        let body = AnswerBody::streamed(stream::iter(chunks).boxed(), bytes);
        let collected = body.collect().await;
        collected
            .map(|all| all.to_bytes())
            .map_err(|error| error.kind())
    }

    #[tokio::test]
    async fn what_is_not_as_long_as_was_said_is_an_error() {
        let chunks = || vec![Ok(Bytes::from_static(b"ab")), Ok(Bytes::from_static(b"c"))];
        assert_eq!(read(chunks(), 3).await.as_deref(), Ok(b"abc".as_slice()));
        assert_eq!(read(chunks(), 4).await, Err(ErrorKind::UnexpectedEof));
        assert_eq!(read(chunks(), 1).await, Err(ErrorKind::InvalidData));
        let broken = vec![Ok(Bytes::from_static(b"ab")), Err(ErrorKind::Other.into())];
        assert_eq!(read(broken, 3).await, Err(ErrorKind::Other));
    }

    #[tokio::test]
    async fn each_chunk_gives_the_client_more_time() {
        let deadline = Arc::new(Deadline::new(Duration::ZERO));
        let chunks = vec![Ok(Bytes::from_static(b"ab"))];
        let mut body = AnswerBody::streamed(stream::iter(chunks).boxed(), 2);
        body.watch(&deadline, Duration::from_secs(60));
        assert!(deadline.has_passed());
        assert!(body.frame().await.is_some());
        assert!(!deadline.has_passed());
    }
}
