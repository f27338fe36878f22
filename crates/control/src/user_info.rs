//! What a tenant is told about itself (API document 9.6).

use openpeta_rpc_api::Action;
use openpeta_rpc_api::accounts::DescribeUserInfoResponse;

use crate::{Caller, Control, ControlError};

impl Control {
    /// DescribeUserInfo: the caller's tenant and how many instances it has.
    ///
    /// # Errors
    /// `Forbidden.RAM`.
    pub fn describe_user_info(
        &self,
        caller: &Caller,
    ) -> Result<DescribeUserInfoResponse, ControlError> {
        self.check_any_instance(caller, Action::DescribeUserInfo, "*")?;
        let id = caller.account_id;
        let (tenant, instances) = self.parts.store.read(|reader| {
            Ok::<_, ControlError>((reader.tenant(id)?, reader.instance_count(id)?))
        })?;
        let tenant = tenant.ok_or_else(|| ControlError::internal("the caller's tenant is gone"))?;
        Ok(DescribeUserInfoResponse {
            is_authentication: tenant.real_name_verified,
            is_finance: tenant.finance,
            // Rounded down, so that a debt of less than one unit shows.
            balance_amount: tenant.balance_cents.div_euclid(100),
            instances,
        })
    }
}
