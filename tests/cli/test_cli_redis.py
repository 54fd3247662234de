#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command over a Redis server of its own; the example deployments that need one."""

import os
import signal

import command

SMALL = ("bench", "--chunks", "12", "--size", "64KiB", "--batch", "5", "--verify")
SEAL = "@kvr%1"


def payload_of(n):
    """The payload of the sealed golden values."""
    return bytes((i * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF) >> 56 for i in range(n))


class RedisCase(command.Case):
    @classmethod
    def setUpClass(cls):
        cls.redis = command.Redis()

    @classmethod
    def tearDownClass(cls):
        cls.redis.stop()

    def setUp(self):
        super().setUp()
        self.redis("FLUSHALL")

    def keys(self):
        return self.redis("DBSIZE")


class Round(RedisCase):
    def test_round_trip(self):
        data = os.urandom(300_000)
        url = ("--url", self.redis.url)
        self.ok("put", *url, "k", "-", stdin=data)
        self.assertEqual(self.redis("GET", "kkv_bytes"), data, "as LMCache lays it out")
        self.assertEqual(self.ok("get", *url, "k").out, data)
        self.ok("exists", *url, "k")
        self.ok("rm", *url, "k")
        self.assertEqual(self.keys(), 0)
        self.fails(1, "no tier has it", "get", *url, "k")

    def test_golden_values_of_lmcache(self):
        for entry in command.golden("redis_layout")["entries"]:
            for name, value in entry["redis"].items():
                self.redis("SET", name, bytes.fromhex(value["value_hex"]))
        for entry in command.golden("redis_layout")["entries"]:
            with self.subTest(entry["name"]):
                url = ("--url", self.redis.url)
                seen = self.ok("stat", *url, "--json", entry["key"]).json["tiers"][0]
                self.assertEqual(seen["given"], len(entry["payload_hex"]) // 2)
                self.assertEqual(seen["memory_format"], entry["fmt"])
                self.assertEqual(seen["groups"], [{"dtype": entry["dtype"], "shape": entry["shape"]}])
                self.assertEqual(self.ok("get", *url, entry["key"]).out.hex(), entry["payload_hex"])

    def test_golden_sealed_values(self):
        config = self.deploy({"name": "far", "url": self.redis.url, "format": "sealed"})
        checked = 0
        for case in command.golden("sealed")["cases"]:
            if case["head_len"] != 512 or case["len"] > 10_000:
                continue
            value = bytes.fromhex(case["header_hex"]) + payload_of(case["len"]) + bytes.fromhex(case["trailer_hex"])
            with self.subTest(case["name"]):
                self.assertEqual(len(value), case["total"])
                self.redis("SET", case["key"] + SEAL, value)
                seen = self.ok("stat", "--config", config, "--json", "--verify", case["key"]).json["tiers"][0]
                self.assertEqual((seen["given"], seen["stored"]), (case["raw_len"], case["len"]))
                self.assertEqual((seen["format"], seen["verified"]), ("sealed", "OK"))
                self.assertEqual([g["shape"] for g in seen["groups"]], [g["dims"] for g in case["groups"]])
                self.redis("DEL", case["key"] + SEAL)
                checked += 1
        self.assertGreaterEqual(checked, 5)

    def test_a_wrong_password(self):
        done = self.call("put", "--url", self.redis.url.replace("unix://", "unix://:wrong@"), "k", "-", stdin=b"1")
        self.assertEqual(done.status, 2)
        self.assertNotIn("wrong@", done.err)

    def test_a_server_without_memory(self):
        self.redis("CONFIG", "SET", "maxmemory", "2mb")
        self.addCleanup(self.redis, "CONFIG", "SET", "maxmemory", "0")
        config = self.deploy({"name": "far", "url": self.redis.url})
        done = self.fails(2, "write failed", "bench", "--config", config, "--chunks", "40", "--size", "256KiB",
                          "--batch", "4")
        self.assertIn("OOM", done.err)
        self.assertEqual(self.keys(), 0)

    def test_a_value_beyond_what_the_server_takes(self):
        self.redis("CONFIG", "SET", "proto-max-bulk-len", "1mb")
        self.addCleanup(self.redis, "CONFIG", "SET", "proto-max-bulk-len", "512mb")
        for config in (self.deploy({"name": "far", "url": self.redis.url}),
                       self.deploy({"name": "far", "url": f"{self.redis.url}?protocol=3", "format": "lmcache"})):
            done = self.fails(2, "TOO_BIG", "put", "--config", config, "large", "-", stdin=bytes(9 << 20))
            self.assertIn("proto-max-bulk-len", done.err)
            self.assertEqual(self.keys(), 0)

    def test_a_server_that_is_not_there(self):
        config = self.deploy({"name": "far", "url": f"unix://{self.dir}/none"})
        self.fails(2, "none", *SMALL, "--config", config, "--timeout", "2s")


class Bench(RedisCase):
    def test_two_tiers(self):
        config = self.deploy({"name": "host", "url": "memory://", "capacity": "16MiB"},
                             {"name": "far", "url": self.redis.url, "serde": "zstd"})
        seen = self.ok(*SMALL, "--config", config, "--json").json
        self.assertEqual((seen["wrong"], seen["missing"]), (0, 0))
        self.assertEqual(seen["phases"]["read cold"]["from"], {"far": 12})
        self.assertEqual(seen["phases"]["read warm"]["from"], {"host": 12})
        self.assertLess(seen["tiers"][1]["stored"], seen["tiers"][1]["given"])
        self.assertEqual(self.keys(), 0)

    def test_an_interrupt_cleans_up(self):
        config = self.deploy({"name": "far", "url": self.redis.url})
        for number in (signal.SIGINT, signal.SIGTERM):
            running = self.start("bench", "--config", config, "--chunks", "4000", "--size", "64KiB",
                                 "--batch", "4")
            self.wait(lambda: self.keys() > 8, running)
            running.send_signal(number)
            _, err = running.communicate(timeout=command.PATIENCE_S)
            self.assertEqual(running.returncode, 2, err)
            self.assertIn(b"interrupted", err)
            self.assertEqual(self.keys(), 0, err)

    def test_what_lies_there_already_stays(self):
        self.redis("SET", "somebody's", "value")
        self.ok(*SMALL, "--url", self.redis.url)
        self.assertEqual(self.redis("KEYS", "*"), [b"somebody's"])


class Examples(RedisCase):
    def example(self, name, tier, *more, env=None):
        config = command.ARGS.source / "config" / "examples" / name
        seen = self.ok(*SMALL, "--config", config, "--json", "--set", f"{tier}={self.redis.url}", "--set",
                       f"trace.dir={self.dir}/trace", *more, env=env).json
        self.assertEqual((seen["wrong"], seen["missing"]), (0, 0))
        self.assertEqual(self.keys(), 0)
        return seen

    def test_redis(self):
        self.example("redis.json", "tiers.remote.url", env={"RANK": "0"})

    def test_two_tiers(self):
        seen = self.example("two-tiers-redis.json", "tiers.fleet.url", "--set",
                            f"metrics.listen=unix:{self.dir}/metrics")
        self.assertEqual(seen["phases"]["read cold"]["from"], {"fleet": 12})

    def test_lmcache(self):
        config = command.ARGS.source / "config" / "examples" / "lmcache.json"
        own = self.dir / "lmcache.json"
        own.write_text(config.read_text().replace("redis://127.0.0.1:6379", self.redis.url))
        seen = self.ok(*SMALL, "--config", own, "--json").json
        self.assertEqual((seen["wrong"], seen["missing"]), (0, 0))
        self.assertEqual(self.keys(), 0)


if __name__ == "__main__":
    command.needs_redis()
    command.main()
