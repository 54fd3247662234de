#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The bench of a device is whole: a tiny run writes every figure, each beside a raw one of the same run, and
says of the rest why it was not run. Its speeds are not looked at.

  test_bench_gpu.py PROGRAM

bench_gpu_stand_in copies by the worker for CUDA over the stand-in; bench_gpu runs with --twin.
"""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

PROGRAM = Path(sys.argv.pop())
STAND_IN = PROGRAM.name.endswith("stand_in")
WAYS = {"from device", "to device", "both ways"}
PIECES = {"one piece"} | {f"pieces of {n} KiB" for n in (8, 16, 32, 64)}


def run(*words):
    return subprocess.run([PROGRAM, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=250, check=False)


class Whole(unittest.TestCase):
    def test_every_figure_is_there(self):
        with tempfile.TemporaryDirectory() as where:
            path = Path(where) / "gpu.json"
            done = run("--tiny", "--json", str(path), *([] if STAND_IN else ["--twin"]))
            self.assertEqual(done.returncode, 0, done.stdout)
            report = json.loads(path.read_text())
        for name in ("device", "driver", "driver_cuda", "toolkit", "kernel"):
            self.assertIn(name, report)
        figures = {(f["group"], f["what"], f["way"]): f for f in report["figures"]}
        self.assertEqual(len(figures), len(report["figures"]))
        missing = {entry["group"] for entry in report["not_run"]}
        want = {("copies", what, way) for what in PIECES for way in WAYS}
        want |= {("heads", "pieces of 256 bytes", way) for way in WAYS}
        for store in ("memory", "tmpfs", "redis"):
            if store not in missing:
                want |= {("stores", f"{store}, {n}", way) for n in (32, 1)
                         for way in ("put from device", "get to device")}
        if STAND_IN:
            self.assertNotIn("boundary", missing)
            want |= {("boundary", f"{n} KiB {by}", way) for n in (4, 8, 16, 32, 64)
                     for by in ("by engine", "one by one", "by kernel", "by staging") for way in WAYS}
            want |= {("few", f"{n} KiB {by}", way) for n in (64, 128, 256, 512, 1024)
                     for by in ("by kernel", "by staging") for way in WAYS}
        else:
            self.assertIn("boundary", missing)
        self.assertEqual(set(figures), want)
        for f in figures.values():
            self.assertGreater(f["gb_s"], 0)
            self.assertGreater(f["raw_gb_s"], 0)
            self.assertLessEqual(f["low"], f["of_raw"])
            self.assertLessEqual(f["of_raw"], f["high"])
            self.assertEqual("must" in f, f["group"] == "copies" or f["what"].endswith(", 32"))

    def test_it_says_what_it_cannot_do(self):
        self.assertEqual(run("--nonsense").returncode, 2)
        done = run("--tiny", "--twin", "--json", "/nonexistent/folder/gpu.json")
        if not STAND_IN:
            self.assertEqual(done.returncode, 1)
            self.assertIn("/nonexistent/folder/gpu.json cannot be written", done.stdout)


if __name__ == "__main__":
    unittest.main()
