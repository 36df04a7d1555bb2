//! The instances of the paper's experiments, by its recipes.

use gradus::coordinate::graph::LabelPropagation;
use gradus::linalg::DesignMatrix;
use gradus::problem::loss::{Logistic, Squared};
use gradus::problem::penalty::{Bounded, ElasticNet};
use gradus::problem::{LinearModel, MultinomialModel};
use rand::seq::index;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use sprs::TriMatI;

use crate::output::Failure;

fn normal(random: &mut ChaCha8Rng) -> f64 {
    StandardNormal.sample(random)
}

/// Sparse data with a bias of one in every entry and columns of very different scales.
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

/// A w for coefficients w, a tenth of them set.
fn response(triplets: &TriMatI<f64, u32>, p: usize, random: &mut ChaCha8Rng) -> Vec<f64> {
    let w: Vec<f64> = (0..p).map(|_| if random.random_bool(0.1) { normal(random) } else { 0.0 }).collect();
    let mut z = vec![0.0; triplets.rows()];
    triplets.triplet_iter().for_each(|(value, (i, j))| z[i as usize] += value * w[j as usize]);
    z
}

/// A: least squares, y = A w + noise.
pub fn least_squares(n: usize, p: usize, seed: u64) -> Result<LinearModel, Failure> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let triplets = data(n, p, &mut random);
    let mut y = response(&triplets, p, &mut random);
    y.iter_mut().for_each(|y| *y += normal(&mut random));
    let design = DesignMatrix::from_sparse(triplets.to_csr())?;
    Ok(LinearModel::new(design, y, Squared, ElasticNet::default()))
}

/// A with x >= 0 and an l1 penalty of 0.23 of its maximum.
pub fn nonnegative_least_squares(n: usize, p: usize, seed: u64) -> Result<LinearModel, Failure> {
    let mut model = least_squares(n, p, seed)?;
    let l1 = 0.23 * model.l1_max()?;
    let inner = ElasticNet { l1, ..ElasticNet::default() };
    model.penalty = std::sync::Arc::new(Bounded::non_negative(inner, p));
    Ok(model)
}

/// B: logistic regression, y = sign(A w), a tenth of the labels flipped.
pub fn logistic(n: usize, p: usize, seed: u64) -> Result<LinearModel, Failure> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let triplets = data(n, p, &mut random);
    let z = response(&triplets, p, &mut random);
    let mut label = |z: &f64| {
        let sign = if *z < 0.0 { -1.0 } else { 1.0 };
        if random.random_bool(0.1) { -sign } else { sign }
    };
    let y = z.iter().map(&mut label).collect();
    let design = DesignMatrix::from_sparse(triplets.to_csr())?;
    Ok(LinearModel::new(design, y, Logistic, ElasticNet::default()))
}

/// C: softmax with k classes, the class the largest entry of A W + noise.
pub fn softmax(n: usize, p: usize, k: usize, seed: u64) -> Result<MultinomialModel, Failure> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let triplets = data(n, p, &mut random);
    let w: Vec<f64> = (0..p * k).map(|_| normal(&mut random)).collect();
    let mut z: Vec<f64> = (0..n * k).map(|_| normal(&mut random)).collect();
    for (value, (i, j)) in triplets.triplet_iter() {
        for c in 0..k {
            z[i as usize * k + c] += value * w[j as usize * k + c];
        }
    }
    let largest = |z: &[f64]| (0..k).fold(0, |best, c| if z[c] > z[best] { c } else { best });
    let target = z.chunks_exact(k).map(largest).collect();
    let design = DesignMatrix::from_sparse(triplets.to_csr())?;
    Ok(MultinomialModel::new(design, target, k, ElasticNet::default()))
}

/// D: an m x m lattice, every edge 1e5, labels 10 N(0, 1) at so many nodes.
pub fn lattice(m: usize, labelled: usize, seed: u64) -> Result<LabelPropagation, Failure> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let labels: Vec<(usize, f64)> = index::sample(&mut random, m * m, labelled)
        .into_iter()
        .map(|node| (node, 10.0 * normal(&mut random)))
        .collect();
    let mut triplets = TriMatI::<f64, u32>::with_capacity((m * m, m * m), 4 * m * m);
    for i in 0..m * m {
        for j in [(i % m + 1 < m).then_some(i + 1), (i + m < m * m).then_some(i + m)].into_iter().flatten() {
            triplets.add_triplet(i, j, 1e5);
            triplets.add_triplet(j, i, 1e5);
        }
    }
    Ok(LabelPropagation::new(&triplets.to_csr(), &labels)?)
}

/// E: two half moons of n points, five nearest neighbours, class numbers 1 or 2 known for so many points. Drawn anew
/// until every part of the graph has a label.
pub fn moons(n: usize, labelled: usize, seed: u64) -> Result<LabelPropagation, Failure> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    loop {
        let point = |i: usize, random: &mut ChaCha8Rng| {
            let t = std::f64::consts::PI * random.random::<f64>();
            let (x, y) =
                if i.is_multiple_of(2) { (t.cos(), t.sin()) } else { (1.0 + t.cos(), 0.5 - t.sin()) };
            (x + 0.2 * normal(random), y + 0.2 * normal(random))
        };
        let points: Vec<(f64, f64)> = (0..n).map(|i| point(i, &mut random)).collect();
        let mut edges = std::collections::BTreeSet::new();
        for (i, a) in points.iter().enumerate() {
            let distance = |b: &(f64, f64)| (a.0 - b.0).powi(2) + (a.1 - b.1).powi(2);
            let mut order: Vec<usize> = (0..n).filter(|&j| j != i).collect();
            order.select_nth_unstable_by(4, |&j, &k| distance(&points[j]).total_cmp(&distance(&points[k])));
            order[..5].iter().for_each(|&j| {
                edges.insert((i.min(j), i.max(j)));
            });
        }
        let mut triplets = TriMatI::<f64, u32>::new((n, n));
        for &(i, j) in &edges {
            triplets.add_triplet(i, j, 1.0);
            triplets.add_triplet(j, i, 1.0);
        }
        let labels: Vec<(usize, f64)> =
            index::sample(&mut random, n, labelled).into_iter().map(|i| (i, (1 + i % 2) as f64)).collect();
        if let Ok(problem) = LabelPropagation::new(&triplets.to_csr(), &labels) {
            return Ok(problem);
        }
    }
}
