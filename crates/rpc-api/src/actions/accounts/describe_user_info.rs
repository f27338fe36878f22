//! DescribeUserInfo.

use crate::Action;
use crate::actions::common::{FORBIDDEN_RAM, REQUEST_ID};
use crate::spec::{ActionSpec, Availability, FieldSpec, HttpsRule, RamResource, Section};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeUserInfo,
    name: "DescribeUserInfo",
    aliases: &[],
    section: Section::Accounts,
    description: "Shows facts about the calling account.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Documented,
    resource: RamResource::AnyInstance,
    preconditions: &[],
    parameters: &[],
    response: &[
        REQUEST_ID,
        FieldSpec::boolean("IsAuthentication", "Real-name verified."),
        FieldSpec::boolean("IsFinance", "Finance-cloud user."),
        FieldSpec::integer("BalanceAmount", "Balance."),
        FieldSpec::object(
            "AlreadyHasResourceNum",
            &[
                FieldSpec::integer("PetaDataBought", "Instances owned."),
                FieldSpec::integer("EcsBought", "Servers owned."),
            ],
            "Counts of owned resources.",
        ),
    ],
    errors: &[FORBIDDEN_RAM],
    example: &[],
    availability: Availability::Planned,
};
