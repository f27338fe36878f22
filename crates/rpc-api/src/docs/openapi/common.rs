//! What all actions have in common: how they are signed, parameters, errors.

use super::answers::REQUEST_ID_PATTERN;
use super::parameters::{parameter, schema};
use crate::docs::json::Json;
use crate::{ActionSpec, ErrorSpec, ParameterSpec};

/// Errors that every action can answer besides its own.
pub const COMMON_ERRORS: &[ErrorSpec] = &[
    ErrorSpec::new(
        "MissingParameter",
        400,
        "a required parameter, common ones included, is absent or empty",
    ),
    ErrorSpec::new(
        "InvalidParameter",
        400,
        "the encoding is broken, a name occurs twice, the path names another action, the Version \
         is another one, or there is too much of something",
    ),
    ErrorSpec::new(
        "InvalidFormat.ValueNotSupported",
        400,
        "Format is neither JSON nor XML",
    ),
    ErrorSpec::new(
        "InvalidSignatureMethod.ValueNotSupported",
        400,
        "SignatureMethod is not HMAC-SHA1",
    ),
    ErrorSpec::new(
        "InvalidSignatureVersion.ValueNotSupported",
        400,
        "SignatureVersion is not 1.0",
    ),
    ErrorSpec::new(
        "InvalidSignatureType.ValueNotSupported",
        400,
        "SignatureType is not empty",
    ),
    ErrorSpec::new(
        "IllegalTimestamp",
        400,
        "Timestamp is absent, unreadable, or more than 15 minutes off",
    ),
    ErrorSpec::new("IncompleteSignature", 400, "the signature is wrong"),
    ErrorSpec::new(
        "SignatureNonceUsed",
        400,
        "SignatureNonce was used before with this key",
    ),
    ErrorSpec::new(
        "InvalidSecurityToken.Malformed",
        400,
        "SecurityToken does not belong to the key",
    ),
    ErrorSpec::new(
        "InvalidSecurityToken.Expired",
        400,
        "the temporary credentials have expired",
    ),
    ErrorSpec::new(
        "InvalidOwner",
        400,
        "OwnerId and OwnerAccount are both given",
    ),
    ErrorSpec::new(
        "InvalidOwnerId",
        400,
        "OwnerId names another account than the caller's",
    ),
    ErrorSpec::new(
        "InvalidOwnerAccount",
        400,
        "OwnerAccount names another account than the caller's",
    ),
    ErrorSpec::new(
        "InvalidProtocol.NeedSsl",
        400,
        "the deployment takes this call over HTTPS alone",
    ),
    ErrorSpec::new(
        "Throttling",
        400,
        "too many calls with this key; the header Retry-After says when to come back",
    ),
    ErrorSpec::new("InvalidAction", 403, "no action has the name that was sent"),
    ErrorSpec::new(
        "Forbidden.RAM",
        403,
        "the caller is a sub-user without a matching grant",
    ),
    ErrorSpec::new(
        "UnsupportedHTTPMethod",
        403,
        "the method is neither GET nor POST",
    ),
    ErrorSpec::new(
        "InvalidAccessKeyId.NotFound",
        404,
        "no such access key, or a disabled one",
    ),
    ErrorSpec::new(
        "InternalError",
        500,
        "something went wrong inside; the same call may be sent again",
    ),
    ErrorSpec::new(
        "ServiceUnavailable",
        503,
        "the service starts, stops or is overloaded; the same call may be sent again",
    ),
];

/// Parameters that every action takes. Those of the signature are not marked as required, since
/// ACS3 has headers in their place.
const PARAMETERS: &[ParameterSpec] = &[
    ParameterSpec::text(
        "Version",
        "The version of the API. Required with signature version 1.",
    )
    .allowed(&["2016-01-01"]),
    ParameterSpec::text("Format", "The form of the answer, in any case of letters.")
        .default("XML")
        .allowed(&["XML", "JSON"]),
    ParameterSpec::text(
        "AccessKeyId",
        "The access key. Required with signature version 1.",
    ),
    ParameterSpec::text(
        "SignatureMethod",
        "How it is signed. Required with signature version 1.",
    )
    .allowed(&["HMAC-SHA1"]),
    ParameterSpec::text(
        "SignatureVersion",
        "The version of the signature. Required with signature version 1.",
    )
    .allowed(&["1.0"]),
    ParameterSpec::text(
        "SignatureNonce",
        "A text never used before with this key. Required with signature version 1.",
    )
    .length(1, 256),
    ParameterSpec::time(
        "Timestamp",
        "The client's time, at most 15 minutes off. Required with signature version 1.",
    ),
    ParameterSpec::text("SecurityToken", "The token of temporary credentials."),
    ParameterSpec::text("OwnerId", "The calling account; no other is accepted."),
    ParameterSpec::text(
        "OwnerAccount",
        "The calling account by its name; no other is accepted.",
    ),
    ParameterSpec::text(
        "RegionId",
        "Accepted with every action; of meaning only where the action has it among its own.",
    ),
];

const SIGNATURE_V1: &str = "\
Signature version 1.

1. Take all parameters but `Signature`, sorted by name, byte order.
2. Percent-encode names and values (UTF-8; `A-Z a-z 0-9 - _ . ~` stand for themselves) and join them as \
`name=value`, with `&` between.
3. String to sign: the method, `&%2F&` whatever the path, and the result of step 2, percent-encoded once \
more.
4. `Signature` is the Base64 of the HMAC-SHA1 of that string; the key is the access key's secret followed \
by `&`.

It goes with the parameters `AccessKeyId`, `SignatureMethod`, `SignatureVersion`, `SignatureNonce`, \
`Timestamp`, and with temporary credentials `SecurityToken`.";

const SIGNATURE_ACS3: &str = "\
`ACS3-HMAC-SHA256 Credential=<AccessKeyId>,SignedHeaders=<names>,Signature=<hex>`.

The headers `x-acs-action`, `x-acs-version`, `x-acs-date`, `x-acs-signature-nonce` and \
`x-acs-content-sha256` stand for the common parameters, `x-acs-security-token` for temporary credentials; \
these and `host` must be among the signed headers.

1. Canonical request, joined with line feeds: method; path, as it is sent; the query's parameters, sorted \
and percent-encoded; each signed header as `name:value`; an empty line; the names of the signed headers \
joined with `;`; the SHA-256 of the body in lower-case hexadecimal digits.
2. String to sign: `ACS3-HMAC-SHA256`, a line feed, and the SHA-256 of the canonical request.
3. The signature is the HMAC-SHA256 of that string with the access key's secret, in lower-case hexadecimal \
digits.";

/// One of the two signatures.
pub(super) fn security() -> Json {
    let with = |name: &str| Json::object().with(name, Json::List(Vec::new()));
    Json::List(vec![with("SignatureV1"), with("SignatureACS3")])
}

pub(super) fn security_schemes() -> Json {
    let scheme = |place: &str, name: &str, description: &str| {
        Json::object()
            .with("type", "apiKey")
            .with("in", place)
            .with("name", name)
            .with("description", description)
    };
    Json::object()
        .with("SignatureV1", scheme("query", "Signature", SIGNATURE_V1))
        .with(
            "SignatureACS3",
            scheme("header", "Authorization", SIGNATURE_ACS3),
        )
}

/// The common parameters, to be referred to.
pub(super) fn parameters() -> Json {
    PARAMETERS.iter().fold(Json::object(), |json, common| {
        json.with(common.name, parameter(common, schema(common), None))
    })
}

/// The parameters that an action takes besides its own: the action itself, and the common ones.
pub(super) fn references(spec: &ActionSpec) -> Json {
    let action = Json::object()
        .with("name", "Action")
        .with("in", "query")
        .with(
            "description",
            "The action, which the path repeats. Required with signature version 1.",
        )
        .with("schema", Json::object().with("const", spec.name));
    let others = PARAMETERS
        .iter()
        .filter(|common| spec.parameter(common.name).is_none())
        .map(|common| Json::reference("parameters", common.name));
    Json::list(std::iter::once(action).chain(others))
}

pub(super) fn headers() -> Json {
    let text = |description: &str, pattern: &str| {
        Json::object().with("description", description).with(
            "schema",
            Json::object()
                .with("type", "string")
                .with("pattern", pattern),
        )
    };
    let number = |description: &str| {
        Json::object().with("description", description).with(
            "schema",
            Json::object().with("type", "integer").with("minimum", 1),
        )
    };
    Json::object()
        .with(
            "RequestId",
            text("The RequestId of the answer.", REQUEST_ID_PATTERN),
        )
        .with(
            "RetryAfter",
            number("With `Throttling`: seconds to wait before the next call."),
        )
        .with(
            "AcsRetryAfter",
            number("With `Throttling`: milliseconds to wait before the next call."),
        )
}

/// The error and the codes that all actions share, by status.
pub(super) fn schemas() -> Json {
    let text = |description: &str| {
        Json::object()
            .with("type", "string")
            .with("description", description)
    };
    let members = Json::object()
        .with(
            "RequestId",
            text("Identifies the call.").with("pattern", REQUEST_ID_PATTERN),
        )
        .with("HostId", text("The host that was called."))
        .with("Code", text("What is wrong; programs go by it."))
        .with("Message", text("The same in words."))
        .with("HostID", text("As HostId; in JSON only."));
    let error = Json::object()
        .with("type", "object")
        .with("xml", Json::object().with("name", "Error"))
        .with("properties", members)
        .with(
            "required",
            Json::list(["RequestId", "HostId", "Code", "Message"]),
        );
    let mut schemas = Json::object().with("Error", error);
    for status in common_statuses() {
        let codes = COMMON_ERRORS
            .iter()
            .filter(|error| error.http_status == status)
            .map(|error| error.code);
        schemas.put(
            &code_schema_name(status),
            Json::object()
                .with("type", "string")
                .with("description", "Codes that every action can answer.")
                .with("enum", Json::list(codes)),
        );
    }
    schemas
}

/// The statuses of the common errors, without repetition.
pub(super) fn common_statuses() -> Vec<u16> {
    let mut statuses: Vec<_> = COMMON_ERRORS
        .iter()
        .map(|error| error.http_status)
        .collect();
    statuses.dedup();
    statuses
}

/// The name of the schema of common codes with a status.
pub(super) fn code_schema_name(status: u16) -> String {
    format!("CommonCode{status}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ERRORS;

    #[test]
    fn common_errors_are_those_of_the_catalogue() {
        for error in COMMON_ERRORS {
            let known = ERRORS.iter().any(|entry| {
                let (prefix, suffix) = entry.code.split_once("<name>").unwrap_or((entry.code, ""));
                error.code.starts_with(prefix)
                    && error.code.ends_with(suffix)
                    && entry.http_status == error.http_status
            });
            assert!(known, "{}", error.code);
        }
        assert_eq!(common_statuses(), [400, 403, 404, 500, 503]);
    }

    #[test]
    fn common_parameters_are_those_of_the_page() {
        let page = include_str!("../calling.md");
        for common in PARAMETERS {
            assert!(
                page.contains(&format!("`{}`", common.name)),
                "{}",
                common.name
            );
        }
    }
}
