//! One call of the API as the user meant it: the action and its parameters, with what was left
//! out filled in.

use jiff::{SignedDuration, Timestamp};
use openpeta_rpc_api::{Action, ActionSpec, ParameterKind, ParameterSpec};
use openpeta_types::format_time;

use crate::failure::Failure;
use crate::profile::Profile;
use crate::secret_input;

/// What `create-instance` orders when it is not told otherwise.
pub const ORDER_DEFAULTS: &[(&str, &str)] =
    &[("NodeSpec", "petadata.s2.xlarge"), ("NodeNumber", "1")];

/// The only kind of resource that can have tags.
pub const RESOURCE_TYPE: &str = "dbinstance";

/// The parameters of a call, in the order given. No `Debug`: passwords are among them.
#[derive(Clone, Default)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// The value of that name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find_map(|(key, value)| (key == name).then_some(value.as_str()))
    }

    /// Adds a parameter, or replaces the one of that name.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        match self.0.iter_mut().find(|(key, _)| *key == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether the parameter is given under its name or an alias, or one of its numbered forms.
    fn has(&self, parameter: &ParameterSpec) -> bool {
        if let Some((before, _)) = parameter.name.split_once(".N") {
            let numbered = format!("{before}.");
            return self.0.iter().any(|(name, _)| name.starts_with(&numbered));
        }
        self.of(parameter).is_some()
    }

    /// The value that a parameter has under its name or an alias.
    pub fn of(&self, parameter: &ParameterSpec) -> Option<&str> {
        let mut names = std::iter::once(&parameter.name).chain(parameter.aliases);
        names.find_map(|name| self.get(name))
    }
}

/// A call that is ready to be sent once [`complete`](Self::complete) has run.
pub struct Invocation {
    /// The action's name, as it is sent.
    pub action: String,
    /// What is known about the action; nothing about one that is not in the table.
    pub spec: Option<&'static ActionSpec>,
    /// Its own parameters.
    pub parameters: Parameters,
}

impl Invocation {
    /// A call of an action by the name that the user wrote.
    pub fn new(action: &str, parameters: Parameters) -> Self {
        Self {
            action: action.to_owned(),
            spec: Action::find(action).map(Action::spec),
            parameters,
        }
    }

    /// Whether a parameter that was given is a secret.
    pub fn carries_secret(&self) -> bool {
        self.spec.is_some_and(|spec| {
            spec.parameters
                .iter()
                .any(|parameter| parameter.secret && self.parameters.has(parameter))
        })
    }

    /// Whether sending it twice does no more than sending it once.
    pub fn is_repeatable(&self) -> bool {
        self.spec.is_some_and(|spec| !spec.mutating)
            || self
                .token()
                .is_some_and(|parameter| self.parameters.has(parameter))
    }

    /// Fills in what a required parameter needs and the user left out: region and zone from the
    /// credentials, a time window that ends now, secrets from the terminal.
    ///
    /// # Errors
    /// When a prompt fails.
    pub fn complete(&mut self, profile: &Profile) -> Result<(), Failure> {
        let Some(spec) = self.spec else {
            return Ok(());
        };
        let now = Timestamp::now();
        for parameter in spec.parameters {
            if !parameter.required || self.parameters.has(parameter) {
                continue;
            }
            let value = match (parameter.name, parameter.kind) {
                ("RegionId", _) => profile.region_id.clone(),
                ("ZoneId", _) => self.default_zone(profile),
                ("ResourceType", _) => Some(RESOURCE_TYPE.to_owned()),
                ("StartTime", ParameterKind::Time) => Some(format_time(now - window(spec))),
                ("EndTime", ParameterKind::Time) => Some(format_time(now)),
                _ if parameter.secret && secret_input::can_prompt() => {
                    // Only a new password is worth typing twice.
                    let confirm = parameter.name != "OldPassword";
                    Some(secret_input::prompt(parameter.name, confirm)?)
                }
                _ => parameter.default.map(str::to_owned),
            };
            if let Some(value) = value {
                self.parameters.set(parameter.name, value);
            }
        }
        Ok(())
    }

    /// Fills in what a first order would otherwise have to look up: one row-store node, and for
    /// the network type VPC the network of the credentials.
    pub fn add_order_defaults(&mut self, profile: &Profile) {
        if self.action != "CreateInstance" {
            return;
        }
        for (name, value) in ORDER_DEFAULTS {
            if self.parameters.get(name).is_none() {
                self.parameters.set(*name, *value);
            }
        }
        let wants_vpc = self.parameters.get("NetworkType") == Some("VPC")
            && self.parameters.get("VpcId").is_none()
            && self.parameters.get("VSwitchId").is_none()
            && self.default_zone(profile).as_deref() == self.parameters.get("ZoneId");
        if let (true, Some(vpc), Some(vswitch)) = (wants_vpc, &profile.vpc_id, &profile.vswitch_id)
        {
            self.parameters.set("VpcId", vpc);
            self.parameters.set("VSwitchId", vswitch);
        }
    }

    /// Gives the call an idempotency token when the action knows them, so that it can be sent
    /// again when its answer gets lost.
    pub fn add_client_token(&mut self) {
        if let Some(parameter) = self.token()
            && !self.parameters.has(parameter)
        {
            let token = uuid::Uuid::new_v4().to_string();
            self.parameters.set(parameter.name, token);
        }
    }

    /// The parameter that takes the idempotency token; CreateDatabase has a name of its own
    /// for it.
    fn token(&self) -> Option<&'static ParameterSpec> {
        self.spec?.parameter("ClientToken")
    }

    /// The required parameters that are still missing.
    pub fn missing(&self) -> Vec<&'static ParameterSpec> {
        self.spec.map_or_else(Vec::new, |spec| {
            let missing = |p: &&ParameterSpec| p.required && !self.parameters.has(p);
            spec.parameters.iter().filter(missing).collect()
        })
    }

    /// The zone of the credentials, if the call goes to the region it lies in.
    fn default_zone(&self, profile: &Profile) -> Option<String> {
        let region = self.parameters.get("RegionId");
        let same_region = region.is_none() || region == profile.region_id.as_deref();
        profile.zone_id.clone().filter(|_| same_region)
    }
}

/// How far back a time window reaches that the user did not give: an hour for metrics, which
/// have a limit of points, a day for anything else.
fn window(spec: &ActionSpec) -> SignedDuration {
    match spec.parameter("Interval") {
        Some(_) => SignedDuration::from_hours(1),
        None => SignedDuration::from_hours(24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use openpeta_types::Secret;

    fn profile() -> Profile {
        Profile {
            http_endpoint: None,
            https_endpoint: None,
            ca_file: None,
            access_key_id: "id".to_owned(),
            access_key_secret: Secret::new("secret"),
            security_token: None,
            region_id: Some("cn-hangzhou".to_owned()),
            zone_id: Some("cn-hangzhou-b".to_owned()),
            vpc_id: Some("vpc-a".to_owned()),
            vswitch_id: Some("vsw-a".to_owned()),
            file: "/nowhere".into(),
        }
    }

    fn completed(action: &str, given: &[(&str, &str)]) -> Invocation {
        let mut parameters = Parameters::default();
        for (name, value) in given {
            parameters.set(*name, *value);
        }
        let mut invocation = Invocation::new(action, parameters);
        invocation.complete(&profile()).unwrap();
        invocation
    }

    #[test]
    fn region_and_zone_come_from_the_credentials() {
        let own = completed("CreateInstance", &[]);
        assert_eq!(own.parameters.get("RegionId"), Some("cn-hangzhou"));
        assert_eq!(own.parameters.get("ZoneId"), Some("cn-hangzhou-b"));
        let other = completed("CreateInstance", &[("RegionId", "us-west-1")]);
        assert_eq!(other.parameters.get("ZoneId"), None);
        assert!(other.missing().iter().any(|p| p.name == "ZoneId"));
    }

    #[test]
    fn an_order_has_defaults() {
        let mut order = completed("CreateInstance", &[("NetworkType", "VPC")]);
        order.add_order_defaults(&profile());
        assert_eq!(order.parameters.get("NodeNumber"), Some("1"));
        assert_eq!(order.parameters.get("VSwitchId"), Some("vsw-a"));
        let elsewhere = [("NetworkType", "VPC"), ("ZoneId", "cn-hangzhou-e")];
        let mut order = completed("CreateInstance", &elsewhere);
        order.add_order_defaults(&profile());
        assert_eq!(order.parameters.get("VpcId"), None);
    }

    #[test]
    fn a_listing_gets_no_filter_that_was_not_asked_for() {
        let listing = completed("DescribeInstances", &[]);
        assert_eq!(listing.parameters.iter().count(), 0);
    }

    #[test]
    fn an_alias_counts_as_given() {
        let tasks = completed("DescribeTasks", &[("InstanceId", "pd-a"), ("Status", "2")]);
        assert!(tasks.parameters.get("TaskStatus").is_none());
        assert!(tasks.missing().is_empty());
        assert!(tasks.parameters.get("StartTime") < tasks.parameters.get("EndTime"));
    }

    #[test]
    fn calls_with_passwords_are_known() {
        let given = completed("CreateAccount", &[("AccountPassword", "x")]);
        assert!(given.carries_secret());
        assert!(!completed("CreateAccount", &[]).carries_secret());
    }

    #[test]
    fn a_token_makes_a_change_repeatable() {
        let mut order = completed("CreateInstance", &[]);
        assert!(!order.is_repeatable());
        order.add_client_token();
        assert!(order.is_repeatable());
        assert!(!completed("NoSuchAction", &[]).is_repeatable());
    }
}
