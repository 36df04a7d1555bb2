//! What a SIF file says, after parameters, loops and names are worked out and before anything is evaluated.
//!
//! With t_i(x) = sum_j w_ij F_j(x_j) + a_i'x - b_i the problem's groups are g_i(t_i(x)) / s_i; objective groups are
//! summed (with x'Hx / 2 of the QUADRATIC section), constraint groups are the rows of c, in order.
//! Everything is a flat array with offsets, so that 10^5 elements are a handful of allocations.

/// What a group is for. Constraints are numbered in the order of their groups, objective groups skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupKind {
    Objective,
    Equal,
    LessOrEqual,
    GreaterOrEqual,
}

/// Rows of variable length: row i is `items[offsets[i]..offsets[i + 1]]`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ragged<T> {
    pub offsets: Vec<usize>,
    pub items: Vec<T>,
}

impl<T> Ragged<T> {
    /// Row i.
    pub fn row(&self, i: usize) -> &[T] {
        &self.items[self.offsets[i]..self.offsets[i + 1]]
    }
}

/// The groups, in the order of their first mention.
#[derive(Clone, Debug, Default)]
pub(crate) struct Groups {
    pub kind: Vec<GroupKind>,
    /// s_i; not zero.
    pub scale: Vec<f64>,
    /// 1 / s_i, rounded as the mode wants: what values and derivatives are multiplied by.
    pub inverse_scale: Vec<f64>,
    /// b_i, to be subtracted.
    pub constant: Vec<f64>,
    /// Index into `Decoded::group_types`, or None for g(t) = t.
    pub function: Vec<Option<u32>>,
    /// (variable, a_ij), variables ascending, no zeros, no pair twice.
    pub linear: Ragged<(u32, f64)>,
    /// (element, w_ij) as listed; an element may stand in a row twice and in many rows, a weight may be zero.
    pub elements: Ragged<(u32, f64)>,
    /// Values of the parameters of the group's function, in the order its type declares them.
    pub parameters: Ragged<f64>,
}

/// The elements, in the order of their first mention.
#[derive(Clone, Debug, Default)]
pub(crate) struct Elements {
    /// Index into `Decoded::element_types`.
    pub function: Vec<u32>,
    /// The problem variable in each elemental slot; the same variable may fill two slots.
    pub variables: Ragged<u32>,
    /// Values of the parameters of the element's function, in the order its type declares them.
    pub parameters: Ragged<f64>,
}

/// How a temporary of the function parts is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TemporaryKind {
    Real,
    Integer,
    Logical,
    /// A Fortran intrinsic function.
    Intrinsic,
    /// A function that the user must supply.
    External,
}

/// A card of TEMPORARIES; a real may carry constant extents, as in `Y(8)` or `G(8,3)`.
#[derive(Clone, Debug)]
pub(crate) struct Temporary {
    pub kind: TemporaryKind,
    pub name: String,
    /// Extents of an array; empty for a single number.
    pub dimensions: Vec<usize>,
    pub line: u32,
}

/// What a statement of GLOBALS or INDIVIDUALS does with its expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum StatementKind {
    /// A: target <- expression.
    Assign { target: String },
    /// I: if the logical is true, target <- expression.
    AssignIf { condition: String, target: String },
    /// E: if the logical is false, target <- expression.
    AssignUnless { condition: String, target: String },
    /// F: the value.
    Value,
    /// G: the derivative with respect to the named variable (None in group types).
    First { variable: Option<String> },
    /// H: the second derivative with respect to the pair (None in group types).
    Second { variables: Option<(String, String)> },
}

/// A statement with its expression text, continuation cards joined.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    pub kind: StatementKind,
    /// Columns 25 to 65 of the card and of its continuations, joined, blanks as they stand.
    pub text: String,
    /// For each card that contributed: (offset in `text` where its part begins, line of the file); the part
    /// begins at column 25 of that line.
    pub cards: Vec<(usize, u32)>,
}

/// One element type or group type with the code that defines it.
#[derive(Clone, Debug, Default)]
pub(crate) struct FunctionSource {
    pub name: String,
    /// Elemental variables; the single group variable for a group type.
    pub arguments: Vec<String>,
    /// Internal variables; empty where the elemental ones serve.
    pub internal: Vec<String>,
    pub parameters: Vec<String>,
    /// R cards, the rows of W: (internal variable, elemental variable, coefficient), no zeros, as listed.
    pub transformation: Vec<(u32, u32, f64)>,
    /// In the order of the file.
    pub statements: Vec<Statement>,
    /// Line of the `T` card of INDIVIDUALS, for messages.
    pub line: u32,
}

/// The element functions or the group functions of a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct FunctionPart {
    pub temporaries: Vec<Temporary>,
    /// GLOBALS: assignments made before anything else.
    pub globals: Vec<Statement>,
    pub types: Vec<FunctionSource>,
}

/// Everything needed to evaluate; names and other metadata live beside it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Decoded {
    /// Number of variables.
    pub variables: usize,
    pub groups: Groups,
    pub elements: Elements,
    pub element_part: FunctionPart,
    pub group_part: FunctionPart,
    /// QUADRATIC: (j, k, h_jk) with j >= k, pairs summed, no zeros; h_jj x_j^2 / 2 and h_jk x_j x_k.
    pub quadratic: Vec<(u32, u32, f64)>,
}
