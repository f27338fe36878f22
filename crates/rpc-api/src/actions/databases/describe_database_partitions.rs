//! DescribeDatabasePartitions.

use crate::Action;
use crate::actions::common::{
    DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::spec::{
    ActionSpec, Availability, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeDatabasePartitions,
    name: "DescribeDatabasePartitions",
    aliases: &[],
    section: Section::Databases,
    description: "Lists the storage partitions of a database with capacity and use.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Database name.").required(),
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::text("InstanceId", "Instance identifier."),
        FieldSpec::text("DBName", "Database name."),
        FieldSpec::list(
            "Partitions",
            "Partition",
            &[
                FieldSpec::text(
                    "PartitionId",
                    "Partition name: database name followed by a number from 0.",
                ),
                FieldSpec::integer("DiskCapacity", "Capacity."),
                FieldSpec::text(
                    "DiskUsed",
                    "Text in the table and SDKs, JSON number in the public example.",
                ),
            ],
            "Partitions.",
        ),
    ],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        DB_NOT_FOUND,
        FORBIDDEN_RAM,
    ],
    example: &[("InstanceId", "{InstanceId}"), ("DBName", "{DBName}")],
    availability: Availability::Planned,
};
