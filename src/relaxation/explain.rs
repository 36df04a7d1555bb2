//! What theory says about a system before it is solved.

use std::fmt;

use super::attempt::{Stop, System};
use super::eisenstat::Lanczos;
use super::engine::Engine;
use super::{Error, Method, Omega, Operator, Relaxation, check_vector, formula, formula_for};
use crate::control::{Monitor, Run};
use crate::linalg::krylov::Workspace;
use crate::linalg::product::norm;

/// Power steps for the norm of a power of the iteration matrix.
const POWER_STEPS: usize = 8;
/// The norm is left out where it would take more entries of the matrix than this.
const AFFORDABLE: f64 = 2e9;

/// Numbers that tell how fast a relaxation will converge. Estimates where they come from Lanczos's method, which sees the spectrum from
/// within: 1 - beta is estimated from above.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The method that the predictions are for.
    pub method: Method,
    /// Its omega; None for methods without one.
    pub omega: Option<f64>,
    /// 1 - beta, beta the spectral radius of Jacobi's iteration matrix: the smallest eigenvalue of D^{-1} A.
    pub gap: f64,
    /// A lower bound of `gap` from the diagonal dominance, where that is positive.
    pub dominance: f64,
    /// The condition number of D^{-1/2} A D^{-1/2}.
    pub condition: f64,
    /// Whether the order of the rows is consistent, so that Young's formulas hold.
    pub consistently_ordered: bool,
    /// The spectral radius of SOR's iteration matrix; for SOR on consistently ordered matrices.
    pub radius: Option<f64>,
    /// ln eps / ln(radius): the iterations were the residual to fall by the radius from the start.
    pub asymptotic: Option<f64>,
    /// (|C^(k-1)|^(1/(k-1)) - radius) / (1 - radius) for SOR's iteration matrix C of residuals and k the asymptotic count: how far the
    /// norm of a power is from the power of the radius. None where it would take too long.
    pub tau: Option<f64>,
    /// 1 + ln eps / ln(radius + tau (1 - radius)).
    pub near_asymptotic: Option<f64>,
    /// A bound: of the energy norm's fall for SOR, ln(eps / (2 sqrt(condition))) / ln |C|_A; from the condition number of the preconditioned
    /// matrix for SSOR-CG and CG.
    pub bound: Option<f64>,
}

impl Relaxation {
    /// Estimates the spectrum by Jacobi-CG on A x = b and predicts how many iterations the method takes to the tolerance. None
    /// where the monitor's flag or the time limit, counted from here, ends it before the numbers are known.
    ///
    /// Cost: the steps of the probe, and for SOR sixteen times the predicted sweeps where that is affordable.
    ///
    /// # Errors
    /// As [`solve_with`](Self::solve_with).
    pub fn explain(
        &self,
        operator: &Operator,
        b: &[f64],
        monitor: &mut Monitor,
    ) -> Result<Option<Explanation>, Error> {
        self.check()?;
        check_vector("the right-hand side", b, operator.dimension())?;
        let run = Run::start(&self.limits, monitor, &[]);
        let inner = operator.enter(b);
        let system = System { operator, b: inner.as_deref().unwrap_or(b) };
        let Some(spectrum) = Spectrum::estimate(system, &run)? else { return Ok(None) };
        let gap = spectrum.smallest.clamp(0.0, 1.0);
        let omega = match self.omega {
            _ if !self.method.has_omega() => None,
            Omega::Fixed(omega) => Some(omega),
            Omega::Auto => Some(formula_for(self.method, operator, gap)),
        };
        let mut explanation = Explanation {
            method: self.method,
            omega,
            gap,
            dominance: operator.dominance(),
            condition: spectrum.largest / spectrum.smallest,
            consistently_ordered: operator.is_consistently_ordered(),
            radius: None,
            asymptotic: None,
            tau: None,
            near_asymptotic: None,
            bound: None,
        };
        let told = explanation.predict(system, self.limits.tolerance.clamp(1e-300, 0.1), &run);
        Ok(told.then_some(explanation))
    }
}

/// The ends of the spectrum of D^{-1} A.
struct Spectrum {
    smallest: f64,
    largest: f64,
}

impl Spectrum {
    /// None where the run was stopped.
    fn estimate(system: System, run: &Run) -> Result<Option<Self>, Error> {
        let mut x = vec![0.0; system.b.len()];
        let mut lanczos = Lanczos::default();
        let stop = Stop { target: 1e-14 * norm(system.b), cap: 10_000 };
        let watch = &mut |_: usize, _: f64| run.should_stop();
        Engine::default().spectrum(system, &mut x, stop, &mut lanczos, watch)?;
        if run.should_stop().is_some() {
            return Ok(None);
        }
        let (smallest, largest) =
            (lanczos.smallest().unwrap_or(f64::NAN), lanczos.largest().unwrap_or(f64::NAN));
        Ok(Some(Self { smallest, largest }))
    }
}

impl Explanation {
    /// Whether it was not stopped.
    fn predict(&mut self, system: System, tolerance: f64, run: &Run) -> bool {
        let (eps, kappa) = (tolerance.ln(), self.condition);
        match (self.method, self.omega) {
            (Method::Sor, Some(omega)) => {
                if self.consistently_ordered {
                    let radius = formula::sor_radius(omega, 1.0 - self.gap);
                    let count = eps / radius.max(f64::MIN_POSITIVE).ln();
                    (self.radius, self.asymptotic) = (Some(radius), Some(count));
                    let sweeps = count.ceil().max(1.0);
                    let entries = 4.0 * sweeps * (POWER_STEPS * system.operator.nonzeros()) as f64;
                    if entries <= AFFORDABLE {
                        let Some(mean) = norm_of_power(system.operator, omega, sweeps as usize, run) else {
                            return false;
                        };
                        let tau = (mean - radius) / (1.0 - radius);
                        self.tau = Some(tau);
                        self.near_asymptotic = Some(1.0 + eps / (radius + tau * (1.0 - radius)).ln());
                    }
                }
                let squared = energy_norm_squared(system.operator, omega, self.gap);
                if squared > 0.0 && squared < 1.0 {
                    self.bound = Some((tolerance / (2.0 * kappa.sqrt())).ln() / (0.5 * squared.ln()));
                }
            }
            (Method::SsorCg, Some(omega)) => {
                let condition = formula::ssor_condition(omega, 1.0 / self.gap, 0.0);
                self.bound = Some(formula::ssor_cg_iterations(tolerance, kappa, condition));
            }
            (Method::Cg, _) => self.bound = Some(formula::ssor_cg_iterations(tolerance, kappa, kappa)),
            _ => {}
        }
        true
    }
}

/// |C^k|^(1/k) of C = I - A E^{-1}, which SOR multiplies the residual by; the norm by the power method on C'^k C^k, from below. None
/// where the run was stopped.
fn norm_of_power(operator: &Operator, omega: f64, k: usize, run: &Run) -> Option<f64> {
    let sweeps = operator.sweeps();
    let n = operator.dimension();
    let mut workspace = Workspace::new();
    let [v, g, product, zero] = workspace.vectors(n);
    zero.fill(0.0);
    v.iter_mut().enumerate().for_each(|(i, v)| *v = 1.0 + 0.5 * (i as f64).sin());
    let (mut logarithm, mut value) = (0.0, 0.0);
    let scale = |v: &mut [f64], logarithm: &mut f64| {
        let size = norm(v);
        if size > 0.0 {
            v.iter_mut().for_each(|v| *v /= size);
            *logarithm += size.ln();
        }
    };
    scale(v, &mut 0.0);
    for _ in 0..POWER_STEPS {
        for _ in 0..k {
            if run.should_stop().is_some() {
                return None;
            }
            sweeps.solve_lower(omega, v, g);
            sweeps.multiply(g, product);
            v.iter_mut().zip(&*product).for_each(|(v, p)| *v -= p);
            scale(v, &mut logarithm);
        }
        value = logarithm;
        for _ in 0..k {
            if run.should_stop().is_some() {
                return None;
            }
            sweeps.multiply(v, product);
            sweeps.solve_upper(omega, 1.0, zero, product, g);
            v.iter_mut().zip(&*g).for_each(|(v, g)| *v -= g);
            scale(v, &mut 0.0);
        }
        logarithm = 0.0;
    }
    Some((value / k as f64).exp())
}

/// |C|_A^2 <= 1 - 2 W g / (W^2 + g / omega + rho - 1/4) with W = (2 - omega) / (2 omega), g = 1 - beta and rho the radius of
/// D^{-1} L D^{-1} L' (Hackbusch 2016, section 3.5), here bounded by row sums: 1/4 for diagonally dominant stencils.
fn energy_norm_squared(operator: &Operator, omega: f64, gap: f64) -> f64 {
    let sweeps = operator.sweeps();
    let (mut lower, mut upper) = (0.0f64, 0.0f64);
    for (i, diagonal) in operator.shifted_diagonal().enumerate() {
        let mut sums = [0.0; 2];
        sweeps.row(i, &mut |j, value| {
            if j != i {
                sums[usize::from(j > i)] += value.abs() / diagonal;
            }
        });
        (lower, upper) = (lower.max(sums[0]), upper.max(sums[1]));
    }
    let rho = lower * upper;
    let w = (2.0 - omega) / (2.0 * omega);
    1.0 - 2.0 * w * gap / (w * w + gap / omega + rho - 0.25)
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "beta         {:.9}, 1 - beta = {:.3e}", 1.0 - self.gap, self.gap)?;
        write!(f, "\ndominance    1 - beta >= {:.3e}", self.dominance)?;
        write!(f, "\ncondition    {:.3e} with the diagonal scaled to 1", self.condition)?;
        let order = if self.consistently_ordered { "consistent" } else { "not consistent" };
        write!(f, "\norder        {order}")?;
        if let Some(omega) = self.omega {
            write!(f, "\nomega        {omega:.6}")?;
        }
        let lines = [
            ("radius       ", self.radius),
            ("tau          ", self.tau),
            ("asymptotic   ", self.asymptotic),
            ("near         ", self.near_asymptotic),
            ("bound        ", self.bound),
        ];
        for (name, value) in lines.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))) {
            let unit = if name.starts_with("radius") || name.starts_with("tau") { "" } else { " iterations" };
            if unit.is_empty() {
                write!(f, "\n{name}{value:.6}")?;
            } else {
                write!(f, "\n{name}{value:.1}{unit}")?;
            }
        }
        Ok(())
    }
}
