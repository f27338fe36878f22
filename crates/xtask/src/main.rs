//! Developer chores, run as `cargo xtask <chore>`. Holds nothing that ships.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, ensure};
use openpeta_rpc_api::docs;

const USAGE: &str = "usage: cargo xtask docs               write the API reference to docs/api
       cargo xtask simulate [RUNS]   run the gateway's simulated sessions, 100000 by default
       cargo xtask fuzz TARGET --seconds N   run a fuzz target; without a right TARGET, tell which there are";

/// Runs of a long simulation.
const SIMULATIONS: &str = "100000";
/// How long a fuzz target runs.
const FUZZ_SECONDS: &str = "60";

#[expect(clippy::print_stderr, reason = "a command line tool")]
fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let result = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["docs"] => write_docs(&repository().join("docs/api")),
        ["simulate"] => simulate(SIMULATIONS),
        ["simulate", runs] if runs.parse::<u64>().is_ok() => simulate(runs),
        ["fuzz", target] => fuzz(target, FUZZ_SECONDS),
        ["fuzz", target, "--seconds", seconds] => fuzz(target, seconds),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the source tree.
fn repository() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors()
        .nth(2)
        .expect("this crate lies in crates/xtask")
}

/// Runs the simulated sessions of the gateway with that many seeds. A failure names its own.
fn simulate(runs: &str) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let test = ["test", "-p", "openpeta-gateway", "--lib", "random_sessions"];
    let status = Command::new(cargo)
        .args(test)
        .env("OPENPETA_SEEDS", runs)
        .current_dir(repository())
        .status()
        .context("starting cargo")?;
    ensure!(status.success(), "a simulated session failed");
    Ok(())
}

/// Runs a fuzz target, optimised but with its checks for overflow.
fn fuzz(target: &str, seconds: &str) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = ["run", "--quiet", "--profile", "fuzz", "-p", "openpeta-fuzz"];
    let status = Command::new(cargo)
        .args(run)
        .args(["--", target, seconds])
        .current_dir(repository())
        .status()
        .context("starting cargo")?;
    ensure!(status.success(), "the target failed, or did not run");
    Ok(())
}

/// Writes every page of the reference and removes pages that are no longer part of it.
fn write_docs(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let pages = docs::pages();
    for (name, text) in &pages {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
    }
    let names: HashSet<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let known = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| names.contains(name));
        if !known {
            fs::remove_file(&path).with_context(|| format!("removing {}", path.display()))?;
        }
    }
    Ok(())
}
