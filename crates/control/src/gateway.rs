//! What the control plane needs of the gateway. The gateway's crate stands above this one;
//! the server joins the two.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use openpeta_types::route::InstanceRoute;
use openpeta_types::{DbName, EndpointId, InstanceId, Secret};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why an endpoint could not be opened.
#[derive(Debug, Error)]
pub enum OpenEndpointError {
    /// Another process listens there.
    #[error("{0} is taken by another process")]
    AddressInUse(SocketAddr),
    /// The address is not one of this host's, or the port needs a right we lack.
    #[error("{address} cannot be bound: {reason}")]
    Unavailable {
        /// The address asked for.
        address: SocketAddr,
        /// The operating system's reason.
        reason: String,
    },
}

/// Why an instance did not stand still.
#[derive(Debug, Error)]
pub enum StandStillError {
    /// Nobody is let in to it.
    #[error("the instance has no coordinator")]
    NotServed,
    /// Something is under way, or a node is not reached; it may be tried again.
    #[error("{0}")]
    Busy(String),
}

/// Something that takes a while.
pub type Work<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How the service itself logs in to nodes.
#[derive(Clone, Debug)]
pub struct NodeAccess {
    /// The account.
    pub account: &'static str,
    /// Its password, the same on every node.
    pub password: Secret,
    /// The nodes' version, as executable comments give it.
    pub server_version: u32,
    /// The password of an account by which definitions of the API come, out of the one above.
    pub definer_password: fn(&Secret, &InstanceId, &str) -> Option<Secret>,
}

/// What is done while an instance is held.
pub type HeldWork<'w> = Pin<Box<dyn Future<Output = ()> + Send + 'w>>;

/// The gateway, as the control plane sees it. Calls that are not async are quick, and all may come from
/// any thread.
#[async_trait]
pub trait Gateway: Send + Sync + 'static {
    /// Lets clients in by this route from now on, replacing the instance's former one. Has
    /// taken effect for new connections when it returns; open sessions that the new route
    /// does not admit are closed.
    fn publish(&self, route: InstanceRoute);

    /// Closes the instance's sessions and admits no more.
    fn withdraw(&self, instance: &InstanceId);

    /// The instance is gone, its nodes and all: nothing of it is kept.
    fn forget(&self, _instance: &InstanceId) {}

    /// Listens for an instance at an address; does nothing if it already does.
    ///
    /// # Errors
    /// [`OpenEndpointError`] when the address cannot be bound.
    fn open_endpoint(
        &self,
        endpoint: &EndpointId,
        address: SocketAddr,
        instance: &InstanceId,
    ) -> Result<(), OpenEndpointError>;

    /// Stops listening; sessions that came through the endpoint are closed after `grace`.
    fn close_endpoint(&self, endpoint: &EndpointId, grace: Duration);

    /// Tells how the service itself logs in to nodes, before any route is published.
    ///
    /// # Errors
    /// Why the coordinator cannot work, for the operator.
    fn prepare_coordinator(&self, _access: NodeAccess) -> Result<(), String> {
        Ok(())
    }

    /// The directory of the sockets on which a coordinator speaks for instances with several nodes;
    /// a route names the one of its instance. `None` when there is no coordinator, and then no
    /// database is spread over nodes.
    fn coordinator_sockets(&self) -> Option<PathBuf> {
        None
    }

    /// Whether tables of an instance are being defined through its coordinator. Who has published that
    /// partitions move waits until none are.
    async fn is_defining(&self, _instance: &InstanceId) -> bool {
        false
    }

    /// Does something while nobody uses the distributed tables of an instance and nothing is in doubt
    /// on its nodes. It is given up when sessions do not end what they do within `patience`; those
    /// that are `called` lose their transactions then.
    ///
    /// # Errors
    /// Why not, for the operator; nothing was done then, and trying again may help.
    async fn hold(
        &self,
        _instance: &InstanceId,
        _patience: Duration,
        _called: bool,
        work: HeldWork<'_>,
    ) -> Result<(), String> {
        work.await;
        Ok(())
    }

    /// Does something that changes which tables of an instance there are past its coordinator, while no
    /// statement is being looked at; after that everybody sees it.
    ///
    /// # Errors
    /// Why not, for the operator; nothing was done then, and trying again may help.
    async fn redefine(&self, _instance: &InstanceId, work: HeldWork<'_>) -> Result<(), String> {
        work.await;
        Ok(())
    }

    /// Does something while no transaction over the nodes of a database is half carried out, and no
    /// definition half done. Clients who would commit over nodes wait meanwhile, for `limit` at most: the
    /// work may be given up then.
    fn stand_still<'a>(
        &'a self,
        _instance: &'a InstanceId,
        _database: &'a DbName,
        _limit: Duration,
        _work: Work<'a, ()>,
    ) -> Work<'a, Result<(), StandStillError>> {
        Box::pin(async { Err(StandStillError::NotServed) })
    }

    /// Brings all that is half done on the nodes of an instance to its end and forgets it, so that they can
    /// serve another one: definitions, and transactions that are in doubt. Nobody is let in to the instance
    /// when this is called.
    ///
    /// # Errors
    /// Why not, for the operator; trying again may help.
    async fn leave(&self, _route: InstanceRoute) -> Result<(), String> {
        Ok(())
    }

    /// How much each partition of a database over several nodes is used, in their order; `None` if
    /// nothing was counted yet.
    fn partition_use(
        &self,
        _instance: &InstanceId,
        _database: &DbName,
    ) -> Option<Vec<PartitionUse>> {
        None
    }

    /// The endpoints that are open.
    fn endpoints(&self) -> Vec<EndpointId>;

    /// What the gateway has seen of an instance since it was published; `None` if it is not, or if
    /// nothing is counted.
    fn statistics(&self, _instance: &InstanceId) -> Option<InstanceStatistics> {
        None
    }

    /// Who was turned away since this was last called, those first that were so most often.
    fn take_refusals(&self) -> Vec<Refusal> {
        Vec::new()
    }

    /// What was counted of all sessions of an instance; `None` if it is not published.
    fn traffic(&self, _instance: &InstanceId) -> Option<Traffic> {
        None
    }

    /// As above, with databases, for whoever looks at them regularly: maxima begin anew.
    fn take_traffic(&self, _instance: &InstanceId) -> Option<InstanceTraffic> {
        None
    }
}

/// How much a partition is used: totals since the service began, and in a second of late.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PartitionUse {
    /// Statements that read it.
    pub reads: u64,
    /// Statements that wrote to it.
    pub writes: u64,
    /// Rows that statements read which name no other partition.
    pub rows_read: u64,
    /// Rows that were written.
    pub rows_written: u64,
    /// Statements that read it, in a second.
    pub reads_per_second: f64,
    /// Statements that wrote to it, in a second.
    pub writes_per_second: f64,
    /// Rows that were read, in a second.
    pub rows_read_per_second: f64,
    /// Rows that were written, in a second.
    pub rows_written_per_second: f64,
}

/// How often clients of an address were turned away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// From which instance.
    pub instance: InstanceId,
    /// Why.
    pub reason: RefusalReason,
    /// The address; `None` for all that were too many to be told apart.
    pub source: Option<IpAddr>,
    /// How often.
    pub count: u64,
}

/// Why a client was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RefusalReason {
    /// The whitelist does not admit its address.
    Whitelist,
    /// An unknown account or a wrong password.
    Login,
}

/// What was counted of an instance's sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstanceTraffic {
    /// Another number means that counting began anew, from zero.
    pub counted_as: u64,
    /// Of all sessions.
    pub instance: Traffic,
    /// Of the sessions in a database, by its name.
    pub databases: HashMap<String, Traffic>,
}

/// Totals of sessions. Statements are counted by class, failed ones included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Sessions now.
    pub sessions: u64,
    /// Connections let in, or sessions that entered the database.
    pub connections: u64,
    /// Connections that the whitelist refused; none for a database.
    pub refused: u64,
    /// Commands.
    pub commands: u64,
    /// Replies that were errors.
    pub errors: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes for clients.
    pub bytes_out: u64,
    /// Statements that succeeded.
    pub finished: u64,
    /// Statements that failed.
    pub failed: u64,
    /// `SET`.
    pub set: u64,
    /// Reads of one partition.
    pub single_reads: u64,
    /// Reads of several partitions.
    pub multi_reads: u64,
    /// Writes to one partition.
    pub single_writes: u64,
    /// Writes to several partitions.
    pub multi_writes: u64,
    /// `BEGIN`.
    pub begins: u64,
    /// `COMMIT`.
    pub commits: u64,
    /// `ROLLBACK`.
    pub rollbacks: u64,
    /// Savepoints and XA.
    pub other_transaction: u64,
    /// Other statements.
    pub other: u64,
    /// Time that the reads took in all, in microseconds.
    pub read_us: u64,
    /// Time that the writes took in all, in microseconds.
    pub write_us: u64,
    /// The longest read since the last look, in microseconds.
    pub longest_read_us: u64,
    /// The longest write since the last look, in microseconds.
    pub longest_write_us: u64,
}

/// What the gateway has seen of an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct InstanceStatistics {
    /// Databases that sessions have been in, by name.
    pub databases: Vec<DatabaseStatistics>,
    /// Kinds of statements, by the time that they took in all, the longest first.
    pub digests: Vec<DigestStatistics>,
    /// Sessions past their login, by the node's numbers for them.
    pub sessions: Vec<SessionStatistics>,
}

/// What was counted of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DatabaseStatistics {
    /// Its name.
    pub database: String,
    /// Sessions that are in it now.
    pub sessions: u64,
    /// Statements that succeeded.
    pub finished: u64,
    /// Statements that failed.
    pub failed: u64,
    /// Statements that read.
    pub reads: u64,
    /// Statements that write.
    pub writes: u64,
    /// Time that the reads took in all, in microseconds.
    pub read_us: u64,
    /// Time that the writes took in all, in microseconds.
    pub write_us: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Bytes for clients.
    pub bytes_out: u64,
}

/// What was counted of a kind of statement.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DigestStatistics {
    /// A number for the text; zeros for all kinds that are not kept.
    pub digest: String,
    /// Times that it ran.
    pub count: u64,
    /// Times that it failed.
    pub errors: u64,
    /// Rows sent to clients.
    pub rows_sent: u64,
    /// Rows changed.
    pub rows_affected: u64,
    /// Time in all, in microseconds.
    pub total_us: u64,
    /// Half took no longer, in microseconds.
    pub p50_us: u64,
    /// 95 of 100 took no longer, in microseconds.
    pub p95_us: u64,
    /// 99 of 100 took no longer, in microseconds.
    pub p99_us: u64,
    /// The longest time, in microseconds.
    pub max_us: u64,
    /// The statement without its values.
    pub statement: String,
}

/// A session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SessionStatistics {
    /// The node's number for it.
    pub id: u32,
    /// The account.
    pub account: String,
    /// The client.
    pub client: SocketAddr,
    /// The database that it is in; empty for none.
    pub database: String,
    /// Whether the client's connection uses TLS.
    pub tls: bool,
    /// Commands begun.
    pub commands: u64,
}
