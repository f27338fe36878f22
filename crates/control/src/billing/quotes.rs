//! DescribePrice and DescribeCommodity: what orders would cost.

use openpeta_rpc_api::orders::{
    Commodity, DatabaseCommodity, DescribeCommodityRequest, DescribeCommodityResponse,
    DescribePriceRequest, DescribePriceResponse, OrderType, PriceRule,
};
use openpeta_rpc_api::{Action, ApiError};
use openpeta_store::Reader;
use openpeta_types::{ChargeType, NodeSpec};

use super::{Lot, Quote, Sale};
use crate::{Caller, Control, ControlError};

impl Control {
    /// DescribePrice: what an order would cost, an hour of what is PostPaid.
    ///
    /// # Errors
    /// `InvalidNodeSpec.ValueNotSupported`, `InvalidDBInstanceId.NotFound`,
    /// `InvalidDBName.NotFound`, `Forbidden.RAM`.
    pub fn describe_price(
        &self,
        caller: &Caller,
        request: &DescribePriceRequest,
    ) -> Result<DescribePriceResponse, ControlError> {
        self.check_any_instance(caller, Action::DescribePrice, "*")?;
        let quote = self.parts.store.read(|reader| {
            let mut sum = Quote::default();
            for commodity in &request.commodities {
                let one = self.quote_commodity(reader, caller, request.order_type, commodity)?;
                sum = sum.plus(one.times(commodity.quantity));
            }
            Ok::<_, ControlError>(sum)
        })?;
        Ok(DescribePriceResponse {
            original_cents: quote.original_cents,
            trade_cents: quote.trade_cents,
            discount_cents: quote.discount_cents(),
            currency: self.parts.prices.currency().to_owned(),
            rules: quote
                .rules
                .iter()
                .map(|rule| PriceRule {
                    id: rule.id,
                    name: rule.name.clone(),
                    title: rule.title.clone(),
                })
                .collect(),
        })
    }

    fn quote_commodity(
        &self,
        reader: &Reader<'_>,
        caller: &Caller,
        order_type: OrderType,
        commodity: &Commodity,
    ) -> Result<Quote<'_>, ControlError> {
        let node_spec = self.known_spec(&commodity.node_spec)?;
        let lot = Lot {
            node_spec,
            nodes: commodity.node_number,
        };
        let sale = match (order_type, commodity.charge_type) {
            (OrderType::Buy, ChargeType::PostPaid) => Sale::PostPaid(lot),
            (OrderType::Buy | OrderType::Renew, _) => Sale::PrePaid {
                lot,
                months: commodity.months,
            },
            (OrderType::Upgrade, _) => {
                let (instance_id, db_name) = commodity
                    .database
                    .as_ref()
                    .ok_or_else(|| ApiError::malformed("Commodities"))?;
                self.instance(reader, caller, Action::DescribePrice, instance_id)?;
                let database = reader
                    .database(instance_id, db_name)?
                    .ok_or_else(ApiError::db_not_found)?;
                let sale = Sale::Resize {
                    from: Lot {
                        node_spec: &database.node_spec,
                        nodes: database.node_number,
                    },
                    to: lot,
                    charge_type: database.charge_type,
                    expires_at: database.expires_at,
                };
                return Ok(self.parts.quote(&sale, caller.now));
            }
        };
        Ok(self.parts.quote(&sale, caller.now))
    }

    /// A node spec of the catalogue.
    fn known_spec(&self, name: &str) -> Result<&NodeSpec, ControlError> {
        match self.parts.config.node_specs.find(name) {
            Some((spec, _)) => Ok(spec),
            None => Err(ApiError::value_not_supported("NodeSpec").into()),
        }
    }

    /// DescribeCommodity: databases in the form that DescribePrice takes.
    ///
    /// # Errors
    /// `InvalidDBInstanceId.NotFound`, `InvalidDBName.NotFound`, `Forbidden.RAM`.
    pub fn describe_commodity(
        &self,
        caller: &Caller,
        request: &DescribeCommodityRequest,
    ) -> Result<DescribeCommodityResponse, ControlError> {
        let action = Action::DescribeCommodity;
        let detail = self.detail(caller, action, &request.instance_id)?;
        let names = &request.db_names;
        let has = |name: &String| {
            let mut databases = detail.databases.iter();
            databases.any(|database| database.db_name.as_str() == name)
        };
        if !names.iter().all(has) {
            return Err(ApiError::db_not_found().into());
        }
        let wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
        Ok(DescribeCommodityResponse {
            databases: detail
                .databases
                .iter()
                .filter(|database| wanted(database.db_name.as_str()))
                .map(|database| DatabaseCommodity {
                    instance_id: detail.instance.instance_id.clone(),
                    region_id: detail.instance.region_id.clone(),
                    zone_id: detail.instance.zone_id.clone(),
                    db_name: database.db_name.clone(),
                    node_spec: database.node_spec.to_string(),
                    node_number: database.node_number,
                    charge_type: database.charge_type,
                    end_time: database.expires_at,
                })
                .collect(),
            commodity_code: request.commodity_code.clone(),
        })
    }
}
