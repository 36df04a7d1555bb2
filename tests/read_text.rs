//! Triplets with free identifiers and plain tables of numbers: separators, headers, quotes, flaws with their place,
//! hostile bytes.
#![allow(clippy::unwrap_used)]

use gradus::read::{table, triplets};
use proptest::prelude::*;

fn ratings(text: &str) -> Vec<(String, String, f64)> {
    let read = triplets::parse(text.as_bytes(), "r.csv", &triplets::Options::default()).unwrap();
    let name = |ids: &triplets::Identifiers, k| ids.name(k).unwrap().to_string();
    read.entries.iter().map(|&(i, j, v)| (name(&read.rows, i), name(&read.columns, j), v)).collect()
}

#[test]
fn separators_headers_quotes_and_times_are_understood() {
    let expected = vec![
        ("ann".to_string(), "Up, and down".to_string(), 4.5),
        ("7".into(), "x y".into(), -1e-3),
        ("ann".into(), "x y".into(), 2.0),
    ];
    for text in [
        "ann,\"Up, and down\",4.5,881250949\n7,x y,-1e-3,0\nann,x y,2,1\n",
        "user,item,rating,time\nann,\"Up, and down\",4.5,1\n\n7, x y ,-1e-3,2\r\nann,x y,+2.,3",
        "\u{feff}user\titem\trating\nann\tUp, and down\t4.5\n7\tx y\t-0.001\nann\tx y\t2",
        "ann;Up, and down;4.5\n7;x y;-1e-3\nann;x y;2",
    ] {
        assert_eq!(ratings(text), expected, "{text}");
    }
    let quoted = ratings("\"say \"\"hi\"\"\",b,1\n");
    assert_eq!(quoted, [("say \"hi\"".to_string(), "b".to_string(), 1.0)]);
    assert_eq!(ratings("1 2 3\n4 5 6").len(), 2);
}

#[test]
fn identifiers_are_numbered_by_first_appearance_and_repeats_are_kept() {
    let read = triplets::parse(b"b,x,1\na,x,2\nb,x,3\n", "r", &triplets::Options::default()).unwrap();
    assert_eq!(read.rows.names().collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!((read.rows.number("a"), read.rows.number("c"), read.columns.len()), (Some(1), None, 1));
    assert_eq!(read.entries, [(0, 0, 1.0), (1, 0, 2.0), (0, 0, 3.0)]);
}

#[test]
fn a_flaw_of_triplets_is_reported_with_its_place() {
    for (flaw, column, words) in [
        ("a,b", 1, "2 fields"),
        ("a,b,x", 5, "no number"),
        ("a,b,nan", 5, "not finite"),
        ("a,b,1e999", 5, "beyond the range"),
        ("a,b,1x", 5, "no number"),
        ("a,,1", 3, "empty identifier"),
        (" ,b,1", 1, "empty identifier"),
        ("\"a,\",,1", 6, "empty identifier"),
    ] {
        let text = format!("u,i,1\nu,j,2\n{flaw}\n");
        let error = triplets::parse(text.as_bytes(), "r.csv", &triplets::Options::default()).unwrap_err();
        assert_eq!((error.line, error.column), (Some(3), Some(column)), "{flaw}: {error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let open =
        triplets::parse(b"u,i,1\n\"u,j,2\nv,k,3\n,z,1", "r", &triplets::Options::default()).unwrap_err();
    assert_eq!(open.line, Some(2), "{open}");
    let bytes = triplets::parse(b"u,i,1\nu,\xff\xfe,2\n", "r", &triplets::Options::default()).unwrap_err();
    assert!(bytes.line == Some(2) && bytes.to_string().contains("UTF-8"), "{bytes}");
    for nothing in [&b"\n\n"[..], b"user,item,rating\n", b" "] {
        assert!(triplets::parse(nothing, "r", &triplets::Options::default()).is_err());
    }
}

#[test]
fn tables_take_any_separator_and_name_the_row_that_differs() {
    for text in
        ["1,2.5\n-3,4e1\n", "1 2.5\n  -3\t4e1", "# x\nx;y\n1; 2.5\r\n\r\n-3 ;4e1", "% c\n1 , 2.5\n-3,40"]
    {
        let read = table::parse(text.as_bytes(), "t").unwrap();
        assert_eq!((read.rows, read.columns), (2, 2), "{text}");
        assert_eq!(read.values, [1.0, -3.0, 2.5, 40.0], "{text}");
    }
    for (text, line, words) in [
        ("1,2\n3\n", 2, "1 numbers in a row of 2"),
        ("1,2\n3,4,5\n", 2, "more than 2"),
        ("1,2\nx,4\n", 2, "no number"),
        ("1,2\n3,nan\n", 2, "not finite"),
        ("1,2\n3,,4\n", 2, "no number"),
        ("1,2\n\n# c\n3,1e400\n", 4, "beyond the range"),
    ] {
        let error = table::parse(text.as_bytes(), "t").unwrap_err();
        assert_eq!(error.line, Some(line), "{text}: {error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    assert!(table::parse(b"x y z\n", "t").unwrap_err().to_string().contains("no row of numbers"));
}

proptest! {
    #[test]
    fn no_bytes_make_them_panic(bytes: Vec<u8>, at in 0usize..30, byte: u8) {
        let mut text = b"user,item,value\nu,\"a b\",1.5\nv,c,2\n".to_vec();
        text[at] = byte;
        for bytes in [&bytes[..], &text, &text[..at]] {
            let _ = triplets::parse(bytes, "r", &triplets::Options::default());
            let _ = table::parse(bytes, "t");
        }
        for separator in [b',', b'\t', byte] {
            let options = triplets::Options { separator: Some(separator), header: Some(at % 2 == 0), ..Default::default() };
            let _ = triplets::parse(&text, "r", &options);
        }
    }

    #[test]
    fn tables_read_back_with_the_same_bits(columns in 1usize..5, bits in prop::collection::vec(any::<u64>(), 1..40)) {
        let values: Vec<f64> = bits.into_iter().map(f64::from_bits).filter(|v| v.is_finite()).collect();
        let rows = values.len() / columns;
        prop_assume!(rows > 0);
        let line = |row: &[f64]| row.iter().map(|v| format!("{v:e}")).collect::<Vec<_>>().join(", ");
        let text: String = values.chunks_exact(columns).map(|row| line(row) + "\n").collect();
        let read = table::parse(text.as_bytes(), "t").unwrap();
        for i in 0..rows {
            for j in 0..columns {
                prop_assert_eq!(read.values[i + j * rows].to_bits(), values[i * columns + j].to_bits());
            }
        }
    }
}
