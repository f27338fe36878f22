//! Reads. What they show must follow from the rows: no order that is not wanted, and none of several values
//! that are equal by their collation.

use super::generator::{Generator, Order, Sort, Statement};
use super::schema::{Class, Column, Table, Type, value};

/// Tables by their aliases.
type Scope = [(String, Table)];

/// A text in which values that are equal are the same.
fn folded(kind: &Type, text: &str) -> String {
    match kind.class {
        Class::Text if kind.sql.ends_with("_bin") => format!("RTRIM({text})"),
        Class::Text => format!("RTRIM(LOWER({text}))"),
        _ => text.to_owned(),
    }
}

impl Generator {
    fn place(&mut self, scope: &Scope) -> (String, Table) {
        self.random.pick(scope).clone()
    }

    /// Any column, with its alias.
    fn any(&mut self, scope: &Scope) -> (String, Column) {
        let (alias, table) = self.place(scope);
        let column = self.random.pick(&table.columns).clone();
        (format!("{alias}.{}", column.name), column)
    }

    /// An integer that can be reckoned with.
    fn number(&mut self, scope: &Scope) -> String {
        let (alias, table) = self.place(scope);
        match self.random.below(6) {
            0 if !table.is_text_key => format!("{alias}.k"),
            1 => format!("({alias}.n + {})", self.random.below(5)),
            2 => format!("({alias}.n * {alias}.n - 2)"),
            3 => {
                let (column, _) = self.any(scope);
                format!("COALESCE(LENGTH({column}), {alias}.n)")
            }
            4 => format!("IF({}, {alias}.n, 0)", self.condition(scope, 3)),
            _ => format!("{alias}.n"),
        }
    }

    pub fn condition(&mut self, scope: &Scope, depth: u32) -> String {
        let (alias, table) = self.place(scope);
        let compare = *self.random.pick(&["=", "<>", "<", ">", "<=", ">=", "<=>"]);
        match self.random.below(if depth > 2 { 8 } else { 15 }) {
            0 => {
                let key = table.key(&mut self.random);
                format!("{alias}.k = {}", self.literal(key))
            }
            1 => format!("{alias}.n {compare} {}", self.random.below(9)),
            2 | 3 => {
                let (name, column) = self.any(scope);
                let mut other = value(&mut self.random, &column, 0);
                if matches!(
                    column.kind.sql,
                    "BIT(8)" | "JSON" | "UUID" | "INET6" | "YEAR" | "TIME"
                ) {
                    other = "NULL".to_owned();
                }
                format!("{name} {compare} {}", self.literal(other))
            }
            4 => {
                let (name, _) = self.any(scope);
                format!("{name} IS {}NULL", self.random.pick(&["", "NOT "]))
            }
            5 => match table.column_of(&mut self.random, Class::Text) {
                Some(column) => format!(
                    "{alias}.{} {}LIKE '{}'",
                    column.name,
                    self.random.pick(&["", "NOT "]),
                    self.random.pick(&["a%", "%e%", "_p%", "%\\_%", ""])
                ),
                None => format!("{alias}.n IN (1, 3, 5)"),
            },
            6 => match table.column_of(&mut self.random, Class::Date) {
                Some(column) => format!(
                    "{alias}.{} BETWEEN '2024-01-01' AND '2024-07-01'",
                    column.name
                ),
                None => format!("{alias}.n BETWEEN 2 AND 5"),
            },
            7 => format!("{} {compare} {}", self.number(scope), self.random.below(12)),
            8 | 9 => format!(
                "({} {} {})",
                self.condition(scope, depth + 1),
                self.random.pick(&["AND", "OR", "XOR"]),
                self.condition(scope, depth + 1)
            ),
            10 => format!("NOT ({})", self.condition(scope, depth + 1)),
            11 => {
                let other = self.table();
                let inner = format!("q{depth}");
                let condition = self.condition(&[(inner.clone(), other.clone())], depth + 2);
                let not = *self.random.pick(&["", "NOT "]);
                match self.random.chance(50) {
                    true => format!(
                        "{not}EXISTS (SELECT 1 FROM {} {inner} WHERE {inner}.n = {alias}.n AND {condition})",
                        other.name
                    ),
                    false => format!(
                        "{alias}.n {not}IN (SELECT {inner}.n FROM {} {inner} WHERE {condition})",
                        other.name
                    ),
                }
            }
            12 => {
                let other = self.table();
                let inner = format!("q{depth}");
                let of = *self.random.pick(&["MAX", "MIN", "COUNT"]);
                format!(
                    "{alias}.n {compare} (SELECT {of}({inner}.n) FROM {} {inner} WHERE {inner}.n {} {alias}.n)",
                    other.name,
                    self.random.pick(&["=", "<", ">="])
                )
            }
            13 => {
                let other = self.table();
                let all = *self.random.pick(&["ALL", "ANY"]);
                let compare = *self.random.pick(&["<", ">=", "="]);
                format!(
                    "{alias}.n {compare} {all} (SELECT z.n FROM {} z WHERE z.n > 1)",
                    other.name
                )
            }
            _ => format!("{} = {}", self.number(scope), self.number(scope)),
        }
    }

    /// `FROM`, with what it puts into the scope.
    fn from(&mut self, scope: &mut Vec<(String, Table)>) -> String {
        let count = *self.random.pick(&[1, 1, 1, 1, 2, 2, 3]);
        let mut text = String::new();
        for at in 0..count {
            let (table, alias) = (self.table(), format!("a{at}"));
            let factor = match self.random.below(12) {
                0 => format!(
                    "(SELECT * FROM {} d WHERE d.n > {}) {alias}",
                    table.name,
                    self.random.below(4)
                ),
                _ => format!("{} {alias}", table.name),
            };
            scope.push((alias.clone(), table.clone()));
            if at == 0 {
                text = factor;
                continue;
            }
            let (other, their) = self.random.pick(&scope[..at]).clone();
            let on = match table.is_text_key == their.is_text_key && self.random.chance(70) {
                true => format!("{alias}.k = {other}.k"),
                false => format!("{alias}.n = {other}.n AND {alias}.n < 4"),
            };
            let join = *self
                .random
                .pick(&["JOIN", "JOIN", "LEFT JOIN", "RIGHT JOIN"]);
            text = format!("{text} {join} {factor} ON {on}");
        }
        text
    }

    fn filter(&mut self, scope: &Scope) -> String {
        match self.random.chance(70) {
            true => format!(" WHERE {}", self.condition(scope, 0)),
            false => String::new(),
        }
    }

    fn order_and_limit(&mut self, text: &mut String, order: &str) -> Order {
        if self.random.chance(50) {
            return Order::Any;
        }
        let way = *self.random.pick(&["", " DESC"]);
        *text = format!("{text} ORDER BY {order}{way}");
        if self.random.chance(50) {
            *text = format!("{text} LIMIT {}", 1 + self.random.below(9));
            if self.random.chance(30) {
                *text = format!("{text} OFFSET {}", self.random.below(5));
            }
        }
        Order::Total
    }

    /// Rows as they are, with expressions and windows.
    fn rows(&mut self) -> (String, Order) {
        let mut scope = Vec::new();
        let from = self.from(&mut scope);
        let orders: Vec<_> = scope
            .iter()
            .map(|(alias, table)| table.order(alias))
            .collect();
        let order = orders.join(", ");
        let mut items = Vec::new();
        for _ in 0..1 + self.random.below(4) {
            let item = match self.random.below(10) {
                0 => self.number(&scope),
                1 => {
                    let (alias, _) = self.place(&scope);
                    let over = self.random.pick(&[
                        "ROW_NUMBER()",
                        "RANK()",
                        "SUM(a0.n)",
                        "COUNT(*)",
                        "LAG(a0.n)",
                    ]);
                    format!("{over} OVER (PARTITION BY {alias}.n ORDER BY {order})")
                }
                2 => {
                    let other = self.table();
                    format!("(SELECT COUNT(*) FROM {} s WHERE s.n = a0.n)", other.name)
                }
                3 => {
                    let (column, _) = self.any(&scope);
                    format!("COALESCE({column}, 'none')")
                }
                4 => {
                    let (alias, _) = self.place(&scope);
                    format!("CASE {alias}.n WHEN 1 THEN 'one' WHEN 2 THEN 'two' ELSE 'many' END")
                }
                5 => {
                    let (alias, _) = self.place(&scope);
                    format!("{alias}.k")
                }
                _ => self.any(&scope).0,
            };
            items.push(item);
        }
        if scope.len() == 1 && self.random.chance(25) {
            items = vec!["*".to_owned()];
        }
        let mut text = format!(
            "SELECT {} FROM {from}{}",
            items.join(", "),
            self.filter(&scope)
        );
        let order = self.order_and_limit(&mut text, &order);
        if self.random.chance(4) {
            let lock = *self.random.pick(&[" FOR UPDATE", " LOCK IN SHARE MODE"]);
            text.push_str(lock);
        }
        (text, order)
    }

    fn aggregate(&mut self, scope: &Scope) -> String {
        let (alias, table) = self.place(scope);
        let (name, column) = self.any(scope);
        match self.random.below(9) {
            0 | 1 => "COUNT(*)".to_owned(),
            2 => format!("COUNT({name})"),
            3 => format!("COUNT(DISTINCT {name})"),
            4 => match table.column_of(&mut self.random, Class::Decimal) {
                Some(column) => format!("SUM({alias}.{})", column.name),
                None => format!("SUM({alias}.n)"),
            },
            5 => format!("AVG({alias}.n)"),
            6 => format!("GROUP_CONCAT(DISTINCT {alias}.n ORDER BY {alias}.n)"),
            7 => format!("BIT_OR({alias}.n)"),
            _ => {
                let of = *self.random.pick(&["MIN", "MAX"]);
                match column.kind.class {
                    Class::Other => format!("{of}({alias}.n)"),
                    _ => folded(column.kind, &format!("{of}({name})")),
                }
            }
        }
    }

    /// Groups.
    fn groups(&mut self) -> (String, Order) {
        let mut scope = Vec::new();
        let from = self.from(&mut scope);
        let filter = self.filter(&scope);
        let (mut items, mut groups) = (Vec::new(), Vec::new());
        for _ in 0..self.random.below(3) {
            let (name, column) = self.any(&scope);
            if matches!(column.kind.sql, "BIT(8)") {
                continue;
            }
            items.push(folded(column.kind, &name));
            groups.push(name);
        }
        let count = groups.len();
        for _ in 0..1 + self.random.below(3) {
            items.push(self.aggregate(&scope));
        }
        let mut text = format!("SELECT {} FROM {from}{filter}", items.join(", "));
        if groups.is_empty() {
            return (text, Order::Any);
        }
        text = format!("{text} GROUP BY {}", groups.join(", "));
        if self.random.chance(8) {
            // Beside `DISTINCT`, `GROUP_CONCAT` is NULL in rows of `ROLLUP` or not, as the server happens to find the rows.
            text = text.replace("(DISTINCT ", "(");
            return (format!("{text} WITH ROLLUP"), Order::Any);
        }
        if self.random.chance(25) {
            text = format!("{text} HAVING COUNT(*) > {}", self.random.below(3));
        }
        let places: Vec<_> = (1..=count).map(|at| at.to_string()).collect();
        let order = self.order_and_limit(&mut text, &places.join(", "));
        (text, order)
    }

    /// `DISTINCT`, and sets of rows.
    fn sets(&mut self) -> (String, Order) {
        let mut parts = Vec::new();
        let mut operators = Vec::new();
        for _ in 0..1 + self.random.below(3) {
            let table = self.table();
            let scope = [("u".to_owned(), table.clone())];
            let filter = self.filter(&scope);
            let text = match table.column_of(&mut self.random, Class::Text) {
                Some(column) if column.kind.sql != "TEXT" => {
                    folded(column.kind, &format!("u.{}", column.name))
                }
                _ => "CAST(u.n AS CHAR)".to_owned(),
            };
            parts.push(format!(
                "SELECT DISTINCT u.n AS x, {text} AS y FROM {} u{filter}",
                table.name
            ));
            operators.push(
                *self
                    .random
                    .pick(&["UNION", "UNION ALL", "EXCEPT", "INTERSECT"]),
            );
        }
        let mut text = parts[0].clone();
        for (part, operator) in parts[1..].iter().zip(&operators) {
            text = format!("{text} {operator} {part}");
        }
        let is_ordered = self.random.chance(40);
        if is_ordered {
            text = format!(
                "SELECT * FROM ({text}) w ORDER BY x, CAST(y AS BINARY) LIMIT {}",
                3 + self.random.below(20)
            );
        }
        (text, if is_ordered { Order::Total } else { Order::Any })
    }

    /// Common table expressions and derived tables.
    fn nested(&mut self) -> (String, Order) {
        let (one, other) = (self.table(), self.table());
        let inner = self.condition(&[("i".to_owned(), one.clone())], 1);
        let text = match self.random.below(3) {
            0 => format!(
                "WITH w AS (SELECT n, COUNT(*) AS many FROM {} i WHERE {inner} GROUP BY n) \
                 SELECT o.k, o.n, w.many FROM {} o LEFT JOIN w ON w.n = o.n ORDER BY {}",
                one.name,
                other.name,
                other.order("o")
            ),
            1 => format!(
                "WITH RECURSIVE r (x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM r WHERE x < 6) \
                 SELECT r.x, COUNT(i.n) FROM r LEFT JOIN {} i ON i.n = r.x AND {inner} GROUP BY r.x ORDER BY r.x",
                one.name
            ),
            _ => format!(
                "SELECT d.n, MAX(d.many) FROM (SELECT i.k, i.n, COUNT(*) AS many FROM {} i WHERE {inner} GROUP BY i.k, i.n) d \
                 JOIN {} o ON o.n = d.n GROUP BY d.n ORDER BY d.n",
                one.name, other.name
            ),
        };
        (text, Order::Total)
    }

    /// One key.
    fn point(&mut self) -> (String, Order) {
        let table = self.table();
        let key = table.key(&mut self.random);
        let key = self.literal(key);
        let more = match self.random.chance(30) {
            true => format!(
                " AND {}",
                self.condition(&[("p".to_owned(), table.clone())], 2)
            ),
            false => String::new(),
        };
        (
            format!(
                "SELECT * FROM {} p WHERE p.k = {key}{more} ORDER BY {}",
                table.name,
                table.order("p")
            ),
            Order::Total,
        )
    }

    pub fn read(&mut self) -> Statement {
        let (text, order) = match self.random.below(100) {
            0..35 => self.rows(),
            35..60 => self.groups(),
            60..70 => self.sets(),
            70..80 => self.nested(),
            80..84 if !self.views.is_empty() => {
                let view = self.random.pick(&self.views).clone();
                match self.random.chance(50) {
                    true => (format!("SELECT * FROM {view}"), Order::Any),
                    false => (
                        format!("SELECT x, COUNT(*) FROM {view} GROUP BY x ORDER BY x"),
                        Order::Total,
                    ),
                }
            }
            _ => self.point(),
        };
        Statement {
            order,
            ..self.rendered(text, Sort::Read, true)
        }
    }

    /// A query whose columns are `x` and `y`.
    pub fn query_for_view(&mut self) -> String {
        let (one, other) = (self.table(), self.table());
        match self.random.below(3) {
            0 => format!("SELECT k AS x, n AS y FROM {} WHERE n > 2", one.name),
            1 => format!("SELECT n AS x, COUNT(*) AS y FROM {} GROUP BY n", one.name),
            _ => format!(
                "SELECT a.n AS x, b.k AS y FROM {} a JOIN {} b ON b.n = a.n WHERE a.n < 3",
                one.name, other.name
            ),
        }
    }
}
