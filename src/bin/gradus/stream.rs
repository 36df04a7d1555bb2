//! `gradus stream`: a sequence of related systems, omega chosen by policies.

mod source;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use gradus::control::{Certificate, Counts, History, Record, Status, Summary};
use gradus::relaxation::policy::{self, Named};
use gradus::relaxation::{Answer, Cost, Error, Method, Stream, StreamSystem, Totals};
use gradus::report::{Plot, Series};
use serde_json::{Value, json};

use crate::options::{Common, check_distinct, check_writable};
use crate::output::{self, Failure, Finish};
use crate::watch;
use source::Source;

/// Solve a sequence of related systems; learn or compute omega from one to the next.
#[derive(Args)]
#[command(
    mut_arg("tolerance", |argument| argument.default_value("1e-8")),
    mut_arg("max_iterations", |argument| argument.help("Give up a try after this many iterations; another method then finishes the system")),
    after_help = "\
Sources: a folder with A_1.mtx b_1.mtx A_2.mtx b_2.mtx ... (where A_k is missing the matrix before stays), heat:N (the heat \
equation on N x N cells, a coefficient that changes), shifted:high and shifted:low (shifted 10 x 10 Laplacians).
Policies: auto, fixed:W, tsallis-inf, tsallis-inf-rv, tsallis-inf-cb[:BINS], chebcb, hill, zoom, seeded; configurations (cg, ssor-cg, ic-cg, amg-cg or direct for each system); in hindsight, by solving \
each system with all omegas of a grid: optimal-fixed, instance-optimal.

Examples:
  gradus stream heat:50 --steps 1000 --policy auto --policy chebcb --policy optimal-fixed
  gradus stream systems --method sor --policy tsallis-inf --state learned.json"
)]
pub struct Arguments {
    /// A folder of systems, heat:N, shifted:high or shifted:low.
    pub source: String,
    /// How many systems at most: by default all of a folder, 1000 else.
    #[arg(long, value_name = "T")]
    pub steps: Option<usize>,
    /// What chooses omega; several are compared.
    #[arg(long = "policy", value_name = "NAME", default_value = "auto", value_parser = choice)]
    pub policies: Vec<Choice>,
    /// The algorithm whose omega is chosen: SOR for shifted, SSOR-CG for all else where not given.
    #[arg(long, value_enum)]
    pub method: Option<Algorithm>,
    /// What the learners are told.
    #[arg(long, value_enum, default_value_t = Told::Iterations)]
    pub cost: Told,
    /// Start each system of a folder from the solution before.
    #[arg(long)]
    pub warm_start: bool,
    /// Go on from the learner saved here, if the file is there, and save it at the end.
    #[arg(long, value_name = "FILE")]
    pub state: Option<PathBuf>,
    #[command(flatten)]
    pub common: Common,
}

/// Names of the algorithms.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum Algorithm {
    /// Successive over-relaxation
    Sor,
    /// Conjugate gradients, SSOR preconditioner
    SsorCg,
    /// Conjugate gradients, Jacobi preconditioner; has no omega
    Cg,
}

/// Names of the costs.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
pub enum Told {
    Iterations,
    Flops,
    /// Wall-clock time: results then differ from run to run
    Seconds,
}

/// A policy, or a comparison in hindsight.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Choice {
    Policy(Named),
    /// The omega of the grid with the least total.
    OptimalFixed,
    /// The omega of the grid that is best for each system.
    InstanceOptimal,
    /// One arm for each configuration of the solver.
    Configurations,
}

fn choice(text: &str) -> Result<Choice, String> {
    match text {
        "optimal-fixed" => Ok(Choice::OptimalFixed),
        "instance-optimal" => Ok(Choice::InstanceOptimal),
        "configurations" => Ok(Choice::Configurations),
        _ => text.parse().map(Choice::Policy).map_err(|error: Error| match error {
            Error::UnknownPolicy { .. } => {
                format!("{error}, optimal-fixed, instance-optimal, configurations")
            }
            other => other.to_string(),
        }),
    }
}

impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Choice::Policy(name) => name.fmt(f),
            Choice::OptimalFixed => f.write_str("optimal-fixed"),
            Choice::InstanceOptimal => f.write_str("instance-optimal"),
            Choice::Configurations => f.write_str("configurations"),
        }
    }
}

/// What one policy did with the sequence.
struct Run {
    choice: Choice,
    status: Status,
    totals: Totals,
    /// Iterations on the systems tried in vain, for comparisons in hindsight.
    omegas: (f64, f64),
    omega: Option<f64>,
    best: Option<gradus::relaxation::BestArm>,
    history: History,
}

/// The grid for comparisons in hindsight, the learners' own.
const GRID: usize = 20;

pub fn run(arguments: &Arguments) -> Result<Finish, Failure> {
    let limits = arguments.common.prepare()?;
    if arguments.steps == Some(0) {
        return Err(Failure::Usage("--steps is 0; at least 1 is needed".into()));
    }
    check_files(arguments)?;
    let started = Instant::now();
    let mut source = Source::open(&arguments.source, arguments.warm_start, arguments.common.seed)?;
    let read_seconds = started.elapsed().as_secs_f64();
    let method = match arguments.method {
        Some(Algorithm::Sor) => Method::Sor,
        Some(Algorithm::SsorCg) => Method::SsorCg,
        Some(Algorithm::Cg) => Method::Cg,
        None => source.method(),
    };
    let mut runs: Vec<Run> = Vec::new();
    for choice in &arguments.policies {
        let run = match choice {
            Choice::OptimalFixed => optimal_fixed(arguments, &limits, method, &mut source)?,
            _ => one(arguments, &limits, method, *choice, &mut source)?,
        };
        let stop = matches!(run.status, Status::Interrupted | Status::TimeLimit);
        runs.push(run);
        if stop {
            break;
        }
    }
    report(arguments, method, read_seconds, &runs)
}

/// Outputs that overwrite nothing and can be written; options that go together.
fn check_files(arguments: &Arguments) -> Result<(), Failure> {
    let common = &arguments.common;
    let outputs = [("--state", &arguments.state), ("--trace", &common.trace), ("--plot", &common.plot)];
    let outputs: Vec<(&str, &Path)> =
        outputs.iter().filter_map(|(option, path)| path.as_deref().map(|path| (*option, path))).collect();
    check_distinct(&[], &outputs)?;
    let Some(state) = &arguments.state else { return Ok(()) };
    let learners =
        arguments.policies.iter().all(|choice| matches!(choice, Choice::Policy(_) | Choice::Configurations));
    if arguments.policies.len() != 1 || !learners {
        return Err(Failure::Usage("--state goes with one --policy, and none in hindsight".into()));
    }
    check_writable(state)
}

/// The whole sequence with one policy.
fn one(
    arguments: &Arguments,
    limits: &gradus::control::Limits,
    method: Method,
    choice: Choice,
    source: &mut Source,
) -> Result<Run, Failure> {
    source.rewind()?;
    let (range, seed) = (source.range(), arguments.common.seed);
    let mut stream = match choice {
        Choice::Policy(name) => Stream::named(method, &name, range, seed),
        Choice::Configurations => Stream::of_configurations(
            vec![
                Method::Cg,
                Method::SsorCg,
                Method::IncompleteCholeskyCg,
                Method::MultigridCg,
                Method::Direct,
            ],
            policy::Tracking::new,
        ),
        // the omega is set before each system
        _ => Stream::named(method, &Named::Auto, range, seed),
    };
    (stream.tolerance, stream.cap) = (limits.tolerance, limits.max_iterations.max(1));
    stream.cost = match arguments.cost {
        Told::Iterations if choice == Choice::Configurations => Cost::Flops,
        Told::Iterations => Cost::Iterations,
        Told::Flops => Cost::Flops,
        Told::Seconds => Cost::Seconds,
    };
    if let Some(path) = arguments.state.as_ref().filter(|path| path.exists()) {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::Input(anyhow::anyhow!("{}: {error}", path.display())))?;
        let expected = match choice {
            Choice::Policy(name) => name.make(range, seed)?.name(),
            _ => "tracking".into(),
        };
        let restored = stream.restore(&text, Some(&expected));
        restored.map_err(|error| Failure::Input(anyhow::anyhow!("{}: {error}", path.display())))?;
    }
    let columns = vec!["omega", "iterations", "total_iterations"];
    let mut history = History { columns, records: Vec::new() };
    let mut hindsight = Hindsight::new(method, limits)?;
    let mut monitor = watch::monitor(&arguments.common, 1);
    let started = Instant::now();
    let (mut status, mut sum, mut totals) = (Status::Solved, 0.0, Totals::default());
    let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
    let steps = arguments.steps.unwrap_or(source.default_steps());
    while totals.systems < steps {
        let stopped = if monitor.interrupted() {
            Some(Status::Interrupted)
        } else {
            limits.time_limit.filter(|limit| started.elapsed() >= *limit).map(|_| Status::TimeLimit)
        };
        if let Some(stopped) = stopped {
            status = stopped;
            break;
        }
        let Some(system) = source.next()? else { break };
        let solved = match choice {
            Choice::InstanceOptimal => hindsight.solve(&system),
            _ => stream.solve_with(&system, &mut monitor),
        };
        let answer = solved
            .map_err(|error| Failure::Input(anyhow::anyhow!("system {}: {error}", totals.systems + 1)))?;
        add(&mut totals, &answer);
        if let Some(omega) = answer.omega {
            (least, most, sum) = (least.min(omega), most.max(omega), sum + omega);
        }
        history.records.push(Record {
            iteration: totals.systems - 1,
            seconds: started.elapsed().as_secs_f64(),
            objective: f64::NAN,
            certificate: answer.relative_residual,
            extra: vec![answer.omega.unwrap_or(f64::NAN), answer.iterations as f64, totals.iterations as f64],
        });
        if answer.status == Status::Interrupted {
            status = Status::Interrupted;
            break;
        }
        source.accept(answer.x)?;
    }
    if status == Status::Solved && totals.unsolved > 0 {
        status = Status::Stalled;
    }
    if let Some(path) = &arguments.state {
        output::write_file(path, stream.save()?.as_bytes())?;
    }
    let omega = (least <= most).then(|| sum / totals.systems as f64);
    Ok(Run { choice, status, totals, omegas: (least, most), omega, best: stream.best_arm(), history })
}

/// The best of the grid's omegas, each played on the whole sequence.
fn optimal_fixed(
    arguments: &Arguments,
    limits: &gradus::control::Limits,
    method: Method,
    source: &mut Source,
) -> Result<Run, Failure> {
    let mut best: Option<Run> = None;
    for omega in policy::omega_grid(GRID) {
        let run = one(arguments, limits, method, Choice::Policy(Named::Fixed(omega)), source)?;
        let stop = run.status != Status::Solved;
        if best.as_ref().is_none_or(|best| run.totals.iterations < best.totals.iterations) {
            best = Some(run);
        }
        if stop {
            break;
        }
    }
    let best = best.ok_or_else(|| anyhow::anyhow!("the grid of omegas is empty"))?;
    Ok(Run { choice: Choice::OptimalFixed, ..best })
}

/// Every omega of the grid on each system; the best one's answer.
struct Hindsight(Vec<Stream>);

impl Hindsight {
    fn new(method: Method, limits: &gradus::control::Limits) -> Result<Self, Failure> {
        let stream = |omega: f64| {
            let mut stream = Stream::named(method, &Named::Fixed(omega), (0.0, 1.0), 0);
            (stream.tolerance, stream.cap) = (limits.tolerance, limits.max_iterations.max(1));
            stream
        };
        Ok(Self(policy::omega_grid(GRID).into_iter().map(stream).collect()))
    }

    fn solve(&mut self, system: &StreamSystem) -> Result<Answer, Error> {
        let mut best: Option<Answer> = None;
        for stream in &mut self.0 {
            let answer = stream.solve(system)?;
            if best.as_ref().is_none_or(|best| answer.iterations < best.iterations) {
                best = Some(answer);
            }
        }
        best.ok_or_else(|| Error::Option("the grid of omegas is empty".into()))
    }
}

fn add(totals: &mut Totals, answer: &Answer) {
    totals.systems += 1;
    totals.iterations += answer.iterations;
    totals.flops += answer.flops;
    totals.seconds += answer.seconds;
    totals.explored += usize::from(answer.choice.explored);
    totals.fallbacks += usize::from(answer.fallback.is_some());
    totals.unsolved += usize::from(answer.status != Status::Solved);
    totals.relative_residual = totals.relative_residual.max(answer.relative_residual);
}

fn report(arguments: &Arguments, method: Method, read_seconds: f64, runs: &[Run]) -> Result<Finish, Failure> {
    let Some(first) = runs.first() else { return Err(anyhow::anyhow!("no policy was run").into()) };
    let worst = runs.iter().map(|run| run.status).find(|status| *status != Status::Solved);
    let status = worst.unwrap_or(Status::Solved);
    let totals = &first.totals;
    let mut counts = Counts::new();
    counts.insert("flops", totals.flops as u64);
    counts.insert("fallbacks", totals.fallbacks as u64);
    let summary = Summary {
        method: method.name(),
        status,
        objective: f64::NAN,
        certificate: Certificate {
            kind: "relative_residual",
            value: totals.relative_residual,
            relative: totals.relative_residual,
        },
        iterations: totals.iterations,
        counts,
        seconds: totals.seconds,
        history: first.history.clone(),
        notes: Vec::new(),
    };
    write_pictures(arguments, runs)?;
    if arguments.common.json {
        let own = json!({
            "systems": totals.systems, "total_iterations": totals.iterations, "policy": first.choice.to_string(),
            "policies": runs.iter().map(json_of).collect::<Vec<Value>>(),
        });
        let object =
            output::json_object("stream", summary.method, &arguments.common, read_seconds, &summary, own);
        output::print(&object.to_string())?;
    } else {
        output::print(&text_of(method, status, runs))?;
    }
    Ok(Finish::of(status))
}

fn json_of(run: &Run) -> Value {
    let totals = &run.totals;
    json!({
        "policy": run.choice.to_string(), "status": run.status.name(), "systems": totals.systems,
        "total_iterations": totals.iterations, "flops": totals.flops, "seconds": totals.seconds,
        "explored": totals.explored as f64 / totals.systems.max(1) as f64, "fallbacks": totals.fallbacks,
        "omega": run.omega, "omega_least": run.omegas.0, "omega_most": run.omegas.1,
        "relative_residual": totals.relative_residual,
        "best_arm": run.best.map(|best| json!({
            "value": best.value, "cost": best.cost, "standard_error": best.standard_error,
        })),
    })
}

fn text_of(method: Method, status: Status, runs: &[Run]) -> String {
    let mut lines = vec![
        format!("method       {}", method.name()),
        format!("status       {status}"),
        format!(
            "{:<18} {:>8} {:>11} {:>10} {:>9} {:>9} {:>10}",
            "policy", "systems", "iterations", "mean omega", "explored", "seconds", "residual"
        ),
    ];
    for run in runs {
        let totals = &run.totals;
        let omega = run.omega.map_or("-".into(), |omega| format!("{omega:.4}"));
        lines.push(format!(
            "{:<18} {:>8} {:>11} {:>10} {:>8.1}% {:>9.3} {:>10.1e}",
            run.choice.to_string(),
            totals.systems,
            totals.iterations,
            omega,
            100.0 * totals.explored as f64 / totals.systems.max(1) as f64,
            totals.seconds,
            totals.relative_residual
        ));
    }
    lines.join("\n")
}

/// The trace of the first policy, and the iterations of all of them, added up.
fn write_pictures(arguments: &Arguments, runs: &[Run]) -> Result<(), Failure> {
    if let (Some(path), Some(first)) = (&arguments.common.trace, runs.first()) {
        let mut text = Vec::new();
        first.history.write_csv(&mut text)?;
        output::write_file(path, &text)?;
    }
    let Some(path) = &arguments.common.plot else { return Ok(()) };
    let curve = |run: &Run| Series {
        name: run.choice.to_string(),
        points: run.history.records.iter().map(|r| (r.iteration as f64 + 1.0, r.extra[2])).collect(),
    };
    let plot = Plot {
        title: String::new(),
        x_label: "systems solved".into(),
        y_label: "iterations in all".into(),
        series: runs.iter().map(curve).collect(),
        ..Plot::default()
    };
    Ok(plot.write(path)?)
}
