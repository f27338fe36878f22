//! One client session as a pure state machine: bytes in, bytes and wishes out.
//!
//! A [`Session`] begins when the shell has accepted a client whose address the whitelist lets in
//! and has opened a connection to the instance's node. It owns no socket and reads no clock: the
//! shell hands in what arrived together with the time, and carries out what the [`Outbox`] asks.
//!
//! The shell's part, per call:
//! 1. `let range = session.client_data(now, data, &mut out)` (or `node_data`);
//! 2. send `out.to_client` and `out.to_node` after what is already queued for each;
//! 3. send `data[range]` to the *other* side (in the command phase this is normally all of it, so
//!    it can go out straight from the receive buffer);
//! 4. start TLS or close if `out` says so, then `out.clear()`.
//!
//! `now` is the time since an arbitrary fixed moment, the same for all calls, and never goes back.

mod change_user;
mod console;
mod kill;
mod login;
mod nonces;
mod numbers;
mod outbox;
mod proof;
pub mod refusal;
mod relay;
mod revival;
mod server;
mod statements;
#[cfg(test)]
mod tests;
mod throttle;
mod trace;
mod warm;

use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use openpeta_mysql_wire::ErrPacket;
use openpeta_mysql_wire::auth::NONCE_LEN;
use openpeta_types::route::InstanceRoute;

use self::login::LoginFlow;
use self::nonces::Nonces;
use self::relay::Relay;
use self::statements::Statements;

use crate::accounts::Admission;
pub use crate::counters::Meter;
use crate::slow_log::Record;

pub use self::outbox::{CloseReason, Outbox};
pub use self::warm::{Reset, Warm};

/// What a session needs to know at its start.
pub struct SessionParams {
    /// The client's address, which the node is told in a PROXY header.
    pub client: SocketAddr,
    /// The address which the client connected to, likewise.
    pub endpoint: SocketAddr,
    /// The instance.
    pub route: Arc<InstanceRoute>,
    /// Whether the greeting offers TLS.
    pub tls: bool,
    /// Whether the greeting offers compression.
    pub compression: bool,
    /// Fresh bytes from a secure random source; the session derives its nonces from them.
    pub nonce_seed: [u8; 32],
    /// Time a client has from the start to the end of its login (10 s is MariaDB's default).
    pub login_timeout: Duration,
    /// Whether the node's connection is to be kept for another session, where that is possible.
    pub keep_node: bool,
    /// How long a client waits for its node to come back, if its session can go on over another
    /// connection; `None` if it is to end with the connection in any case.
    pub revival_time: Option<Duration>,
}

impl fmt::Debug for SessionParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionParams")
            .field("client", &self.client)
            .field("endpoint", &self.endpoint)
            .field("instance", &self.route.instance_id)
            .field("tls", &self.tls)
            .field("compression", &self.compression)
            .field("login_timeout", &self.login_timeout)
            .finish_non_exhaustive()
    }
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// From the start until the node has accepted the login.
    Login,
    /// Commands and replies are relayed.
    Command,
    /// Over; nothing more is done.
    Closed,
}

/// What a session has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Commands of the client, of any kind, begun.
    pub commands: u64,
    /// Replies of the node that were, or ended in, an error packet.
    pub errors: u64,
}

/// The life of one client session; see the [module's documentation](self) for how to drive it.
pub struct Session {
    shared: Shared,
    state: State,
    deadline: Option<Duration>,
    draining: bool,
    /// The node's connection, left for another session.
    warm: Option<Warm>,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("instance", &self.shared.params.route.instance_id)
            .field("client", &self.shared.params.client)
            .field("account", &self.shared.account)
            .field("phase", &self.phase())
            .finish_non_exhaustive()
    }
}

impl Session {
    /// A session whose node connection is being opened.
    pub fn new(params: SessionParams, meter: Meter, now: Duration) -> Self {
        Self {
            deadline: Some(now.saturating_add(params.login_timeout)),
            shared: Shared::new(params, meter, now),
            state: State::Login(Box::new(LoginFlow::new())),
            draining: false,
            warm: None,
        }
    }

    /// A session on a node connection that others have used, for a client with the same address.
    /// It greets at once.
    pub fn on_warm(
        params: SessionParams,
        meter: Meter,
        warm: Warm,
        now: Duration,
        out: &mut Outbox,
    ) -> Self {
        let mut session = Self::new(params, meter, now);
        session.state = State::Login(Box::new(LoginFlow::on_warm(&mut session.shared, warm, out)));
        session
    }

    /// The connection to the node is open: asks to send the PROXY header.
    pub fn node_connected(&mut self, _now: Duration, out: &mut Outbox) {
        match &self.state {
            State::Login(flow) => flow.node_connected(&self.shared, out),
            State::Relay(relay) => relay.node_connected(&self.shared, out),
            State::Closed => {}
        }
    }

    /// There is no node: tells the client and closes, or waits for the node to come back.
    pub fn node_unreachable(&mut self, now: Duration, out: &mut Outbox) {
        match &mut self.state {
            State::Login(flow) => {
                let reason = flow.node_unreachable(out);
                self.close(reason, out);
            }
            State::Relay(relay) => {
                if let Some(reason) = relay.node_unreachable(now, out) {
                    self.close(reason, out);
                }
            }
            State::Closed => {}
        }
    }

    /// Takes bytes that arrived from the client (decrypted ones after TLS started). Returns which
    /// of them go to the node as they are, after `out.to_node`; all others are dealt with.
    pub fn client_data(&mut self, now: Duration, data: &[u8], out: &mut Outbox) -> Range<usize> {
        let passed = match &mut self.state {
            State::Relay(relay) => relay.client_data(&mut self.shared, now, data, out),
            State::Login(flow) => {
                self.shared.now = now;
                flow.client_data(&mut self.shared, data, out).map(|()| 0..0)
            }
            State::Closed => return 0..0,
        };
        self.passed(passed, out)
    }

    /// Makes the packets of a compressed client, which are about to be taken, what the node expects.
    pub fn correct_numbers(&mut self, data: &mut [u8]) {
        if let State::Relay(relay) = &mut self.state {
            relay.correct_numbers(data);
        }
    }

    /// Takes bytes that arrived from the node. Returns which of them go to the client as they
    /// are, after `out.to_client`; all others are dealt with.
    pub fn node_data(&mut self, now: Duration, data: &[u8], out: &mut Outbox) -> Range<usize> {
        let passed = match &mut self.state {
            State::Relay(relay) => relay.node_data(&mut self.shared, now, data, out),
            State::Login(_) => self.login_data(now, data, out).map(|()| 0..0),
            State::Closed => return 0..0,
        };
        self.passed(passed, out)
    }

    /// The TLS handshake which `out.start_tls` asked for is complete.
    pub fn tls_established(&mut self, _now: Duration) {
        if let State::Login(flow) = &mut self.state {
            self.shared.encrypted = true;
            flow.tls_established();
        }
    }

    /// The client closed its connection, or it failed (a failed TLS handshake included).
    pub fn client_closed(&mut self, _now: Duration, out: &mut Outbox) {
        self.close(CloseReason::ClientGone, out);
    }

    /// The node closed its connection, or it failed. The session may go on, and open another when
    /// it needs it.
    pub fn node_closed(&mut self, now: Duration, out: &mut Outbox) {
        let reason = match &mut self.state {
            State::Login(flow) => flow.node_closed(out),
            State::Relay(relay) => relay.node_closed(&self.shared, now, out),
            State::Closed => return,
        };
        if let Some(reason) = reason {
            self.close(reason, out);
        }
    }

    /// When [`tick`](Self::tick) wants to be called at the latest, if at all. It changes with the
    /// phase, and when the outbox says so: in its command phase a session has none as long as the
    /// node is there (an idle client is the business of the node's `wait_timeout`).
    pub fn deadline(&self) -> Option<Duration> {
        match &self.state {
            State::Relay(relay) => relay.deadline(),
            State::Login(_) | State::Closed => self.deadline,
        }
    }

    /// Does what is due at `now`; harmless at any time.
    pub fn tick(&mut self, now: Duration, out: &mut Outbox) {
        if self.deadline().is_none_or(|deadline| now < deadline) {
            return;
        }
        let reason = match &mut self.state {
            State::Login(flow) => Some(flow.timed_out(out)),
            State::Relay(relay) => relay.tick(now, out).err(),
            State::Closed => None,
        };
        if let Some(reason) = reason {
            self.close(reason, out);
        }
    }

    /// The gateway stops: closes at the next moment without a running command and outside a
    /// transaction, which may be now. As MariaDB does at its shutdown, no packet tells why: one
    /// that answers no command would be out of sequence. Call [`kick`](Self::kick) when the
    /// patience is over.
    pub fn drain(&mut self, _now: Duration, out: &mut Outbox) {
        self.draining = true;
        if let State::Login(flow) = &self.state {
            let reason = flow.drained(out);
            self.close(reason, out);
        }
        self.drain_if_possible(out);
    }

    /// Closes if the login is not complete: there is no room for it.
    pub fn displace(&mut self, _now: Duration, out: &mut Outbox) {
        if let State::Login(flow) = &self.state {
            let reason = flow.displaced(out);
            self.close(reason, out);
        }
    }

    /// Closes now, as MariaDB's KILL CONNECTION does.
    pub fn kick(&mut self, _now: Duration, out: &mut Outbox) {
        self.close(CloseReason::Kicked, out);
    }

    /// The instance's route changed: kicks if the account is gone, and uses the new write lock and
    /// accounts from now on. A new password concerns new logins alone. The whitelist is the
    /// shell's to check.
    pub fn route_changed(&mut self, _now: Duration, route: Arc<InstanceRoute>, out: &mut Outbox) {
        let shared = &mut self.shared;
        let old = std::mem::replace(&mut shared.params.route, route);
        let mut in_use = shared.account.iter().chain(&shared.next_account);
        // The node password comes with the account: another one means another account, which got
        // the name of one that was dropped.
        let on_node = |route: &InstanceRoute, name: &str| {
            let login = route.accounts.get(name);
            login.map(|login| login.backend_password.clone())
        };
        let new = &shared.params.route;
        if in_use.any(|name| on_node(&old, name) != on_node(new, name)) {
            self.close(CloseReason::Kicked, out);
        }
    }

    /// Whether the shell should stop reading from the client until this is false again: the
    /// session holds back what it cannot pass on yet. Changes only within calls.
    pub fn client_read_paused(&self) -> bool {
        match &self.state {
            State::Login(flow) => flow.client_read_paused(),
            State::Relay(relay) => relay.client_read_paused(&self.shared),
            State::Closed => true,
        }
    }

    /// Where the session stands.
    pub fn phase(&self) -> Phase {
        match &self.state {
            State::Login(_) => Phase::Login,
            State::Relay(_) => Phase::Command,
            State::Closed => Phase::Closed,
        }
    }

    /// Whether no command runs (command phase only).
    pub fn is_idle(&self) -> bool {
        matches!(&self.state, State::Relay(relay) if relay.is_idle())
    }

    /// Whether the node reported an open transaction.
    pub fn in_transaction(&self) -> bool {
        matches!(&self.state, State::Relay(relay) if relay.in_transaction())
    }

    /// The account logged in as, once the client has proved it.
    pub fn account(&self) -> Option<&str> {
        self.shared.account.as_deref()
    }

    /// Whether the client's connection uses TLS.
    pub fn is_encrypted(&self) -> bool {
        self.shared.encrypted
    }

    /// Counts what it does.
    pub fn meter(&self) -> &Meter {
        self.shared.statements.meter()
    }

    /// The node's connection, if the closed session leaves it to others; it is to be closed
    /// otherwise.
    pub fn take_warm(&mut self) -> Option<Warm> {
        self.warm.take()
    }

    /// What it has done so far.
    pub fn counters(&self) -> Counters {
        self.shared.counters
    }

    /// Takes bytes of the node during the login, and goes on to the command phase behind it.
    fn login_data(
        &mut self,
        now: Duration,
        data: &[u8],
        out: &mut Outbox,
    ) -> Result<(), CloseReason> {
        let State::Login(flow) = &mut self.state else {
            return Ok(());
        };
        let Some(mut relay) = flow.node_data(&mut self.shared, data, out)? else {
            return Ok(());
        };
        self.deadline = None;
        let shared = &mut self.shared;
        let account = shared.account.clone().unwrap_or_default();
        let client = shared.params.client;
        shared
            .statements
            .logged_in(account, client, shared.encrypted);
        let range = relay.node_data(&mut self.shared, now, flow.node_rest(), out)?;
        out.to_client.extend_from_slice(&flow.node_rest()[range]);
        relay.resume(&mut self.shared, now, out)?;
        self.state = State::Relay(relay);
        Ok(())
    }

    #[inline]
    fn passed(
        &mut self,
        passed: Result<Range<usize>, CloseReason>,
        out: &mut Outbox,
    ) -> Range<usize> {
        match passed {
            Ok(range) => {
                if self.draining {
                    self.drain_if_possible(out);
                }
                range
            }
            Err(reason) => {
                self.close(reason, out);
                0..0
            }
        }
    }

    fn drain_if_possible(&mut self, out: &mut Outbox) {
        if matches!(&self.state, State::Relay(relay) if self.draining && relay.may_drain()) {
            self.close(CloseReason::Drained, out);
        }
    }

    fn close(&mut self, reason: CloseReason, out: &mut Outbox) {
        if !matches!(self.state, State::Closed) {
            self.warm = match &mut self.state {
                State::Login(flow) => flow.take_warm(),
                State::Relay(relay) if reason == CloseReason::ClientGone => {
                    relay.part(&self.shared)
                }
                State::Relay(_) | State::Closed => None,
            };
            self.state = State::Closed;
            self.deadline = None;
            self.shared.admission = None;
            self.shared.next_admission = None;
            out.close = Some(reason);
        }
    }
}

/// What every phase works with.
struct Shared {
    params: SessionParams,
    /// The time, during the login.
    now: Duration,
    nonces: Nonces,
    encrypted: bool,
    /// The nonce to which the client proved its account.
    client_nonce: [u8; NONCE_LEN],
    account: Option<String>,
    /// The account that a COM_CHANGE_USER under way leads to.
    next_account: Option<String>,
    /// Counts the session for its account, and for the one that it is on the way to.
    admission: Option<Admission>,
    next_admission: Option<Admission>,
    /// How many COM_CHANGE_USER have failed.
    failed_changes: u32,
    counters: Counters,
    statements: Statements,
}

impl Shared {
    fn new(params: SessionParams, meter: Meter, now: Duration) -> Self {
        Self {
            now,
            nonces: Nonces::new(&params.nonce_seed),
            params,
            encrypted: false,
            client_nonce: [0; NONCE_LEN],
            account: None,
            next_account: None,
            admission: None,
            next_admission: None,
            failed_changes: 0,
            counters: Counters::default(),
            statements: Statements::new(meter),
        }
    }

    /// Counts the session for this account as well.
    ///
    /// # Errors
    /// What the client is told if it may not be.
    fn admit(&self, account: &str) -> Result<Admission, ErrPacket> {
        let admitted = self.statements.meter().accounts().admit(account);
        admitted.map_err(|limit| refusal::user_limit(account, "max_user_connections", limit))
    }

    #[inline]
    fn limits_queries(&self) -> bool {
        let admission = self.admission.as_ref();
        admission.is_some_and(Admission::limits_queries)
    }

    #[inline]
    fn count_command(&mut self) {
        self.counters.commands += 1;
        self.statements.meter().command();
    }

    /// Logs the statement that is done, if it took long.
    #[inline]
    fn log_slow(&mut self) {
        if let Some(slow) = self.statements.take_slow() {
            let record = Record {
                account: self.account.clone(),
                client: self.params.client,
                database: slow.database,
                outcome: slow.outcome,
                error: slow.error,
                digest: slow.digest,
                text: slow.text,
                dialect: slow.dialect,
            };
            self.statements.meter().slow().write(record);
        }
    }

    #[inline]
    fn count_error(&mut self) {
        self.counters.errors += 1;
        self.statements.meter().error();
    }
}

enum State {
    Login(Box<LoginFlow>),
    Relay(Box<Relay>),
    Closed,
}
