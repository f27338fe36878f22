//! DescribeInstancePerformance.

use crate::actions::{Call, Outcome};

pub(in crate::actions) fn handle(call: &Call<'_>) -> Outcome {
    let response = call
        .control
        .describe_instance_performance(call.caller, &call.parse()?)?;
    Ok(call.render(&response))
}
