//! Listening sockets and the connections that come in.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tracing::warn;

use super::connection::{Shared, Stop, serve, stopped};
use super::{Handler, Peer};
use crate::ServeError;
use crate::config::HttpLimits;

/// Opens a listening socket.
///
/// # Errors
/// [`ServeError::AddressInUse`] or [`ServeError::Listen`], naming `flag`.
pub(crate) fn bind(address: SocketAddr, flag: &'static str) -> Result<StdListener, ServeError> {
    let listen = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        }?;
        // Connections of a former process in TIME_WAIT must not keep the next one out.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?.into_std()
    };
    listen().map_err(|reason: io::Error| match reason.kind() {
        io::ErrorKind::AddrInUse => ServeError::AddressInUse { address, flag },
        _ => ServeError::Listen {
            address,
            flag,
            reason,
        },
    })
}

const BACKLOG: u32 = 1024;
/// Pause after the system had no descriptor or memory for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves listeners until told to stop.
pub(crate) struct HttpServer<H> {
    handler: Arc<H>,
    limits: Arc<HttpLimits>,
    connections: Arc<Semaphore>,
    stop: watch::Sender<Stop>,
    /// A clone goes with every listener and connection; closed when the last one ends.
    alive: mpsc::Sender<()>,
    ended: mpsc::Receiver<()>,
}

impl<H: Handler> HttpServer<H> {
    pub(crate) fn new(handler: Arc<H>, limits: HttpLimits) -> Self {
        let (alive, ended) = mpsc::channel(1);
        Self {
            handler,
            connections: Arc::new(Semaphore::new(limits.connections)),
            limits: Arc::new(limits),
            stop: watch::Sender::new(Stop::No),
            alive,
            ended,
        }
    }

    /// Serves a listener from now on, with TLS if given.
    pub(crate) fn listen(&self, listener: TcpListener, tls: Option<TlsAcceptor>) {
        let shared = Arc::new(Shared {
            handler: Arc::clone(&self.handler),
            limits: Arc::clone(&self.limits),
            tls,
            stop: self.stop.subscribe(),
        });
        let connections = Arc::clone(&self.connections);
        tokio::spawn(accept(listener, shared, connections, self.alive.clone()));
    }

    /// Stops listening, lets requests in flight finish within `patience`, and closes the
    /// connections. Those without a request may still send one for as long as `linger`: a client
    /// that has just connected, or sends the next one at this moment, is answered. Tells whether
    /// all were finished.
    pub(crate) async fn stop(self, patience: Duration, linger: Duration) -> bool {
        let Self {
            stop,
            alive,
            mut ended,
            ..
        } = self;
        stop.send_replace(Stop::Within(linger));
        drop(alive);
        tokio::time::timeout(patience, ended.recv()).await.is_ok()
    }
}

async fn accept<H: Handler>(
    listener: TcpListener,
    shared: Arc<Shared<H>>,
    connections: Arc<Semaphore>,
    alive: mpsc::Sender<()>,
) {
    let mut stop = shared.stop.clone();
    let secure = shared.tls.is_some();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stopped(&mut stop) => return,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) if is_about_one_connection(&error) => continue,
            Err(error) => {
                warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&connections).try_acquire_owned() else {
            refuse::<H>(&stream, address, secure);
            continue;
        };
        let peer = Peer {
            address: canonical(address),
            secure,
        };
        let shared = Arc::clone(&shared);
        let alive = alive.clone();
        tokio::spawn(async move {
            serve(shared, stream, peer).await;
            drop((permit, alive));
        });
    }
}

/// Tells a client that there are too many, as far as that needs no waiting.
fn refuse<H: Handler>(stream: &TcpStream, address: SocketAddr, secure: bool) {
    warn!(%address, "connection refused: [api.limits] connections are open");
    if !secure {
        let _ = stream.try_write(&H::too_many_connections());
    }
}

/// Whether accepting failed because of the connection itself.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// An IPv4 client of a listener for both families is an IPv4 client.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
