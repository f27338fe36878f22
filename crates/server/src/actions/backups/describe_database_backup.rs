//! DescribeDatabaseBackup.

use crate::actions::{Call, Outcome};

pub(in crate::actions) fn handle(call: &Call<'_>) -> Outcome {
    let origin = origin(call.caller.secure_transport, call.host);
    let response =
        call.control
            .describe_database_backup(call.caller, &call.parse()?, origin.as_deref())?;
    Ok(call.render(&response))
}

/// Where the client reaches the service, for links that it can follow: where it has reached it.
/// None for one that would travel in the clear.
fn origin(is_secure: bool, host: &str) -> Option<String> {
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    let is_host = !host.is_empty() && host.bytes().all(is_usual);
    (is_secure && is_host).then(|| format!("https://{host}"))
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn links_lead_where_the_client_came_from() {
        let at = |host: &str| origin(true, host);
        assert_eq!(at("[::1]:8443").as_deref(), Some("https://[::1]:8443"));
        assert_eq!(at("a.example").as_deref(), Some("https://a.example"));
        for host in ["", "a/b", "a b", "a@b", "a?b"] {
            assert_eq!(at(host), None, "{host}");
        }
        assert_eq!(origin(false, "a.example"), None);
    }
}
