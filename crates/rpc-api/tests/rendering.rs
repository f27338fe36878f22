//! Answers against the skeletons of the API description: names and nesting in XML, names,
//! nesting and types in JSON.

use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;
use openpeta_rpc_api::accounts::{AccountItem, DatabasePrivilegeItem, DescribeAccountsResponse};
use openpeta_rpc_api::databases::{DatabaseItem, DescribeDatabasesResponse};
use openpeta_rpc_api::instances::{
    AddBuDBInstanceRelationResponse, CreateInstanceResponse, DatabaseSummary,
    DescribeInstanceInfoByConnectionResponse, DescribeInstanceInfoResponse,
    DescribeInstancesResponse, DescribeSecurityIPsResponse, DescribeTaskStatusResponse,
    DescribeTasksResponse, InstanceItem, ModifySecurityIPsResponse, NetworkInfoItem, TaskItem,
};
use openpeta_rpc_api::regions::DescribeRegionsResponse;
use openpeta_rpc_api::{
    ApiError, ApiResponse, EmptyResponse, Format, render_error, render_response,
};
use openpeta_types::{
    AccountName, AccountStatus, AccountType, BusinessUnit, ChargeType, DbName, EndpointType,
    InstanceId, InstanceName, NetworkType, NodeSpecCatalogue, ObjectStatus, OrderId,
    POSTPAID_EXPIRY, PrivilegeSet, REGIONS, RequestId, TaskId, TaskStatus, VSwitchId, VpcId,
    WhitelistGroup, parse_entries, parse_time,
};
use serde_json::Value;

const REQUEST_ID: &str = "01010101-0101-4101-8101-010101010101";

fn request_id() -> RequestId {
    RequestId::from_random([1; 16])
}

fn time() -> Timestamp {
    parse_time("2019-01-17T08:00:00Z").expect("a time")
}

fn instance_id() -> InstanceId {
    InstanceId::parse("pd-abcdefg62469a").expect("valid")
}

fn name() -> InstanceName {
    InstanceName::parse("a<b>&\"c\"").expect("valid")
}

fn db_name() -> DbName {
    DbName::parse("adb").expect("valid")
}

fn vpc_id() -> Option<VpcId> {
    VpcId::parse("vpc-1").ok()
}

fn vswitch_id() -> Option<VSwitchId> {
    VSwitchId::parse("vsw-1").ok()
}

fn databases() -> Vec<DatabaseSummary> {
    vec![DatabaseSummary {
        db_name: db_name(),
        charge_type: ChargeType::PostPaid,
    }]
}

fn described(action: &str) -> Value {
    let spec: Value = serde_json::from_str(include_str!("data/api_spec.json")).expect("JSON");
    let actions = spec["actions"].as_array().expect("a list");
    actions
        .iter()
        .find(|entry| entry["name"] == action)
        .expect("a known action")
        .clone()
}

/// A JSON document with every text, number and truth value made the same, and every list cut
/// to its first item.
fn shape(value: &Value) -> Value {
    match value {
        Value::String(_) => Value::from(""),
        Value::Number(_) => Value::from(0),
        Value::Bool(_) => Value::from(false),
        Value::Null => Value::Null,
        Value::Array(items) => items.iter().take(1).map(shape).collect(),
        Value::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, value)| (name.clone(), shape(value)))
                .collect(),
        ),
    }
}

/// The tags of an XML document, without the texts between them.
fn tags(xml: &str) -> String {
    let mut out = String::new();
    for part in xml.split_inclusive('>') {
        out.push_str(&part[part.find('<').expect("a tag")..]);
    }
    out
}

/// Checks an answer that has a value for every field, and one item in every list.
fn check<R: ApiResponse>(action: &str, response: &R) {
    let described = described(action);
    let json = render_response(Format::Json, action, request_id(), response);
    let value: Value = serde_json::from_str(&json).expect("valid JSON");
    assert_eq!(shape(&value), described["json_skeleton"], "{action}");
    assert_eq!(value["RequestId"], REQUEST_ID);
    let xml = render_response(Format::Xml, action, request_id(), response);
    assert_eq!(
        tags(&xml),
        described["xml_skeleton"].as_str().expect("a text"),
        "{action}"
    );
    assert!(xml.starts_with(&format!(
        "<{action}Response><RequestId>{REQUEST_ID}</RequestId>"
    )));
    for text in [json, xml] {
        assert!(!text.contains('\n') && !text.contains("> <") && !text.contains("\": "));
    }
}

fn instance_item() -> InstanceItem {
    InstanceItem {
        instance_id: instance_id(),
        instance_name: Some(name()),
        connection_string: Some("127.0.0.1".into()),
        port: Some(3306),
        instance_status: ObjectStatus::Active,
        region_id: "cn-hangzhou".into(),
        zone_id: "cn-hangzhou-b".into(),
        create_time: time(),
        expire_time: POSTPAID_EXPIRY,
        network_type: NetworkType::Vpc,
        vpc_id: vpc_id(),
        vswitch_id: vswitch_id(),
        private_ip_address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        databases: databases(),
    }
}

#[test]
fn empty_answers() {
    for action in [
        "DeleteInstance",
        "ModifyInstanceName",
        "CreateAccount",
        "DeleteAccount",
    ] {
        check(action, &EmptyResponse);
    }
}

#[test]
fn create_instance() {
    let full = CreateInstanceResponse {
        instance_id: instance_id(),
        order_id: OrderId::from_number(42),
        connection_string: Some("127.0.0.1".into()),
        port: Some(3306),
        instance_name: Some(name()),
        end_time: Some(POSTPAID_EXPIRY),
    };
    check("CreateInstance", &full);
    let bare = CreateInstanceResponse {
        connection_string: None,
        port: None,
        instance_name: None,
        end_time: None,
        ..full
    };
    let json = render_response(Format::Json, "CreateInstance", request_id(), &bare);
    let expected =
        format!(r#"{{"RequestId":"{REQUEST_ID}","InstanceId":"pd-abcdefg62469a","OrderId":"42"}}"#);
    assert_eq!(json, expected);
}

#[test]
fn describe_instances() {
    let full = DescribeInstancesResponse {
        page_number: 1,
        page_size: 10,
        total_count: 1,
        instances: vec![instance_item()],
    };
    check("DescribeInstances", &full);
    let xml = render_response(Format::Xml, "DescribeInstances", request_id(), &full);
    assert!(xml.contains("<InstanceName>a&lt;b&gt;&amp;\"c\"</InstanceName>"));
    assert!(xml.contains("<Port>3306</Port>"));
    assert!(xml.contains("<ExpireTime>2999-09-08T16:00:00Z</ExpireTime>"));
    let empty = DescribeInstancesResponse {
        instances: Vec::new(),
        total_count: 0,
        ..full
    };
    let json = render_response(Format::Json, "DescribeInstances", request_id(), &empty);
    assert!(
        json.ends_with(r#""TotalCount":0,"Instances":{"Instance":[]}}"#),
        "{json}"
    );
    let xml = render_response(Format::Xml, "DescribeInstances", request_id(), &empty);
    assert!(
        xml.ends_with("<Instances></Instances></DescribeInstancesResponse>"),
        "{xml}"
    );
}

fn instance_info() -> DescribeInstanceInfoResponse {
    DescribeInstanceInfoResponse {
        instance_id: instance_id(),
        instance_name: Some(name()),
        region_id: "cn-hangzhou".into(),
        zone_id: "cn-hangzhou-b".into(),
        instance_status: ObjectStatus::Active,
        network_info_items: vec![NetworkInfoItem {
            network_type: EndpointType::Vpc,
            connection_string: "127.0.0.1".into(),
            port: 3306,
            vpc_id: vpc_id(),
            vswitch_id: vswitch_id(),
            private_ip_address: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            expired_time: None,
        }],
        databases: databases(),
        release_time: None,
    }
}

#[test]
fn describe_instance_info() {
    check("DescribeInstanceInfo", &instance_info());
    let found = DescribeInstanceInfoByConnectionResponse(instance_info());
    check("DescribeInstanceInfoByConnection", &found);

    // The description lacks the time at which an old endpoint closes.
    let mut retiring = instance_info();
    retiring.network_info_items[0].expired_time = Some(time());
    let xml = render_response(Format::Xml, "DescribeInstanceInfo", request_id(), &retiring);
    assert!(
        xml.contains("<ExpiredTime>2019-01-17T08:00:00Z</ExpiredTime>"),
        "{xml}"
    );
}

#[test]
fn add_bu_db_instance_relation() {
    let response = AddBuDBInstanceRelationResponse {
        business_unit: BusinessUnit::parse("零售").expect("valid"),
        db_instance_name: "orders".into(),
    };
    check("AddBuDBInstanceRelation", &response);
}

#[test]
fn describe_tasks() {
    let response = DescribeTasksResponse {
        instance_id: instance_id(),
        start_time: time(),
        end_time: time(),
        page_number: 1,
        page_size: 30,
        total_records: 1,
        tasks: vec![TaskItem {
            task_id: TaskId::from_number(1),
            begin_time: time(),
            finish_time: Some(time()),
            expected_finish_time: Some(time()),
            status: TaskStatus::Running,
            task_action: "CreateInstance".into(),
            progress: Some(50),
            db_name: Some(db_name()),
            progress_info: Some("starting the node".into()),
        }],
    };
    check("DescribeTasks", &response);
    let json = render_response(Format::Json, "DescribeTasks", request_id(), &response);
    assert!(json.contains(r#""TaskId":"1""#) && json.contains(r#""Progress":"50""#));
    assert!(json.contains(r#""Status":"1""#) && json.contains(r#""MaxRecordsPerPage":30"#));
}

#[test]
fn describe_task_status() {
    let response = DescribeTaskStatusResponse {
        task_id: TaskId::from_number(1),
        message: Some("done".into()),
        begin_time: time(),
        finish_time: Some(time()),
        status: TaskStatus::Succeeded,
    };
    check("DescribeTaskStatus", &response);
}

#[test]
fn whitelists() {
    let group = |name: &str, entries| WhitelistGroup {
        name: name.into(),
        attribute: String::new(),
        entries: parse_entries(entries).expect("valid"),
    };
    let mut response = DescribeSecurityIPsResponse {
        instance_id: instance_id(),
        groups: vec![group("default", "127.0.0.1,10.0.0.0/8")],
    };
    check("DescribeSecurityIPs", &response);
    response.groups.insert(0, group("app", "1.1.1.1"));
    let json = render_response(Format::Json, "DescribeSecurityIPs", request_id(), &response);
    let value: Value = serde_json::from_str(&json).expect("valid JSON");
    assert_eq!(value["SecurityIPList"], "127.0.0.1,10.0.0.0/8");
    assert_eq!(
        value["SecurityIPs"]["SecurityIpGroup"][0]["SecurityIPListName"],
        "app"
    );

    let response = ModifySecurityIPsResponse {
        instance_id: instance_id(),
        security_ip_list: "127.0.0.1".into(),
    };
    check("ModifySecurityIPs", &response);
    // The root follows the spelling that the client used.
    let xml = render_response(Format::Xml, "ModifySecurityIps", request_id(), &response);
    assert!(xml.starts_with("<ModifySecurityIpsResponse>"));
}

#[test]
fn describe_databases() {
    let catalogue = NodeSpecCatalogue::default();
    let (node_spec, _) = catalogue.find("petadata.s2.xlarge").expect("on offer");
    let response = DescribeDatabasesResponse {
        instance_id: instance_id(),
        databases: vec![DatabaseItem {
            db_name: db_name(),
            db_status: ObjectStatus::Active,
            node_spec: node_spec.clone(),
            node_number: 1,
            charge_type: ChargeType::PostPaid,
            create_time: time(),
            end_time: POSTPAID_EXPIRY,
            source_instance_id: None,
        }],
    };
    check("DescribeDatabases", &response);
    let json = render_response(Format::Json, "DescribeDatabases", request_id(), &response);
    assert!(json.contains(r#""DBType":"Primary","SourceInstanceId":"""#));
    assert!(json.contains(r#""NodeNumber":1,"#));
}

#[test]
fn describe_accounts() {
    let account = AccountItem {
        account_name: AccountName::parse_new("wang").expect("valid"),
        account_status: AccountStatus::Active,
        account_description: String::new(),
        account_type: AccountType::Normal,
        privileges: vec![DatabasePrivilegeItem {
            db_name: db_name(),
            account_privilege: PrivilegeSet::ReadOnly,
            detail: PrivilegeSet::ReadOnly.privileges().join(","),
        }],
    };
    let bare = AccountItem {
        privileges: Vec::new(),
        ..account.clone()
    };
    let mut response = DescribeAccountsResponse {
        instance_id: instance_id(),
        accounts: vec![account],
    };
    check("DescribeAccounts", &response);
    response.accounts = vec![bare];
    let json = render_response(Format::Json, "DescribeAccounts", request_id(), &response);
    let entry = r#"{"DatabasePrivilege":[{"AccountPrivilege":"","AccountPrivilegeDetail":""}]}"#;
    assert!(json.contains(entry), "{json}");
}

#[test]
fn describe_regions() {
    let one = DescribeRegionsResponse {
        regions: &REGIONS[6..7],
    };
    assert_eq!(REGIONS[6].zones.len(), 1, "the XML skeleton has one zone");
    check("DescribeRegions", &one);
}

#[test]
fn errors_in_both_forms() {
    let error = ApiError::missing_parameter("InstanceId");
    let json = render_error(Format::Json, &error, request_id(), "petadata.example.com");
    let value: Value = serde_json::from_str(&json).expect("valid JSON");
    assert_eq!(value["RequestId"], REQUEST_ID);
    assert_eq!(value["HostId"], "petadata.example.com");
    assert_eq!(value["HostID"], "petadata.example.com");
    assert_eq!(value["Code"], "MissingParameter");
    assert_eq!(value["Message"], error.message.as_ref());
    let xml = render_error(Format::Xml, &error, request_id(), "h");
    let expected = format!(
        "<Error><RequestId>{REQUEST_ID}</RequestId><HostId>h</HostId>\
         <Code>MissingParameter</Code><Message>{}</Message></Error>",
        error.message
    );
    assert_eq!(xml, expected);
}
