//! Steps along a line: phi(alpha) = f(x + alpha d) for a descent direction d, phi'(0) < 0.
//!
//! A value that is NaN or infinite counts as a step that is too long, so that f may be undefined away from x.
//!
//! ```
//! use gradus::linalg::line_search::Armijo;
//! // f(x) = x - log x from x = 4 along d = -8: the full step leaves the domain
//! let phi = |alpha: f64| { let x = 4.0 - 8.0 * alpha; x - x.ln() };
//! let slope = (1.0 - 1.0 / 4.0) * -8.0;
//! let accepted = Armijo::default().search(phi(0.0), slope, phi)?;
//! assert!(accepted.step < 0.5 && accepted.value < phi(0.0));
//! # Ok::<(), gradus::linalg::line_search::LineSearchError>(())
//! ```

/// A step that meets the conditions asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Accepted {
    /// alpha.
    pub step: f64,
    /// phi(alpha).
    pub value: f64,
    /// phi'(alpha), where the search computes it.
    pub slope: Option<f64>,
    /// Evaluations of phi, this one included.
    pub evaluations: usize,
}

/// Why no step was found.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LineSearchError {
    /// phi'(0) isn't negative.
    #[error("the slope at the start is {0}; a descent direction has a negative, finite one")]
    NotDescent(f64),
    /// phi(0) isn't finite.
    #[error("the value at the start is {0}; it must be finite")]
    Start(f64),
    /// An option out of its range.
    #[error("{name} is {value}; it must be {expected}")]
    Option {
        /// The option's name.
        name: &'static str,
        /// The value that was given.
        value: f64,
        /// What would be right.
        expected: &'static str,
    },
    /// Steps down to the smallest were refused: rounding hides the descent, or the slope is wrong.
    #[error(
        "no step from the first down to {smallest:e} decreases the value enough ({evaluations} evaluations)"
    )]
    TooShort {
        /// The last step tried.
        smallest: f64,
        /// Evaluations of phi.
        evaluations: usize,
        /// The best step with sufficient decrease, for a search that asks for more than that.
        best: Option<Accepted>,
    },
    /// The evaluations ran out.
    #[error("no acceptable step within {evaluations} evaluations")]
    Evaluations {
        /// Evaluations of phi.
        evaluations: usize,
        /// The best step with sufficient decrease, for a search that asks for more than that.
        best: Option<Accepted>,
    },
    /// phi still falls steeply at the largest step: it may have no lower bound.
    #[error("the value still falls at the largest step {}", best.step)]
    Unbounded {
        /// That step.
        best: Accepted,
    },
}

/// Backtracking to sufficient decrease (Armijo 1966): phi(alpha) <= phi(0) + c alpha phi'(0).
///
/// After a refusal the next step minimises the quadratic, from then on the cubic that interpolates phi(0), phi'(0) and the last
/// values, kept within a tenth and a half of the refused step (Dennis and Schnabel 1983, section 6.3.2).
#[derive(Clone, Debug, PartialEq)]
pub struct Armijo {
    /// c, in (0, 1/2] for a search that accepts the exact minimiser of a quadratic.
    pub sufficient_decrease: f64,
    /// The step that is tried first.
    pub initial_step: f64,
    /// Give up below this step.
    pub smallest_step: f64,
    /// Give up after this many evaluations.
    pub max_evaluations: usize,
    /// Rounding errors of phi, in units of eps |phi(0)|: a rise by as much is overlooked.
    pub rounding: f64,
}

impl Default for Armijo {
    fn default() -> Self {
        Self {
            sufficient_decrease: 1e-4,
            initial_step: 1.0,
            smallest_step: 1e-16,
            max_evaluations: 60,
            rounding: 0.0,
        }
    }
}

impl Armijo {
    /// Searches from phi(0) = `value` with phi'(0) = `slope`.
    ///
    /// # Errors
    /// `NotDescent`, `Start`, `Option`; `TooShort` and `Evaluations` where no step will do.
    pub fn search(
        &self,
        value: f64,
        slope: f64,
        mut phi: impl FnMut(f64) -> f64,
    ) -> Result<Accepted, LineSearchError> {
        check_start(value, slope)?;
        check_options(self.sufficient_decrease, self.initial_step, self.rounding)?;
        let slack = self.rounding * f64::EPSILON * value.abs();
        let mut step = self.initial_step;
        // the refused step before this one and phi there
        let mut previous: Option<(f64, f64)> = None;
        for evaluations in 1..=self.max_evaluations {
            let trial = phi(step);
            if trial <= value + self.sufficient_decrease * step * slope + slack {
                return Ok(Accepted { step, value: trial, slope: None, evaluations });
            }
            let next = if trial.is_finite() {
                let minimiser = match previous {
                    Some(previous) => cubic_minimiser(value, slope, (step, trial), previous),
                    None => quadratic_minimiser(value, slope, step, trial),
                };
                previous = Some((step, trial));
                if minimiser.is_nan() { 0.5 * step } else { minimiser.clamp(0.1 * step, 0.5 * step) }
            } else {
                0.5 * step
            };
            if next < self.smallest_step {
                return Err(LineSearchError::TooShort { smallest: step, evaluations, best: None });
            }
            step = next;
        }
        Err(LineSearchError::Evaluations { evaluations: self.max_evaluations, best: None })
    }
}

fn check_start(value: f64, slope: f64) -> Result<(), LineSearchError> {
    if !value.is_finite() {
        Err(LineSearchError::Start(value))
    } else if !(slope < 0.0 && slope.is_finite()) {
        Err(LineSearchError::NotDescent(slope))
    } else {
        Ok(())
    }
}

fn check_options(sufficient_decrease: f64, initial_step: f64, rounding: f64) -> Result<(), LineSearchError> {
    let positive = |v: f64| v > 0.0 && v.is_finite();
    let checks = [
        (
            "sufficient_decrease",
            sufficient_decrease,
            sufficient_decrease > 0.0 && sufficient_decrease < 1.0,
            "in (0, 1)",
        ),
        ("initial_step", initial_step, positive(initial_step), "positive and finite"),
        ("rounding", rounding, rounding >= 0.0 && rounding.is_finite(), "finite and not negative"),
    ];
    match checks.into_iter().find(|check| !check.2) {
        None => Ok(()),
        Some((name, value, _, expected)) => Err(LineSearchError::Option { name, value, expected }),
    }
}

/// Minimiser of the parabola through phi(0), phi'(0) and phi(a); NaN where it has none.
fn quadratic_minimiser(value: f64, slope: f64, a: f64, at_a: f64) -> f64 {
    let curvature = at_a - value - slope * a;
    if curvature > 0.0 { -0.5 * slope * a * a / curvature } else { f64::NAN }
}

/// Minimiser of the cubic through phi(0), phi'(0), phi(a) and phi(b); NaN where it has none.
fn cubic_minimiser(value: f64, slope: f64, (a, at_a): (f64, f64), (b, at_b): (f64, f64)) -> f64 {
    // phi(0) + slope t + q t^2 + p t^3
    let (excess_a, excess_b) = ((at_a - value - slope * a) / (a * a), (at_b - value - slope * b) / (b * b));
    let p = (excess_a - excess_b) / (a - b);
    let q = excess_a - p * a;
    if p == 0.0 {
        return if q > 0.0 { -0.5 * slope / q } else { f64::NAN };
    }
    // the root of 3 p t^2 + 2 q t + slope where the second derivative is positive, without cancellation
    let discriminant = q * q - 3.0 * p * slope;
    if discriminant < 0.0 {
        f64::NAN
    } else if q > 0.0 {
        -slope / (q + discriminant.sqrt())
    } else {
        (-q + discriminant.sqrt()) / (3.0 * p)
    }
}

/// Sufficient decrease and small slope, the strong Wolfe conditions:
/// phi(alpha) <= phi(0) + c1 alpha phi'(0) and |phi'(alpha)| <= c2 |phi'(0)|.
///
/// Brackets by expansion, then zooms by safeguarded cubic interpolation (Nocedal and Wright 2006, algorithms 3.5 and 3.6).
#[derive(Clone, Debug, PartialEq)]
pub struct StrongWolfe {
    /// c1, in (0, c2).
    pub sufficient_decrease: f64,
    /// c2, in (c1, 1): 0.9 for Newton and quasi-Newton directions, 0.1 for nonlinear conjugate gradients.
    pub curvature: f64,
    /// The step that is tried first.
    pub initial_step: f64,
    /// No step is longer than this.
    pub largest_step: f64,
    /// Give up after this many evaluations.
    pub max_evaluations: usize,
    /// Rounding errors of phi, in units of eps |phi(0)|: a rise by as much is overlooked.
    pub rounding: f64,
}

impl Default for StrongWolfe {
    fn default() -> Self {
        Self {
            sufficient_decrease: 1e-4,
            curvature: 0.9,
            initial_step: 1.0,
            largest_step: 1e10,
            max_evaluations: 60,
            rounding: 0.0,
        }
    }
}

/// A step, phi and phi' there.
#[derive(Clone, Copy)]
struct Point {
    step: f64,
    value: f64,
    slope: f64,
}

impl StrongWolfe {
    /// Searches from phi(0) = `value` with phi'(0) = `slope`; `phi` returns the value and the slope.
    ///
    /// # Errors
    /// `NotDescent`, `Start`, `Option`; `TooShort`, `Evaluations` and `Unbounded` where no step will do, with the best step of
    /// sufficient decrease that was met.
    pub fn search(
        &self,
        value: f64,
        slope: f64,
        phi: impl FnMut(f64) -> (f64, f64),
    ) -> Result<Accepted, LineSearchError> {
        check_start(value, slope)?;
        check_options(self.sufficient_decrease, self.initial_step, self.rounding)?;
        let range = |ok: bool, name, value, expected| {
            if ok { Ok(()) } else { Err(LineSearchError::Option { name, value, expected }) }
        };
        let c2 = self.curvature;
        range(c2 > self.sufficient_decrease && c2 < 1.0, "curvature", c2, "in (sufficient_decrease, 1)")?;
        range(
            self.largest_step >= self.initial_step,
            "largest_step",
            self.largest_step,
            "at least initial_step",
        )?;
        let slack = self.rounding * f64::EPSILON * value.abs();
        let start = Point { step: 0.0, value, slope };
        Wolfe { options: self, phi, start, slack, evaluations: 0, best: None }.bracket()
    }
}

/// A strong Wolfe search in progress.
struct Wolfe<'a, F> {
    options: &'a StrongWolfe,
    phi: F,
    start: Point,
    slack: f64,
    evaluations: usize,
    /// The lowest point with sufficient decrease so far.
    best: Option<Point>,
}

impl<F: FnMut(f64) -> (f64, f64)> Wolfe<'_, F> {
    /// Lengthens the step until an acceptable one lies between the last two, or is met.
    fn bracket(mut self) -> Result<Accepted, LineSearchError> {
        let mut previous = self.start;
        let mut step = self.options.initial_step;
        loop {
            let point = self.evaluate(step)?;
            if !self.decreases(point) || (self.evaluations > 1 && point.value >= previous.value) {
                return self.zoom(previous, point);
            }
            if self.is_flat(point) {
                return Ok(self.accept(point));
            }
            if point.slope >= 0.0 {
                return self.zoom(point, previous);
            }
            if step >= self.options.largest_step {
                return Err(LineSearchError::Unbounded { best: self.accept(point) });
            }
            let guess = hermite_minimiser(previous, point);
            let factor = if guess.is_nan() { 4.0 } else { (guess / step).clamp(2.0, 10.0) };
            previous = point;
            step = (factor * step).min(self.options.largest_step);
        }
    }

    /// Shrinks the interval between `low`, the better end, where phi falls towards `high`, and `high`.
    fn zoom(mut self, mut low: Point, mut high: Point) -> Result<Accepted, LineSearchError> {
        loop {
            let width = high.step - low.step;
            if width.abs() <= 4.0 * f64::EPSILON * low.step.max(high.step)
                || high.step.max(low.step) < f64::MIN_POSITIVE
            {
                let (smallest, evaluations) = (low.step.max(high.step), self.evaluations);
                let best = self.best.map(|point| self.accept(point));
                return Err(LineSearchError::TooShort { smallest, evaluations, best });
            }
            let fraction = (hermite_minimiser(low, high) - low.step) / width;
            let fraction = if fraction.is_nan() { 0.5 } else { fraction.clamp(0.1, 0.9) };
            let point = self.evaluate(low.step + fraction * width)?;
            if !self.decreases(point) || point.value >= low.value {
                high = point;
            } else {
                if self.is_flat(point) {
                    return Ok(self.accept(point));
                }
                if point.slope * width >= 0.0 {
                    high = low;
                }
                low = point;
            }
        }
    }

    fn evaluate(&mut self, step: f64) -> Result<Point, LineSearchError> {
        if self.evaluations >= self.options.max_evaluations {
            let best = self.best.map(|point| self.accept(point));
            return Err(LineSearchError::Evaluations { evaluations: self.evaluations, best });
        }
        self.evaluations += 1;
        let (value, slope) = (self.phi)(step);
        let finite = value.is_finite() && slope.is_finite();
        let point = Point { step, value: if finite { value } else { f64::INFINITY }, slope };
        if self.decreases(point) && self.best.is_none_or(|best| point.value < best.value) {
            self.best = Some(point);
        }
        Ok(point)
    }

    fn decreases(&self, point: Point) -> bool {
        let bound = self.options.sufficient_decrease * point.step * self.start.slope;
        point.value <= self.start.value + bound + self.slack
    }

    fn is_flat(&self, point: Point) -> bool {
        point.slope.abs() <= -self.options.curvature * self.start.slope
    }

    fn accept(&self, point: Point) -> Accepted {
        let Point { step, value, slope } = point;
        Accepted { step, value, slope: Some(slope), evaluations: self.evaluations }
    }
}

/// Minimiser of the cubic with the values and slopes of two points (Nocedal and Wright, equation 3.59); NaN where it has none.
fn hermite_minimiser(p: Point, q: Point) -> f64 {
    let d1 = p.slope + q.slope - 3.0 * (p.value - q.value) / (p.step - q.step);
    let discriminant = d1 * d1 - p.slope * q.slope;
    if discriminant.is_nan() || discriminant < 0.0 {
        return f64::NAN;
    }
    let d2 = (q.step - p.step).signum() * discriminant.sqrt();
    q.step - (q.step - p.step) * (q.slope + d2 - d1) / (q.slope - p.slope + 2.0 * d2)
}
