#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""config check, show, help and schema."""

import json
import re
import signal
from pathlib import Path

import command


class Config(command.Case):
    def bad(self, text):
        path = self.dir / "bad.json"
        path.write_text(text)
        return path

    def test_check_prints_a_sum(self):
        config = self.deploy({"name": "host", "url": "memory://", "capacity": "1GiB"},
                             {"name": "disk", "url": "fs://./cache"})
        text = self.ok("config", "check", config, "--ranks", "8").text
        self.assertRegex(text, r"host +1\.0 GiB")
        self.assertRegex(text, r"staging +64\.0 MiB")
        self.assertIn("per node of 8 processes", text)
        self.assertFalse((self.dir / "cache").exists(), "a check opens nothing")

    def test_threads_are_counted_as_they_are(self):
        config = self.deploy({"name": "disk", "url": "fs://./cache"})
        text = self.ok("config", "check", config).text
        said = int(re.search(r"threads (\d+): 3 lanes", text).group(1))
        running = self.start("bench", "--config", config, "--chunks", "20000", "--size", "64KiB")
        self.wait(lambda: len(self.files("cache")) > 8, running)
        tasks = len(list((Path("/proc") / str(running.pid) / "task").iterdir()))
        running.send_signal(signal.SIGINT)
        running.communicate(timeout=command.PATIENCE_S)
        self.assertEqual(tasks - 1, said, "all but the one that has called us")

    def test_mistakes_have_line_column_and_caret(self):
        path = self.bad('{\n  "tiers": [\n    { "name": "a", "url": "fs:///x", "lanez": 3 }\n  ]\n}\n')
        done = self.fails(2, f"{path}:3:38: ", "config", "check", path)
        line, caret = done.err.split("\n")[1:3]
        self.assertIn('"lanez": 3', line)
        self.assertEqual(line[caret.index("^")], '"')
        self.assertEqual(line[caret.index("^"):][:7], '"lanez"')
        self.assertEqual(done.text, "")

    def test_a_script_of_faults_is_read_too(self):
        script = self.dir / "outage.txt"
        config = self.deploy({"name": "far", "url": "redis://h:1", "faults": "outage.txt"}, rehearse=True)
        self.fails(2, f"{script}: the faults cannot be read: No such file", "config", "check", config)
        script.write_text("0s pass\n5s dealy 3ms on get\n")
        self.fails(2, f"{script}:2:4: ", "config", "check", config)
        notes = self.call("config", "check", config, "--json").json["notes"]
        mistakes = [(n["source"], n["line"], n["column"]) for n in notes if not n["warning"]]
        self.assertEqual(mistakes, [(str(script), 2, 4)])
        script.write_text("0s pass\n5s delay 3ms on get\n")
        self.assertIn("this is a rehearsal", self.ok("config", "check", config).err)

    def test_every_mistake_is_said(self):
        path = self.bad('{ "tiers": [ { "name": "a", "url": "foo://x" } ], "lokal": 1 }')
        done = self.fails(2, ["lokal", "foo"], "config", "check", path)
        self.assertGreaterEqual(done.err.count("^"), 2)
        seen = self.call("config", "check", path, "--json")
        self.assertEqual(seen.status, 2)
        self.assertFalse(seen.json["valid"])
        self.assertEqual(len(seen.json["notes"]), done.err.count("^"))
        self.assertEqual(seen.json["notes"][0]["line"], 1)

    def test_a_valid_one_as_json(self):
        config = self.deploy({"name": "disk", "url": "fs://./cache"})
        self.assertEqual(self.ok("config", "check", config, "--json").json, {"notes": [], "valid": True})

    def test_malformed(self):
        for text in ("", "{", "[]", '{ "tiers": [] }', '{ "tiers": 1 }', "{ \"tiers\": [}"):
            done = self.fails(2, "bad.json:", "config", "check", self.bad(text))
            self.assertNotIn("Traceback", done.err)
        self.fails(2, "none.json", "config", "check", self.dir / "none.json")

    def test_show_has_origins_and_no_secrets(self):
        config = self.deploy({"name": "far", "url": "redis://user:geheim@127.0.0.1:1"})
        text = self.ok("config", "show", config, "--set", "timeouts.lookup=7s").text
        self.assertNotIn("geheim", text)
        self.assertRegex(text, r"timeouts\.lookup +7s +# --set")
        self.assertRegex(text, r"tiers\.far\.url .*# .*deploy\.json:1:\d+")
        self.assertRegex(text, r"timeouts\.put .*# default")

    def test_show_of_a_url(self):
        self.assertIn("fs://", self.ok("config", "show", "--url", "fs://./c").text)

    def test_help_and_schema(self):
        self.assertRegex(self.ok("config", "help").text, r"(?m)^tiers\S*\.url$")
        schema = self.ok("config", "schema").text
        self.assertIn("definitions", json.loads(schema))
        self.assertEqual(schema, (command.ARGS.source / "config" / "kvrelay.schema.json").read_text())

    def test_usage(self):
        self.fails(2, "usage: kvrelay config", "config")
        self.fails(2, "usage: kvrelay config", "config", "chekc", "x")
        self.fails(2, "--ranks", "config", "check", "x", "--ranks", "0")

    def test_the_examples_are_valid(self):
        env = {"RANK": "0", "NODE_IP": "127.0.0.1", "KVRELAY_REVISION": "r1", "KVRELAY_DIR": str(self.dir),
               "KV_PASSWORD": "p", "KV_SENTINEL_PASSWORD": "s"}
        examples = sorted((command.ARGS.source / "config" / "examples").glob("*.json"))
        self.assertGreaterEqual(len(examples), 5)
        for path in examples:
            self.ok("config", "check", path, env=env)


if __name__ == "__main__":
    command.main()
