//! Answers to what never becomes a call.

use hyper::Request;
use hyper::body::Incoming;
use openpeta_rpc_api::{ApiError, Format, RawRequest, decode, render_error};

use super::answer;
use super::request_id::new_request_id;
use crate::http::Answer;

/// The answer to a request for a path that does not exist, in the form that its query asks for.
pub(super) fn no_such_path(request: &Request<Incoming>) -> Answer {
    let mut error = ApiError::invalid_action().with_detail("The API is served at the path /.");
    error.http_status = 404;
    let format = asked_format(request.uri().query().unwrap_or_default(), &|name| {
        super::call::header(request.headers(), name)
    });
    let host = super::call::host(request.headers());
    let request_id = new_request_id();
    let body = render_error(format, &error, request_id, host);
    answer(error.http_status, format, request_id, body)
}

/// The form of answer that a request asks for whose body was not read.
pub(super) fn asked_format<'a>(
    query: &'a str,
    header: &'a dyn Fn(&str) -> Option<&'a str>,
) -> Format {
    match decode(&RawRequest {
        method: "GET",
        path: "/",
        query,
        header,
        body: &[],
    }) {
        Ok(call) => call.format(),
        Err(failure) => failure.format,
    }
}

/// The whole answer to a request that could not be read, so that nothing is known of the form
/// that its client wants. `status` is the HTTP parser's.
pub(super) fn unreadable_request(status: u16) -> Vec<u8> {
    let (name, detail) = match status {
        414 | 431 => ("Query", "The request line or the headers are too long."),
        _ => ("Request", "It is no HTTP/1.1 request."),
    };
    whole_answer(
        &ApiError::invalid_parameter(name).with_detail(detail),
        "Bad Request",
    )
}

/// The whole answer to a connection beyond the limit.
pub(super) fn too_many_connections() -> Vec<u8> {
    whole_answer(&ApiError::service_unavailable(), "Service Unavailable")
}

fn whole_answer(error: &ApiError, reason: &str) -> Vec<u8> {
    let request_id = new_request_id();
    let format = Format::default();
    let body = render_error(format, error, request_id, "");
    format!(
        "HTTP/1.1 {} {reason}\r\ncontent-type: {}\r\nx-acs-request-id: {request_id}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        error.http_status,
        format.content_type(),
        body.len(),
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_answers_are_documented_errors() {
        for (bytes, status, code) in [
            (unreadable_request(400), "400", "InvalidParameter"),
            (unreadable_request(414), "400", "InvalidParameter"),
            (too_many_connections(), "503", "ServiceUnavailable"),
        ] {
            let text = String::from_utf8(bytes).expect("text");
            assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
            let (head, body) = text.split_once("\r\n\r\n").expect("head and body");
            assert!(
                head.contains(&format!("content-length: {}\r\n", body.len())),
                "{head}"
            );
            assert!(body.contains(&format!("<Code>{code}</Code>")), "{body}");
        }
    }
}
