//! Who is told what: alerts and webhooks.

use jiff::Timestamp;
use openpeta_control::{ServiceFigures, WebhookFigures};
use openpeta_store::AlertPhase;
use openpeta_types::Severity;

use super::bound::{Bound, OTHER};
use super::exposition::Exposition;
use super::state::age;

const PHASES: [AlertPhase; 2] = [AlertPhase::Pending, AlertPhase::Firing];
const SEVERITIES: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Critical];

pub(super) fn add(out: &mut Exposition, its: &ServiceFigures, bound: &mut Bound, now: Timestamp) {
    out.add("openpeta_alert_rules", &[], u64::from(its.alert_rules));
    for (phase, severity) in PHASES
        .into_iter()
        .flat_map(|phase| SEVERITIES.map(|severity| (phase, severity)))
    {
        let mut totals = its.alerts.iter();
        let total = totals.find(|total| (total.phase, total.severity) == (phase, severity));
        let count = total.map_or(0, |total| u64::from(total.count));
        out.add(
            "openpeta_alerts",
            &[phase.as_str(), severity.as_str()],
            count,
        );
    }
    add_webhooks(out, &its.webhooks, bound, now);
}

fn add_webhooks(
    out: &mut Exposition,
    webhooks: &[WebhookFigures],
    bound: &mut Bound,
    now: Timestamp,
) {
    let keys: Vec<_> = webhooks
        .iter()
        .map(|its| its.total.webhook_id.to_string())
        .collect();
    bound.present(keys.iter().map(String::as_str));
    let (mut waiting, mut oldest) = (0, None::<Timestamp>);
    for (its, key) in webhooks.iter().zip(&keys) {
        let totals = [its.delivered, its.failed, its.total.dropped.into()];
        if bound.shows(key) {
            let total = &its.total;
            let age = age(total.oldest, now);
            add_webhook(out, &total.name, &totals, total.waiting.into(), age);
        } else {
            bound.add(key, &totals);
            waiting += u64::from(its.total.waiting);
            oldest = oldest.into_iter().chain(its.total.oldest).min();
        }
    }
    if bound.has_others() {
        let totals = bound.others(3);
        add_webhook(out, OTHER, &totals, waiting, age(oldest, now));
    }
}

fn add_webhook(out: &mut Exposition, name: &str, totals: &[u64], waiting: u64, oldest: f64) {
    let counters = [
        "openpeta_webhook_deliveries",
        "openpeta_webhook_failures",
        "openpeta_webhook_dropped",
    ];
    for (counter, total) in counters.into_iter().zip(totals) {
        out.add(counter, &[name], *total);
    }
    out.add("openpeta_webhook_waiting", &[name], waiting);
    out.add("openpeta_webhook_oldest_age_seconds", &[name], oldest);
}

#[cfg(test)]
mod tests {
    use openpeta_store::WebhookTotal;

    use super::*;
    use crate::metrics::exposition::Format;
    use crate::metrics::families::FAMILIES;

    #[test]
    fn however_many_webhooks_there_are_the_series_are_not() {
        let at = |second| Timestamp::from_second(second).expect("in range");
        let webhooks: Vec<_> = (0..10)
            .map(|number| WebhookFigures {
                total: WebhookTotal {
                    webhook_id: number,
                    name: format!("hook-{number}"),
                    dropped: 1,
                    waiting: 2,
                    oldest: (number == 7).then(|| at(90)),
                },
                delivered: 5,
                failed: 3,
            })
            .collect();
        let mut bound = Bound::new(2);
        let mut out = Exposition::new(FAMILIES, Format::Prometheus);
        add_webhooks(&mut out, &webhooks, &mut bound, at(100));
        let text = out.text();
        for line in [
            "openpeta_webhook_deliveries_total{webhook=\"hook-1\"} 5",
            "openpeta_webhook_oldest_age_seconds{webhook=\"hook-1\"} 0",
            "openpeta_webhook_deliveries_total{webhook=\"other\"} 40",
            "openpeta_webhook_failures_total{webhook=\"other\"} 24",
            "openpeta_webhook_dropped_total{webhook=\"other\"} 8",
            "openpeta_webhook_waiting{webhook=\"other\"} 16",
            "openpeta_webhook_oldest_age_seconds{webhook=\"other\"} 10",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
        assert!(!text.contains("hook-2"));
    }
}
