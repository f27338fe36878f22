//! Collations of MySQL 8 that a MariaDB server may not know, and the nearest that it has. Pure.

use std::collections::BTreeSet;

use openpeta_sql_route::{Dialect, Lexer, TokenKind};

/// A definition with collations that the server knows, and what stands for what.
pub(super) fn mapped(
    text: &[u8],
    dialect: Dialect,
    known: &BTreeSet<String>,
) -> (Vec<u8>, BTreeSet<(String, String)>) {
    let mut pairs = BTreeSet::new();
    if !has_one(text) {
        return (text.to_vec(), pairs);
    }
    let mut out = Vec::with_capacity(text.len());
    for token in Lexer::new(text, dialect) {
        let name = match token.kind {
            TokenKind::Word => String::from_utf8_lossy(token.text).to_ascii_lowercase(),
            _ => String::new(),
        };
        match nearest(&name).filter(|_| !known.contains(&name)) {
            Some(other) => {
                out.extend_from_slice(other.as_bytes());
                pairs.insert((name, other));
            }
            None => out.extend_from_slice(token.text),
        }
    }
    (out, pairs)
}

/// Whether a text may name such a collation.
pub(super) fn has_one(text: &[u8]) -> bool {
    memchr::memmem::find(text, b"0900").is_some()
}

/// What comes nearest to a collation: the same order by a later version of Unicode, and like it one that
/// does not ignore blanks at the end.
fn nearest(name: &str) -> Option<String> {
    let rest = name.strip_prefix("utf8mb4_")?;
    if rest == "0900_bin" {
        return Some("utf8mb4_nopad_bin".to_owned());
    }
    let (language, order) = rest.split_once("0900_")?;
    // A language of its own orders some letters otherwise: that is not put in another's place.
    let is_known = matches!(order, "ai_ci" | "as_ci" | "as_cs");
    (language.is_empty() && is_known).then(|| format!("utf8mb4_uca1400_nopad_{order}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_not_known_is_mapped_and_never_in_texts() {
        let text = "CREATE TABLE `utf8mb4_0900_ai_ci` (a TEXT COLLATE utf8mb4_0900_bin \
             COMMENT 'utf8mb4_0900_ai_ci') COLLATE=utf8mb4_0900_ai_ci, \
             b TEXT COLLATE utf8mb4_de_pb_0900_ai_ci";
        let dialect = Dialect::new(101_119);
        let (out, pairs) = mapped(text.as_bytes(), dialect, &BTreeSet::new());
        let expected = "CREATE TABLE `utf8mb4_0900_ai_ci` (a TEXT COLLATE utf8mb4_nopad_bin \
             COMMENT 'utf8mb4_0900_ai_ci') COLLATE=utf8mb4_uca1400_nopad_ai_ci, \
             b TEXT COLLATE utf8mb4_de_pb_0900_ai_ci";
        assert_eq!(String::from_utf8(out).expect("text"), expected);
        assert_eq!(pairs.len(), 2);
        let known = BTreeSet::from(["utf8mb4_0900_ai_ci".into(), "utf8mb4_0900_bin".into()]);
        let (out, pairs) = mapped(text.as_bytes(), dialect, &known);
        assert_eq!(out, text.as_bytes());
        assert!(pairs.is_empty());
    }
}
