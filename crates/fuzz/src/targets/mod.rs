//! The targets, by what they are about.

pub(crate) mod api;
pub(crate) mod policy;
pub(crate) mod session;
pub(crate) mod sql;
pub(crate) mod wire;

/// A number from the front of the bytes, and the bytes behind it.
fn byte(bytes: &[u8]) -> (u8, &[u8]) {
    match bytes {
        [first, rest @ ..] => (*first, rest),
        [] => (0, &[]),
    }
}

/// Eight bytes from the front as a number, and the bytes behind them.
fn number(bytes: &[u8]) -> (u64, &[u8]) {
    match bytes.split_first_chunk() {
        Some((first, rest)) => (u64::from_le_bytes(*first), rest),
        None => (0, bytes),
    }
}

/// The bytes in pieces whose lengths follow from `how`.
fn pieces(bytes: &[u8], how: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    let mut size = usize::from(how);
    std::iter::from_fn(move || {
        size = (size * 7 + 3) % 23;
        let (piece, behind) = rest.split_at((size + 1).min(rest.len()));
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}
