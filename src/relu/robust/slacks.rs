//! Slacks s > 0 of constraints with their multipliers z > 0, and a Newton step of both.

/// Constraints that share an epigraph or a cone.
#[derive(Debug, Clone, Default)]
pub(super) struct Slacks {
    pub s: Vec<f64>,
    pub z: Vec<f64>,
    /// What the products s z are to be after the step, less its second-order term.
    target: Vec<f64>,
    ds: Vec<f64>,
    dz: Vec<f64>,
}

impl Slacks {
    /// Multipliers that make all products equal to mu.
    pub fn new(s: Vec<f64>, mu: f64) -> Self {
        let z = s.iter().map(|s| mu / s).collect();
        let zeros = vec![0.0; s.len()];
        Self { s, z, target: zeros.clone(), ds: zeros.clone(), dz: zeros }
    }

    /// z / s, the weight of a constraint in the Hessian.
    pub fn weight(&self, i: usize) -> f64 {
        self.z[i] / self.s[i]
    }

    /// What a constraint pulls with: target / s.
    pub fn pull(&self, i: usize) -> f64 {
        self.target[i] / self.s[i]
    }

    /// Sets the targets to mu, or to mu less the second-order term of the last step.
    pub fn aim(&mut self, mu: f64, corrected: bool) {
        for (i, target) in self.target.iter_mut().enumerate() {
            *target = if corrected { mu - self.ds[i] * self.dz[i] } else { mu };
        }
    }

    /// The steps of constraint i from that of its slack.
    pub fn step(&mut self, i: usize, ds: f64) {
        self.ds[i] = ds;
        self.dz[i] = (self.target[i] - self.z[i] * ds) / self.s[i] - self.z[i];
    }

    /// The multiplier at the end of the whole step.
    pub fn carried(&self, i: usize) -> f64 {
        (self.z[i] + self.dz[i]).max(0.0)
    }

    /// The longest step that keeps slacks (to first order) and multipliers positive.
    pub fn longest(&self) -> f64 {
        let reach = |(x, dx): (&f64, &f64)| if *dx < 0.0 { -x / dx } else { f64::INFINITY };
        let slacks = self.s.iter().zip(&self.ds).map(reach).fold(f64::INFINITY, f64::min);
        self.z.iter().zip(&self.dz).map(reach).fold(slacks, f64::min)
    }

    /// The sum of the products, and their number.
    pub fn products(&self) -> (f64, f64) {
        (self.s.iter().zip(&self.z).map(|(s, z)| s * z).sum(), self.s.len() as f64)
    }

    /// Moves the multipliers; slacks are renewed by their owner.
    pub fn take(&mut self, step: f64) {
        self.z.iter_mut().zip(&self.dz).for_each(|(z, dz)| *z += step * dz);
    }

    /// Whether all slacks are positive.
    pub fn inside(&self) -> bool {
        self.s.iter().all(|s| *s > 0.0)
    }
}
