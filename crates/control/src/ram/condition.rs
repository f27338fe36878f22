//! Conditions of RAM policy statements: the caller's address, transport and time.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use super::policy::{PolicyError, Request};

/// What must hold besides action and resource.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    SourceIp {
        nets: Vec<IpNet>,
        negated: bool,
    },
    SecureTransport(bool),
    CurrentTime {
        comparison: DateComparison,
        instants: Vec<Timestamp>,
    },
}

#[derive(Clone, Copy, Debug)]
pub(super) enum DateComparison {
    Equals,
    NotEquals,
    LessThan,
    LessThanEquals,
    GreaterThan,
    GreaterThanEquals,
}

/// Reads `{"<operator>": {"<key>": value or [values]}}`.
pub(super) fn compile_conditions(
    document: &serde_json::Map<String, serde_json::Value>,
) -> Result<Vec<Condition>, PolicyError> {
    let mut conditions = Vec::new();
    for (operator, keys) in document {
        let keys = keys
            .as_object()
            .ok_or_else(|| PolicyError::Invalid(format!("Condition {operator} is malformed")))?;
        for (key, values) in keys {
            conditions.push(compile_condition(operator, key, &texts(values)?)?);
        }
    }
    Ok(conditions)
}

fn texts(values: &serde_json::Value) -> Result<Vec<String>, PolicyError> {
    use serde_json::Value;
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(flag) => Ok(flag.to_string()),
        _ => Err(PolicyError::Invalid(
            "a condition value must be text".into(),
        )),
    };
    match values {
        Value::Array(values) if !values.is_empty() => values.iter().map(text).collect(),
        value => Ok(vec![text(value)?]),
    }
}

fn compile_condition(
    operator: &str,
    key: &str,
    values: &[String],
) -> Result<Condition, PolicyError> {
    let bad_value = |value: &String| PolicyError::Invalid(format!("{key}: bad value {value:?}"));
    match key {
        "acs:SourceIp" => {
            let negated = match operator {
                "IpAddress" => false,
                "NotIpAddress" => true,
                _ => return Err(unknown_operator(operator, key)),
            };
            let net = |value: &String| {
                let address = || value.parse::<IpAddr>().map(IpNet::from);
                value
                    .parse::<IpNet>()
                    .or_else(|_| address())
                    .map_err(|_| bad_value(value))
            };
            Ok(Condition::SourceIp {
                nets: values.iter().map(net).collect::<Result<_, _>>()?,
                negated,
            })
        }
        "acs:SecureTransport" if operator == "Bool" => match values {
            [value] => value
                .parse()
                .map(Condition::SecureTransport)
                .map_err(|_| bad_value(value)),
            _ => Err(PolicyError::Invalid(
                "acs:SecureTransport takes one value".into(),
            )),
        },
        "acs:CurrentTime" => {
            let comparison = match operator {
                "DateEquals" => DateComparison::Equals,
                "DateNotEquals" => DateComparison::NotEquals,
                "DateLessThan" => DateComparison::LessThan,
                "DateLessThanEquals" => DateComparison::LessThanEquals,
                "DateGreaterThan" => DateComparison::GreaterThan,
                "DateGreaterThanEquals" => DateComparison::GreaterThanEquals,
                _ => return Err(unknown_operator(operator, key)),
            };
            let instant = |value: &String| value.parse().map_err(|_| bad_value(value));
            let instants = values.iter().map(instant).collect::<Result<_, _>>()?;
            Ok(Condition::CurrentTime {
                comparison,
                instants,
            })
        }
        "acs:SecureTransport" => Err(unknown_operator(operator, key)),
        _ => Err(PolicyError::Invalid(format!(
            "condition key {key:?} is not known"
        ))),
    }
}

fn unknown_operator(operator: &str, key: &str) -> PolicyError {
    PolicyError::Invalid(format!("operator {operator:?} does not apply to {key}"))
}

impl Condition {
    pub(super) fn holds(&self, request: &Request<'_>) -> bool {
        match self {
            Self::SourceIp { nets, negated } => {
                nets.iter().any(|net| net.contains(&request.source_ip)) != *negated
            }
            Self::SecureTransport(expected) => request.secure_transport == *expected,
            Self::CurrentTime {
                comparison,
                instants,
            } => {
                let holds = |instant: &Timestamp| match comparison {
                    DateComparison::Equals | DateComparison::NotEquals => request.now == *instant,
                    DateComparison::LessThan => request.now < *instant,
                    DateComparison::LessThanEquals => request.now <= *instant,
                    DateComparison::GreaterThan => request.now > *instant,
                    DateComparison::GreaterThanEquals => request.now >= *instant,
                };
                let negated = matches!(comparison, DateComparison::NotEquals);
                instants.iter().any(holds) != negated
            }
        }
    }
}
