//! The worker: order, limits, retries, cancel, what is shown meanwhile.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use common::*;
use openpeta_store::{StepState, Store, Task, TaskPhase, Topic, Writer};
use openpeta_tasks::{
    NotCancellable, RetryPolicy, Step, StepEntry, StepError, TaskContext, TaskError, Tasks,
    TasksConfig, Workflow, Workflows, forward,
};
use openpeta_types::{TaskId, TaskStatus};

fn config() -> TasksConfig {
    TasksConfig {
        retry: RetryPolicy {
            attempts: 3,
            first_delay: Duration::from_millis(1),
            max_delay: Duration::from_millis(5),
        },
        ..TasksConfig::default()
    }
}

fn start(store: &Store, build: &Build) -> Tasks {
    Tasks::start(
        store.clone(),
        Workflows::new().with(build.clone()),
        config(),
    )
}

fn task(store: &Store, task_id: TaskId) -> Task {
    store.read(|reader| reader.task(task_id)).unwrap().unwrap()
}

/// Waits until a task satisfies a condition.
async fn until(store: &Store, task_id: TaskId, condition: impl Fn(&Task) -> bool) -> Task {
    let mut changes = store.watch(Topic::Tasks);
    let met = async {
        loop {
            changes.borrow_and_update();
            let task = task(store, task_id);
            if condition(&task) {
                return task;
            }
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), met)
        .await
        .expect("the condition is met")
}

#[tokio::test]
async fn a_task_that_was_added_without_a_worker_is_taken_up_by_the_next_one() {
    let (_directory, store) = open();
    let task_id = enqueue::<Build>(&store, 1, None);
    let before = task(&store, task_id);
    assert_eq!(
        (before.status, before.started_at),
        (TaskStatus::Pending, None)
    );
    let tasks = start(&store, &Build::new(&Arc::default()));
    let ended = tasks.wait(task_id).await.unwrap();
    assert_eq!(
        (ended.status, ended.phase, ended.progress),
        (TaskStatus::Succeeded, TaskPhase::Done, 100)
    );
    assert!(ended.finish_at >= ended.started_at);
    let steps = store.read(|reader| reader.task_steps(task_id)).unwrap();
    assert!(steps.iter().all(|step| step.state == StepState::Done));
    assert!(matches!(
        tasks.wait(TaskId::from_number(1)).await,
        Err(TaskError::NotFound(_))
    ));
}

#[tokio::test]
async fn transient_failures_are_repeated_up_to_the_limit() {
    let (_directory, store) = open();
    let mut build = Build::new(&Arc::default());
    build.behaviour = Arc::new(|call| match call {
        1 | 2 => Err(StepError::transient("not yet")),
        _ => Ok(()),
    });
    let tasks = start(&store, &build);
    let ended = tasks.wait(enqueue::<Build>(&store, 1, None)).await.unwrap();
    assert_eq!(ended.status, TaskStatus::Succeeded);
    let steps = store
        .read(|reader| reader.task_steps(ended.task_id))
        .unwrap();
    assert_eq!(steps[1].attempts, 3);
    assert_eq!(steps[1].error, None);
    tasks.shutdown().await;

    build.behaviour = Arc::new(|_| Err(StepError::transient("never")));
    let tasks = start(&store, &build);
    let ended = tasks.wait(enqueue::<Build>(&store, 2, None)).await.unwrap();
    assert_eq!(ended.status, TaskStatus::Failed);
    assert_eq!(
        ended.message.as_deref(),
        Some("Raise the walls did not succeed.")
    );
    assert_eq!(ended.cause.as_deref(), Some("step raise-walls: never"));
    assert!(!ended.is_stuck());
}

#[tokio::test]
async fn a_permanent_failure_or_panic_is_not_repeated_and_told_apart_by_reader() {
    let (_directory, store) = open();
    let mut build = Build::new(&Arc::default());
    build.behaviour = Arc::new(|call| {
        assert_ne!(call, 2, "a bug");
        Err(StepError::permanent("No bricks.", "brick host: 500"))
    });
    let tasks = start(&store, &build);
    let first = tasks.wait(enqueue::<Build>(&store, 1, None)).await.unwrap();
    assert_eq!(first.message.as_deref(), Some("No bricks."));
    assert_eq!(
        first.cause.as_deref(),
        Some("step raise-walls: brick host: 500")
    );
    let second = tasks.wait(enqueue::<Build>(&store, 2, None)).await.unwrap();
    assert_eq!(second.message.as_deref(), Some("Internal error."));
    assert!(second.cause.unwrap().contains("a bug"));
    assert_eq!(*build.calls.lock().unwrap(), 2);
    assert_eq!(build.things.all(), []);
}

#[tokio::test]
async fn tasks_of_an_instance_run_in_order_and_others_beside_them() {
    let (_directory, store) = open();
    let mut build = Build::new(&Arc::default());
    build.permits = Arc::new(tokio::sync::Semaphore::new(0));
    let tasks = start(&store, &build);
    let first = enqueue::<Build>(&store, 1, Some("pd-1"));
    let second = enqueue::<Build>(&store, 2, Some("pd-1"));
    let other = enqueue::<Build>(&store, 3, Some("pd-2"));
    let at_walls = |task: &Task| task.current_step.as_deref() == Some("Raise the walls");
    until(&store, first, at_walls).await;
    until(&store, other, at_walls).await;
    assert_eq!(task(&store, second).status, TaskStatus::Pending);
    build.permits.add_permits(3);
    let (first, second) = (
        tasks.wait(first).await.unwrap(),
        tasks.wait(second).await.unwrap(),
    );
    assert!(second.started_at >= first.finish_at);
}

#[tokio::test]
async fn no_more_tasks_run_than_may() {
    let (_directory, store) = open();
    let mut build = Build::new(&Arc::default());
    build.permits = Arc::new(tokio::sync::Semaphore::new(0));
    let limited = TasksConfig {
        max_running: 2,
        ..config()
    };
    let tasks = Tasks::start(store.clone(), Workflows::new().with(build.clone()), limited);
    let ids: Vec<_> = (1..=4)
        .map(|number| enqueue::<Build>(&store, number, None))
        .collect();
    let at_walls = |task: &Task| task.current_step.as_deref() == Some("Raise the walls");
    until(&store, ids[0], at_walls).await;
    until(&store, ids[1], at_walls).await;
    assert_eq!(task(&store, ids[2]).status, TaskStatus::Pending);
    assert_eq!(task(&store, ids[3]).status, TaskStatus::Pending);
    build.permits.add_permits(4);
    for id in ids {
        assert_eq!(tasks.wait(id).await.unwrap().status, TaskStatus::Succeeded);
    }
}

#[tokio::test]
async fn progress_follows_weights_and_reports_and_the_end_is_expected_from_experience() {
    let (_directory, store) = open();
    let mut build = Build::new(&Arc::default());
    let tasks = start(&store, &build);
    let first = tasks.wait(enqueue::<Build>(&store, 1, None)).await.unwrap();
    assert_eq!(first.expected_finish_at, None);
    tasks.shutdown().await;

    build.permits = Arc::new(tokio::sync::Semaphore::new(0));
    let tasks = start(&store, &build);
    let second = enqueue::<Build>(&store, 2, None);
    let running = until(&store, second, |task| {
        task.current_step.as_deref() == Some("Raise the walls")
    })
    .await;
    assert!(running.expected_finish_at > running.started_at);
    // One of four parts is done when the walls are begun, half of two more when it says so; a
    // report wakes nobody, so look until it is there.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while task(&store, second).message.as_deref() != Some("half of the walls") {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    assert_eq!(task(&store, second).progress, 50);
    build.permits.add_permits(1);
    tasks.wait(second).await.unwrap();
}

/// Nothing of it can be undone.
struct Burn;

impl Workflow for Burn {
    const NAME: &'static str = "burn";
    type Params = House;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![forward(SetFire)]
    }

    fn on_success(&self, _: &Writer<'_>, _: &TaskContext<'_, Self>) -> Result<(), StepError> {
        Ok(())
    }
}

struct SetFire;

#[async_trait]
impl Step<Burn> for SetFire {
    const NAME: &'static str = "set-fire";
    const TITLE: &'static str = "Set fire to it";
    type Output = ();

    async fn run(&self, _: &Burn, _: &TaskContext<'_, Burn>) -> Result<(), StepError> {
        Ok(())
    }
}

/// What was decided with such a task is written when it is added, and stays.
#[tokio::test]
async fn what_cannot_be_undone_cannot_be_cancelled_even_before_it_begins() {
    let (_directory, store) = open();
    let tasks = Tasks::start(store.clone(), Workflows::new().with(Burn), config());
    tasks.shutdown().await;
    let burn = enqueue::<Burn>(&store, 1, None);
    let refused = tasks.cancel(burn).expect_err("it cannot be undone");
    assert!(
        matches!(
            refused,
            TaskError::NotCancellable {
                reason: NotCancellable::Irrevocable,
                ..
            }
        ),
        "{refused}"
    );
    assert!(!task(&store, burn).cancel_requested);
    let tasks = Tasks::start(store.clone(), Workflows::new().with(Burn), config());
    let done = tasks.wait(burn).await.expect("it ends");
    assert_eq!(done.phase, TaskPhase::Done);
}

#[tokio::test]
async fn what_cannot_be_cancelled_or_retried_says_why() {
    let (_directory, store) = open();
    let things = Arc::new(Things::default());
    let raze = Raze {
        things,
        refusal: None,
    };
    let workflows = || Workflows::new().with(raze.clone());
    let tasks = Tasks::start(store.clone(), workflows(), config());
    // The end of the task writes a tenant that does not exist: stuck behind forward steps.
    let stuck = tasks.wait(enqueue::<Raze>(&store, 9, None)).await.unwrap();
    assert!(stuck.is_stuck(), "{stuck:?}");
    assert!(stuck.cause.as_deref().unwrap().contains("end of the task"));
    let reason = |task_id| match tasks.cancel(task_id) {
        Err(TaskError::NotCancellable { reason, .. }) => reason,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(stuck.task_id), NotCancellable::Ended);
    assert!(matches!(
        tasks.cancel(TaskId::from_number(1)),
        Err(TaskError::NotFound(_))
    ));

    // Taken up again but not yet run, it is past its forward steps.
    tasks.shutdown().await;
    tasks.retry(stuck.task_id).unwrap();
    assert_eq!(reason(stuck.task_id), NotCancellable::PastForwardStep);
    assert!(matches!(
        tasks.retry(stuck.task_id),
        Err(TaskError::NotStuck(_))
    ));
    store
        .write(|writer| writer.insert_tenant(&tenant(9)))
        .unwrap();
    let tasks = Tasks::start(store.clone(), workflows(), config());
    assert_eq!(
        tasks.wait(stuck.task_id).await.unwrap().status,
        TaskStatus::Succeeded
    );
}

#[tokio::test]
async fn a_forward_step_that_was_refused_leaves_the_way_back_open() {
    let (_directory, store) = open();
    let things = Arc::new(Things::default());
    things.ensure("walls on plot 1".to_owned());
    let raze = Raze {
        things: Arc::clone(&things),
        refusal: Some(StepError::refused("The house is listed.", "list 7")),
    };
    let tasks = Tasks::start(store.clone(), Workflows::new().with(raze), config());
    let ended = tasks.wait(enqueue::<Raze>(&store, 1, None)).await.unwrap();
    assert_eq!(
        (ended.status, ended.phase),
        (TaskStatus::Failed, TaskPhase::Done)
    );
    assert_eq!(ended.message.as_deref(), Some("The house is listed."));
    assert_eq!(ended.cause.as_deref(), Some("step pull-down-walls: list 7"));
    assert_eq!(things.all(), [("walls on plot 1".to_owned(), 1)]);
    let steps = store.read(|reader| reader.task_steps(ended.task_id));
    let states: Vec<_> = steps.unwrap().iter().map(|step| step.state).collect();
    use StepState::{Pending, Undone};
    assert_eq!(states, [Undone, Undone, Pending]);
}

#[tokio::test]
async fn a_cancel_cuts_waiting_short_and_a_waiting_task_never_begins() {
    let (_directory, store) = open();
    let mut build = Build::new(&Arc::default());
    build.behaviour = Arc::new(|_| Err(StepError::transient("not yet")));
    let patient = TasksConfig {
        retry: RetryPolicy {
            attempts: 5,
            first_delay: Duration::from_secs(3_600),
            max_delay: Duration::from_secs(3_600),
        },
        ..config()
    };
    let tasks = Tasks::start(store.clone(), Workflows::new().with(build.clone()), patient);
    let first = enqueue::<Build>(&store, 1, Some("pd-1"));
    let second = enqueue::<Build>(&store, 2, Some("pd-1"));
    let failed_once = || {
        let steps = store.read(|reader| reader.task_steps(first)).unwrap();
        steps[1].error.is_some()
    };
    let mut changes = store.watch(Topic::Tasks);
    until(&store, first, |task| {
        task.current_step.as_deref() == Some("Raise the walls")
    })
    .await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !failed_once() {
        assert!(tokio::time::Instant::now() < deadline);
        tokio::task::yield_now().await;
    }
    changes.borrow_and_update();
    tasks.cancel(second).unwrap();
    tasks.cancel(first).unwrap();
    let (first, second) = (
        tasks.wait(first).await.unwrap(),
        tasks.wait(second).await.unwrap(),
    );
    assert_eq!(
        (first.status, second.status),
        (TaskStatus::Cancelled, TaskStatus::Cancelled)
    );
    assert_eq!(second.started_at, None);
    assert_eq!(build.things.all(), []);
}

#[tokio::test]
async fn shutdown_stops_between_steps_and_the_next_start_goes_on() {
    let (_directory, store) = open();
    let mut build = Build::new(&Arc::default());
    build.permits = Arc::new(tokio::sync::Semaphore::new(0));
    let tasks = start(&store, &build);
    let task_id = enqueue::<Build>(&store, 1, None);
    until(&store, task_id, |task| {
        task.current_step.as_deref() == Some("Raise the walls")
    })
    .await;
    let stopping = tokio::spawn({
        let tasks = tasks.clone();
        async move { tasks.shutdown().await }
    });
    tokio::task::yield_now().await;
    build.permits.add_permits(1);
    stopping.await.unwrap();
    let steps = store.read(|reader| reader.task_steps(task_id)).unwrap();
    let states: Vec<_> = steps.iter().map(|step| step.state).collect();
    assert_eq!(
        states,
        [StepState::Done, StepState::Done, StepState::Pending]
    );
    let tasks = start(&store, &build);
    assert_eq!(
        tasks.wait(task_id).await.unwrap().status,
        TaskStatus::Succeeded
    );
    assert_eq!(*build.calls.lock().unwrap(), 1);
}

#[tokio::test]
async fn tasks_of_another_version_are_stuck_not_lost() {
    let (_directory, store) = open();
    let unknown = enqueue::<Raze>(&store, 1, None);
    let changed = store
        .write(|writer| {
            writer.insert_task(&openpeta_store::NewTask {
                account_id: openpeta_types::AccountId::from_number(1),
                instance_id: None,
                db_name: None,
                action: "BuildHouse",
                workflow: "build",
                params: openpeta_types::Secret::new("{\"number\":1}"),
                steps: vec!["buy-plot", "dig-cellar"],
                begin_at: jiff::Timestamp::now(),
                trace: None,
            })
        })
        .unwrap();
    let things = Arc::new(Things::default());
    let tasks = start(&store, &Build::new(&things));
    for task_id in [unknown, changed] {
        let stuck = tasks.wait(task_id).await.unwrap();
        assert!(stuck.is_stuck(), "{stuck:?}");
    }
    assert_eq!(things.all(), []);
    tasks.shutdown().await;
    store
        .write(|writer| writer.insert_tenant(&tenant(1)))
        .unwrap();
    let workflows = Workflows::new().with(Raze {
        things,
        refusal: None,
    });
    let tasks = Tasks::start(store.clone(), workflows, config());
    tasks.retry(unknown).unwrap();
    assert_eq!(
        tasks.wait(unknown).await.unwrap().status,
        TaskStatus::Succeeded
    );
}

#[tokio::test]
async fn a_rolled_back_call_adds_no_task() {
    let (_directory, store) = open();
    let added = Mutex::new(None);
    let failed = store.write(|writer| {
        *added.lock().unwrap() = Some(Tasks::enqueue::<Build>(writer, &new_task(1, None))?);
        Err::<(), _>(openpeta_store::StoreError::ReadOnly)
    });
    assert!(failed.is_err());
    let task_id = added.lock().unwrap().unwrap();
    assert!(store.read(|reader| reader.task(task_id)).unwrap().is_none());
}

fn on_guard(task: &Task) -> bool {
    task.current_step.as_deref() == Some("Stand guard")
}

#[tokio::test]
async fn long_tasks_keep_nobody_waiting() {
    let (_directory, store) = open();
    let (build, watch) = (Build::new(&Arc::default()), Watch::new());
    let limited = TasksConfig {
        max_running: 1,
        max_long: 2,
        ..config()
    };
    let workflows = Workflows::new().with(build).with(watch.clone());
    let tasks = Tasks::start(store.clone(), workflows, limited);
    let watches: Vec<_> = (1..=3)
        .map(|number| enqueue::<Watch>(&store, number, Some("pd-1")))
        .collect();
    until(&store, watches[0], on_guard).await;
    until(&store, watches[1], on_guard).await;
    assert_eq!(task(&store, watches[2]).status, TaskStatus::Pending);
    let built = enqueue::<Build>(&store, 4, Some("pd-1"));
    let built = tasks.wait(built).await.unwrap();
    assert_eq!(built.status, TaskStatus::Succeeded);
    watch.permits.add_permits(3);
    for id in watches {
        assert_eq!(tasks.wait(id).await.unwrap().status, TaskStatus::Succeeded);
    }
}

#[tokio::test]
async fn a_step_that_can_be_interrupted_holds_up_neither_a_stop_nor_a_cancel() {
    let (_directory, store) = open();
    let watch = Watch::new();
    let start = || {
        let workflows = Workflows::new().with(watch.clone());
        Tasks::start(store.clone(), workflows, config())
    };
    let tasks = start();
    let id = enqueue::<Watch>(&store, 1, None);
    until(&store, id, on_guard).await;
    tasks.shutdown().await;
    let steps = store.read(|reader| reader.task_steps(id)).unwrap();
    assert_eq!(steps[0].state, StepState::Running);

    let tasks = start();
    until(&store, id, on_guard).await;
    tasks.cancel(id).unwrap();
    let ended = tasks.wait(id).await.unwrap();
    assert_eq!(ended.status, TaskStatus::Cancelled);
    assert_eq!(watch.things.all(), []);
}
