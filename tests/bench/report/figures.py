# SPDX-License-Identifier: Apache-2.0
"""Samples become figures: a median and quartiles for each client, and its ratio to the raw client.

A case has one raw client that counts, the one that was best by the case's first unit; all of its
units are compared with that one. Ratios are taken round by round and their median is told: what the
machine does besides changes from round to round, and a round is short.
"""

import statistics

VERSION = 1
HIGHER = ("GB/s", "shrinks x", "op/s")  # how such a unit ends


def better(unit):
    return "higher" if unit.endswith(HIGHER) else "lower"


def spread(values):
    """Median and quartiles."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    q1, _, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return statistics.median(values), q1, q3


def read_samples(path):
    """{(group, case): {unit: {client: {round: value}}}}, in the order in which they were taken."""
    cases = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            group, case, unit, client, number, value = line.rstrip("\n").split("\t")
            units = cases.setdefault((group, case), {})
            units.setdefault(unit, {}).setdefault(client, {})[int(number)] = float(value)
    return cases


def raw_of(units):
    """The raw client of a case: the best by its first unit."""
    unit, clients = next(iter(units.items()))
    raw = {name: statistics.median(rounds.values()) for name, rounds in clients.items() if is_raw(name)}
    if not raw:
        return None
    return (max if better(unit) == "higher" else min)(raw, key=raw.get)


def is_raw(client):
    return client.split()[0] == "raw"


def told(rounds, raw):
    median, q1, q3 = spread(list(rounds.values()))
    row = {"n": len(rounds), "median": median, "q1": q1, "q3": q3}
    both = [n for n in rounds if n in raw and raw[n] > 0]
    if both:
        row["ratio"], row["ratio_q1"], row["ratio_q3"] = spread([rounds[n] / raw[n] for n in both])
    return {key: value if key == "n" else float(f"{value:.5g}") for key, value in row.items()}


def figures_of(cases):
    figures = []
    for (group, case), units in cases.items():
        raw = raw_of(units)
        for unit, clients in units.items():
            if raw is None or raw not in clients:
                raise ValueError(f"{group}, {case}, {unit}: no raw figure stands beside it")
            figures.append({
                "group": group, "case": case, "unit": unit, "better": better(unit), "raw": raw,
                "clients": {name: told(rounds, clients[raw]) for name, rounds in clients.items()
                            if name == raw or not is_raw(name)}})
    return figures


def check(document):
    """Raises ValueError when it is not what a bench has written. Returns the figures by name."""
    if not isinstance(document, dict) or document.get("version") != VERSION:
        raise ValueError(f"no figures of a bench, or of another version than {VERSION}")
    found = {}
    for figure in document["figures"]:
        name = (figure["group"], figure["case"], figure["unit"])
        if figure["raw"] not in figure["clients"] or figure["better"] != better(figure["unit"]):
            raise ValueError(f"{name}: no raw figure stands beside it")
        for client, row in figure["clients"].items():
            if not row["q1"] <= row["median"] <= row["q3"] or row["n"] < 1:
                raise ValueError(f"{name}, {client}: the median is not between the quartiles")
        if name in found:
            raise ValueError(f"{name} is there twice")
        found[name] = figure
    return found
