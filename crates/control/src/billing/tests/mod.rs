//! Orders with and without charges, and quotes.

mod locks;
mod usage;

use openpeta_rpc_api::orders::{DescribeCommodityRequest, DescribePriceRequest};
use openpeta_rpc_api::{Action, ApiRequest, Format, Params, render_response};
use openpeta_store::{Order, OrderFilter, Tenant};
use openpeta_types::{ChargeType, NodeSpecCatalogue, ObjectStatus};

use super::{Lot, Purchase, Sale};
use crate::testing::{TestEngine, World, order_request};
use crate::{BillingConfig, ControlConfig, ControlError};

/// What a PrePaid instance of the usual spec costs by the shipped list.
const YEAR: i64 = 1_468_800;

fn charging(engine: &TestEngine) -> World {
    let billing = BillingConfig {
        charge: true,
        ..BillingConfig::default()
    };
    let config = ControlConfig {
        billing,
        ..ControlConfig::default()
    };
    World::configured(engine, config)
}

fn balance(world: &World) -> i64 {
    tenant(world).balance_cents
}

fn tenant(world: &World) -> Tenant {
    let id = world.tenant.account_id;
    let found = world.parts.store.read(|reader| reader.tenant(id));
    found.expect("the store works").expect("it exists")
}

fn set_balance(world: &World, cents: i64) {
    let tenant = Tenant {
        balance_cents: cents,
        ..tenant(world)
    };
    let set = world
        .parts
        .store
        .write(|writer| writer.update_tenant(&tenant));
    set.expect("the store works");
}

fn orders(world: &World) -> Vec<Order> {
    let filter = OrderFilter::default();
    let orders = world.parts.store.read(|reader| reader.orders(&filter, 10));
    orders.expect("the store works")
}

fn create(world: &World, charge_type: &str) -> Result<openpeta_types::InstanceId, ControlError> {
    let call = world.call(Action::CreateInstance);
    let request = order_request(&[("ChargeType", charge_type)]);
    let response = world.control.create_instance(&call, &request)?;
    Ok(response.instance_id)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_charges_orders_say_what_they_cost_and_cost_nothing() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    set_balance(&world, 5);
    let instance_id = create(&world, "PrePaid").expect("right");
    assert_eq!(balance(&world), 5);
    let [order] = &orders(&world)[..] else {
        panic!("one order")
    };
    assert_eq!(order.order.instance_id, instance_id);
    assert_eq!(order.order.charge_type, Some(ChargeType::PrePaid));
    assert_eq!(order.order.currency.as_deref(), Some("CNY"));
    assert_eq!(
        (order.order.amount_cents, order.order.paid_cents),
        (YEAR, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn prepaid_orders_are_paid_at_once_or_refused() {
    let engine = TestEngine::new().await;
    let world = charging(&engine);
    set_balance(&world, YEAR - 1);
    let refused = create(&world, "PrePaid").expect_err("too little");
    assert_eq!(refused.api.code, "InsufficientBalance");
    assert_eq!((orders(&world).len(), balance(&world)), (0, YEAR - 1));
    set_balance(&world, YEAR);
    let instance_id = create(&world, "PrePaid").expect("enough");
    assert_eq!(balance(&world), 0);
    create(&world, "PostPaid").expect("costs nothing now");
    assert_eq!(
        (orders(&world)[0].order.amount_cents, balance(&world)),
        (0, 0)
    );
    set_balance(&world, -1);
    let overdue = create(&world, "PostPaid").expect_err("overdue");
    assert_eq!(overdue.api.code, "InsufficientBalance");
    set_balance(&world, 1);

    // An order that comes to nothing is given back, once.
    let give_back = || {
        let cancelled = world.parts.store.write(|writer| {
            let action = Action::CreateInstance.name();
            world.parts.cancel_order(writer, &instance_id, None, action)
        });
        cancelled.expect("the store works");
    };
    give_back();
    give_back();
    assert_eq!(balance(&world), 1 + YEAR);
    let prepaid = orders(&world).pop().expect("the first order");
    assert_eq!(prepaid.order.paid_cents, 0);
    assert!(prepaid.cancelled_at.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_into_a_paid_instance_costs_its_share() {
    let engine = TestEngine::new().await;
    let world = charging(&engine);
    let instance_id = create(&world, "PrePaid").expect("right");
    let instance = world
        .parts
        .store
        .read(|reader| reader.instance(&instance_id))
        .expect("the store works")
        .expect("it was ordered");
    assert_eq!(instance.status, ObjectStatus::Create);
    let half = instance.created_at + instance.expires_at.duration_since(instance.created_at) / 2;
    let catalogue = NodeSpecCatalogue::default();
    let lot = |spec: &str| Lot {
        node_spec: catalogue.find(spec).expect("on offer").0,
        nodes: 1,
    };
    let amount = |sale| {
        let purchase = Purchase {
            account_id: instance.account_id,
            instance_id: &instance_id,
            db_name: None,
            action: "X",
            sale,
            now: half,
        };
        let placed = world
            .parts
            .store
            .write(|writer| world.parts.place_order(writer, &purchase));
        placed.expect("the balance suffices");
        orders(&world)[0].order.amount_cents
    };
    let expires_at = instance.expires_at;
    let added = amount(Sale::PrePaidUntil {
        lot: lot("petadata.s2.xlarge"),
        expires_at,
    });
    // A leap year is a day longer than the year that the share is reckoned by.
    assert!(
        (YEAR / 2..YEAR / 2 + YEAR / 365).contains(&added),
        "{added}"
    );
    let resize = |charge_type, from, to| {
        amount(Sale::Resize {
            from: lot(from),
            to: lot(to),
            charge_type,
            expires_at,
        })
    };
    let (small, large) = ("petadata.s2.xlarge", "petadata.s2.2xlarge");
    assert_eq!(resize(ChargeType::PrePaid, small, large), added);
    assert_eq!(resize(ChargeType::PrePaid, large, small), 0);
    assert_eq!(resize(ChargeType::PostPaid, small, large), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_there_can_be_described_and_priced() {
    let engine = TestEngine::new().await;
    let world = World::new(&engine);
    let owner = world.caller();
    let instance_id = create(&world, "PrePaid").expect("right");
    let describe = |db_name: &str| {
        let pairs = [("InstanceId", instance_id.as_str()), ("DBName", db_name)];
        let request = DescribeCommodityRequest::from_params(&params(&pairs)).expect("right");
        world.control.describe_commodity(&owner, &request)
    };
    let described = describe("shop").expect("it exists");
    let text = render_response(Format::Json, "X", owner.request_id, &described);
    let text: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let commodities = text["Commodity"].as_str().expect("a text").to_owned();
    assert_eq!(describe("").expect("all").databases, described.databases);
    let missing = describe("shop,none").expect_err("one is missing");
    assert_eq!(missing.api.code, "InvalidDBName.NotFound");

    let price = |order_type: &str, commodities: &str| {
        let pairs = [("OrderType", order_type), ("Commodities", commodities)];
        let request = DescribePriceRequest::from_params(&params(&pairs)).expect("right");
        let price = world.control.describe_price(&owner, &request);
        price.map_err(|error| error.api.code.into_owned())
    };
    for order_type in ["BUY", "renew"] {
        let price = price(order_type, &commodities).expect("right");
        assert_eq!((price.original_cents, price.trade_cents), (YEAR, YEAR));
        assert_eq!((price.discount_cents, &*price.currency), (0, "CNY"));
    }
    let larger = commodities.replace("xlarge", "2xlarge");
    let upgrade = price("UPGRADE", &larger).expect("right").trade_cents;
    assert!(
        (YEAR - 10..=YEAR + YEAR / 365).contains(&upgrade),
        "{upgrade}"
    );
    assert_eq!(
        price("UPGRADE", &commodities).expect("right").trade_cents,
        0
    );

    let hours = r#"[{"NodeSpec":"petadata.s2.large","NodeNumber":2,"Quantity":3},
                    {"NodeSpec":"petadata.c2.large"}]"#;
    assert_eq!(
        price("BUY", hours).expect("right").trade_cents,
        6 * 150 + 210
    );
    let unknown = r#"{"NodeSpec":"petadata.s9"}"#;
    assert_eq!(
        price("BUY", unknown),
        Err("InvalidNodeSpec.ValueNotSupported".into())
    );
    let gone = larger.replace(instance_id.as_str(), "pd-none");
    assert_eq!(
        price("UPGRADE", &gone),
        Err("InvalidDBInstanceId.NotFound".into())
    );
}

fn params(pairs: &[(&str, &str)]) -> Params {
    Params::from_pairs(pairs.iter().copied()).expect("unique names")
}
