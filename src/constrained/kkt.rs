//! The KKT matrix of a Newton step, its factorisation, and the regularisation that gives it the right inertia.
//!
//! K = [W + D_x + dw I, J'; J, -(D_y + dc I)], W n x n, J m x n. A step along which the Lagrangian is convex on the tangent space
//! of the constraints needs n positive and m negative eigenvalues. Negative curvature is cured by dw, dependent constraints by dc.

use std::time::Instant;

use sprs::{CsMatI, CsMatViewI};

use super::condensed::Condensed;
use super::kkt_factors::Factors;
use crate::linalg::factor::{FactorError, Inertia};
use crate::linalg::product::norm_inf;
use crate::problem::nonlinear::{Pattern, entries};

/// Systems up to this size are factored densely: there a sparse code spends most of its time on bookkeeping.
const DENSE: usize = 100;
/// Larger ones too, where so much of the lower triangle is stored.
const LARGEST_DENSE: usize = 3000;
const FULL: f64 = 0.3;
/// Steps of iterative refinement.
const REFINEMENT_STEPS: usize = 5;
/// A residual above this, relative to the right-hand side, says that the factors are of no use.
const USELESS: f64 = 1e-5;

/// The KKT matrix of one problem: the pattern is laid out once, values come and go.
pub struct KktMatrix {
    n: usize,
    m: usize,
    /// Lower triangle by rows, every diagonal entry stored.
    matrix: CsMatI<f64, u32>,
    hessian_positions: Vec<u32>,
    jacobian_positions: Vec<u32>,
    diagonal_positions: Vec<u32>,
    /// The diagonal without shifts.
    diagonal: Vec<f64>,
    factors: Factors,
    residual: Vec<f64>,
    correction: Vec<f64>,
    factorizations: u64,
    seconds: f64,
    /// When to be done, and what the last factorisation took.
    deadline: Option<Instant>,
    last: Option<f64>,
}

/// Flops per second that no factorisation exceeds on one core: for lower bounds of what one will take.
const FASTEST: f64 = 2e10;
/// Sparse systems from this size on are analysed before their first factorisation where there is a deadline.
const LARGE: usize = 1000;

impl KktMatrix {
    /// Lays out the matrix for the patterns of the Hessian's lower triangle and of the Jacobian.
    ///
    /// # Errors
    /// `Backend` where there are more entries than can be counted.
    pub fn new(hessian: &Pattern, jacobian: &Pattern) -> Result<Self, FactorError> {
        let (n, m) = (hessian.rows(), jacobian.rows());
        let size = n + m;
        let entry_count = hessian.nnz() + jacobian.nnz() + size;
        if u32::try_from(entry_count).is_err() {
            return Err(FactorError::Backend(format!("the KKT matrix would have {entry_count} entries")));
        }
        let mut offsets = vec![0u32; size + 1];
        let mut indices = Vec::with_capacity(entry_count);
        let mut positions = [Vec::with_capacity(hessian.nnz()), Vec::with_capacity(jacobian.nnz())];
        let mut diagonal_positions = Vec::with_capacity(size);
        let (hessian_offsets, jacobian_offsets) = (hessian.proper_indptr(), jacobian.proper_indptr());
        for row in 0..size {
            let (pattern, offsets_of, local, which) = if row < n {
                (hessian, &hessian_offsets, row, 0)
            } else {
                (jacobian, &jacobian_offsets, row - n, 1)
            };
            for &column in &pattern.indices()[offsets_of[local]..offsets_of[local + 1]] {
                positions[which].push(indices.len() as u32);
                indices.push(column);
            }
            if indices.len() == offsets[row] as usize || indices.last() != Some(&(row as u32)) {
                indices.push(row as u32);
            }
            diagonal_positions.push(indices.len() as u32 - 1);
            offsets[row + 1] = indices.len() as u32;
        }
        let values = vec![0.0; indices.len()];
        let [hessian_positions, jacobian_positions] = positions;
        // a sparse code on a full matrix only adds bookkeeping
        let full = size <= LARGEST_DENSE && indices.len() as f64 > FULL * 0.5 * (size * size) as f64;
        let factors = if size <= DENSE || full {
            Factors::Dense { factors: Box::default(), matrix: vec![0.0; size * size] }
        } else if Condensed::suits(n, &jacobian_offsets) {
            Factors::Condensed(Box::default())
        } else {
            Factors::Sparse(Box::default())
        };
        Ok(Self {
            n,
            m,
            matrix: CsMatI::new((size, size), offsets, indices, values),
            hessian_positions,
            jacobian_positions,
            diagonal_positions,
            diagonal: vec![0.0; size],
            factors,
            residual: vec![0.0; size],
            correction: vec![0.0; size],
            factorizations: 0,
            seconds: 0.0,
            deadline: None,
            last: None,
        })
    }

    /// n + m.
    pub fn size(&self) -> usize {
        self.n + self.m
    }

    /// n positive and m negative eigenvalues.
    pub fn right_inertia(&self) -> Inertia {
        Inertia { positive: self.n, negative: self.m, zero: 0 }
    }

    /// K as last factored: the lower triangle by rows.
    pub fn lower(&self) -> CsMatViewI<'_, f64, u32> {
        self.matrix.view()
    }

    /// Factorisations so far.
    pub fn factorizations(&self) -> u64 {
        self.factorizations
    }

    /// Wall-clock time spent here so far.
    pub fn seconds(&self) -> f64 {
        self.seconds
    }

    /// No factorisation is begun from here on that would go on beyond the deadline: by the time of the one before, or, for the
    /// first, by the flops that the symbolic analysis finds.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Whether there is time for another factorisation.
    fn check_time(&mut self) -> Result<(), FactorError> {
        let Some(deadline) = self.deadline else { return Ok(()) };
        let seconds = match (&mut self.factors, self.last) {
            (_, Some(last)) => last,
            (Factors::Sparse(factors), None) if self.n + self.m >= LARGE => {
                factors.flops(self.matrix.view())? / FASTEST
            }
            _ => 0.0,
        };
        let left = deadline.saturating_duration_since(Instant::now()).as_secs_f64();
        if seconds <= left { Ok(()) } else { Err(FactorError::OutOfTime { seconds }) }
    }

    /// Sets W, J, D_x and D_y; an empty slice stands for zeros.
    pub fn set(&mut self, hessian: &[f64], jacobian: &[f64], d_x: &[f64], d_y: &[f64]) {
        let values = self.matrix.data_mut();
        values.fill(0.0);
        for (&position, &value) in self.hessian_positions.iter().zip(hessian) {
            values[position as usize] = value;
        }
        for (&position, &value) in self.jacobian_positions.iter().zip(jacobian) {
            values[position as usize] = value;
        }
        for (j, &d) in d_x.iter().enumerate() {
            values[self.diagonal_positions[j] as usize] += d;
        }
        for (i, &d) in d_y.iter().enumerate() {
            values[self.diagonal_positions[self.n + i] as usize] -= d;
        }
        for (diagonal, &position) in self.diagonal.iter_mut().zip(&self.diagonal_positions) {
            *diagonal = values[position as usize];
        }
    }

    /// Whether some variable has no entry above `size` in its row and column of the last factored matrix: what little curvature
    /// it has is rounding.
    pub fn has_flat_variable(&self, size: f64) -> bool {
        let mut flat = vec![true; self.n];
        for (&value, (row, column)) in self.matrix.iter() {
            if value.abs() > size {
                for k in [row as usize, column as usize] {
                    if k < self.n {
                        flat[k] = false;
                    }
                }
            }
        }
        flat.contains(&true)
    }

    /// Factors K with the given dw and dc.
    ///
    /// # Errors
    /// Those of the factorisation; a singular matrix is none, its zero eigenvalues are counted. `OutOfTime` where the deadline
    /// is too near.
    pub fn factor(&mut self, dw: f64, dc: f64) -> Result<Inertia, FactorError> {
        self.check_time()?;
        let started = Instant::now();
        let n = self.n;
        let values = self.matrix.data_mut();
        for (k, (&position, &diagonal)) in self.diagonal_positions.iter().zip(&self.diagonal).enumerate() {
            values[position as usize] = if k < n { diagonal + dw } else { diagonal - dc };
        }
        self.factorizations += 1;
        let right = self.right_inertia();
        let outcome = match &mut self.factors {
            Factors::Sparse(factors) => factors.factor(self.matrix.view(), right),
            Factors::Condensed(factors) => factors.factor(n, self.matrix.view()),
            Factors::Dense { factors, matrix } => {
                let size = self.matrix.rows();
                for (row, entries) in self.matrix.outer_iterator().enumerate() {
                    for (column, &value) in entries.iter() {
                        matrix[column * size + row] = value;
                    }
                }
                factors.factor(size, matrix)
            }
        };
        let seconds = started.elapsed().as_secs_f64();
        self.seconds += seconds;
        self.last = Some(seconds);
        match outcome {
            Err(FactorError::Singular { zero }) => Ok(Inertia { zero, ..Inertia::default() }),
            other => other,
        }
    }

    /// Whether factorisations are to be tried without pivoting first: for matrices that are quasidefinite, as those of convex programs
    /// without equations. One that fails is the last.
    pub fn prefer_plain(&mut self, wanted: bool) {
        if let Factors::Sparse(factors) = &mut self.factors {
            factors.plain_is_wanted = wanted;
        }
    }

    /// Ends those attempts; false where the last factors had pivoting.
    pub fn leave_plain(&mut self) -> bool {
        let Factors::Sparse(factors) = &mut self.factors else { return false };
        factors.plain_is_wanted = false;
        factors.plain_is_current
    }

    /// Asks for larger pivots at the next factorisation; false where that is no longer possible.
    pub fn increase_pivot_threshold(&mut self) -> bool {
        match &mut self.factors {
            Factors::Sparse(factors) => factors.pivoted.increase_pivot_threshold(),
            Factors::Dense { .. } | Factors::Condensed(_) => false,
        }
    }

    /// x <- K^{-1} b with the last factors and iterative refinement; returns |b - K x| / |b| in the maximum norm.
    ///
    /// # Errors
    /// `Singular` also where the relative residual stays above 1e-5.
    pub fn solve(&mut self, b: &[f64], x: &mut [f64]) -> Result<f64, FactorError> {
        let started = Instant::now();
        let outcome = self.refined(b, x);
        self.seconds += started.elapsed().as_secs_f64();
        match outcome {
            Ok(residual) if residual <= USELESS => Ok(residual),
            Ok(_) => Err(FactorError::Singular { zero: 1 }),
            Err(error) => Err(error),
        }
    }

    /// x <- K^{-1} b by the last factors alone, for callers that refine a larger system.
    ///
    /// # Errors
    /// `Singular` where the inertia counts a zero.
    pub fn solve_once(&mut self, b: &[f64], x: &mut [f64]) -> Result<(), FactorError> {
        let started = Instant::now();
        self.residual.copy_from_slice(b);
        let outcome = self.correct();
        x.copy_from_slice(&self.correction);
        self.seconds += started.elapsed().as_secs_f64();
        outcome
    }

    fn refined(&mut self, b: &[f64], x: &mut [f64]) -> Result<f64, FactorError> {
        let size = norm_inf(b);
        x.fill(0.0);
        if size == 0.0 {
            return Ok(0.0);
        }
        self.residual.copy_from_slice(b);
        let mut best = f64::INFINITY;
        for _ in 0..=REFINEMENT_STEPS {
            self.correct()?;
            x.iter_mut().zip(&self.correction).for_each(|(x, d)| *x += d);
            self.set_residual(b, x);
            let relative = norm_inf(&self.residual) / size;
            if !(relative < best) {
                x.iter_mut().zip(&self.correction).for_each(|(x, d)| *x -= d);
                break;
            }
            let slow = relative > 0.3 * best;
            best = relative;
            if slow || relative <= 4.0 * f64::EPSILON {
                break;
            }
        }
        Ok(best)
    }

    fn correct(&mut self) -> Result<(), FactorError> {
        match &mut self.factors {
            Factors::Dense { factors, .. } => {
                self.correction.copy_from_slice(&self.residual);
                factors.solve_in_place(&mut self.correction)
            }
            Factors::Condensed(factors) => {
                factors.solve(self.matrix.view(), &self.residual, &mut self.correction)
            }
            Factors::Sparse(factors) => factors.solve(&self.residual, &mut self.correction),
        }
    }

    /// residual <- b - K x.
    fn set_residual(&mut self, b: &[f64], x: &[f64]) {
        self.residual.copy_from_slice(b);
        let (offsets, columns, values) =
            (self.matrix.proper_indptr(), self.matrix.indices(), self.matrix.data());
        for (row, pair) in offsets.windows(2).enumerate() {
            let mut sum = 0.0;
            for k in pair[0] as usize..pair[1] as usize {
                let column = columns[k] as usize;
                sum += values[k] * x[column];
                if column != row {
                    self.residual[column] -= values[k] * x[row];
                }
            }
            self.residual[row] -= sum;
        }
    }
}

/// The Frobenius norm of a symmetric matrix given by its lower triangle.
pub fn frobenius_norm(pattern: &Pattern, lower: &[f64]) -> f64 {
    let weight = |(row, column)| if row == column { 1.0 } else { 2.0 };
    entries(pattern).zip(lower).map(|(entry, value)| weight(entry) * value * value).sum::<f64>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::regularization::Regularization;
    use super::*;
    use proptest::prelude::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    fn full(size: usize) -> Pattern {
        let mut offsets = vec![0];
        let mut indices = Vec::new();
        for row in 0..size as u32 {
            indices.extend(0..=row);
            offsets.push(indices.len());
        }
        let count = indices.len();
        CsMatI::new((size, size), offsets, indices, vec![(); count])
    }

    fn rows(m: usize, n: usize) -> Pattern {
        let offsets = (0..=m).map(|i| i * n).collect();
        CsMatI::new((m, n), offsets, (0..m).flat_map(|_| 0..n as u32).collect(), vec![(); m * n])
    }

    fn entries_of(count: usize, seed: u64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..count).map(|_| rng.random_range(-1.0..1.0)).collect()
    }

    proptest! {
        /// Dense (small) and sparse (large) systems alike: right inertia, small residual, positive curvature on the null space.
        #[test]
        fn the_regularised_matrix_has_the_right_inertia(
            n in 1usize..90, share in 0.0f64..1.0, seed in 0u64..10_000, repeated in any::<bool>()
        ) {
            let m = (share * n as f64) as usize;
            let (hessian, jacobian) = (full(n), rows(m, n));
            let mut kkt = KktMatrix::new(&hessian, &jacobian).unwrap();
            let w = entries_of(hessian.nnz(), seed);
            let mut j = entries_of(m * n, seed + 10_000);
            if repeated && m > 1 {
                j.copy_within(0..n, n);
            }
            kkt.set(&w, &j, &[], &[]);
            let mut shifts = Regularization::default();
            prop_assert!(shifts.factor(&mut kkt, 0.0, 1e-8).unwrap());
            prop_assert_eq!(repeated && m > 1, shifts.dc > 0.0);
            let b = entries_of(n + m, seed + 20_000);
            let mut x = vec![0.0; n + m];
            // inconsistent rows blow the solution up to 1 / dc
            let accuracy = if shifts.dc > 0.0 { 1e-6 } else { 1e-10 };
            prop_assert!(kkt.solve(&b, &mut x).unwrap() < accuracy);
            // shifting everything adds to the spectrum: positive definite for a large shift
            prop_assert_eq!(kkt.factor(1e6, 1.0).unwrap(), Inertia { positive: n, negative: m, zero: 0 });
        }
    }

    /// Many rows and few variables: the condensed system agrees with the dense one, whatever the sizes of the rows' diagonals.
    #[test]
    fn tall_systems_are_condensed() {
        for (n, m, exponent) in [(3, 200, 0), (8, 120, 3), (20, 300, 5)] {
            let (hessian, jacobian) = (full(n), rows(m, n));
            let mut kkt = KktMatrix::new(&hessian, &jacobian).unwrap();
            assert!(!matches!(kkt.factors, Factors::Sparse(_)));
            kkt.factors = Factors::Condensed(Box::default());
            let (w, j) = (entries_of(hessian.nnz(), 3), entries_of(m * n, 4));
            // a few equations, and inverse weights over many orders of magnitude
            let d_y: Vec<f64> = (0..m)
                .map(|i| if i < n / 2 { 0.0 } else { 10f64.powi(-((i % (exponent + 1)) as i32)) })
                .collect();
            kkt.set(&w, &j, &[], &d_y);
            let inertia = kkt.factor(50.0, 0.0).unwrap();
            assert_eq!(inertia, Inertia { positive: n, negative: m, zero: 0 });
            let b = entries_of(n + m, 5);
            let mut x = vec![0.0; n + m];
            assert!(kkt.solve(&b, &mut x).unwrap() < 1e-8);
            // a nonconvex W shows
            assert!(kkt.factor(-1e9, 0.0).unwrap().negative > m);
        }
    }

    #[test]
    fn no_factorisation_is_begun_without_time() {
        let mut kkt = KktMatrix::new(&full(3), &rows(1, 3)).unwrap();
        kkt.set(&[1.0; 6], &[1.0; 3], &[1.0; 3], &[]);
        kkt.factor(1.0, 0.0).unwrap();
        kkt.set_deadline(Some(Instant::now()));
        assert!(matches!(kkt.factor(1.0, 0.0), Err(FactorError::OutOfTime { .. })));
        kkt.set_deadline(None);
        assert!(kkt.factor(1.0, 0.0).is_ok());
    }

    #[test]
    fn diagonals_are_added_once() {
        let mut kkt = KktMatrix::new(&full(1), &rows(1, 1)).unwrap();
        for _ in 0..2 {
            kkt.set(&[2.0], &[1.0], &[3.0], &[0.5]);
            kkt.factor(1.0, 0.5).unwrap();
            let mut x = [0.0; 2];
            // [6 1; 1 -1] x = (7, 0)
            kkt.solve(&[7.0, 0.0], &mut x).unwrap();
            assert!((x[0] - 1.0).abs() < 1e-15 && (x[1] - 1.0).abs() < 1e-15, "{x:?}");
        }
    }
}
