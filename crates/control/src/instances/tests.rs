//! Orders: what is refused, and that a refused order leaves no row.

use openpeta_rpc_api::Action;
use openpeta_types::{ChargeType, LockMode, ObjectStatus};

use crate::ControlConfig;
use crate::testing::{TestEngine, World, order_request};

/// The code with which an order with these changes is refused.
fn refusal(world: &World, changes: &[(&str, &str)]) -> String {
    let call = world.call(Action::CreateInstance);
    let refused = world
        .control
        .create_instance(&call, &order_request(changes));
    let code = refused.expect_err("it is wrong").api.code.into_owned();
    let left = world.parts.store.read(|reader| {
        let rows = (
            reader.instances()?.len(),
            reader.nodes()?.len(),
            reader.endpoints()?.len(),
        );
        Ok::<_, openpeta_store::StoreError>(rows)
    });
    assert_eq!(left.expect("the store works"), (0, 0, 0), "{changes:?}");
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_orders_are_refused_with_their_code() {
    let engine = TestEngine::new().await;
    let mut config = ControlConfig::default();
    config.quotas.nodes_per_database = 2;
    config.nodes.capacity = 1;
    let world = World::configured(&engine, config);
    let vpc = world.tenant.vpc_id.to_string();
    let vswitch = world.tenant.vswitch_id.to_string();
    let in_vpc = |vpc: &str, vswitch: &str| {
        let network = [
            ("NetworkType", "VPC"),
            ("VpcId", vpc),
            ("VSwitchId", vswitch),
        ];
        refusal(&world, &network)
    };
    assert_eq!(in_vpc("vpc-none", &vswitch), "InvalidVPCId.NotFound");
    assert_eq!(in_vpc(&vpc, "vsw-none"), "InvalidVSwitchId.NotFound");
    let elsewhere = [
        ("NetworkType", "VPC"),
        ("VpcId", &vpc),
        ("VSwitchId", &vswitch),
        ("ZoneId", "cn-hangzhou-e"),
    ];
    assert_eq!(refusal(&world, &elsewhere), "InvalidVSwitchId.Mismatch");
    for (parameter, value, code) in [
        (
            "NodeSpec",
            "petadata.x9",
            "InvalidNodeSpec.ValueNotSupported",
        ),
        (
            "NodeSpec",
            "petadata.c2.xlarge",
            "InvalidDBInstanceClassInRegion.NotAvailable",
        ),
        ("NodeNumber", "3", "InvalidNodeNumber.ValueNotSupported"),
        ("NodeNumber", "2", "OperationDenied"),
    ] {
        assert_eq!(refusal(&world, &[(parameter, value)]), code);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_order_within_their_means() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let change = |update: &dyn Fn(&mut openpeta_store::Tenant)| {
        let changed = world.parts.store.write(|writer| {
            let mut tenant = writer.tenant(world.tenant.account_id)?.expect("it exists");
            update(&mut tenant);
            writer.update_tenant(&tenant)
        });
        changed.expect("the store works");
    };
    change(&|tenant| tenant.real_name_verified = false);
    assert_eq!(refusal(&world, &[]), "Forbidden.Authentication");
    change(&|tenant| {
        tenant.real_name_verified = true;
        tenant.balance_cents = -1;
    });
    assert_eq!(refusal(&world, &[]), "InsufficientBalance");
    change(&|tenant| {
        tenant.balance_cents = 0;
        tenant.instance_quota = Some(0);
    });
    assert_eq!(refusal(&world, &[]), "QuotaExceeded.CreateInstance");
    change(&|tenant| tenant.instance_quota = Some(1));
    world.order();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_token_stands_for_one_order() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let call = world.call(Action::CreateInstance);
    let request = order_request(&[("ClientToken", "token-1")]);
    let first = world
        .control
        .create_instance(&call, &request)
        .expect("right");
    let again = world
        .control
        .create_instance(&call, &request)
        .expect("the same");
    assert_eq!(again, first);
    let mut other = world.call(Action::CreateInstance);
    other.digest = [1; 32];
    let refused = world.control.create_instance(&other, &request);
    let code = refused.expect_err("other parameters").api.code;
    assert_eq!(code, "IdempotentParameterMismatch");
    let instances = world.parts.store.read(|reader| reader.instances());
    assert_eq!(instances.expect("the store works").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_of_both_billing_modes_and_networks_are_written_as_they_are() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let vpc = world.tenant.vpc_id.to_string();
    let vswitch = world.tenant.vswitch_id.to_string();
    let request = order_request(&[
        ("NetworkType", "VPC"),
        ("VpcId", &vpc),
        ("VSwitchId", &vswitch),
        ("ChargeType", "PrePaid"),
    ]);
    let call = world.call(Action::CreateInstance);
    let ordered = world
        .control
        .create_instance(&call, &request)
        .expect("right");
    assert_eq!(ordered.port, Some(3306));
    let detail = world
        .parts
        .store
        .read(|reader| reader.instance_detail(&ordered.instance_id))
        .expect("the store works")
        .expect("it was ordered");
    assert_eq!(detail.instance.status, ObjectStatus::Create);
    assert_eq!(detail.instance.lock_mode, LockMode::Unlock);
    assert_eq!(detail.databases[0].charge_type, ChargeType::PrePaid);
    assert!(detail.endpoints[0].address.is_loopback());
    assert_eq!(
        detail.endpoints[0].vpc_id,
        Some(world.tenant.vpc_id.clone())
    );
}
