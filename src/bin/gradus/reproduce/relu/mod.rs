//! Two-layer ReLU networks: certified optima, what patterns are worth, refinement, robust training.

mod robustness;
mod validation;

use gradus::control::{Limits, Status};
use gradus::linalg::DesignMatrix;
use gradus::read::libsvm::{self, LabelledData};
use gradus::relu::local::{Adam, Lbfgs, NetworkObjective, initial_weights};
use gradus::relu::{
    ConvexRelu, Loss, Method, Network, Patterns, Refinement, SampledProgram, Solution, Training,
};
use gradus::report::html::Section;
use gradus::report::plot::regions::Regions;
use gradus::report::{Plot, Scale, Series};
use serde_json::json;

use super::{Chapter, Context};
use crate::dataset::{self, Preparation};
use crate::output::Failure;

pub fn chapter(context: &Context) -> Result<Chapter, Failure> {
    let mut chapter = Chapter::default();
    for experiment in
        [convergence, sample_size, cost, one_feature, refinement, regions, robustness::experiment]
    {
        experiment(context, &mut chapter)?;
        if chapter.status == Status::Interrupted {
            return Ok(chapter);
        }
    }
    if context.full {
        validation::experiment(context, &mut chapter)?;
    }
    Ok(chapter)
}

const HEART: (&str, &[u8]) = ("heart_scale", include_bytes!("../../../../../data/heart_scale"));
const IONOSPHERE: (&str, &[u8]) =
    ("ionosphere_scale", include_bytes!("../../../../../data/ionosphere_scale"));
const TUMOURS: (&str, &[u8]) = ("breast-cancer", include_bytes!("../../../../../data/breast-cancer"));

/// Training and test rows (every fifth), standardised by the training rows, with a bias.
fn problem(
    (name, bytes): (&str, &[u8]),
    columns: Option<usize>,
    loss: Loss,
    beta: f64,
) -> Result<(Training, Training), Failure> {
    let mut data = libsvm::parse(bytes, name, &libsvm::Options::default())?;
    let (classes, _) = gradus::problem::Classes::from_labels(&data.labels)?;
    data.labels.iter_mut().for_each(|l| *l = if *l == classes.positive { 1.0 } else { -1.0 });
    if let Some(column) = columns {
        data.matrix = one_column(&data, column);
    }
    let (train, test) = dataset::split_every(data, 5);
    let (preparation, design) = Preparation::fit(train.matrix, true, true)?;
    let test_design = DesignMatrix::from_sparse_or_dense(dataset::with_ones(&test.matrix))?;
    let test_design = match preparation.standardization {
        Some(standardization) => test_design.standardized(standardization)?,
        None => test_design,
    };
    Ok((
        Training::new(&design, train.labels, loss, beta)?,
        Training::new(&test_design, test.labels, loss, beta)?,
    ))
}

/// The matrix of one column alone.
fn one_column(data: &LabelledData, column: usize) -> sprs::CsMatI<f64, u32> {
    let mut triplets = sprs::TriMatI::new((data.labels.len(), 1));
    for (i, row) in data.matrix.outer_iterator().enumerate() {
        if let Some(&value) = row.get(column) {
            triplets.add_triplet(i, 0, value);
        }
    }
    triplets.to_csr()
}

fn solver(tolerance: f64, patterns: usize) -> ConvexRelu {
    let limits = Limits { tolerance, ..Limits::default() };
    ConvexRelu { limits, patterns, seed: 1, ..ConvexRelu::default() }
}

/// Solves, reports and notes the status.
fn solve(
    context: &Context,
    chapter: &mut Chapter,
    solver: &ConvexRelu,
    training: &Training,
    patterns: Patterns,
    name: &str,
) -> Result<Solution, Failure> {
    let solution = solver.solve_over(training, patterns, None, &mut context.monitor())?;
    note(context, chapter, &solution, name)?;
    Ok(solution)
}

fn note(context: &Context, chapter: &mut Chapter, solution: &Solution, name: &str) -> Result<(), Failure> {
    context.say(&format!(
        "  {name:34} objective {:.8e}  gap {:.1e}  {} neurons  {:.0} ms",
        solution.objective,
        solution.certificate.relative,
        solution.network.neurons(),
        1e3 * solution.seconds
    ))?;
    chapter.runs.push(json!({
        "experiment": name, "status": solution.status.name(), "objective": solution.objective,
        "certificate": solution.certificate, "level": solution.level, "pricing_ratio": solution.pricing_ratio,
        "patterns": solution.patterns.len(), "neurons": solution.network.neurons(), "seconds": solution.seconds,
    }));
    Ok(())
}

/// Writes a picture beside the page and puts it into a section.
fn figure(
    context: &Context,
    section: &mut Section,
    name: &str,
    plot: &Plot,
    caption: &str,
) -> Result<(), Failure> {
    plot.write(&context.out.join(format!("relu-{name}.svg")))?;
    section.figures.push((plot.svg()?, caption.into()));
    Ok(())
}

fn plot(x_label: &str, y_label: &str, scales: (Scale, Scale), series: Vec<Series>) -> Plot {
    Plot {
        x_label: x_label.into(),
        y_label: y_label.into(),
        x_scale: scales.0,
        y_scale: scales.1,
        series,
        width: 480,
        height: 320,
        ..Plot::default()
    }
}

fn columns(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| name.to_string()).collect()
}

/// Share of a network's test rows whose class is right.
fn accuracy(network: &Network, rows: &Training) -> f64 {
    gradus::relu::network::accuracy(&network.outputs(rows), rows.target())
}

/// The published splitting method and the interior-point method on the same program.
fn convergence(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    context.say("ReLU networks: splitting and interior point")?;
    let (training, test) = problem(IONOSPHERE, None, Loss::Squared, 0.1)?;
    let patterns = Patterns::sample(&training, if context.full { 50 } else { 20 }, 1)?;
    let mut section = Section {
        title: "ReLU networks: a certified optimum over sampled patterns".into(),
        text: "281 radar returns, 34 features and a bias, squared loss, beta 0.1. The gap bounds how much better any \
               network with these activation patterns can be. ADMM is quickly near; its bound takes thousands of iterations."
            .into(),
        columns: columns(&["method", "objective", "relative gap", "test accuracy", "iterations", "milliseconds"]),
        commands: vec![
            "gradus relu data/ionosphere_scale --patterns 20 --beta 0.1 --standardize --bias --test-every 5 --seed 1".into(),
        ],
        ..Section::default()
    };
    let (mut series, mut optimum) = (Vec::new(), None);
    let most = if context.full { 3000 } else { 600 };
    for (method, name, iterations) in
        [(Method::InteriorPoint, "interior point", 200), (Method::Admm, "ADMM", most)]
    {
        let mut solver = ConvexRelu { method, ..solver(1e-8, 1) };
        solver.limits.max_iterations = iterations;
        let solution = solve(context, chapter, &solver, &training, patterns.clone(), name)?;
        if method == Method::InteriorPoint && chapter.note(solution.status) {
            return Ok(());
        }
        section.rows.push(vec![
            name.into(),
            format!("{:.8}", solution.objective),
            format!("{:.1e}", solution.certificate.relative),
            format!("{:.3}", accuracy(&solution.network, &test)),
            solution.iterations.to_string(),
            format!("{:.0}", 1e3 * solution.seconds),
        ]);
        let optimum = *optimum.get_or_insert(solution.objective);
        let mut least = f64::INFINITY;
        let points = solution.history.records.iter().map(|r| {
            least = least.min((r.objective / optimum - 1.0).abs());
            (r.seconds, least)
        });
        // differences from the optimum's own last digit say nothing
        series.push(Series { name: name.into(), points: points.filter(|p| p.1 > 1e-12).collect() });
        let mut trace = Vec::new();
        solution.history.write_csv(&mut trace)?;
        context.write(&format!("relu-{}.csv", name.replace(' ', "-").to_lowercase()), &trace)?;
    }
    let plot = plot("seconds", "objective over the optimum, less 1", (Scale::Linear, Scale::Log), series);
    let caption =
        "Distance to the optimum against time; ADMM's iterates are repaired and certified now and then";
    figure(context, &mut section, "convergence", &plot, caption)?;
    chapter.sections.push(section);
    Ok(())
}

/// How the optimum falls with more random patterns, and with more frozen neurons.
fn sample_size(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    context.say("ReLU networks: how many patterns")?;
    let (training, test) = problem(HEART, None, Loss::Squared, 1.0)?;
    let sizes: &[usize] = if context.full { &[5, 10, 20, 50, 100, 200, 500] } else { &[5, 10, 20, 50] };
    let seeds = if context.full { 10 } else { 2 };
    let mut section = Section {
        title: "ReLU networks: what random patterns are worth".into(),
        text: "216 patients. The optimum over P random patterns keeps falling with P, and so does the lasso over N random \
               hidden neurons: chance finds good patterns slowly. The refinement below reaches a third of these values."
            .into(),
        columns: columns(&["P", "optimum over P patterns", "test accuracy", "lasso over P neurons"]),
        ..Section::default()
    };
    let (mut convex, mut lasso) = (Vec::new(), Vec::new());
    for &size in sizes {
        let (mut objective, mut right, mut frozen) = (0.0, 0.0, 0.0);
        for seed in 0..seeds {
            let patterns = Patterns::sample(&training, size, seed)?;
            let name = format!("{size} patterns, seed {seed}");
            let solution = solve(context, chapter, &solver(1e-4, 1), &training, patterns, &name)?;
            if chapter.note(solution.status) {
                return Ok(());
            }
            objective += solution.objective / seeds as f64;
            right += accuracy(&solution.network, &test) / seeds as f64;
            let program = SampledProgram { neurons: size, seed, ..SampledProgram::default() };
            frozen += program.solve(&training, &mut context.monitor())?.summary.objective / seeds as f64;
        }
        convex.push((size as f64, objective));
        lasso.push((size as f64, frozen));
        let cells =
            [format!("{size}"), format!("{objective:.3}"), format!("{right:.3}"), format!("{frozen:.3}")];
        section.rows.push(cells.into());
    }
    let series = vec![
        Series { name: "convex program".into(), points: convex },
        Series { name: "lasso, frozen neurons".into(), points: lasso },
    ];
    let plot = plot("patterns or neurons", "objective", (Scale::Log, Scale::Log), series);
    figure(context, &mut section, "patterns", &plot, "Mean objective over the seeds")?;
    chapter.sections.push(section);
    Ok(())
}

/// Time of an ADMM iteration against the number of patterns.
fn cost(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    context.say("ReLU networks: time per iteration")?;
    let (training, _) = problem(HEART, None, Loss::Squared, 1.0)?;
    let mut points = Vec::new();
    let sizes: &[usize] = if context.full { &[50, 100, 200, 500, 1000, 2000] } else { &[50, 200, 800] };
    for &size in sizes {
        let patterns = Patterns::sample(&training, size, 1)?;
        let mut solver = ConvexRelu { method: Method::Admm, ..solver(1e-12, 1) };
        solver.limits.max_iterations = 24;
        let solution = solver.solve_over(&training, patterns, None, &mut context.monitor())?;
        if solution.status == Status::Interrupted {
            chapter.status = Status::Interrupted;
            return Ok(());
        }
        // iterations 4 to 24: before the first and after the last repair
        let at = |k: usize| solution.history.records.get(k).map_or(f64::NAN, |r| r.seconds);
        points.push((size as f64, 1e3 * (at(24) - at(4)) / 20.0));
    }
    let slope = match (points.first(), points.last()) {
        (Some(a), Some(b)) => (b.1 / a.1).ln() / (b.0 / a.0).ln(),
        _ => f64::NAN,
    };
    context.say(&format!("  time per ADMM iteration grows like P^{slope:.2}"))?;
    chapter.runs.push(json!({ "experiment": "time per iteration", "milliseconds": points, "slope": slope }));
    let mut section = Section {
        title: "ReLU networks: linear in the number of patterns".into(),
        text: format!(
            "The structured solve needs one n x n and one d x d factor whatever the number P of patterns; an iteration grew \
             like P^{slope:.2} here. A factor of the whole system would make it grow like P^2."
        ),
        ..Section::default()
    };
    let series = vec![Series { name: "ADMM".into(), points }];
    let plot = plot("patterns", "milliseconds per iteration", (Scale::Log, Scale::Log), series);
    figure(context, &mut section, "cost", &plot, "216 rows, 14 columns")?;
    chapter.sections.push(section);
    Ok(())
}

/// One feature: all patterns are known, and the optimum is global.
fn one_feature(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    context.say("ReLU networks: one feature, global optima")?;
    let mut section = Section {
        title: "ReLU networks: globally optimal on one feature".into(),
        text: "With one feature and a bias all 163 activation patterns can be listed, so the certificate is a global one: no \
               network of any width does better than the objective less the gap. Adam, from many starts, comes close and \
               never below."
            .into(),
        columns: columns(&["beta", "global optimum", "relative gap", "neurons", "best of Adam"]),
        ..Section::default()
    };
    for beta in [0.1, 1.0, 5.0] {
        let (training, _) = problem(HEART, Some(7), Loss::Squared, beta)?;
        let Some(patterns) = Patterns::enumerate(&training) else { continue };
        let name = format!("one feature, beta {beta}");
        let solution = solve(context, chapter, &solver(1e-7, 1), &training, patterns, &name)?;
        if chapter.note(solution.status) {
            return Ok(());
        }
        let starts = if context.full { 30 } else { 3 };
        let mut best = f64::INFINITY;
        for seed in 0..starts {
            let mut weights = initial_weights(&training, 20, seed);
            let mut objective = NetworkObjective::new(&training, 20);
            let adam = Adam { rate: 0.03, steps: if context.full { 4000 } else { 1500 } };
            adam.minimise(&mut objective, &mut weights, |_, value| {
                best = best.min(value);
                true
            });
        }
        section.rows.push(vec![
            beta.to_string(),
            format!("{:.8}", solution.objective),
            format!("{:.1e}", solution.certificate.relative),
            solution.network.neurons().to_string(),
            format!("{best:.5}"),
        ]);
    }
    chapter.sections.push(section);
    Ok(())
}

/// Objectives above this are left out of the picture.
const HIGHEST: f64 = 60.0;

/// Objective against time: refinement beside Adam and L-BFGS.
fn refinement(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    context.say("ReLU networks: refinement beside local optimisers")?;
    let (training, test) = problem(HEART, None, Loss::Squared, 1.0)?;
    let patterns = 20;
    let mut section = Section {
        title: "ReLU networks: refinement of the patterns".into(),
        text: "Local runs are pooled, then convex solves, pricing and local descent take turns. The pricing ratio says how far \
               the worst pattern that a search found violates optimality; it is no bound, but above 1 it proves that a \
               better network exists."
            .into(),
        columns: columns(&["method", "objective", "neurons", "test accuracy", "pricing ratio", "seconds"]),
        commands: vec![
            "gradus relu data/heart_scale --patterns 20 --beta 1 --standardize --bias --test-every 5 --seed 1 --refine".into(),
        ],
        ..Section::default()
    };
    let options = if context.full {
        Refinement::default()
    } else {
        Refinement {
            starts: 2,
            widths: vec![2, 5],
            rounds: 6,
            local_iterations: 300,
            ..Refinement::default()
        }
    };
    let refined = solver(1e-5, patterns).refine(&training, &options, None, &mut context.monitor())?;
    note(context, chapter, &refined, "refinement")?;
    if chapter.note(refined.status) {
        return Ok(());
    }
    // rounds are records without a certificate; the last solve has one
    let mut points: Vec<(f64, f64)> = refined
        .history
        .records
        .iter()
        .filter(|r| r.certificate.is_nan() && r.objective < HIGHEST)
        .map(|r| (r.seconds.max(1e-3), r.objective))
        .collect();
    points.push((refined.seconds, refined.objective));
    let mut series = vec![Series { name: "refinement".into(), points }];
    section.rows.push(vec![
        "refinement".into(),
        format!("{:.4}", refined.objective),
        refined.network.neurons().to_string(),
        format!("{:.3}", accuracy(&refined.network, &test)),
        refined.pricing_ratio.map_or("-".into(), |r| format!("{r:.3}")),
        format!("{:.1}", refined.seconds),
    ]);
    for (name, neurons, adam) in
        [("Adam, 40 neurons", 40, true), ("Adam, 200 neurons", 200, true), ("L-BFGS, 40 neurons", 40, false)]
    {
        let started = std::time::Instant::now();
        let mut weights = initial_weights(&training, neurons, 1);
        let mut objective = NetworkObjective::new(&training, neurons);
        let mut points: Vec<(f64, f64)> = Vec::new();
        let mut observe = |k: usize, value: f64| {
            let least = points.last().map_or(value, |p| p.1.min(value));
            if k.is_multiple_of(20) && value < HIGHEST {
                points.push((started.elapsed().as_secs_f64().max(1e-3), least));
            }
            true
        };
        if adam {
            let steps = if context.full { 4000 } else { 2000 };
            Adam { rate: 0.03, steps }.minimise(&mut objective, &mut weights, &mut observe);
        } else {
            Lbfgs::default().minimise(&mut objective, &mut weights, &mut observe);
        }
        let network = gradus::relu::local::network_of(&training, &weights).balanced();
        let seconds = started.elapsed().as_secs_f64();
        let ratio = gradus::relu::refine::pricing_ratio(&training, &network, 200, 1)?;
        section.rows.push(vec![
            name.into(),
            format!("{:.4}", network.objective(&training)),
            network.neurons().to_string(),
            format!("{:.3}", accuracy(&network, &test)),
            format!("{ratio:.3}"),
            format!("{seconds:.1}"),
        ]);
        series.push(Series { name: name.into(), points });
    }
    let plot = plot("seconds", "objective", (Scale::Log, Scale::Log), series);
    figure(
        context,
        &mut section,
        "refinement",
        &plot,
        "Best objective so far; heart disease, squared loss, beta 1",
    )?;
    chapter.sections.push(section);
    Ok(())
}

/// Two interleaved arms of a spiral, and what a refined network makes of them.
fn regions(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    context.say("ReLU networks: decision regions")?;
    let arm = 60;
    let mut values = vec![0.0; 6 * arm];
    let mut target = vec![0.0; 2 * arm];
    for i in 0..2 * arm {
        let side = if i < arm { 1.0 } else { -1.0 };
        let radius = 0.3 + 1.7 * (i % arm) as f64 / arm as f64;
        let angle = 2.6 * radius;
        (values[i], values[2 * arm + i]) = (side * radius * angle.cos(), side * radius * angle.sin());
        values[4 * arm + i] = 1.0;
        target[i] = side;
    }
    let points: Vec<(f64, f64, bool)> =
        (0..2 * arm).map(|i| (values[i], values[2 * arm + i], target[i] > 0.0)).collect();
    let design = DesignMatrix::from_dense(2 * arm, 3, values)?;
    let mut section = Section {
        title: "ReLU networks: decision regions".into(),
        text: "120 points on two arms of a spiral, hinge loss. Left: the optimum over 20 random patterns; right: after \
               refinement of the patterns."
            .into(),
        ..Section::default()
    };
    let training = Training::new(&design, target, Loss::Hinge, 0.02)?;
    let options =
        Refinement { starts: 2, widths: vec![2], rounds: 8, local_iterations: 300, ..Refinement::default() };
    for refine in [false, true] {
        let solver = solver(1e-4, 20);
        let solution = if refine {
            solver.refine(&training, &options, None, &mut context.monitor())?
        } else {
            solver.solve(&training)?
        };
        let name = if refine { "spiral, refined" } else { "spiral, random patterns" };
        note(context, chapter, &solution, name)?;
        if chapter.note(solution.status) {
            return Ok(());
        }
        let side = 120;
        let cell = |k: usize| -2.4 + 4.8 * (k as f64 + 0.5) / side as f64;
        let grid: Vec<f64> = (0..side * side)
            .map(|i| cell(i % side))
            .chain((0..side * side).map(|i| cell(i / side)))
            .collect();
        let grid = DesignMatrix::from_dense(side * side, 3, [grid, vec![1.0; side * side]].concat())?;
        let picture = Regions {
            bounds: (-2.4, -2.4, 2.4, 2.4),
            columns: side,
            values: solution.network.predict(&grid),
            points: points.clone(),
            width: 320,
        };
        let svg = picture.svg()?;
        let file = if refine { "relu-regions-refined.svg" } else { "relu-regions-sampled.svg" };
        context.write(file, svg.as_bytes())?;
        let right = accuracy(&solution.network, &training);
        section.figures.push((
            svg,
            format!("{name}: objective {:.3}, {right:.2} of the points right", solution.objective),
        ));
    }
    chapter.sections.push(section);
    Ok(())
}
