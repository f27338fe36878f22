//! What resources, workflows and reconcilers share: the store, the engine, the gateway.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use openpeta_engine::Engine;
use openpeta_store::{Instance, Reader, Store, Writer};
use openpeta_types::route::InstanceRoute;
use openpeta_types::{AccountStatus, AccountType, InstanceId, ObjectStatus, Whitelist};
use tokio::sync::watch;

use crate::backups::{LastMoments, LogArchives, RemoteLogs, RemoteSets};
use crate::billing::PriceList;
use crate::events::Events;
use crate::sampling::Samples;
use crate::{ControlConfig, ControlError, Gateway, webhooks};

/// The parts that the control plane is made of.
pub(crate) struct Parts {
    pub(crate) config: ControlConfig,
    pub(crate) prices: PriceList,
    pub(crate) store: Store,
    pub(crate) engine: Engine,
    pub(crate) gateway: Arc<dyn Gateway>,
    /// Held from reading a route to publishing it.
    pub(crate) publishing: Mutex<()>,
    /// Held from reading an endpoint to opening it, and while one is closed.
    pub(crate) opening: Mutex<()>,
    /// What instances did and took.
    pub(crate) samples: Samples,
    /// How far the binary logs of nodes are archived.
    pub(crate) log_archives: LogArchives,
    /// The moments of databases over nodes that were noted last.
    pub(crate) last_moments: LastMoments,
    /// Backup sets in a bucket.
    pub(crate) remote_sets: RemoteSets,
    /// Archived binary logs in that bucket.
    pub(crate) remote_logs: RemoteLogs,
    /// Whether a restored host has what the bucket has: `None` before it was asked.
    pub(crate) fetched: Mutex<Option<Result<(), String>>>,
    /// Events on their way to the store.
    pub(crate) events: Events,
    /// What webhooks took.
    pub(crate) delivery_counts: webhooks::Counts,
    /// Held while the control plane is backed up.
    pub(crate) control_plane_backup: tokio::sync::Mutex<()>,
    /// Raised when reconcilers have something to do before their time.
    pub(crate) nodes_changed: watch::Sender<()>,
}

impl Parts {
    /// Has reconcilers look at nodes now.
    pub(crate) fn wake_reconcilers(&self) {
        self.nodes_changed.send_replace(());
    }

    /// Tells the gateway how the store wants an instance to be reached; withdraws it when there
    /// is no such instance or nothing leads to it.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails. Nobody is let in then, rather than somebody whom
    /// the store no longer admits; the reconciler publishes again.
    pub(crate) fn publish(&self, instance: &InstanceId) -> Result<(), ControlError> {
        // One at a time: what was read before a change must not be published after it, or an
        // address that was just taken off a whitelist would be let in again.
        let _in_order = self
            .publishing
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        match self.store.read(|reader| self.route(reader, instance)) {
            Ok(Some(route)) => self.gateway.publish(route),
            Ok(None) => self.gateway.withdraw(instance),
            Err(error) => {
                self.gateway.withdraw(instance);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Publishes the instance's route once the transaction is committed.
    pub(crate) fn publish_after_commit(self: &Arc<Self>, writer: &Writer<'_>, id: &InstanceId) {
        let (parts, id) = (Arc::clone(self), id.clone());
        writer.after_commit(move || {
            if let Err(error) = parts.publish(&id) {
                tracing::error!(instance = %id, context = error.context, "the route could not be published; the reconciler tries again");
            }
        });
    }

    /// Brings to its end what is half done over the nodes of an instance to which nobody is let in, so that
    /// they can serve another one. Does nothing when its databases are whole on one node.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails, or something cannot be brought to its end now.
    pub(crate) async fn leave_nodes(&self, id: &InstanceId) -> Result<(), ControlError> {
        let route = self.store.read(|reader| match reader.instance(id)? {
            Some(instance) => self.route_to(reader, instance),
            None => Ok(None),
        })?;
        match route.filter(|route| route.sharding.is_some()) {
            Some(route) => {
                let left = self.gateway.leave(route).await;
                left.map_err(ControlError::unavailable)
            }
            None => Ok(()),
        }
    }

    /// The route of an instance; `None` unless clients may connect to it.
    fn route(
        &self,
        reader: &Reader<'_>,
        instance_id: &InstanceId,
    ) -> Result<Option<InstanceRoute>, ControlError> {
        let Some(instance) = reader.instance(instance_id)? else {
            return Ok(None);
        };
        // In MIGRATE its node is being swapped: whoever got in now would write to the wrong one.
        if matches!(
            instance.status,
            ObjectStatus::Delete | ObjectStatus::Migrate
        ) {
            return Ok(None);
        }
        self.route_to(reader, instance)
    }

    /// How clients would reach an instance, whether they may or not; `None` when it has no node.
    fn route_to(
        &self,
        reader: &Reader<'_>,
        instance: Instance,
    ) -> Result<Option<InstanceRoute>, ControlError> {
        let instance_id = &instance.instance_id;
        let Some(node_id) = &instance.node_id else {
            return Ok(None);
        };
        let Some(node) = reader.node(node_id)? else {
            return Ok(None);
        };
        // An account that is being created is known before its row says ACTIVE, so that ACTIVE
        // means that it can log in. Until it exists on the node, the node refuses it.
        let usable = |status| matches!(status, AccountStatus::Active | AccountStatus::Create);
        let usable_accounts: Vec<_> = reader
            .accounts(instance_id)?
            .into_iter()
            .filter(|account| usable(account.status))
            .collect();
        let super_accounts = usable_accounts
            .iter()
            .filter(|account| account.account_type == AccountType::Super)
            .map(|account| account.name.as_str().to_owned())
            .collect();
        let accounts: HashMap<_, _> = usable_accounts
            .into_iter()
            .map(|account| (account.name.as_str().to_owned(), account.login))
            .collect();
        let limits = reader.account_limits(instance_id)?;
        let slow_threshold = reader.slow_threshold(instance_id)?;
        let groups = reader.whitelist_groups(instance_id)?;
        let write_lock = instance.lock_mode.is_locked().then(|| {
            let reason = instance
                .lock_reason
                .as_deref()
                .unwrap_or("locked by the operator");
            format!("{}: {reason}", instance.lock_mode)
        });
        Ok(Some(InstanceRoute {
            instance_id: instance.instance_id.clone(),
            whitelist: Whitelist::new(groups.iter().flat_map(|group| &group.entries)),
            accounts,
            super_accounts,
            limits,
            slow_threshold,
            node_socket: self
                .engine
                .socket_path(node_id)
                .map_err(ControlError::internal)?,
            sharding: self.sharding(reader, &instance)?,
            max_connections: node.settings.max_connections,
            write_lock,
        }))
    }
}
