//! Low-rank completion on matrices and a picture that are made here.

use gradus::completion::{
    Completion, Duplicates, HalfStep, LowRankModel, Observations, RidgeKind, Solution, StartRule,
};
use gradus::control::{Limits, Status};
use gradus::linalg::TallMatrix;
use gradus::report::html::Section;
use gradus::report::{Plot, Scale, Series};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde_json::json;

use super::{Chapter, Context};
use crate::output::Failure;

/// A matrix of low rank and some of its entries.
struct Matrix {
    left: TallMatrix,
    right: TallMatrix,
    problem: Observations,
}

impl Matrix {
    /// n x n of rank k: normal factors whose columns fall from `condition` to 1, `count` entries, normal noise.
    fn new(n: usize, k: usize, count: usize, condition: f64, noise: f64, seed: u64) -> Result<Self, Failure> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let fall = |c: usize| condition.powf(if k > 1 { 1.0 - c as f64 / (k - 1) as f64 } else { 0.0 });
        let left = TallMatrix::from_fn(n, k, |_, c| fall(c) * rng.sample::<f64, _>(StandardNormal));
        let right = TallMatrix::from_fn(n, k, |_, _| rng.sample(StandardNormal));
        let mut cells: Vec<u32> =
            rand::seq::index::sample(&mut rng, n * n, count).into_iter().map(|t| t as u32).collect();
        cells.sort_unstable();
        let entries: Vec<(u32, u32, f64)> = cells
            .into_iter()
            .map(|cell| {
                let (i, j) = (cell / n as u32, cell % n as u32);
                let value = product(&left, &right, i as usize, j as usize);
                (i, j, value + noise * rng.sample::<f64, _>(StandardNormal))
            })
            .collect();
        let problem = Observations::new(n, n, &entries, Duplicates::Refuse)?;
        Ok(Self { left, right, problem })
    }

    /// |model - M| / |M| over the whole matrix.
    fn error(&self, model: &LowRankModel) -> f64 {
        let (mut squares, mut whole) = (0.0, 0.0);
        for i in 0..self.left.rows() {
            for j in 0..self.right.rows() {
                let value = product(&self.left, &self.right, i, j);
                squares += (value - model.predict(i, j)).powi(2);
                whole += value * value;
            }
        }
        (squares / whole).sqrt()
    }
}

fn product(left: &TallMatrix, right: &TallMatrix, i: usize, j: usize) -> f64 {
    left.row(i).iter().zip(right.row(j)).map(|(a, b)| a * b).sum()
}

fn limits(tolerance: f64, max_iterations: usize) -> Limits {
    Limits { tolerance, max_iterations, time_limit: None }
}

/// A part of the chapter: appends its section, and says whether the user asked to stop.
type Part = fn(&Context, &mut Chapter) -> Result<bool, Failure>;

pub fn chapter(context: &Context) -> Result<Chapter, Failure> {
    let mut chapter = Chapter::default();
    let parts: [Part; 5] =
        [error_against_time, cost_against_rank, phase_transition, rank_against_error, inpainting];
    for part in parts {
        if part(context, &mut chapter)? {
            break;
        }
    }
    Ok(chapter)
}

/// Notes a solve in the chapter's summary; true when the user asked to stop. Only `required` solves count for its status.
fn note(chapter: &mut Chapter, name: &str, answer: &Solution, error: f64, required: bool) -> bool {
    chapter.runs.push(json!({
        "experiment": name, "method": answer.method, "status": answer.status.name(), "objective": answer.objective,
        "certificate": answer.certificate, "iterations": answer.iterations, "seconds": answer.seconds, "error": error,
    }));
    if required || answer.status == Status::Interrupted { chapter.note(answer.status) } else { false }
}

const METHODS: [(&str, HalfStep); 3] = [
    ("exact", HalfStep::Exact),
    ("one preconditioner", HalfStep::Preconditioned),
    ("sketched", HalfStep::Sketched { ratio: 4 }),
];

/// Three kinds of half-steps on one exact matrix.
fn error_against_time(context: &Context, chapter: &mut Chapter) -> Result<bool, Failure> {
    let (n, k, share) = if context.full { (2000, 40, 0.3) } else { (800, 40, 0.4) };
    context.say("Completion: half-steps solved exactly and approximately")?;
    let matrix = Matrix::new(n, k, (share * (n * n) as f64) as usize, 1.0, 0.0, 1)?;
    let mut section = Section {
        title: "Low-rank completion: how exactly must a half-step be solved?".into(),
        text: format!(
            "A matrix of {n} x {n} numbers and rank {k}, {:.0} % of it observed. Alternating minimisation solves a least-squares problem \
             for each row of one factor, then of the other. Solved to a tenth of their gradient by conjugate gradients, they \
             lead to the matrix in about as many sweeps as solved exactly, for a fraction of the work.",
            100.0 * share
        ),
        columns: ["half-steps", "sweeps", "seconds", "scaled gradient", "error over the whole matrix"]
            .map(String::from)
            .into(),
        commands: vec![format!("gradus complete entries.csv --rank {k} --method als-cg --tolerance 1e-9")],
        ..Section::default()
    };
    let mut curves = Vec::new();
    for (name, half_step) in METHODS {
        let solver = Completion {
            rank: k,
            half_step,
            start: StartRule::Spectral,
            limits: limits(1e-9, 60),
            ..Completion::default()
        };
        let answer = solver.solve_with(&matrix.problem, Default::default(), &mut context.monitor())?;
        let error = matrix.error(&answer.model);
        context.say(&format!(
            "  {name:18} {:2} sweeps  {:.2} s  error {error:.1e}",
            answer.iterations, answer.seconds
        ))?;
        section.rows.push(vec![
            name.into(),
            answer.iterations.to_string(),
            format!("{:.2}", answer.seconds),
            format!("{:.1e}", answer.certificate.relative),
            format!("{error:.1e}"),
        ]);
        let mut trace = Vec::new();
        answer.history.write_csv(&mut trace)?;
        context.write(&format!("completion-{}.csv", answer.method), &trace)?;
        let points = answer.history.records.iter().map(|r| (r.seconds, r.extra[1])).collect();
        curves.push(Series { name: name.into(), points });
        if note(chapter, "completion-time", &answer, error, true) {
            return Ok(true);
        }
    }
    let plot = Plot {
        x_label: "seconds".into(),
        y_label: "relative residual".into(),
        y_scale: Scale::Log,
        series: curves,
        width: 480,
        height: 320,
        ..Plot::default()
    };
    plot.write(&context.out.join("completion-time.svg"))?;
    section.figures.push((plot.svg()?, format!("Residual over the observed entries against time, rank {k}")));
    chapter.sections.push(section);
    Ok(false)
}

/// What a sweep costs as the rank grows.
fn cost_against_rank(context: &Context, chapter: &mut Chapter) -> Result<bool, Failure> {
    let (n, share) = if context.full { (2000, 0.3) } else { (700, 0.6) };
    context.say("Completion: the cost of a sweep against the rank")?;
    let sweeps = 4;
    let mut section = Section {
        title: "The cost of a sweep against the rank".into(),
        text: format!(
            "{n} x {n}, {:.0} % observed. Normal equations cost k^2 for each entry; conjugate gradients, with the whole factor's \
             Gram matrix as preconditioner of every row, cost k for each of one to three steps. A sketch of each row's own matrix \
             has the same steps, and k^3 for each row besides: it pays only where rows are far longer than the rank.",
            100.0 * share
        ),
        columns: ["rank", "exact (ms)", "one preconditioner (ms)", "steps", "sketched (ms)", "steps"]
            .map(String::from)
            .into(),
        ..Section::default()
    };
    let mut curves: Vec<Series> =
        METHODS.iter().map(|(name, _)| Series { name: (*name).into(), points: Vec::new() }).collect();
    for k in [5, 10, 20, 40, 80] {
        let matrix = Matrix::new(n, k, (share * (n * n) as f64) as usize, 1.0, 0.0, k as u64)?;
        let mut row = vec![k.to_string()];
        for (curve, (_, half_step)) in curves.iter_mut().zip(METHODS) {
            let solver = Completion {
                rank: k,
                half_step,
                start: StartRule::Spectral,
                validation: Some(0.0),
                inner_tolerance: Some(0.1),
                limits: limits(0.0, sweeps),
                ..Completion::default()
            };
            let answer = solver.solve_with(&matrix.problem, Default::default(), &mut context.monitor())?;
            if note(chapter, "completion-cost", &answer, f64::NAN, false) {
                return Ok(true);
            }
            let times: Vec<f64> =
                answer.history.records.windows(2).map(|p| p[1].seconds - p[0].seconds).collect();
            // other programs on the machine only ever add to the time
            let least = times.iter().copied().fold(f64::INFINITY, f64::min);
            curve.points.push((k as f64, 1e3 * least));
            row.push(format!("{:.1}", 1e3 * least));
            if half_step != HalfStep::Exact {
                let steps = answer.counts["inner_steps"] as f64 / answer.counts["rows_solved"] as f64;
                row.push(format!("{steps:.1}"));
            }
        }
        context.say(&format!(
            "  rank {k:2}: exact {} ms, one preconditioner {} ms, sketched {} ms",
            row[1], row[2], row[4]
        ))?;
        section.rows.push(row);
    }
    let plot = Plot {
        x_label: "rank".into(),
        y_label: "milliseconds a sweep".into(),
        x_scale: Scale::Log,
        y_scale: Scale::Log,
        series: curves,
        width: 480,
        height: 320,
        ..Plot::default()
    };
    plot.write(&context.out.join("completion-cost.svg"))?;
    section.figures.push((plot.svg()?, "Time of a sweep, least of four".into()));
    chapter.sections.push(section);
    Ok(false)
}

/// How many entries recovery takes.
fn phase_transition(context: &Context, chapter: &mut Chapter) -> Result<bool, Failure> {
    let (n, seeds) = if context.full { (300, 10) } else { (120, 5) };
    context.say("Completion: the phase transition of recovery")?;
    let ratios = [1.2, 1.5, 1.8, 2.1, 2.5, 3.0, 3.5, 4.0, 5.0];
    let mut section = Section {
        title: "The phase transition of recovery".into(),
        text: format!(
            "{n} x {n} matrices of four ranks, entries at random, {seeds} matrices a point; recovered means an error below \
             1e-4 over the whole matrix. A matrix of rank k has k (2n - k) degrees of freedom: half as many entries again \
             suffice for the larger ranks. Small ranks need more, since every row and column must be met often enough."
        ),
        columns: std::iter::once("rank".to_string())
            .chain(ratios.iter().map(|r| format!("{r} dof")))
            .collect(),
        ..Section::default()
    };
    let mut curves = Vec::new();
    for k in [2, 4, 8, 12] {
        let mut points = Vec::new();
        let mut row = vec![k.to_string()];
        for ratio in ratios {
            let count = ((ratio * (k * (2 * n - k)) as f64) as usize).min(n * n);
            let mut recovered = 0;
            for seed in 0..seeds {
                let matrix = Matrix::new(n, k, count, 1.0, 0.0, 1000 * k as u64 + seed)?;
                let solver = Completion {
                    rank: k,
                    validation: Some(0.0),
                    half_step: HalfStep::Exact,
                    limits: limits(1e-6, 150),
                    ..Completion::default()
                };
                let answer =
                    solver.solve_with(&matrix.problem, Default::default(), &mut context.monitor())?;
                if answer.status == Status::Interrupted {
                    return Ok(chapter.note(answer.status));
                }
                recovered += u64::from(matrix.error(&answer.model) < 1e-4);
            }
            let share = recovered as f64 / seeds as f64;
            points.push((ratio, share));
            row.push(format!("{:.0} %", 100.0 * share));
        }
        context.say(&format!("  rank {k:2}: {}", row[1..].join(" ")))?;
        section.rows.push(row);
        curves.push(Series { name: format!("rank {k}"), points });
    }
    let plot = Plot {
        x_label: "entries over degrees of freedom".into(),
        y_label: "share recovered".into(),
        series: curves,
        width: 480,
        height: 320,
        ..Plot::default()
    };
    plot.write(&context.out.join("completion-phase.svg"))?;
    section.figures.push((plot.svg()?, format!("Share of {n} x {n} matrices that are recovered")));
    chapter.sections.push(section);
    Ok(false)
}

/// Ratings made here: the rank that held-out entries choose.
fn rank_against_error(context: &Context, chapter: &mut Chapter) -> Result<bool, Failure> {
    let n = if context.full { 1500 } else { 500 };
    context.say("Completion: the rank against the held-out error")?;
    let (truth, noise) = (8, 1.5);
    let matrix = Matrix::new(n, truth, n * n / 8, 2.0, noise, 5)?;
    let (training, test) = matrix.problem.split(0.1, 3, |i, j| (u64::from(i), u64::from(j)))?;
    let mut curves = Vec::new();
    let mut section = Section {
        title: "The rank against the held-out error".into(),
        text: format!(
            "{n} x {n} noisy values of rank {truth} (noise of deviation {noise}), an eighth of them observed, a tenth of those held \
             out. Without a ridge the error rises again beyond the true rank; a ridge makes the rank matter less. With the rank \
             left to the solver it grows until entries that it holds out for itself no longer gain."
        ),
        columns: ["rank", "no ridge: fitted", "held out", "ridge 0.15: fitted", "held out"]
            .map(String::from)
            .into(),
        commands: vec!["gradus complete ratings.csv --rank auto --holdout 0.1".into()],
        ..Section::default()
    };
    let ranks = [1, 2, 4, 6, 8, 10, 12, 16, 20];
    let mut rows: Vec<Vec<String>> = ranks.iter().map(|k| vec![k.to_string()]).collect();
    for ridge in [0.0, 0.15] {
        let mut points = Vec::new();
        for (&rank, row) in ranks.iter().zip(&mut rows) {
            let solver = Completion {
                rank,
                ridge,
                ridge_kind: RidgeKind::ByCount,
                validation: Some(0.0),
                start: StartRule::Spectral,
                limits: limits(1e-5, 60),
                ..Completion::default()
            };
            let answer = solver.solve_with(&training, Default::default(), &mut context.monitor())?;
            let error = answer.model.rmse(&test);
            if note(chapter, "completion-rank", &answer, error, false) {
                return Ok(true);
            }
            points.push((rank as f64, error));
            row.extend([format!("{:.3}", answer.train_rmse), format!("{error:.3}")]);
        }
        let name = if ridge > 0.0 { format!("ridge {ridge}") } else { "no ridge".into() };
        curves.push(Series { name, points });
    }
    let solver =
        Completion { rank: 20, automatic_rank: true, limits: limits(1e-5, 200), ..Completion::default() };
    let answer = solver.solve_with(&training, Default::default(), &mut context.monitor())?;
    let error = answer.model.rmse(&test);
    let chosen = format!("auto: {}", answer.model.rank());
    context.say(&format!("  rank chosen {}, held-out error {error:.3}", answer.model.rank()))?;
    section.rows = rows;
    section.rows.push(vec![
        chosen,
        format!("{:.3}", answer.train_rmse),
        format!("{error:.3}"),
        String::new(),
        String::new(),
    ]);
    let plot = Plot {
        x_label: "rank".into(),
        y_label: "held-out rmse".into(),
        series: curves,
        width: 480,
        height: 320,
        ..Plot::default()
    };
    plot.write(&context.out.join("completion-rank.svg"))?;
    section.figures.push((plot.svg()?, format!("Error over held-out entries; the noise alone is {noise}")));
    chapter.sections.push(section);
    Ok(note(chapter, "completion-rank-auto", &answer, error, false))
}

/// A picture with missing pixels.
fn inpainting(context: &Context, chapter: &mut Chapter) -> Result<bool, Failure> {
    let size = if context.full { 128 } else { 72 };
    context.say("Completion: a picture with two of three pixels missing")?;
    let picture =
        TallMatrix::from_fn(size, size, |i, j| pixel(i as f64 / size as f64, j as f64 / size as f64));
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let mut entries = Vec::new();
    for i in 0..size {
        for j in 0..size {
            if rng.random::<f64>() < 0.35 {
                entries.push((i as u32, j as u32, picture.row(i)[j]));
            }
        }
    }
    let problem = Observations::new(size, size, &entries, Duplicates::Refuse)?;
    let solver = Completion {
        rank: 10,
        ridge: 0.02,
        biases: true,
        limits: limits(1e-5, 500),
        ..Completion::default()
    };
    let answer = solver.solve_with(&problem, Default::default(), &mut context.monitor())?;
    let filled: TallMatrix =
        TallMatrix::from_fn(size, size, |i, j| answer.model.predict(i, j).clamp(0.0, 1.0));
    let error = (0..size)
        .map(|i| (0..size).map(|j| (filled.row(i)[j] - picture.row(i)[j]).powi(2)).sum::<f64>())
        .sum::<f64>();
    let error = (error / (size * size) as f64).sqrt();
    context.say(&format!("  rmse {error:.3} on grey values from 0 to 1"))?;
    let seen =
        |i: usize, j: usize| entries.binary_search_by(|e| (e.0, e.1).cmp(&(i as u32, j as u32))).is_ok();
    let figures = [
        ("original", grey(size, |i, j| Some(picture.row(i)[j]))),
        ("observed: 35 % of the pixels", grey(size, |i, j| seen(i, j).then(|| picture.row(i)[j]))),
        ("completed at rank 10", grey(size, |i, j| Some(filled.row(i)[j]))),
    ];
    let mut section = Section {
        title: "A picture with two of three pixels missing".into(),
        text: format!(
            "{size} x {size} grey values of a picture drawn by formulas. Rank 10 with biases and a small ridge fills the missing \
             pixels to {error:.3} root mean square; grey runs from 0 to 1, and missing pixels are shown in blue."
        ),
        ..Section::default()
    };
    for (k, (caption, svg)) in figures.into_iter().enumerate() {
        context.write(&format!("completion-picture-{}.svg", k + 1), svg.as_bytes())?;
        section.figures.push((svg, caption.into()));
    }
    chapter.sections.push(section);
    Ok(note(chapter, "completion-picture", &answer, error, false))
}

/// A house by a lake under stripes of cloud: grey at a place of the unit square.
fn pixel(y: f64, x: f64) -> f64 {
    let sky = 0.75 - 0.35 * y + 0.06 * (9.0 * x + 14.0 * y).sin();
    let lake = 0.35 + 0.1 * (60.0 * y).sin() * (3.0 * x).cos();
    let ground = if y > 0.72 { lake } else { sky };
    let inside = |low: f64, high: f64, value: f64| value >= low && value < high;
    if inside(0.42, 0.72, y) && inside(0.25, 0.6, x) {
        let window = inside(0.5, 0.6, y) && (inside(0.3, 0.38, x) || inside(0.46, 0.54, x));
        return if window { 0.95 } else { 0.2 };
    }
    if inside(0.28, 0.42, y) && (x - 0.425).abs() < 1.6 * (y - 0.28) {
        return 0.1;
    }
    if (x - 0.8).hypot(y - 0.2) < 0.09 { 1.0 } else { ground }
}

/// Grey pixels as an SVG document: one path for each of 24 levels. Missing pixels are blue.
fn grey(size: usize, value: impl Fn(usize, usize) -> Option<f64>) -> String {
    const LEVELS: usize = 24;
    let mut paths = vec![String::new(); LEVELS];
    for i in 0..size {
        for j in 0..size {
            if let Some(value) = value(i, j) {
                let level = ((value * LEVELS as f64) as usize).min(LEVELS - 1);
                paths[level] += &format!("M{j} {i}h1v1h-1z");
            }
        }
    }
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {size} {size}\" shape-rendering=\"crispEdges\">\
         <rect width=\"{size}\" height=\"{size}\" fill=\"#9db8e8\"/>"
    );
    for (level, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
        let grey = level * 255 / (LEVELS - 1);
        svg += &format!("<path fill=\"rgb({grey},{grey},{grey})\" d=\"{path}\"/>");
    }
    svg + "</svg>\n"
}
