//! DescribeInstanceInfoByConnection.

use std::sync::Arc;

use openpeta_rpc_api::instances::{
    DescribeInstanceInfoByConnectionRequest, DescribeInstanceInfoByConnectionResponse,
};
use openpeta_rpc_api::{Action, ApiError};
use openpeta_store::InstanceDetail;

use super::describe::info;
use crate::network::ConnectionString;
use crate::{Caller, Control, ControlError};

impl Control {
    /// DescribeInstanceInfoByConnection: the caller's instance that an endpoint leads to.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound` when no instance of the caller has such an endpoint;
    /// `InvalidConnectionString.Malformed` when several have; `Forbidden.RAM`.
    pub fn describe_instance_info_by_connection(
        &self,
        caller: &Caller,
        request: &DescribeInstanceInfoByConnectionRequest,
    ) -> Result<DescribeInstanceInfoByConnectionResponse, ControlError> {
        let action = Action::DescribeInstanceInfoByConnection;
        let found = self.at_connection(caller, &request.connection_string)?;
        let detail = self.detail(caller, action, &found.instance.instance_id)?;
        Ok(DescribeInstanceInfoByConnectionResponse(info(&detail)))
    }

    /// The tenant's instance with such an endpoint; what the caller may do with it is still to
    /// be asked.
    pub(crate) fn at_connection(
        &self,
        caller: &Caller,
        text: &str,
    ) -> Result<Arc<InstanceDetail>, ApiError> {
        let named = ConnectionString::parse(text);
        let store = &self.parts.store;
        let mut found =
            store.instances_with_endpoint(caller.account_id, |endpoint| named.means(endpoint));
        if found.len() > 1 {
            let detail = "Several instances have it: add the port, as in host:port.";
            return Err(ApiError::malformed("ConnectionString").with_detail(detail));
        }
        found.pop().ok_or_else(ApiError::instance_not_found)
    }
}
