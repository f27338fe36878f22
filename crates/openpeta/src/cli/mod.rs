//! The command line: every subcommand, and which code runs it.

pub mod completion;
pub mod friendly;
pub mod options;
pub mod raw_call;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use openpeta_rpc_api::{Action, Section, kebab_case};

use crate::admin::AdminArguments;
use crate::call::{self, CallOptions};
use crate::connect::{self, ConnectArguments};
use crate::diagnose::{self, DiagnoseArguments};
use crate::download::{self, DownloadArguments};
use crate::failure::Failure;
use crate::metrics::{self, MetricsArguments};
use crate::serve::{self, ServeArguments};
use crate::top::{self, TopArguments};
use crate::{admin, next_step, output};
use options::{OutputOptions, ServiceOptions, WaitOptions};

/// The whole command line. The subcommands of actions are not in the list of the top-level
/// help, which names them by section below it, unless `list_actions` asks for it.
pub fn command(list_actions: bool) -> Command {
    let data_dir = Arg::new("data_dir")
        .long("data-dir")
        .value_name("DIR")
        .global(true)
        .help_heading("Common options")
        .value_parser(clap::value_parser!(PathBuf))
        .help(
            "The service's data directory [default: OPENPETA_DATA_DIR, else \
             ~/.local/share/openpeta]",
        );
    let command = Command::new("openpeta")
        .version(env!("CARGO_PKG_VERSION"))
        .about("MySQL-compatible databases, ordered and run through the petadata API")
        .arg(data_dir)
        .max_term_width(100)
        .disable_help_subcommand(true)
        .after_help(actions_help())
        .subcommand(
            ServeArguments::augment_args(Command::new("serve"))
                .about("Run the service until told to stop"),
        )
        .subcommand(AdminArguments::augment_args(Command::new("admin")))
        .subcommand(DiagnoseArguments::augment_args(Command::new("diagnose")))
        .subcommand(DownloadArguments::augment_args(Command::new(
            "download-backup",
        )))
        .subcommand(
            ConnectArguments::augment_args(Command::new("connect"))
                .about("Open a MySQL shell to an instance"),
        )
        .subcommand(
            TopArguments::augment_args(Command::new("top"))
                .about("Show what instances, nodes and statements do now"),
        )
        .subcommand(
            MetricsArguments::augment_args(Command::new("metrics"))
                .about("Plot what was sampled of an instance"),
        )
        .subcommand(raw_call::subcommand())
        .subcommand(
            Command::new("completion")
                .about("Print the completion script of a shell")
                .arg(
                    Arg::new("shell")
                        .value_name("SHELL")
                        .required(true)
                        .value_parser(completion::SHELLS),
                ),
        )
        .subcommand(completion::subcommand());
    command.subcommands(
        Action::ALL
            .iter()
            .map(|action| friendly::subcommand(*action).hide(!list_actions)),
    )
}

/// Runs what the arguments ask for.
///
/// # Errors
/// Whatever keeps the command from succeeding.
pub fn run(mut matches: ArgMatches) -> Result<(), Failure> {
    let data_dir = matches.remove_one::<PathBuf>("data_dir");
    let Some((name, matches)) = matches.subcommand() else {
        return next_step::show(data_dir);
    };
    let data_dir = matches.get_one::<PathBuf>("data_dir").cloned().or(data_dir);
    match name {
        "serve" => serve::run(arguments::<ServeArguments>(matches)?, data_dir),
        "admin" => admin::run(arguments::<AdminArguments>(matches)?, data_dir),
        "diagnose" => diagnose::run(arguments::<DiagnoseArguments>(matches)?, data_dir),
        "download-backup" => download::run(arguments::<DownloadArguments>(matches)?, data_dir),
        "connect" => connect::run(arguments::<ConnectArguments>(matches)?, data_dir),
        "top" => top::run(arguments::<TopArguments>(matches)?, data_dir),
        "metrics" => metrics::run(arguments::<MetricsArguments>(matches)?, data_dir),
        "call" => {
            let raw = raw_call::parse(matches)?;
            let options = CallOptions {
                service: raw.service,
                output: raw.output,
                data_dir: raw.data_dir.or(data_dir),
                wait: raw.wait.map(Duration::from_secs),
                in_place: false,
                assist: false,
            };
            call::run(raw.invocation, options)
        }
        "completion" => {
            let shell = matches
                .get_one::<String>("shell")
                .expect("clap requires the shell");
            output::result(&completion::script(shell))
        }
        completion::ASK => completion::answer(matches),
        name => {
            let action = friendly::action_of(name).expect("clap knows no other subcommand");
            let wait = match action.spec().creates_task {
                true => Some(arguments::<WaitOptions>(matches)?),
                false => None,
            };
            let options = CallOptions {
                service: arguments::<ServiceOptions>(matches)?,
                output: arguments::<OutputOptions>(matches)?,
                data_dir,
                wait: wait
                    .filter(|wait| wait.wait)
                    .map(|wait| Duration::from_secs(wait.timeout)),
                in_place: friendly::is_in_place(action, matches),
                assist: true,
            };
            call::run(friendly::invocation(action, matches)?, options)
        }
    }
}

/// Whether the arguments, wherever they stand, ask for JSON.
pub fn wants_json(matches: &ArgMatches) -> bool {
    let Some((name, matches)) = matches.subcommand() else {
        return false;
    };
    let flag = |matches: &ArgMatches| matches!(matches.try_get_one::<bool>("json"), Ok(Some(true)));
    match name {
        // Options may stand among the parameters.
        "call" => raw_call::wants_json(matches) || flag(matches),
        _ => flag(matches),
    }
}

fn arguments<A: FromArgMatches>(matches: &ArgMatches) -> Result<A, Failure> {
    A::from_arg_matches(matches).map_err(|error| Failure::Usage(error.to_string()))
}

/// The subcommands of actions, section by section.
fn actions_help() -> String {
    let mut text = String::from("Actions of the API, each with its own --help:\n");
    for section in Section::ALL {
        text.push_str(&format!("\n  {}\n", section.title()));
        for action in Action::ALL {
            let spec = action.spec();
            if spec.section != *section {
                continue;
            }
            text.push_str(&format!("    {}\n", kebab_case(spec.name)));
        }
    }
    text.push_str(
        "\nExit codes: 0 done, 1 refused, 2 wrong usage, 3 no service answers, 4 the task waited \
         for failed or took too long",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command(false).debug_assert();
        command(true).debug_assert();
    }

    #[test]
    fn every_action_has_a_subcommand() {
        let command = command(false);
        assert_eq!(Action::ALL.len(), 55);
        for action in Action::ALL {
            let spec = action.spec();
            let found = command.find_subcommand(kebab_case(spec.name));
            let found = found.unwrap_or_else(|| panic!("{} has none", spec.name));
            // The API's own spellings work too.
            for spelling in std::iter::once(&spec.name).chain(spec.aliases) {
                let other = command.find_subcommand(spelling);
                assert_eq!(other.map(Command::get_name), Some(found.get_name()));
            }
            for parameter in spec.parameters {
                let part_of_pair = parameter.name.ends_with(".N.Value");
                let has = found
                    .get_arguments()
                    .any(|arg| arg.get_id() == parameter.name);
                assert!(has || part_of_pair, "{} {}", spec.name, parameter.name);
            }
        }
    }
}
