//! What the node says of tables, and what tasks are doing to them.

use std::collections::HashMap;

use openpeta_engine::{TableDetail, TableDistribution};
use openpeta_rpc_api::tables::{
    ColumnItem, DescribeTableInfoRequest, DescribeTableInfoResponse, DescribeTablesRequest,
    DescribeTablesResponse, IndexItem, TableItem,
};
use openpeta_rpc_api::{Action, ApiError};
use openpeta_store::{Database, Instance, Node, Reader};
use openpeta_tasks::Workflow;
use openpeta_types::{DbName, InstanceId, ObjectStatus};

use crate::instance_nodes::{is_on, is_spread};
use crate::workflows::change_table::{ChangeTable, ChangeTableParams};
use crate::{Caller, Control, ControlError};

impl Control {
    /// DescribeTables: the tables of a database, those included that are being created.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `InvalidDBName.NotFound`, `ServiceUnavailable`,
    /// `Forbidden.RAM`.
    pub async fn describe_tables(
        &self,
        caller: &Caller,
        request: &DescribeTablesRequest,
    ) -> Result<DescribeTablesResponse, ControlError> {
        let (id, db_name) = (&request.instance_id, &request.db_name);
        let action = Action::DescribeTables;
        let (instance, database, changes) = self.parts.store.read(|reader| {
            let (instance, database) = self.database(reader, caller, action, id, db_name)?;
            Ok::<_, ControlError>((instance, database, changes(reader, id, db_name)?))
        })?;
        let mut sql = self.tables_of(&instance).await?;
        let found = sql.tables(db_name).await;
        // The server opens each table for that.
        let distributed = match is_spread(&database) {
            true => sql.distributions(db_name).await,
            false => Ok(Vec::new()),
        };
        sql.close().await;
        let distributed = distributed.map_err(ControlError::unavailable)?;
        let distributed: HashMap<_, _> = distributed.into_iter().collect();
        let mut tables: Vec<TableItem> = found
            .map_err(ControlError::unavailable)?
            .into_iter()
            .map(|table| TableItem {
                partition_key: partition_key(distributed.get(&table.name)),
                table_name: table.name,
                primary_key: table.primary_key,
                table_status: ObjectStatus::Active,
            })
            .collect();
        // The oldest task is the one that runs; the others wait for it.
        for change in changes.into_iter().rev() {
            let name = change.table.as_str();
            match tables.iter_mut().find(|table| table.table_name == name) {
                Some(table) => table.table_status = change.status,
                None if change.status == ObjectStatus::Create => tables.push(TableItem {
                    table_name: name.to_owned(),
                    partition_key: String::new(),
                    primary_key: Vec::new(),
                    table_status: change.status,
                }),
                None => {}
            }
        }
        tables.sort_unstable_by(|a, b| a.table_name.cmp(&b.table_name));
        Ok(DescribeTablesResponse {
            instance_id: id.clone(),
            db_name: db_name.clone(),
            tables,
        })
    }

    /// DescribeTableInfo: one table with its columns, indexes and size.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `InvalidDBName.NotFound`, `InvalidTableName.NotFound`,
    /// `ServiceUnavailable`, `Forbidden.RAM`.
    pub async fn describe_table_info(
        &self,
        caller: &Caller,
        request: &DescribeTableInfoRequest,
    ) -> Result<DescribeTableInfoResponse, ControlError> {
        let (id, db_name) = (&request.instance_id, &request.db_name);
        let action = Action::DescribeTableInfo;
        let database = |reader: &Reader<'_>| self.database(reader, caller, action, id, db_name);
        let (instance, database) = self.parts.store.read(database)?;
        let mut sql = self.tables_of(&instance).await?;
        let found = sql.table(db_name, &request.table_name).await;
        let distributed = match is_spread(&database) {
            true => sql.distributions(db_name).await,
            false => Ok(Vec::new()),
        };
        sql.close().await;
        let found = found.map_err(ControlError::unavailable)?;
        let mut table = found.ok_or_else(ApiError::table_not_found)?;
        let mut distributed = distributed.map_err(ControlError::unavailable)?.into_iter();
        let distribution = distributed
            .find(|(name, _)| name == request.table_name.as_str())
            .map(|(_, distribution)| distribution);
        if let Some(distribution) = &distribution {
            self.add_further(&instance, &database, request, distribution, &mut table)
                .await?;
        }
        Ok(DescribeTableInfoResponse {
            instance_id: id.clone(),
            db_name: db_name.clone(),
            table_name: request.table_name.clone(),
            partition_key: partition_key(distribution.as_ref()),
            primary_key: table.primary_key().to_vec(),
            columns: table
                .columns
                .into_iter()
                .map(|column| ColumnItem {
                    column_name: column.name,
                    column_data_type: column.data_type,
                    column_data_length: column.length,
                    is_null: column.nullable,
                })
                .collect(),
            engine: table.engine,
            table_rows: table.rows,
            data_bytes: table.data_bytes,
            index_bytes: table.index_bytes,
            indexes: table
                .indexes
                .into_iter()
                .map(|index| IndexItem {
                    index_name: index.name,
                    index_columns: index.columns,
                    is_unique: index.unique,
                })
                .collect(),
        })
    }
}

impl Control {
    /// Adds to the size of a table what it has on further nodes: other rows, or copies of the same.
    async fn add_further(
        &self,
        instance: &Instance,
        database: &Database,
        request: &DescribeTableInfoRequest,
        distribution: &TableDistribution,
        table: &mut TableDetail,
    ) -> Result<(), ControlError> {
        let nodes = self
            .parts
            .store
            .read(|reader| reader.serving_nodes(instance))?;
        let there = |node: &&Node| node.number > 0 && is_on(database, node.number);
        for node in nodes.iter().filter(there) {
            let sql = self.parts.engine.sql(&node.node_id).await;
            let mut sql = sql.map_err(ControlError::unavailable)?;
            let found = sql.table(&database.db_name, &request.table_name).await;
            sql.close().await;
            let Some(part) = found.map_err(ControlError::unavailable)? else {
                continue;
            };
            if matches!(distribution, TableDistribution::Hash(_)) {
                table.rows += part.rows;
            }
            table.data_bytes += part.data_bytes;
            table.index_bytes += part.index_bytes;
        }
        Ok(())
    }
}

/// The column that distributes the rows of a table; empty if none does.
fn partition_key(distribution: Option<&TableDistribution>) -> String {
    match distribution {
        Some(TableDistribution::Hash(column)) => column.clone(),
        Some(TableDistribution::Broadcast) | None => String::new(),
    }
}

/// What tasks that are not finished do to tables of a database, oldest first.
fn changes(
    reader: &Reader<'_>,
    id: &InstanceId,
    db_name: &DbName,
) -> Result<Vec<ChangeTableParams>, ControlError> {
    let tasks = reader.unfinished_tasks_of(id)?.into_iter();
    tasks
        .filter(|task| task.workflow == ChangeTable::NAME && task.db_name.as_ref() == Some(db_name))
        .map(|task| {
            let params = reader.task_params(task.task_id)?;
            serde_json::from_str(params.expose()).map_err(ControlError::internal)
        })
        .collect()
}
