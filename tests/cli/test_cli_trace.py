#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""trace: a run is replayed; a trace in which a decision was changed is not taken for the same."""

import ctypes
import ctypes.util
import os
import signal
import struct
import unittest

import command

# struct kvr_trace_head and struct kvr_rec_step, as far as they are needed here.
HEAD_BYTES, RING_BYTES, OLDEST = 12, 16, 32
REC, REC_LEN, REC_SUM, REC_KIND, REC_STEP = "<IIQHHI", 0, 4, 16, 1
STEP_NOW, STEP_NUMBER, STEP_DIGEST = 24, 32, 40


def hasher():
    name = ctypes.util.find_library("xxhash")
    if name is None:
        return None
    fn = ctypes.CDLL(name).XXH3_64bits_withSeed
    fn.restype, fn.argtypes = ctypes.c_uint64, [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint64]
    return fn


class Trace(command.Case):
    def run_once(self, *more):
        config = self.deploy({"name": "host", "url": "memory://", "capacity": "16MiB"},
                             {"name": "disk", "url": "fs://./c", "write": "back"})
        self.ok("bench", "--config", config, "--chunks", "12", "--size", "64KiB", "--batch", "5", "--lookups",
                "10", *more)
        traces = self.files("trace")
        self.assertEqual(len(traces), 3, "one of each instance: write, read, removal")
        return traces

    def records(self, data):
        """Offset of every record of a ring that has not come round."""
        at, = struct.unpack_from("<I", data, HEAD_BYTES)
        found = []
        while at + 24 <= len(data):
            length, = struct.unpack_from("<I", data, at)
            if length == 0:
                break
            found.append(at)
            at += length
        return found

    def test_every_trace_of_a_run_replays(self):
        for path in self.run_once():
            done = self.ok("trace", "replay", path, "--json").json
            self.assertTrue(done["same"])
            info = self.ok("trace", "info", path, "--json").json
            self.assertEqual(info["tail"], "")
            self.assertEqual(done["steps"], info["records"] - 1, "all but the mark at the end")
            self.assertRegex(self.ok("trace", "replay", path).text, r"replayed \d+ steps, every one as recorded")

    def test_a_ring_that_came_round_replays_from_a_snapshot(self):
        config = self.deploy({"name": "disk", "url": "fs://./c"},
                             trace={"dir": str(self.dir / "trace"), "size": "1MiB"})
        self.ok("bench", "--config", config, "--chunks", "64", "--size", "4KiB", "--batch", "1", "--lookups", "3000")
        came_round = 0
        for path in self.files("trace"):
            info = self.ok("trace", "info", path, "--json").json
            came_round += info["written"] > info["ring"]
            self.assertTrue(self.ok("trace", "replay", path, "--json").json["same"])
        self.assertGreater(came_round, 0)

    def test_show_and_its_filters(self):
        path = self.run_once()[0]
        whole = self.ok("trace", "show", path).text.splitlines()
        self.assertEqual(len(whole), self.ok("trace", "info", path, "--json").json["records"])
        for option, words in (("--actor", "router"), ("--actor", "link"), ("--actor", "link 1.0"), ("--msg", "submit")):
            lines = self.ok("trace", "show", path, option, words).text.splitlines()
            self.assertLess(len(lines), len(whole))
            for line in lines:
                self.assertIn(words.upper() if option == "--msg" else f" {words}", line)
                self.assertIn(line, whole)
        lines = self.ok("trace", "show", path, "--op", "0.1", "--json").json
        self.assertTrue(lines and all(" op 0.1 " in line for line in lines))
        middle = float(whole[len(whole) // 2].split()[1])
        early = self.ok("trace", "show", path, "--until", f"{middle}ms").text.splitlines()
        self.assertTrue(0 < len(early) < len(whole))
        self.fails(2, "no actor 'routr'", "trace", "show", path, "--actor", "routr")
        for op in ("x", "", "0.", "0.1x", "-0.1", "0x1"):
            self.fails(2, f"no operation is named '{op}'", "trace", "show", path, "--op", op)
        self.fails(2, "no message 'submitt'", "trace", "show", path, "--msg", "submitt")
        self.fails(2, "has a state 'upp'", "trace", "show", path, "--state", "upp")

    def test_filters_combine(self):
        path = self.run_once()[0]
        lines = self.ok("trace", "show", path, "--actor", "link", "--state", "dialing", "--msg", "dialed").text
        self.assertTrue(2 <= len(lines.splitlines()) <= 6, "two tiers of three lanes, which dial in their time")
        for line in lines.splitlines():
            self.assertRegex(line, r"\d link \d\.\d +DIALED +DIALING +-> UP ")
        whole = self.ok("trace", "show", path).text.splitlines()
        middle = int(whole[len(whole) // 2].split("]")[1].split()[0])
        late = self.ok("trace", "show", path, "--from-step", middle, "--actor", "tier 0").text.splitlines()
        self.assertTrue(all(int(line.split("]")[1].split()[0]) >= middle and " tier 0 " in line for line in late))
        self.assertEqual(self.call("trace", "show", path, "--from-step", middle, "--until-step", middle - 1).status, 1)
        effects = self.ok("trace", "show", path, "--msg", "submit", "--effects").text
        self.assertRegex(effects, r"-> (PART|COPY) to (tier 0|transfer) op 0\.1 part ")

    def test_info_has_the_configuration(self):
        text = self.ok("trace", "info", self.run_once()[0]).text
        self.assertIn("tiers.disk.url", text)
        self.assertIn("as it should be", text)

    def test_last(self):
        self.run_once()
        newest = max(self.files("trace"), key=lambda p: p.stat().st_mtime_ns)
        said = self.ok("trace", "last", self.dir / "trace", "--lines", "7").text
        self.assertEqual(said.splitlines()[0], str(newest))
        self.assertIn("closed in order", said)
        self.assertRegex(said, r"router +CLOSED +[\d.]+  step \d+, STOPPED in CLOSING")
        self.assertIn("0 operations in flight", said)
        self.assertEqual(len(said.split("the last 7 lines\n")[1].splitlines()), 7)
        self.assertEqual(self.ok("trace", "last", newest, "--lines", "7").text, said, "a file by its name")
        last = self.ok("trace", "last", newest, "--lines", "7", "--json").json
        self.assertEqual((last["trace"], last["ended"], last["in_flight"]), (str(newest), "closed", []))
        self.assertEqual(last["lines"], said.split("the last 7 lines\n")[1].splitlines())
        self.assertIn(("router", "CLOSED"), [(a["actor"], a["state"]) for a in last["actors"]])
        # What a process leaves that was killed while it opened.
        (self.dir / "trace" / "kvr1.1.0.kvrt").write_bytes(bytes(1 << 20))
        self.assertEqual(self.ok("trace", "last", self.dir / "trace", "--lines", "7").text, said)
        (self.dir / "empty").mkdir()
        self.fails(1, "no trace", "trace", "last", self.dir / "empty")
        self.fails(2, "none", "trace", "last", self.dir / "none")

    def test_looking_around_leaves_the_trace_of_an_engine(self):
        config = self.deploy({"name": "host", "url": "memory://"})
        self.call("exists", "x", "--config", config)
        (made,) = self.files("trace")
        engine = made.rename(self.dir / "trace" / "kvr1.7.0.kvrt")
        for _ in range(10):
            self.call("exists", "x", "--config", config)
        self.assertIn(engine, self.files("trace"))
        self.assertEqual(len(self.files("trace")), 1 + 8 + 1, "as many of commands as ever")
        done = self.call("trace", "last", self.dir / "trace")
        self.assertEqual(done.status, 0)
        self.assertRegex(done.err, r"this is of a command, \S+/cmd1\.\d+\.0\.kvrt; the newest of an engine is ")
        self.assertIn(str(engine), done.err)
        self.assertEqual(self.ok("trace", "last", engine).err, "")

    def test_a_run_that_was_killed(self):
        config = self.deploy({"name": "disk", "url": "fs://./c"})
        running = self.start("bench", "--config", config, "--chunks", "20000", "--size", "64KiB", "--batch", "2")
        self.wait(lambda: len(self.files("c")) > 40, running)
        running.send_signal(signal.SIGKILL)
        running.wait(timeout=command.PATIENCE_S)
        (path,) = self.files("trace")
        self.assertGreater(self.ok("trace", "replay", path, "--json").json["steps"], 100)
        self.assertIn("its process was killed or crashed", self.ok("trace", "last", self.dir / "trace").text)

    @unittest.skipIf(hasher() is None, "no libxxhash")
    def test_a_changed_decision_is_found(self):
        path = self.run_once()[0]
        data = bytearray(path.read_bytes())
        steps = [at for at in self.records(data) if struct.unpack_from(REC, data, at)[3] == REC_STEP]
        at = steps[len(steps) // 2]
        data[at + STEP_DIGEST] ^= 1
        length, = struct.unpack_from("<I", data, at)
        good = hasher()(bytes(data[at + 8:at + length]), length - 8, length) & 0xFFFFFFFF
        struct.pack_into("<I", data, at + REC_SUM, good)
        path.write_bytes(data)
        number = struct.unpack_from(REC, data, at)[2]
        done = self.call("trace", "replay", path)
        self.assertEqual(done.status, 1, done.err)
        step, = struct.unpack_from("<Q", data, at + STEP_NUMBER)
        self.assertIn(f": step {step}, ", done.text)
        self.assertIn("same input, other decision: digest", done.text)
        self.assertIn("\nthen: ", done.text)
        self.assertIn("\nnow: ", done.text)
        seen = self.call("trace", "replay", path, "--json").json
        self.assertFalse(seen["same"])
        self.assertEqual(seen["record"], number)
        self.assertIn("digest", seen["difference"])

    def test_a_damaged_record_ends_the_trace(self):
        path = self.run_once()[0]
        data = bytearray(path.read_bytes())
        at = self.records(data)[20]
        data[at + STEP_NOW] ^= 1
        path.write_bytes(data)
        done = self.call("trace", "replay", path)
        self.assertEqual(done.status, 0, done.err)
        self.assertIn("damaged", done.err)
        self.assertIn("replayed 20 steps", done.text)

    def test_what_cannot_be_replayed_is_unknown(self):
        """A ring that came round and has no snapshot: nobody can say how its steps would be decided."""
        path = self.run_once()[0]
        data = bytearray(path.read_bytes())
        ring, = struct.unpack_from("<I", data, HEAD_BYTES)
        struct.pack_into("<Q", data, OLDEST, self.records(data)[20] - ring)
        path.write_bytes(data)
        lost = "the trace has lost its beginning and has no whole snapshot"
        self.fails(2, lost, "trace", "replay", path)
        done = self.fails(2, lost, "trace", "check", path)
        self.assertRegex(done.text, rf"(?m)^unknown  every step is decided the same .*\n +{lost}$")
        self.assertRegex(done.text, r"(?m)^ok +no message goes against an arrow")
        self.assertNotIn("BROKEN", done.text)

    def test_what_is_no_trace(self):
        self.fails(2, "passwd", "trace", "replay", "/etc/passwd")
        self.fails(2, "none", "trace", "show", self.dir / "none")
        junk = self.dir / "junk.kvrt"
        junk.write_bytes(os.urandom(100_000))
        for verb in ("show", "replay", "info"):
            self.fails(2, "junk.kvrt", "trace", verb, junk)
        self.fails(2, "usage: kvrelay trace", "trace")
        self.fails(2, "no 'shwo'", "trace", "shwo", junk)


if __name__ == "__main__":
    command.main()
