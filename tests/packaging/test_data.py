#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The sample of keys and values is the one that its description speaks of. Git may have been told
to change line ends, a download may have stopped early: both would look like a fault of a serde.
"""

import hashlib
import json
import math
import struct
import sys
import unittest
from pathlib import Path

DATA = Path(sys.argv.pop(1))


class Sample(unittest.TestCase):
    def setUp(self):
        self.about = json.loads((DATA / "kv_minilm_bf16.json").read_text())
        self.files = {name: (DATA / name).read_bytes() for name in self.about["files"]}
        self.assertEqual(len(self.files), 2)

    def test_length_and_hash(self):
        for name, about in self.about["files"].items():
            self.assertEqual(len(self.files[name]), about["bytes"], name)
            self.assertEqual(2 * math.prod(about["shape"]), about["bytes"], name)
            self.assertEqual(hashlib.sha256(self.files[name]).hexdigest(), about["sha256"], name)

    def test_the_tail_follows_the_chunk(self):
        first, tail = self.about["files"].values()
        self.assertEqual(first["shape"][2], self.about["chunk_tokens"])
        self.assertEqual(tail["first_token"], first["shape"][2])

    def test_numbers_are_those_of_a_network(self):
        for name, raw in self.files.items():
            highs = struct.unpack(f"<{len(raw) // 2}H", raw)
            exponents = {h >> 7 & 0xFF for h in highs}
            self.assertNotIn(0xFF, exponents, f"{name}: infinity or not a number")
            # About 0.0 to 16: sign and exponent repeat, which is what a serde lives on.
            common = sum(1 for h in highs if 118 <= (h >> 7 & 0xFF) <= 130)
            self.assertGreater(common / len(highs), 0.95, name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
