//! Six families of test problems that any language can rebuild, and the generator behind them.
//!
//! A name is `family-n` or `family-n-seed` (seed 1 unless given). u are draws of splitmix64(seed), (x >> 11) / 2^53;
//! normals are Box-Muller pairs r cos, r sin with r = sqrt(-2 ln u1), u1 = ((p >> 11) + 1) / 2^53, u2 = (q >> 11) / 2^53.
//!
//! | family | costs | masses |
//! | --- | --- | --- |
//! | `assignment` | u, row by row | uniform |
//! | `points` | squared distances of n points u of the plane and n points 0.5 + 0.15 normal, one stream | uniform |
//! | `cloud8` | squared distances in dimension 8: n normals, n points 0.5 + 0.8 normal | uniform |
//! | `digits2`, `digits1` | squared and Manhattan distances of the pixels of S x S images, n = S^2 | two digits |
//! | `expnorm` | (x_i - x_j)^2, x_i = 5 i / (n - 1) | exp(-x); 0.2 N(1, 0.2) + 0.8 N(3, 0.5) |
//!
//! All costs are divided by their maximum.

use super::problem::{Cost, Metric, TransportProblem};
use crate::linalg::splitmix::SplitMix;

/// Images 0 and 1 of the test set of the UCI optical recognition of handwritten digits, 8 x 8 grey levels 0..16 in base 17.
const DIGITS: [&str; 2] = [
    "005D910000DFAF5003F20B8004C008800580098004B01C7002E5AC00006DA000",
    "000CD500000BG900003FG60007FGG200001GG300001GG600001GG600000BGA00",
];

/// A digit enlarged to `size` x `size` by bilinear interpolation of pixel centres, as masses of sum 1, none zero.
pub fn digit(which: usize, size: usize) -> Vec<f64> {
    let grey: Vec<f64> =
        DIGITS[which % 2].chars().map(|c| f64::from(c.to_digit(17).unwrap_or_default())).collect();
    let place = |r: usize| {
        let t = ((r as f64 + 0.5) * 8.0 / size as f64 - 0.5).clamp(0.0, 7.0);
        let i = (t as usize).min(6);
        (i, t - i as f64)
    };
    let mut image = Vec::with_capacity(size * size);
    for r in 0..size {
        let (i, w) = place(r);
        let line: Vec<f64> =
            (0..8).map(|c| grey[8 * i + c] * (1.0 - w) + grey[8 * (i + 1) + c] * w).collect();
        for c in 0..size {
            let (j, v) = place(c);
            image.push(line[j] * (1.0 - v) + line[j + 1] * v);
        }
    }
    let sum: f64 = image.iter().sum();
    let floor = 0.00125 / image.len() as f64;
    image.iter().map(|p| (1.0 - 0.00125) * (p / sum) + floor).collect()
}

/// Squared distances of two sets of points, or Manhattan distances, divided by the largest.
fn distances(dimension: usize, x: &[f64], y: &[f64], metric: Metric) -> Cost {
    let (rows, columns) = (x.len() / dimension, y.len() / dimension);
    let mut values = Vec::with_capacity(rows * columns);
    for x in x.chunks(dimension) {
        values.extend(y.chunks(dimension).map(|y| metric.between(x, y)));
    }
    let most = values.iter().copied().fold(0.0, f64::max);
    values.iter_mut().for_each(|c| *c /= most);
    Cost::Dense { rows, columns, values }
}

/// The instance of this name with the given regularization (relative to the largest cost, which is 1); None if the
/// name is none.
pub fn instance(name: &str, regularization: f64) -> Option<TransportProblem> {
    let mut words = name.split('-');
    let (family, size) = (words.next()?, words.next()?.parse::<usize>().ok()?);
    let seed = words.next().map_or(Some(1), |word| word.parse().ok())?;
    if words.next().is_some() || !(2..=20_000).contains(&size) {
        return None;
    }
    let mut random = SplitMix(seed);
    let uniform = |n: usize| vec![1.0 / n as f64; n];
    let (cost, source, target) = match family {
        "assignment" => {
            let values = random.uniforms(size * size);
            let most = values.iter().copied().fold(0.0, f64::max);
            let values = values.into_iter().map(|c| c / most).collect();
            (Cost::Dense { rows: size, columns: size, values }, uniform(size), uniform(size))
        }
        "points" | "cloud8" => {
            let (d, spread) = if family == "points" { (2, 0.15) } else { (8, 0.8) };
            let x = if d == 2 { random.uniforms(d * size) } else { random.normals(d * size) };
            let y: Vec<f64> = random.normals(d * size).iter().map(|g| 0.5 + spread * g).collect();
            (distances(d, &x, &y, Metric::SquaredEuclidean), uniform(size), uniform(size))
        }
        "digits1" | "digits2" if size <= 200 => {
            let metric = if family == "digits1" { Metric::Manhattan } else { Metric::SquaredEuclidean };
            let x: Vec<f64> = (0..size * size).flat_map(|k| [(k / size) as f64, (k % size) as f64]).collect();
            (distances(2, &x, &x, metric), digit(0, size), digit(1, size))
        }
        "expnorm" => {
            let x: Vec<f64> = (0..size).map(|i| 5.0 * i as f64 / (size - 1) as f64).collect();
            let share = |w: Vec<f64>| {
                let sum: f64 = w.iter().sum();
                w.into_iter().map(|w| w / sum).collect()
            };
            let bell = |x: f64, m: f64, s: f64| (-0.5 * ((x - m) / s) * ((x - m) / s)).exp() / s;
            let a = share(x.iter().map(|x| (-x).exp()).collect());
            let b = share(x.iter().map(|&x| 0.2 * bell(x, 1.0, 0.2) + 0.8 * bell(x, 3.0, 0.5)).collect());
            (distances(1, &x, &x, Metric::SquaredEuclidean), a, b)
        }
        _ => return None,
    };
    Some(TransportProblem { cost, source, target, regularization })
}
