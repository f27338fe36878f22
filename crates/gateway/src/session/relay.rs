//! The command phase: bytes go through as they are, framed only enough to know where commands
//! and replies begin and end.

mod gone;

use std::ops::Range;
use std::time::Duration;

use openpeta_mysql_wire::auth::NONCE_LEN;
use openpeta_mysql_wire::command::{
    COM_CHANGE_USER, COM_QUERY, COM_QUIT, COM_STMT_CLOSE, ReplyShape,
};
use openpeta_mysql_wire::{
    Capabilities, ClientStep, CommandTracker, ErrPacket, Greeting, HEADER_LEN, PacketBuffer,
    ReplyEvent, ReplyTracker, Status, put_packet,
};

use super::change_user::{ChangeUserFlow, Progress};
use super::console::{self, Begins};
use super::kill::{self, Look};
use super::login::CLIENT_LIMIT;
use super::numbers::Numbers;
use super::refusal::{self, refuse};
use super::revival::{NodeLogin, Revival};
use super::throttle::{Refused, Verdict, judge};
use super::trace::Trace;
use super::warm::{Identity, Terms, Warm, leaves_no_trace};
use super::{CloseReason, Outbox, Shared};

/// A client may send this many commands ahead of the replies before it is no longer read from.
const PIPELINE_LIMIT: usize = 1024;
/// Errors longer than this are not rewritten.
const ERROR_LIMIT: usize = 4096;
/// ER_OPTION_PREVENTS_STATEMENT, which a node with `read_only` answers writes with.
const READ_ONLY: u16 = 1290;

/// The packet that a client says goodbye with.
const QUIT: &[u8] = &[1, 0, 0, 0, COM_QUIT];

/// What is known of the node's connection, for whoever gets it next.
pub(super) struct Backend {
    pub(super) greeting: Greeting,
    pub(super) terms: Terms,
    pub(super) identity: Option<Identity>,
}

/// A session in its command phase.
pub(super) struct Relay {
    capabilities: Capabilities,
    /// The node's last nonce; a COM_CHANGE_USER begins with it.
    node_nonce: [u8; NONCE_LEN],
    commands: CommandTracker,
    replies: ReplyTracker,
    /// Client bytes that are not passed on yet: the first bytes of a packet that do not show
    /// whether it is a COM_CHANGE_USER, or that command and what follows it.
    client: PacketBuffer,
    /// `client` begins with a COM_CHANGE_USER, or a statement about the gateway.
    change_due: bool,
    change: Option<Box<ChangeUserFlow>>,
    /// Node bytes that are not passed on yet, because they may begin an error to rewrite.
    node_held: Vec<u8>,
    /// Of a compressed client.
    numbers: Numbers,
    quitting: bool,
    out_of_sequence: bool,
    /// The node's connection may serve another client once it was reset; `None` if not.
    backend: Option<Box<Backend>>,
    /// The client said goodbye, and the node was not told.
    parting: bool,
    /// How another connection to the node is logged in, if sessions may go on over one.
    login: Option<Box<NodeLogin>>,
    /// What the node said unasked, and may be about its end.
    last_words: Vec<u8>,
    /// A command that is refused, at the front of `client`.
    refused: Option<Box<Refused>>,
    /// What is to take the place of the KILL at the front of `client`.
    retargeted: Option<Vec<u8>>,
    /// The command at the front of `client` was looked at, and goes to the node as it is.
    looked_at: bool,
    /// The node's connection has ended; the session goes on if another one comes.
    revival: Option<Box<Revival>>,
}

impl Relay {
    /// Begins behind the node's OK; `client` holds what the client has sent ahead. With a
    /// `backend`, the node's connection is to be kept beyond the session if possible.
    pub(super) fn new(
        capabilities: Capabilities,
        status: Status,
        node_nonce: [u8; NONCE_LEN],
        client: PacketBuffer,
        backend: Option<Box<Backend>>,
        login: Option<Box<NodeLogin>>,
    ) -> Self {
        let hold: &[u8] = match backend {
            Some(_) => &[COM_CHANGE_USER, COM_QUIT],
            None => &[COM_CHANGE_USER],
        };
        Self {
            capabilities,
            node_nonce,
            commands: CommandTracker::new(hold),
            replies: ReplyTracker::new(capabilities, status),
            client,
            change_due: false,
            change: None,
            node_held: Vec::new(),
            numbers: Numbers::default(),
            quitting: false,
            out_of_sequence: false,
            backend,
            parting: false,
            login,
            last_words: Vec::new(),
            refused: None,
            retargeted: None,
            looked_at: false,
            revival: None,
        }
    }

    /// The node's connection, for another client, if the session leaves it so that a reset ends
    /// whatever it did: nothing under way on either side, no transaction open, and nothing done
    /// that a reset leaves.
    pub(super) fn part(&mut self, shared: &Shared) -> Option<Warm> {
        // A transaction may be a prepared one. That outlives the session, and after a reset the
        // connection would fail whatever touches a table.
        if !self.may_drain()
            || self.revival.is_some()
            || !self.node_held.is_empty()
            || self.out_of_sequence
            || self.quitting
        {
            return None;
        }
        let backend = *self.backend.take()?;
        let account = shared.account.clone()?;
        let login = shared.params.route.accounts.get(&account)?;
        let password = login.backend_password.clone();
        let warm = Warm::used(
            backend.greeting,
            backend.terms,
            self.node_nonce,
            backend.identity,
            account,
            password,
        );
        Some(match shared.statements.left_nothing() {
            true => warm.owing(),
            false => warm,
        })
    }

    pub(super) fn is_idle(&self) -> bool {
        self.replies.is_idle() && self.change.is_none() && !self.is_held()
    }

    /// Whether what `client` begins with waits for the replies ahead of it.
    #[inline]
    fn is_held(&self) -> bool {
        self.change_due || self.refused.is_some()
    }

    pub(super) fn in_transaction(&self) -> bool {
        self.replies.status().contains(Status::IN_TRANS)
    }

    /// Whether closing now cuts nothing: no command is under way, not even a part of one.
    pub(super) fn may_drain(&self) -> bool {
        self.is_idle()
            && !self.in_transaction()
            && self.commands.at_boundary()
            && self.client.bytes().is_empty()
    }

    pub(super) fn client_read_paused(&self, shared: &Shared) -> bool {
        let waits_for_node = match &self.change {
            Some(change) => !change.awaits_client(),
            None => self.is_held() && !self.replies.is_idle(),
        };
        let revives = self.revival.is_some() && !self.client.bytes().is_empty();
        waits_for_node || revives || shared.statements.pending() > PIPELINE_LIMIT
    }

    pub(super) fn correct_numbers(&mut self, data: &mut [u8]) {
        let commands = self.change.is_none() && self.commands.expects_commands();
        self.numbers.correct(data, commands);
    }

    #[inline]
    pub(super) fn client_data(
        &mut self,
        shared: &mut Shared,
        now: Duration,
        data: &[u8],
        out: &mut Outbox,
    ) -> Result<Range<usize>, CloseReason> {
        if self.revival.is_some() {
            self.data_for_the_gone(shared, now, data, out)?;
            return Ok(0..0);
        }
        if !self.last_words.is_empty() {
            out.to_client.append(&mut self.last_words);
            shared.statements.leave(Trace::Lasting);
        }
        if self.change.is_some() || self.is_held() || !self.client.bytes().is_empty() {
            self.client.push(data);
            self.resume(shared, now, out)?;
            return Ok(0..0);
        }
        let passed = self.follow_client(shared, now, data);
        if self.parting {
            out.to_node.extend_from_slice(&data[..passed]);
            return Err(CloseReason::ClientGone);
        }
        if passed < data.len() {
            // What is passed on behind it goes by way of `out`, and so ahead of a returned range.
            out.to_node.extend_from_slice(&data[..passed]);
            self.client.push(&data[passed..]);
            self.resume(shared, now, out)?;
            return Ok(0..0);
        }
        Ok(0..passed)
    }

    /// Goes through the bytes of a client up to those that have to be held back; returns how
    /// many that are.
    #[inline]
    fn follow_client(&mut self, shared: &mut Shared, now: Duration, data: &[u8]) -> usize {
        let mut at = 0;
        while at < data.len() {
            if self.commands.awaits_command() {
                if !self.looked_at && self.is_held_back(shared, &data[at..]) {
                    break;
                }
                if shared.limits_queries() {
                    match judge(shared, now, &data[at..]) {
                        Verdict::Passes => {}
                        Verdict::Perhaps => break,
                        Verdict::Refused(refused) => {
                            self.refused = Some(Box::new(refused));
                            self.looked_at = false;
                            break;
                        }
                    }
                }
            }
            let (used, step) = self.commands.step(&data[at..]);
            at += used;
            match step {
                ClientStep::Command {
                    command,
                    in_sequence,
                    ..
                } => {
                    self.looked_at = false;
                    shared.count_command();
                    self.out_of_sequence |= !in_sequence;
                    self.command_begins(shared, now, command);
                }
                ClientStep::Payload => {
                    let is_complete = self.commands.at_boundary();
                    let payload = &data[at - used..at];
                    let status = self.replies.status();
                    shared.statements.payload(payload, is_complete, status);
                }
                ClientStep::Held {
                    command: COM_CHANGE_USER,
                } => {
                    self.change_due = true;
                    break;
                }
                ClientStep::Held { .. } => {
                    let quiet = self.replies.is_idle() && !self.in_transaction();
                    if quiet && &data[at..] == QUIT && self.backend.is_some() {
                        shared.count_command();
                        self.parting = true;
                        break;
                    }
                    self.commands.pass_held();
                }
                ClientStep::Incomplete => break,
                ClientStep::FileEnd | ClientStep::Header => {}
            }
        }
        at
    }

    /// Whether the statement that begins here, or may begin, is not to go to the node as it is.
    #[inline]
    fn is_held_back(&mut self, shared: &Shared, data: &[u8]) -> bool {
        let dialect = shared.statements.dialect();
        match kill::look(data, dialect) {
            Look::Other => {}
            Look::Perhaps => return true,
            Look::Kills(len) => {
                let target = |id| shared.statements.meter().kill_target(id);
                self.retargeted = kill::retargeted(&data[..len], dialect, target);
                return self.retargeted.is_some();
            }
        }
        let begins = console::begins(data);
        if begins != Begins::No && shared.params.route.sharding.is_some() {
            match console::is_about_routes(data) {
                Some(true) => return false,
                Some(false) => {}
                None => return true,
            }
        }
        match begins {
            Begins::No => false,
            Begins::Perhaps => true,
            Begins::Yes => {
                self.change_due = true;
                true
            }
        }
    }

    #[inline]
    fn command_begins(&mut self, shared: &mut Shared, now: Duration, command: u8) {
        if !leaves_no_trace(command) {
            self.backend = None;
            shared.statements.leave(Trace::Lasting);
        }
        match ReplyShape::of(command) {
            ReplyShape::None if command == COM_STMT_CLOSE => shared.statements.begin(command, now),
            ReplyShape::None => self.quitting |= command == COM_QUIT,
            shape => {
                if shape == ReplyShape::Stream {
                    self.commands.expect_opaque();
                }
                shared.statements.begin(command, now);
                if self.replies.is_idle() {
                    self.replies.begin(command);
                }
            }
        }
    }

    /// Passes on what was held back, as far as that is possible now.
    pub(super) fn resume(
        &mut self,
        shared: &mut Shared,
        now: Duration,
        out: &mut Outbox,
    ) -> Result<(), CloseReason> {
        loop {
            if let Some(packet) = self.retargeted.take() {
                self.replace_first(&packet);
            }
            if let Some(change) = &mut self.change {
                if !change.awaits_client() {
                    return Ok(());
                }
                match self.client.next_packet() {
                    Ok(None) => return Ok(()),
                    Ok(Some(packet)) => change.client_response(shared, &packet, out)?,
                    Err(error) => {
                        let error = refusal::wire_error(error);
                        return Err(refuse(out, 0, &error, CloseReason::Malformed));
                    }
                }
            } else if let Some(refused) = &mut self.refused {
                if !self.replies.is_idle() {
                    return Ok(());
                }
                let Some(sequence) = refused.swallow(&mut self.client) else {
                    return Ok(());
                };
                shared.count_command();
                shared.count_error();
                refusal::put_error(&mut out.to_client, sequence, &refused.error);
                self.refused = None;
            } else if self.change_due {
                if !self.replies.is_idle() || !self.begin_change(shared, out)? {
                    return Ok(());
                }
            } else {
                // Out of the buffer for a moment, because the trackers are part of `self` too.
                let held = std::mem::replace(&mut self.client, PacketBuffer::new(CLIENT_LIMIT));
                let passed = self.follow_client(shared, now, held.bytes());
                out.to_node.extend_from_slice(&held.bytes()[..passed]);
                if self.parting {
                    return Err(CloseReason::ClientGone);
                }
                self.client = held;
                self.client.advance(passed);
                if !self.is_held() && self.retargeted.is_none() {
                    return Ok(());
                }
            }
        }
    }

    /// Puts `packet` in the place of the one at the front of the client's bytes.
    fn replace_first(&mut self, packet: &[u8]) {
        let mut client = PacketBuffer::new(CLIENT_LIMIT);
        client.push(packet);
        if let Ok(Some(_)) = self.client.next_packet() {
            client.push(self.client.bytes());
        }
        self.client = client;
        self.looked_at = true;
    }

    /// Begins the COM_CHANGE_USER at the front of the client's bytes, or answers the statement
    /// there, if it is whole.
    fn begin_change(&mut self, shared: &mut Shared, out: &mut Outbox) -> Result<bool, CloseReason> {
        let packet = match self.client.next_packet() {
            Ok(None) => return Ok(false),
            Ok(Some(packet)) => packet,
            Err(error) => {
                let error = refusal::wire_error(error);
                return Err(refuse(out, 1, &error, CloseReason::Malformed));
            }
        };
        self.change_due = false;
        shared.count_command();
        if packet.sequence != 0 {
            let error = refusal::out_of_order();
            return Err(refuse(out, 0, &error, CloseReason::Malformed));
        }
        if packet.payload.first() == Some(&COM_QUERY) {
            let status = self.replies.status();
            if console::answer(shared, &packet.payload, self.capabilities, status, out) {
                shared.count_error();
            }
            return Ok(true);
        }
        match ChangeUserFlow::begin(shared, &packet, self.capabilities, self.node_nonce, out) {
            Some(change) => self.change = Some(Box::new(change)),
            None => {
                shared.count_error();
                refusal::put_error(&mut out.to_client, 1, &refusal::unknown_command());
            }
        }
        Ok(true)
    }

    #[inline]
    pub(super) fn node_data(
        &mut self,
        shared: &mut Shared,
        now: Duration,
        data: &[u8],
        out: &mut Outbox,
    ) -> Result<Range<usize>, CloseReason> {
        if self.change.is_some() {
            self.change_answered(shared, now, data, out)?;
            return Ok(0..0);
        }
        if self.revival.is_some() {
            self.revive(shared, now, data, out)?;
            return Ok(0..0);
        }
        if self.replies.is_idle() && !data.is_empty() {
            // It says what nobody asked for.
            self.backend = None;
            if self.may_revive(shared) && self.last_words.len() + data.len() <= ERROR_LIMIT {
                // If it is the end of the node, the client need not know.
                self.last_words.extend_from_slice(data);
                return Ok(0..0);
            }
            out.to_client.append(&mut self.last_words);
            shared.statements.leave(Trace::Lasting);
        }
        if shared.params.route.write_lock.is_some() || !self.node_held.is_empty() {
            self.relay_rewriting(shared, now, data, out)?;
        } else {
            let mut at = 0;
            while at < data.len() {
                let (used, event) = self.replies.feed(&data[at..]);
                at += used;
                if let Some(event) = event {
                    self.reply_event(shared, now, event)?;
                }
            }
            if !self.is_held() {
                return Ok(0..data.len());
            }
            // What follows goes out behind these bytes, which a returned range would not.
            out.to_client.extend_from_slice(data);
        }
        if self.is_held() {
            self.resume(shared, now, out)?;
        }
        Ok(0..0)
    }

    #[inline]
    fn reply_event(
        &mut self,
        shared: &mut Shared,
        now: Duration,
        event: ReplyEvent,
    ) -> Result<(), CloseReason> {
        match event {
            ReplyEvent::Result { columns } => {
                shared.statements.result(columns, &mut self.replies, now);
                shared.log_slow();
            }
            ReplyEvent::Complete { error } => {
                if error.is_some() {
                    shared.count_error();
                    self.assume_transaction();
                }
                let next = shared.statements.complete(error, &mut self.replies, now);
                shared.log_slow();
                match next {
                    Some(next) => self.replies.begin(next),
                    // No command is recognised behind one with endless events, so that one is
                    // always the last.
                    None => self.commands.end_opaque(),
                }
            }
            ReplyEvent::LocalInfile => {
                // The node takes the next packets for the file, whatever the client meant by
                // those it has already sent.
                let ahead = shared.statements.pending() > 1 || !self.client.bytes().is_empty();
                if ahead || !self.commands.at_boundary() {
                    return Err(CloseReason::Malformed);
                }
                self.commands.expect_file();
            }
            ReplyEvent::ErrorAhead { .. } => {}
        }
        Ok(())
    }

    /// An error tells no status. Without autocommit, the failed statement may have opened a
    /// transaction; the next status will tell.
    fn assume_transaction(&mut self) {
        let status = self.replies.status();
        if !status.contains(Status::AUTOCOMMIT) {
            self.replies.set_status(status.with(Status::IN_TRANS));
        }
    }

    /// Relays while the instance is locked for writes: the node's error about `read_only` then
    /// tells why.
    fn relay_rewriting(
        &mut self,
        shared: &mut Shared,
        now: Duration,
        data: &[u8],
        out: &mut Outbox,
    ) -> Result<(), CloseReason> {
        let mut held = std::mem::take(&mut self.node_held);
        held.extend_from_slice(data);
        let mut at = 0;
        while at < held.len() {
            let rest = &held[at..];
            let (mut used, mut event) = self.replies.feed_to_error(rest);
            if let Some(ReplyEvent::ErrorAhead { len }) = event {
                out.to_client.extend_from_slice(&rest[..used]);
                at += used;
                let rest = &held[at..];
                let packet = rest.get(..len);
                if packet.is_none() && len <= ERROR_LIMIT {
                    break;
                }
                (used, event) = self.replies.feed(packet.unwrap_or(rest));
                match packet.and_then(|packet| explain(shared, packet)) {
                    Some(explained) => out.to_client.extend_from_slice(&explained),
                    None => out.to_client.extend_from_slice(&rest[..used]),
                }
            } else {
                out.to_client.extend_from_slice(&rest[..used]);
            }
            at += used;
            match event {
                Some(event) => self.reply_event(shared, now, event)?,
                None => break,
            }
        }
        held.drain(..at);
        self.node_held = held;
        Ok(())
    }

    fn change_answered(
        &mut self,
        shared: &mut Shared,
        now: Duration,
        data: &[u8],
        out: &mut Outbox,
    ) -> Result<(), CloseReason> {
        let Some(change) = &mut self.change else {
            return Ok(());
        };
        match change.node_data(data, out)? {
            Progress::Awaits => return Ok(()),
            Progress::Changed { status } => {
                shared.account = shared.next_account.take();
                if let Some(next) = shared.next_admission.take() {
                    shared.admission = Some(next);
                }
                if let Some(backend) = &mut self.backend {
                    backend.identity = None;
                }
                if let Some(login) = &mut self.login {
                    change.tell(login);
                }
                let (database, charset) = change.destination();
                let account = shared.account.as_deref().unwrap_or_default();
                shared.statements.user_changed(account, database, charset);
                self.replies.set_status(status);
            }
            Progress::Failed => {
                shared.next_account = None;
                shared.next_admission = None;
                shared.failed_changes += 1;
                // The node counts them too.
                self.backend = None;
                shared.count_error();
                shared.statements.reset();
                self.replies.set_status(Status::AUTOCOMMIT);
            }
        }
        self.node_nonce = change.node_nonce();
        let rest = change.take_node_rest();
        self.change = None;
        let range = self.node_data(shared, now, &rest, out)?;
        out.to_client.extend_from_slice(&rest[range]);
        self.resume(shared, now, out)
    }
}

/// The error packet with the reason for the write lock, if it is the error for that.
fn explain(shared: &Shared, packet: &[u8]) -> Option<Vec<u8>> {
    let reason = shared.params.route.write_lock.as_deref()?;
    let (header, payload) = packet.split_first_chunk::<HEADER_LEN>()?;
    let mut error = ErrPacket::parse(payload).ok()?;
    if error.code != READ_ONLY {
        return None;
    }
    error.message.extend_from_slice(b": ");
    error.message.extend_from_slice(reason.as_bytes());
    let (mut payload, mut explained) = (Vec::new(), Vec::new());
    error.encode(&mut payload);
    put_packet(&mut explained, header[3], &payload);
    Some(explained)
}
