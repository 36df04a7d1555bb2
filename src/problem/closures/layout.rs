//! Listed positions of non-zeros, and where in a pattern each of them lies.

use std::collections::BTreeMap;

use super::ClosuresError;
use crate::problem::nonlinear::Pattern;

/// A pattern, and where in it each listed position lies.
pub(super) struct Layout {
    pub pattern: Pattern,
    pub places: Vec<u32>,
}

impl Layout {
    pub fn new(
        what: &'static str,
        shape: (usize, usize),
        positions: &[(usize, usize)],
    ) -> Result<Self, ClosuresError> {
        let (rows, columns) = shape;
        let mut numbers = BTreeMap::new();
        for &(row, column) in positions {
            if row >= rows || column >= columns {
                return Err(ClosuresError::Position { what, row, column, rows, columns });
            }
            numbers.insert((row, column), 0u32);
        }
        let mut offsets = vec![0; rows + 1];
        for (number, ((row, _), place)) in numbers.iter_mut().enumerate() {
            *place = number as u32;
            offsets[row + 1] += 1;
        }
        for row in 0..rows {
            offsets[row + 1] += offsets[row];
        }
        let indices = numbers.keys().map(|&(_, column)| column as u32).collect();
        let places = positions.iter().map(|position| numbers[position]).collect();
        Ok(Self { pattern: Pattern::new(shape, offsets, indices, vec![(); numbers.len()]), places })
    }

    /// Lets `fill` write the listed values, and adds them up at their places.
    pub fn scatter(&self, values: &mut [f64], listed: &mut Vec<f64>, fill: impl FnOnce(&mut [f64])) {
        listed.clear();
        listed.resize(self.places.len(), 0.0);
        fill(listed);
        values.fill(0.0);
        for (&place, value) in self.places.iter().zip(listed) {
            values[place as usize] += *value;
        }
    }
}
