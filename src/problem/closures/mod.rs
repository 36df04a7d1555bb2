//! A nonlinear program put together from closures and lists of non-zero positions.
//!
//! `layout` turns listed positions into patterns, `differences` stands in for second derivatives that are not given.

mod differences;
mod layout;

pub(crate) use differences::colours;

use super::nonlinear::{NonlinearProgram, Pattern, add_symmetric_product};
use layout::Layout;

/// What is wrong with the parts of a [`Closures`].
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ClosuresError {
    /// No objective and no constraint was given.
    #[error("a problem needs an objective or constraints")]
    Empty,
    /// A position outside its matrix.
    #[error("position ({row}, {column}) lies outside the {rows} x {columns} {what}")]
    Position {
        /// Jacobian or Hessian.
        what: &'static str,
        /// Row, from 0.
        row: usize,
        /// Column, from 0.
        column: usize,
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        columns: usize,
    },
    /// Vectors whose lengths differ.
    #[error("{what} has {actual} entries; {expected} are expected")]
    Length {
        /// Which vector.
        what: &'static str,
        /// The length that fits.
        expected: usize,
        /// The length that was given.
        actual: usize,
    },
}

type Value<'a> = Box<dyn Fn(&[f64]) -> f64 + Sync + 'a>;
type Vector<'a> = Box<dyn Fn(&[f64], &mut [f64]) + Sync + 'a>;
type Second<'a> = Box<dyn Fn(&[f64], f64, &[f64], &mut [f64]) + Sync + 'a>;

/// A nonlinear program in the making, then a nonlinear program: [`build`](Self::build) checks it.
///
/// Positions of non-zeros may be listed in any order; values are written in the order of the list, and values of one position
/// are added. Without a Hessian its values come from central differences of the Lagrangian's gradient, columns without a
/// common row moved together (Curtis, Powell and Reid 1974). Where that takes more than 200 gradients on either side (no positions
/// given for more than 200 variables, say) no Hessian is stored: the interior point goes on with limited memory, products
/// with it are differences along the direction.
///
/// ```
/// use gradus::constrained::SketchNewton;
/// use gradus::problem::closures::Closures;
///
/// // the point of the circle x^2 + y^2 = 2 with the least x + y
/// let problem = Closures::new(vec![1.0, -2.0])
///     .objective(|x| x[0] + x[1], |_, g| g.fill(1.0))
///     .equations(1, &[(0, 0), (0, 1)], |x, c| c[0] = x[0] * x[0] + x[1] * x[1] - 2.0, |x, j| {
///         j[0] = 2.0 * x[0];
///         j[1] = 2.0 * x[1];
///     })
///     .hessian(&[(0, 0), (1, 1)], |_, _, y, w| w.fill(2.0 * y[0]))
///     .build()?;
/// let solution = SketchNewton::default().solve(&problem)?;
/// assert!((solution.x[0] + 1.0).abs() < 1e-8 && (solution.objective + 2.0).abs() < 1e-8);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Closures<'a> {
    start: Vec<f64>,
    start_multipliers: Vec<f64>,
    lower: Vec<f64>,
    upper: Vec<f64>,
    row_lower: Vec<f64>,
    row_upper: Vec<f64>,
    objective: Option<(Value<'a>, Vector<'a>)>,
    constraints: Option<(Vector<'a>, Vector<'a>)>,
    jacobian_positions: Vec<(usize, usize)>,
    hessian_positions: Option<Vec<(usize, usize)>>,
    hessian: Option<Second<'a>>,
    jacobian: Layout,
    second: Layout,
    /// For each set of columns moved together, its columns; empty where the Hessian is given.
    colours: Vec<Vec<u32>>,
    /// Whether the Hessian is stored.
    stored: bool,
    linear: bool,
}

/// With more sets of columns than this, differences take the place of the Hessian in products alone.
const MOST_COLOURS: usize = 200;

/// Scratch memory: listed values before they are put in their places, and what differences need.
#[derive(Clone, Default)]
pub struct ClosuresWorkspace {
    listed: Vec<f64>,
    moved: Vec<f64>,
    gradients: [Vec<f64>; 2],
}

impl<'a> Closures<'a> {
    /// A problem in as many variables as the start has entries, without bounds.
    pub fn new(start: Vec<f64>) -> Self {
        let n = start.len();
        Self {
            lower: vec![f64::NEG_INFINITY; n],
            upper: vec![f64::INFINITY; n],
            start,
            start_multipliers: Vec::new(),
            row_lower: Vec::new(),
            row_upper: Vec::new(),
            objective: None,
            constraints: None,
            jacobian_positions: Vec::new(),
            hessian_positions: None,
            hessian: None,
            jacobian: Layout { pattern: Pattern::zero((0, n)), places: Vec::new() },
            second: Layout { pattern: Pattern::zero((n, n)), places: Vec::new() },
            colours: Vec::new(),
            stored: true,
            linear: false,
        }
    }

    /// f(x), and its gradient written to a slice of length n. Without an objective f = 0.
    pub fn objective(
        mut self,
        value: impl Fn(&[f64]) -> f64 + Sync + 'a,
        gradient: impl Fn(&[f64], &mut [f64]) + Sync + 'a,
    ) -> Self {
        self.objective = Some((Box::new(value), Box::new(gradient)));
        self
    }

    /// lower <= c(x) <= upper, with the (row, column) positions of the Jacobian's non-zeros and their values.
    pub fn constraints(
        mut self,
        lower: Vec<f64>,
        upper: Vec<f64>,
        positions: &[(usize, usize)],
        values: impl Fn(&[f64], &mut [f64]) + Sync + 'a,
        jacobian: impl Fn(&[f64], &mut [f64]) + Sync + 'a,
    ) -> Self {
        (self.row_lower, self.row_upper) = (lower, upper);
        self.jacobian_positions = positions.to_vec();
        self.constraints = Some((Box::new(values), Box::new(jacobian)));
        self
    }

    /// `count` equations c(x) = 0.
    pub fn equations(
        self,
        count: usize,
        positions: &[(usize, usize)],
        values: impl Fn(&[f64], &mut [f64]) + Sync + 'a,
        jacobian: impl Fn(&[f64], &mut [f64]) + Sync + 'a,
    ) -> Self {
        self.constraints(vec![0.0; count], vec![0.0; count], positions, values, jacobian)
    }

    /// Says that all constraints are affine, so that linear and quadratic programs can be recognised.
    pub fn affine_constraints(mut self) -> Self {
        self.linear = true;
        self
    }

    /// lower <= x <= upper; infinite entries are no bounds.
    pub fn bounds(mut self, lower: Vec<f64>, upper: Vec<f64>) -> Self {
        (self.lower, self.upper) = (lower, upper);
        self
    }

    /// Multipliers to start with; zeros by default.
    pub fn start_multipliers(mut self, multipliers: Vec<f64>) -> Self {
        self.start_multipliers = multipliers;
        self
    }

    /// The Hessian of sigma f + y'c, called with (x, sigma, y, values); positions in the lower triangle, or in the upper one
    /// instead: each off-diagonal entry once.
    pub fn hessian(
        mut self,
        positions: &[(usize, usize)],
        values: impl Fn(&[f64], f64, &[f64], &mut [f64]) + Sync + 'a,
    ) -> Self {
        self.hessian_positions = Some(positions.to_vec());
        self.hessian = Some(Box::new(values));
        self
    }

    /// Positions of the Hessian's non-zeros, for the differences that stand for its values; dense by default, and not stored
    /// where that is too large.
    pub fn hessian_positions(mut self, positions: &[(usize, usize)]) -> Self {
        self.hessian_positions = Some(positions.to_vec());
        self
    }

    /// Whether second derivatives come from differences.
    pub fn has_difference_hessian(&self) -> bool {
        self.hessian.is_none()
    }

    /// Checks lengths and positions and lays out the patterns.
    ///
    /// # Errors
    /// `Empty`, `Position`, `Length`.
    pub fn build(mut self) -> Result<Self, ClosuresError> {
        if self.objective.is_none() && self.constraints.is_none() {
            return Err(ClosuresError::Empty);
        }
        let (n, m) = (self.start.len(), self.row_lower.len());
        if self.start_multipliers.is_empty() {
            self.start_multipliers = vec![0.0; m];
        }
        for (what, actual, expected) in [
            ("the upper bound of the constraints", self.row_upper.len(), m),
            ("the lower bound of the variables", self.lower.len(), n),
            ("the upper bound of the variables", self.upper.len(), n),
            ("the vector of multipliers", self.start_multipliers.len(), m),
        ] {
            if actual != expected {
                return Err(ClosuresError::Length { what, expected, actual });
            }
        }
        self.jacobian = Layout::new("Jacobian", (m, n), &self.jacobian_positions)?;
        let positions: Vec<(usize, usize)> = match &self.hessian_positions {
            Some(positions) => positions.iter().map(|&(i, j)| (i.max(j), i.min(j))).collect(),
            None if n > MOST_COLOURS => {
                self.stored = false;
                Vec::new()
            }
            None => (0..n).flat_map(|i| (0..=i).map(move |j| (i, j))).collect(),
        };
        self.second = Layout::new("Hessian", (n, n), &positions)?;
        if self.hessian.is_none() {
            self.colours = colours(&self.second.pattern);
            self.stored &= self.colours.len() <= MOST_COLOURS;
        }
        Ok(self)
    }
}

impl NonlinearProgram for Closures<'_> {
    type Workspace = ClosuresWorkspace;

    fn workspace(&self) -> ClosuresWorkspace {
        ClosuresWorkspace::default()
    }

    fn variable_count(&self) -> usize {
        self.start.len()
    }

    fn constraint_count(&self) -> usize {
        self.row_lower.len()
    }

    fn variable_bounds(&self) -> (&[f64], &[f64]) {
        (&self.lower, &self.upper)
    }

    fn constraint_bounds(&self) -> (&[f64], &[f64]) {
        (&self.row_lower, &self.row_upper)
    }

    fn start(&self) -> &[f64] {
        &self.start
    }

    fn start_multipliers(&self) -> &[f64] {
        &self.start_multipliers
    }

    fn is_linear(&self, _row: usize) -> bool {
        self.linear
    }

    fn jacobian_pattern(&self) -> &Pattern {
        &self.jacobian.pattern
    }

    fn hessian_pattern(&self) -> Option<&Pattern> {
        self.stored.then_some(&self.second.pattern)
    }

    fn objective(&self, x: &[f64], _workspace: &mut ClosuresWorkspace) -> f64 {
        self.objective.as_ref().map_or(0.0, |(value, _)| value(x))
    }

    fn constraints(&self, x: &[f64], values: &mut [f64], _workspace: &mut ClosuresWorkspace) {
        if let Some((constraints, _)) = &self.constraints {
            constraints(x, values);
        }
    }

    fn gradient(&self, x: &[f64], values: &mut [f64], _workspace: &mut ClosuresWorkspace) {
        match &self.objective {
            Some((_, gradient)) => gradient(x, values),
            None => values.fill(0.0),
        }
    }

    fn jacobian(&self, x: &[f64], values: &mut [f64], workspace: &mut ClosuresWorkspace) {
        if let Some((_, jacobian)) = &self.constraints {
            self.jacobian.scatter(values, &mut workspace.listed, |listed| jacobian(x, listed));
        }
    }

    fn hessian(
        &self,
        x: &[f64],
        sigma: f64,
        y: &[f64],
        values: &mut [f64],
        workspace: &mut ClosuresWorkspace,
    ) {
        match &self.hessian {
            Some(hessian) => {
                self.second.scatter(values, &mut workspace.listed, |listed| hessian(x, sigma, y, listed))
            }
            None => self.differences(x, sigma, y, values, workspace),
        }
    }

    fn hessian_product(
        &self,
        x: &[f64],
        sigma: f64,
        y: &[f64],
        direction: &[f64],
        product: &mut [f64],
        workspace: &mut ClosuresWorkspace,
    ) {
        if self.stored {
            let mut values = vec![0.0; self.second.pattern.nnz()];
            self.hessian(x, sigma, y, &mut values, workspace);
            product.fill(0.0);
            add_symmetric_product(&self.second.pattern, &values, direction, product);
            return;
        }
        self.difference_along(x, sigma, y, direction, product, workspace);
    }
}

#[cfg(test)]
mod tests;
