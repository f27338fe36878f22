//! Writes whose rows are made at home and go to their nodes from there.

mod rows;
mod values;

use std::collections::BTreeMap;

use rows::rows_definition;
use values::{place_of_row, put_literal, shown};

use super::copy::Copied;
use super::load::Begun;
use super::show::Diagnostic;
use super::write::Sum;
use super::{Failure, Session};
use crate::Refusal;
use crate::catalogue::{Distribution, Table};
use crate::gather;
use crate::node::{Reply, text_row};
use crate::plan::broadcast_random;
use crate::plan::collect::CollectPlan;
use crate::quote::identifier;
use crate::topology::Topology;

/// The table at home that rows are made in.
const ROWS: &str = "openpeta_rows";
/// Bytes of a file that are sent together.
const PIECE: usize = 64 << 10;
/// How long a statement for a node becomes.
const BATCH: usize = 1 << 20;
/// Warnings that a server keeps of a statement.
const WARNINGS: usize = 64;
/// How many bytes of rows are kept in memory.
pub(super) const LIMIT: usize = 1 << 30;

impl Session {
    /// Carries such a write out.
    pub(super) async fn collect(
        &mut self,
        mut plan: CollectPlan,
        more: bool,
    ) -> Result<Copied, Failure> {
        let table = &plan.table;
        if table.distribution == Distribution::Broadcast && plan.needs.random {
            return Err(broadcast_random().into());
        }
        let charsets = ["character_set_client", "character_set_results"].map(|name| {
            self.nodes
                .variables()
                .get(name)
                .unwrap_or("utf8mb4")
                .to_owned()
        });
        if charsets.iter().any(|charset| charset != "utf8mb4") {
            return Err(Refusal::new(
                "charset",
                "this write of a distributed table needs a session in utf8mb4",
            )
            .into());
        }
        match plan.split.take() {
            Some(split) => self.load(plan, split, more).await,
            None => self.collect_rows(plan, None, more).await,
        }
    }

    /// Makes rows at home and brings them to their nodes: all, or the rest of a file of which lines were
    /// brought there before.
    pub(super) async fn collect_rows(
        &mut self,
        plan: CollectPlan,
        mut begun: Option<Begun>,
        more: bool,
    ) -> Result<Copied, Failure> {
        let table = std::sync::Arc::clone(&plan.table);
        if begun.as_ref().is_some_and(|begun| begun.rest.is_none()) {
            let made = Made::default();
            return self.distribute(plan, &table, made, begun, more).await;
        }
        let rows_table = format!("{}.`{ROWS}`", identifier(&table.schema));
        let create = rows_definition(&table, &rows_table).ok_or_else(|| {
            Refusal::new("insert-form", "the table's definition is not understood")
        })?;
        let drop = format!("DROP TEMPORARY TABLE IF EXISTS {rows_table}");
        for statement in [&drop, &create] {
            self.nodes
                .home()
                .query(statement)
                .await
                .map_err(Failure::Home)?
                .ok()?;
        }
        let rest = begun.as_mut().and_then(|begun| begun.rest.take());
        let before = begun.as_ref().map_or(0, |begun| begun.records);
        let made = self
            .make_rows(&plan, &table, &rows_table, rest, before)
            .await;
        let dropped = async {
            self.nodes.drain().await?;
            let reply = self.nodes.home().query(&drop).await;
            reply.map_err(Failure::Home)?.ok()?;
            Ok::<(), Failure>(())
        };
        let made = match made {
            Ok(made) => {
                dropped.await?;
                made
            }
            Err(failure) => {
                if failure.packet().is_some() {
                    dropped.await?;
                }
                return Err(failure);
            }
        };
        self.distribute(plan, &table, made, begun, more).await
    }

    /// Makes the rows at home and reads them.
    async fn make_rows(
        &mut self,
        plan: &CollectPlan,
        table: &Table,
        rows_table: &str,
        rest: Option<Vec<u8>>,
        before: u64,
    ) -> Result<Made, Failure> {
        let statement = match &plan.load {
            Some((head, tail)) => [&head[..], rows_table.as_bytes(), tail].concat(),
            None => {
                let verb = if plan.ignore {
                    "INSERT IGNORE INTO"
                } else {
                    "INSERT INTO"
                };
                let columns = if plan.columns.is_empty() {
                    let visible = table.columns.iter().filter(|column| !column.invisible);
                    visible
                        .map(|column| identifier(&column.name).into_bytes())
                        .collect()
                } else {
                    plan.columns.clone()
                };
                let columns = columns.join(&b", "[..]);
                [
                    format!("{verb} {rows_table} (").as_bytes(),
                    &columns,
                    b") ",
                    &plan.source,
                ]
                .concat()
            }
        };
        let gathered = match &plan.reads {
            None => None,
            Some(reads) => {
                let manner = self.manner();
                let work = gather::run(
                    &mut self.nodes,
                    reads,
                    &plan.source,
                    reads.recipes.len() - 1,
                    manner,
                );
                Some(self.client.attend(work).await?)
            }
        };
        let filled = self.fill_rows(&statement, rest).await;
        if let Some(gathered) = gathered {
            gather::clean_up(&mut self.nodes, &gathered).await?;
        }
        let before = usize::try_from(before).unwrap_or(usize::MAX);
        let (warnings, mut diagnostics) = filled.map_err(|failure| match failure {
            Failure::Statement(mut error) => {
                let mut message =
                    String::from_utf8_lossy(&error.message).replace(ROWS, &table.name);
                super::write::follow(&mut message, before);
                error.message = message.into_bytes();
                Failure::Statement(error)
            }
            other => other,
        })?;
        for diagnostic in &mut diagnostics {
            diagnostic.follow(before);
        }
        let stored: Vec<usize> = (0..table.columns.len())
            .filter(|at| !table.columns[*at].generated)
            .collect();
        let list: Vec<_> = stored.iter().map(|at| shown(&table.columns[*at])).collect();
        let question = format!(
            "SET STATEMENT time_zone='+00:00', sql_select_limit=DEFAULT FOR SELECT {} FROM {rows_table}",
            list.join(", ")
        );
        let reply = self
            .nodes
            .home()
            .query(question)
            .await
            .map_err(Failure::Home)?;
        let rows = reply.ok()?.rows().unwrap_or_default();
        if rows.rows.iter().map(Vec::len).sum::<usize>() > LIMIT {
            return Err(Refusal::new(
                "insert-size",
                "the statement has more rows than one can have",
            )
            .into());
        }
        Ok(Made {
            rows: rows.rows,
            stored,
            warnings,
            diagnostics,
        })
    }

    /// Runs what makes the rows; a file comes from the client, or what has come of it and is not used.
    async fn fill_rows(
        &mut self,
        statement: &[u8],
        rest: Option<Vec<u8>>,
    ) -> Result<(u16, Vec<Diagnostic>), Failure> {
        use crate::node::Started;
        let home = self.nodes.home();
        home.send_query(statement).await.map_err(Failure::Home)?;
        let mut started = home.start().await.map_err(Failure::Home)?;
        if let Started::File { mut sequence } = started {
            match rest {
                None => self.bring_file(statement).await?,
                Some(rest) => {
                    for piece in rest.chunks(PIECE).chain([&b""[..]]) {
                        let home = self.nodes.home();
                        let sent = home.send_file(sequence, piece).await;
                        sequence = sent.map_err(Failure::Home)?;
                    }
                }
            }
            started = self.nodes.home().start().await.map_err(Failure::Home)?;
        }
        let warnings = match started {
            Started::Done(reply) => match reply.ok()? {
                Reply::Ok(ok) => ok.head.warnings,
                _ => 0,
            },
            _ => return Err(Refusal::new("insert-form", "this write gives rows").into()),
        };
        let diagnostics = match warnings {
            0 => Vec::new(),
            _ => self.warnings_of(Topology::HOME).await?,
        };
        Ok((warnings, diagnostics))
    }

    /// Asks the client for the file of a statement.
    pub(super) async fn request_file(&mut self, statement: &[u8]) -> Result<(), Failure> {
        let dialect = self.facts.dialect;
        let tokens = crate::plan::text::Tokens::of(statement, dialect);
        let name = tokens.list.iter().find_map(|token| token.string(&dialect));
        let request = [&[0xFB][..], &name.unwrap_or_default()].concat();
        self.client.send([&request[..]]).await
    }

    /// Brings home the file that it asked for.
    async fn bring_file(&mut self, statement: &[u8]) -> Result<(), Failure> {
        self.request_file(statement).await?;
        loop {
            let packet = self.client.stream().next_packet().await;
            let packet = packet.map_err(|_| Failure::Client)?;
            let home = self.nodes.home().stream();
            super::login::relay(home, &packet)
                .await
                .map_err(Failure::Home)?;
            if packet.payload.is_empty() {
                self.client.follow(packet.sequence);
                return Ok(());
            }
        }
    }

    /// Gives the rows ids where they have none, and brings them to their nodes.
    async fn distribute(
        &mut self,
        plan: CollectPlan,
        table: &Table,
        made: Made,
        begun: Option<Begun>,
        more: bool,
    ) -> Result<Copied, Failure> {
        let is_begun = begun.is_some();
        let own = is_begun && self.nodes.transaction().is_some_and(|it| it.of_statement);
        let begun = begun.unwrap_or_default();
        let name = (table.schema.clone(), table.name.clone());
        let instance = std::sync::Arc::clone(&self.instance);
        let topology = instance.topology();
        let auto_at = table
            .auto_increment
            .and_then(|auto| made.stored.iter().position(|at| *at == auto));
        let zero_counts = self.facts.has_mode("NO_AUTO_VALUE_ON_ZERO");
        let width = made.stored.len();
        let mut rows = Vec::with_capacity(made.rows.len());
        for row in &made.rows {
            let values = text_row(row, width).map_err(|error| Failure::Home(error.into()))?;
            rows.push(values);
        }
        let wants_id = |values: &[Option<&[u8]>]| {
            auto_at.is_some_and(|at| values[at].is_none_or(|value| value == b"0" && !zero_counts))
        };
        let ids = rows.iter().filter(|values| wants_id(values)).count() as u64;
        if ids > 0 && self.nodes.variables().increment != (1, 1) {
            return Err(Refusal::new(
                "auto-increment-step",
                "auto_increment_increment and auto_increment_offset must be 1 for distributed tables",
            )
            .into());
        }
        let first = match ids {
            0 => 0,
            _ => instance.ids().take(&instance, &name, ids).await?,
        };
        let verb = match (plan.replace, plan.ignore) {
            (true, _) => "REPLACE INTO",
            (_, true) => "INSERT IGNORE INTO",
            _ => "INSERT INTO",
        };
        let list: Vec<_> = made
            .stored
            .iter()
            .map(|at| identifier(&table.columns[*at].name))
            .collect();
        let head = format!(
            "{verb} {}.{} ({}) VALUES ",
            identifier(&table.schema),
            identifier(&table.name),
            list.join(", ")
        );
        let no_backslashes = self.facts.has_mode("NO_BACKSLASH_ESCAPES");
        let mut next_id = first;
        let mut greatest = None;
        let mut parts: BTreeMap<u16, Vec<Vec<u8>>> = BTreeMap::new();
        let mut written = begun.written;
        for values in &rows {
            let id = wants_id(values).then(|| {
                next_id += 1;
                (next_id - 1).to_string()
            });
            if let (Some(at), None) = (auto_at, &id) {
                let own = values[at]
                    .and_then(|value| std::str::from_utf8(value).ok()?.parse::<u64>().ok());
                greatest = greatest.max(own);
            }
            let mut text = b"(".to_vec();
            for (number, at) in made.stored.iter().enumerate() {
                if number > 0 {
                    text.push(b',');
                }
                match &id {
                    Some(id) if auto_at == Some(number) => text.extend_from_slice(id.as_bytes()),
                    _ => put_literal(
                        &mut text,
                        &table.columns[*at],
                        values[number],
                        no_backslashes,
                    ),
                }
            }
            text.push(b')');
            let key_id = id.as_deref().map(str::as_bytes);
            let place = place_of_row(table, &made.stored, values, auto_at, key_id, &topology)?;
            let nodes = match place {
                Some((partition, node)) => {
                    *written.entry(partition).or_default() += 1;
                    vec![node]
                }
                None => topology.nodes_of(&table.schema),
            };
            for node in nodes {
                let statements = parts.entry(node).or_default();
                match statements.last_mut() {
                    Some(last) if last.len() + text.len() < BATCH => {
                        last.push(b',');
                        last.extend_from_slice(&text);
                    }
                    _ => statements.push([head.as_bytes(), &text].concat()),
                }
            }
        }
        let records = begun.records + rows.len() as u64;
        let batches = batches(parts, &plan.tail);
        let is_broadcast = table.distribution == Distribution::Broadcast;
        let mut needs = plan.needs.clone();
        needs.utc = !plan.updates;
        let mut sum = Sum::default();
        (sum.affected, sum.warnings) = (begun.affected, begun.warnings);
        if !batches.is_empty() {
            let share = if is_broadcast {
                topology.nodes_of(&table.schema).len()
            } else {
                1
            };
            let replies = self
                .in_batches(batches, &needs, is_broadcast, None, is_begun)
                .await;
            if let Some(greatest) = greatest {
                instance.ids().saw(&name, greatest).await;
            }
            let replies = replies?;
            for reply in replies.iter().step_by(share) {
                sum.add(reply);
                // A node says nothing of duplicates among one row.
                if let Reply::Ok(ok) = reply
                    && plan.updates
                    && ok.info.is_empty()
                {
                    sum.duplicates += u64::from(ok.head.affected_rows > 1);
                }
            }
        }
        if own {
            self.nodes.commit().await?;
        }
        if let Some(partitions) = topology.partitions(&table.schema)
            && !written.is_empty()
        {
            let heat = instance.heat();
            heat.wrote(&table.schema, partitions.count(), written);
        }
        if ids > 0 && sum.affected > 0 {
            self.last_insert_id = Some(first);
        }
        let warnings = sum.warnings.saturating_add(made.warnings);
        let told = self.diagnostics.take().unwrap_or_default();
        let told = begun
            .diagnostics
            .into_iter()
            .chain(made.diagnostics)
            .chain(told);
        self.diagnostics = Some(told.take(WARNINGS).collect());
        let info = info(&plan, records, &sum, warnings);
        let id = match ids {
            // Nothing is said of ids behind a file.
            _ if plan.load.is_some() => 0,
            0 => greatest
                .filter(|_| sum.affected > 0 && !plan.is_query)
                .unwrap_or(0),
            _ => first,
        };
        self.done(sum.affected, id, warnings, info, more).await
    }
}

/// Rows that were made at home.
#[derive(Default)]
struct Made {
    rows: Vec<Vec<u8>>,
    /// The columns that they have, by their places in the table.
    stored: Vec<usize>,
    warnings: u16,
    diagnostics: Vec<Diagnostic>,
}

fn info(plan: &CollectPlan, records: u64, sum: &Sum, warnings: u16) -> String {
    let duplicates = if plan.updates {
        sum.duplicates
    } else if plan.replace {
        sum.affected.saturating_sub(records)
    } else if plan.ignore {
        records.saturating_sub(sum.affected)
    } else {
        0
    };
    if plan.load.is_some() {
        let (deleted, skipped) = if plan.replace {
            (duplicates, 0)
        } else {
            (0, duplicates)
        };
        return format!(
            "Records: {records}  Deleted: {deleted}  Skipped: {skipped}  Warnings: {warnings}"
        );
    }
    if records == 1 && !plan.is_query {
        return String::new();
    }
    format!("Records: {records}  Duplicates: {duplicates}  Warnings: {warnings}")
}

/// Statements of nodes that are sent together: the first of each, then the second.
fn batches(parts: BTreeMap<u16, Vec<Vec<u8>>>, tail: &[u8]) -> Vec<Vec<(u16, Vec<u8>)>> {
    let mut batches: Vec<Vec<(u16, Vec<u8>)>> = Vec::new();
    for (node, statements) in parts {
        for (number, mut statement) in statements.into_iter().enumerate() {
            if !tail.is_empty() {
                statement.push(b' ');
                statement.extend_from_slice(tail);
            }
            match batches.get_mut(number) {
                Some(batch) => batch.push((node, statement)),
                None => batches.push(vec![(node, statement)]),
            }
        }
    }
    batches
}
