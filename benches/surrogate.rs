//! What the steps cost: `cargo bench --bench surrogate`.

use divan::Bencher;
use gradus::control::Limits;
use gradus::linalg::DesignMatrix;
use gradus::problem::LinearModel;
use gradus::surrogate::{
    Aggregate, Baseline, BatchSurrogate, FullBatch, Inner, InnerSearch, Method, Population, Schedule,
    Surrogate, Variance,
};
use sprs::TriMatI;

fn main() {
    divan::main();
}

/// 20000 rows with 14 of 120 columns each, as one-hot data have.
fn model() -> Option<LinearModel> {
    let (n, p, entries) = (20_000usize, 120usize, 14usize);
    let mut triplets = TriMatI::<f64, u32>::new((n, p));
    for i in 0..n {
        (0..entries).for_each(|k| triplets.add_triplet(i, (i * 31 + k * k * 7 + k * (i % 97)) % p, 1.0));
    }
    let target = (0..n).map(|i| if (i * 7919) % 100 < 30 { 1.0 } else { -1.0 }).collect();
    Some(LinearModel::logistic(DesignMatrix::from_sparse(triplets.to_csr()).ok()?, target, 0.0, 0.0))
}

/// One epoch of 160 batches of 125, or ten calls on all rows.
fn run(bencher: Bencher, method: Method, batch: Option<usize>) {
    let Some(model) = model() else { return };
    let limits = Limits { tolerance: 0.0, ..Limits::default() };
    let epochs = if batch.is_some() { 1 } else { 10 };
    let solver = Surrogate { limits, method, batch, epochs, ..Surrogate::default() };
    bencher.bench_local(|| solver.solve(&model).map(|fit| fit.summary.objective).ok());
}

fn surrogate(inner: Inner) -> Method {
    Method::Surrogate(BatchSurrogate { inner, ..BatchSurrogate::default() })
}

#[divan::bench(sample_count = 10)]
fn gradient_descent(bencher: Bencher) {
    run(bencher, Method::Baseline(Baseline::Sgd { rate: 0.1, schedule: Schedule::Constant }), Some(125));
}

#[divan::bench(sample_count = 10, args = [1, 10, 100])]
fn inner_gradient_steps(bencher: Bencher, steps: usize) {
    run(bencher, surrogate(Inner::Gradient { steps, search: InnerSearch::default() }), Some(125));
}

#[divan::bench(sample_count = 10)]
fn inner_conjugate_gradients(bencher: Bencher) {
    run(bencher, surrogate(Inner::ConjugateGradient { steps: 10 }), Some(125));
}

#[divan::bench(sample_count = 10)]
fn inner_exact(bencher: Bencher) {
    run(bencher, surrogate(Inner::Exact { damping: 1e-6 }), Some(125));
}

#[divan::bench(sample_count = 10)]
fn population_metric(bencher: Bencher) {
    let variance = Variance::Table;
    run(bencher, Method::Population(Population { variance, ..Population::default() }), Some(125));
}

#[divan::bench(sample_count = 10)]
fn aggregated(bencher: Bencher) {
    run(bencher, Method::Aggregate(Aggregate::default()), Some(125));
}

#[divan::bench(sample_count = 10)]
fn all_rows_ten_calls(bencher: Bencher) {
    run(bencher, Method::FullBatch(FullBatch::default()), None);
}
