//! What calls are allowed and shown is what the policies' statements, read one by one, say.

use std::net::IpAddr;

use jiff::Timestamp;
use openpeta_rpc_api::Action;
use openpeta_store::{
    Instance, InstanceFilter, PolicyAttachment, RamUser, Store, StoreError, Tenant, Writer,
};
use openpeta_types::{
    AccessKeyId, AccountId, ChargeType, InstanceId, LockMode, NetworkType, ObjectStatus,
    POSTPAID_EXPIRY, RequestId, Tag, TagKey, TagValue,
};
use proptest::prelude::*;

use super::policy::Policy;
use super::{Permission, PolicyCache, Resource, action_name, request};
use crate::Caller;

const TENANTS: [u64; 2] = [1_000_000_000_000_001, 1_000_000_000_000_002];
const USERS: [&str; 2] = ["ann", "bob"];
const REGIONS: [&str; 2] = ["cn-hangzhou", "cn-beijing"];
const ACTIONS: [Action; 3] = [
    Action::DescribeInstances,
    Action::DescribeDatabaseList,
    Action::ListTagResources,
];

/// A store of two tenants with two users each, who have the same names.
fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = Store::open(directory.path()).expect("a new store");
    let now = Timestamp::UNIX_EPOCH;
    write(&store, |writer| {
        for number in TENANTS {
            let account_id = AccountId::from_number(number);
            writer.insert_tenant(&Tenant {
                account_id,
                name: format!("tenant {number}"),
                balance_cents: 0,
                real_name_verified: false,
                finance: false,
                instance_quota: None,
                database_quota: None,
                account_quota: None,
                created_at: now,
            })?;
            for user in USERS {
                writer.insert_ram_user(&RamUser {
                    account_id,
                    user_name: user.into(),
                    created_at: now,
                })?;
            }
        }
        Ok(())
    });
    (directory, store)
}

fn write(store: &Store, write: impl FnOnce(&Writer<'_>) -> Result<(), StoreError>) {
    store.write(write).expect("the store works");
}

fn instance_id(number: u64) -> InstanceId {
    InstanceId::parse(&format!("pd-{number}")).expect("an id")
}

fn instance(tenant: usize, number: u64) -> Instance {
    Instance {
        instance_id: instance_id(number),
        account_id: AccountId::from_number(TENANTS[tenant]),
        name: None,
        region_id: REGIONS[0].into(),
        zone_id: "cn-hangzhou-b".into(),
        network_type: NetworkType::Classic,
        vpc_id: None,
        vswitch_id: None,
        charge_type: ChargeType::PostPaid,
        status: ObjectStatus::Active,
        lock_mode: LockMode::Unlock,
        lock_reason: None,
        node_id: None,
        created_at: Timestamp::UNIX_EPOCH,
        expires_at: POSTPAID_EXPIRY,
        release_at: None,
        business_unit: None,
    }
}

fn move_instance(writer: &Writer<'_>, number: u64, region: &str) -> Result<(), StoreError> {
    match writer.instance(&instance_id(number))? {
        Some(instance) => writer.update_instance(&Instance {
            region_id: region.into(),
            ..instance
        }),
        None => Ok(()),
    }
}

fn attachment(tenant: usize, user: &str, name: &str, statements: &str) -> PolicyAttachment {
    PolicyAttachment {
        account_id: AccountId::from_number(TENANTS[tenant]),
        user_name: user.into(),
        policy_name: name.into(),
        document: format!(r#"{{"Version":"1","Statement":[{statements}]}}"#),
    }
}

fn caller(tenant: usize, user: &str, source_ip: &str, now: &str) -> Caller {
    Caller {
        account_id: AccountId::from_number(TENANTS[tenant]),
        ram_user: Some(user.into()),
        access_key_id: AccessKeyId::parse("none").expect("an id"),
        source_ip: source_ip.parse::<IpAddr>().expect("an address"),
        secure_transport: source_ip.ends_with('3'),
        user_agent: String::new(),
        request_id: RequestId::from_random([0; 16]),
        now: now.parse().expect("a time"),
        trace: None,
    }
}

/// What a listing shows, newest first; `None` when it is refused.
fn shown(
    store: &Store,
    cache: &PolicyCache,
    caller: &Caller,
    action: Action,
) -> Option<Vec<String>> {
    let permission = Permission::of(cache, store, caller, action).expect("valid policies");
    let filter = InstanceFilter {
        visible: permission.for_instances().ok()?,
        ..InstanceFilter::default()
    };
    let (total, page) = store.instance_page(caller.account_id, &filter, 0, 100);
    assert_eq!(total, page.len() as u64);
    let ids = page
        .iter()
        .map(|detail| detail.instance.instance_id.to_string());
    Some(ids.collect())
}

/// Compares what a caller may do and see with what the policies say, statement by statement.
fn compare(store: &Store, cache: &PolicyCache, caller: &Caller, policy: &Policy) {
    let instances = store.read(|reader| reader.instances());
    let instances = instances.expect("the store works");
    for action in ACTIONS {
        let name = action_name(action);
        let account = caller.account_id.to_string();
        let decide = |region: &str, instance: &str| {
            let resource = Resource {
                region,
                account: &account,
                instance,
            };
            policy.decide(&request(caller, &name), &resource).is_allowed
        };
        let permission = Permission::of(cache, store, caller, action).expect("valid policies");
        for instance in ["*", "pd-0", "pd-1", "pd-12", "pd-none"] {
            for region in ["*", REGIONS[0], REGIONS[1]] {
                let checked = permission.check(region, instance).is_ok();
                assert_eq!(checked, decide(region, instance), "{region} {instance}");
            }
        }
        let own = instances
            .iter()
            .filter(|i| i.account_id == caller.account_id);
        let allowed = own.filter(|i| decide(&i.region_id, i.instance_id.as_str()));
        let allowed: Vec<_> = allowed.rev().map(|i| i.instance_id.to_string()).collect();
        // Who may do nothing is refused; who may do it to something else sees nothing.
        let shown = shown(store, cache, caller, action).unwrap_or_default();
        assert_eq!(shown, allowed, "{name} of {caller:?}");
    }
}

/// A change to what users are allowed or to what there is.
#[derive(Clone, Debug)]
enum Change {
    Attach(PolicyAttachment),
    Detach(PolicyAttachment),
    Insert(Instance),
    Delete(u64),
    Move(u64, &'static str),
    Tag(u64),
}

fn apply(writer: &Writer<'_>, change: &Change) -> Result<(), StoreError> {
    let made = match change {
        Change::Attach(policy) => writer.attach_policy(policy),
        Change::Detach(policy) => {
            let (account_id, user) = (policy.account_id, &policy.user_name);
            writer.detach_policy(account_id, user, &policy.policy_name)
        }
        Change::Insert(instance) => writer.insert_instance(instance),
        Change::Delete(number) => writer.delete_instance(&instance_id(*number)),
        Change::Move(number, region) => move_instance(writer, *number, region),
        Change::Tag(number) => writer.put_tag(
            &instance_id(*number),
            &Tag {
                key: TagKey::parse("team").expect("a key"),
                value: TagValue::default(),
            },
        ),
    };
    match made {
        Err(StoreError::Conflict { .. } | StoreError::NotFound { .. }) => Ok(()),
        made => made,
    }
}

fn any_of(texts: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(texts)
}

fn resource() -> impl Strategy<Value = String> {
    let region = any_of(&["*", "cn-*", "cn-hangzhou", "cn-beijing", "*ing"]);
    let account = any_of(&["*", "1000000000000001", "1000000000000002", "1*2", "7"]);
    let instance = any_of(&["*", "*", "pd-0", "pd-1", "pd-12", "pd-1*", "pd-?", "*2"]);
    prop_oneof![
        6 => (region, account, instance).prop_map(|(region, account, instance)| {
            format!("acs:petadata:{region}:{account}:dbinstance/{instance}")
        }),
        1 => Just("*".to_owned()),
        1 => Just("acs:rds:*:*:dbinstance/*".to_owned()),
    ]
}

fn statement() -> impl Strategy<Value = String> {
    let effect = any_of(&["Allow", "Allow", "Deny"]);
    let action = any_of(&[
        r#""Action":"petadata:*""#,
        r#""Action":"petadata:Describe*""#,
        r#""Action":["rds:*","PETADATA:listtagresources"]"#,
        r#""Action":"*""#,
        r#""NotAction":"petadata:Describe*""#,
        r#""NotAction":["petadata:DescribeInstances","rds:*"]"#,
    ]);
    let condition = any_of(&[
        "{}",
        "{}",
        "{}",
        r#"{"IpAddress":{"acs:SourceIp":["10.0.0.0/8"]}}"#,
        r#"{"NotIpAddress":{"acs:SourceIp":"10.1.2.3"}}"#,
        r#"{"Bool":{"acs:SecureTransport":"true"}}"#,
        r#"{"DateLessThan":{"acs:CurrentTime":"2026-01-01T00:00:00Z"}}"#,
        r#"{"Bool":{"acs:SecureTransport":"false"},"IpAddress":{"acs:SourceIp":"10.1.2.4"}}"#,
    ]);
    let resources = prop::collection::vec(resource(), 1..4);
    (effect, action, resources, condition).prop_map(|(effect, action, resources, condition)| {
        let resources = resources.join(r#"",""#);
        format!(
            r#"{{"Effect":"{effect}",{action},"Resource":["{resources}"],"Condition":{condition}}}"#
        )
    })
}

fn policy() -> impl Strategy<Value = PolicyAttachment> {
    let statements = prop::collection::vec(statement(), 1..6);
    (0..2_usize, any_of(&USERS), any_of(&["p", "q"]), statements).prop_map(
        |(tenant, user, name, statements)| attachment(tenant, user, name, &statements.join(",")),
    )
}

fn change() -> impl Strategy<Value = Change> {
    let number = || prop::sample::select(&[0_u64, 1, 2, 11, 12, 22][..]);
    prop_oneof![
        4 => policy().prop_map(Change::Attach),
        1 => policy().prop_map(Change::Detach),
        4 => (0..2_usize, number()).prop_map(|(tenant, number)| Change::Insert(instance(tenant, number))),
        1 => number().prop_map(Change::Delete),
        2 => (number(), any_of(&REGIONS)).prop_map(|(number, region)| Change::Move(number, region)),
        1 => number().prop_map(Change::Tag),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    /// One cache sees it all, as the one of a service does.
    #[test]
    fn what_is_remembered_decides_as_the_statements_do(
        transactions in prop::collection::vec(prop::collection::vec(change(), 1..6), 1..8)
    ) {
        let (_directory, store) = store();
        let cache = PolicyCache::default();
        for changes in transactions {
            write(&store, |writer| changes.iter().try_for_each(|change| apply(writer, change)));
            for (tenant, user) in [(0, "ann"), (0, "bob"), (1, "ann"), (1, "bob")] {
                let attached = store.policies(AccountId::from_number(TENANTS[tenant]), user);
                let documents = attached.iter().map(|policy| &policy.document);
                let policies = documents.map(|text| Policy::parse(text).expect("valid"));
                let policy = Policy::join(policies);
                for source_ip in ["10.1.2.3", "10.1.2.4", "192.168.0.3"] {
                    for now in ["2025-12-31T00:00:00Z", "2026-01-02T00:00:00Z"] {
                        compare(&store, &cache, &caller(tenant, user, source_ip, now), &policy);
                    }
                }
            }
        }
    }
}

#[test]
fn a_change_counts_from_the_next_call_on() {
    let (_directory, store) = store();
    let cache = PolicyCache::default();
    let ann = caller(0, "ann", "10.1.2.3", "2026-01-02T00:00:00Z");
    let seen = || shown(&store, &cache, &ann, Action::DescribeInstances);
    let is = |ids: &[&str]| Some(ids.iter().map(ToString::to_string).collect());
    write(&store, |writer| {
        writer.insert_instance(&instance(0, 1))?;
        writer.insert_instance(&instance(0, 2))?;
        writer.insert_instance(&instance(1, 3))
    });
    assert_eq!(seen(), None, "nothing is attached");

    let allow =
        r#"{"Effect":"Allow","Action":"*","Resource":"acs:petadata:cn-hangzhou:*:dbinstance/*"}"#;
    let deny = r#"{"Effect":"Deny","Action":"*","Resource":"acs:petadata:*:*:dbinstance/pd-2"}"#;
    let attach = |name, statements: &str| {
        let policy = attachment(0, "ann", name, statements);
        write(&store, |writer| writer.attach_policy(&policy));
    };
    attach("reads", allow);
    assert_eq!(seen(), is(&["pd-2", "pd-1"]), "attached");
    attach("reads", &format!("{allow},{deny}"));
    assert_eq!(seen(), is(&["pd-1"]), "changed");
    attach("reads", allow);
    attach("more", deny);
    assert_eq!(seen(), is(&["pd-1"]), "two");
    write(&store, |writer| {
        writer.detach_policy(ann.account_id, "ann", "more")
    });
    assert_eq!(seen(), is(&["pd-2", "pd-1"]), "one detached");

    write(&store, |writer| move_instance(writer, 1, "cn-beijing"));
    assert_eq!(seen(), is(&["pd-2"]), "moved out of the region");
    write(&store, |writer| writer.insert_instance(&instance(0, 4)));
    assert_eq!(seen(), is(&["pd-4", "pd-2"]), "created");
    write(&store, |writer| writer.delete_instance(&instance_id(2)));
    assert_eq!(seen(), is(&["pd-4"]), "deleted");

    write(&store, |writer| {
        writer.detach_policy(ann.account_id, "ann", "reads")
    });
    assert_eq!(seen(), None, "detached");
}
