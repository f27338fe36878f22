//! A dump that is read from a URL while it is imported: nothing of it is stored.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Bytes, Incoming};
use openpeta_engine::ImportSource;
use openpeta_tasks::StepError;
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::outgoing::{Address, open, tls_config};

/// For a connection and the head of the answer.
const ANSWER: Duration = Duration::from_secs(30);
/// For more of it.
const IDLE: Duration = Duration::from_secs(60);
/// Pieces that may wait.
const QUEUE: usize = 16;

/// Asks for what is at a URL: exactly there, no redirect is followed.
///
/// # Errors
/// A permanent one when it is refused, a transient one when there is no answer.
pub(crate) async fn download(url: &str, ca_file: Option<&Path>) -> Result<ImportSource, StepError> {
    let wrong =
        |what: String| StepError::permanent(format!("The URL cannot be used: {what}."), &what);
    // What is wrong with it may quote it, and it may have a signature in it.
    let no_url = |_| wrong("it is none of http or https, or has a user or a fragment".to_owned());
    let address = Address::parse(url).map_err(no_url)?;
    let tls = match address.is_https() {
        true => Some(tls_config(ca_file).map_err(wrong)?),
        false => None,
    };
    let answer = timeout(ANSWER, open(&address, tls)).await;
    let answer = match answer {
        Ok(Ok(answer)) => answer,
        // A certificate that is not trusted will not be in a minute.
        Ok(Err(what)) if what.starts_with("TLS") => return Err(wrong(what)),
        Ok(Err(what)) => return Err(StepError::transient(what)),
        Err(_) => return Err(StepError::transient("the URL's server does not answer")),
    };
    let status = answer.status();
    if status.is_server_error() {
        return Err(StepError::transient(format!(
            "the URL's server answers {status}"
        )));
    }
    if status.as_u16() != 200 {
        return Err(wrong(format!("its server answers {status}")));
    }
    let length = answer.headers().get(hyper::header::CONTENT_LENGTH);
    let length = length.and_then(|it| it.to_str().ok()?.parse().ok());
    let (sender, pieces) = mpsc::channel(QUEUE);
    tokio::spawn(pump(answer.into_body(), sender));
    let name = url.split(['?', '#']).next().unwrap_or_default();
    let name = name.rsplit('/').next().filter(|name| !name.is_empty());
    let name = name.unwrap_or("the URL").to_owned();
    Ok(ImportSource::stream(name, length, move || {
        Ok(Box::new(Pieces {
            pieces,
            piece: Bytes::new(),
        }))
    }))
}

async fn pump(mut body: Incoming, sender: mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let next = match timeout(IDLE, body.frame()).await {
            Ok(None) => return,
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) => Ok(data),
                Err(_) => continue,
            },
            Ok(Some(Err(error))) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, error)),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        let is_over = next.is_err();
        if sender.send(next).await.is_err() || is_over {
            return;
        }
    }
}

/// What comes, for a thread that waits for it.
struct Pieces {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len());
        buffer[..length].copy_from_slice(&self.piece.split_to(length));
        Ok(length)
    }
}
