//! Smooth nonlinear programs with sparse derivatives.
//!
//! minimise f(x) over x in R^n, subject to cl <= c(x) <= cu (m rows) and xl <= x <= xu; infinite entries mean no bound.
//! The Lagrangian carries a plus sign: L(x, v) = sigma f(x) + v'c(x), and its Hessian is given as a lower triangle.
//!
//! Patterns are fixed for the life of a problem; an evaluation fills in values in the pattern's order. A point where the
//! problem is not defined shows in values that are not finite.

use sprs::CsMatI;

/// Positions of the entries of a sparse matrix: rows compressed, columns ascending within a row.
pub type Pattern = CsMatI<(), u32, usize>;

/// A nonlinear program. Evaluation is through `&self`, with scratch memory in a workspace that each thread owns.
///
/// Slices have the lengths that the patterns and counts say; implementations may panic on others.
pub trait NonlinearProgram: Sync {
    /// Scratch memory of an evaluation; `()` where none is needed.
    type Workspace: Send;

    /// Fresh scratch memory.
    fn workspace(&self) -> Self::Workspace;

    /// n, the number of variables.
    fn variable_count(&self) -> usize;

    /// m, the number of rows of c.
    fn constraint_count(&self) -> usize;

    /// (xl, xu), each of length n.
    fn variable_bounds(&self) -> (&[f64], &[f64]);

    /// (cl, cu), each of length m; equal entries are equations.
    fn constraint_bounds(&self) -> (&[f64], &[f64]);

    /// Where to start, length n; it need not respect the bounds.
    fn start(&self) -> &[f64];

    /// Multipliers to start with, length m.
    fn start_multipliers(&self) -> &[f64];

    /// True where row i of c is an affine function.
    fn is_linear(&self, row: usize) -> bool;

    /// True where row i is an equation.
    fn is_equation(&self, row: usize) -> bool {
        let (lower, upper) = self.constraint_bounds();
        lower[row] == upper[row]
    }

    /// Pattern of the m x n Jacobian of c.
    fn jacobian_pattern(&self) -> &Pattern;

    /// Pattern of the lower triangle of the Hessian of L, n x n. None where it has too many entries to be stored: there
    /// is [`hessian_product`](Self::hessian_product) still. It may be worked out at the first call.
    fn hessian_pattern(&self) -> Option<&Pattern>;

    /// f(x).
    fn objective(&self, x: &[f64], workspace: &mut Self::Workspace) -> f64;

    /// c(x), into `values` of length m.
    fn constraints(&self, x: &[f64], values: &mut [f64], workspace: &mut Self::Workspace);

    /// Gradient of f, into `values` of length n.
    fn gradient(&self, x: &[f64], values: &mut [f64], workspace: &mut Self::Workspace);

    /// Jacobian of c, into `values` in the order of its pattern.
    fn jacobian(&self, x: &[f64], values: &mut [f64], workspace: &mut Self::Workspace);

    /// Hessian of sigma f + v'c, into `values` in the order of its pattern; nothing where there is no pattern.
    fn hessian(
        &self,
        x: &[f64],
        sigma: f64,
        multipliers: &[f64],
        values: &mut [f64],
        workspace: &mut Self::Workspace,
    );

    /// f(x), and c(x) into `constraints`; what both need is computed once where the implementation can.
    fn objective_and_constraints(
        &self,
        x: &[f64],
        constraints: &mut [f64],
        workspace: &mut Self::Workspace,
    ) -> f64 {
        self.constraints(x, constraints, workspace);
        self.objective(x, workspace)
    }

    /// Gradient of f and Jacobian of c.
    fn gradient_and_jacobian(
        &self,
        x: &[f64],
        gradient: &mut [f64],
        jacobian: &mut [f64],
        workspace: &mut Self::Workspace,
    ) {
        self.gradient(x, gradient, workspace);
        self.jacobian(x, jacobian, workspace);
    }

    /// (Hessian of sigma f + v'c) d, into `product` of length n.
    ///
    /// The provided version stores the values of the whole Hessian; NaN where there is no pattern.
    fn hessian_product(
        &self,
        x: &[f64],
        sigma: f64,
        multipliers: &[f64],
        direction: &[f64],
        product: &mut [f64],
        workspace: &mut Self::Workspace,
    ) {
        let Some(pattern) = self.hessian_pattern() else {
            product.fill(f64::NAN);
            return;
        };
        let mut values = vec![0.0; pattern.nnz()];
        self.hessian(x, sigma, multipliers, &mut values, workspace);
        product.fill(0.0);
        add_symmetric_product(pattern, &values, direction, product);
    }

    /// J(x) d, into `product` of length m.
    fn jacobian_product(
        &self,
        x: &[f64],
        direction: &[f64],
        product: &mut [f64],
        workspace: &mut Self::Workspace,
    ) {
        let pattern = self.jacobian_pattern();
        let mut values = vec![0.0; pattern.nnz()];
        self.jacobian(x, &mut values, workspace);
        product.fill(0.0);
        for ((row, column), value) in entries(pattern).zip(values) {
            product[row] += value * direction[column];
        }
    }

    /// J(x)'v, into `product` of length n.
    fn jacobian_transpose_product(
        &self,
        x: &[f64],
        multipliers: &[f64],
        product: &mut [f64],
        workspace: &mut Self::Workspace,
    ) {
        let pattern = self.jacobian_pattern();
        let mut values = vec![0.0; pattern.nnz()];
        self.jacobian(x, &mut values, workspace);
        product.fill(0.0);
        for ((row, column), value) in entries(pattern).zip(values) {
            product[column] += value * multipliers[row];
        }
    }
}

/// product <- product + W d, W given by its lower triangle.
pub(crate) fn add_symmetric_product(pattern: &Pattern, lower: &[f64], d: &[f64], product: &mut [f64]) {
    for ((row, column), value) in entries(pattern).zip(lower) {
        product[row] += value * d[column];
        if row != column {
            product[column] += value * d[row];
        }
    }
}

/// (row, column) of each entry of a pattern, in its order.
pub fn entries(pattern: &Pattern) -> impl Iterator<Item = (usize, usize)> + '_ {
    pattern.iter().map(|(_, (row, column))| (row as usize, column as usize))
}

/// An entry of a derivative that disagrees with a difference quotient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DerivativeError {
    /// Row: 0 for the gradient, the constraint for the Jacobian, the variable for the Hessian.
    pub row: usize,
    /// The variable that was moved.
    pub column: usize,
    /// What the problem returns.
    pub given: f64,
    /// The central difference.
    pub difference: f64,
    /// |given - difference| / max(1, largest |given| of the object).
    pub error: f64,
}

/// The worst entries that [`check_derivatives`] finds; None where there is nothing to check.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DerivativeCheck {
    /// Gradient of f against differences of f.
    pub gradient: Option<DerivativeError>,
    /// Jacobian of c against differences of c.
    pub jacobian: Option<DerivativeError>,
    /// Hessian of f + v'c against differences of its gradient.
    pub hessian: Option<DerivativeError>,
}

impl DerivativeCheck {
    /// The largest error; NaN wins.
    pub fn worst(&self) -> f64 {
        let errors =
            [self.gradient, self.jacobian, self.hessian].into_iter().flatten().map(|worst| worst.error);
        errors.fold(0.0, |most, error| if error > most || error.is_nan() { error } else { most })
    }
}

/// Compares first and second derivatives at `x` with fourth-order central differences, the step being
/// `step` max(1, |x_j|); 1e-3 suits well-scaled functions.
///
/// Cost: 4 n evaluations of f, c, gradient and Jacobian, and n^2 memory: for small problems.
pub fn check_derivatives<P: NonlinearProgram>(
    problem: &P,
    x: &[f64],
    multipliers: &[f64],
    step: f64,
) -> DerivativeCheck {
    let (n, m) = (problem.variable_count(), problem.constraint_count());
    let mut workspace = problem.workspace();
    let evaluate = |x: &[f64], workspace: &mut P::Workspace| {
        let mut row = vec![0.0; 1 + m + n];
        row[0] = problem.objective_and_constraints(x, &mut row[1..=m], workspace);
        let mut values = vec![0.0; problem.jacobian_pattern().nnz()];
        problem.gradient_and_jacobian(x, &mut row[1 + m..], &mut values, workspace);
        for ((i, j), value) in entries(problem.jacobian_pattern()).zip(values) {
            row[1 + m + j] += multipliers[i] * value;
        }
        row
    };
    let mut given = vec![vec![0.0; n]; 1 + m + n];
    problem.gradient(x, &mut given[0], &mut workspace);
    let mut values = vec![0.0; problem.jacobian_pattern().nnz()];
    problem.jacobian(x, &mut values, &mut workspace);
    for ((i, j), value) in entries(problem.jacobian_pattern()).zip(values) {
        given[1 + i][j] += value;
    }
    if let Some(pattern) = problem.hessian_pattern() {
        let mut values = vec![0.0; pattern.nnz()];
        problem.hessian(x, 1.0, multipliers, &mut values, &mut workspace);
        for ((i, j), value) in entries(pattern).zip(values) {
            given[1 + m + i][j] += value;
            if i != j {
                given[1 + m + j][i] += value;
            }
        }
    }
    let mut check = DerivativeCheck::default();
    let scale = |rows: &[Vec<f64>]| rows.iter().flatten().fold(1.0f64, |most, value| most.max(value.abs()));
    let scales = [scale(&given[..1]), scale(&given[1..=m]), scale(&given[1 + m..])];
    let mut moved = x.to_vec();
    for column in 0..n {
        let h = step * x[column].abs().max(1.0);
        let mut at = |distance: f64| {
            moved[column] = x[column] + distance * h;
            let row = evaluate(&moved, &mut workspace);
            moved[column] = x[column];
            row
        };
        let (near, far) = ((at(1.0), at(-1.0)), (at(2.0), at(-2.0)));
        for (row, given) in given.iter().enumerate() {
            let difference = (8.0 * (near.0[row] - near.1[row]) - (far.0[row] - far.1[row])) / (12.0 * h);
            let value = given[column];
            let (worst, first, scale) = match row {
                0 => (&mut check.gradient, 0, scales[0]),
                row if row <= m => (&mut check.jacobian, 1, scales[1]),
                _ if problem.hessian_pattern().is_none() => continue,
                _ => (&mut check.hessian, 1 + m, scales[2]),
            };
            let error = (value - difference).abs() / scale;
            let error = DerivativeError { row: row - first, column, given: value, difference, error };
            keep_worst(worst, error);
        }
    }
    check
}

fn keep_worst(worst: &mut Option<DerivativeError>, error: DerivativeError) {
    let larger = worst.is_none_or(|worst| !worst.error.is_nan() && !(error.error <= worst.error));
    if larger {
        *worst = Some(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// min x^2 y subject to x y^2 = 1, with a wrong factor in one derivative if asked for.
    struct Example {
        jacobian: Pattern,
        hessian: Pattern,
        wrong: f64,
    }

    impl Example {
        fn new(wrong: f64) -> Self {
            let jacobian = Pattern::new((1, 2), vec![0, 2], vec![0, 1], vec![(); 2]);
            let hessian = Pattern::new((2, 2), vec![0, 1, 3], vec![0, 0, 1], vec![(); 3]);
            Self { jacobian, hessian, wrong }
        }
    }

    impl NonlinearProgram for Example {
        type Workspace = ();
        fn workspace(&self) {}
        fn variable_count(&self) -> usize {
            2
        }
        fn constraint_count(&self) -> usize {
            1
        }
        fn variable_bounds(&self) -> (&[f64], &[f64]) {
            (&[f64::NEG_INFINITY; 2], &[f64::INFINITY; 2])
        }
        fn constraint_bounds(&self) -> (&[f64], &[f64]) {
            (&[1.0], &[1.0])
        }
        fn start(&self) -> &[f64] {
            &[2.0, 3.0]
        }
        fn start_multipliers(&self) -> &[f64] {
            &[0.0]
        }
        fn is_linear(&self, _row: usize) -> bool {
            false
        }
        fn jacobian_pattern(&self) -> &Pattern {
            &self.jacobian
        }
        fn hessian_pattern(&self) -> Option<&Pattern> {
            Some(&self.hessian)
        }
        fn objective(&self, x: &[f64], (): &mut ()) -> f64 {
            x[0] * x[0] * x[1]
        }
        fn constraints(&self, x: &[f64], values: &mut [f64], (): &mut ()) {
            values[0] = x[0] * x[1] * x[1];
        }
        fn gradient(&self, x: &[f64], values: &mut [f64], (): &mut ()) {
            values.copy_from_slice(&[2.0 * x[0] * x[1], x[0] * x[0]]);
        }
        fn jacobian(&self, x: &[f64], values: &mut [f64], (): &mut ()) {
            values.copy_from_slice(&[x[1] * x[1], 2.0 * x[0] * x[1] * self.wrong]);
        }
        fn hessian(&self, x: &[f64], sigma: f64, v: &[f64], values: &mut [f64], (): &mut ()) {
            let off = sigma * 2.0 * x[0] + v[0] * 2.0 * x[1];
            values.copy_from_slice(&[sigma * 2.0 * x[1], off, v[0] * 2.0 * x[0]]);
        }
    }

    #[test]
    fn true_derivatives_pass_and_a_wrong_one_is_named() {
        let check = check_derivatives(&Example::new(1.0), &[2.0, 3.0], &[0.7], 1e-3);
        assert!(check.worst() < 1e-9, "{check:?}");
        let check = check_derivatives(&Example::new(1.1), &[2.0, 3.0], &[0.0], 1e-3);
        let worst = check.jacobian.unwrap();
        assert_eq!((worst.row, worst.column), (0, 1));
        assert!((worst.error - 1.2 / 13.2).abs() < 1e-9, "{worst:?}");
        assert!(check.gradient.unwrap().error < 1e-9);
    }

    #[test]
    fn provided_products_agree_with_the_matrices() {
        let (problem, x, d) = (Example::new(1.0), [2.0, 3.0], [0.5, -1.0]);
        let mut product = [0.0; 2];
        problem.hessian_product(&x, 1.0, &[2.0], &d, &mut product, &mut ());
        assert_eq!(product, [6.0 * 0.5 - 16.0, 16.0 * 0.5 - 8.0]);
        problem.jacobian_transpose_product(&x, &[2.0], &mut product, &mut ());
        assert_eq!(product, [18.0, 24.0]);
        let mut row = [0.0];
        problem.jacobian_product(&x, &d, &mut row, &mut ());
        assert_eq!(row, [9.0 * 0.5 - 12.0]);
    }
}
