//! The page of one action.

use std::fmt::Write;

use super::escaped;
use super::sample::{answer, request_url};
use super::snippets::snippets;
use crate::{
    Action, ActionSpec, FieldKind, FieldSpec, HttpsRule, ParameterKind, ParameterSpec, RamResource,
};

/// The page of an action: what it does, its parameters with their rules, the fields of its
/// answer, its errors, and an example.
#[must_use]
pub fn action_page(action: Action) -> String {
    let spec = action.spec();
    let mut page = format!("# {}\n\n{}\n", spec.name, spec.description);
    push_properties(&mut page, spec);
    push_preconditions(&mut page, spec);
    push_parameters(&mut page, spec);
    push_response(&mut page, spec);
    push_errors(&mut page, spec);
    let _ = write!(
        page,
        "\n## Example\n\nRequest, without the signature and the other \
         [common parameters](calling.md#common-parameters):\n\n```\n{}\n```\n\n\
         Answer with `Format=JSON`:\n\n```json\n{}\n```\n",
        request_url(spec),
        answer(spec.response).pretty(),
    );
    push_snippets(&mut page, spec);
    page
}

fn push_properties(page: &mut String, spec: &ActionSpec) {
    let effect = match (spec.mutating, spec.creates_task) {
        (false, _) => "reads only",
        (true, false) => "changes state before it answers",
        (true, true) => {
            "changes state; a task goes on after the answer, see [DescribeTasks](DescribeTasks.md)"
        }
    };
    let https = match spec.https {
        HttpsRule::Optional => "optional",
        HttpsRule::Documented => "recommended; a deployment may insist on it",
        HttpsRule::CarriesSecret => {
            "required, since a password is sent; plain HTTP answers `InvalidProtocol.NeedSsl` \
             unless the deployment allows it"
        }
    };
    let instance = match spec.resource {
        RamResource::AnyInstance => "*",
        RamResource::Instance => "<InstanceId>",
    };
    let _ = write!(
        page,
        "\n- Effect: {effect}\n- HTTPS: {https}\n\
         - RAM: `petadata:{}` on `acs:petadata:<RegionId>:<AccountId>:dbinstance/{instance}`\n",
        spec.name,
    );
    if !spec.aliases.is_empty() {
        let _ = writeln!(page, "- Also accepted as: {}", codes(spec.aliases));
    }
}

fn push_preconditions(page: &mut String, spec: &ActionSpec) {
    if spec.preconditions.is_empty() {
        return;
    }
    page.push_str("\n## Requirements\n\n");
    for condition in spec.preconditions {
        let _ = writeln!(page, "- {condition}");
    }
}

fn push_parameters(page: &mut String, spec: &ActionSpec) {
    page.push_str("\n## Parameters\n\n");
    if spec.parameters.is_empty() {
        page.push_str("None besides the [common ones](calling.md#common-parameters).\n");
        return;
    }
    page.push_str("| Name | Type | Required | Description |\n| --- | --- | --- | --- |\n");
    for parameter in spec.parameters {
        let required = if parameter.required { "yes" } else { "no" };
        let _ = writeln!(
            page,
            "| `{}` | {} | {required} | {} |",
            parameter.name,
            parameter_type(parameter.kind),
            escaped(&parameter_text(parameter)),
        );
    }
}

const fn parameter_type(kind: ParameterKind) -> &'static str {
    match kind {
        ParameterKind::Text => "String",
        ParameterKind::Integer => "Integer",
        ParameterKind::Boolean => "Boolean",
        ParameterKind::Time => "Time",
        ParameterKind::Repeated => "String, repeated",
    }
}

/// Everything about a parameter that is not in a column of its own.
fn parameter_text(parameter: &ParameterSpec) -> String {
    let mut text = parameter.description.to_owned();
    if !parameter.constraints.is_empty() {
        let _ = write!(text, " Rule: {}.", parameter.constraints);
    }
    if !parameter.allowed.is_empty() {
        let _ = write!(text, " One of {}.", codes(parameter.allowed));
    }
    if let Some(value) = parameter.default {
        let _ = write!(text, " Default: {value}.");
    }
    if !parameter.aliases.is_empty() {
        let _ = write!(text, " Also accepted as {}.", codes(parameter.aliases));
    }
    if parameter.secret {
        text.push_str(" Never shown or logged.");
    }
    text
}

fn push_response(page: &mut String, spec: &ActionSpec) {
    page.push_str("\n## Answer\n\n| Field | Type | Description |\n| --- | --- | --- |\n");
    push_fields(page, "", spec.response);
}

/// Appends a row for each field, those of lists and objects below them.
fn push_fields(page: &mut String, path: &str, fields: &[FieldSpec]) {
    for field in fields {
        let mut text = escaped(field.description);
        if !field.allowed.is_empty() {
            let shown = field.allowed.iter().filter(|value| !value.is_empty());
            let _ = write!(text, " One of {}.", codes(shown));
        }
        if field.optional {
            text.push_str(" Left out when there is none.");
        }
        let _ = writeln!(
            page,
            "| `{path}{}` | {} | {text} |",
            field.name,
            field_type(field.kind)
        );
        match field.kind {
            FieldKind::List { item, fields } => {
                push_fields(page, &format!("{path}{}.{item}[].", field.name), fields);
            }
            FieldKind::Object(fields) => {
                push_fields(page, &format!("{path}{}.", field.name), fields);
            }
            _ => {}
        }
    }
}

const fn field_type(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Text => "String",
        FieldKind::Integer => "Integer",
        FieldKind::Float => "Float",
        FieldKind::Boolean => "Boolean",
        FieldKind::Time => "Time",
        FieldKind::Object(_) => "Object",
        FieldKind::List { .. } => "List",
    }
}

fn push_errors(page: &mut String, spec: &ActionSpec) {
    page.push_str(
        "\n## Errors\n\nBesides those [common to all actions](calling.md#order-of-checks):\n\n\
         | Code | HTTP status | When |\n| --- | --- | --- |\n",
    );
    for error in spec.errors {
        let _ = writeln!(
            page,
            "| `{}` | {} | {} |",
            error.code,
            error.http_status,
            escaped(error.when),
        );
    }
}

fn push_snippets(page: &mut String, spec: &ActionSpec) {
    for snippet in snippets(spec) {
        let _ = write!(
            page,
            "\nWith `{}`:\n\n```{}\n{}\n```\n",
            snippet.label, snippet.language, snippet.source,
        );
    }
}

/// Words as code, joined with commas.
fn codes<'a>(words: impl IntoIterator<Item = &'a &'static str>) -> String {
    let words: Vec<_> = words.into_iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_everything() {
        let page = action_page(Action::CreateInstance);
        for text in [
            "# CreateInstance\n",
            "| `ChargeType` | String | no | Billing mode. One of `PrePaid`, `PostPaid`. \
             Default: PostPaid. Also accepted as `PayType`. |",
            "| `InsufficientBalance` | 400 |",
            "Never shown or logged.",
            "dbinstance/*",
        ] {
            assert!(page.contains(text), "{text}\n{page}");
        }
        let page = action_page(Action::DescribeInstances);
        assert!(page.contains("| `Instances.Instance[].Databases.Database[].DBName` | String |"));
    }

    #[test]
    fn examples_are_valid_json() {
        for &action in Action::ALL {
            let page = action_page(action);
            let (_, rest) = page.split_once("```json\n").expect("an example");
            let (json, _) = rest.split_once("\n```").expect("its end");
            let read: Result<serde_json::Value, _> = serde_json::from_str(json);
            assert!(read.is_ok(), "{json}");
        }
    }
}
