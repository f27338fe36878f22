//! Orders: what a tenant bought or gave back.

use jiff::Timestamp;
use openpeta_types::{AccountId, InstanceId, OrderId};
use rusqlite::params;

use crate::column::{Columns, P};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "orders";

/// An order to be added; the store hands out its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// Who ordered.
    pub account_id: AccountId,
    /// What the order is about.
    pub instance_id: InstanceId,
    /// The API action that made it.
    pub action: String,
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
}

impl Reader<'_> {
    /// All orders of a tenant, oldest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    pub fn orders(&self, account_id: AccountId) -> Result<Vec<Order>, StoreError> {
        let read = |columns: &mut Columns<'_, '_>| {
            Ok(Order {
                order_id: columns.get()?,
                order: NewOrder {
                    account_id: columns.get()?,
                    instance_id: columns.get()?,
                    action: columns.get()?,
                    created_at: columns.get()?,
                },
            })
        };
        self.all(
            TABLE,
            "SELECT order_id, account_id, instance_id, action, created_at FROM orders
             WHERE account_id = ? ORDER BY order_id",
            [P(&account_id)],
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
            "INSERT INTO orders (account_id, instance_id, action, created_at) VALUES (?, ?, ?, ?)",
            params![
                P(&order.account_id),
                P(&order.instance_id),
                P(&order.action),
                P(&order.created_at),
            ],
        )?;
        Ok(OrderId::from_number(self.last_number()))
    }
}
