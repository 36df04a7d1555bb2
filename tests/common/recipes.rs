//! The published experiments' recipes, and runs of so many steps.

#![allow(dead_code)]

use gradus::control::Limits;
use gradus::coordinate::Measure;
use gradus::coordinate::block::{BlockCoordinateDescent, Partition, Rule, UpdateRule};
use gradus::coordinate::graph::LabelPropagation;
use gradus::linalg::DesignMatrix;
use gradus::problem::penalty::ElasticNet;
use gradus::problem::{BoxQuadratic, LinearModel, MultinomialModel};
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

/// Sparse data as above, without targets.
fn data(n: usize, p: usize, random: &mut ChaCha8Rng) -> TriMatI<f64, u32> {
    let keep = (10.0 * (n as f64).ln() / n as f64).min(1.0);
    let mut triplets = TriMatI::<f64, u32>::new((n, p));
    for j in 0..p {
        let scale = 10.0 * normal(random);
        for i in 0..n {
            if random.random_bool(keep) {
                triplets.add_triplet(i, j, (normal(random) + 1.0) * scale);
            }
        }
    }
    triplets
}

/// Logistic regression: y = sign(A w), a tenth of the labels flipped.
pub fn logistic(n: usize, p: usize, seed: u64) -> LinearModel {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let triplets = data(n, p, &mut random);
    let w: Vec<f64> =
        (0..p).map(|_| if random.random_bool(0.1) { normal(&mut random) } else { 0.0 }).collect();
    let mut z = vec![0.0; n];
    triplets.triplet_iter().for_each(|(value, (i, j))| z[i as usize] += value * w[j as usize]);
    let y = z.iter().map(|z| if (*z < 0.0) != random.random_bool(0.1) { -1.0 } else { 1.0 }).collect();
    LinearModel::logistic(DesignMatrix::from_sparse(triplets.to_csr()).unwrap(), y, 0.0, 0.0)
}

/// Softmax with k classes, the class the largest entry of A W + noise.
pub fn softmax(n: usize, p: usize, k: usize, seed: u64) -> MultinomialModel {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let triplets = data(n, p, &mut random);
    let w: Vec<f64> = (0..p * k).map(|_| normal(&mut random)).collect();
    let mut z: Vec<f64> = (0..n * k).map(|_| normal(&mut random)).collect();
    for (value, (i, j)) in triplets.triplet_iter() {
        (0..k).for_each(|c| z[i as usize * k + c] += value * w[j as usize * k + c]);
    }
    let largest = |z: &[f64]| (0..k).fold(0, |best, c| if z[c] > z[best] { c } else { best });
    let target = z.chunks_exact(k).map(largest).collect();
    let design = DesignMatrix::from_sparse(triplets.to_csr()).unwrap();
    MultinomialModel::new(design, target, k, ElasticNet::default())
}

/// Two half moons of n points, five nearest neighbours, so many labels 1 or 2; the free points' quadratic.
pub fn moons(n: usize, labelled: usize, seed: u64) -> BoxQuadratic {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    loop {
        let point = |i: usize| {
            let t = std::f64::consts::PI * random.random::<f64>();
            let (x, y) =
                if i.is_multiple_of(2) { (t.cos(), t.sin()) } else { (1.0 + t.cos(), 0.5 - t.sin()) };
            (x + 0.2 * normal(&mut random), y + 0.2 * normal(&mut random))
        };
        let points: Vec<(f64, f64)> = (0..n).map(point).collect();
        let mut edges = std::collections::BTreeSet::new();
        for (i, a) in points.iter().enumerate() {
            let distance = |j: &usize| (a.0 - points[*j].0).powi(2) + (a.1 - points[*j].1).powi(2);
            let mut order: Vec<usize> = (0..n).filter(|&j| j != i).collect();
            order.select_nth_unstable_by(4, |j, k| distance(j).total_cmp(&distance(k)));
            order[..5].iter().for_each(|&j| {
                edges.insert((i.min(j), i.max(j)));
            });
        }
        let mut triplets = TriMatI::<f64, u32>::new((n, n));
        for &(i, j) in &edges {
            triplets.add_triplet(i, j, 1.0);
            triplets.add_triplet(j, i, 1.0);
        }
        let labels: Vec<(usize, f64)> = rand::seq::index::sample(&mut random, n, labelled)
            .into_iter()
            .map(|i| (i, (1 + i % 2) as f64))
            .collect();
        if let Ok(problem) = LabelPropagation::new(&triplets.to_csr(), &labels) {
            return problem.quadratic().clone();
        }
    }
}
