//! What is proven of an answer: feasibility, a duality gap, and an interval for unregularised transport.
//!
//! Rounding (Altschuler, Weed, Rigollet 2017): x = min(1, a/(P1)), P <- diag(x) P, y = min(1, b/(P'1)), P <- P diag(y),
//! then P^ = P + e_a e_b'/s with the masses e_a, e_b that are missing, s their sum. P^ is feasible. Its entropy is not
//! summed entry by entry: h(p) = p (log p - 1) is convex, so sum h(P + R) <= (1-s) sum h(P/(1-s)) + s sum h(R/s) for
//! masses 1-s and s, and both sums follow from row and column sums. The primal value is therefore an upper bound, by
//! about eps s log(1/s).

use rayon::prelude::*;

use super::kernel::Potentials;
use super::kernel::{Costs, FORBIDDEN, Totals, chunk_rows, hard_transform};
use super::reduced::Reduced;
use crate::linalg::exponential::dot;

/// The scalings and missing masses that make the plan of f and g feasible.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rounding {
    /// x, at most 1, one per source.
    pub row_scale: Vec<f64>,
    /// y, at most 1, one per target.
    pub column_scale: Vec<f64>,
    /// e_a = a - the row sums of diag(x) P diag(y), not negative.
    pub row_missing: Vec<f64>,
    /// e_b, the same of the columns.
    pub column_missing: Vec<f64>,
}

/// Everything that is recomputed from f and g, for masses of sum one.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub rounding: Rounding,
    /// |P1 - a|_1 + |P'1 - b|_1.
    pub error: f64,
    /// Upper bound of the primal value of the rounded plan.
    pub primal: f64,
    pub dual: f64,
    /// primal - dual, with the terms that cancel left out.
    pub gap: f64,
    /// <C, P^>; +inf where the missing masses would have to take a forbidden arc.
    pub transport_cost: f64,
    /// Lower bound of unregularised transport.
    pub lower: f64,
}

/// Certifies f and g: two passes over the kernel, one over the costs, one for the interval.
pub(crate) fn certify(reduced: &Reduced, f: &[f64], g: &[f64], loss: f64) -> Verdict {
    let (a, b, eps) = (&reduced.a, &reduced.b, reduced.eps);
    let costs = reduced.kernel.costs();
    let reach = -eps * (loss / b.len() as f64).ln();
    let at = Potentials { f, g, eps, reach };
    let first = Totals::of(costs, &at, a, None);
    let distance = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| (x - y).abs()).sum() };
    let error = distance(&first.rows, a) + distance(&first.columns, b);
    let cap = |mass: &f64, sum: &f64| (mass / sum).min(1.0);
    let x: Vec<f64> = a.iter().zip(&first.rows).map(|(a, r)| cap(a, r)).collect();
    let y: Vec<f64> = b.iter().zip(&first.capped).map(|(b, c)| cap(b, c)).collect();
    let second = Totals::of(costs, &at, a, Some(&y));
    let rows: Vec<f64> = x.iter().zip(&second.rows).map(|(x, r)| x * r).collect();
    let columns: Vec<f64> = y.iter().zip(&first.capped).map(|(y, c)| y * c).collect();
    let missing =
        |masses: &[f64], sums: &[f64]| masses.iter().zip(sums).map(|(m, s)| (m - s).max(0.0)).collect();
    let (row_missing, column_missing): (Vec<f64>, Vec<f64>) = (missing(a, &rows), missing(b, &columns));
    let s: f64 = row_missing.iter().sum::<f64>().max(column_missing.iter().sum());
    let scaled_cost: f64 = x.iter().zip(&second.costs).map(|(x, c)| x * c).sum();
    let missing_cost = if s > 0.0 { outer_cost(costs, &row_missing, &column_missing) / s } else { 0.0 };
    let is_possible = missing_cost < 1e-20 * FORBIDDEN;

    // gap = <C, R> - <e_a, f> - <e_b, g> + eps (sum P - 1 + what the scalings and the missing masses add to the entropy)
    let weigh = |w: &[f64], v: &[f64]| -> f64 { w.iter().zip(v).map(|(w, v)| w * v).sum() };
    let own = |w: &[f64], s: &[f64]| -> f64 { w.iter().zip(s).map(|(w, s)| w * s.ln()).sum() };
    let spread = |e: &[f64]| -> f64 { e.iter().filter(|&&e| e > 0.0).map(|e| e * (e / s).ln()).sum() };
    let mut entropy = own(&rows, &x) + own(&columns, &y);
    if s > 0.0 {
        entropy += spread(&row_missing) + spread(&column_missing) - (1.0 - s) * (-s).ln_1p();
    }
    let sum: f64 = first.rows.iter().sum();
    let mut gap = missing_cost - weigh(&row_missing, f) - weigh(&column_missing, g);
    gap += eps * (sum - 1.0 + entropy);
    let dual = weigh(a, f) + weigh(b, g) - eps * sum;
    let hard = hard_transform(costs, g);
    let infinite = |value: f64| if is_possible { value } else { f64::INFINITY };
    Verdict {
        error,
        primal: infinite(dual + gap),
        dual,
        gap: infinite(gap),
        transport_cost: infinite(scaled_cost + missing_cost),
        lower: weigh(a, &hard) + weigh(b, g),
        rounding: Rounding { row_scale: x, column_scale: y, row_missing, column_missing },
    }
}

/// e_a' C e_b.
fn outer_cost(costs: &dyn Costs, row: &[f64], column: &[f64]) -> f64 {
    let (n, m) = (costs.rows(), costs.columns());
    let zeros = vec![0.0; m];
    let size = chunk_rows(n);
    let chunk = |k: usize| -> f64 {
        let mut z = vec![0.0; m];
        let mut sum = 0.0;
        for i in (k * size..n.min((k + 1) * size)).filter(|&i| row[i] > 0.0) {
            costs.fill(i, 0..m, &zeros, &mut z);
            sum -= row[i] * dot(column, &z);
        }
        sum
    };
    let parts: Vec<f64> = (0..n.div_ceil(size)).into_par_iter().map(chunk).collect();
    parts.into_iter().sum()
}
