//! The filter: pairs of violation and barrier function that later iterates must improve on.

/// Envelope around the violation of an entry.
pub(super) const GAMMA_THETA: f64 = 1e-5;
/// Envelope around the barrier function of an entry, in units of the violation.
pub(super) const GAMMA_PHI: f64 = 1e-8;

/// Whether a <= b up to rounding in numbers of the size of `scale`.
pub(super) fn at_most(a: f64, b: f64, scale: f64) -> bool {
    a - b <= 10.0 * f64::EPSILON * scale.abs()
}

/// Violation and barrier function of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pair {
    pub theta: f64,
    pub phi: f64,
}

/// The entries; none dominates another.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter {
    entries: Vec<Pair>,
}

impl Filter {
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// Whether every entry is worse in at least one of the two.
    pub fn accepts(&self, pair: Pair) -> bool {
        self.entries.iter().all(|entry| {
            at_most(pair.theta, entry.theta, entry.theta) || at_most(pair.phi, entry.phi, entry.phi)
        })
    }

    /// Adds the envelope of an iterate.
    pub fn add(&mut self, iterate: Pair) {
        let entry =
            Pair { theta: (1.0 - GAMMA_THETA) * iterate.theta, phi: iterate.phi - GAMMA_PHI * iterate.theta };
        self.entries.retain(|old| old.theta < entry.theta || old.phi < entry.phi);
        self.entries.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_blocks_what_is_no_better_in_both() {
        let mut filter = Filter::default();
        let at = |theta, phi| Pair { theta, phi };
        assert!(filter.accepts(at(1e9, 1e9)));
        filter.add(at(1.0, 5.0));
        assert!(!filter.accepts(at(1.0, 5.0)) && !filter.accepts(at(2.0, 6.0)));
        assert!(filter.accepts(at(0.9, 9.0)) && filter.accepts(at(9.0, 4.0)));
        filter.add(at(0.5, 4.0));
        assert_eq!(filter.entries.len(), 1);
        filter.clear();
        assert!(filter.accepts(at(2.0, 6.0)));
    }
}
