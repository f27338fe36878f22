//! Prices and orders.

mod commodity;
pub(crate) mod describe_commodity;
pub(crate) mod describe_price;

pub use commodity::{Commodity, DatabaseCommodity, OrderType};
pub use describe_commodity::{DescribeCommodityRequest, DescribeCommodityResponse};
pub use describe_price::{DescribePriceRequest, DescribePriceResponse, PriceRule};

use crate::spec::ErrorSpec;

const ORDER_TYPE_UNKNOWN: ErrorSpec = ErrorSpec::new(
    "InvalidOrderType.ValueNotSupported",
    400,
    "not a kind of order",
);
