#!/usr/bin/env python3
"""Relaxation beside SciPy, PyAMG and SuperLU: one thread, one run, processor time.

    pip install numpy scipy pyamg
    cargo build --release
    benches/peers/relaxation.py [--m 256 512] [--cube 40] [--repeat 5] [--out results.md]
    benches/peers/relaxation.py --heat 100 --steps 1000
    benches/peers/relaxation.py --counts

Systems: the 5-point Laplacian on m x m points, for the first m also I + 16 of it, the 7-point Laplacian on cube^3 points; right-hand sides Gaussian
(numpy's default_rng(1)), start zero, |b - A x| <= 1e-8 |b| judged here for the peers and by the command for us. A peer's
time is setup plus solve, data in its own form; ours is the time of the command's process, choice of omega and probe included, less
that of the same process with --max-iterations 0, which only reads. Programs take turns; each figure is the least of --repeat.
"""
import argparse, json, os, pathlib, resource, subprocess, sys, tempfile, time, warnings

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
import numpy as np
import scipy.io
import scipy.sparse as sparse
import scipy.sparse.linalg as linalg

try:
    import pyamg
except ImportError as error:
    print("skipped:", error, file=sys.stderr)
    pyamg = None

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

    multigrid = {
        "PyAMG Ruge-Stuben CG": amg(pyamg.ruge_stuben_solver),
        "PyAMG smoothed aggregation CG": amg(pyamg.smoothed_aggregation_solver),
    } if pyamg else {}
    return {"SciPy CG": cg, **multigrid, "SuperLU": superlu}


def ours(folder, name, method, extra):
    line = [COMMAND, "linsolve", f"{folder}/{name}.mtx", "--rhs", f"{folder}/{name}.b.mtx", "--method"]
    # multigrid would set up its levels even so
    idle, _ = command([*line, "cg", "--max-iterations", "0"])
    seconds, answer = command([*line, method, *extra])
    assert answer["status"] == "solved" and answer["relative_residual"] <= TOLERANCE
    return max(seconds - idle, 0), answer["iterations"], answer["omega"]


def command(line):
    """Processor seconds of one process, and the object it prints."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run([*line, "--json", "--threads", "1"], capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, json.loads(run.stdout)


def heat(cells, steps):
    """Seconds and iterations of SciPy's CG on the heat equation of `gradus stream heat:CELLS`, warm started, assembly not counted."""
    m, dt = cells - 1, 1e-3
    grid = laplacian(m, 2)
    points = np.arange(1, cells) / cells
    across, along = np.meshgrid(points, points, indexing="ij")

    def bump(centre, radius):
        distance = ((across - centre[0]) ** 2 + (along - centre[1]) ** 2) / radius**2
        return np.where(distance < 1, np.exp(1 - 1 / np.maximum(1 - distance, 1e-300)), 0).ravel()

    u = bump((0.5, 0.5), 0.25)
    seconds, iterations = 0.0, 0
    for step in range(steps):
        t = (step + 0.5) * dt
        a = 0.5 * dt * cells**2 * max(0.1 * np.sin(2 * np.pi * t), -10 * np.sin(2 * np.pi * t))
        angle = 16 * np.pi * t
        centre = (0.5 + np.cos(angle) / 4, 0.5 + np.sin(angle) / 4)
        b = u - a * (grid @ u) + dt * 32 * bump(centre, 0.125)
        matrix = sparse.csr_array(sparse.eye_array(m * m) + a * grid)
        count = [0]

        def callback(_):
            count[0] += 1

        start = time.process_time()
        u = linalg.cg(matrix, b, x0=u, rtol=TOLERANCE, atol=0, callback=callback)[0]
        seconds += time.process_time() - start
        iterations += count[0]
    return seconds, iterations


def counts():
    """Iterations at given omegas with the right-hand sides of the published table."""
    systems = {"Poisson 256^2": (laplacian(256, 2), 0.0), "time step": (laplacian(256, 2), 1 / 16), "Poisson 40^3": (laplacian(40, 3), 0.0)}
    wanted = {
        "Poisson 256^2": [("ssor-cg", 1.5, 168), ("ssor-cg", 1.96, 64), ("sor", 1.9758476503016835, 869)],
        "time step": [("ssor-cg", 1.5, 21), ("ssor-cg", 1.7, 16), ("sor", 1.7019108874290987, 98)],
        "Poisson 40^3": [("ssor-cg", 1.5, 35), ("ssor-cg", 1.8, 25), ("sor", 2 / (1 + np.sin(np.pi / 41)), 144)],
    }
    with tempfile.TemporaryDirectory() as folder:
        for title, (a, shift) in systems.items():
            scipy.io.mmwrite(f"{folder}/a.mtx", sparse.coo_array(a), symmetry="symmetric", precision=17)
            b = np.random.default_rng(1).standard_normal(a.shape[0])
            scipy.io.mmwrite(f"{folder}/b.mtx", b.reshape(-1, 1), precision=17)
            for method, omega, expected in wanted[title]:
                line = [COMMAND, "linsolve", f"{folder}/a.mtx", "--rhs", f"{folder}/b.mtx", "--method", method]
                _, answer = command([*line, "--omega", repr(float(omega)), "--shift", repr(shift)])
                print(f"{title}, {method} {omega:.4f}: {answer['iterations']}, published {expected}")


def simulation(cells, steps):
    seconds, iterations = heat(cells, steps)
    print(f"heat {cells}, {steps} steps: SciPy CG {seconds:.2f} s, {iterations} iterations")
    for policy, method in (("auto", "ssor-cg"), ("auto", "cg")):
        line = [COMMAND, "stream", f"heat:{cells}", "--steps", str(steps), "--policy", policy, "--method", method]
        seconds, answer = command(line)
        print(f"  gradus {method}: {seconds:.2f} s, {answer['total_iterations']} iterations, the whole process")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--m", type=int, nargs="+", default=[256, 512])
    parser.add_argument("--cube", type=int, default=40)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--heat", type=int, help="the heat equation on so many cells a side instead")
    parser.add_argument("--counts", action="store_true", help="iteration counts at given omegas instead")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    if options.counts:
        return counts()
    if options.heat:
        return simulation(options.heat, options.steps)
    first, *others = options.m
    grid = laplacian(first, 2)
    # title, matrix, points a side
    systems = [
        (f"Poisson {first}^2", grid, first),
        (f"time step {first}^2, a = 16", sparse.csr_array(sparse.eye_array(first**2) + 16 * grid), first),
        (f"Poisson {options.cube}^3", laplacian(options.cube, 3), options.cube),
        *((f"Poisson {m}^2", laplacian(m, 2), m) for m in others),
    ]
    lines = ["| system | program | ms | iterations | omega |", "|---|---|---|---|---|"]
    with tempfile.TemporaryDirectory() as folder:
        for title, a, side in systems:
            b = np.random.default_rng(1).standard_normal(a.shape[0])
            # the same matrix with one entry changed by rounding is no constant stencil: few diagonals with any coefficients
            scipy.io.mmwrite(f"{folder}/grid.mtx", sparse.coo_array(a), symmetry="symmetric", precision=17)
            general = a.copy()
            general[0, 0] *= 1 + 1e-13
            scipy.io.mmwrite(f"{folder}/rows.mtx", sparse.coo_array(general), symmetry="symmetric", precision=17)
            for name in ("grid", "rows"):
                scipy.io.mmwrite(f"{folder}/{name}.b.mtx", b.reshape(-1, 1), precision=17)
            best = {}
            for _ in range(options.repeat):
                for name, label in (("grid", "constant stencil"), ("rows", "diagonals")):
                    # a factorisation has no run that only reads: its time can't be told apart
                    for method in ("ssor-cg", "sor", "cg", "amg-cg"):
                        if name == "grid" and "sor" not in method:
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
            gap = 1 - np.cos(np.pi / (side + 1)) * (64 / 65 if "a = 16" in title else 1)
            omega = max(1.0, 2 / (1 + np.sqrt(2 * gap)))
            for name, label in (("grid", "constant stencil"), ("rows", "diagonals")):
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
