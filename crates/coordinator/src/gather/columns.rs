//! Definitions of columns: what they hold, and how values of them travel.

use openpeta_mysql_wire::{Capabilities, Reader, WireError};

/// The number of the character set of bytes.
const BINARY: u16 = 63;
const UNSIGNED: u16 = 32;
const ZEROFILL: u16 = 64;

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnType {
    charset: u16,
    length: u32,
    kind: u8,
    flags: u16,
    decimals: u8,
}

/// How values are written down in the text protocol: columns of the same form have the same texts for the
/// same values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Whole numbers; filled up to so many digits.
    Integer(Option<u32>),
    /// With so many digits behind the point.
    Decimal(u8),
    /// As few digits as tell it from others, or so many behind the point.
    Float(u8),
    /// The same, of twice the size.
    Double(u8),
    /// A time of some kind, with so many digits of a second.
    Time(u8, u8),
    /// So many bits.
    Bit(u32),
    /// Characters or bytes.
    Text,
    /// Anything else.
    Other(u8),
}

impl ColumnType {
    /// Reads a definition.
    ///
    /// # Errors
    /// When it is cut short.
    pub fn read(definition: &[u8], capabilities: Capabilities) -> Result<Self, WireError> {
        let mut reader = Reader::new(definition);
        for _ in 0..6 {
            reader.lenenc_bytes()?;
        }
        if capabilities.contains(Capabilities::MARIADB_EXTENDED_METADATA) {
            reader.lenenc_bytes()?;
        }
        reader.lenenc_int()?;
        let charset = reader.u16()?;
        let length = reader.u32()?;
        let kind = reader.u8()?;
        let flags = reader.u16()?;
        let decimals = reader.u8()?;
        Ok(Self {
            charset,
            length,
            kind,
            flags,
            decimals,
        })
    }

    /// How its values are written.
    #[must_use]
    pub fn form(&self) -> Form {
        match self.kind {
            1 | 2 | 3 | 8 | 9 => {
                let fills = self.flags & ZEROFILL != 0;
                Form::Integer(fills.then_some(self.length))
            }
            0 | 246 => Form::Decimal(self.decimals),
            4 => Form::Float(self.decimals),
            5 => Form::Double(self.decimals),
            kind @ (7 | 10 | 11 | 12) => Form::Time(kind, self.decimals),
            16 => Form::Bit(self.length),
            15 | 247..=254 => Form::Text,
            other => Form::Other(other),
        }
    }

    /// Whether it is one of the long texts, whose greatest length depends on how a server finds them.
    fn is_long(&self) -> bool {
        matches!(self.kind, 249..=252)
    }

    /// Whether it is an approximate number: a sum of those depends on their order.
    #[must_use]
    pub fn is_approximate(&self) -> bool {
        matches!(self.kind, 4 | 5)
    }

    /// Whether it is a point in time that is written in the session's time zone.
    #[must_use]
    pub fn is_timestamp(&self) -> bool {
        self.kind == 7
    }

    /// Whether texts of an expression of that type, as they travel, are what a column of this type takes.
    #[must_use]
    pub fn takes(&self, sent: &Self) -> bool {
        match (self.form(), sent.form()) {
            (Form::Integer(_), Form::Integer(_))
            | (Form::Float(_) | Form::Double(_), Form::Double(_))
            | (Form::Text, Form::Text)
            | (Form::Time(7, _), Form::Integer(_) | Form::Decimal(_)) => true,
            (own, sent) => own == sent,
        }
    }

    /// `DECIMAL (…)` with its digits, if it is that.
    #[must_use]
    pub fn decimal(&self) -> Option<String> {
        if self.form() != Form::Decimal(self.decimals) {
            return None;
        }
        let sign = u32::from(self.flags & UNSIGNED == 0);
        let point = u32::from(self.decimals > 0);
        let digits = self.length.checked_sub(sign + point)?;
        Some(format!("DECIMAL({digits},{})", self.decimals))
    }

    /// What a node is asked for in the place of an expression of this type, so that its text says
    /// all, whatever the session's settings.
    #[must_use]
    pub fn travelling(&self, expression: &[u8]) -> Vec<u8> {
        let call = |before: &str, behind: &str| {
            [before.as_bytes(), expression, behind.as_bytes()].concat()
        };
        match self.kind {
            4 | 5 => call("CAST(", " AS DOUBLE)"),
            // Of the time that is none it is 0, but NULL where it is found through a view or a function.
            7 => [
                call("IF(", " IS NULL,NULL,"),
                call("COALESCE(UNIX_TIMESTAMP(", "),0))"),
            ]
            .concat(),
            15 | 249..=254 if self.charset != BINARY => call("CAST(", " AS BINARY)"),
            _ => expression.to_vec(),
        }
    }
}

/// The definition of a column as the statement has it, `own`, where its values are found by another one:
/// where the length depends on how a server finds the values, it is that of the values as they are found.
///
/// # Errors
/// When a definition is cut short.
pub fn told(own: &[u8], found: &[u8], capabilities: Capabilities) -> Result<Vec<u8>, WireError> {
    let (mine, its) = (
        ColumnType::read(own, capabilities)?,
        ColumnType::read(found, capabilities)?,
    );
    let mut told = own.to_vec();
    if mine.is_long() && its.is_long() && found.len() >= FIXED {
        let from = told.len() - FIXED;
        told[from..].copy_from_slice(&found[found.len() - FIXED..]);
    }
    Ok(told)
}

/// A definition with the type of another one.
#[must_use]
pub fn with_types(own: &[u8], found: &[u8]) -> Vec<u8> {
    let (Some(names), Some(kind)) = (
        own.len().checked_sub(FIXED).map(|end| &own[..end]),
        found.len().checked_sub(FIXED).map(|from| &found[from..]),
    ) else {
        return found.to_vec();
    };
    [names, kind].concat()
}

/// What stands at the end of a definition: character set, length, type, flags, decimals, two bytes.
const FIXED: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: u8, charset: u16, length: u32, flags: u16, decimals: u8) -> ColumnType {
        ColumnType {
            charset,
            length,
            kind,
            flags,
            decimals,
        }
    }

    #[test]
    fn decimals_have_their_digits() {
        assert_eq!(
            of(246, 63, 17, 0, 2).decimal().as_deref(),
            Some("DECIMAL(15,2)")
        );
        assert_eq!(
            of(246, 63, 33, 0, 0).decimal().as_deref(),
            Some("DECIMAL(32,0)")
        );
        assert_eq!(
            of(246, 63, 16, 32, 2).decimal().as_deref(),
            Some("DECIMAL(15,2)")
        );
        assert_eq!(of(5, 63, 16, 32, 2).decimal(), None);
    }

    #[test]
    fn what_texts_do_not_say_is_asked_for_in_another_way() {
        let asked = |column: ColumnType| String::from_utf8(column.travelling(b"`a`")).unwrap();
        assert_eq!(asked(of(253, 45, 40, 0, 0)), "CAST(`a` AS BINARY)");
        assert_eq!(asked(of(253, 63, 40, 0, 0)), "`a`");
        assert_eq!(asked(of(4, 63, 12, 0, 31)), "CAST(`a` AS DOUBLE)");
        assert_eq!(
            asked(of(7, 63, 19, 0, 0)),
            "IF(`a` IS NULL,NULL,COALESCE(UNIX_TIMESTAMP(`a`),0))"
        );
    }
}
