//! Where the systems come from.

use std::fs;
use std::path::{Path, PathBuf};

use gradus::read::matrix_market::{self, Matrix};
use gradus::relaxation::heat::Heat;
use gradus::relaxation::shifted::{Shifted, Shifts};
use gradus::relaxation::{Method, Operator, StreamSystem};

use crate::linsolve::read_columns;
use crate::output::Failure;

/// Where the systems come from.
pub enum Source {
    Heat { cells: usize, heat: Heat },
    Shifted { shifts: Shifts, seed: u64, systems: Box<Shifted> },
    Folder(Folder),
}

/// Systems read from files.
pub struct Folder {
    systems: Vec<OneSystem>,
    operators: Vec<Operator>,
    next: usize,
    warm_start: bool,
    before: Option<Vec<f64>>,
}

struct OneSystem {
    /// Index of its matrix.
    operator: usize,
    rhs: Vec<f64>,
    context: f64,
}

/// Systems of a built-in sequence where none are asked for.
const STEPS: usize = 1000;

impl Source {
    pub fn open(text: &str, warm_start: bool, seed: u64) -> Result<Self, Failure> {
        if let Some(cells) = text.strip_prefix("heat:") {
            let cells = cells.parse().map_err(|_| {
                Failure::Usage(format!("{text}: a number of cells is expected behind heat:, as in heat:50"))
            })?;
            let heat = Heat::new(cells).map_err(|error| Failure::Usage(format!("{text}: {error}")))?;
            return Ok(Source::Heat { cells, heat });
        }
        if let Some(kind) = text.strip_prefix("shifted:") {
            let shifts = match kind {
                "high" => Shifts::High,
                "low" => Shifts::Low,
                _ => return Err(Failure::Usage(format!("{text}: shifted:high or shifted:low is expected"))),
            };
            return Ok(Source::Shifted { shifts, seed, systems: Box::new(Shifted::new(shifts, seed)?) });
        }
        Folder::read(Path::new(text), warm_start).map(Source::Folder)
    }

    /// The method that the sequence was made for.
    pub fn method(&self) -> Method {
        if matches!(self, Source::Shifted { .. }) { Method::Sor } else { Method::SsorCg }
    }

    /// The range of the contexts.
    pub fn range(&self) -> (f64, f64) {
        match self {
            Source::Heat { .. } => Heat::RANGE,
            Source::Shifted { .. } => Shifted::RANGE,
            Source::Folder(folder) => folder.range(),
        }
    }

    pub fn default_steps(&self) -> usize {
        match self {
            Source::Folder(folder) => folder.systems.len(),
            _ => STEPS,
        }
    }

    /// Back to the first system.
    pub fn rewind(&mut self) -> Result<(), Failure> {
        match self {
            Source::Heat { cells, heat } => *heat = Heat::new(*cells)?,
            Source::Shifted { shifts, seed, systems } => **systems = Shifted::new(*shifts, *seed)?,
            Source::Folder(folder) => (folder.next, folder.before) = (0, None),
        }
        Ok(())
    }

    /// The next system, if there is one more.
    pub fn next(&mut self) -> Result<Option<StreamSystem<'_>>, Failure> {
        Ok(match self {
            Source::Heat { heat, .. } => Some(heat.system()?),
            Source::Shifted { systems, .. } => Some(systems.system()?),
            Source::Folder(folder) => folder.next(),
        })
    }

    /// Takes the solution of the system that was handed out last.
    pub fn accept(&mut self, x: Vec<f64>) -> Result<(), Failure> {
        match self {
            Source::Heat { heat, .. } => heat.accept(x)?,
            Source::Shifted { .. } => {}
            Source::Folder(folder) => folder.before = folder.warm_start.then_some(x),
        }
        Ok(())
    }
}

impl Folder {
    /// Reads A_1.mtx b_1.mtx ... of a folder; .gz, .xz and .zst may stand behind.
    fn read(folder: &Path, warm_start: bool) -> Result<Self, Failure> {
        let fail = |message: String| Failure::Input(anyhow::anyhow!("{}: {message}", folder.display()));
        let expected = "a readable folder of systems is expected";
        if folder.is_file() {
            return Err(fail(format!("this is a file; {expected}")));
        }
        let entries =
            fs::read_dir(folder).map_err(|error| fail(format!("cannot be read ({error}); {expected}")))?;
        let (mut matrices, mut vectors) = (Vec::new(), Vec::new());
        for entry in entries {
            let path = entry.map_err(|error| fail(error.to_string()))?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            if let Some((kind, number)) = numbered(&name) {
                let list = if kind == 'A' { &mut matrices } else { &mut vectors };
                list.push((number, path));
            }
        }
        matrices.sort();
        vectors.sort();
        if vectors.is_empty() || matrices.is_empty() {
            return Err(fail("no systems; A_1.mtx b_1.mtx A_2.mtx b_2.mtx ... are expected".into()));
        }
        for list in [&matrices, &vectors] {
            if let Some(pair) = list.windows(2).find(|pair| pair[0].0 == pair[1].0) {
                return Err(fail(format!(
                    "{} and {} are one number",
                    pair[0].1.display(),
                    pair[1].1.display()
                )));
            }
        }
        if let Some((k, _)) = vectors.iter().enumerate().find(|(k, (number, _))| *number != k + 1) {
            return Err(fail(format!("b_{}.mtx is missing", k + 1)));
        }
        if let Some((number, path)) =
            matrices.iter().find(|(number, _)| *number > vectors.len() || *number == 0)
        {
            return Err(fail(format!("{} has no b_{number}.mtx beside it", path.display())));
        }
        if matrices[0].0 != 1 {
            return Err(fail("A_1.mtx is missing".into()));
        }
        let mut this = Self { systems: Vec::new(), operators: Vec::new(), next: 0, warm_start, before: None };
        let mut waiting = matrices.into_iter().peekable();
        for (number, path) in vectors {
            if let Some((_, matrix)) = waiting.next_if(|(next, _)| *next == number) {
                this.operators.push(read_operator(&matrix)?);
            }
            let operator = &this.operators[this.operators.len() - 1];
            let rhs = read_columns(&path.to_string_lossy(), operator.dimension())?;
            if rhs.columns != 1 {
                return Err(Failure::Input(anyhow::anyhow!(
                    "{}: {} columns; one is expected",
                    path.display(),
                    rhs.columns
                )));
            }
            this.systems.push(OneSystem {
                operator: this.operators.len() - 1,
                rhs: rhs.values,
                context: operator.mean_diagonal(),
            });
        }
        Ok(this)
    }

    /// The least range that holds all contexts, made a little wider.
    fn range(&self) -> (f64, f64) {
        let contexts = || self.systems.iter().map(|system| system.context);
        let (low, high) =
            (contexts().fold(f64::INFINITY, f64::min), contexts().fold(f64::NEG_INFINITY, f64::max));
        let margin = 1e-9 * high.abs().max(low.abs()).max(f64::MIN_POSITIVE);
        (low - margin, high + margin)
    }

    fn next(&mut self) -> Option<StreamSystem<'_>> {
        let system = self.systems.get(self.next)?;
        self.next += 1;
        let operator = &self.operators[system.operator];
        let fits = |x: &&[f64]| x.len() == system.rhs.len();
        let start = self.before.as_deref().filter(fits);
        Some(StreamSystem { operator, rhs: &system.rhs, start, context: system.context })
    }
}

/// ('A', 3) for A_3.mtx, with or without a compression's ending.
fn numbered(name: &str) -> Option<(char, usize)> {
    let plain = [".gz", ".xz", ".zst"].iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
    let stem = plain.strip_suffix(".mtx")?;
    let (kind, number) = stem.split_once('_')?;
    let kind = match kind {
        "A" => 'A',
        "b" => 'b',
        _ => return None,
    };
    number.parse().ok().map(|number| (kind, number))
}

fn read_operator(path: &PathBuf) -> Result<Operator, Failure> {
    let fail = |message: String| Failure::Input(anyhow::anyhow!("{}: {message}", path.display()));
    match matrix_market::read(path)?.matrix {
        Matrix::Sparse(a) => Operator::new(a.view()).map_err(|error| fail(error.to_string())),
        Matrix::Dense(_) => {
            Err(fail("the matrix is stored in full; `coordinate` storage is expected".into()))
        }
    }
}
