#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What Prometheus' own tool says of the exposition and of the alerts."""

import shutil
import subprocess
import sys

import command
import exposition


def promtool(*args, text=None):
    return subprocess.run(["promtool", *map(str, args)], input=text, text=True, timeout=command.PATIENCE_S,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


class Promtool(command.Case):
    def test_the_exposition(self):
        text = exposition.of_a_run(self)
        own = "".join(l for l in text.splitlines(True) if "lmcache:" not in l)
        self.assertGreater(own.count("\n"), 1000)
        done = promtool("check", "metrics", text=own)
        self.assertEqual((done.returncode, done.stdout), (0, ""))
        # LMCache's names are what they are: it is for these that a linter complains, and for nothing else.
        done = promtool("check", "metrics", text=text)
        self.assertEqual(done.returncode, 3, done.stdout)
        for line in done.stdout.splitlines():
            self.assertTrue(line.startswith("lmcache:"), line)
        self.assertEqual(promtool("check", "metrics", text=own + "kvrelay_healthy{ 1\n").returncode, 1)

    def test_the_alerts(self):
        folder = command.ARGS.source / "config" / "dashboards"
        done = promtool("check", "rules", folder / "kvrelay-alerts.yml")
        self.assertEqual(done.returncode, 0, done.stdout)
        done = promtool("test", "rules", command.ARGS.source / "tests" / "cli" / "alerts_test.yml")
        self.assertEqual(done.returncode, 0, done.stdout)


if __name__ == "__main__":
    if shutil.which("promtool") is None:
        print("not run: promtool is not installed (Debian's package prometheus)")
        sys.exit(77)
    command.main(Promtool.__module__)
