//! Commodities: what an order is about, as JSON text. DescribePrice reads them,
//! DescribeCommodity writes them. The old service had such texts and did not document them.

use openpeta_types::{ChargeType, DbName, InstanceId, format_time};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::ApiError;

/// Commodities that a call may name.
const MAX_COMMODITIES: usize = 50;
/// Longest PrePaid period, in months.
const MAX_MONTHS: u32 = 120;
/// Most of the same.
const MAX_QUANTITY: u32 = 1_000;

/// Kinds of orders, in any case.
pub(super) const ORDER_TYPES: &[&str] = &["BUY", "RENEW", "UPGRADE"];

/// What an order does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderType {
    /// Orders something new.
    Buy,
    /// Prolongs something PrePaid.
    Renew,
    /// Changes the nodes of something, to larger or smaller ones.
    Upgrade,
}

impl OrderType {
    /// Reads the API's spelling, in any case.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let kinds = [Self::Buy, Self::Renew, Self::Upgrade];
        let mut known = ORDER_TYPES.iter().zip(kinds);
        let found = known.find(|(name, _)| name.eq_ignore_ascii_case(text));
        found.map(|(_, kind)| kind)
    }
}

/// What is ordered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commodity {
    /// The node spec; of an upgrade, the new one. As sent: whether it has a price is the price
    /// list's matter.
    pub node_spec: String,
    /// Number of nodes, 1 to 128.
    pub node_number: u32,
    /// Billing mode.
    pub charge_type: ChargeType,
    /// Months of a PrePaid order, 1 to 120.
    pub months: u32,
    /// How many of the same.
    pub quantity: u32,
    /// The database that is changed; an upgrade has one.
    pub database: Option<(InstanceId, DbName)>,
}

/// A commodity as it is written down; other keys are ignored, as other parameters are.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Document {
    node_spec: String,
    #[serde(default)]
    node_number: Option<Number>,
    #[serde(default)]
    charge_type: Option<String>,
    #[serde(default)]
    period: Option<Number>,
    #[serde(default)]
    period_unit: Option<String>,
    #[serde(default)]
    quantity: Option<Number>,
    #[serde(default)]
    instance_id: Option<String>,
    #[serde(default, rename = "DBName")]
    db_name: Option<String>,
}

/// A whole number, also written as text, as parameters of the API are.
#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u64),
    Text(String),
}

/// Reads `Commodities`: an object, or an array of them.
///
/// # Errors
/// `InvalidCommodities.Malformed`, saying what is wrong.
pub(super) fn parse(text: &str, order: OrderType) -> Result<Vec<Commodity>, ApiError> {
    let value: Value = serde_json::from_str(text).map_err(|_| malformed("It is not JSON."))?;
    let items = match value {
        Value::Array(items) => items,
        one => vec![one],
    };
    if !(1..=MAX_COMMODITIES).contains(&items.len()) {
        let detail = format!("It must hold 1 to {MAX_COMMODITIES} commodities.");
        return Err(malformed(&detail));
    }
    items.into_iter().map(|item| read(item, order)).collect()
}

fn read(item: Value, order: OrderType) -> Result<Commodity, ApiError> {
    let document: Document = serde_json::from_value(item).map_err(|_| {
        malformed("A commodity is an object with NodeSpec, and its other keys have one value each.")
    })?;
    let usual = match order {
        OrderType::Renew => ChargeType::PrePaid,
        OrderType::Buy | OrderType::Upgrade => ChargeType::PostPaid,
    };
    let charge_type = match &document.charge_type {
        Some(text) => ChargeType::parse(text)
            .ok_or_else(|| malformed("ChargeType is PrePaid or PostPaid."))?,
        None => usual,
    };
    if order == OrderType::Renew && charge_type == ChargeType::PostPaid {
        return Err(malformed(
            "What is PostPaid does not end and is not renewed.",
        ));
    }
    let number = |key: &str, given: &Option<Number>, usual: u32, most: u32| match given {
        None => Ok(usual),
        Some(given) => given
            .within(most)
            .ok_or_else(|| malformed(&format!("{key} is a whole number from 1 to {most}."))),
    };
    Ok(Commodity {
        node_number: number("NodeNumber", &document.node_number, 1, 128)?,
        charge_type,
        months: document.months(|key, given| number(key, given, 1, MAX_MONTHS))?,
        quantity: number("Quantity", &document.quantity, 1, MAX_QUANTITY)?,
        database: document.database(order)?,
        node_spec: document.node_spec,
    })
}

impl Document {
    /// The period in months; a year, as CreateInstance orders, when none is named.
    fn months(
        &self,
        number: impl Fn(&str, &Option<Number>) -> Result<u32, ApiError>,
    ) -> Result<u32, ApiError> {
        let unit = match (self.period_unit.as_deref(), &self.period) {
            (None, None) => 12,
            (None, Some(_)) => 1,
            (Some(unit), _) if unit.eq_ignore_ascii_case("Month") => 1,
            (Some(unit), _) if unit.eq_ignore_ascii_case("Year") => 12,
            _ => return Err(malformed("PeriodUnit is Month or Year.")),
        };
        let months = number("Period", &self.period)? * unit;
        if months > MAX_MONTHS {
            return Err(malformed(&format!(
                "A period has at most {MAX_MONTHS} months."
            )));
        }
        Ok(months)
    }

    /// The database that is changed.
    fn database(&self, order: OrderType) -> Result<Option<(InstanceId, DbName)>, ApiError> {
        if order != OrderType::Upgrade {
            return Ok(None);
        }
        let (Some(instance_id), Some(db_name)) = (&self.instance_id, &self.db_name) else {
            return Err(malformed(
                "An upgrade names InstanceId and DBName of what it changes.",
            ));
        };
        let instance_id =
            InstanceId::parse(instance_id).map_err(|_| ApiError::instance_not_found())?;
        let db_name = DbName::parse(db_name).map_err(|_| ApiError::db_not_found())?;
        Ok(Some((instance_id, db_name)))
    }
}

impl Number {
    fn within(&self, most: u32) -> Option<u32> {
        let number = match self {
            Self::Number(number) => u32::try_from(*number).ok()?,
            Self::Text(text) => crate::params::decimal(text)?,
        };
        (1..=most).contains(&number).then_some(number)
    }
}

/// `InvalidCommodities.Malformed`, with what is wrong.
fn malformed(detail: &str) -> ApiError {
    ApiError::malformed("Commodities").with_detail(detail)
}

/// A database as a commodity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseCommodity {
    /// Its instance.
    pub instance_id: InstanceId,
    /// Its region.
    pub region_id: String,
    /// Its zone.
    pub zone_id: String,
    /// Its name.
    pub db_name: DbName,
    /// Its node spec.
    pub node_spec: String,
    /// Its number of nodes.
    pub node_number: u32,
    /// Its billing mode.
    pub charge_type: ChargeType,
    /// When it ends.
    pub end_time: jiff::Timestamp,
}

/// Writes commodities down, in the form that DescribePrice takes.
pub(super) fn write(commodities: &[DatabaseCommodity], code: Option<&str>) -> String {
    let object = |commodity: &DatabaseCommodity| {
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| {
            object.insert(key.to_owned(), value);
        };
        if let Some(code) = code {
            put("CommodityCode", code.into());
        }
        put("InstanceId", commodity.instance_id.as_str().into());
        put("DBName", commodity.db_name.as_str().into());
        put("RegionId", commodity.region_id.as_str().into());
        put("ZoneId", commodity.zone_id.as_str().into());
        put("NodeSpec", commodity.node_spec.as_str().into());
        put("NodeNumber", commodity.node_number.into());
        put("ChargeType", commodity.charge_type.as_str().into());
        put("Quantity", json!(1));
        if commodity.charge_type == ChargeType::PrePaid {
            put("Period", json!(1));
            put("PeriodUnit", json!("Year"));
            put("EndTime", format_time(commodity.end_time).into());
        }
        Value::Object(object)
    };
    Value::Array(commodities.iter().map(object).collect()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<Commodity, String> {
        match parse(text, OrderType::Buy) {
            Ok(mut commodities) => Ok(commodities.remove(0)),
            Err(error) => {
                assert_eq!(error.code, "InvalidCommodities.Malformed", "{text}");
                Err(error.message.into_owned())
            }
        }
    }

    #[test]
    fn what_is_left_out_is_as_create_instance_orders() {
        let plain = one(r#"{"NodeSpec":"s"}"#).expect("right");
        let expected = Commodity {
            node_spec: "s".into(),
            node_number: 1,
            charge_type: ChargeType::PostPaid,
            months: 12,
            quantity: 1,
            database: None,
        };
        assert_eq!(plain, expected);
        let months = |rest: &str| {
            let text = format!(r#"{{"NodeSpec":"s","ChargeType":"PrePaid",{rest}}}"#);
            one(&text).expect("right").months
        };
        assert_eq!(months(r#""Period":3"#), 3);
        assert_eq!(months(r#""Period":"2","PeriodUnit":"year""#), 24);
        assert_eq!(months(r#""PeriodUnit":"Month""#), 1);
        assert_eq!(months(r#""PeriodUnit":"Year","Other":{"a":[]}"#), 12);
    }

    #[test]
    fn lists_and_texts_in_the_place_of_numbers_are_read() {
        let text = r#"[{"NodeSpec":"a","NodeNumber":"2"},{"NodeSpec":"b","Quantity":3}]"#;
        let read = parse(text, OrderType::Buy).expect("right");
        assert_eq!((read[0].node_number, read[1].quantity), (2, 3));
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, part) in [
            ("", "JSON"),
            ("{", "JSON"),
            ("[]", "1 to 50"),
            ("null", "object"),
            ("[1]", "object"),
            (r#"{"NodeNumber":1}"#, "object"),
            (r#"{"NodeSpec":["s"]}"#, "object"),
            (r#"{"NodeSpec":"s","NodeNumber":0}"#, "NodeNumber"),
            (r#"{"NodeSpec":"s","NodeNumber":129}"#, "NodeNumber"),
            (r#"{"NodeSpec":"s","NodeNumber":-1}"#, "object"),
            (r#"{"NodeSpec":"s","NodeNumber":" 1"}"#, "NodeNumber"),
            (r#"{"NodeSpec":"s","Quantity":1001}"#, "Quantity"),
            (r#"{"NodeSpec":"s","Period":11,"PeriodUnit":"Year"}"#, "120"),
            (r#"{"NodeSpec":"s","PeriodUnit":"Week"}"#, "PeriodUnit"),
            (r#"{"NodeSpec":"s","ChargeType":"prepaid"}"#, "ChargeType"),
        ] {
            let error = one(text).expect_err(text);
            assert!(error.contains(part), "{text}: {error}");
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        assert!(one(&deep).is_err());
    }

    #[test]
    fn upgrades_name_what_they_change_and_renewals_are_prepaid() {
        let upgrade = |text: &str| parse(text, OrderType::Upgrade);
        assert!(upgrade(r#"{"NodeSpec":"s"}"#).is_err());
        let named = upgrade(r#"{"NodeSpec":"s","InstanceId":"pd-a","DBName":"shop"}"#);
        assert!(named.expect("right")[0].database.is_some());
        let renew = |text: &str| parse(text, OrderType::Renew);
        let usual = renew(r#"{"NodeSpec":"s"}"#).expect("right");
        assert_eq!(usual[0].charge_type, ChargeType::PrePaid);
        assert!(renew(r#"{"NodeSpec":"s","ChargeType":"PostPaid"}"#).is_err());
    }

    #[test]
    fn what_is_written_can_be_read() {
        let commodity = DatabaseCommodity {
            instance_id: InstanceId::parse("pd-a").expect("an id"),
            region_id: "cn-hangzhou".into(),
            zone_id: "cn-hangzhou-b".into(),
            db_name: DbName::parse("shop").expect("a name"),
            node_spec: "petadata.s2.large".into(),
            node_number: 2,
            charge_type: ChargeType::PrePaid,
            end_time: openpeta_types::parse_time("2027-01-17T08:00:09Z").expect("a time"),
        };
        let text = write(&[commodity], Some("\"code\""));
        assert!(text.contains(r#""CommodityCode":"\"code\"""#), "{text}");
        for order in [OrderType::Buy, OrderType::Renew, OrderType::Upgrade] {
            let read = parse(&text, order).expect("what DescribePrice takes");
            assert_eq!((read[0].months, read[0].node_number), (12, 2));
        }
    }
}
