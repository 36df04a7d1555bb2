//! The factorisations of KKT matrices: dense, condensed to the variables, sparse with pivoting and without.

use sprs::CsMatViewI;

use super::condensed::Condensed;
use crate::linalg::factor::{DenseIndefinite, FactorError, Inertia, SparseIndefinite, SparseLdl};

pub(super) enum Factors {
    Dense { factors: Box<DenseIndefinite>, matrix: Vec<f64> },
    Condensed(Box<Condensed>),
    Sparse(Box<Sparse>),
}

/// L B L' with pivoting, or L D L' without where that was asked for, fills in little and gives n positive and m negative pivots.
#[derive(Default)]
pub(super) struct Sparse {
    pub pivoted: SparseIndefinite,
    plain: SparseLdl,
    pub plain_is_wanted: bool,
    pub plain_is_current: bool,
}

impl Sparse {
    pub fn factor(&mut self, matrix: CsMatViewI<f64, u32>, wanted: Inertia) -> Result<Inertia, FactorError> {
        self.plain_is_current = false;
        if self.plain_is_wanted {
            self.plain.analyse(matrix)?;
            self.plain_is_current = self.plain.suits() && self.plain.factor(matrix) == Ok(wanted);
            if self.plain_is_current {
                return Ok(wanted);
            }
            self.plain_is_wanted = false;
        }
        self.pivoted.factor(matrix)
    }

    /// Flops of a factorisation.
    pub fn flops(&mut self, matrix: CsMatViewI<f64, u32>) -> Result<f64, FactorError> {
        if self.plain_is_wanted {
            self.plain.analyse(matrix)?;
            if self.plain.suits() {
                return Ok(self.plain.flops());
            }
        }
        self.pivoted.analyse(matrix)
    }

    pub fn solve(&mut self, b: &[f64], x: &mut [f64]) -> Result<(), FactorError> {
        if self.plain_is_current { self.plain.solve(b, x) } else { self.pivoted.solve(b, x, 0).map(|_| ()) }
    }
}
