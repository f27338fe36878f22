//! Where results and remarks go: results to standard output, everything else to standard error.

use std::io::{self, IsTerminal, Write};

use crate::failure::Failure;

/// Prints a result and ends the line. A reader that went away (`| head`) is no error.
pub fn result(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let written = out
        .write_all(text.trim_end_matches('\n').as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::local(
            "OutputFailed",
            format!("cannot write the result: {error}"),
        )),
        _ => Ok(()),
    }
}

/// Tells the user something beside the result.
pub fn remark(text: &str) {
    // Nothing can be done when standard error is closed.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// The width of the terminal that results go to; `None` when they go elsewhere.
pub fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    let (_, columns) = console::Term::stdout().size();
    Some(usize::from(columns).max(20))
}
