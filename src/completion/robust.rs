//! The scale of residuals that outliers don't move.

/// 1.345 times the deviation that the median of |e| stands for (1.4826 of it for normal errors): Huber's loss then loses
/// 5 % to the mean on normal errors. The order of the residuals is lost. Never zero.
pub(super) fn huber_delta(residuals: &mut [f64]) -> f64 {
    if residuals.is_empty() {
        return 1.0;
    }
    residuals.iter_mut().for_each(|e| *e = e.abs());
    let middle = residuals.len() / 2;
    let (_, median, _) = residuals.select_nth_unstable_by(middle, f64::total_cmp);
    (1.345 * 1.4826 * *median).max(1e-12)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_outliers_hardly_moves_the_scale() {
        let mut clean: Vec<f64> = (0..300).map(|i| (f64::from(i) - 150.0) / 150.0).collect();
        let mut dirty = clean.clone();
        dirty.iter_mut().step_by(10).for_each(|e| *e = 1e6);
        let (a, b) = (huber_delta(&mut clean), huber_delta(&mut dirty));
        assert!(a > 0.9 && b < 1.2 * a);
        assert!(huber_delta(&mut [0.0, 0.0]) > 0.0);
    }
}
