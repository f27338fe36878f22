//! Rows to test with.

#![allow(dead_code, reason = "each test file uses its part")]

use std::net::{IpAddr, Ipv4Addr};

use jiff::Timestamp;
use openpeta_store::{
    AccessKey, AccessKeyStatus, Account, Database, Endpoint, EndpointState, Instance, Node,
    NodeState, RamUser, SessionToken, Store, StoreError, Tenant, VSwitch, Vpc, Writer,
};
use openpeta_types::route::AccountLogin;
use openpeta_types::{
    AccessKeyId, AccountDescription, AccountId, AccountName, AccountStatus, AccountType,
    BusinessUnit, ChargeType, DbName, EndpointId, EndpointType, InstanceId, InstanceName, LockMode,
    NetworkType, NodeId, NodeSpecCatalogue, ObjectStatus, Secret, VSwitchId, VpcId,
};

/// A store in a directory of its own.
pub fn open() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    (directory, store)
}

/// A write transaction that must succeed.
pub fn write<T>(store: &Store, write: impl FnOnce(&Writer<'_>) -> Result<T, StoreError>) -> T {
    store.write(write).unwrap()
}

/// Whole backup sets that were proven, could not be restored, were not tried; the last proof.
pub fn proofs(store: &Store) -> (u32, u32, u32, Option<Timestamp>) {
    let its = store.read(|reader| reader.proof_totals()).unwrap();
    (its.proven, its.failed, its.untried, its.last_proven)
}

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

pub fn account_id(number: u64) -> AccountId {
    AccountId::from_number(1_000_000_000_000_000 + number)
}

pub fn tenant(number: u64) -> Tenant {
    Tenant {
        account_id: account_id(number),
        name: format!("tenant-{number}"),
        balance_cents: 12_345,
        real_name_verified: true,
        finance: false,
        instance_quota: Some(30),
        database_quota: None,
        account_quota: None,
        created_at: at(0),
    }
}

pub fn ram_user(tenant: u64, name: &str) -> RamUser {
    RamUser {
        account_id: account_id(tenant),
        user_name: name.into(),
        created_at: at(1),
    }
}

pub fn access_key(tenant: u64, id: &str) -> AccessKey {
    AccessKey {
        access_key_id: AccessKeyId::parse(id).unwrap(),
        account_id: account_id(tenant),
        ram_user: None,
        secret: Secret::new(format!("{id}-the-secret-half")),
        status: AccessKeyStatus::Active,
        sts: None,
        created_at: at(2),
    }
}

pub fn temporary_key(tenant: u64, id: &str, user: &str, expires_at: Timestamp) -> AccessKey {
    AccessKey {
        ram_user: Some(user.into()),
        sts: Some(SessionToken {
            token: Secret::new(format!("{id}-the-session-token")),
            expires_at,
        }),
        ..access_key(tenant, id)
    }
}

pub fn vpc() -> Vpc {
    Vpc {
        vpc_id: VpcId::parse("vpc-a").unwrap(),
        account_id: None,
        region_id: "cn-hangzhou".into(),
        cidr: "127.16.0.0/16".parse().unwrap(),
        name: "default".into(),
    }
}

pub fn vswitch(cidr: &str) -> VSwitch {
    VSwitch {
        vswitch_id: VSwitchId::parse("vsw-a").unwrap(),
        vpc_id: vpc().vpc_id,
        zone_id: "cn-hangzhou-b".into(),
        cidr: cidr.parse().unwrap(),
        name: "default".into(),
    }
}

pub fn instance_id(number: u64) -> InstanceId {
    InstanceId::parse(&format!("pd-{number}")).unwrap()
}

pub fn instance(tenant: u64, number: u64) -> Instance {
    Instance {
        instance_id: instance_id(number),
        account_id: account_id(tenant),
        name: Some(InstanceName::parse(&format!("实例 {number}")).unwrap()),
        region_id: "cn-hangzhou".into(),
        zone_id: "cn-hangzhou-b".into(),
        network_type: NetworkType::Classic,
        vpc_id: None,
        vswitch_id: None,
        charge_type: ChargeType::PostPaid,
        status: ObjectStatus::Create,
        lock_mode: LockMode::Unlock,
        lock_reason: None,
        node_id: None,
        created_at: at(10),
        expires_at: at(20),
        release_at: None,
        business_unit: Some(BusinessUnit::parse("零售").unwrap()),
    }
}

pub fn db(name: &str) -> DbName {
    DbName::parse(name).unwrap()
}

pub fn database(instance: u64, name: &str, charge_type: ChargeType) -> Database {
    let catalogue = NodeSpecCatalogue::default();
    let (spec, settings) = catalogue.find("petadata.s2.xlarge").unwrap();
    Database {
        instance_id: instance_id(instance),
        db_name: db(name),
        node_spec: spec.clone(),
        settings: settings.clone(),
        node_number: 1,
        charge_type,
        status: ObjectStatus::Active,
        created_at: at(11),
        expires_at: at(21),
        source_instance_id: None,
    }
}

pub fn node(number: u64, instance: Option<u64>) -> Node {
    let catalogue = NodeSpecCatalogue::default();
    let (spec, settings) = catalogue.find("petadata.s2.large").unwrap();
    Node {
        node_id: NodeId::parse(&format!("nd-{number}")).unwrap(),
        instance_id: instance.map(instance_id),
        number: 0,
        node_spec: instance.map(|_| spec.clone()),
        settings: settings.clone(),
        state: NodeState::Creating,
        restarts: 0,
        created_at: at(12),
    }
}

pub fn endpoint(name: &str, instance: u64, kind: EndpointType, port: u16) -> Endpoint {
    Endpoint {
        endpoint_id: EndpointId::parse(&format!("ep-{name}")).unwrap(),
        instance_id: instance_id(instance),
        endpoint_type: kind,
        connection_string: "127.0.0.1".into(),
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        port,
        vpc_id: None,
        vswitch_id: None,
        state: EndpointState::Active,
        prefix: None,
        expires_at: None,
    }
}

pub fn account_name(name: &str) -> AccountName {
    AccountName::parse_lookup(name).unwrap()
}

pub fn account(instance: u64, name: &str) -> Account {
    Account {
        instance_id: instance_id(instance),
        name: account_name(name),
        account_type: AccountType::Normal,
        status: AccountStatus::Active,
        description: Some(AccountDescription::parse("测试账号").unwrap()),
        login: AccountLogin {
            native: *b"native-verifier-20-b",
            sha2: *b"sha2-verifier-of-32-bytes-length",
            backend_password: Secret::new("the-backend-password"),
        },
        created_at: at(13),
    }
}

/// Moves an instance to the other region, or back.
pub fn move_instance(writer: &Writer<'_>, number: u64, away: bool) -> Result<(), StoreError> {
    let Some(instance) = writer.instance(&instance_id(number))? else {
        return Ok(());
    };
    let region_id = if away { "cn-beijing" } else { "cn-hangzhou" }.to_owned();
    writer.update_instance(&Instance {
        region_id,
        ..instance
    })
}

/// A caller that sees the even ones, and only in one region.
pub fn sees_even_ones(id: &InstanceId, region: &str) -> bool {
    region == "cn-hangzhou" && id.as_str().ends_with(['0', '2', '4', '6', '8'])
}

/// A store with a tenant and an instance of it.
pub fn with_instance() -> (tempfile::TempDir, Store) {
    let (directory, store) = open();
    write(&store, |writer| {
        writer.insert_tenant(&tenant(1))?;
        writer.insert_instance(&instance(1, 1))
    });
    (directory, store)
}

/// Why a write is refused.
pub fn refused<T: std::fmt::Debug>(
    store: &Store,
    write: impl FnOnce(&Writer<'_>) -> Result<T, StoreError>,
) -> StoreError {
    store.write(write).unwrap_err()
}
