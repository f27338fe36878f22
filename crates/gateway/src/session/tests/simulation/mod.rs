//! Random clients and random nodes, their bytes cut and delayed at random.
//!
//! `OPENPETA_SEED` replays one run, which a failure names; `OPENPETA_SEEDS` has that many runs made
//! (`cargo xtask simulate` sets it).

mod deaths;
mod heirs;
mod node;

use openpeta_mysql_wire::command::*;
use openpeta_mysql_wire::{AuthSwitch, ChangeUser};

use self::heirs::generations;
use self::node::Node;
use super::*;
use crate::StatementDigest;
use crate::session::Warm;

const RUNS: u64 = 2_000;

#[test]
fn random_sessions() {
    let seeds = match std::env::var("OPENPETA_SEED") {
        Ok(seed) => vec![seed.parse().expect("OPENPETA_SEED is a number")],
        Err(_) => {
            let runs = std::env::var("OPENPETA_SEEDS").map_or(RUNS, |runs| {
                runs.parse().expect("OPENPETA_SEEDS is a number")
            });
            (0..runs).collect::<Vec<u64>>()
        }
    };
    let mut ends = [0_u32; 9];
    for &seed in &seeds {
        match std::panic::catch_unwind(|| generations(seed)) {
            Ok(its) => {
                for (sum, count) in ends.iter_mut().zip(its) {
                    *sum += count;
                }
            }
            Err(panic) => {
                eprintln!("replay with OPENPETA_SEED={seed}");
                std::panic::resume_unwind(panic);
            }
        }
    }
    // Every kind of end has to happen, or the runs test less than they seem to.
    assert!(
        seeds.len() == 1 || ends.iter().all(|&count| count > 30),
        "{ends:?}"
    );
}

fn its_params(random: &mut Random) -> SessionParams {
    SessionParams {
        revival_time: random.one_in(2).then_some(Duration::from_secs(1)),
        ..params(route())
    }
}

/// A small generator whose whole state is its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn bytes(&mut self, limit: usize) -> Vec<u8> {
        (0..self.below(limit)).map(|_| self.next() as u8).collect()
    }
}

const ACCOUNTS: [(&str, &[u8]); 3] = [("app", PASSWORD), ("other", b"second"), ("open", b"")];

#[derive(Debug, PartialEq, Eq)]
enum Client {
    AwaitsGreeting,
    AwaitsTls,
    /// Of the login or of COM_CHANGE_USER.
    AwaitsAnswer,
    Commands,
    /// Sent a LOAD DATA LOCAL.
    AwaitsFileRequest,
}

struct World {
    random: Random,
    /// Of another session of the instance, whose client was told 7, which is 900 to the node.
    _strayed: Meter,
    session: Session,
    node: Node,
    client: Client,
    capabilities: Capabilities,
    user: &'static str,
    /// The account before the change of user under way.
    user_before: &'static str,
    password: &'static [u8],
    /// Whether that is the account's password.
    honest: bool,
    sha2: bool,
    nonce: [u8; NONCE_LEN],
    sequence: u8,
    /// Sent by the client, not delivered to the session yet.
    in_flight: Vec<u8>,
    /// Delivered to the client, not looked at yet.
    received: PacketBuffer,
    /// What the client sent as commands and got as replies to them.
    sent: Vec<u8>,
    replies: Vec<u8>,
    steps_left: usize,
    draining: bool,
    closed: Option<CloseReason>,
    /// The logins on the node's connection before the session.
    logins: usize,
    /// Whether the session began on a connection that others have used, and may use it: the node
    /// has not ended it, and the client wants the same capabilities.
    on_warm: bool,
    fits: bool,
    reconnected: bool,
    /// The node has ended the connection.
    dead: bool,
    /// The node went down, and the session has none for now; how often another has come.
    down: bool,
    revived: u32,
    reviving: bool,
    too_late: u32,
    lost: u32,
    now: Duration,
}

impl World {
    fn new(mut random: Random, heir: Option<(Warm, Node)>) -> Self {
        let mut capabilities = mysql_client();
        if random.one_in(2) {
            capabilities = capabilities.without(Capabilities::DEPRECATE_EOF);
        }
        let mut out = Outbox::default();
        let on_warm = heir.is_some();
        let strayed = strayed();
        let meter = Meter::beside(&strayed);
        let (session, mut node) = match heir {
            Some((warm, node)) => {
                let params = its_params(&mut random);
                let session = Session::on_warm(params, meter, warm, Duration::ZERO, &mut out);
                (session, node)
            }
            None => (
                Session::new(its_params(&mut random), meter, Duration::ZERO),
                Node::new(),
            ),
        };
        assert!(
            node.owes || !node.trace,
            "a session finds what another has left"
        );
        node.commands.clear();
        node.replies.clear();
        (node.finished, node.failed, node.errors) = (0, 0, 0);
        let eof = !capabilities.contains(Capabilities::DEPRECATE_EOF);
        let mut world = Self {
            session,
            _strayed: strayed,
            logins: node.logins,
            on_warm,
            fits: node.sends_eof() == eof,
            reconnected: false,
            dead: false,
            down: false,
            revived: 0,
            reviving: false,
            too_late: 0,
            lost: 0,
            now: Duration::ZERO,
            node,
            client: Client::AwaitsGreeting,
            capabilities,
            user: "",
            user_before: "",
            password: b"",
            honest: false,
            sha2: random.one_in(2),
            nonce: [0; NONCE_LEN],
            sequence: 0,
            in_flight: Vec::new(),
            received: PacketBuffer::new(1 << 20),
            sent: Vec::new(),
            replies: Vec::new(),
            steps_left: 5 + random.below(30),
            draining: false,
            closed: None,
            random,
        };
        world.choose_account();
        world.carry_out(&out);
        if !on_warm {
            world.event(|session, out| session.node_connected(Duration::ZERO, out));
        }
        world
    }

    /// Returns which kind of end it was.
    fn run(&mut self) -> usize {
        let mut idle = 0;
        while self.closed.is_none() && idle < 300 {
            let progress = match self.random.below(8) {
                0..=2 => self.deliver_client(),
                3..=5 => self.deliver_node(),
                6 => self.client_acts(),
                _ => {
                    if self.random.one_in(150) {
                        self.draining = true;
                        self.event(|session, out| session.drain(Duration::ZERO, out));
                    } else if self.random.one_in(20) {
                        self.change_route();
                    } else if self.random.one_in(400) {
                        self.event(|session, out| session.client_closed(Duration::ZERO, out));
                    } else if self.random.one_in(60) {
                        self.end_warm();
                    } else if self.random.one_in(40) {
                        self.node_dies();
                    } else {
                        self.time_passes();
                    }
                    false
                }
            };
            idle = if progress { 0 } else { idle + 1 };
        }
        self.check()
    }

    /// What was counted is what happened: everything, once everybody is done, and no more than that
    /// before.
    fn check_counters(&self) {
        let (total, databases) = self.session.meter().totals();
        let (node, statements) = (&self.node, &total.statements);
        let counted = (statements.finished, statements.failed, total.errors);
        let happened = (node.finished, node.failed, node.errors);
        if self.closed.is_none() {
            assert_eq!(counted, happened);
            let open = databases.iter().map(|database| database.sessions);
            let entered = databases.iter().map(|database| database.entered);
            assert!(open.sum::<u64>() <= 1 && entered.sum::<u64>() >= 1);
        } else {
            let [finished, failed] = [counted.0 <= happened.0, counted.1 <= happened.1];
            assert!(finished && failed, "{counted:?} {happened:?}");
        }
        let classes = statements.set
            + statements.single_reads
            + statements.single_writes
            + statements.begins
            + statements.commits
            + statements.rollbacks
            + statements.other_transaction
            + statements.other;
        assert_eq!(classes, statements.queries());
        let digests = self.session.meter().digests();
        let sum = |of: fn(&StatementDigest) -> u64| digests.iter().map(of).sum::<u64>();
        assert_eq!(sum(|digest| digest.count), statements.queries());
        assert_eq!(sum(|digest| digest.errors), statements.failed);
        assert_eq!(total.commands, self.session.counters().commands);
        assert_eq!(total.errors, self.session.counters().errors);
    }

    fn check(&mut self) -> usize {
        self.check_counters();
        let (sent, commands) = (&self.sent, &self.node.commands);
        assert!(sent.starts_with(commands), "the node got other bytes");
        let replies = &self.replies;
        assert!(
            self.node.replies.starts_with(replies),
            "the client got other bytes"
        );
        match self.closed {
            None => {
                assert!(self.honest, "a wrong password was not refused");
                assert_eq!(self.client, Client::Commands, "everybody waits");
                assert_eq!(self.steps_left, 0, "the client could not finish");
                assert_eq!((sent, replies), (commands, &self.node.replies));
                assert!(self.session.is_idle());
                let in_transaction = self.node.status.contains(Status::IN_TRANS);
                assert_eq!(self.session.in_transaction(), in_transaction);
                0
            }
            Some(CloseReason::AccessDenied) => {
                assert!(!self.honest && self.node.logins == self.logins);
                1
            }
            Some(CloseReason::Drained) => {
                assert!(self.draining);
                assert!(
                    !self.node.status.contains(Status::IN_TRANS),
                    "a transaction was cut"
                );
                assert_eq!(&self.node.replies, replies, "a reply was cut");
                2
            }
            Some(CloseReason::ClientGone) => 3,
            Some(CloseReason::NodeGone | CloseReason::NodeRefused) => {
                assert!(self.down || self.too_late > 0, "ended with its node there");
                5
            }
            Some(reason) => panic!("closed: {reason:?}"),
        }
    }

    fn event(&mut self, event: impl FnOnce(&mut Session, &mut Outbox)) {
        let mut out = Outbox::default();
        event(&mut self.session, &mut out);
        self.carry_out(&out);
    }

    /// Locks and unlocks writes in the midst of everything. The node's errors are others, so that
    /// no byte may change.
    fn change_route(&mut self) {
        let mut changed = route();
        changed.write_lock = self.random.one_in(2).then(|| "quota".into());
        self.event(|session, out| session.route_changed(Duration::ZERO, Arc::new(changed), out));
    }

    fn carry_out(&mut self, out: &Outbox) {
        assert!(self.closed.is_none() || out.is_empty());
        self.received.push(&out.to_client);
        self.node_receives(&out.to_node);
        self.closed = out.close;
        if out.reconnect && self.session.phase() == Phase::Command {
            self.node_comes();
        } else if out.reconnect {
            assert!(self.on_warm && !self.fits && !self.reconnected);
            assert!(self.node.quit || self.dead, "the node was not told");
            self.dead = false;
            self.reconnected = true;
            self.node = Node::new();
            self.logins = 0;
            self.event(|session, out| session.node_connected(Duration::ZERO, out));
        }
    }

    fn node_receives(&mut self, data: &[u8]) {
        if self.dead || self.down {
            return;
        }
        let before = self.node.logins;
        self.node.receive(data, &mut self.random);
        if self.node.logins != before {
            let user = if std::mem::take(&mut self.reviving) {
                // It is not about the change of user that may be under way.
                self.session.account().expect("logged in")
            } else {
                assert!(self.honest, "an unproved login reached the node");
                self.user
            };
            assert_eq!(self.node.account.as_deref(), Some(user.as_bytes()));
        }
    }

    fn deliver_client(&mut self) -> bool {
        if self.in_flight.is_empty() || self.session.client_read_paused() {
            return false;
        }
        let data = self.random.piece(&mut self.in_flight);
        let mut out = Outbox::default();
        let range = self.session.client_data(self.now, &data, &mut out);
        self.carry_out(&out);
        self.node_receives(&data[range]);
        if let Some(from) = out.start_tls {
            assert_eq!(from, data.len());
            self.session.tls_established(Duration::ZERO);
            self.send_login();
        }
        true
    }

    fn deliver_node(&mut self) -> bool {
        if self.node.output.is_empty() {
            return false;
        }
        let data = self.random.piece(&mut self.node.output);
        let mut out = Outbox::default();
        let range = self.session.node_data(self.now, &data, &mut out);
        // Replies go first: an answer to a change of user comes behind all of them.
        self.carry_out(&out);
        self.received.push(&data[range]);
        self.take_replies();
        true
    }

    /// As long as the node's replies are not all here, what comes is replies.
    fn take_replies(&mut self) {
        let due = self.node.replies.len() - self.replies.len();
        let taken = due.min(self.received.bytes().len());
        self.replies
            .extend_from_slice(&self.received.bytes()[..taken]);
        self.received.advance(taken);
    }

    fn client_acts(&mut self) -> bool {
        match self.client {
            Client::Commands => return self.steps_left > 0 && self.send_command(),
            Client::AwaitsFileRequest => return self.node.awaits_file() && self.send_file(),
            Client::AwaitsTls => return false,
            Client::AwaitsGreeting | Client::AwaitsAnswer => {}
        }
        let Some(got) = self.received.next_packet().expect("packets in order") else {
            return false;
        };
        assert_eq!(got.sequence, self.sequence, "{got:?}");
        self.sequence = self.sequence.wrapping_add(1);
        if self.client == Client::AwaitsGreeting {
            self.nonce = Greeting::parse(&got.payload).expect("a greeting").nonce;
            self.begin_login();
        } else if got.payload == [1, 3] {
            assert!(self.sha2);
        } else if OkPacket::is(&got.payload) {
            assert!(self.honest);
            self.client = Client::Commands;
        } else if ErrPacket::is(&got.payload) && !self.user_before.is_empty() {
            let code = ErrPacket::parse(&got.payload).expect("an error").code;
            match code {
                1045 => assert!(!self.honest),
                1047 => assert!(self.node.failed_changes > 3),
                _ => panic!("error {code}"),
            }
            self.user = self.user_before;
            self.honest = true;
            self.client = Client::Commands;
        } else {
            let switch = AuthSwitch::parse(&got.payload).expect("a switch");
            assert_eq!(switch.plugin, self.plugin());
            self.nonce = *switch.data.first_chunk().expect("a nonce");
            self.send(&self.response());
        }
        true
    }

    fn begin_login(&mut self) {
        if self.random.one_in(3) {
            let mut payload = Vec::new();
            self.login(Vec::new()).encode_ssl_request(&mut payload);
            self.client = Client::AwaitsTls;
            self.send(&payload);
        } else {
            self.send_login();
        }
    }

    fn send_login(&mut self) {
        // Clients of MySQL's kind send no response to a nonce of another plugin.
        let response = if self.sha2 && self.random.one_in(2) {
            Vec::new()
        } else {
            self.response()
        };
        let mut payload = Vec::new();
        self.login(response).encode(&mut payload);
        self.client = Client::AwaitsAnswer;
        self.send(&payload);
    }

    fn login(&self, response: Vec<u8>) -> Login {
        Login {
            plugin: Some(self.plugin().to_vec()),
            ..login(self.capabilities, self.user, response)
        }
    }

    /// Any command, which may go ahead of the replies to others.
    fn send_command(&mut self) -> bool {
        let all_done = self.sent == self.node.commands && self.replies == self.node.replies;
        let text = self.random.bytes(100);
        let command = match self.random.below(16) {
            0 => return self.change_user(),
            1 if !all_done => return false,
            1 => {
                self.client = Client::AwaitsFileRequest;
                [b"\x03load 1 ", &text[..]].concat()
            }
            2 => vec![COM_PING],
            3 => vec![COM_STATISTICS],
            4 => [&[COM_STMT_PREPARE], &text[..]].concat(),
            5 => [&[COM_STMT_EXECUTE], &text[..]].concat(),
            6 => vec![COM_STMT_CLOSE, 1, 0, 0, 0],
            7 => [&[COM_FIELD_LIST], &text[..]].concat(),
            9 if self.random.one_in(2) => return self.kill(),
            8 if self.random.one_in(4) => Vec::new(),
            8 => vec![COM_RESET_CONNECTION],
            14 if self.random.one_in(4) => b"\x03SELECT @a := 1".to_vec(),
            15 => format!("\x03SET autocommit={}", self.random.below(2)).into_bytes(),
            12 if self.random.one_in(4) => vec![COM_SET_OPTION, 1, 0],
            // One result a statement, whatever follows.
            _ => [b"\x03SELECT ", &text[..]].concat(),
        };
        self.steps_left -= 1;
        self.send_relayed(&packet(0, &command));
        true
    }

    /// The node gets its own number in the place of the one that was told.
    fn kill(&mut self) -> bool {
        let told = [7, 42, 900, 5][self.random.below(4)];
        let meant = if told == 7 { 900 } else { told };
        let form = self.random.below(4);
        let of = |id: u32| {
            let text = match form {
                0 => return packet(0, &[&[COM_PROCESS_KILL], &id.to_le_bytes()[..]].concat()),
                1 => format!("\x03KILL {id}"),
                2 => format!("\x03/* x */ -- 7\nkill soft query {id} ;"),
                _ => format!("\x16/*!50000 KILL QUERY */ {id}"),
            };
            packet(0, text.as_bytes())
        };
        self.steps_left -= 1;
        self.sent.extend(of(meant));
        self.in_flight.extend(of(told));
        true
    }

    fn send_file(&mut self) -> bool {
        if self.replies != self.node.replies {
            return false;
        }
        let mut file = Vec::new();
        let mut sequence = 2;
        for _ in 0..self.random.below(4) {
            let content = [&[COM_CHANGE_USER], &self.random.bytes(80)[..]].concat();
            sequence = put_packet(&mut file, sequence, &content);
        }
        put_packet(&mut file, sequence, b"");
        self.send_relayed(&file);
        self.client = Client::Commands;
        true
    }

    fn change_user(&mut self) -> bool {
        self.steps_left -= 1;
        self.user_before = self.user;
        self.choose_account();
        let request = ChangeUser {
            user: self.user.as_bytes().to_vec(),
            auth_response: self.response(),
            database: Vec::new(),
            charset: Some(33),
            plugin: Some(self.plugin().to_vec()),
            attributes: None,
        };
        let mut payload = Vec::new();
        request.encode(&mut payload);
        self.client = Client::AwaitsAnswer;
        self.sequence = 0;
        self.send(&payload);
        true
    }

    /// Another account than the current one.
    fn choose_account(&mut self) {
        let (user, right) = loop {
            let account = ACCOUNTS[self.random.below(ACCOUNTS.len())];
            if account.0 != self.user {
                break account;
            }
        };
        self.user = user;
        self.honest = !self.random.one_in(8);
        self.password = if self.honest { right } else { b"guess" };
    }

    fn plugin(&self) -> &'static [u8] {
        if self.sha2 { sha2::NAME } else { native::NAME }
    }

    fn response(&self) -> Vec<u8> {
        if self.sha2 {
            sha2::response(self.password, &self.nonce)
        } else {
            native::response(self.password, &self.nonce)
        }
    }

    /// Sends a packet that is part of a login.
    fn send(&mut self, payload: &[u8]) {
        self.sequence = put_packet(&mut self.in_flight, self.sequence, payload);
    }

    /// Sends what the node has to get as it is.
    fn send_relayed(&mut self, wire: &[u8]) {
        self.sent.extend_from_slice(wire);
        self.in_flight.extend_from_slice(wire);
    }
}

impl Random {
    fn piece(&mut self, from: &mut Vec<u8>) -> Vec<u8> {
        let len = 1 + self.below(from.len().min(60));
        from.drain(..len).collect()
    }
}
