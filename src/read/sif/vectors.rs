//! CONSTANTS, RANGES, BOUNDS, START POINT and OBJECT BOUND. Of several named vectors the first counts.

use super::error::SifError;
use super::model::Model;
use super::names::Name;
use super::section::Item;

/// Magnitudes from here on stand for infinity.
pub(super) const INFINITE: f64 = 1e20;

/// A bound with the language's infinity made a true one.
pub(super) fn extended(value: f64) -> f64 {
    if value.abs() >= INFINITE { f64::INFINITY.copysign(value) } else { value }
}

fn is_default(name: &Name) -> bool {
    name.is_keyword(b"'DEFAULT'")
}

impl Model {
    /// A card of CONSTANTS: pairs of groups and b_i; the last for a group wins.
    pub(super) fn constants_card(&mut self, item: &Item) -> Result<(), SifError> {
        let counts = self.chosen_constants.by_name(item.name2);
        for (field, name, value) in item.pairs() {
            let value = value.unwrap_or(0.0);
            if is_default(&name) {
                if counts {
                    self.default_constant = value;
                }
                continue;
            }
            let group = self.groups.get(&name).ok_or_else(|| item.undefined(field, "group"))?;
            if counts {
                self.constants[group as usize] = value;
            }
        }
        Ok(())
    }

    /// A card of RANGES: pairs of groups and the widths of their intervals.
    pub(super) fn ranges_card(&mut self, item: &Item) -> Result<(), SifError> {
        let counts = self.chosen_ranges.by_name(item.name2);
        for (field, name, value) in item.pairs() {
            let width = value.unwrap_or(0.0).abs();
            if is_default(&name) {
                if counts {
                    self.default_range = width;
                }
                continue;
            }
            let group = self.groups.get(&name).ok_or_else(|| item.undefined(field, "group"))?;
            if counts {
                self.ranges[group as usize] = width;
            }
        }
        Ok(())
    }

    /// A card of BOUNDS.
    pub(super) fn bounds_card(&mut self, item: &Item) -> Result<(), SifError> {
        let counts = self.chosen_bounds.until_change(item.name2);
        let value = extended(item.number4.unwrap_or(0.0));
        if is_default(&item.name3) {
            if counts {
                self.default_bounds = default_bound(item.letter, value, self.default_bounds);
                self.lower.fill(self.default_bounds.0);
                self.upper.fill(self.default_bounds.1);
            }
            return Ok(());
        }
        let variable = self.variables.get(&item.name3).ok_or_else(|| item.undefined(3, "variable"))? as usize;
        if counts {
            let before = (self.lower[variable], self.upper[variable]);
            (self.lower[variable], self.upper[variable]) = bound(item.letter, value, before);
        }
        Ok(())
    }

    /// A card of START POINT: pairs of variables (or groups, for multipliers) and values.
    pub(super) fn start_card(&mut self, item: &Item) -> Result<(), SifError> {
        let counts = self.chosen_start.until_change(item.name2);
        for (field, name, value) in item.pairs() {
            let value = value.unwrap_or(0.0);
            if is_default(&name) {
                if counts && item.letter != b'M' {
                    self.start.fill(value);
                }
                if counts && item.letter != b'V' {
                    self.multipliers.fill(value);
                }
                continue;
            }
            let variable = self.variables.get(&name).filter(|_| item.letter != b'M');
            let group = if item.letter == b'V' { None } else { self.groups.get(&name) };
            let target = match (variable, group) {
                (Some(variable), _) => &mut self.start[variable as usize],
                (None, Some(group)) => &mut self.multipliers[group as usize],
                (None, None) => {
                    let what = match item.letter {
                        b'V' => "variable",
                        b'M' => "group",
                        _ => "variable or group",
                    };
                    return Err(item.undefined(field, what));
                }
            };
            if counts {
                *target = value;
            }
        }
        Ok(())
    }

    /// A card of OBJECT BOUND: a known bound on the objective.
    pub(super) fn object_bound_card(&mut self, item: &Item) {
        let value = Some(extended(item.number4.unwrap_or(0.0)));
        if item.letter == b'L' {
            self.object_lower = value;
        } else {
            self.object_upper = value;
        }
    }
}

/// Bounds after a card of this letter. An upper bound of zero frees a variable that had only the bounds (0, inf) from
/// its lower one, as in the MPS format; MI then makes the upper one zero.
fn bound(letter: u8, value: f64, (lower, upper): (f64, f64)) -> (f64, f64) {
    let untouched = lower == 0.0 && upper == f64::INFINITY;
    match letter {
        b'R' => (f64::NEG_INFINITY, f64::INFINITY),
        b'L' => (value, upper),
        b'U' if value == 0.0 && untouched => (f64::NEG_INFINITY, value),
        b'U' => (lower, value),
        b'X' => (value, value),
        b'M' if untouched => (f64::NEG_INFINITY, 0.0),
        b'M' => (f64::NEG_INFINITY, upper),
        _ => (lower, f64::INFINITY),
    }
}

/// As [`bound`] for all variables: MI gives (-inf, 0) whatever was there, PL does nothing.
fn default_bound(letter: u8, value: f64, before: (f64, f64)) -> (f64, f64) {
    match letter {
        b'M' => (f64::NEG_INFINITY, 0.0),
        b'P' => before,
        _ => bound(letter, value, before),
    }
}
