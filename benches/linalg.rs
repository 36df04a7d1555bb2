//! Factorisations side by side: `cargo bench --bench linalg`. One thread; each figure is the fastest of several runs.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Instant;

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::factor::{cholesky_in_place, cholesky_in_place_scratch};
use faer::linalg::cholesky::llt::solve::{solve_in_place, solve_in_place_scratch};
use faer::sparse::linalg::cholesky::{SymbolicCholesky, SymmetricOrdering, factorize_symbolic_cholesky};
use faer::sparse::{SparseColMatRef, SymbolicSparseColMatRef};
use faer::{Conj, MatMut, MatRef, Par, Side};
use gradus::linalg::factor::{DenseCholesky, DenseIndefinite, Inertia, SparseCholesky, SparseIndefinite};
use gradus::linalg::sketch::{Gaussian, Hadamard, RowSampling, Sketch, SparseSign};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sprs::{CsMatI, TriMatI};

/// Seconds per call: the fastest of at least five batches, a second in all.
fn fastest(mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    call();
    let once = start.elapsed().as_secs_f64().max(1e-9);
    let batch = (0.01 / once).ceil() as usize;
    let batches = ((0.7 / (once * batch as f64)) as usize).clamp(3, 50);
    let run = |call: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..batch).for_each(|_| call());
        start.elapsed().as_secs_f64() / batch as f64
    };
    (0..batches).map(|_| run(&mut call)).fold(f64::INFINITY, f64::min)
}

fn main() {
    dense_cholesky();
    sparse_cholesky();
    kkt();
    sketches();
}

fn dense_cholesky() {
    println!(
        "dense Cholesky, microseconds: factor own / faer llt (scratch kept) = ratio | solve own / faer = ratio | own Gflop/s"
    );
    for n in [5, 10, 20, 40, 64, 100, 150, 200, 300, 500, 1000] {
        let mut rng = ChaCha8Rng::seed_from_u64(n as u64);
        let mut a: Vec<f64> = (0..n * n).map(|_| rng.random_range(-1.0..1.0)).collect();
        (0..n).for_each(|j| a[j * n + j] = n as f64);
        let b: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
        let mut x = b.clone();

        let mut own = DenseCholesky::new();
        let own_factor = fastest(|| own.factor(n, black_box(&a)).unwrap());
        let own_solve = fastest(|| {
            x.copy_from_slice(&b);
            own.solve_in_place(black_box(&mut x)).unwrap();
        });

        let need = cholesky_in_place_scratch::<f64>(n, Par::Seq, Default::default())
            .or(solve_in_place_scratch::<f64>(n, 1, Par::Seq));
        let mut memory = MemBuffer::new(need);
        let mut l = a.clone();
        let faer_factor = fastest(|| {
            l.copy_from_slice(black_box(&a));
            cholesky_in_place(
                MatMut::from_column_major_slice_mut(&mut l, n, n),
                Default::default(),
                Par::Seq,
                MemStack::new(&mut memory),
                Default::default(),
            )
            .unwrap();
        });
        let faer_solve = fastest(|| {
            x.copy_from_slice(&b);
            solve_in_place(
                MatRef::from_column_major_slice(&l, n, n),
                MatMut::from_column_major_slice_mut(black_box(&mut x), n, 1),
                Par::Seq,
                MemStack::new(&mut memory),
            );
        });
        println!(
            "n {n:5}: {:9.2} / {:9.2} = {:4.2} | {:8.2} / {:8.2} = {:4.2} | {:5.1}",
            1e6 * own_factor,
            1e6 * faer_factor,
            own_factor / faer_factor,
            1e6 * own_solve,
            1e6 * faer_solve,
            own_solve / faer_solve,
            (n as f64).powi(3) / 3.0 / own_factor * 1e-9
        );
    }
}

/// The five-point Laplacian on an m x m grid.
fn grid(m: usize) -> CsMatI<f64, u32> {
    let mut t = TriMatI::<f64, u32>::new((m * m, m * m));
    for k in 0..m * m {
        t.add_triplet(k, k, 4.0);
        for other in
            [(k % m + 1 < m).then_some(k + 1), (k + m < m * m).then_some(k + m)].into_iter().flatten()
        {
            t.add_triplet(k, other, -1.0);
            t.add_triplet(other, k, -1.0);
        }
    }
    t.to_csc()
}

fn sparse_cholesky() {
    let a = grid(200);
    let mut cholesky = SparseCholesky::new();
    let start = Instant::now();
    cholesky.factor(a.view()).unwrap();
    let first = start.elapsed().as_secs_f64();
    let again = fastest(|| cholesky.factor(a.view()).unwrap());
    let b = vec![1.0; a.rows()];
    let mut x = b.clone();
    let solve = fastest(|| {
        x.copy_from_slice(&b);
        cholesky.solve_in_place(&mut x).unwrap();
    });
    println!(
        "sparse Cholesky, grid 200 x 200: first {:.1} ms, again {:.1} ms (ratio {:.2}), solve {:.2} ms, nnz(L) {}",
        1e3 * first,
        1e3 * again,
        again / first,
        1e3 * solve,
        cholesky.factor_entries()
    );
}

/// [H J'; J `corner` I], lower triangle by columns: H with `band` subdiagonals (or entries anywhere), J with 3 entries a row.
fn kkt_matrix(
    n: usize,
    m: usize,
    per_column: usize,
    banded: bool,
    convex: bool,
    corner: f64,
) -> CsMatI<f64, u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(n as u64);
    let mut t = TriMatI::<f64, u32>::new((n + m, n + m));
    for j in 0..n {
        let diagonal = 2.0 * per_column as f64 + rng.random_range(0.0..1.0);
        t.add_triplet(j, j, if convex || rng.random_bool(0.7) { diagonal } else { -diagonal });
        for k in 1..=per_column {
            let i = if banded { j + k } else { rng.random_range(j..n) };
            if i < n && i > j {
                t.add_triplet(i, j, rng.random_range(-1.0..1.0));
            }
        }
    }
    for r in 0..m {
        t.add_triplet(n + r, n + r, corner);
        for k in 0..3 {
            let j = if banded { (r * n / m + 2 * k) % n } else { rng.random_range(0..n) };
            t.add_triplet(n + r, j, rng.random_range(0.5..1.5));
        }
    }
    t.to_csc()
}

/// faer's supernodal L B L' with pivoting inside supernodes only, symbolic analysis and memory kept.
struct FaerIntranode<'a> {
    a: &'a CsMatI<f64, u32>,
    symbolic: SymbolicCholesky<u32>,
    values: Vec<f64>,
    subdiagonal: Vec<f64>,
    forward: Vec<u32>,
    inverse: Vec<u32>,
    memory: MemBuffer,
}

impl<'a> FaerIntranode<'a> {
    fn new(a: &'a CsMatI<f64, u32>) -> Self {
        let n = a.rows();
        let symbolic = factorize_symbolic_cholesky(
            pattern(a),
            Side::Lower,
            SymmetricOrdering::Amd,
            faer::sparse::linalg::cholesky::CholeskySymbolicParams {
                supernodal_flop_ratio_threshold: faer::sparse::linalg::SupernodalThreshold::FORCE_SUPERNODAL,
                ..Default::default()
            },
        )
        .unwrap();
        let need = symbolic
            .factorize_numeric_intranode_lblt_scratch::<f64>(Par::Seq, Default::default())
            .or(symbolic.solve_in_place_scratch::<f64>(1, Par::Seq));
        let values = vec![0.0; symbolic.len_val()];
        Self {
            a,
            symbolic,
            values,
            subdiagonal: vec![0.0; n],
            forward: vec![0; n],
            inverse: vec![0; n],
            memory: MemBuffer::new(need),
        }
    }

    /// Factors, and solves once where x is given.
    fn factor(&mut self, x: Option<&mut [f64]>) {
        let lblt = self.symbolic.factorize_numeric_intranode_lblt(
            &mut self.values,
            &mut self.subdiagonal,
            &mut self.forward,
            &mut self.inverse,
            SparseColMatRef::new(pattern(self.a), self.a.data()),
            Side::Lower,
            Par::Seq,
            MemStack::new(&mut self.memory),
            Default::default(),
        );
        if let Some(x) = x {
            let n = x.len();
            let rhs = MatMut::from_column_major_slice_mut(x, n, 1);
            lblt.solve_in_place_with_conj(Conj::No, rhs, Par::Seq, MemStack::new(&mut self.memory));
        }
    }
}

fn pattern(a: &CsMatI<f64, u32>) -> SymbolicSparseColMatRef<'_, u32> {
    SymbolicSparseColMatRef::new_checked(a.rows(), a.cols(), a.indptr().into_raw_storage(), None, a.indices())
}

/// |b - A x| / |b| in maximum norms, A given by its lower triangle.
fn relative_residual(a: &CsMatI<f64, u32>, b: &[f64], x: &[f64]) -> f64 {
    let mut r = b.to_vec();
    for (&value, (i, j)) in a.iter() {
        let (i, j) = (i as usize, j as usize);
        r[i] -= value * x[j];
        if i != j {
            r[j] -= value * x[i];
        }
    }
    let largest =
        |v: &[f64]| v.iter().fold(0.0, |m, v| if v.is_nan() { f64::NAN } else { f64::max(m, v.abs()) });
    largest(&r) / largest(b)
}

fn kkt() {
    println!(
        "KKT, milliseconds: feral first, again / faer intranode L B L' again = ratio | residuals: feral (refined) faer | inertia"
    );
    let cases = [
        ("banded", 700, 300, 3, true, true, 0.0),
        ("banded", 7000, 3000, 3, true, true, 0.0),
        ("banded, nonconvex", 14000, 6000, 5, true, false, 0.0),
        ("random", 700, 300, 2, false, true, 0.0),
        ("random", 2000, 1000, 2, false, true, 0.0),
        ("banded, -1e-8 I", 7000, 3000, 3, true, true, -1e-8),
        ("random, -1e-8 I", 2000, 1000, 2, false, true, -1e-8),
        ("random, nonconvex", 2000, 1000, 2, false, false, 0.0),
    ];
    for (name, n, m, per_column, banded, convex, corner) in cases {
        let a = kkt_matrix(n, m, per_column, banded, convex, corner);
        let b: Vec<f64> = (0..n + m).map(|i| (i as f64).sin()).collect();
        let mut feral = SparseIndefinite::new();
        let start = Instant::now();
        let inertia = feral.factor(a.view()).unwrap();
        let first = start.elapsed().as_secs_f64();
        let again = fastest(|| _ = feral.factor(black_box(a.view())).unwrap());
        let mut x = vec![0.0; n + m];
        let unrefined = feral.solve(&b, &mut x, 0).map_or(f64::NAN, |r| r.relative_residual);
        let refined = feral.solve(&b, &mut x, 5).map_or(f64::NAN, |r| r.relative_residual);
        let mut faer = FaerIntranode::new(&a);
        let faer_again = fastest(|| faer.factor(None));
        x.copy_from_slice(&b);
        faer.factor(Some(&mut x));
        let faer_residual = relative_residual(&a, &b, &x);
        let Inertia { positive, negative, zero } = inertia;
        let expected = if convex { format!("expected ({n}, {m}, 0)") } else { String::new() };
        println!(
            "{name:18} {:6}: {:8.1}, {:8.2} / {:8.2} = {:5.2} | {unrefined:.0e} ({refined:.0e}) {faer_residual:.0e} | ({positive}, {negative}, {zero}) {expected}",
            n + m,
            1e3 * first,
            1e3 * again,
            1e3 * faer_again,
            again / faer_again,
        );
    }
    println!("dense against sparse on small KKT systems, microseconds: dense / feral again = ratio");
    for (n, m) in [(7, 3), (20, 10), (35, 15), (70, 30), (140, 60)] {
        let a = kkt_matrix(n, m, 2, true, true, 0.0);
        let size = n + m;
        let mut full = vec![0.0; size * size];
        a.iter().for_each(|(&v, (i, j))| full[j as usize * size + i as usize] = v);
        let mut dense = DenseIndefinite::new();
        let dense_time = fastest(|| _ = dense.factor(size, black_box(&full)).unwrap());
        let mut feral = SparseIndefinite::new();
        let feral_time = fastest(|| _ = feral.factor(black_box(a.view())).unwrap());
        println!(
            "n {size:4}: {:9.1} / {:9.1} = {:5.2}",
            1e6 * dense_time,
            1e6 * feral_time,
            dense_time / feral_time
        );
    }
}

fn sketches() {
    let (n, d, s) = (1 << 17, 16, 256);
    println!(
        "sketches of a dense {n} x {d} matrix to {s} rows, milliseconds on all threads (GB/s of the matrix)"
    );
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let a = faer::Mat::from_fn(n, d, |_, _| rng.random_range(-1.0..1.0));
    let kinds: [(&str, Box<dyn Sketch>); 5] = [
        ("Gaussian", Box::new(Gaussian::new(s, n, rng).unwrap())),
        ("CountSketch", Box::new(SparseSign::count_sketch(s, n, rng).unwrap())),
        ("sparse sign, 8", Box::new(SparseSign::new(s, n, 8, rng).unwrap())),
        ("SRHT", Box::new(Hadamard::new(s, n, rng).unwrap())),
        ("uniform rows", Box::new(RowSampling::uniform(s, n, rng).unwrap())),
    ];
    let mut out = vec![0.0; s * d];
    for (name, mut sketch) in kinds {
        let apply = fastest(|| sketch.apply_dense(a.as_ref(), &mut out).unwrap());
        let draw = fastest(|| sketch.redraw(rng));
        println!(
            "{name:15}: apply {:8.3} ({:5.1}), draw {:8.3}",
            1e3 * apply,
            8e-9 * (n * d) as f64 / apply,
            1e3 * draw
        );
    }
}
