//! Definition statements: what is checked before a task carries one out, and what the call is
//! told of its end.

use std::time::Duration;

use openpeta_engine::quote;
use openpeta_rpc_api::tables::{
    CreateIndexRequest, CreateTableRequest, DeleteIndexRequest, DeleteTableRequest,
    ModifyTableRequest, TruncateTableRequest,
};
use openpeta_rpc_api::{ApiError, EmptyResponse};
use openpeta_sql_route::{Ddl, DdlKind, Dialect, Distribution, parse_ddl};
use openpeta_store::{Reader, StepState, Task, Writer};
use openpeta_tasks::Step;
use openpeta_types::{DbName, InstanceId, ObjectStatus, TableName, TaskId, TaskStatus};

use crate::instance_nodes::is_spread;
use crate::workflows::change_table::{ChangeTable, ChangeTableParams, Define};
use crate::{Control, ControlError, MutatingCall, audit};

/// How long a call waits for its task. The task is on disk before; waiting tells most clients what
/// became of their statement.
const PATIENCE: Duration = Duration::from_secs(5);

/// The database that a call is about.
pub(crate) type Place<'a> = (&'a InstanceId, &'a DbName);

impl Control {
    /// CreateTable: creates a table from a DDL text.
    ///
    /// # Errors
    /// Those of the action's table.
    pub async fn create_table(
        &self,
        call: &MutatingCall,
        request: &CreateTableRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let place = (&request.instance_id, &request.db_name);
        let text = (&request.table_ddl[..], request.partition_key.as_deref());
        self.define(call, place, DdlKind::CreateTable, text).await
    }

    /// ModifyTable: alters a table by a DDL text.
    ///
    /// # Errors
    /// Those of the action's table.
    pub async fn modify_table(
        &self,
        call: &MutatingCall,
        request: &ModifyTableRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let place = (&request.instance_id, &request.db_name);
        let text = (&request.table_ddl[..], None);
        self.define(call, place, DdlKind::AlterTable, text).await
    }

    /// CreateIndex: creates an index from a DDL text.
    ///
    /// # Errors
    /// Those of the action's table.
    pub async fn create_index(
        &self,
        call: &MutatingCall,
        request: &CreateIndexRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let place = (&request.instance_id, &request.db_name);
        let text = (&request.index_ddl[..], None);
        self.define(call, place, DdlKind::CreateIndex, text).await
    }

    /// DeleteIndex: drops an index by a DDL text.
    ///
    /// # Errors
    /// Those of the action's table.
    pub async fn delete_index(
        &self,
        call: &MutatingCall,
        request: &DeleteIndexRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let place = (&request.instance_id, &request.db_name);
        let text = (&request.index_ddl[..], None);
        self.define(call, place, DdlKind::DropIndex, text).await
    }

    /// DeleteTable: drops a table.
    ///
    /// # Errors
    /// Those of the action's table.
    pub async fn delete_table(
        &self,
        call: &MutatingCall,
        request: &DeleteTableRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let place = (&request.instance_id, &request.db_name);
        let change = change_of(
            place,
            &request.table_name,
            ObjectStatus::Delete,
            "DROP TABLE",
        );
        self.change_table(call, place, change).await
    }

    /// TruncateTable: empties a table.
    ///
    /// # Errors
    /// Those of the action's table.
    pub async fn truncate_table(
        &self,
        call: &MutatingCall,
        request: &TruncateTableRequest,
    ) -> Result<EmptyResponse, ControlError> {
        let place = (&request.instance_id, &request.db_name);
        let verb = "TRUNCATE TABLE";
        let change = change_of(place, &request.table_name, ObjectStatus::Modify, verb);
        self.change_table(call, place, change).await
    }
}

impl Control {
    async fn define(
        &self,
        call: &MutatingCall,
        place: Place<'_>,
        kind: DdlKind,
        text: (&str, Option<&str>),
    ) -> Result<EmptyResponse, ControlError> {
        let task = self.add_definition(call, place, kind, text)?;
        self.wait_for_definition(task, parameter_of(kind)).await
    }

    /// Checks a statement and writes the task that carries it out.
    pub(crate) fn add_definition(
        &self,
        call: &MutatingCall,
        (id, db_name): Place<'_>,
        kind: DdlKind,
        (text, partition_key): (&str, Option<&str>),
    ) -> Result<TaskId, ControlError> {
        self.parts.store.write(|writer| {
            let (_, database) =
                self.active_database(writer, &call.caller, call.action, id, db_name)?;
            let refuse = |why: &str| ApiError::malformed(parameter_of(kind)).with_detail(why);
            let spread = is_spread(&database);
            let parsed = |text| parse_ddl(text, self.dialect());
            let ddl = parsed(text).map_err(|error| refuse(&error.to_string()))?;
            let table = checked_table(&ddl, kind, db_name, spread).map_err(|why| refuse(&why))?;
            let statement = match partition_key {
                Some(_) if !spread => {
                    let why = "A database of one node does not distribute rows; leave it out.";
                    let error = ApiError::unsupported_parameter("PartitionKey");
                    return Err(error.with_detail(why).into());
                }
                Some(column) => distributed_by(&ddl, column).ok_or_else(|| {
                    let why = "It is to be the one column that the statement distributes rows by.";
                    ApiError::malformed("PartitionKey").with_detail(why)
                })?,
                None => ddl.statement.to_owned(),
            };
            let params = ChangeTableParams {
                instance_id: id.clone(),
                db_name: db_name.clone(),
                table,
                status: match kind {
                    DdlKind::CreateTable => ObjectStatus::Create,
                    _ => ObjectStatus::Modify,
                },
                statement,
            };
            self.enqueue_change(writer, call, params)
        })
    }

    /// Does something to a table as a whole, if there is such a table.
    async fn change_table(
        &self,
        call: &MutatingCall,
        place: Place<'_>,
        change: ChangeTableParams,
    ) -> Result<EmptyResponse, ControlError> {
        self.require_table(call, place, &change.table).await?;
        let task = self.add_change(call, place, change)?;
        self.wait_for_definition(task, "TableName").await
    }

    /// Asks the node whether there is such a table, for a caller who may do this to it.
    async fn require_table(
        &self,
        call: &MutatingCall,
        (id, db_name): Place<'_>,
        table: &TableName,
    ) -> Result<(), ControlError> {
        let database = |reader: &Reader<'_>| {
            self.active_database(reader, &call.caller, call.action, id, db_name)
        };
        let (instance, _) = self.parts.store.read(database)?;
        let mut sql = self.tables_of(&instance).await?;
        let found = sql.has_table(db_name, table).await;
        sql.close().await;
        if found.map_err(ControlError::unavailable)? {
            Ok(())
        } else {
            Err(ApiError::table_not_found().into())
        }
    }

    /// Writes the task that does it.
    fn add_change(
        &self,
        call: &MutatingCall,
        (id, db_name): Place<'_>,
        params: ChangeTableParams,
    ) -> Result<TaskId, ControlError> {
        self.parts.store.write(|writer| {
            self.active_database(writer, &call.caller, call.action, id, db_name)?;
            self.enqueue_change(writer, call, params)
        })
    }

    fn enqueue_change(
        &self,
        writer: &Writer<'_>,
        call: &MutatingCall,
        params: ChangeTableParams,
    ) -> Result<TaskId, ControlError> {
        let (id, db_name) = (params.instance_id.clone(), params.db_name.clone());
        let task = self.enqueue::<ChangeTable>(writer, call, &id, Some(db_name), params)?;
        audit::record(writer, call, Some(&id), Some(task))?;
        Ok(task)
    }

    /// How the nodes read statements.
    fn dialect(&self) -> Dialect {
        Dialect::new(self.parts.engine.server_version_number())
    }

    /// Waits for the end of a statement, but not for long.
    ///
    /// # Errors
    /// `Invalid<parameter>.Malformed` with MariaDB's message when it refused the statement;
    /// `ServiceUnavailable` when it failed otherwise.
    async fn wait_for_definition(
        &self,
        task: TaskId,
        parameter: &str,
    ) -> Result<EmptyResponse, ControlError> {
        let ended = self.wait_for_task(task, PATIENCE).await;
        let failed =
            ended.filter(|task| matches!(task.status, TaskStatus::Failed | TaskStatus::Cancelled));
        let Some(task) = failed else {
            return Ok(EmptyResponse);
        };
        let was_refused = self.parts.store.read(|reader| was_refused(reader, &task));
        let message = task.message.unwrap_or_default();
        let error = if was_refused.map_err(ControlError::after_commit)? {
            ApiError::malformed(parameter).with_detail(&message).into()
        } else {
            ControlError::unavailable(task.cause.unwrap_or_default())
        };
        Err(error.after_commit())
    }
}

/// The parameter that brings such a statement.
const fn parameter_of(kind: DdlKind) -> &'static str {
    match kind {
        DdlKind::CreateTable | DdlKind::AlterTable => "TableDDL",
        DdlKind::CreateIndex | DdlKind::DropIndex => "IndexDDL",
    }
}

/// Whether a task failed because MariaDB refused its statement.
fn was_refused(reader: &Reader<'_>, task: &Task) -> Result<bool, ControlError> {
    let steps = reader.task_steps(task.task_id)?;
    let defining = steps.iter().find(|step| step.name == Define::NAME);
    Ok(task.status == TaskStatus::Failed
        && defining.is_some_and(|step| step.state == StepState::Undone))
}

/// The table that a statement is about, if it is of the right kind and about this database.
///
/// # Errors
/// What is wrong with the statement, as a sentence.
fn checked_table(
    ddl: &Ddl<'_>,
    kind: DdlKind,
    db_name: &DbName,
    spread: bool,
) -> Result<TableName, String> {
    if ddl.kind != kind {
        let (found, wanted) = (ddl.kind.as_str(), kind.as_str());
        return Err(format!("It is {found}, where {wanted} is needed."));
    }
    if ddl
        .schema
        .as_ref()
        .is_some_and(|schema| schema != db_name.as_str())
    {
        return Err(format!("It names another database than {db_name}."));
    }
    if ddl.distribution.is_some() && !spread {
        let why =
            "A database of one node does not distribute rows; leave out the DISTRIBUTE clause.";
        return Err(why.to_owned());
    }
    let table = TableName::parse(&ddl.table);
    table.map_err(|_| "No table can have the name that it gives.".to_owned())
}

/// The statement with that column as what distributes the rows; `None` if it cannot be, or if it says
/// something else.
fn distributed_by(ddl: &Ddl<'_>, column: &str) -> Option<String> {
    match &ddl.distribution {
        Some(clause) => {
            let same = |named: &str| named.to_lowercase() == column.to_lowercase();
            let is_same =
                matches!(&clause.distribution, Distribution::Hash { column } if same(column));
            is_same.then(|| ddl.statement.to_owned())
        }
        None => {
            // What names tables may name columns.
            let column = TableName::parse(column).ok()?;
            let column = quote::identifier(column.as_str());
            Some(format!("{} DISTRIBUTE BY HASH({column})", ddl.statement))
        }
    }
}

/// What a task is told that does one thing to a table as a whole.
fn change_of(
    (id, db_name): Place<'_>,
    table: &TableName,
    status: ObjectStatus,
    verb: &str,
) -> ChangeTableParams {
    let (schema, name) = (db_name.as_str(), table.as_str());
    ChangeTableParams {
        instance_id: id.clone(),
        db_name: db_name.clone(),
        table: table.clone(),
        status,
        statement: format!(
            "{verb} {}.{}",
            quote::identifier(schema),
            quote::identifier(name)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_key_says_what_the_statement_does_not() {
        let by = |text, column| {
            let ddl = parse_ddl(text, Dialect::new(101_119)).expect("a definition");
            distributed_by(&ddl, column)
        };
        let plain = "CREATE TABLE t (id INT PRIMARY KEY)";
        let clause = "CREATE TABLE t (id INT PRIMARY KEY) DISTRIBUTE BY HASH(`id`)";
        assert_eq!(by(plain, "id").as_deref(), Some(clause));
        assert_eq!(by(clause, "ID").as_deref(), Some(clause));
        assert_eq!(by(clause, "other"), None);
        let copies = "CREATE TABLE t (id INT PRIMARY KEY) DISTRIBUTE BY BROADCAST";
        assert_eq!(by(copies, "id"), None);
        assert_eq!(by(plain, ""), None);
        let quoted = by(plain, "a`b").expect("a name in quotes");
        assert!(quoted.ends_with("HASH(`a``b`)"), "{quoted}");
    }
}
