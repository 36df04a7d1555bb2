#!/usr/bin/env python3
"""Every problem of a folder of SIF files through the interior point, one thread, beside Ipopt and ripopt.

    python3 benches/peers/nlp_collection.py FOLDER [--limit 20] [--peers RESULTS.json] [--rows ROWS.jsonl] [--out docs/nlp-collection.md]

Runs `cargo run --release --example nlp_collection`, which solves each problem from its file's start to E <= 1e-8, recomputes E by
`certify`, and prints a row of JSON; --rows takes rows of an earlier run instead. Writes a table of outcome, objective, iterations
and seconds with a summary on top. RESULTS.json is what nlp_peers.py writes; run it right before, on the same machine.
"""
import argparse, json, math, statistics, subprocess
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


PEERS = [("ipopt", "Ipopt"), ("ipopt-strict", "Ipopt, bounds as they stand"), ("ripopt", "ripopt")]


def is_solved(peer, name):
    return peer.get(name, {}).get("status") == "optimal"


def mean(values):
    return statistics.mean(values) if values else math.nan


def geometric_mean(ratios):
    return math.exp(mean([math.log(ratio) for ratio in ratios]))


def compared(rows, results, group):
    """Rows of a table about one set, and for each peer the problems where its objective is lower."""
    peers = [(key, title, results[key]) for key, title in PEERS if key in results]
    names = [name for name, peer in peers[0][2].items() if name in rows and peer.get("set") == group]
    ours = [name for name in names if rows[name]["outcome"] == "Optimal"]
    lines = [f"| {group} | {len(names)} | **ours** | {len(ours)} | | | | |"]
    lower = {}
    for _, title, peer in peers:
        theirs = [name for name in names if is_solved(peer, name)]
        common = [name for name in ours if name in set(theirs)]
        mine, other = ([source[name]["iterations"] for name in common] for source in (rows, peer))
        times = geometric_mean([rows[name]["outside"] / peer[name]["outside"] for name in common])
        lower[title] = [(name, peer[name]["objective"]) for name in common
                        if rows[name]["objective"] > peer[name]["objective"] + 1e-6 * (1 + abs(peer[name]["objective"]))]
        lines.append(f"| {group} | {len(names)} | {title} | {len(theirs)} | {len(common)} | "
                     f"{mean(mine):.1f} / {mean(other):.1f} | {times:.3f} | {len(lower[title])} |")
    best = [rows[name]["outside"] / min(peer[name]["outside"] for _, _, peer in peers if is_solved(peer, name))
            for name in ours if any(is_solved(peer, name) for _, _, peer in peers)]
    lines.append(f"| {group} | {len(names)} | the fastest of them | | {len(best)} | | {geometric_mean(best):.3f} | |")
    return lines, lower


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
    results = json.load(open(arguments.peers)) if arguments.peers else {}
    ipopt = results.get("ipopt", {})
    outcomes = Counter(row["outcome"] for row in rows.values())
    text = ["# The CUTEst collection by the interior point", "",
            f"{len(rows)} problems at their files' default sizes, {arguments.limit:g} s each, one thread. *Optimal* means E <= 1e-8, recomputed by `certify`",
            "from x and the multipliers, with the bounds as they are in the file. Made by", "",
            f"    python3 benches/peers/nlp_collection.py FOLDER --limit {arguments.limit:g} --peers RESULTS.json", "",
            "| outcome | problems |", "| --- | --- |"]
    text += [f"| {outcome} | {count} |" for outcome, count in outcomes.most_common()]
    uncertified = [row["name"] for row in rows.values() if row["outcome"] == "Optimal" and not row["certified"]]
    text += ["", f"Optimal but not certified: {', '.join(uncertified) or 'none'}.", ""]
    if results:
        text += ["Beside Ipopt 3.14.19 with MUMPS and ripopt 0.8.2, default options, on the same functions in Python, with their exact derivatives",
                 "(`benches/peers/nlp_peers.py FOLDER`, the same machine). Means of iterations, geometric means of the ratio of the times outside of the",
                 "functions (ours by the wall, theirs of the processor, which include the overhead of call-backs), and objectives above theirs by more than 1e-6 (1 + |f|)",
                 "are over the problems that both solve.", "",
                 "| set | problems | program | optimal | both | iterations, ours / theirs | time, ours / theirs | objectives above theirs |",
                 "| --- | --- | --- | --- | --- | --- | --- | --- |"]
        above = []
        for group in ("equations", "general sample"):
            lines, lower = compared(rows, results, group)
            text += lines
            above += [f"{name} ({rows[name]['objective']:.8g}, {title} {objective:.8g})" for title, found in lower.items() for name, objective in found]
        text += ["", "Objectives above theirs: " + ("; ".join(above) or "none") + ".", ""]
    text += ["| problem | n | m | outcome | objective | E | iterations | seconds | Ipopt | its iterations | its objective |",
             "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
    for name, row in rows.items():
        peer = ipopt.get(name, {})
        text.append("| " + " | ".join([
            name, number(row.get("n"), "{}"), number(row.get("m"), "{}"), row["outcome"], number(row.get("objective"), "{:.8g}"),
            number(row.get("error") if not isinstance(row.get("error"), str) else None, "{:.1e}"), number(row.get("iterations"), "{}"),
            number(row.get("seconds"), "{:.3g}"), peer.get("status", "")[:20], number(peer.get("iterations"), "{}"), number(peer.get("objective"), "{:.8g}")]) + " |")
    Path(arguments.out).write_text("\n".join(text) + "\n")


if __name__ == "__main__":
    main()
