//! Requests about endpoints of instances, and what else an instance belongs to.

use openpeta_rpc_api::instances::{
    AddBuDBInstanceRelationRequest, AllocateInstancePublicConnectionRequest,
    DescribeInstanceInfoByConnectionRequest, NetworkPlacement,
    ReleaseInstancePublicConnectionRequest, SwitchInstanceNetTypeRequest,
};

use crate::{read, refuses, requires};

#[test]
fn switch_instance_net_type() {
    let base = [("InstanceId", "pd-a"), ("TargetNetworkType", "Classic")];
    let to_classic: SwitchInstanceNetTypeRequest = read(&base, &[]).expect("valid");
    assert_eq!(to_classic.target, NetworkPlacement::Classic);
    let vpc = [
        ("TargetNetworkType", "VPC"),
        ("VpcId", "vpc-1"),
        ("VSwitchId", "vsw-1"),
    ];
    let to_vpc: SwitchInstanceNetTypeRequest = read(&base, &vpc).expect("valid");
    assert_ne!(to_vpc.target, NetworkPlacement::Classic);
    requires::<SwitchInstanceNetTypeRequest>(&base);
    refuses::<SwitchInstanceNetTypeRequest>(
        &base,
        &[
            (
                &[("TargetNetworkType", "vpc")],
                "InvalidTargetNetworkType.ValueNotSupported",
            ),
            (&vpc[..1], "MissingParameter"),
            (&vpc[..2], "MissingParameter"),
            (&[vpc[0], ("VpcId", "1"), vpc[2]], "InvalidVPCId.NotFound"),
            (
                &[vpc[0], vpc[1], ("VSwitchId", "1")],
                "InvalidVSwitchId.NotFound",
            ),
        ],
    );
}

#[test]
fn public_connections() {
    let base = [("InstanceId", "pd-a")];
    let allocate: AllocateInstancePublicConnectionRequest = read(&base, &[]).expect("valid");
    assert_eq!((allocate.prefix, allocate.port), (None, None));
    let chosen = [("ConnectionStringPrefix", "Shop-1"), ("Port", "3200")];
    let allocate: AllocateInstancePublicConnectionRequest = read(&base, &chosen).expect("valid");
    assert_eq!(allocate.port, Some(3200));
    assert_eq!(allocate.prefix.expect("given").as_str(), "shop-1");
    requires::<AllocateInstancePublicConnectionRequest>(&base);
    refuses::<AllocateInstancePublicConnectionRequest>(
        &base,
        &[
            (&[("Port", "3199")], "InvalidPort.Malformed"),
            (&[("Port", "4000")], "InvalidPort.Malformed"),
            (&[("Port", "69236")], "InvalidPort.Malformed"),
            (&[("Port", "+3306")], "InvalidPort.Malformed"),
            (
                &[("ConnectionStringPrefix", "a.b")],
                "InvalidConnectionStringPrefix.Malformed",
            ),
        ],
    );

    let base = [("DBInstanceId", "pd-a"), ("CurrentConnectionString", "x")];
    requires::<ReleaseInstancePublicConnectionRequest>(&base);
    let alias = [("InstanceId", "pd-a"), base[1]];
    let release: ReleaseInstancePublicConnectionRequest = read(&alias, &[]).expect("valid");
    assert_eq!(release.instance_id.as_str(), "pd-a");
    refuses::<ReleaseInstancePublicConnectionRequest>(
        &base,
        &[(&[("InstanceId", "pd-b")], "InvalidParameter")],
    );
    requires::<DescribeInstanceInfoByConnectionRequest>(&[("ConnectionString", "x")]);
}

#[test]
fn add_bu_db_instance_relation() {
    let base = [("BusinessUnit", "零售"), ("InstanceId", "pd-a")];
    let request: AddBuDBInstanceRelationRequest = read(&base, &[]).expect("valid");
    assert_eq!(request.business_unit.as_str(), "零售");
    requires::<AddBuDBInstanceRelationRequest>(&base);
    let long = "x".repeat(65);
    refuses::<AddBuDBInstanceRelationRequest>(
        &base,
        &[
            (&[("BusinessUnit", &long)], "InvalidBusinessUnit.Malformed"),
            (&[("BusinessUnit", "a\n")], "InvalidBusinessUnit.Malformed"),
        ],
    );
}
