//! What the generator knows of the tables: names, columns, and what their values may be.

use crate::reads_support::random::Random;

/// What can be done with values of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    Integer,
    Decimal,
    /// `FLOAT` and `DOUBLE`, with values whose sums are exact.
    Approximate,
    Text,
    Date,
    Other,
}

#[derive(Debug)]
pub struct Type {
    pub sql: &'static str,
    pub class: Class,
    /// Literals that fit.
    pub values: &'static [&'static str],
    /// Literals that are refused or cut, as the mode says.
    pub wrong: &'static [&'static str],
    /// A type that can take all values of this one.
    pub wider: Option<&'static str>,
}

macro_rules! types {
    ($($sql:literal $class:ident [$($value:literal),*] [$($wrong:literal),*] $wider:expr;)*) => {
        &[$(Type { sql: $sql, class: Class::$class, values: &[$($value),*], wrong: &[$($wrong),*], wider: $wider }),*]
    };
}

/// Words that differ by case and by blanks behind them alone are equal by their collation.
pub static TYPES: &[Type] = types! {
    "INT" Integer ["0", "1", "-1", "2", "7", "42", "1000", "2147483647", "-2147483648"] ["99999999999", "'abc'"] Some("BIGINT");
    "TINYINT" Integer ["0", "1", "-1", "100", "127", "-128"] ["300"] Some("INT");
    "SMALLINT UNSIGNED" Integer ["0", "1", "5", "500", "65535"] ["-1", "70000"] Some("INT UNSIGNED");
    "MEDIUMINT" Integer ["0", "3", "-3", "8388607"] ["9000000"] None;
    "BIGINT" Integer ["0", "12", "-12", "9223372036854775807"] ["'x'"] None;
    "BIGINT UNSIGNED" Integer ["0", "12", "18446744073709551615"] ["-5"] None;
    "BOOLEAN" Integer ["TRUE", "FALSE", "0", "1"] ["1000"] None;
    "DECIMAL(10,2)" Decimal ["0", "1.50", "-1.50", "99999999.99", "3.14", "10"] ["1234567890123", "'?'"] Some("DECIMAL(14,4)");
    "DECIMAL(30,10) UNSIGNED" Decimal ["0", "0.0000000001", "12345678901234567890.0123456789"] ["-1"] None;
    "DOUBLE" Approximate ["0", "0.25", "-0.5", "1024.75", "1e6"] ["'1e'"] None;
    "FLOAT" Approximate ["0", "0.5", "-2.25", "100"] ["'z'"] None;
    "VARCHAR(20)" Text ["''", "'apple'", "'Apple'", "'APPLE'", "'apple '", "'birne'", "'it''s'", "'ünlü'", "'100%'", "'a_b'", "'back\\\\slash'"] ["'much longer than twenty characters'"] Some("VARCHAR(60)");
    "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" Text ["''", "'apple'", "'Apple'", "'birne'", "'😀'", "'x'"] ["'much longer than twenty characters'"] None;
    "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_unicode_ci" Text ["''", "'straße'", "'apple'", "'APPLE '", "'Zoë'"] ["'much longer than twenty characters'"] None;
    "CHAR(8)" Text ["''", "'abc'", "'ABC'", "'q'", "'zz'"] ["'123456789'"] None;
    "CHAR(8) CHARACTER SET latin1 COLLATE latin1_swedish_ci" Text ["''", "'abc'", "'äöü'", "'q'"] ["'123456789'"] None;
    "VARCHAR(9) CHARACTER SET utf16" Text ["''", "'Ω'", "'tab\\t'", "'x'"] ["'0123456789'"] None;
    "TEXT" Text ["''", "'short'", "'Short'", "REPEAT('long ', 300)"] [] Some("LONGTEXT");
    "ENUM('x','y','z''s')" Other ["'x'", "'y'", "'z''s'", "2"] ["'none'"] None;
    "SET('p','q','r')" Other ["''", "'p'", "'p,r'", "'r,q'"] ["'s'"] None;
    "VARBINARY(10)" Other ["''", "X'00FF5C'", "'abc'", "'abc '"] ["'12345678901'"] None;
    "BLOB" Other ["''", "X'0A0D'", "'blob'"] [] None;
    "DATE" Date ["'2024-02-29'", "'2024-12-31'", "'1999-01-01'", "'2024-06-15'"] ["'2024-02-30'", "'soon'"] None;
    "DATETIME" Date ["'2024-02-29 23:59:59'", "'1999-01-01 00:00:00'", "'2024-06-15 12:30:00'"] ["'2024-13-01'"] Some("DATETIME(6)");
    "DATETIME(6)" Date ["'2024-02-29 23:59:59.999999'", "'2024-06-15 12:30:00.5'"] ["'never'"] None;
    "TIMESTAMP NULL" Date ["'2024-03-31 01:30:00'", "'2024-10-27 02:30:00'", "'2001-01-01'"] ["'1900-01-01'"] None;
    "TIME" Other ["'00:00:00'", "'-12:30:01'", "'800:00:00'"] ["'900:00:00'"] Some("TIME(3)");
    "YEAR" Other ["1999", "2024", "2155"] ["3000"] None;
    "BIT(8)" Other ["b'0'", "b'101'", "255"] ["256"] None;
    "JSON" Other ["'{\"a\": [1, 2]}'", "'null'", "'\"ä\"'"] ["'{'"] None;
    "UUID" Other ["'123e4567-e89b-12d3-a456-426655440000'", "'00000000-0000-0000-0000-000000000001'"] ["'x'"] None;
    "INET6" Other ["'::1'", "'2001:db8::ff00'"] ["'x'"] None;
};

/// Types of the columns that tables are distributed by.
pub const KEYS: [(&str, bool); 6] = [
    ("INT", false),
    ("INT", false),
    ("BIGINT", false),
    ("SMALLINT UNSIGNED", false),
    (
        "VARCHAR(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci",
        true,
    ),
    (
        "VARCHAR(12) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        true,
    ),
];

#[derive(Clone, Debug)]
pub struct Column {
    pub name: String,
    pub kind: &'static Type,
    pub is_nullable: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    Hashed,
    Broadcast,
    Single,
}

/// A table: the column `k`, by which it is distributed if it is; `n INT NOT NULL`; and others.
#[derive(Clone, Debug)]
pub struct Table {
    pub name: String,
    pub key_type: &'static str,
    pub is_text_key: bool,
    /// `k` is `AUTO_INCREMENT`.
    pub is_auto: bool,
    /// The primary key is `k, n`, not `k` alone.
    pub has_wide_key: bool,
    pub columns: Vec<Column>,
    pub indexes: Vec<String>,
}

impl Table {
    pub fn primary(&self) -> &'static [&'static str] {
        match self.has_wide_key {
            true => &["k", "n"],
            false => &["k"],
        }
    }

    /// What orders its rows, with an alias.
    pub fn order(&self, alias: &str) -> String {
        let columns = self.primary().iter().map(|name| format!("{alias}.{name}"));
        columns.collect::<Vec<_>>().join(", ")
    }

    /// A value for `k`.
    pub fn key(&self, random: &mut Random) -> String {
        let number = random.below(36);
        if !self.is_text_key {
            return number.to_string();
        }
        let mut text = format!("key {number}");
        if self.key_type.ends_with("_ci") && random.chance(30) {
            text = text.to_uppercase();
        }
        if random.chance(10) {
            text.push(' ');
        }
        format!("'{text}'")
    }

    pub fn column_of(&self, random: &mut Random, class: Class) -> Option<Column> {
        let fitting: Vec<_> = self
            .columns
            .iter()
            .filter(|it| it.kind.class == class)
            .collect();
        match fitting.is_empty() {
            true => None,
            false => Some((*random.pick(&fitting)).clone()),
        }
    }
}

/// A value for a column, as a literal.
pub fn value(random: &mut Random, column: &Column, wrong_percent: u64) -> String {
    if column.is_nullable && random.chance(15) {
        return "NULL".to_owned();
    }
    if !column.kind.wrong.is_empty() && random.chance(wrong_percent) {
        return (*random.pick(column.kind.wrong)).to_owned();
    }
    (*random.pick(column.kind.values)).to_owned()
}
