//! Switches, public endpoints and look-ups: what is refused, and what clients are told.

use std::net::{Ipv4Addr, TcpListener};

use jiff::{SignedDuration, Timestamp};
use openpeta_rpc_api::instances::{
    AllocateInstancePublicConnectionRequest, DescribeInstanceInfoByConnectionRequest,
    ReleaseInstancePublicConnectionRequest, SwitchInstanceNetTypeRequest,
};
use openpeta_rpc_api::{Action, ApiRequest, Params};
use openpeta_store::{EndpointState, StoreError};
use openpeta_types::{EndpointType, InstanceId, LockMode};

use super::Opened;
use crate::testing::{TestEngine, World};
use crate::{ControlConfig, ControlError, Gateway as _, NetworkConfig, reconcilers};

async fn world_with(change: impl FnOnce(&mut NetworkConfig)) -> World {
    let mut config = ControlConfig::default();
    change(&mut config.network);
    World::configured(&TestEngine::new().await, config)
}

fn request<R: ApiRequest>(id: &InstanceId, others: &[(&str, &str)]) -> R {
    let pairs = [&[("InstanceId", id.as_str())], others].concat();
    let params = Params::from_pairs(pairs).expect("unique names");
    R::from_params(&params).expect("well formed")
}

/// `OK`, or the code of the refusal.
fn code<T>(answer: Result<T, ControlError>) -> String {
    match answer {
        Ok(_) => "OK".into(),
        Err(error) => error.api.code.into_owned(),
    }
}

fn switch(world: &World, id: &InstanceId, target: &[(&str, &str)]) -> String {
    let request: SwitchInstanceNetTypeRequest = request(id, target);
    let call = world.call(Action::SwitchInstanceNetType);
    code(world.control.switch_instance_net_type(&call, &request))
}

fn to_vpc(world: &World) -> [(&'static str, String); 3] {
    let tenant = &world.tenant;
    [
        ("TargetNetworkType", "VPC".into()),
        ("VpcId", tenant.vpc_id.to_string()),
        ("VSwitchId", tenant.vswitch_id.to_string()),
    ]
}

/// As [`switch`], to the other network.
fn switch_over(world: &World, id: &InstanceId) -> String {
    if world.detail(id).instance.vpc_id.is_some() {
        return switch(world, id, &[("TargetNetworkType", "Classic")]);
    }
    let vpc = to_vpc(world);
    let vpc: Vec<_> = vpc.iter().map(|(name, value)| (*name, &**value)).collect();
    switch(world, id, &vpc)
}

fn allocate(world: &World, id: &InstanceId, others: &[(&str, &str)]) -> String {
    let request: AllocateInstancePublicConnectionRequest = request(id, others);
    let call = world.call(Action::AllocateInstancePublicConnection);
    let control = &world.control;
    code(control.allocate_instance_public_connection(&call, &request))
}

fn release(world: &World, id: &InstanceId, current: &str) -> String {
    let others = [("CurrentConnectionString", current)];
    let request: ReleaseInstancePublicConnectionRequest = request(id, &others);
    let call = world.call(Action::ReleaseInstancePublicConnection);
    let control = &world.control;
    code(control.release_instance_public_connection(&call, &request))
}

/// The id of the instance that a connection string leads to, or the code of the refusal.
fn look_up(world: &World, text: &str) -> String {
    let request = DescribeInstanceInfoByConnectionRequest {
        connection_string: text.to_owned(),
    };
    let control = &world.control;
    match control.describe_instance_info_by_connection(&world.caller(), &request) {
        Ok(found) => found.0.instance_id.to_string(),
        Err(error) => error.api.code.into_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_switches_are_refused_with_their_code() {
    let world = World::new(&TestEngine::new().await);
    let id = world.instance_without_node();
    let classic = [("TargetNetworkType", "Classic")];
    assert_eq!(switch(&world, &id, &classic), "NetTypeExists");
    let vpc = to_vpc(&world);
    let [_, (_, vpc_id), (_, vswitch_id)] = &vpc;
    let to = |vpc_id: &str, vswitch_id: &str| {
        let target = [
            ("TargetNetworkType", "VPC"),
            ("VpcId", vpc_id),
            ("VSwitchId", vswitch_id),
        ];
        switch(&world, &id, &target)
    };
    assert_eq!(to("vpc-none", vswitch_id), "InvalidVPCId.NotFound");
    assert_eq!(to(vpc_id, "vsw-none"), "InvalidVSwitchId.NotFound");
    let lock = |mode| {
        let set = |writer: &openpeta_store::Writer<'_>| writer.set_instance_lock(&id, mode, None);
        world.parts.store.write(set).expect("the store works");
    };
    lock(LockMode::ManualLock);
    assert_eq!(to(vpc_id, vswitch_id), "OperationDenied.LockMode");
    lock(LockMode::Unlock);
    assert_eq!(to(vpc_id, vswitch_id), "OK");
    assert_eq!(switch_over(&world, &id), "OperationDenied.DBInstanceStatus");
    // Until the new endpoint answers clients are told of the old one alone.
    let detail = world.detail(&id);
    let default = detail.default_endpoint().expect("it has one");
    assert_eq!(default.endpoint_type, EndpointType::Internal);
    assert_eq!(detail.endpoints.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_switches_a_day_and_their_endpoints_go_in_time() {
    let world = World::new(&TestEngine::new().await);
    let id = world.instance_without_node();
    for number in 1..=20 {
        assert_eq!(switch_over(&world, &id), "OK", "{number}");
        world.run_tasks().await;
    }
    assert_eq!(switch_over(&world, &id), "QuotaExceeded.SwitchTime");
    let detail = world.detail(&id);
    assert_eq!(detail.endpoints.len(), 21);
    assert_eq!(world.gateway.endpoints().len(), 21);
    let next = reconcilers::retire_endpoints(&world.parts).expect("the store works");
    assert_eq!(next, detail.endpoints[1].expires_at);

    // Time passes: the old ones go, and whatever wanted to open one of them does not.
    let past = Timestamp::now() - SignedDuration::from_secs(1);
    let expired = world.parts.store.write(|writer| {
        for old in &detail.endpoints[1..] {
            writer.set_endpoint_expiry(&old.endpoint_id, Some(past))?;
        }
        Ok::<_, StoreError>(())
    });
    expired.expect("the store works");
    let old = world.open(&detail.endpoints[1].endpoint_id);
    assert!(matches!(old, Opened::NotWanted));
    let next = reconcilers::retire_endpoints(&world.parts).expect("the store works");
    assert_eq!(next, None);
    let left = world.detail(&id);
    assert_eq!(left.endpoints, detail.endpoints[..1]);
    assert_eq!(
        world.gateway.endpoints(),
        [left.endpoints[0].endpoint_id.clone()]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_has_one_public_endpoint_of_its_own_name() {
    let world = World::new(&TestEngine::new().await);
    let (id, other) = (world.instance_without_node(), world.instance_without_node());
    let prefix = |text| [("ConnectionStringPrefix", text)];
    let taken = "InvalidConnectionStringPrefix.Duplicate";
    assert_eq!(allocate(&world, &id, &prefix(other.as_str())), taken);
    assert_eq!(allocate(&world, &id, &prefix(id.as_str())), taken);
    assert_eq!(allocate(&world, &id, &prefix("shop")), "OK");
    assert_eq!(allocate(&world, &other, &prefix("SHOP")), taken);
    world.run_tasks().await;
    assert_eq!(allocate(&world, &id, &[]), "PublicConnectionExists");

    let public = world.detail(&id).endpoints[1].clone();
    assert_eq!(public.endpoint_type, EndpointType::Public);
    let port = public.port.to_string();
    let same_port = [("Port", &*port)];
    assert_eq!(
        allocate(&world, &other, &same_port),
        "InvalidPort.Malformed"
    );
    assert_eq!(allocate(&world, &other, &[]), "OK");
    world.run_tasks().await;
    assert_ne!(world.detail(&other).endpoints[1].port, public.port);

    let private = world.detail(&id).endpoints[0].port;
    let address = |port: u16| format!("127.0.0.1:{port}");
    assert_eq!(
        release(&world, &id, "db.example.com"),
        "InvalidCurrentConnectionString.NotFound"
    );
    assert_eq!(
        release(&world, &id, &address(private)),
        "OperationDenied.DBInstanceNetType"
    );
    assert_eq!(release(&world, &id, &address(public.port)), "OK");
    // It is closing: nobody is told of it, and a restart does not open it.
    assert_eq!(world.detail(&id).endpoints.len(), 1);
    assert!(matches!(world.open(&public.endpoint_id), Opened::NotWanted));
    world.run_tasks().await;
    assert!(!world.gateway.endpoints().contains(&public.endpoint_id));
    assert_eq!(allocate(&world, &other, &[]), "PublicConnectionExists");
    assert_eq!(
        allocate(&world, &id, &prefix("shop")),
        "OK",
        "it is free again"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_on_all_addresses_keeps_off_the_port_of_vpc_endpoints() {
    let world = world_with(|network| {
        network.public_address = Some(Ipv4Addr::UNSPECIFIED.into());
        network.public_host = Some("DB.example.com".into());
    })
    .await;
    let id = world.instance_without_node();
    let usual = [("Port", "3306")];
    assert_eq!(allocate(&world, &id, &usual), "InvalidPort.Malformed");
    assert_eq!(allocate(&world, &id, &[]), "OK");
    world.run_tasks().await;
    let public = world.detail(&id).endpoints[1].clone();
    assert_eq!(public.connection_string, "db.example.com");
    assert_eq!(public.state, EndpointState::Active);
    assert!(public.address.is_unspecified() && public.port != 3306);
    assert_eq!(look_up(&world, "db.EXAMPLE.com"), id.as_str());
    assert_eq!(look_up(&world, "0.0.0.0"), "InvalidDBInstanceId.NotFound");
    assert_eq!(release(&world, &id, "DB.example.com"), "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_whose_place_is_taken_moves_unless_it_was_asked_for() {
    let world = World::new(&TestEngine::new().await);
    let id = world.instance_without_node();
    assert_eq!(allocate(&world, &id, &[]), "OK");
    let stored = || {
        let endpoints = world.parts.store.read(|reader| reader.endpoints_of(&id));
        let mut endpoints = endpoints.expect("the store works").into_iter();
        endpoints.find(|endpoint| endpoint.endpoint_type == EndpointType::Public)
    };
    let chosen = stored().expect("it was chosen");
    let somebody = TcpListener::bind((chosen.address, chosen.port)).expect("it is free");
    world.run_tasks().await;
    let moved = stored().expect("it was opened");
    assert_ne!(moved.port, chosen.port);
    assert_eq!(moved.endpoint_id, chosen.endpoint_id);
    assert_eq!(
        release(&world, &id, &format!("127.0.0.1:{}", moved.port)),
        "OK"
    );
    world.run_tasks().await;
    drop(somebody);

    let port = chosen.port.to_string();
    assert_eq!(allocate(&world, &id, &[("Port", &port)]), "OK");
    let _somebody = TcpListener::bind((chosen.address, chosen.port)).expect("it is free");
    world.run_tasks().await;
    assert_eq!(stored(), None, "the client asked for this port");
    assert_eq!(world.gateway.endpoints().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_are_found_by_their_endpoints_old_ones_included() {
    let world = World::new(&TestEngine::new().await);
    let id = world.instance_without_node();
    let classic = world.detail(&id).endpoints[0].clone();
    assert_eq!(look_up(&world, "127.0.0.1"), id.as_str());
    let other = world.instance_without_node();
    assert_eq!(
        look_up(&world, "127.0.0.1"),
        "InvalidConnectionString.Malformed"
    );
    let by_port = format!("127.0.0.1:{}", classic.port);
    assert_eq!(look_up(&world, &by_port), id.as_str());
    assert_eq!(
        look_up(&world, "127.0.0.1:1"),
        "InvalidDBInstanceId.NotFound"
    );

    assert_eq!(switch_over(&world, &id), "OK");
    world.run_tasks().await;
    let vpc = world.detail(&id).endpoints[0].clone();
    assert_eq!(look_up(&world, &vpc.connection_string), id.as_str());
    assert_eq!(
        look_up(&world, &by_port),
        id.as_str(),
        "its time is not over"
    );
    let by_port = format!("127.0.0.1:{}", world.detail(&other).endpoints[0].port);
    assert_eq!(look_up(&world, &by_port), other.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn below_a_domain_each_endpoint_has_a_name_of_its_own() {
    let world = world_with(|network| {
        network.domain = Some("db.example.com".into());
    })
    .await;
    let id = world.instance_without_node();
    assert_eq!(allocate(&world, &id, &[]), "OK");
    world.run_tasks().await;
    assert_eq!(switch_over(&world, &id), "OK");
    world.run_tasks().await;
    let detail = world.detail(&id);
    let names: Vec<_> = detail
        .endpoints
        .iter()
        .map(|e| &*e.connection_string)
        .collect();
    let name = |label: &str| format!("{label}.petadata.rds.db.example.com");
    let expected = [
        name(&format!("{id}-2")),
        name(&format!("{id}-public")),
        name(id.as_str()),
    ];
    assert_eq!(names, expected);
    for name in &expected {
        assert_eq!(look_up(&world, &name.to_uppercase()), id.as_str());
    }
    assert_eq!(release(&world, &id, &expected[1].to_uppercase()), "OK");
}
