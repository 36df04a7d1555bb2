//! Solves every problem of a folder of SIF files and prints one row of JSON each; `--limit SECONDS`, `--only NAME,..`,
//! `--tolerance E`, `--hessian exact|differences|limited-memory`, `--general` (no predictor and corrector).
//!
//!     cargo run --release --example nlp_collection -- FOLDER > rows.jsonl

use std::path::PathBuf;
use std::time::Duration;

use gradus::constrained::{InteriorPoint, SecondDerivatives, certify};
use gradus::control::Limits;
use gradus::problem::NonlinearProgram;
use gradus::read::sif::SifProblem;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| arguments.iter().position(|a| a == name).and_then(|k| arguments.get(k + 1));
    let folder = PathBuf::from(arguments.first().ok_or("which folder?")?);
    let limit: f64 = value("--limit").map_or(Ok(20.0), |text| text.parse())?;
    let only: Option<Vec<&str>> = value("--only").map(|text| text.split(',').collect());
    let known = |name: &&String| SecondDerivatives::NAMES.iter().find(|(own, _)| *own == name.as_str());
    let second_derivatives = match value("--hessian") {
        None => SecondDerivatives::default(),
        Some(name) => known(&name).ok_or("--hessian: exact, differences or limited-memory")?.1,
    };
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "SIF"));
    files.sort();
    for path in files {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if only.as_ref().is_some_and(|only| !only.contains(&name.as_str())) {
            continue;
        }
        let problem = match SifProblem::read(&path, &Default::default()) {
            Ok(problem) => problem,
            Err(error) => {
                println!(
                    "{}",
                    serde_json::json!({ "name": name, "outcome": "unreadable", "error": error.to_string() })
                );
                continue;
            }
        };
        let own = InteriorPoint::default().limits;
        let tolerance = value("--tolerance").map_or(Ok(own.tolerance), |text| text.parse())?;
        let limits = Limits { tolerance, time_limit: Some(Duration::from_secs_f64(limit)), ..own };
        let solution = match (InteriorPoint {
            limits,
            second_derivatives,
            predictor_corrector: !arguments.iter().any(|argument| argument == "--general"),
            bound_relaxation: value("--relax").map_or(0.0, |t| t.parse().unwrap_or(0.0)),
            ..Default::default()
        })
        .solve(&problem)
        {
            Ok(solution) => solution,
            Err(error) => {
                println!(
                    "{}",
                    serde_json::json!({ "name": name, "outcome": "refused", "error": error.to_string() })
                );
                continue;
            }
        };
        if arguments.iter().any(|argument| argument == "--log") {
            eprintln!("{}\n{solution}", gradus::constrained::log::table(&solution.history));
        }
        let certificate = certify(&problem, &solution.answer())?;
        println!(
            "{}",
            serde_json::json!({
                "name": name, "n": problem.variable_count(), "m": problem.constraint_count(),
                "outcome": format!("{:?}", solution.outcome), "objective": solution.objective,
                "iterations": solution.iterations, "seconds": solution.seconds,
                "outside": solution.seconds - solution.time.evaluation,
                "violation": solution.kkt.unscaled.constraint_violation, "error": solution.kkt.error,
                "dual": solution.kkt.unscaled.dual_infeasibility,
                "certified": certificate.kkt.is_solved(1e-8), "counts": solution.counts, "notes": solution.notes,
            })
        );
    }
    Ok(())
}
