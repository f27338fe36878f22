//! Where instances can be reached: endpoints at addresses of the host and of VSwitches.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use openpeta_rpc_api::ApiError;
use openpeta_store::{Endpoint, Instance, Reader};
use openpeta_types::{EndpointType, InstanceId, VSwitchId, VpcId};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::parts::Parts;
use crate::{ControlError, random};

/// How long a new endpoint may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

impl Parts {
    /// A Classic endpoint: an address of the host and a free port.
    ///
    /// # Errors
    /// `OperationDenied` when no port is left.
    pub(crate) fn classic_endpoint(
        &self,
        reader: &Reader<'_>,
        instance: &Instance,
    ) -> Result<Endpoint, ControlError> {
        let network = &self.config.network;
        let address = network.classic_address;
        let free = |port| TcpListener::bind((address, port)).is_ok();
        let port = reader.free_port(address, network.classic_ports(), free)?;
        Ok(Endpoint {
            endpoint_id: random::endpoint_id()?,
            instance_id: instance.instance_id.clone(),
            endpoint_type: EndpointType::Internal,
            connection_string: self.connection_string(instance, address),
            address,
            port: port.ok_or_else(ApiError::sold_out)?,
            vpc_id: None,
            vswitch_id: None,
            expires_at: None,
        })
    }

    /// A VPC endpoint: a free address of the VSwitch.
    ///
    /// # Errors
    /// `InvalidVPCId.NotFound`, `IncorrectVpcId.Mismatch`, `InvalidVSwitchId.NotFound`,
    /// `InvalidVSwitchId.Mismatch`; `OperationDenied` when no address is left.
    pub(crate) fn vpc_endpoint(
        &self,
        reader: &Reader<'_>,
        instance: &Instance,
        vpc_id: &VpcId,
        vswitch_id: &VSwitchId,
    ) -> Result<Endpoint, ControlError> {
        check_placement(reader, instance, vpc_id, vswitch_id)?;
        let address = reader
            .free_address(vswitch_id)?
            .ok_or_else(ApiError::sold_out)?;
        let address = IpAddr::V4(address);
        Ok(Endpoint {
            endpoint_id: random::endpoint_id()?,
            instance_id: instance.instance_id.clone(),
            endpoint_type: EndpointType::Vpc,
            connection_string: self.connection_string(instance, address),
            address,
            port: self.config.network.vpc_port,
            vpc_id: Some(vpc_id.clone()),
            vswitch_id: Some(vswitch_id.clone()),
            expires_at: None,
        })
    }

    /// A name below the configured domain, or the address itself.
    fn connection_string(&self, instance: &Instance, address: IpAddr) -> String {
        match &self.config.network.domain {
            Some(domain) => format!("{}.petadata.rds.{domain}", instance.instance_id),
            None => address.to_string(),
        }
    }
}

/// Whether a VSwitch is in a VPC that the tenant may use, in the instance's region and zone.
fn check_placement(
    reader: &Reader<'_>,
    instance: &Instance,
    vpc_id: &VpcId,
    vswitch_id: &VSwitchId,
) -> Result<(), ControlError> {
    let usable = |owner: Option<_>| owner.is_none_or(|owner| owner == instance.account_id);
    let vpc = reader.vpc(vpc_id)?.filter(|vpc| usable(vpc.account_id));
    let vpc = vpc.ok_or_else(ApiError::vpc_not_found)?;
    if vpc.region_id != instance.region_id {
        return Err(ApiError::vpc_mismatch().into());
    }
    let vswitch = reader
        .vswitch(vswitch_id)?
        .filter(|vswitch| vswitch.vpc_id == *vpc_id);
    let vswitch = vswitch.ok_or_else(ApiError::vswitch_not_found)?;
    if vswitch.zone_id != instance.zone_id {
        return Err(ApiError::vswitch_mismatch().into());
    }
    Ok(())
}

/// Where an endpoint listens.
pub(crate) fn socket_address(endpoint: &Endpoint) -> SocketAddr {
    SocketAddr::new(endpoint.address, endpoint.port)
}

impl Parts {
    /// Whether an endpoint's port is ours to choose.
    pub(crate) fn is_classic(&self, endpoint: &Endpoint) -> bool {
        endpoint.endpoint_type == EndpointType::Internal
    }

    /// Gives an endpoint another port, since somebody else listens on its own.
    ///
    /// # Errors
    /// `OperationDenied` when no port is left.
    pub(crate) fn move_to_free_port(&self, endpoint: &Endpoint) -> Result<(), ControlError> {
        self.store.write(|writer| {
            let id = &endpoint.instance_id;
            let instance = writer
                .instance(id)?
                .ok_or_else(ApiError::instance_not_found)?;
            let moved = self.classic_endpoint(writer, &instance)?;
            writer.delete_endpoint(&endpoint.endpoint_id)?;
            writer.insert_endpoint(&moved)?;
            Ok(())
        })
    }

    /// Takes an instance out of the gateway: no listener, no session, no route.
    ///
    /// # Errors
    /// [`ControlError`] when the store fails.
    pub(crate) fn close_endpoints(&self, instance: &InstanceId) -> Result<(), ControlError> {
        for endpoint in self.store.read(|reader| reader.endpoints_of(instance))? {
            self.gateway
                .close_endpoint(&endpoint.endpoint_id, Duration::ZERO);
        }
        self.gateway.withdraw(instance);
        Ok(())
    }
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
