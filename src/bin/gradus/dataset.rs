//! Labelled data on their way from a file to a model: splitting, bias, standardisation, labels.

use anyhow::{Context, anyhow};
use gradus::linalg::{DesignMatrix, Standardization};
use gradus::problem::Classes;
use gradus::problem::loss::Loss;
use gradus::read::libsvm::{self, LabelledData};
use sprs::CsMatI;

use crate::output::Failure;

/// Reads rows to fit a model to.
pub fn read(path: &str) -> Result<LabelledData, Failure> {
    Ok(libsvm::read(path, &libsvm::Options::default())?)
}

/// Reads rows to apply a model with the given number of columns to. Features that the model has not seen have no
/// coefficient; a note says so.
pub fn read_for_model(path: &str, columns: usize, quiet: bool) -> Result<LabelledData, Failure> {
    // rows of zeros are data too: the width is given, not taken from the file
    let data = libsvm::read(path, &libsvm::Options { features: Some(libsvm::MAX_FEATURES) })?;
    let beyond = data.matrix.indices().iter().filter(|&&j| j as usize >= columns).count();
    if beyond > 0 && !quiet {
        eprintln!(
            "note: {path}: {beyond} entries of features beyond the model's {columns} count for nothing"
        );
    }
    Ok(data)
}

/// Leaves out the columns without entries where there are more columns than entries, so that one large index in a
/// small file costs no memory. Returns the matrix and which columns are left.
pub fn without_empty_columns(matrix: CsMatI<f64, u32>) -> (CsMatI<f64, u32>, Option<Vec<u32>>) {
    if matrix.cols() <= matrix.nnz().max(1000) {
        return (matrix, None);
    }
    let mut used = matrix.indices().to_vec();
    used.sort_unstable();
    used.dedup();
    let (rows, shape) = (matrix.rows(), used.len());
    let (offsets, indices, values) = matrix.into_raw_storage();
    // every index is in the list
    let indices = indices.into_iter().map(|j| used.partition_point(|&k| k < j) as u32).collect();
    (CsMatI::new((rows, shape), offsets, indices, values), Some(used))
}

/// Splits off every k-th row (row i with i mod k = k - 1): (the rest, those rows).
pub fn split_every(data: LabelledData, k: usize) -> (LabelledData, LabelledData) {
    let pick = |held_out: bool| {
        let rows = (0..data.labels.len()).filter(|i| (i % k == k - 1) == held_out);
        let (mut offsets, mut indices, mut values, mut labels) =
            (vec![0u32], Vec::new(), Vec::new(), Vec::new());
        for i in rows {
            if let Some(row) = data.matrix.outer_view(i) {
                indices.extend_from_slice(row.indices());
                values.extend_from_slice(row.data());
            }
            offsets.push(indices.len() as u32);
            labels.push(data.labels[i]);
        }
        let matrix = CsMatI::new((labels.len(), data.matrix.cols()), offsets, indices, values);
        LabelledData { matrix, labels }
    };
    (pick(false), pick(true))
}

/// The matrix with a last column of ones.
pub fn with_ones(matrix: &CsMatI<f64, u32>) -> CsMatI<f64, u32> {
    let (n, p) = matrix.shape();
    let (mut offsets, mut indices, mut values) = (vec![0u32], Vec::new(), Vec::new());
    for row in matrix.outer_iterator() {
        indices.extend_from_slice(row.indices());
        values.extend_from_slice(row.data());
        indices.push(p as u32);
        values.push(1.0);
        offsets.push(indices.len() as u32);
    }
    CsMatI::new((n, p + 1), offsets, indices, values)
}

/// How features are prepared; the same for training and test rows.
#[derive(Debug, Clone, Default)]
pub struct Preparation {
    /// Whether a last column of ones is appended.
    pub bias: bool,
    /// Centring and scaling, the bias column excepted.
    pub standardization: Option<Standardization>,
}

impl Preparation {
    /// Prepares training rows; the standardisation is taken from them.
    pub fn fit(
        matrix: CsMatI<f64, u32>,
        standardize: bool,
        bias: bool,
    ) -> Result<(Self, DesignMatrix), Failure> {
        let matrix = if bias { with_ones(&matrix) } else { matrix };
        let design = DesignMatrix::from_sparse_or_dense(matrix)?;
        if !standardize {
            return Ok((Self { bias, standardization: None }, design));
        }
        let mut moments = design.column_moments();
        if bias && let (Some(mean), Some(scale)) = (moments.means.last_mut(), moments.scales.last_mut()) {
            (*mean, *scale) = (0.0, 1.0);
        }
        let design = design.standardized(moments.clone())?;
        Ok((Self { bias, standardization: Some(moments) }, design))
    }

    /// Coefficients and intercept for features as they stand in the file: bias and standardisation are folded in.
    pub fn unfold(&self, coefficients: &[f64], intercept: f64) -> (Vec<f64>, f64) {
        let mut x = coefficients.to_vec();
        let mut b = intercept;
        if let Some(s) = &self.standardization {
            for ((x, mean), scale) in x.iter_mut().zip(&s.means).zip(&s.scales) {
                *x /= scale;
                b -= mean * *x;
            }
        }
        if self.bias {
            b += x.pop().unwrap_or(0.0);
        }
        (x, b)
    }
}

/// The targets that a loss takes, and the classes they stand for. What is wrong is said with the file's name.
pub fn targets(file: &str, loss: &dyn Loss, labels: &[f64]) -> Result<(Vec<f64>, Option<Classes>), Failure> {
    if !loss.is_classification() {
        return Ok((labels.to_vec(), None));
    }
    let (classes, target) = Classes::from_labels(labels).with_context(|| file.to_string())?;
    Ok((target, Some(classes)))
}

/// What labels stand for, if they name classes.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(untagged)]
pub enum Labels {
    /// Targets of a regression.
    None,
    /// -1 and +1.
    Two(Classes),
    /// Classes 0, 1, ... in ascending order of their labels.
    Many(Vec<f64>),
}

impl Labels {
    /// The two classes, if there are.
    pub fn two(&self) -> Option<Classes> {
        if let Labels::Two(classes) = self { Some(*classes) } else { None }
    }

    /// The label that the largest of a row's k predictors stands for; the first of equal ones.
    pub fn most_likely(labels: &[f64], z: &[f64]) -> f64 {
        let best = (0..z.len()).fold(0, |best, c| if z[c] > z[best] { c } else { best });
        labels.get(best).copied().unwrap_or(f64::NAN)
    }

    /// Scores predictors z, as many a row as there are classes, against labels as they stand in the file.
    pub fn score(&self, loss: &str, z: &[f64], rows: &[f64]) -> Score {
        let Labels::Many(labels) = self else { return score(loss, self.two(), z, rows) };
        if rows.is_empty() {
            return Score::default();
        }
        let pairs = z.chunks_exact(labels.len()).zip(rows);
        let right = pairs.filter(|(z, label)| Self::most_likely(labels, z) == **label).count();
        Score { accuracy: Some(right as f64 / rows.len() as f64), rmse: None }
    }

    /// Refuses held-out labels that training did not see.
    pub fn check(&self, file: &str, rows: &[f64]) -> Result<(), Failure> {
        let Labels::Many(labels) = self else { return check_classes(file, self.two(), rows) };
        match rows.iter().position(|label| !labels.contains(label)) {
            None => Ok(()),
            Some(row) => Err(Failure::Input(anyhow!(
                "{file}: the label of data row {} is {}; training saw no such class",
                row + 1,
                rows[row]
            ))),
        }
    }
}

/// How well predictors meet labels.
#[derive(Debug, Clone, Copy, Default, serde::Serialize)]
pub struct Score {
    /// Share of the rows whose class is predicted right, for classification.
    pub accuracy: Option<f64>,
    /// Root of the mean squared error, for regression (of exp(z) for Poisson).
    pub rmse: Option<f64>,
}

/// Scores predictors z against labels as they stand in the file.
pub fn score(loss: &str, classes: Option<Classes>, z: &[f64], labels: &[f64]) -> Score {
    let n = labels.len() as f64;
    if labels.is_empty() {
        return Score::default();
    }
    match classes {
        Some(classes) => {
            let right = z.iter().zip(labels).filter(|(z, label)| classes.label(**z) == **label).count();
            Score { accuracy: Some(right as f64 / n), rmse: None }
        }
        None => {
            let squares: f64 = z.iter().zip(labels).map(|(z, y)| (response(loss, *z) - y).powi(2)).sum();
            Score { accuracy: None, rmse: Some((squares / n).sqrt()) }
        }
    }
}

/// The prediction on the scale of the target.
pub fn response(loss: &str, z: f64) -> f64 {
    if loss == "poisson" { z.exp() } else { z }
}

/// Refuses held-out labels that training did not see.
pub fn check_classes(file: &str, classes: Option<Classes>, labels: &[f64]) -> Result<(), Failure> {
    let Some(classes) = classes else { return Ok(()) };
    match labels.iter().position(|label| *label != classes.negative && *label != classes.positive) {
        None => Ok(()),
        Some(row) => Err(Failure::Input(anyhow!(
            "{file}: the label of data row {} is {}; the classes are {} and {}",
            row + 1,
            labels[row],
            classes.negative,
            classes.positive
        ))),
    }
}
