#!/usr/bin/env python3
"""Optimal transport beside POT, RegOT and OTT-JAX: the same problems, one thread, one run.

    pip install numpy pot regot ott-jax
    cargo build --release
    benches/peers/transport.py [--names points-500 ...] [--regs 1e-2 1e-3 1e-4] [--tolerance 1e-10] [--budget 10] [--out results.md]

Problems: min <C,P> + reg sum P (log P - 1), rows a, columns b; C divided by its maximum. The command writes its own cost, so
that all programs work on the same numbers (families: see `src/transport/instances.rs`; built here again from their recipe).
Error: L1 of both marginals, computed here from the plan (ours: from the potentials). Peers stop by the L2 norm of one
marginal (POT), L1 of one marginal (OTT) or the L2 norm of the gradient (RegOT); their tolerances are converted so that the
L1 error follows. Times: processor seconds. Ours: those of the whole process, its start and the making of the problem
included; a peer's: those of the solve, after a warm-up of the same function. `x!` is the error where a program stopped.
"""
import argparse, json, os, pathlib, resource, subprocess, tempfile, time, warnings

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1", RAYON_NUM_THREADS="1",
                  XLA_FLAGS="--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
import numpy as np

warnings.filterwarnings("ignore")
COMMAND = pathlib.Path(__file__).resolve().parents[2] / "target/release/gradus"
DIGITS = ("005D910000DFAF5003F20B8004C008800580098004B01C7002E5AC00006DA000", "000CD500000BG900003FG60007FGG200001GG300001GG600001GG600000BGA00")


def draws(seed, k):
    """The first k draws of splitmix64 as integers."""
    with np.errstate(over="ignore"):
        s = np.uint64(seed) + np.arange(1, k + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (s ^ (s >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return (z ^ (z >> np.uint64(31))) >> np.uint64(11)


def normals(bits):
    r = np.sqrt(-2 * np.log((bits[0::2].astype(float) + 1) / 2**53))
    angle = 2 * np.pi * bits[1::2].astype(float) / 2**53
    return np.stack([r * np.cos(angle), r * np.sin(angle)], 1).ravel()


def digit(text, size):
    v = np.array([int(c, 17) for c in text], float).reshape(8, 8)
    t = np.clip((np.arange(size) + 0.5) * 8 / size - 0.5, 0, 7)
    i = np.minimum(t.astype(int), 6)
    w = t - i
    rows = v[i] * (1 - w)[:, None] + v[i + 1] * w[:, None]
    p = (rows[:, i] * (1 - w) + rows[:, i + 1] * w).ravel()
    p /= p.sum()
    return (1 - 0.00125) * p + 0.00125 / p.size


def instance(name):
    family, n, *seed = name.split("-")
    n, seed = int(n), int(seed[0]) if seed else 1
    a = b = np.full(n, 1.0 / n)
    squared = lambda X, Y: ((X[:, None, :] - Y[None, :, :]) ** 2).sum(2)
    if family == "assignment":
        C = (draws(seed, n * n).astype(float) / 2**53).reshape(n, n)
    elif family in ("points", "cloud8"):
        d = 2 if family == "points" else 8
        bits = draws(seed, 2 * d * n)
        X = bits[: d * n].astype(float) / 2**53 if d == 2 else normals(bits[: d * n])
        C = squared(X.reshape(n, d), 0.5 + (0.15 if d == 2 else 0.8) * normals(bits[d * n :]).reshape(n, d))
    elif family in ("digits1", "digits2"):
        X = np.stack(np.divmod(np.arange(n * n), n), 1).astype(float)
        C = squared(X, X) if family == "digits2" else np.abs(X[:, None] - X[None]).sum(2)
        a, b = digit(DIGITS[0], n), digit(DIGITS[1], n)
    else:
        x = 5.0 * np.arange(n) / (n - 1)
        bell = lambda m, s: np.exp(-0.5 * ((x - m) / s) ** 2) / s
        a, b = np.exp(-x), 0.2 * bell(1, 0.2) + 0.8 * bell(3, 0.5)
        a, b, C = a / a.sum(), b / b.sum(), (x[:, None] - x[None]) ** 2
    return C / C.max(), a, b


def error(P, a, b):
    return float(np.abs(P.sum(1) - a).sum() + np.abs(P.sum(0) - b).sum())


def ours(method, name, problem, reg, tolerance, budget, repeat=3):
    C, a, b = problem
    best, info = np.inf, None
    with tempfile.TemporaryDirectory() as folder:
        line = [COMMAND, "transport", "--instance", name, "--regularization", repr(reg), "--tolerance", repr(tolerance), "--method", method,
                "--threads", "1", "--json", "--time-limit", str(20 * budget), "--max-iterations", "1000000" if method == "sinkhorn" else "1000"]
        for k in range(repeat):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            text = subprocess.run(line, capture_output=True, text=True).stdout
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            best = min(best, spent)
            if spent > 1:
                break
        info = json.loads(text)
        path = os.path.join(folder, "f.npy")
        subprocess.run(line + ["--potentials", path], capture_output=True)
        z = np.load(path)
    f, g = z[: len(a)], z[len(a) :]
    P = np.exp((f[:, None] + g[None, :] - C) / reg)
    count = info["counts"]["evaluations"] if method == "auto" and info["counts"]["evaluations"] > 4 else info["iterations"]
    return best, count, error(P, a, b)


def pot(problem, reg, tolerance, budget):
    import ot
    C, a, b = problem
    start = time.process_time()
    ot.sinkhorn(a, b, C, reg, numItermax=20, stopThr=0, warn=False)
    per = (time.process_time() - start) / 20
    start = time.process_time()
    P, log = ot.sinkhorn(a, b, C, reg, numItermax=max(20, int(budget / per)), stopThr=tolerance / np.sqrt(len(a)), log=True, warn=False)
    return time.process_time() - start, int(log.get("niter", -1)) + 1, error(P, a, b)


def regot(function):
    def run(problem, reg, tolerance, budget):
        import regot as package
        C, a, b = problem
        start = time.process_time()
        r = getattr(package, function)(C, a, b, reg, tol=tolerance / np.sqrt(2 * len(a) - 1), max_iter=1000)
        return time.process_time() - start, int(r.niter), error(np.array(r.plan), a, b)
    return run


def ott(problem, reg, tolerance, budget):
    import jax
    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp
    from ott.geometry import geometry
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn
    C, a, b = problem
    p = linear_problem.LinearProblem(geometry.Geometry(cost_matrix=jnp.asarray(C), epsilon=reg), a=jnp.asarray(a), b=jnp.asarray(b))
    def solve(iterations):
        return jax.jit(sinkhorn.Sinkhorn(threshold=tolerance / 2, max_iterations=iterations, inner_iterations=10)).lower(p).compile()
    f = solve(20)
    f(p).f.block_until_ready()
    start = time.process_time()
    f(p).f.block_until_ready()
    per = (time.process_time() - start) / 20
    f = solve(max(20, int(budget / per) // 10 * 10))
    start = time.process_time()
    out = f(p)
    out.f.block_until_ready()
    return time.process_time() - start, int(out.n_iters), error(np.array(out.matrix), a, b)


PEERS = {"POT sinkhorn": pot, "RegOT SSNS": regot("sinkhorn_ssns"), "RegOT SPLR": regot("sinkhorn_splr"), "OTT-JAX": ott}
OURS = {"auto": "auto", "sinkhorn": "sinkhorn", "safe-newton": "safe-newton", "low-rank": "low-rank"}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--names", nargs="*", default=["assignment-500", "points-500", "cloud8-500", "digits2-22", "digits1-22", "expnorm-500"])
    parser.add_argument("--regs", nargs="*", type=float, default=[1e-2, 1e-3, 1e-4])
    parser.add_argument("--tolerance", type=float, default=1e-10)
    parser.add_argument("--budget", type=float, default=10)
    parser.add_argument("--ours", nargs="*", default=list(OURS))
    parser.add_argument("--peers", nargs="*", default=list(PEERS))
    parser.add_argument("--out")
    options = parser.parse_args()
    lines = ["| problem, eps | " + " | ".join(options.ours + options.peers) + " |", "|---" * (1 + len(options.ours) + len(options.peers)) + "|"]
    print("\n".join(lines), flush=True)
    for name in options.names:
        problem = instance(name)
        for reg in options.regs:
            cells = []
            for which in options.ours + options.peers:
                try:
                    if which in OURS:
                        spent, count, reached = ours(OURS[which], name, problem, reg, options.tolerance, options.budget)
                    else:
                        spent, count, reached = PEERS[which](problem, reg, options.tolerance, options.budget)
                    # rounding of the check itself is allowed
                    ok = reached <= options.tolerance * 1.01 + 1e-13
                    cells.append(f"{spent:.3f}/{count}" + ("" if ok else f" {reached:.0e}!"))
                except Exception as flaw:  # a peer that is missing or fails says so in its cell
                    cells.append(type(flaw).__name__)
            lines.append(f"| {name}, {reg:g} | " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    if options.out:
        pathlib.Path(options.out).write_text("\n".join(lines) + "\n")


main()
