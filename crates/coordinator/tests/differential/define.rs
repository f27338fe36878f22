//! Definitions.

use super::generator::{Generator, Sort, Statement};
use super::schema::{Class, Column, KEYS, Spread, TYPES, Table};

impl Generator {
    fn name(&mut self, of: &str) -> String {
        self.named += 1;
        format!("{of}{}", self.named)
    }

    fn column(&mut self) -> (Column, String) {
        let kind = self.random.pick(TYPES);
        let is_nullable = self.random.chance(70) || kind.sql.ends_with("NULL");
        let column = Column {
            name: self.name("c"),
            kind,
            is_nullable,
        };
        let mut text = format!("{} {}", column.name, kind.sql);
        if !is_nullable {
            text.push_str(" NOT NULL");
        }
        if kind.sql != "TEXT" && kind.sql != "BLOB" && kind.sql != "JSON" && self.random.chance(40)
        {
            text = format!("{text} DEFAULT {}", self.random.pick(kind.values));
        }
        (column, text)
    }

    /// A table is made.
    pub fn create_table(&mut self, spread: Spread, is_auto: bool) -> Statement {
        let (mut key_type, mut is_text_key) = *self.random.pick(&KEYS);
        if is_auto {
            (key_type, is_text_key) = ("BIGINT", false);
        }
        let has_wide_key = !is_auto && self.random.chance(40);
        let name = self.name("t");
        let mut columns = Vec::new();
        let mut body = format!(
            "k {key_type} NOT NULL{}, n INT NOT NULL DEFAULT 3",
            if is_auto { " AUTO_INCREMENT" } else { "" }
        );
        for _ in 0..3 + self.random.below(5) {
            let (column, text) = self.column();
            columns.push(column);
            body = format!("{body}, {text}");
        }
        let mut table = Table {
            name: name.clone(),
            key_type,
            is_text_key,
            is_auto,
            has_wide_key,
            columns,
            indexes: Vec::new(),
        };
        body = format!("{body}, PRIMARY KEY ({})", table.primary().join(", "));
        if self.random.chance(50) {
            let index = self.name("i");
            body = format!("{body}, KEY {index} (n)");
            table.indexes.push(index);
        }
        if self.random.chance(20) {
            body = format!(
                "{body}, made INT AS (n + 1) {}",
                self.random.pick(&["VIRTUAL", "STORED"])
            );
        }
        self.tables.push(table);
        let clause = match spread {
            Spread::Hashed => *self
                .random
                .pick(&["DISTRIBUTE BY HASH(k)", "DISTRIBUTE_KEY(k)"]),
            Spread::Broadcast => "DISTRIBUTE BY BROADCAST",
            Spread::Single => "",
        };
        let collation = self.random.pick(&[
            "",
            " CHARACTER SET utf8mb4",
            " DEFAULT CHARSET=utf8mb4 COLLATE utf8mb4_unicode_ci",
        ]);
        let plain = format!("CREATE TABLE {name} ({body}){collation}");
        Statement {
            plain: Some(plain.clone()),
            ..Statement::new(Sort::Definition, format!("{plain} {clause}"))
        }
    }

    /// Something is defined.
    pub fn definition(&mut self) -> Statement {
        self.committed();
        let at = self.random.below(self.tables.len() as u64) as usize;
        let name = self.tables[at].name.clone();
        let text = match self.random.below(21) {
            0 | 1 if self.tables.len() < 9 => {
                let spread = *self.random.pick(&[
                    Spread::Hashed,
                    Spread::Hashed,
                    Spread::Broadcast,
                    Spread::Single,
                ]);
                let is_auto = self.random.chance(20);
                let create = self.create_table(spread, is_auto);
                let table = self.tables.last().expect("just made").clone();
                let fill = self.fill(&table);
                let fill = self.rendered(fill, Sort::Write, false);
                self.queue.push(fill);
                return create;
            }
            2 if self.tables.len() > 5 => {
                self.tables.remove(at);
                format!("DROP TABLE {name}")
            }
            3..6 => {
                let (column, text) = self.column();
                let place = match self.random.below(3) {
                    0 => " FIRST",
                    1 => " AFTER n",
                    _ => "",
                };
                self.tables[at].columns.push(column);
                format!("ALTER TABLE {name} ADD COLUMN {text}{place}")
            }
            6 if self.tables[at].columns.len() > 2 => {
                let count = self.tables[at].columns.len() as u64;
                let gone = self.tables[at]
                    .columns
                    .remove(self.random.below(count) as usize);
                format!("ALTER TABLE {name} DROP COLUMN {}", gone.name)
            }
            7 | 8 => {
                let Some((place, column)) = self.tables[at]
                    .columns
                    .iter()
                    .enumerate()
                    .find(|it| it.1.kind.wider.is_some())
                else {
                    return Statement::new(
                        Sort::Definition,
                        format!("ALTER TABLE {name} COMMENT 'nothing to widen'"),
                    );
                };
                let wider = column.kind.wider.expect("looked");
                let null = if column.is_nullable { "" } else { " NOT NULL" };
                let text = format!("ALTER TABLE {name} MODIFY {} {wider}{null}", column.name);
                if let Some(kind) = TYPES.iter().find(|it| it.sql == wider) {
                    self.tables[at].columns[place].kind = kind;
                }
                text
            }
            9 => {
                let renamed = self.name("c");
                let count = self.tables[at].columns.len() as u64;
                let place = self.random.below(count) as usize;
                let column = &mut self.tables[at].columns[place];
                let null = if column.is_nullable { "" } else { " NOT NULL" };
                let text = format!(
                    "ALTER TABLE {name} CHANGE {} {renamed} {}{null}",
                    column.name, column.kind.sql
                );
                column.name = renamed;
                text
            }
            10..12 => {
                let index = self.name("i");
                let columns: Vec<_> = self.tables[at]
                    .columns
                    .iter()
                    .filter(|it| !matches!(it.kind.sql, "TEXT" | "BLOB" | "JSON"))
                    .map(|it| it.name.clone())
                    .collect();
                let column = match columns.is_empty() {
                    true => "n".to_owned(),
                    false => self.random.pick(&columns).clone(),
                };
                self.tables[at].indexes.push(index.clone());
                match self.random.below(3) {
                    0 => format!("ALTER TABLE {name} ADD INDEX {index} ({column})"),
                    1 => format!("CREATE INDEX {index} ON {name} ({column}, n)"),
                    _ => format!("ALTER TABLE {name} ADD UNIQUE {index} (k, n, {column})"),
                }
            }
            12 if !self.tables[at].indexes.is_empty() => {
                let index = self.tables[at].indexes.pop().expect("looked");
                match self.random.below(2) {
                    0 => format!("DROP INDEX {index} ON {name}"),
                    _ => format!("ALTER TABLE {name} DROP INDEX {index}"),
                }
            }
            13 => {
                let renamed = self.name("t");
                self.tables[at].name.clone_from(&renamed);
                format!("RENAME TABLE {name} TO {renamed}")
            }
            14 => {
                let made = self.name("t");
                let mut table = self.tables[at].clone();
                table.name.clone_from(&made);
                self.tables.push(table);
                format!("CREATE TABLE {made} LIKE {name}")
            }
            15 | 16 => {
                let view = self.name("v");
                let query = self.query_for_view();
                self.views.push(view.clone());
                format!("CREATE VIEW {view} AS {query}")
            }
            17 if !self.views.is_empty() => {
                format!("DROP VIEW {}", self.views.pop().expect("looked"))
            }
            18 => format!("TRUNCATE TABLE {name}"),
            19 => {
                let column = self.tables[at]
                    .columns
                    .iter()
                    .find(|it| it.kind.class == Class::Integer);
                match column {
                    Some(column) => {
                        format!("ALTER TABLE {name} ALTER {} SET DEFAULT 1", column.name)
                    }
                    None => format!("ALTER TABLE {name} ALTER n SET DEFAULT 4"),
                }
            }
            _ => format!("ALTER TABLE {name} COMMENT 'number {}'", self.named),
        };
        Statement::new(Sort::Definition, text)
    }
}
