//! Endpoints: the listeners of the gateway that are meant to exist.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use jiff::Timestamp;
use openpeta_types::{ConnectionPrefix, EndpointId, EndpointType, InstanceId, VSwitchId, VpcId};
use rusqlite::params;

use crate::changes::Topic;
use crate::column::{Columns, P};
use crate::{Reader, StoreError, Writer, spelled};

const TABLE: &str = "endpoints";

/// The columns that [`read`] reads, in its order.
macro_rules! columns {
    () => {
        "e.endpoint_id, e.instance_id, e.endpoint_type, e.connection_string, e.address, e.port, \
         e.vpc_id, e.vswitch_id, e.state, e.prefix, e.expires_at"
    };
}

spelled!(
    /// Where an endpoint stands in its life.
    EndpointState {
        /// A task is about to open it; nobody is told of it yet.
        Opening = "OPENING",
        /// Clients use it.
        Active = "ACTIVE",
        /// A task closes it; nobody is told of it any more, and it is not opened again.
        Closing = "CLOSING",
    }
);

/// An address at which clients reach an instance.
///
/// An instance has at most one *default* endpoint: of type INTERNAL or VPC, ACTIVE and without
/// expiry. To switch, first give the old one its expiry, then make the new one ACTIVE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its id.
    pub endpoint_id: EndpointId,
    /// The instance that it leads to.
    pub instance_id: InstanceId,
    /// Its kind.
    pub endpoint_type: EndpointType,
    /// Host name or address as clients are told.
    pub connection_string: String,
    /// Where it listens.
    pub address: IpAddr,
    /// Where it listens; one endpoint an address and port.
    pub port: u16,
    /// The VPC that its address is from.
    pub vpc_id: Option<VpcId>,
    /// The VSwitch that its address is from.
    pub vswitch_id: Option<VSwitchId>,
    /// Where it stands in its life.
    pub state: EndpointState,
    /// The first label of a public endpoint's name; unique among all endpoints.
    pub prefix: Option<ConnectionPrefix>,
    /// When it goes, for the old endpoint after a switch.
    pub expires_at: Option<Timestamp>,
}

pub(crate) fn read(columns: &mut Columns<'_, '_>) -> Result<Endpoint, StoreError> {
    Ok(Endpoint {
        endpoint_id: columns.get()?,
        instance_id: columns.get()?,
        endpoint_type: columns.get()?,
        connection_string: columns.get()?,
        address: columns.get()?,
        port: columns.get()?,
        vpc_id: columns.get()?,
        vswitch_id: columns.get()?,
        state: columns.get()?,
        prefix: columns.get()?,
        expires_at: columns.get()?,
    })
}

impl Reader<'_> {
    /// The endpoint of that id.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn endpoint(&self, endpoint_id: &EndpointId) -> Result<Option<Endpoint>, StoreError> {
        self.one(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM endpoints e WHERE e.endpoint_id = ?"
            ),
            [P(endpoint_id)],
            read,
        )
    }

    /// All endpoints; for reconcilers.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>, StoreError> {
        self.all(
            TABLE,
            concat!("SELECT ", columns!(), " FROM endpoints e"),
            [],
            read,
        )
    }

    /// The endpoints of an instance: the default one first, then public ones, then those that
    /// will go.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn endpoints_of(&self, instance_id: &InstanceId) -> Result<Vec<Endpoint>, StoreError> {
        let mut endpoints = self.all(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM endpoints e WHERE e.instance_id = ?"
            ),
            [P(instance_id)],
            read,
        )?;
        endpoints.sort_by_key(|endpoint| {
            let public = endpoint.endpoint_type == EndpointType::Public;
            (endpoint.expires_at, public)
        });
        Ok(endpoints)
    }

    /// The endpoints that are on their way out, those that go first before the others.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn expiring_endpoints(&self) -> Result<Vec<Endpoint>, StoreError> {
        self.all(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM endpoints e WHERE e.expires_at IS NOT NULL ORDER BY e.expires_at"
            ),
            [],
            read,
        )
    }

    /// Whether an endpoint of any instance has the prefix.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn has_endpoint_prefix(&self, prefix: &ConnectionPrefix) -> Result<bool, StoreError> {
        let found: Option<i64> = self.one(
            TABLE,
            "SELECT 1 FROM endpoints WHERE prefix = ?",
            [P(prefix)],
            |columns| columns.get(),
        )?;
        Ok(found.is_some())
    }

    /// The lowest port of the range that no endpoint on the address has and `usable` admits
    /// (a caller may try to bind it). `None` when there is none. Insert the endpoint in the
    /// same transaction. An endpoint on the unspecified address has its port on every address.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn free_port(
        &self,
        address: IpAddr,
        range: RangeInclusive<u16>,
        usable: impl Fn(u16) -> bool,
    ) -> Result<Option<u16>, StoreError> {
        let taken = self.ports_beside(address)?;
        let mut free = range.filter(|port| !taken.contains(port));
        Ok(free.find(|&port| usable(port)))
    }

    /// The ports that a listener on the address cannot have.
    fn ports_beside(&self, address: IpAddr) -> Result<HashSet<u16>, StoreError> {
        let everywhere: IpAddr = match address {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        if address != everywhere {
            let ports = self.all(
                TABLE,
                "SELECT port FROM endpoints WHERE address IN (?, ?)",
                [P(&address), P(&everywhere)],
                |columns| columns.get(),
            )?;
            return Ok(ports.into_iter().collect());
        }
        let places: Vec<(IpAddr, u16)> = self.all(
            TABLE,
            "SELECT address, port FROM endpoints",
            [],
            |columns| Ok((columns.get()?, columns.get()?)),
        )?;
        let same_family = places
            .into_iter()
            .filter(|(other, _)| other.is_ipv4() == address.is_ipv4());
        Ok(same_family.map(|(_, port)| port).collect())
    }
}

impl Writer<'_> {
    /// Adds an endpoint.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when address and port or the prefix are taken, the instance has a
    /// default endpoint already, or something it names does not exist.
    pub fn insert_endpoint(&self, endpoint: &Endpoint) -> Result<(), StoreError> {
        self.touch(Topic::Endpoints);
        self.touch_instance(&endpoint.instance_id);
        self.execute(
            "INSERT INTO endpoints (endpoint_id, instance_id, endpoint_type, connection_string,
                                    address, port, vpc_id, vswitch_id, state, prefix,
                                    expires_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                P(&endpoint.endpoint_id),
                P(&endpoint.instance_id),
                P(&endpoint.endpoint_type),
                P(&endpoint.connection_string),
                P(&endpoint.address),
                P(&endpoint.port),
                P(&endpoint.vpc_id),
                P(&endpoint.vswitch_id),
                P(&endpoint.state),
                P(&endpoint.prefix),
                P(&endpoint.expires_at),
            ],
        )?;
        Ok(())
    }

    /// Gives an endpoint another address, port and connection string.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] when address and port are taken.
    pub fn move_endpoint(&self, moved: &Endpoint) -> Result<(), StoreError> {
        self.touch_endpoint(&moved.endpoint_id)?;
        self.change(
            TABLE,
            "UPDATE endpoints SET address = ?2, port = ?3, connection_string = ?4
             WHERE endpoint_id = ?1",
            params![
                P(&moved.endpoint_id),
                P(&moved.address),
                P(&moved.port),
                P(&moved.connection_string),
            ],
        )
    }

    /// Sets where an endpoint stands in its life.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] when it would be a second default one.
    pub fn set_endpoint_state(
        &self,
        endpoint_id: &EndpointId,
        state: EndpointState,
    ) -> Result<(), StoreError> {
        self.touch_endpoint(endpoint_id)?;
        self.change(
            TABLE,
            "UPDATE endpoints SET state = ?2 WHERE endpoint_id = ?1",
            params![P(endpoint_id), P(&state)],
        )
    }

    /// Says when an endpoint goes, or that it stays after all.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] when it would be a second default one.
    pub fn set_endpoint_expiry(
        &self,
        endpoint_id: &EndpointId,
        expires_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.touch_endpoint(endpoint_id)?;
        self.change(
            TABLE,
            "UPDATE endpoints SET expires_at = ?2 WHERE endpoint_id = ?1",
            params![P(endpoint_id), P(&expires_at)],
        )
    }

    /// Notes that an endpoint of some instance changes.
    fn touch_endpoint(&self, endpoint_id: &EndpointId) -> Result<(), StoreError> {
        self.touch(Topic::Endpoints);
        if let Some(endpoint) = self.endpoint(endpoint_id)? {
            self.touch_instance(&endpoint.instance_id);
        }
        Ok(())
    }

    /// Removes an endpoint.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn delete_endpoint(&self, endpoint_id: &EndpointId) -> Result<(), StoreError> {
        self.touch_endpoint(endpoint_id)?;
        self.change(
            TABLE,
            "DELETE FROM endpoints WHERE endpoint_id = ?",
            [P(endpoint_id)],
        )
    }
}
