# SPDX-License-Identifier: Apache-2.0
"""What bench_gpu wrote, as Markdown for the README."""

WAYS = ("from device", "to device", "both ways")
STORE_WAYS = ("put from device", "get to device")


def is_of_gpu(document):
    return "device" in document


def cell(f):
    return f"{f['of_raw']:.2f} ({f['low']:.2f} to {f['high']:.2f}) of {f['raw_gb_s']:.1f} GB/s"


def table(head, rows):
    return ["| " + " | ".join(head) + " |", "|---" * len(head) + "|",
            *("| " + " | ".join(row) + " |" for row in rows), ""]


def names(figures, group):
    return dict.fromkeys(what for of, what, _ in figures if of == group)


def alone(figures, group, head):
    """Pieces by their size, and beside it each way of copying them: from, to, both."""
    sizes, ways = {}, {}
    for what in names(figures, group):
        size, way = what.split(" KiB ")
        sizes[size] = ways[way] = None
    return table([head, *ways], [
        [f"{size} KiB", *(" / ".join(f"{figures[group, f'{size} KiB {way}', to]['of_raw']:.2f}" for to in WAYS)
                          for way in ways)] for size in sizes])


def readme(document):
    figures = {(f["group"], f["what"], f["way"]): f for f in document["figures"]}
    goals = [f for f in document["figures"] if "must" in f]
    met = {word: sum(f["met"] == word for f in goals) for word in ("aim", "must", "missed")}
    mib = document["chunk_bytes"] >> 20
    out = [f"{document['device']}, driver {document['driver']} for CUDA {document['driver_cuda']}, toolkit "
           f"{document['toolkit']}, Linux {document['kernel']}; medians and quartiles of {document['rounds']} rounds. "
           f"Of {len(goals)} goals (>= {goals[0]['must']:.2f}, aim {goals[0]['aim']:.2f}) {met['aim']} are at their aim, "
           f"{met['must']} met and {met['missed']} missed.", ""]
    rows = [[what, *(cell(figures[group, what, way]) for way in WAYS)]
            for group in ("copies", "heads") for what in names(figures, group)]
    out += table([f"copies of {mib} MiB / raw", *WAYS], rows)
    rows = [[what, *(cell(figures["stores", what, way]) for way in STORE_WAYS)] for what in names(figures, "stores")]
    out += table([f"chunks of {mib // 8} MiB / the slower of store and copy", *STORE_WAYS], rows)
    out += alone(figures, "boundary", "pieces, each way alone / raw")
    out += alone(figures, "few", "8 KiB pieces, so much in all")
    return "\n".join(out[:-1])
