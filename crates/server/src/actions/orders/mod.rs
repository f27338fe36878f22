//! Prices and orders.

pub(super) mod describe_commodity;
pub(super) mod describe_price;
