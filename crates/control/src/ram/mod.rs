//! Resource access management: who may do what (API document 6).
//!
//! The tenant itself is never restricted. A RAM user may do what the policies attached to it
//! allow. What belongs to another tenant does not exist for a caller.

mod condition;
mod pattern;
pub mod policy;
mod resource;

use std::collections::HashMap;
use std::sync::{Arc, RwLock};

use openpeta_rpc_api::{Action, ApiError};
use openpeta_store::{PolicyAttachment, Store};
use openpeta_types::AccountId;

use self::policy::{Applicable, Decision, Effect, Mismatch, Place, Policy, Request};
use self::resource::Resource;
use crate::{Caller, ControlError};

/// The compiled policies of RAM users.
#[derive(Default)]
pub(crate) struct PolicyCache {
    by_user: RwLock<HashMap<(AccountId, String), Compiled>>,
}

/// Policies as the store has them and what was made of them; the store hands out the same
/// `Arc` until one of them changes.
struct Compiled {
    source: Arc<Vec<PolicyAttachment>>,
    policy: Arc<Policy>,
}

impl PolicyCache {
    /// The policies of the caller, joined; `None` for the tenant itself.
    fn of(&self, store: &Store, caller: &Caller) -> Result<Option<Arc<Policy>>, ControlError> {
        let Some(user) = &caller.ram_user else {
            return Ok(None);
        };
        let source = store.policies(caller.account_id, user);
        let key = (caller.account_id, user.clone());
        if let Some(known) = self
            .by_user
            .read()
            .expect("no panic while locked")
            .get(&key)
            && Arc::ptr_eq(&known.source, &source)
        {
            return Ok(Some(Arc::clone(&known.policy)));
        }
        let policy = Arc::new(join(&source)?);
        let compiled = Compiled {
            source,
            policy: Arc::clone(&policy),
        };
        self.by_user
            .write()
            .expect("no panic while locked")
            .insert(key, compiled);
        Ok(Some(policy))
    }
}

/// Compiles and joins what is attached to a user.
fn join(attached: &[PolicyAttachment]) -> Result<Policy, ControlError> {
    let parse = |attachment: &PolicyAttachment| {
        Policy::parse(&attachment.document).map_err(|error| {
            ControlError::internal(format!("policy {}: {error}", attachment.policy_name))
        })
    };
    Ok(Policy::join(
        attached.iter().map(parse).collect::<Result<Vec<_>, _>>()?,
    ))
}

/// What a caller may do with one action: everything, or what its policies say.
pub(crate) struct Permission(Option<Restriction>);

/// The policies of a RAM user, and what is asked of them.
struct Restriction {
    policy: Arc<Policy>,
    action: String,
    account: String,
}

impl Permission {
    /// Looks up the caller's policies.
    pub(crate) fn of(
        cache: &PolicyCache,
        store: &Store,
        caller: &Caller,
        action: Action,
    ) -> Result<Self, ControlError> {
        let Some(policy) = cache.of(store, caller)? else {
            return Ok(Self(None));
        };
        Ok(Self(Some(Restriction {
            policy,
            action: format!("petadata:{}", action.spec().name),
            account: caller.account_id.to_string(),
        })))
    }

    /// Prepares the check of many instances: only what speaks of this call remains.
    ///
    /// # Errors
    /// `Forbidden.RAM` when no statement allows the action on anything.
    pub(crate) fn for_instances(
        &self,
        caller: &Caller,
    ) -> Result<InstanceFilter<'_>, ControlError> {
        let Some(restriction) = &self.0 else {
            return Ok(InstanceFilter(None));
        };
        let applicable = restriction.applicable(caller);
        if !applicable.allows_something() {
            return Err(ApiError::forbidden_ram().into());
        }
        if applicable.allows_every_instance(&restriction.account) {
            return Ok(InstanceFilter(None));
        }
        Ok(InstanceFilter(Some((applicable, &restriction.account))))
    }

    /// Checks one resource.
    ///
    /// # Errors
    /// `Forbidden.RAM` unless it is allowed.
    pub(crate) fn check(
        &self,
        caller: &Caller,
        region: &str,
        instance: &str,
    ) -> Result<(), ControlError> {
        let Some(restriction) = &self.0 else {
            return Ok(());
        };
        match restriction.decide(caller, region, instance).is_allowed {
            true => Ok(()),
            false => Err(ApiError::forbidden_ram().into()),
        }
    }

    /// How one resource is decided on, statement by statement; `None` for the tenant itself,
    /// which no policy restricts.
    pub(crate) fn explain(
        &self,
        caller: &Caller,
        region: &str,
        instance: &str,
    ) -> Option<Explanation> {
        let restriction = self.0.as_ref()?;
        let resource = restriction.resource(region, instance);
        let request = restriction.request(caller);
        let statements = restriction.policy.explain(&request, &resource);
        Some(Explanation {
            decision: restriction.decide(caller, region, instance),
            statements: statements.collect(),
        })
    }
}

/// How a call is decided on, and what each statement of the caller's policies says to it.
pub(crate) struct Explanation {
    pub(crate) decision: Decision,
    pub(crate) statements: Vec<(Place, Effect, Option<Mismatch>)>,
}

impl Restriction {
    fn decide(&self, caller: &Caller, region: &str, instance: &str) -> Decision {
        let resource = self.resource(region, instance);
        self.policy.decide(&self.request(caller), &resource)
    }

    fn resource<'a>(&'a self, region: &'a str, instance: &'a str) -> Resource<'a> {
        Resource {
            region,
            account: &self.account,
            instance,
        }
    }

    /// The statements that speak of this call.
    fn applicable(&self, caller: &Caller) -> Applicable<'_> {
        self.policy.applicable(&self.request(caller))
    }

    fn request(&self, caller: &Caller) -> Request<'_> {
        Request {
            action: &self.action,
            source_ip: caller.source_ip,
            secure_transport: caller.secure_transport,
            now: caller.now,
        }
    }
}

/// Tells which instances of a list a caller may see.
pub(crate) struct InstanceFilter<'p>(Option<(Applicable<'p>, &'p str)>);

impl InstanceFilter<'_> {
    /// Whether every instance of the tenant passes, so that nothing need be checked.
    pub(crate) fn passes_all(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the caller may see this instance.
    pub(crate) fn passes(&self, region: &str, instance: &str) -> bool {
        self.0.as_ref().is_none_or(|(applicable, account)| {
            applicable.allows(&Resource {
                region,
                account,
                instance,
            })
        })
    }
}

impl From<policy::PolicyError> for ControlError {
    fn from(error: policy::PolicyError) -> Self {
        Self::from(ApiError::invalid_parameter("PolicyDocument").with_detail(&error.to_string()))
    }
}
