#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The counting that every other verdict rests on: scripts/test_counts.py reads what ctest really
writes, .ci/stages.sh adds up stages that pass, fail, hang, lie or say nothing, and
tests/determinism.sh sees two builds that decide differently.
"""

import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

CMAKE, CTEST, ROOT = sys.argv[1:4]
del sys.argv[1:4]

PROJECT = """
cmake_minimum_required(VERSION 3.25)
project(counted NONE)
enable_testing()
add_test(NAME good COMMAND ${CMAKE_COMMAND} -E true)
add_test(NAME also_good COMMAND ${CMAKE_COMMAND} -E true)
add_test(NAME bad COMMAND ${CMAKE_COMMAND} -E false)
add_test(NAME no_program COMMAND /nonexistent/program)
add_test(NAME too_slow COMMAND sleep 30)
add_test(NAME not_here COMMAND sh -c "echo no server here; exit 77")
add_test(NAME off COMMAND ${CMAKE_COMMAND} -E true)
set_tests_properties(too_slow PROPERTIES TIMEOUT 1)
set_tests_properties(not_here PROPERTIES SKIP_RETURN_CODE 77)
set_tests_properties(off PROPERTIES DISABLED ON)
"""


def run(*command, cwd=None):
    done = subprocess.run(
        [str(c) for c in command], cwd=cwd, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120,
    )
    return done.returncode, done.stdout


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)


class Scratch(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp(prefix="kvr-ci-"))

    def tearDown(self):
        shutil.rmtree(self.dir)


class Counts(Scratch):
    def count(self, *selection):
        (self.dir / "CMakeLists.txt").write_text(PROJECT)
        self.assertEqual(run(CMAKE, "-S", self.dir, "-B", self.dir / "build")[0], 0)
        report = self.dir / "report.xml"
        run(CTEST, "--test-dir", self.dir / "build", "--output-junit", report, *selection)
        counts = self.dir / "counts"
        code, out = run(sys.executable, f"{ROOT}/scripts/test_counts.py", report, counts)
        return code, out, counts.read_text()

    def test_every_way_a_test_can_end(self):
        code, out, counts = self.count()
        self.assertEqual((code, counts), (1, "2 3 2\n"), out)
        for name in ("bad", "no_program", "too_slow"):
            self.assertIn(f"  failed: {name}: ", out)
        self.assertIn("  not run: not_here: no server here\n", out)
        self.assertIn("  not run: off: ", out)

    def test_all_good(self):
        code, out, counts = self.count("-R", "good")
        self.assertEqual((code, counts), (0, "2 0 0\n"), out)

    def test_nothing_ran(self):
        code, out, counts = self.count("-R", "not_here")
        self.assertEqual((code, counts), (1, "0 0 1\n"), out)
        self.assertIn("none ran", out)


class Stages(Scratch):
    def stages(self, *lines):
        script = "\n".join(["set -uo pipefail", f"source {ROOT}/.ci/stages.sh", *lines, "sum_up"])
        code, out = run("bash", "-c", script, cwd=self.dir)
        return code, out.strip().split("\n")[-1], out

    def counting(self, counts, status=0):
        return f"""bash -c 'echo "{counts}" >>"$COUNTS"; exit {status}'"""

    def test_sums(self):
        code, last, _ = self.stages(
            f"stage a 10 {self.counting('3 0 1')}", f"stage b 10 {self.counting('4 0 0')}"
        )
        self.assertEqual((code, last), (0, "7 passed, 0 failed"))

    def test_a_failure_counts_and_the_next_stage_runs(self):
        code, last, out = self.stages(
            f"stage a 10 {self.counting('3 2 0', 1)}", f"stage b 10 {self.counting('4 0 0')}"
        )
        self.assertEqual((code, last), (1, "7 passed, 2 failed"), out)

    def test_a_stage_that_breaks_before_it_counts(self):
        self.assertEqual(self.stages("stage a 10 false")[:2], (1, "0 passed, 1 failed"))

    def test_a_stage_that_breaks_after_it_counted_only_good(self):
        code, last, _ = self.stages(f"stage a 10 {self.counting('5 0 0', 3)}")
        self.assertEqual((code, last), (1, "5 passed, 1 failed"))

    def test_a_stage_that_fails_and_exits_well(self):
        code, last, _ = self.stages(f"stage a 10 {self.counting('5 1 0')}")
        self.assertEqual((code, last), (1, "5 passed, 1 failed"))

    def test_a_stage_that_says_nothing(self):
        code, last, out = self.stages("stage a 10 true")
        self.assertEqual((code, last), (1, "0 passed, 1 failed"))
        self.assertIn("a counted nothing", out)

    def test_a_stage_that_hangs(self):
        code, last, out = self.stages("stage a 1 sleep 60")
        self.assertEqual((code, last), (1, "0 passed, 1 failed"))
        self.assertIn("over budget", out)
        self.assertIn("exit 124", out)

    def test_the_processor_is_counted(self):
        (self.dir / "busy.py").write_text(
            "import os, time\nwhile time.process_time() < 2:\n    pass\n"
            "open(os.environ['COUNTS'], 'a').write('1 0 0\\n')\n")
        code, _, out = self.stages(f"stage idle 30 {self.counting('1 0 0')}",
                                   f"stage a 30 {sys.executable} busy.py")
        self.assertEqual(code, 0, out)
        self.assertRegex(out, r"-- idle: \d+ s of 30 s, 0 s of processor: ")
        self.assertRegex(out, r"-- a: \d+ s of 30 s, [23] s of processor: ")

    def test_a_stage_that_is_missing(self):
        self.assertEqual(self.stages("stage a 10 /nonexistent")[:2], (1, "0 passed, 1 failed"))


class Counted(Scratch):
    def counted(self, *command):
        code, _ = run("env", f"COUNTS={self.dir}/counts", f"{ROOT}/.ci/counted", *command)
        return code, (self.dir / "counts").read_text()

    def test_good_and_bad(self):
        self.assertEqual(self.counted("true"), (0, "1 0 0\n"))
        self.assertEqual(self.counted("sh", "-c", "exit 3"), (3, "1 0 0\n0 1 0\n"))


class Determinism(Scratch):
    SAYS = {"actors/test_actors_router": "router: $KVR_SEEDS seeds",
            "actors/test_actors_swarm": "actors.swarm: $KVR_SEEDS seeds",
            "swarm/kvrelay_swarm": "swarm: seeds $2"}

    def build(self, name, digest, status=0, programs=tuple(SAYS)):
        for program in programs:
            path = self.dir / name / "tests" / program
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"#!/bin/sh\necho 'Running'\necho \"{self.SAYS[program]}, "
                            f"digest {digest}\"\nexit {status}\n")
            path.chmod(0o755)
        return self.dir / name

    def compare(self, one, other):
        return run(f"{ROOT}/tests/determinism.sh", one, other, 7)

    def test_the_same(self):
        code, out = self.compare(self.build("a", "0" * 16), self.build("b", "0" * 16))
        self.assertEqual(code, 0, out)
        self.assertIn(f"same: router: 7 seeds, digest {'0' * 16}\n", out)
        self.assertIn(f"same: swarm: seeds 1..7, digest {'0' * 16}\n", out)

    def test_one_bit(self):
        code, out = self.compare(self.build("a", "0" * 16), self.build("b", "0" * 15 + "1"))
        self.assertEqual((code, out.count("differs: ")), (1, 3), out)

    def test_a_seed_that_breaks_in_both(self):
        code, out = self.compare(self.build("a", "0" * 16, 1), self.build("b", "0" * 16, 1))
        self.assertEqual((code, out.count(" failed, ")), (1, 3), out)

    def test_no_digest(self):
        code, out = self.compare(self.build("a", ""), self.build("b", ""))
        self.assertEqual(code, 1, out)

    def test_one_that_was_not_built(self):
        code, out = self.compare(self.build("a", "0" * 16), self.build("b", "", programs=()))
        self.assertEqual(code, 2, out)
        self.assertIn("was not built", out)


class Gpu(Scratch):
    """.ci/gpu on a machine that has a pack and nothing else; its programs are scripts here."""

    GOOD = 'echo "on a device"\n'
    SANITIZER = 'while [ "${1#./}" = "$1" ]; do case $1 in --tool) tool=$2 ;; esac; shift; done\n'

    def setUp(self):
        super().setUp()
        self.pack = self.dir / "build" / "gpu-pack"
        for name in ("gpu", "stages.sh"):
            (self.dir / ".ci").mkdir(exist_ok=True)
            shutil.copy(f"{ROOT}/.ci/{name}", self.dir / ".ci" / name)
        for name in ("copy", "api", "layers", "soak"):
            script(self.pack / "test" / f"test_gpu_{name}", self.GOOD)
        # By itself only.
        script(self.pack / "test" / "test_gpu_lost", '[ $# = 0 ]\n')
        script(self.pack / "bench" / "bench_gpu", 'echo "{}" >"$2"\n')
        (self.pack / "of").write_text("this test\n")
        script(self.dir / "bin" / "compute-sanitizer", self.SANITIZER + 'exec "$1"\n')

    def gpu(self, *words):
        path = f"{self.dir}/bin:/usr/bin:/bin"
        return run("env", f"PATH={path}", self.dir / ".ci" / "gpu", *words)

    def test_all_of_it(self):
        code, out = self.gpu("--packed")
        self.assertEqual(code, 0, out)
        self.assertIn("on a device", out)
        self.assertIn("14 passed, 0 failed", out)
        self.assertEqual((self.dir / "build/ci/gpu.json").read_text(), "{}\n")

    def test_where_there_is_no_device(self):
        script(self.pack / "test" / "test_gpu_copy", 'echo "not run: no device: none" >&2; exit 77\n')
        code, out = self.gpu("--packed")
        self.assertEqual(code, 77, out)
        self.assertIn("not run: no device: none", out)

    def test_where_there_is_no_pack(self):
        shutil.rmtree(self.pack)
        code, out = self.gpu("--packed")
        self.assertEqual(code, 77, out)
        self.assertIn("there is no pack", out)
        self.assertEqual(self.gpu("--what")[0], 2)

    def test_a_program_that_does_not_start_is_a_failure(self):
        script(self.pack / "test" / "test_gpu_copy", "exit 127\n")
        code, out = self.gpu("--packed")
        self.assertEqual(code, 1, out)
        self.assertIn("does not start here (exit 127)", out)

    def test_what_fails_is_counted(self):
        script(self.pack / "test" / "test_gpu_layers", "exit 1\n")
        script(self.pack / "bench" / "bench_gpu", "exit 1\n")
        script(self.dir / "bin" / "compute-sanitizer",
               self.SANITIZER + '[ "$tool" != racecheck ] || exit 9\nexec "$1"\n')
        code, out = self.gpu("--packed")
        self.assertEqual(code, 1, out)
        # The tests and the two that run them all, the bench, and the one that finds something.
        self.assertIn("9 passed, 5 failed", out)


if __name__ == "__main__":
    unittest.main(verbosity=2)
