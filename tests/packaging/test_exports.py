#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The functions that the public headers declare, the names in the map and what the library exports
are one list. A name too few is a program that does not link; a name too many is a promise.
"""

import argparse
import re
import subprocess
import sys
import unittest
from pathlib import Path

ARGS = argparse.Namespace()


def declared(header):
    """Names of the functions of one header, read after the preprocessor at depth zero."""
    text = subprocess.run(
        [ARGS.cc, "-E", "-P", header], check=True, stdout=subprocess.PIPE, text=True, timeout=60
    ).stdout
    names, depth, statement = set(), 0, ""
    for token in re.findall(r"\w+|\S", text):
        if token in "({[":
            if depth == 0 and token == "(" and "typedef" not in statement.split():
                word = statement.split()[-1] if statement.split() else ""
                if word.startswith("kvr_"):
                    names.add(word)
            depth += 1
        elif token in ")}]":
            depth -= 1
            if depth == 0 and token == "}":
                statement = ""
        elif depth == 0:
            statement = "" if token == ";" else f"{statement} {token}"
    return names


def mapped():
    text = re.sub(r"/\*.*?\*/", "", Path(ARGS.map).read_text(), flags=re.S)
    body = text.split("global:")[1].split("local:")[0]
    return [name.strip() for name in body.split(";") if name.strip()]


def exported():
    out = subprocess.run(
        ["nm", "-D", "--defined-only", "--format=posix", ARGS.lib],
        check=True, stdout=subprocess.PIPE, text=True, timeout=60,
    ).stdout
    symbols = [line.split()[:2] for line in out.splitlines()]
    # The version node itself is an absolute symbol.
    return {name.split("@")[0]: kind for name, kind in symbols if kind != "A"}


class Exports(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        headers = sorted(Path(ARGS.api).glob("kvrelay*.h"))
        self.assertTrue(headers)
        self.declared = set().union(*(declared(h) for h in headers))
        self.assertIn("kvr_open", self.declared)

    def test_the_map_is_sorted_and_has_no_pattern(self):
        names = mapped()
        self.assertEqual(names, sorted(set(names)))
        for name in names:
            self.assertRegex(name, r"^kvr_[a-z0-9_]+$")

    def test_the_map_is_the_header(self):
        self.assertEqual(sorted(self.declared), mapped())

    def test_the_library_exports_the_header(self):
        self.assertEqual(sorted(self.declared), sorted(exported()))

    def test_only_functions_are_exported(self):
        # Data in an interface is copied into the program when that is linked, at the size of then.
        self.assertEqual({kind for kind in exported().values()}, {"T"})


def main():
    parser = argparse.ArgumentParser()
    for name in ("cc", "api", "map", "lib"):
        parser.add_argument(f"--{name}", required=True)
    _, rest = parser.parse_known_args(namespace=ARGS)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)


if __name__ == "__main__":
    main()
