//! Statements that the client has prepared: each is prepared at home, which knows their parameters and
//! columns; where it runs is told each time from the values.

use std::collections::HashMap;
use std::sync::Arc;

use openpeta_mysql_wire::command::COM_STMT_CLOSE;
use openpeta_mysql_wire::{ErrPacket, WireError};
use openpeta_sql_route::{Dialect, Encoding, Lexer, TokenKind};

use super::copy::Copied;
use super::{Failure, Session};
use crate::Refusal;
use crate::catalogue::Catalogue;
use crate::gather;
use crate::node::{Execution, NodeError, Parameter, execute_payload, parameters_of};
use crate::plan::control;
use crate::plan::known::{Known, Spot};
use crate::plan::portable::Needs;
use crate::plan::text::Tokens;
use crate::plan::{self, Facts, Plan};
use crate::service::View;
use crate::topology::Topology;

/// The statements of a session by home's number.
#[derive(Debug, Default)]
pub(super) struct Statements(HashMap<u32, Statement>);

#[derive(Debug)]
struct Statement {
    text: Arc<[u8]>,
    /// Where it runs, as long as these are what they were.
    known: Option<(Arc<Catalogue>, Arc<Topology>, Known)>,
    parameters: usize,
    /// The types of the parameters, as they were sent last.
    types: Vec<[u8; 2]>,
    /// Values that came ahead.
    long: Vec<Option<Vec<u8>>>,
}

impl Statements {
    /// The statement that a COM_STMT_EXECUTE is of, and where it goes, if that is known and the key is
    /// plain.
    pub(super) fn spot(
        &self,
        command: &[u8],
        view: &View,
        facts: &Facts,
    ) -> Option<(u32, Spot<'_>)> {
        let id = id_of(command)?;
        let statement = self.0.get(&id)?;
        let (of_catalogue, of_topology, known) = statement.known.as_ref()?;
        let is_of_view =
            Arc::ptr_eq(of_catalogue, &view.catalogue) && Arc::ptr_eq(of_topology, &view.topology);
        if !is_of_view || !statement.long.is_empty() {
            return None;
        }
        let execution = Execution::of(command, statement.parameters)?;
        let types = execution.types.unwrap_or(&statement.types);
        if types.len() != statement.parameters {
            return None;
        }
        let value = execution.plain(known.value, types)?;
        let spot = known.spot_of_plain(value, &view.topology, facts)?;
        Some((id, spot))
    }

    /// A COM_STMT_EXECUTE as it lies there, and the types of its parameters, of which note is taken.
    pub(super) fn execution<'s>(
        &'s mut self,
        command: &'s [u8],
    ) -> Option<(Execution<'s>, &'s [[u8; 2]])> {
        let statement = self.0.get_mut(&id_of(command)?)?;
        let execution = Execution::of(command, statement.parameters)?;
        if let Some(types) = execution.types
            && types != statement.types
        {
            statement.types = types.to_vec();
        }
        Some((execution, &statement.types))
    }

    /// What plans depend on has changed.
    pub(super) fn forget_plans(&mut self) {
        for statement in self.0.values_mut() {
            statement.known = None;
        }
    }
}

/// `UNKNOWN_STMT_HANDLER`.
fn id_of(command: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*command.get(1..)?.first_chunk()?))
}

impl Session {
    /// COM_STMT_PREPARE.
    pub(super) async fn prepare(&mut self, command: &[u8], text: &[u8]) -> Result<(), Failure> {
        self.wait_for_changes(text).await?;
        self.tell_transaction();
        if self.facts.read_only {
            plan::only_reads(&Tokens::of(text, self.facts.dialect), &self.facts)?;
        }
        self.relay(command).await?;
        if self.relayed_error.is_some() {
            return Ok(());
        }
        let dialect = self.facts.dialect;
        let parameters = Lexer::new(text, dialect)
            .filter(|token| token.kind == TokenKind::Placeholder)
            .count();
        let statement = Statement {
            text: text.into(),
            known: None,
            parameters,
            types: Vec::new(),
            long: Vec::new(),
        };
        self.prepared
            .0
            .insert(self.tracker.prepared_id(), statement);
        Ok(())
    }

    /// COM_STMT_EXECUTE.
    pub(super) async fn execute(&mut self, command: &[u8]) -> Result<(), Failure> {
        let id = id_of(command);
        let Some(statement) = id.and_then(|id| self.prepared.0.get_mut(&id)) else {
            return self.relay(command).await;
        };
        let text = Arc::clone(&statement.text);
        let parameters = parameters_of(
            command,
            statement.parameters,
            &statement.types,
            &statement.long,
        );
        let long = std::mem::take(&mut statement.long);
        if let Ok(parameters) = &parameters {
            statement.types = parameters.iter().map(|parameter| parameter.kind).collect();
        }
        self.wait_for_changes(&text).await?;
        let catalogue = self.instance.catalogue().await?;
        let id = id.unwrap_or(0);
        if let Ok(parameters) = &parameters
            && self.find_prepared(id, parameters, &catalogue).is_some()
        {
            return self.execute_over_nodes(id, &text, parameters).await;
        }
        let tokens = Tokens::of(&text, self.facts.dialect);
        let is_special = control::control(&tokens, self.facts.dialect).is_some()
            || control::commits_before(&tokens)
            || tokens.verb() == "UNLOCK";
        let may_be_over_nodes =
            is_special || catalogue.may_be_in(&text) || plan::figures::may_be_asked(&text);
        if catalogue.is_empty() || !may_be_over_nodes {
            self.stale |= matches!(tokens.verb().as_str(), "SET" | "CALL" | "USE");
            self.send_long_data(id, &long).await?;
            if !catalogue.is_empty() {
                if control::uses_tables(&tokens) {
                    self.begin_if_wanted().await?;
                }
                self.tell_transaction();
                plan::only_reads(&tokens, &self.facts)?;
                plan::calls_no_writer(&tokens, &catalogue, &self.facts)?;
                self.nodes.join(Topology::HOME).await?;
                if !control::only_reads(&tokens) {
                    self.nodes.wrote(Topology::HOME);
                }
            }
            self.diagnostics = None;
            self.restore_last_insert_id(&text).await?;
            self.relay(command).await?;
            return match self.relayed_error {
                Some(code) => {
                    let error = ErrPacket::new(code, b"HY000", "");
                    let code = self.nodes.running().told(error).code;
                    self.after_error(code).await
                }
                None => Ok(()),
            };
        }
        let parameters = parameters.map_err(malformed)?;
        self.execute_over_nodes(id, &text, &parameters).await
    }

    /// The plan of a statement with these values, if it is known without looking at it closely.
    fn find_prepared(
        &mut self,
        id: u32,
        parameters: &[Parameter],
        catalogue: &Arc<Catalogue>,
    ) -> Option<Plan> {
        if self.stale {
            return None;
        }
        self.tell_transaction();
        let topology = self.instance.topology();
        let (of_catalogue, of_topology, known) = self.prepared.0.get(&id)?.known.as_ref()?;
        if !Arc::ptr_eq(of_catalogue, catalogue) || !Arc::ptr_eq(of_topology, &topology) {
            return None;
        }
        let dialect = self.facts.dialect;
        let mut literal = Vec::new();
        let value = parameters.get(known.value)?;
        value.put_literal(&mut literal, dialect.no_backslash_escapes);
        let tokens: Vec<_> = Lexer::new(&literal, dialect).collect();
        known.plan(&tokens, &topology, &self.facts)
    }

    /// The plan of a statement with these values, which is remembered if others will give such a plan.
    async fn plan_prepared(
        &mut self,
        id: u32,
        text: &[u8],
        parameters: &[Parameter],
        catalogue: &Arc<Catalogue>,
    ) -> Result<Plan, Failure> {
        if let Some(plan) = self.find_prepared(id, parameters, catalogue) {
            return Ok(plan);
        }
        let topology = self.instance.topology();
        let literal = with_values(text, parameters, self.facts.dialect)?;
        let plan = self.plan(&literal, catalogue).await?;
        let known = Known::of(text, &plan, catalogue, &topology, &self.facts);
        if let Some(statement) = self.prepared.0.get_mut(&id) {
            statement.known = known.map(|known| (Arc::clone(catalogue), topology, known));
        }
        Ok(plan)
    }

    async fn execute_over_nodes(
        &mut self,
        id: u32,
        text: &[u8],
        parameters: &[Parameter],
    ) -> Result<(), Failure> {
        let done = self.carry_out_prepared(id, text, parameters).await;
        // Also where it was planned anew, and uses others than before.
        self.stop_using();
        done
    }

    async fn carry_out_prepared(
        &mut self,
        id: u32,
        text: &[u8],
        parameters: &[Parameter],
    ) -> Result<(), Failure> {
        self.learn_if_stale().await?;
        let (plan, is_as_prepared) = loop {
            let topology = self.instance.topology();
            let catalogue = self.instance.catalogue().await?;
            let plan = self.plan_prepared(id, text, parameters, &catalogue).await?;
            // A table may have been redefined while somebody else had it.
            let is_as_prepared = self.is_run_as_prepared(&plan, text);
            if (is_as_prepared || matches!(plan, Plan::Read(_) | Plan::Checksum(_)))
                && self.use_tables(&plan).await?
                && !Arc::ptr_eq(&catalogue, &self.instance.catalogue().await?)
            {
                continue;
            }
            if !plan.uses_partitions() || self.enter(&topology).await? {
                break (plan, is_as_prepared);
            }
        };
        let used = plan.used(&self.instance.topology());
        match plan {
            Plan::Read(plan) => {
                self.roam.away().await;
                self.begin_if_wanted().await?;
                self.nodes.join(Topology::HOME).await?;
                if plan.writes {
                    self.refuse_locked()?;
                    self.restore_last_insert_id(text).await?;
                    self.nodes.wrote(Topology::HOME);
                }
                // Home has prepared the statement as it stands, which the last recipe leaves.
                let last = plan.recipes.len() - 1;
                if plan.plain().statement.is_some() {
                    let done = self.read_prepared_views(&plan, text).await;
                    self.nodes.rest();
                    return match self.told(done).await? {
                        Some(copied) => self.after_copied(copied).await,
                        None => Ok(()),
                    };
                }
                let manner = self.manner();
                let work = gather::run(&mut self.nodes, &plan, text, last, manner);
                let done = self.client.attend(work).await;
                let gathered = self.told(done).await?;
                let Some(gathered) = gathered else {
                    return Ok(());
                };
                let sent = self
                    .nodes
                    .home()
                    .send(&execute_payload(id, parameters))
                    .await;
                sent.map_err(Failure::Home)?;
                self.diagnostics = None;
                let copied = self.copy_reply(Topology::HOME, false).await;
                if matches!(&copied, Ok(copied) if copied.warnings > 0) {
                    self.keep_warnings().await?;
                }
                gather::clean_up(&mut self.nodes, &gathered).await?;
                self.nodes.rest();
                let copied = copied?;
                let is_read = Tokens::of(text, self.facts.dialect).verb() == "SELECT";
                self.count(used, is_read, &copied);
                self.after_copied(copied).await
            }
            Plan::Node { node, writes, .. } if is_as_prepared => {
                self.begin_if_wanted().await?;
                self.diagnostics = None;
                let done = self.on_node_prepared(node, writes, id, text, parameters);
                let done = done.await;
                self.nodes.rest();
                match self.told(done).await? {
                    Some(copied) => {
                        let tokens = Tokens::of(text, self.facts.dialect);
                        self.count(used, !writes || tokens.verb() == "SELECT", &copied);
                        self.after_copied(copied).await
                    }
                    None => Ok(()),
                }
            }
            Plan::Checksum(ref checksum) => {
                self.roam.away().await;
                self.begin_if_wanted().await?;
                let done = self.checksum(checksum, true, false).await;
                self.nodes.rest();
                match self.told(done).await? {
                    Some(copied) => self.after_copied(copied).await,
                    None => Ok(()),
                }
            }
            Plan::Figures(figures) => {
                self.roam.away().await;
                self.begin_if_wanted().await?;
                self.diagnostics = None;
                let done = self.figures_prepared(&figures, text).await;
                match self.told(done).await? {
                    Some(Some(copied)) => self.after_copied(copied).await,
                    // As it was prepared.
                    Some(None) => self.relay(&execute_payload(id, parameters)).await,
                    None => Ok(()),
                }
            }
            Plan::Home => {
                self.begin_if_wanted().await?;
                self.diagnostics = None;
                self.restore_last_insert_id(text).await?;
                self.relay(&execute_payload(id, parameters)).await
            }
            Plan::Insert(ref insert) if insert.returning => Err(returning()),
            Plan::Modify {
                returning: true, ..
            } => Err(returning()),
            // What has no rows is answered alike, prepared or not.
            Plan::Insert(_)
            | Plan::Collect(_)
            | Plan::Modify { .. }
            | Plan::Node { .. }
            | Plan::Control(_)
            | Plan::Refuse(_)
            | Plan::Define(_)
            | Plan::DefineAtHome
            | Plan::Lock(_)
            | Plan::Unlock
            | Plan::Kill(_)
            | Plan::Grant => {
                let literal = with_values(text, parameters, self.facts.dialect)?;
                if matches!(plan, Plan::Node { .. }) {
                    let tokens = Tokens::of(&literal, self.facts.dialect);
                    if tokens.has_word("RETURNING") || tokens.verb() == "SELECT" {
                        return Err(returning());
                    }
                }
                self.statement(&literal, false).await.map(|_| ())
            }
            Plan::Maintain | Plan::ShowCreate(_) | Plan::Dynamic(_) => Err(Refusal::new(
                "prepared",
                "this statement cannot be prepared where tables are distributed",
            )
            .into()),
        }
    }

    /// Whether the node of a plan runs the statement as it was prepared, rather than one with the values in it.
    fn is_run_as_prepared(&self, plan: &Plan, text: &[u8]) -> bool {
        let Plan::Node {
            node,
            writes,
            needs,
            ..
        } = plan
        else {
            return false;
        };
        // What a write needs besides is told with its text.
        if *writes && (*needs != Needs::default() || self.fixed_timestamp.is_some()) {
            return false;
        }
        // So is that a transaction begins there: the node is not asked once more for that. But rows are told
        // in another way behind a text.
        let gives_rows = || {
            let tokens = Tokens::of(text, self.facts.dialect);
            tokens.has_word("RETURNING") || tokens.verb() == "SELECT"
        };
        !writes || self.nodes.has_begun_on(*node) || gives_rows()
    }

    /// A statement that one node runs as it was prepared.
    async fn on_node_prepared(
        &mut self,
        node: u16,
        writes: bool,
        id: u32,
        text: &[u8],
        parameters: &[Parameter],
    ) -> Result<Copied, Failure> {
        if writes {
            self.refuse_plain()?;
            self.refuse_locked()?;
        }
        let work = async {
            self.nodes.node(node).await?;
            let id = self.nodes.prepared(node, id, text).await?;
            let sent = self
                .nodes
                .joined(node)
                .send(&execute_payload(id, parameters))
                .await;
            sent.map_err(|source| Failure::of_node(node, source))
        };
        self.client.attend(work).await?;
        let is_alone = writes && self.nodes.transaction().is_none();
        if writes {
            self.nodes.wrote(node);
        }
        let copied = self.copy_reply(node, false).await;
        let copied = copied.map_err(|failure| failure.behind_write(is_alone))?;
        self.note_of(node, &copied).await?;
        Ok(copied)
    }

    /// A deadlock ends the whole transaction.
    async fn after_copied(&mut self, copied: Copied) -> Result<(), Failure> {
        match copied.error {
            Some(error) => self.after_error(error.code).await,
            None => Ok(()),
        }
    }

    /// Tells the client of a failure; `None` if there was one.
    async fn told<T>(&mut self, done: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match done {
            Ok(done) => Ok(Some(done)),
            Err(failure) => {
                let Some(packet) = failure.packet() else {
                    return Err(failure);
                };
                let packet = self.nodes.running().told(packet);
                self.nodes.drain().await?;
                if let Failure::Branch { node, .. } = &failure {
                    self.nodes.lose(*node);
                }
                if self.nodes.transaction().is_some_and(|it| it.broken) {
                    self.nodes.roll_back().await?;
                }
                self.after_error(packet.code).await?;
                self.client.error(&packet).await?;
                Ok(None)
            }
        }
    }

    /// COM_STMT_SEND_LONG_DATA: kept until it is known where it is wanted.
    pub(super) async fn long_data(&mut self, command: &[u8]) -> Result<(), Failure> {
        let statement = id_of(command).and_then(|id| self.prepared.0.get_mut(&id));
        let (Some(statement), Some((head, data))) = (statement, command.split_at_checked(7)) else {
            return self.relay(command).await;
        };
        let number = usize::from(u16::from_le_bytes([head[5], head[6]]));
        if number < statement.parameters {
            statement.long.resize(statement.parameters, None);
            statement.long[number]
                .get_or_insert_default()
                .extend_from_slice(data);
        }
        Ok(())
    }

    async fn send_long_data(&mut self, id: u32, long: &[Option<Vec<u8>>]) -> Result<(), Failure> {
        for (number, value) in long.iter().enumerate() {
            if let Some(value) = value {
                let mut command = vec![openpeta_mysql_wire::command::COM_STMT_SEND_LONG_DATA];
                command.extend_from_slice(&id.to_le_bytes());
                command.extend_from_slice(&(number as u16).to_le_bytes());
                command.extend_from_slice(value);
                self.nodes
                    .home()
                    .send(&command)
                    .await
                    .map_err(Failure::Home)?;
            }
        }
        Ok(())
    }

    /// COM_STMT_CLOSE and COM_STMT_RESET.
    pub(super) async fn forget_statement(&mut self, command: &[u8]) -> Result<(), Failure> {
        if let Some(id) = id_of(command) {
            if command.first() == Some(&COM_STMT_CLOSE) {
                self.prepared.0.remove(&id);
                self.nodes.close_prepared(id).await;
            } else if let Some(statement) = self.prepared.0.get_mut(&id) {
                statement.long.clear();
            }
        }
        self.relay(command).await
    }

    /// COM_STMT_BULK_EXECUTE.
    pub(super) async fn bulk(&mut self, command: &[u8]) -> Result<(), Failure> {
        let text = id_of(command)
            .and_then(|id| self.prepared.0.get(&id))
            .map(|it| it.text.clone());
        let catalogue = self.instance.catalogue().await?;
        if text.is_some_and(|text| catalogue.may_be_in(&text)) {
            return Err(Refusal::new(
                "bulk",
                "COM_STMT_BULK_EXECUTE is not supported for distributed tables",
            )
            .into());
        }
        if !catalogue.is_empty() {
            self.begin_if_wanted().await?;
            self.nodes.join(Topology::HOME).await?;
            self.nodes.wrote(Topology::HOME);
        }
        self.relay(command).await
    }
}

fn malformed(error: WireError) -> Failure {
    tracing::debug!(%error, "parameters cannot be read");
    ErrPacket::new(1835, b"HY000", "Malformed communication packet").into()
}

fn returning() -> Failure {
    Refusal::new(
        "returning",
        "a prepared write cannot give back rows of a distributed table",
    )
    .into()
}

/// A statement with the values in the place of its parameters.
fn with_values(
    text: &[u8],
    parameters: &[Parameter],
    dialect: Dialect,
) -> Result<Vec<u8>, Failure> {
    if dialect.encoding != Encoding::AsciiCompatible {
        return Err(Refusal::new(
            "charset",
            "statements about distributed tables cannot be prepared in this character set",
        )
        .into());
    }
    let mut out = Vec::with_capacity(text.len() + 16 * parameters.len());
    let mut values = parameters.iter();
    for token in Lexer::new(text, dialect) {
        if token.kind != TokenKind::Placeholder {
            out.extend_from_slice(token.text);
            continue;
        }
        let value = values
            .next()
            .ok_or_else(|| Failure::Home(NodeError::closed()))?;
        out.push(b' ');
        value.put_literal(&mut out, dialect.no_backslash_escapes);
        out.push(b' ');
    }
    Ok(out)
}
