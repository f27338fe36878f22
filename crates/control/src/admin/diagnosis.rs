//! `openpeta admin instance watch-indexes`

use openpeta_types::InstanceId;
use serde_json::{Value, json};

use super::AdminChange;
use crate::{Control, ControlError};

impl Control {
    pub(super) async fn instance_watch_indexes(
        &self,
        change: &AdminChange,
        id: &InstanceId,
        on: bool,
    ) -> Result<Value, ControlError> {
        self.watch_indexes(id, on).await?;
        self.parts.store.write(|writer| {
            let owner = writer.instance(id)?.map(|instance| instance.account_id);
            change.record(writer, owner, Some(id))
        })?;
        Ok(json!({ "instance_id": id.as_str(), "watched": on }))
    }
}
