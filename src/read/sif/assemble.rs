//! From the cards' model to the flat arrays of [`Decoded`] and to the metadata.

use super::Mode;
use super::decoded::{Decoded, Elements, FunctionPart, GroupKind, Groups, Ragged};
use super::error::{SifError, SifErrorKind};
use super::metadata::Metadata;
use super::model::{Model, NONE, Types};
use super::names::Name;
use super::number::ElevenDigits;
use super::vectors::extended;

/// Rounds the numbers of a problem as the mode wants.
struct Rounding {
    digits: Option<ElevenDigits>,
}

impl Rounding {
    fn round(&mut self, value: f64) -> f64 {
        self.digits.as_mut().map_or(value, |digits| digits.round(value))
    }

    fn all(&mut self, values: &mut [f64]) {
        if let Some(digits) = &mut self.digits {
            for value in values {
                *value = digits.round(*value);
            }
        }
    }
}

/// Puts a problem together. `element_part` and `group_part` have one entry per declared type.
pub(super) fn assemble(
    mut model: Model,
    element_part: FunctionPart,
    group_part: FunctionPart,
    mode: Mode,
    metadata: &mut Metadata,
) -> Result<Decoded, SifError> {
    let mut rounding = Rounding { digits: (mode == Mode::Cutest).then(ElevenDigits::new) };
    check_types(&model.element_types, &element_part, &model.element_type, "element type")?;
    let elements = elements(&mut model, &mut rounding)?;
    let groups = groups(&mut model, &mut rounding)?;
    let used: Vec<u32> = groups.function.iter().flatten().copied().collect();
    check_types(&model.group_types, &group_part, &used, "group type")?;
    let variables = model.variables.len();
    let quadratic = quadratic(&model, variables, &mut rounding);
    describe(model, &groups, &mut rounding, metadata);
    Ok(Decoded { variables, groups, elements, element_part, group_part, quadratic })
}

/// Every type in use must be defined, with a value.
fn check_types(types: &Types, part: &FunctionPart, used: &[u32], what: &'static str) -> Result<(), SifError> {
    let mut in_use = vec![false; types.types.len()];
    for &kind in used {
        in_use[kind as usize] = true;
    }
    for ((declared, source), _) in types.types.iter().zip(&part.types).zip(&in_use).filter(|(_, used)| **used)
    {
        let (arguments, internal) = (declared.arguments.len(), declared.internal.len());
        if internal > 0 && internal >= arguments {
            let message =
                format!("{what} {}: there must be fewer internal variables than elemental ones", source.name);
            return Err(SifError::at(declared.line, 1, SifErrorKind::Declaration(message)));
        }
        let value = super::decoded::StatementKind::Value;
        if !source.statements.iter().any(|statement| statement.kind == value) {
            let line = if source.line == 0 { declared.line } else { source.line };
            let missing = if what == "element type" {
                "the value (card F) of element type"
            } else {
                "the value (card F) of group type"
            };
            return Err(SifError::at(
                line,
                1,
                SifErrorKind::NotSet { what: missing, name: source.name.clone() },
            ));
        }
    }
    Ok(())
}

fn elements(model: &mut Model, rounding: &mut Rounding) -> Result<Elements, SifError> {
    let not_set = |element: usize, what: &'static str, name: Name| {
        let name = format!("{name} of element {}", model.elements.name(element as u32));
        SifError::at(model.element_lines[element], 1, SifErrorKind::NotSet { what, name })
    };
    // The element a flat position belongs to: the last one whose offset is not beyond it.
    let owner =
        |offsets: &[usize], position: usize| offsets.partition_point(|&offset| offset <= position) - 1;
    if let Some(position) = model.element_variables.iter().position(|&variable| variable == NONE) {
        let element = owner(&model.variable_offsets, position);
        let declared = &model.element_types.types[model.element_type[element] as usize];
        let slot = position - model.variable_offsets[element];
        return Err(not_set(element, "elemental variable", declared.arguments.name(slot as u32)));
    }
    if let Some(position) = model.element_parameters.iter().position(|value| value.is_nan()) {
        let element = owner(&model.parameter_offsets, position);
        let declared = &model.element_types.types[model.element_type[element] as usize];
        let slot = position - model.parameter_offsets[element];
        return Err(not_set(element, "element parameter", declared.parameters.name(slot as u32)));
    }
    rounding.all(&mut model.element_parameters);
    Ok(Elements {
        function: std::mem::take(&mut model.element_type),
        variables: Ragged {
            offsets: std::mem::take(&mut model.variable_offsets),
            items: std::mem::take(&mut model.element_variables),
        },
        parameters: Ragged {
            offsets: std::mem::take(&mut model.parameter_offsets),
            items: std::mem::take(&mut model.element_parameters),
        },
    })
}

fn groups(model: &mut Model, rounding: &mut Rounding) -> Result<Groups, SifError> {
    let count = model.groups.len();
    let function: Vec<Option<u32>> = model
        .group_type
        .iter()
        .map(|&kind| if kind == NONE { model.default_group_type } else { Some(kind) })
        .collect();
    let constants =
        model.constants.iter().map(|&set| if set.is_nan() { model.default_constant } else { set });
    let constant = constants.map(|value| rounding.round(value)).collect();
    let inverse_scale = model.scales.iter().map(|&scale| rounding.round(1.0 / scale)).collect();
    let linear = linear(model, rounding);
    let mut elements = rows(&model.group_elements, count);
    model.group_elements = Vec::new();
    for (_, weight) in &mut elements.items {
        *weight = rounding.round(*weight);
    }
    let parameters = group_parameters(model, &function, rounding)?;
    let (kind, scale) = (model.group_kinds.clone(), std::mem::take(&mut model.scales));
    Ok(Groups { kind, scale, inverse_scale, constant, function, linear, elements, parameters })
}

/// Sorts (row, column, value) by rows, in the order listed within a row.
fn rows(entries: &[(u32, u32, f64)], count: usize) -> Ragged<(u32, f64)> {
    let mut offsets = vec![0; count + 1];
    for (row, _, _) in entries {
        offsets[*row as usize + 1] += 1;
    }
    for row in 0..count {
        offsets[row + 1] += offsets[row];
    }
    let mut next = offsets.clone();
    let mut items = vec![(0, 0.0); entries.len()];
    for &(row, column, value) in entries {
        let place = &mut next[row as usize];
        items[*place] = (column, value);
        *place += 1;
    }
    Ragged { offsets, items }
}

/// Adds up the values of equal columns of each row, columns ascending, and drops what is zero.
fn summed(sparse: Ragged<(u32, f64)>, rounding: &mut Rounding) -> Ragged<(u32, f64)> {
    let Ragged { mut offsets, mut items } = sparse;
    let mut kept = 0;
    let mut from = 0;
    for row in 0..offsets.len() - 1 {
        let to = offsets[row + 1];
        if !items[from..to].is_sorted_by(|a, b| a.0 < b.0) {
            items[from..to].sort_by_key(|entry| entry.0);
        }
        let mut at = from;
        while at < to {
            let (column, mut sum) = items[at];
            at += 1;
            while at < to && items[at].0 == column {
                sum += items[at].1;
                at += 1;
            }
            if sum != 0.0 {
                items[kept] = (column, rounding.round(sum));
                kept += 1;
            }
        }
        offsets[row + 1] = kept;
        from = to;
    }
    items.truncate(kept);
    Ragged { offsets, items }
}

fn linear(model: &mut Model, rounding: &mut Rounding) -> Ragged<(u32, f64)> {
    let entries = std::mem::take(&mut model.coefficients);
    summed(rows(&entries, model.groups.len()), rounding)
}

fn quadratic(model: &Model, variables: usize, rounding: &mut Rounding) -> Vec<(u32, u32, f64)> {
    if model.quadratic.is_empty() {
        return Vec::new();
    }
    let by_row = summed(rows(&model.quadratic, variables), rounding);
    let entries =
        (0..variables).flat_map(|j| by_row.row(j).iter().map(move |&(k, value)| (j as u32, k, value)));
    entries.collect()
}

fn group_parameters(
    model: &Model,
    function: &[Option<u32>],
    rounding: &mut Rounding,
) -> Result<Ragged<f64>, SifError> {
    let types = &model.group_types.types;
    let size = |kind: &Option<u32>| kind.map_or(0, |kind| types[kind as usize].parameters.len());
    let mut offsets = vec![0];
    let mut total = 0;
    for kind in function {
        total += size(kind);
        offsets.push(total);
    }
    let mut items = vec![f64::NAN; total];
    for given in &model.group_parameters {
        let error = |kind| SifError::at(given.line, given.column, kind);
        let name = || given.name.to_string();
        let group = given.group as usize;
        let slot = function[group].and_then(|kind| types[kind as usize].parameters.get(&given.name));
        let Some(slot) = slot else {
            return Err(error(SifErrorKind::Undefined { what: "group parameter", name: name() }));
        };
        let place = &mut items[offsets[group] + slot as usize];
        if !place.is_nan() {
            return Err(error(SifErrorKind::Duplicate { what: "group parameter", name: name() }));
        }
        *place = rounding.round(given.value);
    }
    if let Some(position) = items.iter().position(|value| value.is_nan()) {
        let group = offsets.partition_point(|&offset| offset <= position) - 1;
        let declared = function[group].map(|kind| &types[kind as usize]);
        let (slot, line) = ((position - offsets[group]) as u32, declared.map_or(1, |declared| declared.line));
        let parameter = declared.map_or(Name::BLANK, |declared| declared.parameters.name(slot));
        let name = format!("{parameter} of group {}", model.groups.name(group as u32));
        return Err(SifError::at(line, 1, SifErrorKind::NotSet { what: "group parameter", name }));
    }
    Ok(Ragged { offsets, items })
}

/// Fills in what the metadata say of variables and constraints.
fn describe(mut model: Model, groups: &Groups, rounding: &mut Rounding, metadata: &mut Metadata) {
    metadata.variable_names = model.variables.names().iter().map(Name::to_string).collect();
    for values in [&mut model.lower, &mut model.upper, &mut model.start] {
        rounding.all(values);
    }
    for group in (0..groups.kind.len()).filter(|&group| groups.kind[group] != GroupKind::Objective) {
        let range = model.ranges[group];
        let range = extended(rounding.round(if range.is_nan() { model.default_range } else { range }));
        let kind = groups.kind[group];
        metadata.constraint_names.push(model.groups.name(group as u32).to_string());
        metadata.c_lower.push(if kind == GroupKind::LessOrEqual { -range } else { 0.0 });
        metadata.c_upper.push(if kind == GroupKind::GreaterOrEqual { range } else { 0.0 });
        metadata.v0.push(rounding.round(model.multipliers[group]));
        metadata.equation.push(kind == GroupKind::Equal);
        metadata.linear.push(groups.function[group].is_none() && groups.elements.row(group).is_empty());
    }
    metadata.variable_types = model.variable_types;
    (metadata.lower, metadata.upper, metadata.x0) = (model.lower, model.upper, model.start);
    (metadata.objective_lower, metadata.objective_upper) = (model.object_lower, model.object_upper);
}
