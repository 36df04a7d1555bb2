//! LIBSVM text: the real data sets, flaws with their line, and hostile bytes.
#![allow(clippy::unwrap_used)]

use gradus::read::libsvm::{Options, parse, read};
use proptest::prelude::*;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/libsvm");

#[test]
fn every_real_data_set_has_the_counts_of_its_readme() {
    let Ok(readme) = std::fs::read_to_string(format!("{FOLDER}/README.md")) else {
        println!("skipped: {FOLDER} is absent");
        return;
    };
    let mut files = 0;
    for line in readme.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let Some(rows) = cells.get(2).and_then(|cell| cell.parse::<usize>().ok()) else { continue };
        let data = read(format!("{FOLDER}/{}", cells[1]), &Options::default()).unwrap();
        let shape = (rows, cells[3].parse().unwrap());
        assert_eq!((data.matrix.shape(), data.labels.len()), (shape, rows), "{}", cells[1]);
        assert_eq!(data.matrix.nnz(), cells[5].parse::<usize>().unwrap(), "{}", cells[1]);
        for class in cells[4].split(", ") {
            let Some((label, count)) = class.split_once(": ") else { continue };
            let label: f64 = label.parse().unwrap();
            let found = data.labels.iter().filter(|&&other| other == label).count();
            assert_eq!(found, count.parse::<usize>().unwrap(), "{} {label}", cells[1]);
        }
        files += 1;
    }
    assert!(files > 30);
}

#[test]
fn a_flaw_is_reported_with_its_line() {
    for flaw in [
        "1 0:1",
        "1 2:1 2:1",
        "1 3:1 2:1",
        "1 1099511627776:1",
        "1,2 1:1",
        "1 1:nan",
        "1 1:1e400",
        "1 1:",
        "1 1",
        "x 1:1",
        "1 -1:2",
        "\0\x01",
        "1 1:2x",
    ] {
        let error =
            parse(format!("1 1:1\r\n# note\n{flaw}").as_bytes(), "data", &Options::default()).unwrap_err();
        assert_eq!((error.file.as_str(), error.line), ("data", Some(3)), "{flaw}: {error}");
    }
    let several = parse(b"1,2 1:1", "data", &Options::default()).unwrap_err().to_string();
    assert!(several.contains("several labels"), "{several}");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, at in 0usize..40, byte: u8) {
        let _ = parse(&bytes, "data", &Options::default());
        let mut text = b"+1 1:0.5 3:-2e3 # a\n-1 qid:4 2:1 9:1e-3\r\n0 4:7".to_vec();
        text[at] = byte;
        let _ = parse(&text, "data", &Options::default());
        let _ = parse(&text[..at], "data", &Options::default());
    }

    #[test]
    fn written_numbers_read_back_with_the_same_bits(bits: Vec<u64>) {
        let values: Vec<f64> = bits.into_iter().map(f64::from_bits).filter(|v| v.is_finite()).collect();
        prop_assume!(!values.is_empty());
        let text: String = values.iter().map(|v| format!("{v:e} 2:{v:?}\n")).collect();
        let data = parse(text.as_bytes(), "data", &Options::default()).unwrap();
        let same = |read: &[f64]| read.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits()));
        prop_assert!(same(&data.labels) && same(data.matrix.data()));
    }
}
