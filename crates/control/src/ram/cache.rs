//! What was made of the policies of RAM users, kept from call to call.
//!
//! Calls repeat: a user's client sends the same few actions from the same few places. What its
//! policies say to such a kind of call is worked out once, and which instances it sees once
//! for each change of the tenant's instances.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use openpeta_rpc_api::Action;
use openpeta_store::{PolicyAttachment, Store, VisibleInstances};
use openpeta_types::AccountId;

use super::policy::{Applicable, Outcome, Policy};
use super::resource::Resource;
use super::{action_name, request};
use crate::{Caller, ControlError};

/// Kinds of calls that are remembered of a user; with one more all are forgotten. A user whose
/// conditions turn out ever differently costs time then, not memory.
const MAX_SCOPES: usize = 64;

/// The compiled policies of RAM users.
#[derive(Default)]
pub(crate) struct PolicyCache {
    by_user: RwLock<HashMap<AccountId, HashMap<String, Arc<Compiled>>>>,
}

impl PolicyCache {
    /// The policies of the caller, joined; `None` for the tenant itself.
    pub(super) fn of(
        &self,
        store: &Store,
        caller: &Caller,
    ) -> Result<Option<Arc<Compiled>>, ControlError> {
        let Some(user) = &caller.ram_user else {
            return Ok(None);
        };
        // The store hands out the same `Arc` until one of the policies changes.
        let source = store.policies(caller.account_id, user);
        if let Some(known) = self.known(caller.account_id, user)
            && Arc::ptr_eq(&known.source, &source)
        {
            return Ok(Some(known));
        }
        let is_empty = source.is_empty();
        let compiled = Arc::new(Compiled::new(source, caller.account_id)?);
        let by_user = self.by_user.write();
        let mut by_user = by_user.unwrap_or_else(PoisonError::into_inner);
        let users = by_user.entry(caller.account_id).or_default();
        if is_empty {
            users.remove(user);
        } else {
            users.insert(user.clone(), Arc::clone(&compiled));
        }
        Ok(Some(compiled))
    }

    fn known(&self, account_id: AccountId, user: &str) -> Option<Arc<Compiled>> {
        let by_user = self.by_user.read();
        let by_user = by_user.unwrap_or_else(PoisonError::into_inner);
        by_user.get(&account_id)?.get(user).cloned()
    }
}

/// The policies of a user, joined, and what they say to its calls so far.
pub(super) struct Compiled {
    source: Arc<Vec<PolicyAttachment>>,
    policy: Policy,
    account: Arc<str>,
    scopes: RwLock<HashMap<(Action, Outcome), Arc<Scope>>>,
}

impl Compiled {
    fn new(source: Arc<Vec<PolicyAttachment>>, owner: AccountId) -> Result<Self, ControlError> {
        let parse = |attachment: &PolicyAttachment| {
            Policy::parse(&attachment.document).map_err(|error| {
                ControlError::internal(format!("policy {}: {error}", attachment.policy_name))
            })
        };
        let policies = source.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            source,
            policy: Policy::join(policies),
            account: owner.to_string().into(),
            scopes: RwLock::default(),
        })
    }

    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// What the policies say to such a call.
    pub(super) fn scope(&self, caller: &Caller, action: Action) -> Arc<Scope> {
        let name = action_name(action);
        let request = request(caller, &name);
        let kind = (action, self.policy.outcome(&request));
        let scopes = self.scopes.read();
        let known = scopes.unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get(&kind) {
            return Arc::clone(known);
        }
        drop(known);
        let applicable = self.policy.applicable(&request);
        let scopes = self.scopes.write();
        let mut scopes = scopes.unwrap_or_else(PoisonError::into_inner);
        // Most statements speak of many actions: where the same ones apply, what is visible is
        // the same, too.
        let same = |known: &&Arc<Scope>| known.applicable.places() == applicable.places();
        let scope = match scopes.values().find(same) {
            Some(known) => Arc::clone(known),
            None => Arc::new(Scope::new(applicable, &self.account)),
        };
        if scopes.len() >= MAX_SCOPES {
            scopes.clear();
        }
        scopes.insert(kind, Arc::clone(&scope));
        scope
    }
}

/// What the statements that speak of a kind of call let it reach.
pub(super) struct Scope {
    applicable: Arc<Applicable>,
    account: Arc<str>,
    allows_every_instance: bool,
    visible: VisibleInstances,
}

impl Scope {
    fn new(applicable: Applicable, account: &Arc<str>) -> Self {
        let applicable = Arc::new(applicable);
        let (statements, owner) = (Arc::clone(&applicable), Arc::clone(account));
        let visible = VisibleInstances::new(move |id, region| {
            statements.allows(&Resource {
                region,
                account: &owner,
                instance: id.as_str(),
            })
        });
        Self {
            allows_every_instance: applicable.allows_every_instance(account),
            applicable,
            account: Arc::clone(account),
            visible,
        }
    }

    /// Whether there is anything that is allowed.
    pub(super) fn allows_something(&self) -> bool {
        self.applicable.allows_something()
    }

    /// Whether this resource of the caller's tenant is allowed.
    pub(super) fn allows(&self, region: &str, instance: &str) -> bool {
        self.applicable.allows(&Resource {
            region,
            account: &self.account,
            instance,
        })
    }

    /// Which of the tenant's instances are allowed; `None` for all.
    pub(super) fn visible(&self) -> Option<&VisibleInstances> {
        (!self.allows_every_instance).then_some(&self.visible)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use jiff::Timestamp;
    use openpeta_types::{AccessKeyId, RequestId};

    use super::*;

    fn compiled(statements: &str) -> Arc<Compiled> {
        let owner = AccountId::from_number(1_000_000_000_000_001);
        let source = vec![PolicyAttachment {
            account_id: owner,
            user_name: "ann".into(),
            policy_name: "p".into(),
            document: format!(r#"{{"Version":"1","Statement":[{statements}]}}"#),
        }];
        Arc::new(Compiled::new(Arc::new(source), owner).expect("valid"))
    }

    fn caller(last: u8) -> Caller {
        Caller {
            account_id: AccountId::from_number(1_000_000_000_000_001),
            ram_user: Some("ann".into()),
            access_key_id: AccessKeyId::parse("none").expect("an id"),
            source_ip: Ipv4Addr::new(10, 0, 0, last).into(),
            secure_transport: true,
            user_agent: String::new(),
            request_id: RequestId::from_random([0; 16]),
            now: Timestamp::UNIX_EPOCH,
            trace: None,
        }
    }

    #[test]
    fn calls_of_which_the_same_statements_speak_share_what_is_remembered() {
        let compiled = compiled(
            r#"{"Effect":"Allow","Action":"petadata:Describe*","Resource":"*"},
               {"Effect":"Allow","Action":"petadata:List*","Resource":"*"},
               {"Effect":"Deny","Action":"petadata:*","Resource":"*",
                "Condition":{"IpAddress":{"acs:SourceIp":"10.0.0.1"}}}"#,
        );
        let scope = |last, action| compiled.scope(&caller(last), action);
        let first = scope(2, Action::DescribeInstances);
        assert!(Arc::ptr_eq(&first, &scope(3, Action::DescribeInstances)));
        assert!(Arc::ptr_eq(&first, &scope(2, Action::DescribeDatabaseList)));
        assert!(!Arc::ptr_eq(&first, &scope(2, Action::ListTagResources)));
        let denied = scope(1, Action::DescribeInstances);
        assert!(!Arc::ptr_eq(&first, &denied));
        assert!(first.allows("cn-hangzhou", "pd-1") && !denied.allows("cn-hangzhou", "pd-1"));
    }

    #[test]
    fn conditions_that_turn_out_ever_differently_fill_no_memory() {
        let statement = |last| {
            format!(
                r#"{{"Effect":"Deny","Action":"*","Resource":"acs:petadata:*:*:dbinstance/pd-{last}",
                     "Condition":{{"IpAddress":{{"acs:SourceIp":"10.0.0.{last}"}}}}}}"#
            )
        };
        let mut statements: Vec<_> = (0..200).map(statement).collect();
        statements.push(r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#.into());
        let compiled = compiled(&statements.join(","));
        for last in 0..200 {
            let scope = compiled.scope(&caller(last), Action::DescribeInstances);
            assert!(!scope.allows("cn-hangzhou", &format!("pd-{last}")));
            assert!(scope.allows("cn-hangzhou", &format!("pd-{}", last + 1)));
            let remembered = compiled.scopes.read().expect("no panic").len();
            assert!((1..=MAX_SCOPES).contains(&remembered), "{remembered}");
        }
    }
}
