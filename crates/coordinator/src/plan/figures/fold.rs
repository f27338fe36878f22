//! The figures of a table out of those of the nodes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Kind;
use crate::catalogue::{Table, told_options};
use crate::topology::Topology;

/// Of some rows of a table of `information_schema`, what the columns with figures have to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// What tells the rows from others.
    pub keys: Vec<String>,
    /// Of each row the values.
    pub values: Vec<Vec<Option<String>>>,
}

/// What nodes have answered to [`Kind::question`].
pub type Answers = Vec<(u16, Vec<Vec<Option<String>>>)>;

/// What is known of the id that a table gives next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextId {
    /// It is this one.
    Is(u64),
    /// No less; none of those that its nodes have seen.
    AtLeast(u64),
}

/// Puts the answers of nodes together.
#[must_use]
pub fn fold(
    kind: Kind,
    tables: &[Arc<Table>],
    answers: &Answers,
    ids: &HashMap<(String, String), NextId>,
) -> Figures {
    match kind.asked_of() {
        Kind::Statistics => indexes(tables, answers),
        _ => of_tables(tables, answers, ids),
    }
}

fn number(value: Option<&Option<String>>) -> Option<u64> {
    value?.as_ref()?.parse().ok()
}

fn sum(values: impl Iterator<Item = Option<u64>>) -> Option<u64> {
    values.flatten().reduce(u64::saturating_add)
}

fn text(value: Option<&Option<String>>) -> Option<&str> {
    value?.as_deref()
}

fn of_tables(
    tables: &[Arc<Table>],
    answers: &Answers,
    ids: &HashMap<(String, String), NextId>,
) -> Figures {
    let mut figures = Figures::default();
    for table in tables {
        let is_it = |row: &&Vec<Option<String>>| {
            text(row.first()) == Some(&table.schema) && text(row.get(1)) == Some(&table.name)
        };
        let rows = answers
            .iter()
            .filter_map(|(node, rows)| Some((*node, rows.iter().find(is_it)?)));
        let all: Vec<_> = rows.collect();
        let Some((_, own)) = all.iter().find(|(node, _)| *node == Topology::HOME) else {
            // The session is not to know of it.
            continue;
        };
        let has_parts = table.key().is_some();
        let parts = all
            .iter()
            .filter(|(node, _)| has_parts || *node == Topology::HOME);
        let parts: Vec<_> = parts.map(|(_, row)| *row).collect();
        let of = |at: usize| sum(parts.iter().map(|row| number(row.get(at))));
        let (count, data) = (of(2), of(3));
        let average = count
            .zip(data)
            .map(|(count, data)| data.checked_div(count).unwrap_or(0));
        let updated = parts.iter().filter_map(|row| text(row.get(7))).max();
        let greatest = all.iter().filter_map(|(_, row)| number(row.get(6))).max();
        let name = (table.schema.clone(), table.name.clone());
        let next = match ids.get(&name) {
            Some(NextId::Is(next)) => Some(*next),
            Some(NextId::AtLeast(next)) => greatest.max(Some(*next)),
            None => greatest,
        };
        let next = table.auto_increment.and(next);
        let options = text(own.get(8)).map(|options| told_options(options, &table.distribution));
        let numbers = [count, average, data, of(4), of(5), next];
        let numbers = numbers.into_iter().map(|it| it.map(|it| it.to_string()));
        figures
            .keys
            .push(format!("{}/{}", table.schema, table.name));
        let others = [updated.map(str::to_owned), options];
        figures.values.push(numbers.chain(others).collect());
    }
    figures
}

/// Of a row of an index: its name, its place in it, its column, how many values there are.
type Column = (String, u64, String, u64);

fn indexes(tables: &[Arc<Table>], answers: &Answers) -> Figures {
    let mut figures = Figures::default();
    for table in tables {
        let Some(key) = table.key() else { continue };
        let column = |row: &Vec<Option<String>>| -> Option<Column> {
            let is_of_table = text(row.first())? == table.schema && text(row.get(1))? == table.name;
            is_of_table.then_some(())?;
            Some((
                text(row.get(2))?.to_owned(),
                number(row.get(3))?,
                text(row.get(4))?.to_owned(),
                number(row.get(5))?,
            ))
        };
        let nodes = answers.iter().map(|(node, rows)| {
            let columns: Vec<_> = rows.iter().filter_map(column).collect();
            (*node, columns)
        });
        let nodes: Vec<_> = nodes.collect();
        let most = |columns: &[Column]| columns.iter().map(|column| column.3).max().unwrap_or(0);
        let rows: u64 = nodes.iter().map(|(_, columns)| most(columns)).sum();
        let mut parts: BTreeMap<(&str, u64), Vec<u64>> = BTreeMap::new();
        for (index, place, _, values) in nodes.iter().flat_map(|(_, columns)| columns) {
            parts.entry((index, *place)).or_default().push(*values);
        }
        let own = nodes.iter().find(|(node, _)| *node == Topology::HOME);
        let mut own: Vec<&Column> = own.iter().flat_map(|(_, columns)| columns).collect();
        own.sort_by_key(|(index, place, ..)| (index, *place));
        let mut is_apart = false;
        for (index, place, name, _) in own {
            is_apart = (is_apart && *place > 1) || name.eq_ignore_ascii_case(&key.name);
            let parts = parts.get(&(&**index, *place));
            let values = cardinality(parts.map_or(&[], Vec::as_slice), rows, is_apart);
            let told = format!("{}/{}/{place}/{index}", table.schema, table.name);
            figures.keys.push(told);
            figures.values.push(vec![Some(values.to_string())]);
        }
    }
    figures
}

/// How many values there are, of those that nodes have. A value of the distribution column is on one node alone;
/// another one may be on several: the fewer rows there are with the same value, the fewer are.
fn cardinality(parts: &[u64], rows: u64, is_apart: bool) -> u64 {
    let sum = parts
        .iter()
        .fold(0_u64, |sum, part| sum.saturating_add(*part));
    if is_apart || rows == 0 {
        return sum;
    }
    let most = parts.iter().copied().max().unwrap_or(0);
    let (share, rows) = (u128::from(sum.min(rows)), u128::from(rows));
    let others = u128::from(sum - most) * share / rows * share / rows;
    most.saturating_add(u64::try_from(others).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use openpeta_sql_route::{KeyColumn, KeyType};

    use super::*;
    use crate::catalogue::{Catalogue, Distribution};

    fn table(name: &str, is_hashed: bool) -> Arc<Table> {
        let key = KeyColumn {
            name: "id".into(),
            position: 0,
            kind: KeyType::Integer { min: 0, max: 9 },
        };
        let table = Table {
            schema: "shop".into(),
            name: name.into(),
            distribution: match is_hashed {
                true => Distribution::Hash(key),
                false => Distribution::Broadcast,
            },
            columns: Vec::new(),
            auto_increment: Some(0),
            primary_key: Vec::new(),
            has_triggers: false,
            has_foreign_keys: false,
            engine: "InnoDB".into(),
            definition: String::new(),
        };
        let catalogue = Catalogue::of_tables([table]);
        Arc::clone(catalogue.table("shop", name).expect("it is there"))
    }

    fn row(values: &str) -> Vec<Option<String>> {
        let value = |it: &str| (it != "NULL").then(|| it.to_owned());
        values.split('|').map(value).collect()
    }

    #[test]
    fn rows_and_bytes_are_added() {
        let answers = vec![
            (
                0,
                vec![row(
                    "shop|t|10|1000|16|5|31|2026-01-02 00:00:00|row_format=COMPRESSED `distribute_by`='HASH(id)'",
                )],
            ),
            (
                1,
                vec![row("shop|t|20|500|16|NULL|47|2026-01-03 00:00:00|")],
            ),
            (2, vec![row("shop|t|0|16|0|0|1|NULL|")]),
        ];
        let ids = HashMap::new();
        let figures = fold(Kind::Partitions, &[table("t", true)], &answers, &ids);
        assert_eq!(figures.keys, ["shop/t"]);
        let told = row(
            "30|50|1516|32|5|47|2026-01-03 00:00:00|row_format=COMPRESSED DISTRIBUTE BY HASH(`id`)",
        );
        assert_eq!(figures.values, [told]);
        // Each node has all of it.
        let figures = fold(Kind::Tables, &[table("t", false)], &answers, &ids);
        assert_eq!(figures.values[0][..6], row("10|100|1000|16|5|47"));
        let of = |next| HashMap::from([(("shop".to_owned(), "t".to_owned()), next)]);
        let next = |next| {
            let figures = fold(Kind::Tables, &[table("t", true)], &answers, &of(next));
            figures.values[0][5].clone()
        };
        assert_eq!(next(NextId::Is(12)).as_deref(), Some("12"));
        assert_eq!(next(NextId::AtLeast(12)).as_deref(), Some("47"));
        assert_eq!(next(NextId::AtLeast(101)).as_deref(), Some("101"));
        // Of what home does not show nothing is told.
        let figures = fold(
            Kind::Tables,
            &[table("t", true)],
            &answers[1..].to_vec(),
            &ids,
        );
        assert_eq!(figures, Figures::default());
    }

    #[test]
    fn values_on_several_nodes_are_not_counted_twice() {
        let answer = |first: &str, kind: &str, mail: &str| {
            vec![
                row(&format!("shop|t|PRIMARY|1|id|{first}")),
                row(&format!("shop|t|by_kind|1|kind|{kind}")),
                row(&format!("shop|t|by_kind|2|id|{first}")),
                row(&format!("shop|t|by_mail|1|mail|{mail}")),
            ]
        };
        let answers = vec![
            (0, answer("1000", "3", "1000")),
            (1, answer("2000", "3", "2000")),
        ];
        let figures = fold(
            Kind::Statistics,
            &[table("t", true)],
            &answers,
            &HashMap::new(),
        );
        let told: Vec<_> = figures
            .keys
            .iter()
            .zip(&figures.values)
            .map(|(key, value)| (&key[..], value[0].as_deref().unwrap_or_default()))
            .collect();
        assert_eq!(
            told,
            [
                ("shop/t/1/PRIMARY", "3000"),
                ("shop/t/1/by_kind", "3"),
                ("shop/t/2/by_kind", "3000"),
                ("shop/t/1/by_mail", "3000"),
            ]
        );
    }
}
