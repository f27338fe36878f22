//! `openpeta diagnose`: what is wrong with an instance, out of what its nodes, the gateway and the
//! list of events tell. A node that hangs costs a bounded time, and the rest is told without it.

mod findings;
mod slow;

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use openpeta_engine::{EngineError, NodeSql, TableFacts};
use openpeta_rpc_api::ApiError;
use openpeta_sql_route::{Dialect, mask_passwords};
use openpeta_store::{EventFilter, InstanceDetail, NewEvent, Node};
use openpeta_types::{EventKind, InstanceId, NodeId, Severity, format_time};
use serde_json::{Value, json};

use crate::admin::event_row;
use crate::gateway::InstanceStatistics;
use crate::{Control, ControlError, DataDir};
use findings::{Facts, findings};

/// How long the node may take to let somebody in.
const LOGIN: Duration = Duration::from_secs(5);
/// How long all questions to the node may take.
const QUESTIONS: Duration = Duration::from_secs(25);
/// Statements, tables and slow statements that are shown.
const SHOWN: usize = 10;
/// Events that are shown.
const EVENTS: u32 = 20;
/// Letters of a statement that are shown.
const LETTERS: usize = 300;

impl Control {
    /// Looks an instance over.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`.
    pub(crate) async fn diagnose(
        &self,
        id: &InstanceId,
        now: Timestamp,
    ) -> Result<Value, ControlError> {
        let detail = self.parts.store.instance_detail(id);
        let detail = detail.ok_or_else(ApiError::instance_not_found)?;
        let seen = self.parts.gateway.statistics(id).unwrap_or_default();
        let nodes = self
            .parts
            .store
            .read(|reader| reader.serving_nodes(&detail.instance))?;
        let several = nodes.len() > 1;
        let since = self.watched_since(id);
        let mut all = join_all(nodes.iter().map(|node| self.ask(node, several, &since))).await;
        if all.is_empty() {
            let mut asked = Asked::default();
            asked.facts.node_failure = Some("there is none".to_owned());
            all.push(asked);
        }
        watched_by_all(&mut all, &since);
        // Sessions are told by the first node, which has all of them.
        let first = &mut all[0].facts;
        if let Some(node) = nodes.first() {
            let sessions = u64::try_from(seen.sessions.len()).unwrap_or(u64::MAX);
            first.sessions = Some((sessions, node.settings.max_connections.into()));
        }
        let lock = &detail.instance;
        if lock.lock_mode.is_locked() {
            let reason = lock.lock_reason.as_deref().unwrap_or("no reason given");
            first.lock = Some(format!("{}: {reason}", lock.lock_mode));
        }
        let directory = DataDir::new(self.parts.store.data_dir()).slow_log();
        let file = directory.join(format!("{id}.jsonl"));
        let slow = tokio::task::spawn_blocking(move || slow::last(&file, SHOWN)).await;
        self.report(&detail, &all, &seen, slow.unwrap_or_default(), now)
    }

    /// Has the nodes note which indexes are used from now on, or no longer.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `ServiceUnavailable`.
    pub(crate) async fn watch_indexes(
        &self,
        id: &InstanceId,
        on: bool,
    ) -> Result<(), ControlError> {
        let detail = self.parts.store.instance_detail(id);
        let detail = detail.ok_or_else(ApiError::instance_not_found)?;
        let nodes = self
            .parts
            .store
            .read(|reader| reader.serving_nodes(&detail.instance))?;
        if nodes.is_empty() {
            return Err(ControlError::unavailable("the instance has no node"));
        }
        for node in &nodes {
            let sql = self.parts.engine.sql(&node.node_id).await;
            let mut sql = sql.map_err(ControlError::unavailable)?;
            let watched = sql.watch_indexes(on).await;
            sql.close().await;
            watched.map_err(ControlError::unavailable)?;
        }
        if on {
            let names: Vec<_> = nodes.iter().map(|node| node.node_id.as_str()).collect();
            let (names, verb) = match &names[..] {
                [name] => (format!("node {name}"), "notes"),
                _ => (format!("nodes {}", names.join(", ")), "note"),
            };
            let text = format!("{names} {verb} which indexes of {id} are used");
            let event = NewEvent::new(Timestamp::now(), EventKind::IndexesWatched, text);
            let event = event.of(Some(id));
            self.parts
                .store
                .write(|writer| writer.insert_event(&event))?;
        }
        Ok(())
    }

    /// Asks a node all there is to ask.
    async fn ask(&self, node: &Node, several: bool, since: &str) -> Asked {
        let mut asked = Asked {
            number: several.then_some(node.number),
            ..Asked::default()
        };
        asked.facts.number = asked.number;
        let disk = self.parts.engine.disk(&node.node_id).await.ok();
        asked.facts.disk =
            disk.map(|disk| (disk.usage.total_bytes(), node.settings.disk_quota_bytes));
        asked.facts.node_failure = self.question(&node.node_id, &mut asked, since).await;
        asked
    }

    /// Asks over SQL; tells why that did not come to its end.
    async fn question(&self, node: &NodeId, asked: &mut Asked, since: &str) -> Option<String> {
        let sql = tokio::time::timeout(LOGIN, self.parts.engine.sql(node)).await;
        match sql {
            Err(_) => Some(format!("no login within {} seconds", LOGIN.as_secs())),
            Ok(Err(error)) => Some(error.to_string()),
            Ok(Ok(sql)) => {
                let all = tokio::time::timeout(QUESTIONS, asked.ask_all(sql, since)).await;
                let seconds = QUESTIONS.as_secs();
                all.is_err()
                    .then(|| format!("no answers within {seconds} seconds"))
            }
        }
    }

    /// Since when the node notes which indexes are used, in words.
    fn watched_since(&self, id: &InstanceId) -> String {
        let kinds = [EventKind::IndexesWatched; 2];
        let last = self.parts.store.read(|reader| reader.last_event(id, kinds));
        match last {
            Ok(Some(last)) => format_time(last.event.at),
            _ => "the node was told to watch it, after its last start".to_owned(),
        }
    }

    fn report(
        &self,
        detail: &InstanceDetail,
        all: &[Asked],
        seen: &InstanceStatistics,
        slow: Vec<Value>,
        now: Timestamp,
    ) -> Result<Value, ControlError> {
        let id = &detail.instance.instance_id;
        let filter = EventFilter {
            instance_id: Some(id.clone()),
            severity: Some(Severity::Warning),
            since: now.checked_sub(SignedDuration::from_hours(24)).ok(),
            ..EventFilter::default()
        };
        let events = self
            .parts
            .store
            .read(|reader| reader.events(&filter, EVENTS))?;
        let dialect = Dialect::new(self.parts.engine.server_version_number());
        let shown = |statement: Option<&str>| masked(dialect, statement);
        let facts = &all[0].facts;
        let counter = |name: &str| {
            let status = facts.status.as_ref()?;
            status.get(name)?.parse::<u64>().ok()
        };
        let index_source = match (&facts.used_indexes, &facts.indexes) {
            (Some((_, since)), _) => format!("userstat (INDEX_STATISTICS), since {since}"),
            (None, Some(_)) => format!(
                "not watched; `openpeta admin instance watch-indexes --instance-id {id}` begins, \
                 until the node's next start"
            ),
            (None, None) => "unknown".to_owned(),
        };
        let top = seen.digests.iter().take(SHOWN).map(|digest| {
            json!({
                "statement": digest.statement, "count": digest.count, "errors": digest.errors,
                "total_us": digest.total_us, "p95_us": digest.p95_us, "max_us": digest.max_us,
            })
        });
        Ok(json!({
            "instance_id": id.as_str(),
            "at": format_time(now),
            "status": detail.instance.status,
            "node_id": detail.instance.node_id.as_ref().map(|node| node.as_str()),
            "nodes": all.len(),
            "node_uptime_seconds": counter("Uptime"),
            "findings": findings(all.iter().map(|asked| &asked.facts)),
            "unknown": all.iter().flat_map(Asked::unknown_here).collect::<Vec<_>>(),
            "index_usage": index_source,
            "sessions": facts.sessions.map(|(used, limit)| json!({ "used": used, "limit": limit })),
            "disk": fullest(all).map(|(used, quota)| json!({ "used": used, "quota": quota })),
            "buffer_pool": {
                "read_requests": counter("Innodb_buffer_pool_read_requests"),
                "reads_from_disk": counter("Innodb_buffer_pool_reads"),
            },
            "temporary_tables": {
                "all": counter("Created_tmp_tables"),
                "on_disk": counter("Created_tmp_disk_tables"),
            },
            "top_statements": top.collect::<Vec<_>>(),
            "slow_statements": slow,
            "transactions": listed(all, |facts| &facts.transactions, |one| json!({
                "session": one.session, "account": one.account, "seconds": one.seconds,
                "rows_modified": one.rows_modified, "rows_locked": one.rows_locked,
                "statement": shown(one.statement.as_deref()),
            })),
            "lock_waits": listed(all, |facts| &facts.lock_waits, |wait| json!({
                "session": wait.session, "seconds": wait.seconds, "table": wait.table,
                "statement": shown(wait.statement.as_deref()),
                "blocker": wait.blocker, "blocker_account": wait.blocker_account,
                "blocker_statement": shown(wait.blocker_statement.as_deref()),
            })),
            "largest_tables": largest(all),
            "events": events.iter().map(event_row).collect::<Vec<_>>(),
        }))
    }
}

/// What a node was asked.
#[derive(Default)]
struct Asked {
    /// Its number, where there are several.
    number: Option<u16>,
    facts: Facts,
    /// What could not be found out, and why.
    unknown: Vec<(&'static str, String)>,
}

impl Asked {
    /// Question after question: what one gives stays also if a later one never returns.
    async fn ask_all(&mut self, mut sql: NodeSql, since: &str) {
        if let Err(error) = sql.limit_statements().await {
            self.unknown.push(("a limit of time", error.to_string()));
        }
        let facts = &mut self.facts;
        let unknown = &mut self.unknown;
        facts.status = noted(unknown, "counters", sql.status().await);
        facts.transactions = noted(unknown, "transactions", sql.open_transactions().await);
        facts.lock_waits = noted(unknown, "lock waits", sql.lock_waits().await);
        facts.metadata_waits = noted(unknown, "metadata locks", sql.metadata_waits().await);
        facts.tables = noted(unknown, "tables", sql.table_facts().await);
        facts.indexes = noted(unknown, "indexes", sql.index_facts().await);
        let used = noted(unknown, "use of indexes", sql.used_indexes().await);
        facts.used_indexes = used.flatten().map(|used| (used, since.to_owned()));
        sql.close().await;
    }

    /// What could not be found out.
    fn unknown_here(&self) -> impl Iterator<Item = Value> {
        self.unknown.iter().map(|(what, reason)| match self.number {
            Some(number) => json!({ "what": format!("{what} of node {number}"), "reason": reason }),
            None => json!({ "what": what, "reason": reason }),
        })
    }
}

/// An index is unused where no node has read it, and all have been watched.
fn watched_by_all(all: &mut [Asked], since: &str) {
    let mut used = BTreeSet::new();
    let mut watched = true;
    for asked in &*all {
        match &asked.facts.used_indexes {
            Some((of_node, _)) => used.extend(of_node.iter().cloned()),
            None => watched = false,
        }
    }
    for asked in all {
        asked.facts.used_indexes = watched.then(|| (used.clone(), since.to_owned()));
    }
}

/// What of each node is shown, with its number where there are several.
fn listed<T>(
    all: &[Asked],
    of: impl Fn(&Facts) -> &Option<Vec<T>>,
    row: impl Fn(&T) -> Value,
) -> Vec<Value> {
    let of_node = |asked: &Asked| {
        let mut rows: Vec<_> = of(&asked.facts).iter().flatten().map(&row).collect();
        if let Some(number) = asked.number {
            rows.iter_mut().for_each(|row| row["node"] = number.into());
        }
        rows.truncate(SHOWN);
        rows
    };
    all.iter().flat_map(of_node).collect()
}

/// What the node has used, and may use, that has the least of it left.
fn fullest(all: &[Asked]) -> Option<(u64, u64)> {
    let share =
        |(used, quota): &(u64, u64)| u128::from(*used) * 1_000_000 / u128::from(*quota).max(1);
    let disks = all.iter().filter_map(|asked| asked.facts.disk);
    disks.max_by_key(share)
}

fn noted<T>(
    unknown: &mut Vec<(&'static str, String)>,
    what: &'static str,
    answer: Result<T, EngineError>,
) -> Option<T> {
    match answer {
        Ok(value) => Some(value),
        Err(error) => {
            unknown.push((what, error.to_string()));
            None
        }
    }
}

/// A statement without passwords, its beginning.
fn masked(dialect: Dialect, statement: Option<&str>) -> Option<String> {
    let masked = mask_passwords(statement?.as_bytes(), dialect);
    let text = String::from_utf8_lossy(&masked);
    Some(text.chars().take(LETTERS).collect())
}

/// The largest tables, each as large as it is on its node.
fn largest(all: &[Asked]) -> Vec<Value> {
    let size = |table: &TableFacts| table.data_bytes + table.index_bytes + table.free_bytes;
    let of_node = |asked| {
        let asked: &Asked = asked;
        let tables = asked.facts.tables.iter().flatten();
        tables.map(|table| (asked.number, table))
    };
    let mut sorted: Vec<_> = all.iter().flat_map(of_node).collect();
    sorted.sort_by_key(|(_, table)| std::cmp::Reverse(size(table)));
    let row = |(number, table): &(Option<u16>, &TableFacts)| {
        let mut row = json!({
            "table": format!("{}.{}", table.database, table.name),
            "engine": table.engine,
            "rows": table.rows,
            "data_bytes": table.data_bytes,
            "index_bytes": table.index_bytes,
            "free_bytes": table.free_bytes,
        });
        if let Some(number) = number {
            row["node"] = (*number).into();
        }
        row
    };
    sorted.iter().take(SHOWN).map(row).collect()
}
