//! The separable part h of an objective: nothing, one function per unknown, or one per group of unknowns.

use crate::problem::penalty::{Group, Penalty, Piece};

/// h(x). Unknowns behind the penalty's columns (an intercept) and outside all groups are free.
#[derive(Debug, Clone, Copy)]
pub enum Separable<'a> {
    /// h = 0.
    Free,
    /// Sum of h_j(x_j) over the first so many unknowns.
    Coordinates(&'a dyn Penalty, usize),
    /// Sum of l1 u_G ||x_G||. A block holds whole groups only.
    Groups(&'a Group),
}

/// A free unknown's piece.
const LINE: Piece = Piece { lower: f64::NEG_INFINITY, upper: f64::INFINITY, slope: 0.0, curvature: 0.0 };

impl<'a> Separable<'a> {
    /// Whether h is twice differentiable everywhere.
    pub fn is_smooth(&self) -> bool {
        match self {
            Separable::Free => true,
            Separable::Coordinates(penalty, _) => penalty.is_smooth(),
            Separable::Groups(_) => false,
        }
    }

    /// The function of one unknown, if it has one of its own.
    fn own(&self, i: usize) -> Option<&'a dyn Penalty> {
        match *self {
            Separable::Coordinates(penalty, columns) if i < columns => Some(penalty),
            _ => None,
        }
    }

    /// h(x).
    pub fn value(&self, x: &[f64]) -> f64 {
        match self {
            Separable::Free => 0.0,
            Separable::Coordinates(penalty, columns) => {
                x[..*columns].iter().enumerate().map(|(i, &x)| penalty.value(i, x)).sum()
            }
            Separable::Groups(group) => group.value(x),
        }
    }

    /// The smooth piece of h_i around x, none at a kink or a bound.
    pub fn piece(&self, i: usize, x: f64) -> Option<Piece> {
        self.own(i).map_or(Some(LINE), |penalty| penalty.piece(i, x))
    }

    /// argmin over u of curvature (u - x)^2 / 2 + slope (u - x) + h_i(u). Without curvature only h_i speaks.
    pub fn prox(&self, i: usize, x: f64, slope: f64, curvature: f64) -> f64 {
        let flat = !(curvature > 0.0);
        match self.own(i) {
            None if flat => x,
            None => x - slope / curvature,
            Some(penalty) if flat => penalty.prox(i, x, f64::INFINITY),
            Some(penalty) => penalty.prox(i, x - slope / curvature, 1.0 / curvature),
        }
    }

    /// slope (to - from) + h_i(to) - h_i(from). Within one smooth piece both slopes are added first: near a solution
    /// they cancel.
    pub fn change(&self, i: usize, from: f64, to: f64, slope: f64) -> f64 {
        let Some(penalty) = self.own(i) else { return slope * (to - from) };
        let d = to - from;
        match penalty.piece(i, from) {
            Some(piece) if piece.lower <= to && to <= piece.upper => {
                d * (slope + piece.slope + 0.5 * piece.curvature * d)
            }
            _ => slope * d + (penalty.value(i, to) - penalty.value(i, from)),
        }
    }

    /// Whether x_i sits where h is smooth: off its kinks and bounds.
    pub fn is_active(&self, i: usize, x: f64) -> bool {
        match self {
            Separable::Coordinates(..) if !self.is_smooth() => self.piece(i, x).is_some(),
            _ => x != 0.0,
        }
    }
}
