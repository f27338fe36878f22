//! Another connection to the node in place of one that ended with the node: for a session in which
//! nothing was that such a connection would not have.
//!
//! When the node's connection ends, the session asks for another at once. If that one is greeted,
//! the node was there all along: it ended the session alone, by KILL or a time limit, and so it is
//! over. If there is no node, it went down; the session stays and asks again when the client sends
//! something.

use std::time::Duration;

use openpeta_mysql_wire::auth::{NONCE_LEN, native};
use openpeta_mysql_wire::command::COM_QUERY;
use openpeta_mysql_wire::{
    Capabilities, ErrPacket, Greeting, Login, OkPacket, PacketBuffer, Status, put_packet,
};

use super::login::switched_nonce;
use super::{Outbox, Shared};

/// How long after an attempt the next one comes.
const PAUSE: Duration = Duration::from_millis(100);
/// ER_SERVER_SHUTDOWN.
const SHUTDOWN: u16 = 1053;
/// Longer answers are none to a login or a SET.
const ANSWER_LIMIT: usize = 64 << 10;

/// What the node was told in the session's login, and is told again.
#[derive(Clone, Debug)]
pub(super) struct NodeLogin {
    login: Login,
    server_version: Vec<u8>,
    /// What the client and the node agreed upon is read from the login and this.
    offered: Capabilities,
    /// A new connection could not be told all of it.
    untold: bool,
}

impl NodeLogin {
    /// `login` as the node got it, which had greeted so.
    pub(super) fn new(login: Login, greeting: &Greeting) -> Self {
        Self {
            login,
            server_version: greeting.server_version.clone(),
            offered: greeting.capabilities,
            untold: false,
        }
    }

    /// The session went over to another account.
    pub(super) fn change(&mut self, user: &[u8], charset: Option<u16>, attributes: Option<&[u8]>) {
        self.login.user = user.to_vec();
        if let Some(charset) = charset {
            // A login has one byte for it.
            let charset = u8::try_from(charset);
            self.untold = charset.is_err();
            self.login.charset = charset.unwrap_or_default();
        }
        if let Some(attributes) = attributes {
            self.login.attributes = Some(attributes.to_vec());
        }
    }

    /// Whether a new connection can be told the same.
    pub(super) fn can_be_told(&self) -> bool {
        !self.untold
    }

    /// Whether a node that greets so is as the one of the login was.
    fn suits(&self, greeting: &Greeting) -> bool {
        greeting.server_version == self.server_version && greeting.capabilities == self.offered
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It is being found out whether the node is there.
    Probing,
    /// There was no node.
    Down,
    /// A connection is asked for; the node's greeting is due.
    Greeting,
    /// The node's answer to the login is due.
    Login,
    /// The answer to this one of the statements that make settings is due.
    Setting(usize),
}

/// A session without a node's connection, on its way to another.
pub(super) struct Revival {
    stage: Stage,
    login: NodeLogin,
    greeting: Option<Greeting>,
    nonce: [u8; NONCE_LEN],
    status: Status,
    node: PacketBuffer,
    /// When a client that waits is told that it took too long.
    until: Option<Duration>,
    /// When the next attempt is due.
    again: Option<Duration>,
}

/// How far a revival has come.
pub(super) enum Step {
    Awaits,
    /// The session can go on.
    Done {
        status: Status,
    },
    /// The node takes nobody now.
    Failed,
    /// The connection is of no use, but another will be.
    Another,
    /// The node was there all the time.
    NotDown,
    /// It cannot go on.
    Refused(ErrPacket),
}

impl Revival {
    /// Begins with an attempt to connect.
    pub(super) fn new(login: &NodeLogin) -> Self {
        Self {
            stage: Stage::Probing,
            login: login.clone(),
            greeting: None,
            nonce: [0; NONCE_LEN],
            status: Status::AUTOCOMMIT,
            node: PacketBuffer::new(ANSWER_LIMIT),
            until: None,
            again: None,
        }
    }

    pub(super) fn nonce(&self) -> [u8; NONCE_LEN] {
        self.nonce
    }

    /// The connection that the session goes on over: what it was greeted and logged in with.
    pub(super) fn into_connection(self) -> (Option<Greeting>, Login) {
        (self.greeting, self.login.login)
    }

    /// The client has sent something, and is answered within `time`. Returns whether a connection
    /// is to be opened now.
    pub(super) fn wanted(&mut self, now: Duration, time: Duration) -> bool {
        self.until.get_or_insert(now.saturating_add(time));
        self.stage == Stage::Down && self.again.is_none() && self.attempt()
    }

    /// There is no node. If a client `waits`, it is tried again soon.
    pub(super) fn unreachable(&mut self, waits: bool, now: Duration) {
        self.stage = Stage::Down;
        self.again = waits.then(|| now.saturating_add(PAUSE));
    }

    /// The connection has ended. Returns whether there is hope.
    pub(super) fn ended(&mut self, waits: bool, now: Duration) -> bool {
        // In the middle of a login it may have been ended for any reason.
        let hope = !matches!(self.stage, Stage::Setting(_));
        self.unreachable(waits, now);
        hope
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        self.until.into_iter().chain(self.again).min()
    }

    pub(super) fn is_too_late(&self, now: Duration) -> bool {
        self.until.is_some_and(|until| until <= now)
    }

    /// Whether a connection is to be opened now.
    pub(super) fn retry(&mut self, now: Duration) -> bool {
        self.again.is_some_and(|at| at <= now) && self.attempt()
    }

    fn attempt(&mut self) -> bool {
        self.stage = Stage::Greeting;
        self.again = None;
        self.greeting = None;
        self.node = PacketBuffer::new(ANSWER_LIMIT);
        true
    }

    /// Takes bytes of the node.
    pub(super) fn node_data(&mut self, shared: &Shared, data: &[u8], out: &mut Outbox) -> Step {
        if self.stage == Stage::Down {
            return Step::Awaits;
        }
        self.node.push(data);
        loop {
            let packet = match self.node.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => return Step::Awaits,
                Err(_) => return Step::Refused(super::refusal::session_lost()),
            };
            let payload = &packet.payload;
            match self.stage {
                Stage::Down => return Step::Awaits,
                // It is about to end, or has no room.
                Stage::Greeting if ErrPacket::is(payload) => return Step::Failed,
                // What a node says that stops.
                Stage::Probing if says_shutdown(payload) => return Step::Failed,
                Stage::Probing => return Step::NotDown,
                Stage::Greeting => match Greeting::parse(payload) {
                    Ok(greeting) if shared.statements.is_told_to_another(&greeting) => {
                        self.attempt();
                        return Step::Another;
                    }
                    Ok(greeting) if self.login.suits(&greeting) => {
                        self.nonce = greeting.nonce;
                        self.greeting = Some(greeting);
                        self.log_in(shared, out);
                    }
                    _ => return Step::Refused(super::refusal::session_lost()),
                },
                Stage::Login => {
                    if let Some(nonce) = switched_nonce(&packet) {
                        self.nonce = nonce;
                        let response = self.response(shared);
                        put_packet(&mut out.to_node, packet.sequence.wrapping_add(1), &response);
                    } else if let Some(step) = self.answered(payload, 0, shared, out) {
                        return step;
                    }
                }
                Stage::Setting(which) => {
                    if let Some(step) = self.answered(payload, which + 1, shared, out) {
                        return step;
                    }
                }
            }
        }
    }

    fn log_in(&mut self, shared: &Shared, out: &mut Outbox) {
        self.stage = Stage::Login;
        let database = shared.statements.database();
        self.login.login.database = (!database.is_empty()).then(|| database.to_vec());
        self.login.login.auth_response = self.response(shared);
        let mut payload = Vec::new();
        self.login.login.encode(&mut payload);
        put_packet(&mut out.to_node, 1, &payload);
    }

    fn response(&self, shared: &Shared) -> Vec<u8> {
        let account = shared.account.as_deref().unwrap_or_default();
        let account = shared.params.route.accounts.get(account);
        let password = account.map_or("", |account| account.backend_password.expose());
        native::response(password.as_bytes(), &self.nonce)
    }

    /// Takes an answer, then makes the settings from this one on.
    fn answered(
        &mut self,
        payload: &[u8],
        next: usize,
        shared: &Shared,
        out: &mut Outbox,
    ) -> Option<Step> {
        if let Ok(error) = ErrPacket::parse(payload)
            && ErrPacket::is(payload)
        {
            return Some(Step::Refused(error));
        }
        match OkPacket::parse(payload) {
            Ok(ok) if OkPacket::is(payload) => self.status = ok.status,
            _ => return Some(Step::Refused(super::refusal::session_lost())),
        }
        let Some(setting) = shared.statements.settings().get(next) else {
            return Some(Step::Done {
                status: self.status,
            });
        };
        self.stage = Stage::Setting(next);
        put_packet(&mut out.to_node, 0, &[&[COM_QUERY], &setting[..]].concat());
        None
    }
}

fn says_shutdown(payload: &[u8]) -> bool {
    ErrPacket::parse(payload).is_ok_and(|error| error.code == SHUTDOWN)
}
