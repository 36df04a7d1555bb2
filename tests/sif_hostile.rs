//! Damaged, random and greedy SIF files: an error with its place, never a panic, never unbounded work.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use gradus::read::sif::{Limits, Mode, Options, SifError, SifErrorKind, describe};
use proptest::prelude::*;

/// A text with every section and both function parts.
const WHOLE: &str = "\
NAME          WHOLE
*   classification SOR2-AN-V-2
 IE N                   4              $-PARAMETER
 IE 1                   1
 IE 2                   2
 RE C                   0.5            $-PARAMETER
 IA N-1       N         -1
 RI RN        N
 R/ H         C                        RN
 R( S         SIN                      H
VARIABLES
 DO I         1                        N
 X  X(I)
 ND
    Y         'INTEGER'
GROUPS
 N  OBJ       Y         1.0
 DO I         1                        N-1
 IA I+1       I         1
 ZE D(I)      X(I)                     H
 XE D(I)      X(I+1)    -1.0
 XL L(I)      X(I)      1.0            Y         2.0
 ND
CONSTANTS
    WHOLE     'DEFAULT' 0.5
 X  WHOLE     D(1)      2.0
RANGES
 X  WHOLE     L(1)      3.0
BOUNDS
 FR WHOLE     'DEFAULT'
 XL WHOLE     X(1)      0.25
START POINT
    WHOLE     'DEFAULT' 1.0
 X  WHOLE     X(N)      3.0
QUADRATIC
 DO I         1                        N
 DI I         2
 X  X(I)      X(I)      1.0
 ND
ELEMENT TYPE
 EV PR        A                        B
 IV PR        U
 EP PR        P
ELEMENT USES
 T  'DEFAULT' PR
 DO I         1                        N-1
 IA I+1       I         1
 ZV E(I)      A                        X(I)
 ZV E(I)      B                        X(I+1)
 XP E(I)      P         1.5
 ND
GROUP TYPE
 GV L2        T
GROUP USES
 T  OBJ       L2
 DO I         1                        N-1
 XE OBJ       E(I)      2.0
 ND
OBJECT BOUND
 LO WHOLE               0.0
*LO SOLTN(4)            1.5
ENDATA
ELEMENTS      WHOLE
TEMPORARIES
 R  W
GLOBALS
 A  W                   2.0
INDIVIDUALS
 T  PR
 R  U         A         1.0            B         -1.0
 F                      P * W * U +
 F+                     U**2
 G  U                   P * W + 2.0 * U
 H  U         U         2.0
ENDATA
GROUPS        WHOLE
INDIVIDUALS
 T  L2
 F                      T * T
 G                      T + T
 H                      2.0
ENDATA
";

fn small_limits() -> Options {
    Options {
        limits: Limits { executed_cards: 20_000, memory: 4 << 20 },
        lenient: true,
        ..Options::default()
    }
}

/// An error names a place within the text.
fn check(text: &[u8]) {
    if let Err(error) = describe(text, &small_limits()) {
        let lines = 1 + text.iter().filter(|&&byte| byte == b'\n').count();
        let line = error.line.unwrap();
        assert!((1..=lines).contains(&line) && error.column.is_some_and(|column| column >= 1), "{error}");
        assert!(!error.kind.to_string().is_empty());
    }
}

fn error_of(text: &str) -> SifError {
    describe(text.as_bytes(), &Options::default()).unwrap_err()
}

#[test]
fn the_whole_text_is_fine() {
    let problem = describe(WHOLE.as_bytes(), &Options::default()).unwrap();
    assert_eq!((problem.variable_names.len(), problem.constraint_names.len()), (5, 6));
    assert_eq!(problem.warnings, []);
    assert_eq!(problem.classification.as_deref(), Some("SOR2-AN-V-2"));
    assert_eq!((problem.known_values[0].label.as_deref(), problem.known_values[0].value), (Some("4"), 1.5));
}

#[test]
fn every_truncation_is_an_error_or_a_problem() {
    for end in 0..WHOLE.len() {
        check(&WHOLE.as_bytes()[..end]);
    }
    let last = WHOLE.len() - "ENDATA\n".len();
    let error = error_of(&WHOLE[..last]);
    assert!(matches!(error.kind, SifErrorKind::Missing(_)), "{error}");
}

#[test]
fn leaving_out_or_doubling_a_line_does_no_harm() {
    let lines: Vec<&str> = WHOLE.lines().collect();
    for at in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(at);
        check(without.join("\n").as_bytes());
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at]);
        check(doubled.join("\r\n").as_bytes());
        for other in 0..lines.len() {
            let mut swapped = lines.clone();
            swapped.swap(at, other);
            check(swapped.join("\n").as_bytes());
        }
    }
}

#[test]
fn greedy_files_meet_the_limits() {
    let turns = WHOLE.replace("4              $", "2000000000     $");
    let error = describe(turns.as_bytes(), &small_limits()).unwrap_err();
    assert!(matches!(error.kind, SifErrorKind::Limit { .. }), "{error}");
    let loops = "\
NAME          GREEDY
 IE 1                   1
 IE N                   2147483647
 DO I         1                        N
 DO J         1                        N
 DO K         1                        N
 I= L         K
 ND
";
    let limits = Limits { executed_cards: 1_000_000, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let error = describe(loops.as_bytes(), &options).unwrap_err();
    assert_eq!(error.kind, SifErrorKind::Limit { what: "executed cards", limit: 1_000_000 });
    let names = "\
NAME          GREEDY
 IE 1                   1
 IE N                   2147483647
VARIABLES
 DO I         1                        N
 X  X(I)
 ND
";
    let limits = Limits { memory: 1 << 20, ..Limits::default() };
    let error = describe(names.as_bytes(), &Options { limits, ..Options::default() }).unwrap_err();
    assert_eq!(error.kind, SifErrorKind::Limit { what: "bytes of memory", limit: 1 << 20 });
}

#[test]
fn flaws_are_named_with_their_place() {
    let cases: &[(&str, &str, &str)] = &[
        (
            "IA N-1       N         -1",
            "IA N-1       M         -1",
            "7:15: integer parameter M is not defined",
        ),
        (
            "RE C                   0.5",
            "RE C                   0,5",
            "6:25: `0,5` is no number; a decimal number such as -1.5D+3 is expected",
        ),
        ("IE N                   4 ", "IE N                   4.5", "3:25: `4.5` is no integer"),
        ("R( S         SIN ", "R( S         SINE", "10:15: `SINE` is no function of parameter arithmetic"),
        ("R/ H         C ", "R/ H         Q ", "9:15: real parameter Q is not defined"),
        ("BOUNDS\n", "BOUND\n", "29:1: `BOUND` is no section header that may stand here"),
        (" X  WHOLE     D(1) ", " X  WHOLE     Q(1) ", "26:15: group Q1 is not defined"),
        ("ZV E(I)      A  ", "ZV E(I)      C  ", "48:15: elemental variable C is not defined"),
        (" XP E(I)      P         1.5\n", "", "48:1: element parameter P of element E1 is missing"),
        (" T  L2\n", " T  L3\n", "78:5: group type L3 is not defined"),
        (
            "ELEMENTS      WHOLE",
            "ELEMENTS      PART",
            "63:15: the name of the problem is `PART` here but `WHOLE` before",
        ),
        (" F                      T * T\n", "", "78:1: the value (card F) of group type L2 is missing"),
        (
            " ND\n    Y",
            "    Y",
            "14:2: only parameter cards and array cards (code X, Z or A) may stand in a loop",
        ),
        (
            " DI I         2\n",
            " DI J         2\n",
            "37:5: DI must name the variable of the innermost open loop",
        ),
        (
            " FR WHOLE     'DEFAULT'",
            " FF WHOLE     'DEFAULT'",
            "30:2: code `FF` is not one of section BOUNDS",
        ),
        ("RI RN        N", "RE RN", "9:15: division by zero"),
        (
            " XE D(I) ",
            " XE D(I  ",
            "21:5: `D(I` is no array name; base(i), base(i,j) or base(i,j,k) is expected",
        ),
    ];
    let mut wrong = Vec::new();
    for (from, to, message) in cases {
        assert!(WHOLE.contains(from), "{from}");
        let error = error_of(&WHOLE.replacen(from, to, 1)).to_string();
        if error != *message {
            wrong.push(format!("{error}\nfor {message}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn mutated_files_of_the_collection_do_no_harm() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/sif"));
    let Ok(entries) = std::fs::read_dir(folder) else {
        println!("skipped: {} is absent", folder.display());
        return;
    };
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    // A linear congruential generator is random enough to place damage.
    let mut state = 12345u64;
    let mut next = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound.max(1)
    };
    for path in files.iter().filter(|path| path.extension().is_some_and(|ending| ending == "SIF")) {
        let text = std::fs::read(path).unwrap();
        if text.len() > 60_000 {
            continue;
        }
        for round in 0..6 {
            let mut damaged = text.clone();
            for _ in 0..=round {
                let at = next(damaged.len());
                damaged[at] = b"0123456789 XZ()*\n.-ND\t'\xe9"[next(24)];
            }
            if round % 3 == 0 {
                damaged.truncate(next(damaged.len()));
            }
            check(&damaged);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        check(&bytes);
        let mut behind_a_name = b"NAME          RANDOM\nVARIABLES\nGROUPS\n".to_vec();
        behind_a_name.extend(&bytes);
        check(&behind_a_name);
        let mut in_free_form = b"FREE FORMAT\nNAME RANDOM; VARIABLES; _ X; GROUPS\n".to_vec();
        in_free_form.extend(bytes);
        check(&in_free_form);
    }

    #[test]
    fn random_characters_in_place_of_others_do_no_harm(
        changes in proptest::collection::vec((0..WHOLE.len(), any::<u8>()), 1..12),
        cutest: bool,
    ) {
        let mut text = WHOLE.as_bytes().to_vec();
        for (at, byte) in changes {
            text[at] = byte;
        }
        let mode = if cutest { Mode::Cutest } else { Mode::Exact };
        let _ = describe(&text, &Options { mode, ..small_limits() });
        check(&text);
    }

    #[test]
    fn cards_from_random_fields_do_no_harm(
        cards in proptest::collection::vec((0usize..40, 0usize..12, 0usize..12, -3i32..9, 0usize..12), 0..60),
    ) {
        let codes = ["IE", "IA", "I+", "I*", "RE", "RI", "R+", "R/", "A=", "A+", "AE", "DO", "DI", "OD", "ND", "X ", "Z ",
            "N ", "XN", "ZE", "XL", "FR", "XU", "ZL", "T ", "XT", "V ", "ZV", "P ", "ZP", "E ", "XE", "EV", "IV", "EP", "GV", "MI", "M ", "XM", "  "];
        let headers = ["VARIABLES", "GROUPS", "CONSTANTS", "RANGES", "BOUNDS", "START POINT", "QUADRATIC", "ELEMENT TYPE", "ELEMENT USES", "GROUP TYPE", "GROUP USES", "OBJECT BOUND"];
        let names = ["I", "J", "1", "X(I)", "X(I,J)", "X1", "'DEFAULT'", "'SCALE'", "T", "", "(", "V(J)"];
        let mut text = String::from("NAME          CARDS\n IE 1                   1\n IE I                   3\n IE J                   2\n RE X1                  0.5\n");
        let per_section = cards.len() / headers.len() + 1;
        for (number, (code, first, second, value, third)) in cards.iter().enumerate() {
            if number % per_section == 0 {
                text += headers[number / per_section];
                text += "\n";
            }
            text += &format!(" {:2} {:<10}{:<10}{:<12}   {:<10}\n", codes[*code], names[*first], names[*second], value, names[*third]);
        }
        text += "ENDATA\n";
        check(text.as_bytes());
    }
}
