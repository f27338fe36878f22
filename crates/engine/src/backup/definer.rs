//! Statements that make views and routines, without the account whose they are.
//!
//! The server begins them with `CREATE`, options of a view, and `DEFINER=` with the account;
//! the texts themselves may be in any character set that has ASCII in it.

/// The words before the account.
const CLAUSE: &[u8] = b"DEFINER=";

/// The same statement without the account: then it is the one who runs it.
pub(super) fn without(create: &[u8]) -> Vec<u8> {
    let Some((begin, end)) = clause(create) else {
        return create.to_vec();
    };
    [&create[..begin], &create[end..]].concat()
}

/// The same statement, which replaces an object of that name.
pub(super) fn replacing(create: &[u8]) -> Vec<u8> {
    const CREATE: &[u8] = b"CREATE ";
    match create.strip_prefix(CREATE) {
        Some(rest) => [b"CREATE OR REPLACE ", rest].concat(),
        None => create.to_vec(),
    }
}

/// Where the account stands, with the blank behind it.
fn clause(create: &[u8]) -> Option<(usize, usize)> {
    // Only options of few words can come before it.
    const FARTHEST: usize = 64;
    let head = &create[..create.len().min(FARTHEST)];
    let begin = head.windows(CLAUSE.len()).position(|word| word == CLAUSE)?;
    let mut end = begin + CLAUSE.len();
    end += quoted(&create[end..])?;
    if create.get(end) == Some(&b'@') {
        end += 1;
        end += quoted(&create[end..])?;
    }
    (create.get(end) == Some(&b' ')).then_some((begin, end + 1))
}

/// The length of a quoted name at the beginning; a quote inside is doubled.
fn quoted(text: &[u8]) -> Option<usize> {
    let quote = *text.first().filter(|byte| matches!(byte, b'`' | b'"'))?;
    let mut at = 1;
    while at < text.len() {
        if text[at] != quote {
            at += 1;
        } else if text.get(at + 1) == Some(&quote) {
            at += 2;
        } else {
            return Some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare(create: &str) -> String {
        String::from_utf8(without(create.as_bytes())).expect("text")
    }

    #[test]
    fn the_account_is_taken_out_and_nothing_else() {
        assert_eq!(
            bare("CREATE ALGORITHM=UNDEFINED DEFINER=`bob`@`%` SQL SECURITY DEFINER VIEW `v` AS x"),
            "CREATE ALGORITHM=UNDEFINED SQL SECURITY DEFINER VIEW `v` AS x"
        );
        assert_eq!(
            bare("CREATE DEFINER=\"a \"\"b\"@\"%\" FUNCTION f() RETURN 'DEFINER=`x`@`y` '"),
            "CREATE FUNCTION f() RETURN 'DEFINER=`x`@`y` '"
        );
        assert_eq!(
            bare("CREATE DEFINER=`role` PROCEDURE p()"),
            "CREATE PROCEDURE p()"
        );
        for without_one in [
            "CREATE VIEW v AS SELECT 1",
            "CREATE DEFINER=x VIEW v",
            "DEFINER=`",
        ] {
            assert_eq!(bare(without_one), without_one);
        }
    }

    #[test]
    fn a_replacement_says_so() {
        assert_eq!(replacing(b"CREATE VIEW v"), b"CREATE OR REPLACE VIEW v");
    }
}
