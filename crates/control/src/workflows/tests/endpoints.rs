//! The workflows that give an instance other endpoints: whatever happens, the one that clients use
//! stays open, and there is no other than there should be.

use openpeta_rpc_api::instances::{
    AllocateInstancePublicConnectionRequest, ReleaseInstancePublicConnectionRequest,
    SwitchInstanceNetTypeRequest,
};
use openpeta_types::{EndpointType, NetworkType};

use super::*;
use crate::workflows::public_connection::{AllocatePublicConnection, ReleasePublicConnection};
use crate::workflows::switch_net_type::SwitchNetType;

/// A world with an instance; its Classic endpoint is open.
fn world_with_endpoint(engine: &TestEngine) -> World {
    let world = World::new(engine);
    world.instance_without_node();
    world
}

/// Panics unless the instance is ACTIVE in that network, with endpoints of these kinds, all of
/// them in the store and open and no other.
fn assert_endpoints(world: &World, network_type: NetworkType, kinds: &[EndpointType]) {
    use crate::Gateway as _;
    let id = only_instance(world);
    let detail = world.detail(&id);
    assert_eq!(detail.instance.status, ObjectStatus::Active);
    assert_eq!(detail.instance.network_type, network_type);
    let shown: Vec<_> = detail.endpoints.iter().map(|e| e.endpoint_type).collect();
    assert_eq!(shown, kinds);
    let stored = world.parts.store.read(|reader| reader.endpoints_of(&id));
    assert_eq!(stored.expect("the store works"), detail.endpoints);
    let mut expected: Vec<_> = detail.endpoints.iter().map(|e| &e.endpoint_id).collect();
    let mut open = world.gateway.endpoints();
    expected.sort();
    open.sort();
    assert_eq!(open.iter().collect::<Vec<_>>(), expected);
}

struct Switching(TestEngine);

#[async_trait]
impl Scenario for Switching {
    type Workflow = SwitchNetType;
    type World = World;

    async fn set_up(&self) -> World {
        world_with_endpoint(&self.0)
    }

    async fn next_world(&self, used: World) -> World {
        used
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> SwitchNetType {
        SwitchNetType(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let request = SwitchInstanceNetTypeRequest::from_params(&params(&[
            ("InstanceId", only_instance(world).as_str()),
            ("TargetNetworkType", "VPC"),
            ("VpcId", world.tenant.vpc_id.as_str()),
            ("VSwitchId", world.tenant.vswitch_id.as_str()),
        ]));
        let call = world.call(Action::SwitchInstanceNetType);
        world
            .control
            .switch_instance_net_type(&call, &request.expect("well formed"))
            .expect("it can be switched");
        newest_task(world)
    }

    async fn assert_done(&self, world: &World) {
        let kinds = [EndpointType::Vpc, EndpointType::Internal];
        assert_endpoints(world, NetworkType::Vpc, &kinds);
        let detail = world.detail(&only_instance(world));
        assert_eq!(detail.instance.vpc_id.as_ref(), Some(&world.tenant.vpc_id));
        assert_eq!(detail.endpoints[0].expires_at, None);
        assert!(detail.endpoints[1].expires_at.is_some());
    }

    async fn assert_unwound(&self, world: &World) {
        assert_endpoints(world, NetworkType::Classic, &[EndpointType::Internal]);
        let detail = world.detail(&only_instance(world));
        assert_eq!(detail.endpoints[0].expires_at, None);
    }
}

struct Allocating(TestEngine);

/// Asks for a public endpoint.
fn allocate(world: &World) -> TaskId {
    let request = AllocateInstancePublicConnectionRequest::from_params(&params(&[(
        "InstanceId",
        only_instance(world).as_str(),
    )]));
    let call = world.call(Action::AllocateInstancePublicConnection);
    world
        .control
        .allocate_instance_public_connection(&call, &request.expect("well formed"))
        .expect("it has none");
    newest_task(world)
}

#[async_trait]
impl Scenario for Allocating {
    type Workflow = AllocatePublicConnection;
    type World = World;

    async fn set_up(&self) -> World {
        world_with_endpoint(&self.0)
    }

    async fn next_world(&self, used: World) -> World {
        used
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> AllocatePublicConnection {
        AllocatePublicConnection(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        allocate(world)
    }

    async fn assert_done(&self, world: &World) {
        let kinds = [EndpointType::Internal, EndpointType::Public];
        assert_endpoints(world, NetworkType::Classic, &kinds);
    }

    async fn assert_unwound(&self, world: &World) {
        assert_endpoints(world, NetworkType::Classic, &[EndpointType::Internal]);
    }
}

struct Releasing(TestEngine);

#[async_trait]
impl Scenario for Releasing {
    type Workflow = ReleasePublicConnection;
    type World = World;

    async fn set_up(&self) -> World {
        let world = world_with_endpoint(&self.0);
        allocate(&world);
        world.run_tasks().await;
        world
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> ReleasePublicConnection {
        ReleasePublicConnection(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let id = only_instance(world);
        let detail = world.detail(&id);
        let request = ReleaseInstancePublicConnectionRequest {
            instance_id: id,
            current_connection_string: detail.endpoints[1].connection_string.clone(),
        };
        let call = world.call(Action::ReleaseInstancePublicConnection);
        world
            .control
            .release_instance_public_connection(&call, &request)
            .expect("it has one");
        newest_task(world)
    }

    async fn assert_done(&self, world: &World) {
        assert_endpoints(world, NetworkType::Classic, &[EndpointType::Internal]);
    }

    async fn assert_unwound(&self, _world: &World) {
        panic!("a release is never unwound");
    }
}

checks!(switch_net_type: Switching {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    leaves_nothing_when_a_step_fails: check_failed_steps;
    bears_each_undo_twice: check_repeated_undos;
    is_stuck_when_an_undo_fails: check_failed_undos;
    leaves_nothing_when_cancelled: check_cancels;
    ends_well_whatever_happens: schedules;
});

checks!(allocate_public_connection: Allocating {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    leaves_nothing_when_a_step_fails: check_failed_steps;
    bears_each_undo_twice: check_repeated_undos;
    is_stuck_when_an_undo_fails: check_failed_undos;
    leaves_nothing_when_cancelled: check_cancels;
    ends_well_whatever_happens: schedules;
});

checks!(release_public_connection: Releasing {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    goes_on_when_a_step_fails: check_failed_steps;
    ends_well_whatever_happens: schedules;
});
