#!/usr/bin/env python3
"""Target-space surrogates beside SGD, SLS, Adam, Adagrad, SVRG, L-BFGS and scikit-learn: oracle calls and seconds.

    pip install numpy scipy scikit-learn
    cargo build --release
    benches/peers/surrogate.py FOLDER [--sets mushrooms,a9a,w8a] [--repeat 3] [--part batches,full,price] [--out results.md]

FOLDER holds LIBSVM text: mushrooms, a9a, w8a, plain or .xz. Row i with i mod 5 = 4 is held out, a column of ones appended,
theta starts at 0, h is the mean logistic loss. Batches of 125, one splitmix64 stream with seed 1: every program visits the
same samples in the same order. "x %": the first epoch (all samples: call) whose h is within x % of the first gap of the
optimum. Methods with a step: the best of a grid by last loss, or for the automatic mode none. A peer written here runs in
numpy on scipy's sparse rows, one thread, and its process time is taken without evaluations; ours is the time of a process
that ends there less that of one that ends at the start, the least of --repeat. "price": seconds to 0.1 % by batches if each
call took 10 ms more.
"""
import argparse, csv, lzma, os, pathlib, resource, subprocess, tempfile, time, warnings

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
import numpy as np
import scipy.sparse as sparse
from sklearn.datasets import load_svmlight_file
from sklearn.linear_model import LogisticRegression

warnings.filterwarnings("ignore")
COMMAND = pathlib.Path(__file__).resolve().parents[2] / "target/release/gradus"
BATCH, LEVELS = 125, (0.01, 0.001, 1e-6)
EPOCHS = {"mushrooms": 10, "a9a": 10, "w8a": 5}
RATES = [0.01, 0.1, 1.0, 10.0]


class Problem:
    """Training rows of one set."""

    def __init__(self, folder, name):
        self.path = next(p for p in (folder / name, folder / f"{name}.xz") if p.exists())
        with (lzma.open if self.path.suffix == ".xz" else open)(self.path, "rb") as file:
            X, y = load_svmlight_file(file)
        X = sparse.hstack([X, np.ones((X.shape[0], 1))]).tocsr()
        keep = np.arange(X.shape[0]) % 5 != 4
        self.X, self.y = X[keep], (y[keep] == y.max()).astype(float)
        self.n, self.d = self.X.shape
        self.name, self.start = name, np.log(2)

    def loss(self, theta):
        z = self.X @ theta
        return float((np.logaddexp(0, z) - self.y * z).mean())

    def orders(self, epochs):
        mask, state = (1 << 64) - 1, 1
        for _ in range(epochs):
            p = np.arange(self.n)
            for i in range(self.n - 1, 0, -1):
                state = (state + 0x9E3779B97F4A7C15) & mask
                z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
                z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
                j = (z ^ (z >> 31)) % (i + 1)
                p[i], p[j] = p[j], p[i]
            yield [p[k:k + BATCH] for k in range(0, self.n - BATCH + 1, BATCH)]


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def numpy_peer(problem, kind, rate, orders):
    """Trace of (calls, seconds, loss) of a method in parameter space."""
    theta, first, second = np.zeros(problem.d), np.zeros(problem.d), np.zeros(problem.d)
    step, calls, seconds, last, trace = 0, 0, 0.0, 1.0, []
    for batches in orders:
        started = time.process_time()
        if kind == "SVRG":
            snapshot = theta.copy()
            mean = problem.X.T @ (sigmoid(problem.X @ snapshot) - problem.y) / problem.n
            calls += len(batches)
        for rows in batches:
            step += 1
            calls += 1
            X, y = problem.X[rows], problem.y[rows]
            z = X @ theta
            v = X.T @ (sigmoid(z) - y) / len(y)
            if kind == "SGD":
                theta -= rate * v
            elif kind == "SLS":
                image, value, last = X @ v, (np.logaddexp(0, z) - y * z).mean(), min(last * 2 ** (BATCH / problem.n), 1e6)
                for _ in range(100):
                    moved = z - last * image
                    if (np.logaddexp(0, moved) - y * moved).mean() <= value - rate * last * (v @ v):
                        break
                    last *= 0.9
                theta -= last * v
            elif kind == "Adagrad":
                second += v * v
                theta -= rate * v / (np.sqrt(second) + 1e-10)
            elif kind == "Adam":
                first, second = 0.9 * first + 0.1 * v, 0.999 * second + 0.001 * v * v
                theta -= rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
            else:
                calls += 1
                theta -= rate * (v - X.T @ (sigmoid(X @ snapshot) - y) / len(y) + mean)
        seconds += time.process_time() - started
        trace.append((calls, seconds, problem.loss(theta)))
        if not np.isfinite(trace[-1][2]):
            break
    return trace


def ours(problem, options, repeat, epochs, full=False):
    """The same from the command. Seconds are found when asked for: processor time of a run that ends there, less that of
    one that ends at the start, the least of several each."""
    command = [COMMAND, "fit", problem.path, "--loss", "logistic", "--method", "surrogate", "--bias", "--test-every", "5", "--order",
               "splitmix", "--seed", "1", "--epochs", str(epochs), "--tolerance", "1e-14", "--threads", "1", "--json", "--quiet"]
    command += options.split() + ([] if full else ["--batch", str(BATCH)])
    with tempfile.TemporaryDirectory() as folder:
        trace = pathlib.Path(folder) / "trace.csv"
        if subprocess.run([*command, "--trace", trace], capture_output=True).returncode not in (0, 3):
            return None
        rows = list(csv.DictReader(open(trace)))[1:]

    def spent(iterations):
        least = np.inf
        for _ in range(repeat):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([*command, "--max-iterations", str(iterations)], capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            least = min(least, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return least
    seconds = lambda iterations: lambda: max(spent(iterations) - spent(0), 0.0)
    return [(int(float(r["evaluations"])), seconds(k), float(r["objective"])) for k, r in enumerate(rows, 1)]


def reached(problem, trace, level):
    goal = problem.optimum + level * (problem.start - problem.optimum)
    for calls, seconds, loss in trace:
        if loss <= goal:
            return calls, seconds() if callable(seconds) else seconds
    return None


def line(problem, name, trace, loss=True):
    cells = [f"{hit[0]} / {1e3 * hit[1]:.1f} ms" if hit else "-" for hit in (reached(problem, trace, level) for level in LEVELS)]
    return " | ".join([f"| {problem.name} | {name}", *([f"{trace[-1][2]:.7g}"] if loss else []), *cells]) + " |"


def tuned(runs):
    """The run with the lowest last loss, by name of its step."""
    runs = {step: run for step, run in runs.items() if run and np.isfinite(run[-1][2])}
    step = min(runs, key=lambda step: runs[step][-1][2])
    return step, runs[step]


def batches(problem, repeat, say):
    epochs = EPOCHS[problem.name]
    orders = list(problem.orders(epochs))
    results = {}
    grid = {
        "surrogate, 1 step": {f"eta {e}": f"--algorithm surrogate --inner gradient --inner-steps 1 --eta {e}" for e in (1, 2, 4)},
        "surrogate, 10 steps": {f"eta {e}": f"--algorithm surrogate --inner gradient --eta {e}" for e in (1, 2, 4)},
        "surrogate, 10 steps, shrinking": {f"eta {e}": f"--algorithm surrogate --inner gradient --schedule exponential --eta {e}" for e in (4, 7.6)},
        "surrogate, 10 steps, searched": {f"c {c}": f"--algorithm surrogate --inner gradient --eta-search {c}" for c in (0.1, 0.5)},
        "surrogate, conjugate gradients, searched": {f"m {m}": f"--algorithm surrogate --inner-steps {m} --eta-search 0.1" for m in (3, 4)},
        "population, shrinking": {f"{r}/L": f"--algorithm population --schedule exponential --rate {r}" for r in (0.1, 0.3, 1)},
        "population, SVRG": {f"{r}/L": f"--algorithm population-svrg --rate {r}" for r in (0.03, 0.1, 1)},
        "refreshed, SVRG": {f"{r}": f"--algorithm refreshed-svrg --rate {r}" for r in (0.03, 1)},
        "aggregated": {"no step": "--algorithm aggregated"},
        "automatic": {"no step": "--algorithm auto"},
    }
    for name, options in grid.items():
        step, trace = tuned({step: ours(problem, option, repeat, epochs) for step, option in options.items()})
        results[name if step == "no step" else f"{name} ({step})"] = trace
    for kind in ("SGD", "SLS", "Adam", "Adagrad", "SVRG"):
        step, trace = tuned({r: numpy_peer(problem, kind, r, orders) for r in ([0.1, 0.5] if kind == "SLS" else RATES)})
        results[f"{kind} (numpy, {step:g})"] = trace
    for name, trace in results.items():
        say(line(problem, name, trace))
    return results


def full(problem, repeat, say):
    for name, options in {
        "exact": "--algorithm exact", "accelerated": "--algorithm accelerated", "refreshed": "--algorithm refreshed",
        "surrogate, 10 steps, searched": "--algorithm surrogate --inner gradient --eta-search 0.5",
        "gradient descent": "--algorithm sgd --rate 1", "Adam": "--algorithm adam --rate 0.1",
    }.items():
        say(line(problem, name, ours(problem, options, repeat, 100, full=True), loss=False))
    say(line(problem, "L-BFGS (numpy)", lbfgs(problem, 60), loss=False))
    for solver in ("lbfgs", "newton-cholesky"):
        started = time.process_time()
        model = LogisticRegression(C=1e8, solver=solver, max_iter=300, tol=1e-8, fit_intercept=False).fit(problem.X, problem.y)
        seconds = time.process_time() - started
        say(f"| {problem.name} | scikit-learn {solver}, {int(np.max(model.n_iter_))} iterations | | {1e3 * seconds:.0f} ms in all | |")


def lbfgs(problem, calls):
    """L-BFGS with a scalar first matrix and a weak Wolfe search on stored margins."""
    theta, z, pairs, trace, seconds = np.zeros(problem.d), np.zeros(problem.n), [], [], 0.0
    value = lambda z: (np.logaddexp(0, z) - problem.y * z).mean()
    slope = lambda z: (sigmoid(z) - problem.y) / problem.n
    for call in range(1, calls + 1):
        started = time.process_time()
        v = problem.X.T @ slope(z)
        if call > 1:
            change = v - before
            if step @ change > 0:
                pairs = (pairs + [(step, change)])[-10:]
        q, alphas = v.copy(), []
        for s, y in reversed(pairs):
            alphas.append((s @ q) / (s @ y))
            q -= alphas[-1] * y
        q *= (pairs[-1][0] @ pairs[-1][1]) / (pairs[-1][1] @ pairs[-1][1]) if pairs else 1 / np.linalg.norm(v)
        for (s, y), alpha in zip(pairs, reversed(alphas)):
            q += s * (alpha - (y @ q) / (s @ y))
        image, low, high, t, h, down = -(problem.X @ q), 0.0, np.inf, 1.0, value(z), -(v @ q)
        for _ in range(40):
            moved = z + t * image
            if value(moved) > h + 1e-4 * t * down:
                high = t
            elif slope(moved) @ image < 0.9 * down:
                low = t
            else:
                break
            t = 2 * low if high == np.inf else (low + high) / 2
        step, before, theta, z = -t * q, v, theta - t * q, z + t * image
        seconds += time.process_time() - started
        trace.append((call, seconds, problem.loss(theta)))
    return trace


def priced(problem, results, say):
    """Seconds to 0.1 % with 10 ms for each call."""
    hits = {name: reached(problem, trace, 0.001) for name, trace in results.items()}
    rows = sorted((hit[0] * 0.01 + hit[1], name) for name, hit in hits.items() if hit)
    for seconds, name in rows:
        say(f"| {problem.name} | {name} | {seconds:.2f} |")


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("folder", type=pathlib.Path)
    arguments.add_argument("--sets", default="mushrooms,a9a,w8a")
    arguments.add_argument("--repeat", type=int, default=3)
    arguments.add_argument("--part", default="batches,full")
    arguments.add_argument("--out")
    arguments = arguments.parse_args()
    lines, parts = [], arguments.part.split(",")

    def say(text):
        print(text, flush=True)
        lines.append(text)
    problems, results = [Problem(arguments.folder, name) for name in arguments.sets.split(",")], {}
    for problem in problems:
        problem.optimum = min(loss for _, _, loss in ours(problem, "--algorithm refreshed", 1, 200, full=True))
        problem.optimum = 0.0 if problem.optimum < 1e-6 else problem.optimum
    if "batches" in parts or "price" in parts:
        say("| set | method | last loss | 1 % | 0.1 % | 1e-6 |\n|---|---|---|---|---|---|")
        for problem in problems:
            results[problem] = batches(problem, arguments.repeat, say)
    if "price" in parts:
        say("\n| set | method | seconds to 0.1 %, 10 ms a call |\n|---|---|---|")
        for problem in problems:
            priced(problem, results[problem], say)
    if "full" in parts:
        say("\n| set | method | 1 % | 0.1 % | 1e-6 |\n|---|---|---|---|---|")
        for problem in problems:
            full(problem, arguments.repeat, say)
    if arguments.out:
        pathlib.Path(arguments.out).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
