//! Runs a call of the API from its arguments to its printed answer.

use std::path::PathBuf;
use std::time::Duration;

use crate::cli::options::{DEFAULT_WAIT, OutputOptions, ServiceOptions};
use crate::client::Answer;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::output;
use crate::table::{View, render_answer};
use crate::{in_place, wait};

/// The columns that come first, where the API's own order would hide what matters most on a
/// narrow terminal.
const PREFERRED_COLUMNS: &[(&str, &[&str])] = &[
    (
        "DescribeInstances",
        &[
            "InstanceId",
            "InstanceStatus",
            "InstanceName",
            "ConnectionString",
            "Port",
            "Databases",
            "ZoneId",
            "CreateTime",
        ],
    ),
    (
        "DescribeTasks",
        &[
            "TaskId",
            "TaskAction",
            "Status",
            "Progress",
            "ProgressInfo",
            "BeginTime",
            "FinishTime",
        ],
    ),
    (
        "DescribeDatabases",
        &[
            "DBName",
            "DBStatus",
            "NodeSpec",
            "NodeNumber",
            "ChargeType",
            "CreateTime",
            "EndTime",
        ],
    ),
    (
        "DescribeDatabaseList",
        &[
            "InstanceId",
            "DBName",
            "InstanceStatus",
            "NodeSpec",
            "NodeNumber",
            "ChargeType",
        ],
    ),
    (
        "DescribeAccounts",
        &[
            "AccountName",
            "AccountStatus",
            "AccountType",
            "DatabasePrivileges",
        ],
    ),
    (
        "DescribeDatabaseBackup",
        &["BackupId", "BackupStatus", "BackupEndTime", "BackupSize"],
    ),
];

/// How a call is made and shown.
pub struct CallOptions {
    /// Where it goes.
    pub service: ServiceOptions,
    /// How its answer is shown.
    pub output: OutputOptions,
    /// Where the service's data directory is, if the user said so.
    pub data_dir: Option<PathBuf>,
    /// How long to wait for the call's task; `None` not to wait.
    pub wait: Option<Duration>,
    /// Whether what is restored takes the place of what it was restored from.
    pub in_place: bool,
    /// Whether the call is helped along: defaults for an order, an idempotency token, a check
    /// that nothing is missing. Without it the call is sent as it was written.
    pub assist: bool,
}

/// Sends the call, waits for its task when asked, prints the outcome.
///
/// # Errors
/// Whatever keeps the call or its task from succeeding.
pub fn run(mut call: Invocation, options: CallOptions) -> Result<(), Failure> {
    let client = options.service.client(options.data_dir)?;
    call.complete(client.profile())?;
    if options.assist {
        call.add_order_defaults(client.profile());
        refuse_missing(&call)?;
        call.add_client_token();
    }
    if options.in_place {
        let timeout = options.wait.unwrap_or(DEFAULT_WAIT);
        return in_place::run(&client, &call, timeout, &options.output);
    }
    let watch = match options.wait {
        Some(timeout) => Some(wait::Watch::prepare(&client, &call, timeout)?),
        None => None,
    };
    let answer = client.call(&call)?;
    let json = options.output.json;
    let Some(watch) = watch else {
        return print_answer(&call.action, &answer, json, options.output.view());
    };
    if !json {
        print_answer(&call.action, &answer, json, options.output.view())?;
    }
    let outcome = watch.run(&client, &answer)?;
    if json {
        output::result(&outcome.to_json(&answer.text))
    } else {
        output::result(&outcome.to_text())
    }
}

/// Prints an answer as JSON, exactly as it came, or as a table.
///
/// # Errors
/// When standard output cannot be written.
pub fn print_answer(action: &str, answer: &Answer, json: bool, view: View) -> Result<(), Failure> {
    if json {
        return output::result(&answer.text);
    }
    output::result(&render_answer(
        &answer.node,
        preferred_columns(action),
        view,
    ))
}

/// The columns that come first in an action's table.
pub fn preferred_columns(action: &str) -> &'static [&'static str] {
    PREFERRED_COLUMNS
        .iter()
        .find_map(|(name, columns)| (*name == action).then_some(*columns))
        .unwrap_or_default()
}

fn refuse_missing(call: &Invocation) -> Result<(), Failure> {
    let missing = call.missing();
    let Some(first) = missing.first() else {
        return Ok(());
    };
    let hint = if first.secret {
        "; there is no terminal to ask on: give @FILE, @- or env:NAME"
    } else {
        ""
    };
    Err(Failure::Usage(format!(
        "{} needs --{}{hint}",
        call.action,
        openpeta_rpc_api::kebab_case(first.name)
    )))
}
