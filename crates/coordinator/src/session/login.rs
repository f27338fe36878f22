//! The login: relayed as it comes, and read along.

use std::net::SocketAddr;

use openpeta_mysql_wire::proxy::{ProxyHeader, parse_header};
use openpeta_mysql_wire::{
    Capabilities, ErrPacket, Greeting, Login, LoginPacket, OkPacket, Packet, Status, put_packet,
};

use crate::node::{NodeError, PacketStream};

/// What a login told.
#[derive(Debug)]
pub struct LoggedIn {
    /// The account.
    pub user: Vec<u8>,
    /// The client's address and the one that it connected to, if the gateway told them.
    pub client: Option<(SocketAddr, SocketAddr)>,
    /// What client and home have agreed upon.
    pub capabilities: Capabilities,
    /// The collation that the client began with.
    pub charset: u8,
    /// The status behind the login.
    pub status: Status,
    /// Home's number of the connection.
    pub thread_id: u32,
}

/// What has been read of the login.
#[derive(Default)]
struct Heard {
    header: bool,
    client: Option<(SocketAddr, SocketAddr)>,
    greeting: Option<Greeting>,
    login: Option<Box<Login>>,
}

/// Relays until home has let the client in. `None` if it did not, or somebody went away.
pub async fn relay_login(
    client: &mut PacketStream,
    home: &mut PacketStream,
) -> Result<Option<LoggedIn>, NodeError> {
    let mut heard = Heard::default();
    loop {
        tokio::select! {
            came = home.fill() => {
                if came? == 0 {
                    return Ok(None);
                }
                while let Some(packet) = home.take_packet() {
                    relay(client, &packet).await?;
                    let payload = &packet.payload;
                    if ErrPacket::is(payload) {
                        return Ok(None);
                    } else if heard.greeting.is_none() {
                        heard.greeting = Some(Greeting::parse(payload)?);
                    } else if OkPacket::is(payload) {
                        return Ok(heard.done(OkPacket::parse(payload)?.status));
                    }
                }
            }
            came = client.fill() => {
                if came? == 0 {
                    return Ok(None);
                }
                if !heard.hear_client(client, home).await? {
                    return Ok(None);
                }
            }
        }
    }
}

impl Heard {
    /// Passes on what came from the client; `false` if it wants what does not exist here.
    async fn hear_client(
        &mut self,
        client: &mut PacketStream,
        home: &mut PacketStream,
    ) -> Result<bool, NodeError> {
        if !self.header {
            let bytes = client.buffered();
            if bytes.starts_with(&b"\r\n\r\n"[..bytes.len().min(4)]) {
                let Some((header, len)) = parse_header(bytes)? else {
                    return Ok(true);
                };
                if let ProxyHeader::Client { client, server } = header {
                    self.client = Some((client, server));
                }
                home.write(&bytes[..len]).await?;
                client.consume(len);
            }
            self.header = self.client.is_some() || !client.buffered().is_empty();
        }
        while let Some(packet) = client.take_packet() {
            if self.login.is_none() {
                match Login::parse(&packet.payload, false)? {
                    // The gateway ends TLS and compression.
                    LoginPacket::SslRequest => return Ok(false),
                    LoginPacket::Login(login) => {
                        if login.capabilities.contains(Capabilities::COMPRESS) {
                            return Ok(false);
                        }
                        self.login = Some(login);
                    }
                }
            }
            relay(home, &packet).await?;
        }
        Ok(true)
    }

    fn done(self, status: Status) -> Option<LoggedIn> {
        let (greeting, login) = (self.greeting?, self.login?);
        let mut capabilities = login.capabilities & greeting.capabilities;
        if login.capabilities.contains(Capabilities::MYSQL)
            || greeting.capabilities.contains(Capabilities::MYSQL)
        {
            capabilities = Capabilities::from_halves(capabilities.low(), 0);
        }
        Some(LoggedIn {
            user: login.user,
            client: self.client,
            capabilities,
            charset: login.charset,
            status,
            thread_id: greeting.connection_id,
        })
    }
}

/// Passes a packet on with the number that it had.
pub(super) async fn relay(to: &mut PacketStream, packet: &Packet) -> Result<(), NodeError> {
    let parts = packet.payload.len() / openpeta_mysql_wire::MAX_PAYLOAD;
    let sequence = packet.sequence.wrapping_sub(parts as u8);
    let mut out = Vec::with_capacity(packet.payload.len() + 4);
    put_packet(&mut out, sequence, &packet.payload);
    to.write(&out).await
}
