//! DescribeUserInfo.

use openpeta_rpc_api::accounts::DescribeUserInfoRequest;

use crate::actions::{Call, Outcome};

pub(in crate::actions) fn handle(call: &Call<'_>) -> Outcome {
    call.parse::<DescribeUserInfoRequest>()?;
    let response = call.control.describe_user_info(call.caller)?;
    Ok(call.render(&response))
}
