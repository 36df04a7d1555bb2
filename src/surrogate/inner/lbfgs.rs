//! L-BFGS on the surrogate, for any map.

use super::Surrogate;
use crate::linalg::line_search::Armijo;
use crate::linalg::product::{dot_serial, norm};
use crate::surrogate::oracle::Work;
use crate::surrogate::quasi_newton::Memory;

/// Pairs kept.
const MEMORY: usize = 10;
/// The loop ends where the gradient is this part of the first.
const FLAT: f64 = 1e-10;

/// m steps from theta. A step is backtracked until q falls enough; the loop ends where no step does.
pub(super) fn minimize(
    q: &Surrogate,
    steps: usize,
    theta: &mut [f64],
    work: &mut Work,
) -> Result<(), String> {
    let (d, m) = (theta.len(), q.g.len());
    let (mut w, mut u, mut gradient) = (vec![0.0; m], vec![0.0; m], vec![0.0; d]);
    let mut memory = Memory::new(MEMORY);
    let mut value = q.value(theta, &mut w, work);
    q.gradient(theta, &w, &mut u, &mut gradient, work);
    let first = norm(&gradient);
    for _ in 0..steps {
        let size = norm(&gradient);
        if !(size > FLAT * first) {
            break;
        }
        let direction = memory.direction(&gradient, |v| {
            let scale = memory.scale().unwrap_or(1.0 / size);
            v.iter_mut().for_each(|v| *v *= scale);
        });
        let slope = dot_serial(&gradient, &direction);
        let mut moved = theta.to_vec();
        let search = Armijo::default().search(value, slope, |a| {
            for ((moved, theta), step) in moved.iter_mut().zip(theta.iter()).zip(&direction) {
                *moved = theta + a * step;
            }
            q.value(&moved, &mut w, work)
        });
        let Ok(accepted) = search else {
            work.failed_searches += 1;
            break;
        };
        // the last evaluation is the accepted one, so that w belongs to it
        work.inner_steps += 1;
        value = accepted.value;
        let before = std::mem::replace(&mut gradient, vec![0.0; d]);
        q.gradient(&moved, &w, &mut u, &mut gradient, work);
        let step: Vec<f64> = direction.iter().map(|v| accepted.step * v).collect();
        let change = gradient.iter().zip(&before).map(|(new, old)| new - old).collect();
        memory.push(step, change);
        theta.copy_from_slice(&moved);
    }
    Ok(())
}
