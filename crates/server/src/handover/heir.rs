//! The new process's side, until it serves.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::Path;

use openpeta_gateway::{EndpointSocket, Listener};
use openpeta_store::DirLock;
use openpeta_types::InstanceId;
use rustix::process::Pid;

use super::message::{Answer, Order};
use super::{Link, PATIENCE, Predecessor, socket_path};
use crate::{ServeError, unix_socket};

/// What a running process hands over.
pub(crate) struct Inheritance {
    link: Option<Link>,
    lock: Option<OwnedFd>,
    http: Option<(SocketAddr, TcpListener)>,
    https: Option<(SocketAddr, TcpListener)>,
    metrics: Option<(SocketAddr, TcpListener)>,
    unix: Option<[OwnedFd; 2]>,
    endpoints: Vec<EndpointSocket>,
}

impl Drop for Inheritance {
    /// To the other process its end means that this one is gone, and it goes on with the store: so
    /// an attempt that failed keeps the connection until the process ends.
    fn drop(&mut self) {
        std::mem::forget(self.link.take());
    }
}

impl Inheritance {
    /// Asks the process that serves the data directory to hand over; `None` if there is none, or
    /// none that can.
    ///
    /// # Errors
    /// [`ServeError::HandOver`].
    pub(crate) async fn ask(data_dir: &Path) -> Result<Option<Self>, ServeError> {
        let link = match unix_socket::connect(&socket_path(data_dir)).await {
            Ok(stream) => Link::new(stream),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(failed(error)),
        };
        Self::take(link).await.map(Some).map_err(failed)
    }

    async fn take(mut link: Link) -> io::Result<Self> {
        link.send(&Order::Take, &[]).await?;
        let answer: Answer = link.receive_within(PATIENCE).await?;
        let heritage = answer.heritage.ok_or(io::ErrorKind::InvalidData)?;
        for _ in 0..heritage.batches {
            let _: Answer = link.receive_within(PATIENCE).await?;
        }
        let mut next = || link.socket().ok_or(io::ErrorKind::InvalidData);
        let lock = next()?;
        let http = TcpListener::from(next()?);
        let https = TcpListener::from(next()?);
        let unix = [next()?, next()?];
        let endpoints = heritage.endpoints.into_iter().map(|(id, asked)| {
            let listener = Listener::adopt(next()?)?;
            Ok::<_, io::Error>(EndpointSocket {
                id,
                asked,
                listener,
            })
        });
        let endpoints = endpoints.collect::<io::Result<_>>()?;
        let mut last = || link.socket().ok_or(io::ErrorKind::InvalidData);
        let metrics = match heritage.metrics {
            Some(asked) => Some((asked, TcpListener::from(last()?))),
            None => None,
        };
        Ok(Self {
            link: Some(link),
            lock: Some(lock),
            http: Some((heritage.http, http)),
            https: Some((heritage.https, https)),
            metrics,
            unix: Some(unix),
            endpoints,
        })
    }

    /// The lock of the data directory, which both processes hold from now on.
    ///
    /// # Errors
    /// [`ServeError::HandOver`] when it is none.
    pub(crate) fn lock(&mut self, data_dir: &Path) -> Result<DirLock, ServeError> {
        let none = || ServeError::HandOver("it sent no lock".to_owned());
        let lock = self.lock.take().ok_or_else(none)?;
        DirLock::adopt(data_dir, lock).map_err(|error| ServeError::HandOver(error.to_string()))
    }

    /// The sockets of HTTP and HTTPS, if these are to be served at the same addresses.
    pub(crate) fn api(&mut self, http: SocketAddr, https: SocketAddr) -> [Option<TcpListener>; 2] {
        [same(self.http.take(), http), same(self.https.take(), https)]
    }

    /// The socket of the metrics, if they are to be served at the same address.
    pub(crate) fn metrics(&mut self, wanted: SocketAddr) -> Option<TcpListener> {
        same(self.metrics.take(), wanted)
    }

    /// The operator's socket and the one for the next hand-over.
    pub(crate) fn unix(&mut self) -> Option<[OwnedFd; 2]> {
        self.unix.take()
    }

    /// The sockets of endpoints.
    pub(crate) fn endpoints(&mut self) -> Vec<EndpointSocket> {
        std::mem::take(&mut self.endpoints)
    }

    /// Has the other process close the store.
    ///
    /// # Errors
    /// [`ServeError::HandOver`].
    pub(crate) async fn claim_store(&mut self) -> Result<(), ServeError> {
        self.order(&Order::Yield).await.map(drop)
    }

    /// Has the other process accept nobody anymore; returns the sessions that it keeps.
    ///
    /// # Errors
    /// [`ServeError::HandOver`].
    pub(crate) async fn claim_clients(&mut self) -> Result<HashMap<InstanceId, usize>, ServeError> {
        Ok(self.order(&Order::Ready).await?.sessions)
    }

    /// Tells that this process serves.
    ///
    /// # Errors
    /// [`ServeError::HandOver`] when the other process is gone.
    pub(crate) async fn serving(
        mut self,
        predecessor: &Predecessor,
    ) -> Result<Option<Pid>, ServeError> {
        let link = self.link()?;
        let pid = link.peer();
        link.send(&Order::Serving, &[]).await.map_err(failed)?;
        if let Some(link) = self.link.take() {
            predecessor.attach(link).map_err(failed)?;
        }
        Ok(pid)
    }

    async fn order(&mut self, order: &Order) -> Result<Answer, ServeError> {
        let link = self.link()?;
        link.send(order, &[]).await.map_err(failed)?;
        link.receive_within(PATIENCE).await.map_err(failed)
    }

    fn link(&mut self) -> Result<&mut Link, ServeError> {
        let gone = || failed(io::ErrorKind::NotConnected.into());
        self.link.as_mut().ok_or_else(gone)
    }
}

fn same(socket: Option<(SocketAddr, TcpListener)>, wanted: SocketAddr) -> Option<TcpListener> {
    let (asked, listener) = socket?;
    let bound = listener.local_addr().ok();
    (asked == wanted || bound == Some(wanted)).then_some(listener)
}

fn failed(error: io::Error) -> ServeError {
    ServeError::HandOver(error.to_string())
}
