//! What all orders have in common: who may order, and what is on offer.

use openpeta_rpc_api::ApiError;
use openpeta_store::{Reader, Tenant};
use openpeta_types::{AccountId, NodeFamily, NodeSettings, NodeSpec};

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
    /// `Invalid<parameter>.ValueNotSupported`, `InvalidDBInstanceClassInRegion.NotAvailable`,
    /// `InvalidNodeNumber.ValueNotSupported`.
    pub(crate) fn orderable_spec(
        &self,
        parameter: &str,
        node_spec: &str,
        node_number: u32,
    ) -> Result<(NodeSpec, NodeSettings), ControlError> {
        let found = self.parts.config.node_specs.find(node_spec);
        let (spec, settings) = found.ok_or_else(|| ApiError::value_not_supported(parameter))?;
        if spec.family() == NodeFamily::Columnar {
            return Err(ApiError::node_spec_not_available().into());
        }
        if node_number > 1 {
            return Err(several_nodes().into());
        }
        Ok((spec.clone(), settings.clone()))
    }
}

/// The refusal of a database over several nodes.
pub(crate) fn several_nodes() -> ApiError {
    let detail = "Databases over several nodes are not available yet; only 1 is.";
    ApiError::value_not_supported("NodeNumber").with_detail(detail)
}
