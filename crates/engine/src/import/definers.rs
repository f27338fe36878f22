//! As whom views and programs of a dump run. Pure.
//!
//! A dump names accounts of another server. One that is there by name stays, from whatever host
//! it was; one that is not must be replaced, or kept by whoever imports knowing that it is missing.

use std::collections::BTreeSet;

use openpeta_sql_route::{Dialect, Lexer, Token, TokenKind};

use crate::quote;
use crate::sql::ANY_HOST;

/// Accounts that are the server's, which nothing may run as.
const INTERNAL: [&str; 3] = ["root", "mysql", "mariadb.sys"];

/// What is done about definers.
#[derive(Clone, Debug, Default)]
pub(super) struct Definers {
    /// Accounts that there are.
    pub(super) accounts: BTreeSet<String>,
    /// In the place of one that there is not.
    pub(super) instead: Option<String>,
    /// One that there is not stays.
    pub(super) keeps_missing: bool,
}

/// A statement with the definer that it is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settled {
    pub(super) text: Vec<u8>,
    /// The account that stood there, if another one stands there now.
    pub(super) replaced: Option<String>,
}

impl Definers {
    /// Gives a statement that makes a view or program the definer that it is to have.
    ///
    /// # Errors
    /// The account that it names and that is not there.
    pub(super) fn settle(&self, text: &[u8], dialect: Dialect) -> Result<Settled, String> {
        let instead = self.instead.as_deref();
        match find(text, dialect) {
            Clause::Account {
                begin,
                end,
                user,
                host,
            } => {
                let account = match &host {
                    Some(host) => format!("{user}@{host}"),
                    None => user.clone(),
                };
                let put = |name: &str, replaced: Option<String>| Settled {
                    text: [
                        &text[..begin],
                        quote::account(name, ANY_HOST).as_bytes(),
                        &text[end..],
                    ]
                    .concat(),
                    replaced,
                };
                if self.accounts.contains(&user) {
                    let is_other = host.as_deref() != Some(ANY_HOST);
                    return Ok(put(&user, is_other.then_some(account)));
                }
                let is_internal = INTERNAL.iter().any(|word| word.eq_ignore_ascii_case(&user))
                    || user.to_ascii_lowercase().starts_with("openpeta");
                match instead {
                    Some(instead) => Ok(put(instead, Some(account))),
                    None if self.keeps_missing && !is_internal => Ok(Settled {
                        text: text.to_vec(),
                        replaced: None,
                    }),
                    None => Err(account),
                }
            }
            Clause::Missing { at: Some(at) } if instead.is_some() => {
                let instead = instead.unwrap_or_default();
                let clause = format!("DEFINER={} ", quote::account(instead, ANY_HOST));
                Ok(Settled {
                    text: [&text[..at], clause.as_bytes(), &text[at..]].concat(),
                    replaced: None,
                })
            }
            // It is whose it is that runs it; whether that stays so is looked at in the end.
            Clause::Missing { .. } => Ok(Settled {
                text: text.to_vec(),
                replaced: None,
            }),
        }
    }
}

/// What a statement says of its definer.
enum Clause {
    Account {
        begin: usize,
        end: usize,
        user: String,
        host: Option<String>,
    },
    /// Nothing, or that it is whoever runs it; and where it could be said.
    Missing { at: Option<usize> },
}

/// Before which words the clause stands.
const BEHIND: [&str; 8] = [
    "SQL",
    "VIEW",
    "TRIGGER",
    "AGGREGATE",
    "PROCEDURE",
    "FUNCTION",
    "EVENT",
    "PACKAGE",
];

fn find(text: &[u8], dialect: Dialect) -> Clause {
    let mut lexer = Lexer::new(text, dialect);
    let mut next = || {
        let token = lexer.next_significant()?;
        let end = lexer.position();
        Some((token, end - token.text.len(), end))
    };
    while let Some((token, begin, _)) = next() {
        if BEHIND.iter().any(|word| token.is_word(word)) {
            return Clause::Missing { at: Some(begin) };
        }
        if !token.is_word("DEFINER") {
            continue;
        }
        let Some((equals, ..)) = next() else { break };
        let Some((name, begin, end)) = next() else {
            break;
        };
        let user = text_of(&name, &dialect);
        let (Some(user), true) = (user, equals.is_symbol("=")) else {
            break;
        };
        if name.is_word("CURRENT_USER") || name.is_word("CURRENT_ROLE") {
            return Clause::Missing { at: None };
        }
        let (host, end) = match next() {
            Some((host, _, host_end)) if host.kind == TokenKind::UserVariable => {
                match &host.text[1..] {
                    [] => match next() {
                        Some((host, _, end)) => (text_of(&host, &dialect), end),
                        None => break,
                    },
                    inner => {
                        let host = Lexer::new(inner, dialect).next();
                        let host = host.and_then(|host| text_of(&host, &dialect));
                        // `@localhost` and `@10.0.0.1` are not in quotes.
                        let whole = String::from_utf8_lossy(inner).into_owned();
                        let is_quoted = matches!(inner[0], b'\'' | b'"' | b'`');
                        (if is_quoted { host } else { Some(whole) }, host_end)
                    }
                }
            }
            _ => (None, end),
        };
        return Clause::Account {
            begin,
            end,
            user,
            host,
        };
    }
    Clause::Missing { at: None }
}

fn text_of(token: &Token<'_>, dialect: &Dialect) -> Option<String> {
    let text = token.name(dialect).or_else(|| token.string(dialect))?;
    Some(String::from_utf8_lossy(&text).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIALECT: Dialect = Dialect::new(101_119);

    fn definers(instead: Option<&str>, keeps_missing: bool) -> Definers {
        Definers {
            accounts: BTreeSet::from(["bob".to_owned()]),
            instead: instead.map(str::to_owned),
            keeps_missing,
        }
    }

    fn settle(definers: &Definers, text: &str) -> Result<(String, Option<String>), String> {
        let settled = definers.settle(text.as_bytes(), DIALECT)?;
        let text = String::from_utf8(settled.text).expect("text");
        Ok((text, settled.replaced))
    }

    const TRIGGER: &str = "/*!50003 CREATE*/ /*!50017 DEFINER=`app`@`10.%`*/ /*!50003 TRIGGER t */";

    #[test]
    fn an_account_that_is_there_stays_wherever_it_came_from() {
        let strict = definers(None, false);
        let text = "CREATE DEFINER=`bob`@`%` PROCEDURE p() BEGIN END";
        assert_eq!(settle(&strict, text), Ok((text.into(), None)));
        for written in ["'bob'@'localhost'", "bob@localhost", "`bob` @ `localhost`"] {
            let from = format!("CREATE DEFINER={written} PROCEDURE p() BEGIN END");
            let replaced = Some("bob@localhost".to_owned());
            assert_eq!(settle(&strict, &from), Ok((text.into(), replaced)));
        }
    }

    #[test]
    fn one_that_is_not_is_refused_replaced_or_kept() {
        assert_eq!(
            settle(&definers(None, false), TRIGGER),
            Err("app@10.%".into())
        );
        assert_eq!(
            settle(&definers(None, true), TRIGGER),
            Ok((TRIGGER.into(), None))
        );
        let replaced = "/*!50003 CREATE*/ /*!50017 DEFINER=`bob`@`%`*/ /*!50003 TRIGGER t */";
        assert_eq!(
            settle(&definers(Some("bob"), true), TRIGGER),
            Ok((replaced.into(), Some("app@10.%".into())))
        );
    }

    #[test]
    fn the_servers_own_accounts_are_never_kept() {
        for name in [
            "root",
            "Root",
            "mariadb.sys",
            "openpeta_admin",
            "openpeta-ddl:shop",
        ] {
            let text = format!("CREATE DEFINER=`{name}`@`localhost` VIEW v AS SELECT 1");
            assert!(settle(&definers(None, true), &text).is_err(), "{name}");
        }
    }

    #[test]
    fn where_none_is_named_one_can_be() {
        let given = definers(Some("bob"), false);
        for (from, to) in [
            (
                "CREATE ALGORITHM=MERGE VIEW v AS SELECT 1",
                "CREATE ALGORITHM=MERGE DEFINER=`bob`@`%` VIEW v AS SELECT 1",
            ),
            (
                "CREATE SQL SECURITY INVOKER VIEW v AS SELECT 'DEFINER=`x`@`y`'",
                "CREATE DEFINER=`bob`@`%` SQL SECURITY INVOKER VIEW v AS SELECT 'DEFINER=`x`@`y`'",
            ),
            (
                "CREATE OR REPLACE FUNCTION f() RETURNS INT RETURN 1",
                "CREATE OR REPLACE DEFINER=`bob`@`%` FUNCTION f() RETURNS INT RETURN 1",
            ),
        ] {
            assert_eq!(settle(&given, from), Ok((to.into(), None)));
            assert_eq!(
                settle(&definers(None, false), from),
                Ok((from.into(), None))
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_settled(text in proptest::collection::vec(0_u8..=255, 0..80)) {
            let text = [b"CREATE DEFINER=", &text[..]].concat();
            let _ = definers(Some("bob"), false).settle(&text, DIALECT);
        }
    }
}
