//! What goes to home and back as it is.

use openpeta_mysql_wire::ReplyEvent;
use openpeta_mysql_wire::command::COM_CHANGE_USER;
use openpeta_mysql_wire::{ErrPacket, OkPacket};

use super::{Failure, Session, login};
use crate::node::NodeError;
use crate::topology::Topology;

impl Session {
    /// Sends a command to home, and its whole reply to the client.
    pub(super) async fn relay(&mut self, command: &[u8]) -> Result<(), Failure> {
        self.nodes.join(Topology::HOME).await?;
        let home = self.nodes.home();
        home.send(command).await.map_err(Failure::Home)?;
        match command.first() {
            Some(&COM_CHANGE_USER) => self.relay_change_of_user().await?,
            Some(&byte) => self.relay_reply(byte).await?,
            None => self.relay_reply(0).await?,
        }
        self.nodes.home().replied();
        Ok(())
    }

    async fn relay_reply(&mut self, command: u8) -> Result<(), Failure> {
        // An error tells no status, so it is what it was before: also if that came past the tracker.
        let status = self.nodes.home().status();
        self.tracker.set_status(status);
        self.tracker.begin(command);
        self.relayed_error = None;
        while !self.tracker.is_idle() {
            let home = self.nodes.home().stream();
            if home.buffered().is_empty() {
                let client = self.client.stream();
                tokio::select! {
                    came = home.fill() => {
                        let came = came.map_err(|error| Failure::Home(error.into()))?;
                        if came == 0 {
                            return Err(Failure::Home(NodeError::closed()));
                        }
                    }
                    () = client.ended() => return Err(Failure::Client),
                }
            }
            let (used, event) = self.tracker.feed(home.buffered());
            let client = self.client.stream();
            let sent = client.put(&home.buffered()[..used]).await;
            sent.map_err(|_| Failure::Client)?;
            home.consume(used);
            match event {
                Some(ReplyEvent::LocalInfile) => self.relay_file().await?,
                Some(ReplyEvent::Complete { error }) => self.relayed_error = error,
                _ => {}
            }
        }
        let status = self.tracker.status();
        self.nodes.home().set_status(status);
        Ok(())
    }

    /// Sends home the file that it asked the client for.
    async fn relay_file(&mut self) -> Result<(), Failure> {
        loop {
            let client = self.client.stream();
            let packet = client.next_packet().await.map_err(|_| Failure::Client)?;
            let home = self.nodes.home().stream();
            let sent = login::relay(home, &packet).await;
            sent.map_err(Failure::Home)?;
            if packet.payload.is_empty() {
                return Ok(());
            }
        }
    }

    /// The conversation of a change of user, up to home's last word.
    async fn relay_change_of_user(&mut self) -> Result<(), Failure> {
        loop {
            let home = self.nodes.home().stream();
            let packet = home.next_packet().await.map_err(Failure::Home)?;
            let client = self.client.stream();
            let sent = login::relay(client, &packet).await;
            sent.map_err(|_| Failure::Client)?;
            if OkPacket::is(&packet.payload) {
                let ok = OkPacket::parse(&packet.payload);
                let ok = ok.map_err(|error| Failure::Home(error.into()))?;
                self.tracker.set_status(ok.status);
                self.nodes.home().set_status(ok.status);
                return Ok(());
            } else if ErrPacket::is(&packet.payload) {
                return Ok(());
            }
            let client = self.client.stream();
            let packet = client.next_packet().await.map_err(|_| Failure::Client)?;
            let home = self.nodes.home().stream();
            login::relay(home, &packet).await.map_err(Failure::Home)?;
        }
    }
}
