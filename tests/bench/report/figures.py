# SPDX-License-Identifier: Apache-2.0
"""Samples become figures: a median and quartiles for each client, and its ratio to the raw client.

Where a client has settings, the best one counts, by the case's first unit; all other units of the case
are of that one. Which is best in a round the other rounds say: of 48 settings the one that was fastest in
a round was lucky in it, too, and its luck is not what others are to be compared with. So it is for the raw
client and for what is compared with it. Ratios are taken round by round and their median is told: what
the machine does besides changes from round to round, and a round is short. In the group of pairs, where
few take turns, each has its ratio to each other one.
"""

import statistics

VERSION = 1
PAIRS = "pairs"
BEST = "best"  # a client in the setting that the other rounds say
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


def choose(clients, unit):
    """{round: the client that was best in the others}."""
    pick = max if better(unit) == "higher" else min
    told = sorted({number for rounds in clients.values() for number in rounds})
    chosen = {}
    for number in told:
        others = {name: [v for n, v in rounds.items() if n != number or len(told) == 1] for name, rounds in clients.items()}
        chosen[number] = pick((name for name in others if others[name]), key=lambda name: statistics.median(others[name]))
    return chosen


def families(names):
    """Clients of one name that differ in a number behind it."""
    found = {}
    for name in names:
        first, _, number = name.rpartition(" ")
        if first and number.isdigit():
            found.setdefault(first, []).append(name)
    return {first: members for first, members in found.items() if len(members) > 1}


def of_choice(clients, chosen):
    return {number: clients[name][number] for number, name in chosen.items() if number in clients.get(name, {})}


def is_raw(client):
    return client.split()[0] == "raw"


def shorter(value):
    return float(f"{value:.5g}")


def ratios(rounds, others):
    """Median and quartiles of the ratios; nothing: none of the others' rounds has a value that divides."""
    both = [n for n in rounds if others.get(n, 0) > 0]
    return [shorter(value) for value in spread([rounds[n] / others[n] for n in both])] if both else []


def told(rounds, raw):
    row = {"n": len(rounds)}
    row.update(zip(("median", "q1", "q3"), (shorter(value) for value in spread(list(rounds.values())))))
    row.update(zip(("ratio", "ratio_q1", "ratio_q3"), ratios(rounds, raw)))
    return row


def figures_of(cases):
    figures = []
    for (group, case), units in cases.items():
        first, clients = next(iter(units.items()))
        settings = {name: rounds for name, rounds in clients.items() if is_raw(name)}
        if not settings:
            raise ValueError(f"{group}, {case}: no raw figure stands beside it")
        by_round = choose(settings, first)
        most = statistics.mode(by_round.values())
        best = {f"{family} {BEST}": choose({name: clients[name] for name in members}, first)
                for family, members in families(name for name in clients if not is_raw(name)).items()}
        for unit, clients in units.items():
            raw = of_choice(clients, by_round)
            if not raw:
                raise ValueError(f"{group}, {case}, {unit}: no raw figure stands beside it")
            rows = {name: told(rounds, raw) for name, rounds in clients.items() if not is_raw(name)}
            rows.update({name: told(of_choice(clients, chosen), raw) for name, chosen in best.items()})
            if group == PAIRS:
                for name, row in rows.items():
                    row["to"] = {other: ratios(clients[name], clients[other]) for other in rows if other != name}
            figures.append({"group": group, "case": case, "unit": unit, "better": better(unit), "raw": most,
                            "clients": {most: told(raw, raw), **rows}})
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
