//! Who calls, from where, when; and what a changing call brings along besides.

use std::net::IpAddr;

use jiff::Timestamp;
use openpeta_rpc_api::Action;
use openpeta_types::{AccessKeyId, AccountId, RequestId, TraceContext};

/// The authenticated caller of one API call.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The tenant that the access key belongs to.
    pub account_id: AccountId,
    /// The RAM user; `None` for the tenant itself, which no policy restricts.
    pub ram_user: Option<String>,
    /// The access key that signed the call.
    pub access_key_id: AccessKeyId,
    /// The client's address.
    pub source_ip: IpAddr,
    /// Whether the call came over TLS.
    pub secure_transport: bool,
    /// The client's `User-Agent`, cut to a sensible length.
    pub user_agent: String,
    /// The call's RequestId.
    pub request_id: RequestId,
    /// When the call arrived, by the server's clock.
    pub now: Timestamp,
    /// Its place in a trace, if calls are traced.
    pub trace: Option<TraceContext>,
}

/// Who orders something, by what, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buyer {
    /// The tenant who pays.
    pub(crate) account_id: AccountId,
    /// The name of the action that orders it.
    pub(crate) action: &'static str,
    /// When.
    pub(crate) now: Timestamp,
}

/// A call that changes something: what its audit row and its ClientToken need.
#[derive(Clone, Debug)]
pub struct MutatingCall {
    /// Who calls.
    pub caller: Caller,
    /// The action.
    pub action: Action,
    /// The action's parameters as a JSON object, secrets replaced by `***`.
    pub parameters: String,
    /// Digest of the action's parameters, secrets included, common parameters left out; two
    /// calls with one ClientToken must agree in it.
    pub digest: [u8; 32],
}

impl MutatingCall {
    /// What an order needs to know of it.
    pub(crate) fn buyer(&self) -> Buyer {
        Buyer {
            account_id: self.caller.account_id,
            action: self.action.name(),
            now: self.caller.now,
        }
    }
}
