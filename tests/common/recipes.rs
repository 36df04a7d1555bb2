//! The published experiments' recipes, and runs of so many steps.

#![allow(dead_code)]

use gradus::control::Limits;
use gradus::coordinate::Measure;
use gradus::coordinate::block::{BlockCoordinateDescent, Partition, Rule, UpdateRule};
use gradus::linalg::DesignMatrix;
use gradus::problem::BoxQuadratic;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use sprs::TriMatI;

pub fn normal(random: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(random)
}

/// The published least-squares recipe: n x p, columns of very different scales, a tenth of the true coefficients set.
pub fn least_squares(n: usize, p: usize, seed: u64) -> (DesignMatrix, Vec<f64>) {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let keep = 10.0 * (n as f64).ln() / n as f64;
    let mut y = vec![0.0; n];
    let mut triplets = TriMatI::<f64, u32>::new((n, p));
    for j in 0..p {
        let scale = 10.0 * normal(&mut random);
        let w = if random.random_bool(0.1) { normal(&mut random) } else { 0.0 };
        for (i, y) in y.iter_mut().enumerate() {
            if random.random_bool(keep) {
                let value = (normal(&mut random) + 1.0) * scale;
                triplets.add_triplet(i, j, value);
                *y += w * value;
            }
        }
    }
    y.iter_mut().for_each(|y| *y += normal(&mut random));
    (DesignMatrix::from_sparse(triplets.to_csr()).unwrap(), y)
}

/// So many steps and no certificate before the end.
pub fn steps(
    count: usize,
    partition: Partition,
    rule: Rule,
    update: UpdateRule,
    block_size: usize,
) -> BlockCoordinateDescent {
    let limits = Limits { tolerance: 0.0, max_iterations: count, time_limit: None };
    let measure = Measure::Gradient;
    BlockCoordinateDescent {
        limits,
        measure,
        partition,
        rule,
        update,
        block_size,
        check_every: count.max(1),
        seed: 1,
    }
}

/// Label propagation on an m x m lattice: weights 1e5, 100 labels 10 N(0, 1), the free nodes' quadratic.
pub fn lattice(m: usize, seed: u64) -> BoxQuadratic {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut label = vec![None; m * m];
    rand::seq::index::sample(&mut random, m * m, 100)
        .into_iter()
        .for_each(|i| label[i] = Some(10.0 * normal(&mut random)));
    let free: Vec<usize> = (0..m * m).filter(|&i| label[i].is_none()).collect();
    let mut position = vec![usize::MAX; m * m];
    free.iter().enumerate().for_each(|(k, &i)| position[i] = k);
    let mut triplets = TriMatI::<f64, u32>::new((free.len(), free.len()));
    let mut linear = vec![0.0; free.len()];
    for (k, &i) in free.iter().enumerate() {
        let (row, column) = (i / m, i % m);
        let mut neighbours = Vec::new();
        (row > 0).then(|| neighbours.push(i - m));
        (row + 1 < m).then(|| neighbours.push(i + m));
        (column > 0).then(|| neighbours.push(i - 1));
        (column + 1 < m).then(|| neighbours.push(i + 1));
        triplets.add_triplet(k, k, 1e5 * neighbours.len() as f64);
        for j in neighbours {
            match label[j] {
                Some(y) => linear[k] += 1e5 * y,
                None => triplets.add_triplet(k, position[j], -1e5),
            }
        }
    }
    BoxQuadratic::new(triplets.to_csr(), linear)
}
