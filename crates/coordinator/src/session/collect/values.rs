//! Values of collected rows: where they lead, and how they are asked for and written.

use openpeta_sql_route::{KeyType, KeyValue};

use crate::Refusal;
use crate::catalogue::{Column, Table};
use crate::quote::identifier;
use crate::session::Failure;
use crate::topology::Topology;

/// In which partition a row belongs, and on which node; `None` if that is on all.
pub(super) fn place_of_row(
    table: &Table,
    stored: &[usize],
    values: &[Option<&[u8]>],
    auto_at: Option<usize>,
    id: Option<&[u8]>,
    topology: &Topology,
) -> Result<Option<(u16, u16)>, Failure> {
    let Some(key) = table.key() else {
        return Ok(None);
    };
    let find = || {
        let column = table.column(key.name.as_bytes())?;
        let at = stored.iter().position(|it| *it == column)?;
        let value = if auto_at == Some(at) {
            id.or(values[at])
        } else {
            values[at]
        }?;
        let value = match key.kind {
            KeyType::Integer { .. } => {
                KeyValue::Integer(std::str::from_utf8(value).ok()?.parse().ok()?)
            }
            KeyType::Text { .. } => KeyValue::Text(value.into()),
        };
        let partition = key.partition(&value, topology.partitions(&table.schema)?)?;
        Some((partition, topology.node_of(&table.schema, partition)?))
    };
    match find() {
        Some(place) => Ok(Some(place)),
        None => Err(Refusal::new(
            "insert-key",
            format!(
                "a row has no value for the distribution column `{}`",
                key.name
            ),
        )
        .into()),
    }
}

/// How a column's values are asked for, so that nothing of them is lost in a text.
pub(super) fn shown(column: &Column) -> String {
    let name = identifier(&column.name);
    match column.data_type.as_str() {
        "float" => format!("CAST({name} AS DOUBLE)"),
        "bit" => format!("{name} + 0"),
        _ if is_binary(column) => format!("HEX({name})"),
        _ => name,
    }
}

fn is_binary(column: &Column) -> bool {
    matches!(
        column.data_type.as_str(),
        "binary"
            | "varbinary"
            | "tinyblob"
            | "blob"
            | "mediumblob"
            | "longblob"
            | "geometry"
            | "point"
            | "linestring"
            | "polygon"
            | "multipoint"
            | "multilinestring"
            | "multipolygon"
            | "geometrycollection"
    )
}

fn is_number(column: &Column) -> bool {
    matches!(
        column.data_type.as_str(),
        "tinyint"
            | "smallint"
            | "mediumint"
            | "int"
            | "bigint"
            | "decimal"
            | "float"
            | "double"
            | "bit"
            | "year"
    )
}

/// Appends a value that was asked for so.
pub(super) fn put_literal(
    out: &mut Vec<u8>,
    column: &Column,
    value: Option<&[u8]>,
    no_backslashes: bool,
) {
    match value {
        None => out.extend_from_slice(b"NULL"),
        Some(value) if is_number(column) => out.extend_from_slice(value),
        Some(value) if is_binary(column) => {
            out.extend_from_slice(b"X'");
            out.extend_from_slice(value);
            out.push(b'\'');
        }
        Some(value) => {
            out.push(b'\'');
            for &byte in value {
                match byte {
                    b'\'' => out.extend_from_slice(b"''"),
                    b'\\' if !no_backslashes => out.extend_from_slice(b"\\\\"),
                    byte => out.push(byte),
                }
            }
            out.push(b'\'');
        }
    }
}
