//! Resources of RAM policy statements, and sets of them.

use std::collections::HashMap;
use std::sync::Arc;

use super::pattern::Pattern;
use super::policy::PolicyError;

/// A resource, in the parts that patterns are matched against.
#[derive(Clone, Copy, Debug)]
pub struct Resource<'a> {
    /// Region of the instance, or the one in the request.
    pub region: &'a str,
    /// Account id of the owner, as digits.
    pub account: &'a str,
    /// Instance id; `*` for calls that name no instance.
    pub instance: &'a str,
}

/// `acs:petadata:<region>:<account>:dbinstance/<id>`, each part a pattern.
#[derive(Clone, Debug)]
pub(super) enum ResourcePattern {
    Everything,
    Instance {
        region: Pattern,
        account: Pattern,
        instance: Pattern,
    },
    /// A resource of another service: valid, never matches here.
    Foreign,
}

impl ResourcePattern {
    pub(super) fn compile(text: &str) -> Result<Self, PolicyError> {
        if text == "*" {
            return Ok(Self::Everything);
        }
        let malformed = || PolicyError::Invalid(format!("Resource {text:?} is malformed"));
        // The document prints patterns with blanks inside; they are layout.
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let parts: Vec<_> = text.splitn(5, ':').collect();
        let [scheme, service, region, account, relative] = parts[..] else {
            return Err(malformed());
        };
        if scheme != "acs" {
            return Err(malformed());
        }
        if service != "petadata" && service != "*" {
            return Ok(Self::Foreign);
        }
        let instance = match relative.split_once('/') {
            Some(("dbinstance" | "*", instance)) => instance,
            None if relative == "*" => "*",
            _ => return Ok(Self::Foreign),
        };
        Ok(Self::Instance {
            region: Pattern::exact_case(region),
            account: Pattern::exact_case(account),
            instance: Pattern::exact_case(instance),
        })
    }

    pub(super) fn matches(&self, resource: &Resource<'_>) -> bool {
        match self {
            Self::Everything => true,
            Self::Foreign => false,
            Self::Instance {
                region,
                account,
                instance,
            } => {
                instance.matches(resource.instance)
                    && account.matches(resource.account)
                    && region.matches(resource.region)
            }
        }
    }
}

/// Resources named by patterns. Policies often name instances one by one, so these are found
/// by their id.
#[derive(Debug, Default)]
pub(super) struct ResourceSet {
    everything: bool,
    by_instance: HashMap<Arc<str>, Vec<ResourcePattern>>,
    others: Vec<ResourcePattern>,
}

impl ResourceSet {
    pub(super) fn add(&mut self, pattern: &ResourcePattern) {
        match pattern {
            ResourcePattern::Everything => self.everything = true,
            ResourcePattern::Foreign => {}
            ResourcePattern::Instance { instance, .. } => {
                let pattern = pattern.clone();
                match instance.literal() {
                    Some(id) => {
                        let named = self.by_instance.entry(Arc::clone(id));
                        named.or_default().push(pattern);
                    }
                    // The widest first: it ends the search.
                    None if instance.matches_everything() => self.others.insert(0, pattern),
                    None => self.others.push(pattern),
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.everything && self.by_instance.is_empty() && self.others.is_empty()
    }

    /// Whether it holds every instance of an account, whatever its region.
    pub(super) fn holds_account(&self, wanted: &str) -> bool {
        let whole = |pattern: &ResourcePattern| match pattern {
            ResourcePattern::Instance {
                region,
                account,
                instance,
            } => {
                region.matches_everything()
                    && instance.matches_everything()
                    && account.matches(wanted)
            }
            _ => false,
        };
        self.everything || self.others.iter().any(whole)
    }

    pub(super) fn holds(&self, resource: &Resource<'_>) -> bool {
        let matching =
            |patterns: &[ResourcePattern]| patterns.iter().any(|pattern| pattern.matches(resource));
        let named = || self.by_instance.get(resource.instance);
        self.everything || matching(&self.others) || named().is_some_and(|named| matching(named))
    }
}
