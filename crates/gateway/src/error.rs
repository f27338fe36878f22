//! What can go wrong when the gateway is told to do something.

use std::io;
use std::net::SocketAddr;

use openpeta_types::EndpointId;

/// Why the gateway could not do as told.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// Threads or descriptors for the event loops could not be had.
    #[error("cannot start the gateway: {0}")]
    Start(#[source] io::Error),
    /// Another socket listens on the address.
    #[error("address {0} is in use")]
    AddressInUse(SocketAddr),
    /// The process may not listen on the address (a port below 1024, as a rule).
    #[error("no permission to listen on {0}")]
    AddressForbidden(SocketAddr),
    /// The address does not belong to this machine.
    #[error("address {0} is not one of this machine")]
    AddressUnavailable(SocketAddr),
    /// The operating system refused to listen for another reason.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },
    /// The endpoint is open already, on another address or for another instance.
    #[error("endpoint {id} is open on {address} already")]
    EndpointOpen {
        /// The endpoint.
        id: EndpointId,
        /// Where it listens.
        address: SocketAddr,
    },
    /// The gateway is draining and opens nothing anymore.
    #[error("the gateway is shutting down")]
    Draining,
}

impl GatewayError {
    pub(crate) fn listen(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::AddressInUse(address),
            io::ErrorKind::PermissionDenied => Self::AddressForbidden(address),
            io::ErrorKind::AddrNotAvailable => Self::AddressUnavailable(address),
            _ => Self::Listen { address, source },
        }
    }
}
