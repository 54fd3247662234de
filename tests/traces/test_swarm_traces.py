#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs of the swarm, with all their faults, in the hands of the tool: rules, replay, and every cut."""

import argparse
import random
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ARGS = argparse.Namespace()
SEEDS = 24
# Stores of the swarm stick on purpose, and who lent them memory is answered when they give it back, which
# the swarm itself looks at; everything else must hold in any world.
KEEPS = "no worker keeps a part beyond its deadline"
LATE = "no answer comes after its deadline"


def call(*args):
    return subprocess.run([str(a) for a in args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=100, check=False)


class Swarm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tmp = tempfile.TemporaryDirectory(prefix="kvr-swarm-")
        cls.dir = Path(cls.tmp.name)
        done = call(ARGS.swarm, "--seeds", f"1..{SEEDS}", "--traces", cls.dir, "--keep")
        assert done.returncode == 0, done.stderr
        cls.traces = sorted(cls.dir.glob("swarm-*.kvrt"))

    @classmethod
    def tearDownClass(cls):
        cls.tmp.cleanup()

    def trace(self, verb, *args, allowed=(0,)):
        done = call(ARGS.command, "trace", verb, *args)
        self.assertIn(done.returncode, allowed, (verb, args, done.stdout[-2000:], done.stderr))
        return done.stdout

    def test_the_rules_hold(self):
        self.assertEqual(len(self.traces), SEEDS)
        for path in self.traces:
            said = self.trace("check", path, allowed=(0, 1))
            broken = [line for line in said.splitlines() if line.startswith("BROKEN")]
            excused = (KEEPS, LATE) if any(KEEPS in line for line in broken) else ()
            others = [line for line in broken if not any(rule in line for rule in excused)]
            self.assertEqual(others, [], (path.name, said))

    def test_any_cut_is_decided_as_the_whole_was(self):
        chance = random.Random(1)
        for path in self.traces[::4]:
            numbers = re.findall(r"(?m)^\[[^]]*\] +(\d+) ", self.trace("show", path))
            for i in range(3):
                first, last = sorted(chance.sample(range(len(numbers)), 2))
                more = (["--actor", ("router", "tier", "link", "transfer")[i]] if i else [])
                cut = self.dir / "cut.kvrt"
                done = call(ARGS.command, "trace", "cut", path, "--from-step", numbers[first], "--until-step",
                            numbers[last], *more, "-o", cut)
                if done.returncode == 2 and "no step to keep" in done.stderr:
                    continue  # before the first whole snapshot of a ring that came round
                self.assertEqual(done.returncode, 0, done.stderr)
                self.trace("replay", cut, allowed=(0, 2) if more else (0,))

    def test_all_verbs_take_them(self):
        for path in self.traces[::8]:
            ops = self.trace("ops", path)
            op = re.search(r"op (\d+\.\d+), (get|put)", ops).group(1)
            self.assertIn(f"op {op}, ", self.trace("follow", path, "--op", op))
            for verb, more in (("stat", []), ("last", []), ("draw", ["--op", op]), ("info", []),
                               ("draw", ["--op", op, "--as", "mermaid"]), ("draw", ["--as", "chrome"]),
                               ("diff", [path]), ("step", ["--do", "n;p;u down;w n_parts;s;e"])):
                self.trace(verb, path, *more, allowed=(0, 1))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--command", required=True)
    parser.add_argument("--swarm", required=True)
    _, rest = parser.parse_known_args(namespace=ARGS)
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
