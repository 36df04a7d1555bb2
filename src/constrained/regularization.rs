//! The shifts that give a KKT matrix the right inertia, for methods whose steps have to go downhill.

use super::kkt::KktMatrix;
use crate::linalg::factor::FactorError;

/// First shift dw of a run.
const FIRST_SHIFT: f64 = 1e-4;
/// Below this a shift is none.
const SMALLEST_SHIFT: f64 = 1e-20;
/// Above this the ladder ends.
const LARGEST_SHIFT: f64 = 1e20;

/// The shifts dw and dc of a run, and the ladder that finds them (Waechter and Biegler 2006, algorithm IC).
#[derive(Clone, Debug, Default)]
pub struct Regularization {
    /// dw of the last factored matrix.
    pub dw: f64,
    /// dc of the last factored matrix.
    pub dc: f64,
    /// The last dw that wasn't zero.
    last: f64,
    /// How many matrices needed dc: dependent constraints.
    pub dependent: u64,
}

impl Regularization {
    /// Factors K with the smallest shifts of the ladder that give n positive and m negative eigenvalues; dw starts at `least`.
    /// `dc` is used where the matrix is singular without. Returns false where the ladder ends before.
    ///
    /// # Errors
    /// Those of the factorisation, apart from singular matrices.
    pub fn factor(&mut self, kkt: &mut KktMatrix, least: f64, dc: f64) -> Result<bool, FactorError> {
        let right = kkt.right_inertia();
        (self.dw, self.dc) = (least, 0.0);
        let inertia = kkt.factor(self.dw, self.dc)?;
        if inertia == right {
            return Ok(true);
        }
        // too few negative eigenvalues come from dependent rows, which dw can't cure
        if right.negative > 0 && (inertia.zero > 0 || inertia.negative < right.negative) {
            self.dc = dc;
            self.dependent += 1;
            if kkt.factor(self.dw, self.dc)? == right {
                return Ok(true);
            }
        }
        let first = self.last == 0.0;
        self.dw = least.max(if first { FIRST_SHIFT } else { (self.last / 3.0).max(SMALLEST_SHIFT) });
        while self.dw <= LARGEST_SHIFT {
            if kkt.factor(self.dw, self.dc)? == right {
                self.last = self.dw;
                return Ok(true);
            }
            self.raise();
        }
        Ok(false)
    }

    /// Factors again with a larger dw, where a step was of no use.
    ///
    /// # Errors
    /// As [`factor`](Self::factor).
    pub fn factor_larger(&mut self, kkt: &mut KktMatrix, dc: f64) -> Result<bool, FactorError> {
        let floor = if self.last == 0.0 { FIRST_SHIFT } else { (self.last / 3.0).max(SMALLEST_SHIFT) };
        let least = if self.dw == 0.0 { floor } else { 8.0 * self.dw };
        if least > LARGEST_SHIFT {
            return Ok(false);
        }
        let found = self.factor(kkt, least, dc)?;
        self.last = self.dw;
        Ok(found)
    }

    /// Factors with given shifts, dw raised where the inertia asks for it.
    ///
    /// # Errors
    /// As [`factor`](Self::factor).
    pub fn refactor(&mut self, kkt: &mut KktMatrix, dw: f64, dc: f64) -> Result<bool, FactorError> {
        (self.dw, self.dc) = (dw, dc);
        let right = kkt.right_inertia();
        while kkt.factor(self.dw, self.dc)? != right {
            self.dw = if self.dw == 0.0 { FIRST_SHIFT } else { 8.0 * self.dw };
            if self.dw > LARGEST_SHIFT {
                return Ok(false);
            }
            self.last = self.dw;
        }
        Ok(true)
    }

    fn raise(&mut self) {
        let never_before = self.last == 0.0 || 1e5 * self.last < self.dw;
        self.dw *= if never_before { 100.0 } else { 8.0 };
    }
}
