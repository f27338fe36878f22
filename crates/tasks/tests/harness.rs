//! The harness: right workflows pass it, wrong ones do not.

mod common;

use std::sync::Arc;

use async_trait::async_trait;
use common::*;
use openpeta_store::{Store, Writer};
use openpeta_tasks::test_util::{
    Scenario, check_all, check_failed_steps, check_random_schedules, check_repeated_steps,
};
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, undoable};
use openpeta_types::TaskId;

struct World {
    store: Store,
    things: Arc<Things>,
    _directory: tempfile::TempDir,
}

fn world() -> World {
    let (directory, store) = open();
    World {
        store,
        things: Arc::default(),
        _directory: directory,
    }
}

struct Building;
#[async_trait]
impl Scenario for Building {
    type Workflow = Build;
    type World = World;

    async fn set_up(&self) -> World {
        world()
    }

    fn store(&self, world: &World) -> Store {
        world.store.clone()
    }

    fn workflow(&self, world: &World) -> Build {
        Build::new(&world.things)
    }

    fn enqueue(&self, world: &World) -> TaskId {
        enqueue::<Build>(&world.store, 7, Some("pd-1"))
    }

    async fn assert_done(&self, world: &World) {
        let expected = [("plot 7".to_owned(), 1), ("walls on plot 7".to_owned(), 1)];
        assert_eq!(world.things.all(), expected);
        assert_eq!(tenant_names(&world.store), ["house 7"]);
    }

    async fn assert_unwound(&self, world: &World) {
        assert_eq!(world.things.all(), []);
        assert!(tenant_names(&world.store).is_empty());
    }
}

#[tokio::test]
async fn an_undoable_workflow_is_done_or_leaves_nothing() {
    check_all(&Building).await;
}

#[tokio::test]
async fn random_schedules_end_done_or_with_nothing_left() {
    check_random_schedules(&Building, 1_000..1_040).await;
}

struct Razing;
#[async_trait]
impl Scenario for Razing {
    type Workflow = Raze;
    type World = World;

    async fn set_up(&self) -> World {
        let world = world();
        world.things.ensure("plot 7".into());
        world.things.ensure("walls on plot 7".into());
        world
            .store
            .write(|writer| writer.insert_tenant(&tenant(7)))
            .unwrap();
        world
    }

    fn store(&self, world: &World) -> Store {
        world.store.clone()
    }

    fn workflow(&self, world: &World) -> Raze {
        Raze {
            things: Arc::clone(&world.things),
            refusal: None,
        }
    }

    fn enqueue(&self, world: &World) -> TaskId {
        enqueue::<Raze>(&world.store, 7, Some("pd-1"))
    }

    async fn assert_done(&self, world: &World) {
        assert_eq!(world.things.all(), []);
        assert_eq!(tenant_names(&world.store), ["gone 7"]);
    }

    async fn assert_unwound(&self, world: &World) {
        assert_eq!(world.things.all().len(), 2);
        assert_eq!(tenant_names(&world.store), ["house 7"]);
    }
}

#[tokio::test]
async fn a_workflow_with_forward_steps_is_completed_or_was_never_begun() {
    check_all(&Razing).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn threads_make_no_difference() {
    check_random_schedules(&Razing, 0..8).await;
}

/// Two ways to write a step wrongly.
struct Wrong {
    things: Arc<Things>,
}

impl Workflow for Wrong {
    const NAME: &'static str = "wrong";
    type Params = House;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![undoable(MakesAnother)]
    }

    fn on_success(&self, _: &Writer<'_>, _: &TaskContext<'_, Self>) -> Result<(), StepError> {
        Ok(())
    }

    fn on_unwound(
        &self,
        _: &Writer<'_>,
        _: &TaskContext<'_, Self>,
        _: bool,
    ) -> Result<(), StepError> {
        Ok(())
    }
}

struct MakesAnother;
#[async_trait]
impl Step<Wrong> for MakesAnother {
    const NAME: &'static str = "makes-another";
    const TITLE: &'static str = "Make another";
    type Output = ();

    async fn run(&self, flow: &Wrong, _: &TaskContext<'_, Wrong>) -> Result<(), StepError> {
        flow.things.make_another("thing".into());
        Ok(())
    }
}

struct Wronging;
#[async_trait]
impl Scenario for Wronging {
    type Workflow = Wrong;
    type World = World;

    async fn set_up(&self) -> World {
        world()
    }

    fn store(&self, world: &World) -> Store {
        world.store.clone()
    }

    fn workflow(&self, world: &World) -> Wrong {
        Wrong {
            things: Arc::clone(&world.things),
        }
    }

    fn enqueue(&self, world: &World) -> TaskId {
        enqueue::<Wrong>(&world.store, 1, None)
    }

    async fn assert_done(&self, world: &World) {
        assert_eq!(world.things.all(), [("thing".to_owned(), 1)], "not once");
    }

    async fn assert_unwound(&self, world: &World) {
        assert_eq!(world.things.all(), [], "something is left");
    }
}

#[tokio::test]
#[should_panic(expected = "not once")]
async fn a_step_that_does_not_bear_repetition_is_found() {
    check_repeated_steps(&Wronging).await;
}

#[tokio::test]
#[should_panic(expected = "something is left")]
async fn a_step_without_its_undo_is_found() {
    check_failed_steps(&Wronging).await;
}
