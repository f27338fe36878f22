//! The built binary, run as a user runs it, against a small service that answers from a script
//! and verifies every signature.

mod api_calls;
mod command_line;
mod completing;
mod connecting;
mod operator;
mod prompting;
mod support;
mod waiting;
