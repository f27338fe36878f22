//! Partitions go over in one moment.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use openpeta_engine::Mover;
use openpeta_store::{MovingPartitions, NodeState};
use openpeta_tasks::{Step, StepError, TaskContext};

use super::copy::{is_near, movers};
use super::{ATTEMPTS, BETWEEN, CALLED_FROM, Change, MovesPartitions, NO_MOMENT, PATIENCE};
use crate::parts::Parts;

/// How long the rest may take while sessions wait.
const REST: Duration = Duration::from_secs(3);
/// How long it may take to come near to what is written.
const BEHIND: Duration = Duration::from_secs(60);

/// Partitions go over to other nodes in one moment.
pub(in crate::workflows) struct CutOver;

#[async_trait]
impl<W: MovesPartitions> Step<W> for CutOver {
    const NAME: &'static str = "cut-over";
    const TITLE: &'static str = "Letting clients use the nodes";
    const WEIGHT: u32 = 2;
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let (parts, change) = (workflow.parts(), &W::change(task.params()));
        let id = change.instance_id;
        let placed = parts.store.read(|reader| reader.partitions(id))?;
        match placed.get(change.db_name) {
            Some(placement) if *placement == change.after => return Ok(parts.publish(id)?),
            // Its instance was released meanwhile.
            None => return Ok(()),
            Some(_) => {}
        }
        let mut why = String::new();
        let mut movers = None;
        for attempt in 0..ATTEMPTS {
            match try_cut_over(parts, change, attempt >= CALLED_FROM, &mut movers).await {
                Ok(pause) => {
                    let (database, pause) = (change.db_name.as_str(), pause.as_millis());
                    tracing::info!(instance = %id, database, pause, "partitions have gone over to other nodes");
                    return Ok(());
                }
                Err(Failed::Used(refusal)) => why = refusal,
                Err(Failed::Lost(error)) => {
                    why = error;
                    movers = None;
                }
            }
            tracing::info!(instance = %id, why, "partitions could not go over; it is tried again");
            tokio::time::sleep(BETWEEN).await;
        }
        Err(StepError::refused(NO_MOMENT, why))
    }
}

/// Why partitions did not go over.
enum Failed {
    /// Sessions use them.
    Used(String),
    /// A node may have been lost.
    Lost(String),
}

/// Holds the database and lets partitions go over; tells for how long sessions waited.
async fn try_cut_over(
    parts: &Parts,
    change: &Change<'_>,
    called: bool,
    kept: &mut Option<Vec<Mover>>,
) -> Result<Duration, Failed> {
    let told = |error: StepError| Failed::Lost(error.to_string());
    let movers = match kept {
        Some(movers) => movers,
        None => kept.insert(movers(parts, change).await.map_err(told)?),
    };
    let begun = Instant::now();
    while !is_near(movers).await.map_err(told)? {
        if begun.elapsed() > BEHIND {
            return Err(Failed::Used(
                "more is written than can be brought".to_owned(),
            ));
        }
    }
    let mut outcome = None;
    let begun = Instant::now();
    let work = async { outcome = Some(switch(parts, change, movers).await) };
    let id = change.instance_id;
    let held = parts.gateway.hold(id, PATIENCE, called, Box::pin(work));
    held.await.map_err(Failed::Used)?;
    let outcome = outcome.unwrap_or_else(|| Err("nothing was done".to_owned()));
    outcome.map_err(Failed::Lost)?;
    Ok(begun.elapsed())
}

/// Brings the rest, and writes where partitions are from now on.
async fn switch(parts: &Parts, change: &Change<'_>, movers: &mut [Mover]) -> Result<(), String> {
    let finished = async {
        for mover in movers {
            mover.finish().await.map_err(|error| error.to_string())?;
        }
        Ok::<_, String>(())
    };
    match tokio::time::timeout(REST, finished).await {
        Ok(finished) => finished?,
        Err(_) => return Err("the rest took too long".to_owned()),
    }
    let (id, name) = (change.instance_id, change.db_name);
    let moving = MovingPartitions {
        foreign: change.sources().into_iter().collect(),
        is_moving: true,
    };
    let written = parts.store.write(|writer| {
        writer.put_partitions(id, name, change.after)?;
        writer.set_moving_partitions(id, name, &moving)?;
        for node in change.nodes {
            let row = writer.node(&node.node_id)?;
            if row.is_some_and(|row| row.state == NodeState::Creating) {
                writer.set_node_state(&node.node_id, NodeState::Running)?;
            }
        }
        Ok::<_, openpeta_store::StoreError>(())
    });
    written.map_err(|error| error.to_string())?;
    // It is so from here on: who cannot be told is let in no more until he is.
    if let Err(error) = parts.publish(id) {
        tracing::error!(instance = %id, context = error.context, "the route could not be published; the reconciler tries again");
    }
    Ok(())
}
