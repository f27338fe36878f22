//! Signatures against published and recorded vectors, tests/data/signature_vectors.json, and
//! round trips through the client side.

use jiff::{SignedDuration, Timestamp};
use openpeta_rpc_api::{
    Acs3Request, Action, ApiError, Credentials, Failure, Format, Params, RawRequest, SignedCall,
    V1Request, decode, sign_acs3, sign_v1, signed_form_v1, string_to_sign_v1,
};
use openpeta_types::parse_time;
use serde_json::Value;

const SECRET: &str = "testsecret";
const CREDENTIALS: Credentials<'static> = Credentials {
    access_key_id: "testid",
    access_key_secret: SECRET,
    security_token: None,
};

fn vectors(kind: &str) -> Vec<Value> {
    let file = include_str!("data/signature_vectors.json");
    let all: Value = serde_json::from_str(file).expect("valid JSON");
    all[kind].as_array().expect("a list").clone()
}

fn pairs(object: &Value) -> Vec<(&str, &str)> {
    let object = object.as_object().expect("an object");
    object
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().expect("a text")))
        .collect()
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().expect("a text")
}

fn time() -> Timestamp {
    parse_time("2019-01-17T08:00:00Z").expect("a time")
}

/// Decodes a request whose headers are given as pairs.
fn decoded(
    method: &str,
    query: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Result<SignedCall, Failure> {
    let header = |name: &str| {
        headers
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    };
    decode(&RawRequest {
        method,
        path: "/",
        query,
        header: &header,
        body,
    })
}

fn form_header() -> Vec<(String, String)> {
    vec![(
        "content-type".into(),
        "application/x-www-form-urlencoded; charset=UTF-8".into(),
    )]
}

fn v1_form(method: &str, action: &str, parameters: &[(&str, &str)]) -> String {
    signed_form_v1(&V1Request {
        method,
        action,
        parameters,
        format: Format::Json,
        credentials: CREDENTIALS,
        timestamp: time(),
        nonce: "n-1",
    })
    .expect("unique names")
}

#[test]
fn version_1_vectors() {
    let vectors = vectors("v1");
    assert_eq!(vectors.len(), 7);
    for vector in &vectors {
        let params = Params::from_pairs(pairs(&vector["parameters"])).expect("unique names");
        let method = text(vector, "method");
        let name = text(vector, "name");
        assert_eq!(
            string_to_sign_v1(method, &params),
            text(vector, "string_to_sign"),
            "{name}"
        );
        let secret = text(vector, "access_key_secret");
        assert_eq!(
            sign_v1(method, &params, secret),
            text(vector, "signature"),
            "{name}"
        );
    }
}

#[test]
fn acs3_vectors_are_verified() {
    let vectors = vectors("acs3");
    assert_eq!(vectors.len(), 3);
    for vector in &vectors {
        let mut headers: Vec<(String, String)> = pairs(&vector["headers"])
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        headers.push((
            "authorization".into(),
            text(vector, "authorization").to_owned(),
        ));
        // The canonical query is one way to write the query.
        let canonical = text(vector, "canonical_request");
        let query = canonical.split('\n').nth(2).expect("a third line");
        let body = text(vector, "body").as_bytes();
        let name = text(vector, "name");
        let call = decoded(text(vector, "method"), query, &headers, body).expect(name);
        assert_eq!(
            call.verify(text(vector, "access_key_secret")),
            Ok(()),
            "{name}"
        );
        assert!(call.verify("other").is_err(), "{name}");
        assert_eq!(call.format(), Format::Json);
        assert_eq!(call.access_key_id(), "testid");
        assert_eq!(call.nonce(), "n-1");
        assert_eq!(call.timestamp(), Some(time()));
        for (key, value) in pairs(&vector["query"]) {
            assert_eq!(call.params().raw(key), Some(value), "{name}");
        }
    }
}

#[test]
fn acs3_vectors_are_signed() {
    for vector in &vectors("acs3") {
        let all = pairs(&vector["headers"]);
        let extra: Vec<_> = all
            .iter()
            .copied()
            .filter(|(name, _)| matches!(*name, "accept" | "content-type"))
            .collect();
        let find = |name: &str| {
            all.iter()
                .find(|(other, _)| *other == name)
                .map(|pair| pair.1)
        };
        let query = pairs(&vector["query"]);
        let (_, headers) = sign_acs3(&Acs3Request {
            method: text(vector, "method"),
            path: "/",
            host: find("host").expect("a host"),
            action: find("x-acs-action").expect("an action"),
            query: &query,
            body: text(vector, "body").as_bytes(),
            headers: &extra,
            credentials: Credentials {
                security_token: find("x-acs-security-token"),
                ..CREDENTIALS
            },
            timestamp: time(),
            nonce: "n-1",
        });
        let (name, authorization) = headers.last().expect("headers");
        assert_eq!(name, "authorization");
        assert_eq!(authorization, text(vector, "authorization"));
    }
}

#[test]
fn what_a_client_signs_the_server_verifies() {
    let parameters = [("InstanceName", "a b*~/+%&=(x)!'中文\n"), ("VpcId", "")];
    for (method, in_body) in [("GET", false), ("POST", false), ("POST", true)] {
        let form = v1_form(method, "CreateInstance", &parameters);
        let call = if in_body {
            decoded(method, "", &form_header(), form.as_bytes())
        } else {
            decoded(method, &form, &[], b"")
        }
        .expect("a sound request");
        assert_eq!(call.verify(SECRET), Ok(()));
        assert!(call.verify("testsecreT").is_err());
        assert_eq!(call.action(), Action::CreateInstance);
        assert_eq!(call.params().raw("InstanceName"), Some(parameters[0].1));
        assert_eq!(call.params().raw("VpcId"), Some(""));
    }
}

#[test]
fn query_and_form_are_merged() {
    let form = v1_form("POST", "DescribeInstances", &[("PageNumber", "2")]);
    let (first, second) = form.split_at(form.find("&Format").expect("a Format"));
    let call = decoded("POST", first, &form_header(), second.as_bytes()).expect("a sound request");
    assert_eq!(call.verify(SECRET), Ok(()));
    assert_eq!(call.format(), Format::Json);
}

#[test]
fn blanks_may_come_as_plus_signs() {
    let form = v1_form("POST", "DescribeInstances", &[("InstanceId", "a b+c")]);
    let plus = form.replace("%20", "+");
    assert_ne!(plus, form);
    for (query, body) in [(plus.as_str(), ""), ("", plus.as_str())] {
        let call = decoded("POST", query, &form_header(), body.as_bytes()).expect("sound");
        assert_eq!(call.verify(SECRET), Ok(()));
        assert_eq!(call.params().get("InstanceId"), Some("a b+c"));
    }
}

#[test]
fn a_wrong_signature_shows_the_signed_text() {
    let form = v1_form("GET", "DescribeInstances", &[]);
    let call = decoded("GET", &form, &[], b"").expect("a sound request");
    let error = call.verify("wrong").expect_err("another secret");
    assert_eq!(
        (error.code.as_ref(), error.http_status),
        ("IncompleteSignature", 400)
    );
    let (_, shown) = error
        .message
        .split_once("server string to sign is:")
        .expect("the marker");
    assert_eq!(shown, string_to_sign_v1("GET", call.params()));
}

#[test]
fn a_wrong_signature_never_shows_a_password() {
    for (action, name) in [
        ("CreateAccount", "AccountPassword"),
        ("ResetAccountPassword", "NewPassword"),
        ("DescribeInstances", "OldPassword"),
    ] {
        let form = v1_form("POST", action, &[(name, "Hunter2secret")]);
        let call = decoded("POST", &form, &[], b"").expect("a sound request");
        let error = call.verify("wrong").expect_err("another secret");
        assert_eq!(error, ApiError::incomplete_signature(None), "{action}");
        assert!(!format!("{call:?}").contains("Hunter2secret"));
    }
}

#[test]
fn the_time_window_is_fifteen_minutes_either_way() {
    let call = decoded("GET", &v1_form("GET", "DescribeRegions", &[]), &[], b"").expect("sound");
    let window = SignedDuration::from_mins(15);
    let second = SignedDuration::from_secs(1);
    for good in [time(), time() + window, time() - window] {
        assert_eq!(call.check_time(good), Ok(()));
    }
    for bad in [time() + window + second, time() - window - second] {
        assert_eq!(call.check_time(bad), Err(ApiError::illegal_timestamp()));
    }
}

#[test]
fn temporary_credentials_carry_their_token() {
    let credentials = Credentials {
        security_token: Some("tok"),
        ..CREDENTIALS
    };
    let form = signed_form_v1(&V1Request {
        method: "GET",
        action: "DescribeRegions",
        parameters: &[],
        format: Format::Xml,
        credentials,
        timestamp: time(),
        nonce: "n-1",
    });
    let call = decoded("GET", &form.expect("unique names"), &[], b"").expect("sound");
    assert_eq!(call.security_token(), Some("tok"));
    assert_eq!(call.format(), Format::Xml);
}

/// A signed ACS3 request to tamper with.
fn acs3(body: &[u8]) -> (String, Vec<(String, String)>) {
    sign_acs3(&Acs3Request {
        method: "POST",
        path: "/",
        host: "127.0.0.1:8080",
        action: "ModifyInstanceName",
        query: &[("InstanceId", "pd-1")],
        body,
        headers: &[("content-type", "application/x-www-form-urlencoded")],
        credentials: Credentials {
            security_token: Some("tok"),
            ..CREDENTIALS
        },
        timestamp: time(),
        nonce: "n-1",
    })
}

#[test]
fn an_acs3_signature_covers_query_headers_and_body() {
    let body = b"NewInstanceName=a";
    let (query, headers) = acs3(body);
    let verify = |query: &str, headers: &[(String, String)], body: &[u8]| {
        decoded("POST", query, headers, body)
            .expect("decodable")
            .verify(SECRET)
    };
    assert_eq!(verify(&query, &headers, body), Ok(()));
    assert!(verify("InstanceId=pd-2", &headers, body).is_err());
    assert!(verify(&query, &headers, b"NewInstanceName=b").is_err());
    for index in 0..headers.len() - 1 {
        let mut changed = headers.clone();
        let (name, value) = &mut changed[index];
        if matches!(name.as_str(), "x-acs-version" | "content-type") {
            continue;
        }
        *value = match name.as_str() {
            "x-acs-action" => "DeleteInstance".into(),
            _ => format!("{value}x"),
        };
        assert!(
            verify(&query, &changed, body).is_err(),
            "{:?}",
            changed[index]
        );
    }
}

#[test]
fn an_acs3_signature_must_cover_what_matters() {
    let (query, headers) = acs3(b"");
    for name in ["host", "x-acs-action", "x-acs-date", "x-acs-security-token"] {
        let mut changed = headers.clone();
        let (_, authorization) = changed.last_mut().expect("headers");
        *authorization = authorization.replace(&format!("{name};"), "");
        let call = decoded("POST", &query, &changed, b"").expect("decodable");
        assert_eq!(
            call.verify(SECRET),
            Err(ApiError::incomplete_signature(None)),
            "{name}"
        );
    }
}
