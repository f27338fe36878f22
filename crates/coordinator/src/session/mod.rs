//! A client's session over the nodes of an instance.

mod checksum;
mod client;
mod collect;
mod control;
mod copy;
mod define;
mod explain;
mod failure;
mod figures;
mod kill;
mod load;
mod lock;
mod login;
mod nodes;
mod partitions;
mod prepared;
mod quick;
mod read;
mod redistribute;
mod relay;
mod roam;
mod show;
mod snapshot;
mod statement;
mod transaction;
mod trigger;
mod variables;
mod write;

use std::sync::Arc;

use openpeta_mysql_wire::command::{
    COM_CHANGE_USER, COM_INIT_DB, COM_PROCESS_KILL, COM_QUERY, COM_QUIT, COM_RESET_CONNECTION,
    COM_STMT_BULK_EXECUTE, COM_STMT_CLOSE, COM_STMT_EXECUTE, COM_STMT_PREPARE, COM_STMT_RESET,
    COM_STMT_SEND_LONG_DATA,
};
use openpeta_mysql_wire::{ChangeUser, ErrPacket, ReplyTracker};

pub use client::Client;
pub use failure::Failure;
pub use nodes::Nodes;
pub use transaction::Transaction;
pub use variables::Variables;

use crate::node::{Connector, Link, NodeConnection, NodeError, NodeLogin, PacketStream};
use crate::plan::Facts;
use crate::plan::known::KnownStatements;
use crate::service::{Held, Instance, Owner, Passage};
use crate::topology::Topology;
use prepared::Statements;
use quick::AtHand;
pub(crate) use roam::{Roam, Roaming};
use show::Diagnostic;

/// A session whose client is logged in.
struct Session {
    client: Client,
    nodes: Nodes,
    instance: Arc<Instance>,
    tracker: ReplyTracker,
    facts: Facts,
    /// Something may have changed what is known of the session.
    stale: bool,
    /// The distributed tables that its transaction, or statement, uses.
    used: Vec<Held>,
    /// Whose they are.
    owner: Owner,
    /// What `LOCK TABLES` has locked.
    locked: Option<lock::Locked>,
    /// Its transaction, or statement, uses partitions where they are now.
    passage: Option<Passage>,
    /// Its transaction was ended because partitions had to move, and the client does not know.
    moved: bool,
    /// What the last statement had to tell, if home does not know.
    diagnostics: Option<Vec<Diagnostic>>,
    /// The `LAST_INSERT_ID()` that home does not know yet.
    last_insert_id: Option<u64>,
    /// What `SET TRANSACTION` said of the next transaction: its isolation, and whether it only reads.
    next_transaction: Option<String>,
    next_read_only: Option<bool>,
    /// What `SET timestamp` said, and whether it may have said something new.
    fixed_timestamp: Option<String>,
    timestamp_stale: bool,
    /// The error that the last relayed reply ended with.
    relayed_error: Option<u16>,
    prepared: Statements,
    /// Statements that need not be planned anew.
    known: KnownStatements,
    /// What those need that read one partition.
    at_hand: AtHand,
    /// It has prepared statements by SQL, when so many tables had been distributed.
    dynamic: Option<u64>,
    /// Where it runs.
    roam: Roam,
}

/// Longer commands are not read on a loop, in bytes.
const LONG: usize = 8 << 10;

/// Serves a connection from the login to its end.
pub(crate) async fn serve(instance: Arc<Instance>, link: Link, connector: Connector, roam: Roam) {
    match login(&instance, link, connector, roam).await {
        Ok(Some(mut session)) => {
            if let Err(failure) = session.run().await {
                tracing::debug!(?failure, "a session ended");
            }
            // The last reply, if the client still wants it.
            let _ = session.client.flush().await;
            session.nodes.abandon();
        }
        Ok(None) => {}
        Err(error) => tracing::debug!(%error, "a login failed"),
    }
}

async fn login(
    instance: &Arc<Instance>,
    link: Link,
    connector: Connector,
    roam: Roam,
) -> Result<Option<Session>, NodeError> {
    let topology = instance.topology();
    let home = topology.socket(Topology::HOME).ok_or(NodeError::closed())?;
    let mut client = PacketStream::new(link);
    let mut home = PacketStream::new(connector.connect(home).await?);
    let Some(told) = login::relay_login(&mut client, &mut home).await? else {
        return Ok(None);
    };
    if instance.doubt().wait(&[Topology::HOME]).await.is_err() {
        tracing::warn!("a session begins while a transaction is not carried out at home");
    }
    let login = instance.password_of(&told.user).map(|password| NodeLogin {
        user: told.user.clone(),
        password,
        database: None,
        client: told.client,
        capabilities: told.capabilities,
        charset: told.charset,
    });
    let home = NodeConnection::from_parts(home, told.capabilities, told.status, told.thread_id);
    Ok(Some(Session {
        client: Client::new(client, told.capabilities),
        nodes: Nodes::new(Arc::clone(instance), home, login, connector),
        instance: Arc::clone(instance),
        tracker: ReplyTracker::new(told.capabilities, told.status),
        facts: Facts::new(instance.server_version()),
        stale: true,
        used: Vec::new(),
        owner: instance.locks().owner(),
        locked: None,
        passage: None,
        moved: false,
        diagnostics: None,
        last_insert_id: None,
        next_transaction: None,
        next_read_only: None,
        fixed_timestamp: None,
        timestamp_stale: false,
        relayed_error: None,
        prepared: Statements::default(),
        known: KnownStatements::default(),
        at_hand: AtHand::default(),
        dynamic: None,
        roam,
    }))
}

impl Session {
    async fn run(&mut self) -> Result<(), Failure> {
        let running = Arc::clone(self.nodes.running());
        let (killed, forsaken) = (running.ended(), running.forsaken());
        tokio::pin!(killed, forsaken);
        loop {
            if self.nodes.transaction().is_none() {
                self.passage = None;
            }
            running.settle().await;
            if running.is_ended() {
                return Ok(());
            }
            self.client.flush().await?;
            self.roam.home().await;
            let came = tokio::select! {
                biased;
                () = called(&mut self.passage) => {
                    self.make_way().await?;
                    continue;
                }
                came = self.client.stream().arrived() => came,
                () = &mut killed => return Ok(()),
            };
            if came.is_err() {
                return Ok(());
            }
            running.begin().await;
            let goes_on = tokio::select! {
                biased;
                served = self.serve_command() => served?,
                () = &mut forsaken => return Err(Failure::Client),
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    /// Answers the command that has come; whether there may be another.
    async fn serve_command(&mut self) -> Result<bool, Failure> {
        if self.quick().await? {
            return Ok(true);
        }
        let Ok(packet) = self.client.command().await else {
            return Ok(false);
        };
        let command = packet.payload;
        if command.len() > LONG || !self.instance.knows_tables() {
            self.roam.away().await;
        }
        let Some((&byte, rest)) = command.split_first() else {
            self.relay(&command).await?;
            return Ok(true);
        };
        if self.moved && matches!(byte, COM_QUERY | COM_STMT_EXECUTE) {
            self.moved = false;
            // What the client wants undone is.
            if !(byte == COM_QUERY && rolls_back(rest)) {
                self.client.error(&moved()).await?;
                return Ok(true);
            }
        }
        let result = match byte {
            COM_QUERY => self.query(&command, rest).await,
            COM_STMT_PREPARE => self.prepare(&command, rest).await,
            COM_STMT_EXECUTE => self.execute(&command).await,
            COM_STMT_SEND_LONG_DATA => self.long_data(&command).await,
            COM_STMT_CLOSE | COM_STMT_RESET => self.forget_statement(&command).await,
            COM_STMT_BULK_EXECUTE => self.bulk(&command).await,
            COM_QUIT => {
                let _ = self.nodes.home().send(&command).await;
                return Ok(false);
            }
            COM_PROCESS_KILL => self.process_kill(&command).await,
            COM_CHANGE_USER | COM_RESET_CONNECTION => self.reset(&command).await,
            COM_INIT_DB => {
                self.stale = true;
                self.relay(&command).await
            }
            _ => self.relay(&command).await,
        };
        if let Err(failure) = result {
            self.tell(failure).await?;
        }
        Ok(true)
    }

    /// Ends the transaction, which is in the way of partitions that move. The client is told when it
    /// wants to go on with it.
    async fn make_way(&mut self) -> Result<(), Failure> {
        self.nodes.roll_back().await?;
        self.used.clear();
        self.passage = None;
        self.moved = true;
        Ok(())
    }

    /// Tells the client of a failure, if its session goes on.
    async fn tell(&mut self, failure: Failure) -> Result<(), Failure> {
        let Some(packet) = failure.packet() else {
            return Err(failure);
        };
        let packet = self.nodes.running().told(packet);
        self.nodes.drain().await?;
        if let Failure::Branch { node, source } = &failure {
            tracing::warn!(node, %source, "a node of a session was lost");
            self.nodes.lose(*node);
        }
        if self
            .nodes
            .transaction()
            .is_some_and(|it| it.broken || it.of_statement)
            || is_rolled_back(packet.code)
        {
            self.nodes.roll_back().await?;
        }
        self.client.error(&packet).await
    }

    /// The session begins anew, perhaps as another account.
    async fn reset(&mut self, command: &[u8]) -> Result<(), Failure> {
        self.nodes.roll_back().await?;
        self.nodes.abandon();
        self.used.clear();
        self.locked = None;
        self.passage = None;
        self.moved = false;
        self.diagnostics = None;
        self.last_insert_id = None;
        self.next_transaction = None;
        self.next_read_only = None;
        self.fixed_timestamp = None;
        self.prepared = Statements::default();
        self.dynamic = None;
        self.stale = true;
        if command.first() == Some(&COM_CHANGE_USER) {
            let change = ChangeUser::parse(command, self.client.capabilities());
            let login = change.ok().and_then(|change| {
                let password = self.instance.password_of(&change.user)?;
                let before = self.nodes.login();
                Some(NodeLogin {
                    user: change.user,
                    password,
                    database: None,
                    client: before.and_then(|login| login.client),
                    capabilities: self.client.capabilities(),
                    charset: change
                        .charset
                        .map_or(crate::node::UTF8MB4, |charset| charset as u8),
                })
            });
            self.nodes.set_login(login);
        }
        self.relay(command).await
    }
}

/// Until a passage is called back; for ever without one.
async fn called(passage: &mut Option<Passage>) {
    match passage {
        Some(passage) => passage.called().await,
        None => std::future::pending().await,
    }
}

/// Whether a statement undoes a transaction.
fn rolls_back(statement: &[u8]) -> bool {
    let word = statement.trim_ascii_start().get(..8);
    word.is_some_and(|word| word.eq_ignore_ascii_case(b"ROLLBACK"))
}

/// What a client is told whose transaction was in the way.
fn moved() -> ErrPacket {
    ErrPacket::new(
        1213,
        b"40001",
        "OpenPeta: moved: the transaction was open while partitions had to move, and is undone; try \
         restarting transaction",
    )
}

/// Whether InnoDB undoes the whole transaction with that error.
fn is_rolled_back(code: u16) -> bool {
    // A deadlock, and what MariaDB says of a transaction that is only to be undone.
    matches!(code, 1213 | 1614 | 1402)
}
