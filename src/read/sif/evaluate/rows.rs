//! Groups as rows: t = sum_j w_j F_j + a'x - b, the row q = a + sum_j w_j grad F_j, and the group functions on top.

use super::batch::{Batch, Sizes, User, Wanted, shared_parameters};
use super::{Build, Elements};
use crate::problem::nonlinear::Pattern;
use crate::read::sif::function::{FunctionError, Lanes, Outputs, compile};

/// The objective groups, or the constraint groups, in order.
#[derive(Default)]
pub(super) struct Rows {
    pub count: usize,
    constant: Vec<f64>,
    pub inverse_scale: Vec<f64>,
    /// Linear parts, rows compressed.
    linear_offsets: Vec<usize>,
    linear: Vec<(u32, f64)>,
    /// Elements of each row: where the value is, and the weight.
    element_offsets: Vec<usize>,
    elements: Vec<(u32, f64)>,
    /// Pattern of the rows q, and the linear part of each entry.
    pub offsets: Vec<usize>,
    pub columns: Vec<u32>,
    pub base: Vec<f64>,
    /// Entries of q that elements contribute to, and the contributions: where the derivative is, and the weight.
    active: Vec<u32>,
    contribution_offsets: Vec<usize>,
    contributions: Vec<(u32, f64)>,
    /// Group functions by type, and the row of each user.
    batches: Vec<(Batch, Vec<u32>)>,
    sizes: Sizes,
    /// Rows whose group function has a second derivative.
    pub curved: Vec<u32>,
}

/// Numbers that belong to the rows at one point.
#[derive(Clone, Default)]
pub(super) struct RowState {
    t: Vec<f64>,
    /// g(t), g'(t), g''(t).
    pub value: Vec<f64>,
    pub first: Vec<f64>,
    pub second: Vec<f64>,
    pub q: Vec<f64>,
    buffers: [Vec<Lanes>; 3],
    registers: Vec<Vec<Lanes>>,
}

impl Rows {
    /// Rows for the groups with these indices.
    pub fn new(build: &Build, groups: &[u32], elements: &Elements) -> Result<Self, FunctionError> {
        let source = &build.decoded.groups;
        let mut rows = Self { count: groups.len(), ..Self::default() };
        rows.linear_offsets.push(0);
        rows.element_offsets.push(0);
        rows.offsets.push(0);
        rows.contribution_offsets.push(0);
        let mut entries: Vec<(u32, u32, f64)> = Vec::new();
        for &group in groups {
            let group = group as usize;
            rows.constant.push(source.constant[group]);
            rows.inverse_scale.push(source.inverse_scale[group]);
            rows.linear.extend_from_slice(source.linear.row(group));
            rows.linear_offsets.push(rows.linear.len());
            entries.clear();
            entries.extend(source.linear.row(group).iter().map(|&(column, a)| (column, LINEAR, a)));
            for &(element, weight) in source.elements.row(group) {
                rows.elements.push((elements.value_index(element), weight));
                elements.for_each_first(build.decoded, element, |variable, index| {
                    entries.push((variable, index, weight));
                });
            }
            rows.element_offsets.push(rows.elements.len());
            rows.push_pattern(&mut entries);
        }
        rows.add_functions(build, groups)?;
        Ok(rows)
    }

    /// The pattern of one q and what adds up to each entry.
    fn push_pattern(&mut self, entries: &mut [(u32, u32, f64)]) {
        entries.sort_by_key(|(column, ..)| *column);
        for same in entries.chunk_by(|a, b| a.0 == b.0) {
            let mut base = 0.0;
            let before = self.contributions.len();
            for &(_, index, weight) in same {
                if index == LINEAR {
                    base += weight;
                } else {
                    self.contributions.push((index, weight));
                }
            }
            if self.contributions.len() > before {
                self.active.push(self.columns.len() as u32);
                self.contribution_offsets.push(self.contributions.len());
            }
            self.columns.push(same[0].0);
            self.base.push(base);
        }
        self.offsets.push(self.columns.len());
    }

    fn add_functions(&mut self, build: &Build, groups: &[u32]) -> Result<(), FunctionError> {
        let source = &build.decoded.groups;
        let mut members = vec![Vec::new(); build.decoded.group_part.types.len()];
        for (row, &group) in groups.iter().enumerate() {
            if let Some(function) = source.function[group as usize] {
                members[function as usize].push(row as u32);
            }
        }
        for (function, members) in members.into_iter().enumerate() {
            if members.is_empty() {
                continue;
            }
            let parameters = |row: &u32| source.parameters.row(groups[*row as usize] as usize);
            let declared = build.decoded.group_part.types[function].parameters.len();
            let shared = shared_parameters(declared, members.iter().map(parameters));
            let part = &build.decoded.group_part;
            let compiled = compile(part, function, &shared, build.externals, build.mode)?;
            let users: Vec<User> = members
                .iter()
                .map(|row| User { arguments: std::slice::from_ref(row), parameters: parameters(row) })
                .collect();
            let batch = Batch::new(compiled, &shared, &users, &mut self.sizes);
            if !batch.function.second.is_empty() {
                self.curved.extend(&members);
            }
            self.batches.push((batch, members));
        }
        self.curved.sort_unstable();
        Ok(())
    }

    /// The pattern of the rows q, the derivatives of the groups.
    pub fn pattern(&self, variables: usize) -> Result<Pattern, FunctionError> {
        let (offsets, columns) = (self.offsets.clone(), self.columns.clone());
        let values = vec![(); columns.len()];
        Pattern::try_new((self.count, variables), offsets, columns, values).map_err(|(.., error)| {
            let message = format!("the pattern of the groups' derivatives is broken: {error}");
            FunctionError { line: 0, column: 0, message }
        })
    }

    pub fn state(&self) -> RowState {
        RowState {
            t: vec![0.0; self.count],
            value: vec![0.0; self.count],
            first: vec![1.0; self.count],
            second: vec![0.0; self.count],
            q: self.base.clone(),
            buffers: [self.sizes.value, self.sizes.first, self.sizes.second].map(|size| vec![[0.0; 4]; size]),
            registers: self.batches.iter().map(|(batch, _)| batch.registers.clone()).collect(),
        }
    }

    /// True where some group function is not g(t) = t.
    pub fn has_functions(&self) -> bool {
        !self.batches.is_empty()
    }

    /// t, g(t) and the derivatives that are wanted, from the values of the elements.
    pub fn evaluate(&self, x: &[f64], values: &[f64], wanted: Wanted, state: &mut RowState) {
        for row in 0..self.count {
            let linear = &self.linear[self.linear_offsets[row]..self.linear_offsets[row + 1]];
            let elements = &self.elements[self.element_offsets[row]..self.element_offsets[row + 1]];
            let sum: f64 = linear.iter().map(|&(column, a)| a * x[column as usize]).sum();
            let sum =
                elements.iter().fold(sum, |sum, &(index, weight)| sum + weight * values[index as usize]);
            state.t[row] = sum - self.constant[row];
        }
        if wanted.value {
            state.value.copy_from_slice(&state.t);
        }
        let RowState { t, buffers: [value, first, second], registers, .. } = state;
        let mut outputs = Outputs { value, first, second };
        for ((batch, _), registers) in self.batches.iter().zip(registers) {
            batch.evaluate(t, 0..batch.blocks(), wanted, None, &mut outputs, registers);
        }
        for (batch, members) in &self.batches {
            for (p, &row) in members.iter().enumerate() {
                let row = row as usize;
                if wanted.value {
                    state.value[row] = state.buffers[0].as_flattened()[batch.value_index(p)];
                }
                if wanted.first {
                    let zero = batch.function.first.is_empty();
                    let at = batch.first_index(p, 0);
                    state.first[row] = if zero { 0.0 } else { state.buffers[1].as_flattened()[at] };
                }
                if wanted.second && !batch.function.second.is_empty() {
                    state.second[row] = state.buffers[2].as_flattened()[batch.second_index(p, 0)];
                }
            }
        }
    }

    /// q from the first derivatives of the elements.
    pub fn rows(&self, firsts: &[f64], state: &mut RowState) {
        for (k, &entry) in self.active.iter().enumerate() {
            let contributions =
                &self.contributions[self.contribution_offsets[k]..self.contribution_offsets[k + 1]];
            let base = self.base[entry as usize];
            state.q[entry as usize] = contributions
                .iter()
                .fold(base, |sum, &(index, weight)| sum + weight * firsts[index as usize]);
        }
    }

    /// Variables of row i of q, ascending.
    pub fn columns_of(&self, row: usize) -> &[u32] {
        &self.columns[self.offsets[row]..self.offsets[row + 1]]
    }

    /// Columns and entries of row i of q.
    pub fn row<'a>(&'a self, state: &'a RowState, row: usize) -> (&'a [u32], &'a [f64]) {
        let range = self.offsets[row]..self.offsets[row + 1];
        (&self.columns[range.clone()], &state.q[range])
    }

    /// g(t)/s of each row.
    pub fn values(&self, state: &RowState, values: &mut [f64]) {
        for (value, (g, scale)) in values.iter_mut().zip(state.value.iter().zip(&self.inverse_scale)) {
            *value = g * scale;
        }
    }

    /// The gradient of each row in the order of the pattern.
    pub fn gradients(&self, state: &RowState, values: &mut [f64]) {
        for row in 0..self.count {
            let slope = self.slope(state, row);
            let range = self.offsets[row]..self.offsets[row + 1];
            for (value, q) in values[range.clone()].iter_mut().zip(&state.q[range]) {
                *value = slope * q;
            }
        }
    }

    /// d(g(t)/s)/dt.
    pub fn slope(&self, state: &RowState, row: usize) -> f64 {
        state.first[row] * self.inverse_scale[row]
    }

    /// Adds sum over rows of multiplier * slope * weight to the factor of each element's second derivatives.
    pub fn add_weights(&self, state: &RowState, multiplier: impl Fn(usize) -> f64, weights: &mut [f64]) {
        for row in 0..self.count {
            let elements = &self.elements[self.element_offsets[row]..self.element_offsets[row + 1]];
            if elements.is_empty() {
                continue;
            }
            let factor = multiplier(row) * self.slope(state, row);
            for &(index, weight) in elements {
                weights[index as usize] += factor * weight;
            }
        }
    }
}

/// Marks the linear part among the contributions to an entry.
const LINEAR: u32 = u32::MAX;
