//! Newton steps from iterative solvers: MINRES or sketch-and-project, run only as far as the accuracy rule asks.

use std::ops::ControlFlow;
use std::time::Instant;

use sprs::{CsMatI, CsMatViewI};

use super::merit::{GROWTH, Penalties, Slope};
use super::options::{Accuracy, InnerSolver, SketchNewton};
use super::state::State;
use crate::constrained::error::Error;
use crate::constrained::kkt::frobenius_norm;
use crate::control::Run;
use crate::linalg::factor::DenseCholesky;
use crate::linalg::krylov::{Identity, Progress, Stopping, Workspace, minres};
use crate::linalg::product::{dot, norm};
use crate::linalg::sketch_project::SketchProject;
use crate::problem::nonlinear::{Pattern, entries};

/// How often the practical rule sharpens the accuracy tenfold before it changes the penalties.
const SHARPENINGS: usize = 6;
/// The loosest relative residual of the practical rule.
const LOOSEST: f64 = 0.1;
/// delta of the worst-case rule at the start, and its floor.
const FIRST_DELTA: f64 = 0.1;
const SMALLEST_DELTA: f64 = 1e-6;
/// Constants of the worst-case rule: xi_B and beta.
const LEAST_CURVATURE: f64 = 0.1;
const BETA: f64 = 0.1;
/// Worst-case residuals below this times |b| are beyond floating point.
const ROUNDING: f64 = 1e-15;

/// The iterative solver of a run.
pub(super) struct Inexact {
    /// The KKT matrix, both triangles, by rows.
    matrix: CsMatI<f64, u32>,
    /// Where entries of the lower triangle lie in it: below and above the diagonal.
    places: Vec<(u32, u32)>,
    solver: Solver,
    accuracy: Accuracy,
    delta: f64,
    limit: usize,
    /// Products with the matrix (MINRES) or steps, so far and in the last iteration.
    pub steps: u64,
    pub last_steps: u64,
    /// Steps taken although the descent test failed at the ends of the penalties.
    pub doubtful: u64,
    pub seconds: f64,
}

enum Solver {
    Minres(Workspace),
    Sketch(Box<SketchProject>),
}

impl Inexact {
    /// Lays out the full matrix for the pattern of its lower triangle; None for a direct solver.
    pub fn new(options: &SketchNewton, lower: CsMatViewI<f64, u32>) -> Option<Self> {
        let solver = match options.inner {
            InnerSolver::Direct => return None,
            InnerSolver::Minres => Solver::Minres(Workspace::new()),
            InnerSolver::Sketch(projection) => {
                Solver::Sketch(Box::new(SketchProject::new(projection, options.seed)))
            }
        };
        let (matrix, places) = mirror(lower);
        let (accuracy, limit) = (options.accuracy, options.inner_limit);
        let (steps, last_steps, doubtful, seconds) = (0, 0, 0, 0.0);
        Some(Self {
            matrix,
            places,
            solver,
            accuracy,
            delta: FIRST_DELTA,
            limit,
            steps,
            last_steps,
            doubtful,
            seconds,
        })
    }

    /// The step into `state.d`, as accurate as the rule asks, and the slope along it.
    pub fn direction(
        &mut self,
        state: &mut State,
        lower: CsMatViewI<f64, u32>,
        b: &[f64],
        penalties: &mut Penalties,
        run: &Run,
    ) -> Result<f64, Error> {
        for (&value, &(below, above)) in lower.data().iter().zip(&self.places) {
            self.matrix.data_mut()[below as usize] = value;
            self.matrix.data_mut()[above as usize] = value;
        }
        state.d.fill(0.0);
        self.last_steps = 0;
        let started = Instant::now();
        let slope = match self.accuracy {
            Accuracy::Practical => self.practical(state, b, penalties, run),
            Accuracy::WorstCase => self.worst_case(state, b, penalties, run),
        };
        self.steps += self.last_steps;
        self.seconds += started.elapsed().as_secs_f64();
        slope
    }

    /// Accepts once |A d - b| <= omega |b| and the merit function descends: omega falls tenfold first, then the penalties move.
    fn practical(
        &mut self,
        state: &mut State,
        b: &[f64],
        penalties: &mut Penalties,
        run: &Run,
    ) -> Result<f64, Error> {
        let size = norm(b);
        let mut omega = size.sqrt().min(LOOSEST);
        for sharpenings in 0.. {
            let room = self.solve(state, b, omega * size, run)?;
            state.multiply_step();
            let slope = Slope::along(state);
            if slope.descends(penalties) {
                return Ok(slope.value(penalties));
            }
            if sharpenings < SHARPENINGS && room {
                omega *= 0.1;
                continue;
            }
            return Ok(self.sharpen(&slope, penalties));
        }
        Ok(f64::NAN)
    }

    /// The published rule: |A|_F Psi |A d - b| <= delta |b|, with delta small enough that every such step descends once the
    /// penalties fit.
    fn worst_case(
        &mut self,
        state: &mut State,
        b: &[f64],
        penalties: &mut Penalties,
        run: &Run,
    ) -> Result<f64, Error> {
        let n = state.at.x.len();
        let square = |lower: f64| lower * lower;
        let w = state.evaluator.hessian_pattern().map_or(0.0, |pattern| frobenius_norm(pattern, &state.w));
        let j = norm(&state.at.j);
        // the matrix holds B and J
        let a = norm(self.matrix.data());
        let hessian = (square(a) - 2.0 * square(j)).max(square(w));
        let rows = least_row_curvature(state.evaluator.jacobian_pattern(), &state.at.j, state.at.y.len());
        let psi = 20.0 * hessian.max(1.0) / (rows.min(1.0) * LEAST_CURVATURE.min(1.0));
        let upsilon = j.max(w).max(1.0);
        let size = norm(b);
        debug_assert_eq!(b.len(), n + state.at.y.len());
        loop {
            let (eta1, eta2) = (penalties.constraints, penalties.lagrangian);
            let trial = (0.5 - BETA) * eta2 / ((1.0 + eta1 + eta2) * square(upsilon) * square(psi));
            self.delta = self.delta.min(trial).max(SMALLEST_DELTA);
            let target = (self.delta / (a * psi)).max(ROUNDING) * size;
            let room = self.solve(state, b, target, run)?;
            state.multiply_step();
            let slope = Slope::along(state);
            if slope.descends(penalties) {
                return Ok(slope.value(penalties));
            }
            if !room {
                return Ok(self.sharpen(&slope, penalties));
            }
            if !penalties.sharpen() {
                self.doubtful += 1;
                return Ok(slope.value(penalties));
            }
            self.delta /= GROWTH.powi(4);
        }
    }

    /// Moves the penalties until the slope descends, or to their ends.
    fn sharpen(&mut self, slope: &Slope, penalties: &mut Penalties) -> f64 {
        while !slope.descends(penalties) {
            if !penalties.sharpen() {
                self.doubtful += 1;
                break;
            }
        }
        slope.value(penalties)
    }

    /// Goes on from `state.d` to a residual of at most `target`; false where the steps are used up or go nowhere.
    fn solve(&mut self, state: &mut State, b: &[f64], target: f64, run: &Run) -> Result<bool, Error> {
        let most = self.limit.saturating_sub(self.last_steps as usize);
        let (steps, residual) = match &mut self.solver {
            Solver::Minres(workspace) => {
                let stopping = Stopping { tolerance: 0.0, absolute: target, max_iterations: most };
                let identity = Identity(b.len());
                let mut ask = |_: &Progress| match run.should_stop() {
                    Some(_) => ControlFlow::Break(()),
                    None => ControlFlow::Continue(()),
                };
                let outcome =
                    minres(&self.matrix, &identity, b, &mut state.d, &stopping, workspace, Some(&mut ask))
                        .map_err(|error| Error::Option(error.to_string()))?;
                (outcome.iterations, outcome.residual)
            }
            Solver::Sketch(solver) => solver
                .run(self.matrix.view(), b, &mut state.d, target, most, &mut || run.should_stop().is_some())
                .map_err(|error| Error::Option(error.to_string()))?,
        };
        self.last_steps += steps as u64;
        Ok(residual <= target)
    }
}

/// The full matrix of a lower triangle stored by rows, its values zero, and where each entry lies in it.
fn mirror(lower: CsMatViewI<f64, u32>) -> (CsMatI<f64, u32>, Vec<(u32, u32)>) {
    let size = lower.rows();
    let mut offsets = vec![0u32; size + 1];
    for (_, (row, column)) in lower.iter() {
        offsets[row as usize + 1] += 1;
        if row != column {
            offsets[column as usize + 1] += 1;
        }
    }
    for row in 0..size {
        offsets[row + 1] += offsets[row];
    }
    let mut next: Vec<u32> = offsets[..size].to_vec();
    let mut indices = vec![0u32; offsets[size] as usize];
    let mut put = |row: u32, column: u32| {
        let place = next[row as usize];
        indices[place as usize] = column;
        next[row as usize] += 1;
        place
    };
    // entries left of the diagonal come first, by rows; those right of it follow in the order of their rows
    let places = lower
        .iter()
        .map(|(_, (row, column))| {
            let below = put(row, column);
            (below, if row == column { below } else { put(column, row) })
        })
        .collect();
    let values = vec![0.0; indices.len()];
    (CsMatI::new((size, size), offsets, indices, values), places)
}

/// The least eigenvalue of J J', by inverse iteration; at least 1e-14, also where the rows are dependent.
fn least_row_curvature(pattern: &Pattern, j: &[f64], m: usize) -> f64 {
    const LEAST: f64 = 1e-14;
    if m == 0 {
        return 1.0;
    }
    let mut rows = vec![vec![0.0; pattern.cols()]; m];
    for ((row, column), value) in entries(pattern).zip(j) {
        rows[row][column] = *value;
    }
    let gram: Vec<f64> = rows.iter().flat_map(|a| rows.iter().map(move |b| dot(a, b))).collect();
    let mut cholesky = DenseCholesky::new();
    if cholesky.factor(m, &gram).is_err() {
        return LEAST;
    }
    let mut v: Vec<f64> = (0..m).map(|i| 1.0 + 0.1 * (i as f64).sin()).collect();
    let mut eigenvalue = f64::INFINITY;
    for _ in 0..30 {
        let length = norm(&v);
        v.iter_mut().for_each(|v| *v /= length);
        if cholesky.solve_in_place(&mut v).is_err() {
            return LEAST;
        }
        eigenvalue = 1.0 / norm(&v);
    }
    eigenvalue.max(LEAST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirrored_matrix_is_symmetric_and_sorted() {
        let lower = CsMatI::<f64, u32>::new(
            (4, 4),
            vec![0, 1, 3, 4, 7],
            vec![0, 0, 1, 2, 0, 1, 3],
            vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
        );
        let (mut full, places) = mirror(lower.view());
        for (&value, &(below, above)) in lower.data().iter().zip(&places) {
            full.data_mut()[below as usize] = value;
            full.data_mut()[above as usize] = value;
        }
        assert!(full.check_compressed_structure().is_ok());
        assert_eq!(full.nnz(), 10);
        for (value, (row, column)) in lower.iter() {
            assert_eq!(full.get(row as usize, column as usize), Some(value));
            assert_eq!(full.get(column as usize, row as usize), Some(value));
        }
    }

    #[test]
    fn the_least_eigenvalue_of_the_rows() {
        let pattern = Pattern::new((2, 3), vec![0, 1, 3], vec![0, 1, 2], vec![(); 3]);
        assert!((least_row_curvature(&pattern, &[3.0, 1.0, 1.0], 2) - 2.0).abs() < 1e-12);
        let dependent = Pattern::new((2, 1), vec![0, 1, 2], vec![0, 0], vec![(); 2]);
        assert_eq!(least_row_curvature(&dependent, &[1.0, 1.0], 2), 1e-14);
    }
}
