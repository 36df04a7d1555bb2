//! Line searches: the conditions they promise, on functions where every trouble is known.
#![allow(clippy::unwrap_used)]

use gradus::linalg::line_search::{Armijo, LineSearchError, StrongWolfe};
use proptest::prelude::*;

proptest! {
    #[test]
    fn armijo_meets_its_condition(a in 0.01f64..100.0, b in -5.0f64..5.0, slope in -50.0f64..-0.01, first in 0.01f64..100.0) {
        // a quartic that is bounded below
        let phi = |t: f64| 3.0 + slope * t + b * t * t + a * t.powi(4);
        let search = Armijo { initial_step: first, ..Armijo::default() };
        let accepted = search.search(phi(0.0), slope, phi).unwrap();
        prop_assert_eq!(accepted.value, phi(accepted.step));
        prop_assert!(accepted.value <= phi(0.0) + 1e-4 * accepted.step * slope);
        prop_assert!(accepted.step <= first && accepted.evaluations >= 1);
        // the first step where it will do
        if phi(first) <= phi(0.0) + 1e-4 * first * slope { prop_assert_eq!(accepted.step, first); }
    }

    #[test]
    fn a_refused_first_step_leads_to_the_minimiser_of_a_quadratic(curvature in 2.5f64..8.0, slope in -3.0f64..-0.1) {
        // minimiser at 1/curvature of the first step: inside the safeguards, hence exact at the second evaluation
        let phi = |t: f64| slope * t - 0.5 * curvature * slope * t * t;
        let accepted = Armijo::default().search(0.0, slope, phi).unwrap();
        prop_assert_eq!(accepted.evaluations, 2);
        prop_assert!((accepted.step - 1.0 / curvature).abs() <= 1e-14);
    }

    #[test]
    fn a_twice_refused_step_leads_to_the_minimiser_of_a_cubic(p in 5.0f64..10.0) {
        // phi = -t + p t^3 from step 1: the quadratic model asks for 1/(2p) or the safeguard; a strict c refuses that
        let phi = |t: f64| -t + p * t * t * t;
        let minimiser = 1.0 / (3.0 * p).sqrt();
        let mut steps = Vec::new();
        let search = Armijo { sufficient_decrease: 0.66, ..Armijo::default() };
        let accepted = search.search(0.0, -1.0, |t| { steps.push(t); phi(t) }).unwrap();
        if accepted.evaluations > 2 {
            let expected = minimiser.clamp(0.1 * steps[1], 0.5 * steps[1]);
            prop_assert!((steps[2] - expected).abs() <= 1e-12, "{:?} {}", steps, expected);
        }
    }

    #[test]
    fn wolfe_meets_both_conditions(a in 0.01f64..100.0, b in -5.0f64..5.0, slope in -50.0f64..-0.01, first in 1e-3f64..100.0, strict in any::<bool>()) {
        let phi = |t: f64| (3.0 + slope * t + b * t * t + a * t.powi(4), slope + 2.0 * b * t + 4.0 * a * t.powi(3));
        let curvature = if strict { 0.01 } else { 0.9 };
        let search = StrongWolfe { initial_step: first, curvature, ..StrongWolfe::default() };
        let accepted = search.search(3.0, slope, phi).unwrap();
        let (value, slope_there) = phi(accepted.step);
        prop_assert_eq!((accepted.value, accepted.slope), (value, Some(slope_there)));
        prop_assert!(value <= 3.0 + 1e-4 * accepted.step * slope);
        prop_assert!(slope_there.abs() <= curvature * slope.abs());
    }

    #[test]
    fn a_domain_that_ends_is_no_trouble(end in 1e-6f64..0.5, nan in any::<bool>()) {
        let outside = if nan { f64::NAN } else { f64::INFINITY };
        let phi = |t: f64| if t < end { (-t - 0.1 * end * (end - t).ln(), -1.0 + 0.1 * end / (end - t)) } else { (outside, outside) };
        let (value, slope) = phi(0.0);
        let accepted = Armijo::default().search(value, slope, |t| phi(t).0).unwrap();
        prop_assert!(accepted.step < end && accepted.value < value);
        let accepted = StrongWolfe::default().search(value, slope, phi).unwrap();
        prop_assert!(accepted.step < end && accepted.slope.unwrap().abs() <= 0.9 * slope.abs());
    }
}

#[test]
fn wolfe_lengthens_a_short_first_step() {
    let phi = |t: f64| ((t - 1000.0).powi(2), 2.0 * (t - 1000.0));
    let (value, slope) = phi(0.0);
    let search = StrongWolfe { initial_step: 1e-3, curvature: 0.1, ..StrongWolfe::default() };
    let accepted = search.search(value, slope, phi).unwrap();
    assert!((accepted.step - 1000.0).abs() <= 100.0 && accepted.evaluations < 12);
}

#[test]
fn wolfe_reaches_a_tight_slope_on_more_and_thuentes_first_function() {
    // phi = -t / (t^2 + 2), minimiser sqrt(2) (More and Thuente 1994, function 5.1)
    let phi = |t: f64| (-t / (t * t + 2.0), (t * t - 2.0) / (t * t + 2.0).powi(2));
    for initial_step in [1e-3, 0.1, 10.0, 1000.0] {
        let search = StrongWolfe {
            initial_step,
            curvature: 0.0011,
            sufficient_decrease: 0.001,
            ..StrongWolfe::default()
        };
        let accepted = search.search(0.0, -0.5, phi).unwrap();
        assert!((accepted.step - 2f64.sqrt()).abs() < 0.01, "{accepted:?}");
        assert!(accepted.evaluations <= 20, "{accepted:?}");
    }
}

#[test]
fn what_cannot_work_is_named() {
    let rise = |t: f64| t;
    assert!(matches!(
        Armijo::default().search(0.0, -1.0, rise),
        Err(LineSearchError::TooShort { best: None, .. })
    ));
    assert_eq!(Armijo::default().search(0.0, 1.0, rise), Err(LineSearchError::NotDescent(1.0)));
    assert!(matches!(Armijo::default().search(0.0, f64::NAN, rise), Err(LineSearchError::NotDescent(_))));
    assert!(matches!(Armijo::default().search(f64::NAN, -1.0, rise), Err(LineSearchError::Start(_))));
    let few = Armijo { max_evaluations: 3, ..Armijo::default() };
    assert_eq!(few.search(0.0, -1.0, rise), Err(LineSearchError::Evaluations { evaluations: 3, best: None }));
    let bad = Armijo { initial_step: f64::INFINITY, ..Armijo::default() };
    assert!(matches!(bad.search(0.0, -1.0, rise), Err(LineSearchError::Option { name: "initial_step", .. })));
    let wolfe = StrongWolfe::default();
    let Err(LineSearchError::Unbounded { best }) = wolfe.search(0.0, -1.0, |t| (-t, -1.0)) else { panic!() };
    assert_eq!(best.step, 1e10);
    assert!(matches!(
        wolfe.search(0.0, -1.0, |t| (t, 1.0)),
        Err(LineSearchError::TooShort { best: None, .. } | LineSearchError::Evaluations { best: None, .. })
    ));
    // a kink: decrease everywhere near it, but no flat point
    let kink = |t: f64| ((t - 0.3).abs(), (t - 0.3).signum());
    match (StrongWolfe { curvature: 0.5, ..wolfe }).search(0.3, -1.0, kink) {
        Err(
            LineSearchError::TooShort { best: Some(best), .. }
            | LineSearchError::Evaluations { best: Some(best), .. },
        ) => {
            assert!((best.step - 0.3).abs() < 1e-3 && best.value < 1e-3);
        }
        other => panic!("{other:?}"),
    }
    let everywhere_nan = Armijo::default().search(0.0, -1.0, |_| f64::NAN);
    assert!(matches!(
        everywhere_nan,
        Err(LineSearchError::TooShort { .. } | LineSearchError::Evaluations { .. })
    ));
}

#[test]
fn rounding_can_be_overlooked() {
    // at 1e16 the decrease is below one unit in the last place
    let phi = |t: f64| 1e16 - 0.1 * t + 1.0;
    let strict = Armijo { smallest_step: 1e-3, ..Armijo::default() };
    assert!(strict.search(1e16, -0.1, |_| 1e16 + 2.0).is_err());
    let lenient = Armijo { rounding: 10.0, ..strict };
    assert_eq!(lenient.search(1e16, -0.1, phi).unwrap().step, 1.0);
}
