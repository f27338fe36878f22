//! DeleteDatabase.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use openpeta_control::MutatingCall;

use crate::actions::{Call, Outcome};

pub(in crate::actions) fn handle<'a>(
    call: &'a Call<'a>,
    change: &'a MutatingCall,
) -> BoxFuture<'a, Outcome> {
    async move {
        let response = call.control.delete_database(change, &call.parse()?).await?;
        Ok(call.render(&response))
    }
    .boxed()
}
