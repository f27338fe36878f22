//! `openpeta admin policy explain`: what would be decided on a call, and why.

use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;
use openpeta_rpc_api::{Action, ApiError};
use openpeta_types::{AccessKeyId, AccountId, InstanceId, RequestId, format_time};
use serde_json::{Value, json};

use super::access_keys::check_owner;
use super::not_found;
use crate::ram::Explanation;
use crate::ram::policy::{Effect, Mismatch, Place};
use crate::{Caller, Control, ControlError};

/// The call that is asked about.
pub(super) struct Question {
    pub(super) account_id: AccountId,
    pub(super) user_name: String,
    /// With or without `petadata:`.
    pub(super) action: String,
    /// `acs:petadata:…:dbinstance/<id>`, the id alone, or `*`.
    pub(super) resource: String,
    pub(super) source_ip: Option<IpAddr>,
    pub(super) secure_transport: Option<bool>,
    pub(super) at: Option<Timestamp>,
}

impl Control {
    /// Decides as a call of that user would be decided on, and tells by which statement.
    pub(super) fn policy_explain(
        &self,
        question: Question,
        now: Timestamp,
    ) -> Result<Value, ControlError> {
        let name = question.action.strip_prefix("petadata:");
        let action = Action::find(name.unwrap_or(&question.action));
        let action = action.ok_or_else(|| not_found("action"))?;
        let resource = self.resource(&question)?;
        let (id, user) = (question.account_id, &question.user_name);
        self.parts
            .store
            .read(|reader| check_owner(reader, id, Some(user)))?;
        let policies = self.parts.store.policies(id, user);
        let caller = Caller {
            account_id: question.account_id,
            ram_user: Some(question.user_name),
            access_key_id: AccessKeyId::parse("none").map_err(ControlError::internal)?,
            source_ip: question.source_ip.unwrap_or(Ipv4Addr::LOCALHOST.into()),
            secure_transport: question.secure_transport.unwrap_or(true),
            user_agent: String::new(),
            request_id: RequestId::from_random([0; 16]),
            now: question.at.unwrap_or(now),
            trace: None,
        };
        let named = (resource.region.as_str(), resource.instance.as_str());
        let store = &self.parts.store;
        let explanation = Explanation::of(&self.policies, store, &caller, action, named)?;
        let explanation = explanation.ok_or_else(|| ControlError::internal("not a sub-user"))?;
        let names: Vec<&str> = policies
            .iter()
            .map(|policy| policy.policy_name.as_str())
            .collect();
        Ok(answer(action, &resource, &caller, &names, &explanation))
    }

    /// The parts of the resource that policies are matched against. An instance that is named
    /// alone lies in its region.
    fn resource(&self, question: &Question) -> Result<Named, ControlError> {
        let text = question.resource.as_str();
        if let Some(rest) = text.strip_prefix("acs:petadata:") {
            let parts: Vec<&str> = rest.splitn(3, ':').collect();
            let [region, account, relative] = parts[..] else {
                return Err(bad_resource());
            };
            let instance = relative.strip_prefix("dbinstance/");
            let instance = instance.ok_or_else(bad_resource)?;
            // Another tenant's instance does not exist for the user, whatever its policies say.
            if account != "*" && account != question.account_id.to_string() {
                return Err(ApiError::instance_not_found().into());
            }
            return Ok(Named {
                region: region.to_owned(),
                instance: instance.to_owned(),
            });
        }
        if text == "*" {
            return Ok(Named {
                region: "*".to_owned(),
                instance: "*".to_owned(),
            });
        }
        let id = InstanceId::parse(text).map_err(|_| bad_resource())?;
        let found = self.parts.store.instance_detail(&id);
        let found = found.filter(|found| found.instance.account_id == question.account_id);
        let found = found.ok_or_else(ApiError::instance_not_found)?;
        Ok(Named {
            region: found.instance.region_id.clone(),
            instance: text.to_owned(),
        })
    }
}

/// A resource of the user's tenant.
struct Named {
    region: String,
    instance: String,
}

fn bad_resource() -> ControlError {
    let detail = "Give acs:petadata:REGION:ACCOUNT:dbinstance/ID, an instance's id, or *.";
    ApiError::invalid_parameter("resource")
        .with_detail(detail)
        .into()
}

fn answer(
    action: Action,
    resource: &Named,
    caller: &Caller,
    policies: &[&str],
    explanation: &Explanation,
) -> Value {
    let decision = explanation.decision;
    let place = |place: Place| (policies.get(place.document).copied(), place.statement + 1);
    let reason = match decision.decided_by.map(place) {
        Some((policy, statement)) => {
            let verb = if decision.is_allowed {
                "allows"
            } else {
                "denies"
            };
            let policy = policy.unwrap_or("?");
            format!("statement {statement} of policy {policy} {verb} it")
        }
        None => "no statement allows it".to_owned(),
    };
    let (policy_name, statement) = decision.decided_by.map(place).unzip();
    let Named { region, instance } = resource;
    json!({
        "decision": if decision.is_allowed { "allowed" } else { "denied" },
        "reason": reason,
        "policy_name": policy_name.flatten(),
        "statement": statement,
        "action": format!("petadata:{}", action.spec().name),
        "resource": format!("acs:petadata:{region}:{}:dbinstance/{instance}", caller.account_id),
        "source_ip": caller.source_ip,
        "secure_transport": caller.secure_transport,
        "at": format_time(caller.now),
        "statements": explanation
            .statements
            .iter()
            .map(|&(at, effect, mismatch)| {
                let (policy_name, statement) = place(at);
                json!({
                    "policy_name": policy_name,
                    "statement": statement,
                    "effect": match effect {
                        Effect::Allow => "Allow",
                        Effect::Deny => "Deny",
                    },
                    "matches": mismatch.is_none(),
                    "differs_in": mismatch.map(|mismatch| match mismatch {
                        Mismatch::Action => "Action",
                        Mismatch::Resource => "Resource",
                        Mismatch::Condition => "Condition",
                    }),
                })
            })
            .collect::<Value>(),
    })
}
