//! Nonlinear programs: one put together from closures, a control problem, and a file.

use gradus::constrained::{SecondOrder, SketchNewton, certify};
use gradus::problem::PoissonControl;
use gradus::problem::closures::Closures;
use gradus::read::sif::SifProblem;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let solver = SketchNewton::default();

    // the point of an ellipsoid x^2 + 2 y^2 + 3 z^2 = 6 in the plane x + y + z = 1 that is highest in z
    let problem = Closures::new(vec![1.0, 1.0, 1.0])
        .objective(|x| -x[2], |_, g| g.copy_from_slice(&[0.0, 0.0, -1.0]))
        .equations(
            2,
            &[(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)],
            |x, c| {
                c[0] = x[0] * x[0] + 2.0 * x[1] * x[1] + 3.0 * x[2] * x[2] - 6.0;
                c[1] = x[0] + x[1] + x[2] - 1.0;
            },
            |x, j| j.copy_from_slice(&[2.0 * x[0], 4.0 * x[1], 6.0 * x[2], 1.0, 1.0, 1.0]),
        )
        // second derivatives by differences; only the diagonal isn't zero
        .hessian_positions(&[(0, 0), (1, 1), (2, 2)])
        .build()?;
    let solution = solver.solve(&problem)?;
    println!("{solution}\nhighest point at {:?}\n", solution.x);
    assert_eq!(certify(&problem, &solution.answer())?.second_order, SecondOrder::Sufficient);

    // a partial differential equation as constraints: 1922 variables, 961 equations
    let control = solver.solve(&PoissonControl::new(31))?;
    println!("{control}\n");

    // a CUTEst problem, solved once more from its own answer
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/data/sif/HSX78.SIF");
    let problem = SifProblem::read(file, &Default::default())?;
    let first = solver.solve(&problem)?;
    let again = solver.solve_with(&problem, first.as_start(), &mut Default::default())?;
    println!("{first}\n\nfrom its own answer: {} iterations", again.iterations);
    Ok(())
}
