//! Streams of linear systems: iterations against omega, learning curves, regret, choice of the solver.

use gradus::control::Status;
use gradus::linalg::product::norm;
use gradus::relaxation::heat::{Heat, laplacian};
use gradus::relaxation::policy::{Named, Tracking, omega_grid};
use gradus::relaxation::shifted::{Shifted, Shifts};
use gradus::relaxation::{
    Answer, Cost, Error, Method, Omega, Operator, Relaxation, Stream, StreamSystem, formula,
};
use gradus::report::html::Section;
use gradus::report::{Plot, Scale, Series};
use serde_json::json;

use super::{Chapter, Context};
use crate::output::Failure;

/// One section.
type Part = fn(&Context, &mut Chapter) -> Result<(), Failure>;

pub fn chapter(context: &Context) -> Result<Chapter, Failure> {
    let mut chapter = Chapter::default();
    let parts: [Part; 5] = [iterations_against_omega, predictions, heat, shifted, configurations];
    for part in parts {
        if context.monitor().interrupted() {
            chapter.status = Status::Interrupted;
            break;
        }
        part(context, &mut chapter)?;
    }
    Ok(chapter)
}

/// A right-hand side without structure.
fn rough(n: usize) -> Vec<f64> {
    (0..n as u64)
        .map(|i| ((i * i).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40) as f64 / 8_388_608.0 - 1.0)
        .collect()
}

fn columns(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).into()).collect()
}

/// Writes a plot beside the page and puts it into the section.
fn figure(
    context: &Context,
    section: &mut Section,
    plot: &Plot,
    name: &str,
    caption: &str,
) -> Result<(), Failure> {
    let plot = Plot { width: 480, height: 340, ..plot.clone() };
    plot.write(&context.out.join(format!("{name}.svg")))?;
    section.figures.push((plot.svg()?, caption.into()));
    Ok(())
}

fn iterations_against_omega(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    context.say("Iterations against omega")?;
    let m = if context.full { 256 } else { 64 };
    let grid = laplacian(m, m);
    let b = rough(m * m);
    let beta = (std::f64::consts::PI / (m as f64 + 1.0)).cos();
    let mut section = Section {
        title: "How much omega matters".into(),
        text: format!(
            "The 5-point Laplacian on {m} x {m} points, plain and as a time step of the heat equation, I + 16 L. Iterations to a \
             residual of 1e-8 for omegas between 1 and 2. The formulas find the bottom of every curve; `auto` finds it without \
             knowing the spectrum: from the diagonal dominance or by a short probe."
        ),
        columns: columns(&[
            "system",
            "method",
            "omega = 1",
            "best of scan",
            "at omega",
            "formula",
            "its omega",
            "auto",
        ]),
        ..Section::default()
    };
    let mut plot = Plot {
        x_label: "omega".into(),
        y_label: "iterations".into(),
        y_scale: Scale::Log,
        ..Plot::default()
    };
    for (name, shift) in [("Poisson", 0.0), ("time step", 1.0 / 16.0)] {
        let mut operator = Operator::new(grid.view())?;
        operator.set_shift(shift)?;
        let gap = 1.0 - formula::shifted_radius(beta, 4.0, shift);
        for (method, formula) in [(Method::Sor, formula::young(gap)), (Method::SsorCg, formula::ssor(gap))] {
            let count = |omega: Omega| -> Result<usize, Error> {
                let solver = Relaxation { method, omega, ..Relaxation::default() };
                let done = solver.solve_with(&operator, &b, None, &mut context.monitor())?;
                Ok(done.iterations)
            };
            let omegas = (0..25).map(|k| 1.0 + 0.04 * k as f64).chain([1.97, 1.98, 1.99]);
            let points: Vec<(f64, f64)> = omegas
                .map(|omega| Ok((omega, count(Omega::Fixed(omega))? as f64)))
                .collect::<Result<_, Error>>()?;
            let best =
                points.iter().copied().fold((1.0, f64::INFINITY), |a, b| if b.1 < a.1 { b } else { a });
            let (at_formula, auto) = (count(Omega::Fixed(formula))?, count(Omega::Auto)?);
            section.rows.push(vec![
                name.into(),
                method.name().into(),
                points[0].1.to_string(),
                best.1.to_string(),
                format!("{:.2}", best.0),
                at_formula.to_string(),
                format!("{formula:.4}"),
                auto.to_string(),
            ]);
            chapter.runs.push(json!({
                "experiment": "omega", "system": name, "method": method.name(), "best": best.1, "formula": at_formula, "auto": auto,
            }));
            plot.series.push(Series { name: format!("{name}, {}", method.name()), points });
        }
    }
    figure(
        context,
        &mut section,
        &plot,
        "omega",
        "Iterations against omega; auto and the formulas stop in the valleys",
    )?;
    section.commands.push("gradus linsolve A.mtx --method sor --omega auto".into());
    chapter.sections.push(section);
    Ok(())
}

/// Sweeps beside what theory says of them.
fn predictions(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    context.say("What theory predicts")?;
    let m = if context.full { 48 } else { 24 };
    let operator = Operator::new(laplacian(m, m).view())?;
    let b = rough(m * m);
    let young = formula::young(1.0 - (std::f64::consts::PI / (m as f64 + 1.0)).cos());
    let mut omegas: Vec<f64> = (0..50).map(|k| 1.0 + 0.02 * k as f64).chain([young, 1.99]).collect();
    omegas.sort_by(f64::total_cmp);
    let names = ["sweeps", "asymptotic", "near-asymptotic", "energy bound"];
    let mut curves: Vec<Vec<(f64, f64)>> = vec![Vec::new(); names.len()];
    let mut section = Section {
        title: "What theory predicts".into(),
        text: format!(
            "SOR on the 5-point Laplacian of {m} x {m} points to a residual of 1e-8. Asymptotic: ln eps / ln rho, with rho from \
             Young's formula. Near-asymptotic: 1 + ln eps / ln(rho + tau (1 - rho)), where tau measures how far the norm of a power \
             of the iteration matrix is from the power of its radius. Energy bound: from the energy norm of the iteration matrix. \
             Left of Young's omega, {young:.4}, the curve is steep, right of it gentle: overshooting is the safe side."
        ),
        columns: columns(&["omega", "sweeps", "asymptotic", "near-asymptotic", "energy bound", "tau"]),
        ..Section::default()
    };
    for omega in omegas {
        let solver = Relaxation { method: Method::Sor, omega: Omega::Fixed(omega), ..Relaxation::default() };
        let sweeps = solver.solve_with(&operator, &b, None, &mut context.monitor())?.iterations as f64;
        let Some(told) = solver.explain(&operator, &b, &mut context.monitor())? else {
            chapter.note(Status::Interrupted);
            return Ok(());
        };
        let values = [Some(sweeps), told.asymptotic, told.near_asymptotic, told.bound];
        for (curve, value) in curves.iter_mut().zip(values) {
            curve.extend(value.map(|value| (omega, value)));
        }
        if omega == young || [1.0, 1.5, 1.9].iter().any(|shown| (omega - shown).abs() < 1e-9) {
            let shown = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.0}"));
            let tau = told.tau.map_or("-".into(), |tau| format!("{tau:.4}"));
            let mut row = vec![format!("{omega:.4}")];
            row.extend(values.map(shown));
            row.push(tau);
            section.rows.push(row);
            chapter.runs.push(json!({
                "experiment": "predictions", "omega": omega, "sweeps": sweeps, "asymptotic": told.asymptotic,
                "near_asymptotic": told.near_asymptotic, "bound": told.bound, "tau": told.tau,
            }));
        }
    }
    let series = names.into_iter().zip(curves);
    let plot = Plot {
        x_label: "omega".into(),
        y_label: "iterations".into(),
        y_scale: Scale::Log,
        series: series.map(|(name, points)| Series { name: name.into(), points }).collect(),
        ..Plot::default()
    };
    figure(context, &mut section, &plot, "predictions", "Sweeps, and what theory says of them")?;
    section.commands.push("gradus linsolve A.mtx --method sor --omega 1.9 --explain".into());
    chapter.sections.push(section);
    Ok(())
}

/// Iterations added up over the systems of a source, for one policy.
struct Curve {
    name: String,
    iterations: Vec<usize>,
    explored: usize,
    seconds: f64,
}

impl Curve {
    fn total(&self) -> usize {
        self.iterations.iter().sum()
    }

    /// (systems, what `value` makes of the iterations so far), thinned out.
    fn points(&self, value: impl Fn(usize, usize) -> f64) -> Vec<(f64, f64)> {
        let every = (self.iterations.len() / 200).max(1);
        let mut sum = 0;
        let mut points = Vec::new();
        for (k, iterations) in self.iterations.iter().enumerate() {
            sum += iterations;
            if (k + 1) % every == 0 {
                points.push((k as f64 + 1.0, value(k, sum)));
            }
        }
        points
    }
}

/// Plays a policy on `steps` systems; `next` calls back with each.
fn play(
    name: &str,
    mut stream: Stream,
    steps: usize,
    mut next: impl FnMut(&mut dyn FnMut(&StreamSystem) -> Result<Answer, Error>) -> Result<Answer, Error>,
) -> Result<Curve, Failure> {
    let mut iterations = Vec::with_capacity(steps);
    for _ in 0..steps {
        let answer = next(&mut |system| stream.solve(system))?;
        iterations.push(answer.iterations);
    }
    let totals = stream.totals();
    Ok(Curve { name: name.into(), iterations, explored: totals.explored, seconds: totals.seconds })
}

fn table(section: &mut Section, chapter: &mut Chapter, experiment: &str, curves: &[Curve], oracle: usize) {
    section.columns =
        columns(&["policy", "iterations", "over the best per system", "explored", "milliseconds"]);
    for curve in curves {
        let total = curve.total();
        section.rows.push(vec![
            curve.name.clone(),
            total.to_string(),
            format!("{:+.1} %", 100.0 * (total as f64 / oracle as f64 - 1.0)),
            format!("{:.1} %", 100.0 * curve.explored as f64 / curve.iterations.len() as f64),
            format!("{:.0}", 1e3 * curve.seconds),
        ]);
        chapter.runs.push(json!({
            "experiment": experiment, "policy": curve.name, "systems": curve.iterations.len(), "iterations": total,
            "seconds": curve.seconds,
        }));
    }
}

/// The published learners, this library's own, and what they are measured against.
const POLICIES: [&str; 7] =
    ["fixed:1", "fixed:1.5", "tsallis-inf", "tsallis-inf-rv", "chebcb", "zoom", "auto"];

fn heat(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    let (cells, steps) = if context.full { (50, 5000) } else { (25, 1000) };
    context.say(&format!("Heat equation on {cells} x {cells} cells, {steps} time steps"))?;
    let run = |name: &str, stream: Stream| -> Result<Curve, Failure> {
        let mut heat = Heat::new(cells)?;
        play(name, stream, steps, |solve| {
            let answer = solve(&heat.system()?)?;
            heat.accept(answer.x.clone())?;
            Ok(answer)
        })
    };
    let mut curves = Vec::new();
    for name in POLICIES {
        curves.push(run(name, Stream::named(Method::SsorCg, &name.parse()?, Heat::RANGE, 0))?);
    }
    let cg = run("plain CG", Stream::named(Method::Cg, &Named::Auto, Heat::RANGE, 0))?;
    let grid: Vec<Curve> = omega_grid(20)
        .into_iter()
        .map(|omega| run("grid", Stream::named(Method::SsorCg, &Named::Fixed(omega), Heat::RANGE, 0)))
        .collect::<Result<_, _>>()?;
    let oracle: usize =
        (0..steps).map(|k| grid.iter().map(|curve| curve.iterations[k]).min().unwrap_or(0)).sum();
    let mut section = Section {
        title: "A simulation: the heat equation with a coefficient that changes".into(),
        text: format!(
            "Crank-Nicolson on {cells} x {cells} cells, {steps} time steps, one system each, solved by SSOR-CG from the \
             temperatures before. The coefficient swings between 0 and 10, and with it the best omega. The published bandits \
             learn from iteration counts alone; `auto` computes omega from the diagonal dominance and learns nothing. Percentages \
             are against the best of twenty omegas for each single system."
        ),
        ..Section::default()
    };
    let mut plot =
        Plot { x_label: "time steps".into(), y_label: "iterations in all".into(), ..Plot::default() };
    plot.series = curves
        .iter()
        .map(|c| Series { name: c.name.clone(), points: c.points(|_, sum| sum as f64) })
        .collect();
    figure(context, &mut section, &plot, "heat", "Iterations added up over the time steps")?;
    let mut level =
        Plot { x_label: "time steps".into(), y_label: "iterations a step, so far".into(), ..Plot::default() };
    level.series = curves
        .iter()
        .map(|c| Series { name: c.name.clone(), points: c.points(|k, sum| sum as f64 / (k + 1) as f64) })
        .collect();
    figure(
        context,
        &mut section,
        &level,
        "heat-mean",
        "Learning curves: mean iterations a step up to each time",
    )?;
    curves.push(cg);
    table(&mut section, chapter, "heat", &curves, oracle);
    section.commands.push(format!(
        "gradus stream heat:{cells} --steps {steps} --policy auto --policy chebcb --policy tsallis-inf --policy optimal-fixed"
    ));
    chapter.sections.push(section);
    Ok(())
}

fn shifted(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    let steps = if context.full { 5000 } else { 1000 };
    context.say(&format!("Shifted Laplacians, {steps} systems"))?;
    let run = |name: &str, stream: Stream| -> Result<Curve, Failure> {
        let mut source = Shifted::new(Shifts::High, 1)?;
        play(name, stream, steps, |solve| solve(&source.system()?))
    };
    let mut curves = Vec::new();
    for name in ["fixed:1.5", "fixed:1.8", "tsallis-inf", "tsallis-inf-cb:5", "chebcb", "zoom", "auto"] {
        curves.push(run(name, Stream::named(Method::Sor, &name.parse()?, Shifted::RANGE, 0))?);
    }
    let grid: Vec<Curve> = omega_grid(20)
        .into_iter()
        .map(|omega| run("grid", Stream::named(Method::Sor, &Named::Fixed(omega), Shifted::RANGE, 0)))
        .collect::<Result<_, _>>()?;
    let best: Vec<usize> =
        (0..steps).map(|k| grid.iter().map(|curve| curve.iterations[k]).min().unwrap_or(0)).collect();
    let mut section = Section {
        title: "Independent systems: regret of the learners".into(),
        text: format!(
            "{steps} systems (L + c I) x = b with L the Laplacian of a 10 x 10 grid, c random, often close to the end where the \
             matrix is nearly singular; SOR from zero. Regret: iterations beyond those of the best of twenty omegas for each \
             system. Without the context a learner can do no better than the best fixed omega (1.8); with it, ChebCB and `zoom` \
             approach the best choice per system; `auto` probes the first system and knows all others by the shift rule."
        ),
        ..Section::default()
    };
    let mut sums = Vec::with_capacity(steps);
    best.iter().fold(0, |sum, iterations| {
        sums.push(sum + iterations);
        sum + iterations
    });
    let mut plot =
        Plot { x_label: "systems".into(), y_label: "regret, iterations".into(), ..Plot::default() };
    plot.series = curves
        .iter()
        .map(|c| Series { name: c.name.clone(), points: c.points(|k, sum| sum as f64 - sums[k] as f64) })
        .collect();
    figure(context, &mut section, &plot, "regret", "Regret against the best of the grid for each system")?;
    table(&mut section, chapter, "shifted", &curves, best.iter().sum());
    section.commands.push(format!(
        "gradus stream shifted:high --steps {steps} --seed 1 --policy auto --policy chebcb --policy tsallis-inf --policy instance-optimal"
    ));
    chapter.sections.push(section);
    Ok(())
}

/// Matrices that change, then one matrix with many right-hand sides.
fn configurations(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    context.say("Choosing the solver")?;
    let (m, steps) = if context.full { (100, 500) } else { (50, 300) };
    let matrix = laplacian(m, m);
    let arms =
        [Method::Cg, Method::SsorCg, Method::IncompleteCholeskyCg, Method::MultigridCg, Method::Direct];
    let run = |name: &str, arms: Vec<Method>| -> Result<(Curve, Vec<f64>), Failure> {
        let mut stream = Stream::of_configurations(arms, Tracking::new);
        stream.cost = Cost::Flops;
        let mut operator = Operator::new(matrix.view())?;
        let mut b = rough(m * m);
        let (mut step, mut flops) = (0, Vec::new());
        let curve = play(name, stream, steps, |solve| {
            let shift = if step < steps / 2 { 1.0 + (step % 17) as f64 / 17.0 } else { 0.0 };
            operator.set_shift(shift)?;
            b.rotate_left(1);
            step += 1;
            let scale = norm(&b);
            b.iter_mut().for_each(|b| *b /= scale);
            let answer = solve(&StreamSystem { operator: &operator, rhs: &b, start: None, context: 0.0 })?;
            flops.push(answer.flops);
            Ok(answer)
        })?;
        Ok((curve, flops))
    };
    let mut all = Vec::new();
    for arm in arms {
        all.push(run(arm.name(), vec![arm])?);
    }
    all.push(run("learned", arms.to_vec())?);
    let mut section = Section {
        title: "Choosing the solver itself".into(),
        text: format!(
            "{steps} systems of {} unknowns. In the first half the matrix changes every time and is easy for conjugate gradients; in \
             the second it stays, and a factorisation that is kept pays. The learner is told operation counts and tries each \
             configuration again from time to time, within four per cent of all costs.",
            m * m
        ),
        columns: columns(&["configuration", "million operations", "iterations", "milliseconds"]),
        ..Section::default()
    };
    let mut plot =
        Plot { x_label: "systems".into(), y_label: "million operations in all".into(), ..Plot::default() };
    for (curve, flops) in &all {
        let total: f64 = flops.iter().sum();
        section.rows.push(vec![
            curve.name.clone(),
            format!("{:.0}", 1e-6 * total),
            curve.total().to_string(),
            format!("{:.0}", 1e3 * curve.seconds),
        ]);
        chapter.runs.push(json!({ "experiment": "configurations", "policy": curve.name, "flops": total }));
        let mut sum = 0.0;
        let points = flops.iter().enumerate().map(|(k, flops)| {
            sum += 1e-6 * flops;
            (k as f64 + 1.0, sum)
        });
        plot.series.push(Series { name: curve.name.clone(), points: points.collect() });
    }
    figure(
        context,
        &mut section,
        &plot,
        "configurations",
        "Operations added up; the best configuration changes half-way",
    )?;
    section.commands.push("gradus stream FOLDER --policy configurations".into());
    chapter.sections.push(section);
    Ok(())
}
