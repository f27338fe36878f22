//! `openpeta admin alert …`

use openpeta_rpc_api::ApiError;
use openpeta_store::{AlertPhase, AlertRule, AlertState, NewAlertRule, Reader};
use openpeta_types::{InstanceId, format_time};
use serde_json::{Value, json};

use super::{AdminChange, check_name, duplicate, not_found};
use crate::alerts::{Item, names, resolve_all, standings};
use crate::{Control, ControlError};

impl Control {
    pub(super) fn alert_create(
        &self,
        change: &AdminChange,
        rule: NewAlertRule,
    ) -> Result<Value, ControlError> {
        check_name(&rule.name)?;
        if Item::parse(&rule.item).is_none() {
            let detail = "`openpeta admin alert items` lists them.";
            return Err(ApiError::invalid_parameter("item")
                .with_detail(detail)
                .into());
        }
        if !rule.threshold.is_finite() {
            return Err(ApiError::invalid_parameter("threshold").into());
        }
        self.parts.store.write(|writer| {
            check_instance(writer, rule.instance_id.as_ref())?;
            let rule_id = writer.insert_alert_rule(&rule).map_err(duplicate("name"))?;
            change.record(writer, None, rule.instance_id.as_ref())?;
            Ok(row(&AlertRule { rule_id, rule }, &[]))
        })
    }

    pub(super) fn alert_delete(
        &self,
        change: &AdminChange,
        name: &str,
    ) -> Result<Value, ControlError> {
        self.parts.store.write(|writer| {
            let rule = find(writer, name)?;
            resolve_all(writer, rule.rule_id, "the rule was deleted", change.now)?;
            writer.delete_alert_rule(rule.rule_id)?;
            change.record(writer, None, rule.rule.instance_id.as_ref())?;
            Ok(row(&rule, &[]))
        })
    }

    pub(super) fn alert_pause(
        &self,
        change: &AdminChange,
        name: &str,
        is_paused: bool,
    ) -> Result<Value, ControlError> {
        self.parts.store.write(|writer| {
            let mut rule = find(writer, name)?;
            if is_paused {
                resolve_all(writer, rule.rule_id, "the rule was paused", change.now)?;
            }
            writer.set_alert_paused(rule.rule_id, is_paused)?;
            change.record(writer, None, rule.rule.instance_id.as_ref())?;
            rule.rule.is_paused = is_paused;
            Ok(row(&rule, &[]))
        })
    }

    pub(super) fn alert_list(&self) -> Result<Value, ControlError> {
        self.parts.store.read(|reader| {
            let standings = standings(reader)?;
            let none = Vec::new();
            let rules = reader.alert_rules()?;
            let rows = rules
                .iter()
                .map(|rule| row(rule, standings.get(&rule.rule_id).unwrap_or(&none)));
            Ok(rows.collect())
        })
    }

    pub(super) fn alert_items(&self) -> Value {
        let items = names().into_iter();
        items
            .map(|(item, unit)| json!({ "item": item, "unit": unit }))
            .collect()
    }
}

fn find(reader: &Reader<'_>, name: &str) -> Result<AlertRule, ControlError> {
    let mut rules = reader.alert_rules()?.into_iter();
    let found = rules.find(|rule| rule.rule.name == name);
    found.ok_or_else(|| not_found("name"))
}

/// Whether there is such an instance, if one is named.
pub(super) fn check_instance(
    reader: &Reader<'_>,
    instance_id: Option<&InstanceId>,
) -> Result<(), ControlError> {
    if let Some(id) = instance_id {
        reader
            .instance(id)?
            .ok_or_else(ApiError::instance_not_found)?;
    }
    Ok(())
}

fn row(rule: &AlertRule, states: &[AlertState]) -> Value {
    let AlertRule { rule_id, rule } = rule;
    let is_firing = states.iter().any(|state| state.phase == AlertPhase::Firing);
    let state = match (rule.is_paused, is_firing, states) {
        (true, ..) => "paused",
        (_, true, _) => "firing",
        (_, _, []) => "ok",
        _ => "pending",
    };
    let standing = |state: &AlertState| {
        json!({
            "instance_id": state.instance_id.as_str(),
            "state": state.phase.as_str(),
            "since": format_time(state.since),
            "told_at": state.told_at.map(format_time),
            "value": state.value,
        })
    };
    json!({
        "rule_id": rule_id,
        "name": rule.name,
        "state": state,
        "instance_id": rule.instance_id.as_ref().map(|id| id.as_str()),
        "item": rule.item,
        "comparison": rule.comparison.as_str(),
        "threshold": rule.threshold,
        "duration_seconds": rule.duration_seconds,
        "severity": rule.severity,
        "no_data": rule.no_data.as_str(),
        "repeat_seconds": rule.repeat_seconds,
        "created_at": format_time(rule.created_at),
        "instances": states.iter().map(standing).collect::<Vec<_>>(),
    })
}
