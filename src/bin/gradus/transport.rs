//! `gradus transport`: optimal transport with entropy between matrices, points and images.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use gradus::read::matrix_market::{self, Matrix};
use gradus::read::{Dense, image, npy};
use gradus::transport::{self as library, Cost, ProblemError, Solution, Transport, TransportProblem};
use serde_json::json;

use crate::options::{Common, check_distinct, check_writable};
use crate::output::{self, Failure, Finish};
use crate::watch;

/// Move masses a onto masses b at least cost: min <C, P> + eps sum P (log P - 1), rows of P sum to a, columns to b.
#[derive(Args)]
#[command(
    group = clap::ArgGroup::new("problem").required(true).args(["cost", "points", "images", "instance"]),
    after_help = "\
Examples:
  gradus transport --cost cost.npy --source a.csv --target b.csv --regularization 0.001 --relative
  gradus transport --points from.csv to.csv --regularization 0.01 --plan plan.mtx --map moved.csv
  gradus transport --images day.png night.png --regularization 1e-3 --relative --json
  gradus transport --instance points-500 --regularization 1e-4 --tolerance 1e-10 --plot error.svg

The tolerance is compared with the L1 error of the marginals, |P1 - a| + |P'1 - b|, over the total mass. The certificate \
is a duality gap: the rounded plan, which is feasible, costs at most so much more than the best one. Without --source \
and --target the masses are uniform (of images: the grey levels)."
)]
pub struct Arguments {
    /// Costs: a matrix as .npy, .mtx or a table; in .mtx coordinates what is not stored is forbidden, in .npy +inf is.
    #[arg(long, value_name = "C", conflicts_with_all = ["points", "images", "instance"])]
    pub cost: Option<String>,
    /// Two files of points, one a row.
    #[arg(long, num_args = 2, value_names = ["X", "Y"], conflicts_with_all = ["images", "instance"])]
    pub points: Option<Vec<String>>,
    /// Two PNG images; masses are grey levels, costs distances in pixels.
    #[arg(long, num_args = 2, value_names = ["A.png", "B.png"], conflicts_with = "instance")]
    pub images: Option<Vec<String>>,
    /// A made-up problem: assignment-N, points-N, cloud8-N, digits1-S, digits2-S or expnorm-N, with -SEED behind.
    #[arg(long, value_name = "NAME")]
    pub instance: Option<String>,
    /// The distance between points or pixels.
    #[arg(long, value_enum, default_value_t = MetricName::Sqeuclidean)]
    pub metric: MetricName,
    /// Masses of the rows of the cost, or of the first points.
    #[arg(long, value_name = "A")]
    pub source: Option<String>,
    /// Masses of the columns, or of the second points.
    #[arg(long, value_name = "B")]
    pub target: Option<String>,
    /// Scale both sides to the sum 1.
    #[arg(long)]
    pub normalize: bool,
    /// eps, the strength of the entropy, in the units of the cost.
    #[arg(long, value_name = "R")]
    pub regularization: f64,
    /// Take --regularization as a share of the largest cost.
    #[arg(long)]
    pub relative: bool,
    /// The method.
    #[arg(long, value_enum, default_value_t = MethodName::Auto)]
    pub method: MethodName,
    /// How --method sinkhorn computes.
    #[arg(long, value_enum, default_value_t = FormName::Stabilized)]
    pub form: FormName,
    /// Let --method sinkhorn start at a large eps and halve it.
    #[arg(long)]
    pub scaling: bool,
    /// Over-relaxation of --method sinkhorn, 1 to 1.99.
    #[arg(long, value_name = "W", default_value_t = 1.0)]
    pub relaxation: f64,
    /// Sinkhorn iterations before --method newton-sparse takes its first Newton step.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub warm_up: usize,
    /// Entries of the plan that --method newton-sparse keeps; by default as many as hold 99.9 % of the mass.
    #[arg(long, value_name = "K")]
    pub keep: Option<usize>,
    /// Write the feasible plan: .npy all of it, .mtx its entries above 1e-12 of the largest source mass.
    #[arg(long, value_name = "OUT.npy|.mtx")]
    pub plan: Option<PathBuf>,
    /// Write the barycentric map: where the mass of each source point goes on average (with --points).
    #[arg(long, value_name = "OUT.npy|.csv")]
    pub map: Option<PathBuf>,
    /// Write the potentials of source and target, f then g, as one column.
    #[arg(long, value_name = "OUT.npy|.csv")]
    pub potentials: Option<PathBuf>,
    #[command(flatten)]
    pub common: Common,
}

/// Names of the distances.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum MetricName {
    /// Sum of squared differences
    Sqeuclidean,
    /// Its root
    Euclidean,
    /// Sum of absolute differences
    Manhattan,
}

/// Names of the methods.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum MethodName {
    /// Path-following sparse Newton on the semi-dual, Sinkhorn where that is quicker
    Auto,
    /// Sinkhorn's iterations
    Sinkhorn,
    /// Sinkhorn-Newton-Sparse
    NewtonSparse,
    /// Safe and sparse Newton
    SafeNewton,
    /// Sparse plus low rank
    LowRank,
}

/// Names of the forms of Sinkhorn's iterations.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum FormName {
    /// With exp(-C/eps): fast, fails where that underflows
    Kernel,
    /// The same with potentials absorbed when scalings grow
    Stabilized,
    /// Soft minima: slow, needs no matrix
    Log,
}

pub fn run(arguments: &Arguments) -> Result<Finish, Failure> {
    let common = &arguments.common;
    arguments.check()?;
    let limits = common.prepare()?;
    for path in arguments.plan.iter().chain(&arguments.map).chain(&arguments.potentials) {
        check_writable(path)?;
    }
    let started = Instant::now();
    let mut problem = arguments.problem()?;
    if arguments.normalize {
        for masses in [&mut problem.source, &mut problem.target] {
            let sum: f64 = masses.iter().sum();
            if sum > 0.0 && sum.is_finite() {
                masses.iter_mut().for_each(|mass| *mass /= sum);
            }
        }
    }
    if arguments.relative {
        problem.check_masses().map_err(|error| arguments.blame(error))?;
        problem.regularization *= problem.cost.largest();
    }
    let read_seconds = started.elapsed().as_secs_f64();
    let solver = arguments.solver(limits);
    let mut monitor = watch::monitor(common, 1);
    let solution = solver.solve_with(&problem, None, &mut monitor).map_err(|error| match error {
        library::Error::Problem(error) => arguments.blame(error),
        other => Failure::Usage(other.to_string()),
    })?;
    arguments.write(&problem, &solution)?;
    output::write_trace_and_plot(common, &arguments.name(), &solution.history)?;
    arguments.print(&problem, &solution, read_seconds)?;
    Ok(Finish::of(solution.status))
}

impl Arguments {
    fn check(&self) -> Result<(), Failure> {
        if !(self.regularization > 0.0 && self.regularization.is_finite()) {
            let why = "it must be positive and finite (exact optimal transport, 0, is not supported yet)";
            return Err(Failure::Usage(format!("--regularization is {}; {why}", self.regularization)));
        }
        if !(1.0..=1.99).contains(&self.relaxation) {
            let given = self.relaxation;
            return Err(Failure::Usage(format!("--relaxation is {given}; it must lie between 1 and 1.99")));
        }
        if self.keep == Some(0) {
            return Err(Failure::Usage("--keep is 0; at least 1 is needed".into()));
        }
        let endings: [(&str, &Option<PathBuf>, &[&str]); 3] = [
            ("--plan", &self.plan, &["npy", "mtx"]),
            ("--map", &self.map, &["npy", "csv"]),
            ("--potentials", &self.potentials, &["npy", "csv"]),
        ];
        for (option, path, allowed) in endings {
            if let Some(path) = path {
                let ending = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
                if !allowed.contains(&ending) {
                    let (name, allowed) = (path.display(), allowed.join(" or ."));
                    return Err(Failure::Usage(format!("{option} {name}: the ending must be .{allowed}")));
                }
            }
        }
        if self.map.is_some() && self.points.is_none() {
            return Err(Failure::Usage("--map needs --points: only points have a mean".into()));
        }
        if self.images.is_some() && (self.source.is_some() || self.target.is_some()) {
            return Err(Failure::Usage(
                "--images bring their own masses; leave --source and --target out".into(),
            ));
        }
        if self.instance.is_some() && (self.source.is_some() || self.target.is_some()) {
            return Err(Failure::Usage(
                "--instance brings its own masses; leave --source and --target out".into(),
            ));
        }
        let outputs = [
            ("--plan", &self.plan),
            ("--map", &self.map),
            ("--potentials", &self.potentials),
            ("--trace", &self.common.trace),
            ("--plot", &self.common.plot),
        ];
        let outputs: Vec<(&str, &Path)> =
            outputs.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?))).collect();
        check_distinct(&self.inputs(), &outputs)
    }

    fn inputs(&self) -> Vec<&str> {
        let pairs = self.points.iter().chain(&self.images).flatten();
        let single = [&self.cost, &self.source, &self.target];
        single.into_iter().flatten().chain(pairs).map(String::as_str).collect()
    }

    /// What the problem is called in titles and messages.
    fn name(&self) -> String {
        self.instance.clone().unwrap_or_else(|| self.inputs().join(", "))
    }

    /// An error of the problem, with the file that it is about.
    fn blame(&self, error: ProblemError) -> Failure {
        let pair = |k: usize| self.points.iter().chain(&self.images).flatten().nth(k).cloned();
        let side = |is_source: bool| match is_source {
            true => self.source.clone().or(pair(0)),
            false => self.target.clone().or(pair(1)),
        };
        let file = match &error {
            ProblemError::Mass { side: name, .. } | ProblemError::NoMass(name) => side(*name == "source"),
            ProblemError::Size { what, .. } => side(what.contains("source")),
            ProblemError::Coordinate { side: name, .. } => pair(usize::from(*name == "target")),
            ProblemError::Sums { .. } => self.source.clone().or(self.target.clone()),
            _ => self.cost.clone(),
        };
        let hint = if matches!(error, ProblemError::Sums { .. }) { "; --normalize does it" } else { "" };
        Failure::Input(match file {
            Some(file) => anyhow::anyhow!("{file}: {error}{hint}"),
            None => anyhow::anyhow!("{error}{hint}"),
        })
    }

    fn metric(&self) -> library::Metric {
        match self.metric {
            MetricName::Sqeuclidean => library::Metric::SquaredEuclidean,
            MetricName::Euclidean => library::Metric::Euclidean,
            MetricName::Manhattan => library::Metric::Manhattan,
        }
    }

    fn problem(&self) -> Result<TransportProblem, Failure> {
        let regularization = self.regularization;
        if let Some(name) = &self.instance {
            let made = library::instances::instance(name, regularization);
            return made.ok_or_else(|| {
                Failure::Usage(format!(
                    "--instance {name}: known are assignment-N, points-N, cloud8-N, digits1-S, digits2-S, expnorm-N, \
                     N from 2 to 20000, S up to 200, and -SEED behind them"
                ))
            });
        }
        if let Some(files) = &self.images {
            let (a, b) = (image::read(&files[0])?, image::read(&files[1])?);
            let (source, target) = ([a.rows, a.columns], [b.rows, b.columns]);
            let cost = Cost::Grid { source, target, metric: self.metric() };
            let masses = |grey: Vec<f64>, file: &String| -> Result<Vec<f64>, Failure> {
                let sum: f64 = grey.iter().sum();
                if sum > 0.0 {
                    return Ok(grey.into_iter().map(|v| v / sum).collect());
                }
                let problem = "the image is black all over; masses are grey levels and need a positive sum";
                Err(Failure::Input(anyhow::anyhow!("{file}: {problem}")))
            };
            let (source, target) = (masses(a.grey(), &files[0])?, masses(b.grey(), &files[1])?);
            return Ok(TransportProblem { cost, source, target, regularization });
        }
        let cost = match (&self.cost, &self.points) {
            (Some(file), _) => read_cost(file)?,
            (None, Some(files)) => self.read_points(files)?,
            (None, None) => {
                return Err(Failure::Usage("give --cost, --points, --images or --instance".into()));
            }
        };
        let (n, m) = cost.shape();
        let masses = |file: &Option<String>, size: usize| -> Result<Vec<f64>, Failure> {
            let Some(file) = file else { return Ok(vec![1.0 / size as f64; size]) };
            let table = gradus::read::dense(file)?;
            table.as_vector().map(<[f64]>::to_vec).ok_or_else(|| {
                let (rows, columns) = (table.rows, table.columns);
                Failure::Input(anyhow::anyhow!(
                    "{file}: {rows} x {columns} numbers; one row or column of masses is expected"
                ))
            })
        };
        let (source, target) = (masses(&self.source, n)?, masses(&self.target, m)?);
        Ok(TransportProblem { cost, source, target, regularization })
    }

    fn read_points(&self, files: &[String]) -> Result<Cost, Failure> {
        let (x, y) = (gradus::read::dense(&files[0])?, gradus::read::dense(&files[1])?);
        if x.columns != y.columns {
            return Err(Failure::Input(anyhow::anyhow!(
                "{}: {} coordinates a point, but {} in {}; both need as many",
                files[1],
                y.columns,
                x.columns,
                files[0]
            )));
        }
        let (dimension, metric) = (x.columns, self.metric());
        Ok(Cost::Points { dimension, source: by_rows(&x), target: by_rows(&y), metric })
    }

    fn solver(&self, limits: gradus::control::Limits) -> Transport {
        Transport {
            limits,
            method: match self.method {
                MethodName::Auto => library::Method::Auto,
                MethodName::Sinkhorn => library::Method::Sinkhorn,
                MethodName::NewtonSparse => library::Method::NewtonSparse,
                MethodName::SafeNewton => library::Method::SafeNewton,
                MethodName::LowRank => library::Method::LowRank,
            },
            sinkhorn_form: match self.form {
                FormName::Kernel => library::SinkhornForm::Kernel,
                FormName::Stabilized => library::SinkhornForm::Stabilized,
                FormName::Log => library::SinkhornForm::Log,
            },
            scaling: self.scaling,
            relaxation: self.relaxation,
            warm_up: self.warm_up,
            kept: self.keep.map_or(library::Kept::Mass, library::Kept::Entries),
            ..Transport::default()
        }
    }

    /// Writes plan, map and potentials.
    fn write(&self, problem: &TransportProblem, solution: &Solution) -> Result<(), Failure> {
        let (n, m) = problem.cost.shape();
        if let Some(path) = &self.plan {
            let plan = solution.plan(problem)?;
            let mut file = Vec::new();
            if path.extension().is_some_and(|ending| ending == "npy") {
                let values = transposed(&plan.to_dense(), n, m);
                npy::write(&mut file, &Dense { rows: n, columns: m, values })?;
            } else {
                matrix_market::write_sparse(&mut file, plan.to_sparse(1e-12).view())?;
            }
            output::write_file(path, &file)?;
        }
        if let (Some(path), Cost::Points { dimension, target, .. }) = (&self.map, &problem.cost) {
            let moved = solution.plan(problem)?.map(target, *dimension);
            write_table(path, &moved, *dimension)?;
        }
        if let Some(path) = &self.potentials {
            write_table(path, &[&solution.source_potential[..], &solution.target_potential].concat(), 1)?;
        }
        Ok(())
    }

    fn print(
        &self,
        problem: &TransportProblem,
        solution: &Solution,
        read_seconds: f64,
    ) -> Result<(), Failure> {
        let (n, m) = problem.cost.shape();
        if self.common.json {
            let method =
                self.method.to_possible_value().map_or_else(String::new, |v| v.get_name().to_string());
            let own = json!({
                "transport_cost": solution.transport_cost,
                "dual_objective": solution.dual_objective,
                "marginal_error": solution.marginal_error,
                "regularization": problem.regularization,
                "exact_cost": [solution.exact_cost.0, solution.exact_cost.1],
                "rows": n, "columns": m,
            });
            let object = output::json_object("transport", &method, &self.common, read_seconds, solution, own);
            return output::print(&object.to_string());
        }
        let lines = [
            format!("problem      {n} sources, {m} targets, regularization {:.6e}", problem.regularization),
            solution.summary.to_string(),
            format!(
                "transport    {:.12e}, dual objective {:.12e}",
                solution.transport_cost, solution.dual_objective
            ),
            format!("marginals    L1 error {:.3e}", solution.marginal_error),
            format!(
                "exact cost   between {:.10e} and {:.10e}, without regularization",
                solution.exact_cost.0, solution.exact_cost.1
            ),
        ];
        output::print(&lines.join("\n"))
    }
}

/// A column-major matrix row by row, block by block.
fn by_rows(dense: &Dense) -> Vec<f64> {
    transposed(&dense.values, dense.columns, dense.rows)
}

/// The transpose of a row-major matrix, in blocks that fit the cache.
fn transposed(values: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    const BLOCK: usize = 32;
    let mut out = vec![0.0; values.len()];
    for i in (0..rows).step_by(BLOCK) {
        for j in (0..columns).step_by(BLOCK) {
            for r in i..rows.min(i + BLOCK) {
                for c in j..columns.min(j + BLOCK) {
                    out[c * rows + r] = values[r * columns + c];
                }
            }
        }
    }
    out
}

/// Costs from a file; what a sparse matrix does not store is forbidden.
fn read_cost(file: &str) -> Result<Cost, Failure> {
    let plain = file.trim_end_matches(".gz").trim_end_matches(".xz").trim_end_matches(".zst");
    let dense = if plain.ends_with(".mtx") {
        match matrix_market::read(file)?.matrix {
            Matrix::Dense(dense) => dense,
            Matrix::Sparse(sparse) => {
                let (rows, columns) = sparse.shape();
                if rows.saturating_mul(columns) > 1 << 28 {
                    return Err(Failure::Input(anyhow::anyhow!(
                        "{file}: {rows} x {columns} costs are too many; 2^28 are supported"
                    )));
                }
                let mut values = vec![f64::INFINITY; rows * columns];
                for (&value, (i, j)) in sparse.iter() {
                    values[i as usize * columns + j as usize] = value;
                }
                return Ok(Cost::Dense { rows, columns, values });
            }
        }
    } else if plain.ends_with(".npy") {
        npy::read(file, &npy::Options { allow_non_finite: true })?
    } else {
        gradus::read::dense(file)?
    };
    Ok(Cost::Dense { rows: dense.rows, columns: dense.columns, values: by_rows(&dense) })
}

/// Numbers row by row, as .npy or as text with commas.
fn write_table(path: &Path, values: &[f64], columns: usize) -> Result<(), Failure> {
    let mut file = Vec::new();
    let rows = values.len() / columns.max(1);
    if path.extension().is_some_and(|ending| ending == "npy") {
        npy::write(&mut file, &Dense { rows, columns, values: transposed(values, rows, columns) })?;
    } else {
        for row in values.chunks(columns.max(1)) {
            let words: Vec<String> = row.iter().map(|v| format!("{v:e}")).collect();
            file.extend_from_slice(words.join(",").as_bytes());
            file.push(b'\n');
        }
    }
    output::write_file(path, &file)
}
