//! RestoreDatabase.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use openpeta_control::MutatingCall;
use openpeta_rpc_api::backups::RestoreDatabaseRequest;

use crate::actions::{Call, Outcome};

pub(in crate::actions) fn handle<'a>(
    call: &'a Call<'a>,
    change: &'a MutatingCall,
) -> BoxFuture<'a, Outcome> {
    async move {
        let request: RestoreDatabaseRequest = call.parse()?;
        call.control.check_restore_point(change, &request).await?;
        let response = call.control.restore_database(change, &request)?;
        Ok(call.render(&response))
    }
    .boxed()
}
