//! RestoreDatabase.

use jiff::Timestamp;
use openpeta_types::{BackupId, DbName, Gtid, InstanceId, InstanceName, OrderId};

use crate::actions::common::{
    DB_NOT_FOUND, FORBIDDEN_RAM, INSTANCE_LOCKED, INSTANCE_NOT_FOUND, INSTANCE_STATUS,
    MISSING_PARAMETER, OVER_NODES, REQUEST_ID, TOKEN_MISMATCH,
};
use crate::checks::{check_required, db_name, instance_name};
use crate::spec::{
    ActionSpec, ErrorSpec, FieldSpec, HttpsRule, ParameterSpec, RamResource, Section,
};
use crate::{Action, ApiError, ApiRequest, ApiResponse, ClientToken, FieldWriter, Params};

/// The action in the table.
pub(crate) const SPEC: ActionSpec = ActionSpec {
    action: Action::RestoreDatabase,
    name: "RestoreDatabase",
    aliases: &[],
    section: Section::Backups,
    description: "Restores a database into a new instance, from a backup set or to a point in \
        time. The new instance is ordered like the source: network, billing mode, node spec and whitelist are the \
        same; it has no accounts unless they are asked for. It becomes ACTIVE only after everything in it was compared \
        with the set; to a point in time, what was committed before that second is applied out of \
        the archived binary log.",
    mutating: true,
    creates_task: true,
    https: HttpsRule::Optional,
    resource: RamResource::Instance,
    preconditions: &[
        "source instance is ACTIVE",
        "source instance has no migration running",
        "source instance is not locked",
        "the backup set is Success",
    ],
    parameters: &[
        ParameterSpec::text("SrcInstanceId", "Source instance.").required(),
        ParameterSpec::text("SrcDBName", "Source database.").required(),
        ParameterSpec::text("InstanceName", "Display name of the new instance."),
        ParameterSpec::time("RestoreTime", "Point in time, in the past."),
        ParameterSpec::text("BackupId", "Backup set."),
        ParameterSpec::text(
            "RestoreType",
            "0 by backup set (BackupId needed), 1 by time (RestoreTime needed).",
        )
        .default("0")
        .allowed(&["0", "1"]),
        ParameterSpec::text("ClientToken", "Idempotency key."),
        ParameterSpec::text(
            "RestoreGtid",
            "Extension, for RestoreType 1 in place of RestoreTime: the GTID of the last \
             transaction that is wanted, as 0-1-42.",
        ),
        ParameterSpec::text(
            "RestoreBeforeGtid",
            "Extension, for RestoreType 1 in place of RestoreTime: the GTID of the first \
             transaction that is not wanted.",
        ),
        ParameterSpec::boolean(
            "WithAccounts",
            "Extension: whether the new instance gets the source's accounts with their passwords \
             and what they may do in the database.",
        )
        .default("false"),
        ParameterSpec::boolean(
            "WithBackupPolicy",
            "Extension: whether the new database gets the source's backup policy.",
        )
        .default("false"),
    ],
    response: &[
        REQUEST_ID,
        FieldSpec::text("NewInstanceId", "The new instance."),
        FieldSpec::text("DBName", "Database name.").optional(),
        FieldSpec::text("OrderId", "Order identifier."),
    ],
    errors: &[
        MISSING_PARAMETER,
        INSTANCE_NOT_FOUND,
        DB_NOT_FOUND,
        INSTANCE_STATUS,
        INSTANCE_LOCKED,
        OVER_NODES,
        ErrorSpec::new("InvalidBackupId.NotFound", 404, "no such backup set"),
        ErrorSpec::new(
            "OperationDenied.BackupStatus",
            403,
            "backup set not Success",
        ),
        ErrorSpec::new(
            "OperationDenied.NotFoundBackup",
            403,
            "no backup covers RestoreTime, or the log lacks the transaction",
        ),
        ErrorSpec::new("InvalidRestoreTime.Malformed", 400, "bad or future time"),
        ErrorSpec::new("InvalidRestoreGtid.Malformed", 400, "not as 0-1-42"),
        ErrorSpec::new("InvalidRestoreBeforeGtid.Malformed", 400, "not as 0-1-42"),
        ErrorSpec::new(
            "InvalidRestoreType.ValueNotSupported",
            400,
            "neither 0 nor 1",
        ),
        ErrorSpec::new(
            "InvalidWithAccounts.ValueNotSupported",
            400,
            "neither true nor false",
        ),
        ErrorSpec::new(
            "InvalidWithBackupPolicy.ValueNotSupported",
            400,
            "neither true nor false",
        ),
        ErrorSpec::new("InvalidInstanceName.Malformed", 400, "bad InstanceName"),
        ErrorSpec::new(
            "QuotaExceeded.CreateInstance",
            403,
            "the caller has as many instances as it may",
        ),
        ErrorSpec::new(
            "OperationDenied",
            403,
            "no capacity, port or address is left for a new instance",
        ),
        ErrorSpec::new(
            "InsufficientBalance",
            400,
            "the balance does not cover the new instance",
        ),
        ErrorSpec::new(
            "Forbidden.Authentication",
            403,
            "the caller's account lacks real-name verification",
        ),
        ErrorSpec::new(
            "InvalidClientToken.Malformed",
            400,
            "longer than 64 characters, or not ASCII",
        ),
        TOKEN_MISMATCH,
        FORBIDDEN_RAM,
    ],
    example: &[
        ("SrcInstanceId", "{InstanceId}"),
        ("SrcDBName", "{DBName}"),
        ("BackupId", "{BackupId}"),
    ],
};

/// A checked RestoreDatabase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreDatabaseRequest {
    /// The instance that the backup is of.
    pub instance_id: InstanceId,
    /// The database that the backup is of.
    pub db_name: DbName,
    /// Display name of the new instance; that of the source when none is given.
    pub instance_name: Option<InstanceName>,
    /// What is restored.
    pub point: RestorePoint,
    /// Whether the accounts come along.
    pub with_accounts: bool,
    /// Whether the backup policy does.
    pub with_policy: bool,
    /// The client's idempotency token.
    pub client_token: Option<ClientToken>,
}

/// Which state of a database is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestorePoint {
    /// That of a backup set.
    Set(BackupId),
    /// That of a point in time.
    Time(Timestamp),
    /// That just before or after a transaction.
    Transaction {
        /// Its name.
        gtid: Gtid,
        /// After it.
        is_included: bool,
    },
}

impl ApiRequest for RestoreDatabaseRequest {
    const ACTION: Action = Action::RestoreDatabase;
    type Response = RestoreDatabaseResponse;

    fn from_params(params: &Params) -> Result<Self, ApiError> {
        check_required(Self::ACTION, params)?;
        let by_time = params.choice("RestoreType", |text| match text {
            "0" => Some(false),
            "1" => Some(true),
            _ => None,
        })?;
        // A time that is none is told as such, whether it is needed or not.
        let time = match params.get("RestoreTime") {
            Some(_) => Some(params.time("RestoreTime")?),
            None => None,
        };
        let is_by_time = by_time.unwrap_or_default();
        let transaction = transaction(params, is_by_time && time.is_none())?;
        let point = match (time, transaction) {
            _ if !is_by_time => {
                let text = params.required("BackupId")?;
                RestorePoint::Set(BackupId::parse(text).map_err(|_| ApiError::backup_not_found())?)
            }
            (Some(time), _) => RestorePoint::Time(time),
            (None, Some(point)) => point,
            (None, None) => return Err(ApiError::missing_parameter("RestoreTime")),
        };
        Ok(Self {
            instance_id: params.named_instance("SrcInstanceId")?,
            db_name: db_name(params, "SrcDBName")?,
            instance_name: instance_name(params, "InstanceName")?,
            point,
            with_accounts: params.boolean("WithAccounts")?.unwrap_or_default(),
            with_policy: params.boolean("WithBackupPolicy")?.unwrap_or_default(),
            client_token: params.client_token()?,
        })
    }
}

/// The transaction that is named, if one is. Where it `is_wanted` not, it must not be passed over:
/// it says what of the content is bad.
fn transaction(params: &Params, is_wanted: bool) -> Result<Option<RestorePoint>, ApiError> {
    let mut point = None;
    for (name, is_included) in [("RestoreGtid", true), ("RestoreBeforeGtid", false)] {
        let Some(text) = params.get(name) else {
            continue;
        };
        let gtid = Gtid::parse(text).map_err(|_| ApiError::malformed(name))?;
        if !is_wanted || point.is_some() {
            return Err(ApiError::invalid_parameter(name));
        }
        point = Some(RestorePoint::Transaction { gtid, is_included });
    }
    Ok(point)
}

/// The answer to RestoreDatabase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreDatabaseResponse {
    /// The new instance.
    pub instance_id: InstanceId,
    /// The database in it.
    pub db_name: DbName,
    /// The order.
    pub order_id: OrderId,
}

impl ApiResponse for RestoreDatabaseResponse {
    fn write<W: FieldWriter>(&self, writer: &mut W) {
        writer.text("NewInstanceId", self.instance_id.as_str());
        writer.text("DBName", self.db_name.as_str());
        writer.display("OrderId", &self.order_id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(changes: &[(&str, &str)]) -> Result<RestoreDatabaseRequest, ApiError> {
        let pairs = [
            ("SrcInstanceId", "pd-a"),
            ("SrcDBName", "shop"),
            ("BackupId", "7"),
        ];
        let kept = pairs
            .iter()
            .filter(|(name, _)| changes.iter().all(|(other, _)| other != name));
        let params = Params::from_pairs(kept.chain(changes).copied()).expect("unique names");
        RestoreDatabaseRequest::from_params(&params)
    }

    #[test]
    fn a_set_or_a_time_is_restored() {
        let read = request(&[]).expect("right");
        assert_eq!(read.point, RestorePoint::Set(BackupId::from_number(7)));
        assert_eq!((read.with_accounts, read.with_policy), (false, false));
        let read = request(&[("WithAccounts", "true"), ("WithBackupPolicy", "True")]);
        let read = read.expect("right");
        assert_eq!((read.with_accounts, read.with_policy), (true, true));
        let time = "2019-01-17T08:00:00Z";
        let read = request(&[("RestoreType", "1"), ("RestoreTime", time)]).expect("right");
        assert_eq!(
            read.point,
            RestorePoint::Time(time.parse().expect("a time"))
        );
    }

    #[test]
    fn a_transaction_is_the_last_or_the_first_that_is_left_out() {
        for (name, is_included) in [("RestoreGtid", true), ("RestoreBeforeGtid", false)] {
            let read = request(&[("RestoreType", "1"), (name, "0-12-345")]).expect("right");
            let gtid = Gtid::parse("0-12-345").expect("well formed");
            assert_eq!(read.point, RestorePoint::Transaction { gtid, is_included });
        }
    }

    #[test]
    fn wrong_values_have_their_codes() {
        for (changes, code) in [
            (
                &[("RestoreType", "2")][..],
                "InvalidRestoreType.ValueNotSupported",
            ),
            (&[("BackupId", "")], "MissingParameter"),
            (&[("BackupId", "set")], "InvalidBackupId.NotFound"),
            (&[("RestoreType", "1")], "MissingParameter"),
            (
                &[("RestoreType", "1"), ("RestoreTime", "noon")],
                "InvalidRestoreTime.Malformed",
            ),
            (
                &[("RestoreTime", "2019-02-30T00:00:00Z")],
                "InvalidRestoreTime.Malformed",
            ),
            (
                &[("RestoreType", "1"), ("RestoreGtid", "0-1")],
                "InvalidRestoreGtid.Malformed",
            ),
            (
                &[("RestoreType", "1"), ("RestoreBeforeGtid", "noon")],
                "InvalidRestoreBeforeGtid.Malformed",
            ),
            (
                &[("WithAccounts", "yes")],
                "InvalidWithAccounts.ValueNotSupported",
            ),
            (
                &[("WithBackupPolicy", "1")],
                "InvalidWithBackupPolicy.ValueNotSupported",
            ),
            // It would be passed over.
            (&[("RestoreBeforeGtid", "0-1-2")], "InvalidParameter"),
            (
                &[
                    ("RestoreType", "1"),
                    ("RestoreTime", "2019-01-17T08:00:00Z"),
                    ("RestoreGtid", "0-1-2"),
                ],
                "InvalidParameter",
            ),
            (
                &[
                    ("RestoreType", "1"),
                    ("RestoreBeforeGtid", "0-1-2"),
                    ("RestoreGtid", "0-1-2"),
                ],
                "InvalidParameter",
            ),
            (&[("SrcInstanceId", "x")], "InvalidDBInstanceId.NotFound"),
            (&[("SrcDBName", "x!")], "InvalidDBName.NotFound"),
        ] {
            let error = request(changes).expect_err(code);
            assert_eq!(error.code, code);
        }
    }
}
