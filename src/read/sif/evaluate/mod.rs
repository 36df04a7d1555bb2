//! Values and derivatives of a decoded problem.
//!
//! With u = W v, element j has value F, gradient W'F_u and Hessian W'F_uu W. For group i,
//! q_i = a_i + sum_j w_ij grad F_j, and with d1 = g'(t_i), d2 = g''(t_i)
//!
//! value g(t_i) / s_i, gradient (d1 / s_i) q_i, Hessian (d1 / s_i) sum_j w_ij Hess F_j + (d2 / s_i) q_i q_i'.
//!
//! Elements of a type are evaluated in blocks ([`batch`]); each is evaluated once even if many groups use it: in the Hessian of
//! the Lagrangian its second derivatives count with the sum of its factors.

mod batch;
mod hessian;
mod rows;
mod second;

use std::sync::OnceLock;

use batch::{Batch, Sizes, User, Wanted, shared_parameters};
use hessian::{Hessian, Parts, Scratch};
use rows::{RowState, Rows};

use super::decoded::{Decoded, GroupKind};
use super::function::{ExternalFunctions, FunctionError, Lanes, Outputs, compile};
use crate::problem::nonlinear::Pattern;

/// What a construction works from.
struct Build<'a> {
    decoded: &'a Decoded,
    externals: &'a ExternalFunctions,
    mode: super::Mode,
}

/// Which groups use an element.
const IN_OBJECTIVE: u8 = 1;
const IN_CONSTRAINTS: u8 = 2;
/// Through a group function; one with a second derivative.
const IN_FUNCTION: u8 = 4;
const IN_CURVED: u8 = 8;

/// The elements that some group uses, by type.
struct Elements {
    batches: Vec<Batch>,
    uses: Vec<Uses>,
    /// Batch and number within the batch of each element; u32::MAX where nothing uses it.
    places: Vec<(u32, u32)>,
    sizes: Sizes,
}

/// Who uses the elements of a batch: those of the objective come first, those of the constraints last.
struct Uses {
    /// End of the elements that only the objective uses, and of all that it uses.
    objective_only: usize,
    objective: usize,
    in_function: bool,
    in_curved: bool,
}

/// Which groups are to be evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Objective,
    Constraints,
    Both,
}

impl Part {
    fn objective(self) -> bool {
        self != Self::Constraints
    }

    fn constraints(self) -> bool {
        self != Self::Objective
    }
}

const VALUES: Wanted = Wanted { value: true, first: false, second: false };

/// The functions of a problem, ready to be evaluated.
pub(crate) struct Evaluator {
    variables: usize,
    elements: Elements,
    objective: Rows,
    constraints: Rows,
    quadratic: Vec<(u32, u32, f64)>,
    objective_groups: Pattern,
    jacobian: Pattern,
    hessian: OnceLock<Option<Hessian>>,
}

/// Scratch memory of evaluations.
#[derive(Clone)]
pub struct SifWorkspace {
    value: Vec<Lanes>,
    first: Vec<Lanes>,
    second: Vec<Lanes>,
    weights: Vec<Lanes>,
    registers: Vec<Vec<Lanes>>,
    rows: [RowState; 2],
    scratch: Scratch,
}

impl Elements {
    fn new(build: &Build) -> Result<Self, FunctionError> {
        let source = &build.decoded.elements;
        let usage = usage(build.decoded);
        let types = &build.decoded.element_part.types;
        let mut members = vec![Vec::new(); types.len()];
        for (element, &function) in source.function.iter().enumerate() {
            if usage[element] != 0 {
                members[function as usize].push(element as u32);
            }
        }
        let mut elements = Self {
            batches: Vec::new(),
            uses: Vec::new(),
            places: vec![(u32::MAX, 0); usage.len()],
            sizes: Sizes::default(),
        };
        for (function, mut members) in members.into_iter().enumerate() {
            if members.is_empty() {
                continue;
            }
            // Objective only, both, constraints only.
            let class = |element: &u32| match usage[*element as usize] & (IN_OBJECTIVE | IN_CONSTRAINTS) {
                IN_OBJECTIVE => 0,
                IN_CONSTRAINTS => 2,
                _ => 1,
            };
            members.sort_by_key(class);
            let parameters = |element: &u32| source.parameters.row(*element as usize);
            let shared = shared_parameters(types[function].parameters.len(), members.iter().map(parameters));
            let compiled =
                compile(&build.decoded.element_part, function, &shared, build.externals, build.mode)?;
            let users: Vec<User> = members
                .iter()
                .map(|element| User {
                    arguments: source.variables.row(*element as usize),
                    parameters: parameters(element),
                })
                .collect();
            for (p, &element) in members.iter().enumerate() {
                elements.places[element as usize] = (elements.batches.len() as u32, p as u32);
            }
            let any = |flag: u8| members.iter().any(|&element| usage[element as usize] & flag != 0);
            elements.uses.push(Uses {
                objective_only: members.partition_point(|element| class(element) < 1),
                objective: members.partition_point(|element| class(element) < 2),
                in_function: any(IN_FUNCTION),
                in_curved: any(IN_CURVED),
            });
            elements.batches.push(Batch::new(compiled, &shared, &users, &mut elements.sizes));
        }
        Ok(elements)
    }

    /// Where the value of an element is.
    fn value_index(&self, element: u32) -> u32 {
        let (batch, p) = self.places[element as usize];
        self.batches[batch as usize].value_index(p as usize) as u32
    }

    /// The variable of each first derivative of an element, and where the derivative is.
    fn for_each_first(&self, decoded: &Decoded, element: u32, mut visit: impl FnMut(u32, u32)) {
        let (batch, p) = self.places[element as usize];
        let batch = &self.batches[batch as usize];
        let variables = decoded.elements.variables.row(element as usize);
        for (k, &slot) in batch.function.first.iter().enumerate() {
            visit(variables[slot as usize], batch.first_index(p as usize, k) as u32);
        }
    }
}

/// Flags of the groups that use each element.
fn usage(decoded: &Decoded) -> Vec<u8> {
    let mut usage = vec![0; decoded.elements.function.len()];
    for (group, kind) in decoded.groups.kind.iter().enumerate() {
        let mut flags = if *kind == GroupKind::Objective { IN_OBJECTIVE } else { IN_CONSTRAINTS };
        if let Some(function) = decoded.groups.function[group] {
            flags |= IN_FUNCTION;
            let statements = &decoded.group_part.types[function as usize].statements;
            let curved =
                statements.iter().any(|s| matches!(s.kind, super::decoded::StatementKind::Second { .. }));
            flags |= if curved { IN_CURVED } else { 0 };
        }
        for &(element, _) in decoded.groups.elements.row(group) {
            usage[element as usize] |= flags;
        }
    }
    usage
}

impl Evaluator {
    /// Compiles the functions and lays out everything but the Hessian.
    ///
    /// # Errors
    /// A flaw in an expression, with line and column.
    pub fn new(
        decoded: &Decoded,
        externals: &ExternalFunctions,
        mode: super::Mode,
    ) -> Result<Self, FunctionError> {
        let build = Build { decoded, externals, mode };
        let elements = Elements::new(&build)?;
        let kinds = decoded.groups.kind.iter().enumerate();
        let (objective, constraints): (Vec<_>, Vec<_>) =
            kinds.partition(|(_, kind)| **kind == GroupKind::Objective);
        let indices = |groups: Vec<(usize, &GroupKind)>| {
            groups.iter().map(|(group, _)| *group as u32).collect::<Vec<_>>()
        };
        let objective = Rows::new(&build, &indices(objective), &elements)?;
        let constraints = Rows::new(&build, &indices(constraints), &elements)?;
        let objective_groups = objective.pattern(decoded.variables)?;
        let jacobian = constraints.pattern(decoded.variables)?;
        Ok(Self {
            variables: decoded.variables,
            elements,
            objective,
            constraints,
            quadratic: decoded.quadratic.clone(),
            objective_groups,
            jacobian,
            hessian: OnceLock::new(),
        })
    }

    pub fn workspace(&self) -> SifWorkspace {
        SifWorkspace {
            value: vec![[0.0; 4]; self.elements.sizes.value],
            first: vec![[0.0; 4]; self.elements.sizes.first],
            second: Vec::new(),
            weights: Vec::new(),
            registers: self.elements.batches.iter().map(|batch| batch.registers.clone()).collect(),
            rows: [self.objective.state(), self.constraints.state()],
            scratch: Scratch::default(),
        }
    }

    pub fn jacobian_pattern(&self) -> &Pattern {
        &self.jacobian
    }

    pub fn objective_groups_pattern(&self) -> &Pattern {
        &self.objective_groups
    }

    pub fn hessian_pattern(&self) -> Option<&Pattern> {
        self.lagrangian().map(|hessian| &hessian.pattern)
    }

    fn lagrangian(&self) -> Option<&Hessian> {
        let build = || {
            let parts = Parts { variables: self.variables, quadratic: &self.quadratic };
            Hessian::new(
                &parts,
                [&self.objective, &self.constraints],
                &self.elements,
                4 * self.elements.sizes.second,
            )
        };
        self.hessian.get_or_init(build).as_ref()
    }

    /// Evaluates the elements of a part; `wanted` says what of each batch.
    fn evaluate_elements(
        &self,
        x: &[f64],
        part: Part,
        wanted: impl Fn(&Uses) -> Wanted,
        workspace: &mut SifWorkspace,
    ) {
        let SifWorkspace { value, first, second, registers, .. } = workspace;
        let mut outputs = Outputs { value, first, second };
        for ((batch, uses), registers) in self.elements.batches.iter().zip(&self.elements.uses).zip(registers)
        {
            let users = match part {
                Part::Objective => 0..uses.objective,
                Part::Constraints => uses.objective_only..batch.count,
                Part::Both => 0..batch.count,
            };
            batch.evaluate(x, batch.blocks_of(users), wanted(uses), None, &mut outputs, registers);
        }
    }

    fn evaluate_rows(&self, x: &[f64], part: Part, wanted: Wanted, workspace: &mut SifWorkspace) {
        let values = workspace.value.as_flattened();
        let [objective, constraints] = &mut workspace.rows;
        if part.objective() {
            self.objective.evaluate(x, values, wanted, objective);
        }
        if part.constraints() {
            self.constraints.evaluate(x, values, wanted, constraints);
        }
    }

    /// t, g and c of a part.
    fn evaluate_values(&self, x: &[f64], part: Part, workspace: &mut SifWorkspace) {
        self.evaluate_elements(x, part, |_| VALUES, workspace);
        self.evaluate_rows(x, part, VALUES, workspace);
    }

    fn objective_value(&self, x: &[f64], workspace: &SifWorkspace) -> f64 {
        let values = workspace.rows[0].value.iter().zip(&self.objective.inverse_scale);
        let groups: f64 = values.map(|(value, scale)| value * scale).sum();
        let quadratic: f64 = self
            .quadratic
            .iter()
            .map(|&(j, k, h)| {
                let product = h * x[j as usize] * x[k as usize];
                if j == k { 0.5 * product } else { product }
            })
            .sum();
        // A sum of nothing is -0.
        groups + quadratic + 0.0
    }

    pub fn objective(&self, x: &[f64], workspace: &mut SifWorkspace) -> f64 {
        self.evaluate_values(x, Part::Objective, workspace);
        self.objective_value(x, workspace)
    }

    pub fn constraints(&self, x: &[f64], values: &mut [f64], workspace: &mut SifWorkspace) {
        self.evaluate_values(x, Part::Constraints, workspace);
        self.constraints.values(&workspace.rows[1], values);
    }

    pub fn objective_groups(&self, x: &[f64], values: &mut [f64], workspace: &mut SifWorkspace) {
        self.evaluate_values(x, Part::Objective, workspace);
        self.objective.values(&workspace.rows[0], values);
    }

    pub fn objective_group_gradients(&self, x: &[f64], values: &mut [f64], workspace: &mut SifWorkspace) {
        self.evaluate_first(x, Part::Objective, workspace);
        self.objective.gradients(&workspace.rows[0], values);
    }

    pub fn objective_and_constraints(
        &self,
        x: &[f64],
        values: &mut [f64],
        workspace: &mut SifWorkspace,
    ) -> f64 {
        self.evaluate_values(x, Part::Both, workspace);
        self.constraints.values(&workspace.rows[1], values);
        self.objective_value(x, workspace)
    }

    /// Rows q and slopes of a part.
    fn evaluate_first(&self, x: &[f64], part: Part, workspace: &mut SifWorkspace) {
        let wanted = |uses: &Uses| Wanted { value: uses.in_function, first: true, second: false };
        self.evaluate_elements(x, part, wanted, workspace);
        self.evaluate_slopes(x, part, false, workspace);
        self.evaluate_q(part, workspace);
    }

    /// The derivatives of group functions.
    fn evaluate_slopes(&self, x: &[f64], part: Part, second: bool, workspace: &mut SifWorkspace) {
        let wanted = Wanted { value: false, first: true, second };
        let values = workspace.value.as_flattened();
        let [objective, constraints] = &mut workspace.rows;
        if part.objective() && self.objective.has_functions() {
            self.objective.evaluate(x, values, wanted, objective);
        }
        if part.constraints() && self.constraints.has_functions() {
            self.constraints.evaluate(x, values, wanted, constraints);
        }
    }

    fn evaluate_q(&self, part: Part, workspace: &mut SifWorkspace) {
        let firsts = workspace.first.as_flattened();
        let [objective, constraints] = &mut workspace.rows;
        if part.objective() {
            self.objective.rows(firsts, objective);
        }
        if part.constraints() {
            self.constraints.rows(firsts, constraints);
        }
    }

    fn gradient_values(&self, x: &[f64], values: &mut [f64], workspace: &SifWorkspace) {
        values.fill(0.0);
        let state = &workspace.rows[0];
        for row in 0..self.objective.count {
            let slope = self.objective.slope(state, row);
            let (columns, q) = self.objective.row(state, row);
            for (&column, &q) in columns.iter().zip(q) {
                values[column as usize] += slope * q;
            }
        }
        self.add_quadratic_product(1.0, x, values);
    }

    /// product += factor H d with the H of QUADRATIC.
    fn add_quadratic_product(&self, factor: f64, direction: &[f64], product: &mut [f64]) {
        for &(j, k, h) in &self.quadratic {
            let (j, k) = (j as usize, k as usize);
            product[j] += factor * h * direction[k];
            if j != k {
                product[k] += factor * h * direction[j];
            }
        }
    }

    pub fn gradient(&self, x: &[f64], values: &mut [f64], workspace: &mut SifWorkspace) {
        self.evaluate_first(x, Part::Objective, workspace);
        self.gradient_values(x, values, workspace);
    }

    pub fn jacobian(&self, x: &[f64], values: &mut [f64], workspace: &mut SifWorkspace) {
        self.evaluate_first(x, Part::Constraints, workspace);
        self.constraints.gradients(&workspace.rows[1], values);
    }

    pub fn gradient_and_jacobian(
        &self,
        x: &[f64],
        gradient: &mut [f64],
        jacobian: &mut [f64],
        workspace: &mut SifWorkspace,
    ) {
        self.evaluate_first(x, Part::Both, workspace);
        self.gradient_values(x, gradient, workspace);
        self.constraints.gradients(&workspace.rows[1], jacobian);
    }

    pub fn jacobian_product(
        &self,
        x: &[f64],
        direction: &[f64],
        product: &mut [f64],
        workspace: &mut SifWorkspace,
    ) {
        self.evaluate_first(x, Part::Constraints, workspace);
        let state = &workspace.rows[1];
        for (row, product) in product.iter_mut().enumerate() {
            let (columns, q) = self.constraints.row(state, row);
            *product = self.constraints.slope(state, row) * dot(columns, q, direction);
        }
    }

    pub fn jacobian_transpose_product(
        &self,
        x: &[f64],
        multipliers: &[f64],
        product: &mut [f64],
        workspace: &mut SifWorkspace,
    ) {
        self.evaluate_first(x, Part::Constraints, workspace);
        let state = &workspace.rows[1];
        product.fill(0.0);
        for (row, multiplier) in multipliers.iter().enumerate() {
            let factor = self.constraints.slope(state, row) * multiplier;
            let (columns, q) = self.constraints.row(state, row);
            for (&column, &q) in columns.iter().zip(q) {
                product[column as usize] += factor * q;
            }
        }
    }
}

/// q'd over the entries of q.
fn dot(columns: &[u32], q: &[f64], direction: &[f64]) -> f64 {
    columns.iter().zip(q).map(|(&column, &q)| q * direction[column as usize]).sum()
}
