//! Solves one of two structured programs and prints what it took, for the side-by-side script: `control:N`, or a LIBSVM file
//! for logistic regression under equations on a sphere.

use gradus::constrained::{SketchNewton, Solution};
use gradus::problem::{ConstrainedLogistic, PoissonControl};
use gradus::read::libsvm;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // one thread, as the other programs have
    rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global()?;
    let name = std::env::args().nth(1).ok_or("control:N or the path of a LIBSVM file is expected")?;
    let solver = SketchNewton::default();
    let solution: Solution = match name.strip_prefix("control:") {
        Some(grid) => solver.solve(&PoissonControl::new(grid.parse()?))?,
        None => {
            let data = libsvm::read(&name, &Default::default())?;
            solver.solve(&ConstrainedLogistic::published(data.matrix, &data.labels)?)?
        }
    };
    let time = solution.time;
    println!(
        r#"{{"status": "{}", "objective": {:?}, "kkt_error": {:?}, "iterations": {}, "seconds": {:?}, "evaluation": {:?}, "linear_algebra": {:?}}}"#,
        solution.status.name(),
        solution.objective,
        solution.kkt.error,
        solution.iterations,
        solution.seconds,
        time.evaluation,
        time.linear_algebra
    );
    Ok(())
}
