//! Algebraic multigrid as a preconditioner: symmetric, independent of the size, safe on matrices that it can't coarsen.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus::control::{Limits, Status};
use gradus::linalg::krylov::{KrylovError, LinearOperator, Multigrid};
use gradus::relaxation::heat::laplacian;
use gradus::relaxation::{Error, Method, Relaxation};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sprs::{CsMatI, TriMatI};

type Matrix = CsMatI<f64, u32>;

fn random(n: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// The diffusion equation on m x m points with a coefficient for each point, harmonic means between them, in `dimensions`.
fn diffusion(m: usize, dimensions: u32, coefficient: impl Fn(usize) -> f64) -> Matrix {
    let n = m.pow(dimensions);
    let mut t = TriMatI::new((n, n));
    let mut diagonal = vec![0.0; n];
    for i in 0..n {
        for direction in 0..dimensions {
            let stride = m.pow(direction);
            if i / stride % m + 1 < m {
                let (p, q) = (coefficient(i), coefficient(i + stride));
                let value = 2.0 * p * q / (p + q);
                t.add_triplet(i, i + stride, -value);
                t.add_triplet(i + stride, i, -value);
                diagonal[i] += value;
                diagonal[i + stride] += value;
            } else {
                diagonal[i] += coefficient(i);
            }
        }
    }
    diagonal.iter().enumerate().for_each(|(i, d)| t.add_triplet(i, i, *d));
    t.to_csr()
}

fn jumps(i: usize) -> f64 {
    if (i / 640).is_multiple_of(2) { 1.0 } else { 1000.0 }
}

fn iterations(a: &Matrix) -> usize {
    let limits = Limits { tolerance: 1e-8, max_iterations: 200, time_limit: None };
    let solver = Relaxation { limits, method: Method::MultigridCg, fallback: false, ..Relaxation::default() };
    let b = random(a.rows(), 1);
    let solution = solver.solve(a.view(), &b).unwrap();
    assert_eq!(solution.status, Status::Solved);
    let mut r = b.clone();
    a.iter().for_each(|(value, (i, j))| r[i as usize] -= value * solution.x[j as usize]);
    let norm = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
    assert!(norm(&r) <= 1.01e-8 * norm(&b));
    solution.iterations
}

#[test]
fn a_cycle_is_a_symmetric_positive_definite_operator() {
    for a in [laplacian(40, 30), diffusion(40, 2, jumps), diffusion(11, 3, |_| 1.0)] {
        let cycle = Multigrid::new(a.view()).unwrap();
        assert!(cycle.sizes().len() >= 2 && cycle.complexity() < 2.0, "{:?}", cycle.sizes());
        let n = a.rows();
        for seed in 0..5 {
            let (u, v) = (random(n, seed), random(n, seed + 10));
            let (mut mu, mut mv) = (vec![f64::NAN; n], vec![f64::NAN; n]);
            cycle.apply(&u, &mut mu);
            cycle.apply(&v, &mut mv);
            let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| x * y).sum::<f64>();
            let scale = dot(&mu, &mu).sqrt() * dot(&v, &v).sqrt();
            assert!((dot(&mu, &v) - dot(&u, &mv)).abs() <= 1e-12 * scale);
            assert!(dot(&u, &mu) > 0.0);
        }
    }
}

#[test]
fn iterations_hardly_grow_with_the_size() {
    let flat: Vec<usize> = [32, 64, 128, 256].map(|m| iterations(&laplacian(m, m))).to_vec();
    assert!(flat[3] <= 16 && flat[3] <= flat[1] + 4, "{flat:?}");
    let cubes: Vec<usize> = [10, 20, 40].map(|m| iterations(&diffusion(m, 3, |_| 1.0))).to_vec();
    assert!(cubes[2] <= 16 && cubes[2] <= cubes[0] + 6, "{cubes:?}");
    let rough: Vec<usize> = [64, 128].map(|m| iterations(&diffusion(m, 2, jumps))).to_vec();
    assert!(rough[1] <= 50, "{rough:?}");
}

#[test]
fn matrices_that_cannot_be_coarsened_are_solved_all_the_same() {
    // a diagonal, one row apart from the others, one row alone
    let mut t = TriMatI::new((1000, 1000));
    (0..1000).for_each(|i| t.add_triplet(i, i, 1.0 + i as f64));
    assert_eq!(iterations(&t.to_csr()), 1);
    t.add_triplet(3, 700, -0.5);
    t.add_triplet(700, 3, -0.5);
    assert!(iterations(&t.to_csr()) <= 3);
    assert_eq!(iterations(&diffusion(1, 2, |_| 2.0)), 1);
    // indefinite: told, not solved
    let mut t = TriMatI::new((900, 900));
    laplacian(30, 30).iter().for_each(|(value, (i, j))| t.add_triplet(i as usize, j as usize, *value));
    (0..900).for_each(|i| t.add_triplet(i, i, -1.0));
    let indefinite: Matrix = t.to_csr();
    let solver = Relaxation { method: Method::MultigridCg, ..Relaxation::default() };
    let refused = solver.solve(indefinite.view(), &random(900, 2));
    assert!(matches!(refused, Err(Error::NotPositiveDefinite { .. })), "{refused:?}");
    let mut t = TriMatI::new((2, 2));
    t.add_triplet(0, 0, 1.0);
    let singular: Matrix = t.to_csr();
    assert_eq!(Multigrid::new(singular.view()).err(), Some(KrylovError::Diagonal { row: 1, value: 0.0 }));
}
