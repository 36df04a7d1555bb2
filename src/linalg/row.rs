//! Single rows of a data matrix as they count, centred and scaled: for methods that go row by row.

use super::design::DesignMatrix;

impl DesignMatrix {
    /// a_i'x. O(entries of the row), O(p) where the matrix is centred and scaled on the fly.
    pub fn row_dot(&self, i: usize, x: &[f64]) -> f64 {
        let Some(s) = self.standardization() else { return self.row(i).dot(x) };
        let stored: f64 = self.row(i).iter().map(|(j, a)| a * x[j] / s.scales[j]).sum();
        let shift: f64 =
            x.iter().zip(&s.means).zip(&s.scales).map(|((x, mean), scale)| x * mean / scale).sum();
        stored - shift
    }

    /// x <- x + alpha a_i. The same price.
    pub fn add_row(&self, i: usize, alpha: f64, x: &mut [f64]) {
        let Some(s) = self.standardization() else { return self.row(i).add_to(alpha, x) };
        self.row(i).iter().for_each(|(j, a)| x[j] += alpha * a / s.scales[j]);
        x.iter_mut().zip(&s.means).zip(&s.scales).for_each(|((x, mean), scale)| *x -= alpha * mean / scale);
    }

    /// ||a_i||^2 of every row. O(nnz); O(n p) where the matrix is centred and scaled on the fly.
    pub fn row_squares(&self) -> Vec<f64> {
        let plain = |i: usize| self.row(i).iter().map(|(_, a)| a * a).sum();
        let Some(s) = self.standardization() else { return (0..self.rows()).map(plain).collect() };
        let mut row = vec![0.0; self.columns()];
        let one = |i: usize| {
            row.iter_mut()
                .zip(s.means.iter().zip(&s.scales))
                .for_each(|(x, (mean, scale))| *x = -mean / scale);
            self.row(i).iter().for_each(|(j, a)| row[j] += a / s.scales[j]);
            row.iter().map(|a| a * a).sum()
        };
        (0..self.rows()).map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::linalg::design::{DesignMatrix, Standardization};

    #[test]
    fn rows_are_those_of_the_products() {
        let mut triplets = sprs::TriMatI::<f64, u32>::new((5, 4));
        (0..12).for_each(|k| triplets.add_triplet(k % 5, (k * 3) % 4, (k as f64).sin()));
        let plain = DesignMatrix::from_sparse(triplets.to_csr()).unwrap();
        let by = Standardization { means: vec![0.1, 0.0, -0.4, 1.0], scales: vec![1.0, 2.0, 0.5, 3.0] };
        for a in [plain.clone(), plain.standardized(by).unwrap()] {
            let x: Vec<f64> = (0..4).map(|j| 1.0 + j as f64).collect();
            let mut z = vec![0.0; 5];
            a.multiply(&x, &mut z);
            for (i, z) in z.iter().enumerate() {
                assert!((a.row_dot(i, &x) - z).abs() < 1e-14);
                let mut row = vec![0.0; 4];
                a.add_row(i, 1.0, &mut row);
                let product: f64 = row.iter().zip(&x).map(|(a, x)| a * x).sum();
                let square: f64 = row.iter().map(|a| a * a).sum();
                assert!((product - z).abs() < 1e-14 && (square - a.row_squares()[i]).abs() < 1e-14);
            }
        }
    }
}
