#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""trace: what it shows to a person who asks what became of something, and lets him walk through a run."""

import re
import shutil
import unittest

import command


class Look(command.Case):
    def setUp(self):
        super().setUp()
        lanes = {"control": 1, "bulk": 1}  # one for payloads: it is known which one has them
        self.config = self.deploy({"name": "host", "url": "memory://", "capacity": "16MiB", "lanes": lanes},
                                  {"name": "disk", "url": "fs://./c", "write": "back", "lanes": lanes},
                                  trace={"dir": str(self.dir / "trace"), "size": "4MiB", "keys": True})
        (self.dir / "value").write_bytes(b"x" * 5000)
        self.ok("put", "--config", self.config, "a-key", "value", "--raw")
        (self.put,) = self.files("trace")
        self.ok("get", "--config", self.config, "a-key", "-o", "back")
        (self.get,) = set(self.files("trace")) - {self.put}

    def step(self, path, commands, *more, status=0):
        done = self.call("trace", "step", path, "--do", commands, *more)
        self.assertEqual(done.status, status, (done.text, done.err))
        return done.text

    def numbers(self, text):
        return [int(n) for n in re.findall(r"^\[ *[\d.]+ ms\] +(\d+) ", text, flags=re.M)]

    def test_follow_tells_every_hop_and_who_had_it(self):
        text = self.ok("trace", "follow", self.put, "--op", "0.1").text
        self.assertRegex(text, r"^op 0\.1, put of 1 key: OK, 1 of 1 keys, 4\.9 KiB, after [\d.]+ ms\n")
        way = re.findall(r"(\w+(?: [\d.]+)?) -> (\w+(?: [\d.]+)?)  (\w+)", text)
        self.assertEqual(way[0], ("api", "router", "SUBMIT"))
        for hop in (("tier 1", "link 1.1", "PART"), ("worker 1.1", "link 1.1", "PART_DONE"),
                    ("router", "api", "COMPLETE"), ("router", "api", "RELEASE")):
            self.assertIn(hop, way)
        self.assertLess(way.index(("router", "api", "COMPLETE")), way.index(("router", "api", "RELEASE")))
        self.assertRegex(text, r"[\d.]+ in worker 1\.1 +\d+      worker 1\.1 -> link 1\.1  PART_DONE .* keys 1 OK")
        self.assertRegex(text, r"[\d.]+ ms worked on by (worker|copy)")
        self.fails(2, "follow whom?", "trace", "follow", self.put)
        self.fails(1, "no such operation", "trace", "follow", self.put, "--op", "77")

    def test_a_key_or_a_request_says_which_operation(self):
        by_op = self.ok("trace", "follow", self.put, "--op", "0.1").text
        self.assertEqual(self.ok("trace", "follow", self.put, "--key", "a-key").text, by_op)
        self.assertEqual(self.call("trace", "follow", self.put, "--key", "b-key").status, 1)
        self.assertEqual(self.call("trace", "show", self.put, "--request", "nobody's").status, 1)
        self.assertIn(" of op 0.1: a-key\n", self.ok("trace", "show", self.put, "--key", "a-key").text)

    def test_no_text_of_a_key_unless_asked(self):
        config = self.deploy({"name": "host", "url": "memory://"}, name="quiet.json",
                             trace={"dir": str(self.dir / "quiet"), "size": "1MiB"})
        self.ok("put", "--config", config, "a-secret-key", "value", "--raw")
        (path,) = self.files("quiet")
        self.assertNotIn(b"a-secret-key", path.read_bytes())
        self.assertIn(b"a-key", self.put.read_bytes())

    def test_ops_lists_operations(self):
        self.assertRegex(self.ok("trace", "ops", self.get).text, r"(?m)^\[ *[\d.]+ ms\] op \d+\.\d+, get of 1 key: OK")
        text = self.ok("trace", "ops", self.get).text
        ops = self.ok("trace", "ops", self.get, "--json").json
        self.assertEqual([f"op {op['op']}, {op['kind']}" for op in ops], re.findall(r"op [\d.]+, \w+", text))
        get = next(op for op in ops if op["kind"] == "get")
        self.assertEqual((get["err"], get["keys"], get["ok"], get["late"], get["said"]), ("OK", 1, 1, [], {}))
        self.assertLessEqual(get["asked_ms"], get["answered_ms"])
        self.assertIsNone(get["begun_ms"])
        self.assertIn(get["text"], text)

    def test_of_several_keys_the_one_that_is_meant_is_told(self):
        before = set(self.files("trace"))
        self.assertEqual(self.call("exists", "--config", self.config, "a-key", "b-key").status, 1)
        (path,) = set(self.files("trace")) - before
        for key, fate in ("a-key", "OK"), ("b-key", "MISS"):
            text = self.ok("trace", "show", path, "--key", key, "--actor", "link 1", "--msg", "PART_DONE").text
            self.assertRegex(text, rf"keys 1 OK, 1 MISS .* this key {fate}\n$")
            self.assertIn(f" keys 1 OK, 1 MISS this key {fate}\n", self.ok("trace", "follow", path, "--key", key).text)
        self.assertNotIn("this key", self.ok("trace", "show", path, "--actor", "link").text)
        self.assertNotIn("this key", self.ok("trace", "show", self.get, "--key", "a-key").text, "it is alone")

    def test_parts_without_the_key_are_left_out(self):
        near, far = {"name": "near", "url": "fs://./near"}, {"name": "far", "url": "fs://./far"}
        trace = {"dir": str(self.dir / "parts"), "size": "1MiB"}
        self.ok("put", "--config", self.deploy(near, name="near.json"), "a-key", "value", "--raw")
        both = self.deploy(near, far, name="both.json", trace=trace)
        self.assertEqual(self.call("exists", "--config", both, "a-key", "b-key").status, 1)
        (path,) = self.files("parts")
        done = "trace", "show", path, "--actor", "link", "--msg", "PART_DONE", "--key"
        (line,) = self.ok(*done, "a-key").text.splitlines()
        self.assertRegex(line, r" link 0\.\d .* this key OK$")
        self.assertEqual(len(self.ok(*done, "b-key").text.splitlines()), 2, "it was asked for in both")

    def test_whom_an_answer_does_without(self):
        kept = command.ARGS.source / "tests" / "traces"
        ops = self.ok("trace", "ops", kept / "outage.kvrt").text
        self.assertRegex(ops, r"(?m)^.* op 0\.2, .*: DOWN, 0 of 1 keys, .*; left out or late: tier 0$")
        self.assertRegex(ops, r"(?m)^.* op 0\.3, .*: OK, .* ms$")
        self.assertIn("; late: tier 0", self.ok("trace", "ops", kept / "deadline.kvrt").text)
        self.assertIn([0], [op["late"] for op in self.ok("trace", "ops", kept / "deadline.kvrt", "--json").json])
        self.assertIn("COMPLETE rows 1 err DOWN flags quiet,degraded tiers 0\n",
                      self.ok("trace", "follow", kept / "outage.kvrt", "--op", "0.2").text)

    def test_which_tier_failed_at_what(self):
        before = set(self.files("trace"))
        tiers = {"name": "disk", "url": "fs://./own"}, {"name": "far", "url": "redis://127.0.0.1:1"}
        config = self.deploy(*tiers, name="half.json")
        self.fails(2, "PARTIAL", "put", "--config", config, "k", "value", "--raw")
        (put,) = set(self.files("trace")) - before
        self.assertRegex(self.ok("trace", "ops", put).text, r"put of 1 key: PARTIAL, .* ms; tier 1 said DOWN\n")
        self.assertEqual([op["said"] for op in self.ok("trace", "ops", put, "--json").json if op["err"] == "PARTIAL"],
                         [{"1": "DOWN"}])
        before = set(self.files("trace"))
        self.fails(2, "tier far", "rm", "--config", config, "k")
        (rm,) = set(self.files("trace")) - before
        self.assertRegex(self.ok("trace", "ops", rm).text, r"remove of 1 key: DOWN, .* ms; tier 1 said DOWN\n")
        # What a worker said of a key stands in its rows, and a part without an error of its own has them.
        self.ok("put", "--config", self.deploy(tiers[0], name="disk.json"), "k", "value", "--raw")
        (value,) = self.files("own")
        value.write_bytes(value.read_bytes()[:-1])
        before = set(self.files("trace"))
        self.call("get", "--config", self.dir / "disk.json", "k", "-o", self.dir / "out")
        (get,) = set(self.files("trace")) - before
        self.assertRegex(self.ok("trace", "ops", get).text, r"of 1 key: (LENGTH|CORRUPT), .*; tier 0 said \1\n")

    def test_step_goes_on_and_back(self):
        text = self.step(self.put, "n; n; n; p; p", "--actor", "link 0.1")
        seen = self.numbers(text)
        self.assertEqual(len(seen), 5)
        self.assertEqual([seen[1], seen[0]], seen[3:])
        self.assertEqual(text.count("places                       0 -> 2"), 2, "the same fields change again")
        self.assertRegex(text, r"dial_ns +0 -> at [\d.]+ ms")
        self.step(self.put, "n; p", "--actor", "link 0.1", status=1)

    def test_step_goes_to_a_step_a_state_a_field(self):
        text = self.step(self.put, "u up; e; w n_parts; s; f flight[0].verb; g 1", "--actor", "link 1", status=1)
        self.assertRegex(text, r"DIALED +DIALING +-> UP ")
        self.assertRegex(text, r"-> LINK_STATE to tier 1 err OK.* state UP")
        self.assertRegex(text, r"n_parts +0 -> 1")
        self.assertRegex(text, r"state +UP\n")
        self.assertRegex(text, r"flight\[0\]\.verb +2\n")
        self.assertIn("no such step among those that are looked at", text, "1 is not a link's")
        number = self.numbers(text)[0]
        self.assertEqual(self.numbers(self.step(self.put, f"g {number}")), [number])
        self.step(self.put, "w nonsense", status=1)
        self.step(self.put, "u DOWN", "--actor", "metrics", status=1)

    def test_step_takes_commands_from_standard_input(self):
        done = self.ok("trace", "step", self.put, "--actor", "tier 1", stdin=b"n\n\np\nq\nn\n")
        self.assertEqual(len(self.numbers(done.text)), 3)
        self.assertIn("on until it changes", self.ok("trace", "step", self.put, stdin=b"?\n").text)

    def test_a_cut_is_a_trace(self):
        whole = self.ok("trace", "replay", self.put, "--json").json["steps"]
        for name, options in (("late", ("--from-step", whole // 2)), ("link", ("--actor", "link")),
                              ("middle", ("--from-step", 20, "--until-step", 40)), ("report", ("--for-report",))):
            out = self.dir / f"{name}.kvrt"
            self.ok("trace", "cut", self.put, *options, "-o", out)
            steps = self.ok("trace", "replay", out, "--json").json["steps"]
            self.assertTrue(0 < steps < whole or name == "report", name)
            self.assertLess(out.stat().st_size, 400_000)
            self.assertEqual(out.stat().st_mode & 0o077, 0, "as the trace's own file: for its user only")
            lines = [re.sub(r" request \d+", "", line) for line in self.ok("trace", "show", out).text.splitlines()
                     if " -- " not in line]
            before = [re.sub(r" request \d+", "", line) for line in self.ok("trace", "show", self.put).text.splitlines()]
            self.assertEqual(lines, [line for line in before if line in lines], "the same lines, numbers too")
        report = (self.dir / "report.kvrt").read_bytes()
        for word in (b"a-key", b"capacity", b"cmd1"):
            self.assertNotIn(word, report)
        self.assertIn(b"capacity", (self.dir / "late.kvrt").read_bytes())
        self.fails(2, "there is no step to keep", "trace", "cut", self.put, "--from-step", "999999", "-o", "none")
        (self.dir / "piped").write_bytes(self.ok("trace", "cut", self.put, "--actor", "tier 0").out)
        self.ok("trace", "replay", "piped")

    def test_replay_of_one_actor(self):
        mine = self.ok("trace", "replay", self.put, "--actor", "link", "--json").json["steps"]
        self.assertLess(mine, self.ok("trace", "replay", self.put, "--json").json["steps"])

    def test_break_at_needs_a_debugger(self):
        self.fails(2, "gdb --args", "trace", "replay", self.put, "--break-at", "9")

    @unittest.skipIf(shutil.which("gdb") is None, "no gdb")
    def test_break_at_stops_before_the_step(self):
        import subprocess
        done = subprocess.run(
            ["gdb", "-nx", "-batch", "-ex", "set debuginfod enabled off", "-ex", "run", "-ex", "bt 6", "--args",
             command.ARGS.command, "trace", "replay", self.put, "--break-at", "9"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=command.PATIENCE_S, check=False)
        if "ptrace" in done.stdout and "not permitted" in done.stdout:
            self.skipTest("no process may be traced here")
        self.assertIn("SIGTRAP comes before step 9", done.stdout)
        self.assertIn("received signal SIGTRAP", done.stdout)
        self.assertIn("kvr_replay", done.stdout)


if __name__ == "__main__":
    command.main()
