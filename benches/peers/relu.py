#!/usr/bin/env python3
"""Convex training of ReLU networks beside Clarabel, pyscnn, Adam and scikit-learn: the same objective, one thread, one run.

    pip install numpy scipy scikit-learn clarabel pyscnn linalg_backends opt_einsum
    cargo build --release
    benches/peers/relu.py [--sets heart,ionosphere,breast_cancer,digits] [--parts fixed,refine,admm] [--out results.md]

Data: data/heart_scale and data/ionosphere_scale of this project, scikit-learn's breast cancer and its digits 3 and 8. Rows
i with i mod 5 = 4 are held out; features are z-scored by the training rows, a column of ones is appended, labels are -1, +1.
Patterns: the documented generator (splitmix64, Box and Muller), seed 1, the same for every program; duplicates dropped.
Objective: ||f(X) - y||^2 / 2 + (beta / 2) sum (||u||^2 + a^2), judged here from the weights for every program but Clarabel,
whose own value is taken. The optimum is the mean of the bounds that gradus proves at 1e-8. Times are processor seconds of
the process that solves (user and system, one thread); ours include reading the file. Clarabel runs with a relative gap of
1e-3 and at its default of 1e-8, pyscnn at its defaults: its excess is printed.
"""
import argparse, json, os, pathlib, resource, subprocess, sys, tempfile, time, types, warnings

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1", RAYON_NUM_THREADS="1")
import numpy as np
import scipy.sparse as sparse

warnings.filterwarnings("ignore")
ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = pathlib.Path(os.environ.get("GRADUS", ROOT / "target/release/gradus"))
SETS = {"heart": (20, 1.0), "ionosphere": (50, 0.1), "breast_cancer": (50, 1.0), "digits": (50, 0.1)}


def raw(name):
    """Features and labels."""
    from sklearn.datasets import load_breast_cancer, load_digits, load_svmlight_file
    if name in ("heart", "ionosphere"):
        X, y = load_svmlight_file(str(ROOT / f"data/{name}_scale"))
        return X.toarray(), y
    if name == "breast_cancer":
        data = load_breast_cancer()
        return data.data, data.target.astype(float)
    data = load_digits()
    keep = np.isin(data.target, (3, 8))
    return data.data[keep], data.target[keep].astype(float)


def normals(count, seed):
    """Standard normal numbers from splitmix64 and Box and Muller's transform."""
    mask, state, out = (1 << 64) - 1, seed, np.empty(count + 1)
    def draw():
        nonlocal state
        state = (state + 0x9E3779B97F4A7C15) & mask
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
        return (z ^ (z >> 31)) >> 11
    for i in range(0, count, 2):
        r, angle = np.sqrt(-2 * np.log((draw() + 1) / 2**53)), 2 * np.pi * draw() / 2**53
        out[i], out[i + 1] = r * np.cos(angle), r * np.sin(angle)
    return out[:count]


class Problem:
    def __init__(self, name):
        self.name, self.title, (self.count, self.beta) = name, name.replace("_", " "), SETS[name]
        X, y = raw(name)
        held = np.arange(len(y)) % 5 == 4
        mean, scale = X[~held].mean(0), X[~held].std(0)
        scale[scale == 0] = 1
        Z = np.hstack([(X - mean) / scale, np.ones((len(y), 1))])
        y = np.where(y == y.max(), 1.0, -1.0)
        self.X, self.y, self.Xt, self.yt = Z[~held], y[~held], Z[held], y[held]
        self.d = self.X.shape[1]
        self.G = normals(self.d * self.count, 1).reshape(self.count, self.d).T
        D = self.X @ self.G >= 0
        _, first = np.unique(D.T, axis=0, return_index=True)
        keep = [i for i in np.sort(first) if D[:, i].any()]
        self.G, self.D = self.G[:, keep], D[:, keep].astype(float)
        self.file = tempfile.NamedTemporaryFile("w", suffix=f"-{name}", delete=False)
        for row, label in zip(X, np.where(y > 0, 1, -1)):
            entries = " ".join(f"{j + 1}:{v:.17g}" for j, v in enumerate(row) if v != 0)
            self.file.write(f"{label} {entries}\n")
        self.file.close()

    def network(self, V, W):
        f = np.maximum(self.X @ V, 0).sum(1) - np.maximum(self.X @ W, 0).sum(1)
        norms = np.linalg.norm(V, axis=0).sum() + np.linalg.norm(W, axis=0).sum()
        return 0.5 * ((f - self.y) ** 2).sum() + self.beta * norms


def cpu(work):
    """(result, processor seconds) of a call in this process."""
    start = time.process_time()
    result = work()
    return result, time.process_time() - start


def gradus(problem, *options):
    """The JSON answer and the processor seconds of the whole command, reading included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    line = [COMMAND, "relu", problem.file.name, "--patterns", str(problem.count), "--beta", str(problem.beta), "--seed", "1",
            "--standardize", "--bias", "--test-every", "5", "--json", "--quiet", "--threads", "1", *map(str, options)]
    text = subprocess.run(line, capture_output=True, text=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(text), seconds


def clarabel_problem(p):
    """min y'y / 2 over residual r, blocks, norms, as a cone program."""
    import clarabel
    n, d, P = len(p.y), p.d, p.D.shape[1]
    E, k = 2 * p.D - 1, p.d * p.D.shape[1]
    F = sparse.csr_matrix(np.hstack([p.D[:, [i]] * p.X for i in range(P)]))
    G = sparse.block_diag([sparse.csr_matrix(-(E[:, [i]] * p.X)) for i in range(P)])
    top = sparse.hstack([F, -F, sparse.csr_matrix((n, 2 * P)), -sparse.eye(n)])
    cones = sparse.hstack([sparse.block_diag([G, G]), sparse.csr_matrix((2 * n * P, 2 * P + n))])
    norms = sparse.lil_matrix((2 * P * (d + 1), 2 * k + 2 * P + n))
    for j in range(2 * P):
        norms[j * (d + 1), 2 * k + j] = -1
        for q in range(d):
            norms[j * (d + 1) + 1 + q, j * d + q] = -1
    A = sparse.vstack([top, cones, norms.tocsr()]).tocsc()
    kinds = [clarabel.ZeroConeT(n), clarabel.NonnegativeConeT(2 * n * P)] + [clarabel.SecondOrderConeT(d + 1)] * (2 * P)
    Q = sparse.diags(np.r_[np.zeros(2 * k + 2 * P), np.ones(n)]).tocsc()
    q = np.r_[np.zeros(2 * k), p.beta * np.ones(2 * P), np.zeros(n)]
    b = np.r_[p.y, np.zeros(2 * n * P + 2 * P * (d + 1))]
    def solve(tolerance):
        settings = clarabel.DefaultSettings()
        settings.verbose, settings.max_threads = False, 1
        if tolerance:
            settings.tol_gap_rel = settings.tol_gap_abs = tolerance
        return clarabel.DefaultSolver(Q, q, A, b, kinds, settings).solve()
    return solve


def torch_stand_in():
    """pyscnn imports torch but computes with numpy on a CPU."""
    try:
        import torch  # noqa: F401
    except Exception:
        def make(name):
            module = types.ModuleType(name)
            module.__path__ = []
            def get(attribute):
                if attribute.startswith("__"):
                    raise AttributeError(attribute)
                return type(attribute, (object,), {"__init__": lambda s, *a, **k: None})
            module.__getattr__ = get
            sys.modules[name] = module
        for name in ("torch", "torch.nn", "torch.optim", "torchvision"):
            make(name)


def pyscnn(p):
    torch_stand_in()
    from scnn.metrics import Metrics
    from scnn.models import ConvexReLU
    from scnn.optimize import optimize_model
    from scnn.regularizers import NeuronGL1
    from scnn.solvers import AL
    model = ConvexReLU(p.G)
    solver = AL(model, max_primal_iters=10000, tol=1e-6, constraint_tol=1e-6)
    def work():
        return optimize_model(model, solver, Metrics(), p.X, p.y[:, None], regularizer=NeuronGL1(p.beta / len(p.y)),
                              return_convex=True, unitize_data=False, dtype="float32")[0]
    found, seconds = cpu(work)
    V, W = (np.asarray(part)[0].T.astype(float) for part in found.parameters)
    return p.network(V, W), seconds


def objective(p, w, m):
    d = p.d
    U, a = w[: d * m].reshape(d, m), w[d * m:]
    Z = p.X @ U
    H = np.maximum(Z, 0)
    e = H @ a - p.y
    value = 0.5 * e @ e + 0.5 * p.beta * (w @ w)
    return value, np.r_[(p.X.T @ ((Z > 0) * np.outer(e, a)) + p.beta * U).ravel(), H.T @ e + p.beta * a]


def start(p, m, seed):
    r = np.random.default_rng(seed)
    return np.r_[(r.standard_normal((p.d, m)) * np.sqrt(2 / p.d)).ravel(), r.standard_normal(m) * np.sqrt(1 / m)]


def adam(p, m, seed, rate, steps=4000):
    w = start(p, m, seed)
    M, V = np.zeros_like(w), np.zeros_like(w)
    for k in range(steps):
        _, g = objective(p, w, m)
        M, V = 0.9 * M + 0.1 * g, 0.999 * V + 0.001 * g * g
        step = rate * 0.5 * (1 + np.cos(np.pi * k / steps))
        w -= step * (M / (1 - 0.9 ** (k + 1))) / (np.sqrt(V / (1 - 0.999 ** (k + 1))) + 1e-8)
    return objective(p, w, m)[0]


def lbfgs(p, m, seed):
    from scipy.optimize import minimize
    found = minimize(lambda w: objective(p, w, m), start(p, m, seed), jac=True, method="L-BFGS-B",
                     options=dict(maxiter=4000, maxfun=20000, ftol=1e-12, gtol=1e-8, maxcor=20))
    return found.fun


def fixed(p, say):
    fine, _ = gradus(p, "--tolerance", 1e-8)
    optimum = 0.5 * (fine["lower_bound"] + fine["convex_objective"])
    rows = []
    for tolerance in (1e-3, 1e-6):
        answer, seconds = min((gradus(p, "--tolerance", tolerance) for _ in range(3)), key=lambda r: r[1])
        rows.append((f"gradus, gap {tolerance:g}", seconds, answer["network_objective"]))
    try:
        solve = clarabel_problem(p)
        for tolerance in (1e-3, None):
            found, seconds = cpu(lambda: solve(tolerance))
            rows.append((f"Clarabel, tolerance {tolerance:g}" if tolerance else "Clarabel, default", seconds, found.obj_val))
    except ImportError as error:
        print("skipped:", error, file=sys.stderr)
    try:
        value, seconds = pyscnn(p)
        rows.append(("pyscnn, augmented Lagrangian, defaults", seconds, value))
    except ImportError as error:
        print("skipped:", error, file=sys.stderr)
    for name, seconds, value in rows:
        say(f"| {p.title} | {name} | {seconds:.2f} | {value:.7g} | {value / optimum - 1:.1e} |")


def refine(p, say):
    answer, seconds = gradus(p, "--refine", "--tolerance", 1e-5)
    say(f"| {p.title} | gradus --refine | {seconds:.1f} | {answer['network_objective']:.5f} | pricing ratio {answer['pricing_ratio']:.4f}, test accuracy {answer['test_accuracy']:.3f} |")
    m = 2 * p.D.shape[1]
    found, seconds = cpu(lambda: [adam(p, m, 1, rate) for rate in (0.1, 0.03, 0.01)])
    say(f"| {p.title} | Adam, {m} neurons, best of 3 rates | {seconds:.1f} | {min(found):.5f} | |")
    found, seconds = cpu(lambda: [lbfgs(p, m, seed) for seed in range(3)])
    say(f"| {p.title} | L-BFGS (SciPy), {m} neurons, best of 3 | {seconds:.1f} | {min(found):.5f} | |")


def admm(p, say):
    """Processor time of an iteration: the difference of runs of 4 and of 24 iterations, both repaired once at the end."""
    def run(iterations):
        return min(gradus(p, "--method", "admm", "--tolerance", 0, "--max-iterations", iterations)[1] for _ in range(5))
    few, more = run(4), run(24)
    each = (more - few) / 20
    say(f"| {p.title} | {p.D.shape[1]} | {few + 296 * each:.3f} | {1e3 * each:.3f} |")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--sets", default=",".join(SETS))
    arguments.add_argument("--parts", default="fixed,refine,admm")
    arguments.add_argument("--out")
    arguments = arguments.parse_args()
    lines = []
    def say(line):
        lines.append(line)
        print(line, flush=True)
    problems = [Problem(name) for name in arguments.sets.split(",")]
    heads = {
        "fixed": "| set | program | seconds | objective | excess |\n|---|---|---|---|---|",
        "refine": "| set | program | seconds | objective | |\n|---|---|---|---|---|",
        "admm": "| set | patterns | set-up and 300 iterations (s) | per iteration (ms) |\n|---|---|---|---|",
    }
    for part in arguments.parts.split(","):
        say("\n" + heads[part])
        for problem in problems:
            globals()[part](problem, say)
    for problem in problems:
        os.unlink(problem.file.name)
    if arguments.out:
        pathlib.Path(arguments.out).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
