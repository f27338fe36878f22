//! Definitions wait, and sessions go by what is told them.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use openpeta_store::MovingPartitions;
use openpeta_tasks::{Step, StepError, TaskContext};
use openpeta_types::InstanceId;

use super::{ATTEMPTS, BETWEEN, CALLED_FROM, MovesPartitions, NO_MOMENT, PATIENCE, tell};
use crate::parts::Parts;

/// How long definitions that were begun before may take.
const DEFINITIONS: Duration = Duration::from_secs(60);

/// Waits until no session goes by an older route.
async fn wait_for_all(parts: &Parts, id: &InstanceId) -> Result<(), StepError> {
    let mut why = String::new();
    for attempt in 0..ATTEMPTS {
        let called = attempt >= CALLED_FROM;
        match parts
            .gateway
            .hold(id, PATIENCE, called, Box::pin(async {}))
            .await
        {
            Ok(()) => return Ok(()),
            Err(refusal) => why = refusal,
        }
        tokio::time::sleep(BETWEEN).await;
    }
    Err(StepError::permanent(NO_MOMENT, why))
}

/// Definitions stay as they are from here on.
pub(in crate::workflows) struct Announce;

#[async_trait]
impl<W: MovesPartitions> Step<W> for Announce {
    const NAME: &'static str = "announce";
    const TITLE: &'static str = "Waiting for definitions";
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let (parts, change) = (workflow.parts(), &W::change(task.params()));
        let moving = MovingPartitions {
            // Nobody must see what is copied to nodes that are in use.
            foreign: change.used_targets().into_iter().collect(),
            is_moving: true,
        };
        let is_waited_for = !moving.foreign.is_empty();
        tell(parts, change, &moving)?;
        if is_waited_for {
            wait_for_all(parts, change.instance_id).await?;
        }
        let begun = Instant::now();
        while parts.gateway.is_defining(change.instance_id).await {
            if begun.elapsed() > DEFINITIONS {
                return Err(StepError::transient("tables are being defined"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn undo(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        tell(
            workflow.parts(),
            &W::change(task.params()),
            &MovingPartitions::default(),
        )
    }
}
