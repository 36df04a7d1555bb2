//! How good an answer is, recomputed from the answer alone.

use std::fmt;

use sprs::TriMatI;

use super::error::{Error, EvaluationError};
use super::evaluator::{Evaluator, add_transpose_product, check_vector};
use super::termination::{KktError, Point};
use crate::control;
use crate::linalg::factor::{DenseIndefinite, FactorError, Inertia, SparseIndefinite};
use crate::problem::nonlinear::{NonlinearProgram, entries};

/// A point with its multipliers, all unscaled; the signs are those of [`KktError`].
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// x, length n.
    pub x: &'a [f64],
    /// y, length m, of the Lagrangian f + y'c.
    pub multipliers: &'a [f64],
    /// zl >= 0, length n, or empty.
    pub lower_multipliers: &'a [f64],
    /// zu >= 0, length n, or empty.
    pub upper_multipliers: &'a [f64],
}

/// What is known of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// f(x).
    pub objective: f64,
    /// The optimality error, scaled and unscaled.
    pub kkt: KktError,
    /// |(grad f + J'y - zl + zu; c - cl)|_2 of the problem itself, over equations; other rows count with their violation.
    pub residual_norm: f64,
    /// What the second derivatives say.
    pub second_order: SecondOrder,
}

/// What the second derivatives of the Lagrangian say about an answer that meets the first-order conditions.
///
/// Bounds and inequalities count as equations where their multiplier is positive; where it is zero they don't count at
/// all, which asks for more than a minimum needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondOrder {
    /// The Hessian is positive definite on the tangent space of the active constraints: a strict local minimum.
    Sufficient,
    /// It has a direction of negative curvature there: not a minimum, unless an inequality with multiplier zero forbids it.
    Violated,
    /// It is singular there, or the active constraints are dependent: no verdict.
    Undecided,
    /// Not looked at: no Hessian is stored, it isn't finite, or memory ran out.
    Unknown,
}

impl fmt::Display for SecondOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sufficient => "sufficient: a strict local minimum",
            Self::Violated => "violated: the curvature is negative along the constraints",
            Self::Undecided => "undecided: singular along the constraints, or dependent constraints",
            Self::Unknown => "unknown",
        })
    }
}

impl Certificate {
    /// The certificate as every solver states it: the largest unscaled part, and E.
    pub fn summary(&self) -> control::Certificate {
        summary(&self.kkt)
    }
}

pub(super) fn summary(kkt: &KktError) -> control::Certificate {
    control::Certificate { kind: "kkt_error", value: kkt.unscaled.largest(), relative: kkt.error }
}

/// Everything about an answer from the problem and the answer alone: one evaluation of all functions, and a factorisation
/// of the KKT matrix where the problem stores its Hessian. The scaling is that of the problem's start.
///
/// # Errors
/// A problem that isn't one, vectors of the wrong length or that aren't finite. A point outside the domain of the functions has
/// a certificate of NaN.
///
/// # Examples
/// ```
/// use gradus::constrained::{Answer, SecondOrder, certify};
/// use gradus::problem::closures::Closures;
///
/// // min x^2 + y^2 subject to x + y = 2
/// let problem = Closures::new(vec![0.0, 0.0])
///     .objective(|x| x[0] * x[0] + x[1] * x[1], |x, g| { g[0] = 2.0 * x[0]; g[1] = 2.0 * x[1]; })
///     .equations(1, &[(0, 0), (0, 1)], |x, c| c[0] = x[0] + x[1] - 2.0, |_, j| j.fill(1.0))
///     .hessian(&[(0, 0), (1, 1)], |_, sigma, _, w| w.fill(2.0 * sigma))
///     .build()?;
/// let answer = Answer { x: &[1.0, 1.0], multipliers: &[-2.0], lower_multipliers: &[], upper_multipliers: &[] };
/// let certificate = certify(&problem, &answer)?;
/// assert_eq!((certificate.kkt.error, certificate.second_order), (0.0, SecondOrder::Sufficient));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn certify<P: NonlinearProgram>(problem: &P, answer: &Answer) -> Result<Certificate, Error> {
    let mut evaluator = Evaluator::new(problem)?;
    let mut certificate = first_order(&mut evaluator, answer)?;
    certificate.second_order = second_order(&mut evaluator, answer).unwrap_or(SecondOrder::Unknown);
    Ok(certificate)
}

/// As [`certify`], without the factorisation: what solvers call at their end. The evaluator's scaling stays as it was.
///
/// # Errors
/// As [`certify`].
pub(super) fn first_order(evaluator: &mut Evaluator, answer: &Answer) -> Result<Certificate, Error> {
    check(evaluator, answer)?;
    let (n, m) = (evaluator.variables(), evaluator.rows());
    let scaling = evaluator.scaling_of_start();
    let (mut c, mut gradient) = (vec![0.0; m], vec![0.0; n]);
    let mut jacobian = vec![0.0; evaluator.jacobian_pattern().nnz()];
    let evaluated = evaluator.unscaled(|evaluator| {
        let objective = evaluator.values(answer.x, &mut c)?;
        evaluator.derivatives(answer.x, &mut gradient, &mut jacobian)?;
        Ok::<f64, EvaluationError>(objective)
    });
    let objective = evaluated.unwrap_or_else(|_| {
        // nothing is certified outside the domain
        gradient.fill(f64::NAN);
        c.fill(f64::NAN);
        f64::NAN
    });
    add_transpose_product(evaluator.jacobian_pattern(), &jacobian, answer.multipliers, &mut gradient);
    let point = Point {
        x: answer.x,
        constraints: &c,
        lagrangian_gradient: &gradient,
        multipliers: answer.multipliers,
        lower_multipliers: answer.lower_multipliers,
        upper_multipliers: answer.upper_multipliers,
    };
    let bounds = evaluator.bounds();
    let kkt = KktError::at(&point, bounds, &scaling);
    let z = |values: &[f64], j: usize| values.get(j).copied().unwrap_or(0.0);
    let dual = gradient
        .iter()
        .enumerate()
        .map(|(j, g)| (g - z(answer.lower_multipliers, j) + z(answer.upper_multipliers, j)).powi(2));
    let primal = c
        .iter()
        .enumerate()
        .map(|(i, c)| (bounds.row_lower[i] - c).max(c - bounds.row_upper[i]).max(0.0).powi(2));
    let residual_norm = (dual.sum::<f64>() + primal.sum::<f64>()).sqrt();
    Ok(Certificate { objective, kkt, residual_norm, second_order: SecondOrder::Unknown })
}

fn check(evaluator: &Evaluator, answer: &Answer) -> Result<(), Error> {
    let (n, m) = (evaluator.variables(), evaluator.rows());
    check_vector("the answer", n, answer.x)?;
    check_vector("the multipliers", m, answer.multipliers)?;
    for z in [answer.lower_multipliers, answer.upper_multipliers] {
        if !z.is_empty() {
            check_vector("the bounds' multipliers", n, z)?;
        }
    }
    Ok(())
}

/// Above this size the KKT matrix is factored as a sparse one.
const DENSE: usize = 200;

/// The inertia of [W, J'; J, 0] on the free variables and active rows. With p, q, z its numbers of positive, negative and zero
/// eigenvalues, r = rank J and n variables: p - r, q - r and z - (m - r) are those of W on the null space of J.
fn second_order(evaluator: &mut Evaluator, answer: &Answer) -> Option<SecondOrder> {
    let hessian_pattern = evaluator.hessian_pattern()?;
    let jacobian_pattern = evaluator.jacobian_pattern();
    let (mut g, mut j) = (vec![0.0; answer.x.len()], vec![0.0; jacobian_pattern.nnz()]);
    let mut w = vec![0.0; hessian_pattern.nnz()];
    evaluator
        .unscaled(|evaluator| {
            evaluator.derivatives(answer.x, &mut g, &mut j)?;
            evaluator.hessian(answer.x, 1.0, answer.multipliers, &mut w)
        })
        .ok()?;
    let (variables, rows) = active_set(evaluator, answer);
    let free = count(&variables);
    let active = count(&rows);
    if active > free && free + active > DENSE {
        // dependent rows for sure, and so many of them that a sparse factorisation might fill in
        return Some(SecondOrder::Undecided);
    }
    let mut triplets = TriMatI::<f64, u32>::new((free + active, free + active));
    for ((row, column), value) in entries(hessian_pattern).zip(w) {
        if let (Some(row), Some(column)) = (variables[row], variables[column]) {
            triplets.add_triplet(row, column, value);
        }
    }
    for ((row, column), value) in entries(jacobian_pattern).zip(j) {
        if let (Some(row), Some(column)) = (rows[row], variables[column]) {
            triplets.add_triplet(free + row, column, value);
        }
    }
    let inertia = inertia(&triplets).ok()?;
    Some(if inertia.positive == free {
        SecondOrder::Sufficient
    } else if inertia.negative > active {
        SecondOrder::Violated
    } else {
        SecondOrder::Undecided
    })
}

fn inertia(triplets: &TriMatI<f64, u32>) -> Result<Inertia, FactorError> {
    let size = triplets.rows();
    if size > DENSE {
        return SparseIndefinite::new().factor(triplets.to_csc::<u32>().view());
    }
    let mut dense = vec![0.0; size * size];
    for (&value, (row, column)) in triplets.triplet_iter() {
        dense[column as usize * size + row as usize] += value;
    }
    DenseIndefinite::new().factor(size, &dense)
}

/// Numbers the variables that don't lie at a bound with a positive multiplier, and the rows that are equations or have a
/// multiplier.
fn active_set(evaluator: &Evaluator, answer: &Answer) -> (Vec<Option<usize>>, Vec<Option<usize>>) {
    let bounds = evaluator.bounds();
    let z = |values: &[f64], j: usize| values.get(j).copied().unwrap_or(0.0);
    // an interior point leaves multipliers of about the tolerance at inactive bounds
    let positive = |multiplier: f64, slack: f64| multiplier > 1e-6 && slack < multiplier;
    let at_bound = |j: usize| {
        positive(z(answer.lower_multipliers, j), answer.x[j] - bounds.lower[j])
            || positive(z(answer.upper_multipliers, j), bounds.upper[j] - answer.x[j])
            || bounds.lower[j] == bounds.upper[j]
    };
    let active = |i: usize| bounds.is_equation(i) || answer.multipliers[i].abs() > 1e-6;
    (number(answer.x.len(), |j| !at_bound(j)), number(answer.multipliers.len(), active))
}

fn number(count: usize, keep: impl Fn(usize) -> bool) -> Vec<Option<usize>> {
    let mut next = 0..;
    (0..count).map(|i| if keep(i) { next.next() } else { None }).collect()
}

fn count(numbers: &[Option<usize>]) -> usize {
    numbers.iter().flatten().count()
}
