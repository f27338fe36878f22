//! Where a new endpoint listens: an address and a port that nobody has.

use std::cell::Cell;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};

use openpeta_rpc_api::ApiError;
use openpeta_store::{Endpoint, EndpointState, Instance, Reader};
use openpeta_types::{ConnectionPrefix, EndpointType, InstanceId, VSwitchId, VpcId};

use super::names::private_name;
use crate::config::{PUBLIC_PORTS, USUAL_PUBLIC_PORT};
use crate::parts::Parts;
use crate::{ControlError, random};

/// How many addresses of a VSwitch are tried when somebody else listens on them. A program that
/// listens on the port everywhere has it on all of them.
const ADDRESSES_TRIED: u32 = 64;

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
        let address = self.config.network.classic_address;
        Ok(Endpoint {
            connection_string: private_name(&self.config.network, reader, instance, address)?,
            port: self.free_classic_port(reader)?,
            ..endpoint(&instance.instance_id, EndpointType::Internal, address)?
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
        let address = self.free_vpc_address(reader, vswitch_id)?;
        Ok(Endpoint {
            connection_string: private_name(&self.config.network, reader, instance, address)?,
            port: self.config.network.vpc_port,
            vpc_id: Some(vpc_id.clone()),
            vswitch_id: Some(vswitch_id.clone()),
            ..endpoint(&instance.instance_id, EndpointType::Vpc, address)?
        })
    }

    /// A public endpoint with that prefix: on the port asked for, else on any of those there
    /// are.
    ///
    /// # Errors
    /// `InvalidPort.Malformed` when the port asked for is taken; `OperationDenied` when all are.
    pub(crate) fn public_endpoint(
        &self,
        reader: &Reader<'_>,
        instance: &Instance,
        prefix: ConnectionPrefix,
        port: Option<u16>,
    ) -> Result<Endpoint, ControlError> {
        let network = &self.config.network;
        let port = match port {
            None => self.free_public_port(reader)?,
            Some(port) if self.is_free_public_port(reader, port)? => port,
            Some(_) => {
                let detail = "It is taken; leave it out to get one that is free.";
                return Err(ApiError::port_malformed().with_detail(detail).into());
            }
        };
        Ok(Endpoint {
            connection_string: network.public_name(&prefix),
            port,
            prefix: Some(prefix),
            ..endpoint(
                &instance.instance_id,
                EndpointType::Public,
                network.public_address(),
            )?
        })
    }

    /// The endpoint in another place of its kind, since somebody else listens in its own.
    ///
    /// # Errors
    /// `OperationDenied` when no place is left.
    pub(crate) fn elsewhere(
        &self,
        reader: &Reader<'_>,
        endpoint: &Endpoint,
    ) -> Result<Endpoint, ControlError> {
        let network = &self.config.network;
        let (address, port) = match (endpoint.endpoint_type, &endpoint.vswitch_id) {
            (EndpointType::Vpc, Some(vswitch_id)) => {
                (self.free_vpc_address(reader, vswitch_id)?, network.vpc_port)
            }
            (EndpointType::Public, _) => (network.public_address(), self.free_public_port(reader)?),
            _ => (network.classic_address, self.free_classic_port(reader)?),
        };
        let is_named = endpoint.connection_string != endpoint.address.to_string();
        Ok(Endpoint {
            address,
            port,
            connection_string: match is_named {
                true => endpoint.connection_string.clone(),
                false => address.to_string(),
            },
            ..endpoint.clone()
        })
    }

    fn free_classic_port(&self, reader: &Reader<'_>) -> Result<u16, ControlError> {
        let network = &self.config.network;
        let address = network.classic_address;
        let usable = |port| nobody_listens(address, port);
        let port = reader.free_port(address, network.classic_ports(), usable)?;
        Ok(port.ok_or_else(ApiError::sold_out)?)
    }

    fn free_vpc_address(
        &self,
        reader: &Reader<'_>,
        vswitch_id: &VSwitchId,
    ) -> Result<IpAddr, ControlError> {
        let port = self.config.network.vpc_port;
        let tried = Cell::new(0);
        let found = reader.free_address(vswitch_id, |address| {
            tried.set(tried.get() + 1);
            tried.get() <= ADDRESSES_TRIED && nobody_listens(address.into(), port)
        })?;
        let address = found.ok_or_else(|| match tried.get() {
            0 => ApiError::sold_out().with_detail("The VSwitch has no address left."),
            _ => {
                let detail = format!("Another program listens on port {port} of its addresses.");
                ApiError::sold_out().with_detail(&detail)
            }
        })?;
        Ok(IpAddr::V4(address))
    }

    /// The usual port, else the next one behind it, else one before it.
    fn free_public_port(&self, reader: &Reader<'_>) -> Result<u16, ControlError> {
        let (first, last) = (*PUBLIC_PORTS.start(), *PUBLIC_PORTS.end());
        let address = self.config.network.public_address();
        let usable = |port| self.suits_public(port) && nobody_listens(address, port);
        for range in [USUAL_PUBLIC_PORT..=last, first..=USUAL_PUBLIC_PORT] {
            if let Some(port) = reader.free_port(address, range, usable)? {
                return Ok(port);
            }
        }
        Err(ApiError::sold_out()
            .with_detail("No public port is left.")
            .into())
    }

    fn is_free_public_port(&self, reader: &Reader<'_>, port: u16) -> Result<bool, ControlError> {
        let address = self.config.network.public_address();
        let usable = |port| self.suits_public(port) && nobody_listens(address, port);
        Ok(reader.free_port(address, port..=port, usable)?.is_some())
    }

    /// A public listener on all addresses would take the port of VPC endpoints from those to
    /// come.
    fn suits_public(&self, port: u16) -> bool {
        let network = &self.config.network;
        !network.public_address().is_unspecified() || port != network.vpc_port
    }
}

/// A new endpoint of that kind; the caller says the rest.
fn endpoint(
    instance_id: &InstanceId,
    endpoint_type: EndpointType,
    address: IpAddr,
) -> Result<Endpoint, ControlError> {
    Ok(Endpoint {
        endpoint_id: random::endpoint_id()?,
        instance_id: instance_id.clone(),
        endpoint_type,
        connection_string: address.to_string(),
        address,
        port: 0,
        vpc_id: None,
        vswitch_id: None,
        state: EndpointState::Active,
        prefix: None,
        expires_at: None,
    })
}

/// Whether nobody has the port. Any other reason why one cannot listen there is no reason to
/// try the next: opening the endpoint tells it.
fn nobody_listens(address: IpAddr, port: u16) -> bool {
    let bound = TcpListener::bind(SocketAddr::new(address, port));
    !bound.is_err_and(|error| error.kind() == ErrorKind::AddrInUse)
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
