//! NumPy arrays: every type and order, what is written reads back, headers that lie, hostile bytes.
#![allow(clippy::unwrap_used)]

use gradus::read::Dense;
use gradus::read::npy::{Options, parse, write};
use proptest::prelude::*;

/// An array as NumPy writes it, version 1.0.
fn array(header: &str, entries: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(entries);
    bytes
}

fn header(descr: &str, fortran: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n")
}

fn values(descr: &str, entries: &[u8]) -> Vec<f64> {
    let count = entries.len() / descr[2..].parse::<usize>().unwrap();
    let bytes = array(&header(descr, "False", &format!("({count},)")), entries);
    let read = parse(&bytes, "a.npy", &Options::default()).unwrap();
    assert_eq!((read.rows, read.columns), (count, 1));
    read.values
}

#[test]
fn every_type_in_either_byte_order() {
    assert_eq!(values("<f8", &[0.1f64.to_le_bytes(), (-2.0f64).to_le_bytes()].concat()), [0.1, -2.0]);
    assert_eq!(values(">f8", &0.1f64.to_be_bytes()), [0.1]);
    assert_eq!(values("<f4", &0.5f32.to_le_bytes()), [0.5]);
    assert_eq!(values(">f4", &(-0.25f32).to_be_bytes()), [-0.25]);
    assert_eq!(values("<i8", &(-3i64).to_le_bytes()), [-3.0]);
    assert_eq!(values(">i8", &(-3i64).to_be_bytes()), [-3.0]);
    assert_eq!(values("<i4", &(-70_000i32).to_le_bytes()), [-70_000.0]);
    assert_eq!(values(">i4", &(-70_000i32).to_be_bytes()), [-70_000.0]);
    assert_eq!(values("<i2", &(-300i16).to_le_bytes()), [-300.0]);
    assert_eq!(values(">i2", &(-300i16).to_be_bytes()), [-300.0]);
    assert_eq!(values("|i1", &[255, 1]), [-1.0, 1.0]);
    assert_eq!(values("<u8", &u64::MAX.to_le_bytes()), [u64::MAX as f64]);
    assert_eq!(values("<u4", &u32::MAX.to_le_bytes()), [4294967295.0]);
    assert_eq!(values(">u2", &513u16.to_be_bytes()), [513.0]);
    assert_eq!(values("|u1", &[255]), [255.0]);
    assert_eq!(values("|b1", &[0, 1, 7]), [0.0, 1.0, 1.0]);
}

#[test]
fn rows_first_and_columns_first_are_the_same_matrix() {
    let (by_row, by_column) = ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
    let bytes = |entries: &[f64]| entries.iter().flat_map(|v: &f64| v.to_le_bytes()).collect::<Vec<u8>>();
    let c =
        parse(&array(&header("<f8", "False", "(2, 3)"), &bytes(&by_row)), "c", &Options::default()).unwrap();
    let f = parse(&array(&header("<f8", "True", "(2, 3)"), &bytes(&by_column)), "f", &Options::default())
        .unwrap();
    assert_eq!(c, f);
    assert_eq!((c.rows, c.columns, &c.values[..]), (2, 3, &by_column[..]));
    // keys in another order, a long integer of Python 2, no comma at the end, version 2.0
    let text = "{\"shape\": (2L, 3), 'fortran_order': False, 'descr': '<f8'}";
    let mut second = b"\x93NUMPY\x02\x00".to_vec();
    second.extend((text.len() as u32).to_le_bytes());
    second.extend(text.as_bytes());
    second.extend(bytes(&by_row));
    assert_eq!(parse(&second, "second", &Options::default()).unwrap(), c);
    let scalar = array(&header("<f8", "False", "()"), &bytes(&[7.0]));
    assert_eq!(parse(&scalar, "s", &Options::default()).unwrap().as_vector(), Some(&[7.0][..]));
}

#[test]
fn what_is_wrong_is_named() {
    let one = 1.0f64.to_le_bytes();
    let nan = f64::NAN.to_le_bytes();
    for (bytes, words) in [
        (b"PK\x03\x04".to_vec(), "does not start with"),
        (b"\x93NUMPY\x09\x00\x00".to_vec(), "version"),
        (b"\x93NUMPY\x01\x00\xff\xff{".to_vec(), "over the end"),
        (array(&header("<f8", "False", "(2,)"), &one), "8 bytes of entries"),
        (array(&header("<f8", "False", "(99999999999, 99999999999)"), &one), "8 bytes of entries"),
        (array(&header("<f8", "False", "(99999999999999999999999,)"), &one), "a size"),
        (array(&header("<f8", "False", "(1, 1, 1)"), &one), "3 dimensions"),
        (array(&header("<f8", "False", "(0,)"), &[]), "shape [0]"),
        (array(&header("<c16", "False", "(1,)"), &one), "'<c16'"),
        (array(&header("|O", "False", "(1,)"), &one), "'|O'"),
        (array(&header("", "False", "(1,)"), &one), "''"),
        (array(&header("<f8", "Maybe", "(1,)"), &one), "True or False"),
        (array("{'descr': '<f8', 'shape': (1,)}", &one), "lacks a key"),
        (array("{'colour': 'red'}", &one), "unknown key 'colour'"),
        (array(&header("<f8", "False", "(1, 1)"), &nan), "entry (0, 0), counted from 0, is NaN"),
    ] {
        let error = parse(&bytes, "x.npy", &Options::default()).unwrap_err().to_string();
        assert!(error.starts_with("x.npy: ") && error.contains(words), "{error} for {words}");
    }
    let allowed = Options { allow_non_finite: true };
    assert!(parse(&array(&header("<f8", "False", "(1,)"), &nan), "x", &allowed).unwrap().values[0].is_nan());
}

proptest! {
    #[test]
    fn what_is_written_reads_back_with_the_same_bits(rows in 1usize..7, columns in 1usize..7, seed: u64) {
        let values = (0..rows * columns).map(|k| f64::from_bits(seed.rotate_left(7 * k as u32)));
        let values: Vec<f64> = values.map(|v| if v.is_finite() { v } else { 0.5 }).collect();
        let matrix = Dense { rows, columns, values };
        let mut bytes = Vec::new();
        write(&mut bytes, &matrix).unwrap();
        // NumPy maps files whose entries start at a multiple of 64 bytes
        prop_assert_eq!((bytes.len() - 8 * rows * columns) % 64, 0);
        let read = parse(&bytes, "x.npy", &Options::default()).unwrap();
        prop_assert!(read.values.iter().map(|v| v.to_bits()).eq(matrix.values.iter().map(|v| v.to_bits())));
        prop_assert_eq!((read.rows, read.columns), (rows, columns));
        for length in 0..bytes.len() {
            prop_assert!(parse(&bytes[..length], "x.npy", &Options::default()).is_err());
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, at in 0usize..80, byte: u8) {
        let _ = parse(&bytes, "x", &Options::default());
        let mut whole = array(&header("<f8", "False", "(2, 1)"), &[0; 16]);
        let at = at.min(whole.len() - 1);
        whole[at] = byte;
        let _ = parse(&whole, "x", &Options::default());
        let _ = parse(&array(&String::from_utf8_lossy(&bytes), &[0; 16]), "x", &Options::default());
    }
}
