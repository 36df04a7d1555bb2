//! Every reader under mutated inputs: no panic, no endless work, no memory that the input does not justify, and every
//! error says what and where.
//!
//! The cases are made by a seeded mutator from the inputs in `tests/corpus/<reader>/`, which are run unchanged first;
//! a case that meets an answer nobody met before joins the pool. Everything is deterministic. A longer run:
//!
//! ```text
//! GRADUS_FUZZ_CASES=1000000 GRADUS_FUZZ_SEED=7 cargo test --release --test fuzz -- --test-threads 1 libsvm
//! ```
//!
//! A case that fails is written to a file whose name the failure tells; what was learnt from it belongs into the corpus.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod memory;
#[path = "../common/mutate.rs"]
mod mutate;
mod readers;
mod states;

use std::collections::HashSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use mutate::Mutator;
use readers::Reader;

/// Memory is counted for the whole process: one reader at a time.
static TURN: Mutex<()> = Mutex::new(());

/// A case that takes longer than this is taken for endless; all others take milliseconds.
const ENDLESS: Duration = Duration::from_secs(300);

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn corpus(folder: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> = Vec::new();
    let bundled = (folder == "sif").then(|| root.join("data/sif"));
    for folder in [Some(root.join("tests/corpus").join(folder)), bundled].into_iter().flatten() {
        files.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    }
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

/// Aborts with the case on disk where one does not end.
fn watch(counter: Arc<AtomicU64>, running: PathBuf) {
    std::thread::spawn(move || {
        loop {
            let before = counter.load(Relaxed);
            std::thread::sleep(ENDLESS);
            match counter.load(Relaxed) {
                u64::MAX => return,
                now if now == before => {
                    eprintln!(
                        "case {now} does not end; GRADUS_FUZZ_KEEP=1 writes it to {}",
                        running.display()
                    );
                    std::process::abort();
                }
                _ => {}
            }
        }
    });
}

fn fuzz(folder: &str, cases: u64, tokens: &'static [&'static str], reader: Reader) {
    fuzz_over(folder, corpus(folder), cases, tokens, reader);
}

fn fuzz_over(folder: &str, kept: Vec<Vec<u8>>, cases: u64, tokens: &'static [&'static str], reader: Reader) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let cases = setting("GRADUS_FUZZ_CASES").unwrap_or(cases);
    let seed = setting("GRADUS_FUZZ_SEED").unwrap_or(0);
    // a crash or an endless case leaves nothing behind unless it was written before
    let keep = setting("GRADUS_FUZZ_KEEP").is_some();
    let running = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{folder}-running"));
    let mut mutator = Mutator::new(seed, kept.clone(), tokens);
    let mut seen = HashSet::new();
    let counter = Arc::new(AtomicU64::new(0));
    watch(counter.clone(), running.clone());
    let mut findings = Vec::new();
    for number in 0..cases.max(kept.len() as u64) {
        counter.store(number, Relaxed);
        let input = match kept.get(number as usize) {
            Some(input) => input.clone(),
            None => mutator.case(),
        };
        let option = mutator.below(8);
        if keep {
            fs::write(&running, &input).unwrap();
        }
        let run = || memory::peak(|| reader(&input, option));
        let flaw = match catch_unwind(AssertUnwindSafe(run)) {
            Ok((Ok(answer), bytes)) if bytes <= answer.memory => {
                if seen.insert(digest(&answer.key)) {
                    mutator.keep(&input);
                }
                continue;
            }
            Ok((Ok(answer), bytes)) => {
                format!("{bytes} bytes for {} of input, more than {}", input.len(), answer.memory)
            }
            Ok((Err(flaw), _)) => flaw,
            Err(_) => "a panic".into(),
        };
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{folder}-{number}-{option}"));
        fs::write(&file, &input).unwrap();
        findings.push(format!("{}: {flaw}", file.display()));
        if findings.len() >= 20 {
            break;
        }
    }
    counter.store(u64::MAX, Relaxed);
    println!("{folder}: {cases} cases, {} different answers", seen.len());
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

/// Digits, and what stands between the first and the last quote, make no answer new.
fn digest(key: &str) -> u64 {
    let quotes = ['`', '\''];
    let (from, to) = (key.find(quotes).unwrap_or(key.len()), key.rfind(quotes).unwrap_or(key.len()));
    let mut hasher = DefaultHasher::new();
    for byte in key[..from].bytes().chain(key[to..].bytes()).filter(|byte| !byte.is_ascii_digit()) {
        byte.hash(&mut hasher);
    }
    hasher.finish()
}

#[test]
fn libsvm() {
    fuzz(
        "libsvm",
        200_000,
        &["qid:3 ", "1:1 ", ":", "#", "\n", "-1 ", "+1", "2:", " 3:0.5", "\u{ef}\u{bb}\u{bf}", "\r\n", "nan"],
        readers::libsvm,
    );
}

#[test]
fn matrix_market() {
    let tokens = &[
        "%%MatrixMarket matrix coordinate real general\n",
        "%%MatrixMarket matrix array real general\n",
        "coordinate",
        "array",
        "real",
        "integer",
        "pattern",
        "complex",
        "general",
        "symmetric",
        "skew-symmetric",
        "hermitian",
        "double",
        "%",
        "\n",
        "1 1 1\n",
        "2 2 4\n",
    ];
    fuzz("matrix_market", 200_000, tokens, readers::matrix_market);
}

#[test]
fn triplets() {
    fuzz(
        "triplets",
        200_000,
        &[
            "\"",
            "\"\"",
            ",",
            ";",
            "\t",
            "a,b,1\n",
            "user,item,rating\n",
            "\r\n",
            "\n",
            " ",
            "\u{c3}\u{a9}",
            "\"a\nb\"",
        ],
        readers::triplets,
    );
}

#[test]
fn table() {
    fuzz(
        "table",
        200_000,
        &[",", ";", " ", "\t", "\n", "#", "%", "x,y\n", "1,2\n", "\r\n", "\u{ef}\u{bb}\u{bf}", "1 2 3\n"],
        readers::table,
    );
}

#[test]
fn npy() {
    let tokens = &[
        "\u{93}NUMPY\u{1}\0",
        "'descr': ",
        "'fortran_order': True, ",
        "'shape': (2, 3), ",
        "(",
        ")",
        "(), ",
        "'<f8'",
        "'>f4'",
        "'|b1'",
        "'<c16'",
        "'|O'",
        "'<U3'",
        "False",
        "L",
        "{",
        "}",
        ",",
    ];
    fuzz("npy", 200_000, tokens, readers::npy);
}

#[test]
fn image() {
    fuzz(
        "image",
        200_000,
        &[
            "IHDR",
            "IDAT",
            "IEND",
            "PLTE",
            "tRNS",
            "\u{89}PNG\r\n\x1a\n",
            "gAMA",
            "acTL",
            "fcTL",
            "fdAT",
            "iCCP",
            "zTXt",
        ],
        readers::image,
    );
}

#[test]
fn compressed() {
    fuzz(
        "compressed",
        100_000,
        &["\u{1f}\u{8b}", "\u{fd}7zXZ\0", "(\u{b5}/\u{fd}", "YZ", "\0\0\0\0"],
        readers::compressed,
    );
}

#[test]
fn sif() {
    let tokens = &[
        "ROWS\n",
        "VARIABLES\n",
        "GROUPS\n",
        "CONSTANTS\n",
        "RHS\n",
        "RANGES\n",
        "BOUNDS\n",
        "START POINT\n",
        "QUADRATIC\n",
        "ELEMENT TYPE\n",
        "ELEMENT USES\n",
        "GROUP TYPE\n",
        "GROUP USES\n",
        "OBJECT BOUND\n",
        "ENDATA\n",
        "ELEMENTS",
        "GROUPS        X\n",
        "TEMPORARIES\n",
        "GLOBALS\n",
        "INDIVIDUALS\n",
        "FREE FORMAT\n",
        "FIXED FORMAT\n",
        "NAME          X\n",
        "'DEFAULT'",
        "'SCALE'",
        "'MARKER'",
        "'INTEGER'",
        " DO I         1                        N\n",
        " DI I         -1\n",
        " OD I\n",
        " ND\n",
        " IE N                   1000\n",
        " I* N         N\n",
        " R( X         SQRT",
        "X(I)",
        "X(I,J,K)",
        " FR ",
        " UP ",
        " MI ",
        " FX ",
        "SIN(",
        "((((((((((((((((((((",
        "))))))))))",
        "**",
        ".AND.",
        ".NOT.",
        ".GT.",
        "D+3",
        "F+",
        "**-",
        "MAX(",
        "1.0E400",
        "$-PARAMETER",
        ";",
        "-",
    ];
    fuzz("sif", 200_000, tokens, readers::sif);
}

const JSON: &[&str] = &[
    "null",
    "[]",
    "{}",
    "true",
    "false",
    "[",
    "]",
    ",",
    ":",
    "0.0",
    "[0.0]",
    "[1.0,2.0]",
    "\"\"",
    "\"x\"",
    "-1",
];

#[test]
fn completion_checkpoint() {
    fuzz_over("completion_checkpoint", states::completion_pool(), 50_000, JSON, states::completion);
}

#[test]
fn surrogate_checkpoint() {
    fuzz_over("surrogate_checkpoint", states::surrogate_pool(), 10_000, JSON, states::surrogate);
}

#[test]
fn stream_state() {
    fuzz_over("stream_state", states::stream_pool(), 50_000, JSON, states::stream);
}
