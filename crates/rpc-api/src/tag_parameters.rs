//! Parameters that several actions have for tags: `ResourceId.N`, `Tag.N.Key`, `Tag.N.Value`.
//!
//! Numbers begin with 1 and need not be contiguous: what counts is which key and value have the
//! same number. A parameter whose place of `N` holds anything else is an unknown one, ignored as
//! all of them are.

use std::collections::{BTreeMap, BTreeSet};

use openpeta_types::{InstanceId, Tag, TagFilter, TagKey, TagValue};

use crate::spec::{ErrorSpec, ParameterSpec};
use crate::{ApiError, Params};

/// Instances that a call may name.
const MAX_RESOURCES: usize = 50;
/// Tags that a call may name, and that an instance may have.
pub const MAX_TAGS: usize = 20;
/// The kind of resource that has tags, and the name that the vendor's relational service has
/// for it.
const RESOURCE_TYPES: [&str; 2] = ["dbinstance", "INSTANCE"];

/// The kind of resource, as answers have it.
pub(crate) const RESOURCE_TYPE: &str = RESOURCE_TYPES[0];

pub(crate) const KEY_OF_FILTER: ParameterSpec =
    ParameterSpec::repeated("Tag.N.Key", "Only instances with a tag of this key.").constraints(
        "at most 20, each once; several must all be there; N counts from 1, gaps do not matter",
    );

pub(crate) const VALUE_OF_FILTER: ParameterSpec = ParameterSpec::repeated(
    "Tag.N.Value",
    "Only with this value of the key of that number.",
)
.constraints("empty or left out: any value");

/// What is wrong with parameters of tags.
pub(crate) const TAG_KEY_MALFORMED: ErrorSpec =
    ErrorSpec::new("InvalidTagKey.Malformed", 400, "a key breaks the rules");
pub(crate) const TAG_VALUE_MALFORMED: ErrorSpec =
    ErrorSpec::new("InvalidTagValue.Malformed", 400, "a value breaks the rules");
pub(crate) const TAG_KEY_DUPLICATE: ErrorSpec =
    ErrorSpec::new("InvalidTagKey.Duplicate", 400, "a key occurs twice");

pub(crate) const TAG_VALUE_WITHOUT_KEY: ErrorSpec =
    ErrorSpec::new("MissingParameter", 400, "Tag.N.Value without Tag.N.Key");
pub(crate) const TOO_MANY_TAG_FILTERS: ErrorSpec =
    ErrorSpec::new("QuotaExceeded.Tag", 403, "more than 20 tags in the call");

/// The region that a call is about.
pub(crate) fn region(params: &Params) -> Result<String, ApiError> {
    let region = params.required("RegionId")?;
    openpeta_types::region(region).ok_or_else(ApiError::region_not_found)?;
    Ok(region.to_owned())
}

/// Checks the kind of resource; case does not matter.
pub(crate) fn check_resource_type(params: &Params) -> Result<(), ApiError> {
    let given = params.required("ResourceType")?;
    let is_known = RESOURCE_TYPES
        .iter()
        .any(|kind| kind.eq_ignore_ascii_case(given));
    if !is_known {
        return Err(ApiError::value_not_supported("ResourceType"));
    }
    Ok(())
}

/// The instances that a call names, each once, in the order of their numbers.
pub(crate) fn resource_ids(params: &Params) -> Result<Vec<InstanceId>, ApiError> {
    let given = params.numbered("ResourceId.", "");
    if given.len() > MAX_RESOURCES {
        return Err(ApiError::instance_ids_exceeded());
    }
    let mut ids = Vec::with_capacity(given.len());
    for text in given.values() {
        let id = InstanceId::parse(text).map_err(|_| ApiError::instance_not_found())?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

/// The tags that a call puts on instances.
pub(crate) fn tags(params: &Params) -> Result<Vec<Tag>, ApiError> {
    let tag = |filter: TagFilter| Tag {
        key: filter.key,
        value: filter.value.unwrap_or_default(),
    };
    Ok(tag_filters(params)?.into_iter().map(tag).collect())
}

/// What a call asks the tags of instances to be like.
pub(crate) fn tag_filters(params: &Params) -> Result<Vec<TagFilter>, ApiError> {
    let keys = params.numbered("Tag.", ".Key");
    let values = params.numbered("Tag.", ".Value");
    if let Some(number) = values.keys().find(|number| !keys.contains_key(number)) {
        return Err(ApiError::missing_parameter(&format!("Tag.{number}.Key")));
    }
    if keys.len() > MAX_TAGS {
        return Err(ApiError::tag_quota_exceeded());
    }
    let filter = |(number, key): (&u32, &&str)| {
        Ok(TagFilter {
            key: tag_key(key)?,
            value: values.get(number).copied().map(tag_value).transpose()?,
        })
    };
    let filters: Vec<_> = keys.iter().map(filter).collect::<Result<_, ApiError>>()?;
    let unique: BTreeSet<_> = filters.iter().map(|filter| &filter.key).collect();
    if unique.len() < filters.len() {
        return Err(ApiError::tag_key_duplicate());
    }
    Ok(filters)
}

/// The keys that a call names, each once.
pub(crate) fn tag_keys(params: &Params) -> Result<BTreeSet<TagKey>, ApiError> {
    let given = params.numbered("TagKey.", "");
    if given.len() > MAX_TAGS {
        return Err(ApiError::tag_quota_exceeded());
    }
    given.values().map(|text| tag_key(text)).collect()
}

fn tag_key(text: &str) -> Result<TagKey, ApiError> {
    TagKey::parse(text).map_err(|_| ApiError::malformed("TagKey"))
}

fn tag_value(text: &str) -> Result<TagValue, ApiError> {
    TagValue::parse(text).map_err(|_| ApiError::malformed("TagValue"))
}

impl Params {
    /// The values of numbered parameters by their numbers, which stand between two parts of the
    /// name; empty values count as absent.
    pub(crate) fn numbered(&self, before: &str, after: &str) -> BTreeMap<u32, &str> {
        let number = |name: &str| {
            let digits = name.strip_prefix(before)?.strip_suffix(after)?;
            let is_number = digits.starts_with(|first: char| ('1'..='9').contains(&first));
            is_number.then(|| crate::params::decimal(digits))?
        };
        self.iter()
            .filter(|(_, value)| !value.is_empty())
            .filter_map(|(name, value)| Some((number(name)?, value)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params::from_pairs(pairs.iter().copied()).expect("unique names")
    }

    fn filters(pairs: &[(&str, &str)]) -> Result<Vec<(String, Option<String>)>, String> {
        let shown = |filter: TagFilter| {
            let value = filter.value.map(|value| value.to_string());
            (filter.key.to_string(), value)
        };
        match tag_filters(&params(pairs)) {
            Ok(filters) => Ok(filters.into_iter().map(shown).collect()),
            Err(error) => Err(format!("{error}")),
        }
    }

    #[test]
    fn keys_and_values_belong_together_by_number_whatever_the_gaps() {
        let found = filters(&[
            ("Tag.10.Key", "c"),
            ("Tag.7.Key", "b"),
            ("Tag.7.Value", "2"),
            ("Tag.1.Key", "a"),
            ("Tag.1.Value", ""),
            ("Tag.0.Key", "unknown"),
            ("Tag.01.Key", "unknown"),
            ("Tag.x.Key", "unknown"),
            ("Tag.99999999999.Key", "unknown"),
            ("tag.1.Key", "unknown"),
        ]);
        let pair = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
        let wanted = vec![pair("a", None), pair("b", Some("2")), pair("c", None)];
        assert_eq!(found, Ok(wanted));
        assert_eq!(filters(&[]), Ok(vec![]));
    }

    #[test]
    fn wrong_tags_are_refused_with_their_code() {
        let code = |pairs: &[(&str, &str)]| {
            let refused = filters(pairs).expect_err("wrong");
            refused.split(':').next().unwrap_or_default().to_owned()
        };
        let lonely = [("Tag.1.Key", "a"), ("Tag.2.Value", "x")];
        assert_eq!(code(&lonely), "MissingParameter");
        assert_eq!(code(&[("Tag.1.Key", "acs:x")]), "InvalidTagKey.Malformed");
        let value = [("Tag.1.Key", "a"), ("Tag.1.Value", "a\u{7}")];
        assert_eq!(code(&value), "InvalidTagValue.Malformed");
        let twice = [("Tag.1.Key", "a"), ("Tag.2.Key", "a")];
        assert_eq!(code(&twice), "InvalidTagKey.Duplicate");
        let names: Vec<_> = (1..=21).map(|number| format!("Tag.{number}.Key")).collect();
        let values: Vec<_> = (1..=21).map(|number| format!("k{number}")).collect();
        let pairs: Vec<_> = names
            .iter()
            .zip(&values)
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(code(&pairs), "QuotaExceeded.Tag");
        assert!(filters(&pairs[..20]).is_ok());
    }

    #[test]
    fn resources_are_named_once_and_not_too_many() {
        let names: Vec<_> = (1..=51).map(|n| format!("ResourceId.{n}")).collect();
        let pairs = |count: usize| {
            let pairs = names[..count].iter().map(|name| (name.as_str(), "pd-a"));
            params(&pairs.collect::<Vec<_>>())
        };
        let one = vec![InstanceId::parse("pd-a").expect("an id")];
        assert_eq!(resource_ids(&pairs(50)), Ok(one));
        assert_eq!(
            resource_ids(&pairs(51)),
            Err(ApiError::instance_ids_exceeded())
        );
        assert_eq!(
            resource_ids(&params(&[("ResourceId.1", "'; --")])),
            Err(ApiError::instance_not_found())
        );
    }

    #[test]
    fn kinds_of_resources_are_compared_without_case() {
        for (kind, known) in [
            ("dbinstance", true),
            ("DBInstance", true),
            ("instance", true),
            ("database", false),
        ] {
            let checked = check_resource_type(&params(&[("ResourceType", kind)]));
            assert_eq!(checked.is_ok(), known, "{kind}");
        }
    }
}
