//! `top`: what instances do now, in the terminal.

mod model;
mod view;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use openpeta_control::admin::overview::Overview;
use openpeta_control::admin::protocol::AdminCommand;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};

use crate::admin::ask;
use crate::failure::Failure;
use crate::{output, profile};
use model::Model;
use view::{Screen, draw};

/// The longest to wait for the service.
const PATIENCE: Duration = Duration::from_secs(10);
/// Kinds of statements that are looked at for those that take most now.
const LOOKED_AT: u32 = 3000;
/// What is printed without a terminal is so wide.
const WIDTH: u16 = 130;

/// The arguments of `top`.
#[derive(Args, Debug)]
pub struct TopArguments {
    /// Print what happens in one interval, and end
    #[arg(long)]
    once: bool,
    /// Print it as JSON
    #[arg(long, requires = "once")]
    json: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = interval)]
    interval: f64,
    /// Kinds of statements to show
    #[arg(long, value_name = "NUMBER", default_value_t = 20)]
    digests: usize,
}

fn interval(text: &str) -> Result<f64, String> {
    let seconds = text.parse().ok();
    let seconds = seconds.filter(|seconds| (0.1..=3600.0).contains(seconds));
    seconds.ok_or_else(|| "from 0.1 to 3600".to_owned())
}

/// Shows what instances do until told to stop, or once.
///
/// # Errors
/// When no service runs on the data directory.
pub fn run(arguments: TopArguments, data_dir: Option<PathBuf>) -> Result<(), Failure> {
    let data_dir = profile::data_dir(data_dir)?;
    let interval = Duration::from_secs_f64(arguments.interval);
    // What runs now may have taken little in all.
    let asked = match arguments.digests {
        0 => 0,
        _ => LOOKED_AT,
    };
    let look = || look(&data_dir, asked);
    let mut model = Model::bounded(arguments.digests);
    model.take(look()?);
    if arguments.once {
        // Rates are of an interval.
        thread::sleep(interval);
        model.take(look()?);
        return match arguments.json {
            true => output::result(&serde_json::to_string(&model).unwrap_or_default()),
            false => print_once(&model),
        };
    }
    if !io::stdout().is_terminal() {
        let what = "standard output is no terminal: use --once, with --json for programs";
        return Err(Failure::Usage(what.to_owned()));
    }
    let terminal = ratatui::try_init().map_err(no_terminal)?;
    let ended = live(terminal, &mut model, interval, look);
    ratatui::restore();
    ended.map_err(no_terminal)
}

fn look(data_dir: &Path, digests: u32) -> Result<Overview, Failure> {
    let reply = ask(data_dir, &AdminCommand::Overview { digests }, PATIENCE)?;
    serde_json::from_value(reply).map_err(|error| {
        Failure::local("InvalidReply", format!("the reply cannot be read: {error}"))
    })
}

fn no_terminal(error: io::Error) -> Failure {
    Failure::local(
        "TerminalFailed",
        format!("the terminal cannot be used: {error}"),
    )
}

fn print_once(model: &Model) -> Result<(), Failure> {
    let lines = model.instances.len() + model.nodes.len() + model.digests.len() + 16;
    // Each part gets a share of the height.
    let height = u16::try_from(lines * 4).unwrap_or(u16::MAX);
    let width = output::width().and_then(|width| u16::try_from(width).ok());
    let text = as_text(model, &Screen::default(), width.unwrap_or(WIDTH), height);
    let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
    output::result(&lines.join("\n"))
}

/// The screen as text.
fn as_text(model: &Model, screen: &Screen, width: u16, height: u16) -> String {
    let Ok(mut terminal) = Terminal::new(TestBackend::new(width, height));
    let Ok(_) = terminal.draw(|frame| draw(frame, model, screen));
    let buffer = terminal.backend().buffer();
    let rows = buffer.content.chunks(usize::from(width).max(1));
    let lines = rows.map(|row| {
        let text: String = row.iter().map(|cell| cell.symbol()).collect();
        text.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Looks again and again until a key ends it.
fn live(
    mut terminal: ratatui::DefaultTerminal,
    model: &mut Model,
    interval: Duration,
    look: impl Fn() -> Result<Overview, Failure>,
) -> io::Result<()> {
    let mut screen = Screen::default();
    let mut next = Instant::now() + interval;
    loop {
        terminal.draw(|frame| draw(frame, model, &screen))?;
        if event::poll(next.saturating_duration_since(Instant::now()))? {
            if let Event::Key(key) = event::read()? {
                let is_ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
                match key.code {
                    KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                    KeyCode::Char('c') if is_ctrl => return Ok(()),
                    KeyCode::Char('s') => {
                        model.order = model.order.next();
                        model.sort();
                    }
                    KeyCode::Down if screen.skipped + 1 < model.instances.len() => {
                        screen.skipped += 1;
                    }
                    KeyCode::Up => screen.skipped = screen.skipped.saturating_sub(1),
                    _ => {}
                }
            }
            continue;
        }
        next = Instant::now() + interval;
        screen.trouble = match look() {
            Ok(overview) => {
                model.take(overview);
                String::new()
            }
            // It may come back.
            Err(error) => error.to_string(),
        };
        screen.skipped = screen.skipped.min(model.instances.len().saturating_sub(1));
    }
}
