//! Random tables and random queries over them, from a seed.

use std::fmt::Write;

/// A generator of numbers: xorshift.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<'l, T>(&mut self, list: &'l [T]) -> &'l T {
        &list[self.below(list.len() as u64) as usize]
    }
}

/// What a column can be used for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Number,
    Text,
    Date,
    Other,
}

/// The columns that all random tables have besides their keys. Values that compare equal are the
/// same, sums of approximate numbers are exact: else a server may answer in several ways.
const COLUMNS: [(&str, &str, Kind); 19] = [
    ("i", "INT", Kind::Number),
    ("u", "BIGINT UNSIGNED", Kind::Number),
    ("d", "DECIMAL(12,3)", Kind::Number),
    ("f", "DOUBLE", Kind::Number),
    ("fl", "FLOAT", Kind::Number),
    (
        "z",
        "SMALLINT(5) UNSIGNED ZEROFILL NOT NULL DEFAULT 7",
        Kind::Number,
    ),
    (
        "s",
        "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
        Kind::Text,
    ),
    (
        "b",
        "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL DEFAULT ''",
        Kind::Text,
    ),
    (
        "l",
        "CHAR(10) CHARACTER SET latin1 COLLATE latin1_swedish_ci",
        Kind::Text,
    ),
    ("w", "VARCHAR(10) CHARACTER SET utf16", Kind::Other),
    ("vb", "VARBINARY(16)", Kind::Other),
    ("tx", "TEXT", Kind::Other),
    ("dt", "DATE", Kind::Date),
    ("tm", "DATETIME(3)", Kind::Date),
    ("ts", "TIMESTAMP(2) NULL", Kind::Date),
    ("t", "TIME", Kind::Other),
    ("y", "YEAR", Kind::Other),
    ("e", "ENUM('x','y','z\\'')", Kind::Other),
    ("bits", "BIT(9)", Kind::Other),
];

/// Columns that are hardly ever named, but travel with `*`.
const REST: &str = "st SET('p','q','r'), j JSON, g POINT, id UUID, \
     made INT AS (k + 1) VIRTUAL, kept VARCHAR(30) AS (CONCAT(k, '-', n)) STORED";

pub fn create(table: &str, primary: &str) -> String {
    let mut text = format!("CREATE TABLE {table} (k INT NOT NULL, n INT NOT NULL");
    for (name, kind, _) in COLUMNS {
        write!(text, ", {name} {kind}").unwrap();
    }
    write!(
        text,
        ", {REST}, PRIMARY KEY ({primary}), KEY (s), KEY (i, d))"
    )
    .unwrap();
    text
}

/// Rows with keys that may repeat where `n` is part of the primary key.
pub fn rows(random: &mut Random, table: &str, count: u64, repeats: bool) -> String {
    let names: Vec<_> = COLUMNS.iter().map(|(name, ..)| *name).collect();
    let mut text = format!(
        "INSERT INTO {table} (k, n, {}, st, j, g, id) VALUES ",
        names.join(", ")
    );
    for row in 0..count {
        let k = if repeats { row / 3 } else { row };
        let k = k as i64 - 5;
        write!(text, "{}({k}, {row}", if row > 0 { ", " } else { "" }).unwrap();
        for (name, kind, _) in COLUMNS {
            let value = if random.chance(15) && !kind.contains("NOT NULL") {
                "NULL".to_owned()
            } else {
                value(random, name)
            };
            write!(text, ", {value}").unwrap();
        }
        let st = random.pick(&["''", "'p'", "'p,r'", "NULL"]);
        let j = random.pick(&["'{\"a\": [1, \"ä\\\\n\"]}'", "'null'", "NULL"]);
        let g = random.pick(&[
            "NULL",
            "POINT(1, 2.5)",
            "ST_GeomFromText('POINT(3 4)', 4326)",
        ]);
        let id = random.pick(&["NULL", "'123e4567-e89b-12d3-a456-426655440000'"]);
        write!(text, ", {st}, {j}, {g}, {id})").unwrap();
    }
    text
}

fn value(random: &mut Random, column: &str) -> String {
    let n = random.below(12) as i64;
    match column {
        "i" => (n * 3 - 10).to_string(),
        "u" => random
            .pick(&["0", "1", "18446744073709551615", "42", "7"])
            .to_string(),
        "d" => format!("{}.{:03}", n - 4, random.below(1000)),
        "f" => format!("{}e{}", (n - 6) as f64 / 4.0, random.below(2) * 2),
        "fl" => format!("{}", (n - 6) as f64 / 8.0),
        "z" => n.to_string(),
        "s" | "b" => {
            let words = [
                "''",
                "'apple'",
                "'birne'",
                "'ünlü'",
                "'tab\\t\\n\\\\'",
                "'😀'",
                "'it''s'",
                "'zz'",
            ];
            (*random.pick(&words)).to_owned()
        }
        "l" => (*random.pick(&["'äöü'", "'abc'", "'q'", "''"])).to_owned(),
        "w" => (*random.pick(&["'Ω'", "'x\\ty'", "'😀'", "''"])).to_owned(),
        "vb" => (*random.pick(&["X'00FF5C09'", "''", "X'0A'", "'abc'"])).to_owned(),
        "tx" => (*random.pick(&["REPEAT('long ', 300)", "''", "'a\\0b'"])).to_owned(),
        "dt" => format!("'20{:02}-0{}-1{}'", n + 10, n % 9 + 1, n % 9),
        "tm" => format!("'2024-0{}-28 23:59:5{}.{:03}'", n % 9 + 1, n % 9, n * 7),
        "ts" => format!("'2024-10-27 0{}:30:00.{:02}'", n % 4, n),
        "t" => format!("'{}{}:0{}:07'", if n > 6 { "-" } else { "" }, n * 40, n % 9),
        "y" => format!("{}", 2000 + n),
        "e" => (*random.pick(&["'x'", "'y'", "'z\\''"])).to_owned(),
        _ => format!("{}", n * 37),
    }
}

/// The tables that queries are about: how each is called, and whether it has the key `k`.
pub const TABLES: [&str; 4] = ["h1", "h2", "bc", "si"];

/// A random query.
pub struct Queries<'r> {
    pub random: &'r mut Random,
}

/// A query, and whether its rows come in a certain order.
pub struct Query {
    pub text: String,
    pub is_ordered: bool,
}

impl Queries<'_> {
    fn column(&mut self, alias: &str, kind: Kind) -> String {
        let of: Vec<_> = COLUMNS.iter().filter(|it| it.2 == kind).collect();
        let name = if kind == Kind::Number && self.random.chance(25) {
            *self.random.pick(&["k", "n"])
        } else {
            self.random.pick(&of).0
        };
        format!("{alias}.{name}")
    }

    fn any_column(&mut self, alias: &str) -> String {
        let kind = *self.random.pick(&[
            Kind::Number,
            Kind::Number,
            Kind::Text,
            Kind::Date,
            Kind::Other,
        ]);
        self.column(alias, kind)
    }

    fn number(&mut self, aliases: &[String], depth: u32) -> String {
        let alias = self.random.pick(aliases).clone();
        match self.random.below(if depth > 2 { 4 } else { 12 }) {
            0..=3 => self.column(&alias, Kind::Number),
            4 => (self.random.below(20) as i64 - 5).to_string(),
            // A fraction is not: an index finds 5 for 4.5 (10.11.19).
            5 => self.random.below(9).to_string(),
            6 => format!(
                "({} {} {})",
                self.exact(&alias),
                self.random.pick(&["+", "-", "*"]),
                self.exact(&alias)
            ),
            7 => format!("ABS({})", self.exact(&alias)),
            8 => format!("LENGTH({})", self.text(aliases, depth + 1)),
            9 => format!("YEAR({})", self.column(&alias, Kind::Date)),
            10 => format!(
                "CASE WHEN {} THEN {} ELSE {} END",
                self.condition(aliases, depth + 1),
                self.exact(&alias),
                self.exact(&alias)
            ),
            _ => format!("COALESCE({}, {})", self.exact(&alias), self.random.below(5)),
        }
    }

    /// A column of exact numbers that no arithmetic takes out of their range.
    fn exact(&mut self, alias: &str) -> String {
        format!(
            "{alias}.{}",
            self.random.pick(&["k", "n", "i", "d", "f", "fl"])
        )
    }

    fn text(&mut self, aliases: &[String], depth: u32) -> String {
        let alias = self.random.pick(aliases).clone();
        match self.random.below(if depth > 2 { 3 } else { 7 }) {
            0..=2 => self.column(&alias, Kind::Text),
            3 => "'apple'".to_owned(),
            4 => format!("UPPER({})", self.column(&alias, Kind::Text)),
            5 => format!("LEFT({}, 2)", self.column(&alias, Kind::Text)),
            _ => format!("CONCAT({alias}.b, '-', {alias}.i)"),
        }
    }

    fn condition(&mut self, aliases: &[String], depth: u32) -> String {
        let alias = self.random.pick(aliases).clone();
        let compare = *self.random.pick(&["=", "<", ">", "<=", ">=", "<>", "<=>"]);
        match self.random.below(if depth > 2 { 5 } else { 14 }) {
            0 | 1 => format!(
                "{} {compare} {}",
                self.column(&alias, Kind::Number),
                self.random.below(30) as i64 - 8
            ),
            2 => format!("{} {compare} 'birne'", self.column(&alias, Kind::Text)),
            3 => format!("{} {compare} '2024-05-01'", self.column(&alias, Kind::Date)),
            4 => format!(
                "{} IS {}NULL",
                self.any_column(&alias),
                self.random.pick(&["", "NOT "])
            ),
            5 => format!("{alias}.k IN (1, 4, 9, 16)"),
            6 => format!("{} BETWEEN 1 AND 9", self.column(&alias, Kind::Number)),
            7 => format!("{alias}.s LIKE '%{}%'", self.random.pick(&["a", "i", "e"])),
            8 => format!(
                "({} {} {})",
                self.condition(aliases, depth + 1),
                self.random.pick(&["OR", "AND"]),
                self.condition(aliases, depth + 1)
            ),
            9 => format!("NOT ({})", self.condition(aliases, depth + 1)),
            10 => {
                let table = self.random.pick(&TABLES);
                let inner = format!("q{depth}");
                let link = *self.random.pick(&["k", "k", "n", "i"]);
                format!(
                    "{}EXISTS (SELECT 1 FROM {table} {inner} WHERE {inner}.{link} = {alias}.k AND {})",
                    self.random.pick(&["", "NOT "]),
                    self.condition(std::slice::from_ref(&inner), depth + 2)
                )
            }
            11 => {
                let table = self.random.pick(&TABLES);
                let inner = format!("q{depth}");
                format!(
                    "{alias}.{} {}IN (SELECT {inner}.{} FROM {table} {inner} WHERE {})",
                    self.random.pick(&["k", "n"]),
                    self.random.pick(&["", "NOT "]),
                    self.random.pick(&["k", "n"]),
                    self.condition(std::slice::from_ref(&inner), depth + 2)
                )
            }
            12 => {
                let table = self.random.pick(&TABLES);
                format!(
                    "{alias}.n > (SELECT AVG(z{depth}.n) / 2 FROM {table} z{depth} WHERE z{depth}.k {} {alias}.k)",
                    self.random.pick(&["=", "<", ">="])
                )
            }
            _ => format!(
                "{} = {}",
                self.number(aliases, depth + 1),
                self.number(aliases, depth + 1)
            ),
        }
    }

    fn from(&mut self, aliases: &mut Vec<String>, depth: u32) -> String {
        let count = *self.random.pick(&[1, 1, 1, 2, 2, 3]);
        let mut text = String::new();
        for at in 0..count {
            let alias = format!("{}{at}", ["a", "b", "c", "e"][depth as usize % 4]);
            let table = *self.random.pick(&TABLES);
            let factor = if depth == 0 && self.random.chance(10) {
                let inner = vec!["d0".to_owned()];
                let condition = self.condition(&inner, 2);
                format!("(SELECT d0.* FROM {table} d0 WHERE {condition}) {alias}")
            } else if depth == 0 && self.random.chance(8) {
                format!(
                    "(SELECT d1.k, d1.n, d1.i, d1.u, d1.d, d1.f, d1.fl, d1.z, d1.s, d1.b, d1.l, d1.w, d1.vb, \
                     d1.tx, d1.dt, d1.tm, d1.ts, d1.t, d1.y, d1.e, d1.bits FROM {table} d1 \
                     GROUP BY d1.k, d1.n) {alias}"
                )
            } else {
                format!("{table} {alias}")
            };
            if at == 0 {
                text = factor;
                aliases.push(alias);
                continue;
            }
            let other = self.random.pick(aliases).clone();
            let mine = *self.random.pick(&["k", "k", "k", "n"]);
            let theirs = *self.random.pick(&["k", "k", "k", "n"]);
            let join = *self
                .random
                .pick(&["JOIN", "JOIN", "LEFT JOIN", "LEFT JOIN", "RIGHT JOIN"]);
            let mut on = format!("{alias}.{mine} = {other}.{theirs}");
            if self.random.chance(30) {
                let both = [alias.clone(), other];
                on = format!("{on} AND {}", self.condition(&both, 3));
            }
            write!(text, " {join} {factor} ON {on}").unwrap();
            aliases.push(alias);
        }
        text
    }

    fn aggregate(&mut self, aliases: &[String]) -> String {
        let alias = self.random.pick(aliases).clone();
        match self.random.below(10) {
            0 | 1 => "COUNT(*)".to_owned(),
            2 => format!("COUNT({})", self.any_column(&alias)),
            3 => format!("SUM({})", self.exact(&alias)),
            4 => format!("AVG({})", self.exact(&alias)),
            5 => format!("MIN({})", self.any_column(&alias))
                .replace(".bits", ".i")
                .replace(".z", ".i"),
            6 => format!("MAX({})", self.any_column(&alias))
                .replace(".bits", ".i")
                .replace(".z", ".i"),
            7 => format!("COUNT(DISTINCT {})", self.any_column(&alias)),
            8 => format!("SUM({alias}.d) / COUNT(*) + 1"),
            _ => format!("GROUP_CONCAT(DISTINCT {alias}.n ORDER BY {alias}.n)"),
        }
    }

    fn block(&mut self, width: Option<usize>) -> (String, usize) {
        let mut aliases = Vec::new();
        let from = self.from(&mut aliases, 0);
        let mut items = Vec::new();
        let mut tail = String::new();
        let wanted = width.unwrap_or(1 + self.random.below(4) as usize);
        let grouped = self.random.chance(40);
        if grouped {
            let mut groups = Vec::new();
            for _ in 0..self.random.below(3).min(wanted as u64) {
                let alias = self.random.pick(&aliases).clone();
                let group = match self.random.below(4) {
                    0 => format!("YEAR({alias}.dt)"),
                    1 => format!("{alias}.k"),
                    _ => self.any_column(&alias),
                };
                // A server says these as bits or as numbers, as it groups them.
                let group = group.replace(".bits", ".i");
                items.push(group.clone());
                groups.push(group);
            }
            while items.len() < wanted {
                items.push(self.aggregate(&aliases));
            }
            if !groups.is_empty() {
                write!(tail, " GROUP BY {}", groups.join(", ")).unwrap();
                if self.random.chance(25) {
                    write!(tail, " HAVING COUNT(*) > {}", self.random.below(3)).unwrap();
                }
            }
        } else {
            while items.len() < wanted {
                let alias = self.random.pick(&aliases).clone();
                items.push(match self.random.below(8) {
                    0 | 1 => self.number(&aliases, 0),
                    2 => self.text(&aliases, 0),
                    3 => format!(
                        "ROW_NUMBER() OVER (PARTITION BY {alias}.i ORDER BY {})",
                        self.total(&aliases)
                    ),
                    _ => self.any_column(&alias),
                });
            }
            if width.is_none() && aliases.len() == 1 && self.random.chance(12) {
                items = vec!["*".to_owned()];
            }
        }
        let distinct = if self.random.chance(10) {
            "DISTINCT "
        } else {
            ""
        };
        let mut condition = String::new();
        if self.random.chance(65) {
            condition = format!(" WHERE {}", self.condition(&aliases, 0));
            if self.random.chance(30) {
                write!(condition, " AND {}", self.condition(&aliases, 1)).unwrap();
            }
        }
        let items: Vec<_> = items
            .iter()
            .enumerate()
            .map(|(at, item)| match self.random.chance(60) && item != "*" {
                true => format!("{item} AS r{at}"),
                false => item.clone(),
            })
            .collect();
        let width = if items == ["*"] { 0 } else { items.len() };
        (
            format!(
                "SELECT {distinct}{} FROM {from}{condition}{tail}",
                items.join(", ")
            ),
            width,
        )
    }

    /// Columns that no two rows have alike.
    fn total(&mut self, aliases: &[String]) -> String {
        let keys: Vec<_> = aliases.iter().map(|it| format!("{it}.k, {it}.n")).collect();
        keys.join(", ")
    }

    pub fn query(&mut self) -> Query {
        let (mut text, width) = self.block(None);
        let mut is_ordered = false;
        if width > 0 && self.random.chance(12) {
            let (other, _) = self.block(Some(width));
            let kind = *self
                .random
                .pick(&["UNION", "UNION ALL", "EXCEPT", "INTERSECT"]);
            text = format!("{text} {kind} {other}");
        }
        if width > 0 && self.random.chance(45) {
            let places: Vec<_> = (1..=width)
                .map(|at| format!("{at}{}", self.random.pick(&["", " DESC"])))
                .collect();
            write!(text, " ORDER BY {}", places.join(", ")).unwrap();
            is_ordered = true;
            if self.random.chance(50) {
                write!(text, " LIMIT {}", 1 + self.random.below(9)).unwrap();
                if self.random.chance(30) {
                    write!(text, " OFFSET {}", self.random.below(5)).unwrap();
                }
            }
        }
        if self.random.chance(8) {
            text = format!(
                "WITH w AS (SELECT * FROM h1 WHERE n > 3) {}",
                text.replace("h1", "w")
            );
        }
        // A server says these as bits or as numbers, as it compares rows.
        if ["DISTINCT ", "UNION", "EXCEPT", "INTERSECT"]
            .iter()
            .any(|it| text.contains(it))
        {
            for alias in ["a0", "a1", "a2"] {
                text = text.replace(&format!("{alias}.bits"), &format!("{alias}.i"));
            }
        }
        Query { text, is_ordered }
    }
}
