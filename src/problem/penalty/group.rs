//! h(x) = l1 * sum over groups G of u_G ||x_G||_2: the group lasso.

/// Group lasso: whole groups of coefficients are zero or not.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// Weight of the norms, not negative.
    pub l1: f64,
    /// The columns of each group; every column belongs to one group at most.
    pub groups: Vec<Vec<usize>>,
    /// Factors u_G, one per group; the square root of the group's size where absent.
    pub weights: Option<Vec<f64>>,
}

impl Group {
    /// l1 u_G of group g.
    pub fn threshold(&self, g: usize) -> f64 {
        self.l1 * self.weights.as_ref().map_or_else(|| (self.groups[g].len() as f64).sqrt(), |u| u[g])
    }

    /// Checks the groups against p columns.
    ///
    /// # Errors
    /// A sentence naming what is wrong: a column out of range or in two groups, a negative weight.
    pub fn check(&self, columns: usize) -> Result<(), String> {
        if !(self.l1 >= 0.0 && self.l1.is_finite()) {
            return Err(format!("l1 is {}; it must be finite and not negative", self.l1));
        }
        if self.weights.as_ref().is_some_and(|u| u.len() != self.groups.len()) {
            return Err(format!("one weight is needed for each of the {} groups", self.groups.len()));
        }
        let mut owner = vec![None; columns];
        for (g, group) in self.groups.iter().enumerate() {
            if !(self.threshold(g) >= 0.0 && self.threshold(g).is_finite()) {
                return Err(format!("the weight of group {g} must be finite and not negative"));
            }
            for &j in group {
                match owner.get_mut(j) {
                    None => return Err(format!("group {g} names column {j}; there are {columns} columns")),
                    Some(Some(first)) => return Err(format!("column {j} is in the groups {first} and {g}")),
                    Some(free) => *free = Some(g),
                }
            }
        }
        Ok(())
    }

    /// h(x).
    pub fn value(&self, x: &[f64]) -> f64 {
        (0..self.groups.len()).map(|g| self.threshold(g) * self.norm(g, x)).sum()
    }

    /// x_G <- (1 - step l1 u_G / ||x_G||)_+ x_G: the proximal map of group g.
    pub fn prox(&self, g: usize, step: f64, x: &mut [f64]) {
        let norm = self.norm(g, x);
        let threshold = step * self.threshold(g);
        let factor = if norm > threshold { 1.0 - threshold / norm } else { 0.0 };
        self.groups[g].iter().for_each(|&j| x[j] *= factor);
    }

    /// The largest c in [0, 1] for which c q is dual feasible: ||c q_G|| <= l1 u_G for every group.
    pub fn dual_scale(&self, q: &[f64]) -> f64 {
        (0..self.groups.len()).fold(1.0, |scale: f64, g| {
            let norm = self.norm(g, q);
            if norm > self.threshold(g) { scale.min(self.threshold(g) / norm) } else { scale }
        })
    }

    fn norm(&self, g: usize, x: &[f64]) -> f64 {
        self.groups[g].iter().map(|&j| x[j] * x[j]).sum::<f64>().sqrt()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn prox_is_the_minimiser_and_its_residual_is_dual_feasible(
            v in prop::collection::vec(-3.0f64..3.0, 5), other in prop::collection::vec(-3.0f64..3.0, 5), step in 0.1f64..2.0,
        ) {
            let penalty = Group { l1: 0.8, groups: vec![vec![0, 3], vec![1, 2, 4]], weights: None };
            penalty.check(5).unwrap();
            let mut best = v.clone();
            (0..2).for_each(|g| penalty.prox(g, step, &mut best));
            let cost = |x: &[f64]| x.iter().zip(&v).map(|(a, b)| (a - b) * (a - b)).sum::<f64>() / (2.0 * step) + penalty.value(x);
            prop_assert!(cost(&best) <= cost(&other) + 1e-12);
            let residual: Vec<f64> = v.iter().zip(&best).map(|(a, b)| (a - b) / step).collect();
            prop_assert!(penalty.dual_scale(&residual) >= 1.0 - 1e-12);
        }
    }

    #[test]
    fn wrong_groups_are_named() {
        let group = |groups| Group { l1: 1.0, groups, weights: None };
        assert!(
            group(vec![vec![0], vec![0]]).check(2).unwrap_err().contains("column 0 is in the groups 0 and 1")
        );
        assert!(group(vec![vec![7]]).check(2).unwrap_err().contains("column 7"));
    }
}
