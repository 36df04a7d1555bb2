//! Runs one method on one system, and finishes what another method left undone.

use sprs::CsMatViewI;

use super::attempt::{Attempt, End, Stop, System, Watch};
use super::eisenstat::Lanczos;
use super::sor::Kind;
use super::{Error, Method, eisenstat, krylov, sor};
use crate::linalg::factor::{FactorError, SparseCholesky};
use crate::linalg::krylov::{IncompleteCholesky, Multigrid, Workspace};
use crate::linalg::product::norm;

/// Workspaces and factorisations kept from one solve to the next.
#[derive(Default)]
pub(super) struct Engine {
    workspace: Workspace,
    cholesky: SparseCholesky,
    /// The matrix that `cholesky` holds.
    factored: Option<Key>,
    incomplete: Option<(Key, IncompleteCholesky)>,
    multigrid: Option<(Key, Multigrid)>,
}

/// Tells matrices apart: pattern, shift, and the values' own hash.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Key {
    pattern: u64,
    values: u64,
    shift: u64,
}

impl Key {
    fn of(system: System) -> Self {
        let operator = system.operator;
        Self { pattern: operator.pattern(), values: operator.values(), shift: operator.shift().to_bits() }
    }
}

/// What was made of a matrix: before, or now. Says whether it is new.
fn kept<'k, T, E>(
    slot: &'k mut Option<(Key, T)>,
    system: System,
    make: impl FnOnce(CsMatViewI<f64, u32>) -> Result<T, E>,
) -> Result<(&'k T, bool), Error> {
    let key = Key::of(system);
    let (is_new, made) = match slot.take() {
        Some((known, made)) if known == key => (false, made),
        _ => {
            let made = make(system.operator.to_csr().view());
            (true, made.map_err(|_| Error::NotPositiveDefinite { rayleigh: f64::NAN })?)
        }
    };
    Ok((&slot.insert((key, made)).1, is_new))
}

/// Steps of iterative refinement after a direct solve.
const REFINEMENTS: usize = 3;

impl Engine {
    /// One method from x. An attempt whose x isn't finite leaves 0 there.
    #[allow(clippy::too_many_arguments)]
    pub fn attempt(
        &mut self,
        method: Method,
        omega: f64,
        system: System,
        x: &mut [f64],
        stop: Stop,
        lanczos: Option<&mut Lanczos>,
        watch: &mut Watch,
    ) -> Result<Attempt, Error> {
        let workspace = &mut self.workspace;
        let mut attempt = match method {
            Method::Sor => sor::run(system, Kind::Forward(omega), x, stop, workspace, watch),
            Method::Ssor => sor::run(system, Kind::Symmetric(omega), x, stop, workspace, watch),
            Method::SsorCg => eisenstat::run(system, omega, x, stop, workspace, lanczos, watch),
            Method::Cg => {
                let preconditioner = krylov::jacobi(system)?;
                krylov::run(system, &preconditioner, 0.0, x, stop, workspace, watch)
            }
            Method::IncompleteCholeskyCg => self.incomplete_cholesky(system, x, stop, watch)?,
            Method::MultigridCg => self.multigrid(system, x, stop, watch)?,
            Method::Direct => self.direct(system, x, stop)?,
        };
        if x.iter().any(|x| !x.is_finite()) {
            x.fill(0.0);
            attempt.residual = norm(system.b);
        }
        Ok(attempt)
    }

    /// The probe of [`krylov::probe`] for a method.
    pub fn probe(
        &mut self,
        method: Method,
        system: System,
        x: &mut [f64],
        stop: Stop,
        watch: &mut Watch,
    ) -> Result<(Attempt, Option<f64>), Error> {
        let probe = match method {
            Method::Sor | Method::Ssor => krylov::Probe::Settled,
            _ => krylov::Probe::Short,
        };
        krylov::probe(probe, system, x, stop, &mut self.workspace, &mut Lanczos::default(), watch)
    }

    /// The Lanczos matrix of as many steps as it takes to know the smallest eigenvalue of D^{-1} A.
    pub fn spectrum(
        &mut self,
        system: System,
        x: &mut [f64],
        stop: Stop,
        lanczos: &mut Lanczos,
        watch: &mut Watch,
    ) -> Result<(), Error> {
        let probe = krylov::Probe::Exact;
        let (done, _) = krylov::probe(probe, system, x, stop, &mut self.workspace, lanczos, watch)?;
        match done.end {
            End::Indefinite(rayleigh) => Err(Error::NotPositiveDefinite { rayleigh }),
            _ => Ok(()),
        }
    }

    /// Finishes a system that a relaxation left undone: Jacobi-CG from x, then a factorisation. Returns what ended it and how.
    pub fn finish(
        &mut self,
        system: System,
        x: &mut [f64],
        stop: Stop,
        watch: &mut Watch,
    ) -> Result<(Attempt, Method), Error> {
        let attempt = self.attempt(Method::Cg, 1.0, system, x, stop, None, watch)?;
        match attempt.end {
            End::Solved | End::Stopped(_) | End::Indefinite(_) => Ok((attempt, Method::Cg)),
            _ => {
                let direct = self.attempt(Method::Direct, 1.0, system, x, stop, None, watch)?;
                let iterations = attempt.iterations + direct.iterations;
                Ok((Attempt { iterations, flops: attempt.flops + direct.flops, ..direct }, Method::Direct))
            }
        }
    }

    fn incomplete_cholesky(
        &mut self,
        system: System,
        x: &mut [f64],
        stop: Stop,
        watch: &mut Watch,
    ) -> Result<Attempt, Error> {
        let nonzeros = system.operator.nonzeros() as f64;
        let (factor, is_new) = kept(&mut self.incomplete, system, IncompleteCholesky::new)?;
        let mut attempt = krylov::run(system, factor, 2.0 * nonzeros, x, stop, &mut self.workspace, watch);
        attempt.flops += if is_new { 4.0 * nonzeros } else { 0.0 };
        Ok(attempt)
    }

    fn multigrid(
        &mut self,
        system: System,
        x: &mut [f64],
        stop: Stop,
        watch: &mut Watch,
    ) -> Result<Attempt, Error> {
        let (cycle, is_new) = kept(&mut self.multigrid, system, Multigrid::new)?;
        let mut attempt = krylov::run(system, cycle, cycle.flops(), x, stop, &mut self.workspace, watch);
        // two products of sparse matrices a level
        let setup = 20.0 * cycle.complexity() * system.operator.nonzeros() as f64;
        attempt.flops += if is_new { setup } else { 0.0 };
        Ok(attempt)
    }

    /// Cholesky, made again only when the matrix changes, with iterative refinement.
    fn direct(&mut self, system: System, x: &mut [f64], stop: Stop) -> Result<Attempt, Error> {
        let n = x.len() as f64;
        let mut flops = 0.0;
        let key = Key::of(system);
        if self.factored != Some(key) {
            self.factored = None;
            self.cholesky.factor(system.operator.to_csr().view()).map_err(|error| match error {
                FactorError::NotPositiveDefinite { .. } => Error::NotPositiveDefinite { rayleigh: f64::NAN },
                other => Error::Factorisation(other.to_string()),
            })?;
            self.factored = Some(key);
            let entries = self.cholesky.factor_entries() as f64;
            // a lower bound of the sum of the squared column lengths
            flops += entries * entries / n.max(1.0);
        }
        let [r] = self.workspace.vectors(x.len());
        let mut attempt = Attempt { end: End::Stagnated, iterations: 0, residual: f64::INFINITY, flops };
        x.fill(0.0);
        for _ in 0..=REFINEMENTS {
            attempt.residual = system.operator.residual(system.b, x, r);
            if attempt.residual <= stop.target {
                break;
            }
            self.cholesky.solve_in_place(r).map_err(|error| Error::Factorisation(error.to_string()))?;
            x.iter_mut().zip(&*r).for_each(|(x, r)| *x += r);
            attempt.iterations += 1;
            attempt.flops += 4.0 * self.cholesky.factor_entries() as f64;
        }
        attempt.residual = system.operator.residual(system.b, x, r);
        if attempt.residual <= stop.target {
            attempt.end = End::Solved;
        }
        Ok(attempt)
    }

    /// Whether a direct solve of this system needs no new factorisation.
    pub fn is_factored(&self, system: System) -> bool {
        self.factored == Some(Key::of(system))
    }
}
