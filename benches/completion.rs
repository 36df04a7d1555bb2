//! Sweeps of matrix completion: `cargo bench --bench completion`. One thread; each figure is the fastest of several runs.
#![allow(clippy::unwrap_used)]

#[path = "../tests/common/low_rank.rs"]
mod low_rank;

use gradus::completion::{Completion, HalfStep, StartRule};
use gradus::control::Limits;
use low_rank::instance;

fn main() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        println!("milliseconds a sweep, 1500 x 1500, 30 % seen: exact | one preconditioner (steps) | sketched (steps)");
        for k in [5, 10, 20, 40, 80] {
            let problem = instance(1500, 1500, k, 0.3, 1.0, 0.0, 1).problem();
            let time = |half_step| {
                let solver = Completion {
                    rank: k,
                    half_step,
                    inner_tolerance: Some(0.1),
                    start: StartRule::Spectral,
                    validation: Some(0.0),
                    limits: Limits { tolerance: 0.0, max_iterations: 6, time_limit: None },
                    ..Completion::default()
                };
                let answer = solver.solve(&problem).unwrap();
                let records = &answer.history.records;
                let seconds = records.windows(2).map(|pair| pair[1].seconds - pair[0].seconds);
                let steps = answer.counts["inner_steps"] as f64 / answer.counts["rows_solved"] as f64;
                (1e3 * seconds.fold(f64::INFINITY, f64::min), steps)
            };
            let exact = time(HalfStep::Exact).0;
            let (shared, steps) = time(HalfStep::Preconditioned);
            let (sketched, sketch_steps) = time(HalfStep::Sketched { ratio: 4 });
            println!("k = {k:2}: {exact:7.1} | {shared:7.1} ({steps:.1}) | {sketched:7.1} ({sketch_steps:.1})");
        }
    });
}
