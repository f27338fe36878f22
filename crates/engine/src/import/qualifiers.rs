//! The database's name in the definitions of views, which servers write there when they were asked from
//! elsewhere. Pure.

use std::borrow::Cow;

use openpeta_sql_route::{Dialect, Lexer, Token, TokenKind};

/// A view's definition with another database's name in the place of `from`, wherever that stands
/// in front of a table. Where `from` may be the name of a table or column as well, nothing is changed.
pub(super) fn moved<'a>(text: &'a [u8], dialect: Dialect, from: &str, to: &str) -> Cow<'a, [u8]> {
    let is_name = |token: &Token<'_>| {
        token.kind == TokenKind::QuotedName
            && token.name(&dialect).as_deref() == Some(from.as_bytes())
    };
    let tokens: Vec<_> = Lexer::new(text, dialect).collect();
    let is_dot = |token: Option<&Token<'_>>| token.is_some_and(|token| token.is_symbol("."));
    let mut out = Vec::with_capacity(text.len());
    let mut is_changed = false;
    for (at, token) in tokens.iter().enumerate() {
        if !is_name(token) {
            out.extend_from_slice(token.text);
            continue;
        }
        let before = at.checked_sub(1).and_then(|at| tokens.get(at));
        if is_dot(before) || !is_dot(tokens.get(at + 1)) {
            return Cow::Borrowed(text);
        }
        out.extend_from_slice(crate::quote::identifier(to).as_bytes());
        is_changed = true;
    }
    match is_changed {
        true => Cow::Owned(out),
        false => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> String {
        let moved = moved(text.as_bytes(), Dialect::new(101_119), "shop", "b");
        String::from_utf8(moved.into_owned()).expect("text")
    }

    #[test]
    fn only_what_stands_in_front_of_a_table_changes() {
        assert_eq!(
            of("CREATE VIEW `v` AS select `shop`.`t`.`a` AS `a`,'`shop`.`t`' from `shop`.`t`"),
            "CREATE VIEW `v` AS select `b`.`t`.`a` AS `a`,'`shop`.`t`' from `b`.`t`"
        );
        for text in [
            "CREATE VIEW `v` AS select `shop`.`a` from `t` `shop`",
            "CREATE VIEW `v` AS select `shop`.`shop`.`a` from `shop`.`shop`",
            "CREATE VIEW `v` AS select `t`.`a` from `t`",
        ] {
            assert_eq!(of(text), text);
        }
    }
}
