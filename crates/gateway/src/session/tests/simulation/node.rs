//! A node that accepts the right logins and answers commands at random.

use openpeta_mysql_wire::command::*;
use openpeta_mysql_wire::{AuthSwitch, ChangeUser};

use super::super::*;
use super::Random;

const DEFINITION: &[u8] = b"\x03def\0\0\0\x011\0\x0c?\0\x01\0\0\0\x03\x81\0\0\0\0";

/// What the next packet is.
enum Awaits {
    ProxyHeader,
    Login,
    Command,
    /// The response of this account to the current nonce.
    Response(Vec<u8>),
    File,
}

pub(super) struct Node {
    input: PacketBuffer,
    awaits: Awaits,
    /// Not delivered yet.
    pub(super) output: Vec<u8>,
    deprecate_eof: bool,
    nonce: [u8; NONCE_LEN],
    /// Who is logged in.
    pub(super) account: Option<Vec<u8>>,
    /// Changes of user that failed; after three it knows the command no more.
    pub(super) failed_changes: usize,
    /// All packets of the client that are no logins, and all replies to them.
    pub(super) commands: Vec<u8>,
    pub(super) replies: Vec<u8>,
    pub(super) status: Status,
    /// Statements that succeeded, those that failed, and replies that were errors.
    pub(super) finished: u64,
    pub(super) failed: u64,
    pub(super) errors: u64,
    /// How often somebody has logged in.
    pub(super) logins: usize,
    /// Something is in the session that another connection would not have; how many statements are
    /// prepared; what makes the session's settings.
    pub(super) left: bool,
    pub(super) prepared: usize,
    pub(super) settings: Vec<Vec<u8>>,
    /// Settings of a connection before this one, which have to be made before anything else.
    pub(super) due: Vec<Vec<u8>>,
    /// The session has left something that a reset takes away, or something that it does not.
    pub(super) trace: bool,
    pub(super) tainted: bool,
    /// The session before has left the reset to the next one's login.
    pub(super) owes: bool,
    /// The client said goodbye.
    pub(super) quit: bool,
    sequence: u8,
}

impl Node {
    pub(super) fn new() -> Self {
        Self {
            input: PacketBuffer::new(1 << 20),
            awaits: Awaits::ProxyHeader,
            output: packet(0, &node_greeting()),
            deprecate_eof: false,
            nonce: NODE_NONCE,
            account: None,
            failed_changes: 0,
            commands: Vec::new(),
            replies: Vec::new(),
            status: Status::AUTOCOMMIT,
            finished: 0,
            failed: 0,
            errors: 0,
            logins: 0,
            left: false,
            prepared: 0,
            settings: Vec::new(),
            due: Vec::new(),
            trace: false,
            tainted: false,
            owes: false,
            quit: false,
            sequence: 0,
        }
    }

    /// Whether nothing is under way, not even a part of a command.
    pub(super) fn is_idle(&self) -> bool {
        matches!(self.awaits, Awaits::Command) && self.input.bytes().is_empty()
    }

    pub(super) fn sends_eof(&self) -> bool {
        !self.deprecate_eof
    }

    pub(super) fn awaits_file(&self) -> bool {
        matches!(self.awaits, Awaits::File)
    }

    pub(super) fn receive(&mut self, data: &[u8], random: &mut Random) {
        self.input.push(data);
        if matches!(self.awaits, Awaits::ProxyHeader) && self.input.bytes().len() >= PROXY_HEADER {
            self.input.advance(PROXY_HEADER);
            self.awaits = Awaits::Login;
        }
        if matches!(self.awaits, Awaits::ProxyHeader) {
            return;
        }
        while let Some(got) = self.input.next_packet().expect("packets in order") {
            self.sequence = got.sequence.wrapping_add(1);
            match &self.awaits {
                Awaits::ProxyHeader => unreachable!("read above"),
                Awaits::Login => self.login(&got.payload, random),
                Awaits::Response(account) => {
                    let account = account.clone();
                    self.check(account, &got.payload);
                }
                Awaits::Command if got.payload.first() == Some(&COM_CHANGE_USER) => {
                    let request =
                        ChangeUser::parse(&got.payload, mysql_client()).expect("a change of user");
                    if self.failed_changes < 3 {
                        self.ask(request.user, random);
                    } else {
                        self.fail_change(&err(1047, "Unknown command"));
                    }
                }
                Awaits::Command if self.owes && got.payload.as_ref() != [COM_QUIT] => {
                    assert_eq!(
                        got.payload,
                        [COM_RESET_CONNECTION],
                        "the reset is still owed"
                    );
                    self.owes = false;
                    self.trace = false;
                    self.forget();
                    self.status = Status::AUTOCOMMIT;
                    self.ok(self.status);
                }
                // Only logins do this here.
                Awaits::Command if got.payload.first() == Some(&COM_INIT_DB) => {
                    self.logins += 1;
                    self.ok(self.status);
                }
                Awaits::Command if !self.due.is_empty() => {
                    let setting = self.due.remove(0);
                    assert_eq!(got.payload, setting, "a setting is not made again");
                    self.settings.push(setting);
                    self.ok(self.status);
                }
                Awaits::Command | Awaits::File => {
                    self.commands.extend(packet(got.sequence, &got.payload));
                    let before = self.output.len();
                    self.answer(&got.payload, random);
                    self.replies.extend_from_slice(&self.output[before..]);
                }
            }
        }
    }

    fn login(&mut self, payload: &[u8], random: &mut Random) {
        let Ok(LoginPacket::Login(login)) = Login::parse(payload, false) else {
            panic!("no login: {payload:?}");
        };
        self.deprecate_eof = login.capabilities.contains(Capabilities::DEPRECATE_EOF);
        if random.one_in(3) {
            self.ask(login.user, random);
        } else {
            self.check(login.user, &login.auth_response);
        }
    }

    fn ask(&mut self, account: Vec<u8>, random: &mut Random) {
        self.nonce = std::array::from_fn(|_| 1 + random.below(100) as u8);
        let switch = AuthSwitch {
            plugin: native::NAME.to_vec(),
            data: [&self.nonce[..], &[0]].concat(),
        };
        let mut payload = Vec::new();
        switch.encode(&mut payload);
        self.say(&payload);
        self.awaits = Awaits::Response(account);
    }

    fn check(&mut self, account: Vec<u8>, response: &[u8]) {
        let password = [b"random-of-", &account[..]].concat();
        if response != native::response(&password, &self.nonce) {
            // Nothing but a change to the account that it has already may be tried.
            assert_eq!(self.account.as_ref(), Some(&account));
            return self.fail_change(&err(1045, "Access denied"));
        }
        self.account = Some(account);
        self.logins += 1;
        self.trace = false;
        self.owes = false;
        self.forget();
        self.awaits = Awaits::Command;
        self.status = Status::AUTOCOMMIT;
        self.ok(self.status);
    }

    /// Keeps the account and resets the session.
    fn fail_change(&mut self, error: &[u8]) {
        self.errors += 1;
        self.failed_changes += 1;
        self.tainted = true;
        self.left = true;
        self.awaits = Awaits::Command;
        self.status = Status::AUTOCOMMIT;
        self.say(error);
    }

    fn forget(&mut self) {
        self.left = false;
        self.prepared = 0;
        self.settings.clear();
    }

    fn answer(&mut self, payload: &[u8], random: &mut Random) {
        if self.awaits_file() {
            if payload.is_empty() {
                self.awaits = Awaits::Command;
                self.finish(random, true);
            }
            return;
        }
        self.tainted |= payload.is_empty();
        self.trace |= payload.first() != Some(&COM_RESET_CONNECTION);
        match payload.first().copied() {
            Some(COM_QUIT) => self.quit = true,
            Some(COM_RESET_CONNECTION) => {
                self.trace = false;
                self.forget();
                self.status = Status::AUTOCOMMIT;
                self.ok(self.status);
            }
            Some(COM_QUERY) if payload[1..].starts_with(b"SELECT @") => {
                self.left = true;
                self.finish(random, true);
            }
            Some(COM_QUERY) if payload[1..].starts_with(b"SET autocommit") => {
                self.settings.retain(|setting| setting != payload);
                self.settings.push(payload.to_vec());
                self.finished += 1;
                self.ok(self.status);
            }
            Some(COM_SET_OPTION) => {
                self.tainted = true;
                self.end(self.status);
            }
            Some(COM_QUERY) if payload[1..].starts_with(b"SELECT 1 FROM DUAL") => {
                self.say(&[1]);
                self.definitions(1);
                self.end(self.status);
            }
            Some(COM_QUERY) if payload[1..].starts_with(b"SHOW PROFILES") => {
                self.say(&[3]);
                self.definitions(3);
                self.end(self.status);
            }
            Some(COM_QUERY) if payload[1..].starts_with(b"load") => {
                self.left = true;
                self.say(b"\xfbfile");
                self.awaits = Awaits::File;
            }
            Some(COM_STMT_CLOSE) => self.prepared = 0,
            Some(COM_STATISTICS) => self.say(b"Uptime: 1"),
            Some(COM_STMT_PREPARE) => {
                self.prepared = 1;
                let (columns, parameters) = (random.below(3), random.below(3));
                self.say(&[
                    0,
                    1,
                    0,
                    0,
                    0,
                    columns as u8,
                    0,
                    parameters as u8,
                    0,
                    0,
                    0,
                    0,
                ]);
                for count in [parameters, columns].into_iter().filter(|&count| count > 0) {
                    self.definitions(count);
                }
            }
            Some(COM_FIELD_LIST) => {
                self.say(DEFINITION);
                self.end(self.status);
            }
            Some(COM_STMT_EXECUTE) => {
                self.finished += 1;
                let row = [&[0, 0][..], &random.bytes(40)].concat();
                self.result_set(&[row], self.status);
            }
            command => self.finish(random, command == Some(COM_QUERY)),
        }
    }

    /// The end of a reply: any results, then one that says that nothing follows.
    fn finish(&mut self, random: &mut Random, of_statements: bool) {
        let statements = u64::from(of_statements);
        while random.one_in(4) {
            self.finished += statements;
            let rows: Vec<_> = (0..random.below(4)).map(|_| text_row(random)).collect();
            self.result_set(&rows, self.status.with(Status::MORE_RESULTS_EXISTS));
        }
        if random.one_in(5) {
            self.failed += statements;
            self.errors += 1;
            let message = "x".repeat(random.below(90));
            return self.say(&err(1291 + random.below(9) as u16, &message));
        }
        self.finished += statements;
        self.status = if random.one_in(2) {
            Status::AUTOCOMMIT
        } else {
            Status::AUTOCOMMIT.with(Status::IN_TRANS)
        };
        if random.one_in(2) {
            self.ok(self.status);
        } else {
            let row = text_row(random);
            self.result_set(&[row], self.status);
        }
    }

    fn result_set(&mut self, rows: &[Vec<u8>], status: Status) {
        self.say(&[2]);
        self.definitions(2);
        for row in rows {
            self.say(row);
        }
        self.end(status);
    }

    fn definitions(&mut self, count: usize) {
        for _ in 0..count {
            self.say(DEFINITION);
        }
        if !self.deprecate_eof {
            self.end(self.status);
        }
    }

    fn end(&mut self, status: Status) {
        let [low, high] = status.0.to_le_bytes();
        let eof = [0xFE, 0, 0, low, high, 0, 0];
        self.say(if self.deprecate_eof { &eof } else { &eof[..5] });
    }

    fn ok(&mut self, status: Status) {
        self.say(&ok(status));
    }

    fn say(&mut self, payload: &[u8]) {
        self.sequence = put_packet(&mut self.output, self.sequence, payload);
    }
}

fn text_row(random: &mut Random) -> Vec<u8> {
    let mut row = vec![random.below(0xFC) as u8];
    row.extend(random.bytes(60));
    row
}
