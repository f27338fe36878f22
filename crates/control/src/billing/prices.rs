//! The price list, and what things cost by it. Pure: amounts in, amounts out.

use std::collections::BTreeMap;
use std::path::Path;

use openpeta_types::{ChargeType, NodeSpec, NodeSpecCatalogue};
use serde::Deserialize;

use crate::BillingConfig;

/// The price list that is used unless the configuration names another.
const SHIPPED: &str = include_str!("prices.toml");

/// Highest price that a list may have, so that no sum leaves its type.
const MAX_PRICE_CENTS: i64 = 10_000_000_000;
const SECONDS_PER_HOUR: i64 = 3_600;
/// What is left of a PrePaid period costs its share of a year of this length.
const SECONDS_PER_YEAR: i64 = 365 * 24 * SECONDS_PER_HOUR;

/// What node specs cost, and which discounts there are.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PriceList {
    currency: String,
    node_specs: BTreeMap<String, NodePrices>,
    #[serde(default)]
    rules: Vec<Rule>,
}

/// Prices of one node, in hundredths of the currency.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodePrices {
    hourly: i64,
    monthly: i64,
    yearly: i64,
}

/// A discount.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Rule {
    /// Its number, unique in the list.
    pub(crate) id: i64,
    /// Its name.
    pub(crate) name: String,
    /// What it says, for people.
    pub(crate) title: String,
    /// The share that it takes off, in percent.
    percent: u32,
    charge_type: Option<ChargeType>,
    #[serde(default)]
    node_specs: Vec<String>,
    minimum_months: Option<u32>,
}

/// Nodes of one spec.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lot<'a> {
    pub(crate) node_spec: &'a NodeSpec,
    pub(crate) nodes: u32,
}

/// How long something is paid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Term {
    /// PostPaid, for so many seconds.
    Used(i64),
    /// PrePaid, for so many months; twelve of them cost what a year costs.
    Months(u32),
    /// PrePaid, for so many seconds of a period that has begun.
    Rest(i64),
}

/// What something costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Quote<'p> {
    /// By the list.
    pub(crate) original_cents: i64,
    /// With all discounts.
    pub(crate) trade_cents: i64,
    /// The discounts, each once.
    pub(crate) rules: Vec<&'p Rule>,
}

impl PriceList {
    /// Reads the configured price list, or the shipped one.
    ///
    /// # Errors
    /// What is wrong with it, naming file and place.
    pub(crate) fn load(
        config: &BillingConfig,
        on_offer: &NodeSpecCatalogue,
    ) -> Result<Self, String> {
        let Some(path) = &config.price_file else {
            let list = Self::parse(SHIPPED).map_err(|error| format!("shipped prices: {error}"))?;
            // A deployment with node specs of its own that charges nobody needs no prices.
            if config.charge {
                let hint = "name a file that has one in [billing] price_file";
                list.check_specs(on_offer)
                    .map_err(|error| format!("shipped prices: {error}; {hint}"))?;
            }
            return Ok(list);
        };
        let read = |path: &Path| {
            let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
            let list = Self::parse(&text)?;
            list.check_specs(on_offer)?;
            Ok::<_, String>(list)
        };
        read(path).map_err(|error| format!("billing.price_file {}: {error}", path.display()))
    }

    fn parse(text: &str) -> Result<Self, String> {
        let list: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        let currency = &list.currency;
        if currency.len() != 3 || !currency.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(format!(
                "currency {currency:?} is not a code of three capital letters, such as CNY"
            ));
        }
        for (spec, prices) in &list.node_specs {
            for (key, price) in [
                ("hourly", prices.hourly),
                ("monthly", prices.monthly),
                ("yearly", prices.yearly),
            ] {
                if !(0..=MAX_PRICE_CENTS).contains(&price) {
                    return Err(format!(
                        "node_specs.{spec:?}.{key} = {price} is not between 0 and {MAX_PRICE_CENTS}"
                    ));
                }
            }
        }
        list.check_rules()?;
        Ok(list)
    }

    fn check_rules(&self) -> Result<(), String> {
        for (place, rule) in self.rules.iter().enumerate() {
            let wrong = |what: String| Err(format!("rule {} ({}): {what}", rule.id, rule.name));
            if !(1..=100).contains(&rule.percent) {
                return wrong(format!(
                    "percent = {} is not between 1 and 100",
                    rule.percent
                ));
            }
            if self.rules[..place].iter().any(|other| other.id == rule.id) {
                return wrong("the id occurs twice".into());
            }
            let unknown = |spec: &&String| !self.node_specs.contains_key(*spec);
            if let Some(spec) = rule.node_specs.iter().find(unknown) {
                return wrong(format!("node spec {spec:?} has no price"));
            }
            if rule.minimum_months.is_some() && rule.charge_type == Some(ChargeType::PostPaid) {
                return wrong("minimum_months is of use for PrePaid orders only".into());
            }
        }
        Ok(())
    }

    fn check_specs(&self, on_offer: &NodeSpecCatalogue) -> Result<(), String> {
        let priced = |spec: &NodeSpec| self.node_specs.contains_key(spec.as_str());
        match on_offer.iter().find(|(spec, _)| !priced(spec)) {
            Some((spec, _)) => Err(format!("node spec {spec} is on offer and has no price")),
            None => Ok(()),
        }
    }

    /// The currency of all amounts.
    pub(crate) fn currency(&self) -> &str {
        &self.currency
    }

    /// What nodes cost for a time; nothing when their spec has no price.
    pub(crate) fn quote(&self, lot: Lot<'_>, term: Term) -> Quote<'_> {
        let Some(prices) = self.node_specs.get(lot.node_spec.as_str()) else {
            return Quote::default();
        };
        let nodes = i64::from(lot.nodes);
        let original_cents = match term {
            Term::Used(seconds) => share(prices.hourly * nodes, seconds, SECONDS_PER_HOUR),
            Term::Months(months) => {
                let (years, rest) = (i64::from(months / 12), i64::from(months % 12));
                (years * prices.yearly + rest * prices.monthly) * nodes
            }
            Term::Rest(seconds) => share(prices.yearly * nodes, seconds, SECONDS_PER_YEAR),
        };
        let mut quote = Quote {
            original_cents,
            trade_cents: original_cents,
            rules: Vec::new(),
        };
        for rule in self.rules.iter().filter(|rule| rule.fits(lot, term)) {
            quote.trade_cents -= share(quote.trade_cents, rule.percent.into(), 100);
            quote.rules.push(rule);
        }
        quote
    }
}

impl Rule {
    fn fits(&self, lot: Lot<'_>, term: Term) -> bool {
        let charge_type = term.charge_type();
        let spec = lot.node_spec.as_str();
        self.charge_type.is_none_or(|wanted| wanted == charge_type)
            && (self.node_specs.is_empty() || self.node_specs.iter().any(|wanted| wanted == spec))
            && self
                .minimum_months
                .is_none_or(|minimum| matches!(term, Term::Months(months) if months >= minimum))
    }
}

impl Term {
    /// The billing mode that goes with it.
    pub(crate) const fn charge_type(self) -> ChargeType {
        match self {
            Self::Used(_) => ChargeType::PostPaid,
            Self::Months(_) | Self::Rest(_) => ChargeType::PrePaid,
        }
    }
}

impl<'p> Quote<'p> {
    /// So many of the same.
    pub(crate) fn times(mut self, quantity: u32) -> Self {
        self.original_cents *= i64::from(quantity);
        self.trade_cents *= i64::from(quantity);
        self
    }

    /// Both together.
    pub(crate) fn plus(mut self, other: Self) -> Self {
        self.original_cents += other.original_cents;
        self.trade_cents += other.trade_cents;
        for rule in other.rules {
            if !self.rules.contains(&rule) {
                self.rules.push(rule);
            }
        }
        self
    }

    /// What is to be paid on top of what the other has cost; never less than nothing.
    pub(crate) fn beyond(mut self, other: &Quote<'_>) -> Self {
        self.original_cents = (self.original_cents - other.original_cents).max(0);
        self.trade_cents = (self.trade_cents - other.trade_cents).clamp(0, self.original_cents);
        self
    }

    /// The price without the discounts, less the price with them.
    pub(crate) const fn discount_cents(&self) -> i64 {
        self.original_cents - self.trade_cents
    }
}

/// `cents × part ÷ whole`, rounded to the nearest hundredth, halves up.
fn share(cents: i64, part: i64, whole: i64) -> i64 {
    let exact = i128::from(cents) * i128::from(part.max(0));
    let rounded = (2 * exact + i128::from(whole)).div_euclid(2 * i128::from(whole));
    i64::try_from(rounded).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
        [[rules]]
        id = 1
        name = "all"
        title = "10 % off everything"
        percent = 10
        [[rules]]
        id = 2
        name = "long"
        title = "50 % off what is left, for two years"
        percent = 50
        charge_type = "PrePaid"
        node_specs = ["petadata.s2.xlarge"]
        minimum_months = 24
    "#;

    fn list(rules: &str) -> PriceList {
        PriceList::parse(&format!("{SHIPPED}{rules}")).expect("a right list")
    }

    fn price(list: &PriceList, spec: &str, nodes: u32, term: Term) -> (i64, i64) {
        let catalogue = NodeSpecCatalogue::default();
        let (node_spec, _) = catalogue.find(spec).expect("on offer");
        let quote = list.quote(Lot { node_spec, nodes }, term);
        assert_eq!(
            quote.discount_cents(),
            quote.original_cents - quote.trade_cents
        );
        (quote.original_cents, quote.trade_cents)
    }

    #[test]
    fn the_shipped_list_prices_all_that_is_on_offer() {
        let config = BillingConfig {
            charge: true,
            ..BillingConfig::default()
        };
        let list = PriceList::load(&config, &NodeSpecCatalogue::default()).expect("complete");
        assert_eq!(list.currency(), "CNY");
        let spec = "petadata.s2.xlarge";
        assert_eq!(price(&list, spec, 2, Term::Used(3_600)), (600, 600));
        assert_eq!(price(&list, spec, 1, Term::Months(1)), (144_000, 144_000));
        let year = price(&list, spec, 1, Term::Months(12));
        assert_eq!(year, (1_468_800, 1_468_800));
        let more = price(&list, spec, 1, Term::Months(13));
        assert_eq!(more.0, 1_468_800 + 144_000);
        let rest = price(&list, spec, 1, Term::Rest(365 * 86_400));
        assert_eq!(rest, year);
    }

    #[test]
    fn parts_of_an_hour_are_rounded_to_the_nearest_hundredth() {
        let list = list("");
        let spec = "petadata.s2.large";
        assert_eq!(price(&list, spec, 1, Term::Used(0)).0, 0);
        assert_eq!(price(&list, spec, 1, Term::Used(11)).0, 0);
        assert_eq!(price(&list, spec, 1, Term::Used(12)).0, 1);
        assert_eq!(price(&list, spec, 1, Term::Used(1_800)).0, 75);
        assert_eq!(share(i64::MAX / 2, 2, 2), i64::MAX / 2);
        assert_eq!(share(100, -5, 10), 0);
    }

    #[test]
    fn discounts_take_their_share_one_after_the_other() {
        let list = list(RULES);
        let spec = "petadata.s2.xlarge";
        assert_eq!(price(&list, spec, 1, Term::Used(3_600)), (300, 270));
        let year = price(&list, spec, 1, Term::Months(12));
        assert_eq!(year, (1_468_800, 1_321_920));
        let years = price(&list, spec, 1, Term::Months(24));
        assert_eq!(years, (2_937_600, 1_321_920));
        let other = price(&list, "petadata.s2.large", 1, Term::Months(24));
        assert_eq!(other, (1_468_800, 1_321_920));
    }

    #[test]
    fn quotes_add_up() {
        let list = list(RULES);
        let catalogue = NodeSpecCatalogue::default();
        let quote = |spec: &str, term| {
            let (node_spec, _) = catalogue.find(spec).expect("on offer");
            list.quote(
                Lot {
                    node_spec,
                    nodes: 1,
                },
                term,
            )
        };
        let small = quote("petadata.s2.large", Term::Rest(SECONDS_PER_YEAR));
        let large = quote("petadata.s2.xlarge", Term::Rest(SECONDS_PER_YEAR));
        let up = large.clone().beyond(&small);
        assert_eq!((up.original_cents, up.trade_cents), (734_400, 660_960));
        let down = small.clone().beyond(&large);
        assert_eq!((down.original_cents, down.trade_cents), (0, 0));
        let both = small.clone().times(2).plus(large);
        assert_eq!(both.original_cents, 2 * 734_400 + 1_468_800);
        assert_eq!(both.rules.len(), 1);
    }

    #[test]
    fn what_is_wrong_with_a_list_is_told() {
        let refused = |text: &str, part: &str| {
            let error = PriceList::parse(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        };
        refused("currency = 'yuan'\n[node_specs]", "three capital letters");
        refused("[node_specs]", "currency");
        let spec = |prices: &str| format!("currency = 'CNY'\n[node_specs.'a.b']\n{prices}");
        refused(&spec("hourly = 1\nmonthly = 2"), "yearly");
        refused(
            &spec("hourly = -1\nmonthly = 2\nyearly = 3"),
            "hourly = -1 is not between",
        );
        refused(
            &spec("hourly = 1.5\nmonthly = 2\nyearly = 3"),
            "invalid type",
        );
        let rule = |rule: &str| {
            let rule = format!("[[rules]]\nid = 1\nname = 'n'\ntitle = 't'\n{rule}");
            format!("{}\n{rule}", spec("hourly = 1\nmonthly = 2\nyearly = 3"))
        };
        refused(&rule("percent = 101"), "rule 1 (n): percent");
        refused(
            &rule("percent = 1\nnode_specs = ['x']"),
            "\"x\" has no price",
        );
        let twice = format!(
            "{}\n[[rules]]\nid = 1\nname = 'm'\ntitle = 't'\npercent = 1",
            rule("percent = 1")
        );
        refused(&twice, "rule 1 (m): the id occurs twice");
    }

    #[test]
    fn files_are_named_in_errors_and_must_price_what_is_on_offer() {
        let load = |path: &Path| {
            let config = BillingConfig {
                price_file: Some(path.to_owned()),
                ..BillingConfig::default()
            };
            PriceList::load(&config, &NodeSpecCatalogue::default()).expect_err("it is wrong")
        };
        let missing = load(Path::new("/nowhere/prices.toml"));
        assert!(missing.starts_with("billing.price_file /nowhere/prices.toml: "));
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("prices.toml");
        std::fs::write(&path, "currency = 'CNY'\n[node_specs]").expect("writable");
        let incomplete = load(&path);
        assert!(
            incomplete.contains("petadata.c2.2xlarge is on offer and has no price"),
            "{incomplete}"
        );
    }
}
