//! `serve`: hands over to the server crate.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use openpeta_server::ServeOptions;

use crate::failure::Failure;
use crate::profile;

/// The arguments of `serve`.
#[derive(Args, Debug)]
#[command(next_help_heading = "Common options")]
pub struct ServeArguments {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Address of the HTTP endpoint, for example 127.0.0.1:8080; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    http_listen: Option<SocketAddr>,
    /// Address of the HTTPS endpoint, for example 127.0.0.1:8443; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS")]
    https_listen: Option<SocketAddr>,
    /// Take over from the process that serves the data directory, whose clients notice nothing
    #[arg(long)]
    replace: bool,
}

/// Serves until told to stop.
///
/// # Errors
/// Why the service did not start.
pub fn run(arguments: ServeArguments, data_dir: Option<PathBuf>) -> Result<(), Failure> {
    let options = ServeOptions {
        data_dir: profile::data_dir(data_dir)?,
        config: arguments.config,
        http_listen: arguments.http_listen,
        https_listen: arguments.https_listen,
        replace: arguments.replace,
    };
    openpeta_server::serve(options).map_err(|error| Failure::Serve {
        message: error.to_string(),
        exit_code: error.exit_code(),
    })
}
