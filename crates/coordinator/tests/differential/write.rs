//! Writes.

use super::generator::{Generator, Sort, Statement};
use super::schema::{Class, Column, Table, value};

impl Generator {
    /// Values of a row for some columns.
    fn row(&mut self, table: &Table, columns: &[Column], wrong: u64) -> String {
        let mut values = Vec::new();
        if !table.is_auto {
            let key = table.key(&mut self.random);
            values.push(self.literal(key));
        }
        let n = self.random.below(9).to_string();
        values.push(self.literal(n));
        for column in columns {
            let text = match column.is_nullable && self.random.chance(5) {
                true => {
                    values.push("DEFAULT".to_owned());
                    continue;
                }
                false => value(&mut self.random, column, wrong),
            };
            values.push(self.literal(text));
        }
        format!("({})", values.join(", "))
    }

    fn some_columns(&mut self, table: &Table) -> (Vec<Column>, String) {
        let columns: Vec<_> = table
            .columns
            .iter()
            .filter(|it| !it.is_nullable || self.random.chance(60))
            .cloned()
            .collect();
        let mut names = if table.is_auto {
            vec!["n"]
        } else {
            vec!["k", "n"]
        };
        names.extend(columns.iter().map(|it| it.name.as_str()));
        let names = names.join(", ");
        (columns, names)
    }

    /// Gives a new table rows.
    pub fn fill(&mut self, table: &Table) -> String {
        let (columns, names) = self.some_columns(table);
        let rows: Vec<_> = (0..12).map(|_| self.row(table, &columns, 0)).collect();
        let verb = if table.is_auto { "INSERT" } else { "REPLACE" };
        format!(
            "{verb} INTO {} ({names}) VALUES {}",
            table.name,
            rows.join(", ")
        )
    }

    pub fn write(&mut self) -> Statement {
        let table = self.table();
        match self.random.below(100) {
            0..48 => self.insert(&table),
            48..54 => self.insert_select(&table),
            54..82 => self.update(&table),
            82..98 => self.delete(&table),
            98 => Statement::new(Sort::Definition, {
                self.committed();
                format!("TRUNCATE {}", table.name)
            }),
            _ => self.write_of_many(&table),
        }
    }

    fn insert(&mut self, table: &Table) -> Statement {
        let (columns, names) = self.some_columns(table);
        let count = *self.random.pick(&[1, 1, 1, 2, 3, 5, 8]);
        let wrong = *self.random.pick(&[0, 0, 0, 4]);
        // A server numbers rows in steps that depend on how it finds out how many they are.
        let is_simple = table.is_auto;
        let (verb, tail) = match self.random.below(20) {
            0..3 if !is_simple => ("INSERT IGNORE INTO", String::new()),
            3..6 if !is_simple => ("REPLACE INTO", String::new()),
            6..10 if !is_simple => {
                let column = columns.first().map_or("n", |it| &it.name);
                let set = match self.random.below(4) {
                    0 if !table.has_wide_key => "n = VALUES(n)".to_owned(),
                    1 if !table.has_wide_key => "n = n + 1".to_owned(),
                    _ => format!("{column} = VALUES({column})"),
                };
                ("INSERT INTO", format!(" ON DUPLICATE KEY UPDATE {set}"))
            }
            10 => ("INSERT INTO", " RETURNING k, n".to_owned()),
            _ => ("INSERT INTO", String::new()),
        };
        if count == 1 && !is_simple && self.random.chance(15) {
            let key = table.key(&mut self.random);
            let key = self.literal(key);
            let mut text = format!("{verb} {} SET k = {key}", table.name);
            for column in columns.iter().filter(|it| !it.is_nullable) {
                let set = value(&mut self.random, column, wrong);
                let set = self.literal(set);
                text = format!("{text}, {} = {set}", column.name);
            }
            return self.rendered(
                text + &tail.replace("VALUES(c", "DEFAULT(c"),
                Sort::Write,
                true,
            );
        }
        let rows: Vec<_> = (0..count)
            .map(|_| self.row(table, &columns, wrong))
            .collect();
        let text = format!(
            "{verb} {} ({names}) VALUES {}{tail}",
            table.name,
            rows.join(", ")
        );
        let sort = if count > 1 { Sort::Rows } else { Sort::Write };
        let may_prepare = !tail.contains("RETURNING");
        Statement {
            numbers: table.is_auto.then(|| table.name.clone()),
            ..self.rendered(text, sort, may_prepare)
        }
    }

    /// Rows of a query.
    fn insert_select(&mut self, table: &Table) -> Statement {
        if table.is_auto {
            return self.update(table);
        }
        let from = self.table();
        let shift = 36 + self.random.below(200);
        let key = match (table.is_text_key, from.is_text_key) {
            (false, false) => format!("s.k + {shift}"),
            (true, _) => format!("CONCAT('s{shift} ', LEFT(s.k, 8))"),
            (false, true) => format!("{shift} + s.n"),
        };
        let mut names = "k, n".to_owned();
        let mut items = format!("{key}, s.n");
        for column in &table.columns {
            match from
                .columns
                .iter()
                .find(|it| it.kind.sql == column.kind.sql && it.is_nullable <= column.is_nullable)
            {
                Some(other) => {
                    names = format!("{names}, {}", column.name);
                    items = format!("{items}, s.{}", other.name);
                }
                None if !column.is_nullable => {
                    names = format!("{names}, {}", column.name);
                    items = format!("{items}, {}", self.random.pick(column.kind.values));
                }
                None => {}
            }
        }
        let condition = self.condition(&[("s".to_owned(), from.clone())], 1);
        let verb = *self
            .random
            .pick(&["INSERT INTO", "INSERT IGNORE INTO", "REPLACE INTO"]);
        let text = format!(
            "{verb} {} ({names}) SELECT {items} FROM {} s WHERE {condition} ORDER BY {}",
            table.name,
            from.name,
            from.order("s")
        );
        self.rendered(text, Sort::Rows, true)
    }

    /// The rows that a write is about.
    fn target(&mut self, table: &Table) -> String {
        let key = |it: &mut Self| {
            let key = table.key(&mut it.random);
            it.literal(key)
        };
        match self.random.below(10) {
            0..5 => format!("k = {}", key(self)),
            5 => format!("k IN ({}, {})", key(self), key(self)),
            6 => format!("k = {} AND n > {}", key(self), self.random.below(5)),
            _ => {
                let text = self.condition(&[(table.name.clone(), table.clone())], 1);
                format!("{text} AND n < {}", self.random.below(9))
            }
        }
    }

    fn update(&mut self, table: &Table) -> Statement {
        let mut sets = Vec::new();
        for _ in 0..1 + self.random.below(2) {
            let column = match table.columns.is_empty() {
                true => break,
                false => self.random.pick(&table.columns).clone(),
            };
            let set = match (column.kind.class, self.random.below(4)) {
                (Class::Integer | Class::Decimal, 0) => {
                    format!("{0} = {0} + {1}", column.name, self.random.below(3))
                }
                (Class::Text, 0) => format!("{0} = UPPER({0})", column.name),
                (Class::Date, 0) => format!("{0} = {0} + INTERVAL 1 DAY", column.name),
                (Class::Integer, 1) => {
                    format!(
                        "{} = CASE WHEN n > 3 THEN n ELSE {} END",
                        column.name,
                        self.random.below(4)
                    )
                }
                _ => {
                    let wrong = *self.random.pick(&[0, 0, 0, 6]);
                    let set = value(&mut self.random, &column, wrong);
                    format!("{} = {}", column.name, self.literal(set))
                }
            };
            sets.push(set);
        }
        if !table.has_wide_key && (sets.is_empty() || self.random.chance(20)) {
            sets.push("n = n + 1".to_owned());
        }
        if sets.is_empty() {
            return self.delete(table);
        }
        let ignore = if self.random.chance(8) { "IGNORE " } else { "" };
        let target = self.target(table);
        let mut text = format!(
            "UPDATE {ignore}{} SET {} WHERE {target}",
            table.name,
            sets.join(", ")
        );
        if target.starts_with("k =") && self.random.chance(10) {
            text = format!("{text} ORDER BY {} LIMIT 1", table.order(&table.name));
        }
        self.rendered(text, Sort::Rows, true)
    }

    fn delete(&mut self, table: &Table) -> Statement {
        let target = self.target(table);
        let mut text = format!("DELETE FROM {} WHERE {target}", table.name);
        let is_returning = self.random.chance(5);
        if is_returning {
            text.push_str(" RETURNING k, n");
        } else if target.starts_with("k =") && self.random.chance(10) {
            text = format!("{text} ORDER BY {} LIMIT 1", table.order(&table.name));
        }
        self.rendered(text, Sort::Write, !is_returning)
    }

    /// Writes that look at more than their table's own rows.
    fn write_of_many(&mut self, table: &Table) -> Statement {
        let other = self.table();
        let own = &table.name;
        let text = match self.random.below(4) {
            0 => format!(
                "UPDATE {own} a JOIN {} b ON b.n = a.n SET a.n = a.n WHERE b.n < 2",
                other.name
            ),
            1 => format!(
                "DELETE a FROM {own} a JOIN {} b ON b.n = a.n WHERE b.n = 8",
                other.name
            ),
            2 => format!(
                "DELETE FROM {own} WHERE n = 7 AND n NOT IN (SELECT n FROM {} WHERE n > 4)",
                other.name
            ),
            _ => format!(
                "DELETE FROM {own} WHERE n > 6 ORDER BY {} LIMIT 2",
                table.order(own)
            ),
        };
        Statement::new(Sort::Write, text)
    }
}
