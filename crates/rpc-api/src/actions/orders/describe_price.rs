//! DescribePrice.

use crate::Action;
use crate::actions::common::{FORBIDDEN_RAM, MISSING_PARAMETER, REQUEST_ID};
use crate::spec::{
    ActionSpec, Availability, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribePrice,
    name: "DescribePrice",
    aliases: &[],
    section: Section::Orders,
    description: "Quotes a price for an order.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::AnyInstance,
    preconditions: &[],
    parameters: &[
        ParameterSpec::text("OrderType", "Kind of order.").required(),
        ParameterSpec::text("Commodities", "JSON text describing what is ordered.").required(),
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
    errors: &[MISSING_PARAMETER, FORBIDDEN_RAM],
    example: &[
        ("OrderType", "BUY"),
        (
            "Commodities",
            r#"{"NodeSpec":"petadata.s2.xlarge","NodeNumber":1,"ChargeType":"PostPaid"}"#,
        ),
    ],
    availability: Availability::Planned,
};
