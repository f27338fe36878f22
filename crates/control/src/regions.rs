//! Regions and zones.

use openpeta_rpc_api::Action;
use openpeta_rpc_api::regions::DescribeRegionsResponse;
use openpeta_types::REGIONS;

use crate::{Caller, Control, ControlError};

impl Control {
    /// DescribeRegions: all of them; each means this machine.
    ///
    /// # Errors
    /// `Forbidden.RAM`.
    pub fn describe_regions(
        &self,
        caller: &Caller,
    ) -> Result<DescribeRegionsResponse, ControlError> {
        self.check_any_instance(caller, Action::DescribeRegions, "*")?;
        Ok(DescribeRegionsResponse { regions: REGIONS })
    }
}
