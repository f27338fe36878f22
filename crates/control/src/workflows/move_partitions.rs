//! Partitions of a database go to other ones of its nodes, as the operator orders.

use std::sync::Arc;

use async_trait::async_trait;
use openpeta_store::Writer;
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, forward, undoable};
use openpeta_types::{DbName, InstanceId};
use serde::{Deserialize, Serialize};

use super::moving::{
    Announce, Change, CopyPartitions, CutOver, MovesPartitions, clean_sources, status_after,
};
use crate::parts::Parts;

/// Moves partitions between nodes that their database has.
pub(crate) struct MovePartitions(pub(super) Arc<Parts>);

/// What the operator ordered.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MovePartitionsParams {
    pub(crate) instance_id: InstanceId,
    pub(crate) db_name: DbName,
    /// How many nodes the database has.
    pub(crate) node_number: u32,
    /// Where its partitions are.
    pub(crate) before: Vec<u16>,
    /// Where they shall be.
    pub(crate) after: Vec<u16>,
}

impl MovesPartitions for MovePartitions {
    fn parts(&self) -> &Arc<Parts> {
        &self.0
    }

    fn change(params: &MovePartitionsParams) -> Change<'_> {
        Change {
            instance_id: &params.instance_id,
            db_name: &params.db_name,
            from: params.node_number,
            to: params.node_number,
            nodes: &[],
            before: &params.before,
            after: &params.after,
        }
    }
}

impl Workflow for MovePartitions {
    const NAME: &'static str = "move-partitions";
    const IS_LONG: bool = true;
    type Params = MovePartitionsParams;

    fn steps() -> Vec<StepEntry<Self>> {
        vec![
            undoable(Announce),
            undoable(CopyPartitions),
            forward(CutOver),
            forward(Clean),
        ]
    }

    fn on_success(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
    ) -> Result<(), StepError> {
        end(writer, task.params())
    }

    fn on_unwound(
        &self,
        writer: &Writer<'_>,
        task: &TaskContext<'_, Self>,
        _cancelled: bool,
    ) -> Result<(), StepError> {
        end(writer, task.params())
    }
}

/// The database can be changed again.
fn end(writer: &Writer<'_>, params: &MovePartitionsParams) -> Result<(), StepError> {
    let (id, name) = (&params.instance_id, &params.db_name);
    if let Some(database) = writer.database(id, name)? {
        writer.set_database_status(id, name, status_after(database.status))?;
    }
    Ok(())
}

/// Rows of partitions go from the nodes that had them.
struct Clean;

#[async_trait]
impl Step<MovePartitions> for Clean {
    const NAME: &'static str = "clean";
    const TITLE: &'static str = "Removing rows that have moved";
    const WEIGHT: u32 = 10;
    type Output = ();

    async fn run(
        &self,
        workflow: &MovePartitions,
        task: &TaskContext<'_, MovePartitions>,
    ) -> Result<(), StepError> {
        let change = MovePartitions::change(task.params());
        clean_sources(&workflow.0, &change).await.map(drop)
    }
}
