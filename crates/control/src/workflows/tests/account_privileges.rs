//! Grants and revocations: what the account had before may have been made by SQL.

use openpeta_engine::HeldPrivileges;
use openpeta_rpc_api::accounts::{GrantAccountPrivilegeRequest, RevokeAccountPrivilegeRequest};
use openpeta_types::{DbName, PrivilegeSet};

use super::*;
use crate::workflows::grant_account_privilege::GrantAccountPrivilege;
use crate::workflows::revoke_account_privilege::RevokeAccountPrivilege;

/// What the first account of [`world`] has on the database, by the node and by the store.
#[derive(Debug, PartialEq)]
struct Privileges {
    held: HeldPrivileges,
    set: Option<PrivilegeSet>,
    granted: Option<PrivilegeSet>,
}

/// No named set: what a user made by SQL.
fn custom() -> HeldPrivileges {
    let text =
        r#"{"database":{"privileges":["SELECT","REFERENCES"],"grantable":true},"objects":[]}"#;
    serde_json::from_str(text).expect("as a task keeps it")
}

fn shop() -> DbName {
    DbName::parse("shop").expect("valid")
}

fn alice() -> AccountName {
    AccountName::parse_new("alice").expect("valid")
}

/// A world with one instance, whose first account has a custom set.
async fn world(engine: &TestEngine) -> World {
    let world = world_with_instance(engine).await;
    let mut sql = sql(&world).await;
    sql.put_back_privileges(&alice(), &shop(), &custom())
        .await
        .expect("the account exists");
    sql.close().await;
    world
}

async fn sql(world: &World) -> openpeta_engine::NodeSql {
    let id = only_instance(world);
    let instance = world.parts.store.read(|reader| reader.instance(&id));
    let instance = instance.expect("the store works").expect("it exists");
    let node = instance.node_id.expect("a node");
    let sql = world.parts.engine.sql(&node).await;
    sql.expect("the node accepts")
}

async fn privileges(world: &World) -> Privileges {
    let mut sql = sql(world).await;
    let held = sql.held_privileges(&alice(), &shop()).await;
    let shown = sql.privileges(&alice()).await.expect("readable");
    sql.close().await;
    let id = only_instance(world);
    let granted = world
        .parts
        .store
        .read(|reader| reader.grants(&id, &alice()));
    let granted = granted.expect("the store works");
    assert!(granted.len() <= 1);
    Privileges {
        held: held.expect("readable"),
        set: shown
            .expect("the account exists")
            .databases
            .get("shop")
            .map(|grant| grant.set),
        granted: granted.first().map(|grant| grant.privilege),
    }
}

async fn assert_as_before(world: &World) {
    let before = Privileges {
        held: custom(),
        set: Some(PrivilegeSet::Custom),
        granted: Some(PrivilegeSet::ReadWrite),
    };
    assert_eq!(privileges(world).await, before);
}

struct Granting(TestEngine);

#[async_trait]
impl Scenario for Granting {
    type Workflow = GrantAccountPrivilege;
    type World = World;

    async fn set_up(&self) -> World {
        world(&self.0).await
    }

    async fn next_world(&self, used: World) -> World {
        used
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> GrantAccountPrivilege {
        GrantAccountPrivilege(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let id = only_instance(world);
        let request = GrantAccountPrivilegeRequest::from_params(&params(&[
            ("DBInstanceId", id.as_str()),
            ("AccountName", "alice"),
            ("DBName", "shop"),
            ("AccountPrivilege", "ReadOnly"),
        ]));
        let request = request.expect("well formed");
        let call = world.call(Action::GrantAccountPrivilege);
        let task = world.control.begin_grant(&call, &request);
        task.expect("it can be granted")
    }

    async fn assert_done(&self, world: &World) {
        let now = privileges(world).await;
        let read_only = Some(PrivilegeSet::ReadOnly);
        assert_eq!((now.set, now.granted), (read_only, read_only), "{now:?}");
    }

    async fn assert_unwound(&self, world: &World) {
        assert_as_before(world).await;
    }
}

struct Revoking(TestEngine);

#[async_trait]
impl Scenario for Revoking {
    type Workflow = RevokeAccountPrivilege;
    type World = World;

    async fn set_up(&self) -> World {
        world(&self.0).await
    }

    async fn next_world(&self, used: World) -> World {
        used
    }

    fn store(&self, world: &World) -> Store {
        world.parts.store.clone()
    }

    fn workflow(&self, world: &World) -> RevokeAccountPrivilege {
        RevokeAccountPrivilege(world.parts.clone())
    }

    fn enqueue(&self, world: &World) -> TaskId {
        let id = only_instance(world);
        let request = RevokeAccountPrivilegeRequest::from_params(&params(&[
            ("DBInstanceId", id.as_str()),
            ("AccountName", "alice"),
            ("DBName", "shop"),
        ]));
        let request = request.expect("well formed");
        let call = world.call(Action::RevokeAccountPrivilege);
        let task = world.control.begin_revoke(&call, &request);
        task.expect("it can be revoked")
    }

    async fn assert_done(&self, world: &World) {
        let nothing = Privileges {
            held: HeldPrivileges::default(),
            set: None,
            granted: None,
        };
        assert_eq!(privileges(world).await, nothing);
    }

    async fn assert_unwound(&self, world: &World) {
        assert_as_before(world).await;
    }
}

checks!(grant_account_privilege: Granting {
    succeeds: check_success;
    bears_each_step_twice: check_repeated_steps;
    puts_back_what_was_there_when_a_step_fails: check_failed_steps;
    bears_each_undo_twice: check_repeated_undos;
    is_stuck_when_an_undo_fails: check_failed_undos;
    puts_back_what_was_there_when_cancelled: check_cancels;
    ends_well_whatever_happens: schedules;
});

// The steps are those of a grant.
checks!(revoke_account_privilege: Revoking {
    succeeds: check_success;
    puts_back_what_was_there_when_a_step_fails: check_failed_steps;
    puts_back_what_was_there_when_cancelled: check_cancels;
    ends_well_whatever_happens: schedules;
});
