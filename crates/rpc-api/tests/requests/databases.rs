//! Requests about databases.

use openpeta_rpc_api::databases::{
    CreateDatabaseRequest, DeleteDatabaseRequest, DescribeDatabaseListRequest,
    DescribeDatabasePartitionsRequest, ModifyDatabaseNodesNumberRequest,
    ModifyDatabaseNodesSpecRequest,
};
use openpeta_types::{ChargeType, ObjectStatus};

use crate::{read, refuses, requires};

const SHOP: [(&str, &str); 2] = [("InstanceId", "pd-1"), ("DBName", "shop")];

fn long() -> String {
    "x".repeat(65)
}

#[test]
fn create_database() {
    let more = [("NodeSpec", "petadata.s2.large"), ("NodeNumber", "128")];
    let base = [SHOP, more].concat();
    let request: CreateDatabaseRequest = read(&base, &[]).expect("valid");
    assert_eq!(request.db_name.as_str(), "shop");
    assert_eq!(request.node_number, 128);
    assert_eq!(request.client_token, None);
    for name in ["Token", "ClientToken"] {
        let request: CreateDatabaseRequest = read(&base, &[(name, "t")]).expect("valid");
        assert_eq!(request.client_token.expect("given").as_str(), "t");
    }
    requires::<CreateDatabaseRequest>(&base);
    refuses::<CreateDatabaseRequest>(
        &base,
        &[
            (&[("InstanceId", "no such")], "InvalidDBInstanceId.NotFound"),
            (&[("DBName", "Shop")], "InvalidDBName.Malformed"),
            (&[("DBName", "sys")], "InvalidParameter.Keyword"),
            (&[("NodeNumber", "0")], "InvalidNodeNumber.Malformed"),
            (&[("NodeNumber", "129")], "InvalidNodeNumber.Malformed"),
            (&[("Token", &long())], "InvalidToken.Malformed"),
            (&[("ClientToken", &long())], "InvalidToken.Malformed"),
            (&[("Token", "a"), ("ClientToken", "b")], "InvalidParameter"),
        ],
    );
}

#[test]
fn delete_database() {
    let request: DeleteDatabaseRequest = read(&SHOP, &[]).expect("valid");
    assert_eq!(request.db_name.as_str(), "shop");
    requires::<DeleteDatabaseRequest>(&SHOP);
    refuses::<DeleteDatabaseRequest>(
        &SHOP,
        &[
            (&[("DBName", "mysql")], "InvalidDBName.NotFound"),
            (&[("ClientToken", &long())], "InvalidClientToken.Malformed"),
        ],
    );
}

#[test]
fn modify_database_nodes_spec() {
    let base = [&SHOP[..], &[("NewNodeSpec", "whatever")]].concat();
    let pay = [("AutoPay", "true")];
    let request: ModifyDatabaseNodesSpecRequest = read(&base, &pay).expect("valid");
    assert_eq!(request.new_node_spec, "whatever");
    requires::<ModifyDatabaseNodesSpecRequest>(&base);
    refuses::<ModifyDatabaseNodesSpecRequest>(
        &base,
        &[
            (&[("DBName", "Shop")], "InvalidDBName.NotFound"),
            (&[("AutoPay", "1")], "InvalidAutoPay.ValueNotSupported"),
            (&[("ClientToken", &long())], "InvalidClientToken.Malformed"),
        ],
    );
}

#[test]
fn modify_database_nodes_number() {
    let base = [&SHOP[..], &[("Parameter", "2")]].concat();
    let request: ModifyDatabaseNodesNumberRequest = read(&base, &[]).expect("valid");
    assert_eq!(request.node_number, 2);
    for more in [("ActionType", "-1"), ("AutoPay", "true")] {
        read::<ModifyDatabaseNodesNumberRequest>(&base, &[more]).expect("valid");
    }
    requires::<ModifyDatabaseNodesNumberRequest>(&base);
    refuses::<ModifyDatabaseNodesNumberRequest>(
        &base,
        &[
            (&[("DBName", "Shop")], "InvalidDBName.NotFound"),
            // Optional by the description, yet nothing is asked for without it.
            (&[("Parameter", "")], "MissingParameter"),
            (&[("Parameter", "0")], "InvalidParameter.Malformed"),
            (&[("Parameter", "two")], "InvalidParameter.Malformed"),
            (&[("ActionType", "out")], "InvalidActionType.Malformed"),
            (&[("AutoPay", "1")], "InvalidAutoPay.ValueNotSupported"),
            (&[("ClientToken", "\n")], "InvalidClientToken.Malformed"),
        ],
    );
}

#[test]
fn describe_database_partitions() {
    let request: DescribeDatabasePartitionsRequest = read(&SHOP, &[]).expect("valid");
    assert_eq!(request.db_name.as_str(), "shop");
    requires::<DescribeDatabasePartitionsRequest>(&SHOP);
    let reserved: &[(&str, &str)] = &[("DBName", "mysql")];
    let cases = [(reserved, "InvalidDBName.NotFound")];
    refuses::<DescribeDatabasePartitionsRequest>(&SHOP, &cases);
}

#[test]
fn describe_database_list() {
    let request: DescribeDatabaseListRequest = read(&[], &[]).expect("valid");
    assert_eq!((request.page_number, request.page_size), (1, 10));
    let filters = [
        ("InstanceId", "anything"),
        ("InstanceStatus", "ACTIVE"),
        ("ChargeType", "PrePaid"),
        ("PageNumber", "2147483647"),
        ("PageSize", "50"),
    ];
    let request: DescribeDatabaseListRequest = read(&filters, &[]).expect("valid");
    assert_eq!(request.instance_id.as_deref(), Some("anything"));
    assert_eq!(request.instance_status, Some(ObjectStatus::Active));
    assert_eq!(request.charge_type, Some(ChargeType::PrePaid));
    assert_eq!(
        (request.page_number, request.page_size),
        (i32::MAX as u32, 50)
    );
    refuses::<DescribeDatabaseListRequest>(
        &[],
        &[
            (&[("PageNumber", "0")], "InvalidPageNumber.Malformed"),
            (&[("PageSize", "15")], "InvalidPageSize.ValueNotSupported"),
            (
                &[("InstanceStatus", "active")],
                "InvalidInstanceStatus.ValueNotSupported",
            ),
            (
                &[("ChargeType", "postpaid")],
                "InvalidChargeType.ValueNotSupported",
            ),
        ],
    );
}
