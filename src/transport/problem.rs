//! The statement: masses, costs and the strength of the entropy term.

use std::fmt;

/// Distance between two points, as a cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Sum of squares of the differences.
    SquaredEuclidean,
    /// Root of that sum.
    Euclidean,
    /// Sum of absolute differences.
    Manhattan,
}

impl Metric {
    /// The name used in messages and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Metric::SquaredEuclidean => "sqeuclidean",
            Metric::Euclidean => "euclidean",
            Metric::Manhattan => "manhattan",
        }
    }
}

/// C, n x m: what moving a unit of mass from source i to target j costs.
#[derive(Clone, PartialEq)]
pub enum Cost {
    /// A matrix, row by row: C_ij = `values[i * columns + j]`; +inf forbids the arc.
    Dense {
        /// n.
        rows: usize,
        /// m.
        columns: usize,
        /// n m entries.
        values: Vec<f64>,
    },
    /// Distances between points, computed when needed: memory O((n + m) d).
    Points {
        /// d.
        dimension: usize,
        /// n d coordinates, point by point.
        source: Vec<f64>,
        /// m d coordinates, point by point.
        target: Vec<f64>,
        /// The distance.
        metric: Metric,
    },
    /// Distances between the pixels of two images, in pixels: pixel (r, c) of an image with `columns` columns has index
    /// r columns + c. Squared Euclidean and Manhattan distances are summed axis by axis: O(S^3) work for S x S pixels.
    Grid {
        /// Rows and columns of the source.
        source: [usize; 2],
        /// Rows and columns of the target.
        target: [usize; 2],
        /// The distance.
        metric: Metric,
    },
}

impl fmt::Debug for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, m) = self.shape();
        match self {
            Cost::Dense { .. } => write!(f, "Dense({n} x {m})"),
            Cost::Points { dimension, metric, .. } => {
                write!(f, "Points({n} x {m}, dimension {dimension}, {})", metric.name())
            }
            Cost::Grid { source, target, metric } => {
                write!(f, "Grid({source:?} x {target:?}, {})", metric.name())
            }
        }
    }
}

impl Cost {
    /// n and m.
    pub fn shape(&self) -> (usize, usize) {
        match self {
            Cost::Dense { rows, columns, .. } => (*rows, *columns),
            Cost::Points { dimension, source, target, .. } => {
                (source.len() / (*dimension).max(1), target.len() / (*dimension).max(1))
            }
            Cost::Grid { source, target, .. } => {
                (source[0].saturating_mul(source[1]), target[0].saturating_mul(target[1]))
            }
        }
    }

    /// C_ij for indices inside the shape.
    pub fn at(&self, i: usize, j: usize) -> f64 {
        match self {
            Cost::Dense { columns, values, .. } => values[i * columns + j],
            Cost::Points { dimension: d, source, target, metric } => {
                metric.between(&source[i * d..(i + 1) * d], &target[j * d..(j + 1) * d])
            }
            Cost::Grid { source, target, metric } => {
                let place = |k: usize, shape: &[usize; 2]| [(k / shape[1]) as f64, (k % shape[1]) as f64];
                metric.between(&place(i, source), &place(j, target))
            }
        }
    }
}

impl Metric {
    /// The distance of two points of one dimension.
    pub fn between(self, x: &[f64], y: &[f64]) -> f64 {
        let differences = x.iter().zip(y).map(|(x, y)| x - y);
        match self {
            Metric::SquaredEuclidean => differences.map(|d| d * d).sum(),
            Metric::Euclidean => differences.map(|d| d * d).sum::<f64>().sqrt(),
            Metric::Manhattan => differences.map(f64::abs).sum(),
        }
    }
}

/// min over P >= 0 of <C, P> + eps sum of P_ij (log P_ij - 1), subject to P 1 = a, P'1 = b.
///
/// Everything is checked when a solver is called, by [`check`](Self::check).
#[derive(Clone, Debug, PartialEq)]
pub struct TransportProblem {
    /// C.
    pub cost: Cost,
    /// a, n masses, not negative.
    pub source: Vec<f64>,
    /// b, m masses, not negative, of the same sum.
    pub target: Vec<f64>,
    /// eps > 0, in the units of the cost.
    pub regularization: f64,
}

/// Why a problem is not one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ProblemError {
    /// A side without points.
    #[error("the {0} side has no points")]
    Empty(&'static str),
    /// Sizes that don't fit.
    #[error("{what}: {given}; {expected} would fit")]
    Size {
        /// What was counted.
        what: &'static str,
        /// How many there are.
        given: usize,
        /// How many would be right.
        expected: usize,
    },
    /// A mass that is negative, NaN or infinite.
    #[error("mass {} (from 1) of the {side} is {value}; masses are finite and not negative", index + 1)]
    Mass {
        /// `source` or `target`.
        side: &'static str,
        /// Index, from 0.
        index: usize,
        /// The mass.
        value: f64,
    },
    /// A side whose masses are all zero.
    #[error("the masses of the {0} sum to zero; a positive sum is needed")]
    NoMass(&'static str),
    /// Sums that differ.
    #[error(
        "the source masses sum to {source_sum}, the target masses to {target_sum}; the sums must agree to 1e-9 (normalise both sides to 1)"
    )]
    Sums {
        /// Sum of a.
        source_sum: f64,
        /// Sum of b.
        target_sum: f64,
    },
    /// A cost that is NaN or -inf.
    #[error(
        "the cost of row {}, column {} (from 1) is {value}; costs are finite, or +inf for a forbidden arc",
        row + 1,
        column + 1
    )]
    Cost {
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// The cost.
        value: f64,
    },
    /// A coordinate that is not finite.
    #[error(
        "coordinate {} of point {} (from 1) of the {side} is {value}; it must be finite and below 1e150 in size",
        coordinate + 1,
        index + 1
    )]
    Coordinate {
        /// `source` or `target`.
        side: &'static str,
        /// Point, from 0.
        index: usize,
        /// Coordinate, from 0.
        coordinate: usize,
        /// The value.
        value: f64,
    },
    /// A point of positive mass all of whose arcs are forbidden.
    #[error("{side} {} (from 1) has mass {mass} and no arc that is allowed", index + 1)]
    NoArc {
        /// `source` or `target`.
        side: &'static str,
        /// Index, from 0.
        index: usize,
        /// Its mass.
        mass: f64,
    },
    /// eps that is not positive.
    #[error(
        "the regularization is {0}; it must be positive and finite (exact optimal transport, 0, is not supported yet)"
    )]
    Regularization(f64),
}

impl TransportProblem {
    /// Checks sizes, masses, costs and regularization. O(n m) for a matrix, else O((n + m) d).
    ///
    /// # Errors
    /// The first flaw, with index and value.
    pub fn check(&self) -> Result<(), ProblemError> {
        self.check_masses()?;
        if !(self.regularization > 0.0 && self.regularization.is_finite()) {
            return Err(ProblemError::Regularization(self.regularization));
        }
        let (source, target): (f64, f64) = (self.source.iter().sum(), self.target.iter().sum());
        if !((source - target).abs() <= 1e-9 * source.max(target)) {
            return Err(ProblemError::Sums { source_sum: source, target_sum: target });
        }
        Ok(())
    }

    /// Checks all but the equality of the sums and the regularization.
    ///
    /// # Errors
    /// The first flaw, with index and value.
    pub fn check_masses(&self) -> Result<(), ProblemError> {
        let (n, m) = self.cost.shape();
        for (side, size) in [("source", n), ("target", m)] {
            if size == 0 {
                return Err(ProblemError::Empty(side));
            }
        }
        self.cost.check()?;
        for (side, what, size, masses) in [
            ("source", "masses of the source", n, &self.source),
            ("target", "masses of the target", m, &self.target),
        ] {
            if masses.len() != size {
                return Err(ProblemError::Size { what, given: masses.len(), expected: size });
            }
            if let Some(index) = masses.iter().position(|v| !(*v >= 0.0 && v.is_finite())) {
                return Err(ProblemError::Mass { side, index, value: masses[index] });
            }
            let sum = masses.iter().sum::<f64>();
            if !(sum > 0.0) {
                return Err(ProblemError::NoMass(side));
            }
            if !sum.is_finite() {
                let index = (0..size).max_by(|&i, &j| masses[i].total_cmp(&masses[j])).unwrap_or(0);
                return Err(ProblemError::Mass { side, index, value: masses[index] });
            }
        }
        Ok(())
    }
}

impl Cost {
    /// The largest cost of an arc that is allowed, 0 where there is none: O(n m) for a matrix, little for points.
    pub fn largest(&self) -> f64 {
        match self {
            Cost::Dense { values, .. } => {
                let finite = values.iter().copied().filter(|c| c.is_finite());
                finite.fold(f64::NEG_INFINITY, f64::max).max(0.0)
            }
            Cost::Points { dimension, source, target, metric } => {
                super::kernel::largest_distance(source, target, *dimension, *metric)
            }
            Cost::Grid { source, target, metric } => {
                let far = |k: usize| source[k].max(target[k]).saturating_sub(1) as f64;
                metric.between(&[0.0, 0.0], &[far(0), far(1)])
            }
        }
    }

    fn check(&self) -> Result<(), ProblemError> {
        let (n, m) = self.shape();
        match self {
            Cost::Dense { values, columns, .. } => {
                if Some(values.len()) != n.checked_mul(m) {
                    let (what, expected) = ("entries of the cost", n.saturating_mul(m));
                    return Err(ProblemError::Size { what, given: values.len(), expected });
                }
                let wrong = |v: &f64| !(*v > -1e300 && (*v < 1e299 || *v == f64::INFINITY));
                match values.iter().position(wrong) {
                    None => Ok(()),
                    Some(k) => {
                        let (row, column) = (k / columns, k % columns);
                        Err(ProblemError::Cost { row, column, value: values[k] })
                    }
                }
            }
            Cost::Points { dimension, source, target, .. } => {
                if *dimension == 0 {
                    let what = "coordinates of a point";
                    return Err(ProblemError::Size { what, given: 0, expected: 1 });
                }
                for (side, points) in [("source", source), ("target", target)] {
                    if points.len() % dimension != 0 {
                        let expected = points.len().next_multiple_of(*dimension);
                        let what = "coordinates of all points";
                        return Err(ProblemError::Size { what, given: points.len(), expected });
                    }
                    if let Some(k) = points.iter().position(|v| !(v.abs() < 1e150)) {
                        let (index, coordinate) = (k / dimension, k % dimension);
                        return Err(ProblemError::Coordinate { side, index, coordinate, value: points[k] });
                    }
                }
                Ok(())
            }
            Cost::Grid { .. } => Ok(()),
        }
    }
}
