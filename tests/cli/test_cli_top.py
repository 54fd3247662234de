#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""ps and top see a process from outside, while it works, and say so when it has died."""

import json
import re
import signal

import command

LONG = ["bench", "--chunks", "100000", "--size", "1MiB", "--batch", "4", "--config"]


class Top(command.Case):
    def setUp(self):
        super().setUp()
        # More chunks than either tier keeps: it goes on until it is told to end.
        self.config = self.deploy({"name": "host", "url": "memory://", "capacity": "64MiB"},
                                  {"name": "disk", "url": f"fs://{self.dir}/data", "capacity": "64MiB"})
        self.trace = self.dir / "trace"

    def running(self):
        process = self.start(*LONG, self.config)
        self.wait(lambda: self.seen() and self.seen()[0]["in_flight"] > 0, process)
        return process

    def seen(self):
        return json.loads(self.call("ps", "--json", "--dir", self.trace).text)["instances"]

    def test_nobody_is_there(self):
        self.assertEqual(self.ok("ps", "--json", "--dir", self.dir / "none").json,
                         {"instances": [], "other_versions": 0})
        done = self.call("top", "--once", "--every", "10ms", "--dir", self.dir / "none")
        self.assertEqual(done.status, 1)
        nobody = f"no instance of this user is open in {self.dir}/none; --dir names another trace.dir\n"
        self.assertEqual(done.text, nobody)
        self.assertEqual(self.ok("ps", "--dir", self.dir / "none").text, nobody)
        self.fails(2, "it takes no arguments", "ps", "something")

    def test_a_process_at_work(self):
        process = self.running()
        # A call may be under way before every lane has come up.
        self.wait(lambda: [t["state"] for t in self.seen()[0]["tiers"]] == ["up", "up"], process)
        one = self.seen()[0]
        self.assertEqual((one["pid"], one["alive"], one["healthy"]), (process.pid, True, True))
        self.assertEqual(one["tiers"][0]["url"], "memory://")
        text = self.ok("ps", "--dir", self.trace).text
        self.assertRegex(text, rf"(?m)^{process.pid} +cmd1 +\S+ s +\d+ +healthy$")
        # A busy machine may do nothing in one interval: it is asked until something was done.
        looks = []

        def moved():
            look = self.ok("top", "--json", "--once", "--every", "200ms", "--dir", self.trace).json
            looks.append(look["instances"][0])
            return all(t["bytes_out_per_s"] > 0 and [lane["state"] for lane in t["lanes"]] == ["up"] * 3
                       for t in looks[-1]["tiers"])

        self.wait(moved, process)
        host, disk = looks[-1]["tiers"]
        for tier in host, disk:
            self.assertGreater(tier["keys_per_s"], 0)
            self.assertGreater(tier["p99_us"], 0)
            self.assertLessEqual(tier["p50_us"], tier["p99_us"])
            self.assertEqual((tier["errors"], tier["corrupt"], tier["last_error"]), (0, 0, ""))
        screen = self.ok("top", "--once", "--every", "50ms", "--pid", process.pid, "--dir", self.trace).text
        self.assertNotIn("\033", screen)  # not a terminal
        self.assertRegex(screen, r"(?m)^TIER +STATE +KEYS/S +MB/S IN +MB/S OUT +P50 +P99 +HIT % ")
        self.assertRegex(screen, r"(?m)^disk +up +\d+\.\d ")
        self.assertRegex(screen, r"(?m)^  lane 2 +up +\d+ parts, ")

    def test_a_process_that_was_killed(self):
        process = self.running()
        process.send_signal(signal.SIGKILL)
        process.wait()
        done = self.call("ps", "--dir", self.trace)
        self.assertEqual(done.status, 1)
        self.assertIn("it has ended without a close; kvrelay trace last shows", done.text)
        self.assertFalse(self.seen()[0]["alive"])
        # It is a file like any other by now: what stands in it may be anything.
        (page,) = self.trace.glob(".*.kvrs")
        was = page.read_bytes()
        page.write_bytes(was.replace(b"cmd1" + bytes(28), b"\x1b[2J\n" + 27 * b"A", 1))
        self.assertFalse(page.read_bytes() == was)  # without their bytes in the report
        for show in ["ps"], ["ps", "--json"], ["top", "--once", "--every", "10ms"]:
            out = self.call(*show, "--dir", self.trace).out
            self.assertIn(b" [2J " + 26 * b"A", out)
            self.assertNotIn(b"\x1b", out)
        page.write_bytes(was)
        # The next instance puts the place in order.
        self.call("exists", "x", "--config", self.config)
        self.assertEqual(self.seen(), [])

    def test_a_store_that_is_down(self):
        config = self.deploy({"name": "host", "url": "memory://", "capacity": "64MiB"},
                             {"name": "far", "url": f"unix://{self.dir}/nobody.sock", "write": "never"}, name="far.json")
        process = self.start(*LONG, config)
        self.wait(lambda: self.seen() and "nobody.sock" in self.seen()[0]["why"], process)
        text = self.ok("top", "--once", "--every", "50ms", "--dir", self.trace).text
        self.assertRegex(text, r"last error: .*nobody\.sock")
        self.assertRegex(text, r"(?m)^process \d+ cmd1, up .*: tier far is (cooling|probing|opening): ")

    def test_a_store_that_is_up_and_takes_nothing(self):
        (self.dir / "full").write_text("0s error OOM 100% on put\n")
        config = self.deploy({"name": "host", "url": "memory://", "capacity": "64MiB"},
                             {"name": "far", "url": "memory://", "write": "back", "faults": str(self.dir / "full")},
                             name="full.json", rehearse=True, metrics={"canary": "1s"})
        process = self.start(*LONG, config)
        self.wait(lambda: self.seen() and "canary" in self.seen()[0]["why"], process)
        self.assertRegex(self.seen()[0]["why"], r"^tier far: its canary: NOSPACE: OOM \(rehearsed, line 1 of ")

    def test_it_ends_when_it_is_told(self):
        process = self.start("top", "--every", "50ms", "--dir", self.dir / "none")
        line = process.stdout.readline()
        self.assertTrue(re.match(rb"no instance", line), line)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=command.PATIENCE_S), 0)


if __name__ == "__main__":
    command.main(Top.__module__)
