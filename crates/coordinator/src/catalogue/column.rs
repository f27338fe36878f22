//! Columns of tables.

use openpeta_sql_route::{Folding, KeyType};

/// A column of a distributed table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as `information_schema` writes it: `bigint(20) unsigned`.
    pub column_type: String,
    /// The type alone: `bigint`.
    pub data_type: String,
    /// Whether it can be NULL.
    pub nullable: bool,
    /// Its collation, of text.
    pub collation: Option<String>,
    /// The number of that collation.
    pub collation_id: Option<u16>,
    /// How many characters fit, of text.
    pub max_chars: Option<u64>,
    /// Whether it is generated.
    pub generated: bool,
    /// Whether `SELECT *` leaves it out, and rows without a list of columns have no value for it.
    pub invisible: bool,
    /// Its default as SQL, if it has one.
    pub default: Option<String>,
    /// `auto_increment`, `on update current_timestamp()` and what else there is.
    pub extra: String,
}

impl Column {
    /// What it holds as a distribution column; the reason if it cannot be one.
    ///
    /// # Errors
    /// The reason, for whoever wrote the definition.
    pub fn key_type(&self) -> Result<KeyType, String> {
        if self.nullable {
            return Err(format!(
                "the distribution column `{}` must be NOT NULL",
                self.name
            ));
        }
        if self.generated {
            return Err(format!(
                "the distribution column `{}` must not be a generated column",
                self.name
            ));
        }
        let unsigned =
            self.column_type.contains("unsigned") || self.column_type.contains("zerofill");
        let bits = match self.data_type.as_str() {
            "tinyint" => Some(8),
            "smallint" => Some(16),
            "mediumint" => Some(24),
            "int" => Some(32),
            "bigint" => Some(64),
            _ => None,
        };
        if let Some(bits) = bits {
            let (min, max) = match unsigned {
                true => (0, (1_i128 << bits) - 1),
                false => (-(1_i128 << (bits - 1)), (1_i128 << (bits - 1)) - 1),
            };
            return Ok(KeyType::Integer { min, max });
        }
        if !matches!(self.data_type.as_str(), "char" | "varchar") {
            return Err(format!(
                "the distribution column `{}` must be of an integer type, CHAR or VARCHAR, not {}",
                self.name, self.column_type
            ));
        }
        let collation = self.collation.as_deref().unwrap_or_default();
        let is_utf8 = ["utf8mb4_", "utf8mb3_", "utf8_"]
            .iter()
            .any(|prefix| collation.starts_with(prefix));
        let folding = self.collation_id.and_then(Folding::of_collation);
        match (folding.filter(|_| is_utf8), self.max_chars) {
            (Some(folding), Some(max_chars)) => Ok(KeyType::Text {
                folding,
                max_chars: usize::try_from(max_chars).unwrap_or(usize::MAX),
            }),
            _ => Err(format!(
                "the distribution column `{}` must have a collation out of utf8mb4_bin, \
                 utf8mb4_general_ci, utf8mb3_bin and utf8mb3_general_ci, not {collation}",
                self.name
            )),
        }
    }
}
