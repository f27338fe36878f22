//! `openpeta` without arguments: looks at what there is and shows the next command.

use std::path::PathBuf;

use crate::call::print_answer;
use crate::cli::options::{OutputOptions, ServiceOptions};
use crate::failure::{EXIT_UNREACHABLE, Failure};
use crate::output;
use crate::wait::ask;

/// The order that is shown to whoever has no instance yet.
const FIRST_ORDER: &str = "openpeta create-instance --db-name shop --account-name app --wait";

/// Shows where the user stands and the exact next command.
///
/// # Errors
/// When the service answers with an error, or the credentials cannot be read.
pub fn show(data_dir: Option<PathBuf>) -> Result<(), Failure> {
    let flag = data_dir
        .as_ref()
        .map_or_else(String::new, |dir| format!(" --data-dir {}", dir.display()));
    let instances = ServiceOptions::default()
        .client(data_dir)
        .and_then(|client| ask(&client, "DescribeInstances", &[]));
    let instances = match instances {
        Err(failure) if failure.exit_code() == EXIT_UNREACHABLE => {
            return output::result(&format!(
                "No service answers: {}.\n\nNext, start one and leave it running:\n\n    \
                 openpeta serve{flag}\n\nAll commands: openpeta --help",
                failure.message()
            ));
        }
        other => other?,
    };
    let first = instances.node.list("Instances").first();
    let Some(id) = first.and_then(|instance| instance.text("InstanceId")) else {
        return output::result(&format!(
            "The service is running and has no instance yet.\n\nNext, order one:\n\n    \
             {FIRST_ORDER}{flag}\n\nAll commands: openpeta --help"
        ));
    };
    print_answer(
        "DescribeInstances",
        &instances,
        false,
        OutputOptions::default().view(),
    )?;
    output::result(&format!(
        "\nNext, open a MySQL shell to one:\n\n    openpeta connect {id}{flag}\n\nAll commands: \
         openpeta --help"
    ))
}
