//! The quadratic model of F on a block: g_b'd + d'B d / 2 + h(x + d).

use super::State;
use crate::coordinate::block::separable::Separable;
use crate::coordinate::quadratic::{Quadratic, Workspace};
use crate::linalg::factor::DenseCholesky;

/// Rounds of the inner solver, and how far it lowers the largest violation.
const ROUNDS: usize = 300;
const ACCURACY: f64 = 1e-13;
/// A Hessian that is flat somewhere counts with this part of its bound, so that no model is unbounded.
const CURVATURE_FLOOR: f64 = 1e-10;

/// The model of a block, with B fixed.
pub(in crate::coordinate::block) struct BlockModel {
    block: Vec<usize>,
    matrix: Vec<f64>,
    factor: Option<DenseCholesky>,
}

impl BlockModel {
    /// B = H_b, the bound.
    pub fn bound(state: &State, block: &[usize]) -> Self {
        Self { block: block.to_vec(), matrix: state.smooth().bound(block), factor: None }
    }

    /// B = the Hessian's block at x.
    pub fn hessian(state: &State, block: &[usize]) -> Self {
        let mut matrix = state.smooth().hessian(block);
        if !state.smooth().is_quadratic() {
            let k = block.len();
            block
                .iter()
                .enumerate()
                .for_each(|(c, &i)| matrix[c * k + c] += CURVATURE_FLOOR * state.bounds()[i]);
        }
        Self { block: block.to_vec(), matrix, factor: None }
    }

    /// argmin over d, with the given gradient of f in place of the current one. Not finite where there is none.
    pub fn minimiser(&mut self, state: &State, gradient: &[f64]) -> Vec<f64> {
        if let (Separable::Coordinates(penalty, columns), false) =
            (state.separable(), state.separable().is_smooth())
        {
            let own = self.block.partition_point(|&i| i < columns);
            let x: Vec<f64> = self.block.iter().map(|&i| state.x()[i]).collect();
            let on_block: Vec<f64> = self.block.iter().map(|&i| gradient[i]).collect();
            let largest = on_block.iter().fold(0.0f64, |m, g| m.max(g.abs()));
            let mut inner = Quadratic {
                penalty,
                columns: &self.block[..own],
                hessian: &self.matrix,
                gradient: on_block,
                x: x.clone(),
            };
            inner.solve(ACCURACY * largest, ROUNDS, &mut Workspace::default(), &|| false);
            return inner.x.iter().zip(&x).map(|(new, old)| new - old).collect();
        }
        let k = self.block.len();
        let mut d: Vec<f64> = Vec::with_capacity(k);
        let mut ridge = Vec::with_capacity(k);
        for &i in &self.block {
            let (slope, curvature) = state.smooth_part(i);
            d.push(-(gradient[i] + slope));
            ridge.push(curvature);
        }
        if self.factor.is_none() {
            let mut matrix = self.matrix.clone();
            ridge.iter().enumerate().for_each(|(c, r)| matrix[c * k + c] += r);
            let mut cholesky = DenseCholesky::new();
            if cholesky.factor_shifted(k, &mut matrix).is_ok() {
                self.factor = Some(cholesky);
            }
        }
        match &self.factor {
            Some(factor) if factor.solve_in_place(&mut d).is_ok() => d,
            _ => vec![f64::NAN; k],
        }
    }

    /// The model's decrease for a step, not below zero; zero for a step that is not finite.
    pub fn decrease(&self, state: &State, d: &[f64]) -> f64 {
        let k = self.block.len();
        let mut total = 0.0;
        for (c, &i) in self.block.iter().enumerate() {
            let product: f64 = self.matrix[c * k..(c + 1) * k].iter().zip(d).map(|(h, d)| h * d).sum();
            total += (state.gradient()[i] + 0.5 * product) * d[c];
        }
        let change = total + state.separable_change(&self.block, d);
        if change < 0.0 { -change } else { 0.0 }
    }
}
