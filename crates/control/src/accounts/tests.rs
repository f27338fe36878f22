//! What can be changed of an account, when, and what it is answered otherwise.

use openpeta_mysql_wire::auth;
use openpeta_rpc_api::accounts::{
    CreateAccountRequest, DeleteAccountRequest, DescribeAccountsRequest,
    GrantAccountPrivilegeRequest, ModifyAccountDescriptionRequest, ModifyAccountPasswordRequest,
    ResetAccountPasswordRequest, RevokeAccountPrivilegeRequest,
};
use openpeta_rpc_api::{Action, ApiRequest, Params};
use openpeta_store::{Account, TaskFilter, Writer};
use openpeta_types::{AccountName, DbName, InstanceId, LockMode, ObjectStatus, TaskStatus};

use crate::ControlError;
use crate::testing::{TestEngine, World};

const NEW: &str = "N3w-Passw0rd!";

/// A request about the first account of an instance.
fn request<R: ApiRequest>(id: &InstanceId, others: &[(&str, &str)]) -> R {
    let mut pairs = vec![("InstanceId", id.as_str()), ("AccountName", "alice")];
    pairs.retain(|(name, _)| !others.iter().any(|(other, _)| other == name));
    pairs.extend_from_slice(others);
    R::from_params(&Params::from_pairs(pairs).expect("unique names")).expect("well formed")
}

fn modify(world: &World, id: &InstanceId, others: &[(&str, &str)]) -> Result<(), ControlError> {
    let request: ModifyAccountPasswordRequest = request(id, others);
    let call = world.call(Action::ModifyAccountPassword);
    let done = world.control.modify_account_password(&call, &request);
    done.map(drop)
}

fn reset(world: &World, id: &InstanceId, name: &str) -> Result<(), ControlError> {
    let others = [("AccountName", name), ("NewPassword", NEW)];
    let request: ResetAccountPasswordRequest = request(id, &others);
    let call = world.call(Action::ResetAccountPassword);
    let done = world.control.reset_account_password(&call, &request);
    done.map(drop)
}

fn describe(world: &World, id: &InstanceId, text: &str) -> Result<(), ControlError> {
    let request: ModifyAccountDescriptionRequest = request(id, &[("AccountDescription", text)]);
    let call = world.call(Action::ModifyAccountDescription);
    let done = world.control.modify_account_description(&call, &request);
    done.map(drop)
}

fn grant(world: &World, id: &InstanceId, others: &[(&str, &str)]) -> Result<(), ControlError> {
    let base = [("DBName", "shop"), ("AccountPrivilege", "ReadOnly")];
    let mut all: Vec<_> = others.to_vec();
    all.extend(
        base.iter()
            .filter(|(name, _)| !others.iter().any(|(other, _)| other == name)),
    );
    let request: GrantAccountPrivilegeRequest = request(id, &all);
    let call = world.call(Action::GrantAccountPrivilege);
    world.control.begin_grant(&call, &request).map(drop)
}

fn revoke(world: &World, id: &InstanceId, name: &str, db_name: &str) -> Result<(), ControlError> {
    let others = [("AccountName", name), ("DBName", db_name)];
    let request: RevokeAccountPrivilegeRequest = request(id, &others);
    let call = world.call(Action::RevokeAccountPrivilege);
    world.control.begin_revoke(&call, &request).map(drop)
}

fn drop_account(world: &World, id: &InstanceId) -> Result<(), ControlError> {
    let request: DeleteAccountRequest = request(id, &[]);
    let call = world.call(Action::DeleteAccount);
    world.control.drop_account(&call, &request).map(drop)
}

fn alice(world: &World, id: &InstanceId) -> Account {
    let name = AccountName::parse_new("alice").expect("valid");
    let account = world.parts.store.read(|reader| reader.account(id, &name));
    account.expect("the store works").expect("it exists")
}

#[track_caller]
fn assert_refused(result: Result<(), ControlError>, code: &str) {
    assert_eq!(result.expect_err(code).api.code, code);
}

/// An instance that is ACTIVE although nothing runs: these calls touch no node.
async fn active(world: &World) -> InstanceId {
    let id = world.order();
    world.run_tasks().await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_changes_for_the_gateway_alone() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = active(&world).await;
    let before = alice(&world, &id);
    let in_gateway = |world: &World| {
        let route = world.gateway.route(&id).expect("clients are let in");
        route.accounts["alice"].clone()
    };

    for wrong in ["x", "passw0rd!", "Passw0rd! ", NEW] {
        let result = modify(&world, &id, &[("OldPassword", wrong), ("NewPassword", NEW)]);
        assert_refused(result, "InvalidOldPassword.Malformed");
    }
    assert!(alice(&world, &id).login == before.login);

    let right = [("OldPassword", "Passw0rd!"), ("NewPassword", NEW)];
    modify(&world, &id, &right).expect("the old one is right");
    let after = alice(&world, &id).login;
    assert_eq!(after.native, auth::native::verifier(NEW.as_bytes()));
    assert_eq!(after.sha2, auth::sha2::verifier(NEW.as_bytes()));
    assert!(after.backend_password == before.login.backend_password);
    assert!(in_gateway(&world) == after);

    // Twice: the old one is another now.
    assert_refused(modify(&world, &id, &right), "InvalidOldPassword.Malformed");
    reset(&world, &id, "alice").expect("the same one again");
    assert_refused(reset(&world, &id, "nobody"), "InvalidAccountName.NotFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_below_an_object_changes_that_is_not_active() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = world.order();
    let right = [("OldPassword", "Passw0rd!"), ("NewPassword", NEW)];
    let status = "OperationDenied.DBInstanceStatus";
    assert_refused(modify(&world, &id, &right), status);
    assert_refused(reset(&world, &id, "alice"), status);
    assert_refused(describe(&world, &id, "orders"), status);

    world.run_tasks().await;
    describe(&world, &id, "orders").expect("it is ACTIVE");
    let request = DescribeAccountsRequest {
        instance_id: id.clone(),
    };
    let caller = world.caller();
    let answer = world.control.describe_accounts(&caller, &request).await;
    let answer = answer.expect("it is ours");
    assert_eq!(answer.accounts[0].account_description, "orders");

    drop_account(&world, &id).expect("it is ACTIVE");
    let status = "OperationDenied.AccountStatus";
    assert_refused(modify(&world, &id, &right), status);
    assert_refused(reset(&world, &id, "alice"), status);
    assert_refused(describe(&world, &id, "orders"), status);
    assert_refused(drop_account(&world, &id), status);
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_are_for_active_normal_accounts_on_active_databases() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = world.order();
    assert_refused(grant(&world, &id, &[]), "OperationDenied.DBInstanceStatus");
    world.run_tasks().await;
    let boss = [
        ("AccountName", "boss"),
        ("AccountPassword", "Passw0rd!"),
        ("AccountType", "Super"),
    ];
    let boss: CreateAccountRequest = request(&id, &boss);
    let call = world.call(Action::CreateAccount);
    world
        .control
        .add_account(&call, &boss)
        .expect("there is room");
    assert_refused(
        grant(&world, &id, &[("AccountName", "boss")]),
        "OperationDenied.AccountStatus",
    );
    world.run_tasks().await;

    for name in ["boss", "nobody"] {
        let code = match name {
            "boss" => "OperationDenied.AccountType",
            _ => "InvalidAccountName.NotFound",
        };
        assert_refused(grant(&world, &id, &[("AccountName", name)]), code);
        assert_refused(revoke(&world, &id, name, "shop"), code);
    }
    for names in ["none", "shop,none"] {
        let code = "InvalidDBName.NotFound";
        assert_refused(grant(&world, &id, &[("DBName", names)]), code);
        assert_refused(revoke(&world, &id, "alice", names), code);
    }

    let db_name = DbName::parse("shop").expect("valid");
    let set_database = |status| {
        let set = |writer: &Writer<'_>| writer.set_database_status(&id, &db_name, status);
        world.parts.store.write(set).expect("it exists");
    };
    set_database(ObjectStatus::Delete);
    assert_refused(grant(&world, &id, &[]), "OperationDenied.DBStatus");
    assert_refused(
        revoke(&world, &id, "alice", "shop"),
        "OperationDenied.DBStatus",
    );
    set_database(ObjectStatus::Active);
    let set_lock = |mode| {
        let lock = |writer: &Writer<'_>| writer.set_instance_lock(&id, mode, None);
        world.parts.store.write(lock).expect("it exists");
    };
    set_lock(LockMode::LockByDiskQuota);
    assert_refused(grant(&world, &id, &[]), "OperationDenied.LockMode");
    assert_refused(
        revoke(&world, &id, "alice", "shop"),
        "OperationDenied.LockMode",
    );
    set_lock(LockMode::Unlock);
    grant(&world, &id, &[]).expect("all is ACTIVE");

    // The delete waits for the grant; nothing follows it.
    drop_account(&world, &id).expect("the account is ACTIVE");
    assert_refused(grant(&world, &id, &[]), "OperationDenied.AccountStatus");
    assert_refused(
        revoke(&world, &id, "alice", "shop"),
        "OperationDenied.AccountStatus",
    );
    world.run_tasks().await;
    let tasks = world.parts.store.read(|reader| {
        let all = TaskFilter::default();
        reader.task_page(&all, 0, 10)
    });
    let (_, tasks) = tasks.expect("the store works");
    assert!(
        tasks
            .iter()
            .all(|task| task.status == TaskStatus::Succeeded),
        "{tasks:?}"
    );
    assert_refused(grant(&world, &id, &[]), "InvalidAccountName.NotFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_that_a_super_account_makes_by_sql_become_its_own() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = active(&world).await;
    let boss = [
        ("AccountName", "boss"),
        ("AccountPassword", "Passw0rd!"),
        ("AccountType", "Super"),
    ];
    let call = world.call(Action::CreateAccount);
    let boss: CreateAccountRequest = request(&id, &boss);
    world
        .control
        .add_account(&call, &boss)
        .expect("there is room");
    world.run_tasks().await;
    let instance = world.parts.store.read(|reader| reader.instance(&id));
    let instance = instance.expect("the store works").expect("it exists");
    let node = instance.node_id.clone().expect("a node");
    let mut sql = engine.engine.sql(&node).await.expect("the node accepts");
    let name = AccountName::parse_new("boss").expect("valid");
    let by_sql = DbName::parse("by_sql").expect("valid");
    sql.create_database(&by_sql).await.expect("it can be made");
    // As the server leaves it when the account makes the database itself.
    sql.set_privileges(&name, &by_sql, None)
        .await
        .expect("the account exists");

    world
        .parts
        .restore_accounts(&instance)
        .await
        .expect("the node accepts");
    let held = sql
        .privileges(&name)
        .await
        .expect("readable")
        .expect("it exists");
    assert!(held.databases.contains_key("by_sql"), "{held:?}");
    sql.close().await;
}

#[tokio::test]
async fn user_info_tells_what_the_tenant_has() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = world.order();
    world.order();
    let mut tenant = world
        .parts
        .store
        .read(|reader| reader.tenant(world.tenant.account_id))
        .expect("the store works")
        .expect("it exists");
    tenant.balance_cents = -1;
    tenant.finance = true;
    let written = world.parts.store.write(|writer| {
        writer.set_instance_status(&id, ObjectStatus::Delete)?;
        writer.update_tenant(&tenant)
    });
    written.expect("the store works");

    let info = world.control.describe_user_info(&world.caller());
    let info = info.expect("the tenant may");
    assert!(info.is_authentication && info.is_finance);
    assert_eq!(info.balance_amount, -1);
    assert_eq!(info.instances, 2, "until it is deleted it is there");
}
