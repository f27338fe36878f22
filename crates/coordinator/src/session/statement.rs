//! One command of statements after another: each is planned, then carried out.

use std::sync::Arc;

use openpeta_mysql_wire::command::COM_QUERY;
use openpeta_mysql_wire::{
    Capabilities, ErrPacket, OkPacket, Packet, PacketBuffer, Status, put_text_result_set,
};
use openpeta_sql_route::Dialect;

use super::control::is_about_transactions;
use super::copy::Copied;
use super::explain::explained;
use super::{Failure, Session, partitions};
use crate::Refusal;
use crate::catalogue::{Catalogue, Distribution};
use crate::node::{OkReply, Reply};
use crate::plan::control;
use crate::plan::facts::isolation_in;
use crate::plan::text::{Tokens, split, without_marks};
use crate::plan::{self, Dynamic, Facts, Plan};
use crate::service::Used;
use crate::topology::Topology;

impl Session {
    /// A COM_QUERY.
    pub(super) async fn query(&mut self, command: &[u8], text: &[u8]) -> Result<(), Failure> {
        self.wait_for_changes(text).await?;
        let catalogue = self.instance.catalogue().await?;
        if self.find_known(text, &catalogue).is_some() {
            return self.statement(text, false).await.map(|_| ());
        }
        if catalogue.is_empty()
            && !may_distribute(text)
            && !self.knows_transaction()
            && explained(text).is_none()
            && partitions::asked(text, self.facts.dialect).is_none()
        {
            self.note_dynamic(text)?;
            self.stale = true;
            self.diagnostics = None;
            return self.relay(command).await;
        }
        let statements = split(text, self.facts.dialect);
        let several = self
            .client
            .capabilities()
            .contains(Capabilities::MULTI_STATEMENTS);
        if statements.len() < 2 || !several {
            let text = match &statements[..] {
                // Without the semicolon at its end.
                [only] => &text[only.clone()],
                _ => text,
            };
            return self.statement(text, false).await.map(|_| ());
        }
        let last = statements.len() - 1;
        for (number, range) in statements.into_iter().enumerate() {
            let statement = text[range].to_vec();
            if self.statement(&statement, number < last).await? {
                // It failed, so those behind it are not run.
                return Ok(());
            }
        }
        Ok(())
    }

    /// One statement. Tells whether it failed, with the client told.
    pub(super) async fn statement(&mut self, text: &[u8], more: bool) -> Result<bool, Failure> {
        let running = Arc::clone(self.nodes.running());
        running.begin().await;
        let done = self.planned(text, more).await;
        self.ended(done).await
    }

    /// What is to be done once a statement has ended. Tells whether it failed, with the client told.
    pub(super) async fn ended(&mut self, done: Result<Copied, Failure>) -> Result<bool, Failure> {
        let running = Arc::clone(self.nodes.running());
        running.settle().await;
        if let Err(failure) = &done {
            if failure.packet().is_none() {
                return done.map(|_| true);
            }
            self.nodes.drain().await?;
        }
        if self.nodes.transaction().is_some_and(|it| it.of_statement) {
            // Whatever has failed, it must not stay.
            self.nodes.roll_back().await?;
        }
        if self.nodes.transaction().is_none() {
            self.used.clear();
        }
        self.nodes.rest();
        match done {
            Ok(copied) => {
                if let Some(error) = &copied.error {
                    self.after_error(error.code).await?;
                }
                Ok(copied.error.is_some())
            }
            Err(failure) => {
                let Some(packet) = failure.packet() else {
                    return Err(failure);
                };
                let packet = self.nodes.running().told(packet);
                if let Failure::Branch { node, source } = &failure {
                    tracing::warn!(node, %source, "a node of a session was lost");
                    self.nodes.lose(*node);
                }
                if self.nodes.transaction().is_some_and(|it| it.broken) {
                    self.nodes.roll_back().await?;
                }
                self.after_error(packet.code).await?;
                self.diagnostics = Some(vec![super::show::Diagnostic::error(&packet)]);
                self.client.error(&packet).await?;
                Ok(true)
            }
        }
    }

    /// InnoDB undoes the whole transaction where there is a deadlock: so must the other nodes.
    pub(super) async fn after_error(&mut self, code: u16) -> Result<(), Failure> {
        if super::is_rolled_back(code) && self.nodes.transaction().is_some() {
            self.nodes.roll_back().await?;
            self.used.clear();
        }
        Ok(())
    }

    async fn planned(&mut self, text: &[u8], more: bool) -> Result<Copied, Failure> {
        if let Some(statement) = explained(text) {
            return self.explain_route(statement, more).await;
        }
        if let Some(counts) = partitions::asked(text, self.facts.dialect) {
            return self.show_partitions(counts, more).await;
        }
        loop {
            self.wait_for_changes(text).await?;
            self.note_dynamic(text)?;
            let topology = self.instance.topology();
            let catalogue = self.instance.catalogue().await?;
            let plan = match self.find_known(text, &catalogue) {
                Some(plan) => plan,
                None => {
                    let plan = self.plan(text, &catalogue).await?;
                    self.known
                        .learn(text, &plan, &catalogue, &topology, &self.facts);
                    plan
                }
            };
            // What runs on several nodes is read without these marks; all else the server has as it is.
            if matches!(plan, Plan::Refuse(_))
                && let Some(plain) = without_marks(text, self.facts.dialect)
            {
                return Box::pin(self.planned(&plain, more)).await;
            }
            // A table may have been redefined while somebody else had it.
            if self.use_tables(&plan).await?
                && !Arc::ptr_eq(&catalogue, &self.instance.catalogue().await?)
            {
                continue;
            }
            if plan.uses_partitions() && !self.enter(&topology).await? {
                continue;
            }
            return self.carry_out(plan, text, more).await;
        }
    }

    /// Waits as long as a table that the statement may name is being distributed.
    pub(super) async fn wait_for_changes(&mut self, text: &[u8]) -> Result<(), Failure> {
        if !self.instance.changing().concerns(text) {
            return Ok(());
        }
        let changing = Arc::clone(self.instance.changing());
        let running = Arc::clone(self.nodes.running());
        // Who is not counted as waiting any more may be waited for by the next one: so it is looked again.
        while changing.concerns(text) {
            let waits = running.waits();
            let wait = async { Ok(running.unless_interrupted(changing.wait(text)).await?) };
            self.client.attend(wait).await?;
            drop(waits);
        }
        Ok(())
    }

    /// Home knows what it has prepared of a text, but not that a table in it is distributed since.
    fn note_dynamic(&mut self, text: &[u8]) -> Result<(), Failure> {
        let has = |word: &[u8]| {
            let mut parts = text.windows(word.len());
            parts.any(|part| part.eq_ignore_ascii_case(word))
        };
        if !matches!(
            text.trim_ascii_start().first(),
            Some(b'P' | b'p' | b'E' | b'e')
        ) {
            return Ok(());
        }
        let count = self.instance.changing().count();
        if has(b"PREPARE") {
            self.dynamic.get_or_insert(count);
        } else if has(b"EXECUTE") && self.dynamic.is_some_and(|known| known != count) {
            return Err(Refusal::new(
                "dynamic-sql",
                "a table was distributed since statements were prepared out of texts: connect again",
            )
            .into());
        }
        Ok(())
    }

    /// The plan of a statement, if it is known without looking at it closely.
    fn find_known(&mut self, text: &[u8], catalogue: &Arc<Catalogue>) -> Option<Plan> {
        if self.stale {
            return None;
        }
        self.tell_transaction();
        let topology = self.instance.topology();
        self.known.find(text, catalogue, &topology, &self.facts)
    }

    /// Puts into the facts what is known of the transaction.
    pub(super) fn tell_transaction(&mut self) {
        let transaction = self.nodes.transaction();
        self.facts.in_transaction = transaction.is_some();
        let before = match transaction {
            Some(transaction) => transaction.before.as_deref(),
            None => self.next_transaction.as_deref(),
        };
        self.facts.isolation_of_transaction = before.and_then(isolation_in);
        self.facts.read_only = match transaction {
            Some(transaction) => transaction.read_only,
            // Home minds it for itself alone.
            None => self.nodes.variables().read_only,
        };
    }

    pub(super) async fn plan(
        &mut self,
        text: &[u8],
        catalogue: &Catalogue,
    ) -> Result<Plan, Failure> {
        let wanted = |facts: &Facts| {
            catalogue.may_be_in(text)
                || may_distribute(text)
                || defines(text, facts.dialect)
                || plan::figures::may_be_asked(text)
        };
        if self.stale && wanted(&self.facts) {
            self.learn_if_stale().await?;
        }
        self.tell_transaction();
        let topology = self.instance.topology();
        Ok(plan::plan(text, catalogue, &topology, &self.facts))
    }

    /// Asks home what the session's variables are, if they may have changed.
    pub(super) async fn learn_if_stale(&mut self) -> Result<(), Failure> {
        if !self.stale {
            return Ok(());
        }
        self.nodes.learn_variables().await?;
        if std::mem::take(&mut self.timestamp_stale) {
            let first = self.nodes.variables().timestamp.clone();
            self.nodes.learn_variables().await?;
            let second = &self.nodes.variables().timestamp;
            // Where it runs, it is another one each time.
            self.fixed_timestamp = (first == *second).then_some(first);
        }
        let before = self.facts.clone();
        self.nodes.variables().tell(&mut self.facts);
        if before != self.facts {
            self.known.clear();
            self.prepared.forget_plans();
        }
        self.stale = false;
        Ok(())
    }

    /// Takes a passage, unless the session has one. Whether partitions are where they were then: who has
    /// planned with another topology must plan anew.
    pub(super) async fn enter(&mut self, planned: &Arc<Topology>) -> Result<bool, Failure> {
        if self.passage.is_none() {
            self.passage = Some(self.instance.passages().take().await?);
        }
        Ok(Arc::ptr_eq(planned, &self.instance.topology()))
    }

    async fn carry_out(&mut self, plan: Plan, text: &[u8], more: bool) -> Result<Copied, Failure> {
        if let Plan::Node {
            node,
            writes,
            needs,
            ..
        } = &plan
        {
            // It is a SELECT, an UPDATE or a DELETE.
            self.begin_if_wanted().await?;
            self.diagnostics = None;
            self.refuse_plain()?;
            if *writes {
                self.refuse_locked()?;
            }
            let used = plan.used(&self.instance.topology());
            let copied = self.on_node(*node, *writes, needs, text, more).await?;
            let is_read = !writes || Tokens::of(text, self.facts.dialect).verb() == "SELECT";
            self.count(used, is_read, &copied);
            return Ok(copied);
        }
        self.carry_out_others(plan, text, more).await
    }

    /// Refuses what touches distributed tables in a transaction that home alone knows.
    pub(super) fn refuse_plain(&mut self) -> Result<(), Failure> {
        let is_plain = self.nodes.transaction().is_none()
            && self.nodes.home().status().contains(Status::IN_TRANS)
            && !self.is_locked_at_home();
        if is_plain {
            return Err(Refusal::new(
                "transaction-before",
                "the transaction was begun before any table was distributed; end it first",
            )
            .into());
        }
        Ok(())
    }

    async fn carry_out_others(
        &mut self,
        plan: Plan,
        text: &[u8],
        more: bool,
    ) -> Result<Copied, Failure> {
        if matches!(
            plan,
            Plan::Read(_)
                | Plan::Collect(_)
                | Plan::Define(_)
                | Plan::Grant
                | Plan::Maintain
                | Plan::Checksum(_)
                | Plan::Figures(_)
        ) {
            self.roam.away().await;
        }
        let tokens = Tokens::of(text, self.facts.dialect);
        if !matches!(plan, Plan::Control(_) | Plan::Refuse(_)) {
            if control::commits_before(&tokens) {
                self.nodes.commit().await?;
                self.used.clear();
            } else if control::uses_tables(&tokens) {
                self.begin_if_wanted().await?;
            }
        }
        if !plan.is_for_nodes() {
            // Whatever it does at home is part of the transaction.
            self.nodes.join(Topology::HOME).await?;
        }
        if !matches!(plan, Plan::Home) {
            self.diagnostics = None;
        }
        if !matches!(
            plan,
            Plan::Home | Plan::Control(_) | Plan::Refuse(_) | Plan::Figures(_)
        ) {
            self.refuse_plain()?;
        }
        let used = plan.used(&self.instance.topology());
        let copied = self.run_plan(plan, &tokens, text, more).await?;
        self.count(used, tokens.verb() == "SELECT", &copied);
        Ok(copied)
    }

    /// Counts what a statement was about that has been carried out.
    pub(super) fn count(&self, used: Vec<Used>, is_read: bool, copied: &Copied) {
        if copied.error.is_some() {
            return;
        }
        for mut used in used {
            // A `SELECT` that locks rows writes none.
            used.writes &= !is_read;
            // What is read of several partitions is put together from their rows: how many those were is
            // not known.
            let is_one = matches!(&used.partitions, Some(only) if only.len() == 1);
            let rows = if used.writes || is_one {
                copied.rows
            } else {
                0
            };
            self.instance.heat().count(&used, rows);
        }
    }

    async fn run_plan(
        &mut self,
        plan: Plan,
        tokens: &Tokens<'_>,
        text: &[u8],
        more: bool,
    ) -> Result<Copied, Failure> {
        match plan {
            Plan::Refuse(refusal) => Err(refusal.into()),
            Plan::Control(control) => self.control(control, text, more).await,
            Plan::Home => self.at_home(tokens, more).await,
            Plan::DefineAtHome => {
                let _apart = self.leads_to_distributed(tokens).await?;
                let copied = self.at_home(tokens, more).await?;
                self.instance.forget_tables();
                Ok(copied)
            }
            Plan::Grant => self.grant(tokens, more).await,
            Plan::Lock(lock) => self.lock_tables(*lock, text, more).await,
            Plan::Unlock => self.unlock_tables(text, more).await,
            Plan::Kill(kill) => {
                let copied = self.at_home(tokens, more).await?;
                self.killed(kill, copied.error.is_none()).await;
                Ok(copied)
            }
            Plan::Node {
                node,
                writes,
                needs,
                ..
            } => {
                if writes {
                    self.refuse_locked()?;
                }
                self.on_node(node, writes, &needs, text, more).await
            }
            Plan::Insert(insert) => {
                self.refuse_locked()?;
                self.insert(*insert, more).await
            }
            Plan::Collect(collect) => {
                self.refuse_locked()?;
                self.collect(*collect, more).await
            }
            Plan::Modify {
                nodes,
                table,
                needs,
                returning,
                place,
                goes_by,
                ..
            } => {
                self.refuse_locked()?;
                let texts = self.modifications(&nodes, &table, goes_by.as_deref(), &place, text);
                let is_broadcast = table.distribution == Distribution::Broadcast;
                self.modify(texts, is_broadcast, &needs, returning, more)
                    .await
            }
            Plan::Define(define) => self.define(*define, tokens, more).await,
            Plan::Maintain => self.maintain(text, more).await,
            Plan::ShowCreate(table) => self.show_create(&table, text, more).await,
            Plan::Dynamic(dynamic) => {
                self.refuse_dynamic(dynamic).await?;
                self.at_home(tokens, more).await
            }
            Plan::Checksum(plan) => self.checksum(&plan, false, more).await,
            Plan::Figures(plan) => match self.figures(&plan, text, more).await? {
                Some(copied) => Ok(copied),
                None => self.at_home(tokens, more).await,
            },
            Plan::Read(plan) => self.read(&plan, text, more).await,
        }
    }

    /// A statement that runs at home as it is.
    pub(super) async fn at_home(
        &mut self,
        tokens: &Tokens<'_>,
        more: bool,
    ) -> Result<Copied, Failure> {
        if let Some(copied) = self.show_diagnostics(tokens, more).await? {
            return Ok(copied);
        }
        self.diagnostics = None;
        self.restore_last_insert_id(tokens.text).await?;
        if changes_session(tokens) {
            self.stale = true;
            self.timestamp_stale |= tokens.has_word("TIMESTAMP") || tokens.has_executable;
        }
        if !control::only_reads(tokens) {
            self.nodes.wrote(Topology::HOME);
        }
        let sent = self.nodes.home().send_query(tokens.text).await;
        sent.map_err(Failure::Home)?;
        self.copy_reply(Topology::HOME, more).await
    }

    /// `LAST_INSERT_ID()` is home's, so home must know of ids that were given for other nodes.
    pub(super) async fn restore_last_insert_id(&mut self, text: &[u8]) -> Result<(), Failure> {
        let Some(id) = self.last_insert_id else {
            return Ok(());
        };
        let text = text.to_ascii_uppercase();
        let has = |word: &[u8]| text.windows(word.len()).any(|part| part == word);
        if [
            &b"INSERT_ID"[..],
            b"IDENTITY",
            b"CALL",
            b"INSERT",
            b"REPLACE",
            b"EXECUTE",
        ]
        .iter()
        .any(|word| has(word))
        {
            let reply = self
                .nodes
                .home()
                .query(format!("SET last_insert_id = {id}"))
                .await;
            reply.map_err(Failure::Home)?.ok()?;
            self.last_insert_id = None;
        }
        Ok(())
    }

    /// Statements out of texts must not reach distributed tables past us.
    async fn refuse_dynamic(&mut self, dynamic: Dynamic) -> Result<(), Failure> {
        let text = match dynamic {
            Dynamic::Text(text) => text,
            Dynamic::Expression(expression) => {
                let question = [b"SELECT ", &expression[..]].concat();
                let reply = self
                    .nodes
                    .home()
                    .query(question)
                    .await
                    .map_err(Failure::Home)?;
                let rows = match reply.ok()? {
                    Reply::Rows(rows) => rows.texts().unwrap_or_default(),
                    _ => Vec::new(),
                };
                rows.into_iter()
                    .flatten()
                    .flatten()
                    .next()
                    .unwrap_or_default()
            }
        };
        let catalogue = self.instance.catalogue().await?;
        if catalogue.may_be_in(&text)
            || catalogue.may_be_about_triggers(&text)
            || may_distribute(&text)
            || is_about_transactions(&text)
        {
            return Err(Refusal::new(
                "dynamic-sql",
                "statements about distributed tables, or about transactions, cannot be run out of a text",
            )
            .into());
        }
        Ok(())
    }

    pub(super) fn refuse_locked(&self) -> Result<(), Failure> {
        let Some(reason) = self.instance.write_lock() else {
            return Ok(());
        };
        Err(ErrPacket::new(
            1290,
            b"HY000",
            format!("The MariaDB server is running with the --read-only option so it cannot execute this statement: {reason}"),
        )
        .into())
    }

    /// Whether a transaction of ours is open.
    fn knows_transaction(&self) -> bool {
        self.nodes.transaction().is_some()
            || self.diagnostics.is_some()
            || self.last_insert_id.is_some()
            || self.locked.is_some()
    }

    /// The session's status, as a client is told it.
    pub(super) fn status(&mut self, more: bool) -> Status {
        let mut status = self.nodes.home().status();
        let explicit = self.nodes.transaction().filter(|it| !it.of_statement);
        match explicit {
            Some(transaction) => {
                status = status.with(Status::IN_TRANS);
                if transaction.read_only {
                    status = status.with(Status::IN_TRANS_READONLY);
                }
            }
            None if self.nodes.transaction().is_some() => {
                status = Status(status.0 & !Status::IN_TRANS.0);
            }
            None => {}
        }
        if more {
            status.with(Status::MORE_RESULTS_EXISTS)
        } else {
            status
        }
    }

    /// Tells the client that a statement is done.
    pub(super) async fn done(
        &mut self,
        affected_rows: u64,
        last_insert_id: u64,
        warnings: u16,
        info: String,
        more: bool,
    ) -> Result<Copied, Failure> {
        let head = OkPacket {
            affected_rows,
            last_insert_id,
            status: self.status(more),
            warnings,
        };
        let info = info.into_bytes();
        self.client.ok(&OkReply { head, info }).await?;
        Ok(Copied {
            error: None,
            warnings,
            rows: affected_rows,
        })
    }

    /// Answers with rows of our own.
    pub(super) async fn tell_rows(
        &mut self,
        columns: &[&str],
        rows: &[Vec<Option<String>>],
        more: bool,
    ) -> Result<Copied, Failure> {
        let mut out = Vec::new();
        let status = self.status(more);
        let capabilities = self.client.capabilities();
        put_text_result_set(&mut out, 0, capabilities, status, columns, rows);
        let mut packets = PacketBuffer::new(usize::MAX);
        packets.push(&out);
        while let Ok(Some(Packet { payload, .. })) = packets.next_packet() {
            self.client.send([&payload[..]]).await?;
        }
        Ok(Copied::default())
    }

    /// A COM_QUERY, made of a statement.
    pub(super) fn command_of(text: &[u8]) -> Vec<u8> {
        [&[COM_QUERY][..], text].concat()
    }

    /// Home answers.
    pub(super) async fn pass(&mut self, text: &[u8], more: bool) -> Result<Copied, Failure> {
        self.nodes.join(Topology::HOME).await?;
        let sent = self.nodes.home().send(&Self::command_of(text)).await;
        sent.map_err(Failure::Home)?;
        self.copy_reply(Topology::HOME, more).await
    }

    /// Rights are given at home, and then on all other nodes.
    async fn grant(&mut self, tokens: &Tokens<'_>, more: bool) -> Result<Copied, Failure> {
        let _defining = self.instance.definitions().read_owned().await;
        self.refuse_moving()?;
        let sent = self
            .nodes
            .home()
            .query(tokens.text)
            .await
            .map_err(Failure::Home)?;
        let Reply::Ok(ok) = sent.ok()? else {
            return Err(Refusal::new("statement", "this statement gives rows").into());
        };
        for node in 1..self.instance.topology().len() {
            let failed = |source| Failure::Branch { node, source };
            let mut connection = self.instance.connect(node).await.map_err(failed)?;
            let mut statements = Vec::new();
            if let Some(database) = &self.facts.database {
                statements.push(format!("USE `{}`", database.replace('`', "``")).into_bytes());
            }
            statements.push(tokens.text.to_vec());
            for reply in connection.query_all(&statements).await.map_err(failed)? {
                // What it is about may exist at home alone.
                if let Reply::Err(error) = reply {
                    tracing::debug!(node, code = error.code, "rights could not be given");
                }
            }
            connection.quit().await;
        }
        self.done(
            ok.head.affected_rows,
            0,
            ok.head.warnings,
            String::new(),
            more,
        )
        .await
    }
}

/// Whether a text may make a distributed table.
fn may_distribute(text: &[u8]) -> bool {
    let word = b"DISTRIBUTE";
    text.windows(word.len())
        .any(|part| part.eq_ignore_ascii_case(word))
}

/// Whether it is a definition: what that is about depends on the current database, also when it names
/// no table that is known yet.
fn defines(text: &[u8], dialect: Dialect) -> bool {
    let verb = Tokens::of(text, dialect).verb();
    matches!(
        verb.as_str(),
        "CREATE" | "DROP" | "ALTER" | "RENAME" | "TRUNCATE"
    )
}

/// Whether a statement may change what is known of the session.
fn changes_session(tokens: &Tokens<'_>) -> bool {
    matches!(
        tokens.verb().as_str(),
        "SET" | "USE" | "CALL" | "DROP" | "EXECUTE" | ""
    ) || tokens.has_executable
}
