//! Formulas for omega that need no learning, and the convergence rates behind them.
//!
//! beta is the spectral radius of Jacobi's iteration matrix I - D^{-1} A; most formulas take 1 - beta, which is small and
//! would lose its digits otherwise.

/// Below this, 1 - beta counts as this: omega stays below 2.
const SMALLEST_GAP: f64 = 1e-12;

/// Young's omega for consistently ordered A, 2 / (1 + sqrt(1 - beta^2)), from `gap` = 1 - beta (Young 1971, section 6.2).
///
/// In [1, 2) for every gap in [0, 1]; a gap outside is clamped, NaN counts as 1.
pub fn young(gap: f64) -> f64 {
    let gap = clamp(gap);
    2.0 / (1.0 + (gap * (2.0 - gap)).sqrt())
}

/// The spectral radius of SOR's iteration matrix at omega in (0, 2), for consistently ordered A with Jacobi radius `beta` in
/// [0, 1): omega - 1 from Young's omega on, ((omega beta + sqrt(omega^2 beta^2 - 4 (omega - 1))) / 2)^2 before.
pub fn sor_radius(omega: f64, beta: f64) -> f64 {
    let product = omega * beta;
    let discriminant = product * product - 4.0 * (omega - 1.0);
    if omega > 1.0 && discriminant <= 0.0 {
        omega - 1.0
    } else {
        let root = 0.5 * (product + discriminant.max(0.0).sqrt());
        root * root
    }
}

/// Jacobi's radius of A + c I from that of A, whose diagonal is constant: beta d / (d + c), exact since the off-diagonal
/// entries don't change.
pub fn shifted_radius(beta: f64, diagonal: f64, shift: f64) -> f64 {
    beta * diagonal / (diagonal + shift)
}

/// The rule for SSOR and SSOR-CG, max(1, 2 / (1 + sqrt(2 (1 - beta)))), from `gap` = 1 - beta.
///
/// It minimises [`ssor_condition`] with b2 = 0. Below 1 it would undershoot on strong diagonals, where it never pays.
pub fn ssor(gap: f64) -> f64 {
    (2.0 / (1.0 + (2.0 * clamp(gap)).sqrt())).max(1.0)
}

/// The gap for which [`ssor`] gives this omega, for reports.
pub fn gap_of_ssor(omega: f64) -> f64 {
    let root = 2.0 / omega - 1.0;
    0.5 * root * root
}

fn clamp(gap: f64) -> f64 {
    if gap.is_nan() { 1.0 } else { gap.clamp(SMALLEST_GAP, 1.0) }
}

/// A bound of the condition number of M^{-1} A for SSOR's M at omega (Axelsson 1994, theorem 7.17):
/// (1 + (2 - omega)^2 alpha / (4 omega) + b2 omega) / (2 - omega), with alpha = lambda_max(D A^{-1}) and
/// b2 = lambda_max((L D^{-1} L' - D / 4) A^{-1}). For b2 = 0 and alpha = 1 / (1 - beta) its minimiser is [`ssor`].
pub fn ssor_condition(omega: f64, alpha: f64, b2: f64) -> f64 {
    let rest = 2.0 - omega;
    (1.0 + rest * rest * alpha / (4.0 * omega) + b2 * omega) / rest
}

/// A bound of the iterations of SSOR-CG to reduce the error by `tolerance`, from the condition number `kappa` of A and the
/// bound [`ssor_condition`] of the preconditioned one:
/// 1 + ln(sqrt(kappa) / eps + sqrt(kappa / eps^2 - 1)) / -ln(1 - 2 / (1 + sqrt(condition))).
pub fn ssor_cg_iterations(tolerance: f64, kappa: f64, condition: f64) -> f64 {
    let ratio = kappa.sqrt() / tolerance;
    let rate = 1.0 - 2.0 / (1.0 + condition.max(1.0).sqrt());
    1.0 + (ratio + (ratio * ratio - 1.0).max(0.0).sqrt()).ln() / -rate.max(f64::MIN_POSITIVE).ln()
}

/// The omega in [2 sqrt(2) - 2, 1.9] that minimises [`ssor_condition`], by golden section to 1e-8.
pub fn ssor_general(alpha: f64, b2: f64) -> f64 {
    golden_section(2.0 * 2f64.sqrt() - 2.0, 1.9, 1e-8, |omega| ssor_condition(omega, alpha, b2))
}

/// The minimiser of a unimodal function on [low, high], to `width`.
pub(crate) fn golden_section(mut low: f64, mut high: f64, width: f64, mut f: impl FnMut(f64) -> f64) -> f64 {
    const RATIO: f64 = 0.618_033_988_749_894_9;
    let (mut a, mut b) = (high - RATIO * (high - low), low + RATIO * (high - low));
    let (mut f_a, mut f_b) = (f(a), f(b));
    while high - low > width {
        if f_a <= f_b {
            (high, b, f_b) = (b, a, f_a);
            a = high - RATIO * (high - low);
            f_a = f(a);
        } else {
            (low, a, f_a) = (a, b, f_b);
            b = low + RATIO * (high - low);
            f_b = f(b);
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn youngs_omega_is_where_the_two_branches_meet() {
        for beta in [0.0, 0.3, 0.9, 0.9999] {
            let omega = young(1.0 - beta);
            assert!((sor_radius(omega, beta) - (omega - 1.0)).abs() < 1e-7);
            assert!(sor_radius(omega - 0.01, beta) > sor_radius(omega, beta));
            assert!(sor_radius((omega + 0.01).min(1.9999), beta) > sor_radius(omega, beta));
            // Gauss-Seidel is twice as fast as Jacobi
            assert!((sor_radius(1.0, beta) - beta * beta).abs() < 1e-15);
        }
        assert_eq!((young(f64::NAN), young(2.0), ssor(1.0)), (1.0, 1.0, 1.0));
        assert!(young(0.0) < 2.0 && ssor(-1.0) < 2.0);
    }

    #[test]
    fn the_simple_rule_minimises_the_general_bound_without_its_last_term() {
        for gap in [0.001, 0.04, 0.1, 0.3] {
            assert!((ssor_general(1.0 / gap, 0.0) - ssor(gap).min(1.9)).abs() < 1e-6);
            assert!((gap_of_ssor(ssor(gap)) - gap).abs() < 1e-12);
        }
    }
}
