//! Opening and closing endpoints: the gateway listens where the store says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use openpeta_store::{Endpoint, EndpointState, Reader};
use openpeta_types::{EndpointId, InstanceId, ObjectStatus};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::parts::Parts;
use crate::{ControlError, OpenEndpointError};

/// How long a new endpoint may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What came of opening an endpoint.
pub(crate) enum Opened {
    /// It is open, as the store has it.
    Open(Endpoint),
    /// It is not to be open: its row is gone, it is closing, it has expired, or its instance is
    /// being deleted.
    NotWanted,
    /// The gateway could not listen.
    Failed(OpenEndpointError),
}

impl Parts {
    /// Makes the gateway listen for an endpoint, if the store still wants that.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub(crate) fn open_endpoint(&self, id: &EndpointId) -> Result<Opened, ControlError> {
        let _in_order = self.endpoints_in_order();
        let wanted = self.store.read(|reader| wanted(reader, id))?;
        let Some(endpoint) = wanted else {
            return Ok(Opened::NotWanted);
        };
        let address = SocketAddr::new(endpoint.address, endpoint.port);
        let opened = self
            .gateway
            .open_endpoint(id, address, &endpoint.instance_id);
        Ok(match opened {
            Ok(()) => Opened::Open(endpoint),
            Err(error) => Opened::Failed(error),
        })
    }

    /// Gives an endpoint that is not open another place, since somebody else listens in its own.
    ///
    /// # Errors
    /// `OperationDenied` when no place is left.
    pub(crate) fn move_endpoint(&self, id: &EndpointId) -> Result<(), ControlError> {
        self.store.write(|writer| match writer.endpoint(id)? {
            Some(endpoint) => Ok(writer.move_endpoint(&self.elsewhere(writer, &endpoint)?)?),
            None => Ok(()),
        })
    }

    /// Makes the gateway listen for an endpoint no more; its sessions are closed. The caller has
    /// seen to it that the store no longer wants it open, or sees to it next.
    pub(crate) fn close_endpoint(&self, id: &EndpointId) {
        let _in_order = self.endpoints_in_order();
        self.gateway.close_endpoint(id, Duration::ZERO);
    }

    /// Takes an instance out of the gateway: no listener, no session, no route.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub(crate) fn close_endpoints(&self, instance: &InstanceId) -> Result<(), ControlError> {
        let endpoints = self.store.read(|reader| reader.endpoints_of(instance))?;
        self.close(instance, &endpoints);
        Ok(())
    }

    /// As [`close_endpoints`](Self::close_endpoints), for an instance whose rows may be gone.
    pub(crate) fn close(&self, instance: &InstanceId, endpoints: &[Endpoint]) {
        for endpoint in endpoints {
            self.close_endpoint(&endpoint.endpoint_id);
        }
        self.gateway.withdraw(instance);
    }

    /// One at a time: an endpoint must not be opened by what was read before it was closed.
    fn endpoints_in_order(&self) -> MutexGuard<'_, ()> {
        let lock = self.opening.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }
}

/// The endpoint, if it is to be open.
fn wanted(reader: &Reader<'_>, id: &EndpointId) -> Result<Option<Endpoint>, ControlError> {
    let Some(endpoint) = reader.endpoint(id)? else {
        return Ok(None);
    };
    let instance = reader.instance(&endpoint.instance_id)?;
    let is_kept = instance.is_some_and(|instance| instance.status != ObjectStatus::Delete);
    let now = Timestamp::now();
    let is_wanted = is_kept
        && endpoint.state != EndpointState::Closing
        && endpoint.expires_at.is_none_or(|end| end > now);
    Ok(is_wanted.then_some(endpoint))
}

/// The address by which this machine reaches an endpoint.
pub(crate) fn reachable_address(endpoint: &Endpoint) -> SocketAddr {
    let address = match endpoint.address {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, endpoint.port)
}

/// Connects to an endpoint and waits for the first bytes of an answer: a greeting, or the
/// refusal of an address that the whitelist does not admit. Either way the gateway serves it.
///
/// # Errors
/// Why not, for the operator.
pub(crate) async fn check_reachable(address: SocketAddr) -> Result<(), String> {
    let answer = async {
        let mut stream = TcpStream::connect(address).await?;
        let mut first = [0];
        stream.read_exact(&mut first).await
    };
    match timeout(ANSWER_WITHIN, answer).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(format!("{address} does not answer: {error}")),
        Err(_) => Err(format!(
            "{address} does not answer within {ANSWER_WITHIN:?}"
        )),
    }
}
