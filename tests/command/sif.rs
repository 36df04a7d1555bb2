//! `gradus sif`: the description of a problem, its values, its refusals.

use super::*;

/// minimise x^2 z + 3 (x - 1) + w, -2 <= x - 2 z <= 5 - 2, x z = 6; x free, 0 <= z <= 4, w fixed; x0 = (3, 2, 1).
const SMALL: &str = "\
NAME          SMALL
*   classification OOR2-AN-3-2
 IE N                   3              $-PARAMETER
*IE N                   7              $-PARAMETER
 RE S                   2.0            $-PARAMETER
 IE 1                   1
VARIABLES
    X
    Z
    W
GROUPS
 N  OBJ       X         3.0            W         1.0
 L  ROW       X         1.0
 ZL ROW       Z                        TWO
 E  PRODUCT
CONSTANTS
    SMALL     OBJ       3.0            ROW       3.0
    SMALL     PRODUCT   6.0
RANGES
    SMALL     ROW       5.0
BOUNDS
 FR SMALL     X
 UP SMALL     Z         4.0
 FX SMALL     W         1.0
START POINT
    SMALL     X         3.0            Z         2.0
    SMALL     W         1.0
 M  SMALL     ROW       0.5
ELEMENT TYPE
 EV CUBIC     A                        B
 EV PRODUCT   A                        B
ELEMENT USES
 T  E1        CUBIC
 V  E1        A                        X
 V  E1        B                        Z
 T  E2        PRODUCT
 V  E2        A                        X
 V  E2        B                        Z
GROUP USES
 E  OBJ       E1
 E  PRODUCT   E2
*LO SOLTN               -1.5
ENDATA
ELEMENTS      SMALL
INDIVIDUALS
 T  CUBIC
 F                      A ** 2 * B
 G  A                   2.0 * A * B
 G  B                   A ** 2
 H  A         A         2.0 * B
 H  A         B         2.0 * A
 T  PRODUCT
 F                      A * B
 G  A                   B
 G  B                   A
 H  A         B         1.0
ENDATA
";

/// The text with a real parameter TWO = -S before the variables.
fn small() -> String {
    SMALL.replace("VARIABLES\n", " RM TWO       S         -1.0\nVARIABLES\n")
}

fn numbers(object: &Value, key: &str) -> Vec<f64> {
    object[key].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
}

/// A sparse matrix as (row, column, value), zeros left out, sorted.
fn triplets(matrix: &Value) -> Vec<(u64, u64, f64)> {
    let index = |key: &str| -> Vec<u64> {
        matrix[key].as_array().unwrap().iter().map(|value| value.as_u64().unwrap()).collect()
    };
    let (rows, cols, vals) = (index("rows"), index("cols"), numbers(matrix, "vals"));
    assert!(rows.len() == cols.len() && cols.len() == vals.len());
    let mut list: Vec<_> =
        rows.into_iter().zip(cols).zip(vals).map(|((i, j), v)| (i, j, v)).filter(|e| e.2 != 0.0).collect();
    list.sort_by_key(|&(i, j, _)| (i, j));
    list
}

#[test]
fn the_description_has_every_key() {
    let folder = Folder::new();
    let file = folder.write("SMALL.SIF", small());
    let ran = run(&format!("sif {file} --json --threads 1")).succeeds();
    let object = ran.json();
    let always = "command method status iterations seconds read_seconds objective certificate counts seed threads version";
    let own = "name classification n m variable_names x0 lower upper constraint_names c_lower c_upper equation linear v0 parameters";
    for key in always.split(' ').chain(own.split(' ')) {
        assert!(object.get(key).is_some(), "no key '{key}' in {object}");
    }
    for key in ["f", "g", "c", "J", "H"] {
        assert!(object.get(key).is_none(), "{key} only with --evaluate");
    }
    for key in ["method", "iterations", "objective", "certificate", "seed", "seconds"] {
        assert!(object[key].is_null(), "{key}");
    }
    assert_eq!((&object["command"], &object["status"]), (&"sif".into(), &"solved".into()));
    assert_eq!((&object["name"], &object["classification"]), (&"SMALL".into(), &"OOR2-AN-3-2".into()));
    assert_eq!((object["n"].as_u64(), object["m"].as_u64()), (Some(3), Some(2)));
    assert_eq!(object["variable_names"], serde_json::json!(["X", "Z", "W"]));
    assert_eq!(object["constraint_names"], serde_json::json!(["ROW", "PRODUCT"]));
    assert_eq!(numbers(&object, "x0"), [3.0, 2.0, 1.0]);
    assert_eq!(numbers(&object, "lower"), [-1e20, 0.0, 1.0]);
    assert_eq!(numbers(&object, "upper"), [1e20, 4.0, 1.0]);
    assert_eq!(numbers(&object, "c_lower"), [-5.0, 0.0]);
    assert_eq!(numbers(&object, "c_upper"), [0.0, 0.0]);
    assert_eq!(numbers(&object, "v0"), [0.5, 0.0]);
    assert_eq!(object["equation"], serde_json::json!([false, true]));
    assert_eq!(object["linear"], serde_json::json!([true, false]));
    assert_eq!(object["known_values"], serde_json::json!([-1.5]));
    let parameters = object["parameters"].as_array().unwrap();
    assert_eq!(parameters.len(), 2);
    assert_eq!((&parameters[0]["name"], number(&parameters[0], "value")), (&"N".into(), 3.0));
    assert_eq!(parameters[0]["alternatives"], serde_json::json!([7.0]));
}

#[test]
fn the_text_is_a_short_summary() {
    let folder = Folder::new();
    let file = folder.write("SMALL.SIF", small());
    let expected = "\
SMALL  OOR2-AN-3-2
variables    3: 1 free, 1 bounded on both sides, 1 fixed
constraints  2: 1 linear inequalities, 1 nonlinear equations
parameter    N = 3  (published: 7)
parameter    S = 2
known value  -1.5
";
    let sorted = |text: &str| {
        let mut words: Vec<String> = text.split_whitespace().map(|word| word.replace(',', "")).collect();
        words.sort();
        words
    };
    // the order of the kinds within a line is free
    assert_eq!(sorted(&run(&format!("sif {file}")).succeeds().out), sorted(expected));
    let evaluated = run(&format!("sif {file} --evaluate")).succeeds().out;
    // f = 18 + 9 + 1 - 3; the gradient is (12 + 3, 9, 1); ROW is -1 - 3, PRODUCT is met
    for line in ["f            25", "max |g|      1.5e1", "violation    0e0 of the constraints, at most"] {
        assert!(evaluated.lines().any(|own| own == line), "{line}: {evaluated}");
    }
    let stdin = with_stdin("sif -", small().as_bytes()).succeeds().out;
    assert_eq!(sorted(&stdin), sorted(expected));
}

#[test]
fn values_and_derivatives_at_any_point() {
    let folder = Folder::new();
    let file = folder.write("SMALL.SIF", small());
    let start = run(&format!("sif {file} --evaluate --json")).succeeds().json();
    assert_eq!((number(&start, "f"), number(&start, "objective")), (25.0, 25.0));
    assert!(start["seconds"].is_number() && start["read_seconds"].is_number());
    assert_eq!(numbers(&start, "g"), [15.0, 9.0, 1.0]);
    assert_eq!(numbers(&start, "c"), [-4.0, 0.0]);
    assert_eq!(triplets(&start["J"]), [(0, 0, 1.0), (0, 1, -2.0), (1, 0, 2.0), (1, 1, 3.0)]);
    // the multipliers of the file, (1/2, 0): the row is linear
    assert_eq!(triplets(&start["H"]), [(0, 0, 4.0), (1, 0, 6.0)]);
    let (x, v) = (folder.write("x.txt", "1\n-1\n0.5\n"), folder.write("v.txt", "7 10\n"));
    let moved = run(&format!("sif {file} --evaluate --at {x} --multipliers {v} --json")).succeeds().json();
    // f = -1 + 3 - 3 + 1/2
    assert_eq!((number(&moved, "f"), numbers(&moved, "g")), (-0.5, vec![1.0, 1.0, 1.0]));
    assert_eq!(numbers(&moved, "c"), [0.0, -7.0]);
    assert_eq!(triplets(&moved["J"]), [(0, 0, 1.0), (0, 1, -2.0), (1, 0, -1.0), (1, 1, 1.0)]);
    // 10 times the Hessian of the product is added off the diagonal
    assert_eq!(triplets(&moved["H"]), [(0, 0, -2.0), (1, 0, 12.0)]);
    // the lower triangle only
    assert!(triplets(&moved["H"]).iter().all(|(row, column, _)| row >= column));
}

#[test]
fn parameters_change_the_problem() {
    let folder = Folder::new();
    let file = folder.write("SMALL.SIF", small());
    let changed = run(&format!("sif {file} --param S=5 --param N=7 --evaluate --json")).succeeds().json();
    assert_eq!(triplets(&changed["J"])[1], (0, 1, -5.0));
    assert_eq!(number(&changed["parameters"][0], "value"), 7.0);
    assert_eq!(number(&changed["parameters"][0], "default"), 3.0);
    let chain = data("sif/ROSENCH.SIF");
    let object = run(&format!("sif {chain} --param N=1000 --json")).succeeds().json();
    assert_eq!((object["n"].as_u64(), number(&object["parameters"][0], "value")), (Some(1000), 1000.0));
    // of two values the later counts
    let object = run(&format!("sif {chain} --param N=1000 --param N=10 --json")).succeeds().json();
    assert_eq!(object["n"].as_u64(), Some(10));
    run(&format!("sif {chain} --param Q=3")).fails(1, "no parameter Q; it offers N");
    run(&format!("sif {chain} --param N=2.5")).fails(1, "parameter N cannot be 2.5; an integer");
    run(&format!("sif {chain} --param N=1e10")).fails(1, "an integer of 32 bits is expected");
    for (bad, words) in [
        ("N=x", "`x` is not a number"),
        ("N=", "not a number"),
        ("N", "NAME=VALUE"),
        ("=3", "a name"),
        ("N=nan", "finite number"),
        ("N=1e999", "finite number"),
    ] {
        run(&format!("sif {chain} --param {bad}")).fails(2, words);
    }
}

#[test]
fn the_two_arithmetics_differ_where_they_should() {
    let folder = Folder::new();
    let text = small().replace("2.0 * A * B", "0.1 * A * B");
    let file = folder.write("SMALL.SIF", text);
    let slope = |options: &str| {
        let object = run(&format!("sif {file} --evaluate --json {options}")).succeeds().json();
        numbers(&object, "g")[0]
    };
    assert_eq!(slope(""), 0.1 * 3.0 * 2.0 + 3.0);
    assert_eq!(slope("--mode exact"), slope(""));
    // a literal without D has single precision
    assert_eq!(slope("--mode cutest"), f64::from(0.1_f32) * 3.0 * 2.0 + 3.0);
    run(&format!("sif {file} --mode other")).fails(2, "possible values: exact, cutest");
}

#[test]
fn bad_files_are_refused_with_their_place() {
    let folder = Folder::new();
    let whole = small();
    let cases = [
        ("order", whole.replace("GROUPS\n N", "BOUNDS\n N"), "order:12:1: section BOUNDS"),
        (
            "variable",
            whole.replace("X         3.0            W", "Y         3.0            W"),
            "variable:13:15: variable Y",
        ),
        ("number", whole.replace("4.0\n", "4,0\n"), "number:24:25: `4,0` is no number"),
        ("code", whole.replace(" UP SMALL", " UQ SMALL"), "code:24:2: code `UQ`"),
        ("header", whole.replace("RANGES", "RANGE"), "header:20:1: `RANGE`"),
        ("expression", whole.replace("A ** 2 * B", "A ** 2 * / B"), "expression:48:"),
        ("unknown", whole.replace("A ** 2 * B", "A ** 2 * C"), "unknown:48:"),
        ("half", whole[..600].to_string(), "half:24:1: the file ends"),
        ("text", "hello\n".into(), "text:1:1:"),
    ];
    for (name, content, words) in &cases {
        let path = folder.write(name, content);
        // the functions are read only where values are wanted
        run(&format!("sif {path} --evaluate --json")).fails(1, words);
    }
    let empty = folder.write("empty", "");
    run(&format!("sif {empty}")).fails(1, "empty");
    run(&format!("sif {}", folder.path("nowhere"))).fails(1, "nowhere: cannot be read");
    run(&format!("sif {}", folder.0.display())).fails(1, "directory");
    with_stdin("sif -", b"hello\n").fails(1, "standard input:1:1:");
    let file = folder.write("SMALL.SIF", whole);
    let short = folder.write("x.txt", "1 2\n");
    run(&format!("sif {file} --evaluate --at {short}")).fails(1, "2 numbers; the point has 3");
    run(&format!("sif {file} --evaluate --multipliers {}", folder.path("no"))).fails(1, "no: cannot be read");
    let words = folder.write("words.txt", "1 2\nthree\n");
    run(&format!("sif {file} --evaluate --at {words}")).fails(1, "words.txt:2:");
    let long = folder.write("v.txt", "1 2 3\n");
    run(&format!("sif {file} --evaluate --multipliers {long}")).fails(1, "the vector of multipliers has 2");
    run(&format!("sif {file} --at {short}")).fails(2, "--evaluate");
    run("sif").fails(2, "required");
}

#[test]
fn limits_are_refusals_that_name_the_limit_and_can_be_raised() {
    let chain = data("sif/ROSENCH.SIF");
    run(&format!("sif {chain} --param N=100000 --memory-limit 1 --quiet"))
        .fails(1, "1048576 bytes of memory");
    run(&format!("sif {chain} --param N=1000 --card-limit 50")).fails(1, "more than 50 executed cards");
    run(&format!("sif {chain} --param N=2000000000 --json")).fails(1, "raise the limit");
    run(&format!("sif {chain} --memory-limit 0")).fails(2, "--memory-limit");
    run(&format!("sif {chain} --param N=100000 --memory-limit 300 --card-limit 2000000")).succeeds();
}

#[test]
fn warnings_go_to_standard_error_unless_quiet() {
    let folder = Folder::new();
    let tab = small().replace(" N  OBJ       X", " N  OBJ\t      X");
    let file = folder.write("TAB.SIF", tab);
    let loud = run(&format!("sif {file} --json"));
    assert_eq!(loud.code, Some(0));
    assert_eq!(loud.err.trim_end(), "warning: line 13: a tab is read as one blank");
    let quiet = run(&format!("sif {file} --json --quiet")).succeeds();
    assert_eq!(quiet.json()["x0"], loud.json()["x0"]);
    // a line with % is a comment only when that is asked for
    let percent = folder.write("PERCENT.SIF", small().replace("RANGES", "% ranges\nRANGES"));
    run(&format!("sif {percent}")).fails(1, "PERCENT.SIF:20:1:");
    assert!(run(&format!("sif {percent} --lenient")).err.starts_with("warning: line 20:"));
    run(&format!("sif {percent} --lenient --quiet")).succeeds();
}

#[test]
fn compressed_files_and_values_that_are_not_finite() {
    let folder = Folder::new();
    let text = small().replace(" F                      A * B", " F                      LOG( A - 3.0 ) * B");
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(text.as_bytes()).unwrap();
    let file = folder.write("SMALL.SIF.gz", gz.finish().unwrap());
    let object = run(&format!("sif {file} --evaluate --json")).succeeds().json();
    assert_eq!((&object["c"][0], &object["c"][1]), (&(-4.0).into(), &Value::Null));
    assert!(run(&format!("sif {file} --evaluate")).succeeds().out.contains("violation"));
}

#[test]
fn every_bundled_problem_is_read_and_evaluated() {
    let mut files: Vec<String> = fs::read_dir(data("sif"))
        .unwrap()
        .map(|entry| entry.unwrap().path().to_str().unwrap().to_string())
        .filter(|path| path.ends_with(".SIF"))
        .collect();
    files.sort();
    assert!(files.len() > 20);
    for file in files {
        let object = run(&format!("sif {file} --evaluate --json")).succeeds().json();
        let n = object["n"].as_u64().unwrap() as usize;
        assert!(object["f"].is_number() && numbers(&object, "g").len() == n, "{file}");
    }
}
