//! `gradus nlp`: solve a CUTEst problem.

use std::io::Write as _;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use gradus::constrained::{
    Accuracy, Bounds, InnerSolver, InteriorPoint, SecondDerivatives, SecondOrder, SketchNewton, Solution,
    Start, certify, interior_point, log, sketch_newton,
};
use gradus::control::{Limits, Monitor, Status};
use gradus::problem::{NonlinearProgram, check_derivatives};
use gradus::read::sif::SifProblem;
use serde_json::{Value, json};

use crate::options::{Common, check_distinct, check_writable};
use crate::output::{self, Failure, Finish};
use crate::sif::{self, Reading};
use crate::watch;

/// Which solver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Method {
    /// The one that fits the problem.
    Auto,
    /// Newton on an exact augmented Lagrangian; equations alone.
    SketchNewton,
    /// Interior point; everything.
    InteriorPoint,
}

/// Minimise f(x) subject to cl <= c(x) <= cu and xl <= x <= xu, a CUTEst problem in the Standard Input Format.
///
/// The certificate is the error E of the first-order conditions in the scaled problem, recomputed from x and its multipliers;
/// constraint_violation, dual_infeasibility and complementarity are those of the problem itself.
#[derive(Args)]
#[command(
    mut_arg("tolerance", |argument| argument.default_value("1e-8")),
    after_help = "\
Examples:
  gradus nlp data/sif/HSX78.SIF
  gradus nlp data/sif/TRIDIEQ.SIF --param N=1000 --log
  gradus nlp data/sif/HSX7.SIF --inner kaczmarz --seed 1
  gradus nlp data/sif/WOODFOUR.SIF --hessian limited-memory
  gradus nlp data/sif/HSX40.SIF --json --solution answer.json"
)]
pub struct Arguments {
    #[command(flatten)]
    reading: Reading,
    /// Which solver.
    #[arg(long, value_enum, default_value = "auto")]
    method: Method,
    /// The point to start from, as numbers in text, .npy or .mtx; by default the file's.
    #[arg(long, value_name = "FILE")]
    start: Option<String>,
    /// Multipliers to start from; by default those of least squares.
    #[arg(long, value_name = "FILE")]
    multipliers: Option<String>,
    /// How sketch-newton solves its linear systems.
    #[arg(long, value_name = "SOLVER", default_value = "direct", value_parser = names(&InnerSolver::NAMES))]
    inner: String,
    /// How accurately an iterative solver solves them.
    #[arg(long, value_name = "RULE", default_value = "practical", value_parser = names(&Accuracy::NAMES))]
    accuracy: String,
    /// Steps of an iterative solver within one iteration.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    inner_limit: u64,
    /// sketch-newton as published, without the additions that help where its line search crawls.
    #[arg(long)]
    plain: bool,
    /// Where interior-point takes second derivatives from; auto: the file's, or limited memory where they are too many.
    #[arg(long, value_name = "SOURCE", default_value = "auto", value_parser = names(&SecondDerivatives::NAMES))]
    hessian: String,
    /// Solve the problem as it is, not scaled by the gradients at the start.
    #[arg(long)]
    no_scaling: bool,
    /// Print a line for every iteration on standard error.
    #[arg(long)]
    log: bool,
    /// Compare the derivatives at the start with difference quotients first, on standard error; for small problems.
    #[arg(long)]
    check_derivatives: bool,
    /// Write x, the multipliers and the constraints' values as JSON.
    #[arg(long, value_name = "FILE.json")]
    solution: Option<PathBuf>,
    #[command(flatten)]
    common: Common,
}

/// The solver of a problem.
enum Solver {
    SketchNewton(SketchNewton),
    InteriorPoint(InteriorPoint),
    /// The second where the first stalls.
    OneAfterTheOther(InteriorPoint, SketchNewton),
}

pub fn run(arguments: &Arguments) -> Result<Finish, Failure> {
    let common = &arguments.common;
    let limits = common.prepare()?;
    check_files(arguments)?;
    let started = Instant::now();
    let problem = SifProblem::read(&arguments.reading.file, &arguments.reading.options())?;
    let metadata = problem.metadata();
    let x = sif::vector(arguments.start.as_deref(), &metadata.x0, "point")?;
    let multipliers = match &arguments.multipliers {
        Some(file) => Some(sif::vector(Some(file), &metadata.v0, "vector of multipliers")?),
        None => None,
    };
    let read_seconds = started.elapsed().as_secs_f64();
    sif::warn(metadata, common.quiet);
    let solver = Solver::choose(arguments, limits, &problem)?;
    if arguments.check_derivatives {
        report_derivatives(&problem, &x);
    }
    let start = Start { x: Some(&x), multipliers: multipliers.as_deref(), ..Start::default() };
    let solution = solver.solve(&problem, start, &mut monitor(arguments, &solver))?;
    // apart from the solve and its clock
    let second_order = certify(&problem, &solution.answer()).map_or(SecondOrder::Unknown, |c| c.second_order);
    output::write_trace_and_plot(common, &metadata.name, &solution.history)?;
    if let Some(path) = &arguments.solution {
        output::write_file(path, format!("{}\n", answer(&problem, &solution)).as_bytes())?;
    }
    if common.json {
        let own = own_keys(&problem, &solution, second_order);
        let object =
            output::json_object("nlp", solution.method, common, read_seconds, &solution.summary, own);
        output::print(&object.to_string())?;
    } else {
        let (n, m) = (problem.variable_count(), problem.constraint_count());
        output::print(&format!(
            "problem      {}: {n} variables, {m} constraints\n{solution}\nsecond order {second_order}",
            metadata.name
        ))?;
    }
    Ok(Finish::of(solution.status))
}

impl Solver {
    /// The only place that decides which solver takes which problem.
    fn choose(arguments: &Arguments, limits: Limits, problem: &SifProblem) -> Result<Self, Failure> {
        let scaling = !arguments.no_scaling;
        let bounds = Bounds::of(problem)?;
        let (n, m) = (problem.variable_count(), problem.constraint_count());
        let equations_only = bounds.equations_only() && m <= n;
        let sketch_newton = SketchNewton {
            limits: limits.clone(),
            scaling,
            inner: chosen(&InnerSolver::NAMES, &arguments.inner, InnerSolver::Direct),
            accuracy: chosen(&Accuracy::NAMES, &arguments.accuracy, Accuracy::Practical),
            inner_limit: arguments.inner_limit as usize,
            safeguards: !arguments.plain,
            seed: arguments.common.seed,
            ..Default::default()
        };
        let second_derivatives =
            chosen(&SecondDerivatives::NAMES, &arguments.hessian, SecondDerivatives::Automatic);
        let interior_point = InteriorPoint { limits, scaling, second_derivatives, ..Default::default() };
        // these options say something to the one method alone
        let asked = arguments.plain || sketch_newton.inner != InnerSolver::Direct;
        let without = !matches!(second_derivatives, SecondDerivatives::Automatic | SecondDerivatives::Exact);
        match arguments.method {
            Method::SketchNewton if without => {
                Err(Failure::Usage(format!("--hessian {} is for interior-point", arguments.hessian)))
            }
            Method::Auto if without => Ok(Self::InteriorPoint(interior_point)),
            Method::InteriorPoint => Ok(Self::InteriorPoint(interior_point)),
            Method::Auto if asked && equations_only => Ok(Self::SketchNewton(sketch_newton)),
            Method::Auto if equations_only => Ok(Self::OneAfterTheOther(interior_point, sketch_newton)),
            Method::Auto => Ok(Self::InteriorPoint(interior_point)),
            Method::SketchNewton if equations_only => Ok(Self::SketchNewton(sketch_newton)),
            Method::SketchNewton => Err(Failure::Input(anyhow::anyhow!(
                "{}: {}: sketch-newton takes equations alone, no more of them than variables; use --method interior-point",
                problem.metadata().name,
                why_not(&bounds, n, m)
            ))),
        }
    }

    /// Names of the trace's columns.
    fn columns(&self) -> &'static [&'static str] {
        match self {
            Self::SketchNewton(_) => &sketch_newton::COLUMNS,
            Self::InteriorPoint(_) | Self::OneAfterTheOther(..) => &interior_point::COLUMNS,
        }
    }

    fn solve(&self, problem: &SifProblem, start: Start, monitor: &mut Monitor) -> Result<Solution, Failure> {
        match self {
            Self::SketchNewton(solver) => Ok(solver.solve_with(problem, start, monitor)?),
            Self::InteriorPoint(solver) => Ok(solver.solve_with(problem, start, monitor)?),
            Self::OneAfterTheOther(first, second) => {
                let solution = first.solve_with(problem, start, monitor)?;
                if !matches!(solution.status, Status::Stalled | Status::Infeasible | Status::IterationLimit) {
                    return Ok(solution);
                }
                let another = second.solve_with(problem, start, monitor)?;
                Ok(if another.status == Status::Solved { another } else { solution })
            }
        }
    }
}

fn names<T>(all: &[(&'static str, T)]) -> PossibleValuesParser {
    all.iter().map(|(name, _)| *name).collect::<Vec<_>>().into()
}

fn chosen<T: Copy>(all: &[(&'static str, T)], name: &str, default: T) -> T {
    all.iter().find(|(known, _)| *known == name).map_or(default, |(_, value)| *value)
}

/// What keeps the method for equations from taking a problem.
fn why_not(bounds: &Bounds, n: usize, m: usize) -> String {
    let variables = (0..n).filter(|&j| bounds.lower[j].is_finite() || bounds.upper[j].is_finite()).count();
    let rows = (0..m).filter(|&i| !bounds.is_equation(i)).count();
    if variables > 0 || rows > 0 {
        format!("{variables} bounded variables and {rows} inequalities")
    } else if m > n {
        format!("{m} equations for {n} variables")
    } else {
        "asked for".into()
    }
}

fn check_files(arguments: &Arguments) -> Result<(), Failure> {
    let common = &arguments.common;
    let mut inputs = vec![arguments.reading.file.as_str()];
    inputs.extend(arguments.start.as_deref());
    inputs.extend(arguments.multipliers.as_deref());
    let mut outputs = Vec::new();
    for (option, path) in
        [("--trace", &common.trace), ("--plot", &common.plot), ("--solution", &arguments.solution)]
    {
        outputs.extend(path.as_deref().map(|path| (option, path)));
    }
    if let Some(path) = &arguments.solution {
        check_writable(path)?;
    }
    check_distinct(&inputs, &outputs)
}

/// Stops at Ctrl-C; writes the iteration log, or shows progress on a terminal.
fn monitor(arguments: &Arguments, solver: &Solver) -> Monitor<'static> {
    if !arguments.log {
        return watch::monitor(&arguments.common, 1);
    }
    let columns = solver.columns();
    Monitor::none().with_interrupt(watch::interrupt_flag()).with_observer(move |record| {
        let mut lines = String::new();
        if record.iteration % 20 == 0 {
            lines = log::header(columns) + "\n";
        }
        // a log that nobody reads any more is no reason to stop
        let _ = writeln!(std::io::stderr(), "{lines}{}", log::line(record));
        ControlFlow::Continue(())
    })
}

/// The worst entry of each derivative, on standard error.
fn report_derivatives(problem: &SifProblem, x: &[f64]) {
    let multipliers = vec![1.0; problem.constraint_count()];
    let check = check_derivatives(problem, x, &multipliers, 1e-3);
    for (name, worst) in
        [("gradient", check.gradient), ("Jacobian", check.jacobian), ("Hessian", check.hessian)]
    {
        if let Some(worst) = worst {
            eprintln!(
                "derivatives  {name:8} worst at ({}, {}): {:e}, by differences {:e}, relative error {:.1e}",
                worst.row, worst.column, worst.given, worst.difference, worst.error
            );
        }
    }
}

fn own_keys(problem: &SifProblem, solution: &Solution, second_order: SecondOrder) -> Value {
    let (scaled, unscaled) = (solution.kkt.scaled, solution.kkt.unscaled);
    json!({
        "name": problem.metadata().name,
        "n": problem.variable_count(), "m": problem.constraint_count(),
        "constraint_violation": unscaled.constraint_violation,
        "dual_infeasibility": unscaled.dual_infeasibility,
        "complementarity": unscaled.complementarity,
        "kkt_error": solution.kkt.error,
        "scaled": {
            "constraint_violation": scaled.constraint_violation,
            "dual_infeasibility": scaled.dual_infeasibility,
            "complementarity": scaled.complementarity,
        },
        "residual_norm": solution.residual_norm,
        "outcome": solution.outcome.to_string(),
        "second_order": format!("{second_order:?}").to_lowercase(),
        "time": {
            "evaluation": solution.time.evaluation,
            "linear_algebra": solution.time.linear_algebra,
            "rest": solution.time.rest,
        },
    })
}

/// The answer as a file for other programs.
fn answer(problem: &SifProblem, solution: &Solution) -> Value {
    let metadata = problem.metadata();
    json!({
        "name": metadata.name, "status": solution.status.name(), "objective": solution.objective,
        "variable_names": metadata.variable_names, "x": solution.x,
        "lower_multipliers": solution.lower_multipliers, "upper_multipliers": solution.upper_multipliers,
        "constraint_names": metadata.constraint_names, "constraints": solution.constraints,
        "multipliers": solution.multipliers,
    })
}
