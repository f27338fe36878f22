//! How a connection to a node is made.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use openpeta_mysql_wire::auth::native;
use openpeta_mysql_wire::{
    AuthSwitch, Capabilities, ErrPacket, Greeting, Login, OkPacket, proxy, put_packet,
};
use openpeta_types::Secret;

use super::{Connector, NodeConnection, NodeError, PacketStream};

/// What only concerns the client's own way of connecting.
const NOT_ON_NODES: Capabilities = Capabilities(
    Capabilities::COMPRESS.0
        | Capabilities::ZSTD_COMPRESS.0
        | Capabilities::SSL.0
        | Capabilities::CONNECT_WITH_DB.0
        | Capabilities::CONNECT_ATTRS.0
        | Capabilities::MARIADB_PROGRESS.0
        | Capabilities::PROGRESS_OBSOLETE.0,
);
/// What every connection needs.
const NEEDED: Capabilities = Capabilities(
    Capabilities::PROTOCOL_41.0
        | Capabilities::SECURE_CONNECTION.0
        | Capabilities::PLUGIN_AUTH.0
        | Capabilities::TRANSACTIONS.0
        | Capabilities::MULTI_RESULTS.0
        | Capabilities::PS_MULTI_RESULTS.0,
);
/// How long a node may take to let somebody in. One that stands still accepts connections all the same.
const PATIENCE: Duration = Duration::from_secs(20);
/// utf8mb4_general_ci.
pub const UTF8MB4: u8 = 45;

/// As whom, and how, a connection to a node is made.
#[derive(Clone, Debug)]
pub struct NodeLogin {
    /// The account.
    pub user: Vec<u8>,
    /// Its password on the node.
    pub password: Secret,
    /// The database to use.
    pub database: Option<Vec<u8>>,
    /// Whom it is for: the client's address, and the one that it connected to.
    pub client: Option<(SocketAddr, SocketAddr)>,
    /// What is wanted of the protocol; what the node does not offer is left out.
    pub capabilities: Capabilities,
    /// The collation to begin with.
    pub charset: u8,
}

impl NodeLogin {
    /// Of the service itself.
    #[must_use]
    pub fn of_service(user: &str, password: Secret) -> Self {
        Self {
            user: user.as_bytes().to_vec(),
            password,
            database: None,
            client: None,
            capabilities: Capabilities::DEPRECATE_EOF,
            charset: UTF8MB4,
        }
    }
}

impl NodeConnection {
    /// Connects and logs in.
    ///
    /// # Errors
    /// [`NodeError::Refused`] when the node does not let the account in, else what went wrong.
    pub async fn connect(socket: &Path, login: &NodeLogin) -> Result<Self, NodeError> {
        Self::connect_by(&Connector::Runtime, socket, login).await
    }

    /// As [`Self::connect`], over a connection of this kind.
    ///
    /// # Errors
    /// As [`Self::connect`].
    pub async fn connect_by(
        connector: &Connector,
        socket: &Path,
        login: &NodeLogin,
    ) -> Result<Self, NodeError> {
        let made = tokio::time::timeout(PATIENCE, Self::log_in(connector, socket, login)).await;
        made.unwrap_or_else(|_| Err(NodeError::Lost(ErrorKind::TimedOut.into())))
    }

    async fn log_in(
        connector: &Connector,
        socket: &Path,
        login: &NodeLogin,
    ) -> Result<Self, NodeError> {
        let mut stream = PacketStream::new(connector.connect(socket).await?);
        if let Some((client, server)) = login.client {
            let mut header = Vec::new();
            proxy::put_header(&mut header, client, server);
            stream.write(&header).await?;
        }
        let packet = stream.next_packet().await?;
        if ErrPacket::is(&packet.payload) {
            return Err(NodeError::Refused(ErrPacket::parse(&packet.payload)?));
        }
        let greeting = Greeting::parse(&packet.payload)?;
        let wanted = login.capabilities.without(NOT_ON_NODES) | NEEDED;
        let mut capabilities = wanted & greeting.capabilities;
        if greeting.capabilities.contains(Capabilities::MYSQL) {
            capabilities = Capabilities::from_halves(capabilities.low(), 0);
        } else {
            capabilities = capabilities.without(Capabilities::MYSQL);
        }
        let nonce = greeting.nonce;
        let password = login.password.expose().as_bytes();
        let packet = Login {
            capabilities,
            max_packet_size: 1 << 30,
            charset: login.charset,
            filler: [0; 19],
            user: login.user.clone(),
            auth_response: native::response(password, &nonce),
            database: login.database.clone(),
            plugin: Some(native::NAME.to_vec()),
            attributes: None,
            zstd_level: None,
        };
        let mut payload = Vec::new();
        packet.encode(&mut payload);
        let mut out = Vec::new();
        put_packet(&mut out, 1, &payload);
        stream.write(&out).await?;
        let status = loop {
            let packet = stream.next_packet().await?;
            let payload = &packet.payload;
            if OkPacket::is(payload) {
                break OkPacket::parse(payload)?.status;
            } else if ErrPacket::is(payload) {
                return Err(NodeError::Refused(ErrPacket::parse(payload)?));
            }
            let switch = AuthSwitch::parse(payload)?;
            let nonce = switch.data.first_chunk().copied();
            let Some(nonce) = nonce.filter(|_| switch.plugin == native::NAME) else {
                return Err(NodeError::Login);
            };
            let response = native::response(password, &nonce);
            let sequence = packet.sequence.wrapping_add(1);
            stream.write_packet(sequence, &response).await?;
        };
        Ok(Self::from_parts(
            stream,
            packet.announced(),
            status,
            greeting.connection_id,
        ))
    }
}
