//! Example values.

use super::json::Json;
use crate::encoding::push_encoded;
use crate::{ActionSpec, FieldKind, FieldSpec};

/// Example values of fields of answers by name; where none is listed, the first allowed value
/// or one by type is shown.
const SAMPLES: &[(&str, &str)] = &[
    ("AccountName", "wang_100"),
    ("AccountPassword", "Passw0rd!"),
    (
        "AccountPrivilegeDetail",
        "SELECT,CREATE TEMPORARY TABLES,LOCK TABLES,SHOW VIEW",
    ),
    ("BackupDownloadURL", "https://127.0.0.1:8443/backups/1"),
    ("BackupId", "1"),
    ("BackupNodeClass", "petadata.s2.xlarge"),
    (
        "ConnectionString",
        "pd-abcdefg62469a.petadata.rds.example.com",
    ),
    (
        "CurrentConnectionString",
        "pd-abcdefg62469a.petadata.rds.example.com",
    ),
    ("ConnectionStringPrefix", "orders"),
    ("DBInstanceId", "pd-abcdefg62469a"),
    ("DBName", "adb"),
    ("Date", "1547712000000"),
    ("EndTime", "2019-01-17T09:00:00Z"),
    ("ExpireTime", "2999-09-08T16:00:00Z"),
    ("GroupName", "engine"),
    ("InstanceId", "pd-abcdefg62469a"),
    ("InstanceName", "orders"),
    ("Interval", "2"),
    ("KeyList", "qps"),
    ("NewInstanceId", "pd-bcdefgh73570b"),
    ("NewInstanceName", "orders"),
    ("NewNodeSpec", "petadata.s2.2xlarge"),
    ("NewPassword", "Passw0rd!"),
    ("NodeNumber", "1"),
    ("NodeSpec", "petadata.s2.xlarge"),
    ("OldPassword", "0ldPassw0rd!"),
    ("OrderId", "42"),
    ("Port", "3306"),
    ("PreferredBackupPeriod", "Monday"),
    ("PreferredBackupTime", "18:00Z-19:00Z"),
    ("PrivateIpAddress", "127.8.0.2"),
    ("Progress", "50"),
    ("RegionId", "cn-hangzhou"),
    ("RequestId", "0C0BAE5F-5C5B-4D6A-9E21-1F3C1E0A7B11"),
    ("ResourceId", "pd-abcdefg62469a"),
    ("ResourceId.1", "pd-abcdefg62469a"),
    ("ResourceType", "dbinstance"),
    ("SecurityIPList", "127.0.0.1,10.0.0.0/8"),
    ("SecurityIPListName", "default"),
    ("SourceInstanceId", "pd-abcdefg62469a"),
    ("SrcInstanceId", "pd-abcdefg62469a"),
    ("Status", "1"),
    ("TableName", "orders"),
    ("Tag.1.Key", "team"),
    ("Tag.1.Value", "shop"),
    ("TagKey", "team"),
    ("TagKey.1", "team"),
    ("TagValue", "shop"),
    ("TaskAction", "CreateInstance"),
    ("TaskId", "118"),
    ("VPCId", "vpc-default"),
    ("VSwitchId", "vsw-default"),
    ("VpcId", "vpc-default"),
    ("ZoneId", "cn-hangzhou-b"),
];

/// What stands for objects of the caller in the examples of actions, with the values that the
/// docs show for them.
pub const PLACEHOLDERS: &[(&str, &str)] = &[
    ("{AccountName}", "wang_100"),
    ("{BackupId}", "1"),
    (
        "{ConnectionString}",
        "pd-abcdefg62469a.petadata.rds.example.com",
    ),
    ("{ConnectionStringPrefix}", "orders"),
    ("{DBName}", "adb"),
    ("{InstanceId}", "pd-abcdefg62469a"),
    ("{NewAccountName}", "wang_101"),
    ("{NewDBName}", "newdb"),
    ("{NewInstanceId}", "pd-bcdefgh73570b"),
    (
        "{PublicConnectionString}",
        "orders.petadata.rds.example.com",
    ),
    ("{PublicPort}", "3306"),
    ("{TaskId}", "1000001"),
    ("{VSwitchId}", "vsw-default"),
    ("{VpcId}", "vpc-default"),
];

/// The example of an action with the docs' values in the place of placeholders.
#[must_use]
pub fn example_parameters(spec: &ActionSpec) -> Vec<(&'static str, &'static str)> {
    let shown = |value: &'static str| {
        let known = PLACEHOLDERS.iter().find(|(name, _)| *name == value);
        known.map_or(value, |(_, shown)| *shown)
    };
    let parameters = spec.example.iter();
    parameters
        .map(|(name, value)| (*name, shown(value)))
        .collect()
}

/// Where examples send an action: over HTTPS if it carries a secret.
pub(super) fn endpoint(spec: &ActionSpec) -> &'static str {
    match spec.parameters.iter().any(|parameter| parameter.secret) {
        true => "https://127.0.0.1:8443",
        false => "http://127.0.0.1:8080",
    }
}

/// A URL with the action's example.
pub(super) fn request_url(spec: &ActionSpec) -> String {
    let mut url = format!("{}/?Action={}", endpoint(spec), spec.name);
    for (name, value) in example_parameters(spec) {
        url.push('&');
        push_encoded(&mut url, name, "%");
        url.push('=');
        push_encoded(&mut url, value, "%");
    }
    url
}

fn listed(name: &str) -> Option<&'static str> {
    SAMPLES
        .iter()
        .find(|(other, _)| *other == name)
        .map(|(_, value)| *value)
}

/// An answer with one item in every list.
pub(super) fn answer(fields: &[FieldSpec]) -> Json {
    fields.iter().fold(Json::object(), |json, field| {
        json.with(field.name, value_of(field))
    })
}

fn value_of(field: &FieldSpec) -> Json {
    match field.kind {
        FieldKind::Text => {
            let first = field.allowed.first().copied();
            listed(field.name).or(first).unwrap_or_default().into()
        }
        FieldKind::Time => listed(field.name).unwrap_or("2019-01-17T08:00:00Z").into(),
        FieldKind::Integer => 1.into(),
        FieldKind::Float => Json::Number("1.5".to_owned()),
        FieldKind::Boolean => true.into(),
        FieldKind::Object(fields) => answer(fields),
        FieldKind::List { item, fields } => {
            let one = match fields {
                [] => "text".into(),
                _ => answer(fields),
            };
            Json::object().with(item, Json::List(vec![one]))
        }
    }
}

/// A document as XML, as the service would write it.
pub(super) fn xml(root: &str, document: &Json) -> String {
    let mut out = String::new();
    push_element(&mut out, root, document);
    out
}

fn push_element(out: &mut String, name: &str, value: &Json) {
    if let Json::List(items) = value {
        items.iter().for_each(|item| push_element(out, name, item));
        return;
    }
    out.push_str(&format!("<{name}>"));
    match value {
        Json::Object(members) => {
            for (name, value) in members {
                push_element(out, name, value);
            }
        }
        Json::Text(text) => out.push_str(&text.replace('&', "&amp;").replace('<', "&lt;")),
        scalar => out.push_str(&scalar.compact()),
    }
    out.push_str(&format!("</{name}>"));
}

#[cfg(test)]
mod tests {
    use crate::Action;

    use super::*;

    #[test]
    fn examples_have_what_is_required_and_nothing_unknown() {
        for action in Action::ALL {
            let spec = action.spec();
            let example = example_parameters(spec);
            for (name, value) in &example {
                let table_name = name.replace(".1", ".N");
                assert!(
                    spec.parameter(&table_name).is_some(),
                    "{} has no {name}",
                    spec.name
                );
                assert!(
                    !value.starts_with('{') || value.contains('"'),
                    "{}: {value} stands for nothing",
                    spec.name
                );
            }
            for parameter in spec
                .parameters
                .iter()
                .filter(|parameter| parameter.required)
            {
                let name = parameter.name.replace(".N", ".1");
                assert!(
                    example.iter().any(|(given, _)| *given == name),
                    "{} lacks {name}",
                    spec.name
                );
            }
        }
    }
}
