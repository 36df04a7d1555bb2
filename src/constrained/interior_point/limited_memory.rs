//! Second derivatives from the last few changes of the Lagrangian's gradient: compact BFGS.
//!
//! W = sigma I - Q M^{-1} Q' is never formed. With K_0 the matrix that has sigma I in its place, K = K_0 - Q M^{-1} Q' is solved with by
//! the formula of Sherman, Morrison and Woodbury,
//!
//! K^{-1} = K_0^{-1} + Z C^{-1} Z', Z = K_0^{-1} Q, C = M - Q'Z,
//!
//! and the inertia of K is that of K_0 and of C less that of M (Haynsworth 1968).

use super::super::evaluator::add_transpose_product;
use super::super::kkt::KktMatrix;
use super::form::Form;
use super::phase::{Iterate, Shape};
use crate::linalg::compact_bfgs::CompactBfgs;
use crate::linalg::factor::{DenseIndefinite, FactorError, Inertia};

/// Pairs kept.
pub(super) const PAIRS: usize = 6;

/// The BFGS matrix of one phase, and what solving with it needs.
pub(super) struct LimitedMemory {
    bfgs: CompactBfgs,
    nx: usize,
    /// Where the last pair ended: x, gradient of the objective, Jacobian.
    last: Option<(Vec<f64>, Vec<f64>, Vec<f64>)>,
    step: Vec<f64>,
    change: Vec<f64>,
    /// Q with zeros for the rows, one column at a time.
    column: Vec<f64>,
    /// Z by columns.
    images: Vec<f64>,
    capacitance: DenseIndefinite,
    small: Vec<f64>,
}

impl LimitedMemory {
    pub fn new(nx: usize, m: usize) -> Self {
        Self {
            bfgs: CompactBfgs::new(nx, PAIRS),
            nx,
            last: None,
            step: vec![0.0; nx],
            change: vec![0.0; nx],
            column: vec![0.0; nx + m],
            images: Vec::new(),
            capacitance: DenseIndefinite::new(),
            small: Vec::new(),
        }
    }

    /// sigma.
    pub fn sigma(&self) -> f64 {
        self.bfgs.sigma()
    }

    /// Takes in the change from the iterate seen before to this one: that of grad f + J'y at this one's multipliers.
    pub fn observe(&mut self, shape: &Shape, form: &Form, at: &Iterate) {
        let nx = self.nx;
        let weight = if shape.elastic.is_some() { 0.0 } else { 1.0 };
        let (x, gradient) = (&at.u[..nx], &at.gradient[..nx]);
        let Some((last_x, last_gradient, last_jacobian)) = &mut self.last else {
            self.last = Some((x.to_vec(), gradient.to_vec(), at.jacobian.clone()));
            return;
        };
        if x == &last_x[..] {
            return;
        }
        for k in 0..nx {
            self.step[k] = x[k] - last_x[k];
            self.change[k] = weight * (gradient[k] - last_gradient[k]);
        }
        // the Jacobian's change takes the place of the old one, which is needed no more
        last_jacobian.iter_mut().zip(&at.jacobian).for_each(|(old, new)| *old = new - *old);
        add_transpose_product(&form.jacobian.pattern, last_jacobian, &at.y, &mut self.change);
        last_x.copy_from_slice(x);
        last_gradient.copy_from_slice(gradient);
        last_jacobian.copy_from_slice(&at.jacobian);
        self.bfgs.update(&self.step, &self.change);
    }

    /// out <- out + (W - sigma I) v.
    pub fn add_product(&mut self, v: &[f64], out: &mut [f64]) {
        // M was factored when its last pair came in
        let _ = self.bfgs.add_low_rank_product(v, out);
    }

    /// Z and the factors of C for the matrix last factored in `kkt`, which must not be singular; the inertia that the low-rank
    /// part adds.
    ///
    /// # Errors
    /// Those of the factorisations.
    pub fn factor(&mut self, kkt: &mut KktMatrix) -> Result<Inertia, FactorError> {
        let (nx, size, rank) = (self.nx, self.column.len(), 2 * self.bfgs.pairs());
        if rank == 0 {
            return Ok(Inertia::default());
        }
        self.images.resize(size * rank, 0.0);
        self.small.resize(rank, 0.0);
        let mut matrix = self.bfgs.middle().to_vec();
        for k in 0..rank {
            self.bfgs.column(k, &mut self.column[..nx]);
            let image = &mut self.images[k * size..(k + 1) * size];
            kkt.solve_once(&self.column, image)?;
            self.bfgs.transposed_product(&image[..nx], &mut self.small);
            for i in k..rank {
                matrix[k * rank + i] -= self.small[i];
            }
        }
        self.capacitance.factor(rank, &matrix)
    }

    /// What has to be added to the inertia of K_0, given that of C.
    pub fn inertia_of(&self, own: Inertia, capacitance: Inertia) -> Inertia {
        let middle = self.bfgs.middle_inertia();
        Inertia {
            positive: (own.positive + capacitance.positive).saturating_sub(middle.positive),
            negative: (own.negative + capacitance.negative).saturating_sub(middle.negative),
            zero: own.zero + capacitance.zero,
        }
    }

    /// K^{-1} b from K_0^{-1} b.
    ///
    /// # Errors
    /// `Singular` where C is.
    pub fn correct(&mut self, solution: &mut [f64]) -> Result<(), FactorError> {
        let rank = 2 * self.bfgs.pairs();
        if rank == 0 {
            return Ok(());
        }
        self.bfgs.transposed_product(&solution[..self.nx], &mut self.small);
        self.capacitance.solve_in_place(&mut self.small)?;
        for (image, weight) in self.images.chunks_exact(solution.len()).zip(&self.small) {
            solution.iter_mut().zip(image).for_each(|(x, z)| *x += weight * z);
        }
        Ok(())
    }
}
