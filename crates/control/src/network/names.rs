//! What endpoints are called, and which of them a client means by a connection string.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use openpeta_rpc_api::ApiError;
use openpeta_store::{Endpoint, Instance, Reader};
use openpeta_types::{ConnectionPrefix, EndpointType, InstanceId};

use crate::{ControlError, NetworkConfig};

/// Characters of an instance's id as the service hands them out.
const INSTANCE_ID_LENGTH: usize = InstanceId::PREFIX.len() + 14;

/// The name of a Classic or VPC endpoint: below the configured domain, else its address.
///
/// After a switch of the network type the old endpoint works for a while beside the new one, and
/// each has an address of its own, so each has a name of its own: `<InstanceId>`, or
/// `<InstanceId>-2` and so on while the former is in use.
pub(super) fn private_name(
    network: &NetworkConfig,
    reader: &Reader<'_>,
    instance: &Instance,
    address: IpAddr,
) -> Result<String, ControlError> {
    let id = &instance.instance_id;
    let Some(first) = network.name_below_domain(id.as_str()) else {
        return Ok(address.to_string());
    };
    let endpoints = reader.endpoints_of(id)?;
    let is_used = |name: &String| {
        endpoints
            .iter()
            .any(|other| other.connection_string == *name)
    };
    let others =
        (2..).filter_map(|number: u32| network.name_below_domain(&format!("{id}-{number}")));
    let mut names = std::iter::once(first).chain(others);
    names
        .find(|name| !is_used(name))
        .ok_or_else(|| ControlError::internal("an instance has all names that there are"))
}

/// The prefix of an instance's public endpoint, where the client chose none.
pub(crate) fn usual_prefix(id: &InstanceId) -> Result<ConnectionPrefix, ControlError> {
    ConnectionPrefix::parse(&format!("{id}-public")).map_err(ControlError::internal)
}

/// Refuses a prefix that another endpoint has, or that stands for an instance.
///
/// Ids of instances, with or without something behind them, are the names of their own
/// endpoints: nobody else can take one, be it before the instance exists.
///
/// # Errors
/// `InvalidConnectionStringPrefix.Duplicate`.
pub(crate) fn check_prefix(
    reader: &Reader<'_>,
    id: &InstanceId,
    prefix: &ConnectionPrefix,
) -> Result<(), ControlError> {
    if is_reserved(id, prefix.as_str()) || reader.has_endpoint_prefix(prefix)? {
        return Err(ApiError::connection_prefix_duplicate().into());
    }
    Ok(())
}

fn is_reserved(id: &InstanceId, prefix: &str) -> bool {
    let Some((named, rest)) = prefix.split_at_checked(INSTANCE_ID_LENGTH) else {
        return false;
    };
    let names_instance = InstanceId::parse(named).is_ok()
        && !named[InstanceId::PREFIX.len()..].contains('-')
        && (rest.is_empty() || rest.starts_with('-'));
    let names_private_endpoint = rest[rest.len().min(1)..]
        .bytes()
        .all(|b| b.is_ascii_digit());
    names_instance && (named != id.as_str() || names_private_endpoint)
}

impl NetworkConfig {
    /// The name of the endpoint with that first label, if there is a domain.
    fn name_below_domain(&self, label: &str) -> Option<String> {
        let domain = self.domain.as_ref()?;
        Some(format!("{label}.petadata.rds.{domain}").to_ascii_lowercase())
    }

    /// What clients are told of a public endpoint: a name, else the address.
    pub(super) fn public_name(&self, prefix: &ConnectionPrefix) -> String {
        self.name_below_domain(prefix.as_str())
            .unwrap_or_else(|| self.public_host())
    }

    /// The host that public endpoints have without a domain.
    #[must_use]
    pub fn public_host(&self) -> String {
        match &self.public_host {
            Some(host) => host.to_ascii_lowercase(),
            None => advertised(self.public_address(), self.classic_address).to_string(),
        }
    }
}

/// The address to tell clients of a listener: its own, unless it listens on all. Then the one
/// that the operator has for Classic endpoints, if others than this machine can mean it, or the
/// one that the system would send from, or loopback.
fn advertised(address: IpAddr, classic: IpAddr) -> IpAddr {
    if !address.is_unspecified() {
        return address;
    }
    let same_family = classic.is_ipv4() == address.is_ipv4();
    if same_family && !classic.is_loopback() && !classic.is_unspecified() {
        return classic;
    }
    own_address(address).unwrap_or(match address {
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    })
}

/// The address that this machine would reach others from. Nothing is sent: a UDP socket that is
/// connected only looks for its route.
fn own_address(unspecified: IpAddr) -> Option<IpAddr> {
    // Addresses for documentation: they lead outside, to nobody.
    let outside: IpAddr = match unspecified {
        IpAddr::V4(_) => Ipv4Addr::new(192, 0, 2, 1).into(),
        IpAddr::V6(_) => Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1).into(),
    };
    let socket = UdpSocket::bind((unspecified, 0)).ok()?;
    socket.connect((outside, 9)).ok()?;
    let own = socket.local_addr().ok()?.ip();
    (!own.is_unspecified()).then_some(own)
}

/// What a client names an endpoint by: a host name or an address, perhaps with a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConnectionString {
    host: String,
    port: Option<u16>,
}

impl ConnectionString {
    /// Reads `host`, `host:port`, an address, or an address with a port.
    pub(crate) fn parse(text: &str) -> Self {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Self {
                host: address.ip().to_string(),
                port: Some(address.port()),
            };
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Self {
                host: address.to_string(),
                port: None,
            };
        }
        let with_port = text.rsplit_once(':').and_then(|(host, port)| {
            let port = port.parse().ok()?;
            Some((host, Some(port)))
        });
        let (host, port) = with_port.unwrap_or((text, None));
        Self {
            host: host.to_ascii_lowercase(),
            port,
        }
    }

    /// Whether the endpoint may be meant: by its name or by its address.
    pub(crate) fn means(&self, endpoint: &Endpoint) -> bool {
        let is_host = endpoint.connection_string == self.host
            || (!endpoint.address.is_unspecified() && endpoint.address.to_string() == self.host);
        is_host && self.port.is_none_or(|port| port == endpoint.port)
    }

    /// The instance's public endpoint, if that is meant.
    ///
    /// # Errors
    /// `OperationDenied.DBInstanceNetType` when it is another one of the instance's;
    /// `InvalidCurrentConnectionString.NotFound` when it is none of them.
    pub(crate) fn public_endpoint<'a>(
        &self,
        endpoints: &'a [Endpoint],
    ) -> Result<&'a Endpoint, ApiError> {
        let mut meant = endpoints.iter().filter(|endpoint| self.means(endpoint));
        let is_public = |endpoint: &&Endpoint| endpoint.endpoint_type == EndpointType::Public;
        match meant.clone().find(is_public) {
            Some(public) => Ok(public),
            None if meant.next().is_some() => Err(ApiError::instance_net_type()),
            None => Err(ApiError::current_connection_string_not_found()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> InstanceId {
        InstanceId::parse("pd-0123456789abcd").expect("an id")
    }

    #[test]
    fn prefixes_never_stand_for_another_endpoint() {
        for taken in [
            "pd-0123456789abcd",
            "pd-0123456789abcd-2",
            "pd-0123456789abcd-",
            "pd-dcba9876543210",
            "pd-dcba9876543210-public",
        ] {
            assert!(is_reserved(&id(), taken), "{taken}");
        }
        for free in [
            "shop",
            "pd-shop",
            "pd-0123456789abcd-public",
            "pd-0123456789abcd-2b",
            "pd-0123456789abcdef",
            "pd-my-public-shop-2",
        ] {
            assert!(!is_reserved(&id(), free), "{free}");
        }
        let usual = usual_prefix(&id()).expect("a label");
        assert!(!is_reserved(&id(), usual.as_str()));
    }

    #[test]
    fn connection_strings_are_names_or_addresses_with_or_without_port() {
        for (text, host, port) in [
            ("DB.example.com", "db.example.com", None),
            ("db.example.com:3306", "db.example.com", Some(3306)),
            ("127.0.0.1", "127.0.0.1", None),
            ("127.0.0.1:20000", "127.0.0.1", Some(20_000)),
            ("::1", "::1", None),
            ("[::1]:3306", "::1", Some(3306)),
            ("db:port", "db:port", None),
            ("db:99999", "db:99999", None),
        ] {
            let expected = ConnectionString {
                host: host.into(),
                port,
            };
            assert_eq!(ConnectionString::parse(text), expected);
        }
    }

    #[test]
    fn listeners_on_all_addresses_are_told_by_one() {
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        let everywhere = address("0.0.0.0");
        let told = |own, classic| advertised(address(own), address(classic));
        assert_eq!(told("203.0.113.7", "127.0.0.1"), address("203.0.113.7"));
        assert_eq!(told("0.0.0.0", "10.0.0.5"), address("10.0.0.5"));
        let guessed = told("0.0.0.0", "127.0.0.1");
        assert!(guessed.is_ipv4() && guessed != everywhere, "{guessed}");
        assert!(told("::", "10.0.0.5").is_ipv6());
    }

    #[test]
    fn public_endpoints_are_named_by_domain_then_host_then_address() {
        let prefix = ConnectionPrefix::parse("Shop").expect("a label");
        let mut network = NetworkConfig::default();
        assert_eq!(network.public_name(&prefix), "127.0.0.1");
        network.public_address = Some(Ipv4Addr::new(203, 0, 113, 7).into());
        assert_eq!(network.public_name(&prefix), "203.0.113.7");
        network.public_host = Some("DB.example.com".into());
        assert_eq!(network.public_name(&prefix), "db.example.com");
        network.domain = Some("Example.com".into());
        let name = "shop.petadata.rds.example.com";
        assert_eq!(network.public_name(&prefix), name);
    }
}
