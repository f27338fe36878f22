//! What may stand in the place of an argument: objects that the service has, or names that are
//! known without it.

use std::ffi::OsStr;

use clap_complete::engine::{CompletionCandidate, PathCompleter, ValueCompleter};
use openpeta_rpc_api::{Action, ActionSpec, ParameterKind};
use openpeta_types::{NodeFamily, NodeSpecCatalogue, REGIONS};

use super::line::Line;
use super::lookup;

/// Values with a description each.
pub type Described = Vec<(String, String)>;

/// Options of `call` that may stand among the parameters.
const CALL_OPTIONS: [&str; 7] = [
    "--json",
    "--wide",
    "--http",
    "--wait",
    "--timeout",
    "--profile",
    "--data-dir",
];

/// Where the values of an argument come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Ids of instances.
    Instances,
    /// Databases of the line's instance, of all instances when it names none.
    Databases,
    /// Accounts of the line's instance.
    Accounts,
    /// Tables of the line's database.
    Tables,
    /// Tasks of the line's instance.
    Tasks,
    /// Backup sets of the line's database.
    Backups,
    /// Addresses of the line's instance.
    Endpoints,
    /// Groups of the line's whitelist.
    WhitelistGroups,
    /// Keys of metrics.
    Metrics,
    /// Tags as `key=value`.
    Tags,
    /// Keys of tags.
    TagKeys,
    /// Regions.
    Regions,
    /// Zones of the line's region.
    Zones,
    /// Node specs.
    NodeSpecs,
    /// `true` and `false`.
    Booleans,
    /// Actions by the API's names.
    Actions,
    /// Parameters of the action that `call` names, and their values.
    CallParameters,
    /// Tenants, for the operator.
    Tenants,
    /// RAM users of the line's tenant, for the operator.
    RamUsers,
    /// Tasks of all tenants, for the operator.
    AllTasks,
    /// Instances of all tenants, for the operator.
    AllInstances,
    /// Files, after a `@`.
    Files,
}

/// Where the values of an argument come from: `command` is the subcommand of the program,
/// `action` the action that it calls, if it is one's own.
pub fn source(command: &str, action: Option<Action>, argument: &str) -> Option<Source> {
    if let Some(action) = action {
        return of_parameter(action.spec(), argument);
    }
    match (command, argument) {
        ("connect", "instance") => Some(Source::Instances),
        ("connect", "user") => Some(Source::Accounts),
        ("connect", "database") => Some(Source::Databases),
        ("call", "action") => Some(Source::Actions),
        ("call", "parameters") => Some(Source::CallParameters),
        ("admin" | "metrics", "instance_id") => Some(Source::AllInstances),
        ("admin", "account_id") => Some(Source::Tenants),
        ("admin", "user_name") => Some(Source::RamUsers),
        ("admin", "task_id") => Some(Source::AllTasks),
        ("admin", "region_id") => Some(Source::Regions),
        ("admin", "zone_id") => Some(Source::Zones),
        _ => None,
    }
}

/// Where the values of an action's parameter come from; nowhere when it names what is to be
/// made.
fn of_parameter(spec: &ActionSpec, name: &str) -> Option<Source> {
    let makes = |actions: &[Action]| actions.contains(&spec.action);
    let kind = spec.parameter(name).map(|parameter| parameter.kind);
    Some(match name {
        "INSTANCE" | "InstanceId" | "DBInstanceId" | "SrcInstanceId" | "SourceInstanceId"
        | "NewInstanceId" | "ResourceId.N" => Source::Instances,
        "DBName" if makes(&[Action::CreateInstance, Action::CreateDatabase]) => return None,
        "DBName" | "SrcDBName" => Source::Databases,
        "AccountName" if makes(&[Action::CreateInstance, Action::CreateAccount]) => return None,
        "AccountName" => Source::Accounts,
        "TableName" => Source::Tables,
        "TaskId" => Source::Tasks,
        "BackupId" => Source::Backups,
        "ConnectionString" | "CurrentConnectionString" => Source::Endpoints,
        "SecurityIPListName" => Source::WhitelistGroups,
        "KeyList" => Source::Metrics,
        "Tag.N.Key" => Source::Tags,
        "TagKey.N" => Source::TagKeys,
        "RegionId" => Source::Regions,
        "ZoneId" => Source::Zones,
        "NodeSpec" | "NewNodeSpec" => Source::NodeSpecs,
        "TaskAction" => Source::Actions,
        _ if kind == Some(ParameterKind::Boolean) => Source::Booleans,
        _ if kind == Some(ParameterKind::Text) => Source::Files,
        _ => return None,
    })
}

impl Source {
    /// The values that begin like `current`.
    pub fn candidates(self, line: &Line, current: &str) -> Vec<CompletionCandidate> {
        if self == Self::CallParameters {
            return call_parameters(line, current);
        }
        if let Some(path) = current.strip_prefix('@') {
            let files = PathCompleter::any().complete(OsStr::new(path));
            return files.into_iter().map(|file| file.add_prefix("@")).collect();
        }
        // Of a list of values the last one is completed.
        let (before, last) = match (self, current.rsplit_once(',')) {
            (Self::Metrics | Self::Databases, Some((before, last))) => (before, last),
            _ => ("", current),
        };
        let values = self.values(line).unwrap_or_default();
        values
            .into_iter()
            .filter(|(value, _)| value.starts_with(last))
            .map(|(value, help)| {
                let candidate = CompletionCandidate::new(value).help(Some(help.into()));
                match before {
                    "" => candidate,
                    before => candidate.add_prefix(format!("{before},")),
                }
            })
            .collect()
    }

    /// All values; `None` when they cannot be had.
    fn values(self, line: &Line) -> Option<Described> {
        let plain = |name: &str| (name.to_owned(), String::new());
        match self {
            Self::Booleans => Some(vec![plain("true"), plain("false")]),
            Self::Actions => Some(
                Action::ALL
                    .iter()
                    .map(|action| action.spec())
                    .map(|spec| (spec.name.to_owned(), spec.description.to_owned()))
                    .collect(),
            ),
            Self::NodeSpecs => {
                let catalogue = NodeSpecCatalogue::default();
                let offered = catalogue
                    .iter()
                    .filter(|(spec, _)| spec.family() == NodeFamily::RowStore);
                Some(offered.map(|(spec, _)| plain(spec.as_str())).collect())
            }
            Self::Regions => Some(
                REGIONS
                    .iter()
                    .map(|region| plain(region.region_id))
                    .collect(),
            ),
            Self::Zones => {
                let named = line.value(&["region-id", "RegionId"]);
                let regions = REGIONS
                    .iter()
                    .filter(|region| named.is_none_or(|named| region.region_id == named));
                let zones = regions.flat_map(|region| region.zones);
                Some(zones.map(|zone| plain(zone.zone_id)).collect())
            }
            Self::Files | Self::CallParameters => None,
            Self::Tenants | Self::RamUsers | Self::AllTasks | Self::AllInstances => {
                lookup::of_operator(self, line)
            }
            _ => lookup::of_service(self, line),
        }
    }
}

/// What may follow `call <Action> …`: names of parameters, and after one its values.
fn call_parameters(line: &Line, current: &str) -> Vec<CompletionCandidate> {
    let Some(spec) = line.called_action() else {
        return Vec::new();
    };
    let before = line.before().strip_prefix("--");
    let Some(named) = before.and_then(|flag| spec.parameter(flag)) else {
        let parameters = spec.parameters.iter().map(|parameter| {
            let name = parameter.name.replace(".N", ".1");
            (format!("--{name}"), parameter.description)
        });
        let options = CALL_OPTIONS.map(|option| (option.to_owned(), ""));
        return parameters
            .chain(options)
            .filter(|(flag, _)| flag.starts_with(current) && !line.words.contains(flag))
            .map(|(flag, help)| CompletionCandidate::new(flag).help(Some(help.into())))
            .collect();
    };
    if !named.allowed.is_empty() {
        let allowed = named.allowed.iter();
        let fitting = allowed.filter(|value| value.starts_with(current));
        return fitting.map(CompletionCandidate::new).collect();
    }
    of_parameter(spec, named.name)
        .map(|source| source.candidates(line, current))
        .unwrap_or_default()
}
