//! DescribeRegions.

use crate::Action;
use crate::actions::common::{FORBIDDEN_RAM, REQUEST_ID};
use crate::spec::{ActionSpec, Availability, FieldSpec, HttpsRule, RamResource, Section};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeRegions,
    name: "DescribeRegions",
    aliases: &[],
    section: Section::Regions,
    description: "Lists regions and their zones.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::AnyInstance,
    preconditions: &[],
    parameters: &[],
    response: &[
        REQUEST_ID,
        FieldSpec::list(
            "Regions",
            "Region",
            &[
                FieldSpec::text("RegionId", "Region."),
                FieldSpec::text("ZoneId", "A zone of the region.").optional(),
                FieldSpec::list(
                    "Zones",
                    "Zone",
                    &[
                        FieldSpec::text("ZoneId", "Zone."),
                        FieldSpec::boolean(
                            "VpcEnabled",
                            "Whether VPC instances can be ordered there.",
                        ),
                    ],
                    "Zones of the region.",
                ),
            ],
            "Regions.",
        ),
    ],
    errors: &[FORBIDDEN_RAM],
    availability: Availability::Available,
};
