//! DescribeRegions.

use openpeta_rpc_api::regions::DescribeRegionsRequest;

use crate::actions::{Call, Outcome};

pub(in crate::actions) fn handle(call: &Call<'_>) -> Outcome {
    call.parse::<DescribeRegionsRequest>()?;
    let response = call.control.describe_regions(call.caller)?;
    Ok(call.render(&response))
}
