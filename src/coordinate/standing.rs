//! What every fit of this folder reports about its current point, round by round.

use crate::control::{Certificate, Counts, Run, Status};

/// How good the current point is, and what was done to get there.
pub(super) struct Standing {
    pub objective: f64,
    pub certificate: Certificate,
    /// The certificate's scale: the objective at x = 0, or the largest violation there.
    scale: f64,
    pub counts: Counts,
}

impl Standing {
    /// Not known yet; a duality gap or a relative gradient will be certified.
    pub fn unknown(gap: bool) -> Self {
        let kind = if gap { "duality_gap" } else { "gradient" };
        Self {
            objective: f64::NAN,
            certificate: Certificate { kind, value: f64::NAN, relative: f64::NAN },
            scale: 0.0,
            counts: Counts::new(),
        }
    }

    /// Beyond the range of doubles, in the objective or in its scale, nothing is certified.
    pub fn set_certificate(&mut self, value: f64) {
        self.certificate = Certificate::over(self.certificate.kind, value, self.scale);
        if self.objective.is_infinite() {
            self.certificate.relative = f64::INFINITY;
        } else if self.objective.is_nan() && !self.scale.is_infinite() {
            self.certificate.relative = f64::NAN;
        }
    }

    /// Makes all certificates relative to this number, the present one first.
    pub fn set_scale(&mut self, scale: f64) {
        self.scale = scale;
        self.set_certificate(self.certificate.value);
    }

    pub fn count(&mut self, what: &'static str, times: u64) {
        *self.counts.entry(what).or_default() += times;
    }
}

/// Tells a run that creeps from one that has come to rest at rounding.
pub(super) struct Progress {
    objective: f64,
    certificate: f64,
    idle: usize,
}

impl Progress {
    /// Rounds without progress after which a run has stalled.
    const PATIENCE: usize = 4;

    pub fn new(objective: f64) -> Self {
        Self { objective, certificate: f64::INFINITY, idle: 0 }
    }

    /// A row of the trace: the support and the set of unknowns worked on, by their sizes, and the models so far. Returns
    /// the status to end with: a limit is met, or nothing was gained for several rounds.
    pub fn record(
        &mut self,
        run: &mut Run,
        standing: &Standing,
        support: usize,
        size: usize,
    ) -> Option<Status> {
        let (objective, certificate) = (standing.objective, standing.certificate.relative);
        let models = standing.counts.get("newton_models").copied().unwrap_or(0);
        run.record(objective, certificate, &[support as f64, size as f64, models as f64])
            .or_else(|| self.has_stalled(objective, certificate).then_some(Status::Stalled))
    }

    /// Whether neither objective nor certificate has improved for several rounds.
    pub fn has_stalled(&mut self, objective: f64, certificate: f64) -> bool {
        let lower = objective < self.objective - 1e-15 * self.objective.abs();
        let better = certificate < 0.9 * self.certificate;
        self.idle = if lower || better { 0 } else { self.idle + 1 };
        self.objective = self.objective.min(objective);
        self.certificate = self.certificate.min(certificate);
        self.idle >= Self::PATIENCE || !objective.is_finite()
    }
}
