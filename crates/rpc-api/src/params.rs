//! The parameters of one call, decoded, sorted by name, with typed access.

use std::fmt;
use std::ops::Range;

use jiff::Timestamp;
use openpeta_types::{InstanceId, Secret, parse_time};

use crate::{ApiError, ClientToken, ParameterSpec};

/// The decoded parameters of one call, common ones included. Names are unique.
///
/// Names and values lie in one buffer that is wiped when dropped, since a value may be a
/// password; `Debug` shows the names alone.
#[derive(Clone)]
pub struct Params {
    text: Secret,
    /// Sorted by name, byte order.
    pairs: Vec<Pair>,
}

/// Where one parameter lies in the buffer.
#[derive(Clone)]
struct Pair {
    name: Range<usize>,
    value: Range<usize>,
}

/// Collects parameters as they are decoded.
#[derive(Default)]
pub(crate) struct ParamsBuilder {
    pub(crate) text: String,
    pairs: Vec<Pair>,
}

impl ParamsBuilder {
    /// Adds the pair whose name is at `name` in the buffer and whose value runs from the end
    /// of the name to the end of the buffer.
    pub(crate) fn push(&mut self, name: Range<usize>) {
        let value = name.end..self.text.len();
        self.pairs.push(Pair { name, value });
    }

    /// The pairs in the order in which they came.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = self.text.as_str();
        self.pairs
            .iter()
            .map(move |pair| (&text[pair.name.clone()], &text[pair.value.clone()]))
    }

    /// How many pairs there are.
    pub(crate) fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Sorts the pairs; refuses a name that occurs twice.
    pub(crate) fn finish(mut self) -> Result<Params, ApiError> {
        let text = self.text;
        self.pairs
            .sort_by(|a, b| text[a.name.clone()].cmp(&text[b.name.clone()]));
        let twice = self
            .pairs
            .windows(2)
            .find(|pair| text[pair[0].name.clone()] == text[pair[1].name.clone()]);
        if let Some(pair) = twice {
            return Err(ApiError::invalid_parameter(&text[pair[0].name.clone()]));
        }
        Ok(Params {
            text: Secret::new(text),
            pairs: self.pairs,
        })
    }
}

impl Params {
    /// Builds parameters from pairs, as a client or a test has them.
    ///
    /// # Errors
    /// `InvalidParameter` when a name occurs twice.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self, ApiError>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        let mut builder = ParamsBuilder::default();
        for (name, value) in pairs {
            let start = builder.text.len();
            builder.text.push_str(name.as_ref());
            let name = start..builder.text.len();
            builder.text.push_str(value.as_ref());
            builder.push(name);
        }
        builder.finish()
    }

    /// Every parameter, sorted by name; empty values included.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let text = self.text.expose();
        self.pairs
            .iter()
            .map(move |pair| (&text[pair.name.clone()], &text[pair.value.clone()]))
    }

    /// The value of that name as it was sent, the empty text included.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&str> {
        let text = self.text.expose();
        let index = self
            .pairs
            .binary_search_by(|pair| text[pair.name.clone()].cmp(name))
            .ok()?;
        Some(&text[self.pairs[index].value.clone()])
    }

    /// The value of that name; an empty value counts as absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.raw(name).filter(|value| !value.is_empty())
    }

    /// The value of a parameter that must be given.
    ///
    /// # Errors
    /// `MissingParameter` when it is absent or empty.
    pub fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name)
            .ok_or_else(|| ApiError::missing_parameter(name))
    }

    /// The value of a parameter under its name or one of its aliases.
    ///
    /// # Errors
    /// `InvalidParameter` when two spellings are given with different values.
    pub fn aliased(&self, spec: &ParameterSpec) -> Result<Option<&str>, ApiError> {
        self.any_of(spec.name, spec.aliases)
    }

    /// As [`aliased`](Self::aliased), by the names themselves.
    ///
    /// # Errors
    /// `InvalidParameter` when two spellings are given with different values.
    pub fn any_of(&self, name: &str, aliases: &[&str]) -> Result<Option<&str>, ApiError> {
        let mut found = self.get(name);
        for alias in aliases {
            match (found, self.get(alias)) {
                (None, other) => found = other,
                (Some(one), Some(other)) if one != other => {
                    return Err(ApiError::invalid_parameter(name));
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// The instance that the call names.
    ///
    /// # Errors
    /// `MissingParameter`; `InvalidDBInstanceId.NotFound` when no instance can have that id.
    pub fn instance_id(&self) -> Result<InstanceId, ApiError> {
        self.named_instance("InstanceId")
    }

    /// An instance that the call names in the parameter of that name.
    ///
    /// # Errors
    /// `MissingParameter`; `InvalidDBInstanceId.NotFound` when no instance can have that id.
    pub fn named_instance(&self, name: &str) -> Result<InstanceId, ApiError> {
        InstanceId::parse(self.required(name)?).map_err(|_| ApiError::instance_not_found())
    }

    /// As [`instance_id`](Self::instance_id), for the newer actions: they call it DBInstanceId
    /// and take the usual name as well.
    ///
    /// # Errors
    /// The same; `InvalidParameter` when both are given and differ.
    pub fn db_instance_id(&self) -> Result<InstanceId, ApiError> {
        let text = self.any_of("DBInstanceId", &["InstanceId"])?;
        let text = text.ok_or_else(|| ApiError::missing_parameter("DBInstanceId"))?;
        InstanceId::parse(text).map_err(|_| ApiError::instance_not_found())
    }

    /// A page number: 1 to 2147483647, by default 1.
    ///
    /// # Errors
    /// `Invalid<name>.Malformed` for anything else.
    pub fn page_number(&self, name: &str) -> Result<u32, ApiError> {
        self.get(name).map_or(Ok(1), |text| {
            decimal(text)
                .filter(|number| (1..=i32::MAX as u32).contains(number))
                .ok_or_else(|| ApiError::malformed(name))
        })
    }

    /// A page size out of the allowed ones, the first of which is the default.
    ///
    /// # Errors
    /// `Invalid<name>.ValueNotSupported` for any other.
    pub fn page_size(&self, name: &str, allowed: &[u32]) -> Result<u32, ApiError> {
        self.get(name).map_or(Ok(allowed[0]), |text| {
            decimal(text)
                .filter(|number| allowed.contains(number))
                .ok_or_else(|| ApiError::value_not_supported(name))
        })
    }

    /// A time that must be given.
    ///
    /// # Errors
    /// `MissingParameter`; `Invalid<name>.Malformed` when it is not a UTC time.
    pub fn time(&self, name: &str) -> Result<Timestamp, ApiError> {
        parse_time(self.required(name)?).ok_or_else(|| ApiError::malformed(name))
    }

    /// `true` or `false`, in any case: clients print what their language prints.
    ///
    /// # Errors
    /// `Invalid<name>.ValueNotSupported` for anything else.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, ApiError> {
        self.choice(name, |text| text.to_ascii_lowercase().parse().ok())
    }

    /// A value out of a fixed set, read by `parse`.
    ///
    /// # Errors
    /// `Invalid<name>.ValueNotSupported` when `parse` does not know it.
    pub fn choice<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ApiError> {
        self.get(name)
            .map(|text| parse(text).ok_or_else(|| ApiError::value_not_supported(name)))
            .transpose()
    }

    /// The client's idempotency token.
    ///
    /// # Errors
    /// `InvalidClientToken.Malformed` when it is longer than 64 characters or not ASCII.
    pub fn client_token(&self) -> Result<Option<ClientToken>, ApiError> {
        self.get("ClientToken").map(ClientToken::parse).transpose()
    }

    /// As [`client_token`](Self::client_token), for an action that calls it Token and takes the
    /// usual name as well.
    ///
    /// # Errors
    /// `InvalidToken.Malformed` as above; `InvalidParameter` when both are given and differ.
    pub fn token(&self) -> Result<Option<ClientToken>, ApiError> {
        let text = self.any_of("Token", &["ClientToken"])?;
        let malformed = |_| ApiError::malformed("Token");
        text.map(|text| ClientToken::parse(text).map_err(malformed))
            .transpose()
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}

/// Reads plain decimal digits; no sign, no blanks.
pub(crate) fn decimal(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pairs: &[(&str, &str)]) -> Params {
        Params::from_pairs(pairs.iter().copied()).expect("unique names")
    }

    #[test]
    fn empty_values_count_as_absent() {
        let params = params(&[("A", ""), ("B", "b")]);
        assert_eq!(params.raw("A"), Some(""));
        assert_eq!(params.get("A"), None);
        assert_eq!(params.get("B"), Some("b"));
        assert_eq!(params.required("A"), Err(ApiError::missing_parameter("A")));
        assert_eq!(params.required("C"), Err(ApiError::missing_parameter("C")));
    }

    #[test]
    fn a_name_may_occur_once() {
        let error = Params::from_pairs([("A", "1"), ("B", "2"), ("A", "1")]).expect_err("twice");
        assert_eq!(error, ApiError::invalid_parameter("A"));
    }

    #[test]
    fn aliases_must_agree() {
        let any = |pairs: &[(&str, &str)]| {
            params(pairs)
                .any_of("ChargeType", &["PayType"])
                .map(|value| value.map(str::to_owned))
        };
        assert_eq!(any(&[("PayType", "x")]), Ok(Some("x".into())));
        assert_eq!(
            any(&[("PayType", "x"), ("ChargeType", "")]),
            Ok(Some("x".into()))
        );
        assert_eq!(
            any(&[("PayType", "x"), ("ChargeType", "x")]),
            Ok(Some("x".into()))
        );
        assert_eq!(
            any(&[("PayType", "x"), ("ChargeType", "y")]),
            Err(ApiError::invalid_parameter("ChargeType"))
        );
        assert_eq!(any(&[]), Ok(None));
    }

    #[test]
    fn numbers_are_plain_digits() {
        let page = |text| params(&[("PageNumber", text)]).page_number("PageNumber");
        assert_eq!(page("2147483647"), Ok(2_147_483_647));
        assert_eq!(page(""), Ok(1));
        for bad in [
            "0",
            "-1",
            "+1",
            "2147483648",
            "1.0",
            " 1",
            "x",
            "99999999999999999999",
        ] {
            assert_eq!(page(bad), Err(ApiError::malformed("PageNumber")), "{bad}");
        }
        let size = |text| params(&[("PageSize", text)]).page_size("PageSize", &[10, 20]);
        assert_eq!(size(""), Ok(10));
        assert_eq!(size("20"), Ok(20));
        assert_eq!(size("15"), Err(ApiError::value_not_supported("PageSize")));
    }

    #[test]
    fn booleans_are_taken_as_languages_print_them() {
        let boolean = |text| params(&[("Enable", text)]).boolean("Enable");
        assert_eq!(boolean("true"), Ok(Some(true)));
        assert_eq!(boolean("False"), Ok(Some(false)));
        assert_eq!(boolean(""), Ok(None));
        for bad in ["1", "yes", " true"] {
            assert_eq!(boolean(bad), Err(ApiError::value_not_supported("Enable")));
        }
    }

    #[test]
    fn debug_shows_names_alone() {
        let shown = format!("{:?}", params(&[("AccountPassword", "hunter2")]));
        assert_eq!(shown, "[\"AccountPassword\"]");
    }
}
