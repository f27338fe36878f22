//! DescribeRegions.

use openpeta_types::Region;

use crate::actions::common::{FORBIDDEN_RAM, REQUEST_ID};
use crate::spec::{ActionSpec, FieldSpec, HttpsRule, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, ApiResponse, FieldWriter, Params};

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
    example: &[],
};

/// A DescribeRegions; it has no parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DescribeRegionsRequest;

impl ApiRequest for DescribeRegionsRequest {
    const ACTION: Action = Action::DescribeRegions;
    type Response = DescribeRegionsResponse;

    fn from_params(_params: &Params) -> Result<Self, ApiError> {
        Ok(Self)
    }
}

/// The answer to DescribeRegions.
#[derive(Clone, Copy, Debug)]
pub struct DescribeRegionsResponse {
    /// The regions.
    pub regions: &'static [Region],
}

impl ApiResponse for DescribeRegionsResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.list("Regions", "Region", self.regions, |writer, region| {
            writer.text("RegionId", region.region_id);
            writer.optional_text("ZoneId", region.zones.first().map(|zone| zone.zone_id));
            writer.list("Zones", "Zone", region.zones, |writer, zone| {
                writer.text("ZoneId", zone.zone_id);
                writer.boolean("VpcEnabled", zone.vpc_enabled);
            });
        });
    }
}
