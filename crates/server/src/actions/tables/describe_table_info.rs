//! DescribeTableInfo.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::actions::{Call, Outcome};

pub(in crate::actions) fn handle<'a>(call: &'a Call<'a>) -> BoxFuture<'a, Outcome> {
    async move {
        let request = call.parse()?;
        let response = call
            .control
            .describe_table_info(call.caller, &request)
            .await?;
        Ok(call.render(&response))
    }
    .boxed()
}
