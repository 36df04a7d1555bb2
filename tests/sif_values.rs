//! SIF files: values and derivatives against the reference decoder, and against differences.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use gradus::problem::nonlinear::{DerivativeCheck, DerivativeError, entries};
use gradus::problem::{NonlinearProgram, check_derivatives};
use gradus::read::sif::{ExternalFunctions, Mode, Options, SifProblem};
use rayon::prelude::*;
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
fn collection() -> Vec<(String, PathBuf)> {
    let Some(folder) = shared("sif") else { return Vec::new() };
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "SIF"));
    files.sort();
    files.into_iter().map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path)).collect()
}

fn oracle(name: &str) -> Option<Value> {
    let path = shared("sif-oracle")?.join(format!("{name}.json.gz"));
    let file = std::fs::File::open(path).ok()?;
    Some(serde_json::from_reader(flate2::read::GzDecoder::new(file)).unwrap())
}

fn options(mode: Mode) -> Options {
    Options { mode, lenient: true, externals: externals(), ..Options::default() }
}

/// A number with its derivatives with respect to three variables; second ones in the order 11, 12, 13, 22, 23, 33.
#[derive(Clone, Copy)]
struct Jet {
    value: f64,
    first: [f64; 3],
    second: [f64; 6],
}

const PAIRS: [(usize, usize); 6] = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)];

impl Jet {
    fn constant(value: f64) -> Self {
        Self { value, first: [0.0; 3], second: [0.0; 6] }
    }

    fn variable(value: f64, k: usize) -> Self {
        let mut jet = Self::constant(value);
        jet.first[k] = 1.0;
        jet
    }

    fn times(self, other: Self) -> Self {
        let (a, b) = (self, other);
        let second = |k: usize| {
            let (i, j) = PAIRS[k];
            a.value * b.second[k] + b.value * a.second[k] + a.first[i] * b.first[j] + a.first[j] * b.first[i]
        };
        Self {
            value: a.value * b.value,
            first: std::array::from_fn(|k| a.value * b.first[k] + b.value * a.first[k]),
            second: std::array::from_fn(second),
        }
    }

    /// a + factor * b.
    fn plus(self, factor: f64, other: Self) -> Self {
        Self {
            value: self.value + factor * other.value,
            first: std::array::from_fn(|k| self.first[k] + factor * other.first[k]),
            second: std::array::from_fn(|k| self.second[k] + factor * other.second[k]),
        }
    }

    fn inverse(self) -> Self {
        let r = 1.0 / self.value;
        let second = |k: usize| {
            let (i, j) = PAIRS[k];
            2.0 * self.first[i] * self.first[j] * r * r * r - self.second[k] * r * r
        };
        Self { value: r, first: self.first.map(|d| -d * r * r), second: std::array::from_fn(second) }
    }
}

/// The alkylation process of Hock and Schittkowski (1981), problem 67: y_2 to y_8 of x by two fixed-point loops.
fn alkylation(x: &[f64], outputs: &mut [f64]) -> f64 {
    let constant = Jet::constant;
    let x: [Jet; 3] = std::array::from_fn(|k| Jet::variable(x[k], k));
    let mut y = [constant(0.0); 8];
    y[1] = constant(0.0).plus(1.6, x[0]);
    loop {
        y[2] = x[0].times(constant(-1.0)).plus(1.22, y[1]);
        y[5] = x[1].plus(1.0, y[2]).times(x[0].inverse());
        let factor = constant(112.0).plus(13.167, y[5]).plus(-0.6667, y[5].times(y[5]));
        let next = constant(0.0).plus(0.01, x[0].times(factor));
        if (next.value - y[1].value).abs() <= 0.001 {
            break;
        }
        y[1] = next;
    }
    y[3] = constant(93.0);
    loop {
        y[4] =
            constant(86.35 - 0.325 * 89.0).plus(1.098, y[5]).plus(-0.038, y[5].times(y[5])).plus(0.325, y[3]);
        y[7] = constant(-133.0).plus(3.0, y[4]);
        y[6] = constant(35.82).plus(-0.222, y[7]);
        let below = y[1].times(y[6]).plus(1000.0, x[2]);
        let next = constant(0.0).plus(98000.0, x[2].times(below.inverse()));
        if (next.value - y[3].value).abs() <= 0.001 {
            break;
        }
        y[3] = next;
    }
    for (k, y) in y.iter().enumerate() {
        outputs[k] = y.value;
        for (j, d) in y.first.iter().enumerate() {
            outputs[8 + 8 * j + k] = *d;
        }
        for (j, d) in y.second.iter().enumerate() {
            outputs[32 + 8 * j + k] = *d;
        }
    }
    0.0
}

fn externals() -> ExternalFunctions {
    let mut externals = ExternalFunctions::default();
    externals.register("HS67", alkylation);
    externals
}

/// A number of the oracle; null and strings stand for what is not finite.
fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or(f64::NAN)
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().map(|values| values.iter().map(number).collect()).unwrap_or_default()
}

/// max |a - b| / max(1, max |b|); what is not finite must not be finite on both sides.
fn error(own: &[f64], reference: &[f64]) -> f64 {
    if own.len() != reference.len() {
        return f64::INFINITY;
    }
    let (mut difference, mut scale) = (0.0f64, 1.0f64);
    for (a, b) in own.iter().zip(reference) {
        if !a.is_finite() && !b.is_finite() {
            continue;
        }
        scale = scale.max(b.abs());
        difference = if (a - b).is_nan() { f64::INFINITY } else { difference.max((a - b).abs()) };
    }
    difference / scale
}

/// The same for sparse matrices.
fn matrix_error(own: impl Iterator<Item = ((usize, usize), f64)>, reference: &Value) -> f64 {
    let mut map = std::collections::BTreeMap::<(usize, usize), (f64, f64)>::new();
    for (place, value) in own {
        map.entry(place).or_default().0 += value;
    }
    let index = |key: &str| -> Vec<usize> {
        reference[key].as_array().into_iter().flatten().map(|k| k.as_u64().unwrap() as usize).collect()
    };
    let (rows, columns) = (index("rows"), index("cols"));
    let values = reference.get("vals").or(reference.get("values")).map(numbers).unwrap_or_default();
    for ((row, column), value) in rows.into_iter().zip(columns).zip(values) {
        map.entry((row, column)).or_default().1 += value;
    }
    let (a, b): (Vec<f64>, Vec<f64>) = map.into_values().unzip();
    error(&a, &b)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// What differs at one point by more than the tolerances.
fn compare_point(problem: &SifProblem, second_point: bool, point: &Value, allowance: f64) -> Vec<String> {
    let mut workspace = problem.workspace();
    let (n, m) = (problem.variable_count(), problem.constraint_count());
    let mut x = problem.start().to_vec();
    let mut v = vec![1.0; m];
    if second_point {
        for (i, x) in x.iter_mut().enumerate() {
            *x += 0.01 * (1.0 + x.abs()) * ((i + 1) as f64).sin();
        }
        for (j, v) in v.iter_mut().enumerate() {
            *v = ((j + 1) as f64).cos();
        }
    }
    let w: Vec<f64> = (1..=n).map(|i| (i as f64).sin()).collect();
    let mut c = vec![0.0; m];
    let f = problem.objective_and_constraints(&x, &mut c, &mut workspace);
    let mut g = vec![0.0; n];
    let mut j = vec![0.0; problem.jacobian_pattern().nnz()];
    problem.gradient_and_jacobian(&x, &mut g, &mut j, &mut workspace);
    let mut flaws = Vec::new();
    let mut check = |what: &str, error: f64, tolerance: f64| {
        if !(error <= tolerance.max(allowance)) {
            flaws.push(format!("{what} {error:.1e}"));
        }
    };
    check("f", error(&[f], &[number(&point["f"])]), 1e-12);
    let mut product = vec![0.0; n];
    problem.hessian_product(&x, 1.0, &v, &w, &mut product, &mut workspace);
    let mut transposed = vec![0.0; n];
    problem.jacobian_transpose_product(&x, &v, &mut transposed, &mut workspace);
    if point.get("g").is_none() {
        check("g.w", error(&[dot(&g, &w)], &[number(&point["g_dot_w"])]), 1e-10);
        check("c.v", error(&[dot(&c, &v)], &[number(&point["c_dot_v"])]), 1e-12);
        check("vJw", error(&[dot(&transposed, &w)], &[number(&point["v_J_w"])]), 1e-10);
        check("wHw", error(&[dot(&product, &w)], &[number(&point["w_H_w"])]), 1e-8);
        let norm = dot(&g, &g).sqrt();
        check("|g|", error(&[norm], &[number(&point["g_norm"])]), 1e-10);
    } else {
        check("g", error(&g, &numbers(&point["g"])), 1e-10);
        check("c", error(&c, &numbers(&point["c"])), 1e-12);
        let own = entries(problem.jacobian_pattern()).zip(j.iter().copied());
        check("J", matrix_error(own, &point["J"]), 1e-10);
    }
    let Some(pattern) = problem.hessian_pattern() else { return flaws };
    let mut h = vec![0.0; pattern.nnz()];
    problem.hessian(&x, 1.0, &v, &mut h, &mut workspace);
    if point.get("H").is_some() {
        check("H", matrix_error(entries(pattern).zip(h.iter().copied()), &point["H"]), 1e-8);
    }
    // Products and values agree.
    let mut expected = vec![0.0; n];
    let mut frobenius = 0.0;
    for ((row, column), value) in entries(pattern).zip(&h) {
        expected[row] += value * w[column];
        if row != column {
            expected[column] += value * w[row];
        }
        frobenius += value * value * if row == column { 1.0 } else { 2.0 };
    }
    check("|H|", error(&[f64::sqrt(frobenius)], &[number(&point["H_norm"])]), 1e-8);
    check("Hw", error(&product, &expected), 1e-10);
    let mut expected = vec![0.0; n];
    for ((row, column), value) in entries(problem.jacobian_pattern()).zip(&j) {
        expected[column] += value * v[row];
    }
    check("J'v", error(&transposed, &expected), 1e-11);
    flaws
}

/// Tolerances below this mean nothing for some files.
fn allowance(name: &str) -> f64 {
    match name {
        // The reference has the literals of the external function in single precision.
        "HS67" => 2e-6,
        // The reference takes an integer above 2^24 through single precision, at full precision as well.
        "FERRISDC" => 1e-9,
        _ => 0.0,
    }
}

/// All flaws of a mode against the reference.
fn flaws(mode: Mode) -> Vec<String> {
    let compare = |(name, path): &(String, PathBuf)| {
        let Some(oracle) = oracle(name) else { return Vec::new() };
        let problem = match SifProblem::read(path, &options(mode)) {
            Ok(problem) => problem,
            Err(error) => return vec![format!("{name}: {error}")],
        };
        let keys: &[&str] = match mode {
            Mode::Cutest => &["points"],
            Mode::Exact => &["points_double_literals", "points_full_precision", "points"],
        };
        let Some(points) = keys.iter().find_map(|key| oracle.get(*key)) else { return Vec::new() };
        let mut flaws = Vec::new();
        for (k, point) in points.as_array().unwrap().iter().enumerate() {
            let found = compare_point(&problem, k == 1, point, allowance(name));
            if !found.is_empty() {
                flaws.push(format!("{name} point {k}: {}", found.join(", ")));
            }
        }
        flaws
    };
    collection().par_iter().flat_map_iter(compare).collect()
}

#[test]
fn values_agree_with_the_reference() {
    let flaws = flaws(Mode::Cutest);
    assert!(flaws.is_empty(), "{} differ:\n{}", flaws.len(), flaws.join("\n"));
}

#[test]
fn exact_values_agree_with_the_reference_at_full_precision() {
    let flaws = flaws(Mode::Exact);
    assert!(flaws.is_empty(), "{} differ:\n{}", flaws.len(), flaws.join("\n"));
}

/// The Hessian at the start is that of the reference, but differences of the gradient say otherwise.
const OTHER_HESSIAN: [&str; 10] = [
    "DALLASS",
    "ECKERLE4LS",
    "GULF",
    "HIMMELBB",
    "HIMMELBF",
    "HS70",
    "MAXLIKA",
    "TAX1B",
    "WATSON",
    "WATSONNE",
];

/// At the start the functions have a kink or are not finite, or no step suits all variables.
const NO_DIFFERENCES: [&str; 14] = [
    "DITTERT",
    "EQC",
    "HAHN1",
    "HAHN1LS",
    "HELIX",
    "HELIXNE",
    "QCNEW",
    "S365",
    "S365MOD",
    "SBRYBND",
    "VESUVIA",
    "VESUVIALS",
    "VIBRBEAM",
    "VIBRBEAMNE",
];

#[test]
fn derivatives_agree_with_differences() {
    let check = |(name, path): &(String, PathBuf)| {
        let problem = SifProblem::read(path, &options(Mode::Exact)).ok()?;
        let smooth =
            problem.metadata().classification.as_deref().unwrap_or_default().chars().nth(2) == Some('R');
        let apart = NO_DIFFERENCES.contains(&name.as_str());
        if !smooth
            || apart
            || problem.variable_count() * (problem.variable_count() + problem.constraint_count()) > 5000
            || problem.hessian_pattern().is_none()
        {
            return None;
        }
        let v: Vec<f64> = (1..=problem.constraint_count()).map(|j| (j as f64).cos()).collect();
        // The best step depends on the scale of the functions, and differs between values and derivatives.
        let checks =
            [1e-2, 1e-3, 1e-4, 1e-5, 1e-6].map(|step| check_derivatives(&problem, problem.start(), &v, step));
        let best_of = |error: fn(&DerivativeCheck) -> Option<DerivativeError>| {
            checks.iter().map(|check| error(check).map_or(0.0, |worst| worst.error)).fold(f64::NAN, f64::min)
        };
        let mut best = [best_of(|c| c.gradient), best_of(|c| c.jacobian), best_of(|c| c.hessian)];
        if OTHER_HESSIAN.contains(&name.as_str()) {
            best[2] = 0.0;
        }
        (!best.iter().all(|best| *best <= 1e-6)).then(|| format!("{name}: {best:?}"))
    };
    let flaws: Vec<String> = collection().par_iter().filter_map(check).collect();
    assert!(flaws.is_empty(), "{} differ:\n{}", flaws.len(), flaws.join("\n"));
}

/// sum_i (exp(x_i) x_{i+1} - 1)^2 by a group function.
fn chain(n: usize) -> SifProblem {
    let text = format!(
        "\
NAME          CHAIN
 IE 1                   1
 IE N         {n:>12}
 IA N-1       N         -1
VARIABLES
 DO I         1                        N
 X  X(I)
 ND
GROUPS
 DO I         1                        N-1
 XN G(I)
 ND
CONSTANTS
    CHAIN     'DEFAULT' 1.0
START POINT
    CHAIN     'DEFAULT' 0.5
ELEMENT TYPE
 EV EX        X                        Y
ELEMENT USES
 XT 'DEFAULT' EX
 DO I         1                        N-1
 IA I+1       I         1
 ZV E(I)      X                        X(I)
 ZV E(I)      Y                        X(I+1)
 ND
GROUP TYPE
 GV SQ        T
GROUP USES
 XT 'DEFAULT' SQ
 DO I         1                        N-1
 XE G(I)      E(I)
 ND
ENDATA
ELEMENTS      CHAIN
INDIVIDUALS
 T  EX
 F                      EXP( X ) * Y
 G  X                   EXP( X ) * Y
 G  Y                   EXP( X )
 H  X         X         EXP( X ) * Y
 H  X         Y         EXP( X )
ENDATA
GROUPS        CHAIN
INDIVIDUALS
 T  SQ
 F                      T * T
 G                      T + T
 H                      2.0
ENDATA
"
    );
    SifProblem::from_bytes(text.as_bytes(), &Options::default()).unwrap()
}

#[test]
fn results_are_the_same_bits_for_every_number_of_threads() {
    let evaluate = |threads: usize| {
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let problem = chain(100_000);
            let n = problem.variable_count();
            let x: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
            let mut workspace = problem.workspace();
            let mut bits = vec![problem.objective(&x, &mut workspace).to_bits()];
            let mut values = vec![0.0; n];
            problem.gradient(&x, &mut values, &mut workspace);
            bits.extend(values.iter().map(|value| value.to_bits()));
            let mut values = vec![0.0; problem.hessian_pattern().unwrap().nnz()];
            problem.hessian(&x, 1.0, &[], &mut values, &mut workspace);
            bits.extend(values.iter().map(|value| value.to_bits()));
            bits
        })
    };
    assert!(evaluate(1) == evaluate(4));
}

/// Sums over the collection of the best time of one evaluation, beside those of the compiled Fortran.
#[test]
#[ignore = "prints times"]
fn times() {
    let (mut own, mut reference, mut build) = ([0.0; 3], [0.0; 3], 0.0);
    for (name, path) in collection() {
        let Some(oracle) = oracle(&name) else { continue };
        let start = std::time::Instant::now();
        let Ok(problem) = SifProblem::read(&path, &options(Mode::Cutest)) else { continue };
        let nonzeros = problem.hessian_pattern().map_or(0, |pattern| pattern.nnz());
        build += start.elapsed().as_secs_f64();
        let (n, m, x) = (problem.variable_count(), problem.constraint_count(), problem.start());
        let (mut c, mut g, v) = (vec![0.0; m], vec![0.0; n], vec![1.0; m]);
        let (mut j, mut h) = (vec![0.0; problem.jacobian_pattern().nnz()], vec![0.0; nonzeros]);
        let mut w = problem.workspace();
        let mut best = [f64::INFINITY; 3];
        for _ in 0..5 {
            let mut clock = std::time::Instant::now();
            let mut lap = |k: usize| {
                best[k] = best[k].min(clock.elapsed().as_secs_f64());
                clock = std::time::Instant::now();
            };
            problem.objective_and_constraints(x, &mut c, &mut w);
            lap(0);
            problem.gradient_and_jacobian(x, &mut g, &mut j, &mut w);
            lap(1);
            problem.hessian(x, 1.0, &v, &mut h, &mut w);
            lap(2);
        }
        let seconds = &oracle["reference_seconds"];
        let theirs = ["fc", "gJ", "H"].map(|key| number(&seconds[key]));
        for k in 0..3 {
            own[k] += best[k];
            reference[k] += theirs[k];
            if best[k] > 5e-4 && best[k] > 1.5 * theirs[k] {
                println!("{name} {} {:.2e} s, reference {:.2e} s", ["fc", "gJ", "H"][k], best[k], theirs[k]);
            }
        }
    }
    println!("read and build {build:.3} s; fc, gJ, H: {own:.4?} s, reference {reference:.4?} s");
}
