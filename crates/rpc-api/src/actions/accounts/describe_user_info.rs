//! DescribeUserInfo.

use crate::actions::common::{FORBIDDEN_RAM, REQUEST_ID};
use crate::spec::{ActionSpec, FieldSpec, HttpsRule, RamResource, Section};
use crate::{Action, ApiError, ApiRequest, ApiResponse, FieldWriter, Params};

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
        FieldSpec::integer(
            "BalanceAmount",
            "Balance in whole units of the currency, rounded down.",
        ),
        FieldSpec::object(
            "AlreadyHasResourceNum",
            &[
                FieldSpec::integer(
                    "PetaDataBought",
                    "Instances owned, those not counted that are deleted.",
                ),
                FieldSpec::integer("EcsBought", "Servers owned: always 0 here."),
            ],
            "Counts of owned resources.",
        ),
    ],
    errors: &[FORBIDDEN_RAM],
    example: &[],
};

/// A checked DescribeUserInfo: it has no parameters of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeUserInfoRequest;

impl ApiRequest for DescribeUserInfoRequest {
    const ACTION: Action = Action::DescribeUserInfo;
    type Response = DescribeUserInfoResponse;

    fn from_params(_params: &Params) -> Result<Self, ApiError> {
        Ok(Self)
    }
}

/// The answer to DescribeUserInfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeUserInfoResponse {
    /// Whether the tenant proved who it is.
    pub is_authentication: bool,
    /// Whether the tenant belongs to the finance cloud.
    pub is_finance: bool,
    /// What it can spend, in whole units of the currency.
    pub balance_amount: i64,
    /// Instances that it has.
    pub instances: u64,
}

impl ApiResponse for DescribeUserInfoResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.boolean("IsAuthentication", self.is_authentication);
        writer.boolean("IsFinance", self.is_finance);
        writer.integer("BalanceAmount", self.balance_amount);
        writer.object("AlreadyHasResourceNum", |writer| {
            let instances = i64::try_from(self.instances).unwrap_or(i64::MAX);
            writer.integer("PetaDataBought", instances);
            // Servers were a product of their own.
            writer.integer("EcsBought", 0);
        });
    }
}
