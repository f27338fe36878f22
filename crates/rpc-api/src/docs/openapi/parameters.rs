//! Parameters: in the query of a GET, and as the form of a POST.

use crate::docs::json::Json;
use crate::docs::sample::{PLACEHOLDERS, example_parameters};
use crate::{ActionSpec, ParameterKind, ParameterSpec};

/// A time as the service reads it.
const TIME_PATTERN: &str =
    r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?Z$";

/// The own parameters of an action, in the query.
pub(super) fn query(spec: &ActionSpec) -> Json {
    Json::list(spec.parameters.iter().map(|own| {
        let schema = match own.kind {
            ParameterKind::Repeated => Json::object()
                .with("type", "object")
                .with("patternProperties", numbered(own))
                .with_some("required", first_number(own).map(|name| Json::list([name])))
                .with("additionalProperties", false),
            _ => schema(own),
        };
        parameter(own, schema, example(spec, own)).with_some("x-stands-for", stands_for(spec, own))
    }))
}

/// A parameter of the query.
pub(super) fn parameter(own: &ParameterSpec, schema: Json, example: Option<Json>) -> Json {
    let mut json = Json::object()
        .with("name", own.name)
        .with("in", "query")
        .with("description", description(own));
    if !own.aliases.is_empty() {
        json.put("x-aliases", Json::list(own.aliases.iter().copied()));
    }
    if own.required {
        json.put("required", true);
    }
    if own.kind == ParameterKind::Repeated {
        json.put("style", "form");
        json.put("explode", true);
    }
    json.with("schema", schema).with_some("example", example)
}

/// The form of a POST.
pub(super) fn body(spec: &ActionSpec) -> Json {
    let example =
        example_parameters(spec)
            .into_iter()
            .fold(Json::object(), |json, (name, value)| {
                let own = spec.parameter(&table_name(name));
                json.with(
                    name,
                    own.map_or_else(|| value.into(), |own| typed(own, value)),
                )
            });
    let form = Json::object()
        .with("schema", Json::reference("schemas", &form_name(spec)))
        .with("example", example);
    let content = Json::object().with("application/x-www-form-urlencoded", form);
    let body = Json::object()
        .with(
            "description",
            "The action's own parameters; the common ones may stand here as well.",
        )
        .with("content", content);
    match spec.parameters.iter().any(|own| own.required) {
        true => body.with("required", true),
        false => body,
    }
}

/// The name of the schema of an action's form.
pub(super) fn form_name(spec: &ActionSpec) -> String {
    format!("{}Request", spec.name)
}

/// The schema of an action's form.
pub(super) fn form(spec: &ActionSpec) -> Json {
    let mut properties = Json::object();
    let mut patterns = Vec::new();
    let mut required = Vec::new();
    for own in spec.parameters {
        if own.kind == ParameterKind::Repeated {
            patterns.push(own);
            required.extend(first_number(own));
            continue;
        }
        properties.put(own.name, schema(own).with("description", description(own)));
        if own.required {
            required.push(own.name.to_owned());
        }
    }
    let mut form = Json::object()
        .with("type", "object")
        .with("properties", properties);
    if !patterns.is_empty() {
        let all = patterns.iter().fold(Json::object(), |json, own| {
            json.with(&number_pattern(own), numbered_value(own))
        });
        form.put("patternProperties", all);
    }
    if !required.is_empty() {
        form.put("required", Json::list(required));
    }
    form
}

/// What a value must look like. The wire knows nothing but text, so that a number is one that
/// is written in decimal digits.
pub(super) fn schema(own: &ParameterSpec) -> Json {
    let rules = own.rules;
    let is_number = own.kind == ParameterKind::Integer || rules.range.is_some();
    let mut json = Json::object().with(
        "type",
        match own.kind {
            _ if is_number => "integer",
            ParameterKind::Boolean => "boolean",
            _ => "string",
        },
    );
    if own.secret {
        json.put("format", "password");
    }
    if own.kind == ParameterKind::Time {
        json.put("pattern", TIME_PATTERN);
    }
    if rules.is_list {
        let value = format!(r"\s*({})\s*", own.allowed.join("|"));
        json.put("pattern", format!("^{value}(,{value})*$"));
    } else if rules.pattern.is_none() && !own.allowed.is_empty() {
        let values = own.allowed.iter().map(|value| typed(own, value));
        json.put("enum", Json::list(values));
    }
    if let Some((least, most)) = rules.range {
        json.put("minimum", least);
        json.put("maximum", most);
    }
    if let Some((least, most)) = rules.length {
        json.put("minLength", least);
        json.put("maxLength", most);
    }
    json.with_some("pattern", rules.pattern)
        .with_some("default", own.default.map(|value| typed(own, value)))
}

/// A value in the type of its schema.
fn typed(own: &ParameterSpec, value: &str) -> Json {
    let is_number = own.kind == ParameterKind::Integer || own.rules.range.is_some();
    match value {
        "true" | "false" if own.kind == ParameterKind::Boolean => (value == "true").into(),
        _ if is_number && value.parse::<u32>().is_ok() => Json::Number(value.to_owned()),
        _ => value.into(),
    }
}

/// Everything about a parameter that its schema does not say.
fn description(own: &ParameterSpec) -> String {
    let mut text = own.description.to_owned();
    if !own.constraints.is_empty() {
        text.push_str(&format!(" Rule: {}.", own.constraints));
    }
    if own.kind == ParameterKind::Time {
        text.push_str(" UTC.");
    }
    if own.kind == ParameterKind::Repeated {
        text.push_str(" Numbered from 1 in the place of N.");
    }
    if !own.aliases.is_empty() {
        text.push_str(&format!(" Also accepted as {}.", own.aliases.join(", ")));
    }
    text
}

/// The example of a parameter: a value, for a repeated one those of all its numbers.
fn example(spec: &ActionSpec, own: &ParameterSpec) -> Option<Json> {
    let mut given = example_parameters(spec)
        .into_iter()
        .filter(|(name, _)| table_name(name) == own.name)
        .peekable();
    given.peek()?;
    if own.kind == ParameterKind::Repeated {
        let all = given.fold(Json::object(), |json, (name, value)| json.with(name, value));
        return Some(all);
    }
    given.next().map(|(_, value)| typed(own, value))
}

/// The name in the table of a parameter that may be numbered.
fn table_name(name: &str) -> String {
    let parts = name.split('.').map(|part| match part.parse::<u32>() {
        Ok(_) => "N",
        Err(_) => part,
    });
    parts.collect::<Vec<_>>().join(".")
}

/// The kind of object of the caller that the example names, if it is one.
fn stands_for(spec: &ActionSpec, own: &ParameterSpec) -> Option<&'static str> {
    let mut given = spec.example.iter();
    let (_, value) = given.find(|(name, _)| table_name(name) == own.name)?;
    let is_placeholder = PLACEHOLDERS.iter().any(|(name, _)| name == value);
    is_placeholder.then(|| value.trim_matches(['{', '}']))
}

/// The members of a repeated parameter.
fn numbered(own: &ParameterSpec) -> Json {
    Json::object().with(&number_pattern(own), numbered_value(own))
}

fn numbered_value(own: &ParameterSpec) -> Json {
    schema(own).with("description", description(own))
}

/// What the names of a repeated parameter look like.
fn number_pattern(own: &ParameterSpec) -> String {
    let escaped = own.name.replace('.', r"\.");
    format!("^{}$", escaped.replace(r"\.N", r"\.[1-9][0-9]*"))
}

/// The name that must be there when a repeated parameter is required.
fn first_number(own: &ParameterSpec) -> Option<String> {
    own.required.then(|| own.name.replace(".N", ".1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Action;

    #[test]
    fn lists_are_made_of_plain_words() {
        for &action in Action::ALL {
            for own in action.spec().parameters {
                let plain = |value: &&str| value.bytes().all(|b| b.is_ascii_alphanumeric());
                assert!(
                    !own.rules.is_list
                        || (!own.allowed.is_empty() && own.allowed.iter().all(plain)),
                    "{} {}",
                    action.name(),
                    own.name
                );
            }
        }
    }

    #[test]
    fn names_of_repeated_parameters_have_a_number() {
        let own = ParameterSpec::repeated("Tag.N.Key", "Keys.").required();
        assert_eq!(number_pattern(&own), r"^Tag\.[1-9][0-9]*\.Key$");
        assert_eq!(first_number(&own).as_deref(), Some("Tag.1.Key"));
        assert_eq!(table_name("Tag.17.Key"), "Tag.N.Key");
    }

    #[test]
    fn numbers_are_numbers() {
        let own = ParameterSpec::text("NodeNumber", "Nodes.")
            .range(1, 128)
            .default("1");
        assert_eq!(
            schema(&own).compact(),
            r#"{"type":"integer","minimum":1,"maximum":128,"default":1}"#
        );
    }
}
