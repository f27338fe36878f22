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

mod outbox;

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use openpeta_types::route::InstanceRoute;

pub use outbox::{CloseReason, Outbox};

/// What a session needs to know at its start.
#[derive(Clone, Debug)]
pub struct SessionParams {
    /// The client's address, which the node is told in a PROXY header.
    pub client: SocketAddr,
    /// The address which the client connected to, likewise.
    pub endpoint: SocketAddr,
    /// The instance.
    pub route: Arc<InstanceRoute>,
    /// Whether the greeting offers TLS.
    pub tls: bool,
    /// Fresh bytes from a secure random source; the session derives its nonces from them.
    pub nonce_seed: [u8; 32],
    /// Time a client has from the start to the end of its login (10 s is MariaDB's default).
    pub login_timeout: Duration,
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
#[derive(Debug)]
pub struct Session {
    params: SessionParams,
}

impl Session {
    /// A session whose node connection is being opened.
    pub fn new(params: SessionParams, now: Duration) -> Self {
        unimplemented!("the machine follows in the next commits")
    }

    /// The connection to the node is open: asks to send the PROXY header.
    pub fn node_connected(&mut self, now: Duration, out: &mut Outbox) {
        unimplemented!("the machine follows in the next commits")
    }

    /// The node could not be reached: tells the client and closes.
    pub fn node_unreachable(&mut self, now: Duration, out: &mut Outbox) {
        unimplemented!("the machine follows in the next commits")
    }

    /// Takes bytes that arrived from the client (decrypted ones after TLS started). Returns which
    /// of them go to the node as they are, after `out.to_node`; all others are dealt with.
    pub fn client_data(&mut self, now: Duration, data: &[u8], out: &mut Outbox) -> Range<usize> {
        unimplemented!("the machine follows in the next commits")
    }

    /// Takes bytes that arrived from the node. Returns which of them go to the client as they
    /// are, after `out.to_client`; all others are dealt with.
    pub fn node_data(&mut self, now: Duration, data: &[u8], out: &mut Outbox) -> Range<usize> {
        unimplemented!("the machine follows in the next commits")
    }

    /// The TLS handshake which `out.start_tls` asked for is complete.
    pub fn tls_established(&mut self, now: Duration) {
        unimplemented!("the machine follows in the next commits")
    }

    /// The client closed its connection, or it failed (a failed TLS handshake included).
    pub fn client_closed(&mut self, now: Duration, out: &mut Outbox) {
        unimplemented!("the machine follows in the next commits")
    }

    /// The node closed its connection, or it failed.
    pub fn node_closed(&mut self, now: Duration, out: &mut Outbox) {
        unimplemented!("the machine follows in the next commits")
    }

    /// When [`tick`](Self::tick) wants to be called at the latest, if at all. It only changes
    /// with the phase: a session in its command phase has none (an idle client is the business
    /// of the node's `wait_timeout`).
    pub fn deadline(&self) -> Option<Duration> {
        unimplemented!("the machine follows in the next commits")
    }

    /// Does what is due at `now`; harmless at any time.
    pub fn tick(&mut self, now: Duration, out: &mut Outbox) {
        unimplemented!("the machine follows in the next commits")
    }

    /// The gateway stops: closes at the next moment without a running command and outside a
    /// transaction, which may be now. As MariaDB does at its shutdown, no packet tells why: one
    /// that answers no command would be out of sequence. Call [`kick`](Self::kick) when the
    /// patience is over.
    pub fn drain(&mut self, now: Duration, out: &mut Outbox) {
        unimplemented!("the machine follows in the next commits")
    }

    /// Closes now, as MariaDB's KILL CONNECTION does.
    pub fn kick(&mut self, now: Duration, out: &mut Outbox) {
        unimplemented!("the machine follows in the next commits")
    }

    /// The instance's route changed: kicks if the account is gone or has another password, and
    /// uses the new write lock and accounts from now on. The whitelist is the shell's to check.
    pub fn route_changed(&mut self, now: Duration, route: Arc<InstanceRoute>, out: &mut Outbox) {
        unimplemented!("the machine follows in the next commits")
    }

    /// Whether the shell should stop reading from the client until this is false again: the
    /// session holds back what it cannot pass on yet. Changes only within calls.
    pub fn client_read_paused(&self) -> bool {
        unimplemented!("the machine follows in the next commits")
    }

    /// Where the session stands.
    pub fn phase(&self) -> Phase {
        unimplemented!("the machine follows in the next commits")
    }

    /// Whether no command runs (command phase only).
    pub fn is_idle(&self) -> bool {
        unimplemented!("the machine follows in the next commits")
    }

    /// Whether the node reported an open transaction.
    pub fn in_transaction(&self) -> bool {
        unimplemented!("the machine follows in the next commits")
    }

    /// The account logged in as, once the client has proved it.
    pub fn account(&self) -> Option<&str> {
        unimplemented!("the machine follows in the next commits")
    }

    /// Whether the client's connection uses TLS.
    pub fn is_encrypted(&self) -> bool {
        unimplemented!("the machine follows in the next commits")
    }

    /// What it has done so far.
    pub fn counters(&self) -> Counters {
        unimplemented!("the machine follows in the next commits")
    }
}
