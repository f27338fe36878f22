//! What a node answers.

use openpeta_mysql_wire::{
    Capabilities, ErrPacket, OkPacket, Reader, Status, WireError, put_lenenc_bytes,
};

/// The whole answer to a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was done.
    Ok(OkReply),
    /// It has rows.
    Rows(ResultSet),
    /// It failed.
    Err(ErrPacket),
}

impl Reply {
    /// The error that it is.
    ///
    /// # Errors
    /// That error.
    pub fn ok(self) -> Result<Self, ErrPacket> {
        match self {
            Self::Err(error) => Err(error),
            other => Ok(other),
        }
    }

    /// The status flags that came with it; `None` with an error.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        match self {
            Self::Ok(ok) => Some(ok.head.status),
            Self::Rows(rows) => Some(rows.status),
            Self::Err(_) => None,
        }
    }

    /// Its rows; `None` for anything else.
    #[must_use]
    pub fn rows(self) -> Option<ResultSet> {
        match self {
            Self::Rows(rows) => Some(rows),
            _ => None,
        }
    }
}

/// An OK.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OkReply {
    /// Its numbers.
    pub head: OkPacket,
    /// Its text, such as `Records: 3  Duplicates: 0  Warnings: 0`.
    pub info: Vec<u8>,
}

impl OkReply {
    /// Reads a payload.
    ///
    /// # Errors
    /// When it is cut short.
    pub fn parse(payload: &[u8]) -> Result<Self, WireError> {
        let head = OkPacket::parse(payload)?;
        let mut reader = Reader::new(payload);
        reader.u8()?;
        reader.lenenc_int()?;
        reader.lenenc_int()?;
        reader.u32()?;
        let info = reader.lenenc_bytes().unwrap_or_default().to_vec();
        Ok(Self { head, info })
    }

    /// The payload that says so.
    #[must_use]
    pub fn payload(&self) -> Vec<u8> {
        let mut payload = Vec::new();
        let status = Status(self.head.status.0 & !Status::SESSION_STATE_CHANGED.0);
        OkPacket {
            status,
            ..self.head
        }
        .encode(&mut payload);
        if !self.info.is_empty() {
            put_lenenc_bytes(&mut payload, &self.info);
        }
        payload
    }
}

/// Rows, as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultSet {
    /// The payloads of the definitions of its columns.
    pub columns: Vec<Vec<u8>>,
    /// The payloads of its rows.
    pub rows: Vec<Vec<u8>>,
    /// What the session's status is behind it.
    pub status: Status,
    /// How many warnings there were.
    pub warnings: u16,
}

impl ResultSet {
    /// The values of its rows, in the text protocol.
    ///
    /// # Errors
    /// When a row is not as long as it says.
    pub fn texts(&self) -> Result<Vec<Vec<Option<Vec<u8>>>>, WireError> {
        self.rows
            .iter()
            .map(|row| {
                let values = text_row(row, self.columns.len())?;
                Ok(values
                    .into_iter()
                    .map(|it| it.map(<[u8]>::to_vec))
                    .collect())
            })
            .collect()
    }
}

/// The values of a row of the text protocol.
///
/// # Errors
/// When it is cut short.
pub fn text_row(row: &[u8], columns: usize) -> Result<Vec<Option<&[u8]>>, WireError> {
    let mut values = Vec::with_capacity(columns);
    let mut rest = row;
    for _ in 0..columns {
        if let [0xFB, after @ ..] = rest {
            values.push(None);
            rest = after;
            continue;
        }
        let mut reader = Reader::new(rest);
        values.push(Some(reader.lenenc_bytes()?));
        rest = reader.rest();
    }
    Ok(values)
}

/// The name of a column, out of its definition.
///
/// # Errors
/// When it is cut short.
pub fn column_name(definition: &[u8]) -> Result<&[u8], WireError> {
    let mut reader = Reader::new(definition);
    for _ in 0..4 {
        reader.lenenc_bytes()?;
    }
    reader.lenenc_bytes()
}

/// What a payload means where a reply, or the rest of one, begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum First {
    Ok(OkReply),
    Err(ErrPacket),
    /// So many columns; whether their definitions follow.
    Columns(usize, bool),
    /// A file of the client's is wanted.
    File,
    /// A report of progress.
    Nothing,
}

/// Reads the first payload of a result.
pub(super) fn first(payload: &[u8], capabilities: Capabilities) -> Result<First, WireError> {
    match payload.first() {
        Some(0x00) => Ok(First::Ok(OkReply::parse(payload)?)),
        Some(0xFF) => {
            let error = ErrPacket::parse(payload)?;
            Ok(match error.code {
                0xFFFF => First::Nothing,
                _ => First::Err(error),
            })
        }
        Some(0xFB) => Ok(First::File),
        Some(_) => {
            let mut reader = Reader::new(payload);
            let columns = usize::try_from(reader.lenenc_int()?)
                .map_err(|_| WireError::Malformed("number of columns"))?;
            let caches = capabilities.contains(Capabilities::MARIADB_CACHE_METADATA);
            let follow = !caches || reader.u8()? != 0;
            Ok(First::Columns(columns, follow))
        }
        None => Err(WireError::Truncated),
    }
}

/// What ends rows, if a payload is that.
pub(super) fn end_of_rows(
    payload: &[u8],
    capabilities: Capabilities,
) -> Result<Option<(Status, u16)>, WireError> {
    if payload.first() != Some(&0xFE) {
        return Ok(None);
    }
    if capabilities.contains(Capabilities::DEPRECATE_EOF) {
        if payload.len() >= 0xFF_FFFF {
            return Ok(None);
        }
        let ok = OkPacket::parse(payload)?;
        return Ok(Some((ok.status, ok.warnings)));
    }
    if payload.len() >= 9 {
        return Ok(None);
    }
    let mut reader = Reader::new(&payload[1..]);
    let warnings = reader.u16()?;
    Ok(Some((Status(reader.u16()?), warnings)))
}
