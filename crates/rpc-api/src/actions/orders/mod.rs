//! Prices and orders.

pub(crate) mod describe_commodity;
pub(crate) mod describe_price;
