//! Texts of statements.

use openpeta_sql_route::{
    Dialect, DigestReader, Encoding, KeyColumn, KeyType, Lexer, PieceLexer, Statement,
    StatementReader, Templates, mask_passwords, parse_ddl, parse_insert, pinned_by,
    table_databases,
};

use super::{byte, pieces};

/// What is read of a text does not depend on the pieces that it comes in, its tokens cover it, and
/// whoever knows it from another that is alike knows the same of it.
pub(crate) fn statement(bytes: &[u8]) {
    let (flags, rest) = byte(bytes);
    let (how, text) = byte(rest);
    let dialect = dialect(flags);
    let mut at = 0;
    for token in Lexer::new(text, dialect) {
        assert!(!token.text.is_empty());
        assert_eq!(token.text, &text[at..at + token.text.len()]);
        at += token.text.len();
        let _ = (token.name(&dialect), token.string(&dialect));
    }
    assert_eq!(at, text.len());
    let whole = read(text, dialect);
    assert_eq!(read_pieces(text, dialect, how), whole);
    know_again(text, dialect, how);
    let masked = mask_passwords(text, dialect);
    assert!(!masked.is_empty() || text.is_empty());
    let _ = table_databases(text, "shop", dialect);
    let _ = Statement::of(text, dialect);
    if let Ok(text) = std::str::from_utf8(text)
        && let Ok(ddl) = parse_ddl(text, dialect)
    {
        assert_eq!(parse_ddl(ddl.statement, dialect), Ok(ddl.clone()));
    }
    route(text, dialect);
}

/// Rows that are told apart are told apart in each part, too.
fn route(text: &[u8], dialect: Dialect) {
    let key = KeyColumn {
        name: "k".into(),
        position: 0,
        kind: KeyType::Integer { min: 0, max: 99 },
    };
    let tokens: Vec<_> = Lexer::new(text, dialect)
        .filter(|token| token.kind.is_significant())
        .collect();
    let _ = pinned_by(&tokens, &key, &["t"], 0, dialect, false);
    if let Ok(insert) = parse_insert(text, &key, dialect) {
        assert!(!insert.rows.is_empty());
        for row in 0..insert.rows.len().min(8) {
            let part = insert.with_rows([row]);
            let of_part = parse_insert(&part, &key, dialect).expect("a part is a statement");
            assert_eq!(of_part.rows.len(), 1);
            assert_eq!(of_part.table, insert.table);
        }
    }
}

fn dialect(flags: u8) -> Dialect {
    let encodings = [
        Encoding::AsciiCompatible,
        Encoding::Gbk,
        Encoding::Big5,
        Encoding::Sjis,
    ];
    Dialect {
        ansi_quotes: flags & 1 != 0,
        no_backslash_escapes: flags & 2 != 0,
        encoding: encodings[usize::from(flags >> 2 & 3)],
        ..Dialect::new(101_119)
    }
}

/// The statements of a text and their digests.
struct Reading {
    statements: StatementReader,
    digest: DigestReader,
    found: Vec<(Statement, u64, Vec<u8>)>,
}

impl Reading {
    fn new(dialect: Dialect) -> Self {
        let mut digest = DigestReader::default();
        digest.begin();
        Self {
            statements: StatementReader::new(dialect),
            digest,
            found: Vec::new(),
        }
    }

    fn push(&mut self, token: &openpeta_sql_route::Token<'_>) {
        match self.statements.push(token) {
            Some(statement) => self.add(statement),
            None => self.digest.push(token),
        }
    }

    fn add(&mut self, statement: Statement) {
        let (hash, text) = (self.digest.hash(), self.digest.text().to_vec());
        self.found.push((statement, hash, text));
        self.digest.begin();
    }

    fn end(mut self) -> Vec<(Statement, u64, Vec<u8>)> {
        if let Some(statement) = self.statements.end() {
            self.add(statement);
        }
        self.found
    }
}

fn read(text: &[u8], dialect: Dialect) -> Vec<(Statement, u64, Vec<u8>)> {
    let mut reading = Reading::new(dialect);
    for token in Lexer::new(text, dialect) {
        reading.push(&token);
    }
    reading.end()
}

fn read_pieces(text: &[u8], dialect: Dialect, how: u8) -> Vec<(Statement, u64, Vec<u8>)> {
    let mut reading = Reading::new(dialect);
    let mut lexer = PieceLexer::new(dialect);
    for piece in pieces(text, how) {
        lexer.push(piece, |token| reading.push(token));
    }
    lexer.end(|token| reading.push(token));
    reading.end()
}

/// Remembers a text, then looks up one in which a byte is another.
fn know_again(text: &[u8], dialect: Dialect, how: u8) {
    let mut templates = Templates::default();
    templates.begin();
    let mut at = 0;
    for token in Lexer::new(text, dialect) {
        at += token.text.len();
        templates.push(&token, at);
    }
    let known = read(text, dialect);
    templates.remember(text, dialect, 7);
    let mut other = text.to_vec();
    if let Some(byte) = other.get_mut(usize::from(how)) {
        *byte = byte.wrapping_add(1 + how % 5);
    }
    if templates.find(&other, dialect).is_some() {
        assert_eq!(read(&other, dialect), known, "taken for what it is not");
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "SELECT a, 'x', 17 FROM t WHERE id IN (1,2,3) -- done",
        "INSERT INTO t (a) VALUES (1, 'it''s'), (2, 'b\\'c'); UPDATE t SET a = 0x1F;",
        "INSERT IGNORE INTO s.t (a, k) VALUES (1, -5), ('),(', f(2, 3)), (?, ?) ON DUPLICATE KEY UPDATE a = 1",
        "t.k IN (1, ?, '3') AND (v BETWEEN 1 AND 2 && k = 4) OR CASE WHEN a AND b THEN 1 END",
        "SET STATEMENT max_statement_time=1 FOR SELECT 1; USE `a``b`; DROP DATABASE x",
        "/*!50101 CREATE TABLE IF NOT EXISTS d.t (id INT) */ /*M!100100 ENGINE=InnoDB */",
        "BEGIN NOT ATOMIC DECLARE x INT; IF x THEN SELECT 1; END IF; END; SELECT 2",
        "CREATE USER a IDENTIFIED BY 'secret'; SET PASSWORD = PASSWORD('x')",
        "(SELECT 1) UNION (WITH q AS (SELECT 2) SELECT * FROM q) # end",
        "ALTER TABLE db.t ADD COLUMN x DECIMAL(10,2) DEFAULT -1.5e3 COMMENT \"q\", ALGORITHM=INPLACE;",
        "XA START 'a','b',1; SAVEPOINT s; ROLLBACK TO s; COMMIT",
        "SELECT _utf8mb4'\u{e9}', N'x', x'1F', b'01', @v, @@global.v, ?, \\N, .5, 1e5",
    ];
    let with_flags = |flags: u8| move |text: &str| [&[flags, 5][..], text.as_bytes()].concat();
    let flags = [0, 1, 2, 4, 12];
    flags
        .into_iter()
        .flat_map(|flags| texts.map(with_flags(flags)))
        .collect()
}
