//! Writes of distributed tables: on one node as they are, on several all or none.

use std::time::{SystemTime, UNIX_EPOCH};

use openpeta_mysql_wire::{ErrPacket, OkPacket, Status};

use super::copy::Copied;
use super::show::Diagnostic;
use super::{Failure, Session};
use crate::Refusal;
use crate::catalogue::{Distribution, Table};
use crate::node::{OkReply, Reply, ResultSet};
use crate::plan::broadcast_random;
use crate::plan::insert::{InsertPlan, Part};
use crate::plan::modify::ConditionPlace;
use crate::plan::portable::Needs;
use crate::quote::identifier;
use crate::topology::Topology;

/// What is set before each statement over nodes within a transaction.
pub(super) const SAVEPOINT: &str = "`openpeta_statement`";
/// `ER_CONSTRAINT_FAILED`.
pub(super) const CONSTRAINT_FAILED: u16 = 4025;

/// An answer, and what was warned of if that is known.
pub(super) type Judged = (Reply, Option<Vec<Diagnostic>>);

pub(super) fn as_they_are(replies: Vec<Reply>) -> Vec<Judged> {
    replies.into_iter().map(|reply| (reply, None)).collect()
}

impl Session {
    /// A statement that one node runs as it is.
    pub(super) async fn on_node(
        &mut self,
        node: u16,
        writes: bool,
        needs: &Needs,
        text: &[u8],
        more: bool,
    ) -> Result<Copied, Failure> {
        let carried = self.carried(needs, false).await?;
        let work = async {
            let start = self.nodes.begin_on(node, text.len()).await?;
            let connection = self.nodes.joined(node);
            let failed = |source| Failure::of_node(node, source);
            let statement = [carried.prefix.as_bytes(), text].concat();
            if start.is_empty() {
                if !carried.before.is_empty() {
                    let replies = connection.query_all(&carried.before).await;
                    for reply in replies.map_err(failed)? {
                        reply.ok()?;
                    }
                }
                return connection.send_query(statement).await.map_err(failed);
            }
            let ahead = start.iter().chain(&carried.before).map(String::as_bytes);
            let all: Vec<&[u8]> = ahead.chain([&statement[..]]).collect();
            connection.send_together(&all).await.map_err(failed)?;
            for _ in 1..all.len() {
                connection.read_reply().await.map_err(failed)?.ok()?;
            }
            Ok(())
        };
        self.client.attend(work).await?;
        let is_alone = writes && self.nodes.transaction().is_none();
        if writes {
            self.nodes.wrote(node);
        }
        let copied = self.copy_reply(node, more).await;
        let copied = copied.map_err(|failure| failure.behind_write(is_alone))?;
        self.note_of(node, &copied).await?;
        Ok(copied)
    }

    /// Takes note of what a node had to tell with its reply.
    pub(super) async fn note_of(&mut self, node: u16, copied: &Copied) -> Result<(), Failure> {
        let has_more_to_tell = copied.warnings > 0 || copied.error.is_some();
        let told = if has_more_to_tell {
            self.warnings_of(node).await?
        } else {
            Vec::new()
        };
        if node != Topology::HOME {
            self.diagnostics = Some(told);
        }
        Ok(())
    }

    /// `INSERT` or `REPLACE` with rows.
    pub(super) async fn insert(&mut self, plan: InsertPlan, more: bool) -> Result<Copied, Failure> {
        let name = (plan.table.schema.clone(), plan.table.name.clone());
        let is_broadcast = plan.table.distribution == Distribution::Broadcast;
        if is_broadcast && plan.needs.random {
            return Err(broadcast_random().into());
        }
        let ids = plan.ids();
        if ids > 0 && self.nodes.variables().increment != (1, 1) {
            return Err(Refusal::new(
                "auto-increment-step",
                "auto_increment_increment and auto_increment_offset must be 1 for distributed tables",
            )
            .into());
        }
        let instance = std::sync::Arc::clone(&self.instance);
        let first = match ids {
            0 => 0,
            _ => instance.ids().take(&instance, &name, ids).await?,
        };
        let topology = instance.topology();
        let parts = plan.parts(first, &topology);
        let several = parts.len() > 1;
        if plan.returning && several && plan.ignore && !is_broadcast {
            return Err(
                Refusal::new("returning", "RETURNING is not supported for this write").into(),
            );
        }
        if !several && ids == 0 && !is_broadcast {
            let [part] = &parts[..] else {
                return Err(Refusal::new("insert-form", "the statement has no rows").into());
            };
            let copied = self
                .on_node(part.node, true, &plan.needs, &part.statement, more)
                .await;
            if matches!(&copied, Ok(copied) if copied.error.is_none()) {
                self.count_inserted(&plan.table, &parts);
            }
            if let Some(greatest) = plan.greatest_id {
                instance.ids().saw(&name, greatest).await;
            }
            return copied;
        }
        let statements: Vec<_> = parts
            .iter()
            .map(|part| (part.node, part.statement.clone()))
            .collect();
        let places: Vec<_> = parts.iter().map(|part| &part.rows[..]).collect();
        let needs = Needs {
            skips: plan.ignore && plan.len() > 1,
            ..plan.needs.clone()
        };
        let replies = self
            .on_nodes(statements, &needs, is_broadcast, Some(&places))
            .await;
        if let Some(greatest) = plan.greatest_id {
            instance.ids().saw(&name, greatest).await;
        }
        let replies = replies?;
        self.count_inserted(&plan.table, &parts);
        if plan.returning {
            if ids > 0 {
                self.last_insert_id = Some(first);
            }
            let mut replies = replies;
            if is_broadcast {
                // All nodes give back the same.
                replies.truncate(1);
            }
            return self.returned(replies, Some(&places), more).await;
        }
        let mut sum = Sum::default();
        for (reply, part) in replies.iter().zip(&parts) {
            sum.add_insert(reply, part.rows.len(), &plan);
            if is_broadcast {
                break;
            }
        }
        let id = match ids {
            0 => plan.greatest_id.filter(|_| sum.affected > 0).unwrap_or(0),
            _ => first,
        };
        if ids > 0 && sum.affected > 0 {
            self.last_insert_id = Some(first);
        }
        // Rows that a constraint has kept out are none.
        let diagnostics = self.diagnostics.iter().flatten();
        let kept_out = diagnostics.filter(|it| plan.ignore && it.is_of_constraint());
        let records = (plan.len() as u64).saturating_sub(kept_out.count() as u64);
        let duplicates = if plan.updates {
            sum.duplicates
        } else if plan.replace {
            sum.affected.saturating_sub(records)
        } else if plan.ignore {
            records.saturating_sub(sum.affected)
        } else {
            0
        };
        let info = match plan.len() {
            1 => String::new(),
            _ => format!(
                "Records: {records}  Duplicates: {duplicates}  Warnings: {}",
                sum.warnings
            ),
        };
        self.done(sum.affected, id, sum.warnings, info, more).await
    }

    /// Counts rows for their partitions.
    fn count_inserted(&self, table: &Table, parts: &[Part]) {
        if let Some(partitions) = self.instance.topology().partitions(&table.schema) {
            let rows = parts.iter().flat_map(|part| part.partitions.iter());
            let rows = rows.map(|(partition, rows)| (*partition, *rows));
            let heat = self.instance.heat();
            heat.wrote(&table.schema, partitions.count(), rows);
        }
    }

    /// `UPDATE` or `DELETE` on several nodes.
    pub(super) async fn modify(
        &mut self,
        statements: Vec<(u16, Vec<u8>)>,
        is_broadcast: bool,
        needs: &Needs,
        returning: bool,
        more: bool,
    ) -> Result<Copied, Failure> {
        let replies = self.on_nodes(statements, needs, is_broadcast, None).await?;
        if returning {
            return self.returned(replies, None, more).await;
        }
        let mut sum = Sum::default();
        for reply in &replies {
            sum.add(reply);
            if is_broadcast {
                break;
            }
        }
        let info = match sum.matched {
            Some((matched, changed)) => format!(
                "Rows matched: {matched}  Changed: {changed}  Warnings: {}",
                sum.warnings
            ),
            None => String::new(),
        };
        self.done(sum.affected, 0, sum.warnings, info, more).await
    }

    /// An `UPDATE` or `DELETE` as each node runs it: without rows there that are another node's.
    pub(super) fn modifications(
        &self,
        nodes: &[u16],
        table: &Table,
        goes_by: Option<&str>,
        place: &ConditionPlace,
        text: &[u8],
    ) -> Vec<(u16, Vec<u8>)> {
        let topology = self.instance.topology();
        let owned = topology.owned(&table.schema);
        let parts = topology.partitions(&table.schema).zip(table.key());
        let of = |node: &u16| {
            let (Some(owned), Some((partitions, key))) = (&owned, parts) else {
                return (*node, text.to_vec());
            };
            let column = match goes_by {
                Some(table) => format!("{}.{}", identifier(table), identifier(&key.name)),
                None => identifier(&key.name),
            };
            let partition = key.kind.partition_sql(&column, partitions);
            let owned = owned.get(node).map_or(&[][..], Vec::as_slice);
            let condition = crate::plan::among(&partition, owned);
            (*node, place.narrowed(text, &condition))
        };
        nodes.iter().map(of).collect()
    }

    /// Runs statements on nodes, all of them or none: as a transaction of its own, or undone to where
    /// the session's transaction was.
    pub(super) async fn on_nodes(
        &mut self,
        statements: Vec<(u16, Vec<u8>)>,
        needs: &Needs,
        is_broadcast: bool,
        places: Option<&[&[usize]]>,
    ) -> Result<Vec<Reply>, Failure> {
        self.in_batches(vec![statements], needs, is_broadcast, places, false)
            .await
    }

    /// As [`Self::on_nodes`], one batch of statements after another. `begun` says that others of the same
    /// statement were run before, whose transaction, or savepoint, is there: it is not ended, and on a failure
    /// nothing is undone.
    pub(super) async fn in_batches(
        &mut self,
        batches: Vec<Vec<(u16, Vec<u8>)>>,
        needs: &Needs,
        is_broadcast: bool,
        places: Option<&[&[usize]]>,
        begun: bool,
    ) -> Result<Vec<Reply>, Failure> {
        let own = self.nodes.transaction().is_none();
        let carried = self.carried(needs, true).await?;
        if own {
            let before = self.next_transaction.take();
            self.nodes.begin(before, false, true);
        }
        let mut touched: Vec<u16> = Vec::new();
        let mut all = Vec::new();
        let mut told = Vec::new();
        let batches = batches.into_iter().flat_map(|batch| match is_broadcast {
            true => home_first(batch),
            false => vec![batch],
        });
        for batch in batches {
            let new: Vec<u16> = batch.iter().map(|(node, _)| *node).collect();
            let savepoint = |node: &u16| !own && !begun && !touched.contains(node);
            let with_savepoint: Vec<u16> = new.iter().copied().filter(savepoint).collect();
            let replies = self.batch(&batch, &carried, &with_savepoint).await?;
            for node in new {
                if !touched.contains(&node) {
                    touched.push(node);
                }
            }
            let replies = match needs.skips {
                true => self.skipped(&batch, replies, places).await?,
                false => as_they_are(replies),
            };
            match self.judge(&batch, replies, is_broadcast, places).await {
                Ok((replies, diagnostics)) => {
                    all.extend(replies);
                    // Each node says the same of a broadcast table.
                    if !is_broadcast || told.is_empty() {
                        told.extend(diagnostics);
                    }
                }
                Err(failure) => {
                    // The caller rolls back what is a transaction of its own.
                    let code = failure.packet().map_or(0, |error| error.code);
                    if !own && !begun && !super::is_rolled_back(code) {
                        self.undo_statement(&touched).await?;
                    }
                    return Err(failure);
                }
            }
        }
        self.diagnostics = Some(told);
        if own {
            self.nodes.commit().await?;
        }
        Ok(all)
    }

    /// Sends statements to nodes at once, and reads the reply to each.
    async fn batch(
        &mut self,
        statements: &[(u16, Vec<u8>)],
        carried: &Carried,
        with_savepoint: &[u16],
    ) -> Result<Vec<Reply>, Failure> {
        let nodes = &mut self.nodes;
        let savepoint = format!("SAVEPOINT {SAVEPOINT}");
        let work = async {
            let mut starts = Vec::new();
            for (node, statement) in statements {
                starts.push(nodes.begin_on(*node, statement.len()).await?);
                nodes.wrote(*node);
            }
            let mut sent = Vec::new();
            for ((node, statement), start) in statements.iter().zip(&starts) {
                let connection = nodes.joined(*node);
                let failed = |source| Failure::of_node(*node, source);
                let savepoint = with_savepoint.contains(node).then_some(&savepoint);
                let ahead = start.iter().chain(&carried.before).chain(savepoint);
                let statement = [carried.prefix.as_bytes(), statement].concat();
                let all: Vec<&[u8]> = ahead
                    .map(String::as_bytes)
                    .chain([&statement[..]])
                    .collect();
                if start.is_empty() {
                    for statement in &all {
                        connection.send_query(statement).await.map_err(failed)?;
                    }
                } else {
                    connection.send_together(&all).await.map_err(failed)?;
                }
                sent.push((*node, all.len(), !start.is_empty()));
            }
            let mut replies = Vec::new();
            for (node, count, together) in sent {
                let connection = nodes.joined(node);
                let mut failure = None;
                let mut last = None;
                for _ in 0..count {
                    let reply = connection.read_reply().await;
                    match reply.map_err(|source| Failure::of_node(node, source))? {
                        Reply::Err(error) => {
                            failure.get_or_insert(error);
                            if together {
                                // Nothing behind it was run.
                                break;
                            }
                        }
                        reply => last = Some(reply),
                    }
                }
                replies.extend(failure.map(Reply::Err).or(last));
            }
            Ok(replies)
        };
        self.client.attend(work).await
    }

    /// Undoes what the statement has done on these nodes, within the session's transaction.
    pub(super) async fn undo_statement(&mut self, nodes: &[u16]) -> Result<(), Failure> {
        let running = std::sync::Arc::clone(self.nodes.running());
        running.settle().await;
        for node in nodes {
            let failed = |source| Failure::of_node(*node, source);
            let back = format!("ROLLBACK TO SAVEPOINT {SAVEPOINT}");
            let reply = self.nodes.joined(*node).query(back).await;
            reply.map_err(failed)?.ok()?;
        }
        Ok(())
    }

    /// A server skips a row that a constraint keeps out, with `IGNORE`, unless it is the only one: where it is
    /// for a node, it is no error either, but a warning.
    async fn skipped(
        &mut self,
        statements: &[(u16, Vec<u8>)],
        replies: Vec<Reply>,
        places: Option<&[&[usize]]>,
    ) -> Result<Vec<Judged>, Failure> {
        let mut judged = Vec::with_capacity(replies.len());
        for (at, ((node, _), reply)) in statements.iter().zip(replies).enumerate() {
            let is_alone =
                places.is_some_and(|places| places.get(at).is_some_and(|it| it.len() == 1));
            if !is_alone || !matches!(&reply, Reply::Err(error) if error.code == CONSTRAINT_FAILED)
            {
                judged.push((reply, None));
                continue;
            }
            let mut told = self.warnings_of(*node).await?;
            told.iter_mut().for_each(Diagnostic::make_warning);
            let head = OkPacket {
                affected_rows: 0,
                last_insert_id: 0,
                status: Status::default(),
                warnings: u16::try_from(told.len()).unwrap_or(u16::MAX),
            };
            let info = Vec::new();
            judged.push((Reply::Ok(OkReply { head, info }), Some(told)));
        }
        Ok(judged)
    }

    /// Whether all nodes have done what they were asked for.
    pub(super) async fn judge(
        &mut self,
        statements: &[(u16, Vec<u8>)],
        replies: Vec<Judged>,
        is_broadcast: bool,
        places: Option<&[&[usize]]>,
    ) -> Result<(Vec<Reply>, Vec<Diagnostic>), Failure> {
        let mut told = Vec::new();
        let mut failures = Vec::new();
        let mut known = Vec::new();
        let mut plain = Vec::with_capacity(replies.len());
        for (reply, told) in replies {
            plain.push(reply);
            known.push(told);
        }
        let replies = plain;
        for (at, ((node, _), reply)) in statements.iter().zip(&replies).enumerate() {
            let rows = places.and_then(|places| places.get(at).copied());
            let warnings = match reply {
                Reply::Ok(ok) => ok.head.warnings,
                Reply::Rows(rows) => rows.warnings,
                Reply::Err(error) => {
                    failures.push(renumbered(error.clone(), rows));
                    continue;
                }
            };
            if warnings > 0 && failures.is_empty() && (!is_broadcast || told.is_empty()) {
                let of_node = match known[at].take() {
                    Some(known) => known,
                    None => self.warnings_of(*node).await?,
                };
                for mut diagnostic in of_node {
                    let row = diagnostic.renumber(rows);
                    told.push((row, diagnostic));
                }
            }
        }
        // What has undone the transaction tells more than anything else; then the first row counts.
        failures.sort_by_key(|(row, error)| (!super::is_rolled_back(error.code), *row));
        if let Some((_, error)) = failures.into_iter().next() {
            return Err(error.into());
        }
        told.sort_by_key(|(row, _)| *row);
        let told: Vec<_> = told.into_iter().map(|(_, diagnostic)| diagnostic).collect();
        if is_broadcast {
            let counts = |reply: &Reply| match reply {
                Reply::Ok(ok) => Some((ok.head.affected_rows, ok.info.clone())),
                _ => None,
            };
            let first = replies.first().map(counts);
            if replies.iter().any(|reply| Some(counts(reply)) != first) {
                return Err(broadcast_random().into());
            }
        }
        Ok((replies, told))
    }

    /// Sends the rows that a write gave back; in the order of its rows, if that is known.
    async fn returned(
        &mut self,
        replies: Vec<Reply>,
        places: Option<&[&[usize]]>,
        more: bool,
    ) -> Result<Copied, Failure> {
        let mut all = ResultSet::default();
        let mut rows: Vec<(usize, Vec<u8>)> = Vec::new();
        for (number, reply) in replies.into_iter().enumerate() {
            let Some(set) = reply.rows() else { continue };
            all.columns = set.columns;
            all.warnings = all.warnings.saturating_add(set.warnings);
            for (at, row) in set.rows.into_iter().enumerate() {
                let place = places.and_then(|places| places[number].get(at).copied());
                rows.push((place.unwrap_or(0), row));
            }
        }
        rows.sort_by_key(|(place, _)| *place);
        all.rows = rows.into_iter().map(|(_, row)| row).collect();
        let status = self.status(more);
        let rows = all.rows.len() as u64;
        self.client.rows(&all, status).await?;
        Ok(Copied {
            error: None,
            warnings: all.warnings,
            rows,
        })
    }

    /// What a node has to tell of its last statement.
    pub(super) async fn warnings_of(&mut self, node: u16) -> Result<Vec<Diagnostic>, Failure> {
        let reply = self.nodes.joined(node).query("SHOW WARNINGS").await;
        let reply = reply.map_err(|source| Failure::of_node(node, source))?;
        let rows = reply.rows().map(|rows| rows.texts().unwrap_or_default());
        Ok(rows
            .into_iter()
            .flatten()
            .filter_map(Diagnostic::of_row)
            .collect())
    }

    /// What must be set on nodes before a statement runs there, and behind it.
    pub(super) async fn carried(
        &mut self,
        needs: &Needs,
        several: bool,
    ) -> Result<Carried, Failure> {
        let mut carried = Carried::default();
        let mut set = Vec::new();
        if let Some(fixed) = &self.fixed_timestamp {
            set.push(format!("timestamp={fixed}"));
        } else if several {
            let now = SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            set.push(format!(
                "timestamp={}.{:06}",
                now.as_secs(),
                now.subsec_micros()
            ));
        }
        if needs.last_insert_id {
            let id = match self.last_insert_id {
                Some(id) => id.to_string(),
                None => self
                    .value_at_home("SELECT LAST_INSERT_ID()")
                    .await?
                    .unwrap_or_default(),
            };
            set.push(format!("last_insert_id={id}"));
        }
        if needs.utc {
            set.push("time_zone='+00:00'".to_owned());
        }
        if !set.is_empty() {
            carried.prefix = format!("SET STATEMENT {} FOR ", set.join(","));
        }
        for variable in &needs.variables {
            let name = String::from_utf8_lossy(variable).into_owned();
            // What is neither a whole number nor a decimal is a text; NULL is NULL.
            let question = format!(
                "SELECT IF({name} IS NULL, 'NULL', IF(COERCIBILITY({name}) = 5, {name}, QUOTE({name})))"
            );
            let value = self
                .value_at_home(&question)
                .await?
                .unwrap_or_else(|| "NULL".into());
            let is_float =
                value.contains(['e', 'E']) && !value.starts_with('\'') && value != "NULL";
            if is_float || self.facts.has_mode("NO_BACKSLASH_ESCAPES") {
                return Err(Refusal::new(
                    "user-variable",
                    format!("the value of {name} cannot be carried to other nodes"),
                )
                .into());
            }
            carried.before.push(format!("SET {name} = {value}"));
        }
        Ok(carried)
    }

    pub(super) async fn value_at_home(
        &mut self,
        question: &str,
    ) -> Result<Option<String>, Failure> {
        let reply = self
            .nodes
            .home()
            .query(question)
            .await
            .map_err(Failure::Home)?;
        let rows = reply
            .ok()?
            .rows()
            .map(|rows| rows.texts().unwrap_or_default());
        let value = rows.into_iter().flatten().flatten().next().flatten();
        Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
    }
}

/// What goes before a statement on a node.
#[derive(Debug, Default)]
pub(super) struct Carried {
    /// Statements of their own.
    pub before: Vec<String>,
    /// What the statement begins with.
    pub prefix: String,
}

/// What nodes have done together.
#[derive(Debug, Default)]
pub(super) struct Sum {
    pub affected: u64,
    pub warnings: u16,
    pub duplicates: u64,
    /// Rows matched and changed.
    matched: Option<(u64, u64)>,
}

impl Sum {
    pub fn add(&mut self, reply: &Reply) {
        let Reply::Ok(ok) = reply else { return };
        self.affected += ok.head.affected_rows;
        self.warnings = self.warnings.saturating_add(ok.head.warnings);
        let info = String::from_utf8_lossy(&ok.info);
        if let (Some(matched), Some(changed)) =
            (number(&info, "Rows matched: "), number(&info, "Changed: "))
        {
            let (had_matched, had_changed) = self.matched.unwrap_or_default();
            self.matched = Some((had_matched + matched, had_changed + changed));
        }
        self.duplicates += number(&info, "Duplicates: ").unwrap_or(0);
    }

    fn add_insert(&mut self, reply: &Reply, rows: usize, plan: &InsertPlan) {
        self.add(reply);
        if let Reply::Ok(ok) = reply
            && rows == 1
            && plan.updates
        {
            // A node says nothing of duplicates among one row.
            self.duplicates += u64::from(ok.head.affected_rows > 1);
        }
    }
}

/// An error with the row's number in the whole statement, and that number.
fn renumbered(mut error: ErrPacket, rows: Option<&[usize]>) -> (usize, ErrPacket) {
    let mut message = String::from_utf8_lossy(&error.message).into_owned();
    let row = renumber(&mut message, |row| rows?.get(row).copied());
    if row > 0 {
        error.message = message.into_bytes();
    }
    (row, error)
}

/// Puts the row's number in the whole statement into a message that names one; 0 if it names none. Which
/// row it is, from 0, is told by its place among those of the message.
pub(super) fn renumber(message: &mut String, row_of: impl FnOnce(usize) -> Option<usize>) -> usize {
    const AT_ROW: &str = " at row ";
    let Some(at) = message.rfind(AT_ROW).map(|at| at + AT_ROW.len()) else {
        return 0;
    };
    let digits = message[at..].bytes().take_while(u8::is_ascii_digit).count();
    let number = message[at..at + digits].parse::<usize>().ok();
    let row = number.and_then(|number| row_of(number.checked_sub(1)?));
    let Some(row) = row.map(|row| row + 1) else {
        return 0;
    };
    message.replace_range(at..at + digits, &row.to_string());
    row
}

/// Puts the row's number into a message about one that has so many before those that it counts.
pub(super) fn follow(message: &mut String, before: usize) {
    const ROW: &str = "Row ";
    renumber(message, |row| Some(before + row));
    let Some(text) = message.strip_prefix(ROW) else {
        return;
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if let Ok(row) = text[..digits].parse::<usize>() {
        *message = format!("{ROW}{}{}", before + row, &text[digits..]);
    }
}

/// The number behind a word.
pub(super) fn number(info: &str, word: &str) -> Option<u64> {
    let at = info.find(word)? + word.len();
    let digits = info[at..].split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// What home does of a batch, and what the others do: who writes the same rows of a broadcast table as somebody
/// else waits for him at home, where two who each were first on one node would wait for each other.
fn home_first(batch: Vec<(u16, Vec<u8>)>) -> Vec<Vec<(u16, Vec<u8>)>> {
    let (home, others) = batch
        .into_iter()
        .partition(|(node, _)| *node == Topology::HOME);
    let mut parts = vec![home, others];
    parts.retain(|part: &Vec<_>| !part.is_empty());
    parts
}
