#!/usr/bin/env python3
"""Every problem of a folder of SIF files through the interior point, one thread, beside Ipopt's recorded results.

    python3 benches/peers/nlp_collection.py FOLDER [--limit 20] [--peers RESULTS.json] [--rows ROWS.jsonl] [--out docs/nlp-collection.md]

Runs `cargo run --release --example nlp_collection`, which solves each problem from its file's start to E <= 1e-8, recomputes E by
`certify`, and prints a row of JSON; --rows takes rows of an earlier run instead. Writes a table of outcome, objective, iterations
and seconds with a summary on top. RESULTS.json holds, per solver ("ipopt", "ripopt") and problem, status, iterations `iters`,
objective `f`, seconds `t_total` and `t_eval`.
"""
import argparse, json, statistics, subprocess
from collections import Counter
from pathlib import Path


def rows_of(arguments):
    if arguments.rows:
        lines = [line for path in arguments.rows for line in open(path)]
    else:
        command = ["cargo", "run", "--release", "--quiet", "--example", "nlp_collection", "--", arguments.folder, "--limit", str(arguments.limit)]
        lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    rows = [json.loads(line) for line in lines if line.strip()]
    return {row["name"]: row for row in sorted(rows, key=lambda row: row["name"])}


def compared(rows, peers, which):
    """Lines about one of the recorded sets: 'eq', 'gen' or None for all."""
    names = [name for name, peer in peers.items() if name in rows and (which is None or peer.get("set") == which)]
    ours = [name for name in names if rows[name]["outcome"] == "Optimal"]
    theirs = [name for name in names if peers[name]["status"] == "optimal"]
    common = [name for name in ours if name in set(theirs)]
    a = statistics.mean(rows[name]["iterations"] for name in common)
    b = statistics.mean(peers[name]["iters"] for name in common)
    outside = sorted(1e3 * rows[name]["outside"] for name in common)
    other = sorted(1e3 * (peers[name]["t_total"] - peers[name]["t_eval"]) for name in common)
    worse = [name for name in common if rows[name]["objective"] > peers[name]["f"] + 1e-6 * (1 + abs(peers[name]["f"]))]
    return (f"{len(names)} | {len(ours)} | {len(theirs)} | {len(common)} | {a:.1f} | {b:.1f} | {a / b:.2f} | "
            f"{statistics.median(outside):.2f} | {statistics.median(other):.2f} | {len(worse)}"), worse


def number(value, form="{:.6g}"):
    return form.format(value) if isinstance(value, (int, float)) else ""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--limit", type=float, default=20)
    parser.add_argument("--peers")
    parser.add_argument("--rows", action="append")
    parser.add_argument("--out", default="docs/nlp-collection.md")
    arguments = parser.parse_args()
    rows = rows_of(arguments)
    peers = json.load(open(arguments.peers)) if arguments.peers else {}
    ipopt = peers.get("ipopt", {})
    outcomes = Counter(row["outcome"] for row in rows.values())
    text = ["# The CUTEst collection by the interior point", "",
            f"{len(rows)} problems at their files' default sizes, {arguments.limit:g} s each, one thread. *Optimal* means E <= 1e-8, recomputed by `certify`",
            "from x and the multipliers, with the bounds as they are in the file. Made by", "",
            f"    python3 benches/peers/nlp_collection.py FOLDER --limit {arguments.limit:g} --peers RESULTS.json", "",
            "| outcome | problems |", "| --- | --- |"]
    text += [f"| {outcome} | {count} |" for outcome, count in outcomes.most_common()]
    uncertified = [row["name"] for row in rows.values() if row["outcome"] == "Optimal" and not row["certified"]]
    text += ["", f"Optimal but not certified: {', '.join(uncertified) or 'none'}.", ""]
    if ipopt:
        text += ["Beside Ipopt 3.14.19 with MUMPS, default options, recorded with the same derivatives in Python (20 s a problem, which stopped many",
                 "there for the cost of the functions alone). Mean iterations and median milliseconds outside the functions are over problems that both solved;",
                 "Ipopt's include the overhead of its call-backs.", "",
                 "| set | problems | ours | Ipopt | both | iterations | Ipopt | ratio | ms | Ipopt | worse objective |",
                 "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
        worst = []
        for title, which in [("equations", "eq"), ("general sample", "gen"), ("all", None)]:
            line, worse = compared(rows, ipopt, which)
            text.append(f"| {title} | {line} |")
            worst = worse
        text += ["", "Objective above Ipopt's by more than 1e-6 (1 + |f|): " + (", ".join(
            f"{name} ({rows[name]['objective']:.8g}, Ipopt {ipopt[name]['f']:.8g})" for name in worst) or "none") + ".", ""]
    text += ["| problem | n | m | outcome | objective | E | iterations | seconds | Ipopt | its iterations | its objective |",
             "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for name, row in rows.items():
        peer = ipopt.get(name, {})
        text.append("| " + " | ".join([
            name, number(row.get("n"), "{}"), number(row.get("m"), "{}"), row["outcome"], number(row.get("objective"), "{:.8g}"),
            number(row.get("error") if not isinstance(row.get("error"), str) else None, "{:.1e}"), number(row.get("iterations"), "{}"),
            number(row.get("seconds"), "{:.3g}"), peer.get("status", "")[:20], number(peer.get("iters"), "{}"), number(peer.get("f"), "{:.8g}")]) + " |")
    Path(arguments.out).write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
