//! The checks before the signature: their codes, their order, and the form of the answer.

use openpeta_rpc_api::{ApiError, Failure, Format, RawRequest, SignedCall, decode};
use openpeta_types::{AccountId, parse_time};

/// A request that passes every check up to the signature.
const SOUND: [(&str, &str); 9] = [
    ("Action", "DescribeInstances"),
    ("Version", "2016-01-01"),
    ("Format", "JSON"),
    ("AccessKeyId", "testid"),
    ("Signature", "AAAA"),
    ("SignatureMethod", "HMAC-SHA1"),
    ("SignatureVersion", "1.0"),
    ("SignatureNonce", "n-1"),
    ("Timestamp", "2019-01-17T08:00:00Z"),
];

fn get(
    method: &str,
    query: &str,
    content_type: Option<&'static str>,
    body: &[u8],
) -> Result<SignedCall, Failure> {
    let header = |name: &str| content_type.filter(|_| name == "content-type");
    decode(&RawRequest {
        method,
        path: "/",
        query,
        header: &header,
        body,
    })
}

/// The sound request with some parameters changed; `None` takes one away.
fn query(changes: &[(&str, Option<&str>)]) -> String {
    let kept = SOUND
        .iter()
        .filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name))
        .map(|(name, value)| format!("{name}={value}"));
    let changed = changes
        .iter()
        .filter_map(|(name, value)| value.map(|value| format!("{name}={value}")));
    kept.chain(changed).collect::<Vec<_>>().join("&")
}

fn with(changes: &[(&str, Option<&str>)]) -> Result<SignedCall, Failure> {
    get("GET", &query(changes), None, b"")
}

fn error(changes: &[(&str, Option<&str>)]) -> ApiError {
    with(changes).expect_err("a refusal").error
}

#[test]
fn the_sound_request_passes() {
    let call = with(&[]).expect("sound");
    assert_eq!(call.action_name(), "DescribeInstances");
    assert_eq!(
        call.check_time(parse_time("2019-01-17T08:10:00Z").expect("a time")),
        Ok(())
    );
}

#[test]
fn absent_and_empty_common_parameters() {
    for value in [None, Some("")] {
        for name in [
            "Action",
            "Version",
            "AccessKeyId",
            "Signature",
            "SignatureMethod",
            "SignatureVersion",
            "SignatureNonce",
        ] {
            assert_eq!(error(&[(name, value)]), ApiError::missing_parameter(name));
        }
    }
}

#[test]
fn absent_unreadable_and_foreign_times_are_illegal() {
    let now = parse_time("2019-01-17T08:00:00Z").expect("a time");
    for value in [
        None,
        Some(""),
        Some("now"),
        Some("2019-01-17"),
        Some("2019-01-17T16:00:00%2B08:00"),
    ] {
        let call = with(&[("Timestamp", value)]).expect("refused later");
        assert_eq!(
            call.check_time(now),
            Err(ApiError::illegal_timestamp()),
            "{value:?}"
        );
    }
    let fraction = with(&[("Timestamp", Some("2019-01-17T08:00:00.123456789Z"))]).expect("sound");
    assert_eq!(fraction.check_time(now), Ok(()));
}

#[test]
fn wrong_common_parameters() {
    for (name, value, expected) in [
        ("Action", "Nope", ApiError::invalid_action()),
        ("Action", "describeinstances", ApiError::invalid_action()),
        (
            "Version",
            "2014-08-15",
            ApiError::invalid_parameter("Action or Version"),
        ),
        ("Format", "YAML", ApiError::value_not_supported("Format")),
        (
            "SignatureMethod",
            "HMAC-SHA256",
            ApiError::value_not_supported("SignatureMethod"),
        ),
        (
            "SignatureVersion",
            "2.0",
            ApiError::value_not_supported("SignatureVersion"),
        ),
        (
            "SignatureType",
            "BEARERTOKEN",
            ApiError::value_not_supported("SignatureType"),
        ),
        ("RegionId", "%zz", ApiError::invalid_parameter("RegionId")),
    ] {
        assert_eq!(error(&[(name, Some(value))]), expected);
    }
    assert!(with(&[("SignatureType", Some(""))]).is_ok());
    let long = "n".repeat(257);
    assert_eq!(
        error(&[("SignatureNonce", Some(&long))]),
        ApiError::invalid_parameter("SignatureNonce")
    );
}

#[test]
fn the_first_check_that_fails_answers() {
    // Each change adds a fault that is checked before those added earlier.
    let faults: [(&str, Option<&str>, ApiError); 5] = [
        (
            "SignatureMethod",
            Some("x"),
            ApiError::value_not_supported("SignatureMethod"),
        ),
        (
            "AccessKeyId",
            None,
            ApiError::missing_parameter("AccessKeyId"),
        ),
        ("Format", Some("x"), ApiError::value_not_supported("Format")),
        (
            "Version",
            Some("x"),
            ApiError::invalid_parameter("Action or Version"),
        ),
        ("Action", Some("x"), ApiError::invalid_action()),
    ];
    let mut changes = Vec::new();
    for (name, value, expected) in faults {
        changes.push((name, value));
        assert_eq!(error(&changes), expected);
    }
    let failure = get("PUT", &query(&changes), None, b"").expect_err("a refusal");
    assert_eq!(failure.error, ApiError::unsupported_http_method());
}

#[test]
fn every_error_comes_in_the_form_that_was_asked_for() {
    for (format, expected) in [
        (Some("JSON"), Format::Json),
        (Some("json"), Format::Json),
        (Some("%4aSON"), Format::Json),
        (Some("xml"), Format::Xml),
        (Some(""), Format::Xml),
        (None, Format::Xml),
        (Some("YAML"), Format::Xml),
        (Some("%zz"), Format::Xml),
    ] {
        for fault in [
            ("Action", Some("Nope")),
            ("X", Some("%zz")),
            ("Signature", None),
        ] {
            let failure = with(&[("Format", format), fault]).expect_err("a refusal");
            assert_eq!(failure.format, expected, "{format:?} {fault:?}");
        }
        let failure = get("DELETE", &query(&[("Format", format)]), None, b"");
        assert_eq!(failure.expect_err("a refusal").format, expected);
    }
    let form = "application/x-www-form-urlencoded";
    let failure = get("POST", "", Some(form), b"Format=JSON&Action=%zz").expect_err("a refusal");
    assert_eq!(failure.format, Format::Json);
}

#[test]
fn doubled_names_are_refused_across_query_and_form() {
    let form = Some("application/x-www-form-urlencoded");
    let failure = get("POST", &query(&[]), form, b"Action=DescribeRegions").expect_err("twice");
    assert_eq!(failure.error, ApiError::invalid_parameter("Action"));
    // A GET has no form; what is sent along is not looked at.
    assert!(get("GET", &query(&[]), form, b"Action=DescribeRegions").is_ok());
}

#[test]
fn a_body_must_be_a_form() {
    let json = get("POST", &query(&[]), Some("application/json"), b"{}").expect_err("JSON");
    assert_eq!(json.error, ApiError::invalid_parameter("Content-Type"));
    let bytes = get("POST", &query(&[]), None, b"\xff").expect_err("not UTF-8");
    assert_eq!(bytes.error, ApiError::invalid_parameter("Body"));
    assert!(get("POST", &query(&[]), Some("application/json"), b"").is_ok());
    assert!(get("POST", &query(&[]), None, b"RegionId=x").is_ok());
}

#[test]
fn owners_can_only_be_the_caller() {
    let account = AccountId::parse("1234567890123456").expect("valid");
    let check =
        |changes: &[(&str, Option<&str>)]| with(changes).expect("sound").check_owner(account, "me");
    assert_eq!(check(&[]), Ok(()));
    assert_eq!(check(&[("OwnerId", Some("1234567890123456"))]), Ok(()));
    assert_eq!(check(&[("OwnerAccount", Some("me"))]), Ok(()));
    assert_eq!(
        check(&[("OwnerId", Some("2"))]),
        Err(ApiError::invalid_owner_id())
    );
    assert_eq!(
        check(&[("OwnerAccount", Some("x"))]),
        Err(ApiError::invalid_owner_account())
    );
    assert_eq!(
        check(&[
            ("OwnerId", Some("1234567890123456")),
            ("OwnerAccount", Some("me"))
        ]),
        Err(ApiError::invalid_owner())
    );
}
