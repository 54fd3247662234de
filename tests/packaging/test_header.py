#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The installed headers are read by whatever compiler an engine is built with: as C and as C++, by every
standard that it knows, with its warnings as errors. And C++ finds the functions under their own names.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ARGS = argparse.Namespace()
WARNINGS = ["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Wundef", "-Wconversion",
            "-Wshadow"]
C = ["c11", "c17", "c2x", "gnu11"]
CPP = ["c++11", "c++14", "c++17", "c++20", "c++2b"]

# As a C++ engine would: no designators, a cast for every pointer.
PROGRAM = """
#include <kvrelay.h>

#include <cstdio>

int
main()
{
	kvr_options options = kvr_options();
	kvr *k = nullptr;
	char why[512];

	options.size = static_cast<uint32_t>(sizeof(options));
	options.url = "memory://";
	if (kvr_open(&options, 0, &k, why, sizeof(why)) != KVR_OK) {
		std::fputs(why, stderr);
		return 1;
	}
	const kvr_err err = kvr_contains(k, "key", false, 0);
	struct kvr_health health = {};
	health.size = static_cast<uint32_t>(sizeof(health));
	const bool well = kvr_health(k, &health) == KVR_OK && health.n_tiers == 1;
	kvr_free(k);
	return err == KVR_E_MISS && well ? 0 : 1;
}
"""


def compiler(*command, text):
    return subprocess.run([str(c) for c in command], input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=120)


def knows(command, language, standard):
    return compiler(command, "-x", language, f"-std={standard}", "-fsyntax-only", "-", text="").returncode == 0


class Header(unittest.TestCase):
    def compilers(self, *names):
        return [c for c in dict.fromkeys(names) if shutil.which(c)]

    def reads(self, command, language, standards):
        folders = [f"-I{Path(header).parent}" for header in ARGS.headers]
        text = "".join(f"#include <{Path(header).name}>\n" for header in ARGS.headers)
        read = 0
        for standard in standards:
            done = compiler(command, "-x", language, f"-std={standard}", *WARNINGS, *folders, "-fsyntax-only", "-",
                            text=text)
            if done.returncode != 0 and not knows(command, language, standard):
                continue
            self.assertEqual(done.returncode, 0, f"{command} -std={standard}\n{done.stdout}")
            read += 1
        # Two at least, or this test has looked at nothing.
        self.assertGreaterEqual(read, 2, command)

    def test_as_c(self):
        for command in self.compilers(ARGS.cc, "gcc", "clang"):
            self.reads(command, "c", C)

    def test_as_cpp(self):
        compilers = self.compilers("g++", "clang++")
        if not compilers:
            self.skipTest("no C++ compiler")
        for command in compilers:
            self.reads(command, "c++", CPP)

    def test_a_program_in_cpp(self):
        compilers = self.compilers("g++", "clang++")
        if not compilers:
            self.skipTest("no C++ compiler")
        lib = Path(ARGS.lib)
        for command in compilers:
            with tempfile.TemporaryDirectory(prefix="kvr-header-") as tmp:
                program = Path(tmp) / "program"
                done = compiler(command, "-x", "c++", "-std=c++17", *WARNINGS, f"-I{Path(ARGS.headers[0]).parent}",
                                "-", "-x", "none", lib, f"-Wl,-rpath,{lib.parent}", "-o", program, text=PROGRAM)
                self.assertEqual(done.returncode, 0, done.stdout)
                run = subprocess.run([program], env=dict(os.environ), stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, text=True, timeout=60)
                self.assertEqual(run.returncode, 0, run.stderr)


def main():
    parser = argparse.ArgumentParser()
    for name in ("cc", "lib"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--headers", nargs="+", required=True)
    _, rest = parser.parse_known_args(namespace=ARGS)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)


if __name__ == "__main__":
    main()
