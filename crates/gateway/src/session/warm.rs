//! A node connection between two client sessions: reset when the one leaves, so that nothing of
//! it is left for the next, and checked to be clean.
//!
//! COM_RESET_CONNECTION ends locks, temporary tables, prepared statements and variables (and
//! transactions, but sessions that end in one take their connection with them). It is what a
//! MariaDB server itself does to a session's remains before it uses them for another client (it
//! keeps threads for that), with three exceptions: the active role, profiles of statements, and
//! what `SET` told the network layer. [`CHECK`] and [`PROFILES`] find them; such a connection is
//! closed.
//!
//! A session whose statements left nothing that matters to others, as most do that come for one
//! query, leaves a connection that only *owes* its reset: the next client gets it at once, and the
//! reset goes to the node together with that client's login. It is not owed for long, though.

use std::time::Duration;

use openpeta_mysql_wire::auth::NONCE_LEN;
use openpeta_mysql_wire::command::*;
use openpeta_mysql_wire::{
    Capabilities, Greeting, HEADER_LEN, Login, OkPacket, PacketBuffer, put_packet,
};
use openpeta_types::Secret;
use openpeta_types::route::InstanceRoute;

/// Has no row if nothing is there that a reset would leave. The limit is one that the session
/// cannot have changed. It goes ahead of the reset, so that the counters of statements begin anew
/// behind it; FOUND_ROWS() is 0 from then on.
const CHECK: &[u8] = b"\x03SELECT 1 FROM DUAL WHERE CURRENT_ROLE() IS NOT NULL OR @@profiling \
    OR @@net_write_timeout <> @@GLOBAL.net_write_timeout \
    OR @@net_retry_count <> @@GLOBAL.net_retry_count LIMIT 1";
/// Likewise, if there are no profiles.
const PROFILES: &[u8] = b"\x03SHOW PROFILES";
/// What both are followed by.
pub(super) const RESET: &[u8] = &[COM_RESET_CONNECTION];
/// How many columns these two have.
const COLUMNS: [u8; 2] = [1, 3];

/// How long the node's check of an account is good for further sessions of it. All that a session
/// may do is looked up later than that, but for privileges on everything.
const TRUSTED: Duration = Duration::from_secs(60);

/// Longer answers are not those of a clean connection.
const ANSWER_LIMIT: usize = 4096;

/// Capabilities that a server turns into settings of the session at the login, and forgets with
/// the first reset.
const FORGOTTEN: Capabilities =
    Capabilities(Capabilities::INTERACTIVE.0 | Capabilities::IGNORE_SPACE.0);

/// What a login fixes for the life of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Terms {
    capabilities: Capabilities,
    max_packet_size: u32,
    filler: [u8; 19],
}

impl Terms {
    /// The terms of a login as the node gets it; `None` for those that a reset does not keep.
    pub(super) fn of(login: &Login) -> Option<Self> {
        let capabilities = login.announced();
        ((capabilities & FORGOTTEN) == Capabilities::NONE).then(|| Self {
            // Whether a database is named is not for life.
            capabilities: capabilities.without(Capabilities::CONNECT_WITH_DB),
            max_packet_size: login.max_packet_size,
            filler: login.filler,
        })
    }
}

/// Whether a session that sent this command can be reset as if it had not. `COM_SET_OPTION`, for
/// one, changes the capabilities, and a replica's connection has a state of its own.
pub(super) fn leaves_no_trace(command: u8) -> bool {
    matches!(
        command,
        COM_QUERY
            | COM_QUIT
            | COM_PING
            | COM_INIT_DB
            | COM_FIELD_LIST
            | COM_STATISTICS
            | COM_PROCESS_INFO
            | COM_PROCESS_KILL
            | COM_STMT_PREPARE
            | COM_STMT_EXECUTE
            | COM_STMT_SEND_LONG_DATA
            | COM_STMT_CLOSE
            | COM_STMT_RESET
            | COM_STMT_FETCH
            | COM_STMT_BULK_EXECUTE
            | COM_RESET_CONNECTION
    )
}

/// What the node was told last of who uses a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    user: Vec<u8>,
    charset: u8,
    attributes: Option<Vec<u8>>,
    since: Duration,
}

impl Identity {
    /// What a login at `now` tells.
    pub(super) fn of(login: &Login, now: Duration) -> Self {
        Self {
            user: login.user.clone(),
            charset: login.charset,
            attributes: login.attributes.clone(),
            since: now,
        }
    }

    /// Whether a login at `now` tells the same.
    pub(super) fn suits(&self, login: &Login, now: Duration) -> bool {
        self.user == login.user
            && self.charset == login.charset
            && self.attributes == login.attributes
            && now.saturating_sub(self.since) < TRUSTED
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// A session has left it.
    Used,
    /// A session has left it that holds nothing and has set nothing which a reset would leave.
    Owing,
    /// This packet of one of the two results is due.
    Result { which: usize, packet: usize },
    /// The answer to COM_RESET_CONNECTION is due.
    Reset,
    /// Nothing of any session is left in it.
    Clean,
}

/// How far a reset has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reset {
    /// The node's answer is still due.
    Awaits,
    /// The connection may serve another client.
    Clean,
    /// The connection is to be closed.
    Failed,
}

/// A connection to a node, logged in, that serves no client at the moment.
pub struct Warm {
    pub(super) greeting: Greeting,
    pub(super) terms: Terms,
    /// The node's last nonce; a COM_CHANGE_USER begins with it.
    pub(super) nonce: [u8; NONCE_LEN],
    pub(super) identity: Option<Identity>,
    account: String,
    backend_password: Secret,
    stage: Stage,
    input: PacketBuffer,
}

impl std::fmt::Debug for Warm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Warm")
            .field("connection", &self.greeting.connection_id)
            .field("account", &self.account)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}

impl Warm {
    /// A connection that a session of `account` has just left.
    pub(super) fn used(
        greeting: Greeting,
        terms: Terms,
        nonce: [u8; NONCE_LEN],
        identity: Option<Identity>,
        account: String,
        backend_password: Secret,
    ) -> Self {
        Self {
            greeting,
            terms,
            nonce,
            identity,
            account,
            backend_password,
            stage: Stage::Used,
            input: PacketBuffer::new(ANSWER_LIMIT),
        }
    }

    /// The same, left by a session that was seen to leave nothing.
    pub(super) fn owing(mut self) -> Self {
        self.stage = Stage::Owing;
        self
    }

    /// Whether nothing of any session is left in it.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.stage == Stage::Clean
    }

    /// Whether the next client's login is to bring its reset along.
    #[must_use]
    pub fn owes_reset(&self) -> bool {
        self.stage == Stage::Owing
    }

    /// Whether a client may have it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_clean() || self.owes_reset()
    }

    /// Appends what the node is to be sent; its answers go to [`Self::node_data`].
    pub fn begin_reset(&mut self, to_node: &mut Vec<u8>) {
        if self.owes_reset() {
            put_packet(to_node, 0, RESET);
            self.stage = Stage::Reset;
            return;
        }
        for command in [CHECK, PROFILES, RESET] {
            put_packet(to_node, 0, command);
        }
        self.stage = Stage::Result {
            which: 0,
            packet: 0,
        };
    }

    /// Takes bytes of the node.
    pub fn node_data(&mut self, data: &[u8]) -> Reset {
        self.input.push(data);
        loop {
            let packet = match self.input.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                Err(_) => return Reset::Failed,
            };
            match self.next_stage(packet.sequence, &packet.payload) {
                Some(next) => self.stage = next,
                None => return Reset::Failed,
            }
        }
        match (self.stage, self.input.bytes()) {
            (Stage::Clean, []) => Reset::Clean,
            (Stage::Clean | Stage::Used | Stage::Owing, _) => Reset::Failed,
            _ => Reset::Awaits,
        }
    }

    /// The stage behind a packet, if that is the packet which a clean connection sends.
    fn next_stage(&self, sequence: u8, payload: &[u8]) -> Option<Stage> {
        match self.stage {
            Stage::Result { which, packet } => {
                let columns = COLUMNS[which];
                // The number of columns, the columns, their end unless that is left out, the end.
                let eof = !self
                    .terms
                    .capabilities
                    .contains(Capabilities::DEPRECATE_EOF);
                let last = 1 + usize::from(columns) + usize::from(eof);
                let first = *payload.first()?;
                let expected = match packet {
                    0 => first == columns,
                    packet if packet == last => first == 0xFE,
                    _ => first != 0xFF,
                };
                if !expected || usize::from(sequence) != packet + 1 {
                    return None;
                }
                Some(match (packet == last, which) {
                    (false, _) => Stage::Result {
                        which,
                        packet: packet + 1,
                    },
                    (true, 0) => Stage::Result {
                        which: 1,
                        packet: 0,
                    },
                    (true, _) => Stage::Reset,
                })
            }
            Stage::Reset => (OkPacket::is(payload) && sequence == 1).then_some(Stage::Clean),
            Stage::Used | Stage::Owing | Stage::Clean => None,
        }
    }

    /// Whether the account that used it last still is the same one. A connection of one that is
    /// gone would hold up whoever waits for the end of its sessions.
    #[must_use]
    pub fn fits(&self, route: &InstanceRoute) -> bool {
        route
            .accounts
            .get(&self.account)
            .is_some_and(|login| login.backend_password == self.backend_password)
    }

    /// The packet by which the node is told that nothing more comes.
    #[must_use]
    pub fn farewell() -> [u8; HEADER_LEN + 1] {
        [1, 0, 0, 0, COM_QUIT]
    }
}
