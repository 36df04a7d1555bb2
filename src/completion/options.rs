//! Options of a completion, and their checks.

use super::{Error, Observations};
use crate::control::Limits;

/// How the half-steps are solved.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum HalfStep {
    /// Cholesky up to about 16 unknowns a row; beyond, three exact sweeps and then [`Preconditioned`](Self::Preconditioned).
    #[default]
    Auto,
    /// Normal equations by Cholesky. |Omega| k^2 a sweep.
    Exact,
    /// Conjugate gradients from the last row, with the whole fixed factor's Gram matrix as preconditioner of every row.
    /// |Omega| k for each step, of which one or two are needed.
    Preconditioned,
    /// As published: conjugate gradients with the Cholesky factor of a sketch of the row's own matrix, of
    /// `ratio` times k rows. |Omega| k for each step and k^3 for each row.
    Sketched {
        /// Rows of the sketch for each unknown, at least 2.
        ratio: usize,
    },
}

/// The loss of a residual e.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Loss {
    /// e^2 / 2.
    #[default]
    Squares,
    /// e^2 / 2 up to delta, delta |e| - delta^2 / 2 beyond; delta is 1.345 times the robust deviation of the residuals,
    /// taken anew before every sweep.
    Huber,
    /// |e|, rounded off within 1e-3 of the values' scale.
    Absolute,
}

/// What the ridge multiplies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RidgeKind {
    /// The squares of each row of X and Y as often as it has entries: ridge/2 sum n_i |x_i|^2.
    #[default]
    ByCount,
    /// The squares once: ridge/2 (|X|^2 + |Y|^2), which is ridge times the nuclear norm at the best factors.
    Uniform,
}

/// Where the sweeps start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StartRule {
    /// Spectral; staged where its singular values show a bad condition.
    #[default]
    Auto,
    /// The leading singular vectors of the observed entries, zeros elsewhere.
    Spectral,
    /// A few leading directions of the residual at a time, two sweeps between: recovers matrices of any condition.
    Staged,
    /// Small random factors.
    Random,
}

/// Low-rank completion by alternating minimisation.
///
/// minimise sum over (i, j) of w_ij loss(v_ij - mean - b_i - c_j - x_i'y_j) + the ridge on x_i, y_j, b_i, c_j.
#[derive(Clone, Debug, PartialEq)]
pub struct Completion {
    /// When to stop. The certificate is the scaled gradient (|G_X| |X| + |G_Y| |Y|) / |P(V)|^2, which does not change
    /// with the scale of values or factors. An iteration is a sweep over both factors.
    pub limits: Limits,
    /// k, the rank; the largest to try with `automatic_rank`.
    pub rank: usize,
    /// Grow the rank while the error on held-out entries falls by more than 0.1 %.
    pub automatic_rank: bool,
    /// Weight of the squares of the factors, in units of the values. 0 recovers exact data.
    pub ridge: f64,
    /// What it multiplies.
    pub ridge_kind: RidgeKind,
    /// Fit a mean, and a bias for every row and column.
    pub biases: bool,
    /// Weight of the squares of the biases, without a unit; by default the ridge over the values' deviation.
    pub bias_ridge: Option<f64>,
    /// The loss.
    pub loss: Loss,
    /// Implicit feedback: values count events, all cells matter, with preference 1 where there is an entry and 0 elsewhere,
    /// and confidence 1 + alpha v (Hu, Koren, Volinsky 2008).
    pub implicit: Option<f64>,
    /// Keep both factors at or above zero.
    pub nonnegative: bool,
    /// How half-steps are solved.
    pub half_step: HalfStep,
    /// How far a half-step's conjugate gradients reduce the gradient. By default 0.1, or 0.3 over the condition of the
    /// factors where that is less and there is no ridge.
    pub inner_tolerance: Option<f64>,
    /// Where the sweeps start.
    pub start: StartRule,
    /// Leave rows and columns with more than twice the mean number of entries out of the spectral start.
    pub trim: bool,
    /// Share of the entries that the solver holds out to watch over the sweeps. By default 0.01 without a ridge where at
    /// least 100 entries can be spared, a tenth with an automatic rank or a patience, and none otherwise.
    pub validation: Option<f64>,
    /// Stop once the error on held-out entries has not fallen for so many sweeps, and return the best; 0: never.
    pub patience: usize,
    /// Store factors in single precision: half the memory, residuals down to about 1e-6. Sums stay in double.
    pub single_precision: bool,
    /// Seed of every random choice.
    pub seed: u64,
}

impl Default for Completion {
    fn default() -> Self {
        Self {
            limits: Limits { max_iterations: 500, ..Limits::default() },
            rank: 10,
            automatic_rank: false,
            ridge: 0.0,
            ridge_kind: RidgeKind::ByCount,
            biases: false,
            bias_ridge: None,
            loss: Loss::Squares,
            implicit: None,
            nonnegative: false,
            half_step: HalfStep::Auto,
            inner_tolerance: None,
            start: StartRule::Auto,
            trim: false,
            validation: None,
            patience: 0,
            single_precision: false,
            seed: 0,
        }
    }
}

impl Completion {
    /// Whether the factors may be replaced by orthonormal ones between half-steps: the objective sees their product alone.
    pub(super) fn is_orthonormal(&self) -> bool {
        self.ridge == 0.0 && !self.biases && !self.nonnegative && self.implicit.is_none()
    }

    /// The share that is held out for watching; 0 for none.
    pub(super) fn validation_share(&self, problem: &Observations) -> f64 {
        match self.validation {
            Some(share) => share,
            None if self.patience > 0 || self.automatic_rank => 0.1,
            None if self.is_orthonormal() && problem.len() as f64 >= 1.25 * self.unknowns(problem) as f64 => {
                match problem.len() {
                    0..2_000 => 0.0,
                    2_000..10_000 => 0.02,
                    _ => 0.01,
                }
            }
            None => 0.0,
        }
    }

    /// The name of the method in reports.
    pub fn method_name(&self) -> &'static str {
        match self.half_step {
            HalfStep::Auto => "als",
            HalfStep::Exact => "als-exact",
            HalfStep::Preconditioned => "als-cg",
            HalfStep::Sketched { .. } => "als-sketch",
        }
    }

    /// k (m + n - k) for the rows and columns that have entries.
    pub(super) fn unknowns(&self, problem: &Observations) -> usize {
        let used =
            |side: super::observations::Side| (0..side.count()).filter(|&i| side.length(i) > 0).count();
        let (m, n) = (used(problem.row_side()), used(problem.column_side()));
        let k = self.rank.min(m).min(n);
        k * (m + n - k)
    }

    /// Checks the options against each other and the problem, as every solve does at its start.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn validate(&self, problem: &Observations) -> Result<(), Error> {
        self.check(problem)
    }

    /// As [`validate`](Self::validate).
    pub(super) fn check(&self, problem: &Observations) -> Result<(), Error> {
        self.limits.check().map_err(Error::Option)?;
        let wrong = |message: String| Err(Error::Option(message));
        let (rows, columns) = (problem.rows(), problem.columns());
        if self.rank == 0 || self.rank > rows.min(columns) {
            return Err(Error::Rank { rank: self.rank, rows, columns });
        }
        for (name, value) in [("ridge", Some(self.ridge)), ("bias ridge", self.bias_ridge)] {
            if let Some(value) = value.filter(|value| !(value.is_finite() && *value >= 0.0)) {
                return wrong(format!("the {name} is {value}; it must be finite and not negative"));
            }
        }
        if let Some(tau) = self.inner_tolerance.filter(|tau| !(*tau > 0.0 && *tau < 1.0)) {
            return wrong(format!("the inner tolerance is {tau}; it must lie between 0 and 1"));
        }
        if let HalfStep::Sketched { ratio } = self.half_step
            && !(2..=1000).contains(&ratio)
        {
            return wrong(format!("the sketch has {ratio} rows for each unknown; 2 to 1000 make sense"));
        }
        if let Some(share) = self.validation.filter(|share| !(*share >= 0.0 && *share < 1.0)) {
            return wrong(format!("the validation share is {share}; it must be at least 0 and below 1"));
        }
        if (self.patience > 0 || self.automatic_rank) && self.validation == Some(0.0) {
            return wrong("a patience or an automatic rank needs a validation share above 0".into());
        }
        if self.automatic_rank && (self.nonnegative || self.implicit.is_some()) {
            return wrong("an automatic rank is for explicit values without a sign".into());
        }
        if let Some(alpha) = self.implicit {
            if !(alpha.is_finite() && alpha > 0.0) {
                return wrong(format!("alpha is {alpha}; it must be positive and finite"));
            }
            if self.biases || self.loss != Loss::Squares || self.nonnegative || problem.is_weighted() {
                return wrong(
                    "implicit feedback goes with squares alone: no biases, weights, signs or other loss"
                        .into(),
                );
            }
            if !(self.ridge > 0.0) {
                return wrong("implicit feedback needs a ridge above 0".into());
            }
            if let Some((row, column, value)) = problem.entries().find(|(.., value)| !(*value > 0.0)) {
                return Err(Error::Implicit { row, column, value });
            }
        }
        let (entries, unknowns) = (problem.len(), self.unknowns(problem));
        if self.ridge == 0.0 && !self.automatic_rank && entries < unknowns {
            return Err(Error::TooFew { entries, unknowns, rank: self.rank });
        }
        Ok(())
    }
}
