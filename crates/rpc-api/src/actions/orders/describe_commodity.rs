//! DescribeCommodity.

use openpeta_types::InstanceId;

use crate::actions::common::{
    DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_ID, INSTANCE_NOT_FOUND, MISSING_PARAMETER, REQUEST_ID,
};
use crate::actions::orders::ORDER_TYPE_UNKNOWN;
use crate::actions::orders::commodity::{self, DatabaseCommodity, OrderType};
use crate::spec::{ActionSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, ApiResponse, FieldWriter, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::DescribeCommodity,
    name: "DescribeCommodity",
    aliases: &[],
    section: Section::Orders,
    description: "Describes databases of an instance as DescribePrice takes it, so that what they \
        cost, and would cost with other nodes, can be asked for.",
    mutating: false,
    creates_task: false,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[],
    parameters: &[
        INSTANCE_ID,
        ParameterSpec::text("DBName", "Databases, comma-separated; all when left out."),
        ParameterSpec::text(
            "CommodityCode",
            "Code of the product; comes back in the text.",
        ),
        ParameterSpec::text("OrderType", "Kind of order.")
            .constraints("BUY, RENEW or UPGRADE, in any case; the text serves for all of them"),
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::text(
            "Commodity",
            "JSON text, an array with an object for each database.",
        ),
    ],
    errors: &[
        MISSING_PARAMETER,
        ORDER_TYPE_UNKNOWN,
        INSTANCE_NOT_FOUND,
        DB_NOT_FOUND,
        FORBIDDEN_RAM,
    ],
    example: &[("InstanceId", "{InstanceId}"), ("DBName", "{DBName}")],
};

/// A checked DescribeCommodity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeCommodityRequest {
    /// The instance.
    pub instance_id: InstanceId,
    /// Names of databases as sent; none for all.
    pub db_names: Vec<String>,
    /// Code of the product, as sent.
    pub commodity_code: Option<String>,
}

impl ApiRequest for DescribeCommodityRequest {
    const ACTION: Action = Action::DescribeCommodity;
    type Response = DescribeCommodityResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        let instance_id = params.instance_id()?;
        let names = params.get("DBName").into_iter();
        let db_names = names.flat_map(|names| names.split(','));
        params.choice("OrderType", OrderType::parse)?;
        Ok(Self {
            instance_id,
            db_names: db_names.map(|name| name.trim().to_owned()).collect(),
            commodity_code: params.get("CommodityCode").map(str::to_owned),
        })
    }
}

/// The answer to DescribeCommodity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeCommodityResponse {
    /// The databases.
    pub databases: Vec<DatabaseCommodity>,
    /// Code of the product, as the client sent it.
    pub commodity_code: Option<String>,
}

impl ApiResponse for DescribeCommodityResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        let code = self.commodity_code.as_deref();
        writer.text("Commodity", &commodity::write(&self.databases, code));
    }
}
