//! Which server program there is, and whether it will do.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{AtPath, EngineError, Result};

/// The oldest MariaDB series that has what nodes are set up with.
const MINIMUM_VERSION: &str = "10.6";

/// What the server program says of itself, checked.
pub(crate) fn server_version(server: &Path) -> Result<String> {
    let output = Command::new(server)
        // It would report the end of its own run as the service's.
        .env_remove("NOTIFY_SOCKET")
        .args(["--no-defaults", "--version"])
        .stdin(Stdio::null())
        .output()
        .at("run", server)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let version = text
        .split_ascii_whitespace()
        .skip_while(|word| *word != "Ver")
        .nth(1)
        .unwrap_or_default();
    if version.contains("MariaDB") && number(version) >= number(MINIMUM_VERSION) {
        return Ok(version.to_owned());
    }
    Err(EngineError::UnsupportedServer {
        path: server.to_owned(),
        version: text.trim().to_owned(),
        minimum: MINIMUM_VERSION,
    })
}

/// Major and minor number of a version.
fn number(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split(['.', '-']).map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// A version as one number, with two digits each for its second and third part; what is no number
/// counts as 0.
pub(crate) fn comment_number(version: &str) -> u32 {
    let part = |text: &str| text.parse().unwrap_or(0_u32);
    let parts = version.split(['.', '-']).map(part).take(3);
    parts.fold(0, |number, part| number * 100 + part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        assert!(number("10.11.19-MariaDB-0+deb12u1") >= number("10.6"));
        assert!(number("11.4.2-MariaDB") >= number("10.6"));
        assert!(number("10.5.29-MariaDB") < number("10.6"));
        assert_eq!(number("nonsense"), None);
    }

    #[test]
    fn a_version_is_a_number_as_in_executable_comments() {
        assert_eq!(comment_number("10.11.19-MariaDB-0+deb12u1"), 101_119);
        assert_eq!(comment_number("11.4.2-MariaDB"), 110_402);
    }
}
