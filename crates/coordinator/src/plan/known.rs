//! Statements that are known to run on one node, by what they have in common: programs send the same few
//! over and over, with other values. What remains to be told is the partition of the key's value.

use std::sync::Arc;

use openpeta_sql_route::{Dialect, KeyValue, Lexer, Templates, Token, TokenKind};

use super::insert::{self, InsertPlan};
use super::text::Tokens;
use super::{Facts, Plan, modify, portable};
use crate::catalogue::{Catalogue, Table};
use crate::node::Plain;
use crate::topology::Topology;

/// Longer statements are not remembered, in bytes.
const LONGEST: usize = 512;

/// A statement that runs on the node of one value, as it is.
#[derive(Clone, Debug)]
pub struct Known {
    table: Arc<Table>,
    /// Which of the statement's values, or parameters, is the key's.
    pub value: usize,
    act: Act,
}

/// What a statement does with the row of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// It reads it.
    Read,
    /// It reads and locks it.
    Lock,
    /// It writes it.
    Write,
}

impl Act {
    /// Whether nobody may do it who only reads.
    #[must_use]
    pub fn writes(self) -> bool {
        self != Self::Read
    }
}

impl Known {
    /// Reads it off a statement whose plan is known, with placeholders for the values that may differ.
    #[must_use]
    pub fn of(
        statement: &[u8],
        plan: &Plan,
        catalogue: &Catalogue,
        topology: &Topology,
        facts: &Facts,
    ) -> Option<Self> {
        let (table, writes, needs) = match plan {
            Plan::Node {
                table,
                writes,
                needs,
                ..
            } => (table, *writes, needs),
            Plan::Insert(insert) if is_of_one_row(insert) => (&insert.table, true, &insert.needs),
            _ => return None,
        };
        if *needs != portable::Needs::default() {
            return None;
        }
        let tokens = Tokens::of(statement, facts.dialect);
        if tokens.has_executable || tokens.is_broken {
            return None;
        }
        let verb = tokens.verb();
        let act = match (writes, verb.as_str()) {
            (false, _) => Act::Read,
            (true, "SELECT") => Act::Lock,
            (true, _) => Act::Write,
        };
        let target = match verb.as_str() {
            "SELECT" => modify::plain_select(&tokens, catalogue, topology, facts),
            "UPDATE" | "DELETE" => modify::target(&tokens, catalogue, topology, facts).ok(),
            "INSERT" => {
                let (its, value) = insert::key_parameter(&tokens, catalogue, topology, facts)?;
                return Arc::ptr_eq(&its, table).then_some(Self {
                    table: its,
                    value,
                    act,
                });
            }
            _ => None,
        }?;
        let is_same = Arc::ptr_eq(&target.table, table);
        let value = target.parameter.filter(|_| is_same)?;
        Some(Self {
            table: Arc::clone(table),
            value,
            act,
        })
    }

    /// What is done when these tokens stand in the place of the key's value; `None` if that must be found
    /// out from the whole statement.
    #[must_use]
    pub fn plan(&self, value: &[Token<'_>], topology: &Topology, facts: &Facts) -> Option<Plan> {
        if self.act.writes() && facts.read_only {
            return None;
        }
        let value = self.table.key()?.value(value, 0, facts.dialect)?;
        let spot = self.spot(&value, topology, facts)?;
        Some(Plan::Node {
            node: spot.node,
            writes: self.act.writes(),
            table: Arc::clone(&self.table),
            partitions: Some(vec![spot.partition]),
            needs: portable::Needs::default(),
        })
    }

    fn spot(&self, value: &KeyValue<'_>, topology: &Topology, facts: &Facts) -> Option<Spot<'_>> {
        if !facts.is_exact(value) {
            return None;
        }
        let partitions = topology.partitions(&self.table.schema)?;
        let partition = self.table.key()?.partition(value, partitions)?;
        Some(Spot {
            node: topology.node_of(&self.table.schema, partition)?,
            table: &self.table,
            partition,
            of: partitions.count(),
            act: self.act,
        })
    }

    /// Where the row is when this token is the key's value.
    #[must_use]
    pub fn spot_of(
        &self,
        value: &Token<'_>,
        topology: &Topology,
        facts: &Facts,
    ) -> Option<Spot<'_>> {
        let key = self.table.key()?;
        let value = key.value(std::slice::from_ref(value), 0, facts.dialect)?;
        self.spot(&value, topology, facts)
    }

    /// As [`Self::spot_of`], for the value of a parameter.
    #[must_use]
    pub fn spot_of_plain(
        &self,
        value: Plain<'_>,
        topology: &Topology,
        facts: &Facts,
    ) -> Option<Spot<'_>> {
        let key = self.table.key()?;
        let value = match value {
            Plain::Integer(number) => key.integer(number)?,
            Plain::Text(text) => key.text(text)?,
        };
        self.spot(&value, topology, facts)
    }
}

/// Where the row of one value is.
#[derive(Clone, Copy, Debug)]
pub struct Spot<'k> {
    /// The node.
    pub node: u16,
    /// The table.
    pub table: &'k Arc<Table>,
    /// The partition.
    pub partition: u16,
    /// How many partitions the database has.
    pub of: u16,
    /// What is done there.
    pub act: Act,
}

/// Whether it may be an `INSERT` that its row's node runs as it is.
fn is_of_one_row(insert: &InsertPlan) -> bool {
    insert.len() == 1
        && insert.table.auto_increment.is_none()
        && !(insert.replace || insert.ignore || insert.updates || insert.returning)
}

/// The statements of a session that are known, as long as nothing changes that they depend on.
#[derive(Debug, Default)]
pub struct KnownStatements {
    templates: Templates<Known>,
    of: Option<(Arc<Catalogue>, Arc<Topology>)>,
}

impl KnownStatements {
    /// Forgets all of them, as the facts have changed.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn is_of(&self, catalogue: &Arc<Catalogue>, topology: &Arc<Topology>) -> bool {
        self.of
            .as_ref()
            .is_some_and(|of| Arc::ptr_eq(&of.0, catalogue) && Arc::ptr_eq(&of.1, topology))
    }

    /// The plan of a statement that is known.
    #[must_use]
    pub fn find(
        &self,
        statement: &[u8],
        catalogue: &Arc<Catalogue>,
        topology: &Arc<Topology>,
        facts: &Facts,
    ) -> Option<Plan> {
        if !self.is_of(catalogue, topology) {
            return None;
        }
        let (known, token) = self
            .templates
            .find_value(statement, facts.dialect, |known| known.value)?;
        known.plan(&[token], topology, facts)
    }

    /// Where the row of a statement is that is known.
    #[must_use]
    pub fn spot(
        &self,
        statement: &[u8],
        catalogue: &Arc<Catalogue>,
        topology: &Arc<Topology>,
        facts: &Facts,
    ) -> Option<Spot<'_>> {
        if !self.is_of(catalogue, topology) {
            return None;
        }
        let (known, token) = self
            .templates
            .find_value(statement, facts.dialect, |known| known.value)?;
        known.spot_of(&token, topology, facts)
    }

    /// Takes note of a statement's plan, if others like it will have such a plan.
    pub fn learn(
        &mut self,
        statement: &[u8],
        plan: &Plan,
        catalogue: &Arc<Catalogue>,
        topology: &Arc<Topology>,
        facts: &Facts,
    ) {
        let may_be = match plan {
            Plan::Node { .. } => true,
            Plan::Insert(insert) => is_of_one_row(insert),
            _ => false,
        };
        if !may_be || statement.len() > LONGEST {
            return;
        }
        if !self.is_of(catalogue, topology) {
            self.clear();
            self.of = Some((Arc::clone(catalogue), Arc::clone(topology)));
        }
        let Some(general) = self.general(statement, facts.dialect) else {
            return;
        };
        if let Some(known) = Known::of(&general, plan, catalogue, topology, facts) {
            self.templates.remember(statement, facts.dialect, known);
        }
    }

    /// A statement with placeholders for the values that may differ; `None` if it cannot be remembered.
    fn general(&mut self, statement: &[u8], dialect: Dialect) -> Option<Vec<u8>> {
        let mut general = Vec::with_capacity(statement.len());
        let mut end = 0;
        self.templates.begin();
        for token in Lexer::new(statement, dialect) {
            end += token.text.len();
            if token.kind == TokenKind::Placeholder {
                return None;
            }
            match self.templates.push(&token, end) {
                true => general.push(b'?'),
                false => general.extend_from_slice(token.text),
            }
        }
        Some(general)
    }
}

#[cfg(test)]
mod tests {
    use openpeta_sql_route::Partitions;

    use super::*;
    use crate::plan::plan;
    use crate::plan::tests::{catalogue, facts, topology};

    /// Whether a statement is known once another was planned, and its plan then is what it is without.
    #[track_caller]
    fn known(learnt: &str, asked: &str) -> bool {
        let (catalogue, topology) = (Arc::new(catalogue()), Arc::new(topology()));
        let facts = facts();
        let mut statements = KnownStatements::default();
        let first = plan(learnt.as_bytes(), &catalogue, &topology, &facts);
        statements.learn(learnt.as_bytes(), &first, &catalogue, &topology, &facts);
        let found = statements.find(asked.as_bytes(), &catalogue, &topology, &facts);
        if let Some(found) = &found {
            let whole = plan(asked.as_bytes(), &catalogue, &topology, &facts);
            assert_eq!(format!("{found:?}"), format!("{whole:?}"), "{asked}");
        }
        let spot = statements.spot(asked.as_bytes(), &catalogue, &topology, &facts);
        let spot = spot.map(|it| (it.node, Some(vec![it.partition]), it.act.writes()));
        let of_plan = found.as_ref().and_then(|found| match found {
            Plan::Node {
                node,
                partitions,
                writes,
                ..
            } => Some((*node, partitions.clone(), *writes)),
            _ => None,
        });
        assert_eq!(spot, of_plan, "{asked}");
        let others = Arc::new(Catalogue::clone(&catalogue));
        assert!(
            statements
                .find(asked.as_bytes(), &others, &topology, &facts)
                .is_none()
        );
        found.is_some()
    }

    #[test]
    fn statements_by_key_are_known_again_with_other_values() {
        for number in [0, 1, 2, 3, 7, 15, 16, 99_999] {
            for (learnt, asked) in [
                ("SELECT v FROM t WHERE k=5", "SELECT v FROM t WHERE k=#"),
                (
                    "SELECT v FROM t WHERE v = 'a' AND 7 = k LIMIT 3",
                    "SELECT v FROM t WHERE v = 'it' AND # = k LIMIT 17",
                ),
                (
                    "UPDATE t SET v='x' WHERE k IN (4) AND v<>9",
                    "UPDATE t SET v='#' WHERE k IN (#) AND v<>1",
                ),
                ("DELETE FROM t WHERE k='12'", "DELETE FROM t WHERE k='#'"),
                (
                    "SELECT v FROM t WHERE k=5 FOR UPDATE",
                    "SELECT v FROM t WHERE k=# FOR UPDATE",
                ),
            ] {
                let asked = asked.replace('#', &number.to_string());
                assert!(known(learnt, &asked), "{asked}");
            }
        }
    }

    #[test]
    fn nothing_else_is_taken_for_known() {
        let learnt = "SELECT v FROM t WHERE k=5";
        for asked in [
            "SELECT v FROM t WHERE k=-5",
            "SELECT v FROM t WHERE k=5 OR 1",
            "SELECT v FROM t WHERE k=5.0",
            "SELECT v FROM t WHERE k=99999999999999999999",
            "SELECT v FROM t WHERE k=5; DELETE FROM t",
            "SELECT v FROM t WHERE v=5",
        ] {
            assert!(!known(learnt, asked), "{asked}");
        }
        for learnt in [
            "SELECT v FROM t WHERE k=-5",
            "SELECT v FROM t WHERE k IN (5, 5)",
            "SELECT v FROM t WHERE v=5",
            "SELECT @a FROM t WHERE k=5",
            "SELECT /*!50000 v */ FROM t WHERE k=5",
        ] {
            assert!(!known(learnt, learnt), "{learnt}");
        }
        // What is stored is not what is written there.
        assert!(!known(
            "DELETE FROM t WHERE k='12'",
            "DELETE FROM t WHERE k=' 12'"
        ));
    }

    #[test]
    fn inserts_of_one_row_are_known_again_with_other_values() {
        let (catalogue, topology, facts) = (Arc::new(catalogue()), Arc::new(topology()), facts());
        // Where the row of a statement goes once another was planned; `None` if that is not known.
        let node = |learnt: &str, asked: &str| {
            let mut statements = KnownStatements::default();
            let first = plan(learnt.as_bytes(), &catalogue, &topology, &facts);
            statements.learn(learnt.as_bytes(), &first, &catalogue, &topology, &facts);
            match statements.find(asked.as_bytes(), &catalogue, &topology, &facts)? {
                Plan::Node {
                    node,
                    writes: true,
                    partitions,
                    ..
                } => Some((node, partitions)),
                other => panic!("{other:?}"),
            }
        };
        for number in [0, 1, 2, 3, 7, 15, 16, 99_999] {
            for (learnt, asked) in [
                ("INSERT INTO t VALUES (5, 7)", "INSERT INTO t VALUES (#, 8)"),
                (
                    "INSERT t (v, k) VALUE (1, '5')",
                    "INSERT t (v, k) VALUE (2, '#')",
                ),
                (
                    "INSERT INTO s.t (k) VALUES (4)",
                    "INSERT INTO s.t (k) VALUES (#)",
                ),
            ] {
                let asked = asked.replace('#', &number.to_string());
                let whole = plan(asked.as_bytes(), &catalogue, &topology, &facts);
                let Plan::Insert(whole) = whole else {
                    panic!("{whole:?}");
                };
                let parts = whole.parts(0, &topology);
                let partitions = parts[0].partitions.keys().copied().collect();
                let expected = Some((parts[0].node, Some(partitions)));
                assert_eq!(node(learnt, &asked), expected, "{asked}");
            }
        }
        for learnt in [
            "INSERT INTO t VALUES (5, 7), (6, 7)",
            "INSERT INTO t VALUES (-5, 7)",
            "INSERT INTO t VALUES (5, @v)",
            "INSERT INTO t VALUES (5, LAST_INSERT_ID())",
            "INSERT IGNORE INTO t VALUES (5, 7)",
            "INSERT INTO t VALUES (5, 7) ON DUPLICATE KEY UPDATE v = 1",
            "INSERT INTO t VALUES (5, 7) RETURNING v",
            "INSERT INTO t SET k = 5, v = 7",
            "REPLACE INTO t VALUES (5, 7)",
            "INSERT INTO ids VALUES (5, 7)",
            "INSERT INTO b VALUES (5, 7)",
        ] {
            assert_eq!(node(learnt, learnt), None, "{learnt}");
        }
        for asked in [
            "INSERT INTO t VALUES (99999999999999999999, 7)",
            "INSERT INTO t VALUES (5.0, 7)",
            "INSERT INTO t VALUES (' 5', 7)",
            "INSERT INTO t VALUES (5, 7), (6, 8)",
        ] {
            assert_eq!(node("INSERT INTO t VALUES (5, 7)", asked), None, "{asked}");
        }
    }

    #[test]
    fn a_write_is_refused_in_a_transaction_that_only_reads() {
        let (catalogue, topology) = (Arc::new(catalogue()), Arc::new(topology()));
        let mut facts = facts();
        let mut statements = KnownStatements::default();
        let text = b"UPDATE t SET v='x' WHERE k=4";
        let first = plan(text, &catalogue, &topology, &facts);
        statements.learn(text, &first, &catalogue, &topology, &facts);
        assert!(
            statements
                .find(text, &catalogue, &topology, &facts)
                .is_some()
        );
        facts.in_transaction = true;
        facts.read_only = true;
        assert!(
            statements
                .find(text, &catalogue, &topology, &facts)
                .is_none()
        );
    }

    #[test]
    fn the_parameter_of_a_prepared_statement_is_known() {
        let (catalogue, topology, facts) = (catalogue(), topology(), facts());
        let prepared = b"SELECT v FROM t WHERE v = ? AND k = ?";
        let literal = b"SELECT v FROM t WHERE v = 'a' AND k = 3";
        let planned = plan(literal, &catalogue, &topology, &facts);
        let known = Known::of(prepared, &planned, &catalogue, &topology, &facts).expect("known");
        assert_eq!(known.value, 1);
        let partitions = topology.partitions("s").expect("spread");
        let count = Partitions::count(partitions);
        for number in 0..2 * i64::from(count) {
            let text = number.to_string();
            let tokens: Vec<_> = Lexer::new(text.as_bytes(), facts.dialect).collect();
            let found = known.plan(&tokens, &topology, &facts).expect("a plan");
            let literal = format!("SELECT v FROM t WHERE v = 'a' AND k = {number}");
            let whole = plan(literal.as_bytes(), &catalogue, &topology, &facts);
            assert_eq!(format!("{found:?}"), format!("{whole:?}"));
            let spot = known.spot_of_plain(Plain::Integer(number.into()), &topology, &facts);
            let spot = spot.map(|it| (it.node, Some(vec![it.partition]), it.of));
            let Plan::Node {
                node, partitions, ..
            } = whole
            else {
                panic!("{whole:?}");
            };
            assert_eq!(spot, Some((node, partitions, count)));
        }
    }
}
