#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The example of a deployment over a cluster, with three nodes that have a third of the slots each."""

import time

import command

SMALL = ("bench", "--chunks", "24", "--size", "64KiB", "--batch", "8", "--verify")
SLOTS = 16384


class Cluster(command.Case):
    @classmethod
    def setUpClass(cls):
        options = ("--cluster-enabled", "yes", "--requirepass", "pw")
        cls.nodes = [command.Redis(*options, port=True) for _ in range(3)]
        for i, node in enumerate(cls.nodes):
            node("AUTH", "pw")
            node("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
            node("CLUSTER", "ADDSLOTS", *range(SLOTS * i // 3, SLOTS * (i + 1) // 3))
            cls.nodes[0]("CLUSTER", "MEET", "127.0.0.1", node.port)
        cls.wait_for(cls.is_ready)
        cls.url = f"redis-cluster://127.0.0.1:{cls.nodes[1].port}"

    @classmethod
    def tearDownClass(cls):
        for node in cls.nodes:
            node.stop()

    @classmethod
    def wait_for(cls, is_so):
        until = time.monotonic() + command.PATIENCE_S
        while not all(is_so(node) for node in cls.nodes):
            if time.monotonic() > until:
                raise AssertionError(f"not so on every node: {is_so.__name__}")

    @staticmethod
    def is_ready(node):
        info = node("CLUSTER", "INFO")
        return b"cluster_state:ok" in info and b"cluster_known_nodes:3" in info

    def test_the_example(self):
        config = command.ARGS.source / "config" / "examples" / "redis-cluster.json"
        seen = self.ok(*SMALL, "--config", config, "--json", "--set", f"tiers.fleet.url={self.url}",
                       "--set", f"trace.dir={self.dir}/trace", env={"KV_PASSWORD": "pw"}).json
        self.assertEqual((seen["wrong"], seen["missing"]), (0, 0))
        self.assertEqual(seen["phases"]["read cold"]["from"], {"fleet": 24})

    def test_what_lmcache_reads(self):
        url = self.url.replace("//", "//:pw@")
        self.ok("put", "--url", url, "k", "-", "--raw", stdin=b"payload")
        found = [node("KEYS", "*") for node in self.nodes]
        self.assertEqual(sorted(sum(found, [])), [b"kkv_bytes", b"kmetadata"])
        self.assertEqual(self.ok("get", "--url", url, "k").out, b"payload")
        self.ok("rm", "--url", url, "k")
        self.assertEqual([node("DBSIZE") for node in self.nodes], [0, 0, 0])

    def test_doctor_sees_slots_that_nobody_serves(self):
        def is_down(node):
            return b"cluster_state:fail" in node("CLUSTER", "INFO")

        url = self.url.replace("//", "//:pw@")
        well = self.call("doctor", "--url", url, "--json")
        self.assertEqual(self.slots(well)["level"], "ok", well.text)
        self.assertIn("16384 of 16384", self.slots(well)["text"])
        self.addCleanup(self.wait_for, self.is_ready)
        self.addCleanup(self.nodes[0], "CLUSTER", "ADDSLOTS", 7)
        for node in self.nodes:
            node("CLUSTER", "DELSLOTS", 7)
        self.wait_for(is_down)
        done = self.call("doctor", "--url", url, "--json")
        self.assertEqual(done.status, 2, done.text)
        self.assertEqual(self.slots(done)["level"], "fail")
        self.assertIn("state is fail, 16383 of 16384", self.slots(done)["text"])
        self.assertIn("redis-cli --cluster check", self.slots(done)["advice"])

    @staticmethod
    def slots(done):
        return next(f for f in done.json["findings"] if f["topic"] == "slots")


if __name__ == "__main__":
    command.needs_redis()
    command.main()
