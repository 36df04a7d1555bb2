//! GROUPS, VARIABLES and QUADRATIC: who there is, and the linear and quadratic coefficients.

use super::decoded::GroupKind;
use super::error::{SifError, SifErrorKind};
use super::metadata::VariableType;
use super::model::Model;
use super::section::Item;

impl Model {
    /// A card of GROUPS: kind and name; then `'SCALE'` and a number, or pairs of variables and coefficients.
    pub(super) fn groups_card(&mut self, item: &Item) -> Result<(), SifError> {
        let kind = match item.letter {
            b'E' => GroupKind::Equal,
            b'L' => GroupKind::LessOrEqual,
            b'G' => GroupKind::GreaterOrEqual,
            _ => GroupKind::Objective,
        };
        if item.name2.is_blank() {
            return Err(item.error(2, SifErrorKind::NotSet { what: "the name", name: "of a group".into() }));
        }
        let group = self.group(item.name2, kind);
        if item.name3.is_keyword(b"'SCALE'") {
            let scale = item.number4.unwrap_or(0.0);
            if scale == 0.0 {
                return Err(item.error(4, SifErrorKind::DivisionByZero));
            }
            self.scales[group as usize] = scale;
            return Ok(());
        }
        for (field, name, coefficient) in item.pairs() {
            let variable = self.variables.get(&name).ok_or_else(|| item.undefined(field, "variable"))?;
            self.coefficient(group, variable, coefficient);
        }
        Ok(())
    }

    /// A card of VARIABLES: name; then a keyword, or pairs of groups and coefficients where these come with the
    /// variables. Returns whether something had to be ignored.
    pub(super) fn variables_card(&mut self, item: &Item) -> Result<bool, SifError> {
        if item.name3.is_keyword(b"'MARKER'") {
            return Ok(false);
        }
        if item.name2.is_blank() {
            return Err(
                item.error(2, SifErrorKind::NotSet { what: "the name", name: "of a variable".into() })
            );
        }
        let variable = self.variable(item.name2);
        let kind = &mut self.variable_types[variable as usize];
        if item.name3.is_keyword(b"'INTEGER'") {
            *kind = VariableType::Integer;
        } else if item.name3.is_keyword(b"'ZERO-ONE'") {
            *kind = VariableType::ZeroOne;
        } else if !self.column_wise {
            return Ok(!item.name3.is_blank() && !item.name3.is_keyword(b"'SCALE'"));
        } else if !item.name3.is_keyword(b"'SCALE'") {
            for (field, name, coefficient) in item.pairs() {
                let group = self.groups.get(&name).ok_or_else(|| item.undefined(field, "group"))?;
                self.coefficient(group, variable, coefficient);
            }
        }
        Ok(false)
    }

    fn coefficient(&mut self, group: u32, variable: u32, coefficient: Option<f64>) {
        if let Some(coefficient) = coefficient.filter(|&coefficient| coefficient != 0.0) {
            self.coefficients.push((group, variable, coefficient));
        }
    }

    /// A card of QUADRATIC: h_jk in pairs; one of (j, k) and (k, j) is given.
    pub(super) fn quadratic_card(&mut self, item: &Item) -> Result<(), SifError> {
        let first = self.variables.get(&item.name2).ok_or_else(|| item.undefined(2, "variable"))?;
        for (field, name, value) in item.pairs() {
            let second = self.variables.get(&name).ok_or_else(|| item.undefined(field, "variable"))?;
            self.quadratic.push((first.max(second), first.min(second), value.unwrap_or(0.0)));
        }
        Ok(())
    }
}
