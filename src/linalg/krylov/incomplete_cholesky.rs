//! Incomplete Cholesky without fill.

use sprs::CsMatViewI;

use super::preconditioner::diagonal_of;
use super::{KrylovError, LinearOperator};

/// Beyond this shift the preconditioner is Jacobi's in all but name.
const LARGEST_SHIFT: f64 = 1e6;

/// M = L L' with L on the pattern of the lower triangle of A, equal to A there: IC(0) (Meijerink and van der Vorst 1977).
///
/// A pivot may fail where A isn't an H-matrix. Then A + shift diag(A) is factored in its place, with shift 1e-3 and doubled
/// until no pivot fails (Manteuffel 1980). Two triangular solves per application, one pass over the entries of A. One thread.
#[derive(Clone, Debug)]
pub struct IncompleteCholesky {
    /// Rows of L, columns ascending, the diagonal entry last; `starts[i]..starts[i + 1]` is row i.
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f64>,
    shift: f64,
}

impl IncompleteCholesky {
    /// From a symmetric matrix with positive diagonal, of which the lower triangle (of its storage by rows; the upper one if it
    /// is stored by columns) is read.
    ///
    /// # Errors
    /// `Dimension` unless A is square; `Diagonal` at the first entry that isn't positive; `NonFinite` with the storage
    /// index of an entry that isn't finite; `Shift` where no shift up to 1e6 helps.
    pub fn new(a: CsMatViewI<f64, u32>) -> Result<Self, KrylovError> {
        let diagonal = diagonal_of(a)?;
        super::check_finite("the stored entries of the matrix", a.data())?;
        let mut starts = vec![0];
        let (mut columns, mut lower) = (Vec::new(), Vec::new());
        for (i, row) in a.outer_iterator().enumerate() {
            for (j, &value) in row.iter().take_while(|&(j, _)| j <= i) {
                columns.push(j as u32);
                lower.push(value);
            }
            starts.push(columns.len());
        }
        let mut this = Self { starts, columns, values: Vec::new(), shift: 0.0 };
        loop {
            this.values.clone_from(&lower);
            if this.factor(&diagonal) {
                return Ok(this);
            }
            // once the shifted matrix is diagonally dominant no pivot can fail
            this.shift = if this.shift == 0.0 { 1e-3 } else { 2.0 * this.shift };
            if this.shift > LARGEST_SHIFT {
                return Err(KrylovError::Shift { largest: LARGEST_SHIFT });
            }
        }
    }

    /// The shift that was needed; 0 for most matrices of practice.
    pub fn shift(&self) -> f64 {
        self.shift
    }

    /// Turns `values` from the entries of A into those of L; false if a pivot isn't positive.
    fn factor(&mut self, diagonal: &[f64]) -> bool {
        for (i, &a_ii) in diagonal.iter().enumerate() {
            let (done, rest) = self.values.split_at_mut(self.starts[i]);
            let row = &mut rest[..self.starts[i + 1] - self.starts[i]];
            let row_columns = &self.columns[self.starts[i]..self.starts[i + 1]];
            let last = row.len() - 1;
            let mut pivot = a_ii * (1.0 + self.shift);
            for at in 0..last {
                // l_ij = (a_ij - sum_k l_ik l_jk) / l_jj over the k < j that both rows have
                let j = row_columns[at] as usize;
                let other = self.starts[j]..self.starts[j + 1] - 1;
                let sum =
                    sparse_dot(&row_columns[..at], &row[..at], &self.columns[other.clone()], &done[other]);
                row[at] = (row[at] - sum) / done[self.starts[j + 1] - 1];
                pivot -= row[at] * row[at];
            }
            // a pivot of rounding size would make the preconditioner useless
            if !(pivot > 1e-12 * a_ii && pivot.is_finite()) {
                return false;
            }
            row[last] = pivot.sqrt();
        }
        true
    }
}

fn sparse_dot(i_columns: &[u32], i_values: &[f64], j_columns: &[u32], j_values: &[f64]) -> f64 {
    let (mut p, mut q, mut sum) = (0, 0, 0.0);
    while p < i_columns.len() && q < j_columns.len() {
        match i_columns[p].cmp(&j_columns[q]) {
            std::cmp::Ordering::Less => p += 1,
            std::cmp::Ordering::Greater => q += 1,
            std::cmp::Ordering::Equal => {
                sum += i_values[p] * j_values[q];
                p += 1;
                q += 1;
            }
        }
    }
    sum
}

impl LinearOperator for IncompleteCholesky {
    fn dimension(&self) -> usize {
        self.starts.len() - 1
    }

    fn apply(&self, x: &[f64], y: &mut [f64]) {
        let row = |i: usize| {
            let range = self.starts[i]..self.starts[i + 1] - 1;
            (self.values[range.end], self.columns[range.clone()].iter().zip(&self.values[range]))
        };
        for i in 0..y.len() {
            let (pivot, entries) = row(i);
            let sum: f64 = entries.map(|(&j, v)| v * y[j as usize]).sum();
            y[i] = (x[i] - sum) / pivot;
        }
        for i in (0..y.len()).rev() {
            let (pivot, entries) = row(i);
            y[i] /= pivot;
            let value = y[i];
            entries.for_each(|(&j, v)| y[j as usize] -= v * value);
        }
    }
}
