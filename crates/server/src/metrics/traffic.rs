//! What sessions do, of each instance and each database: the gateway's counters.

use openpeta_gateway::{DatabaseCounters, InstanceCounters, StatementCounters, TimesTaken};

use super::bound::{Bound, OTHER};
use super::exposition::{Exposition, Histogram};

/// A counter and where it comes from. Families with a class have several.
type Counter<C> = (&'static str, Option<&'static str>, fn(&C) -> u64);

const INSTANCE: &[Counter<InstanceCounters>] = &[
    ("openpeta_gateway_warm_used", None, |c| c.warm_used),
    ("openpeta_gateway_warm_missed", None, |c| c.warm_missed),
    ("openpeta_gateway_warm_unfit", None, |c| c.warm_unfit),
    ("openpeta_gateway_revived", None, |c| c.revived),
    ("openpeta_gateway_accepted", None, |c| c.accepted),
    ("openpeta_gateway_refused_whitelist", None, |c| {
        c.refused_whitelist
    }),
    ("openpeta_gateway_refused_proxy_header", None, |c| {
        c.refused_proxy_header
    }),
    ("openpeta_gateway_refused_limit", None, |c| c.refused_limit),
    ("openpeta_gateway_displaced", None, |c| c.displaced),
    ("openpeta_gateway_failed_logins", None, |c| c.failed_logins),
    ("openpeta_gateway_login_timeouts", None, |c| {
        c.login_timeouts
    }),
    ("openpeta_gateway_node_failures", None, |c| c.node_failures),
    ("openpeta_gateway_commands", None, |c| c.commands),
    ("openpeta_gateway_errors", None, |c| c.errors),
    ("openpeta_gateway_received_bytes", None, |c| c.bytes_in),
    ("openpeta_gateway_sent_bytes", None, |c| c.bytes_out),
    (STATEMENTS, Some("set"), |c| c.statements.set),
    (STATEMENTS, Some("single_read"), |c| {
        c.statements.single_reads
    }),
    (STATEMENTS, Some("multi_read"), |c| c.statements.multi_reads),
    (STATEMENTS, Some("single_write"), |c| {
        c.statements.single_writes
    }),
    (STATEMENTS, Some("multi_write"), |c| {
        c.statements.multi_writes
    }),
    (STATEMENTS, Some("begin"), |c| c.statements.begins),
    (STATEMENTS, Some("commit"), |c| c.statements.commits),
    (STATEMENTS, Some("rollback"), |c| c.statements.rollbacks),
    (STATEMENTS, Some("other_transaction"), |c| {
        c.statements.other_transaction
    }),
    (STATEMENTS, Some("other"), |c| c.statements.other),
    ("openpeta_gateway_statements_failed", None, |c| {
        c.statements.failed
    }),
];
const STATEMENTS: &str = "openpeta_gateway_statements";

const DATABASE: &[Counter<DatabaseCounters>] = &[
    ("openpeta_database_statements", Some("read"), |c| {
        reads(&c.statements)
    }),
    ("openpeta_database_statements", Some("write"), |c| {
        writes(&c.statements)
    }),
    ("openpeta_database_statements", Some("other"), |c| {
        c.statements.queries() - reads(&c.statements) - writes(&c.statements)
    }),
    ("openpeta_database_statements_failed", None, |c| {
        c.statements.failed
    }),
    ("openpeta_database_received_bytes", None, |c| c.bytes_in),
    ("openpeta_database_sent_bytes", None, |c| c.bytes_out),
];
const DATABASE_TIME: &str = "openpeta_database_statement_duration_seconds";

/// Ranges of times.
const RANGES: usize = TimesTaken::BOUNDS.len() + 1;

/// An instance that is open to clients.
pub(super) struct InstanceTraffic<'a> {
    pub(super) instance: &'a str,
    pub(super) counters: InstanceCounters,
    /// Sessions that there may be.
    pub(super) limit: u32,
}

/// A database of an instance.
pub(super) struct DatabaseTraffic<'a> {
    pub(super) instance: &'a str,
    pub(super) database: &'a str,
    /// What it is called in its [`Bound`].
    pub(super) key: String,
    pub(super) counters: DatabaseCounters,
}

/// Shows instances. All that there are, open or not, are present in the bound already.
pub(super) fn add_instances(out: &mut Exposition, bound: &mut Bound, all: &[InstanceTraffic<'_>]) {
    let (mut sessions, mut warm, mut limit, mut earlier) = (0, 0, 0, 0);
    for its in all {
        let totals = instance_totals(&its.counters);
        if bound.shows(its.instance) {
            let gauges = [
                its.counters.sessions,
                its.counters.warm,
                its.limit.into(),
                its.counters.elsewhere,
            ];
            add_instance(out, its.instance, &totals, gauges);
        } else {
            bound.add(its.instance, &totals);
            sessions += its.counters.sessions;
            warm += its.counters.warm;
            limit += u64::from(its.limit);
            earlier += its.counters.elsewhere;
        }
    }
    if bound.has_others() {
        let totals = bound.others(INSTANCE.len() + 2 * (RANGES + 1));
        add_instance(out, OTHER, &totals, [sessions, warm, limit, earlier]);
    }
}

/// Counters, then ranges and nanoseconds of reads, then of writes.
fn instance_totals(counters: &InstanceCounters) -> Vec<u64> {
    let mut totals: Vec<_> = INSTANCE.iter().map(|(_, _, get)| get(counters)).collect();
    let statements = &counters.statements;
    for (times, sum) in [
        (&statements.reads_by_time, statements.read_time),
        (&statements.writes_by_time, statements.write_time),
    ] {
        totals.extend(times.counts);
        totals.push(nanos(sum));
    }
    totals
}

fn add_instance(out: &mut Exposition, instance: &str, totals: &[u64], gauges: [u64; 4]) {
    let names = [
        "openpeta_gateway_sessions",
        "openpeta_gateway_warm_connections",
        "openpeta_gateway_sessions_limit",
        "openpeta_gateway_earlier_sessions",
    ];
    for (name, value) in names.into_iter().zip(gauges) {
        out.add(name, &[instance], value);
    }
    let (counters, times) = totals.split_at(INSTANCE.len());
    for ((name, class, _), value) in INSTANCE.iter().zip(counters) {
        match class {
            Some(class) => out.add(name, &[instance, class], *value),
            None => out.add(name, &[instance], *value),
        }
    }
    for (class, times) in ["read", "write"].into_iter().zip(times.chunks(RANGES + 1)) {
        let histogram = Histogram {
            bounds_micros: &TimesTaken::BOUNDS,
            counts: &times[..RANGES],
            sum_seconds: times[RANGES] as f64 / 1e9,
        };
        let name = "openpeta_gateway_statement_duration_seconds";
        out.add_histogram(name, &[instance, class], histogram);
    }
}

/// Shows databases. All that there are, used or not, are present in the bound already.
pub(super) fn add_databases(out: &mut Exposition, bound: &mut Bound, all: &[DatabaseTraffic<'_>]) {
    let mut sessions = 0;
    for its in all {
        let totals = database_totals(&its.counters);
        if bound.shows(&its.key) {
            add_database(
                out,
                [its.instance, its.database],
                &totals,
                its.counters.sessions,
            );
        } else {
            bound.add(&its.key, &totals);
            sessions += its.counters.sessions;
        }
    }
    if bound.has_others() {
        let totals = bound.others(DATABASE.len() + 2);
        add_database(out, [OTHER, OTHER], &totals, sessions);
    }
}

/// Counters, then nanoseconds of reads and of writes.
fn database_totals(counters: &DatabaseCounters) -> Vec<u64> {
    let mut totals: Vec<_> = DATABASE.iter().map(|(_, _, get)| get(counters)).collect();
    totals.push(nanos(counters.statements.read_time));
    totals.push(nanos(counters.statements.write_time));
    totals
}

fn add_database(
    out: &mut Exposition,
    [instance, database]: [&str; 2],
    totals: &[u64],
    sessions: u64,
) {
    out.add(
        "openpeta_database_sessions",
        &[instance, database],
        sessions,
    );
    let (counters, times) = totals.split_at(DATABASE.len());
    for ((name, class, _), value) in DATABASE.iter().zip(counters) {
        match class {
            Some(class) => out.add(name, &[instance, database, class], *value),
            None => out.add(name, &[instance, database], *value),
        }
    }
    for (class, nanos) in ["read", "write"].into_iter().zip(times) {
        out.add(
            DATABASE_TIME,
            &[instance, database, class],
            *nanos as f64 / 1e9,
        );
    }
}

fn reads(statements: &StatementCounters) -> u64 {
    statements.single_reads + statements.multi_reads
}

fn writes(statements: &StatementCounters) -> u64 {
    statements.single_writes + statements.multi_writes
}

fn nanos(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::exposition::Format;
    use crate::metrics::families::FAMILIES;

    fn counters(number: u64) -> InstanceCounters {
        let mut counters = InstanceCounters {
            sessions: 1,
            accepted: number,
            ..InstanceCounters::default()
        };
        counters.statements.single_reads = number;
        counters.statements.reads_by_time.counts[2] = number;
        counters
    }

    fn lines(bound: &mut Bound, ids: &[String]) -> Vec<String> {
        bound.present(ids.iter().map(String::as_str));
        let all: Vec<_> = ids
            .iter()
            .map(|id| InstanceTraffic {
                instance: id,
                counters: counters(10),
                limit: 100,
            })
            .collect();
        let mut out = Exposition::new(FAMILIES, Format::Prometheus);
        add_instances(&mut out, bound, &all);
        let text = out.text();
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn however_many_instances_there_are_the_series_are_not() {
        let ids: Vec<_> = (0..100).map(|number| format!("pd-{number:03}")).collect();
        let mut bound = Bound::new(5);
        let one = lines(&mut Bound::new(5), &ids[..1]).len();
        let found = lines(&mut bound, &ids);
        assert_eq!(found.len(), 6 * one);
        for line in [
            "openpeta_gateway_accepted_total{instance_id=\"pd-004\"} 10",
            "openpeta_gateway_accepted_total{instance_id=\"other\"} 950",
            "openpeta_gateway_sessions{instance_id=\"other\"} 95",
            "openpeta_gateway_sessions_limit{instance_id=\"other\"} 9500",
            "openpeta_gateway_statements_total{instance_id=\"other\",class=\"single_read\"} 950",
            "openpeta_gateway_statement_duration_seconds_bucket{instance_id=\"other\",class=\"read\",le=\"0.00025\"} 0",
            "openpeta_gateway_statement_duration_seconds_bucket{instance_id=\"other\",class=\"read\",le=\"0.0005\"} 950",
            "openpeta_gateway_statement_duration_seconds_count{instance_id=\"other\",class=\"read\"} 950",
        ] {
            assert!(
                found.iter().any(|found| found == line),
                "{line} in {found:#?}"
            );
        }
        // Those who go take nothing back.
        let found = lines(&mut bound, &ids[..6]);
        let line = "openpeta_gateway_accepted_total{instance_id=\"other\"} 950";
        assert!(found.iter().any(|found| found == line));
    }
}
