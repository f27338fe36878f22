//! What each action does with a call: read its parameters, call the control plane, render.
//!
//! One file per action, in the folder of its section. All checks that are the same for every
//! action have been made before.

mod accounts;
mod backups;
mod databases;
mod instances;
mod monitoring;
mod orders;
mod regions;
mod table;
mod tables;
mod tags;

use futures_util::future::BoxFuture;
use openpeta_control::{Caller, Control, ControlError, MutatingCall};
use openpeta_rpc_api::{
    ApiError, ApiRequest, ApiResponse, ParameterSpec, SignedCall, parameter_digest, render_response,
};
use serde_json::{Map, Value};

use table::handler;

/// The rendered answer of a call, or why there is none.
pub(crate) type Outcome = Result<String, ControlError>;

/// An authenticated call that is permitted to reach its action.
pub(crate) struct Call<'a> {
    /// Carries it out.
    pub(crate) control: &'a Control,
    /// The call as it was sent.
    pub(crate) call: &'a SignedCall,
    /// Who makes it.
    pub(crate) caller: &'a Caller,
    /// The host that it was sent to, as the client says.
    pub(crate) host: &'a str,
}

impl Call<'_> {
    /// The typed request.
    ///
    /// # Errors
    /// The first parameter rule that is broken.
    fn parse<R: ApiRequest>(&self) -> Result<R, ApiError> {
        debug_assert_eq!(R::ACTION, self.call.action());
        R::from_params(self.call.params())
    }

    /// The answer in the client's form.
    fn render(&self, response: &impl ApiResponse) -> String {
        let (format, name) = (self.call.format(), self.call.action_name());
        render_response(format, name, self.caller.request_id, response)
    }
}

/// How an action is carried out.
enum Handler {
    /// Reads, without waiting.
    Read(for<'a> fn(&Call<'a>) -> Outcome),
    /// Reads and may wait.
    SlowRead(for<'a> fn(&'a Call<'a>) -> BoxFuture<'a, Outcome>),
    /// Changes something in one transaction.
    Change(for<'a> fn(&Call<'a>, &MutatingCall) -> Outcome),
    /// Changes something and waits for more than a transaction.
    SlowChange(for<'a> fn(&'a Call<'a>, &'a MutatingCall) -> BoxFuture<'a, Outcome>),
}

/// Carries out a call that changes nothing.
///
/// # Errors
/// What the action answers.
pub(crate) async fn read(call: &Call<'_>) -> Outcome {
    match handler(call.call.action()) {
        Handler::Read(handle) => handle(call),
        Handler::SlowRead(handle) => handle(call).await,
        Handler::Change(_) | Handler::SlowChange(_) => {
            Err(ControlError::internal("a change without its audit row"))
        }
    }
}

/// Carries out a call that changes something.
///
/// # Errors
/// What the action answers.
pub(crate) async fn change(call: &Call<'_>, change: &MutatingCall) -> Outcome {
    match handler(call.call.action()) {
        Handler::Change(handle) => handle(call, change),
        Handler::SlowChange(handle) => handle(call, change).await,
        Handler::Read(_) | Handler::SlowRead(_) => read(call).await,
    }
}

/// What the control plane needs to know of a changing call, and whether its parameters have
/// a digest at all: the error belongs after the check of permission.
pub(crate) fn mutating_call(
    call: &SignedCall,
    caller: Caller,
    digest_key: &str,
) -> (MutatingCall, Result<(), ApiError>) {
    let digest = parameter_digest(call.action(), call.params(), digest_key.as_bytes());
    let change = MutatingCall {
        caller,
        action: call.action(),
        parameters: shown_parameters(call),
        digest: *digest.as_ref().unwrap_or(&[0; 32]),
    };
    (change, digest.map(drop))
}

/// Bytes of a parameter's value that the audit trail keeps; the longest whitelist fits.
const MAX_SHOWN_VALUE: usize = 32 * 1024;

/// The action's own parameters as a JSON object, secrets replaced. Parameters that the action
/// does not have are left out: nobody knows whether they are secret.
fn shown_parameters(call: &SignedCall) -> String {
    let spec = call.spec();
    let mut shown = Map::new();
    for (name, value) in call.params().iter() {
        let known = spec
            .parameter(name)
            .or_else(|| spec.parameter(&unnumbered(name)));
        if let Some(parameter) = known {
            shown.insert(
                name.to_owned(),
                Value::String(shown_value(parameter, value)),
            );
        }
    }
    Value::Object(shown).to_string()
}

fn shown_value(parameter: &ParameterSpec, value: &str) -> String {
    if parameter.secret {
        return "***".to_owned();
    }
    match value.floor_char_boundary(MAX_SHOWN_VALUE) {
        end if end < value.len() => format!("{}…", &value[..end]),
        _ => value.to_owned(),
    }
}

/// The table's name of a numbered parameter: `Tag.N.Key` for `Tag.3.Key`.
fn unnumbered(name: &str) -> String {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let parts: Vec<_> = name
        .split('.')
        .map(|part| if is_number(part) { "N" } else { part })
        .collect();
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use openpeta_rpc_api::{Action, RawRequest, decode};

    use super::*;

    #[test]
    fn the_table_of_handlers_agrees_with_the_table_of_actions() {
        for &action in Action::ALL {
            let spec = action.spec();
            let changes = match handler(action) {
                Handler::Read(_) | Handler::SlowRead(_) => false,
                Handler::Change(_) | Handler::SlowChange(_) => true,
            };
            assert_eq!(changes, spec.mutating, "{}", spec.name);
        }
    }

    fn call(parameters: &str) -> SignedCall {
        let query = format!(
            "{parameters}&Version=2016-01-01&AccessKeyId=k&Signature=s&SignatureMethod=HMAC-SHA1\
             &SignatureVersion=1.0&SignatureNonce=n&Timestamp=2019-01-17T08:00:00Z"
        );
        let header = |_: &str| None;
        let raw = RawRequest {
            method: "GET",
            path: "/",
            query: &query,
            header: &header,
            body: &[],
        };
        decode(&raw).expect("decodable")
    }

    #[test]
    fn the_audit_trail_sees_no_secret_and_nothing_unknown() {
        let call = call(
            "Action=CreateAccount&InstanceId=pd-a&AccountPassword=hunter2&AcountPassword=hunter3",
        );
        assert_eq!(
            shown_parameters(&call),
            r#"{"AccountPassword":"***","InstanceId":"pd-a"}"#
        );
    }

    #[test]
    fn numbered_parameters_are_known() {
        let call = call("Action=TagResources&Tag.12.Key=k&Tag.x.Key=j");
        assert_eq!(shown_parameters(&call), r#"{"Tag.12.Key":"k"}"#);
    }
}
