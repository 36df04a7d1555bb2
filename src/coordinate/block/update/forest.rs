//! Newton's step on a block whose graph is a forest: one pass of messages inward and one outward. Blocks without an
//! inner edge (colour classes) are divisions. Where the Hessian changes with x a line search follows.

use super::newton::search;
use super::{Error, Move, State, Update};
use crate::linalg::forest::ForestSolver;

#[derive(Default)]
pub(super) struct Forest {
    solver: ForestSolver,
}

impl Update for Forest {
    fn step(&mut self, state: &State, block: &[usize]) -> Result<Option<Move>, Error> {
        let Some(matrix) = state.smooth().hessian_matrix() else { return Ok(None) };
        let mut d: Vec<f64> = block.iter().map(|&i| -state.gradient()[i]).collect();
        self.solver.solve(matrix, block, &mut d).map_err(|error| Error::Option(error.to_string()))?;
        if d.iter().all(|&d| d == 0.0) {
            return Ok(None);
        }
        if !state.smooth().is_quadratic() {
            return Ok(search(state, block, &d));
        }
        let goal = block.iter().zip(&d).map(|(&i, d)| state.x()[i] + d).collect();
        let line = state.smooth().aim(block, &d);
        // the model is f itself: no search
        Ok(Some(Move { line, step: 1.0, goal }))
    }
}
