#!/usr/bin/env python3
"""Matrix completion beside cmfrec, implicit, scikit-surprise and fancyimpute: the same entries, one thread, one run.

    pip install numpy scipy pandas cmfrec implicit scikit-surprise fancyimpute
    cargo build --release
    benches/peers/completion.py [exact,ranks,ratings,threads,large] [--repeat 3] [--jester FILE] [--movielens FILE] [--out results.md]

exact    5000 x 5000, rank 10, 5 % seen, exact values: time to an error of 1e-6 over the whole matrix
ranks    2000 x 2000, 30 % seen, rank 40 (and 80): the same
ratings  a tenth held out; root mean square error there, predictions cut to the range of the training values
threads  ours on `exact` with one thread and two, wall clock
large    10^7 entries, 20000 x 20000, rank 20: time and memory of the whole command, file to model

Times are processor seconds: of the peer's fit within this process, least of --repeat; ours is a process of its own, less the
time of one that reads the same file and then refuses a rank, so that reading counts for neither. Runs are interleaved. The
accuracy is judged here from factors or predictions, for every program. Iteration counts are the least that reach the target;
peers get a ridge of 1e-9 and no biases on exact data. implicit fits another loss: its time alone can be compared. A peer that
is not installed is left out and said so.
"""
import argparse, json, lzma, os, pathlib, resource, subprocess, sys, tempfile, time, warnings

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
import numpy as np
import scipy.sparse as sparse

warnings.filterwarnings("ignore")
COMMAND = str(pathlib.Path(__file__).resolve().parents[2] / "target/release/gradus")
FOLDER = pathlib.Path(tempfile.mkdtemp(prefix="completion-"))


def children():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def run(arguments, threads=1):
    """(processor seconds, peak bytes, JSON) of one command."""
    before = children()
    done = subprocess.run([COMMAND, *map(str, arguments), "--json", "--quiet", "--threads", str(threads)], capture_output=True, text=True)
    seconds = children() - before
    return seconds, json.loads(done.stdout) if done.stdout else done.stderr


class Entries:
    """Observed entries, written once for the command."""

    def __init__(self, name, i, j, v, shape):
        self.i, self.j, self.v, self.shape, self.path = i, j, v, shape, FOLDER / f"{name}.csv"
        with open(self.path, "w") as file:
            file.write("row,col,value\n")
            for s in range(0, len(v), 500000):
                e = s + 500000
                file.write("".join(f"{a},{b},{c!r}\n" for a, b, c in zip(i[s:e].tolist(), j[s:e].tolist(), v[s:e].tolist())))
        self.reading = min(run(["complete", self.path, "--rank", 10**9])[0] for _ in range(3))

    def ours(self, *options):
        """(processor seconds of the solve, JSON)."""
        seconds, answer = run(["complete", self.path, *options])
        return max(seconds - self.reading, 0.0), answer

    def model(self, *options):
        run(["complete", self.path, *options, "--model", FOLDER / "model.json"])
        return json.load(open(FOLDER / "model.json"))

    def sweeps_to(self, target, *options):
        """Sweeps until the error over the solver's own held-out entries, nearly that over the whole matrix, is the target."""
        run(["complete", self.path, *options, "--max-iterations", 60, "--trace", FOLDER / "trace.csv"])
        trace = np.genfromtxt(FOLDER / "trace.csv", delimiter=",", names=True)
        return int(np.argmax(trace["validation_rmse"] <= target * np.sqrt(np.mean(self.v**2))))

    def matrix(self):
        return sparse.coo_matrix((self.v, (self.i, self.j)), shape=self.shape)


def exact(n, k, share, seed=1):
    rng = np.random.default_rng(seed)
    L = np.linalg.qr(rng.standard_normal((n, k)))[0] * (n / np.sqrt(k))
    R = np.linalg.qr(rng.standard_normal((n, k)))[0]
    cells = np.unique(rng.integers(0, n * n, int(1.3 * share * n * n)))
    cells = np.sort(rng.permutation(cells)[: int(share * n * n)])
    i, j = cells // n, cells % n
    v = np.concatenate([np.einsum("ij,ij->i", L[i[s:s + 200000]], R[j[s:s + 200000]]) for s in range(0, len(i), 200000)])
    return Entries(f"exact-{n}-{k}", i, j, v, (n, n)), L, R


def whole_error(L, R, X, Y):
    a, b = np.linalg.qr(np.hstack([L, X]), mode="r"), np.linalg.qr(np.hstack([R, -Y]), mode="r")
    return np.linalg.norm(a @ b.T) / np.linalg.norm(np.linalg.qr(L, mode="r") @ np.linalg.qr(R, mode="r").T)


def factors(model, shape):
    parts = []
    for names, factor, size in ((model["rows"], model["model"]["rows"], shape[0]), (model["columns"], model["model"]["columns"], shape[1])):
        values = np.zeros((size, factor["columns"]))
        values[np.array(names, dtype=int)] = np.array(factor["values"]).reshape(factor["rows"], factor["columns"])
        parts.append(values)
    return parts


def cmfrec(k, cg, iterations, lam=1e-9, ratings=False):
    from cmfrec import CMF
    return CMF(k=k, method="als", use_cg=cg, finalize_chol=False, lambda_=lam, scale_lam=ratings, center=ratings, user_bias=ratings, item_bias=ratings,
               niter=iterations, nthreads=1, verbose=False, use_float=False, precompute_for_predictions=False, random_state=1)


def installed(runs):
    """The runs of cmfrec, none where it is not installed."""
    try:
        import cmfrec  # noqa: F401
    except ImportError as error:
        print("skipped:", error, file=sys.stderr)
        return []
    return runs


def timed(call):
    start = time.process_time()
    result = call()
    return time.process_time() - start, result


def least(rows, name, seconds, sweeps, value):
    old = rows.get(name)
    if old is None or seconds < old[0]:
        rows[name] = (seconds, sweeps, value)


def table(title, header, rows, out):
    text = f"\n{title}\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}\n"
    text += "".join(f"| {' | '.join(row)} |\n" for row in rows)
    print(text, flush=True)
    out.write(text)


def exact_study(title, n, k, share, ours, peers, repeat, out):
    entries, L, R = exact(n, k, share)
    rows = {}
    for _ in range(repeat):
        for name, options in ours:
            options = ["--rank", k, *options]
            if name not in rows:        # the fewest sweeps that reach the target
                sweeps = entries.sweeps_to(0.97e-6, *options, "--tolerance", 1e-8)
                options += ["--tolerance", 0, "--max-iterations", sweeps]
                value = whole_error(L, R, *factors(entries.model(*options), entries.shape))
            else:
                _, sweeps, value = rows[name]
                options += ["--tolerance", 0, "--max-iterations", sweeps]
            seconds, _ = entries.ours(*options)
            least(rows, name, seconds, sweeps, value)
        for name, cg, iterations in installed(peers):
            model = cmfrec(k, cg, iterations)
            seconds, _ = timed(lambda: model.fit(entries.matrix()))
            least(rows, name, seconds, iterations, whole_error(L, R, model.A_, model.B_))
    if k == 10:
        others(entries, L, R, rows, k)
    table(title, [f"{n} x {n}, rank {k}", "sweeps", "seconds", "error"],
          [[name, str(s), f"{t:.3f}", e if isinstance(e, str) else f"{e:.1e}"] for name, (t, s, e) in rows.items()], out)
    return entries


def others(entries, L, R, rows, k):
    try:
        import pandas, surprise
        data = surprise.Dataset.load_from_df(pandas.DataFrame(dict(u=entries.i, i=entries.j, r=entries.v)), surprise.Reader(rating_scale=(entries.v.min(), entries.v.max())))
        train = data.build_full_trainset()
        model = surprise.SVD(n_factors=k, random_state=1, biased=False, reg_all=1e-9)
        seconds, _ = timed(lambda: model.fit(train))
        X, Y = np.zeros((entries.shape[0], k)), np.zeros((entries.shape[1], k))
        for q in range(train.n_users): X[train.to_raw_uid(q)] = model.pu[q]
        for q in range(train.n_items): Y[train.to_raw_iid(q)] = model.qi[q]
        rows["scikit-surprise SVD"] = (seconds, 20, whole_error(L, R, X, Y))
    except ImportError as error:
        print("skipped:", error, file=sys.stderr)
    try:
        import implicit
        B = entries.matrix().tocsr(); B.data = np.abs(B.data) + 1e-3
        model = implicit.als.AlternatingLeastSquares(factors=k, regularization=.05, iterations=15, use_cg=True, num_threads=1, random_state=1, dtype=np.float64)
        seconds, _ = timed(lambda: model.fit(B, show_progress=False))
        rows["implicit CG"] = (seconds, 15, "another loss")
    except ImportError as error:
        print("skipped:", error, file=sys.stderr)


def read_ratings(path):
    with lzma.open(path, "rt") if str(path).endswith(".xz") else open(path) as file:
        data = np.loadtxt(file, usecols=(0, 1, 2))
    return np.unique(data[:, 0], return_inverse=True)[1], np.unique(data[:, 1], return_inverse=True)[1], data[:, 2]


def ratings_study(name, path, lams, shrinkage, repeat, out):
    i, j, v = read_ratings(path)
    test = np.random.default_rng(1).random(len(v)) < 0.1
    shape = (i.max() + 1, j.max() + 1)
    train = Entries(name, i[~test], j[~test], v[~test], shape)
    held = Entries(f"{name}-test", i[test], j[test], v[test], shape)
    low, high = train.v.min(), train.v.max()
    judge = lambda p: float(np.sqrt(np.mean((np.clip(p, low, high) - held.v) ** 2)))
    rows = {}
    for _ in range(repeat):
        for sweeps in (5, 10, 15, 30):
            for lam in lams:
                seconds, answer = train.ours("--rank", 10, "--ridge", lam, "--test", held.path, "--max-iterations", sweeps)
                least(rows, f"gradus, ridge {lam}, {sweeps} sweeps", seconds, sweeps, answer["test_rmse"])
        seconds, answer = train.ours("--rank", 10, "--ridge", "auto", "--test", held.path, "--max-iterations", 15)
        least(rows, f"gradus, ridge auto ({answer['ridge']:.3f}), 15 sweeps", seconds, 15, answer["test_rmse"])
        for lam in lams:
            for name, cg in installed([("Cholesky", False), ("CG", True)]):
                model = cmfrec(10, cg, 15, lam, True)
                seconds, _ = timed(lambda: model.fit(train.matrix()))
                least(rows, f"cmfrec {name}, lambda {lam}", seconds, 15, judge(model.predict(held.i, held.j)))
    try:
        import pandas, surprise
        data = surprise.Dataset.load_from_df(pandas.DataFrame(dict(u=train.i, i=train.j, r=train.v)), surprise.Reader(rating_scale=(low, high))).build_full_trainset()
        model = surprise.SVD(n_factors=10, random_state=1)
        seconds, _ = timed(lambda: model.fit(data))
        least(rows, "scikit-surprise SVD", seconds, 20, judge(np.array([model.predict(a, b).est for a, b in zip(held.i, held.j)])))
    except ImportError as error:
        print("skipped:", error, file=sys.stderr)
    try:
        seconds, value = soft_impute(train, held, shrinkage, judge)
        least(rows, f"fancyimpute SoftImpute, shrinkage {shrinkage}", seconds, 15, value)
    except Exception as error:  # an old dependency of fancyimpute may fail in many ways
        print("skipped: fancyimpute:", error, file=sys.stderr)
    table(f"{name}: {len(train.v)} ratings, {len(held.v)} held out", [name, "seconds", "held-out rmse"],
          [[n, f"{t:.3f}", f"{e:.4f}"] for n, (t, _, e) in rows.items()], out)


def soft_impute(train, held, shrinkage, judge):
    import sklearn.utils.validation as validation

    def renamed(check):
        def call(*a, **k):
            if "force_all_finite" in k: k["ensure_all_finite"] = k.pop("force_all_finite")
            return check(*a, **k)
        return call
    import fancyimpute.soft_impute as soft, fancyimpute.solver as solver
    for module in (soft, solver):
        if hasattr(module, "check_array"): module.check_array = renamed(validation.check_array)
    mean = train.v.mean()
    r = train.v - mean
    c = np.bincount(train.j, r, train.shape[1]) / (np.bincount(train.j, minlength=train.shape[1]) + 10)
    r = r - c[train.j]
    b = np.bincount(train.i, r, train.shape[0]) / (np.bincount(train.i, minlength=train.shape[0]) + 15)
    dense = np.full(train.shape, np.nan)
    dense[train.i, train.j] = r - b[train.i]
    model = soft.SoftImpute(shrinkage_value=shrinkage, max_rank=10, max_iters=15, init_fill_method="zero", convergence_threshold=1e-5, verbose=False)
    seconds, filled = timed(lambda: model.fit_transform(dense))
    return seconds, judge(mean + c[held.j] + b[held.i] + filled[held.i, held.j])


def threads_study(repeat, out):
    entries, _, _ = exact(5000, 10, 0.05)
    walls = {}
    for _ in range(max(repeat, 5)):
        for threads in (1, 2):
            _, answer = run(["complete", entries.path, "--rank", 10, "--tolerance", 0, "--max-iterations", 14], threads)
            walls[threads] = min(walls.get(threads, 1e9), answer["seconds"])
    table("Two threads, 14 sweeps of the first problem, wall clock", ["threads", "seconds"], [[str(t), f"{w:.3f}"] for t, w in walls.items()], out)


def large_study(out):
    n, k, z = 20000, 20, 10**7
    rng = np.random.default_rng(1)
    L, R = rng.standard_normal((n, k)) / np.sqrt(k), rng.standard_normal((n, k))
    cells = np.unique(rng.integers(0, n * n, int(1.05 * z)))[:]
    cells = np.sort(rng.permutation(cells)[:z])
    i, j = cells // n, cells % n
    path = FOLDER / "large.csv"
    with open(path, "w") as file:
        for s in range(0, z, 500000):
            e = s + 500000
            v = np.einsum("ij,ij->i", L[i[s:e]], R[j[s:e]]) + 0.1 * rng.standard_normal(len(i[s:e]))
            file.write("".join(f"{a},{b},{c:.6g}\n" for a, b, c in zip(i[s:e].tolist(), j[s:e].tolist(), v.tolist())))
    before = children()
    child = subprocess.Popen([COMMAND, "complete", str(path), "--rank", str(k), "--holdout", "0.01", "--tolerance", "1e-5", "--json", "--quiet", "--threads", "2"],
                             stdout=subprocess.PIPE, text=True)
    text = child.stdout.read()
    _, _, usage = os.wait4(child.pid, 0)
    answer = json.loads(text)
    table("10^7 entries, 20000 x 20000, rank 20, noise 0.1, two threads", ["reading (s)", "solve (s)", "sweeps", "processor (s)", "peak memory (MB)", "held-out rmse"],
          [[f"{answer['read_seconds']:.1f}", f"{answer['seconds']:.1f}", str(answer["iterations"]), f"{usage.ru_utime + usage.ru_stime:.1f}", f"{usage.ru_maxrss / 1024:.0f}", f"{answer['test_rmse']:.5f}"]], out)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("studies", nargs="?", default="exact,ranks,ratings,threads,large")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--jester"); parser.add_argument("--movielens"); parser.add_argument("--out", default="/dev/null")
    parser.add_argument("--eighty", action="store_true", help="rank 80 too, with peers")
    a = parser.parse_args()
    studies = a.studies.split(",")
    kinds = [("gradus", []), ("gradus als-exact", ["--method", "als-exact"]), ("gradus als-cg", ["--method", "als-cg"]), ("gradus als-sketch", ["--method", "als-sketch"])]
    with open(a.out, "w") as out:
        if "exact" in studies:
            exact_study("5000 x 5000, rank 10, 5 % seen", 5000, 10, 0.05, kinds, [("cmfrec Cholesky", False, 10), ("cmfrec CG", True, 12)], a.repeat, out)
        if "ranks" in studies:
            exact_study("2000 x 2000, rank 40, 30 % seen", 2000, 40, 0.3, kinds, [("cmfrec Cholesky", False, 10), ("cmfrec CG", True, 10)], a.repeat, out)
            peers = [("cmfrec Cholesky", False, 15), ("cmfrec CG", True, 15)] if a.eighty else []
            exact_study("2000 x 2000, rank 80, 30 % seen", 2000, 80, 0.3, kinds, peers, 1, out)
        if "ratings" in studies and a.jester:
            ratings_study("jester", a.jester, (0.2, 0.3), 200, a.repeat, out)
        if "ratings" in studies and a.movielens:
            ratings_study("movielens", a.movielens, (0.1, 0.13), 20, a.repeat, out)
        if "threads" in studies:
            threads_study(a.repeat, out)
        if "large" in studies:
            large_study(out)


if __name__ == "__main__":
    main()
