//! Optimal transport: the published experiments in small, the path beside Sinkhorn, a plan and a colour transfer.

use gradus::control::{Limits, Status};
use gradus::linalg::splitmix::SplitMix;
use gradus::read::image::Image;
use gradus::report::html::Section;
use gradus::report::{Plot, Scale, Series};
use gradus::transport::instances::instance;
use gradus::transport::{Cost, Kept, Method, Metric, Solution, Transport, TransportProblem};
use serde_json::json;

use super::{Chapter, Context};
use crate::output::{Failure, convergence_plot};

pub fn chapter(context: &Context) -> Result<Chapter, Failure> {
    let mut chapter = Chapter::default();
    for part in [published, families, two_clouds, colours] {
        part(context, &mut chapter)?;
        if chapter.status == Status::Interrupted {
            break;
        }
    }
    Ok(chapter)
}

fn limits(tolerance: f64, max_iterations: usize) -> Limits {
    Limits { tolerance, max_iterations, time_limit: None }
}

fn table(columns: &[&str]) -> Vec<String> {
    columns.iter().map(|name| name.to_string()).collect()
}

/// Solves, notes the run, and writes its trace.
fn solve(
    context: &Context,
    chapter: &mut Chapter,
    name: &str,
    problem: &TransportProblem,
    solver: &Transport,
    must_solve: bool,
) -> Result<Solution, Failure> {
    let solution = solver.solve_with(problem, None, &mut context.monitor())?;
    if must_solve || solution.status == Status::Interrupted {
        chapter.note(solution.status);
    }
    chapter.runs.push(json!({
        "experiment": name, "status": solution.status.name(), "objective": solution.objective,
        "certificate": solution.certificate, "marginal_error": solution.marginal_error,
        "iterations": solution.iterations, "seconds": solution.seconds,
    }));
    let mut trace = Vec::new();
    solution.history.write_csv(&mut trace)?;
    context.write(&format!("{name}.csv"), &trace)?;
    Ok(solution)
}

/// Random assignment at eta = 1200 and two digits: Sinkhorn, Sinkhorn-Newton-Sparse and the path.
fn published(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    context.say("Transport: Sinkhorn-Newton-Sparse and its successors")?;
    let (n, size, most) = if context.full { (500, 28, 60_000) } else { (200, 14, 3000) };
    let mut section = Section {
        title: "Optimal transport: Newton's method after Sinkhorn's".into(),
        text: format!(
            "Random assignment (n = {n}) and two digits ({size} x {size} pixels, squared distances), eps = 1/1200 of the \
             largest cost, until the L1 error of the marginals is below 1e-10. Sinkhorn's error falls slowly; the published \
             Sinkhorn-Newton-Sparse method takes twenty of its iterations and then Newton steps that keep 5 n entries of \
             the plan (digits: 40 n); the path of this program starts at a large eps, whence its jumps."
        ),
        columns: table(&[
            "problem, method",
            "status",
            "iterations",
            "L1 error",
            "duality gap",
            "milliseconds",
        ]),
        ..Section::default()
    };
    for (name, entries) in [(format!("assignment-{n}"), 5 * n), (format!("digits2-{size}"), 40 * size * size)]
    {
        let Some(problem) = instance(&name, 1.0 / 1200.0) else { continue };
        let mut runs = Vec::new();
        for (label, method, iterations) in [
            ("Sinkhorn", Method::Sinkhorn, most),
            ("Sinkhorn-Newton-Sparse", Method::NewtonSparse, 400),
            ("safe sparse Newton", Method::SafeNewton, 400),
            ("path", Method::Auto, 400),
        ] {
            let kept = Kept::Entries(entries);
            let solver =
                Transport { method, kept, limits: limits(1e-10, iterations), ..Transport::default() };
            let solution = solve(
                context,
                chapter,
                &format!("{name}-{label}").replace(' ', "-"),
                &problem,
                &solver,
                method == Method::Auto,
            )?;
            context.say(&format!(
                "  {name} {label:24} {} iterations, error {:.1e}, {:.1} ms",
                solution.iterations,
                solution.marginal_error,
                1e3 * solution.seconds
            ))?;
            section.rows.push(vec![
                format!("{name}, {label}"),
                solution.status.name().replace('_', " "),
                solution.iterations.to_string(),
                format!("{:.1e}", solution.marginal_error),
                format!("{:.1e}", solution.certificate.value),
                format!("{:.1}", 1e3 * solution.seconds),
            ]);
            let mut history = solution.summary.history;
            history.records.truncate(200);
            runs.push((label.to_string(), history));
        }
        let plot = Plot { y_label: "L1 error of the marginals".into(), ..convergence_plot("", runs) };
        context.write(&format!("transport-{name}.svg"), plot.svg()?.as_bytes())?;
        section.figures.push((plot.svg()?, format!("{name}: the first 200 iterations")));
    }
    section.commands.push(format!(
        "gradus transport --instance assignment-{n} --regularization {:e} --method newton-sparse --keep {} --tolerance 1e-10",
        1.0 / 1200.0,
        5 * n
    ));
    chapter.sections.push(section);
    Ok(())
}

/// The six families over eps.
fn families(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    context.say("Transport: six families over the regularization")?;
    let names = match context.full {
        true => ["assignment-500", "points-500", "cloud8-500", "digits2-22", "digits1-22", "expnorm-500"],
        false => ["assignment-200", "points-200", "cloud8-200", "digits2-14", "digits1-14", "expnorm-200"],
    };
    let mut section = Section {
        title: "Optimal transport: work against the regularization".into(),
        text: "Passes over the n x n kernel that the path needs for an L1 error of 1e-10; entries of the plan that its Newton \
               matrix keeps at the end, over n. Sinkhorn's iterations grow like 1/eps, these hardly at all."
            .into(),
        columns: table(&["problem, eps", "passes", "entries / n", "L1 error", "duality gap", "exact cost between", "milliseconds"]),
        ..Section::default()
    };
    let mut series = Vec::new();
    for name in names {
        let mut points = Vec::new();
        for eps in [1e-1, 1e-2, 1e-3, 1e-4, 1e-5] {
            let Some(problem) = instance(name, eps) else { continue };
            let solver = Transport { limits: limits(1e-10, 1000), ..Transport::default() };
            let solution =
                solve(context, chapter, &format!("{name}-{eps:e}"), &problem, &solver, eps > 5e-5)?;
            let passes = solution.counts.get("evaluations").copied().unwrap_or_default();
            let sinkhorn = solution.counts.get("sinkhorn").copied().unwrap_or_default();
            let kept =
                solution.history.records.last().and_then(|r| r.extra.get(3)).copied().unwrap_or_default();
            points.push((1.0 / eps, passes as f64));
            section.rows.push(vec![
                format!("{name}, {eps:e}"),
                if passes < 5 { format!("{passes} + {sinkhorn} Sinkhorn") } else { passes.to_string() },
                format!("{:.1}", kept / problem.target.len() as f64),
                format!("{:.1e}", solution.marginal_error),
                format!("{:.1e}", solution.certificate.value),
                format!("{:.8} .. {:.8}", solution.exact_cost.0, solution.exact_cost.1),
                format!("{:.1}", 1e3 * solution.seconds),
            ]);
            if chapter.status == Status::Interrupted {
                return Ok(());
            }
        }
        context.say(&format!(
            "  {name:16} passes {}",
            points.iter().map(|p| p.1.to_string()).collect::<Vec<_>>().join(" ")
        ))?;
        series.push(Series { name: name.into(), points });
    }
    let plot = Plot {
        x_label: "1 / eps".into(),
        y_label: "passes over the kernel".into(),
        x_scale: Scale::Log,
        series,
        width: 480,
        height: 320,
        ..Plot::default()
    };
    context.write("transport-passes.svg", plot.svg()?.as_bytes())?;
    section.figures.push((plot.svg()?, "Passes over the kernel until an error of 1e-10".into()));
    section
        .commands
        .push(format!("gradus transport --instance {} --regularization 1e-4 --tolerance 1e-10", names[1]));
    chapter.sections.push(section);
    Ok(())
}

/// A plan between two clouds of points, drawn.
fn two_clouds(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    context.say("Transport: a plan between two clouds")?;
    let n = 60;
    let mut random = SplitMix(4);
    let ring = random.uniforms(2 * n);
    let source: Vec<f64> = ring
        .chunks(2)
        .flat_map(|u| {
            let (angle, r) = (std::f64::consts::TAU * u[0], 0.30 + 0.08 * u[1]);
            [0.36 + r * angle.cos(), 0.5 + r * angle.sin()]
        })
        .collect();
    let target: Vec<f64> = random
        .normals(2 * n)
        .chunks(2)
        .enumerate()
        .flat_map(|(k, g)| [1.05 + 0.07 * g[0], if k % 2 == 0 { 0.25 } else { 0.75 } + 0.07 * g[1]])
        .collect();
    let mut section = Section {
        title: "Optimal transport: a plan".into(),
        text: "A ring of points is moved onto two clusters; squared distances. Lines show the entries of the plan, their width \
               the mass. With more entropy the plan spreads."
            .into(),
        columns: table(&["eps", "transport cost", "exact cost between", "entries above 1 % of a point's mass"]),
        ..Section::default()
    };
    for eps in [1e-3, 5e-2] {
        let cost = Cost::Points {
            dimension: 2,
            source: source.clone(),
            target: target.clone(),
            metric: Metric::SquaredEuclidean,
        };
        let uniform = vec![1.0 / n as f64; n];
        let problem =
            TransportProblem { cost, source: uniform.clone(), target: uniform, regularization: eps };
        let solver = Transport { limits: limits(1e-9, 1000), ..Transport::default() };
        let solution = solve(context, chapter, &format!("clouds-{eps:e}"), &problem, &solver, true)?;
        let plan = solution.plan(&problem)?.to_sparse(0.01);
        section.rows.push(vec![
            format!("{eps:e}"),
            format!("{:.6}", solution.transport_cost),
            format!("{:.6} .. {:.6}", solution.exact_cost.0, solution.exact_cost.1),
            plan.nnz().to_string(),
        ]);
        let lines: Vec<_> = plan.iter().map(|(&p, (i, j))| (i as usize, j as usize, p * n as f64)).collect();
        let svg = plan_picture(&source, &target, &lines);
        context.write(&format!("transport-plan-{eps:e}.svg"), svg.as_bytes())?;
        section.figures.push((svg, format!("eps = {eps:e}")));
    }
    chapter.sections.push(section);
    Ok(())
}

/// Points as discs, entries of a plan as lines whose opacity is their share of a point's mass.
fn plan_picture(source: &[f64], target: &[f64], lines: &[(usize, usize, f64)]) -> String {
    let place = |points: &[f64], k: usize| (20.0 + 330.0 * points[2 * k], 20.0 + 280.0 * points[2 * k + 1]);
    let mut svg = String::from(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 450 320\" role=\"img\">\n<rect width=\"450\" height=\"320\" fill=\"#fff\"/>\n<g stroke=\"#444\">\n",
    );
    for &(i, j, share) in lines {
        let ((x, y), (u, v)) = (place(source, i), place(target, j));
        svg += &format!(
            "<line x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{u:.1}\" y2=\"{v:.1}\" stroke-opacity=\"{:.2}\"/>\n",
            share.sqrt().clamp(0.05, 0.9)
        );
    }
    svg += "</g>\n";
    for (points, colour) in [(source, "#0072b2"), (target, "#d55e00")] {
        svg += &format!("<g fill=\"{colour}\">\n");
        for k in 0..points.len() / 2 {
            let (x, y) = place(points, k);
            svg += &format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3.5\"/>\n");
        }
        svg += "</g>\n";
    }
    svg + "</svg>\n"
}

/// Moves the colours of one made-up picture onto those of another.
fn colours(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    context.say("Transport: colours of one picture in another")?;
    let size = if context.full { 96 } else { 48 };
    let (day, dusk) = (hills(size, false), hills(size, true));
    let cost = Cost::Points {
        dimension: 3,
        source: day.values.clone(),
        target: dusk.values.clone(),
        metric: Metric::SquaredEuclidean,
    };
    let regularization = 2e-3 * cost.largest();
    let uniform = vec![1.0 / (size * size) as f64; size * size];
    let problem = TransportProblem { cost, source: uniform.clone(), target: uniform, regularization };
    let solver = Transport { limits: limits(1e-6, 500), ..Transport::default() };
    let solution = solve(context, chapter, "transport-colours", &problem, &solver, true)?;
    let moved = solution.plan(&problem)?.map(&dusk.values, 3);
    let result = Image { values: moved, ..day.clone() };
    let svg = strip(&[&day, &dusk, &result])?;
    context.write("transport-colours.svg", svg.as_bytes())?;
    context.say(&format!(
        "  {0} x {0} pixels: {1} passes, error {2:.1e}, {3:.1} ms",
        size,
        solution.counts.get("evaluations").copied().unwrap_or_default(),
        solution.marginal_error,
        1e3 * solution.seconds
    ))?;
    chapter.sections.push(Section {
        title: "Optimal transport: colour transfer".into(),
        text: "Every pixel is a point in the cube of colours. The left picture's colours are moved onto the middle one's at \
               least cost; each pixel takes the mean of where its mass goes."
            .into(),
        figures: vec![(svg, "Left: the picture. Middle: the colours wanted. Right: the result.".into())],
        ..Section::default()
    });
    Ok(())
}

/// Hills under a sky with a sun, by day or at dusk, with some grain.
fn hills(size: usize, dusk: bool) -> Image {
    let mut random = SplitMix(if dusk { 22 } else { 21 });
    let mut values = Vec::with_capacity(3 * size * size);
    for r in 0..size {
        for c in 0..size {
            let (x, y) = (c as f64 / size as f64, r as f64 / size as f64);
            let (ridge, near) = (0.55 + 0.08 * (7.0 * x).sin(), 0.75 + 0.06 * (5.0 * x + 2.0).cos());
            let sun = (x - if dusk { 0.25 } else { 0.7 }).hypot(y - if dusk { 0.45 } else { 0.2 }) < 0.09;
            let colour = match (dusk, sun && y < ridge, y < ridge, y < near) {
                (false, true, _, _) => [1.0, 0.95, 0.55],
                (false, _, true, _) => [0.35 + 0.4 * y, 0.6 + 0.3 * y, 0.95],
                (false, _, _, true) => [0.35, 0.55, 0.3],
                (false, _, _, false) => [0.45 - 0.2 * y, 0.75 - 0.3 * y, 0.25],
                (true, true, _, _) => [1.0, 0.6, 0.2],
                (true, _, true, _) => [0.45 + 0.8 * y, 0.2 + 0.45 * y, 0.45 - 0.2 * y],
                (true, _, _, true) => [0.3, 0.18, 0.3],
                (true, _, _, false) => [0.16, 0.1, 0.2],
            };
            values.extend(colour.map(|v: f64| (v + 0.05 * (random.uniform() - 0.5)).clamp(0.0, 1.0)));
        }
    }
    Image { rows: size, columns: size, channels: 3, values }
}

/// Pictures side by side as one SVG document.
fn strip(images: &[&Image]) -> Result<String, Failure> {
    let width = 150 * images.len() + 10;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} 160\" role=\"img\">\n<rect width=\"{width}\" height=\"160\" fill=\"#fff\"/>\n"
    );
    for (k, image) in images.iter().enumerate() {
        let mut file = Vec::new();
        image.write_png(&mut file)?;
        svg += &format!(
            "<image x=\"{}\" y=\"10\" width=\"140\" height=\"140\" href=\"data:image/png;base64,{}\"/>\n",
            10 + 150 * k,
            base64(&file)
        );
    }
    Ok(svg + "</svg>\n")
}

/// Three bytes as four letters (RFC 4648).
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().enumerate().fold(0u32, |bits, (k, &b)| bits | u32::from(b) << (16 - 8 * k));
        for k in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * k)) as usize & 63];
            text.push(if k <= group.len() { letter as char } else { '=' });
        }
    }
    text
}
