//! Checks that several actions make of their parameters, with the code that each answers.

use std::collections::BTreeSet;

use openpeta_types::{
    AccountDescription, AccountName, DbName, InstanceName, Password, WhitelistEntry,
    WhitelistError, parse_entries,
};

use crate::params::decimal;
use crate::{Action, ApiError, ParameterKind, Params};

/// The default whitelist group of an instance that was ordered without one.
pub(crate) const DEFAULT_ENTRIES: &str = "127.0.0.1";

/// Refuses a call that lacks a required parameter, before any value is looked at.
pub(crate) fn check_required(action: Action, params: &Params) -> Result<(), ApiError> {
    for parameter in action
        .spec()
        .parameters
        .iter()
        .filter(|parameter| parameter.required)
    {
        if let Some((before, after)) = parameter.name.split_once('N')
            && parameter.kind == ParameterKind::Repeated
        {
            if params.numbered(before, after).is_empty() {
                let first = format!("{before}1{after}");
                return Err(ApiError::missing_parameter(&first));
            }
        } else if params.aliased(parameter)?.is_none() {
            return Err(ApiError::missing_parameter(parameter.name));
        }
    }
    Ok(())
}

/// Reads a value out of a fixed set that was found under the name or an alias.
pub(crate) fn choice_of<T>(
    text: Option<&str>,
    name: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    text.map(|text| parse(text).ok_or_else(|| ApiError::value_not_supported(name)))
        .transpose()
}

/// The name of a database to be made.
pub(crate) fn new_db_name(text: &str) -> Result<DbName, ApiError> {
    DbName::parse(text).map_err(|error| match error.reserved {
        true => ApiError::db_name_keyword(),
        false => ApiError::malformed("DBName"),
    })
}

/// The database that a call is about, from the parameter of that name.
pub(crate) fn db_name(params: &Params, name: &str) -> Result<DbName, ApiError> {
    DbName::parse(params.required(name)?).map_err(|_| ApiError::db_not_found())
}

/// The name of an account to be made.
pub(crate) fn new_account_name(text: &str) -> Result<AccountName, ApiError> {
    AccountName::parse_new(text).map_err(|error| match error.reserved {
        true => ApiError::account_name_keyword(),
        false => ApiError::malformed("AccountName"),
    })
}

/// The account that a call is about.
pub(crate) fn account_name(params: &Params) -> Result<AccountName, ApiError> {
    AccountName::parse_lookup(params.required("AccountName")?)
        .map_err(|_| ApiError::account_not_found())
}

/// Comma-separated names of databases that exist; one that occurs twice is meant once.
pub(crate) fn db_names(text: &str) -> Result<BTreeSet<DbName>, ApiError> {
    text.split(',')
        .map(|name| DbName::parse(name.trim()))
        .collect::<Result<_, _>>()
        .map_err(|_| ApiError::db_not_found())
}

/// A password to be set, from the parameter of that name.
pub(crate) fn new_password(params: &Params, name: &str) -> Result<Password, ApiError> {
    Password::parse(params.required(name)?).map_err(|_| ApiError::malformed(name))
}

/// A remark on an account.
pub(crate) fn account_description(params: &Params) -> Result<Option<AccountDescription>, ApiError> {
    let name = "AccountDescription";
    params
        .get(name)
        .map(|text| AccountDescription::parse(text).map_err(|_| ApiError::malformed(name)))
        .transpose()
}

/// A display name, from the parameter of that name.
pub(crate) fn instance_name(params: &Params, name: &str) -> Result<Option<InstanceName>, ApiError> {
    params
        .get(name)
        .map(|text| InstanceName::parse(text).map_err(|_| ApiError::malformed(name)))
        .transpose()
}

/// A number of nodes: 1 to 128.
pub(crate) fn node_number(text: &str) -> Result<u32, ApiError> {
    decimal(text)
        .filter(|number| (1..=128).contains(number))
        .ok_or_else(|| ApiError::malformed("NodeNumber"))
}

/// Whitelist entries, comma-separated, at least one.
pub(crate) fn whitelist_entries(text: &str) -> Result<Vec<WhitelistEntry>, ApiError> {
    parse_entries(text).map_err(|error| match error {
        WhitelistError::Empty => ApiError::missing_parameter("SecurityIPList"),
        WhitelistError::Malformed => ApiError::malformed("SecurityIPList"),
        WhitelistError::Duplicate => ApiError::security_ip_duplicate(),
        WhitelistError::TooMany => ApiError::security_ip_list_too_long(),
    })
}
