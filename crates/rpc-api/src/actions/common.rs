//! What many actions share.

use crate::spec::{ErrorSpec, FieldSpec, ParameterSpec};

pub(super) const REQUEST_ID: FieldSpec =
    FieldSpec::text("RequestId", "Identifies the call; new for every one.");

/// The page sizes of listings; the first is the default.
pub(super) const PAGE_SIZES: [u32; 5] = [10, 20, 30, 40, 50];

pub(super) const INSTANCE_ID: ParameterSpec =
    ParameterSpec::text("InstanceId", "Instance identifier.").required();

/// How the newer actions spell it.
pub(super) const DB_INSTANCE_ID: ParameterSpec = ParameterSpec::text(
    "DBInstanceId",
    "Instance identifier (these newer actions use the name DBInstanceId).",
)
.required()
.aliases(&["InstanceId"]);

pub(super) const CLIENT_TOKEN: ParameterSpec =
    ParameterSpec::text("ClientToken", "Client-chosen idempotency key.")
        .constraints("<= 64 ASCII characters, case-sensitive")
        .pattern("^[ -~]{1,64}$");

/// The name of a database to be made.
pub(super) const DB_NAME_PATTERN: &str = "^[a-z][a-z0-9_]{0,63}$";

/// The name of an account to be made.
pub(super) const ACCOUNT_NAME_PATTERN: &str = "^[a-z][a-z0-9_]{1,9}$";

/// A password to be set.
pub(super) const PASSWORD_PATTERN: &str = "^[A-Za-z0-9!@#$%^&*()_+=-]{8,32}$";

pub(super) const MISSING_PARAMETER: ErrorSpec = ErrorSpec::new(
    "MissingParameter",
    400,
    "a required parameter is absent or empty",
);

pub(super) const INSTANCE_NOT_FOUND: ErrorSpec = ErrorSpec::new(
    "InvalidDBInstanceId.NotFound",
    404,
    "InstanceId unknown, already deleted, or owned by another tenant",
);

pub(super) const INSTANCE_STATUS: ErrorSpec = ErrorSpec::new(
    "OperationDenied.DBInstanceStatus",
    403,
    "instance is not ACTIVE",
);

pub(super) const INSTANCE_LOCKED: ErrorSpec =
    ErrorSpec::new("OperationDenied.LockMode", 403, "instance is locked");

pub(super) const ACCOUNT_NOT_FOUND: ErrorSpec =
    ErrorSpec::new("InvalidAccountName.NotFound", 404, "no such account");

pub(super) const ACCOUNT_STATUS: ErrorSpec =
    ErrorSpec::new("OperationDenied.AccountStatus", 403, "account not ACTIVE");

pub(super) const DB_NOT_FOUND: ErrorSpec = ErrorSpec::new(
    "InvalidDBName.NotFound",
    404,
    "no such database in the instance",
);

pub(super) const DB_STATUS: ErrorSpec = ErrorSpec::new(
    "OperationDenied.DBStatus",
    403,
    "the database is not ACTIVE",
);

pub(super) const OVER_NODES: ErrorSpec = ErrorSpec::new(
    "OperationDenied.DBInstanceType",
    403,
    "the database is spread over several nodes, for which this is not available",
);

pub(super) const TOKEN_MISMATCH: ErrorSpec = ErrorSpec::new(
    "IdempotentParameterMismatch",
    400,
    "ClientToken reused with different parameters",
);

pub(super) const FORBIDDEN_RAM: ErrorSpec = ErrorSpec::new(
    "Forbidden.RAM",
    403,
    "the caller is a sub-user without a matching grant",
);
