//! DescribeDatabasePartitions.

use openpeta_types::{DbName, InstanceId};

use crate::actions::common::{
    DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::checks::{check_required, db_name};
use crate::spec::{ActionSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, ApiResponse, FieldWriter, Params};

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
                FieldSpec::integer("DiskCapacity", "Capacity in bytes."),
                FieldSpec::text("DiskUsed", "Bytes on disk, as text."),
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
};

/// A checked DescribeDatabasePartitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeDatabasePartitionsRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
}

impl ApiRequest for DescribeDatabasePartitionsRequest {
    const ACTION: Action = Action::DescribeDatabasePartitions;
    type Response = DescribeDatabasePartitionsResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        Ok(Self {
            instance_id: params.instance_id()?,
            db_name: db_name(params, "DBName")?,
        })
    }
}

/// The answer to DescribeDatabasePartitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeDatabasePartitionsResponse {
    /// The instance.
    pub instance_id: InstanceId,
    /// The database.
    pub db_name: DbName,
    /// Its partitions, in the order of their numbers from 0.
    pub partitions: Vec<PartitionItem>,
}

/// What a partition may take and takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionItem {
    /// Bytes that it may take.
    pub disk_capacity: u64,
    /// Bytes that it takes.
    pub disk_used: u64,
}

impl ApiResponse for DescribeDatabasePartitionsResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.text("InstanceId", self.instance_id.as_str());
        writer.text("DBName", self.db_name.as_str());
        let numbered: Vec<_> = self.partitions.iter().enumerate().collect();
        writer.list(
            "Partitions",
            "Partition",
            &numbered,
            |writer, (number, partition)| {
                let capacity = i64::try_from(partition.disk_capacity).unwrap_or(i64::MAX);
                writer.display("PartitionId", &format_args!("{}{number}", self.db_name));
                writer.integer("DiskCapacity", capacity);
                writer.display("DiskUsed", &partition.disk_used);
            },
        );
    }
}
