//! Tags as tenants and their users see them.

use openpeta_rpc_api::tags::{
    ListTagResourcesRequest, ListTagResourcesResponse, TagResourcesRequest, UntagResourcesRequest,
};
use openpeta_rpc_api::{Action, ApiRequest, Params};
use openpeta_store::{PolicyAttachment, RamUser};
use openpeta_types::{AccountId, ChargeType, InstanceId, ObjectStatus, POSTPAID_EXPIRY};

use crate::testing::{TestEngine, World};
use crate::{Caller, ControlError, MutatingCall};

/// Adds instances that exist in the store alone.
fn seed(world: &World, account_id: AccountId, count: usize, prefix: &str) -> Vec<InstanceId> {
    let add = |number| {
        let id = format!("pd-{prefix}{number}");
        let now = jiff::Timestamp::now();
        world.seed(account_id, &id, ChargeType::PostPaid, now, POSTPAID_EXPIRY)
    };
    (0..count).map(add).collect()
}

/// A RAM user of the default tenant that may do what the statements say.
fn user(world: &World, statements: &str) -> Caller {
    let account_id = world.tenant.account_id;
    let added = world.parts.store.write(|writer| {
        writer.insert_ram_user(&RamUser {
            account_id,
            user_name: "bob".into(),
            created_at: jiff::Timestamp::now(),
        })?;
        writer.attach_policy(&PolicyAttachment {
            account_id,
            user_name: "bob".into(),
            policy_name: "p".into(),
            document: format!(r#"{{"Version":"1","Statement":[{statements}]}}"#),
        })
    });
    added.expect("the store works");
    Caller {
        ram_user: Some("bob".into()),
        ..world.caller()
    }
}

fn request<R: ApiRequest>(ids: &[&str], others: &[(&str, &str)]) -> R {
    let numbered: Vec<_> = ids
        .iter()
        .enumerate()
        .map(|(index, id)| (format!("ResourceId.{}", index + 1), (*id).to_owned()))
        .collect();
    let mut pairs = vec![("RegionId", "cn-hangzhou"), ("ResourceType", "dbinstance")];
    pairs.retain(|(name, _)| others.iter().all(|(other, _)| other != name));
    pairs.extend(others);
    pairs.extend(
        numbered
            .iter()
            .map(|(name, id)| (name.as_str(), id.as_str())),
    );
    let params = Params::from_pairs(pairs).expect("unique names");
    R::from_params(&params).expect("well formed")
}

fn tag(
    world: &World,
    caller: &Caller,
    ids: &[&str],
    others: &[(&str, &str)],
) -> Result<(), String> {
    let call = call(world, caller, Action::TagResources);
    let request: TagResourcesRequest = request(ids, others);
    let tagged = world.control.tag_resources(&call, &request);
    tagged.map(drop).map_err(code)
}

fn untag(
    world: &World,
    caller: &Caller,
    ids: &[&str],
    others: &[(&str, &str)],
) -> Result<(), String> {
    let call = call(world, caller, Action::UntagResources);
    let request: UntagResourcesRequest = request(ids, others);
    let untagged = world.control.untag_resources(&call, &request);
    untagged.map(drop).map_err(code)
}

fn list(
    world: &World,
    caller: &Caller,
    ids: &[&str],
    others: &[(&str, &str)],
) -> Result<ListTagResourcesResponse, String> {
    let request: ListTagResourcesRequest = request(ids, others);
    world
        .control
        .list_tag_resources(caller, &request)
        .map_err(code)
}

fn call(world: &World, caller: &Caller, action: Action) -> MutatingCall {
    MutatingCall {
        caller: caller.clone(),
        ..world.call(action)
    }
}

fn code(error: ControlError) -> String {
    error.api.code.into_owned()
}

/// `id key=value` of each, in order.
fn shown(response: &ListTagResourcesResponse) -> Vec<String> {
    let line = |item: &openpeta_rpc_api::tags::TagResource| {
        format!("{} {}={}", item.resource_id, item.tag.key, item.tag.value)
    };
    response.tag_resources.iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_put_listed_replaced_and_taken_off() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let owner = world.caller();
    seed(&world, world.tenant.account_id, 2, "a");
    let both = ["pd-a0", "pd-a1"];
    let first = [
        ("Tag.1.Key", "team"),
        ("Tag.1.Value", "shop"),
        ("Tag.7.Key", "env"),
    ];
    tag(&world, &owner, &both, &first).expect("right");
    tag(
        &world,
        &owner,
        &both[1..],
        &[("Tag.1.Key", "team"), ("Tag.1.Value", "web")],
    )
    .expect("right");
    let everything = list(&world, &owner, &[], &[]).expect("right");
    let wanted = [
        "pd-a1 env=",
        "pd-a1 team=web",
        "pd-a0 env=",
        "pd-a0 team=shop",
    ];
    assert_eq!(shown(&everything), wanted);
    assert_eq!(everything.next_token, None);
    let shop = [("Tag.1.Key", "team"), ("Tag.1.Value", "shop")];
    let found = list(&world, &owner, &[], &shop).expect("right");
    assert_eq!(shown(&found), ["pd-a0 team=shop"]);
    let named = list(&world, &owner, &both, &shop).expect("right");
    assert_eq!(shown(&named), ["pd-a0 team=shop"]);

    untag(
        &world,
        &owner,
        &both,
        &[("TagKey.1", "env"), ("TagKey.2", "none")],
    )
    .expect("right");
    untag(&world, &owner, &both[..1], &[("All", "True")]).expect("right");
    let left = list(&world, &owner, &[], &[]).expect("right");
    assert_eq!(shown(&left), ["pd-a1 team=web"]);

    // They go with the instance, and another one of the same name has none.
    let id = InstanceId::parse("pd-a1").expect("an id");
    let deleted = world
        .parts
        .store
        .write(|writer| writer.delete_instance(&id));
    deleted.expect("the store works");
    assert_eq!(
        shown(&list(&world, &owner, &[], &[]).expect("right")).len(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn all_or_nothing_is_tagged_and_only_what_is_the_callers() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let owner = world.caller();
    let other = world.add_tenant("other");
    seed(&world, world.tenant.account_id, 2, "a");
    seed(&world, other, 1, "b");
    let team = [("Tag.1.Key", "team")];
    let missing = "InvalidDBInstanceId.NotFound";
    for ids in [["pd-a0", "pd-b0"], ["pd-a0", "pd-none"]] {
        assert_eq!(tag(&world, &owner, &ids, &team), Err(missing.into()));
        assert_eq!(
            untag(&world, &owner, &ids, &[("All", "true")]),
            Err(missing.into())
        );
        assert_eq!(list(&world, &owner, &ids, &[]), Err(missing.into()));
    }
    let elsewhere = [("RegionId", "cn-beijing"), ("Tag.1.Key", "team")];
    assert_eq!(
        tag(&world, &owner, &["pd-a0"], &elsewhere),
        Err(missing.into())
    );
    assert_eq!(
        list(&world, &owner, &["pd-a0"], &elsewhere),
        Err(missing.into())
    );
    let a1 = InstanceId::parse("pd-a1").expect("an id");
    let changed = world
        .parts
        .store
        .write(|writer| writer.set_instance_status(&a1, ObjectStatus::Modify));
    changed.expect("the store works");
    assert_eq!(
        tag(&world, &owner, &["pd-a0", "pd-a1"], &team),
        Err("OperationDenied.DBInstanceStatus".into())
    );
    assert_eq!(
        shown(&list(&world, &owner, &[], &[]).expect("right")).len(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_has_twenty_tags_at_most() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let owner = world.caller();
    seed(&world, world.tenant.account_id, 2, "a");
    let names: Vec<_> = (0..20).map(|n| format!("Tag.{}.Key", n + 1)).collect();
    let keys: Vec<_> = (0..20).map(|n| format!("k{n:02}")).collect();
    let all: Vec<_> = names
        .iter()
        .zip(&keys)
        .map(|(name, key)| (name.as_str(), key.as_str()))
        .collect();
    tag(&world, &owner, &["pd-a1"], &all).expect("right");
    tag(&world, &owner, &["pd-a1"], &all).expect("the same ones");
    let one_more = tag(&world, &owner, &["pd-a0", "pd-a1"], &[("Tag.1.Key", "new")]);
    assert_eq!(one_more, Err("QuotaExceeded.Tag".into()));
    let listed = list(&world, &owner, &[], &[]).expect("right");
    assert_eq!(shown(&listed).len(), 20, "and the other instance got none");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_tag_and_see_what_their_policies_allow() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let owner = world.caller();
    seed(&world, world.tenant.account_id, 3, "a");
    let team = [("Tag.1.Key", "team")];
    tag(&world, &owner, &["pd-a0", "pd-a1", "pd-a2"], &team).expect("right");
    let bob = user(
        &world,
        r#"{"Effect":"Allow","Action":"petadata:*Tag*","Resource":"acs:petadata:*:*:dbinstance/*"},
           {"Effect":"Deny","Action":"petadata:*Tag*","Resource":"acs:petadata:*:*:dbinstance/pd-a1"}"#,
    );
    let check = |action| world.control.check_permission(&bob, action, None, None);
    assert!(check(Action::TagResources).is_ok(), "something is allowed");
    assert!(check(Action::DescribePrice).is_err());
    let seen = list(&world, &bob, &[], &[]).expect("allowed");
    assert_eq!(shown(&seen), ["pd-a2 team=", "pd-a0 team="]);
    let forbidden = Err("Forbidden.RAM".to_owned());
    assert_eq!(
        list(&world, &bob, &["pd-a0", "pd-a1"], &[]).map(drop),
        forbidden
    );
    assert_eq!(tag(&world, &bob, &["pd-a0", "pd-a1"], &team), forbidden);
    assert_eq!(
        untag(&world, &bob, &["pd-a1"], &[("All", "true")]),
        forbidden
    );
    untag(&world, &bob, &["pd-a0"], &[("All", "true")]).expect("allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_and_tokens_are_bound_to_their_question() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let owner = world.caller();
    let ids = seed(&world, world.tenant.account_id, 120, "a");
    let names: Vec<_> = ids.iter().map(InstanceId::as_str).collect();
    let two = [("Tag.1.Key", "env"), ("Tag.2.Key", "team")];
    for chunk in names.chunks(50) {
        tag(&world, &owner, chunk, &two).expect("right");
    }
    let mut seen = Vec::new();
    let mut token: Option<String> = None;
    let mut pages = 0;
    loop {
        let given: Vec<_> = token.iter().map(|t| ("NextToken", t.as_str())).collect();
        let page = list(&world, &owner, &[], &given).expect("right");
        seen.extend(shown(&page));
        pages += 1;
        // What goes or comes in between moves nothing.
        if pages == 1 {
            let deleted = world
                .parts
                .store
                .write(|writer| writer.delete_instance(&ids[119]));
            deleted.expect("the store works");
            seed(&world, world.tenant.account_id, 1, "new");
            tag(&world, &owner, &["pd-new0"], &two).expect("right");
        }
        token = page.next_token;
        if token.is_none() {
            break;
        }
    }
    let wanted = ids.iter().rev();
    let wanted = wanted.flat_map(|id| [format!("{id} env="), format!("{id} team=")]);
    assert_eq!(seen, wanted.collect::<Vec<_>>());
    assert_eq!(pages, 3);

    let first = list(&world, &owner, &[], &[]).expect("right");
    let token = first.next_token.expect("there is more");
    let refused = Err("InvalidNextToken.Malformed".to_owned());
    let ask =
        |caller: &Caller, others: &[(&str, &str)]| list(&world, caller, &[], others).map(drop);
    let other_filter = [("NextToken", token.as_str()), ("Tag.1.Key", "env")];
    assert_eq!(ask(&owner, &other_filter), refused);
    let stranger = Caller {
        account_id: world.add_tenant("other"),
        ..owner.clone()
    };
    assert_eq!(ask(&stranger, &[("NextToken", &token)]), refused);
    let mut forged = token.clone().into_bytes();
    forged[3] ^= 1;
    let forged = String::from_utf8(forged).expect("ASCII");
    for bad in [forged.as_str(), "x", "AAAAAAAAAAA", "'", "ü"] {
        assert_eq!(ask(&owner, &[("NextToken", bad)]), refused, "{bad}");
    }
    assert_eq!(ask(&owner, &[("NextToken", &token)]), Ok(()));
}
