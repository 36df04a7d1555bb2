//! `gradus linsolve`: one symmetric positive definite system.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use gradus::control::{Monitor, Status};
use gradus::read::matrix_market::{self, Matrix};
use gradus::read::{self, Dense};
use gradus::relaxation::{Explanation, Method, Omega, Operator, Ordering, Relaxation, Solution};
use serde_json::{Value, json};
use sprs::CsMatI;

use crate::options::{Common, check_distinct, check_writable};
use crate::output::{self, Failure, Finish};
use crate::watch;

/// Solve A x = b for a sparse symmetric positive definite matrix.
#[derive(Args)]
#[command(
    mut_arg("tolerance", |argument| argument.default_value("1e-8")),
    after_help = "\
The certificate is |b - A x| / |b|, recomputed from x. Iterations are sweeps or CG steps, those of the probe included that \
--omega auto may take.

Examples:
  gradus linsolve A.mtx --rhs b.mtx --method ssor-cg --solution x.mtx
  gradus linsolve A.mtx --method sor --omega 1.9 --tolerance 1e-10 --plot residual.svg
  gradus linsolve A.mtx --method sor --explain"
)]
pub struct Arguments {
    /// The matrix: Matrix Market, coordinates, symmetric or general; - for standard input.
    pub matrix: String,
    /// Right-hand sides, one a column: .mtx (array), .npy or text. All ones where not given.
    #[arg(long, value_name = "FILE")]
    pub rhs: Option<String>,
    /// The algorithm.
    #[arg(long, value_enum, default_value_t = Algorithm::SsorCg)]
    pub method: Algorithm,
    /// Relaxation factor in (0, 2), or auto: by formula, from the diagonal dominance or a short probe.
    #[arg(long, value_name = "W|auto", default_value = "auto", value_parser = omega)]
    pub omega: Omega,
    /// Order of the rows.
    #[arg(long, value_enum, default_value_t = Order::Natural)]
    pub order: Order,
    /// Solve (A + C I) x = b.
    #[arg(long, value_name = "C", default_value_t = 0.0)]
    pub shift: f64,
    /// Finish what the method leaves undone by Jacobi-CG, then by a factorisation.
    #[arg(long)]
    pub fallback: bool,
    /// Print what theory predicts too: the spectrum, the asymptotic count, bounds.
    #[arg(long)]
    pub explain: bool,
    /// Estimate the error in the energy norm (no bound); ssor-cg only.
    #[arg(long)]
    pub estimate_error: bool,
    /// Write the solutions, one a column: .npy, else Matrix Market.
    #[arg(long, value_name = "OUT")]
    pub solution: Option<PathBuf>,
    #[command(flatten)]
    pub common: Common,
}

/// Names of the algorithms.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum Algorithm {
    /// Successive over-relaxation
    Sor,
    /// Symmetric successive over-relaxation
    Ssor,
    /// Conjugate gradients, SSOR preconditioner in Eisenstat's form
    SsorCg,
    /// Conjugate gradients, Jacobi preconditioner
    Cg,
    /// Conjugate gradients, incomplete Cholesky preconditioner
    IcCg,
    /// Conjugate gradients, algebraic multigrid preconditioner
    AmgCg,
    /// Sparse Cholesky factorisation
    Direct,
}

/// Names of the orders.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum Order {
    /// As they are
    Natural,
    /// As they are, independent rows at once: the same bits on several threads
    Levels,
    /// By colour, red and black on a grid
    Multicolour,
}

/// W or auto.
pub fn omega(text: &str) -> Result<Omega, String> {
    if text == "auto" {
        return Ok(Omega::Auto);
    }
    match text.parse() {
        Ok(omega) if omega > 0.0 && omega < 2.0 => Ok(Omega::Fixed(omega)),
        _ => Err("a number in (0, 2) or auto is expected".into()),
    }
}

pub fn run(arguments: &Arguments) -> Result<Finish, Failure> {
    let limits = arguments.common.prepare()?;
    if !arguments.shift.is_finite() {
        return Err(Failure::Usage(format!("--shift is {}; it must be finite", arguments.shift)));
    }
    if arguments.estimate_error && arguments.method != Algorithm::SsorCg {
        return Err(Failure::Usage("--estimate-error needs --method ssor-cg".into()));
    }
    check_files(arguments)?;
    let started = Instant::now();
    let a = read_matrix(&arguments.matrix)?;
    let rhs = match &arguments.rhs {
        Some(file) => read_columns(file, a.rows())?,
        None => Dense { rows: a.rows(), columns: 1, values: vec![1.0; a.rows()] },
    };
    let ordering = match arguments.order {
        Order::Natural => Ordering::Natural,
        Order::Levels => Ordering::Levels,
        Order::Multicolour => Ordering::Multicolour,
    };
    let of_matrix = |error| Failure::Input(anyhow::anyhow!("{}: {error}", arguments.matrix));
    let mut operator = Operator::with_ordering(a.view(), ordering).map_err(of_matrix)?;
    operator.set_shift(arguments.shift).map_err(of_matrix)?;
    let read_seconds = started.elapsed().as_secs_f64();
    let solver = Relaxation {
        limits,
        method: match arguments.method {
            Algorithm::Sor => Method::Sor,
            Algorithm::Ssor => Method::Ssor,
            Algorithm::SsorCg => Method::SsorCg,
            Algorithm::Cg => Method::Cg,
            Algorithm::IcCg => Method::IncompleteCholeskyCg,
            Algorithm::AmgCg => Method::MultigridCg,
            Algorithm::Direct => Method::Direct,
        },
        omega: arguments.omega,
        ordering,
        fallback: arguments.fallback,
        estimate_error: arguments.estimate_error,
        ..Relaxation::default()
    };
    let mut monitor: Monitor = watch::monitor(&arguments.common, rhs.columns);
    let mut solutions: Vec<Solution> = Vec::new();
    for b in rhs.values.chunks(rhs.rows.max(1)) {
        let solution = solver.solve_with(&operator, b, None, &mut monitor).map_err(of_matrix)?;
        let interrupted = solution.status == Status::Interrupted;
        solutions.push(solution);
        if interrupted {
            break;
        }
    }
    let explanation = match rhs.values.get(..rhs.rows) {
        Some(b) if arguments.explain => solver.explain(&operator, b, &mut monitor).map_err(of_matrix)?,
        _ => None,
    };
    let finish = report(arguments, &a, read_seconds, &solutions, explanation.as_ref())?;
    Ok(if monitor.interrupted() { Finish::Interrupted } else { finish })
}

/// Outputs that overwrite nothing and can be written.
fn check_files(arguments: &Arguments) -> Result<(), Failure> {
    let inputs: Vec<&str> =
        [Some(&arguments.matrix), arguments.rhs.as_ref()].into_iter().flatten().map(|s| &**s).collect();
    let common = &arguments.common;
    let outputs = [("--solution", &arguments.solution), ("--trace", &common.trace), ("--plot", &common.plot)];
    let outputs: Vec<(&str, &Path)> =
        outputs.iter().filter_map(|(option, path)| path.as_deref().map(|path| (*option, path))).collect();
    check_distinct(&inputs, &outputs)?;
    arguments.solution.as_deref().map_or(Ok(()), check_writable)
}

/// A sparse matrix from coordinate storage.
pub fn read_matrix(file: &str) -> Result<CsMatI<f64, u32>, Failure> {
    match matrix_market::read(file)?.matrix {
        Matrix::Sparse(a) => Ok(a),
        Matrix::Dense(_) => Err(Failure::Input(anyhow::anyhow!(
            "{file}: the matrix is stored in full; `coordinate` storage is expected"
        ))),
    }
}

/// Vectors of the given length, one a column; a single row counts as one of them.
pub fn read_columns(file: &str, rows: usize) -> Result<Dense, Failure> {
    let mut dense = read::dense(file)?;
    if dense.rows == 1 && dense.columns == rows {
        (dense.rows, dense.columns) = (rows, 1);
    }
    if dense.rows != rows || dense.columns == 0 {
        let found = format!("{} x {}", dense.rows, dense.columns);
        return Err(Failure::Input(anyhow::anyhow!(
            "{file}: {found} numbers; columns of {rows} are expected, one entry a row of the matrix"
        )));
    }
    Ok(dense)
}

/// Prints and writes what was found. The worst of several solutions speaks for all.
fn report(
    arguments: &Arguments,
    a: &CsMatI<f64, u32>,
    read_seconds: f64,
    solutions: &[Solution],
    explanation: Option<&Explanation>,
) -> Result<Finish, Failure> {
    let rank = |solution: &&Solution| {
        let open = solution.status != Status::Solved;
        (open, solution.relative_residual)
    };
    let worst = solutions.iter().reduce(|one, other| if rank(&other) > rank(&one) { other } else { one });
    let Some(worst) = worst else {
        return Err(Failure::Input(anyhow::anyhow!("there is no right-hand side")));
    };
    let mut summary = worst.summary.clone();
    summary.iterations = solutions.iter().map(|solution| solution.iterations).sum();
    summary.seconds = solutions.iter().map(|solution| solution.seconds).sum();
    output::write_trace_and_plot(&arguments.common, &arguments.matrix, &summary.history)?;
    if let Some(path) = &arguments.solution {
        write_columns(path, a.rows(), solutions)?;
    }
    if arguments.common.json {
        let own = json!({
            "n": a.rows(), "nonzeros": a.nnz(), "relative_residual": worst.relative_residual, "omega": worst.omega,
            "backward_error": worst.backward_error, "probe_steps": worst.probe_steps,
            "fallback": worst.fallback.map(Method::name), "error_estimate": worst.error_estimate,
            "explanation": explanation.map(explained),
            "right_hand_sides": solutions.iter().map(one).collect::<Vec<Value>>(),
        });
        let object =
            output::json_object("linsolve", summary.method, &arguments.common, read_seconds, &summary, own);
        output::print(&object.to_string())?;
    } else {
        let shown = Solution { summary, ..worst.clone() };
        output::print(&format!("{shown}\nsystem       {} rows, {} entries", a.rows(), a.nnz()))?;
        if let Some(error) = worst.error_estimate {
            output::print(&format!("error        {error:.3e} in the energy norm, estimated"))?;
        }
        match explanation {
            Some(explanation) => output::print(&format!("\nPredicted\n{explanation}"))?,
            None if arguments.explain => {
                output::print("\nPredicted\nnothing: stopped before the spectrum was known")?
            }
            None => {}
        }
    }
    Ok(Finish::of(worst.status))
}

fn explained(explanation: &Explanation) -> Value {
    json!({
        "beta": 1.0 - explanation.gap, "gap": explanation.gap, "dominance": explanation.dominance,
        "condition": explanation.condition, "consistently_ordered": explanation.consistently_ordered,
        "omega": explanation.omega, "radius": explanation.radius, "tau": explanation.tau,
        "asymptotic": explanation.asymptotic, "near_asymptotic": explanation.near_asymptotic, "bound": explanation.bound,
    })
}

fn one(solution: &Solution) -> Value {
    json!({
        "status": solution.status.name(), "iterations": solution.iterations, "omega": solution.omega,
        "relative_residual": solution.relative_residual, "seconds": solution.seconds,
    })
}

fn write_columns(path: &Path, rows: usize, solutions: &[Solution]) -> Result<(), Failure> {
    let values = solutions.iter().flat_map(|solution| &solution.x).copied().collect();
    let dense = Dense { rows, columns: solutions.len(), values };
    let mut bytes = Vec::new();
    if path.extension().is_some_and(|ending| ending == "npy") {
        read::npy::write(&mut bytes, &dense)?;
    } else {
        matrix_market::write_dense(&mut bytes, &dense)?;
    }
    output::write_file(path, &bytes)
}
