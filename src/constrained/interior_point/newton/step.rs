//! Steps, and right-hand sides with the same parts.

use super::super::super::termination::larger;
use crate::linalg::product::norm_inf;

/// A step, or a right-hand side with its parts in the same order.
#[derive(Clone, Default)]
pub struct Step {
    pub u: Vec<f64>,
    pub y: Vec<f64>,
    pub zl: Vec<f64>,
    pub zu: Vec<f64>,
}

impl Step {
    pub fn new(count: usize, m: usize) -> Self {
        Self { u: vec![0.0; count], y: vec![0.0; m], zl: vec![0.0; count], zu: vec![0.0; count] }
    }

    pub fn clear(&mut self) {
        for part in [&mut self.u, &mut self.y, &mut self.zl, &mut self.zu] {
            part.fill(0.0);
        }
    }

    pub fn largest(&self) -> f64 {
        [&self.u, &self.y, &self.zl, &self.zu].into_iter().map(|part| norm_inf(part)).fold(0.0, larger)
    }

    pub fn add(&mut self, other: &Self) {
        for (a, b) in [
            (&mut self.u, &other.u),
            (&mut self.y, &other.y),
            (&mut self.zl, &other.zl),
            (&mut self.zu, &other.zu),
        ] {
            a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        }
    }
}
