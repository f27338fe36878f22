//! Looking up what the service has, for completion.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use openpeta_control::admin::protocol::AdminCommand;
use openpeta_types::{AccountId, format_time};
use serde_json::Value;

use super::candidates::{Described, Source};
use super::line::Line;
use crate::admin;
use crate::client::Client;
use crate::ordered_json::Node;
use crate::profile::{Profile, credentials_file, data_dir};
use crate::wait::ask;

/// The longest to wait for the service: nobody wants to wait for a completion.
const PATIENCE: Duration = Duration::from_millis(500);
/// The most instances that one answer has.
const PAGE_SIZE: &str = "50";

/// Objects of the tenant whose key the line's profile holds.
pub fn of_service(source: Source, line: &Line) -> Option<Described> {
    let file = credentials_file(line.profile(), line.data_dir()).ok()?;
    let client = Client::hasty(Profile::load(&file).ok()?, PATIENCE).ok()?;
    let list = |action: &str, parameters: &[(&str, &str)], list: &str| {
        let answer = ask(&client, action, parameters).ok()?;
        Some(answer.node.list(list).to_vec())
    };
    let id = line.instance();
    let of_instance = |action: &str, name: &str| list(action, &[("InstanceId", id?)], name);
    let db_name = line.value(&["db-name", "src-db-name", "DBName", "SrcDBName"]);
    match source {
        Source::Instances => {
            let found = instances(&client)?;
            Some(pairs(
                &found,
                "InstanceId",
                &["InstanceName", "InstanceStatus"],
            ))
        }
        Source::Databases if id.is_some() => {
            let found = of_instance("DescribeDatabases", "Databases")?;
            Some(pairs(&found, "DBName", &["NodeSpec", "DBStatus"]))
        }
        Source::Databases => {
            let found = instances(&client)?;
            let databases: Vec<Node> = found
                .iter()
                .flat_map(|instance| instance.list("Databases").to_vec())
                .collect();
            Some(pairs(&databases, "DBName", &[]))
        }
        Source::Accounts => {
            let found = of_instance("DescribeAccounts", "AccountList")?;
            Some(pairs(
                &found,
                "AccountName",
                &["AccountType", "AccountStatus"],
            ))
        }
        Source::Tables => {
            let parameters = [("InstanceId", id?), ("DBName", db_name?)];
            let found = list("DescribeTables", &parameters, "Tables")?;
            Some(pairs(&found, "TableName", &["TableStatus"]))
        }
        Source::Tasks => {
            let (start, end) = month();
            let parameters = [
                ("InstanceId", id?),
                ("StartTime", &start),
                ("EndTime", &end),
                ("TaskStatus", "0,1,2,3,4,5"),
                ("PageNumbers", "1"),
                ("MaxRecordsPerPage", "100"),
            ];
            let found = list("DescribeTasks", &parameters, "Tasks")?;
            Some(pairs(&found, "TaskId", &["TaskAction", "BeginTime"]))
        }
        Source::Backups => {
            let (start, end) = month();
            let parameters = [
                ("InstanceId", id?),
                ("DBName", db_name?),
                ("StartTime", &start),
                ("EndTime", &end),
                ("PageSize", "100"),
            ];
            let found = list("DescribeDatabaseBackup", &parameters, "BackupItems")?;
            Some(pairs(
                &found,
                "BackupId",
                &["BackupStatus", "BackupEndTime"],
            ))
        }
        Source::Endpoints => {
            let found = of_instance("DescribeInstanceInfo", "NetworkInfoItems")?;
            Some(pairs(&found, "ConnectionString", &["NetworkType", "Port"]))
        }
        Source::WhitelistGroups => {
            let found = of_instance("DescribeSecurityIPs", "SecurityIPs")?;
            Some(pairs(&found, "SecurityIPListName", &["SecurityIPList"]))
        }
        Source::Metrics => {
            let level = match line.words.iter().any(|word| word.ends_with("performance")) {
                true if db_name.is_some() => "DATABASE_PERFORMANCE",
                _ => "INSTANCE_PERFORMANCE",
            };
            let parameters = [("InstanceId", id?), ("ItemLevel", level)];
            let found = list("DescribeMonitorItems", &parameters, "MonitorItems")?;
            Some(pairs(&found, "Key", &["DisplayName", "Unit"]))
        }
        Source::Tags | Source::TagKeys => {
            let parameters = [("RegionId", client.profile().region_id.as_deref()?)];
            let kind = [("ResourceType", "dbinstance")];
            let parameters = [parameters, kind].concat();
            let mut found = list("ListTagResources", &parameters, "TagResources")?;
            found.sort_by(|a, b| tag(a).cmp(&tag(b)));
            found.dedup_by(|a, b| tag(a) == tag(b));
            let texts = found.iter().filter_map(tag);
            Some(match source {
                Source::Tags => texts
                    .map(|(key, value)| (format!("{key}={value}"), String::new()))
                    .collect(),
                _ => texts
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .collect(),
            })
        }
        _ => None,
    }
}

/// Instances, page by page as far as anyone would read.
fn instances(client: &Client) -> Option<Vec<Node>> {
    let mut found = Vec::new();
    for page in ["1", "2", "3", "4"] {
        let parameters = [("PageSize", PAGE_SIZE), ("PageNumber", page)];
        let answer = ask(client, "DescribeInstances", &parameters).ok()?;
        found.extend_from_slice(answer.node.list("Instances"));
        let total = answer.node.text("TotalCount")?.parse();
        if total.is_ok_and(|total: usize| found.len() >= total) {
            break;
        }
    }
    Some(found)
}

/// Objects of all tenants, asked for over the operator's socket.
pub fn of_operator(source: Source, line: &Line) -> Option<Described> {
    let data_dir = data_dir(line.data_dir()).ok()?;
    let account = line
        .value(&["account-id"])
        .and_then(|id| AccountId::parse(id).ok());
    let (command, value, help): (_, _, &[&str]) = match source {
        Source::Tenants => (AdminCommand::TenantList, "account_id", &["name"]),
        Source::RamUsers => {
            let account_id = account?;
            (AdminCommand::RamUserList { account_id }, "user_name", &[])
        }
        Source::AllTasks => {
            let command = AdminCommand::TaskList {
                instance_id: None,
                status: None,
                limit: Some(100),
            };
            (command, "task_id", &["action", "status", "instance_id"])
        }
        _ => (AdminCommand::InstanceList, "instance_id", &["status"]),
    };
    let rows = admin::ask(&data_dir, &command, PATIENCE).ok()?;
    let text = |row: &Value, name: &str| match &row[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let pair = |row| {
        let help: Vec<String> = help.iter().map(|name| text(row, name)).collect();
        (text(row, value), help.join(" ").trim().to_owned())
    };
    Some(rows.as_array()?.iter().map(pair).collect())
}

/// Key and value of a tag in an answer.
fn tag(item: &Node) -> Option<(&str, &str)> {
    Some((
        item.text("TagKey")?,
        item.text("TagValue").unwrap_or_default(),
    ))
}

/// The last 30 days.
fn month() -> (String, String) {
    let now = Timestamp::now();
    let day = SignedDuration::from_hours(24);
    (format_time(now - day * 30), format_time(now + day))
}

/// A member of each item, with others that describe it.
fn pairs(items: &[Node], value: &str, help: &[&str]) -> Described {
    let mut pairs: Described = Vec::with_capacity(items.len());
    for item in items {
        let Some(value) = item.text(value) else {
            continue;
        };
        let texts = help.iter().filter_map(|name| item.text(name));
        let texts: Vec<&str> = texts.filter(|text| !text.is_empty()).collect();
        if pairs.iter().all(|(known, _)| known != value) {
            pairs.push((value.to_owned(), texts.join(", ")));
        }
    }
    pairs
}
