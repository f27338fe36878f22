//! Typed requests: what they read, and the exact error for each broken rule.

mod accounts;
mod databases;
mod endpoints;
mod monitoring;

use openpeta_rpc_api::databases::DescribeDatabasesRequest;
use openpeta_rpc_api::instances::{
    CreateInstanceRequest, DeleteInstanceRequest, DescribeInstanceInfoRequest,
    DescribeInstancesRequest, DescribeSecurityIPsRequest, DescribeTaskStatusRequest,
    DescribeTasksRequest, ModifyInstanceNameRequest, ModifyMode, ModifySecurityIPsRequest,
    NetworkPlacement,
};
use openpeta_rpc_api::regions::DescribeRegionsRequest;
use openpeta_rpc_api::{ApiError, ApiRequest, Params};
use openpeta_types::{ChargeType, ObjectStatus, TaskId, TaskStatus, VSwitchId, VpcId, format_time};

type Pairs<'a> = &'a [(&'a str, &'a str)];

/// Reads a request out of `base` with some parameters added or replaced.
fn read<R: ApiRequest>(base: Pairs<'_>, changes: Pairs<'_>) -> Result<R, ApiError> {
    let kept = base
        .iter()
        .filter(|(name, _)| changes.iter().all(|(other, _)| other != name));
    let params = Params::from_pairs(kept.chain(changes).copied()).expect("unique names");
    R::from_params(&params)
}

/// Checks that each change of `base` answers its code.
fn refuses<R: ApiRequest>(base: Pairs<'_>, cases: &[(Pairs<'_>, &str)]) {
    for (changes, code) in cases {
        let error = read::<R>(base, changes).err();
        let error = error.unwrap_or_else(|| panic!("{changes:?} was accepted"));
        assert_eq!(error.code, *code, "{changes:?}");
        let listed = R::ACTION
            .spec()
            .errors
            .iter()
            .find(|spec| spec.code == error.code);
        match listed {
            Some(spec) => assert_eq!(error.http_status, spec.http_status, "{code}"),
            // The one code that any action can answer for any parameter.
            None => assert_eq!(*code, "InvalidParameter"),
        }
    }
}

/// Checks that the request is refused without each of its required parameters, by name.
fn requires<R: ApiRequest>(base: Pairs<'_>) {
    for parameter in R::ACTION
        .spec()
        .parameters
        .iter()
        .filter(|parameter| parameter.required)
    {
        for value in ["", "absent"] {
            let kept: Vec<_> = match value {
                "" => Vec::new(),
                _ => base
                    .iter()
                    .copied()
                    .filter(|(name, _)| *name != parameter.name)
                    .collect(),
            };
            let result = match value {
                "" => read::<R>(base, &[(parameter.name, "")]),
                _ => read::<R>(&kept, &[]),
            };
            let expected = ApiError::missing_parameter(parameter.name);
            assert_eq!(result.err(), Some(expected), "{}", parameter.name);
        }
    }
}

const CREATE: [(&str, &str); 7] = [
    ("RegionId", "cn-hangzhou"),
    ("ZoneId", "cn-hangzhou-b"),
    ("DBName", "adb"),
    ("NodeSpec", "petadata.s2.xlarge"),
    ("NodeNumber", "1"),
    ("AccountName", "wang_100"),
    ("AccountPassword", "Passw0rd"),
];

#[test]
fn create_instance_fills_in_the_defaults() {
    let request: CreateInstanceRequest = read(&CREATE, &[]).expect("valid");
    assert_eq!(request.charge_type, ChargeType::PostPaid);
    assert_eq!(request.network, NetworkPlacement::Classic);
    assert_eq!(request.security_ip_list.len(), 1);
    assert_eq!(request.security_ip_list[0].as_str(), "127.0.0.1");
    assert!(request.instance_name.is_none() && request.client_token.is_none());
    assert_eq!(request.node_number, 1);
    assert!(!format!("{request:?}").contains("Passw0rd"));
}

#[test]
fn create_instance_reads_everything() {
    let changes = [
        ("PayType", "PrePaid"),
        ("NetworkType", "VPC"),
        ("VPCId", "vpc-1"),
        ("VSwitchId", "vsw-1"),
        ("InstanceName", "名字"),
        ("SecurityIPList", "10.0.0.0/8, 127.0.0.1"),
        ("ClientToken", "t-1"),
        ("NodeNumber", "128"),
    ];
    let request: CreateInstanceRequest = read(&CREATE, &changes).expect("valid");
    assert_eq!(request.charge_type, ChargeType::PrePaid);
    let vpc = NetworkPlacement::Vpc {
        vpc_id: VpcId::parse("vpc-1").expect("valid"),
        vswitch_id: VSwitchId::parse("vsw-1").expect("valid"),
    };
    assert_eq!(request.network, vpc);
    assert_eq!(request.instance_name.expect("given").as_str(), "名字");
    assert_eq!(request.security_ip_list.len(), 2);
    assert_eq!(request.client_token.expect("given").as_str(), "t-1");
    assert_eq!(request.node_number, 128);
}

#[test]
fn create_instance_refuses() {
    requires::<CreateInstanceRequest>(&CREATE);
    let long = "x".repeat(257);
    let token = "x".repeat(65);
    let many = (0..1001)
        .map(|i| format!("10.0.{}.{}", i / 256, i % 256))
        .collect::<Vec<_>>();
    let many = many.join(",");
    refuses::<CreateInstanceRequest>(
        &CREATE,
        &[
            (&[("RegionId", "xx-nowhere")], "InvalidRegionId.NotFound"),
            (&[("ZoneId", "cn-beijing-c")], "InvalidRegionId.NotFound"),
            (&[("DBName", "Adb")], "InvalidDBName.Malformed"),
            (&[("DBName", "mysql")], "InvalidParameter.Keyword"),
            (&[("NodeNumber", "0")], "InvalidNodeNumber.Malformed"),
            (&[("NodeNumber", "129")], "InvalidNodeNumber.Malformed"),
            (&[("NodeNumber", "two")], "InvalidNodeNumber.Malformed"),
            (&[("AccountName", "Wang")], "InvalidAccountName.Malformed"),
            (&[("AccountName", "root")], "InvalidAccountName.keyword"),
            (
                &[("AccountPassword", "password")],
                "InvalidAccountPassword.Malformed",
            ),
            (
                &[("ChargeType", "Free")],
                "InvalidChargeType.ValueNotSupported",
            ),
            (
                &[("PayType", "Free")],
                "InvalidChargeType.ValueNotSupported",
            ),
            (
                &[("PayType", "PrePaid"), ("ChargeType", "PostPaid")],
                "InvalidParameter",
            ),
            (
                &[("NetworkType", "vpc")],
                "InvalidNetworkType.ValueNotSupported",
            ),
            (&[("NetworkType", "VPC")], "MissingParameter"),
            (
                &[("NetworkType", "VPC"), ("VpcId", "vpc-1")],
                "MissingParameter",
            ),
            (
                &[
                    ("NetworkType", "VPC"),
                    ("VpcId", "x"),
                    ("VSwitchId", "vsw-1"),
                ],
                "InvalidVPCId.NotFound",
            ),
            (
                &[
                    ("NetworkType", "VPC"),
                    ("VpcId", "vpc-1"),
                    ("VSwitchId", "x"),
                ],
                "InvalidVSwitchId.NotFound",
            ),
            (&[("InstanceName", &long)], "InvalidInstanceName.Malformed"),
            (
                &[("SecurityIPList", "localhost")],
                "InvalidSecurityIPList.Malformed",
            ),
            (
                &[("SecurityIPList", "1.1.1.1,1.1.1.1")],
                "InvalidSecurityIPList.Duplicate",
            ),
            (
                &[("SecurityIPList", &many)],
                "InvalidSecurityIPListLength.Malformed",
            ),
            (&[("ClientToken", &token)], "InvalidClientToken.Malformed"),
        ],
    );
}

#[test]
fn describe_instances_reads_its_filters() {
    let request: DescribeInstancesRequest = read(&[], &[]).expect("valid");
    assert_eq!((request.page_number, request.page_size), (1, 10));
    let all = [
        ("InstanceId", "not an id"),
        ("InstanceStatus", "ACTIVE"),
        ("ChargeType", "PrePaid"),
        ("PageNumber", "7"),
        ("PageSize", "50"),
        ("RegionId", "cn-hangzhou"),
    ];
    let request: DescribeInstancesRequest = read(&all, &[]).expect("valid");
    assert_eq!(request.instance_id.as_deref(), Some("not an id"));
    assert_eq!(request.instance_status, Some(ObjectStatus::Active));
    assert_eq!(request.charge_type, Some(ChargeType::PrePaid));
    assert_eq!((request.page_number, request.page_size), (7, 50));
    refuses::<DescribeInstancesRequest>(
        &[],
        &[
            (&[("PageNumber", "0")], "InvalidPageNumber.Malformed"),
            (&[("PageSize", "25")], "InvalidPageSize.ValueNotSupported"),
            (&[("PageSize", "x")], "InvalidPageSize.ValueNotSupported"),
            (
                &[("InstanceStatus", "active")],
                "InvalidInstanceStatus.ValueNotSupported",
            ),
            (
                &[("ChargeType", "x")],
                "InvalidChargeType.ValueNotSupported",
            ),
        ],
    );
}

const INSTANCE: [(&str, &str); 1] = [("InstanceId", "pd-1")];

/// Checks that the request, right with `rest`, needs all it requires and an instance that can
/// exist.
fn needs_instance<R: ApiRequest>(rest: Pairs<'_>) {
    let base = [&INSTANCE, rest].concat();
    assert!(read::<R>(&base, &[]).is_ok(), "{:?}", R::ACTION);
    requires::<R>(&base);
    refuses::<R>(
        &base,
        &[(&[("InstanceId", "rm-1")], "InvalidDBInstanceId.NotFound")],
    );
}

#[test]
fn actions_on_an_instance_need_one_that_can_exist() {
    needs_instance::<DescribeInstanceInfoRequest>(&[]);
    needs_instance::<ModifyInstanceNameRequest>(&[("NewInstanceName", "x")]);
    needs_instance::<DeleteInstanceRequest>(&[("ClientToken", "t")]);
    needs_instance::<DescribeTaskStatusRequest>(&[("TaskId", "1")]);
    needs_instance::<DescribeTasksRequest>(&WINDOW);
    needs_instance::<DescribeSecurityIPsRequest>(&[]);
    needs_instance::<ModifySecurityIPsRequest>(&[("SecurityIPList", "1.1.1.1")]);
    needs_instance::<DescribeDatabasesRequest>(&[("DBName", "x")]);
    assert!(read::<DescribeRegionsRequest>(&[], &[("AcceptLanguage", "en")]).is_ok());
}

#[test]
fn small_requests_refuse() {
    let long = "x".repeat(257);
    refuses::<ModifyInstanceNameRequest>(
        &[("InstanceId", "pd-1"), ("NewInstanceName", "x")],
        &[(
            &[("NewInstanceName", &long)],
            "InvalidNewInstanceName.Malformed",
        )],
    );
    refuses::<DeleteInstanceRequest>(
        &INSTANCE,
        &[(&[("ClientToken", "é")], "InvalidClientToken.Malformed")],
    );
    refuses::<DescribeTaskStatusRequest>(
        &INSTANCE,
        &[(&[("TaskId", "x")], "InvalidTaskId.NotFound")],
    );
}

const WINDOW: [(&str, &str); 2] = [
    ("StartTime", "2019-01-17T08:00Z"),
    ("EndTime", "2019-01-17T09:00:00Z"),
];

#[test]
fn describe_tasks_reads_its_window_and_filters() {
    let base = [&INSTANCE[..], &WINDOW].concat();
    let request: DescribeTasksRequest = read(&base, &[]).expect("valid");
    assert_eq!(format_time(request.start_time), "2019-01-17T08:00:00Z");
    let default = [TaskStatus::Pending, TaskStatus::Running, TaskStatus::Failed];
    assert_eq!(request.statuses, default);
    assert_eq!((request.page_number, request.page_size), (1, 30));
    let request: DescribeTasksRequest = read(&base, &[("Status", "2, 5")]).expect("valid");
    assert_eq!(
        request.statuses,
        [TaskStatus::Succeeded, TaskStatus::Cancelled]
    );
    let same = [("EndTime", "2019-01-17T08:00:00Z")];
    assert!(read::<DescribeTasksRequest>(&base, &same).is_ok());
    refuses::<DescribeTasksRequest>(
        &base,
        &[
            (&[("StartTime", "yesterday")], "InvalidStartTime.Malformed"),
            (&[("EndTime", "2019-01-17")], "InvalidEndTime.Malformed"),
            (
                &[("EndTime", "2019-01-17T07:59:59Z")],
                "InvalidStartTimeAndEndTime.Malformed",
            ),
            (
                &[("TaskStatus", "6")],
                "InvalidTaskStatus.ValueNotSupported",
            ),
            (&[("Status", "1,,2")], "InvalidTaskStatus.ValueNotSupported"),
            (&[("Status", "1"), ("TaskStatus", "2")], "InvalidParameter"),
            (
                &[("MaxRecordsPerPage", "31")],
                "InvalidMaxRecordsPerPage.ValueNotSupported",
            ),
            (&[("PageNumbers", "-1")], "InvalidPageNumbers.Malformed"),
        ],
    );
}

#[test]
fn task_ids_are_read_as_numbers() {
    let request: DescribeTaskStatusRequest = read(&INSTANCE, &[("TaskId", "118")]).expect("valid");
    assert_eq!(request.task_id, TaskId::from_number(118));
}

#[test]
fn modify_security_ips_reads_its_modes() {
    let list = ("SecurityIPList", "10.23.12.24/24,0.0.0.0/0");
    let request: ModifySecurityIPsRequest = read(&INSTANCE, &[list]).expect("valid");
    assert_eq!(
        (request.mode, request.group.as_str()),
        (ModifyMode::Overwrite, "default")
    );
    assert_eq!(request.attribute, None);
    assert_eq!(request.entries.len(), 2);

    let changes = [
        ("SecurityIps", "1.1.1.1"),
        ("ModifyMode", "1"),
        ("SecurityIPListName", "DEFAULT"),
    ];
    let request: ModifySecurityIPsRequest = read(&INSTANCE, &changes).expect("valid");
    assert_eq!(
        (request.mode, request.group.as_str()),
        (ModifyMode::Append, "default")
    );

    let changes = [
        ("ModifyMode", "2"),
        ("SecurityIPListName", "App_1"),
        ("SecurityIPListAttribute", "hidden"),
    ];
    let request: ModifySecurityIPsRequest = read(&INSTANCE, &changes).expect("valid");
    assert_eq!(
        (request.mode, request.group.as_str()),
        (ModifyMode::Delete, "App_1")
    );
    assert_eq!(request.attribute.as_deref(), Some("hidden"));
    assert!(request.entries.is_empty());
}

#[test]
fn modify_security_ips_refuses() {
    let long = "x".repeat(65);
    let base = [("InstanceId", "pd-1"), ("SecurityIPList", "1.1.1.1")];
    refuses::<ModifySecurityIPsRequest>(
        &base,
        &[
            (
                &[("ModifyMode", "3")],
                "InvalidModifyMode.ValueNotSupported",
            ),
            (&[("SecurityIPList", "")], "MissingParameter"),
            (&[("SecurityIPList", " ")], "MissingParameter"),
            (
                &[("SecurityIPList", ""), ("ModifyMode", "1")],
                "MissingParameter",
            ),
            (
                &[("SecurityIPList", "::1")],
                "InvalidSecurityIPList.Malformed",
            ),
            (
                &[("SecurityIPList", "1.1.1.1,1.1.1.1/32")],
                "InvalidSecurityIPList.Duplicate",
            ),
            (&[("SecurityIps", "2.2.2.2")], "InvalidParameter"),
            (
                &[("SecurityIPListName", "a b")],
                "InvalidSecurityIPListName.Malformed",
            ),
            (
                &[("SecurityIPListName", &long)],
                "InvalidSecurityIPListName.Malformed",
            ),
            (
                &[("SecurityIPListAttribute", "a\nb")],
                "InvalidSecurityIPListAttribute.Malformed",
            ),
        ],
    );
}
