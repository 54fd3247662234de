# SPDX-License-Identifier: Apache-2.0
"""What the library is to reach, and whether it did in one run.

A goal is a ratio of clients in one figure, or, where it names a unit alone, the figure itself. Ratios of
bulk data are of the group `pairs`: raw in what was best in the race before, and kvrelay, with one lane against
Redis and with the lanes that were best in the race with files, a batch each in turns.

A second of CPU is not the same on two machines, nor on one from hour to hour. Raw took 0.20 s per GB for
GET and 0.27 for SET where the goals were set, and kvrelay was to take no more than 0.24 and 0.32 (aim: 0.20
and 0.28) with everything switched on: so the goal is that multiple of what raw takes in the same run.
"""

LOOKUP, BULK = "p50 us", "GB/s"

# what, group, case, unit, client, beside ("raw", another client, None: the figure itself), must, aim
GOALS = [
    ("single lookup, one CPU / raw", "lookup", "1 key, one CPU", LOOKUP, "kvrelay", "raw", 3.0, 2.4),
    ("single lookup, two CPUs / raw", "lookup", "1 key, two CPUs", LOOKUP, "kvrelay", "raw", 1.4, 1.2),
    ("lookup of 64, one CPU / raw", "lookup", "64 keys, one CPU", LOOKUP, "kvrelay", "raw", 1.3, 1.1),
    ("lookup of 512, one CPU / raw", "lookup", "512 keys, one CPU", LOOKUP, "kvrelay", "raw", 1.3, 1.1),
    *((f"GET {shape} / raw", "pairs", f"GET {shape}", BULK, "kvrelay", "raw", 0.90, 0.97)
      for shape in ("256x64KiB", "64x1MiB", "16x4MiB")),
    # In pieces, which raw does not do.
    *((f"GET {shape} / raw", "pairs", f"GET {shape}", BULK, "kvrelay", "raw", 1.8, 2.2)
      for shape in ("4x16MiB", "1x64MiB")),
    ("GET 4x16MiB, sealed / raw", "pairs", "GET 4x16MiB", BULK, "sealed", "raw", 1.8, 2.2),
    *((f"SET {shape} / raw", "pairs", f"SET {shape}", BULK, "kvrelay", "raw", 0.95, 0.98)
      for shape in ("256x64KiB", "64x1MiB", "16x4MiB", "4x16MiB", "1x64MiB")),
    ("GET 16x4MiB / hiredis", "bulk", "GET 16x4MiB", BULK, "kvrelay 1", "hiredis", 1.5, 1.7),
    ("SET 16x4MiB / hiredis", "bulk", "SET 16x4MiB", BULK, "kvrelay 1", "hiredis", 2.5, 3.0),
    *((f"{verb} {shape}, client's CPU / raw", "pairs", f"{verb} {shape}", "client s/GB", "kvrelay", "raw", 1.2, aim)
      for verb, aim in (("GET", 1.0), ("SET", 1.05)) for shape in ("64x1MiB", "16x4MiB")),
    *((f"GET {shape}, sealed / not", "pairs", f"GET {shape}", BULK, "sealed", "kvrelay", 0.97, 0.99)
      for shape in ("64x1MiB", "16x4MiB")),
    ("runtime alone, us per chunk", "runtime", "put of 64", "us/chunk", "kvrelay", None, 3.0, 1.0),
    ("runtime alone, wakes per batch", "runtime", "put of 64", "sleeps/batch", "kvrelay", None, 3.0, 2.0),
    *((f"{verb} {shape} on tmpfs / raw", "pairs", f"{verb} {shape}, tmpfs", BULK, "kvrelay", "raw", 0.95, 0.98)
      for verb in ("read", "write") for shape in ("64x1MiB", "16x4MiB")),
    ("planes, how much it shrinks", "codec", "size", "shrinks x", "planes", None, 1.25, 1.30),
    ("planes, encode GB/s", "codec", "encode", BULK, "planes", None, 2.0, 10.0),
    ("planes, decode GB/s", "codec", "decode", BULK, "planes", None, 2.0, 10.0),
    ("zstd, how much it shrinks", "codec", "size", "shrinks x", "zstd", None, 1.25, 1.43),
    ("lookup p99, puts saturate / idle", "load", "lookup", "loaded/idle p99", "kvrelay 1", None, 3.0, 1.5),
    *((f"{what} of {keys} keys / of 1", "keys", f"{what} of {keys} keys", "of 1 key's time", "kvrelay", None, 1.25, 1.1)
      for what, keys in (("lookup, redis", 1000000), ("get of 64, redis", 1000000), ("lookup, tmpfs", 100000),
                         ("get of 64, tmpfs", 100000))),
]


def measured(figure, client, beside):
    """(median, quartile, quartile); None: not in this run."""
    row = figure["clients"].get(client)
    other = row if beside in (None, "raw") else figure["clients"].get(beside)
    if row is None or other is None:
        return None
    if beside is None:
        return row["median"], row["q1"], row["q3"]
    if "to" in row and beside != "raw":
        return tuple(row["to"][beside]) or None
    by = 1 if beside == "raw" else other["ratio"]
    return tuple(row[key] / by for key in ("ratio", "ratio_q1", "ratio_q3"))


def verdict(value, must, aim, direction):
    def holds(limit):
        return value >= limit if direction == "higher" else value <= limit
    return "aim" if holds(aim) and holds(must) else "must" if holds(must) else "missed"


def goals_of(figures):
    by_name = {(f["group"], f["case"], f["unit"]): f for f in figures}
    rows = []
    for what, group, case, unit, client, beside, must, aim in GOALS:
        figure = by_name.get((group, case, unit))
        value = measured(figure, client, beside) if figure else None
        if value is None:
            continue
        rows.append({"goal": what, "client": client, "unit": unit, "own": figure["clients"][client]["median"],
                     "raw": figure["clients"][figure["raw"]]["median"], "must": must, "aim": aim, "better": figure["better"],
                     "value": round(value[0], 4), "q1": round(value[1], 4), "q3": round(value[2], 4),
                     "met": verdict(value[0], must, aim, figure["better"])})
    return rows
