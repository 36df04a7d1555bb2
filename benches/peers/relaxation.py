#!/usr/bin/env python3
"""Relaxation beside SciPy, PyAMG and SuperLU: one thread, one run, processor time.

    pip install numpy scipy pyamg
    cargo build --release
    benches/peers/relaxation.py [--m 256] [--cube 40] [--repeat 5] [--out results.md]

Systems: the 5-point Laplacian on m x m points, I + 16 of it, the 7-point Laplacian on cube^3 points; right-hand sides Gaussian
(numpy's default_rng(1)), start zero, |b - A x| <= 1e-8 |b| judged here for the peers and by the command for us. A peer's
time is setup plus solve, data in its own form; ours is the time of the solve that the command reports, choice of omega and probe
included, matrix given. Programs take turns; each figure is the least of --repeat runs.
"""
import argparse, json, os, pathlib, subprocess, tempfile, time, warnings

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
import numpy as np
import pyamg
import scipy.io
import scipy.sparse as sparse
import scipy.sparse.linalg as linalg

warnings.filterwarnings("ignore")
COMMAND = pathlib.Path(__file__).resolve().parents[2] / "target/release/gradus"
TOLERANCE = 1e-8


def laplacian(m, dimensions):
    line = sparse.diags_array([-np.ones(m - 1), 2 * np.ones(m), -np.ones(m - 1)], offsets=[-1, 0, 1])
    eye = sparse.eye_array(m)
    if dimensions == 2:
        return sparse.csr_array(sparse.kron(line, eye) + sparse.kron(eye, line))
    return sparse.csr_array(
        sparse.kron(sparse.kron(line, eye), eye)
        + sparse.kron(sparse.kron(eye, line), eye)
        + sparse.kron(sparse.kron(eye, eye), line)
    )


def peers(a, b):
    def cg():
        return linalg.cg(a, b, rtol=TOLERANCE, atol=0, maxiter=20000)[0]

    def amg(build):
        return lambda: build(sparse.csr_matrix(a)).solve(b, tol=TOLERANCE, maxiter=500, accel="cg")

    def superlu():
        options = dict(SymmetricMode=True)
        return linalg.splu(sparse.csc_array(a), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options).solve(b)

    return {
        "SciPy CG": cg,
        "PyAMG Ruge-Stuben CG": amg(pyamg.ruge_stuben_solver),
        "PyAMG smoothed aggregation CG": amg(pyamg.smoothed_aggregation_solver),
        "SuperLU": superlu,
    }


def ours(folder, name, method, extra):
    line = [COMMAND, "linsolve", f"{folder}/{name}.mtx", "--rhs", f"{folder}/{name}.b.mtx", "--method", method]
    run = subprocess.run([*line, "--json", "--threads", "1", *extra], capture_output=True, text=True, check=True)
    answer = json.loads(run.stdout)
    assert answer["status"] == "solved" and answer["relative_residual"] <= TOLERANCE
    return answer["seconds"], answer["iterations"], answer["omega"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--m", type=int, default=256)
    parser.add_argument("--cube", type=int, default=40)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    grid, cube = laplacian(options.m, 2), laplacian(options.cube, 3)
    n = grid.shape[0]
    systems = {
        f"Poisson {options.m}^2": grid,
        f"time step {options.m}^2, a = 16": sparse.csr_array(sparse.eye_array(n) + 16 * grid),
        f"Poisson {options.cube}^3": cube,
    }
    lines = ["| system | program | ms | iterations | omega |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for title, a in systems.items():
            b = np.random.default_rng(1).standard_normal(a.shape[0])
            # the same matrix with one entry changed by rounding is no constant stencil: general rows
            scipy.io.mmwrite(f"{folder}/grid.mtx", sparse.coo_array(a), symmetry="symmetric", precision=17)
            general = a.copy()
            general[0, 0] *= 1 + 1e-13
            scipy.io.mmwrite(f"{folder}/rows.mtx", sparse.coo_array(general), symmetry="symmetric", precision=17)
            for name in ("grid", "rows"):
                scipy.io.mmwrite(f"{folder}/{name}.b.mtx", b.reshape(-1, 1), precision=17)
            best = {}
            for _ in range(options.repeat):
                for name, label in (("grid", "constant stencil"), ("rows", "general rows")):
                    for method in ("ssor-cg", "sor", "cg", "direct"):
                        if name == "grid" and method in ("cg", "direct"):
                            continue
                        key = f"gradus {method} auto, {label}" if "sor" in method else f"gradus {method}"
                        best[key] = min(best.get(key, (1e9,)), ours(folder, name, method, []))
                for program, call in peers(a, b).items():
                    if program == "SuperLU" and "^3" in title and program in best:
                        continue
                    start = time.process_time()
                    x = call()
                    seconds = time.process_time() - start
                    assert np.linalg.norm(b - a @ x) <= 1.01 * TOLERANCE * np.linalg.norm(b), program
                    best[program] = min(best.get(program, (1e9,)), (seconds, "", None))
            # the formula's omega, spectrum known
            side = options.cube if "^3" in title else options.m
            gap = 1 - np.cos(np.pi / (side + 1)) * (64 / 65 if "a = 16" in title else 1)
            omega = max(1.0, 2 / (1 + np.sqrt(2 * gap)))
            for name, label in (("grid", "constant stencil"), ("rows", "general rows")):
                runs = [ours(folder, name, "ssor-cg", ["--omega", str(omega)]) for _ in range(options.repeat)]
                best[f"gradus ssor-cg, formula, {label}"] = min(runs)
            for program, (seconds, iterations, omega) in sorted(best.items(), key=lambda item: item[1][0]):
                omega = "" if omega is None else f"{omega:.4f}"
                lines.append(f"| {title} | {program} | {1e3 * seconds:.1f} | {iterations} | {omega} |")
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text)


if __name__ == "__main__":
    main()
