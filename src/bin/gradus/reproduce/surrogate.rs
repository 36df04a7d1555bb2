//! Target-space surrogates: what a call of the oracle is worth, on bundled and self-made data.

use gradus::control::{History, Status};
use gradus::linalg::DesignMatrix;
use gradus::problem::LinearModel;
use gradus::problem::loss::Logistic;
use gradus::problem::penalty::ElasticNet;
use gradus::read::libsvm;
use gradus::report::html::Section;
use gradus::report::{Plot, Scale, Series};
use gradus::surrogate::{
    Activation, Aggregate, Baseline, BatchSurrogate, Error, FullBatch, GradientFn, Imitation, Inner,
    InnerSearch, Method, Network, Order, Population, Schedule, Start, StepSize, Surrogate, TargetMetric,
    TargetModel, TargetSearch, Variance,
};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde_json::json;

use super::{Chapter, Context};
use crate::dataset::{self, Preparation};
use crate::output::Failure;

/// Seed of all that is drawn here.
const SEED: u64 = 1;
/// Steps that methods with one are tried with; the best counts.
const RATES: [f64; 6] = [1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0];

pub fn chapter(context: &Context) -> Result<Chapter, Failure> {
    let mut chapter = Chapter::default();
    let epochs = if context.full { 100 } else { 20 };
    let census = census()?;
    batches(
        context,
        &mut chapter,
        &Batches {
            name: "surrogate-batches-census",
            title: "Few calls of a costly oracle: census income, batches of 64",
            text: "1605 people, 119 binary features, logistic loss that no plane brings to zero. One call is one gradient at the \
                   targets of one batch. Minimising each batch's surrogate on its own forgets what other batches taught; \
                   adding the surrogates up does not. Methods with a step show the best of a grid.",
            model: &census,
            batch: 64,
            epochs,
        },
    )?;
    let separable = separable()?;
    batches(
        context,
        &mut chapter,
        &Batches {
            name: "surrogate-batches-separable",
            title: "The same on data that a plane separates",
            text: "3000 made-up samples of 20 attributes with five values each, separable. Here every batch's surrogate may be followed far: \
                   ten inner steps with eta by backtracking in target space. Such data forgive parameter steps of any length too.",
            model: &separable,
            batch: 64,
            epochs,
        },
    )?;
    full_batch(context, &mut chapter, &census)?;
    factorization(context, &mut chapter)?;
    imitation(context, &mut chapter)?;
    Ok(chapter)
}

/// Logistic regression on a1a, a column of ones included.
fn census() -> Result<LinearModel, Failure> {
    let data = libsvm::parse(include_bytes!("../../../../data/a1a"), "a1a", &libsvm::Options::default())?;
    let (target, _) = dataset::targets("a1a", &Logistic, &data.labels)?;
    let (_, design) = Preparation::fit(data.matrix, false, true)?;
    Ok(LinearModel::new(design, target, Logistic, ElasticNet::default()))
}

/// One of five values in each of twenty attributes; the class is the sign of a hidden plane, samples near it left out.
fn separable() -> Result<LinearModel, Failure> {
    let (n, attributes, choices) = (3000, 20, 5);
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let plane: Vec<f64> = (0..attributes * choices).map(|_| rng.random_range(-1.0..1.0)).collect();
    let (mut triplets, mut target) =
        (sprs::TriMatI::<f64, u32>::new((n, plane.len())), Vec::with_capacity(n));
    while target.len() < n {
        let columns: Vec<usize> =
            (0..attributes).map(|a| a * choices + rng.random_range(0..choices)).collect();
        let side: f64 = columns.iter().map(|&j| plane[j]).sum();
        if side.abs() > 2.0 {
            columns.iter().for_each(|&j| triplets.add_triplet(target.len(), j, 1.0));
            target.push(side.signum());
        }
    }
    let design = DesignMatrix::from_sparse(triplets.to_csr())?;
    Ok(LinearModel::new(design, target, Logistic, ElasticNet::default()))
}

/// A comparison on the same batches.
struct Batches<'a> {
    name: &'static str,
    title: &'static str,
    text: &'static str,
    model: &'a LinearModel,
    batch: usize,
    epochs: usize,
}

fn published(step: StepSize, steps: usize) -> Method {
    let inner = Inner::Gradient { steps, search: InnerSearch::default() };
    Method::Surrogate(BatchSurrogate { step, inner, metric: TargetMetric::Identity })
}

fn fixed(eta: f64, schedule: Schedule) -> StepSize {
    StepSize::Fixed { eta: Some(eta), schedule }
}

/// Methods by name, each with the steps it is tried with.
fn candidates() -> Vec<(&'static str, Vec<Method>)> {
    let constant = Schedule::Constant;
    let rated = |make: fn(f64) -> Baseline| RATES.iter().map(|&rate| Method::Baseline(make(rate))).collect();
    let population = |e| {
        let (schedule, variance) = (Schedule::Exponential, Variance::Plain);
        Method::Population(Population { relative_step: Some(e), schedule, variance, refresh: false })
    };
    vec![
        ("SGD", rated(|rate| Baseline::Sgd { rate, schedule: Schedule::Constant })),
        (
            "SLS",
            [0.1, 0.5].map(|c| Method::Baseline(Baseline::LineSearch { sufficient_decrease: c })).to_vec(),
        ),
        ("Adagrad", rated(|rate| Baseline::Adagrad { rate })),
        ("Adam", rated(|rate| Baseline::Adam { rate })),
        ("SVRG", rated(|rate| Baseline::Svrg { rate })),
        ("surrogate, 10 steps", [1.0, 4.0].map(|eta| published(fixed(eta, constant), 10)).to_vec()),
        (
            "the same, eta searched",
            [0.1, 0.5]
                .map(|c| {
                    published(
                        StepSize::Search(TargetSearch { sufficient_decrease: c, ..TargetSearch::default() }),
                        10,
                    )
                })
                .to_vec(),
        ),
        ("metric of all samples", [0.1, 0.3, 1.0].map(population).to_vec()),
        ("surrogates added up", vec![Method::Aggregate(Aggregate::default())]),
        ("automatic", vec![Method::Automatic]),
    ]
}

/// The best of several runs: the lowest last loss. Diverging runs drop out.
fn best(runs: Vec<Result<(Status, History), Error>>) -> Result<(Status, History), Failure> {
    let last = |history: &History| history.records.last().map_or(f64::INFINITY, |record| record.objective);
    let mut best: Option<(Status, History)> = None;
    for (status, history) in runs.into_iter().flatten() {
        let better = best.as_ref().is_none_or(|(_, kept)| last(&history) < last(kept));
        if (last(&history).is_finite() && better) || status == Status::Interrupted {
            best = Some((status, history));
        }
    }
    best.ok_or_else(|| Failure::Input(anyhow::anyhow!("no step of the grid led to a finite loss")))
}

/// The first record at which a history's gap is at most this part of the start's, in calls.
fn calls_to(history: &History, optimum: f64, part: f64) -> String {
    let Some(start) = history.records.first() else { return "-".into() };
    let goal = optimum + part * (start.objective - optimum);
    let hit = history.records.iter().find(|record| record.objective <= goal);
    hit.map_or("-".into(), |record| record.extra[0].to_string())
}

/// Relative gaps against calls, up to so many.
fn curve(name: &str, history: &History, optimum: f64, most: f64) -> Series {
    let start = history.records.first().map_or(1.0, |record| record.objective) - optimum;
    let shown = history.records.iter().filter(|record| record.extra[0] <= most);
    let points = shown.map(|r| (r.extra[0], ((r.objective - optimum) / start).max(1e-12))).collect();
    Series { name: name.into(), points }
}

fn gap_plot(series: Vec<Series>, x_label: &str) -> Plot {
    let y_label = "share of the first gap".into();
    Plot {
        x_label: x_label.into(),
        y_label,
        y_scale: Scale::Log,
        series,
        width: 520,
        height: 360,
        ..Plot::default()
    }
}

fn columns() -> Vec<String> {
    ["method", "last loss", "calls to 1 %", "to 0.1 %", "to 1e-6", "calls in all", "milliseconds"]
        .map(String::from)
        .into()
}

fn row(name: &str, history: &History, optimum: f64) -> Vec<String> {
    let Some(last) = history.records.last() else { return Vec::new() };
    let reached = [0.01, 0.001, 1e-6].map(|part| calls_to(history, optimum, part));
    let mut row = vec![name.to_string(), format!("{:.6e}", last.objective)];
    row.extend(reached);
    row.extend([last.extra[0].to_string(), format!("{:.1}", 1e3 * last.extra[4])]);
    row
}

/// Writes traces and pictures of several runs, and appends their section.
fn report(
    context: &Context,
    chapter: &mut Chapter,
    name: &str,
    mut section: Section,
    runs: &[(String, History)],
    optimum: f64,
    x_label: &str,
) -> Result<(), Failure> {
    section.columns = columns();
    for (label, history) in runs {
        section.rows.push(row(label, history, optimum));
        let mut trace = Vec::new();
        history.write_csv(&mut trace)?;
        let file = label.replace([',', '.'], "").replace(' ', "-").to_lowercase();
        context.write(&format!("{name}-{file}.csv"), &trace)?;
        let last = history.records.last().map_or(f64::NAN, |record| record.objective);
        context.say(&format!(
            "  {label:24} last loss {last:.6e}, 0.1 % after {} calls",
            calls_to(history, optimum, 0.001)
        ))?;
        chapter.runs.push(json!({ "experiment": name, "method": label, "objective": last, "calls_to_0.1_percent": calls_to(history, optimum, 0.001) }));
    }
    // the first method's calls set the axis: SVRG would stretch it by a factor of three
    let most =
        runs.first().and_then(|(_, history)| history.records.last()).map_or(0.0, |record| record.extra[0]);
    let series = runs.iter().map(|(label, history)| curve(label, history, optimum, most)).collect();
    let plot = gap_plot(series, x_label);
    plot.write(&context.out.join(format!("{name}.svg")))?;
    section.figures.push((plot.svg()?, format!("Gap to the optimum against {x_label}")));
    chapter.sections.push(section);
    Ok(())
}

/// The optimum that gaps are measured from: the accelerated method on all samples.
fn optimum(context: &Context, model: &LinearModel) -> Result<f64, Failure> {
    let solver = Surrogate { epochs: 200, ..Surrogate::default() };
    let mut tight = solver.clone();
    tight.limits.tolerance = 1e-13;
    let fit = tight.solve_with(model, Start::Zero, &mut context.monitor())?;
    // on separable data the infimum is zero
    Ok(if fit.objective < 1e-6 { 0.0 } else { fit.objective })
}

fn batches(context: &Context, chapter: &mut Chapter, experiment: &Batches) -> Result<(), Failure> {
    if chapter.status == Status::Interrupted {
        return Ok(());
    }
    context.say(experiment.title)?;
    let optimum = optimum(context, experiment.model)?;
    let mut runs = Vec::new();
    for (name, methods) in candidates() {
        let solve = |method: &Method| {
            let solver = Surrogate {
                method: *method,
                batch: Some(experiment.batch),
                epochs: experiment.epochs,
                order: Order::SplitMix,
                seed: SEED,
                ..Surrogate::default()
            };
            let fit = solver.solve_with(experiment.model, Start::Zero, &mut context.monitor())?;
            Ok((fit.status, fit.summary.history))
        };
        let (status, history) = best(methods.iter().map(solve).collect())?;
        if status == Status::Interrupted {
            chapter.status = status;
            return Ok(());
        }
        runs.push((name.to_string(), history));
    }
    let section = Section {
        title: experiment.title.into(),
        text: experiment.text.into(),
        commands: vec!["gradus fit data/a1a --loss logistic --bias --method surrogate --batch 64 --epochs 20 --order splitmix --seed 1".into()],
        ..Section::default()
    };
    report(context, chapter, experiment.name, section, &runs, optimum, "oracle calls")
}

fn full_batch(context: &Context, chapter: &mut Chapter, model: &LinearModel) -> Result<(), Failure> {
    if chapter.status == Status::Interrupted {
        return Ok(());
    }
    let title = "All samples in a call: census income";
    context.say(title)?;
    let optimum = optimum(context, model)?;
    let descent = |rate| Method::Baseline(Baseline::Sgd { rate, schedule: Schedule::Constant });
    let search = StepSize::Search(TargetSearch::default());
    let full = |memory, refresh| vec![Method::FullBatch(FullBatch { memory, refresh })];
    let cases = vec![
        ("gradient descent", RATES.map(descent).to_vec()),
        ("Adam", RATES.map(|rate| Method::Baseline(Baseline::Adam { rate })).to_vec()),
        ("surrogate, 1 step", vec![published(search, 1)]),
        ("surrogate, 10 steps", vec![published(search, 10)]),
        ("surrogate, 100 steps", vec![published(search, 100)]),
        ("exact minimiser", full(0, false)),
        ("accelerated", full(10, false)),
        ("metric rebuilt", full(10, true)),
    ];
    let mut runs = Vec::new();
    for (name, methods) in cases {
        let solve = |method: &Method| {
            let solver = Surrogate { method: *method, epochs: 60, ..Surrogate::default() };
            let mut solver = solver;
            solver.limits.tolerance = 1e-10;
            let fit = solver.solve_with(model, Start::Zero, &mut context.monitor())?;
            Ok((fit.status, fit.summary.history))
        };
        let (status, history) = best(methods.iter().map(solve).collect())?;
        if status == Status::Interrupted {
            chapter.status = status;
            return Ok(());
        }
        runs.push((name.to_string(), history));
    }
    let section = Section {
        title: title.into(),
        text: "The loss of the surrogates never rises, whatever the number of inner steps. With one cached Cholesky the \
               surrogate is minimised exactly; L-BFGS with that matrix as its first guess accelerates; second derivatives \
               known beside the gradient rebuild it."
            .into(),
        commands: vec!["gradus fit data/a1a --loss logistic --bias --method surrogate --algorithm refreshed --epochs 60".into()],
        ..Section::default()
    };
    report(context, chapter, "surrogate-all-samples", section, &runs, optimum, "oracle calls")
}

/// A two-layer linear network that factors a matrix whose rows have sizes from 1 to 1e-10.
fn factorization(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    if chapter.status == Status::Interrupted {
        return Ok(());
    }
    let title = "A map that is not linear: matrix factorisation";
    context.say(title)?;
    let (n, inputs, hidden, outputs) = (if context.full { 1000 } else { 200 }, 6, 4, 10);
    let calls = if context.full { 500 } else { 60 };
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let x: Vec<f64> = (0..n * inputs).map(|_| rng.random_range(-1.0..1.0)).collect();
    let wanted: Vec<f64> = (0..inputs * outputs)
        .map(|k| rng.random_range(-1.0..1.0) * 10f64.powi(-10 * (k / inputs) as i32 / 9))
        .collect();
    let truth: Vec<f64> = x
        .chunks_exact(inputs)
        .flat_map(|x| {
            wanted.chunks_exact(inputs).map(move |row| row.iter().zip(x).map(|(a, b)| a * b).sum::<f64>())
        })
        .collect();
    let network = Network::new(&[inputs, hidden, outputs], Activation::Identity, x)?;
    let start = network.initial(SEED);
    let all: Vec<u32> = (0..n as u32).collect();
    let loss = |theta: &[f64]| {
        let mut z = vec![0.0; truth.len()];
        network.forward(theta, &all, &mut z);
        z.iter().zip(&truth).map(|(z, y)| 0.5 * (z - y) * (z - y)).sum::<f64>() / n as f64
    };
    let inner = |inner| {
        Method::Surrogate(BatchSurrogate {
            step: fixed(1.0, Schedule::Constant),
            inner,
            metric: TargetMetric::Identity,
        })
    };
    let gradient = |steps| inner(Inner::Gradient { steps, search: InnerSearch::default() });
    let cases = [
        ("1 gradient step", gradient(1)),
        ("10 gradient steps", gradient(10)),
        ("100 gradient steps", gradient(100)),
        ("10 L-BFGS steps", inner(Inner::Lbfgs { steps: 10 })),
        ("2 Gauss-Newton steps", inner(Inner::GaussNewton { steps: 2, products: 40 })),
    ];
    let mut section = Section {
        title: title.into(),
        text: format!(
            "{n} samples through a linear network of {inputs}, {hidden} and {outputs} units, targets of sizes from 1 to 1e-10: squared \
                       error with a map that is not linear in its parameters. One call gives the error of all targets; inner steps \
                       cost products with the network alone. More of them for each call pay."
        ),
        columns: ["inner solver", "calls", "last loss", "products"].map(String::from).into(),
        ..Section::default()
    };
    let mut series = Vec::new();
    for (name, method) in cases {
        let mut theta = start.clone();
        let mut points = vec![(0.0, loss(&theta))];
        let mut stepper = gradus::surrogate::Stepper::new(method, start.clone(), calls)?;
        for call in 1..=calls {
            let gradient =
                |_: &[u32], z: &[f64]| -> Vec<f64> { z.iter().zip(&truth).map(|(z, y)| z - y).collect() };
            stepper.step(&network, &mut GradientFn { gradient, smoothness: Some(1.0) }, &all)?;
            theta.copy_from_slice(stepper.parameters());
            points.push((call as f64, loss(&theta).max(1e-16)));
        }
        let last = points.last().map_or(f64::NAN, |point| point.1);
        context.say(&format!("  {name:24} last loss {last:.3e}"))?;
        section.rows.push(vec![
            name.into(),
            calls.to_string(),
            format!("{last:.3e}"),
            stepper.work().products.to_string(),
        ]);
        chapter
            .runs
            .push(json!({ "experiment": "surrogate-factorisation", "method": name, "objective": last }));
        series.push(Series { name: name.into(), points });
    }
    let plot = Plot { y_label: "loss".into(), ..gap_plot(series, "oracle calls") };
    plot.write(&context.out.join("surrogate-factorisation.svg"))?;
    section.figures.push((plot.svg()?, "Loss of the factorisation against oracle calls".into()));
    chapter.sections.push(section);
    Ok(())
}

fn imitation(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    if chapter.status == Status::Interrupted {
        return Ok(());
    }
    let title = "Imitating an expert that balances a pole";
    context.say(title)?;
    let hidden = if context.full { 128 } else { 32 };
    let constant = Schedule::Constant;
    let surrogate = |steps| [0.1, 0.3, 1.0].map(|eta| published(fixed(eta, constant), steps)).to_vec();
    let rated = |make: fn(f64) -> Baseline| RATES.map(|rate| Method::Baseline(make(rate))).to_vec();
    let cases: Vec<(&str, Vec<Method>)> = vec![
        ("gradient descent", rated(|rate| Baseline::Sgd { rate, schedule: Schedule::Constant })),
        ("Adagrad", rated(|rate| Baseline::Adagrad { rate })),
        ("Adam", rated(|rate| Baseline::Adam { rate })),
        ("surrogate, 1 step", surrogate(1)),
        ("surrogate, 10 steps", surrogate(10)),
        ("surrogate, 100 steps", surrogate(100)),
        ("surrogate, 1000 steps", if context.full { surrogate(1000) } else { Vec::new() }),
    ];
    let mut section = Section {
        title: title.into(),
        text: format!(
            "A cart with a pole, a policy of {hidden} rectified units. In each round the learner runs its own policy, \
                       asks the expert (a linear-quadratic regulator) for its action in 400 states, and takes one step of a \
                       method. Loss: half the squared error of actions on states of the expert's own episodes."
        ),
        columns: ["method", "questions", "last loss", "steps balanced, of 200"].map(String::from).into(),
        ..Section::default()
    };
    let mut series = Vec::new();
    for (name, methods) in cases.into_iter().filter(|(_, methods)| !methods.is_empty()) {
        let imitation = Imitation {
            hidden: vec![hidden],
            seed: SEED,
            rounds: if context.full { 200 } else { 60 },
            ..Imitation::default()
        };
        let last = |learned: &gradus::surrogate::imitation::Learned| {
            learned.losses.last().copied().filter(|l| l.is_finite()).unwrap_or(f64::INFINITY)
        };
        let runs = methods.into_iter().filter_map(|method| imitation.learn(method).ok());
        let Some(learned) = runs.min_by(|a, b| last(a).total_cmp(&last(b))) else { continue };
        let loss = last(&learned);
        context.say(&format!(
            "  {name:24} last loss {loss:.3e}, balanced for {:.0} of 200 steps",
            learned.balanced
        ))?;
        let questions = imitation.rounds * imitation.samples;
        section.rows.push(vec![
            name.into(),
            questions.to_string(),
            format!("{loss:.3e}"),
            format!("{:.1}", learned.balanced),
        ]);
        chapter.runs.push(json!({ "experiment": "surrogate-imitation", "method": name, "objective": loss, "balanced": learned.balanced }));
        let points = learned.losses.iter().enumerate().map(|(k, &loss)| ((k + 1) as f64, loss)).collect();
        series.push(Series { name: name.into(), points });
    }
    let plot = Plot { y_label: "loss".into(), ..gap_plot(series, "rounds of 400 questions") };
    plot.write(&context.out.join("surrogate-imitation.svg"))?;
    section.figures.push((plot.svg()?, "Loss of the learner against questions to the expert".into()));
    chapter.sections.push(section);
    Ok(())
}
