//! RAM policy documents: reading them and deciding by them (API document 6).
//!
//! Pure: the caller's address, transport and time come in as a [`Request`]. An explicit deny
//! wins; what no statement allows is denied.

use std::net::IpAddr;

use jiff::Timestamp;
use serde::Deserialize;
use thiserror::Error;

use super::condition::{Condition, compile_conditions};
use super::pattern::Pattern;
use super::resource::{Resource, ResourcePattern, ResourceSet};

/// Largest policy document that is accepted, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 32 * 1024;

/// Why a policy document was refused.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// Larger than [`MAX_DOCUMENT_BYTES`].
    #[error("the policy document is larger than {MAX_DOCUMENT_BYTES} bytes")]
    TooLarge,
    /// Not JSON of the documented shape.
    #[error("the policy document is malformed: {0}")]
    Malformed(#[from] serde_json::Error),
    /// The shape is right but a value is not.
    #[error("the policy document is not valid: {0}")]
    Invalid(String),
}

/// What a statement does when it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Effect {
    /// Allows, unless another statement denies.
    Allow,
    /// Denies, whatever else allows.
    Deny,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// For example `petadata:DescribeInstances`.
    pub action: &'a str,
    /// The caller's address, for `acs:SourceIp`.
    pub source_ip: IpAddr,
    /// Whether the call came over TLS, for `acs:SecureTransport`.
    pub secure_transport: bool,
    /// The server's time, for `acs:CurrentTime`.
    pub now: Timestamp,
}

/// The statements of one or several documents, compiled.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    statements: Vec<Statement>,
    /// Which of them have conditions.
    conditional: Vec<usize>,
}

/// Where a statement stands, both counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Which of the joined documents.
    pub document: usize,
    /// Which statement of it.
    pub statement: usize,
}

/// What the statements say to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Whether it is allowed.
    pub is_allowed: bool,
    /// The statement that allows or denies it; `None` when no statement speaks of it.
    pub decided_by: Option<Place>,
}

/// Why a statement does not speak of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mismatch {
    /// Of another action.
    Action,
    /// Of another resource.
    Resource,
    /// A condition does not hold.
    Condition,
}

#[derive(Clone, Debug)]
struct Statement {
    place: Place,
    effect: Effect,
    actions: Vec<Pattern>,
    not_actions: bool,
    resources: Vec<ResourcePattern>,
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Document {
    version: String,
    statement: OneOrMany<StatementDocument>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct StatementDocument {
    effect: Effect,
    action: Option<OneOrMany<String>>,
    not_action: Option<OneOrMany<String>>,
    resource: OneOrMany<String>,
    #[serde(default)]
    condition: serde_json::Map<String, serde_json::Value>,
    #[serde(default, rename = "Sid")]
    _sid: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

impl Policy {
    /// Compiles a policy document (JSON with `Version` "1" and `Statement`).
    ///
    /// # Errors
    /// [`PolicyError`] that names what is wrong; unknown keys, operators and condition keys
    /// are errors, since a restriction that is silently ignored would grant too much.
    pub fn parse(document: &str) -> Result<Self, PolicyError> {
        if document.len() > MAX_DOCUMENT_BYTES {
            return Err(PolicyError::TooLarge);
        }
        let document: Document = serde_json::from_str(document)?;
        if document.version != "1" {
            return Err(PolicyError::Invalid("Version must be \"1\"".into()));
        }
        let statements: Vec<_> = document
            .statement
            .into_vec()
            .into_iter()
            .enumerate()
            .map(|(statement, document)| {
                let place = Place {
                    document: 0,
                    statement,
                };
                Statement::compile(place, document)
            })
            .collect::<Result<_, _>>()?;
        if statements.is_empty() {
            return Err(PolicyError::Invalid("Statement must not be empty".into()));
        }
        Ok(Self::new(statements))
    }

    /// Joins several documents: what one denies stays denied.
    #[must_use]
    pub fn join(policies: impl IntoIterator<Item = Self>) -> Self {
        let mut joined = Vec::new();
        for (document, policy) in policies.into_iter().enumerate() {
            let statements = policy.statements.into_iter().map(|statement| Statement {
                place: Place {
                    document,
                    ..statement.place
                },
                ..statement
            });
            joined.extend(statements);
        }
        Self::new(joined)
    }

    fn new(statements: Vec<Statement>) -> Self {
        let numbered = statements.iter().enumerate();
        let conditional = numbered.filter(|(_, statement)| !statement.conditions.is_empty());
        Self {
            conditional: conditional.map(|(number, _)| number).collect(),
            statements,
        }
    }

    /// Decides on one resource. This is what a policy means; calls are decided on by
    /// [`applicable`](Self::applicable), which says the same and is cheaper.
    #[must_use]
    pub fn decide(&self, request: &Request<'_>, resource: &Resource<'_>) -> Decision {
        let mut decision = Decision {
            is_allowed: false,
            decided_by: None,
        };
        for statement in &self.statements {
            let undecided = statement.effect == Effect::Deny || !decision.is_allowed;
            if undecided && statement.mismatch(request, resource).is_none() {
                decision = Decision {
                    is_allowed: statement.effect == Effect::Allow,
                    decided_by: Some(statement.place),
                };
                if statement.effect == Effect::Deny {
                    break;
                }
            }
        }
        decision
    }

    /// Every statement in order: where it stands, what it does, and why it does not speak of
    /// this request, if it does not.
    pub fn explain(
        &self,
        request: &Request<'_>,
        resource: &Resource<'_>,
    ) -> impl Iterator<Item = (Place, Effect, Option<Mismatch>)> {
        self.statements.iter().map(move |statement| {
            let mismatch = statement.mismatch(request, resource);
            (statement.place, statement.effect, mismatch)
        })
    }

    /// Whether the conditions of each statement that has any hold for this request, in order.
    /// Requests of one action with the same outcome have the same
    /// [`applicable`](Self::applicable).
    #[must_use]
    pub fn outcome(&self, request: &Request<'_>) -> Outcome {
        let holds = |&number: &usize| self.statements[number].conditions_hold(request);
        Outcome(self.conditional.iter().map(holds).collect())
    }

    /// Keeps the statements that speak of this request (action and conditions), so that many
    /// resources can be checked cheaply.
    #[must_use]
    pub fn applicable(&self, request: &Request<'_>) -> Applicable {
        let mut applicable = Applicable::default();
        for statement in &self.statements {
            if statement.speaks_of(request.action) && statement.conditions_hold(request) {
                applicable.add(statement);
            }
        }
        applicable
    }
}

/// Which conditions of a policy hold, see [`Policy::outcome`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Outcome(Box<[bool]>);

/// What the statements that speak of one request allow and deny; only resources are left to
/// match.
#[derive(Debug, Default)]
pub struct Applicable {
    places: Vec<Place>,
    allowed: ResourceSet,
    denied: ResourceSet,
}

impl Applicable {
    /// The statements, in order.
    #[must_use]
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// Whether any statement allows the action on some resource at all.
    #[must_use]
    pub fn allows_something(&self) -> bool {
        !self.allowed.is_empty()
    }

    /// Whether every instance of that account is allowed, so that none need be looked at.
    #[must_use]
    pub fn allows_every_instance(&self, account: &str) -> bool {
        self.denied.is_empty() && self.allowed.holds_account(account)
    }

    /// Whether the action is allowed on this resource.
    #[must_use]
    pub fn allows(&self, resource: &Resource<'_>) -> bool {
        !self.denied.holds(resource) && self.allowed.holds(resource)
    }

    fn add(&mut self, statement: &Statement) {
        self.places.push(statement.place);
        let side = match statement.effect {
            Effect::Allow => &mut self.allowed,
            Effect::Deny => &mut self.denied,
        };
        for pattern in &statement.resources {
            side.add(pattern);
        }
    }
}

impl Statement {
    fn compile(place: Place, document: StatementDocument) -> Result<Self, PolicyError> {
        let (actions, not_actions) = match (document.action, document.not_action) {
            (Some(actions), None) => (actions.into_vec(), false),
            (None, Some(actions)) => (actions.into_vec(), true),
            _ => {
                let text = "a statement needs either Action or NotAction";
                return Err(PolicyError::Invalid(text.into()));
            }
        };
        let resources = document.resource.into_vec();
        if actions.is_empty() || resources.is_empty() {
            let text = "Action and Resource must not be empty";
            return Err(PolicyError::Invalid(text.into()));
        }
        Ok(Self {
            place,
            effect: document.effect,
            actions: actions
                .iter()
                .map(|action| Pattern::ignoring_case(action))
                .collect(),
            not_actions,
            resources: resources
                .iter()
                .map(|resource| ResourcePattern::compile(resource))
                .collect::<Result<_, _>>()?,
            conditions: compile_conditions(&document.condition)?,
        })
    }

    fn mismatch(&self, request: &Request<'_>, resource: &Resource<'_>) -> Option<Mismatch> {
        // The resource first: most statements of a long policy name others.
        let mut resources = self.resources.iter();
        if !resources.any(|pattern| pattern.matches(resource)) {
            Some(Mismatch::Resource)
        } else if !self.speaks_of(request.action) {
            Some(Mismatch::Action)
        } else if !self.conditions_hold(request) {
            Some(Mismatch::Condition)
        } else {
            None
        }
    }

    fn speaks_of(&self, action: &str) -> bool {
        let named = self.actions.iter().any(|pattern| pattern.matches(action));
        named != self.not_actions
    }

    fn conditions_hold(&self, request: &Request<'_>) -> bool {
        let mut conditions = self.conditions.iter();
        conditions.all(|condition| condition.holds(request))
    }
}

#[cfg(test)]
mod tests;
