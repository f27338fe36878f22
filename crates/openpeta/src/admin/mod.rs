//! The operator's commands: they go over the unix socket in the data directory, so that whoever
//! may enter the directory may run the service.

mod arguments;
mod backup;
mod command;
mod control_plane;
mod partition;
mod recycle;
mod show;
mod socket;
mod transfer;
mod watching;

use std::path::{Path, PathBuf};
use std::time::Duration;

pub use arguments::AdminArguments;
use openpeta_control::admin::protocol::AdminCommand;
pub use socket::ask;

use self::command::Request;
use self::show::FIELDS;
use crate::failure::Failure;
use crate::output;
use crate::profile;
use crate::table::View;

/// The longest to wait for a reply.
const REPLY_TIMEOUT: Duration = Duration::from_secs(60);

/// Writes an export to standard output; what it was is told where errors are.
fn export(data_dir: &Path, command: &AdminCommand) -> Result<(), Failure> {
    let exported = socket::fetch(data_dir, command, &mut std::io::stdout().lock())?;
    output::remark(&exported.to_string());
    Ok(())
}

/// Sends an operator's command and prints the reply.
///
/// # Errors
/// When no service runs on the data directory, or it refuses the command.
pub fn run(arguments: AdminArguments, data_dir: Option<PathBuf>) -> Result<(), Failure> {
    let (json, wide) = (arguments.json, arguments.wide);
    let request = match arguments.local() {
        // There may be no service.
        Some(local) => Request::Done(local.run(&profile::data_dir(data_dir.clone())?)?),
        None => arguments.into_request()?,
    };
    let (reply, form) = match request {
        Request::Done(reply) => (reply, FIELDS),
        Request::Ask(command, form) => {
            let data_dir = profile::data_dir(data_dir)?;
            if let AdminCommand::ExportStream { .. } = command {
                return export(&data_dir, &command);
            }
            (ask(&data_dir, &command, REPLY_TIMEOUT)?, form)
        }
    };
    if json {
        return output::result(&show::as_json(&reply, form));
    }
    let view = View {
        width: output::width(),
        wide,
    };
    output::result(&show::as_text(&reply, form, view))
}
