//! An export that goes to whoever asked for it while it is read, and is kept nowhere.

use jiff::Timestamp;
use openpeta_engine::BackupSource;
use openpeta_tasks::StepError;
use openpeta_types::{Compression, DbName, InstanceId};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::imports::told;
use super::protocol::{AdminCommand, AdminReply};
use super::{AdminChange, reply};
use crate::imports::usable;
use crate::instance_nodes::is_spread;
use crate::{Control, ControlError};

/// Pieces that may wait for whoever takes them.
const QUEUE: usize = 4;

/// An export under way. It ends when this is dropped.
#[derive(Debug)]
pub struct StreamedExport {
    pieces: mpsc::Receiver<Vec<u8>>,
    work: JoinHandle<Result<Value, ControlError>>,
}

/// What is exported.
struct Wanted {
    instance_id: InstanceId,
    db_name: DbName,
    compression: Compression,
    for_one_node: bool,
}

impl StreamedExport {
    /// The next piece; `None` after the last one.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        self.pieces.recv().await
    }

    /// What was exported, tables with their rows and checksums, or why it is not whole.
    pub async fn end(mut self) -> AdminReply {
        // A piece that nobody took would keep the work from ending.
        self.pieces.close();
        let ended = (&mut self.work).await;
        reply(ended.unwrap_or_else(|error| Err(ControlError::internal(error))))
    }
}

/// No moment of all nodes was found.
fn not_begun(error: StepError) -> ControlError {
    match error {
        StepError::Transient { cause } => ControlError::unavailable(cause),
        StepError::Permanent { cause, .. } | StepError::Refused { cause, .. } => {
            ControlError::internal(cause)
        }
    }
}

impl Drop for StreamedExport {
    fn drop(&mut self) {
        self.work.abort();
    }
}

impl Control {
    /// Begins the export that a command asks for: to whoever takes its pieces.
    ///
    /// # Errors
    /// The reply that says why not: instance or database do not exist, or are not ACTIVE.
    pub fn begin_stream(
        &self,
        command: AdminCommand,
        now: Timestamp,
    ) -> Result<StreamedExport, AdminReply> {
        let begun = AdminChange::of(&command, now).and_then(|change| match command {
            AdminCommand::ExportStream {
                instance_id,
                db_name,
                compression,
                for_one_node,
            } => {
                let wanted = Wanted {
                    instance_id,
                    db_name,
                    compression,
                    for_one_node,
                };
                self.export_stream(&change, wanted)
            }
            _ => Err(ControlError::internal("the command exports nothing")),
        });
        begun.map_err(|error| reply(Err(error)))
    }

    fn export_stream(
        &self,
        change: &AdminChange,
        wanted: Wanted,
    ) -> Result<StreamedExport, ControlError> {
        let Wanted {
            instance_id,
            db_name,
            compression,
            for_one_node,
        } = wanted;
        let parts = self.parts.clone();
        let (node, is_spread) = parts.store.write(|writer| {
            let (instance, database) = usable(writer, &instance_id, &db_name)?;
            change.record(writer, Some(instance.account_id), Some(&instance_id))?;
            let node = instance.node_id;
            let node = node.ok_or_else(|| ControlError::internal("the instance has no node"))?;
            Ok::<_, ControlError>((node, is_spread(&database)))
        })?;
        let (sink, pieces) = mpsc::channel(QUEUE);
        let work = tokio::spawn(async move {
            let source = BackupSource {
                instance_id: instance_id.to_string(),
                db_name: db_name.to_string(),
                backup_id: format!("export-{}", Timestamp::now().as_second()),
            };
            let progress = |_, _, _: &str| {};
            let engine = &parts.engine;
            let taken = match is_spread {
                true => {
                    let begun = parts.begin_snapshots(&instance_id, &db_name).await;
                    let snapshots = begun.map_err(not_begun)?.snapshots;
                    let target = (sink, compression, for_one_node);
                    let stream = engine.stream_spread(snapshots, target, &source, &progress);
                    stream.await
                }
                false => {
                    let origin = parts.origin_of(&instance_id, &db_name, &node).await;
                    let origin = origin.map_err(not_begun)?;
                    let target = (sink, compression);
                    let stream =
                        engine.stream_database(origin, &db_name, target, &source, &progress);
                    stream.await
                }
            };
            let manifest = taken.map_err(ControlError::unavailable)?;
            let fields = told(&manifest).map(|(name, value)| (name.to_owned(), value));
            Ok(Value::Object(fields.into_iter().collect()))
        });
        Ok(StreamedExport { pieces, work })
    }
}
