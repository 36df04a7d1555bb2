//! SIF files: what they say about variables and constraints.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

use gradus::read::sif::{Metadata, Mode, Options, describe, describe_file};
use serde_json::Value;

fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(folder);
    if !path.is_dir() {
        println!("skipped: {} is absent", path.display());
        return None;
    }
    Some(path)
}

/// The files of the shared collection, sorted.
fn collection() -> Vec<(String, Vec<u8>)> {
    let Some(folder) = shared("sif") else { return Vec::new() };
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "SIF"));
    files.sort();
    let name = |path: &PathBuf| path.file_stem().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), std::fs::read(path).unwrap())).collect()
}

fn oracle(name: &str) -> Option<Value> {
    let path = shared("sif-oracle")?.join(format!("{name}.json.gz"));
    let file = std::fs::File::open(path).ok()?;
    Some(serde_json::from_reader(flate2::read::GzDecoder::new(file)).unwrap())
}

fn compare(problem: &Metadata, oracle: &Value) -> Vec<String> {
    let mut flaws = Vec::new();
    let mut check = |what: &str, fine: bool, detail: String| {
        if !fine {
            flaws.push(format!("{what}: {detail}"));
        }
    };
    let integer = |key: &str| oracle[key].as_u64().unwrap() as usize;
    let (n, m) = (problem.variable_names.len(), problem.constraint_names.len());
    check("n", n == integer("n"), format!("{n} for {}", integer("n")));
    check("m", m == integer("m"), format!("{m} for {}", integer("m")));
    let count = |flags: &[bool]| flags.iter().filter(|&&flag| flag).count();
    check(
        "equalities",
        count(&problem.equation) == integer("equalities"),
        count(&problem.equation).to_string(),
    );
    check(
        "linear",
        count(&problem.linear) == integer("linear_constraints"),
        count(&problem.linear).to_string(),
    );
    let class = oracle["classification"].as_str().unwrap_or_default();
    let own = problem.classification.as_deref().unwrap_or_default();
    check("class", own == class, format!("{own} for {class}"));
    let bounds = |test: fn(f64, f64) -> bool| {
        problem.lower.iter().zip(&problem.upper).filter(|&(&lower, &upper)| test(lower, upper)).count()
    };
    check("free", bounds(|l, u| l.is_infinite() && u.is_infinite()) == integer("free"), String::new());
    check("fixed", bounds(|l, u| l == u) == integer("fixed"), String::new());
    check(
        "lower_only",
        bounds(|l, u| l.is_finite() && u.is_infinite()) == integer("lower_only"),
        String::new(),
    );
    check(
        "upper_only",
        bounds(|l, u| l.is_infinite() && u.is_finite()) == integer("upper_only"),
        String::new(),
    );
    let finite_dot = |values: [&[f64]; 2], weight: fn(f64) -> f64| -> f64 {
        let both = values[0].iter().zip(values[1]).enumerate();
        let finite = |value: f64| if value.is_finite() { value } else { 0.0 };
        both.map(|(i, (&a, &b))| (finite(a) + 2.0 * finite(b)) * weight(i as f64 + 1.0)).sum()
    };
    let zeros = vec![0.0; n];
    let contractions = [
        ("x0_dot_w", finite_dot([&problem.x0, &zeros], f64::sin)),
        ("bounds_dot_w", finite_dot([&problem.lower, &problem.upper], f64::sin)),
        ("c_bounds_dot_u", finite_dot([&problem.c_lower, &problem.c_upper], f64::cos)),
    ];
    for (key, own) in contractions {
        let expected = oracle[key].as_f64().unwrap();
        check(
            key,
            (own - expected).abs() <= 1e-10 * expected.abs().max(1.0),
            format!("{own} for {expected}"),
        );
    }
    if oracle["full"] == Value::Bool(true) {
        let names = |key: &str| -> Vec<String> {
            oracle[key].as_array().map_or(Vec::new(), |list| {
                list.iter().map(|name| name.as_str().unwrap().trim_end().into()).collect()
            })
        };
        check("variable names", problem.variable_names == names("variable_names"), String::new());
        check(
            "constraint names",
            problem.constraint_names == names("constraint_names"),
            format!("{:?}", problem.constraint_names),
        );
        let numbers = |key: &str| -> Vec<f64> {
            let infinite = |value: f64| if value.abs() >= 1e20 { value * f64::INFINITY } else { value };
            oracle[key].as_array().map_or(Vec::new(), |list| {
                list.iter().map(|value| infinite(value.as_f64().unwrap())).collect()
            })
        };
        for (key, own) in [
            ("x0", &problem.x0),
            ("lower", &problem.lower),
            ("upper", &problem.upper),
            ("c_lower", &problem.c_lower),
            ("c_upper", &problem.c_upper),
            ("v0", &problem.v0),
        ] {
            let expected = numbers(key);
            let first = own.iter().zip(&expected).find(|(a, b)| !close(**a, **b));
            check(key, own.len() == expected.len() && first.is_none(), format!("{first:?}"));
        }
        for (key, own) in [("equation", &problem.equation), ("linear", &problem.linear)] {
            let expected: Vec<bool> = numbers(key).iter().map(|&flag| flag != 0.0).collect();
            check(key, *own == expected, String::new());
        }
    }
    flaws
}

#[test]
fn the_collection_agrees_with_the_reference() {
    let options = Options { mode: Mode::Cutest, lenient: true, ..Options::default() };
    for (name, text) in collection() {
        let decoded = describe(&text, &options);
        if name == "SIMPLEU" {
            let error = decoded.unwrap_err();
            assert_eq!(error.to_string(), "22:15: integer parameter 1 is not defined");
            continue;
        }
        let problem = decoded.unwrap_or_else(|error| panic!("{name}.SIF:{error}"));
        // The reference cannot read two more files.
        if let Some(oracle) = oracle(&name) {
            let flaws = compare(&problem, &oracle);
            assert!(flaws.is_empty(), "{name}: {flaws:?}");
        }
    }
}

#[test]
fn a_percent_sign_starts_a_comment_only_when_lenient() {
    for (name, text) in collection().iter().filter(|(name, _)| name == "CHANDHEULS") {
        let error = describe(text, &Options::default()).unwrap_err();
        assert_eq!((error.line, error.column), (Some(10), Some(1)), "{name}: {error}");
        let options = Options { lenient: true, ..Options::default() };
        let problem = describe(text, &options).unwrap();
        assert_eq!((problem.variable_names.len(), problem.warnings.len()), (500, 2));
    }
}

/// Equal but for the last bit or two, which the parser of JSON may lose.
fn close(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 4.0 * f64::EPSILON * b.abs()
}

/// The files of this project: every one is sound, has a default that its class agrees with, and comes in all the sizes
/// that it lists.
#[test]
fn own_files_are_decoded_without_warnings() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/sif");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "SIF"));
    assert!(files.len() >= 25);
    for path in files {
        let problem = describe_file(&path, &Options::default()).unwrap();
        assert_eq!(problem.warnings, [], "{}", path.display());
        assert_eq!(Some(problem.name.as_str()), path.file_stem().and_then(|stem| stem.to_str()));
        let class = problem.classification.as_deref().unwrap();
        let sizes: Vec<&str> = class.split('-').skip(2).collect();
        for (size, count) in sizes.iter().zip([problem.variable_names.len(), problem.constraint_names.len()])
        {
            assert!(*size == "V" || *size == count.to_string(), "{class}: {count}");
        }
        for parameter in &problem.parameters {
            for &value in parameter.alternatives.iter().filter(|&&value| value <= 10_000.0) {
                let options =
                    Options { parameters: vec![(parameter.name.clone(), value)], ..Options::default() };
                let other = describe_file(&path, &options).unwrap();
                assert_ne!(other.variable_names.len(), problem.variable_names.len());
            }
        }
    }
}
