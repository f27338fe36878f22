//! `KILL` with a thread id that a client was told.
//!
//! A client knows the number that it was greeted with. The node's number for its session is another
//! where the session went over to another connection, in its login or when the node came back. Such
//! a number is put in the place of the one told; all other statements, and who may kill whom, are
//! the node's business.

use openpeta_mysql_wire::HEADER_LEN;
use openpeta_mysql_wire::command::{COM_PROCESS_KILL, COM_QUERY, COM_STMT_PREPARE};
use openpeta_sql_route::{Dialect, Lexer, Token, TokenKind};

/// Longer statements, comments and all, are not looked at.
const LONGEST: usize = 4096;

/// What a command is, as far as its first bytes show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Nothing that kills, or nothing whose numbers are read.
    Other,
    /// More bytes will tell.
    Perhaps,
    /// It kills, and is there as a whole: so many bytes with its header.
    Kills(usize),
}

/// Looks at the beginning of a command.
#[inline]
pub(super) fn look(data: &[u8], dialect: Dialect) -> Look {
    match data {
        // What begins with another letter is nearly all there is.
        [_, _, _, _, COM_QUERY | COM_STMT_PREPARE, first, ..] => match first {
            b'K' | b'k' | b' ' | b'\t'..=b'\r' | b'/' | b'#' | b'-' => look_closely(data, dialect),
            _ => Look::Other,
        },
        [
            _,
            _,
            _,
            _,
            COM_QUERY | COM_STMT_PREPARE | COM_PROCESS_KILL,
            ..,
        ] => look_closely(data, dialect),
        _ => Look::Other,
    }
}

#[cold]
fn look_closely(data: &[u8], dialect: Dialect) -> Look {
    let [a, b, c, _, command, text @ ..] = data else {
        return Look::Other;
    };
    let len = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
    if !(2..=LONGEST).contains(&len) {
        return Look::Other;
    }
    let whole = data.len() >= HEADER_LEN + len;
    if *command != COM_PROCESS_KILL {
        let text = &text[..text.len().min(len - 1)];
        let mut lexer = Lexer::new(text, dialect);
        let first = lexer.next_significant();
        // The last token may go on, and a comment that has no end may get one.
        if !whole && lexer.position() == text.len() {
            return Look::Perhaps;
        }
        if !first.is_some_and(|token| token.is_word("KILL")) {
            return Look::Other;
        }
    }
    match whole {
        true => Look::Kills(HEADER_LEN + len),
        false => Look::Perhaps,
    }
}

/// The packet with the number of another thread, where `target` tells one for the number in it.
pub(super) fn retargeted(
    packet: &[u8],
    dialect: Dialect,
    target: impl FnOnce(u32) -> Option<u32>,
) -> Option<Vec<u8>> {
    let (header, payload) = packet.split_first_chunk::<HEADER_LEN>()?;
    let (command, text) = payload.split_first()?;
    let payload = if *command == COM_PROCESS_KILL {
        let (id, rest) = text.split_first_chunk()?;
        let target = target(u32::from_le_bytes(*id))?;
        [&[*command], &target.to_le_bytes()[..], rest].concat()
    } else {
        let (begin, end) = number(text, dialect)?;
        let id = str::from_utf8(&text[begin..end]).ok()?.parse().ok()?;
        let target = target(id)?.to_string();
        [&[*command], &text[..begin], target.as_bytes(), &text[end..]].concat()
    };
    let [a, b, c, _] = u32::try_from(payload.len()).ok()?.to_le_bytes();
    Some([&[a, b, c, header[3]], &payload[..]].concat())
}

/// Where the thread's number stands in a `KILL [HARD|SOFT] [CONNECTION|QUERY] number`.
fn number(text: &[u8], dialect: Dialect) -> Option<(usize, usize)> {
    let mut lexer = Lexer::new(text, dialect);
    let mut next = || {
        let token = lexer.next_significant();
        token.map(|token| (token, lexer.position()))
    };
    let is_one_of =
        |token: &Token<'_>, words: &[&str]| words.iter().any(|word| token.is_word(word));
    next().filter(|(token, _)| token.is_word("KILL"))?;
    let (mut token, mut end) = next()?;
    if is_one_of(&token, &["HARD", "SOFT"]) {
        (token, end) = next()?;
    }
    // Behind `QUERY ID` stands the number of a statement, and behind `USER` a name.
    if is_one_of(&token, &["CONNECTION", "QUERY"]) {
        (token, end) = next()?;
    }
    let alone = next().is_none_or(|(token, _)| token.is_symbol(";"));
    let is_number = token.kind == TokenKind::Integer;
    (is_number && alone).then(|| (end - token.text.len(), end))
}

#[cfg(test)]
mod tests {
    use openpeta_mysql_wire::put_packet;

    use super::*;

    fn dialect() -> Dialect {
        Dialect::new(101_119)
    }

    fn packet(command: u8, text: &[u8]) -> Vec<u8> {
        let mut wire = Vec::new();
        put_packet(&mut wire, 0, &[&[command], text].concat());
        wire
    }

    /// What becomes of a text where 7 stands for 1234567.
    fn becomes(command: u8, text: &str) -> Option<String> {
        let wire = packet(command, text.as_bytes());
        match look(&wire, dialect()) {
            Look::Other => return None,
            Look::Perhaps => panic!("all of {text} is there"),
            Look::Kills(len) => assert_eq!(len, wire.len()),
        }
        let told = |id| (id == 7).then_some(1_234_567);
        let wire = retargeted(&wire, dialect(), told)?;
        let [a, b, c, 0, got, text @ ..] = &wire[..] else {
            panic!("{wire:?}");
        };
        assert_eq!(*got, command);
        assert_eq!([*a, *b, *c], [text.len() as u8 + 1, 0, 0]);
        Some(String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn the_number_told_is_replaced_and_nothing_else() {
        for text in [
            "KILL 7",
            "kill query 7",
            "KILL CONNECTION 7",
            "KILL HARD 7",
            "Kill Soft Query 7 ;",
            "KILL/**/007",
            "/* the pool */ -- gives up\n\tKILL QUERY 7 -- 7",
            "/*!50000 KILL */ 7",
            "/*M!100100 KILL QUERY 7*/",
            "# 7\nKILL 7; SELECT 7",
        ] {
            let number = if text.contains("007") { "007" } else { "7" };
            let at = text.find(&format!("KILL/**/{number}")).map_or_else(
                || {
                    let kill = text.to_ascii_lowercase().find("kill").unwrap();
                    kill + text[kill..].find(number).unwrap()
                },
                |at| at + 8,
            );
            let expected = format!("{}1234567{}", &text[..at], &text[at + number.len()..]);
            for command in [COM_QUERY, COM_STMT_PREPARE] {
                assert_eq!(becomes(command, text), Some(expected.clone()), "{text}");
            }
        }
    }

    #[test]
    fn all_else_stays_as_it_is() {
        for text in [
            "KILL 8",
            "KILL QUERY ID 7",
            "KILL USER 7",
            "KILL USER 'seven'",
            "KILL 7 + 1",
            "KILL -7",
            "KILL '7'",
            "KILL 7.0",
            "KILL 0x7",
            "KILL ?",
            "KILL @id",
            "KILL CONNECTION_ID()",
            "KILL 99999999999999999999",
            "KILL",
            "KILL QUERY",
            "KILL QUERY CONNECTION 7",
            "KILLS 7",
            "/*!99999 KILL 7 */",
            "/* KILL 7 */",
            "-- KILL 7",
            "SELECT 7",
            "-7",
            " SELECT 1; KILL 7",
            "",
        ] {
            assert_eq!(becomes(COM_QUERY, text), None, "{text}");
        }
        let long = format!("KILL {}7", " ".repeat(LONGEST));
        assert_eq!(
            look(&packet(COM_QUERY, long.as_bytes()), dialect()),
            Look::Other
        );
        assert_eq!(look(&packet(0x17, b"KILL 7"), dialect()), Look::Other);
    }

    #[test]
    fn a_kill_without_a_text() {
        let wire = packet(COM_PROCESS_KILL, &7_u32.to_le_bytes());
        assert_eq!(look(&wire, dialect()), Look::Kills(9));
        assert_eq!(look(&wire[..8], dialect()), Look::Perhaps);
        let told = |id| (id == 7).then_some(900);
        let expected = packet(COM_PROCESS_KILL, &900_u32.to_le_bytes());
        assert_eq!(retargeted(&wire, dialect(), told), Some(expected));
        assert_eq!(retargeted(&wire, dialect(), |_| None), None);
        assert_eq!(
            retargeted(&packet(COM_PROCESS_KILL, b"\x07"), dialect(), told),
            None
        );
    }

    #[test]
    fn however_it_is_cut_it_is_never_taken_for_another() {
        for text in [
            "KILL 7",
            "/* a */ KILL QUERY 7",
            "-- a\nKILL 7",
            "/*!50000 KILL 7 */",
        ] {
            let wire = packet(COM_QUERY, text.as_bytes());
            for len in HEADER_LEN + 1..wire.len() {
                assert_eq!(look(&wire[..len], dialect()), Look::Perhaps, "{text} {len}");
            }
        }
        // And what is another is not held for longer than it takes to see that.
        let wire = packet(COM_QUERY, b"/* a */ SELECT 1");
        let seen = HEADER_LEN + 1 + b"/* a */ SELECT ".len();
        assert_eq!(look(&wire[..seen - 1], dialect()), Look::Perhaps);
        assert_eq!(look(&wire[..seen], dialect()), Look::Other);
        assert_eq!(
            look(&packet(COM_QUERY, b"SELECT 1")[..6], dialect()),
            Look::Other
        );
    }
}
