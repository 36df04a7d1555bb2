//! The problem as it grows while cards are executed.

use super::decoded::GroupKind;
use super::metadata::VariableType;
use super::names::{Name, Table};

/// Marks a number that no card has set; no card can set a NaN.
pub(super) const UNSET: f64 = f64::NAN;
/// Marks an elemental variable or a type that no card has set.
pub(super) const NONE: u32 = u32::MAX;

/// Which of several vectors of constants, ranges, bounds or starting points is taken: the first.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chosen {
    first: Option<Name>,
    changed: bool,
}

impl Chosen {
    /// Whether a card of this vector counts: its name is that of the first card.
    pub(super) fn by_name(&mut self, name: Name) -> bool {
        *self.first.get_or_insert(name) == name
    }

    /// As `by_name`, but once another name was seen, no card counts any more.
    pub(super) fn until_change(&mut self, name: Name) -> bool {
        self.changed |= !self.by_name(name);
        !self.changed
    }
}

/// An element type or group type as the problem part declares it.
#[derive(Debug)]
pub(super) struct FunctionType {
    pub arguments: Table,
    pub internal: Table,
    pub parameters: Table,
    pub line: u32,
}

impl FunctionType {
    pub(super) fn new(line: u32) -> Self {
        Self { arguments: Table::new(), internal: Table::new(), parameters: Table::new(), line }
    }
}

/// Types by name.
#[derive(Debug)]
pub(super) struct Types {
    pub names: Table,
    pub types: Vec<FunctionType>,
}

impl Types {
    fn new() -> Self {
        Self { names: Table::new(), types: Vec::new() }
    }
}

/// A parameter of a group as a P card gives it: the type may be known only later.
#[derive(Clone, Copy, Debug)]
pub(super) struct GroupParameter {
    pub group: u32,
    pub name: Name,
    pub value: f64,
    pub line: u32,
    pub column: u32,
}

/// Everything that data cards say.
#[derive(Debug)]
pub(super) struct Model {
    pub variables: Table,
    pub variable_types: Vec<VariableType>,
    pub lower: Vec<f64>,
    pub upper: Vec<f64>,
    pub start: Vec<f64>,
    /// Bounds of variables that no card of the bounds names.
    pub default_bounds: (f64, f64),

    pub groups: Table,
    pub group_kinds: Vec<GroupKind>,
    pub scales: Vec<f64>,
    pub constants: Vec<f64>,
    pub default_constant: f64,
    pub ranges: Vec<f64>,
    pub default_range: f64,
    pub multipliers: Vec<f64>,
    /// (group, variable, coefficient), to be added up.
    pub coefficients: Vec<(u32, u32, f64)>,
    /// (j, k, h), j >= k, to be added up.
    pub quadratic: Vec<(u32, u32, f64)>,

    pub chosen_constants: Chosen,
    pub chosen_ranges: Chosen,
    pub chosen_bounds: Chosen,
    pub chosen_start: Chosen,

    pub element_types: Types,
    pub elements: Table,
    pub element_type: Vec<u32>,
    /// Offsets of each element's variables and parameters in the two vectors below.
    pub variable_offsets: Vec<usize>,
    pub parameter_offsets: Vec<usize>,
    pub element_variables: Vec<u32>,
    pub element_parameters: Vec<f64>,
    pub element_lines: Vec<u32>,
    pub default_element_type: Option<u32>,

    pub group_types: Types,
    /// NONE where no card sets it.
    pub group_type: Vec<u32>,
    pub default_group_type: Option<u32>,
    /// (group, element, weight).
    pub group_elements: Vec<(u32, u32, f64)>,
    pub group_parameters: Vec<GroupParameter>,

    pub object_lower: Option<f64>,
    pub object_upper: Option<f64>,

    /// GROUPS before VARIABLES: coefficients are written with the variables.
    pub column_wise: bool,
}

impl Model {
    pub(super) fn new() -> Self {
        Self {
            variables: Table::new(),
            variable_types: Vec::new(),
            lower: Vec::new(),
            upper: Vec::new(),
            start: Vec::new(),
            default_bounds: (0.0, f64::INFINITY),
            groups: Table::new(),
            group_kinds: Vec::new(),
            scales: Vec::new(),
            constants: Vec::new(),
            default_constant: 0.0,
            ranges: Vec::new(),
            default_range: f64::INFINITY,
            multipliers: Vec::new(),
            coefficients: Vec::new(),
            quadratic: Vec::new(),
            chosen_constants: Chosen::default(),
            chosen_ranges: Chosen::default(),
            chosen_bounds: Chosen::default(),
            chosen_start: Chosen::default(),
            element_types: Types::new(),
            elements: Table::new(),
            element_type: Vec::new(),
            variable_offsets: vec![0],
            parameter_offsets: vec![0],
            element_variables: Vec::new(),
            element_parameters: Vec::new(),
            element_lines: Vec::new(),
            default_element_type: None,
            group_types: Types::new(),
            group_type: Vec::new(),
            default_group_type: None,
            group_elements: Vec::new(),
            group_parameters: Vec::new(),
            object_lower: None,
            object_upper: None,
            column_wise: false,
        }
    }

    /// Bytes that the problem needs once it is assembled, give or take: what the limit of memory is compared with.
    pub(super) fn bytes(&self) -> u64 {
        let variables = 140 * self.variables.len();
        let groups = 180 * self.groups.len();
        let elements = 80 * self.elements.len()
            + 12 * self.element_variables.len()
            + 24 * self.element_parameters.len()
            + 48 * self.group_elements.len();
        let sparse = 48 * (self.coefficients.len() + self.quadratic.len() + self.group_parameters.len());
        (variables + groups + elements + sparse) as u64
    }

    /// The variable of a name, made if it is new.
    pub(super) fn variable(&mut self, name: Name) -> u32 {
        let (variable, new) = self.variables.insert(name);
        if new {
            self.variable_types.push(VariableType::Continuous);
            self.lower.push(self.default_bounds.0);
            self.upper.push(self.default_bounds.1);
            self.start.push(0.0);
        }
        variable
    }

    /// The group of a name, made with this kind if it is new.
    pub(super) fn group(&mut self, name: Name, kind: GroupKind) -> u32 {
        let (group, new) = self.groups.insert(name);
        if new {
            self.group_kinds.push(kind);
            self.scales.push(1.0);
            self.constants.push(UNSET);
            self.ranges.push(UNSET);
            self.multipliers.push(0.0);
            self.group_type.push(NONE);
        }
        group
    }
}
