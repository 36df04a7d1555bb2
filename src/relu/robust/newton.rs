//! The Newton system of the interior-point method on the robust program.
//!
//! Once all epigraphs are eliminated it reads M_j dv_j + s_j sum_k D_jk W_k dp_k = b_j, dp_k = sum_j s_j D_jk dv_j, with M_j and W_k
//! d x d. The two signs of a pattern share their rows, so that with delta_i = dv_i+ - dv_i- and A_ii' = sum_k D_ik D_i'k W_k
//!
//! (T^{-1} + A) delta = T^{-1} (M_+^{-1} b_+ - M_-^{-1} b_-), T_i = M_i+^{-1} + M_i-^{-1},
//!
//! one system of size P d. A costs n d^2 P^2 / 2 flops, its factor (P d)^3 / 3.

use faer::MatRef;
use rayon::prelude::*;

use super::interior::State;
use super::scaled::Scaled;
use crate::linalg::factor::{DenseCholesky, FactorError};
use crate::linalg::panel;

/// Steps of iterative refinement.
const REFINEMENTS: usize = 2;

pub(super) struct Newton {
    /// Minus the gradient in v.
    b: Vec<f64>,
    /// Rows on which both patterns of a pair are active, n x pairs.
    pairs: Vec<f64>,
    /// Lower triangles of the W_k, d (d + 1) / 2 x n, and of the A of all pairs.
    packed: Vec<f64>,
    coupling: Vec<f64>,
    /// M_j, d x d, lower triangles, and their factors.
    own: Vec<f64>,
    factors: Vec<DenseCholesky>,
    /// T_i^{-1}, d x d.
    parallel: Vec<f64>,
    system: Vec<f64>,
    large: DenseCholesky,
}

impl Newton {
    pub fn new(data: &Scaled) -> Self {
        let Scaled { n, d, .. } = *data;
        let count = data.signs.len();
        let mut pairs = Vec::with_capacity(n * count * (count + 1) / 2);
        for b in 0..count {
            for a in b..count {
                let (a, b) = (&data.active[a * n..(a + 1) * n], &data.active[b * n..(b + 1) * n]);
                pairs.extend(a.iter().zip(b).map(|(a, b)| a * b));
            }
        }
        let entries = d * (d + 1) / 2;
        Self {
            b: vec![0.0; d * 2 * count],
            coupling: vec![0.0; entries * pairs.len() / n],
            pairs,
            packed: vec![0.0; entries * n],
            own: vec![0.0; d * d * 2 * count],
            factors: (0..2 * count).map(|_| DenseCholesky::new()).collect(),
            parallel: vec![0.0; d * d * count],
            system: vec![0.0; count * d * count * d],
            large: DenseCholesky::new(),
        }
    }

    /// Renews the Hessian and the gradient, and factors.
    pub fn factor(&mut self, state: &mut State) -> Result<(), FactorError> {
        let Scaled { n, d, .. } = *state.data;
        let entries = d * (d + 1) / 2;
        let (mut rows, mut columns) = (std::mem::take(&mut state.rows), std::mem::take(&mut state.columns));
        let mut slopes = vec![0.0; d * n];
        let parts = self.packed.par_chunks_exact_mut(entries).zip(slopes.par_chunks_exact_mut(d));
        let frozen = &*state;
        parts.zip(&mut rows).enumerate().for_each_init(
            || vec![0.0; d * d],
            |matrix, (k, ((packed, slope), row))| {
                frozen.reduce_row(k, row, Some(matrix), slope);
                let mut filled = 0;
                for j in 0..d {
                    packed[filled..filled + d - j].copy_from_slice(&matrix[j * d + j..(j + 1) * d]);
                    filled += d - j;
                }
            },
        );
        let parts = self.own.par_chunks_exact_mut(d * d).zip(self.b.par_chunks_exact_mut(d));
        parts.zip(&mut columns).enumerate().for_each(|(j, ((matrix, own), column))| {
            frozen.reduce_column(j, column, Some(matrix), own);
        });
        (state.rows, state.columns) = (rows, columns);
        self.gather(state.data, &slopes);
        self.factor_all(state.data)
    }

    /// Renews the gradient for new targets.
    pub fn renew(&mut self, state: &mut State) {
        let Scaled { n, d, .. } = *state.data;
        let (mut rows, mut columns) = (std::mem::take(&mut state.rows), std::mem::take(&mut state.columns));
        let mut slopes = vec![0.0; d * n];
        let frozen = &*state;
        let parts = slopes.par_chunks_exact_mut(d).zip(&mut rows).enumerate();
        parts.for_each(|(k, (slope, row))| frozen.reduce_row(k, row, None, slope));
        let parts = self.b.par_chunks_exact_mut(d).zip(&mut columns).enumerate();
        parts.for_each(|(j, (own, column))| frozen.reduce_column(j, column, None, own));
        (state.rows, state.columns) = (rows, columns);
        self.gather(state.data, &slopes);
    }

    /// b <- minus the gradient in v: that of the columns, in b, and that of the rows, d x n.
    fn gather(&mut self, data: &Scaled, slopes: &[f64]) {
        let mut shared = vec![0.0; self.b.len()];
        panel::multiply(MatRef::from_column_major_slice(slopes, data.d, data.n), &data.active, &mut shared);
        self.b.iter_mut().zip(&shared).for_each(|(b, s)| *b = -(*b + s));
    }

    /// The Newton step of all variables.
    pub fn step(&mut self, state: &mut State) -> Result<(), FactorError> {
        let mut dv = self.solve(state.data, &self.b)?;
        for _ in 0..REFINEMENTS {
            let residual = self.residual(state.data, &self.b, &dv);
            let correction = self.solve(state.data, &residual)?;
            dv.iter_mut().zip(&correction).for_each(|(v, c)| *v += c);
        }
        state.dv = dv;
        state.recover();
        Ok(())
    }

    /// Factors all M_j and T^{-1} + A.
    fn factor_all(&mut self, data: &Scaled) -> Result<(), FactorError> {
        let Scaled { n, d, .. } = *data;
        let count = data.signs.len();
        let entries = d * (d + 1) / 2;
        let factors = self.factors.par_iter_mut().zip(self.own.par_chunks_exact(d * d));
        factors.try_for_each(|(factor, own)| factor.factor_shifted(d, &mut own.to_vec()).map(|_| ()))?;
        let factors = &self.factors;
        self.parallel.par_chunks_exact_mut(d * d).enumerate().try_for_each(|(i, parallel)| {
            let (plus, minus) = (inverse(&factors[i])?, inverse(&factors[count + i])?);
            let mut sum: Vec<f64> = plus.iter().zip(&minus).map(|(a, b)| a + b).collect();
            let mut own = DenseCholesky::new();
            own.factor_shifted(d, &mut sum)?;
            parallel.copy_from_slice(&inverse(&own)?);
            Ok::<(), FactorError>(())
        })?;
        let packed = MatRef::from_column_major_slice(&self.packed, entries, n);
        panel::multiply(packed, &self.pairs, &mut self.coupling);
        let size = count * d;
        let mut pair = self.coupling.chunks_exact(entries);
        for b in 0..count {
            for a in b..count {
                let Some(block) = pair.next() else { break };
                let mut filled = 0;
                for j in 0..d {
                    for i in j..d {
                        let value = block[filled];
                        filled += 1;
                        self.system[(b * d + j) * size + a * d + i] = value;
                        self.system[(b * d + i) * size + a * d + j] = value;
                    }
                }
            }
            for j in 0..d {
                let column = &mut self.system[(b * d + j) * size + b * d..][..d];
                column.iter_mut().zip(&self.parallel[(b * d + j) * d..][..d]).for_each(|(s, t)| *s += t);
            }
        }
        self.large.factor_shifted(size, &mut self.system).map(|_| ())
    }

    fn solve(&self, data: &Scaled, b: &[f64]) -> Result<Vec<f64>, FactorError> {
        let d = data.d;
        let half = b.len() / 2;
        let mut own = b.to_vec();
        self.solve_own(&mut own, d)?;
        let difference: Vec<f64> = (0..half).map(|i| own[i] - own[half + i]).collect();
        let mut delta = vec![0.0; half];
        for (i, delta) in delta.chunks_exact_mut(d).enumerate() {
            multiply_symmetric(&self.parallel[i * d * d..(i + 1) * d * d], &difference[i * d..][..d], delta);
        }
        self.large.solve_in_place(&mut delta)?;
        // A delta = T^{-1} (difference - delta)
        let left: Vec<f64> = difference.iter().zip(&delta).map(|(a, b)| a - b).collect();
        let mut drawn = vec![0.0; half];
        for (i, drawn) in drawn.chunks_exact_mut(d).enumerate() {
            multiply_symmetric(&self.parallel[i * d * d..(i + 1) * d * d], &left[i * d..][..d], drawn);
        }
        let mut shared = drawn.clone();
        shared.extend(drawn.iter().map(|v| -v));
        self.solve_own(&mut shared, d)?;
        own.iter_mut().zip(&shared).for_each(|(v, s)| *v -= s);
        Ok(own)
    }

    /// v_j <- M_j^{-1} v_j.
    fn solve_own(&self, v: &mut [f64], d: usize) -> Result<(), FactorError> {
        v.chunks_exact_mut(d).zip(&self.factors).try_for_each(|(v, factor)| factor.solve_in_place(v))
    }

    /// b minus the system's matrix times v, by the W and M themselves.
    fn residual(&self, data: &Scaled, b: &[f64], v: &[f64]) -> Vec<f64> {
        let Scaled { n, d, .. } = *data;
        let entries = d * (d + 1) / 2;
        let mut p = vec![0.0; d * n];
        let columns = MatRef::from_column_major_slice(v, d, data.columns());
        panel::multiply(columns, &data.active_transposed, &mut p);
        let mut slopes = vec![0.0; d * n];
        let parts = slopes.chunks_exact_mut(d).zip(p.chunks_exact(d)).zip(self.packed.chunks_exact(entries));
        for ((out, p), packed) in parts {
            let mut filled = 0;
            for j in 0..d {
                out[j] += packed[filled] * p[j];
                for i in j + 1..d {
                    let value = packed[filled + i - j];
                    out[i] += value * p[j];
                    out[j] += value * p[i];
                }
                filled += d - j;
            }
        }
        let mut residual = vec![0.0; v.len()];
        panel::multiply(MatRef::from_column_major_slice(&slopes, d, n), &data.active, &mut residual);
        let mut own = vec![0.0; d];
        for (j, r) in residual.chunks_exact_mut(d).enumerate() {
            let part = j * d..(j + 1) * d;
            multiply_symmetric(&self.own[j * d * d..(j + 1) * d * d], &v[part.clone()], &mut own);
            r.iter_mut().zip(&b[part]).zip(&own).for_each(|((r, b), own)| *r = b - own - *r);
        }
        residual
    }
}

/// The inverse of a factored matrix.
fn inverse(factor: &DenseCholesky) -> Result<Vec<f64>, FactorError> {
    let d = factor.dimension();
    let mut inverse = vec![0.0; d * d];
    for (j, column) in inverse.chunks_exact_mut(d).enumerate() {
        column[j] = 1.0;
        factor.solve_in_place(column)?;
    }
    Ok(inverse)
}

/// out <- S v, of whose d x d matrix the lower triangle is read.
fn multiply_symmetric(s: &[f64], v: &[f64], out: &mut [f64]) {
    let d = v.len();
    out.fill(0.0);
    for j in 0..d {
        out[j] += s[j * d + j] * v[j];
        for i in j + 1..d {
            out[i] += s[j * d + i] * v[j];
            out[j] += s[j * d + i] * v[i];
        }
    }
}
