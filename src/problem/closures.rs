//! A nonlinear program put together from closures and lists of non-zero positions.

use std::collections::BTreeMap;

use super::nonlinear::{NonlinearProgram, Pattern, add_symmetric_product, entries};

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

/// A pattern, and where in it each listed position lies.
struct Layout {
    pattern: Pattern,
    places: Vec<u32>,
}

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

    /// The gradient of sigma f + y'c.
    fn lagrangian_gradient(&self, x: &[f64], sigma: f64, y: &[f64], listed: &mut Vec<f64>, out: &mut [f64]) {
        match &self.objective {
            Some((_, gradient)) if sigma != 0.0 => gradient(x, out),
            _ => out.fill(0.0),
        }
        out.iter_mut().for_each(|g| *g *= sigma);
        if let Some((_, jacobian)) = &self.constraints {
            listed.resize(self.jacobian_positions.len(), 0.0);
            jacobian(x, listed);
            for (&(row, column), value) in self.jacobian_positions.iter().zip(listed) {
                out[column] += y[row] * *value;
            }
        }
    }

    /// The Hessian by central differences of the gradient.
    fn differences(
        &self,
        x: &[f64],
        sigma: f64,
        y: &[f64],
        values: &mut [f64],
        workspace: &mut ClosuresWorkspace,
    ) {
        let n = x.len();
        let step = |x: f64| f64::EPSILON.cbrt() * x.abs().max(1.0);
        let ClosuresWorkspace { listed, moved, gradients: [forward, backward] } = workspace;
        forward.resize(n, 0.0);
        backward.resize(n, 0.0);
        let offsets = self.second.pattern.proper_indptr();
        let columns = self.second.pattern.indices();
        let mut colour_of = vec![u32::MAX; n];
        for (colour, together) in self.colours.iter().enumerate() {
            moved.clear();
            moved.extend_from_slice(x);
            for (sign, gradient) in [(1.0, &mut *forward), (-1.0, &mut *backward)] {
                for &j in together {
                    moved[j as usize] = x[j as usize] + sign * step(x[j as usize]);
                }
                self.lagrangian_gradient(moved, sigma, y, listed, gradient);
            }
            together.iter().for_each(|&j| colour_of[j as usize] = colour as u32);
            for (row, pair) in offsets.windows(2).enumerate() {
                for k in pair[0]..pair[1] {
                    let column = columns[k] as usize;
                    // an entry of the lower triangle serves both (row, column) and (column, row); each colour sees one of them
                    let (at, by) = match (colour_of[row] == colour as u32, colour_of[column] == colour as u32)
                    {
                        (_, true) => (row, column),
                        (true, false) => (column, row),
                        _ => continue,
                    };
                    values[k] = (forward[at] - backward[at]) / (2.0 * step(x[by]));
                }
            }
        }
    }
}

impl Layout {
    fn new(
        what: &'static str,
        shape: (usize, usize),
        positions: &[(usize, usize)],
    ) -> Result<Self, ClosuresError> {
        let (rows, columns) = shape;
        let mut numbers = BTreeMap::new();
        for &(row, column) in positions {
            if row >= rows || column >= columns {
                return Err(ClosuresError::Position { what, row, column, rows, columns });
            }
            numbers.insert((row, column), 0u32);
        }
        let mut offsets = vec![0; rows + 1];
        for (number, ((row, _), place)) in numbers.iter_mut().enumerate() {
            *place = number as u32;
            offsets[row + 1] += 1;
        }
        for row in 0..rows {
            offsets[row + 1] += offsets[row];
        }
        let indices = numbers.keys().map(|&(_, column)| column as u32).collect();
        let places = positions.iter().map(|position| numbers[position]).collect();
        Ok(Self { pattern: Pattern::new(shape, offsets, indices, vec![(); numbers.len()]), places })
    }

    /// Lets `fill` write the listed values, and adds them up at their places.
    fn scatter(&self, values: &mut [f64], listed: &mut Vec<f64>, fill: impl FnOnce(&mut [f64])) {
        listed.clear();
        listed.resize(self.places.len(), 0.0);
        fill(listed);
        values.fill(0.0);
        for (&place, value) in self.places.iter().zip(listed) {
            values[place as usize] += *value;
        }
    }
}

/// Sets of columns no two of which have a non-zero in a common row of the full symmetric matrix; greedy, in the order of the columns.
pub(crate) fn colours(lower: &Pattern) -> Vec<Vec<u32>> {
    let n = lower.rows();
    let mut rows = vec![Vec::new(); n];
    for (row, column) in entries(lower) {
        rows[row].push(column);
        if row != column {
            rows[column].push(row);
        }
    }
    let (mut colour, mut sets) = (vec![usize::MAX; n], Vec::<Vec<u32>>::new());
    let mut forbidden = vec![usize::MAX; n + 1];
    for column in 0..n {
        for &row in &rows[column] {
            for &neighbour in &rows[row] {
                if colour[neighbour] != usize::MAX {
                    forbidden[colour[neighbour]] = column;
                }
            }
        }
        let free = (0..=n).find(|&c| forbidden[c] != column).unwrap_or(n);
        colour[column] = free;
        if free == sets.len() {
            sets.push(Vec::new());
        }
        sets[free].push(column as u32);
    }
    sets
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
        // a central difference along the direction
        let size = |values: &[f64]| values.iter().fold(0.0f64, |most, value| most.max(value.abs()));
        let length = f64::EPSILON.cbrt() * size(x).max(1.0) / size(direction).max(f64::MIN_POSITIVE);
        let ClosuresWorkspace { listed, moved, gradients: [forward, backward] } = workspace;
        for (sign, gradient) in [(1.0, &mut *forward), (-1.0, &mut *backward)] {
            moved.clear();
            moved.extend(x.iter().zip(direction).map(|(x, d)| x + sign * length * d));
            gradient.resize(x.len(), 0.0);
            self.lagrangian_gradient(moved, sigma, y, listed, gradient);
        }
        for (product, (forward, backward)) in product.iter_mut().zip(forward.iter().zip(backward)) {
            *product = (forward - *backward) / (2.0 * length);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::check_derivatives;

    /// f = sum of x_i^4 + x_0 x_{n-1}, rows x_i x_{i+1} = 1.
    fn chain(n: usize, exact: bool) -> Closures<'static> {
        let jacobian: Vec<_> = (0..n - 1).flat_map(|i| [(i, i + 1), (i, i)]).collect();
        let mut second: Vec<_> = (0..n).map(|i| (i, i)).collect();
        // one entry of the upper triangle, and one listed twice
        second.extend([(0, n - 1), (0, n - 1)]);
        second.extend((0..n - 1).map(|i| (i + 1, i)));
        let problem = Closures::new((0..n).map(|i| 1.0 + 0.1 * i as f64).collect())
            .objective(
                move |x| x.iter().map(|x| x.powi(4)).sum::<f64>() + x[0] * x[n - 1],
                move |x, g| {
                    g.iter_mut().zip(x).for_each(|(g, x)| *g = 4.0 * x.powi(3));
                    g[0] += x[n - 1];
                    g[n - 1] += x[0];
                },
            )
            .equations(
                n - 1,
                &jacobian,
                move |x, c| (0..n - 1).for_each(|i| c[i] = x[i] * x[i + 1] - 1.0),
                move |x, j| (0..n - 1).for_each(|i| (j[2 * i], j[2 * i + 1]) = (x[i], x[i + 1])),
            );
        if !exact {
            return problem.hessian_positions(&second).build().unwrap();
        }
        let hessian = move |x: &[f64], sigma: f64, y: &[f64], w: &mut [f64]| {
            (0..n).for_each(|i| w[i] = 12.0 * sigma * x[i] * x[i]);
            (w[n], w[n + 1]) = (0.25 * sigma, 0.75 * sigma);
            w[n + 2..].copy_from_slice(y);
        };
        problem.hessian(&second, hessian).build().unwrap()
    }

    #[test]
    fn listed_values_land_in_their_places() {
        for n in [3, 12] {
            let (exact, approximate) = (chain(n, true), chain(n, false));
            let y: Vec<f64> = (0..n - 1).map(|i| (i as f64).cos()).collect();
            let check = check_derivatives(&exact, exact.start(), &y, 1e-3);
            assert!(check.worst() < 1e-9, "{check:?}");
            assert!(approximate.has_difference_hessian() && !exact.has_difference_hessian());
            // a ring needs few colours, whatever its length
            assert!(approximate.colours.len() <= 5, "{}", approximate.colours.len());
            let values = |problem: &Closures| {
                let mut values = vec![f64::NAN; problem.second.pattern.nnz()];
                problem.hessian(problem.start(), 0.7, &y, &mut values, &mut problem.workspace());
                values
            };
            for (a, b) in values(&exact).iter().zip(values(&approximate)) {
                assert!((a - b).abs() < 1e-8 * (1.0 + a.abs()), "{a} {b}");
            }
        }
    }

    #[test]
    fn a_hessian_that_is_too_large_lives_in_products_alone() {
        let n = 300;
        let problem = Closures::new(vec![0.5; n])
            .objective(
                |x| x.iter().map(|x| x.powi(4)).sum::<f64>() + x.iter().sum::<f64>().powi(2),
                |x, g| {
                    let sum: f64 = x.iter().sum();
                    g.iter_mut().zip(x).for_each(|(g, x)| *g = 4.0 * x.powi(3) + 2.0 * sum);
                },
            )
            .build()
            .unwrap();
        assert!(problem.hessian_pattern().is_none() && problem.has_difference_hessian());
        let d: Vec<f64> = (0..n).map(|k| (k as f64).sin()).collect();
        let (mut product, sum) = (vec![0.0; n], d.iter().sum::<f64>());
        problem.hessian_product(problem.start(), 1.0, &[], &d, &mut product, &mut problem.workspace());
        for (product, d) in product.iter().zip(&d) {
            assert!((product - (3.0 * d + 2.0 * sum)).abs() < 1e-5, "{product}");
        }
        // a pattern with few entries a row is stored, whatever its size
        let positions: Vec<_> = (0..n).map(|k| (k, k)).collect();
        let sparse = Closures::new(vec![0.5; n])
            .objective(|x| x[0], |_, g| g.fill(0.0))
            .hessian_positions(&positions)
            .build()
            .unwrap();
        assert!(sparse.hessian_pattern().is_some());
    }

    #[test]
    fn bad_parts_are_named() {
        assert_eq!(Closures::new(vec![1.0]).build().err(), Some(ClosuresError::Empty));
        let outside = Closures::new(vec![1.0]).equations(1, &[(0, 1)], |_, _| {}, |_, _| {}).build().err();
        assert_eq!(
            outside.map(|e| e.to_string()).as_deref(),
            Some("position (0, 1) lies outside the 1 x 1 Jacobian")
        );
        let short =
            Closures::new(vec![1.0]).constraints(vec![0.0], vec![], &[], |_, _| {}, |_, _| {}).build().err();
        assert!(matches!(short, Some(ClosuresError::Length { expected: 1, actual: 0, .. })));
    }
}
