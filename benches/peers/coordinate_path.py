#!/usr/bin/env python3
"""A lasso path of 100 values beside celer and scikit-learn: the same values, one thread, gaps judged here.

    pip install numpy scikit-learn celer
    cargo build --release
    benches/peers/coordinate_path.py FOLDER/leukemia-ALLAML.xz [--repeat 3]

||y - Xw||^2 / (2n) + l1 ||w||_1, y centred, l1 from l1_max to 0.01 l1_max, logarithmic. The gap is relative to the objective
at 0; every value counts. Ours: the seconds that the command reports, every value at most 1e-8; the gaps are its own, which
its tests compare with independent optima. Times are the least of --repeat, taken in turn.
"""
import argparse, json, lzma, os, pathlib, subprocess, sys, time, warnings

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1", NUMBA_NUM_THREADS="1")
import numpy as np
from sklearn.datasets import load_svmlight_file
from sklearn.linear_model import lasso_path

try:
    from celer import celer_path
except ImportError as error:
    print("skipped:", error, file=sys.stderr)
    celer_path = None

warnings.filterwarnings("ignore")
COMMAND = pathlib.Path(__file__).resolve().parents[2] / "target/release/gradus"


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("file", type=pathlib.Path)
    arguments.add_argument("--repeat", type=int, default=3)
    arguments = arguments.parse_args()
    with (lzma.open if arguments.file.suffix == ".xz" else open)(arguments.file, "rb") as file:
        X, y = load_svmlight_file(file)
    X, y, n = np.asfortranarray(X.toarray()), y - y.mean(), X.shape[0]
    l1_max = np.abs(X.T @ y).max() / n
    alphas = l1_max * np.logspace(0, -2, 100)

    def worst(coefficients):
        gaps = []
        for l1, w in zip(alphas, coefficients.T):
            r = y - X @ w
            t = r / n * min(1.0, l1 / max(np.abs(X.T @ r).max() / n, 1e-300))
            gaps.append(r @ r / (2 * n) + l1 * np.abs(w).sum() - (t @ y - n / 2 * (t @ t)))
        return max(gaps) / (y @ y / (2 * n))

    runs = {}
    for tolerance in [1e-6, 1e-8, 1e-10]:
        runs[f"scikit-learn lasso_path {tolerance:g}"] = lambda t=tolerance: lasso_path(X, y, alphas=alphas, tol=t, max_iter=10**6)[1]
        if celer_path:
            runs[f"celer_path {tolerance:g}"] = lambda t=tolerance: celer_path(X, y, "lasso", alphas=alphas, tol=t)[1]
    if celer_path:
        celer_path(X[:, :200].copy(order="F"), y, "lasso", alphas=alphas, tol=1e-3)
    times, gaps = {}, {}
    for _ in range(arguments.repeat):
        command = [COMMAND, "fit", arguments.file, "--loss", "squared", "--center", "--path", "100", "--tolerance", "1e-8", "--threads", "1", "--json"]
        object = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        times.setdefault("gradus 1e-8", []).append(object["seconds"])
        gaps["gradus 1e-8"] = max(point["certificate"] for point in object["path"])
        for name, run in runs.items():
            start = time.perf_counter()
            coefficients = run()
            times.setdefault(name, []).append(time.perf_counter() - start)
            gaps[name] = worst(coefficients)
    print("| program and tolerance | seconds | worst gap |\n|---|---|---|")
    for name, seconds in times.items():
        print(f"| {name} | {min(seconds):.3f} | {gaps[name]:.1e} |")


if __name__ == "__main__":
    main()
