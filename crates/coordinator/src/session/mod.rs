//! A client's session over the nodes of an instance.

mod client;
mod failure;
mod login;
mod nodes;
mod read;
mod relay;
mod variables;

use std::sync::Arc;

use openpeta_mysql_wire::ReplyTracker;
use openpeta_mysql_wire::command::{
    COM_CHANGE_USER, COM_INIT_DB, COM_QUERY, COM_QUIT, COM_RESET_CONNECTION,
};
use tokio::net::UnixStream;

pub use client::Client;
pub use failure::Failure;
pub use nodes::Nodes;
pub use variables::Variables;

use crate::node::{NodeConnection, NodeError, NodeLogin, PacketStream};
use crate::plan::{self, Facts, Plan};
use crate::service::Instance;
use crate::topology::Topology;

/// A session whose client is logged in.
struct Session {
    client: Client,
    nodes: Nodes,
    instance: Arc<Instance>,
    tracker: ReplyTracker,
    facts: Facts,
    /// Something may have changed what is known of the session.
    stale: bool,
}

/// Serves a connection from the login to its end.
pub(crate) async fn serve(instance: Arc<Instance>, socket: UnixStream) {
    match login(&instance, socket).await {
        Ok(Some(mut session)) => {
            if let Err(failure) = session.run().await {
                tracing::debug!(?failure, "a session ended");
            }
            session.nodes.abandon();
        }
        Ok(None) => {}
        Err(error) => tracing::debug!(%error, "a login failed"),
    }
}

async fn login(instance: &Arc<Instance>, socket: UnixStream) -> Result<Option<Session>, NodeError> {
    let topology = instance.topology();
    let home = topology.socket(Topology::HOME).ok_or(NodeError::closed())?;
    let mut client = PacketStream::new(socket);
    let mut home = PacketStream::new(UnixStream::connect(home).await?);
    let Some(told) = login::relay_login(&mut client, &mut home).await? else {
        return Ok(None);
    };
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
        nodes: Nodes::new(Arc::clone(instance), home, login),
        instance: Arc::clone(instance),
        tracker: ReplyTracker::new(told.capabilities, told.status),
        facts: Facts::new(instance.server_version()),
        stale: true,
    }))
}

impl Session {
    async fn run(&mut self) -> Result<(), Failure> {
        loop {
            let Ok(packet) = self.client.command().await else {
                return Ok(());
            };
            let command = packet.payload;
            let result = match command.split_first() {
                Some((&COM_QUERY, text)) => self.query(&command, text).await,
                Some((&COM_QUIT, _)) => {
                    let _ = self.nodes.home().send(&command).await;
                    return Ok(());
                }
                Some((&(COM_CHANGE_USER | COM_RESET_CONNECTION), _)) => {
                    self.nodes.abandon();
                    self.stale = true;
                    self.relay(&command).await
                }
                Some((&COM_INIT_DB, _)) => {
                    self.stale = true;
                    self.relay(&command).await
                }
                _ => self.relay(&command).await,
            };
            if let Err(failure) = result {
                self.tell(failure).await?;
            }
        }
    }

    /// Tells the client of a failure, if its session goes on.
    async fn tell(&mut self, failure: Failure) -> Result<(), Failure> {
        let Some(packet) = failure.packet() else {
            return Err(failure);
        };
        if let Failure::Branch { node, source } = &failure {
            tracing::warn!(node, %source, "a node of a session was lost");
            self.nodes.lose(*node);
        }
        self.client.error(&packet).await
    }

    async fn query(&mut self, command: &[u8], text: &[u8]) -> Result<(), Failure> {
        let catalogue = self.instance.catalogue().await?;
        if catalogue.is_empty() || !catalogue.may_be_in(text) {
            self.stale = true;
            return self.relay(command).await;
        }
        if self.stale {
            self.nodes.learn_variables().await?;
            self.nodes.variables().tell(&mut self.facts);
            self.stale = false;
        }
        let topology = self.instance.topology();
        match plan::plan(text, &catalogue, &topology, &self.facts) {
            Plan::Home => self.relay(command).await,
            Plan::Refuse(refusal) => Err(refusal.into()),
            Plan::Read(plan) => self.read(&plan, text).await,
        }
    }
}
