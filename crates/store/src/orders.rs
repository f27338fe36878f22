//! Orders: what a tenant bought, what it cost, and what was paid for it.

use jiff::Timestamp;
use openpeta_types::{AccountId, ChargeType, DbName, InstanceId, OrderId};
use rusqlite::params;

use crate::column::{Columns, P};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "orders";

/// The columns that [`read`] reads, in its order.
macro_rules! columns {
    () => {
        "order_id, account_id, instance_id, db_name, action, charge_type, currency, amount_cents, \
         paid_cents, details, created_at, cancelled_at"
    };
}

/// An order to be added; the store hands out its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// Who ordered.
    pub account_id: AccountId,
    /// The instance that the order is about.
    pub instance_id: InstanceId,
    /// The database that it is about; `None` for all of the instance.
    pub db_name: Option<DbName>,
    /// The API action that made it, or the operator's command.
    pub action: String,
    /// Billing mode; orders of earlier versions have none.
    pub charge_type: Option<ChargeType>,
    /// Currency of the amounts; orders of earlier versions have none.
    pub currency: Option<String>,
    /// What it costs, in hundredths of the currency.
    pub amount_cents: i64,
    /// What of that was taken from the balance.
    pub paid_cents: i64,
    /// What was ordered, as a JSON object.
    pub details: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its number.
    pub order_id: OrderId,
    /// What it says.
    pub order: NewOrder,
    /// When it came to nothing and what had been paid was given back.
    pub cancelled_at: Option<Timestamp>,
}

/// Which orders to list; all that is `None` does not matter.
#[derive(Clone, Debug, Default)]
pub struct OrderFilter {
    /// Of this tenant.
    pub account_id: Option<AccountId>,
    /// About this instance.
    pub instance_id: Option<InstanceId>,
}

fn read(columns: &mut Columns<'_, '_>) -> Result<Order, StoreError> {
    Ok(Order {
        order_id: columns.get()?,
        order: NewOrder {
            account_id: columns.get()?,
            instance_id: columns.get()?,
            db_name: columns.get()?,
            action: columns.get()?,
            charge_type: columns.get()?,
            currency: columns.get()?,
            amount_cents: columns.get()?,
            paid_cents: columns.get()?,
            details: columns.get()?,
            created_at: columns.get()?,
        },
        cancelled_at: columns.get()?,
    })
}

impl Reader<'_> {
    /// The newest orders that pass the filter, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn orders(&self, filter: &OrderFilter, limit: u32) -> Result<Vec<Order>, StoreError> {
        self.all(
            TABLE,
            concat!(
                "SELECT ",
                columns!(),
                " FROM orders
                 WHERE (?1 IS NULL OR account_id = ?1) AND (?2 IS NULL OR instance_id = ?2)
                 ORDER BY order_id DESC LIMIT ?3"
            ),
            params![P(&filter.account_id), P(&filter.instance_id), limit],
            read,
        )
    }
}

impl Writer<'_> {
    /// Adds an order and returns its number: decimal digits, never used twice.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn insert_order(&self, order: &NewOrder) -> Result<OrderId, StoreError> {
        self.execute(
            "INSERT INTO orders (account_id, instance_id, db_name, action, charge_type, currency,
                                 amount_cents, paid_cents, details, created_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                P(&order.account_id),
                P(&order.instance_id),
                P(&order.db_name),
                P(&order.action),
                P(&order.charge_type),
                P(&order.currency),
                P(&order.amount_cents),
                P(&order.paid_cents),
                P(&order.details),
                P(&order.created_at),
            ],
        )?;
        Ok(OrderId::from_number(self.last_number()))
    }

    /// Notes that an order came to nothing, and that nothing is paid for it any more.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn cancel_order(&self, order_id: OrderId, now: Timestamp) -> Result<(), StoreError> {
        self.change(
            TABLE,
            "UPDATE orders SET paid_cents = 0, cancelled_at = ?2 WHERE order_id = ?1",
            params![P(&order_id), P(&now)],
        )
    }
}
