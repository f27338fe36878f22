use openpeta_sql_route::{KeyType, KeyValue};
use proptest::prelude::*;

use super::*;

fn tabs() -> Form {
    Form {
        field_end: b'\t',
        line_end: (b'\n', None),
        quote: None,
        escape: Some(b'\\'),
        fields: 2,
        key: 0,
        auto: None,
        skip: 0,
    }
}

fn commas() -> Form {
    Form {
        field_end: b',',
        line_end: (b'\r', Some(b'\n')),
        quote: Some(b'"'),
        ..tabs()
    }
}

/// The lines of a file that comes in pieces of a size, each with its key; what is left of it when
/// one is odd.
fn lines(form: &Form, file: &[u8], size: usize) -> (Vec<(String, String)>, Option<String>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut lines = Lines::new(form.clone());
    let mut found = Vec::new();
    let mut pieces = file.chunks(size);
    let mut left = file.len();
    loop {
        match lines.next_line() {
            Next::Line { bytes, key, .. } => {
                let key = format!("{}{}", text(key.bytes), if key.plain { "" } else { "!" });
                found.push((text(bytes), key));
            }
            Next::Wait => match pieces.next() {
                Some(piece) => {
                    left -= piece.len();
                    lines.push(piece);
                }
                None => lines.finish(),
            },
            Next::End => {
                assert!(lines.rest().is_empty() || form.skip > 0);
                return (found, None);
            }
            Next::Odd => {
                let rest = [lines.rest(), &file[file.len() - left..]].concat();
                return (found, Some(text(&rest)));
            }
        }
    }
}

#[track_caller]
fn are(form: &Form, file: &str, expected: &[(&str, &str)], odd: Option<&str>) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(line, key)| ((*line).to_owned(), (*key).to_owned()))
        .collect();
    for size in 1..=file.len().max(1) {
        let found = lines(form, file.as_bytes(), size);
        assert_eq!(found, (expected.clone(), odd.map(str::to_owned)), "{size}");
    }
}

#[test]
fn lines_end_where_the_server_ends_them() {
    are(
        &tabs(),
        "1\ta\n2\tb\\\nc\\\td\n\\N\t\\\\\n\t\n3\tz",
        &[
            ("1\ta\n", "1"),
            ("2\tb\\\nc\\\td\n", "2"),
            ("\\N\t\\\\\n", "\\N!"),
            ("\t\n", ""),
            ("3\tz", "3"),
        ],
        None,
    );
    are(&tabs(), "", &[], None);
    are(&tabs(), "1\t", &[("1\t", "1")], None);
    are(&tabs(), "1\ta\n\nx", &[("1\ta\n", "1")], Some("\nx"));
    are(&tabs(), "1\ta\tb\n", &[], Some("1\ta\tb\n"));
    are(&tabs(), "1\ta\\", &[], Some("1\ta\\"));
    let form = Form { skip: 2, ..tabs() };
    are(&form, "a\\\n\tb\tc\n\n1\tx\n", &[("1\tx\n", "1")], None);
    are(&form, "a\nb", &[], None);
}

#[test]
fn what_has_quotes_may_have_any_byte() {
    are(
        &commas(),
        "1,\"a,\r\n\"\"b\\\"\"\r\n\"2\",x\"y\r\n\"3\"\"\",\"z\"",
        &[
            ("1,\"a,\r\n\"\"b\\\"\"\r\n", "1"),
            ("\"2\",x\"y\r\n", "2"),
            ("\"3\"\"\",\"z\"", "3\"\"!"),
        ],
        None,
    );
    are(&commas(), "1,\rx\n\r\n", &[("1,\rx\n\r\n", "1")], None);
    are(&commas(), "1,x\r", &[("1,x\r", "1")], None);
    // What is behind a quote that ends no field, and a field that does not end.
    are(&commas(), "1,\"a\"b\r\n", &[], Some("1,\"a\"b\r\n"));
    are(&commas(), "1,\"a\r\n2,b", &[], Some("1,\"a\r\n2,b"));
}

#[test]
fn only_values_that_are_stored_as_they_stand_tell_a_node() {
    let integer = KeyType::Integer {
        min: -128,
        max: 127,
    };
    let field = |text: &'static str| Field {
        bytes: text.as_bytes(),
        plain: true,
        quoted: false,
    };
    let is = |text| key_value(integer, field(text), true);
    assert_eq!(is("0"), Some(KeyValue::Integer(0)));
    assert_eq!(is("-128"), Some(KeyValue::Integer(-128)));
    for text in [
        "", "-", "-0", "01", "+1", " 1", "1 ", "1.0", "128", "1e1", "NULL",
    ] {
        assert_eq!(is(text), None, "{text}");
    }
    let escaped = Field {
        plain: false,
        ..field("1")
    };
    assert_eq!(key_value(integer, escaped, true), None);
    let text = KeyType::Text {
        folding: openpeta_sql_route::Folding::of_collation(46).expect("utf8mb4_bin"),
        max_chars: 4,
    };
    for (value, is_utf8) in [("äöüß", true), ("abcd", false), ("", true)] {
        let expected = Some(KeyValue::Text(value.as_bytes().into()));
        assert_eq!(key_value(text, field(value), is_utf8), expected, "{value}");
    }
    for (value, is_utf8) in [("abcde", true), ("null", true), ("😀", true), ("ä", false)] {
        assert_eq!(key_value(text, field(value), is_utf8), None, "{value}");
    }
    let quoted = Field {
        quoted: true,
        ..field("null")
    };
    assert!(key_value(text, quoted, false).is_some());
}

proptest! {
    #[test]
    fn pieces_of_any_size_are_one_file(file in r#"[12,"\\\r\na]{0,40}"#, size in 1_usize..10) {
        for form in [tabs(), commas(), Form { skip: 1, ..commas() }] {
            let whole = lines(&form, file.as_bytes(), 1000);
            prop_assert_eq!(&whole, &lines(&form, file.as_bytes(), size));
            if form.skip == 0 {
                let mut all: String = whole.0.into_iter().map(|(line, _)| line).collect();
                all.push_str(whole.1.as_deref().unwrap_or_default());
                prop_assert_eq!(all, file.clone());
            }
        }
    }

    #[test]
    fn places_are_kept(steps in prop::collection::vec(0_usize..100_000, 0..50)) {
        let mut next = 0;
        let mut expected = Vec::new();
        let mut places = Places::default();
        for step in steps {
            expected.push(next + step);
            places.push(next + step);
            next += step + 1;
        }
        prop_assert_eq!(places.all(), expected);
    }
}
