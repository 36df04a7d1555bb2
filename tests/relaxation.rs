//! Relaxation on single systems: formulas against dense eigenvalues, iteration counts, orders, certificates, refusals.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::f64::consts::PI;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use faer::{Mat, Side};
use gradus::control::{Limits, Monitor, Status};
use gradus::linalg::krylov::{Ssor, Stopping, Workspace, conjugate_gradient};
use gradus::relaxation::heat::laplacian;
use gradus::relaxation::{Error, Method, Omega, Operator, Ordering, Relaxation, Solution, formula};
use proptest::prelude::*;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use sprs::{CsMatI, TriMatI};

type Matrix = CsMatI<f64, u32>;

fn normals(n: usize, seed: u64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..n).map(|_| StandardNormal.sample(&mut rng)).collect()
}

/// factor A + shift I.
fn affine(a: &Matrix, factor: f64, shift: f64) -> Matrix {
    let mut t = TriMatI::new(a.shape());
    for (&value, (i, j)) in a.iter() {
        t.add_triplet(i as usize, j as usize, factor * value + if i == j { shift } else { 0.0 });
    }
    t.to_csr()
}

fn poisson3d(m: usize) -> Matrix {
    let mut t = TriMatI::new((m * m * m, m * m * m));
    for i in 0..m * m * m {
        t.add_triplet(i, i, 6.0);
        for (there, j) in
            [(i % m + 1 < m, i + 1), (i / m % m + 1 < m, i + m), (i / (m * m) + 1 < m, i + m * m)]
        {
            if there {
                t.add_triplet(i, j, -1.0);
                t.add_triplet(j, i, -1.0);
            }
        }
    }
    t.to_csr()
}

/// A random symmetric matrix, strictly diagonally dominant.
fn dominant(n: usize, seed: u64) -> Matrix {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut t = TriMatI::new((n, n));
    let mut sums = vec![0.1; n];
    for i in 0..n {
        for j in 0..i {
            let value: f64 = StandardNormal.sample(&mut rng);
            if value > 0.8 {
                let value = (value - 2.0) * if (i + j) % 3 == 0 { -1.0 } else { 1.0 };
                t.add_triplet(i, j, value);
                t.add_triplet(j, i, value);
                sums[i] += value.abs();
                sums[j] += value.abs();
            }
        }
    }
    sums.iter().enumerate().for_each(|(i, sum)| t.add_triplet(i, i, *sum));
    t.to_csr()
}

fn solver(method: Method, omega: Omega, max_iterations: usize) -> Relaxation {
    let limits = Limits { tolerance: 1e-8, max_iterations, time_limit: None };
    Relaxation { limits, method, omega, fallback: false, ..Relaxation::default() }
}

fn count(a: &Matrix, method: Method, omega: f64) -> Solution {
    let solution =
        solver(method, Omega::Fixed(omega), 20_000).solve(a.view(), &normals(a.rows(), 1)).unwrap();
    assert_eq!(solution.status, Status::Solved);
    assert!(residual(a, &solution.x, &normals(a.rows(), 1)) <= 1e-8);
    solution
}

/// |b - A x| / |b|, by the plainest loop.
fn residual(a: &Matrix, x: &[f64], b: &[f64]) -> f64 {
    let mut r = b.to_vec();
    a.iter().for_each(|(value, (i, j))| r[i as usize] -= value * x[j as usize]);
    let norm = |v: &[f64]| v.iter().map(|v| v * v).sum::<f64>().sqrt();
    norm(&r) / norm(b)
}

fn dense(a: &Matrix) -> Mat<f64> {
    let mut d = Mat::zeros(a.rows(), a.cols());
    a.iter().for_each(|(value, (i, j))| d[(i as usize, j as usize)] = *value);
    d
}

#[test]
fn formulas_agree_with_dense_eigenvalues() {
    let grid = laplacian(10, 10);
    for shift in [0.0, 0.5] {
        let a = affine(&grid, 1.0, shift);
        let d = 4.0 + shift;
        // Jacobi's matrix I - A / d
        let jacobi = dense(&affine(&a, -1.0 / d, 1.0));
        let eigenvalues = jacobi.self_adjoint_eigenvalues(Side::Lower).unwrap();
        let beta = eigenvalues.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
        assert!((beta - formula::shifted_radius((PI / 11.0).cos(), 4.0, shift)).abs() < 1e-13);
        let best = formula::young(1.0 - beta);
        for omega in [0.8, 1.2, best, 1.8] {
            // C = I - (D / omega + L)^-1 A, column by column
            let dense = dense(&a);
            let c = Mat::from_fn(100, 100, |_, _| 0.0);
            let mut c = c;
            for j in 0..100 {
                let mut y = [0.0; 100];
                for i in 0..100 {
                    let mut sum = dense[(i, j)];
                    for (k, y) in y.iter().enumerate().take(i) {
                        sum -= dense[(i, k)] * y;
                    }
                    y[i] = sum * omega / d;
                    c[(i, j)] = f64::from(i == j) - y[i];
                }
            }
            let radius =
                c.eigenvalues().unwrap().iter().fold(0.0f64, |largest, z| largest.max(z.re.hypot(z.im)));
            // at Young's omega the eigenvalues are defective, known to the square root of rounding
            let tolerance = if omega == best { 3e-7 } else { 1e-8 };
            assert!((radius - formula::sor_radius(omega, beta)).abs() < tolerance, "{omega} {radius}");
        }
    }
}

#[test]
fn iteration_counts_are_those_of_the_literature() {
    let grid = laplacian(256, 256);
    let heat = affine(&grid, 16.0, 1.0);
    let cube = poisson3d(40);
    // Poisson, heat with a = 16, Poisson in three dimensions; right-hand sides are random, so counts may differ by one or two
    for (a, omega, expected) in [
        (&grid, 1.5, 168),
        (&grid, 1.96, 64),
        (&heat, 1.5, 21),
        (&heat, 1.7, 16),
        (&cube, 1.5, 35),
        (&cube, 1.8, 25),
    ] {
        let steps = count(a, Method::SsorCg, omega).iterations;
        assert!(steps.abs_diff(expected) <= 1 + expected / 40, "{omega}: {steps}, not {expected}");
    }
    for (a, gap, expected) in [
        (&grid, 1.0 - (PI / 257.0).cos(), 869),
        (&heat, 1.0 - 64.0 * (PI / 257.0).cos() / 65.0, 98),
        (&cube, 1.0 - (PI / 41.0).cos(), 144),
    ] {
        let sweeps = count(a, Method::Sor, formula::young(gap)).iterations;
        assert!(sweeps.abs_diff(expected) <= 2 + expected / 100, "{sweeps}, not {expected}");
    }
    for (a, omega, expected) in [(&grid, 1.0, 373), (&grid, 1.5, 471), (&heat, 1.0, 51), (&heat, 1.5, 65)] {
        let coloured = Relaxation {
            ordering: Ordering::Multicolour,
            ..solver(Method::SsorCg, Omega::Fixed(omega), 20_000)
        };
        let steps = coloured.solve(a.view(), &normals(a.rows(), 1)).unwrap().iterations;
        assert!(steps.abs_diff(expected) <= 1 + expected / 25, "red-black, {omega}: {steps}, not {expected}");
    }
}

#[test]
fn levels_give_the_bits_of_the_natural_order_on_every_number_of_threads() {
    // a matrix that is no grid, with links and without; large levels for the threads
    let mut t = TriMatI::new((40_000, 40_000));
    for i in 0..40_000usize {
        t.add_triplet(i, i, 9.0 + (i % 7) as f64);
        for j in [i + 1 + 9 * (i % 2), i + 10_000] {
            if j < 40_000 {
                t.add_triplet(i, j, -1.0 - 1.0 / (1 + i % 5) as f64);
                t.add_triplet(j, i, -1.0 - 1.0 / (1 + i % 5) as f64);
            }
        }
    }
    let a: Matrix = t.to_csr();
    let b = normals(40_000, 3);
    for (method, omega) in [(Method::SsorCg, 1.3), (Method::Sor, 1.1), (Method::Ssor, 1.2)] {
        let natural = solver(method, Omega::Fixed(omega), 1000).solve(a.view(), &b).unwrap();
        assert_eq!(natural.status, Status::Solved);
        for (ordering, same) in [(Ordering::Levels, true), (Ordering::Multicolour, false)] {
            let mut first: Option<Solution> = None;
            for threads in [1, 2, 4] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let other = Relaxation { ordering, ..solver(method, Omega::Fixed(omega), 1000) };
                let solution = pool.install(|| other.solve(a.view(), &b)).unwrap();
                let expected = if same { &natural } else { first.get_or_insert_with(|| solution.clone()) };
                assert_eq!(solution.iterations, expected.iterations);
                assert!(solution.x.iter().zip(&expected.x).all(|(a, b)| a.to_bits() == b.to_bits()));
            }
        }
    }
}

#[test]
fn a_grid_gives_what_its_matrix_gives_in_any_storage() {
    for (a, dimensions) in [
        (laplacian(1, 50), 1),
        (laplacian(17, 9), 2),
        (poisson3d(6), 3),
        (affine(&laplacian(8, 8), 3.0, 0.5), 2),
    ] {
        let b = normals(a.rows(), 5);
        let grid = Operator::new(a.view()).unwrap();
        assert_eq!(grid.grid().unwrap().1, dimensions);
        let mut irregular = a.clone();
        // one entry differs by rounding: no grid any more
        let last = irregular.data().len() - 1;
        irregular.data_mut()[last] *= 1.0 + f64::EPSILON;
        let rows = Operator::new(irregular.view()).unwrap();
        assert_eq!(rows.grid(), None);
        for (method, omega) in
            [(Method::Sor, 1.4), (Method::Ssor, 1.3), (Method::SsorCg, 1.4), (Method::Cg, 1.0)]
        {
            let solver = solver(method, Omega::Fixed(omega), 5000);
            let one = solver.solve_with(&grid, &b, None, &mut Monitor::none()).unwrap();
            let other = solver.solve_with(&rows, &b, None, &mut Monitor::none()).unwrap();
            assert_eq!((one.status, one.iterations), (Status::Solved, other.iterations), "{method:?}");
            let scale = one.x.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
            assert!(one.x.iter().zip(&other.x).all(|(p, q)| (p - q).abs() <= 1e-11 * scale), "{method:?}");
        }
    }
}

#[test]
fn eisenstats_form_gives_the_plain_forms_iterates_for_half_the_work() {
    let a = affine(&laplacian(60, 40), 1.0, 0.01);
    let b = normals(2400, 2);
    for omega in [1.0, 1.5, 1.9] {
        let limits = Limits { tolerance: 1e-11, ..Limits::default() };
        let eisenstat = Relaxation { limits, ..solver(Method::SsorCg, Omega::Fixed(omega), 1000) };
        let eisenstat = eisenstat.solve(a.view(), &b).unwrap();
        let mut plain = vec![0.0; 2400];
        let stopping = Stopping { tolerance: 1e-11, absolute: 0.0, max_iterations: 1000 };
        let ssor = Ssor::new(a.view(), omega).unwrap();
        let outcome =
            conjugate_gradient(&a, &ssor, &b, &mut plain, &stopping, &mut Workspace::new(), None).unwrap();
        assert!(outcome.iterations.abs_diff(eisenstat.iterations) <= 1);
        let scale = plain.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
        assert!(plain.iter().zip(&eisenstat.x).all(|(p, q)| (p - q).abs() <= 1e-7 * scale));
        // an iteration: 2 nnz + 14 n operations beside 4 nnz + 12 n
        let (nonzeros, n) = (a.nnz() as f64, 2400.0);
        let an_iteration = eisenstat.counts["flops"] as f64 / eisenstat.iterations as f64;
        assert!(an_iteration <= 0.85 * (4.0 * nonzeros + 12.0 * n), "checks included");
        assert!(2.0 * nonzeros + 14.0 * n <= 0.76 * (4.0 * nonzeros + 12.0 * n));
    }
}

#[test]
fn the_energy_error_is_estimated_to_its_size() {
    let a = laplacian(30, 30);
    let exact = normals(900, 9);
    let mut b = vec![0.0; 900];
    a.iter().for_each(|(value, (i, j))| b[i as usize] += value * exact[j as usize]);
    let solver = Relaxation { estimate_error: true, ..solver(Method::SsorCg, Omega::Fixed(1.8), 1000) };
    let solution = solver.solve(a.view(), &b).unwrap();
    let error: Vec<f64> = solution.x.iter().zip(&exact).map(|(x, y)| x - y).collect();
    let energy: f64 = a.iter().map(|(value, (i, j))| value * error[i as usize] * error[j as usize]).sum();
    let estimate = solution.error_estimate.unwrap();
    assert!(
        estimate >= 0.9 * energy.sqrt() && estimate <= 100.0 * energy.sqrt(),
        "{estimate} {}",
        energy.sqrt()
    );
}

#[test]
fn the_probe_finds_what_the_formulas_need() {
    let a = laplacian(40, 40);
    let operator = Operator::new(a.view()).unwrap();
    assert!(operator.is_consistently_ordered() && operator.dominance() == 0.0);
    let b = normals(1600, 4);
    for method in [Method::Sor, Method::SsorCg] {
        let automatic = solver(method, Omega::Auto, 20_000).solve(a.view(), &b).unwrap();
        let gap = 1.0 - (PI / 41.0).cos();
        let best = if method == Method::Sor { formula::young(gap) } else { formula::ssor(gap) };
        let known = solver(method, Omega::Fixed(best), 20_000).solve(a.view(), &b).unwrap();
        assert!(automatic.iterations <= known.iterations + automatic.probe_steps + 10);
        assert!((automatic.omega.unwrap() - best).abs() < 0.05, "{:?} {best}", automatic.omega);
    }
    // a triangle is in no consistent order
    let triangle = dominant_triangle();
    assert!(!Operator::new(triangle.view()).unwrap().is_consistently_ordered());
}

#[test]
fn sor_finds_its_omega_on_fine_grids() {
    // the probe goes on until its estimate has settled: about a fifth more iterations than with the exact beta, not half as many again
    for m in [64, 128] {
        let a = laplacian(m, m);
        let b = normals(m * m, 4);
        let automatic = solver(Method::Sor, Omega::Auto, 20_000).solve(a.view(), &b).unwrap();
        let best = formula::young(1.0 - (PI / (m as f64 + 1.0)).cos());
        let known = solver(Method::Sor, Omega::Fixed(best), 20_000).solve(a.view(), &b).unwrap();
        assert!((2.0 - automatic.omega.unwrap()) / (2.0 - best) < 1.1);
        assert!(automatic.iterations - automatic.probe_steps <= known.iterations);
    }
}

#[test]
fn predictions_hold() {
    let m = 24;
    let a = laplacian(m, m);
    let operator = Operator::new(a.view()).unwrap();
    let b = normals(m * m, 12);
    let gap = 1.0 - (PI / (m as f64 + 1.0)).cos();
    for omega in [1.0, 1.4, formula::young(gap), 1.9] {
        let sor = solver(Method::Sor, Omega::Fixed(omega), 20_000);
        let explained = sor.explain(&operator, &b, &mut Monitor::none()).unwrap().unwrap();
        assert!((explained.gap / gap - 1.0).abs() < 1e-2 && explained.consistently_ordered);
        assert!((explained.condition - (2.0 - gap) / gap).abs() < 1e-2 * explained.condition);
        let radius = formula::sor_radius(omega, 1.0 - gap);
        assert!((explained.radius.unwrap() - radius).abs() < 1e-3);
        let sweeps = sor.solve(a.view(), &b).unwrap().iterations as f64;
        // the norm of a power is at least that of the radius, and bounds what the residual does
        let (tau, near) = (explained.tau.unwrap(), explained.near_asymptotic.unwrap());
        assert!(tau > -1e-3 && tau < 1.0, "{omega} {tau}");
        assert!(sweeps <= 1.05 * near, "omega {omega}: {sweeps} sweeps, {near} predicted");
        assert!(explained.asymptotic.unwrap() <= near && sweeps <= explained.bound.unwrap());
    }
    let cg = solver(Method::SsorCg, Omega::Auto, 1000);
    let explained = cg.explain(&operator, &b, &mut Monitor::none()).unwrap().unwrap();
    let known = solver(Method::SsorCg, Omega::Fixed(explained.omega.unwrap()), 1000);
    let steps = known.solve(a.view(), &b).unwrap().iterations as f64;
    assert!(steps <= explained.bound.unwrap());
    assert!(explained.to_string().contains("1 - beta"));
}

#[test]
fn predictions_end_by_the_flag_and_the_clock() {
    let operator = Operator::new(laplacian(24, 24).view()).unwrap();
    let b = normals(24 * 24, 12);
    for method in [Method::Sor, Method::SsorCg] {
        let mut patient = solver(method, Omega::Auto, 1000);
        let raised = Arc::new(AtomicBool::new(true));
        assert_eq!(
            patient.explain(&operator, &b, &mut Monitor::none().with_interrupt(raised)).unwrap(),
            None
        );
        patient.limits.time_limit = Some(Duration::ZERO);
        assert_eq!(patient.explain(&operator, &b, &mut Monitor::none()).unwrap(), None);
    }
}

fn dominant_triangle() -> Matrix {
    let mut t = TriMatI::new((3, 3));
    for i in 0..3 {
        for j in 0..3 {
            t.add_triplet(i, j, if i == j { 3.0 } else { -1.0 });
        }
    }
    t.to_csr()
}

fn of(n: usize, entries: &[(usize, usize, f64)]) -> Matrix {
    let mut t = TriMatI::new((n, n));
    entries.iter().for_each(|&(i, j, value)| t.add_triplet(i, j, value));
    t.to_csr()
}

#[test]
fn matrices_that_are_none_are_named() {
    let refused = |a: &Matrix| Operator::new(a.view()).unwrap_err();
    let wide: Matrix = TriMatI::new((2, 3)).to_csr();
    assert_eq!(refused(&wide), Error::NotSquare { rows: 2, columns: 3 });
    let zero = of(2, &[(0, 0, 1.0), (1, 1, 0.0)]);
    assert_eq!(refused(&zero), Error::Diagonal { row: 1, value: 0.0 });
    assert_eq!(refused(&of(2, &[(0, 0, 1.0)])), Error::Diagonal { row: 1, value: 0.0 });
    assert!(matches!(
        refused(&of(2, &[(0, 0, f64::NAN), (1, 1, 1.0)])),
        Error::NonFinite { row: 0, column: 0, .. }
    ));
    let skew = of(2, &[(0, 0, 1.0), (0, 1, 0.5), (1, 0, 0.4), (1, 1, 1.0)]);
    assert_eq!(refused(&skew), Error::Asymmetric { row: 0, column: 1, value: 0.5, mirrored: 0.4 });
    for (i, j) in [(0, 1), (1, 0)] {
        assert!(matches!(
            refused(&of(2, &[(0, 0, 1.0), (i, j, 0.5), (1, 1, 1.0)])),
            Error::Asymmetric { .. }
        ));
        // an explicit zero without a mirror image is no entry
        assert!(Operator::new(of(2, &[(0, 0, 1.0), (i, j, 0.0), (1, 1, 1.0)]).view()).is_ok());
    }
    let a = laplacian(3, 3);
    let solve = |b: &[f64]| Relaxation::default().solve(a.view(), b).unwrap_err();
    assert!(matches!(solve(&[1.0; 8]), Error::Length { given: 8, rows: 9, .. }));
    let mut b = [1.0; 9];
    b[4] = f64::INFINITY;
    assert!(matches!(solve(&b), Error::Vector { index: 4, .. }));
    let wild = solver(Method::Sor, Omega::Fixed(2.0), 10).solve(a.view(), &[1.0; 9]).unwrap_err();
    assert!(wild.to_string().contains("(0, 2)"));
    let mut operator = Operator::new(a.view()).unwrap();
    assert_eq!(operator.set_shift(-4.0), Err(Error::Diagonal { row: 0, value: 0.0 }));
    assert!(operator.set_shift(f64::NAN).is_err() && operator.shift() == 0.0);
}

#[test]
fn indefinite_matrices_are_told_with_a_direction_or_diverge() {
    // [[1, 3], [3, 1]] has the eigenvalue -2
    let a = of(2, &[(0, 0, 1.0), (0, 1, 3.0), (1, 0, 3.0), (1, 1, 1.0)]);
    let b = [1.0, -0.5];
    for method in
        [Method::SsorCg, Method::Cg, Method::Direct, Method::IncompleteCholeskyCg, Method::MultigridCg]
    {
        let solved = solver(method, Omega::Fixed(1.0), 100).solve(a.view(), &b);
        match solved.unwrap_err() {
            Error::NotPositiveDefinite { rayleigh } => {
                assert!(rayleigh.is_nan() || (-2.0..=0.0).contains(&rayleigh), "{method:?} {rayleigh}");
            }
            other => panic!("{other}"),
        }
    }
    let diverged = solver(Method::Sor, Omega::Fixed(1.5), 10_000).solve(a.view(), &b).unwrap();
    assert_eq!(diverged.status, Status::Stalled);
    assert!(diverged.x.iter().all(|x| x.is_finite()) && diverged.notes[0].contains("diverged"));
    // with the fallback it is found out all the same
    let finished = Relaxation { fallback: true, ..solver(Method::Sor, Omega::Fixed(1.5), 10_000) };
    assert!(matches!(finished.solve(a.view(), &b), Err(Error::NotPositiveDefinite { .. })));
    // a shift that makes a grid's matrix indefinite
    let grid = laplacian(12, 12);
    let mut operator = Operator::new(grid.view()).unwrap();
    operator.set_shift(-3.0).unwrap();
    let solved = Relaxation::default().solve_with(&operator, &normals(144, 1), None, &mut Monitor::none());
    assert!(matches!(solved, Err(Error::NotPositiveDefinite { .. })));
}

#[test]
fn capped_and_singular_systems_end_as_they_should() {
    let a = laplacian(50, 50);
    let b = normals(2500, 6);
    let capped = solver(Method::Sor, Omega::Fixed(1.0), 50).solve(a.view(), &b).unwrap();
    assert_eq!((capped.status, capped.iterations), (Status::IterationLimit, 50));
    let finished = Relaxation { fallback: true, ..solver(Method::Sor, Omega::Fixed(1.0), 50) };
    let finished = finished.solve(a.view(), &b).unwrap();
    assert_eq!((finished.status, finished.fallback), (Status::Solved, Some(Method::Cg)));
    assert!(residual(&a, &finished.x, &b) <= 1e-8 && finished.iterations > 50);
    // pure Neumann in one dimension: singular; consistent where b sums to zero
    let n = 40;
    let mut t = TriMatI::new((n, n));
    for i in 0..n {
        t.add_triplet(i, i, f64::from(u8::from(i > 0) + u8::from(i + 1 < n)));
        if i + 1 < n {
            t.add_triplet(i, i + 1, -1.0);
            t.add_triplet(i + 1, i, -1.0);
        }
    }
    let neumann: Matrix = t.to_csr();
    let mut b = normals(n, 8);
    let mean = b.iter().sum::<f64>() / n as f64;
    b.iter_mut().for_each(|b| *b -= mean);
    for method in [Method::SsorCg, Method::Cg, Method::Sor] {
        let solution = solver(method, Omega::Fixed(1.5), 20_000).solve(neumann.view(), &b).unwrap();
        assert_eq!(solution.status, Status::Solved, "{method:?}");
        assert!(residual(&neumann, &solution.x, &b) <= 1e-8);
    }
    // inconsistent: never claimed as solved
    for method in [Method::SsorCg, Method::Sor] {
        let solution = solver(method, Omega::Fixed(1.5), 20_000).solve(neumann.view(), &vec![1.0; n]);
        assert!(solution.is_err() || solution.unwrap().status != Status::Solved);
    }
}

#[test]
fn nothing_to_do_is_done_at_once() {
    let a = laplacian(5, 5);
    for method in [Method::Sor, Method::SsorCg, Method::Cg, Method::Direct] {
        let solver = solver(method, Omega::Auto, 100);
        let zero = solver.solve(a.view(), &[0.0; 25]).unwrap();
        assert_eq!((zero.status, zero.iterations, zero.relative_residual), (Status::Solved, 0, 0.0));
        assert!(zero.x.iter().all(|x| *x == 0.0));
        let operator = Operator::new(a.view()).unwrap();
        let b = normals(25, 7);
        let once = solver.solve_with(&operator, &b, None, &mut Monitor::none()).unwrap();
        let again = solver.solve_with(&operator, &b, Some(&once.x), &mut Monitor::none()).unwrap();
        assert_eq!((again.status, again.iterations), (Status::Solved, 0));
        let empty: Matrix = TriMatI::new((0, 0)).to_csr();
        assert_eq!(solver.solve(empty.view(), &[]).unwrap().status, Status::Solved);
    }
    let impatient = Relaxation {
        limits: Limits { time_limit: Some(std::time::Duration::ZERO), ..Limits::default() },
        ..Relaxation::default()
    };
    assert_eq!(impatient.solve(a.view(), &normals(25, 7)).unwrap().status, Status::TimeLimit);
    // below what rounding allows: a status, no endless loop
    let exact = Relaxation {
        limits: Limits { tolerance: 0.0, ..Limits::default() },
        fallback: false,
        ..Relaxation::default()
    };
    let solution = exact.solve(a.view(), &normals(25, 7)).unwrap();
    assert!(solution.status == Status::Stalled || solution.relative_residual == 0.0);
    assert!(solution.relative_residual < 1e-14);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_method_solves_every_dominant_matrix(n in 1usize..60, seed in 0u64..1000, omega in 0.3f64..1.9) {
        let a = dominant(n, seed);
        let b = normals(n, seed + 1);
        for method in [Method::Sor, Method::Ssor, Method::SsorCg, Method::Cg, Method::IncompleteCholeskyCg, Method::MultigridCg, Method::Direct] {
            for (ordering, omega) in
                [(Ordering::Natural, Omega::Fixed(omega)), (Ordering::Multicolour, Omega::Auto), (Ordering::Levels, Omega::Auto)]
            {
                let solver = Relaxation { ordering, fallback: true, ..solver(method, omega, 20_000) };
                let solution = solver.solve(a.view(), &b).unwrap();
                prop_assert_eq!(solution.status, Status::Solved);
                prop_assert!(residual(&a, &solution.x, &b) <= 1.01e-8);
                prop_assert!((solution.relative_residual - residual(&a, &solution.x, &b)).abs() <= 1e-12);
            }
        }
    }
}
