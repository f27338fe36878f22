//! What can be changed of an account, when, and what it is answered otherwise.

use openpeta_mysql_wire::auth;
use openpeta_rpc_api::accounts::{
    DeleteAccountRequest, DescribeAccountsRequest, ModifyAccountDescriptionRequest,
    ModifyAccountPasswordRequest, ResetAccountPasswordRequest,
};
use openpeta_rpc_api::{Action, ApiRequest, Params};
use openpeta_store::Account;
use openpeta_types::{AccountName, InstanceId, ObjectStatus};

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
