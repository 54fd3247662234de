#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tests/contract.md names a test for each line of the contract. This fails when a line has none,
when a named test does not exist, and when it is not among the tests that are run.

A test is named as `suite` function: the suite as ctest calls it, the function as its source does.
"""

import argparse
import json
import re
import subprocess
import sys
import unittest
from pathlib import Path

ARGS = argparse.Namespace()

# How many lines each part has: one that is struck out is noticed.
LINES = {"K": 6, "W": 5, "C": 5, "O": 16, "P": 3, "M": 3, "A": 1, "H": 4, "X": 2, "F": 14, "D": 55,
         "R": 10, "N": 10, "G": 17}
ROW = re.compile(r"^\| ([A-Z])(\d+) \| (.+) \| (.+) \|$")
TEST = re.compile(r"`([a-z]+\.[a-z0-9_]+)` (\w+)")


def rows(text):
    """(letter, number, what, tests) of every line of a table."""
    for line in text.split("\n"):
        match = ROW.match(line)
        if match:
            letter, number, what, tests = match.groups()
            yield letter, int(number), what, tests
        elif re.match(r"^\| ?[A-Z]\d", line):
            raise ValueError(f"a line that cannot be read: {line}")


class Suites:
    """What ctest runs, and which functions each of them has."""

    def __init__(self):
        listed = subprocess.run([ARGS.ctest, "--test-dir", ARGS.build, "--show-only=json-v1"],
                                check=True, stdout=subprocess.PIPE, text=True)
        self.command = {t["name"]: t.get("command", []) for t in json.loads(listed.stdout)["tests"]}
        self.known = {}

    def functions(self, suite):
        if suite not in self.known:
            self.known[suite] = self.read(self.command[suite])
        return self.known[suite]

    def read(self, command):
        scripts = [Path(c) for c in command if c.endswith(".py")]
        if scripts:
            return set(re.findall(r"^ *def (test_\w+)", scripts[0].read_text(), flags=re.M))
        program = Path(command[0])
        if program.name == "kvrelay_swarm":
            sources = sorted((ARGS.source / "tests" / "swarm").glob("*.c"))
            return {f for s in sources for f in re.findall(r"^(\w+)\(", s.read_text(), flags=re.M)}
        # Check keeps each test's name as a text of its own.
        return {t.decode() for t in re.findall(rb"(?<=\0)[a-z]\w+(?=\0)", program.read_bytes())}


class Contract(unittest.TestCase):
    def setUp(self):
        self.text = (ARGS.source / "tests" / "contract.md").read_text()
        self.rows = list(rows(self.text))

    def test_no_line_is_missing(self):
        numbers = {}
        for letter, number, _, _ in self.rows:
            numbers.setdefault(letter, []).append(number)
        for letter, count in LINES.items():
            self.assertEqual(numbers.get(letter), list(range(1, count + 1)), letter)
        self.assertEqual(set(numbers), set(LINES))

    def test_every_line_has_a_test_that_is_run(self):
        suites = Suites()
        self.assertGreater(len(suites.command), 50)
        wrong = []
        for letter, number, _, tests in self.rows:
            found = TEST.findall(tests)
            if not found:
                wrong.append(f"{letter}{number} names no test: {tests}")
            for suite, function in found:
                if suite not in suites.command:
                    wrong.append(f"{letter}{number}: ctest has no {suite}")
                elif function not in suites.functions(suite):
                    wrong.append(f"{letter}{number}: {suite} has no {function}")
            # What is left when tests and what joins them are taken out is a name that is none.
            rest = TEST.sub("", tests)
            if re.search(r"[`\w]", rest):
                wrong.append(f"{letter}{number}: what is {rest.strip()}?")
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))

    def test_what_is_wrong_is_noticed(self):
        for line in ("| K1 | what | |", "| K1 what |"):
            self.assertRaises(ValueError, list, rows(line))
        self.assertEqual(list(rows("| K1 | what | `a.b` c |")), [("K", 1, "what", "`a.b` c")])
        self.assertEqual(TEST.findall("a.b c"), [])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--build", required=True)
    parser.add_argument("--ctest", required=True)
    _, rest = parser.parse_known_args(namespace=ARGS)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)


if __name__ == "__main__":
    main()
