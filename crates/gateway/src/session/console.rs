//! Statements about the gateway, which it answers itself: `SHOW OPENPETA …`, `EXPLAIN ROUTE …`.

use std::collections::BTreeSet;

use openpeta_mysql_wire::command::COM_QUERY;
use openpeta_mysql_wire::{Capabilities, ErrPacket, HEADER_LEN, Status, put_text_result_set};
use openpeta_sql_route::{Dialect, Lexer, StatementClass, StatementReader, Token, table_databases};
use openpeta_types::route::Sharding;

use super::login::CLIENT_LIMIT;
use super::{Outbox, Shared, refusal};
use crate::counters::{InstanceCounters, Meter};

/// What such statements begin with.
const BEGINNINGS: [&[u8]; 2] = [b"SHOW OPENPETA ", b"EXPLAIN ROUTE "];
/// Digests that are shown unless the statement says how many.
const DIGESTS: usize = 20;

/// Whether a command begins `data` that the gateway answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begins {
    Yes,
    No,
    /// More bytes will tell.
    Perhaps,
}

/// Looks at the beginning of a command.
#[inline]
pub(super) fn begins(data: &[u8]) -> Begins {
    match data {
        // The first two letters tell almost all others apart.
        [_, _, _, _, COM_QUERY, b'S' | b's', b'H' | b'h', ..]
        | [_, _, _, _, COM_QUERY, b'E' | b'e', b'X' | b'x', ..] => begins_with(data),
        [_, _, _, _, COM_QUERY] | [_, _, _, _, COM_QUERY, b'S' | b's' | b'E' | b'e'] => {
            begins_with(data)
        }
        _ => Begins::No,
    }
}

/// Whether the statement that begins `data` is one that the coordinator of an instance with several nodes
/// answers: only it knows where rows are. `None` if more bytes will tell.
#[cold]
pub(super) fn is_about_routes(data: &[u8]) -> Option<bool> {
    let [a, b, c, _, COM_QUERY, text @ ..] = data else {
        return Some(false);
    };
    if matches!(text.first(), Some(b'E' | b'e')) {
        return Some(true);
    }
    let len = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
    let behind = BEGINNINGS[0].len();
    match text.get(behind) {
        // PARTITIONS: none of the others begins so.
        Some(byte) => Some(byte.eq_ignore_ascii_case(&b'P')),
        None => (len <= behind + 1).then_some(false),
    }
}

#[cold]
fn begins_with(data: &[u8]) -> Begins {
    let [a, b, c, _, _, text @ ..] = data else {
        return Begins::No;
    };
    let len = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
    for beginning in BEGINNINGS {
        if len <= beginning.len() || len > CLIENT_LIMIT - HEADER_LEN {
            continue;
        }
        let there = text.len().min(beginning.len());
        if text[..there].eq_ignore_ascii_case(&beginning[..there]) {
            return if there == beginning.len() {
                Begins::Yes
            } else {
                Begins::Perhaps
            };
        }
    }
    Begins::No
}

type Row = Vec<Option<String>>;

/// Answers a statement whose payload begins with COM_QUERY. Returns whether that was an error.
pub(super) fn answer(
    shared: &Shared,
    payload: &[u8],
    capabilities: Capabilities,
    status: Status,
    out: &mut Outbox,
) -> bool {
    let text = payload.get(1..).unwrap_or_default();
    match run(shared, text) {
        Ok((columns, rows)) => {
            // What the node said last may be of a reply with more results.
            let status = Status(status.0 & (Status::IN_TRANS.0 | Status::AUTOCOMMIT.0));
            put_text_result_set(&mut out.to_client, 1, capabilities, status, columns, &rows);
            false
        }
        Err(error) => {
            refusal::put_error(&mut out.to_client, 1, &error);
            true
        }
    }
}

fn run(shared: &Shared, text: &[u8]) -> Result<(&'static [&'static str], Vec<Row>), ErrPacket> {
    let account = shared.account.as_deref().unwrap_or_default();
    if !shared.params.route.super_accounts.contains(account) {
        return Err(ErrPacket::new(
            1227,
            b"42000",
            "Access denied; you need (at least one of) the SUPER privilege(s) for this operation",
        ));
    }
    let meter = shared.statements.meter();
    let dialect = shared.statements.dialect();
    let explained = BEGINNINGS[1].len();
    if text[..explained.min(text.len())].eq_ignore_ascii_case(BEGINNINGS[1]) {
        return Ok((EXPLAIN, explain(shared, meter, &text[explained..], dialect)));
    }
    let mut lexer = Lexer::new(&text[BEGINNINGS[0].len()..], dialect);
    let mut words: Vec<Token<'_>> = Vec::new();
    while let Some(token) = lexer.next_significant() {
        words.push(token);
    }
    if words.last().is_some_and(|token| token.is_symbol(";")) {
        words.pop();
    }
    match &words[..] {
        [word] if word.is_word("STATUS") => Ok((STATUS, status_rows(meter))),
        [word] if word.is_word("SESSIONS") => Ok((SESSIONS, session_rows(meter))),
        [word] if word.is_word("ROUTE") => Ok((STATUS, route_rows(shared))),
        // Where there are several nodes the coordinator tells of them.
        [word, ..] if word.is_word("PARTITIONS") => Ok((PARTITIONS, Vec::new())),
        [word] if word.is_word("DIGESTS") => Ok((DIGEST, digest_rows(meter, DIGESTS))),
        [word, limit, count] if word.is_word("DIGESTS") && limit.is_word("LIMIT") => {
            let count = str::from_utf8(count.text).ok().and_then(|n| n.parse().ok());
            let count = count.ok_or_else(syntax_error)?;
            Ok((DIGEST, digest_rows(meter, count)))
        }
        _ => Err(syntax_error()),
    }
}

fn syntax_error() -> ErrPacket {
    ErrPacket::new(
        1064,
        b"42000",
        "You have an error in your SQL syntax; the gateway knows SHOW OPENPETA STATUS, SESSIONS, \
         DIGESTS [LIMIT n], ROUTE, PARTITIONS [COUNT], and EXPLAIN ROUTE statement",
    )
}

const PARTITIONS: &[&str] = &[
    "Database",
    "Table",
    "Partition",
    "Node",
    "Rows",
    "Bytes",
    "Counted",
    "Partition_reads_per_second",
    "Partition_writes_per_second",
];
const STATUS: &[&str] = &["Variable_name", "Value"];

fn status_rows(meter: &Meter) -> Vec<Row> {
    let InstanceCounters {
        commands,
        errors,
        bytes_in,
        bytes_out,
        statements: s,
        ..
    } = meter.total();
    let micros = |time: std::time::Duration| time.as_micros() as u64;
    let row = |(name, value): (&str, u64)| vec![Some(name.to_owned()), Some(value.to_string())];
    [
        ("Sessions", meter.sessions().len() as u64),
        ("Commands", commands),
        ("Errors", errors),
        ("Bytes_in", bytes_in),
        ("Bytes_out", bytes_out),
        ("Statements", s.queries()),
        ("Statements_finished", s.finished),
        ("Statements_failed", s.failed),
        ("Set", s.set),
        ("Single_partition_reads", s.single_reads),
        ("Multi_partition_reads", s.multi_reads),
        ("Single_partition_writes", s.single_writes),
        ("Multi_partition_writes", s.multi_writes),
        ("Begin", s.begins),
        ("Commit", s.commits),
        ("Rollback", s.rollbacks),
        ("Other_transaction", s.other_transaction),
        ("Other", s.other),
        ("Read_time_us", micros(s.read_time)),
        ("Longest_read_us", micros(s.longest_read)),
        ("Write_time_us", micros(s.write_time)),
        ("Longest_write_us", micros(s.longest_write)),
    ]
    .into_iter()
    .map(row)
    .collect()
}

const SESSIONS: &[&str] = &[
    "Id", "Account", "Client", "Database", "Tls", "Commands", "Told_id",
];

fn session_rows(meter: &Meter) -> Vec<Row> {
    let rows = meter.sessions().into_iter().map(|session| {
        vec![
            Some(session.thread_id.to_string()),
            Some(session.account),
            Some(session.client.to_string()),
            (!session.database.is_empty()).then_some(session.database),
            Some(if session.encrypted { "YES" } else { "NO" }.to_owned()),
            Some(session.commands.to_string()),
            Some(session.told_id.to_string()),
        ]
    });
    rows.collect()
}

const DIGEST: &[&str] = &[
    "Digest",
    "Count",
    "Errors",
    "Rows_sent",
    "Rows_affected",
    "Total_us",
    "Min_us",
    "P50_us",
    "P95_us",
    "P99_us",
    "Max_us",
    "Statement",
];

fn digest_rows(meter: &Meter, count: usize) -> Vec<Row> {
    let rows = meter.digests().into_iter().take(count).map(|digest| {
        let numbers = [
            digest.count,
            digest.errors,
            digest.rows_sent,
            digest.rows_affected,
        ];
        let times = [
            digest.total_time,
            digest.shortest,
            digest.p50,
            digest.p95,
            digest.p99,
            digest.longest,
        ];
        let times = times.into_iter().map(|time| time.as_micros() as u64);
        let numbers = numbers.into_iter().chain(times);
        let mut row = vec![Some(format!("{:016x}", digest.digest))];
        row.extend(numbers.map(|number| Some(number.to_string())));
        // All the kinds that are not kept have none.
        row.push((digest.digest != 0).then_some(digest.text));
        row
    });
    rows.collect()
}

fn route_rows(shared: &Shared) -> Vec<Row> {
    let route = &shared.params.route;
    let row = |(name, value): (&str, Option<String>)| vec![Some(name.to_owned()), value];
    [
        ("Instance", Some(route.instance_id.to_string())),
        ("Endpoint", Some(shared.params.endpoint.to_string())),
        ("Node", Some(node(shared))),
        ("Partitioning", Some(partitioning(route.sharding.as_ref()))),
        ("Max_connections", Some(route.max_connections.to_string())),
        ("Write_lock", route.write_lock.clone()),
    ]
    .into_iter()
    .map(row)
    .collect()
}

/// How the rows of databases are spread over nodes.
fn partitioning(sharding: Option<&Sharding>) -> String {
    let Some(sharding) = sharding else {
        return "none: each database is whole on the node".to_owned();
    };
    let databases = sharding.databases.iter().map(|(name, partitions)| {
        let nodes: BTreeSet<u16> = partitions.iter().copied().collect();
        let (partitions, nodes) = (partitions.len(), nodes.len());
        format!("{name}: {partitions} partitions on {nodes} nodes")
    });
    let spread: Vec<String> = databases.collect();
    format!("{}; others are whole on the node", spread.join(", "))
}

/// The node's directory is called as it is.
fn node(shared: &Shared) -> String {
    let directory = shared.params.route.node_socket.parent();
    let name = directory.and_then(|directory| directory.file_name());
    name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
}

const EXPLAIN: &[&str] = &["Class", "Databases", "Node", "Reason"];

/// A row for each statement of the text.
fn explain(shared: &Shared, meter: &Meter, text: &[u8], dialect: Dialect) -> Vec<Row> {
    let mut reader = StatementReader::new(dialect);
    let mut rows = Vec::new();
    let mut begin = 0;
    let mut lexer = Lexer::new(text, dialect);
    let current = String::from_utf8_lossy(meter.database()).into_owned();
    loop {
        let token = lexer.next();
        let ended = match &token {
            Some(token) => reader.push(token),
            None => reader.end(),
        };
        if let Some(statement) = ended {
            let end = lexer.position();
            let databases = table_databases(&text[begin..end], &current, dialect);
            begin = end;
            rows.push(vec![
                Some(class_name(statement.class).to_owned()),
                (!databases.is_empty()).then(|| databases.join(", ")),
                Some(node(shared)),
                Some("all databases of the instance are whole on this node".to_owned()),
            ]);
        }
        if token.is_none() {
            return rows;
        }
    }
}

const fn class_name(class: StatementClass) -> &'static str {
    match class {
        StatementClass::Read => "single-partition read",
        StatementClass::Write => "single-partition write",
        StatementClass::Set => "set",
        StatementClass::Begin => "begin",
        StatementClass::Commit => "commit",
        StatementClass::Rollback => "rollback",
        StatementClass::OtherTransaction => "other transaction statement",
        StatementClass::Other => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_and_routes_are_the_coordinators() {
        let command = |text: &str| {
            let mut data = vec![
                u8::try_from(text.len() + 1).expect("short"),
                0,
                0,
                0,
                COM_QUERY,
            ];
            data.extend_from_slice(text.as_bytes());
            data
        };
        let told = |text| is_about_routes(&command(text));
        assert_eq!(told("EXPLAIN ROUTE SELECT 1"), Some(true));
        assert_eq!(told("show openpeta partitions"), Some(true));
        assert_eq!(told("SHOW OPENPETA STATUS"), Some(false));
        assert_eq!(told("SHOW OPENPETA "), Some(false));
        let whole = command("SHOW OPENPETA PARTITIONS");
        for cut in 6..whole.len() {
            let expected = (cut > 5 + BEGINNINGS[0].len()).then_some(true);
            assert_eq!(is_about_routes(&whole[..cut]), expected, "{cut}");
        }
    }

    #[test]
    fn partitioning_names_what_is_spread() {
        assert!(partitioning(None).starts_with("none"));
        let sharding = Sharding {
            coordinator_socket: "/nowhere".into(),
            nodes: vec!["/node0".into(), "/node1".into()],
            databases: [("shop".to_owned(), vec![0, 1, 0, 1])].into(),
            foreign: Default::default(),
            moving: Default::default(),
        };
        let told = partitioning(Some(&sharding));
        assert_eq!(
            told,
            "shop: 4 partitions on 2 nodes; others are whole on the node"
        );
    }
}
