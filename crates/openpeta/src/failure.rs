//! Why a command failed, how it is told, and the exit code that scripts see.

use std::fmt::Write as _;

use serde_json::json;

/// Everything went well.
pub const EXIT_OK: u8 = 0;
/// The service, or a program that was called, refused.
pub const EXIT_REFUSED: u8 = 1;
/// The command line is wrong.
pub const EXIT_USAGE: u8 = 2;
/// The service cannot be reached.
pub const EXIT_UNREACHABLE: u8 = 3;
/// The task that was waited for failed or took too long.
pub const EXIT_WAIT: u8 = 4;

/// Why a command failed. Every text is made to be read by the user.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The API answered with an error.
    #[error("{code}: {message}")]
    Api {
        /// Its code, as the API document has it.
        code: String,
        /// Its message.
        message: String,
        /// The call's id, for whoever looks into the service's log.
        request_id: Option<String>,
        /// The answer as it came.
        body: String,
    },
    /// The operator's command was refused, or something on this machine is in the way.
    #[error("{code}: {message}")]
    Refused {
        /// A stable code.
        code: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// The command line is wrong.
    #[error("Usage: {0}")]
    Usage(String),
    /// No service answers.
    #[error("ServiceUnreachable: {0}")]
    Unreachable(String),
    /// The connection broke after the request may have arrived: its outcome is unknown.
    #[error("ConnectionLost: {0}")]
    ConnectionLost(String),
    /// The task that was waited for failed.
    #[error("TaskFailed: {0}")]
    TaskFailed(String),
    /// The task that was waited for took too long; it goes on.
    #[error("WaitTimeout: {0}")]
    WaitTimeout(String),
    /// The service did not start, or ended otherwise than asked to.
    #[error("ServeFailed: {message}")]
    Serve {
        /// Why.
        message: String,
        /// The exit code that the service gives it.
        exit_code: u8,
    },
}

impl Failure {
    /// Something on this machine is in the way.
    pub fn local(code: &str, message: impl Into<String>) -> Self {
        Self::Refused {
            code: code.to_owned(),
            message: message.into(),
        }
    }

    /// The process exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Api { .. } | Self::Refused { .. } => EXIT_REFUSED,
            Self::Usage(_) => EXIT_USAGE,
            Self::Unreachable(_) | Self::ConnectionLost(_) => EXIT_UNREACHABLE,
            Self::TaskFailed(_) | Self::WaitTimeout(_) => EXIT_WAIT,
            Self::Serve { exit_code, .. } => *exit_code,
        }
    }

    /// The API error code of the answer, if it was one.
    pub fn api_code(&self) -> Option<&str> {
        match self {
            Self::Api { code, .. } => Some(code),
            _ => None,
        }
    }

    /// What is wrong, without the code.
    pub fn message(&self) -> &str {
        match self {
            Self::Api { message, .. }
            | Self::Refused { message, .. }
            | Self::Serve { message, .. } => message,
            Self::Usage(message)
            | Self::Unreachable(message)
            | Self::ConnectionLost(message)
            | Self::TaskFailed(message)
            | Self::WaitTimeout(message) => message,
        }
    }

    /// The line for people, `error: Code: Message`.
    pub fn to_line(&self) -> String {
        let mut line = format!("error: {self}");
        if let Self::Api {
            request_id: Some(request_id),
            ..
        } = self
        {
            // Writing to a String cannot fail.
            let _ = write!(line, " (RequestId: {request_id})");
        }
        line
    }

    /// The object for programs: the API's own error body, or one of the same form.
    pub fn to_json(&self) -> String {
        if let Self::Api { body, .. } = self
            && serde_json::from_str::<serde_json::Value>(body).is_ok()
        {
            return body.clone();
        }
        let text = self.to_string();
        let (code, message) = text.split_once(": ").unwrap_or(("Error", &text));
        json!({ "Code": code, "Message": message }).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_errors_are_told_with_their_request_id() {
        let failure = Failure::Api {
            code: "InvalidAction".to_owned(),
            message: "No such action: at all.".to_owned(),
            request_id: Some("ABC".to_owned()),
            body: "not json".to_owned(),
        };
        assert_eq!(
            failure.to_line(),
            "error: InvalidAction: No such action: at all. (RequestId: ABC)"
        );
        assert_eq!(
            failure.to_json(),
            r#"{"Code":"InvalidAction","Message":"No such action: at all."}"#
        );
    }
}
