#!/usr/bin/env python3
"""Ten scalable problems at n of about 1e3, 1e4 and 1e5 through the interior point: CPU seconds and memory of the process.

    python3 benches/peers/nlp_scaling.py FOLDER [--gradus target/release/gradus] [--rows ROWS.jsonl] [--picture docs/img/nlp-scaling.svg]

Prints a table; seconds and megabytes are those of the whole process, reading the file included. --rows keeps the rows, and takes them
from there if the file exists.
"""
import argparse, json, math, os, subprocess
from pathlib import Path

PROBLEMS = [("LUKVLE1", "N", [1000, 10000, 100000]), ("LUKVLE3", "N", [1000, 10000, 100000]), ("LUKVLE6", "N", [999, 9999, 99999]),
            ("LUKVLI7", "N", [1000, 10000, 100000]), ("BROYDN3D", "N", [1000, 10000, 100000]), ("DTOC2", "N", [167, 1667, 16667]),
            ("BIGGSB1", "N", [1000, 10000, 100000]), ("DEGTRID2", "N", [1000, 10000, 100000]), ("LISWET1", "N", [1000, 10000, 100000]),
            ("TORSIONB", "Q", [16, 50, 158])]
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8c564b", "#7f7f7f", "#9467bd"]


def run(gradus, folder, name, parameter, value):
    command = [gradus, "nlp", f"{folder}/{name}.SIF", "--param", f"{parameter}={value}", "--json", "--quiet", "--threads", "1",
               "--method", "interior-point", "--time-limit", "300"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    output = process.stdout.read()
    _, _, usage = os.wait4(process.pid, 0)
    answer = json.loads(output)
    return dict(name=name, param=value, n=answer["n"], m=answer["m"], status=answer["status"], iterations=answer["iterations"],
                objective=answer["objective"], error=answer["kkt_error"], cpu=usage.ru_utime + usage.ru_stime,
                memory_mb=usage.ru_maxrss / 1024)


def panel(left, title, rows, key, low, high):
    width, height, top = 300, 260, 40
    x = lambda n: left + width * (math.log10(n) - 2.9) / 2.3
    y = lambda v: top + height * (high - math.log10(v)) / (high - low)
    out = [f'<text x="{left + width / 2}" y="24" text-anchor="middle" font-size="14">{title}</text>']
    for decade in range(low, high + 1):
        out.append(f'<line x1="{left}" x2="{left + width}" y1="{y(10 ** decade):.1f}" y2="{y(10 ** decade):.1f}" stroke="#ddd"/>')
        out.append(f'<text x="{left - 6}" y="{y(10 ** decade) + 4:.1f}" text-anchor="end">{10 ** decade:g}</text>')
    for n in (1000, 10000, 100000):
        out.append(f'<text x="{x(n):.1f}" y="{top + height + 18}" text-anchor="middle">{n}</text>')
    out.append(f'<text x="{left + width / 2}" y="{top + height + 36}" text-anchor="middle">variables</text>')
    for (name, _, _), colour in zip(PROBLEMS, COLOURS):
        points = [(x(row["n"]), y(max(row[key], 10 ** low))) for row in rows if row["name"] == name and row.get("status") == "solved"]
        out.append(f'<polyline fill="none" stroke="{colour}" stroke-width="1.8" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}"/>')
        out += [f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.6" fill="{colour}"/>' for a, b in points]
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--gradus", default="target/release/gradus")
    parser.add_argument("--rows")
    parser.add_argument("--picture")
    arguments = parser.parse_args()
    if arguments.rows and Path(arguments.rows).exists():
        rows = [json.loads(line) for line in open(arguments.rows)]
    else:
        rows = [run(arguments.gradus, arguments.folder, name, parameter, values[level])
                for level in range(3) for name, parameter, values in PROBLEMS]
        if arguments.rows:
            Path(arguments.rows).write_text("".join(json.dumps(row) + "\n" for row in rows))
    print("| problem | iterations at 1e3, 1e4, 1e5 | CPU s | MB |\n|---|---|---|---|")
    for name, _, _ in PROBLEMS:
        own = [row for row in rows if row["name"] == name]
        counts = ", ".join(str(row["iterations"]) if row["status"] == "solved" else
                           f"{row['iterations']} ({row['status'].replace('_', ' ')}, error {row['error'] or math.nan:.1e})" for row in own)
        seconds, memory = (", ".join(form.format(row[key]) for row in own) for form, key in (("{:.2f}", "cpu"), ("{:.0f}", "memory_mb")))
        print(f"| {name} | {counts} | {seconds} | {memory} |")
    if arguments.picture:
        out = ['<svg xmlns="http://www.w3.org/2000/svg" width="840" height="350" font-family="sans-serif" font-size="12">',
               '<rect width="840" height="350" fill="#fff"/>']
        out += panel(50, "CPU seconds", rows, "cpu", -2, 2) + panel(410, "megabytes", rows, "memory_mb", 0, 3)
        for k, ((name, _, _), colour) in enumerate(zip(PROBLEMS, COLOURS)):
            out.append(f'<line x1="728" x2="748" y1="{60 + 22 * k}" y2="{60 + 22 * k}" stroke="{colour}" stroke-width="2"/>')
            out.append(f'<text x="754" y="{64 + 22 * k}">{name}</text>')
        Path(arguments.picture).write_text("\n".join(out + ["</svg>"]) + "\n")


if __name__ == "__main__":
    main()
