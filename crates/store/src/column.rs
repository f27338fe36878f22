//! How values of the types crate look in SQL columns.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use jiff::Timestamp;
use openpeta_types::{
    AccessKeyId, AccountDescription, AccountId, AccountName, AccountStatus, AccountType, BackupId,
    BackupMethod, BackupMode, BackupPeriod, BackupStatus, BackupType, BackupWindow, BusinessUnit,
    ChargeType, ConnectionPrefix, DbName, EndpointId, EndpointType, EventKind, InstanceId,
    InstanceName, LockMode, NetworkType, NodeId, NodeSpec, ObjectStatus, OrderId, PrivilegeSet,
    RetentionDays, Severity, TagKey, TagValue, TaskId, TaskStatus, TraceContext, VSwitchId, VpcId,
};
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::{Error as ValueError, StrDeserializer};

use crate::StoreError;

/// A value that fits one column.
pub(crate) trait Column: Sized {
    /// Reads it; `None` when the column holds something else.
    fn read(value: ValueRef<'_>) -> Option<Self>;
    /// Writes it.
    fn write(&self) -> ToSqlOutput<'_>;
}

/// Lends a value to a statement as a parameter.
pub(crate) struct P<'a, T>(pub(crate) &'a T);

impl<T: Column> ToSql for P<'_, T> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.write())
    }
}

/// Reads the columns of a row one after the other.
pub(crate) struct Columns<'r, 's> {
    row: &'r rusqlite::Row<'s>,
    table: &'static str,
    next: usize,
}

impl<'r, 's> Columns<'r, 's> {
    /// Begins at the first column; the table is named in errors.
    pub(crate) fn new(table: &'static str, row: &'r rusqlite::Row<'s>) -> Self {
        Self {
            row,
            table,
            next: 0,
        }
    }

    /// The next column.
    pub(crate) fn get<T: Column>(&mut self) -> Result<T, StoreError> {
        let index = self.next;
        self.next += 1;
        T::read(self.row.get_ref(index)?).ok_or_else(|| StoreError::bad_row(self.table, index))
    }
}

/// Text columns: how to read one from `&str` and show it as `&str`.
macro_rules! text_columns {
    ($($type:ty: $read:expr, $write:expr;)+) => {
        $(impl Column for $type {
            fn read(value: ValueRef<'_>) -> Option<Self> {
                let read: fn(&str) -> Option<Self> = $read;
                read(value.as_str().ok()?)
            }
            fn write(&self) -> ToSqlOutput<'_> {
                let write: fn(&Self) -> &str = $write;
                ToSqlOutput::Borrowed(ValueRef::Text(write(self).as_bytes()))
            }
        })+
    };
}

text_columns! {
    String: |text| Some(text.to_owned()), |value| value;
    InstanceId: |text| Self::parse(text).ok(), Self::as_str;
    NodeId: |text| Self::parse(text).ok(), Self::as_str;
    EndpointId: |text| Self::parse(text).ok(), Self::as_str;
    VpcId: |text| Self::parse(text).ok(), Self::as_str;
    VSwitchId: |text| Self::parse(text).ok(), Self::as_str;
    AccessKeyId: |text| Self::parse(text).ok(), Self::as_str;
    DbName: |text| Self::parse(text).ok(), Self::as_str;
    InstanceName: |text| Self::parse(text).ok(), Self::as_str;
    TagKey: |text| Self::parse(text).ok(), Self::as_str;
    TagValue: |text| Self::parse(text).ok(), Self::as_str;
    BusinessUnit: |text| Self::parse(text).ok(), Self::as_str;
    ConnectionPrefix: |text| Self::parse(text).ok(), Self::as_str;
    AccountName: |text| Self::parse_lookup(text).ok(), Self::as_str;
    AccountDescription: |text| Self::parse(text).ok(), Self::as_str;
    NodeSpec: node_spec, Self::as_str;
    AccountType: Self::parse, |value| value.as_str();
    AccountStatus: Self::parse, |value| value.as_str();
    BackupMethod: Self::parse, |value| value.as_str();
    BackupMode: Self::parse, |value| value.as_str();
    BackupStatus: Self::parse, |value| value.as_str();
    BackupType: Self::parse, |value| value.as_str();
    ChargeType: Self::parse, |value| value.as_str();
    EndpointType: Self::parse, |value| value.as_str();
    EventKind: Self::parse, |value| value.as_str();
    LockMode: Self::parse, |value| value.as_str();
    NetworkType: Self::parse, |value| value.as_str();
    ObjectStatus: Self::parse, |value| value.as_str();
    PrivilegeSet: Self::parse, |value| value.as_str();
    TaskStatus: Self::parse, |value| value.as_str();
    crate::AlertPhase: Self::parse, |value| value.as_str();
    crate::Comparison: Self::parse, |value| value.as_str();
    crate::NoData: Self::parse, |value| value.as_str();
    crate::AccessKeyStatus: Self::parse, |value| value.as_str();
    crate::EndpointState: Self::parse, |value| value.as_str();
    crate::NodeState: Self::parse, |value| value.as_str();
    crate::TaskPhase: Self::parse, |value| value.as_str();
    crate::StepState: Self::parse, |value| value.as_str();
}

/// Integer columns: how to read one from `i64` and to write it as `i64`.
macro_rules! integer_columns {
    ($($type:ty: $read:expr, $write:expr;)+) => {
        $(impl Column for $type {
            fn read(value: ValueRef<'_>) -> Option<Self> {
                let read: fn(i64) -> Option<Self> = $read;
                read(value.as_i64().ok()?)
            }
            fn write(&self) -> ToSqlOutput<'_> {
                let write: fn(&Self) -> i64 = $write;
                ToSqlOutput::Owned(Value::Integer(write(self)))
            }
        })+
    };
}

integer_columns! {
    bool: |number| Some(number != 0), |value| i64::from(*value);
    u8: |number| number.try_into().ok(), |value| i64::from(*value);
    u16: |number| number.try_into().ok(), |value| i64::from(*value);
    u32: |number| number.try_into().ok(), |value| i64::from(*value);
    i64: Some, |value| *value;
    AccountId: |number| number.try_into().ok().map(Self::from_number), |id| id.number().cast_signed();
    TaskId: |number| Some(Self::from_number(number)), |id| id.number();
    OrderId: |number| Some(Self::from_number(number)), |id| id.number();
    BackupId: |number| Some(Self::from_number(number)), |id| id.number();
    RetentionDays: |number| Self::new(number.try_into().ok()?).ok(), |days| days.days().into();
    Severity: |number| Self::ALL.get(usize::try_from(number).ok()?).copied(), |value| *value as i64;
    Timestamp: |number| Self::from_microsecond(number).ok(), |time| time.as_microsecond();
}

/// Columns that are written by their `Display` and read by `FromStr`.
macro_rules! displayed_columns {
    ($($type:ty),+) => {
        $(impl Column for $type {
            fn read(value: ValueRef<'_>) -> Option<Self> {
                value.as_str().ok()?.parse().ok()
            }
            fn write(&self) -> ToSqlOutput<'_> {
                ToSqlOutput::Owned(Value::Text(self.to_string()))
            }
        })+
    };
}

displayed_columns!(IpAddr, Ipv4Addr, Ipv4Net, BackupPeriod, BackupWindow);

impl Column for TraceContext {
    fn read(value: ValueRef<'_>) -> Option<Self> {
        Self::parse(value.as_str().ok()?)
    }
    fn write(&self) -> ToSqlOutput<'_> {
        ToSqlOutput::Owned(Value::Text(self.to_string()))
    }
}

impl Column for f64 {
    fn read(value: ValueRef<'_>) -> Option<Self> {
        value.as_f64().ok()
    }
    fn write(&self) -> ToSqlOutput<'_> {
        ToSqlOutput::Owned(Value::Real(*self))
    }
}

impl Column for Vec<u8> {
    fn read(value: ValueRef<'_>) -> Option<Self> {
        value.as_blob().ok().map(<[u8]>::to_vec)
    }
    fn write(&self) -> ToSqlOutput<'_> {
        ToSqlOutput::Borrowed(ValueRef::Blob(self))
    }
}

impl<T: Column> Column for Option<T> {
    fn read(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Null => Some(None),
            value => T::read(value).map(Some),
        }
    }
    fn write(&self) -> ToSqlOutput<'_> {
        match self {
            Some(value) => value.write(),
            None => ToSqlOutput::Owned(Value::Null),
        }
    }
}

/// A node spec by name; the catalogue may have lost it since, the row keeps it.
fn node_spec(text: &str) -> Option<NodeSpec> {
    let text: StrDeserializer<'_, ValueError> = text.into_deserializer();
    NodeSpec::deserialize(text).ok()
}
