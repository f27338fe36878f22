//! The description of the API in OpenAPI 3.1, out of the table of actions.

mod answers;
mod common;
mod parameters;

use super::json::Json;
use super::snippets::snippets;
use crate::{
    API_VERSION, Action, ActionSpec, ErrorSpec, HttpsRule, RamResource, Section, ram_action,
};

pub use common::COMMON_ERRORS;

/// What all actions have in common, for a reader of the description.
const INTRODUCTION: &str = "\
Every call is a GET, or a POST with a form, and is signed with an access key. The path may be `/` \
or the action's own, as here; the action is a parameter in any case and must be the same.

Names of parameters are case-sensitive. Unknown ones are ignored, though they are part of the \
signature. An empty value counts as absent. In a POST, parameters may stand in the query, in the \
form, or in both.

Answers come as XML, or as JSON with `Format=JSON`; with signature ACS3-HMAC-SHA256 always as JSON. \
Every answer has a RequestId of its own. A list `L` of items `I` is `{\"L\":{\"I\":[…]}}` in JSON \
and `<L><I>…</I></L>` in XML. Times are UTC.";

/// The description, indented for reading.
#[must_use]
pub fn openapi() -> String {
    let mut text = document().pretty();
    text.push('\n');
    text
}

/// The description, as short as it gets.
#[must_use]
pub fn openapi_compact() -> String {
    document().compact()
}

fn document() -> Json {
    let specs = || Action::ALL.iter().map(|action| action.spec());
    let info = Json::object()
        .with("title", "OpenPeta")
        .with("summary", "The API of HybridDB for MySQL (petadata)")
        .with("description", INTRODUCTION)
        .with("license", license())
        .with("version", API_VERSION);
    let tags = Section::ALL
        .iter()
        .map(|section| Json::object().with("name", section.title()));
    let paths = specs().fold(Json::object(), |paths, spec| {
        paths.with(&format!("/{}", spec.name), path_item(spec))
    });
    Json::object()
        .with("openapi", "3.1.0")
        .with("info", info)
        .with("servers", Json::List(vec![Json::object().with("url", "/")]))
        .with("security", common::security())
        .with("tags", Json::list(tags))
        .with("paths", paths)
        .with("components", components())
}

fn license() -> Json {
    Json::object()
        .with("name", "Apache License 2.0")
        .with("identifier", "Apache-2.0")
}

fn components() -> Json {
    let specs = || Action::ALL.iter().map(|action| action.spec());
    let schemas = specs().fold(common::schemas(), |schemas, spec| {
        schemas
            .with(&parameters::form_name(spec), parameters::form(spec))
            .with(&answers::schema_name(spec), answers::schema(spec))
    });
    let responses = specs().fold(answers::common_responses(), answers::with_responses);
    Json::object()
        .with("securitySchemes", common::security_schemes())
        .with("parameters", common::parameters())
        .with("headers", common::headers())
        .with("schemas", schemas)
        .with("responses", responses)
}

/// The two ways to call an action.
fn path_item(spec: &ActionSpec) -> Json {
    let get = operation(spec, "ByGet")
        .with("parameters", parameters::query(spec))
        .with("responses", answers::references(spec));
    let post = operation(spec, "")
        .with("requestBody", parameters::body(spec))
        .with("responses", answers::references(spec));
    let extended = extensions(spec)
        .into_iter()
        .fold(post, |post, (name, value)| post.with(name, value));
    Json::object()
        .with("parameters", common::references(spec))
        .with("post", extended)
        .with("get", get)
}

/// What both ways have in common.
fn operation(spec: &ActionSpec, suffix: &str) -> Json {
    Json::object()
        .with("operationId", format!("{}{suffix}", spec.name))
        .with("tags", Json::list([spec.section.title()]))
        .with("summary", first_sentence(spec.description))
        .with("description", spec.description)
}

/// What the standard has no place for; once, with the POST.
fn extensions(spec: &ActionSpec) -> Vec<(&'static str, Json)> {
    let instance = match spec.resource {
        RamResource::AnyInstance => "*",
        RamResource::Instance => "{InstanceId}",
    };
    let ram = Json::object().with("action", ram_action(spec.action)).with(
        "resource",
        format!("acs:petadata:{{RegionId}}:{{AccountId}}:dbinstance/{instance}"),
    );
    let https = match spec.https {
        HttpsRule::Optional => "optional",
        HttpsRule::Documented => "recommended",
        HttpsRule::CarriesSecret => "required",
    };
    let samples = snippets(spec).map(|snippet| {
        Json::object()
            .with("lang", snippet.language)
            .with("label", snippet.label)
            .with("source", snippet.source)
    });
    let mut extensions = vec![
        ("x-mutating", spec.mutating.into()),
        ("x-creates-task", spec.creates_task.into()),
        ("x-https", https.into()),
        ("x-ram", ram),
    ];
    if !spec.aliases.is_empty() {
        extensions.push(("x-aliases", Json::list(spec.aliases.iter().copied())));
    }
    if !spec.preconditions.is_empty() {
        let conditions = spec.preconditions.iter().copied();
        extensions.push(("x-requirements", Json::list(conditions)));
    }
    extensions.push(("x-errors", Json::list(spec.errors.iter().map(error))));
    extensions.push(("x-codeSamples", Json::list(samples)));
    extensions
}

fn error(error: &ErrorSpec) -> Json {
    Json::object()
        .with("code", error.code)
        .with("status", u32::from(error.http_status))
        .with("when", error.when)
}

/// The first sentence, without its full stop.
fn first_sentence(text: &str) -> &str {
    let end = text.find(". ").unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;

    fn read() -> Value {
        serde_json::from_str(&openapi()).expect("the description is JSON")
    }

    #[test]
    fn every_action_has_a_path_with_both_methods() {
        let description = read();
        let paths = description["paths"].as_object().expect("paths");
        assert_eq!(paths.len(), Action::ALL.len());
        let mut ids = HashSet::new();
        for &action in Action::ALL {
            let item = &paths[&format!("/{}", action.name())];
            for method in ["get", "post"] {
                let operation = &item[method];
                let id = operation["operationId"].as_str().expect("an id");
                assert!(ids.insert(id.to_owned()), "{id} twice");
                assert!(operation["responses"]["200"].is_object(), "{id}");
                assert!(operation["responses"]["500"].is_object(), "{id}");
            }
            assert_eq!(item["post"]["operationId"], action.name());
        }
    }

    #[test]
    fn both_forms_say_the_same() {
        let short: Value = serde_json::from_str(&openapi_compact()).expect("JSON");
        assert_eq!(short, read());
    }

    #[test]
    fn references_lead_somewhere() {
        let description = read();
        let mut found = 0;
        let mut rest = vec![&description];
        while let Some(value) = rest.pop() {
            match value {
                Value::Object(members) => {
                    if let Some(target) = members.get("$ref").and_then(Value::as_str) {
                        let pointer = target.strip_prefix('#').expect("a local reference");
                        assert!(description.pointer(pointer).is_some(), "{target}");
                        found += 1;
                    }
                    rest.extend(members.values());
                }
                Value::Array(items) => rest.extend(items),
                _ => {}
            }
        }
        assert!(found > 1000, "only {found} references");
    }
}
