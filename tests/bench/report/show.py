# SPDX-License-Identifier: Apache-2.0
"""Figures for people: tables, a comparison with an earlier run, and the table of the README."""

import re

import gpu

RAW = "raw best"
SIGN = {"higher": ">=", "lower": "<="}


def number(value):
    if value == 0 or abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"


def cell(row):
    """The value, its ratio to raw and half of what lies between that ratio's quartiles."""
    if "ratio" not in row:
        return number(row["median"])
    half = (row["ratio_q3"] - row["ratio_q1"]) / 2
    return f"{number(row['median'])} {row['ratio']:.2f}~{half:.2f}"


def columns(figures):
    names = []
    for figure in figures:
        names += [n for n in figure["clients"] if n != figure["raw"] and n not in names]
    return names


def lines_of(figures):
    """A group: a line for each figure, a column for each client."""
    names = columns(figures)
    rows = [["", "", RAW, *names]]
    last = None
    for f in figures:
        raw = f["clients"][f["raw"]]
        which = f" ({f['raw'][4:]})" if f["raw"] != "raw" and f["case"] != last else ""
        rows.append(["" if f["case"] == last else f["case"], f["unit"], number(raw["median"]) + which,
                     *(cell(f["clients"][n]) if n in f["clients"] else "" for n in names)])
        last = f["case"]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(text.ljust(w) if i < 2 else text.rjust(w) for i, (text, w) in enumerate(zip(row, widths))).rstrip()
            for row in rows]


def rounds(document):
    return f"{document['rounds']} rounds" + (f", {document['pairs']} of pairs" if document["pairs"] else "")


def table(document):
    out = [f"medians of {rounds(document)}; behind a value its ratio to raw and, behind ~, half of what lies "
           "between the ratio's quartiles"]
    groups = []
    for figure in document["figures"]:
        if figure["group"] not in groups:
            groups.append(figure["group"])
    for group in groups:
        out += ["", f"{group}", *lines_of([f for f in document["figures"] if f["group"] == group])]
    if document["goals"]:
        out += ["", "goals", *goals(document)]
    if document["not_run"]:
        out += ["", *document["not_run"]]
    load, cpus = document["machine"]["load"], document["machine"]["cpus"]
    if load > cpus:
        out += ["", f"this machine does much else (load {load}): these ratios scatter"]
    return "\n".join(out)


def goals(document):
    width = max(len(row["goal"]) for row in document["goals"])
    out = [f"{'':{width}}  {'must':>8} {'aim':>8} {'is':>7}  {'quartiles':>15}  met?"]
    for row in document["goals"]:
        sign, between = SIGN[row["better"]], f"{number(row['q1'])} to {number(row['q3'])}"
        out.append(f"{row['goal']:{width}}  {sign} {row['must']:>5} {sign} {row['aim']:>5} {number(row['value']):>7}  "
                   f"{between:>15}  {row['met']} ({row['client']})")
    return out


def compare(now, then):
    """What became worse, and better, by more than both runs scatter: the quartiles do not meet."""
    worse, improved = [], []
    for name, figure in now.items():
        old = then.get(name)
        for client, row in figure["clients"].items():
            before = old["clients"].get(client) if old else None
            if before is None or "ratio" not in row or "ratio" not in before or client == figure["raw"]:
                continue
            line = (f"{', '.join(name)}, {client}: {before['ratio']:.2f} of raw ({before['ratio_q1']:.2f} to "
                    f"{before['ratio_q3']:.2f}), now {row['ratio']:.2f} ({row['ratio_q1']:.2f} to {row['ratio_q3']:.2f})")
            below, above = row["ratio_q3"] < before["ratio_q1"], row["ratio_q1"] > before["ratio_q3"]
            if below or above:
                (worse if below == (figure["better"] == "higher") else improved).append(line)
    return worse, improved


def readme(document):
    """The goals as Markdown, with what they are of."""
    if gpu.is_of_gpu(document):
        return gpu.readme(document)
    m = document["machine"]
    vectors = ", ".join(m["vectors"]) or "no vectors"
    out = [f"{m['cpu']} ({vectors}), {m['cpus']} CPUs, Linux {m['kernel']}, {m['server']}, {m['compiler']}, "
           f"load {m['load']} when it began; {rounds(document)}:", "",
           "| goal | must | aim | is | quartiles | met | kvrelay | raw |", "|---|---|---|---|---|---|---|---|"]
    for row in document["goals"]:
        sign = SIGN[row["better"]]
        out.append(f"| {row['goal']} | {sign} {row['must']} | {sign} {row['aim']} | {number(row['value'])} | "
                   f"{number(row['q1'])} to {number(row['q3'])} | {row['met']} | {number(row['own'])} {row['unit']} | "
                   f"{number(row['raw'])} |")
    return "\n".join(out)


BLOCK = re.compile(r"(?<=^<!-- bench: )(?P<file>\S+)(?P<end> -->\n)(?P<body>.*?)(?=^<!-- end of bench -->$)", re.M | re.S)


def blocks(text):
    """What a README shows of runs: the file of each and its text."""
    return [(m.group("file"), m.group("body")) for m in BLOCK.finditer(text)]


def with_block(text, file, document):
    """The same README with that run in its place."""
    if file not in [name for name, _ in blocks(text)]:
        raise ValueError(f"the README has no place for {file}")
    return BLOCK.sub(lambda m: m.group() if m.group("file") != file else
                     f"{file}{m.group('end')}{readme(document)}\n", text)
