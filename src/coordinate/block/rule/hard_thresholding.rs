//! Gauss-Southwell-quadratic for variable blocks by iterative hard thresholding: minimise g'd + d'Hd/2 + h(x + d)
//! over d with at most K non-zeros. repeat: d <- the proximal gradient step of length mu from d, but for its K largest
//! entries zero. The start g / sqrt(L) is far longer than a Newton step, which lets H reorder near ties.

use rand_chacha::ChaCha8Rng;

use super::super::state::power_method;
use super::{Blocks, Select, State, largest};

/// Rounds at most, and the change below which there are no more.
const ROUNDS: usize = 10;
const SMALLEST_CHANGE: f64 = 1e-10;
const MARGIN: f64 = 1.05;

#[derive(Default)]
pub(super) struct HardThresholding {
    /// A bound of the largest eigenvalue of H; found at the first step.
    eigenvalue: Option<f64>,
}

impl Select for HardThresholding {
    fn select(&mut self, state: &State, blocks: &Blocks, _: &mut ChaCha8Rng) -> Vec<usize> {
        let Blocks::Variable(size) = *blocks else { return Vec::new() };
        let p = state.unknowns();
        let all: Vec<usize> = (0..p).collect();
        let eigenvalue = *self.eigenvalue.get_or_insert_with(|| {
            let ridge = all.iter().map(|&i| state.smooth_part(i).1).fold(0.0, f64::max);
            MARGIN * (power_method(p, |v| state.smooth().bound_product(&all, v)) + ridge)
        });
        let smooth = state.separable().is_smooth();
        let slope = |i: usize| if smooth { state.smooth_part(i) } else { (0.0, 0.0) };
        let start = |i: usize| {
            let bound = state.bounds()[i] + slope(i).1;
            if bound > 0.0 { (state.gradient()[i] + slope(i).0) / bound.sqrt() } else { 0.0 }
        };
        let mut d: Vec<f64> = all.iter().map(|&i| start(i)).collect();
        let mut block = all.clone();
        for _ in 0..ROUNDS {
            let on_block: Vec<f64> = block.iter().map(|&i| d[i]).collect();
            let product = state.smooth().bound_product(&block, &on_block);
            let moved = |i: usize| {
                let (g, ridge) = slope(i);
                let gradient = state.gradient()[i] + g + product[i] + ridge * d[i];
                if smooth || !(eigenvalue > 0.0) {
                    d[i] - if eigenvalue > 0.0 { gradient / eigenvalue } else { 0.0 }
                } else {
                    state.separable().prox(i, state.x()[i] + d[i], gradient, eigenvalue) - state.x()[i]
                }
            };
            let longer: Vec<f64> = all.iter().map(|&i| moved(i)).collect();
            block = largest(&longer.iter().map(|d| d.abs()).collect::<Vec<_>>(), size);
            let mut next = vec![0.0; p];
            block.iter().for_each(|&i| next[i] = longer[i]);
            let change = next.iter().zip(&d).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
            d = next;
            if change < SMALLEST_CHANGE {
                break;
            }
        }
        block
    }
}
