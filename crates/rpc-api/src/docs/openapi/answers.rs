//! Answers: what succeeds, and the errors of each HTTP status.

use std::collections::BTreeMap;

use super::common::{COMMON_ERRORS, code_schema_name, common_statuses};
use crate::docs::json::Json;
use crate::docs::sample;
use crate::{ActionSpec, ERRORS, FieldKind, FieldSpec};

/// What a RequestId looks like.
pub(super) const REQUEST_ID_PATTERN: &str = "^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$";

/// The name of the schema of an action's answer.
pub(super) fn schema_name(spec: &ActionSpec) -> String {
    format!("{}Response", spec.name)
}

/// The schema of an action's answer; XML follows it member by member.
pub(super) fn schema(spec: &ActionSpec) -> Json {
    let name = schema_name(spec);
    object(spec.response).with("xml", Json::object().with("name", name))
}

fn object(fields: &[FieldSpec]) -> Json {
    let properties = fields.iter().fold(Json::object(), |json, field| {
        json.with(field.name, field_schema(field))
    });
    let required = fields.iter().filter(|field| !field.optional);
    Json::object()
        .with("type", "object")
        .with("properties", properties)
        .with("required", Json::list(required.map(|field| field.name)))
}

fn field_schema(field: &FieldSpec) -> Json {
    let scalar = |kind: &str| Json::object().with("type", kind);
    let schema = match field.kind {
        FieldKind::Text if field.name == "RequestId" => {
            scalar("string").with("pattern", REQUEST_ID_PATTERN)
        }
        FieldKind::Text => scalar("string"),
        FieldKind::Integer => scalar("integer").with("format", "int64"),
        FieldKind::Float => scalar("number"),
        FieldKind::Boolean => scalar("boolean"),
        FieldKind::Time => scalar("string").with("format", "date-time"),
        FieldKind::Object(fields) => object(fields),
        FieldKind::List { item, fields } => {
            let items = match fields {
                [] => scalar("string"),
                _ => object(fields),
            };
            let list = scalar("array").with("items", items);
            scalar("object")
                .with("properties", Json::object().with(item, list))
                .with("required", Json::list([item]))
        }
    };
    let schema = match field.allowed {
        [] => schema,
        allowed => schema.with("enum", Json::list(allowed.iter().copied())),
    };
    schema.with("description", field.description)
}

/// The responses with nothing but codes that all actions have.
pub(super) fn common_responses() -> Json {
    let statuses = common_statuses().into_iter();
    statuses.fold(Json::object(), |all, status| {
        all.with(&common_response_name(status), refusal(status, &[]))
    })
}

/// Adds the responses of an action to those of the others.
pub(super) fn with_responses(responses: Json, spec: &ActionSpec) -> Json {
    let success = responses.with(&response_name(spec, 200), success(spec));
    let codes = own_codes(spec);
    let own = codes.iter().filter(|(_, codes)| !codes.is_empty());
    own.fold(success, |all, (status, codes)| {
        all.with(&response_name(spec, *status), refusal(*status, codes))
    })
}

/// The responses of an action, by status.
pub(super) fn references(spec: &ActionSpec) -> Json {
    let success = Json::object().with(
        "200",
        Json::reference("responses", &response_name(spec, 200)),
    );
    own_codes(spec).iter().fold(success, |all, (status, own)| {
        let name = match own.as_slice() {
            [] => common_response_name(*status),
            _ => response_name(spec, *status),
        };
        all.with(&status.to_string(), Json::reference("responses", &name))
    })
}

fn common_response_name(status: u16) -> String {
    format!("Refused.{status}")
}

fn response_name(spec: &ActionSpec, status: u16) -> String {
    format!("{}.{status}", spec.name)
}

/// The codes of an action by status. Statuses that only common errors have are there too, with
/// no code of the action's own.
fn own_codes(spec: &ActionSpec) -> BTreeMap<u16, Vec<&'static str>> {
    let mut codes: BTreeMap<u16, Vec<&'static str>> = BTreeMap::new();
    for error in COMMON_ERRORS {
        codes.entry(error.http_status).or_default();
    }
    for error in spec.errors {
        let is_common = COMMON_ERRORS
            .iter()
            .any(|common| common.code == error.code && common.http_status == error.http_status);
        let own = codes.entry(error.http_status).or_default();
        if !is_common && !own.contains(&error.code) {
            own.push(error.code);
        }
    }
    codes
}

fn success(spec: &ActionSpec) -> Json {
    let name = schema_name(spec);
    let example = sample::answer(spec.response);
    let xml = sample::xml(&name, &example);
    response(
        "The call succeeded.",
        Json::reference("schemas", &name),
        example,
        xml,
    )
    .with("headers", headers(false))
}

fn refusal(status: u16, own: &[&'static str]) -> Json {
    let common: Vec<_> = COMMON_ERRORS
        .iter()
        .filter(|error| error.http_status == status)
        .map(|error| error.code)
        .collect();
    let own_schema = Json::object().with("enum", Json::list(own.iter().copied()));
    let common_schema = Json::reference("schemas", &code_schema_name(status));
    let code = match (own, common.as_slice()) {
        ([], _) => common_schema,
        (_, []) => own_schema,
        _ => Json::object().with("anyOf", Json::List(vec![own_schema, common_schema])),
    };
    let schema = Json::object()
        .with(
            "allOf",
            Json::List(vec![Json::reference("schemas", "Error")]),
        )
        .with("properties", Json::object().with("Code", code))
        .with("xml", Json::object().with("name", "Error"));
    let shown = own.first().or(common.first()).copied().unwrap_or_default();
    let example = Json::object()
        .with("RequestId", "0C0BAE5F-5C5B-4D6A-9E21-1F3C1E0A7B11")
        .with("HostId", "127.0.0.1:8080")
        .with("Code", shown)
        .with("Message", message(shown));
    let xml = sample::xml("Error", &example);
    let codes = match own {
        [] => "Refused with a code that all actions have.".to_owned(),
        _ => format!(
            "Refused with a code of the action, {}, or one that all actions have.",
            own.iter()
                .map(|code| format!("`{code}`"))
                .collect::<Vec<_>>()
                .join(", ")
        ),
    };
    response(&codes, schema, example, xml).with("headers", headers(status == 400))
}

/// A response in both forms.
fn response(description: &str, schema: Json, example: Json, xml: String) -> Json {
    let content = |example: Json| {
        Json::object()
            .with("schema", schema.clone())
            .with("example", example)
    };
    Json::object().with("description", description).with(
        "content",
        Json::object()
            .with("application/json", content(example))
            .with("text/xml", content(xml.into())),
    )
}

fn headers(with_waiting: bool) -> Json {
    let headers = Json::object().with("x-acs-request-id", Json::reference("headers", "RequestId"));
    match with_waiting {
        true => headers
            .with("Retry-After", Json::reference("headers", "RetryAfter"))
            .with(
                "x-acs-retry-after",
                Json::reference("headers", "AcsRetryAfter"),
            ),
        false => headers,
    }
}

/// The catalogue's message of a code.
fn message(code: &str) -> String {
    let found = ERRORS.iter().find_map(|entry| {
        let (prefix, suffix) = entry.code.split_once("<name>").unwrap_or((entry.code, ""));
        let name = code.strip_prefix(prefix)?.strip_suffix(suffix)?;
        let is_it = entry.code.contains("<name>") || name.is_empty();
        is_it.then(|| entry.message.replace("<name>", name))
    });
    found.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_of_the_catalogue() {
        assert_eq!(
            message("InvalidPageSize.ValueNotSupported"),
            "The specified parameter \"PageSize\" is not valid."
        );
        assert_eq!(
            message("OperationDenied.LockMode"),
            "The operation is not permitted due to lock of instance."
        );
    }
}
