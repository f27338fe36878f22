//! Finds where the statements of a dump end, as the server's own client does: behind their
//! delimiter, unless that stands in quotes or in a comment. Pure; the text comes in pieces.

/// How a session reads quotes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Quoting {
    /// `"` quotes names, in which a backslash is a character like others.
    pub(super) ansi_quotes: bool,
    /// So it is in strings.
    pub(super) no_backslash_escapes: bool,
}

/// What comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A statement without its delimiter.
    Statement {
        /// Its bytes.
        text: Vec<u8>,
        /// The line on which it begins, counted from 1.
        line: u64,
    },
    /// A comment between statements: what follows its dashes, to the end of the line.
    Remark(Vec<u8>),
}

/// Where in a statement the scan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before its first byte.
    Before,
    Plain,
    /// In quotes of this kind.
    Quoted(u8),
    /// In a comment to the end of the line.
    Line,
    /// In a comment to `*/`.
    Block,
}

/// Takes the text of a dump and gives its statements.
#[derive(Debug)]
pub(super) struct Splitter {
    /// What belongs to no piece that was given.
    text: Vec<u8>,
    /// As far as it has been looked at.
    at: usize,
    state: State,
    /// Of the first byte of `text`.
    line: u64,
    delimiter: Vec<u8>,
    is_complete: bool,
    pub(super) quoting: Quoting,
}

/// The word that changes the delimiter; the client's own, not the server's.
const DELIMITER: &[u8] = b"delimiter";

impl Splitter {
    pub(super) fn new() -> Self {
        Self {
            text: Vec::new(),
            at: 0,
            state: State::Before,
            line: 1,
            delimiter: b";".to_vec(),
            is_complete: false,
            quoting: Quoting::default(),
        }
    }

    /// Takes more of the text.
    pub(super) fn push(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    /// There is no more.
    pub(super) fn end(&mut self) {
        self.is_complete = true;
    }

    /// Bytes that wait for the end of their statement.
    pub(super) fn waiting(&self) -> usize {
        self.text.len()
    }

    /// The next piece that is whole; `None` when more of the text is needed first. At the end of
    /// the text, what has no delimiter behind it stays: [`rest`](Self::rest).
    pub(super) fn next(&mut self) -> Option<Piece> {
        loop {
            if self.state == State::Before {
                match self.before()? {
                    Some(remark) => return Some(Piece::Remark(remark)),
                    None => continue,
                }
            }
            if self.advance()? {
                let text = self.text[..self.at].to_vec();
                let line = self.line;
                self.drop_front(self.at + self.delimiter.len());
                self.state = State::Before;
                return Some(Piece::Statement { text, line });
            }
        }
    }

    /// The statement that was given last goes on behind its delimiter.
    pub(super) fn go_on(&mut self) {
        self.state = State::Plain;
    }

    /// What is left when the text has ended, with the line on which it begins: a statement
    /// without an end. `None` if there is no such thing.
    pub(super) fn rest(&self) -> Option<(&[u8], u64)> {
        let is_blank = self.text.iter().all(u8::is_ascii_whitespace);
        (!is_blank).then_some((&self.text[..], self.line))
    }

    /// Passes over what stands before a statement, one thing at a time; gives a remark.
    fn before(&mut self) -> Option<Option<Vec<u8>>> {
        let blank = self
            .text
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace());
        let blank = blank.count();
        self.drop_front(blank);
        let text = &self.text[..];
        // Enough to tell a comment, and the client's command, from a statement.
        let needed = DELIMITER.len() + 1;
        debug_assert!(needed >= b"/*M!999999".len());
        if text.is_empty() || (text.len() < needed && !self.is_complete) {
            return None;
        }
        let is_remark = text[0] == b'#' || is_dashes(text);
        let is_command = text.len() > DELIMITER.len()
            && text[..DELIMITER.len()].eq_ignore_ascii_case(DELIMITER)
            && matches!(text[DELIMITER.len()], b' ' | b'\t');
        if is_skipped(text) {
            // No delimiter follows the one with which dumps begin.
            let Some(end) = memchr::memmem::find(&text[2..], b"*/") else {
                self.state = if self.is_complete {
                    State::Plain
                } else {
                    State::Before
                };
                return self.is_complete.then_some(None);
            };
            self.drop_front(end + 4);
            return Some(None);
        }
        if !is_remark && !is_command {
            self.state = State::Plain;
            return Some(None);
        }
        let end = match memchr::memchr(b'\n', text) {
            Some(end) => end,
            None if self.is_complete => text.len(),
            None => return None,
        };
        let line = text[..end].trim_ascii_end();
        let found = if is_command {
            let delimiter = line[DELIMITER.len()..].trim_ascii();
            if !delimiter.is_empty() {
                self.delimiter = delimiter.to_vec();
            }
            None
        } else {
            let skipped = if line[0] == b'#' { 1 } else { 2 };
            Some(line[skipped..].trim_ascii_start().to_vec())
        };
        self.drop_front(end);
        Some(found)
    }

    /// Looks on; whether the statement ends at `at`. `None` when more text is needed.
    fn advance(&mut self) -> Option<bool> {
        while self.at < self.text.len() {
            let rest = &self.text[self.at..];
            match self.state {
                State::Before => return Some(false),
                State::Plain => {
                    let first = rest[0];
                    if first == self.delimiter[0] {
                        if rest.starts_with(&self.delimiter) {
                            return Some(true);
                        }
                        if rest.len() < self.delimiter.len() && !self.is_complete {
                            return None;
                        }
                    }
                    match first {
                        b'\'' | b'"' | b'`' => self.state = State::Quoted(first),
                        b'#' => self.state = State::Line,
                        b'-' | b'/' if rest.len() < 4 && !self.is_complete => return None,
                        b'-' if is_dashes(rest) => self.state = State::Line,
                        // What the server runs of a comment is like any other text.
                        b'/' if rest.get(1) == Some(&b'*') && !is_run(&rest[2..]) => {
                            self.state = State::Block;
                            self.at += 1;
                        }
                        _ => {}
                    }
                    self.at += 1;
                }
                State::Quoted(quote) => {
                    let has_escapes = match quote {
                        b'`' => false,
                        b'"' if self.quoting.ansi_quotes => false,
                        _ => !self.quoting.no_backslash_escapes,
                    };
                    let found = match has_escapes {
                        true => memchr::memchr2(quote, b'\\', rest),
                        false => memchr::memchr(quote, rest),
                    };
                    let Some(found) = found else {
                        self.at = self.text.len();
                        return None;
                    };
                    if rest[found] == b'\\' {
                        if found + 1 == rest.len() {
                            self.at += found;
                            return None;
                        }
                        self.at += found + 2;
                    } else {
                        // A doubled quote ends one string and begins the next.
                        self.at += found + 1;
                        self.state = State::Plain;
                    }
                }
                State::Line => match memchr::memchr(b'\n', rest) {
                    Some(end) => {
                        self.at += end + 1;
                        self.state = State::Plain;
                    }
                    None => self.at = self.text.len(),
                },
                State::Block => match memchr::memmem::find(rest, b"*/") {
                    Some(end) => {
                        self.at += end + 2;
                        self.state = State::Plain;
                    }
                    None => {
                        // The star may be the last byte so far.
                        self.at = self.text.len() - 1;
                        return None;
                    }
                },
            }
        }
        None
    }

    fn drop_front(&mut self, length: usize) {
        self.line += memchr::memchr_iter(b'\n', &self.text[..length]).count() as u64;
        self.text.drain(..length);
        self.at = 0;
    }
}

/// Whether the server may run a comment with that content.
fn is_run(content: &[u8]) -> bool {
    content.starts_with(b"!") || content.starts_with(b"M!")
}

/// Whether a text begins with a comment that no MariaDB server runs.
fn is_skipped(text: &[u8]) -> bool {
    text.starts_with(b"/*") && (!is_run(&text[2..]) || text.starts_with(b"/*M!999999"))
}

/// Whether a text begins with dashes that begin a comment.
fn is_dashes(text: &[u8]) -> bool {
    text.starts_with(b"--")
        && text
            .get(2)
            .is_none_or(|byte| *byte == b' ' || byte.is_ascii_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pieces of a text that comes in chunks of that length, and what is left.
    fn split(text: &[u8], chunk: usize, quoting: Quoting) -> (Vec<Piece>, Option<(Vec<u8>, u64)>) {
        let mut splitter = Splitter::new();
        splitter.quoting = quoting;
        let mut pieces = Vec::new();
        for part in text.chunks(chunk) {
            splitter.push(part);
            pieces.extend(std::iter::from_fn(|| splitter.next()));
        }
        splitter.end();
        pieces.extend(std::iter::from_fn(|| splitter.next()));
        let rest = splitter.rest().map(|(text, line)| (text.to_vec(), line));
        (pieces, rest)
    }

    fn statements(text: &str) -> Vec<(String, u64)> {
        let (pieces, rest) = split(text.as_bytes(), 1, Quoting::default());
        assert_eq!(rest, None);
        let statement = |piece| match piece {
            Piece::Statement { text, line } => Some((String::from_utf8(text).expect("text"), line)),
            Piece::Remark(_) => None,
        };
        pieces.into_iter().filter_map(statement).collect()
    }

    fn texts(text: &str) -> Vec<String> {
        statements(text).into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn a_delimiter_in_quotes_or_comments_ends_nothing() {
        assert_eq!(
            texts("a 'x;\\';' ; b \"y;''\" ; c `z;\\` ; d 'it''s;' ;"),
            ["a 'x;\\';' ", "b \"y;''\" ", "c `z;\\` ", "d 'it''s;' "]
        );
        assert_eq!(
            texts("a -- x; 'y\n ; b # z; \"\n ; c /* ; ' */ ; d --e;"),
            ["a -- x; 'y\n ", "b # z; \"\n ", "c /* ; ' */ ", "d --e"]
        );
        assert_eq!(texts("/*!50001 a ';' */;"), ["/*!50001 a ';' */"]);
        assert_eq!(
            texts("/*M!999999\\- enable the sandbox mode */ \n/* ' */ a;"),
            ["a"]
        );
    }

    #[test]
    fn the_delimiter_changes_where_the_client_is_told() {
        let dump = "DELIMITER ;;\nCREATE PROCEDURE p()\nBEGIN a; b; END ;;\r\ndelimiter ;\r\nc;";
        assert_eq!(
            statements(dump),
            [
                ("CREATE PROCEDURE p()\nBEGIN a; b; END ".to_owned(), 2),
                ("c".to_owned(), 5)
            ]
        );
        // Nowhere else: the server has no such word.
        assert_eq!(texts("a\nDELIMITER x;"), ["a\nDELIMITER x"]);
    }

    #[test]
    fn remarks_are_told_of_and_lines_counted() {
        let (pieces, rest) = split(b"-- one\n\n# two\n--\na\nb;c", 3, Quoting::default());
        assert_eq!(
            pieces,
            [
                Piece::Remark(b"one".to_vec()),
                Piece::Remark(b"two".to_vec()),
                Piece::Remark(b"".to_vec()),
                Piece::Statement {
                    text: b"a\nb".to_vec(),
                    line: 5
                },
            ]
        );
        assert_eq!(rest, Some((b"c".to_vec(), 6)));
    }

    #[test]
    fn a_statement_that_goes_on_loses_nothing() {
        let mut splitter = Splitter::new();
        splitter.push(b"a;\n -- b\n c;d;");
        splitter.end();
        let mut next = || match splitter.next() {
            Some(Piece::Statement { text, .. }) => {
                splitter.go_on();
                String::from_utf8(text).expect("text")
            }
            other => panic!("{other:?}"),
        };
        assert_eq!([next(), next(), next()], ["a", "\n -- b\n c", "d"]);
    }

    #[test]
    fn quotes_are_read_as_the_session_reads_them() {
        let text = b"a 'x\\';b \"y\\\";";
        let count = |quoting| split(text, 4, quoting).0.len();
        assert_eq!(count(Quoting::default()), 0);
        let both = Quoting {
            ansi_quotes: true,
            no_backslash_escapes: true,
        };
        assert_eq!(count(both), 2);
    }

    proptest::proptest! {
        #[test]
        fn where_pieces_are_cut_does_not_matter(
            text in "(?s)[a'\"`;\\\\\n#/*! -]{0,60}",
            chunk in 1_usize..7,
        ) {
            let whole = split(text.as_bytes(), text.len().max(1), Quoting::default());
            let cut = split(text.as_bytes(), chunk, Quoting::default());
            proptest::prop_assert_eq!(whole, cut);
        }

        #[test]
        fn what_is_quoted_comes_out_whole(
            values in proptest::collection::vec(proptest::collection::vec(0_u8..=255, 0..20), 1..6),
            chunk in 1_usize..40,
        ) {
            // Escaped as mariadb-dump does.
            let quoted = |value: &Vec<u8>| {
                let mut text = b"INSERT '".to_vec();
                for byte in value {
                    match byte {
                        b'\'' | b'"' | b'\\' => text.extend([b'\\', *byte]),
                        other => text.push(*other),
                    }
                }
                text.push(b'\'');
                text
            };
            let expected: Vec<_> = values.iter().map(quoted).collect();
            let dump: Vec<u8> = expected.iter().flat_map(|it| [it, &b";\n"[..]].concat()).collect();
            let (pieces, rest) = split(&dump, chunk, Quoting::default());
            let found: Vec<_> = pieces.into_iter().map(|piece| match piece {
                Piece::Statement { text, .. } => text,
                Piece::Remark(_) => Vec::new(),
            }).collect();
            proptest::prop_assert_eq!(found, expected);
            proptest::prop_assert_eq!(rest, None);
        }
    }
}
