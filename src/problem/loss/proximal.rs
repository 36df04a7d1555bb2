//! The scalar equation behind proximal maps and dual coordinate steps.

/// Solves z + c phi'(z) = centre for a convex, differentiable phi and c >= 0: z minimises phi(z) + (z - centre)^2 / (2 c).
/// Returns (z, phi'(z)), the slope to the relative accuracy asked for, or both to rounding.
///
/// Newton's method from a guess, kept inside the interval between `centre` and centre - c phi'(centre), which holds the
/// solution because phi' does not fall; the interval is halved where a step did not help. `slopes` gives phi' and phi''.
pub(crate) fn proximal(
    slopes: impl Fn(f64) -> (f64, f64),
    c: f64,
    centre: f64,
    guess: f64,
    accuracy: f64,
) -> (f64, f64) {
    let far = centre - c * slopes(centre).0;
    let (mut low, mut high) = (centre.min(far), centre.max(far));
    let mut z = if low < guess && guess < high { guess } else { 0.5 * (low + high) };
    let mut last = f64::INFINITY;
    // halving alone settles every double in about 60 steps, and Newton's steps are fewer than two in three
    for _ in 0..200 {
        let (first, second) = slopes(z);
        let value = z + c * first - centre;
        if value > 0.0 {
            high = z
        } else {
            low = z
        }
        let step = -value / (1.0 + c * second);
        // phi' at the next point, by its tangent; c phi' is what z differs from the centre by
        let next = first + second * step;
        if value.abs() <= accuracy * (c * next).abs() || step.abs() <= 1e-16 * (1.0 + z.abs()) {
            return (z + step, next);
        }
        // between two flat ends Newton's steps may go back and forth
        let helped = value.abs() < last;
        last = value.abs();
        let newton = z + step;
        z = if helped && low < newton && newton < high { newton } else { 0.5 * (low + high) };
    }
    (z, slopes(z).0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::loss::by_name;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_equation_holds(c in 1e-3f64..1e3, centre in -30.0f64..30.0, guess in -30.0f64..30.0, positive: bool, tight: bool) {
            let y = if positive { 1.0 } else { -1.0 };
            let accuracy = if tight { 1e-15 } else { 1e-2 };
            for name in ["logistic", "squared-hinge", "huber"] {
                let loss = by_name(name).unwrap();
                let slopes = |z: f64| (loss.derivative(z, y), loss.curvature(z, y));
                let (_, found) = proximal(slopes, c, centre, guess, accuracy);
                let (mut low, mut high) = (-1e4f64, 1e4f64);
                for _ in 0..200 {
                    let z = 0.5 * (low + high);
                    if z + c * loss.derivative(z, y) > centre { high = z } else { low = z }
                }
                let exact = loss.derivative(low, y);
                // the reference itself is known to a rounding of z
                let slack = if tight { 1e-10 } else { 3.0 * accuracy };
                prop_assert!((found - exact).abs() <= slack * exact.abs() + 1e-12, "{name}: {found} {exact}");
            }
        }
    }
}
