//! The table of actions and the error catalogue against the API's machine-readable
//! description, tests/data/api_spec.json. Where the two differ on purpose, the difference is
//! listed here with its reason.

use openpeta_rpc_api::{
    API_VERSION, Action, ERRORS, ErrorSpec, FieldKind, FieldSpec, Format, HttpsRule, ParameterKind,
    ParameterSpec, RamResource,
};
use serde_json::Value;

/// Errors that an action's own checks can answer although the description lacks them.
const ADDED_ERRORS: &[(&str, &str)] = &[
    ("CreateInstance", "InvalidSecurityIPList.Duplicate"),
    ("CreateInstance", "InvalidSecurityIPListLength.Malformed"),
    ("CreateInstance", "InvalidInstanceName.Malformed"),
    ("CreateInstance", "InvalidClientToken.Malformed"),
    ("CreateInstance", "InvalidNodeNumber.ValueNotSupported"),
    ("CreateInstance", "Forbidden.Authentication"),
    ("CreateInstance", "IncorrectVpcId.Mismatch"),
    ("CreateAccount", "ServiceUnavailable"),
    ("DeleteInstance", "InvalidClientToken.Malformed"),
    ("CreateAccount", "InvalidClientToken.Malformed"),
    ("ModifySecurityIPs", "InvalidSecurityIPListName.Malformed"),
    (
        "ModifySecurityIPs",
        "InvalidSecurityIPListAttribute.Malformed",
    ),
    ("ModifyBackupPolicy", "OperationDenied.DBStatus"),
    // What is spread over nodes is not backed up yet, nor are its tables defined by the API.
    ("ModifyBackupPolicy", "OperationDenied.DBInstanceType"),
    ("CreateDatabaseBackup", "OperationDenied.DBInstanceType"),
    ("RestoreDatabase", "OperationDenied.DBInstanceType"),
    // A set is one of several kinds.
    (
        "CreateDatabaseBackup",
        "InvalidBackupMethod.ValueNotSupported",
    ),
    (
        "CreateDatabaseBackup",
        "InvalidBackupType.ValueNotSupported",
    ),
    ("CreateDatabaseBackup", "OperationDenied.BackupMethod"),
    ("CreateDatabaseBackup", "OperationDenied.NotFoundBackup"),
    // A restore orders an instance.
    ("RestoreDatabase", "InvalidRestoreType.ValueNotSupported"),
    ("RestoreDatabase", "InvalidInstanceName.Malformed"),
    ("RestoreDatabase", "QuotaExceeded.CreateInstance"),
    ("RestoreDatabase", "OperationDenied"),
    ("RestoreDatabase", "InsufficientBalance"),
    ("RestoreDatabase", "Forbidden.Authentication"),
    ("RestoreDatabase", "InvalidClientToken.Malformed"),
    // Where a restore stops is more than a time.
    ("RestoreDatabase", "InvalidRestoreGtid.Malformed"),
    ("RestoreDatabase", "InvalidRestoreBeforeGtid.Malformed"),
    ("RestoreDatabase", "InvalidWithAccounts.ValueNotSupported"),
    (
        "SwitchBackupDatabase",
        "InvalidReleaseReplaced.ValueNotSupported",
    ),
    (
        "RestoreDatabase",
        "InvalidWithBackupPolicy.ValueNotSupported",
    ),
    // A switch is of two instances, each of which must hold the one database alone.
    ("SwitchBackupDatabase", "OperationDenied.DBInstanceId"),
    ("SwitchBackupDatabase", "OperationDenied.LockMode"),
    ("SwitchBackupDatabase", "OperationDenied.DBStatus"),
    ("SwitchBackupDatabase", "OperationDenied.NotFoundBackup"),
    ("SwitchBackupDatabase", "OperationDenied.DBInstanceType"),
    ("SwitchBackupDatabase", "OperationDenied.BackupJobExists"),
    // An account that is made or dropped is not changed; one of type Super has everything;
    // a database that is dropped gets no new grants; and a failed change is undone.
    ("GrantAccountPrivilege", "OperationDenied.AccountStatus"),
    ("GrantAccountPrivilege", "OperationDenied.AccountType"),
    ("GrantAccountPrivilege", "OperationDenied.DBStatus"),
    ("GrantAccountPrivilege", "ServiceUnavailable"),
    ("RevokeAccountPrivilege", "OperationDenied.AccountStatus"),
    ("RevokeAccountPrivilege", "OperationDenied.AccountType"),
    ("RevokeAccountPrivilege", "OperationDenied.DBStatus"),
    ("RevokeAccountPrivilege", "ServiceUnavailable"),
    ("ModifyAccountDescription", "OperationDenied.AccountStatus"),
    // What is wrong with tags: the names follow the catalogue's templates and its neighbours.
    ("DescribeInstances", "MissingParameter"),
    ("DescribeInstances", "InvalidTagKey.Malformed"),
    ("DescribeInstances", "InvalidTagValue.Malformed"),
    ("DescribeInstances", "InvalidTagKey.Duplicate"),
    ("DescribeInstances", "QuotaExceeded.Tag"),
    ("DescribeDatabaseList", "MissingParameter"),
    ("DescribeDatabaseList", "InvalidTagKey.Malformed"),
    ("DescribeDatabaseList", "InvalidTagValue.Malformed"),
    ("DescribeDatabaseList", "InvalidTagKey.Duplicate"),
    ("DescribeDatabaseList", "QuotaExceeded.Tag"),
    ("TagResources", "InvalidRegionId.NotFound"),
    ("TagResources", "InvalidResourceType.ValueNotSupported"),
    ("TagResources", "InvalidDBInstanceId.QuotaExceeded"),
    ("TagResources", "InvalidTagKey.Malformed"),
    ("TagResources", "InvalidTagValue.Malformed"),
    ("TagResources", "InvalidTagKey.Duplicate"),
    ("TagResources", "QuotaExceeded.Tag"),
    // The state rule of the document's 12.4.
    ("TagResources", "OperationDenied.DBInstanceStatus"),
    ("UntagResources", "InvalidRegionId.NotFound"),
    ("UntagResources", "InvalidResourceType.ValueNotSupported"),
    ("UntagResources", "InvalidDBInstanceId.QuotaExceeded"),
    ("UntagResources", "InvalidTagKey.Malformed"),
    ("UntagResources", "QuotaExceeded.Tag"),
    ("UntagResources", "InvalidAll.ValueNotSupported"),
    ("UntagResources", "OperationDenied.DBInstanceStatus"),
    ("ListTagResources", "InvalidRegionId.NotFound"),
    ("ListTagResources", "InvalidResourceType.ValueNotSupported"),
    ("ListTagResources", "InvalidDBInstanceId.QuotaExceeded"),
    ("ListTagResources", "InvalidTagKey.Malformed"),
    ("ListTagResources", "InvalidTagValue.Malformed"),
    ("ListTagResources", "InvalidTagKey.Duplicate"),
    ("ListTagResources", "QuotaExceeded.Tag"),
    ("ListTagResources", "InvalidNextToken.Malformed"),
    // The document has no page for prices.
    ("DescribePrice", "InvalidOrderType.ValueNotSupported"),
    ("DescribePrice", "InvalidCommodities.Malformed"),
    ("DescribePrice", "InvalidNodeSpec.ValueNotSupported"),
    ("DescribePrice", "InvalidDBInstanceId.NotFound"),
    ("DescribePrice", "InvalidDBName.NotFound"),
    ("DescribeCommodity", "InvalidOrderType.ValueNotSupported"),
    ("DescribeCommodity", "InvalidDBName.NotFound"),
    // An order of a database is checked as that of an instance is.
    ("CreateDatabase", "InvalidNodeSpec.ValueNotSupported"),
    (
        "CreateDatabase",
        "InvalidDBInstanceClassInRegion.NotAvailable",
    ),
    ("CreateDatabase", "InvalidNodeNumber.Malformed"),
    ("CreateDatabase", "InvalidNodeNumber.ValueNotSupported"),
    ("CreateDatabase", "Forbidden.Authentication"),
    ("CreateDatabase", "InsufficientBalance"),
    ("CreateDatabase", "OperationDenied"),
    ("CreateDatabase", "InvalidToken.Malformed"),
    // Changes of a database are checked as DeleteDatabase's are, their parameters by type.
    ("ModifyDatabaseNodesNumber", "OperationDenied.DBStatus"),
    ("ModifyDatabaseNodesNumber", "InvalidParameter.Malformed"),
    (
        "ModifyDatabaseNodesNumber",
        "InvalidNodeNumber.ValueNotSupported",
    ),
    ("ModifyDatabaseNodesNumber", "InvalidActionType.Malformed"),
    (
        "ModifyDatabaseNodesNumber",
        "InvalidAutoPay.ValueNotSupported",
    ),
    ("ModifyDatabaseNodesNumber", "InvalidClientToken.Malformed"),
    ("ModifyDatabaseNodesSpec", "OperationDenied.DBStatus"),
    (
        "ModifyDatabaseNodesSpec",
        "InvalidAutoPay.ValueNotSupported",
    ),
    ("ModifyDatabaseNodesSpec", "InvalidClientToken.Malformed"),
    ("DeleteDatabase", "InvalidClientToken.Malformed"),
    // Another spec is ordered as a database is. A disk that would be too small at once is
    // refused: the instance would be locked, and the call could not be taken back.
    (
        "ModifyDatabaseNodesSpec",
        "InvalidNewNodeSpec.ValueNotSupported",
    ),
    (
        "ModifyDatabaseNodesSpec",
        "InvalidDBInstanceClassInRegion.NotAvailable",
    ),
    ("ModifyDatabaseNodesSpec", "Forbidden.Authentication"),
    ("ModifyDatabaseNodesSpec", "InsufficientBalance"),
    (
        "ModifyDatabaseNodesSpec",
        "OperationDenied.DBInstanceStorageReduce",
    ),
    ("DeleteDatabase", "OperationDenied.DBInstanceStorageReduce"),
    // Pages and filters are those of DescribeInstances.
    ("DescribeDatabaseList", "InvalidPageNumber.Malformed"),
    ("DescribeDatabaseList", "InvalidPageSize.ValueNotSupported"),
    (
        "DescribeDatabaseList",
        "InvalidInstanceStatus.ValueNotSupported",
    ),
    (
        "DescribeDatabaseList",
        "InvalidChargeType.ValueNotSupported",
    ),
    ("AllocateInstancePublicConnection", "OperationDenied"),
    (
        "ReleaseInstancePublicConnection",
        "OperationDenied.LockMode",
    ),
    (
        "DescribeInstanceInfoByConnection",
        "InvalidConnectionString.Malformed",
    ),
    (
        "AddBuDBInstanceRelation",
        "OperationDenied.DBInstanceStatus",
    ),
    ("AddBuDBInstanceRelation", "InvalidBusinessUnit.Malformed"),
    // A table that cannot be defined so, is not there, or whose node does not answer.
    ("CreateTable", "OperationDenied.LockMode"),
    ("CreateTable", "InvalidTableDDL.Malformed"),
    ("CreateTable", "InvalidPartitionKey.Malformed"),
    ("CreateTable", "UnsupportedParameter"),
    ("CreateTable", "ServiceUnavailable"),
    ("ModifyTable", "OperationDenied.LockMode"),
    ("ModifyTable", "InvalidTableDDL.Malformed"),
    ("ModifyTable", "ServiceUnavailable"),
    ("DeleteTable", "OperationDenied.LockMode"),
    ("DeleteTable", "InvalidTableName.NotFound"),
    ("DeleteTable", "InvalidTableName.Malformed"),
    ("DeleteTable", "ServiceUnavailable"),
    ("TruncateTable", "OperationDenied.LockMode"),
    ("TruncateTable", "InvalidTableName.NotFound"),
    ("TruncateTable", "InvalidTableName.Malformed"),
    ("TruncateTable", "ServiceUnavailable"),
    ("CreateIndex", "OperationDenied.LockMode"),
    ("CreateIndex", "InvalidIndexDDL.Malformed"),
    ("CreateIndex", "ServiceUnavailable"),
    ("DeleteIndex", "OperationDenied.LockMode"),
    ("DeleteIndex", "InvalidIndexDDL.Malformed"),
    ("DeleteIndex", "ServiceUnavailable"),
    ("DescribeTables", "ServiceUnavailable"),
    ("DescribeTableInfo", "ServiceUnavailable"),
    (
        "DescribeInstancePerformance",
        "InvalidMonitorGroup.ValueNotSupported",
    ),
    (
        "DescribeDatabasePerformance",
        "InvalidMonitorGroup.ValueNotSupported",
    ),
];

/// Fields of answers that the description lacks.
const ADDED_FIELDS: &[(&str, &str)] = &[
    // As the vendor's relational service names it; amounts without one say little.
    ("DescribePrice.Order", "Currency"),
    // When an old endpoint closes is not to be learnt otherwise.
    ("DescribeInstanceInfo.NetworkInfoItems", "ExpiredTime"),
    (
        "DescribeInstanceInfoByConnection.NetworkInfoItems",
        "ExpiredTime",
    ),
    // What became of a set, and whether it was proven.
    ("DescribeDatabaseBackup.BackupItems", "Note"),
    ("DescribeDatabaseBackup.BackupItems", "VerifiedTime"),
    ("DescribeDatabaseBackup.BackupItems", "VerifyFailure"),
    // Nor is it when an instance goes by itself.
    ("DescribeInstanceInfo", "ReleaseTime"),
    ("DescribeInstanceInfoByConnection", "ReleaseTime"),
    // What else is to be known of a table without a database account.
    ("DescribeTableInfo", "Engine"),
    ("DescribeTableInfo", "TableRows"),
    ("DescribeTableInfo", "DataBytes"),
    ("DescribeTableInfo", "IndexBytes"),
    ("DescribeTableInfo", "Indexes"),
];

/// Parameters that an action takes although the description lacks them, at the end of its list.
const ADDED_PARAMETERS: [(&str, &str); 11] = [
    // As the vendor's relational service filters its listings.
    ("DescribeInstances", "Tag.N.Key"),
    ("DescribeInstances", "Tag.N.Value"),
    ("DescribeDatabaseList", "Tag.N.Key"),
    ("DescribeDatabaseList", "Tag.N.Value"),
    // A set is one of several kinds.
    ("CreateDatabaseBackup", "BackupMethod"),
    ("CreateDatabaseBackup", "BackupType"),
    // Who deletes by accident knows the statement, not the second.
    ("RestoreDatabase", "RestoreGtid"),
    ("RestoreDatabase", "RestoreBeforeGtid"),
    // What the new instance is like beside its content.
    ("RestoreDatabase", "WithAccounts"),
    ("RestoreDatabase", "WithBackupPolicy"),
    // What a restore in place has replaced need not be kept for ever.
    ("SwitchBackupDatabase", "ReleaseReplaced"),
];

/// Parameters marked as required that have a default or can be told without: clients of the
/// time left them out.
const LENIENT: [(&str, &str); 2] = [
    ("DescribeTasks", "PageNumbers"),
    ("DescribeTasks", "MaxRecordsPerPage"),
];

fn spec() -> Value {
    serde_json::from_str(include_str!("data/api_spec.json")).expect("valid JSON")
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

fn flag(value: &Value, key: &str) -> bool {
    value[key].as_bool().unwrap_or_default()
}

fn array<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn texts<'a>(value: &'a Value, key: &str) -> Vec<&'a str> {
    array(value, key).iter().filter_map(Value::as_str).collect()
}

#[test]
fn every_action_is_in_the_table_as_described() {
    let spec = spec();
    assert_eq!(text(&spec, "api_version"), API_VERSION);
    let actions = array(&spec, "actions");
    assert_eq!(actions.len(), Action::ALL.len());
    for described in actions {
        let name = text(described, "name");
        let action = Action::find(name).unwrap_or_else(|| panic!("{name} is missing"));
        let entry = action.spec();
        assert_eq!(entry.name, name);
        assert_eq!(entry.aliases, texts(described, "aliases"), "{name}");
        assert_eq!(entry.mutating, flag(described, "mutating"), "{name}");
        assert_eq!(
            entry.creates_task,
            flag(described, "creates_task"),
            "{name}"
        );
        let https = match text(described, "https") {
            "secret" => HttpsRule::CarriesSecret,
            "documented" => HttpsRule::Documented,
            _ => HttpsRule::Optional,
        };
        assert_eq!(entry.https, https, "{name}");
        let any = entry.resource == RamResource::AnyInstance;
        assert_eq!(any, flag(described, "any_instance"), "{name}");
        compare_parameters(name, entry.parameters, array(described, "parameters"));
        compare_fields(name, entry.response, array(described, "response"));
        compare_errors(name, entry.errors, array(described, "errors"));
    }
}

fn compare_parameters(action: &str, table: &[ParameterSpec], described: &[Value]) {
    let names: Vec<_> = described
        .iter()
        .map(|parameter| text(parameter, "name"))
        .collect();
    let is_added = |name| ADDED_PARAMETERS.contains(&(action, name));
    let ours: Vec<_> = table.iter().map(|parameter| parameter.name).collect();
    let (described_ones, added) = ours.split_at(names.len().min(ours.len()));
    assert_eq!(described_ones, names, "{action}");
    assert!(
        added.iter().all(|name| is_added(name)),
        "{action}: {added:?}"
    );
    for (ours, described) in table.iter().zip(described) {
        let what = format!("{action}.{}", ours.name);
        let lenient = LENIENT.contains(&(action, ours.name));
        assert_eq!(
            ours.required,
            flag(described, "required") && !lenient,
            "{what}"
        );
        assert_eq!(ours.secret, flag(described, "secret"), "{what}");
        assert_eq!(ours.aliases, texts(described, "aliases"), "{what}");
        let kind = match (flag(described, "time"), text(described, "type")) {
            (true, _) => ParameterKind::Time,
            (_, "String") => ParameterKind::Text,
            (_, "Integer") => ParameterKind::Integer,
            (_, "Boolean") => ParameterKind::Boolean,
            (_, "RepeatList") => ParameterKind::Repeated,
            (_, other) => panic!("{what}: unknown type {other}"),
        };
        assert_eq!(ours.kind, kind, "{what}");
        // An empty default is no default; a lenient parameter needs one of its own.
        let default = described["default"]
            .as_str()
            .filter(|value| !value.is_empty());
        assert!(
            ours.default == default || (lenient && default.is_none()),
            "{what}"
        );
        assert!(!lenient || ours.default.is_some(), "{what}");
        let mut allowed = texts(described, "allowed");
        if what == "CreateAccount.AccountPrivilege" {
            // Documented for answers only, yet asked for by clients.
            allowed.push("DMLOnly");
        }
        assert_eq!(ours.allowed, allowed, "{what}");
        assert!(!ours.description.is_empty(), "{what}");
    }
}

fn compare_fields(path: &str, table: &[FieldSpec], described: &[Value]) {
    let names: Vec<_> = described.iter().map(|field| text(field, "name")).collect();
    let is_described = |ours: &&FieldSpec| !ADDED_FIELDS.contains(&(path, ours.name));
    let table: Vec<_> = table.iter().filter(is_described).collect();
    let ours: Vec<_> = table.iter().map(|field| field.name).collect();
    assert_eq!(ours, names, "{path}");
    for (ours, described) in table.into_iter().zip(described) {
        let what = format!("{path}.{}", ours.name);
        assert_eq!(ours.optional, flag(described, "optional"), "{what}");
        assert_eq!(ours.allowed, texts(described, "allowed"), "{what}");
        assert!(!ours.description.is_empty(), "{what}");
        let inner = array(described, "fields");
        match ours.kind {
            FieldKind::List { item, fields } => {
                assert_eq!(text(described, "type"), "List", "{what}");
                assert_eq!(item, text(described, "item"), "{what}");
                compare_fields(&what, fields, inner);
            }
            FieldKind::Object(fields) => {
                assert_eq!(text(described, "type"), "Object", "{what}");
                compare_fields(&what, fields, inner);
            }
            FieldKind::Time => assert!(flag(described, "time"), "{what}"),
            FieldKind::Text => {
                assert_eq!(text(described, "type"), "String", "{what}");
                assert!(!flag(described, "time"), "{what}");
            }
            FieldKind::Integer => {
                assert!(
                    matches!(text(described, "type"), "Integer" | "Long"),
                    "{what}"
                );
            }
            FieldKind::Float => assert_eq!(text(described, "type"), "Float", "{what}"),
            FieldKind::Boolean => assert_eq!(text(described, "type"), "Boolean", "{what}"),
        }
    }
}

fn compare_errors(action: &str, table: &[ErrorSpec], described: &[Value]) {
    for error in described {
        let code = text(error, "code");
        let ours = table.iter().find(|ours| ours.code == code);
        let ours = ours.unwrap_or_else(|| panic!("{action} lacks {code}"));
        assert_eq!(
            u64::from(ours.http_status),
            error["http_status"],
            "{action} {code}"
        );
    }
    for ours in table {
        let known = described
            .iter()
            .any(|error| text(error, "code") == ours.code);
        let added = ADDED_ERRORS.contains(&(action, ours.code));
        assert!(known != added, "{action} {}", ours.code);
        assert!(!ours.when.is_empty(), "{action} {}", ours.code);
    }
}

#[test]
fn every_described_error_is_in_the_catalogue() {
    let spec = spec();
    for described in array(&spec, "error_catalogue") {
        let code = text(described, "code");
        if code == "UnsupportedOperation" {
            // The sample of the document's text; the catalogue's own code is InvalidAction.
            continue;
        }
        let entry = ERRORS.iter().find(|entry| entry.code == code);
        let entry = entry.unwrap_or_else(|| panic!("{code} is missing"));
        let variants = array(described, "variants");
        let (variant, status) = match described["chosen"].as_object() {
            Some(chosen) => (
                chosen["variant"]
                    .as_u64()
                    .map(|index| &variants[index as usize]),
                &chosen["http_status"],
            ),
            None => (Some(&variants[0]), &variants[0]["http_status"]),
        };
        assert_eq!(u64::from(entry.http_status), *status, "{code}");
        // Without a chosen variant the message is the generic one, which has a placeholder.
        let Some(variant) = variant else {
            assert!(entry.message.contains("<name>"), "{code}");
            continue;
        };
        let message = text(variant, "message")
            .replace("<parameter name>", "<name>")
            .replace("\"parameter name n\"", "\"<name>\"")
            .replace("\"parameter name\"", "\"<name>\"");
        assert_eq!(entry.message, message, "{code}");
    }
}

#[test]
fn every_code_of_the_table_is_in_the_catalogue() {
    for &action in Action::ALL {
        for error in action.spec().errors {
            let template =
                |suffix| error.code.starts_with("Invalid") && error.code.ends_with(suffix);
            let known = ERRORS.iter().any(|entry| entry.code == error.code)
                || template(".Malformed")
                || template(".ValueNotSupported");
            assert!(known, "{} {}", action.name(), error.code);
        }
    }
}

#[test]
fn content_types_are_spelled_exactly() {
    let spec = spec();
    assert_eq!(
        text(&spec["content_type"], "JSON"),
        Format::Json.content_type()
    );
    assert_eq!(
        text(&spec["content_type"], "XML"),
        Format::Xml.content_type()
    );
}
