//! Which statements a session runs: read from the client's bytes as they pass, and counted when
//! their replies, which pass as well, are complete.
//!
//! How many statements there were the server tells, by its results; the text only tells what each
//! of them is. So a text that the gateway splits in another way than the server cannot make the
//! number wrong.

mod commands;
mod replies;
mod requests;
mod texts;

use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasherDefault;
use std::net::SocketAddr;

use openpeta_mysql_wire::{Capabilities, Greeting, Login};
use openpeta_sql_route::Dialect;

use self::commands::Command;
use self::requests::Reading;
use self::texts::{Prepared, Texts};
use super::server::{encoding, version_number};
use super::trace::Trace;
use crate::counters::Meter;
use crate::digests::{AsItIs, Outcome};
use crate::sessions::SessionInfo;

/// Statements of settings that are kept to be repeated, and their bytes.
const MOST_SETTINGS: usize = 16;
const SETTINGS_LIMIT: usize = 2048;

/// The statements of a session in its command phase.
pub(super) struct Statements {
    meter: Meter,
    dialect: Dialect,
    /// A text may hold several.
    several: bool,
    /// The database that the login asked for, then the one that the session is in.
    database: Vec<u8>,
    /// Whether something may be in the session that another connection to the node would not have,
    /// and whether that outlives a reset.
    left: bool,
    left_for_good: bool,
    /// Statements that made settings, to be run again on such a connection.
    settings: Vec<Vec<u8>>,
    /// The node's number for the session, and the one that the client was greeted with.
    thread_id: u32,
    told_id: u32,
    /// Commands whose replies are due, in their order, and some without a reply between them.
    commands: VecDeque<Command>,
    /// How the payload of the last command is read.
    reading: Reading,
    /// For texts that are there as a whole.
    texts: Texts,
    /// An empty buffer for the next text.
    spare: Vec<u8>,
    /// A statement that took long, until it is logged.
    slow: Option<Box<Slow>>,
    /// By the numbers that the server gave them.
    prepared: HashMap<u64, Prepared, BuildHasherDefault<AsItIs>>,
    last_prepared: u32,
}

/// A statement that took long.
pub(super) struct Slow {
    pub(super) database: Vec<u8>,
    pub(super) outcome: Outcome,
    pub(super) error: Option<u16>,
    pub(super) digest: u64,
    pub(super) text: Vec<u8>,
    pub(super) dialect: Dialect,
}

impl Statements {
    pub(super) fn new(meter: Meter) -> Self {
        Self {
            meter,
            dialect: Dialect::new(0),
            several: false,
            database: Vec::new(),
            left: false,
            left_for_good: false,
            settings: Vec::new(),
            thread_id: 0,
            told_id: 0,
            commands: VecDeque::new(),
            reading: Reading::Passing,
            texts: Texts::default(),
            spare: Vec::new(),
            slow: None,
            prepared: HashMap::default(),
            last_prepared: 0,
        }
    }

    pub(super) fn meter(&self) -> &Meter {
        &self.meter
    }

    /// How the session's texts are read.
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The client is greeted so.
    pub(super) fn greets(&mut self, greeting: &Greeting) {
        self.told_id = greeting.connection_id;
        self.moved(greeting);
    }

    /// The client asks for this login.
    pub(super) fn login(&mut self, login: &Login) {
        self.several = login.capabilities.contains(Capabilities::MULTI_STATEMENTS);
        self.dialect.encoding = encoding(login.charset.into());
        self.database = login.database.clone().unwrap_or_default();
    }

    /// The node has accepted the login.
    pub(super) fn logged_in(&mut self, account: String, client: SocketAddr, encrypted: bool) {
        self.meter.enter(&self.database);
        self.meter.logged_in(SessionInfo {
            thread_id: self.thread_id,
            told_id: self.told_id,
            account,
            client,
            database: String::from_utf8_lossy(self.meter.database()).into_owned(),
            encrypted,
            commands: 0,
        });
    }

    /// The session went over to another account.
    pub(super) fn user_changed(&mut self, account: &str, database: &[u8], charset: Option<u16>) {
        self.meter
            .told(|session| session.account = account.to_owned());
        self.reset();
        self.enter(database);
        if let Some(charset) = charset {
            self.dialect.encoding = encoding(charset);
        }
    }

    /// The session's state was reset, but for its database.
    pub(super) fn reset(&mut self) {
        self.prepared.clear();
        self.settings.clear();
        self.left = self.left_for_good;
    }

    /// The session has a connection to the node that greeted so.
    pub(super) fn moved(&mut self, greeting: &Greeting) {
        self.dialect.server_version = version_number(&greeting.server_version);
        self.thread_id = greeting.connection_id;
        self.meter.moved(self.thread_id);
    }

    /// The session has no connection to the node for now.
    pub(super) fn stranded(&self) {
        self.meter.moved(0);
    }

    /// Whether another session's client was told the node's number for this connection. It would
    /// mean two things then.
    pub(super) fn is_told_to_another(&self, greeting: &Greeting) -> bool {
        self.meter.is_told_to_another(greeting.connection_id)
    }

    /// Something is in the session that another connection to the node would not have.
    pub(super) fn leave(&mut self, trace: Trace) {
        self.left |= trace != Trace::Nothing;
        self.left_for_good |= trace == Trace::Lasting;
    }

    /// Whether another connection to the node, with the same settings made, would serve as well.
    pub(super) fn left_nothing(&self) -> bool {
        !self.left && self.prepared.is_empty() && self.commands.is_empty()
    }

    /// The statements that make the session's settings, in their order.
    pub(super) fn settings(&self) -> &[Vec<u8>] {
        &self.settings
    }

    /// The database that the session is in; empty for none.
    pub(super) fn database(&self) -> &[u8] {
        &self.database
    }

    fn enter(&mut self, database: &[u8]) {
        self.meter.enter(database);
        if self.database != database {
            self.database = database.to_vec();
        }
    }

    /// Keeps a statement that made settings. Of two that are the same the first is forgotten: all
    /// that it set the second has set again.
    #[cold]
    fn keep_setting(&mut self, text: Box<[u8]>) {
        self.settings.retain(|kept| **kept != *text);
        self.settings.push(text.into_vec());
        let bytes: usize = self.settings.iter().map(Vec::len).sum();
        if self.settings.len() > MOST_SETTINGS || bytes > SETTINGS_LIMIT {
            self.settings.clear();
            self.leave(Trace::Passing);
        }
    }

    /// Commands that have begun and are not done.
    pub(super) fn pending(&self) -> usize {
        self.commands.len()
    }
}
