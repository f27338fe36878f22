//! DescribeInstanceResourceUsage.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::actions::{Call, Outcome};

pub(in crate::actions) fn handle<'a>(call: &'a Call<'a>) -> BoxFuture<'a, Outcome> {
    async move {
        let response = call
            .control
            .describe_instance_resource_usage(call.caller, &call.parse()?)
            .await?;
        Ok(call.render(&response))
    }
    .boxed()
}
