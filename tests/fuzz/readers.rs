//! What holds for each reader, whatever the input.

use gradus::problem::NonlinearProgram;
use gradus::read::matrix_market::Matrix;
use gradus::read::sif::{Limits, Mode, SifProblem};
use gradus::read::{Dense, ReadError, Source, image as png, npy as numpy, sif as standard};
use gradus::read::{libsvm as labelled, matrix_market as market, table as plain, triplets as ratings};

/// What a reader made of an input that it treated rightly.
pub struct Answer {
    /// Tells answers of different kinds apart.
    pub key: String,
    /// Bytes that the input justifies.
    pub memory: usize,
}

/// Reads an input with one of eight options, and says what is wrong with how it was read.
pub type Reader = fn(&[u8], usize) -> Result<Answer, String>;

const NAME: &str = "input";

/// Any reader's tables and vectors that do not depend on the input, and the rayon pool on first use.
const BASE: usize = 4 << 20;

fn ensure(holds: bool, flaw: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(flaw()) }
}

/// Checks that an error says what, where and what would be right. `whole` lists how the problems start that have no
/// line.
fn refused(error: &ReadError, input: &[u8], whole: &[&str], memory: usize) -> Result<Answer, String> {
    let text = error.to_string();
    let lines = 1 + input.iter().filter(|&&byte| byte == b'\n').count();
    let placed = match error.line {
        Some(line) => (1..=lines).contains(&line) && error.column.is_some_and(|column| column >= 1),
        None => whole.iter().any(|start| error.problem.starts_with(start)),
    };
    ensure(placed, || format!("an error without its place: {text}"))?;
    let told =
        text.starts_with(NAME) && !error.problem.trim().is_empty() && !error.expected.trim().is_empty();
    ensure(told && text.len() < 600, || format!("an unclear error: {text}"))?;
    ensure(!text.contains(char::is_control), || format!("control characters in an error: {text:?}"))?;
    Ok(Answer { key: format!("{}; {}", error.problem, error.expected), memory })
}

fn finite(values: &[f64]) -> Result<(), String> {
    ensure(values.iter().all(|value| value.is_finite()), || "a value that is not finite".into())
}

fn dense(read: &Dense) -> Result<(), String> {
    ensure(read.rows > 0 && read.columns > 0 && read.values.len() == read.rows * read.columns, || {
        format!("{} values for {} x {}", read.values.len(), read.rows, read.columns)
    })
}

pub fn libsvm(input: &[u8], option: usize) -> Result<Answer, String> {
    let features = [None, Some(7), Some(labelled::MAX_FEATURES), None][option % 4];
    let memory = BASE + 64 * input.len();
    let read = match labelled::parse(input, NAME, &labelled::Options { features }) {
        Err(error) => return refused(&error, input, &["no rows", "none of the"], memory),
        Ok(read) => read,
    };
    ensure(read.matrix.rows() == read.labels.len(), || "labels and rows differ".into())?;
    ensure(features.is_none_or(|count| read.matrix.cols() == count), || {
        "another width than asked for".into()
    })?;
    finite(read.matrix.data())?;
    finite(&read.labels)?;
    // what is written in plain form reads back the same
    let mut text = String::new();
    for (row, label) in read.matrix.outer_iterator().zip(&read.labels) {
        text += &format!("{label:e}");
        for (column, value) in row.iter() {
            text += &format!(" {}:{value:e}", column + 1);
        }
        text.push('\n');
    }
    let again =
        labelled::parse(text.as_bytes(), NAME, &labelled::Options { features: Some(read.matrix.cols()) });
    ensure(again.as_ref() == Ok(&read), || format!("read back: {:?}", again.err()))?;
    let (rows, entries) = (read.matrix.rows().min(3), read.matrix.nnz().min(3));
    Ok(Answer {
        key: format!("rows {} entries {}", "i".repeat(rows), "i".repeat(entries)),
        memory: memory + 64 * text.len(),
    })
}

pub fn matrix_market(input: &[u8], _: usize) -> Result<Answer, String> {
    // row pointers for up to 2^24 rows need no entry; here they are made twice
    let memory = BASE + 200 * input.len() + 4 * (4 << 24);
    let read = match market::parse(input, NAME) {
        Err(error) => return refused(&error, input, &[], memory),
        Ok(read) => read,
    };
    let mut text = Vec::new();
    let kind = match &read.matrix {
        Matrix::Dense(matrix) => {
            dense(matrix)?;
            finite(&matrix.values)?;
            market::write_dense(&mut text, matrix).map_err(|error| error.to_string())?;
            "dense"
        }
        Matrix::Sparse(matrix) => {
            finite(matrix.data())?;
            market::write_sparse(&mut text, matrix.view()).map_err(|error| error.to_string())?;
            "sparse"
        }
    };
    let again = market::parse(&text, NAME).map(|again| again.matrix);
    ensure(again.as_ref() == Ok(&read.matrix), || format!("read back: {:?}", again.err()))?;
    Ok(Answer {
        key: format!("{kind} {} {:?}", read.symmetry, read.field),
        memory: memory + 200 * text.len(),
    })
}

pub fn triplets(input: &[u8], option: usize) -> Result<Answer, String> {
    let options = ratings::Options {
        separator: (option == 7).then_some(b','),
        header: [None, None, Some(true), Some(false)][option % 4],
        optional_values: option % 2 == 1,
        weights: option / 2 % 2 == 1,
    };
    let memory = BASE + 400 * input.len();
    let read = match ratings::parse(input, NAME, &options) {
        Err(error) => return refused(&error, input, &["no triplet"], memory),
        Ok(read) => read,
    };
    for &(row, column, value) in &read.entries {
        let named = read.rows.name(row).is_some() && read.columns.name(column).is_some();
        ensure(named, || format!("no name for ({row}, {column})"))?;
        ensure(value.is_finite() || options.optional_values && value.is_nan(), || {
            format!("the value {value}")
        })?;
    }
    ensure(!read.entries.is_empty(), || "no entries".into())?;
    ensure(read.weights.len() == if options.weights { read.entries.len() } else { 0 }, || "weights".into())?;
    finite(&read.weights)?;
    let rows = read.rows.len();
    ensure(
        (0..rows).all(|k| read.rows.name(k as u32).and_then(|name| read.rows.number(name)) == Some(k as u32)),
        || "a row with two numbers".into(),
    )?;
    Ok(Answer { key: format!("rows {} option {}", "i".repeat(rows.min(4)), "i".repeat(option)), memory })
}

pub fn table(input: &[u8], _: usize) -> Result<Answer, String> {
    let memory = BASE + 64 * input.len();
    let read = match plain::parse(input, NAME) {
        Err(error) => return refused(&error, input, &["no row of numbers"], memory),
        Ok(read) => read,
    };
    dense(&read)?;
    finite(&read.values)?;
    Ok(Answer {
        key: format!("{} x {}", "i".repeat(read.rows.min(4)), "i".repeat(read.columns.min(4))),
        memory,
    })
}

pub fn npy(input: &[u8], option: usize) -> Result<Answer, String> {
    let options = numpy::Options { allow_non_finite: option % 2 == 1 };
    let memory = BASE + 64 * input.len();
    let read = match numpy::parse(input, NAME, &options) {
        // a binary file has no lines
        Err(error) => return refused(&error, input, &[""], memory),
        Ok(read) => read,
    };
    dense(&read)?;
    if !options.allow_non_finite {
        finite(&read.values)?;
        let mut bytes = Vec::new();
        numpy::write(&mut bytes, &read).map_err(|error| error.to_string())?;
        let again = numpy::parse(&bytes, NAME, &options);
        ensure(again.as_ref() == Ok(&read), || format!("read back: {:?}", again.err()))?;
    }
    Ok(Answer {
        key: format!("{} x {}", "i".repeat(read.rows.min(4)), "i".repeat(read.columns.min(4))),
        memory,
    })
}

pub fn image(input: &[u8], _: usize) -> Result<Answer, String> {
    // a compressed image may be a thousand times as large as its file, and is held as bytes and as doubles
    let memory = BASE + 1032 * 40 * input.len();
    let read = match png::parse(input, NAME) {
        Err(error) => return refused(&error, input, &[""], memory),
        Ok(read) => read,
    };
    let count = read.rows * read.columns * read.channels;
    ensure(
        read.values.len() == count && read.values.iter().all(|value| (0.0..=1.0).contains(value)),
        || "values".into(),
    )?;
    ensure(read.grey().len() == read.rows * read.columns, || "grey levels".into())?;
    Ok(Answer {
        key: format!("{} channels {}", "i".repeat(read.channels), "i".repeat(read.columns.min(3))),
        memory,
    })
}

pub fn compressed(input: &[u8], option: usize) -> Result<Answer, String> {
    let cap = [1 << 20, 1000][option % 2];
    // the window, and the cap with what a growing vector holds beside it; an xz index may announce any number of blocks,
    // for which memory is asked for that is never touched, and whose refusal is an error like any other
    let memory = if input.starts_with(b"\xfd7zXZ") { usize::MAX / 2 } else { BASE + (300 << 20) };
    let source = match Source::from_bytes(input.to_vec(), NAME, cap) {
        Err(error) => return refused(&error, input, &[""], memory),
        Ok(source) => source,
    };
    ensure(source.bytes().len() as u64 <= cap.max(input.len() as u64), || "more bytes than the cap".into())?;
    // whatever comes out meets a reader
    libsvm(source.bytes(), 0)?;
    Ok(Answer {
        key: format!("{} bytes", "i".repeat(source.bytes().len().min(3))),
        memory: memory + 200 * source.bytes().len(),
    })
}

pub fn sif(input: &[u8], option: usize) -> Result<Answer, String> {
    let options = standard::Options {
        mode: [Mode::Exact, Mode::Cutest][option % 2],
        lenient: option / 2 % 2 == 1,
        limits: Limits { executed_cards: 20_000, memory: 4 << 20 },
        ..Default::default()
    };
    let memory = BASE + 400 * input.len() + (32 << 20);
    let problem = match SifProblem::from_bytes(input, &options) {
        Err(error) => return refused(&error.in_file(NAME), input, &[], memory),
        Ok(problem) => problem,
    };
    let (n, m) = (problem.variable_count(), problem.constraint_count());
    let data = problem.metadata();
    let fits = [data.lower.len(), data.upper.len(), data.variable_names.len(), data.variable_types.len()]
        == [n; 4]
        && [data.c_lower.len(), data.c_upper.len(), data.constraint_names.len(), data.linear.len()] == [m; 4];
    ensure(fits, || "the parts of the problem do not fit".into())?;
    ensure(!data.x0.iter().chain(&data.lower).chain(&data.upper).any(|value| value.is_nan()), || {
        "a NaN".into()
    })?;
    if n + m <= 400 {
        evaluate(&problem);
    }
    let key = format!(
        "{} variables, {} rows, {:?}",
        "i".repeat(n.min(4)),
        "i".repeat(m.min(4)),
        data.warnings.first()
    );
    Ok(Answer { key, memory })
}

/// Every function at the starting point; a value that isn't finite there is the problem's own.
fn evaluate(problem: &SifProblem) {
    let (n, m) = (problem.variable_count(), problem.constraint_count());
    let (x, v) = (problem.start().to_vec(), vec![1.0; m]);
    let mut workspace = problem.workspace();
    let (mut along, mut across) = (vec![0.0; n], vec![0.0; m]);
    problem.objective_and_constraints(&x, &mut across, &mut workspace);
    let mut jacobian = vec![0.0; problem.jacobian_pattern().nnz()];
    problem.gradient_and_jacobian(&x, &mut along, &mut jacobian, &mut workspace);
    problem.jacobian_product(&x, &along.clone(), &mut across, &mut workspace);
    problem.jacobian_transpose_product(&x, &v, &mut along, &mut workspace);
    if let Some(pattern) = problem.hessian_pattern() {
        let mut hessian = vec![0.0; pattern.nnz()];
        problem.hessian(&x, 1.0, &v, &mut hessian, &mut workspace);
    }
    let direction = vec![1.0; n];
    problem.hessian_product(&x, 1.0, &v, &direction, &mut along, &mut workspace);
}
