//! Reading a request's body within limits.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, timeout_at};

use crate::config::HttpLimits;

/// Why a body was not read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyError {
    /// It is, or says it will be, longer than allowed.
    TooLarge,
    /// The client sends too slowly.
    TooSlow,
    /// The connection broke, or the chunks are malformed.
    Broken,
}

/// Reads the whole body.
///
/// It may take `body_timeout`, plus the time that the bytes received so far take at
/// `body_bytes_per_second`: a large body has longer, a client that trickles does not.
///
/// # Errors
/// [`BodyError`] says which limit was passed.
pub(crate) async fn read_body(mut body: Incoming, limits: &HttpLimits) -> Result<Bytes, BodyError> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > limits.body_bytes as u64 {
        return Err(BodyError::TooLarge);
    }
    let start = Instant::now();
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut received = 0;
    loop {
        let deadline =
            start + limits.body_timeout() + time_for(received, limits.body_bytes_per_second);
        let frame = match timeout_at(deadline, body.frame()).await {
            Err(_) => return Err(BodyError::TooSlow),
            Ok(None) => break,
            Ok(Some(Err(_))) => return Err(BodyError::Broken),
            Ok(Some(Ok(frame))) => frame,
        };
        // Trailers carry no parameters.
        let Ok(data) = frame.into_data() else {
            continue;
        };
        received += data.len();
        if received > limits.body_bytes {
            return Err(BodyError::TooLarge);
        }
        if first.is_empty() && rest.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&std::mem::take(&mut first));
            rest.extend_from_slice(&data);
        }
    }
    Ok(if rest.is_empty() {
        first
    } else {
        rest.freeze()
    })
}

fn time_for(bytes: usize, bytes_per_second: u32) -> Duration {
    let millis = bytes as u64 * 1000 / u64::from(bytes_per_second.max(1));
    Duration::from_millis(millis)
}
