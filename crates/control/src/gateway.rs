//! What the control plane needs of the gateway. The gateway's crate stands above this one;
//! the server joins the two.

use std::net::SocketAddr;
use std::time::Duration;

use openpeta_types::route::InstanceRoute;
use openpeta_types::{EndpointId, InstanceId};
use thiserror::Error;

/// Why an endpoint could not be opened.
#[derive(Debug, Error)]
pub enum OpenEndpointError {
    /// Another process listens there.
    #[error("{0} is taken by another process")]
    AddressInUse(SocketAddr),
    /// The address is not one of this host's, or the port needs a right we lack.
    #[error("{address} cannot be bound: {reason}")]
    Unavailable {
        /// The address asked for.
        address: SocketAddr,
        /// The operating system's reason.
        reason: String,
    },
}

/// The gateway, as the control plane sees it. All calls are quick and may come from any thread.
pub trait Gateway: Send + Sync + 'static {
    /// Lets clients in by this route from now on, replacing the instance's former one. Has
    /// taken effect for new connections when it returns; open sessions that the new route
    /// does not admit are closed.
    fn publish(&self, route: InstanceRoute);

    /// Closes the instance's sessions and admits no more.
    fn withdraw(&self, instance: &InstanceId);

    /// Listens for an instance at an address; does nothing if it already does.
    ///
    /// # Errors
    /// [`OpenEndpointError`] when the address cannot be bound.
    fn open_endpoint(
        &self,
        endpoint: &EndpointId,
        address: SocketAddr,
        instance: &InstanceId,
    ) -> Result<(), OpenEndpointError>;

    /// Stops listening; sessions that came through the endpoint are closed after `grace`.
    fn close_endpoint(&self, endpoint: &EndpointId, grace: Duration);

    /// The endpoints that are open.
    fn endpoints(&self) -> Vec<EndpointId>;
}
