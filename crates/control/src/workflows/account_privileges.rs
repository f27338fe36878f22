//! What GrantAccountPrivilege and RevokeAccountPrivilege have in common: write down what the
//! account has on the databases, change it, and put it back if that fails.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use openpeta_engine::{HeldPrivileges, NodeSql};
use openpeta_store::{Account, Database, Grant, Instance, Node, Reader, Writer};
use openpeta_tasks::{Step, StepEntry, StepError, TaskContext, Workflow, undoable};
use openpeta_types::{AccountName, DbName, InstanceId, PrivilegeSet};
use serde::{Deserialize, Serialize};

use super::{FAILED_INSIDE, engine_error};
use crate::instance_nodes::is_on;
use crate::parts::Parts;

/// What changes for whom.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PrivilegeChange {
    pub(crate) instance_id: InstanceId,
    pub(crate) account_name: AccountName,
    /// Tells the account from a later one of the same name.
    pub(crate) account_created_at: Timestamp,
    pub(crate) db_names: BTreeSet<DbName>,
    /// What it has on each of them afterwards; `None` for nothing.
    pub(crate) privilege: Option<PrivilegeSet>,
}

/// A workflow that does such a change.
pub(super) trait ChangesPrivileges: Workflow<Params = PrivilegeChange> {
    fn parts(&self) -> &Arc<Parts>;
}

/// The steps of such a workflow.
pub(super) fn steps<W: ChangesPrivileges>() -> Vec<StepEntry<W>> {
    vec![undoable(RememberHeld), undoable(ChangeOnNode)]
}

/// Writes down what the node has been told.
pub(super) fn record<W: ChangesPrivileges>(
    writer: &Writer<'_>,
    task: &TaskContext<'_, W>,
) -> Result<(), StepError> {
    let change = task.params();
    let PrivilegeChange {
        instance_id,
        account_name,
        ..
    } = change;
    // A task that was stuck may come to its end when account or database are gone.
    if subject(writer, change)?.is_none() {
        return Ok(());
    }
    for db_name in &change.db_names {
        if writer.database(instance_id, db_name)?.is_some() {
            writer.set_grant(instance_id, account_name, db_name, change.privilege)?;
        }
    }
    Ok(())
}

/// The account that a change is about, where it is, and what the API granted it.
struct Subject {
    instance: Instance,
    account: Account,
    grants: Vec<Grant>,
    databases: Vec<Database>,
}

/// What a change is about, unless that was deleted since it was asked for.
fn subject(reader: &Reader<'_>, change: &PrivilegeChange) -> Result<Option<Subject>, StepError> {
    let (id, name) = (&change.instance_id, &change.account_name);
    let (Some(instance), Some(account)) = (reader.instance(id)?, reader.account(id, name)?) else {
        return Ok(None);
    };
    if account.created_at != change.account_created_at {
        return Ok(None);
    }
    Ok(Some(Subject {
        grants: reader.grants(id, name)?,
        databases: reader.databases(id)?,
        instance,
        account,
    }))
}

impl Subject {
    /// Whether a database is on a node.
    fn is_on(&self, db_name: &DbName, node: &Node) -> bool {
        let mut databases = self.databases.iter();
        node.number == 0 || databases.any(|its| its.db_name == *db_name && is_on(its, node.number))
    }

    /// What the API granted on a database.
    fn granted(&self, db_name: &DbName) -> Option<PrivilegeSet> {
        let mut grants = self.grants.iter();
        let grant = grants.find(|grant| grant.db_name == *db_name)?;
        Some(grant.privilege)
    }
}

/// What the account had on a database before.
#[derive(Serialize, Deserialize)]
struct Former {
    db_name: DbName,
    /// By the store.
    granted: Option<PrivilegeSet>,
    /// On the node.
    held: HeldPrivileges,
}

/// What the account has on the node is known.
struct RememberHeld;

#[async_trait]
impl<W: ChangesPrivileges> Step<W> for RememberHeld {
    const NAME: &'static str = "remember-held";
    const TITLE: &'static str = "Reading the account's privileges";
    type Output = Vec<Former>;

    async fn run(
        &self,
        workflow: &W,
        task: &TaskContext<'_, W>,
    ) -> Result<Self::Output, StepError> {
        let (parts, change) = (workflow.parts(), task.params());
        let subject = parts.store.read(|reader| subject(reader, change))?;
        let subject =
            subject.ok_or_else(|| StepError::permanent(FAILED_INSIDE, "the account is gone"))?;
        let mut nodes = nodes(parts, &subject.instance)?.into_iter();
        let home = nodes.next();
        let home = home.ok_or_else(|| StepError::permanent(FAILED_INSIDE, "there is no node"))?;
        let mut sql = sql(parts, &home).await?;
        let held = read_held(parts, &mut sql, &subject, change).await;
        sql.close().await;
        for node in nodes {
            let mut sql = self::sql(parts, &node).await?;
            let there = make_there(parts, &mut sql, &subject).await;
            sql.close().await;
            there?;
        }
        held
    }
}

/// Makes an account that somebody dropped by SQL. Granting to it as it is would make it, without a
/// password.
async fn make_there(
    parts: &Parts,
    sql: &mut NodeSql,
    Subject {
        instance,
        account,
        grants,
        ..
    }: &Subject,
) -> Result<(), StepError> {
    let held = sql.privileges(&account.name).await.map_err(engine_error)?;
    if held.is_none() {
        parts.apply_account(instance, account, grants).await?;
    }
    Ok(())
}

async fn read_held(
    parts: &Parts,
    sql: &mut NodeSql,
    subject: &Subject,
    change: &PrivilegeChange,
) -> Result<Vec<Former>, StepError> {
    let name = &change.account_name;
    make_there(parts, sql, subject).await?;
    let mut former = Vec::with_capacity(change.db_names.len());
    for db_name in &change.db_names {
        let held = sql.held_privileges(name, db_name).await;
        former.push(Former {
            db_name: db_name.clone(),
            granted: subject.granted(db_name),
            held: held.map_err(engine_error)?,
        });
    }
    Ok(former)
}

/// The account has the new privileges on the node, and no others on these databases.
struct ChangeOnNode;

#[async_trait]
impl<W: ChangesPrivileges> Step<W> for ChangeOnNode {
    const NAME: &'static str = "change-on-node";
    const TITLE: &'static str = "Changing the account's privileges";
    type Output = ();

    async fn run(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let (parts, change) = (workflow.parts(), task.params());
        let subject = parts.store.read(|reader| subject(reader, change))?;
        let subject =
            subject.ok_or_else(|| StepError::permanent(FAILED_INSIDE, "the account is gone"))?;
        for node in nodes(parts, &subject.instance)? {
            let mut sql = sql(parts, &node).await?;
            let mut result = Ok(());
            for db_name in change
                .db_names
                .iter()
                .filter(|name| subject.is_on(name, &node))
            {
                result = sql
                    .set_privileges(&change.account_name, db_name, change.privilege)
                    .await;
                if result.is_err() {
                    break;
                }
            }
            sql.close().await;
            result.map_err(engine_error)?;
        }
        Ok(())
    }

    async fn undo(&self, workflow: &W, task: &TaskContext<'_, W>) -> Result<(), StepError> {
        let (parts, change) = (workflow.parts(), task.params());
        let Some(former) = task.try_output::<RememberHeld>()? else {
            return Ok(());
        };
        let Some(subject) = parts.store.read(|reader| subject(reader, change))? else {
            return Ok(());
        };
        // A task that was stuck comes to its end later: what another one granted since stays.
        let is_latest = |former: &&Former| subject.granted(&former.db_name) == former.granted;
        for node in nodes(parts, &subject.instance)? {
            let is_there = |former: &&Former| subject.is_on(&former.db_name, &node);
            let mut sql = sql(parts, &node).await?;
            let mut result = Ok(());
            for Former { db_name, held, .. } in former.iter().filter(is_latest).filter(is_there) {
                result = sql
                    .put_back_privileges(&change.account_name, db_name, held)
                    .await;
                if result.is_err() {
                    break;
                }
            }
            sql.close().await;
            result.map_err(engine_error)?;
        }
        Ok(())
    }
}

fn nodes(parts: &Parts, instance: &Instance) -> Result<Vec<Node>, StepError> {
    Ok(parts.store.read(|reader| reader.serving_nodes(instance))?)
}

async fn sql(parts: &Parts, node: &Node) -> Result<NodeSql, StepError> {
    let sql = parts.engine.sql(&node.node_id).await;
    sql.map_err(engine_error)
}
