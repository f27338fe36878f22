//! What two processes of the service tell each other. The other one may be of another version:
//! fields are only ever added, and those that are missing have defaults.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use openpeta_types::route::{AccountLimits, AccountLogin, InstanceRoute, Sharding};
use openpeta_types::{EndpointId, InstanceId, Secret, Whitelist};
use serde::{Deserialize, Serialize};

/// What the new process tells the old one, which answers each but [`Order::Serving`] with
/// an [`Answer`] when it is done.
#[derive(Serialize, Deserialize)]
pub(super) enum Order {
    /// Send what you listen on.
    Take,
    /// Let go of the store.
    Yield,
    /// Accept no clients anymore.
    Ready,
    /// The new process serves: there is no way back.
    Serving,
    /// Clients of the instance come by this route now.
    Publish(Box<Route>),
    /// Close the instance's sessions.
    Withdraw(InstanceId),
    /// Close the endpoint's sessions after so many milliseconds.
    CloseEndpoint(EndpointId, u64),
    /// Tell how many sessions are left.
    Report,
    /// The service stops: end the sessions as it does.
    Stop,
}

/// What the old process answers.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Answer {
    /// What it listens on, when it is asked for that.
    #[serde(default)]
    pub(super) heritage: Option<Heritage>,
    /// Sessions that are left.
    #[serde(default)]
    pub(super) sessions: HashMap<InstanceId, usize>,
}

/// What goes from the old process to the new one. The descriptors follow in messages of their
/// own, in this order: the lock of the data directory, HTTP, HTTPS, the operator's socket, the
/// socket for hand-overs, the endpoints, the metrics if they have one of their own.
#[derive(Serialize, Deserialize)]
pub(super) struct Heritage {
    /// The address that HTTP was asked for at.
    pub(super) http: SocketAddr,
    /// Likewise.
    pub(super) https: SocketAddr,
    /// Likewise that of the metrics, if they have one of their own.
    #[serde(default)]
    pub(super) metrics: Option<SocketAddr>,
    /// Messages with descriptors that follow.
    pub(super) batches: usize,
    /// Endpoints, with the addresses that they were asked for at.
    pub(super) endpoints: Vec<(EndpointId, SocketAddr)>,
}

/// An [`InstanceRoute`] on its way. It holds secrets, and travels over a socket that belongs to
/// the service's user alone.
#[derive(Serialize, Deserialize)]
pub(super) struct Route {
    instance: InstanceId,
    whitelist: Vec<(u32, u32)>,
    accounts: HashMap<String, Login>,
    #[serde(default)]
    super_accounts: HashSet<String>,
    #[serde(default)]
    limits: HashMap<String, (u32, u32)>,
    #[serde(default)]
    slow_threshold: Option<Duration>,
    node_socket: PathBuf,
    #[serde(default)]
    sharding: Option<Sharding>,
    max_connections: u32,
    #[serde(default)]
    write_lock: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Login {
    native: [u8; 20],
    sha2: [u8; 32],
    backend_password: String,
}

impl From<&InstanceRoute> for Route {
    fn from(route: &InstanceRoute) -> Self {
        let login = |login: &AccountLogin| Login {
            native: login.native,
            sha2: login.sha2,
            backend_password: login.backend_password.expose().to_owned(),
        };
        let accounts = route.accounts.iter();
        let limits = route.limits.iter();
        Self {
            instance: route.instance_id.clone(),
            whitelist: route.whitelist.ranges().to_vec(),
            accounts: accounts.map(|(n, its)| (n.clone(), login(its))).collect(),
            super_accounts: route.super_accounts.clone(),
            limits: limits
                .map(|(n, its)| (n.clone(), (its.connections, its.queries_per_second)))
                .collect(),
            slow_threshold: route.slow_threshold,
            node_socket: route.node_socket.clone(),
            sharding: route.sharding.clone(),
            max_connections: route.max_connections,
            write_lock: route.write_lock.clone(),
        }
    }
}

impl From<Route> for InstanceRoute {
    fn from(route: Route) -> Self {
        let login = |login: Login| AccountLogin {
            native: login.native,
            sha2: login.sha2,
            backend_password: Secret::new(login.backend_password),
        };
        let limits = |(connections, queries_per_second)| AccountLimits {
            connections,
            queries_per_second,
        };
        let accounts = route.accounts.into_iter();
        Self {
            instance_id: route.instance,
            whitelist: Whitelist::from_ranges(route.whitelist),
            accounts: accounts.map(|(name, its)| (name, login(its))).collect(),
            super_accounts: route.super_accounts,
            limits: route
                .limits
                .into_iter()
                .map(|(name, its)| (name, limits(its)))
                .collect(),
            slow_threshold: route.slow_threshold,
            node_socket: route.node_socket,
            sharding: route.sharding,
            max_connections: route.max_connections,
            write_lock: route.write_lock,
        }
    }
}

#[cfg(test)]
mod tests {
    use openpeta_types::WhitelistEntry;

    use super::*;

    #[test]
    fn a_route_arrives_as_it_was_sent() {
        let entry = WhitelistEntry::parse("10.0.0.0/8").expect("a block");
        let login = AccountLogin {
            native: [7; 20],
            sha2: [8; 32],
            backend_password: Secret::new("secret"),
        };
        let limits = AccountLimits {
            connections: 3,
            queries_per_second: 4,
        };
        let route = InstanceRoute {
            instance_id: InstanceId::parse("pd-handover").expect("an id"),
            whitelist: Whitelist::new([&entry]),
            accounts: [("app".to_owned(), login)].into(),
            super_accounts: ["app".to_owned()].into(),
            limits: [("app".to_owned(), limits)].into(),
            slow_threshold: Some(Duration::from_millis(250)),
            node_socket: "/run/node.sock".into(),
            sharding: Some(Sharding {
                foreign: [("shop".to_owned(), vec![1])].into(),
                moving: ["shop".to_owned()].into(),
                coordinator_socket: "/run/coordinator.sock".into(),
                nodes: vec!["/run/node.sock".into(), "/run/second.sock".into()],
                databases: [("shop".to_owned(), vec![0, 1])].into(),
            }),
            max_connections: 9,
            write_lock: Some("disk".to_owned()),
        };
        let sent = serde_json::to_string(&Order::Publish(Box::new(Route::from(&route))));
        let order = serde_json::from_str(&sent.expect("JSON")).expect("an order");
        let Order::Publish(received) = order else {
            panic!("another order");
        };
        let received = InstanceRoute::from(*received);
        assert_eq!(received.instance_id, route.instance_id);
        assert_eq!(received.whitelist, route.whitelist);
        assert!(received.accounts == route.accounts);
        assert_eq!(received.super_accounts, route.super_accounts);
        assert_eq!(received.limits, route.limits);
        assert_eq!(received.slow_threshold, route.slow_threshold);
        assert_eq!(received.node_socket, route.node_socket);
        assert_eq!(received.sharding, route.sharding);
        assert_eq!(received.max_connections, route.max_connections);
        assert_eq!(received.write_lock, route.write_lock);
    }
}
