#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the README shows of `kvrelay trace` is what it prints: the three runs of that chapter are made
again, and their lines compared, numbers aside. KVR_BLESS=1 writes the lines into the README.
"""

import argparse
import difflib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

ARGS = argparse.Namespace()
KEY = "llama@1@0@75bcd15@bfloat16"
PATIENCE_S = 120
SHOWN = r"<!-- shown: {} -->\n```\n(.*?)^```$"


def plain(line):
    """A line without what differs from run to run."""
    line = re.sub(r"\S+\.kvrt", "FILE", line)
    line = re.sub(r"\b[0-9a-f]{16}\b", "D", line)
    line = re.sub(r" (lane|first) \d+", "", line)  # 0 is not mentioned
    line = re.sub(r"[\d.:]*\d", "N", line)
    return re.sub(r"\s+", " ", line).strip()


class Chapter(unittest.TestCase):
    def setUp(self):
        self.dir = Path(tempfile.mkdtemp(prefix="kvr-readme-"))
        self.addCleanup(shutil.rmtree, self.dir)
        (self.dir / "chunk").write_bytes(bytes(i * 7 & 0xFF for i in range(1 << 20)))
        self.rehearse("pass")
        (self.dir / "deploy.json").write_text(json.dumps({
            "rehearse": True, "trace": {"dir": str(self.dir / "trace"), "size": "4MiB"},
            "memory": {"staging": "16MiB", "objects": "16MiB"},
            "tiers": [{"name": "disk", "url": f"fs://{self.dir}/c", "faults": "faults.txt",
                       "lanes": {"control": 1, "bulk": 1}}]}))

    def rehearse(self, fault):
        (self.dir / "faults.txt").write_text(f"0s {fault}\n")

    def command(self, words):
        return [ARGS.command, *words]

    def call(self, *words):
        """All that a person would see, but the warning that this is a rehearsal."""
        done = subprocess.run(self.command(words), cwd=self.dir, stdin=subprocess.DEVNULL, timeout=PATIENCE_S,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        return [line.rstrip() for line in done.stdout.splitlines() if "this is a rehearsal" not in line]

    def shown(self, name):
        text = ARGS.readme.read_text()
        found = re.search(SHOWN.format(name), text, flags=re.M | re.S)
        self.assertIsNotNone(found, name)
        return found.group(1).splitlines()

    def compare(self, name, op="0.1"):
        want, got = self.shown(name), []
        for line in want:
            if not line.startswith("$ kvrelay "):
                continue
            words = shlex.split(re.sub(r"(?<=--op )\S+", op, line))[2:]
            got.append(line)
            got += self.call(*words, *([self.dir / "trace"] if words[0] == "trace" else []))
        if os.environ.get("KVR_BLESS") == "1":
            here = [line.replace(str(self.dir / "trace"), "/dev/shm/kvrelay-1000").replace(f"{self.dir}/", "")
                    for line in got]
            text = ARGS.readme.read_text()
            old = re.search(SHOWN.format(name), text, flags=re.M | re.S)
            ARGS.readme.write_text(text[:old.start(1)] + "\n".join(here) + "\n" + text[old.end(1):])
            return
        # Whether anything waited between two actors for a microsecond is not ours to say.
        plain_want, plain_got = ([plain(line.replace(f"{self.dir}/", "")) for line in lines
                                  if " ms waited in " not in line] for lines in (want, got))
        differ = list(difflib.unified_diff(plain_want, plain_got, "README.md", "today", lineterm=""))
        self.assertEqual(differ, [], "\n".join(differ) + "\nKVR_BLESS=1 writes what is printed today")

    def stored(self):
        self.call("put", "--config", "deploy.json", KEY, "chunk", "--raw")
        shutil.rmtree(self.dir / "trace")

    def test_a_miss_that_should_be_a_hit(self):
        self.stored()
        self.rehearse("flip")
        self.compare("miss")

    def test_a_slow_get(self):
        self.stored()
        self.rehearse("delay 80ms on get")
        self.call("get", "--config", "deploy.json", KEY, "-o", "back")
        ops = "\n".join(self.call("trace", "ops", self.dir / "trace"))
        self.compare("slow", re.search(r"op (\S+), get of 1 key", ops).group(1))

    def test_a_crash(self):
        self.rehearse("hang on put")
        running = subprocess.Popen(self.command(["put", "--config", "deploy.json", KEY, "chunk", "--raw"]), cwd=self.dir,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + PATIENCE_S
        # Both lanes are up, and one of them has the part.
        while not ("is with worker" in "\n".join(self.seen()) and sum(" UP " in line for line in self.seen()) >= 3):
            self.assertIsNone(running.poll())
            self.assertLess(time.monotonic(), until)
        running.send_signal(signal.SIGKILL)
        running.wait()
        self.compare("crash")

    def seen(self):
        return self.call("trace", "last", self.dir / "trace") if (self.dir / "trace").exists() else []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--command", required=True)
    parser.add_argument("--readme", required=True, type=Path)
    _, rest = parser.parse_known_args(namespace=ARGS)
    unittest.main(argv=[sys.argv[0], *rest])


if __name__ == "__main__":
    main()
