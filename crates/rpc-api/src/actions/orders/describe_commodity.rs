//! DescribeCommodity.

use crate::Action;
use crate::actions::common::{
    FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeCommodity,
    name: "DescribeCommodity",
    aliases: &[],
    section: Section::Orders,
    description: "Returns an order description text.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Databases, comma-separated."),
        ParameterSpec::text("CommodityCode", "Code of the product."),
        ParameterSpec::text("OrderType", "Kind of order."),
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::text("Commodity", "Order description."),
    ],
    errors: &[MISSING_PARAMETER, INSTANCE_NOT_FOUND, FORBIDDEN_RAM],
    example: &[("InstanceId", "{InstanceId}"), ("DBName", "{DBName}")],
    availability: Availability::Planned,
};
