//! What the node answers: statements are counted, and what they did to the session is followed.

use std::mem;
use std::time::Duration;

use openpeta_mysql_wire::ReplyTracker;
use openpeta_mysql_wire::command::*;
use openpeta_sql_route::{DatabaseChange, Results};

use super::commands::{Command, What};
use super::texts::{Prepared, Read};
use super::{Slow, Statements};
use crate::digests::{DigestPlace, Outcome};
use crate::session::trace::Trace;

/// The id that stands for the statement prepared last.
const LAST_PREPARED: u32 = u32::MAX;

impl Statements {
    /// A result of the reply that is due is complete, and another follows.
    pub(in crate::session) fn result(
        &mut self,
        columns: bool,
        reply: &mut ReplyTracker,
        now: Duration,
    ) {
        if let Some(command) = self.commands.front_mut()
            && let What::Text { read, rest } = &mut command.what
            && !(columns && read.statement.results == Results::ManyThenOk)
        {
            let next = rest.pop_front().unwrap_or(Read::UNKNOWN);
            let done = mem::replace(read, next);
            let outcome = command.done(false, reply, now);
            let statement = done.statement;
            self.meter.statement(statement.class, done.digest, &outcome);
            if self.meter.slow().is_slow(outcome.time) {
                let text = command.text.clone();
                self.took_long(text, done.digest, outcome, None);
            }
            self.change_database(statement.database);
        }
        self.follow_schema(reply);
    }

    /// The reply that was due is complete. Returns the command whose reply is due next.
    #[inline]
    pub(in crate::session) fn complete(
        &mut self,
        error: Option<u16>,
        reply: &mut ReplyTracker,
        now: Duration,
    ) -> Option<u8> {
        let failed = error.is_some();
        if let Some(mut command) = self.commands.pop_front() {
            match command.setting.take() {
                Some(text) if !failed => self.keep_setting(text),
                // Of settings that failed some may have been made.
                _ => self.leave(command.trace),
            }
            let outcome = command.done(failed, reply, now);
            match command.what {
                What::Text { read, .. } => {
                    let statement = read.statement;
                    self.meter.statement(statement.class, read.digest, &outcome);
                    if self.meter.slow().is_slow(outcome.time) {
                        let text = mem::take(&mut command.text);
                        self.took_long(text, read.digest, outcome, error);
                    }
                    if !failed {
                        self.change_database(statement.database);
                    }
                }
                What::Execute(id) => {
                    let Prepared {
                        class,
                        digest,
                        trace,
                    } = self.prepared(id);
                    // A setting made this way is not among those that are made again.
                    self.leave(trace);
                    self.meter.statement(class, digest, &outcome);
                    if self.meter.slow().is_slow(outcome.time) {
                        self.took_long(Vec::new(), digest, outcome, error);
                    }
                }
                // The reply came before the whole text: an error.
                What::Nothing if command.command == COM_QUERY => {
                    self.leave(Trace::Lasting);
                    let Prepared { class, digest, .. } = Prepared::UNKNOWN;
                    self.meter.statement(class, digest, &outcome);
                }
                _ if failed => {}
                What::Prepare(prepared) => {
                    self.last_prepared = reply.prepared_id();
                    self.prepared.insert(self.last_prepared.into(), prepared);
                }
                What::Database(name) => self.enter(&name),
                What::Option(option) => self.several = option == 0,
                What::Nothing if command.command == COM_RESET_CONNECTION => self.reset(),
                What::Nothing | What::Close(_) => {}
            }
            command.text.clear();
            self.spare = command.text;
        }
        if !failed {
            self.follow_schema(reply);
        }
        self.settle();
        self.commands.front().map(|next| next.command)
    }

    /// Makes a note for the slow log. Of a prepared statement there is the digest's text alone.
    #[cold]
    fn took_long(
        &mut self,
        text: Vec<u8>,
        digest: DigestPlace,
        outcome: Outcome,
        error: Option<u16>,
    ) {
        let (digest, normalised) = self.meter.digest_text(digest);
        let text = if text.is_empty() {
            normalised.into_bytes()
        } else {
            text
        };
        self.slow = Some(Box::new(Slow {
            database: self.meter.database().to_vec(),
            outcome,
            error,
            digest,
            text,
            dialect: self.dialect,
        }));
    }

    /// The statement that took long, if the last one did.
    #[inline]
    pub(in crate::session) fn take_slow(&mut self) -> Option<Box<Slow>> {
        self.slow.take()
    }

    /// Does what the commands without a reply at the front ask for.
    pub(super) fn settle(&mut self) {
        while let Some(Command {
            what: What::Close(id),
            ..
        }) = self.commands.front()
        {
            self.prepared.remove(&u64::from(*id));
            self.commands.pop_front();
        }
    }

    fn prepared(&self, id: u32) -> Prepared {
        let id = if id == LAST_PREPARED {
            self.last_prepared
        } else {
            id
        };
        let prepared = self.prepared.get(&u64::from(id));
        prepared.copied().unwrap_or(Prepared::UNKNOWN)
    }

    #[inline]
    fn change_database(&mut self, change: Option<Box<DatabaseChange>>) {
        match change.as_deref() {
            None => {}
            Some(DatabaseChange::Use(name)) => self.enter(name),
            Some(DatabaseChange::Drop(name)) if *name == self.database => {
                self.enter(b"");
            }
            Some(DatabaseChange::Drop(_)) => {}
        }
    }

    /// What the server tells of the session's database goes before what the text made believe.
    #[inline]
    fn follow_schema(&mut self, reply: &mut ReplyTracker) {
        if let Some(schema) = reply.take_schema() {
            self.enter(&schema);
        }
    }
}
