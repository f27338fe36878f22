//! The page and the description over HTTP.

use crate::support::client::{Reply, exchange};
use crate::support::{TestService, code_of};

fn request(service: &TestService, method: &str, path: &str) -> Reply {
    let text = format!("{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    exchange(service.http, text.as_bytes())
}

#[test]
fn the_page_and_the_description_are_served_with_strict_headers() {
    let service = TestService::start();
    for (path, content_type) in [
        ("/api", "text/html; charset=utf-8"),
        ("/api/page.js", "text/javascript; charset=utf-8"),
        ("/api/style.css", "text/css; charset=utf-8"),
        ("/openapi.json", "application/json"),
    ] {
        let reply = request(&service, "GET", path);
        assert_eq!(reply.status, 200, "{path}");
        assert_eq!(reply.header("content-type"), Some(content_type), "{path}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("x-frame-options"), Some("DENY"));
        let policy = reply.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
        assert!(!policy.contains("unsafe"), "{policy}");
        // No other page may read an answer: nothing is said about other origins.
        assert_eq!(reply.header("access-control-allow-origin"), None);
    }
    let json = request(&service, "GET", "/openapi.json").json();
    assert_eq!(json["openapi"], "3.1.0");
    assert!(json["paths"]["/CreateInstance"]["post"].is_object());
}

#[test]
fn there_is_nothing_to_write_and_nothing_else_to_read() {
    let service = TestService::start();
    for (method, path) in [
        ("POST", "/api"),
        ("PUT", "/openapi.json"),
        ("GET", "/api/mod.rs"),
        ("GET", "/api/../openapi.json"),
        ("GET", "/api/%70age.js"),
    ] {
        let reply = request(&service, method, path);
        assert_eq!(
            (reply.status, code_of(&reply).as_str()),
            (404, "InvalidAction"),
            "{method} {path}"
        );
    }
}

#[test]
fn a_deployment_can_do_without() {
    let service = TestService::start_with(|config| config.api.browser_page = false);
    for path in ["/api", "/api/page.js", "/openapi.json"] {
        let reply = request(&service, "GET", path);
        assert_eq!(
            (reply.status, code_of(&reply).as_str()),
            (404, "InvalidAction"),
            "{path}"
        );
    }
}
