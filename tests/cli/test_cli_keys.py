#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""put, get, exists, rm, and what all commands have in common: options, help, exit statuses."""

import os

import command

NOBODY = 65534
KEY = "m@1@0@1a2b@bfloat16"


class Keys(command.Case):
    def test_round_trip_over_files(self):
        payload = os.urandom(100_000)
        config = self.deploy({"name": "disk", "url": "fs://./cache"})
        self.assertIn("stored", self.ok("put", "--config", config, "k", "-", stdin=payload).text)
        self.assertEqual(self.ok("get", "--config", config, "k").out, payload)
        self.ok("get", "--config", config, "k", "-o", self.dir / "out")
        self.assertEqual((self.dir / "out").read_bytes(), payload)
        self.assertEqual(len(self.files("cache")), 1)
        self.assertIn("removed", self.ok("rm", "--config", config, "k").text)
        self.assertEqual(self.files("cache"), [])
        self.fails(1, "no tier has it", "get", "--config", config, "k")

    def test_a_value_of_no_bytes(self):
        self.ok("put", "--url", "fs://./c", "k", "-")
        self.assertEqual(self.ok("get", "--url", "fs://./c", "k").out, b"")

    def test_exists_says_which(self):
        url = ("--url", "fs://./c")
        self.ok("put", *url, "a", "-", stdin=b"1")
        self.ok("put", *url, "b", "-", stdin=b"2")
        self.ok("exists", *url, "a", "b")
        some = self.call("exists", *url, "a", "x", "b", "--json")
        self.assertEqual(some.status, 1)
        self.assertEqual(some.json, {"a": "yes", "x": "MISS", "b": "yes"})

    def test_rm_of_what_is_not_there(self):
        done = self.call("rm", "--url", "fs://./c", "a", "--json")
        self.assertEqual((done.status, done.json), (1, {"a": "MISS"}))

    def test_memory_ends_with_the_process(self):
        self.ok("put", "--url", "memory://", "a", "-", stdin=b"1")
        self.fails(1, "no tier has it", "get", "--url", "memory://", "a")

    def test_a_key_with_a_dtype_wants_a_shape(self):
        url = ("--url", "fs://./c")
        self.fails(2, ["--shape", "--raw"], "put", *url, KEY, "-", stdin=b"12")
        self.fails(2, "--dtype", "put", *url, KEY, "-", "--shape", "1,2", stdin=b"12")
        self.fails(2, "no dtype 'bf'", "put", *url, KEY, "-", "--shape", "1,2", "--dtype", "bf")
        self.fails(2, "'1,x'", "put", *url, KEY, "-", "--shape", "1,x", "--dtype", "half")
        self.fails(2, "memory format", "put", *url, KEY, "-", "--shape", "2,1,4,8", "--dtype",
                   "bfloat16", "--format", "KV", stdin=bytes(128))
        self.ok("put", *url, KEY, "-", "--shape", "2,1,4,8", "--dtype", "bfloat16", stdin=bytes(128))
        seen = self.ok("stat", *url, KEY, "--json").json["tiers"][0]
        self.assertEqual(seen["groups"], [{"dtype": "bfloat16", "shape": [2, 1, 4, 8]}])
        self.ok("put", *url, KEY, "-", "--raw", stdin=b"123")
        self.assertEqual(self.ok("get", *url, KEY).out, b"123")

    def test_json_of_put(self):
        done = self.ok("put", "--url", "fs://./c", "k", "-", "--json", stdin=b"1234")
        self.assertEqual(done.json["stored"], 4)
        self.assertGreater(done.json["took_ms"], 0)

    def test_files_that_cannot_be(self):
        self.fails(2, "No such file", "put", "--url", "fs://./c", "k", self.dir / "none")
        (self.dir / "long").touch()
        os.truncate(self.dir / "long", 4 << 30)
        self.fails(2, "long: File too large", "put", "--url", "fs://./c", "k", self.dir / "long")
        self.ok("put", "--url", "fs://./c", "k", "-", stdin=b"1")
        self.fails(2, "none/out", "get", "--url", "fs://./c", "k", "-o", self.dir / "none" / "out")

    def test_a_full_tier(self):
        config = self.deploy({"name": "disk", "url": "fs://./c", "capacity": "1MiB"})
        done = self.call("put", "--config", config, "k", "-", stdin=bytes(4 << 20))
        self.assertEqual(done.status, 2)
        self.assertIn("kvrelay put: ", done.err)
        self.assertEqual(self.files("c"), [])

    def test_a_directory_that_cannot_be_written(self):
        """Root may write everywhere, so root becomes somebody else for this."""
        user = NOBODY if os.geteuid() == 0 else None
        (self.dir / "c").mkdir()
        (self.dir / "c").chmod(0o555)
        self.dir.chmod(0o755)
        try:
            done = self.call("put", "--url", "fs://./c", "k", "-", stdin=b"1", user=user)
        except PermissionError:
            self.skipTest("nobody else may run the command where it lies")
        self.assertEqual(done.status, 2)
        self.assertIn("/c", done.err)
        self.assertIn("ermission denied", done.err)

    def test_a_directory_that_is_a_file(self):
        (self.dir / "c").write_text("")
        self.fails(2, ["kvrelay put", "/c"], "put", "--url", "fs://./c", "k", "-", stdin=b"1")

    def test_a_store_that_is_not_there(self):
        self.fails(2, "Connection refused", "put", "--url", "redis://127.0.0.1:1", "k", "-", stdin=b"1")
        self.fails(2, "127.0.0.1", "exists", "--url", "redis://127.0.0.1:1", "k")


class Options(command.Case):
    def test_help(self):
        usage = self.ok("--help").text
        for name in ("put", "get", "exists", "rm", "stat", "bench", "config", "trace", "version"):
            self.assertIn(f"  {name} ", usage)
            self.assertIn("--json", self.ok(name, "--help").text)
        self.assertEqual(self.ok("help").text, usage)
        self.fails(2, "usage: kvrelay")
        self.fails(2, "no command 'bnech'", "bnech")

    def test_wrong_options(self):
        self.fails(2, "no option '--chunk'", "bench", "--chunk", "1")
        self.fails(2, "--chunks takes N, not '1x'", "bench", "--chunks", "1x")
        self.fails(2, "--chunks takes N", "bench", "--chunks")
        self.fails(2, "--size takes BYTES, not '1TiBB'", "bench", "--size=1TiBB")
        self.fails(2, "--verify takes no value", "bench", "--verify=1")
        self.fails(2, "--timeout takes TIME", "get", "--timeout", "soon", "k")
        self.fails(2, "usage: kvrelay get", "get", "--url", "fs://./c")
        self.fails(2, "usage: kvrelay put", "put", "--url", "fs://./c", "k")
        self.fails(2, "usage: kvrelay stat", "stat", "--url", "fs://./c")

    def test_which_deployment(self):
        self.fails(2, "--config FILE or --url URL", "get", "k")
        self.fails(2, "--config FILE or --url URL", "get", "k", "--url", "fs://./c", "--config", "x")
        self.fails(2, "no.json", "get", "k", "--config", "no.json")
        self.fails(2, ["reddis", "redis"], "get", "k", "--url", "reddis://h")
        self.fails(2, ['"no"', "set:"], "get", "k", "--url", "fs://./c", "--set", "tiers.remote.no=1")

    def test_everything_after_two_dashes_is_a_key(self):
        url = ("--url", "fs://./c")
        self.ok("put", *url, "--", "--json", "-", stdin=b"odd")
        self.assertEqual(self.ok("get", *url, "--", "--json").out, b"odd")

    def test_version(self):
        text = self.ok("version").text
        for word in ("kvrelay", "nng", "hiredis", "zstd", "xxhash", "sealed", "redis"):
            self.assertIn(word, text)
        seen = self.ok("version", "--json").json
        self.assertRegex(seen["nng"], r"^\d+\.\d+\.\d+$")
        self.assertRegex(seen["zstd"], r"^\d+\.\d+\.\d+$")
        self.assertIn("fs", seen["stores"])
        self.assertEqual(self.ok("--version").text, text)
        self.fails(2, "no arguments", "version", "more")


if __name__ == "__main__":
    command.main()
