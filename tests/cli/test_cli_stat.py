#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""stat: values that LMCache wrote, sealed values, damaged ones, and tiers that do not answer."""

import command


def entries(name):
    return command.golden("fs_layout")["sets"][name]["entries"]


class Golden(command.Case):
    def test_files_of_lmcache(self):
        for entry in entries("one_directory"):
            for name, content in entry["files"].items():
                path = self.dir / "c" / name
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(bytes.fromhex(content))
        for entry in entries("one_directory"):
            with self.subTest(entry["name"]):
                seen = self.ok("stat", "--url", "fs://./c", "--json", "--verify", entry["key"]).json["tiers"]
                self.assertEqual(len(seen), 1)
                self.assertEqual(seen[0]["given"], len(entry["payload_hex"]) // 2)
                self.assertEqual(seen[0]["format"], "lmcache")
                self.assertEqual(seen[0]["memory_format"], entry["fmt"])
                self.assertEqual(seen[0]["groups"], [{"dtype": entry["dtype"], "shape": entry["shape"]}])
                self.assertEqual(seen[0]["verified"], "OK")
                text = self.ok("stat", "--url", "fs://./c", entry["key"]).text
                self.assertIn(entry["dtype"] + " [" + ", ".join(map(str, entry["shape"])) + "]", text)
                self.assertIn(entry["fmt"], text)


class Stat(command.Case):
    def put(self, config, key="m@1@0@1@bfloat16", data=bytes(4096)):
        self.ok("put", "--config", config, key, "-", "--shape", "2,1,8,128", "--dtype", "bfloat16", stdin=data)
        return key

    def test_each_tier(self):
        config = self.deploy({"name": "host", "url": "memory://", "capacity": "16MiB"},
                             {"name": "here", "url": "fs://./a", "serde": "zstd"},
                             {"name": "there", "url": "fs://./b", "format": "bare"})
        key = self.put(config)
        host, here, there = self.ok("stat", "--config", config, "--json", "--verify", key).json["tiers"]
        self.assertEqual(host["result"], "MISS")
        self.assertIn("process", host["why"])
        self.assertEqual((here["given"], here["serde"], here["verified"]), (4096, "zstd", "OK"))
        self.assertLess(here["stored"], 4096)
        self.assertEqual(here["groups"], [{"dtype": "bfloat16", "shape": [2, 1, 8, 128]}])
        self.assertEqual((there["given"], there["stored"], there["groups"]), (4096, 4096, []))
        text = self.ok("stat", "--config", config, "--verify", key).text
        self.assertIn("seal and fingerprint fit", text)
        self.assertIn("by zstd", text)
        self.assertIn("no checksum", text)

    def test_planes_and_what_another_serde_reads_of_them(self):
        config = self.deploy({"name": "here", "url": "fs://./a", "serde": "planes"})
        key = self.put(config)
        here, = self.ok("stat", "--config", config, "--json", "--verify", key).json["tiers"]
        self.assertEqual((here["given"], here["serde"], here["verified"]), (4096, "planes", "OK"))
        self.assertLess(here["stored"], 3100)
        self.assertIn("by planes", self.ok("stat", "--config", config, key).text)
        # A tier that now writes another serde still reads what is there.
        other = self.deploy({"name": "here", "url": "fs://./a", "serde": "zstd"})
        self.ok("get", "--config", other, key, "-o", self.dir / "out")
        self.assertEqual((self.dir / "out").read_bytes(), bytes(4096))

    def test_nobody_has_it(self):
        config = self.deploy({"name": "here", "url": "fs://./a"})
        done = self.call("stat", "--config", config, "k")
        self.assertEqual((done.status, done.text.split()), (1, ["here", "not", "there"]))

    def test_what_is_there_in_its_place(self):
        config = self.deploy({"name": "here", "url": "fs://./a"})
        self.put(config, "m@4@0@75bcd15@bfloat16")
        for key, said in {
            "m@8@0@75bcd15@bfloat16": "m@4@0@75bcd15@bfloat16 is there, of another world size",
            "m@8@5@75bcd15@bfloat16@tag%1": "",
            "m@4@0@75bcd15@half": "m@4@0@75bcd15@bfloat16 is there, of another dtype",
            "m@4@0@75bcd16@bfloat16": "",
            "other@4@0@75bcd15@bfloat16": "",
        }.items():
            done = self.call("stat", "--config", config, "--json", key)
            self.assertEqual((done.status, done.json["tiers"][0]["why"]), (1, said), key)
        done = self.call("stat", "--url", "fs://./a", "m@4@0@75bcd15@bfloat16")
        self.assertEqual((done.status, done.text.split()[1:]), (1, "not there: it is there in layout sealed".split()))

    def test_another_layout(self):
        shape = {"model": "m", "chunk_tokens": 8, "kv_dtype": "bfloat16", "kv_shape": [1, 2, 8, 1, 128]}
        tier = {"name": "here", "url": "fs://./a"}
        key = self.put(self.deploy(tier))
        fits = self.deploy(tier, name="fits.json", engine={**shape, "model": ""})
        other = self.deploy(tier, name="other.json", engine={**shape, "model": "", "kv_dtype": "float16"})
        self.assertEqual(self.ok("stat", "--config", fits, "--json", key).json["tiers"][0]["fits"], True)
        self.assertIn("another dtype or layout", self.ok("stat", "--config", other, key).text)
        done = self.call("stat", "--config", other, "--verify", "--json", key)
        self.assertEqual((done.status, done.json["tiers"][0]["verified"]), (1, "IDENTITY"))

    def test_another_fingerprint(self):
        tier = {"name": "here", "url": "fs://./a"}
        old = self.deploy(tier, name="old.json", engine={"model": "m", "fingerprint": "r1"})
        new = self.deploy(tier, name="new.json", engine={"model": "m", "fingerprint": "r2"})
        key = self.put(old)
        self.assertEqual(self.ok("stat", "--config", old, "--verify", "--json", key).json["tiers"][0]["verified"], "OK")
        self.assertEqual(self.ok("stat", "--config", old, "--json", key).json["tiers"][0]["fits"], True)
        self.assertEqual(self.ok("stat", "--config", new, "--json", key).json["tiers"][0]["fits"], False)
        self.assertIn("but a get would be IDENTITY: ", self.ok("stat", "--config", new, key).text)
        done = self.call("stat", "--config", new, "--verify", "--json", key)
        self.assertEqual((done.status, done.json["tiers"][0]["verified"]), (1, "IDENTITY"))
        self.assertIn("IDENTITY", self.call("stat", "--config", new, "--verify", key).text)
        got = self.call("get", "--config", new, key, "-o", "out")
        self.assertEqual(got.status, 1)
        self.assertIn("IDENTITY", got.err)

    def test_a_damaged_value(self):
        config = self.deploy({"name": "here", "url": "fs://./a"})
        key = self.put(config, data=bytes(range(256)) * 16)
        (path,) = self.files("a")
        with path.open("r+b") as f:
            f.seek(4096 + 100)
            f.write(b"!")
        self.ok("stat", "--config", config, key)
        done = self.call("stat", "--config", config, "--verify", "--json", key)
        self.assertEqual((done.status, done.json["tiers"][0]["verified"]), (1, "CORRUPT"))
        got = self.call("get", "--config", config, key, "-o", "out")
        self.assertEqual(got.status, 1)
        self.assertIn("CORRUPT", got.err)
        with path.open("r+b") as f:
            f.write(b"KVR2")
        done = self.call("stat", "--config", config, "--json", key)
        self.assertEqual((done.status, done.json["tiers"][0]["result"]), (2, "CORRUPT"))

    def test_a_tier_that_does_not_answer(self):
        config = self.deploy({"name": "here", "url": "fs://./a"},
                             {"name": "far", "url": "redis://127.0.0.1:1", "write": "never"})
        key = self.put(config)
        done = self.call("stat", "--config", config, "--json", key)
        self.assertEqual(done.status, 2)
        self.assertEqual([t["result"] for t in done.json["tiers"]], ["OK", "DOWN"])
        self.assertIn("refused", done.json["tiers"][1]["why"])

    def test_keys_that_cannot_be(self):
        self.fails(2, "1 to 512 bytes", "stat", "--url", "fs://./c", "k" * 513)
        self.fails(2, "1 to 512 bytes", "stat", "--url", "fs://./c", "")


if __name__ == "__main__":
    command.main()
