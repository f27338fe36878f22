//! What the gateway knows when a task comes to its end.

use std::sync::{Arc, mpsc};

use openpeta_tasks::{HookAction, HookPoint, Hooks, Tasks, TasksConfig};

use super::*;
use crate::Gateway as _;
use crate::{reconcilers, workflows};

/// Stops a task dead when a step is recorded as done, and tells so.
struct StopsAfter {
    step: &'static str,
    stopped: mpsc::Sender<()>,
}

impl Hooks for StopsAfter {
    fn at(&self, _task: TaskId, _workflow: &str, step: &str, point: HookPoint) -> HookAction {
        if step != self.step || point != HookPoint::AfterRecord {
            return HookAction::Continue;
        }
        let _ = self.stopped.send(());
        HookAction::Abort
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_can_log_in_before_its_row_says_active() {
    let engine = TestEngine::new().await;
    let world = world_with_instance(&engine).await;
    let id = only_instance(&world);
    let request = CreateAccountRequest::from_params(&params(&[
        ("InstanceId", id.as_str()),
        ("AccountName", "bob"),
        ("AccountPassword", "Passw0rd!"),
    ]));
    let call = world.call(Action::CreateAccount);
    let added = world
        .control
        .add_account(&call, &request.expect("well formed"));
    added.expect("it can be added");

    let (stopped, is_stopped) = mpsc::channel();
    let hooks = StopsAfter {
        step: "create-on-node",
        stopped,
    };
    let config = TasksConfig {
        hooks: Arc::new(hooks),
        ..TasksConfig::default()
    };
    let all = workflows::all(&world.parts);
    let tasks = Tasks::start(world.parts.store.clone(), all, config);
    tokio::task::block_in_place(|| is_stopped.recv().expect("the task comes to its last step"));

    let bob = AccountName::parse_new("bob").expect("valid");
    let row = world.parts.store.read(|reader| reader.account(&id, &bob));
    let row = row.expect("the store works").expect("it is written");
    assert_eq!(row.status, AccountStatus::Create);
    let route = world.gateway.route(&id).expect("a route");
    assert!(route.accounts.contains_key("bob"));
    tasks.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_create_that_is_cancelled_right_after_a_restart_closes_its_endpoint() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let id = world.order();
    // As a start does for an order that the process before was carrying out.
    reconcilers::first_round(&world.parts).expect("the store works");
    assert_eq!(world.gateway.endpoints().len(), 1);
    assert!(world.gateway.route(&id).is_some());
    let cancelled = world.control.tasks().cancel(newest_task(&world));
    cancelled.expect("nothing is done that cannot be undone");
    world.run_tasks().await;
    assert_no_instance(&world);
    assert!(world.gateway.route(&id).is_none());
}
