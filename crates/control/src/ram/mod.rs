//! Resource access management: who may do what (API document 6).
//!
//! The tenant itself is never restricted. A RAM user may do what the policies attached to it
//! allow. What belongs to another tenant does not exist for a caller.

mod cache;
mod condition;
mod pattern;
pub mod policy;
mod resource;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use openpeta_rpc_api::{Action, ApiError};
use openpeta_store::{Store, VisibleInstances};

pub(crate) use self::cache::PolicyCache;
use self::cache::Scope;
use self::policy::{Decision, Effect, Mismatch, Place, Request};
pub use self::resource::Resource;
use crate::{Caller, ControlError};

/// What a caller may do with one action: everything, or what its policies say.
pub(crate) struct Permission(Option<Arc<Scope>>);

impl Permission {
    /// Looks up what the caller's policies say to this call.
    pub(crate) fn of(
        cache: &PolicyCache,
        store: &Store,
        caller: &Caller,
        action: Action,
    ) -> Result<Self, ControlError> {
        let compiled = cache.of(store, caller)?;
        Ok(Self(
            compiled.map(|compiled| compiled.scope(caller, action)),
        ))
    }

    /// Which instances a listing may show; `None` for all of the tenant's.
    ///
    /// # Errors
    /// `Forbidden.RAM` when no statement allows the action on anything.
    pub(crate) fn for_instances(&self) -> Result<Option<&VisibleInstances>, ControlError> {
        match &self.0 {
            None => Ok(None),
            Some(scope) if scope.allows_something() => Ok(scope.visible()),
            Some(_) => Err(ApiError::forbidden_ram().into()),
        }
    }

    /// Checks one resource.
    ///
    /// # Errors
    /// `Forbidden.RAM` unless it is allowed.
    pub(crate) fn check(&self, region: &str, instance: &str) -> Result<(), ControlError> {
        match &self.0 {
            Some(scope) if !scope.allows(region, instance) => Err(ApiError::forbidden_ram().into()),
            _ => Ok(()),
        }
    }
}

/// How a call is decided on, and what each statement of the caller's policies says to it.
pub(crate) struct Explanation {
    pub(crate) decision: Decision,
    pub(crate) statements: Vec<(Place, Effect, Option<Mismatch>)>,
}

impl Explanation {
    /// Decides on one resource, statement by statement; `None` for the tenant itself, which no
    /// policy restricts.
    pub(crate) fn of(
        cache: &PolicyCache,
        store: &Store,
        caller: &Caller,
        action: Action,
        (region, instance): (&str, &str),
    ) -> Result<Option<Self>, ControlError> {
        let Some(compiled) = cache.of(store, caller)? else {
            return Ok(None);
        };
        let action = action_name(action);
        let request = request(caller, &action);
        let account = caller.account_id.to_string();
        let resource = Resource {
            region,
            account: &account,
            instance,
        };
        let policy = compiled.policy();
        Ok(Some(Self {
            decision: policy.decide(&request, &resource),
            statements: policy.explain(&request, &resource).collect(),
        }))
    }
}

/// As policies name an action.
fn action_name(action: Action) -> String {
    format!("petadata:{}", action.spec().name)
}

fn request<'a>(caller: &Caller, action: &'a str) -> Request<'a> {
    Request {
        action,
        source_ip: caller.source_ip,
        secure_transport: caller.secure_transport,
        now: caller.now,
    }
}

impl From<policy::PolicyError> for ControlError {
    fn from(error: policy::PolicyError) -> Self {
        Self::from(ApiError::invalid_parameter("PolicyDocument").with_detail(&error.to_string()))
    }
}
