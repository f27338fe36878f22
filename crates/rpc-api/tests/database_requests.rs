//! Typed requests about databases: what they read, and the exact error for each broken rule.

use openpeta_rpc_api::databases::{
    CreateDatabaseRequest, DescribeDatabasePartitionsRequest, ModifyDatabaseNodesNumberRequest,
};
use openpeta_rpc_api::{ApiError, ApiRequest, Params};

type Pairs<'a> = &'a [(&'a str, &'a str)];

const BASE: Pairs<'static> = &[("InstanceId", "pd-1"), ("DBName", "shop")];

/// Reads a request with some parameters added to the usual two or in their place.
fn read<R: ApiRequest>(changes: Pairs<'_>) -> Result<R, ApiError> {
    let kept = BASE
        .iter()
        .filter(|(name, _)| changes.iter().all(|(other, _)| other != name));
    let params = Params::from_pairs(kept.chain(changes).copied()).expect("unique names");
    R::from_params(&params)
}

/// Checks that each change of `base` answers its code, which the action's page lists.
fn refuses<R: ApiRequest>(base: Pairs<'_>, cases: &[(&str, &str, &str)]) {
    for (name, value, code) in cases {
        let kept = base.iter().filter(|(other, _)| other != name);
        let changed: Vec<_> = kept.copied().chain([(*name, *value)]).collect();
        let error = read::<R>(&changed).err();
        let error = error.unwrap_or_else(|| panic!("{name}={value} was accepted"));
        assert_eq!(error.code, *code, "{name}={value}");
        let errors = R::ACTION.spec().errors;
        let listed = errors.iter().find(|listed| listed.code == error.code);
        let listed = listed.unwrap_or_else(|| panic!("{code} is not listed"));
        assert_eq!(listed.http_status, error.http_status, "{code}");
    }
}

#[test]
fn create_database() {
    let base = [("NodeSpec", "petadata.s2.large"), ("NodeNumber", "1")];
    let request: CreateDatabaseRequest = read(&base).expect("well formed");
    assert_eq!(request.db_name.as_str(), "shop");
    assert_eq!(request.node_number, 1);
    assert_eq!(request.client_token, None);
    for name in ["Token", "ClientToken"] {
        let with_token = [&base[..], &[(name, "t")]].concat();
        let request: CreateDatabaseRequest = read(&with_token).expect("well formed");
        assert_eq!(request.client_token.expect("given").as_str(), "t");
    }
    let long = "x".repeat(65);
    refuses::<CreateDatabaseRequest>(
        &base,
        &[
            ("InstanceId", "", "MissingParameter"),
            ("InstanceId", "no such", "InvalidDBInstanceId.NotFound"),
            ("DBName", "", "MissingParameter"),
            ("DBName", "Shop", "InvalidDBName.Malformed"),
            ("DBName", "information_schema", "InvalidParameter.Keyword"),
            ("NodeSpec", "", "MissingParameter"),
            ("NodeNumber", "", "MissingParameter"),
            ("NodeNumber", "0", "InvalidNodeNumber.Malformed"),
            ("NodeNumber", "129", "InvalidNodeNumber.Malformed"),
            ("Token", &long, "InvalidToken.Malformed"),
            ("ClientToken", &long, "InvalidToken.Malformed"),
        ],
    );
    let two = [&base[..], &[("Token", "a"), ("ClientToken", "b")]].concat();
    let error = read::<CreateDatabaseRequest>(&two).expect_err("they differ");
    assert_eq!(error, ApiError::invalid_parameter("Token"));
}

#[test]
fn modify_database_nodes_number() {
    let base = [("Parameter", "2")];
    let request: ModifyDatabaseNodesNumberRequest = read(&base).expect("well formed");
    assert_eq!(request.node_number, 2);
    for more in [("ActionType", "-1"), ("AutoPay", "true")] {
        read::<ModifyDatabaseNodesNumberRequest>(&[base[0], more]).expect("well formed");
    }
    refuses::<ModifyDatabaseNodesNumberRequest>(
        &base,
        &[
            ("DBName", "", "MissingParameter"),
            ("DBName", "Shop", "InvalidDBName.NotFound"),
            ("Parameter", "", "MissingParameter"),
            ("Parameter", "0", "InvalidParameter.Malformed"),
            ("Parameter", "two", "InvalidParameter.Malformed"),
            ("ActionType", "out", "InvalidActionType.Malformed"),
            ("AutoPay", "1", "InvalidAutoPay.ValueNotSupported"),
            ("ClientToken", "\n", "InvalidClientToken.Malformed"),
        ],
    );
}

#[test]
fn describe_database_partitions() {
    let request: DescribeDatabasePartitionsRequest = read(&[]).expect("well formed");
    assert_eq!(request.db_name.as_str(), "shop");
    refuses::<DescribeDatabasePartitionsRequest>(
        &[],
        &[
            ("InstanceId", "", "MissingParameter"),
            ("DBName", "", "MissingParameter"),
            ("DBName", "mysql", "InvalidDBName.NotFound"),
        ],
    );
}
