//! Matrix Market: every kind against a dense reading, sizes that lie, unsupported kinds, hostile bytes.
#![allow(clippy::unwrap_used)]

use gradus::read::matrix_market::{Field, Matrix, Symmetry, parse, write_dense, write_sparse};
use proptest::prelude::*;

/// The whole matrix, row by row.
fn dense(text: &str) -> Vec<Vec<f64>> {
    match parse(text.as_bytes(), "m.mtx").unwrap().matrix {
        Matrix::Sparse(m) => {
            assert!(m.is_csr());
            (0..m.rows())
                .map(|i| (0..m.cols()).map(|j| m.get(i, j).copied().unwrap_or(0.0)).collect())
                .collect()
        }
        Matrix::Dense(m) => {
            (0..m.rows).map(|i| (0..m.columns).map(|j| m.values[i + j * m.rows]).collect()).collect()
        }
    }
}

#[test]
fn every_kind_means_the_matrix_it_should() {
    let of = |kind: &str, body: &str| dense(&format!("%%MatrixMarket matrix {kind}\n% note\n\n{body}"));
    let general = vec![vec![1.5, 0.0, -2.0], vec![0.0, 3.0, 0.0]];
    assert_eq!(of("coordinate real general", "2 3 3\n1 3 -2\n2 2 3.0\n1 1 1.5\n"), general);
    assert_eq!(of("array real general", "2 3\n1.5\n0\n0\n3\n-2\n0\n"), general);
    assert_eq!(of("coordinate integer general", "1 2 2\r\n1 1 4\r\n1 2 -5"), [[4.0, -5.0]]);
    assert_eq!(of("coordinate pattern general", "2 2 2\n1 2\n2 1\n"), [[0.0, 1.0], [1.0, 0.0]]);
    let symmetric = vec![vec![2.0, 7.0], vec![7.0, 0.0]];
    assert_eq!(of("coordinate real symmetric", "2 2 2\n1 1 2\n2 1 7\n"), symmetric);
    assert_eq!(of("coordinate real symmetric", "2 2 2\n1 1 2\n1 2 7\n"), symmetric);
    assert_eq!(of("array real symmetric", "2 2\n2\n7\n0\n"), symmetric);
    assert_eq!(of("coordinate pattern symmetric", "2 2 1\n2 1\n"), [[0.0, 1.0], [1.0, 0.0]]);
    let skew = vec![vec![0.0, -4.0], vec![4.0, 0.0]];
    assert_eq!(of("coordinate integer skew-symmetric", "2 2 1\n2 1 4\n"), skew);
    assert_eq!(of("array integer skew-symmetric", "2 2\n4\n"), skew);
    // capitals in the banner, repeated coordinates added up
    assert_eq!(of("Coordinate REAL General", "1 1 3\n1 1 1\n1 1 2\n1 1 -0.5\n"), [[2.5]]);
    let read = parse(b"%%MatrixMarket matrix array integer symmetric\n1 1\n3\n", "m").unwrap();
    assert_eq!((read.field, read.symmetry), (Field::Integer, Symmetry::Symmetric));
}

#[test]
fn what_is_written_reads_back() {
    let text = "%%MatrixMarket matrix coordinate real general\n2 3 3\n1 3 -0.1\n2 2 3e-300\n1 1 1.5\n";
    let Matrix::Sparse(matrix) = parse(text.as_bytes(), "m").unwrap().matrix else { unreachable!() };
    let mut bytes = Vec::new();
    write_sparse(&mut bytes, matrix.view()).unwrap();
    assert_eq!(parse(&bytes, "again").unwrap().matrix, Matrix::Sparse(matrix));
    let text = "%%MatrixMarket matrix array real general\n2 2\n0.1\n-1e-320\n0\n4\n";
    let Matrix::Dense(matrix) = parse(text.as_bytes(), "m").unwrap().matrix else { unreachable!() };
    let mut bytes = Vec::new();
    write_dense(&mut bytes, &matrix).unwrap();
    assert_eq!(parse(&bytes, "again").unwrap().matrix, Matrix::Dense(matrix));
}

#[test]
fn lies_and_unsupported_kinds_are_refused_with_their_line() {
    for (kind, body, line) in [
        ("coordinate real general", "2 2 4000000000\n1 1 1\n", 2),
        ("coordinate real general", "4000000000 2 1\n1 1 1\n", 2),
        ("array real general", "4000000000 4000000000\n1\n", 2),
        ("coordinate real general", "2 2 1\n3 1 1\n", 3),
        ("coordinate real general", "2 2 1\n0 1 1\n", 3),
        ("coordinate real general", "2 2 2\n1 1 1\n", 2),
        ("coordinate real general", "2 2 1\n1 1 1 9\n", 3),
        ("coordinate real general", "2 2 1\n1 1 nan\n", 3),
        ("coordinate real general", "2 2 1\n1 1\n", 3),
        ("coordinate real general", "2 2\n1 1 1\n", 2),
        ("coordinate real symmetric", "2 3 0\n", 2),
        ("coordinate real symmetric", "2 2 2\n2 1 1\n1 2 1\n", 4),
        ("coordinate real skew-symmetric", "2 2 1\n1 1 1\n", 3),
        ("array real general", "1 1\n1\n2\n", 4),
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
