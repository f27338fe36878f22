//! The first start: a default tenant with an access key, a default VPC and VSwitch.

use jiff::Timestamp;
use openpeta_store::{AccessKey, AccessKeyStatus, Reader, Store, Tenant, VSwitch, Vpc};
use openpeta_types::{AccessKeyId, AccountId, Secret, VSwitchId, VpcId};

use crate::{ControlError, NetworkConfig, random};

/// Name of the default tenant.
const DEFAULT_TENANT: &str = "default";
/// Region and zone of the default VPC, and of orders that name none in the CLI.
const DEFAULT_REGION: &str = "cn-hangzhou";
const DEFAULT_ZONE: &str = "cn-hangzhou-b";
/// Balance of a new tenant, in cents: enough for anything.
pub(crate) const NEW_TENANT_BALANCE_CENTS: i64 = 100_000_000;

/// What clients on this machine need to call the service as the default tenant.
#[derive(Clone, Debug)]
pub struct DefaultTenant {
    /// The tenant.
    pub account_id: AccountId,
    /// Its oldest access key.
    pub access_key_id: AccessKeyId,
    /// The key's secret half.
    pub access_key_secret: Secret,
    /// Region for orders that name none.
    pub region_id: &'static str,
    /// Zone for orders that name none.
    pub zone_id: &'static str,
    /// The default VPC.
    pub vpc_id: VpcId,
    /// The default VSwitch.
    pub vswitch_id: VSwitchId,
    /// Whether this start made them.
    pub is_new: bool,
}

/// Makes what is missing of the default tenant, VPC and VSwitch.
///
/// # Errors
/// [`ControlError`] when the store fails or the configured address blocks are not valid.
pub(crate) fn bootstrap(
    store: &Store,
    network: &NetworkConfig,
    now: Timestamp,
) -> Result<DefaultTenant, ControlError> {
    store.write(|writer| {
        let tenant = writer
            .tenants()?
            .into_iter()
            .find(|tenant| tenant.name == DEFAULT_TENANT);
        let is_new = tenant.is_none();
        let tenant = match tenant {
            Some(tenant) => tenant,
            None => {
                let tenant = new_tenant(DEFAULT_TENANT, now)?;
                writer.insert_tenant(&tenant)?;
                tenant
            }
        };
        let account_id = tenant.account_id;
        let key = match usable_key(writer, account_id)? {
            Some(key) => key,
            None => {
                let key = new_access_key(account_id, None, now)?;
                writer.insert_access_key(&key)?;
                key
            }
        };
        let shared = writer
            .vpcs()?
            .into_iter()
            .find(|vpc| vpc.name == DEFAULT_TENANT);
        let vpc = match shared {
            Some(vpc) => vpc,
            None => {
                let vpc = default_vpc(network)?;
                writer.insert_vpc(&vpc)?;
                vpc
            }
        };
        let known = writer.vswitches(&vpc.vpc_id)?.into_iter().next();
        let vswitch = match known {
            Some(vswitch) => vswitch,
            None => {
                let vswitch = default_vswitch(network, &vpc.vpc_id)?;
                writer.insert_vswitch(&vswitch)?;
                vswitch
            }
        };
        Ok(DefaultTenant {
            account_id,
            access_key_id: key.access_key_id,
            access_key_secret: key.secret,
            region_id: DEFAULT_REGION,
            zone_id: DEFAULT_ZONE,
            vpc_id: vpc.vpc_id,
            vswitch_id: vswitch.vswitch_id,
            is_new,
        })
    })
}

/// A tenant that may order.
pub(crate) fn new_tenant(name: &str, now: Timestamp) -> Result<Tenant, ControlError> {
    Ok(Tenant {
        account_id: AccountId::from_random(random::bytes()?),
        name: name.to_owned(),
        balance_cents: NEW_TENANT_BALANCE_CENTS,
        real_name_verified: true,
        finance: false,
        instance_quota: None,
        database_quota: None,
        account_quota: None,
        created_at: now,
    })
}

/// A permanent access key of a tenant or one of its RAM users.
pub(crate) fn new_access_key(
    account_id: AccountId,
    ram_user: Option<String>,
    now: Timestamp,
) -> Result<AccessKey, ControlError> {
    let id = format!("LTAI{}", random::alphanumeric::<20>()?);
    Ok(AccessKey {
        access_key_id: AccessKeyId::parse(&id).map_err(ControlError::internal)?,
        account_id,
        ram_user,
        secret: Secret::new(random::alphanumeric::<30>()?),
        status: AccessKeyStatus::Active,
        sts: None,
        created_at: now,
    })
}

/// The tenant's own oldest permanent key that works.
fn usable_key(
    reader: &Reader<'_>,
    account_id: AccountId,
) -> Result<Option<AccessKey>, ControlError> {
    let usable = |key: &AccessKey| {
        key.ram_user.is_none() && key.sts.is_none() && key.status == AccessKeyStatus::Active
    };
    Ok(reader.access_keys(account_id)?.into_iter().find(usable))
}

fn default_vpc(network: &NetworkConfig) -> Result<Vpc, ControlError> {
    Ok(Vpc {
        vpc_id: VpcId::from_random(random::bytes()?),
        account_id: None,
        region_id: DEFAULT_REGION.to_owned(),
        cidr: network
            .default_vpc_cidr
            .parse()
            .map_err(ControlError::internal)?,
        name: DEFAULT_TENANT.to_owned(),
    })
}

fn default_vswitch(network: &NetworkConfig, vpc_id: &VpcId) -> Result<VSwitch, ControlError> {
    Ok(VSwitch {
        vswitch_id: VSwitchId::from_random(random::bytes()?),
        vpc_id: vpc_id.clone(),
        zone_id: DEFAULT_ZONE.to_owned(),
        cidr: network
            .default_vswitch_cidr
            .parse()
            .map_err(ControlError::internal)?,
        name: DEFAULT_TENANT.to_owned(),
    })
}
