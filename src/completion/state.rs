//! The factors in the middle of a run, in scaled units, and one sweep over them.

use rayon::prelude::*;

use super::half_step::{Accuracy, Mode, Work, half_step, measure};
use super::row_problem::{Objective, Report};
use super::{Completion, Error, Loss, LowRankModel, Observations, RidgeKind};
use crate::linalg::factor::dense_svd;
use crate::linalg::product::{dot_serial, split_by_ranges};
use crate::linalg::tall::{Element, TallMatrix};

/// What does not change during a run: the problem in scaled units, v' = (v - mean) / scale.
pub(super) struct Setup<'a> {
    pub options: &'a Completion,
    pub problem: &'a Observations,
    pub rows: Work<'a>,
    pub columns: Work<'a>,
    /// Entries that the solver holds out for itself.
    pub held_out: &'a [(u32, u32, f64)],
    pub mean: f64,
    pub scale: f64,
    /// Norm of the scaled values, each times the root of its weight; 1 where all are zero.
    pub norm: f64,
    /// Share of the cells of rows and columns with entries that are observed.
    pub density: f64,
    pub orthonormal: bool,
}

impl<'a> Setup<'a> {
    pub fn new(options: &'a Completion, problem: &'a Observations, held_out: &'a [(u32, u32, f64)]) -> Self {
        let side = problem.row_side();
        let mean = if options.biases { mean(side.values) } else { 0.0 };
        let scale = if options.implicit.is_some() { 1.0 } else { deviation(side.values, mean) };
        Self::with_center(options, problem, held_out, mean, scale)
    }

    pub fn with_center(
        options: &'a Completion,
        problem: &'a Observations,
        held_out: &'a [(u32, u32, f64)],
        mean: f64,
        scale: f64,
    ) -> Self {
        let (side, columns) = (problem.row_side(), problem.column_side());
        let squares: f64 = (0..side.count())
            .map(|i| {
                side.entries(i)
                    .map(|t| {
                        let value = (side.values[t] - mean) / scale;
                        side.weights.map_or(1.0, |weights| weights[t]) * value * value
                    })
                    .sum::<f64>()
            })
            .sum();
        let used =
            |side: super::observations::Side| (0..side.count()).filter(|&i| side.length(i) > 0).count();
        let cells = used(side) as f64 * used(columns) as f64;
        Self {
            options,
            problem,
            rows: Work::new(side),
            columns: Work::new(columns),
            held_out,
            mean,
            scale,
            norm: if squares > 0.0 { squares.sqrt() } else { 1.0 },
            density: problem.len() as f64 / cells,
            orthonormal: options.is_orthonormal(),
        }
    }

    /// Unknowns of a row for rank k: the bias comes last.
    pub fn unknowns(&self, rank: usize) -> usize {
        rank + usize::from(self.options.biases)
    }

    /// Ridge of each unknown in scaled units.
    pub fn ridge(&self, unknowns: usize) -> Vec<f64> {
        // beyond this the factors are nought to rounding, and single precision still has room
        let relative = (self.options.ridge / self.scale).min(1e30);
        let mut ridge = vec![relative; unknowns];
        if self.options.biases {
            ridge[unknowns - 1] = self.options.bias_ridge.unwrap_or(relative);
        }
        ridge
    }

    pub fn objective<'b>(
        &self,
        ridge: &'b [f64],
        common: Option<&'b TallMatrix>,
        delta: Option<f64>,
    ) -> Objective<'b> {
        Objective {
            mean: self.mean,
            inverse_scale: 1.0 / self.scale,
            robust: delta,
            alpha: self.options.implicit,
            common,
            ridge,
            by_count: self.options.ridge_kind == RidgeKind::ByCount,
        }
    }

    /// The ridge's part of the objective.
    pub fn penalty<T: Element>(&self, x: &TallMatrix<T>, y: &TallMatrix<T>) -> f64 {
        let ridge = self.ridge(x.columns());
        if ridge.iter().all(|&ridge| ridge == 0.0) {
            return 0.0;
        }
        let by_count = self.options.ridge_kind == RidgeKind::ByCount;
        let one = |factor: &TallMatrix<T>, work: &Work| -> f64 {
            (0..factor.rows())
                .map(|i| {
                    let count = if by_count { work.side.length(i) as f64 } else { 1.0 };
                    let squares = factor.row(i).iter().zip(&ridge).map(|(v, r)| r * v.widen() * v.widen());
                    count * squares.sum::<f64>()
                })
                .sum()
        };
        0.5 * (one(x, &self.rows) + one(y, &self.columns))
    }
}

fn mean(values: &[f64]) -> f64 {
    // divided before the sum: huge values do not overflow
    let n = values.len() as f64;
    values.iter().map(|v| v / n).sum()
}

/// Root mean square of v - mean, or a positive stand-in where all are zero.
fn deviation(values: &[f64], mean: f64) -> f64 {
    let largest = values.iter().map(|v| (v - mean).abs()).fold(0.0, f64::max);
    let magnitude = values.iter().map(|v| v.abs()).fold(0.0, f64::max);
    // constant values differ from their mean by rounding alone
    if !(largest > 1e-13 * magnitude) {
        return if magnitude > 0.0 { magnitude.max(f64::MIN_POSITIVE) } else { 1.0 };
    }
    let squares: f64 = values.iter().map(|v| ((v - mean) / largest) * ((v - mean) / largest)).sum();
    // a scale below the normal numbers has no reciprocal
    (largest * (squares / values.len() as f64).sqrt()).max(f64::MIN_POSITIVE)
}

/// The factors; the last column of each is the bias where there are biases.
#[derive(Clone, Debug)]
pub(super) struct State<T: Element> {
    pub x: TallMatrix<T>,
    pub y: TallMatrix<T>,
    /// Where the robust loss turns linear.
    pub delta: Option<f64>,
    /// s_1 / s_k of the factor that was orthonormalised last.
    pub condition: f64,
}

/// What a sweep found.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Swept {
    pub objective: f64,
    /// Scaled gradient at the start of the sweep.
    pub gradient: f64,
    /// |P(XY' - V)| / |P(V)|; not for other losses.
    pub residual: f64,
    pub report: Report,
}

impl<T: Element> State<T> {
    pub fn rank(&self, setup: &Setup) -> usize {
        self.x.columns() - usize::from(setup.options.biases)
    }

    /// Both half-steps.
    pub fn sweep(&mut self, setup: &Setup, accuracy: Accuracy) -> Result<Swept, Error> {
        let (biases, orthonormal) = (setup.options.biases, setup.orthonormal);
        if orthonormal {
            self.condition = turn(&mut self.y, &mut self.x)?;
        }
        let ridge = setup.ridge(self.x.columns());
        let norms = (self.x.norm(), self.y.norm());
        let common = self.common(setup, &self.y);
        let objective = setup.objective(&ridge, common.as_ref(), self.delta);
        let mode = |evaluate| Mode { biases, orthonormal, evaluate };
        let mut report = half_step(&setup.rows, &mut self.x, &self.y, &objective, accuracy, mode(false))?;
        if orthonormal {
            self.condition = turn(&mut self.x, &mut self.y)?;
        }
        let ridge = setup.ridge(self.x.columns());
        let row_gradient = report.gradient.sqrt() * norms.0;
        let common = self.common(setup, &self.x);
        let objective = setup.objective(&ridge, common.as_ref(), self.delta);
        let second = half_step(&setup.columns, &mut self.y, &self.x, &objective, accuracy, mode(true))?;
        report.add(&second);
        Ok(Swept {
            objective: second.loss + setup.penalty(&self.x, &self.y),
            gradient: row_gradient / (setup.norm * setup.norm),
            residual: (2.0 * second.loss).sqrt() / setup.norm,
            report,
        })
    }

    /// X'X or Y'Y, which all cells of implicit feedback share.
    fn common(&self, setup: &Setup, fixed: &TallMatrix<T>) -> Option<TallMatrix> {
        setup.options.implicit.map(|_| fixed.gram())
    }

    /// Objective, scaled gradient and residual from scratch.
    pub fn measure(&self, setup: &Setup) -> Swept {
        let ridge = setup.ridge(self.x.columns());
        let biases = setup.options.biases;
        let common = self.common(setup, &self.y);
        let objective = setup.objective(&ridge, common.as_ref(), self.delta);
        let rows = measure(&setup.rows, &self.x, &self.y, biases, &objective);
        let common = self.common(setup, &self.x);
        let objective = setup.objective(&ridge, common.as_ref(), self.delta);
        let columns = measure(&setup.columns, &self.y, &self.x, biases, &objective);
        let size = setup.norm * setup.norm;
        let gradient = rows.gradient.sqrt() * self.x.norm() + columns.gradient.sqrt() * self.y.norm();
        Swept {
            objective: columns.loss + setup.penalty(&self.x, &self.y),
            gradient: gradient / size,
            residual: (2.0 * columns.loss).sqrt() / setup.norm,
            report: Report::default(),
        }
    }

    /// The prediction of v' at (i, j).
    #[inline]
    pub fn predict(&self, biases: bool, i: usize, j: usize) -> f64 {
        let (x, y) = (self.x.row(i), self.y.row(j));
        if !biases {
            return x.iter().zip(y).map(|(x, y)| x.widen() * y.widen()).sum();
        }
        let bias = x.len() - 1;
        let product: f64 = x[..bias].iter().zip(&y[..bias]).map(|(x, y)| x.widen() * y.widen()).sum();
        product + x[bias].widen() + y[bias].widen()
    }

    /// v' - prediction at every entry, by rows or (with `transposed`) by columns.
    pub fn residuals(&self, setup: &Setup, transposed: bool) -> Vec<f64> {
        let work = if transposed { &setup.columns } else { &setup.rows };
        let side = work.side;
        let mut residuals = vec![0.0; side.values.len()];
        let entries: Vec<_> = work
            .ranges()
            .iter()
            .map(|range| side.offsets[range.start] as usize..side.offsets[range.end] as usize)
            .collect();
        let parts = split_by_ranges(&mut residuals, &entries);
        let pieces: Vec<_> = work.ranges().iter().cloned().zip(parts).collect();
        pieces.into_par_iter().for_each(|(range, out)| {
            let first = side.offsets[range.start] as usize;
            for i in range {
                for t in side.entries(i) {
                    let j = side.indices[t] as usize;
                    let (row, column) = if transposed { (j, i) } else { (i, j) };
                    let value = (side.values[t] - setup.mean) / setup.scale;
                    out[t - first] = value - self.predict(setup.options.biases, row, column);
                }
            }
        });
        residuals
    }

    /// Root mean square error over the held-out entries, in the values' units.
    pub fn validation_error(&self, setup: &Setup) -> Option<f64> {
        if setup.held_out.is_empty() {
            return None;
        }
        let squares: f64 = setup
            .held_out
            .iter()
            .map(|&(i, j, value)| {
                let predicted = self.predict(setup.options.biases, i as usize, j as usize);
                let error = (value - setup.mean) / setup.scale - predicted;
                error * error
            })
            .sum();
        Some(setup.scale * (squares / setup.held_out.len() as f64).sqrt())
    }

    /// Where the robust loss turns linear, from the residuals.
    pub fn update_delta(&mut self, setup: &Setup) {
        self.delta = match setup.options.loss {
            Loss::Squares => None,
            Loss::Absolute => Some(1e-3),
            Loss::Huber => Some(super::robust::huber_delta(&mut self.residuals(setup, false))),
        };
    }

    /// The same product with X'X = Y'Y = diag(s), s descending.
    pub fn balanced(&self) -> Result<(State<T>, Vec<f64>), Error> {
        let (mut x, mut y) = (self.x.clone(), self.y.clone());
        let (r, q) = (x.orthonormalize()?, y.orthonormalize()?);
        let k = r.rows();
        let core = faer::Mat::from_fn(k, k, |i, j| dot_serial(r.row(i), q.row(j)));
        let (u, s, v) = dense_svd(core.as_ref())?;
        let root = |w: &faer::Mat<f64>| TallMatrix::from_fn(k, k, |i, j| w[(i, j)] * s[j].sqrt());
        let state = State { x: x.times(&root(&u)), y: y.times(&root(&v)), ..self.clone() };
        Ok((state, s))
    }

    /// Out of scaled units.
    pub fn model(&self, setup: &Setup) -> LowRankModel {
        let biases = setup.options.biases;
        let root = setup.scale.sqrt();
        let convert = |factor: &TallMatrix<T>| {
            let bias = factor.columns() - usize::from(biases);
            TallMatrix::from_fn(factor.rows(), factor.columns(), |i, c| {
                factor.row(i)[c].widen() * if c < bias { root } else { setup.scale }
            })
        };
        LowRankModel::new(setup.mean, convert(&self.x), convert(&self.y), biases)
    }

    /// Into scaled units.
    pub fn from_model(setup: &Setup, model: &LowRankModel) -> Self {
        let root = setup.scale.sqrt();
        let shift = (model.mean() - setup.mean) / setup.scale;
        let convert = |factor: &TallMatrix, shift: f64| {
            let rank = model.rank();
            TallMatrix::from_fn(factor.rows(), setup.unknowns(rank), |i, c| match c {
                _ if c < rank => factor.row(i)[c] / root,
                _ if model.has_biases() => factor.row(i)[c] / setup.scale + shift,
                _ => shift,
            })
        };
        Self {
            x: convert(model.row_factors(), shift),
            y: convert(model.column_factors(), 0.0),
            delta: None,
            condition: 1.0,
        }
    }
}

/// Directions whose singular value is below this share of the largest are dropped: they hold rounding errors alone, which
/// an orthonormal basis would blow up.
const NEGLIGIBLE: f64 = 1e-10;

/// Orthonormalises `fixed` and keeps the product with `moving`; returns the condition of `fixed`.
///
/// With F = Q R and R = U S V', both give up the directions of negligible S: F becomes Q U, the other factor its own
/// product with V S.
fn turn<T: Element>(fixed: &mut TallMatrix<T>, moving: &mut TallMatrix<T>) -> Result<f64, Error> {
    let r = fixed.orthonormalize()?;
    let k = r.rows();
    let (u, s, v) = dense_svd(faer::Mat::from_fn(k, k, |i, j| r.row(i)[j]).as_ref())?;
    let largest = s.first().copied().unwrap_or(0.0);
    let kept = s.iter().filter(|&&value| value > NEGLIGIBLE * largest).count();
    if kept == k || kept == 0 {
        *moving = moving.times(&TallMatrix::from_fn(k, k, |i, j| r.row(j)[i]));
    } else {
        *fixed = fixed.times(&TallMatrix::from_fn(k, kept, |i, j| u[(i, j)]));
        *moving = moving.times(&TallMatrix::from_fn(k, kept, |i, j| v[(i, j)] * s[j]));
    }
    let least = s[..kept].last().copied().unwrap_or(0.0);
    Ok(if least > 0.0 { largest / least } else { f64::INFINITY })
}
