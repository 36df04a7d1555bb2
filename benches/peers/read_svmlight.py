#!/usr/bin/env python3
"""Reading LIBSVM text beside scikit-learn: the same file, one thread, one run.

    pip install numpy scipy scikit-learn
    benches/peers/read_svmlight.py FILE [REPEAT]

Seconds are the least of REPEAT reads from a warm file cache, the two programs in turn; memory is the peak of a fresh
process above what it had before its first read, over the bytes of the arrays it returns. A file that ends in .xz is
unpacked first.
"""
import json, lzma, os, pathlib, resource, shutil, subprocess, sys, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def peer(path, repeat):
    from sklearn.datasets import load_svmlight_file
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    least, peak = float("inf"), None
    for _ in range(repeat):
        start = time.perf_counter()
        X, y = load_svmlight_file(path)
        least = min(least, time.perf_counter() - start)
        peak = peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    arrays = X.data.nbytes + X.indices.nbytes + X.indptr.nbytes + y.nbytes
    print(json.dumps({"seconds": least, "megabytes": arrays / 1e6, "peak_over_arrays": 1024 * (peak - before) / arrays}))


def main():
    if sys.argv[1] == "--peer":
        return peer(sys.argv[2], int(sys.argv[3]))
    path, repeat = os.path.abspath(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "5"
    if path.endswith(".xz"):
        with tempfile.TemporaryDirectory() as folder:
            plain = os.path.join(folder, os.path.basename(path)[:-3])
            with lzma.open(path) as packed, open(plain, "wb") as file:
                shutil.copyfileobj(packed, file)
            return compare(plain, repeat)
    compare(path, repeat)


def compare(path, repeat):
    environment = dict(os.environ, RAYON_NUM_THREADS="1", OMP_NUM_THREADS="1")
    programs = {
        "gradus": ["cargo", "bench", "--quiet", "--bench", "read", "--", path, repeat],
        "scikit-learn, load_svmlight_file": [sys.executable, __file__, "--peer", path, repeat],
    }
    best = {}
    for _ in range(3):
        for name, command in programs.items():
            out = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True).stdout
            result = json.loads(out.strip().splitlines()[-1])
            if name not in best or result["seconds"] < best[name]["seconds"]:
                best[name] = result
    print("| program | time | memory |\n|---|---|---|")
    for name, result in best.items():
        print(f"| {name} | {1e3 * result['seconds']:.1f} ms | {result['peak_over_arrays']:.2f} |")
    print(f"\ntimes faster: {best['scikit-learn, load_svmlight_file']['seconds'] / best['gradus']['seconds']:.1f}")


if __name__ == "__main__":
    main()
