//! `openpeta admin vpc …` and `openpeta admin vswitch …`

use ipnet::Ipv4Net;
use openpeta_rpc_api::ApiError;
use openpeta_store::{StoreError, VSwitch, Vpc};
use openpeta_types::{AccountId, VSwitchId, VpcId, region, zone};
use serde_json::{Value, json};

use super::access_keys::check_owner;
use super::{AdminChange, in_use, not_found};
use crate::{Control, ControlError, random};

impl Control {
    pub(super) fn vpc_create(
        &self,
        change: &AdminChange,
        account_id: Option<AccountId>,
        region_id: &str,
        cidr: &str,
        name: Option<String>,
    ) -> Result<Value, ControlError> {
        region(region_id).ok_or_else(ApiError::region_not_found)?;
        let vpc = Vpc {
            vpc_id: VpcId::from_random(random::bytes()?),
            account_id,
            region_id: region_id.to_owned(),
            cidr: block(cidr, 8..=24)?,
            name: name.unwrap_or_default(),
        };
        self.parts.store.write(|writer| {
            if let Some(account_id) = account_id {
                check_owner(writer, account_id, None)?;
            }
            writer.insert_vpc(&vpc)?;
            change.record(writer, account_id, None)
        })?;
        Ok(vpc_row(&vpc))
    }

    pub(super) fn vpc_delete(
        &self,
        change: &AdminChange,
        vpc_id: &VpcId,
    ) -> Result<Value, ControlError> {
        self.parts.store.write(|writer| {
            let vpc = writer.vpc(vpc_id)?.ok_or_else(|| not_found("vpc_id"))?;
            if let Some(vswitch) = writer.vswitches(vpc_id)?.first() {
                let detail = format!("It has the VSwitch {}.", vswitch.vswitch_id);
                return Err(in_use("vpc_id", &detail));
            }
            writer.delete_vpc(vpc_id).map_err(referred_to("vpc_id"))?;
            change.record(writer, vpc.account_id, None)?;
            Ok(vpc_row(&vpc))
        })
    }

    pub(super) fn vpc_list(&self) -> Result<Value, ControlError> {
        let vpcs = self.parts.store.read(|reader| reader.vpcs())?;
        Ok(vpcs.iter().map(vpc_row).collect())
    }

    pub(super) fn vswitch_create(
        &self,
        change: &AdminChange,
        vpc_id: VpcId,
        zone_id: &str,
        cidr: &str,
        name: Option<String>,
    ) -> Result<Value, ControlError> {
        let vswitch = VSwitch {
            vswitch_id: VSwitchId::from_random(random::bytes()?),
            vpc_id,
            zone_id: zone_id.to_owned(),
            cidr: block(cidr, 16..=29)?,
            name: name.unwrap_or_default(),
        };
        self.parts.store.write(|writer| {
            let vpc = writer
                .vpc(&vswitch.vpc_id)?
                .ok_or_else(|| not_found("vpc_id"))?;
            zone(&vpc.region_id, zone_id).ok_or_else(ApiError::region_not_found)?;
            if !vpc.cidr.contains(&vswitch.cidr) {
                return Err(bad_block("It is not inside the VPC's."));
            }
            let others = writer.vswitches(&vpc.vpc_id)?;
            let overlaps = |other: &VSwitch| {
                other.cidr.contains(&vswitch.cidr) || vswitch.cidr.contains(&other.cidr)
            };
            if let Some(other) = others.iter().find(|other| overlaps(other)) {
                return Err(bad_block(&format!(
                    "It overlaps with {}.",
                    other.vswitch_id
                )));
            }
            writer.insert_vswitch(&vswitch)?;
            change.record(writer, vpc.account_id, None)
        })?;
        Ok(vswitch_row(&vswitch))
    }

    pub(super) fn vswitch_delete(
        &self,
        change: &AdminChange,
        vswitch_id: &VSwitchId,
    ) -> Result<Value, ControlError> {
        self.parts.store.write(|writer| {
            let vswitch = writer
                .vswitch(vswitch_id)?
                .ok_or_else(|| not_found("vswitch_id"))?;
            let vpc = writer.vpc(&vswitch.vpc_id)?;
            writer
                .delete_vswitch(vswitch_id)
                .map_err(referred_to("vswitch_id"))?;
            change.record(writer, vpc.and_then(|vpc| vpc.account_id), None)?;
            Ok(vswitch_row(&vswitch))
        })
    }

    pub(super) fn vswitch_list(&self) -> Result<Value, ControlError> {
        self.parts.store.read(|reader| {
            let mut rows = Vec::new();
            for vpc in reader.vpcs()? {
                rows.extend(reader.vswitches(&vpc.vpc_id)?.iter().map(vswitch_row));
            }
            Ok(Value::Array(rows))
        })
    }
}

/// Says that instances or endpoints are in a network which is to be deleted.
fn referred_to(what: &'static str) -> impl Fn(StoreError) -> ControlError {
    move |error| match error {
        StoreError::Conflict { .. } => in_use(what, "Instances are in it."),
        other => other.into(),
    }
}

/// Reads an address block with a prefix of that length and no host bits.
fn block(text: &str, prefixes: std::ops::RangeInclusive<u8>) -> Result<Ipv4Net, ControlError> {
    let block: Ipv4Net = text
        .parse()
        .map_err(|_| bad_block("It is not a CIDR block."))?;
    if block.trunc() != block || !prefixes.contains(&block.prefix_len()) {
        let (first, last) = (prefixes.start(), prefixes.end());
        return Err(bad_block(&format!(
            "It must have a prefix of {first} to {last} and no host bits."
        )));
    }
    Ok(block)
}

fn bad_block(detail: &str) -> ControlError {
    ApiError::invalid_parameter("cidr")
        .with_detail(detail)
        .into()
}

fn vpc_row(vpc: &Vpc) -> Value {
    json!({
        "vpc_id": vpc.vpc_id.as_str(),
        "account_id": vpc.account_id.map(|id| id.to_string()),
        "region_id": vpc.region_id,
        "cidr": vpc.cidr.to_string(),
        "name": vpc.name,
    })
}

fn vswitch_row(vswitch: &VSwitch) -> Value {
    json!({
        "vswitch_id": vswitch.vswitch_id.as_str(),
        "vpc_id": vswitch.vpc_id.as_str(),
        "zone_id": vswitch.zone_id,
        "cidr": vswitch.cidr.to_string(),
        "name": vswitch.name,
    })
}
