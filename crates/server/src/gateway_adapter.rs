//! Joins the gateway to the control plane.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use openpeta_control::{
    DatabaseStatistics, DigestStatistics, HeldWork, InstanceStatistics, InstanceTraffic,
    NodeAccess, OpenEndpointError, Refusal, RefusalReason, SessionStatistics, StandStillError,
    Traffic, Work,
};
use openpeta_gateway::{
    DatabaseCounters, Gateway, GatewayError, InstanceCounters, SessionInfo, StatementCounters,
    StatementDigest, TakenCounters,
};
use openpeta_types::route::InstanceRoute;
use openpeta_types::{DbName, EndpointId, InstanceId};

use crate::coordination::Coordination;
use crate::handover::Predecessor;

/// The gateway as the control plane wants it.
pub(crate) struct GatewayAdapter {
    pub(crate) gateway: Arc<Gateway>,
    /// Sessions of an earlier process follow as well.
    pub(crate) predecessor: Arc<Predecessor>,
    /// What stands before several nodes of an instance.
    pub(crate) coordination: Arc<Coordination>,
}

#[async_trait::async_trait]
impl openpeta_control::Gateway for GatewayAdapter {
    fn publish(&self, route: InstanceRoute) {
        let instance = route.instance_id.clone();
        let is_spread = route.sharding.is_some();
        // Before any session goes there.
        if is_spread && let Err(error) = self.coordination.publish(&route) {
            tracing::error!(%instance, error = &error as &dyn std::error::Error, "its nodes cannot be coordinated: nobody is let in; it is tried again");
            return self.withdraw(&instance);
        }
        self.predecessor.publish(&route);
        self.gateway.publish(route);
        if !is_spread {
            self.coordination.withdraw(&instance);
        }
    }

    fn withdraw(&self, instance: &InstanceId) {
        self.predecessor.withdraw(instance);
        self.gateway.withdraw(instance);
        self.coordination.withdraw(instance);
    }

    fn forget(&self, instance: &InstanceId) {
        self.coordination.forget(instance);
    }

    fn prepare_coordinator(&self, access: NodeAccess) -> Result<(), String> {
        let opened = self.coordination.open(access);
        opened.map_err(|error| match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        })
    }

    fn coordinator_sockets(&self) -> Option<PathBuf> {
        Some(self.coordination.sockets().to_owned())
    }

    fn stand_still<'a>(
        &'a self,
        instance: &'a InstanceId,
        database: &'a DbName,
        limit: Duration,
        work: Work<'a, ()>,
    ) -> Work<'a, Result<(), StandStillError>> {
        Box::pin(async move {
            let stood = self
                .coordination
                .stand_still(instance, database, limit, work)
                .await;
            stood.map_err(|error| match error {
                openpeta_coordinator::StandStillError::NotServed => StandStillError::NotServed,
                error => StandStillError::Busy(error.to_string()),
            })
        })
    }

    fn open_endpoint(
        &self,
        endpoint: &EndpointId,
        address: SocketAddr,
        instance: &InstanceId,
    ) -> Result<(), OpenEndpointError> {
        match self
            .gateway
            .open_endpoint(endpoint.clone(), address, instance.clone())
        {
            Ok(_) => Ok(()),
            Err(GatewayError::AddressInUse(address)) => {
                Err(OpenEndpointError::AddressInUse(address))
            }
            Err(error) => Err(OpenEndpointError::Unavailable {
                address,
                reason: error.to_string(),
            }),
        }
    }

    fn close_endpoint(&self, endpoint: &EndpointId, grace: Duration) {
        self.predecessor.close_endpoint(endpoint, grace);
        self.gateway.close_endpoint(endpoint, grace);
    }

    async fn is_defining(&self, instance: &InstanceId) -> bool {
        self.has_elsewhere(instance) || self.coordination.is_defining(instance).await
    }

    async fn hold(
        &self,
        instance: &InstanceId,
        patience: Duration,
        called: bool,
        work: HeldWork<'_>,
    ) -> Result<(), String> {
        if self.has_elsewhere(instance) {
            return Err("the process before this one still has sessions".to_owned());
        }
        self.coordination
            .hold(instance, patience, called, work)
            .await
    }

    async fn leave(&self, route: InstanceRoute) -> Result<(), String> {
        if self.has_elsewhere(&route.instance_id) {
            return Err("the process before this one still has sessions".to_owned());
        }
        self.coordination.leave(route).await
    }

    fn partition_use(
        &self,
        instance: &InstanceId,
        database: &DbName,
    ) -> Option<Vec<openpeta_control::PartitionUse>> {
        self.coordination.partition_use(instance, database)
    }

    async fn redefine(&self, instance: &InstanceId, work: HeldWork<'_>) -> Result<(), String> {
        if self.has_elsewhere(instance) {
            return Err("the process before this one still has sessions".to_owned());
        }
        self.coordination.redefine(instance, work).await
    }

    fn endpoints(&self) -> Vec<EndpointId> {
        self.gateway
            .endpoints()
            .into_iter()
            .map(|endpoint| endpoint.id)
            .collect()
    }

    fn statistics(&self, instance: &InstanceId) -> Option<InstanceStatistics> {
        let databases = self.gateway.database_counters(instance)?;
        let digests = self.gateway.digests(instance)?;
        let sessions = self.gateway.session_list(instance);
        Some(InstanceStatistics {
            databases: databases.into_iter().map(database_statistics).collect(),
            digests: digests.into_iter().map(digest_statistics).collect(),
            sessions: sessions.into_iter().map(session_statistics).collect(),
        })
    }

    fn take_refusals(&self) -> Vec<Refusal> {
        self.gateway
            .take_refusals()
            .into_iter()
            .map(refusal)
            .collect()
    }

    fn traffic(&self, instance: &InstanceId) -> Option<Traffic> {
        self.gateway
            .counters(instance)
            .map(|its| instance_traffic(&its))
    }

    fn take_traffic(&self, instance: &InstanceId) -> Option<InstanceTraffic> {
        self.gateway.take_counters(instance).map(traffic)
    }
}

impl GatewayAdapter {
    /// Whether sessions of an instance go through another process, which is not asked to let partitions
    /// move.
    fn has_elsewhere(&self, instance: &InstanceId) -> bool {
        let sessions = self.predecessor.sessions();
        sessions.get(instance).is_some_and(|count| *count > 0)
    }
}

fn refusal(refusal: openpeta_gateway::Refusal) -> Refusal {
    Refusal {
        instance: refusal.instance,
        reason: match refusal.reason {
            openpeta_gateway::RefusalReason::Whitelist => RefusalReason::Whitelist,
            openpeta_gateway::RefusalReason::Login => RefusalReason::Login,
        },
        source: refusal.source,
        count: refusal.count,
    }
}

fn traffic(taken: TakenCounters) -> InstanceTraffic {
    let of_database = |database: DatabaseCounters| {
        let traffic = Traffic {
            sessions: database.sessions,
            connections: database.entered,
            commands: database.commands,
            errors: database.errors,
            bytes_in: database.bytes_in,
            bytes_out: database.bytes_out,
            ..statements(&database.statements)
        };
        (database.name, traffic)
    };
    InstanceTraffic {
        counted_as: taken.counted_as,
        instance: instance_traffic(&taken.instance),
        databases: taken.databases.into_iter().map(of_database).collect(),
    }
}

fn instance_traffic(its: &InstanceCounters) -> Traffic {
    Traffic {
        sessions: its.sessions,
        connections: its.accepted,
        refused: its.refused_whitelist,
        commands: its.commands,
        errors: its.errors,
        bytes_in: its.bytes_in,
        bytes_out: its.bytes_out,
        ..statements(&its.statements)
    }
}

fn statements(counted: &StatementCounters) -> Traffic {
    Traffic {
        finished: counted.finished,
        failed: counted.failed,
        set: counted.set,
        single_reads: counted.single_reads,
        multi_reads: counted.multi_reads,
        single_writes: counted.single_writes,
        multi_writes: counted.multi_writes,
        begins: counted.begins,
        commits: counted.commits,
        rollbacks: counted.rollbacks,
        other_transaction: counted.other_transaction,
        other: counted.other,
        read_us: micros(counted.read_time),
        write_us: micros(counted.write_time),
        longest_read_us: micros(counted.longest_read),
        longest_write_us: micros(counted.longest_write),
        ..Traffic::default()
    }
}

fn database_statistics(database: DatabaseCounters) -> DatabaseStatistics {
    let statements = database.statements;
    DatabaseStatistics {
        database: database.name,
        sessions: database.sessions,
        finished: statements.finished,
        failed: statements.failed,
        reads: statements.single_reads + statements.multi_reads,
        writes: statements.single_writes + statements.multi_writes,
        read_us: micros(statements.read_time),
        write_us: micros(statements.write_time),
        bytes_in: database.bytes_in,
        bytes_out: database.bytes_out,
    }
}

fn digest_statistics(digest: StatementDigest) -> DigestStatistics {
    DigestStatistics {
        digest: format!("{:016x}", digest.digest),
        count: digest.count,
        errors: digest.errors,
        rows_sent: digest.rows_sent,
        rows_affected: digest.rows_affected,
        total_us: micros(digest.total_time),
        p50_us: micros(digest.p50),
        p95_us: micros(digest.p95),
        p99_us: micros(digest.p99),
        max_us: micros(digest.longest),
        statement: digest.text,
    }
}

fn session_statistics(session: SessionInfo) -> SessionStatistics {
    SessionStatistics {
        id: session.thread_id,
        account: session.account,
        client: session.client,
        database: session.database,
        tls: session.encrypted,
        commands: session.commands,
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
