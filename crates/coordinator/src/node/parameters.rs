//! Parameters of prepared statements.

use openpeta_mysql_wire::command::COM_STMT_EXECUTE;
use openpeta_mysql_wire::{Reader, WireError, put_lenenc_bytes};

const UNSIGNED: u8 = 0x80;
const NULL: u8 = 0x06;
const TINY: u8 = 0x01;
const SHORT: u8 = 0x02;
const LONG: u8 = 0x03;
const FLOAT: u8 = 0x04;
const DOUBLE: u8 = 0x05;
const TIMESTAMP: u8 = 0x07;
const LONGLONG: u8 = 0x08;
const INT24: u8 = 0x09;
const DATE: u8 = 0x0A;
const TIME: u8 = 0x0B;
const DATETIME: u8 = 0x0C;
const YEAR: u8 = 0x0D;
const DECIMAL: u8 = 0x00;
const NEWDECIMAL: u8 = 0xF6;
const TINY_BLOB: u8 = 0xF9;
const BLOB: u8 = 0xFC;
const VARCHAR: u8 = 0x0F;
const VAR_STRING: u8 = 0xFD;
const STRING: u8 = 0xFE;

/// A value that is bound to a placeholder, as it stands in the packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its type and whether it is unsigned, as the protocol writes them.
    pub kind: [u8; 2],
    /// Its bytes, with their length in front where the type wants it; `None` for NULL.
    pub value: Option<Vec<u8>>,
}

impl Parameter {
    /// The whole number that it is, if its type is one of those.
    #[must_use]
    pub fn integer(&self) -> Option<i128> {
        integer(self.kind, self.value.as_deref()?)
    }

    /// The string that it is, if its type is one of those.
    #[must_use]
    pub fn text(&self) -> Option<&[u8]> {
        if is_fixed(self.kind[0]).is_some() || is_time(self.kind[0]) {
            return None;
        }
        Reader::new(self.value.as_deref()?).lenenc_bytes().ok()
    }

    /// Appends it as a literal that means the same.
    pub fn put_literal(&self, out: &mut Vec<u8>, no_backslash_escapes: bool) {
        let Some(value) = self.value.as_deref().filter(|_| self.kind[0] != NULL) else {
            out.extend_from_slice(b"NULL");
            return;
        };
        if let Some(number) = self.integer() {
            out.extend_from_slice(number.to_string().as_bytes());
            return;
        }
        let float = match (self.kind[0], value) {
            (FLOAT, bytes) => bytes
                .try_into()
                .ok()
                .map(|bytes| f64::from(f32::from_le_bytes(bytes))),
            (DOUBLE, bytes) => bytes.try_into().ok().map(f64::from_le_bytes),
            _ => None,
        };
        if let Some(float) = float {
            let text = if float.is_finite() {
                format!("{float:e}")
            } else {
                "NULL".into()
            };
            out.extend_from_slice(text.as_bytes());
            return;
        }
        if is_time(self.kind[0]) {
            out.push(b'\'');
            out.extend_from_slice(
                time_text(self.kind[0], value.get(1..).unwrap_or_default()).as_bytes(),
            );
            out.push(b'\'');
            return;
        }
        let text = self.text().unwrap_or_default();
        let is_decimal = matches!(self.kind[0], DECIMAL | NEWDECIMAL)
            && !text.is_empty()
            && text
                .iter()
                .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+'));
        if is_decimal {
            out.extend_from_slice(text);
            return;
        }
        let is_binary =
            matches!(self.kind[0], TINY_BLOB..=BLOB) || std::str::from_utf8(text).is_err();
        if is_binary {
            out.extend_from_slice(b"_binary");
        }
        out.push(b'\'');
        for &byte in text {
            match byte {
                b'\'' => out.extend_from_slice(b"\'\'"),
                b'\\' if !no_backslash_escapes => out.extend_from_slice(b"\\\\"),
                0 if !no_backslash_escapes => out.extend_from_slice(b"\\0"),
                byte => out.push(byte),
            }
        }
        out.push(b'\'');
    }

    /// A text.
    #[must_use]
    pub fn of_text(text: &[u8]) -> Self {
        let mut value = Vec::with_capacity(text.len() + 9);
        put_lenenc_bytes(&mut value, text);
        Self {
            kind: [0xFD, 0],
            value: Some(value),
        }
    }
}

/// The whole number that a value is, if its type is one of those.
fn integer([kind, flags]: [u8; 2], value: &[u8]) -> Option<i128> {
    let signed = flags & UNSIGNED == 0;
    Some(match (kind, value) {
        (TINY, &[byte]) if signed => i128::from(byte.cast_signed()),
        (TINY, &[byte]) => i128::from(byte),
        (SHORT | YEAR, &[a, b]) if signed => i128::from(i16::from_le_bytes([a, b])),
        (SHORT | YEAR, &[a, b]) => i128::from(u16::from_le_bytes([a, b])),
        (LONG | INT24, bytes) => {
            let bytes = bytes.try_into().ok()?;
            match signed {
                true => i128::from(i32::from_le_bytes(bytes)),
                false => i128::from(u32::from_le_bytes(bytes)),
            }
        }
        (LONGLONG, bytes) => {
            let bytes = bytes.try_into().ok()?;
            match signed {
                true => i128::from(i64::from_le_bytes(bytes)),
                false => i128::from(u64::from_le_bytes(bytes)),
            }
        }
        _ => return None,
    })
}

/// A COM_STMT_EXECUTE as it lies there, of a statement with parameters.
#[derive(Clone, Copy, Debug)]
pub struct Execution<'c> {
    command: &'c [u8],
    nulls: &'c [u8],
    /// The types of the parameters, if they were sent.
    pub types: Option<&'c [[u8; 2]]>,
    values: &'c [u8],
}

/// A parameter that means what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain<'c> {
    /// A whole number.
    Integer(i128),
    /// A string of characters.
    Text(&'c [u8]),
}

/// What stands before the parameters: command, statement, flags, iterations.
const EXECUTION_HEAD: usize = 10;

impl<'c> Execution<'c> {
    /// Reads one without a cursor; `None` if it is another, or cut short.
    #[must_use]
    pub fn of(command: &'c [u8], count: usize) -> Option<Self> {
        let (head, rest) = command.split_at_checked(EXECUTION_HEAD)?;
        if count == 0 || head[5] != 0 {
            return None;
        }
        let (nulls, rest) = rest.split_at_checked(count.div_ceil(8))?;
        let (&bound, rest) = rest.split_first()?;
        let (types, values) = match bound {
            0 => (None, rest),
            _ => {
                let (types, values) = rest.split_at_checked(2 * count)?;
                (Some(types.as_chunks::<2>().0), values)
            }
        };
        Some(Self {
            command,
            nulls,
            types,
            values,
        })
    }

    /// The parameter of that number, if it is a whole number or a text. `types` are those of all parameters.
    #[must_use]
    pub fn plain(&self, number: usize, types: &[[u8; 2]]) -> Option<Plain<'c>> {
        let is_null = |number: usize, kind: u8| {
            self.nulls[number / 8] >> (number % 8) & 1 == 1 || kind == NULL
        };
        let kind = *types.get(number)?;
        if number / 8 >= self.nulls.len() || is_null(number, kind[0]) {
            return None;
        }
        let mut reader = Reader::new(self.values);
        for (before, [kind, _]) in types[..number].iter().enumerate() {
            if is_null(before, *kind) {
                continue;
            }
            match is_fixed(*kind) {
                Some(len) => drop(reader.bytes(len).ok()?),
                None if is_time(*kind) => {
                    let len = reader.u8().ok()?;
                    reader.bytes(len.into()).ok()?;
                }
                None => drop(reader.lenenc_bytes().ok()?),
            }
        }
        match is_fixed(kind[0]) {
            Some(len) => integer(kind, reader.bytes(len).ok()?).map(Plain::Integer),
            None if is_string(kind[0]) => reader.lenenc_bytes().ok().map(Plain::Text),
            None => None,
        }
    }

    /// The same command of another statement, with these types, in parts.
    pub(super) fn parts<'p>(&self, id: &'p [u8; 4], types: &'p [[u8; 2]]) -> [&'p [u8]; 7]
    where
        'c: 'p,
    {
        [
            &[COM_STMT_EXECUTE],
            id,
            &self.command[5..EXECUTION_HEAD],
            self.nulls,
            &[1],
            types.as_flattened(),
            self.values,
        ]
    }
}

/// A date, a time or both, as it is written.
fn time_text(kind: u8, value: &[u8]) -> String {
    let byte = |at: usize| value.get(at).copied().unwrap_or(0);
    let micros = |at: usize| {
        let bytes = value
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok());
        let micros = bytes.map_or(0, u32::from_le_bytes);
        if micros == 0 {
            String::new()
        } else {
            format!(".{micros:06}")
        }
    };
    if kind == TIME {
        let days = u32::from_le_bytes([byte(1), byte(2), byte(3), byte(4)]);
        let hours = u64::from(days) * 24 + u64::from(byte(5));
        let sign = if byte(0) == 1 { "-" } else { "" };
        return format!(
            "{sign}{hours:02}:{:02}:{:02}{}",
            byte(6),
            byte(7),
            micros(8)
        );
    }
    let year = u16::from_le_bytes([byte(0), byte(1)]);
    let date = format!("{year:04}-{:02}-{:02}", byte(2), byte(3));
    if kind == DATE {
        return date;
    }
    format!(
        "{date} {:02}:{:02}:{:02}{}",
        byte(4),
        byte(5),
        byte(6),
        micros(7)
    )
}

/// How many bytes a value of that type has, if that is fixed.
fn is_fixed(kind: u8) -> Option<usize> {
    match kind {
        NULL => Some(0),
        TINY => Some(1),
        SHORT | YEAR => Some(2),
        LONG | INT24 | FLOAT => Some(4),
        DOUBLE | LONGLONG => Some(8),
        _ => None,
    }
}

/// Whether a value of that type has characters, and is no number in them.
fn is_string(kind: u8) -> bool {
    matches!(kind, VARCHAR | VAR_STRING | STRING)
}

fn is_time(kind: u8) -> bool {
    matches!(kind, TIMESTAMP | DATE | TIME | DATETIME)
}

/// Reads the parameters of a COM_STMT_EXECUTE with its command byte. `types` are those of the last
/// time, which a client need not send again. `long` are values that came by COM_STMT_SEND_LONG_DATA.
///
/// # Errors
/// When the packet is not as long as it says.
pub fn parameters_of(
    command: &[u8],
    count: usize,
    types: &[[u8; 2]],
    long: &[Option<Vec<u8>>],
) -> Result<Vec<Parameter>, WireError> {
    if count == 0 {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new(command);
    // Command, statement, flags, iterations.
    reader.bytes(10)?;
    let nulls = reader.bytes(count.div_ceil(8))?;
    let mut kinds = types.to_vec();
    if reader.u8()? != 0 {
        kinds.clear();
        for _ in 0..count {
            kinds.push(reader.array()?);
        }
    }
    if kinds.len() != count {
        return Err(WireError::Malformed("types of parameters"));
    }
    let mut parameters = Vec::with_capacity(count);
    for (number, kind) in kinds.into_iter().enumerate() {
        if let Some(Some(text)) = long.get(number) {
            let value = Parameter::of_text(text).value;
            parameters.push(Parameter { kind, value });
            continue;
        }
        if nulls[number / 8] >> (number % 8) & 1 == 1 || kind[0] == NULL {
            parameters.push(Parameter { kind, value: None });
            continue;
        }
        let before = reader.clone();
        let len = match is_fixed(kind[0]) {
            Some(len) => len,
            None if is_time(kind[0]) => 1 + usize::from(reader.clone().u8()?),
            None => {
                let total = before.clone().rest().len();
                let mut after = before.clone();
                after.lenenc_bytes()?;
                total - after.rest().len()
            }
        };
        let value = Some(reader.bytes(len)?.to_vec());
        parameters.push(Parameter { kind, value });
    }
    Ok(parameters)
}

/// The command that executes a statement with these parameters.
#[must_use]
pub fn execute_payload(id: u32, parameters: &[Parameter]) -> Vec<u8> {
    let mut command = vec![COM_STMT_EXECUTE];
    command.extend_from_slice(&id.to_le_bytes());
    // No cursor, one iteration.
    command.push(0);
    command.extend_from_slice(&1_u32.to_le_bytes());
    if parameters.is_empty() {
        return command;
    }
    let mut nulls = vec![0_u8; parameters.len().div_ceil(8)];
    for (number, parameter) in parameters.iter().enumerate() {
        if parameter.value.is_none() {
            nulls[number / 8] |= 1 << (number % 8);
        }
    }
    command.extend_from_slice(&nulls);
    command.push(1);
    for parameter in parameters {
        command.extend_from_slice(&parameter.kind);
    }
    for parameter in parameters {
        command.extend_from_slice(parameter.value.as_deref().unwrap_or_default());
    }
    command
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parameter() -> impl Strategy<Value = Parameter> {
        let fixed = |kind: u8, len: usize| {
            (any::<bool>(), proptest::collection::vec(any::<u8>(), len)).prop_map(
                move |(unsigned, value)| Parameter {
                    kind: [kind, u8::from(unsigned) << 7],
                    value: Some(value),
                },
            )
        };
        let time = proptest::collection::vec(any::<u8>(), 0..12).prop_map(|bytes| Parameter {
            kind: [DATETIME, 0],
            value: Some([vec![bytes.len() as u8], bytes].concat()),
        });
        prop_oneof![
            fixed(TINY, 1),
            fixed(SHORT, 2),
            fixed(LONG, 4),
            fixed(LONGLONG, 8),
            fixed(DOUBLE, 8),
            time,
            proptest::collection::vec(any::<u8>(), 0..300)
                .prop_map(|text| Parameter::of_text(&text)),
            Just(Parameter {
                kind: [LONG, 0],
                value: None
            }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(parameters in proptest::collection::vec(parameter(), 0..20)) {
            let command = execute_payload(7, &parameters);
            let read = parameters_of(&command, parameters.len(), &[], &[]);
            prop_assert_eq!(read, Ok(parameters));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), count in 0..9_usize) {
            let _ = parameters_of(&bytes, count, &[], &[]);
            if let Some(execution) = Execution::of(&bytes, count) {
                let types = execution.types.unwrap_or(&[[LONG, 0]; 4]);
                for number in 0..count + 9 {
                    let _ = execution.plain(number, types);
                }
            }
        }

        #[test]
        fn what_lies_there_is_what_is_read(
            parameters in proptest::collection::vec(parameter(), 1..20),
            with_types in any::<bool>(),
        ) {
            let types: Vec<_> = parameters.iter().map(|parameter| parameter.kind).collect();
            let mut command = execute_payload(7, &parameters);
            let whole = execute_payload(8, &parameters);
            if !with_types {
                let bound = EXECUTION_HEAD + parameters.len().div_ceil(8);
                command[bound] = 0;
                command.drain(bound + 1..=bound + 2 * parameters.len());
            }
            let execution = Execution::of(&command, parameters.len()).expect("one");
            prop_assert_eq!(execution.types, with_types.then_some(&types[..]));
            for (number, parameter) in parameters.iter().enumerate() {
                let plain = match (parameter.integer(), parameter.text()) {
                    (Some(number), _) => Some(Plain::Integer(number)),
                    (None, text) => text.map(Plain::Text),
                };
                prop_assert_eq!(execution.plain(number, &types), plain);
            }
            prop_assert_eq!(execution.parts(&8_u32.to_le_bytes(), &types).concat(), whole);
            for len in 0..EXECUTION_HEAD {
                prop_assert!(Execution::of(&command[..len], parameters.len()).is_none());
            }
            command[5] = 1;
            prop_assert!(Execution::of(&command, parameters.len()).is_none());
        }
    }

    #[test]
    fn literals_mean_the_same() {
        let of = |kind: u8, value: &[u8]| {
            let mut out = Vec::new();
            let value = Some(value.to_vec());
            Parameter {
                kind: [kind, 0],
                value,
            }
            .put_literal(&mut out, false);
            String::from_utf8_lossy(&out).into_owned()
        };
        assert_eq!(of(LONG, &[0xFF; 4]), "-1");
        assert_eq!(of(DOUBLE, &0.1_f64.to_le_bytes()), "1e-1");
        assert_eq!(
            of(DATETIME, &[4, 0xE4, 0x07, 2, 29]),
            "'2020-02-29 00:00:00'"
        );
        assert_eq!(of(TIME, &[8, 1, 1, 0, 0, 0, 2, 3, 4]), "'-26:03:04'");
        assert_eq!(of(NEWDECIMAL, b"\x041.50"), "1.50");
        assert_eq!(of(0xFD, b"\x04a'\\b"), "'a''\\\\b'");
        assert_eq!(of(BLOB, b"\x01a"), "_binary'a'");
    }

    #[test]
    fn whole_numbers_of_all_widths() {
        let of = |kind, unsigned: bool, value: &[u8]| {
            let value = Some(value.to_vec());
            Parameter {
                kind: [kind, u8::from(unsigned) << 7],
                value,
            }
            .integer()
        };
        assert_eq!(of(TINY, false, &[0xFF]), Some(-1));
        assert_eq!(of(TINY, true, &[0xFF]), Some(255));
        assert_eq!(of(SHORT, false, &[0xFE, 0xFF]), Some(-2));
        assert_eq!(of(LONG, true, &[0xFF; 4]), Some(u32::MAX.into()));
        assert_eq!(of(LONGLONG, true, &[0xFF; 8]), Some(u64::MAX.into()));
        assert_eq!(of(LONGLONG, false, &[0xFF; 8]), Some(-1));
        assert_eq!(of(DOUBLE, false, &[0; 8]), None);
        assert_eq!(Parameter::of_text(b"a").integer(), None);
        assert_eq!(Parameter::of_text(b"a").text(), Some(&b"a"[..]));
    }
}
