//! A toy service: houses with a plot, walls and tenants, all in memory, each a step.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use openpeta_store::{Store, StoreError, Tenant, Writer};
use openpeta_tasks::{
    NewTask, Step, StepEntry, StepError, TaskContext, Tasks, Workflow, forward, undoable,
};
use openpeta_types::{AccountId, InstanceId, TaskId};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

/// What exists outside of the store, each with how often it was made and not taken away.
#[derive(Default)]
pub struct Things(Mutex<BTreeMap<String, i32>>);

impl Things {
    /// Makes a thing unless it is there.
    pub fn ensure(&self, name: String) {
        self.0.lock().unwrap().insert(name, 1);
    }

    /// Makes a thing, and one more if it is there: not to be repeated.
    pub fn make_another(&self, name: String) {
        *self.0.lock().unwrap().entry(name).or_default() += 1;
    }

    pub fn remove(&self, name: &str) {
        self.0.lock().unwrap().remove(name);
    }

    pub fn all(&self) -> Vec<(String, i32)> {
        self.0.lock().unwrap().clone().into_iter().collect()
    }
}

/// What a step of a workflow under test shall do besides.
pub type Behaviour = Arc<dyn Fn(u32) -> Result<(), StepError> + Send + Sync>;

/// Builds a house: all can be undone.
#[derive(Clone)]
pub struct Build {
    pub things: Arc<Things>,
    /// Asked in the second step with the number of the call.
    pub behaviour: Behaviour,
    pub calls: Arc<Mutex<u32>>,
    /// The second step waits for a permit.
    pub permits: Arc<Semaphore>,
}

#[derive(Clone, Serialize, Deserialize)]
pub struct House {
    pub number: u64,
}

impl Build {
    pub fn new(things: &Arc<Things>) -> Self {
        Self {
            things: Arc::clone(things),
            behaviour: Arc::new(|_| Ok(())),
            calls: Arc::default(),
            permits: Arc::new(Semaphore::new(1_000)),
        }
    }
}

impl Workflow for Build {
    const NAME: &'static str = "build";
    type Params = House;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![undoable(BuyPlot), undoable(RaiseWalls), undoable(Inspect)]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        Ok(writer.insert_tenant(&tenant(task.params().number))?)
    }

    fn on_unwound(
        &self,
        _writer: &Writer<'_>,
        _task: &TaskContext<'_, Self>,
        _cancelled: bool,
    ) -> Result<(), StepError> {
        Ok(())
    }
}

pub struct BuyPlot;
#[async_trait]
impl Step<Build> for BuyPlot {
    const NAME: &'static str = "buy-plot";
    const TITLE: &'static str = "Buy the plot";
    type Output = String;

    async fn run(&self, flow: &Build, task: &TaskContext<'_, Build>) -> Result<String, StepError> {
        let plot = format!("plot {}", task.params().number);
        flow.things.ensure(plot.clone());
        Ok(plot)
    }

    async fn undo(&self, flow: &Build, task: &TaskContext<'_, Build>) -> Result<(), StepError> {
        flow.things
            .remove(&format!("plot {}", task.params().number));
        Ok(())
    }
}

pub struct RaiseWalls;
#[async_trait]
impl Step<Build> for RaiseWalls {
    const NAME: &'static str = "raise-walls";
    const TITLE: &'static str = "Raise the walls";
    const WEIGHT: u32 = 2;
    type Output = ();

    async fn run(&self, flow: &Build, task: &TaskContext<'_, Build>) -> Result<(), StepError> {
        let plot = task.output::<BuyPlot>()?;
        task.progress(0.5, "half of the walls");
        flow.permits.acquire().await.unwrap().forget();
        let call = {
            let mut calls = flow.calls.lock().unwrap();
            *calls += 1;
            *calls
        };
        (flow.behaviour)(call)?;
        flow.things.ensure(format!("walls on {plot}"));
        Ok(())
    }

    async fn undo(&self, flow: &Build, task: &TaskContext<'_, Build>) -> Result<(), StepError> {
        flow.things
            .remove(&format!("walls on plot {}", task.params().number));
        Ok(())
    }
}

pub struct Inspect;
#[async_trait]
impl Step<Build> for Inspect {
    const NAME: &'static str = "inspect";
    const TITLE: &'static str = "Inspect the house";
    type Output = ();

    async fn run(&self, flow: &Build, _: &TaskContext<'_, Build>) -> Result<(), StepError> {
        tokio::time::sleep(Duration::ZERO).await;
        assert!(flow.things.all().len() >= 2);
        Ok(())
    }
}

/// Tears a house down: a look first, then no way back.
#[derive(Clone)]
pub struct Raze {
    pub things: Arc<Things>,
    /// Why the walls stay, if they do.
    pub refusal: Option<StepError>,
}

impl Workflow for Raze {
    const NAME: &'static str = "raze";
    type Params = House;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            undoable(PutUpFence),
            forward(PullDownWalls),
            forward(SellPlot),
        ]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        let mut tenant = tenant(task.params().number);
        tenant.name = format!("gone {}", task.params().number);
        Ok(writer.update_tenant(&tenant)?)
    }

    fn on_unwound(
        &self,
        _writer: &Writer<'_>,
        _task: &TaskContext<'_, Self>,
        _cancelled: bool,
    ) -> Result<(), StepError> {
        Ok(())
    }
}

pub struct PutUpFence;
#[async_trait]
impl Step<Raze> for PutUpFence {
    const NAME: &'static str = "put-up-fence";
    const TITLE: &'static str = "Put up a fence";
    type Output = ();

    async fn run(&self, flow: &Raze, _: &TaskContext<'_, Raze>) -> Result<(), StepError> {
        flow.things.ensure("fence".into());
        Ok(())
    }

    async fn undo(&self, flow: &Raze, _: &TaskContext<'_, Raze>) -> Result<(), StepError> {
        flow.things.remove("fence");
        Ok(())
    }
}

pub struct PullDownWalls;
#[async_trait]
impl Step<Raze> for PullDownWalls {
    const NAME: &'static str = "pull-down-walls";
    const TITLE: &'static str = "Pull down the walls";
    type Output = ();

    async fn run(&self, flow: &Raze, task: &TaskContext<'_, Raze>) -> Result<(), StepError> {
        if let Some(refusal) = &flow.refusal {
            return Err(refusal.clone());
        }
        flow.things
            .remove(&format!("walls on plot {}", task.params().number));
        Ok(())
    }
}

pub struct SellPlot;
#[async_trait]
impl Step<Raze> for SellPlot {
    const NAME: &'static str = "sell-plot";
    const TITLE: &'static str = "Sell the plot";
    type Output = ();

    async fn run(&self, flow: &Raze, task: &TaskContext<'_, Raze>) -> Result<(), StepError> {
        flow.things
            .remove(&format!("plot {}", task.params().number));
        flow.things.remove("fence");
        Ok(())
    }
}

pub fn tenant(number: u64) -> Tenant {
    Tenant {
        account_id: AccountId::from_number(number),
        name: format!("house {number}"),
        balance_cents: 0,
        real_name_verified: false,
        finance: false,
        instance_quota: None,
        database_quota: None,
        account_quota: None,
        created_at: Timestamp::UNIX_EPOCH,
    }
}

pub fn new_task<W: Workflow<Params = House>>(number: u64, instance: Option<&str>) -> NewTask<W> {
    NewTask {
        account_id: AccountId::from_number(1),
        instance_id: instance.map(|id| InstanceId::parse(id).unwrap()),
        db_name: None,
        action: "BuildHouse",
        params: House { number },
        trace: None,
    }
}

pub fn enqueue<W: Workflow<Params = House>>(
    store: &Store,
    number: u64,
    instance: Option<&str>,
) -> TaskId {
    let task = store.write(|writer| Tasks::enqueue::<W>(writer, &new_task(number, instance)));
    task.unwrap()
}

pub fn tenant_names(store: &Store) -> Vec<String> {
    let tenants: Result<_, StoreError> = store.read(|reader| reader.tenants());
    tenants
        .unwrap()
        .into_iter()
        .map(|tenant| tenant.name)
        .collect()
}

pub fn open() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    (directory, store)
}

/// Keeps watch over a house: long, beside others, and to be interrupted at any time.
#[derive(Clone)]
pub struct Watch {
    pub things: Arc<Things>,
    /// The watch ends when there is one.
    pub permits: Arc<Semaphore>,
}

impl Watch {
    pub fn new() -> Self {
        Self {
            things: Arc::default(),
            permits: Arc::new(Semaphore::new(0)),
        }
    }
}

impl Workflow for Watch {
    const NAME: &'static str = "watch";
    const IS_LONG: bool = true;
    const RUNS_BESIDE_OTHERS: bool = true;
    type Params = House;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![undoable(StandGuard)]
    }

    fn on_success(
        &self,
        _writer: &Writer<'_>,
        _task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        Ok(())
    }
}

pub struct StandGuard;
#[async_trait]
impl Step<Watch> for StandGuard {
    const NAME: &'static str = "stand-guard";
    const TITLE: &'static str = "Stand guard";
    const IS_INTERRUPTIBLE: bool = true;
    const RETRY: Option<openpeta_tasks::RetryPolicy> = Some(openpeta_tasks::RetryPolicy {
        attempts: 1,
        first_delay: Duration::ZERO,
        max_delay: Duration::ZERO,
    });
    type Output = ();

    async fn run(&self, flow: &Watch, task: &TaskContext<'_, Watch>) -> Result<(), StepError> {
        flow.things
            .ensure(format!("guard {}", task.params().number));
        flow.permits.acquire().await.unwrap().forget();
        Ok(())
    }

    async fn undo(&self, flow: &Watch, task: &TaskContext<'_, Watch>) -> Result<(), StepError> {
        flow.things
            .remove(&format!("guard {}", task.params().number));
        Ok(())
    }
}
