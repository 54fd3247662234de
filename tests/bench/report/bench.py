#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the programs that measure, makes figures of their samples, and tells them: scripts/bench."""

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import figures
import goals
import machine
import plot
import show

ROOT = Path(__file__).resolve().parents[3]

# A group, the program that measures it, and its words.
PROGRAMS = {name: ("bench_groups", name) for name in ("bulk", "lookup", "load", "rtt", "fs", "keys", "runtime")}
PROGRAMS.update(hops=("bench_hop",), codec=("bench_codec",))


def run(args, samples, notes, disk, tmpfs):
    options = [f"--{args.size}"] if args.size != "full" else []
    options += ["--rounds", args.rounds] if args.rounds else []
    for group in args.groups:
        program, *words = PROGRAMS[group]
        command = [Path(args.build) / program, "--samples", samples, *words]
        command[3:3] = [*options, "--dir", disk, "--tmpfs", tmpfs]
        done = subprocess.run([str(c) for c in command], stderr=subprocess.PIPE, text=True, check=False)
        print(done.stderr, end="", file=sys.stderr)
        notes += [line for line in done.stderr.split("\n") if "not run:" in line]
        if done.returncode != 0:
            sys.exit(f"bench: {program} {' '.join(words)} ended with {done.returncode}")


def document_of(args, samples, facts, notes):
    cases = figures.read_samples(samples)
    told = figures.figures_of(cases)
    rounds, pairs = (max((len(r) for (group, _), units in cases.items() if (group == figures.PAIRS) == paired
                          for c in units.values() for r in c.values()), default=0) for paired in (False, True))
    return {"version": figures.VERSION, "machine": facts, "size": args.size, "rounds": rounds, "pairs": pairs,
            "not_run": notes, "figures": told, "goals": goals.goals_of(told)}


def write(document, path):
    """A figure on a line, for whoever compares two such files by eye."""
    head = {key: value for key, value in document.items() if key not in ("figures", "goals")}
    lines = {key: ",\n  ".join(json.dumps(row) for row in document[key]) for key in ("figures", "goals")}
    text = ",\n ".join([json.dumps(head)[1:-1], *(f'"{key}": [\n  {rows}\n ]' for key, rows in lines.items())])
    Path(path).write_text(f"{{{text}}}\n", encoding="utf-8")


def read(path):
    with open(path, encoding="utf-8") as f:
        document = json.load(f)
    return document, figures.check(document)


def tell_baseline(document, path):
    old, then = read(path)
    worse, improved = show.compare(figures.check(document), then)
    print(f"\nagainst {path} ({old['machine']['cpu']}, {old['rounds']} rounds), by more than both scatter:")
    for title, lines in (("worse", worse), ("better", improved)):
        print(f"{title}: {len(lines)}", *lines, sep="\n  ")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("groups", nargs="*")
    parser.add_argument("--build", default="build/release")
    parser.add_argument("--compiler", default="cc")
    parser.add_argument("--size", default="full", choices=("full", "quick", "tiny"))
    parser.add_argument("--rounds", type=int)
    for name in ("json", "plot", "baseline", "readme"):
        parser.add_argument(f"--{name}", metavar="FILE")
    args = parser.parse_args()
    args.groups = args.groups or list(PROGRAMS)
    for group in args.groups:
        if group not in PROGRAMS:
            parser.error(f"{group}: the groups are {', '.join(PROGRAMS)}")
    return args


def main():
    args = arguments()
    if args.readme:
        page = ROOT / "README.md"
        name = Path(args.readme).resolve().relative_to(ROOT).as_posix()
        document = json.loads(Path(args.readme).read_text(encoding="utf-8"))
        page.write_text(show.with_block(page.read_text(encoding="utf-8"), name, document), encoding="utf-8")
        return
    if args.baseline:
        read(args.baseline)  # wrong: said now, not after minutes
    facts, notes = machine.facts(args.compiler), []
    # Whatever becomes of the programs, their files go.
    with ExitStack() as stack:
        # Whole paths: in a URL of files the first word of a relative one would be a host.
        disk, tmpfs = (stack.enter_context(tempfile.TemporaryDirectory(prefix="kvr-bench-", dir=Path(above).resolve()))
                       for above in (args.build, "/dev/shm"))
        samples = Path(disk) / "samples"
        samples.touch()
        run(args, samples, notes, disk, tmpfs)
        document = document_of(args, samples, facts, notes)
    print(show.table(document))
    if args.json:
        write(document, args.json)
    if args.plot:
        Path(args.plot).write_text(plot.svg(document), encoding="utf-8")
    if args.baseline:
        tell_baseline(document, args.baseline)


if __name__ == "__main__":
    main()
