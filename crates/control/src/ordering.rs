//! What all orders have in common: who may order, and what is on offer.

use openpeta_rpc_api::ApiError;
use openpeta_store::{Reader, Tenant};
use openpeta_types::{AccountId, ChargeType, NodeFamily, NodeSettings, NodeSpec};

use crate::{Control, ControlError};

impl Control {
    /// The tenant that orders, if it may order at all.
    ///
    /// # Errors
    /// `Forbidden.Authentication`, `InsufficientBalance`.
    pub(crate) fn buyer(
        &self,
        reader: &Reader<'_>,
        account_id: AccountId,
    ) -> Result<Tenant, ControlError> {
        let tenant = reader
            .tenant(account_id)?
            .ok_or_else(|| ControlError::internal("the caller's tenant is gone"))?;
        if !tenant.real_name_verified {
            return Err(ApiError::forbidden_authentication().into());
        }
        if tenant.balance_cents < self.parts.config.quotas.minimum_balance_cents {
            return Err(ApiError::insufficient_balance().into());
        }
        Ok(tenant)
    }

    /// The ordered spec and what a node gets for it, if a database of it can be made.
    ///
    /// # Errors
    /// `Invalid<parameter>.ValueNotSupported`, `InvalidDBInstanceClassInRegion.NotAvailable`.
    pub(crate) fn orderable_spec(
        &self,
        parameter: &str,
        node_spec: &str,
    ) -> Result<(NodeSpec, NodeSettings), ControlError> {
        let found = self.parts.config.node_specs.find(node_spec);
        let (spec, settings) = found.ok_or_else(|| ApiError::value_not_supported(parameter))?;
        if spec.family() == NodeFamily::Columnar {
            return Err(ApiError::node_spec_not_available().into());
        }
        Ok((spec.clone(), settings.clone()))
    }

    /// Whether a database can be spread over so many nodes, of which the host has to carry so
    /// many more than before.
    ///
    /// # Errors
    /// `InvalidNodeNumber.ValueNotSupported`, `OperationDenied`.
    pub(crate) fn check_nodes(
        &self,
        reader: &Reader<'_>,
        charge_type: ChargeType,
        node_number: u32,
        added: u32,
    ) -> Result<(), ControlError> {
        let refused = |detail: String| {
            let error = ApiError::value_not_supported("NodeNumber");
            Err(error.with_detail(&detail).into())
        };
        let most = self.parts.config.quotas.nodes_per_database;
        let most = match charge_type {
            ChargeType::PrePaid => most.min(MOST_PREPAID_NODES),
            ChargeType::PostPaid => most,
        };
        if node_number > most.max(1) {
            return refused(format!(
                "A {charge_type} database has {most} nodes at most."
            ));
        }
        if node_number > 1 && self.parts.gateway.coordinator_sockets().is_none() {
            return refused(
                "Databases over several nodes are not available yet; only 1 is.".to_owned(),
            );
        }
        let nodes = reader.nodes()?.into_iter();
        let serving = nodes.filter(|node| node.instance_id.is_some()).count();
        if serving + added as usize > self.parts.config.nodes.capacity as usize {
            return Err(ApiError::sold_out().into());
        }
        Ok(())
    }
}

/// Nodes that a PrePaid database has at most, as the original says.
const MOST_PREPAID_NODES: u32 = 64;
