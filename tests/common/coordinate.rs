//! Random problems, and a slow, obvious solver that shares nothing with the library's.

#![allow(dead_code)]

use gradus::problem::LinearModel;
use gradus::problem::loss::Loss;
use sprs::{CsMatI, TriMatI};

pub fn hash(a: u64, b: u64) -> f64 {
    let mut h = a.wrapping_mul(0x9E3779B97F4A7C15) ^ b.wrapping_mul(0xD1B54A32D192ED03);
    h = (h ^ (h >> 29)).wrapping_mul(0xBF58476D1CE4E5B9);
    h ^= h >> 32;
    (h % 20001) as f64 / 10000.0 - 1.0
}

/// n x p with about half the entries zero.
pub fn data(n: usize, p: usize, seed: u64) -> CsMatI<f64, u32> {
    let mut triplets = TriMatI::new((n, p));
    for i in 0..n {
        for j in 0..p {
            let value = hash((i * p + j) as u64, seed);
            if value > -0.1 {
                triplets.add_triplet(i, j, 2.0 * value);
            }
        }
    }
    triplets.to_csr()
}

pub fn targets(loss: &dyn Loss, n: usize, seed: u64) -> Vec<f64> {
    (0..n)
        .map(|i| {
            let raw = 2.0 * hash(i as u64 + 77, seed);
            if loss.is_classification() {
                if i == 0 || (raw < 0.0 && i != 1) { -1.0 } else { 1.0 }
            } else if loss.name() == "poisson" {
                (raw.abs() * 2.0).floor()
            } else {
                raw
            }
        })
        .collect()
}

/// F by its definition, row by row.
pub fn objective(model: &LinearModel, x: &[f64], b: f64) -> f64 {
    let n = model.design.rows();
    let weights = model.weights.clone().unwrap_or(vec![1.0; n]);
    let total: f64 = weights.iter().sum();
    let mut z = vec![0.0; n];
    model.design.multiply(x, &mut z);
    let loss: f64 = (0..n)
        .map(|r| {
            let offset = model.offsets.as_ref().map_or(0.0, |o| o[r]);
            weights[r] / total * model.loss.value(z[r] + b + offset, model.target[r])
        })
        .sum();
    loss + x.iter().enumerate().map(|(j, &x)| model.penalty.value(j, x)).sum::<f64>()
}

/// Accelerated proximal gradient with backtracking and restarts: slow, obvious, and sharing nothing with the solver.
pub fn reference(model: &LinearModel) -> f64 {
    let (n, p) = (model.design.rows(), model.design.columns());
    let weights = model.weights.clone().unwrap_or(vec![1.0; n]);
    let total: f64 = weights.iter().sum();
    let smooth = |x: &[f64], b: f64, gradient: Option<&mut Vec<f64>>| {
        let mut z = vec![0.0; n];
        model.design.multiply(x, &mut z);
        let offset = |r: usize| model.offsets.as_ref().map_or(0.0, |o| o[r]);
        z.iter_mut().enumerate().for_each(|(r, z)| *z += b + offset(r));
        if let Some(gradient) = gradient {
            let v: Vec<f64> =
                (0..n).map(|r| weights[r] / total * model.loss.derivative(z[r], model.target[r])).collect();
            gradient.resize(p, 0.0);
            model.design.multiply_transpose(&v, gradient);
            gradient.push(if model.intercept { v.iter().sum() } else { 0.0 });
        }
        (0..n).map(|r| weights[r] / total * model.loss.value(z[r], model.target[r])).sum::<f64>()
    };
    let mut x: Vec<f64> = (0..p).map(|j| model.penalty.prox(j, 0.0, 0.0)).collect();
    let (mut b, mut step, mut best) = (0.0, 1.0, f64::INFINITY);
    let (mut y, mut yb, mut t) = (x.clone(), b, 1.0f64);
    let mut gradient = Vec::new();
    for _ in 0..60_000 {
        gradient.clear();
        let f = smooth(&y, yb, Some(&mut gradient));
        let (new, nb) = loop {
            let new: Vec<f64> =
                (0..p).map(|j| model.penalty.prox(j, y[j] - step * gradient[j], step)).collect();
            let nb = yb - step * gradient[p];
            let change: f64 =
                new.iter().zip(&y).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() + (nb - yb) * (nb - yb);
            let linear: f64 =
                (0..p).map(|j| gradient[j] * (new[j] - y[j])).sum::<f64>() + gradient[p] * (nb - yb);
            if smooth(&new, nb, None) <= f + linear + change / (2.0 * step) + 1e-15 * f.abs() || step < 1e-12
            {
                break (new, nb);
            }
            step *= 0.5;
        };
        let value = objective(model, &new, nb);
        let next = 0.5 * (1.0 + (1.0 + 4.0 * t * t).sqrt());
        let momentum = if value > best { 0.0 } else { (t - 1.0) / next };
        t = if value > best { 1.0 } else { next };
        y = new.iter().zip(&x).map(|(new, old)| new + momentum * (new - old)).collect();
        yb = nb + momentum * (nb - b);
        (x, b) = (new, nb);
        best = best.min(value);
        step *= 1.01;
    }
    best
}
