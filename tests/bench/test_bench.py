#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The bench is whole: a tiny run writes what --baseline reads, and no figure stands without the raw
one of the same run. Its speeds are not looked at.
"""

import argparse
import copy
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
from pathlib import Path

ARGS = argparse.Namespace()
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "report"))
import figures  # noqa: E402
import goals  # noqa: E402
import show  # noqa: E402


def bench(*words, ok=True):
    command = [sys.executable, "-B", HERE / "report" / "bench.py", "--build", ARGS.build, "--size", "tiny", *words]
    done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=250, check=False)
    if ok != (done.returncode == 0):
        raise AssertionError(f"exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout if ok else done.stderr


class Run(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = Path(tempfile.mkdtemp(prefix="kvr-bench-test-"))
        cls.json, cls.plot = cls.dir / "now.json", cls.dir / "now.svg"
        cls.table = bench("--json", cls.json, "--plot", cls.plot)
        cls.document = json.loads(cls.json.read_text())

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.dir)

    def test_every_figure_has_the_raw_one_beside_it(self):
        found = figures.check(self.document)
        self.assertGreater(len(found), 10)
        for name, figure in found.items():
            self.assertTrue(figures.is_raw(figure["raw"]), name)
            others = [c for c in figure["clients"] if c != figure["raw"]]
            self.assertTrue(others, name)
            for client in others:
                # Nothing is a ratio of zero: a raw client may have no page fault at all.
                if figure["clients"][figure["raw"]]["median"] > 0:
                    self.assertIn("ratio", figure["clients"][client], (name, client))

    def test_the_machine_is_named(self):
        self.assertLessEqual({"cpu", "cpus", "kernel", "server", "compiler", "load"}, set(self.document["machine"]))

    def test_the_table_and_the_plot_show_it_all(self):
        for figure in self.document["figures"]:
            self.assertIn(figure["case"], self.table)
            self.assertIn(figure["unit"], self.table)
        for row in self.document["goals"]:
            self.assertIn(row["goal"], self.table)
        plot = ElementTree.parse(self.plot).getroot()
        words = "".join(t.text for t in plot.iter("{http://www.w3.org/2000/svg}text"))
        for figure in self.document["figures"]:
            self.assertIn(figure["case"], words)

    def test_it_is_its_own_baseline(self):
        worse, improved = show.compare(figures.check(self.document), figures.check(self.document))
        self.assertEqual((worse, improved), ([], []))

    def test_a_baseline_is_read(self):
        said = bench("lookup", "--baseline", self.json)
        self.assertRegex(said, r"(?m)^worse: \d")
        self.assertRegex(said, r"(?m)^better: \d")

    def test_a_wrong_baseline_is_refused_before_anything_is_measured(self):
        wrong = self.dir / "wrong.json"
        wrong.write_text('{"version": 0}')
        self.assertIn("no figures of a bench", bench("--baseline", wrong, ok=False))


def figure(unit, better, group="bulk", **ratios):
    clients = {name: {"n": 3, "median": r, "q1": r - 0.01, "q3": r + 0.01, "ratio": r, "ratio_q1": r - 0.01,
                      "ratio_q3": r + 0.01} for name, r in ratios.items()}
    return {"group": group, "case": "GET 16x4MiB", "unit": unit, "better": better, "raw": "raw", "clients": clients}


class Arithmetic(unittest.TestCase):
    def test_ratios_are_taken_round_by_round_to_the_best_raw(self):
        cases = {("g", "c"): {"GB/s": {"raw a": {1: 1, 2: 2, 3: 4}, "raw b": {1: 1, 2: 1, 3: 1},
                                       "mine": {1: 1, 2: 1, 3: 8}}, "s/GB": {"raw a": {1: 2}, "mine": {1: 1}}}}
        told = figures.figures_of(cases)
        self.assertEqual([f["raw"] for f in told], ["raw a", "raw a"])
        self.assertNotIn("raw b", told[0]["clients"])
        self.assertEqual(told[0]["clients"]["mine"]["ratio"], 1)
        self.assertEqual(told[0]["clients"]["mine"]["ratio_q3"], 1.5)
        self.assertEqual(told[1]["clients"]["mine"]["ratio"], 0.5)
        self.assertEqual(told[1]["better"], "lower")

    def test_the_best_setting_of_a_round_is_chosen_by_the_others(self):
        raw = {"raw a": {1: 9, 2: 2, 3: 2}, "raw b": {1: 3, 2: 3, 3: 3}, "raw c": {1: 1, 2: 2, 3: 9}}
        mine = {"mine 1": {1: 8, 2: 2, 3: 2}, "mine 2": {1: 4, 2: 4, 3: 4}, "other": {1: 6, 2: 6, 3: 6}}
        # In round 1 the 9 of raw a is its own; of the others' medians 2, 3 and 5.5 the last is the best.
        self.assertEqual(figures.choose(raw, "GB/s"), {1: "raw c", 2: "raw a", 3: "raw a"})
        self.assertEqual(figures.choose(raw, "p50 us"), {1: "raw a", 2: "raw b", 3: "raw c"})
        rows = figures.figures_of({("g", "c"): {"GB/s": {**raw, **mine}}})[0]["clients"]
        self.assertEqual(set(rows), {"raw a", "mine 1", "mine 2", "other", "mine best"})
        self.assertEqual((rows["raw a"]["median"], rows["other"]["ratio"]), (2, 3))  # 1 of c, 2 and 2 of a
        self.assertEqual((rows["mine best"]["median"], rows["mine best"]["ratio_q3"]), (2, 2.5))  # 4 of 1, 2 of 2, 2 of 2

    def test_one_round_chooses_for_itself(self):
        rows = figures.figures_of({("g", "c"): {"p50 us": {"raw a": {1: 9}, "raw b": {1: 3}, "mine": {1: 6}}}})
        self.assertEqual((rows[0]["raw"], rows[0]["clients"]["mine"]["ratio"]), ("raw b", 2))

    def test_a_figure_without_a_raw_one_is_an_error(self):
        with self.assertRaises(ValueError):
            figures.figures_of({("g", "c"): {"GB/s": {"mine": {1: 1}}}})
        lonely = {"version": figures.VERSION, "figures": [figure("GB/s", "higher", mine=1)]}
        with self.assertRaises(ValueError):
            figures.check(lonely)

    def test_worse_is_what_both_scatters_do_not_explain(self):
        for unit, better, values in (("GB/s", "higher", (0.9, 0.8)), ("p50 us", "lower", (0.8, 0.9))):
            name = ("bulk", "GET 16x4MiB", unit)
            then, now = ({name: figure(unit, better, raw=1, mine=value)} for value in values)
            near = {name: figure(unit, better, raw=1, mine=values[0] + 0.015)}
            self.assertEqual([len(part) for part in show.compare(now, then)], [1, 0])
            self.assertEqual([len(part) for part in show.compare(then, now)], [0, 1])
            self.assertEqual([len(part) for part in show.compare(near, then)], [0, 0])

    def test_pairs_have_their_ratios_to_each_other(self):
        rounds = {"raw": {1: 1, 2: 2, 3: 4}, "kvrelay": {1: 2, 2: 2, 3: 2}, "sealed": {1: 1, 2: 2, 3: 3}}
        row = figures.figures_of({("pairs", "c"): {"GB/s": rounds}})[0]["clients"]["sealed"]
        # Of the rounds' ratios 0.5, 1 and 1.5; the medians' ratio to raw is 1 for both.
        self.assertEqual(row["to"]["kvrelay"], [1, 0.75, 1.25])
        self.assertNotIn("to", figures.figures_of({("bulk", "c"): {"GB/s": rounds}})[0]["clients"]["sealed"])

    def test_goals(self):
        told = [figure("GB/s", "higher", "pairs", raw=1, kvrelay=0.95, sealed=0.93),
                figure("GB/s", "higher", raw=1, **{"kvrelay 1": 0.95, "kvrelay 2": 1.2, "hiredis": 0.5})]
        told[0]["clients"]["sealed"]["to"] = {"kvrelay": [0.98, 0.9, 1]}
        rows = {row["goal"]: row for row in goals.goals_of(told)}
        self.assertEqual(rows["GET 16x4MiB / raw"]["met"], "must")
        self.assertEqual(rows["GET 16x4MiB / raw"]["client"], "kvrelay")
        self.assertEqual(rows["GET 16x4MiB / hiredis"]["met"], "aim")
        self.assertEqual((rows["GET 16x4MiB, sealed / not"]["met"], rows["GET 16x4MiB, sealed / not"]["q1"]), ("must", 0.9))
        missed = copy.deepcopy(told)
        missed[0]["clients"]["kvrelay"] = figure("GB/s", "higher", mine=0.85)["clients"]["mine"]
        self.assertEqual(goals.goals_of(missed)[0]["met"], "missed")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", required=True)
    _, rest = parser.parse_known_args(namespace=ARGS)
    server = os.environ.get("KVR_TEST_SERVER") or "redis-server"
    if shutil.which(server) is None:
        print(f"not run: {server} is not installed")
        sys.exit(77)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)


if __name__ == "__main__":
    main()
