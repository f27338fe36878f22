//! The description of the API for programs, and the page in which people read it and try calls.
//! All of it is static and the same for everybody. The page signs in the browser, so that it
//! needs nothing of the service but what every client uses.

use std::sync::LazyLock;

use bytes::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::{Method, Response};
use openpeta_rpc_api::docs;

use crate::http::{Answer, AnswerBody};

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";

/// Path, type and content of every file of the page.
static FILES: [(&str, &str, &str); 12] = [
    ("/api", HTML, include_str!("index.html")),
    ("/api/", HTML, include_str!("index.html")),
    ("/api/style.css", STYLE, include_str!("style.css")),
    ("/api/icon.svg", "image/svg+xml", include_str!("icon.svg")),
    ("/api/page.js", SCRIPT, include_str!("page.js")),
    ("/api/action.js", SCRIPT, include_str!("action.js")),
    ("/api/call.js", SCRIPT, include_str!("call.js")),
    (
        "/api/description.js",
        SCRIPT,
        include_str!("description.js"),
    ),
    ("/api/dom.js", SCRIPT, include_str!("dom.js")),
    ("/api/form.js", SCRIPT, include_str!("form.js")),
    ("/api/memory.js", SCRIPT, include_str!("memory.js")),
    ("/api/sign.js", SCRIPT, include_str!("sign.js")),
];

/// What the page may do: run its own scripts and call this service, nothing else. It never
/// makes markup out of text.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// Headers that every file has.
static HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-cache"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
];

/// The answer to a request for the page or the description; none when it is for something else.
pub(crate) fn answer(method: &Method, path: &str) -> Option<Answer> {
    static DESCRIPTION: LazyLock<Bytes> = LazyLock::new(|| docs::openapi_compact().into());
    if !matches!(*method, Method::GET | Method::HEAD) {
        return None;
    }
    if path == "/openapi.json" {
        return Some(file("application/json", DESCRIPTION.clone()));
    }
    let (_, content_type, text) = FILES.iter().find(|(name, ..)| *name == path)?;
    Some(file(content_type, Bytes::from_static(text.as_bytes())))
}

fn file(content_type: &'static str, content: Bytes) -> Answer {
    let mut answer = Response::new(AnswerBody::from(content));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in &HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_refer_to_files_that_exist() {
        for (_, _, text) in &FILES {
            for quoted in text.split('"').skip(1).step_by(2) {
                let path = match quoted.strip_prefix("./") {
                    Some(module) => format!("/api/{module}"),
                    None => quoted.to_owned(),
                };
                if path.starts_with("/api") || path == "/openapi.json" {
                    assert!(answer(&Method::GET, &path).is_some(), "{quoted}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_inline_and_nothing_comes_from_elsewhere() {
        for (path, _, text) in &FILES {
            let text = text.replace("http://www.w3.org/2000/svg", "");
            for forbidden in ["innerHTML", "<style", " style=", " onclick", "eval(", "://"] {
                assert!(!text.contains(forbidden), "{path}: {forbidden}");
            }
        }
    }

    #[test]
    fn files_are_only_read() {
        assert!(answer(&Method::HEAD, "/api").is_some());
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS] {
            assert!(answer(&method, "/api").is_none(), "{method}");
        }
        assert!(answer(&Method::GET, "/api/mod.rs").is_none());
    }
}
