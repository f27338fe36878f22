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
        Ok(Self { statements })
    }

    /// Joins several documents: what one denies stays denied.
    #[must_use]
    pub fn join(policies: impl IntoIterator<Item = Self>) -> Self {
        let mut joined = Self::default();
        for (document, policy) in policies.into_iter().enumerate() {
            let statements = policy.statements.into_iter().map(|statement| Statement {
                place: Place {
                    document,
                    ..statement.place
                },
                ..statement
            });
            joined.statements.extend(statements);
        }
        joined
    }

    /// Decides on one resource. For many, [`applicable`](Self::applicable) is cheaper.
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

    /// Keeps the statements that speak of this request (action and conditions), so that many
    /// resources can be checked cheaply.
    #[must_use]
    pub fn applicable<'p>(&'p self, request: &Request<'_>) -> Applicable<'p> {
        let mut applicable = Applicable::default();
        for statement in &self.statements {
            if statement.speaks_of(request.action) && statement.conditions_hold(request) {
                let side = match statement.effect {
                    Effect::Allow => &mut applicable.allowed,
                    Effect::Deny => &mut applicable.denied,
                };
                statement
                    .resources
                    .iter()
                    .for_each(|pattern| side.add(pattern));
            }
        }
        applicable
    }
}

/// What the statements that speak of one request allow and deny; only resources are left to
/// match.
#[derive(Debug, Default)]
pub struct Applicable<'p> {
    allowed: ResourceSet<'p>,
    denied: ResourceSet<'p>,
}

impl Applicable<'_> {
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
mod tests {
    use super::*;

    fn request(action: &str) -> Request<'_> {
        Request {
            action,
            source_ip: "10.1.2.3".parse().expect("address"),
            secure_transport: false,
            now: "2026-01-02T03:04:05Z".parse().expect("time"),
        }
    }

    fn resource(instance: &str) -> Resource<'_> {
        Resource {
            region: "cn-hangzhou",
            account: "1234567890123456",
            instance,
        }
    }

    fn allows(document: &str, action: &str, instance: &str) -> bool {
        let policy = Policy::parse(document).expect("valid policy");
        let allowed = policy
            .decide(&request(action), &resource(instance))
            .is_allowed;
        let listed = policy
            .applicable(&request(action))
            .allows(&resource(instance));
        assert_eq!(allowed, listed, "single calls and listings agree");
        allowed
    }

    fn one(effect: &str, action: &str, resource: &str, condition: &str) -> String {
        format!(
            r#"{{"Version":"1","Statement":[{{"Effect":"{effect}","Action":"{action}","Resource":"{resource}","Condition":{condition}}}]}}"#
        )
    }

    #[test]
    fn nothing_is_allowed_by_default_and_deny_wins() {
        let document = r#"{"Version":"1","Statement":[
            {"Effect":"Allow","Action":["petadata:*"],"Resource":["acs:petadata:*:*:dbinstance/*"]},
            {"Effect":"Deny","Action":"petadata:Delete*","Resource":"acs:petadata:*:*:dbinstance/pd-keep"}]}"#;
        assert!(allows(document, "petadata:DeleteInstance", "pd-other"));
        assert!(!allows(document, "petadata:DeleteInstance", "pd-keep"));
        assert!(allows(document, "petadata:DescribeInstances", "pd-keep"));
        assert!(!allows(document, "rds:DescribeInstances", "pd-keep"));
    }

    #[test]
    fn resources_match_part_by_part() {
        for (pattern, expected) in [
            ("*", true),
            ("acs:petadata:*:*:dbinstance/*", true),
            ("acs:petadata:*:*:*", true),
            (
                "acs:petadata:cn-hangzhou:1234567890123456:dbinstance/pd-1",
                true,
            ),
            ("acs:petadata:cn-*:*:dbinstance/pd-?", true),
            ("acs: petadata:*:*:dbinstance/ *", true),
            ("acs:petadata:cn-beijing:*:dbinstance/*", false),
            ("acs:petadata:*:1:dbinstance/*", false),
            ("acs:petadata:*:*:dbinstance/pd-2", false),
            ("acs:rds:*:*:dbinstance/*", false),
        ] {
            let document = one("Allow", "petadata:*", pattern, "{}");
            assert_eq!(
                allows(&document, "petadata:X", "pd-1"),
                expected,
                "{pattern}"
            );
        }
    }

    #[test]
    fn conditions_are_all_needed() {
        for (condition, expected) in [
            (
                r#"{"IpAddress":{"acs:SourceIp":["10.0.0.0/8","1.1.1.1"]}}"#,
                true,
            ),
            (r#"{"IpAddress":{"acs:SourceIp":"10.1.2.4"}}"#, false),
            (r#"{"NotIpAddress":{"acs:SourceIp":"10.1.2.4"}}"#, true),
            (r#"{"Bool":{"acs:SecureTransport":"true"}}"#, false),
            (r#"{"Bool":{"acs:SecureTransport":false}}"#, true),
            (
                r#"{"DateGreaterThan":{"acs:CurrentTime":"2026-01-01T00:00:00Z"}}"#,
                true,
            ),
            (
                r#"{"DateLessThan":{"acs:CurrentTime":"2026-01-01T00:00:00+08:00"}}"#,
                false,
            ),
            (
                r#"{"IpAddress":{"acs:SourceIp":"10.0.0.0/8"},"Bool":{"acs:SecureTransport":"true"}}"#,
                false,
            ),
        ] {
            let document = one("Allow", "petadata:*", "*", condition);
            assert_eq!(
                allows(&document, "petadata:X", "pd-1"),
                expected,
                "{condition}"
            );
        }
    }

    #[test]
    fn not_action_matches_everything_else() {
        let document = r#"{"Version":"1","Statement":{"Effect":"Allow","NotAction":"petadata:Delete*","Resource":"*"}}"#;
        assert!(allows(document, "petadata:DescribeInstances", "pd-1"));
        assert!(!allows(document, "petadata:DeleteInstance", "pd-1"));
    }

    #[test]
    fn documents_that_could_grant_too_much_are_refused() {
        for document in [
            "",
            "{}",
            r#"{"Version":"2","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#,
            r#"{"Version":"1","Statement":[]}"#,
            r#"{"Version":"1","Statement":[{"Effect":"allow","Action":"*","Resource":"*"}]}"#,
            r#"{"Version":"1","Statement":[{"Effect":"Allow","Resource":"*"}]}"#,
            r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"pd-1"}]}"#,
            r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Conditions":{}}]}"#,
            r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"acs:SourceIp":"x"}}}]}"#,
            r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"acs:MFAPresent":"true"}}}]}"#,
        ] {
            assert!(Policy::parse(document).is_err(), "{document}");
        }
    }

    #[test]
    fn a_decision_names_its_statement() {
        let first = Policy::parse(
            r#"{"Version":"1","Statement":[
            {"Effect":"Allow","Action":"petadata:Create*","Resource":"*"},
            {"Effect":"Allow","Action":"petadata:*","Resource":"*"}]}"#,
        );
        let second = one(
            "Deny",
            "petadata:Delete*",
            "acs:petadata:*:*:dbinstance/pd-keep",
            r#"{"Bool":{"acs:SecureTransport":"false"}}"#,
        );
        let second = Policy::parse(&second).expect("valid");
        let policy = Policy::join([first.expect("valid"), second]);
        let decide = |action, instance| policy.decide(&request(action), &resource(instance));
        let by = |document, statement| {
            Some(Place {
                document,
                statement,
            })
        };
        for (action, instance, is_allowed, decided_by) in [
            ("petadata:CreateInstance", "*", true, by(0, 0)),
            ("petadata:DeleteInstance", "pd-1", true, by(0, 1)),
            ("petadata:DeleteInstance", "pd-keep", false, by(1, 0)),
            ("rds:DeleteInstance", "pd-1", false, None),
        ] {
            let expected = Decision {
                is_allowed,
                decided_by,
            };
            assert_eq!(decide(action, instance), expected, "{action} {instance}");
        }
        let encrypted = Request {
            secure_transport: true,
            ..request("petadata:DeleteInstance")
        };
        let why: Vec<_> = policy
            .explain(&encrypted, &resource("pd-keep"))
            .map(|(_, _, mismatch)| mismatch)
            .collect();
        assert_eq!(
            why,
            [Some(Mismatch::Action), None, Some(Mismatch::Condition)]
        );
        let why = policy.explain(&encrypted, &resource("pd-1")).last();
        assert_eq!(why.expect("three").2, Some(Mismatch::Resource));
    }

    #[test]
    fn a_user_with_grants_on_some_resource_only_is_told_apart_from_one_without() {
        let document = one(
            "Allow",
            "petadata:DescribeInstances",
            "acs:petadata:*:*:dbinstance/pd-1",
            "{}",
        );
        let policy = Policy::parse(&document).expect("valid");
        assert!(
            policy
                .applicable(&request("petadata:DescribeInstances"))
                .allows_something()
        );
        assert!(
            !policy
                .applicable(&request("petadata:DeleteInstance"))
                .allows_something()
        );
    }
}
