//! Extreme eigenvalues of symmetric tridiagonal matrices, such as the Lanczos matrices of conjugate gradients.

/// The smallest eigenvalue of the symmetric tridiagonal matrix with this diagonal and these off-diagonal entries, by bisection on
/// Sturm counts (Givens 1954), to a relative error of about 1e-12.
///
/// `off_diagonal` has at least `diagonal.len() - 1` entries; further ones are ignored. Cost: about 50 passes of two flops and
/// a division per row. Returns NaN for an empty matrix.
pub fn smallest_eigenvalue(diagonal: &[f64], off_diagonal: &[f64]) -> f64 {
    extreme(diagonal, off_diagonal, 1)
}

/// The largest eigenvalue; see [`smallest_eigenvalue`].
pub fn largest_eigenvalue(diagonal: &[f64], off_diagonal: &[f64]) -> f64 {
    extreme(diagonal, off_diagonal, diagonal.len())
}

/// The least x with at least `wanted` eigenvalues below it.
fn extreme(diagonal: &[f64], off_diagonal: &[f64], wanted: usize) -> f64 {
    let n = diagonal.len();
    if n == 0 {
        return f64::NAN;
    }
    // Gershgorin's discs hold all eigenvalues
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for i in 0..n {
        let left = if i > 0 { off_diagonal[i - 1].abs() } else { 0.0 };
        let right = if i + 1 < n { off_diagonal[i].abs() } else { 0.0 };
        low = low.min(diagonal[i] - left - right);
        high = high.max(diagonal[i] + left + right);
    }
    if !(low.is_finite() && high.is_finite()) {
        return f64::NAN;
    }
    let scale = low.abs().max(high.abs());
    for _ in 0..120 {
        let middle = 0.5 * (low + high);
        if count_below(diagonal, off_diagonal, middle) >= wanted {
            high = middle;
        } else {
            low = middle;
        }
        if high - low <= 1e-12 * (low.abs().max(high.abs())) + 1e-17 * scale {
            break;
        }
    }
    0.5 * (low + high)
}

/// How many eigenvalues are below x: the negative pivots of the elimination of T - x I.
fn count_below(diagonal: &[f64], off_diagonal: &[f64], x: f64) -> usize {
    let mut count = 0;
    let mut pivot = 1.0;
    for (i, d) in diagonal.iter().enumerate() {
        let coupling = if i > 0 { off_diagonal[i - 1] * off_diagonal[i - 1] / pivot } else { 0.0 };
        pivot = d - x - coupling;
        if pivot == 0.0 {
            pivot = f64::EPSILON * (d.abs() + x.abs()).max(f64::MIN_POSITIVE);
        }
        count += usize::from(pivot < 0.0);
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    #[test]
    fn the_second_difference_has_the_eigenvalues_of_the_textbook() {
        for n in [1, 2, 5, 100] {
            let (d, e) = (vec![2.0; n], vec![-1.0; n]);
            let exact = |k: usize| 2.0 - 2.0 * (PI * k as f64 / (n + 1) as f64).cos();
            assert!((smallest_eigenvalue(&d, &e) - exact(1)).abs() <= 1e-12 * 4.0);
            assert!((largest_eigenvalue(&d, &e) - exact(n)).abs() <= 1e-11);
        }
        assert!(smallest_eigenvalue(&[], &[]).is_nan());
    }
}
