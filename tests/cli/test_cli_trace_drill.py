#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The drill: a deployment runs under faults and is killed with SIGKILL. Then, from its trace alone: what
was under way, which lanes were down since when, what one operation waited for; and whether a program
that cools down for longer decides otherwise, and where.
"""

import json
import argparse
import os
import re
import signal
import sys

import command

ARGS = argparse.Namespace()


class Drill(command.Case):
    def deployment(self):
        """A host tier, a Redis that will be killed, and one that will be stopped."""
        self.dead, self.silent = command.Redis(), command.Redis()
        self.addCleanup(self.silent.stop)
        self.addCleanup(self.dead.stop)
        lanes = {"control": 1, "bulk": 2}
        return self.deploy(
            {"name": "host", "url": "memory://", "capacity": "32MiB"},
            {"name": "near", "url": self.dead.url, "write": "back", "lanes": lanes,
             "breaker": {"faults": 2, "backoff_min": "20ms", "backoff_max": "100ms"}},
            {"name": "far", "url": self.silent.url, "lanes": lanes},
            # The one that is stopped must not be given up before somebody has looked.
            timeouts={"connect": "60s"}, trace={"dir": str(self.dir / "trace"), "size": "16MiB"})

    def trace(self, *args, status=0):
        done = self.call("trace", *args)
        self.assertEqual(done.status, status, (args, done.text, done.err))
        return done.text

    def shows(self, *args):
        return self.call("trace", *args).status == 0

    def killed(self):
        running = self.start("bench", "--config", self.deployment(), "--chunks", "200000", "--size", "16KiB",
                             "--batch", "4")
        self.wait(lambda: self.silent("DBSIZE") > 20, running)
        (path,) = self.files("trace")
        self.dead.process.kill()
        self.wait(lambda: self.shows("show", path, "--actor", "tier 1", "--state", "COOLING"), running)
        os.kill(self.silent.process.pid, signal.SIGSTOP)
        self.addCleanup(os.kill, self.silent.process.pid, signal.SIGCONT)
        self.wait(lambda: "is with worker 2." in self.trace("last", path), running)
        running.send_signal(signal.SIGKILL)
        running.wait(timeout=command.PATIENCE_S)
        return path

    def test_the_drill(self):
        path = self.killed()

        # How did it end, and which lanes are down since when?
        last = self.trace("last", self.dir / "trace")
        self.assertEqual(last.splitlines()[0], str(path))
        self.assertIn("its process was killed or crashed", last)
        self.assertRegex(last, r"tier 1 +(COOLING|PROBING) +[\d.]+  step \d+, ")
        down = re.findall(r"(?m)^(link 1\.\d) +(DOWN|DIALING) +([\d.]+)  step (\d+), ", last)
        self.assertEqual(len(down), 3, last)
        for _, _, since, step in down:
            line = self.trace("show", path, "--from-step", step, "--until-step", step)
            self.assertIn(f"{since} ms]", line)
        self.assertEqual(len(re.findall(r"(?m)^link 2\.\d +UP ", last)), 3)
        told = json.loads(self.trace("last", self.dir / "trace", "--json"))
        self.assertEqual(told["ended"], "not closed")
        self.assertEqual(sorted(a["since_ms"] for a in told["actors"] if a["actor"].startswith("link 1.")),
                         sorted(float(since) for _, _, since, _ in down))
        held = [part["with"] for op in told["in_flight"] for part in op["parts"]]
        self.assertTrue(any(who.startswith("worker 2.") for who in held), held)

        # Which operations were under way, and what does one of them wait for?
        waits = re.search(r"op (\S+), put of 4 keys: not answered.*\n(?:    part .*\n)*?"
                          r"    part (\S+) is with (worker 2\.\d) since ([\d.]+) ms", last)
        self.assertIsNotNone(waits, last)
        op, part, worker, since = waits.groups()
        follow = self.trace("follow", path, "--op", op)
        self.assertIn(f"at the end: part {part} is with {worker} since {since} ms", follow)
        self.assertRegex(follow, rf"{since} .* tier 2 -> link 2\.\d  PART part {re.escape(part)} ")

        # Do we decide the same today, and were the rules kept?
        self.assertIn("every one as recorded", self.trace("replay", path))
        self.assertNotIn("BROKEN", self.call("trace", "check", path).text.replace("BROKEN   no answer comes", "")
                         .replace("BROKEN   no worker keeps", ""))

        # A program that cools down for twice as long: the same input, another decision, at the step.
        first = next(line for line in self.trace("show", path, "--actor", "tier 1", "--state", "COOLING").splitlines()
                     if "-> COOLING" in line)
        number = first.split("]")[1].split()[0]
        command.ARGS.command, ours = ARGS.planted, command.ARGS.command
        try:
            said = self.trace("replay", path, status=1)
        finally:
            command.ARGS.command = ours
        self.assertIn(f": step {number}, tier 1, ", said)
        self.assertIn("same input, other decision", said)
        self.assertIn(first, said)
        self.assertRegex(said, r"now: COOLING\n(.*\n)*    -> TIMER 1 at [\d.]+ ms")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--planted", required=True)
    _, rest = parser.parse_known_args(namespace=ARGS)
    sys.argv[1:] = rest
    command.needs_redis()
    command.main()


if __name__ == "__main__":
    main()
