//! Prepares a measurement of the API: fills a data directory with instances, or signs many
//! calls in advance so that the load generator does nothing but send them.
//!
//! `api_load populate DIR COUNT` — once a service has made the directory and is stopped again
//! `api_load sign DIR ACTION COUNT` — one query a line on standard output

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::io::{BufWriter, Write};
use std::path::Path;

use jiff::Timestamp;
use openpeta_rpc_api::{Credentials, Format, V1Request, signed_form_v1};
use openpeta_store::{Database, Endpoint, Instance, Store};
use openpeta_types::{
    ChargeType, DbName, EndpointId, EndpointType, InstanceId, InstanceName, LockMode, NetworkType,
    NodeSpecCatalogue, ObjectStatus, POSTPAID_EXPIRY,
};

const REGION: &str = "cn-hangzhou";
const ZONE: &str = "cn-hangzhou-b";
const SPEC: &str = "petadata.s2.xlarge";
/// Endpoints lie on addresses of their own, so that ports do not run out.
const FIRST_PORT: u32 = 20_000;
const PORTS: u32 = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["populate", dir, count] => populate(Path::new(dir), count.parse()?),
        ["sign", dir, action, count] => sign(Path::new(dir), action, count.parse()?),
        _ => Err("usage: api_load populate DIR COUNT | api_load sign DIR ACTION COUNT".into()),
    }
}

fn instance_id(index: u32) -> Result<InstanceId, Box<dyn Error>> {
    Ok(InstanceId::parse(&format!("pd-load{index:010}"))?)
}

/// Adds instances of the default tenant, each with a database and an endpoint, without nodes.
fn populate(dir: &Path, count: u32) -> Result<(), Box<dyn Error>> {
    let store = Store::open(dir)?;
    let specs = NodeSpecCatalogue::default();
    let (spec, _) = specs.find(SPEC).ok_or("no such node spec")?;
    store.write(|writer| -> Result<(), Box<dyn Error>> {
        let tenants = writer.tenants()?;
        let account_id = tenants
            .first()
            .ok_or("no tenant; start the service once")?
            .account_id;
        let now = Timestamp::now();
        for index in 0..count {
            let instance_id = instance_id(index)?;
            writer.insert_instance(&Instance {
                instance_id: instance_id.clone(),
                account_id,
                name: Some(InstanceName::parse(&format!("load-{index}"))?),
                region_id: REGION.into(),
                zone_id: ZONE.into(),
                network_type: NetworkType::Classic,
                vpc_id: None,
                vswitch_id: None,
                charge_type: ChargeType::PostPaid,
                status: ObjectStatus::Active,
                lock_mode: LockMode::Unlock,
                lock_reason: None,
                node_id: None,
                created_at: now,
                expires_at: POSTPAID_EXPIRY,
            })?;
            writer.insert_database(&Database {
                instance_id: instance_id.clone(),
                db_name: DbName::parse("app")?,
                node_spec: spec.clone(),
                node_number: 1,
                charge_type: ChargeType::PostPaid,
                status: ObjectStatus::Active,
                created_at: now,
                expires_at: POSTPAID_EXPIRY,
                source_instance_id: None,
            })?;
            let address = format!("127.8.0.{}", index / PORTS + 1);
            writer.insert_endpoint(&Endpoint {
                endpoint_id: EndpointId::parse(&format!("ep-load{index:010}"))?,
                instance_id,
                endpoint_type: EndpointType::Internal,
                connection_string: address.clone(),
                address: address.parse()?,
                port: u16::try_from(FIRST_PORT + index % PORTS)?,
                vpc_id: None,
                vswitch_id: None,
                expires_at: None,
            })?;
        }
        Ok(())
    })
}

/// Signs calls as the default tenant: pages of 50 for lists, random instances for the rest.
fn sign(dir: &Path, action: &str, count: u64) -> Result<(), Box<dyn Error>> {
    let credentials: serde_json::Value =
        serde_json::from_slice(&std::fs::read(dir.join("credentials.json"))?)?;
    let text = |name: &str| {
        credentials[name]
            .as_str()
            .ok_or("incomplete credentials.json")
    };
    let credentials = Credentials {
        access_key_id: text("access_key_id")?,
        access_key_secret: text("access_key_secret")?,
        security_token: None,
    };
    let instances = {
        let store = Store::open(dir).map_err(|_| "sign before the service is started")?;
        store.read(|reader| reader.instances())?
    };
    let pages = (instances.len() / 50).max(1) as u64;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for index in 0..count {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let page = (random % pages + 1).to_string();
        let instance = &instances[(random % instances.len() as u64) as usize].instance_id;
        let list = [
            ("RegionId", REGION),
            ("PageSize", "50"),
            ("PageNumber", page.as_str()),
        ];
        let one = [("InstanceId", instance.as_str())];
        let parameters = if action == "DescribeInstances" {
            &list[..]
        } else {
            &one[..]
        };
        let query = signed_form_v1(&V1Request {
            method: "GET",
            action,
            parameters,
            format: Format::Json,
            credentials,
            timestamp: Timestamp::now(),
            nonce: &format!("{}-{index}", std::process::id()),
        })?;
        writeln!(out, "{query}")?;
    }
    Ok(out.flush()?)
}
