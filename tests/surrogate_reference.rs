//! Reference figures on public data: losses with a published batch order, optima of an independent run.
//!
//! The data are looked for in `../shared/data` beside the checkout, or in the folder that GRADUS_SHARED_DATA names; the tests
//! are skipped where they are absent.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use gradus::control::Limits;
use gradus::linalg::DesignMatrix;
use gradus::problem::{Classes, LinearModel};
use gradus::surrogate::*;
use sprs::TriMatI;

/// Rows i with i mod 5 != 4, a column of ones, labels -1 and +1, no penalty.
fn logistic(name: &str) -> Option<LinearModel> {
    let shared = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data");
    let folder = std::env::var("GRADUS_SHARED_DATA").unwrap_or_else(|_| shared.into());
    let path = PathBuf::from(folder).join("libsvm").join(name);
    if !path.exists() {
        println!("skipped: {} is absent", path.display());
        return None;
    }
    let data = gradus::read::libsvm::read(&path, &Default::default()).unwrap();
    let (_, labels) = Classes::from_labels(&data.labels).unwrap();
    let kept: Vec<usize> = (0..labels.len()).filter(|i| i % 5 != 4).collect();
    let ones = data.matrix.cols();
    let mut triplets = TriMatI::<f64, u32>::new((kept.len(), ones + 1));
    for (row, &i) in kept.iter().enumerate() {
        data.matrix.outer_view(i).unwrap().iter().for_each(|(j, &value)| triplets.add_triplet(row, j, value));
        triplets.add_triplet(row, ones, 1.0);
    }
    let design = DesignMatrix::from_sparse(triplets.to_csr()).unwrap();
    Some(LinearModel::logistic(design, kept.iter().map(|&i| labels[i]).collect(), 0.0, 0.0))
}

fn solver(method: Method, batch: Option<usize>, epochs: usize) -> Surrogate {
    let limits = Limits { tolerance: 0.0, ..Limits::default() };
    Surrogate { limits, method, batch, epochs, order: Order::SplitMix, seed: 1, ..Surrogate::default() }
}

#[test]
fn losses_with_the_published_batch_order_are_reproduced() {
    let surrogate = |steps| {
        let inner = Inner::Gradient { steps, search: InnerSearch::default() };
        Method::Surrogate(BatchSurrogate { inner, ..BatchSurrogate::default() })
    };
    let population =
        Population { relative_step: Some(0.3), schedule: Schedule::Exponential, ..Population::default() };
    let methods = [
        Method::Baseline(Baseline::Sgd { rate: 1.0, schedule: Schedule::Constant }),
        Method::Baseline(Baseline::LineSearch { sufficient_decrease: 0.1 }),
        surrogate(1),
        surrogate(10),
        Method::Baseline(Baseline::Adam { rate: 0.1 }),
        Method::Baseline(Baseline::Adagrad { rate: 0.1 }),
        Method::Baseline(Baseline::Svrg { rate: 0.1 }),
        Method::Population(population),
    ];
    // mean losses after ten epochs of batches of 125, from an implementation in numpy
    let mushrooms = [
        0.019742866132969206,
        0.0010539551907575604,
        0.010861800657995944,
        0.004291537126440121,
        0.0009415372232383304,
        0.01969309499757923,
        0.08658605758487409,
        0.010971325748958453,
    ];
    let census = [
        0.3247219700756243,
        0.3325422428199548,
        0.33036382481484017,
        0.33236620136057654,
        0.33290134272237554,
        0.32344613312981635,
        0.3277952409208015,
        0.3227761554292713,
    ];
    for (name, losses) in [("mushrooms", mushrooms), ("a9a.xz", census)] {
        let Some(model) = logistic(name) else { return };
        for (method, loss) in methods.iter().zip(losses) {
            let fit = solver(*method, Some(125), 10).solve(&model).unwrap();
            assert!(
                (fit.objective - loss).abs() <= 1e-6 * loss,
                "{name} {method:?}: {} {loss}",
                fit.objective
            );
        }
    }
}

#[test]
fn the_full_batch_methods_reach_the_known_optimum_in_few_calls() {
    const OPTIMUM: f64 = 0.3227490490;
    let Some(model) = logistic("a9a.xz") else { return };
    let run = |memory, refresh, calls| {
        solver(Method::FullBatch(FullBatch { memory, refresh }), None, calls).solve(&model).unwrap()
    };
    let gap = |fit: &Fit, call: usize| {
        (fit.history.records[call].objective - OPTIMUM) / (std::f64::consts::LN_2 - OPTIMUM)
    };
    let accelerated = run(10, false, 60);
    assert!(accelerated.objective - OPTIMUM <= 3e-7);
    assert!(gap(&accelerated, 8) <= 1e-3 && gap(&accelerated, 42) <= 1e-6);
    let refreshed = run(10, true, 40);
    assert!(refreshed.certificate.value <= 1e-10, "{}", refreshed.certificate.value);
    assert!(gap(&refreshed, 6) <= 1e-3 && gap(&refreshed, 12) <= 1e-6);
}

/// Adding surrogates up reaches a tenth of a percent in two epochs where no method in parameter space does in ten.
#[test]
fn batches_need_few_calls_without_a_step_to_tune() {
    let Some(model) = logistic("a9a.xz") else { return };
    let goal = 0.3227490490 + 1e-3 * (std::f64::consts::LN_2 - 0.3227490490);
    let fit = solver(Method::Automatic, Some(125), 10).solve(&model).unwrap();
    assert!(fit.history.records[2].objective <= goal);
    assert_eq!(fit.history.records[2].extra[0], 416.0);
    assert!(fit.notes.iter().any(|note| note.contains("added up")));
}
