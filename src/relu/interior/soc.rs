//! Nesterov and Todd's scaling of a second-order cone {(t, v) : |v| <= t}.
//!
//! For x = (t, v) and z inside the cone there is one scaling W = eta (2 w w' - J)^{1/2} with W z = W^{-1} x = lambda
//! (Nesterov and Todd 1998; Alizadeh and Goldfarb 2003, section 7).
//!
//! Near the optimum x and z lie on the cone's boundary but for 1e-12 and less, which t and |v| cannot tell in their
//! difference. So points are kept as v and their depth t - |v|, which is stepped on its own, and what the scaling needs is
//! formed from depths.

use crate::linalg::product::{dot_serial, norm};

/// The scaling of one cone of dimension d + 1.
#[derive(Debug, Clone)]
pub(in crate::relu) struct Scaling {
    eta: f64,
    w0: f64,
    w: Vec<f64>,
    lambda0: f64,
    lambda: Vec<f64>,
    /// lambda0^2 - |lambda|^2.
    determinant: f64,
    product: f64,
}

/// The depth of (t, v) after a step: t + step dt - |v + step dv|, without the difference of large numbers.
pub(in crate::relu) fn deepen(depth: f64, v: &[f64], (dt, dv): (f64, &[f64]), step: f64) -> f64 {
    let before = norm(v);
    let after = v.iter().zip(dv).map(|(v, dv)| (v + step * dv).powi(2)).sum::<f64>().sqrt();
    let growth = step * (2.0 * dot_serial(v, dv) + step * dot_serial(dv, dv));
    depth + step * dt - if growth == 0.0 { 0.0 } else { growth / (before + after) }
}

impl Scaling {
    pub fn new(d: usize) -> Self {
        let (w, lambda) = (vec![0.0; d], vec![0.0; d]);
        Self { eta: 1.0, w0: 1.0, w, lambda0: 1.0, lambda, determinant: 1.0, product: 0.0 }
    }

    /// The scaling of x = (|v| + x_depth, v) and (|z| + z_depth, z).
    pub fn renew(&mut self, x_depth: f64, v: &[f64], z_depth: f64, z: &[f64]) {
        let (x_norm, z_norm) = (norm(v), norm(z));
        let x_size = (x_depth * (2.0 * x_norm + x_depth)).max(1e-300).sqrt();
        let z_size = (z_depth * (2.0 * z_norm + z_depth)).max(1e-300).sqrt();
        // |v| |z| + v'z is half of | v / |v| + z / |z| |^2 |v| |z|
        let opposed = if x_norm > 0.0 && z_norm > 0.0 {
            let sum = v.iter().zip(z).map(|(v, z)| (v / x_norm + z / z_norm).powi(2)).sum::<f64>();
            0.5 * sum * x_norm * z_norm
        } else {
            x_norm * z_norm
        };
        self.product = (opposed + x_depth * z_norm + z_depth * x_norm + x_depth * z_depth).max(1e-300);
        self.determinant = x_size * z_size;
        let half = (0.5 * (1.0 + self.product / self.determinant)).sqrt();
        self.eta = (x_size / z_size).sqrt();
        for ((w, v), z) in self.w.iter_mut().zip(v).zip(z) {
            *w = (v / x_size - z / z_size) / (2.0 * half);
        }
        // w lies on the hyperboloid w0^2 - |w|^2 = 1
        self.w0 = (1.0 + dot_serial(&self.w, &self.w)).sqrt();
        let size = self.determinant.sqrt();
        self.lambda0 = size * half;
        let (x0, z0) = ((x_norm + x_depth) / x_size, (z_norm + z_depth) / z_size);
        let share = size / (x0 + z0 + 2.0 * half);
        for ((lambda, v), z) in self.lambda.iter_mut().zip(v).zip(z) {
            *lambda = share * ((half + z0) * (v / x_size) + (half + x0) * (z / z_size));
        }
    }

    /// x'z.
    pub fn product(&self) -> f64 {
        self.product
    }

    /// (y0, y) <- W (x0, x); returns y0.
    fn apply(&self, x0: f64, x: &[f64], y: &mut [f64]) -> f64 {
        let along = dot_serial(&self.w, x);
        let factor = x0 + along / (1.0 + self.w0);
        y.iter_mut().zip(x).zip(&self.w).for_each(|((y, x), w)| *y = self.eta * (x + factor * w));
        self.eta * (self.w0 * x0 + along)
    }

    /// (y0, y) <- W^{-1} (x0, x); returns y0.
    fn apply_inverse(&self, x0: f64, x: &[f64], y: &mut [f64]) -> f64 {
        let along = dot_serial(&self.w, x);
        let factor = along / (1.0 + self.w0) - x0;
        y.iter_mut().zip(x).zip(&self.w).for_each(|((y, x), w)| *y = (x + factor * w) / self.eta);
        (self.w0 * x0 - along) / self.eta
    }

    /// Adds C = eta^{-2} (I - 2 w w' / (1 + 2 |w|^2)), the cone's part of the Newton matrix once t is eliminated, to the
    /// lower triangle of a d x d matrix.
    pub fn add_curvature(&self, matrix: &mut [f64]) {
        let d = self.w.len();
        let scale = 1.0 / (self.eta * self.eta);
        let factor = 2.0 * scale / (1.0 + 2.0 * dot_serial(&self.w, &self.w));
        for (j, column) in matrix.chunks_exact_mut(d).enumerate() {
            for (entry, w) in column[j..].iter_mut().zip(&self.w[j..]) {
                *entry -= factor * self.w[j] * w;
            }
            column[j] += scale;
        }
    }

    /// out <- out + C x.
    pub fn add_product(&self, x: &[f64], out: &mut [f64]) {
        let scale = 1.0 / (self.eta * self.eta);
        let factor = 2.0 * scale / (1.0 + 2.0 * dot_serial(&self.w, &self.w)) * dot_serial(&self.w, x);
        out.iter_mut().zip(x).zip(&self.w).for_each(|((out, x), w)| *out += scale * x - factor * w);
    }

    /// (e0, e) = W^{-1} (lambda \ (mu e - lambda o lambda - (W^{-1} dx) o (W dz))): what the linearised complementarity
    /// asks of dz + W^{-2} dx. Without a direction the last term is left out.
    pub fn target(&self, mu: f64, affine: Option<(f64, &[f64], &[f64])>, e: &mut [f64]) -> f64 {
        let d = self.w.len();
        let mut r = vec![0.0; d];
        let mut r0 = mu - self.lambda0 * self.lambda0 - dot_serial(&self.lambda, &self.lambda);
        r.iter_mut().zip(&self.lambda).for_each(|(r, l)| *r = -2.0 * self.lambda0 * l);
        if let Some((dt, dv, dz)) = affine {
            let (mut x, mut z) = (vec![0.0; d], vec![0.0; d]);
            let (x0, z0) = (self.apply_inverse(dt, dv, &mut x), self.apply(0.0, dz, &mut z));
            r0 -= x0 * z0 + dot_serial(&x, &z);
            r.iter_mut().zip(x.iter().zip(&z)).for_each(|(r, (x, z))| *r -= x0 * z + z0 * x);
        }
        // lambda \ r, by the inverse of the arrow matrix of lambda
        let along = dot_serial(&self.lambda, &r);
        let q0 = (self.lambda0 * r0 - along) / self.determinant;
        r.iter_mut().zip(&self.lambda).for_each(|(r, l)| *r = (*r - q0 * l) / self.lambda0);
        self.apply_inverse(q0, &r, e)
    }

    /// What the target adds to the right-hand side of the reduced system: e + 2 w0 e0 w / (2 w0^2 - 1).
    pub fn add_reduced(&self, e0: f64, e: &[f64], out: &mut [f64]) {
        let factor = 2.0 * self.w0 * e0 / (1.0 + 2.0 * dot_serial(&self.w, &self.w));
        out.iter_mut().zip(e).zip(&self.w).for_each(|((out, e), w)| *out += e + factor * w);
    }

    /// dt and dz from dv, given the target (e0, e); dz is written over e.
    pub fn recover(&self, e0: f64, e: &mut [f64], dv: &[f64]) -> f64 {
        let along = dot_serial(&self.w, dv);
        let square = self.eta * self.eta;
        let dt = (square * e0 + 2.0 * self.w0 * along) / (1.0 + 2.0 * dot_serial(&self.w, &self.w));
        let factor = 2.0 * (self.w0 * dt - along);
        e.iter_mut().zip(dv).zip(&self.w).for_each(|((e, dv), w)| *e += (factor * w - dv) / square);
        dt
    }
}

/// The longest step along (dt, dv) from (|v| + depth, v) inside the cone.
pub(in crate::relu) fn longest(depth: f64, v: &[f64], dt: f64, dv: &[f64]) -> f64 {
    let size = norm(v);
    let t = size + depth;
    let a = dt * dt - dot_serial(dv, dv);
    let b = t * dt - dot_serial(v, dv);
    let c = (depth * (size + t)).max(0.0);
    let mut longest = if dt < 0.0 { -t / dt } else { f64::INFINITY };
    // the smallest positive root of a s^2 + 2 b s + c
    let discriminant = b * b - a * c;
    if discriminant >= 0.0 {
        let root = discriminant.sqrt();
        let q = if b >= 0.0 { -b - root } else { -b + root };
        for s in [q / a, c / q] {
            if s > 0.0 {
                longest = longest.min(s);
            }
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn scalings_meet_their_definition(v in prop::collection::vec(-1.0f64..1.0, 3), z in prop::collection::vec(-1.0f64..1.0, 3), lift in 0.01f64..2.0,
            dv in prop::collection::vec(-1.0f64..1.0, 3), mu in 0.0f64..1.0) {
            let (t, z0) = (dot_serial(&v, &v).sqrt() + lift, dot_serial(&z, &z).sqrt() + 0.3);
            let mut scaling = Scaling::new(3);
            scaling.renew(lift, &v, 0.3, &z);
            let mut lambda = vec![0.0; 3];
            let lambda0 = scaling.apply_inverse(t, &v, &mut lambda);
            prop_assert!((lambda0 - scaling.lambda0).abs() < 1e-10 * lambda0);
            let product = t * z0 + dot_serial(&v, &z);
            prop_assert!((product - scaling.product).abs() < 1e-12 * (1.0 + product));
            let determinant = lambda0 * lambda0 - dot_serial(&lambda, &lambda);
            prop_assert!((determinant - scaling.determinant).abs() < 1e-9 * lambda0 * lambda0);
            for (a, b) in lambda.iter().zip(&scaling.lambda) {
                prop_assert!((a - b).abs() < 1e-9);
            }
            // dv, dt, dz from the reduced system satisfy dz + W^{-2} dx = target with dz0 = 0
            let mut e = vec![0.0; 3];
            let e0 = scaling.target(mu, None, &mut e);
            let (target0, target) = (e0, e.clone());
            let dt = scaling.recover(e0, &mut e, &dv);
            let (mut once, mut twice) = (vec![0.0; 3], vec![0.0; 3]);
            let once0 = scaling.apply_inverse(dt, &dv, &mut once);
            let twice0 = scaling.apply_inverse(once0, &once, &mut twice);
            prop_assert!((twice0 - target0).abs() < 1e-8 * (1.0 + target0.abs()));
            for k in 0..3 {
                prop_assert!((e[k] + twice[k] - target[k]).abs() < 1e-8 * (1.0 + target[k].abs()));
            }
            let mut reduced = vec![0.0; 3];
            scaling.add_reduced(target0, &target, &mut reduced);
            scaling.add_product(&dv.iter().map(|v| -v).collect::<Vec<_>>(), &mut reduced);
            for k in 0..3 {
                prop_assert!((reduced[k] - e[k]).abs() < 1e-8 * (1.0 + target0.abs() + target[k].abs()));
            }
            let reach = longest(lift, &v, -0.5, &dv);
            if reach.is_finite() {
                let moved: Vec<f64> = v.iter().zip(&dv).map(|(v, d)| v + reach * d).collect();
                prop_assert!((t - 0.5 * reach - dot_serial(&moved, &moved).sqrt()).abs() < 1e-7 * (1.0 + reach));
                prop_assert!(deepen(lift, &v, (-0.5, &dv), reach).abs() < 1e-7 * (1.0 + reach));
                let half: Vec<f64> = v.iter().zip(&dv).map(|(v, d)| v + 0.5 * reach * d).collect();
                let depth = t - 0.25 * reach - norm(&half);
                prop_assert!((deepen(lift, &v, (-0.5, &dv), 0.5 * reach) - depth).abs() < 1e-12 * (1.0 + reach));
            }
        }
    }
}
