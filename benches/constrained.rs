//! Whole solves of nonlinear programs, single-threaded.

use divan::Bencher;
use gradus::constrained::{InnerSolver, SketchNewton};
use gradus::linalg::sketch_project::Projection;
use gradus::problem::{ConstrainedLogistic, PoissonControl};
use gradus::read::libsvm;
use gradus::read::sif::SifProblem;

fn main() {
    // the benches measure one thread
    let _ = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global();
    divan::main();
}

fn file(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

#[divan::bench(args = ["HSX7", "HSX40", "HSX78", "TRIDIEQ"])]
fn direct(bencher: Bencher, name: &str) {
    let path = file(&format!("sif/{name}.SIF"));
    let Ok(problem) = SifProblem::read(path, &Default::default()) else { return };
    bencher.bench(|| SketchNewton::default().solve(&problem));
}

#[divan::bench(args = [false, true])]
fn kaczmarz(bencher: Bencher, weighted: bool) {
    let Ok(problem) = SifProblem::read(file("sif/HSX7.SIF"), &Default::default()) else { return };
    let inner = InnerSolver::Sketch(Projection::Kaczmarz { weighted });
    let mut solver = SketchNewton { inner, ..Default::default() };
    solver.limits.tolerance = 1e-4;
    bencher.bench(|| solver.solve(&problem));
}

#[divan::bench(args = ["ionosphere_scale", "sonar_scale", "a1a"])]
fn logistic(bencher: Bencher, name: &str) {
    let Ok(data) = libsvm::read(file(name), &Default::default()) else { return };
    let Ok(problem) = ConstrainedLogistic::published(data.matrix, &data.labels) else { return };
    bencher.bench(|| SketchNewton::default().solve(&problem));
}

#[divan::bench(args = [15, 31, 63])]
fn control(bencher: Bencher, grid: usize) {
    let problem = PoissonControl::new(grid);
    bencher.bench(|| SketchNewton::default().solve(&problem));
}
