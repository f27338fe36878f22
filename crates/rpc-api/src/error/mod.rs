//! The errors that clients see: one code, one HTTP status, one message, all out of the
//! catalogue.

mod catalogue;

use std::borrow::Cow;

pub use catalogue::{CatalogueEntry, ERRORS};

/// An error as a client sees it. Never holds a secret, save that
/// [`incomplete_signature`](Self::incomplete_signature) repeats what the client sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ApiError {
    /// The code, for example `InvalidDBInstanceId.NotFound`.
    pub code: Cow<'static, str>,
    /// The HTTP status that goes with it.
    pub http_status: u16,
    /// The message.
    pub message: Cow<'static, str>,
    /// Whether the same call may succeed if it is sent again unchanged.
    pub retryable: bool,
}

/// Declares a constructor for a catalogue entry without placeholders.
macro_rules! constructors {
    ($($(#[$doc:meta])* $name:ident = $code:literal;)+) => {
        impl ApiError {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name() -> Self {
                    const ENTRY: &CatalogueEntry = catalogue::find($code);
                    Self::of(ENTRY)
                }
            )+

            /// One error of every constructor below, for the tests.
            #[cfg(test)]
            fn all_fixed() -> Vec<Self> {
                vec![$(Self::$name()),+]
            }
        }
    };
}

impl ApiError {
    fn of(entry: &'static CatalogueEntry) -> Self {
        Self {
            code: Cow::Borrowed(entry.code),
            http_status: entry.http_status,
            message: Cow::Borrowed(entry.message),
            retryable: entry.is_retryable(),
        }
    }

    /// Fills the name of a parameter into code and message.
    fn naming(entry: &'static CatalogueEntry, parameter: &str) -> Self {
        let mut error = Self::of(entry);
        error.message = Cow::Owned(entry.message.replace("<name>", parameter));
        if entry.code.contains("<name>") {
            error.code = Cow::Owned(entry.code.replace("<name>", parameter));
        }
        error
    }

    /// A required parameter is absent or empty.
    #[must_use]
    pub fn missing_parameter(name: &str) -> Self {
        const ENTRY: &CatalogueEntry = catalogue::find("MissingParameter");
        Self::naming(ENTRY, name)
    }

    /// A parameter is not valid, and no more specific code exists.
    #[must_use]
    pub fn invalid_parameter(name: &str) -> Self {
        const ENTRY: &CatalogueEntry = catalogue::find("InvalidParameter");
        Self::naming(ENTRY, name)
    }

    /// A parameter that the API knows but this service does not offer.
    #[must_use]
    pub fn unsupported_parameter(name: &str) -> Self {
        const ENTRY: &CatalogueEntry = catalogue::find("UnsupportedParameter");
        Self::naming(ENTRY, name)
    }

    /// A value outside a fixed set: `Invalid<name>.ValueNotSupported`.
    #[must_use]
    pub fn value_not_supported(name: &str) -> Self {
        const ENTRY: &CatalogueEntry = catalogue::find("Invalid<name>.ValueNotSupported");
        Self::naming(ENTRY, name)
    }

    /// A value of the wrong form: `Invalid<name>.Malformed`.
    #[must_use]
    pub fn malformed(name: &str) -> Self {
        const ENTRY: &CatalogueEntry = catalogue::find("Invalid<name>.Malformed");
        Self::naming(ENTRY, name)
    }

    /// The signature is wrong. SDKs look for `server string to sign is:` in the message and
    /// compare the rest with their own text, to tell a wrong secret from a wrong encoding.
    ///
    /// Pass `None` where the signed text holds a secret.
    #[must_use]
    pub fn incomplete_signature(string_to_sign: Option<&str>) -> Self {
        const ENTRY: &CatalogueEntry = catalogue::find("IncompleteSignature");
        let mut error = Self::of(ENTRY);
        if let Some(text) = string_to_sign {
            error.message =
                Cow::Owned(format!("{} server string to sign is:{text}", ENTRY.message));
        }
        error
    }

    /// Appends a sentence that says more than the catalogue does, for example which task
    /// blocks the call. Code and status stay.
    #[must_use]
    pub fn with_detail(mut self, detail: &str) -> Self {
        self.message = Cow::Owned(format!("{} {detail}", self.message));
        self
    }
}

constructors! {
    /// The method is neither GET nor POST.
    unsupported_http_method = "UnsupportedHTTPMethod";
    /// No action has that name.
    invalid_action = "InvalidAction";
    /// The timestamp is absent, unreadable, or too far from the server's time.
    illegal_timestamp = "IllegalTimestamp";
    /// No such access key, or a disabled one.
    access_key_not_found = "InvalidAccessKeyId.NotFound";
    /// The nonce was used before.
    signature_nonce_used = "SignatureNonceUsed";
    /// The temporary credentials have expired.
    security_token_expired = "InvalidSecurityToken.Expired";
    /// The security token was not issued here, or not for that key.
    security_token_malformed = "InvalidSecurityToken.Malformed";
    /// The request carries a password over plain HTTP.
    need_ssl = "InvalidProtocol.NeedSsl";
    /// OwnerId does not name the calling account.
    invalid_owner_id = "InvalidOwnerId";
    /// OwnerAccount does not name the calling account.
    invalid_owner_account = "InvalidOwnerAccount";
    /// OwnerId and OwnerAccount were given together.
    invalid_owner = "InvalidOwner";
    /// Too many calls.
    throttling = "Throttling";
    /// No policy grants the action on the resource, or one denies it.
    forbidden_ram = "Forbidden.RAM";
    /// The caller's account lacks real-name verification.
    forbidden_authentication = "Forbidden.Authentication";
    /// The caller's account has not enough balance.
    insufficient_balance = "InsufficientBalance";
    /// The region, or the zone in it, does not exist.
    region_not_found = "InvalidRegionId.NotFound";
    /// The region is not open to the caller.
    region_unauthorized = "RegionUnauthorized";
    /// The node spec is known but not on offer in the region.
    node_spec_not_available = "InvalidDBInstanceClassInRegion.NotAvailable";
    /// The host has no capacity left.
    sold_out = "OperationDenied";
    /// The caller's quota of instances is used up.
    instance_quota_exceeded = "QuotaExceeded.CreateInstance";
    /// The instance does not exist, or belongs to somebody else.
    instance_not_found = "InvalidDBInstanceId.NotFound";
    /// The instance is not ACTIVE.
    instance_status = "OperationDenied.DBInstanceStatus";
    /// The instance is locked.
    instance_locked = "OperationDenied.LockMode";
    /// Two instances that must differ are the same.
    same_instance = "OperationDenied.DBInstanceId";
    /// The instance's type does not allow it.
    instance_type = "OperationDenied.DBInstanceType";
    /// The VPC does not exist.
    vpc_not_found = "InvalidVPCId.NotFound";
    /// The VPC is in another region.
    vpc_mismatch = "IncorrectVpcId.Mismatch";
    /// The VSwitch does not exist in the VPC.
    vswitch_not_found = "InvalidVSwitchId.NotFound";
    /// The VSwitch is in another zone.
    vswitch_mismatch = "InvalidVSwitchId.Mismatch";
    /// The instance has that network type already.
    net_type_exists = "NetTypeExists";
    /// The instance was switched too often today.
    switch_quota_exceeded = "QuotaExceeded.SwitchTime";
    /// The instance cannot be switched to that network type.
    switch_denied = "OperationDenied.Switch";
    /// The port is not one that a public endpoint may have, or it is taken.
    port_malformed = "InvalidPort.Malformed";
    /// The prefix of a connection string is taken.
    connection_prefix_duplicate = "InvalidConnectionStringPrefix.Duplicate";
    /// The instance has a public endpoint.
    public_connection_exists = "PublicConnectionExists";
    /// The instance has no such endpoint.
    current_connection_string_not_found = "InvalidCurrentConnectionString.NotFound";
    /// The endpoint is not a public one.
    instance_net_type = "OperationDenied.DBInstanceNetType";
    /// A whitelist entry occurs twice.
    security_ip_duplicate = "InvalidSecurityIPList.Duplicate";
    /// A whitelist group would have too many entries.
    security_ip_list_too_long = "InvalidSecurityIPListLength.Malformed";
    /// The instance would have too many whitelist groups.
    security_ip_group_quota = "InvalidSecurityIps.Duplicate";
    /// The task does not exist in that instance.
    task_not_found = "InvalidTaskId.NotFound";
    /// The task's status does not allow it.
    incorrect_task_status = "OperationDenied.IncorrectTaskStatus";
    /// The end of a time window is before its start.
    end_before_start = "InvalidStartTimeAndEndTime.Malformed";
    /// The table does not exist in the database.
    table_not_found = "InvalidTableName.NotFound";
    /// The database name is reserved.
    db_name_keyword = "InvalidParameter.Keyword";
    /// The database name is taken.
    db_name_duplicate = "InvalidDBName.Duplicate";
    /// The database does not exist.
    db_not_found = "InvalidDBName.NotFound";
    /// The instance would be left without a database.
    no_database = "OperationDenied.NoDatabase";
    /// What is on disk would not fit any more.
    storage_reduce = "OperationDenied.DBInstanceStorageReduce";
    /// The database is not ACTIVE.
    db_status = "OperationDenied.DBStatus";
    /// The instance's quota of databases is used up.
    db_quota_exceeded = "QuotaExceeded.DBName";
    /// DBInfo is not such an object, or names a database that does not exist.
    db_info_malformed = "InvalidDBInfo.Malformed";
    /// A backup of the database is being taken.
    backup_job_exists = "OperationDenied.BackupJobExists";
    /// The backup set does not exist.
    backup_not_found = "InvalidBackupId.NotFound";
    /// The backup set is not whole.
    backup_status = "OperationDenied.BackupStatus";
    /// A set cannot be taken in that way.
    backup_method = "OperationDenied.BackupMethod";
    /// There is no backup of that time.
    no_backup = "OperationDenied.NotFoundBackup";
    /// The account name is reserved.
    account_name_keyword = "InvalidAccountName.keyword";
    /// The account name is taken.
    account_name_duplicate = "InvalidAccountName.Duplicate";
    /// The account does not exist.
    account_not_found = "InvalidAccountName.NotFound";
    /// The account is not ACTIVE.
    account_status = "OperationDenied.AccountStatus";
    /// The kind of account does not allow it.
    account_type = "OperationDenied.AccountType";
    /// The instance's quota of accounts is used up.
    account_quota_exceeded = "QuotaExceeded.AccountName";
    /// The call names too many instances.
    instance_ids_exceeded = "InvalidDBInstanceId.QuotaExceeded";
    /// An instance would have too many tags, or the call names too many.
    tag_quota_exceeded = "QuotaExceeded.Tag";
    /// A tag's key occurs twice.
    tag_key_duplicate = "InvalidTagKey.Duplicate";
    /// The ClientToken was used with other parameters.
    idempotent_parameter_mismatch = "IdempotentParameterMismatch";
    /// The call may succeed later.
    service_unavailable = "ServiceUnavailable";
    /// Something went wrong inside; the cause is in the server's log.
    internal = "InternalError";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique() {
        let codes: HashSet<_> = ERRORS.iter().map(|entry| entry.code).collect();
        assert_eq!(codes.len(), ERRORS.len());
    }

    #[test]
    fn fixed_errors_have_no_placeholder() {
        for error in ApiError::all_fixed() {
            assert!(
                !error.code.contains('<') && !error.message.contains('<'),
                "{error}"
            );
        }
    }

    #[test]
    fn names_are_filled_in() {
        let error = ApiError::value_not_supported("PageSize");
        assert_eq!(error.code, "InvalidPageSize.ValueNotSupported");
        assert_eq!(
            error.message,
            "The specified parameter \"PageSize\" is not valid."
        );
        let error = ApiError::missing_parameter("InstanceId");
        assert_eq!(error.code, "MissingParameter");
        assert!(error.message.contains("\"InstanceId\""));
    }

    #[test]
    fn only_passing_troubles_are_retryable() {
        let retryable: Vec<_> = ApiError::all_fixed()
            .into_iter()
            .filter(|error| error.retryable)
            .map(|error| error.code)
            .collect();
        assert_eq!(
            retryable,
            ["Throttling", "ServiceUnavailable", "InternalError"]
        );
    }
}
