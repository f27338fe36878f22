//! What the client sends: commands begin, and their payloads are read.

use std::mem;
use std::time::Duration;

use openpeta_mysql_wire::Status;
use openpeta_mysql_wire::command::*;
use openpeta_sql_route::StatementClass;

use super::Statements;
use super::commands::{Command, What, of_head, of_known, of_text};
use super::texts::Text;
use crate::session::trace::Trace;

/// Bytes of a payload that is no text that are kept: a command byte and a database's name.
const HEAD_LIMIT: usize = 1 + 256;

pub(super) enum Reading {
    /// The payload is of no interest.
    Passing,
    /// It begins, or its first bytes are these.
    Head(Vec<u8>),
    /// A text, more of which has come before.
    Text(Box<Text>),
}

impl Statements {
    /// A command begins that has a reply, or else closes a statement.
    #[inline]
    pub(in crate::session) fn begin(&mut self, command: u8, now: Duration) {
        self.commands.push_back(Command {
            command,
            since: now,
            rows_sent: 0,
            rows_affected: 0,
            text: mem::take(&mut self.spare),
            trace: Trace::Nothing,
            setting: None,
            what: What::Nothing,
        });
        self.reading = match command {
            COM_QUERY
            | COM_STMT_PREPARE
            | COM_STMT_EXECUTE
            | COM_STMT_BULK_EXECUTE
            | COM_STMT_CLOSE
            | COM_INIT_DB
            | COM_SET_OPTION => Reading::Head(Vec::new()),
            _ => Reading::Passing,
        };
    }

    /// More of the payload of the command that began last, or all of it.
    #[inline]
    pub(in crate::session) fn payload(&mut self, piece: &[u8], is_complete: bool, status: Status) {
        let Reading::Head(head) = &self.reading else {
            return self.more_payload(piece, is_complete);
        };
        let Some(command) = self.commands.back_mut() else {
            return;
        };
        match command.command {
            COM_QUERY | COM_STMT_PREPARE => {
                self.dialect.no_backslash_escapes = status.contains(Status::NO_BACKSLASH_ESCAPES);
                self.dialect.ansi_quotes = status.contains(Status::ANSI_QUOTES);
                // The first piece begins with the command byte.
                let text = piece.get(1..).unwrap_or_default();
                if self.meter.slow().is_on() && command.command == COM_QUERY {
                    command.keep(text);
                }
                if is_complete {
                    let several = self.several && command.command == COM_QUERY;
                    self.reading = Reading::Passing;
                    let mut trace = Trace::Lasting;
                    command.what = match self.texts.known.find(text, self.dialect) {
                        Some(known) => {
                            trace = known.trace;
                            of_known(command.command, known)
                        }
                        None => {
                            let meter = &self.meter;
                            let found =
                                self.texts
                                    .read(text, self.dialect, several, meter, &mut trace);
                            of_text(command.command, found, trace)
                        }
                    };
                    if trace != Trace::Nothing && command.command == COM_QUERY {
                        command.trace = trace;
                        command.setting = (trace == Trace::Settings).then(|| text.into());
                    }
                } else {
                    let mut arriving = Box::new(Text::new(self.dialect));
                    arriving.push(text, &self.meter);
                    self.reading = Reading::Text(arriving);
                }
            }
            _ if is_complete && head.is_empty() => {
                command.what = of_head(command.command, piece);
                self.reading = Reading::Passing;
                self.settle();
            }
            _ => self.more_payload(piece, is_complete),
        }
    }

    /// The way for what does not come in one piece.
    fn more_payload(&mut self, piece: &[u8], is_complete: bool) {
        match &mut self.reading {
            Reading::Passing => return,
            Reading::Head(head) => {
                let room = HEAD_LIMIT.saturating_sub(head.len());
                head.extend_from_slice(&piece[..piece.len().min(room)]);
            }
            Reading::Text(text) => {
                text.push(piece, &self.meter);
                if let Some(command) = self.commands.back_mut()
                    && self.meter.slow().is_on()
                    && command.command == COM_QUERY
                {
                    command.keep(piece);
                }
            }
        }
        if !is_complete {
            return;
        }
        let read = mem::replace(&mut self.reading, Reading::Passing);
        let Some(command) = self.commands.back_mut() else {
            return;
        };
        command.what = match read {
            Reading::Passing => What::Nothing,
            Reading::Head(head) => of_head(command.command, &head),
            Reading::Text(text) => {
                let found = text.end(self.several, &self.meter);
                // It is not looked at closely. A write that is alone ends with a reset in any case.
                let (alone, class) = (found.1.is_empty(), found.0.statement.class);
                let trace = match class {
                    StatementClass::Read | StatementClass::Write if alone => Trace::Passing,
                    _ => Trace::Lasting,
                };
                let what = of_text(command.command, found, trace);
                if command.command == COM_QUERY {
                    command.trace = trace;
                }
                what
            }
        };
        self.settle();
    }
}
