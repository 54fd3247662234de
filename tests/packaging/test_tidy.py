#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A check that has never caught anything proves nothing: each rule of scripts/tidy.py is broken
here on purpose, once, in a tree of its own.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ARGS = argparse.Namespace()
SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"
HEADER = SPDX + "#ifndef KVR_{0}_H\n#define KVR_{0}_H\n{1}#endif\n"


def tidy(*args):
    done = subprocess.run(
        [sys.executable, ARGS.tidy, *map(str, args)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
    )
    return done.returncode, done.stdout


class Sources(unittest.TestCase):
    """A small tree without a fault; each test adds one."""

    def setUp(self):
        self.root = Path(tempfile.mkdtemp(prefix="kvr-tidy-"))
        self.write("CMakeLists.txt", "# SPDX-License-Identifier: Apache-2.0\n")
        self.write("runtime/kvr_ring.h", HEADER.format("RING", "int kvr_ring(void);\n"))
        self.write("runtime/kvr_ring.c", SPDX + '#include "kvr_ring.h"\n')
        self.write("tests/runtime/test_ring.c", SPDX + '#include "kvr_ring.h"\n')

    def tearDown(self):
        shutil.rmtree(self.root)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def finds(self, expected):
        code, out = tidy("--root", self.root)
        self.assertIn(expected, out)
        self.assertEqual(code, 1, out)
        self.assertIn(" 1 errors", out)

    def test_a_clean_tree(self):
        code, out = tidy("--root", self.root)
        self.assertEqual((code, out), (0, "4 files: 0 errors, 0 warnings, 0 panics that ought to be "
                                          "errors\n"))

    def test_no_licence_line(self):
        self.write("runtime/kvr_ring.c", '#include "kvr_ring.h"\n')
        self.finds("runtime/kvr_ring.c:1: error: the first line must be SPDX")

    def test_a_script_has_it_in_the_second_line(self):
        self.write("scripts/go", "#!/bin/sh\n# SPDX-License-Identifier: Apache-2.0\n")
        self.assertEqual(tidy("--root", self.root)[0], 0)
        self.write("scripts/go", "#!/bin/sh\nexit 0\n")
        self.finds("scripts/go:2: error: the first line must be SPDX")

    def test_blanks_at_the_end(self):
        self.write("runtime/kvr_ring.c", SPDX + "int x; \n")
        self.finds("runtime/kvr_ring.c:2: error: blanks")

    def test_no_newline_at_the_end(self):
        self.write("runtime/kvr_ring.c", SPDX + "int x;")
        self.finds("runtime/kvr_ring.c:2: error: a file ends with one newline")

    def test_undone_work_without_an_issue(self):
        mark = "TO" "DO"  # in pieces, for this file is looked at, too
        self.write("runtime/kvr_ring.c", SPDX + f"/* {mark}(#7): smaller */\n")
        self.assertEqual(tidy("--root", self.root)[0], 0)
        self.write("runtime/kvr_ring.c", SPDX + f"/* {mark}: smaller */\n")
        self.finds(f"runtime/kvr_ring.c:2: error: name the issue: {mark}(#12)")

    def test_a_header_without_guard(self):
        self.write("runtime/kvr_ring.h", SPDX + "int kvr_ring(void);\n")
        self.finds("runtime/kvr_ring.h:1: error: a header starts with its guard")

    def test_a_guard_twice(self):
        self.write("runtime/kvr_rung.h", HEADER.format("RING", ""))
        self.finds("runtime/kvr_rung.h:1: error: the guard KVR_RING_H is also that of")

    def test_a_header_name_twice(self):
        self.write("actors/kvr_ring.h", HEADER.format("RING2", ""))
        self.finds("actors/kvr_ring.h:1: error: runtime/kvr_ring.h has the same name")

    def test_a_header_with_a_common_name(self):
        self.write("runtime/ring.h", HEADER.format("RING2", ""))
        self.finds("runtime/ring.h:1: error: headers are called kvr_<noun>.h")

    def test_a_library_seen_twice(self):
        self.write("runtime/kvr_ring.c", SPDX + "#include <zstd.h>\n")
        self.assertEqual(tidy("--root", self.root)[0], 0)
        self.write("runtime/kvr_ring_zip.c", SPDX + "#include <zstd.h>\n")
        self.finds("zstd may be seen by 1 file(s) of the library: runtime/kvr_ring.c, runtime/kvr_r")

    def test_a_library_seen_through_a_header(self):
        self.write("runtime/kvr_ring.h", HEADER.format("RING", "#include <nng/nng.h>\n"))
        self.finds("runtime/kvr_ring.h:4: error: nng is seen by whoever includes this header")

    def test_a_magic_twice(self):
        magic = "enum { RING = KVR_MAGIC('R', 'I', 'N', 'G') };\n"
        self.write("runtime/kvr_ring.c", SPDX + magic)
        self.assertEqual(tidy("--root", self.root)[0], 0)
        self.write("runtime/kvr_ring_b.c", SPDX + magic)
        self.finds("runtime/kvr_ring_b.c:2: error: the magic RING is also that of runtime/kvr_ring.c:2")

    def test_a_file_without_a_test(self):
        self.write("runtime/kvr_lone.c", SPDX)
        self.finds("runtime/kvr_lone.c:1: error: no test owns this file")
        self.write("tests/owners.txt", "runtime/kvr_lone.c tests/runtime/test_ring.c\n")
        self.assertEqual(tidy("--root", self.root)[0], 0)

    def test_owners_by_pattern_and_by_header(self):
        self.write("runtime/lone_a.c", SPDX)
        self.write("runtime/lone_b.c", SPDX)
        self.write("tests/owners.txt", "runtime/lone_*.c tests/runtime/test_ring.c\n")
        self.assertEqual(tidy("--root", self.root)[0], 0)
        (self.root / "tests/owners.txt").unlink()
        self.write("runtime/kvr_lone.h", HEADER.format("LONE", ""))
        self.write("tests/runtime/test_ring.c", SPDX + '#include "kvr_lone.h"\n')
        self.assertEqual(tidy("--root", self.root)[0], 0)

    def test_an_owner_that_is_gone(self):
        self.write("tests/owners.txt", "# why\nruntime/kvr_ring.c tests/runtime/test_gone.c\n")
        self.finds("tests/owners.txt:2: error: tests/runtime/test_gone.c does not exist")

    def test_a_long_file_is_a_warning(self):
        self.write("runtime/kvr_ring.c", SPDX + "int x;\n" * 401)
        code, out = tidy("--root", self.root)
        self.assertEqual(code, 0)
        self.assertIn("runtime/kvr_ring.c:1: warning: 402 lines", out)

    def test_a_wide_line(self):
        self.write("runtime/kvr_ring.c", SPDX + "\tint " + "w" * 107 + ";\n")
        self.assertEqual(tidy("--root", self.root)[0], 0)
        self.write("runtime/kvr_ring.c", SPDX + "\tint " + "w" * 108 + ";\n")
        self.finds("runtime/kvr_ring.c:2: error: 1 lines are wider than 120 columns")

    def test_a_long_function_is_a_warning(self):
        self.write("runtime/kvr_ring.c", SPDX + "int\nring(void)\n{\n" + "\t;\n" * 41 + "}\n")
        code, out = tidy("--root", self.root)
        self.assertEqual(code, 0)
        self.assertIn("runtime/kvr_ring.c:4: warning: ring has 41 lines", out)


class Objects(unittest.TestCase):
    def test_the_planted_violation(self):
        if not ARGS.bad:
            self.skipTest("instrumented objects call their sanitizer")
        code, out = tidy("--objects", ARGS.bad)
        self.assertEqual(code, 1, out)
        self.assertIn("the decider router may not call kvr_now_ns", out)
        self.assertRegex(out, r"the decider router keeps \d+ bytes in \.bss")

    def test_its_innocent_twin(self):
        if not ARGS.good:
            self.skipTest("instrumented objects call their sanitizer")
        code, out = tidy("--objects", ARGS.good)
        self.assertEqual((code, out), (0, "1 objects of 1 deciders: 0 errors\n"))

    def test_an_object_that_is_not_there(self):
        code, out = tidy("--objects", "/nonexistent/link.c.o")
        self.assertEqual(code, 1)
        self.assertIn("/nonexistent/link.c.o:0: error: not built", out)

    def test_no_decider_at_all_is_an_error(self):
        code, out = tidy("--objects", "/dir/serde_worker.c.o", "/dir/link_worker.c.o")
        self.assertEqual(code, 1)
        self.assertIn("nothing was checked", out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tidy", required=True)
    parser.add_argument("--good")
    parser.add_argument("--bad")
    _, rest = parser.parse_known_args(namespace=ARGS)
    unittest.main(argv=[sys.argv[0], *rest], verbosity=2)


if __name__ == "__main__":
    main()
