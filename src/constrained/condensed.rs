//! KKT systems with many more rows than variables: rows are eliminated before a dense factorisation.
//!
//! With -d_i on the diagonal of row i, K = [W, J'; J, -diag(d)] has the Schur complement N = W + sum over eliminated rows of
//! a_i a_i' / d_i, a_i the row of J. Rows with a tiny d_i, such as equations and active inequalities, stay: 1 / d_i would swamp W.
//! What is factored is [N, J_k'; J_k, -diag(d_k)] of n + k rows, and the inertia of K is its inertia and one negative eigenvalue
//! for each eliminated row. A sparse code that orders the variables early fills in m^2 entries here.

use sprs::CsMatViewI;

use crate::linalg::factor::{DenseIndefinite, FactorError, Inertia};
use crate::linalg::panel::add_outer_lower;

/// Rows are kept where d_i is at most this share of the squared norm of the row.
const KEPT: f64 = 1e-6;
/// At most so many rows are kept per variable, unless their d_i is zero.
const MOST_KEPT: usize = 2;
/// Rows are long where one column in so many holds an entry.
const LONG: usize = 2;
/// Long rows that are multiplied at once.
const BLOCK: usize = 256;
/// Marks a row that is eliminated.
const ELIMINATED: u32 = u32::MAX;

/// The factors of a condensed system; memory is kept between factorisations.
#[derive(Default)]
pub(super) struct Condensed {
    n: usize,
    /// d of each row.
    pivots: Vec<f64>,
    /// Where each row stands in the condensed system.
    place: Vec<u32>,
    size: usize,
    /// Rows without a diagonal.
    equations: usize,
    matrix: Vec<f64>,
    /// Long rows, scaled, one after the other, and the sum of their products.
    block: Vec<f64>,
    products: Vec<f64>,
    factors: DenseIndefinite,
    right: Vec<f64>,
}

impl Condensed {
    /// Whether a system of this shape is better condensed: enough rows, and a dense system of n rows no dearer than their
    /// elimination, 8 sum |row|^2 flops.
    pub fn suits(n: usize, row_offsets: &[usize]) -> bool {
        let m = row_offsets.len().saturating_sub(1);
        let work: f64 = row_offsets.windows(2).map(|pair| ((pair[1] - pair[0]) as f64).powi(2)).sum();
        m >= 2 * n && (n as f64).powi(3) <= 8.0 * work
    }

    /// Factors K, given by its lower triangle by rows with every diagonal entry stored last in its row.
    ///
    /// # Errors
    /// Those of the dense factorisation.
    pub fn factor(&mut self, n: usize, lower: CsMatViewI<f64, u32>) -> Result<Inertia, FactorError> {
        self.n = n;
        let (offsets, columns, values) = (lower.proper_indptr(), lower.indices(), lower.data());
        let m = lower.rows() - n;
        self.choose(m, &offsets, values);
        let size = self.size;
        if self.equations > n {
            // more rows without a diagonal than variables: singular, whatever the entries
            let zero = self.equations - n;
            self.factors.factor(0, &[])?;
            return Ok(Inertia { positive: n, negative: m - zero, zero });
        }
        self.matrix.clear();
        self.matrix.resize(size * size, 0.0);
        let range = |row: usize| offsets[row] as usize..offsets[row + 1] as usize;
        for row in 0..n {
            for k in range(row) {
                self.matrix[columns[k] as usize * size + row] = values[k];
            }
        }
        for row in 0..m {
            let own = range(n + row);
            let own = own.start..own.end - 1;
            let (columns, values) = (&columns[own.clone()], &values[own]);
            if self.place[row] != ELIMINATED {
                let place = self.place[row] as usize;
                for (&column, &value) in columns.iter().zip(values) {
                    self.matrix[column as usize * size + place] = value;
                }
                self.matrix[place * size + place] = -self.pivots[row];
                continue;
            }
            if LONG * columns.len() >= n {
                self.add_long_row(self.pivots[row].sqrt().recip(), columns, values);
                continue;
            }
            let weight = 1.0 / self.pivots[row];
            for (k, (&column, &value)) in columns.iter().zip(values).enumerate() {
                let scaled = weight * value;
                let start = column as usize * size;
                // columns ascend within a row: the rest of it lies below the diagonal
                for (&below, &other) in columns[k..].iter().zip(&values[k..]) {
                    self.matrix[start + below as usize] += scaled * other;
                }
            }
        }
        self.add_products();
        let mut inertia = self.factors.factor(size, &self.matrix)?;
        inertia.negative += m - (size - n);
        Ok(inertia)
    }

    /// Takes in a row with few gaps: a block of those is multiplied at once, which is faster the more there are.
    fn add_long_row(&mut self, weight: f64, columns: &[u32], values: &[f64]) {
        let start = self.block.len();
        self.block.resize(start + self.n, 0.0);
        for (&column, &value) in columns.iter().zip(values) {
            self.block[start + column as usize] = weight * value;
        }
        if self.block.len() >= BLOCK * self.n {
            self.multiply_block();
        }
    }

    fn multiply_block(&mut self) {
        let n = self.n;
        self.products.resize(n * n, 0.0);
        let all: Vec<u32> = (0..n as u32).collect();
        add_outer_lower(&[(&all, &self.block)], n, &mut self.products);
        self.block.clear();
    }

    /// Adds the products of all long rows to the matrix.
    fn add_products(&mut self) {
        if !self.block.is_empty() {
            self.multiply_block();
        }
        let (n, size) = (self.n, self.size);
        if self.products.is_empty() {
            return;
        }
        for (j, own) in self.products.chunks_exact(n).enumerate() {
            let column = &mut self.matrix[j * size + j..j * size + n];
            column.iter_mut().zip(&own[j..]).for_each(|(entry, product)| *entry += product);
        }
        self.products.clear();
    }

    /// Chooses the rows to be kept.
    fn choose(&mut self, m: usize, offsets: &[u32], values: &[f64]) {
        let n = self.n;
        self.pivots.clear();
        self.place.clear();
        self.size = n;
        self.equations = 0;
        for row in n..n + m {
            let range = offsets[row] as usize..offsets[row + 1] as usize;
            let pivot = -values[range.end - 1];
            let square: f64 = values[range.start..range.end - 1].iter().map(|value| value * value).sum();
            let kept = !(pivot > 0.0) || pivot <= KEPT * square && self.size < (1 + MOST_KEPT) * n;
            self.equations += usize::from(pivot == 0.0);
            self.pivots.push(pivot);
            self.place.push(if kept { self.size as u32 } else { ELIMINATED });
            self.size += usize::from(kept);
        }
    }

    /// x <- K^{-1} b, with the matrix of the last factorisation.
    ///
    /// # Errors
    /// `Singular`, `NotFactored`.
    pub fn solve(
        &mut self,
        lower: CsMatViewI<f64, u32>,
        b: &[f64],
        x: &mut [f64],
    ) -> Result<(), FactorError> {
        let n = self.n;
        let (offsets, columns, values) = (lower.proper_indptr(), lower.indices(), lower.data());
        let row_entries = |row: usize| {
            let range = offsets[n + row] as usize..offsets[n + row + 1] as usize - 1;
            columns[range.clone()].iter().zip(&values[range])
        };
        self.right.clear();
        self.right.extend_from_slice(&b[..n]);
        self.right.resize(self.size, 0.0);
        for (row, (&place, &b)) in self.place.iter().zip(&b[n..]).enumerate() {
            if place != ELIMINATED {
                self.right[place as usize] = b;
            } else if b != 0.0 {
                let weight = b / self.pivots[row];
                row_entries(row).for_each(|(&column, value)| self.right[column as usize] += weight * value);
            }
        }
        self.factors.solve_in_place(&mut self.right)?;
        x[..n].copy_from_slice(&self.right[..n]);
        for (row, &place) in self.place.iter().enumerate() {
            x[n + row] = if place != ELIMINATED {
                self.right[place as usize]
            } else {
                let product: f64 =
                    row_entries(row).map(|(&column, value)| value * self.right[column as usize]).sum();
                (product - b[n + row]) / self.pivots[row]
            };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sprs::CsMatI;

    /// Lower triangle of K for n variables and m rows: one row in three short, one in five without a diagonal until n / 2 of them.
    fn system(n: usize, m: usize) -> CsMatI<f64, u32> {
        let (mut offsets, mut columns, mut values) = (vec![0u32], Vec::new(), Vec::new());
        let entry = |i: usize, j: usize| ((7 * i + 3 * j) as f64 + 0.37 * (i * j) as f64).sin();
        for j in 0..n {
            columns.push(j as u32);
            values.push(2.0 + entry(j, j));
            offsets.push(columns.len() as u32);
        }
        let mut equations = 0;
        for i in 0..m {
            let short = i % 3 == 0;
            for j in (0..n).filter(|j| !short || j % 7 == i % 7) {
                columns.push(j as u32);
                values.push(entry(i, j));
            }
            let equation = i % 5 == 1 && equations < n / 2;
            equations += usize::from(equation);
            columns.push((n + i) as u32);
            values.push(if equation { 0.0 } else { -1.0 - 0.01 * i as f64 });
            offsets.push(columns.len() as u32);
        }
        CsMatI::new((n + m, n + m), offsets, columns, values)
    }

    #[test]
    fn long_and_short_rows_give_the_factors_of_the_whole() {
        for (n, m) in [(9, 40), (24, 700)] {
            let k = system(n, m);
            let mut condensed = Condensed::default();
            let inertia = condensed.factor(n, k.view()).unwrap();
            assert_eq!((inertia.positive, inertia.negative, inertia.zero), (n, m, 0));
            let b: Vec<f64> = (0..n + m).map(|i| (0.7 * i as f64).cos()).collect();
            let mut x = vec![0.0; n + m];
            condensed.solve(k.view(), &b, &mut x).unwrap();
            let mut residual = b.clone();
            for (row, entries) in k.outer_iterator().enumerate() {
                for (column, value) in entries.iter() {
                    residual[row] -= value * x[column];
                    if column != row {
                        residual[column] -= value * x[row];
                    }
                }
            }
            let worst = residual.iter().fold(0.0f64, |a, r| a.max(r.abs()));
            assert!(worst < 1e-10, "{n} {m}: {worst}");
        }
    }
}
