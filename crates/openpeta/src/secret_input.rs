//! Values that come from elsewhere than the command line, so that no password stands in the
//! process list or the shell's history.

use std::io::{self, IsTerminal, Read};

use crate::failure::Failure;

/// Resolves a value as it was written on the command line:
/// `@FILE` is the content of a file and `@-` of standard input, without the last line end;
/// `env:NAME` is an environment variable, for secrets only; `@@` stands for a leading `@`.
///
/// # Errors
/// When the file, standard input or the variable cannot be read.
pub fn resolve(parameter: &str, written: &str, secret: bool) -> Result<String, Failure> {
    if let Some(literal) = written.strip_prefix("@@") {
        return Ok(format!("@{literal}"));
    }
    if let Some(source) = written.strip_prefix('@') {
        return read_source(parameter, source);
    }
    if secret && let Some(name) = written.strip_prefix("env:") {
        return std::env::var(name).map_err(|_| {
            Failure::Usage(format!(
                "{parameter}: the environment variable {name} is not set"
            ))
        });
    }
    Ok(written.to_owned())
}

/// The text of a file, or of standard input for `-`, without the last line end.
///
/// # Errors
/// When it cannot be read or is not UTF-8.
pub fn read_source(parameter: &str, source: &str) -> Result<String, Failure> {
    let text = if source == "-" {
        let mut text = String::new();
        io::stdin().lock().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(source)
    };
    let mut text = text.map_err(|error| {
        Failure::Usage(format!(
            "{parameter}: cannot read {source:?}: {error} (`@FILE` reads a file; write @@ for a \
             leading @)"
        ))
    })?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

/// Whether there is somebody to ask.
pub fn can_prompt() -> bool {
    io::stdin().is_terminal() && console::Term::stderr().is_term()
}

/// Asks for a secret on the terminal without showing it.
///
/// # Errors
/// When the terminal is gone, or, with `confirm`, when the two answers differ.
pub fn prompt(label: &str, confirm: bool) -> Result<String, Failure> {
    let first = ask(label)?;
    if confirm && ask(&format!("{label} (again)"))? != first {
        return Err(Failure::Usage(format!(
            "{label}: the two answers are not the same"
        )));
    }
    Ok(first)
}

fn ask(label: &str) -> Result<String, Failure> {
    let terminal = console::Term::stderr();
    terminal
        .write_str(&format!("{label}: "))
        .and_then(|()| terminal.read_secure_line())
        .map_err(|error| Failure::Usage(format!("{label}: cannot read from the terminal: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_literal_files_or_variables() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        std::fs::write(&file, "pass word\r\n").unwrap();
        let from_file = format!("@{}", file.display());
        assert_eq!(resolve("P", &from_file, true).unwrap(), "pass word");
        assert_eq!(resolve("P", "@@x", true).unwrap(), "@x");
        assert_eq!(
            resolve("P", "env:PATH", true).unwrap(),
            std::env::var("PATH").unwrap()
        );
        assert_eq!(resolve("P", "env:PATH", false).unwrap(), "env:PATH");
        assert!(resolve("P", "env:OPENPETA_NO_SUCH", true).is_err());
        assert!(resolve("P", "@/nonexistent/file", true).is_err());
    }
}
