//! The command line that is being completed.

use std::path::PathBuf;

use openpeta_rpc_api::{Action, ActionSpec, kebab_case};

use crate::cli::friendly;

/// What every instance's id begins with.
const INSTANCE_PREFIX: &str = "pd-";

/// The words of a line, and the one that the cursor is at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The words, the program's name first; flags are spelled as their help has them.
    pub words: Vec<String>,
    /// Which of them is to be completed.
    pub index: usize,
    /// The part of that word that the shell leaves alone.
    pub kept: String,
}

impl Line {
    /// A line out of a shell's words.
    pub fn new(mut words: Vec<String>, index: usize) -> Self {
        words.truncate(index + 1);
        words.resize(index + 1, String::new());
        let mut line = Self {
            words,
            index,
            kept: String::new(),
        };
        line.spell_flags();
        line
    }

    /// A line out of the words of bash, which cuts at some signs too: `--tag=a` is three words,
    /// `@file` two. Of the word at the cursor bash replaces what stands after the last sign.
    pub fn of_bash(words: &[String], index: usize) -> Self {
        let is_sign = |word: &str| !word.is_empty() && word.chars().all(|c| "=:@".contains(c));
        let mut joined: Vec<String> = Vec::new();
        let mut kept = String::new();
        let mut is_open = false;
        for word in words.iter().take(index + 1) {
            let is_sign = is_sign(word);
            // What begins with `@` is a value, which a blank parts from its flag.
            let continues = is_open || (is_sign && !word.starts_with('@'));
            match joined.last_mut().filter(|_| continues) {
                Some(last) => {
                    kept.clone_from(last);
                    last.push_str(word);
                }
                None => {
                    kept.clear();
                    joined.push(word.clone());
                }
            }
            if is_sign && let Some(last) = joined.last() {
                kept.clone_from(last);
            }
            is_open = is_sign;
        }
        let at_cursor = joined.len().saturating_sub(1);
        Self {
            kept,
            ..Self::new(joined, at_cursor)
        }
    }

    /// Other spellings of flags become those that the help has, where the word is complete.
    fn spell_flags(&mut self) {
        let Some(spec) = self.friendly_action() else {
            return;
        };
        for word in self.words.iter_mut().take(self.index) {
            if let Some(flag) = word.strip_prefix("--")
                && let Some(parameter) = parameter_of(spec, flag)
            {
                *word = format!("--{}", friendly::flag_name(parameter));
            }
        }
    }

    /// The action whose own subcommand the line calls.
    fn friendly_action(&self) -> Option<&'static ActionSpec> {
        let words = self.words.iter().take(self.index).skip(1);
        let mut words = words.take_while(|word| *word != "call");
        words.find_map(|word| {
            let action = friendly::action_of(word).or_else(|| Action::find(word));
            action.map(Action::spec)
        })
    }

    /// The action that is called through `call`.
    pub fn called_action(&self) -> Option<&'static ActionSpec> {
        let mut words = self.words.iter().take(self.index).skip(1);
        words.find(|word| *word == "call")?;
        words.find_map(|word| Action::find(word).map(Action::spec))
    }

    /// The word before the one that is completed.
    pub fn before(&self) -> &str {
        let before = self.index.checked_sub(1);
        before.map_or("", |index| self.words[index].as_str())
    }

    /// The value that a flag has on the line, in any of these spellings.
    pub fn value(&self, spellings: &[&str]) -> Option<&str> {
        let is_spelled = |flag: &str| {
            let flag = flag.strip_prefix("--");
            flag.is_some_and(|flag| spellings.contains(&flag))
        };
        self.words
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != self.index)
            .find_map(|(index, word)| match word.split_once('=') {
                Some((flag, value)) if is_spelled(flag) => Some(value),
                None if is_spelled(word) && index + 1 < self.index => {
                    Some(self.words[index + 1].as_str())
                }
                _ => None,
            })
    }

    /// The instance that the line is about: the first word that looks like the id of one.
    pub fn instance(&self) -> Option<&str> {
        let mut words = self.words.iter().take(self.index);
        words.find_map(|word| {
            let id = word.split_once('=').map_or(word.as_str(), |(_, id)| id);
            id.starts_with(INSTANCE_PREFIX).then_some(id)
        })
    }

    /// The data directory that the line names.
    pub fn data_dir(&self) -> Option<PathBuf> {
        self.value(&["data-dir"]).map(PathBuf::from)
    }

    /// The credentials file that the line names.
    pub fn profile(&self) -> Option<PathBuf> {
        self.value(&["profile"]).map(PathBuf::from)
    }
}

/// The parameter of an action that a flag stands for, in any spelling.
fn parameter_of(
    spec: &'static ActionSpec,
    flag: &str,
) -> Option<&'static openpeta_rpc_api::ParameterSpec> {
    spec.parameters.iter().find(|parameter| {
        let own = friendly::flag_name(parameter);
        let mut aliases = parameter.aliases.iter().copied();
        flag == own
            || kebab_case(flag) == own
            || aliases.any(|alias| flag == alias || flag == kebab_case(alias))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn bash_cuts_at_equals_signs() {
        let cut = words("openpeta tag-resources --resource-id = pd-a --tag team = sh");
        let line = Line::of_bash(&cut, cut.len() - 1);
        assert_eq!(
            line.words,
            words("openpeta tag-resources --resource-id=pd-a --tag team=sh")
        );
        assert_eq!((line.index, line.kept.as_str()), (4, "team="));
        let line = Line::of_bash(&cut, 3);
        assert_eq!(line.words, words("openpeta tag-resources --resource-id="));
        assert_eq!(line.kept, "--resource-id=");
        let line = Line::of_bash(&cut, 6);
        assert_eq!((line.words[4].as_str(), line.kept.as_str()), ("team", ""));
        let cut = words("openpeta create-table --table-ddl @ /etc");
        let line = Line::of_bash(&cut, 4);
        assert_eq!(line.words, words("openpeta create-table --table-ddl @/etc"));
        assert_eq!((line.index, line.kept.as_str()), (3, "@"));
        let cut = words("openpeta create-table --table-ddl =@ /etc");
        let line = Line::of_bash(&cut, 4);
        assert_eq!(line.words, words("openpeta create-table --table-ddl=@/etc"));
        assert_eq!(line.kept, "--table-ddl=@");
    }

    #[test]
    fn values_are_found_in_every_spelling() {
        let line = "openpeta --data-dir /d create-table --DBInstanceId pd-a --DBName=shop --x";
        let line = Line::new(words(line), 7);
        assert_eq!(line.value(&["data-dir"]), Some("/d"));
        assert_eq!(line.value(&["db-name", "DBName"]), Some("shop"));
        assert_eq!(line.instance(), Some("pd-a"));
        let line = "openpeta CreateInstance --PayType";
        assert_eq!(
            Line::new(words(&format!("{line} ")), 3).before(),
            "--charge-type"
        );
    }
}
