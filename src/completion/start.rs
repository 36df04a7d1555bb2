//! Where the sweeps start: spectral, staged, random; biases by coordinate descent.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use sprs::CsMatViewI;

use super::Error;
use super::observations::{Side, hash};
use super::state::{Setup, State};
use crate::linalg::tall::{Element, TallMatrix};
use crate::linalg::truncated_svd::{TruncatedSvd, truncated_svd};

/// Directions beyond the wanted ones, and products that sharpen them.
const OVERSAMPLING: usize = 10;
const POWER_STEPS: usize = 3;

/// Factors of rank zero: with biases, these fitted by coordinate descent.
pub(super) fn empty<T: Element>(setup: &Setup) -> State<T> {
    let unknowns = setup.unknowns(0);
    let (m, n) = (setup.problem.rows(), setup.problem.columns());
    let mut state = State {
        x: TallMatrix::zeros(m, unknowns),
        y: TallMatrix::zeros(n, unknowns),
        delta: None,
        condition: 1.0,
    };
    if setup.options.biases {
        fit_biases(setup, &mut state);
    }
    state
}

/// Ten rounds of exact minimisation over the biases of the columns, then of the rows, with constants of 10 and 15 entries
/// against sparse ones.
fn fit_biases<T: Element>(setup: &Setup, state: &mut State<T>) {
    let (mut b, mut c) = (vec![0.0; setup.problem.rows()], vec![0.0; setup.problem.columns()]);
    let update = |side: Side, own: &mut [f64], other: &[f64], constant: f64| {
        for (i, bias) in own.iter_mut().enumerate() {
            let residual =
                |t: usize| (side.values[t] - setup.mean) / setup.scale - other[side.indices[t] as usize];
            let sum: f64 = side.entries(i).map(residual).sum();
            *bias = sum / (side.length(i) as f64 + constant);
        }
    };
    for _ in 0..10 {
        update(setup.columns.side, &mut c, &b, 10.0);
        update(setup.rows.side, &mut b, &c, 15.0);
    }
    b.iter().enumerate().for_each(|(i, &bias)| state.x.row_mut(i)[0] = T::narrow(bias));
    c.iter().enumerate().for_each(|(j, &bias)| state.y.row_mut(j)[0] = T::narrow(bias));
}

/// Appends the `count` leading directions of the residual, divided by the share of observed cells; returns its leading
/// singular values, a few more than that.
pub(super) fn grow<T: Element>(
    setup: &Setup,
    state: &mut State<T>,
    count: usize,
    purpose: u64,
) -> Result<Vec<f64>, Error> {
    let svd = residual_svd(setup, state, count, purpose)?;
    append(setup, state, &svd, count);
    Ok(svd.s)
}

/// The leading singular triplets of the residual over the share of observed cells.
pub(super) fn residual_svd<T: Element>(
    setup: &Setup,
    state: &State<T>,
    count: usize,
    purpose: u64,
) -> Result<TruncatedSvd, Error> {
    let (m, n) = (setup.problem.rows(), setup.problem.columns());
    let (rows, columns) = (setup.rows.side, setup.columns.side);
    let scaled = |transposed: bool| {
        let mut residuals = state.residuals(setup, transposed);
        residuals.iter_mut().for_each(|e| *e /= setup.density);
        if setup.options.trim {
            trim(
                if transposed { columns } else { rows },
                if transposed { rows } else { columns },
                &mut residuals,
            );
        }
        residuals
    };
    let (by_row, by_column) = (scaled(false), scaled(true));
    let by_row = CsMatViewI::new((m, n), rows.offsets, rows.indices, &by_row);
    let by_column = CsMatViewI::new_csc((m, n), columns.offsets, columns.indices, &by_column);
    let mut rng = ChaCha8Rng::seed_from_u64(hash(setup.options.seed, purpose));
    Ok(truncated_svd(by_row, by_column, count, OVERSAMPLING, POWER_STEPS, &mut rng)?)
}

/// Zeros in rows and columns with more than twice the mean number of entries.
fn trim(side: Side, other: Side, residuals: &mut [f64]) {
    let limit = |side: Side| 2.0 * side.values.len() as f64 / side.count() as f64;
    let (own, others) = (limit(side), limit(other));
    for i in 0..side.count() {
        for t in side.entries(i) {
            if side.length(i) as f64 > own || other.length(side.indices[t] as usize) as f64 > others {
                residuals[t] = 0.0;
            }
        }
    }
}

/// [X, U s] and [Y, V] where the factors are to be orthonormal, [X, U sqrt(s)] and [Y, V sqrt(s)] elsewhere; the biases
/// stay last.
pub(super) fn append<T: Element>(setup: &Setup, state: &mut State<T>, svd: &TruncatedSvd, count: usize) {
    let rank = state.rank(setup);
    let count = count.min(svd.u.columns());
    let joined = |factor: &TallMatrix<T>, vectors: &TallMatrix, scales: &dyn Fn(usize) -> f64| {
        TallMatrix::from_fn(factor.rows(), factor.columns() + count, |i, c| match c {
            _ if c < rank => factor.row(i)[c].widen(),
            _ if c < rank + count => vectors.row(i)[c - rank] * scales(c - rank),
            _ => factor.row(i)[c - count].widen(),
        })
    };
    let s = |c: usize| svd.s[c];
    if setup.orthonormal {
        state.x = joined(&state.x, &svd.u, &s);
        state.y = joined(&state.y, &svd.v, &|_| 1.0);
    } else {
        // with a ridge most of the singular values of zero-filled data is noise; a nonnegative start has no signs
        let shrink = |c: usize| {
            let noise = svd.s.get(count).copied().unwrap_or(0.0);
            (s(c) - noise).max(0.01 * s(c)).sqrt()
        };
        state.x = joined(&state.x, &svd.u, &shrink);
        state.y = joined(&state.y, &svd.v, &shrink);
        if setup.options.nonnegative {
            for factor in [&mut state.x, &mut state.y] {
                for i in 0..factor.rows() {
                    factor.row_mut(i)[rank..rank + count]
                        .iter_mut()
                        .for_each(|value| *value = T::narrow(value.widen().abs()));
                }
            }
        }
    }
}

/// Appends small random columns: normal of deviation 0.1 / sqrt(k) in scaled units.
pub(super) fn append_random<T: Element>(setup: &Setup, state: &mut State<T>, count: usize) {
    let mut rng = ChaCha8Rng::seed_from_u64(hash(setup.options.seed, 3));
    let size = 0.1 / (count as f64).sqrt();
    let mut draw = |rows: usize| {
        TallMatrix::from_fn(rows, count, |_, _| {
            let value: f64 = StandardNormal.sample(&mut rng);
            if setup.options.nonnegative { value.abs() } else { value }
        })
    };
    let (u, v) = (draw(setup.problem.rows()), draw(setup.problem.columns()));
    let svd = TruncatedSvd { u, s: vec![size; count], v };
    let rank = state.rank(setup);
    let joined = |factor: &TallMatrix<T>, vectors: &TallMatrix| {
        TallMatrix::from_fn(factor.rows(), factor.columns() + count, |i, c| match c {
            _ if c < rank => factor.row(i)[c].widen(),
            _ if c < rank + count => vectors.row(i)[c - rank] * size,
            _ => factor.row(i)[c - count].widen(),
        })
    };
    state.x = joined(&state.x, &svd.u);
    state.y = joined(&state.y, &svd.v);
}
