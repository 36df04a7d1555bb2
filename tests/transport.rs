//! Optimal transport through its public interface.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use gradus::control::{Limits, Status};
use gradus::transport::instances::instance;
use gradus::transport::{Cost, Transport};

#[test]
fn show() {
    let solver =
        Transport { limits: Limits { tolerance: 1e-10, ..Default::default() }, ..Default::default() };
    let mut total = 0.0;
    for eps in [1e-2, 1e-3, 1e-4, 1e-5] {
        for name in ["assignment-500", "points-500", "cloud8-500", "digits2-22", "digits1-22", "expnorm-500"]
        {
            let p = instance(name, eps).unwrap();
            let s = solver.solve(&p).unwrap();
            if eps > 5e-5 {
                total += s.seconds;
            }
            println!(
                "{name} {eps:e} {:?} D {:.10} P {:.10} tc {:.10} err {:.1e} gap {:.1e} int [{:.10},{:.10}] {:.4}s {:?}",
                s.status,
                s.dual_objective,
                s.objective,
                s.transport_cost,
                s.marginal_error,
                s.certificate.value,
                s.exact_cost.0,
                s.exact_cost.1,
                s.seconds,
                s.counts
            );
        }
    }
    println!("total {total}");
}
