//! Which shifts dw of the Hessian and dc of the constraints to try next (Waechter and Biegler 2006, section 3.1).
//!
//! Negative curvature asks for dw, dependent constraints for dc. Where it isn't known yet which of the two a singular matrix
//! needs, both are tried, and a need that shows three times is taken as a property of the problem.

const FIRST_DW: f64 = 1e-4;
const SMALLEST_DW: f64 = 1e-20;
const LARGEST_DW: f64 = 1e20;
/// Shift where the matrix is singular for directions that neither curvature nor constraints see, and not indefinite.
pub(super) const LIFT: f64 = 1e-15;
/// Factors of dw: before the first success, afterwards, and from one iteration to the next.
const FAST_INCREASE: f64 = 100.0;
const INCREASE: f64 = 8.0;
const DECREASE: f64 = 1.0 / 3.0;
/// dc = DC mu^DC_EXPONENT.
const DC: f64 = 1e-8;
const DC_EXPONENT: f64 = 0.25;
/// So many matrices must show a degeneracy.
const WITNESSES: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Unknown,
    No,
    Yes,
}

/// Which of the two shifts is being tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    None,
    Neither,
    Constraints,
    Hessian,
    Both,
}

/// The shifts of a run.
#[derive(Clone, Debug)]
pub(super) struct Shifts {
    /// Shift of the Hessian.
    pub dw: f64,
    /// Shift of the constraints.
    pub dc: f64,
    last_dw: f64,
    lifted: bool,
    /// dw is at least this.
    floor: f64,
    hessian: Verdict,
    constraints: Verdict,
    trial: Trial,
    witnesses: usize,
    /// How many matrices needed dc.
    pub dependent: u64,
    /// How many needed dw.
    pub shifted: u64,
}

impl Default for Shifts {
    fn default() -> Self {
        Self {
            dw: 0.0,
            dc: 0.0,
            last_dw: 0.0,
            lifted: false,
            floor: 0.0,
            hessian: Verdict::Unknown,
            constraints: Verdict::Unknown,
            trial: Trial::None,
            witnesses: 0,
            dependent: 0,
            shifted: 0,
        }
    }
}

impl Shifts {
    /// The first shifts for a new matrix.
    pub fn start(&mut self, mu: f64) {
        self.conclude();
        if self.dw > 0.0 && !self.lifted {
            self.last_dw = self.dw;
            self.shifted += 1;
        }
        self.lifted = false;
        self.dependent += u64::from(self.dc > 0.0);
        let open = self.hessian == Verdict::Unknown || self.constraints == Verdict::Unknown;
        self.trial = if open { Trial::Neither } else { Trial::None };
        self.dc = if self.constraints == Verdict::Yes { dc(mu) } else { 0.0 };
        self.dw = self.floor;
        if self.hessian == Verdict::Yes && self.dw == 0.0 {
            self.raise();
        }
    }

    /// Shorter steps from here on, or less so: the step before led out of where the functions are defined, or did not.
    pub fn restrain(&mut self, more: bool) {
        self.floor = match (more, self.floor) {
            (true, floor) => (10.0 * floor).clamp(FIRST_DW, LARGEST_DW),
            (false, floor) if floor <= FIRST_DW => 0.0,
            (false, floor) => 0.1 * floor,
        };
    }

    /// Constraints are dependent, whatever the matrices show.
    pub fn shift_rows(&mut self) {
        self.constraints = Verdict::Yes;
    }

    /// Shifts by next to nothing, if nothing was tried yet: false if so.
    pub fn lift_flat_directions(&mut self) -> bool {
        let first = self.dw == 0.0;
        if first {
            (self.dw, self.lifted) = (LIFT, true);
        }
        first
    }

    /// Takes that shift back, where it didn't help.
    pub fn drop_lift(&mut self) {
        (self.dw, self.lifted) = (0.0, false);
    }

    /// The next shifts for a singular matrix; false where there are none.
    pub fn after_singular(&mut self, mu: f64) -> bool {
        if self.hessian != Verdict::Unknown && self.constraints != Verdict::Unknown {
            if self.dc > 0.0 {
                return self.raise();
            }
            self.dc = dc(mu);
            // a vanishing mu leaves no shift of the constraints
            return self.dc > 0.0 || self.raise();
        }
        match self.trial {
            Trial::Neither if self.constraints == Verdict::Unknown => {
                self.dc = dc(mu);
                self.trial = Trial::Constraints;
                true
            }
            Trial::Neither => {
                self.trial = Trial::Hessian;
                self.raise()
            }
            Trial::Constraints => {
                self.dc = 0.0;
                self.trial = Trial::Hessian;
                self.raise()
            }
            Trial::Hessian => {
                self.dc = dc(mu);
                self.trial = Trial::Both;
                self.raise()
            }
            Trial::Both => self.raise(),
            Trial::None => {
                self.dc = dc(mu);
                self.raise()
            }
        }
    }

    /// The next shifts for a matrix with too many negative eigenvalues; false where there are none.
    pub fn after_wrong_inertia(&mut self, mu: f64) -> bool {
        self.conclude();
        if self.raise() {
            return true;
        }
        if self.dc > 0.0 {
            return false;
        }
        self.dc = dc(mu);
        self.dw = 0.0;
        self.trial = Trial::None;
        if self.hessian == Verdict::Yes {
            self.hessian = Verdict::Unknown;
        }
        self.raise()
    }

    fn raise(&mut self) -> bool {
        self.dw = if self.dw == 0.0 {
            if self.last_dw == 0.0 { FIRST_DW } else { (self.last_dw * DECREASE).max(SMALLEST_DW) }
        } else if self.last_dw == 0.0 || 1e5 * self.last_dw < self.dw {
            FAST_INCREASE * self.dw
        } else {
            INCREASE * self.dw
        };
        if self.dw <= LARGEST_DW {
            return true;
        }
        self.last_dw = 0.0;
        self.dw = 0.0;
        false
    }

    /// What the trial that just succeeded says of the problem.
    fn conclude(&mut self) {
        let settle = |verdict: &mut Verdict| {
            if *verdict == Verdict::Unknown {
                *verdict = Verdict::No;
            }
        };
        match self.trial {
            Trial::None => {}
            Trial::Neither => {
                settle(&mut self.hessian);
                settle(&mut self.constraints);
            }
            Trial::Constraints => {
                settle(&mut self.hessian);
                Self::witness(&mut self.witnesses, &mut [&mut self.constraints]);
            }
            Trial::Hessian => {
                settle(&mut self.constraints);
                Self::witness(&mut self.witnesses, &mut [&mut self.hessian]);
            }
            Trial::Both => {
                Self::witness(&mut self.witnesses, &mut [&mut self.hessian, &mut self.constraints]);
            }
        }
        self.trial = Trial::None;
    }

    fn witness(witnesses: &mut usize, verdicts: &mut [&mut Verdict]) {
        if verdicts.iter().all(|verdict| **verdict != Verdict::Unknown) {
            return;
        }
        *witnesses += 1;
        if *witnesses >= WITNESSES {
            verdicts.iter_mut().for_each(|verdict| **verdict = Verdict::Yes);
        }
    }
}

fn dc(mu: f64) -> f64 {
    DC * mu.powf(DC_EXPONENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_grows_fast_at_first_and_remembers() {
        let mut shifts = Shifts::default();
        shifts.start(0.1);
        assert_eq!((shifts.dw, shifts.dc), (0.0, 0.0));
        assert!(shifts.after_wrong_inertia(0.1) && shifts.dw == 1e-4);
        assert!(shifts.after_wrong_inertia(0.1) && (shifts.dw - 1e-2).abs() < 1e-15);
        shifts.start(0.1);
        assert!(shifts.after_wrong_inertia(0.1));
        assert!((shifts.dw - 1e-2 / 3.0).abs() < 1e-15);
        assert!(shifts.after_wrong_inertia(0.1));
        assert!((shifts.dw - 8e-2 / 3.0).abs() < 1e-15);
        let mut steps = 0;
        while shifts.after_wrong_inertia(0.1) {
            steps += 1;
        }
        assert!(steps < 60);
    }

    #[test]
    fn singular_matrices_without_a_barrier_parameter_run_out_of_shifts() {
        let mut shifts = Shifts::default();
        for _ in 0..2 {
            shifts.start(0.0);
        }
        assert!(shifts.hessian == Verdict::No && shifts.constraints == Verdict::No);
        let steps = (0..1000).take_while(|_| shifts.after_singular(0.0)).count();
        assert!(steps < 60);
    }

    #[test]
    fn constraints_that_are_dependent_three_times_are_shifted_at_once() {
        let mut shifts = Shifts::default();
        for _ in 0..3 {
            shifts.start(1.0);
            assert_eq!(shifts.dc, 0.0);
            assert!(shifts.after_singular(1.0));
            assert_eq!((shifts.dw, shifts.dc), (0.0, 1e-8));
        }
        shifts.start(1.0);
        assert_eq!((shifts.dw, shifts.dc, shifts.dependent), (0.0, 1e-8, 3));
    }
}
