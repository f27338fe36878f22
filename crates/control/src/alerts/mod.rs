//! Alerts: rules over the figures that are sampled, looked at every few seconds. What becomes of
//! a look is a pure machine ([`machine`]); where rules stand, and the events that tell of it, are in the
//! store in one transaction, so that each firing is told of once, whenever the service ends.

mod items;
mod machine;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;
use openpeta_store::{AlertPhase, AlertRule, AlertState, NewEvent, Reader, Writer};
use openpeta_types::{EventKind, InstanceId, ObjectStatus, format_time};
use serde_json::json;

use crate::ControlError;
use crate::parts::Parts;
use crate::sampling::{Steps, of_instance};
pub(crate) use items::{Item, names};
use machine::{Standing, Told, step};

/// Seconds of a row of samples.
const ROW_SECONDS: i64 = 5;

/// Looks at every rule once.
pub(crate) async fn reconcile(parts: Arc<Parts>) -> Result<(), ControlError> {
    // Off the async threads: samples may have to be read from disk.
    let looked = tokio::task::spawn_blocking(move || look(&parts, Timestamp::now()));
    looked.await.map_err(ControlError::internal)?
}

/// One look at all rules.
pub(crate) fn look(parts: &Parts, now: Timestamp) -> Result<(), ControlError> {
    let (rules, states, instances) = parts.store.read(|reader| {
        let instances = reader.instances()?;
        Ok::<_, ControlError>((reader.alert_rules()?, reader.alert_states()?, instances))
    })?;
    if rules.is_empty() {
        return Ok(());
    }
    let mut standing: HashMap<_, _> = states
        .into_iter()
        .map(|state| ((state.rule_id, state.instance_id.clone()), state))
        .collect();
    let exists: HashSet<_> = instances
        .iter()
        .map(|one| one.instance_id.clone())
        .collect();
    let is_settled = |status| !matches!(status, ObjectStatus::Create | ObjectStatus::Delete);
    let looked_at = instances
        .iter()
        .filter(|instance| is_settled(instance.status));
    let looked_at: Vec<_> = looked_at.map(|instance| &instance.instance_id).collect();
    let mut values = HashMap::new();
    let mut changes = Vec::new();
    for rule in rules.iter().filter(|rule| !rule.rule.is_paused) {
        let Some(item) = Item::parse(&rule.rule.item) else {
            continue;
        };
        let wanted = rule.rule.instance_id.as_ref();
        for &id in looked_at
            .iter()
            .filter(|id| wanted.is_none_or(|wanted| wanted == **id))
        {
            let key = (rule.rule.item.as_str(), id);
            let value = *values
                .entry(key)
                .or_insert_with(|| value(parts, item, id, now));
            let before = standing.remove(&(rule.rule_id, id.clone()));
            let before = before.map(|state| Standing::of(&state));
            let (after, told) = step(&rule.rule, before, value, now);
            if after != before || told.is_some() {
                let id = id.clone();
                changes.push(Change {
                    rule,
                    id,
                    before,
                    after,
                    told,
                    value,
                });
            }
        }
    }
    // What is left is of instances that go or are gone.
    let gone = standing
        .into_values()
        .filter(|state| !exists.contains(&state.instance_id));
    let gone: Vec<_> = gone.collect();
    let orphaned = rules.iter().filter(|rule| {
        let id = rule.rule.instance_id.as_ref();
        id.is_some_and(|id| !exists.contains(id))
    });
    let orphaned: Vec<_> = orphaned.collect();
    if changes.is_empty() && gone.is_empty() && orphaned.is_empty() {
        return Ok(());
    }
    parts.store.write(|writer| {
        // A rule may have been paused or deleted meanwhile.
        let rules = writer.alert_rules()?;
        let now_there = |rule: &AlertRule| rules.contains(rule);
        for change in changes.iter().filter(|change| now_there(change.rule)) {
            change.write(writer, now)?;
        }
        for state in &gone {
            resolve(writer, &rules, state, "the instance is gone", now)?;
        }
        for rule in orphaned.iter().filter(|rule| now_there(rule)) {
            writer.delete_alert_rule(rule.rule_id)?;
        }
        Ok(())
    })
}

/// The value of an item over the last seconds.
fn value(parts: &Parts, item: Item, id: &InstanceId, now: Timestamp) -> Option<f64> {
    let window = item.window(i64::from(parts.config.alerts.window_seconds));
    let window = (window + ROW_SECONDS - 1) / ROW_SECONDS * ROW_SECONDS;
    // Rows that are not complete yet are not there.
    let end = now.as_second() - now.as_second().rem_euclid(ROW_SECONDS);
    let steps = Steps {
        start: end - window,
        end,
        step: window,
    };
    let answer = parts
        .samples
        .query(&of_instance(id), &item.columns(), &steps);
    let row: Vec<_> = answer
        .columns
        .iter()
        .map(|column| *column.first()?)
        .collect();
    item.value(&row)
}

/// What a look at a rule for an instance changes.
struct Change<'r> {
    rule: &'r AlertRule,
    id: InstanceId,
    before: Option<Standing>,
    after: Option<Standing>,
    told: Option<Told>,
    value: Option<f64>,
}

impl Change<'_> {
    fn write(&self, writer: &Writer<'_>, now: Timestamp) -> Result<(), ControlError> {
        match self.after {
            Some(standing) => {
                writer.put_alert_state(&standing.state(self.rule.rule_id, &self.id, self.value))?;
            }
            None => writer.delete_alert_state(self.rule.rule_id, &self.id)?,
        }
        if let Some(told) = self.told {
            let since = self.after.or(self.before).map(|standing| standing.since);
            writer.insert_event(&event(
                self.rule, &self.id, told, self.value, since, None, now,
            ))?;
        }
        Ok(())
    }
}

/// Ends what a rule says of all instances, since the rule is no longer looked at.
pub(crate) fn resolve_all(
    writer: &Writer<'_>,
    rule_id: i64,
    reason: &str,
    now: Timestamp,
) -> Result<(), ControlError> {
    let rules = writer.alert_rules()?;
    for state in writer.alert_states()? {
        if state.rule_id == rule_id {
            resolve(writer, &rules, &state, reason, now)?;
        }
    }
    Ok(())
}

fn resolve(
    writer: &Writer<'_>,
    rules: &[AlertRule],
    state: &AlertState,
    reason: &str,
    now: Timestamp,
) -> Result<(), ControlError> {
    writer.delete_alert_state(state.rule_id, &state.instance_id)?;
    let rule = rules.iter().find(|rule| rule.rule_id == state.rule_id);
    if let (Some(rule), AlertPhase::Firing) = (rule, state.phase) {
        let (id, since) = (&state.instance_id, Some(state.since));
        let event = event(rule, id, Told::Resolved, None, since, Some(reason), now);
        writer.insert_event(&event)?;
    }
    Ok(())
}

fn event(
    rule: &AlertRule,
    id: &InstanceId,
    told: Told,
    value: Option<f64>,
    since: Option<Timestamp>,
    reason: Option<&str>,
    now: Timestamp,
) -> NewEvent {
    let AlertRule { rule_id, rule } = rule;
    let kind = match told {
        Told::Fires | Told::StillFires => EventKind::AlertFiring,
        Told::Resolved => EventKind::AlertResolved,
    };
    let is = value.map_or_else(
        || "has no value".to_owned(),
        |value| format!("is {value:.3}"),
    );
    let text = match (told, reason) {
        (Told::Fires, _) => format!(
            "{}: {} {is}, {} {} for {} s",
            rule.name, rule.item, rule.comparison, rule.threshold, rule.duration_seconds
        ),
        (Told::StillFires, _) => format!(
            "{}: {} {is}, still {} {}",
            rule.name, rule.item, rule.comparison, rule.threshold
        ),
        (Told::Resolved, Some(reason)) => format!("{}: resolved, since {reason}", rule.name),
        (Told::Resolved, None) => format!("{}: resolved, {} {is}", rule.name, rule.item),
    };
    let details = json!({
        "rule": rule.name,
        "rule_id": rule_id,
        "item": rule.item,
        "comparison": rule.comparison.as_str(),
        "threshold": rule.threshold,
        "duration_seconds": rule.duration_seconds,
        "value": value,
        "since": since.map(format_time),
        "is_repeated": told == Told::StillFires,
        "reason": reason,
    });
    NewEvent {
        severity: rule.severity,
        ..NewEvent::new(now, kind, text).of(Some(id)).with(&details)
    }
}

/// Where rules stand, by rule.
pub(crate) fn standings(
    reader: &Reader<'_>,
) -> Result<HashMap<i64, Vec<AlertState>>, ControlError> {
    let mut by_rule: HashMap<_, Vec<_>> = HashMap::new();
    for state in reader.alert_states()? {
        by_rule.entry(state.rule_id).or_default().push(state);
    }
    Ok(by_rule)
}

#[cfg(test)]
mod look_tests;
#[cfg(test)]
mod tests;
