//! Matrix Market: sizes that lie, unsupported kinds, hostile bytes.
#![allow(clippy::unwrap_used)]

use gradus::read::matrix_market::parse;
use proptest::prelude::*;

#[test]
fn lies_and_unsupported_kinds_are_refused_with_their_line() {
    for (kind, body, line) in [
        ("coordinate real general", "2 2 4000000000\n1 1 1\n", 2),
        ("coordinate real general", "4000000000 2 1\n1 1 1\n", 2),
        ("array real general", "4000000000 4000000000\n1\n", 2),
        ("coordinate real general", "2 2 1\n3 1 1\n", 3),
        ("coordinate real general", "2 2 1\n0 1 1\n", 3),
        ("coordinate real general", "2 2 1\n1 1 1e400\n", 3),
        ("coordinate integer general", "2 2 1\n1 1 1.5\n", 3),
        ("coordinate complex general", "1 1 1\n1 1 1 0\n", 1),
        ("array real hermitian", "1 1\n1\n", 1),
    ] {
        let text = format!("%%MatrixMarket matrix {kind}\n{body}");
        let error = parse(text.as_bytes(), "data").unwrap_err();
        assert_eq!(error.line, Some(line), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, at in 0usize..70, byte: u8) {
        let _ = parse(&bytes, "data");
        let mut text = b"%%MatrixMarket matrix coordinate real symmetric\n% a\n3 3 2\n2 1 1.5\n3 3 2\n".to_vec();
        text[at] = byte;
        let _ = parse(&text, "data");
        let _ = parse(&text[..at], "data");
    }
}
