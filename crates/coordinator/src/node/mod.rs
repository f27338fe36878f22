//! Connections to nodes: a client of the MySQL protocol that keeps packets as they came.

mod link;
mod login;
mod parameters;
mod reply;
mod stream;
mod whole;

use std::io;
use std::path::Path;

use openpeta_mysql_wire::command::{COM_QUERY, COM_STMT_CLOSE, COM_STMT_PREPARE, ReplyShape};
use openpeta_mysql_wire::{Capabilities, ErrPacket, Packet, Reader, Status, WireError, put_packet};

pub use link::{Connector, Link};
pub use login::{NodeLogin, UTF8MB4};
pub use parameters::{Execution, Parameter, Plain, execute_payload, parameters_of};
pub use reply::{OkReply, Reply, ResultSet, column_name, text_row};
pub use stream::PacketStream;
pub use whole::{Whole, WholeReply, ok_status_at, whole};

use reply::{First, end_of_rows, first};

/// Why there is no answer from a node.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The connection could not be made, or has ended.
    #[error("the connection to a node is lost")]
    Lost(#[source] io::Error),
    /// The node said something that is none of the protocol.
    #[error("a node broke the protocol")]
    Protocol(#[from] WireError),
    /// The node did not let the account in.
    #[error("a node refused the login: {}", String::from_utf8_lossy(&.0.message))]
    Refused(ErrPacket),
    /// The node wants a way to log in that is not known here.
    #[error("a node wants another way to log in")]
    Login,
    /// A file was asked for where there is none.
    #[error("a node asked for a file that nobody has")]
    File,
}

impl NodeError {
    pub(crate) fn closed() -> Self {
        Self::Lost(io::ErrorKind::UnexpectedEof.into())
    }
}

impl From<io::Error> for NodeError {
    fn from(error: io::Error) -> Self {
        Self::Lost(error)
    }
}

/// A connection to a node, logged in. One command after another: each reply must be read to its end
/// before the next is awaited; commands may be sent ahead of that.
#[derive(Debug)]
pub struct NodeConnection {
    stream: PacketStream,
    capabilities: Capabilities,
    status: Status,
    thread_id: u32,
    /// Replies that are still to come.
    due: usize,
}

/// The begin of a reply that is read row by row.
#[derive(Debug)]
pub enum Started {
    /// All of it, which has no rows.
    Done(Reply),
    /// The definitions of the columns; rows follow, by [`NodeConnection::next_row`].
    Rows(Vec<Vec<u8>>),
    /// A file is wanted: send its content by [`NodeConnection::send_file`], then the reply goes on.
    File {
        /// The sequence id of its first packet.
        sequence: u8,
    },
}

/// A statement that a node has prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Its number on that connection.
    pub id: u32,
    /// How many parameters it has.
    pub parameters: u16,
    /// The definitions of its columns.
    pub columns: Vec<Vec<u8>>,
}

impl NodeConnection {
    /// A connection over which somebody has logged in already.
    #[must_use]
    pub fn from_parts(
        stream: PacketStream,
        capabilities: Capabilities,
        status: Status,
        thread_id: u32,
    ) -> Self {
        Self {
            stream,
            capabilities,
            status,
            thread_id,
            due: 0,
        }
    }

    /// How many replies are still to come.
    #[must_use]
    pub fn due(&self) -> usize {
        self.due
    }

    /// A reply was read to its end by somebody else, packet by packet.
    pub fn replied(&mut self) {
        self.due = self.due.saturating_sub(1);
    }

    /// Reads what is still to come, and forgets it: whoever asked does not wait any more.
    ///
    /// # Errors
    /// When the connection is lost, or of no use any more.
    pub async fn drain(&mut self) -> Result<(), NodeError> {
        while self.due > 0 {
            match self.read_reply().await {
                // It has got none, and said what it makes of that.
                Ok(_) | Err(NodeError::File) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What both sides have agreed upon.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// The status flags that the node sent last.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// Takes note of status flags that were read by somebody else.
    pub fn set_status(&mut self, status: Status) {
        self.status = status;
    }

    /// The number by which the node knows this connection.
    #[must_use]
    pub fn thread_id(&self) -> u32 {
        self.thread_id
    }

    /// The packets themselves, for relaying.
    pub fn stream(&mut self) -> &mut PacketStream {
        &mut self.stream
    }

    /// Sends a command: its byte and what follows it.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn send(&mut self, command: &[u8]) -> Result<(), NodeError> {
        let byte = command.first().copied().unwrap_or_default();
        if ReplyShape::of(byte) != ReplyShape::None {
            self.due += 1;
        }
        self.stream.write_packet(0, command).await?;
        Ok(())
    }

    /// Sends a command of one packet as it came, with its head; its reply has an end.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn pass_on(&mut self, packet: &[u8]) -> Result<(), NodeError> {
        self.due += 1;
        self.stream.write(packet).await
    }

    /// Executes a prepared statement as a client wrote it, under the node's number and with the types of its
    /// parameters, which the node may not know.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn pass_on_execution(
        &mut self,
        id: u32,
        execution: &Execution<'_>,
        types: &[[u8; 2]],
    ) -> Result<(), NodeError> {
        self.due += 1;
        self.stream
            .put_parts(&execution.parts(&id.to_le_bytes(), types));
        Ok(self.stream.flush().await?)
    }

    /// The next payload.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn next_packet(&mut self) -> Result<Packet, NodeError> {
        self.stream.next_packet().await
    }

    /// Sends a statement, without waiting for its reply.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn send_query(&mut self, sql: impl AsRef<[u8]>) -> Result<(), NodeError> {
        let mut command = vec![COM_QUERY];
        command.extend_from_slice(sql.as_ref());
        self.send(&command).await
    }

    /// Runs a statement and reads all of its (first) reply.
    ///
    /// # Errors
    /// When the connection is lost; an error of the statement is a [`Reply`].
    pub async fn query(&mut self, sql: impl AsRef<[u8]>) -> Result<Reply, NodeError> {
        self.send_query(sql).await?;
        self.read_reply().await
    }

    /// Sends statements at once, then reads the reply to each.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn query_all<S: AsRef<[u8]>>(
        &mut self,
        statements: &[S],
    ) -> Result<Vec<Reply>, NodeError> {
        let mut out = Vec::new();
        for statement in statements {
            let mut command = vec![COM_QUERY];
            command.extend_from_slice(statement.as_ref());
            put_packet(&mut out, 0, &command);
        }
        self.due += statements.len();
        self.stream.write(&out).await?;
        let mut replies = Vec::with_capacity(statements.len());
        for _ in statements {
            replies.push(self.read_reply().await?);
        }
        Ok(replies)
    }

    /// Whether it takes several statements in one text.
    #[must_use]
    pub fn takes_several(&self) -> bool {
        self.capabilities.contains(Capabilities::MULTI_STATEMENTS)
    }

    /// Sends statements of which each is run only if those before it did not fail: in one text, so that the node
    /// is asked once. [`Self::takes_several`] must be so. There is a reply to each up to the first that failed.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn send_together(&mut self, statements: &[&[u8]]) -> Result<(), NodeError> {
        debug_assert!(self.takes_several());
        self.send_query(statements.join(&b"; "[..])).await
    }

    /// Reads a reply into memory.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn read_reply(&mut self) -> Result<Reply, NodeError> {
        self.read_whole().await
    }

    /// As [`Self::read_reply`], of a statement that was executed (rows are binary).
    ///
    /// # Errors
    /// When the connection is lost.
    async fn read_whole(&mut self) -> Result<Reply, NodeError> {
        let columns = match self.start().await? {
            Started::Done(reply) => return Ok(reply),
            Started::Rows(columns) => columns,
            Started::File { sequence } => {
                // Nothing is a file too; the statement then fails or loads nothing.
                self.stream.write_packet(sequence, &[]).await?;
                Box::pin(self.read_reply()).await?;
                return Err(NodeError::File);
            }
        };
        let mut set = ResultSet {
            columns,
            ..ResultSet::default()
        };
        loop {
            match self.next_row().await? {
                Row::Row(row) => set.rows.push(row),
                Row::End { status, warnings } => {
                    (set.status, set.warnings) = (status, warnings);
                    return Ok(Reply::Rows(set));
                }
                Row::Err(error) => return Ok(Reply::Err(error)),
            }
        }
    }

    /// Reads a reply up to its first row.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn start(&mut self) -> Result<Started, NodeError> {
        let (packet, found) = loop {
            let packet = self.next_packet().await?;
            match first(&packet.payload, self.capabilities)? {
                First::Nothing => {}
                found => break (packet, found),
            }
        };
        match found {
            First::Ok(ok) => {
                let status = ok.head.status;
                self.status = Status(status.0 & !Status::MORE_RESULTS_EXISTS.0);
                self.ended(status);
                Ok(Started::Done(Reply::Ok(ok)))
            }
            First::Err(error) => {
                self.replied();
                Ok(Started::Done(Reply::Err(error)))
            }
            First::File => Ok(Started::File {
                sequence: packet.sequence.wrapping_add(1),
            }),
            First::Columns(count, follow) => {
                let count = if follow { count } else { 0 };
                Ok(Started::Rows(self.definitions(count).await?))
            }
            First::Nothing => unreachable!("passed over above"),
        }
    }

    /// Definitions, and the EOF behind them where there is one.
    async fn definitions(&mut self, count: usize) -> Result<Vec<Vec<u8>>, NodeError> {
        let mut columns = Vec::new();
        for _ in 0..count {
            columns.push(self.next_packet().await?.payload);
        }
        if !self.capabilities.contains(Capabilities::DEPRECATE_EOF) {
            self.next_packet().await?;
        }
        Ok(columns)
    }

    /// A result has come to its end, and the reply with it unless others follow.
    fn ended(&mut self, status: Status) {
        if !status.contains(Status::MORE_RESULTS_EXISTS) {
            self.replied();
        }
    }

    /// The next row of a reply that was started.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn next_row(&mut self) -> Result<Row, NodeError> {
        let payload = self.next_packet().await?.payload;
        if ErrPacket::is(&payload) {
            self.replied();
            return Ok(Row::Err(ErrPacket::parse(&payload)?));
        }
        Ok(match end_of_rows(&payload, self.capabilities)? {
            Some((status, warnings)) => {
                self.status = status;
                self.ended(status);
                Row::End { status, warnings }
            }
            None => Row::Row(payload),
        })
    }

    /// Sends a piece of the file that a reply asked for; an empty one ends it. Tells the sequence id
    /// of the next piece.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn send_file(&mut self, sequence: u8, piece: &[u8]) -> Result<u8, NodeError> {
        self.stream.write_packet(sequence, piece).await
    }

    /// Prepares a statement.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn prepare(&mut self, sql: &[u8]) -> Result<Result<Prepared, ErrPacket>, NodeError> {
        let mut command = vec![COM_STMT_PREPARE];
        command.extend_from_slice(sql);
        self.send(&command).await?;
        let payload = self.next_packet().await?.payload;
        if ErrPacket::is(&payload) {
            self.replied();
            return Ok(Err(ErrPacket::parse(&payload)?));
        }
        let mut reader = Reader::new(&payload);
        reader.u8()?;
        let (id, columns, parameters) = (reader.u32()?, reader.u16()?, reader.u16()?);
        if parameters > 0 {
            self.definitions(parameters.into()).await?;
        }
        let columns = match columns {
            0 => Vec::new(),
            _ => self.definitions(columns.into()).await?,
        };
        self.replied();
        Ok(Ok(Prepared {
            id,
            parameters,
            columns,
        }))
    }

    /// Executes a prepared statement; rows are those of the binary protocol.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn execute(
        &mut self,
        statement: &Prepared,
        parameters: &[Parameter],
    ) -> Result<Reply, NodeError> {
        self.send(&execute_payload(statement.id, parameters))
            .await?;
        self.read_whole().await
    }

    /// Forgets a prepared statement.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn close_statement(&mut self, id: u32) -> Result<(), NodeError> {
        let mut command = vec![COM_STMT_CLOSE];
        command.extend_from_slice(&id.to_le_bytes());
        self.send(&command).await
    }

    /// Ends the connection in good order.
    pub async fn quit(mut self) {
        // The node ends it anyway when the goodbye does not arrive.
        let _ = self.send(&[openpeta_mysql_wire::command::COM_QUIT]).await;
    }
}

/// What [`NodeConnection::next_row`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A row.
    Row(Vec<u8>),
    /// There are no more.
    End {
        /// The status behind them.
        status: Status,
        /// How many warnings there were.
        warnings: u16,
    },
    /// The statement failed in the midst of them.
    Err(ErrPacket),
}

/// Ends what a connection runs, by another one of the same account.
///
/// # Errors
/// When that cannot be made; what was to be ended may have ended by itself.
pub async fn kill(socket: &Path, login: &NodeLogin, thread_id: u32) -> Result<(), NodeError> {
    let mut connection = NodeConnection::connect(socket, login).await?;
    connection.query(format!("KILL {thread_id}")).await?;
    connection.quit().await;
    Ok(())
}
