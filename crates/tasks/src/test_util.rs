//! The harness that repeats, fails, cancels and kills every step of a workflow.
//!
//! A test gives a [`Scenario`] and calls [`check_all`]. Whatever happens on the way, a task must
//! end either with all that it promises, or with nothing left of it.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use openpeta_store::{Store, Task};
use openpeta_types::{TaskId, TaskStatus};
use tokio::sync::Notify;

use crate::{
    HookAction, HookPoint, Hooks, RetryPolicy, StepError, StepKind, StepSpec, Tasks, TasksConfig,
    Workflow, Workflows,
};

/// How long a task may take until it ends or is stuck; beyond, the test fails.
const DEADLINE: Duration = Duration::from_secs(60);
/// Disturbances of one random run: after them the task is let through.
const DISTURBANCES: u32 = 12;
/// Seeds that [`check_all`] tries.
const SEEDS: Range<u64> = 0..16;

/// A workflow with a world to run it in.
#[async_trait]
pub trait Scenario: Send + Sync {
    /// The workflow.
    type Workflow: Workflow;
    /// Everything around one run: store, stand-ins for processes and sockets.
    type World: Send + Sync;

    /// Makes a world of its own for one run.
    async fn set_up(&self) -> Self::World;

    /// A world for the next run, after one that left nothing in `_used`: which is as good as a new
    /// one for workflows that leave nothing at all, and spares the making of another.
    async fn next_world(&self, _used: Self::World) -> Self::World {
        self.set_up().await
    }

    /// As [`next_world`](Self::next_world), after a run that succeeded in `_used`, for workflows
    /// whose success can be taken back for less.
    async fn next_world_after_success(&self, _used: Self::World) -> Self::World {
        self.set_up().await
    }

    /// The store of a world.
    fn store(&self, world: &Self::World) -> Store;

    /// The workflow, as a start of the program would make it; called after each played crash.
    fn workflow(&self, world: &Self::World) -> Self::Workflow;

    /// Writes what the call writes that starts the task, and the task.
    fn enqueue(&self, world: &Self::World) -> TaskId;

    /// Panics unless everything is there that success promises, once.
    async fn assert_done(&self, world: &Self::World);

    /// Panics unless nothing is left after a failure, or a cancel.
    async fn assert_unwound(&self, world: &Self::World);
}

/// All checks below.
pub async fn check_all(scenario: &impl Scenario) {
    check_success(scenario).await;
    check_repeated_steps(scenario).await;
    check_failed_steps(scenario).await;
    check_repeated_undos(scenario).await;
    check_failed_undos(scenario).await;
    check_cancels(scenario).await;
    check_random_schedules(scenario, SEEDS).await;
}

/// Undisturbed, the task succeeds.
pub async fn check_success<S: Scenario>(scenario: &S) {
    let run = Run::new(scenario, vec![]).await;
    run.expect_success().await;
}

/// A crash before, in or after any step: the step is run again, and the task succeeds.
pub async fn check_repeated_steps<S: Scenario>(scenario: &S) {
    let mut used = None;
    for spec in specs::<S>() {
        for point in FORWARD_POINTS {
            let world = match used.take() {
                Some(world) => scenario.next_world_after_success(world).await,
                None => scenario.set_up().await,
            };
            let run = Run::begin(scenario, world, vec![abort(spec, point)]);
            run.expect_success().await;
            used = Some(run.world);
        }
    }
}

/// As [`check_repeated_steps`], for the step of one name alone.
pub async fn check_repeated_step<S: Scenario>(scenario: &S, name: &str) {
    let mut specs = specs::<S>().iter();
    let spec = specs.find(|spec| spec.name == name).expect("a step");
    for point in FORWARD_POINTS {
        let run = Run::new(scenario, vec![abort(spec, point)]).await;
        run.expect_success().await;
    }
}

/// Any step fails for good before, in or after it: everything is undone. From a forward step on
/// the task is stuck instead, and a retry completes it.
pub async fn check_failed_steps<S: Scenario>(scenario: &S) {
    let mut worlds = Worlds::new(scenario);
    for spec in specs::<S>() {
        for point in FORWARD_POINTS {
            let run = worlds.run(vec![fail(spec, point)]).await;
            match spec.kind {
                StepKind::Undoable => {
                    run.expect_unwound(TaskStatus::Failed).await;
                    worlds.left_nothing(run);
                }
                StepKind::Forward => {
                    run.expect_stuck().await;
                    run.expect_success().await;
                }
            }
        }
    }
}

/// The last undoable step fails, and there is a crash before or after any undo: the undo is run
/// again, and nothing is left.
pub async fn check_repeated_undos<S: Scenario>(scenario: &S) {
    let Some(last) = undoable_specs::<S>().last() else {
        return;
    };
    let mut worlds = Worlds::new(scenario);
    for spec in undoable_specs::<S>() {
        for point in BACKWARD_POINTS {
            let faults = vec![fail(last, HookPoint::AfterRun), abort(spec, point)];
            let run = worlds.run(faults).await;
            run.expect_unwound(TaskStatus::Failed).await;
            worlds.left_nothing(run);
        }
    }
}

/// The last undoable step fails, and then any undo: the task is stuck, and after a retry nothing
/// is left.
pub async fn check_failed_undos<S: Scenario>(scenario: &S) {
    let Some(last) = undoable_specs::<S>().last() else {
        return;
    };
    let mut worlds = Worlds::new(scenario);
    for spec in undoable_specs::<S>() {
        for point in BACKWARD_POINTS {
            let faults = vec![fail(last, HookPoint::AfterRun), fail(spec, point)];
            let run = worlds.run(faults).await;
            run.expect_stuck().await;
            run.expect_unwound(TaskStatus::Failed).await;
            worlds.left_nothing(run);
        }
    }
}

/// A cancel in any undoable step: nothing is left.
pub async fn check_cancels<S: Scenario>(scenario: &S) {
    let mut worlds = Worlds::new(scenario);
    for spec in undoable_specs::<S>() {
        for point in [HookPoint::BeforeRun, HookPoint::AfterRecord] {
            let cancel = Fault {
                step: spec.name,
                point,
                kind: FaultKind::Cancel,
            };
            let run = worlds.run(vec![cancel]).await;
            run.expect_unwound(TaskStatus::Cancelled).await;
            worlds.left_nothing(run);
        }
    }
}

/// Crashes and failures at random: the task ends done, or with nothing left. A seed that fails
/// is named; give it alone to repeat the run.
pub async fn check_random_schedules<S: Scenario>(scenario: &S, seeds: Range<u64>) {
    for seed in seeds {
        let _names_the_seed = NameSeed(seed);
        let mut run = Run::new(scenario, vec![]).await;
        run.faults = Arc::new(Faults {
            random: Mutex::new(Some((Random(seed), DISTURBANCES))),
            ..Faults::default()
        });
        loop {
            let task = run.settle().await;
            if task.is_stuck() {
                run.retry().await;
                continue;
            }
            match task.status {
                TaskStatus::Succeeded => scenario.assert_done(&run.world).await,
                _ => scenario.assert_unwound(&run.world).await,
            }
            break;
        }
    }
}

const FORWARD_POINTS: [HookPoint; 3] = [
    HookPoint::BeforeRun,
    HookPoint::AfterRun,
    HookPoint::AfterRecord,
];
const BACKWARD_POINTS: [HookPoint; 2] = [HookPoint::BeforeUndo, HookPoint::AfterUndo];

/// Something that happens once, at a point of a step.
struct Fault {
    step: &'static str,
    point: HookPoint,
    kind: FaultKind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum FaultKind {
    Abort,
    Fail,
    Cancel,
}

fn abort(spec: &StepSpec, point: HookPoint) -> Fault {
    Fault {
        step: spec.name,
        point,
        kind: FaultKind::Abort,
    }
}

fn fail(spec: &StepSpec, point: HookPoint) -> Fault {
    Fault {
        kind: FaultKind::Fail,
        ..abort(spec, point)
    }
}

fn specs<S: Scenario>() -> &'static [StepSpec] {
    let steps = S::Workflow::steps();
    let specs: Vec<_> = steps.iter().map(|entry| *entry.spec()).collect();
    // A few hundred bytes a test: not worth the lifetimes.
    specs.leak()
}

fn undoable_specs<S: Scenario>() -> impl DoubleEndedIterator<Item = &'static StepSpec> {
    let undoable = |spec: &&StepSpec| spec.kind == StepKind::Undoable;
    specs::<S>().iter().filter(undoable)
}

/// Worlds for runs that follow each other.
struct Worlds<'s, S: Scenario> {
    scenario: &'s S,
    used: Option<S::World>,
}

impl<'s, S: Scenario> Worlds<'s, S> {
    const fn new(scenario: &'s S) -> Self {
        Self {
            scenario,
            used: None,
        }
    }

    async fn run(&mut self, planned: Vec<Fault>) -> Run<'s, S> {
        let world = match self.used.take() {
            Some(used) => self.scenario.next_world(used).await,
            None => self.scenario.set_up().await,
        };
        Run::begin(self.scenario, world, planned)
    }

    /// Keeps the world of a run that left nothing in it.
    fn left_nothing(&mut self, run: Run<'s, S>) {
        self.used = Some(run.world);
    }
}

/// One task in one world.
struct Run<'s, S: Scenario> {
    scenario: &'s S,
    world: S::World,
    task_id: TaskId,
    faults: Arc<Faults>,
}

impl<'s, S: Scenario> Run<'s, S> {
    async fn new(scenario: &'s S, planned: Vec<Fault>) -> Self {
        Self::begin(scenario, scenario.set_up().await, planned)
    }

    fn begin(scenario: &'s S, world: S::World, planned: Vec<Fault>) -> Self {
        let task_id = scenario.enqueue(&world);
        Self {
            scenario,
            world,
            task_id,
            faults: Arc::new(Faults {
                planned: Mutex::new(planned),
                ..Faults::default()
            }),
        }
    }

    /// Runs the task until it ends or is stuck; a played crash is followed by a new start.
    async fn settle(&self) -> Task {
        let settled = async {
            loop {
                let workflows = Workflows::new().with(self.scenario.workflow(&self.world));
                let config = TasksConfig {
                    hooks: Arc::clone(&self.faults) as _,
                    retry: RetryPolicy {
                        attempts: 3,
                        first_delay: Duration::from_millis(1),
                        max_delay: Duration::from_millis(2),
                    },
                    ..TasksConfig::default()
                };
                let store = self.scenario.store(&self.world);
                let tasks = self.faults.start(|| Tasks::start(store, workflows, config));
                let ended = tokio::select! {
                    task = tasks.wait(self.task_id) => Some(task),
                    () = self.faults.aborted.notified() => None,
                };
                match ended {
                    Some(task) => {
                        tasks.shutdown().await;
                        return task.expect("the task is in the store");
                    }
                    None => tasks.kill().await,
                }
            }
        };
        let settled = tokio::time::timeout(DEADLINE, settled).await;
        settled.unwrap_or_else(|_| panic!("task {} does not end", self.task_id))
    }

    /// Takes the stuck task up again, by a worker that begins nothing itself.
    async fn retry(&self) {
        let workflows = Workflows::new().with(self.scenario.workflow(&self.world));
        let store = self.scenario.store(&self.world);
        let config = TasksConfig {
            max_running: 0,
            ..TasksConfig::default()
        };
        let tasks = Tasks::start(store, workflows, config);
        let retried = tasks.retry(self.task_id);
        retried.expect("a stuck task can be retried");
        tasks.shutdown().await;
    }

    async fn expect_success(&self) {
        let task = self.settle().await;
        assert_eq!(task.status, TaskStatus::Succeeded, "{task:?}");
        self.faults.assert_all_happened();
        self.scenario.assert_done(&self.world).await;
    }

    async fn expect_unwound(&self, status: TaskStatus) {
        let task = self.settle().await;
        assert!(task.status == status && !task.is_stuck(), "{task:?}");
        self.faults.assert_all_happened();
        self.scenario.assert_unwound(&self.world).await;
    }

    /// The task is stuck; it is retried.
    async fn expect_stuck(&self) {
        let task = self.settle().await;
        assert!(task.is_stuck(), "{task:?}");
        assert!(task.cause.is_some() && task.message.is_some(), "{task:?}");
        self.retry().await;
    }
}

/// What happens in a run.
#[derive(Default)]
struct Faults {
    planned: Mutex<Vec<Fault>>,
    random: Mutex<Option<(Random, u32)>>,
    aborted: Notify,
    tasks: Mutex<Option<Tasks>>,
}

impl Faults {
    /// The lock is held while the workers start, so that a cancel planned for the first step
    /// finds them.
    fn start(&self, start: impl FnOnce() -> Tasks) -> Tasks {
        guard(&self.tasks).insert(start()).clone()
    }

    fn assert_all_happened(&self) {
        let left: HashSet<_> = guard(&self.planned)
            .iter()
            .map(|fault| fault.step)
            .collect();
        assert!(left.is_empty(), "planned faults did not happen: {left:?}");
    }

    fn happen(&self, task: TaskId, kind: FaultKind, transient: bool) -> HookAction {
        match kind {
            FaultKind::Abort => {
                self.aborted.notify_one();
                HookAction::Abort
            }
            FaultKind::Fail if transient => HookAction::Fail(StepError::transient("injected")),
            FaultKind::Fail => HookAction::Fail(StepError::permanent("It failed.", "injected")),
            FaultKind::Cancel => {
                let tasks = guard(&self.tasks);
                let tasks = tasks.as_ref().expect("a worker runs");
                tasks.cancel(task).expect("the task can be cancelled");
                HookAction::Continue
            }
        }
    }
}

impl Hooks for Faults {
    fn at(&self, task: TaskId, _workflow: &str, step: &str, point: HookPoint) -> HookAction {
        let planned = {
            let mut planned = guard(&self.planned);
            let place = planned
                .iter()
                .position(|fault| fault.step == step && fault.point == point);
            place.map(|place| planned.remove(place))
        };
        if let Some(fault) = planned {
            return self.happen(task, fault.kind, false);
        }
        let mut random = guard(&self.random);
        let Some((random, left)) = random.as_mut().filter(|(_, left)| *left > 0) else {
            return HookAction::Continue;
        };
        let (kind, transient) = match random.below(10) {
            0 | 1 => (FaultKind::Abort, false),
            2 => (FaultKind::Fail, false),
            3 => (FaultKind::Fail, true),
            _ => return HookAction::Continue,
        };
        *left -= 1;
        self.happen(task, kind, transient)
    }
}

/// Numbers that look random and follow from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// Says which seed ran when a check panics.
struct NameSeed(u64);

impl Drop for NameSeed {
    #[expect(clippy::print_stderr, reason = "the reader of a failed test needs it")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the schedule of seed {} failed", self.0);
        }
    }
}

fn guard<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
