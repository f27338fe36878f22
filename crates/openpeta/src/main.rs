//! The `openpeta` binary: the service, its operator's commands, and a client of its API.
//!
//! It holds no rule of the service: `serve` is the server crate's, actions and signatures are
//! those of the table in `rpc-api`.

mod admin;
mod call;
mod cli;
mod client;
mod connect;
mod diagnose;
mod download;
mod failure;
mod in_place;
mod invocation;
mod metrics;
mod next_step;
mod ordered_json;
mod output;
mod profile;
mod progress;
mod secret_input;
mod serve;
mod table;
mod top;
mod wait;

use std::process::ExitCode;

fn main() -> ExitCode {
    let matches = cli::command(false).get_matches();
    let json = cli::wants_json(&matches);
    match cli::run(matches) {
        Ok(()) => ExitCode::from(failure::EXIT_OK),
        Err(failure) => {
            output::remark(&failure.to_line());
            if json {
                // The exit code tells all the same when this cannot be written.
                let _ = output::result(&failure.to_json());
            }
            ExitCode::from(failure.exit_code())
        }
    }
}
