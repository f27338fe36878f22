//! Every check between a request and its action, in both forms of answer.

use crate::support::client::{Connection, Reply, exchange};
use crate::support::{Key, TestService, acs3, code_of, form, nonce};
use jiff::{SignedDuration, Timestamp};
use openpeta_rpc_api::{Action, Format};
use openpeta_server::{HttpForSecrets, ThrottleConfig};
use serde_json::json;

/// Sends the same query in both forms and gives code and status, which must agree.
fn refused(service: &TestService, query: impl Fn(Format) -> String) -> (u16, String) {
    let mut found = Vec::new();
    for (format, content_type) in [
        (Format::Json, "application/json;charset=utf-8"),
        (Format::Xml, "text/xml;charset=utf-8"),
    ] {
        let reply = service.get_query(&query(format));
        assert_eq!(
            reply.header("content-type"),
            Some(content_type),
            "{reply:?}"
        );
        let text = reply.text();
        let id = reply.header("x-acs-request-id").expect("RequestId");
        assert!(text.contains(id) && text.contains("api.test:80"), "{text}");
        found.push((reply.status, code_of(&reply)));
    }
    assert_eq!(found[0], found[1]);
    found.remove(0)
}

/// A signed query with one parameter replaced or, with `None`, removed, after signing.
fn with(query: &str, name: &str, value: Option<&str>) -> String {
    let mut pairs: Vec<String> = query
        .split('&')
        .filter(|pair| !pair.starts_with(&format!("{name}=")))
        .map(str::to_owned)
        .collect();
    pairs.extend(value.map(|value| format!("{name}={value}")));
    pairs.join("&")
}

fn signed(service: &TestService, format: Format) -> String {
    form(
        &service.key,
        "GET",
        "DescribeRegions",
        &[],
        format,
        Timestamp::now(),
        &nonce(),
    )
}

#[test]
fn common_parameters() {
    let service = TestService::start();
    let cases = [
        ("Action", None, 400, "MissingParameter"),
        ("Action", Some("DescribeNothing"), 403, "InvalidAction"),
        ("Version", Some("2014-08-15"), 400, "InvalidParameter"),
        ("AccessKeyId", None, 400, "MissingParameter"),
        (
            "AccessKeyId",
            Some("nobody"),
            404,
            "InvalidAccessKeyId.NotFound",
        ),
        ("Signature", None, 400, "MissingParameter"),
        ("Signature", Some("AAAA"), 400, "IncompleteSignature"),
        (
            "SignatureMethod",
            Some("HMAC-MD5"),
            400,
            "InvalidSignatureMethod.ValueNotSupported",
        ),
        ("SignatureNonce", None, 400, "MissingParameter"),
        (
            "SignatureNonce",
            Some("another"),
            400,
            "IncompleteSignature",
        ),
        ("Timestamp", None, 400, "IllegalTimestamp"),
        ("Timestamp", Some("yesterday"), 400, "IllegalTimestamp"),
        (
            "Timestamp",
            Some("2019-01-17T08%3A00%3A00Z"),
            400,
            "IllegalTimestamp",
        ),
        (
            "SecurityToken",
            Some("t"),
            400,
            "InvalidSecurityToken.Malformed",
        ),
    ];
    for (name, value, status, code) in cases {
        let found = refused(&service, |format| {
            with(&signed(&service, format), name, value)
        });
        assert_eq!(found, (status, code.to_owned()), "{name}={value:?}");
    }
    let reply = service.get_query(&with(
        &signed(&service, Format::Json),
        "Format",
        Some("YAML"),
    ));
    assert_eq!(code_of(&reply), "InvalidFormat.ValueNotSupported");
    assert_eq!(reply.header("content-type"), Some("text/xml;charset=utf-8"));
}

#[test]
fn malformed_and_doubled_parameters() {
    let service = TestService::start();
    for damage in [
        "&a=%zz",
        "&a=%f",
        "&a=%ff",
        "&=1",
        "&Action=DescribeRegions",
        "&%",
    ] {
        let found = refused(&service, |format| signed(&service, format) + damage);
        assert_eq!(found, (400, "InvalidParameter".into()), "{damage}");
    }
}

#[test]
fn the_time_window() {
    let service = TestService::start();
    for (minutes, expected) in [
        (-16, "IllegalTimestamp"),
        (16, "IllegalTimestamp"),
        (-14, "OK"),
        (14, "OK"),
    ] {
        let time = Timestamp::now() + SignedDuration::from_mins(minutes);
        let query = form(
            &service.key,
            "GET",
            "DescribeRegions",
            &[],
            Format::Json,
            time,
            &nonce(),
        );
        assert_eq!(code_of(&service.get_query(&query)), expected, "{minutes}");
    }
}

#[test]
fn a_nonce_works_once_also_across_a_restart() {
    let mut service = TestService::start();
    let query = signed(&service, Format::Json);
    assert_eq!(code_of(&service.get_query(&query)), "OK");
    assert_eq!(code_of(&service.get_query(&query)), "SignatureNonceUsed");
    service.restart();
    let reply = service.get_query(&query);
    assert_eq!(
        (reply.status, code_of(&reply).as_str()),
        (400, "SignatureNonceUsed")
    );

    // A call that was refused for its signature does not use up the nonce.
    let nonce = nonce();
    let good = form(
        &service.key,
        "GET",
        "DescribeRegions",
        &[],
        Format::Json,
        Timestamp::now(),
        &nonce,
    );
    let forged = with(&good, "Signature", Some("AAAA"));
    assert_eq!(code_of(&service.get_query(&forged)), "IncompleteSignature");
    assert_eq!(code_of(&service.get_query(&good)), "OK");
}

#[test]
fn unsigned_calls_reach_no_action() {
    let service = TestService::start();
    for action in Action::ALL {
        let name = action.name();
        let unsigned = format!("Action={name}&Version=2016-01-01&Format=JSON");
        assert_eq!(
            code_of(&service.get_query(&unsigned)),
            "MissingParameter",
            "{name}"
        );
        let query = service.form("GET", name, &[("InstanceId", "pd-x")]);
        let forged = with(&query, "Signature", Some("Zm9yZ2Vk"));
        assert_eq!(
            code_of(&service.get_query(&forged)),
            "IncompleteSignature",
            "{name}"
        );
    }
    let audit = service.admin(&json!({"command": "audit-list"}));
    assert_eq!(audit, json!([]), "no trace of calls that nobody made");
}

#[test]
fn owners_can_only_be_the_caller() {
    let service = TestService::start();
    let code = |parameters: &[(&str, &str)]| code_of(&service.get("DescribeRegions", parameters));
    assert_eq!(
        code(&[("OwnerId", "1"), ("OwnerAccount", "x")]),
        "InvalidOwner"
    );
    assert_eq!(code(&[("OwnerId", "1")]), "InvalidOwnerId");
    assert_eq!(code(&[("OwnerAccount", "nobody")]), "InvalidOwnerAccount");
    assert_eq!(code(&[("OwnerAccount", "default")]), "OK");
}

const PASSWORD: &str = "Secret-Passw0rd";

fn create_account(service: &TestService) -> String {
    let parameters = [
        ("InstanceId", "pd-none"),
        ("AccountName", "app"),
        ("AccountPassword", PASSWORD),
        ("DBInfo", "[]"),
    ];
    service.form("GET", "CreateAccount", &parameters)
}

#[test]
fn secrets_need_tls_unless_the_deployment_says_otherwise() {
    let over_http = |allow, documented| {
        let service = TestService::start_with(|config| {
            config.api.allow_http_for_secrets = allow;
            config.api.https_only_documented = documented;
        });
        let secret = code_of(&service.get_query(&create_account(&service)));
        let documented = code_of(&service.get("DescribeAccounts", &[("InstanceId", "pd-none")]));
        if secret != "InvalidProtocol.NeedSsl" {
            return (secret, documented);
        }
        let ca = service.dir.path().join("tls/ca.pem");
        let mut tls = Connection::open_tls(service.https, &ca);
        let query = create_account(&service);
        tls.send(format!("GET /?{query} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes());
        assert_ne!(
            code_of(&tls.receive()),
            "InvalidProtocol.NeedSsl",
            "over TLS it passes"
        );
        (secret, documented)
    };
    let not_found = "InvalidDBInstanceId.NotFound".to_owned();
    let need_ssl = "InvalidProtocol.NeedSsl".to_owned();
    let found = over_http(HttpForSecrets::Never, false);
    assert_eq!(found, (need_ssl.clone(), not_found.clone()));
    let found = over_http(HttpForSecrets::Never, true);
    assert_eq!(found, (need_ssl.clone(), need_ssl.clone()));
    let (secret, _) = over_http(HttpForSecrets::Loopback, false);
    assert_ne!(secret, need_ssl);
}

#[test]
fn a_trusted_proxy_speaks_for_its_client() {
    let service = TestService::start_with(|config| {
        config.api.allow_http_for_secrets = HttpForSecrets::Loopback;
        config.api.trusted_proxies = vec!["127.0.0.0/8".parse().expect("net")];
    });
    let code = |headers: &str| {
        let query = create_account(&service);
        let request = format!("GET /?{query} HTTP/1.1\r\nhost: a\r\n{headers}\r\n");
        code_of(&exchange(service.http, request.as_bytes()))
    };
    let far = "x-forwarded-for: 8.8.8.8\r\n";
    assert_eq!(code(far), "InvalidProtocol.NeedSsl");
    assert_ne!(
        code(&format!("{far}x-forwarded-proto: https\r\n")),
        "InvalidProtocol.NeedSsl"
    );
}

#[test]
fn throttled_calls_say_when_to_come_back() {
    let service = TestService::start_with(|config| {
        config.api.throttle = ThrottleConfig {
            reads_per_second: 1,
            reads_burst: 2,
            ..ThrottleConfig::default()
        };
    });
    let replies: Vec<Reply> = (0..4)
        .map(|_| service.get("DescribeRegions", &[]))
        .collect();
    assert_eq!(code_of(&replies[1]), "OK");
    let last = &replies[3];
    assert_eq!(
        (last.status, code_of(last).as_str()),
        (400, "Throttling"),
        "{last:?}"
    );
    let millis: u64 = last
        .header("x-acs-retry-after")
        .expect("header")
        .parse()
        .expect("number");
    assert!((1..=1000).contains(&millis), "{millis}");
    assert_eq!(last.header("retry-after"), Some("1"));
    assert_eq!(replies[0].header("x-acs-retry-after"), None);
    // Another key is not affected, and changes are counted apart.
    let changed = service.get("ModifyInstanceName", &[("InstanceId", "pd-none")]);
    assert_ne!(code_of(&changed), "Throttling");
}

fn text(value: &serde_json::Value, name: &str) -> String {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("{name} in {value}"))
        .to_owned()
}

/// Replies spell the number as clients see it, commands take it as a number.
fn account_number(tenant: &serde_json::Value) -> u64 {
    text(tenant, "account_id").parse().expect("a number")
}

fn key(value: &serde_json::Value) -> Key {
    Key {
        id: text(value, "access_key_id"),
        secret: text(value, "access_key_secret"),
        token: value["security_token"].as_str().map(str::to_owned),
    }
}

#[test]
fn keys_of_others() {
    let service = TestService::start();
    let tenant = service.admin(&json!({"command": "tenant-create", "name": "other"}));
    let other = key(&tenant);
    assert_eq!(
        code_of(&service.get_as(&other, "DescribeRegions", &[])),
        "OK"
    );

    let account = account_number(&tenant);
    let sts = service
        .admin(&json!({"command": "sts-issue", "account_id": account, "duration_seconds": 900}));
    let temporary = key(&sts);
    assert!(temporary.token.is_some(), "{sts}");
    assert_eq!(
        code_of(&service.get_as(&temporary, "DescribeRegions", &[])),
        "OK"
    );
    let request = acs3(&temporary, "GET", "DescribeRegions", &[], b"", &[]);
    assert_eq!(code_of(&exchange(service.http, &request)), "OK");
    for token in [None, Some("wrong".to_owned())] {
        let broken = Key {
            token,
            ..temporary.clone()
        };
        let code = code_of(&service.get_as(&broken, "DescribeRegions", &[]));
        assert_eq!(code, "InvalidSecurityToken.Malformed");
    }

    service.admin(&json!({"command": "access-key-disable", "access_key_id": other.id}));
    let reply = service.get_as(&other, "DescribeRegions", &[]);
    assert_eq!(
        (reply.status, code_of(&reply).as_str()),
        (404, "InvalidAccessKeyId.NotFound")
    );
}

#[test]
fn permission_comes_before_parameters() {
    let service = TestService::start();
    let account = account_number(&service.admin(&json!({"command": "tenant-list"}))[0]);
    let user = json!({"command": "ram-user-create", "account_id": account, "user_name": "u"});
    service.admin(&user);
    let made = service
        .admin(&json!({"command": "access-key-create", "account_id": account, "user_name": "u"}));
    let user = key(&made);
    for (action, parameters) in [
        ("DescribeInstanceInfo", &[][..]),
        ("ModifyInstanceName", &[("InstanceId", "pd-none")][..]),
        (
            "DescribeTasks",
            &[("InstanceId", "nonsense"), ("MaxRecordsPerPage", "7")][..],
        ),
        ("DescribeRegions", &[][..]),
    ] {
        let reply = service.get_as(&user, action, parameters);
        let found = (reply.status, code_of(&reply));
        assert_eq!(found, (403, "Forbidden.RAM".into()), "{action}");
    }
    let allow =
        r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"petadata:*","Resource":"*"}]}"#;
    service.admin(&json!({
        "command": "policy-attach", "account_id": account, "user_name": "u",
        "policy_name": "all", "document": allow,
    }));
    assert_eq!(
        code_of(&service.get_as(&user, "DescribeRegions", &[])),
        "OK"
    );
    let code = code_of(&service.get_as(&user, "DescribeInstanceInfo", &[]));
    assert_eq!(code, "MissingParameter");
}

#[test]
fn refused_changes_leave_one_audit_row_without_secrets() {
    let service = TestService::start();
    service.get_query(&create_account(&service));
    service.get("DeleteInstance", &[("InstanceId", "pd-none")]);
    service.get("ModifyInstanceName", &[]);
    service.get("DescribeInstanceInfo", &[("InstanceId", "pd-none")]);
    let audit = service.admin(&json!({"command": "audit-list"}));
    let rows: Vec<(String, String)> = audit
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| (text(row, "action"), text(row, "outcome")))
        .collect();
    let expected = [
        ("ModifyInstanceName", "MissingParameter"),
        ("DeleteInstance", "InvalidDBInstanceId.NotFound"),
        ("CreateAccount", "InvalidProtocol.NeedSsl"),
    ];
    let expected: Vec<_> = expected
        .iter()
        .map(|(a, o)| ((*a).to_owned(), (*o).to_owned()))
        .collect();
    assert_eq!(rows, expected);
    let shown = audit.to_string();
    assert!(
        !shown.contains(PASSWORD) && shown.contains("***"),
        "{shown}"
    );
}
