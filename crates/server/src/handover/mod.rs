//! One process of the service takes over from another, as at an upgrade of the binary: clients
//! notice nothing.
//!
//! The new process connects to `DIR/handover.sock` of the running one and gives the orders
//! ([`message`]); at each the old one does its part and answers:
//!
//! 1. *Take*: it sends the sockets that it listens on and the lock of the data directory, and goes
//!    on serving. The new process prepares all that needs no store.
//! 2. *Yield*: it finishes the calls and the steps of tasks under way and closes the store. Calls
//!    that come wait in the queues of the sockets. The new process opens the store.
//! 3. *Ready*: it accepts no database clients anymore; they wait likewise. The new one accepts
//!    them, then starts tasks, reconcilers and the API.
//! 4. *Serving*: there is no way back. The old process lets go of sockets and lock and keeps its
//!    sessions until they end.
//!
//! Until then the old process takes everything back when the new one ends, or is ended because it
//! does not answer. Both have the lock all the time, so that no third process gets in between; who
//! may use the store is settled by these messages.
//!
//! The connection stays open as long as the old process has sessions: what holds for them (who
//! may be connected, which endpoints there are) it is told over it ([`Predecessor`]). Where it
//! ends without a word, the old process ends its sessions, as they would have with the service.

mod heir;
mod link;
mod message;
mod predecessor;
mod retired;

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use openpeta_gateway::Gateway;
use openpeta_store::DirLock;
use openpeta_types::InstanceId;

pub(crate) use self::heir::Inheritance;
use self::link::BATCH;
pub(crate) use self::link::Link;
use self::message::{Answer, Heritage, Order};
pub(crate) use self::predecessor::Predecessor;
pub use self::retired::Retired;
pub(crate) use self::retired::all_sessions;
use crate::config::Config;

/// How long a new process may take from one order to the next; it may have to make a template
/// of nodes between two.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where a running process waits for its successor.
pub(crate) fn socket_path(data_dir: &Path) -> PathBuf {
    data_dir.join("handover.sock")
}

/// All that the service listens on but for endpoints. They stay open while nobody accepts.
pub(crate) struct ServiceSockets {
    pub(crate) http: TcpListener,
    pub(crate) https: TcpListener,
    pub(crate) metrics: Option<TcpListener>,
    pub(crate) admin: UnixListener,
    pub(crate) successor: tokio::net::UnixListener,
}

/// The old process's part up to the end of step 1: serves on in the meantime.
///
/// # Errors
/// When the new process is gone or late.
pub(crate) async fn offer(
    link: &mut Link,
    config: &Config,
    sockets: &ServiceSockets,
    lock: &DirLock,
    gateway: &Gateway,
) -> io::Result<()> {
    expect(link, |order| matches!(order, Order::Take)).await?;
    let endpoints = gateway.endpoint_sockets();
    let mut descriptors = vec![
        lock.as_fd(),
        sockets.http.as_fd(),
        sockets.https.as_fd(),
        sockets.admin.as_fd(),
        sockets.successor.as_fd(),
    ];
    descriptors.extend(endpoints.iter().map(|socket| socket.listener.as_fd()));
    // Last, so that a program that does not know of it takes the others for what they are.
    descriptors.extend(sockets.metrics.as_ref().map(AsFd::as_fd));
    let batches = descriptors.chunks(BATCH);
    let heritage = Heritage {
        http: config.api.http_listen,
        https: config.api.https_listen,
        metrics: config.metrics.listen.filter(|_| sockets.metrics.is_some()),
        batches: batches.len(),
        endpoints: endpoints
            .iter()
            .map(|socket| (socket.id.clone(), socket.asked))
            .collect(),
    };
    let answer = Answer {
        heritage: Some(heritage),
        ..Answer::default()
    };
    link.send(&answer, &[]).await?;
    for batch in batches {
        link.send(&Answer::default(), batch).await?;
    }
    expect(link, |order| matches!(order, Order::Yield)).await
}

/// The old process's part from the moment on that it has closed the store. When this fails, the
/// new process is no more, and the old one is to take everything back.
///
/// # Errors
/// Why the new process does not serve.
pub(crate) async fn pass_on(
    link: &mut Link,
    gateway: &Gateway,
    sessions: impl Fn() -> HashMap<InstanceId, usize>,
) -> io::Result<()> {
    let result = async {
        link.send(&Answer::default(), &[]).await?;
        expect(link, |order| matches!(order, Order::Ready)).await?;
        gateway.hold();
        let answer = Answer {
            sessions: sessions(),
            ..Answer::default()
        };
        link.send(&answer, &[]).await?;
        expect(link, |order| matches!(order, Order::Serving)).await
    };
    let result = result.await;
    if result.is_err() {
        link.end_peer().await;
    }
    result
}

async fn expect(link: &mut Link, wanted: impl Fn(&Order) -> bool) -> io::Result<()> {
    let order = link.receive_within(PATIENCE).await?;
    match wanted(&order) {
        true => Ok(()),
        false => Err(io::ErrorKind::InvalidData.into()),
    }
}
