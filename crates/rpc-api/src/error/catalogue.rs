//! Every error code of the API with its HTTP status and message.

/// One error code.
#[derive(Debug, PartialEq, Eq)]
pub struct CatalogueEntry {
    /// The code; `<name>` in it stands for the name of the parameter at fault.
    pub code: &'static str,
    /// The HTTP status it comes with.
    pub http_status: u16,
    /// The message; `<name>` as above.
    pub message: &'static str,
    /// Whether the API document lists it. The others fill gaps of the document with the names
    /// that Aliyun's gateway uses, or by analogy.
    pub documented: bool,
}

impl CatalogueEntry {
    /// Whether the same call may succeed if it is sent again unchanged.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.code,
            "InternalError" | "ServiceUnavailable" | "Throttling"
        )
    }
}

/// An entry of the document's catalogue.
const fn entry(code: &'static str, http_status: u16, message: &'static str) -> CatalogueEntry {
    CatalogueEntry {
        code,
        http_status,
        message,
        documented: true,
    }
}

/// An entry that the document lacks.
const fn added(code: &'static str, http_status: u16, message: &'static str) -> CatalogueEntry {
    CatalogueEntry {
        code,
        http_status,
        message,
        documented: false,
    }
}

/// Finds an entry while compiling; an unknown code does not compile.
pub(super) const fn find(code: &str) -> &'static CatalogueEntry {
    let mut index = 0;
    while index < ERRORS.len() {
        if same(ERRORS[index].code.as_bytes(), code.as_bytes()) {
            return &ERRORS[index];
        }
        index += 1;
    }
    panic!("no such code in the catalogue")
}

/// Equality of byte strings, usable while compiling.
const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut index = 0;
    while index < a.len() {
        if a[index] != b[index] {
            return false;
        }
        index += 1;
    }
    true
}

/// The catalogue. Where the document prints a code several times with different messages or
/// statuses, the entry is the variant that this service answers.
// One row an entry, whatever its length.
#[rustfmt::skip]
pub static ERRORS: &[CatalogueEntry] = &[
    entry("MissingParameter", 400, "The input parameter \"<name>\" that is mandatory for processing this request is not supplied."),
    entry("InvalidParameter", 400, "The specified parameter \"<name>\" is not valid."),
    entry("InvalidAccessKeyId.NotFound", 404, "The Access Key ID provided does not exist in our records."),
    entry("IncompleteSignature", 400, "The request signature does not conform to Aliyun standards."),
    entry("IllegalTimestamp", 400, "The input parameter \"Timestamp\" that is mandatory for processing this request is not supplied."),
    entry("InvalidOwnerId", 400, "The specified OwnerId is not valid."),
    entry("InvalidOwnerAccount", 400, "The specified OwnerAccount is not valid."),
    entry("InvalidOwner", 400, "OwnerId and OwnerAccount can’t be used at one API access."),
    entry("Throttling", 400, "Request was denied due to request throttling."),
    entry("InvalidAction", 403, "The specified action is not valid."),
    entry("ActionUnauthorized", 403, "The specified action is not available for you"),
    entry("UnsupportedHTTPMethod", 403, "This http method not supported."),
    entry("UnsupportedParameter", 400, "The parameter \"<name>\" is not supported."),
    entry("Forbidden.InstanceNotFound", 404, "The specified DB instance does not exist."),
    entry("Forbidden.RAM", 403, "The user is not authorized to operate the specified resource, or this operation does not support RAM."),
    entry("Forbidden.NotSupportRAM", 403, "This action does not support accessed by RAM mode."),
    entry("Forbidden.RiskControl", 403, "This operation is forbidden by Aliyun Risk Control system."),
    entry("InsufficientBalance", 400, "Your account does not have enough balance."),
    entry("Forbidden.Authentication", 403, "This operation is forbidden by Aliyun Realname Authentication system."),
    entry("InvalidRegionId.NotFound", 404, "The DBInstanceId provided does not exist in our records."),
    entry("InvalidSecurityIPList.Duplicate", 400, "The Security IP address is not in the available range or occupied."),
    entry("InvalidSecurityIPListLength.Malformed", 400, "The security IP address is beyond the available range or is already used."),
    entry("InvalidEngineVersionInRegion.NotAvailable", 403, "The EngineVersion in the Region is not available."),
    entry("InvalidEngineInRegion.NotAvailable", 403, "The Engine in the Region is not available."),
    entry("InvalidDBInstanceClassInRegion.NotAvailable", 403, "The DBInstanceClass in the Region is not available."),
    entry("OperationDenied", 403, "The requested resource is sold out in the specified zone; try other types of resources or other regions and zones."),
    entry("RegionUnauthorized", 403, "There is no authority to create instance in the specified region."),
    entry("QuotaExceeded.CreateInstance", 403, "The quota of create instance exceeds."),
    entry("InvalidDBInstanceId.NotFound", 404, "The specified DBInstanceId does not exist."),
    entry("OperationDenied.DBInstanceType", 403, "The operation is not permitted for the database instance type."),
    entry("OperationDenied.DBInstanceStorageReduce", 403, "The operation is not permitted due to reduce storage."),
    entry("OperationDenied.DBInstanceStatus", 403, "The operation is not permitted due to instance status."),
    entry("DependencyViolation", 403, "The operation is not permitted due to instance mount read only or guard instance."),
    entry("InvalidConnectionStringPrefix.Duplicate", 400, "The connection string is not in the available range or occupied."),
    entry("QuotaExceeded.SwitchTime", 400, "The quota of switch time exceed."),
    entry("OperationDenied.LockMode", 403, "The operation is not permitted due to lock of instance."),
    entry("InvalidSecurityIps.Duplicate", 400, "The quota of security ip exceeds."),
    entry("OperationDenied.CurrentEngineVersion", 400, "The operation is not permitted due to specified current version."),
    entry("OperationDenied.ReadOnlyDBInstanceLower", 403, "The operation is not permitted due to higher read only instance version."),
    entry("OperationDenied.GuardDBInstanceLower", 403, "The operation is not permitted due to higher guard instance version."),
    entry("OperationDenied.MasterDBInstanceState", 403, "The status of the specified master instance does not support this operation."),
    entry("QuotaExceeded.DBName", 400, "The quota of db exceeds."),
    entry("InvalidDBName.Duplicate", 400, "The specified DB name is invalid or already exists."),
    entry("InvalidParameter.Keyword", 400, "The specified DBName is a reserved keyword."),
    entry("OperationDenied.DBStatus", 403, "The status of the database does not support this operation."),
    entry("OperationDenied.DBInstanceEngine", 403, "The operation is not permitted due to engine of instance."),
    entry("FTPServiceUnavailable", 403, "The service is unavailable now; wait several minutes and try again."),
    entry("QuotaExceeded.Upload", 403, "The quota of file exceeds."),
    entry("InvalidFileName.NotCompleted", 404, "The specified \"FileName\" is not completed."),
    entry("InvalidFileName.NotAvailable", 404, "The specified \"FileName\" is not Available."),
    entry("QuotaExceeded.FileSize", 403, "The quota of file size exceeds."),
    entry("QuotaExceeded.DBInstanceStorage", 403, "The quota of instance storage exceeds."),
    entry("InvalidDBInfo.Malformed", 400, "The specified parameter \"DBInfo\" is not valid or db not exist."),
    entry("OperationDenied.Region", 403, "The operation is not permitted due to different region."),
    entry("OperationDenied.Engine", 403, "The operation is not permitted due to different engine."),
    entry("OperationDenied.DBInstanceId", 403, "The operation is not permitted due to DBInstanceId and SourceDBInstanceId is same."),
    entry("InvalidTaskId.NotFound", 400, "The ImportId provided does not exist in our records."),
    entry("OperationDenied.IncorrectTaskStatus", 403, "The operation is not permitted due to status of import."),
    entry("InvalidAccountName.keyword", 400, "The specified AccountName is a reserved keyword."),
    entry("InvalidAccountName.Duplicate", 400, "The specified AccountName already exists."),
    entry("QuotaExceeded.AccountName", 403, "The quota of account exceeds."),
    entry("OperationDenied.AccountStatus", 403, "The status of the account does not support this operation."),
    entry("InvalidDBName.NotFound", 404, "The specified database does not exist."),
    entry("OperationDenied.AccountType", 403, "The operation is not permitted due to type of account."),
    entry("OperationDenied.BackupJobExists", 403, "You cannot perform this operation; a backup job exists."),
    entry("OperationDenied.NoDatabase", 403, "The operation is not permitted due to no database."),
    entry("InvalidStartTimeAndEndTime.Malformed", 400, "The EndTime must be later than or equal to the StartTime."),
    entry("InvalidBackupId.NotFound", 404, "The BackupId provided does not exist in our records."),
    entry("OperationDenied.NotFoundBackup", 403, "The operation is not permitted due to no backup."),
    entry("OperationDenied.BackupStatus", 403, "The operation is not permitted due to type of backup."),
    entry("OperationDenied.BackupMethod", 403, "The operation is not permitted method of backup."),
    entry("OperationDenied.TempDBInstanceExists", 403, "You cannot perform this operation; a temp instance exists."),
    entry("IncorrectDBInstanceConnType", 404, "Current DB instance conn type does not support this operation."),
    entry("IncorrectVpcId.Mismatch", 400, "The specified parameter \"VpcId\" is not valid."),
    entry("IntranetNetTypeNotExists", 404, "Current DB instance net type does not support this operation."),
    entry("InvalidDBInstanceName.NotFound", 403, "The DBInstanceId provided does not exist in our records."),
    entry("InvalidConnectionMode.ValueNotSupported", 400, "The specified parameter \"ConnectionMode\" is not valid."),
    entry("InvalidConnectionString.DuplicateSpecified", 400, "Connection string or port want to be modified is the same with current net type."),
    entry("InvalidConnectionStringPrefix.Duplicated", 403, "The specified connection string already exists."),
    entry("InvalidCurrentConnectionString.NotFound", 400, "Specified current connection string doesn't exist."),
    entry("InvalidDBInstanceId.QuotaExceeded", 400, "The quota of instance id exceeds."),
    entry("InvalidDBInstanceNetType.NotFound", 404, "The Specified DB instance net type is not found."),
    entry("InvalidDBInstanceNetType.ValueNotSupport", 400, "The specified parameter \"DBInstanceNetType\" is not valid."),
    entry("InvalidDBInstanceType.ValueNotSupport", 400, "The specified parameter \"DBInstanceType\" is not valid."),
    entry("InvalidEngineVersion.Malformed", 400, "The specified parameter \"EngineVersion\" is not valid."),
    entry("InvalidInstanceNetworkType.ValueNotSupported", 400, "The specified parameter \"InstanceNetworkType\" is not valid."),
    entry("InvalidPort.Malformed", 400, "Specified port is not valid."),
    entry("InvalidPrivateIpAddress.Duplicated", 400, "Specified private IP address is duplicated."),
    entry("InvalidPrivateIpAddress.Mismatch", 400, "Specified private IP address is not in the CIDR block of virtual switch."),
    entry("InvalidVPCId.NotFound", 400, "The specified connection string or port does not match the current network type."),
    entry("InvalidVSwitchId.Mismatch", 400, "Specified instance and virtual switch are not in the same zone."),
    entry("InvalidVSwitchId.NotFound", 400, "Specified virtual switch is not found in specified VPC."),
    entry("NetTypeExists", 400, "Specified net type already existed."),
    entry("OperationDenied.DBInstanceNetType", 403, "The network type of the specified instance does not support this operation."),
    entry("OperationDenied.Switch", 403, "Specified instance cannot be switched to VPC."),
    entry("OperationDenied.SwitchToVPC", 403, "Specified instance cannot be switched to VPC."),
    entry("PARAMETER_ERROR", 406, "The vpc request parameter may not be null."),
    entry("PARAMETER_MUST_NOT_NULL", 406, "The parameter must not be null."),
    entry("PublicConnectionExists", 403, "PublicConnection exists."),
    entry("bpcIzNoNotEqualsRdsMultIzNo", 400, "Specified vpc IzNo not equal rds IzNo."),
    entry("IncorrectDBInstanceState", 403, "CurrentDB instance state does not support this operation."),
    entry("IncorrectDBInstanceType", 400, "CurrentDB instance type does not support this operation."),
    entry("IncorrectDBInstanceLockMode", 400, "CurrentDB instance lock mode does not support this operation."),
    entry("ParamNotSupportedForCurrentVersion", 400, "Parameter is not supported for current version."),
    entry("InvalidStatus.Format", 400, "MigrateTask Status is not valid."),
    entry("EngineVersionNotSupported", 400, "EngineVersion specified cannot be replicate with the source DB Instance."),
    entry("EngineNotSupported", 400, "Engine specified cannot be supported in the operation."),
    entry("ConnectionModeNotSupported", 400, "ConnectionMode specified cannot be replicate with the source DB Instance."),
    entry("InvalidConfigurationValue.Malformed", 403, "Specified ConfigurationValue is not valid."),
    entry("InvalidConfigurationValueStatus.Malformed", 403, "Specified ProxyConfigurationValue (status) is not valid."),
    entry("InvalidConfigurationValueOrther.Malformed", 403, "Specified ProxyConfigurationValue (check_interval_seconds or max_failed_login_attempts or blocking_seconds) is not valid."),
    entry("ProxyConnectionPersistExists", 400, "Specified same ProxyConnectionPersist already exists."),
    entry("ProxyConnectionPersist.NotFound", 400, "Specified ProxyConnectionPersist is not found."),
    entry("ProxyConnectionPersistParametersInvalid", 400, "ProxyConnectionPersist parameter out of range"),
    entry("InvalidConfigValue", 400, "Parameter config table not exists or data error."),
    entry("InvalidDBInstance.NotFound", 400, "Specified instance does not exist or not support."),
    entry("ServiceUnavailable", 503, "The request has failed due to a temporary failure of the server."),
    entry("InternalError", 500, "The request processing has failed due to some unknown error, exception or failure."),
    entry("Invalid<name>.ValueNotSupported", 400, "The specified parameter \"<name>\" is not valid."),
    entry("Invalid<name>.Malformed", 400, "The specified parameter \"<name>\" is not valid."),
    added("SignatureNonceUsed", 400, "The request signature nonce has been used."),
    added("IdempotentParameterMismatch", 400, "The specified ClientToken was used with different parameters."),
    added("InvalidProtocol.NeedSsl", 400, "The request is denied for lack of SSL protection."),
    added("InvalidAccountName.NotFound", 404, "The specified account does not exist."),
    added("InvalidSecurityToken.Expired", 400, "The security token has expired."),
    added("InvalidSecurityToken.Malformed", 400, "The security token is malformed."),
    // By analogy with QuotaExceeded.AccountName.
    added("QuotaExceeded.Tag", 403, "The quota of tags exceeds."),
    // By analogy with InvalidAccountName.Duplicate.
    added("InvalidTagKey.Duplicate", 400, "The specified tag key occurs twice."),
    added("InvalidTableName.NotFound", 404, "The specified table does not exist."),
];
