//! DescribePrice.

use crate::actions::common::{
    DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::actions::orders::ORDER_TYPE_UNKNOWN;
use crate::actions::orders::commodity::{self, Commodity, OrderType};
use crate::checks::check_required;
use crate::spec::{
    ActionSpec, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};
use crate::{Action, ApiError, ApiRequest, ApiResponse, FieldWriter, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribePrice,
    name: "DescribePrice",
    aliases: &[],
    section: Section::Orders,
    description: "Quotes a price for an order, by the price list of this service. What is PostPaid \
        is quoted for an hour, what is PrePaid for its period, a change of PrePaid nodes for the \
        rest of theirs.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::AnyInstance,
    preconditions: &[],
    parameters: &[
        ParameterSpec::text("OrderType", "Kind of order.")
            .required()
            .constraints("BUY, RENEW or UPGRADE, in any case"),
        ParameterSpec::text("Commodities", "JSON text describing what is ordered.")
            .required()
            .constraints(
                "an object or an array of up to 50: NodeSpec; NodeNumber (1 to 128, default 1); \
                ChargeType (PostPaid, PrePaid; default PostPaid, for RENEW PrePaid); Period and \
                PeriodUnit (Month, Year; default one year, at most ten; for PrePaid); Quantity (1 \
                to 1000, default 1); for UPGRADE also InstanceId and DBName of what is changed. \
                Other keys are ignored. DescribeCommodity answers with such a text",
            ),
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::object(
            "Order",
            &[
                FieldSpec::float("OriginalAmount", "List price."),
                FieldSpec::float("TradeAmount", "Price to pay."),
                FieldSpec::float("DiscountAmount", "Discount."),
                FieldSpec::list("RuleIds", "RuleId", &[], "Discount rules that apply."),
                FieldSpec::text("Currency", "Currency of the amounts."),
            ],
            "The quote.",
        ),
        FieldSpec::list(
            "Rules",
            "Rule",
            &[
                FieldSpec::integer("RuleDescId", "Rule identifier."),
                FieldSpec::text("Name", "Rule name."),
                FieldSpec::text("Title", "Rule title."),
            ],
            "Discount rules.",
        ),
    ],
    errors: &[
        MISSING_PARAMETER,
        ORDER_TYPE_UNKNOWN,
        ErrorSpec::new(
            "InvalidCommodities.Malformed",
            400,
            "not JSON of that form; the message says what is wrong",
        ),
        ErrorSpec::new("InvalidNodeSpec.ValueNotSupported", 400, "NodeSpec unknown"),
        INSTANCE_NOT_FOUND,
        DB_NOT_FOUND,
        FORBIDDEN_RAM,
    ],
    example: &[
        ("OrderType", "BUY"),
        (
            "Commodities",
            r#"{"NodeSpec":"petadata.s2.xlarge","NodeNumber":1,"ChargeType":"PostPaid"}"#,
        ),
    ],
};

/// A checked DescribePrice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribePriceRequest {
    /// Kind of order.
    pub order_type: OrderType,
    /// What is ordered, at least one.
    pub commodities: Vec<Commodity>,
}

impl ApiRequest for DescribePriceRequest {
    const ACTION: Action = Action::DescribePrice;
    type Response = DescribePriceResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        let order_type = params.choice("OrderType", OrderType::parse)?;
        let order_type = order_type.ok_or_else(|| ApiError::missing_parameter("OrderType"))?;
        Ok(Self {
            order_type,
            commodities: commodity::parse(params.required("Commodities")?, order_type)?,
        })
    }
}

/// The answer to DescribePrice. Amounts are in hundredths of the currency.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DescribePriceResponse {
    /// Price by the list.
    pub original_cents: i64,
    /// Price to pay.
    pub trade_cents: i64,
    /// What the discounts take off.
    pub discount_cents: i64,
    /// Currency of the amounts.
    pub currency: String,
    /// The discounts.
    pub rules: Vec<PriceRule>,
}

/// A discount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceRule {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What it says.
    pub title: String,
}

impl ApiResponse for DescribePriceResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.object("Order", |writer| {
            writer.hundredths("OriginalAmount", self.original_cents);
            writer.hundredths("TradeAmount", self.trade_cents);
            writer.hundredths("DiscountAmount", self.discount_cents);
            let ids = self.rules.iter().map(|rule| rule.id);
            writer.texts("RuleIds", "RuleId", ids);
            writer.text("Currency", &self.currency);
        });
        writer.list("Rules", "Rule", &self.rules, |writer, rule| {
            writer.integer("RuleDescId", rule.id);
            writer.text("Name", &rule.name);
            writer.text("Title", &rule.title);
        });
    }
}
