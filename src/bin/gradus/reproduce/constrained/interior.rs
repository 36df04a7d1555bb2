//! The interior point on the bundled problems, beside Ipopt's recorded figures.

use gradus::constrained::InteriorPoint;
use gradus::control::Status;
use gradus::read::sif::SifProblem;
use gradus::report::html::Section;
use gradus::report::profile::performance_profile;
use serde_json::json;

use super::super::{Chapter, Context};
use crate::output::{Failure, convergence_plot};

macro_rules! bundled {
    ($($name:literal $iterations:literal),*) => {
        [$(($name, include_bytes!(concat!("../../../../../data/sif/", $name, ".SIF")) as &[u8], $iterations as usize)),*]
    };
}

/// Problems with bounds, inequalities and equations, and the iterations that Ipopt 3.14.19 takes with its default options on the
/// problem of Hock and Schittkowski that each restates; 0 where nothing was recorded.
const PROBLEMS: [(&str, &[u8], usize); 24] = bundled!(
    "HSX6" 5, "HSX7" 27, "HSX14" 0, "HSX21" 8, "HSX26" 25, "HSX28" 1, "HSX35" 7, "HSX39" 0, "HSX40" 3, "HSX42" 4, "HSX43" 9,
    "HSX48" 1, "HSX50" 9, "HSX71" 8, "HSX76" 7, "HSX78" 4, "CARSTOP" 0, "CIRCLES" 0, "ENTROPY" 0, "PENDULUM" 0, "SHIPPING" 0,
    "STRING" 0, "WINDOWS" 0, "INTERVAL" 0
);

/// Whose convergence is drawn.
const DRAWN: [&str; 4] = ["HSX7", "HSX71", "PENDULUM", "SHIPPING"];

/// Solves the problems and appends their section to the chapter.
pub fn collection(context: &Context, chapter: &mut Chapter) -> Result<(), Failure> {
    let mut section = Section {
        title: "Interior point: general nonlinear programs".into(),
        text: "Bounds, inequalities and equations, from the files' starts to an error of 1e-8, recomputed from the answer. Ipopt's \
               iterations, where they were recorded, are those of version 3.14.19 with its default options. The profile shows the \
               share of those problems solved within a factor tau of the fewer iterations."
            .into(),
        columns: ["problem", "n", "m", "objective", "error", "iterations", "Ipopt", "ms"].map(String::from).into(),
        commands: vec!["gradus nlp data/sif/HSX71.SIF --method interior-point --log".into()],
        ..Section::default()
    };
    let (mut drawn, mut costs) = (Vec::new(), [Vec::new(), Vec::new()]);
    for (name, text, recorded) in PROBLEMS {
        let problem = SifProblem::from_bytes(text, &Default::default())?;
        let solution =
            InteriorPoint::default().solve_with(&problem, Default::default(), &mut context.monitor())?;
        if chapter.note(solution.status) {
            return Ok(());
        }
        context.say(&format!(
            "  {name:8} {} after {} iterations",
            solution.status.name(),
            solution.iterations
        ))?;
        section.rows.push(vec![
            name.into(),
            solution.x.len().to_string(),
            solution.constraints.len().to_string(),
            format!("{:.9e}", solution.objective),
            format!("{:.1e}", solution.kkt.error),
            solution.iterations.to_string(),
            if recorded > 0 { recorded.to_string() } else { String::new() },
            format!("{:.2}", 1e3 * solution.seconds),
        ]);
        chapter.runs.push(json!({
            "experiment": "interior-point", "problem": name, "status": solution.status.name(),
            "objective": solution.objective, "kkt_error": solution.kkt.error, "iterations": solution.iterations,
        }));
        if recorded > 0 {
            let solved = solution.status == Status::Solved;
            costs[0].push(if solved { solution.iterations.max(1) as f64 } else { f64::INFINITY });
            costs[1].push(recorded as f64);
        }
        if DRAWN.contains(&name) {
            drawn.push((name.to_string(), solution.summary.history));
        }
    }
    let profile = performance_profile(&["gradus", "Ipopt, recorded"], &costs, "iterations");
    let convergence = convergence_plot("", drawn);
    for (name, plot, caption) in [
        ("interior-profile.svg", profile, "Iterations beside Ipopt's"),
        ("interior-convergence.svg", convergence, "The error E along four runs"),
    ] {
        plot.write(&context.out.join(name))?;
        section.figures.push((plot.svg()?, caption.into()));
    }
    chapter.sections.push(section);
    Ok(())
}
