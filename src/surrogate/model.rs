//! The cheap part of a problem: the map f from parameters to targets.

use crate::linalg::{DesignMatrix, RowBlock};

/// A cheap map f: parameters theta -> targets z, `outputs` of them for each of the samples.
///
/// A batch is a list of samples. A batch of all samples is always 0, 1, ..., n - 1, so that whole-matrix products may be
/// used for it. Targets of a batch of b samples are b x outputs, row-major.
pub trait TargetModel {
    /// n, the number of samples.
    fn samples(&self) -> usize;

    /// Targets of one sample.
    fn outputs(&self) -> usize {
        1
    }

    /// d, the number of parameters.
    fn parameters(&self) -> usize;

    /// z <- f_B(theta).
    fn forward(&self, theta: &[f64], batch: &[u32], z: &mut [f64]);

    /// out <- J'u, J the Jacobian of f_B at theta.
    fn pull_back(&self, theta: &[f64], batch: &[u32], u: &[f64], out: &mut [f64]);

    /// out <- J v. Returns false if the model has no such product; Gauss-Newton steps need it.
    fn push_forward(&self, _theta: &[f64], _batch: &[u32], _v: &[f64], _out: &mut [f64]) -> bool {
        false
    }

    /// The data matrix behind a linear map, which makes exact solves possible.
    fn as_linear(&self) -> Option<&LinearTargets<'_>> {
        None
    }
}

/// z = X Theta + 1 b' + o: linear in the parameters, which are Theta (p x k, row-major) and then b (k) where there is an
/// intercept.
#[derive(Debug, Clone, Copy)]
pub struct LinearTargets<'a> {
    /// X, n x p.
    pub design: &'a DesignMatrix,
    /// k, targets of one sample.
    pub outputs: usize,
    /// Whether a constant is fitted for each output.
    pub intercept: bool,
    /// o, n x k, zero where absent.
    pub offsets: Option<&'a [f64]>,
}

impl<'a> LinearTargets<'a> {
    /// One output, no intercept, no offsets.
    pub fn new(design: &'a DesignMatrix) -> Self {
        Self { design, outputs: 1, intercept: false, offsets: None }
    }

    /// p, or p + 1 with an intercept: the parameters of one output.
    pub fn width(&self) -> usize {
        self.design.columns() + usize::from(self.intercept)
    }

    /// Copies the rows of a batch.
    pub fn gather(&self, batch: &[u32], rows: &mut RowBlock) {
        rows.gather(self.design, batch, self.intercept);
    }

    /// z <- J theta, the linear part.
    fn linear_part(&self, theta: &[f64], batch: &[u32], z: &mut [f64]) {
        let (k, p) = (self.outputs, self.design.columns());
        let features = &theta[..p * k];
        if k == 1 && batch.len() == self.design.rows() {
            self.design.multiply(features, z);
        } else if k == 1 && self.design.standardization().is_none() {
            for (z, &i) in z.iter_mut().zip(batch) {
                *z = self.design.row(i as usize).dot(features);
            }
        } else {
            self.by_output(k, features, z, |x, z| self.one_output(x, batch, z));
        }
        if self.intercept {
            for z in z.chunks_exact_mut(k) {
                z.iter_mut().zip(&theta[p * k..]).for_each(|(z, b)| *z += b);
            }
        }
    }

    /// Runs a map of one output's vectors for all outputs, row-major on both sides.
    fn by_output(&self, k: usize, x: &[f64], z: &mut [f64], map: impl Fn(&[f64], &mut [f64])) {
        let mut part = vec![0.0; z.len() / k];
        for c in 0..k {
            let own: Vec<f64> = x.iter().skip(c).step_by(k).copied().collect();
            map(&own, &mut part);
            z.iter_mut().skip(c).step_by(k).zip(&part).for_each(|(z, value)| *z = *value);
        }
    }

    fn one_output(&self, x: &[f64], batch: &[u32], z: &mut [f64]) {
        if batch.len() == self.design.rows() {
            return self.design.multiply(x, z);
        }
        let (mut scaled, mut shift) = (None, 0.0);
        if let Some(s) = self.design.standardization() {
            let x: Vec<f64> = x.iter().zip(&s.scales).map(|(x, scale)| x / scale).collect();
            shift = x.iter().zip(&s.means).map(|(x, mean)| x * mean).sum();
            scaled = Some(x);
        }
        let x = scaled.as_deref().unwrap_or(x);
        for (z, &i) in z.iter_mut().zip(batch) {
            *z = self.design.row(i as usize).dot(x) - shift;
        }
    }

    fn one_output_back(&self, u: &[f64], batch: &[u32], out: &mut [f64]) {
        if batch.len() == self.design.rows() {
            return self.design.multiply_transpose(u, out);
        }
        out.fill(0.0);
        for (&u, &i) in u.iter().zip(batch) {
            self.design.row(i as usize).add_to(u, out);
        }
        if let Some(s) = self.design.standardization() {
            let total: f64 = u.iter().sum();
            for ((out, mean), scale) in out.iter_mut().zip(&s.means).zip(&s.scales) {
                *out = (*out - mean * total) / scale;
            }
        }
    }
}

impl TargetModel for LinearTargets<'_> {
    fn samples(&self) -> usize {
        self.design.rows()
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn parameters(&self) -> usize {
        self.width() * self.outputs
    }

    fn forward(&self, theta: &[f64], batch: &[u32], z: &mut [f64]) {
        self.linear_part(theta, batch, z);
        let Some(offsets) = self.offsets else { return };
        let k = self.outputs;
        for (z, &i) in z.chunks_exact_mut(k).zip(batch) {
            z.iter_mut().zip(&offsets[i as usize * k..]).for_each(|(z, o)| *z += o);
        }
    }

    fn pull_back(&self, _theta: &[f64], batch: &[u32], u: &[f64], out: &mut [f64]) {
        let (k, p) = (self.outputs, self.design.columns());
        let (features, constants) = out.split_at_mut(p * k);
        if k == 1 {
            self.one_output_back(u, batch, features);
        } else {
            self.by_output(k, u, features, |u, out| self.one_output_back(u, batch, out));
        }
        if self.intercept {
            constants.fill(0.0);
            for u in u.chunks_exact(k) {
                constants.iter_mut().zip(u).for_each(|(sum, u)| *sum += u);
            }
        }
    }

    fn push_forward(&self, _theta: &[f64], batch: &[u32], v: &[f64], out: &mut [f64]) -> bool {
        self.linear_part(v, batch, out);
        true
    }

    fn as_linear(&self) -> Option<&LinearTargets<'_>> {
        Some(self)
    }
}
