//! What solvers work on: positive masses of sum one, costs without a large offset, near points together.

use std::borrow::Cow;

use super::kernel::{
    Costs, DenseCosts, Evaluation, FORBIDDEN, Gather, GridCosts, Masses, PointCosts, axes, order,
};
use super::problem::{Cost, Metric, ProblemError, TransportProblem};

/// Where the kernel comes from.
pub(crate) enum Kernel<'a> {
    Dense(DenseCosts<'a>),
    Points(PointCosts),
    Grid(GridCosts),
}

impl Kernel<'_> {
    /// Its rows.
    pub fn costs(&self) -> &dyn Costs {
        match self {
            Kernel::Dense(dense) => dense,
            Kernel::Points(points) => points,
            Kernel::Grid(grid) => &grid.points,
        }
    }

    /// The points behind it, where there are any.
    pub fn points(&self) -> Option<&PointCosts> {
        match self {
            Kernel::Dense(_) => None,
            Kernel::Points(points) => Some(points),
            Kernel::Grid(grid) => Some(&grid.points),
        }
    }

    /// Evaluates the semi-dual at `evaluation.g`.
    pub fn evaluate(&self, evaluation: &mut Evaluation, masses: &Masses, gather: Option<Gather>) {
        match self {
            Kernel::Grid(grid) if gather.is_none() && grid.points.metric != Metric::Euclidean => {
                grid.evaluate(evaluation, masses);
            }
            _ => evaluation.run(self.costs(), masses, gather),
        }
    }
}

/// A problem with all that is trivial taken out; its rows are the side with more points.
pub(crate) struct Reduced<'a> {
    pub kernel: Kernel<'a>,
    pub a: Vec<f64>,
    pub b: Vec<f64>,
    pub log_a: Vec<f64>,
    pub log_b: Vec<f64>,
    pub eps: f64,
    /// max C - min C over the arcs that are allowed.
    pub range: f64,
    /// max C, offset taken out: no plan costs more, entropy included.
    pub most: f64,
    /// Whether arcs are forbidden.
    pub forbidden: bool,
    /// The problem's index of each row and each column here.
    pub rows: Vec<u32>,
    pub columns: Vec<u32>,
    /// Whether rows here are the problem's columns.
    pub transposed: bool,
    /// Rows and columns of the problem, in the sense of rows and columns here.
    pub sizes: (usize, usize),
    /// What was subtracted from the costs.
    pub offset: f64,
    /// Sum of the problem's masses.
    pub total: f64,
}

/// Indices of positive masses.
fn support(masses: &[f64]) -> Vec<u32> {
    (0..masses.len() as u32).filter(|&i| masses[i as usize] > 0.0).collect()
}

impl<'a> Reduced<'a> {
    /// Checks the problem and reduces it. Costs between points are held as a matrix up to `matrix_entries` entries.
    pub fn new(problem: &'a TransportProblem, matrix_entries: usize) -> Result<Self, ProblemError> {
        problem.check()?;
        Self::build(problem, matrix_entries)
    }

    /// The same for masses whose sums may differ: they stay as they are, and so do the costs.
    pub fn with_own_masses(
        problem: &'a TransportProblem,
        matrix_entries: usize,
    ) -> Result<Self, ProblemError> {
        problem.check_masses()?;
        if !(problem.regularization > 0.0 && problem.regularization.is_finite()) {
            return Err(ProblemError::Regularization(problem.regularization));
        }
        let mut reduced = Self::build(problem, matrix_entries)?;
        let (mut a, mut b) = (&problem.source, &problem.target);
        if reduced.transposed {
            std::mem::swap(&mut a, &mut b);
        }
        let pick = |kept: &[u32], masses: &[f64]| kept.iter().map(|&i| masses[i as usize]).collect();
        (reduced.a, reduced.b) = (pick(&reduced.rows, a), pick(&reduced.columns, b));
        let log = |w: &[f64]| w.iter().map(|w| w.ln()).collect();
        (reduced.log_a, reduced.log_b) = (log(&reduced.a), log(&reduced.b));
        reduced.total = 1.0;
        if let (Kernel::Dense(dense), true) = (&mut reduced.kernel, reduced.offset != 0.0) {
            let offset = reduced.offset;
            let shifted = dense.values.to_mut().iter_mut();
            shifted.filter(|c| **c < FORBIDDEN).for_each(|c| *c += offset);
            reduced.offset = 0.0;
        }
        Ok(reduced)
    }

    fn build(problem: &'a TransportProblem, matrix_entries: usize) -> Result<Self, ProblemError> {
        let (mut rows, mut columns) = (support(&problem.source), support(&problem.target));
        let transposed = columns.len() > rows.len();
        let small = rows.len().saturating_mul(columns.len()) <= matrix_entries;
        let kernel = match &problem.cost {
            Cost::Dense { .. } => None,
            Cost::Points { dimension, source, target, metric } => {
                rows = in_tree_order(&rows, source, *dimension);
                columns = in_tree_order(&columns, target, *dimension);
                let (x, y) = (axes(source, *dimension, &rows), axes(target, *dimension, &columns));
                Some(Kernel::Points(PointCosts::new(*metric, x, y)))
            }
            Cost::Grid { source, target, metric } => {
                let places = |shape: &[usize; 2]| -> Vec<f64> {
                    (0..shape[0] * shape[1])
                        .flat_map(|k| [(k / shape[1]) as f64, (k % shape[1]) as f64])
                        .collect()
                };
                let (x, y) = (places(source), places(target));
                rows = in_tree_order(&rows, &x, 2);
                columns = in_tree_order(&columns, &y, 2);
                let points = PointCosts::new(*metric, axes(&x, 2, &rows), axes(&y, 2, &columns));
                let pixels = [rows.clone(), columns.clone()];
                Some(Kernel::Grid(GridCosts { points, pixels, shapes: [*source, *target] }))
            }
        };
        let kernel = match kernel {
            Some(kernel) if !small => kernel.transposed_if(transposed),
            _ => Kernel::Dense(matrix(problem, &rows, &columns, transposed)?),
        };
        let (mut a, mut b) = (&problem.source, &problem.target);
        if transposed {
            std::mem::swap(&mut rows, &mut columns);
            std::mem::swap(&mut a, &mut b);
        }
        let sizes = (a.len(), b.len());
        let total: f64 = a.iter().sum();
        let share = |masses: &[f64], kept: &[u32]| -> Vec<f64> {
            let sum: f64 = masses.iter().sum();
            kept.iter().map(|&i| masses[i as usize] / sum).collect()
        };
        let (a, b) = (share(a, &rows), share(b, &columns));
        let log = |w: &[f64]| w.iter().map(|w| w.ln()).collect();
        let (log_a, log_b) = (log(&a), log(&b));
        let mut reduced = Self {
            kernel,
            a,
            b,
            log_a,
            log_b,
            eps: problem.regularization,
            range: 0.0,
            most: 0.0,
            forbidden: false,
            rows,
            columns,
            transposed,
            sizes,
            offset: 0.0,
            total,
        };
        reduced.settle_range(problem)?;
        Ok(reduced)
    }

    /// Finds the range of the costs, takes a large offset out, and marks forbidden arcs.
    fn settle_range(&mut self, problem: &TransportProblem) -> Result<(), ProblemError> {
        let transposed = self.transposed;
        match &mut self.kernel {
            Kernel::Dense(dense) => {
                let (least, most) = dense.range();
                self.forbidden = dense.values.iter().any(|&c| c >= FORBIDDEN);
                if self.forbidden {
                    find_isolated(dense, &self.rows, &self.columns, transposed, problem)?;
                    dense.values.to_mut().iter_mut().for_each(|c| *c = c.min(FORBIDDEN));
                }
                (self.range, self.most) = (most - least, most);
                if least.abs() > 4.0 * self.range {
                    (self.offset, self.most) = (least, self.range);
                    let shifted = dense.values.to_mut().iter_mut();
                    shifted.filter(|c| **c < FORBIDDEN).for_each(|c| *c -= least);
                }
            }
            Kernel::Points(points) => self.range = points.largest_cost(),
            Kernel::Grid(grid) => self.range = grid.points.largest_cost(),
        }
        self.most = self.most.max(self.range);
        Ok(())
    }

    /// Masses at a temperature; `loss` is the mass that skipped tiles may lose in all.
    pub fn masses(&self, eps: f64, loss: f64) -> Masses<'_> {
        let loss = loss / self.b.len() as f64;
        Masses { a: &self.a, log_a: &self.log_a, b: &self.b, eps, loss }
    }
}

impl Kernel<'_> {
    fn transposed_if(self, transposed: bool) -> Self {
        match self {
            Kernel::Points(points) if transposed => Kernel::Points(points.transposed()),
            Kernel::Grid(GridCosts { points, pixels: [source, target], shapes: [from, to] })
                if transposed =>
            {
                let (pixels, shapes) = ([target, source], [to, from]);
                Kernel::Grid(GridCosts { points: points.transposed(), pixels, shapes })
            }
            other => other,
        }
    }
}

fn in_tree_order(kept: &[u32], points: &[f64], dimension: usize) -> Vec<u32> {
    let gathered: Vec<f64> = kept
        .iter()
        .flat_map(|&i| &points[i as usize * dimension..(i as usize + 1) * dimension])
        .copied()
        .collect();
    order(&gathered, dimension).into_iter().map(|k| kept[k as usize]).collect()
}

/// The costs between the kept rows and columns as a matrix, borrowed where nothing changes.
fn matrix<'a>(
    problem: &'a TransportProblem,
    rows: &[u32],
    columns: &[u32],
    transposed: bool,
) -> Result<DenseCosts<'a>, ProblemError> {
    let (n, m) = problem.cost.shape();
    if let Cost::Dense { values, .. } = &problem.cost
        && !transposed
        && (rows.len(), columns.len()) == (n, m)
    {
        return Ok(DenseCosts { rows: n, columns: m, values: Cow::Borrowed(values) });
    }
    let (outer, inner) = if transposed { (columns, rows) } else { (rows, columns) };
    let mut values = Vec::with_capacity(outer.len() * inner.len());
    for &i in outer {
        for &j in inner {
            let (i, j) = if transposed { (j, i) } else { (i, j) };
            values.push(problem.cost.at(i as usize, j as usize));
        }
    }
    Ok(DenseCosts { rows: outer.len(), columns: inner.len(), values: Cow::Owned(values) })
}

/// Refuses a row or column without an arc that is allowed.
fn find_isolated(
    dense: &DenseCosts,
    rows: &[u32],
    columns: &[u32],
    transposed: bool,
    problem: &TransportProblem,
) -> Result<(), ProblemError> {
    let allowed = |i: usize, j: usize| dense.row(i)[j] < FORBIDDEN;
    let row = (0..dense.rows).find(|&i| !(0..dense.columns).any(|j| allowed(i, j)));
    let column = (0..dense.columns).find(|&j| !(0..dense.rows).any(|i| allowed(i, j)));
    let found = row.map(|i| (rows[i], !transposed)).or(column.map(|j| (columns[j], transposed)));
    match found {
        None => Ok(()),
        Some((index, is_source)) => {
            let index = index as usize;
            let (side, masses) =
                if is_source { ("source", &problem.source) } else { ("target", &problem.target) };
            Err(ProblemError::NoArc { side, index, mass: masses[index] })
        }
    }
}
