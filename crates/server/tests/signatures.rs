//! Signed calls reach their action, however their parameters travel.

use crate::support::client::{Connection, exchange};
use crate::support::{TestService, acs3, acs3_at, code_of, form, nonce};
use jiff::Timestamp;
use openpeta_rpc_api::Format;

const FORM: &str = "content-type: application/x-www-form-urlencoded\r\n";

fn chunked(body: &str) -> String {
    let mut out = String::new();
    for chunk in body.as_bytes().chunks(7) {
        out.push_str(&format!(
            "{:x}\r\n{}\r\n",
            chunk.len(),
            String::from_utf8_lossy(chunk)
        ));
    }
    out + "0\r\n\r\n"
}

#[test]
fn version_1_in_every_place() {
    let service = TestService::start();
    let by_get = service.form("GET", "DescribeRegions", &[("RegionId", "cn-hangzhou")]);
    let by_post = || service.form("POST", "DescribeRegions", &[("RegionId", "cn-hangzhou")]);
    let (query, body, chunks) = (by_post(), by_post(), chunked(&by_post()));
    let split = by_post();
    let (in_query, in_body) = split.split_once("&SignatureNonce").expect("a nonce");
    let in_body = format!("SignatureNonce{in_body}");
    let requests = [
        format!("GET /?{by_get} HTTP/1.1\r\nhost: a\r\n\r\n"),
        format!("POST /?{query} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"),
        format!(
            "POST / HTTP/1.1\r\nhost: a\r\n{FORM}content-length: {}\r\n\r\n{body}",
            body.len()
        ),
        format!("POST / HTTP/1.1\r\nhost: a\r\n{FORM}transfer-encoding: chunked\r\n\r\n{chunks}"),
        format!(
            "POST /?{in_query} HTTP/1.1\r\nhost: a\r\n{FORM}content-length: {}\r\n\r\n{in_body}",
            in_body.len()
        ),
    ];
    for request in requests {
        let reply = exchange(service.http, request.as_bytes());
        assert_eq!(
            (reply.status, code_of(&reply).as_str()),
            (200, "OK"),
            "{request}\n{reply:?}"
        );
        let json = reply.json();
        assert!(json["Regions"].is_object(), "{json}");
        let id = json["RequestId"].as_str().expect("RequestId");
        assert_eq!(reply.header("x-acs-request-id"), Some(id));
        assert_eq!(id, id.to_uppercase());
        assert_eq!(
            reply.header("content-type"),
            Some("application/json;charset=utf-8")
        );
    }
}

#[test]
fn xml_is_the_default_and_its_root_follows_the_action() {
    let service = TestService::start();
    let now = Timestamp::now();
    let query = form(
        &service.key,
        "GET",
        "DescribeRegions",
        &[],
        Format::Xml,
        now,
        &nonce(),
    );
    let reply = service.get_query(&query);
    assert_eq!(reply.status, 200, "{reply:?}");
    assert_eq!(reply.header("content-type"), Some("text/xml;charset=utf-8"));
    let text = reply.text();
    assert!(
        text.contains("<DescribeRegionsResponse><RequestId>"),
        "{text}"
    );
}

#[test]
fn acs3_in_every_place() {
    let service = TestService::start();
    let key = &service.key;
    let form = ("content-type", "application/x-www-form-urlencoded");
    let region = [("RegionId", "cn-hangzhou")];
    let mut requests = vec![
        acs3(key, "GET", "DescribeRegions", &region, b"", &[]),
        acs3(
            key,
            "POST",
            "DescribeRegions",
            &region,
            b"",
            &[("accept", "application/json")],
        ),
        acs3(
            key,
            "POST",
            "DescribeRegions",
            &[],
            b"RegionId=cn-hangzhou",
            &[form],
        ),
    ];
    let whole = String::from_utf8(requests[2].clone()).expect("text");
    let (head, body) = whole
        .split_once("content-length: 20\r\n\r\n")
        .expect("a body");
    let nonce_kept = format!("{head}transfer-encoding: chunked\r\n\r\n{}", chunked(body));
    requests[2] = nonce_kept.into_bytes();
    for request in requests {
        let reply = exchange(service.http, &request);
        assert_eq!(
            (reply.status, code_of(&reply).as_str()),
            (200, "OK"),
            "{reply:?}"
        );
        assert_eq!(
            reply.header("content-type"),
            Some("application/json;charset=utf-8")
        );
    }
    let mut changed = acs3(
        key,
        "POST",
        "DescribeRegions",
        &[],
        b"RegionId=cn-hangzhou",
        &[form],
    );
    *changed.last_mut().expect("a body") = b'a';
    let reply = exchange(service.http, &changed);
    assert_eq!(
        (reply.status, code_of(&reply).as_str()),
        (400, "IncompleteSignature")
    );
}

#[test]
fn the_path_may_name_the_action() {
    let service = TestService::start();
    let v1 = |method, path: &str, action| {
        let form = service.form(method, action, &[("RegionId", "cn-hangzhou")]);
        let (target, body) = match method {
            "GET" => (format!("{path}?{form}"), String::new()),
            _ => (path.to_owned(), form),
        };
        format!(
            "{method} {target} HTTP/1.1\r\nhost: a\r\n{FORM}content-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    };
    let v3 = |path: &str, action| acs3_at(path, &service.key, "POST", action, &[], b"", &[]);
    let good = "/DescribeRegions";
    for (request, status, code) in [
        (v1("GET", good, "DescribeRegions"), 200, "OK"),
        (v1("POST", good, "DescribeRegions"), 200, "OK"),
        (v3(good, "DescribeRegions"), 200, "OK"),
        (
            v1("GET", good, "DescribeInstances"),
            400,
            "InvalidParameter",
        ),
        (v1("POST", good, "DeleteInstance"), 400, "InvalidParameter"),
        (v3(good, "DescribeInstances"), 400, "InvalidParameter"),
        (
            v1("GET", "/Describeregions", "DescribeRegions"),
            404,
            "InvalidAction",
        ),
        (
            v3("/DescribeRegions/", "DescribeRegions"),
            404,
            "InvalidAction",
        ),
    ] {
        let reply = exchange(service.http, &request);
        assert_eq!(
            (reply.status, code_of(&reply).as_str()),
            (status, code),
            "{}",
            request.escape_ascii()
        );
    }
    // Signed for the one path, sent to the other.
    let sent = String::from_utf8(v3("/", "DescribeRegions")).expect("text");
    let moved = sent.replacen("POST /?", "POST /DescribeRegions?", 1);
    let reply = exchange(service.http, moved.as_bytes());
    assert_eq!(code_of(&reply), "IncompleteSignature");
}

#[test]
fn https_serves_the_same_and_the_ca_file_verifies_it() {
    let service = TestService::start();
    let ca = service.dir.path().join("tls/ca.pem");
    let mut connection = Connection::open_tls(service.https, &ca);
    for _ in 0..3 {
        let query = service.form("GET", "DescribeInstances", &[("RegionId", "cn-hangzhou")]);
        connection.send(format!("GET /?{query} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes());
        let reply = connection.receive();
        assert_eq!(
            (reply.status, code_of(&reply).as_str()),
            (200, "OK"),
            "{reply:?}"
        );
    }
}

#[test]
fn credentials_are_those_that_work() {
    let service = TestService::start();
    let text = std::fs::read(service.dir.path().join("credentials.json")).expect("file");
    let json: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
    assert_eq!(json["http_endpoint"], format!("http://{}", service.http));
    assert_eq!(json["access_key_id"], service.key.id);
    assert_eq!(json["access_key_secret"], service.key.secret);
    for name in [
        "account_id",
        "region_id",
        "zone_id",
        "vpc_id",
        "vswitch_id",
        "ca_file",
    ] {
        assert!(
            json[name].as_str().is_some_and(|text| !text.is_empty()),
            "{name}: {json}"
        );
    }
}
