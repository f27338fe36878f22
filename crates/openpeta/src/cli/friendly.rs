//! One subcommand for each action, built from the table of actions: `create-instance --db-name
//! shop`. Values are sent as they are written; the service judges them.

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::{Arg, ArgAction, ArgMatches, Args, Command};
use openpeta_rpc_api::{Action, ActionSpec, ParameterKind, ParameterSpec, kebab_case};

use crate::cli::options::{OutputOptions, ServiceOptions, WaitOptions};
use crate::failure::Failure;
use crate::invocation::{Invocation, ORDER_DEFAULTS, Parameters, RESOURCE_TYPE};
use crate::secret_input;

/// The argument that names the instance by its position.
const INSTANCE: &str = "INSTANCE";

/// The flag that has a restore take the place of its source.
const IN_PLACE: &str = "in-place";

/// Parameters whose value is a JSON text.
const JSON_PARAMETERS: [&str; 2] = ["DBInfo", "Commodities"];

/// The subcommand of an action.
pub fn subcommand(action: Action) -> Command {
    let spec = action.spec();
    let mut command = Command::new(kebab_case(spec.name))
        .aliases(std::iter::once(&spec.name).chain(spec.aliases));
    if let Some(parameter) = instance_parameter(spec) {
        command = command.arg(
            Arg::new(INSTANCE)
                .value_name(INSTANCE)
                .help("The instance, without its flag")
                .conflicts_with(parameter.name),
        );
    }
    for parameter in spec.parameters {
        if let Some(arg) = argument(spec, parameter) {
            command = command.arg(arg);
        }
    }
    command = OutputOptions::augment_args(ServiceOptions::augment_args(command));
    if spec.creates_task {
        command = WaitOptions::augment_args(command);
    }
    if action == Action::RestoreDatabase {
        command = command.arg(
            Arg::new(IN_PLACE)
                .long(IN_PLACE)
                .action(ArgAction::SetTrue)
                .help("Wait, then switch the source to the restored content, at its own endpoints; the new instance keeps what it served"),
        );
    }
    // Last, since shared options bring a description of their own.
    command
        .about(first_sentence(spec.description).to_owned())
        .long_about(long_about(spec))
}

/// The action that a subcommand's name stands for.
pub fn action_of(subcommand: &str) -> Option<Action> {
    Action::ALL
        .iter()
        .copied()
        .find(|action| kebab_case(action.spec().name) == subcommand)
}

/// Whether a restore is to take the place of its source.
pub fn is_in_place(action: Action, matches: &ArgMatches) -> bool {
    action == Action::RestoreDatabase && matches.get_flag(IN_PLACE)
}

/// The call that the arguments of an action's subcommand mean.
///
/// # Errors
/// When a value is to come from a file or a variable that cannot be read.
pub fn invocation(action: Action, matches: &ArgMatches) -> Result<Invocation, Failure> {
    let spec = action.spec();
    let mut parameters = Parameters::default();
    if let Some(parameter) = instance_parameter(spec)
        && let Some(id) = matches.get_one::<String>(INSTANCE)
    {
        parameters.set(parameter.name, id);
    }
    for parameter in spec.parameters {
        match Flag::of(parameter) {
            Flag::Plain => {
                if let Some(written) = matches.get_one::<String>(parameter.name) {
                    let value = secret_input::resolve(parameter.name, written, parameter.secret)?;
                    parameters.set(parameter.name, value);
                }
            }
            Flag::Numbered => {
                for (index, value) in values(matches, parameter.name).enumerate() {
                    parameters.set(numbered(parameter.name, index), value);
                }
            }
            Flag::Pair => {
                let value_name = parameter.name.replace(".Key", ".Value");
                for (index, pair) in values(matches, parameter.name).enumerate() {
                    let (key, value) = match pair.split_once('=') {
                        Some((key, value)) => (key, Some(value)),
                        None => (pair, None),
                    };
                    parameters.set(numbered(parameter.name, index), key);
                    if let Some(value) = value {
                        parameters.set(numbered(&value_name, index), value);
                    }
                }
            }
            Flag::PartOfPair => {}
        }
    }
    Ok(Invocation::new(spec.name, parameters))
}

/// The instance that an action is about may be named without a flag.
fn instance_parameter(spec: &ActionSpec) -> Option<&'static ParameterSpec> {
    spec.instance_parameter()
        .filter(|parameter| parameter.required)
}

/// How a parameter is given on the command line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flag {
    /// Once.
    Plain,
    /// Any number of times; becomes `Name.1`, `Name.2`, …
    Numbered,
    /// Any number of times as `KEY=VALUE`; becomes `Tag.1.Key` and `Tag.1.Value`.
    Pair,
    /// The value half of a pair.
    PartOfPair,
}

impl Flag {
    fn of(parameter: &ParameterSpec) -> Self {
        match parameter.kind {
            ParameterKind::Repeated if parameter.name.ends_with(".N.Key") => Self::Pair,
            ParameterKind::Repeated if parameter.name.ends_with(".N.Value") => Self::PartOfPair,
            ParameterKind::Repeated => Self::Numbered,
            _ => Self::Plain,
        }
    }
}

/// The flag of a parameter, without the dashes.
pub fn flag_name(parameter: &ParameterSpec) -> String {
    kebab_case(parameter.base_name())
}

fn argument(spec: &'static ActionSpec, parameter: &'static ParameterSpec) -> Option<Arg> {
    let flag = Flag::of(parameter);
    if flag == Flag::PartOfPair {
        return None;
    }
    let base = parameter.base_name();
    let long = flag_name(parameter);
    let filled_in = filled_in_from(spec.action, parameter);
    let required = parameter.required
        && !parameter.secret
        && parameter.default.is_none()
        && filled_in.is_none();
    let mut arg = Arg::new(parameter.name)
        .long(long.clone())
        .value_name(value_name(parameter, flag))
        .help(help(parameter, flag, filled_in))
        .allow_hyphen_values(true);
    let has_position = instance_parameter(spec).is_some_and(|own| own.name == parameter.name);
    arg = match has_position {
        true => arg.required_unless_present(INSTANCE),
        false => arg.required(required),
    };
    let mut spellings = vec![long];
    for name in std::iter::once(&base).chain(parameter.aliases) {
        for spelling in [(*name).to_owned(), kebab_case(name)] {
            if !spellings.contains(&spelling) {
                arg = arg.alias(spelling.clone());
                spellings.push(spelling);
            }
        }
    }
    if flag != Flag::Plain {
        arg = arg.action(ArgAction::Append);
    }
    if !parameter.allowed.is_empty() {
        arg = arg
            .value_parser(SuggestedValues(parameter.allowed))
            .hide_possible_values(true);
    }
    Some(arg)
}

/// What a required parameter is filled in with when it is neither given nor asked for.
fn filled_in_from(action: Action, parameter: &ParameterSpec) -> Option<&'static str> {
    if action == Action::CreateInstance
        && let Some((_, value)) = ORDER_DEFAULTS
            .iter()
            .find(|(name, _)| *name == parameter.name)
    {
        return Some(value);
    }
    match (parameter.required, parameter.name, parameter.kind) {
        (true, "RegionId", _) => Some("the region of the credentials"),
        (true, "ZoneId", _) => Some("the zone of the credentials"),
        (true, "ResourceType", _) => Some(RESOURCE_TYPE),
        (true, "StartTime", ParameterKind::Time) => Some("a day ago, an hour for metrics"),
        (true, "EndTime", ParameterKind::Time) => Some("now"),
        _ => None,
    }
}

fn value_name(parameter: &ParameterSpec, flag: Flag) -> &'static str {
    match (flag, parameter.kind) {
        (Flag::Pair, _) => "KEY=VALUE",
        (_, ParameterKind::Integer) => "NUMBER",
        (_, ParameterKind::Boolean) => "true|false",
        (_, ParameterKind::Time) => "TIME",
        _ if parameter.secret => "SOURCE",
        _ if parameter.name.ends_with("DDL") => "SQL|@FILE",
        _ if JSON_PARAMETERS.contains(&parameter.name) => "JSON|@FILE",
        _ => "TEXT",
    }
}

fn help(parameter: &ParameterSpec, flag: Flag, filled_in: Option<&str>) -> String {
    let mut help = parameter.description.to_owned();
    let mut note = |text: String| {
        if !help.is_empty() {
            help.push(' ');
        }
        help.push_str(&text);
    };
    if !parameter.constraints.is_empty() {
        note(format!("({})", parameter.constraints));
    }
    if let Some(source) = filled_in {
        note(format!("[default: {source}]"));
    } else if parameter.required && parameter.default.is_none() {
        note("[required]".to_owned());
    }
    if !parameter.allowed.is_empty() {
        note(format!("[values: {}]", parameter.allowed.join(", ")));
    }
    if let Some(default) = parameter.default {
        note(format!("[default: {default}]"));
    }
    if parameter.secret {
        note("[@FILE, @- or env:NAME; asked for when left out]".to_owned());
    }
    if flag != Flag::Plain {
        note("[may be repeated]".to_owned());
    }
    help
}

fn long_about(spec: &ActionSpec) -> String {
    let mut text = spec.description.to_owned();
    if !spec.preconditions.is_empty() {
        text.push_str("\n\nIt needs:");
        for precondition in spec.preconditions {
            text.push_str("\n- ");
            text.push_str(precondition);
        }
    }
    text.push_str("\n\nA value may be read from a file, @FILE, or from standard input, @-.");
    text
}

/// The first sentence, without its full stop, as subcommand lists have it.
pub fn first_sentence(text: &str) -> &str {
    let end = text.find(". ").unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}

fn values<'a>(matches: &'a ArgMatches, id: &str) -> impl Iterator<Item = &'a str> {
    matches
        .get_many::<String>(id)
        .into_iter()
        .flatten()
        .map(String::as_str)
}

fn numbered(name: &str, index: usize) -> String {
    name.replace(".N", &format!(".{}", index + 1))
}

/// Names the values there are, for help and completion, and accepts any: which ones are
/// allowed is the service's to say.
#[derive(Clone)]
struct SuggestedValues(&'static [&'static str]);

impl TypedValueParser for SuggestedValues {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(self.0.iter().map(PossibleValue::new)))
    }
}
