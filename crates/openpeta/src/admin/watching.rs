//! The commands about events, alerts and webhooks: as they are typed, and as they are sent.

use clap::{Subcommand, ValueEnum};
use jiff::Timestamp;
use openpeta_control::admin::protocol::{AdminCommand, Compare, WithoutData};
use openpeta_types::{EventKind, InstanceId, Severity};

use crate::admin::show::{FIELDS, Form};

const fn rows(columns: &'static [&'static str]) -> Form {
    Form::Rows { columns }
}

#[derive(Debug, Subcommand)]
pub(super) enum Event {
    /// List events, newest first
    List {
        /// Only those of this instance
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: Option<InstanceId>,
        /// Only those of this kind; may be repeated
        #[arg(long, value_parser = kind, value_delimiter = ',')]
        kind: Vec<EventKind>,
        /// Only those of this time or later: 2026-01-01T00:00:00Z, or so long ago: 30m, 12h, 7d
        #[arg(long, value_parser = since, value_name = "TIME|AGO")]
        since: Option<Timestamp>,
        /// Only those of this severity or more: info, warning, critical
        #[arg(long, value_parser = severity)]
        severity: Option<Severity>,
        /// Most rows
        #[arg(long)]
        limit: Option<u32>,
    },
}

fn kind(text: &str) -> Result<EventKind, String> {
    EventKind::parse(text).ok_or_else(|| {
        let names: Vec<_> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        format!("the kinds are {}", names.join(", "))
    })
}

fn severity(text: &str) -> Result<Severity, String> {
    Severity::parse(text).ok_or_else(|| "a severity is info, warning or critical".to_owned())
}

/// A time as the API writes it, or how long ago it was.
fn since(text: &str) -> Result<Timestamp, String> {
    if let Some(at) = openpeta_types::parse_time(text) {
        return Ok(at);
    }
    let wrong = || "write 2026-01-01T00:00:00Z, or 30m, 12h, 7d for so long ago".to_owned();
    let ago = seconds(text).map_err(|_| wrong())?;
    let ago = jiff::SignedDuration::from_secs(ago.into());
    Timestamp::now().checked_sub(ago).map_err(|_| wrong())
}

impl Event {
    pub(super) fn into_command(self) -> (AdminCommand, Form) {
        let Self::List {
            instance_id,
            kind,
            since,
            severity,
            limit,
        } = self;
        let command = AdminCommand::EventList {
            instance_id,
            kinds: kind,
            since,
            severity,
            limit,
        };
        let columns = &["at", "severity", "kind", "instance_id", "text"];
        (command, rows(columns))
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Alert {
    /// Make a rule
    Create {
        /// Its name, unique
        #[arg(long)]
        name: String,
        /// The instance; left out, all
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: Option<InstanceId>,
        /// The figure, for example gcs.sqps; `alert items` lists them
        #[arg(long)]
        item: String,
        /// Broken when the figure is above this
        #[arg(
            long,
            allow_hyphen_values = true,
            required_unless_present = "below",
            conflicts_with = "below"
        )]
        above: Option<f64>,
        /// Broken when the figure is below this
        #[arg(long, allow_hyphen_values = true)]
        below: Option<f64>,
        /// For how long it must be broken: 90s, 5m, 1h
        #[arg(long = "for", value_name = "TIME", value_parser = seconds, default_value = "5m")]
        duration: u32,
        /// How much it matters: info, warning, critical
        #[arg(long, value_parser = severity, default_value = "warning")]
        severity: Severity,
        /// What to make of an instance without a value
        #[arg(long, value_enum, default_value = "keep")]
        no_data: OnNoData,
        /// Tell of a firing alert again after this time: 30m, 4h; left out, once only
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        repeat: Option<u32>,
    },
    /// Delete a rule; what fires by it is resolved
    Delete {
        /// The rule
        #[arg(long)]
        name: String,
    },
    /// Have a rule not looked at; what fires by it is resolved
    Pause {
        /// The rule
        #[arg(long)]
        name: String,
    },
    /// Have a paused rule looked at again
    Resume {
        /// The rule
        #[arg(long)]
        name: String,
    },
    /// List rules, and where they stand
    List,
    /// List the figures that rules may be about
    Items,
}

/// What to make of an instance without a value.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum OnNoData {
    /// A firing alert goes on, nothing begins
    Keep,
    /// All is well
    Ok,
    /// The rule is broken
    Alert,
}

impl Alert {
    pub(super) fn into_command(self) -> (AdminCommand, Form) {
        use AdminCommand as C;
        match self {
            Self::Create {
                name,
                instance_id,
                item,
                above,
                below,
                duration,
                severity,
                no_data,
                repeat,
            } => {
                let command = C::AlertCreate {
                    name,
                    instance_id,
                    item,
                    comparison: match above {
                        Some(_) => Compare::Above,
                        None => Compare::Below,
                    },
                    threshold: above.or(below).unwrap_or_default(),
                    duration_seconds: duration,
                    severity,
                    no_data: match no_data {
                        OnNoData::Keep => WithoutData::Keep,
                        OnNoData::Ok => WithoutData::Ok,
                        OnNoData::Alert => WithoutData::Alert,
                    },
                    repeat_seconds: repeat,
                };
                (command, FIELDS)
            }
            Self::Delete { name } => (C::AlertDelete { name }, FIELDS),
            Self::Pause { name } => (C::AlertPause { name }, FIELDS),
            Self::Resume { name } => (C::AlertResume { name }, FIELDS),
            Self::List => {
                let columns = &[
                    "name",
                    "state",
                    "item",
                    "comparison",
                    "threshold",
                    "severity",
                ];
                (C::AlertList, rows(columns))
            }
            Self::Items => (C::AlertItems, rows(&["item", "unit"])),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Webhook {
    /// Make a webhook; its secret is shown this once
    Create {
        /// Its name, unique
        #[arg(long)]
        name: String,
        /// Where notifications are posted; put no secrets in it
        #[arg(long)]
        url: String,
        /// A file with the certificates to trust, in place of the system's
        #[arg(long)]
        ca_file: Option<String>,
        /// Kinds of events to tell of [default: alert-firing,alert-resolved]
        #[arg(long, value_parser = kind, value_delimiter = ',', conflicts_with = "all_events")]
        kind: Vec<EventKind>,
        /// Tell of events of all kinds
        #[arg(long)]
        all_events: bool,
        /// Tell of events of this severity or more: info, warning, critical
        #[arg(long, value_parser = severity, default_value = "info")]
        severity: Severity,
        /// Tell of events of this instance alone
        #[arg(long, value_parser = InstanceId::parse)]
        instance_id: Option<InstanceId>,
    },
    /// Delete a webhook and what waits for it
    Delete {
        /// The webhook
        #[arg(long)]
        name: String,
    },
    /// List webhooks and how their notifications get on
    List,
    /// Post a test to a webhook, once, and tell what came of it
    Test {
        /// The webhook
        #[arg(long)]
        name: String,
    },
}

impl Webhook {
    pub(super) fn into_command(self) -> (AdminCommand, Form) {
        use AdminCommand as C;
        match self {
            Self::Create {
                name,
                url,
                ca_file,
                kind,
                all_events,
                severity,
                instance_id,
            } => {
                let kinds = match (all_events, kind.is_empty()) {
                    (true, _) => None,
                    (_, true) => Some(vec![EventKind::AlertFiring, EventKind::AlertResolved]),
                    _ => Some(kind),
                };
                let command = C::WebhookCreate {
                    name,
                    url,
                    ca_file,
                    kinds,
                    min_severity: severity,
                    instance_id,
                };
                (command, FIELDS)
            }
            Self::Delete { name } => (C::WebhookDelete { name }, FIELDS),
            Self::List => {
                let columns = &[
                    "name",
                    "url",
                    "waiting",
                    "dropped",
                    "attempts",
                    "last_error",
                ];
                (C::WebhookList, rows(columns))
            }
            Self::Test { name } => (C::WebhookTest { name }, FIELDS),
        }
    }
}

/// A time such as 90s, 5m, 4h, in seconds.
fn seconds(text: &str) -> Result<u32, String> {
    let wrong = || "a time is written as 90s, 5m, 4h or 2d".to_owned();
    let (count, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(wrong)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let count: u32 = count.parse().map_err(|_| wrong())?;
    count.checked_mul(unit).ok_or_else(wrong)
}
