//! `openpeta admin order …` and `openpeta admin usage …`

use jiff::Timestamp;
use openpeta_store::{Order, OrderFilter, UsageFilter, UsageRecord};
use openpeta_types::{AccountId, ChargeType, InstanceId, format_time};
use serde_json::{Value, json};

use crate::{Control, ControlError};

/// Rows of a list that names no limit.
const DEFAULT_LIMIT: u32 = 100;

impl Control {
    pub(super) fn order_list(
        &self,
        account_id: Option<AccountId>,
        instance_id: Option<InstanceId>,
        limit: Option<u32>,
    ) -> Result<Value, ControlError> {
        let filter = OrderFilter {
            account_id,
            instance_id,
        };
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        let orders = self
            .parts
            .store
            .read(|reader| reader.orders(&filter, limit))?;
        Ok(orders.iter().map(order).collect())
    }

    pub(super) fn usage_list(
        &self,
        account_id: Option<AccountId>,
        instance_id: Option<InstanceId>,
        from: Option<Timestamp>,
        until: Option<Timestamp>,
        limit: Option<u32>,
    ) -> Result<Value, ControlError> {
        let filter = UsageFilter {
            account_id,
            instance_id,
            from,
            until,
        };
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        let records = self
            .parts
            .store
            .read(|reader| reader.usage(&filter, limit))?;
        Ok(records.iter().map(usage).collect())
    }
}

fn order(order: &Order) -> Value {
    let Order {
        order_id,
        order,
        cancelled_at,
    } = order;
    let details = order.details.as_deref().map(serde_json::from_str::<Value>);
    json!({
        "order_id": order_id.to_string(),
        "account_id": order.account_id.to_string(),
        "instance_id": order.instance_id.as_str(),
        "db_name": order.db_name.as_ref().map(|name| name.as_str()),
        "action": order.action,
        "charge_type": order.charge_type.map(ChargeType::as_str),
        "currency": order.currency,
        "amount_cents": order.amount_cents,
        "paid_cents": order.paid_cents,
        "details": details.and_then(Result::ok),
        "created_at": format_time(order.created_at),
        "cancelled_at": cancelled_at.map(format_time),
    })
}

fn usage(record: &UsageRecord) -> Value {
    json!({
        "account_id": record.account_id.to_string(),
        "instance_id": record.instance_id.as_str(),
        "db_name": record.db_name.as_str(),
        "started_at": format_time(record.started_at),
        "ended_at": format_time(record.ended_at),
        "seconds": record.ended_at.duration_since(record.started_at).as_secs(),
        "node_spec": record.node_spec.as_str(),
        "node_number": record.node_number,
        "currency": record.currency,
        "amount_cents": record.amount_cents,
        "paid_cents": record.paid_cents,
    })
}
