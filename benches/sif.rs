//! Reading and evaluating ten scalable CUTEst problems as n grows from 10^3 to 10^5.
//!
//! `cargo bench --bench sif -- FOLDER [PICTURE.svg]`, with RAYON_NUM_THREADS=1 for one thread; FOLDER holds the SIF files
//! of the collection. One line a problem and size: seconds from the bytes of the file to a problem that can be evaluated,
//! and of one evaluation of f, c, g, J and H at the starting point, its pattern made before. The picture shows the first.

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use gradus::problem::NonlinearProgram;
use gradus::read::sif::{Limits, Options, SifProblem};
use gradus::report::{Plot, Scale, Series};

/// A problem, the parameter that sets its size, and the value that gives about n variables.
type Case = (&'static str, &'static str, fn(usize) -> usize);

const CASES: [Case; 10] = [
    ("LUKVLE1", "N", |n| n),
    ("LUKVLE3", "N", |n| n),
    ("LUKVLI1", "N", |n| n),
    ("LIARWHD", "N", |n| n),
    ("DIXMAANC", "M", |n| n / 3),
    ("NONDIA", "N", |n| n),
    ("TRIDIA", "N", |n| n),
    ("BROYDN3D", "N", |n| n),
    ("CRAGGLVY", "M", |n| n / 2 - 1),
    ("MOREBV", "N", |n| n),
];

/// Least seconds of five runs.
fn least(mut run: impl FnMut()) -> f64 {
    let once = |_| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    (0..5).map(once).fold(f64::INFINITY, f64::min)
}

/// Variables, seconds to read, seconds to evaluate.
fn measure(text: &[u8], parameter: &str, value: usize) -> Result<(usize, f64, f64), Box<dyn Error>> {
    let options = Options {
        parameters: vec![(parameter.into(), value as f64)],
        limits: Limits { executed_cards: u64::MAX, memory: 4 << 30 },
        ..Options::default()
    };
    let problem = SifProblem::from_bytes(text, &options)?;
    let read = least(|| drop(SifProblem::from_bytes(text, &options)));
    let (n, m) = (problem.variable_count(), problem.constraint_count());
    let mut workspace = problem.workspace();
    let (mut c, mut g) = (vec![0.0; m], vec![0.0; n]);
    let mut jacobian = vec![0.0; problem.jacobian_pattern().nnz()];
    let mut hessian = vec![0.0; problem.hessian_pattern().map_or(0, |pattern| pattern.nnz())];
    let (x, multipliers) = (problem.start(), vec![1.0; m]);
    let evaluate = least(|| {
        std::hint::black_box(problem.objective_and_constraints(x, &mut c, &mut workspace));
        problem.gradient_and_jacobian(x, &mut g, &mut jacobian, &mut workspace);
        problem.hessian(x, 1.0, &multipliers, &mut hessian, &mut workspace);
    });
    Ok((n, read, evaluate))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let Some(folder) = arguments.next() else {
        println!("usage: cargo bench --bench sif -- FOLDER [PICTURE.svg]");
        return Ok(());
    };
    let picture = arguments.next();
    let mut plot = Plot {
        x_label: "variables".into(),
        y_label: "seconds to read".into(),
        x_scale: Scale::Log,
        y_scale: Scale::Log,
        width: 480,
        height: 320,
        ..Plot::default()
    };
    println!("| problem | n | read (ms) | evaluate (ms) |\n|---|---|---|---|");
    for (name, parameter, value) in CASES {
        let text = std::fs::read(Path::new(&folder).join(format!("{name}.SIF")))?;
        let mut series = Series { name: name.into(), points: Vec::new() };
        for n in [1_000, 3_000, 10_000, 30_000, 100_000] {
            let (n, read, evaluate) = measure(&text, parameter, value(n))?;
            println!("| {name} | {n} | {:.2} | {:.2} |", 1e3 * read, 1e3 * evaluate);
            series.points.push((n as f64, read));
        }
        plot.series.push(series);
    }
    if let Some(path) = picture {
        plot.write(Path::new(&path))?;
    }
    Ok(())
}
