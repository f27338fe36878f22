//! Joins the gateway to the control plane.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use openpeta_control::OpenEndpointError;
use openpeta_gateway::{Gateway, GatewayError};
use openpeta_types::route::InstanceRoute;
use openpeta_types::{EndpointId, InstanceId};

/// The gateway as the control plane wants it.
pub(crate) struct GatewayAdapter(pub(crate) Arc<Gateway>);

impl openpeta_control::Gateway for GatewayAdapter {
    fn publish(&self, route: InstanceRoute) {
        self.0.publish(route);
    }

    fn withdraw(&self, instance: &InstanceId) {
        self.0.withdraw(instance);
    }

    fn open_endpoint(
        &self,
        endpoint: &EndpointId,
        address: SocketAddr,
        instance: &InstanceId,
    ) -> Result<(), OpenEndpointError> {
        match self
            .0
            .open_endpoint(endpoint.clone(), address, instance.clone())
        {
            Ok(_) => Ok(()),
            Err(GatewayError::AddressInUse(address)) => {
                Err(OpenEndpointError::AddressInUse(address))
            }
            Err(error) => Err(OpenEndpointError::Unavailable {
                address,
                reason: error.to_string(),
            }),
        }
    }

    fn close_endpoint(&self, endpoint: &EndpointId, grace: Duration) {
        self.0.close_endpoint(endpoint, grace);
    }

    fn endpoints(&self) -> Vec<EndpointId> {
        self.0
            .endpoints()
            .into_iter()
            .map(|endpoint| endpoint.id)
            .collect()
    }
}
