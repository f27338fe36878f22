//! VPCs and VSwitches, and the addresses that endpoints take out of them.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use openpeta_types::{AccountId, VSwitchId, VpcId};
use rusqlite::params;

use crate::column::{Columns, P};
use crate::{Reader, StoreError, Writer};

/// A private network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vpc {
    /// Its id.
    pub vpc_id: VpcId,
    /// The tenant that may use it; `None` for one that all tenants share.
    pub account_id: Option<AccountId>,
    /// Its region.
    pub region_id: String,
    /// Its addresses.
    pub cidr: Ipv4Net,
    /// Name for the operator.
    pub name: String,
}

/// A part of a VPC in one zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VSwitch {
    /// Its id.
    pub vswitch_id: VSwitchId,
    /// Its VPC.
    pub vpc_id: VpcId,
    /// Its zone.
    pub zone_id: String,
    /// Its addresses, a part of the VPC's.
    pub cidr: Ipv4Net,
    /// Name for the operator.
    pub name: String,
}

fn read_vpc(columns: &mut Columns<'_, '_>) -> Result<Vpc, StoreError> {
    Ok(Vpc {
        vpc_id: columns.get()?,
        account_id: columns.get()?,
        region_id: columns.get()?,
        cidr: columns.get()?,
        name: columns.get()?,
    })
}

fn read_vswitch(columns: &mut Columns<'_, '_>) -> Result<VSwitch, StoreError> {
    Ok(VSwitch {
        vswitch_id: columns.get()?,
        vpc_id: columns.get()?,
        zone_id: columns.get()?,
        cidr: columns.get()?,
        name: columns.get()?,
    })
}

impl Reader<'_> {
    /// The VPC of that id, whoever may use it.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn vpc(&self, vpc_id: &VpcId) -> Result<Option<Vpc>, StoreError> {
        self.one(
            "vpcs",
            "SELECT vpc_id, account_id, region_id, cidr, name FROM vpcs WHERE vpc_id = ?",
            [P(vpc_id)],
            read_vpc,
        )
    }

    /// All VPCs, by id.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn vpcs(&self) -> Result<Vec<Vpc>, StoreError> {
        self.all(
            "vpcs",
            "SELECT vpc_id, account_id, region_id, cidr, name FROM vpcs ORDER BY vpc_id",
            [],
            read_vpc,
        )
    }

    /// The VSwitch of that id.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn vswitch(&self, vswitch_id: &VSwitchId) -> Result<Option<VSwitch>, StoreError> {
        self.one(
            "vswitches",
            "SELECT vswitch_id, vpc_id, zone_id, cidr, name FROM vswitches WHERE vswitch_id = ?",
            [P(vswitch_id)],
            read_vswitch,
        )
    }

    /// All VSwitches of a VPC, by id.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn vswitches(&self, vpc_id: &VpcId) -> Result<Vec<VSwitch>, StoreError> {
        self.all(
            "vswitches",
            "SELECT vswitch_id, vpc_id, zone_id, cidr, name FROM vswitches
             WHERE vpc_id = ? ORDER BY vswitch_id",
            [P(vpc_id)],
            read_vswitch,
        )
    }

    /// The lowest address of a VSwitch that no endpoint has and `usable` admits (a caller may try
    /// to bind it), leaving out the network's own, the first host (the gateway's by custom) and
    /// the broadcast address. `None` when there is none. Insert the endpoint in the same
    /// transaction.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when there is no such VSwitch.
    pub fn free_address(
        &self,
        vswitch_id: &VSwitchId,
        mut usable: impl FnMut(Ipv4Addr) -> bool,
    ) -> Result<Option<Ipv4Addr>, StoreError> {
        let table = "vswitches";
        let vswitch = self
            .vswitch(vswitch_id)?
            .ok_or(StoreError::NotFound { table })?;
        let taken: HashSet<IpAddr> = self
            .all(
                "endpoints",
                "SELECT address FROM endpoints WHERE vswitch_id = ?",
                [P(vswitch_id)],
                |columns| columns.get(),
            )?
            .into_iter()
            .collect();
        let first = vswitch.cidr.network().to_bits().saturating_add(2);
        let hosts = first..vswitch.cidr.broadcast().to_bits();
        Ok(hosts
            .map(Ipv4Addr::from_bits)
            .filter(|&address| !taken.contains(&IpAddr::V4(address)))
            .find(|&address| usable(address)))
    }
}

impl Writer<'_> {
    /// Adds a VPC.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id is taken or there is no such tenant.
    pub fn insert_vpc(&self, vpc: &Vpc) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO vpcs (vpc_id, account_id, region_id, cidr, name) VALUES (?, ?, ?, ?, ?)",
            params![
                P(&vpc.vpc_id),
                P(&vpc.account_id),
                P(&vpc.region_id),
                P(&vpc.cidr),
                P(&vpc.name),
            ],
        )?;
        Ok(())
    }

    /// Adds a VSwitch.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when the id is taken or there is no such VPC.
    pub fn insert_vswitch(&self, vswitch: &VSwitch) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO vswitches (vswitch_id, vpc_id, zone_id, cidr, name)
             VALUES (?, ?, ?, ?, ?)",
            params![
                P(&vswitch.vswitch_id),
                P(&vswitch.vpc_id),
                P(&vswitch.zone_id),
                P(&vswitch.cidr),
                P(&vswitch.name),
            ],
        )?;
        Ok(())
    }

    /// Removes a VPC.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] when VSwitches, instances or endpoints
    /// are in it.
    pub fn delete_vpc(&self, vpc_id: &VpcId) -> Result<(), StoreError> {
        self.change("vpcs", "DELETE FROM vpcs WHERE vpc_id = ?", [P(vpc_id)])
    }

    /// Removes a VSwitch.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] when instances or endpoints are in it.
    pub fn delete_vswitch(&self, vswitch_id: &VSwitchId) -> Result<(), StoreError> {
        self.change(
            "vswitches",
            "DELETE FROM vswitches WHERE vswitch_id = ?",
            [P(vswitch_id)],
        )
    }
}
