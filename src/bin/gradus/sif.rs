//! `gradus sif`: read a CUTEst problem, say what it is, evaluate it.

use std::fmt::Write as _;
use std::time::Instant;

use clap::{Args, ValueEnum};
use gradus::problem::NonlinearProgram;
use gradus::problem::nonlinear::{Pattern, entries};
use gradus::read;
use gradus::read::sif::{Limits, Metadata, Mode, Options, Parameter, ParameterKind, SifProblem};
use serde_json::{Map, Value, json};

use crate::options::start_threads;
use crate::output::{self, Failure, Finish};

/// Stands for infinity in JSON, which has none.
const INFINITE: f64 = 1e20;

/// Which arithmetic the numbers of the problem have.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Arithmetic {
    /// Double precision throughout.
    Exact,
    /// As the reference decoder: data of 11 digits, literals without D in single precision.
    Cutest,
}

/// Read a CUTEst problem in the Standard Input Format; print what it is, or evaluate it.
#[derive(Args)]
#[command(after_help = "\
Examples:
  gradus sif data/sif/ROSENCH.SIF
  gradus sif data/sif/ROSENCH.SIF --param N=1000 --evaluate
  gradus sif data/sif/HSX71.SIF --evaluate --json")]
pub struct Arguments {
    #[command(flatten)]
    reading: Reading,
    /// Values and derivatives: f, g, c, J, and the Hessian of f + v'c.
    #[arg(long)]
    evaluate: bool,
    /// The point x, as numbers in text, .npy or .mtx; by default the file's starting point.
    #[arg(long, value_name = "FILE", requires = "evaluate")]
    at: Option<String>,
    /// The multipliers v; by default the file's.
    #[arg(long, value_name = "FILE", requires = "evaluate")]
    multipliers: Option<String>,
    /// Threads to use; all cores by default.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    /// No warnings on standard error.
    #[arg(long)]
    quiet: bool,
}

/// Which file to read, and how.
#[derive(Args, Clone, Debug)]
pub struct Reading {
    /// The problem, plain or .gz, .xz, .zst; - for standard input.
    pub file: String,
    /// Give a parameter another value; the summary of `gradus sif` lists those that the file offers.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    parameters: Vec<(String, f64)>,
    /// Which arithmetic the numbers of the problem have.
    #[arg(long, value_enum, default_value = "exact")]
    mode: Arithmetic,
    /// Read past small flaws of the file, with warnings.
    #[arg(long)]
    lenient: bool,
    /// Refuse a file that needs more memory than this many megabytes, roughly.
    #[arg(long, value_name = "MB", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    memory_limit: u64,
    /// Refuse a file that executes more cards than this, those in loops once per turn.
    #[arg(long, value_name = "N", default_value_t = Limits::default().executed_cards)]
    card_limit: u64,
}

impl Reading {
    /// What the reader is told.
    pub fn options(&self) -> Options {
        let mode = match self.mode {
            Arithmetic::Exact => Mode::Exact,
            Arithmetic::Cutest => Mode::Cutest,
        };
        Options {
            parameters: self.parameters.clone(),
            mode,
            lenient: self.lenient,
            limits: Limits { executed_cards: self.card_limit, memory: self.memory_limit << 20 },
            ..Options::default()
        }
    }
}

/// NAME=VALUE.
fn parameter(text: &str) -> Result<(String, f64), String> {
    let (name, value) = text.split_once('=').ok_or("NAME=VALUE is expected")?;
    let value: f64 = value.parse().map_err(|_| format!("`{value}` is not a number"))?;
    if name.is_empty() || !value.is_finite() {
        return Err("a name and a finite number are expected".into());
    }
    Ok((name.into(), value))
}

/// Reads, then prints the summary or the values.
pub fn run(arguments: &Arguments) -> Result<Finish, Failure> {
    start_threads(arguments.threads)?;
    let started = Instant::now();
    let options = arguments.reading.options();
    let file = &arguments.reading.file;
    if !arguments.evaluate {
        // the summary does not need the functions: a file that calls external ones has it all the same
        let metadata = read::sif::describe_file(file, &options)?;
        let read_seconds = started.elapsed().as_secs_f64();
        warn(&metadata, arguments.quiet);
        return print(arguments, &metadata, read_seconds, Map::new());
    }
    let problem = SifProblem::read(file, &options)?;
    let metadata = problem.metadata();
    let x = vector(arguments.at.as_deref(), &metadata.x0, "point")?;
    let v = vector(arguments.multipliers.as_deref(), &metadata.v0, "vector of multipliers")?;
    let read_seconds = started.elapsed().as_secs_f64();
    warn(metadata, arguments.quiet);
    let evaluated = Instant::now();
    let mut values = evaluate(&problem, &x, &v);
    values.insert("seconds".into(), json!(evaluated.elapsed().as_secs_f64()));
    print(arguments, metadata, read_seconds, values)
}

/// What the reader has to say about the file, on standard error.
pub fn warn(metadata: &Metadata, quiet: bool) {
    for warning in metadata.warnings.iter().filter(|_| !quiet) {
        match warning.line {
            Some(line) => eprintln!("warning: line {line}: {}", warning.text),
            None => eprintln!("warning: {}", warning.text),
        }
    }
}

/// The numbers of a file, as many as `default` has; `default` where no file is given.
pub fn vector(file: Option<&str>, default: &[f64], what: &str) -> Result<Vec<f64>, Failure> {
    let Some(file) = file else { return Ok(default.to_vec()) };
    let dense = read::dense(file)?;
    if dense.values.len() != default.len() {
        return Err(Failure::Input(anyhow::anyhow!(
            "{file}: {} numbers; the {what} has {}",
            dense.values.len(),
            default.len()
        )));
    }
    Ok(dense.values)
}

/// f, g, c, J, H at x with multipliers v; numbers that are not finite become null.
fn evaluate(problem: &SifProblem, x: &[f64], v: &[f64]) -> Map<String, Value> {
    let mut workspace = problem.workspace();
    let mut c = vec![0.0; v.len()];
    let f = problem.objective_and_constraints(x, &mut c, &mut workspace);
    let mut g = vec![0.0; x.len()];
    let pattern = problem.jacobian_pattern();
    let mut jacobian = vec![0.0; pattern.nnz()];
    problem.gradient_and_jacobian(x, &mut g, &mut jacobian, &mut workspace);
    let hessian = problem.hessian_pattern().map(|pattern| {
        let mut values = vec![0.0; pattern.nnz()];
        problem.hessian(x, 1.0, v, &mut values, &mut workspace);
        triplets(pattern, &values)
    });
    let mut map = Map::new();
    map.insert("objective".into(), json!(f));
    map.insert("f".into(), json!(f));
    map.insert("g".into(), json!(g));
    map.insert("c".into(), json!(c));
    map.insert("J".into(), triplets(pattern, &jacobian));
    map.insert("H".into(), json!(hessian));
    map
}

fn triplets(pattern: &Pattern, values: &[f64]) -> Value {
    let (rows, cols): (Vec<usize>, Vec<usize>) = entries(pattern).unzip();
    json!({ "rows": rows, "cols": cols, "vals": values })
}

fn print(
    arguments: &Arguments,
    metadata: &Metadata,
    read_seconds: f64,
    values: Map<String, Value>,
) -> Result<Finish, Failure> {
    if !arguments.json {
        output::print(&summary(metadata, &values))?;
        return Ok(Finish::Done);
    }
    let bounds =
        |values: &[f64]| -> Vec<f64> { values.iter().map(|b| b.clamp(-INFINITE, INFINITE)).collect() };
    let parameter = |p: &Parameter| json!({ "name": p.name, "kind": kind(p), "value": p.value, "default": p.default, "alternatives": p.alternatives });
    let mut own = json!({
        "name": metadata.name, "classification": metadata.classification,
        "n": metadata.x0.len(), "m": metadata.v0.len(),
        "variable_names": metadata.variable_names, "x0": metadata.x0,
        "lower": bounds(&metadata.lower), "upper": bounds(&metadata.upper),
        "constraint_names": metadata.constraint_names,
        "c_lower": bounds(&metadata.c_lower), "c_upper": bounds(&metadata.c_upper),
        "equation": metadata.equation, "linear": metadata.linear, "v0": metadata.v0,
        "parameters": metadata.parameters.iter().map(parameter).collect::<Vec<_>>(),
        "known_values": metadata.known_values.iter().map(|k| k.value).collect::<Vec<_>>(),
    });
    if let Value::Object(own) = &mut own {
        own.extend(values);
    }
    output::print(&output::plain_object("sif", read_seconds, own).to_string())?;
    Ok(Finish::Done)
}

fn kind(parameter: &Parameter) -> &'static str {
    match parameter.kind {
        ParameterKind::Integer => "integer",
        ParameterKind::Real => "real",
    }
}

/// A few readable lines: sizes, kinds of variables and constraints, parameters, known values, and values if evaluated.
fn summary(metadata: &Metadata, values: &Map<String, Value>) -> String {
    let mut text = String::new();
    // writing to a String cannot fail
    let _ =
        writeln!(text, "{}  {}", metadata.name, metadata.classification.as_deref().unwrap_or("(no class)"));
    let sides = |j: usize| (metadata.lower[j].is_finite(), metadata.upper[j].is_finite());
    let mut counts = [0_usize; 5];
    for j in 0..metadata.x0.len() {
        let place = match sides(j) {
            (true, true) if metadata.lower[j] == metadata.upper[j] => 4,
            (true, true) => 3,
            (false, true) => 2,
            (true, false) => 1,
            (false, false) => 0,
        };
        counts[place] += 1;
    }
    let kinds = ["free", "bounded below", "bounded above", "bounded on both sides", "fixed"];
    let _ = writeln!(text, "variables    {}{}", metadata.x0.len(), list(&kinds, &counts));
    let count = |equation: bool, linear: bool| {
        metadata
            .equation
            .iter()
            .zip(&metadata.linear)
            .filter(|&(&e, &l)| e == equation && l == linear)
            .count()
    };
    let kinds = ["linear equations", "nonlinear equations", "linear inequalities", "nonlinear inequalities"];
    let counts = [count(true, true), count(true, false), count(false, true), count(false, false)];
    let _ = writeln!(text, "constraints  {}{}", metadata.v0.len(), list(&kinds, &counts));
    for parameter in &metadata.parameters {
        let others: Vec<String> = parameter.alternatives.iter().map(f64::to_string).collect();
        let others =
            if others.is_empty() { String::new() } else { format!("  (published: {})", others.join(", ")) };
        let _ = writeln!(text, "parameter    {} = {}{others}", parameter.name, parameter.value);
    }
    for known in &metadata.known_values {
        let label = known.label.as_deref().map(|label| format!("  {label}")).unwrap_or_default();
        let _ = writeln!(text, "known value  {}{label}", known.value);
    }
    if let Some(f) = values.get("f") {
        let _ = writeln!(text, "f            {}", f.as_f64().unwrap_or(f64::NAN));
        let numbers = |key: &str| -> Vec<f64> {
            let list = values.get(key).and_then(Value::as_array);
            list.map(|list| list.iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()).unwrap_or_default()
        };
        // NaN wins over every number
        let largest = |a: f64, b: f64| if a.is_nan() || b.is_nan() { f64::NAN } else { a.max(b) };
        let slope = numbers("g").into_iter().map(f64::abs).fold(0.0, largest);
        let _ = writeln!(text, "max |g|      {slope:e}");
        let violation = |(i, c): (usize, f64)| {
            let outside = (metadata.c_lower[i] - c).max(c - metadata.c_upper[i]).max(0.0);
            if c.is_nan() { c } else { outside }
        };
        let worst = numbers("c").into_iter().enumerate().map(violation).fold(0.0, largest);
        let _ = writeln!(text, "violation    {worst:e} of the constraints, at most");
    }
    text.truncate(text.trim_end().len());
    text
}

/// ": 3 free, 2 fixed" of the kinds that occur.
fn list(kinds: &[&str], counts: &[usize]) -> String {
    let parts: Vec<String> = kinds
        .iter()
        .zip(counts)
        .filter(|(_, count)| **count > 0)
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) }
}
