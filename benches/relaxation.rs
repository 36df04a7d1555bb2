//! Sweeps beside the triad, learners' steps, solves: `cargo bench --bench relaxation`. One thread; the fastest of several runs.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::time::Instant;

use gradus::control::Limits;
use gradus::linalg::krylov::{Ssor, Stopping, Workspace, conjugate_gradient};
use gradus::relaxation::heat::{Heat, laplacian};
use gradus::relaxation::policy::{Named, Situation};
use gradus::relaxation::{Method, Omega, Operator, Relaxation, Stream};
use sprs::{CsMatI, TriMatI};

/// Seconds of one call: the fastest of `runs`.
fn fastest(runs: usize, mut call: impl FnMut()) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..runs {
        let start = Instant::now();
        call();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

fn main() {
    rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global().unwrap();
    bandwidth();
    forms();
    learners();
    simulation();
}

/// Bytes that an iteration must move at least, every vector and array once a pass, over the time it takes.
fn bandwidth() {
    let m = 1500;
    let n = m * m;
    let (mut a, b, c) = (vec![0.0f64; 3 * n], vec![1.0f64; 3 * n], vec![2.0f64; 3 * n]);
    let triad = fastest(9, || {
        for ((a, b), c) in a.iter_mut().zip(&b).zip(&c) {
            *a = b + 3.0 * c;
        }
        black_box(&mut a);
    });
    // a is read before it is written
    let triad = (3 * n * 32) as f64 / triad * 1e-9;
    println!("triad {triad:.1} GB/s; {n} unknowns, GB/s and share of the triad");
    let grid = laplacian(m, m);
    let diagonals = perturbed(&grid);
    let rows = swapped(&grid);
    let right: Vec<f64> = (0..n).map(|i| (i as f64 * 0.1).sin()).collect();
    // entries of a row that are not next to the diagonal
    let far = rows.iter().filter(|(_, (i, j))| i.abs_diff(*j) > 1).count() as f64 / n as f64;
    // a link and the other entries, of each half once in SOR and once in SSOR-CG; SOR reads the links once
    for (name, matrix, sor_bytes, cg_bytes) in [
        ("rows", &rows, 8.0 + 8.0 + 12.0 * far, 16.0 + 8.0 + 12.0 * far),
        ("diagonals", &diagonals, 8.0 + 16.0, 16.0 + 16.0),
        ("grid", &grid, 0.0, 0.0),
    ] {
        let operator = Operator::new(matrix.view()).unwrap();
        for (method, vector_bytes) in [
            // b, x read and written
            (Method::Sor, 24.0),
            // backward: g, p twice, u twice; forward: p, u, v twice; step: u, v, x twice, g twice
            (Method::SsorCg, 40.0 + 32.0 + 48.0),
        ] {
            let seconds = |iterations: usize| {
                let solver = Relaxation {
                    limits: Limits { tolerance: 1e-30, max_iterations: iterations, time_limit: None },
                    method,
                    omega: Omega::Fixed(1.5),
                    fallback: false,
                    ..Relaxation::default()
                };
                fastest(5, || {
                    black_box(solver.solve_with(&operator, &right, None, &mut Default::default()).unwrap());
                })
            };
            // iterations 2 to 14: no check of the residual among them
            let each = (seconds(14) - seconds(2)) / 12.0;
            let matrix_bytes = if method == Method::Sor { sor_bytes } else { cg_bytes };
            let rate = (vector_bytes + matrix_bytes) * n as f64 / each * 1e-9;
            println!(
                "  {name:9} {:8} {:6.2} ms an iteration, {rate:5.1} GB/s, {:.0} %",
                method.name(),
                1e3 * each,
                100.0 * rate / triad
            );
        }
    }
}

/// The same matrix but for rounding in the entries (0, 1) and (1, 0): no constant stencil any more.
fn perturbed(grid: &CsMatI<f64, u32>) -> CsMatI<f64, u32> {
    let mut a = grid.clone();
    let place = a.iter().position(|(_, (i, j))| (i, j) == (1, 0)).unwrap();
    a.data_mut()[1] *= 1.0 + 1e-15;
    a.data_mut()[place] *= 1.0 + 1e-15;
    a
}

/// The same matrix with neighbouring unknowns swapped here and there: no diagonals any more.
fn swapped(grid: &CsMatI<f64, u32>) -> CsMatI<f64, u32> {
    let n = grid.rows();
    let new = |i: u32| {
        let swap = (i / 2).wrapping_mul(0x9E37_79B9) >> 31 == 1 && (i | 1) < n as u32;
        if swap { i ^ 1 } else { i }
    };
    let mut t = TriMatI::with_capacity((n, n), grid.nnz());
    grid.iter().for_each(|(value, (i, j))| t.add_triplet(new(i) as usize, new(j) as usize, *value));
    t.to_csr()
}

/// Eisenstat's form beside the plain one.
fn forms() {
    let a = laplacian(256, 256);
    let b: Vec<f64> = (0..65536).map(|i| (i as f64 * 0.7).sin()).collect();
    for (name, matrix) in [("rows", &swapped(&a)), ("diagonals", &perturbed(&a)), ("grid", &a)] {
        let operator = Operator::new(matrix.view()).unwrap();
        let solver = Relaxation { omega: Omega::Fixed(1.96), ..Relaxation::default() };
        let mut count = 0;
        let eisenstat = fastest(9, || {
            count = solver.solve_with(&operator, &b, None, &mut Default::default()).unwrap().iterations
        });
        println!(
            "Eisenstat, {name}: {:.3} ms an iteration, {count} iterations",
            1e3 * eisenstat / count as f64
        );
    }
    let ssor = Ssor::new(a.view(), 1.96).unwrap();
    let (mut x, mut workspace, mut count) = (vec![0.0; 65536], Workspace::new(), 0);
    let plain = fastest(5, || {
        x.fill(0.0);
        let stopping = Stopping::default();
        count =
            conjugate_gradient(&a, &ssor, &b, &mut x, &stopping, &mut workspace, None).unwrap().iterations;
    });
    println!("plain: {:.3} ms an iteration, {count} iterations", 1e3 * plain / count as f64);
}

fn learners() {
    println!("learners, microseconds a step (choice and update), 5000 steps");
    for name in
        ["auto", "tsallis-inf", "tsallis-inf-rv", "tsallis-inf-cb", "chebcb", "hill", "zoom", "seeded"]
    {
        let named: Named = name.parse().unwrap();
        let seconds = fastest(5, || {
            let mut policy = named.make((0.0, 1.0), 1).unwrap();
            let mut context = 0.3f64;
            for _ in 0..5000 {
                context = (context * 997.0 + 0.37).fract();
                let situation = Situation {
                    context,
                    dominance: 0.1,
                    diagonal: Some(4.0),
                    consistently_ordered: true,
                    factored: false,
                    method: Method::SsorCg,
                };
                let omega = black_box(policy.choose(&situation)).value;
                policy.update((20.0 + 100.0 * (omega - 1.2 - 0.5 * context).abs()).round());
            }
        });
        println!("  {name:16} {:.2}", 1e6 * seconds / 5000.0);
    }
}

fn simulation() {
    println!("heat equation, 1000 steps, milliseconds");
    for cells in [25, 50, 100] {
        for (method, name) in [(Method::SsorCg, "auto"), (Method::Cg, "auto")] {
            let named: Named = name.parse().unwrap();
            let seconds = fastest(3, || {
                let mut heat = Heat::new(cells).unwrap();
                let mut stream = Stream::named(method, &named, Heat::RANGE, 0);
                for _ in 0..1000 {
                    let answer = stream.solve(&heat.system().unwrap()).unwrap();
                    heat.accept(answer.x).unwrap();
                }
            });
            println!("  {cells:4} {:8} {:.1}", method.name(), 1e3 * seconds);
        }
    }
}
