//! What the operator does with users, policies and networks.

use openpeta_types::{AccountId, VSwitchId, VpcId};
use serde_json::{Value, json};

use super::{AdminCommand, done, refusal};
use crate::ControlError;
use crate::testing::{TestEngine, World, order_request};
use openpeta_rpc_api::Action;

/// A command as it travels.
fn command(value: Value) -> AdminCommand {
    serde_json::from_value(value).expect("a command")
}

fn account(world: &World) -> AccountId {
    world.tenant.account_id
}

async fn with_bob(world: &World, documents: &[(&str, Value)]) {
    let (id, user) = (account(world), "bob");
    let create = json!({"command": "ram-user-create", "account_id": id, "user_name": user});
    done(world, command(create)).await;
    for (name, document) in documents {
        let attach = json!({
            "command": "policy-attach", "account_id": id, "user_name": user,
            "policy_name": name, "document": document.to_string(),
        });
        done(world, command(attach)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn explained_decisions_are_those_of_calls() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = world.order();
    let kept = world.order();
    let allow = json!({"Version": "1", "Statement": [
        {"Effect": "Allow", "Action": "petadata:Create*", "Resource": "*"},
        {"Effect": "Allow", "Action": "petadata:De*", "Resource": "acs:petadata:*:*:dbinstance/pd-*",
         "Condition": {"IpAddress": {"acs:SourceIp": "10.0.0.0/8"}}},
    ]});
    let deny = json!({"Version": "1", "Statement": [
        {"Effect": "Deny", "Action": "petadata:Delete*",
         "Resource": format!("acs:petadata:*:*:dbinstance/{kept}")},
    ]});
    with_bob(&world, &[("allow", allow), ("deny", deny)]).await;

    let delete = Action::DeleteInstance;
    for (action, instance, source, expected) in [
        (
            delete,
            id.as_str(),
            "10.1.1.1",
            "statement 2 of policy allow allows it",
        ),
        (
            delete,
            kept.as_str(),
            "10.1.1.1",
            "statement 1 of policy deny denies it",
        ),
        (delete, id.as_str(), "127.0.0.1", "no statement allows it"),
        (
            Action::CreateInstance,
            "*",
            "127.0.0.1",
            "statement 1 of policy allow allows it",
        ),
        (
            Action::ModifyInstanceName,
            id.as_str(),
            "10.1.1.1",
            "no statement allows it",
        ),
    ] {
        let explain = json!({
            "command": "policy-explain", "account_id": account(&world), "user_name": "bob",
            "action": action.name(), "resource": instance, "source_ip": source,
        });
        let told = done(&world, command(explain)).await;
        assert_eq!(told["reason"], expected, "{told}");
        let caller = crate::Caller {
            ram_user: Some("bob".to_owned()),
            source_ip: source.parse().expect("an address"),
            ..world.caller()
        };
        let named = Some(instance).filter(|instance| *instance != "*");
        let call: Result<(), ControlError> =
            world.control.check_permission(&caller, action, named, None);
        let is_allowed = told["decision"] == "allowed";
        assert_eq!(call.is_ok(), is_allowed, "{action:?} {instance}: {told}");
        assert_eq!(told["statements"].as_array().map(Vec::len), Some(3));
    }

    // Each statement tells what it misses.
    let explain = json!({
        "command": "policy-explain", "account_id": account(&world), "user_name": "bob",
        "action": "petadata:DescribeTasks", "resource": format!("acs:petadata:cn-hangzhou:*:dbinstance/{id}"),
        "at": "2026-01-31T08:00:00Z", "secure_transport": false,
    });
    let told = done(&world, command(explain)).await;
    let misses: Vec<&Value> = told["statements"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|statement| &statement["differs_in"])
        .collect();
    assert_eq!(misses, ["Action", "Condition", "Resource"]);
    assert_eq!(told["at"], "2026-01-31T08:00:00Z");

    for (change, value, code) in [
        ("action", "petadata:Fly", "InvalidParameter"),
        ("resource", "everything", "InvalidParameter"),
        (
            "resource",
            "pd-unknown0000000",
            "InvalidDBInstanceId.NotFound",
        ),
        (
            "resource",
            "acs:petadata:*:1:dbinstance/*",
            "InvalidDBInstanceId.NotFound",
        ),
        ("user_name", "eve", "InvalidParameter"),
    ] {
        let mut explain = json!({
            "command": "policy-explain", "account_id": account(&world), "user_name": "bob",
            "action": "DescribeTasks", "resource": "*",
        });
        explain[change] = value.into();
        assert_eq!(refusal(&world, command(explain)).await, code, "{value}");
    }
}

#[tokio::test]
async fn a_user_goes_when_none_of_its_keys_works() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let everything = json!({"Version": "1", "Statement": {
        "Effect": "Allow", "Action": "*", "Resource": "*"}});
    with_bob(&world, &[("all", everything)]).await;
    let of_bob = |name: &str| {
        command(json!({
            "command": name, "account_id": account(&world), "user_name": "bob",
        }))
    };
    let key = done(&world, of_bob("access-key-create")).await;
    assert_eq!(
        refusal(&world, of_bob("ram-user-delete")).await,
        "InvalidParameter"
    );
    let id = &key["access_key_id"];
    let disable = json!({"command": "access-key-disable", "access_key_id": id});
    done(&world, command(disable)).await;
    done(&world, of_bob("ram-user-delete")).await;
    assert_eq!(
        refusal(&world, of_bob("ram-user-delete")).await,
        "InvalidParameter"
    );
    let id = id.as_str().expect("a text");
    assert!(world.parts.store.access_key(id).is_none(), "also in memory");

    // Another one of that name has nothing of the first.
    done(&world, of_bob("ram-user-create")).await;
    assert!(
        world
            .parts
            .store
            .policies(account(&world), "bob")
            .is_empty()
    );
    assert_eq!(done(&world, of_bob("policy-list")).await, json!([]));
    let rows = world.parts.store.read(|reader| {
        let filter = openpeta_store::AuditFilter {
            action: Some("admin:ram-user-delete".to_owned()),
            ..Default::default()
        };
        reader.audit(&filter, 10)
    });
    assert_eq!(rows.expect("the store works").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_go_when_nothing_is_in_them() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let vpc = json!({
        "command": "vpc-create", "account_id": null, "region_id": "cn-hangzhou",
        "cidr": "127.20.0.0/16", "name": null,
    });
    let vpc = done(&world, command(vpc)).await["vpc_id"].clone();
    let vswitch = json!({
        "command": "vswitch-create", "vpc_id": vpc, "zone_id": "cn-hangzhou-b",
        "cidr": "127.20.1.0/24", "name": null,
    });
    let vswitch = done(&world, command(vswitch)).await["vswitch_id"].clone();
    let delete_vpc = || command(json!({"command": "vpc-delete", "vpc_id": vpc}));
    let delete_vswitch = || command(json!({"command": "vswitch-delete", "vswitch_id": vswitch}));
    let request = order_request(&[
        ("NetworkType", "VPC"),
        ("VPCId", vpc.as_str().expect("a text")),
        ("VSwitchId", vswitch.as_str().expect("a text")),
    ]);
    let ordered = world
        .control
        .create_instance(&world.call(Action::CreateInstance), &request);
    let id = ordered.expect("right").instance_id;
    assert_eq!(refusal(&world, delete_vpc()).await, "InvalidParameter");
    assert_eq!(refusal(&world, delete_vswitch()).await, "InvalidParameter");

    world.run_tasks().await;
    done(
        &world,
        AdminCommand::InstanceDelete {
            instance_id: id,
            without_final_backup: false,
        },
    )
    .await;
    world.run_tasks().await;
    assert_eq!(
        refusal(&world, delete_vpc()).await,
        "InvalidParameter",
        "the VSwitch is in it"
    );
    done(&world, delete_vswitch()).await;
    done(&world, delete_vpc()).await;
    assert_eq!(refusal(&world, delete_vpc()).await, "InvalidParameter");
    assert_eq!(refusal(&world, delete_vswitch()).await, "InvalidParameter");
    let (vpc, vswitch) = (
        VpcId::parse(vpc.as_str().expect("a text")).expect("an id"),
        VSwitchId::parse(vswitch.as_str().expect("a text")).expect("an id"),
    );
    let left = world
        .parts
        .store
        .read(|reader| Ok::<_, ControlError>((reader.vpc(&vpc)?, reader.vswitch(&vswitch)?)));
    assert_eq!(left.expect("the store works"), (None, None));
}
