//! One line per call. Neither query nor body ever get here: they hold signatures and may hold
//! passwords.

use std::time::Duration;

use openpeta_types::RequestId;
use tracing::info;

use super::call::Progress;
use super::source::Source;

/// Target of the lines, for `[log] level` directives.
const TARGET: &str = "openpeta::access";

/// Writes the line of a call.
pub(super) fn write(
    request_id: RequestId,
    source: Source,
    progress: &Progress,
    status: u16,
    code: &str,
    elapsed: Duration,
) {
    let call = progress.call.as_ref();
    info!(
        target: TARGET,
        request_id = %request_id,
        action = call.map(|call| call.action_name()),
        account = progress.key.as_ref().map(|key| tracing::field::display(key.account_id)),
        // Only a key that was found: what a client claims to be one could be anything.
        key = progress.key.as_ref().map(|key| key.access_key_id.as_str()),
        user = progress.key.as_ref().and_then(|key| key.ram_user.as_deref()),
        source = %source.address,
        tls = source.secure,
        status,
        code,
        micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX),
    );
}
