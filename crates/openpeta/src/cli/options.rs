//! The options that several commands share.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::client::Client;
use crate::failure::Failure;
use crate::output;
use crate::profile::{Profile, credentials_file};
use crate::table::View;

/// Seconds that `--wait` waits unless told otherwise.
pub const DEFAULT_TIMEOUT: u64 = 600;

/// The same as a time.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(DEFAULT_TIMEOUT);

/// How the service is reached.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Common options")]
pub struct ServiceOptions {
    /// Credentials file [default: OPENPETA_PROFILE, else credentials.json in the data directory]
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// Send the call over plain HTTP; refused when it carries a secret
    #[arg(long)]
    pub http: bool,
}

impl ServiceOptions {
    /// A client with the credentials that these options name.
    ///
    /// # Errors
    /// When the credentials file or its CA file is missing or cannot be read.
    pub fn client(&self, data_dir: Option<PathBuf>) -> Result<Client, Failure> {
        let profile = Profile::load(&credentials_file(self.profile.clone(), data_dir)?)?;
        Client::new(profile, self.http)
    }
}

/// How results are shown.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Common options")]
pub struct OutputOptions {
    /// Print the answer as JSON
    #[arg(long)]
    pub json: bool,
    /// Show all columns, also those that do not fit the terminal
    #[arg(long)]
    pub wide: bool,
}

impl OutputOptions {
    /// How tables are to be shown.
    pub fn view(&self) -> View {
        View {
            width: output::width(),
            wide: self.wide,
        }
    }
}

/// The options of commands whose work goes on after the answer.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Common options")]
pub struct WaitOptions {
    /// Wait until the work that the call started is done, showing its progress
    #[arg(long)]
    pub wait: bool,
    /// The longest to wait, in seconds; the work goes on after it
    #[arg(long, value_name = "SECONDS", default_value_t = DEFAULT_TIMEOUT, requires = "wait")]
    pub timeout: u64,
}
