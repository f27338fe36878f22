//! `metrics`: what was sampled of an instance over time, as a plot, as a table, or as JSON.

pub mod scale;

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;
use jiff::{SignedDuration, Timestamp};
use openpeta_control::admin::history::{History, HistoryItem, HistoryQuestion, HistorySeries};
use openpeta_control::admin::protocol::AdminCommand;
use openpeta_types::{DbName, InstanceId};

use crate::admin::ask;
use crate::failure::Failure;
use crate::{output, profile};
use scale::{bars, bytes, number};

/// The longest to wait for the service.
const PATIENCE: Duration = Duration::from_secs(60);
/// Columns without a terminal.
const WIDTH: usize = 80;
/// Columns before a plot.
const MARGIN: usize = 8;
/// Steps in seconds that plots take.
const STEPS: [u32; 14] = [
    5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400,
];

/// The arguments of `metrics`.
#[derive(Args, Debug)]
pub struct MetricsArguments {
    /// The instance
    #[arg(value_name = "INSTANCE")]
    instance_id: String,
    /// One of its databases [default: the whole instance]
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// What to show; may be repeated [default: statements, sessions, cpu]
    #[arg(long = "item", value_name = "ITEM", value_parser = items())]
    items: Vec<String>,
    /// When to begin, for example 2026-03-01T08:00:00Z [default: an hour before the end]
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// When to end [default: now]
    #[arg(long, value_name = "TIME")]
    to: Option<Timestamp>,
    /// How much to show in the place of --from, for example 30m, 6h, 2d
    #[arg(long, value_name = "TIME SPAN", conflicts_with = "from", value_parser = span)]
    last: Option<SignedDuration>,
    /// Seconds of a step, a multiple of 5 [default: as the width allows]
    #[arg(long, value_name = "SECONDS")]
    step: Option<u32>,
    /// Lines of a plot
    #[arg(long, value_name = "LINES", default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=50))]
    height: u16,
    /// Print the values as JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print the values as a table separated by commas
    #[arg(long)]
    csv: bool,
}

fn items() -> PossibleValuesParser {
    HistoryItem::ALL.iter().map(|item| item.name()).into()
}

/// Reads `90s`, `30m`, `6h`, `2d`.
fn span(text: &str) -> Result<SignedDuration, String> {
    let wrong = || "a number and s, m, h or d, for example 6h".to_owned();
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(wrong()),
    };
    let number: i64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let seconds = number.checked_mul(seconds).filter(|seconds| *seconds > 0);
    seconds.map(SignedDuration::from_secs).ok_or_else(wrong)
}

/// Shows what was sampled.
///
/// # Errors
/// When no service runs on the data directory, or it knows no such instance.
pub fn run(arguments: MetricsArguments, data_dir: Option<PathBuf>) -> Result<(), Failure> {
    let data_dir = profile::data_dir(data_dir)?;
    let width = output::width()
        .unwrap_or(WIDTH)
        .saturating_sub(MARGIN)
        .max(10);
    let question = question(&arguments, Timestamp::now(), width)?;
    let until = question.until;
    let command = AdminCommand::InstanceHistory(question);
    let reply = ask(&data_dir, &command, PATIENCE)?;
    if arguments.json {
        return output::result(&reply.to_string());
    }
    let history: History = serde_json::from_value(reply).map_err(|error| {
        Failure::local("InvalidReply", format!("the reply cannot be read: {error}"))
    })?;
    output::result(&match arguments.csv {
        true => as_csv(&history),
        false => as_plots(&history, until, arguments.height.into(), width),
    })
}

fn question(
    arguments: &MetricsArguments,
    now: Timestamp,
    width: usize,
) -> Result<HistoryQuestion, Failure> {
    let usage = |what: &str, error: String| Failure::Usage(format!("{what}: {error}"));
    let instance_id = InstanceId::parse(&arguments.instance_id)
        .map_err(|error| usage(&arguments.instance_id, error.to_string()))?;
    let parse = |name: &String| DbName::parse(name).map_err(|error| usage(name, error.to_string()));
    let until = arguments.to.unwrap_or(now);
    let last = arguments.last.unwrap_or(SignedDuration::from_hours(1));
    let from = arguments.from.unwrap_or(until - last);
    let seconds = (until - from).as_secs().max(1);
    let step = |step: &&u32| seconds / i64::from(**step) < width as i64;
    let step = STEPS.iter().find(step).unwrap_or(&STEPS[STEPS.len() - 1]);
    let named = arguments.items.iter().filter_map(|name| {
        let mut all = HistoryItem::ALL.iter().copied();
        all.find(|item| item.name() == name)
    });
    let mut items: Vec<_> = named.collect();
    if items.is_empty() {
        items = vec![
            HistoryItem::Statements,
            HistoryItem::Sessions,
            HistoryItem::Cpu,
        ];
        if arguments.database.is_some() {
            // The processor is the whole instance's.
            items.pop();
        }
    }
    Ok(HistoryQuestion {
        instance_id,
        db_name: arguments.database.as_ref().map(parse).transpose()?,
        items,
        from,
        until,
        step_seconds: arguments.step.unwrap_or(*step),
    })
}

/// A column for the time and one for each item.
fn as_csv(history: &History) -> String {
    let mut text = String::from("time");
    for series in &history.series {
        let _ = write!(text, ",{}", series.item.name());
    }
    let steps = history
        .series
        .first()
        .map_or(0, |series| series.values.len());
    for step in 0..steps {
        let _ = write!(text, "\n{}", time(history, step));
        for series in &history.series {
            let value = series.values.get(step).copied().flatten();
            let _ = match value {
                Some(value) => write!(text, ",{value}"),
                None => write!(text, ","),
            };
        }
    }
    text
}

fn time(history: &History, step: usize) -> Timestamp {
    let after = i64::from(history.step_seconds) * i64::try_from(step).unwrap_or(i64::MAX);
    Timestamp::from_second(history.from.saturating_add(after)).unwrap_or(Timestamp::MAX)
}

fn as_plots(history: &History, until: Timestamp, height: usize, width: usize) -> String {
    let plots = history
        .series
        .iter()
        .map(|series| plot(history, series, until, height, width));
    plots.collect::<Vec<_>>().join("\n\n")
}

/// A heading, bars with their scale, the times that they begin and end at.
fn plot(
    history: &History,
    series: &HistorySeries,
    until: Timestamp,
    height: usize,
    width: usize,
) -> String {
    // The end is what matters where a chosen step makes it too long.
    let cut = series.values.len().saturating_sub(width);
    let values = &series.values[cut..];
    let known: Vec<f64> = values.iter().copied().flatten().collect();
    let show = |value: f64| match series.unit.as_str() {
        "B" | "B/s" => bytes(value),
        _ => number(value),
    };
    let largest = known.iter().copied().fold(0.0, f64::max);
    let name = series.item.name();
    let unit = match series.unit.as_str() {
        "" => String::new(),
        unit => format!(" ({unit})"),
    };
    let (Some(last), sum) = (known.last(), known.iter().sum::<f64>()) else {
        return format!("{name}{unit}: nothing was sampled in this time");
    };
    let mean = sum / known.len() as f64;
    let mut text = format!(
        "{name}{unit}: mean {}, most {}, last {}; a column is {} s",
        show(mean),
        show(largest),
        show(*last),
        history.step_seconds,
    );
    for (row, line) in bars(values, largest, height).iter().enumerate() {
        let scale = match row {
            0 => show(largest),
            row if row + 1 == height => "0".to_owned(),
            _ => String::new(),
        };
        let _ = write!(text, "\n{scale:>6} ┤{line}");
    }
    let (from, to) = (time(history, cut).to_string(), until.to_string());
    // Fractions of a second are of no use here.
    let to = to
        .split('.')
        .next()
        .unwrap_or_default()
        .trim_end_matches('Z')
        .to_owned()
        + "Z";
    let gap = values.len().saturating_sub(from.len() + to.len()).max(1);
    let _ = write!(text, "\n{:MARGIN$}{from}{:gap$}{to}", "", "");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history() -> History {
        let values = [Some(0.0), None, Some(50.0), Some(100.0)];
        let times = (0..40).map(|step| values[step % 4]);
        let series = |item: HistoryItem| HistorySeries {
            item,
            unit: item.unit().to_owned(),
            values: times.clone().collect(),
        };
        History {
            from: 1_772_352_000,
            step_seconds: 60,
            series: vec![series(HistoryItem::Reads), series(HistoryItem::Memory)],
        }
    }

    #[test]
    fn a_plot_has_a_scale_and_times() {
        let history = history();
        let until = time(&history, 40);
        let text = plot(&history, &history.series[0], until, 2, 72);
        let bars = ["   █", "_ ██"].map(|bar| bar.repeat(10));
        let expected = format!(
            "reads (1/s): mean 50, most 100, last 100; a column is 60 s\n   100 ┤{}\n     0 ┤{}\n\
             \x20       2026-03-01T08:00:00Z 2026-03-01T08:40:00Z",
            bars[0].trim_end(),
            bars[1]
        );
        assert_eq!(text, expected);
        // Where it is too narrow, the last columns are shown.
        let text = plot(&history, &history.series[0], until, 2, 4);
        assert!(
            text.contains("\n     0 ┤_ ██\n") && text.contains("08:36:00Z"),
            "{text}"
        );
    }

    #[test]
    fn without_samples_nothing_is_drawn() {
        let mut history = history();
        history.series[0].values.fill(None);
        let text = plot(&history, &history.series[0], time(&history, 40), 2, 72);
        assert_eq!(text, "reads (1/s): nothing was sampled in this time");
    }

    #[test]
    fn a_table_has_nothing_where_there_is_a_gap() {
        let text = as_csv(&history());
        let lines: Vec<_> = text.lines().take(4).collect();
        let expected = [
            "time,reads,memory",
            "2026-03-01T08:00:00Z,0,0",
            "2026-03-01T08:01:00Z,,",
            "2026-03-01T08:02:00Z,50,50",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn steps_are_as_fine_as_the_width_allows() {
        let arguments = |last| MetricsArguments {
            instance_id: "pd-abcdefghijklmn".into(),
            database: None,
            items: vec!["writes".into()],
            from: None,
            to: None,
            last: Some(span(last).expect("a span")),
            step: None,
            height: 6,
            json: false,
            csv: false,
        };
        let now = Timestamp::from_second(1_772_352_000).expect("a time");
        for (last, step) in [
            ("60s", 5),
            ("5m", 5),
            ("1h", 60),
            ("1d", 1800),
            ("400d", 86_400),
        ] {
            let question = question(&arguments(last), now, 72).expect("right");
            assert_eq!(question.step_seconds, step, "{last}");
            assert_eq!(question.items, [HistoryItem::Writes]);
        }
        for wrong in ["", "h", "5", "-1h", "0s", "1w"] {
            assert!(span(wrong).is_err(), "{wrong}");
        }
    }
}
