//! `call <Action> --Param value …`: any action, known or not, with the API's own names.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use crate::cli::options::{OutputOptions, ServiceOptions, WaitOptions};
use crate::failure::Failure;
use crate::invocation::{Invocation, Parameters};
use crate::secret_input;

/// What `call` was asked for.
pub struct RawCall {
    /// The call.
    pub invocation: Invocation,
    /// Where it goes.
    pub service: ServiceOptions,
    /// How its answer is shown.
    pub output: OutputOptions,
    /// Seconds to wait for the call's task; `None` not to wait.
    pub wait: Option<u64>,
    /// The data directory, when it is named after the action.
    pub data_dir: Option<PathBuf>,
}

/// The subcommand.
pub fn subcommand() -> Command {
    let command = WaitOptions::augment_args(OutputOptions::augment_args(
        ServiceOptions::augment_args(Command::new("call")),
    ));
    command
        .about("Call any action of the API by its own name: call <Action> --Param value …")
        .long_about(
            "Calls any action of the API by its own name, with parameters by theirs. Parameters \
             that the table of actions does not know are sent as well. A value may come from a \
             file (@FILE), from standard input (@-) or, for passwords, from an environment \
             variable (env:NAME); @@ stands for a leading @.",
        )
        .arg(
            Arg::new("action")
                .value_name("ACTION")
                .required(true)
                .help("Name of the action, for example DescribeInstances"),
        )
        .arg(
            Arg::new("parameters")
                .value_name("--PARAM VALUE")
                .num_args(0..)
                .action(ArgAction::Append)
                .trailing_var_arg(true)
                .allow_hyphen_values(true)
                .value_parser(clap::value_parser!(OsString))
                .help("Parameters of the action; common options may stand among them"),
        )
}

/// Reads the arguments of `call`.
///
/// # Errors
/// [`Failure::Usage`] for anything that is not `--Name value`, `--Name=value` or a common
/// option, or when a value's source cannot be read.
pub fn parse(matches: &ArgMatches) -> Result<RawCall, Failure> {
    let usage = |error: clap::Error| Failure::Usage(error.to_string());
    let action = matches
        .get_one::<String>("action")
        .expect("clap requires the action");
    let wait = WaitOptions::from_arg_matches(matches).map_err(usage)?;
    let mut call = RawCall {
        invocation: Invocation::new(action, Parameters::default()),
        service: ServiceOptions::from_arg_matches(matches).map_err(usage)?,
        output: OutputOptions::from_arg_matches(matches).map_err(usage)?,
        wait: wait.wait.then_some(wait.timeout),
        data_dir: None,
    };
    let mut timeout = wait.timeout;
    let mut words = Vec::new();
    for word in matches
        .get_many::<OsString>("parameters")
        .into_iter()
        .flatten()
    {
        words.push(
            word.to_str().ok_or_else(|| {
                Failure::Usage(format!("{} is not UTF-8", word.to_string_lossy()))
            })?,
        );
    }
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let Some(flag) = word.strip_prefix("--").filter(|flag| !flag.is_empty()) else {
            return Err(Failure::Usage(format!(
                "expected --Param value, found {word:?}"
            )));
        };
        let (name, inline) = match flag.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (flag, None),
        };
        let mut value = || {
            inline
                .or_else(|| words.next())
                .ok_or_else(|| Failure::Usage(format!("--{name} needs a value")))
        };
        match name {
            "json" => call.output.json = true,
            "wide" => call.output.wide = true,
            "http" => call.service.http = true,
            "wait" => call.wait = Some(timeout),
            "profile" => call.service.profile = Some(value()?.into()),
            "data-dir" => call.data_dir = Some(value()?.into()),
            "timeout" => {
                timeout = value()?.parse().map_err(|_| {
                    Failure::Usage("--timeout needs a number of seconds".to_owned())
                })?;
                call.wait = call.wait.map(|_| timeout);
            }
            _ => add_parameter(&mut call.invocation, name, value()?)?,
        }
    }
    Ok(call)
}

fn add_parameter(call: &mut Invocation, name: &str, written: &str) -> Result<(), Failure> {
    if call.parameters.get(name).is_some() {
        return Err(Failure::Usage(format!("--{name} is given twice")));
    }
    let secret = call
        .spec
        .and_then(|spec| spec.parameter(name))
        .is_some_and(|parameter| parameter.secret);
    let value = secret_input::resolve(name, written, secret)?;
    call.parameters.set(name, value);
    Ok(())
}

/// Whether `--json` stands among the parameters.
pub fn wants_json(matches: &ArgMatches) -> bool {
    matches
        .get_many::<OsString>("parameters")
        .into_iter()
        .flatten()
        .any(|word| word == "--json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<RawCall, Failure> {
        let mut argv = vec!["call"];
        argv.extend(words);
        parse(&subcommand().try_get_matches_from(argv).unwrap())
    }

    #[test]
    fn options_and_parameters_mix() {
        let call = parsed(&[
            "--json",
            "CreateInstance",
            "--DBName",
            "-x",
            "--wait",
            "--NodeNumber=1",
            "--timeout",
            "5",
            "--data-dir",
            "/d",
        ])
        .unwrap_or_else(|failure| panic!("{failure}"));
        assert!(call.output.json);
        assert_eq!(call.wait, Some(5));
        assert_eq!(call.data_dir, Some(PathBuf::from("/d")));
        let given: Vec<_> = call.invocation.parameters.iter().collect();
        assert_eq!(given, [("DBName", "-x"), ("NodeNumber", "1")]);
    }

    #[test]
    fn unknown_names_are_sent_all_the_same() {
        let call =
            parsed(&["NoSuchAction", "--Whatever", "@@at"]).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(call.invocation.parameters.get("Whatever"), Some("@at"));
    }

    #[test]
    fn mistakes_are_named() {
        for (words, expected) in [
            (&["A", "stray"][..], "stray"),
            (&["A", "--B"], "needs a value"),
            (&["A", "--B", "1", "--B", "2"], "twice"),
        ] {
            let Err(failure) = parsed(words) else {
                panic!("{words:?} was accepted")
            };
            assert!(failure.to_string().contains(expected), "{failure}");
            assert_eq!(failure.exit_code(), crate::failure::EXIT_USAGE);
        }
    }
}
