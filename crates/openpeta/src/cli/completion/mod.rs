//! Completion on the command line: the scripts of the shells ask this program, which asks the
//! service for what it has. It is quick and quiet: whatever goes wrong, there is nothing to
//! offer.

mod candidates;
mod line;
mod lookup;

use std::ffi::OsString;
use std::sync::Arc;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate, complete};

use crate::cli::friendly;
use crate::failure::Failure;
use crate::output;
use line::Line;

/// The hidden subcommand that the scripts call.
pub const ASK: &str = "__complete";

/// The shells that there is a script for.
pub const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];

/// The script of a shell. It calls the program the way it was called itself.
pub fn script(shell: &str) -> String {
    let script = match shell {
        "zsh" => include_str!("openpeta.zsh"),
        "fish" => include_str!("openpeta.fish"),
        _ => include_str!("openpeta.bash"),
    };
    script.replace("PROGRAM", &quoted(&program()))
}

/// `openpeta` when it was found on the path, else where it lies.
fn program() -> String {
    let name = std::env::args().next().unwrap_or_default();
    if name.contains('/')
        && let Ok(path) = std::path::absolute(&name)
    {
        return path.to_string_lossy().into_owned();
    }
    "openpeta".to_owned()
}

/// The hidden subcommand.
pub fn subcommand() -> Command {
    Command::new(ASK)
        .hide(true)
        .disable_help_flag(true)
        .arg(Arg::new("shell").required(true))
        .arg(
            Arg::new("index")
                .required(true)
                .value_parser(clap::value_parser!(usize)),
        )
        .arg(
            Arg::new("words")
                .action(ArgAction::Append)
                .num_args(0..)
                .last(true)
                .allow_hyphen_values(true)
                .value_parser(ValueParser::os_string()),
        )
}

/// Prints what may stand in the place of the word that the cursor is at.
///
/// # Errors
/// When standard output cannot be written.
pub fn answer(matches: &ArgMatches) -> Result<(), Failure> {
    let shell = matches
        .get_one::<String>("shell")
        .map_or("", String::as_str);
    let index = *matches.get_one::<usize>("index").unwrap_or(&0);
    let words: Vec<String> = matches
        .get_many::<OsString>("words")
        .into_iter()
        .flatten()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let line = match shell {
        "bash" => Line::of_bash(&words, index),
        _ => Line::new(words, index),
    };
    let found = find(&line);
    let lines: Vec<String> = found
        .iter()
        .map(|candidate| shown(shell, &line, candidate))
        .collect();
    match lines.is_empty() {
        true => Ok(()),
        false => output::result(&lines.join("\n")),
    }
}

fn find(line: &Line) -> Vec<CompletionCandidate> {
    let mut command = with_completers(super::command(true), &Arc::new(line.clone()), None);
    let words = line.words.iter().map(OsString::from).collect();
    let here = std::env::current_dir().ok();
    // It says that there is nothing to complete as an error.
    complete(&mut command, words, line.index, here.as_deref()).unwrap_or_default()
}

/// The command with a completer at every argument whose values can be looked up; `parent` is
/// the subcommand of the program that it belongs to.
fn with_completers(command: Command, line: &Arc<Line>, parent: Option<&str>) -> Command {
    let own = parent.unwrap_or_else(|| command.get_name()).to_owned();
    let action = friendly::action_of(&own);
    let command = command.mut_args(|arg| {
        // What values there are is known already.
        if arg.get_value_parser().possible_values().is_some() {
            return arg;
        }
        match candidates::source(&own, action, arg.get_id().as_str()) {
            Some(source) => {
                let line = Arc::clone(line);
                arg.add(ArgValueCompleter::new(move |current: &std::ffi::OsStr| {
                    source.candidates(&line, &current.to_string_lossy())
                }))
            }
            None => arg,
        }
    });
    let is_top = parent.is_none() && own == "openpeta";
    command.mut_subcommands(|subcommand| {
        let parent = (!is_top).then_some(own.as_str());
        with_completers(subcommand, line, parent)
    })
}

/// A candidate as the shell's script reads it.
fn shown(shell: &str, line: &Line, candidate: &CompletionCandidate) -> String {
    let value = candidate.get_value().to_string_lossy();
    if shell == "bash" {
        // Bash replaces what stands after the last `=` alone.
        let value = value.strip_prefix(line.kept.as_str()).unwrap_or(&value);
        return quoted(value);
    }
    let help = candidate.get_help().map(ToString::to_string);
    match help.as_deref().and_then(|help| help.lines().next()) {
        Some(help) if !help.is_empty() => format!("{value}\t{help}"),
        _ => value.into_owned(),
    }
}

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/_-.,+=:@%".contains(c);
    let mut quoted = String::with_capacity(word.len());
    for c in word.chars() {
        if !plain(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let index = words.len() - 1;
        let found = find(&Line::new(words, index));
        found
            .iter()
            .map(|candidate| candidate.get_value().to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn actions_flags_and_fixed_values_need_no_service() {
        let actions = found(&["openpeta", "describe-security"]);
        assert_eq!(actions, ["describe-security-ips"]);
        let flags = found(&["openpeta", "create-instance", "--vs"]);
        assert_eq!(flags, ["--vswitch-id"]);
        let values = found(&["openpeta", "create-instance", "--charge-type", "Po"]);
        assert_eq!(values, ["PostPaid"]);
        let specs = found(&["openpeta", "create-database", "--node-spec", ""]);
        assert!(
            specs.contains(&"petadata.s2.xlarge".to_owned()),
            "{specs:?}"
        );
        assert_eq!(found(&["openpeta", "completion", "z"]), ["zsh"]);
    }

    #[test]
    fn the_api_s_own_names_are_completed_too() {
        assert_eq!(found(&["openpeta", "call", "CreateTab"]), ["CreateTable"]);
        let parameters = found(&["openpeta", "call", "CreateTable", "--Table"]);
        assert_eq!(parameters, ["--TableDDL"]);
        let values = ["openpeta", "call", "CreateInstance", "--NetworkType", "V"];
        assert_eq!(found(&values), ["VPC"]);
        let values = ["openpeta", "CreateInstance", "--PayType", "Pre"];
        assert_eq!(found(&values), ["PrePaid"]);
    }

    #[test]
    fn words_are_quoted_where_a_shell_would_cut_them() {
        assert_eq!(quoted("team=my shop"), "team=my\\ shop");
        assert_eq!(quoted("/opt/it's/é"), "/opt/it\\'s/é");
    }
}
