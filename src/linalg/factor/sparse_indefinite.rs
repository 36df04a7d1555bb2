//! Sparse symmetric indefinite factorisation through feral, with inertia and refined solves.

use feral::scaling::ScalingStrategy;
use feral::symbolic::{OrderingPreprocess, SupernodeParams};
use feral::{CscMatrix, FactorStatus, FeralError, Solver};
use sprs::CsMatViewI;

use crate::linalg::product::norm_inf;

use super::{
    FactorError, Inertia, Pattern, SCALING_PASSES, check_square, expect_size, power_of_two_scale, zero_pivot,
};

/// L B L' of a sparse symmetric matrix, permuted and scaled, B with blocks of one and two rows: multifrontal with threshold
/// pivoting and delayed pivots (Duff and Reid 1983; crate `feral`).
///
/// Ordering and symbolic analysis are kept as long as the pattern stays the same. One thread.
pub struct SparseIndefinite {
    solver: Solver,
    pattern: Pattern,
    /// Lower triangle of S A S by columns, every diagonal entry stored; S is a diagonal of powers of two.
    lower: CscMatrix,
    /// The same entries of A itself.
    values: Vec<f64>,
    /// S.
    scale: Vec<f64>,
    /// Where each entry of `lower` lies in the caller's storage; `ABSENT` for a diagonal entry that isn't stored there.
    source: Vec<usize>,
    inertia: Option<Inertia>,
    /// Largest sum of absolute values in a row: |A| in the maximum norm.
    norm: f64,
    residual: Vec<f64>,
    correction: Vec<f64>,
}

const ABSENT: usize = usize::MAX;

/// How good a refined solution is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Refined {
    /// Steps of iterative refinement that were kept.
    pub steps: usize,
    /// |b - A x| / (|A| |x| + |b|) in maximum norms: x solves a system with A and b changed by this much, relatively.
    pub backward_error: f64,
    /// |b - A x| / |b| in maximum norms; 0 if b is 0.
    pub relative_residual: f64,
}

impl Default for SparseIndefinite {
    fn default() -> Self {
        Self::new()
    }
}

impl SparseIndefinite {
    /// An empty factorisation.
    pub fn new() -> Self {
        Self {
            solver: solver_for(0),
            pattern: Pattern::default(),
            lower: CscMatrix { n: 0, col_ptr: vec![0], row_idx: Vec::new(), values: Vec::new() },
            values: Vec::new(),
            scale: Vec::new(),
            source: Vec::new(),
            inertia: None,
            norm: 0.0,
            residual: Vec::new(),
            correction: Vec::new(),
        }
    }

    /// How often a pattern was analysed so far.
    pub fn analyses(&self) -> usize {
        self.solver.symbolic_call_count()
    }

    /// The inertia of the last factored matrix.
    pub fn inertia(&self) -> Option<Inertia> {
        self.inertia
    }

    /// Flops of a factorisation of the analysed pattern, up to a factor of about two; None before the first one.
    pub fn flops(&self) -> Option<f64> {
        self.solver.work_estimate().map(|estimate| estimate.factor_flops)
    }

    /// The same for a matrix that hasn't been factored yet, by an analysis of its own.
    ///
    /// # Errors
    /// `Dimension` unless A is square; `Backend`.
    pub fn analyse(&mut self, a: CsMatViewI<f64, u32>) -> Result<f64, FactorError> {
        if let (true, Some(flops)) = (self.pattern.matches(a), self.flops()) {
            return Ok(flops);
        }
        expect_size("columns of a square matrix", a.rows(), a.cols())?;
        self.collect_pattern(a);
        let symbolic =
            feral::symbolic::symbolic_factorize(&self.lower, &supernodes(self.lower.n)).map_err(backend)?;
        Ok(symbolic.work_estimate().factor_flops)
    }

    /// How many pivots of the last factorisation were too small to have a sign of their own: where this isn't 0, the
    /// inertia may be off by as much.
    pub fn uncertain_pivots(&self) -> usize {
        self.solver.last_factor_stats().map_or(0, |stats| stats.inertia_uncertain())
    }

    /// Demands larger pivots of the next factorisation, for when a solve wasn't accurate enough. False if that is no
    /// longer possible or would not help.
    pub fn increase_pivot_threshold(&mut self) -> bool {
        self.solver.increase_quality()
    }

    /// Factors A, of which only the lower triangle is read: rows i >= columns j, whether stored by rows or columns.
    ///
    /// A is scaled by powers of two first, so that the largest entry of each row is about one; an eigenvalue of a block of B
    /// counts as zero at 64 sqrt(n) eps or below. A singular matrix is no error here: its zero eigenvalues are counted. Solving
    /// with it is one.
    ///
    /// # Errors
    /// `Dimension` unless A is square; `NonFinite`; `Singular` where the factorisation broke down on a zero pivot before any
    /// count was there; `Backend`.
    pub fn factor(&mut self, a: CsMatViewI<f64, u32>) -> Result<Inertia, FactorError> {
        self.inertia = None;
        check_square(a)?;
        let n = a.rows();
        if !self.pattern.matches(a) || self.lower.n != n {
            self.collect_pattern(a);
        }
        for (value, &source) in self.values.iter_mut().zip(&self.source) {
            *value = if source == ABSENT { 0.0 } else { a.data()[source] };
        }
        if n == 0 {
            self.inertia = Some(Inertia::default());
            return Ok(Inertia::default());
        }
        self.residual.resize(n, 0.0);
        self.correction.resize(n, 0.0);
        self.norm = self.row_sum_norm();
        self.equilibrate();
        match self.solver.factor(&self.lower, None) {
            FactorStatus::Success | FactorStatus::WrongInertia { .. } => {}
            // where only the scaling found the matrix to be structurally singular the factors are there to be counted
            FactorStatus::Singular if self.solver.factors().is_some() => {}
            FactorStatus::Singular => return Err(FactorError::Singular { zero: 1 }),
            FactorStatus::FatalError(error) => return Err(backend(error)),
        }
        // feral counts a pivot as zero only at eps or below; a dependent row often leaves one of a few eps
        let mut inertia = Inertia::default();
        for node in &self.solver.factors().ok_or(FactorError::NotFactored)?.node_factors {
            let front = &node.frontal_factors;
            let (diagonal, subdiagonal) = (&front.d_diag[..front.nelim], &front.d_subdiag);
            inertia.add_blocks(diagonal, subdiagonal, zero_pivot(n));
        }
        self.inertia = Some(inertia);
        Ok(inertia)
    }

    /// Scales A so that the largest entry of each row is near one.
    fn equilibrate(&mut self) {
        let n = self.lower.n;
        let largest = &mut self.correction;
        self.lower.values.copy_from_slice(&self.values);
        self.scale.clear();
        self.scale.resize(n, 1.0);
        for _ in 0..SCALING_PASSES {
            largest.fill(0.0);
            for j in 0..n {
                for k in self.lower.col_ptr[j]..self.lower.col_ptr[j + 1] {
                    let (i, size) = (self.lower.row_idx[k], self.lower.values[k].abs());
                    largest[i] = largest[i].max(size);
                    largest[j] = largest[j].max(size);
                }
            }
            largest.iter_mut().for_each(|value| *value = power_of_two_scale(*value));
            for j in 0..n {
                for k in self.lower.col_ptr[j]..self.lower.col_ptr[j + 1] {
                    self.lower.values[k] *= largest[self.lower.row_idx[k]] * largest[j];
                }
                self.scale[j] *= largest[j];
            }
        }
    }

    /// Lays out the lower triangle by columns, rows ascending, and notes where each entry comes from.
    fn collect_pattern(&mut self, a: CsMatViewI<f64, u32>) {
        let n = a.rows();
        if (n > LARGEST_MATCHED) != (self.lower.n > LARGEST_MATCHED) {
            self.solver = solver_for(n);
        }
        let mut entries: Vec<(usize, usize, usize)> = Vec::with_capacity(a.nnz() + n);
        entries.extend((0..n).map(|j| (j, j, ABSENT)));
        let pointers = a.proper_indptr();
        for outer in 0..n {
            for position in pointers[outer] as usize..pointers[outer + 1] as usize {
                let inner = a.indices()[position] as usize;
                let (row, column) = if a.is_csc() { (inner, outer) } else { (outer, inner) };
                if row >= column {
                    entries.push((column, row, position));
                }
            }
        }
        // a stored diagonal entry sorts before the absent one, which then goes as a duplicate
        entries.sort_unstable();
        entries.dedup_by_key(|&mut (column, row, _)| (column, row));
        let mut col_ptr = vec![0; n + 1];
        for &(column, _, _) in &entries {
            col_ptr[column + 1] += 1;
        }
        for j in 0..n {
            col_ptr[j + 1] += col_ptr[j];
        }
        let row_idx = entries.iter().map(|&(_, row, _)| row).collect();
        self.lower = CscMatrix { n, col_ptr, row_idx, values: vec![0.0; entries.len()] };
        self.values.resize(entries.len(), 0.0);
        self.source = entries.into_iter().map(|(_, _, position)| position).collect();
        self.pattern = Pattern::of(a);
    }

    fn row_sum_norm(&mut self) -> f64 {
        let sums = &mut self.residual;
        sums.fill(0.0);
        for j in 0..self.lower.n {
            for k in self.lower.col_ptr[j]..self.lower.col_ptr[j + 1] {
                let (i, size) = (self.lower.row_idx[k], self.values[k].abs());
                sums[i] += size;
                if i != j {
                    sums[j] += size;
                }
            }
        }
        sums.iter().copied().fold(0.0, f64::max)
    }

    /// Solves A x = b with at most `max_steps` steps of iterative refinement on the original matrix; stops at a backward
    /// error of eps, and drops a step that doesn't at least halve it.
    ///
    /// # Errors
    /// `NotFactored`; `Dimension`; `Singular` if the inertia counts a zero, or if no finite x came out.
    pub fn solve(&mut self, b: &[f64], x: &mut [f64], max_steps: usize) -> Result<Refined, FactorError> {
        let inertia = self.inertia.ok_or(FactorError::NotFactored)?;
        let n = self.lower.n;
        expect_size("entries of the right-hand side", n, b.len())?;
        expect_size("entries of the solution", n, x.len())?;
        if inertia.zero > 0 {
            return Err(FactorError::Singular { zero: inertia.zero });
        }
        if n == 0 {
            return Ok(Refined { steps: 0, backward_error: 0.0, relative_residual: 0.0 });
        }
        self.residual.copy_from_slice(b);
        self.correct()?;
        x.copy_from_slice(&self.correction);
        let mut best = self.judge(b, x, 0);
        while best.steps < max_steps && best.backward_error > f64::EPSILON {
            self.correct()?;
            x.iter_mut().zip(&self.correction).for_each(|(x, d)| *x += d);
            let next = self.judge(b, x, best.steps + 1);
            if next.backward_error <= 0.5 * best.backward_error {
                best = next;
                continue;
            }
            if next.backward_error.is_nan() || next.backward_error > best.backward_error {
                x.iter_mut().zip(&self.correction).for_each(|(x, d)| *x -= d);
                return Ok(self.judge(b, x, best.steps));
            }
            return Ok(next);
        }
        if best.backward_error.is_finite() { Ok(best) } else { Err(FactorError::Singular { zero: 1 }) }
    }

    /// correction <- A^{-1} residual, by the factors alone; overwrites the residual.
    fn correct(&mut self) -> Result<(), FactorError> {
        self.residual.iter_mut().zip(&self.scale).for_each(|(r, s)| *r *= s);
        self.solver.solve_into(&self.residual, &mut self.correction).map_err(backend)?;
        self.correction.iter_mut().zip(&self.scale).for_each(|(d, s)| *d *= s);
        Ok(())
    }

    /// Computes b - A x into `residual`, and its size.
    fn judge(&mut self, b: &[f64], x: &[f64], steps: usize) -> Refined {
        self.residual.copy_from_slice(b);
        for j in 0..self.lower.n {
            for k in self.lower.col_ptr[j]..self.lower.col_ptr[j + 1] {
                let (i, value) = (self.lower.row_idx[k], self.values[k]);
                self.residual[i] -= value * x[j];
                if i != j {
                    self.residual[j] -= value * x[i];
                }
            }
        }
        let (residual, right) = (norm_inf(&self.residual), norm_inf(b));
        let scale = self.norm * norm_inf(x) + right;
        Refined {
            steps,
            backward_error: if residual == 0.0 { 0.0 } else { residual / scale },
            relative_residual: if residual == 0.0 { 0.0 } else { residual / right },
        }
    }
}

/// Up to this size matchings may find scalings and pair the pivots of zero diagonal entries before the ordering; they can take time
/// like the square of the size. Beyond it the scaling above and threshold pivoting have to do.
const LARGEST_MATCHED: usize = 10_000;

fn solver_for(n: usize) -> Solver {
    let scaling = if n <= LARGEST_MATCHED { ScalingStrategy::Auto } else { ScalingStrategy::Identity };
    Solver::with_params(Default::default(), supernodes(n)).with_parallel(false).with_scaling(scaling)
}

fn supernodes(n: usize) -> SupernodeParams {
    let preprocess = if n <= LARGEST_MATCHED { OrderingPreprocess::Auto } else { OrderingPreprocess::None };
    SupernodeParams { preprocess, ..Default::default() }
}

fn backend(error: FeralError) -> FactorError {
    match error {
        FeralError::NumericallyRankDeficient => FactorError::Singular { zero: 1 },
        error => FactorError::Backend(error.to_string()),
    }
}
