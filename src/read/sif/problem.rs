//! A SIF file as a nonlinear program.

use std::path::Path;

use super::evaluate::{Evaluator, SifWorkspace};
use super::{Metadata, Options, SifError, decode};
use crate::problem::nonlinear::{NonlinearProgram, Pattern};
use crate::read::{ReadError, Source};

/// A problem of a SIF file: what it says about itself, and its functions ready to be evaluated.
///
/// minimise f(x) over lower <= x <= upper, c_lower <= c(x) <= c_upper, with exact first and second derivatives.
///
/// # Examples
/// ```
/// use gradus::problem::NonlinearProgram;
/// use gradus::read::sif::SifProblem;
///
/// let text = b"\
/// NAME          BOWL
/// VARIABLES
///     X
/// GROUPS
///  N  OBJ
/// START POINT
///     BOWL      X         3.0
/// ELEMENT TYPE
///  EV SQ        V
/// ELEMENT USES
///  T  E         SQ
///  V  E         V                        X
/// GROUP USES
///  E  OBJ       E
/// ENDATA
/// ELEMENTS      BOWL
/// INDIVIDUALS
///  T  SQ
///  F                      V * V
///  G  V                   V + V
///  H  V         V         2.0
/// ENDATA
/// ";
/// let problem = SifProblem::from_bytes(text, &Default::default())?;
/// let mut workspace = problem.workspace();
/// let mut gradient = [0.0];
/// problem.gradient(problem.start(), &mut gradient, &mut workspace);
/// assert_eq!((problem.objective(&[3.0], &mut workspace), gradient), (9.0, [6.0]));
/// # Ok::<(), gradus::read::sif::SifError>(())
/// ```
pub struct SifProblem {
    metadata: Metadata,
    evaluator: Evaluator,
}

impl SifProblem {
    /// Reads a file, which may be compressed; `-` is standard input.
    ///
    /// # Errors
    /// A file that cannot be read; those of [`SifProblem::from_bytes`], with the name of the file.
    pub fn read(path: impl AsRef<Path>, options: &Options) -> Result<Self, ReadError> {
        let source = Source::open(path)?;
        Self::from_bytes(source.bytes(), options).map_err(|error| error.in_file(source.name()))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// The first flaw, with line and column; functions that the file calls and neither it nor the options define.
    pub fn from_bytes(text: &[u8], options: &Options) -> Result<Self, SifError> {
        let (metadata, decoded) = decode(text, options)?;
        let evaluator = Evaluator::new(&decoded, &options.externals, options.mode)?;
        Ok(Self { metadata, evaluator })
    }

    /// Names, bounds, starting point, flags, and what the comments say.
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The partially separable structure of the objective: row i holds the variables of its group i, in the order of
    /// the file. f is the sum of the groups, plus x'Hx / 2 where the file has a QUADRATIC section. The constraints are
    /// groups too: theirs is the Jacobian's pattern.
    pub fn objective_groups_pattern(&self) -> &Pattern {
        self.evaluator.objective_groups_pattern()
    }

    /// The value of each group of the objective, into `values`, one entry a row of the pattern.
    pub fn objective_groups(&self, x: &[f64], values: &mut [f64], workspace: &mut SifWorkspace) {
        self.evaluator.objective_groups(x, values, workspace);
    }

    /// The gradient of each group of the objective, into `values` in the order of the pattern.
    pub fn objective_group_gradients(&self, x: &[f64], values: &mut [f64], workspace: &mut SifWorkspace) {
        self.evaluator.objective_group_gradients(x, values, workspace);
    }
}

impl NonlinearProgram for SifProblem {
    type Workspace = SifWorkspace;

    fn workspace(&self) -> SifWorkspace {
        self.evaluator.workspace()
    }

    fn variable_count(&self) -> usize {
        self.metadata.x0.len()
    }

    fn constraint_count(&self) -> usize {
        self.metadata.v0.len()
    }

    fn variable_bounds(&self) -> (&[f64], &[f64]) {
        (&self.metadata.lower, &self.metadata.upper)
    }

    fn constraint_bounds(&self) -> (&[f64], &[f64]) {
        (&self.metadata.c_lower, &self.metadata.c_upper)
    }

    fn start(&self) -> &[f64] {
        &self.metadata.x0
    }

    fn start_multipliers(&self) -> &[f64] {
        &self.metadata.v0
    }

    fn is_linear(&self, row: usize) -> bool {
        self.metadata.linear[row]
    }

    fn is_equation(&self, row: usize) -> bool {
        self.metadata.equation[row]
    }

    fn jacobian_pattern(&self) -> &Pattern {
        self.evaluator.jacobian_pattern()
    }

    fn hessian_pattern(&self) -> Option<&Pattern> {
        self.evaluator.hessian_pattern()
    }

    fn objective(&self, x: &[f64], workspace: &mut SifWorkspace) -> f64 {
        self.evaluator.objective(x, workspace)
    }

    fn constraints(&self, x: &[f64], values: &mut [f64], workspace: &mut SifWorkspace) {
        self.evaluator.constraints(x, values, workspace);
    }

    fn gradient(&self, x: &[f64], values: &mut [f64], workspace: &mut SifWorkspace) {
        self.evaluator.gradient(x, values, workspace);
    }

    fn jacobian(&self, x: &[f64], values: &mut [f64], workspace: &mut SifWorkspace) {
        self.evaluator.jacobian(x, values, workspace);
    }

    fn hessian(
        &self,
        x: &[f64],
        sigma: f64,
        multipliers: &[f64],
        values: &mut [f64],
        workspace: &mut SifWorkspace,
    ) {
        self.evaluator.hessian(x, sigma, multipliers, values, workspace);
    }

    fn objective_and_constraints(
        &self,
        x: &[f64],
        constraints: &mut [f64],
        workspace: &mut SifWorkspace,
    ) -> f64 {
        self.evaluator.objective_and_constraints(x, constraints, workspace)
    }

    fn gradient_and_jacobian(
        &self,
        x: &[f64],
        gradient: &mut [f64],
        jacobian: &mut [f64],
        workspace: &mut SifWorkspace,
    ) {
        self.evaluator.gradient_and_jacobian(x, gradient, jacobian, workspace);
    }

    fn hessian_product(
        &self,
        x: &[f64],
        sigma: f64,
        multipliers: &[f64],
        direction: &[f64],
        product: &mut [f64],
        workspace: &mut SifWorkspace,
    ) {
        self.evaluator.hessian_product(x, sigma, multipliers, direction, product, workspace);
    }

    fn jacobian_product(
        &self,
        x: &[f64],
        direction: &[f64],
        product: &mut [f64],
        workspace: &mut SifWorkspace,
    ) {
        self.evaluator.jacobian_product(x, direction, product, workspace);
    }

    fn jacobian_transpose_product(
        &self,
        x: &[f64],
        multipliers: &[f64],
        product: &mut [f64],
        workspace: &mut SifWorkspace,
    ) {
        self.evaluator.jacobian_transpose_product(x, multipliers, product, workspace);
    }
}
