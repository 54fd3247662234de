#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""trace: what it draws, compares, counts and checks."""

import json
import re
import shutil
import signal

import command


class Tell(command.Case):
    def setUp(self):
        super().setUp()
        self.config = self.deploy({"name": "disk", "url": "fs://./c", "lanes": {"control": 1, "bulk": 1}})
        (self.dir / "value").write_bytes(b"x" * 5000)
        self.run_one("one")
        (self.path,) = self.files("trace")

    def run_one(self, key):
        self.ok("put", "--config", self.config, key, "value", "--raw")

    def draw(self, form, *more):
        return self.ok("trace", "draw", self.path, "--as", form, *more).text

    # ---- drawings

    def test_text(self):
        lines = self.draw("text", "--op", "0.1").splitlines()
        self.assertRegex(lines[0], r"^ +ms +api +router +(transfer +copy +)?tier 0 +link 0\.1 +worker 0\.1 *$")
        self.assertIn("|---SUBMIT--->|", lines[1])
        self.assertTrue(any("<.COMPLETE...|" in line for line in lines))
        places = [m.start() for m in re.finditer(r"\|", max(lines[1:], key=lambda line: line.count("|")))]
        for line in lines[1:]:
            self.assertTrue({m.start() for m in re.finditer(r"\|", line)} <= set(places), "lifelines are straight")

    def test_mermaid(self):
        """The grammar of a sequence diagram, as far as we use it."""
        for more in ((), ("--op", "0.1")):
            lines = self.draw("mermaid", *more).splitlines()
            self.assertEqual(lines[:2], ["sequenceDiagram", "  autonumber"])
            who = set()
            for line in lines[2:]:
                named = re.fullmatch(r"  participant (\w+) as ([\w .]+)", line)
                sent = re.fullmatch(r"  (\w+)(->>|-->>)(\w+): [\w .,:-]+", line)
                note = re.fullmatch(r"  Note over (\w+): \w+ to \w+", line)
                self.assertTrue(named or sent or note, line)
                if named:
                    who.add(named.group(1))
                for name in (sent.group(1), sent.group(3)) if sent else (note.group(1),) if note else ():
                    self.assertIn(name, who)
            self.assertIn("  api->>router: SUBMIT", "\n".join(lines))

    def test_chrome(self):
        out = self.dir / "chrome.json"
        self.ok("trace", "draw", self.path, "--as", "chrome", "-o", out)
        events = json.loads(out.read_text())["traceEvents"]
        by = {}
        for e in events:
            self.assertTrue({"ph", "name", "pid", "tid", "ts"} <= set(e), e)
            by.setdefault(e["ph"], []).append(e)
        self.assertEqual(set(by), {"M", "X", "s", "f", "b", "e", "C"})
        steps = self.ok("trace", "replay", self.path, "--json").json["steps"]
        self.assertEqual(sum(e["cat"] == "step" for e in by["X"]), steps)
        self.assertEqual({e["id"] for e in by["s"]}, {e["id"] for e in by["f"]}, "each flow arrives")
        self.assertEqual([e["id"] for e in by["b"]], [e["id"] for e in by["e"]], "each operation ends")
        threads = {e["args"]["name"] for e in by["M"] if e["name"] == "thread_name"}
        self.assertTrue({"router", "tier 0", "link 0.1", "worker 0.1"} <= threads)
        self.assertTrue(any(e["cat"] == "work" and e["dur"] > 0 for e in by["X"]))
        self.assertTrue(all(e["dur"] >= 0 for e in by["X"]))

    def test_what_cannot_be_drawn(self):
        self.fails(2, "text, mermaid or chrome", "trace", "draw", self.path, "--as", "png")
        self.assertEqual(self.call("trace", "draw", self.path, "--op", "99").status, 1)

    # ---- two runs

    def test_a_trace_is_the_same_as_itself(self):
        said = self.ok("trace", "diff", self.path, self.path).text
        self.assertRegex(said, r"router +the same for \d+ steps")
        self.assertNotIn("parts at", said)

    def test_another_input_is_seen_where_it_comes_in(self):
        self.run_one("two")
        other, = set(self.files("trace")) - {self.path}
        done = self.call("trace", "diff", self.path, other)
        self.assertEqual(done.status, 1, done.text)
        # Which of two lanes comes up first is not ours to say; the key of the put is.
        self.assertRegex(done.text, r"(?m)^router +parts at its step \d+$")
        self.assertRegex(done.text, r"first: .*, the actor's step \d+: (input differs|another state before it)\n")
        self.assertRegex(done.text, r"look (outside|upstream): it comes from|another state")
        mine = self.call("trace", "diff", self.path, other, "--actor", "router")
        self.assertEqual(mine.status, 1)
        self.assertRegex(mine.text, r"first: router, .*: input differs\n")

    def test_another_decision_on_the_same_input(self):
        """A copy of the trace in which one step came out otherwise, as it would of another program."""
        text = self.ok("trace", "show", self.path, "--msg", "PART", "--actor", "tier 0").text.split("]")[1]
        self.ok("trace", "cut", self.path, "-o", "other.kvrt")
        data = bytearray((self.dir / "other.kvrt").read_bytes())
        digest = bytes.fromhex(re.search(r"digest (\w{16})", text).group(1))[::-1]
        self.assertEqual(data.count(digest), 1)
        from test_cli_trace import hasher, REC_STEP  # its way of changing a record
        if hasher() is None:
            self.skipTest("no libxxhash")
        at = data.index(digest) - 40
        data[at + 40] ^= 1
        length = int.from_bytes(data[at:at + 4], "little")
        good = hasher()(bytes(data[at + 8:at + length]), length - 8, length) & 0xFFFFFFFF
        data[at + 4:at + 8] = good.to_bytes(4, "little")
        (self.dir / "other.kvrt").write_bytes(data)
        self.assertEqual(REC_STEP, 1)
        done = self.call("trace", "diff", self.path, "other.kvrt")
        self.assertEqual(done.status, 1, done.text)
        self.assertIn("first: tier 0, the actor's step", done.text)
        self.assertIn("same input, other decision", done.text)
        self.assertIn(f" {text.split()[0]} tier 0", done.text, "at the right step")
        self.assertIn("look here", done.text)

    # ---- rules and counts

    def test_check_finds_the_rules_kept(self):
        said = self.ok("trace", "check", self.path).text
        self.assertEqual(len(re.findall(r"(?m)^ok ", said)), 9, said)
        self.assertRegex(said, r"most: \d+ of 64 effects \(.*\), \d+ of 8192 lines \(.*\)")

    def test_check_sees_a_rule_broken(self):
        """The same step twice: a part that is given back twice, against its holder and the counts."""
        data = self.path.read_bytes()
        from test_cli_trace import hasher
        if hasher() is None:
            self.skipTest("no libxxhash")
        text = self.ok("trace", "show", self.path, "--msg", "PART_DONE", "--actor", "link").text
        digest = bytes.fromhex(re.search(r"digest (\w{16})", text).group(1))[::-1]
        at = data.index(digest) - 40
        changed = bytearray(data)
        changed[at + 56 + 2] = 1  # msg.from: the api gives it back, and not the worker
        changed[at + 56 + 3] = 0
        length = int.from_bytes(data[at:at + 4], "little")
        good = hasher()(bytes(changed[at + 8:at + length]), length - 8, length) & 0xFFFFFFFF
        changed[at + 4:at + 8] = good.to_bytes(4, "little")
        self.path.write_bytes(changed)
        done = self.call("trace", "check", self.path)
        self.assertEqual(done.status, 1, done.text)
        self.assertRegex(done.text, r"BROKEN +no message goes against an arrow")
        self.assertRegex(done.text, r"step \d+: PART_DONE from api to link 0\.1")
        self.assertRegex(done.text, r"BROKEN +a part has one holder")
        self.assertRegex(done.text, r"(?m)^ok +every operation is answered once")

    def test_stat(self):
        rows = self.ok("trace", "stat", self.path, "--json").json
        steps = self.ok("trace", "replay", self.path, "--json").json["steps"]
        self.assertEqual(sum(r["count"] for r in rows), steps)
        done = next(r for r in rows if r["actor"] == "link 0.1" and r["message"] == "PART_DONE")
        self.assertEqual(done["count"], 1)
        self.assertGreater(done["way_max_ms"], 0)
        self.assertRegex(self.ok("trace", "stat", self.path).text, r"(?m)^router +SUBMIT +1 ")

    def test_states(self):
        for actor in ("router", "tier", "link", "transfer", "metrics"):
            lines = self.ok("trace", "states", actor).text.splitlines()
            self.assertEqual(lines[0], "stateDiagram-v2")
            for line in lines[1:]:
                self.assertRegex(line, r"^  (\[\*\]|\w+) --> \w+(: [A-Z_, ]+)?$")
        said = self.ok("trace", "states", "link", "--seen", self.path).text
        # The put needs one of the two lanes, and may be over before the other one is up.
        self.assertRegex(said, r"DIALING --> UP: DIALED \([12]\)")
        self.assertRegex(said, r"\d+ of \d+ cells of link were seen; never:\n")
        self.assertIn("PONG in HALF_OPEN", said)
        self.assertNotIn("DIALED in DIALING", said.split("never:\n")[1])
        self.fails(2, "states of whom?", "trace", "states", "nobody")
        self.fails(2, "--seen in which", "trace", "states", "link", "--seen")

    # ---- while it runs

    def test_watch(self):
        shutil.rmtree(self.dir / "trace")
        config = self.deploy({"name": "disk", "url": "fs://./d"})
        running = self.start("bench", "--config", config, "--chunks", "400000", "--size", "4KiB", "--batch", "2")
        self.wait(lambda: len(self.files("d")) > 4 and self.files("trace"), running)
        watching = self.start("trace", "watch", running.pid, "--dir", self.dir / "trace", "--msg", "SUBMIT")
        lines = [watching.stdout.readline() for _ in range(200)]
        self.assertTrue(all(b" SUBMIT " in line for line in lines))
        running.send_signal(signal.SIGINT)
        out, err = watching.communicate(timeout=command.PATIENCE_S)
        self.assertEqual(watching.returncode, 0, err)
        self.fails(2, "no trace of process 1;", "trace", "watch", "1", "--dir", self.dir / "trace")
        once = self.ok("trace", "watch", self.files("trace")[0], "--once").text
        self.assertIn(" -- closed", once)


if __name__ == "__main__":
    command.main()
